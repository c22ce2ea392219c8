"""Hot keys: transactions of this node that would update the same row take turns, for a moment.

First committer wins, so of eight clients that increment one row at once, seven run in vain. A key whose update was lost to a
conflict lately is *hot*. The first transaction that updates a hot key holds it until it ends; another one's UPDATE or DELETE
of that key waits until then, and goes on with a newer snapshot where its snapshot may move. Those who wait do so in order of
arrival. A turn lasts `TURN_SECONDS` at the most; then the holder has lost its hold, and the next in line goes on. The limit is
the turn's and not the waiting's, so that a long queue of short turns does not fall apart into conflicts; but nobody waits
longer than `WAIT_SECONDS` in all: then it goes on as if nothing were hot.

This is advice, not a lock: nothing depends on it. Transactions of other nodes do not know of it, the decision stays with the
adjudicator, no read ever waits, nothing can deadlock, and a client that sleeps in its transaction delays others by one turn
at the most. Where nothing is contended the table is empty, and the cost is one test of it per updating statement.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator

TURN_SECONDS = 0.1
"""Longest turn of a holder while others wait."""

WAIT_SECONDS = 0.5
"""Longest wait of one statement."""

HOT_SECONDS = 1.0
"""A key cools down when it has not been contended for this long."""

HOT_KEYS_MAX = 1000
WAITERS_MAX = 1000


class HotKey:
    """One contended key.

    Attributes:
        holder: the transaction whose turn it is, None between turns.
        waiters: called in order of arrival when the holder ends; each tries its statement again.
        since: when the holder's turn began.
        until: when it cools down.
    """

    __slots__ = ("holder", "since", "until", "waiters")

    def __init__(self, until: float) -> None:
        self.holder: object | None = None
        self.waiters: deque[Callable[[], None]] = deque()
        self.since = 0.0
        self.until = until


class KeyIsBusy(Exception):
    """Raised inside an updating statement, before it has done anything: another transaction holds the key."""

    def __init__(self, hot: HotKey) -> None:
        self.hot = hot


class Contention:
    """The hot keys of a node.

    Args:
        now: the event loop's clock, seconds.
    """

    __slots__ = ("_now", "keys")

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.keys: dict[bytes, HotKey] = {}

    def lost(self, key: bytes) -> None:
        """A transaction has lost a conflict at this key."""
        until = self._now() + HOT_SECONDS
        hot = self.keys.get(key)
        if hot is not None:
            hot.until = until
            return
        if len(self.keys) >= HOT_KEYS_MAX:
            self._cool_down()
            if len(self.keys) >= HOT_KEYS_MAX:
                return
        self.keys[key] = HotKey(until)

    def _cool_down(self) -> None:
        now = self._now()
        cold = [key for key, hot in self.keys.items() if hot.until < now and hot.holder is None]
        for key in cold:
            del self.keys[key]

    def take(self, key: bytes, transaction: object) -> HotKey | None:
        """The hot key, now held by the transaction; None where it is not hot (any more).

        Raises:
            KeyIsBusy: another transaction holds it.
        """
        hot = self.keys.get(key)
        if hot is None:
            return None
        if hot.holder is transaction:
            return hot
        now = self._now()
        if hot.holder is None:
            if hot.until < now:
                del self.keys[key]
                return None
            hot.holder = transaction
            hot.since = now
            return hot
        hot.until = now + HOT_SECONDS
        if len(hot.waiters) >= WAITERS_MAX:
            return None
        raise KeyIsBusy(hot)

    def await_turn(self, hot: HotKey, wake: Callable[[], None]) -> Generator[float, None, None]:
        """The seconds to sleep, one after the other, unless `wake` is called, until the key may be taken; ends with that."""
        waiters = hot.waiters
        waiters.append(wake)
        give_up = self._now() + WAIT_SECONDS
        try:
            while True:
                now = self._now()
                turn_ends = hot.since + TURN_SECONDS
                if now >= give_up or (now >= turn_ends and waiters[0] is wake):
                    hot.holder = None
                    return
                # Who is not the first leaves an overdue holder to the first.
                yield max(min(give_up, turn_ends if waiters[0] is wake else now + TURN_SECONDS) - now, 0.001)
                if wake not in waiters:
                    return
        finally:
            if wake in waiters:
                waiters.remove(wake)

    @staticmethod
    def release(hot: HotKey, transaction: object) -> None:
        """The transaction has ended: the next in line tries again."""
        if hot.holder is transaction:
            hot.holder = None
            if hot.waiters:
                hot.waiters.popleft()()
