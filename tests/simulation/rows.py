"""A view in memory: all versions of all keys, readable at any snapshot. Two microseconds an event instead of RocksDB's files."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from journal.event import Event


class Rows:
    """What a `storage.view.View` promises, without the files.

    Attributes:
        position, snapshot: the frontier.
        flushed: the frontier (position, commit timestamp) that a crash leaves.
    """

    def __init__(self) -> None:
        self.position = 0
        self.snapshot = 0
        self.flushed = (0, 0)
        self._stamps: dict[bytes, list[int]] = {}
        self._values: dict[bytes, list[bytes]] = {}

    def apply(self, events: Sequence[Event]) -> None:
        """The next events, or parts; those at or below the frontier are skipped."""
        for event in events:
            if event.position <= self.position:
                continue
            if event.position != self.position + 1:
                raise AssertionError(f"a view at position {self.position} was given event {event.position}")
            for key, value, _ in event.writes:
                stamps = self._stamps.setdefault(key, [])
                values = self._values.setdefault(key, [])
                if stamps and stamps[-1] == event.commit_ts:
                    values[-1] = value
                else:
                    stamps.append(event.commit_ts)
                    values.append(value)
            if not event.more:
                self.position = event.position
                self.snapshot = event.commit_ts

    def get(self, key: bytes, snapshot: int) -> bytes | None:
        """The value that a snapshot sees; None where there is no row."""
        stamps = self._stamps.get(key)
        if not stamps:
            return None
        place = bisect_right(stamps, snapshot)
        return (self._values[key][place - 1] or None) if place else None

    def flush(self) -> None:
        """What is here now survives a crash."""
        self.flushed = (self.position, self.snapshot)

    def crash(self) -> None:
        """Back to what was flushed. Parts of an event that had not ended by then are gone, too."""
        self.position, self.snapshot = self.flushed
        for key, stamps in self._stamps.items():
            keep = bisect_right(stamps, self.snapshot)
            del stamps[keep:], self._values[key][keep:]

    def contents(self) -> dict[bytes, list[tuple[int, bytes]]]:
        """Every version of every key."""
        return {
            key: list(zip(stamps, self._values[key], strict=True)) for key, stamps in self._stamps.items() if stamps
        }


def replay(events: Iterable[Event]) -> Rows:
    """A view made of nothing but the event log."""
    rows = Rows()
    for event in events:
        rows.apply([event])
    return rows
