"""Hostile bytes on both listeners of a real node: nothing crashes, nothing leaks, nobody else notices.

Method: valid conversations (every PostgreSQL frontend message; HTTP requests) are mutated (bits flipped, pieces cut, repeated,
exchanged, lengths replaced, random bytes put in) or replaced by random bytes, sent whole, and the answer is read to its end. While
that goes on, other sessions ask questions whose answers are known and must come in time. In the end the process is the same one,
every stranger's session is gone, its memory has not grown, and its log holds no traceback. Five seconds each in `make test`, sixty
with BOREAL_SOAK; the seed is printed, and FUZZ_SEED repeats a run.
"""

from __future__ import annotations

import json
import os
import random
import socket
import struct
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator

import psycopg
import pytest

from tests.server import Server

SECONDS = 60.0 if os.environ.get("BOREAL_SOAK") else 5.0
ANSWER_SECONDS_MAX = 2.0
GROWTH_BYTES_MAX = 24 << 20
REPLY_SECONDS_MAX = 5.0

pytestmark = [pytest.mark.xdist_group("fuzz"), pytest.mark.timeout(int(SECONDS) * 2 + 120)]


def message(kind: str, body: bytes) -> bytes:
    return kind.encode() + struct.pack(">i", len(body) + 4) + body


def text(*values: str) -> bytes:
    return b"".join(value.encode() + b"\0" for value in values)


def startup(*parameters: str) -> bytes:
    body = struct.pack(">i", 196608) + text(*parameters) + b"\0"
    return struct.pack(">i", len(body) + 4) + body


def bind(portal: str, statement: str, *values: bytes | None, format: int = 0) -> bytes:
    body = text(portal, statement) + struct.pack(">hhh", 1, format, len(values))
    for value in values:
        body += struct.pack(">i", -1) if value is None else struct.pack(">i", len(value)) + value
    return message("B", body + struct.pack(">hh", 1, format))


def parse(name: str, sql: str, *types: int) -> bytes:
    return message("P", text(name, sql) + struct.pack(f">h{len(types)}i", len(types), *types))


SYNC, FLUSH, TERMINATE = message("S", b""), message("H", b""), message("X", b"")
EXECUTE = message("E", text("") + struct.pack(">i", 0))

QUERIES = (
    "SELECT 1",
    "SELECT id, name, amount FROM fuzzed WHERE id = 7",
    "INSERT INTO fuzzed VALUES (1000001, 'x', 1.5) ON CONFLICT DO NOTHING; DELETE FROM fuzzed WHERE id > 1000",
    "BEGIN; SAVEPOINT a; SELECT count(*) FROM fuzzed; ROLLBACK TO a; COMMIT",
    "SELECT a.id, sum(b.amount) OVER (ORDER BY a.id) FROM fuzzed a JOIN fuzzed b USING (id) WHERE a.name LIKE '%1%'",
    "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT array_agg(n) FROM r",
    "SELECT date '2026-11-23' + interval '1 month', '{1,2,3}'::int[], '{\"a\": [1, 2]}'::jsonb -> 'a', 1.5::numeric(5,2)",
    "SET statement_timeout = '2s'; SHOW all",
    "DECLARE c CURSOR WITH HOLD FOR SELECT * FROM fuzzed; FETCH 3 FROM c; CLOSE c",
    "SELECT relname FROM pg_class WHERE relkind = 'r' ORDER BY 1",
    "EXPLAIN SELECT * FROM fuzzed WHERE id BETWEEN 1 AND 3",
    "COPY fuzzed TO STDOUT",
)

# Mutated queries may well be endless: the node ends them.
START = startup("user", "postgres", "database", "postgres", "options", "-c statement_timeout=500 -c work_mem=8MB")

CONVERSATIONS: tuple[list[bytes], ...] = (
    *([START, message("Q", text(sql)), TERMINATE] for sql in QUERIES),
    [
        START,
        parse("s", "SELECT id, name FROM fuzzed WHERE id = $1 AND name <> $2", 23, 25),
        message("D", b"S" + text("s")),
        bind("", "s", b"5", b"x"),
        message("D", b"P" + text("")),
        EXECUTE,
        bind("", "s", struct.pack(">i", 5), b"x", format=1),
        EXECUTE,
        message("C", b"S" + text("s")),
        SYNC,
        TERMINATE,
    ],
    [
        START,
        parse("", "INSERT INTO fuzzed VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE SET amount = excluded.amount"),
        bind("", "", b"900", b"name", b"12.50"),
        EXECUTE,
        FLUSH,
        SYNC,
        message("Q", text("DELETE FROM fuzzed WHERE id >= 900")),
        TERMINATE,
    ],
    [
        START,
        message("Q", text("COPY fuzzed FROM STDIN")),
        message("d", b"800\tcopied\t1.25\n801\t\\N\t2\n"),
        message("c", b""),
        message("Q", text("COPY fuzzed FROM STDIN (FORMAT csv)")),
        message("d", b'802,"quo""ted",3\n'),
        message("f", text("enough")),
        TERMINATE,
    ],
    [START, message("F", struct.pack(">ihhhih", 1598, 1, 1, 0, 0, 1)), SYNC, TERMINATE],
    [START, message("p", text("password")), SYNC],
    [struct.pack(">ii", 8, 80877103), START, message("Q", text("SELECT 1"))],
    [struct.pack(">ii", 8, 80877104), START],
    [struct.pack(">iiii", 16, 80877102, 1234, 5678)],
    [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(64))],
    [startup("user", "nobody", "database", "nothing", "options", "-c geqo=off", "replication", "database")],
)

REQUESTS: tuple[list[bytes], ...] = (
    [b"GET /status HTTP/1.1\r\n", b"Host: localhost\r\n", b"Accept: */*\r\n", b"\r\n"],
    [b"GET /metrics HTTP/1.1\r\n", b"Host: localhost\r\n", b"Accept-Encoding: gzip\r\n", b"Connection: close\r\n\r\n"],
    [b"POST /ready HTTP/1.1\r\n", b"Host: x\r\n", b"Content-Length: 10\r\n", b"\r\n", b"0123456789"],
    [b"PUT /health HTTP/1.1\r\n", b"Transfer-Encoding: chunked\r\n", b"\r\n", b"5\r\nabcde\r\n", b"0\r\n\r\n"],
    [b"GET /health HTTP/1.1\r\n", b"Upgrade: websocket\r\n", b"Connection: Upgrade\r\n", b"\r\n"],
)

LENGTHS = (0, 1, 3, 4, 5, 0x7F, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 24, 1 << 30)


def mutate(pieces: list[bytes], chance: random.Random) -> bytes:
    """One hostile stream."""
    if chance.random() < 0.1:
        return chance.randbytes(chance.choice((1, 4, 8, 100, 5000)))
    pieces = list(pieces)
    for _ in range(chance.choice((0, 1, 1, 2, 3))):
        place, other = chance.randrange(len(pieces)), chance.randrange(len(pieces))
        match chance.randrange(5):
            case 0:
                pieces[place], pieces[other] = pieces[other], pieces[place]
            case 1:
                pieces.insert(place, pieces[other] * chance.choice((1, 2, 50)))
            case 2 if len(pieces) > 1:
                del pieces[place]
            case 3:
                pieces.insert(place, chance.randbytes(chance.randrange(40)))
            case _:
                data = bytearray(pieces[place])
                if len(data) >= 5:
                    struct.pack_into(">I", data, chance.choice((0, 1)), chance.choice(LENGTHS))
                    pieces[place] = bytes(data)
    data = bytearray(b"".join(pieces))
    for _ in range(chance.choice((0, 0, 1, 2, 8))):
        if data:
            data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data[: chance.randrange(len(data) + 1)] if chance.random() < 0.2 else data)


def send(port: int, data: bytes, chance: random.Random) -> None:
    """One stranger: everything at once or in pieces, then wait for the end."""
    with socket.create_connection(("127.0.0.1", port), timeout=REPLY_SECONDS_MAX) as stranger:
        try:
            if chance.random() < 0.3 and len(data) > 2:
                cut = chance.randrange(1, len(data))
                stranger.sendall(data[:cut])
                time.sleep(0.001)
                data = data[cut:]
            stranger.sendall(data)
            if chance.random() < 0.1:
                return  # gone without a word
            stranger.shutdown(socket.SHUT_WR)
            while stranger.recv(65536):
                pass
        except TimeoutError:
            print(f"still busy after {REPLY_SECONDS_MAX} s: {data!r}")  # an endless query without its timeout; we leave
        except OSError:
            pass  # the node has closed the connection already


class Witness(threading.Thread):
    """A well-behaved session beside the strangers: right answers, in time."""

    def __init__(self, server: Server, number: int) -> None:
        super().__init__(daemon=True)
        self.server = server
        self.number = number
        self.stopping = False
        self.error: BaseException | None = None
        self.slowest_seconds = 0.0
        self.answers = 0

    def run(self) -> None:
        try:
            with self.server.connect() as connection:
                while not self.stopping:
                    began = time.perf_counter()
                    found = connection.execute("SELECT sum(id) FROM witness WHERE id <= %s", (self.number,)).fetchone()
                    connection.execute("UPDATE witness SET seen = seen + 1 WHERE id = %s", (self.number,))
                    self.slowest_seconds = max(self.slowest_seconds, time.perf_counter() - began)
                    assert found == (self.number * (self.number + 1) // 2,)
                    self.answers += 1
                    time.sleep(0.01)
                assert connection.execute("SELECT seen FROM witness WHERE id = %s", (self.number,)).fetchone() == (
                    self.answers,
                )
        except BaseException as error:
            self.error = error


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(log_level="info") as running:
        with running.connect() as connection:
            connection.execute("CREATE TABLE fuzzed (id int PRIMARY KEY, name text, amount numeric)")
            connection.execute("INSERT INTO fuzzed SELECT i, 'name ' || i, i * 1.5 FROM generate_series(1, 50) i")
            connection.execute("CREATE TABLE witness (id int PRIMARY KEY, seen int NOT NULL)")
            connection.execute("INSERT INTO witness SELECT i, 0 FROM generate_series(1, 100) i")
        yield running


def status(server: Server) -> dict[str, object]:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.http_port}/status", timeout=5) as response:
        report: dict[str, object] = json.load(response)
    return report


def fuzz(server: Server, stream: Callable[[random.Random], bytes], port: int) -> None:
    """Strangers for SECONDS, witnesses beside them, then the books."""
    seed = int(os.environ.get("FUZZ_SEED") or random.randrange(1 << 32))
    print("FUZZ_SEED =", seed)
    chance = random.Random(seed)
    assert server.process is not None
    process = server.process.pid
    log_before = len(server.log.read_text())
    for _ in range(300):  # caches fill before memory is measured
        send(port, stream(chance), chance)
    before = server.resident_bytes
    with server.connect() as connection:
        connection.execute("UPDATE witness SET seen = 0")
    witnesses = [Witness(server, number) for number in (10, 20, 30)]
    for witness in witnesses:
        witness.start()
    end = time.monotonic() + SECONDS
    count = 0
    try:
        while time.monotonic() < end:
            send(port, stream(chance), chance)
            count += 1
    finally:
        for witness in witnesses:
            witness.stopping = True
        for witness in witnesses:
            witness.join(10)
    for witness in witnesses:
        assert witness.error is None, witness.error
        assert witness.answers > 20
        assert witness.slowest_seconds < ANSWER_SECONDS_MAX
    after = server.resident_bytes
    slowest = max(witness.slowest_seconds for witness in witnesses)
    print(
        f"{count} streams; slowest answer to others {slowest * 1000:.0f} ms; memory {before >> 20} → {after >> 20} MiB"
    )
    assert server.process.poll() is None
    assert server.process.pid == process
    assert after - before < GROWTH_BYTES_MAX
    deadline = time.monotonic() + 10  # for those that left while their query ran, too
    while status(server)["sessions"] != 0:
        assert time.monotonic() < deadline, status(server)
        time.sleep(0.05)
    tracebacks = server.log.read_text()[log_before:].split("Traceback")[1:]
    if tracebacks:
        pytest.fail(
            f"{len(tracebacks)} tracebacks in the log:\n" + "\n\n".join(each[:3000] for each in tracebacks[:10])
        )


def test_postgresql_listener(server: Server) -> None:
    fuzz(server, lambda chance: mutate(chance.choice(CONVERSATIONS), chance), server.port)


def test_http_listener(server: Server) -> None:
    fuzz(server, lambda chance: mutate(chance.choice(REQUESTS), chance), server.http_port)


def test_answers_are_still_right(server: Server) -> None:
    """After the above: one whole program by a well-behaved client."""
    with server.connect() as connection:
        found = connection.execute("SELECT count(*), sum(amount) FROM fuzzed WHERE id BETWEEN 1 AND 50").fetchone()
        assert found is not None
        with pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("SELECT * FROM nowhere")
