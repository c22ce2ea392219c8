"""The actions of ALTER TABLE that concern columns.

ADD COLUMN touches no row: rows that are too short read as the column's `missing` value. Only a default that differs from row
to row (nextval, random, identity, a generation expression) rewrites the table. DROP COLUMN is a mark in the catalog. ALTER
TYPE rewrites, unless the stored values stay as they are (varchar to text, a longer varchar).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from frontend.errors import SqlError
from frontend.sql import syntax
from frontend.sql.binder.types import Types
from frontend.sql.ddl import constraints, expressions, names, renames, rewrite
from frontend.sql.ddl.columns import (
    COLUMNS_MAX,
    column_type,
    define_column,
    define_identity,
    table_constraints,
    with_default,
)
from frontend.sql.ddl.dependencies import Doomed, Removal
from frontend.sql.ddl.sequence_definitions import altered
from frontend.types import oids
from storage import keys
from storage.catalog import Column, Sequence, Table, View
from storage.rows import encode_value

if TYPE_CHECKING:
    from frontend.sql import syntax_commands
    from frontend.sql.ddl.environment import DdlEnvironment, Work

    Action = syntax_commands.AlterTableAction
    Handler = Callable[[DdlEnvironment, int, Action], Work]


def with_column(table: Table, column: Column) -> Table:
    """The table with one column replaced."""
    columns = list(table.columns)
    columns[column.number - 1] = column
    return msgspec.structs.replace(table, columns=tuple(columns))


# ── adding and dropping ─────────────────────────────────────────────────────────────────────────────────────────────


def _add_column(environment: DdlEnvironment, oid: int, action: Action) -> Work:
    assert action.column is not None
    draft = environment.draft
    table = draft.catalog.table(oid)
    name = action.column.name
    if names.find_column(table, name) is not None:
        if not action.if_not_exists:
            raise SqlError("42701", f'column "{name}" of relation "{table.name}" already exists')
        environment.context.notice("42701", f'column "{name}" of relation "{table.name}" already exists, skipping')
        return
    if len(table.columns) >= COLUMNS_MAX:
        raise SqlError("54011", f"tables can have at most {COLUMNS_MAX} columns")
    defined = define_column(environment, table, action.column, len(table.columns) + 1)
    if defined.sequence is not None:
        draft.put(defined.sequence)
    column = defined.column
    whole = msgspec.structs.replace(table, columns=(*table.columns, column))
    column = with_default(environment, whole, column, defined.default)
    whole = with_column(whole, column)
    for node in table_constraints(defined.constraints):
        if node.kind == "primary key":
            if constraints.primary_key(table) is not None:
                raise SqlError("42P16", f'multiple primary keys for table "{table.name}" are not allowed')
            column = msgspec.structs.replace(column, not_null=True)
    whole = with_column(whole, column)
    renames.views_follow(environment, table, whole.columns)
    yield from _fill_new_column(environment, table, whole, column)
    for node in table_constraints(defined.constraints):
        yield from constraints.add_constraint(environment, oid, node, fresh=False)


def _fill_new_column(environment: DdlEnvironment, before: Table, after: Table, column: Column) -> Work:
    """What existing rows have in the new column: a value for all of them, a value for each, or NULL."""
    draft = environment.draft
    if column.generated:
        compute = expressions.row_function(environment, [column.default or "NULL"], after, [column])
    elif column.identity:
        sequence = draft.catalog.objects[column.sequence]
        assert isinstance(sequence, Sequence)
        context = environment.context

        def compute(_: list[Any]) -> tuple[Any, ...]:
            return (context.next_sequence_value(sequence.oid),)
    elif column.default is not None:
        volatility = expressions.volatility_of_text(environment, column.default, column)
        compute = expressions.row_function(environment, [column.default], after, [column])
        if volatility != "v":
            value = compute([None] * len(after.columns))[0]
            missing = None if value is None else encode_value(value)
            changed = with_column(after, msgspec.structs.replace(column, missing=missing))
            draft.put(changed)
            if value is None and column.not_null:
                yield from rewrite.require_empty(environment, changed, column)
            return
    else:
        draft.put(after)
        if column.not_null:
            yield from rewrite.require_empty(environment, after, column)
        return

    def extend(row: list[Any]) -> list[Any]:
        row.append(None)
        row[-1] = compute(row)[0]
        if row[-1] is None and column.not_null:
            raise rewrite.contains_null(environment, after, column)
        return row

    after = msgspec.structs.replace(after, storage=draft.new_storage_id(after.oid))
    draft.put(after)
    yield from rewrite.rewrite_rows(environment, before, after, extend)


def _drop_column(environment: DdlEnvironment, oid: int, action: Action) -> Work:
    table = environment.draft.catalog.table(oid)
    name = action.name or ""
    column = names.find_column(table, name)
    if column is None:
        if not action.if_exists:
            raise SqlError("42703", f'column "{name}" of relation "{table.name}" does not exist')
        environment.context.notice("00000", f'column "{name}" of relation "{table.name}" does not exist, skipping')
        return
    in_key = column.number in table.row_key
    removal = Removal(environment, cascade=action.cascade)
    removal.add(Doomed("column", oid, column.number))
    removal.run()
    renames.views_follow(environment, table, environment.draft.catalog.table(oid).columns)
    if in_key:
        current = environment.draft.catalog.table(oid)
        changed = msgspec.structs.replace(current, row_key=(), storage=environment.draft.new_storage_id(oid))
        environment.draft.put(changed)
        yield from rewrite.rewrite_rows(environment, table, changed)


# ── defaults and identity ───────────────────────────────────────────────────────────────────────────────────────────


def _set_default(environment: DdlEnvironment, oid: int, action: Action) -> Work:
    relation = environment.draft.catalog.objects[oid]
    assert isinstance(relation, Table | View)
    column = names.require_column(relation, action.name or "")
    if column.identity:
        raise SqlError(
            "42601",
            f'column "{column.name}" of relation "{relation.name}" is an identity column',
            hint=None
            if action.kind == "set default"
            else "Use ALTER TABLE ... ALTER COLUMN ... DROP IDENTITY instead.",
        )
    if column.generated:
        raise SqlError(
            "42601",
            f'column "{column.name}" of relation "{relation.name}" is a generated column',
            hint=None
            if action.kind == "set default"
            else "Use ALTER TABLE ... ALTER COLUMN ... DROP EXPRESSION instead.",
        )
    text: str | None = None
    if action.expression is not None:
        bound = expressions.bind_default(environment, action.expression, column)
        text = None if bound.is_null else bound.text
    columns = list(relation.columns)
    columns[column.number - 1] = msgspec.structs.replace(column, default=text)
    environment.draft.put(msgspec.structs.replace(relation, columns=tuple(columns)))
    return
    yield []


def _drop_expression(environment: DdlEnvironment, oid: int, action: Action) -> Work:
    table = environment.draft.catalog.table(oid)
    column = names.require_column(table, action.name or "")
    if not column.generated:
        message = f'column "{column.name}" of relation "{table.name}" is not a stored generated column'
        if not action.if_exists:
            raise SqlError("55000", message)
        environment.context.notice("00000", f"{message}, skipping")
        return
    environment.draft.put(with_column(table, msgspec.structs.replace(column, generated=False, default=None)))
    return
    yield []


def _add_identity(environment: DdlEnvironment, oid: int, action: Action) -> Work:
    assert action.constraint is not None
    table = environment.draft.catalog.table(oid)
    column = names.require_column(table, action.name or "")
    if not column.not_null:
        raise SqlError(
            "55000",
            f'column "{column.name}" of relation "{table.name}" must be declared NOT NULL before identity can be added',
        )
    if column.identity:
        raise SqlError("55000", f'column "{column.name}" of relation "{table.name}" is already an identity column')
    if column.default is not None:
        raise SqlError("55000", f'column "{column.name}" of relation "{table.name}" already has a default value')
    changed, sequence = define_identity(environment, table, column, action.constraint)
    environment.draft.put(sequence, with_column(table, changed))
    return
    yield []


def _identity_column(environment: DdlEnvironment, oid: int, action: Action) -> tuple[Table, Column | None]:
    table = environment.draft.catalog.table(oid)
    column = names.require_column(table, action.name or "")
    if column.identity:
        return table, column
    message = f'column "{column.name}" of relation "{table.name}" is not an identity column'
    if not action.if_exists:
        raise SqlError("55000", message)
    environment.context.notice("00000", f"{message}, skipping")
    return table, None


def _set_identity(environment: DdlEnvironment, oid: int, action: Action) -> Work:
    table, column = _identity_column(environment, oid, action)
    if column is None:
        return
    rest = []
    for option in action.sequence:
        if option.name == "generated":
            column = msgspec.structs.replace(column, identity="a" if option.value else "d")
        else:
            rest.append(option)
    environment.draft.put(with_column(table, column))
    if rest:
        sequence = environment.draft.catalog.objects[column.sequence]
        assert isinstance(sequence, Sequence)
        environment.draft.put(altered(environment, sequence, rest))
    return
    yield []


def _drop_identity(environment: DdlEnvironment, oid: int, action: Action) -> Work:
    table, column = _identity_column(environment, oid, action)
    if column is None:
        return
    environment.draft.put(with_column(table, msgspec.structs.replace(column, identity="", sequence=0)))
    environment.draft.drop(column.sequence)
    return
    yield []


# ── NOT NULL ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _set_not_null(environment: DdlEnvironment, oid: int, action: Action) -> Work:
    table = environment.draft.catalog.table(oid)
    column = names.require_column(table, action.name or "")
    if column.not_null:
        return
    changed = with_column(table, msgspec.structs.replace(column, not_null=True))
    environment.draft.put(changed)
    yield from rewrite.validate_not_null(environment, changed, column)


def _drop_not_null(environment: DdlEnvironment, oid: int, action: Action) -> Work:
    table = environment.draft.catalog.table(oid)
    column = names.require_column(table, action.name or "")
    if column.identity:
        raise SqlError("42601", f'column "{column.name}" of relation "{table.name}" is an identity column')
    key = constraints.primary_key(table)
    if key is not None and column.number in key.columns:
        raise SqlError("42P16", f'column "{column.name}" is in a primary key')
    environment.draft.put(with_column(table, msgspec.structs.replace(column, not_null=False)))
    return
    yield []


def _set_statistics(environment: DdlEnvironment, oid: int, action: Action) -> Work:
    relation = environment.draft.catalog.objects[oid]
    if isinstance(relation, Table) and action.name is not None:
        column = names.require_column(relation, action.name)
        target = -1 if action.number is None else action.number
        if target < -1:
            raise SqlError("22023", f"statistics target {target} is too low")
        environment.draft.put(
            with_column(relation, msgspec.structs.replace(column, statistics_target=min(target, 10000)))
        )
    return
    yield []


# ── type ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _alter_type(environment: DdlEnvironment, oid: int, action: Action) -> Work:
    assert action.type is not None
    draft = environment.draft
    table = draft.catalog.table(oid)
    column = names.require_column(table, action.name or "")
    type_oid, typmod, collation = column_type(environment, column.name, action.type, action.collation)
    types = Types(draft.catalog)
    using = action.expression
    source = using if using is not None else syntax.ColumnReference(names=[column.name])
    target = msgspec.structs.replace(column, type=type_oid, typmod=typmod, collation=collation)
    bound = expressions.bind_using(environment, source, table, target, explicit=using is not None)
    for other in table.columns:
        if other.generated and not other.dropped and other.number != column.number:
            used = expressions.columns_of_text(environment, other.default or "", table)
            if column.number in used:
                raise SqlError(
                    "0A000",
                    "cannot alter type of a column used by a generated column",
                    detail=f'Column "{column.name}" is used by generated column "{other.name}".',
                )
    for view in draft.catalog.objects.values():
        if isinstance(view, View) and (oid, column.number) in view.column_uses:
            raise SqlError(
                "0A000",
                "cannot alter type of a column used by a view or rule",
                detail=f'rule _RETURN on view {view.name} depends on column "{column.name}"',
            )
    default = _converted_default(environment, column, target, types)
    changed = msgspec.structs.replace(target, default=default, missing=None, statistics_target=-1)
    if column.identity:
        if type_oid not in (oids.INT2, oids.INT4, oids.INT8):
            raise SqlError("22023", "identity column type must be smallint, integer, or bigint")
        sequence = draft.catalog.objects[column.sequence]
        draft.put(msgspec.structs.replace(sequence, type=type_oid))
    after = with_column(table, changed)
    after = _reindexed(environment, table, after, changed)
    after = _rebound_checks(environment, after, changed)
    references = constraints.check_reference_types(environment, after, changed)
    if using is None and _same_storage(column, changed):
        draft.put(msgspec.structs.replace(after, columns=_with_missing(after, column)))
        return
    after = msgspec.structs.replace(after, storage=draft.new_storage_id(oid))
    draft.put(after)
    compute = expressions.row_function(environment, [bound.text], table, [changed])
    place = column.number - 1

    def convert(row: list[Any]) -> list[Any]:
        row[place] = compute(row)[0]
        return row

    yield from rewrite.rewrite_rows(environment, table, after, convert)
    for child, constraint in references:
        yield from rewrite.validate_foreign_key(environment, draft.catalog.table(child), constraint)


def _with_missing(table: Table, before: Column) -> tuple[Column, ...]:
    """Where no row is rewritten, short rows still read as before."""
    return tuple(
        msgspec.structs.replace(column, missing=before.missing) if column.number == before.number else column
        for column in table.columns
    )


def _same_storage(before: Column, after: Column) -> bool:
    """Whether stored values and index entries of the one type are those of the other."""
    text = (oids.TEXT, oids.VARCHAR)
    if before.type in text and after.type in text:
        return after.typmod == -1 or (before.type == oids.VARCHAR and -1 < before.typmod <= after.typmod)
    if before.type != after.type:
        return False
    if before.typmod == after.typmod or after.typmod == -1:
        return before.type != oids.BPCHAR or before.typmod == after.typmod
    return before.type == oids.VARCHAR and -1 < before.typmod <= after.typmod


def _converted_default(environment: DdlEnvironment, before: Column, after: Column, types: Types) -> str | None:
    if before.default is None or before.generated:
        return before.default
    try:
        return expressions.bind_default(
            environment, expressions.parse_expression(before.default), after, source=before
        ).text
    except SqlError as error:
        if error.sqlstate != "42804":
            raise
        raise SqlError(
            "42804", f'default for column "{before.name}" cannot be cast automatically to type {types.name(after.type)}'
        ) from None


def _reindexed(environment: DdlEnvironment, before: Table, after: Table, column: Column) -> Table:
    """Index records with the new type in their keys; 42704 where it cannot be indexed."""
    for index in environment.draft.catalog.indexes_of(before):
        parts = tuple(
            msgspec.structs.replace(part, type=column.type, typmod=column.typmod)
            if part.number == column.number
            else part
            for part in index.key
        )
        if parts == index.key:
            continue
        if not keys.is_indexable(column.type):
            name = Types(environment.draft.catalog).name(column.type)
            raise SqlError(
                "42704",
                f'data type {name} has no default operator class for access method "btree"',
                hint="You must specify an operator class for the index or define a default operator class for the "
                "data type.",
            )
        environment.draft.put(msgspec.structs.replace(index, key=parts))
    return after


def _rebound_checks(environment: DdlEnvironment, table: Table, column: Column) -> Table:
    """CHECK constraints that use the column mean the same text over the new type."""
    rebound = []
    for constraint in table.constraints:
        if constraint.kind == "c" and column.number in constraint.columns and constraint.expression is not None:
            node = expressions.parse_expression(constraint.expression)
            bound = expressions.bind_row_expression(environment, node, table, "CHECK", None, target=(oids.BOOL, -1))
            constraint = msgspec.structs.replace(constraint, expression=bound.text)
        rebound.append(constraint)
    return msgspec.structs.replace(table, constraints=tuple(rebound))


HANDLERS: dict[str, Handler] = {
    "add column": _add_column,
    "drop column": _drop_column,
    "alter column type": _alter_type,
    "set default": _set_default,
    "drop default": _set_default,
    "drop expression": _drop_expression,
    "add identity": _add_identity,
    "set identity": _set_identity,
    "drop identity": _drop_identity,
    "set not null": _set_not_null,
    "drop not null": _drop_not_null,
    "set statistics": _set_statistics,
}
