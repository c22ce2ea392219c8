"""Boreal's own schema `sys`: what PostgreSQL has no relation for."""

from __future__ import annotations

from collections.abc import Iterator

from frontend.context import Context
from frontend.system.definitions import schema_name
from frontend.system.registry import Row, rows_of
from storage.catalog import Table


@rows_of("sys", "settings", from_catalog=False)
def _settings(context: Context) -> Iterator[Row]:
    """The parameters of this session, as in pg_settings."""
    for setting in context.system.settings():
        yield (setting.name, setting.setting, setting.unit, setting.source, setting.context)


@rows_of("sys", "jobs")
def _jobs(context: Context) -> Iterator[Row]:
    """Asynchronous jobs: none, since every index is built and every constraint validated by the statement that asks."""
    return iter(())


@rows_of("sys", "storage", from_catalog=False)
def _storage(context: Context) -> Iterator[Row]:
    """Which storage id and index id hold what, and about how many bytes."""
    catalog = context.catalog
    for item in catalog.objects.values():
        if isinstance(item, Table):
            schema = schema_name(catalog, item)
            size = context.system.relation_bytes(item.storage, 0)
            yield (schema, item.name, item.oid, item.storage, None, 0, size)
            for index in catalog.indexes_of(item):
                if not index.primary:
                    size = context.system.relation_bytes(item.storage, index.index_id)
                    yield (schema, item.name, item.oid, item.storage, index.name, index.index_id, size)
