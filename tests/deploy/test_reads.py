"""Which read path serves, whether a read has to wait, and what it waits for.

Method: `ReplicaReads` over a replica that is what a test says it is. That the journal's own answers are right is shown in
tests/journal/test_reads.py; here the choice between them is.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from deploy.reads import ERROR_US_MAX, ReplicaReads
from frontend.errors import SqlError
from journal.event import Outcome, Verdict
from journal.reads import ReadCallback

NOW_US = 1_000_000_000
REFUSED = Verdict(Outcome.NOT_LEADER, reason="the leader is not known")


@dataclass
class FakeReplica:
    has_lease: bool = False
    is_current: bool = False
    closed_us: int = 0
    clock_error_us: int | None = None
    may_read_by_clock: bool = True
    asked: list[ReadCallback] = field(default_factory=list)
    closing: list[tuple[int, ReadCallback]] = field(default_factory=list)

    def read_barrier(self, callback: ReadCallback) -> None:
        if self.is_current:
            callback(None)
        else:
            self.asked.append(callback)

    def wait_closed(self, timestamp_us: int, callback: ReadCallback, timeout_seconds: float) -> None:
        assert timeout_seconds == 1.0
        if self.closed_us >= timestamp_us:
            callback(None)
        else:
            self.closing.append((timestamp_us, callback))


class FixedClock:
    def wall_us(self) -> int:
        return NOW_US

    def monotonic(self) -> float:
        return 0.0


def reads(
    replica: FakeReplica, preference: str = "auto", error_us: int | None = None, fast: bool = False
) -> ReplicaReads:
    return ReplicaReads(
        replica,  # type: ignore[arg-type]
        FixedClock(),
        preference=preference,  # type: ignore[arg-type]
        error_us=error_us,
        fast_commit=fast,
        timeout_seconds=1.0,
    )


LEADER = {"has_lease": True, "is_current": True}


@pytest.mark.parametrize(
    ("preference", "leads", "fast", "error_us", "path"),
    [
        ("auto", True, False, None, "local"),
        ("auto", True, False, 100, "local"),
        ("auto", True, True, None, "index"),  # with fast commit a lease is not enough
        ("auto", True, True, 100, "clock"),
        ("auto", False, False, None, "index"),
        ("auto", False, False, 100, "clock"),
        ("auto", False, False, ERROR_US_MAX + 1, "index"),
        ("local", True, False, 100, "local"),
        ("local", False, False, 100, "index"),
        ("index", True, False, 100, "index"),
        ("index", False, False, 100, "index"),
        ("clock", True, False, 100, "clock"),
        ("clock", False, False, 100, "clock"),
        ("clock", False, False, None, "index"),
    ],
)
def test_path(preference: str, leads: bool, fast: bool, error_us: int | None, path: str) -> None:
    replica = FakeReplica(**(LEADER if leads else {}))
    assert reads(replica, preference, error_us, fast).path == path
    measured = FakeReplica(**(LEADER if leads else {}), clock_error_us=error_us)
    assert reads(measured, preference, None, fast).path == path


@pytest.mark.parametrize("preference", ["auto", "clock"])
def test_a_clock_that_others_contradict_does_not_serve(preference: str) -> None:
    replica = FakeReplica(closed_us=2 * NOW_US, clock_error_us=50, may_read_by_clock=False)
    for error_us in (None, 100):
        subject = reads(replica, preference, error_us)
        assert subject.path == "index"
        assert subject.waits
    Barrier(subject)
    assert len(replica.asked) == 1
    assert not replica.closing


def test_who_has_everything_need_not_wait() -> None:
    assert not reads(FakeReplica(**LEADER)).waits
    assert reads(FakeReplica(has_lease=True)).waits  # it has not applied all that is committed
    assert reads(FakeReplica()).waits
    assert reads(FakeReplica(closed_us=2 * NOW_US)).waits  # nothing is known of clocks
    assert reads(FakeReplica(closed_us=2 * NOW_US), "index", 100).waits


def test_by_the_clock_both_errors_count() -> None:
    """The leader's clock may be ahead by the bound, and this one behind by as much."""
    assert reads(FakeReplica(closed_us=NOW_US + 199), error_us=100).waits
    assert not reads(FakeReplica(closed_us=NOW_US + 200), error_us=100).waits
    measured = FakeReplica(closed_us=NOW_US + 50 + ERROR_US_MAX, clock_error_us=50)
    assert not reads(measured).waits
    measured.closed_us -= 1
    assert reads(measured).waits
    assert reads(FakeReplica(**LEADER), "clock", 100).waits  # asked to decide by the clock alone


class Barrier:
    """One call of `barrier`, and what was answered."""

    def __init__(self, subject: ReplicaReads) -> None:
        self.answers: list[SqlError | None] = []
        subject.barrier(self.answers.append)
        assert not self.answers, "never from within the call"

    async def settled(self) -> list[SqlError | None]:
        await asyncio.sleep(0)
        return self.answers


def test_barrier_by_index() -> None:
    async def test() -> None:
        replica = FakeReplica()
        barrier = Barrier(reads(replica))
        assert await barrier.settled() == []
        assert not replica.closing
        replica.asked[0](None)
        assert await barrier.settled() == [None]
        refused = Barrier(reads(replica))
        replica.asked[1](REFUSED)
        (error,) = await refused.settled()
        assert isinstance(error, SqlError)
        assert (error.sqlstate, error.detail) == ("57P03", REFUSED.reason)
        assert await Barrier(reads(FakeReplica(**LEADER))).settled() == [None]

    asyncio.run(test())


@pytest.mark.parametrize("first", ["clock", "leader"])
def test_barrier_by_the_clock_takes_the_first_permission(first: str) -> None:
    async def test() -> None:
        replica = FakeReplica()
        barrier = Barrier(reads(replica, error_us=100))
        ((timestamp_us, closed),) = replica.closing
        assert timestamp_us == NOW_US + 200
        one, other = (closed, replica.asked[0]) if first == "clock" else (replica.asked[0], closed)
        one(None)
        assert await barrier.settled() == [None]
        other(REFUSED)
        other(None)
        assert await barrier.settled() == [None]

    asyncio.run(test())


def test_barrier_by_the_clock_is_refused_by_both_only() -> None:
    async def test() -> None:
        replica = FakeReplica()
        barrier = Barrier(reads(replica, error_us=100))
        replica.asked[0](REFUSED)
        assert await barrier.settled() == []
        replica.closing[0][1](REFUSED)
        (error,) = await barrier.settled()
        assert error is not None
        closed = FakeReplica(closed_us=NOW_US + 200)
        assert await Barrier(reads(closed, error_us=100)).settled() == [None]
        assert not closed.asked

    asyncio.run(test())
