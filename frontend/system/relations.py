"""pg_class, pg_attribute and what hangs on them: defaults, indexes, constraints, sequences, rules, namespaces, comments.

System relations describe themselves, too: their rows come from PostgreSQL's facts, prepared once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

from frontend.context import Context
from frontend.functions.catalogue import operator_named
from frontend.system import facts, registry
from frontend.system.definitions import acl_texts
from frontend.system.registry import Row, rows_of
from storage.catalog import (
    BOOTSTRAP_ROLE_OID,
    INFORMATION_SCHEMA_OID,
    PG_CATALOG_OID,
    PUBLIC_OID,
    SYS_SCHEMA_OID,
    Catalog,
    Column,
    Constraint,
    Index,
    KeyPart,
    Role,
    Schema,
    Table,
    View,
)
from storage.catalog import (
    Sequence as SequenceRecord,
)

CLASS_OID = 1259
CONSTRAINT_OID = 2606
NAMESPACE_OID = 2615
AUTHID_OID = 1260
ATTRDEF_OID = 2604
REWRITE_OID = 2618
TYPE_OID = 1247
HEAP = 2
BTREE = 403
FIRST_USER_OID = 16384

# OIDs of things that have no record of their own: the upper half of the OID space, derived from their owner's OID.
_DEFAULT_BASE = 0x80000000
_RULE_BASE = 0xC0000000
_COLUMNS_MAX = 1600


def default_oid(table_oid: int, number: int) -> int:
    """pg_attrdef.oid of a column's default."""
    return _DEFAULT_BASE + (table_oid * _COLUMNS_MAX + number) % 0x40000000


def rule_oid(view_oid: int) -> int:
    """pg_rewrite.oid of a view's _RETURN rule."""
    return _RULE_BASE + view_oid % 0x3FFFFFFF


class TypeLayout(NamedTuple):
    """What pg_attribute repeats of a column's type."""

    length: int
    by_value: bool
    alignment: str
    storage: str
    collation: int


@cache
def _layouts() -> dict[int, TypeLayout]:
    return {row[0]: TypeLayout(row[4], row[5], row[22], row[23], row[28]) for row in facts.builtin_rows("pg_type")}


_ROW_LAYOUT = TypeLayout(-1, False, "d", "x", 0)


def layout_of(type_oid: int) -> TypeLayout:
    """The layout of a built-in type; row types and their arrays are all alike."""
    return _layouts().get(type_oid, _ROW_LAYOUT)


# ── pg_class ────────────────────────────────────────────────────────────────────────────────────────────────────────

_RELTUPLES = 10
_RELPAGES = 9


def _with_statistics(row: Row, context: Context) -> Row:
    """pg_class with the row count of the last ANALYZE."""
    if row[0] < FIRST_USER_OID or row[16] != "r":
        return row
    table = context.catalog.objects.get(row[0])
    if not isinstance(table, Table):
        return row
    count = context.system.row_count(table)
    if count < 0:
        return row
    pages = (context.system.relation_bytes(table.storage, 0) + 8191) // 8192
    return (*row[:_RELPAGES], pages, float(count), *row[_RELTUPLES + 1 :])


def _class_row(
    catalog: Catalog,
    item: Table | View | Index | SequenceRecord,
    *,
    kind: str,
    method: int,
    storage: int,
    row_type: int,
    width: int,
    checks: int = 0,
    has_index: bool = False,
    has_rules: bool = False,
    has_triggers: bool = False,
    options: dict[str, str] | None = None,
) -> Row:
    return (
        item.oid, item.name, item.schema, row_type, 0, item.owner, method, storage, 0,
        1 if kind == "S" else 0, 1.0 if kind == "S" else 0.0 if kind in "vi" else -1.0, 0, 0, has_index, False, "p", kind, width, checks, has_rules,
        has_triggers, False, False, False, True, "d" if kind == "r" else "n", False, 0, 0, 0, acl_texts(catalog, item.acl),
        [f"{name}={value}" for name, value in options.items()] if options else None, None,
    )  # fmt: skip


@rows_of("pg_catalog", "pg_class", overlay=_with_statistics)
def _pg_class(context: Context) -> Iterator[Row]:
    yield from facts.system_class_rows()
    for relation in registry.all_relations():
        if relation.schema == "sys":
            yield (
                relation.oid, relation.name, SYS_SCHEMA_OID, 0, 0, BOOTSTRAP_ROLE_OID, 0, 0, 0, 0, 0.0, 0, 0, False, False,
                "p", "v", len(relation.columns), 0, False, False, False, False, False, True, "n", False, 0, 0, 0,
                ["postgres=arwdDxt/postgres", "=r/postgres"], None, None,
            )  # fmt: skip
    catalog = context.catalog
    for item in catalog.objects.values():
        match item:
            case Table():
                foreign = any(constraint.kind == "f" for constraint in item.constraints) or bool(item.referenced_by)
                yield _class_row(
                    catalog,
                    item,
                    kind="r",
                    method=HEAP,
                    storage=item.storage,
                    row_type=item.type,
                    width=len(item.columns),
                    checks=sum(1 for constraint in item.constraints if constraint.kind == "c"),
                    has_index=bool(item.indexes),
                    has_triggers=foreign,
                    options=item.options,
                )
            case View():
                options = dict(item.options)
                if item.check_option:
                    options["check_option"] = item.check_option
                yield _class_row(
                    catalog,
                    item,
                    kind="v",
                    method=0,
                    storage=0,
                    row_type=item.type,
                    width=len(item.columns),
                    has_rules=True,
                    options=options,
                )
            case Index():
                yield _class_row(
                    catalog,
                    item,
                    kind="i",
                    method=BTREE,
                    storage=item.oid,
                    row_type=0,
                    width=len(item.key) + len(item.include),
                    options=item.options,
                )
            case SequenceRecord():
                yield _class_row(catalog, item, kind="S", method=0, storage=item.oid, row_type=0, width=3)


# ── pg_attribute ────────────────────────────────────────────────────────────────────────────────────────────────────


def _attribute(
    relation: int, name: str, type_oid: int, number: int, typmod: int = -1, *, not_null: bool = False,
    has_default: bool = False, has_missing: bool = False, identity: str = "", generated: str = "", dropped: bool = False,
    target: int = -1, collation: int | None = None,
) -> Row:  # fmt: skip
    layout = layout_of(type_oid)
    return (
        relation, name, 0 if dropped else type_oid, layout.length, number, -1, typmod, 1 if _is_array(type_oid) else 0,
        layout.by_value, layout.alignment, layout.storage, "", not_null, has_default, has_missing, identity, generated,
        dropped, True, 0, target, layout.collation if collation is None else collation, None, None, None, None,
    )  # fmt: skip


@cache
def _array_types() -> frozenset[int]:
    return frozenset(row[0] for row in facts.builtin_rows("pg_type") if row[7] == "A" and row[4] == -1)


def _is_array(type_oid: int) -> bool:
    return type_oid in _array_types() and type_oid not in (22, 30)


# (name, type, number) of the system columns, in pg_attribute's order.
_SYSTEM_ATTRIBUTES = (
    ("tableoid", 26, -6),
    ("cmax", 29, -5),
    ("xmax", 28, -4),
    ("cmin", 29, -3),
    ("xmin", 28, -2),
    ("ctid", 27, -1),
)


def _system_attributes(relation: int) -> Iterator[Row]:
    for name, type_oid, number in _SYSTEM_ATTRIBUTES:
        yield _attribute(relation, name, type_oid, number, not_null=True, target=0)


@cache
def _system_relation_attributes() -> list[Row]:
    rows: list[Row] = []
    views = {row[0] for row in facts.system_class_rows() if row[16] == "v"}
    for relation in registry.all_relations():
        if relation.schema == "pg_catalog" and relation.oid not in views:
            rows.extend(_system_attributes(relation.oid))
        for number, (name, type_oid, typmod) in enumerate(relation.columns, 1):
            rows.append(
                _attribute(relation.oid, name, type_oid, number, typmod, not_null=relation.not_null[number - 1])
            )
    return rows


def _columns(relation: int, columns: Sequence[Column]) -> Iterator[Row]:
    for column in columns:
        yield _attribute(
            relation,
            column.name,
            column.type,
            column.number,
            column.typmod,
            not_null=column.not_null,
            has_default=column.default is not None,
            has_missing=column.missing is not None and not column.dropped,
            identity=column.identity,
            generated="s" if column.generated else "",
            dropped=column.dropped,
            target=0 if column.dropped else column.statistics_target,
            collation=column.collation,
        )


def key_column_name(table: Table, part: KeyPart, used: Sequence[str]) -> str:
    """The name of an index's attribute: its column's, or expr, expr1 … for expressions."""
    if part.number:
        return table.columns[part.number - 1].name
    text = part.expression or ""
    head = text.split("(", 1)[0]
    base = head if head.isidentifier() and "(" in text else "expr"
    name, suffix = base, 0
    while name in used:
        suffix += 1
        name = f"{base}{suffix}"
    return name


@rows_of("pg_catalog", "pg_attribute")
def _pg_attribute(context: Context) -> Iterator[Row]:
    yield from _system_relation_attributes()
    catalog = context.catalog
    for item in catalog.objects.values():
        match item:
            case Table():
                yield from _system_attributes(item.oid)
                yield from _columns(item.oid, item.columns)
            case View():
                yield from _columns(item.oid, item.columns)
            case Index():
                table = catalog.table(item.table)
                used: list[str] = []
                for number, part in enumerate(item.key, 1):
                    name = key_column_name(table, part, used)
                    used.append(name)
                    yield _attribute(item.oid, name, part.type, number, part.typmod)
                for number, included in enumerate(item.include, len(item.key) + 1):
                    column = table.columns[included - 1]
                    yield _attribute(item.oid, column.name, column.type, number, column.typmod)
            case SequenceRecord():
                yield from _system_attributes(item.oid)
                yield _attribute(item.oid, "last_value", 20, 1, not_null=True)
                yield _attribute(item.oid, "log_cnt", 20, 2, not_null=True)
                yield _attribute(item.oid, "is_called", 16, 3, not_null=True)


@rows_of("pg_catalog", "pg_attrdef")
def _pg_attrdef(context: Context) -> Iterator[Row]:
    for item in context.catalog.objects.values():
        if isinstance(item, Table | View):
            for column in item.columns:
                if column.default is not None and not column.dropped:
                    yield (default_oid(item.oid, column.number), item.oid, column.number, column.default)


# ── pg_index, pg_constraint ─────────────────────────────────────────────────────────────────────────────────────────


@cache
def _operator_classes() -> tuple[dict[int, int], dict[str, int]]:
    by_type: dict[int, int] = {}
    by_name: dict[str, int] = {}
    for row in facts.builtin_rows("pg_opclass"):
        if row[1] == BTREE:
            by_name[row[2]] = row[0]
            if row[7]:
                by_type[row[6]] = row[0]
    by_type[1043] = by_name["text_ops"]
    return by_type, by_name


def operator_class_oid(part: KeyPart) -> int:
    """The operator class of a key column."""
    by_type, by_name = _operator_classes()
    if part.operator_class:
        return by_name[part.operator_class]
    return by_type.get(part.type, by_type.get(2277 if _is_array(part.type) else part.type, 0))


@rows_of("pg_catalog", "pg_index")
def _pg_index(context: Context) -> Iterator[Row]:
    catalog = context.catalog
    for item in catalog.objects.values():
        if not isinstance(item, Index):
            continue
        table = catalog.table(item.table)
        constraint = next((each for each in table.constraints if each.oid == item.constraint), None)
        texts = [part.expression for part in item.key if part.expression is not None]
        collations = [
            table.columns[part.number - 1].collation if part.number else layout_of(part.type).collation
            for part in item.key
        ]
        yield (
            item.oid,
            item.table,
            len(item.key) + len(item.include),
            len(item.key),
            item.unique,
            item.nulls_not_distinct,
            item.primary,
            False,
            constraint is None or not constraint.deferrable,
            False,
            item.valid,
            False,
            True,
            True,
            False,
            [*(part.number for part in item.key), *item.include],
            collations,
            [operator_class_oid(part) for part in item.key],
            [(1 if part.descending else 0) | (2 if part.nulls_first else 0) for part in item.key],
            ", ".join(texts) if texts else None,
            item.predicate,
        )


def _equality(left: int, right: int) -> int:
    text = (25, 1043)
    left = 25 if left in text else left
    right = 25 if right in text else right
    operator = operator_named("=", left, right) or operator_named("=", left, left)
    if operator is None and _is_array(left):
        operator = operator_named("=", 2277, 2277)
    return 0 if operator is None else operator.oid


@rows_of("pg_catalog", "pg_constraint")
def _pg_constraint(context: Context) -> Iterator[Row]:
    catalog = context.catalog
    for table in catalog.objects.values():
        if isinstance(table, Table):
            for constraint in table.constraints:
                yield _constraint_row(catalog, table, constraint)


def _constraint_row(catalog: Catalog, table: Table, constraint: Constraint) -> Row:
    is_foreign = constraint.kind == "f"
    keys: list[int] | None = list(constraint.columns)
    primary_foreign = primary = foreign = None
    if is_foreign:
        target = catalog.table(constraint.foreign_table)
        pairs = [
            (target.columns[referenced - 1].type, table.columns[number - 1].type)
            for referenced, number in zip(constraint.foreign_columns, constraint.columns, strict=True)
        ]
        primary_foreign = [_equality(left, right) for left, right in pairs]
        primary = [_equality(left, left) for left, _ in pairs]
        foreign = [_equality(right, right) for _, right in pairs]
    return (
        constraint.oid,
        constraint.name,
        table.schema,
        constraint.kind,
        constraint.deferrable,
        constraint.initially_deferred,
        constraint.validated,
        table.oid,
        0,
        constraint.index,
        0,
        constraint.foreign_table,
        constraint.on_update if is_foreign else " ",
        constraint.on_delete if is_foreign else " ",
        ("f" if constraint.match_full else "s") if is_foreign else " ",
        True,
        0,
        constraint.no_inherit or constraint.kind in "puf",
        keys or None,
        list(constraint.foreign_columns) if is_foreign else None,
        primary_foreign,
        primary,
        foreign,
        list(constraint.on_delete_columns) or None,
        None,
        constraint.expression,
    )


# ── sequences, rules, namespaces, comments ──────────────────────────────────────────────────────────────────────────


@rows_of("pg_catalog", "pg_sequence")
def _pg_sequence(context: Context) -> Iterator[Row]:
    for item in context.catalog.objects.values():
        if isinstance(item, SequenceRecord):
            yield (
                item.oid,
                item.type,
                item.start,
                item.increment,
                item.maximum,
                item.minimum,
                item.cache,
                item.cycle,
            )


@rows_of("pg_catalog", "pg_rewrite")
def _pg_rewrite(context: Context) -> Iterator[Row]:
    for item in context.catalog.objects.values():
        if isinstance(item, View):
            yield (rule_oid(item.oid), "_RETURN", item.oid, "1", "O", True, "<>", item.query)


@rows_of("pg_catalog", "pg_namespace")
def _pg_namespace(context: Context) -> Iterator[Row]:
    usage = ["postgres=UC/postgres", "=U/postgres"]
    yield (PG_CATALOG_OID, "pg_catalog", BOOTSTRAP_ROLE_OID, usage)
    yield (INFORMATION_SCHEMA_OID, "information_schema", BOOTSTRAP_ROLE_OID, usage)
    yield (SYS_SCHEMA_OID, "sys", BOOTSTRAP_ROLE_OID, usage)
    for item in context.catalog.objects.values():
        if isinstance(item, Schema):
            acl = acl_texts(context.catalog, item.acl)
            yield (item.oid, item.name, item.owner, usage if acl is None and item.oid == PUBLIC_OID else acl)


@rows_of("pg_catalog", "pg_description")
def _pg_description(context: Context) -> Iterator[Row]:
    for item in context.catalog.objects.values():
        if isinstance(item, Role):
            continue
        if item.comment is not None:
            yield (item.oid, NAMESPACE_OID if isinstance(item, Schema) else CLASS_OID, 0, item.comment)
        if isinstance(item, Table | View):
            for column in item.columns:
                if column.comment is not None and not column.dropped:
                    yield (item.oid, CLASS_OID, column.number, column.comment)
        if isinstance(item, Table):
            for constraint in item.constraints:
                if constraint.comment is not None:
                    yield (constraint.oid, CONSTRAINT_OID, 0, constraint.comment)


@rows_of("pg_catalog", "pg_shdescription")
def _pg_shdescription(context: Context) -> Iterator[Row]:
    for item in context.catalog.objects.values():
        if isinstance(item, Role) and item.comment is not None:
            yield (item.oid, AUTHID_OID, item.comment)
