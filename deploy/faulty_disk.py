"""A disk that is slow, or full, on purpose, as the node's faults say (`deploy.faults`).

    {"disk_delay_ms": 80, "disk_full": true}

**Slow**: every synchronization takes that much longer, whoever waits for it. The kernel's own way of synchronizing in the
background (io_uring) cannot be held up, so while a delay is in force a thread does it.

**Full**: no file begins and none grows. What a file has reserved can still be written, as on a real disk.

Both concern the journal's files. The view's belong to RocksDB, which writes them itself.
"""

from __future__ import annotations

import asyncio
import errno
import os
import time

from deploy.faults import Faults
from journal.environment import DiskFile, SystemDisk, SystemFile
from journal.synchronizer import Done, Synchronizer, ThreadSynchronizer, synchronizer_for


class FaultyFile(SystemFile):
    """A file on such a disk."""

    __slots__ = ("_faults", "_path")

    def __init__(self, descriptor: int, path: str, faults: Faults) -> None:
        super().__init__(descriptor)
        self._path = path
        self._faults = faults

    def synchronize(self) -> None:
        """fdatasync, later."""
        delay_ms = self._faults.settings.disk_delay_ms
        if delay_ms:
            time.sleep(delay_ms / 1000)
        super().synchronize()

    def allocate(self, size: int) -> None:
        """See `DiskFile`; ENOSPC while the disk is full and the file would grow."""
        if self._faults.settings.disk_full and size > self.size():
            raise _no_space(self._path)
        super().allocate(size)


class FaultyDisk(SystemDisk):
    """The host's file system, at its worst."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def open(self, path: str, *, create: bool = False) -> FaultyFile:
        """See `Disk`; ENOSPC while the disk is full and there is no such file."""
        if create and self._faults.settings.disk_full and not os.path.exists(path):
            raise _no_space(path)
        file = super().open(path, create=create)
        return FaultyFile(file.fileno(), path, self._faults)


class FaultySynchronizer:
    """The best that the host has, or, while the disk is slow, a thread that waits as long as the faults say."""

    def __init__(self, loop: asyncio.AbstractEventLoop, file: DiskFile, faults: Faults) -> None:
        self._loop = loop
        self._faults = faults
        self._quick = synchronizer_for(loop, file)
        self._slow: Synchronizer | None = None

    def start(self, file: DiskFile, done: Done, *, may_block: bool = False) -> bool:
        """See `Synchronizer`."""
        if not self._faults.settings.disk_delay_ms:
            return self._quick.start(file, done, may_block=may_block)
        if self._slow is None:
            self._slow = ThreadSynchronizer(self._loop)
        return self._slow.start(file, done, may_block=may_block)

    def close(self) -> None:
        """Close both."""
        self._quick.close()
        if self._slow is not None:
            self._slow.close()


def _no_space(path: str) -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
