"""Synchronizers: each reports the end once, in the loop, with the error if there was one.

Method: the real ones on real files.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from journal.environment import SystemDisk
from journal.simulated import SimulatedDisk
from journal.synchronizer import (
    AdaptiveSynchronizer,
    Done,
    InlineSynchronizer,
    KernelSynchronizer,
    Synchronizer,
    ThreadSynchronizer,
    synchronizer_for,
)


async def synchronize(synchronizer: Synchronizer, file: Any, *, may_block: bool = False) -> OSError | None:
    future: asyncio.Future[OSError | None] = asyncio.get_running_loop().create_future()
    is_over = synchronizer.start(file, future.set_result, may_block=may_block)
    assert not future.done()
    return None if is_over else await asyncio.wait_for(future, 5)


@pytest.mark.parametrize("runner", [asyncio.run, uvloop.run])
@pytest.mark.parametrize("make", [ThreadSynchronizer, KernelSynchronizer])
def test_on_a_real_file(tmp_path: Path, make: Callable[..., Synchronizer], runner: Callable[..., None]) -> None:
    async def work() -> None:
        file = SystemDisk().open(f"{tmp_path}/file", create=True)
        try:
            synchronizer = make(asyncio.get_running_loop())
        except OSError:
            pytest.skip("the kernel does not offer it")
        for number in range(20):
            file.write(b"x" * 100, number * 100)
            assert await synchronize(synchronizer, file) is None
        file.close()
        error = await synchronize(synchronizer, file)
        assert error is not None
        assert error.errno == errno.EBADF
        synchronizer.close()

    runner(work())


def test_on_a_simulated_file() -> None:
    async def work() -> None:
        disk = SimulatedDisk()
        file = disk.open("/file", create=True)
        synchronizer = synchronizer_for(asyncio.get_running_loop(), file)
        assert isinstance(synchronizer, InlineSynchronizer)
        assert await synchronize(synchronizer, file) is None
        disk.fail("synchronize", errno.EIO)
        error = await synchronize(synchronizer, file)
        assert error is not None
        assert error.errno == errno.EIO

    asyncio.run(work())


class Counted:
    """Takes a millisecond's tenth by the test's clock and counts."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.count = 0

    def start(self, file: object, done: Done, *, may_block: bool = False) -> bool:
        self.count += 1
        self.clock.wall += 0.0001
        self.clock.processor += 0.0001 * self.clock.busy_share
        asyncio.get_running_loop().call_soon(done, None)
        return False

    def close(self) -> None:
        """Nothing to release."""


class Clock:
    wall = 0.0
    processor = 0.0
    busy_share = 0.0
    synchronize_seconds = 0.0002


class TimedFile:
    """A file whose synchronization in place takes time."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.count = 0

    def synchronize(self) -> None:
        self.count += 1
        self.clock.wall += self.clock.synchronize_seconds


def test_an_idle_loop_waits_in_place_and_a_busy_one_does_not() -> None:
    async def work() -> None:
        clock = Clock()
        background, file = Counted(clock), TimedFile(clock)
        adaptive = AdaptiveSynchronizer(
            asyncio.get_running_loop(), background, wall=lambda: clock.wall, processor=lambda: clock.processor
        )
        for _ in range(4 + 64 + 4):
            assert await synchronize(adaptive, file) is None
        assert (background.count, file.count) == (8, 64)
        # Other work comes: at the next look it is seen, and from then on the disk works in the background.
        clock.busy_share = 0.9
        for _ in range(64 + 20):
            await synchronize(adaptive, file)
        assert (background.count, file.count) == (28, 128)

    asyncio.run(work())


def test_nobody_waits_in_place_for_a_slow_disk() -> None:
    async def work() -> None:
        clock = Clock()
        clock.synchronize_seconds = 0.005
        background, file = Counted(clock), TimedFile(clock)
        adaptive = AdaptiveSynchronizer(
            asyncio.get_running_loop(), background, wall=lambda: clock.wall, processor=lambda: clock.processor
        )
        for _ in range(10):
            await synchronize(adaptive, file)
        assert file.count == 2  # one after four idle ones, each time

    asyncio.run(work())


def test_a_failure_in_place_is_told_like_any_other() -> None:
    async def work() -> None:
        clock = Clock()
        file = TimedFile(clock)
        adaptive = AdaptiveSynchronizer(
            asyncio.get_running_loop(), Counted(clock), wall=lambda: clock.wall, processor=lambda: clock.processor
        )
        for _ in range(5):
            assert await synchronize(adaptive, file) is None
        failure = OSError(5, "broken")

        def fail() -> None:
            raise failure

        file.synchronize = fail  # type: ignore[method-assign]
        assert await synchronize(adaptive, file) is failure

    asyncio.run(work())


def test_where_nobody_comes_the_loop_waits_in_place_unless_the_disk_is_slow() -> None:
    async def work() -> None:
        clock = Clock()
        clock.busy_share = 0.9
        background, file = Counted(clock), TimedFile(clock)
        adaptive = AdaptiveSynchronizer(
            asyncio.get_running_loop(), background, wall=lambda: clock.wall, processor=lambda: clock.processor
        )
        clock.synchronize_seconds = 0.005
        for _ in range(10):
            assert await synchronize(adaptive, file, may_block=True) is None
        assert (background.count, file.count) == (0, 10)
        assert await synchronize(adaptive, file) is None  # somebody has come
        assert (background.count, file.count) == (1, 10)
        clock.synchronize_seconds = 0.05
        for _ in range(1 + 64 + 1):
            await synchronize(adaptive, file, may_block=True)
        assert (background.count, file.count) == (65, 12)

    asyncio.run(work())
