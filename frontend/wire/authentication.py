"""Who may come in: rules by address and user, SCRAM-SHA-256 with and without channel binding, passwords over TLS.

A connection is matched against an ordered list of `AccessRule`s, the first match gives the method. The defaults let in
loopback and Unix-socket clients without a password (`trust`) and nobody else.

`scram-sha-256` is RFC 5802/7677 as PostgreSQL does it: the user name of the start-up packet counts and the one in the SCRAM
message is ignored (libpq sends it empty, which is why the server side of the `scramp` library, which refuses an empty
name, cannot be used for the exchange; SASLprep and key derivation are its). The database stores only a verifier:

    SCRAM-SHA-256$<iterations>:<salt, base64>$<StoredKey, base64>:<ServerKey, base64>

For a user who does not exist, or has no password, the exchange runs to its end against a mock verifier whose salt is
derived from the user's name and a secret of this process, so that the answer tells nothing. All secret comparisons take
constant time.

`password` asks for the password itself, only ever over TLS; it is the door for tokens, checked by a function of the
gateway's.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from scramp import ScramException
from scramp.utils import saslprep

from frontend.errors import SqlError
from frontend.wire.messages import protocol_violation

Method = Literal["trust", "scram-sha-256", "password", "reject"]
ConnectionType = Literal["local", "host", "hostssl", "hostnossl"]

VerifierLookup = Callable[[str], str | None]
"""A role's stored verifier, or None when the role does not exist or has no password."""
PasswordCheck = Callable[[str, str], bool]
"""Whether (user, password or token) may come in by the method `password`."""

SCRAM = "SCRAM-SHA-256"
SCRAM_PLUS = "SCRAM-SHA-256-PLUS"
DEFAULT_ITERATIONS = 4096
SALT_BYTES = 16
SASL_MESSAGE_BYTES_MAX = 1024
PASSWORD_MESSAGE_BYTES_MAX = 65535

_MOCK_SECRET = secrets.token_bytes(32)


# --- rules --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AccessRule:
    """One line of the access list, like one of pg_hba.conf.

    Args:
        connection: local (Unix socket), host (TCP), hostssl (TCP with TLS), hostnossl (TCP without).
        address: "all" or a network such as 10.0.0.0/8 or ::1/128; not used by local.
        user: "all" or a role name.
        method: how the client proves who it is. `password` needs `hostssl`.
    """

    connection: ConnectionType
    address: str
    user: str
    method: Method

    def __post_init__(self) -> None:
        if self.method == "password" and self.connection != "hostssl":
            raise ValueError("method password sends the password itself and needs connection type hostssl")
        if self.connection != "local" and self.address != "all":
            ipaddress.ip_network(self.address)  # ValueError names the address

    def matches(self, user: str, address: str | None, encrypted: bool) -> bool:
        """Whether this rule speaks about such a connection; address None is a Unix socket."""
        if (self.connection == "local") != (address is None):
            return False
        if (self.connection == "hostssl" and not encrypted) or (self.connection == "hostnossl" and encrypted):
            return False
        if self.user not in ("all", user):
            return False
        if address is None or self.address == "all":
            return True
        client = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(client, ipaddress.IPv6Address) and client.ipv4_mapped is not None:
            client = client.ipv4_mapped
        return client in ipaddress.ip_network(self.address)


LOOPBACK_TRUST = (
    AccessRule("local", "all", "all", "trust"),
    AccessRule("host", "127.0.0.0/8", "all", "trust"),
    AccessRule("host", "::1/128", "all", "trust"),
)
"""The default: whoever is on this machine."""


def access_method(
    rules: Sequence[AccessRule], user: str, database: str, address: str | None, encrypted: bool
) -> Method:
    """The method of the first rule that matches.

    Raises:
        SqlError: 28000, FATAL: no rule matches, or the rule says reject.
    """
    rule = next((rule for rule in rules if rule.matches(user, address, encrypted)), None)
    if rule is not None and rule.method != "reject":
        return rule.method
    encryption = "SSL encryption" if encrypted else "no encryption"
    client = f'host "{address or "[local]"}", user "{user}", database "{database}", {encryption}'
    what = "no pg_hba.conf entry for" if rule is None else "pg_hba.conf rejects connection for"
    raise SqlError("28000", f"{what} {client}", severity="FATAL")


# --- verifiers ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ScramVerifier:
    """What the server keeps of a password."""

    iterations: int
    salt: bytes
    stored_key: bytes
    server_key: bytes

    def __str__(self) -> str:
        salt, stored, server = (base64.b64encode(x).decode() for x in (self.salt, self.stored_key, self.server_key))
        return f"{SCRAM}${self.iterations}:{salt}${stored}:{server}"


_VERIFIER = re.compile(r"SCRAM-SHA-256\$(\d{1,9}):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)")


def parse_verifier(text: str) -> ScramVerifier | None:
    """The verifier in PostgreSQL's form, or None when `text` is not one (then it is a password to be hashed)."""
    match = _VERIFIER.fullmatch(text)
    if match is None or int(match[1]) < 1:
        return None
    try:
        salt, stored, server = (base64.b64decode(match[group], validate=True) for group in (2, 3, 4))
    except binascii.Error:
        return None
    if len(stored) != 32 or len(server) != 32:
        return None
    return ScramVerifier(int(match[1]), salt, stored, server)


def make_verifier(password: str, iterations: int = DEFAULT_ITERATIONS, salt: bytes | None = None) -> ScramVerifier:
    """The verifier for a password, with a random salt unless given. Takes some milliseconds."""
    salt = secrets.token_bytes(SALT_BYTES) if salt is None else salt
    stored, server = _keys(password, salt, iterations)
    return ScramVerifier(iterations, salt, stored, server)


def password_matches(verifier: ScramVerifier, password: str) -> bool:
    """Whether the verifier was made from this password."""
    stored, _ = _keys(password, verifier.salt, verifier.iterations)
    return hmac.compare_digest(stored, verifier.stored_key)


def _keys(password: str, salt: bytes, iterations: int) -> tuple[bytes, bytes]:
    salted = hashlib.pbkdf2_hmac("sha256", normalized_password(password).encode(), salt, iterations)
    client = hmac.digest(salted, b"Client Key", "sha256")
    return hashlib.sha256(client).digest(), hmac.digest(salted, b"Server Key", "sha256")


def normalized_password(password: str) -> str:
    """SASLprep (RFC 4013). Like in PostgreSQL a password that SASLprep forbids is used as it is."""
    if password.isascii() and password.isprintable():
        return password
    try:
        prepared: str = saslprep(password)
    except ScramException:
        return password
    return prepared or password


def _mock_verifier(user: str) -> ScramVerifier:
    salt = hmac.digest(_MOCK_SECRET, user.encode(), "sha256")[:SALT_BYTES]
    return ScramVerifier(DEFAULT_ITERATIONS, salt, bytes(32), bytes(32))


# --- the exchange -------------------------------------------------------------------------------------------------


def password_failure(user: str) -> SqlError:
    """28P01, FATAL: the same words whatever was wrong."""
    return SqlError("28P01", f'password authentication failed for user "{user}"', severity="FATAL")


def _malformed(detail: str) -> SqlError:
    return SqlError("08P01", "malformed SCRAM message", detail=detail, severity="FATAL")


def _attribute(text: str, name: str) -> str:
    if not text.startswith(name + "="):
        found = text[:1]
        raise _malformed(f'Expected attribute "{name}" but found "{found}".')
    return text[2:]


class ScramExchange:
    """The server's side of one SCRAM authentication: `first`, then `final`.

    Args:
        user: role name of the start-up packet.
        verifier: the role's, or None for a mock exchange that fails at its end.
        mechanism: what the client chose.
        end_point: the channel's binding data, or None when we did not offer SCRAM-SHA-256-PLUS.
    """

    def __init__(self, user: str, verifier: ScramVerifier | None, mechanism: str, end_point: bytes | None) -> None:
        offered = (SCRAM,) if end_point is None else (SCRAM_PLUS, SCRAM)
        if mechanism not in offered:
            raise protocol_violation("client selected an invalid SASL authentication mechanism", severity="FATAL")
        self.user = user
        self.plus = mechanism == SCRAM_PLUS
        self.end_point = end_point
        self.known = verifier is not None
        self.verifier = verifier or _mock_verifier(user)
        self._gs2_header = ""
        self._nonce = ""
        self._client_first_bare = ""
        self._server_first = ""

    def first(self, data: bytes) -> bytes:
        """From the client's first message to the server's first."""
        text = _text(data)
        flag, _, rest = text.partition(",")
        self._check_binding_flag(flag)
        authorization, comma, bare = rest.partition(",")
        if not comma:
            raise _malformed("The message is too short.")
        if authorization:
            raise SqlError("0A000", "client uses authorization identity, but it is not supported", severity="FATAL")
        if bare.startswith("m="):
            raise SqlError("0A000", "client requires an unsupported SCRAM extension", severity="FATAL")
        attributes = bare.split(",")
        _attribute(attributes[0], "n")
        client_nonce = _attribute(attributes[1] if len(attributes) > 1 else "", "r")
        if not client_nonce or not all("!" <= character <= "~" for character in client_nonce):
            raise SqlError("08P01", "non-printable characters in SCRAM nonce", severity="FATAL")
        self._gs2_header = f"{flag},{authorization},"
        self._client_first_bare = bare
        self._nonce = client_nonce + base64.b64encode(secrets.token_bytes(18)).decode()
        salt = base64.b64encode(self.verifier.salt).decode()
        self._server_first = f"r={self._nonce},s={salt},i={self.verifier.iterations}"
        return self._server_first.encode()

    def _check_binding_flag(self, flag: str) -> None:
        if flag in ("n", "y"):
            if self.plus:
                raise _malformed(
                    "The client selected SCRAM-SHA-256-PLUS, but the SCRAM message does not include channel binding data."
                )
            if flag == "y" and self.end_point is not None:
                raise SqlError(
                    "28000",
                    "SCRAM channel binding negotiation error",
                    detail="The client supports SCRAM channel binding but thinks the server does not.  "
                    "However, this server does support channel binding.",
                    severity="FATAL",
                )
        elif flag.startswith("p="):
            if not self.plus:
                raise _malformed(
                    "The client selected SCRAM-SHA-256 without channel binding, "
                    "but the SCRAM message includes channel binding data."
                )
            if flag != "p=tls-server-end-point":
                raise protocol_violation(f'unsupported SCRAM channel-binding type "{flag[2:]}"', severity="FATAL")
        else:
            raise _malformed(f'Unexpected channel-binding flag "{flag[:1]}".')

    def final(self, data: bytes) -> bytes:
        """From the client's last message to the server's last.

        Raises:
            SqlError: FATAL; 28P01 when the proof is wrong or the user unknown.
        """
        text = _text(data)
        without_proof, comma, proof_text = text.rpartition(",p=")
        if not comma:
            raise _malformed("Proof is missing in client-final-message.")
        attributes = without_proof.split(",")
        binding = _attribute(attributes[0], "c")
        nonce = _attribute(attributes[1] if len(attributes) > 1 else "", "r")
        expected = self._gs2_header.encode() + ((self.end_point or b"") if self.plus else b"")
        if not hmac.compare_digest(binding.encode(), base64.b64encode(expected)):
            if self.plus:
                raise SqlError("28000", "SCRAM channel binding check failed", severity="FATAL")
            raise protocol_violation(
                "unexpected SCRAM channel-binding attribute in client-final-message", severity="FATAL"
            )
        if not hmac.compare_digest(nonce.encode(), self._nonce.encode()):
            raise SqlError("08P01", "invalid SCRAM response", detail="Nonce does not match.", severity="FATAL")
        try:
            proof = base64.b64decode(proof_text, validate=True)
        except (binascii.Error, ValueError):
            raise _malformed("Malformed proof in client-final-message.") from None
        if len(proof) != 32:
            raise _malformed("Malformed proof in client-final-message.")

        authenticated = ",".join((self._client_first_bare, self._server_first, without_proof)).encode()
        signature = hmac.digest(self.verifier.stored_key, authenticated, "sha256")
        client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
        proven = hmac.compare_digest(hashlib.sha256(client_key).digest(), self.verifier.stored_key)
        if not (proven and self.known):
            raise password_failure(self.user)
        server_signature = hmac.digest(self.verifier.server_key, authenticated, "sha256")
        return b"v=" + base64.b64encode(server_signature)


def _text(data: bytes) -> str:
    if len(data) > SASL_MESSAGE_BYTES_MAX or b"\0" in data:
        raise _malformed("The message is too long or contains a zero byte.")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise _malformed("The message is not UTF-8.") from None
