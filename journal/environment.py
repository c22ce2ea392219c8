"""Time, randomness, disk and network as things that can be replaced.

Journal code never calls `time`, `random` or `os` itself: it is handed an `Environment`. A real node uses
`real_environment()`. Tests and the simulation put a `SimulatedDisk` and a manual clock in its place
(`journal/simulated.py`), so that a whole cluster can run in one process under a seed and lose its un-synced writes at
any moment.

The disk's contract is the weakest one that real disks keep: a write is in the cache until `synchronize` returns, in any
order and possibly in part; a name (create, rename, remove) is in the cache until `synchronize_directory` returns.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import random
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from journal.frames import PeerReader

if TYPE_CHECKING:
    from journal.synchronizer import Synchronizer

ConnectionHandler = Callable[[PeerReader, asyncio.StreamWriter], Awaitable[None]]


class WallClock(Protocol):
    """Where time comes from."""

    def wall_us(self) -> int:
        """Microseconds since the Unix epoch; may jump either way."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""
        ...


class RandomSource(Protocol):
    """Where chance comes from; `random.Random` is one."""

    def random(self) -> float:
        """A float in [0, 1)."""
        ...

    def getrandbits(self, count: int, /) -> int:
        """An int of `count` random bits."""
        ...


class DiskFile(Protocol):
    """One open file. All calls may raise OSError."""

    def write(self, data: bytes | bytearray | memoryview, offset: int) -> None:
        """Write all of `data` at `offset`, or raise."""
        ...

    def read(self, length: int, offset: int) -> bytes:
        """Read up to `length` bytes; shorter only at the end of the file."""
        ...

    def synchronize(self) -> None:
        """Return when everything written before is durable."""
        ...

    def truncate(self, size: int) -> None:
        """Set the file's size; growth reads as zeros."""
        ...

    def allocate(self, size: int) -> None:
        """Make the file at least `size` bytes long, reading as zeros, with blocks reserved: later writes within that
        size cannot meet a full disk, and synchronizing them need not change the file's length."""
        ...

    def size(self) -> int:
        """Current size in bytes."""
        ...

    def close(self) -> None:
        """Close; does not synchronize."""
        ...

    def fileno(self) -> int:
        """The operating system's descriptor, or -1 if there is none."""
        ...


class Disk(Protocol):
    """A directory tree."""

    def open(self, path: str, *, create: bool = False) -> DiskFile:
        """Open for reading and writing. FileNotFoundError unless `create`."""
        ...

    def names(self, directory: str) -> list[str]:
        """Names in a directory, sorted; empty if there is no such directory."""
        ...

    def make_directory(self, directory: str) -> None:
        """Create it, and its parents, unless it exists."""
        ...

    def rename(self, source: str, target: str) -> None:
        """Atomically replace `target` by `source`."""
        ...

    def remove(self, path: str) -> None:
        """Remove a file."""
        ...

    def synchronize_directory(self, directory: str) -> None:
        """Return when names created, renamed and removed in it are durable."""
        ...


class Network(Protocol):
    """Byte streams between nodes."""

    async def listen(
        self, handler: ConnectionHandler, host: str, port: int, tls: ssl.SSLContext | None
    ) -> asyncio.AbstractServer:
        """Accept connections."""
        ...

    async def connect(
        self, host: str, port: int, tls: ssl.SSLContext | None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection or raise OSError."""
        ...


class ClockErrorSource(Protocol):
    """Who knows how good the host's clock is."""

    def error_us(self) -> int | None:
        """The largest difference, in µs, that the clock may have from true time; None while nobody knows."""
        ...


class UnknownClockError:
    """Nobody knows."""

    def error_us(self) -> int | None:
        """None."""
        return None


@dataclass(frozen=True)
class FixedClockError:
    """Somebody who knows better has configured it."""

    bound_us: int

    def error_us(self) -> int | None:
        """What was configured."""
        return self.bound_us


@dataclass(frozen=True)
class Environment:
    """Everything that journal code takes from outside.

    Attributes:
        synchronizer: how to wait for the disk; None: the best that the host has (`journal.synchronizer`).
    """

    clock: WallClock
    random: RandomSource
    disk: Disk
    network: Network
    clock_error: ClockErrorSource = UnknownClockError()
    synchronizer: Callable[[asyncio.AbstractEventLoop, DiskFile], Synchronizer] | None = None


class SystemClock:
    """The host's clocks."""

    monotonic = staticmethod(time.monotonic)
    """Seconds, CLOCK_MONOTONIC. HOT: asked ten times a transaction, so it is the function itself."""

    def wall_us(self) -> int:
        """Microseconds since the Unix epoch."""
        return time.time_ns() // 1000


class SystemFile:
    """A file of the host."""

    __slots__ = ("_descriptor",)

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, data: bytes | bytearray | memoryview, offset: int) -> None:
        """pwrite until all is written."""
        written = os.pwrite(self._descriptor, data, offset)
        if written == len(data):
            return
        rest = memoryview(data)[written:]
        while rest:
            offset += written
            written = os.pwrite(self._descriptor, rest, offset)
            rest = rest[written:]

    def read(self, length: int, offset: int) -> bytes:
        """pread until `length` or the end of the file."""
        data = os.pread(self._descriptor, length, offset)
        if len(data) == length or not data:
            return data
        pieces = [data]
        have = len(data)
        while have < length:
            data = os.pread(self._descriptor, length - have, offset + have)
            if not data:
                break
            pieces.append(data)
            have += len(data)
        return b"".join(pieces)

    def synchronize(self) -> None:
        """fdatasync; releases the GIL."""
        os.fdatasync(self._descriptor)

    def truncate(self, size: int) -> None:
        """ftruncate."""
        os.ftruncate(self._descriptor, size)

    def allocate(self, size: int) -> None:
        """fallocate. What is written there for the first time is slower to synchronize than what replaces zeros that were written
        (280 against 220 µs; 125 µs each on the machine before), and faster than an append."""
        if size > self.size():
            os.posix_fallocate(self._descriptor, 0, size)

    def size(self) -> int:
        """st_size."""
        return os.fstat(self._descriptor).st_size

    def close(self) -> None:
        """close."""
        os.close(self._descriptor)

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor


class SystemDisk:
    """The host's file system."""

    def open(self, path: str, *, create: bool = False) -> SystemFile:
        """Open for reading and writing."""
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0)
        return SystemFile(os.open(path, flags, 0o600))

    def names(self, directory: str) -> list[str]:
        """Sorted names."""
        try:
            return sorted(os.listdir(directory))
        except FileNotFoundError:
            return []

    def make_directory(self, directory: str) -> None:
        """mkdir -p."""
        Path(directory).mkdir(parents=True, exist_ok=True)

    def rename(self, source: str, target: str) -> None:
        """rename(2)."""
        os.replace(source, target)

    def remove(self, path: str) -> None:
        """unlink(2)."""
        os.remove(path)

    def synchronize_directory(self, directory: str) -> None:
        """fsync of the directory."""
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class _Timex(ctypes.Structure):
    """struct timex of <sys/timex.h>, as far as it is read; the rest is room for the kernel."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


_CLOCK_ERROR_SECONDS = 0.05


class KernelClockError:
    """What the synchronization daemon (chronyd, ntpd) has told the kernel: adjtimex(2), asked once in `_CLOCK_ERROR_SECONDS`, in which
    the bound grows by 25 ns.

    The bound is `maxerror`, which includes the distance to the reference and grows by 500 ppm while nobody corrects the
    clock. A kernel that says "not synchronized" knows nothing."""

    _UNSYNCHRONIZED = 0x40
    _ERROR_STATE = 5

    def __init__(self) -> None:
        self._read: Callable[[Any], int] | None = getattr(ctypes.CDLL(None), "adjtimex", None)
        self._timex = _Timex()
        self._known_until = 0.0
        self._error_us: int | None = None

    def error_us(self) -> int | None:
        """maxerror, or None."""
        now = time.monotonic()
        if now >= self._known_until:
            self._known_until = now + _CLOCK_ERROR_SECONDS
            self._error_us = self._ask()
        return self._error_us

    def _ask(self) -> int | None:
        if self._read is None:
            return None
        timex = self._timex
        timex.modes = 0
        state = self._read(ctypes.byref(timex))
        if state < 0 or state == self._ERROR_STATE or timex.status & self._UNSYNCHRONIZED:
            return None
        return int(timex.maxerror)


_SILENCE_MS_MAX = 3000


def _watch(writer: asyncio.StreamWriter) -> None:
    """Let the kernel end connections whose other end is silent, instead of retrying ever more rarely: after a partition
    they must be made anew quickly."""
    connection = writer.get_extra_info("socket")
    if connection is None or connection.family not in (socket.AF_INET, socket.AF_INET6):
        return
    for level, option, value in (
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SILENCE_MS_MAX),
    ):
        connection.setsockopt(level, option, value)


class SystemNetwork:
    """TCP, with TLS when a context is given."""

    async def listen(
        self, handler: ConnectionHandler, host: str, port: int, tls: ssl.SSLContext | None
    ) -> asyncio.AbstractServer:
        """What asyncio.start_server does, with readers of our own."""
        loop = asyncio.get_running_loop()

        def accepted() -> asyncio.StreamReaderProtocol:
            reader = PeerReader(loop=loop)

            async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                _watch(writer)
                await handler(reader, writer)

            return asyncio.StreamReaderProtocol(reader, accept, loop)

        return await loop.create_server(accepted, host, port, ssl=tls)

    async def connect(
        self, host: str, port: int, tls: ssl.SSLContext | None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """asyncio.open_connection."""
        reader, writer = await asyncio.open_connection(host, port, ssl=tls)
        _watch(writer)
        return reader, writer


def real_environment(clock_error: ClockErrorSource | None = None) -> Environment:
    """The host's clock, randomness, file system and TCP.

    Args:
        clock_error: replaces what the kernel knows of its clock.
    """
    return Environment(
        SystemClock(), random.SystemRandom(), SystemDisk(), SystemNetwork(), clock_error or KernelClockError()
    )
