"""Versions of a key in RocksDB: what a snapshot sees.

A stored key is the view key followed by the inverted commit timestamp (2^64 - 1 - ts, big-endian), so all versions of a key
are adjacent, newest first, and the version that a snapshot sees is the first at or after key + inverted(snapshot). An empty
value is a tombstone.

HOT PATH. `VersionedStore.get` is a look-up among the versions written lately (storage.recent), and where that finds nothing one
seek (3 µs, up to 10 µs in a large view); `Scan.fetch` costs about 0.35 µs a visible row. A scan
hands out chunks, so that whoever drives it can stop between them; when it meets many versions of one key it seeks over
them. Guarded by tests/storage/bench_storage.py.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from journal.errors import CorruptData
from journal.event import Event
from storage.recent import RecentVersions

VERSION_LENGTH = 8
ITERATOR_EVENTS_MAX = 1000  # an iterator that is kept longer would keep superseded memtables and files from being freed
TOMBSTONE_LIMIT = 4096  # deleted keys passed over before a chunk ends, so that no chunk takes long
SKIP_LIMIT = 16  # versions of one key stepped over before a seek is cheaper

_U64 = struct.Struct(">Q")
_MAXIMUM = 0xFFFFFFFFFFFFFFFF

SENTINEL = b"\xff" * 24
"""The last key of every view."""

_END: Iterator[tuple[bytes, bytes]] = iter(())


class DamagedView(CorruptData):
    """A view's file is not what was written, or cannot be read. The view is to be deleted and replayed."""


def damage(database: Any, stored: bytes) -> DamagedView:
    """What is wrong behind the key `stored`, where a scan ended too early."""
    iterator = database.iter()
    iterator.seek(stored)
    if iterator.valid():
        iterator.next()
    check(iterator, database)
    return DamagedView(f"view {database.path()}: a scan ended behind key {stored.hex()}, before the end of the view")


def check(iterator: Any, database: Any) -> None:
    """Raise DamagedView if the iterator is invalid for another reason than that there is nothing more."""
    try:
        iterator.status()
    except Exception as error:
        raise DamagedView(f"view {database.path()}: {error}") from error


def inverted(timestamp: int) -> bytes:
    """The version suffix of a commit timestamp (microseconds)."""
    return _U64.pack(_MAXIMUM - timestamp)


def timestamp_of(stored_key: bytes) -> int:
    """The commit timestamp of a stored key."""
    return _MAXIMUM - int(_U64.unpack(stored_key[-8:])[0])


class VersionedStore:
    """Reads of one RocksDB database at a snapshot (a commit timestamp in microseconds).

    An iterator sees the database as it was when the iterator was made, and making one costs as much as a seek. So one is kept from
    read to read: what was written since is among the recent versions, which are asked first.

    Args:
        database: RocksDB.
        commit_ts: of the last event in it.
    """

    __slots__ = ("_iter", "_iterator", "_iterator_age", "database", "recent")

    def __init__(self, database: Any, commit_ts: int = 0) -> None:
        self.database = database
        self.recent = RecentVersions(commit_ts)
        self._iter = database.iter
        self._iterator: Any = None
        self._iterator_age = 0  # events applied since it was made

    def get(self, key: bytes, snapshot: int) -> bytes | None:
        """The value of `key` (without version) at `snapshot`; None where it does not exist or is deleted."""
        recent = self.recent
        version = recent.young.get(key) or recent.older.get(key)
        iterator = self._iterator
        if version is not None:
            if version[0] <= snapshot:
                return version[1] or None
            iterator = None
        if iterator is None:
            iterator = self._renew()
        iterator.seek(key + _U64.pack(_MAXIMUM - snapshot))
        found = iterator.key()
        if found is None or found[:-8] != key:
            if found is None:
                check(iterator, self.database)
            return None
        return iterator.value() or None

    def _renew(self) -> Any:
        iterator = self._iterator = self._iter()
        return iterator

    def applied(self, events: Sequence[Event]) -> None:
        """These events are in the database now."""
        recent = self.recent
        before = recent.known_since
        recent.note(events)
        self._iterator_age += len(events)
        if recent.known_since != before or self._iterator_age > ITERATOR_EVENTS_MAX:
            self.release()

    def release(self) -> None:
        """Let go of the iterator, which keeps files and memory of RocksDB from being freed."""
        self._iterator = None
        self._iterator_age = 0

    def changed(self, keys: Sequence[bytes], snapshot: int, newest: int) -> bool:
        """Whether one of the keys has a version after `snapshot`, up to `newest`."""
        known = self.recent.changed(keys, snapshot)
        if known is not None:
            return known
        for key in keys:
            version = self.get_version(key, newest)
            if version is not None and version[0] > snapshot:
                return True
        return False

    def get_version(self, key: bytes, snapshot: int) -> tuple[int, bytes] | None:
        """The newest version at `snapshot` as (commit timestamp, value), tombstones (b"") included."""
        version = self.recent.find(key)
        if version is not None and version[0] <= snapshot:
            return version
        iterator = self._iter()
        iterator.seek(key + _U64.pack(_MAXIMUM - snapshot))
        found = iterator.key()
        if found is None or found[:-8] != key:
            if found is None:
                check(iterator, self.database)
            return None
        return _MAXIMUM - _U64.unpack(found[-8:])[0], iterator.value()

    def scan(self, low: bytes, high: bytes, snapshot: int, *, reverse: bool = False) -> Scan | ReverseScan:
        """Visible pairs with low <= key < high, in key order or in reverse."""
        return ReverseScan(self.database, low, high, snapshot) if reverse else Scan(self.database, low, high, snapshot)


class Scan:
    """A forward scan that hands out chunks. It sees the database as it was when the scan began, whatever is written since."""

    __slots__ = ("_database", "_high", "_items", "_last", "_low", "_suffix", "done")

    def __init__(self, database: Any, low: bytes, high: bytes, snapshot: int) -> None:
        self._database = database
        self._items = database.items(from_key=low)
        self._low = low
        self._high = high or SENTINEL
        self._suffix = inverted(snapshot)
        self._last = b""
        self.done = False

    def fetch(self, limit: int) -> list[tuple[bytes, bytes]]:
        """Up to `limit` further pairs (view key without version, value). Fewer, even none, does not mean the end:
        `done` does."""
        high, suffix, last = self._high, self._suffix, self._last
        found: list[tuple[bytes, bytes]] = []
        append = found.append
        skipped = deleted = 0
        self.done = True
        for stored, value in self._items:
            if stored >= high:
                self._items = _END
                break
            key = stored[:-8]
            if key == last or stored[-8:] < suffix:
                skipped += 1
                if skipped > SKIP_LIMIT:
                    # Far from the wanted version: go straight to it, or past a key that is decided already. The caller
                    # gets what there is so far, which also bounds the time between two of its breaths.
                    self._items = self._database.items(from_key=key + (b"\xff" * 9 if key == last else suffix))
                    self.done = False
                    break
                continue
            last = key
            if value:
                append((key, value))
                if len(found) >= limit:
                    self.done = False
                    break
            else:
                deleted += 1
                if deleted > TOMBSTONE_LIMIT:
                    self.done = False
                    break
        else:
            if self._items is not _END:
                raise damage(self._database, last or self._low)
        self._last = last
        return found

    def fetch_rows(self, limit: int, decode: Callable[[bytes], list[Any]]) -> list[list[Any]]:
        """Like `fetch`, giving decoded rows only: the loop of full scans and aggregates."""
        high, suffix, last = self._high, self._suffix, self._last
        found: list[list[Any]] = []
        append = found.append
        skipped = deleted = 0
        self.done = True
        for stored, value in self._items:
            if stored >= high:
                self._items = _END
                break
            key = stored[:-8]
            if key == last or stored[-8:] < suffix:
                skipped += 1
                if skipped > SKIP_LIMIT:
                    self._items = self._database.items(from_key=key + (b"\xff" * 9 if key == last else suffix))
                    self.done = False
                    break
                continue
            last = key
            if value:
                append(decode(value))
                if len(found) >= limit:
                    self.done = False
                    break
            else:
                deleted += 1
                if deleted > TOMBSTONE_LIMIT:
                    self.done = False
                    break
        else:
            if self._items is not _END:
                raise damage(self._database, last or self._low)
        self._last = last
        return found


class ReverseScan:
    """The same, from the greatest key down: finds each key with a seek, since its newest version comes last in reverse."""

    __slots__ = ("_bound", "_database", "_iterator", "_low", "_suffix", "done")

    def __init__(self, database: Any, low: bytes, high: bytes, snapshot: int) -> None:
        self._database = database
        self._iterator = database.iter()
        self._low = low
        self._bound = high or SENTINEL
        self._suffix = inverted(snapshot)
        self.done = False

    def fetch(self, limit: int) -> list[tuple[bytes, bytes]]:
        """As `Scan.fetch`."""
        iterator = self._iterator
        found: list[tuple[bytes, bytes]] = []
        bound, low, suffix = self._bound, self._low, self._suffix
        for _ in range(limit):
            # The greatest stored key below `bound`.
            iterator.seek_for_prev(bound)
            stored = iterator.key()
            if stored is not None and stored >= bound:
                iterator.prev()
                stored = iterator.key()
            if stored is None or stored < low:
                if stored is None:
                    check(iterator, self._database)
                self.done = True
                break
            key = stored[:-8]
            iterator.seek(key + suffix)
            stored = iterator.key()
            if stored is None:
                check(iterator, self._database)
            elif stored[:-8] == key:
                value = iterator.value()
                if value:
                    found.append((key, value))
            bound = key
        self._bound = bound
        return found

    def fetch_rows(self, limit: int, decode: Callable[[bytes], list[Any]]) -> list[list[Any]]:
        """As `Scan.fetch_rows`."""
        return [decode(value) for _, value in self.fetch(limit)]
