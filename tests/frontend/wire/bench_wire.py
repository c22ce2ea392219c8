"""Throughput of the wire by itself; run by hand: `python -m tests.frontend.wire.bench_wire`.

Prints queries per second of a trivial session (in process, without sockets, and over loopback), rows per second of the
row encoder and of the COPY codecs. The figures in the module headers come from here.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
import struct
import time
import timeit
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import uvloop

from frontend.wire import copy_in, copy_out, messages, rowencoder
from frontend.wire.cancellation import CancelRegistry
from frontend.wire.connection import PostgresConnection
from frontend.wire.copy import CopyOptions
from frontend.wire.limits import WireLimits
from frontend.wire.listener import Listener
from frontend.wire.session_contract import Startup
from frontend.wire.turn import LoopTurn
from tests.frontend.wire.trivial_session import TrivialSession

QUERY = messages.message(b"Q", b"select 1\0")
PREPARED = (
    messages.message(b"B", b"\0s\0" + struct.pack("!HHHi", 0, 1, 1, 2) + b"42" + struct.pack("!H", 0))
    + messages.message(b"D", b"P\0")
    + messages.message(b"E", b"\0\0\0\0\0")
    + messages.message(b"S", b"")
)


class CountingTransport(asyncio.Transport):
    """Takes bytes and counts the writes."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes += 1

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        pass

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass


def best(work: Callable[[], object], count: int) -> float:
    """Seconds per call: the best of five runs."""
    return min(timeit.repeat(work, number=count, repeat=5)) / count


async def in_process() -> None:
    transport = CountingTransport()
    connection = PostgresConnection(
        transport,
        Startup("postgres", "postgres"),
        1,
        CancelRegistry(),
        WireLimits(),
        None,
        lambda _: None,
        LoopTurn(asyncio.get_running_loop()),
    )
    connection.start(TrivialSession, b"")
    connection.data_received(messages.message(b"P", b"s\0select $1\0\0\0") + messages.message(b"S", b""))
    for name, data in (("simple query", QUERY), ("bind, describe, execute, sync", PREPARED)):
        seconds = best(lambda data=data: connection.data_received(data), 20_000)  # type: ignore[misc]
        print(f"{name}, in process: {seconds * 1e6:.2f} µs, {1 / seconds:,.0f}/s")


def drive(port: int, data: bytes, depth: int, client_count: int, seconds: float) -> int:
    """A blocking client with `client_count` connections, each keeping `depth` requests in flight."""
    clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(client_count)]
    body = struct.pack("!I", messages.PROTOCOL_VERSION) + b"user\0postgres\0\0"
    for client in clients:
        for opening in (
            struct.pack("!I", len(body) + 4) + body,
            messages.message(b"P", b"s\0select $1\0\0\0") + messages.message(b"S", b""),
        ):
            client.sendall(opening)
            while not client.recv(65536).endswith(messages.READY_FOR_QUERY["I"]):
                pass
    clients[0].sendall(data)
    reply = clients[0].recv(65536)
    while not reply.endswith(messages.READY_FOR_QUERY["I"]):
        reply += clients[0].recv(65536)
    reply_bytes = len(reply)
    count = 0
    batch = data * depth
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for client in clients:
            client.sendall(batch)
        for client in clients:
            missing = reply_bytes * depth
            while missing:
                missing -= len(client.recv(65536))
        count += depth * client_count
    return count


async def over_loopback() -> None:
    loop = asyncio.get_running_loop()
    listener = Listener(TrivialSession)
    port = await listener.start("127.0.0.1", 0)
    for name, data in (("simple query", QUERY), ("bind, describe, execute, sync", PREPARED)):
        for depth, client_count in ((1, 1), (1, 32), (16, 1)):
            started = time.process_time()
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                count = await loop.run_in_executor(pool, drive, port, data, depth, client_count, 2.0)
            used = time.process_time() - started
            print(
                f"{name}, loopback, {client_count} clients, depth {depth}: {count / 2:,.0f}/s, {count / used:,.0f} per second of server CPU"
            )
    await listener.drain(1)


def row_encoding() -> None:
    one = rowencoder.compile_row_encoder([(23, 0, None)])
    print(f"one row of one int: {best(lambda: one([(42,)]), 50_000) * 1e6:.2f} µs")
    account = rowencoder.compile_row_encoder([(23, 0, None)] * 3 + [(1042, 0, None)])
    rows = [(number, 1, 0, " " * 84) for number in range(1000)]
    print(f"account rows: {best(lambda: account(rows), 50) * 1e3:.2f} µs per row")


def copying() -> None:
    columns = ["aid", "bid", "abalance", "filler"]
    count = 100_000
    account = [b"%d\t%d\t0\t%b\n" % (number, number // 100_000 + 1, b" " * 84) for number in range(count)]
    quoted = [b'%d,"%d",0,"a,b"\n' % (number, number) for number in range(count)]
    for name, options, data in (
        ("text", CopyOptions(), b"".join(account)),
        ("text with NULL in each row", CopyOptions(), b"".join(account).replace(b" " * 84, b"\\N")),
        ("csv", CopyOptions("csv"), b"".join(account).replace(b"\t", b",")),
        ("csv with quotes", CopyOptions("csv"), b"".join(quoted)),
    ):

        def decode(options: CopyOptions = options, data: bytes = data) -> None:
            decoder = copy_in.make_decoder(options.resolved(copy_from=True), columns)
            for position in range(0, len(data), 65536):
                decoder.feed(data[position : position + 65536])
            decoder.finish()

        print(f"COPY in, {name}: {count / best(decode, 1):,.0f} rows/s")
    rows = [[str(number), "1", "0", " " * 84] for number in range(1000)]
    for name, options in (("text", CopyOptions()), ("csv", CopyOptions("csv"))):
        encoder = copy_out.make_text_encoder(options.resolved(copy_from=False), columns)
        print(f"COPY out, {name}: {1000 / best(lambda encoder=encoder: encoder.rows(rows), 20):,.0f} rows/s")  # type: ignore[misc]


if __name__ == "__main__":
    row_encoding()
    copying()
    uvloop.run(in_process())
    uvloop.run(over_loopback())
