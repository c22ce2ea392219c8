"""information_schema.routines and parameters, over pg_proc's built-in functions."""

from __future__ import annotations

from collections.abc import Iterator

from frontend.context import Context
from frontend.functions.catalogue import Proc, all_procs
from frontend.system.information_schema import SCHEMA, information_row
from frontend.system.registry import Row, rows_of
from frontend.types.facts import type_facts
from frontend.types.registry import format_type

_MODES = {"i": "IN", "o": "OUT", "b": "INOUT", "v": "IN", "t": "OUT"}


def _data_type(oid: int) -> str:
    fact = type_facts().get(oid)
    if fact is not None and fact.category == "A" and fact.element and fact.length == -1:
        return "ARRAY"
    return format_type(oid)


def _specific_name(proc: Proc) -> str:
    return f"{proc.name}_{proc.oid}"[-63:]


@rows_of(SCHEMA, "routines", from_catalog=False)
def _routines(context: Context) -> Iterator[Row]:
    database = context.database_name
    for proc in all_procs():
        if proc.kind in "fp":
            yield information_row(
                "routines",
                specific_catalog=database,
                specific_schema="pg_catalog",
                specific_name=_specific_name(proc),
                routine_catalog=database,
                routine_schema="pg_catalog",
                routine_name=proc.name,
                routine_type="PROCEDURE" if proc.kind == "p" else "FUNCTION",
                data_type=_data_type(proc.result_type),
                type_udt_catalog=database,
                type_udt_schema="pg_catalog",
                type_udt_name=type_facts()[proc.result_type].name if proc.result_type in type_facts() else None,
                dtd_identifier="0",
                routine_body="EXTERNAL",
                external_language="INTERNAL",
                parameter_style="GENERAL",
                is_deterministic="YES" if proc.volatility == "i" else "NO",
                sql_data_access="MODIFIES",
                is_null_call="YES" if proc.is_strict else "NO",
                schema_level_routine="YES",
                max_dynamic_result_sets=0,
                security_type="INVOKER",
                as_locator="NO",
                is_udt_dependent="NO",
            )


@rows_of(SCHEMA, "parameters", from_catalog=False)
def _parameters(context: Context) -> Iterator[Row]:
    database = context.database_name
    for proc in all_procs():
        if proc.kind not in "fp":
            continue
        types = proc.all_argument_types or proc.argument_types
        modes = proc.argument_modes or ("i",) * len(types)
        names = proc.argument_names or ("",) * len(types)
        for position, (oid, mode, name) in enumerate(zip(types, modes, names, strict=True), 1):
            if mode == "t":
                continue
            yield information_row(
                "parameters",
                specific_catalog=database,
                specific_schema="pg_catalog",
                specific_name=_specific_name(proc),
                ordinal_position=position,
                parameter_mode=_MODES[mode],
                is_result="NO",
                as_locator="NO",
                parameter_name=name or None,
                data_type=_data_type(oid),
                udt_catalog=database,
                udt_schema="pg_catalog",
                udt_name=type_facts()[oid].name if oid in type_facts() else None,
                dtd_identifier=str(position),
            )
