"""Goal: aggregates give PostgreSQL's values, result types and scales, also over no rows and over NULLs.

Method: differential against the oracle; accumulators and their inline templates alike. Ordered-set aggregates and window
functions against the oracle with the rows sorted here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import psycopg
import pytest

import frontend.functions
from frontend.functions.registry import AGGREGATES, WINDOWS, WindowPartition
from tests.frontend.functions.comparison import check_aggregate, connect
from tests.oracle import Oracle

INTEGERS: tuple[list[str | None], ...] = (
    ["1", "2", None, "4"],
    ["7"],
    ["7", "7"],
    ["-5", "3", "100", "32767", "-32768"],
    [None, None],
    ["0", "0", "0"],
    ["1", "2", "3", "4", "5", "6", "7", "8", "9", "9999"],
    [],
)
BIGINTS: tuple[list[str | None], ...] = (
    ["9223372036854775807", "9223372036854775807", "1"],
    ["-9223372036854775808", "-3"],
)
NUMERICS: tuple[list[str | None], ...] = (
    ["1.0", "1.00", None, "2"],
    ["0.001", "0.0002", "12345.678"],
    ["NaN", "1"],
    ["Infinity", "1"],
    ["Infinity", "-Infinity", "3"],
    ["1e30", "-1e-30", "5"],
    ["0.00", "0.0"],
    ["-1.5", "1.5"],
    ["99999999999999999999.123456789", "0.000000000000001"],
    ["3"],
    ["10000", "10000.5", "9999"],
    [],
)
FLOATS: tuple[list[str | None], ...] = (
    ["1.5", "2.25", None],
    ["0.1", "0.2", "0.3"],
    ["NaN", "1"],
    ["Infinity", "1"],
    ["Infinity", "-Infinity"],
    ["1"],
    ["1e20", "1", "-1e20"],
    ["-0", "0"],
    [],
)
SPREADS = ("avg", "variance", "var_samp", "var_pop", "stddev", "stddev_samp", "stddev_pop")


@pytest.fixture(scope="module")
def connection(oracle: Oracle) -> Iterator[psycopg.Connection[Any]]:
    with connect(oracle.dsn) as opened:
        yield opened


@pytest.mark.parametrize("name", ["sum", "min", "max", *SPREADS])
def test_numbers(connection: psycopg.Connection[Any], name: str) -> None:
    for type_name in ("int2", "int4", "int8"):
        for values in INTEGERS:
            check_aggregate(connection, f"{name}({type_name})", [(value,) for value in values])
    for values in BIGINTS:
        check_aggregate(connection, f"{name}(int8)", [(value,) for value in values])
    for values in NUMERICS:
        check_aggregate(connection, f"{name}(numeric)", [(value,) for value in values])
    for type_name in ("float4", "float8"):
        for values in FLOATS:
            check_aggregate(connection, f"{name}({type_name})", [(value,) for value in values])


def test_overflow(connection: psycopg.Connection[Any]) -> None:
    check_aggregate(connection, "sum(float8)", [("1e308",), ("1e308",)])
    check_aggregate(connection, "sum(float4)", [("3e38",), ("3e38",)])
    check_aggregate(connection, "avg(float8)", [("1e308",), ("1e308",)])
    check_aggregate(connection, "var_pop(float8)", [("1e200",), ("-1e200",)])


def test_counts_bits_booleans(connection: psycopg.Connection[Any]) -> None:
    check_aggregate(connection, "count()", [(), (), ()])
    check_aggregate(connection, "count()", [])
    check_aggregate(connection, "count(any)", [("1",), (None,)], types=["int4"])
    for name in ("bit_and", "bit_or", "bit_xor"):
        for type_name in ("int2", "int4", "int8"):
            for values in cast(Any, (["12", "10", None], ["-1", "5"], [])):
                check_aggregate(connection, f"{name}({type_name})", [(value,) for value in values])
    for name in ("bool_and", "bool_or", "every"):
        for values in cast(Any, (["t", "f"], ["t", None], ["f", None, "f"], [None], [])):
            check_aggregate(connection, f"{name}(bool)", [(value,) for value in values])


def test_strings_and_arrays(connection: psycopg.Connection[Any]) -> None:
    rows: list[tuple[str | None, ...]] = [("a", ","), (None, "-"), ("b", None), ("c", ";")]
    check_aggregate(connection, "string_agg(text,text)", rows)
    check_aggregate(connection, "string_agg(text,text)", [])
    check_aggregate(connection, "string_agg(text,text)", [(None, ",")])
    check_aggregate(connection, "string_agg(bytea,bytea)", [("\\x01", "\\xff"), (None, None), ("\\x02", "\\xfe")])
    for name in ("min", "max", "any_value"):
        values = [("b",), (None,), ("a",), ("B",), ("ä",)]
        signature = f"{name}(anyelement)" if name == "any_value" else f"{name}(text)"
        check_aggregate(connection, signature, values, types=["text"], returns="text")
    check_aggregate(connection, "max(bpchar)", [("a ",), ("a",), ("b",)])


@pytest.mark.parametrize(
    "name",
    [
        "regr_count",
        "regr_sxx",
        "regr_syy",
        "regr_sxy",
        "regr_avgx",
        "regr_avgy",
        "regr_r2",
        "regr_slope",
        "regr_intercept",
        "covar_pop",
        "covar_samp",
        "corr",
    ],
)
def test_pairs(connection: psycopg.Connection[Any], name: str) -> None:
    tables: list[list[tuple[str | None, str | None]]] = [
        [("1", "2"), ("3", "5"), ("4", "9"), (None, "1")],
        [("1", "1"), ("2", "1")],
        [("1", "1"), ("1", "2")],
        [("1", "2")],
        [],
        [("NaN", "1"), ("2", "3")],
        [("Infinity", "1"), ("2", "3")],
        [("1e200", "1"), ("-1e200", "3")],
    ]
    for rows in tables:
        check_aggregate(connection, f"{name}(float8,float8)", rows)


def _ordered(signature: str, values: list[Any], *direct: Any, types: tuple[int, ...] = (23,)) -> Any:
    frontend.functions.load()
    implementation = AGGREGATES[signature]
    state = (
        implementation.create(argument_types=types, result_type=types[0])
        if implementation.typed
        else (implementation.create())
    )
    for value in values:
        state.add(value)
    return state.result(*direct)


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.25, 0.5, 0.77, 1.0])
@pytest.mark.parametrize("size", [0, 1, 2, 5, 10])
def test_percentiles(connection: psycopg.Connection[Any], fraction: float, size: int) -> None:
    values = [float(n * n) for n in range(size)]
    row = (
        connection.cursor()
        .execute(
            "select percentile_disc($1::float8) within group (order by x)::text,"
            " percentile_cont($1::float8) within group (order by x)::text,"
            " mode() within group (order by floor(x / 3))::text from unnest($2::float8[]) as x",
            [str(fraction), values],
        )
        .fetchone()
    )
    found = (
        _ordered("percentile_disc(float8,anyelement)", values, fraction),
        _ordered("percentile_cont(float8,float8)", values, fraction),
        _ordered("mode(anyelement)", [value // 3 for value in values], types=(701,)),
    )
    assert row is not None
    assert [None if text is None else float(text) for text in row] == list(found)


def test_hypothetical(connection: psycopg.Connection[Any]) -> None:
    values = [1, 2, 2, 3, 5, 5, 7]
    for wanted in (0, 1, 2, 4, 5, 9):
        row = (
            connection.cursor()
            .execute(
                "select rank($1) within group (order by x), dense_rank($1) within group (order by x),"
                " percent_rank($1) within group (order by x), cume_dist($1) within group (order by x)"
                " from unnest($2::int4[]) as x",
                [wanted, values],
            )
            .fetchone()
        )
        assert row is not None
        for name, expected in zip(("rank", "dense_rank", "percent_rank", "cume_dist"), row, strict=True):
            state = AGGREGATES[f"{name}(any)"].create()
            for place, value in enumerate(values):
                state.add((value > wanted) - (value < wanted), place == 0 or values[place - 1] != value)
            assert float(state.result()) == float(expected)


def _partition(values: list[int], *others: list[Any]) -> WindowPartition:
    size = len(values)
    starts = [values.index(value) for value in values]
    ends = [size - values[::-1].index(value) for value in values]
    frame_start = [max(0, row - 1) for row in range(size)]
    frame_end = [min(size, row + 2) for row in range(size)]
    return WindowPartition(size, [values, *others], starts, ends, frame_start, frame_end)


def test_windows(connection: psycopg.Connection[Any]) -> None:
    frontend.functions.load()
    values = [1, 1, 2, 3, 3, 3, 8]
    size = len(values)
    cases: list[tuple[str, str, list[list[Any]]]] = [
        ("row_number()", "row_number()", []),
        ("rank()", "rank()", []),
        ("dense_rank()", "dense_rank()", []),
        ("percent_rank()", "percent_rank()", []),
        ("cume_dist()", "cume_dist()", []),
        ("lag(anyelement)", "lag(x)", []),
        ("lead(anyelement)", "lead(x)", []),
        ("lag(anyelement,int4)", "lag(x, 2)", [[2] * size]),
        ("lead(anyelement,int4)", "lead(x, -3)", [[-3] * size]),
        ("lead(anycompatible,int4,anycompatible)", "lead(x, 2, -x)", [[2] * size, [-value for value in values]]),
        ("lag(anycompatible,int4,anycompatible)", "lag(x, null, 9)", [[None] * size, [9] * size]),
        ("first_value(anyelement)", "first_value(x)", []),
        ("last_value(anyelement)", "last_value(x)", []),
        ("nth_value(anyelement,int4)", "nth_value(x, 3)", [[3] * size]),
    ]
    for signature, call, others in cases:
        rows = (
            connection.cursor()
            .execute(
                f"select {call} over (order by x rows between 1 preceding and 1 following)::text"
                " from unnest($1::int4[]) as x",
                [values],
            )
            .fetchall()
        )
        expected = [None if row[0] is None else float(row[0]) for row in rows]
        assert list(WINDOWS[signature](_partition(values, *others))) == expected, signature
    for buckets in (1, 2, 3, 5, 10):
        rows = (
            connection.cursor()
            .execute("select ntile($2::int4) over (order by x)::text from unnest($1::int4[]) as x", [values, buckets])
            .fetchall()
        )
        partition = WindowPartition(size, [[buckets] * size], [], [], [], [])
        assert list(WINDOWS["ntile(int4)"](partition)) == [int(row[0]) for row in rows]
