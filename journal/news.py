"""Who hears at once that entries are committed: a follower that somebody works at. HOT at the leader: once per peer and block.

What a leader sends tells how far entries are committed, so that under load the news of one block rides on the next. When there is
no next, telling costs a message to each peer, a tenth of all that a single client's commit costs three nodes. It is worth it

- at once for a peer that has forwarded something or asked for a strong read within `_WORKING_SECONDS`: its clients wait;
- after `_SECONDS`, unless something else was sent meanwhile, for any other that has a view: its change stream waits;
- with the next entries or heartbeat for a witness, which has neither.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

_WORKING_SECONDS = 1.0
_SECONDS = 0.005


class News:
    """Decides for one leader.

    Args:
        is_witness: whether a peer has no view.
        announce: has the consensus ask `is_awaited_by` again, for every peer that has not heard yet.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, is_witness: Callable[[str], bool], announce: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._is_witness = is_witness
        self._announce = announce
        self._worked: dict[str, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._is_due = False

    def works(self, name: str) -> None:
        """A peer forwards or asks something."""
        was_working = self._is_working(name)
        self._worked[name] = self._loop.time()
        if not was_working:
            self._announce()

    def is_awaited_by(self, name: str) -> bool:
        """Whether this peer is to hear now; if it is later, that is seen to."""
        if self._is_working(name):
            return True
        if self._is_witness(name):
            return False
        if not self._is_due:
            self.waits()
        return self._is_due

    def waits(self) -> None:
        """Something is to be sent soon, if nothing else comes."""
        if self._timer is None:
            self._timer = self._loop.call_later(_SECONDS, self._due)

    def told(self) -> None:
        """All have been asked about."""
        self._is_due = False

    def stop(self) -> None:
        """Nobody is told any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _is_working(self, name: str) -> bool:
        return self._loop.time() - self._worked.get(name, -_WORKING_SECONDS) < _WORKING_SECONDS

    def _due(self) -> None:
        self._timer = None
        self._is_due = True
        self._announce()
