"""A disk and a clock in memory, for tests and for the simulation of whole clusters.

`SimulatedDisk` keeps, for every file, what is durable and what was written since the last synchronization. `crash`
decides by a given source of chance what becomes of the latter: nothing, everything, or any subset of its 512-byte
sectors (which is what tears a write). Names are treated alike. It can also refuse: `fail` makes the n-th coming
operation of a kind raise an errno, `capacity_bytes` makes the disk full, `flip` damages a durable bit.
"""

from __future__ import annotations

import errno
import os
from enum import Enum
from random import Random

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
    __slots__ = ("content", "durable", "pending")

    def __init__(self) -> None:
        self.content = bytearray()
        self.durable = bytearray()
        self.pending: list[tuple[int, bytes]] = []


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

    def read(self, length: int, offset: int) -> bytes:
        """From the cache."""
        self._disk.check("read", self._path)
        return bytes(self._inode.content[offset : offset + length])

    def synchronize(self) -> None:
        """Make everything durable, or raise and leave it in doubt, as a real fsync does."""
        self._disk.check("synchronize", self._path)
        inode = self._inode
        if len(inode.durable) != len(inode.content):
            inode.durable = bytearray(inode.content)
        else:
            for offset, data in inode.pending:
                inode.durable[offset : offset + len(data)] = data
        inode.pending.clear()

    def truncate(self, size: int) -> None:
        """Cut or grow; durable at once (journaling file systems order it before later synchronizations)."""
        self._disk.check("write", self._path)
        for content in (self._inode.content, self._inode.durable):
            if len(content) > size:
                del content[size:]
            else:
                content.extend(bytes(size - len(content)))
        self._inode.pending = [(offset, data[: size - offset]) for offset, data in self._inode.pending if offset < size]

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
        """Raise the failure that is due."""
        due = self._failures.get(operation)
        if due is None or due[2] not in path:
            return
        after, code, fragment = due
        if after > 0:
            self._failures[operation] = (after - 1, code, fragment)
            return
        del self._failures[operation]
        raise OSError(code, os.strerror(code), path)

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
        if loss is Loss.NOTHING:
            for inode in self._names.values():
                inode.durable = bytearray(inode.content)
                inode.pending.clear()
            self._durable_names = dict(self._names)
            return
        names = dict(self._durable_names)
        if loss is Loss.SOME:
            for path in sorted(set(self._names) | set(names)):
                if chance.random() < 0.5:
                    if path in self._names:
                        names[path] = self._names[path]
                    else:
                        del names[path]
        self._names = names
        self._durable_names = dict(names)
        for path in sorted(names):
            self._lose(names[path], chance, loss)

    @staticmethod
    def _lose(inode: _Inode, chance: Random, loss: Loss) -> None:
        survivor = bytearray(inode.durable)
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
        inode.content = survivor
        inode.durable = bytearray(survivor)
        inode.pending = []


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
