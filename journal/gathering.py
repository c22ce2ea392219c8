"""Group commit on a busy loop: when to stop waiting for more proposals and order a block.

Every synchronization costs about as much of the loop as ordering and applying two small transactions. While the disk is the
bottleneck, whatever comes during a synchronization makes the next block, and nothing has to be decided. While the loop's core is,
a fast disk is done long before the loop has seen all its clients again, and blocks of one or two proposals eat the time that
the clients' statements need. So a block waits, but only for work that is already at hand:

- it goes as soon as the loop has nothing else to do, unless an earlier block is on its way to other members that are near, or
- when `_SHARE` of the transactions that commit concurrently are in it; the others' statements then run while the disk works, or
- after `_SECONDS_MAX`.

So a single client never waits, and with eight clients on one core a block holds six transactions instead of two. At a leader of
several members each block costs every one of them half a millisecond, whatever is in it. Across a wide area, where a block is
always on its way, waiting for it would add to every commit, and is not done (`_ROUND_SECONDS_MAX`).

HOT PATH: once per turn of the loop while a block waits. Measured (loadtest/compare.py, simple-update, prepared, 8 clients): a sixth
more transactions, a fifth less processor time for each; TPC-B-like: 7 % more. Three nodes on two cores, five pairs of two seconds with the
build before: 1 to 32 clients 1.05 to 1.25 times as many, 8 to 30 % less processor time at each node.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable

from journal.environment import DiskFile

_SHARE = 0.75
_SECONDS_MAX = 0.002
_BUSY_SECONDS = 25e-6
"""A turn of the loop that took longer had something else to do."""
_ROUND_SECONDS_MAX = 0.003
"""Other members are near if a block is applied so soon after it was ordered."""
_FORGETTING = 1 / 16


class Wait(enum.IntEnum):
    """What a block waits for."""

    NO = 0
    TURN = 1
    """The next turn of the loop."""
    REST = 2
    """Whatever comes next: the loop has nothing to do."""


class Gathering:
    """Decides for one replica.

    Args:
        seconds: a clock that advances while the loop works.

    Attributes:
        concurrent: how many transactions commit at the same time, by what was seen lately.
        round_seconds: from ordering a block to applying it, smoothed.
    """

    __slots__ = ("_began", "_looked", "_seconds", "concurrent", "round_seconds")

    def __init__(self, seconds: Callable[[], float] = time.perf_counter) -> None:
        self._seconds = seconds
        self._began = self._looked = 0.0
        self.concurrent = 0.0
        self.round_seconds = 0.0

    def waits(self, count: int, in_flight: bool) -> Wait:
        """Whether the block is to wait, and for what.

        Args:
            count: proposals at hand.
            in_flight: whether an earlier block is on its way to the other members' disks.
        """
        if count >= _SHARE * self.concurrent:
            return Wait.NO
        now = self._seconds()
        if not self._began:
            self._began = self._looked = now
            return Wait.TURN
        busy = now - self._looked > _BUSY_SECONDS
        self._looked = now
        if now - self._began >= _SECONDS_MAX:
            return Wait.NO
        if busy:
            return Wait.TURN
        return Wait.REST if in_flight and self.round_seconds < _ROUND_SECONDS_MAX else Wait.NO

    def ordered(self) -> None:
        """A block goes to the disk; perhaps another one with it."""
        self._began = 0.0

    def synchronized(self, committing: int) -> None:
        """The disk is done; so many proposals are ordered and not applied, or wait."""
        self.concurrent = max(committing, self.concurrent - self.concurrent * _FORGETTING)

    def applied(self, seconds: float) -> None:
        """A block was applied, so long after it was ordered."""
        self.round_seconds += (seconds - self.round_seconds) / 8


def gathering_for(file: DiskFile) -> Gathering | None:
    """None for a simulated disk, whose time is not the host's."""
    return Gathering() if file.fileno() >= 0 else None
