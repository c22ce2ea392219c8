"""The exact timer: never early, hardly late, one moment at a time; the same by the loop's own timer where there is no other.

Method: the median of some waits, since any single one may meet a busy machine.
"""

from __future__ import annotations

import asyncio
import statistics
import time

import pytest

from deploy import timer as module
from deploy.timer import ExactTimer


async def _lateness(seconds: float) -> float:
    """How much later than asked for; raises if it was early."""
    loop = asyncio.get_running_loop()
    rang: asyncio.Future[float] = loop.create_future()
    timer = ExactTimer(loop, lambda: rang.set_result(time.monotonic()))
    try:
        moment = time.monotonic() + seconds
        timer.set(moment + 60)
        timer.set(moment)
        late = await asyncio.wait_for(rang, 5) - moment
    finally:
        timer.close()
    assert late >= 0
    return late


@pytest.mark.parametrize("system", ["Linux", "another"])
def test_never_early_and_hardly_late(system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.platform, "system", lambda: system)

    async def test() -> None:
        late = [await _lateness(0.0033) for _ in range(21)]
        assert statistics.median(late) < 0.02

    asyncio.run(test())


@pytest.mark.parametrize("system", ["Linux", "another"])
def test_cleared_and_past(system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.platform, "system", lambda: system)

    async def test() -> None:
        rang: list[float] = []
        timer = ExactTimer(asyncio.get_running_loop(), lambda: rang.append(time.monotonic()))
        timer.set(time.monotonic() + 0.01)
        timer.clear()
        await asyncio.sleep(0.05)
        assert not rang
        timer.set(time.monotonic() - 1)  # at once
        await asyncio.sleep(0.05)
        assert len(rang) == 1
        timer.set(time.monotonic() + 0.01)
        timer.close()
        await asyncio.sleep(0.05)
        assert len(rang) == 1

    asyncio.run(test())
