"""The replica: drives consensus and groups proposals into blocks; what is committed is applied and answered.

    propose ─▶ waiting ─▶ block ─▶ tick ─▶ log ─▶ flush ─▶ synchronize ┄┄┄ (the disk works; meanwhile: apply the block before)
                                    ▲                           │
                                    └──── release outbound ◀────┘  then the next turn, if anything came meanwhile

One *turn* is: deliver inbound messages → tick → flush → start a synchronization → apply. There is one logical task, the
chain of turns, and one invariant: **never tick while a synchronization is in flight**. So a tick sees only durable
entries of its own, everything that it wants sent waits for the next synchronization (but for new entries to order, see
`journal.consensus`), and while the disk works whatever is proposed collects into the next block: group commit, without any timer.
The chain is written as callbacks, not as a coroutine, because it is on the path of every commit; when nothing is to do it rests and
costs nothing. A synchronization that was waited for in place (`journal.synchronizer`) is over within its turn.

While the disk works the block before is applied: `journal.applying`.

**Members.** At a follower, a proposal travels to the leader (`journal.forwarding`), and its verdict comes from this node's
own log. Strong reads ask the leader how far (`journal.reads`), or wait for closed time (`journal.closed`). Who belongs,
and who leads: `journal.membership`, `journal.transfer`. A member that lacks what the others have compacted catches up by a
feed (`journal.catchup`). Restart: `journal.recovery`. Compaction: `journal.housekeeping`.

Measured (tests/journal/bench_commit.py, 2-core virtual machine): see DESIGN.md.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import AsyncIterable, Coroutine, Iterable
from itertools import chain

import msgspec

from journal.adjudicator import Adjudicator
from journal.applying import Applying
from journal.catchup import Mark
from journal.clock import HybridClock
from journal.configuration import founding
from journal.environment import Environment
from journal.errors import BorealError, NodeFatal
from journal.event import (
    EntryKind,
    Fragment,
    Outcome,
    Proposal,
    Verdict,
    Write,
    encode_block,
    encode_fragment,
    encode_proposal,
)
from journal.eventlog import EventLog
from journal.gathering import Wait, gathering_for
from journal.housekeeping import Housekeeper
from journal.large import LargeTransaction
from journal.queued import Callback, Ordered, Waiting
from journal.recovery import recover
from journal.resolution import TransactionStatus as TransactionStatus
from journal.resolution import resolve
from journal.settings import ReplicaSettings as ReplicaSettings
from journal.statemachine import Frontier, Subscriber
from journal.synchronizer import Synchronizer, synchronizer_for
from journal.transactionids import IdMark, TransactionIds
from journal.transport import Peer

logger = logging.getLogger(__name__)

_REST_SECONDS = 0.001
_ELECTIONS = 2
"""So many of the longest election timeouts without a leader, and this node is cut off."""


class Replica(Applying):
    """One member of the journal.

    Args:
        environment: time, randomness, disk, network.
        settings: bounds and timing.
        address: where to listen for peers; unused by a single voter.
        peers: the other founding voters; later the journal knows who belongs, and these say where they listen.
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
        super().__init__(settings, peers or [])
        self._environment = environment
        self._address = address
        self._server_tls = server_tls
        self._client_tls = client_tls
        self._waiting: deque[Waiting] = deque()
        self._waiting_bytes = 0
        self._ordered: dict[int, Ordered] = {}
        self._unordered: tuple[list[Proposal] | None, list[Callback | None], int] = (None, [], 0)
        self._room_waiters: deque[asyncio.Future[None]] = deque()
        self._applied = 0
        self._turn_bytes = 0
        self._ordering_term = -1
        self._hold = Wait.NO
        self._resting: asyncio.TimerHandle | None = None
        self._synchronizing = False
        self._woken = False  # while a synchronization was in flight
        self._synchronization_ended: asyncio.Future[None] | None = None
        self._scheduled = False
        self._running = False
        self._draining = False
        self._timer: asyncio.TimerHandle | None = None
        self._background: set[asyncio.Task[None]] = set()
        self._leaderless_since: float | None = None  # for how long what waits here has had nobody to go to
        self._silent_ticks = 0
        self._is_cut_off = False
        self.clock = HybridClock(environment.clock, lead_us=self._lead_us)

    # ---- life -------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Recover, connect, and return when this node can serve: a single voter when it leads and has applied all.

        Raises:
            NodeFatal, CorruptData: what is on disk cannot be trusted.
        """
        self._loop = asyncio.get_running_loop()
        self.failed: asyncio.Future[NodeFatal] = self._loop.create_future()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        settings, disk = self._settings, self._environment.disk
        found = recover(disk, settings)
        self._events, self._log, self._machine, self._applied = found.events, found.log, found.machine, found.applied
        self.clock.observe(self._events.commit_ts)
        self._id_mark = IdMark(disk, settings.directory)
        used_us = self._id_mark.us or self._events.commit_ts  # directories of before there was a mark
        self.transaction_ids = TransactionIds(
            self._environment.clock, settings.node, after_us=used_us, reserve=self._reserve_ids
        )
        make_synchronizer = self._environment.synchronizer or synchronizer_for
        self._synchronizer: Synchronizer = make_synchronizer(self._loop, self._log.file)
        self._gathering = gathering_for(self._log.file)
        own = Peer(settings.name, *self._address, settings.witness)
        base = found.snapshot.configuration
        joins = (settings.joining and found.is_empty) or found.mark is Mark.JOINING
        self._connect(own, base if base.members else founding(self._peers if joins else [own, *self._peers]))
        self._keeper = Housekeeper(
            self._loop,
            disk,
            settings,
            self._log,
            self._events,
            self._machine,
            snapshot=self._snapshot,
            may_compact=lambda: self._large is None and not self._catching_up,
            matched=self._lowest_match,
        )
        await self._transport.start()
        self._running = True
        self._consensus.abstains = joins
        self._on_timer()
        if settings.closed_seconds:
            self._promise()
        if joins or found.mark is Mark.BEHIND:
            self._catch_up(joins)
        await self._ready

    async def stop(self) -> None:
        """Finish what was proposed, hand over the leadership, make everything durable, close. The first two take no
        longer than `drain_seconds`."""
        if not self._running:
            return
        self._draining = True
        self._fairness.release()
        deadline = self._loop.time() + self._settings.drain_seconds
        if self.is_leader and not self._alone:
            self._transfer.begin(None, None)
        while self._running and (
            self._waiting
            or self._ordered
            or self._large
            or self._synchronizing
            or self._forwarder.undecided
            or self._transfer.holding
        ):
            if self._loop.time() > deadline:
                break
            await asyncio.sleep(0.002)
        await self._close(Outcome.UNKNOWN, "this node is stopping")
        if not self.failed.done():
            self._log.close()
            self._events.close()
            self._id_mark.close()

    def _reserve_ids(self, through_us: int) -> None:
        try:
            self._id_mark.write(through_us)
        except NodeFatal as error:
            self._fail(error)
            raise

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
    def is_publishing(self) -> bool:
        """Whether a large event has begun and not ended, so that `subscribe` would be refused."""
        return self._machine.is_publishing

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

    def closed_now_us(self) -> int | None:
        """The time (µs since the Unix epoch) up to which subscribers have been given every event there will ever be, as far as
        this node knows; None when it has stopped. A leader with a lease knows by its own clock, a follower by promises."""
        if not self._running:
            return None
        if not self.has_lease or (self._settings.fast_commit and not self._alone):
            self._uses()
            return self.closed_us
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
        """Whether what is applied here is certainly all that anybody was told of: nobody else can lead, and all that earlier
        leaders committed has been applied, since an entry of this term has."""
        return self._running and self._consensus.has_lease and self._applied_term == self._consensus.raftCurrentTerm

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
            if self._running and not self._draining and not self._consensus.is_leader:
                self._propose_elsewhere(data, proposal, callback)
            else:
                self._loop.call_soon(callback, refusal)
            return
        if len(data) > self._settings.entry_bytes_max:
            self._spawn(self._propose_in_fragments(proposal, callback))
            return
        waiting = Waiting(data, proposal, callback)
        if self._contended and not self._transfer.holding and self._fairness.holds(waiting, proposal):
            return
        self._waiting.append(waiting)
        self._waiting_bytes += len(data)
        if not self._scheduled and not self._synchronizing:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def _enqueue(self, waiting: Waiting) -> None:
        self._waiting.append(waiting)
        self._waiting_bytes += len(waiting.data)
        self._wake()

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

    async def resolve(self, txid: int) -> TransactionStatus:
        """What became of a transaction; the question decides it, if nothing else has (`journal.resolution`)."""
        return await resolve(self, txid)

    def is_pending(self, txid: int) -> bool:
        """Whether this node has proposed the transaction, and does not know yet what became of it."""
        return (
            txid in self._forwarder.undecided
            or any(
                waiting.proposal is not None and waiting.proposal.txid == txid
                for waiting in chain(self._waiting, self._fairness.held.values())
            )
            or any(each.txid == txid for ordered in self._ordered.values() for each in ordered.proposals or ())
        )

    @property
    def adjudicator(self) -> Adjudicator:
        """Decides; and knows what has committed lately."""
        return self._machine.adjudicator

    async def applied(self, position: int) -> None:
        """Wait until subscribers have been given this position."""
        if not self._running:
            raise BorealError("the journal stopped")
        self._uses()
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

    def _propose_elsewhere(self, data: bytes, proposal: Proposal, callback: Callback) -> None:
        self._uses()
        if self._is_cut_off:
            # A connection may still take what is sent, and nobody would ever know what became of it.
            self._loop.call_soon(callback, Verdict(Outcome.NOT_LEADER, reason="this node is cut off from the majority"))
        elif len(data) > self._settings.entry_bytes_max:
            self._spawn(self._propose_in_fragments(proposal, callback))
        else:
            self._forwarder.propose(proposal.txid, data, callback)

    async def _propose_in_fragments(self, proposal: Proposal, callback: Callback) -> None:
        header = msgspec.structs.replace(proposal, writes=[], locks=[])
        large = self.begin_large(proposal.txid, proposal.snapshot)
        await large.add(proposal.writes, proposal.locks)
        callback(await large.commit(header))

    async def enqueue_fragment(self, fragment: Fragment, refused: Callback) -> Verdict | None:
        """Queue one fragment when there is room; a verdict if it is refused."""
        settings = self._settings
        while self._running and self._fragments_wait():
            future: asyncio.Future[None] = self._loop.create_future()
            self._room_waiters.append(future)
            await future
        if not self._running or self._draining:
            return self._refusal()
        if self._machine.staging.bytes_count > settings.staged_bytes_max:
            return Verdict(Outcome.OVERLOADED, reason="too many large transactions at once")
        data = encode_fragment(fragment)
        if not self._consensus.is_leader:
            self._forwarder.send_fragment(fragment, data, refused)
            return None
        self._waiting.append(Waiting(data, None, refused))
        self._waiting_bytes += len(data)
        self._wake()
        return None

    def route(self) -> object:
        """The way to the leader: what was sent by another one may be missing before what is sent by this."""
        leader = self._consensus.leader_name
        return leader, self._consensus.raftCurrentTerm, self._transport.connection_number(leader or "")

    def _fragments_wait(self) -> bool:
        bound = self._settings.waiting_bytes_max // 4
        return self._waiting_bytes >= bound or self._forwarder.fragment_bytes >= bound

    def abandon(self, txid: int) -> None:
        """Queue an entry, behind the fragments that wait already, which has them dropped."""
        data = encode_block(self._settings.node, self.clock.now_us(), [], [txid], conclusion=True)
        if not self._consensus.is_leader:
            self._forwarder.send_entry(txid, data)
            return
        self._waiting.append(Waiting(data, None, None))
        self._waiting_bytes += len(data)
        self._wake()

    # ---- turns ------------------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        if self._synchronizing:
            self._woken = True
        elif not self._scheduled and self._running:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        if self._synchronizing:
            self._woken = True
            return
        if not self._running:
            return
        self._woken = False
        gathering, count = self._gathering, len(self._waiting)
        committed = self._consensus.committed_index
        hold = self._hold = Wait.NO
        if gathering is not None and count:
            # Decided anew every turn: nothing may be held back for good.
            hold = self._hold = gathering.waits(count, committed < self._log.last_index)
            if hold and self._applied >= min(committed, self._log.durable_index) and not self._transport.waiting:
                self._rest_or_wake()
                return
        try:
            transport, log = self._transport, self._log
            if transport.waiting:
                transport.deliver(self._settle)
            self._turn_bytes = 0
            self._consensus.tick()
            if not self._alone:
                self._news.told()
                self._reads.check()
                if self._transfer.holding:
                    self._transfer.step()
            if log.dirty:
                log.flush()
                if self._synchronizer.start(log.file, self._synchronized, may_block=self._rests()):
                    # At once, before what can be applied: others wait for what this disk has.
                    self._let_go()
                    if len(self._consensus.voters) < 2:
                        self._wake()  # nobody else's answer will come
                else:
                    self._synchronizing = True
            else:
                transport.release()
            if not self._rests():
                self._apply()
        except BaseException as error:
            self._fail(error)
            return
        if self._room_waiters and not self._fragments_wait():
            self._let_in()
        may_order = self._waiting and not self._transfer.holding
        if not self._synchronizing and (may_order or transport.waiting) and self.is_leader:
            if self._hold and not transport.waiting:
                self._rest_or_wake()
            else:
                self._wake()

    def _rest_or_wake(self) -> None:
        """A block waits: for the next turn, or for whatever comes next, which a millisecond bounds."""
        if self._hold == Wait.TURN:
            self._wake()
        elif self._resting is None:
            self._resting = self._loop.call_later(_REST_SECONDS, self._rested)

    def _rested(self) -> None:
        self._resting = None
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
        try:
            self._let_go()
            others_answer = len(self._consensus.voters) > 1 and not self._settings.fast_commit
            if others_answer and not (self._woken or self._waiting or self._room_waiters):
                # Nothing has come meanwhile that a tick would see; only what others had sooner can be applied now.
                if not self._rests():
                    self._apply()
                return
        except BaseException as failure:
            self._fail(failure)
            return
        self._turn()

    def _let_go(self) -> None:
        """What was written is durable: whatever is to be sent may rely on it."""
        self._log.synchronized()
        if self._gathering is not None:
            committing = len(self._waiting)
            for each in self._ordered.values():
                committing += len(each.proposals)
            self._gathering.synchronized(committing)
        self._transport.release()

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
        if self._rests():
            self._apply_more()
            if not self._running:
                return
        consensus = self._consensus
        horizon = self._horizon()
        if consensus.is_leader or not self._waiting:
            self._leaderless_since = None
        if not consensus.is_leader or self._transfer.holding:
            self._fairness.release()
        if not consensus.is_leader:
            if self._change is not None and not self._waiting:
                self._change_ended(Verdict(Outcome.UNKNOWN, reason="the leader changed; look at the configuration"))
            if self._waiting:
                self._redirect_waiting()
            if self._ordered:
                self._give_up_before(horizon)
        self._clock_watch.on_timer()
        if not self._alone:
            self._forwarder.expire(horizon)
            self._reads.on_timer()
            self._closed.on_timer()
            self._transfer.on_timer()
        if self._keeper.due:
            self._keep_house()
        alone_and_leading = self._alone and self._ready.done()
        self._timer = self._loop.call_later(0.25 if alone_and_leading else self._tick_seconds, self._on_timer)

    def _redirect_waiting(self) -> None:
        """Proposals that were never ordered go to the new leader; those whose fragments went another way cannot."""
        if self._consensus.leader_name is None:
            now = self._loop.time()
            if self._leaderless_since is None:
                self._leaderless_since = now
            if now - self._leaderless_since > self._settings.election_seconds_max:
                self._refuse_waiting(Verdict(Outcome.NOT_LEADER, reason="this node is no longer the leader"))
            return
        self._leaderless_since = None
        refused = Verdict(Outcome.NOT_LEADER, reason="this node is no longer the leader")
        waiting, self._waiting, self._waiting_bytes = self._waiting, deque(), 0
        for each in waiting:
            proposal, callback = each.proposal, each.callback
            if callback is None:
                continue
            if proposal is None or proposal.fragments or each.origin:
                self._loop.call_soon(callback, refused)
            else:
                self._forwarder.propose(proposal.txid, each.data, callback)
        self._let_in()

    def _refuse_waiting(self, verdict: Verdict) -> None:
        """What was not ordered never will be."""
        waiting, self._waiting, self._waiting_bytes = self._waiting, deque(), 0
        for each in waiting:
            if each.callback is not None:
                self._loop.call_soon(each.callback, verdict)
        self._let_in()

    def _horizon(self) -> float:
        """What was sent or ordered before this (loop time) and is not decided is given up: `unknown_after_seconds` ago, or now where
        there has been no leader for so long that a majority would have elected one: this node is cut off from it. That is counted in
        ticks, so that a process which was stopped looks at what has arrived first."""
        consensus, settings = self._consensus, self._settings
        hears = consensus.is_leader or consensus.silence_seconds < settings.election_seconds_min
        self._silent_ticks = 0 if hears else self._silent_ticks + 1
        self._is_cut_off = self._silent_ticks * self._tick_seconds > _ELECTIONS * settings.election_seconds_max
        return self._loop.time() - (0.0 if self._is_cut_off else settings.unknown_after_seconds)

    def _give_up_before(self, horizon: float) -> None:
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
        if not self._alone and self._ordering_term != self._consensus.raftCurrentTerm:
            self._begin_ordering(self._consensus.raftCurrentTerm)
        waiting = self._waiting
        if not waiting or self._hold or self._turn_bytes >= self._settings.turn_bytes_max or self._transfer.holding:
            return None
        timestamp = self.clock.now_us()
        if not self._has_space():
            self._refuse_for_space()
            return None
        first = waiting[0]
        if first.proposal is None:
            waiting.popleft()
            entry = first.data
            self._waiting_bytes -= len(entry)
            if entry[0] == EntryKind.MEMBERSHIP:
                changed = self._change_for(self._log.last_index + 1)
                if changed is None:
                    return None
                entry = changed
            self._turn_bytes += len(entry)
            self._unordered = (None, [], timestamp)
            return entry
        data: list[bytes] = []
        proposals: list[Proposal] = []
        callbacks: list[Callback | None] = []
        size = 0
        size_max, count_max = self._settings.entry_bytes_max, self._settings.block_proposals_max
        conclusion = bool(first.proposal.fragments)
        while waiting and len(data) < count_max:
            following = waiting[0]
            encoded, proposal = following.data, following.proposal
            if proposal is None or (data and (proposal.fragments or conclusion or size + len(encoded) > size_max)):
                break
            waiting.popleft()
            size += len(encoded)
            data.append(encoded)
            proposals.append(proposal)
            callbacks.append(following.callback)
        self._waiting_bytes -= size
        self._turn_bytes += size
        if self._gathering is not None:
            self._gathering.ordered()
        self._unordered = (proposals, callbacks, timestamp)
        return encode_block(self._settings.node, timestamp, data, [], conclusion=conclusion)

    def _begin_ordering(self, term: int) -> None:
        """First entry of a term that this node leads. What peers forwarded for an earlier term, which this node led as well, must
        not be ordered in this one: they take the term's first entry, applied without it, as proof that it never will be."""
        self._ordering_term = term
        forwarded = [each for each in self._waiting if each.origin]
        if not forwarded:
            return
        self._waiting = deque(each for each in self._waiting if not each.origin)
        refused = Verdict(Outcome.NOT_LEADER, reason="sent for another term")
        for each in forwarded:
            self._waiting_bytes -= len(each.data)
            if each.callback is not None:
                self._loop.call_soon(each.callback, refused)

    def _has_space(self) -> bool:
        """Room for the next entry in both logs; an event may be larger than its proposal by its header and hash."""
        size = max(min(self._waiting_bytes, self._settings.entry_bytes_max), len(self._waiting[0].data)) + 8192
        return self._log.reserve(size) and self._events.reserve(2 * size)

    def _refuse_for_space(self) -> None:
        logger.error("no space left for the journal: %d proposals refused", len(self._waiting))
        self._refuse_waiting(Verdict(Outcome.DISK_FULL, reason="no space left for the journal"))

    def _on_ordered(self, index: int, term: int) -> None:
        proposals, callbacks, timestamp = self._unordered
        if self._log.memberships_version != self._membership.version:
            self._settle()
        if index in self._ordered:
            # What this node put here in an earlier term was removed from its log, but perhaps not from every other.
            self._answer(self._ordered.pop(index).callbacks, Verdict(Outcome.UNKNOWN, reason="the leader changed"))
        if proposals is not None:
            self._ordered[index] = Ordered(term, self._loop.time(), timestamp, proposals, callbacks)

    # ---- ending -----------------------------------------------------------------------------------------------------

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

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
        self._fairness.release()
        self._refuse_waiting(refused)
        self._forwarder.refuse_all(unknown)
        self._reads.stop(reason)
        self._closed.stop(reason)
        self._news.stop()
        self._change_ended(unknown)
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
        if self._catch_up_task is not None and self._catch_up_task is not asyncio.current_task():
            self._catch_up_task.cancel()
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
