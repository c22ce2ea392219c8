"""TLS as a filter of bytes, inside the connection.

`TlsChannel` sits between transport and connection: ciphertext in, plaintext out, and back. It is used instead of
asyncio's `start_tls` because the protocol switches to TLS in the middle of a connection, and with direct TLS the client's
first record has already been read when we learn that it is TLS; feeding a filter is one call, while replacing the transport
needs a task and gives the record no way in. It also keeps one write per batch.

The channel binding is `tls-server-end-point` (RFC 5929): a hash of the server's certificate, the only kind that PostgreSQL
clients use.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes

ALPN = "postgresql"
FIRST_BYTE = 0x16
"""A TLS handshake record. No start-up packet begins so: its length would be above the limit."""

_READ_BYTES = 256 * 1024


@dataclass(frozen=True)
class ServerTls:
    """What a listener needs to serve TLS.

    Args:
        context: server-side context.
        end_point: `tls-server-end-point` data, or None when the certificate's signature has no hash to use (Ed25519).
    """

    context: ssl.SSLContext
    end_point: bytes | None


def load_server_tls(certificate_file: Path | str, key_file: Path | str) -> ServerTls:
    """TLS 1.2 or later with this certificate chain (PEM, leaf first) and private key.

    Raises:
        OSError, ssl.SSLError, ValueError: a file is missing, not PEM, or key and certificate do not match.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate_file, key_file)
    context.set_alpn_protocols([ALPN])
    leaf = x509.load_pem_x509_certificates(Path(certificate_file).read_bytes())[0]
    return ServerTls(context, end_point_binding(leaf))


def end_point_binding(certificate: x509.Certificate) -> bytes | None:
    """RFC 5929 §4: the certificate's hash by the hash of its signature, SHA-256 in place of MD5 and SHA-1."""
    algorithm = certificate.signature_hash_algorithm
    if algorithm is None:
        return None
    if isinstance(algorithm, hashes.MD5 | hashes.SHA1):
        algorithm = hashes.SHA256()
    return certificate.fingerprint(algorithm)


class TlsChannel:
    """Server side of one TLS connection over bytes that somebody else moves.

    Methods raise `ssl.SSLError` when the peer breaks TLS; the connection is then to be closed, after `outgoing` (an alert).
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.established = False
        self.closed_by_peer = False

    @property
    def version(self) -> str | None:
        """Such as TLSv1.3."""
        return self._object.version()

    @property
    def cipher(self) -> str | None:
        """Such as TLS_AES_256_GCM_SHA384."""
        cipher = self._object.cipher()
        return cipher[0] if cipher else None

    @property
    def alpn(self) -> str | None:
        """The application protocol that was agreed on."""
        return self._object.selected_alpn_protocol()

    def receive(self, data: bytes) -> bytes:
        """Take ciphertext; return the plaintext that is complete. Afterwards `outgoing` may have bytes to send."""
        self._incoming.write(data)
        if not self.established:
            try:
                self._object.do_handshake()
            except ssl.SSLWantReadError:
                return b""
            self.established = True
        chunks = []
        while True:
            try:
                chunk = self._object.read(_READ_BYTES)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                self.closed_by_peer = True
                break
            if not chunk:
                self.closed_by_peer = True
                break
            chunks.append(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def encrypt(self, data: bytes) -> bytes:
        """Ciphertext for `data`, behind whatever TLS itself had to send."""
        view = memoryview(data)
        while view:
            view = view[self._object.write(view) :]
        return self._outgoing.read()

    def outgoing(self) -> bytes:
        """What TLS itself wants to send: handshake, alerts, key updates."""
        return self._outgoing.read()

    def close_notify(self) -> bytes:
        """The goodbye to send before closing."""
        if self.established:
            try:
                self._object.unwrap()
            except ssl.SSLError:
                pass  # Want-read: we do not wait for the peer's goodbye. Anything else: there is nobody to say it to.
        return self._outgoing.read()
