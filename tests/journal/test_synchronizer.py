"""Synchronizers: each reports the end once, in the loop, with the error if there was one.

Method: the real ones on real files; the adaptive one with synchronizers of a known speed.
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


async def synchronize(synchronizer: Synchronizer, file: Any) -> OSError | None:
    future: asyncio.Future[OSError | None] = asyncio.get_running_loop().create_future()
    synchronizer.start(file, future.set_result)
    assert not future.done()
    return await asyncio.wait_for(future, 5)


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


class Paced:
    """Takes as long as it is told to."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.count = 0
        self.closed = False

    def start(self, file: object, done: Done) -> None:
        self.count += 1
        asyncio.get_running_loop().call_later(self.seconds, done, None)

    def close(self) -> None:
        self.closed = True


def test_a_slow_kernel_loses_favour_and_gets_another_chance() -> None:
    async def work() -> None:
        kernel, thread = Paced(0.003), Paced(0.0)
        adaptive = AdaptiveSynchronizer(asyncio.get_running_loop(), kernel, lambda: thread)
        adaptive._THREAD_TURNS = 10  # type: ignore[misc]
        for _ in range(13):
            await synchronize(adaptive, None)
        assert (kernel.count, thread.count) == (3, 10)
        kernel.seconds = 0.0
        for _ in range(20):
            await synchronize(adaptive, None)
        assert (kernel.count, thread.count) == (23, 10)
        adaptive.close()
        assert kernel.closed
        assert thread.closed

    asyncio.run(work())
