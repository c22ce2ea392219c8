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
