"""The loop's shared turn: replies are written together and none is forgotten; the loop stays awake a moment, no longer.

Method: an event loop, connections that note when they are flushed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import cast

from frontend.wire.turn import REPLIES_MAX, LoopTurn


class Connection:
    def __init__(self, name: int, log: list[int]) -> None:
        self.name = name
        self.log = log

    def flush(self) -> None:
        self.log.append(self.name)


def test_replies_go_out_together_and_in_order() -> None:
    async def work() -> None:
        log: list[int] = []
        turn = LoopTurn(asyncio.get_running_loop())
        for number in range(REPLIES_MAX - 1):
            turn.touch()
            turn.add(Connection(number, log))
        assert log == []
        turn.add(Connection(REPLIES_MAX - 1, log))
        assert log == list(range(REPLIES_MAX))
        turn.add(Connection(99, log))
        await asyncio.sleep(0)
        assert log == [*range(REPLIES_MAX), 99]
        turn.add(Connection(100, log))  # without a message: a verdict has come
        await asyncio.sleep(0)
        assert log[-1] == 100

    asyncio.run(work())


class Loop:
    """Runs what it is given when it is told to."""

    def __init__(self) -> None:
        self.ready: deque[Callable[[], None]] = deque()

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.ready.append(callback)


def test_polls_for_the_time_it_was_told() -> None:
    def turns(poll_seconds: float) -> float:
        loop = Loop()
        turn = LoopTurn(cast(asyncio.AbstractEventLoop, loop), poll_seconds)
        turn.touch()
        began = perf_counter()
        while loop.ready:
            loop.ready.popleft()()
        return perf_counter() - began

    assert turns(0.0) < 0.02
    assert 0.05 <= turns(0.05) < 1.0
