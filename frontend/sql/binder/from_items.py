"""FROM: tables, views, virtual relations, WITH queries, subqueries, functions and joins.

Each item gives its source (what will yield the rows) and its namespace items (how it can be named). Views are bound from
their stored text in place, so what follows sees one plan. Visibility between items follows transformFromClause.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from frontend.errors import SqlError, unsupported
from frontend.sql import logical, syntax
from frontend.sql.binder.coercion import coerce, common_type, to_boolean
from frontend.sql.binder.expressions import bind
from frontend.sql.binder.operations import make_operator
from frontend.sql.binder.scopes import (
    JoinSource,
    NamespaceItem,
    PlanSource,
    ScopeColumn,
    Source,
    TableSource,
    VirtualSource,
    check_conflicts,
    make_join,
    set_lateral,
)
from frontend.sql.binder.statement import CommonTableEntry, Query, StatementBinding, VirtualRelation, reference
from frontend.system.registry import sequence_relation
from frontend.types import oids
from storage.catalog import Column, Index, Table, View
from storage.catalog import Sequence as SequenceRecord

Bound = tuple[Source, list[NamespaceItem]]


def bind_from(query: Query, items: Sequence[syntax.FromItem]) -> list[Source]:
    """Bind FROM's items into the query's namespace; their sources in order."""
    sources = []
    for item in items:
        source, names = bind_item(query, item)
        check_conflicts(query.namespace, names)
        set_lateral(names, True, True)
        query.namespace.extend(names)
        sources.append(source)
    set_lateral(query.namespace, False, True)
    return sources


def join_sources(sources: Sequence[Source]) -> logical.Plan:
    """The plan of FROM: the items side by side; a single empty row where there are none."""
    if not sources:
        return logical.OneRow(columns=())
    plan = sources[0].build()
    for source in sources[1:]:
        plan = make_join("inner", plan, source.build(), None)
    return plan


def bind_item(query: Query, item: syntax.FromItem) -> Bound:
    """One item of FROM."""
    match item:
        case syntax.TableItem():
            return _bind_table_item(query, item)
        case syntax.SubqueryItem():
            return _bind_subquery(query, item)
        case syntax.FunctionItem():
            from frontend.sql.binder.function_items import bind_function_item

            return bind_function_item(query, item)
        case syntax.JoinItem():
            return _bind_join(query, item)
    raise unsupported(type(item).__name__, position=item.position or None)


# ── relations ───────────────────────────────────────────────────────────────────────────────────────────────────────


def find_relation(
    binding: StatementBinding, node: syntax.RelationName
) -> tuple[Table | View | SequenceRecord | Index | VirtualRelation, str]:
    """The relation that a name means along the search path, with its schema's name. 42P01 where there is none."""
    if node.catalog is not None and node.catalog != binding.context.database_name:
        raise SqlError(
            "0A000",
            f'cross-database references are not implemented: "{node.catalog}.{node.schema}.{node.name}"',
            position=node.position or None,
        )
    for schema in (node.schema,) if node.schema is not None else binding.search_path:
        virtual = binding.system.find(schema, node.name)
        if virtual is not None:
            return virtual, schema
        record = binding.catalog.schema(schema)
        if record is not None:
            relation = binding.catalog.relation(record.oid, node.name)
            if relation is not None:
                return relation, schema
    shown = f"{node.schema}.{node.name}" if node.schema else node.name
    raise SqlError("42P01", f'relation "{shown}" does not exist', position=node.position or None)


def find_common_table(query: Query, name: str) -> tuple[CommonTableEntry, Query] | None:
    """The WITH query of this name that is visible, with the level that defines it."""
    level: Query | None = query
    while level is not None:
        entry = level.common_tables.get(name)
        if entry is not None:
            return entry, level
        level = level.parent
    return None


def _bind_table_item(query: Query, item: syntax.TableItem) -> Bound:
    node = item.relation
    binding = query.binding
    position = node.position or item.position
    if item.sample is not None:
        raise unsupported("TABLESAMPLE", position=item.sample.position or None)
    if node.schema is None:
        found = find_common_table(query, node.name)
        if found is not None:
            from frontend.sql.binder.common_tables import bind_reference

            return bind_reference(query, found[0], found[1], item)
    relation, schema = find_relation(binding, node)
    alias = item.alias.name if item.alias is not None else node.name
    shown_schema = schema if item.alias is None else None
    if isinstance(relation, Table):
        return table_item(query, relation, alias, shown_schema, item.alias, position)
    if isinstance(relation, View):
        return _bind_view(query, relation, alias, shown_schema, item.alias, position)
    if isinstance(relation, SequenceRecord):
        query.binding.use_relation(relation.oid, relation.version)
        relation = sequence_relation(shown_schema or "", relation)
    if isinstance(relation, Index):
        raise SqlError(
            "42809",
            f'cannot open relation "{relation.name}"',
            detail="This operation is not supported for indexes.",
            position=position or None,
        )
    source = VirtualSource(query, alias, relation)
    columns = [
        ScopeColumn(name, type_oid, typmod, source, number)
        for number, (name, type_oid, typmod) in enumerate(relation.columns, 1)
    ]
    names = NamespaceItem(
        alias, rename(columns, item.alias, position), source, schema=shown_schema, relation_oid=relation.oid
    )
    return source, [names]


def table_item(
    query: Query,
    table: Table,
    alias: str,
    schema: str | None,
    written: syntax.Alias | None,
    position: int,
    row_ids: Sequence[int] = (),
) -> tuple[TableSource, list[NamespaceItem]]:
    """A table under an alias, as FROM and as the target of a modification see it."""
    query.binding.use_relation(table.oid, table.version)
    source = TableSource(query, alias, table, row_ids)
    columns = [
        ScopeColumn(column.name, column.type, column.typmod, source, column.number)
        for column in table.columns
        if not column.dropped
    ]
    item = NamespaceItem(alias, rename(columns, written, position), source, schema=schema, relation_oid=table.oid)
    return source, [item]


def rename(columns: list[ScopeColumn], alias: syntax.Alias | None, position: int) -> list[ScopeColumn]:
    """The columns under the names of an alias's column list. 42P10 where the list is too long."""
    if alias is None or not alias.columns:
        return columns
    if len(alias.columns) > len(columns):
        raise SqlError(
            "42P10",
            f'table "{alias.name}" has {len(columns)} columns available but {len(alias.columns)} columns specified',
        )
    return [
        column.renamed(alias.columns[place]) if place < len(alias.columns) else column
        for place, column in enumerate(columns)
    ]


@lru_cache(maxsize=1000)
def parse_view(text: str) -> syntax.Select:
    """The syntax tree of a view's stored text. The tree is shared: binding never changes one."""
    from frontend.sql.parser import parse

    statement = parse(text)[0].statement
    assert isinstance(statement, syntax.Select)
    return statement


def _bind_view(
    query: Query, view: View, alias: str, schema: str | None, written: syntax.Alias | None, position: int
) -> Bound:
    from frontend.sql.binder.queries import bind_query

    binding = query.binding
    binding.use_relation(view.oid, view.version)
    with binding.inside_view(view.name):
        plan = bind_query(binding, parse_view(view.query), None).finish()
    live = [column for column in view.columns if not column.dropped]
    plan = _as_declared(query, plan, live)
    source = PlanSource(query, alias, plan, view.oid)
    columns = [
        ScopeColumn(column.name, column.type, column.typmod, expression=reference(column)) for column in plan.columns
    ]
    item = NamespaceItem(alias, rename(columns, written, position), source, schema=schema, relation_oid=view.oid)
    return source, [item]


def _as_declared(query: Query, plan: logical.Plan, declared: Sequence[Column]) -> logical.Plan:
    """The view's query under the column names and types that the view was made with."""
    columns = []
    expressions: list[logical.Expression] = []
    for actual, column in zip(plan.columns, declared, strict=True):
        value: logical.Expression = reference(actual)
        wanted, name = column.type, column.name
        if actual.type != wanted:
            value = coerce(query.binding, value, wanted, "a")
        expressions.append(value)
        columns.append(query.column(name, wanted, column.typmod))
    return logical.Project(columns=tuple(columns), input=plan, expressions=tuple(expressions))


# ── subqueries ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _bind_subquery(query: Query, item: syntax.SubqueryItem) -> Bound:
    from frontend.sql.binder.queries import bind_query

    before = query.lateral_active
    query.lateral_active = before or item.lateral
    try:
        with query.clause("sub-SELECT in FROM"):
            plan = bind_query(query.binding, item.query, query).finish()
    finally:
        query.lateral_active = before
    alias = item.alias.name if item.alias is not None else "unnamed_subquery"
    source = PlanSource(query, alias, plan)
    columns = [
        ScopeColumn(column.name, column.type, column.typmod, expression=reference(column)) for column in plan.columns
    ]
    names = NamespaceItem(alias, rename(columns, item.alias, item.position), source)
    names.relation_visible = item.alias is not None
    return source, [names]


# ── joins ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _bind_join(query: Query, item: syntax.JoinItem) -> Bound:
    start = len(query.sources)
    left, left_names = bind_item(query, item.left)
    middle = len(query.sources)
    set_lateral(left_names, True, item.kind in ("inner", "left"))
    depth = len(query.namespace)
    query.namespace.extend(left_names)
    right, right_names = bind_item(query, item.right)
    end = len(query.sources)
    del query.namespace[depth:]
    check_conflicts(left_names, right_names)
    join = JoinSource(query, item.kind, left, right)
    left_columns = _visible_columns(left_names)
    right_columns = _visible_columns(right_names)
    using = list(item.using)
    if item.natural:
        right_set = {column.name for column in right_columns}
        using = [column.name for column in left_columns if column.name in right_set]
    merged: list[ScopeColumn] = []
    if using:
        merged = _merge_columns(query, item, join, using, left_columns, right_columns)
    elif item.condition is not None:
        join.condition = _join_condition(query, [*left_names, *right_names], item.condition)
    _mark_nullable(query, item.kind, start, middle, end)
    left_rest = [column for column in left_columns if column.name not in using]
    right_rest = [column for column in right_columns if column.name not in using]
    columns = [*merged, *left_rest, *right_rest]
    inner = [*left_names, *right_names]
    extra = []
    if item.using_alias is not None:
        merged_item = NamespaceItem(item.using_alias, list(merged), None)
        merged_item.columns_visible = False
        check_conflicts(inner, [merged_item])
        extra.append(merged_item)
    if item.alias is not None:
        columns = rename(columns, item.alias, item.position)
        return join, [NamespaceItem(item.alias.name, columns, None), *extra]
    for name in inner:
        name.columns_visible = False
    set_lateral(inner, False, True)
    return join, [*inner, *extra, NamespaceItem(None, columns, None)]


def _visible_columns(names: Sequence[NamespaceItem]) -> list[ScopeColumn]:
    return [column for item in names if item.columns_visible for column in item.columns]


def _mark_nullable(query: Query, kind: str, start: int, middle: int, end: int) -> None:
    if kind in ("right", "full"):
        for source in query.sources[start:middle]:
            source.nullable = True
    if kind in ("left", "full"):
        for source in query.sources[middle:end]:
            source.nullable = True


def _join_condition(query: Query, names: list[NamespaceItem], node: syntax.Expression) -> logical.Expression:
    before = query.namespace
    set_lateral(names, False, True)
    query.namespace = names
    try:
        with query.clause("JOIN/ON"):
            return to_boolean(query.binding, bind(query, node), "JOIN/ON")
    finally:
        query.namespace = before


def _merge_columns(
    query: Query,
    item: syntax.JoinItem,
    join: JoinSource,
    using: Sequence[str],
    left_columns: Sequence[ScopeColumn],
    right_columns: Sequence[ScopeColumn],
) -> list[ScopeColumn]:
    binding = query.binding
    merged: list[ScopeColumn] = []
    conditions: list[logical.Expression] = []
    for place, name in enumerate(using):
        if name in using[:place]:
            raise SqlError("42701", f'column name "{name}" appears more than once in USING clause')
        left = _using_column(left_columns, name, "left").reference()
        right = _using_column(right_columns, name, "right").reference()
        with query.clause("JOIN/USING"):
            equal = make_operator(binding, "=", left, right, item.position)
            conditions.append(to_boolean(binding, equal, "JOIN/USING"))
        target = common_type(binding, [left, right], "JOIN/USING")
        assert target is not None
        typmod = left.typmod if left.type == right.type == target and left.typmod == right.typmod else -1
        left_value, right_value = (coerce(binding, side, target, "i") for side in (left, right))
        value: logical.Expression
        if item.kind == "full":
            value = logical.Coalesce(type=target, typmod=typmod, arguments=(left_value, right_value))
        elif item.kind == "right" or (item.kind == "inner" and left_value is not left and right_value is right):
            value = right_value
        else:
            value = left_value
        merged.append(ScopeColumn(name, target, typmod, expression=value))
    join.condition = (
        conditions[0]
        if len(conditions) == 1
        else logical.BooleanOperation(type=oids.BOOL, operator="and", arguments=tuple(conditions))
    )
    return merged


def _using_column(columns: Sequence[ScopeColumn], name: str, side: str) -> ScopeColumn:
    found = [column for column in columns if column.name == name]
    if not found:
        raise SqlError("42703", f'column "{name}" specified in USING clause does not exist in {side} table')
    if len(found) > 1:
        raise SqlError("42702", f'common column name "{name}" appears more than once in {side} table')
    return found[0]
