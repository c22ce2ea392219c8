"""What the connections of one event loop share in each of its turns: replies go out together, and the loop stays awake a moment.

**Replies.** Writing to a socket wakes the client that waits for it, and waking a process on another core costs more than handling
its message (an interrupt between processors, on a virtual machine through the hypervisor). A client that drives several
connections is awake after the first write. So a connection does not write when its message is done: it queues here, and
`REPLIES_MAX` are written at a time, and the rest when the messages that have arrived together are done. With pgbench (8 clients,
simple-update) this is worth half as many transactions again; a single connection pays two microseconds. Four at a time would not do:
the client that the first write woke then takes the loop's core before the rest is written (1.7 times a transaction, instead of 0.6).

**Busy polling.** A client that has just got its answer usually sends its next message within microseconds. Letting the kernel put
the process to sleep and wake it again costs more than that. So after activity the event loop polls for a moment without sleeping.

HOT PATH: `add` (or its two lines) or, without a reply, `touch` runs once a message, `_turn` once a turn of the loop. Guarded by
loadtest/compare.py.
"""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Protocol

REPLIES_MAX = 16
"""Replies that are written together; then the clients can go on while the loop works on the other messages."""


class Flushable(Protocol):
    """A connection with output to write."""

    def flush(self) -> None:
        """Write it."""


class LoopTurn:
    """See the module's text.

    Args:
        loop: the event loop.
        poll_seconds: how long it stays awake after activity; 0 lets it sleep at once.

    Attributes:
        ready: connections with replies to write. `add` puts them here; whoever does so itself calls `added`, if this was not `scheduled`
            or there are `REPLIES_MAX` now.
        scheduled: the next turn of the loop comes by here.
    """

    __slots__ = ("_active", "_loop", "_poll_seconds", "_poll_until", "ready", "scheduled")

    def __init__(self, loop: asyncio.AbstractEventLoop, poll_seconds: float = 0.0) -> None:
        self._loop = loop
        self._poll_seconds = poll_seconds
        self._poll_until = 0.0
        self.ready: list[Flushable] = []
        self._active = False
        self.scheduled = False

    def touch(self) -> None:
        """There is activity."""
        self._active = True
        if not self.scheduled:
            self.scheduled = True
            self._loop.call_soon(self._turn)

    def add(self, connection: Flushable) -> None:
        """There is activity; have the connection flushed in this turn of the loop or at the beginning of the next."""
        self.ready.append(connection)
        self.added()

    def added(self) -> None:
        """Something is `ready`."""
        if len(self.ready) >= REPLIES_MAX:
            self._flush()
        elif not self.scheduled:
            self.scheduled = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        if self.ready:
            self._flush()
        if self._poll_seconds:
            now = perf_counter()
            if self._active:
                self._active = False
                self._poll_until = now + self._poll_seconds
            if now < self._poll_until:
                self._loop.call_soon(self._turn)
                return
        self.scheduled = False

    def _flush(self) -> None:
        self._active = True
        ready, self.ready = self.ready, []
        for connection in ready:
            connection.flush()
