"""Goal: long histories of changes leave tables, indexes and foreign keys as PostgreSQL leaves them.

Method: seeded random INSERTs (ON CONFLICT too), UPDATEs and DELETEs of a table with unique, composite and partial indexes and a
child that cascades, each committed on both sides; outcome (rows or SQLSTATE) is compared after each, the content, by scan and
through every index, after every tenth. Key changes name one row, because the order in which several rows change their keys
decides about duplicates, and that order is nobody's promise.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from frontend.errors import SqlError
from tests.frontend.sql.engine import Engine
from tests.frontend.sql.oracle_catalog import read_catalog
from tests.oracle import Oracle

SCHEMA = """
create table k (id int primary key, a int unique, b int, c text);
create index k_bc on k (b, c);
create index k_d on k (b desc) where a > 3;
create table ch (id int primary key, kid int references k on delete cascade on update cascade);
"""
CHECKS = (
    "select * from k",
    "select * from ch",
    "select id from k where b = 2",
    "select id from k where a > 3 and b > 0",
    "select id from k where a = 5",
    "select id, c from k where b = 1 and c > 'b'",
)
STATEMENTS = 600


def statement(chance: random.Random) -> str:
    """A random change."""

    def number() -> str:
        return "null" if chance.random() < 0.1 else str(chance.randint(0, 12))

    where = chance.choice(
        [
            f"id = {number()}",
            f"a = {number()}",
            f"b = {number()}",
            f"b > {number()}",
            f"id between {number()} and {number()}",
            f"b = {number()} and c < 'm'",
            "a > 3 and b > 2",
        ]
    )
    return chance.choice(
        [
            f"insert into k values ({number()}, {number()}, {number()}, '{chance.choice('abmxyz')}') returning *",
            f"insert into k select x, x + 1, x % 3, 'q' from generate_series({number()}, {number()}) x on conflict do nothing",
            f"insert into k values ({number()}, {number()}, {number()}, 'z') on conflict (id) do update"
            " set b = excluded.b + 1, a = k.a + 20 returning id, b",
            f"insert into k values ({number()}, {number()}, {number()}, 'z') on conflict (a) do update"
            " set c = k.c || 'u' returning *",
            f"update k set b = b + 1 where {where} returning *",
            f"update k set a = a + 40, c = c || 'x' where {where} and a < 14",
            f"update k set id = id + 13 where id = {number()}",
            f"update k set a = null where {where} returning id",
            f"update k set id = {number()}, a = {number()} where id = {number()}",
            f"delete from k where {where} returning *",
            "delete from k where id > 14",
            f"insert into ch values ({number()}, {number()})",
            f"delete from ch where kid = {number()} returning *",
            f"update ch set kid = {number()} where id = {number()}",
        ]
    )


def outcome(run: Callable[[], list[Any]]) -> Counter[Any] | str | None:
    """The rows as a multiset of texts, or the SQLSTATE."""
    try:
        return Counter(tuple([None if value is None else str(value) for value in row]) for row in run())
    except psycopg.Error as error:
        return error.diag.sqlstate
    except SqlError as error:
        return error.sqlstate


@pytest.mark.parametrize("seed", [1, 2])
def test_history(oracle: Oracle, tmp_path: Path, seed: int) -> None:
    with psycopg.connect(oracle.dsn, autocommit=True) as setup:
        setup.execute("drop database if exists random_changes")
        setup.execute("create database random_changes")
    with psycopg.connect(oracle.dsn.replace("dbname=postgres", "dbname=random_changes"), autocommit=True) as connection:
        connection.execute(SCHEMA)
        engine = Engine(tmp_path / "v", read_catalog(connection))

        def theirs(sql: str) -> list[Any]:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

        chance = random.Random(seed)
        for number in range(STATEMENTS):
            sql = statement(chance)
            mine, other = outcome(lambda sql=sql: engine.run(sql).rows), outcome(lambda sql=sql: theirs(sql))  # type: ignore[misc]
            assert mine == other, (number, sql)
            if number % 10 == 0:
                for check in CHECKS:
                    assert Counter(engine.run(check).rows) == outcome(lambda check=check: theirs(check)), (
                        number,
                        check,
                    )  # type: ignore[misc]
