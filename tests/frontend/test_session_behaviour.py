"""What sessions do that PostgreSQL's do otherwise, or not at all, against a running node.

Goal: conflicts are told at the right moment and in the right form; whatever may take long can be stopped; whoever reads slowly
or goes away harms nobody; snapshots move or stand still as documented; contended rows are shared fairly. Method: a real
process, real clients, raw messages where the order of replies matters. Expected values follow from docs/compatibility.md.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import errors

from frontend.contention import TURN_SECONDS, WAIT_SECONDS
from frontend.wire.messages import message
from tests.frontend.test_session_protocol import (
    COPY_DONE,
    SYNC,
    bind,
    copy_data,
    execute,
    parse,
    query,
    run,
)
from tests.frontend.wire.serving import RawClient, closing_raw, error_fields, kinds
from tests.server import Server

SCHEMA = "session_behaviour"
ROWS = 200_000
STOPPED_SECONDS_MAX = 2.0
"""A statement that was cancelled or timed out has ended so long after: it would run for minutes, and on an idle machine it ends
within some 20 ms, but other tests may hold the cores."""

Connection = psycopg.Connection[tuple[object, ...]]


@pytest.fixture(scope="module")
def node(boreal: Server) -> Iterator[Server]:
    with boreal.connect() as connection:
        connection.execute(f"drop schema if exists {SCHEMA} cascade")
        connection.execute(f"create schema {SCHEMA}")
        connection.execute(f"set search_path = {SCHEMA}")
        connection.execute("create table big (a int primary key, b text)")
        with connection.cursor().copy("copy big from stdin") as copy:
            copy.write("".join(f"{number}\trow number {number}\n" for number in range(ROWS)))
    yield boreal
    with boreal.connect() as connection:
        connection.execute(f"drop schema {SCHEMA} cascade")


@pytest.fixture
def open_connection(node: Server) -> Iterator[Callable[..., Connection]]:
    """Makes connections that are closed at the end, over fresh small tables."""
    opened: list[Connection] = []

    def connect(**options: object) -> Connection:
        connection = node.connect(options=f"-c search_path={SCHEMA}", **options)
        opened.append(connection)
        return connection

    with connect() as connection:
        connection.execute("drop table if exists t, u")
        connection.execute("create table t (a int primary key, b int not null)")
        connection.execute("insert into t values (1, 0), (2, 0), (3, 0)")
        connection.execute("create table u (a int primary key)")
    yield connect
    for connection in opened:
        connection.close()


@pytest.fixture
def raw(node: Server, open_connection: Callable[..., Connection]) -> Iterator[RawClient]:
    with closing_raw(RawClient.to(("127.0.0.1", node.port))) as client:
        client.start(search_path=SCHEMA)
        yield client


def value(connection: Connection, sql: str) -> object:
    row = connection.execute(sql).fetchone()
    assert row is not None
    return row[0]


def wait_until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


# ── conflicts ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def begin_and_lose(client: RawClient, other: Connection) -> None:
    """The client's open transaction updates a row that another one then updates first."""
    client.query("begin isolation level repeatable read")
    client.query("update t set b = b + 1 where a = 1")
    other.execute("update t set b = b + 10 where a = 1")


def conflict(received: list[tuple[bytes, bytes]]) -> dict[str, str]:
    return error_fields(next(body for kind, body in received if kind == b"E"))


def test_conflict_of_a_simple_commit(raw: RawClient, open_connection: Callable[..., Connection]) -> None:
    other = open_connection()
    begin_and_lose(raw, other)
    received = raw.query("commit")
    assert kinds(received) == "EZ"
    assert received[1][1] == b"I"
    fields = conflict(received)
    assert fields["C"] == "40001"
    assert fields["M"] == "change conflicts with another transaction, please retry: (OC000)"
    assert 'table "t", key (a)=(1)' in fields["D"]
    assert fields["t"] == "t"
    assert value(other, "select b from t where a = 1") == 10


def test_conflict_of_an_extended_commit(raw: RawClient, open_connection: Callable[..., Connection]) -> None:
    begin_and_lose(raw, open_connection())
    raw.send(parse("commit"), bind(), execute(), SYNC)
    received = raw.read_until_ready()
    assert kinds(received) == "12EZ"
    assert conflict(received)["C"] == "40001"


def test_conflict_of_a_whole_segment_commit(raw: RawClient, open_connection: Callable[..., Connection]) -> None:
    raw.send(parse("commit", "c"), SYNC)
    raw.read_until_ready()
    begin_and_lose(raw, open_connection())
    raw.send(bind(name="c") + execute() + SYNC)
    received = raw.read_until_ready()
    assert kinds(received) == "2EZ"
    assert received[-1][1] == b"I"


def test_conflict_in_a_pipeline_skips_the_rest(raw: RawClient, open_connection: Callable[..., Connection]) -> None:
    begin_and_lose(raw, open_connection())
    raw.send(run("commit"), run("insert into u values (1)"), SYNC, run("select count(*) from u"), SYNC)
    received = raw.read_until_ready(2)
    assert kinds(received) == "12nEZ" + "12TDCZ"
    assert next(body for kind, body in received if kind == b"D").endswith(b"0")


def test_conflict_of_several_statements(raw: RawClient, open_connection: Callable[..., Connection]) -> None:
    begin_and_lose(raw, open_connection())
    received = raw.query("select 1; commit; insert into u values (1)")
    assert kinds(received) == "TDCEZ"
    assert kinds(raw.query("select a from u")) == "TCZ"


def test_success_is_told_after_the_commit(raw: RawClient, open_connection: Callable[..., Connection]) -> None:
    """A single statement that loses its implicit commit gets no CommandComplete before the error: deferred checks fail there."""
    raw.query("drop table if exists child")
    raw.query("create table child (a int references u deferrable initially deferred)")
    for data in (
        query("insert into child values (1)"),
        parse("insert into child values (1)") + bind() + execute() + SYNC,
        parse("insert into child values (1) returning a") + bind() + execute() + SYNC,
        parse("insert into child select 1 from big limit 1") + bind() + execute() + SYNC,
    ):
        raw.send(data)
        received = raw.read_until_ready()
        assert b"C" not in [kind for kind, _ in received]
        assert conflict(received)["C"] == "23503"
    raw.query("drop table child")


def test_read_only_transactions_never_fail(open_connection: Callable[..., Connection]) -> None:
    reader, writer = open_connection(), open_connection()
    for level in ("read committed", "repeatable read", "serializable"):
        reader.execute(f"begin isolation level {level}")
        before = reader.execute("select * from t order by a").fetchall()
        writer.execute("update t set b = b + 1")
        writer.execute("alter table t add column c int")
        assert reader.execute("select * from t order by a").fetchall() == before
        reader.execute("commit")
        writer.execute("alter table t drop column c")


def test_schema_change_aborts_writers(open_connection: Callable[..., Connection]) -> None:
    writer, other = open_connection(), open_connection()
    writer.execute("begin")
    writer.execute("update t set b = 5 where a = 1")
    other.execute("alter table t add column c int")
    with pytest.raises(errors.SerializationFailure, match=r"OC001") as raised:
        writer.execute("commit")
    assert 'changed the definition of "t"' in (raised.value.diag.message_detail or "")
    writer.execute("begin")
    writer.execute("update t set b = 5 where a = 1")
    other.execute("create table unrelated (a int)")
    writer.execute("commit")
    other.execute("drop table unrelated")


def test_serializable_prevents_write_skew_also_outside_of_blocks(open_connection: Callable[..., Connection]) -> None:
    one, two = open_connection(), open_connection()
    for connection in (one, two):
        connection.execute("set default_transaction_isolation = 'serializable'")
        connection.execute("begin")
        assert value(connection, "select sum(b) from t") == 0
    one.execute("insert into t values (10, 1)")
    two.execute("insert into t values (11, 1)")
    one.execute("commit")
    with pytest.raises(errors.SerializationFailure):
        two.execute("commit")


def test_snapshot_of_read_committed_moves(open_connection: Callable[..., Connection]) -> None:
    reader, writer = open_connection(), open_connection()
    reader.execute("begin")
    assert value(reader, "select b from t where a = 1") == 0
    writer.execute("update t set b = 7 where a = 2")
    assert value(reader, "select b from t where a = 2") == 7
    writer.execute("update t set b = 8 where a in (1, 3)")
    assert value(reader, "select b from t where a = 3") == 0  # what it has read of row 1 has changed: it stands still
    reader.execute("commit")


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_snapshot_of_repeatable_read_stands_still(open_connection: Callable[..., Connection], level: str) -> None:
    reader, writer = open_connection(), open_connection()
    reader.execute(f"begin isolation level {level}")
    assert value(reader, "select b from t where a = 1") == 0
    writer.execute("update t set b = 7 where a = 2")
    assert value(reader, "select b from t where a = 2") == 0
    assert value(reader, "select sum(b) from t") == 0
    reader.execute("commit")


def test_cursor_keeps_its_snapshot_while_the_transaction_moves(open_connection: Callable[..., Connection]) -> None:
    reader, writer = open_connection(), open_connection()
    reader.execute("begin")
    reader.execute("declare c cursor for select b from t order by a")
    assert value(reader, "fetch 1 from c") == 0
    writer.execute("update t set b = 7")
    assert value(reader, "fetch 1 from c") == 0
    reader.execute("commit")


# ── limits and interruption ────────────────────────────────────────────────────────────────────────────────────────────

LONG_STATEMENTS = {
    "scan": "select count(*) from big where b like '%x%y%z%' or length(repeat(b, 20)) < 0",
    "sort": "select * from big x, (values (1), (2), (3)) y order by x.b, x.a desc limit 1",
    "join": "select count(*) from big x join big y on x.b < y.b and x.a = y.a + 1",
    "series": "select sum(g) from generate_series(1, 100000000) g",
    "sleep": "select pg_sleep(60)",
    "sleep_each": "select pg_sleep(0.01) from big",
    "update": "update big set b = b || 'x'",
    "insert": "insert into u select a + 1000000 from big",
    "create_index": "create index i on big (b)",
    "create_table_as": "create table copied as select x.* from big x, (values (1), (2), (3)) y",
    "alter": "alter table big alter column b type varchar(100)",
    "copy": "copy (select x.* from big x, (values (1), (2), (3), (4), (5)) y) to stdout",
    "cursor": "declare c cursor with hold for select x.* from big x, (values (1), (2)) y",
    "execute": "execute p",
    "explain": "explain analyze select sum(g) from generate_series(1, 100000000) g",
    "declared_sum": "with recursive r(n) as (select 1 union all select n + 1 from r) select count(*) from r",
}


@pytest.mark.parametrize("name", LONG_STATEMENTS)
def test_statement_timeout(raw: RawClient, name: str) -> None:
    raw.query("prepare p as select sum(g) from generate_series(1, 100000000) g")
    raw.query("set statement_timeout = 60")
    began = time.monotonic()
    received = raw.query(LONG_STATEMENTS[name])
    assert time.monotonic() - began < STOPPED_SECONDS_MAX
    fields = conflict(received)
    assert (fields["C"], fields["M"]) == ("57014", "canceling statement due to statement timeout")
    assert received[-1] == (b"Z", b"I")
    raw.query("set statement_timeout = 0")
    assert kinds(raw.query("select count(*) from u")) == "TDCZ"


def cancel(client: RawClient, address: tuple[str, int], key: bytes) -> None:
    with closing_raw(RawClient.to(address)) as canceller:
        canceller.send(b"\0\0\0\x10\x04\xd2\x16\x2e" + key)
        assert canceller.at_end()


@pytest.mark.parametrize("name", LONG_STATEMENTS)
@pytest.mark.parametrize("protocol", ["simple", "extended"])
def test_cancel(node: Server, open_connection: Callable[..., Connection], name: str, protocol: str) -> None:
    address = ("127.0.0.1", node.port)
    with closing_raw(RawClient.to(address)) as client:
        key = next(body for kind, body in client.start(search_path=SCHEMA) if kind == b"K")
        client.query("prepare p as select sum(g) from generate_series(1, 100000000) g")
        sql = LONG_STATEMENTS[name]
        client.send(query(sql) if protocol == "simple" else parse(sql) + bind() + execute() + SYNC)
        time.sleep(0.05)
        began = time.monotonic()
        cancel(client, address, key)
        received = client.read_until_ready()
        assert time.monotonic() - began < STOPPED_SECONDS_MAX
        fields = conflict(received)
        assert (fields["C"], fields["M"]) == ("57014", "canceling statement due to user request")
        assert kinds(client.query("select count(*) from u")) == "TDCZ"


def test_cancel_while_copying_in(node: Server, open_connection: Callable[..., Connection]) -> None:
    address = ("127.0.0.1", node.port)
    with closing_raw(RawClient.to(address)) as client:
        key = next(body for kind, body in client.start(search_path=SCHEMA) if kind == b"K")
        client.send(query("copy u from stdin"))
        assert client.read() is not None
        client.send(copy_data("1\n"))
        cancel(client, address, key)
        received = client.read_until_ready()
        assert conflict(received)["C"] == "57014"
        client.send(copy_data("2\n"), COPY_DONE)
        assert kinds(client.query("select * from u")) == "TCZ"


def test_cancel_of_nothing_hits_nothing(node: Server, open_connection: Callable[..., Connection]) -> None:
    """A request that comes between statements must not end the next one."""
    address = ("127.0.0.1", node.port)
    with closing_raw(RawClient.to(address)) as client:
        key = next(body for kind, body in client.start(search_path=SCHEMA) if kind == b"K")
        cancel(client, address, key)
        assert kinds(client.query("select count(*) from big")) == "TDCZ"


def test_cancel_during_commit_leaves_a_known_outcome(open_connection: Callable[..., Connection]) -> None:
    """Whatever the moment: a commit that was acknowledged is there, one that was refused is not."""
    connection = open_connection()
    stop = threading.Event()

    def keep_cancelling() -> None:
        while not stop.is_set():
            connection.cancel()

    thread = threading.Thread(target=keep_cancelling)
    thread.start()
    kept = set()
    try:
        for number in range(60):
            try:
                connection.execute("begin")
                connection.execute("insert into u values (%s)", (number,))
                connection.execute("commit")
                kept.add(number)
            except errors.QueryCanceled:
                connection.execute("rollback")
    finally:
        stop.set()
        thread.join()
    assert {row[0] for row in open_connection().execute("select a from u")} == kept


def test_idle_timeouts(open_connection: Callable[..., Connection]) -> None:
    connection = open_connection()
    connection.execute("set idle_in_transaction_session_timeout = 50")
    time.sleep(0.1)
    connection.execute("begin")
    connection.execute("update t set b = 9 where a = 1")
    time.sleep(0.2)
    with pytest.raises(errors.IdleInTransactionSessionTimeout):
        connection.execute("select 1")
    other = open_connection()
    assert value(other, "select b from t where a = 1") == 0
    other.execute("set idle_session_timeout = 50")
    time.sleep(0.2)
    with pytest.raises(errors.IdleSessionTimeout):
        other.execute("select 1")


@pytest.mark.parametrize("begin", ["begin", "begin; select 1", "begin; select 1/0"])
def test_idle_in_transaction_however_it_began(raw: RawClient, begin: str) -> None:
    raw.query("set idle_in_transaction_session_timeout = 50")
    raw.query(begin)
    received = raw.read()
    assert received is not None
    assert error_fields(received[1])["C"] == "25P03"
    assert raw.at_end()


def test_idle_timer_stops_with_the_transaction(raw: RawClient) -> None:
    raw.query("set idle_in_transaction_session_timeout = 50")
    raw.query("begin")
    raw.query("commit")
    time.sleep(0.15)
    assert kinds(raw.query("select 1")) == "TDCZ"
    raw.query("set idle_session_timeout = 60")
    for _ in range(8):
        time.sleep(0.02)
        assert kinds(raw.query("select a from t where a = 1")) == "TDCZ"
    raw.query("set idle_session_timeout = 0")
    time.sleep(0.15)
    assert kinds(raw.query("select 1")) == "TDCZ"


@pytest.mark.parametrize(
    "sql",
    [
        "select * from big order by b",
        "select array_agg(b) from big",
        "select b, count(*) from big group by b",
        "select count(*) from big x join big y on x.b = y.b",
        "select string_agg(b, ',') from big",
        "select distinct b from big",
    ],
)
def test_memory_limit(raw: RawClient, sql: str) -> None:
    raw.query("set work_mem = '1MB'")
    assert conflict(raw.query(sql))["C"] == "53200"
    raw.query("set work_mem = default")
    assert kinds(raw.query("select a from t where a = 1")) == "TDCZ"


# ── slow and vanishing clients ─────────────────────────────────────────────────────────────────────────────────────────


def test_slow_reader_holds_nobody_up(node: Server, open_connection: Callable[..., Connection]) -> None:
    other = open_connection()
    value(other, "select count(*) from big")
    before = node.resident_bytes
    with closing_raw(RawClient.to(("127.0.0.1", node.port))) as client:
        client.start(search_path=SCHEMA)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.send(query("select x.a, x.b, y.b from big x, (select b from big where a < 10) y"))  # 2 million rows
        time.sleep(0.5)
        began = time.monotonic()
        for _ in range(20):
            value(other, "select b from t where a = 1")
        assert time.monotonic() - began < 1.0
        assert node.resident_bytes - before < 64 << 20
    wait_until(lambda: sessions(other) == 1)


def sessions(connection: Connection) -> object:
    return value(connection, "select count(*) from pg_stat_activity where state is not null")


def test_long_results_stream(node: Server, open_connection: Callable[..., Connection]) -> None:
    connection = open_connection()
    before = node.resident_bytes
    with connection.cursor() as cursor:
        cursor.execute("select a, b from big where a < 100000 order by a")
        rows = cursor.fetchall()
    assert len(rows) == 100_000
    assert rows[99_999] == (99_999, "row number 99999")
    assert node.resident_bytes - before < 96 << 20


def test_disconnect_rolls_back(node: Server, open_connection: Callable[..., Connection]) -> None:
    other = open_connection()
    wait_until(lambda: sessions(other) == 1)
    beginnings = [
        [query("begin"), query("update t set b = 99 where a = 1")],
        [query("begin; update t set b = 99 where a = 1; select pg_sleep(60)")],
        [query("select pg_sleep(60)")],
        [query("copy t from stdin"), copy_data("77\t1\n")],
        [query("begin"), parse("select * from big") + bind() + execute(1)],
        [query("begin"), query("declare c cursor for select * from big"), query("fetch 1 from c")],
        [query("select count(*) from big x, big y")],
        [parse("insert into t values (78, 1)") + bind() + execute()],
        [message(b"Q", b"select 1\0")[:-3]],
    ]
    for data in beginnings:
        client = RawClient.to(("127.0.0.1", node.port))
        client.start(search_path=SCHEMA)
        client.send(*data)
        time.sleep(0.03)
        assert sessions(other) == 2
        client.close()
        wait_until(lambda: sessions(other) == 1)
    assert other.execute("select * from t order by a").fetchall() == [(1, 0), (2, 0), (3, 0)]


def test_disconnect_with_commit_in_flight(node: Server, open_connection: Callable[..., Connection]) -> None:
    """The transaction is decided without its client, and the node goes on."""
    for number in range(20):
        client = RawClient.to(("127.0.0.1", node.port))
        client.start(search_path=SCHEMA)
        client.send(query(f"insert into u values ({number})"))
        client.close()
    other = open_connection()
    wait_until(lambda: sessions(other) == 1)
    wait_until(lambda: value(other, "select count(*) from u") == 20)


# ── contention and sequences ───────────────────────────────────────────────────────────────────────────────────────────

CLIENTS = 16
TURNS = 15


def test_hot_row_is_shared(open_connection: Callable[..., Connection]) -> None:
    retries, longest = [], []

    def increment(block: bool) -> None:
        connection = open_connection()
        for _ in range(TURNS):
            began = time.monotonic()
            while True:
                try:
                    if block:
                        connection.execute("begin")
                    connection.execute("update t set b = b + 1 where a = 1")
                    if block:
                        connection.execute("commit")
                    break
                except errors.SerializationFailure:
                    retries.append(1)
                    if block:
                        connection.execute("rollback")
            longest.append(time.monotonic() - began)

    with ThreadPoolExecutor(CLIENTS) as pool:
        for done in [pool.submit(increment, number % 2 == 0) for number in range(CLIENTS)]:
            done.result()
    assert value(open_connection(), "select b from t where a = 1") == CLIENTS * TURNS
    assert len(retries) < CLIENTS * TURNS  # without turns it would be several for each
    assert max(longest) < 2 * WAIT_SECONDS + 1.0


def test_sleeping_holder_delays_others_by_one_wait(open_connection: Callable[..., Connection]) -> None:
    one, two, sleeper = open_connection(), open_connection(), open_connection()
    for connection in (one, two):  # makes the row hot
        connection.execute("begin isolation level repeatable read")
        connection.execute("update t set b = b + 1 where a = 1")
    one.execute("commit")
    with pytest.raises(errors.SerializationFailure):
        two.execute("commit")
    sleeper.execute("begin")
    sleeper.execute("update t set b = b + 1 where a = 1")
    began = time.monotonic()
    two.execute("update t set b = b + 1 where a = 1")
    assert time.monotonic() - began < TURN_SECONDS + 0.2
    with pytest.raises(errors.SerializationFailure):
        sleeper.execute("commit")
    began = time.monotonic()
    two.execute("update t set b = b + 1 where a = 1")
    assert time.monotonic() - began < 0.2
    assert value(two, "select b from t where a = 1") == 3


@pytest.mark.parametrize("ending", ["rollback", "error", "disconnect"])
def test_hot_keys_are_released(open_connection: Callable[..., Connection], ending: str) -> None:
    one, two, holder = open_connection(), open_connection(), open_connection()
    for connection in (one, two):
        connection.execute("begin isolation level repeatable read")
        connection.execute("update t set b = b + 1 where a = 1")
    one.execute("commit")
    with pytest.raises(errors.SerializationFailure):
        two.execute("commit")
    holder.execute("begin")
    holder.execute("update t set b = b + 1 where a = 1")
    if ending == "rollback":
        holder.execute("rollback")
    elif ending == "error":
        with pytest.raises(errors.DivisionByZero):
            holder.execute("select 1/0")
    else:
        holder.close()
        time.sleep(0.02)
    two.execute("begin")
    began = time.monotonic()
    two.execute("update t set b = b + 1 where a = 1")
    assert time.monotonic() - began < 0.2
    two.execute("commit")


def test_sequences_never_repeat(open_connection: Callable[..., Connection]) -> None:
    administrator = open_connection()
    administrator.execute("drop sequence if exists s")
    administrator.execute("create sequence s")
    administrator.execute("drop table if exists serial_rows")
    administrator.execute("create table serial_rows (id bigserial primary key, v int)")

    def draw(number: int) -> list[object]:
        connection = open_connection()
        values = []
        for turn in range(40):
            if turn % 4 == 0:
                connection.execute("begin")
                values.append(value(connection, "select nextval('s')"))
                connection.execute("rollback")
            elif turn % 4 == 1:
                values.append(value(connection, "select nextval('s')"))
            elif turn % 4 == 2:
                values.extend(row[0] for row in connection.execute("select nextval('s') from generate_series(1, 50)"))
            else:
                connection.execute("insert into serial_rows (v) values (%s)", (number,))
        return values

    with ThreadPoolExecutor(8) as pool:
        drawn = [item for values in pool.map(draw, range(8)) for item in values]
    assert len(drawn) == len(set(drawn)) == 8 * (20 + 500)
    assert value(administrator, "select count(*) from serial_rows") == 80


# ── time ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("prepared", [False, True])
def test_a_block_begins_with_its_begin(open_connection: Callable[..., Connection], *, prepared: bool) -> None:
    """Not with the statement before it, whose time somebody had asked for."""
    connection = open_connection(autocommit=True)
    for _ in range(3):  # the third time everything is known by its text, or prepared
        before = connection.execute("select statement_timestamp()", prepare=prepared).fetchone()
        time.sleep(0.02)
        connection.execute("begin", prepare=prepared)
        time.sleep(0.02)
        row = connection.execute("select now(), statement_timestamp()", prepare=prepared).fetchone()
        connection.execute("commit", prepare=prepared)
        assert before is not None
        assert row is not None
        assert (row[0] - before[0]).total_seconds() >= 0.02  # type: ignore[operator]
        assert (row[1] - row[0]).total_seconds() >= 0.02  # type: ignore[operator]
