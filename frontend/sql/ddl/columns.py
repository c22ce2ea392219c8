"""Columns as CREATE TABLE and ALTER TABLE ADD COLUMN define them.

A column definition gives a `Column`, at most one sequence that it owns, and the constraints that are the table's business
(PRIMARY KEY, UNIQUE, CHECK, REFERENCES), which the caller adds once all columns exist.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from frontend.errors import SqlError, unsupported
from frontend.sql import syntax
from frontend.sql.binder.types import POLYMORPHIC, Types
from frontend.sql.ddl import expressions
from frontend.sql.ddl.sequence_definitions import SERIAL_TYPES, next_value_expression, owned_sequence
from frontend.system import facts as system_facts
from frontend.types import oids
from frontend.types.facts import type_facts
from frontend.types.registry import is_supported
from storage.catalog import Column, Sequence, Table

if TYPE_CHECKING:
    from frontend.sql import syntax_commands
    from frontend.sql.ddl.environment import DdlEnvironment

COLUMNS_MAX = 1600
SYSTEM_COLUMN_NAMES = frozenset({"ctid", "xmin", "cmin", "xmax", "cmax", "tableoid"})
_IDENTITY_TYPES = (oids.INT2, oids.INT4, oids.INT8)
_TABLE_CONSTRAINTS = ("check", "primary key", "unique", "foreign key", "exclusion")


class DefinedColumn(NamedTuple):
    """What a column definition amounts to.

    Attributes:
        default: DEFAULT or GENERATED expression, still to be bound (when all columns of the table are known).
        constraints: with `columns` set to this column where the kind has columns.
    """

    column: Column
    sequence: Sequence | None
    default: syntax.Expression | None
    constraints: list[syntax_commands.Constraint]


def column_type(
    environment: DdlEnvironment, name: str, node: syntax.TypeName, collation: list[str]
) -> tuple[int, int, int]:
    """(type, typmod, collation) of a column; 42704 for an unknown type, 42P16 for a pseudo-type."""
    types = Types(environment.draft.catalog)
    if node.setof:
        raise SqlError("42P16", f'column "{name}" cannot be declared SETOF')
    type_oid, typmod = types.resolve(node, environment.context.search_path)
    fact = types.fact(type_oid)
    if fact.kind == "p" or type_oid in POLYMORPHIC:
        raise SqlError("42P16", f'column "{name}" has pseudo-type {types.name(type_oid)}')
    refuse_unstorable(types, type_oid, node.position)
    return type_oid, typmod, resolve_collation(name, type_oid, collation, types)


def refuse_unstorable(types: Types, type_oid: int, position: int = 0) -> None:
    """0A000 for types that no table can hold."""
    # Rows within stored rows would come back without the types of their fields.
    of_rows = types.is_row(types.element(type_oid) or type_oid)
    fact = types.fact(type_oid)
    if fact.kind in ("r", "m") or of_rows or (type_oid in type_facts() and not is_supported(type_oid)):
        raise unsupported(f"type {types.name(type_oid)}", position=position or None)


def resolve_collation(column: str, type_oid: int, collation: list[str], types: Types) -> int:
    """The OID of a COLLATE clause, or of the type's own collation (0 where it has none)."""
    own = types.fact(type_oid).collation if type_oid in type_facts() else 0
    if not collation:
        return own
    if not own:
        raise SqlError("42804", f"collations are not supported by type {types.name(type_oid)}")
    for row in system_facts.builtin_rows("pg_collation"):
        if row[1] == collation[-1]:
            oid: int = row[0]
            return oid
    raise SqlError("42704", f'collation "{collation[-1]}" for encoding "UTF8" does not exist')


def define_column(
    environment: DdlEnvironment, table: Table, node: syntax_commands.ColumnDefinition, number: int
) -> DefinedColumn:
    """Resolve a column definition; `table` gives name, schema and owner (its columns are not looked at)."""
    if node.name in SYSTEM_COLUMN_NAMES:
        raise SqlError("42701", f'column name "{node.name}" conflicts with a system column name')
    if node.type is None:
        raise unsupported("CREATE TABLE OF")
    serial = _serial_type(node.type)
    if serial:
        if node.type.dimensions:
            raise SqlError("0A000", "array of serial is not implemented")
        type_oid, typmod, collation = serial, -1, 0
    else:
        type_oid, typmod, collation = column_type(environment, node.name, node.type, node.collation)
    column = Column(number=number, name=node.name, type=type_oid, typmod=typmod, collation=collation)
    sequence: Sequence | None = None
    default: syntax.Expression | None = None
    nullable = False
    constraints: list[syntax_commands.Constraint] = []
    if serial:
        sequence = owned_sequence(environment, table, node.name, number, type_oid)
        column = msgspec.structs.replace(column, not_null=True)
    where = f'column "{node.name}" of table "{table.name}"'
    for constraint in node.constraints:
        position = constraint.position or None
        match constraint.kind:
            case "null":
                if column.not_null:
                    raise SqlError("42601", f"conflicting NULL/NOT NULL declarations for {where}", position=position)
                nullable = True
            case "not null":
                if nullable:
                    raise SqlError("42601", f"conflicting NULL/NOT NULL declarations for {where}", position=position)
                column = msgspec.structs.replace(column, not_null=True)
            case "default":
                if default is not None or serial:
                    raise SqlError("42601", f"multiple default values specified for {where}", position=position)
                default = constraint.expression
            case "generated":
                if column.generated:
                    raise SqlError("42601", f"multiple generation clauses specified for {where}", position=position)
                default = constraint.expression if default is None else default
                column = msgspec.structs.replace(column, generated=True)
            case "identity":
                if column.identity:
                    raise SqlError("42601", f"multiple identity specifications for {where}", position=position)
                if nullable:
                    raise SqlError("42601", f"conflicting NULL/NOT NULL declarations for {where}", position=position)
                column, sequence = define_identity(environment, table, column, constraint)
            case _:
                constraints.append(_of_column(constraint, node.name))
    _check_default_kinds(column, default, bool(serial), where)
    if sequence is not None and serial:
        column = msgspec.structs.replace(column, default=next_value_expression(environment, sequence))
    return DefinedColumn(column, sequence, default, constraints)


def _check_default_kinds(column: Column, default: syntax.Expression | None, serial: bool, where: str) -> None:
    has_default = (default is not None and not column.generated) or serial
    if has_default and column.identity:
        raise SqlError("42601", f"both default and identity specified for {where}")
    if column.generated and serial:
        raise SqlError("42601", f"both default and generation expression specified for {where}")
    if column.generated and column.identity:
        raise SqlError("42601", f"both identity and generation expression specified for {where}")


def _serial_type(node: syntax.TypeName) -> int:
    return SERIAL_TYPES.get(node.names[0], 0) if len(node.names) == 1 else 0


def _of_column(node: syntax_commands.Constraint, column: str) -> syntax_commands.Constraint:
    """A column constraint as the table constraint that it stands for."""
    if node.kind in ("primary key", "unique", "foreign key"):
        return msgspec.structs.replace(node, columns=[column])
    return node


def define_identity(
    environment: DdlEnvironment, table: Table, column: Column, node: syntax_commands.Constraint
) -> tuple[Column, Sequence]:
    """GENERATED … AS IDENTITY: the column and its sequence."""
    if column.type not in _IDENTITY_TYPES:
        raise SqlError("22023", "identity column type must be smallint, integer, or bigint")
    sequence = owned_sequence(environment, table, column.name, column.number, column.type, node.sequence)
    changed = msgspec.structs.replace(
        column, identity="a" if node.identity_always else "d", sequence=sequence.oid, not_null=True
    )
    return changed, sequence


def with_default(
    environment: DdlEnvironment, table: Table, column: Column, expression: syntax.Expression | None
) -> Column:
    """The column with its DEFAULT or generation expression bound to canonical text; `table` has all columns."""
    if expression is None:
        return column
    if not column.generated:
        bound = expressions.bind_default(environment, expression, column)
        if bound.is_null:
            return msgspec.structs.replace(column, default=None)
        return msgspec.structs.replace(column, default=bound.text)
    bound = expressions.bind_row_expression(environment, expression, table, "GENERATED AS", column)
    for number in bound.columns:
        other = table.columns[number - 1]
        if other.generated:
            raise SqlError(
                "42P17",
                f'cannot use generated column "{other.name}" in column generation expression',
                detail="A generated column cannot reference another generated column.",
            )
    if bound.volatility != "i":
        raise SqlError("42P17", "generation expression is not immutable")
    return msgspec.structs.replace(column, default=bound.text)


def table_constraints(elements: list[syntax_commands.Constraint]) -> list[syntax_commands.Constraint]:
    """In the order in which PostgreSQL makes them: keys first (the primary key before all), then checks, foreign keys."""
    rank = {"primary key": 0, "unique": 1, "exclusion": 1, "check": 2, "foreign key": 3}
    return sorted(elements, key=lambda node: rank[node.kind])
