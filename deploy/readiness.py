"""Whether a member can serve: it has applied everything that was committed, and a majority says so.

A strong read's barrier is exactly that question, so it is asked for this, too: when the node starts, until it is answered
(*joining*), and then twice a second, one small message to the leader each time. A node that has had no answer for a while
is not ready: load balancers send clients elsewhere, and `boreal status` says that it waits for a majority.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from journal.event import Verdict
from journal.reads import ReadCallback

INTERVAL_SECONDS = 0.5
FRESH_SECONDS = 2.0
"""An answer older than this proves nothing."""


class Readiness:
    """Asks, and remembers when it was answered.

    Args:
        barrier: `Replica.read_barrier`, but not for a client.

    Attributes:
        reason: why the last question was refused; "" if it was not.
    """

    def __init__(self, barrier: Callable[[ReadCallback], None]) -> None:
        self._barrier = barrier
        self._confirmed = -1e9
        self._asking = False
        self._answered = asyncio.Event()
        self.reason = "nobody has been asked yet"

    @property
    def has_majority(self) -> bool:
        """Whether this node lately had everything that was committed."""
        return time.monotonic() - self._confirmed < FRESH_SECONDS

    async def joined(self, seconds_max: float) -> bool:
        """Wait until the first question is answered; False if it is not within that time."""
        try:
            await asyncio.wait_for(self._answered.wait(), seconds_max)
        except TimeoutError:
            return False
        return True

    async def run(self) -> None:
        """Ask, again and again; ends when it is cancelled."""
        while True:
            if not self._asking:
                self._asking = True
                self._barrier(self._on_answer)
            await asyncio.sleep(INTERVAL_SECONDS if self._answered.is_set() else 0.05)

    def _on_answer(self, verdict: Verdict | None) -> None:
        self._asking = False
        if verdict is None:
            self._confirmed = time.monotonic()
            self._answered.set()
        self.reason = "" if verdict is None else verdict.reason
