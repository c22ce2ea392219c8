"""Relations whose rows are PostgreSQL's own built-in objects and nothing else: functions, operators, casts, classes …

They never change, so each is prepared once a process and shared by all catalogs. PL/pgSQL and its handlers are left out,
since Boreal has neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from frontend.context import Context
from frontend.functions.catalogue import SYS_PROCS
from frontend.system import facts
from frontend.system.registry import Row, rows_of
from storage.catalog import SYS_SCHEMA_OID

PLPGSQL = 12760

_WHOLE = (
    "pg_aggregate", "pg_am", "pg_amop", "pg_amproc", "pg_cast", "pg_collation", "pg_opclass", "pg_operator", "pg_opfamily",
    "pg_range", "pg_tablespace",
)  # fmt: skip


def _builtin(name: str) -> Callable[[Context], Iterable[Row]]:
    def rows(context: Context) -> Iterable[Row]:
        return facts.builtin_rows(name)

    return rows


for _name in _WHOLE:
    rows_of("pg_catalog", _name)(_builtin(_name))


@rows_of("pg_catalog", "pg_language")
def _pg_language(context: Context) -> Iterable[Row]:
    return [row for row in facts.builtin_rows("pg_language") if row[0] != PLPGSQL]


@rows_of("pg_catalog", "pg_proc")
def _pg_proc(context: Context) -> Iterable[Row]:
    rows = [row for row in facts.builtin_rows("pg_proc") if not row[1].startswith("plpgsql_")]
    columns = [column.name for column in facts.catalog_relations()["pg_proc"].columns]
    pattern = dict(zip(columns, next(row for row in rows if row[1] == "txid_status"), strict=True))
    for proc in SYS_PROCS:
        name = proc.name.removeprefix("sys.")
        own = {
            "oid": proc.oid,
            "proname": name,
            "pronamespace": SYS_SCHEMA_OID,
            "pronargs": proc.argument_count,
            "prorettype": proc.result_type,
            "proargtypes": list(proc.argument_types),
            "proargnames": list(proc.argument_names or ()),
            "prosrc": name,
        }
        rows.append(tuple((pattern | own).values()))
    return rows
