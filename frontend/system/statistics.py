"""The pg_stat_* and pg_statio_* relations.

Boreal counts rows (ANALYZE) and nothing else a table: counters that it does not keep are 0, as they are in PostgreSQL after
pg_stat_reset, and times that never happened are NULL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from frontend.context import Context
from frontend.system.definitions import schema_name
from frontend.system.registry import Row, rows_of
from frontend.system.roles import DATABASE_OID
from storage.catalog import Index, Sequence, Table

RowsFunction = Callable[[Context], Iterator[Row]]


def _tables(context: Context) -> Iterator[tuple[str, Table]]:
    for item in context.catalog.objects.values():
        if isinstance(item, Table):
            yield schema_name(context.catalog, item), item


@rows_of("pg_catalog", "pg_stat_all_tables", "pg_stat_user_tables", from_catalog=False)
def _pg_stat_tables(context: Context) -> Iterator[Row]:
    for schema, table in _tables(context):
        live = max(0, int(context.system.row_count(table)))
        yield (
            table.oid, schema, table.name, 0, None, 0, 0, None, 0, 0, 0, 0, 0, 0, live, 0, 0, 0, None, None, None, None, 0, 0, 0,
            0,
        )  # fmt: skip


@rows_of("pg_catalog", "pg_stat_xact_all_tables", "pg_stat_xact_user_tables")
def _pg_stat_xact_tables(context: Context) -> Iterator[Row]:
    for schema, table in _tables(context):
        yield (table.oid, schema, table.name, 0, 0, 0, 0, 0, 0, 0, 0, 0)


@rows_of("pg_catalog", "pg_statio_all_tables", "pg_statio_user_tables")
def _pg_statio_tables(context: Context) -> Iterator[Row]:
    for schema, table in _tables(context):
        yield (table.oid, schema, table.name, 0, 0, 0, 0, None, None, None, None)


def _indexes(context: Context) -> Iterator[tuple[str, Table, Index]]:
    catalog = context.catalog
    for item in catalog.objects.values():
        if isinstance(item, Index):
            yield schema_name(catalog, item), catalog.table(item.table), item


@rows_of("pg_catalog", "pg_stat_all_indexes", "pg_stat_user_indexes")
def _pg_stat_indexes(context: Context) -> Iterator[Row]:
    for schema, table, index in _indexes(context):
        yield (table.oid, index.oid, schema, table.name, index.name, 0, None, 0, 0)


@rows_of("pg_catalog", "pg_statio_all_indexes", "pg_statio_user_indexes")
def _pg_statio_indexes(context: Context) -> Iterator[Row]:
    for schema, table, index in _indexes(context):
        yield (table.oid, index.oid, schema, table.name, index.name, 0, 0)


@rows_of("pg_catalog", "pg_statio_all_sequences", "pg_statio_user_sequences")
def _pg_statio_sequences(context: Context) -> Iterator[Row]:
    for item in context.catalog.objects.values():
        if isinstance(item, Sequence):
            yield (item.oid, schema_name(context.catalog, item), item.name, 0, 0)


@rows_of("pg_catalog", "pg_stat_database", from_catalog=False)
def _pg_stat_database(context: Context) -> Iterator[Row]:
    backends = sum(1 for _ in context.system.sessions())
    yield (
        DATABASE_OID, context.database_name, backends, *([0] * 13), None, None, 0.0, 0.0, 0.0, 0.0, 0.0, backends, 0, 0, 0, None,
    )  # fmt: skip
