"""Every type against PostgreSQL: literals, good and bad, must give the same text, the same binary form or the same error.

Method: `INPUTS` lists literals by type (with modifiers as SQL writes them). Each goes to PostgreSQL as a cast and through our
`input`, `apply_typmod`, `output` and `send`; results are compared byte by byte, errors by SQLSTATE, message and detail. What
PostgreSQL sent back in binary is also fed to our decoder and must print the same. Nothing here was computed by our code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from frontend.errors import SqlError
from frontend.types.registry import TypeEntry, binary_decoder, text_decoder, text_encoder, type_by_name
from tests.frontend.fake_context import FakeContext
from tests.frontend.types.literals import INPUTS, STYLED
from tests.oracle import Oracle

Outcome = tuple[str, str, str | None]


@pytest.fixture(scope="module")
def connection(oracle: Oracle) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(oracle.dsn, autocommit=True, prepare_threshold=None) as connection:
        yield connection


def parse_type(name: str) -> tuple[TypeEntry, int]:
    """An entry and modifier from SQL such as "numeric(10,2)" or "timestamp(3) with time zone"."""
    match = re.match(r"([a-z0-9_\" ]+?)(?:\(([-0-9, ]+)\))?((?: with| without) time zone)?(\[\])?$", name)
    assert match, name
    base, modifiers, suffix, array = match.groups()
    if base.startswith("interval "):
        entry, modifiers = type_by_name("interval"), base[9:] + ("," + modifiers if modifiers else "")
    else:
        entry = type_by_name(base + (suffix or ""))
    if modifiers:
        typmod = entry.typmod_in([part.strip() for part in modifiers.split(",")])
    else:
        typmod = entry.typmod_in(["1"]) if base == "character" else -1
    return (type_by_name(entry.name + "[]") if array else entry), typmod


def ours(entry: TypeEntry, typmod: int, literal: str, context: FakeContext) -> tuple[Any, ...]:
    try:
        if entry.name in ("varchar", "bpchar"):  # a cast of a literal is an explicit one for these types
            value = entry.apply_typmod(entry.input(literal, -1, context), typmod, True)
        else:
            value = entry.input(literal, typmod, context)
        return "ok", entry.output(value, context), entry.send(value, context)
    except SqlError as error:
        return "error", error.sqlstate, error.message, error.detail


def theirs(connection: psycopg.Connection[Any], name: str, literal: str) -> tuple[Any, ...]:
    quoted = "E'" + literal.replace("\\", "\\\\").replace("'", "\\'") + "'"
    try:
        with psycopg.Cursor(connection) as cursor:
            cursor.execute(f"select {quoted}::{name}", binary=True)
            result = cursor.pgresult
            assert result is not None
            binary = result.get_value(0, 0)
            cursor.execute(f"select {quoted}::{name}")
            assert cursor.pgresult is not None
            text = cursor.pgresult.get_value(0, 0)
        return "ok", (text or b"").decode(), binary
    except psycopg.Error as error:
        diagnostic = error.diag
        return "error", diagnostic.sqlstate, diagnostic.message_primary, diagnostic.message_detail


@pytest.mark.parametrize("name", list(INPUTS))
def test_literals(connection: psycopg.Connection[Any], name: str) -> None:
    context = FakeContext()
    entry, typmod = parse_type(name)
    differences = []
    for literal in INPUTS[name]:
        expected = theirs(connection, name, literal)
        actual = ours(entry, typmod, literal, context)
        if expected != actual:
            differences.append(f"{literal!r}\n   PostgreSQL: {expected}\n   ours:       {actual}")
        elif expected[0] == "ok" and entry.sql_name not in ("record",):
            value = binary_decoder(entry.oid, -1, context)(expected[2])
            assert entry.output(value, context) == expected[1]
            encoded = text_encoder(entry.oid, context)(value)
            assert encoded.decode() == expected[1]
            assert entry.output(text_decoder(entry.oid, typmod, context)(encoded), context) == expected[1]
    assert not differences, "\n".join(differences)


@pytest.mark.parametrize("setting", list(STYLED), ids=str)
def test_styles(connection: psycopg.Connection[Any], setting: tuple[str, str]) -> None:
    variable, value = setting
    context = FakeContext()
    if variable == "datestyle":
        style, _, order = value.partition(", ")
        context.date_style = (style, order)
    elif variable == "extra_float_digits":
        context.extra_float_digits = int(value)
    elif variable == "timezone":
        context.time_zone = value
    else:
        setattr(context, variable if variable != "intervalstyle" else "interval_style", value)
    differences = []
    connection.execute(f"set {variable} = '{value}'")
    try:
        for name, literals in STYLED[setting].items():
            entry, typmod = parse_type(name)
            for literal in literals:
                expected = theirs(connection, name, literal)
                actual = ours(entry, typmod, literal, context)
                if expected != actual:
                    differences.append(f"{name} {literal!r}\n   PostgreSQL: {expected}\n   ours:       {actual}")
                elif expected[0] == "ok":
                    encoded = text_encoder(entry.oid, context)(entry.input(literal, typmod, context))
                    assert encoded.decode() == expected[1]
    finally:
        connection.execute(f"reset {variable}")
    assert not differences, "\n".join(differences)
