"""Cost of whole pgbench transactions inside the node: wire, session, view and journal, everything but the sockets.

    python -m tests.frontend.bench_transactions [--scale 10] [--clients 8] [--seconds 3] [--profile]

Virtual clients hand their messages to real connections, whose transport calls back instead of writing to a socket. What it prints
is processor time a transaction, so that it can be compared while the machine does other work. Not collected by pytest.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import random
import resource
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, thread_time

import uvloop

from deploy.cli import tune_garbage_collection
from deploy.config import Config
from deploy.node import Node
from frontend.wire.connection import PostgresConnection
from frontend.wire.limits import WireLimits
from frontend.wire.messages import message
from frontend.wire.session_contract import Startup
from frontend.wire.turn import LoopTurn

SYNC = message(b"S", b"")
TAIL = message(b"D", b"P\0") + message(b"E", b"\0" + bytes(4)) + SYNC

STATEMENTS = {
    "begin": "BEGIN",
    "account": "UPDATE pgbench_accounts SET abalance = abalance + $1 WHERE aid = $2",
    "read": "SELECT abalance FROM pgbench_accounts WHERE aid = $1",
    "teller": "UPDATE pgbench_tellers SET tbalance = tbalance + $1 WHERE tid = $2",
    "branch": "UPDATE pgbench_branches SET bbalance = bbalance + $1 WHERE bid = $2",
    "history": "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES ($1, $2, $3, $4, CURRENT_TIMESTAMP)",
    "commit": "END",
}
SCRIPTS = {
    "select-only": ("read",),
    "simple-update": ("begin", "account", "read", "history", "commit"),
    "tpcb-like": ("begin", "account", "read", "teller", "branch", "history", "commit"),
}


class Client:
    """A virtual client: the transport of one connection, and what it sends next."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.connection: PostgresConnection | None = None
        self.received = b""
        self.steps: list[str] = []
        self.values: dict[str, tuple[int, ...]] = {}
        self.on_ready: Callable[[], None] = lambda: None

    # the transport
    def write(self, data: bytes) -> None:
        if data[-6:-1] == b"Z\0\0\0\x05":
            self.received = data
            self.bench.loop.call_soon(self.on_ready)

    def set_protocol(self, protocol: object) -> None: ...

    def set_write_buffer_limits(self, high: int) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0

    def close(self) -> None: ...

    # the client
    def send(self, data: bytes) -> None:
        assert self.connection is not None
        self.connection.data_received(data)

    def next(self) -> None:
        bench = self.bench
        if b"E\0" in self.received[:2]:
            raise RuntimeError(f"{self.received!r}")
        if not self.steps:
            if self.values:
                bench.done += 1
            if bench.stopping:
                bench.left -= 1
                if not bench.left:
                    bench.finished.set_result(None)
                return
            if b"E" in self.received[:1]:
                bench.retried += 1
            draw = bench.random.randrange
            aid, bid, tid = draw(bench.accounts) + 1, draw(bench.scale) + 1, draw(bench.scale * 10) + 1
            delta = draw(-5000, 5000)
            self.values = {
                "account": (delta, aid),
                "read": (aid,),
                "teller": (delta, tid),
                "branch": (delta, bid),
                "history": (tid, bid, aid, delta),
            }
            self.steps = list(bench.script)
        step = self.steps.pop(0)
        values = [str(value).encode() for value in self.values.get(step, ())]
        body = b"\0" + step.encode() + b"\0\0\0" + struct.pack("!H", len(values))
        body += b"".join([struct.pack("!i", len(value)) + value for value in values]) + b"\0\1\0\0"
        self.send(message(b"B", body) + TAIL)


class Bench:
    """One node and its virtual clients."""

    def __init__(self, node: Node, scale: int, clients: int) -> None:
        self.loop = asyncio.get_running_loop()
        self.node = node
        self.scale = scale
        self.accounts = scale * 100_000
        self.random = random.Random(7)
        self.script: tuple[str, ...] = ()
        self.done = self.retried = self.left = 0
        self.stopping = False
        self.clients = [Client(self) for _ in range(clients)]
        for number, client in enumerate(self.clients):
            startup = Startup("postgres", "postgres", process_id=number + 1)
            client.connection = PostgresConnection(
                client,
                startup,
                number,
                node.listener.registry,
                WireLimits(),
                None,
                lambda connection: None,
                LoopTurn(self.loop),
            )
            client.connection.start(node.gateway.open_session, b"")

    async def call(self, client: Client, data: bytes) -> bytes:
        """Send messages and return the reply."""
        answered = self.loop.create_future()
        client.on_ready = lambda: answered.set_result(None)
        client.send(data)
        await answered
        assert client.received[:1] != b"E", client.received
        return client.received

    async def prepare(self) -> None:
        """Tables and prepared statements."""
        for sql in (
            "create table pgbench_branches (bid int primary key, bbalance int, filler char(88))",
            "create table pgbench_tellers (tid int primary key, bid int, tbalance int, filler char(84))",
            "create table pgbench_accounts (aid int primary key, bid int, abalance int, filler char(84))",
            "create table pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22))",
            f"insert into pgbench_branches select n, 0, '' from generate_series(1, {self.scale}) n",
            f"insert into pgbench_tellers select n, n/10, 0, '' from generate_series(1, {self.scale * 10}) n",
            f"insert into pgbench_accounts select n, n/100000, 0, '' from generate_series(1, {self.accounts}) n",
        ):
            await self.call(self.clients[0], message(b"Q", sql.encode() + b"\0"))
        for client in self.clients:
            for name, sql in STATEMENTS.items():
                await self.call(client, message(b"P", f"{name}\0{sql}\0\0\0".encode()) + SYNC)

    async def run(self, script: str, seconds: float) -> tuple[int, float, float]:
        """(transactions, their processor µs in the loop's thread, all processor µs of the process)."""
        self.script = SCRIPTS[script]
        self.done = self.retried = 0
        self.stopping = False
        self.left = len(self.clients)
        self.finished = self.loop.create_future()
        usage = resource.getrusage(resource.RUSAGE_SELF)
        began = thread_time()
        for client in self.clients:
            client.on_ready = client.next
            client.steps, client.values, client.received = [], {}, b""
            self.loop.call_soon(client.next)
        self.loop.call_later(seconds, setattr, self, "stopping", True)
        await self.finished
        own = thread_time() - began
        after = resource.getrusage(resource.RUSAGE_SELF)
        total = after.ru_utime + after.ru_stime - usage.ru_utime - usage.ru_stime
        return self.done, own * 1e6 / self.done, total * 1e6 / self.done


async def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", type=int, default=10)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--scripts", nargs="+", default=list(SCRIPTS))
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        node = Node(Config(data_directory=str(Path(directory) / "data"), pg_port=0, http_port=0))
        await node.start()
        tune_garbage_collection()
        bench = Bench(node, arguments.scale, arguments.clients)
        await bench.prepare()
        for script in arguments.scripts:
            profile = cProfile.Profile() if arguments.profile else None
            began = perf_counter()
            if profile is not None:
                profile.enable()
            count, own, total = await bench.run(script, arguments.seconds)
            if profile is not None:
                profile.disable()
            print(
                f"{script:14} {count / (perf_counter() - began):8.0f}/s   loop {own:7.1f} µs   process {total:7.1f} µs   "
                f"retried {100 * bench.retried / count:4.1f} %",
                flush=True,
            )
            if profile is not None:
                pstats.Stats(profile).sort_stats("tottime").print_stats(110)
        await node.stop()


if __name__ == "__main__":
    uvloop.run(main())
