"""The PostgreSQL listener: accepts connections, counts them, keeps what they share, and drains them at the end."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace

from frontend.errors import SqlError
from frontend.wire import messages
from frontend.wire.authentication import (
    LOOPBACK_TRUST,
    AccessRule,
    PasswordCheck,
    VerifierLookup,
    parse_verifier,
    password_matches,
)
from frontend.wire.cancellation import CancelRegistry
from frontend.wire.connection import PostgresConnection, admin_shutdown
from frontend.wire.limits import WireLimits
from frontend.wire.session_contract import SessionFactory, Startup
from frontend.wire.startup import ClientStart
from frontend.wire.tls import ServerTls, TlsChannel
from frontend.wire.turn import LoopTurn

logger = logging.getLogger(__name__)

BACKLOG = 1024
KEEPALIVE_IDLE_SECONDS = 60
KEEPALIVE_INTERVAL_SECONDS = 10
KEEPALIVE_COUNT = 6


class Listener:
    """All PostgreSQL connections of a node.

    Args:
        factory: makes the session of an authenticated connection.
        verifier: looks up a role's stored SCRAM verifier.
        awaits_roles: asked before a client is authenticated (role, method, what to call): True, and the callback comes later and in bounded
            time, where this node may lack what others know of the roles; False where there is nothing to wait for.
        rules: who may come in, and how.
        tls: None refuses TLS.
        registry: cancel keys, with the node's number.
        limits: bounds.
        busy_poll_seconds: see turn.LoopTurn; 0 for none.
        password_check: decides the method `password`; the default compares with the role's verifier.
    """

    def __init__(
        self,
        factory: SessionFactory,
        *,
        verifier: VerifierLookup = lambda user: None,
        awaits_roles: Callable[[str, str, Callable[[], None]], bool] = lambda user, method, done: False,
        rules: Sequence[AccessRule] = LOOPBACK_TRUST,
        tls: ServerTls | None = None,
        registry: CancelRegistry | None = None,
        limits: WireLimits | None = None,
        password_check: PasswordCheck | None = None,
        busy_poll_seconds: float = 0.0,
    ) -> None:
        self.factory = factory
        self.verifier = verifier
        self.awaits_roles = awaits_roles
        self.rules = tuple(rules)
        self.tls = tls
        self.registry = registry or CancelRegistry()
        self.limits = limits or WireLimits()
        self.connections: set[PostgresConnection] = set()
        self.draining = False
        self._password_check = password_check
        self._busy_poll_seconds = busy_poll_seconds
        self._turn: LoopTurn | None = None
        self._starting: set[ClientStart] = set()
        self._servers: list[asyncio.Server] = []
        self._all_left = asyncio.Event()

    async def start(self, host: str, port: int) -> int:
        """Listen on TCP; returns the port (for port 0, the one that was chosen)."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: ClientStart(self), host, port, backlog=BACKLOG)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def start_unix(self, path: str) -> None:
        """Listen on a Unix socket; libpq expects the path <directory>/.s.PGSQL.<port>."""
        loop = asyncio.get_running_loop()
        server = await loop.create_unix_server(lambda: ClientStart(self), path, backlog=BACKLOG)
        self._servers.append(server)

    async def drain(self, seconds_max: float) -> int:
        """Refuse new connections (57P03); end each one (57P01) when it has no open transaction, and all after
        `seconds_max`; then stop listening.

        Returns:
            How many had to be interrupted.
        """
        self.draining = True
        for connection in list(self.connections):
            connection.drain()
        interrupted = 0
        if self.connections:
            self._all_left.clear()
            try:
                await asyncio.wait_for(self._all_left.wait(), seconds_max)
            except TimeoutError:
                interrupted = len(self.connections)
                for connection in list(self.connections):
                    connection.terminate(admin_shutdown())
                try:
                    await asyncio.wait_for(self._all_left.wait(), self.limits.close_seconds_max + 1)
                except TimeoutError:
                    logger.warning("%d connections did not close", len(self.connections))
        for server in self._servers:
            server.close()
        return interrupted

    # --- what connections use -------------------------------------------------------------------------------------

    def entered(self, start: ClientStart) -> SqlError | None:
        """A client connected; an error when it has to go."""
        if len(self._starting) >= self.limits.authenticating_count_max:
            return SqlError(
                "53300",
                "sorry, too many clients already",
                detail=f"{len(self._starting)} connections have not authenticated yet.",
                severity="FATAL",
            )
        self._starting.add(start)
        return None

    def left(self, start: ClientStart) -> None:
        """A client is authenticated or gone."""
        self._starting.discard(start)

    def check_password(self, user: str, password: str) -> bool:
        """The method `password`."""
        if self._password_check is not None:
            return self._password_check(user, password)
        stored = self.verifier(user)
        verifier = parse_verifier(stored) if stored is not None else None
        return verifier is not None and password_matches(verifier, password)

    def admit(
        self, transport: asyncio.Transport, channel: TlsChannel | None, startup: Startup, already_received: bytes
    ) -> None:
        """Give an authenticated client its connection and session."""
        process_id, secret = self.registry.allocate()
        if self._turn is None:
            self._turn = LoopTurn(asyncio.get_running_loop(), self._busy_poll_seconds)
        connection = PostgresConnection(
            transport,
            replace(startup, process_id=process_id),
            secret,
            self.registry,
            self.limits,
            channel,
            self._lost,
            self._turn,
        )
        self.connections.add(connection)
        _keep_alive(transport)
        if len(self.connections) > self.limits.connection_count_max:
            transport.set_protocol(connection)
            connection.terminate(SqlError("53300", "sorry, too many clients already", severity="FATAL"))
            return
        connection.send(messages.AUTHENTICATION_OK)
        connection.start(self.factory, already_received)

    def _lost(self, connection: PostgresConnection) -> None:
        self.connections.discard(connection)
        if not self.connections:
            self._all_left.set()


def _keep_alive(transport: asyncio.Transport) -> None:
    """TCP_NODELAY is the event loop's default; keep-alive finds clients that vanished without a word."""
    connected = transport.get_extra_info("socket")
    if connected is None or connected.family not in (socket.AF_INET, socket.AF_INET6):
        return
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", KEEPALIVE_IDLE_SECONDS),
        ("TCP_KEEPINTVL", KEEPALIVE_INTERVAL_SECONDS),
        ("TCP_KEEPCNT", KEEPALIVE_COUNT),
    ):
        if hasattr(socket, option):
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
