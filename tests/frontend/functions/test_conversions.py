"""Casts and character comparison against PostgreSQL.

`find_cast` is asked about every pair of types that Boreal has, and its answer compared with what PostgreSQL does with a real
value: explicit casts by their result, implicit and assignment casts by whether PostgreSQL's catalogue allows them.
"""

from __future__ import annotations

import itertools
from typing import Any

import psycopg

import frontend.functions
from frontend.errors import SqlError
from frontend.types.casts import find_cast, is_binary_coercible
from frontend.types.registry import type_by_name
from tests.frontend.functions.comparison import CONTEXT
from tests.frontend.functions.tables import attempt, differences

frontend.functions.load()

SAMPLES: dict[str, list[str]] = {
    "bool": ["t", "f"],
    "int2": ["0", "-7", "32767"],
    "int4": ["0", "-7", "70000"],
    "int8": ["0", "-7", "5000000000"],
    "float4": ["1.5", "2.5", "NaN", "1e30", "0.1"],
    "float8": ["1.5", "-2.5", "Infinity", "1e300", "0.1", "3e9"],
    "numeric": ["1.50", "-2.5", "NaN", "123456789012345678901234567890", "Infinity"],
    "oid": ["0", "4294967295"],
    "text": ["abc", "12", "t", "2020-01-02", " 1.5 ", "{1,2}"],
    "varchar": ["abc", "12"],
    "bpchar": ["abc  ", "12 "],
    "name": ["abc", "12"],
    '"char"': ["a", ""],
    "bytea": ["\\x0102"],
    "uuid": ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
    "date": ["2020-01-02", "infinity", "5874897-12-31"],
    "time": ["03:04:05.678"],
    "timetz": ["03:04:05.678+02"],
    "timestamp": ["2020-01-02 03:04:05.678", "-infinity"],
    "timestamptz": ["2020-01-02 03:04:05.678+00", "infinity"],
    "interval": ["1 day 25:00", "-01:00"],
    "json": ["1", '"a"', "{}"],
    "jsonb": ["1", "1.5", "true", "null", '"a"', "[]", "{}", "1e10"],
    "xid": ["5"],
    "xid8": ["5000000000"],
    "int4[]": ["{1,2,NULL}", "{{1},{2}}"],
    "int8[]": ["{1,5000000000}"],
    "text[]": ["{1,2}", "{a}"],
    "varchar[]": ["{1,2}"],
    "int2vector": ["1 2"],
    "oidvector": ["1 2"],
    "regtype": ["int4"],
    "pg_lsn": ["1/2"],
}


def convert(source: str, target: str, literal: str) -> str | None | tuple[str, str]:
    """An explicit cast and the text of its result."""
    origin, goal = type_by_name(source), type_by_name(target)
    path = find_cast(origin.oid, goal.oid, "explicit")
    if path is None:
        return "42846", f"cannot cast type {origin.sql_name} to {goal.sql_name}"
    try:
        implementation = path.implementation
        value = origin.input(literal, -1, CONTEXT)
        result = implementation.call(*([CONTEXT] if implementation.context else []), value)
        return None if result is None else goal.output(result, CONTEXT)
    except SqlError as error:
        return error.sqlstate, error.message


def _is_left_out(source: str, target: str) -> bool:
    """Arrays made from vectors keep bounds from 0 in PostgreSQL; odd texts as vectors and types have odd errors."""
    if source in ("int2vector", "oidvector") and target.endswith("[]"):
        return True
    return target in ("int2vector", "oidvector", "regtype") and source in ("text", "varchar", "bpchar", "name")


def test_explicit_casts(connection: psycopg.Connection[Any]) -> None:
    calls = [
        (source, target, literal)
        for source, target in itertools.product(SAMPLES, SAMPLES)
        for literal in SAMPLES[source]
        if (target != "timetz" or source != "time") and not _is_left_out(source, target)
    ]
    queries = [
        "select format('%s', ({}))".format("E'" + literal.replace("\\", "\\\\") + f"'::{source}::{target}")
        for source, target, literal in calls
    ]
    report = []
    for (source, target, literal), query, expected in zip(calls, queries, attempt(connection, queries), strict=True):
        found = convert(source, target, literal)
        if isinstance(expected, tuple) and expected[0] == "42846":
            expected = ("42846", expected[1].replace("character to", "bpchar to"))
            found = (found[0], found[1].replace("character to", "bpchar to")) if isinstance(found, tuple) else found
        if found != expected and not (found is None and expected == ""):
            report.append(f"{query}\n    PostgreSQL: {expected!r}\n    ours:       {found!r}")
    assert not report, "\n".join(report)


def test_binary_coercible_pairs_are_casts() -> None:
    for source, target in itertools.product(SAMPLES, SAMPLES):
        one, two = type_by_name(source).oid, type_by_name(target).oid
        if is_binary_coercible(one, two):
            path = find_cast(one, two, "implicit")
            assert path is not None
            assert path.method == "binary"


def test_implicit_and_assignment_casts(connection: psycopg.Connection[Any]) -> None:
    """A function argument takes implicit casts only, an INSERT also assignment casts."""
    pairs = list(itertools.product(SAMPLES, SAMPLES))
    setup = []
    for target in SAMPLES:
        name = target.replace('"', "").replace("[]", "_array")
        setup.append(
            f"create or replace function pg_temp.take_{name}(v {target}) returns int language sql as 'select 1'"
        )
        setup.append(f"create temp table into_{name} (v {target})")
    for statement in setup:
        connection.execute(statement.encode())
    implicit, assigned = [], []
    for source, target in pairs:
        name = target.replace('"', "").replace("[]", "_array")
        implicit.append(f"select pg_temp.take_{name}(null::{source})")
        assigned.append(
            f"with x as (select 1) select 1 from (select null::{source}) s where false; insert into into_{name} select null::{source}"
        )
    accepted = [outcome == "1" for outcome in attempt(connection, implicit)]
    report = [
        f"{source} -> {target}: implicit {expected}"
        for (source, target), expected in zip(pairs, accepted, strict=True)
        if (find_cast(type_by_name(source).oid, type_by_name(target).oid, "implicit") is not None) != expected
    ]
    outcomes = attempt(connection, [f"insert into into_{target.replace(chr(34), '').replace('[]', '_array')} select null::{source} returning 1" for source, target in pairs])  # fmt: skip
    report += [
        f"{source} -> {target}: assignment {outcome}"
        for (source, target), outcome in zip(pairs, outcomes, strict=True)
        if (find_cast(type_by_name(source).oid, type_by_name(target).oid, "assignment") is not None) != (outcome == "1")
    ]
    assert not report, "\n".join(report)


def test_comparison_of_characters_and_containers(connection: psycopg.Connection[Any]) -> None:
    texts = ["", "a", "A", "ab", "b", "é", "日本", "a ", " a", "￿", "𐀀"]
    values: dict[str, list[str]] = {
        "text": texts,
        "name": texts,
        "bpchar": texts,
        "char": ["", "a", "b", "\\377"],
        "bytea": ["", "\\x00", "\\x01ff", "\\xff"],
        "uuid": ["00000000-0000-0000-0000-000000000000", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "ffffffff-ffff-ffff-ffff-ffffffffffff"],
        "jsonb": ["null", "true", "false", "1", "1.0", "2", '"a"', '"b"', "[]", "[1]", "[1,2]", "[[]]", "{}", '{"a":1}', '{"a":2}', '{"b":1}', '{"a":1,"b":2}', '[null]'],
        "tid": ["(0,1)", "(0,2)", "(1,0)"],
        "pg_lsn": ["0/1", "1/0"],
        "xid8": ["1", "2"],
        "oidvector": ["", "1", "1 2", "2"],
    }  # fmt: skip
    cases: dict[str, list[tuple[Any, ...]]] = {}
    from frontend.functions import catalogue

    for fact in catalogue.all_operators():
        if fact.name in ("=", "<>", "<", "<=", ">", ">=", "~<~") and fact.function:
            proc = catalogue.proc_by_oid(fact.function)
            names = [catalogue.type_name(oid) for oid in proc.argument_types]
            if all(name in values for name in names):
                cases[catalogue.signature_of(proc)] = list(itertools.product(*(values[name] for name in names)))
    arrays = ["{}", "{1}", "{1,2}", "{2}", "{1,NULL}", "{NULL}", "{{1,2}}", "{{1},{2}}", "{1,3}"]
    for name in ("array_eq", "array_ne", "array_lt", "array_le", "array_gt", "array_ge", "btarraycmp"):
        cases[f"{name}(anyarray,anyarray)"] = [
            (("int4[]", one), ("int4[]", two)) for one, two in itertools.product(arrays, arrays)
        ]
    assert len(cases) > 60
    report = differences(connection, cases)
    assert not report, report
