"""Whole tables of calls against PostgreSQL at once.

`differences` takes, for each signature, rows of arguments as text (see `comparison.py` for their form), lets PostgreSQL run
all of them in one query (a PL/pgSQL function catches each call's error), runs the registered implementations on the same
values, and reports what differs in text, SQLSTATE or message. Thousands of calls take about a second.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import psycopg

from frontend.functions import catalogue
from frontend.types.registry import type_by_name, type_by_oid
from tests.frontend.functions.comparison import Argument, Outcome, ours

Cases = Mapping[str, Iterable[Sequence[Argument]]]

_ATTEMPT = """
create or replace function pg_temp.attempt(query text) returns text[] language plpgsql as $$
declare
    result text;
    state text;
    message text;
begin
    execute query into result;
    return array[result];
exception when others then
    get stacked diagnostics state = returned_sqlstate, message = message_text;
    return array[state, message];
end $$
"""


def attempt(connection: psycopg.Connection[Any], queries: Sequence[str]) -> list[Outcome]:
    """The text of each query's one value, or (SQLSTATE, message)."""
    connection.execute(_ATTEMPT)
    rows = connection.execute(
        "select pg_temp.attempt(q) from unnest(%s::text[]) with ordinality as u(q, o) order by o", [list(queries)]
    ).fetchall()
    return [row[0][0] if len(row[0]) == 1 else (row[0][0], row[0][1]) for row in rows]


def call_sql(signature: str, arguments: Sequence[Argument]) -> str:
    """The call as SQL."""
    proc = catalogue.proc_by_signature(signature)
    assert proc is not None, signature
    texts = []
    for position, argument in enumerate(arguments):
        oid = proc.argument_types[min(position, len(proc.argument_types) - 1)]
        if isinstance(argument, tuple):
            oid, argument = type_by_name(argument[0]).oid, argument[1]
        name = type_by_oid(oid).sql_name
        name = "bpchar" if name == "character" else name
        if argument is None:
            texts.append(f"null::{name}")
        else:
            escaped = argument.replace("\\", "\\\\").replace("'", "\\'")
            texts.append(f"E'{escaped}'::{name}")
    return f'select (pg_catalog."{proc.name}"({", ".join(texts)}))::text'


def differences(
    connection: psycopg.Connection[Any], cases: Cases, relative_error_max: float = 0.0, returns: str | None = None
) -> str:
    """A report of every call where PostgreSQL and we differ; "" if there is none."""
    calls = [(signature, arguments) for signature, rows in cases.items() for arguments in rows]
    queries = [call_sql(signature, arguments) for signature, arguments in calls]
    report = []
    for (signature, arguments), query, expected in zip(calls, queries, attempt(connection, queries), strict=True):
        try:
            found: Any = ours(signature, arguments, returns)
        except Exception as error:
            found = f"{type(error).__name__}: {error}"
        proc = catalogue.proc_by_signature(signature)
        assert proc is not None
        if proc.result_type == 16 and found in ("t", "f"):  # the cast to text spells booleans out
            found = "true" if found == "t" else "false"
        if found != expected and not _close(found, expected, relative_error_max):
            report.append(f"{query}\n    PostgreSQL: {expected!r}\n    ours:       {found!r}")
    return "\n".join(report)


def _close(found: Any, expected: Any, relative_error_max: float) -> bool:
    if not relative_error_max or not isinstance(found, str) or not isinstance(expected, str):
        return False
    try:
        return math.isclose(float(found), float(expected), rel_tol=relative_error_max)
    except ValueError:
        return False
