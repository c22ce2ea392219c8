"""What the clients of a run did and were told: the evidence that the checks judge.

Only what a living process saw is recorded: an answer that a machine was about to give when it stopped was never given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from journal.event import Lock, Outcome, Verdict, Write
from tests.checker.history import ReadPath

Trace = Callable[[str, str], None]
"""(node, what happened)"""


@dataclass
class Attempt:
    """One transaction: what it read, what it proposed, what it was told.

    Attributes:
        txid: its id.
        node: where it ran.
        client, process: its session.
        read_path: how it got its snapshot; AS_OF: it took what was there.
        began_us, ended_us: true time before the snapshot was asked for, and when the last answer came.
        snapshot: commit timestamp it read at.
        reads: key → value as read at the snapshot (None: no such row).
        writes, locks, read_keys, ranges: as proposed.
        outcome: the verdict's; None: no answer, or UNKNOWN.
        position, commit_ts: when it committed.
        answered: whether a verdict came.
        ever_unknown: some proposal of this id was answered UNKNOWN, so that a later refusal to order says nothing of it.
        resolved: what `resolve` said after UNKNOWN.
    """

    txid: int
    node: str
    client: str
    process: int
    read_path: ReadPath
    began_us: int
    snapshot: int
    reads: dict[bytes, bytes | None] = field(default_factory=dict)
    ended_us: int = 0
    writes: list[Write] = field(default_factory=list)
    locks: list[Lock] = field(default_factory=list)
    read_keys: list[bytes] = field(default_factory=list)
    ranges: list[tuple[bytes, bytes]] = field(default_factory=list)
    outcome: Outcome | None = None
    position: int = 0
    commit_ts: int = 0
    winner: int = 0
    conflict_key: bytes = b""
    answered: bool = False
    ever_unknown: bool = False
    resolved: str = ""


@dataclass
class SnapshotRead:
    """A read-only transaction: values as read at a snapshot. See Attempt."""

    node: str
    client: str
    process: int
    read_path: ReadPath
    began_us: int
    ended_us: int
    snapshot: int
    reads: dict[bytes, bytes | None]


class History:
    """All attempts and reads of a run.

    Attributes:
        attempts: by transaction id; several in a row where an id was proposed again.
        reads: read-only transactions.
        newest_acknowledged: largest commit timestamp that any client has been told of, at this moment.
        commits, refusals, unknowns: counts.
        strong_reads: by read path.
        last_commit_began: virtual seconds.
        examined: what the checkers have looked at, and how much of it.
    """

    def __init__(self) -> None:
        self.attempts: dict[int, Attempt] = {}
        self.reads: list[SnapshotRead] = []
        self.newest_acknowledged = 0
        self.commits = 0
        self.refusals = 0
        self.unknowns = 0
        self.strong_reads: Counter[ReadPath] = Counter()
        self.examined: dict[str, int] = {}
        self.last_commit_began = -1.0
        self.violations: list[str] = []

    def violation(self, what: str) -> None:
        """Something that must not be, seen while running."""
        if len(self.violations) < 20:
            self.violations.append(what)

    def begin(self, attempt: Attempt) -> None:
        """The attempt is about to be proposed."""
        if attempt.txid in self.attempts:
            self.violation(f"transaction id {attempt.txid} was given out twice")
        self.attempts[attempt.txid] = attempt

    def answer(self, attempt: Attempt, verdict: Verdict, began: float, now_us: int) -> None:
        """The client got a verdict."""
        attempt.ended_us = now_us
        if verdict.outcome is Outcome.UNKNOWN:
            self.unknowns += 1
            attempt.ever_unknown = True
            attempt.answered = True
            return
        if verdict.committed:
            self.commits += 1
            self.newest_acknowledged = max(self.newest_acknowledged, verdict.commit_ts)
            self.last_commit_began = max(self.last_commit_began, began)
            if attempt.outcome is Outcome.COMMITTED and attempt.position != verdict.position:
                self.violation(f"{attempt.txid} committed at {attempt.position} and again at {verdict.position}")
        else:
            self.refusals += 1
            if attempt.ever_unknown and verdict.outcome in SAY_NOTHING_OF_EARLIER:
                return
        attempt.answered = True
        attempt.outcome = verdict.outcome
        attempt.position, attempt.commit_ts = verdict.position, verdict.commit_ts
        attempt.winner, attempt.conflict_key = verdict.winner, verdict.key


SAY_NOTHING_OF_EARLIER = frozenset(
    {Outcome.NOT_LEADER, Outcome.OVERLOADED, Outcome.DISK_FULL, Outcome.TOO_LARGE, Outcome.TOO_OLD}
)
"""Refusals of a second proposal of one id that leave open what became of the first: it was not ordered, or it is so old
that the journal may have forgotten the first (within the window, it answers with the first verdict)."""
