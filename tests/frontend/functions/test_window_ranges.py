"""in_range of every type against PostgreSQL, negative and infinite offsets included."""

from __future__ import annotations

import itertools
from typing import Any

import psycopg

import frontend.functions
from frontend.functions import catalogue
from tests.frontend.functions.tables import differences

frontend.functions.load()

VALUES: dict[str, list[str]] = {
    "int2": ["0", "5", "-32768"],
    "int4": ["0", "5", "2147483647"],
    "int8": ["0", "5", "-3", "9223372036854775807"],
    "float4": ["1.5", "NaN", "Infinity"],
    "float8": ["1.5", "NaN", "Infinity", "-Infinity", "0"],
    "numeric": ["1.5", "NaN", "Infinity", "-Infinity", "0"],
    "timestamp": ["2020-01-31", "2020-02-29 12:00", "infinity"],
    "timestamptz": ["2020-01-31", "2020-02-29 12:00", "-infinity"],
    "date": ["2020-01-31", "2020-02-29"],
    "interval": ["1 mon", "30 days", "-1 day", "0"],
    "time": ["01:00", "23:00"],
    "timetz": ["01:00+00", "23:00-02"],
}


def test_in_range(connection: psycopg.Connection[Any]) -> None:
    cases: dict[str, list[tuple[str, ...]]] = {}
    for proc in catalogue.procs_by_name("in_range"):
        names = [catalogue.type_name(oid) for oid in proc.argument_types[:3]]
        values = itertools.product(*(VALUES[name] for name in names), ("t", "f"), ("t", "f"))
        cases[catalogue.signature_of(proc)] = list(values)
    assert len(cases) >= 15
    report = differences(connection, cases)
    assert not report, report
