"""Virtual relations: pg_catalog, information_schema and sys, computed from the live catalog when they are read.

    binder ──find("pg_catalog", "pg_class")──▶ VirtualRelation ──rows(context)──▶ tuples in column order

Every relation that PostgreSQL 16 has exists here with PostgreSQL's OID and full column list (`facts.py`). What its rows are
is said by a function registered with `@rows_of`; a relation without one is empty, because nothing that it could list exists
in Boreal (publications, foreign servers, large objects …).

Most rows depend on nothing but the catalog, which is immutable: they are computed once a catalog and kept until another
catalog is asked about (`from_catalog=True`). Such relations also answer equality look-ups (`lookup`) from an index that is
built when a column is first looked up, so that the nested loops of psql and the drivers do not scan.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib import import_module
from typing import Any

from frontend.context import Context
from frontend.system import facts
from storage.catalog import INFORMATION_SCHEMA_OID, PG_CATALOG_OID, SYS_SCHEMA_OID
from storage.catalog import Sequence as SequenceRecord

Row = tuple[Any, ...]
RowsFunction = Callable[[Context], Iterable[Row]]
Overlay = Callable[[Row, Context], Row]

SYSTEM_SCHEMAS: dict[str, int] = {
    "pg_catalog": PG_CATALOG_OID,
    "information_schema": INFORMATION_SCHEMA_OID,
    "sys": SYS_SCHEMA_OID,
}
"""The schemas that every database has and nobody can change, by name."""

FIRST_SYS_RELATION_OID = 15000

# Modules whose import registers rows, in the order of the chapters.
_ROW_MODULES = (
    "frontend.system.builtin_objects",
    "frontend.system.relations",
    "frontend.system.dependencies",
    "frontend.system.types",
    "frontend.system.roles",
    "frontend.system.views",
    "frontend.system.statistics",
    "frontend.system.sessions",
    "frontend.system.information_schema",
    "frontend.system.information_routines",
    "frontend.system.sys_relations",
)


class VirtualRelation:
    """One system relation.

    Attributes:
        oid, schema, name: PostgreSQL's own, `schema_oid` included.
        columns: (name, type OID, typmod); attribute numbers count from 1.
        row_type: OID of its row type, 0 for relations of sys.
        not_null: for each column, whether pg_attribute calls it not null.
    """

    __slots__ = (
        "_cached", "_catalog", "_from_catalog", "_indexes", "_overlay", "_rows", "columns", "name", "not_null", "oid", "row_type",
        "schema", "schema_oid",
    )  # fmt: skip

    def __init__(
        self,
        schema: str,
        name: str,
        oid: int,
        row_type: int,
        columns: Sequence[tuple[str, int, int]],
        not_null: Sequence[bool],
    ) -> None:
        self.schema = schema
        self.schema_oid = SYSTEM_SCHEMAS[schema]
        self.name = name
        self.oid = oid
        self.row_type = row_type
        self.columns = tuple(columns)
        self.not_null = tuple(not_null)
        self._rows: RowsFunction | None = None
        self._from_catalog = False
        self._overlay: Overlay | None = None
        self._catalog: object = None
        self._cached: list[Row] = []
        self._indexes: dict[int, dict[Any, list[Row]]] = {}

    def __repr__(self) -> str:
        return f"<VirtualRelation {self.schema}.{self.name}>"

    @property
    def description(self) -> str:
        """What the relation is, from the docstring of its row function."""
        return (inspect.getdoc(self._rows) or "") if self._rows is not None else ""

    def rows(self, context: Context) -> Iterable[Row]:
        """The rows as the session sees them now, one value a declared column. The list must not be changed."""
        function = self._rows
        if function is None:
            return ()
        if not self._from_catalog:
            return function(context)
        catalog = context.catalog
        if self._catalog is not catalog:
            self._cached = list(function(context))
            self._catalog = catalog
            self._indexes = {}
        overlay = self._overlay
        return self._cached if overlay is None else [overlay(row, context) for row in self._cached]

    def lookup(self, position: int, value: Any, context: Context) -> Iterable[Row]:
        """The rows whose column at `position` (from 0) equals `value`; NULL equals nothing."""
        if value is None:
            return ()
        if not self._from_catalog or isinstance(value, list):
            return [row for row in self.rows(context) if row[position] == value]
        if self._catalog is not context.catalog:
            self.rows(context)
        index = self._indexes.get(position)
        if index is None:
            index = self._indexes[position] = {}
            for row in self._cached:
                index.setdefault(row[position], []).append(row)
        found = index.get(value, [])
        overlay = self._overlay
        return found if overlay is None else [overlay(row, context) for row in found]


def rows_of(
    schema: str, *names: str, from_catalog: bool = True, overlay: Overlay | None = None
) -> Callable[[RowsFunction], RowsFunction]:
    """Register the decorated function as what computes the rows of the named relations.

    Args:
        from_catalog: the rows are a function of `context.catalog` alone and may be kept for as long as it is the same.
        overlay: puts into a kept row what changes without the catalog (row counts); must leave looked-up columns alone.
    """

    def register(function: RowsFunction) -> RowsFunction:
        for name in names:
            relation = _relations()[schema, name]
            if relation._rows is not None:
                raise ValueError(f"{schema}.{name} has two row functions")
            relation._rows = function
            relation._from_catalog = from_catalog
            relation._overlay = overlay
        return function

    return register


# Relations of Boreal's own: (name, type OID) of each column.
_SYS_COLUMNS: dict[str, tuple[tuple[str, int], ...]] = {
    "jobs": (
        ("job_id", 25),
        ("status", 25),
        ("details", 25),
        ("job_type", 25),
        ("class_id", 26),
        ("object_id", 26),
        ("object_name", 25),
        ("start_time", 1184),
        ("update_time", 1184),
    ),
    "settings": (("name", 25), ("setting", 25), ("unit", 25), ("source", 25), ("context", 25)),
    "storage": (
        ("schema_name", 19),
        ("table_name", 19),
        ("table_id", 26),
        ("storage_id", 20),
        ("index_name", 19),
        ("index_id", 23),
        ("bytes", 20),
    ),
}


@cache
def _relations() -> dict[tuple[str, str], VirtualRelation]:
    found: dict[tuple[str, str], VirtualRelation] = {}
    for schema, described in (
        ("pg_catalog", facts.catalog_relations()),
        ("information_schema", facts.information_schema_relations()),
    ):
        for name, fact in described.items():
            columns = [(column.name, column.type, column.typmod) for column in fact.columns]
            found[schema, name] = VirtualRelation(
                schema, name, fact.oid, fact.row_type, columns, [column.not_null for column in fact.columns]
            )
    for place, (name, described_columns) in enumerate(_SYS_COLUMNS.items()):
        columns = [(column, type_oid, -1) for column, type_oid in described_columns]
        oid = FIRST_SYS_RELATION_OID + place
        found["sys", name] = VirtualRelation("sys", name, oid, 0, columns, [False] * len(columns))
    return found


@cache
def _loaded() -> dict[tuple[str, str], VirtualRelation]:
    for module in _ROW_MODULES:
        import_module(module)
    return _relations()


@cache
def _by_oid() -> dict[int, VirtualRelation]:
    return {relation.oid: relation for relation in _loaded().values()}


def find(schema: str, name: str) -> VirtualRelation | None:
    """The system relation of this schema and name, or None."""
    return _loaded().get((schema, name)) if schema in SYSTEM_SCHEMAS else None


def find_by_oid(oid: int) -> VirtualRelation | None:
    """The system relation with this OID, or None."""
    return _by_oid().get(oid)


class SequenceRelation(VirtualRelation):
    """A sequence as SELECT sees it: one row (last_value, log_cnt, is_called)."""

    __slots__ = ("_sequence",)

    def __init__(self, schema: str, sequence: SequenceRecord) -> None:
        columns = (("last_value", 20, -1), ("log_cnt", 20, -1), ("is_called", 16, -1))
        self.schema = schema
        self.schema_oid = sequence.schema
        self.name = sequence.name
        self.oid = sequence.oid
        self.row_type = 0
        self.columns = columns
        self.not_null = (True, True, True)
        self._sequence = sequence
        self._rows = self._position
        self._from_catalog = False

    def _position(self, context: Context) -> Iterable[Row]:
        last, is_called = context.system.sequence_position(self._sequence)
        yield (last, 0, is_called)


def sequence_relation(schema: str, sequence: SequenceRecord) -> VirtualRelation:
    """What FROM reads when it names a sequence."""
    return SequenceRelation(schema, sequence)


def all_relations() -> Iterable[VirtualRelation]:
    """Every system relation."""
    return _loaded().values()
