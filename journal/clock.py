"""The hybrid clock: timestamps that follow the host's clock and never repeat or go back.

A timestamp is an int, microseconds since the Unix epoch. `now_us` returns the host's time, or one more than the last
timestamp issued or seen, whichever is larger; `observe` feeds in what other nodes issued. A host clock that jumps back
therefore costs nothing but recency, and isolation never depends on it: conflicts compare commit timestamps, which are
log order (architecture §3).

The error bound says how far the host's clock may be from true time: what a synchronization daemon reports. It is None
while unknown, and then nobody may decide by clock (the `clock` read path falls back to `index`).
"""

from __future__ import annotations

from journal.environment import WallClock
from journal.errors import BorealError


class ClockAhead(BorealError):
    """Another node's timestamp is so far ahead that following it would spoil this node's clock."""

    sqlstate = "58000"


class HybridClock:
    """Timestamps for blocks.

    Args:
        source: the host's clock.
        error_bound_us: how far the host's clock may be off, or None while unknown.
        ahead_us_max: `observe` refuses timestamps further than this ahead of the host's clock.
        lead_us: how far timestamps run ahead of the host's clock (architecture §4, `commit_lead_ms`).
    """

    __slots__ = ("_last_us", "_lead_us", "_source", "ahead_us_max", "error_bound_us")

    def __init__(
        self,
        source: WallClock,
        *,
        error_bound_us: int | None = None,
        ahead_us_max: int = 3600 * 1_000_000,
        lead_us: int = 0,
    ) -> None:
        self._source = source
        self._lead_us = lead_us
        self._last_us = 0
        self.error_bound_us = error_bound_us
        self.ahead_us_max = ahead_us_max

    @property
    def last_us(self) -> int:
        """The largest timestamp issued or observed."""
        return self._last_us

    @property
    def present_us(self) -> int:
        """The time that `now_us` would be made of, or the largest timestamp if that is later. Issues nothing."""
        return max(self._source.wall_us() + self._lead_us, self._last_us)

    def now_us(self) -> int:
        """A timestamp larger than every one issued or observed before."""
        now = self._source.wall_us() + self._lead_us
        if now <= self._last_us:
            now = self._last_us + 1
        self._last_us = now
        return now

    def observe(self, timestamp_us: int) -> None:
        """Never issue anything at or below `timestamp_us` from now on.

        For timestamps in the committed log, which bind in any case. Use `check` before accepting a peer's offer.
        """
        if timestamp_us > self._last_us:
            self._last_us = timestamp_us

    def check(self, timestamp_us: int) -> None:
        """Raise ClockAhead if a timestamp that is not committed yet is too far ahead of the host's clock."""
        ahead_us = timestamp_us - self._source.wall_us()
        if ahead_us > self.ahead_us_max:
            raise ClockAhead(f"timestamp {timestamp_us} is {ahead_us} µs ahead of this host's clock")

    def uncertainty(self) -> tuple[int, int] | None:
        """(earliest, latest) true time in µs since the epoch, or None while the error is unknown."""
        if self.error_bound_us is None:
            return None
        now = self._source.wall_us()
        return now - self.error_bound_us, now + self.error_bound_us
