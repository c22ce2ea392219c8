"""Ids of transactions: unique for ever, also those of proposals that never reached the journal.

    id = microseconds of the host's clock (53 bits) | number of the node (10 bits)

An id that was handed out before would get the old transaction's verdict, and whoever asks for the status of the old one would be
told of the new. Within a process ids only increase. Across restarts neither the clock (it may have been set back) nor the journal
(what was proposed may have been lost on the way) says which have been used. So the node keeps a mark on its disk: every id below
it may have been used. It is moved `_RESERVED_US` ahead whenever ids reach it, and a node begins at its mark.

The mark is written in place, into one of two slots in turn, so that a torn write leaves the other, and a full disk does not matter.

HOT PATH: `TransactionIds.next`, once per writing transaction; one write and synchronization every `_RESERVED_US` of ids.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

from journal.environment import Disk, DiskFile, WallClock
from journal.errors import CorruptData, NodeFatal

NODE_BITS = 10
"""Bits of a transaction id that name the node; the others are microseconds, good until the year 2255."""

NODE_MAX = (1 << NODE_BITS) - 1

_RESERVED_US = 4_000_000
"""By so much ids may run ahead of the clock after each restart; see `journal.resolution`, which allows for 60 s."""

_NAME = "transaction-ids"
_SLOT = struct.Struct("<QI")
_SLOT_BYTES = 512
_SLOTS = 2


class TransactionIds:
    """Unique transaction ids of one node.

    Args:
        source: the host's clock.
        node: its number, 0 … `NODE_MAX`.
        after_us: no id up to this was used by others than this object.
        reserve: makes it durable that ids up to a moment (µs) may have been used; None: nobody will ask after a restart.
    """

    __slots__ = ("_last_us", "_node", "_reserve", "_reserved_us", "_source")

    def __init__(
        self, source: WallClock, node: int, *, after_us: int = 0, reserve: Callable[[int], None] | None = None
    ) -> None:
        if not 0 <= node <= NODE_MAX:
            raise ValueError(f"node number {node} is not within 0 … {NODE_MAX}")
        self._source = source
        self._node = node
        self._reserve = reserve
        self._last_us = after_us
        self._reserved_us = after_us

    def next(self) -> int:
        """A fresh id, at most 63 bits. Raises what `reserve` raises."""
        now = self._source.wall_us()
        if now <= self._last_us:
            now = self._last_us + 1
        if now > self._reserved_us and self._reserve is not None:
            self._reserve(now + _RESERVED_US)
            self._reserved_us = now + _RESERVED_US
        self._last_us = now
        return (now << NODE_BITS) | self._node


def node_of_transaction(txid: int) -> int:
    """The node that began the transaction."""
    return txid & NODE_MAX


class IdMark:
    """The file with the mark.

    Attributes:
        us: ids up to this moment may have been used.

    Raises:
        CorruptData, NodeFatal: it is damaged, or cannot be made.
    """

    def __init__(self, disk: Disk, directory: str) -> None:
        self._path = f"{directory}/{_NAME}"
        try:
            is_new = _NAME not in disk.names(directory)
            self._file: DiskFile = disk.open(self._path, create=True)
            content = self._file.read(_SLOTS * _SLOT_BYTES, 0)
            if is_new or not content.strip(b"\0"):
                # Nothing has been handed out by it: `write` has not returned yet.
                self._file.write(bytes(_SLOTS * _SLOT_BYTES), 0)
                self._file.synchronize()
                disk.synchronize_directory(directory)
        except OSError as error:
            raise NodeFatal(f"cannot make {self._path}: {error}") from error
        slots = [content[place * _SLOT_BYTES :][: _SLOT.size] for place in range(_SLOTS)]
        marks = [_read(slot) for slot in slots]
        if not any(marks) and content.strip(b"\0"):
            raise CorruptData(f"{self._path} at offset 0: checksum mismatch")
        self.us = max(marks)
        self._next = 1 - marks.index(self.us) if self.us else 0

    def write(self, us: int) -> None:
        """Move the mark; durable when it returns. Raises NodeFatal."""
        mark = us.to_bytes(8, "little")
        try:
            self._file.write(_SLOT.pack(us, zlib.crc32(mark)), self._next * _SLOT_BYTES)
            self._file.synchronize()
        except OSError as error:
            raise NodeFatal(f"cannot write {self._path}: {error}") from error
        self._next = 1 - self._next
        self.us = us

    def close(self) -> None:
        """Nothing is written any more."""
        self._file.close()


def _read(slot: bytes) -> int:
    if len(slot) < _SLOT.size:
        return 0
    us, checksum = _SLOT.unpack(slot)
    return int(us) if zlib.crc32(slot[:8]) == checksum and us else 0
