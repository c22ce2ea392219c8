"""Follow events from a position: first what the event log holds, then what happens.

A feed reads from the event log also when it has caught up, so it needs no buffer of its own and a slow follower costs
nobody anything: it is simply further behind. Between events it sleeps until the replica's frontier moves. Events come in
batches of bounded size; a large event comes in its parts.

The remote half, the same over a connection, belongs to the cluster.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from journal.event import Event
from journal.eventlog import EventLog

BATCH_EVENTS_MAX = 256
BATCH_BYTES_MAX = 1 << 20


class Source(Protocol):
    """What a local feed follows; a Replica is one."""

    @property
    def events(self) -> EventLog:
        """The event log."""
        ...

    @property
    def frontier(self) -> tuple[int, int]:
        """(position, commit_ts) of the last event published."""
        ...

    async def applied(self, position: int) -> None:
        """Wait until the frontier has reached a position."""
        ...


async def follow(source: Source, position: int) -> AsyncIterator[list[Event]]:
    """Batches of events from `position` on, for ever.

    Raises:
        IndexError: the position is not retained any more.
        BorealError: the source has stopped.
    """
    while True:
        await source.applied(position)
        end = source.frontier[0]
        batch: list[Event] = []
        size = 0
        for event in source.events.read(position):
            if event.position > end:
                break
            batch.append(event)
            size += sum(len(key) + len(value) for key, value, _ in event.writes)
            if len(batch) >= BATCH_EVENTS_MAX or size >= BATCH_BYTES_MAX:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch
        position = end + 1
