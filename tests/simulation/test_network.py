"""The simulated network.

Goal: a living connection loses and reorders nothing, however slow; a blocked one delivers when it is free; a cut one
delivers a prefix; a dead process is noticed, a paused one is not. Method: one node writes a counted stream, another reads.
"""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from tests.simulation.loop import Process, SimulatedLoop
from tests.simulation.network import SimulatedNetwork

MESSAGE = bytes(range(256)) * 20


class World:
    """A sender `a` and a receiver `b`, each in a process of its own."""

    def __init__(self, seed: int) -> None:
        self.loop = SimulatedLoop()
        self.network = SimulatedNetwork(self.loop, Random(seed), lambda node, what: None)
        self.network.link("a", "b").jitter = 0.01
        self.a, self.b = Process("a"), Process("b")
        self.received = bytearray()
        self.ended: float | None = None
        self.writer: asyncio.StreamWriter | None = None
        self.reset: float | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1000):
                self.received += data
        except OSError:
            pass
        self.ended = self.loop.time()

    async def start(self) -> None:
        async def listen() -> None:
            self.server = await self.network.of("b").listen(self.serve, "b", 1, None)

        async def dial() -> None:
            reader, self.writer = await self.network.of("a").connect("b", 1, None)
            try:
                await reader.read(1)
            except OSError:
                self.reset = self.loop.time()

        await self.loop.create_task(listen(), context=self.b.context)
        self.loop.create_task(dial(), context=self.a.context)
        await asyncio.sleep(1)

    def write(self, data: bytes) -> None:
        assert self.writer is not None
        self.a.call(self.writer.write, data)


@pytest.mark.parametrize("seed", range(5))
def test_a_living_connection_loses_and_reorders_nothing(seed: int) -> None:
    world = World(seed)

    async def main() -> None:
        await world.start()
        for place in range(0, len(MESSAGE), 100):
            world.write(MESSAGE[place : place + 100])
            await asyncio.sleep(0.001)
        world.network.block("a", "b")
        world.write(b"while blocked")
        await asyncio.sleep(5)
        assert len(world.received) < len(MESSAGE) + len(b"while blocked")
        world.network.unblock("a", "b")
        await asyncio.sleep(5)

    world.loop.run_until_complete(main())
    assert bytes(world.received) == MESSAGE + b"while blocked"
    assert world.ended is None


def test_a_cut_connection_delivers_a_prefix_and_both_sides_learn_of_it() -> None:
    lengths = set()
    for seed in range(20):
        world = World(seed)

        async def main(world: World = world) -> None:
            await world.start()
            world.write(MESSAGE)
            world.network.cut_between("a", "b", "test")
            await asyncio.sleep(5)

        world.loop.run_until_complete(main())
        assert MESSAGE.startswith(bytes(world.received))
        assert world.ended is not None
        assert world.reset is not None
        lengths.add(len(world.received))
    assert len(lengths) > 5


def test_a_paused_reader_takes_a_window_and_gets_all_in_the_end() -> None:
    world = World(1)
    data = bytes(200_000)

    async def main() -> None:
        await world.start()
        world.loop.pause(world.b)
        for place in range(0, len(data), 1000):
            world.write(data[place : place + 1000])
        await asyncio.sleep(5)
        assert world.writer is not None
        assert world.writer.transport.get_write_buffer_size() > 100_000
        assert not world.received
        world.loop.resume(world.b)
        await asyncio.sleep(5)
        assert world.writer.transport.get_write_buffer_size() == 0

    world.loop.run_until_complete(main())
    assert bytes(world.received) == data


def test_a_dead_process_is_noticed_and_nobody_listens_any_more() -> None:
    world = World(1)

    async def main() -> None:
        await world.start()
        world.loop.kill(world.b)
        world.network.process_died(world.b)
        await asyncio.sleep(5)
        with pytest.raises(ConnectionRefusedError):
            await world.network.of("a").connect("b", 1, None)

    world.loop.run_until_complete(main())
    assert world.reset is not None


def test_connecting_through_a_partition_times_out() -> None:
    world = World(1)

    async def main() -> None:
        await world.start()
        world.network.block("b", "a")
        with pytest.raises(TimeoutError):
            await world.network.of("a").connect("b", 1, None)

    world.loop.run_until_complete(main())
