"""Faults on purpose: a delay is a delay in both directions, a cut is silent and then fatal, the file may change at any time.

Method: a real loopback server that echoes, dialled through `FaultyNetwork`, with and without faults in the file.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from deploy import faults as module
from deploy.faults import Faults, FaultSettings, FaultyNetwork, SkewedClock, read_faults, write_faults
from journal.environment import SystemNetwork
from journal.transport import Peer

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def echo(file: Path) -> AsyncIterator[tuple[Callable[[], Awaitable[Streams]], Faults]]:
    """(connect to a peer "b" that echoes, the faults)."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (data := await reader.read(1000)) and data != b"bye":
            writer.write(data)
        writer.close()

    server = await SystemNetwork().listen(handle, "127.0.0.1", 0, None)
    port = server.sockets[0].getsockname()[1]
    faults = Faults(file, [Peer("b", "127.0.0.1", port)])
    network = FaultyNetwork(SystemNetwork(), faults)
    watching = asyncio.create_task(faults.run())
    opened: list[asyncio.StreamWriter] = []

    async def connect() -> Streams:
        reader, writer = await network.connect("127.0.0.1", port, None)
        opened.append(writer)
        return reader, writer

    try:
        yield connect, faults
    finally:
        watching.cancel()
        for writer in opened:
            writer.close()
        server.close()


async def round_trip_ms(streams: Streams, data: bytes = b"ping") -> float:
    reader, writer = streams
    began = time.perf_counter()
    writer.write(data)
    assert await asyncio.wait_for(reader.readexactly(len(data)), 5) == data
    return (time.perf_counter() - began) * 1000


def run(test: Awaitable[None]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(test, 30)

    asyncio.run(bounded())


def test_delays_begin_and_end_while_a_connection_lives(tmp_path: Path) -> None:
    async def test() -> None:
        file = tmp_path / "faults.json"
        async with echo(file) as (connect, _):
            streams = await connect()
            assert await round_trip_ms(streams) < 40
            write_faults(file, FaultSettings(delays_ms={"b": 25.0, "c": 5000.0}))
            await asyncio.sleep(3 * module.POLL_SECONDS)
            assert 50 <= await round_trip_ms(streams) < 250
            began = time.perf_counter()
            another = await connect()
            assert time.perf_counter() - began >= 0.1  # TCP and TLS: two round trips
            assert 50 <= await round_trip_ms(another) < 250
            file.unlink()
            await asyncio.sleep(3 * module.POLL_SECONDS)
            assert await round_trip_ms(streams) < 40

    run(test())


def test_order_is_kept_when_the_delay_shrinks(tmp_path: Path) -> None:
    async def test() -> None:
        file = tmp_path / "faults.json"
        write_faults(file, FaultSettings(delays_ms={"b": 200.0}))
        async with echo(file) as (connect, _):
            reader, writer = await connect()
            writer.write(b"first ")
            write_faults(file, FaultSettings())
            await asyncio.sleep(2 * module.POLL_SECONDS)
            writer.write(b"second")
            assert writer.transport.get_write_buffer_size() == len(b"first second")
            assert await reader.readexactly(12) == b"first second"
            assert writer.transport.get_write_buffer_size() == 0

    run(test())


def test_a_short_cut_loses_nothing(tmp_path: Path) -> None:
    async def test() -> None:
        file = tmp_path / "faults.json"
        async with echo(file) as (connect, _):
            streams = await connect()
            await round_trip_ms(streams)
            write_faults(file, FaultSettings(cut=("b",)))
            await asyncio.sleep(3 * module.POLL_SECONDS)
            streams[1].write(b"held ")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(streams[0].read(1), 0.3)
            assert not streams[1].is_closing()
            write_faults(file, FaultSettings())
            assert await asyncio.wait_for(streams[0].readexactly(5), 5) == b"held "

    run(test())


def test_a_long_cut_ends_connections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CUT_SECONDS_MAX", 0.3)

    async def test() -> None:
        file = tmp_path / "faults.json"
        async with echo(file) as (connect, _):
            reader, writer = await connect()
            write_faults(file, FaultSettings(cut=("b",)))
            with pytest.raises(TimeoutError, match="cut"):
                await asyncio.wait_for(reader.read(1), 5)
            assert writer.is_closing()
            with pytest.raises(TimeoutError, match="cut"):
                await connect()
            write_faults(file, FaultSettings())
            await asyncio.sleep(3 * module.POLL_SECONDS)
            await round_trip_ms(await connect())

    run(test())


def test_the_peers_end_is_seen(tmp_path: Path) -> None:
    async def test() -> None:
        async with echo(tmp_path / "faults.json") as (connect, _):
            reader, writer = await connect()
            assert writer.can_write_eof() is False
            assert writer.get_extra_info("peername")[0] == "127.0.0.1"
            writer.write(b"x")
            await writer.drain()
            assert await reader.readexactly(1) == b"x"
            writer.write(b"bye")
            assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()
            writer.write(b"nobody hears this")
            assert writer.transport.get_write_buffer_size() == 0
            assert writer.is_closing()

    run(test())


def test_a_file_that_is_none_changes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "faults.json"
    assert read_faults(file) == FaultSettings()
    write_faults(file, FaultSettings(skew_us=250_000, cut=("b",)))
    faults = Faults(file, [])
    clock = SkewedClock(faults)
    assert abs(clock.wall_us() - time.time_ns() // 1000 - 250_000) < 100_000
    assert abs(clock.monotonic() - time.monotonic()) < 1
    file.write_text('{"skew_us": 1, "cutt": []}')
    faults.refresh()
    assert "cutt" in caplog.text
    assert faults.settings.skew_us == 250_000
    assert faults.is_cut("b")
    write_faults(file, FaultSettings(skew_us=-1))
    faults.refresh()
    assert faults.settings == FaultSettings(skew_us=-1)
