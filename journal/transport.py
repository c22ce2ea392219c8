"""Peers: messages between replicas, over TCP, and those of Raft never ahead of the disk.

pysyncobj calls `send`; nothing leaves before the driver calls `release`, after the synchronization that covers whatever
the message reflects (persist-before-send; a leader's new entries are the exception, see `journal.consensus`). What peers send is queued, and the driver delivers it between two
synchronizations, never during one.

Every connection goes one way: the node that dials sends, and begins with a hello that names protocol version, cluster,
itself, its directory, and what for. The other side writes only to a member that it turns away, which is told why. Frames are a 4-byte length, a byte that says which of two kinds, and msgpack:

- *Raft* [stamp, term, message]. *term* is the sender's when Raft sent it, not when it was released. A leader drops acknowledgements of another term:
  pysyncobj's own carry none, so that one of an old term could be counted for a new one. *stamp* is the leader's monotonic
  clock in an AppendEntries, and is echoed in its acknowledgement: the lease counts from when a heartbeat was *sent*.
- *beside Raft* (`journal.messages`): nothing that the disk has to do with; sent and handled at once.

Of pysyncobj's messages only Raft's own pass, and three that Raft has and pysyncobj has not (`journal.consensus`); its
command forwarding, its snapshots and its pickled utility messages do not.
A peer that does not read is not waited for: beyond a bound its messages are dropped, and Raft sends again.
With TLS contexts, both sides authenticate by certificate and the name in the hello must be one the certificate has.

A hello may also ask for a feed of events (`journal.feed`). Such a connection carries nothing else, so that megabytes of
history never stand in a heartbeat's way, and TCP's own flow control slows the sender to what the reader takes.
"""

from __future__ import annotations

import asyncio
import logging
import operator
import ssl
import zlib
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
from pysyncobj.node import Node
from pysyncobj.transport import Transport

from journal.environment import Environment
from journal.frames import PeerReader, read_frame, write_frame
from journal.messages import SideMessage, decode_message, encode_message

logger = logging.getLogger(__name__)

PROTOCOL_VERSION = 4
PEERS_MAX = 64
"""Members and guests."""
INBOX_MESSAGES_MAX = 10_000
UNSENT_BYTES_MAX = 64 << 20
_HELLO_SECONDS_MAX = 5.0
_CONNECT_SECONDS_MAX = 2.0
_RETRY_SECONDS = 0.2
_TURNED_AWAY_SECONDS = 2.0
_GOODBYE_SECONDS_MAX = 0.5
"""How long a peer may take to close its end; one that is paused never does."""
_FIELDS: dict[str, dict[str, type]] = {
    "append_entries": {"term": int, "commit_index": int, "entries": list, "prevLogIdx": int, "prevLogTerm": int},
    "next_node_idx": {"next_node_idx": int, "reset": bool, "success": bool},
    "request_vote": {"term": int, "last_log_index": int, "last_log_term": int},
    "response_vote": {"term": int, "closed": int},
    "timeout_now": {"term": int},
    "pre_vote": {"term": int, "last": list},
    "pre_vote_granted": {"term": int},
    "stale_term": {"term": int},
}
_RAFT_MESSAGES = frozenset(_FIELDS)
_ACKNOWLEDGEMENT = "next_node_idx"
_RAFT_FRAME = b"\x00"
_SIDE_FRAME = b"\x01"

Message = dict[str, Any]


@dataclass(frozen=True)
class Peer:
    """Another replica: its node name and where it listens."""

    name: str
    host: str
    port: int
    witness: bool = False
    """Whether it has no role but the journal's (`journal.configuration.Member`)."""


Added = tuple[int, int]
"""When a member was added: `journal.configuration.Member.added`."""
FOUNDER: Added = (0, 0)


class Hello(msgspec.Struct, array_like=True):
    """The first frame of every connection.

    Attributes:
        purpose: "raft" or "feed".
        identity: of the sender's directory; 0 on feeds, which may be asked for by anybody who belongs.
        added: as which member it speaks: when it was added, according to its log (`journal.identity`).
        host, port, witness: of that member, for whoever does not know it yet.
    """

    version: int
    cluster: str
    name: str
    purpose: str = "raft"
    identity: int = 0
    added: Added = FOUNDER
    host: str = ""
    port: int = 0
    witness: bool = False


class Standing(NamedTuple):
    """What a node's log says of the node itself."""

    added: Added
    peer: Peer


class TurnedAway(msgspec.Struct, array_like=True):
    """The answer to a hello of Raft's that is authentic, but not welcome.

    Attributes:
        index: the Raft entry as of which it holds: the last one that has been applied by whoever says so.
        reason: for people.
        is_member: the name belongs, but it comes with another directory.
    """

    index: int
    reason: str
    is_member: bool = False


def is_well_formed(message: Message) -> bool:
    """Whether it is one of Raft's messages, with all that pysyncobj looks for in it."""
    fields = _FIELDS.get(message.get("type", ""))
    if fields is None:
        return False
    for name, kind in fields.items():
        if type(message.get(name)) is not kind:
            return False
    for entry in message.get("entries", ()):
        if len(entry) != 3 or type(entry[0]) is not bytes or not entry[0] or type(entry[1]) is not int:
            return False
    for pair in (message.get("closed"), message.get("last")):
        if isinstance(pair, list) and not (len(pair) == 2 and type(pair[0]) is int and type(pair[1]) is int):
            return False
    return "transmission" not in message and "serialized" not in message


class PeerNode(Node, int):  # type: ignore[misc]  # pysyncobj carries no types
    """A peer as pysyncobj knows it. Its hash is the same in every process, and so is the order of sets of peers.

    HOT: a transaction looks peers up eight times and asks as often for their names. An integer's hash takes no call of Python's,
    and neither does a property that an `attrgetter` serves.
    """

    def __new__(cls, name: str) -> PeerNode:
        made: PeerNode = int.__new__(cls, 1 << 32 | zlib.crc32(name.encode()))  # never 0, which would be false
        return made

    __hash__ = int.__hash__
    id = property(operator.attrgetter("_id"))


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[float, int, dict[str, Any]]).decode
_decode_turned_away = msgspec.msgpack.Decoder(TurnedAway).decode

FeedHandler = Callable[[str, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def _is_clogged(writer: asyncio.StreamWriter) -> bool:
    """Whether nothing more should be written: the connection is at its end, or its reader does not read."""
    return writer.is_closing() or writer.transport.get_write_buffer_size() > UNSENT_BYTES_MAX


async def dial(
    environment: Environment,
    cluster: str,
    name: str,
    peer: Peer,
    purpose: str,
    tls: ssl.SSLContext | None,
    identity: int = 0,
    standing: Standing | None = None,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to a peer and say hello. Raises OSError (TimeoutError is one)."""
    async with asyncio.timeout(_CONNECT_SECONDS_MAX):
        reader, writer = await environment.network.connect(peer.host, peer.port, tls)
    hello = Hello(PROTOCOL_VERSION, cluster, name, purpose, identity)
    if standing is not None:
        own = standing.peer
        hello.added, hello.host, hello.port, hello.witness = standing.added, own.host, own.port, own.witness
    write_frame(writer, _encode(hello))
    return reader, writer


class PeerTransport(Transport):  # type: ignore[misc]  # pysyncobj carries no types
    """The transport of one replica.

    Args:
        environment: for network and time.
        cluster: name that peers must share.
        own: this node, with the address to listen on; a node without peers listens only if its port is not 0.
        peers: the others, for now (`set_peers`).
        wake: called when something arrived.
        server_tls, client_tls: contexts with mutual authentication, or None for plain TCP.

    Attributes:
        on_side_message: called with (peer, message) for what is not Raft's.
        on_feed: serves connections that ask for a feed.
        identity: of this node's directory.
        standing: what this node's log says of it, or None.
        is_disowned: (name, identity, added) → whether this node's log has another directory for that member.
        may_be_added: whether a member of this addition may be one that this node has not heard of yet.
        identity_refusal: (name, identity, added) → why that directory does not speak for that member, or "".
        applied: the last Raft entry applied here.
        on_turned_away: called with (peer, answer) when this node is not welcome there.
    """

    ready = True
    """What pysyncobj asks twice a tick."""

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
        self.nodes = {peer.name: PeerNode(peer.name) for peer in peers}
        self._wake = wake
        self._server_tls = server_tls
        self._client_tls = client_tls
        self._server: asyncio.AbstractServer | None = None
        self._started = False
        self._dialers: dict[str, asyncio.Task[None]] = {}
        self._ended: set[asyncio.Task[None]] = set()
        self._inbound: set[asyncio.StreamWriter] = set()
        self._inbound_of: dict[str, asyncio.StreamWriter] = {}
        self._hellos: dict[str, Hello] = {}
        self._serving: set[asyncio.Task[None]] = set()
        self._writers: dict[str, asyncio.StreamWriter] = {}
        self._connections: dict[str, int] = {}
        self._inbox: deque[tuple[str, float, int, Message]] = deque()
        self._changes: deque[Callable[[], None]] = deque()
        self._outbox: list[tuple[str, float, int, Message]] = []
        self._answering = 0.0
        self._term: Callable[[], int] = int
        self._admit: Callable[[str, Message], bool] = lambda name, message: True
        self._annotate: Callable[[Message], None] = lambda message: None
        self._lost: Callable[[str], None] = lambda name: None
        self.on_side_message: Callable[[str, SideMessage], None] = lambda name, message: None
        self.on_feed: FeedHandler | None = None
        self.identity = 0
        self.standing: Callable[[], Standing | None] = lambda: None
        self.is_disowned: Callable[[str, int, Added], bool] = lambda name, identity, added: False
        self.may_be_added: Callable[[Added], bool] = lambda added: False
        self.identity_refusal: Callable[[str, int, Added], str] = lambda name, identity, added: ""
        self.applied: Callable[[], int] = int
        self.on_turned_away: Callable[[str, TurnedAway], None] = lambda name, answer: None
        self._last_refusal = ""
        self.acknowledged: dict[str, float] = {}
        """Per peer: when (monotonic seconds) the last heartbeat that it acknowledged was sent."""

    def attach(
        self,
        term: Callable[[], int],
        admit: Callable[[str, Message], bool],
        annotate: Callable[[Message], None] = lambda message: None,
        lost: Callable[[str], None] = lambda name: None,
    ) -> None:
        """Connect with the consensus: its current term, its opinion whether to deliver a message at all, what it adds to
        those it sends, and its interest in peers whose connection to this node has ended."""
        self._term = term
        self._admit = admit
        self._annotate = annotate
        self._lost = lost

    async def start(self) -> None:
        """Listen and dial."""
        self._started = True
        if self._peers or self._own.port:
            self._server = await self._environment.network.listen(
                self._serve, self._own.host, self._own.port, self._server_tls
            )
        for peer in self._peers.values():
            self._dialers[peer.name] = asyncio.ensure_future(self._dial(peer))

    async def stop(self) -> None:
        """Close everything; returns when nobody is served any more."""
        self._started = False
        tasks = [*self._dialers.values(), *self._ended]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._server is not None:
            self._server.close()
        for writer in [*self._writers.values(), *self._inbound]:
            writer.close()
        self._writers.clear()
        if self._serving:
            await asyncio.wait(self._serving, timeout=_GOODBYE_SECONDS_MAX)
        for writer in self._inbound:
            writer.transport.abort()
        if self._serving:
            await asyncio.wait(self._serving, timeout=_GOODBYE_SECONDS_MAX)

    def set_peers(self, peers: list[Peer]) -> None:
        """From now on these are the others, and guests no more. Connections of those that stay are kept; of those that go nothing is
        heard any more, not even what has arrived: should one come again, it is another."""
        wanted = {peer.name: peer for peer in peers}
        gone = [name for name, peer in self._peers.items() if wanted.get(name) != peer]
        for name in gone:
            del self._peers[name]
            del self.nodes[name]
            dialer = self._dialers.pop(name, None)
            if dialer is not None:
                dialer.cancel()
                self._ended.add(dialer)
                dialer.add_done_callback(self._ended.discard)
            inbound = self._inbound_of.pop(name, None)
            if name in wanted:
                self.acknowledged.pop(name, None)
                continue  # only its address is new
            if inbound is not None:
                inbound.close()
            self._forget(name)
        for name, peer in wanted.items():
            if name not in self._peers:
                self._add(peer)
        self._close_disowned()

    def _close_disowned(self) -> None:
        """Whoever was listened to before this node's log said that the vote is another directory's is heard no more."""
        for name, writer in list(self._inbound_of.items()):
            hello = self._hellos[name]
            if self.is_disowned(name, hello.identity, hello.added):
                del self._inbound_of[name]
                writer.close()
                self._forget(name)

    def _forget(self, name: str) -> None:
        self.acknowledged.pop(name, None)
        self._inbox = deque(each for each in self._inbox if each[0] != name)

    def _add(self, peer: Peer) -> None:
        self._peers[peer.name] = peer
        self.nodes[peer.name] = PeerNode(peer.name)
        if self._started:
            self._dialers[peer.name] = asyncio.ensure_future(self._dial(peer))

    # ---- what pysyncobj calls ---------------------------------------------------------------------------------------

    def send(self, node: Node, message: Message) -> bool:
        """Queue until `release`."""
        kind = message["type"]
        if kind not in _RAFT_MESSAGES or "serialized" in message:
            return False
        self._annotate(message)
        stamp = self._answering if kind == _ACKNOWLEDGEMENT else self._environment.clock.monotonic()
        self._outbox.append((node.id, stamp, self._term(), message))
        return True

    def addNode(self, node: Node) -> None:
        """Membership is not pysyncobj's business: see `set_peers`."""
        raise NotImplementedError("membership changes go through journal.membership")

    def dropNode(self, node: Node) -> None:
        """Membership is not pysyncobj's business: see `set_peers`."""
        raise NotImplementedError("membership changes go through journal.membership")

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
            self._changes.popleft()()
        for _ in range(len(self._inbox)):
            if not self._inbox:
                break  # what a peer that has gone since had sent
            name, stamp, term, message = self._inbox.popleft()
            node = self.nodes.get(name)
            if node is None:
                continue
            if message["type"] == _ACKNOWLEDGEMENT:
                if term != self._term():
                    continue
                self.acknowledged[name] = max(stamp, self.acknowledged.get(name, 0.0))
            elif not self._admit(name, message):
                continue
            self._answering = stamp
            self._onMessageReceived(node, message)
            settle()

    def between_turns(self, work: Callable[[], None]) -> None:
        """Have something done by the next `deliver`, while no synchronization is in flight."""
        self._changes.append(work)
        self._wake()

    def release(self) -> None:
        """Let everything go that was queued: what it reflects is durable now."""
        if not self._outbox:
            return
        outbox, self._outbox = self._outbox, []
        for name, stamp, term, message in outbox:
            writer = self._writers.get(name)
            if writer is None or _is_clogged(writer):
                continue
            write_frame(writer, _RAFT_FRAME + _encode((stamp, term, message)))

    def post(self, name: str, message: SideMessage) -> bool:
        """Send something that is not Raft's, at once. False if there is no connection, or it is clogged."""
        writer = self._writers.get(name)
        if writer is None or _is_clogged(writer):
            return False
        write_frame(writer, _SIDE_FRAME + encode_message(message))
        return True

    @property
    def peers(self) -> list[Peer]:
        """All peers."""
        return list(self._peers.values())

    def is_connected(self, name: str) -> bool:
        """Whether this node can send to the peer."""
        return name in self._writers

    def identity_of(self, name: str) -> int:
        """Of the directory that speaks for a peer now; 0 if none does."""
        return self._hellos[name].identity if name in self._inbound_of else 0

    def connection_number(self, name: str) -> int:
        """How many times this node has connected to the peer: what was sent under another number may be lost."""
        return self._connections.get(name, 0)

    # ---- connections ------------------------------------------------------------------------------------------------

    async def _dial(self, peer: Peer) -> None:
        while True:
            try:
                reader, writer = await dial(
                    self._environment,
                    self._cluster,
                    self._own.name,
                    peer,
                    "raft",
                    self._client_tls,
                    self.identity,
                    self.standing(),
                )
            except OSError:
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            pause = _RETRY_SECONDS
            try:
                self._writers[peer.name] = writer
                self._connections[peer.name] = self._connections.get(peer.name, 0) + 1
                self._change(peer.name, True)
                # The peer writes nothing but why it turns this node away: the read ends when the connection does.
                answer = _decode_turned_away(await read_frame(reader))
                pause = _TURNED_AWAY_SECONDS
                self.on_turned_away(peer.name, answer)
            except asyncio.IncompleteReadError:
                pass  # an ordinary end
            except (OSError, ValueError, msgspec.MsgspecError) as error:
                logger.info("connection to %s ended: %s", peer.name, error)
            finally:
                if self._writers.get(peer.name) is writer:
                    del self._writers[peer.name]
                self._change(peer.name, False)
                writer.close()
            await asyncio.sleep(pause)

    def _change(self, name: str, connected: bool) -> None:
        def tell() -> None:
            node = self.nodes.get(name)
            if node is not None:
                (self._onNodeConnected if connected else self._onNodeDisconnected)(node)

        self._changes.append(tell)
        self._wake()

    async def _serve(self, reader: PeerReader, writer: asyncio.StreamWriter) -> None:
        self._inbound.add(writer)
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        name = ""
        try:
            frame = await asyncio.wait_for(read_frame(reader), _HELLO_SECONDS_MAX)
            hello = msgspec.msgpack.decode(frame, type=Hello)
            refusal = self._refusal(hello, writer)
            if not refusal and hello.purpose == "raft":
                answer = self._turned_away(hello)
                if answer is not None:
                    refusal = answer.reason
                    write_frame(writer, _encode(answer))
            if refusal:
                if refusal != self._last_refusal:  # a member that is not welcome comes again and again
                    logger.warning("refused a peer: %s", refusal)
                    self._last_refusal = refusal
                return
            if hello.purpose == "feed":
                if self.on_feed is not None:
                    await self.on_feed(hello.name, reader, writer)
                return
            name = hello.name
            older, self._inbound_of[name] = self._inbound_of.get(name), writer
            self._hellos[name] = hello
            if older is not None:
                older.close()
            await reader.frames(lambda frame: self._take(name, writer, frame))
        except (asyncio.IncompleteReadError, OSError):
            return
        except (msgspec.MsgspecError, ValueError) as error:
            logger.warning("closed a peer's connection: %s", error)
        finally:
            self._inbound.discard(writer)
            if name and self._inbound_of.get(name) is writer:
                del self._inbound_of[name]
                self._changes.append(lambda: self._lost(name))
                self._wake()
            writer.close()

    def _take(self, name: str, writer: asyncio.StreamWriter, frame: bytes) -> None:
        """A frame from a peer. HOT: from within the connection's callback."""
        if self._inbound_of.get(name) is not writer:
            raise ConnectionAbortedError("another connection is in its place")
        if frame[:1] == _SIDE_FRAME:
            self.on_side_message(name, decode_message(memoryview(frame)[1:]))
            return
        if frame[:1] != _RAFT_FRAME:
            raise ValueError(f"frame of unknown kind {frame[:1]!r}")
        stamp, term, message = _decode(memoryview(frame)[1:])
        if not is_well_formed(message):
            raise ValueError(f"a message of type {message.get('type')!r} that is none of Raft's")
        if len(self._inbox) >= INBOX_MESSAGES_MAX:
            return
        self._inbox.append((name, stamp, term, message))
        self._wake()

    def _refusal(self, hello: Hello, writer: asyncio.StreamWriter) -> str:
        if hello.version != PROTOCOL_VERSION:
            return f"{hello.name} speaks protocol {hello.version}, this node {PROTOCOL_VERSION}"
        if hello.cluster != self._cluster:
            return f"{hello.name} belongs to cluster {hello.cluster}, this node to {self._cluster}"
        if hello.purpose not in ("raft", "feed"):
            return f"{hello.name} wants {hello.purpose!r}"
        if self._server_tls is not None:
            certificate = writer.get_extra_info("peercert")
            names = [value for _, value in (certificate or {}).get("subjectAltName", ())]
            if hello.name not in names:
                return f"the certificate of {hello.name} names only {names}"
        return ""

    def _is_welcome(self, hello: Hello) -> bool:
        """A member that was added while this node was away may lead, and then nobody else will tell of it. So it is a guest: it is
        listened to and answered, as Raft wants it (dissertation §4.1); it counts for nothing until this node's log says so, too."""
        if not hello.port or not self.may_be_added(hello.added) or len(self._peers) >= PEERS_MAX:
            return False
        logger.info("%s says that it has been added, as of Raft entry %d", hello.name, hello.added[1])
        self._add(Peer(hello.name, hello.host, hello.port, hello.witness))
        return True

    def _turned_away(self, hello: Hello) -> TurnedAway | None:
        """Why a peer that is what it says is not listened to, nevertheless."""
        if hello.name not in self._peers and not self._is_welcome(hello):
            return TurnedAway(self.applied(), f"{hello.name} is not a member of the cluster")
        if hello.identity and (reason := self.identity_refusal(hello.name, hello.identity, hello.added)):
            return TurnedAway(self.applied(), reason, True)
        return None
