"""Applying: what is committed becomes events, and proposers hear their verdicts. HOT PATH: once per entry on every member.

    committed and durable here ─▶ adjudicate ─▶ subscribers (views) ─▶ verdicts ─▶ event log (the Raft log has it durably already)

It overlaps with the synchronization of the next block, so that the core and the disk work at the same time. Apply never raises: what a
proposal may cause is a verdict; anything else is NodeFatal and stops the replica.

**Resting.** What applying costs is mostly by the turn: a third event in a row costs a quarter of the first. So a member at which nobody
reads, commits or follows applies what has come once per tick (a quarter of a heartbeat), or when `_ENTRIES_PER_TURN` wait; whoever comes
is served at once (`_uses`), and a member that leads never rests. Measured (simple-update, eight clients at the leader, three nodes on two cores, six
pairs of 3 s): 1.11 times as many transactions together with a witness that gets its blocks in one message per 25 ms; 20 % less processor time
at the follower, 42 % at the witness.

**Large transactions.** Writes beyond one entry travel as fragments, ordered like everything else and kept in the Raft
log (`journal.staging`). When their proposal commits, the event is published part by part, one turn of the loop each, so
that other work goes on between; nothing after it is applied before its end.

Measured (tests/journal/bench_commit.py): see DESIGN.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

from journal.errors import NodeFatal
from journal.event import Block, EntryKind, Fragment, Outcome, Verdict, decode_entry
from journal.gathering import Gathering
from journal.participant import Participant
from journal.queued import Callback, Ordered
from journal.settings import ReplicaSettings
from journal.transport import Peer

_ENTRIES_PER_TURN = 64
_PARTS_PER_SYNCHRONIZATION = 16
_USED_SECONDS = 1.0
"""For so long somebody counts as working at this member."""
_TIMER_US = 2000
"""How much too early a timer may be, generously."""


class Applying(Participant):
    """The half of a replica that comes after the commit; see `journal.replica.Replica`.

    Attributes:
        failed: a future that receives the NodeFatal which stopped the replica.
    """

    failed: asyncio.Future[NodeFatal]

    def __init__(self, settings: ReplicaSettings, peers: list[Peer]) -> None:
        super().__init__(settings, peers)
        self._gathering: Gathering | None = None
        self._large: tuple[Iterator[None], list[Callback | None], Verdict, int] | None = None
        self._parts = 0
        self._writing_behind = False
        self._lead_us = int(settings.commit_lead_ms * 1000)
        self._used_at = -_USED_SECONDS

    def _uses(self) -> None:
        """Not to rest, and apply at once what has come."""
        now = self._loop.time()
        if now - self._used_at >= _USED_SECONDS:
            self._loop.call_soon(self._apply_more)
        self._used_at = now

    def _rests(self) -> bool:
        """Whether nobody here waits for what is applied, so that several blocks may be applied together, with the next tick of time."""
        return not (
            self._consensus.is_leader
            or self._loop.time() - self._used_at < _USED_SECONDS
            or self._ordered
            or self._forwarder.undecided
            or self._forwarder.fragment_bytes
            or self._machine.is_awaited
            or not self._ready.done()
            or self._consensus.committed_index - self._applied >= _ENTRIES_PER_TURN
        )

    def _apply(self) -> None:
        """Apply what is committed and durable, a bounded number of entries at a time."""
        if self._catching_up:
            if not self._ready.done():
                self._ready.set_result(None)
            return
        limit = min(self._consensus.committed_index, self._log.durable_index)
        if self._settings.fast_commit:
            limit = self._fast_limit(limit)
        if self._applied >= limit or self._large is not None:
            if not self._ready.done() and self._large is None:
                self._become_ready(limit)
            return
        for _ in range(_ENTRIES_PER_TURN):
            index = self._applied + 1
            if index > limit or self._large is not None:
                break
            self._apply_entry(index, self._ordered.get(index))
            if self._large is None:
                self._applied = index
                ordered = self._ordered.pop(index, None)
                if ordered is not None and self._gathering is not None:
                    self._gathering.applied(self._loop.time() - ordered.since)
        if not self._alone:
            self._progressed()
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
        if not self._alone or (self._consensus.is_leader and self._applied == limit == log.last_index):
            self._ready.set_result(None)

    def _apply_entry(self, index: int, ordered: Ordered | None) -> None:
        machine = self._machine
        entry, _, term = self._log.entry(index)
        if term != self._applied_term:
            self._term_began(term)
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
            if self._forwarder.fragment_bytes:
                self._forwarder.fragment_applied(content)
        elif isinstance(content, Block):
            if content.abandoned:
                machine.abandon(content.abandoned)
            if len(content.proposals) == 1 and content.proposals[0].fragments:
                verdict, parts = machine.conclude(index, content.timestamp, content.proposals[0])
                txid = content.proposals[0].txid
                if parts is None:
                    self._answer([*callbacks, *self._forwarder.take(txid)], verdict)
                else:
                    self._large = (parts, callbacks, verdict, txid)
                    self._continue_large()
            elif content.proposals:
                verdicts = machine.apply(index, content.timestamp, content.proposals)
                self.clock.observe(machine.frontier.commit_ts)
                if self._lead_us:
                    for callback, verdict in zip(callbacks, verdicts, strict=False):
                        self._answer((callback,), verdict)
                else:
                    self._tell(zip(callbacks, verdicts, strict=False))
                if not self._writing_behind:
                    self._writing_behind = True
                    self._loop.call_soon(self._write_behind)
                if self._forwarder.undecided:
                    for proposal, verdict in zip(content.proposals, verdicts, strict=True):
                        self._answer(self._forwarder.take(proposal.txid), verdict)
        elif entry[0] == EntryKind.MEMBERSHIP:
            self._membership_applied(index)

    def _write_behind(self) -> None:
        """The event log is written when the verdicts are out."""
        self._writing_behind = False
        if not self.failed.done():
            try:
                self._events.write_behind()
            except BaseException as error:
                self._fail(error)

    def _answer(self, callbacks: Iterable[Callback | None], verdict: Verdict) -> None:
        if self._lead_us and verdict.commit_ts:
            late_us = self._late_us(verdict.commit_ts)
            if late_us > 0:
                self._loop.call_later(late_us / 1e6, self._answer_late, list(callbacks), verdict)
                return
        self._tell((callback, verdict) for callback in callbacks)

    def _tell(self, answers: Iterable[tuple[Callback | None, Verdict]]) -> None:
        """A caller's exception is the caller's: nothing here depends on it."""
        for callback, verdict in answers:
            if callback is not None:
                try:
                    callback(verdict)
                except Exception as error:
                    self._loop.call_exception_handler({"message": "verdict callback failed", "exception": error})

    def _late_us(self, commit_ts: int) -> int:
        """Commit timestamps lead the clock: an acknowledgement before its timestamp has passed could be missed by a reader who trusts
        closed time. A node that does not trust its own clock waits for the whole lead, by a timer."""
        return commit_ts - self._environment.clock.wall_us() if self._clock_watch.trusted else self._lead_us + _TIMER_US

    def _answer_late(self, callbacks: list[Callback | None], verdict: Verdict) -> None:
        """It has waited; perhaps a little too short, which a clock that is trusted tells."""
        if self._clock_watch.trusted:
            self._answer(callbacks, verdict)
        else:
            self._tell((callback, verdict) for callback in callbacks)

    def _continue_large(self) -> None:
        """Publish one part of a large event, then let others have the loop."""
        if not self._running or self._large is None:
            return
        parts, callbacks, verdict, txid = self._large
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
            self._answer([*callbacks, *self._forwarder.take(txid)], verdict)
            if not self._alone:
                self._progressed()
            self._apply()
            self._wake()
        except BaseException as error:
            self._fail(error)

    def _keep_house(self) -> None:
        if not self._keeper.busy:
            self._keeper.busy = True
            self._spawn(self._housekeeping())

    async def _housekeeping(self) -> None:
        try:
            self._events.write_behind()
            await self._keeper.run(lambda: self._running)
            self._settle()
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException as error:
            self._fail(error)
