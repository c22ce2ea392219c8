"""Queries: SELECT, VALUES and set operations, as levels that are bound first and built into plans after.

`bind_query` gives a body whose output columns are known but may still be unknown literals, which a UNION or an INSERT around
it gives a type; `finish` then builds the plan. A plain SELECT is built from the bottom up:

    FROM → Filter → [ProjectSet] → Aggregate → Filter (HAVING) → Window … → ProjectSet
         → Sort → LockRows → Limit → Project                        where sort keys can be computed from the input
         → Project → Distinct → Sort → LockRows → Limit → Project   else: keys that are not output columns ride along
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from frontend.errors import SqlError, unsupported
from frontend.sql import logical, syntax
from frontend.sql.binder.aggregates import Grouping
from frontend.sql.binder.coercion import (
    coerce,
    common_type,
    common_typmod,
    to_boolean,
    to_common,
    to_specific,
)
from frontend.sql.binder.common_tables import bind_with, wrap_with
from frontend.sql.binder.expressions import bind
from frontend.sql.binder.from_items import bind_from, join_sources
from frontend.sql.binder.grouping_sets import bind_group_by
from frontend.sql.binder.locking import bind_locking, push_locking
from frontend.sql.binder.operations import require_equality
from frontend.sql.binder.scopes import Source
from frontend.sql.binder.sorting import make_sort_key
from frontend.sql.binder.statement import Query, StatementBinding, reference
from frontend.sql.binder.targets import Target, bind_targets, resolve_unknown_targets
from frontend.sql.binder.windows import bind_window_clause
from frontend.sql.walk import SUBQUERIES, free_columns, walk
from frontend.types import oids


def bind_query(
    binding: StatementBinding, node: syntax.Select, parent: Query | None, resolve_unknowns: bool = True
) -> Body:
    """A query at a new level below `parent`; with `resolve_unknowns` its untyped output columns are text."""
    if node.into is not None:
        raise unsupported("SELECT … INTO", position=node.into.position or node.position or None)
    query = Query(binding, parent)
    if node.with_ is not None:
        bind_with(query, node.with_)
    body: Body
    if node.operation is not None:
        body = SetOperationBody(query, node)
    elif node.values is not None:
        body = ValuesBody(query, node)
    else:
        body = SelectBody(query, node)
    if resolve_unknowns:
        body.resolve_unknowns()
    return body


def bind_inner_query(query: Query, node: syntax.Select) -> tuple[logical.Plan, frozenset[int]]:
    """(plan, the outer columns that it uses) of a subquery in an expression."""
    plan = bind_query(query.binding, node, query).finish()
    return plan, free_columns(plan)


class Body:
    """A bound query without its plan yet. `targets` are its output columns."""

    def __init__(self, query: Query, node: syntax.Select) -> None:
        self.query = query
        self.node = node
        self.targets: list[Target] = []

    def resolve_unknowns(self) -> None:
        """Output columns without a type become text."""
        resolve_unknown_targets(self.query, self.targets)

    def finish(self) -> logical.Plan:
        """The plan."""
        raise NotImplementedError

    def output_columns(self) -> tuple[logical.Column, ...]:
        """New columns for the targets as they are now."""
        columns = []
        for target in self.targets:
            column = self.query.new_column(target.name, target.expression)
            if target.table:
                column = replace(column, table=target.table, attribute=target.attribute)
            columns.append(column)
        return tuple(columns)


@dataclass(slots=True)
class SortItem:
    """ORDER BY: a target's index, or a key of its own."""

    key: logical.SortKey
    target: int | None


def find_target(
    query: Query, targets: Sequence[Target], node: syntax.Expression, clause: str
) -> tuple[int | None, logical.Expression]:
    """What an ORDER BY, GROUP BY or DISTINCT ON item means: (target index or None, expression).

    A bare name is an output column (for GROUP BY an input column first), a number counts output columns, all else is an
    expression over the input (PostgreSQL's findTargetlistEntrySQL92).
    """
    if isinstance(node, syntax.ColumnReference) and len(node.names) == 1 and not node.star:
        name = node.names[0]
        is_input = clause == "GROUP BY" and any(
            column.name == name for item in query.namespace if item.columns_visible for column in item.columns
        )
        if not is_input:
            found: int | None = None
            for place, target in enumerate(targets):
                if target.name == name:
                    if found is not None and targets[found].expression != target.expression:
                        raise SqlError("42702", f'{clause} "{name}" is ambiguous', position=node.position or None)
                    found = place if found is None else found
            if found is not None:
                return found, targets[found].expression
    sign = 1
    if isinstance(node, syntax.Operator) and node.left is None and node.name == "-" and node.schema is None:
        sign = -1 if isinstance(node.right, syntax.Constant) else 1
    constant = node.right if sign < 0 and isinstance(node, syntax.Operator) else node
    if isinstance(constant, syntax.Constant) and constant.kind != "boolean":
        if constant.kind != "integer":
            raise SqlError("42601", f"non-integer constant in {clause}", position=node.position or None)
        place = sign * int(constant.value)
        if not 1 <= place <= len(targets):
            raise SqlError("42P10", f"{clause} position {place} is not in select list", position=node.position or None)
        return place - 1, targets[place - 1].expression
    with query.clause(clause):
        value = bind(query, node)
    for place, target in enumerate(targets):
        if target.expression == value:
            return place, target.expression
    return None, value


class SelectBody(Body):
    """A plain SELECT."""

    def __init__(self, query: Query, node: syntax.Select) -> None:
        super().__init__(query, node)
        binding = query.binding
        items = push_locking(query, node) if node.locking else node.from_
        self.sources: list[Source] = bind_from(query, items)
        if node.windows:
            bind_window_clause(query, node.windows)
        self.targets = bind_targets(query, node.targets)
        self.where = None
        self.having = None
        if node.where is not None:
            with query.clause("WHERE"):
                self.where = to_boolean(binding, bind(query, node.where), "WHERE")
        if node.having is not None:
            with query.clause("HAVING"):
                self.having = to_boolean(binding, bind(query, node.having), "HAVING")
        self.order_by = [self._sort_item(item) for item in node.order_by]
        self.keys: list[logical.Expression] = []
        self.sets: tuple[tuple[int, ...], ...] | None = None
        if node.group_by:
            self.keys, self.sets = bind_group_by(query, node, self._group_expression)
        self.distinct_on = self._bind_distinct() if node.distinct is not None else []
        self.count, self.offset = bind_limit(query, node)
        self.locks = bind_locking(query, node) if node.locking else ()

    def _sort_item(self, item: syntax.SortItem) -> SortItem:
        place, value = find_target(self.query, self.targets, item.expression, "ORDER BY")
        key = make_sort_key(self.query, value, item)
        if place is not None and key.expression is not value:
            self.targets[place].expression = key.expression
        return SortItem(key, place)

    def _group_expression(self, node: syntax.Expression) -> logical.Expression:
        place, value = find_target(self.query, self.targets, node, "GROUP BY")
        if value.type == oids.UNKNOWN:
            value = coerce(self.query.binding, value, oids.TEXT, "i")
            if place is not None:
                self.targets[place].expression = value
        return value

    def _bind_distinct(self) -> list[tuple[int | None, logical.Expression]]:
        """The expressions of DISTINCT ON; [] for plain DISTINCT, whose rules are checked here."""
        query = self.query
        assert self.node.distinct is not None
        if not self.node.distinct:
            self.resolve_unknowns()
            for target in self.targets:
                require_equality(query.binding, target.expression.type, target.position)
            for item in self.order_by:
                if item.target is None:
                    raise SqlError(
                        "42P10",
                        "for SELECT DISTINCT, ORDER BY expressions must appear in select list",
                        position=item.key.expression.position or None,
                    )
            return []
        found: list[tuple[int | None, logical.Expression]] = []
        places: list[int] = []
        for node in self.node.distinct:
            place, value = find_target(query, self.targets, node, "DISTINCT ON")
            if value.type == oids.UNKNOWN:
                value = coerce(query.binding, value, oids.TEXT, "i")
            require_equality(query.binding, value.type, value.position)
            if not any(value == known for _, known in found):
                found.append((place, value))
                places.append(node.position)
        wanted = [value for _, value in found]
        matched: list[logical.Expression] = []
        skipped: logical.Expression | None = None
        for item in self.order_by:
            value = item.key.expression
            if value in wanted:
                if skipped is not None:
                    raise SqlError(
                        "42P10",
                        "SELECT DISTINCT ON expressions must match initial ORDER BY expressions",
                        position=places[wanted.index(value)] or None,
                    )
                if value not in matched:
                    matched.append(value)
            else:
                skipped = value
        if skipped is not None and len(matched) < len(wanted):
            left_over = next(place for value, place in zip(wanted, places, strict=True) if value not in matched)
            raise SqlError(
                "42P10",
                "SELECT DISTINCT ON expressions must match initial ORDER BY expressions",
                position=left_over or None,
            )
        return found

    # ── building ────────────────────────────────────────────────────────────────────────────────────────────────────

    def finish(self) -> logical.Plan:
        query = self.query
        plan = join_sources(self.sources)
        if self.where is not None:
            plan = logical.Filter(columns=plan.columns, input=plan, condition=self.where)
        if self.keys or self.sets is not None or query.aggregates or self.having is not None or query.groupings:
            plan = self._grouped(plan)
        for window in query.windows:
            columns = plan.columns + tuple([column for _, column in window.calls])
            plan = logical.Window(
                columns=columns,
                input=plan,
                partition_by=window.partition_by,
                order_by=window.order_by,
                frame=window.frame,
                calls=tuple([call for call, _ in window.calls]),
            )
        plan = add_sets(plan, query.set_returning)
        plan = self._ordered_distinct(plan) if self.node.distinct is not None else self._ordered(plan)
        return wrap_with(query, plan)

    def _grouped(self, plan: logical.Plan) -> logical.Plan:
        query = self.query
        # Targets that were untyped when GROUP BY was bound may be text by now: the keys follow.
        grouping = Grouping(query, self.keys, self.sets)
        plan, query.set_returning = sets_below(plan, query, grouping)
        for target in self.targets:
            target.expression = grouping.above(target.expression)
        for item in self.order_by:
            item.key = grouping.above(item.key)
        self.distinct_on = [(place, grouping.above(value)) for place, value in self.distinct_on]
        having = None if self.having is None else grouping.above(self.having)
        for window in query.windows:
            window.partition_by = grouping.above(window.partition_by)
            window.order_by = grouping.above(window.order_by)
            window.frame = grouping.above(window.frame)
            window.calls = [(grouping.above(call), column) for call, column in window.calls]
        query.set_returning = [(grouping.above(call), column) for call, column in query.set_returning]
        plan = grouping.plan(plan)
        if having is not None:
            plan = logical.Filter(columns=plan.columns, input=plan, condition=having)
        return plan

    def _project(self, plan: logical.Plan) -> logical.Plan:
        return logical.Project(
            columns=self.output_columns(),
            input=plan,
            expressions=tuple([target.expression for target in self.targets]),
        )

    def _limited(self, plan: logical.Plan) -> logical.Plan:
        if self.locks:
            plan = logical.LockRows(columns=plan.columns, input=plan, targets=self.locks)
        if self.count is not None or self.offset is not None:
            plan = logical.Limit(
                columns=plan.columns,
                input=plan,
                count=self.count,
                offset=self.offset,
                with_ties=self.node.with_ties,
            )
        return plan

    def _ordered(self, plan: logical.Plan) -> logical.Plan:
        if not self.order_by:
            return self._project(self._limited(plan))
        keys = _unique_keys([item.key for item in self.order_by])
        if all(_is_repeatable(key.expression) for key in keys):
            plan = logical.Sort(columns=plan.columns, input=plan, keys=keys)
            return self._project(self._limited(plan))
        return self._with_extra_keys(plan, [item.key for item in self.order_by], None)

    def _ordered_distinct(self, plan: logical.Plan) -> logical.Plan:
        if not self.node.distinct:
            plan = self._project(plan)
            plan = logical.Distinct(columns=plan.columns, input=plan)
            if self.order_by:
                keys = tuple(
                    [replace(item.key, expression=reference(plan.columns[item.target or 0])) for item in self.order_by]
                )
                plan = logical.Sort(columns=plan.columns, input=plan, keys=_unique_keys(keys))
            return self._limited(plan)
        sort_keys = [item.key for item in self.order_by]
        ordered = [key.expression for key in sort_keys]
        sort_keys.extend(logical.SortKey(expression=value) for _, value in self.distinct_on if value not in ordered)
        return self._with_extra_keys(plan, sort_keys, [value for _, value in self.distinct_on])

    def _with_extra_keys(
        self,
        plan: logical.Plan,
        sort_keys: Sequence[logical.SortKey],
        distinct_on: Sequence[logical.Expression] | None,
    ) -> logical.Plan:
        """Project first, with the keys that are not output columns riding along; drop them in the end."""
        query = self.query
        outputs = self.output_columns()
        columns = list(outputs)
        expressions = [target.expression for target in self.targets]
        for key in sort_keys:
            if key.expression not in expressions:
                columns.append(query.new_column("sort_key", key.expression))
                expressions.append(key.expression)
        locked = {identifier for identifier, _ in self.locks}
        for column in plan.columns:
            if column.id in locked:
                columns.append(column)
                expressions.append(reference(column))
        made: logical.Plan = logical.Project(columns=tuple(columns), input=plan, expressions=tuple(expressions))

        def computed(value: logical.Expression) -> logical.Expression:
            return reference(columns[expressions.index(value)])

        keys = tuple([replace(key, expression=computed(key.expression)) for key in sort_keys])
        made = logical.Sort(columns=made.columns, input=made, keys=_unique_keys(keys))
        if distinct_on is not None:
            made = logical.Distinct(
                columns=made.columns, input=made, on=tuple([computed(value) for value in distinct_on])
            )
        made = self._limited(made)
        if len(columns) == len(outputs):
            return made
        return logical.Project(
            columns=outputs, input=made, expressions=tuple([reference(column) for column in outputs])
        )


def _unique_keys(keys: Sequence[logical.SortKey]) -> tuple[logical.SortKey, ...]:
    """The keys without repeated expressions: a later key on the same value never decides."""
    result: list[logical.SortKey] = []
    for key in keys:
        if not any(key.expression == known.expression for known in result):
            result.append(key)
    return tuple(result)


def _is_repeatable(expression: logical.Expression) -> bool:
    """Whether computing the expression a second time, for sorting, costs little and gives the same."""
    return not any(
        isinstance(item, SUBQUERIES) or (isinstance(item, logical.Call) and item.volatile == "v")
        for item in walk(expression)
    )


def add_sets(plan: logical.Plan, calls: Sequence[tuple[logical.SetReturningCall, logical.Column]]) -> logical.Plan:
    """ProjectSet nodes for set-returning calls: those side by side run in lockstep, one inside another above it."""
    waiting = list(calls)
    while waiting:
        pending = {column.id for _, column in waiting}
        ready = [item for item in waiting if free_columns(item[0]).isdisjoint(pending)]
        assert ready
        waiting = [item for item in waiting if item not in ready]
        plan = logical.ProjectSet(
            columns=plan.columns + tuple([column for _, column in ready]),
            input=plan,
            expressions=tuple([reference(column) for column in plan.columns]) + tuple([call for call, _ in ready]),
        )
    return plan


def sets_below(
    plan: logical.Plan, query: Query, grouping: Grouping
) -> tuple[logical.Plan, list[tuple[logical.SetReturningCall, logical.Column]]]:
    """Set-returning calls that are grouped by (or aggregated) run before the grouping; the others stay for later."""
    used = free_columns((tuple(grouping.keys), tuple([call for call, _ in query.aggregates])))
    below = [item for item in query.set_returning if item[1].id in used]
    if below:
        grouping.keep_no_more([column.id for _, column in below])
    return add_sets(plan, below), [item for item in query.set_returning if item not in below]


def bind_limit(query: Query, node: syntax.Select) -> tuple[logical.Expression | None, logical.Expression | None]:
    """(LIMIT, OFFSET) as bigint expressions without variables."""
    values: list[logical.Expression | None] = []
    for expression, kind in ((node.limit, "LIMIT"), (node.offset, "OFFSET")):
        if expression is None:
            values.append(None)
            continue
        with query.clause(kind):
            bound = to_specific(query.binding, bind(query, expression), oids.INT8, kind)
        for identifier in free_columns(bound):
            if query.binding.owners.get(identifier) is query:
                raise SqlError(
                    "42P10", f"argument of {kind} must not contain variables", position=bound.position or None
                )
        values.append(bound)
    if node.with_ties and not node.order_by:
        raise SqlError("42601", "WITH TIES cannot be specified without ORDER BY clause")
    if node.with_ties and any(item.wait == "skip locked" for item in node.locking):
        raise SqlError("42601", "SKIP LOCKED and WITH TIES options cannot be used together")
    return values[0], values[1]


# ── VALUES ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class ValuesBody(Body):
    """VALUES (…), …: every column has the common type of its values."""

    def __init__(self, query: Query, node: syntax.Select) -> None:
        super().__init__(query, node)
        assert node.values is not None
        binding = query.binding
        width = len(node.values[0])
        rows: list[list[logical.Expression]] = []
        with query.clause("VALUES"):
            for row in node.values:
                if len(row) != width:
                    raise SqlError(
                        "42601",
                        "VALUES lists must all be the same length",
                        position=row[0].position if row and row[0].position else None,
                    )
                rows.append([bind(query, value) for value in row])
        columns = []
        for place in range(width):
            members = [row[place] for row in rows]
            target = common_type(binding, members, "VALUES")
            assert target is not None
            for members_of_row in rows:
                members_of_row[place] = to_common(binding, members_of_row[place], target, "VALUES")
            typmod = common_typmod([values[place] for values in rows], target)
            columns.append(query.column(f"column{place + 1}", target, typmod))
        self.values = logical.Values(columns=tuple(columns), rows=tuple([tuple(row) for row in rows]))
        self.targets = [Target(column.name, reference(column)) for column in columns]
        self.order_by = bind_output_order(query, node, self.targets)
        self.count, self.offset = bind_limit(query, node)
        if node.locking:
            raise SqlError("0A000", f"FOR {node.locking[0].strength.upper()} cannot be applied to VALUES")

    def finish(self) -> logical.Plan:
        return wrap_with(self.query, order_and_limit(self, self.values, self.order_by, self.count, self.offset))


def bind_output_order(query: Query, node: syntax.Select, targets: Sequence[Target]) -> list[logical.SortKey]:
    """ORDER BY over a set operation or VALUES: output names, numbers, and for VALUES expressions over them."""
    keys = []
    for item in node.order_by:
        place, value = None, None
        if node.operation is None:
            from frontend.sql.binder.scopes import NamespaceItem, ScopeColumn

            columns = [
                ScopeColumn(target.name, target.expression.type, target.expression.typmod, expression=target.expression)
                for target in targets
            ]
            query.namespace = [NamespaceItem("*VALUES*", columns, None)]
            place, value = find_target(query, targets, item.expression, "ORDER BY")
        else:
            place, value = _find_output(query, node, targets, item)
        keys.append(make_sort_key(query, value, item))
    return keys


def _find_output(
    query: Query, node: syntax.Select, targets: Sequence[Target], item: syntax.SortItem
) -> tuple[int | None, logical.Expression]:
    refusal = SqlError(
        "0A000",
        "invalid UNION/INTERSECT/EXCEPT ORDER BY clause",
        detail="Only result column names can be used, not expressions or functions.",
        hint="Add the expression/function to every SELECT, or move the UNION into a FROM clause.",
        position=_start(item.expression) or None,
    )
    expression = item.expression
    if isinstance(expression, syntax.ColumnReference) and not any(
        len(expression.names) == 1 and expression.names[0] == target.name for target in targets
    ):
        if len(expression.names) == 1:
            raise SqlError(
                "42703", f'column "{expression.names[0]}" does not exist', position=expression.position or None
            )
        from frontend.sql.binder.scopes import missing_relation

        raise missing_relation(query, expression.names[-2], None, expression.position)
    if not isinstance(expression, syntax.ColumnReference | syntax.Constant):
        raise refusal
    return find_target(query, targets, expression, "ORDER BY")


def _start(node: syntax.Expression) -> int:
    """Where an expression begins: an operator's own position is that of its sign."""
    if isinstance(node, syntax.Operator) and node.left is not None:
        return _start(node.left)
    if isinstance(node, syntax.Cast | syntax.FieldSelection | syntax.Subscript):
        return _start(node.operand)
    return node.position


def order_and_limit(
    body: Body,
    plan: logical.Plan,
    keys: Sequence[logical.SortKey],
    count: logical.Expression | None,
    offset: logical.Expression | None,
) -> logical.Plan:
    """Sort and Limit over a plan whose columns are the output."""
    if keys:
        plan = logical.Sort(columns=plan.columns, input=plan, keys=_unique_keys(keys))
    if count is not None or offset is not None:
        plan = logical.Limit(
            columns=plan.columns, input=plan, count=count, offset=offset, with_ties=body.node.with_ties
        )
    return plan


# ── UNION, INTERSECT, EXCEPT ────────────────────────────────────────────────────────────────────────────────────────


class SetOperationBody(Body):
    """Two queries combined: their columns are matched by place and converted to common types."""

    def __init__(self, query: Query, node: syntax.Select) -> None:
        super().__init__(query, node)
        binding = query.binding
        assert node.left is not None
        assert node.right is not None
        if node.locking:
            raise SqlError(
                "0A000",
                f"FOR {node.locking[0].strength.upper()} is not allowed with UNION/INTERSECT/EXCEPT",
            )
        self.left = bind_query(binding, node.left, query, resolve_unknowns=False)
        self.right = bind_query(binding, node.right, query, resolve_unknowns=False)
        name = (node.operation or "union").upper()
        self.columns = self._match_columns(name)
        self.targets = [
            Target(column.name, reference(column), position=left.position)
            for column, left in zip(self.columns, self.left.targets, strict=True)
        ]
        self.order_by = bind_output_order(query, node, self.targets)
        self.count, self.offset = bind_limit(query, node)

    def _match_columns(self, name: str) -> tuple[logical.Column, ...]:
        binding = self.query.binding
        lefts, rights = self.left.targets, self.right.targets
        if len(lefts) != len(rights):
            raise SqlError(
                "42601",
                f"each {name} query must have the same number of columns",
                position=(rights[0].position or None) if rights else None,
            )
        columns = []
        for left, right in zip(lefts, rights, strict=True):
            pair = [
                replace(left.expression, position=left.position or left.expression.position),
                replace(right.expression, position=right.position or right.expression.position),
            ]
            target = common_type(binding, pair, name)
            assert target is not None
            left.expression = to_common(binding, left.expression, target, name)
            right.expression = to_common(binding, right.expression, target, name)
            if not (self.node.operation == "union" and self.node.all_rows):
                require_equality(binding, target, left.position if left.expression.type == target else right.position)
            typmod = common_typmod([left.expression, right.expression], target)
            columns.append(self.query.column(left.name, target, typmod))
        return tuple(columns)

    def finish(self) -> logical.Plan:
        assert self.node.operation is not None
        plan: logical.Plan = logical.SetOperation(
            columns=self.columns,
            operation=self.node.operation,
            all=self.node.all_rows,
            left=projected(self.left),
            right=projected(self.right),
        )
        return wrap_with(self.query, order_and_limit(self, plan, self.order_by, self.count, self.offset))


def projected(body: Body) -> logical.Plan:
    """The body's plan, with the conversions that were put on its targets from outside."""
    plan = body.finish()
    if isinstance(body, SelectBody):
        return plan
    if all(
        isinstance(target.expression, logical.ColumnRef) and target.expression.id == column.id
        for target, column in zip(body.targets, plan.columns, strict=True)
    ):
        return plan
    return logical.Project(
        columns=body.output_columns(),
        input=plan,
        expressions=tuple([target.expression for target in body.targets]),
    )
