"""Certificates between the members of a cluster: one authority, one certificate a node, mutual TLS.

    boreal cert ca                       ca.pem, ca.key        keep the key away from the nodes
    boreal cert node n1 --host 10.0.0.1  n1.pem, n1.key        ca.pem goes along

A node is whom its certificate names: the subject alternative names hold the node's name, which the accepting side
compares with the name in a peer's hello (`journal.transport`), and the addresses at which it is dialled, which the
dialling side's TLS compares with where it has connected to. Whoever has no certificate of the authority does not get
beyond the handshake. TLS 1.3 only, because both ends are ours. Keys are elliptic-curve (P-256), unencrypted, and
readable by their owner only: a node has to start without anybody at a keyboard.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import ssl
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from journal.errors import BorealError

CA_CERTIFICATE = "ca.pem"
CA_KEY = "ca.key"
AUTHORITY_DAYS = 3650
NODE_DAYS = 825
_CLOCK_TOLERANCE = datetime.timedelta(hours=1)
"""Certificates are valid from a little earlier on, for nodes whose clocks are behind."""


class CertificateError(BorealError):
    """A certificate or key cannot be made or used; the message names the file."""

    sqlstate = "F0000"


def make_authority(directory: Path, *, name: str = "Boreal cluster authority", days: int = AUTHORITY_DAYS) -> None:
    """Write `ca.pem` and `ca.key`.

    Raises:
        CertificateError: there is one already; it is never replaced, because every node would be locked out.
        OSError: the directory cannot be written.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        _builder(subject, subject, key.public_key(), days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write(directory, CA_CERTIFICATE, CA_KEY, certificate, key)


def make_node(name: str, hosts: Sequence[str], authority: Path, directory: Path, *, days: int = NODE_DAYS) -> None:
    """Write `NAME.pem` and `NAME.key`, signed by the authority in another directory, and a copy of its `ca.pem`.

    Args:
        name: of the node, as in `node_name` and `members`.
        hosts: addresses and host names at which other members dial it.

    Raises:
        CertificateError: there is no authority, or the node has a certificate already.
        OSError: the directory cannot be written.
    """
    certificate_file, key_file = authority / CA_CERTIFICATE, authority / CA_KEY
    try:
        issuer = x509.load_pem_x509_certificate(certificate_file.read_bytes())
        issuer_key = serialization.load_pem_private_key(key_file.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise CertificateError(f"no certificate authority in {authority}: {error}") from error
    if not isinstance(issuer_key, ec.EllipticCurvePrivateKey):
        raise CertificateError(f"{key_file} is not a key that `boreal cert ca` has made")
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names = [x509.DNSName(name), *(_general_name(host) for host in dict.fromkeys(hosts) if host != name)]
    certificate = (
        _builder(subject, issuer.subject, key.public_key(), days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
        .sign(issuer_key, hashes.SHA256())
    )
    _write(directory, f"{name}.pem", f"{name}.key", certificate, key)
    copy = directory / CA_CERTIFICATE
    if not copy.exists():
        copy.write_bytes(certificate_file.read_bytes())


def peer_contexts(ca_file: str, certificate_file: str, key_file: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """(for accepting, for dialling) with authentication of both sides.

    Raises:
        CertificateError: a file is missing, is not PEM, or key and certificate do not match.
    """
    made = []
    for protocol in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT):
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(ca_file)
        except OSError as error:  # ssl.SSLError is one
            raise CertificateError(f"peer_ca_file {ca_file}: {error}") from error
        try:
            context.load_cert_chain(certificate_file, key_file)
        except OSError as error:
            files = f"peer_certificate_file {certificate_file}, peer_key_file {key_file}"
            raise CertificateError(f"{files}: {error}") from error
        made.append(context)
    return made[0], made[1]


def names_in(certificate_file: str) -> list[str]:
    """The subject alternative names of a certificate. Raises CertificateError."""
    try:
        certificate = x509.load_pem_x509_certificate(Path(certificate_file).read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound) as error:
        raise CertificateError(f"peer_certificate_file {certificate_file}: {error}") from error
    return [str(name.value) for name in names]


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number())
        .not_valid_before(now - _CLOCK_TOLERANCE)
        .not_valid_after(now + datetime.timedelta(days))
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write(
    directory: Path,
    certificate_name: str,
    key_name: str,
    certificate: x509.Certificate,
    key: ec.EllipticCurvePrivateKey,
) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name in (certificate_name, key_name):
        if (directory / name).exists():
            raise CertificateError(f"{directory / name} exists already; remove it if it is to be replaced")
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    # Never readable by others, not even for the moment between creating and chmod.
    descriptor = os.open(directory / key_name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
    (directory / certificate_name).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
