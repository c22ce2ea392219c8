"""Strong reads at the connection: a message that needs a snapshot waits for the barrier, in order, and nothing else does.

Method: a real connection and a session that answers trivially, a transport that collects, and barriers that the test answers.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import Any

import pytest

from frontend.errors import SqlError
from frontend.reads import BarrierDone
from frontend.wire.cancellation import CancelRegistry
from frontend.wire.connection import PostgresConnection
from frontend.wire.limits import WireLimits
from frontend.wire.messages import message
from frontend.wire.session_contract import Startup
from frontend.wire.turn import LoopTurn
from tests.frontend.wire.trivial_session import TrivialSession

QUERY = message(b"Q", b"select 1\0")
PARSE = message(b"P", b"s\0select 1\0\0\0")
PARSE_OTHER = message(b"P", b"other\0select 1\0\0\0")
BIND = message(b"B", b"\0s\0" + bytes(6))
DESCRIBE = message(b"D", b"P\0")
DESCRIBE_STATEMENT = message(b"D", b"Ss\0")
EXECUTE = message(b"E", bytes(5))
FLUSH = message(b"H", b"")
SYNC = message(b"S", b"")


class Barriers:
    """Strong reads whose answers the test gives."""

    path = "index"
    clock_trusted = False

    def __init__(self) -> None:
        self.waits = True
        self.asked: list[BarrierDone] = []

    def barrier(self, done: BarrierDone) -> None:
        self.asked.append(done)

    def answer(self, error: SqlError | None = None) -> None:
        self.asked.pop(0)(error)


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None: ...

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0

    def close(self) -> None: ...


class Segments(TrivialSession):
    """Answers whole segments too."""

    def run_segment(self, body: bytes, described: bool, *, permitted: bool) -> bytes | None:
        if not permitted and self.transaction is None and self.reads.waits:
            return None
        self.log.append("segment")
        return b""


class Connected:
    def __init__(self, factory: Callable[[Any], TrivialSession] = TrivialSession) -> None:
        self.transport = Transport()
        self.barriers = Barriers()
        self.connection = PostgresConnection(
            self.transport,
            Startup("postgres", "postgres"),
            1,
            CancelRegistry(),
            WireLimits(),
            None,
            lambda _: None,
            LoopTurn(asyncio.get_running_loop()),
        )

        def make(connection: Any) -> TrivialSession:
            self.session = factory(connection)
            self.session.reads = self.barriers
            return self.session

        self.connection.start(make, b"")

    async def send(self, data: bytes) -> str:
        """The types of the messages that come back at once."""
        self.connection.data_received(data)
        return await self.received()

    async def send_granted(self, data: bytes) -> str:
        """What comes back when the one barrier that this asks for is answered."""
        assert await self.send(data) == ""
        self.barriers.answer()
        received = await self.received()
        assert self.barriers.asked == []
        return received

    async def received(self) -> str:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        data, self.transport.written = self.transport.written, b""
        kinds = ""
        while data:
            kinds += chr(data[0])
            data = data[1 + struct.unpack("!I", data[1:5])[0] :]
        return kinds


def run(work: Callable[[], Any]) -> None:
    asyncio.run(work())


@pytest.mark.parametrize("statement", [QUERY, BIND + DESCRIBE + EXECUTE + SYNC], ids=["simple", "extended"])
def test_a_grant_is_for_one_statement_even_if_nothing_had_to_be_asked_meanwhile(statement: bytes) -> None:
    """By the clock, whether there is something to ask changes from one message to the next."""

    async def work() -> None:
        client = Connected()
        await client.received()
        await client.send_granted(PARSE + SYNC)
        await client.send(statement)
        assert len(client.barriers.asked) == 1
        client.barriers.waits = False
        client.barriers.answer()
        assert (await client.received()).endswith("Z")
        client.barriers.waits = True
        assert "Z" not in await client.send(statement)
        assert len(client.barriers.asked) == 1

    run(work)


def test_a_query_waits_for_its_barrier_and_what_follows_waits_behind_it() -> None:
    async def work() -> None:
        client = Connected()
        await client.received()
        assert await client.send(QUERY + QUERY) == ""
        assert await client.send(QUERY) == ""
        assert len(client.barriers.asked) == 1
        client.barriers.answer()
        assert await client.received() == "TDCZ"
        assert len(client.barriers.asked) == 1  # each query asks for itself
        client.barriers.answer()
        client.barriers.answer()
        assert await client.received() == "TDCZTDCZ"
        client.barriers.waits = False
        assert await client.send(QUERY) == "TDCZ"

    run(work)


def test_a_refused_barrier_is_the_messages_error() -> None:
    async def work() -> None:
        client = Connected()
        await client.received()
        assert await client.send(QUERY + QUERY) == ""
        client.barriers.answer(SqlError("57P03", "there is no majority"))
        assert await client.received() == "EZ"
        client.barriers.answer()
        assert await client.received() == "TDCZ"
        assert await client.send(PARSE + BIND + EXECUTE + SYNC) == ""
        client.barriers.answer(SqlError("57P03", "there is no majority"))
        assert await client.received() == "EZ"
        assert client.barriers.asked == []

    run(work)


def test_one_barrier_serves_bind_and_its_execute() -> None:
    async def work() -> None:
        client = Connected()
        await client.received()
        assert await client.send_granted(PARSE + SYNC) == "1Z"
        assert await client.send(BIND + DESCRIBE + EXECUTE + BIND + EXECUTE + SYNC) == ""
        client.barriers.answer()
        assert await client.received() == "2TDC"
        client.barriers.answer()
        assert await client.received() == "2DCZ"
        assert client.barriers.asked == []

    run(work)


def test_one_barrier_serves_a_parse_and_the_statement_that_came_with_it() -> None:
    async def work() -> None:
        client = Connected()
        await client.received()
        assert await client.send_granted(PARSE + BIND + DESCRIBE + EXECUTE + SYNC) == "12TDCZ"
        assert await client.send_granted(PARSE_OTHER + DESCRIBE_STATEMENT + SYNC) == "1tTZ"
        assert await client.send_granted(DESCRIBE_STATEMENT + SYNC) == "tTZ"

    run(work)


@pytest.mark.parametrize("end", [b"", FLUSH, SYNC], ids=["alone", "flushed", "synced"])
def test_a_parse_that_came_before_its_bind_was_sent_grants_it_nothing(end: bytes) -> None:
    """The client may have learned of a commit elsewhere between the two."""

    async def work() -> None:
        client = Connected()
        await client.received()
        assert (await client.send_granted(PARSE + end)).startswith("1")
        assert await client.send_granted(BIND + EXECUTE + SYNC) == "2DCZ"

    run(work)


def test_what_comes_while_a_parse_asks_asks_for_itself() -> None:
    async def work() -> None:
        client = Connected()
        await client.received()
        assert await client.send(PARSE) == ""
        assert await client.send(BIND + EXECUTE + SYNC) == ""
        client.barriers.answer()
        assert await client.received() == "1"
        client.barriers.answer()
        assert await client.received() == "2DCZ"
        assert client.barriers.asked == []

    run(work)


def test_a_bind_whose_execute_comes_later_is_granted_alone() -> None:
    async def work() -> None:
        client = Connected()
        await client.received()
        await client.send_granted(PARSE + SYNC)
        assert await client.send_granted(BIND) == "2"
        assert await client.send_granted(EXECUTE + SYNC) == "DCZ"

    run(work)


def test_each_segment_asks() -> None:
    async def work() -> None:
        client = Connected(Segments)
        await client.received()
        for _ in range(3):
            assert await client.send(BIND + DESCRIBE + EXECUTE + SYNC) == ""
            client.barriers.answer()
            assert await client.received() == "Z"
        assert client.session.log == ["segment"] * 3

    run(work)


@pytest.mark.parametrize("error", [None, SqlError("57P03", "too late")])
def test_an_answer_after_the_end_is_ignored(error: SqlError | None) -> None:
    async def work() -> None:
        client = Connected()
        await client.received()
        await client.send(QUERY)
        client.connection.connection_lost(None)
        client.barriers.answer(error)
        assert await client.received() == ""

    run(work)


def test_a_segment_within_a_transaction_asks_nobody() -> None:
    async def work() -> None:
        client = Connected(Segments)
        await client.received()
        client.session.transaction = object()
        assert await client.send(BIND + DESCRIBE + EXECUTE + SYNC) == "Z"
        client.session.transaction = None
        assert await client.send_granted(BIND + DESCRIBE + EXECUTE + SYNC) == "Z"
        assert client.session.log == ["segment"] * 2

    run(work)
