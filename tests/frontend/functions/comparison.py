"""Compare registered implementations with PostgreSQL, argument by argument.

A case is a signature and the arguments' text forms. Ours: the types' input functions, the implementation, the result
type's output function. Theirs: `select name(arg::type, …)`. Both give the result's text, or (SQLSTATE, message).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any, cast

import psycopg
from psycopg.types.string import TextLoader

import frontend.functions
from frontend.context import Context
from frontend.errors import SqlError
from frontend.functions import catalogue
from frontend.functions.registry import AGGREGATES, SCALARS, SET_RETURNING
from frontend.types import oids
from frontend.types.registry import type_by_name, type_by_oid
from storage.catalog import Catalog

Argument = str | tuple[str, str | None] | None  # text in the declared type; (type, text) for polymorphic arguments
Outcome = str | tuple[str, str] | None | list[Any]


class SessionDouble:
    """A context with fixed time, default settings and nothing behind it."""

    transaction_timestamp = statement_timestamp = 800_000_000_000_000
    session_user = current_user = database_name = "postgres"
    backend_pid = 4711
    transaction_id = 1000
    search_path = ("pg_catalog", "public")
    time_zone = "UTC"
    date_style = ("ISO", "MDY")
    interval_style = "postgres"
    extra_float_digits = 1
    bytea_output = "hex"
    catalog = Catalog({}, 0)

    def __init__(self) -> None:
        self.random = random.Random(1)
        self.settings = {"search_path": '"$user", public', "server_version": "16.3", "timezone": "UTC"}
        self.notices: list[str] = []

    def clock_timestamp(self) -> int:
        return self.transaction_timestamp

    def get_setting(self, name: str) -> str | None:
        return self.settings.get(name.lower())

    def set_setting(self, name: str, value: str, is_local: bool) -> str:
        self.settings[name.lower()] = value
        return value

    def notice(self, sqlstate: str, message: str, *, severity: str = "NOTICE", hint: str | None = None) -> None:
        self.notices.append(message)


CONTEXT = cast(Context, SessionDouble())


def connect(dsn: str) -> psycopg.Connection[Any]:
    """A connection on which every value arrives as its text form."""
    connection = psycopg.connect(dsn, autocommit=True, cursor_factory=psycopg.RawCursor)
    connection.adapters.register_loader(0, TextLoader)
    return connection


def _texts(connection: psycopg.Connection[Any], sql: str, parameters: Sequence[str | None]) -> Any:
    cursor = connection.cursor()
    try:
        cursor.execute(sql, parameters, prepare=False)
    except psycopg.Error as error:
        return (error.sqlstate, error.diag.message_primary)
    result = cursor.pgresult
    assert result is not None
    rows = []
    for row in range(result.ntuples):
        values = [result.get_value(row, column) for column in range(result.nfields)]
        rows.append(tuple(None if value is None else value.decode() for value in values))
    return rows


def _resolve(signature: str, arguments: Sequence[Argument]) -> tuple[list[int], list[str | None]]:
    proc = catalogue.proc_by_signature(signature)
    assert proc is not None, signature
    types: list[int] = []
    texts: list[str | None] = []
    declared = list(proc.argument_types)
    if declared:
        declared += declared[-1:] * (len(arguments) - len(declared))
    for argument, oid in zip(arguments, declared, strict=True):
        if isinstance(argument, tuple):
            types.append(type_by_name(argument[0]).oid)
            texts.append(argument[1])
        else:
            types.append(oid)
            texts.append(argument)
    return types, texts


def _parse(types: Iterable[int], texts: Iterable[str | None]) -> list[Any]:
    return [
        None if text is None else type_by_oid(oid).input(text, -1, CONTEXT)
        for oid, text in zip(types, texts, strict=True)
    ]


def _result_type(proc: catalogue.Proc, types: Sequence[int], given: str | None) -> int:
    return proc.result_type if given is None else type_by_name(given).oid


def ours(signature: str, arguments: Sequence[Argument], returns: str | None = None) -> Outcome:
    """The registered implementation's outcome."""
    frontend.functions.load()
    proc = catalogue.proc_by_signature(signature)
    assert proc is not None, signature
    types, texts = _resolve(signature, arguments)
    result_type = _result_type(proc, types, returns)
    try:
        values = _parse(types, texts)
        if proc.is_strict and None in values:
            return [] if proc.returns_set else None
        implementation = SET_RETURNING[signature] if proc.returns_set else SCALARS[signature]
        keywords: dict[str, Any] = {}
        if implementation.typed:
            keywords = {"argument_types": tuple(types), "result_type": result_type}
        if implementation.context:
            values.insert(0, CONTEXT)
        result = implementation.call(*values, **keywords)
        if proc.returns_set:
            columns = [oid for _, oid in proc.output_columns]
            return [
                tuple(_output(oid, item) for oid, item in zip(columns, row, strict=True))
                if len(columns) > 1
                else (_output(result_type, row),)
                for row in result
            ]
        return _output(result_type, result)
    except SqlError as error:
        return (error.sqlstate, error.message)


def _output(oid: int, value: Any) -> str | None:
    return None if value is None else type_by_oid(oid).output(value, CONTEXT)


def theirs(connection: psycopg.Connection[Any], signature: str, arguments: Sequence[Argument]) -> Outcome:
    """PostgreSQL's outcome."""
    proc = catalogue.proc_by_signature(signature)
    assert proc is not None
    types, texts = _resolve(signature, arguments)
    calls = [f"${n}::text::{_sql(oid)}" for n, oid in enumerate(types, 1)]
    if proc.variadic and proc.variadic != oids.ANY:
        calls[-1] = "variadic " + calls[-1]
    source = f'pg_catalog."{proc.name}"({", ".join(calls)})'
    sql = f"select * from {source}" if proc.returns_set else f"select {source}"
    rows = _texts(connection, sql, texts)
    if isinstance(rows, tuple) or proc.returns_set:
        return cast(Outcome, rows)
    return cast(Outcome, rows[0][0])


def _sql(oid: int) -> str:
    return "bpchar" if oid == oids.BPCHAR else type_by_oid(oid).sql_name


def check(
    connection: psycopg.Connection[Any], signature: str, *arguments: Argument, returns: str | None = None
) -> None:
    """Assert that both sides agree."""
    expected = theirs(connection, signature, arguments)
    found = ours(signature, arguments, returns)
    assert found == expected, f"{signature} of {arguments!r}: {found!r}, PostgreSQL: {expected!r}"


def check_aggregate(
    connection: psycopg.Connection[Any],
    signature: str,
    rows: Sequence[Sequence[Argument]],
    *,
    types: Sequence[str] | None = None,
    returns: str | None = None,
) -> None:
    """Assert that an ordinary aggregate over rows of text forms agrees with PostgreSQL, also after `inline`'s templates."""
    frontend.functions.load()
    proc = catalogue.proc_by_signature(signature)
    assert proc is not None, signature
    oids = [type_by_name(name).oid for name in types] if types else list(proc.argument_types)
    columns = ", ".join(f"c{n}" for n in range(len(oids)))
    values = ", ".join(
        "(" + ", ".join([str(place), *(f"${place * len(oids) + n + 1}::text" for n in range(len(oids)))]) + ")"
        for place in range(len(rows))
    )
    casts = ", ".join(f"c{n}::{_sql(oid)}" for n, oid in enumerate(oids))
    call = f'pg_catalog."{proc.name}"({casts + " order by place" if oids else "*"})'
    source = (
        f"(values {values}) as v(place{', ' + columns if columns else ''})"
        if rows
        else (
            "(select "
            + ", ".join(["1", *("null::text" for _ in oids)])
            + f" where false) as v(place{', ' + columns if columns else ''})"
        )
    )
    result = _texts(connection, f"select {call} from {source}", [cast(str, text) for row in rows for text in row])
    expected = result if isinstance(result, tuple) else result[0][0]
    implementation = AGGREGATES[signature]
    result_type = _result_type(proc, oids, returns)

    def accumulate(inline: bool) -> Outcome:
        try:
            parsed = [_parse(oids, cast(Sequence[str | None], row)) for row in rows]
            if implementation.skips_null:
                parsed = [row for row in parsed if None not in row]
            if inline:
                return _output(result_type, _run_inline(signature, parsed))
            keywords: dict[str, Any] = {}
            if implementation.typed:
                keywords = {"argument_types": tuple(oids), "result_type": result_type}
            state = implementation.create(*([CONTEXT] if implementation.context else []), **keywords)
            for row in parsed:
                state.add(*row)
            state.result()
            return _output(result_type, state.result())
        except SqlError as error:
            return (error.sqlstate, error.message)

    found = accumulate(False)
    assert found == expected, f"{signature} over {rows!r}: {found!r}, PostgreSQL: {expected!r}"
    if implementation.inline:
        found = accumulate(True)
        assert found == expected, f"{signature} inline over {rows!r}: {found!r}, PostgreSQL: {expected!r}"


def _run_inline(signature: str, rows: Sequence[Sequence[Any]]) -> Any:
    implementation = AGGREGATES[signature]
    assert implementation.inline is not None
    initial, step, final = implementation.inline
    names = dict(implementation.names)
    names["s"] = eval(initial, names)
    code = compile(step.format("a", "b", s="s"), "step", "exec")
    for row in rows:
        names.update(zip("ab", row, strict=False))
        exec(code, names)
    return eval(final.format(s="s"), names)
