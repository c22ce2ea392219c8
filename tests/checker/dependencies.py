"""The dependency graph: which transaction must come before which, and why.

Adya's direct serialization graph over committed transactions, plus two orders that Boreal promises to respect:

| kind | from → to | because |
| --- | --- | --- |
| ww | writer of a version → writer of a later one | both changed the key |
| wr | writer of a version → who read it | |
| rw | who read a version → writer of a later one | the anti-dependency: the reader did not see it |
| session | a transaction → the next one of its session | |
| real-time | who had been acknowledged → who began after that | strong reads |

ww, wr, rw and session are stored edges. Real-time order has up to n² pairs; it is stored as a chain of *moments*
(`moments`): the sweep over begins and ends opens a new moment at the first end after a begin, so that "ended before" is
a path: the one that ended → moment → … → moment → the one that began. That is linear in the number of transactions
whatever their concurrency (a frontier of maximal ended transactions gives direct edges, but as many as transactions ×
concurrency).

Transactions on the AS OF path read the past on purpose: they take part in data dependencies only. One of unknown
outcome may commit after its client gave up, so nothing follows it in session or real-time order.
"""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from tests.checker.history import Content, Key, MalformedHistory, Transaction
from tests.checker.observations import Observations
from tests.checker.report import show_elements


class EdgeKind(enum.IntEnum):
    """Why one transaction precedes another."""

    WW = 0
    WR = 1
    RW = 2
    SESSION = 3
    REAL_TIME = 4


class Edge(msgspec.Struct, frozen=True, gc=False):
    """`source` precedes `target`. For ww, wr and rw: the key and the versions at both ends (an element stands for the
    list that ends with it; None and () for no row)."""

    source: int
    target: int
    kind: EdgeKind
    key: Key | None = None
    before: Content = None
    after: Content = None

    @property
    def phantom(self) -> bool:
        """Whether this is an anti-dependency of a read that found nothing."""
        return self.kind is EdgeKind.RW and (self.before is None or self.before == ())


class Moments(NamedTuple):
    """Real-time order as a chain.

    Attributes:
        moments_count: moments 0, 1, …, each before the next.
        entered: (transaction, moment): had ended by the moment.
        left: (moment, transaction): began after the moment.
    """

    moments_count: int
    entered: list[tuple[int, int]]
    left: list[tuple[int, int]]


def sessions(observations: Observations) -> dict[tuple[str, int], list[int]]:
    """The counted strong transactions of each session, in order; raises MalformedHistory where two overlap."""
    transactions = observations.transactions
    by_session: dict[tuple[str, int], list[int]] = defaultdict(list)
    for index, transaction in enumerate(transactions):
        if observations.counted[index] and transaction.strong:
            by_session[transaction.session].append(index)
    for session, indices in by_session.items():
        indices.sort(key=lambda index: (transactions[index].began_us, transactions[index].ended_us, index))
        for first, second in zip(indices, indices[1:], strict=False):
            if transactions[second].began_us < transactions[first].ended_us:
                raise MalformedHistory(f"T{first} and T{second} of session {session} overlap in time")
    return by_session


def session_edges(observations: Observations) -> list[Edge]:
    """Each acknowledged transaction before the next of its session."""
    edges = []
    for indices in sessions(observations).values():
        previous = None
        for index in indices:
            if previous is not None:
                edges.append(Edge(previous, index, EdgeKind.SESSION))
            if observations.acknowledged(index):
                previous = index
    return edges


def moments(observations: Observations, *, inversions: bool) -> Moments:
    """Real-time order among strong, counted transactions. Without `inversions`, reading precedes nothing."""
    transactions = observations.transactions
    strong = [index for index, one in enumerate(transactions) if observations.counted[index] and one.strong]
    begins = sorted(strong, key=lambda index: transactions[index].began_us)
    ends = sorted(
        (index for index in strong if observations.acknowledged(index) and (inversions or transactions[index].writes)),
        key=lambda index: transactions[index].ended_us,
    )
    entered: list[tuple[int, int]] = []
    left: list[tuple[int, int]] = []
    moment = -1
    moment_closed = True
    next_end = 0
    for index in begins:
        began_us = transactions[index].began_us
        while next_end < len(ends) and transactions[ends[next_end]].ended_us < began_us:
            if moment_closed:
                moment += 1
                moment_closed = False
            entered.append((ends[next_end], moment))
            next_end += 1
        if moment >= 0:
            left.append((moment, index))
            moment_closed = True
    return Moments(moment + 1, entered, left)


def explain(edge: Edge, transactions: Sequence[Transaction]) -> str:
    """An edge in words."""
    source, target = f"T{edge.source}", f"T{edge.target}"
    before, after = _show(edge.before), _show(edge.after)
    match edge.kind:
        case EdgeKind.WW:
            return f"{source} → {target} (ww): {target} wrote {edge.key} = {after} after {source} had written {before}"
        case EdgeKind.WR:
            return f"{source} → {target} (wr): {target} read {edge.key} = {before}, which {source} wrote"
        case EdgeKind.RW:
            return f"{source} → {target} (rw): {source} read {edge.key} = {before} and did not see {after}, which {target} wrote"
        case EdgeKind.SESSION:
            return f"{source} → {target} (session): {target} came after {source} in the same session"
        case EdgeKind.REAL_TIME:
            ended_us, began_us = transactions[edge.source].ended_us, transactions[edge.target].began_us
            return (
                f"{source} → {target} (real time): {source} was acknowledged at {ended_us} µs, {target} began at "
                f"{began_us} µs, {began_us - ended_us} µs later"
            )
    raise AssertionError(edge.kind)


def _show(version: Content) -> str:
    if isinstance(version, tuple):
        return show_elements(version)
    return "nothing" if version is None else str(version)
