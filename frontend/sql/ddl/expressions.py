"""Expressions and queries that definitions contain: checked, and turned into the canonical text that the catalog keeps.

Binding (names, types, what may stand where) is the binder's; printing a bound expression is `canonical.py`'s. What is here
joins the two, and compiles stored texts to functions of a row for validating and rewriting tables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any, NamedTuple

from frontend.errors import SqlError
from frontend.sql import logical, syntax
from frontend.sql.binder.queries import bind_query
from frontend.sql.binder.scopes import TableSource
from frontend.sql.binder.statement import StatementBinding
from frontend.sql.binder.table_expressions import (
    BoundExpression,
    ExpressionKind,
    bind_expression,
    is_immutable,
    parse_stored,
)
from frontend.sql.ddl.canonical import canonical_text
from frontend.sql.ddl.view_text import qualify_view
from frontend.sql.deparse import deparse_query
from frontend.sql.walk import walk
from frontend.system import registry
from frontend.types import oids
from storage.catalog import Column, Table

if TYPE_CHECKING:
    from frontend.sql.ddl.environment import DdlEnvironment

STORED_PATH = ("pg_catalog",)
"""The search path under which stored texts are bound: they name everything else with its schema."""


class BoundText(NamedTuple):
    """An expression as it will be stored.

    Attributes:
        columns: attribute numbers that it reads.
        volatility: i, s or v, the worst of what it calls.
        is_null: it is the NULL constant, which as a default is no default.
    """

    text: str
    type: int
    typmod: int
    columns: frozenset[int]
    volatility: str
    is_null: bool


class BoundView(NamedTuple):
    """A view's query as it will be stored; `relations` are those that it names itself."""

    text: str
    columns: tuple[logical.Column, ...]
    relations: tuple[int, ...]
    column_uses: tuple[tuple[int, int], ...]


def parse_expression(text: str) -> syntax.Expression:
    """A stored expression as a tree of its own."""
    return deepcopy(parse_stored(text))


def _bind(
    environment: DdlEnvironment,
    node: syntax.Expression,
    kind: ExpressionKind,
    *,
    table: Table | None = None,
    target: tuple[str, int, int] | None = None,
    search_path: Sequence[str] | None = None,
) -> BoundExpression:
    return bind_expression(
        node,
        environment.draft.catalog,
        environment.context.search_path if search_path is None else search_path,
        environment.context,
        kind,
        table_name="" if table is None else table.name,
        columns=() if table is None else table.columns,
        target=target,
        system=registry,
    )


def _described(
    bound: BoundExpression, node: syntax.Expression, environment: DdlEnvironment, table: Table | None
) -> BoundText:
    expression = bound.expression
    columns = {} if table is None else {column.number: column.name for column in table.columns}
    text = canonical_text(expression, columns, environment.draft.catalog, node)
    is_null = isinstance(expression, logical.Constant) and expression.value is None
    return BoundText(
        text, expression.type, expression.typmod, frozenset(bound.columns_used), _volatility(expression), is_null
    )


def _volatility(expression: logical.Expression) -> str:
    calls = {item.volatile for item in walk(expression) if isinstance(item, logical.Call)}
    if "v" in calls:
        return "v"
    return "i" if is_immutable(expression) else "s"


def bind_default(
    environment: DdlEnvironment, node: syntax.Expression, column: Column, source: Column | None = None
) -> BoundText:
    """A DEFAULT for the column; `source`: the column before its type changed, for a default that is stored already."""
    path = None if source is None else STORED_PATH
    bound = _bind(environment, node, "DEFAULT", target=(column.name, column.type, column.typmod), search_path=path)
    return _described(bound, node, environment, None)


def bind_row_expression(
    environment: DdlEnvironment,
    node: syntax.Expression,
    table: Table,
    kind: ExpressionKind,
    column: Column | None,
    target: tuple[int, int] | None = None,
) -> BoundText:
    """A check, generation expression (of `column`), index key or predicate over a row of the table."""
    del target  # CHECK and index predicates are booleans by their kind
    wanted = None if column is None else (column.name, column.type, column.typmod)
    return _described(_bind(environment, node, kind, table=table, target=wanted), node, environment, table)


def bind_using(
    environment: DdlEnvironment, node: syntax.Expression, table: Table, target: Column, *, explicit: bool
) -> BoundText:
    """ALTER TYPE … USING, or the column itself without USING; 42804 where it does not convert by assignment."""
    try:
        bound = _bind(environment, node, "USING", table=table, target=(target.name, target.type, target.typmod))
    except SqlError as error:
        if error.sqlstate != "42804":
            raise
        from frontend.sql.binder.types import Types
        from frontend.sql.ddl.names import quote_identifier

        type_name = Types(environment.draft.catalog).name(target.type, target.typmod)
        if explicit:
            raise SqlError(
                "42804",
                f'result of USING clause for column "{target.name}" cannot be cast automatically to type {type_name}',
                hint="You might need to add an explicit cast.",
            ) from None
        raise SqlError(
            "42804",
            f'column "{target.name}" cannot be cast automatically to type {type_name}',
            hint=f'You might need to specify "USING {quote_identifier(target.name)}::{type_name}".',
        ) from None
    return _described(bound, node, environment, table)


def columns_of_text(environment: DdlEnvironment, text: str, table: Table) -> set[int]:
    """The attribute numbers that a stored expression of the table reads."""
    bound = _bind(environment, parse_stored(text), "USING", table=table, search_path=STORED_PATH)
    return set(bound.columns_used)


def volatility_of_text(environment: DdlEnvironment, text: str, column: Column) -> str:
    """i, s or v for a stored default."""
    target = (column.name, column.type, column.typmod)
    return _volatility(
        _bind(environment, parse_stored(text), "DEFAULT", target=target, search_path=STORED_PATH).expression
    )


def row_function(
    environment: DdlEnvironment, texts: Sequence[str], table: Table, targets: Sequence[Column] | None = None
) -> Callable[[list[Any]], tuple[Any, ...]]:
    """A function from a row (a list by attribute number) to the values of stored expressions over it.

    `targets`: the columns that the values are assigned to, where they have to be converted.
    """
    from frontend.sql.compiler.expressions import Expressions
    from frontend.sql.compiler.plan import PlanCompiler
    from frontend.sql.compiler.source import Binding, Function, Module

    module = Module(plain=True)
    function = Function(module, "compute", ["row", "context"], "plain")
    function._known["context"] = "context"
    scope = {column.number: Binding(f"row[{column.number - 1}]") for column in table.columns if not column.dropped}
    compiler = Expressions(function, PlanCompiler(module, False))
    codes = []
    for place, text in enumerate(texts):
        column = None if targets is None else targets[place]
        target = None if column is None else (column.name, column.type, column.typmod)
        bound = _bind(environment, parse_stored(text), "USING", table=table, target=target, search_path=STORED_PATH)
        codes.append(compiler.code(bound.expression, scope))
    function.finish(f"({', '.join(codes)},)")
    compute = module.execute(f"expressions of {table.name}")["compute"]
    context = environment.context

    def of_row(row: list[Any]) -> tuple[Any, ...]:
        result: tuple[Any, ...] = compute(row, context)
        return result

    return of_row


def bind_view(environment: DdlEnvironment, query: syntax.Select) -> BoundView:
    """A view's query: bound to see that it is right, then qualified and printed."""
    catalog, context = environment.draft.catalog, environment.context
    if query.into is not None:
        raise SqlError("0A000", "views must not contain SELECT INTO")
    binding = StatementBinding(catalog, context.search_path, registry, context)
    bound = bind_query(binding, deepcopy(query), None)
    plan = bound.finish()
    if binding.parameters:
        raise SqlError("42P02", "there is no parameter $1")
    tree = deepcopy(query)
    relations = qualify_view(tree, environment)
    uses = {
        (source.table.oid, attribute)
        for source, attribute in binding.provenance.values()
        if isinstance(source, TableSource) and attribute > 0 and source.table.oid in relations
    }
    columns = tuple(
        logical.Column(
            id=column.id,
            name=column.name,
            type=oids.TEXT if column.type == oids.UNKNOWN else column.type,
            typmod=column.typmod,
        )
        for column in plan.columns
    )
    return BoundView(deparse_query(tree), columns, tuple(relations), tuple(sorted(uses)))
