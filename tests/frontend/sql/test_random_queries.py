"""Goal: no combination of clauses gives other rows than PostgreSQL.

Method: hypothesis builds queries (joins of every kind, conditions with NULLs and subqueries, groups, DISTINCT, set operations,
order with limit) over three small tables full of NULLs and duplicates, with indexes on some columns; each runs in PostgreSQL and
here, as written and with its literals lifted, and the rows are compared as multisets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frontend.errors import SqlError
from tests.frontend.sql.engine import Engine
from tests.frontend.sql.oracle_catalog import read_catalog
from tests.oracle import Oracle

SCHEMA = """
create table r (id int primary key, a int, b int, s text);
create index r_a on r (a, b);
create table q (id bigint primary key, a int, b int not null, s text unique);
create index q_b on q (b desc);
create table w (a int, b int, s text, primary key (a, b));
"""
DATA = [
    "insert into r select i, nullif(i % 5, 0), nullif(i % 3, 1), nullif('s' || i % 4, 's2') from generate_series(1, 30) i",
    "insert into q select i, nullif(i % 7, 3), i % 4, nullif('s' || i, 's5') from generate_series(1, 20) i",
    "insert into w select i % 6, i, case when i % 2 = 0 then 's' || i % 3 end from generate_series(1, 24) i",
]


class Sides:
    def __init__(self, connection: psycopg.Connection[Any], engine: Engine) -> None:
        self.connection = connection
        self.engine = engine


@pytest.fixture(scope="module")
def sides(oracle: Oracle, tmp_path_factory: pytest.TempPathFactory) -> Sides:
    with psycopg.connect(oracle.dsn, autocommit=True) as setup:
        setup.execute("drop database if exists random_queries")
        setup.execute("create database random_queries")
    connection = psycopg.connect(oracle.dsn.replace("dbname=postgres", "dbname=random_queries"), autocommit=True)
    connection.execute(SCHEMA)
    engine = Engine(Path(tmp_path_factory.mktemp("view")) / "v", read_catalog(connection))
    for statement in DATA:
        connection.execute(statement)
        engine.run(statement)
    return Sides(connection, engine)


TABLES = ("r", "q", "w")
INTEGERS = ("a", "b")
number = st.integers(-1, 8).map(str)


def column(alias: str) -> st.SearchStrategy[str]:
    return st.sampled_from([f"{alias}.{name}" for name in INTEGERS])


def columns(aliases: list[str]) -> st.SearchStrategy[str]:
    return st.sampled_from([f"{alias}.{name}" for alias in aliases for name in INTEGERS])


@st.composite
def condition(draw: st.DrawFn, aliases: list[str], depth: int = 2) -> str:
    """A boolean expression over the columns of these aliases."""
    kind = draw(st.integers(0, 13 if depth else 8))
    left = draw(columns(aliases))
    operator = draw(st.sampled_from(["=", "<>", "<", "<=", ">", ">=", "="]))
    if kind <= 1:
        return f"{left} {operator} {draw(number)}"
    if kind == 2:
        return f"{left} {operator} {draw(columns(aliases))}"
    if kind == 3:
        return f"{left} is {draw(st.sampled_from(['', 'not ']))}null"
    if kind == 4:
        items = draw(st.lists(st.one_of(number, st.just("null")), min_size=1, max_size=6))
        return f"{left} {draw(st.sampled_from(['', 'not ']))}in ({', '.join(items)})"
    if kind == 5:
        return f"{left} between {draw(number)} and {draw(number)}"
    if kind == 6:
        alias = draw(st.sampled_from(aliases))
        operator = draw(st.sampled_from(["=", "<", ">", "like"]))
        return f"{alias}.s {operator} '{draw(st.sampled_from(['s1', 's%', 's3', 's1%']))}'"
    if kind == 7:
        return f"{left} + {draw(columns(aliases))} {operator} {draw(number)}"
    if kind == 8:
        return (
            f"{left} is {draw(st.sampled_from(['', 'not ']))}distinct from {draw(st.one_of(number, columns(aliases)))}"
        )
    if kind == 9:
        return f"not ({draw(condition(aliases, depth - 1))})"
    if kind <= 11:
        word = draw(st.sampled_from([" and ", " or "]))
        parts = draw(st.lists(condition(aliases, depth - 1), min_size=2, max_size=3))
        return "(" + word.join(parts) + ")"
    inner = draw(st.sampled_from(TABLES))
    negated = draw(st.sampled_from(["", "not "]))
    inside = draw(condition(["z"], 0))
    if kind == 12:
        link = f" and z.{draw(st.sampled_from(INTEGERS))} = {left}" if draw(st.booleans()) else ""
        return f"{negated}exists (select 1 from {inner} z where {inside}{link})"
    link = f" and z.{draw(st.sampled_from(INTEGERS))} < {draw(columns(aliases))}" if draw(st.booleans()) else ""
    return f"{left} {negated}in (select z.{draw(st.sampled_from(INTEGERS))} from {inner} z where {inside}{link})"


@st.composite
def from_clause(draw: st.DrawFn) -> tuple[str, list[str]]:
    count = draw(st.integers(1, 3))
    aliases = ["x", "y", "v"][:count]
    text = f"{draw(st.sampled_from(TABLES))} x"
    for place in range(1, count):
        alias = aliases[place]
        table = draw(st.sampled_from(TABLES))
        source = f"{table} {alias}"
        if draw(st.integers(0, 4)) == 0:
            source = f"(select * from {table} where {draw(condition([table], 0))}) {alias}"
        kind = draw(st.sampled_from(["join", "left join", "right join", "full join", "cross join"]))
        if kind == "cross join":
            text += f" cross join {source}"
            continue
        on = f"{draw(column(alias))} = {draw(columns(aliases[:place]))}"
        if draw(st.booleans()):
            on += f" and {draw(condition(aliases[: place + 1], 0 if kind == 'full join' else 1))}"
        text += f" {kind} {source} on {on}"
    return text, aliases


@st.composite
def select(draw: st.DrawFn) -> str:
    text, aliases = draw(from_clause())
    where = f" where {draw(condition(aliases))}" if draw(st.booleans()) else ""
    shape = draw(st.integers(0, 5))
    one, two = draw(columns(aliases)), draw(columns(aliases))
    if shape == 0:
        having = f" having count(*) > {draw(st.integers(0, 4))}" if draw(st.booleans()) else ""
        return f"select {one}, count(*), sum({two}), min({two}), count(distinct {two}) from {text}{where} group by {one}{having}"
    if shape == 1:
        return f"select distinct {one}, {two} from {text}{where}"
    if shape == 2:
        return f"select count(*), sum({one}), max({two}) from {text}{where}"
    if shape == 3:
        limit = draw(st.integers(0, 7))
        direction = draw(st.sampled_from(["", " desc", " desc nulls last", " nulls first"]))
        return (
            f"select {one} from {text}{where} order by {one}{direction} limit {limit} offset {draw(st.integers(0, 3))}"
        )
    if shape == 4:
        inner = draw(st.sampled_from(TABLES))
        return f"select {one}, (select max(z.b) from {inner} z where z.a = {two}) from {text}{where}"
    return f"select {one}, {two}, {aliases[-1]}.s from {text}{where}"


query = st.one_of(
    select(),
    select(),
    st.builds(
        lambda left, right, how: f"select a, b from {left} where b > 0 {how} select b, a from {right}",
        st.sampled_from(TABLES),
        st.sampled_from(TABLES),
        st.sampled_from(["union", "union all", "intersect", "intersect all", "except", "except all"]),
    ),
)


@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(sql=query)
def test_random_query(sides: Sides, sql: str) -> None:
    expected = outcome(lambda: sides.connection.execute(sql).fetchall())
    assert outcome(lambda: sides.engine.run(sql).rows) == expected, sql
    if isinstance(expected, Counter):
        assert outcome(lambda: sides.engine.run(sql, lifted=True).rows) == expected, sql


def outcome(run: Callable[[], list[Any]]) -> Counter[Any] | str | None:
    """The rows as a multiset of texts, or the SQLSTATE."""
    try:
        return Counter(tuple([None if value is None else str(value) for value in row]) for row in run())
    except psycopg.Error as error:
        return error.diag.sqlstate
    except SqlError as error:
        return error.sqlstate
