"""The loop of virtual time.

Goal: order, time, pausing and killing are exact, since every simulated run rests on them. Method: small programs whose
order of events is known beforehand.
"""

from __future__ import annotations

import asyncio

import pytest

from tests.simulation.loop import Deadlock, OutOfTime, Process, SimulatedLoop


def test_time_jumps_and_order_is_that_of_scheduling() -> None:
    loop = SimulatedLoop()
    seen: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        seen.append((name, loop.time()))

    async def main() -> None:
        await asyncio.gather(sleeper("late", 3600), sleeper("a", 1), sleeper("b", 1), sleeper("now", 0))

    loop.run_until_complete(main())
    assert seen == [("now", 0.0), ("a", 1.0), ("b", 1.0), ("late", 3600.0)]


def test_timeouts_and_threads_are_virtual() -> None:
    loop = SimulatedLoop(lambda: 2.5)

    async def main() -> tuple[int, float]:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.get_running_loop().create_future(), 10)
        value = await asyncio.get_running_loop().run_in_executor(None, lambda: 7)
        return value, loop.time()

    assert loop.run_until_complete(main()) == (7, 12.5)


def test_a_deadlock_is_found() -> None:
    loop = SimulatedLoop()

    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Deadlock):
        loop.run_until_complete(main())


def test_a_run_that_never_ends_runs_out_of_time() -> None:
    loop = SimulatedLoop()

    async def main() -> None:
        for _ in range(1000):
            await asyncio.sleep(1)

    with pytest.raises(OutOfTime):
        loop.run_until_complete(main(), seconds_max=100)


def test_a_killed_process_does_nothing_more_and_a_paused_one_does_it_later() -> None:
    loop = SimulatedLoop()
    seen: list[tuple[str, float]] = []

    async def ticking(name: str) -> None:
        try:
            while True:
                await asyncio.sleep(1)
                seen.append((name, loop.time()))
        finally:
            seen.append((f"{name} cleaned up", loop.time()))

    killed, paused = Process("killed"), Process("paused")

    async def main() -> None:
        loop.create_task(ticking("killed"), context=killed.context)
        loop.create_task(ticking("paused"), context=paused.context)
        await asyncio.sleep(1.5)
        loop.kill(killed)
        loop.pause(paused)
        await asyncio.sleep(5)
        loop.resume(paused)
        await asyncio.sleep(1.2)

    loop.run_until_complete(main())
    loop.close()
    assert seen[:2] == [("killed", 1.0), ("paused", 1.0)]
    assert seen[2:4] == [("paused", 6.5), ("paused", 7.5)]


def test_what_nobody_caught_is_kept() -> None:
    loop = SimulatedLoop()

    def broken() -> None:
        raise ValueError("broken")

    async def main() -> None:
        asyncio.get_running_loop().call_soon(broken)
        await asyncio.sleep(1)

    loop.run_until_complete(main())
    assert [str(error) for _, _, error in loop.errors] == ["broken"]
