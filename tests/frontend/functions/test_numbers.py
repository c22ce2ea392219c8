"""Numbers against PostgreSQL: comparison, arithmetic, casts and mathematical functions.

Every registered function whose arguments are numbers is called with all combinations of awkward values of its types; the
expected values are PostgreSQL's. Functions that PostgreSQL takes from the C library may differ in the last digit.
"""

from __future__ import annotations

import itertools
import random
from typing import Any

import psycopg

import frontend.functions
from frontend.functions import catalogue
from frontend.functions.registry import SCALARS
from tests.frontend.functions.tables import differences

frontend.functions.load()

VALUES: dict[str, list[str]] = {
    "int2": ["0", "1", "-1", "7", "-7", "32767", "-32768"],
    "int4": ["0", "1", "-1", "7", "-7", "33", "2147483647", "-2147483648"],
    "int8": ["0", "1", "-1", "7", "-7", "9223372036854775807", "-9223372036854775808", "4294967296", "16777217"],
    "float4": ["0", "-0", "1.5", "-2.5", "1e38", "-3e-38", "NaN", "Infinity", "-Infinity", "3", "16777216"],
    "float8": ["0", "-0", "1.5", "-2.5", "1e308", "2e-308", "NaN", "Infinity", "-Infinity", "3", "0.5", "-1", "1", "9e18", "1e10"],
    "numeric": ["0", "0.00", "1", "-1.50", "1e20", "123456789.123456789", "-0.0001", "NaN", "Infinity", "-Infinity", "3", "2.5", "0.3", "99999.99999"],
    "oid": ["0", "1", "4294967295"],
    "bool": ["t", "f"],
}  # fmt: skip
_C_LIBRARY = frozenset(
    [
        "power",
        "pow",
        "dpow",
        "exp",
        "dexp",
        "ln",
        "dlog1",
        "log",
        "dlog10",
        "log10",
        "sin",
        "cos",
        "tan",
        "cot",
        "asin",
        "acos",
        "atan",
        "atan2",
        "sinh",
        "cosh",
        "tanh",
        "asinh",
        "acosh",
        "atanh",
        "erf",
        "erfc",
        "sind",
        "cosd",
        "tand",
        "cotd",
        "asind",
        "acosd",
        "atand",
        "atan2d",
        "dcbrt",
        "cbrt",
    ]
)
_MODULES = frozenset(
    f"frontend.functions.{name}" for name in ("numbers", "numeric_operators", "mathematics", "comparison_operators")
) | {"_operator"}
_NOT_HERE = frozenset(["random", "setseed", "random_normal", "pg_sleep"])


def test_every_registered_function_of_numbers(connection: psycopg.Connection[Any]) -> None:
    generator = random.Random(20)
    exact: dict[str, list[tuple[str, ...]]] = {}
    rough: dict[str, list[tuple[str, ...]]] = {}
    for signature in SCALARS:
        proc = catalogue.proc_by_signature(signature)
        assert proc is not None, f"{signature} is not in pg_proc"
        names = [catalogue.type_name(oid) for oid in proc.argument_types]
        if not names or len(names) > 2 or not all(name in VALUES for name in names) or proc.name in _NOT_HERE:
            continue
        if proc.name == "factorial" or SCALARS[signature].call.__module__ not in _MODULES:
            continue
        rows = list(itertools.product(*(VALUES[name] for name in names)))
        if len(rows) > 60:
            rows = generator.sample(rows, 60)
        is_rough = proc.name in _C_LIBRARY and "float8" in names
        (rough if is_rough else exact)[signature] = rows
    assert len(exact) > 250
    report = differences(connection, exact) + differences(connection, rough, relative_error_max=4e-15)
    assert not report, report


def test_numeric_scales_of_quotients_roots_and_powers(connection: psycopg.Connection[Any]) -> None:
    generator = random.Random(4)
    numbers = ["1", "2", "3", "7", "0.1", "0.001", "9999", "10000", "10001", "0.00012345", "123456.789", "1e15", "1e-15", "5e30", "0.9999", "1.05", "1.0000001", "12345678901234567890.12345", "99999999", "0.5"]  # fmt: skip
    numbers += [f"{generator.randrange(10**9)}e{generator.randrange(-20, 12)}" for _ in range(40)]
    pairs = [(generator.choice(numbers), generator.choice(numbers)) for _ in range(250)]
    signed = [(("-" if generator.random() < 0.3 else "") + left, right) for left, right in pairs]
    whole = [(base, str(generator.randrange(-12, 13))) for base in numbers for _ in range(3)]
    small = [number for number in numbers if float(number) < 1000]
    report = differences(
        connection,
        {
            "numeric_div(numeric,numeric)": signed,
            "numeric_mod(numeric,numeric)": signed,
            "div(numeric,numeric)": signed,
            "numeric_mul(numeric,numeric)": signed,
            "sqrt(numeric)": [(number,) for number in numbers],
            "ln(numeric)": [(number,) for number in numbers],
            "log(numeric)": [(number,) for number in numbers],
            "log(numeric,numeric)": pairs[:80],
            "exp(numeric)": [(sign + number,) for number in small for sign in ("", "-")],
            "power(numeric,numeric)": whole
            + [(left, right) for left in small[:20] for right in ("0.5", "-0.5", "1.3", "-2.75", "3.00", "10.1")]
            + [("1.0000000001", "1000000"), ("-3", "3.0"), ("0", "0"), ("0", "0.5"), ("-1", "1e40"), ("-1", "12345678901234567890123456789012345"), ("10", "-1000"), ("10", "-1100")],
            "numeric_log(numeric,numeric)": [("0.5", "Infinity"), ("2", "Infinity"), ("Infinity", "0.5"), ("1", "5")],
            "gcd(numeric,numeric)": signed[:40],
            "lcm(numeric,numeric)": [("4", "6"), ("1.5", "0.25"), ("0", "5"), ("-4", "6")],
            "round(numeric,int4)": [(number, str(scale)) for number in numbers[:20] for scale in (-5, -2, 0, 1, 3, 20)],
            "trunc(numeric,int4)": [(number, str(scale)) for number in numbers[:20] for scale in (-5, -2, 0, 1, 3, 20)],
            "factorial(int8)": [("0",), ("1",), ("5",), ("25",), ("100",), ("-1",), ("40000",)],
            "numeric(float8)": [("1e100",), ("0.1",), ("123456789.123456789",), ("1e-300",), ("-0",)],
            "numeric(float4)": [("1e30",), ("0.1",), ("16777217",), ("1e-30",)],
            "float8(numeric)": [("1e400",), ("1e-400",), ("0.1",), ("12345678901234567890",)],
            "float4(numeric)": [("1e40",), ("0.1",), ("16777217",)],
            "width_bucket(numeric,numeric,numeric,int4)": [
                ("5.35", "0.024", "10.06", "5"), ("0", "0", "10", "5"), ("10", "0", "10", "5"), ("-1", "0", "10", "5"),
                ("5", "10", "0", "5"), ("11", "10", "0", "5"), ("5", "1", "1", "5"), ("5", "0", "10", "0"), ("NaN", "0", "10", "5"), ("Infinity", "0", "10", "5"),
            ],
            "width_bucket(float8,float8,float8,int4)": [
                ("5.35", "0.024", "10.06", "5"), ("0", "0", "10", "5"), ("10", "0", "10", "5"), ("-1", "0", "10", "5"),
                ("5", "10", "0", "5"), ("11", "10", "0", "5"), ("5", "1", "1", "5"), ("5", "0", "10", "0"), ("NaN", "0", "10", "5"), ("Infinity", "0", "10", "5"), ("5", "0", "Infinity", "5"),
            ],
            "width_bucket(anycompatible,anycompatiblearray)": [
                (("int4", "5"), ("int4[]", "{1,3,5,10}")), (("int4", "0"), ("int4[]", "{1,3,5,10}")), (("int4", "50"), ("int4[]", "{}")), (("int4", "50"), ("int4[]", "{1,NULL}")),
                (("float8", "NaN"), ("float8[]", "{1,2}")),
            ],
        },
    )  # fmt: skip
    assert not report, report


def test_exact_angles(connection: psycopg.Connection[Any]) -> None:
    angles = [(str(angle),) for angle in range(-720, 721, 15)]
    values = [("-1",), ("-0.5",), ("0",), ("0.5",), ("1",)]
    report = differences(
        connection,
        {f"{name}(float8)": angles for name in ("sind", "cosd", "tand", "cotd")}
        | {f"{name}(float8)": values for name in ("asind", "acosd", "atand")},
        relative_error_max=4e-15,
    )
    assert not report, report
