"""The state machine: committed Raft entries in, events and verdicts out.

    entry ─▶ adjudicate ─▶ subscribers (views, streams) ─▶ verdicts to the replica, which answers ┄▶ event log, behind

Everything here is a function of the log: what is applied, in which order, is all that decides, on every replica alike.
Nothing here raises for anything that a proposal may say; what does raise stops the node.

A large transaction is concluded by its proposal and then published in parts: `conclude` returns an iterator that appends
and publishes one part a step, so that the replica can let other work go on in between. The frontier moves with the last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from journal.adjudicator import Adjudicator
from journal.errors import BorealError
from journal.event import Event, Fragment, Proposal, Verdict, decode_writes, encode_writes
from journal.eventlog import EventLog
from journal.staging import FragmentLoader, StagedTransaction, Staging

Subscriber = Callable[[list[Event]], None]


class Frontier(NamedTuple):
    """The last event that the subscribers have been given."""

    position: int
    commit_ts: int


class StateMachine:
    """Applies entries in order.

    Args:
        events: where committed events go.
        adjudicator: at the event log's position.
        load: reads a fragment from the Raft log.

    Attributes:
        is_publishing: a large event has begun and not ended.
    """

    def __init__(self, events: EventLog, adjudicator: Adjudicator, load: FragmentLoader) -> None:
        self.adjudicator = adjudicator
        self.staging = Staging(load)
        self._load = load
        self.frontier = Frontier(events.position, events.commit_ts)
        self._events = events
        self._subscribers: list[Subscriber] = []
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self.is_publishing = False

    def apply(self, index: int, timestamp: int, proposals: list[Proposal]) -> list[Verdict]:
        """Judge a block's proposals and publish the events of those that commit."""
        adjudicator = self.adjudicator
        judge, bulk_keys_max = adjudicator.judge, adjudicator.bulk_keys_max
        events: list[Event] = []
        verdicts: list[Verdict] = []
        for proposal in proposals:
            before = adjudicator.position
            # A fragmented proposal is alone in its block; one that is not finds no fragments and is refused.
            verdict = judge(proposal, timestamp)
            verdicts.append(verdict)
            if adjudicator.position != before:
                bulk = len(proposal.writes) + len(proposal.locks) > bulk_keys_max  # HOT: `is_bulk` without its call
                events.append(
                    Event(
                        verdict.position,
                        verdict.commit_ts,
                        proposal.txid,
                        proposal.provenance,
                        proposal.catalog_changes,
                        proposal.locks,
                        0,
                        False,
                        adjudicator.bulk_relations(proposal, None) if bulk else [],
                        bulk,
                        proposal.writes,
                    )
                )
        if events:
            self._events.append_later(index, events)
            self._publish(events)
        if len(self.staging):
            self.expire()
        return verdicts

    def stage(self, index: int, fragment: Fragment) -> None:
        """Take a fragment."""
        self.staging.add(index, fragment)

    def abandon(self, txids: Iterable[int]) -> None:
        """Drop the fragments of these transactions."""
        for txid in txids:
            self.staging.drop(txid)

    def expire(self) -> None:
        """Drop the fragments of transactions that nothing was heard of for the length of the window."""
        self.staging.expire(self.adjudicator.commit_ts - self.adjudicator.window_us)

    def conclude(self, index: int, timestamp: int, proposal: Proposal) -> tuple[Verdict, Iterator[None] | None]:
        """Judge a large transaction. If it commits, the iterator publishes one part a step and must be exhausted before
        anything else is applied."""
        staged = self.staging.get(proposal.txid)
        before = self.adjudicator.position
        verdict = self.adjudicator.judge(proposal, timestamp, staged)
        if self.adjudicator.position == before or staged is None:
            self.staging.drop(proposal.txid)
            return verdict, None
        self.is_publishing = True
        return verdict, self._parts(index, proposal, staged, verdict)

    def _parts(self, index: int, proposal: Proposal, staged: StagedTransaction, verdict: Verdict) -> Iterator[None]:
        adjudicator = self.adjudicator
        bulk = adjudicator.is_bulk(proposal, staged)
        relations = adjudicator.bulk_relations(proposal, staged) if bulk else []
        for part, fragment in enumerate(staged.fragments()):
            event = Event(
                verdict.position,
                verdict.commit_ts,
                proposal.txid,
                proposal.provenance,
                [] if part else proposal.catalog_changes,
                [] if bulk else fragment.locks,
                part,
                True,
                [] if part else relations,
                bulk,
                decode_writes(fragment.packed),
            )
            self._events.append_part(index, event, fragment.packed)
            self._publish([event])
            yield
        last = Event(
            verdict.position,
            verdict.commit_ts,
            proposal.txid,
            proposal.provenance,
            [],
            proposal.locks,
            staged.fragments_count,
            False,
            [],
            bulk,
            proposal.writes,
        )
        self._events.append_part(index, last, encode_writes(proposal.writes))
        self.is_publishing = False
        self._publish([last])
        self.staging.drop(proposal.txid)

    def take_over(self, events: list[Event]) -> None:
        """Publish events that a peer's feed has brought and the event log holds. Nothing is applied meanwhile."""
        self.is_publishing = events[-1].more
        self._publish(events)

    def continue_with(self, adjudicator: Adjudicator) -> None:
        """From the event log's end on, where a feed has led: nothing is staged there."""
        self.adjudicator = adjudicator
        self.staging = Staging(self._load)

    # ---- followers --------------------------------------------------------------------------------------------------

    def subscribe(self, subscriber: Subscriber, after: int | None) -> None:
        """See `Replica.subscribe`."""
        if self.is_publishing:
            raise BorealError("a large event is being published; subscribe before or after it")
        if after is not None:
            for event in self._events.read(after + 1):
                subscriber([event])
        self._subscribers.append(subscriber)

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for a position."""
        return bool(self._waiters)

    async def reached(self, position: int) -> None:
        """Wait until the frontier is at `position` or beyond."""
        if self.frontier.position < position:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append((position, future))
            await future

    def stop(self, error: BorealError) -> None:
        """Nothing will be published any more: whoever waits gets `error`."""
        waiters, self._waiters = self._waiters, []
        for _, future in waiters:
            if not future.done():
                future.set_exception(error)

    def _publish(self, events: list[Event]) -> None:
        for subscriber in self._subscribers:
            subscriber(events)
        last = events[-1]
        if last.more:
            return
        self.frontier = Frontier(last.position, last.commit_ts)
        if self._waiters:
            waiting = []
            for position, future in self._waiters:
                if position > last.position:
                    waiting.append((position, future))
                elif not future.done():
                    future.set_result(None)
            self._waiters = waiting
