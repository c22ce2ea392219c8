"""A feed over a connection: the event log's records, as they are on the sender's disk, checked by whoever takes them.

    ask(position, until) ─▶ header: who belongs ─▶ records … ─▶ [cut: continue by Raft after this entry]

Two kinds of consumers. A node without a vote follows for ever (`follow_remote`). A member that lacks what the others
have compacted asks *until a cut* (`journal.catchup`): a Raft index up to which the records hold everything, with its
term, so that its own log can begin there. The cut lies before the first fragment of every large transaction that is not
decided yet, because fragments are nowhere but in the Raft log.

The records are what the sender's event log holds, so nothing is decoded or encoded to send them. Who receives them
verifies position, timestamp and hash chain of every event (`EventLog.append_record`), so a feed can be late, but not
wrong. Any member can serve; TCP's flow control bounds what is under way, a few hundred kilobytes. An idle feed says every
second that it is alive.

**What a feed costs the member that serves it** is bounded, because its loop answers clients and the leader as well: one step sends
`BATCH_BYTES` (or a single larger record) and takes a millisecond or two where events are small; then the feed rests, so that all feeds together have at most
`LOOP_SHARE` of the loop's time. For one that is about what whoever verifies and applies what comes can take. Feeds are rather asked of a
member that does not lead, which the header says.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import NamedTuple, Protocol

import msgspec

from journal.configuration import Configuration
from journal.environment import Environment, WallClock
from journal.errors import BorealError, CorruptData
from journal.event import GENESIS_HASH, Event, chain_hash, decode_event
from journal.eventlog import EventLog, Found, Place, bodies_of
from journal.frames import read_frame, write_frame
from journal.segment import Record
from journal.transport import Peer, dial

logger = logging.getLogger(__name__)

BATCH_BYTES = 64 << 10
LOOP_SHARE = 0.25
PAUSE_SECONDS_MIN = 0.001
"""Shorter ones are saved up: a loop's timers are no finer, and whoever follows the newest events should not wait for them."""
PAUSE_SECONDS_MAX = 0.1
"""A step that was itself held up, perhaps by the machine, does not make the feed rest for longer than this."""
FEEDS_MAX = 64
ALIVE_SECONDS = 1.0
SILENCE_SECONDS_MAX = 5.0
RETRY_SECONDS = 0.3
_CUT_SECONDS_MAX = 1.0


class FeedRequest(msgspec.Struct, array_like=True):
    """The first frame after the hello.

    Attributes:
        position: the first one wanted.
        until_cut: end with a cut; otherwise never.
        parts_known: parts of the event at `position` that need not be sent again.
    """

    position: int
    until_cut: bool
    parts_known: int = 0


class FeedHeader(msgspec.Struct, array_like=True, tag=1):
    """The answer. `refused` is empty if records follow; `leads`: the sender leads, and is better left alone."""

    refused: str
    configuration: Configuration
    leads: bool = False


class FeedRecords(msgspec.Struct, array_like=True, tag=2):
    """Records (kind, Raft index, payload) of the event log, perhaps none; and how far the sender's closed time is."""

    records: list[tuple[int, int, bytes]]
    closed_us: int


class FeedCut(msgspec.Struct, array_like=True, tag=3):
    """Everything up to this Raft entry has been sent."""

    raft_index: int
    raft_term: int
    position: int
    configuration: Configuration


class FeedRefused(BorealError):
    """The peer cannot serve this feed: the position is not retained, or ahead of what it has."""

    sqlstate = "57P03"


class Cut(NamedTuple):
    """Where a member may continue by Raft: the entry, its term, and the configuration as of it."""

    raft_index: int
    raft_term: int
    configuration: Configuration


class FeedSource(Protocol):
    """Who serves feeds; a Replica."""

    @property
    def events(self) -> EventLog:
        """The event log."""
        ...

    @property
    def frontier(self) -> tuple[int, int]:
        """(position, commit_ts) of the last event published."""
        ...

    @property
    def closed_us(self) -> int:
        """Closed time."""
        ...

    @property
    def configuration(self) -> Configuration:
        """Who belongs."""
        ...

    @property
    def is_leader(self) -> bool:
        """Whether proposals are ordered here."""
        ...

    async def applied(self, position: int) -> None:
        """Wait until the frontier has reached a position."""
        ...

    def cut(self) -> Cut:
        """Where a member that has all of the event log's records up to it may continue."""
        ...


FeedMessage = FeedHeader | FeedRecords | FeedCut
_encode = msgspec.msgpack.Encoder().encode
_decode_request = msgspec.msgpack.Decoder(FeedRequest).decode
_decode_message = msgspec.msgpack.Decoder(FeedMessage).decode


class _Outlet:
    """One connection's records, within its share of the loop's time."""

    def __init__(
        self, writer: asyncio.StreamWriter, source: FeedSource, clock: WallClock, share: Callable[[], float]
    ) -> None:
        self.writer = writer
        self._source = source
        self._clock = clock
        self._share = share
        self._worked = 0.0

    async def send(self, records: list[tuple[int, int, bytes]], began: float) -> None:
        """Send what was gathered since `began` (monotonic seconds), and let others have the loop."""
        write_frame(self.writer, _encode(FeedRecords(records, self._source.closed_us)))
        self._worked += self._clock.monotonic() - began
        await self.writer.drain()
        pause = self._worked * (1 / self._share() - 1)
        if pause < PAUSE_SECONDS_MIN:
            await asyncio.sleep(0)
            return
        self._worked = 0.0
        await asyncio.sleep(min(pause, PAUSE_SECONDS_MAX))


class FeedServer:
    """Serves the feeds of one replica, a bounded number at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, source: FeedSource, clock: WallClock) -> None:
        self._loop = loop
        self._clock = clock
        self._source = source
        self._count = 0

    async def serve(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until it ends. Raises OSError when it breaks, ValueError when the peer talks nonsense."""
        request = _decode_request(await read_frame(reader))
        refused = self._refusal(request)
        write_frame(writer, _encode(FeedHeader(refused, self._source.configuration, self._source.is_leader)))
        if refused:
            logger.warning("refused %s a feed: %s", name, refused)
            await writer.drain()
            return
        self._count += 1
        out = _Outlet(writer, self._source, self._clock, lambda: LOOP_SHARE / self._count)
        try:
            if request.until_cut:
                await self._until_cut(out, request.position, request.parts_known)
            else:
                await self._for_ever(out, request.position, request.parts_known)
        except BorealError as error:
            logger.info("the feed for %s ends: %s", name, error)
        finally:
            self._count -= 1

    def _refusal(self, request: FeedRequest) -> str:
        first, last = self._source.events.first_position, self._source.frontier[0]
        if self._count >= FEEDS_MAX:
            return f"{FEEDS_MAX} feeds are served already"
        if request.position < first:
            return f"position {request.position} is not retained; the oldest is {first}"
        if request.position > last + 1 and request.until_cut:
            return f"position {request.position} is ahead of this member's, which is {last}"
        return ""

    async def _until_cut(self, out: _Outlet, position: int, skip: int) -> None:
        while True:
            cut = self._source.cut()
            began = self._loop.time()
            position = await self._send(out, position, cut.raft_index, skip)
            skip = 0
            if self._loop.time() - began < _CUT_SECONDS_MAX:
                break
            # So long a way that the Raft logs may have been compacted past the cut by now: go on to a newer one.
        write_frame(out.writer, _encode(FeedCut(cut.raft_index, cut.raft_term, position - 1, cut.configuration)))
        await out.writer.drain()

    async def _for_ever(self, out: _Outlet, position: int, skip: int) -> None:
        while not out.writer.is_closing():
            try:
                async with asyncio.timeout(ALIVE_SECONDS):
                    await self._source.applied(position)
            except TimeoutError:
                await out.send([], self._clock.monotonic())
                continue
            position = await self._send(out, position, None, skip)
            skip = 0

    async def _send(self, out: _Outlet, position: int, index_max: int | None, skip: int) -> int:
        """Send what there is from `position` on, but for its first `skip` parts, and return the position after it."""
        place: Place | None = None
        while position <= self._source.frontier[0]:
            began = self._clock.monotonic()
            batch: list[tuple[int, int, bytes]] = []
            size = 0
            for record, last, is_complete, behind in _records_until(self._source, position, place, index_max):
                place = behind
                if skip:
                    skip -= 1
                    continue
                batch.append((record.kind, record.index, record.payload))
                size += len(record.payload)
                position = last + is_complete
                if size >= BATCH_BYTES:
                    break
            await out.send(batch, began)
            if not batch:
                break
        return position


def _records_until(source: FeedSource, position: int, after: Place | None, index_max: int | None) -> Iterator[Found]:
    """Complete events' records."""
    end = source.frontier[0]
    for found in source.events.records(position, after, read_bytes=BATCH_BYTES):
        if found.last > end or (index_max is not None and found.record.index > index_max):
            return
        yield found


class FeedClient:
    """One connection to a peer's feed.

    Args:
        name: this node's.
        tls: client context, or None.
    """

    def __init__(self, environment: Environment, cluster: str, name: str, tls: ssl.SSLContext | None = None) -> None:
        self._environment = environment
        self._cluster = cluster
        self._name = name
        self._tls = tls

    async def open(
        self, peer: Peer, position: int, parts_known: int = 0, *, until_cut: bool
    ) -> AsyncIterator[FeedMessage]:
        """The header, then records, then perhaps a cut.

        Raises:
            OSError: the connection broke, or was silent for too long.
            FeedRefused: the peer will not.
            CorruptData: the peer talks nonsense.
        """
        reader, writer = await dial(self._environment, self._cluster, self._name, peer, "feed", self._tls)
        try:
            write_frame(writer, _encode(FeedRequest(position, until_cut, parts_known)))
            while True:
                async with asyncio.timeout(SILENCE_SECONDS_MAX):
                    frame = await read_frame(reader)
                message = _decode_message(frame)
                if isinstance(message, FeedHeader) and message.refused:
                    raise FeedRefused(f"{peer.name}: {message.refused}")
                yield message
                if isinstance(message, FeedCut):
                    return
        except asyncio.IncompleteReadError as error:
            raise ConnectionError(f"the feed of {peer.name} ended") from error
        except (msgspec.MsgspecError, ValueError) as error:
            raise CorruptData(f"the feed of {peer.name} does not decode: {error}") from error
        finally:
            writer.close()


async def follow_remote(
    client: FeedClient,
    peers: Iterable[Peer],
    position: int,
    hash_before: bytes = GENESIS_HASH,
    *,
    on_closed: Callable[[int], None] = lambda closed_us: None,
) -> AsyncIterator[list[Event]]:
    """Batches of events from `position` on, for ever, from whichever peer serves: for nodes without a vote.

    Args:
        hash_before: the chain's value at the position before.
        on_closed: called with the sender's closed time when everything up to it has been yielded.

    Raises:
        CorruptData: what a peer sent does not continue the chain.
        FeedRefused: no peer retains the position.
    """
    ring = list(peers)
    refused = part = 0
    while True:
        peer = ring.pop(0)
        ring.append(peer)
        stream = client.open(peer, position, part, until_cut=False)
        try:
            async for message in stream:
                refused = 0
                if not isinstance(message, FeedRecords):
                    continue
                batch: list[Event] = []
                for kind, index, payload in message.records:
                    for own, body in bodies_of(peer.name, Record(0, kind, 0, index, 0, payload)):
                        event = decode_event(body, hash_before, own)
                        if event.position < position:
                            continue  # the record began before what was asked for
                        if chain_hash(hash_before, body) != own:
                            raise CorruptData(f"the feed of {peer.name} breaks the hash chain at position {position}")
                        if event.position != position:
                            raise CorruptData(f"{peer.name} sent position {event.position}, expected {position}")
                        hash_before = own
                        position += not event.more
                        part = event.part + 1 if event.more else 0
                        batch.append(event)
                if batch:
                    yield batch
                on_closed(message.closed_us)
        except OSError as error:
            logger.info("the feed of %s broke: %s", peer.name, error)
        except FeedRefused as error:
            refused += 1
            if refused > len(ring):
                raise
            logger.warning("%s", error)
        finally:
            await stream.aclose()  # type: ignore[attr-defined]
        await asyncio.sleep(RETRY_SECONDS)
