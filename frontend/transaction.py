"""One transaction: a snapshot of the view, overlaid with its own writes, ending in a proposal.

    statements ──get/scan──▶ view @ snapshot ⊕ write buffer          nothing here waits, locks or talks to another node
               ──put/lock──▶ write buffer, checks ──COMMIT──▶ Proposal

The write buffer maps a view key to (post-image, WriteKind). Writing a key twice composes the kinds (`_COMPOSED`): what
counts is the difference to the snapshot, so that insert + delete is nothing and delete + insert is an exclusive update.

Savepoints are an undo list: every put records what it replaced, ROLLBACK TO walks it backwards. Without a savepoint no undo
is kept, since a failed statement fails the whole transaction.

HOT PATH: `get` on an empty buffer is one dict miss and one view read; `put` is a dict store. Guarded by
tests/frontend/bench_statements.py.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Any

from sortedcontainers import SortedList

from frontend.contention import Contention, HotKey
from frontend.errors import SqlError
from journal.event import LockStrength, Proposal, Provenance, WriteKind
from storage.mvcc import ReverseScan, Scan, VersionedStore

INSERT = int(WriteKind.INSERT)
UPDATE = int(WriteKind.UPDATE)
DELETE = int(WriteKind.DELETE)
KEY_UPDATE = int(WriteKind.KEY_UPDATE)
ENTRY_PUT = int(WriteKind.ENTRY_PUT)
ENTRY_DELETE = int(WriteKind.ENTRY_DELETE)
UNIQUE_PUT = int(WriteKind.UNIQUE_PUT)
UNIQUE_DELETE = int(WriteKind.UNIQUE_DELETE)
UNCHECKED = int(WriteKind.UNCHECKED)
KEY_SHARE = int(LockStrength.KEY_SHARE)
EXCLUSIVE = int(LockStrength.EXCLUSIVE)

NOTHING = -1

# (kind already in the buffer, new kind) → kind to keep; pairs not listed keep the new kind.
_COMPOSED: dict[tuple[int, int], int] = {
    (INSERT, UPDATE): INSERT,
    (INSERT, KEY_UPDATE): INSERT,
    (INSERT, DELETE): NOTHING,
    (DELETE, INSERT): KEY_UPDATE,
    (KEY_UPDATE, UPDATE): KEY_UPDATE,
    (UNIQUE_DELETE, UNIQUE_PUT): KEY_UPDATE,  # exclusive, and supersedes a version
    (ENTRY_DELETE, ENTRY_PUT): UNCHECKED,
}

Write = tuple[bytes, int]


class Transaction:
    """Reads at `snapshot`, buffered writes, and the checks that COMMIT submits.

    Attributes:
        txid: the transaction's id, also what txid_current() says; assigned when first asked for.
        snapshot: commit timestamp (µs since the Unix epoch) of the last event it sees.
        writes: view key → (post-image, WriteKind); b"" is a tombstone.
        locks: view key → LockStrength, for rows locked but not (yet) written.
        serializable: reads are recorded and checked too.
        read_only: writing is refused with 25006.
        movable: the snapshot may still be moved forward, because all reads so far were of single keys (`reads`).
        bytes: size of all keys and post-images put so far, for the transaction size limit.
        dependencies: relation OID → version of every relation used.
        catalog_changes: OIDs whose definition this transaction changes.
        contention: the node's hot keys while an updating statement runs and there are any, else None; `held`: those whose
            turn this transaction has; bytes_before: `bytes` when the statement began.
        proposed: its fate is the journal's.
    """

    __slots__ = (
        "_get_stored", "_next_id", "_ordered", "_txid", "_undo", "bytes", "bytes_max", "bytes_before", "catalog_changes",
        "contention", "dependencies", "held", "locks", "movable", "next_row_id", "proposed", "ranges", "read_only",
        "reads", "savepoints", "serializable", "snapshot", "store", "writes",
    )  # fmt: skip

    def __init__(
        self,
        store: VersionedStore,
        snapshot: int,
        next_id: Callable[[], int],
        *,
        serializable: bool = False,
        read_only: bool = False,
        movable: bool = False,
        bytes_max: int = 256 << 20,
    ) -> None:
        self.store = store
        self._get_stored = store.get
        self.snapshot = snapshot
        self._next_id = next_id
        self._txid = 0
        # Keys of rows without a primary key come from the same source: unique for ever, increasing on one node.
        self.next_row_id = next_id
        self.serializable = serializable
        self.read_only = read_only
        self.movable = movable
        self.bytes_max = bytes_max
        self.writes: dict[bytes, Write] = {}
        self.locks: dict[bytes, int] = {}
        self.reads: list[bytes] = []
        self.ranges: list[tuple[bytes, bytes]] = []
        self.dependencies: dict[int, int] = {}
        self.catalog_changes: set[int] = set()
        self.bytes = 0
        self.savepoints: list[tuple[str, int]] = []
        self._undo: list[tuple[int, bytes, Any]] | None = None
        self._ordered: SortedList | None = None
        self.contention: Contention | None = None
        self.held: list[HotKey] | None = None
        self.bytes_before = 0
        self.proposed = False

    @property
    def txid(self) -> int:
        """The transaction's id: 63 bits, unique for ever. Whoever knows it may ask for the transaction's status, which rests on the
        snapshot being older than the question: from now on it stays where it is."""
        if not self._txid:
            self._txid = self._next_id()
            self.movable = False
        return self._txid

    @property
    def assigned_id(self) -> int:
        """The id if it has been asked for, else 0."""
        return self._txid

    # ── reading ────────────────────────────────────────────────────────────────────────────────────────────────────

    def get(self, key: bytes) -> bytes | None:
        """The row or entry under `key` as this transaction sees it; None where there is none."""
        written = self.writes.get(key)
        if written is not None:
            return written[0] or None
        if self.movable or self.serializable:
            self.reads.append(key)
        if self.contention is not None and self.bytes == self.bytes_before:
            hot = self.contention.take(key, self)
            if hot is not None:
                if self.held is None:
                    self.held = []
                self.held.append(hot)
        return self._get_stored(key, self.snapshot)

    def scan(self, low: bytes, high: bytes, *, reverse: bool = False) -> Scan | ReverseScan | OverlayScan:
        """Visible pairs with low <= key < high, own writes (as they are now) included."""
        self.movable = False
        if self.serializable:
            self.ranges.append((low, high))
        stored = self.store.scan(low, high, self.snapshot, reverse=reverse)
        if not self.writes:
            return stored
        own = self._own(low, high)
        return OverlayScan(stored, own, reverse) if own else stored

    def _own(self, low: bytes, high: bytes) -> list[tuple[bytes, bytes]]:
        if self._ordered is None:
            self._ordered = SortedList(self.writes)
        writes = self.writes
        keys = self._ordered.irange(low, high or None, (True, False))
        return [(key, writes[key][0]) for key in keys]

    # ── writing ────────────────────────────────────────────────────────────────────────────────────────────────────

    def put(self, key: bytes, value: bytes, kind: int) -> None:
        """Buffer a write; `value` b"" deletes. Raises 54000 above the transaction size limit, 25006 if read-only."""
        if self.read_only:
            raise SqlError("25006", "cannot execute a data-modifying statement in a read-only transaction")
        self.bytes += len(key) + len(value)
        if self.bytes > self.bytes_max:
            raise transaction_too_large(self.bytes, self.bytes_max)
        before = self.writes.get(key)
        if self._undo is not None:
            self._undo.append((0, key, before))
        if before is None:
            if self._ordered is not None:
                self._ordered.add(key)
            self.writes[key] = (value, kind)
            return
        kind = _COMPOSED.get((before[1], kind), kind)
        if kind != NOTHING:
            self.writes[key] = (value, kind)
            return
        del self.writes[key]
        if self._ordered is not None:
            self._ordered.remove(key)

    def put_new(self, entries: dict[bytes, Write]) -> None:
        """Buffer writes of keys that this transaction has not written yet, many at once (COPY, long INSERTs)."""
        if self.read_only:
            raise SqlError("25006", "cannot execute a data-modifying statement in a read-only transaction")
        self.bytes += sum(map(len, entries)) + sum([len(value) for value, _ in entries.values()])
        if self.bytes > self.bytes_max:
            raise transaction_too_large(self.bytes, self.bytes_max)
        if self._undo is not None:
            self._undo.extend([(0, key, None) for key in entries])
        if self._ordered is not None:
            self._ordered.update(entries)
        self.writes.update(entries)

    def lock(self, key: bytes, strength: int) -> None:
        """FOR UPDATE (EXCLUSIVE) or FOR KEY SHARE / foreign-key check (KEY_SHARE): a check at COMMIT, nothing waits."""
        before = self.locks.get(key)
        if before in (strength, EXCLUSIVE):
            return
        if self._undo is not None:
            self._undo.append((1, key, before))
        self.bytes += len(key)
        self.locks[key] = strength

    def depend(self, relations: tuple[tuple[int, int], ...]) -> None:
        """Note the versions of the relations that a statement was planned with."""
        dependencies = self.dependencies
        for oid, version in relations:
            if oid not in dependencies:
                dependencies[oid] = version

    # ── savepoints ─────────────────────────────────────────────────────────────────────────────────────────────────

    def savepoint(self, name: str) -> None:
        """SAVEPOINT name; names may repeat, the newest counts."""
        if self._undo is None:
            self._undo = []
        self.savepoints.append((name, len(self._undo)))

    def release(self, name: str) -> None:
        """RELEASE SAVEPOINT name and all after it; 3B001 where there is none."""
        del self.savepoints[self._find_savepoint(name) :]
        if not self.savepoints:
            self._undo = None

    def rollback_to(self, name: str) -> None:
        """ROLLBACK TO SAVEPOINT name: undoes all writes and locks since, keeps the savepoint."""
        place = self._find_savepoint(name)
        mark = self.savepoints[place][1]
        del self.savepoints[place + 1 :]
        undo = self._undo
        assert undo is not None
        for which, key, before in reversed(undo[mark:]):
            target: dict[bytes, Any] = self.locks if which else self.writes
            if before is None:
                target.pop(key, None)
            else:
                target[key] = before
        del undo[mark:]
        self._ordered = None

    def _find_savepoint(self, name: str) -> int:
        for place in range(len(self.savepoints) - 1, -1, -1):
            if self.savepoints[place][0] == name:
                return place
        raise SqlError("3B001", f'savepoint "{name}" does not exist')

    def release_held(self) -> None:
        """Let those go on who wait for keys that this transaction holds."""
        held, self.held = self.held, None
        for hot in held or ():
            Contention.release(hot, self)

    # ── ending ─────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def must_propose(self) -> bool:
        """Whether COMMIT has anything to order; a transaction that only read ends locally."""
        return bool(self.writes or self.locks)

    def proposal(self, provenance: Provenance) -> Proposal:
        """What COMMIT submits."""
        return self._proposal([(key, value, kind) for key, (value, kind) in self.writes.items()], provenance)

    def header(self, provenance: Provenance) -> Proposal:
        """The proposal of a large transaction, whose writes travel ahead of it (`chunks`)."""
        return self._proposal([], provenance)

    def chunks(self, chunk_bytes: int) -> Iterator[list[tuple[bytes, bytes, int]]]:
        """The writes in pieces of about `chunk_bytes`."""
        chunk: list[tuple[bytes, bytes, int]] = []
        size = 0
        for key, (value, kind) in self.writes.items():
            chunk.append((key, value, kind))
            size += len(key) + len(value)
            if size >= chunk_bytes:
                yield chunk
                chunk, size = [], 0
        if chunk:
            yield chunk

    def _proposal(self, writes: list[tuple[bytes, bytes, int]], provenance: Provenance) -> Proposal:
        return Proposal(
            self.txid,
            self.snapshot,
            writes,
            [(key, strength) for key, strength in self.locks.items()] if self.locks else [],
            self.reads if self.serializable else [],
            self.ranges,
            list(self.dependencies.items()),
            list(self.catalog_changes),
            provenance,
        )


class OverlayScan:
    """A stored scan merged with the transaction's own writes in the range, taken when the scan began.

    Writes that the statement makes while the scan runs are therefore not seen by it.
    """

    __slots__ = ("_own", "_place", "_reverse", "_stored", "done")

    def __init__(self, stored: Scan | ReverseScan, own: list[tuple[bytes, bytes]], reverse: bool) -> None:
        self._stored = stored
        self._own = own[::-1] if reverse else own
        self._place = 0
        self._reverse = reverse
        self.done = False

    def fetch(self, limit: int) -> list[tuple[bytes, bytes]]:
        """As `Scan.fetch`; may give more than `limit` pairs by the own writes that fall among them."""
        stored = self._stored
        pairs = stored.fetch(limit) if not stored.done else []
        own, place = self._own, self._place
        if stored.done:
            stop = len(own)
            self.done = True
        elif pairs:
            stop = self._boundary(pairs[-1][0])
        else:
            return pairs
        if place == stop:
            return pairs
        mine = own[place:stop]
        self._place = stop
        hidden = {key for key, _ in mine}
        merged = [pair for pair in pairs if pair[0] not in hidden]
        merged.extend(pair for pair in mine if pair[1])
        merged.sort(reverse=self._reverse)
        return merged

    def _boundary(self, last: bytes) -> int:
        """How many own writes lie at or before the last stored key of a chunk."""
        if self._reverse:
            place = self._place
            while place < len(self._own) and self._own[place][0] >= last:
                place += 1
            return place
        place = bisect_left(self._own, (last, b""))
        return place + 1 if place < len(self._own) and self._own[place][0] == last else place

    def fetch_rows(self, limit: int, decode: Callable[[bytes], list[Any]]) -> list[list[Any]]:
        """As `Scan.fetch_rows`."""
        return [decode(value) for _, value in self.fetch(limit)]


def drain(scan: Scan | ReverseScan | OverlayScan, chunk: int = 256) -> Iterator[tuple[bytes, bytes]]:
    """All pairs of a scan, for short scans that need no slicing."""
    while not scan.done:
        yield from scan.fetch(chunk)


def transaction_too_large(size: int, limit: int) -> SqlError:
    """54000: more post-images than one transaction may have."""
    return SqlError(
        "54000",
        f"transaction size limit {limit >> 20}mb exceeded",
        detail=f"The transaction's writes take {size} bytes.",
        hint="Commit in smaller batches, or raise transaction_bytes_max.",
    )
