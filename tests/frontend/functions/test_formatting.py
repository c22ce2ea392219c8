"""Goal: to_char, to_number, to_date and to_timestamp read and write PostgreSQL's templates.

Method: every template over every value, on both sides.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.frontend.functions.comparison import check, connect
from tests.oracle import Oracle


@pytest.fixture(scope="module")
def connection(oracle: Oracle) -> Iterator[psycopg.Connection[Any]]:
    with connect(oracle.dsn) as opened:
        yield opened


NUMBERS = (
    "0",
    "1",
    "-1",
    "12",
    "-12.34",
    "0.5",
    "-0.1",
    "485",
    "148.5",
    "1485",
    "-485.8",
    "0.05",
    "12.45",
    "999.99",
    "1234567.891",
    "-0.004",
    "100",
)
NUMBER_TEMPLATES = (
    "999", "9.99", "99.99", "0999", "FM999", "FM990.99", "FM9.99", "FM0.09", "999,999", "9,999.99", "9G999D99", "999MI", "MI999", "FM999MI", "PL999", "999PL", "SG999",
    "999SG", "S999", "999S", "S99.9", "99.9S", "999PR", "FM999PR", "999.99PR", "9V9", "99V999", "L999", "999th", "999TH", "FM999th", "RN", "FMRN", "rn", "9.9EEEE", "9.999EEEE", "B999",
    '"Good number:"999', '999 "x"', "99 99", "000.000", "FM000.000", "0.9", "FM0.9", ".99", "99.", "FM99.", "0000000", "FM9999999.99999", "9999999.99999", "FMS999.9", "00S", "S00.00", "x9y", "",
)  # fmt: skip


@pytest.mark.parametrize("template", NUMBER_TEMPLATES)
def test_numbers(connection: psycopg.Connection[Any], template: str) -> None:
    for number in NUMBERS:
        check(connection, "to_char(numeric,text)", number, template)
        check(connection, "to_char(float8,text)", number, template)
        if "." not in number:
            check(connection, "to_char(int4,text)", number, template)
            check(connection, "to_char(int8,text)", number, template)


@pytest.mark.parametrize("template", ["EEEE9", "9PR9", "S9S", "SMI9", "9.9.9", "V9.9", "9.V", "SPR", "PRS", "FM9EEEE"])
def test_contradictions(connection: psycopg.Connection[Any], template: str) -> None:
    check(connection, "to_char(int4,text)", "5", template)


def test_to_number(connection: psycopg.Connection[Any]) -> None:
    for text, template in (
        ("12,454.8-", "99G999D9S"), ("-34,338,492", "99G999G999"), ("-34,338,492.654,878", "99G999G999D999G999"), ("<564646.654564>", "999999.999999PR"), ("0.00001-", "9.999999S"),
        ("5.01-", "FM9.999999S"), ("5.01-", "FM9.999999MI"), ("5 4 4 4 4 8 . 7 8", "9 9 9 9 9 9 . 9 9"), (".01", "FM9.99"), (".0", "99999999.99999999"), ("0", "99.99"), (".-01", "S99.99"),
        (".01-", "99.99S"), (" . 0 1-", " 9 9 . 9 9 S"), ("34,50", "999,99"), ("123,000", "999G"), ("123456", "999G999"), ("$1234.56", "L9,999.99"), ("$1,234.56", "L99,999.99"), ("1234.56", "L99,999.99"),
        ("42nd", "99th"), ("123456", "99999V99"), ("12345", "99"), ("abc", "99"), ("", "99"), ("1", ""), ("5", "RN"), ("5", "9EEEE"), ("-5", "MI9"), ("+5", "SG9"), ("  12", "99"), ("1.239", "9.99"),
    ):  # fmt: skip
        check(connection, "to_number(text,text)", text, template)
