"""Closed time: a moment up to which this node knows everything, for reads without a question (the `clock` path).

The leader promises, with every AppendEntries and beside them: whoever has applied entry i will see no further event with
a commit timestamp at or below c. It keeps the promise by taking c from its hybrid clock, which never issues anything at
or below it again; events of entries up to i are covered by "has applied". A follower's `closed_us` is the largest c whose
entry it has applied.

**Across leaders.** A promise is only given under the lease, and the next leader is elected after it has ended, by at
least a fifth of the minimum election timeout; it takes its timestamps from its own clock, or from the largest promise
that it or its voters have heard of, whichever is later. So a promise can be broken only by a clock that is wrong by more
than that, of a leader whose voters all missed the promise. Like every clock error this costs recency, not isolation: what
a snapshot holds is decided by log order.

A leader whose clock the others' contradict promises nothing (`journal.clockwatch`).

With `commit_lead_ms` the hybrid clock runs ahead of the host's, so what is promised lies in the future, and a reader with
a good clock finds "now" closed already.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from journal.event import Outcome, Verdict
from journal.reads import ReadCallback

PROMISES_MAX = 1024
WAITERS_MAX = 100_000


class _Waiter(NamedTuple):
    timestamp_us: int
    deadline: float
    callback: ReadCallback


class ClosedTime:
    """Promises in, the closed timestamp out.

    Attributes:
        closed_us: no event with a commit timestamp at or below this will be published here any more.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, applied: Callable[[], int]) -> None:
        self._loop = loop
        self._applied = applied
        self._promises: deque[tuple[int, int]] = deque()
        self._waiters: list[_Waiter] = []
        self.closed_us = 0

    def promised(self, index: int, closed_us: int) -> None:
        """A promise of the present leader."""
        if closed_us <= self.closed_us:
            return
        promises = self._promises
        if index <= self._applied():
            self.closed_us = closed_us
            promises.clear()
            self._let_go()
            return
        if promises and promises[-1][1] >= closed_us:
            return
        if promises and promises[-1][0] == index:
            promises.pop()
        promises.append((index, closed_us))
        if len(promises) > PROMISES_MAX:
            # Fewer steps on the way to the same end.
            self._promises = deque(list(promises)[1::2])

    def progressed(self) -> None:
        """More has been applied."""
        promises = self._promises
        if not promises:
            return
        applied = self._applied()
        moved = False
        while promises and promises[0][0] <= applied:
            self.closed_us = max(self.closed_us, promises.popleft()[1])
            moved = True
        if moved:
            self._let_go()

    def wait(self, timestamp_us: int, callback: ReadCallback, timeout_seconds: float) -> None:
        """See `Replica.wait_closed`."""
        if self.closed_us >= timestamp_us:
            callback(None)
        elif len(self._waiters) >= WAITERS_MAX:
            callback(Verdict(Outcome.OVERLOADED, reason=f"{WAITERS_MAX} reads are waiting for closed time"))
        else:
            self._waiters.append(_Waiter(timestamp_us, self._loop.time() + timeout_seconds, callback))

    def on_timer(self) -> None:
        """Refuse whoever has waited too long."""
        if not self._waiters:
            return
        now = self._loop.time()
        refused = Verdict(Outcome.NOT_LEADER, reason=f"closed time is still at {self.closed_us}")
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if waiter.deadline <= now:
                self._loop.call_soon(waiter.callback, refused)
            else:
                self._waiters.append(waiter)

    def stop(self, reason: str) -> None:
        """Refuse everybody."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            self._loop.call_soon(waiter.callback, Verdict(Outcome.NOT_LEADER, reason=reason))

    def _let_go(self) -> None:
        if not self._waiters:
            return
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if waiter.timestamp_us <= self.closed_us:
                self._loop.call_soon(waiter.callback, None)
            else:
                self._waiters.append(waiter)
