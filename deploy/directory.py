"""A data directory belongs to one process: an flock on the file `lock`, which also holds the process id.

The kernel releases the lock with the process, however it ends, so there are no stale locks; the number is for people and for
`boreal drain`, and is believed only while the lock is held.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from journal.errors import BorealError

LOCK_NAME = "lock"
ATTEMPTS_MAX = 5
"""Whoever asks for the `holder` has a shared lock for a moment; that is not somebody who uses the directory."""


class DataDirectoryInUse(BorealError):
    """Another process has locked the data directory."""

    sqlstate = "F0001"


@contextmanager
def lock(directory: Path) -> Iterator[None]:
    """Hold the directory's lock.

    Raises:
        DataDirectoryInUse: somebody else does; the message names the process.
        OSError: the directory cannot be written.
    """
    with (directory / LOCK_NAME).open("a+") as file:
        for attempt in range(ATTEMPTS_MAX):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if attempt == ATTEMPTS_MAX - 1:
                    raise DataDirectoryInUse(
                        f"data directory {directory} is in use by process {holder(directory) or 'unknown'}"
                    ) from None
                time.sleep(0.01)
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def holder(directory: Path) -> int | None:
    """The process that holds the directory's lock, or None."""
    try:
        with (directory / LOCK_NAME).open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                text = file.read().strip()
                return int(text) if text.isdecimal() else None
            return None
    except FileNotFoundError:
        return None


def wait_until_free(directory: Path, seconds_max: float) -> bool:
    """Whether the lock was released within the time."""
    deadline = time.monotonic() + seconds_max
    while holder(directory) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
