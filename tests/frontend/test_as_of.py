"""Reads in the past, against running nodes.

Goal: AS OF, in every statement and protocol that may have it, gives exactly the rows and the schema of its moment, now and after a
restart; what it cannot give it refuses with the right SQLSTATE. Method: real processes and psycopg (and raw messages where their
order counts). A node of its own has a single writer, so that every committed transaction is the next position; what each position
must give is what the writer knows it wrote. Moments in time are taken from this machine's clock between two commits, which is the
node's own clock.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Literal, cast

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.node import COLLECT_SECONDS
from frontend import as_of
from frontend.errors import SqlError
from frontend.reads import BarrierDone, LocalReads
from frontend.sql import syntax
from tests.frontend.fake_context import FakeContext
from tests.frontend.test_session_protocol import SYNC, bind, describe, execute, parse
from tests.frontend.wire.serving import RawClient, closing_raw, error_fields, kinds
from tests.server import Server

if TYPE_CHECKING:
    from frontend.session import Session

Connection = psycopg.Connection[tuple[object, ...]]

TIMESTAMPTZ, INT8, INT4 = 1184, 20, 23


@pytest.fixture(scope="module")
def node() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture
def connection(node: Server) -> Iterator[Connection]:
    with closing(node.connect()) as connected:
        connected.execute("drop schema if exists s cascade")
        connected.execute("create schema s")
        connected.execute("set search_path = s")
        yield connected


@pytest.fixture
def raw(node: Server, connection: Connection) -> Iterator[RawClient]:
    with closing_raw(RawClient.to(("127.0.0.1", node.port))) as client:
        client.start(search_path="s")
        yield client


def position(server: Server) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.http_port}/status", timeout=10) as answer:
        found: int = json.load(answer)["position"]
    return found


def moment() -> datetime:
    """A time with no commit in the same microsecond, before or after it."""
    time.sleep(0.002)
    now = datetime.now(UTC)
    time.sleep(0.002)
    return now


def rows(connection: Connection, sql: str, *parameters: object) -> list[tuple[object, ...]]:
    return connection.execute(sql, parameters or None).fetchall()


def refusal(action: Callable[[], object]) -> tuple[str | None, str]:
    with pytest.raises(psycopg.Error) as caught:
        action()
    return caught.value.sqlstate, caught.value.diag.message_primary or ""


@pytest.fixture
def written(node: Server, connection: Connection) -> tuple[int, datetime, int, datetime]:
    """t with one row in two versions: position and a time of the first, position and a time of the second."""
    connection.execute("create table t (a int primary key, b text)")
    connection.execute("insert into t values (1, 'old')")
    first, then = position(node), moment()
    connection.execute("update t set b = 'new'")
    return first, then, position(node), moment()


# ── forms ──────────────────────────────────────────────────────────────────────────────────────────────────────────

OLD, NEW = [("old",)], [("new",)]


def test_times(connection: Connection, written: tuple[int, datetime, int, datetime]) -> None:
    _, then, _, later = written
    seconds = (datetime.now(UTC) - then).total_seconds()
    microseconds = int(then.timestamp()) * 1_000_000 + then.microsecond
    for argument in (
        f"'{then.isoformat()}'",
        f"timestamptz '{then.isoformat()}'",
        f"timestamp '{then.replace(tzinfo=None).isoformat()}'",
        str(microseconds),
        f"{microseconds - 1} + 1",
        f"to_timestamp(0) + {microseconds} * interval '1 us'",
    ):
        assert rows(connection, f"select b from t as of system time {argument}") == OLD, argument
    time.sleep(0.3)
    seconds = (datetime.now(UTC) - later).total_seconds() - 0.15
    for argument in (
        f"'-{seconds}s'",
        f"interval '-{seconds}s'",
        f"now() - interval '{seconds}s'",
        "now()",
        "'now'",
        "'-0s'",
    ):
        assert rows(connection, f"select b from t as of system time {argument}") == NEW, argument
    connection.execute("update t set b = 'newer'")
    seconds = (datetime.now(UTC) - later).total_seconds() - 0.15
    assert rows(connection, f"select b from t as of system time '-{seconds}s'") == NEW
    assert rows(connection, "select b from t as of system time now()") == [("newer",)]


def test_time_zone_of_the_session_counts(connection: Connection, written: tuple[int, datetime, int, datetime]) -> None:
    connection.execute("set timezone = 'Asia/Tokyo'")
    local = (written[1] + timedelta(hours=9)).replace(tzinfo=None)
    assert rows(connection, f"select b from t as of system time '{local.isoformat()}'") == OLD


def test_queries_of_every_form(connection: Connection, written: tuple[int, datetime, int, datetime]) -> None:
    first = written[0]
    for text in (
        "select b from t | ",
        "(select b from t | )",
        "((select b from t)) | ",
        "(select b from t | ) order by b",
        "select b from t where a = 1 | ",
        "select b from t where a = 1 union select b from t order by 1 limit 1 | ",
        "with w as (select b from t) select b from w | ",
        "select x.b from t x join t y on x.b = y.b | ",
        "select (select b from t) | ",
        "select max(b) from t | ",
    ):
        assert rows(connection, text.replace("|", f"as of position {first}")) == OLD, text
        assert rows(connection, text.replace("|", "")) == NEW
    assert rows(connection, f"table t as of position {first}") == [(1, "old")]
    assert rows(connection, f"values (1), (2) as of position {first}") == [(1,), (2,)]
    connection.execute("create view v as select b || '!' from t")
    viewed = rows(connection, f"select * from v as of position {first + 2}")
    assert viewed == [("new!",)]


def test_the_same_text_again_reads_at_its_own_moment(
    connection: Connection, written: tuple[int, datetime, int, datetime]
) -> None:
    first, _, second, _ = written
    for _ in range(3):
        assert rows(connection, f"select b from t where a = 1 as of position {first}") == OLD
        assert rows(connection, f"select b from t where a = 1 as of position {second}") == NEW
        assert rows(connection, "select b from t where a = 1") == NEW
        assert rows(connection, f"select b from t where a = 2 as of position {first}") == []


def test_parameters(connection: Connection, written: tuple[int, datetime, int, datetime]) -> None:
    first, then, second, later = written
    microseconds = int(then.timestamp()) * 1_000_000 + then.microsecond
    for prepare in (False, True):
        for moment_, expected in ((then, OLD), (later, NEW), (then, OLD), (then.isoformat(), OLD), (microseconds, OLD)):
            sql = "select b from t where a = %s as of system time %s"
            assert connection.execute(sql, (1, moment_), prepare=prepare).fetchall() == expected
        for place, expected in ((first, OLD), (second, NEW), (first, OLD)):
            sql = "select b from t where a = %s as of position %s"
            assert connection.execute(sql, (1, place), prepare=prepare).fetchall() == expected
        sql = "select b from t as of system time %s - interval '0 s'"
        assert connection.execute(sql, (then,), prepare=prepare).fetchall() == OLD
    naive = then.replace(tzinfo=None)
    assert rows(connection, "select b from t as of system time %s", naive) == OLD
    assert rows(connection, "select b from t as of system time %s::interval", "-0.0s") == NEW
    with connection.cursor(binary=True) as cursor:
        assert cursor.execute("select b from t as of system time %b", (then,)).fetchall() == OLD


def test_prepare_and_execute(connection: Connection, written: tuple[int, datetime, int, datetime]) -> None:
    first, then, second, _ = written
    connection.execute("prepare p (int) as select b from t where a = $1 as of position $2")
    assert rows(connection, f"execute p (1, {first})") == OLD
    assert rows(connection, f"execute p (1, {second})") == NEW
    assert rows(connection, f"execute p (2, {first})") == []
    connection.execute("prepare q as select b from t as of system time $1")
    assert rows(connection, f"execute q ('{then.isoformat()}')") == OLD
    types = rows(connection, "select name, parameter_types::text from pg_prepared_statements where from_sql order by 1")
    assert types == [("p", "{integer,bigint}"), ("q", '{"timestamp with time zone"}')]
    assert refusal(lambda: connection.execute("execute p (1)"))[0] == "42601"
    assert refusal(lambda: connection.execute("execute q"))[0] == "42601"
    assert refusal(lambda: connection.execute(f"execute p (1, {second + 1000})"))[0] == "22023"
    assert rows(connection, f"explain (costs off) select b from t as of position {first}") == [("Seq Scan on t",)]
    analyzed = rows(
        connection, f"explain (analyze, costs off, timing off, summary off) select b from t as of position {first}"
    )
    assert analyzed == [("Seq Scan on t (actual rows=1 loops=1)",)]


def test_copy(connection: Connection, written: tuple[int, datetime, int, datetime]) -> None:
    for form in ("copy (select * from t as of position {0}) to stdout", "copy (table t as of position {0}) to stdout"):
        with connection.cursor().copy(form.format(written[0])) as copy:
            assert b"".join(copy) == b"1\told\n"


# ── the extended protocol, message by message ──────────────────────────────────────────────────────────────────────


def answer(raw: RawClient, *messages: bytes) -> list[tuple[bytes, bytes]]:
    raw.send(b"".join(messages) + SYNC)
    return raw.read_until_ready()


def data(received: list[tuple[bytes, bytes]]) -> list[bytes]:
    return [body[6:] for kind, body in received if kind == b"D"]


def test_describe_gives_the_types(raw: RawClient, written: tuple[int, datetime, int, datetime]) -> None:
    for clause, oid in (
        ("system time $2", TIMESTAMPTZ),
        ("position $2", INT8),
        ("system time now() - $2::interval", 1186),
    ):
        received = answer(raw, parse(f"select b from t where a = $1 as of {clause}"), describe("S"))
        assert kinds(received) == "1tTZ"
        assert received[1][1] == (2).to_bytes(2, "big") + INT4.to_bytes(4, "big") + oid.to_bytes(4, "big")
    received = answer(raw, parse("select b from t as of system time $1", types=[INT8]), describe("S"))
    assert received[1][1] == (1).to_bytes(2, "big") + INT8.to_bytes(4, "big")


def test_prepared_statement_reads_each_time_at_its_own_moment(
    raw: RawClient, written: tuple[int, datetime, int, datetime]
) -> None:
    """The same Bind, Describe, Execute, Sync again and again, which other statements run in one step."""
    first, _, second, _ = written
    answer(raw, parse("select b from t where a = 1 as of position $1", "p"), describe("S", "p"))
    for place, expected in ((second, b"new"), (second, b"new"), (second, b"new"), (first, b"old"), (second, b"new")):
        received = answer(raw, bind(str(place), name="p"), describe(), execute())
        assert kinds(received) == "2TDCZ"
        assert data(received) == [expected]
        assert received[-1][1] == b"I"
    assert data(answer(raw, parse("select b from t"), bind(), execute())) == [b"new"]


def test_portal_in_pieces(raw: RawClient, connection: Connection, written: tuple[int, datetime, int, datetime]) -> None:
    connection.execute("insert into t select i, 'more' from generate_series(2, 5) i")
    sql = f"select b from t order by a as of position {written[0] + 2}"
    received = answer(raw, parse(sql), bind(), execute(2), execute(2), execute(2))
    assert kinds(received) == "12DDsDDsDCZ"
    assert data(received) == [b"new"] + [b"more"] * 4
    received = answer(raw, parse(sql), bind(portal="p"), execute(2, "p"))
    assert kinds(received) == "12DDsZ"
    assert error_fields(answer(raw, execute(2, "p"))[0][1])["C"] == "34000"


def test_wrong_parameters(raw: RawClient, written: tuple[int, datetime, int, datetime]) -> None:
    first = written[0]
    sql = "select b from t where a = $1 as of position $2"

    def refused(*messages: bytes) -> tuple[str, str]:
        received = answer(raw, parse(sql), *messages)
        assert kinds(received) == "1EZ"
        assert received[-1][1] == b"I"
        fields = error_fields(received[1][1])
        return fields["C"], fields["M"]

    assert refused(bind("1"))[0] == "08P01"
    assert refused(bind("1", str(first), "3"))[0] == "08P01"
    assert refused(bind("1", "x"))[0] == "22P02"
    assert refused(bind("x", str(first)))[0] == "22P02"
    assert refused(bind("1", None)) == ("22023", "AS OF POSITION must not be null")
    assert refused(bind("1", "-1"))[0] == "22023"
    assert data(answer(raw, parse(sql), bind("1", str(first)), execute())) == [b"old"]


def test_one_moment_a_segment(raw: RawClient, written: tuple[int, datetime, int, datetime]) -> None:
    first, _, second, _ = written

    def piece(sql: str) -> bytes:
        return parse(sql) + bind() + execute()

    old, new = (f"select b from t as of position {place}" for place in (first, second))
    assert data(answer(raw, piece(old), piece(old), piece("select b from t"))) == [b"old"] * 3
    received = answer(raw, piece(old), piece(new))
    assert error_fields(received[-2][1])["C"] == "25001"
    received = answer(raw, piece(old), piece("update t set b = 'x'"))
    assert error_fields(received[-2][1])["C"] == "25006"
    received = raw.query(f"{old}; {old}; select b from t")
    assert data(received) == [b"old"] * 3
    received = raw.query(f"{old}; {new}")
    assert error_fields(received[-2][1])["C"] == "25001"


# ── blocks and cursors ─────────────────────────────────────────────────────────────────────────────────────────────


def test_blocks(connection: Connection, written: tuple[int, datetime, int, datetime]) -> None:
    first, then, second, _ = written
    for begin in (
        f"begin as of position {first}",
        f"start transaction isolation level serializable, as of system time '{then.isoformat()}'",
        f"begin read only as of position {first}",
        f"begin; set transaction as of position {first}",
        f"begin; select b from t as of position {first}",
    ):
        for part in begin.split(";"):
            connection.execute(part)
        assert rows(connection, "select b from t") == OLD, begin
        assert rows(connection, "select b from t where a = 1") == OLD
        assert rows(connection, "select b from t where a = %s", 1) == OLD
        assert rows(connection, "show transaction_read_only") == [("on",)]
        assert rows(connection, f"select b from t {begin[begin.rindex('as of') :]}") == OLD
        connection.execute("savepoint s")
        assert refusal(lambda: connection.execute("update t set b = 'x'"))[0] == "25006"
        connection.execute("rollback to s")
        assert refusal(lambda: connection.execute("set transaction read write"))[0] == "25001"
        connection.execute("rollback to s")
        assert refusal(lambda: connection.execute(f"select b from t as of position {second}"))[0] == "25001"
        connection.execute("rollback to s")
        assert rows(connection, "select b from t") == OLD
        connection.execute("commit")
        assert rows(connection, "select b from t") == NEW
        assert rows(connection, "show transaction_read_only") == [("off",)]
    connection.execute(f"begin as of position {first}")
    connection.execute("commit and chain")
    assert rows(connection, "select b from t") == NEW  # the moment ends with its transaction
    connection.execute("rollback")


def test_blocks_refused(connection: Connection, written: tuple[int, datetime, int, datetime]) -> None:
    first = written[0]
    for begin, sqlstate in (
        (f"begin read write as of position {first}", "0A000"),
        ("begin as of position 100000", "22023"),
        ("begin as of system time 'tomorrow'", "22023"),
        ("begin as of position $1", "42P02"),
        (f"set session characteristics as transaction as of position {first}", "0A000"),
    ):
        assert refusal(lambda begin=begin: connection.execute(begin))[0] == sqlstate, begin
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    connection.execute("update t set b = 'writable'")
    for second in (f"select b from t as of position {first}", f"set transaction as of position {first}"):
        connection.execute("begin")
        connection.execute("select 1 from t")
        assert refusal(lambda second=second: connection.execute(second))[0] == "25001"
        connection.execute("rollback")
    notices: list[str | None] = []
    connection.add_notice_handler(lambda notice: notices.append(notice.sqlstate))
    connection.execute(f"set transaction as of position {first}")
    assert notices == ["25P01"]
    assert rows(connection, "select b from t") == [("writable",)]


def test_cursors(node: Server, connection: Connection, written: tuple[int, datetime, int, datetime]) -> None:
    connection.execute("insert into t select i, 'more' from generate_series(2, 3000) i")
    place = position(node)
    connection.execute("delete from t")
    for options in ("", "scroll", "no scroll"):
        connection.execute("begin")
        connection.execute(f"declare c {options} cursor for select a, b from t order by a as of position {place}")
        assert rows(connection, "fetch 2 from c") == [(1, "new"), (2, "more")]
        with node.connect() as other:
            other.execute("insert into s.t values (0, 'unseen')")
            other.execute("delete from s.t")
        assert len(rows(connection, "fetch all from c")) == 2998
        connection.execute("commit")
    connection.execute(f"declare h cursor with hold for select a from t order by a as of position {place}")
    connection.execute("insert into t values (7, 'now')")
    assert len(rows(connection, "fetch all from h")) == 3000
    assert rows(connection, "select a from t") == [(7,)]
    connection.execute("close h")
    declare_ = f"declare c cursor for select a from t as of position {place}"
    assert refusal(lambda: connection.execute(declare_))[0] == "25P01"


# ── what is refused ────────────────────────────────────────────────────────────────────────────────────────────────


def test_refusals(node: Server, connection: Connection, written: tuple[int, datetime, int, datetime]) -> None:
    first = written[0]
    connection.execute("create sequence q")
    future = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
    here = position(node)
    for sql, sqlstate in (
        (f"select b from t as of system time '{future}'", "22023"),
        ("select b from t as of system time '5s'", "22023"),
        ("select b from t as of system time 'infinity'", "22023"),
        ("select b from t as of system time null", "22023"),
        (f"select b from t as of position {here + 1}", "22023"),
        ("select b from t as of position -1", "22023"),
        ("select b from t as of position null::bigint", "22023"),
        ("select b from t as of system time 'nonsense'", "22007"),
        ("select b from t as of system time true", "42804"),
        ("select b from t as of system time 1.5", "42804"),
        ("select b from t as of position 1.5", "42804"),
        ("select b from t as of position '2020-01-01'", "42804"),
        ("select b from t as of system time b", "42703"),
        ("select b from t as of system time (select now())", "0A000"),
        ("select b from t as of system time clock_timestamp()", "0A000"),
        ("select b from t as of position generate_series(1, 2)", "0A000"),
        ("select b from t as of position $1", "42P02"),
        (f"select b from t for update as of position {first}", "25006"),
        (f"with w as (insert into t values (9, 'x') returning a) select a from w as of position {first}", "25006"),
        (f"select nextval('q') as of position {here}", "25006"),
        (f"select setval('q', 5) as of position {here}", "25006"),
        (f"create table u as select b from t as of position {first}", "0A000"),
        (f"create view v as select b from t as of position {first}", "0A000"),
        (f"insert into t select 5, b from t as of position {first}", "0A000"),
    ):
        assert refusal(lambda sql=sql: connection.execute(sql))[0] == sqlstate, sql
    assert position(node) == here
    for sql in ("create table u (a int)", "drop table t", "truncate t", "copy t from stdin", "create index on t (b)"):
        connection.execute(f"begin as of position {first}")
        assert refusal(lambda sql=sql: connection.execute(sql))[0] == "25006", sql
        connection.execute("rollback")
    assert rows(connection, "select b from t") == NEW
    assert rows(connection, "select count(*) from pg_class where relname = 't' as of position 0") == [(0,)]
    assert rows(connection, "select count(*) from pg_class where relname = 't' as of system time '-infinity'") == [(0,)]


# ── schemas of the past, and restarts ──────────────────────────────────────────────────────────────────────────────


def test_schema_changes_and_restart() -> None:
    with Server() as server:
        expected: dict[int, object] = {}
        with closing(server.connect()) as connection:

            def note() -> None:
                cursor = connection.execute("select * from t order by 1")
                expected[position(server)] = ([column.name for column in cursor.description or ()], cursor.fetchall())

            for sql in (
                "create table t (a int primary key, b text)",
                "insert into t values (1, 'one'), (2, 'two')",
                "alter table t add column c int default 7",
                "update t set c = 8 where a = 1",
                "create index on t (b)",
                "alter table t drop column b",
                "insert into t values (3, 9)",
                "alter table t rename column c to d",
                "alter table t alter column d type text using d || '!'",
                "truncate t",
                "insert into t values (4, 'after')",
            ):
                connection.execute(sql)
                note()
            connection.execute("drop table t")
            dropped = position(server)
            connection.execute("create table t (z date)")
            note()

        def check() -> None:
            with closing(server.connect()) as connection:
                for _ in range(2):
                    for place, found in expected.items():
                        cursor = connection.execute(f"select * from t order by 1 as of position {place}")
                        names = [column.name for column in cursor.description or ()]
                        assert (names, cursor.fetchall()) == found, place
                        cursor = connection.execute(
                            "select * from t order by 1 as of position %s", (place,), prepare=True
                        )
                        names = [column.name for column in cursor.description or ()]
                        assert (names, cursor.fetchall()) == found, place
                assert refusal(lambda: connection.execute(f"table t as of position {dropped}"))[0] == "42P01"
                with_b = next(place for place, (names, _) in expected.items() if names == ["a", "b", "c"])
                for sql in (
                    "select a from t where b = 'two' as of position {}",
                    "select a from t where a = 2 as of position {}",
                ):
                    assert rows(connection, sql.format(with_b)) == [(2,)]
                listed = "select string_agg(attname, ',' order by attnum) from pg_attribute where attnum > 0 and not attisdropped and attrelid = 't'::regclass"
                assert rows(connection, f"{listed} as of position {with_b}") == [("a,b,c",)]
                assert rows(connection, listed) == [("z",)]

        check()
        server.kill()
        server.start()
        check()
        assert server.stop() == 0
        server.start()
        check()


def test_table_that_is_gone_with_a_parameter(raw: RawClient, connection: Connection, node: Server) -> None:
    """Only Bind tells at which moment the name has a meaning."""
    connection.execute("create table gone (a int, b text)")
    connection.execute("insert into gone values (1, 'x')")
    place = position(node)
    connection.execute("drop table gone")
    sql = "select a, b from gone where a = $1 as of position $2"
    received = answer(raw, parse(sql), bind("1", str(place)), describe(), execute())
    assert kinds(received) == "12TDCZ"
    assert error_fields(answer(raw, parse(sql), describe("S"))[1][1])["C"] == "42P01"
    assert error_fields(answer(raw, parse(sql), bind("1", str(place + 1)))[1][1])["C"] == "42P01"
    received = answer(raw, parse(f"select a from gone as of position {place}"), describe("S"), bind(), execute())
    assert kinds(received) == "1tT2DCZ"
    connection.execute("prepare p as select b from gone as of position $1")
    assert rows(connection, f"execute p ({place})") == [("x",)]
    assert rows(connection, "select b from gone where a = %s as of position %s", 1, place) == [("x",)]


def test_columns_other_than_described(raw: RawClient, connection: Connection, node: Server) -> None:
    connection.execute("create table t (a int)")
    connection.execute("insert into t values (1)")
    place = position(node)
    connection.execute("alter table t add column b int default 2")
    answer(raw, parse("select * from t as of position $1", "p"))
    assert data(answer(raw, bind(str(place), name="p"), execute())) == [b"1"]
    answer(raw, describe("S", "p"))
    received = answer(raw, bind(str(place), name="p"), execute())
    assert error_fields(received[0][1])["C"] == "0A000"
    assert kinds(answer(raw, bind(str(place + 1), name="p"), execute())) == "2DCZ"


# ── every position, again and again ────────────────────────────────────────────────────────────────────────────────

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 4), st.integers(0, 99)),
        st.tuples(st.just("delete"), st.integers(0, 4), st.just(0)),
        st.tuples(st.just("all"), st.just(0), st.integers(1, 9)),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, order=st.randoms(use_true_random=False))
def test_every_position_reads_its_own_state(
    node: Server, connection: Connection, steps: list[tuple[str, int, int]], order: object
) -> None:
    connection.execute("drop table if exists h")
    connection.execute("create table h (k int primary key, v int)")
    connection.execute("create index on h (v)")
    state: dict[int, int] = {}
    recorded: list[tuple[int, datetime, dict[int, int]]] = []
    for kind, key, value in steps:
        if kind == "put":
            state[key] = value
            connection.execute(
                "insert into h values (%s, %s) on conflict (k) do update set v = excluded.v", (key, value)
            )
        elif kind == "delete":
            state.pop(key, None)
            connection.execute("delete from h where k = %s", (key,))
        else:
            state = {k: v + value for k, v in state.items()}
            connection.execute("update h set v = v + %s", (value,))
        recorded.append((position(node), moment(), dict(state)))
    order.shuffle(recorded)  # type: ignore[attr-defined]
    for place, then, expected in recorded:
        found = sorted(expected.items())
        assert rows(connection, f"select k, v from h order by k as of position {place}") == found
        assert rows(connection, "select k, v from h order by k desc as of system time %s", then) == found[::-1]
        for key in range(5):
            by_key = rows(connection, "select v from h where k = %s as of position %s", key, place)
            assert by_key == ([(expected[key],)] if key in expected else [])
        total = rows(connection, f"select count(*) from h where v >= 50 as of position {place}")
        assert total == [(sum(v >= 50 for v in expected.values()),)]


def test_a_moment_read_while_others_commit_stays_as_it_was(node: Server, connection: Connection) -> None:
    """The youngest moment there is, read again later: no event may have come before it meanwhile."""
    connection.execute("create table c (w int primary key, n int)")
    connection.execute("insert into c select w, 0 from generate_series(1, 4) w")
    ended = threading.Event()

    def write(number: int) -> None:
        with closing(node.connect()) as writer:
            while not ended.is_set():
                writer.execute(f"update s.c set n = n + 1 where w = {number}")

    def total(then: datetime) -> object:
        return rows(connection, f"select sum(n) from c as of system time '{then.isoformat()}'")

    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write, number) for number in range(1, 5)]
        seen = [(now, total(now)) for now in (datetime.now(UTC) for _ in range(500))]
        ended.set()
        for writer in writers:
            writer.result(30)
    assert len({count for _, [(count,)] in seen}) > 10  # commits there were
    assert [(now, total(now)) for now, _ in seen] == seen


# ── what only parts of a node can show ─────────────────────────────────────────────────────────────────────────────


class Past:
    """A session as far as `as_of` looks at one: its view ends at position 7 and commit timestamp 1000 µs."""

    def __init__(self, commit_ts: int | None = None, closed_us: list[int | None] | None = None) -> None:
        self.transaction = None
        self.in_block = False
        self.block = SimpleNamespace(as_of=None, used=False)
        self.context = FakeContext()
        self.entered: list[int] = []
        self.enter_past = self.entered.append
        answers = iter(closed_us or [])
        history = SimpleNamespace(commit_ts=lambda position: commit_ts, closed_us=lambda: next(answers, 0))
        view = SimpleNamespace(snapshot=1000, horizon=300, frontier=SimpleNamespace(position=7))
        self.gateway = SimpleNamespace(view=view, history=history, reads=LocalReads())

    def read(self, kind: Literal["time", "position"], value: int) -> list[object]:
        clause = syntax.AsOf(kind, syntax.Parameter(1))
        return list(as_of.begin(cast("Session", self), clause, {1: value}, {1: INT8}))


def test_position_that_the_journal_no_longer_has() -> None:
    with pytest.raises(SqlError, match="snapshot too old") as caught:
        Past(commit_ts=None).read("position", 3)
    assert caught.value.sqlstate == "72000"
    with pytest.raises(SqlError, match="snapshot too old") as caught:
        Past(commit_ts=299).read("position", 3)
    assert caught.value.sqlstate == "72000"
    past = Past(commit_ts=300)
    past.read("position", 3)
    assert past.entered == [300]


class Others:
    """Strong reads of a node that lags: they answer when somebody has waited twice, and by then it has applied up to `reached`."""

    path = "index"
    clock_trusted = False

    def __init__(self, past: Past, reached: int, error: SqlError | None = None) -> None:
        self.waits = True
        self.asked = 0
        self._past = past
        self._reached = reached
        self._error = error
        past.gateway.reads = self

    def barrier(self, done: BarrierDone) -> None:
        self.asked += 1
        self._done = done

    def read(self, position: int) -> None:
        clause = syntax.AsOf("position", syntax.Parameter(1))
        for waited, _ in enumerate(as_of.begin(cast("Session", self._past), clause, {1: position}, {1: INT8}), 1):
            if waited == 2:
                self._past.gateway.view.frontier.position = self._reached
                self._done(self._error)


def test_a_position_that_others_have_is_waited_for() -> None:
    past = Past(commit_ts=900)
    others = Others(past, reached=9)
    others.read(7)
    assert (past.entered, others.asked) == ([900], 0)  # it is here
    others.read(9)
    assert (past.entered, others.asked) == ([900, 900], 1)


@pytest.mark.parametrize("error", [None, SqlError("57P03", "no majority")])
def test_a_position_that_nobody_has_or_nobody_can_be_asked_for_does_not_exist_yet(error: SqlError | None) -> None:
    past = Past(commit_ts=900)
    others = Others(past, reached=8, error=error)
    with pytest.raises(SqlError, match="position 9 does not exist yet") as caught:
        others.read(9)
    assert (caught.value.sqlstate, past.entered, others.asked) == ("22023", [], 1)


def test_waits_until_a_moment_is_closed_but_not_for_ever() -> None:
    past = Past(closed_us=[1000, 1999, 2000])
    assert len(past.read("time", 2000)) == 2
    assert past.entered == [1000]
    past = Past(closed_us=[None])  # a node that cannot tell: what it has
    assert past.read("time", 2000) == []
    assert past.entered == [1000]
    past = Past(closed_us=[])
    with pytest.raises(SqlError) as caught:
        past.read("time", 2000)
    assert caught.value.sqlstate == "55000"
    assert past.entered == []


# ── garbage collection ─────────────────────────────────────────────────────────────────────────────────────────────


def test_snapshot_too_old_and_running_readers() -> None:
    """A retention of a third of a second: what nobody reads is removed at the collector's next round, and refused from then on."""
    with Server(retention_hours="0.0001") as server, closing(server.connect()) as connection:
        connection.execute("create table t (a int primary key, b text)")
        connection.execute("insert into t select i, 'old' from generate_series(1, 200) i")
        connection.execute("create table gone (a int)")
        connection.execute("insert into gone values (1)")
        connection.execute("create table ticks (at timestamptz)")

        def pass_time(seconds: float) -> None:
            """The collector goes by the journal's time, which stands still where nothing is committed."""
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                connection.execute("insert into ticks values (now())")
                time.sleep(0.2)

        place, then = position(server), moment()
        seconds = int(2.5 * COLLECT_SECONDS)
        sleepy = (
            f"select (select b from t where a = g), pg_sleep(1) is null from generate_series(1, {seconds}) g "
            f"as of position {place}"
        )
        with closing(server.connect()) as reader, closing(server.connect(autocommit=False)) as holder:
            # One statement that runs in slices, outside of a block; and a block that is idle.
            reader.pgconn.send_query(sleepy.encode())
            reader.pgconn.flush()
            held = "select count(*) from t where b = 'old'"
            time.sleep(0.2)
            assert rows(connection, "select count(*) from pg_stat_activity where state = 'active'")[0][0] == 2
            connection.execute("update t set b = 'new'")
            connection.execute("delete from t where a > 100")
            connection.execute("drop table gone")
            assert rows(holder, f"{held} as of position {place}") == [(200,)]
            pass_time(COLLECT_SECONDS * 1.5)
            assert rows(holder, held) == [(200,)]
            assert rows(holder, "select a from gone") == [(1,)]
            holder.rollback()
            result = reader.pgconn.get_result()
            assert result is not None
            assert [result.get_value(row, 0) for row in range(result.ntuples)] == [b"old"] * seconds
        deadline = time.monotonic() + 3 * COLLECT_SECONDS
        too_old = f"select count(*) from t as of position {place}"

        def refused() -> bool:
            try:
                assert rows(connection, too_old) == [(200,)]  # retained as yet: then it is right
            except psycopg.Error as error:
                assert error.sqlstate == "72000"
                return True
            return False

        while not refused():
            assert time.monotonic() < deadline
            pass_time(0.2)

        def check() -> None:
            for sql in (
                too_old,
                f"select a from gone as of position {place}",
                f"select b from t where a = 1 as of system time '{then.isoformat()}'",
                f"begin as of position {place}",
                "select 1 as of position 0",
            ):
                assert refusal(lambda sql=sql: connection.execute(sql)) == ("72000", "snapshot too old"), sql
            assert refusal(lambda: rows(connection, "table t as of position %s", place))[0] == "72000"
            assert rows(connection, f"select count(*) from t as of position {position(server)}") == [(100,)]

        check()
        # Killed, the view may come back from before the removal, and replays: then the past is there again, and right.
        server.kill()
        server.start()
        connection.close()
        connection = server.connect()
        while not refused():
            assert time.monotonic() < deadline + 3 * COLLECT_SECONDS
            pass_time(0.2)
        check()
        for end in (server.stop, server.kill):
            end()
            server.start()
            connection.close()
            connection = server.connect()
            check()
        connection.close()


def test_the_snapshot_of_a_transaction_can_be_named(connection: Connection) -> None:
    """What SHOW boreal.snapshot says, AS OF SYSTEM TIME gives again."""
    connection.execute("create table t (id int primary key)")
    assert connection.execute("show boreal.snapshot").fetchone() == ("",)
    connection.execute("insert into t values (1)")
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read")
        assert connection.execute("select count(*) from t").fetchone() == (1,)
        shown = connection.execute("show boreal.snapshot").fetchone()
        assert connection.execute("select current_setting('boreal.snapshot')").fetchone() == shown
    connection.execute("insert into t values (2)")
    assert shown is not None
    assert connection.execute(f"select count(*) from t as of system time {shown[0]}").fetchone() == (1,)
    with connection.transaction():
        assert connection.execute("select count(*) from t").fetchone() == (2,)
        newer = connection.execute("show boreal.snapshot").fetchone()
    assert newer is not None
    assert int(str(newer[0])) > int(str(shown[0]))
    with pytest.raises(psycopg.errors.CantChangeRuntimeParam):
        connection.execute("set boreal.snapshot = '1'")
