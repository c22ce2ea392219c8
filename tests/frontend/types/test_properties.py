"""Properties of types that hold for every value, and the order and identity of values.

Round trips through text and binary form must give the value back; sort keys must order as PostgreSQL's ORDER BY does; hash
keys must be equal exactly where PostgreSQL's = is true.
"""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frontend.types import oids
from frontend.types.datetime import (
    DATE_END,
    DATE_MIN,
    TIMESTAMP_END,
    TIMESTAMP_MIN,
    Interval,
    civil_from_days,
    days_from_civil,
)
from frontend.types.decimals import normalize
from frontend.types.floats import round_to_float4
from frontend.types.jsondata import canonical_jsonb, dump_json
from frontend.types.records import record_class
from frontend.types.registry import (
    binary_decoder,
    binary_encoder,
    hash_key,
    sort_key,
    text_decoder,
    text_encoder,
    type_by_name,
    type_by_oid,
)
from tests.frontend.fake_context import FakeContext
from tests.oracle import Oracle

CONTEXT = FakeContext()
TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"))
INTEGERS = {oids.INT2: 15, oids.INT4: 31, oids.INT8: 63}
DAY = 86_400_000_000

VALUES: dict[int, st.SearchStrategy[Any]] = {
    **{oid: st.integers(-(2**bits), 2**bits - 1) for oid, bits in INTEGERS.items()},
    oids.OID: st.integers(0, 2**32 - 1),
    oids.BOOL: st.booleans(),
    oids.FLOAT8: st.floats(allow_nan=False),
    oids.FLOAT4: st.floats(allow_nan=False, width=32).map(round_to_float4),
    oids.NUMERIC: st.decimals(allow_nan=False, min_value=Decimal("-1e50"), max_value=Decimal("1e50")).map(normalize),
    oids.TEXT: TEXT,
    oids.VARCHAR: TEXT,
    oids.BYTEA: st.binary(),
    oids.UUID: st.uuids().map(str),
    oids.DATE: st.integers(DATE_MIN, DATE_END - 1),
    oids.TIMESTAMP: st.integers(TIMESTAMP_MIN, TIMESTAMP_END - 1),
    oids.TIMESTAMPTZ: st.integers(TIMESTAMP_MIN, TIMESTAMP_END - 1),
    oids.TIME: st.integers(0, DAY),
    oids.TIMETZ: st.tuples(st.integers(0, DAY), st.integers(-57599, 57599)),
    oids.INTERVAL: st.builds(
        Interval,
        st.integers(-(2**31), 2**31 - 1),
        st.integers(-(2**31), 2**31 - 1),
        st.integers(-(2**62), 2**62),
    ),
    oids.TEXTARRAY: st.lists(st.none() | TEXT),
    oids.INT4ARRAY: st.lists(st.lists(st.none() | st.integers(-5, 5), min_size=2, max_size=2)),
    oids.TID: st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**16 - 1)),
    oids.PG_LSN: st.integers(0, 2**64 - 1),
}


@pytest.mark.parametrize("oid", list(VALUES), ids=lambda oid: type_by_oid(oid).name)
def test_forms_give_the_value_back(oid: int) -> None:
    write, read = text_encoder(oid, CONTEXT), text_decoder(oid, -1, CONTEXT)
    send, receive = binary_encoder(oid, CONTEXT), binary_decoder(oid, -1, CONTEXT)

    @settings(max_examples=60, deadline=None)
    @given(VALUES[oid])
    def check(value: Any) -> None:
        assert read(write(value)) == value
        assert receive(send(value)) == value

    check()


@settings(max_examples=200, deadline=None)
@given(st.integers(DATE_MIN, DATE_END - 1))
def test_calendar_is_its_own_inverse(days: int) -> None:
    assert days_from_civil(*civil_from_days(days)) == days


JSON = st.recursive(
    st.none() | st.booleans() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=60, deadline=None)
@given(JSON)
def test_canonical_jsonb_is_stable(value: Any) -> None:
    text = dump_json(value)
    assert canonical_jsonb(text) == text


ORDERED: dict[str, list[str]] = {
    "int4": ["3", "-1", "0"],
    "text": ["b", "a", "", "é", "B", "￿", "𐀀"],
    "bpchar": ["a ", "a", "b", "", " "],
    "float8": ["NaN", "1", "-Infinity", "Infinity", "-0", "0"],
    "numeric": ["NaN", "1.0", "1.00", "-Infinity", "Infinity", "0", "-5"],
    "bool": ["t", "f"],
    "bytea": ["\\x01", "", "\\xff"],
    "date": ["2020-01-01", "infinity", "-infinity"],
    "timetz": ["12:00+00", "13:00+01", "11:00-01", "12:00+01"],
    "interval": ["1 mon", "30 days", "720:00:00", "-1 day", "31 days"],
    "jsonb": ["null", "1", "1.0", '"a"', "[]", "{}", "[1]", "true", '{"a":[]}'],
    "int4[]": ["{}", "{1}", "{1,NULL}", "{1,2}", "{{1,2}}", "{NULL}"],
    "float8[]": ["{NaN}", "{1}", "{-0}", "{0}"],
    '"char"': ["a", "\\377", ""],
    "oidvector": ["1 2", "3", ""],
}


@pytest.mark.parametrize("name", list(ORDERED))
def test_keys_order_and_identify_as_postgresql_does(oracle: Oracle, name: str) -> None:
    entry = type_by_name(name)
    values = [entry.input(literal, -1, CONTEXT) for literal in ORDERED[name]]
    order, identity = sort_key(entry.oid), hash_key(entry.oid)
    rows = ", ".join("({}, E'{}'::{})".format(place, literal.replace("\\", "\\\\"), name) for place, literal in enumerate(ORDERED[name]))  # fmt: skip
    with psycopg.connect(oracle.dsn) as connection:
        ordered = connection.execute(f"select i from (values {rows}) as v(i, x) order by x, i".encode()).fetchall()
        equal = connection.execute(
            f"select a.i, b.i from (values {rows}) as a(i, x), (values {rows}) as b(i, x) where a.x = b.x".encode()
        ).fetchall()
    places = sorted(range(len(values)), key=lambda place: values[place] if order is None else order(values[place]))
    assert places == [row[0] for row in ordered]
    keys = [value if identity is None else identity(value) for value in values]
    found = {(one, two) for one, two in itertools.product(range(len(keys)), repeat=2) if keys[one] == keys[two]}
    assert found == {(row[0], row[1]) for row in equal}
    assert all(isinstance(hash(key), int) for key in keys)


def test_records_compare_field_by_field() -> None:
    Row = record_class((oids.FLOAT8, oids.TEXT))
    nan = float("nan")
    rows = [Row((nan, "a")), Row((1.0, None)), Row((1.0, "b")), Row((None, "a"))]
    key = sort_key(oids.RECORD)
    assert key is not None
    assert sorted(rows, key=key) == [rows[2], rows[1], rows[0], rows[3]]
    entry = type_by_oid(oids.RECORD)
    assert entry.output(Row((1.5, 'a "b"')), CONTEXT) == '(1.5,"a ""b""")'
    assert entry.output(Row((None, "")), CONTEXT) == '(,"")'
