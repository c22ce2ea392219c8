"""Replies of one turn of the event loop go out together.

Writing to a socket wakes the client that waits for the reply, and waking a process on another core costs more than handling its
message (an interrupt between processors, on a virtual machine through the hypervisor). A client that drives several connections
is awake after the first write. So a connection does not write when its message is done: it queues here, and all are written
when the messages that have arrived together are done, or `COUNT_MAX` replies are ready, so that the client can go on while
the rest is worked on.

With pgbench, one process for all its connections, this is worth half as many transactions again (8 clients, simple-update);
with one connection it costs a turn of the loop, two microseconds. loadtest/compare.py guards it.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

COUNT_MAX = 4


class Flushable(Protocol):
    """A connection with output to write."""

    def flush(self) -> None:
        """Write it."""


class SharedOutput:
    """The connections of one event loop whose output is ready."""

    __slots__ = ("_loop", "_ready", "_scheduled")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ready: list[Flushable] = []
        self._scheduled = False

    def add(self, connection: Flushable) -> None:
        """Have the connection flushed in this turn of the loop or at the beginning of the next."""
        ready = self._ready
        ready.append(connection)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)
        elif len(ready) >= COUNT_MAX:
            self._flush()

    def _turn(self) -> None:
        self._scheduled = False
        self._flush()

    def _flush(self) -> None:
        ready, self._ready = self._ready, []
        for connection in ready:
            connection.flush()
