"""Expressions that belong to a table: defaults, checks, generated columns, index keys and predicates.

DDL binds them to refuse what PostgreSQL refuses and to learn their types; writing binds them into every `WriteTarget`. They
see one row of one table, each column under an id that the caller may choose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from frontend.errors import SqlError
from frontend.sql import logical, syntax
from frontend.sql.binder.coercion import coerce, coerce_to, to_boolean
from frontend.sql.binder.expressions import bind
from frontend.sql.binder.scopes import NamespaceItem, RowSource, ScopeColumn
from frontend.sql.binder.statement import NoSystemRelations, Query, StatementBinding, SystemRelations
from frontend.sql.walk import walk
from frontend.types import oids

if TYPE_CHECKING:
    from frontend.context import Context
    from storage.catalog import Catalog, Column, Table

ExpressionKind = Literal["DEFAULT", "CHECK", "GENERATED AS", "index expression", "index predicate", "USING"]


@dataclass(frozen=True, slots=True)
class BoundExpression:
    """A bound table expression.

    Attributes:
        column_ids: column id by attribute number, for the columns of the table.
        columns_used: attribute numbers that the expression mentions, ascending.
        relations: OIDs of sequences and other relations that constants of type regclass name.
    """

    expression: logical.Expression
    column_ids: Mapping[int, int]
    columns_used: tuple[int, ...]
    relations: tuple[int, ...]


def row_namespace(
    query: Query,
    name: str,
    columns: Sequence[Column],
    ids: Mapping[int, int],
    schema: str | None = None,
    table: Table | None = None,
) -> NamespaceItem:
    """The columns of one row, by name, under these ids; `table` is told to clients as their origin."""
    source = RowSource(query, name, columns, table)
    binding = query.binding
    scope = []
    for column in columns:
        if column.dropped:
            continue
        identifier = ids[column.number]
        binding.owners[identifier] = query
        binding.provenance[identifier] = (source, column.number)
        value = logical.ColumnRef(type=column.type, typmod=column.typmod, id=identifier)
        scope.append(ScopeColumn(column.name, column.type, column.typmod, expression=value))
    return NamespaceItem(name, scope, source, schema=schema, relation_oid=0 if table is None else table.oid)


@lru_cache(maxsize=4000)
def parse_stored(text: str) -> syntax.Expression:
    """The tree of an expression in the catalog's canonical text. Trees are shared: binding never changes one."""
    from frontend.sql.parser import parse_expression

    return parse_expression(text)


def bind_in_row(
    query: Query,
    node: syntax.Expression,
    kind: ExpressionKind,
    target: tuple[str, int, int] | None = None,
) -> logical.Expression:
    """Bind a table expression at a level whose namespace is the row; `target` (column, type, typmod) it is assigned to."""
    binding = query.binding
    with query.clause(kind):
        value = bind(query, node)
    if kind in ("CHECK", "index predicate"):
        value = to_boolean(binding, value, "CHECK" if kind == "CHECK" else "WHERE")
    if query.set_returning:
        raise SqlError("0A000", "set-returning functions are not allowed here")
    if target is not None:
        value = assign(binding, value, *target, what="expression" if kind != "DEFAULT" else "default")
    elif value.type == oids.UNKNOWN:
        value = coerce(binding, value, oids.TEXT, "i")
    return value


def assign(
    binding: StatementBinding,
    value: logical.Expression,
    column: str,
    type_oid: int,
    typmod: int,
    what: Literal["expression", "default", "generation"] = "expression",
) -> logical.Expression:
    """The value as the column stores it. 42804 where it does not convert by assignment."""
    result = coerce_to(binding, value, type_oid, typmod, "a")
    if result is None:
        types = binding.types
        subject = "default expression" if what == "default" else "expression"
        raise SqlError(
            "42804",
            f'column "{column}" is of type {types.name(type_oid)} but {subject} is of type {types.name(value.type)}',
            hint="You will need to rewrite or cast the expression.",
            position=value.position or None,
        )
    return result


def bind_expression(
    node: syntax.Expression,
    catalog: Catalog,
    search_path: Sequence[str],
    context: Context,
    kind: ExpressionKind,
    *,
    table_name: str = "",
    columns: Sequence[Column] = (),
    column_ids: Mapping[int, int] | None = None,
    target: tuple[str, int, int] | None = None,
    system: SystemRelations | None = None,
) -> BoundExpression:
    """Bind a default, check, generation expression, index key or predicate, as DDL validates it.

    Args:
        columns: the table's columns, which the expression may name (not for DEFAULT).
        column_ids: ids for them by attribute number; by default the numbers themselves.
        target: (column name, type, typmod) that the value is assigned to.

    Raises:
        SqlError: 0A000 for subqueries and, in DEFAULT, columns; 42803, 42P20 for aggregates and window functions; 42P17 where
            an index or generated column's expression is not immutable; all errors of expressions.
    """
    binding = StatementBinding(catalog, search_path, system or NoSystemRelations(), context)
    ids = column_ids if column_ids is not None else {column.number: column.number for column in columns}
    for _ in range(max(ids.values(), default=0)):
        binding.new_id()
    query = Query(binding)
    if columns:
        query.namespace.append(row_namespace(query, table_name, columns, ids))
    expression = bind_in_row(query, node, kind, target)
    if binding.parameters:
        raise SqlError("42P02", "there is no parameter $1", position=node.position or None)
    _check_volatility(expression, kind)
    numbers = {identifier: number for number, identifier in ids.items()}
    used = {numbers[item.id] for item in walk(expression) if isinstance(item, logical.ColumnRef) and item.id in numbers}
    relations = {
        item.value
        for item in walk(expression)
        if isinstance(item, logical.Constant) and item.type == oids.REGCLASS and item.value is not None
    }
    return BoundExpression(expression, dict(ids), tuple(sorted(used)), tuple(sorted(relations)))


def _check_volatility(expression: logical.Expression, kind: ExpressionKind) -> None:
    message = {
        "index expression": "functions in index expression must be marked IMMUTABLE",
        "index predicate": "functions in index predicate must be marked IMMUTABLE",
        "GENERATED AS": "generation expression is not immutable",
    }.get(kind)
    if message is not None and not is_immutable(expression):
        raise SqlError("42P17", message)


def is_immutable(expression: logical.Expression) -> bool:
    """Whether the expression's value depends on nothing but its columns."""
    from frontend.functions.catalogue import proc_by_signature
    from frontend.types.facts import type_facts

    for item in walk(expression):
        if isinstance(item, logical.Call) and item.volatile != "i":
            return False
        if isinstance(item, logical.Cast):
            path = item.path
            while path.element is not None:
                path = path.element
            if path.method == "function" and path.signature is not None:
                proc = proc_by_signature(path.signature)
                if proc is not None and proc.volatility != "i":
                    return False
            if path.method == "io" and not {path.source, path.target}.isdisjoint(_SETTING_DEPENDENT):
                return False
            if path.method == "io" and not {path.source, path.target} <= type_facts().keys():
                return False
    return True


# Types whose text form depends on DateStyle, TimeZone, IntervalStyle or the catalog: their conversions are only stable.
_SETTING_DEPENDENT = frozenset(
    {oids.DATE, oids.TIME, oids.TIMETZ, oids.TIMESTAMP, oids.TIMESTAMPTZ, oids.INTERVAL, oids.BYTEA, oids.RECORD}
    | {oids.REGCLASS, oids.REGPROC, oids.REGPROCEDURE, oids.REGOPER, oids.REGOPERATOR, oids.REGTYPE, oids.REGROLE}
    | {oids.REGNAMESPACE, oids.REGCONFIG, oids.REGDICTIONARY, oids.REGCOLLATION}
)
