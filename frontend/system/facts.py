"""PostgreSQL's own catalogue rows, in full column order: what `frontend/builtin/*.json` says, as tuples.

A relation's facts lie in up to two files. `pg_x.json` is what all of the frontend uses; `pg_x_rest.json` has the columns (or
rows) that only the catalogue shows. Columns that are equal in every row are written once, under "constants". Everything is
read when first asked for: a process whose clients never look at pg_proc never loads it.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from storage.catalog import INFORMATION_SCHEMA_OID

# The OID that initdb gave information_schema when the facts were dumped.
_DUMPED_INFORMATION_SCHEMA = 12404

# Types of catalogue columns that Boreal shows as another one: domains of information_schema as their base types (which is
# also what PostgreSQL's protocol reports for a domain), and types whose values Boreal has no form for as text.
_SHOWN_TYPES: dict[int, tuple[int, int]] = {
    12418: (23, -1),
    12421: (1043, -1),
    12423: (19, -1),
    12429: (1184, 2),
    12431: (1043, 7),
    869: (25, -1),
}


class ColumnFact(NamedTuple):
    """A column of a system relation."""

    name: str
    type: int
    typmod: int
    not_null: bool


class RelationFact(NamedTuple):
    """A system relation of PostgreSQL: what pg_class and pg_attribute say about it."""

    oid: int
    row_type: int
    columns: tuple[ColumnFact, ...]


class _FactFile(NamedTuple):
    columns: list[str]
    constants: dict[str, Any]
    rows: list[list[Any]]


def _load(name: str) -> _FactFile | None:
    path = resources.files("frontend.builtin").joinpath(f"{name}.json")
    if not path.is_file():
        return None
    document = json.loads(path.read_bytes())
    return _FactFile(document["columns"], document.get("constants", {}), document["rows"])


def _require(name: str) -> _FactFile:
    file = _load(name)
    if file is None:
        raise FileNotFoundError(f"frontend/builtin/{name}.json")
    return file


@cache
def catalog_relations() -> dict[str, RelationFact]:
    """The relations of pg_catalog by name."""
    found: dict[str, tuple[int, int, list[ColumnFact]]] = {}
    for name, oid, row_type, column, _, type_oid, typmod, not_null in _require("catalog_columns").rows:
        shown, modifier = _SHOWN_TYPES.get(type_oid, (type_oid, typmod))
        found.setdefault(name, (oid, row_type, []))[2].append(ColumnFact(column, shown, modifier, not_null))
    return {name: RelationFact(oid, row_type, tuple(columns)) for name, (oid, row_type, columns) in found.items()}


@cache
def information_schema_relations() -> dict[str, RelationFact]:
    """The views of information_schema by name, with the base types of its domains."""
    oids = {row[1]: (row[0], row[3]) for row in system_class_rows() if row[2] == INFORMATION_SCHEMA_OID}
    found: dict[str, list[ColumnFact]] = {}
    for name, column, _, type_oid, _, typmod in _require("information_schema_columns").rows:
        shown, modifier = _SHOWN_TYPES.get(type_oid, (type_oid, typmod))
        found.setdefault(name, []).append(ColumnFact(column, shown, modifier, False))
    return {name: RelationFact(*oids[name], tuple(columns)) for name, columns in found.items()}


@cache
def system_class_rows() -> list[tuple[Any, ...]]:
    """The rows of pg_class about system relations, in pg_class's column order."""
    rows = builtin_rows("pg_class")
    return [
        (row[0], row[1], INFORMATION_SCHEMA_OID if row[2] == _DUMPED_INFORMATION_SCHEMA else row[2], *row[3:])
        for row in rows
    ]


@cache
def builtin_rows(name: str) -> list[tuple[Any, ...]]:
    """The built-in rows of a pg_catalog relation, in its own column order.

    Lists in the facts are arrays; text forms of aclitem arrays are split, so that they are lists too.
    """
    base, rest = _load(name), _load(f"{name}_rest")
    main = rest if rest is not None and base is not None and len(rest.rows) != len(base.rows) else base or rest
    if main is None:
        return []
    sources: dict[str, Any] = {}
    relation = catalog_relations()[name]
    extra: dict[Any, list[Any]] = {}
    extra_columns: dict[str, int] = {}
    if rest is not None and main is base:
        extra = {row[0]: row for row in rest.rows}
        extra_columns = {column: place for place, column in enumerate(rest.columns)}
        sources.update(rest.constants)
    sources.update(main.constants)
    main_columns = {column: place for place, column in enumerate(main.columns)}
    getters: list[tuple[int, Any]] = []  # (0 main, 1 rest, 2 constant; place or value)
    for column in relation.columns:
        if column.name in extra_columns:
            getters.append((1, extra_columns[column.name]))
        elif column.name in main_columns:
            getters.append((0, main_columns[column.name]))
        else:
            getters.append((2, sources[column.name]))
    acl_places = {place for place, column in enumerate(relation.columns) if column.type == 1034}
    namespace_places = {place for place, column in enumerate(relation.columns) if column.name.endswith("namespace")}
    rows: list[tuple[Any, ...]] = []
    for row in main.rows:
        other = extra.get(row[0], [])
        values = [row[at] if which == 0 else other[at] if which == 1 else at for which, at in getters]
        for place in acl_places:
            if isinstance(values[place], str):
                values[place] = values[place].strip("{}").split(",")
        for place in namespace_places:
            if values[place] == _DUMPED_INFORMATION_SCHEMA:
                values[place] = INFORMATION_SCHEMA_OID
        rows.append(tuple(values))
    return rows
