"""Sessions against PostgreSQL, message by message.

Goal: the same sequence of messages gets the same answer from Boreal and from PostgreSQL: results, tags, notices, errors with
their positions, parameter changes, transaction status. Method: each scenario is sent in one go to both, on a fresh
connection and over freshly made tables; the transcripts must be equal. Table OIDs are only compared for being there, and
texts that name the server's own workings (error context, source positions) are left out.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress

import psycopg
import pytest

from frontend.wire.messages import message
from tests.frontend.wire.serving import RawClient, closing_raw, error_fields
from tests.oracle import Oracle
from tests.server import Server

SCHEMA = "session_protocol"
PACE_SECONDS = 0.001
FIXTURE = f"""
drop schema if exists {SCHEMA} cascade;
create schema {SCHEMA};
create table {SCHEMA}.t (a int primary key, b text not null, c numeric(6,2));
insert into {SCHEMA}.t values (1, 'one', 1.5), (2, 'two', null), (3, 'three', 3.25), (4, 'four', 0), (5, 'five', -1);
create table {SCHEMA}.e (a int primary key, b text);
"""


# ── the client's messages ──────────────────────────────────────────────────────────────────────────────────────────────


def query(sql: str) -> bytes:
    """Query."""
    return message(b"Q", sql.encode() + b"\0")


def parse(sql: str, name: str = "", types: Sequence[int] = ()) -> bytes:
    """Parse."""
    return message(b"P", f"{name}\0{sql}\0".encode() + struct.pack(f"!H{len(types)}I", len(types), *types))


def bind(
    *values: str | bytes | None,
    name: str = "",
    portal: str = "",
    formats: Sequence[int] = (),
    results: Sequence[int] = (),
) -> bytes:
    """Bind; texts in text form, bytes as they are."""
    body = f"{portal}\0{name}\0".encode() + struct.pack(f"!H{len(formats)}H", len(formats), *formats)
    body += struct.pack("!H", len(values))
    for value in values:
        raw = value.encode() if isinstance(value, str) else value
        body += struct.pack("!i", -1) if raw is None else struct.pack("!i", len(raw)) + raw
    return message(b"B", body + struct.pack(f"!H{len(results)}H", len(results), *results))


def execute(rows: int = 0, portal: str = "") -> bytes:
    """Execute."""
    return message(b"E", f"{portal}\0".encode() + struct.pack("!I", rows))


def describe(target: str = "P", name: str = "") -> bytes:
    """Describe a portal (P) or statement (S)."""
    return message(b"D", f"{target}{name}\0".encode())


def close(target: str = "P", name: str = "") -> bytes:
    """Close a portal (P) or statement (S)."""
    return message(b"C", f"{target}{name}\0".encode())


def run(sql: str, *values: str | None, rows: int = 0) -> bytes:
    """Parse, Bind, Describe, Execute of unnamed things, without Sync."""
    return parse(sql) + bind(*values) + describe() + execute(rows)


def copy_data(data: str | bytes) -> bytes:
    """CopyData."""
    return message(b"d", data.encode() if isinstance(data, str) else data)


def copy_fail(reason: str) -> bytes:
    """CopyFail."""
    return message(b"f", reason.encode() + b"\0")


SYNC = message(b"S", b"")
FLUSH = message(b"H", b"")
COPY_DONE = message(b"c", b"")


# ── transcripts ────────────────────────────────────────────────────────────────────────────────────────────────────────


def readable(kind: bytes, body: bytes) -> object:
    """One message of the server in comparable form."""
    if kind in (b"E", b"N"):
        fields = error_fields(body)
        return (kind.decode(), {code: fields[code] for code in "SVCMDHPstcdn" if code in fields})
    if kind == b"T":
        columns = []
        place = 2
        for _ in range(struct.unpack("!H", body[:2])[0]):
            end = body.index(b"\0", place)
            table, attribute, oid, size, typmod, code = struct.unpack("!IHIhiH", body[end + 1 : end + 19])
            columns.append((body[place:end].decode(), bool(table), attribute, oid, size, typmod, code))
            place = end + 19
        return ("T", tuple(columns))
    return (kind.decode(), body)


def transcript(client: RawClient) -> list[object]:
    """Everything up to the end of the stream.

    Two things are no part of the comparison: the order of ParameterStatus messages that come together, and whether a
    RowDescription, BindComplete or ParameterDescription comes before the error in which its statement ends, since PostgreSQL
    plans (and computes constants) at other moments.
    """
    result: list[object] = []
    while (received := client.read()) is not None:
        kind, body = received
        while kind == b"E" and result and isinstance(result[-1], tuple) and result[-1][0] in ("T", "2", "t"):
            result.pop()
        if kind == b"S" and result and isinstance(result[-1], frozenset):
            result[-1] |= {body}
        else:
            result.append(frozenset((body,)) if kind == b"S" else readable(kind, body))
    return result


class Pair:
    """PostgreSQL and Boreal, asked the same."""

    def __init__(self, oracle: Oracle, boreal: Server) -> None:
        self.addresses: list[tuple[str, int] | str] = [
            f"{oracle.directory}/.s.PGSQL.5432",
            ("127.0.0.1", boreal.port),
        ]
        self.administrators = [psycopg.connect(oracle.dsn, autocommit=True), boreal.connect()]

    def answers(self, *parts: bytes, paced: bool = False) -> list[list[object]]:
        """The two transcripts. `paced`: Boreal gets the parts one by one, so that each arrives on its own."""
        result = []
        for administrator, address in zip(self.administrators, self.addresses, strict=True):
            administrator.execute(FIXTURE)
            with closing_raw(RawClient.to(address)) as client:
                client.start(search_path=SCHEMA, TimeZone="UTC", application_name="test")
                if paced and not isinstance(address, str):
                    client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    for part in parts:
                        client.send(part)
                        time.sleep(PACE_SECONDS)
                else:
                    client.send(*parts)
                with suppress(OSError):
                    client.send(message(b"X", b""))
                with suppress(OSError):
                    client.socket.shutdown(socket.SHUT_WR)
                result.append(transcript(client))
        return result


@pytest.fixture(scope="module")
def pair(oracle: Oracle, boreal: Server) -> Iterator[Pair]:
    both = Pair(oracle, boreal)
    yield both
    for administrator in both.administrators:
        administrator.execute(f"drop schema if exists {SCHEMA} cascade")
        administrator.close()


# ── scenarios in SQL: each text is one Query message ─────────────────────────────────────────────────────────────────

SIMPLE: dict[str, list[str]] = {
    "several_statements": ["select 1; select a from t where a = 2; select 'x'"],
    "several_statements_no_rows": ["select a from t where a = 99; ; select 1"],
    "implicit_transaction_undone_by_error": [
        "insert into e values (1, 'x'); select 1/0; insert into e values (2, 'y')",
        "select * from e",
    ],
    "implicit_transaction_kept": ["insert into e values (1, 'x'); insert into e values (2, 'y')", "select * from e"],
    "begin_in_the_middle": [
        "insert into e values (1, 'x'); begin; insert into e values (2, 'y')",
        "rollback",
        "select * from e",
    ],
    "begin_in_the_middle_modes": ["select 1; begin isolation level repeatable read", "rollback"],
    "begin_in_the_middle_serializable_after_insert": [
        "insert into e values (1); begin; set transaction isolation level serializable",
        "rollback",
    ],
    "commit_in_the_middle": [
        "begin; insert into e values (1, 'x'); commit; insert into e values (2, 'y'); select 1/0",
        "select * from e",
    ],
    "implicit_commit_in_the_middle": ["insert into e values (1, 'x'); commit; select 1/0", "select * from e"],
    "implicit_rollback_in_the_middle": [
        "insert into e values (1, 'x'); rollback; insert into e values (2, 'z')",
        "select * from e",
    ],
    "begin_commit_one_message": ["begin; insert into e values (1, 'x'); commit", "select * from e"],
    "begin_insert_rollback_one_message": ["begin; insert into e values (1, 'x'); rollback", "select * from e"],
    "error_in_block_of_one_message": ["begin; select 1/0; commit", "select 1", "commit", "select 2"],
    "syntax_error_runs_nothing": ["insert into e values (1, 'x'); selec 1", "select * from e"],
    "semantic_error_position_in_second": ["select 1; select nothing from t"],
    "empty": ["", ";", " ; ; ", "-- nothing", "/* x */"],
    "empty_in_failed": ["begin", "select 1/0", "", ";", "select 1", "rollback"],
    "failed_commit": ["begin", "insert into e values (1, 'x')", "select 1/0", "select 1", "commit", "select * from e"],
    "failed_unknown_syntax": ["begin", "select 1/0", "selec", "rollback"],
    "failed_end": ["begin", "select 1/0", "end"],
    "failed_abort": ["begin", "select 1/0", "abort"],
    "failed_begin": ["begin", "select 1/0", "begin", "rollback"],
    "failed_savepoint": ["begin", "select 1/0", "savepoint a", "rollback to a", "release a", "rollback"],
    "warnings": ["begin", "begin", "start transaction", "commit", "commit", "rollback", "end", "abort"],
    "warnings_suppressed": ["set client_min_messages = error", "commit", "set client_min_messages = warning", "commit"],
    "set_local_outside": ["set local application_name = 'x'", "show application_name", "set local application_name = 'x'; show application_name"],
    "set_transaction_outside": ["set transaction isolation level serializable", "show transaction_isolation"],
    "set_constraints_outside": ["set constraints all deferred"],
    "savepoint_outside": ["savepoint a", "release a", "rollback to a", "rollback to savepoint a"],
    "savepoint_outside_several": ["select 1; savepoint a", "select 1; rollback to a", "select 1; release a"],
    "savepoints": [
        "begin",
        "insert into e values (1, 'x')",
        "savepoint a",
        "insert into e values (2, 'y')",
        "savepoint b",
        "insert into e values (3, 'z')",
        "rollback to b",
        "select a from e order by a",
        "insert into e values (2, 'again')",
        "rollback to a",
        "select a from e order by a",
        "release a",
        "release a",
        "rollback to a",
        "commit",
    ],
    "savepoint_same_name": [
        "begin",
        "savepoint a",
        "insert into e values (1)",
        "savepoint a",
        "insert into e values (2)",
        "rollback to a",
        "select a from e order by a",
        "release a",
        "rollback to a",
        "select a from e order by a",
        "commit",
    ],
    "savepoint_missing_in_failed": ["begin", "select 1/0", "rollback to nowhere", "rollback"],
    "savepoint_ddl": [
        "begin",
        "savepoint a",
        "create table n (x int)",
        "insert into n values (1)",
        "savepoint b",
        "alter table n add column y int default 7",
        "select * from n",
        "rollback to b",
        "select * from n",
        "rollback to a",
        "select * from n",
        "rollback to a",
        "create table n (z text)",
        "select * from n",
        "commit",
        "select * from n",
    ],
    "savepoint_ddl_data_after_commit": [
        "begin",
        "create table n (x int primary key)",
        "insert into n values (1)",
        "savepoint a",
        "drop table n",
        "rollback to a",
        "insert into n values (2)",
        "commit",
        "select * from n order by x",
    ],
    "chain": [
        "begin isolation level serializable read only",
        "commit and chain",
        "show transaction_isolation",
        "show transaction_read_only",
        "rollback and chain",
        "show transaction_isolation",
        "commit",
        "show transaction_isolation",
        "commit and chain",
        "rollback and chain",
        "commit and no chain",
    ],
    "chain_of_failed": ["begin isolation level repeatable read", "select 1/0", "commit and chain", "show transaction_isolation", "rollback"],
    "chain_failed_rollback": ["begin", "select 1/0", "rollback and chain", "select 1", "commit"],
    "chain_several": ["begin; insert into e values (1); commit and chain; insert into e values (2)", "rollback", "select * from e"],
    "chain_implicit": ["select 1; commit and chain", "select 1; rollback and chain"],
    "modes": [
        "begin isolation level repeatable read, read only, deferrable",
        "show transaction_isolation",
        "show transaction_read_only",
        "show transaction_deferrable",
        "insert into e values (1)",
        "rollback",
        "show transaction_isolation",
        "show transaction_read_only",
    ],
    "set_transaction_rules": [
        "begin",
        "set transaction isolation level serializable",
        "show transaction_isolation",
        "select 1",
        "set transaction isolation level serializable",
        "set transaction isolation level read committed",
        "rollback",
        "begin",
        "select a from t where a = 1",
        "set transaction read only",
        "set transaction read write",
        "rollback",
    ],
    "set_transaction_in_savepoint": [
        "begin",
        "savepoint a",
        "set transaction isolation level serializable",
        "rollback",
        "begin read only",
        "savepoint a",
        "set transaction read write",
        "rollback",
    ],
    "set_transaction_setting": [
        "begin",
        "set transaction_isolation = 'repeatable read'",
        "show transaction_isolation",
        "commit",
        "show transaction_isolation",
        "set transaction_isolation = 'serializable'",
        "show transaction_isolation",
        "begin",
        "set transaction_read_only = on",
        "insert into e values (1)",
        "rollback",
        "show transaction_read_only",
    ],
    "default_modes": [
        "set default_transaction_isolation = 'serializable'",
        "show transaction_isolation",
        "begin",
        "show transaction_isolation",
        "commit",
        "set default_transaction_read_only = on",
        "insert into e values (1)",
        "begin",
        "insert into e values (1)",
        "rollback",
        "begin read write",
        "insert into e values (1)",
        "commit",
        "set session characteristics as transaction isolation level repeatable read, read write",
        "show default_transaction_isolation",
        "show default_transaction_read_only",
        "insert into e values (2)",
        "select a from e order by a",
    ],
    "read_only": [
        "begin read only",
        "insert into e values (1)",
        "rollback",
        "begin read only; update t set a = 1",
        "rollback",
        "begin read only; delete from t",
        "rollback",
        "begin read only; create table x (a int)",
        "rollback",
        "begin read only; drop table t",
        "rollback",
        "begin read only; truncate t",
        "rollback",
        "begin read only; select a from t where a = 1 for update",
        "rollback",
        "begin read only; update t set b = b where false",
        "rollback",
        "begin read only; with x as (delete from t returning a) select * from x",
        "rollback",
        "begin read only; create schema x",
        "rollback",
        "begin read only; alter table t add column z int",
        "rollback",
        "begin read only; create index on t (b)",
        "rollback",
        "begin read only; comment on table t is 'x'",
        "rollback",
        "begin read only; create view v as select 1",
        "rollback",
        "begin read only; create table as_x as select 1",
        "rollback",
        "begin read only; grant select on t to public",
        "rollback",
    ],
    "settings_reported": [
        "set application_name = 'other'",
        "begin",
        "set application_name = 'third'",
        "rollback",
        "set timezone = 'Europe/Berlin'",
        "set datestyle = german",
        "set intervalstyle = iso_8601",
        "reset application_name",
        "reset timezone",
        "reset all",
        "discard all",
    ],
    "settings_local": [
        "begin",
        "set local application_name = 'local'",
        "show application_name",
        "commit",
        "show application_name",
        "begin",
        "set application_name = 'kept'",
        "set local application_name = 'local'",
        "commit",
        "show application_name",
    ],
    "settings_savepoint": [
        "begin",
        "set application_name = 'a'",
        "savepoint s",
        "set application_name = 'b'",
        "set local timezone = 'Asia/Tokyo'",
        "rollback to s",
        "show application_name",
        "show timezone",
        "savepoint s2",
        "set local application_name = 'c'",
        "release s2",
        "show application_name",
        "commit",
        "show application_name",
    ],
    "settings_implicit": ["set application_name = 'a'; select 1/0", "show application_name", "set application_name = 'b'; select 1", "show application_name"],
    "settings_set_then_local_rollback_to": [
        "begin",
        "set local application_name = 'x'",
        "savepoint s",
        "set application_name = 'y'",
        "rollback to s",
        "show application_name",
        "commit",
        "show application_name",
    ],
    "settings_same_value": ["set application_name = 'test'", "set application_name to default", "set timezone = 'UTC'"],
    "settings_failed_block": ["begin", "set application_name = 'x'", "select 1/0", "set application_name = 'y'", "rollback", "show application_name"],
    "set_config": [
        "select set_config('application_name', 'x', false)",
        "select set_config('application_name', 'y', true), current_setting('application_name')",
        "show application_name",
        "begin",
        "select set_config('application_name', 'z', true)",
        "show application_name",
        "commit",
        "show application_name",
        "select set_config('nothing', 'z', true)",
        "select current_setting('my.thing', true)",
        "select current_setting('my.thing')",
        "set my.thing = 5",
        "select current_setting('my.thing')",
        "reset my.thing",
        "show my.thing",
    ],
    "settings_invalid": [
        "set work_mem = 'x'",
        "set work_mem = '1 parsec'",
        "set work_mem = 1",
        "set statement_timeout = -1",
        "set statement_timeout = '1.5s'",
        "show statement_timeout",
        "set statement_timeout = '3000000000'",
        "set statement_timeout = '0.0001ms'",
        "show statement_timeout",
        "set enable_seqscan = maybe",
        "set nothing = 1",
        "show nothing",
        "reset nothing",
        "set datestyle = nowhere",
        "set timezone = 'Nowhere/At'",
        "set client_min_messages = loud",
        "set default_transaction_isolation = 'none'",
        "set intervalstyle = x",
        "set bytea_output = x",
        "set extra_float_digits = 4",
        "set server_version = 1",
        "set max_connections = 1",
        "set wal_level = minimal",
        "set work_mem = 1, 2",
        "set client_encoding = 'nothing'",
        "set random_page_cost = -1",
        "set jit = 1",
        "show jit",
        "set jit = 2",
    ],
    "settings_units": [
        "set statement_timeout = 1500", "show statement_timeout",
        "set statement_timeout = '90s'", "show statement_timeout",
        "set statement_timeout = '2min'", "show statement_timeout",
        "set statement_timeout = '1 d'", "show statement_timeout",
        "set statement_timeout = '2.5h'", "show statement_timeout",
        "set statement_timeout = '1us'", "show statement_timeout",
        "set statement_timeout = '1600us'", "show statement_timeout",
        "set work_mem = 100", "show work_mem",
        "set work_mem = '1GB'", "show work_mem",
        "set work_mem = '1.5MB'", "show work_mem",
        "set work_mem = 8192", "show work_mem",
        "set work_mem = '0x400'", "show work_mem",
        "set work_mem = '65536B'", "show work_mem",
        "set work_mem = ' 70 kB '", "show work_mem",
        "set work_mem = 65.6", "show work_mem",
        "set extra_float_digits = '2'", "show extra_float_digits",
        "set extra_float_digits = ' 1 '", "show extra_float_digits",
        "set seq_page_cost = 1.50", "show seq_page_cost",
        "set enable_sort = f", "show enable_sort",
        "set enable_sort = 'TRUE'", "show enable_sort",
    ],  # fmt: skip
    "timezone_forms": [
        "set timezone = 3", "show timezone",
        "set timezone = -3.5", "show timezone",
        "set time zone interval '02:30' hour to minute", "show timezone",
        "set time zone 'europe/berlin'", "show timezone",
        "set time zone local", "show timezone",
        "set time zone default", "show timezone",
        "set timezone = 'EST5EDT'", "show timezone",
        "set timezone = '<+02>-02'", "show timezone",
    ],  # fmt: skip
    "datestyle_forms": [
        "set datestyle = 'sql'", "show datestyle",
        "set datestyle = 'dmy'", "show datestyle",
        "set datestyle = iso, ymd", "show datestyle",
        "set datestyle = 'postgres, us'", "show datestyle",
        "set datestyle = german", "show datestyle",
        "set datestyle = default", "show datestyle",
        "set datestyle = 'iso, sql'",
    ],  # fmt: skip
    "show_special": ["show time zone", "show transaction isolation level", "show session authorization", "show DateStyle", "show DATESTYLE", "show \"DateStyle\""],
    "search_path": [
        "show search_path",
        "set search_path = a, \"B c\", public", "show search_path",
        "set search_path to default", "show search_path",
        "set search_path = ''", "show search_path",
        "set search_path = 'a, b'", "show search_path",
        "set schema 'pg_catalog'", "show search_path",
        "select set_config('search_path', 'a, ,', false)",
    ],  # fmt: skip
    "names": ["set names 'utf8'", "show client_encoding", "set names default"],
    "prepare_execute": [
        "prepare p as select a, b from t where a = $1",
        "execute p(2)",
        "execute p('3')",
        "execute p(1 + 1)",
        "execute p",
        "execute p(1, 2)",
        "execute p('x')",
        "execute q",
        "prepare p as select 1",
        "prepare q (int, text) as select $1, $2",
        "execute q(1, 'x')",
        "execute q(null, null)",
        "deallocate q",
        "deallocate q",
        "deallocate prepare p",
        "deallocate all",
        "prepare r as insert into e values ($1, $2) returning a",
        "execute r(1, 'x')",
        "execute r(1, 'x')",
        "prepare s as update t set b = 'z' where a > $1",
        "execute s(3)",
        "execute s(3.5)",
        "deallocate prepare all",
    ],
    "prepare_errors": [
        "prepare p as select nothing from t",
        "prepare p as selec",
        "prepare p (nothing) as select 1",
        "prepare p as select $2",
        "prepare p as create table x (a int)",
        "prepare p (int) as select $1 + 'x'",
        "prepare p as select $1",
        "execute p(1)",
        "prepare  ab   as   select   b +  1 from t",
    ],
    "prepare_in_failed_and_rolled_back": ["begin", "prepare p as select 1", "select 1/0", "rollback", "execute p", "deallocate p"],
    "execute_needs_replan": [
        "prepare p as select * from t where a = 1",
        "execute p",
        "alter table t add column d int default 4",
        "execute p",
        "prepare q as select a from t where a = 1",
        "alter table t drop column d",
        "execute q",
        "execute p",
        "alter table t alter column a type bigint",
        "execute q",
        "drop table t",
        "execute q",
    ],
    "cursor": [
        "begin",
        "declare c cursor for select a, b from t order by a",
        "fetch c", "fetch 2 from c", "fetch forward 1 in c", "fetch all c", "fetch c", "fetch next from c",
        "close c", "fetch c", "rollback",
        "fetch c",
    ],  # fmt: skip
    "cursor_scroll": [
        "begin",
        "declare c scroll cursor for select a from t order by a",
        "fetch last c", "fetch prior c", "fetch backward 2 c", "fetch first c", "fetch absolute 3 c", "fetch relative -1 c",
        "fetch relative 0 c", "fetch absolute -1 c", "fetch absolute 0 c", "fetch relative 2 c", "fetch absolute 9 c",
        "fetch backward all c", "fetch forward all c", "fetch backward 0 c", "fetch 0 c", "fetch -2 c", "fetch backward -1 c",
        "fetch forward -1 c", "fetch absolute -9 c", "fetch next c", "fetch relative 100 c", "fetch prior c", "fetch relative -100 c",
        "fetch 3 c", "fetch backward all c", "fetch backward c", "fetch forward c",
        "commit",
    ],  # fmt: skip
    "cursor_move": [
        "begin",
        "declare c scroll cursor for select a from t order by a",
        "move c", "fetch c", "move 2 c", "fetch c", "fetch c", "move backward all c", "fetch c", "move absolute 3 c", "fetch c",
        "move last c", "move prior c", "fetch c", "move absolute 99 c", "move absolute 0 c", "move 0 c", "move first c", "move 0 c",
        "move relative 0 c", "move relative 2 c", "move all c", "move -3 c", "fetch 0 c",
        "commit",
    ],  # fmt: skip
    "cursor_no_scroll": [
        "begin",
        "declare c no scroll cursor for select a from t order by a",
        "fetch 2 c", "fetch 0 c", "rollback",
        "begin", "declare c no scroll cursor for select a from t order by a", "fetch 2 c", "fetch prior c", "rollback",
        "begin", "declare c no scroll cursor for select a from t order by a", "fetch first c", "fetch first c", "rollback",
        "begin", "declare c no scroll cursor for select a from t order by a", "fetch absolute 2 c", "fetch absolute 4 c", "fetch absolute 1 c", "rollback",
        "begin", "declare c no scroll cursor for select a from t order by a", "fetch relative 2 c", "fetch relative 1 c", "fetch relative 0 c", "rollback",
        "begin", "declare c no scroll cursor for select a from t order by a", "fetch last c", "rollback",
        "begin", "declare c no scroll cursor for select a from t order by a", "fetch backward all c", "rollback",
        "begin", "declare c no scroll cursor for select a from t order by a", "fetch backward -2 c", "move 2 c", "move backward 1 c", "rollback",
    ],  # fmt: skip
    "cursor_hold": [
        "declare c cursor with hold for select a from t order by a",
        "fetch 2 c",
        "delete from t",
        "fetch 2 c",
        "begin",
        "fetch c",
        "rollback",
        "fetch c",
        "close c",
        "begin",
        "declare d scroll cursor with hold for select a from t",
        "rollback",
        "fetch d",
        "begin",
        "insert into t values (7, 'x')",
        "declare d scroll cursor with hold for select a from t",
        "fetch d",
        "commit",
        "fetch prior d",
        "fetch first d",
        "close all",
        "fetch d",
    ],
    "cursor_outside": ["declare c cursor for select 1", "select 1; declare c cursor for select 2; fetch c", "fetch c"],
    "cursor_without_hold_in_implicit": ["declare c cursor for select a from t order by a; fetch 2 c; fetch 2 c; close c"],
    "cursor_errors": [
        "begin", "declare c cursor for select nothing", "rollback",
        "begin", "declare c cursor for select 1", "declare c cursor for select 2", "rollback",
        "begin", "close nothing", "rollback",
        "begin", "move nothing", "rollback",
        "begin", "declare c cursor for select 1/a from (values (0), (1)) v(a)", "savepoint s", "fetch c", "rollback to s", "fetch c", "rollback",
        "begin", "declare c insensitive cursor for select 1", "declare d asensitive cursor for select 2", "fetch c", "fetch d", "commit",
        "begin", "declare c binary cursor for select 1, 'x'::text", "fetch c", "commit",
    ],  # fmt: skip
    "cursor_survives_savepoint": [
        "begin",
        "declare c cursor for select a from t order by a",
        "fetch c",
        "savepoint s",
        "fetch c",
        "declare d cursor for select 1",
        "rollback to s",
        "fetch c",
        "fetch d",
        "rollback",
    ],
    "cursor_after_error_and_rollback_to": [
        "begin",
        "declare c cursor for select a from t order by a",
        "savepoint s",
        "select 1/0",
        "rollback to s",
        "fetch c",
        "commit",
    ],
    "cursor_does_not_see_later_writes": [
        "begin",
        "declare c cursor for select a from e order by a",
        "insert into e values (1)",
        "fetch all c",
        "commit",
    ],
    "cursor_update": ["begin", "declare c cursor for select a from t order by a for update", "fetch c", "commit"],
    "cursor_empty": ["begin", "declare c scroll cursor for select a from e", "fetch c", "fetch prior c", "fetch last c", "fetch first c", "move all c", "fetch absolute 1 c", "fetch absolute -1 c", "commit"],
    "discard": [
        "prepare p as select 1",
        "set application_name = 'x'",
        "declare c cursor with hold for select 1",
        "discard all",
        "execute p",
        "fetch c",
        "show application_name",
        "begin",
        "discard all",
        "rollback",
        "discard plans",
        "discard sequences",
        "discard temp",
        "discard temporary",
        "select 1; discard all",
    ],
    "explain": ["explain select nothing"],
    "tags": [
        "create table n (a int)", "insert into n values (1), (2)", "insert into n select 3", "update n set a = a + 1",
        "delete from n where a > 3", "truncate n", "select 1 where false", "values (1), (2)", "create index i on n (a)",
        "alter table n add column b int", "create view v as select 1 as x", "drop view v", "create sequence s", "select nextval('s')",
        "alter sequence s restart", "drop sequence s", "comment on table n is 'x'", "create table m as select 1 as x",
        "drop table n, m", "set work_mem = '64MB'", "reset work_mem", "show server_version", "analyze t", "vacuum t",
        "create schema zz", "drop schema zz", "unlisten *", "checkpoint", "lock table t in access share mode", "drop table if exists nothing",
        "create table if not exists t (a int)", "create role rr", "drop role rr", "table e", "with x as (select 1) select * from x",
        "with x as (insert into e values (1) returning a) select * from x", "with x as (select 1) insert into e select 2", "grant select on t to public",
    ],  # fmt: skip
    "only_outside_blocks": ["begin; vacuum", "rollback", "select 1; vacuum", "begin; analyze t; commit", "select 1; analyze t"],
    "copy_out": ["copy t to stdout", "copy (select a from t where a < 3 order by a) to stdout csv header", "copy e to stdout", "copy nothing to stdout", "copy t (nothing) to stdout"],
    "copy_out_several": ["copy t (a) to stdout; select 1; copy (select 2) to stdout", "begin; copy e to stdout; commit"],
    "copy_options": [
        "copy t to stdout (format nothing)", "copy t to stdout (nothing true)", "copy t to stdout (format csv, format csv)",
        "copy t to stdout (delimiter 'ab')", "copy t to stdout (format binary, delimiter ',')", "copy t to stdout (quote '\"')",
        "copy t to stdout (format csv, force_quote (nothing))", "copy t to stdout (format csv, force_quote (b), header on)",
        "copy t to stdout with csv header delimiter ';' null 'N' force quote *", "copy t to stdout (freeze)", "copy t to stdout (header maybe)",
        "copy t to stdout (null E'a\\nb')", "copy t to stdout (format csv, escape 'xx')",
    ],  # fmt: skip
    "errors_with_fields": [
        "insert into t values (1, 'x')", "insert into t (a) values (9)", "insert into t values (9, null)",
        "insert into t values ('x', 'y')", "insert into t values (1)", "insert into t values (1, 'x', 12345678.9)",
        "select * from nothing", "select nothing from t", "select t.nothing from t", "select a from t group by b", "select nothing(1)",
        "select 1 + 'x'", "select 'a' || 1 + 2", "select '{' ::json", "select 'x'::int", "select * from t where a = 'x'",
        "select", "select from t where a = 1", "select 1 1", "select (", "insert into t", "update t set nothing = 1", "delete from nothing",
        "create table t (a int)", "drop table nothing", "select $1", "select 1/0", "select 2147483648::int", "select cast(300 as smallint) * 300::smallint",
    ],  # fmt: skip
    "isolation_bad": ["begin isolation level nothing", "set transaction isolation level", "begin read nothing"],
    "lock": ["lock table t", "begin; lock table nothing", "rollback"],
    "alter_own_table_in_block": ["begin", "insert into e values (1)", "alter table e add column z int default 3", "select * from e", "insert into e values (2, 'b', 4)", "commit", "select * from e order by a"],
}  # fmt: skip


@pytest.mark.parametrize("name", SIMPLE)
def test_simple_queries(pair: Pair, name: str) -> None:
    expected, ours = pair.answers(*(query(text) for text in SIMPLE[name]))
    assert ours == expected


# ── scenarios in the extended protocol, COPY FROM, and mixtures ────────────────────────────────────────────────────────

SELECT_T = "select a, b from t order by a"
BEGIN, COMMIT, ROLLBACK = query("begin"), query("commit"), query("rollback")
ALL_E = query("select * from e order by a")

EXTENDED: dict[str, list[bytes]] = {
    "plain": [run(SELECT_T), SYNC],
    "describe_statement": [parse("select a, b, c from t where a = $1 and b = $2", "s"), describe("S", "s"), SYNC],
    "describe_kinds": [
        b"".join(parse(sql) + describe("S") + bind() + describe() for sql in texts) + SYNC
        for texts in (
            ["insert into e values (1)", "update e set b = 'x' returning a, b", "delete from e", "select", ""],
            ["show work_mem", "show all", "begin", "set work_mem = '64MB'", "create table x (a int)", "values (1, 'x')"],
            ["explain select 1", "copy t to stdout", "table t", "vacuum", "lock table t"],
        )
    ],
    "describe_parameters": [
        parse(sql) + describe("S") + SYNC
        for sql in (
            "select $1", "select $1::int + $2", "select a from t where b like $1", "select a from t limit $1 offset $2",
            "insert into t values ($1, $2, $3)", "update t set b = $2 where a = $1", "select a from t where a = any($1)",
            "select a from t where a in ($1, $2)", "select coalesce($1, a) from t", "select $1 || 'x'", "select $1 is null",
            "select case when $1 then $2 else 'x' end", "select $2::text", "select $1::text, $1", "select length($1)", "select $1 = $2",
            "select now() - $1", "select array[$1, 2]", "insert into e select $1, $2", "select $3, $1", "delete from t where c > $1",
            "select ($1, $2) = (1, 'x'::text)", "select * from (values ($1, $2)) v(x, y)", "select jsonb '{}' -> $1",
            "select a from t where a between $1 and $2", "select $1 + 1, $1", "select date_trunc($1, now())",
        )
    ],
    "declared_types": [
        parse("select $1, $2", types=[23, 25]) + describe("S") + bind("1", "x") + execute() + SYNC,
        parse("select $1, $2", types=[0, 20]) + describe("S") + SYNC,
        parse("select $1", types=[705]) + describe("S") + SYNC,
        parse("select 1", types=[23]) + describe("S") + SYNC,
        parse("select 1", types=[23]) + bind() + SYNC,
        parse("select $1::text", types=[23]) + describe("S") + bind("5") + execute() + SYNC,
        parse("show work_mem", types=[23]) + describe("S") + SYNC,
    ],
    "errors_until_sync": [parse("select nothing"), bind(), describe(), execute(), SYNC, run("select 1"), SYNC],
    "errors_in_each_message": [
        parse("selec") + SYNC,
        parse("select 1; select 2") + SYNC,
        bind(name="none") + SYNC,
        describe("S", "none") + SYNC,
        describe("P", "none") + SYNC,
        execute(portal="none") + SYNC,
        parse("select $1::int") + bind() + SYNC,
        parse("select $1::int", "named") + bind(name="named") + SYNC,
        bind("1", "2", name="named") + SYNC,
        parse("select 1", "named") + SYNC,
        bind("1", name="named", portal="p") + bind("1", name="named", portal="p") + SYNC,
        close("S", "none") + close("P", "none") + SYNC,
        bind() + SYNC,
    ],
    "no_unnamed_statement": [bind() + SYNC, describe("S") + SYNC, describe() + SYNC, execute() + SYNC],
    "unnamed_statement_lost_by_simple_query": [parse("select 1"), SYNC, query("select 2"), bind() + SYNC],
    "unnamed_statement_lost_by_failed_parse": [parse("select 1"), SYNC, parse("selec"), SYNC, bind() + execute() + SYNC],
    "unnamed_portal_lost_by_simple_query": [BEGIN, parse("select 1"), bind(), SYNC, query("select 2"), execute() + SYNC, ROLLBACK],
    "named_statement_survives": [
        parse("select a from t where a = $1", "s") + SYNC,
        BEGIN,
        query("select 1/0"),
        ROLLBACK,
        bind("2", name="s") + execute() + SYNC,
    ],
    "bad_parameters": [
        parse("select $1::int") + bind("x") + SYNC,
        parse("select $1::int") + bind(b"\0\0\0", formats=[1]) + SYNC,
        parse("select $1::int") + bind(b"\0\0\0\0\0", formats=[1]) + SYNC,
        parse("select $1::int") + bind("99999999999") + SYNC,
        parse("select $1::text") + bind(b"\xff\xfe") + SYNC,
        parse("select $1::text") + bind(b"\xff\xfe", formats=[1]) + SYNC,
        parse("select $1::text") + bind(b"a\0b") + SYNC,
        parse("select $1::text") + bind(b"a\0b", formats=[1]) + SYNC,
        parse("select $1::bool") + bind("maybe") + SYNC,
        parse("select $1::numeric") + bind(b"\0\1", formats=[1]) + SYNC,
        parse("select $1::uuid") + bind("nothing") + SYNC,
        parse("select $1::uuid") + bind(b"123", formats=[1]) + SYNC,
        parse("select $1::date") + bind("2024-13-01") + SYNC,
        parse("select $1::timestamptz") + bind("x") + SYNC,
        parse("select $1::int[]") + bind("{1,x}") + SYNC,
        parse("select $1::int[]") + bind(b"\0\0\0\1", formats=[1]) + SYNC,
        parse("select $1::jsonb") + bind("{") + SYNC,
        parse("select $1::jsonb") + bind(b"\2{}", formats=[1]) + SYNC,
        parse("select $1::bytea") + bind("\\xzz") + SYNC,
        parse("select $1::interval") + bind("x") + SYNC,
        parse("select $1::float8") + bind("x") + SYNC,
        parse("select $1::bool") + bind(b"\2", formats=[1]) + execute() + SYNC,
        parse("select $1::varchar(2)") + bind("abc") + execute() + SYNC,
        parse("insert into t values ($1, $2, $3)") + bind("9", "x", "123456.78") + execute() + SYNC,
    ],
    "parameter_formats": [
        parse("select $1::int, $2::text") + bind(b"\0\0\0\5", "x", formats=[1, 0]) + execute() + SYNC,
        parse("select $1::int, $2::text") + bind(b"\0\0\0\5", b"x", formats=[1]) + execute() + SYNC,
        parse("select $1::int, $2::text") + bind("5", "x", formats=[0, 0, 0]) + SYNC,
        parse("select $1::int") + bind("5", formats=[2]) + SYNC,
        parse("select $1::int") + bind(None, formats=[1]) + execute() + SYNC,
    ],
    "result_formats": [
        parse("select a, b, c from t where a = 1") + bind(results=codes) + describe() + execute() + SYNC
        for codes in ([], [0], [1], [1, 0, 1], [0, 1], [0, 0, 0, 0])
    ],
    "result_formats_of_commands": [
        parse("show work_mem") + bind(results=[1]) + describe() + SYNC,
        parse("show server_version") + bind(results=[1]) + describe() + execute() + SYNC,
        parse("show server_version") + bind(results=[0, 0]) + describe() + execute() + SYNC,
        parse("insert into e values (1)") + bind(results=[1]) + describe() + execute() + SYNC,
        parse("insert into e values (2)") + bind(results=[1, 1]) + describe() + execute() + SYNC,
        parse("begin") + bind(results=[1]) + execute() + SYNC,
        parse("commit") + bind(results=[1, 0]) + execute() + SYNC,
    ],
    "empty": [run(""), run(" ; "), run("-- x"), SYNC],
    "suspended": [
        parse(SELECT_T) + bind() + execute(2) + execute(2) + execute(2) + execute(2) + SYNC,
        parse(SELECT_T) + bind() + execute(5) + execute(5) + SYNC,
        parse(SELECT_T) + bind() + execute(6) + execute(1) + execute() + SYNC,
        parse(SELECT_T) + bind() + execute(1) + execute() + SYNC,
        parse(SELECT_T) + bind() + execute(1) + SYNC + execute(1) + SYNC,
    ],
    "suspended_inline": [
        parse("select a from t where a = 1") + bind() + execute(1) + execute(1) + SYNC,
        parse("select a from t where a = 1") + bind() + execute(2) + execute(1) + SYNC,
        parse("select a from t where a = 99") + bind() + execute(1) + execute(1) + SYNC,
        parse("select a from t where a = 1") + bind() + execute() + execute() + SYNC,
        parse(SELECT_T) + bind() + execute() + execute() + execute(1) + SYNC,
    ],
    "suspended_returning": [
        parse("insert into e select g, 'x' from generate_series(1, 3) g returning a") + bind() + execute(1) + execute(1) + execute(1) + execute(1) + SYNC,
        ALL_E,
        parse("update e set b = 'y' returning a") + bind() + execute(2) + SYNC,
        ALL_E,
        parse("delete from e where a = 1 returning a") + bind() + execute(1) + execute(1) + SYNC,
        ALL_E,
    ],
    "run_twice": [
        parse("insert into e values (1)") + bind() + execute() + execute() + SYNC,
        ALL_E,
        parse("insert into e values (1) returning a") + bind() + execute() + execute() + SYNC,
        ALL_E,
        parse("show work_mem") + bind() + describe() + SYNC,
        parse("show server_version") + bind() + execute() + execute() + SYNC,
        parse("set application_name = 'x'") + bind() + execute() + execute() + SYNC,
        parse("") + bind() + execute() + execute() + SYNC,
        parse("values (1), (2)") + bind() + execute() + execute() + SYNC,
    ],
    "limits_of_commands": [
        parse("insert into e values (1)") + bind() + execute(1) + SYNC,
        parse("show server_version") + bind() + execute(1) + execute(1) + SYNC,
        parse("explain (costs off) select 1") + bind() + execute(1) + execute(1) + SYNC,
        parse("set application_name = 'x'") + bind() + execute(1) + SYNC,
    ],
    "portals_in_block": [
        BEGIN,
        parse(SELECT_T, "s") + bind(name="s", portal="p") + bind(name="s", portal="q") + execute(2, "p") + SYNC,
        execute(1, "q") + execute(1, "p") + SYNC,
        query("select 1"),
        execute(1, "p") + describe("P", "p") + SYNC,
        query("fetch 1 from p"),
        query("fetch 1 from q"),
        close("P", "p") + execute(1, "p") + SYNC,
        ROLLBACK,
        execute(1, "q") + SYNC,
    ],
    "portals_end_with_transaction": [
        BEGIN,
        parse(SELECT_T) + bind(portal="p") + execute(1, "p") + SYNC,
        COMMIT,
        execute(1, "p") + SYNC,
        parse(SELECT_T) + bind(portal="p") + execute(1, "p") + SYNC + execute(1, "p") + SYNC,
    ],
    "portals_of_failed_block": [
        BEGIN,
        parse(SELECT_T) + bind(portal="p") + execute(1, "p") + SYNC,
        query("select 1/0"),
        execute(1, "p") + SYNC,
        ROLLBACK,
    ],
    "statement_closed_portal_lives": [
        BEGIN,
        parse(SELECT_T, "s") + bind(name="s", portal="p") + close("S", "s") + execute(1, "p") + SYNC,
        execute(1, "p") + SYNC,
        parse("select 9", "s") + SYNC,
        ROLLBACK,
    ],
    "pipeline_one_segment": [
        run("insert into e values (1, 'x')") + run("insert into e values (2, 'y')") + run("select a from e order by a") + SYNC,
        ALL_E,
        run("insert into e values (3, 'x')") + run("insert into e values (3, 'y')") + run("select a from e order by a") + SYNC,
        ALL_E,
    ],
    "pipeline_several_segments": [
        run("insert into e values (1)") + SYNC + run("insert into e values (1)") + SYNC + run("insert into e values (2)") + SYNC,
        ALL_E,
    ],
    "pipeline_begin_in_segment": [
        run("begin") + run("insert into e values (1)") + SYNC,
        run("commit") + SYNC,
        run("begin") + run("insert into e values (2)") + run("commit") + run("insert into e values (3)") + run("select 1/0") + SYNC,
        ALL_E,
    ],
    "pipeline_insert_then_begin": [
        run("insert into e values (1)") + run("begin") + run("insert into e values (2)") + SYNC,
        run("rollback") + SYNC,
        ALL_E,
    ],
    "pipeline_insert_then_commit": [
        run("insert into e values (1)") + run("commit") + run("select 1/0") + SYNC,
        ALL_E,
        run("insert into e values (2)") + run("rollback") + SYNC,
        ALL_E,
    ],
    "segments_of_one_block": [
        run("begin") + SYNC,
        run("insert into e values (1)") + SYNC,
        run("select 1/0") + SYNC,
        run("select 1") + SYNC,
        parse("select 1") + SYNC,
        parse("") + bind() + execute() + SYNC,
        parse("rollback") + bind() + describe() + execute() + SYNC,
        ALL_E,
    ],
    "failed_block_messages": [
        parse("select 1", "s") + parse("rollback to a", "r") + SYNC,
        BEGIN,
        query("savepoint a"),
        query("select 1/0"),
        bind(name="s") + SYNC,
        describe("S", "s") + SYNC,
        describe("S", "r") + SYNC,
        close("S", "s") + SYNC,
        bind(name="r") + describe() + execute() + SYNC,
        parse("select 2") + bind() + execute() + SYNC,
        parse("commit") + bind() + execute() + SYNC,
    ],
    "failed_commit": [run("begin") + run("select 1/0") + SYNC, run("commit") + SYNC],
    "transaction_warnings": [run("begin") + run("begin") + run("commit") + run("commit") + SYNC, run("rollback") + SYNC, run("set local work_mem = '64MB'") + SYNC],
    "savepoints_in_segment": [
        run("savepoint a") + SYNC,
        run("begin") + run("savepoint a") + run("insert into e values (1)") + run("rollback to a") + run("insert into e values (2)") + run("release a") + run("commit") + SYNC,
        ALL_E,
    ],
    "settings": [
        run("set application_name = 'x'") + run("show application_name") + SYNC,
        run("set application_name = 'y'") + run("select 1/0") + SYNC,
        run("show application_name") + SYNC,
        run("begin") + run("set timezone = 'Asia/Tokyo'") + SYNC,
        run("rollback") + SYNC,
        run("set local timezone = 'Asia/Tokyo'") + run("show timezone") + SYNC,
        run("select set_config('timezone', 'Asia/Tokyo', true)") + run("show timezone") + SYNC,
        run("show timezone") + SYNC,
    ],
    "sql_prepare_and_protocol": [
        query("prepare p (int) as select b from t where a = $1"),
        describe("S", "p") + bind("3", name="p") + describe() + execute() + SYNC,
        parse("select 1", "p") + SYNC,
        parse("select $1::int + 1", "w") + SYNC,
        query("execute w(4)"),
        query("deallocate w"),
        bind("1", name="w") + SYNC,
        close("S", "p") + SYNC,
        query("execute p(1)"),
        parse("execute z", "q") + SYNC,
        query("prepare z as select a from t where a = 1"),
        parse("execute z") + describe("S") + bind() + describe() + execute() + SYNC,
        parse("deallocate z") + describe("S") + bind() + execute() + SYNC,
        parse("prepare k as select $1::text") + bind() + execute() + SYNC,
        query("execute k('v')"),
    ],
    "fetch_described": [
        BEGIN,
        query(f"declare c scroll cursor for {SELECT_T}"),
        parse("fetch 2 from c") + describe("S") + bind() + describe() + execute() + SYNC,
        parse("fetch 2 from c") + bind(results=[1]) + describe() + execute() + SYNC,
        parse("move 1 from c") + describe("S") + bind() + describe() + execute() + SYNC,
        parse("fetch backward all from c") + bind() + execute(2) + execute(2) + SYNC,
        parse("fetch 1 from nothing") + describe("S") + SYNC,
        ROLLBACK,
        parse("fetch 1 from c") + bind() + SYNC,
    ],
    "declare_with_parameters": [
        BEGIN,
        parse("declare c cursor for select a from t where a > $1 order by a", types=[23]) + describe("S") + bind("3") + execute() + SYNC,
        query("fetch all c"),
        ROLLBACK,
        parse("declare c cursor for select 1") + bind() + execute() + SYNC,
        run("declare c cursor with hold for select 1") + run("fetch c") + SYNC,
        query("fetch c"),
    ],
    "cursor_in_segment": [run("declare c cursor for select a from t order by a") + run("fetch 2 c") + SYNC, run("fetch c") + SYNC],
    "stale_plans": [
        parse("select * from t where a = 1", "s") + bind(name="s") + execute() + SYNC,
        query("alter table t add column d int default 4"),
        bind(name="s") + execute() + SYNC,
        describe("S", "s") + SYNC,
        parse("select a from t where a = $1", "q") + SYNC,
        query("alter table t alter column b type varchar(20)"),
        bind("2", name="q") + execute() + SYNC,
        query("drop table t"),
        bind("2", name="q") + SYNC,
        describe("S", "q") + SYNC,
        query("create table t (a int, z text)"),
        bind("2", name="q") + describe() + execute() + SYNC,
    ],
    "stale_plans_in_block": [
        BEGIN,
        query("create table n (x int)"),
        parse("insert into n values ($1)", "i") + bind("1", name="i") + execute() + SYNC,
        query("alter table n add column y int default 5"),
        bind("2", name="i") + execute() + SYNC,
        query("select * from n order by x"),
        ROLLBACK,
        bind("3", name="i") + execute() + SYNC,
    ],
    "search_path_replans": [
        query("create table session_protocol_other (a int, b text)"),
        parse("select b from t where a = 1", "s") + bind(name="s") + execute() + SYNC,
        query("set search_path = pg_catalog"),
        bind(name="s") + execute() + SYNC,
        query("reset search_path"),
        bind(name="s") + execute() + SYNC,
    ],
    "discard_all": [
        parse("select 1", "s") + SYNC,
        query("discard all"),
        bind(name="s") + SYNC,
        run("discard all") + SYNC,
        BEGIN,
        run("discard all") + SYNC,
        ROLLBACK,
    ],
    "copy_in": [query("copy e from stdin"), copy_data("1\tone\n2\ttwo\n"), COPY_DONE, ALL_E],
    "copy_in_pieces": [query("copy e from stdin"), copy_data("1\to"), copy_data("ne\n2"), copy_data("\ttwo"), COPY_DONE, ALL_E],
    "copy_in_end_marker": [query("copy e from stdin"), copy_data("1\tone\n\\.\n"), COPY_DONE, ALL_E],
    "copy_in_empty": [query("copy e from stdin"), COPY_DONE, query("copy e from stdin"), copy_data(""), COPY_DONE, ALL_E],
    "copy_in_fail": [query("copy e from stdin"), copy_data("1\tone\n"), copy_fail("no more"), ALL_E],
    "copy_in_fail_in_block": [BEGIN, query("copy e from stdin"), copy_data("1\tone\n"), copy_fail("no more"), ALL_E, COMMIT, ALL_E],
    "copy_in_bad_data": [query("copy e from stdin"), copy_data("x\tone\n"), COPY_DONE, ALL_E],
    "copy_in_bad_rows": [
        part
        for data in ("1\n", "1\ta\tb\n", "1\tx\n1\ty\n", "\\N\tx\n", "1\tx\n2", "99999999999\tx\n", "1\t\\xff\n", '1\t"\n')
        for part in (query("copy e from stdin"), copy_data(data), COPY_DONE, ALL_E, query("delete from e"))
    ],
    "copy_in_bad_data_then_more": [query("copy e from stdin"), copy_data("x\tone\n" * 20000), copy_data("1\tz\n"), COPY_DONE, ALL_E],
    "copy_in_several_statements": [
        query("insert into e values (1); copy e from stdin; select 7; copy e from stdin; select * from e order by a"),
        copy_data("2\ttwo\n"),
        COPY_DONE,
        copy_data("3\tthree\n"),
        COPY_DONE,
        ALL_E,
    ],
    "copy_in_several_statements_error": [
        query("insert into e values (1); copy e from stdin; select 7"),
        copy_data("1\ttwo\n"),
        COPY_DONE,
        ALL_E,
    ],
    "copy_in_extended": [
        parse("copy e from stdin") + describe("S") + bind() + describe() + execute() + copy_data("1\tone\n") + COPY_DONE + SYNC,
        ALL_E,
    ],
    "copy_in_extended_error": [
        parse("copy e from stdin") + bind() + execute() + copy_data("x\tone\n") + COPY_DONE + run("select 1") + SYNC,
        run("select 2") + SYNC,
        ALL_E,
    ],
    "copy_in_extended_fail": [
        parse("copy e from stdin") + bind() + execute() + copy_data("1\tone\n") + copy_fail("stop") + SYNC,
        ALL_E,
    ],
    "copy_in_extended_followed": [
        parse("copy e from stdin") + bind() + execute() + copy_data("1\tone\n") + COPY_DONE + run("select a from e") + SYNC,
        ALL_E,
    ],
    "copy_in_extended_sync_and_flush_ignored": [
        parse("copy e from stdin") + bind() + execute() + SYNC + FLUSH + copy_data("1\tone\n") + COPY_DONE + SYNC,
        ALL_E,
    ],
    "copy_in_targets": [
        query("copy nothing from stdin"),
        query("copy e (nothing) from stdin"),
        query("copy e (a, a) from stdin"),
        query("create view v as select 1 as x"),
        query("copy v to stdout"),
        query("create sequence s"),
        query("copy s to stdout"),
        query("begin read only; copy e from stdin"),
        ROLLBACK,
        query("copy (select 1) from stdin"),
    ],
    "copy_in_csv": [
        query("copy e (b, a) from stdin with (format csv, header match)"),
        copy_data('b,a\n"x, ""y""\nz",1\n,2\n"",3\n'),
        COPY_DONE,
        ALL_E,
        query("copy e from stdin (format csv, header match)"),
        copy_data("b,a\n"),
        COPY_DONE,
        query("copy e from stdin (format csv)"),
        copy_data('4,"x\n'),
        COPY_DONE,
    ],
    "copy_in_block": [BEGIN, query("copy e from stdin"), copy_data("1\tone\n"), COPY_DONE, ALL_E, ROLLBACK, ALL_E],
    "copy_in_failed_block": [BEGIN, query("select 1/0"), query("copy e from stdin"), ROLLBACK],
    "copy_out_extended": [parse("copy t (a) to stdout") + describe("S") + bind() + describe() + execute() + run("select 1") + SYNC],
    "copy_out_binary": [query("copy t to stdout (format binary)")],
    "copy_messages_when_none_is_expected": [copy_data("x"), COPY_DONE, copy_fail("x"), query("select 1"), run("select 2") + copy_data("x") + SYNC],
    "zero_columns": [run("select") + run("select from t where a < 3") + SYNC, parse("select from t") + bind(results=[1]) + describe() + execute(2) + execute() + SYNC],
    "error_at_commit_is_reported_once": [
        query("create table parent (a int primary key)"),
        query("create table child (a int references parent deferrable initially deferred)"),
        query("insert into child values (1)"),
        query("begin; insert into child values (1)"),
        COMMIT,
        run("begin") + run("insert into child values (1)") + run("commit") + run("select 1") + SYNC,
        query("insert into child values (1); select 1"),
        query("begin; insert into child values (1)"),
        query("set constraints all immediate"),
        query("commit and chain"),
        ROLLBACK,
        query("select * from child"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", EXTENDED)
@pytest.mark.parametrize("paced", [False, True], ids=["whole", "paced"])
def test_extended_queries(pair: Pair, name: str, paced: bool) -> None:
    expected, ours = pair.answers(*EXTENDED[name], paced=paced)
    assert ours == expected
