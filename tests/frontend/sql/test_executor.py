"""Goal: statements give PostgreSQL's rows, row counts and errors.

Method: one schema with data in a real PostgreSQL; Boreal takes its catalog from there and loads the same data through its own
INSERTs. Every query of `executor_statements` runs on both; rows are compared in their text forms, in order where the statement
orders them totally, else as multisets. Every change runs in a transaction of its own on both sides, its outcome is compared
with the full content of the tables it may touch, and it is rolled back. Errors must agree in SQLSTATE, message and detail.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from frontend.errors import SqlError
from tests.frontend.sql.engine import Engine
from tests.frontend.sql.executor_statements import CHANGES, DATA, QUERIES, SCHEMA
from tests.frontend.sql.oracle_catalog import read_catalog
from tests.oracle import Oracle

TABLES = (
    "acct", "emp", "nopk", "loose", "gen", "uniq", "parent", "child_r", "child_c", "child_n", "child_d", "tree", "defer_c",
    "pair", "big",
)  # fmt: skip

# Known differences: statement → why.
DIFFERENT: dict[str, str] = {}


def split(text: str) -> list[str]:
    """Statements end with a semicolon at the end of a line."""
    return [part.strip() for part in text.strip().split(";\n") if part.strip()]


class Pair:
    """The two databases."""

    def __init__(self, connection: psycopg.Connection[Any], engine: Engine) -> None:
        self.connection = connection
        self.engine = engine


@pytest.fixture(scope="module")
def pair(oracle: Oracle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with psycopg.connect(oracle.dsn, autocommit=True) as setup:
        setup.execute("drop database if exists executor_tests")
        setup.execute("create database executor_tests")
    dsn = oracle.dsn.replace("dbname=postgres", "dbname=executor_tests")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(SCHEMA)
        connection.execute(DATA)
        engine = Engine(Path(tmp_path_factory.mktemp("view")) / "v", read_catalog(connection))
        for statement in split(DATA):
            engine.run(statement.rstrip(";"))
        yield Pair(connection, engine)


Outcome = tuple[Any, ...]


def theirs(connection: psycopg.Connection[Any], sql: str) -> Outcome:
    cursor = connection.cursor()
    try:
        cursor.execute(sql)
    except psycopg.Error as error:
        return ("error", error.diag.sqlstate, error.diag.message_primary, error.diag.message_detail)
    result = cursor.pgresult
    assert result is not None
    rows = [
        tuple(
            [
                None if (value := result.get_value(row, column)) is None else value.decode()
                for column in range(result.nfields)
            ]
        )
        for row in range(result.ntuples)
    ]
    return (
        "rows",
        rows,
        int(result.command_tuples or 0)
        if result.nfields == 0 or b"SELECT" not in (result.command_status or b"")
        else 0,
    )


def ours(engine: Engine, sql: str) -> Outcome:
    try:
        result = engine.run(sql)
    except SqlError as error:
        return ("error", error.sqlstate, error.message, error.detail)
    return ("rows", result.rows, result.processed)


def same(sql: str, mine: Outcome, other: Outcome) -> None:
    assert mine[0] == other[0], (sql, mine, other)
    if mine[0] == "error":
        assert mine[1:] == other[1:], sql
        return
    if "order by" in sql.rsplit(")", 1)[-1]:
        assert mine[1] == other[1], sql
    else:
        assert Counter(mine[1]) == Counter(other[1]), (sql, mine[1][:10], other[1][:10])
    assert mine[2] == other[2], sql


@pytest.mark.parametrize("sql", split(QUERIES))
def test_query(pair: Pair, sql: str) -> None:
    sql = sql.rstrip(";")
    if sql in DIFFERENT:
        pytest.skip(DIFFERENT[sql])
    same(sql, ours(pair.engine, sql), theirs(pair.connection, sql))


@pytest.mark.parametrize("sql", split(QUERIES))
def test_query_with_lifted_literals(pair: Pair, sql: str) -> None:
    """The same through parameters, as the simple protocol does it; what cannot be lifted is bound as it is written."""
    sql = sql.rstrip(";")
    if sql in DIFFERENT:
        pytest.skip(DIFFERENT[sql])
    try:
        mine: Outcome = ("rows", pair.engine.run(sql, lifted=True).rows, 0)
    except SqlError:
        mine = ours(pair.engine, sql)
    same(sql, mine, theirs(pair.connection, sql))


@pytest.mark.parametrize("sql", split(CHANGES))
def test_change(pair: Pair, sql: str) -> None:
    sql = sql.rstrip(";")
    if sql in DIFFERENT:
        pytest.skip(DIFFERENT[sql])
    engine, connection = pair.engine, pair.connection
    engine.begin()
    try:
        with connection.transaction(force_rollback=True):
            mine, other = ours(engine, sql), theirs(connection, sql)
            same(sql, mine, other)
            if mine[0] == "error":
                return
            for table in TABLES:
                check = f"select * from {table}"
                same(f"{sql} → {check}", ours(engine, check), theirs(connection, check))
            _same_by_index(engine, sql)
    finally:
        engine.rollback()


def _same_by_index(engine: Engine, sql: str) -> None:
    """What the indexes say is what the tables say."""
    for by_index, by_scan in (
        ("select id from emp where dept_id = 1", "select id from emp where dept_id + 0 = 1"),
        (
            "select id from emp where salary > 300 and salary < 1000",
            "select id from emp where salary + 0 > 300 and salary + 0 < 1000",
        ),
        ("select id from emp where note = 'n2'", "select id from emp where note || '' = 'n2'"),
        ("select id from big where k = 8", "select id from big where k + 0 = 8"),
        ("select id from uniq where a = 9", "select id from uniq where a + 0 = 9"),
        ("select id from child_c where parent_id = 33", "select id from child_c where parent_id + 0 = 33"),
    ):
        assert Counter(engine.run(by_index).rows) == Counter(engine.run(by_scan).rows), (sql, by_index)
