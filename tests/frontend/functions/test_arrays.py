"""Goal: array functions, generate_series and hash functions give PostgreSQL's results and errors.

Method: tables of (signature, arguments) run on both sides.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.frontend.functions.comparison import Argument, check, connect
from tests.oracle import Oracle


@pytest.fixture(scope="module")
def connection(oracle: Oracle) -> Iterator[psycopg.Connection[Any]]:
    with connect(oracle.dsn) as opened:
        yield opened


ARRAYS = ("{}", "{1}", "{1,2,NULL,2}", "{{1,2},{3,4}}", "{{{1},{2}}}", "{NULL}", None)


@pytest.mark.parametrize("text", ARRAYS)
def test_integer_arrays(connection: psycopg.Connection[Any], text: str | None) -> None:
    array = ("_int4", text)
    for name in ("array_ndims", "array_dims", "cardinality"):
        check(connection, f"{name}(anyarray)", array)
    for dimension in ("0", "1", "2", "4", None):
        for name in ("array_length", "array_lower", "array_upper"):
            check(connection, f"{name}(anyarray,int4)", array, dimension)
        check(connection, "generate_subscripts(anyarray,int4)", array, dimension)
        check(connection, "generate_subscripts(anyarray,int4,bool)", array, dimension, "t")
    check(connection, "unnest(anyarray)", array, returns="int4")
    for value in ("2", "9", None):
        element = ("int4", value)
        check(connection, "array_append(anycompatiblearray,anycompatible)", array, element, returns="_int4")
        check(connection, "array_prepend(anycompatible,anycompatiblearray)", element, array, returns="_int4")
        check(connection, "array_remove(anycompatiblearray,anycompatible)", array, element, returns="_int4")
        check(connection, "array_position(anycompatiblearray,anycompatible)", array, element)
        check(connection, "array_position(anycompatiblearray,anycompatible,int4)", array, element, "3")
        check(connection, "array_position(anycompatiblearray,anycompatible,int4)", array, element, None)
        check(connection, "array_positions(anycompatiblearray,anycompatible)", array, element)
        for new in ("7", None):
            check(
                connection,
                "array_replace(anycompatiblearray,anycompatible,anycompatible)",
                array,
                element,
                ("int4", new),
                returns="_int4",
            )
    for count in ("0", "1", "9", "-1"):
        check(connection, "trim_array(anyarray,int4)", array, count, returns="_int4")
    for other in ARRAYS:
        check(connection, "array_cat(anycompatiblearray,anycompatiblearray)", array, ("_int4", other), returns="_int4")
        for name in ("arraycontains", "arraycontained", "arrayoverlap"):
            check(connection, f"{name}(anyarray,anyarray)", array, ("_int4", other))


CASES: list[tuple[str, list[tuple[Argument, ...]], str | None]] = [
    ("array_position(anycompatiblearray,anycompatible)", [(("_numeric", "{1.0,2}"), ("numeric", "1.00")), (("_text", "{a,b}"), ("text", "b")), (("int2vector", "3 4"), ("int2", "4"))], None),
    ("arraycontains(anyarray,anyarray)", [(("_numeric", "{1.0,2}"), ("_numeric", "{2.00}")), (("_float8", "{NaN}"), ("_float8", "{NaN}"))], None),
    ("array_lower(anyarray,int4)", [(("int2vector", "3 4"), "1")], None),
    ("array_upper(anyarray,int4)", [(("int2vector", "3 4"), "1")], None),
    ("generate_subscripts(anyarray,int4)", [(("int2vector", "3 4"), "1")], None),
    ("unnest(anyarray)", [(("int2vector", "3 4"),)], "int2"),
    ("array_to_string(anyarray,text)", [(("int2vector", "3 4"), ",")], None),
    ("array_fill(anyelement,_int4)", [(("int4", "7"), "{2,3}"), (("int4", None), "{2}"), (("int4", "7"), "{}"), (("int4", "7"), None), (("int4", "7"), "{-1}"), (("int4", "7"), "{NULL}"), (("int4", "7"), "{{1}}"), (("int4", "7"), "{0}"), (("int4", "7"), "{1,1,1,1,1,1,1}"), (("int4", "7"), "{100000,100000}")], "_int4"),
    ("array_fill(anyelement,_int4,_int4)", [(("int4", "7"), "{2}", "{1}"), (("int4", "7"), "{2}", "{1,1}"), (("int4", "7"), "{2}", None)], "_int4"),
    ("generate_series(int4,int4)", [("1", "3"), ("3", "1"), ("2147483646", "2147483647")], None),
    ("generate_series(int4,int4,int4)", [("1", "10", "4"), ("3", "1", "-1"), ("1", "2", "0"), ("1", None, "1")], None),
    ("generate_series(int8,int8,int8)", [("9223372036854775805", "9223372036854775807", "2")], None),
    ("generate_series(numeric,numeric)", [("1.5", "4"), ("NaN", "4"), ("1", "Infinity")], None),
    ("generate_series(numeric,numeric,numeric)", [("1", "2", "0.25"), ("2", "1", "-0.50"), ("1", "2", "0"), ("1", "2", "NaN")], None),
    ("hashtext(text)", [("",), ("a",), ("hello world, this is long",), ("äöü",), ("x" * 12,), ("x" * 11,), ("x" * 24,)], None),
    ("hashtextextended(text,int8)", [("a", "0"), ("hello world abc", "42"), ("a", "-1")], None),
    ("hashint4(int4)", [("0",), ("-1",), ("12345",)], None),
    ("hashint4extended(int4,int8)", [("7", "0"), ("7", "99")], None),
    ("hashint8(int8)", [("0",), ("-1",), ("12345678901234",), ("-12345678901234",)], None),
    ("hashint8extended(int8,int8)", [("-12345678901234", "5")], None),
    ("hashbpchar(bpchar)", [("a  ",)], None),
    ("pg_size_pretty(int8)", [(str(sign * size),) for sign in (1, -1) for size in (0, 1, 10239, 10240, 10241, 20479, 1048576, 10485247, 10485248, 10737418240, 2**60, 2**63 - 1)], None),
    ("pg_size_pretty(numeric)", [("10239.5",), ("10240",), ("-10485248.7",), ("12345678901234567890123",), ("1.10",)], None),
    ("pg_size_bytes(text)", [("1 kB",), ("1.5MB",), ("-3 GB ",), ("7",), ("1e3 kb",), ("1 x",), ("",), ("abc",), ("10000000 PB",), (".5 kB",), ("2B",)], None),
    ("num_nulls(any)", [(("int4", "1"), ("int4", None), ("text", None))], None),
    ("num_nonnulls(any)", [(("int4", "1"), ("int4", None), ("text", None))], None),
    ("pg_typeof(any)", [(("int4", "1"),), (("_text", None),), (("timestamptz", None),)], None),
    ("pg_column_size(any)", [(("int4", "1"),), (("text", "abc"),), (("bytea", "\\x0102"),), (("uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),), (("_int4", "{1,2}"),), *(((("numeric", text),)) for text in ("1.5", "0", "12345.678", "10000", "0.0001", "NaN", "1e20"))], None),
    ("format_type(oid,int4)", [("23", None), ("1043", "14"), ("1042", "-1"), ("1700", "655366"), (None, "1"), ("0", None), ("999999", None), ("1015", "14"), ("1184", "3")], None),
    ("pg_encoding_to_char(int4)", [("6",), ("0",), ("41",), ("99",), ("-1",)], None),
    ("pg_char_to_encoding(name)", [("UTF8",), ("utf-8",), ("nope",), ("latin1",)], None),
    ("pg_encoding_max_length(int4)", [("6",), ("0",), ("99",)], None),
    ("pg_input_is_valid(text,text)", [("5", "int4"), ("x", "integer"), ("abcd", "varchar(3)"), ("1.5", "numeric(3,1)"), ("1000", "numeric(3,1)"), ("x", "nope"), ("{1,2}", "int4[]")], None),
    ("to_regtype(text)", [("int4",), ("nope",), ("timestamp with time zone",)], None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("signature", "cases", "returns"), CASES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_cases(
    connection: psycopg.Connection[Any], signature: str, cases: list[tuple[Argument, ...]], returns: str | None
) -> None:
    for arguments in cases:
        check(connection, signature, *arguments, returns=returns)
