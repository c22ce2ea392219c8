"""Type names and modifiers against PostgreSQL: format_type, regtype input, and what a column's declaration stores."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from frontend.errors import SqlError
from frontend.types.facts import type_facts
from frontend.types.registry import format_type, type_by_name
from tests.oracle import Oracle

DECLARED: dict[str, tuple[str, list[str]]] = {
    "varchar(10)": ("varchar", ["10"]),
    "char(3)": ("bpchar", ["3"]),
    "numeric(10,2)": ("numeric", ["10", "2"]),
    "numeric(10)": ("numeric", ["10"]),
    "numeric(5,-2)": ("numeric", ["5", "-2"]),
    "numeric(3,5)": ("numeric", ["3", "5"]),
    "timestamp(3)": ("timestamp", ["3"]),
    "timestamptz(0)": ("timestamptz", ["0"]),
    "time(2)": ("time", ["2"]),
    "timetz(6)": ("timetz", ["6"]),
    "interval(3)": ("interval", ["3"]),
    "interval year to month": ("interval", ["YEAR TO MONTH"]),
    "interval day to second(2)": ("interval", ["DAY TO SECOND", "2"]),
    "interval month": ("interval", ["MONTH"]),
    "interval second(4)": ("interval", ["SECOND", "4"]),
}
REFUSED: dict[str, tuple[str, list[str]]] = {
    "varchar(0)": ("varchar", ["0"]),
    "varchar(10485761)": ("varchar", ["10485761"]),
    "char(0)": ("bpchar", ["0"]),
    "numeric(0)": ("numeric", ["0"]),
    "numeric(1001)": ("numeric", ["1001"]),
    "numeric(5,1001)": ("numeric", ["5", "1001"]),
    "numeric(1,2,3)": ("numeric", ["1", "2", "3"]),
    "int4(5)": ("int4", ["5"]),
    "text(5)": ("text", ["5"]),
    "date(3)": ("date", ["3"]),
}


def test_every_type_is_written_as_postgresql_writes_it(oracle: Oracle) -> None:
    with psycopg.connect(oracle.dsn) as connection:
        rows = connection.execute(
            "select oid, format_type(oid, null), format_type(oid, -1) from pg_type where typnamespace = 'pg_catalog'::regnamespace"
        ).fetchall()
    facts = type_facts()
    known = [row for row in rows if row[0] in facts and (facts[row[0]].element or row[0]) in facts]
    assert len(known) > 150
    assert [(oid, format_type(oid, None), format_type(oid, -1)) for oid, _, _ in known] == known


def test_modifiers_are_stored_and_printed_alike(oracle: Oracle) -> None:
    with psycopg.connect(oracle.dsn) as connection:
        columns = ", ".join(f"c{place} {name}" for place, name in enumerate(DECLARED))
        connection.execute(f"create temp table declared ({columns})".encode())
        rows: list[tuple[int, int, str]] = connection.execute(
            "select atttypid, atttypmod, format_type(atttypid, atttypmod) from pg_attribute "
            "where attrelid = 'declared'::regclass and attnum > 0 order by attnum"
        ).fetchall()
    for (name, modifiers), (oid, typmod, text) in zip(DECLARED.values(), rows, strict=True):
        entry = type_by_name(name)
        assert (entry.oid, entry.typmod_in(modifiers), format_type(oid, typmod)) == (oid, typmod, text)


@pytest.mark.parametrize("declaration", list(REFUSED))
def test_impossible_modifiers_are_refused_alike(oracle: Oracle, declaration: str) -> None:
    name, modifiers = REFUSED[declaration]
    with psycopg.connect(oracle.dsn) as connection, pytest.raises(psycopg.Error) as expected:
        connection.execute(f"create temp table refused (c {declaration})".encode())
    with pytest.raises(SqlError) as found:
        type_by_name(name).typmod_in(modifiers)
    diagnostic = expected.value.diag
    assert (found.value.sqlstate, found.value.message) == (diagnostic.sqlstate, diagnostic.message_primary)


@pytest.mark.parametrize(
    "name",
    ["int", "integer", "int8", "bigint", "smallint", "real", "float8", "double precision", "decimal", "numeric", "text", "varchar", "character varying", "char", "character", "bpchar", '"char"', "boolean", "bool", "date", "time", "timetz", "time with time zone", "timestamp", "timestamp without time zone", "timestamp with time zone", "timestamptz", "interval", "uuid", "json", "jsonb", "bytea", "int[]", "text[]", "character varying[]", "_int4", "oid", "name", "regclass", "float"],
)  # fmt: skip
def test_names_find_their_types(oracle: Oracle, name: str) -> None:
    with psycopg.connect(oracle.dsn) as connection:
        row: Any = connection.execute("select %s::regtype::oid", [name]).fetchone()
    assert type_by_name(name).oid == row[0]
