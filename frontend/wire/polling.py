"""Busy polling: look for the next message a moment longer before the process goes to sleep.

A client that has just got its answer usually sends its next message within microseconds. Letting the kernel put the process to
sleep and wake it again costs more than that, on a virtual machine several times more. So after each batch of messages the event
loop polls for `seconds` without sleeping. While clients are active this shortens each round trip; when they are not, it
costs nothing.
"""

from __future__ import annotations

import asyncio
from time import perf_counter


class BusyPoll:
    """Keeps the loop awake for a moment after activity.

    Args:
        loop: the loop to keep awake.
        seconds: for how long; 0 switches it off.
    """

    __slots__ = ("_loop", "_seconds", "_spinning", "_until")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._loop = loop
        self._seconds = seconds
        self._spinning = False
        self._until = 0.0

    def touch(self) -> None:
        """There was activity."""
        self._until = perf_counter() + self._seconds
        if not self._spinning and self._seconds:
            self._spinning = True
            self._loop.call_soon(self._spin)

    def _spin(self) -> None:
        if perf_counter() < self._until:
            self._loop.call_soon(self._spin)
        else:
            self._spinning = False
