"""A disk and a clock in memory, for tests and for the simulation of whole clusters.

`SimulatedDisk` keeps, for every file, what is durable and what was written since the last synchronization. `crash`
decides by a given source of chance what becomes of the latter: nothing, everything, or any subset of its 512-byte
sectors (which is what tears a write). Names are treated alike. It can also refuse: `fail` makes the n-th coming
operation of a kind raise an errno, `capacity_bytes` makes the disk full, `flip` damages a durable bit.

A machine may also stop in the middle of a piece of work: `stop_after` names the operation after which it does, and
`after_crash` gives the disk that the next start finds, while whatever still runs of the old one writes into the void.
`SimulatedSynchronizer` lets a synchronization take its time, during which the machine may stop, too.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from enum import Enum
from random import Random

from journal.environment import DiskFile
from journal.synchronizer import Done

SECTOR_BYTES = 512


class Loss(Enum):
    """What a crash does to writes that were not synchronized."""

    NOTHING = "nothing"
    """Process death: the operating system lives and writes everything."""
    EVERYTHING = "everything"
    """Power failure with an empty write queue."""
    SOME = "some"
    """Power failure in the middle: any subset of sectors survives."""


class _Inode:
    __slots__ = ("content", "durable", "pending", "writes_count")

    def __init__(self) -> None:
        self.content = bytearray()
        self.durable = bytearray()
        self.pending: list[tuple[int, bytes]] = []
        self.writes_count = 0
        """Writes ever made; the pending ones are the last of them."""


class SimulatedFile:
    """An open file of a SimulatedDisk."""

    __slots__ = ("_disk", "_inode", "_path")

    def __init__(self, disk: SimulatedDisk, path: str, inode: _Inode) -> None:
        self._disk = disk
        self._path = path
        self._inode = inode

    def write(self, data: bytes | bytearray | memoryview, offset: int) -> None:
        """Into the cache."""
        self._disk.check("write", self._path)
        content = self._inode.content
        end = offset + len(data)
        if end > len(content):
            self._disk.grow(end - len(content), self._path)
            content.extend(bytes(end - len(content)))
        content[offset:end] = data
        self._inode.pending.append((offset, bytes(data)))
        self._inode.writes_count += 1

    def read(self, length: int, offset: int) -> bytes:
        """From the cache."""
        self._disk.check("read", self._path)
        return bytes(self._inode.content[offset : offset + length])

    def synchronize(self) -> None:
        """Make everything durable, or raise and leave it in doubt, as a real fsync does."""
        self._disk.check("synchronize", self._path)
        self._harden(self._inode.writes_count)

    def begin_synchronize(self) -> Callable[[], None]:
        """`synchronize` in two halves: call the result when it ends. What is written in between is not covered."""
        self._disk.check("synchronize", self._path)
        writes_count = self._inode.writes_count
        return lambda: self._harden(writes_count)

    def _harden(self, writes_count: int) -> None:
        """Make everything durable up to this write."""
        inode = self._inode
        if len(inode.content) > len(inode.durable):
            inode.durable.extend(bytes(len(inode.content) - len(inode.durable)))
        done = max(0, len(inode.pending) - (inode.writes_count - writes_count))
        for offset, data in inode.pending[:done]:
            inode.durable[offset : offset + len(data)] = data
        del inode.pending[:done]

    def truncate(self, size: int) -> None:
        """Cut or grow; durable at once (journaling file systems order it before later synchronizations)."""
        self._disk.check("write", self._path)
        for content in (self._inode.content, self._inode.durable):
            if len(content) > size:
                del content[size:]
            else:
                content.extend(bytes(size - len(content)))
        # Writes beyond the end stay in the list as empty ones, so that counting them from its end works.
        self._inode.pending = [(offset, data[: max(0, size - offset)]) for offset, data in self._inode.pending]

    def allocate(self, size: int) -> None:
        """Zeros up to `size`, or ENOSPC."""
        self._disk.check("allocate", self._path)
        missing = size - len(self._inode.content)
        if missing > 0:
            self._disk.grow(missing, self._path)
            self._inode.content.extend(bytes(missing))

    def size(self) -> int:
        """Size in the cache."""
        return len(self._inode.content)

    def close(self) -> None:
        """Nothing to do."""

    def fileno(self) -> int:
        """There is none."""
        return -1


class SimulatedDisk:
    """A directory tree in memory."""

    def __init__(self, capacity_bytes: int | None = None) -> None:
        self.capacity_bytes = capacity_bytes
        self._names: dict[str, _Inode] = {}
        self._durable_names: dict[str, _Inode] = {}
        self._failures: dict[str, tuple[int, int, str]] = {}
        self._stop: tuple[int, Callable[[], None]] | None = None

    # ---- the Disk protocol ----

    def open(self, path: str, *, create: bool = False) -> SimulatedFile:
        """Open or create."""
        inode = self._names.get(path)
        if inode is None:
            if not create:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
            self.check("create", path)
            inode = self._names[path] = _Inode()
        return SimulatedFile(self, path, inode)

    def names(self, directory: str) -> list[str]:
        """Names directly in `directory`."""
        prefix = directory.rstrip("/") + "/"
        return sorted(
            path[len(prefix) :] for path in self._names if path.startswith(prefix) and "/" not in path[len(prefix) :]
        )

    def make_directory(self, directory: str) -> None:
        """Directories need not be made."""

    def rename(self, source: str, target: str) -> None:
        """Atomic."""
        self.check("rename", source)
        if source not in self._names:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), source)
        self._names[target] = self._names.pop(source)

    def remove(self, path: str) -> None:
        """Remove a name."""
        self.check("remove", path)
        if path not in self._names:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        del self._names[path]

    def synchronize_directory(self, directory: str) -> None:
        """Make names durable."""
        self.check("synchronize_directory", directory)
        prefix = directory.rstrip("/") + "/"
        kept = {path: inode for path, inode in self._durable_names.items() if not path.startswith(prefix)}
        kept.update((path, inode) for path, inode in self._names.items() if path.startswith(prefix))
        self._durable_names = kept

    # ---- faults ----

    def fail(self, operation: str, code: int, *, after: int = 0, path: str = "") -> None:
        """Let the coming `operation` on a path containing `path` raise `code`, once `after` more have succeeded."""
        self._failures[operation] = (after, code, path)

    def check(self, operation: str, path: str) -> None:
        """Raise the failure that is due; stop the machine, if it is to stop before this operation."""
        if self._stop is not None and operation != "read":
            remaining, stop = self._stop
            self._stop = (remaining - 1, stop) if remaining else None
            if not remaining:
                stop()
        due = self._failures.get(operation)
        if due is None or due[2] not in path:
            return
        after, code, fragment = due
        if after > 0:
            self._failures[operation] = (after - 1, code, fragment)
            return
        del self._failures[operation]
        raise OSError(code, os.strerror(code), path)

    def stop_after(self, operations: int, stop: Callable[[], None]) -> None:
        """Call `stop` just before the operation (reads do not count) that comes after so many more: it is for the caller
        to take `after_crash` there, and to see to it that nothing which runs on is noticed by anybody."""
        self._stop = (operations, stop)

    def grow(self, size: int, path: str) -> None:
        """Account for new bytes."""
        if self.capacity_bytes is None:
            return
        if self.used_bytes() + size > self.capacity_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    def used_bytes(self) -> int:
        """Bytes in all files."""
        return sum(len(inode.content) for inode in self._names.values())

    def flip(self, path: str, offset: int, bit: int = 0) -> None:
        """Damage one bit, in the cache and on the medium."""
        inode = self._names[path]
        for content in (inode.content, inode.durable):
            if offset < len(content):
                content[offset] ^= 1 << bit

    def crash(self, chance: Random, loss: Loss) -> None:
        """The machine stops; files and names are what a restart would find. Open files must not be used again."""
        survivor = self.after_crash(chance, loss)
        self._names, self._durable_names = survivor._names, survivor._durable_names

    def after_crash(self, chance: Random, loss: Loss) -> SimulatedDisk:
        """The disk that a restart would find if the machine stopped now. This one is left as it is, and open files go on
        writing to it."""
        names = dict(self._names if loss is Loss.NOTHING else self._durable_names)
        if loss is Loss.SOME:
            for path in sorted(set(self._names) | set(names)):
                if chance.random() < 0.5:
                    if path in self._names:
                        names[path] = self._names[path]
                    else:
                        del names[path]
        survivor = SimulatedDisk(self.capacity_bytes)
        # Two names of one file (a rename of which only half is durable) stay two names of one file.
        inodes: dict[int, _Inode] = {}
        for path in sorted(names):
            inode = names[path]
            if id(inode) not in inodes:
                inodes[id(inode)] = self._surviving(inode, chance, loss)
            survivor._names[path] = inodes[id(inode)]
        survivor._durable_names = dict(survivor._names)
        return survivor

    @staticmethod
    def _surviving(inode: _Inode, chance: Random, loss: Loss) -> _Inode:
        survivor = bytearray(inode.content if loss is Loss.NOTHING else inode.durable)
        if len(inode.content) > len(survivor):
            survivor.extend(bytes(len(inode.content) - len(survivor)))
        if loss is Loss.SOME:
            # A sector goes to the medium whole, as the cache had it at some moment: it holds the first so many writes.
            writes_kept: dict[int, int] = {}
            for number, (offset, data) in enumerate(inode.pending):
                position = 0
                while position < len(data):
                    start = offset + position
                    sector, within = divmod(start, SECTOR_BYTES)
                    length = min(len(data) - position, SECTOR_BYTES - within)
                    if sector not in writes_kept:
                        whole = chance.random() < 0.6
                        writes_kept[sector] = len(inode.pending) if whole else chance.randrange(len(inode.pending))
                    if number < writes_kept[sector]:
                        survivor[start : start + length] = data[position : position + length]
                    position += length
        found = _Inode()
        found.content = survivor
        found.durable = bytearray(survivor)
        return found


class SimulatedSynchronizer:
    """A `journal.synchronizer.Synchronizer` that takes its time.

    Args:
        loop: virtual time.
        seconds: asked for each synchronization.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: Callable[[], float]) -> None:
        self._loop = loop
        self._seconds = seconds

    def start(self, file: DiskFile, done: Done, *, may_block: bool = False) -> bool:
        """What is written by now is durable when `done` is called, and not before."""
        assert isinstance(file, SimulatedFile)
        try:
            finish = file.begin_synchronize()
        except OSError as error:
            self._loop.call_soon(done, error)
            return False

        def end() -> None:
            finish()
            done(None)

        self._loop.call_later(self._seconds(), end)
        return False

    def close(self) -> None:
        """Nothing to release."""


class ManualClock:
    """Time that passes only when told to."""

    def __init__(self, wall_us: int = 1_700_000_000_000_000) -> None:
        self.now_us = wall_us

    def wall_us(self) -> int:
        """Microseconds since the Unix epoch."""
        return self.now_us

    def monotonic(self) -> float:
        """Seconds."""
        return self.now_us / 1_000_000

    def advance(self, microseconds: int) -> None:
        """Let time pass."""
        self.now_us += microseconds
