"""Waiting for the disk without waiting: fdatasync whose end is an event of the loop.

The driver starts a synchronization and goes on with other work; exactly one may be in flight. Two ways to do it:

- `KernelSynchronizer` asks the kernel (Linux AIO, IOCB_CMD_FDSYNC, since 4.18) and learns of the end through an eventfd
  in the loop. No thread is involved, and that is the point: a thread needs the GIL to start the call and again to
  report its end, and a busy loop thread keeps the GIL for up to 5 ms (sys.getswitchinterval) each time. Measured on the
  idle loop: 10 µs of this process's CPU for each synchronization, against 55 µs with a thread and 100–140 µs with
  run_in_executor; the time until the end is the same.
- `ThreadSynchronizer` is a dedicated thread fed through a SimpleQueue: the fallback where the kernel or a sandbox does
  not offer the former, and better where all cores are busy. `AdaptiveSynchronizer` finds out which is the case.

A simulated disk has no descriptor; `InlineSynchronizer` synchronizes at once and reports in the next turn of the loop.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import platform
import queue
import struct
import threading
from collections.abc import Callable
from typing import Protocol

from journal.environment import DiskFile

Done = Callable[[OSError | None], None]
"""Called in the loop's thread when the synchronization has ended."""


class Synchronizer(Protocol):
    """Runs one synchronization at a time."""

    def start(self, file: DiskFile, done: Done) -> None:
        """Begin to synchronize `file`; `done` is called later, never from within this call."""
        ...

    def close(self) -> None:
        """Release what it holds; nothing may be in flight."""
        ...


class InlineSynchronizer:
    """For disks without descriptors."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def start(self, file: DiskFile, done: Done) -> None:
        """Synchronize now, report soon."""
        try:
            file.synchronize()
        except OSError as error:
            self._loop.call_soon(done, error)
        else:
            self._loop.call_soon(done, None)

    def close(self) -> None:
        """Nothing to release."""


class ThreadSynchronizer:
    """A dedicated thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._queue: queue.SimpleQueue[tuple[DiskFile, Done] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="journal-synchronizer", daemon=True)
        self._thread.start()

    def start(self, file: DiskFile, done: Done) -> None:
        """Hand it to the thread."""
        self._queue.put((file, done))

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


# struct iocb and struct io_event of linux/aio_abi.h (little-endian machines).
_IOCB = struct.Struct("<QIIHhIQQqQII")
_IO_EVENT = struct.Struct("<QQqq")
_IOCB_CMD_FDSYNC = 3
_IOCB_FLAG_RESFD = 1
_CALLS_OF_MACHINE = {"x86_64": (206, 207, 208, 209), "aarch64": (0, 1, 4, 2)}
"""Numbers of io_setup, io_destroy, io_getevents, io_submit."""


class KernelSynchronizer:
    """Linux AIO.

    Raises:
        OSError: the kernel does not offer it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        calls = _CALLS_OF_MACHINE.get(platform.machine())
        if calls is None or platform.system() != "Linux":
            raise OSError("asynchronous fdatasync is not known on this machine")
        self._loop = loop
        library = ctypes.CDLL(None, use_errno=True)
        self._call = library.syscall
        self._call.restype = ctypes.c_long
        setup, destroy, getevents, submit = calls
        context = ctypes.c_ulong(0)
        self._check(self._call(ctypes.c_long(setup), ctypes.c_uint(1), ctypes.byref(context)))
        self._block = ctypes.create_string_buffer(_IOCB.size)
        self._blocks = (ctypes.c_void_p * 1)(ctypes.addressof(self._block))
        self._event = ctypes.create_string_buffer(_IO_EVENT.size)
        one = ctypes.c_long(1)
        self._destroy_arguments = (ctypes.c_long(destroy), context)
        self._submit_arguments = (ctypes.c_long(submit), context, one, self._blocks)
        self._collect_arguments = (ctypes.c_long(getevents), context, one, one, self._event, None)
        self._done: Done | None = None
        self._signal = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        loop.add_reader(self._signal, self._ended)

    def start(self, file: DiskFile, done: Done) -> None:
        """Submit it."""
        if self._done is not None:
            raise RuntimeError("a synchronization is in flight")
        _IOCB.pack_into(
            self._block, 0, 0, 0, 0, _IOCB_CMD_FDSYNC, 0, file.fileno(), 0, 0, 0, 0, _IOCB_FLAG_RESFD, self._signal
        )
        try:
            self._check(self._call(*self._submit_arguments))
        except OSError as error:
            self._loop.call_soon(done, error)
            return
        self._done = done

    def close(self) -> None:
        """Give everything back."""
        self._loop.remove_reader(self._signal)
        os.close(self._signal)
        self._call(*self._destroy_arguments)

    def _ended(self) -> None:
        try:
            os.eventfd_read(self._signal)
        except BlockingIOError:
            return
        self._check(self._call(*self._collect_arguments))
        result = _IO_EVENT.unpack(self._event.raw)[2]
        done, self._done = self._done, None
        if done is not None:
            done(OSError(-result, os.strerror(-result)) if result < 0 else None)

    @staticmethod
    def _check(result: int) -> None:
        if result < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))


class AdaptiveSynchronizer:
    """The kernel's way while it is quick, the thread's while it is not.

    The kernel does the work on the very core that asked. Where more processes want to run than there are cores, it waits
    there for its turn (4 ms, measured), while a thread would move to another core. So: after `_SLOW_MAX` slow ones among
    few, a thread does the next `_THREAD_TURNS`, then the kernel gets another chance.
    """

    _SLOW_SECONDS = 0.0015
    _SLOW_MAX = 3
    _PROBE_TURNS = 16
    _THREAD_TURNS = 4000

    def __init__(
        self, loop: asyncio.AbstractEventLoop, kernel: Synchronizer, make_thread: Callable[[], Synchronizer]
    ) -> None:
        self._time = loop.time
        self._kernel = kernel
        self._make_thread = make_thread
        self._thread: Synchronizer | None = None
        self._with_thread = 0
        self._probed = 0
        self._slow = 0
        self._started = 0.0
        self._waiting: Done | None = None

    def start(self, file: DiskFile, done: Done) -> None:
        """By whichever is in favour."""
        if self._with_thread:
            self._with_thread -= 1
            if self._thread is None:
                self._thread = self._make_thread()
            self._thread.start(file, done)
            return
        self._waiting = done
        self._started = self._time()
        self._kernel.start(file, self._ended)

    def close(self) -> None:
        """Close both."""
        self._kernel.close()
        if self._thread is not None:
            self._thread.close()

    def _ended(self, error: OSError | None) -> None:
        if self._time() - self._started > self._SLOW_SECONDS:
            self._slow += 1
            if self._slow >= self._SLOW_MAX:
                self._with_thread = self._THREAD_TURNS
                self._slow = self._probed = 0
        self._probed += 1
        if self._probed >= self._PROBE_TURNS:
            self._slow = self._probed = 0
        done, self._waiting = self._waiting, None
        if done is not None:
            done(error)


def synchronizer_for(loop: asyncio.AbstractEventLoop, file: DiskFile) -> Synchronizer:
    """The best that works for files like `file`."""
    if file.fileno() < 0:
        return InlineSynchronizer(loop)
    try:
        return AdaptiveSynchronizer(loop, KernelSynchronizer(loop), lambda: ThreadSynchronizer(loop))
    except OSError:
        return ThreadSynchronizer(loop)
