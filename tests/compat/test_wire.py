"""The extended protocol, message for message.

Goal: what drivers rely on between the lines (order of replies, suspended portals, what an error skips, what Describe says, how
long statements and portals live) is PostgreSQL's. Method: the same messages go to both servers over sockets of their own; the
replies must be equal in order, type and content, but for OIDs of user tables and PostgreSQL's source lines.
"""

from __future__ import annotations

import itertools
import re
import socket
import struct
from collections.abc import Iterator, Sequence

import pytest

from tests.oracle import Oracle
from tests.server import Server

Reply = tuple[str, object]

SETUP = (
    "DROP SCHEMA IF EXISTS wire CASCADE; CREATE SCHEMA wire; SET search_path = wire;"
    "CREATE TABLE t (id int PRIMARY KEY, name varchar(20), amount numeric(8,2), made date DEFAULT '2024-01-01');"
    "INSERT INTO t SELECT i, 'n' || i, i * 1.5 FROM generate_series(1, 5) i;"
    "CREATE TABLE later (id int PRIMARY KEY, t int REFERENCES t DEFERRABLE INITIALLY DEFERRED)"
)


def text(value: str) -> bytes:
    """A zero-terminated string."""
    return value.encode() + b"\0"


def message(kind: bytes, body: bytes = b"") -> bytes:
    """One frontend message."""
    return kind + struct.pack("!i", len(body) + 4) + body


def query(sql: str) -> bytes:
    """Query."""
    return message(b"Q", text(sql))


def parse(sql: str, name: str = "", types: Sequence[int] = ()) -> bytes:
    """Parse."""
    return message(b"P", text(name) + text(sql) + struct.pack(f"!h{len(types)}I", len(types), *types))


def bind(
    *values: bytes | None,
    portal: str = "",
    name: str = "",
    formats: Sequence[int] = (),
    results: Sequence[int] = (),
) -> bytes:
    """Bind."""
    body = text(portal) + text(name) + struct.pack(f"!h{len(formats)}h", len(formats), *formats)
    body += struct.pack("!h", len(values))
    for value in values:
        body += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
    return message(b"B", body + struct.pack(f"!h{len(results)}h", len(results), *results))


def describe(what: str, name: str = "") -> bytes:
    """Describe of a statement (S) or a portal (P)."""
    return message(b"D", what.encode() + text(name))


def execute(portal: str = "", rows: int = 0) -> bytes:
    """Execute."""
    return message(b"E", text(portal) + struct.pack("!i", rows))


def close(what: str, name: str = "") -> bytes:
    """Close of a statement (S) or a portal (P)."""
    return message(b"C", what.encode() + text(name))


SYNC = message(b"S")
FLUSH = message(b"H")


def run(sql: str, *values: bytes | None) -> bytes:
    """Parse, Bind, Describe, Execute."""
    return parse(sql) + bind(*values) + describe("P") + execute()


class Wire:
    """A raw connection."""

    def __init__(self, address: str | tuple[str, int]) -> None:
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(20)
        self.socket.connect(address)
        self.buffer = b""
        body = struct.pack("!i", 196608) + text("user") + text("postgres") + text("database") + text("postgres") + b"\0"
        self.socket.sendall(struct.pack("!i", len(body) + 4) + body)
        self.until_ready()

    def read(self) -> tuple[str, bytes]:
        """One backend message."""
        while len(self.buffer) < 5 or len(self.buffer) < 1 + struct.unpack_from("!i", self.buffer, 1)[0]:
            data = self.socket.recv(65536)
            assert data, "the server closed the connection"
            self.buffer += data
        length = struct.unpack_from("!i", self.buffer, 1)[0]
        kind, body = chr(self.buffer[0]), self.buffer[5 : 1 + length]
        self.buffer = self.buffer[1 + length :]
        return kind, body

    def until_ready(self) -> list[Reply]:
        """Replies up to ReadyForQuery, in comparable form."""
        replies: list[Reply] = []
        while True:
            kind, body = self.read()
            replies.append((kind, readable(kind, body)))
            if kind == "Z":
                return in_order(replies)

    def ask(self, *steps: bytes) -> list[Reply]:
        """Send each step whole, collect the replies to all of them: one ReadyForQuery for each Sync and Query in them."""
        replies: list[Reply] = []
        for step in steps:
            self.socket.sendall(step)
            for _ in range(ready_count(step)):
                replies += self.until_ready()
        return replies

    def close(self) -> None:
        """Terminate."""
        self.socket.sendall(message(b"X"))
        self.socket.close()


def in_order(replies: list[Reply]) -> list[Reply]:
    """Neighbouring ParameterStatus messages in order of name: PostgreSQL sends them in no particular one."""
    ordered: list[Reply] = []
    for kind, run_of in itertools.groupby(replies, key=lambda reply: reply[0]):
        group = list(run_of)
        ordered += sorted(group, key=repr) if kind == "S" else group
    return ordered


def ready_count(step: bytes) -> int:
    """How many ReadyForQuery messages a step brings."""
    count = place = 0
    while place < len(step):
        count += step[place : place + 1] in (b"S", b"Q")
        place += 1 + struct.unpack_from("!i", step, place + 1)[0]
    return count


def readable(kind: str, body: bytes) -> object:
    """A reply's content without what differs between servers."""
    if kind in "EN":
        fields = {chr(field[0]): field[1:].decode() for field in body.rstrip(b"\0").split(b"\0")}
        if fields.get("W", "").startswith("COPY "):  # where in the input: tests/compat/sql compares it
            del fields["W"]
        return {name: value for name, value in fields.items() if name not in "FLR"}
    if kind == "T":
        count = struct.unpack_from("!h", body)[0]
        place, columns = 2, []
        for _ in range(count):
            end = body.index(b"\0", place)
            table, *rest = struct.unpack_from("!IhIhih", body, end + 1)
            columns.append((body[place:end].decode(), min(table, 16384), *rest))
            place = end + 19
        return columns
    if kind == "S":
        return re.sub(rb"16\.\d+.*", b"16", body)
    return body


@pytest.fixture
def wires(boreal: Server, oracle: Oracle) -> Iterator[tuple[Wire, Wire]]:
    """Connections to both servers, with the schema made anew."""
    pair = Wire(("127.0.0.1", boreal.port)), Wire(f"{oracle.directory}/.s.PGSQL.5432")
    for wire in pair:
        replies = wire.ask(query(SETUP))
        assert not [reply for reply in replies if reply[0] == "E"], replies
    yield pair
    for wire in pair:
        wire.close()


SELECT_ALL = "SELECT id, name FROM t ORDER BY id"
DIVISION = "SELECT 1 / (id - 3) FROM t WHERE id = 3"
"""Fails when it runs; PostgreSQL folds 1/0 and fails in Bind."""

CONVERSATIONS: dict[str, Sequence[bytes]] = {
    "suspended": [
        parse(SELECT_ALL) + bind() + execute(rows=2) + execute(rows=2) + execute(rows=2) + execute() + SYNC,
        parse(SELECT_ALL) + bind() + execute(rows=5) + execute(rows=5) + SYNC,
        parse(SELECT_ALL) + bind() + execute(rows=4) + SYNC + execute() + SYNC,
    ],
    "suspended_in_a_block": [
        query("BEGIN"),
        parse(SELECT_ALL) + bind(portal="p") + execute("p", 2) + SYNC,
        execute("p", 2) + SYNC,
        parse("SELECT 1") + bind() + execute() + execute("p", 2) + SYNC,
        query("COMMIT"),
        execute("p") + SYNC,
    ],
    "returning_runs_once": [
        parse("INSERT INTO t (id) SELECT i FROM generate_series(10, 14) i RETURNING id") + bind() + execute(rows=2)
        + execute(rows=2) + execute() + SYNC,
        query("SELECT count(*) FROM t"),
        parse("UPDATE t SET name = 'x' RETURNING id") + bind() + execute(rows=1) + SYNC,
        query("SELECT count(*) FROM t WHERE name = 'x'"),
    ],
    "describe": [
        parse(sql, "s") + describe("S", "s") + bind(*[None] * sql.count("$"), portal="p", name="s") + describe("P", "p")
        + close("S", "s") + close("P", "p") + SYNC
        for sql in (
            "SELECT * FROM t", "SELECT id + $1, name || $2 FROM t WHERE made > $3 LIMIT $4", "INSERT INTO t VALUES ($1, $2, $3)",
            "INSERT INTO t VALUES ($1, $2) RETURNING *", "UPDATE t SET amount = $1 WHERE id = $2", "DELETE FROM t WHERE name = $1",
            "SHOW timezone", "SHOW ALL", "BEGIN", "SET timezone = 'UTC'", "CREATE TABLE x (a int)", "EXPLAIN SELECT 1", "", "VALUES (1, 'a')",
            "SELECT $1::int8, $2::text[], $3::timestamptz", "SELECT 1 WHERE $1", "COPY t TO STDOUT", "SELECT", "TABLE t",
            "WITH d AS (DELETE FROM t RETURNING id) SELECT * FROM d", "SELECT count(*), avg(amount) FROM t", "PREPARE q AS SELECT 1",
            "SELECT id = ANY($1) FROM t", "SELECT CASE WHEN $1 THEN $2 ELSE 1 END", "SELECT coalesce($1, 'x'), $2 + 1.5", "SELECT $1 IS NULL",
            "SELECT * FROM generate_series($1, $2)", "SELECT lower($1), length($2), now() - $3", "SELECT (id, name) FROM t",
            "DECLARE c CURSOR FOR SELECT 1", "FETCH c", "EXECUTE q", "DISCARD ALL", "SELECT $2::int", "SELECT $1", "SELECT $1 + $2",
        )
    ],
    "error_skips_to_sync": [
        parse("SELECT nothing") + bind() + execute() + parse(SELECT_ALL) + bind() + execute() + SYNC,
        parse(DIVISION) + bind() + execute() + execute() + close("P") + SYNC,
        run("SELECT 1") + SYNC,
    ],
    "a_segment_is_a_transaction": [
        run("INSERT INTO t (id) VALUES (20)") + run("SELECT count(*) FROM t") + run("INSERT INTO t (id) VALUES (1)") + SYNC,
        query("SELECT count(*) FROM t"),
        run("INSERT INTO t (id) VALUES (20)") + run("INSERT INTO t (id) VALUES (21)") + SYNC,
        query("SELECT count(*) FROM t"),
    ],
    "blocks": [
        run("BEGIN") + run("INSERT INTO t (id) VALUES (30)") + SYNC,
        run(DIVISION) + SYNC,
        run("SELECT 1") + SYNC,
        parse("SELECT 1") + SYNC,
        parse("ROLLBACK", "r") + SYNC,
        run("COMMIT") + SYNC,
        run("BEGIN") + run("INSERT INTO t (id) VALUES (31)") + run("COMMIT") + run("SELECT count(*) FROM t") + SYNC,
        run("COMMIT") + SYNC,
        run("BEGIN") + run("BEGIN") + SYNC,
        run("SAVEPOINT s") + run(DIVISION) + SYNC,
        run("ROLLBACK TO s") + run("SELECT 2") + SYNC,
        run("ROLLBACK") + SYNC,
    ],
    "names": [
        parse("SELECT 1", "a") + SYNC,
        parse("SELECT 2", "a") + SYNC,
        bind(name="missing") + SYNC,
        describe("S", "missing") + SYNC,
        describe("P", "missing") + SYNC,
        execute("missing") + SYNC,
        close("S", "missing") + close("P", "missing") + SYNC,
        query("BEGIN"),
        bind(name="a", portal="p") + bind(name="a", portal="p") + SYNC,
        query("ROLLBACK"),
        bind(name="a") + execute() + SYNC,
        parse("SELECT 3") + SYNC,
        query("SELECT 4"),
        bind() + execute() + SYNC,
        query("PREPARE sql AS SELECT 5"),
        bind(name="sql") + describe("P") + execute() + SYNC,
        query("EXECUTE a"),
        query("DEALLOCATE a"),
        bind(name="a") + SYNC,
    ],
    "run_twice": [
        parse("INSERT INTO t (id) VALUES (40)") + bind() + execute() + execute() + SYNC,
        parse("SELECT 1") + bind() + execute() + execute() + SYNC,
        parse("SET timezone = 'UTC'") + bind() + execute() + execute() + SYNC,
        parse("") + bind() + describe("P") + execute() + execute() + SYNC,
    ],
    "bind_errors": [
        parse("SELECT $1::int", "i") + SYNC,
        bind(name="i") + SYNC,
        bind(b"1", b"2", name="i") + SYNC,
        bind(b"x", name="i") + SYNC,
        bind(b"x", name="i", portal="named") + SYNC,
        bind(b"\0\0\0\1", name="i", formats=[1]) + execute() + SYNC,
        bind(b"\0\1", name="i", formats=[1]) + SYNC,
        bind(b"1", name="i", formats=[0, 0]) + SYNC,
        bind(b"1", name="i", results=[0, 0]) + SYNC,
        bind(b"1", name="i", results=[1]) + describe("P") + execute() + SYNC,
        parse("SELECT $1::text", "t") + bind(b"\xff", name="t") + SYNC,
        bind(b"\xff", name="t", formats=[1]) + SYNC,
        bind(b"a\0b", name="t", formats=[1]) + SYNC,
    ],
    "parse_errors": [
        parse("SELECT 1; SELECT 2") + SYNC,
        parse("SELEC 1") + SYNC,
        parse("SELECT $1 + $1", types=[23]) + describe("S") + SYNC,
        parse("SELECT $1", types=[25]) + describe("S") + SYNC,
        parse("SELECT $1", types=[999999]) + describe("S") + SYNC,
        parse("SELECT $1::int, $1::text") + describe("S") + SYNC,
        parse("SELECT * FROM missing") + SYNC,
    ],
    "schema_changes": [
        parse("SELECT * FROM t WHERE id = 1", "star") + parse("SELECT id FROM t WHERE id = 1", "one") + SYNC,
        bind(name="star") + execute() + bind(name="one") + execute() + SYNC,
        query("ALTER TABLE t ADD COLUMN extra int DEFAULT 9"),
        bind(name="star") + describe("P") + execute() + SYNC,
        bind(name="one") + describe("P") + execute() + SYNC,
        query("ALTER TABLE t DROP COLUMN extra"),
        bind(name="star") + describe("P") + execute() + SYNC,
        query("CREATE INDEX ON t (name)"),
        bind(name="star") + execute() + SYNC,
        query("ALTER TABLE t ALTER COLUMN id TYPE bigint"),
        bind(name="one") + execute() + SYNC,
        describe("S", "one") + SYNC,
        query("ALTER TABLE t RENAME TO gone"),
        bind(name="one") + SYNC,
        query("ALTER TABLE gone RENAME TO t; ALTER TABLE t ALTER COLUMN id TYPE int"),
        bind(name="one") + execute() + SYNC,
    ],
    "discard_all": [
        parse("SELECT 1", "s") + SYNC,
        query("SET application_name = 'x'"),
        query("DISCARD ALL"),
        bind(name="s") + SYNC,
        query("SHOW application_name"),
        run("DISCARD ALL") + SYNC,
        query("BEGIN; DISCARD ALL"),
        query("ROLLBACK"),
    ],
    "simple_between": [
        query("BEGIN"),
        parse(SELECT_ALL) + bind(portal="p") + execute("p", 1) + SYNC,
        query("SELECT 'simple'"),
        execute("p", 1) + SYNC,
        query("DECLARE c CURSOR FOR SELECT id FROM t ORDER BY id; FETCH 1 FROM c"),
        describe("P", "c") + execute("c", 2) + SYNC,
        query("FETCH 1 FROM c"),
        query("FETCH 1 FROM p"),
        close("P", "c") + SYNC,
        query("FETCH 1 FROM c"),
        query("ROLLBACK"),
    ],
    "copy": [
        run("COPY (SELECT id FROM t WHERE id < 3 ORDER BY id) TO STDOUT") + SYNC,
        parse("COPY t (id) FROM STDIN") + bind() + describe("P") + execute() + message(b"d", b"60\n") + message(b"c") + SYNC,
        parse("COPY t (id) FROM STDIN") + bind() + execute() + message(b"d", b"1\n") + message(b"c") + SYNC,
        parse("COPY t (id) FROM STDIN") + bind() + execute() + message(b"f", text("changed my mind")) + SYNC,
        query("SELECT count(*) FROM t"),
    ],
    "deferred": [
        run("BEGIN") + run("INSERT INTO later VALUES (1, 999)") + SYNC,
        run("COMMIT") + SYNC,
        query("SELECT count(*) FROM later"),
    ],
    "reports": [
        query("SET application_name = 'one'; SET timezone = 'Europe/Berlin'"),
        query("BEGIN; SET LOCAL timezone = 'UTC'; COMMIT"),
        query("BEGIN; SET timezone = 'UTC'"),
        query("ROLLBACK"),
        run("SET datestyle = 'SQL, DMY'") + SYNC,
        run("SELECT set_config('timezone', 'Asia/Tokyo', false)") + SYNC,
        query("RESET ALL"),
    ],
    "formats": [
        parse("SELECT 1::int4, 'x'::text, 1.5::numeric, true, NULL, '2024-01-02'::date, ARRAY[1, 2], '{\"a\": 1}'::jsonb", "f")
        + bind(name="f") + execute() + bind(name="f", results=[1]) + execute()
        + bind(name="f", results=[1, 0, 1, 0, 1, 0, 1, 0]) + describe("P") + execute() + SYNC,
    ],
    "empty": [query(""), query(";"), query("-- nothing"), parse(";") + describe("S") + bind() + execute() + SYNC, SYNC, FLUSH + SYNC],
}  # fmt: skip


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_conversation(wires: tuple[Wire, Wire], name: str) -> None:
    for place, step in enumerate(CONVERSATIONS[name]):
        ours, theirs = (wire.ask(step) for wire in wires)
        assert ours == theirs, f"step {place}: {step!r}"


def test_commit_that_fails_at_sync(boreal: Server) -> None:
    """A conflict found at Sync: 40001 instead of CommandComplete, ReadyForQuery idle, and the session goes on."""
    one, two = Wire(("127.0.0.1", boreal.port)), Wire(("127.0.0.1", boreal.port))
    one.ask(query(SETUP))
    two.ask(query("SET search_path = wire"))
    two.ask(query("BEGIN ISOLATION LEVEL REPEATABLE READ; UPDATE t SET name = 'two' WHERE id = 1"))
    one.ask(query("UPDATE t SET name = 'one' WHERE id = 1"))
    replies = two.ask(parse("COMMIT") + bind() + execute() + SYNC)
    kinds = [kind for kind, _ in replies]
    assert kinds == ["1", "2", "E", "Z"]
    error = replies[2][1]
    assert isinstance(error, dict)
    assert error["C"] == "40001"
    assert replies[3] == ("Z", b"I")
    assert two.ask(query("SELECT name FROM t WHERE id = 1"))[1] == ("D", b"\0\1\0\0\0\3one")
    one.close()
    two.close()


def test_flush_answers_before_sync(wires: tuple[Wire, Wire]) -> None:
    """asyncpg waits for ParameterDescription after Flush, without Sync."""
    for wire in wires:
        wire.socket.sendall(parse("SELECT $1::int", "s") + describe("S", "s") + FLUSH)
        assert [wire.read()[0] for _ in range(3)] == ["1", "t", "T"]
        wire.socket.sendall(bind(b"1", name="s") + execute() + FLUSH)
        assert [wire.read()[0] for _ in range(3)] == ["2", "D", "C"]
        assert wire.ask(SYNC) == [("Z", b"I")]
