"""Adding constraints to a table: keys, checks, foreign keys.

CREATE TABLE and ALTER TABLE use the same functions; `fresh` says that the table has no rows yet, so that nothing needs to be
built or checked. PRIMARY KEY and UNIQUE make an index of the constraint's name. A primary key is the key that rows are stored
under, so adding one to a table with rows rewrites it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from frontend.errors import SqlError, unsupported
from frontend.functions.catalogue import cast_between, operator_named
from frontend.sql.binder.types import Types
from frontend.sql.ddl import expressions, indexes, names, rewrite
from frontend.sql.ddl.options import INDEX_OPTIONS, checked_options
from frontend.types import oids
from storage.catalog import Column, Constraint, Index, Table

if TYPE_CHECKING:
    from frontend.sql import syntax_commands
    from frontend.sql.ddl.environment import DdlEnvironment, Work

Action = Literal["a", "r", "c", "n", "d"]
_ACTIONS: dict[str, Action] = {
    "no action": "a",
    "restrict": "r",
    "cascade": "c",
    "set null": "n",
    "set default": "d",
}


def add_constraint(
    environment: DdlEnvironment, table_oid: int, node: syntax_commands.Constraint, *, fresh: bool
) -> Work:
    """Add one table constraint, and build or check what it asks of existing rows unless the table is `fresh`."""
    table = environment.draft.catalog.table(table_oid)
    if node.name is not None and any(constraint.name == node.name for constraint in table.constraints):
        raise SqlError("42710", f'constraint "{node.name}" for relation "{table.name}" already exists')
    match node.kind:
        case "primary key" | "unique":
            yield from _add_key(environment, table, node, fresh)
        case "check":
            yield from _add_check(environment, table, node, fresh)
        case "foreign key":
            yield from _add_foreign_key(environment, table, node, fresh)
        case _:
            raise unsupported(f"{node.kind} constraint")


def with_constraint(table: Table, constraint: Constraint) -> Table:
    """The table with one more constraint; they are kept by name, the order in which they are checked."""
    ordered = sorted((*table.constraints, constraint), key=lambda item: item.name)
    return msgspec.structs.replace(table, constraints=tuple(ordered))


def constraint_is_taken(environment: DdlEnvironment, table: Table, name: str) -> bool:
    """Whether a name is in use by a constraint of the table's schema, as PostgreSQL avoids when it invents one."""
    for item in environment.draft.catalog.objects.values():
        if (
            isinstance(item, Table)
            and item.schema == table.schema
            and any(constraint.name == name for constraint in item.constraints)
        ):
            return True
    return False


# ── keys ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _add_key(environment: DdlEnvironment, table: Table, node: syntax_commands.Constraint, fresh: bool) -> Work:
    primary = node.kind == "primary key"
    if primary and primary_key(table) is not None:
        raise SqlError("42P16", f'multiple primary keys for table "{table.name}" are not allowed')
    if node.tablespace not in (None, "pg_default"):
        raise SqlError("42704", f'tablespace "{node.tablespace}" does not exist')
    if node.index is not None:
        yield from _adopt_index(environment, table, node, primary)
        return
    columns = _key_columns(table, node)
    constraint_oid = environment.draft.new_oid()
    index = indexes.index_record(
        environment,
        table,
        [indexes.element_of(column.name) for column in columns],
        name=node.name,
        label="pkey" if primary else "key",
        including=[indexes.element_of(name) for name in node.including],
        unique=True,
        nulls_not_distinct=not node.nulls_distinct,
        options=checked_options(node.options, INDEX_OPTIONS),
        primary=primary,
        constraint=constraint_oid,
    )
    yield from _install_key(environment, table, index, node, columns, fresh)


def _install_key(
    environment: DdlEnvironment,
    table: Table,
    index: Index,
    node: syntax_commands.Constraint,
    columns: list[Column],
    fresh: bool,
) -> Work:
    constraint = Constraint(
        oid=index.constraint,
        name=index.name,
        kind="p" if index.primary else "u",
        columns=tuple(column.number for column in columns),
        index=index.oid,
        deferrable=node.deferrable,
        initially_deferred=node.initially_deferred,
    )
    changed = with_constraint(table, constraint)
    if not index.primary:
        changed = indexes.attach(environment, changed, index)
        if not fresh:
            yield from rewrite.build_index(environment, changed, index)
        return
    numbers = {column.number for column in columns}
    marked = tuple(
        msgspec.structs.replace(column, not_null=True) if column.number in numbers else column
        for column in table.columns
    )
    changed = msgspec.structs.replace(
        changed, columns=marked, row_key=constraint.columns, indexes=(*table.indexes, index.oid)
    )
    if fresh:
        environment.draft.put(changed, index)
        return
    changed = msgspec.structs.replace(changed, storage=environment.draft.new_storage_id(table.oid))
    environment.draft.put(changed, index)
    yield from rewrite.rewrite_rows(environment, table, changed)


def _key_columns(table: Table, node: syntax_commands.Constraint) -> list[Column]:
    what = "primary key" if node.kind == "primary key" else "unique"
    found: list[Column] = []
    for name in node.columns:
        column = names.find_column(table, name)
        if column is None:
            raise SqlError("42703", f'column "{name}" named in key does not exist', position=node.position or None)
        if column in found:
            raise SqlError(
                "42701", f'column "{name}" appears twice in {what} constraint', position=node.position or None
            )
        found.append(column)
    for name in node.including:
        if names.find_column(table, name) is None:
            raise SqlError("42703", f'column "{name}" named in key does not exist', position=node.position or None)
    return found


def _adopt_index(environment: DdlEnvironment, table: Table, node: syntax_commands.Constraint, primary: bool) -> Work:
    """ADD PRIMARY KEY | UNIQUE USING INDEX: an existing unique index becomes the constraint's, and takes its name."""
    catalog = environment.draft.catalog
    found = catalog.relation(table.schema, node.index or "")
    if not isinstance(found, Index):
        raise SqlError("42704", f'index "{node.index}" does not exist', position=node.position or None)
    if found.constraint:
        raise SqlError("55000", f'index "{found.name}" is already associated with a constraint')
    if found.table != table.oid:
        raise SqlError("55000", f'index "{found.name}" does not belong to table "{table.name}"')
    detail = "Cannot create a primary key or unique constraint using such an index."
    if not found.unique:
        raise SqlError("42809", f'"{found.name}" is not a unique index', detail=detail)
    if any(part.expression is not None for part in found.key):
        raise SqlError("42809", f'index "{found.name}" contains expressions', detail=detail)
    if found.predicate is not None:
        raise SqlError("42809", f'"{found.name}" is a partial index', detail=detail)
    if any(part.descending or part.nulls_first or part.operator_class for part in found.key):
        raise SqlError(
            "42809",
            f'index "{found.name}" column number 1 does not have default sorting behavior',
            detail=detail,
        )
    name = node.name or found.name
    if name != found.name:
        environment.context.notice(
            "00000", f'ALTER TABLE / ADD CONSTRAINT USING INDEX will rename index "{found.name}" to "{name}"'
        )
        if catalog.relation(table.schema, name) is not None:
            raise names.duplicate_relation(name)
    columns = [table.columns[part.number - 1] for part in found.key]
    index = msgspec.structs.replace(found, name=name, constraint=environment.draft.new_oid())
    if primary:
        # The rows themselves become the index; its own entries go with the old storage.
        index = msgspec.structs.replace(index, primary=True, index_id=0)
        table = msgspec.structs.replace(table, indexes=tuple(oid for oid in table.indexes if oid != found.oid))
        yield from _install_key(environment, table, index, node, columns, fresh=False)
        return
    constraint = Constraint(
        oid=index.constraint,
        name=name,
        kind="u",
        columns=tuple(column.number for column in columns),
        index=index.oid,
        deferrable=node.deferrable,
        initially_deferred=node.initially_deferred,
    )
    environment.draft.put(with_constraint(table, constraint), index)


def primary_key(table: Table) -> Constraint | None:
    """The table's primary key constraint."""
    for constraint in table.constraints:
        if constraint.kind == "p":
            return constraint
    return None


# ── checks ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _add_check(environment: DdlEnvironment, table: Table, node: syntax_commands.Constraint, fresh: bool) -> Work:
    assert node.expression is not None
    bound = expressions.bind_row_expression(environment, node.expression, table, "CHECK", None, target=(oids.BOOL, -1))
    name = node.name
    if name is None:
        used = sorted(bound.columns)
        column = table.columns[used[0] - 1].name if len(used) == 1 else None
        name = names.choose_name(
            table.name, column, "check", lambda candidate: constraint_is_taken(environment, table, candidate)
        )
    constraint = Constraint(
        oid=environment.draft.new_oid(),
        name=name,
        kind="c",
        columns=tuple(sorted(bound.columns)),
        expression=bound.text,
        validated=fresh or not node.not_valid,
        no_inherit=node.no_inherit,
    )
    changed = with_constraint(table, constraint)
    environment.draft.put(changed)
    if not fresh and not node.not_valid:
        yield from rewrite.validate_check(environment, changed, constraint)


# ── foreign keys ────────────────────────────────────────────────────────────────────────────────────────────────────


def _add_foreign_key(environment: DdlEnvironment, table: Table, node: syntax_commands.Constraint, fresh: bool) -> Work:
    reference = node.references
    assert reference is not None
    if reference.match == "partial":
        raise SqlError("0A000", "MATCH PARTIAL not yet implemented", position=node.position or None)
    found = names.require_relation(environment, reference.relation)
    if not isinstance(found, Table):
        raise SqlError("42809", f'referenced relation "{found.name}" is not a table')
    columns = [_foreign_column(table, name) for name in node.columns]
    index, referenced = _referenced_key(environment, found, reference.columns)
    if len(columns) != len(referenced):
        raise SqlError(
            "42830",
            "number of referencing and referenced columns for foreign key disagree",
        )
    name = node.name
    if name is None:
        name = names.choose_name(
            table.name,
            names.index_name_addition(column.name for column in columns),
            "fkey",
            lambda candidate: constraint_is_taken(environment, table, candidate),
        )
    for column in columns:
        _check_generated_action(column, reference)
    _check_types(environment, name, columns, referenced)
    on_delete_columns: list[int] = []
    for column_name in reference.on_delete_columns:
        column = _foreign_column(table, column_name)
        if column.number not in [item.number for item in columns]:
            raise SqlError(
                "42P10",
                f'column "{column_name}" referenced in ON DELETE SET action must be part of foreign key',
            )
        on_delete_columns.append(column.number)
    constraint = Constraint(
        oid=environment.draft.new_oid(),
        name=name,
        kind="f",
        columns=tuple(column.number for column in columns),
        index=index.oid,
        foreign_table=found.oid,
        foreign_columns=tuple(column.number for column in referenced),
        on_update=_ACTIONS[reference.on_update],
        on_delete=_ACTIONS[reference.on_delete],
        on_delete_columns=tuple(on_delete_columns),
        match_full=reference.match == "full",
        deferrable=node.deferrable,
        initially_deferred=node.initially_deferred,
        validated=fresh or not node.not_valid,
    )
    changed = with_constraint(table, constraint)
    if found.oid == table.oid:
        changed = _referenced_by(changed, table.oid)
        environment.draft.put(changed)
    else:
        environment.draft.put(changed, _referenced_by(found, table.oid))
    if not fresh and not node.not_valid:
        yield from rewrite.validate_foreign_key(environment, changed, constraint)


def _referenced_by(table: Table, other: int) -> Table:
    if other in table.referenced_by:
        return table
    return msgspec.structs.replace(table, referenced_by=(*table.referenced_by, other))


def without_reference(environment: DdlEnvironment, table: Table, referenced_oid: int) -> None:
    """After a foreign key of `table` is gone: forget the back reference unless another one still needs it."""
    current = environment.draft.catalog.objects.get(referenced_oid)
    if not isinstance(current, Table):
        return
    still = environment.draft.catalog.objects.get(table.oid)
    if isinstance(still, Table) and any(
        constraint.kind == "f" and constraint.foreign_table == referenced_oid for constraint in still.constraints
    ):
        return
    environment.draft.put(
        msgspec.structs.replace(current, referenced_by=tuple(oid for oid in current.referenced_by if oid != table.oid))
    )


def _foreign_column(table: Table, name: str) -> Column:
    column = names.find_column(table, name)
    if column is None:
        raise SqlError("42703", f'column "{name}" referenced in foreign key constraint does not exist')
    return column


def _check_generated_action(column: Column, reference: syntax_commands.ForeignKey) -> None:
    if not column.generated:
        return
    for event, action in (("ON UPDATE", reference.on_update), ("ON DELETE", reference.on_delete)):
        refused = ("cascade", "set null", "set default") if event == "ON UPDATE" else ("set null", "set default")
        if action in refused:
            raise SqlError("42601", f"invalid {event} action for foreign key constraint containing generated column")


def _referenced_key(environment: DdlEnvironment, table: Table, columns: list[str]) -> tuple[Index, list[Column]]:
    """The unique index that the referenced columns are the key of."""
    catalog = environment.draft.catalog
    if not columns:
        key = primary_key(table)
        if key is None:
            raise SqlError("42704", f'there is no primary key for referenced table "{table.name}"')
        return catalog.index(key.index), [table.columns[number - 1] for number in key.columns]
    referenced = [_foreign_column(table, name) for name in columns]
    numbers = [column.number for column in referenced]
    if len(set(numbers)) != len(numbers):
        raise SqlError("42830", "foreign key referenced-columns list must not contain duplicates")
    deferrable = False
    for index in catalog.indexes_of(table):
        parts = [part.number for part in index.key]
        if not index.unique or index.predicate is not None or 0 in parts or sorted(parts) != sorted(numbers):
            continue
        constraint = next((item for item in table.constraints if item.index == index.oid), None)
        if constraint is not None and constraint.deferrable:
            deferrable = True
            continue
        return index, referenced
    if deferrable:
        raise SqlError("55000", f'cannot use a deferrable unique constraint for referenced table "{table.name}"')
    raise SqlError("42830", f'there is no unique constraint matching given keys for referenced table "{table.name}"')


def _check_types(environment: DdlEnvironment, name: str, columns: list[Column], referenced: list[Column]) -> None:
    types = Types(environment.draft.catalog)
    for column, target in zip(columns, referenced, strict=True):
        if column.type == target.type or operator_named("=", target.type, column.type) is not None:
            continue
        cast = cast_between(column.type, target.type)
        if cast is not None and cast.context == "i":
            continue
        raise SqlError(
            "42804",
            f'foreign key constraint "{name}" cannot be implemented',
            detail=f'Key columns "{column.name}" and "{target.name}" are of incompatible types: '
            f"{types.name(column.type)} and {types.name(target.type)}.",
        )


def check_reference_types(environment: DdlEnvironment, table: Table, column: Column) -> list[tuple[int, Constraint]]:
    """(child's OID, constraint) of the foreign keys that a column takes part in; 42804 where its new type breaks one."""
    catalog = environment.draft.catalog
    found: list[tuple[int, Constraint]] = []
    for oid in {table.oid, *table.referenced_by}:
        child = table if oid == table.oid else catalog.table(oid)
        for constraint in child.constraints:
            if constraint.kind != "f":
                continue
            parent = table if constraint.foreign_table == table.oid else catalog.table(constraint.foreign_table)
            if (child is table and column.number in constraint.columns) or (
                parent is table and column.number in constraint.foreign_columns
            ):
                _check_types(
                    environment,
                    constraint.name,
                    [child.columns[number - 1] for number in constraint.columns],
                    [parent.columns[number - 1] for number in constraint.foreign_columns],
                )
                found.append((oid, constraint))
    return found
