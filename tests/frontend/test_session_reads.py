"""Which whole segments ask for a strong read: those that would fix a snapshot, and no others.

Method: a real node and a real session on one connection, with a transport that collects, and barriers that the test answers.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from deploy.config import Config
from deploy.node import Node
from frontend.wire.connection import PostgresConnection
from frontend.wire.limits import WireLimits
from frontend.wire.messages import message
from frontend.wire.session_contract import Startup
from frontend.wire.turn import LoopTurn
from tests.frontend.wire.test_reads import Barriers, Transport

SYNC = message(b"S", b"")


def segment(name: str) -> bytes:
    bind = message(b"B", b"\0" + name.encode() + b"\0" + bytes(6))
    return bind + message(b"D", b"P\0") + message(b"E", bytes(5)) + SYNC


class Client:
    def __init__(self, node: Node) -> None:
        assert node.listener is not None
        assert node.gateway is not None
        self.transport = Transport()
        self.barriers = Barriers()
        self.barriers.waits = False
        startup = Startup("postgres", "postgres")
        self.connection = PostgresConnection(
            self.transport,
            startup,
            1,
            node.listener.registry,
            WireLimits(),
            None,
            lambda _: None,
            LoopTurn(asyncio.get_running_loop()),
        )
        self.connection.start(node.gateway.open_session, b"")
        session = self.connection.session
        assert session is not None
        session.reads = self.connection._reads = self.barriers

    async def send(self, data: bytes, awaited: int = 0) -> str:
        """The types of the messages that come back: at once, or, with `awaited`, until there are so many ReadyForQuery."""
        self.transport.written = b""
        self.connection.data_received(data)
        for _ in range(500 if awaited else 2):
            await asyncio.sleep(0.01 if awaited else 0)
            if awaited and self.kinds().count("Z") == awaited:
                break
        return self.kinds()

    def kinds(self) -> str:
        data, kinds = self.transport.written, ""
        while data:
            kinds += chr(data[0])
            data = data[1 + struct.unpack("!I", data[1:5])[0] :]
        return kinds


def run(directory: Path, work: Callable[[Client], Awaitable[None]]) -> None:
    async def main() -> None:
        node = Node(Config(data_directory=str(directory / "data"), pg_port=0, http_port=0))
        await node.start()
        client = Client(node)
        await client.send(message(b"Q", b"create table t (a int primary key, b int)\0"), 1)
        await client.send(message(b"Q", b"insert into t values (1, 0)\0"), 1)
        for name, sql in (
            ("begin", "begin"),
            ("read", "select b from t where a = 1"),
            ("write", "update t set b = b + 1 where a = 1"),
            ("commit", "commit"),
        ):
            assert await client.send(message(b"P", f"{name}\0{sql}\0\0\0".encode()) + SYNC, 1) == "1Z"
        await work(client)
        await node.stop()

    uvloop.run(main())


def test_a_segment_asks_where_it_would_fix_the_snapshot(tmp_path: Path) -> None:
    async def work(client: Client) -> None:
        barriers = client.barriers
        for _ in range(3):  # the first time a segment is gathered, then it is known
            assert await client.send(segment("read"), 1) == "2TDCZ"
            barriers.waits = True
            assert await client.send(segment("read")) == ""
            barriers.answer()
            await asyncio.sleep(0.01)
            assert client.kinds() == "2TDCZ"
            # BEGIN fixes nothing; the block's first statement does, and what follows stays there.
            assert (await client.send(segment("begin")), barriers.asked) == ("2nCZ", [])
            assert await client.send(segment("write")) == ""
            barriers.answer()
            await asyncio.sleep(0.01)
            assert client.kinds() == "2nCZ"
            assert (await client.send(segment("read")), barriers.asked) == ("2TDCZ", [])
            assert (await client.send(segment("commit"), 1), barriers.asked) == ("2nCZ", [])
            barriers.waits = False

    run(tmp_path, work)
