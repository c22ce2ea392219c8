"""information_schema: the SQL standard's views of tables, columns, constraints, sequences, privileges.

Rows are built by column name (`information_row`), since these relations are wide and mostly NULL; they are kept for as long as the
catalog is the same. Like PostgreSQL's, they show system relations in `tables` and `columns` too.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from frontend.context import Context
from frontend.system import facts, registry
from frontend.system.definitions import expression_text, parenthesised, schema_name, view_definition
from frontend.system.privileges import PRIVILEGES_BY_LETTER
from frontend.system.registry import Row, rows_of
from frontend.system.views import owner_name
from frontend.types.facts import type_facts
from frontend.types.registry import format_type
from storage.catalog import Catalog, Column, Constraint, Index, Schema, Sequence, Table, View

SCHEMA = "information_schema"
_RULES = {"a": "NO ACTION", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}
_INTEGER_BITS = {21: 16, 23: 32, 20: 64}
_FLOAT_BITS = {700: 24, 701: 53}
_MAXIMUM_OCTETS = 1_073_741_824


@cache
def _positions(name: str) -> tuple[int, dict[str, int]]:
    columns = facts.information_schema_relations()[name].columns
    return len(columns), {column.name: place for place, column in enumerate(columns)}


def information_row(relation: str, **values: Any) -> Row:
    """A row of `relation` with the named columns; the others are NULL."""
    width, positions = _positions(relation)
    row: list[Any] = [None] * width
    for name, value in values.items():
        row[positions[name]] = value
    return tuple(row)


def _yes(flag: bool) -> str:
    return "YES" if flag else "NO"


def _relations(context: Context) -> Iterator[tuple[str, Table | View]]:
    for item in context.catalog.objects.values():
        if isinstance(item, Table | View):
            yield schema_name(context.catalog, item), item


def is_simply_updatable(view: View) -> bool:
    """Views are read-only here."""
    return False


# ── schemata, tables, views ─────────────────────────────────────────────────────────────────────────────────────────


@rows_of(SCHEMA, "information_schema_catalog_name", from_catalog=False)
def _catalog_name(context: Context) -> Iterator[Row]:
    yield (context.database_name,)


@rows_of(SCHEMA, "schemata")
def _schemata(context: Context) -> Iterator[Row]:
    for name in registry.SYSTEM_SCHEMAS:
        yield information_row("schemata", catalog_name=context.database_name, schema_name=name, schema_owner="postgres")
    for item in context.catalog.objects.values():
        if isinstance(item, Schema):
            yield information_row(
                "schemata",
                catalog_name=context.database_name,
                schema_name=item.name,
                schema_owner=owner_name(context.catalog, item.owner),
            )


@rows_of(SCHEMA, "tables")
def _tables(context: Context) -> Iterator[Row]:
    database = context.database_name
    kinds = {row[0]: row[16] for row in facts.system_class_rows()}
    for relation in registry.all_relations():
        is_view = kinds.get(relation.oid, "v") == "v"
        yield information_row(
            "tables",
            table_catalog=database,
            table_schema=relation.schema,
            table_name=relation.name,
            table_type="VIEW" if is_view else "BASE TABLE",
            is_insertable_into="NO",
            is_typed="NO",
        )
    for schema, item in _relations(context):
        yield information_row(
            "tables",
            table_catalog=database,
            table_schema=schema,
            table_name=item.name,
            table_type="VIEW" if isinstance(item, View) else "BASE TABLE",
            is_insertable_into=_yes(isinstance(item, Table)),
            is_typed="NO",
        )


@rows_of(SCHEMA, "views", from_catalog=False)
def _views(context: Context) -> Iterator[Row]:
    for schema, item in _relations(context):
        if isinstance(item, View):
            yield information_row(
                "views",
                table_catalog=context.database_name,
                table_schema=schema,
                table_name=item.name,
                view_definition=view_definition(context, item),
                check_option=item.check_option.upper() or "NONE",
                is_updatable=_yes(is_simply_updatable(item)),
                is_insertable_into=_yes(is_simply_updatable(item)),
                is_trigger_updatable="NO",
                is_trigger_deletable="NO",
                is_trigger_insertable_into="NO",
            )


@rows_of(SCHEMA, "view_table_usage")
def _view_table_usage(context: Context) -> Iterator[Row]:
    catalog = context.catalog
    for schema, item in _relations(context):
        if isinstance(item, View):
            for oid in item.depends_on:
                used = catalog.objects.get(oid)
                if isinstance(used, Table | View):
                    database = context.database_name
                    yield (database, schema, item.name, database, schema_name(catalog, used), used.name)


@rows_of(SCHEMA, "view_column_usage")
def _view_column_usage(context: Context) -> Iterator[Row]:
    catalog = context.catalog
    database = context.database_name
    for schema, item in _relations(context):
        if isinstance(item, View):
            for oid, number in item.column_uses:
                used = catalog.objects.get(oid)
                if isinstance(used, Table | View):
                    column = used.columns[number - 1].name
                    yield (database, schema, item.name, database, schema_name(catalog, used), used.name, column)


# ── columns ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def type_columns(type_oid: int, typmod: int) -> dict[str, Any]:
    """The columns that describe a type in columns, attributes, parameters and routines."""
    fact = type_facts().get(type_oid)
    values: dict[str, Any] = {"udt_schema": "pg_catalog"}
    if fact is None:
        values.update(data_type="USER-DEFINED")
        return values
    is_array = fact.category == "A" and fact.element and fact.length == -1
    values.update(data_type="ARRAY" if is_array else format_type(type_oid), udt_name=fact.name)
    if type_oid in (1042, 1043):
        if typmod >= 4:
            values.update(
                character_maximum_length=typmod - 4, character_octet_length=min(_MAXIMUM_OCTETS, (typmod - 4) * 4)
            )
        else:
            values.update(character_octet_length=_MAXIMUM_OCTETS)
    elif type_oid == 25:
        values.update(character_octet_length=_MAXIMUM_OCTETS)
    elif type_oid in _INTEGER_BITS:
        values.update(numeric_precision=_INTEGER_BITS[type_oid], numeric_precision_radix=2, numeric_scale=0)
    elif type_oid in _FLOAT_BITS:
        values.update(numeric_precision=_FLOAT_BITS[type_oid], numeric_precision_radix=2)
    elif type_oid == 1700:
        values.update(numeric_precision_radix=10)
        if typmod >= 4:
            values.update(numeric_precision=((typmod - 4) >> 16) & 0xFFFF, numeric_scale=(typmod - 4) & 0x7FF)
    elif type_oid == 1082:
        values.update(datetime_precision=0)
    elif type_oid in (1083, 1114, 1184, 1266):
        values.update(datetime_precision=typmod if typmod >= 0 else 6)
    elif type_oid == 1186:
        values.update(datetime_precision=6 if typmod < 0 or typmod & 0xFFFF == 0xFFFF else typmod & 0xFFFF)
    return values


def _identity_columns(catalog: Catalog, column: Column) -> dict[str, Any]:
    if not column.identity:
        return {"is_identity": "NO", "identity_cycle": "NO"}
    sequence = catalog.objects.get(column.sequence)
    assert isinstance(sequence, Sequence)
    return {
        "is_identity": "YES",
        "identity_generation": "ALWAYS" if column.identity == "a" else "BY DEFAULT",
        "identity_start": str(sequence.start),
        "identity_increment": str(sequence.increment),
        "identity_maximum": str(sequence.maximum),
        "identity_minimum": str(sequence.minimum),
        "identity_cycle": _yes(sequence.cycle),
    }


@rows_of(SCHEMA, "columns", from_catalog=False)
def _columns(context: Context) -> Iterator[Row]:
    database = context.database_name
    for relation in registry.all_relations():
        for number, (name, type_oid, typmod) in enumerate(relation.columns, 1):
            yield information_row(
                "columns",
                table_catalog=database,
                table_schema=relation.schema,
                table_name=relation.name,
                column_name=name,
                ordinal_position=number,
                is_nullable=_yes(not relation.not_null[number - 1]),
                udt_catalog=database,
                dtd_identifier=str(number),
                is_self_referencing="NO",
                is_identity="NO",
                identity_cycle="NO",
                is_generated="NEVER",
                is_updatable="NO",
                **type_columns(type_oid, typmod),
            )
    for schema, item in _relations(context):
        for column in item.columns:
            if column.dropped:
                continue
            shown = None if column.default is None else expression_text(context, column.default)
            yield information_row(
                "columns",
                table_catalog=database,
                table_schema=schema,
                table_name=item.name,
                column_name=column.name,
                ordinal_position=column.number,
                column_default=None if column.generated else shown,
                is_nullable=_yes(not column.not_null),
                udt_catalog=database,
                dtd_identifier=str(column.number),
                is_self_referencing="NO",
                is_generated="ALWAYS" if column.generated else "NEVER",
                generation_expression=shown if column.generated else None,
                is_updatable=_yes(isinstance(item, Table)),
                **_collation_columns(database, column),
                **_identity_columns(context.catalog, column),
                **type_columns(column.type, column.typmod),
            )


def _collation_columns(database: str, column: Column) -> dict[str, Any]:
    if column.collation in (0, 100, 950):
        return {}
    for row in facts.builtin_rows("pg_collation"):
        if row[0] == column.collation:
            return {"collation_catalog": database, "collation_schema": "pg_catalog", "collation_name": row[1]}
    return {}


@rows_of(SCHEMA, "column_udt_usage")
def _column_udt_usage(context: Context) -> Iterator[Row]:
    database = context.database_name
    for schema, item in _relations(context):
        for column in item.columns:
            fact = type_facts().get(column.type)
            if not column.dropped and fact is not None:
                yield (database, "pg_catalog", fact.name, database, schema, item.name, column.name)


@rows_of(SCHEMA, "element_types")
def _element_types(context: Context) -> Iterator[Row]:
    database = context.database_name
    for schema, item in _relations(context):
        for column in item.columns:
            fact = type_facts().get(column.type)
            if column.dropped or fact is None or fact.category != "A" or fact.length != -1:
                continue
            yield information_row(
                "element_types",
                object_catalog=database,
                object_schema=schema,
                object_name=item.name,
                object_type="VIEW" if isinstance(item, View) else "TABLE",
                collection_type_identifier=str(column.number),
                data_type=format_type(fact.element),
                udt_catalog=database,
                udt_schema="pg_catalog",
                udt_name=type_facts()[fact.element].name,
                dtd_identifier=f"a{column.number}",
            )


# ── constraints ─────────────────────────────────────────────────────────────────────────────────────────────────────

_CONSTRAINT_TYPES = {"p": "PRIMARY KEY", "u": "UNIQUE", "c": "CHECK", "f": "FOREIGN KEY"}


def _constraints(context: Context) -> Iterator[tuple[str, Table, Constraint]]:
    for schema, item in _relations(context):
        if isinstance(item, Table):
            for constraint in item.constraints:
                yield schema, item, constraint


def _not_null_name(table: Table, column: Column) -> str:
    """The name that PostgreSQL 16 makes up for a NOT NULL."""
    return f"{table.schema}_{table.oid}_{column.number}_not_null"


@rows_of(SCHEMA, "table_constraints")
def _table_constraints(context: Context) -> Iterator[Row]:
    database = context.database_name
    for schema, table, constraint in _constraints(context):
        index = context.catalog.objects.get(constraint.index)
        distinct = None
        if constraint.kind == "u":
            distinct = _yes(not (isinstance(index, Index) and index.nulls_not_distinct))
        yield (
            database, schema, constraint.name, database, schema, table.name, _CONSTRAINT_TYPES[constraint.kind],
            _yes(constraint.deferrable), _yes(constraint.initially_deferred), "YES", distinct,
        )  # fmt: skip
    for schema, item in _relations(context):
        if isinstance(item, Table):
            for column in item.columns:
                if column.not_null and not column.dropped:
                    name = _not_null_name(item, column)
                    yield (database, schema, name, database, schema, item.name, "CHECK", "NO", "NO", "YES", None)


@rows_of(SCHEMA, "check_constraints", from_catalog=False)
def _check_constraints(context: Context) -> Iterator[Row]:
    database = context.database_name
    for schema, _, constraint in _constraints(context):
        if constraint.kind == "c":
            clause = parenthesised(expression_text(context, constraint.expression or ""))
            yield (database, schema, constraint.name, f"({clause})")
    for schema, item in _relations(context):
        if isinstance(item, Table):
            for column in item.columns:
                if column.not_null and not column.dropped:
                    yield (database, schema, _not_null_name(item, column), f"{column.name} IS NOT NULL")


@rows_of(SCHEMA, "key_column_usage")
def _key_column_usage(context: Context) -> Iterator[Row]:
    database, catalog = context.database_name, context.catalog
    for schema, table, constraint in _constraints(context):
        if constraint.kind not in "puf":
            continue
        unique_positions: dict[int, int] = {}
        if constraint.kind == "f":
            index = catalog.index(constraint.index)
            unique_positions = {part.number: place for place, part in enumerate(index.key, 1)}
        for place, number in enumerate(constraint.columns, 1):
            position = unique_positions.get(constraint.foreign_columns[place - 1]) if constraint.kind == "f" else None
            column = table.columns[number - 1].name
            yield (database, schema, constraint.name, database, schema, table.name, column, place, position)


@rows_of(SCHEMA, "referential_constraints")
def _referential_constraints(context: Context) -> Iterator[Row]:
    database, catalog = context.database_name, context.catalog
    for schema, _, constraint in _constraints(context):
        if constraint.kind != "f":
            continue
        target = catalog.table(constraint.foreign_table)
        index = catalog.index(constraint.index)
        owned = bool(index.constraint)
        yield (
            database, schema, constraint.name, database if owned else None, schema_name(catalog, target) if owned else None,
            index.name if owned else None, "FULL" if constraint.match_full else "NONE", _RULES[constraint.on_update],
            _RULES[constraint.on_delete],
        )  # fmt: skip


def _used_columns(context: Context, table: Table, constraint: Constraint) -> Iterator[tuple[Table, int]]:
    if constraint.kind == "f":
        target = context.catalog.table(constraint.foreign_table)
        for number in constraint.foreign_columns:
            yield target, number
    else:
        for number in constraint.columns:
            yield table, number


@rows_of(SCHEMA, "constraint_column_usage")
def _constraint_column_usage(context: Context) -> Iterator[Row]:
    database = context.database_name
    for schema, table, constraint in _constraints(context):
        for used, number in _used_columns(context, table, constraint):
            place = schema_name(context.catalog, used)
            column = used.columns[number - 1].name
            yield (database, place, used.name, column, database, schema, constraint.name)


@rows_of(SCHEMA, "constraint_table_usage")
def _constraint_table_usage(context: Context) -> Iterator[Row]:
    database = context.database_name
    for schema, table, constraint in _constraints(context):
        if constraint.kind != "c":
            used = table if constraint.kind != "f" else context.catalog.table(constraint.foreign_table)
            yield (database, schema_name(context.catalog, used), used.name, database, schema, constraint.name)


# ── sequences, roles, privileges ────────────────────────────────────────────────────────────────────────────────────


@rows_of(SCHEMA, "sequences")
def _sequences(context: Context) -> Iterator[Row]:
    catalog = context.catalog
    for item in catalog.objects.values():
        if not isinstance(item, Sequence):
            continue
        table = catalog.objects.get(item.owned_by_table)
        if isinstance(table, Table) and table.columns[item.owned_by_column - 1].identity:
            continue  # an identity column's sequence is an implementation detail
        yield (
            context.database_name, schema_name(catalog, item), item.name, format_type(item.type), _INTEGER_BITS[item.type], 2, 0,
            str(item.start), str(item.minimum), str(item.maximum), str(item.increment), _yes(item.cycle),
        )  # fmt: skip


@rows_of(SCHEMA, "enabled_roles", from_catalog=False)
def _enabled_roles(context: Context) -> Iterator[Row]:
    from storage.catalog import Role

    current = context.catalog.role(context.current_user)
    for item in context.catalog.objects.values():
        if isinstance(item, Role) and (current is None or current.superuser or item.name == current.name):
            yield (item.name,)


@rows_of(SCHEMA, "applicable_roles")
def _applicable_roles(context: Context) -> Iterator[Row]:
    from storage.catalog import Role

    for item in context.catalog.objects.values():
        if isinstance(item, Role):
            for group, admin in item.member_of:
                yield (item.name, context.catalog.objects[group].name, _yes(admin))


def _table_privileges(context: Context) -> Iterator[Row]:
    catalog, database = context.catalog, context.database_name
    for schema, item in _relations(context):
        acl = item.acl if item.acl is not None else ((item.owner, item.owner, "arwdDxt"),)
        for grantee, grantor, letters in acl:
            to = "PUBLIC" if grantee == 0 else owner_name(catalog, grantee)
            for place, letter in enumerate(letters):
                if letter in PRIVILEGES_BY_LETTER:
                    grantable = letters[place + 1 : place + 2] == "*" or grantee == item.owner
                    yield (
                        owner_name(catalog, grantor), to, database, schema, item.name, PRIVILEGES_BY_LETTER[letter], _yes(grantable),
                        _yes(letter == "r"),
                    )  # fmt: skip


@rows_of(SCHEMA, "table_privileges", "role_table_grants")
def _all_table_privileges(context: Context) -> Iterator[Row]:
    yield from _table_privileges(context)


@rows_of(SCHEMA, "column_privileges", "role_column_grants")
def _column_privileges(context: Context) -> Iterator[Row]:
    relations = {(schema, item.name): item for schema, item in _relations(context)}
    for grantor, grantee, database, schema, name, privilege, grantable, _ in _table_privileges(context):
        if privilege in ("SELECT", "INSERT", "UPDATE", "REFERENCES"):
            for column in relations[schema, name].columns:
                if not column.dropped:
                    yield (grantor, grantee, database, schema, name, column.name, privilege, grantable)


@rows_of(SCHEMA, "character_sets", from_catalog=False)
def _character_sets(context: Context) -> Iterator[Row]:
    yield (None, None, "UTF8", "UCS", "UTF8", context.database_name, "pg_catalog", "C")


@rows_of(SCHEMA, "collations", from_catalog=False)
def _collations(context: Context) -> Iterator[Row]:
    for row in facts.builtin_rows("pg_collation"):
        yield (context.database_name, "pg_catalog", row[1], "NO PAD")
