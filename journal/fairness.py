"""Fairness between regions: on contended rows the leader's own clients wait until they are as likely to lose as the others.

First committer wins, and who is nearer to the leader is first: with plain Raft a proposal of another region is ordered on a snapshot
that is a round trip older than those of the leader's own clients, and each of these commits twice in the meantime.

    a forwarded proposal loses on a key ─▶ the key is *contended* for two seconds
    forwarded proposals that write contended keys ─▶ how old are their snapshots when they come? (median of the last ones)
    a proposal from here that writes a contended key ─▶ ordered when its snapshot is as old

So nothing has to be known of distances, and where the others' snapshots are no older, as with fast commit, nobody waits. Slow clients
elsewhere delay nobody here as long as they are fewer than half; nobody waits longer than `HOLD_SECONDS_MAX`. The age of a snapshot is
counted from its last event's timestamp, a little before it was taken, alike for both sides, as where rows are contended there are events.

What is held has not been ordered: it is in nobody's queue, and whoever asks for the queue to be emptied (`release`) has it back at once.
Bounds: keys, held proposals and their bytes; beyond them nothing is held.

HOT: with nothing contended, the cost is one test of `contended` for each proposal.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from journal.event import Outcome, Proposal, Verdict
from journal.queued import Waiting

CONTENDED_SECONDS = 2.0
"""How long a key is contended after a loss."""
CONTENDED_KEYS_MAX = 1024
HOLD_SECONDS_MAX = 0.25
HELD_MAX = 1024
HELD_BYTES_MAX = 4 << 20
_AGES = 31
"""So many of the newest forwarded proposals are looked at."""
_AGES_MIN = 3


class Fairness:
    """Of one leader.

    Args:
        now_us: the time that commit timestamps are made of, without issuing one.
        release: takes what has been held long enough.

    Attributes:
        contended: key → when it is not any more, the oldest first.
        held: what waits.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, now_us: Callable[[], int], release: Callable[[Waiting], None]
    ) -> None:
        self._loop = loop
        self._now_us = now_us
        self._release = release
        self._ages_us: deque[int] = deque(maxlen=_AGES)
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._held_bytes = 0
        self._next = 0
        self.contended: dict[bytes, float] = {}
        self.held: dict[int, Waiting] = {}

    def decided(self, verdict: Verdict) -> None:
        """What a forwarded proposal came to."""
        if verdict.outcome is not Outcome.CONFLICT:
            return
        contended = self.contended
        contended.pop(verdict.key, None)
        if len(contended) >= CONTENDED_KEYS_MAX:
            del contended[next(iter(contended))]
        contended[verdict.key] = self._loop.time() + CONTENDED_SECONDS

    def forwarded(self, proposal: Proposal) -> None:
        """Another member's proposal has come. To be called where `contended` is not empty."""
        if self._is_contended(proposal):
            self._ages_us.append(self._now_us() - proposal.snapshot)

    def holds(self, waiting: Waiting, proposal: Proposal) -> bool:
        """Whether a proposal from here is held; if not, the caller goes on with it. To be called where `contended` is not empty."""
        if proposal.fragments or not self._is_contended(proposal) or len(self._ages_us) < _AGES_MIN:
            return False
        if len(self.held) >= HELD_MAX or self._held_bytes + len(waiting.data) > HELD_BYTES_MAX:
            return False
        wanted_us = sorted(self._ages_us)[len(self._ages_us) // 2]
        seconds = min((wanted_us - (self._now_us() - proposal.snapshot)) / 1e6, HOLD_SECONDS_MAX)
        if seconds <= 0:
            return False
        number = self._next = self._next + 1
        self.held[number] = waiting
        self._held_bytes += len(waiting.data)
        self._timers[number] = self._loop.call_later(seconds, self._let_go, number)
        return True

    def release(self) -> None:
        """Hold nothing any more: everything goes on at once, in the order in which it came."""
        for number in list(self.held):
            self._timers[number].cancel()
            self._let_go(number)

    def _let_go(self, number: int) -> None:
        del self._timers[number]
        waiting = self.held.pop(number)
        self._held_bytes -= len(waiting.data)
        self._release(waiting)

    def _is_contended(self, proposal: Proposal) -> bool:
        contended, now = self.contended, self._loop.time()
        while contended:
            oldest = next(iter(contended))
            if contended[oldest] > now:
                return any(key in contended for key, _, _ in proposal.writes)
            del contended[oldest]
        self._ages_us.clear()
        return False
