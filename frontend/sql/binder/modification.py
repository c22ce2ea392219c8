"""INSERT, UPDATE and DELETE.

INSERT computes one expression a column from its source's columns; VALUES with one row needs no source at all. UPDATE and
DELETE scan their target (joined with FROM or USING) for the key and the stored row of each row they change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from frontend.errors import SqlError, unsupported
from frontend.sql import logical, syntax
from frontend.sql.binder.assignments import Assigned, bind_assignments
from frontend.sql.binder.coercion import to_boolean
from frontend.sql.binder.common_tables import bind_with, wrap_with
from frontend.sql.binder.conflicts import bind_on_conflict
from frontend.sql.binder.expressions import bind, bind_elements
from frontend.sql.binder.from_items import bind_from, join_sources, table_item
from frontend.sql.binder.queries import Body, bind_query, projected
from frontend.sql.binder.scopes import NamespaceItem, RowSource, Source, TableSource, check_conflicts, set_lateral
from frontend.sql.binder.statement import Query, StatementBinding, reference
from frontend.sql.binder.table_expressions import assign, row_namespace
from frontend.sql.binder.targets import Target, bind_targets, resolve_unknown_targets
from frontend.sql.binder.updatable_views import (
    WrittenView,
    as_named_table,
    base_table,
    check_writable,
    view_target,
)
from frontend.sql.binder.write_targets import (
    bind_write_target,
    by_number,
    default_value,
    find_target,
    new_row_ids,
)
from frontend.types import oids
from storage.catalog import Column, Table, View

Modification = syntax.Insert | syntax.Update | syntax.Delete


def bind_modification(binding: StatementBinding, node: Modification, parent: Query | None) -> logical.Plan:
    """The plan of a data-modifying statement; its columns are those of RETURNING."""
    binding.writes = True
    query = Query(binding, parent)
    if node.with_ is not None:
        bind_with(query, node.with_)
    plan: logical.Plan
    if isinstance(node, syntax.Insert):
        plan = _Insert(query, node).plan()
    elif isinstance(node, syntax.Update):
        plan = _bind_update(query, node)
    else:
        plan = _bind_delete(query, node)
    return wrap_with(query, plan)


def bind_returning(
    query: Query, targets: Sequence[syntax.Target], view: View | None = None, written: WrittenView | None = None
) -> tuple[tuple[logical.Column, ...], tuple[logical.Expression, ...]]:
    """(columns, expressions) of RETURNING; of a written view, clients are told the view's columns."""
    bound: list[Target] = bind_targets(query, targets, "RETURNING")
    if view is not None and written is not None:
        shown = [column.reference() for column in written.item.columns]
        for target in bound:
            if target.expression in shown:
                target.table, target.attribute = view.oid, shown.index(target.expression) + 1
    resolve_unknown_targets(query, bound)
    columns = []
    for target in bound:
        column = query.new_column(target.name, target.expression)
        columns.append(
            logical.Column(
                id=column.id,
                name=column.name,
                type=column.type,
                typmod=column.typmod,
                table=target.table,
                attribute=target.attribute,
            )
        )
    return tuple(columns), tuple([target.expression for target in bound])


def _written_name(node: syntax.RelationName, alias: syntax.Alias | None) -> str:
    return alias.name if alias is not None else node.name


# ── INSERT ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Insert:
    """One INSERT while it is bound."""

    def __init__(self, query: Query, node: syntax.Insert) -> None:
        self.query = query
        self.node = node
        self.binding = query.binding
        relation, self.schema = find_target(self.binding, node.relation)
        self.view = relation if isinstance(relation, View) else None
        self.table = base_table(self.binding, relation, "INSERT") if isinstance(relation, View) else relation
        self.row_ids = new_row_ids(query, self.table)
        self.written: WrittenView | None = None
        if self.view is not None:
            if node.on_conflict is not None:
                raise unsupported("ON CONFLICT on a view", position=node.on_conflict.position or None)
            self.written = view_target(
                query,
                self.view,
                _written_name(node.relation, node.alias),
                self.schema if node.alias is None else None,
                "INSERT",
                self.row_ids,
                self._row_item,
            )
        self.columns = self._target_columns()
        # Hidden until RETURNING: naming the table in VALUES is an «invalid reference», not a missing table.
        RowSource(query, _written_name(node.relation, node.alias), self.table.columns, self.table)

    def _row_item(self, table: Table, alias: str) -> NamespaceItem:
        return row_namespace(self.query, alias, table.columns, by_number(table, self.row_ids), None, table)

    def _default(self, column: Column) -> logical.Expression:
        """The default of a column of the table; that of the view's column goes first."""
        if self.view is not None and self.written is not None:
            for shown in self.view.columns:
                if shown.default is not None and self.written.attributes.get(shown.name) == column.number:
                    column = msgspec.structs.replace(column, default=shown.default)
        return default_value(self.binding, column)

    def _target_columns(self) -> list[tuple[Column, syntax.InsertColumn | None]]:
        live = {column.name: column for column in self.table.columns if not column.dropped}
        if self.view is not None and self.written is not None:
            columns, attributes = self.table.columns, self.written.attributes
            # Columns of the view that are none of the table's keep their place; `_check_width` refuses values for them.
            live = {
                column.name: columns[attributes[column.name] - 1] if column.name in attributes else column
                for column in self.view.columns
            }
        if not self.node.columns:
            return [(column, None) for column in live.values()]
        chosen: list[tuple[Column, syntax.InsertColumn | None]] = []
        for written in self.node.columns:
            position = written.position or None
            if written.steps:
                raise unsupported("INSERT into a part of a column", position=position)
            column = live.get(written.name)
            if column is None:
                raise SqlError(
                    "42703",
                    f'column "{written.name}" of relation "{(self.view or self.table).name}" does not exist',
                    position=position,
                )
            if any(column is other for other, _ in chosen):
                raise SqlError("42701", f'column "{written.name}" specified more than once', position=position)
            chosen.append((column, written))
        return chosen

    def plan(self) -> logical.Plan:
        """The Insert node."""
        binding, query, node = self.binding, self.query, self.node
        values: dict[int, logical.Expression] = {}
        source: logical.Plan = logical.OneRow(columns=())
        select = node.query
        if select is None:
            pass
        elif select.values is not None and not _is_general(select):
            if select.with_ is not None:
                bind_with(query, select.with_)
            source, values = self._from_values(select.values)
        else:
            source, values = self._from_query(bind_query(binding, select, query, resolve_unknowns=False))
        computed: list[logical.Expression | None] = []
        for column in self.table.columns:
            if column.dropped or column.generated:
                computed.append(None)
                continue
            value = values.get(column.number)
            computed.append(self._default(column) if value is None else value)
        row_ids = self.row_ids
        target = bind_write_target(binding, self.table, row_ids)
        name = _written_name(node.relation, node.alias)
        on_conflict = None
        if node.on_conflict is not None:
            on_conflict = bind_on_conflict(query, node.on_conflict, self.table, name, target)
        shown_schema = self.schema if node.alias is None else None
        query.namespace = [
            self.written.item
            if self.written is not None
            else row_namespace(
                query, name, self.table.columns, by_number(self.table, row_ids), shown_schema, self.table
            )
        ]
        columns, returning = bind_returning(query, node.returning, self.view, self.written)
        return logical.Insert(
            columns=columns,
            target=target,
            source=source,
            values=tuple(computed),
            on_conflict=on_conflict,
            returning=returning,
        )

    def _check_width(self, width: int, position_of_extra: int) -> None:
        if width > len(self.columns):
            raise SqlError(
                "42601",
                "INSERT has more expressions than target columns",
                position=position_of_extra or None,
            )
        if self.node.columns and width < len(self.columns):
            missing = self.columns[width][1]
            raise SqlError(
                "42601",
                "INSERT has more target columns than expressions",
                position=(missing.position or None) if missing is not None else None,
            )
        if self.view is not None and self.written is not None:
            names = [item.name for item in self.node.columns] or [column.name for column in self.view.columns]
            for name in names[:width]:
                check_writable(self.view, self.written, name, "INSERT")

    def _from_values(
        self, rows: Sequence[Sequence[syntax.Expression]]
    ) -> tuple[logical.Plan, dict[int, logical.Expression]]:
        query = self.query
        width = 0
        bound: list[list[logical.Expression | None]] = []
        with query.clause("VALUES"):
            for row in rows:
                members: list[logical.Expression | None] = []
                for item in row:
                    if isinstance(item, syntax.SetToDefault):
                        members.append(None)
                    else:
                        members.extend(bind_elements(query, [item]))
                if bound and len(members) != width:
                    raise SqlError(
                        "42601",
                        "VALUES lists must all be the same length",
                        position=(row[0].position or None) if row else None,
                    )
                width = len(members)
                extra = row[len(self.columns)].position if len(row) > len(self.columns) else 0
                self._check_width(width, extra)
                bound.append(members)
        columns = [column for column, _ in self.columns[:width]]
        for place, column in enumerate(columns):
            given = any(row[place] is not None for row in bound)
            ignored = self._check_override(column, given)
            for members in bound:
                value = members[place]
                if value is None or ignored:
                    members[place] = self._default(column)
                else:
                    members[place] = assign(self.binding, value, column.name, column.type, column.typmod)
        if len(bound) == 1:
            values = {
                column.number: value for column, value in zip(columns, bound[0], strict=True) if value is not None
            }
            return logical.OneRow(columns=()), values
        outputs = [query.column(column.name, column.type, column.typmod) for column in columns]
        plan = logical.Values(
            columns=tuple(outputs), rows=tuple([tuple([value for value in row if value is not None]) for row in bound])
        )
        return plan, {column.number: reference(output) for column, output in zip(columns, outputs, strict=True)}

    def _check_override(self, column: Column, given: bool) -> bool:
        """Whether given values are ignored (OVERRIDING USER VALUE). 428C9 where the column takes none."""
        if not given:
            return False
        if column.generated:
            raise SqlError(
                "428C9",
                f'cannot insert a non-DEFAULT value into column "{column.name}"',
                detail=f'Column "{column.name}" is a generated column.',
            )
        if column.identity and self.node.overriding == "user":
            return True
        if column.identity == "a" and self.node.overriding != "system":
            raise SqlError(
                "428C9",
                f'cannot insert a non-DEFAULT value into column "{column.name}"',
                detail=f'Column "{column.name}" is an identity column defined as GENERATED ALWAYS.',
                hint="Use OVERRIDING SYSTEM VALUE to override.",
            )
        return False

    def _from_query(self, body: Body) -> tuple[logical.Plan, dict[int, logical.Expression]]:
        binding = self.binding
        extra = body.targets[len(self.columns)].position if len(body.targets) > len(self.columns) else 0
        self._check_width(len(body.targets), extra)
        pairs = list(zip(self.columns, body.targets, strict=False))
        ignored: set[int] = set()
        for (column, _), target in pairs:
            if self._check_override(column, True):
                ignored.add(column.number)
            if target.expression.type == oids.UNKNOWN:
                target.expression = assign(binding, target.expression, column.name, column.type, -1)
        positions = [target.expression.position or target.position for target in body.targets]
        plan = projected(body)
        values: dict[int, logical.Expression] = {}
        for place, ((column, _), _target) in enumerate(pairs):
            if column.number in ignored:
                continue
            value = reference(plan.columns[place], positions[place])
            values[column.number] = assign(binding, value, column.name, column.type, column.typmod)
        return plan, values


def _is_general(select: syntax.Select) -> bool:
    """Whether VALUES has clauses that make it a query of its own."""
    return bool(select.order_by or select.limit is not None or select.offset is not None or select.locking)


# ── UPDATE, DELETE ──────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Target:
    """What an UPDATE or DELETE writes; `names` has the columns as the statement calls them."""

    table: Table
    names: Table
    source: TableSource
    row_ids: tuple[int, ...]
    view: View | None = None
    written: WrittenView | None = None


def _bind_target_item(query: Query, item: syntax.TableItem, command: str) -> _Target:
    relation, schema = find_target(query.binding, item.relation)
    alias = _written_name(item.relation, item.alias)
    shown_schema = schema if item.alias is None else None
    if isinstance(relation, Table):
        row_ids = new_row_ids(query, relation)
        source, names = table_item(query, relation, alias, shown_schema, item.alias, item.position, row_ids)
        set_lateral(names, True, False)
        query.namespace.extend(names)
        return _Target(relation, relation, source, row_ids)
    table = base_table(query.binding, relation, command)
    row_ids = new_row_ids(query, table)
    made: list[TableSource] = []

    def make(base: Table, base_alias: str) -> NamespaceItem:
        source, names = table_item(query, base, base_alias, None, None, 0, row_ids)
        made.append(source)
        return names[0]

    written = view_target(query, relation, alias, shown_schema, command, row_ids, make)
    set_lateral([written.item], True, False)
    query.namespace.append(written.item)
    names_of = as_named_table(table, relation, written)
    return _Target(table, names_of, made[0], row_ids, relation, written)


def _bind_sources(
    query: Query, target: _Target, items: Sequence[syntax.FromItem], where: syntax.Expression | None
) -> tuple[list[Source], logical.Expression | None]:
    target_names = list(query.namespace)
    query.namespace = []
    sources = bind_from(query, items)
    check_conflicts(target_names, query.namespace)
    query.namespace = [*target_names, *query.namespace]
    set_lateral(query.namespace, False, True)
    condition = None
    if where is not None:
        with query.clause("WHERE"):
            condition = to_boolean(query.binding, bind(query, where), "WHERE")
    if target.written is not None and target.written.condition is not None:
        restriction = target.written.condition
        condition = (
            restriction
            if condition is None
            else logical.BooleanOperation(type=oids.BOOL, operator="and", arguments=(restriction, condition))
        )
    return [target.source, *sources], condition


def _source_plan(sources: Sequence[Source], condition: logical.Expression | None) -> logical.Plan:
    plan = join_sources(sources)
    if condition is not None:
        plan = logical.Filter(columns=plan.columns, input=plan, condition=condition)
    return plan


def _bind_update(query: Query, node: syntax.Update) -> logical.Plan:
    target = _bind_target_item(query, node.target, "UPDATE")
    source = target.source
    sources, condition = _bind_sources(query, target, node.from_, node.where)
    if target.view is not None and target.written is not None:
        for assignment in node.assignments:
            for column in assignment.columns:
                check_writable(target.view, target.written, column.name, "UPDATE")
    assigned: Assigned = bind_assignments(query, target.names, node.assignments)
    key = source.use(logical.ROW_KEY)
    row = source.use(logical.WHOLE_ROW)
    source.close()
    columns, returning = bind_returning(query, node.returning, target.view, target.written)
    plan = _source_plan(sources, condition)
    if assigned.records:
        # The records of (a, b) = (SELECT …) are computed once a row.
        plan = logical.Project(
            columns=plan.columns + tuple([column for column, _ in assigned.records]),
            input=plan,
            expressions=tuple([reference(column) for column in plan.columns])
            + tuple([record for _, record in assigned.records]),
        )
    return logical.Update(
        columns=columns,
        target=bind_write_target(query.binding, target.table, target.row_ids),
        source=plan,
        key_id=key.id,
        row_id=row.id,
        assignments=assigned.values,
        returning=returning,
    )


def _bind_delete(query: Query, node: syntax.Delete) -> logical.Plan:
    target = _bind_target_item(query, node.target, "DELETE")
    source = target.source
    sources, condition = _bind_sources(query, target, node.using, node.where)
    key = source.use(logical.ROW_KEY)
    row = source.use(logical.WHOLE_ROW)
    source.close()
    columns, returning = bind_returning(query, node.returning, target.view, target.written)
    return logical.Delete(
        columns=columns,
        target=bind_write_target(query.binding, target.table, target.row_ids),
        source=_source_plan(sources, condition),
        key_id=key.id,
        row_id=row.id,
        returning=returning,
    )
