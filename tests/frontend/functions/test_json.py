"""Goal: json and jsonb operators and functions give PostgreSQL's results, SQLSTATEs and messages.

Method: every function over a matrix of documents, on both; hypothesis for changes at paths and for containment.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.rows import tuple_row

from frontend.errors import SqlError
from frontend.functions import load
from frontend.functions.json_construction import row_to_json
from frontend.functions.registry import SET_RETURNING
from frontend.types import oids
from frontend.types.records import record_class
from frontend.types.registry import type_by_name
from tests.frontend.functions.comparison import CONTEXT, Argument, check, check_aggregate, connect, ours, theirs
from tests.oracle import Oracle


@pytest.fixture(scope="module")
def connection(oracle: Oracle) -> Iterator[psycopg.Connection[Any]]:
    with connect(oracle.dsn) as opened:
        yield opened


DOCUMENTS = (
    '{"a": 1, "bb": {"c": [1, 2.50, {"d": null}]}, "a": "x"}',
    '[1, "two", null, [3, {"k": true}], 1e2]',
    "[]",
    "{}",
    '"text \\u00e9 \\n"',
    "12.30",
    "null",
    "true",
    ' { "a" : [ 1 , 2 ] , "n" : null , "s" : "q\\"q" } ',
    '{"": 1, "null": null, "k\\"": [[]]}',
)
KEYS = ("a", "bb", "", "null", "0", "1", "two", "zz")
PATHS = (
    "{}",
    "{a}",
    "{bb,c,1}",
    "{bb,c,-1,d}",
    "{3,1,k}",
    "{0}",
    "{-1}",
    "{x,y}",
    "{NULL}",
    "{a,NULL}",
    "{a,1}",
    "{bb,c,x}",
    "{9}",
    "{-9}",
)


@pytest.mark.parametrize("prefix", ["json", "jsonb"])
@pytest.mark.parametrize("document", DOCUMENTS)
def test_reading(connection: psycopg.Connection[Any], prefix: str, document: str) -> None:
    for key in KEYS:
        check(connection, f"{prefix}_object_field({prefix},text)", document, key)
        check(connection, f"{prefix}_object_field_text({prefix},text)", document, key)
    for index in ("0", "1", "-1", "3", "-9", "9"):
        check(connection, f"{prefix}_array_element({prefix},int4)", document, index)
        check(connection, f"{prefix}_array_element_text({prefix},int4)", document, index)
    for path in PATHS:
        check(connection, f"{prefix}_extract_path({prefix},_text)", document, path)
        check(connection, f"{prefix}_extract_path_text({prefix},_text)", document, path)
    for name in (
        "typeof",
        "array_length",
        "each",
        "each_text",
        "object_keys",
        "array_elements",
        "array_elements_text",
        "strip_nulls",
    ):
        check(connection, f"{prefix}_{name}({prefix})", document)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_changing(connection: psycopg.Connection[Any], document: str) -> None:
    check(connection, "jsonb_pretty(jsonb)", document)
    for key in KEYS:
        check(connection, "jsonb_delete(jsonb,text)", document, key)
        check(connection, "jsonb_exists(jsonb,text)", document, key)
    for index in ("0", "-1", "2", "-9", "9"):
        check(connection, "jsonb_delete(jsonb,int4)", document, index)
    for keys in ("{}", "{a,zz}", "{two,NULL}", "{NULL}"):
        check(connection, "jsonb_delete(jsonb,_text)", document, keys)
        check(connection, "jsonb_exists_any(jsonb,_text)", document, keys)
        check(connection, "jsonb_exists_all(jsonb,_text)", document, keys)
    for other in DOCUMENTS:
        check(connection, "jsonb_concat(jsonb,jsonb)", document, other)
        check(connection, "jsonb_contains(jsonb,jsonb)", document, other)
    for path in PATHS:
        check(connection, "jsonb_delete_path(jsonb,_text)", document, path)
        for flag in ("t", "f"):
            check(connection, "jsonb_set(jsonb,_text,jsonb,bool)", document, path, '{"n": 1}', flag)
            check(connection, "jsonb_insert(jsonb,_text,jsonb,bool)", document, path, "[7]", flag)
    for treatment in ("raise_exception", "use_json_null", "delete_key", "return_target", "what", None):
        for new in ("1", None):
            check(connection, "jsonb_set_lax(jsonb,_text,jsonb,bool,text)", document, "{a}", new, "t", treatment)


VALUES: list[tuple[str, str | None]] = [
    ("int4", "5"), ("int8", "-9"), ("bool", "t"), ("float8", "1.5"), ("float8", "NaN"), ("float8", "1e300"), ("float4", "0.1"), ("numeric", "1.50"), ("numeric", "NaN"),
    ("text", 'a"b\\c\n\x01é'), ("bpchar", "ab  "), ("date", "2024-02-29"), ("date", "infinity"), ("date", "0044-03-15 BC"), ("timestamp", "2024-02-29 12:34:56.7"), ("timestamp", "infinity"), ("timestamptz", "2024-02-29 12:34:56+02"),
    ("timestamptz", "0044-03-15 00:00:00+00 BC"), ("time", "12:00:01"), ("interval", "1 day 02:00"), ("uuid", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"), ("bytea", "\\x00ff"), ("json", ' {"a" : 1}'), ("jsonb", '{"b": 1, "a": 2}'),
    ("_int4", "{1,NULL,3}"), ("_text", '{a,"b,c"}'), ("_int4", "{{1,2},{3,4}}"), ("_int4", "{}"), ("_json", '{"[1]","{\\"a\\":2}"}'), ("oid", "7"), ("name", "n"),
]  # fmt: skip


@pytest.mark.parametrize(("type_name", "text"), VALUES)
def test_construction(connection: psycopg.Connection[Any], type_name: str, text: str) -> None:
    value: Argument = (type_name, text)
    for name in ("to_json", "to_jsonb"):
        check(connection, f"{name}(anyelement)", value)
    for prefix in ("json", "jsonb"):
        check(connection, f"{prefix}_build_array(any)", value, ("text", None), value)
        check(connection, f"{prefix}_build_object(any)", ("text", "k"), value, value, ("int4", "1"))
        check(connection, f"{prefix}_build_object(any)", ("text", "k"))
        check(connection, f"{prefix}_build_object(any)", ("text", None), value)
        check_aggregate(connection, f"{prefix}_agg(anyelement)", [(text,), (None,), (text,)], types=[type_name])
        check_aggregate(connection, f"{prefix}_agg_strict(anyelement)", [(text,), (None,), (text,)], types=[type_name])
        for suffix in ("", "_strict", "_unique", "_unique_strict"):
            for rows in ([("a", text), ("b", None), ("a", text)], [], [(None, text)], [("a", None)]):
                check_aggregate(connection, f"{prefix}_object_agg{suffix}(any,any)", rows, types=["text", type_name])
    if type_name.startswith("_"):
        check(connection, "array_to_json(anyarray)", value)
        check(connection, "array_to_json(anyarray,bool)", value, "t")


def test_json_object(connection: psycopg.Connection[Any]) -> None:
    for prefix in ("json", "jsonb"):
        for array in (
            "{a,1,b,NULL}",
            "{a,1,b}",
            "{{a,1},{b,2}}",
            "{{a,1,2}}",
            "{NULL,1}",
            "{}",
            "{{{a,b}}}",
            "{a,1,a,2}",
        ):
            check(connection, f"{prefix}_object(_text)", array)
        for keys, values in (
            ("{a,b}", "{1,NULL}"),
            ("{a}", "{1,2}"),
            ("{{a}}", "{{1}}"),
            ("{NULL}", "{1}"),
            ("{}", "{}"),
        ):
            check(connection, f"{prefix}_object(_text,_text)", keys, values)
        check(connection, f"{prefix}_build_object()")
        check(connection, f"{prefix}_build_array()")


def test_rows(connection: psycopg.Connection[Any]) -> None:
    row = record_class((oids.INT4, oids.TEXT))((1, None))
    named = record_class((oids.INT4, oids.RECORD), ("id", "inner row"))((1, row))
    cursor = connection.execute(
        "select row_to_json(row(1, null::text))::text, row_to_json(x)::text, row_to_json(x, true)::text"
        ' from (select 1 as id, row(1, null::text) as "inner row") as x'
    )
    assert cursor.fetchone() == (
        row_to_json(CONTEXT, row),
        row_to_json(CONTEXT, named),
        row_to_json(CONTEXT, named, True),
    )


_SCALAR = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from(["a", "b", ""]), st.sampled_from([1.5, 2.0])
)
_DOCUMENT = st.recursive(
    _SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "cc", ""]), inner, max_size=3), max_leaves=6
)  # fmt: skip
_STEPS = st.lists(st.sampled_from(["a", "b", "cc", "0", "1", "-1", "-2", "5"]), max_size=3)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(document=_DOCUMENT, other=_DOCUMENT, steps=_STEPS, flag=st.sampled_from(["t", "f"]))
def test_random(connection: psycopg.Connection[Any], document: Any, other: Any, steps: list[str], flag: str) -> None:
    first, second = json.dumps(document), json.dumps(other)
    path = "{" + ",".join(steps) + "}"
    for signature, arguments in (
        ("jsonb_contains(jsonb,jsonb)", (first, second)),
        ("jsonb_concat(jsonb,jsonb)", (first, second)),
        ("jsonb_set(jsonb,_text,jsonb,bool)", (first, path, second, flag)),
        ("jsonb_insert(jsonb,_text,jsonb,bool)", (first, path, second, flag)),
        ("jsonb_delete_path(jsonb,_text)", (first, path)),
        ("jsonb_extract_path_text(jsonb,_text)", (first, path)),
    ):
        assert ours(signature, arguments) == theirs(connection, signature, arguments), (signature, arguments)


RECORDS = (
    '{"a": 1, "b": "x", "c": [1, null, 2], "d": {"k": 1}, "e": "2024-01-05"}',
    '{"a": "7", "b": {"z": 1}, "c": null, "d": null}',
    '{"a": null, "c": [[1], [2]], "d": "s", "b": true}',
    '{"a": "x"}',
    '{"c": 5}',
    "{}",
    "[]",
    "5",
)
COLUMNS = (("a", 23, -1), ("b", 25, -1), ("c", 1007, -1), ("d", 3802, -1), ("e", 1082, -1))


@pytest.mark.parametrize("prefix", ["json", "jsonb"])
@pytest.mark.parametrize("document", RECORDS)
def test_records(connection: psycopg.Connection[Any], prefix: str, document: str) -> None:
    """json_to_record and json_to_recordset with a column definition list."""
    load()
    for name, text in ((f"{prefix}_to_record", document), (f"{prefix}_to_recordset", f"[{document}, {{}}]")):
        sql = f"select * from {name}($1::text::{prefix}) as x(a int, b text, c int[], d jsonb, e date)"
        try:
            expected: Any = [tuple(row) for row in connection.cursor(row_factory=tuple_row).execute(sql, [text])]
            expected = [(a, b, c, None if d is None else json.dumps(d), e) for a, b, c, d, e in expected]
        except psycopg.Error as error:
            expected = (error.sqlstate, error.diag.message_primary)
        try:
            value = type_by_name(prefix).input(text, -1, CONTEXT)
            found: Any = [
                (a, b, c, d, None if e is None else datetime.date(2000, 1, 1) + datetime.timedelta(e))
                for a, b, c, d, e in SET_RETURNING[f"{name}({prefix})"].call(CONTEXT, value, columns=COLUMNS)
            ]
        except SqlError as error:
            found = (error.sqlstate, error.message)
        assert found == expected, (name, text)
