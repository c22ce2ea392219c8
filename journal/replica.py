"""The replica: drives consensus, groups proposals into blocks, applies what is committed, and answers.

    propose ─▶ waiting ─▶ block ─▶ tick ─▶ log ─▶ flush ─▶ synchronize ┄┄┄ (the disk works; meanwhile: apply the block before)
                                    ▲                           │
                                    └──── release outbound ◀────┘  then at once the next turn

One *turn* is: deliver inbound messages → tick → flush → start a synchronization → apply. There is one logical task, the
chain of turns, and one invariant: **never tick while a synchronization is in flight**. So a tick sees only durable
entries of its own, everything that it wants sent waits for the next synchronization, and while the disk works whatever
is proposed collects into the next block: group commit, without any timer. The chain is written as callbacks, not as a
coroutine, because it is on the path of every commit; when nothing is to do it rests and costs nothing.

Applying is: adjudicate → subscribers (views) → verdicts → event log (the Raft log has it durably already). It takes only entries that are committed and
durable here, and overlaps with the synchronization of the next block, so that the core and the disk work at the same
time. Apply never raises: what a proposal may cause is a verdict; anything else is NodeFatal and stops the replica.

**Large transactions.** Writes beyond one entry travel as fragments, ordered like everything else and kept in the Raft
log (`journal.staging`). When their proposal commits, the event is published part by part, one turn of the loop each, so
that other work goes on between; nothing after it is applied before its end.

**Restart.** The event log says which Raft entry it has applied; a snapshot file, written before the Raft log is
compacted, says the same with certainty. Entries after that are judged again, with the same result, because judging is a
function of the log and the adjudicator recalls from the event log what it needs. Compaction: when the Raft log has
grown, the event log is synchronized in a thread and whole Raft segments below the applied index are dropped, but none
that a staged transaction or a (reasonably near) peer still needs.

Measured (tests/journal/bench_commit.py, 2-core virtual machine): see DESIGN.md.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import ssl
from collections import deque
from collections.abc import AsyncIterable, Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from journal.adjudicator import (
    BULK_KEYS_MAX_DEFAULT,
    WINDOW_US_DEFAULT,
    Adjudicator,
)
from journal.clock import NODE_BITS, HybridClock, TransactionIds
from journal.consensus import Consensus
from journal.environment import Environment
from journal.errors import BorealError, CorruptData, NodeFatal
from journal.event import (
    Block,
    EntryKind,
    Fragment,
    Outcome,
    Proposal,
    Verdict,
    Write,
    decode_entry,
    encode_block,
    encode_fragment,
    encode_proposal,
)
from journal.eventlog import EventLog
from journal.large import LargeTransaction
from journal.raftlog import RaftLog
from journal.snapshot import FORMAT_VERSION as SNAPSHOT_VERSION
from journal.snapshot import Snapshot, load_snapshot, save_snapshot
from journal.statemachine import Frontier, StateMachine, Subscriber
from journal.synchronizer import Synchronizer, synchronizer_for
from journal.transport import Peer, PeerTransport

logger = logging.getLogger(__name__)

Callback = Callable[[Verdict], None]
_PARTS_PER_SYNCHRONIZATION = 16


@dataclass(frozen=True)
class ReplicaSettings:
    """Bounds and timing. Bytes are of encoded form."""

    node: int = 0
    name: str = "node-0"
    cluster: str = "boreal"
    directory: str = "journal"
    window_us: int = WINDOW_US_DEFAULT
    bulk_keys_max: int = BULK_KEYS_MAX_DEFAULT
    entry_bytes_max: int = 1 << 20
    """A block's and a fragment's size; larger proposals go in fragments."""
    block_proposals_max: int = 1024
    turn_bytes_max: int = 4 << 20
    """Entries ordered between two synchronizations."""
    waiting_proposals_max: int = 20_000
    waiting_bytes_max: int = 32 << 20
    transaction_bytes_max: int = 256 << 20
    staged_bytes_max: int = 1 << 30
    raft_segment_bytes: int = 32 << 20
    event_segment_bytes: int = 64 << 20
    compact_bytes: int = 64 << 20
    """The Raft log is compacted when it is larger."""
    lagging_bytes_max: int = 1 << 30
    """Beyond this a peer that lags no longer holds compaction back."""
    event_log_sync_seconds: float = 2.0
    heartbeat_seconds: float = 0.1
    election_seconds_min: float = 0.6
    election_seconds_max: float = 1.2
    unknown_after_seconds: float = 10.0
    """A proposal ordered by a leader that lost its office is answered UNKNOWN after this."""
    drain_seconds: float = 5.0


class TransactionStatus(enum.Enum):
    """What the journal can tell of a transaction id."""

    COMMITTED = "committed"
    ABORTED = "aborted"
    """Not in the journal and never will be."""
    PENDING = "in progress"
    """Waiting or ordered here, not decided."""
    UNKNOWN = "unknown"
    """Older than the window, or this node is not the leader."""


class _Waiting(NamedTuple):
    """A proposal or a fragment that is not ordered yet."""

    data: bytes
    proposal: Proposal | None
    """None for a fragment, or what drops fragments; the callback is called only if it is refused."""
    callback: Callback | None


class _Ordered(NamedTuple):
    """What this node put into a Raft entry."""

    term: int
    since: float
    timestamp: int
    proposals: list[Proposal]
    callbacks: list[Callback | None]


class Replica:
    """One member of the journal.

    Args:
        environment: time, randomness, disk, network.
        settings: bounds and timing.
        address: where to listen for peers; unused by a single voter.
        peers: the other voters.
        server_tls, client_tls: contexts for accepting from and dialling peers, with mutual authentication; None: TCP.

    Attributes:
        clock: the hybrid clock.
        transaction_ids: ids for the transactions that begin at this node.
        failed: a future that receives the NodeFatal which stopped the replica.
    """

    def __init__(
        self,
        environment: Environment,
        settings: ReplicaSettings,
        *,
        address: tuple[str, int] = ("127.0.0.1", 0),
        peers: list[Peer] | None = None,
        server_tls: ssl.SSLContext | None = None,
        client_tls: ssl.SSLContext | None = None,
    ) -> None:
        self._environment = environment
        self._settings = settings
        self._address = address
        self._peers = peers or []
        self._server_tls = server_tls
        self._client_tls = client_tls
        self._waiting: deque[_Waiting] = deque()
        self._waiting_bytes = 0
        self._ordered: dict[int, _Ordered] = {}
        self._unordered: tuple[list[Proposal] | None, list[Callback | None], int] = (None, [], 0)
        self._room_waiters: deque[asyncio.Future[None]] = deque()
        self._applied = 0
        self._turn_bytes = 0
        self._synchronizing = False
        self._synchronization_ended: asyncio.Future[None] | None = None
        self._scheduled = False
        self._writing_behind = False
        self._running = False
        self._draining = False
        self._large: tuple[Iterator[None], list[Callback | None], Verdict] | None = None
        self._parts = 0
        self._compacting = False
        self._event_log_synced_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._background: set[asyncio.Task[None]] = set()
        self._was_leader = False
        self.clock = HybridClock(environment.clock)
        self.transaction_ids = TransactionIds(environment.clock, self._settings.node)

    # ---- life -------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Recover, connect, and return when this node can serve: a single voter when it leads and has applied all.

        Raises:
            NodeFatal, CorruptData: what is on disk cannot be trusted.
        """
        self._loop = asyncio.get_running_loop()
        self.failed: asyncio.Future[NodeFatal] = self._loop.create_future()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._recover()
        self._synchronizer: Synchronizer = synchronizer_for(self._loop, self._log.file)
        settings = self._settings
        alone = not self._peers
        self._transport = PeerTransport(
            self._environment,
            settings.cluster,
            Peer(settings.name, *self._address),
            self._peers,
            wake=self._wake,
            server_tls=self._server_tls,
            client_tls=self._client_tls,
        )
        self._consensus = Consensus(
            self._environment,
            self._log,
            self._transport,
            settings.name,
            next_entry=self._next_entry,
            on_ordered=self._on_ordered,
            # Nobody else can be elected where there is nobody else: no reason to wait.
            heartbeat_seconds=0.001 if alone else settings.heartbeat_seconds,
            election_seconds_min=0.004 if alone else settings.election_seconds_min,
            election_seconds_max=0.005 if alone else settings.election_seconds_max,
            entry_bytes_max=settings.entry_bytes_max,
        )
        await self._transport.start()
        self._running = True
        self._tick_seconds = 0.002 if alone else settings.heartbeat_seconds / 4
        self._on_timer()
        await self._ready

    async def stop(self) -> None:
        """Finish what was proposed (bounded by `drain_seconds`), make everything durable, close."""
        if not self._running:
            return
        self._draining = True
        deadline = self._loop.time() + self._settings.drain_seconds
        while self._running and (self._waiting or self._ordered or self._large or self._synchronizing):
            if self._loop.time() > deadline:
                break
            await asyncio.sleep(0.002)
        await self._close(Outcome.UNKNOWN, "this node is stopping")
        if not self.failed.done():
            self._log.close()
            self._events.close()

    def subscribe(self, subscriber: Subscriber, after: int | None = None) -> None:
        """Call `subscriber(events)` for every batch of events, in order, before the verdicts of its proposals.

        A large event comes as several Events of one position, all but the last with `more` set, in several calls.

        Args:
            subscriber: must not raise: an exception stops the node.
            after: the position that the subscriber has already; what the event log holds beyond it is handed over
                within this call. None: only what is published from now on.
        """
        self._machine.subscribe(subscriber, after)

    @property
    def entry_bytes_max(self) -> int:
        """Size of a fragment's writes."""
        return self._settings.entry_bytes_max

    def now_us(self) -> int:
        """A timestamp of the hybrid clock."""
        return self.clock.now_us()

    @property
    def frontier(self) -> Frontier:
        """The last event that subscribers have been given."""
        return self._machine.frontier

    def closed_us(self) -> int | None:
        """The time (µs since the Unix epoch) up to which subscribers have been given every event there will ever be; None on a
        replica that does not lead: others may have committed what it has not heard of."""
        if not self.has_lease:
            return None
        if self._applied < self._log.last_index or self._large is not None:
            return self.frontier.commit_ts
        return self.clock.now_us()

    @property
    def events(self) -> EventLog:
        """The event log, for reading."""
        return self._events

    @property
    def is_leader(self) -> bool:
        """Whether proposals can be ordered here."""
        return self._running and self._consensus.is_leader

    @property
    def has_lease(self) -> bool:
        """Whether what is applied here is certainly all that anybody was told of."""
        return self._running and self._consensus.has_lease

    @property
    def leader_name(self) -> str | None:
        """The leader, if known."""
        return self._consensus.leader_name

    # ---- proposing --------------------------------------------------------------------------------------------------

    def propose(self, proposal: Proposal, callback: Callback) -> None:
        """Order a proposal; `callback(verdict)` follows in the loop's thread, never from within this call.

        The proposal and its lists belong to the journal from now on: they become the event. Larger ones than one entry
        are cut into fragments."""
        data = encode_proposal(proposal)
        refusal = self._refusal()
        if refusal is not None:
            self._loop.call_soon(callback, refusal)
            return
        if len(data) > self._settings.entry_bytes_max:
            self._spawn(self._propose_in_fragments(proposal, callback))
            return
        self._waiting.append(_Waiting(data, proposal, callback))
        self._waiting_bytes += len(data)
        if not self._scheduled and not self._synchronizing:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    async def submit(self, proposal: Proposal) -> Verdict:
        """`propose` for coroutines."""
        future: asyncio.Future[Verdict] = self._loop.create_future()

        def answer(verdict: Verdict) -> None:
            if not future.done():
                future.set_result(verdict)

        self.propose(proposal, answer)
        return await future

    async def propose_large(
        self, header: Proposal, chunks: Iterable[list[Write]] | AsyncIterable[list[Write]]
    ) -> Verdict:
        """Commit a transaction whose writes come piece by piece and are never all in memory.

        Args:
            header: everything but the writes; its own writes, if any, are applied last.
            chunks: the writes. A chunk is cut where it exceeds an entry.
        """
        large = self.begin_large(header.txid, header.snapshot)
        try:
            if isinstance(chunks, AsyncIterable):
                async for chunk in chunks:
                    if not await large.add(chunk):
                        break
            else:
                for chunk in chunks:
                    if not await large.add(chunk):
                        break
            return await large.commit(header)
        except BaseException:
            large.abandon()
            raise

    def begin_large(self, txid: int, snapshot: int) -> LargeTransaction:
        """A transaction that sends its writes ahead of its proposal."""
        return LargeTransaction(self, txid, snapshot, self._settings.transaction_bytes_max)

    def status(self, txid: int) -> TransactionStatus:
        """What became of a transaction, as far as this node can tell (resolves unknown outcomes)."""
        if any(w.proposal is not None and w.proposal.txid == txid for w in self._waiting):
            return TransactionStatus.PENDING
        if any(p.txid == txid for ordered in self._ordered.values() for p in ordered.proposals or ()):
            return TransactionStatus.PENDING
        if self._machine.adjudicator.committed(txid) is None:
            self._machine.adjudicator.recall_window()
        if self._machine.adjudicator.committed(txid) is not None:
            return TransactionStatus.COMMITTED
        began_us = txid >> NODE_BITS
        if began_us < self._machine.adjudicator.commit_ts - self._settings.window_us or not self.is_leader:
            return TransactionStatus.UNKNOWN
        return TransactionStatus.ABORTED

    async def applied(self, position: int) -> None:
        """Wait until subscribers have been given this position."""
        if not self._running:
            raise BorealError("the journal stopped")
        await self._machine.reached(position)

    def _refusal(self) -> Verdict | None:
        settings = self._settings
        if not self._running or self._draining:
            return Verdict(Outcome.NOT_LEADER, reason="this node is stopping")
        if not self._consensus.is_leader:
            return Verdict(Outcome.NOT_LEADER, reason=f"the leader is {self._consensus.leader_name or 'not known'}")
        if len(self._waiting) >= settings.waiting_proposals_max or self._waiting_bytes >= settings.waiting_bytes_max:
            return Verdict(Outcome.OVERLOADED, reason=f"{len(self._waiting)} proposals are waiting")
        return None

    async def _propose_in_fragments(self, proposal: Proposal, callback: Callback) -> None:
        header = msgspec.structs.replace(proposal, writes=[], locks=[])
        large = self.begin_large(proposal.txid, proposal.snapshot)
        await large.add(proposal.writes, proposal.locks)
        callback(await large.commit(header))

    async def enqueue_fragment(self, fragment: Fragment, refused: Callback) -> Verdict | None:
        """Queue one fragment when there is room; a verdict if it is refused."""
        settings = self._settings
        while self._running and self._waiting_bytes >= settings.waiting_bytes_max // 4:
            future: asyncio.Future[None] = self._loop.create_future()
            self._room_waiters.append(future)
            await future
        if not self._running or self._draining or not self._consensus.is_leader:
            return self._refusal()
        if self._machine.staging.bytes_count > settings.staged_bytes_max:
            return Verdict(Outcome.OVERLOADED, reason="too many large transactions at once")
        data = encode_fragment(fragment)
        self._waiting.append(_Waiting(data, None, refused))
        self._waiting_bytes += len(data)
        self._wake()
        return None

    def abandon(self, txid: int) -> None:
        """Queue an entry, behind the fragments that wait already, which has them dropped."""
        data = encode_block(self._settings.node, self.clock.now_us(), [], [txid], conclusion=True)
        self._waiting.append(_Waiting(data, None, None))
        self._waiting_bytes += len(data)
        self._wake()

    # ---- turns ------------------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        if not self._scheduled and not self._synchronizing and self._running:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        if self._synchronizing or not self._running:
            return
        try:
            transport, log = self._transport, self._log
            if transport.waiting:
                transport.deliver(log.settle)
            self._turn_bytes = 0
            self._consensus.tick()
            if log.dirty:
                log.flush()
                self._synchronizing = True
                self._synchronizer.start(log.file, self._synchronized)
            else:
                transport.release()
            self._apply()
        except BaseException as error:
            self._fail(error)
            return
        if self._room_waiters and self._waiting_bytes < self._settings.waiting_bytes_max // 4:
            self._let_in()
        if not self._synchronizing and (self._waiting or transport.waiting) and self.is_leader:
            self._wake()

    def _synchronized(self, error: OSError | None) -> None:
        self._synchronizing = False
        if not self._running:
            if self._synchronization_ended is not None:
                self._synchronization_ended.set_result(None)
            return
        if error is not None:
            self._fail(NodeFatal(f"Raft log: cannot synchronize {self._log.path}, what it holds is unknown: {error}"))
            return
        self._log.synchronized()
        try:
            self._transport.release()
        except BaseException as failure:
            self._fail(failure)
            return
        self._turn()

    def _let_in(self) -> None:
        while self._room_waiters:
            future = self._room_waiters.popleft()
            if not future.done():
                future.set_result(None)
                return

    def _on_timer(self) -> None:
        """Elections and heartbeats need time to pass; and some housekeeping."""
        if not self._running:
            return
        self._wake()
        consensus = self._consensus
        if self._was_leader and not consensus.is_leader:
            self._refuse_waiting(Verdict(Outcome.NOT_LEADER, reason="this node is no longer the leader"))
        self._was_leader = consensus.is_leader
        if self._ordered and not consensus.is_leader:
            self._give_up_old()
        now = self._loop.time()
        if self._log.bytes_kept > self._settings.compact_bytes or (
            self._events.dirty and now - self._event_log_synced_at > self._settings.event_log_sync_seconds
        ):
            self._keep_house()
        alone_and_leading = not self._peers and self._ready.done()
        self._timer = self._loop.call_later(0.25 if alone_and_leading else self._tick_seconds, self._on_timer)

    def _refuse_waiting(self, verdict: Verdict) -> None:
        """What was not ordered never will be."""
        waiting, self._waiting, self._waiting_bytes = self._waiting, deque(), 0
        for each in waiting:
            if each.callback is not None:
                self._loop.call_soon(each.callback, verdict)
        self._let_in()

    def _give_up_old(self) -> None:
        horizon = self._loop.time() - self._settings.unknown_after_seconds
        verdict = Verdict(Outcome.UNKNOWN, reason="the leader changed before the outcome was known here")
        for index, ordered in list(self._ordered.items()):
            if ordered.since < horizon:
                del self._ordered[index]
                for callback in ordered.callbacks:
                    if callback is not None:
                        self._loop.call_soon(callback, verdict)

    # ---- ordering ---------------------------------------------------------------------------------------------------

    def _next_entry(self) -> bytes | None:
        """The next Raft entry, as long as there is something waiting and the turn has room."""
        waiting = self._waiting
        if self._turn_bytes >= self._settings.turn_bytes_max or not waiting:
            return None
        timestamp = self.clock.now_us()
        if not self._has_space():
            self._refuse_for_space()
            return None
        first = waiting[0]
        if first.proposal is None:
            waiting.popleft()
            self._waiting_bytes -= len(first.data)
            self._turn_bytes += len(first.data)
            self._unordered = (None, [], timestamp)
            return first.data
        data: list[bytes] = []
        proposals: list[Proposal] = []
        callbacks: list[Callback | None] = []
        size = 0
        size_max, count_max = self._settings.entry_bytes_max, self._settings.block_proposals_max
        conclusion = bool(first.proposal.fragments)
        while waiting and len(data) < count_max:
            encoded, proposal, callback = waiting[0]
            if proposal is None or (data and (proposal.fragments or conclusion or size + len(encoded) > size_max)):
                break
            waiting.popleft()
            size += len(encoded)
            data.append(encoded)
            proposals.append(proposal)
            callbacks.append(callback)
        self._waiting_bytes -= size
        self._turn_bytes += size
        self._unordered = (proposals, callbacks, timestamp)
        return encode_block(self._settings.node, timestamp, data, [], conclusion=conclusion)

    def _has_space(self) -> bool:
        """Room for the next entry in both logs; an event may be larger than its proposal by its header and hash."""
        size = max(min(self._waiting_bytes, self._settings.entry_bytes_max), len(self._waiting[0].data)) + 8192
        return self._log.reserve(size) and self._events.reserve(2 * size)

    def _refuse_for_space(self) -> None:
        logger.error("no space left for the journal: %d proposals refused", len(self._waiting))
        self._refuse_waiting(Verdict(Outcome.DISK_FULL, reason="no space left for the journal"))

    def _on_ordered(self, index: int, term: int) -> None:
        proposals, callbacks, timestamp = self._unordered
        if index in self._ordered:
            # What this node put here in an earlier term was removed from its log, but perhaps not from every other.
            self._answer(self._ordered.pop(index).callbacks, Verdict(Outcome.UNKNOWN, reason="the leader changed"))
        if proposals is not None:
            self._ordered[index] = _Ordered(term, self._loop.time(), timestamp, proposals, callbacks)

    # ---- applying ---------------------------------------------------------------------------------------------------

    def _apply(self) -> None:
        """Apply what is committed and durable, a bounded number of entries at a time."""
        limit = min(self._consensus.committed_index, self._log.durable_index)
        if self._applied >= limit or self._large is not None:
            if not self._ready.done() and self._large is None:
                self._become_ready(limit)
            return
        for _ in range(64):
            index = self._applied + 1
            if index > limit or self._large is not None:
                break
            self._apply_entry(index, self._ordered.get(index))
            if self._large is None:
                self._applied = index
                self._ordered.pop(index, None)
        if self._applied < limit and self._large is None:
            self._loop.call_soon(self._apply_more)
        elif not self._ready.done():
            self._become_ready(limit)

    def _apply_more(self) -> None:
        if self._running:
            try:
                self._apply()
            except BaseException as error:
                self._fail(error)

    def _become_ready(self, limit: int) -> None:
        """Alone: ready when leading, with the no-op of this term applied, and so all that any term had committed."""
        log = self._log
        if self._peers or (self._consensus.is_leader and self._applied == limit == log.last_index):
            self._ready.set_result(None)

    def _apply_entry(self, index: int, ordered: _Ordered | None) -> None:
        machine = self._machine
        entry, _, term = self._log.entry(index)
        callbacks: list[Callback | None] = []
        if ordered is not None and ordered.term == term:
            # This node wrote the entry: what it says need not be decoded.
            content: Block | Fragment | None = Block(self._settings.node, ordered.timestamp, ordered.proposals)
            callbacks = ordered.callbacks
        else:
            content = decode_entry(entry)
            if ordered is not None:
                self._answer(
                    ordered.callbacks, Verdict(Outcome.NOT_LEADER, reason="another leader's entry took its place")
                )
        if isinstance(content, Fragment):
            machine.stage(index, content)
        elif isinstance(content, Block):
            if content.abandoned:
                machine.abandon(content.abandoned)
            if len(content.proposals) == 1 and content.proposals[0].fragments:
                verdict, parts = machine.conclude(index, content.timestamp, content.proposals[0])
                if parts is None:
                    self._answer(callbacks, verdict)
                else:
                    self._large = (parts, callbacks, verdict)
                    self._continue_large()
            elif content.proposals:
                verdicts = machine.apply(index, content.timestamp, content.proposals)
                self.clock.observe(machine.frontier.commit_ts)
                for callback, verdict in zip(callbacks, verdicts, strict=False):
                    self._answer((callback,), verdict)
                if not self._writing_behind:
                    self._writing_behind = True
                    self._loop.call_soon(self._write_behind)

    def _write_behind(self) -> None:
        """The event log is written when the verdicts are out."""
        self._writing_behind = False
        if not self.failed.done():
            try:
                self._events.write_behind()
            except BaseException as error:
                self._fail(error)

    def _answer(self, callbacks: Iterable[Callback | None], verdict: Verdict) -> None:
        """A caller's exception is the caller's: nothing here depends on it."""
        for callback in callbacks:
            if callback is not None:
                try:
                    callback(verdict)
                except Exception as error:
                    self._loop.call_exception_handler({"message": "verdict callback failed", "exception": error})

    def _continue_large(self) -> None:
        """Publish one part of a large event, then let others have the loop."""
        if not self._running or self._large is None:
            return
        parts, callbacks, verdict = self._large
        try:
            if next(parts, self) is None:
                self._parts += 1
                if self._parts % _PARTS_PER_SYNCHRONIZATION == 0:
                    self._keep_house()
                self._loop.call_soon(self._continue_large)
                return
            self._large = None
            self._applied += 1
            self._ordered.pop(self._applied, None)
            self.clock.observe(verdict.commit_ts)
            self._answer(callbacks, verdict)
            self._apply()
            self._wake()
        except BaseException as error:
            self._fail(error)

    # ---- recovery and compaction ------------------------------------------------------------------------------------

    def _recover(self) -> None:
        settings, disk = self._settings, self._environment.disk
        directory = settings.directory
        disk.make_directory(directory)
        snapshot = load_snapshot(disk, directory)
        self._events = EventLog(disk, f"{directory}/events", segment_bytes=settings.event_segment_bytes)
        self._log = RaftLog(disk, f"{directory}/raft", segment_bytes=settings.raft_segment_bytes)
        events, log = self._events, self._log
        if events.position < snapshot.position:
            raise CorruptData(
                f"{directory}/events ends at position {events.position}, but position {snapshot.position} was durable "
                f"before the Raft log was compacted"
            )
        self._applied = max(snapshot.raft_index, events.raft_index)
        if self._applied > max(log.last_index, 0) or log.first_index > self._applied + 1:
            raise CorruptData(
                f"{directory}/raft holds entries {log.first_index} to {log.last_index}, but the event log has applied "
                f"{self._applied}"
            )
        log.commit_floor = self._applied
        adjudicator = Adjudicator(
            position=events.position,
            commit_ts=events.commit_ts,
            window_us=settings.window_us,
            bulk_keys_max=settings.bulk_keys_max,
            history=events.history,
        )
        self.clock.observe(events.commit_ts)
        # An id that was used before would get the old transaction's verdict: never reuse one, even if the clock went back.
        self.transaction_ids.observe(events.commit_ts << NODE_BITS)
        self._machine = StateMachine(events, adjudicator, self._load_fragment)
        self._restage()

    def _restage(self) -> None:
        """Find again the fragments, among the applied entries, whose transaction is not concluded."""
        indices = self._log.indices_of_kind(EntryKind.FRAGMENT, self._applied)
        if not indices:
            return
        indices += self._log.indices_of_kind(EntryKind.CONCLUSION, self._applied)
        for index in sorted(indices):
            decoded = decode_entry(self._log.entry(index)[0])
            if isinstance(decoded, Fragment):
                self._machine.stage(index, decoded)
            elif isinstance(decoded, Block):
                self._machine.abandon([*decoded.abandoned, *(proposal.txid for proposal in decoded.proposals)])
        self._machine.expire()

    def _load_fragment(self, index: int) -> Fragment:
        fragment = decode_entry(self._log.entry(index)[0])
        if not isinstance(fragment, Fragment):
            raise NodeFatal(f"Raft entry {index} should be a fragment")
        return fragment

    def _keep_house(self) -> None:
        if not self._compacting:
            self._compacting = True
            self._spawn(self._housekeeping())

    async def _housekeeping(self) -> None:
        """Synchronize the event log, then drop what the Raft log need not keep. The disk's part runs in a thread."""
        try:
            self._events.write_behind()
            applied = self._applied
            staged_from = self._machine.staging.oldest_index()
            state = Snapshot(
                SNAPSHOT_VERSION,
                applied,
                self._events.position,
                self._events.commit_ts,
                self._events.hash,
                sorted([self._settings.name, *(peer.name for peer in self._peers)]),
            )
            compact = self._log.bytes_kept > self._settings.compact_bytes and self._large is None
            await self._loop.run_in_executor(None, self._make_durable, state if compact else None)
            self._event_log_synced_at = self._loop.time()
            if compact and self._running:
                self._log.compact(self._compaction_index(applied, staged_from))
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._fail(error)
        finally:
            self._compacting = False

    def _make_durable(self, state: Snapshot | None) -> None:
        self._events.synchronize()
        self._log.prepare()
        if state is not None:
            save_snapshot(self._environment.disk, self._settings.directory, state)

    def _compaction_index(self, applied: int, staged_from: int | None) -> int:
        """Entries below may go."""
        needed = [applied]
        if staged_from is not None:
            needed.append(staged_from)
        if self._log.bytes_kept < self._settings.lagging_bytes_max and self._consensus.is_leader:
            needed += [self._consensus.matched_index(peer.name) for peer in self._peers]
        return min(needed)

    # ---- ending -----------------------------------------------------------------------------------------------------

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _fail(self, error: BaseException) -> None:
        """Whatever is not a result stops the node."""
        if not isinstance(error, NodeFatal):
            wrapped = NodeFatal(f"journal: {type(error).__name__}: {error}")
            wrapped.__cause__ = error
            error = wrapped
        if self.failed.done():
            return
        logger.critical("the journal stops: %s", error, exc_info=error)
        self.failed.set_result(error)
        self._running = False
        self._answer_all(Outcome.UNKNOWN, "the journal stopped")
        if not self._ready.done():
            self._ready.set_exception(error)
        self._spawn(self._close(Outcome.UNKNOWN, "the journal stopped"))

    def _answer_all(self, outcome: Outcome, reason: str) -> None:
        """Nobody is left without an answer: not ordered means refused, ordered means unknown."""
        refused = Verdict(Outcome.NOT_LEADER, reason=reason)
        unknown = Verdict(outcome, reason=reason)
        ordered, self._ordered = self._ordered, {}
        self._refuse_waiting(refused)
        for entry in ordered.values():
            for callback in entry.callbacks:
                if callback is not None:
                    self._loop.call_soon(callback, unknown)
        while self._room_waiters:
            self._let_in()
        self._machine.stop(BorealError(reason))

    async def _close(self, outcome: Outcome, reason: str) -> None:
        self._running = False
        if self._timer is not None:
            self._timer.cancel()
        self._answer_all(outcome, reason)
        await self._transport.stop()
        others = [task for task in self._background if task is not asyncio.current_task()]
        await asyncio.gather(*others, return_exceptions=True)
        if self._synchronizing:
            self._synchronization_ended = self._loop.create_future()
            await self._synchronization_ended
        self._synchronizer.close()
        if self.failed.done():
            self._log.abandon()
            self._events.abandon()
