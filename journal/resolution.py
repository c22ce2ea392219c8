"""What became of a transaction of which nobody was told: committed, aborted, or unknown. Any member can be asked.

    read barrier ─▶ in the journal? ──yes────────────────────────────────────────────────────▶ COMMITTED
                       └─ no ─▶ given up, or too old to commit? ──yes────────────────────────▶ ABORTED
                                   └─ no ─▶ proposed here, and no verdict yet? ──yes─────────▶ PENDING
                                               └─ no ─▶ give it up: an event of its own ─▶ look again: COMMITTED or ABORTED

That a transaction is not in the journal does not say that it never will be: its proposal may wait in a connection, or with a
leader that is paused. So whoever asks *decides* it. A proposal is ordered whose event changes the object of the transaction's
id (`Proposal.catalog_changes`); a transaction depends on its own id, so every replica refuses it after that (GIVEN_UP), by the
same rule as any schema conflict, also after a restart. Whichever of the two is first in the log has won, and once the event is
applied here, everything before it is here, too. To ask again costs another such event; to ask for what has committed costs none.

*UNKNOWN* is the answer where no majority can be reached, where the proposal's own outcome is not known, and where the journal
retains too little. A node in a minority never says ABORTED.

**Clocks.** Only the limits of the search depend on them: an id holds the time at which its transaction began, by the clock of
its node (or a little later, after a restart), and the event must be looked for around it. `CLOCKS_APART_US_MAX` is how wrong that may be. An id from further in the
future is nobody's yet.

Usually nothing is read from the disk, because the adjudicator knows what has committed within the window. Otherwise the event
log is read, a slice at a time, over two such margins and the window at most.
"""

from __future__ import annotations

import asyncio
import enum
from typing import Protocol

from journal.adjudicator import Adjudicator
from journal.clock import HybridClock
from journal.event import Proposal, Verdict
from journal.eventlog import EventLog
from journal.reads import ReadCallback
from journal.statemachine import Frontier
from journal.transactionids import NODE_BITS, TransactionIds, node_of_transaction

CLOCKS_APART_US_MAX = 300_000_000
_SLICE_WRITES = 2000
_EVER = (1 << 63) - 1


class TransactionStatus(enum.Enum):
    """What the journal can tell of a transaction id."""

    COMMITTED = "committed"
    ABORTED = "aborted"
    """Not in the journal and never will be."""
    PENDING = "in progress"
    """Waiting or ordered at the node that was asked, not decided."""
    UNKNOWN = "unknown"


class Journal(Protocol):
    """What a resolution needs of a replica."""

    clock: HybridClock
    transaction_ids: TransactionIds

    @property
    def events(self) -> EventLog:
        """The event log."""

    @property
    def adjudicator(self) -> Adjudicator:
        """What has committed lately; another one after catching up."""

    @property
    def frontier(self) -> Frontier:
        """The last event published."""

    def read_barrier(self, callback: ReadCallback) -> None:
        """Call back when this node has applied everything that anybody can have been told of."""

    def is_pending(self, txid: int) -> bool:
        """Whether this node has proposed the transaction and does not know more."""

    async def submit(self, proposal: Proposal) -> Verdict:
        """Order a proposal."""


async def resolve(journal: Journal, txid: int) -> TransactionStatus:
    """What became of the transaction; it is decided by the question if it was not.

    Bounded by the time-outs of a strong read and of a commit, and by the length of the search.

    Raises:
        CorruptData: the event log is damaged.
    """
    if txid <= 0:
        return TransactionStatus.UNKNOWN  # nobody's
    is_current = await _is_current(journal)
    search = _Search(journal, txid)
    if await search.finds():
        return TransactionStatus.COMMITTED
    if search.is_complete and journal.adjudicator.given_up(txid):
        # It may have committed, and only then have been given up, while the search was going on.
        return TransactionStatus.COMMITTED if await search.finds() else TransactionStatus.ABORTED
    is_past = is_current and search.is_complete and search.is_past
    if not is_past and journal.is_pending(txid):
        return TransactionStatus.PENDING
    if not is_current or not search.is_complete or search.began_us > journal.clock.now_us() + CLOCKS_APART_US_MAX:
        return TransactionStatus.UNKNOWN
    if is_past:
        return TransactionStatus.ABORTED
    own = journal.transaction_ids.next()
    who = (node_of_transaction(own), "", "sys.transaction_status")
    verdict = await journal.submit(Proposal(own, journal.frontier.commit_ts, catalog_changes=[txid], provenance=who))
    if not verdict.committed:
        return TransactionStatus.UNKNOWN
    return TransactionStatus.COMMITTED if await search.finds() else TransactionStatus.ABORTED


async def _is_current(journal: Journal) -> bool:
    answered: asyncio.Future[Verdict | None] = asyncio.get_running_loop().create_future()

    def answer(refused: Verdict | None) -> None:
        if not answered.done():
            answered.set_result(refused)

    journal.read_barrier(answer)
    return await answered is None


class _Search:
    """Looks for a transaction's event among those that have been applied, each only once.

    Attributes:
        began_us: when the transaction began, by its node's clock.
        is_past: it can commit no more, because an event after its snapshot has left the window. Set by `finds`.
        is_complete: nothing within the limits of the search has been removed from the journal.
    """

    def __init__(self, journal: Journal, txid: int) -> None:
        self._journal = journal
        self._txid = txid
        self.began_us = txid >> NODE_BITS
        self._after = max(0, self.began_us - CLOCKS_APART_US_MAX)
        self.is_past = False
        self.is_complete = journal.events.retained_after <= self._after

    async def finds(self) -> bool:
        """Whether its event is among those applied by now."""
        adjudicator = self._journal.adjudicator
        if adjudicator.committed(self._txid) is not None:
            return True
        # What follows holds for this moment: while the log is being read, newer events are forgotten and added.
        through, known_since = self._journal.frontier.commit_ts, adjudicator.known_since
        last_us = self._last_moment(adjudicator.window_us)
        self.is_past = last_us < through
        if await self._reads(min(known_since, through, last_us)):
            return True
        self._after = max(self._after, through)
        return False

    def _last_moment(self, window_us: int) -> int:
        """No event of the transaction can be later: it saw nothing of the first event that is certainly younger than its id,
        so it is too old when that leaves the window."""
        younger = next(self._journal.events.history(self.began_us + CLOCKS_APART_US_MAX, _EVER), None)
        return _EVER if younger is None else younger.commit_ts + window_us

    async def _reads(self, through: int) -> bool:
        while self._after < through:
            writes = 0
            for event in self._journal.events.history(self._after, through):
                if event.txid == self._txid:
                    return True
                writes += 1 + len(event.writes)
                if writes > _SLICE_WRITES and not event.more:
                    self._after = event.commit_ts
                    break
            else:
                return False
            await asyncio.sleep(0)
        return False
