"""pg_type: PostgreSQL's types, and the row types of tables and views with their arrays."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from frontend.context import Context
from frontend.functions.catalogue import procs_by_name
from frontend.system import facts
from frontend.system.registry import Row, rows_of
from storage.catalog import Table, View


@cache
def _function(name: str) -> int:
    return procs_by_name(name)[0].oid


@rows_of("pg_catalog", "pg_type")
def _pg_type(context: Context) -> Iterator[Row]:
    yield from facts.builtin_rows("pg_type")
    for item in context.catalog.objects.values():
        if isinstance(item, Table | View) and item.type:
            yield (
                item.type, item.name, item.schema, item.owner, -1, False, "c", "C", False, True, ",", item.oid, 0, 0,
                item.array_type, _function("record_in"), _function("record_out"), _function("record_recv"),
                _function("record_send"), 0, 0, 0, "d", "x", False, 0, -1, 0, 0, None, None, None,
            )  # fmt: skip
            yield (
                item.array_type, array_type_name(item.name), item.schema, item.owner, -1, False, "b", "A", False, True, ",", 0,
                _function("array_subscript_handler"), item.type, 0, _function("array_in"), _function("array_out"),
                _function("array_recv"), _function("array_send"), 0, 0, _function("array_typanalyze"), "d", "x", False, 0,
                -1, 0, 0, None, None, None,
            )  # fmt: skip


def array_type_name(name: str) -> str:
    """The name of the array type over a type."""
    return "_" + name.encode()[:62].decode(errors="ignore")
