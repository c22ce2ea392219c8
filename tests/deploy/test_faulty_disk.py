"""Bad disks on purpose: slow ones are slow for whoever waits, full ones refuse what is new and nothing else.

Method: real files; the faults are written to their file and read again as a node does it.
"""

from __future__ import annotations

import asyncio
import errno
import time
from pathlib import Path

import pytest

from deploy.faults import Faults, FaultSettings, write_faults
from deploy.faulty_disk import FaultyDisk, FaultySynchronizer


def in_force(file: Path, faults: Faults, settings: FaultSettings) -> None:
    write_faults(file, settings)
    faults.refresh()


def test_a_full_disk_refuses_growth_only(tmp_path: Path) -> None:
    control = tmp_path / "faults.json"
    faults = Faults(control, [])
    disk = FaultyDisk(faults)
    file = disk.open(str(tmp_path / "a"), create=True)
    file.allocate(4096)
    in_force(control, faults, FaultSettings(disk_full=True))
    file.write(b"reserved", 100)
    file.synchronize()
    file.allocate(4096)
    with pytest.raises(OSError) as grown:
        file.allocate(8192)
    with pytest.raises(OSError) as created:
        disk.open(str(tmp_path / "b"), create=True)
    assert (grown.value.errno, created.value.errno) == (errno.ENOSPC, errno.ENOSPC)
    assert created.value.filename == str(tmp_path / "b")
    again = disk.open(str(tmp_path / "a"), create=True)
    assert again.read(8, 100) == b"reserved"
    in_force(control, faults, FaultSettings())
    file.allocate(8192)
    assert file.size() == 8192
    again.close()
    file.close()


def test_a_slow_disk_is_slow_while_it_lasts(tmp_path: Path) -> None:
    async def test() -> None:
        control = tmp_path / "faults.json"
        faults = Faults(control, [])
        file = FaultyDisk(faults).open(str(tmp_path / "a"), create=True)
        loop = asyncio.get_running_loop()
        synchronizer = FaultySynchronizer(loop, file, faults)

        async def seconds() -> float:
            ended: asyncio.Future[OSError | None] = loop.create_future()
            began = time.perf_counter()
            synchronizer.start(file, ended.set_result)
            assert await asyncio.wait_for(ended, 10) is None
            return time.perf_counter() - began

        assert await seconds() < 0.2
        in_force(control, faults, FaultSettings(disk_delay_ms=300))
        for _ in range(2):
            ticks = loop.create_task(asyncio.sleep(0.15))
            assert await seconds() >= 0.3
            assert ticks.done()  # nobody else waited
        in_force(control, faults, FaultSettings())
        assert await seconds() < 0.2
        synchronizer.close()
        file.close()

    asyncio.run(test())
