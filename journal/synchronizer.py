"""Waiting for the disk without waiting: fdatasync whose end is an event of the loop.

The driver starts a synchronization and goes on with other work; exactly one may be in flight. Two ways to do it:

- `KernelSynchronizer` asks the kernel (io_uring, Linux 5.6 and later) and learns of the end through an eventfd in the loop. The
  kernel's own worker waits for the disk. It needs no GIL, and that is the point: a thread of ours needs it to start the call and
  again to report its end, each time against a busy loop thread, which keeps it for up to 5 ms (sys.getswitchinterval) and pays
  for giving it away.
- `ThreadSynchronizer` is a dedicated thread fed through a SimpleQueue: the fallback where the kernel or a sandbox does not offer
  the former (containers often forbid io_uring).

`AdaptiveSynchronizer` waits in place instead while the loop has nothing else to do. A simulated disk has no descriptor; `InlineSynchronizer` synchronizes at once and reports in the next turn of the loop.
"""

from __future__ import annotations

import asyncio
import ctypes
import mmap
import os
import platform
import queue
import struct
import threading
import time
from collections.abc import Callable
from typing import Protocol

from journal.environment import DiskFile

Done = Callable[[OSError | None], None]
"""Called in the loop's thread when the synchronization has ended."""


class Synchronizer(Protocol):
    """Runs one synchronization at a time."""

    def start(self, file: DiskFile, done: Done, *, may_block: bool = False) -> bool:
        """Begin to synchronize `file`. True: that has succeeded already. Otherwise `done` is called later, never from within this call.
        `may_block`: nobody would be kept waiting by a loop that waits."""
        ...

    def close(self) -> None:
        """Release what it holds; nothing may be in flight."""
        ...


class InlineSynchronizer:
    """For disks without descriptors."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def start(self, file: DiskFile, done: Done, *, may_block: bool = False) -> bool:
        """Synchronize now, report soon."""
        try:
            file.synchronize()
        except OSError as error:
            self._loop.call_soon(done, error)
        else:
            self._loop.call_soon(done, None)
        return False

    def close(self) -> None:
        """Nothing to release."""


class ThreadSynchronizer:
    """A dedicated thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._queue: queue.SimpleQueue[tuple[DiskFile, Done] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="journal-synchronizer", daemon=True)
        self._thread.start()

    def start(self, file: DiskFile, done: Done, *, may_block: bool = False) -> bool:
        """Hand it to the thread."""
        self._queue.put((file, done))
        return False

    def close(self) -> None:
        """End the thread."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while True:
            job = self._queue.get()
            if job is None:
                return
            file, done = job
            failure: OSError | None = None
            try:
                file.synchronize()
            except OSError as error:
                failure = error
            try:
                self._loop.call_soon_threadsafe(done, failure)
            except RuntimeError:
                return  # the loop is closed: nobody waits any more


# linux/io_uring.h, little-endian machines with the generic system call numbers (all but alpha have these).
_SETUP, _ENTER, _REGISTER = 425, 426, 427
_MACHINES = frozenset({"x86_64", "aarch64"})
_REGISTER_EVENTFD = 4
_OFFSET_SQ_RING, _OFFSET_SQES = 0, 0x10000000
_FEATURE_SINGLE_MMAP = 1
_OP_FSYNC = 3
_FSYNC_DATASYNC = 1
_PARAMETERS = struct.Struct("<10I 8I Q 8I Q")
"""struct io_uring_params: ten words, then the offsets of the submission and of the completion ring."""
_SUBMISSION = struct.Struct("<BBHiQQIIQQQQ")
"""struct io_uring_sqe: opcode, flags, ioprio, fd, off, addr, len, fsync_flags, user_data, and what is not used here."""
_COMPLETION = struct.Struct("<QiI")
_WORD = struct.Struct("<I")


class KernelSynchronizer:
    """io_uring with one entry.

    Nothing here needs a memory barrier of its own: the kernel reads the submission within our system call, and we read the
    completion after the one that reads the eventfd.

    Raises:
        OSError: the kernel does not offer it, or does not let us.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        if platform.system() != "Linux" or platform.machine() not in _MACHINES:
            raise OSError("io_uring is not known on this machine")
        self._loop = loop
        self._call = ctypes.CDLL(None, use_errno=True).syscall
        self._call.restype = ctypes.c_long
        parameters = ctypes.create_string_buffer(_PARAMETERS.size)
        self._ring = self._check(self._call(ctypes.c_long(_SETUP), ctypes.c_uint(1), parameters))
        self._signal = -1
        try:
            self._map(_PARAMETERS.unpack(parameters.raw))
            self._signal = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            signal = ctypes.c_int(self._signal)
            ring = ctypes.c_int(self._ring)
            self._check(
                self._call(
                    ctypes.c_long(_REGISTER),
                    ring,
                    ctypes.c_uint(_REGISTER_EVENTFD),
                    ctypes.byref(signal),
                    ctypes.c_uint(1),
                )
            )
        except BaseException:
            os.close(self._ring)
            if self._signal >= 0:
                os.close(self._signal)
            raise
        one, none = ctypes.c_uint(1), ctypes.c_uint(0)
        self._enter_arguments = (ctypes.c_long(_ENTER), ring, one, none, none, None, ctypes.c_size_t(0))
        self._done: Done | None = None
        loop.add_reader(self._signal, self._ended)

    def _map(self, parameters: tuple[int, ...]) -> None:
        submission_entries, completion_entries, features = parameters[0], parameters[1], parameters[5]
        if not features & _FEATURE_SINGLE_MMAP:
            raise OSError("this kernel's io_uring is too old")
        submission, completion = parameters[10:18], parameters[19:27]
        _, self._tail, mask, _, _, _, array, _ = submission
        self._completion_head, _, completion_mask, _, _, self._completions, _, _ = completion
        ring_bytes = max(array + 4 * submission_entries, self._completions + _COMPLETION.size * completion_entries)
        self._rings = mmap.mmap(self._ring, ring_bytes, flags=mmap.MAP_SHARED, offset=_OFFSET_SQ_RING)
        self._entries = mmap.mmap(
            self._ring, _SUBMISSION.size * submission_entries, flags=mmap.MAP_SHARED, offset=_OFFSET_SQES
        )
        self._mask = self._word(mask)
        self._completion_mask = self._word(completion_mask)
        for place in range(submission_entries):
            _WORD.pack_into(self._rings, array + 4 * place, place)

    def _word(self, offset: int) -> int:
        return int(_WORD.unpack_from(self._rings, offset)[0])

    def start(self, file: DiskFile, done: Done, *, may_block: bool = False) -> bool:
        """Submit it."""
        if self._done is not None:
            raise RuntimeError("a synchronization is in flight")
        tail = self._word(self._tail)
        place = (tail & self._mask) * _SUBMISSION.size
        _SUBMISSION.pack_into(
            self._entries, place, _OP_FSYNC, 0, 0, file.fileno(), 0, 0, 0, _FSYNC_DATASYNC, 0, 0, 0, 0
        )
        _WORD.pack_into(self._rings, self._tail, tail + 1 & 0xFFFFFFFF)
        try:
            self._check(self._call(*self._enter_arguments))
        except OSError as error:
            _WORD.pack_into(self._rings, self._tail, tail)
            self._loop.call_soon(done, error)
            return False
        self._done = done
        return False

    def close(self) -> None:
        """Give everything back."""
        self._loop.remove_reader(self._signal)
        self._entries.close()
        self._rings.close()
        os.close(self._ring)
        os.close(self._signal)

    def _ended(self) -> None:
        try:
            os.eventfd_read(self._signal)
        except BlockingIOError:
            return
        head = self._word(self._completion_head)
        place = self._completions + (head & self._completion_mask) * _COMPLETION.size
        result = int(_COMPLETION.unpack_from(self._rings, place)[1])
        _WORD.pack_into(self._rings, self._completion_head, head + 1 & 0xFFFFFFFF)
        done, self._done = self._done, None
        if done is not None:
            done(OSError(-result, os.strerror(-result)) if result < 0 else None)

    @staticmethod
    def _check(result: int) -> int:
        if result < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return result


class AdaptiveSynchronizer:
    """In the background while the loop has other work, in place while it has none.

    Handing a synchronization over and being told of its end wakes two threads, up to 0.1 ms where processors sleep deeply. With a
    single client there is nothing to do meanwhile, so the loop's thread may as well wait for the disk itself. It does so after
    `_IDLE_COUNT` synchronizations during which it was mostly idle, `_IN_PLACE_COUNT` times, then looks again; and never on a disk
    that needs more than `_QUICK_SECONDS`, since whoever comes meanwhile must not wait long. Where nobody comes (`may_block`: a member
    at which nobody works, which has nothing to say before its disk has ended) it always does, until one takes longer than `_SLOW_SECONDS`.
    """

    _IDLE_COUNT = 4
    _IDLE_SHARE = 0.5
    _IN_PLACE_COUNT = 64
    _QUICK_SECONDS = 0.001
    _SLOW_SECONDS = 0.02

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        background: Synchronizer,
        *,
        wall: Callable[[], float] = time.perf_counter,
        processor: Callable[[], float] = time.thread_time,
    ) -> None:
        self._background = background
        self._loop = loop
        self._wall = wall
        self._processor = processor
        self._idle_count = 0
        self._in_place_left = 0
        self._slow_left = 0
        self._began = self._began_processor = 0.0
        self._done: Done | None = None

    def start(self, file: DiskFile, done: Done, *, may_block: bool = False) -> bool:
        """By whichever is in favour."""
        began = self._wall()
        if may_block and self._slow_left:
            self._slow_left -= 1
        elif may_block or self._in_place_left:
            try:
                file.synchronize()
            except OSError as error:
                self._loop.call_soon(done, error)
                return False
            took = self._wall() - began
            if took > self._SLOW_SECONDS:
                self._slow_left = self._IN_PLACE_COUNT
            self._in_place_left = 0 if took > self._QUICK_SECONDS else max(0, self._in_place_left - 1)
            return True
        self._began, self._began_processor = began, self._processor()
        self._done = done
        return self._background.start(file, self._ended)

    def close(self) -> None:
        """Release what it holds."""
        self._background.close()

    def _ended(self, error: OSError | None) -> None:
        took = self._wall() - self._began
        if took < self._QUICK_SECONDS and self._processor() - self._began_processor < self._IDLE_SHARE * took:
            self._idle_count += 1
            if self._idle_count >= self._IDLE_COUNT:
                self._idle_count = 0
                self._in_place_left = self._IN_PLACE_COUNT
        else:
            self._idle_count = 0
        done, self._done = self._done, None
        if done is not None:
            done(error)


def synchronizer_for(loop: asyncio.AbstractEventLoop, file: DiskFile) -> Synchronizer:
    """The best that works for files like `file`."""
    if file.fileno() < 0:
        return InlineSynchronizer(loop)
    try:
        background: Synchronizer = KernelSynchronizer(loop)
    except OSError:
        background = ThreadSynchronizer(loop)
    return AdaptiveSynchronizer(loop, background)
