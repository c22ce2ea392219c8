"""A live listener in a thread of its own, for tests that use blocking clients; and a client of raw bytes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Any

import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from frontend.wire import messages
from frontend.wire.listener import Listener
from tests.frontend.wire.trivial_session import TrivialSession


class Served:
    """`with Served(...) as served:` runs a listener on loopback; `served.port` is where."""

    def __init__(self, use_uvloop: bool = True, **options: Any) -> None:
        self.options = options
        self.loop = uvloop.new_event_loop() if use_uvloop else asyncio.new_event_loop()
        self.loop_errors: list[dict[str, Any]] = []
        self.loop.set_exception_handler(lambda _, context: self.loop_errors.append(context))
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.listener: Listener = None  # type: ignore[assignment]
        self.port = 0

    def __enter__(self) -> Served:
        self.thread.start()
        self.run(self._start())
        return self

    async def _start(self) -> None:
        self.listener = Listener(self.options.pop("factory", TrivialSession), **self.options)
        self.port = await self.listener.start("127.0.0.1", 0)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.run(self.listener.drain(0))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()
        assert self.loop_errors == []

    def run(self, coroutine: Any) -> Any:
        """Run a coroutine in the listener's loop and return its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def call(self, function: Callable[[], Any]) -> Any:
        """Call a function in the listener's loop and return its result."""

        async def wrapped() -> Any:
            return function()

        return self.run(wrapped())

    @property
    def dsn(self) -> str:
        return f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres gssencmode=disable"

    def raw(self, **parameters: str) -> RawClient:
        """A raw client that has started up."""
        client = RawClient(socket.create_connection(("127.0.0.1", self.port), 10))
        client.start(messages.PROTOCOL_VERSION, **parameters)
        return client


class RawClient:
    """Sends bytes and reads messages."""

    def __init__(self, connected: socket.socket) -> None:
        connected.settimeout(10)
        self.socket = connected
        self.buffer = b""

    @classmethod
    def to(cls, address: tuple[str, int] | str) -> RawClient:
        """Connect to (host, port), or to a Unix socket's path."""
        if isinstance(address, tuple):
            return cls(socket.create_connection(address, 10))
        connected = socket.socket(socket.AF_UNIX)
        connected.connect(address)
        return cls(connected)

    def start(self, version: int = messages.PROTOCOL_VERSION, **parameters: str) -> list[tuple[bytes, bytes]]:
        """Send a StartupMessage and read up to ReadyForQuery (or the end)."""
        self.send(startup_packet_of(version, {"user": "postgres", "database": "postgres", **parameters}))
        return self.read_until_ready()

    def send(self, *data: bytes) -> None:
        """Send bytes as they are."""
        # A server that has refused what came first may have closed already; what it said is still there to be read.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(b"".join(data))

    def read_exactly(self, count: int) -> bytes | None:
        """So many bytes, or None at the end of the stream."""
        while len(self.buffer) < count:
            try:
                chunk = self.socket.recv(1 << 16)
            except ConnectionResetError:
                return None
            if not chunk:
                return None
            self.buffer += chunk
        result, self.buffer = self.buffer[:count], self.buffer[count:]
        return result

    def read(self) -> tuple[bytes, bytes] | None:
        """One message (type, body), or None at the end of the stream."""
        header = self.read_exactly(5)
        if header is None:
            return None
        body = self.read_exactly(struct.unpack("!I", header[1:])[0] - 4)
        assert body is not None
        return header[:1], body

    def read_until_ready(self, count: int = 1) -> list[tuple[bytes, bytes]]:
        """Messages up to and with the count-th ReadyForQuery, or the end of the stream."""
        result = []
        while (received := self.read()) is not None:
            result.append(received)
            if received[0] == b"Z":
                count -= 1
                if not count:
                    break
        return result

    def query(self, sql: str) -> list[tuple[bytes, bytes]]:
        """A simple query's answer."""
        self.send(messages.message(b"Q", sql.encode() + b"\0"))
        return self.read_until_ready()

    def at_end(self) -> bool:
        """The server has closed the connection without saying more."""
        return self.read() is None

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()


def startup_packet(version: int = messages.PROTOCOL_VERSION, **parameters: str) -> bytes:
    """A StartupMessage."""
    return startup_packet_of(version, parameters)


def startup_packet_of(version: int, parameters: dict[str, str]) -> bytes:
    """A StartupMessage with parameters whose names are no Python names."""
    pairs = "".join(f"{name}\0{value}\0" for name, value in parameters.items()).encode()
    return struct.pack("!II", len(pairs) + 9, version) + pairs + b"\0"


def error_fields(body: bytes) -> dict[str, str]:
    """The fields of an ErrorResponse or NoticeResponse."""
    return {field[:1].decode(): field[1:].decode() for field in body.split(b"\0") if field}


def kinds(received: list[tuple[bytes, bytes]]) -> str:
    """The types of messages as one string."""
    return b"".join(kind for kind, _ in received).decode()


def make_certificate(directory: Path) -> tuple[Path, Path]:
    """A self-signed certificate for localhost and 127.0.0.1: (certificate, key)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = directory / "server.crt", directory / "server.key"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    key_file.chmod(0o600)
    return certificate_file, key_file


@contextmanager
def closing_raw(client: RawClient) -> Iterator[RawClient]:
    """Close the client at the end."""
    try:
        yield client
    finally:
        client.close()
