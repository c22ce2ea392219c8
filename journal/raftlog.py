"""The durable Raft log: what pysyncobj appends to, reads back after a crash, and never loses.

    add ──▶ tail in memory + buffer ──flush──▶ segment file (page cache) ──synchronize──▶ durable_index moves

pysyncobj sees a list: `log[0]` is the oldest entry kept, `log[-1]` the newest, entries are (command, index, term). It
calls `add`, `deleteEntriesFrom`, `setCurrentTerm`; nothing of that touches the disk. The driver (`journal.replica`)
calls `flush` and synchronizes once per turn, and no message that reflects a change leaves before.

**Idempotent append.** pysyncobj answers a repeated or reordered AppendEntries by deleting the log's suffix and adding
the message's entries again, also when they are the same, and so would forget entries that it has acknowledged, or even
applied. Here a delete is *provisional*: it only moves the visible end. `add` of an entry with the index and term that
are there already makes the old one visible again; only a differing term really truncates; and `settle`, which the
transport calls after every message, makes visible what no conflict removed. That is Raft's own rule (§5.3 of the paper):
delete only on conflict. By the Log Matching property the same index and term mean the same entry and the same prefix.

**Files.** Segments `raft-NNNNNNNNNN.log` of preallocated space (see `journal.segment` for records, CRC, and torn
against corrupt). The first record of each names format, sequence, current term and vote, so that older segments can be
dropped whole. An entry whose index is not beyond the last one replaces the suffix from there: truncation needs no
record of its own. Term and vote are records too and are made durable by the same synchronization as entries.

**Memory.** Only the newest entries (4 MiB) and those not yet written are held; older ones are read back when a lagging
peer or a large transaction needs them. Per entry 20 bytes of position remain.

**Full disk.** Space is reserved segment by segment. `reserve` says beforehand whether an entry fits, so that the leader
can refuse instead of failing. Whatever fails after that, and every failed synchronization, is NodeFatal: after a failed
fsync nobody knows what is on disk, so nobody may answer.
"""

from __future__ import annotations

import errno
from array import array
from bisect import bisect_right
from collections import deque
from typing import Any

import msgspec
from pysyncobj.journal import Journal

from journal.environment import Disk, DiskFile
from journal.errors import CorruptData, NodeFatal
from journal.event import EntryKind, UnknownFormat
from journal.segment import HEADER_BYTES, OVERHEAD_BYTES, encode_record, is_zero, read_record, scan

Entry = tuple[bytes, int, int]
"""(command, index, term)"""

FORMAT_VERSION = 1
SEGMENT_BYTES_DEFAULT = 32 << 20
TAIL_BYTES_DEFAULT = 4 << 20

_KIND_HEADER = 1
_KIND_ENTRY = 2
_KIND_TERM = 3
_MEMBERSHIP = int(EntryKind.MEMBERSHIP)
_SPARE_NAME = "raft-spare.tmp"
_ZEROS_BYTES = 256 << 10
"""So far ahead zeros are written, where zeros are read anyway: a file system that has only reserved the space notes at the next
synchronization what of it has been written, and has to write that, too. Now it does so once for many."""


class _SegmentHeader(msgspec.Struct, array_like=True):
    version: int
    sequence: int
    first_index: int
    term: int
    voted_for: str | None
    restarts_in: int = -1
    """If not negative: whatever segments come before belong to an older log, which this one has replaced, and it begins
    with an entry of this term (`begin_after`)."""


class _Segment:
    """One file: entry first_index + i is at offsets[i]. `end`: of what is written; `zeroed`: of the zeros behind it."""

    __slots__ = (
        "end", "file", "first_index", "kinds", "lengths", "offsets", "path", "sequence", "size", "terms", "zeroed"
    )  # fmt: skip

    def __init__(self, sequence: int, path: str, file: DiskFile, size: int, first_index: int) -> None:
        self.sequence = sequence
        self.path = path
        self.file = file
        self.size = size
        self.end = self.zeroed = 0
        self.first_index = first_index
        self.offsets = array("Q")
        self.lengths = array("I")
        self.terms = array("Q")
        self.kinds = bytearray()

    @property
    def next_index(self) -> int:
        return self.first_index + len(self.offsets)

    def append(self, offset: int, command: bytes, term: int) -> None:
        self.offsets.append(offset)
        self.lengths.append(len(command))
        self.terms.append(term)
        self.kinds.append(command[0] if command else 0)

    def cut(self, index: int) -> None:
        """Forget entries from `index` on."""
        keep = max(0, index - self.first_index)
        if keep == 0:
            self.first_index = min(index, self.first_index)
        for column in (self.offsets, self.lengths, self.terms):
            del column[keep:]
        del self.kinds[keep:]


class RaftLog(Journal):  # type: ignore[misc]  # pysyncobj carries no types
    """A Raft log in a directory.

    Args:
        disk: where.
        directory: made if missing.
        segment_bytes: size of a segment; an entry larger than that gets a segment of its own.
        tail_bytes: how much of the newest entries stays in memory.

    Raises:
        CorruptData: what is on disk was not written so.
        UnknownFormat: a newer Boreal wrote it.
    """

    def __init__(
        self,
        disk: Disk,
        directory: str,
        *,
        segment_bytes: int = SEGMENT_BYTES_DEFAULT,
        tail_bytes: int = TAIL_BYTES_DEFAULT,
    ) -> None:
        self._disk = disk
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._tail_bytes = tail_bytes
        self._segments: list[_Segment] = []
        self._firsts: list[int] = []
        self._tail: deque[Entry] = deque()
        self._tail_first = 1
        self._tail_size = 0
        self._first = 1
        self._visible = 0
        self._first_entry: Entry | None = None
        self._last_entry: Entry | None = None
        self._buffer: list[bytes] = []
        self._buffered = 0
        self._term = 0
        self._voted_for: str | None = None
        self._batch = 1
        self._restarts_in = -1
        self.last_index = 0
        """Index of the newest entry, durable or not."""
        self.durable_index = 0
        """Every entry up to this index is on disk."""
        self.dirty = False
        """Whether something is not durable yet."""
        self.commit_floor = 1
        """Entries up to here are known to be committed; set by the owner before Raft starts."""
        self.memberships: list[int] = []
        """Indices of the membership entries kept."""
        self.memberships_version = 0
        """Changes whenever `memberships` does."""
        disk.make_directory(directory)
        self._open()

    # ---- what pysyncobj calls ---------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return max(0, self._visible - self._first + 1)

    def __getitem__(self, item: int | slice) -> Any:
        if isinstance(item, slice):
            start, stop, _ = item.indices(len(self))
            return self.entries(self._first + start, max(0, stop - start))
        if item == -1:
            last = self._last_entry
            if last is None:
                raise IndexError("the log is empty")
            return last
        if item < 0 or item >= len(self):
            raise IndexError(item)
        if item == 0:
            if self._first_entry is None:
                self._first_entry = self.entry(self._first)
            return self._first_entry
        return self.entry(self._first + item)

    def add(self, command: bytes, idx: int, term: int) -> None:
        """Append, or make visible again what is there already."""
        if idx <= self.last_index:
            if self._term_at(idx) == term:
                self._visible = idx
                self._last_entry = self.entry(idx)
                return
            self._truncate(idx)
        elif self.last_index == 0 and not self._segments[-1].offsets:
            # The very first entry, and the log may begin anywhere.
            self._first = idx
            self._tail_first = idx
            self.last_index = idx - 1
            self._segments[-1].first_index = idx
            self._firsts[-1] = idx
        if idx != self.last_index + 1:
            raise NodeFatal(f"Raft log: entry {idx} does not follow entry {self.last_index}")
        self._write(_KIND_ENTRY, idx, term, command)
        self.last_index = self._visible = idx
        entry = (command, idx, term)
        self._last_entry = entry
        self._tail.append(entry)
        self._tail_size += len(command)

    def clear(self) -> None:
        """pysyncobj's way of installing a snapshot, which Boreal does not use: events come from a peer's feed."""
        raise NodeFatal("Raft log: a snapshot was offered by pysyncobj's own means, which are switched off")

    def deleteEntriesFrom(self, entryFrom: int) -> None:
        """Provisionally forget entries from list position `entryFrom` on."""
        self._visible = min(self._visible, self._first + entryFrom - 1)
        self._last_entry = self.entry(self._visible) if self._visible >= self._first else None

    def deleteEntriesTo(self, entryTo: int) -> None:
        """Forget entries before list position `entryTo`; rounded down to whole segments."""
        self.compact(self._first + entryTo)

    def setRaftCommitIndex(self, raftCommitIndex: int) -> None:
        """Not stored: a leader finds it again, and the event log knows what was applied."""

    def getRaftCommitIndex(self) -> int:
        """What is known to be committed without asking anybody."""
        return max(1, min(self.commit_floor, self.last_index))

    def setCurrentTerm(self, term: int, votedForNodeId: str | None) -> None:
        """Term and vote; durable with the next synchronization, before any message leaves."""
        if (term, votedForNodeId) == (self._term, self._voted_for):
            return
        self._term = term
        self._voted_for = votedForNodeId
        self._write(_KIND_TERM, 0, term, msgspec.msgpack.encode(votedForNodeId))

    def getCurrentTerm(self) -> int:
        """The current term."""
        return self._term

    def getVotedForNodeId(self) -> str | None:
        """Whom this node voted for in the current term."""
        return self._voted_for

    def _destroy(self) -> None:
        """pysyncobj is done; the owner closes."""

    # ---- what the driver calls --------------------------------------------------------------------------------------

    @property
    def first_index(self) -> int:
        """Index of the oldest entry kept."""
        return self._first

    @property
    def bytes_kept(self) -> int:
        """Bytes of all segments, preallocated space not counted."""
        return sum(segment.end for segment in self._segments)

    @property
    def file(self) -> DiskFile:
        """The segment that `flush` wrote to: the only file to synchronize."""
        return self._segments[-1].file

    @property
    def path(self) -> str:
        """That segment's path."""
        return self._segments[-1].path

    def settle(self) -> None:
        """Make visible again what a provisional delete hid and no conflict removed."""
        if self._visible != self.last_index:
            self._visible = self.last_index
            self._last_entry = self.entry(self.last_index) if self.last_index >= self._first else None

    def entry(self, index: int) -> Entry:
        """The entry with this Raft index, from memory or disk."""
        position = index - self._tail_first
        if 0 <= position < len(self._tail):
            return self._tail[position]
        segment = self._segment_of(index)
        place = index - segment.first_index
        record = read_record(
            segment.file, segment.path, segment.sequence, segment.offsets[place], segment.lengths[place]
        )
        if record.index != index or record.kind != _KIND_ENTRY:
            raise CorruptData(f"{segment.path} at offset {record.offset}: expected entry {index}, found {record.index}")
        return record.payload, index, record.term

    def entries(self, index: int, count: int) -> list[Entry]:
        """Up to `count` entries from `index` on."""
        return [self.entry(each) for each in range(index, min(index + count - 1, self._visible) + 1)]

    def entries_within(self, index: int, size: int) -> list[Entry]:
        """Entries from `index` on, at least one, until their commands make up `size` bytes."""
        found: list[Entry] = []
        while index <= self.last_index and (not found or size > 0):
            entry = self.entry(index)
            found.append(entry)
            size -= len(entry[0])
            index += 1
        return found

    def term_of(self, index: int) -> int:
        """The term of the entry with this Raft index. HOT for one of the newest."""
        position = index - self._tail_first
        if 0 <= position < len(self._tail):
            return self._tail[position][2]
        return self._term_at(index)

    def first_of_term(self, index: int) -> int:
        """The lowest index kept from which on, up to `index`, all entries have its term."""
        term = self._term_at(index)
        while index > self._first and self._term_at(index - 1) == term:
            index -= 1
        return index

    def indices_of_kind(self, kind: int, through: int) -> list[int]:
        """Indices, up to `through`, of the entries whose command begins with byte `kind`."""
        return [
            segment.first_index + place
            for segment in self._segments
            for place, found in enumerate(segment.kinds)
            if found == kind and segment.first_index + place <= through
        ]

    def reserve(self, size: int) -> bool:
        """Make sure that `size` bytes of entries can be written; False if the disk is full."""
        active = self._segments[-1]
        if active.end + self._buffered + size + 4 * OVERHEAD_BYTES <= active.size:
            return True
        try:
            self._roll(size)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                return False
            raise NodeFatal(f"Raft log: cannot begin a segment in {self._directory}: {error}") from error
        return True

    def flush(self) -> bool:
        """Hand everything buffered to the operating system; True if a synchronization of `file` must follow."""
        if self._buffer:
            active = self._segments[-1]
            buffer, end = self._buffer, active.end + self._buffered
            if end > active.zeroed:
                active.zeroed = min(max(end, active.size), end + _ZEROS_BYTES)
                buffer.append(bytes(active.zeroed - end))
            data = buffer[0] if len(buffer) == 1 else b"".join(buffer)
            try:
                active.file.write(data, active.end)
            except OSError as error:
                raise NodeFatal(f"Raft log: cannot write {active.path}: {error}") from error
            active.end = end
            buffer.clear()
            self._buffered = 0
        return self.dirty

    def synchronized(self) -> None:
        """The synchronization of everything flushed so far has succeeded."""
        self.dirty = False
        self._batch += 1
        self.durable_index = self.last_index
        self._trim_tail()

    def synchronize(self) -> None:
        """Flush and wait. For opening, closing and tests; the driver does not block its loop with it."""
        if self.flush():
            try:
                self.file.synchronize()
            except OSError as error:
                raise NodeFatal(f"Raft log: cannot synchronize {self._segments[-1].path}: {error}") from error
            self.synchronized()

    def prepare(self) -> None:
        """Create the next segment's file ahead of need, if the current one is more than half full. May run in another
        thread; a failure is left for `reserve` to meet."""
        active = self._segments[-1]
        spare = f"{self._directory}/{_SPARE_NAME}"
        if active.end * 2 < active.size or _SPARE_NAME in self._disk.names(self._directory):
            return
        making = f"{spare}.making"
        try:
            file = self._disk.open(making, create=True)
            try:
                file.allocate(self._segment_bytes)
                file.synchronize()
            finally:
                file.close()
            self._disk.rename(making, spare)
        except OSError:
            return

    def compact(self, index: int) -> None:
        """Drop whole segments that hold only entries below `index`, all of which must be durable and applied.

        The newest entry, and one segment, always stay."""
        dropped = False
        while len(self._segments) > 1:
            oldest, successor = self._segments[0], self._segments[1]
            if oldest.next_index > index or successor.first_index > self.durable_index or not successor.offsets:
                break
            self._remove(oldest)
            del self._segments[0], self._firsts[0]
            dropped = True
        if dropped:
            self._first = self._segments[0].first_index
            self._first_entry = None
            if self.memberships and self.memberships[0] < self._first:
                self.memberships = [each for each in self.memberships if each >= self._first]
                self.memberships_version += 1
            while self._tail and self._tail_first < self._first:
                self._tail_size -= len(self._tail.popleft()[0])
                self._tail_first += 1

    def begin_after(self, index: int, term: int) -> None:
        """Forget all entries: the log begins with entry `index` of `term`, of which nothing is kept but that.

        It and everything before is committed and applied, durably, by other means (a snapshot says so). Durable when
        this returns; must not run while a synchronization is in flight. Before the new segment is durable, a restart
        finds the old log, and after that the new one.
        """
        self.flush()
        old, self._segments, self._firsts = self._segments, [], []
        self._tail.clear()
        self._tail_size = 0
        self._first = self._tail_first = index
        self.last_index = self._visible = self.durable_index = index - 1
        self._first_entry = self._last_entry = None
        if self.memberships:
            self.memberships = []
            self.memberships_version += 1
        try:
            self._create_segment(old[-1].sequence + 1, index, 0, restarts_in=term)
        except OSError as error:
            raise NodeFatal(f"Raft log: cannot begin a segment in {self._directory}: {error}") from error
        self.add(bytes([EntryKind.NO_OP]), index, term)
        self.synchronize()
        for segment in old:
            self._remove(segment)

    def close(self) -> None:
        """Synchronize and close."""
        self.synchronize()
        self.abandon()

    def abandon(self) -> None:
        """Close without writing anything: after a failure."""
        for segment in self._segments:
            segment.file.close()
        self._segments = self._segments[-1:]

    # ---- writing ----------------------------------------------------------------------------------------------------

    def _write(self, kind: int, index: int, term: int, payload: bytes) -> None:
        active = self._segments[-1]
        if active.end + self._buffered + len(payload) + OVERHEAD_BYTES > active.size:
            try:
                self._roll(len(payload))
            except OSError as error:
                raise NodeFatal(f"Raft log: cannot begin a segment in {self._directory}: {error}") from error
            active = self._segments[-1]
        record = encode_record(active.sequence, kind, self._batch, index, term, payload)
        if kind == _KIND_ENTRY:
            if not active.offsets:
                active.first_index = self._firsts[-1] = index
            active.append(active.end + self._buffered, payload, term)
            if payload[0] == _MEMBERSHIP:
                self._note_membership(index)
        self._buffer.append(record)
        self._buffered += len(record)
        self.dirty = True

    def _roll(self, size: int) -> None:
        """Begin a segment with room for `size` bytes. The full one is made durable first, so that only the newest can
        ever be torn."""
        self.flush()
        active = self._segments[-1]
        try:
            active.file.synchronize()
        except OSError as error:
            raise NodeFatal(f"Raft log: cannot synchronize {active.path}: {error}") from error
        self._create_segment(active.sequence + 1, self.last_index + 1, size)

    def _create_segment(self, sequence: int, first_index: int, size: int, *, restarts_in: int = -1) -> None:
        path = self._path(sequence)
        spare = f"{self._directory}/{_SPARE_NAME}"
        header = _SegmentHeader(FORMAT_VERSION, sequence, first_index, self._term, self._voted_for, restarts_in)
        record = encode_record(sequence, _KIND_HEADER, self._batch, first_index, 0, msgspec.msgpack.encode(header))
        size = max(self._segment_bytes, size + 2 * OVERHEAD_BYTES + len(record) + 4096)
        try:
            self._disk.rename(spare, path)
            file = self._disk.open(path)
        except FileNotFoundError:
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
        segment = _Segment(sequence, path, file, size, first_index)
        segment.end = len(record)
        self._segments.append(segment)
        self._firsts.append(first_index)

    def _truncate(self, index: int) -> None:
        """Really forget entries from `index` on: one with another term replaces them."""
        for place, segment in enumerate(self._segments):
            if segment.next_index > index:
                segment.cut(index)
                self._firsts[place] = segment.first_index
        while self._tail and self._tail_first + len(self._tail) > index:
            self._tail_size -= len(self._tail.pop()[0])
        self._tail_first = min(self._tail_first, index)
        self.last_index = self._visible = index - 1
        self.durable_index = min(self.durable_index, index - 1)
        if self.memberships and self.memberships[-1] >= index:
            self.memberships = [each for each in self.memberships if each < index]
            self.memberships_version += 1
        if index <= self._first:
            self._first_entry = None

    def _remove(self, segment: _Segment) -> None:
        """Durably, so that of several the oldest are gone first, whatever a crash does to names."""
        segment.file.close()
        try:
            self._disk.remove(segment.path)
            self._disk.synchronize_directory(self._directory)
        except OSError as error:
            raise NodeFatal(f"Raft log: cannot remove {segment.path}: {error}") from error

    def _note_membership(self, index: int) -> None:
        self.memberships.append(index)
        self.memberships_version += 1

    def _trim_tail(self) -> None:
        tail = self._tail
        while self._tail_size > self._tail_bytes and len(tail) > 1:
            self._tail_size -= len(tail.popleft()[0])
            self._tail_first += 1

    # ---- reading ----------------------------------------------------------------------------------------------------

    def _path(self, sequence: int) -> str:
        return f"{self._directory}/raft-{sequence:010d}.log"

    def _segment_of(self, index: int) -> _Segment:
        if not self._first <= index <= self.last_index:
            raise IndexError(f"entry {index} is not within {self._first} … {self.last_index}")
        place = bisect_right(self._firsts, index) - 1
        segment = self._segments[place]
        while index >= segment.next_index:
            # A truncation left this one empty or short; the entry was written again further on.
            place += 1
            segment = self._segments[place]
        return segment

    def _term_at(self, index: int) -> int:
        segment = self._segment_of(index)
        return segment.terms[index - segment.first_index]

    def _open(self) -> None:
        names = [name for name in self._disk.names(self._directory) if name.startswith("raft-")]
        for name in names:
            if name.endswith(".making"):
                self._disk.remove(f"{self._directory}/{name}")
        sequences = [int(name[5:-4]) for name in names if name.endswith(".log")]
        for expected, sequence in enumerate(sequences, sequences[0] if sequences else 0):
            if sequence != expected:
                raise CorruptData(f"{self._path(expected)} is missing; {self._path(sequence)} follows")
        for place, sequence in enumerate(sequences):
            self._load(sequence, first=place == 0, last=place == len(sequences) - 1)
        if not self._segments:
            self._create_segment(sequences[-1] + 1 if sequences else 1, 1, 0)
        self._visible = self.durable_index = self.last_index
        if self._segments[0].offsets:
            self._first = self._segments[0].first_index
        self._tail_first = self.last_index + 1
        self._firsts = [segment.first_index for segment in self._segments]
        if self.last_index >= self._first:
            self._last_entry = self.entry(self.last_index)
        self._batch += 1  # what was found is durable now (`_clean_tail`)
        if self._restarts_in >= 0 and self.last_index < self._first:
            # The machine stopped between the header and the entry that it promises.
            self.add(bytes([EntryKind.NO_OP]), self._first, self._restarts_in)
            self.synchronize()

    def _load(self, sequence: int, *, first: bool, last: bool) -> None:
        path = self._path(sequence)
        file = self._disk.open(path)
        records = scan(file, path, sequence, last=last)
        head = next(records, None)
        if head is None:
            if not last:
                raise CorruptData(f"{path} at offset 0: no segment header")
            # The machine stopped while the segment was being created: nothing in it was ever acknowledged.
            file.close()
            self._disk.remove(path)
            return
        if head.kind != _KIND_HEADER:
            raise CorruptData(f"{path} at offset 0: record kind {head.kind} where the segment header belongs")
        header = _decode_header(path, head.payload)
        if header.sequence != sequence:
            raise CorruptData(f"{path} at offset 0: the header says segment {header.sequence}")
        if header.restarts_in >= 0:
            self._restarts_in = header.restarts_in
            for older in self._segments:
                self._remove(older)
            self._segments, self._firsts, self.memberships, first = [], [], [], True
        if not first and header.first_index > self.last_index + 1:
            raise CorruptData(
                f"{path}: begins at entry {header.first_index}, but the last one before is {self.last_index}"
            )
        if first:
            self._first, self.last_index = header.first_index, header.first_index - 1
        self._term, self._voted_for = header.term, header.voted_for
        segment = _Segment(sequence, path, file, file.size(), header.first_index)
        segment.end = head.end
        self._segments.append(segment)
        self._firsts.append(segment.first_index)
        for record in records:
            self._load_record(segment, record.kind, record.offset, record.index, record.term, record.payload)
            segment.end = record.end
            self._batch = max(self._batch, record.batch)
        if last:
            self._clean_tail(segment)

    def _load_record(self, segment: _Segment, kind: int, offset: int, index: int, term: int, payload: bytes) -> None:
        if kind == _KIND_TERM:
            self._term, self._voted_for = term, msgspec.msgpack.decode(payload, type=str | None)
            return
        if kind != _KIND_ENTRY:
            raise UnknownFormat(f"{segment.path} at offset {offset}: record of unknown kind {kind}")
        if index <= self.last_index:
            self._truncate(index)
        if not segment.offsets:
            if index != self.last_index + 1 and self.last_index >= self._first:
                raise CorruptData(f"{segment.path} at offset {offset}: entry {index} follows entry {self.last_index}")
            segment.first_index = self._firsts[-1] = index
        elif index != self.last_index + 1:
            raise CorruptData(f"{segment.path} at offset {offset}: entry {index} follows entry {self.last_index}")
        segment.append(offset, payload, term)
        if payload[0] == _MEMBERSHIP:
            self._note_membership(index)
        self.last_index = index

    def _clean_tail(self, segment: _Segment) -> None:
        """Zeros after the last record, so that nothing torn can ever be taken for written; and make it all durable:
        the last run may have ended between write and synchronization."""
        size = max(self._segment_bytes, segment.end + HEADER_BYTES)
        try:
            if not is_zero(segment.file, segment.end, segment.size):
                segment.file.truncate(segment.end)
            segment.file.allocate(size)
            segment.file.synchronize()
            self._disk.synchronize_directory(self._directory)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise NodeFatal(f"Raft log: cannot prepare {segment.path}: {error}") from error
            size = segment.file.size()
        segment.size = max(size, segment.file.size())


def _decode_header(path: str, payload: bytes) -> _SegmentHeader:
    try:
        version = msgspec.msgpack.decode(payload)[0]
        if version != FORMAT_VERSION:
            raise UnknownFormat(f"{path}: Raft log format {version}, known is {FORMAT_VERSION}")
        return msgspec.msgpack.decode(payload, type=_SegmentHeader)
    except (msgspec.MsgspecError, IndexError, TypeError) as error:
        raise CorruptData(f"{path} at offset 0: the segment header does not decode: {error}") from error
