"""The event log: every committed transaction in order, in files that prove themselves.

    apply ──append──▶ segment (page cache) ──▶ readers, at any retained position, while it grows
                          └── synchronized in the background, and always before the Raft log is compacted

The Raft log is the durable truth for what was committed recently, so appending here costs no fsync: after a crash the
log is cut back to its last whole record and the missing events are judged again from the Raft log, with the same result.
One record holds the events of one Raft entry, and its index is that entry's: a record is all or nothing, and the last
record says where to go on. A large transaction takes several records, one a part; parts without their end are cut.

Every event carries SHA-256 over the one before and its own body (`journal.event.chain_hash`). A record's CRC finds
damage early and cheaply, on every read; the chain proves that nothing was replaced, left out or reordered, and is
checked by `verify`. Positions are contiguous.

Finding a position: a segment's first position is in its header and in memory; within a segment a sparse index (one
entry per 64 KiB) leads to a short scan. The index of a finished segment lies in a file beside it and is read on demand;
if it is missing or damaged it is made again from the segment. One that is whole is right: a segment that is opened to be appended to
has none.

Costs: about 3 µs for a small event (encode 1.2, hash 0.6, its share of record and write), 1 ms a MiB for large ones.
"""

from __future__ import annotations

import errno
import zlib
from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from journal.environment import Disk, DiskFile
from journal.errors import CorruptData, NodeFatal
from journal.event import (
    GENESIS_HASH,
    HASH_BYTES,
    Event,
    UnknownFormat,
    chain_hash,
    decode_event,
    encode_event_body,
)
from journal.segment import OVERHEAD_BYTES, READ_BYTES_DEFAULT, Record, encode_record, is_zero, scan

FORMAT_VERSION = 1
SEGMENT_BYTES_DEFAULT = 64 << 20

_KIND_HEADER = 1
_KIND_EVENTS = 2
_KIND_PART = 3
_KIND_LAST_PART = 4
_INDEX_STEP_BYTES = 64 << 10
_OPEN_SEGMENTS_MAX = 16
_EVENT_PREFIX_BYTES = 4 + HASH_BYTES


class _SegmentHeader(msgspec.Struct, array_like=True):
    version: int
    sequence: int
    next_position: int
    previous_ts: int
    previous_hash: bytes
    raft_index: int
    open_part: int
    """Number of the part that the segment begins with, 0 if it begins with a new event."""


class _Segment:
    """One file: its header, and where its records end."""

    __slots__ = ("end", "header", "path", "size")

    def __init__(self, path: str, header: _SegmentHeader, end: int, size: int) -> None:
        self.path = path
        self.header = header
        self.end = end
        self.size = size


class _Index:
    """Sparse index of a segment: the record at offsets[i] begins with positions[i], stamped stamps[i]."""

    __slots__ = ("offsets", "positions", "stamps")

    def __init__(self) -> None:
        self.positions = array("Q")
        self.stamps = array("Q")
        self.offsets = array("Q")

    def due(self, offset: int) -> bool:
        return not self.offsets or offset - self.offsets[-1] >= _INDEX_STEP_BYTES

    def cut(self, end: int) -> None:
        while self.offsets and self.offsets[-1] >= end:
            for column in (self.positions, self.stamps, self.offsets):
                column.pop()

    def note(self, position: int, commit_ts: int, offset: int) -> None:
        if self.due(offset):
            self.positions.append(position)
            self.stamps.append(commit_ts)
            self.offsets.append(offset)

    def offset_of_position(self, position: int) -> int | None:
        """Offset of a record before the one that holds `position`'s first part, or of the segment's first."""
        return self.offsets[max(0, bisect_left(self.positions, position) - 1)] if self.offsets else None

    def encode(self) -> bytes:
        data = msgspec.msgpack.encode((self.positions.tobytes(), self.stamps.tobytes(), self.offsets.tobytes()))
        return zlib.crc32(data).to_bytes(4, "little") + data

    @classmethod
    def decode(cls, data: bytes) -> _Index | None:
        """None if the bytes are damaged."""
        if zlib.crc32(data[4:]) != int.from_bytes(data[:4], "little"):
            return None
        index = cls()
        columns = msgspec.msgpack.decode(data[4:], type=tuple[bytes, bytes, bytes])
        for column, content in zip((index.positions, index.stamps, index.offsets), columns, strict=True):
            column.frombytes(content)
        return index


class Place(NamedTuple):
    """Between two records: the segment's number and an offset in it. It stays true as long as the log is open."""

    sequence: int
    offset: int


class Found(NamedTuple):
    """A record, the last position in it, whether that event is complete with it, and the place behind it."""

    record: Record
    last: int
    is_complete: bool
    place: Place


class EventLog:
    """The event log in a directory.

    Attributes:
        position, commit_ts, hash: of the last complete event.
        raft_index: the last Raft entry whose events are all here. (Entries without events leave no trace, so a restart
            may judge some of them again, to no effect.)

    Raises:
        CorruptData, UnknownFormat: on opening.
    """

    def __init__(self, disk: Disk, directory: str, *, segment_bytes: int = SEGMENT_BYTES_DEFAULT) -> None:
        self._disk = disk
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._segments: list[_Segment] = []
        self._files: OrderedDict[int, DiskFile] = OrderedDict()
        self._indexes: OrderedDict[int, _Index] = OrderedDict()
        self._active_index = _Index()
        self._dirty = False
        self._behind: list[tuple[int, list[Event]]] = []
        self._appends = 0
        self.position = 0
        self.commit_ts = 0
        self.hash = GENESIS_HASH
        self.raft_index = 0
        self._part_hash = GENESIS_HASH
        self._open_part = 0
        disk.make_directory(directory)
        self._open()

    # ---- appending --------------------------------------------------------------------------------------------------

    def append_later(self, raft_index: int, events: list[Event]) -> None:
        """Append the events of one Raft entry at the next `write_behind`, or before anything is read.

        The Raft log has them durably, so nobody need wait for this to be told that a transaction is committed."""
        self._behind.append((raft_index, events))

    def write_behind(self) -> None:
        """Append what waits for it."""
        behind, self._behind = self._behind, []
        for raft_index, events in behind:
            self.append(raft_index, events)

    def append(self, raft_index: int, events: list[Event]) -> None:
        """Append the events of one Raft entry and set their hashes. Durable only after `synchronize`."""
        previous = self.hash
        pieces: list[bytes] = []
        for event in events:
            body = encode_event_body(
                event.position,
                event.commit_ts,
                event.txid,
                event.provenance,
                event.catalog_changes,
                event.locks,
                event.writes,
                event.part,
                event.more,
                event.relations,
                event.bulk,
            )
            event.previous_hash = previous
            event.hash = previous = chain_hash(previous, body)
            pieces += (len(body).to_bytes(4, "little"), previous, body)
        first, last = events[0], events[-1]
        if first.position != self.position + 1 or last.position != self.position + len(events) or self._open_part:
            raise NodeFatal(f"event log: position {first.position} does not follow {self.position}")
        self._write(_KIND_EVENTS, raft_index, first.position, first.commit_ts, b"".join(pieces))
        self.hash = self._part_hash = previous
        self.position = last.position
        self.commit_ts = last.commit_ts
        self.raft_index = raft_index

    def append_part(self, raft_index: int, event: Event, packed: bytes) -> None:
        """Append one part of a large event; `packed` is its writes, encoded. Sets the part's hashes."""
        self.write_behind()
        if event.position != self.position + 1 or event.part != self._open_part:
            raise NodeFatal(f"event log: part {event.part} of position {event.position} is not the next one")
        body = encode_event_body(
            event.position,
            event.commit_ts,
            event.txid,
            event.provenance,
            event.catalog_changes,
            event.locks,
            msgspec.Raw(packed),
            event.part,
            event.more,
            event.relations,
            event.bulk,
        )
        event.previous_hash = self._part_hash
        event.hash = chain_hash(self._part_hash, body)
        payload = b"".join((len(body).to_bytes(4, "little"), event.hash, body))
        kind = _KIND_PART if event.more else _KIND_LAST_PART
        self._write(kind, raft_index, event.position, event.commit_ts, payload)
        self._part_hash = event.hash
        self._open_part += 1
        if not event.more:
            self._open_part = 0
            self.hash = event.hash
            self.position = event.position
            self.commit_ts = event.commit_ts
            self.raft_index = raft_index

    def reserve(self, size: int) -> bool:
        """Make sure that records of `size` bytes in all can be appended; False if the disk is full."""
        if self._behind:
            self.write_behind()
        active = self._segments[-1]
        if active.end + size <= active.size:
            return True
        try:
            self._roll(size)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                return False
            raise NodeFatal(f"event log: cannot begin a segment in {self._directory}: {error}") from error
        return True

    @property
    def open_part(self) -> int:
        """How many parts of the next event are here already."""
        return self._open_part

    @property
    def dirty(self) -> bool:
        """Whether something was appended since the last `synchronize` began."""
        return self._dirty

    def synchronize(self) -> int:
        """Make everything appended so far durable and return its Raft index. May run in another thread."""
        raft_index = self.raft_index
        active = self._segments[-1]
        self._dirty = False
        try:
            self._file(active).synchronize()
        except OSError as error:
            raise NodeFatal(f"event log: cannot synchronize {active.path}: {error}") from error
        return raft_index

    def close(self) -> None:
        """Write, synchronize and close."""
        self.write_behind()
        self.synchronize()
        self.abandon()

    def abandon(self) -> None:
        """Close without writing anything."""
        for file in self._files.values():
            file.close()
        self._files.clear()

    # ---- reading ----------------------------------------------------------------------------------------------------

    @property
    def first_position(self) -> int:
        """The oldest position retained."""
        return self._segments[0].header.next_position

    @property
    def retained_after(self) -> int:
        """Every event with a later commit timestamp is retained."""
        return self._segments[0].header.previous_ts

    def read(self, position: int) -> Iterator[Event]:
        """Events from `position` to the present end, parts of large ones one by one, a record in memory at a time.

        Raises:
            IndexError: the position is not retained.
        """
        self.write_behind()
        if position < self.first_position:
            raise IndexError(f"position {position} is not retained; the oldest is {self.first_position}")
        last = self.position
        place = max(
            place
            for place, segment in enumerate(self._segments)
            if segment.header.next_position + bool(segment.header.open_part) <= position or place == 0
        )
        previous = b""
        for segment in self._segments[place:]:
            offset = self._index(segment).offset_of_position(position)
            for record in self._records(segment, offset):
                if record.term == segment.header.next_position:
                    previous = previous or segment.header.previous_hash
                for event in _events_of(segment.path, record, previous):
                    if event.position > last:
                        return
                    previous = event.hash
                    if event.position >= position:
                        yield event

    def records(
        self, position: int, after: Place | None = None, *, read_bytes: int = READ_BYTES_DEFAULT
    ) -> Iterator[Found]:
        """Records from the one that holds `position` on, to the present end: what a feed sends.

        Args:
            after: go on here, where an earlier walk has stopped: nothing is looked for, nothing read twice.
            read_bytes: how much is read at a time.

        Raises:
            IndexError: the position is not retained.
        """
        self.write_behind()
        if position < self.first_position:
            raise IndexError(f"position {position} is not retained; the oldest is {self.first_position}")
        place = max(
            place
            for place, segment in enumerate(self._segments)
            if segment.header.next_position + bool(segment.header.open_part) <= position or place == 0
        )
        for segment in self._segments[place:]:
            sequence = segment.header.sequence
            if after is None:
                offset = self._index(segment).offset_of_position(position)
            elif sequence < after.sequence:
                continue
            else:
                offset = after.offset if sequence == after.sequence else None
            for record in self._records(segment, offset, read_bytes):
                last = record.term + _count_events(segment.path, record) - 1
                if last >= position:
                    yield Found(record, last, record.kind != _KIND_PART, Place(sequence, record.end))

    def append_record(self, source: str, kind: int, raft_index: int, payload: bytes) -> list[Event]:
        """Append a record of another event log, once it has proved that it continues this one; its events.

        Args:
            source: whose, for errors.

        Raises:
            CorruptData: it does not: nothing was appended.
        """
        self.write_behind()
        record = Record(0, kind, 0, raft_index, self.position + 1, payload)
        events: list[Event] = []
        previous = self._part_hash
        position, commit_ts, part = self.position, self.commit_ts, self._open_part
        for own, body in bodies_of(source, record):
            if chain_hash(previous, body) != own:
                raise CorruptData(f"{source} breaks the hash chain after position {position}")
            event = decode_event(body, previous, own)
            whole = kind == _KIND_EVENTS
            if event.position != position + 1 or event.part != part or (whole and (part or event.more)):
                raise CorruptData(f"{source} sent position {event.position} part {event.part} after {position}")
            if part == 0 and event.commit_ts <= commit_ts:
                raise CorruptData(f"{source}: commit timestamp {event.commit_ts} does not increase")
            previous, commit_ts = own, event.commit_ts
            position += whole
            events.append(event)
        if not events or (kind == _KIND_PART) != events[-1].more:
            raise CorruptData(f"{source}: a record of kind {kind} that says something else")
        self._write(kind, raft_index, events[0].position, events[0].commit_ts, payload)
        self._part_hash = previous
        if kind == _KIND_PART:
            self._open_part += 1
            return events
        self._open_part = 0
        self.hash, self.raft_index = previous, raft_index
        self.position, self.commit_ts = events[-1].position, events[-1].commit_ts
        return events

    def history(self, after_ts: int, through_ts: int) -> Iterator[Event]:
        """Events with after_ts < commit_ts <= through_ts, in order: the adjudicator's recall."""
        self.write_behind()
        place = max(0, bisect_right([s.header.previous_ts for s in self._segments], after_ts) - 1)
        while place and self._segments[place].header.open_part:
            place -= 1
        for segment in self._segments[place:]:
            index = self._index(segment)
            at = max(0, bisect_right(index.stamps, after_ts) - 1)
            offset = index.offsets[at] if index.offsets else None
            for record in self._records(segment, offset):
                for event in _events_of(segment.path, record, b""):
                    if event.commit_ts > through_ts or event.position > self.position:
                        return
                    if event.commit_ts > after_ts:
                        yield event

    def verify(self) -> Iterator[int]:
        """Check every CRC, position, timestamp and link of the chain, yielding positions as it goes.

        Raises:
            CorruptData: naming file, offset and what is wrong.
        """
        self.write_behind()
        head = self._segments[0].header
        previous, position, commit_ts, part = head.previous_hash, head.next_position - 1, head.previous_ts, 0
        for segment in self._segments:
            header = segment.header
            if header.previous_hash != previous or header.next_position != position + 1 or header.open_part != part:
                raise CorruptData(f"{segment.path} at offset 0: does not continue the chain at position {position}")
            for record in self._records(segment, None):
                where = f"{segment.path} at offset {record.offset}"
                for own, body in bodies_of(segment.path, record):
                    if chain_hash(previous, body) != own:
                        raise CorruptData(f"{where}: hash chain broken after position {position}")
                    event = decode_event(body, previous, own)
                    if event.position != position + 1 or event.part != part:
                        raise CorruptData(f"{where}: position {event.position} part {event.part} after {position}")
                    if part == 0 and event.commit_ts <= commit_ts:
                        raise CorruptData(f"{where}: commit timestamp {event.commit_ts} does not increase")
                    previous, commit_ts = own, event.commit_ts
                    part = event.part + 1 if event.more else 0
                    position += not event.more
                yield position
        if (position, previous) != (self.position, self.hash):
            raise CorruptData(f"{self._segments[-1].path}: ends at position {position}, not {self.position}")

    # ---- inside -----------------------------------------------------------------------------------------------------

    def _write(self, kind: int, raft_index: int, position: int, commit_ts: int, payload: bytes) -> None:
        active = self._segments[-1]
        if active.end + len(payload) + OVERHEAD_BYTES > active.size:
            try:
                self._roll(len(payload) + OVERHEAD_BYTES)
            except OSError as error:
                raise NodeFatal(f"event log: cannot begin a segment in {self._directory}: {error}") from error
            active = self._segments[-1]
        self._appends += 1
        record = encode_record(active.header.sequence, kind, 0, raft_index, position, payload)
        try:
            self._file(active).write(record, active.end)
        except OSError as error:
            raise NodeFatal(f"event log: cannot write {active.path}: {error}") from error
        self._active_index.note(position, commit_ts, active.end)
        active.end += len(record)
        self._dirty = True

    def _roll(self, size: int) -> None:
        """Begin a segment; the finished one is made durable first, so that only the newest can be torn."""
        active = self._segments[-1]
        try:
            self._file(active).synchronize()
        except OSError as error:
            raise NodeFatal(f"event log: cannot synchronize {active.path}: {error}") from error
        self._save_index(active, self._active_index)
        self._create_segment(active.header.sequence + 1, size)

    def _create_segment(self, sequence: int, size: int) -> None:
        path = self._path(sequence)
        header = _SegmentHeader(
            FORMAT_VERSION,
            sequence,
            self.position + 1,
            self.commit_ts,
            self._part_hash,
            self.raft_index,
            self._open_part,
        )
        record = encode_record(sequence, _KIND_HEADER, 0, 0, 0, msgspec.msgpack.encode(header))
        size = max(self._segment_bytes, size + len(record) + OVERHEAD_BYTES)
        file = self._disk.open(path, create=True)
        try:
            file.allocate(size)
            file.write(record, 0)
            file.synchronize()
            self._disk.synchronize_directory(self._directory)
        except OSError:
            file.close()
            self._disk.remove(path)
            raise
        self._segments.append(_Segment(path, header, len(record), size))
        self._files[sequence] = file
        self._active_index = _Index()

    def _records(self, segment: _Segment, offset: int | None, read_bytes: int = READ_BYTES_DEFAULT) -> Iterator[Record]:
        """Records from `offset`, or the first, to the segment's present end."""
        newest = segment is self._segments[-1]
        end = segment.end
        sequence = segment.header.sequence
        file, start = self._file(segment), offset or 0
        for record in scan(file, segment.path, sequence, start=start, last=newest, end=end, read_bytes=read_bytes):
            if record.kind != _KIND_HEADER:
                yield record

    def _file(self, segment: _Segment) -> DiskFile:
        sequence = segment.header.sequence
        file = self._files.get(sequence)
        if file is None:
            file = self._files[sequence] = self._disk.open(segment.path)
            newest = self._segments[-1].header.sequence
            while len(self._files) > _OPEN_SEGMENTS_MAX:
                victim = next(each for each in self._files if each not in (sequence, newest))
                self._files.pop(victim).close()
        return file

    def _index(self, segment: _Segment) -> _Index:
        if segment is self._segments[-1]:
            return self._active_index
        sequence = segment.header.sequence
        index = self._indexes.get(sequence)
        if index is None:
            index = self._load_index(segment) or self._make_index(segment)
            self._indexes[sequence] = index
            while len(self._indexes) > _OPEN_SEGMENTS_MAX:
                self._indexes.popitem(last=False)
        return index

    def _load_index(self, segment: _Segment) -> _Index | None:
        try:
            file = self._disk.open(segment.path.removesuffix(".log") + ".index")
        except FileNotFoundError:
            return None
        try:
            return _Index.decode(file.read(file.size(), 0))
        finally:
            file.close()

    def _make_index(self, segment: _Segment) -> _Index:
        index = _Index()
        for record in self._records(segment, None):
            index.note(record.term, _first_timestamp(segment.path, record), record.offset)
        self._save_index(segment, index)
        return index

    def _save_index(self, segment: _Segment, index: _Index) -> None:
        """Write it beside the segment. It need not be durable, nor succeed: it can be made again."""
        try:
            file = self._disk.open(segment.path.removesuffix(".log") + ".index", create=True)
            try:
                data = index.encode()
                file.write(data, 0)
                file.truncate(len(data))
            finally:
                file.close()
        except OSError:
            return

    def _path(self, sequence: int) -> str:
        return f"{self._directory}/events-{sequence:010d}.log"

    # ---- opening ----------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        names = self._disk.names(self._directory)
        sequences = [int(name[7:-4]) for name in names if name.startswith("events-") and name.endswith(".log")]
        for expected, sequence in enumerate(sequences, sequences[0] if sequences else 0):
            if sequence != expected:
                raise CorruptData(f"{self._path(expected)} is missing; {self._path(sequence)} follows")
        for sequence in sequences:
            newest = sequence == sequences[-1]
            segment = self._load_header(sequence, newest)
            if segment is not None:
                self._segments.append(segment)
        if not self._segments:
            self._create_segment(sequences[-1] + 1 if sequences else 1, 0)
            return
        while not self._load_tail(self._segments[-1]):
            self._remove_newest()
        self._forget_indexes(names, self._segments[-1].header.sequence)

    def _forget_indexes(self, names: list[str], first: int) -> None:
        """Remove the index files of segments from `first` on, which is going to be appended to. Where it had been finished once, and
        was cut, its index leads astray from now on; and the one that will take its place need not survive a crash."""
        stale = [name for name in names if name.startswith("events-") and name.endswith(".index")]
        stale = [name for name in stale if int(name[7:-6]) >= first]
        if not stale:
            return
        try:
            for name in stale:
                self._disk.remove(f"{self._directory}/{name}")
            self._disk.synchronize_directory(self._directory)
        except OSError as error:
            raise NodeFatal(f"event log: cannot remove {stale[0]} from {self._directory}: {error}") from error

    def _load_header(self, sequence: int, newest: bool) -> _Segment | None:
        path = self._path(sequence)
        file = self._disk.open(path)
        try:
            head = next(scan(file, path, sequence, last=newest), None)
            if head is None or head.kind != _KIND_HEADER:
                if newest and head is None:
                    # The machine stopped while the segment was being created.
                    self._disk.remove(path)
                    return None
                raise CorruptData(f"{path} at offset 0: no segment header")
            header = _decode_header(path, head.payload)
            return _Segment(path, header, file.size(), file.size())
        finally:
            file.close()

    def _load_tail(self, segment: _Segment) -> bool:
        """Take over the newest segment, cutting what is torn and parts without an end; False if such parts began in
        the segment before, so that this one has to go."""
        header = segment.header
        self.position, self.commit_ts = header.next_position - 1, header.previous_ts
        self.hash, self.raft_index = header.previous_hash, header.raft_index
        self._active_index = _Index()
        file = self._file(segment)
        end = complete_end = -1
        final: Record | None = None
        for record in scan(file, segment.path, header.sequence, last=True):
            end = record.end
            if record.kind == _KIND_HEADER:
                complete_end = end
                continue
            if record.kind != _KIND_PART:
                complete_end, final = end, record
            if self._active_index.due(record.offset):
                stamp = _first_timestamp(segment.path, record)
                self._active_index.note(record.term, stamp, record.offset)
        if header.open_part and final is None:
            return False
        self._active_index.cut(complete_end)
        if final is not None:
            last = list(_events_of(segment.path, final, b""))[-1]
            self.position, self.commit_ts, self.hash = last.position, last.commit_ts, last.hash
            self.raft_index = final.index
        self._part_hash, self._open_part = self.hash, 0
        segment.end = complete_end
        self._clean_tail(segment, file)
        return True

    def _clean_tail(self, segment: _Segment, file: DiskFile) -> None:
        try:
            if not is_zero(file, segment.end, file.size()):
                file.truncate(segment.end)
            file.allocate(self._segment_bytes)
            file.synchronize()
            self._disk.synchronize_directory(self._directory)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise NodeFatal(f"event log: cannot prepare {segment.path}: {error}") from error
        segment.size = file.size()

    def _remove_newest(self) -> None:
        segment = self._segments.pop()
        file = self._files.pop(segment.header.sequence, None)
        if file is not None:
            file.close()
        self._disk.remove(segment.path)
        if not self._segments:
            raise CorruptData(f"{segment.path}: begins within an event, and no segment comes before it")


def bodies_of(path: str, record: Record) -> Iterator[tuple[bytes, bytes]]:
    """(hash, body) of each event in a record."""
    _check_kind(path, record)
    payload = record.payload
    offset, end = 0, len(payload)
    while offset < end:
        body = offset + _EVENT_PREFIX_BYTES
        following = body + int.from_bytes(payload[offset : offset + 4], "little")
        if following > end:
            raise CorruptData(f"{path} at offset {record.offset}: an event reaches past the end of its record")
        yield payload[offset + 4 : body], payload[body:following]
        offset = following


def _count_events(path: str, record: Record) -> int:
    """How many `bodies_of` would give."""
    _check_kind(path, record)
    payload = record.payload
    count, offset, end = 0, 0, len(payload)
    while offset < end:
        offset += _EVENT_PREFIX_BYTES + int.from_bytes(payload[offset : offset + 4], "little")
        count += 1
    if offset > end:
        raise CorruptData(f"{path} at offset {record.offset}: an event reaches past the end of its record")
    return count


def _check_kind(path: str, record: Record) -> None:
    if record.kind not in (_KIND_EVENTS, _KIND_PART, _KIND_LAST_PART):
        raise UnknownFormat(f"{path} at offset {record.offset}: record of unknown kind {record.kind}")


def _events_of(path: str, record: Record, previous: bytes) -> Iterator[Event]:
    for own, body in bodies_of(path, record):
        yield decode_event(body, previous, own)
        previous = own


def _first_timestamp(path: str, record: Record) -> int:
    for own, body in bodies_of(path, record):
        return decode_event(body, b"", own).commit_ts
    raise CorruptData(f"{path} at offset {record.offset}: a record without events")


def _decode_header(path: str, payload: bytes) -> _SegmentHeader:
    try:
        version = msgspec.msgpack.decode(payload)[0]
        if version != FORMAT_VERSION:
            raise UnknownFormat(f"{path}: event log format {version}, known is {FORMAT_VERSION}")
        return msgspec.msgpack.decode(payload, type=_SegmentHeader)
    except (msgspec.MsgspecError, IndexError, TypeError) as error:
        raise CorruptData(f"{path} at offset 0: the segment header does not decode: {error}") from error
