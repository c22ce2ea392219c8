"""Large transactions between their first fragment and their verdict.

The fragments are in the Raft log already, durable and replicated, so staging keeps no second copy: it remembers which
log entry holds which fragment, and what the adjudicator needs to know about all of them together (number of keys,
strongest touch per relation). The Raft log is not compacted past the oldest fragment that is still staged.

Everything here is a function of the log: fragments join in log order, and leave when their proposal is decided, when
their gateway gives up (`Block.abandoned`), or when nothing was heard of them for the length of the window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from journal.adjudicator import STRENGTH
from journal.event import Fragment, Lock, Write, decode_writes

FragmentLoader = Callable[[int], Fragment]
"""Reads the fragment in the Raft entry of this index."""


class StagedTransaction:
    """What is known of one large transaction so far."""

    __slots__ = (
        "_load",
        "_with_locks",
        "bytes_count",
        "indices",
        "keys_count",
        "relations",
        "sent_at",
        "snapshot",
        "txid",
    )

    def __init__(self, txid: int, snapshot: int, load: FragmentLoader) -> None:
        self.txid = txid
        self.snapshot = snapshot
        self.sent_at = 0
        self.indices: list[int] = []
        self.keys_count = 0
        self.bytes_count = 0
        self.relations: dict[bytes, int] = {}
        self._with_locks = False
        self._load = load

    @property
    def fragments_count(self) -> int:
        """Fragments received."""
        return len(self.indices)

    def add(self, index: int, fragment: Fragment) -> bool:
        """Take the fragment found in Raft entry `index`; False if it is not the next one (a repetition)."""
        if fragment.number != len(self.indices):
            return False
        self.indices.append(index)
        self.sent_at = max(self.sent_at, fragment.sent_at)
        self.keys_count += fragment.keys_count
        self.bytes_count += len(fragment.packed)
        self._with_locks = self._with_locks or bool(fragment.locks)
        for prefix, kind in fragment.relations:
            if prefix not in self.relations or STRENGTH[kind] > STRENGTH[self.relations[prefix]]:
                self.relations[prefix] = kind
        return True

    def fragments(self) -> Iterator[Fragment]:
        """All of them, read one at a time."""
        for index in self.indices:
            yield self._load(index)

    def writes(self) -> Iterator[list[Write]]:
        """The writes, a fragment at a time."""
        for fragment in self.fragments():
            yield decode_writes(fragment.packed)

    def locks(self) -> Iterator[list[Lock]]:
        """The locks, a fragment at a time."""
        if self._with_locks:
            for fragment in self.fragments():
                yield fragment.locks


class Staging:
    """All transactions whose fragments are waiting for their proposal."""

    __slots__ = ("_load", "_transactions", "bytes_count")

    def __init__(self, load: FragmentLoader) -> None:
        self._load = load
        self._transactions: dict[int, StagedTransaction] = {}
        self.bytes_count = 0

    def __len__(self) -> int:
        return len(self._transactions)

    def add(self, index: int, fragment: Fragment) -> None:
        """Take one fragment in log order."""
        staged = self._transactions.get(fragment.txid)
        if staged is None:
            staged = StagedTransaction(fragment.txid, fragment.snapshot, self._load)
            self._transactions[fragment.txid] = staged
        if staged.add(index, fragment):
            self.bytes_count += len(fragment.packed)

    def get(self, txid: int) -> StagedTransaction | None:
        """The transaction's fragments so far."""
        return self._transactions.get(txid)

    def drop(self, txid: int) -> None:
        """Forget the transaction: it is decided or given up."""
        staged = self._transactions.pop(txid, None)
        if staged is not None:
            self.bytes_count -= staged.bytes_count

    def expire(self, horizon: int) -> None:
        """Drop every transaction whose last fragment is older than `horizon` (µs, log time)."""
        for txid in [txid for txid, staged in self._transactions.items() if staged.sent_at < horizon]:
            self.drop(txid)

    def oldest_index(self) -> int | None:
        """The lowest Raft index that is still needed."""
        return min((staged.indices[0] for staged in self._transactions.values() if staged.indices), default=None)
