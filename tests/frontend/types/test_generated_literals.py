"""Generated literals, mostly nonsense, against PostgreSQL: parsers must accept, refuse and print exactly what it does.

Each type's literals are strung together at random (with a fixed seed) from pieces that mean something to its parser. Dates
and times are left to the listed literals: there PostgreSQL's errors for nonsense depend on the order of its checks.
"""

from __future__ import annotations

import random
from typing import Any

import psycopg
import pytest

from frontend.errors import SqlError
from frontend.types.registry import type_by_name
from tests.frontend.fake_context import FakeContext
from tests.frontend.functions.tables import attempt
from tests.oracle import Oracle

LITERALS_MAX = 800
_DIGITS = ["0", "1", "2", "5", "9", "12", ".", "e", "E", "+", "-", "_", " ", "x", "NaN", "inf", "0x", "000"]
_ARRAYS = ["{", "}", '"', ",", "\\", " ", "a", "NULL", "null", "1", "12", "[1:2]=", "{}", "{1,2}"]
_JSON = ["{", "}", "[", "]", '"', ",", ":", "\\", " ", "1", "-0", "1.5e3", "true", "null", '"a"', '"b":1', "\\u0041", "nul", "01", "\t"]  # fmt: skip
PIECES: dict[str, list[str]] = {
    "int4": _DIGITS,
    "int8": _DIGITS,
    "numeric": _DIGITS,
    "bool": ["t", "true", "f", "o", "on", "of", "y", "es", "n", "1", "0", " "],
    "int4[]": _ARRAYS,
    "text[]": _ARRAYS,
    "json": _JSON,
    "jsonb": _JSON,
    "bytea": ["\\", "x", "0", "12", "a", "\\x", "\\000", "'", " ", "377", "é"],
    "uuid": ["a0ee", "-", "{", "}", "bc99", "0" * 8, "1" * 16, "g"],
}


@pytest.mark.parametrize("name", list(PIECES))
def test_generated_literals(oracle: Oracle, name: str) -> None:
    generator = random.Random(name)
    literals = sorted(
        {"".join(generator.choice(PIECES[name]) for _ in range(generator.randint(1, 8))) for _ in range(LITERALS_MAX)}
    )
    quoted = ["E'" + literal.replace("\\", "\\\\").replace("'", "\\'") + "'" for literal in literals]
    with psycopg.connect(oracle.dsn, autocommit=True) as connection:
        expected = attempt(connection, [f"select {literal}::{name}" for literal in quoted])
    entry, context = type_by_name(name), FakeContext()
    report = []
    for literal, wanted in zip(literals, expected, strict=True):
        found: Any
        try:
            found = entry.output(entry.input(literal, -1, context), context)
        except SqlError as error:
            found = (error.sqlstate, error.message)
        if name == "bool" and isinstance(found, str):
            found = "true" if found == "t" else "false"
        if found != wanted:
            report.append(f"{literal!r}\n    PostgreSQL: {wanted!r}\n    ours:       {found!r}")
    assert not report, "\n".join(report)
