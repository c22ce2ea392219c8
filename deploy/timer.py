"""A timer that is exact to some ten microseconds.

The loop's own counts whole milliseconds, from a time that it read when its turn began. That is fine for time-outs, but a delay of
6 ms that stands in for a network must not be 7. Linux has timers with a descriptor, which the loop watches like any other; elsewhere
the loop's must do. (`os.timerfd_create` comes with Python 3.13.)

Waking a sleeping processor takes 0.1 ms or more. So the timer is set earlier by what that took lately, and the rest is waited for in
place: some 50 µs.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import platform
import time
from collections.abc import Callable

_CLOCK_MONOTONIC = 1
_FLAGS = os.O_CLOEXEC | os.O_NONBLOCK
_ABSOLUTE = 1
_EARLY_SECONDS_MAX = 0.0003


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Setting(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("first", _Timespec))


class ExactTimer:
    """Calls `callback` in the loop's thread, at one moment at a time.

    Moments are of `time.monotonic`, in seconds.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        self._loop = loop
        self._callback = callback
        self._handle: asyncio.TimerHandle | None = None
        self._descriptor = -1
        self._moment = self._set_for = self._early = 0.0
        if platform.system() != "Linux":
            return
        self._library = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._library.timerfd_create(_CLOCK_MONOTONIC, _FLAGS)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        loop.add_reader(self._descriptor, self._due)

    def set(self, moment: float) -> None:
        """Call back then, and not at the moment set before."""
        if self._descriptor >= 0:
            self._moment, self._set_for = moment, moment - self._early
            nanoseconds = max(1, round(self._set_for * 1e9))
            self._arm(_Timespec(*divmod(nanoseconds, 1_000_000_000)))
            return
        self.clear()
        # Never early: a millisecond more than the loop might round down.
        self._handle = self._loop.call_later(max(0.0, moment - time.monotonic()) + 0.001, self._callback)

    def clear(self) -> None:
        """Do not call back."""
        if self._descriptor >= 0:
            self._arm(_Timespec(0, 0))
        elif self._handle is not None:
            self._handle.cancel()

    def close(self) -> None:
        """Never call back again."""
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1
        elif self._handle is not None:
            self._handle.cancel()

    def _arm(self, first: _Timespec) -> None:
        setting = _Setting(_Timespec(0, 0), first)
        if self._library.timerfd_settime(self._descriptor, _ABSOLUTE, ctypes.byref(setting), None) < 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def _due(self) -> None:
        try:
            os.read(self._descriptor, 8)
        except BlockingIOError:
            return  # set anew between the kernel's notice and now
        now = time.monotonic()
        late = min(max(now - self._set_for, 0.0), _EARLY_SECONDS_MAX)
        self._early += (late - self._early) / 16
        while now < self._moment:
            now = time.monotonic()
        self._callback()
