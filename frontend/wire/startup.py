"""From accept to an authenticated session: TLS, cancel requests, the start-up packet, the password.

    packet ──SSLRequest──▶ "S", TLS handshake ─▶ packet        first byte 0x16 ─▶ TLS handshake (direct) ─▶ packet
       │ ├─GSSENCRequest─▶ "N" ─▶ packet
       │ └─CancelRequest─▶ registry, close
       ▼
    StartupMessage ─▶ access rule ─▶ roles known ─▶ trust | SASL exchange | password ─▶ PostgresConnection takes the transport over

Everything a stranger can make us do happens here, so everything is bounded: the packet's length, the messages of the
exchange, the time, and (in the listener) how many such connections there are. A first packet that makes no sense gets no
answer, like in PostgreSQL; after that, errors are FATAL ErrorResponses.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from struct import Struct
from typing import TYPE_CHECKING, cast

from frontend.errors import SqlError
from frontend.wire import authentication, messages
from frontend.wire.session_contract import Startup
from frontend.wire.tls import ALPN, FIRST_BYTE, TlsChannel

if TYPE_CHECKING:
    from frontend.wire.listener import Listener

logger = logging.getLogger(__name__)

NAME_BYTES_MAX = 63
"""Longer names of users and databases are cut, as PostgreSQL cuts identifiers."""

_LENGTH = Struct("!I").unpack_from
_CANCEL = Struct("!II").unpack_from
_TRUE = ("on", "true", "yes", "1", "t", "y")
_FALSE = ("off", "false", "no", "0", "f", "n")


class ClientStart(asyncio.Protocol):
    """The protocol of a connection until its client is authenticated."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._channel: TlsChannel | None = None
        self._direct = False
        # Each request is answered once; after one, the other may be tried, and after TLS neither.
        self._ssl_answered = False
        self._gss_answered = False
        self._buffer = b""
        self._startup: Startup | None = None
        self._method = ""
        self._awaits_roles = False
        self._exchange: authentication.ScramExchange | None = None
        self._sasl_begun = False
        self._done = False
        self._deadline = self._loop.call_later(listener.limits.authentication_seconds_max, self._authentication_timeout)

    # --- the transport's callbacks --------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transports are not subclasses
        refusal = self._listener.entered(self)
        if refusal is not None:
            self._refuse(refusal)

    def data_received(self, data: bytes) -> None:
        """Bytes before authentication."""
        if self._done:
            return
        try:
            if self._channel is None and not self._buffer and data[0] == FIRST_BYTE and self._nothing_answered():
                self._begin_direct_tls()
            if self._done:
                return
            if self._channel is not None:
                data = self._decrypt(data)
            self._buffer += data
            self._advance()
        except SqlError as error:
            self._refuse(error)

    def connection_lost(self, error: Exception | None) -> None:
        """The client left, or was sent away."""
        self._done = True
        self._deadline.cancel()
        self._listener.left(self)

    def _nothing_answered(self) -> bool:
        return self._startup is None and not (self._ssl_answered or self._gss_answered)

    # --- inside ---------------------------------------------------------------------------------------------------

    def _write(self, data: bytes) -> None:
        assert self._transport is not None
        if data:
            self._transport.write(data if self._channel is None else self._channel.encrypt(data))

    def _close(self) -> None:
        assert self._transport is not None
        self._done = True
        if self._channel is not None:
            self._transport.write(self._channel.close_notify())
        self._transport.close()

    def _refuse(self, error: SqlError) -> None:
        if self._channel is None or self._channel.established:
            self._write(messages.error_response(error, severity="FATAL"))
        self._close()

    def _authentication_timeout(self) -> None:
        if self._done:
            return
        if self._startup is None:
            self._close()
        else:
            self._refuse(SqlError("57014", "canceling authentication due to timeout", severity="FATAL"))

    def _advance(self) -> None:
        """Take as many whole messages from the buffer as there are."""
        while not (self._done or self._awaits_roles):
            if self._startup is None:
                packet = self._take_packet()
                if packet is None:
                    return
                self._packet(packet)
            else:
                body = self._take_password_message()
                if body is None:
                    return
                self._password_message(body)

    def _take_packet(self) -> bytes | None:
        if self._channel is not None and not self._channel.established:
            return None
        if len(self._buffer) < 4:
            return None
        (length,) = _LENGTH(self._buffer)
        if length < 8 or length - 4 > messages.STARTUP_BYTES_MAX:
            logger.info("a connection began with a packet of impossible length %d", length)
            self._close()
            return None
        if len(self._buffer) < length:
            return None
        packet, self._buffer = self._buffer[4:length], self._buffer[length:]
        return packet

    def _take_password_message(self) -> bytes | None:
        if len(self._buffer) < 5:
            return None
        (length,) = _LENGTH(self._buffer, 1)
        if self._buffer[0] != ord("p"):
            raise messages.protocol_violation(
                f"expected {'password' if self._method == 'password' else 'SASL'} response, "
                f"got message type {self._buffer[0]}",
                severity="FATAL",
            )
        if length < 4 or length > authentication.PASSWORD_MESSAGE_BYTES_MAX:
            raise messages.protocol_violation("invalid message length", severity="FATAL")
        if len(self._buffer) <= length:
            return None
        body, self._buffer = self._buffer[5 : length + 1], self._buffer[length + 1 :]
        return body

    # --- TLS ------------------------------------------------------------------------------------------------------

    def _begin_direct_tls(self) -> None:
        tls = self._listener.tls
        if tls is None or self._is_local():
            logger.info("a connection began with TLS, which is not configured")
            self._close()
            return
        self._direct = True
        self._channel = TlsChannel(tls.context)

    def _decrypt(self, data: bytes) -> bytes:
        channel = self._channel
        assert channel is not None
        assert self._transport is not None
        try:
            plaintext = channel.receive(data)
        except ssl.SSLError as error:
            logger.info("TLS handshake or record refused: %s", error)
            self._transport.write(channel.outgoing())
            self._done = True
            self._transport.close()
            return b""
        self._transport.write(channel.outgoing())
        if channel.closed_by_peer:
            self._close()
        if self._direct and channel.established and channel.alpn != ALPN:
            raise messages.protocol_violation(
                "received direct SSL connection request without ALPN protocol negotiation extension",
                severity="FATAL",
            )
        return plaintext

    def _is_local(self) -> bool:
        return self._address()[0] is None

    def _address(self) -> tuple[str | None, int]:
        assert self._transport is not None
        peer = self._transport.get_extra_info("peername")
        return (peer[0], peer[1]) if isinstance(peer, tuple) else (None, -1)

    # --- the first packets ----------------------------------------------------------------------------------------

    def _packet(self, packet: bytes) -> None:
        code = messages.startup_code(packet)
        if code == messages.CANCEL_REQUEST:
            if len(packet) == 12:
                self._listener.registry.cancel(*_CANCEL(packet, 4))
            self._close()
        elif code == messages.SSL_REQUEST and not self._ssl_answered:
            self._ssl_answered = True
            self._ssl_request()
        elif code == messages.GSSENC_REQUEST and not self._gss_answered:
            self._gss_answered = True
            self._refuse_encryption("GSSAPI encryption request")
        else:
            self._startup_message(code, packet)

    def _ssl_request(self) -> None:
        tls = self._listener.tls
        if tls is None or self._is_local():
            self._refuse_encryption("SSL request")
            return
        self._refuse_early_bytes("SSL request")
        self._gss_answered = True
        self._write(b"S")
        self._channel = TlsChannel(tls.context)

    def _refuse_encryption(self, request: str) -> None:
        self._write(b"N")
        self._refuse_early_bytes(request)

    def _refuse_early_bytes(self, request: str) -> None:
        """Plaintext behind a request for encryption may be an attacker's, slipped in before the handshake
        (CVE-2021-23214). Clients wait for the answer."""
        if self._buffer:
            raise SqlError(
                "08P01",
                f"received unencrypted data after {request}",
                detail="This could be either a client-software bug or evidence of an attempted "
                "man-in-the-middle attack.",
                severity="FATAL",
            )

    def _startup_message(self, code: int, packet: bytes) -> None:
        if (
            self._listener.draining
        ):  # here and not at accept: libpq shows errors only after its SSL request was answered
            raise SqlError("57P03", "the database system is shutting down", severity="FATAL")
        major, minor = code >> 16, code & 0xFFFF
        if major != 3:
            raise SqlError(
                "0A000",
                f"unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.0",
                severity="FATAL",
            )
        parameters = messages.parse_startup(packet)
        extensions = [name for name in parameters if name.startswith("_pq_.")]
        if minor > 0 or extensions:
            self._write(messages.negotiate_protocol_version(extensions))
        user = _cut(parameters.pop("user", ""))
        if not user:
            raise SqlError("28000", "no PostgreSQL user name specified in startup packet", severity="FATAL")
        database = _cut(parameters.pop("database", "")) or user
        replication = _replication(parameters.pop("replication", ""))
        settings = dict(messages.parse_options(parameters.pop("options", "")))
        settings.update((name, value) for name, value in parameters.items() if name not in extensions)

        address, port = self._address()
        self._method = authentication.access_method(
            self._listener.rules, user, database, address, self._channel is not None
        )
        self._startup = Startup(
            user=user,
            database=database,
            settings=settings,
            replication=replication,
            client_address=address,
            client_port=port,
            tls_version=self._channel.version if self._channel is not None else None,
            tls_cipher=self._channel.cipher if self._channel is not None else None,
            authentication=self._method,
        )
        if self._listener.awaits_roles(user, self._method, self._roles_known):
            assert self._transport is not None
            self._awaits_roles = True
            self._transport.pause_reading()
        else:
            self._begin_authentication()

    def _roles_known(self) -> None:
        """This node knows the roles that others know, as far as it can."""
        if self._done:
            return
        assert self._transport is not None
        self._awaits_roles = False
        self._transport.resume_reading()
        try:
            self._begin_authentication()
            self._advance()
        except SqlError as error:
            self._refuse(error)

    def _begin_authentication(self) -> None:
        if self._method == "trust":
            self._authenticated()
        elif self._method == "password":
            self._write(messages.AUTHENTICATION_CLEARTEXT_PASSWORD)
        else:
            offered = [authentication.SCRAM]
            if self._end_point() is not None:
                offered.insert(0, authentication.SCRAM_PLUS)
            self._write(messages.authentication_sasl(offered))

    def _end_point(self) -> bytes | None:
        return self._listener.tls.end_point if self._channel is not None and self._listener.tls is not None else None

    # --- the password ---------------------------------------------------------------------------------------------

    def _password_message(self, body: bytes) -> None:
        assert self._startup is not None
        user = self._startup.user
        if self._method == "password":
            if not self._listener.check_password(user, messages.parse_string(body)):
                raise authentication.password_failure(user)
            self._authenticated()
        elif self._exchange is None:
            mechanism, data = messages.parse_sasl_initial_response(body)
            stored = self._listener.verifier(user)
            verifier = authentication.parse_verifier(stored) if stored is not None else None
            self._exchange = authentication.ScramExchange(user, verifier, mechanism, self._end_point())
            if data is None:
                self._write(messages.authentication_sasl_continue(b""))
            else:
                self._sasl_first(data)
        elif not self._sasl_begun:
            self._sasl_first(body)
        else:
            self._write(messages.authentication_sasl_final(self._exchange.final(body)))
            self._authenticated()

    def _sasl_first(self, data: bytes) -> None:
        assert self._exchange is not None
        self._sasl_begun = True
        self._write(messages.authentication_sasl_continue(self._exchange.first(data)))

    def _authenticated(self) -> None:
        """Hand the transport over to a PostgresConnection."""
        assert self._startup is not None
        assert self._transport is not None
        self._done = True
        self._deadline.cancel()
        self._listener.left(self)
        self._listener.admit(self._transport, self._channel, self._startup, self._buffer)


def _cut(name: str) -> str:
    return name.encode()[:NAME_BYTES_MAX].decode(errors="ignore")


def _replication(value: str) -> str:
    if value == "database":
        return value
    if not value or value.lower() in _FALSE:
        return ""
    if value.lower() in _TRUE:
        return "true"
    raise SqlError(
        "22023",
        f'invalid value for parameter "replication": "{value}"',
        hint='Valid values are: "false", 0, "true", 1, "database".',
        severity="FATAL",
    )
