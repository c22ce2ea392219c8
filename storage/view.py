"""A view: one RocksDB database that is nothing but the journal's events, applied in order.

    events ──apply──▶ RocksDB (no WAL) ◀──reads at a snapshot── transactions
              │  rows, index entries, catalog records, the garbage queue, and the frontier, in one batch
              └─ catalog: the schema at the frontier, kept in memory

The journal is the write-ahead log. Every batch carries the frontier it reaches, so after a crash the view is at the frontier
of its last flushed memtable, exactly, and asks the feed for what follows. Nothing in a view is worth repairing: `View.open`
of a damaged or foreign directory raises CorruptData, and the caller deletes it and replays.

A large event comes in parts. Its rows are written part by part under its commit timestamp, which is above the frontier and
therefore invisible, and the frontier moves with the last part.

**Garbage.** An event that supersedes versions leaves one queue record: (reserved storage 0, index 1, commit timestamp,
part) → the keys. `collect` walks the queue in order; for a key superseded at ts, all versions before ts can go once ts is
older than the retention, and the version at ts too if it is a tombstone. Storage that no table owns any more (DROP,
TRUNCATE, rewrite) is queued the same way (index 2) and removed as a range.

**Horizon.** What `collect` removes it first announces: `horizon` is the newest commit timestamp up to which versions may be
missing, stored (index 3) before anything of them goes, so that it is true after a crash as well. A snapshot at or after it reads
exactly what was committed then; whoever reads at an older one of its own choice (AS OF) must refuse.

HOT PATH: applying an event of one row costs about 5 µs, most of it RocksDB's write. Guarded by
tests/storage/bench_storage.py.
"""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from rocksdict import BlockBasedOptions, Cache, DBCompressionType, Options, Rdict, WriteBatch, WriteOptions

from journal.errors import CorruptData, NodeFatal
from journal.event import Event, WriteKind
from storage import keys
from storage.catalog import (
    CATALOG_STORAGE_ID,
    Catalog,
    CatalogObject,
    Table,
    bootstrap_catalog,
    decode_object,
)
from storage.history import PastCatalogs
from storage.mvcc import SENTINEL, DamagedView, VersionedStore, damage, inverted, timestamp_of

FORMAT = "boreal view 1"
FLUSH_EVENTS = 50_000  # a restart replays at most about this many events

_U64 = struct.Struct(">Q")
_MAXIMUM = 0xFFFFFFFFFFFFFFFF
_SUPERSEDING = tuple(
    kind not in (WriteKind.INSERT, WriteKind.ENTRY_PUT, WriteKind.UNIQUE_PUT) for kind in sorted(WriteKind)
)

META_KEY = keys.prefix(0, 0)
QUEUE_PREFIX = keys.prefix(0, 1)
DROPPED_PREFIX = keys.prefix(0, 2)
HORIZON_KEY = keys.prefix(0, 3)
CATALOG_PREFIX = keys.prefix(CATALOG_STORAGE_ID, 0)

_encode = msgspec.msgpack.Encoder().encode


class Frontier(NamedTuple):
    """How far a view has come: everything up to this position, nothing after it."""

    position: int
    commit_ts: int
    format: str = FORMAT


_decode_frontier = msgspec.msgpack.Decoder(Frontier).decode
_decode_keys = msgspec.msgpack.Decoder(list[bytes]).decode


def _options(cache_bytes: int, write_buffer_bytes: int) -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_write_buffer_size(write_buffer_bytes)
    options.set_max_write_buffer_number(3)
    options.set_max_background_jobs(2)
    options.set_keep_log_file_num(2)
    options.set_max_open_files(512)
    options.set_paranoid_checks(True)
    options.set_level_compaction_dynamic_level_bytes(True)
    options.set_compression_type(DBCompressionType.lz4())  # blocks that are not cached are read often
    table = BlockBasedOptions()
    table.set_block_cache(Cache(cache_bytes))
    table.set_block_size(8 << 10)
    table.set_cache_index_and_filter_blocks(False)
    options.set_block_based_table_factory(table)
    return options


class View:
    """The materialised state at `frontier`, readable at any snapshot that it still retains.

    Args:
        path: the directory of the RocksDB database; made if missing.
        cache_bytes: block cache.
        write_buffer_bytes: size of a memtable.

    Attributes:
        horizon: commit timestamp (µs); snapshots before it may find versions removed (see the module's text).

    Raises:
        CorruptData: the directory holds something else, another format, or RocksDB finds it damaged.
    """

    def __init__(self, path: Path, *, cache_bytes: int = 64 << 20, write_buffer_bytes: int = 16 << 20) -> None:
        self.path = path
        try:
            options = _options(cache_bytes, write_buffer_bytes)
            # Without the second mention an existing database is opened with the options in its own file, and a cache of 8 MiB.
            self.database: Any = Rdict(str(path), options, column_families={"default": options})
        except Exception as error:
            raise CorruptData(f"view {path} cannot be opened: {error}") from error
        write_options: Any = WriteOptions()
        write_options.disable_wal = True
        self.database.set_write_options(write_options)
        self._write = self.database.write
        self._events_since_flush = 0
        try:
            stored = self.database.get(META_KEY)
            self.frontier = _decode_frontier(stored) if stored else Frontier(0, 0)
            if self.frontier.format != FORMAT:
                raise CorruptData(f"view {path} has format {self.frontier.format!r}, known is {FORMAT!r}")
            self._put_sentinel()
            self.horizon = self._load_horizon()
            self.catalog = self.load_catalog(self.frontier.commit_ts)
        except Exception as error:  # damage comes as a plain Exception from RocksDB's get
            self.database.close()
            raise CorruptData(f"view {path}: {error}") from error
        self.snapshot = self.frontier.commit_ts
        self.store = VersionedStore(self.database, self.snapshot)
        self._past_catalogs = PastCatalogs()

    @classmethod
    def discard(cls, path: Path) -> None:
        """Delete a view's directory; it will be rebuilt by replay."""
        shutil.rmtree(path, ignore_errors=False)

    def _put_sentinel(self) -> None:
        """Make sure of the last key (see storage.mvcc). A crash may have lost it with the memtable that held it."""
        if self.database.get(SENTINEL) is None:
            batch = WriteBatch(raw_mode=True)
            batch.put(SENTINEL, b"end")
            self._write(batch)

    def _load_horizon(self) -> int:
        """The stored horizon. A view that has none was made before there was one: nothing is known of what it still holds, so
        that its past begins now."""
        stored = self.database.get(HORIZON_KEY)
        if stored is not None:
            return int(_U64.unpack(stored)[0])
        self._store_horizon(self.frontier.commit_ts)
        return self.frontier.commit_ts

    def _store_horizon(self, horizon: int) -> None:
        batch = WriteBatch(raw_mode=True)
        batch.put(HORIZON_KEY, _U64.pack(horizon))
        self._write(batch)

    # ── consuming ──────────────────────────────────────────────────────────────────────────────────────────────────

    def apply(self, events: Sequence[Event]) -> None:
        """Take in the next events (or parts), in order, as one batch.

        Events at or below the frontier are skipped, so a feed may overlap. Raises CorruptData on a gap.
        """
        position, commit_ts, _ = self.frontier
        if events and events[0].position <= position:
            events = [event for event in events if event.position > position]
        batch = WriteBatch(raw_mode=True)
        put = batch.put
        changed_catalog: list[Event] = []
        for event in events:
            if event.position != position + 1:
                raise CorruptData(f"view {self.path} is at position {position} and was given event {event.position}")
            suffix = _U64.pack(_MAXIMUM - event.commit_ts)
            superseded = []
            for key, value, kind in event.writes:
                put(key + suffix, value)
                if _SUPERSEDING[kind]:
                    superseded.append(key)
            if superseded:
                put(QUEUE_PREFIX + _U64.pack(event.commit_ts) + _U64.pack(event.part), _encode(superseded))
            if event.catalog_changes or changed_catalog:
                changed_catalog.append(event)
            if not event.more:
                position = event.position
                commit_ts = event.commit_ts
        moved = position != self.frontier.position
        frontier = Frontier(position, commit_ts)
        if moved:
            put(META_KEY, _encode(frontier))
        if changed_catalog:
            catalog = self._changed_catalog(changed_catalog, batch)
        try:
            self._write(batch)
        except Exception as error:
            raise failure(self.path, error) from error
        self.store.applied(events)
        if changed_catalog:
            self.catalog = catalog
        if moved:
            self.frontier = frontier
            self.snapshot = commit_ts
        self._events_since_flush += len(events)
        if self._events_since_flush >= FLUSH_EVENTS:
            self._flush(wait=False)

    def _changed_catalog(self, events: list[Event], batch: WriteBatch) -> Catalog:
        """The catalog after these events; queues storage that no table owns any more."""
        changed: dict[int, CatalogObject | None] = {}
        version = self.catalog.version
        for event in events:
            for key, value, _ in event.writes:
                if key[: keys.PREFIX_LENGTH] != CATALOG_PREFIX:
                    continue
                oid = int.from_bytes(key[keys.PREFIX_LENGTH :], "big")
                before = changed.get(oid, self.catalog.objects.get(oid))
                after = _with_version(decode_object(value), event.commit_ts) if value else None
                changed[oid] = after
                version = event.commit_ts
                if isinstance(before, Table) and (not isinstance(after, Table) or after.storage != before.storage):
                    batch.put(
                        DROPPED_PREFIX + _U64.pack(event.commit_ts) + struct.pack(">I", before.storage),
                        struct.pack(">I", before.storage),
                    )
        return self.catalog.replace(changed, version)

    # ── the catalog ────────────────────────────────────────────────────────────────────────────────────────────────

    def load_catalog(self, snapshot: int) -> Catalog:
        """The schema as it was at `snapshot`."""
        catalog = bootstrap_catalog()
        found: dict[int, CatalogObject | None] = {}
        version = 0
        suffix = inverted(snapshot)
        high = keys.successor(CATALOG_PREFIX)
        last = b""
        for stored, value in self.database.items(from_key=CATALOG_PREFIX):
            if stored >= high:
                break
            key = stored[:-8]
            if key == last or stored[-8:] < suffix:
                continue
            last = key
            commit_ts = timestamp_of(stored)
            version = max(version, commit_ts)
            oid = int.from_bytes(key[keys.PREFIX_LENGTH :], "big")
            found[oid] = _with_version(decode_object(value), commit_ts) if value else None
        else:
            raise damage(self.database, last or CATALOG_PREFIX)
        return catalog.replace(found, version)

    def catalog_at(self, snapshot: int) -> Catalog:
        """The schema as it was at `snapshot`, from memory where it was asked for lately. Its version tells it from every other
        schema that a snapshot at or after the horizon can see.

        Args:
            snapshot: at or after the horizon, at most the frontier's.
        """
        if snapshot >= self.catalog.version:
            return self.catalog
        found = self._past_catalogs.find(snapshot)
        if found is None:
            found = self.load_catalog(snapshot)
            if found.version < self.horizon:
                # Tombstones of what was dropped since may be gone, and with them the true version. Up to the horizon nothing
                # else can be read, so that this one is as good.
                found = found.replace({}, self.horizon)
            self._past_catalogs.put(found, snapshot, self._next_catalog_change(snapshot))
        return found

    def _next_catalog_change(self, snapshot: int) -> int:
        """The commit timestamp of the first change of the schema after `snapshot`, which there is."""
        change = self.catalog.version
        high = keys.successor(CATALOG_PREFIX)
        for stored, _ in self.database.items(from_key=CATALOG_PREFIX):
            if stored >= high:
                return change
            if snapshot < (commit_ts := timestamp_of(stored)) < change:
                change = commit_ts
        raise damage(self.database, CATALOG_PREFIX)

    # ── garbage ────────────────────────────────────────────────────────────────────────────────────────────────────

    def collect(self, horizon: int, keys_max: int = 1000) -> int:
        """Remove versions that no snapshot at or after `horizon` (commit timestamp, µs) can see.

        Handles at most about `keys_max` superseded keys, so that it can run in slices; returns how many it did (0: all
        done).
        """
        batch = WriteBatch(raw_mode=True)
        done = 0
        removed_through = 0
        high = QUEUE_PREFIX + _U64.pack(max(0, horizon))
        for stored, value in self.database.items(from_key=QUEUE_PREFIX):
            if stored >= high or done >= keys_max:
                break
            superseded_at = _U64.unpack_from(stored, keys.PREFIX_LENGTH)[0]
            for key in _decode_keys(value):
                done += 1
                self._collect_key(key, superseded_at, batch)
            batch.delete(stored)
            removed_through = superseded_at
        else:
            raise damage(self.database, QUEUE_PREFIX)
        dropped: list[int] = []
        high = DROPPED_PREFIX + _U64.pack(max(0, horizon))
        for stored, value in self.database.items(from_key=DROPPED_PREFIX):
            if stored >= high:
                break
            dropped.append(struct.unpack(">I", value)[0])
            batch.delete(stored)
            removed_through = max(removed_through, _U64.unpack_from(stored, keys.PREFIX_LENGTH)[0])
            done += 1
        else:
            raise damage(self.database, DROPPED_PREFIX)
        if done:
            if removed_through > self.horizon:
                # Before anything is removed, in memory and (writes are kept in order) on disk.
                self.horizon = removed_through
                self._store_horizon(removed_through)
            for storage_id in dropped:
                self.database.delete_range(keys.prefix(storage_id, 0), keys.prefix(storage_id + 1, 0))
            self._write(batch)
            self.store.release()
        return done

    def _collect_key(self, key: bytes, superseded_at: int, batch: WriteBatch) -> None:
        """Versions of `key` older than `superseded_at`, and that version itself if it is a tombstone."""
        length = len(key) + 8
        for stored, value in self.database.items(from_key=key + inverted(superseded_at)):
            if len(stored) != length or stored[:-8] != key:
                break
            if timestamp_of(stored) < superseded_at or not value:
                batch.delete(stored)
        else:
            raise damage(self.database, key)

    # ── whole contents ─────────────────────────────────────────────────────────────────────────────────────────────

    def contents(self) -> Iterator[tuple[bytes, bytes]]:
        """Every stored version (key with timestamp, value), bookkeeping left out, in key order: for verification."""
        last = keys.prefix(1, 0)
        for stored, value in self.database.items(from_key=last):
            if stored == SENTINEL:
                return
            last = stored
            yield stored, value
        raise damage(self.database, last)

    def approximate_bytes(self, low: bytes, high: bytes) -> int:
        """Bytes in files that may hold keys in [low, high): what pg_relation_size shows."""
        total = 0
        for file in self.database.live_files():
            if file["end_key"] >= low and file["start_key"] < high:
                total += int(file["size"])
        return total

    def flush(self) -> None:
        """Make everything applied so far durable in the view's own files; blocks."""
        self._flush(wait=True)

    def _flush(self, *, wait: bool) -> None:
        self._events_since_flush = 0
        try:
            self.database.flush(wait=wait)
        except Exception as error:
            raise failure(self.path, error) from error

    def close(self) -> None:
        """Flush and close."""
        self.store.release()
        try:
            self.flush()
        finally:
            self.database.close()


def failure(path: Path, error: Exception) -> NodeFatal:
    """What a failed write of RocksDB means: files that do not hold what they should, or a disk that takes no more."""
    kind = DamagedView if str(error).startswith("Corruption") else NodeFatal
    return kind(f"view {path}: {error}")


def _with_version(item: CatalogObject, version: int) -> CatalogObject:
    return msgspec.structs.replace(item, version=version)


class Difference(NamedTuple):
    """One place where a view is not what replaying the journal gives."""

    key: bytes
    in_view: bytes | None
    in_replay: bytes | None


def compare(view: View, replayed: View, *, limit: int = 10) -> list[Difference]:
    """Where two views at the same frontier differ, as snapshots see them.

    Versions that garbage collection has removed from one of them are no difference: a version may be missing where a newer
    version of the same key supersedes it.
    """
    differences: list[Difference] = []
    for key, ours, theirs in _merged(view.contents(), replayed.contents()):
        if ours == theirs:
            continue
        newest = _newest(view, key), _newest(replayed, key)
        if newest[0] == newest[1] and (ours is None or theirs is None):
            continue
        differences.append(Difference(key, ours, theirs))
        if len(differences) >= limit:
            break
    return differences


def _newest(view: View, stored: bytes) -> tuple[bytes, bytes] | None:
    """The newest version of a stored key's key; None where there is none or only a tombstone."""
    key = stored[:-8]
    for found, value in view.database.items(from_key=key):
        if found[:-8] == key and value:
            return found, value
        return None
    return None


def _merged(
    left: Iterable[tuple[bytes, bytes]], right: Iterable[tuple[bytes, bytes]]
) -> Iterator[tuple[bytes, bytes | None, bytes | None]]:
    """Both sorted streams side by side."""
    left_iterator, right_iterator = iter(left), iter(right)
    ours, theirs = next(left_iterator, None), next(right_iterator, None)
    while ours is not None or theirs is not None:
        if theirs is None or (ours is not None and ours[0] < theirs[0]):
            assert ours is not None
            yield ours[0], ours[1], None
            ours = next(left_iterator, None)
        elif ours is None or theirs[0] < ours[0]:
            yield theirs[0], None, theirs[1]
            theirs = next(right_iterator, None)
        else:
            yield ours[0], ours[1], theirs[1]
            ours, theirs = next(left_iterator, None), next(right_iterator, None)


def replay(
    events: Iterable[Event], path: Path, *, chunk: int = 500, progress: Callable[[int], None] | None = None
) -> View:
    """A new view made of the event log alone."""
    view = View(path)
    waiting: list[Event] = []
    for event in events:
        waiting.append(event)
        if len(waiting) >= chunk:
            view.apply(waiting)
            waiting = []
            if progress is not None:
                progress(view.frontier.position)
    if waiting:
        view.apply(waiting)
    return view
