"""pg_depend and pg_shdepend, derived from the catalog's records: what pg_dump, \\d and ORMs follow from object to object."""

from __future__ import annotations

import re
from collections.abc import Iterator

from frontend.context import Context
from frontend.system.keywords import quoted
from frontend.system.registry import Row, rows_of
from frontend.system.relations import (
    ATTRDEF_OID,
    AUTHID_OID,
    CLASS_OID,
    CONSTRAINT_OID,
    NAMESPACE_OID,
    REWRITE_OID,
    TYPE_OID,
    default_oid,
    rule_oid,
)
from frontend.system.roles import DATABASE_OID
from storage.catalog import BOOTSTRAP_ROLE_OID, Catalog, Index, Role, Schema, Sequence, Table, View

_REGCLASS = re.compile(r"'((?:[^']|'')*)'::regclass")


def _sequences_by_text(catalog: Catalog) -> dict[str, int]:
    found: dict[str, int] = {}
    for item in catalog.objects.values():
        if isinstance(item, Sequence):
            found[f"{quoted(catalog.objects[item.schema].name)}.{quoted(item.name)}"] = item.oid
    return found


@rows_of("pg_catalog", "pg_depend")
def _pg_depend(context: Context) -> Iterator[Row]:
    catalog = context.catalog
    sequences = _sequences_by_text(catalog)
    for item in catalog.objects.values():
        if isinstance(item, Role | Schema):
            continue
        if not isinstance(item, Index):
            yield (CLASS_OID, item.oid, 0, NAMESPACE_OID, item.schema, 0, "n")
        match item:
            case Table():
                yield (TYPE_OID, item.type, 0, CLASS_OID, item.oid, 0, "i")
                yield from _table(item, sequences)
            case View():
                yield (TYPE_OID, item.type, 0, CLASS_OID, item.oid, 0, "i")
                rule = rule_oid(item.oid)
                yield (REWRITE_OID, rule, 0, CLASS_OID, item.oid, 0, "i")
                yield (REWRITE_OID, rule, 0, CLASS_OID, item.oid, 0, "n")
                for relation, number in item.column_uses:
                    yield (REWRITE_OID, rule, 0, CLASS_OID, relation, number, "n")
                used = {relation for relation, _ in item.column_uses}
                for relation in item.depends_on:
                    if relation not in used:
                        yield (REWRITE_OID, rule, 0, CLASS_OID, relation, 0, "n")
            case Index():
                if item.constraint:
                    yield (CLASS_OID, item.oid, 0, CONSTRAINT_OID, item.constraint, 0, "i")
                else:
                    for number in [*(part.number for part in item.key), *item.include]:
                        yield (CLASS_OID, item.oid, 0, CLASS_OID, item.table, number, "a")
            case Sequence():
                if item.owned_by_table:
                    table = catalog.objects.get(item.owned_by_table)
                    identity = isinstance(table, Table) and table.columns[item.owned_by_column - 1].identity
                    kind = "i" if identity else "a"
                    yield (CLASS_OID, item.oid, 0, CLASS_OID, item.owned_by_table, item.owned_by_column, kind)


def _table(table: Table, sequences: dict[str, int]) -> Iterator[Row]:
    for column in table.columns:
        if column.default is None or column.dropped:
            continue
        oid = default_oid(table.oid, column.number)
        yield (ATTRDEF_OID, oid, 0, CLASS_OID, table.oid, column.number, "a")
        for match in _REGCLASS.finditer(column.default):
            sequence = sequences.get(match.group(1).replace("''", "'"))
            if sequence is not None:
                yield (ATTRDEF_OID, oid, 0, CLASS_OID, sequence, 0, "n")
    for constraint in table.constraints:
        for number in constraint.columns:
            yield (CONSTRAINT_OID, constraint.oid, 0, CLASS_OID, table.oid, number, "a")
            if constraint.kind == "c":
                yield (CONSTRAINT_OID, constraint.oid, 0, CLASS_OID, table.oid, number, "n")
        if constraint.kind == "f":
            for number in constraint.foreign_columns:
                yield (CONSTRAINT_OID, constraint.oid, 0, CLASS_OID, constraint.foreign_table, number, "n")
            yield (CONSTRAINT_OID, constraint.oid, 0, CLASS_OID, constraint.index, 0, "n")


@rows_of("pg_catalog", "pg_shdepend")
def _pg_shdepend(context: Context) -> Iterator[Row]:
    for item in context.catalog.objects.values():
        if isinstance(item, Role | Index):
            continue
        kind = NAMESPACE_OID if isinstance(item, Schema) else CLASS_OID
        if item.owner != BOOTSTRAP_ROLE_OID:
            yield (DATABASE_OID, kind, item.oid, 0, AUTHID_OID, item.owner, "o")
        for grantee, _, _ in item.acl or ():
            if grantee and grantee != item.owner and grantee != BOOTSTRAP_ROLE_OID:
                yield (DATABASE_OID, kind, item.oid, 0, AUTHID_OID, grantee, "a")
