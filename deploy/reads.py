"""Strong reads of a member: `frontend.reads.StrongReads` over the journal.

    local    this node leads with a lease: what is committed is known here; waits for nothing but its own applying
    index    the leader is asked how far, one question for all who wait (`Replica.read_barrier`)
    clock    closed time has passed "now" on every clock (`Replica.wait_closed`)

The first two are one call, because the replica knows by itself when it may answer without a question. With fast commit a
lease is not enough (journal/DESIGN.md), and that call waits as long as it must.

**By the clock.** A commit timestamp is taken from the leader's clock, at most e ahead of true time, and this node's clock is at
most e behind, so a read that waits until now + 2e is closed has everything that was acknowledged before it began, where e
bounds the error of every member's clock. A configured bound is meant so. A kernel's is only this host's; the others' are taken to
be at most `ERROR_US_MAX`, above which a node does not decide by clock either. Bounds may be false, so members compare their clocks, and
the clock serves only where nothing contradicts it (`Replica.may_read_by_clock`). The leader is asked as well, and
whichever comes first will do, because each of the two suffices: where clocks are good and timestamps lead, the clock has
answered before the question is even sent.
"""

from __future__ import annotations

import asyncio
from typing import Literal

from frontend.errors import SqlError
from frontend.reads import BarrierDone
from journal.environment import WallClock
from journal.event import Verdict
from journal.replica import Replica

ERROR_US_MAX = 10_000
"""A clock whose error may be larger is of no use for reads."""

Path = Literal["local", "index", "clock"]


class ReplicaReads:
    """See `frontend.reads.StrongReads`.

    Args:
        preference: the setting `read_path`.
        error_us: bound for every member's clock; None: what the replica's environment says of this one.
        timeout_seconds: after which a read by the clock is refused; the replica has its own.
    """

    def __init__(
        self,
        replica: Replica,
        clock: WallClock,
        *,
        preference: Literal["auto", "local", "index", "clock"],
        error_us: int | None,
        fast_commit: bool,
        timeout_seconds: float,
    ) -> None:
        self._replica = replica
        self._clock = clock
        self._preference = preference
        self._error_us = error_us
        self._fast_commit = fast_commit
        self._timeout = timeout_seconds

    @property
    def path(self) -> Path:
        """What would serve a read now."""
        preference = self._preference
        if preference == "index":
            return "index"
        if preference == "clock":
            return "clock" if self._uncertainty_us() is not None else "index"
        if self._replica.has_lease and not self._fast_commit:
            return "local"
        return "clock" if preference == "auto" and self._uncertainty_us() is not None else "index"

    @property
    def clock_trusted(self) -> bool:
        """See `frontend.reads.StrongReads`."""
        return self._replica.clock_trusted

    @property
    def waits(self) -> bool:
        """Whether the view may lack something now. HOT: 1 µs on a follower, 5 µs on the leader, which works out its lease."""
        if self._replica.is_current and self._preference != "clock":
            return False
        if self._preference in ("index", "local"):
            return True
        uncertainty_us = self._uncertainty_us()
        return uncertainty_us is None or self._replica.closed_us < self._clock.wall_us() + uncertainty_us

    def barrier(self, done: BarrierDone) -> None:
        """See `frontend.reads.StrongReads`."""
        replica = self._replica
        question = _Question(done, 1)
        if self.path == "clock" and (uncertainty_us := self._uncertainty_us()) is not None:
            question.answers_left = 2
            replica.wait_closed(self._clock.wall_us() + uncertainty_us, question.answer, self._timeout)
        if not question.ended:
            replica.read_barrier(question.answer)

    def _uncertainty_us(self) -> int | None:
        """How far "now" on this clock may be behind a timestamp acknowledged before, or None where nobody knows, or the clocks of
        members contradict each other."""
        if not self._replica.may_read_by_clock:
            return None
        if self._error_us is not None:
            return 2 * self._error_us if self._error_us <= ERROR_US_MAX else None
        own_us = self._replica.clock_error_us
        return own_us + ERROR_US_MAX if own_us is not None and own_us <= ERROR_US_MAX else None


class _Question:
    """One or two answers are awaited: the first permission counts, or else the last refusal."""

    __slots__ = ("_done", "answers_left", "ended")

    def __init__(self, done: BarrierDone, answers: int) -> None:
        self._done = done
        self.answers_left = answers
        self.ended = False

    def answer(self, verdict: Verdict | None) -> None:
        """One of them, perhaps from within the question; `done` is called later in any case."""
        if self.ended:
            return
        self.answers_left -= 1
        if verdict is None or not self.answers_left:
            self.ended = True
            asyncio.get_running_loop().call_soon(self._done, None if verdict is None else read_error(verdict))


def read_error(verdict: Verdict) -> SqlError:
    """What the client is told of a read that cannot be confirmed."""
    return SqlError("57P03", "this node cannot make sure of reading the newest data now", detail=verdict.reason or None)
