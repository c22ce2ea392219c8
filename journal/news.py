"""Who hears at once that entries are committed: a follower that somebody works at. HOT at the leader: once per peer and block.

What a leader sends tells how far entries are committed, so that under load the news of one block rides on the next. When there is
no next, telling costs a message to each peer, a tenth of all that a single client's commit costs three nodes. It is worth it

- at once for a peer whose clients have committed something or waited for a strong read within `_WORKING_SECONDS`;
- after `_SECONDS` to twice as long, unless something else was sent meanwhile, for any other that has a view: its change stream waits;
- with the next entries or heartbeat for a witness, which has neither.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Protocol

_WORKING_SECONDS = 1.0
_SECONDS = 0.005


class Committed(Protocol):
    """What is told of: `journal.consensus.Consensus`."""

    committed_index: int
    witnesses: Collection[str]
    """Peers without a view."""

    def lacks_news(self, index: int) -> bool:
        """Whether something that was held back until this entry was committed has not been sent by now."""
        ...


class News:
    """Decides for one leader.

    Args:
        announce: has the consensus ask `is_awaited_by` again, for every peer that has not heard yet.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, consensus: Committed, announce: Callable[[], None]) -> None:
        self._loop = loop
        self._consensus = consensus
        self._announce = announce
        self._worked: dict[str, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._since = 0
        self._due_index = 0

    def works(self, name: str) -> None:
        """A peer's clients commit, or wait for a strong read."""
        was_working = self._is_working(name)
        self._worked[name] = self._loop.time()
        if not was_working:
            self._announce()

    def is_awaited_by(self, name: str, told: int) -> bool:
        """Whether this peer, which knows until which index entries are committed, is to hear more now; if it is later, that is seen to."""
        if self._is_working(name):
            return True
        if name in self._consensus.witnesses:
            return False
        if told < self._due_index:
            return True
        self.waits()
        return False

    def waits(self, seconds: float = _SECONDS) -> None:
        """Something is to be sent after so long, if nothing else comes."""
        due = self._loop.time() + seconds
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._since = self._consensus.committed_index
        self._timer = self._loop.call_at(due, self._due)

    def told(self) -> None:
        """All have been asked about."""
        self._due_index = 0

    def stop(self) -> None:
        """Nobody is told any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _is_working(self, name: str) -> bool:
        return self._loop.time() - self._worked.get(name, -_WORKING_SECONDS) < _WORKING_SECONDS

    def _due(self) -> None:
        self._timer = None
        committed = self._consensus.committed_index
        if self._consensus.lacks_news(self._since):
            self._due_index = committed
            self._announce()
        elif committed > self._since:
            self.waits()  # what has come meanwhile has as long
