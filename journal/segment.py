"""Records in segment files: the ground under the Raft log and the event log.

A segment is a preallocated file of records, each:

    marker 0xB5 | kind u8 | 2 spare | length u32 | batch u32 | index u64 | term u64 | crc u32 | payload … | marker 0x5B

The CRC covers header and payload and starts from the segment's number, so that a record of another file never passes.
The batch counts synchronizations: a record of batch n+1 is written only after batch n is durable. First and last byte
are never zero. These three facts let `scan` tell, at the first record that does not check out, which of two things it
sees:

- *torn*: the write was in flight when the machine stopped. Then at least one whole sector of the record still holds the
  zeros of the preallocation, and no valid record of a later batch follows. The tail is cut; nothing that anybody was
  told is lost.
- *corrupt*: bytes changed after they were durable. `CorruptData` names file, offset and reason, and the node stops. A
  damaged tail is never taken for a torn one (except for damage that zeroes whole sectors of the very last batch, which
  nothing in the file itself could reveal).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from journal.environment import DiskFile
from journal.errors import CorruptData

MARKER = 0xB5
TRAILER = 0x5B
_HEADER = struct.Struct("<BBHIIQQI")
_CHECKED = struct.Struct("<BBHIIQQ")
HEADER_BYTES = _HEADER.size
OVERHEAD_BYTES = HEADER_BYTES + 1
PAYLOAD_BYTES_MAX = (1 << 31) - 1
_TRAILER_BYTES = bytes([TRAILER])
_SECTOR_BYTES = 512
READ_BYTES_DEFAULT = 4 << 20
_ZEROS = bytes(1 << 20)
_crc32 = zlib.crc32


class Record:
    """Where a record is and what its header says; `payload` is a copy."""

    __slots__ = ("batch", "index", "kind", "offset", "payload", "term")

    def __init__(self, offset: int, kind: int, batch: int, index: int, term: int, payload: bytes) -> None:
        self.offset = offset
        self.kind = kind
        self.batch = batch
        self.index = index
        self.term = term
        self.payload = payload

    @property
    def end(self) -> int:
        """Offset of the byte after the record."""
        return self.offset + OVERHEAD_BYTES + len(self.payload)


def encode_record(seed: int, kind: int, batch: int, index: int, term: int, payload: bytes) -> bytes:
    """One record; `seed` is the segment's number. About 0.7 µs plus 0.2 ms a MiB."""
    checked = _CHECKED.pack(MARKER, kind, 0, len(payload), batch & 0xFFFFFFFF, index, term)
    crc = _crc32(payload, _crc32(checked, seed & 0xFFFFFFFF))
    return b"".join((checked, crc.to_bytes(4, "little"), payload, _TRAILER_BYTES))


def read_record(file: DiskFile, path: str, seed: int, offset: int, length: int | None = None) -> Record:
    """The record at `offset`, which must be whole.

    Args:
        length: payload length if known, which saves a read.

    Raises:
        CorruptData: it is not.
    """
    if length is None:
        header = file.read(HEADER_BYTES, offset)
        if len(header) < HEADER_BYTES:
            raise CorruptData(f"{path} at offset {offset}: the file ends within a record header")
        length = int.from_bytes(header[4:8], "little")
        if length > PAYLOAD_BYTES_MAX:
            raise CorruptData(f"{path} at offset {offset}: impossible record length {length}")
    data = file.read(length + OVERHEAD_BYTES, offset)
    record, reason = _parse(memoryview(data), 0, seed, offset)
    if record is None:
        raise CorruptData(f"{path} at offset {offset}: {reason}")
    return record


def _parse(data: memoryview, start: int, seed: int, base: int) -> tuple[Record | None, str]:
    """The record at data[start:], or None and the check that failed."""
    if len(data) - start < HEADER_BYTES:
        return None, "the file ends within a record header"
    marker, kind, spare, length, batch, index, term, crc = _HEADER.unpack_from(data, start)
    if marker != MARKER or spare:
        return None, f"no record starts here (first byte {marker:#04x})"
    body = start + HEADER_BYTES
    if length > PAYLOAD_BYTES_MAX or body + length + 1 > len(data):
        return None, f"record of {length} bytes reaches past the end of the file"
    payload = data[body : body + length]
    if _crc32(payload, _crc32(data[start : start + HEADER_BYTES - 4], seed & 0xFFFFFFFF)) != crc:
        return None, "checksum mismatch"
    if data[body + length] != TRAILER:
        return None, "the record's last byte is wrong"
    return Record(base, kind, batch, index, term, bytes(payload)), ""


def scan(
    file: DiskFile,
    path: str,
    seed: int,
    *,
    start: int = 0,
    last: bool,
    end: int | None = None,
    read_bytes: int = READ_BYTES_DEFAULT,
) -> Iterator[Record]:
    """All records of a segment in order. The generator's end is the end of the valid part.

    Args:
        start: offset of the first record wanted.
        last: this is the newest segment, whose tail may be torn; in any other a torn record is corrupt, too.
        end: where the records are known to end; before that everything must be whole.
        read_bytes: how much of the file is read at a time; more for a larger record.

    Raises:
        CorruptData: see the module.
    """
    size = file.size() if end is None else end
    window = memoryview(b"")
    base = offset = start
    batch = 0
    while offset < size:
        have = base + len(window) - offset
        if have < HEADER_BYTES and base + len(window) < size:
            window, base = memoryview(file.read(read_bytes, offset)), offset
            have = len(window)
        if have >= HEADER_BYTES and window[offset - base] == MARKER:
            needed = int.from_bytes(window[offset - base + 4 : offset - base + 8], "little") + OVERHEAD_BYTES
            if needed > have and base + len(window) < size and offset + needed <= size:
                window, base = memoryview(file.read(max(needed, read_bytes), offset)), offset
        record, reason = _parse(window, offset - base, seed, offset)
        if record is None:
            if end is not None and end < file.size():
                raise CorruptData(f"{path} at offset {offset}: {reason}")
            _explain(file, path, seed, offset, size, batch, reason, last)
            return
        batch = record.batch
        yield record
        offset = record.end


def is_zero(file: DiskFile, start: int, end: int) -> bool:
    """Whether the file holds nothing but zeros from `start` to `end`: a megabyte at a time, 0.1 ms each."""
    while start < end:
        piece = file.read(min(len(_ZEROS), end - start), start)
        if not piece:
            return True
        if piece != (_ZEROS if len(piece) == len(_ZEROS) else _ZEROS[: len(piece)]):
            return False
        start += len(piece)
    return True


def _explain(file: DiskFile, path: str, seed: int, offset: int, size: int, batch: int, reason: str, last: bool) -> None:
    """Return if the bytes at `offset` are a clean end or a torn record; raise CorruptData otherwise."""
    if is_zero(file, offset, size):
        return
    rest = file.read(size - offset, offset)
    corrupt = CorruptData(f"{path} at offset {offset}: {reason}")
    if not last:
        raise corrupt
    marker = rest[0]
    if marker == 0:
        extent = 1
    else:
        extent = HEADER_BYTES
        if len(rest) >= HEADER_BYTES and marker == MARKER:
            length = int.from_bytes(rest[4:8], "little")
            if length + OVERHEAD_BYTES <= len(rest):
                extent = length + OVERHEAD_BYTES
            elif any(rest[HEADER_BYTES:]):
                # The length reaches past the end: believable only if the header itself was torn.
                extent = HEADER_BYTES
    if not _has_unwritten_sector(rest, offset, extent):
        raise corrupt
    if _follows_later_batch(rest, offset, seed, batch):
        raise CorruptData(f"{path} at offset {offset}: {reason}, yet later synchronized records follow")


def _has_unwritten_sector(rest: bytes, offset: int, extent: int) -> bool:
    """Whether some sector's share of the record is all zeros, or missing."""
    if extent > len(rest):
        return True
    position = 0
    while position < extent:
        share = min(_SECTOR_BYTES - (offset + position) % _SECTOR_BYTES, max(extent, 1) - position)
        if extent == 1:
            share = min(_SECTOR_BYTES - offset % _SECTOR_BYTES, len(rest))
        if not any(rest[position : position + share]):
            return True
        position += share
    return False


def _follows_later_batch(rest: bytes, offset: int, seed: int, batch: int) -> bool:
    """Whether a valid record of a batch after the one that followed `batch` stands anywhere behind `offset`."""
    view = memoryview(rest)
    position = rest.find(MARKER, 1)
    while position >= 0:
        record, _ = _parse(view, position, seed, offset + position)
        if record is not None and record.batch > batch + 1:
            return True
        position = rest.find(MARKER, position + 1)
    return False
