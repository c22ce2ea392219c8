"""Functions of dates, times and intervals against PostgreSQL, in two time zones.

Every registered function with only date/time arguments is called with all combinations of awkward values; fields, truncation
and construction have tables of their own. The tests that depend on the zone run in UTC and in New York.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

import frontend.functions
from frontend.functions import catalogue
from frontend.functions.registry import SCALARS
from tests.frontend.functions import comparison
from tests.frontend.functions.tables import differences

frontend.functions.load()

_MOMENTS = [
    "2020-01-02 03:04:05.678901", "2020-02-29", "2020-03-08 02:30:00", "2020-11-01 01:30:00", "1999-12-31 23:59:59.999999", "0001-01-01 BC",
    "4713-01-01 BC", "294276-12-31 23:59:59", "infinity", "-infinity", "1970-01-01", "2019-01-31 12:00", "1883-11-18 12:03:58", "9999-12-31",
]  # fmt: skip
VALUES: dict[str, list[str]] = {
    "date": ["2020-01-02", "2020-02-29", "2019-01-31", "0044-03-15 BC", "infinity", "-infinity", "5874897-12-31", "1999-12-31", "2020-03-08", "4713-01-01 BC"],
    "timestamp": _MOMENTS,
    "timestamptz": [moment if "infinity" in moment or "BC" in moment else moment + " UTC" for moment in _MOMENTS],
    "time": ["00:00", "03:04:05.678", "23:59:59.999999", "24:00", "12:00"],
    "timetz": ["03:04:05.678+02", "23:59:59-08:30", "00:00+00", "12:00+15:59", "05:04:05.678+04"],
    "interval": [
        "1 day", "-1 day", "1 mon", "-13 mons", "1 year 2 mons 3 days 04:05:06.7", "100:00:00", "-36:00:00", "1 mon -1 days", "35 days 23:59:59", "-35 days 25:00",
        "0", "178000000 years", "0.000001 s", "1 mon -31 days 24:00", "24 hours", "30 days",
    ],
    "int4": ["0", "1", "-1", "100000", "2147483647"],
    "float8": ["0", "1", "1.5", "-0.3333", "1e10", "NaN", "Infinity", "1e-3"],
}  # fmt: skip
_CLOCK = frozenset(
    {"now", "transaction_timestamp", "statement_timestamp", "clock_timestamp", "pg_sleep_for", "pg_sleep_until"}
)
FIELDS = [
    "microseconds", "milliseconds", "second", "minute", "hour", "day", "week", "month", "quarter", "year", "decade", "century", "millennium", "timezone", "timezone_hour",
    "timezone_minute", "dow", "isodow", "doy", "epoch", "isoyear", "julian", "foo", "Y", "sec", "SECONDS",
]  # fmt: skip


@pytest.fixture(params=["UTC", "America/New_York"])
def zone(request: pytest.FixtureRequest, connection: psycopg.Connection[Any]) -> Iterator[str]:
    context: Any = comparison.CONTEXT
    connection.execute(f"set timezone = '{request.param}'")
    context.time_zone = request.param
    before = context.transaction_timestamp
    today = connection.execute("select extract(epoch from now())::bigint").fetchone()
    assert today is not None
    context.transaction_timestamp = (today[0] - 946684800) * 1_000_000
    yield request.param
    context.time_zone = "UTC"
    context.transaction_timestamp = before
    connection.execute("reset timezone")


def test_every_registered_function_of_moments(connection: psycopg.Connection[Any], zone: str) -> None:
    generator = random.Random(7)
    cases: dict[str, list[tuple[str, ...]]] = {}
    moments = {"date", "timestamp", "timestamptz", "time", "timetz", "interval"}
    for signature in SCALARS:
        proc = catalogue.proc_by_signature(signature)
        assert proc is not None
        names = [catalogue.type_name(oid) for oid in proc.argument_types]
        if not names or not all(name in VALUES for name in names) or proc.name in _CLOCK or "hash" in proc.name:
            continue
        if not moments & set(names) or proc.kind != "f" or (proc.name == "age" and len(names) == 1):
            continue
        if len(names) == 2 and names[1] == "int4" and names[0] == catalogue.type_name(proc.result_type) != "date":
            continue  # length coercion functions: their second argument is a type modifier
        if proc.name.startswith("in_range"):
            continue
        rows = list(itertools.product(*(VALUES[name] for name in names)))
        cases[signature] = rows if len(rows) <= 90 else generator.sample(rows, 90)
    assert len(cases) > 150
    report = differences(connection, cases)
    assert not report, report


def test_fields(connection: psycopg.Connection[Any], zone: str) -> None:
    cases: dict[str, list[tuple[str, ...]]] = {}
    for name in ("date", "timestamp", "timestamptz", "time", "timetz", "interval"):
        values = [value for value in VALUES[name] if value != "178000000 years"] + (
            ["-1 year -5 mons -7 days -01:02:03.456"] if name == "interval" else []
        )
        rows = list(itertools.product(FIELDS, values))
        cases[f"extract(text,{name})"] = rows
        cases[f"date_part(text,{name})"] = rows
        if name in ("timestamp", "timestamptz", "interval"):
            cases[f"date_trunc(text,{name})"] = rows
    cases["date_trunc(text,timestamptz,text)"] = [
        (field, value, "Europe/Berlin") for field in FIELDS for value in VALUES["timestamptz"][:5]
    ]
    report = differences(connection, cases)
    assert not report, report


def test_construction_and_zones(connection: psycopg.Connection[Any], zone: str) -> None:
    zones = ["UTC", "America/New_York", "europe/berlin", "EST", "MSK", "PST8PDT", "+3", "-03:30", "UTC+3", "<X>-5:30", "Nowhere", "", "CEST", "<+03>-03", "5", "FOO5"]  # fmt: skip
    offsets = ["1 hour", "-08:30", "1 day", "00:00:01.5", "1 mon", "100:00:00"]
    report = differences(
        connection,
        {
            "make_date(int4,int4,int4)": [
                ("2020", "2", "29"), ("2019", "2", "29"), ("0", "1", "1"), ("-44", "3", "15"), ("2020", "13", "1"), ("2020", "1", "0"), ("5874898", "1", "1"), ("-4714", "1", "1"), ("2147483647", "1", "1"),
            ],
            "make_time(int4,int4,float8)": [
                ("1", "2", "3.5"), ("24", "0", "0"), ("24", "0", "1"), ("25", "0", "0"), ("1", "60", "0"), ("1", "2", "60"), ("1", "2", "61"), ("-1", "2", "3"), ("1", "2", "NaN"), ("1", "2", "-1"), ("1", "2", "3.9999999"),
            ],
            "make_timestamp(int4,int4,int4,int4,int4,float8)": [
                ("2020", "2", "29", "1", "2", "3.5"), ("-44", "3", "15", "0", "0", "0"), ("2020", "2", "30", "0", "0", "0"), ("2020", "1", "1", "25", "0", "0"), ("294277", "1", "1", "0", "0", "0"), ("0", "1", "1", "0", "0", "0"),
            ],
            "make_timestamptz(int4,int4,int4,int4,int4,float8)": [("2020", "7", "1", "1", "2", "3.5"), ("2020", "3", "8", "2", "30", "0")],
            "make_timestamptz(int4,int4,int4,int4,int4,float8,text)": [("2020", "7", "1", "1", "2", "3.5", name) for name in [*zones, "+05:30", "-8"]],
            "make_interval(int4,int4,int4,int4,int4,int4,float8)": [
                ("1", "2", "3", "4", "5", "6", "7.5"), ("0", "0", "0", "0", "0", "0", "0"), ("-1", "0", "0", "10", "0", "0", "-1.5"), ("0", "0", "0", "0", "0", "0", "NaN"),
            ],
            "timezone(text,timestamp)": [(name, value) for name in zones for value in ("2020-07-01 12:00", "2020-01-01 12:00", "infinity", "2020-03-29 02:30", "2020-10-25 02:30")],
            "timezone(text,timestamptz)": [(name, value) for name in zones for value in ("2020-07-01 12:00+00", "2020-01-01 12:00+00", "-infinity")],
            "timezone(text,timetz)": [("EST", "12:00+02"), ("UTC", "12:00+02"), ("+3", "12:00-01")],
            "timezone(interval,timestamp)": [(offset, "2020-07-01 12:00") for offset in offsets],
            "timezone(interval,timestamptz)": [(offset, "2020-07-01 12:00+00") for offset in offsets],
            "timezone(interval,timetz)": [(offset, "12:00+02") for offset in offsets],
            "to_timestamp(float8)": [("0",), ("1.5",), ("-1.5",), ("1e9",), ("1e15",), ("NaN",), ("Infinity",), ("-Infinity",), ("1600000000.123456",), ("1284352323.5",), ("-3e11",)],
            "date_bin(interval,timestamp,timestamp)": [
                (stride, value, origin)
                for stride in ("15 min", "1 day", "7 days 01:00", "1 mon", "0", "-1 hour", "1 us")
                for value in ("2020-02-11 15:44:17.71323", "1990-01-01", "infinity")
                for origin in ("2001-01-01", "2020-02-11 15:44:20", "infinity")
            ],
            "date_add(timestamptz,interval,text)": [("2020-10-31 12:00+00", "1 day", name) for name in zones],
            "date_subtract(timestamptz,interval,text)": [("2020-11-01 12:00+00", "1 day", "America/New_York")],
            "timestamp(timestamp,int4)": [("2020-01-01 00:00:00.123456", str(digits)) for digits in (0, 3, 6)],
            "interval(interval,int4)": [("1 day 00:00:01.23456", "2147418115"), ("1 year 3 mons", "327679")],
        },
    )  # fmt: skip
    assert not report, report


def test_overlaps(connection: psycopg.Connection[Any]) -> None:
    moments = [None, "2020-01-01", "2020-01-05", "2020-01-10"]
    spans = [None, "3 days", "-3 days"]
    periods = list(itertools.product(moments, moments))
    cases: dict[str, list[tuple[str | None, ...]]] = {
        "overlaps(timestamp,timestamp,timestamp,timestamp)": [one + two for one in periods for two in periods],
        "overlaps(timestamp,interval,timestamp,timestamp)": [
            (one, span, *two) for one in moments for span in spans for two in periods[::3]
        ],
        "overlaps(timestamptz,interval,timestamptz,interval)": [
            (one, span, two, "5 days") for one in moments for span in spans for two in moments
        ],
        "overlaps(time,time,time,time)": [
            ("01:00", "02:00", "02:00", "03:00"), ("01:00", "02:00", "01:30", "03:00"), ("03:00", "01:00", "02:00", "02:00"),
        ],
        "overlaps(timetz,timetz,timetz,timetz)": [("01:00+00", "02:00+00", "01:30+00", "03:00+00")],
    }  # fmt: skip
    report = differences(connection, cases)
    assert not report, report
