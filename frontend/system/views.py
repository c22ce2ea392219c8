"""PostgreSQL's own views over the catalogue: pg_tables, pg_views, pg_indexes, pg_sequences, pg_rules …"""

from __future__ import annotations

from collections.abc import Iterator

from frontend.context import Context
from frontend.system import registry
from frontend.system.definitions import index_definition, schema_name, view_definition
from frontend.system.keywords import quoted
from frontend.system.registry import Row, rows_of
from storage.catalog import Catalog, Index, Sequence, Table, View


def owner_name(catalog: Catalog, oid: int) -> str:
    """The name of a role, as pg_get_userbyid gives it."""
    role = catalog.objects.get(oid)
    return role.name if role is not None else f"unknown (OID={oid})"


@rows_of("pg_catalog", "pg_tables")
def _pg_tables(context: Context) -> Iterator[Row]:
    catalog = context.catalog
    for item in catalog.objects.values():
        if isinstance(item, Table):
            foreign = bool(item.referenced_by) or any(constraint.kind == "f" for constraint in item.constraints)
            yield (
                schema_name(catalog, item),
                item.name,
                owner_name(catalog, item.owner),
                None,
                bool(item.indexes),
                False,
                foreign,
                False,
            )
    for row in _system_relations("r"):
        yield (row[0], row[1], "postgres", row[2], False, False, False, False)


def _system_relations(kind: str) -> Iterator[Row]:
    """(schema, name, tablespace) of PostgreSQL's own tables or views."""
    from frontend.system import facts

    schemas = {oid: name for name, oid in registry.SYSTEM_SCHEMAS.items()}
    for row in facts.system_class_rows():
        if row[16] == kind:
            yield (schemas[row[2]], row[1], "pg_global" if row[14] else None)


@rows_of("pg_catalog", "pg_views", from_catalog=False)
def _pg_views(context: Context) -> Iterator[Row]:
    catalog = context.catalog
    for item in catalog.objects.values():
        if isinstance(item, View):
            yield (
                schema_name(catalog, item),
                item.name,
                owner_name(catalog, item.owner),
                view_definition(context, item),
            )
    for row in _system_relations("v"):
        yield (row[0], row[1], "postgres", None)


@rows_of("pg_catalog", "pg_indexes", from_catalog=False)
def _pg_indexes(context: Context) -> Iterator[Row]:
    catalog = context.catalog
    for item in catalog.objects.values():
        if isinstance(item, Index):
            table = catalog.table(item.table)
            yield (schema_name(catalog, table), table.name, item.name, None, index_definition(context, item))


_TYPES = {21: "smallint", 23: "integer", 20: "bigint"}


@rows_of("pg_catalog", "pg_sequences", from_catalog=False)
def _pg_sequences(context: Context) -> Iterator[Row]:
    catalog = context.catalog
    for item in catalog.objects.values():
        if isinstance(item, Sequence):
            yield (
                schema_name(catalog, item),
                item.name,
                owner_name(catalog, item.owner),
                item.type,
                item.start,
                item.minimum,
                item.maximum,
                item.increment,
                item.cycle,
                item.cache,
                context.system.sequence_last_value(item),
            )


@rows_of("pg_catalog", "pg_rules", from_catalog=False)
def _pg_rules(context: Context) -> Iterator[Row]:
    """Rules other than a view's _RETURN, of which there are none."""
    return iter(())


def column_reference(table: Table, number: int) -> str:
    """A column as `table.column`, for descriptions."""
    return f"{quoted(table.name)}.{quoted(table.columns[number - 1].name)}"
