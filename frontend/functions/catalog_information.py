"""Visibility and comments of catalogue objects (PostgreSQL's manual, tables 9.74 and 9.78).

Comments are read from pg_description and pg_shdescription, so they are what these relations show. An object is visible when
its bare name, sought along the search path, means it and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable

from frontend.context import Context
from frontend.functions.catalogue import SYS_PROCS
from frontend.functions.registry import scalar
from frontend.system.registry import VirtualRelation, find, find_by_oid
from frontend.types.registry import is_known_type
from storage.catalog import Role, Schema, Table, View

# ── visibility ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _first_relation(context: Context, name: str) -> int | None:
    """OID of the relation that a bare name means."""
    for schema_name in context.search_path:
        system = find(schema_name, name)
        if system is not None:
            return system.oid
        schema = context.catalog.schema(schema_name)
        relation = None if schema is None else context.catalog.relation(schema.oid, name)
        if relation is not None:
            return relation.oid
    return None


@scalar("pg_table_is_visible(oid)", context=True)
def pg_table_is_visible(context: Context, oid: int) -> bool | None:
    item = find_by_oid(oid) or context.catalog.objects.get(oid)
    if item is None or isinstance(item, (Schema, Role)):
        return None
    return _first_relation(context, item.name) == oid


@scalar("pg_type_is_visible(oid)", context=True)
def pg_type_is_visible(context: Context, oid: int) -> bool | None:
    """A type of pg_catalog, or the row type of a table or view."""
    for item in context.catalog.objects.values():
        if isinstance(item, (Table, View)) and oid in (item.type, item.array_type):
            return _first_relation(context, item.name) == item.oid
    return _is_searched(context) if is_known_type(oid) else None


def _lookup(relation: str, oid: int, context: Context) -> object | None:
    found = find("pg_catalog", relation)
    return None if found is None else next(iter(found.lookup(0, oid, context)), None)


def _is_searched(context: Context) -> bool:
    return "pg_catalog" in context.search_path


_SYS_PROC_OIDS = frozenset(proc.oid for proc in SYS_PROCS)
"""They are called by their qualified names only."""


def _built_in(relation: str) -> Callable[[Context, int], bool | None]:
    """Visibility of objects that only pg_catalog holds."""

    def is_visible(context: Context, oid: int) -> bool | None:
        if _lookup(relation, oid, context) is None:
            return None
        return oid not in _SYS_PROC_OIDS and _is_searched(context)

    return is_visible


for _function, _relation in {
    "pg_function_is_visible": "pg_proc",
    "pg_operator_is_visible": "pg_operator",
    "pg_opclass_is_visible": "pg_opclass",
    "pg_opfamily_is_visible": "pg_opfamily",
    "pg_collation_is_visible": "pg_collation",
    "pg_conversion_is_visible": "pg_conversion",
    "pg_statistics_obj_is_visible": "pg_statistic_ext",
    "pg_ts_parser_is_visible": "pg_ts_parser",
    "pg_ts_dict_is_visible": "pg_ts_dict",
    "pg_ts_config_is_visible": "pg_ts_config",
    "pg_ts_template_is_visible": "pg_ts_template",
}.items():
    scalar(f"{_function}(oid)", context=True)(_built_in(_relation))


# ── comments ────────────────────────────────────────────────────────────────────────────────────────────────────────

_OBJECT, _CLASS, _SUB_OBJECT = range(3)  # columns of pg_description; the text is the last one


def _system(name: str) -> VirtualRelation:
    found = find("pg_catalog", name)
    assert found is not None
    return found


def _comment(context: Context, oid: int, class_name: str | None, sub_object: int) -> str | None:
    owner = None if class_name is None else find("pg_catalog", class_name)
    if class_name is not None and owner is None:
        return None
    for row in _system("pg_description").lookup(_OBJECT, oid, context):
        if row[_SUB_OBJECT] == sub_object and (owner is None or row[_CLASS] == owner.oid):
            return str(row[-1])
    return None


@scalar("obj_description(oid,name)", context=True)
def obj_description(context: Context, oid: int, class_name: str) -> str | None:
    return _comment(context, oid, class_name, 0)


@scalar("obj_description(oid)", context=True)
def obj_description_any(context: Context, oid: int) -> str | None:
    return _comment(context, oid, None, 0)


@scalar("col_description(oid,int4)", context=True)
def col_description(context: Context, oid: int, number: int) -> str | None:
    return _comment(context, oid, "pg_class", number)


@scalar("shobj_description(oid,name)", context=True)
def shobj_description(context: Context, oid: int, class_name: str) -> str | None:
    owner = find("pg_catalog", class_name)
    for row in _system("pg_shdescription").lookup(_OBJECT, oid, context):
        if owner is not None and row[_CLASS] == owner.oid:
            return str(row[-1])
    return None
