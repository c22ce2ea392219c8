"""Peers: Raft messages between replicas, over TCP, and never ahead of the disk.

pysyncobj calls `send`; nothing leaves before the driver calls `release`, after the synchronization that covers whatever
the message reflects (persist-before-send). What peers send is queued, and the driver delivers it between two
synchronizations, never during one.

Every connection goes one way: the node that dials sends, and begins with a hello that names protocol version, cluster
and itself. Frames are a 4-byte length and msgpack: [stamp, term, message].

- *term* is the sender's when Raft sent it, not when it was released: between the two, a batch of messages may have moved
  the sender to a newer term, of which an acknowledgement of the old one says nothing. A leader drops acknowledgements of another term: pysyncobj's own carry none, so
  that one of an old term could be counted for a new one.
- *stamp* is the leader's monotonic clock in an AppendEntries, and is echoed in its acknowledgement: the lease counts
  from when a heartbeat was *sent*.

Only Raft's own messages pass; pysyncobj's command forwarding, its snapshots and its pickled utility messages do not.
A peer that does not read is not waited for: beyond a bound its messages are dropped, and Raft sends again.
With TLS contexts, both sides authenticate by certificate and the name in the hello must be one the certificate has.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from pysyncobj.node import Node
from pysyncobj.transport import Transport

from journal.environment import Environment

logger = logging.getLogger(__name__)

PROTOCOL_VERSION = 1
FRAME_BYTES_MAX = 64 << 20
INBOX_MESSAGES_MAX = 10_000
UNSENT_BYTES_MAX = 64 << 20
_HELLO_SECONDS_MAX = 5.0
_RETRY_SECONDS = 0.2
_RAFT_MESSAGES = frozenset(
    {"append_entries", "next_node_idx", "request_vote", "response_vote", "timeout_now", "stale_term"}
)
_ACKNOWLEDGEMENT = "next_node_idx"

Message = dict[str, Any]


@dataclass(frozen=True)
class Peer:
    """Another replica: its node name and where it listens."""

    name: str
    host: str
    port: int


class _Hello(msgspec.Struct, array_like=True):
    version: int
    cluster: str
    name: str


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[float, int, dict[str, Any]]).decode


class PeerTransport(Transport):  # type: ignore[misc]  # pysyncobj carries no types
    """The transport of one replica.

    Args:
        environment: for network and time.
        cluster: name that peers must share.
        own: this node, with the address to listen on; a single voter does not listen.
        peers: the others.
        term: this node's current term.
        wake: called when something arrived.
        server_tls, client_tls: contexts with mutual authentication, or None for plain TCP.
    """

    def __init__(
        self,
        environment: Environment,
        cluster: str,
        own: Peer,
        peers: list[Peer],
        *,
        wake: Callable[[], None],
        server_tls: ssl.SSLContext | None = None,
        client_tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(None, None, [])
        self._environment = environment
        self._cluster = cluster
        self._own = own
        self._peers = {peer.name: peer for peer in peers}
        self.nodes = {peer.name: Node(peer.name) for peer in peers}
        self._wake = wake
        self._server_tls = server_tls
        self._client_tls = client_tls
        self._server: asyncio.AbstractServer | None = None
        self._dialers: list[asyncio.Task[None]] = []
        self._inbound: set[asyncio.StreamWriter] = set()
        self._writers: dict[str, asyncio.StreamWriter] = {}
        self._inbox: deque[tuple[str, float, int, Message]] = deque()
        self._changes: deque[tuple[str, bool]] = deque()
        self._outbox: list[tuple[str, float, int, Message]] = []
        self._answering = 0.0
        self._term: Callable[[], int] = int
        self._admit: Callable[[Message], bool] = bool
        self.acknowledged: dict[str, float] = {}
        """Per peer: when (monotonic seconds) the last heartbeat that it acknowledged was sent."""

    def attach(self, term: Callable[[], int], admit: Callable[[Message], bool]) -> None:
        """Connect with the consensus: its current term, and its opinion whether to deliver a message at all."""
        self._term = term
        self._admit = admit

    async def start(self) -> None:
        """Listen and dial."""
        if not self._peers:
            return
        self._server = await self._environment.network.listen(
            self._serve, self._own.host, self._own.port, self._server_tls
        )
        self._dialers = [asyncio.ensure_future(self._dial(peer)) for peer in self._peers.values()]

    async def stop(self) -> None:
        """Close everything."""
        for task in self._dialers:
            task.cancel()
        await asyncio.gather(*self._dialers, return_exceptions=True)
        if self._server is not None:
            self._server.close()
        for writer in [*self._writers.values(), *self._inbound]:
            writer.close()
        self._writers.clear()

    # ---- what pysyncobj calls ---------------------------------------------------------------------------------------

    def send(self, node: Node, message: Message) -> bool:
        """Queue until `release`."""
        kind = message["type"]
        if kind not in _RAFT_MESSAGES or "serialized" in message:
            return False
        stamp = self._answering if kind == _ACKNOWLEDGEMENT else self._environment.clock.monotonic()
        self._outbox.append((node.id, stamp, self._term(), message))
        return True

    def addNode(self, node: Node) -> None:
        """Membership is fixed at start."""
        raise NotImplementedError("membership cannot change while running")

    def dropNode(self, node: Node) -> None:
        """Membership is fixed at start."""
        raise NotImplementedError("membership cannot change while running")

    def destroy(self) -> None:
        """`stop` does it."""

    # ---- what the driver calls --------------------------------------------------------------------------------------

    @property
    def waiting(self) -> bool:
        """Whether `deliver` has something to do."""
        return bool(self._inbox or self._changes)

    def deliver(self, settle: Callable[[], None]) -> None:
        """Hand everything that has arrived to pysyncobj; `settle` after each message."""
        while self._changes:
            name, connected = self._changes.popleft()
            (self._onNodeConnected if connected else self._onNodeDisconnected)(self.nodes[name])
        for _ in range(len(self._inbox)):
            name, stamp, term, message = self._inbox.popleft()
            if message["type"] == _ACKNOWLEDGEMENT:
                if term != self._term():
                    continue
                self.acknowledged[name] = max(stamp, self.acknowledged.get(name, 0.0))
            elif not self._admit(message):
                continue
            self._answering = stamp
            self._onMessageReceived(self.nodes[name], message)
            settle()

    def release(self) -> None:
        """Let everything go that was queued: what it reflects is durable now."""
        if not self._outbox:
            return
        outbox, self._outbox = self._outbox, []
        for name, stamp, term, message in outbox:
            writer = self._writers.get(name)
            if writer is None or writer.transport.get_write_buffer_size() > UNSENT_BYTES_MAX:
                continue
            frame = _encode((stamp, term, message))
            writer.write(len(frame).to_bytes(4, "big") + frame)

    # ---- connections ------------------------------------------------------------------------------------------------

    async def _dial(self, peer: Peer) -> None:
        hello = _encode(_Hello(PROTOCOL_VERSION, self._cluster, self._own.name))
        while True:
            try:
                reader, writer = await self._environment.network.connect(peer.host, peer.port, self._client_tls)
            except OSError:
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            try:
                writer.write(len(hello).to_bytes(4, "big") + hello)
                self._writers[peer.name] = writer
                self._change(peer.name, True)
                # The peer never writes here: this read ends when the connection does.
                await reader.read(1)
            except OSError as error:
                logger.info("connection to %s ended: %s", peer.name, error)
            finally:
                self._writers.pop(peer.name, None)
                self._change(peer.name, False)
                writer.close()
            await asyncio.sleep(_RETRY_SECONDS)

    def _change(self, name: str, connected: bool) -> None:
        self._changes.append((name, connected))
        self._wake()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._inbound.add(writer)
        try:
            frame = await asyncio.wait_for(_read_frame(reader), _HELLO_SECONDS_MAX)
            hello = msgspec.msgpack.decode(frame, type=_Hello)
            refusal = self._refusal(hello, writer)
            if refusal:
                logger.warning("refused a peer: %s", refusal)
                return
            while True:
                stamp, term, message = _decode(await _read_frame(reader))
                if message.get("type") not in _RAFT_MESSAGES or len(self._inbox) >= INBOX_MESSAGES_MAX:
                    continue
                self._inbox.append((hello.name, stamp, term, message))
                self._wake()
        except (asyncio.IncompleteReadError, OSError, TimeoutError):
            return
        except (msgspec.MsgspecError, ValueError) as error:
            logger.warning("closed a peer's connection: %s", error)
        finally:
            self._inbound.discard(writer)
            writer.close()

    def _refusal(self, hello: _Hello, writer: asyncio.StreamWriter) -> str:
        if hello.version != PROTOCOL_VERSION:
            return f"{hello.name} speaks protocol {hello.version}, this node {PROTOCOL_VERSION}"
        if hello.cluster != self._cluster:
            return f"{hello.name} belongs to cluster {hello.cluster}, this node to {self._cluster}"
        if hello.name not in self._peers:
            return f"{hello.name} is not a member"
        certificate = writer.get_extra_info("peercert")
        if self._server_tls is not None:
            names = [value for _, value in (certificate or {}).get("subjectAltName", ())]
            if hello.name not in names:
                return f"the certificate of {hello.name} names only {names}"
        return ""


async def _read_frame(reader: asyncio.StreamReader) -> bytes:
    length = int.from_bytes(await reader.readexactly(4), "big")
    if length > FRAME_BYTES_MAX:
        raise ValueError(f"frame of {length} bytes")
    return await reader.readexactly(length)
