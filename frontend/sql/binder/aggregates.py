"""Aggregates, and what grouping demands of the expressions above it.

While a level is bound, each aggregate is entered in `Query.aggregates` and stands in its expression as the column that it
becomes. When everything is bound, `Grouping` replaces what equals a GROUP BY expression by that key's column and refuses
what is neither a key, nor inside an aggregate, nor decided by a grouped primary key (42803).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from frontend.errors import SqlError
from frontend.functions.catalogue import Proc, aggregate_by_oid
from frontend.sql import logical, syntax
from frontend.sql.binder.calls import bind_filter, level_of, require_distinct_support
from frontend.sql.binder.clauses import check_aggregate
from frontend.sql.binder.coercion import coerce, common_type, to_common
from frontend.sql.binder.operations import signature
from frontend.sql.binder.scopes import TableSource
from frontend.sql.binder.sorting import bind_sort_items, make_sort_key
from frontend.sql.binder.statement import Query, reference
from frontend.sql.walk import rewrite, walk, walk_local

Node = TypeVar("Node")


def bind_aggregate(
    query: Query, node: syntax.FunctionCall, proc: Proc, arguments: Sequence[logical.Expression], result: int
) -> logical.Expression:
    """An ordinary aggregate call, entered at its level; the expression is the column it becomes."""
    order_by = bind_sort_items(query, node.order_by)
    if node.distinct:
        require_distinct_support(query, arguments)
        for key in order_by:
            if key.expression not in arguments:
                raise SqlError(
                    "42P10",
                    "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list",
                    position=key.expression.position or None,
                )
    call = logical.AggregateCall(
        proc_oid=proc.oid,
        signature=signature(proc.oid),
        arguments=tuple(arguments),
        type=result,
        distinct=node.distinct,
        filter=bind_filter(query, node),
        order_by=order_by,
        star=node.star,
    )
    return enter(query, call, node)


def bind_ordered_set(
    query: Query,
    node: syntax.FunctionCall,
    proc: Proc,
    direct: Sequence[logical.Expression],
    sorted_arguments: Sequence[logical.Expression],
    declared: Sequence[int],
    result: int,
) -> logical.Expression:
    """percentile_cont(…) WITHIN GROUP (ORDER BY …), rank(…) WITHIN GROUP (…)."""
    binding = query.binding
    facts = aggregate_by_oid(proc.oid)
    position = node.position or None
    if node.distinct or node.order_by or node.variadic:
        raise SqlError("42601", "cannot use DISTINCT or ORDER BY with WITHIN GROUP", position=position)
    count = len(direct)
    if facts.kind == "h":
        if len(sorted_arguments) != count:
            shown = ", ".join(binding.types.name(item.type) for item in (*direct, *sorted_arguments))
            raise SqlError(
                "42883",
                f"function {node.names[-1]}({shown}) does not exist",
                hint=f"To use the hypothetical-set aggregate {node.names[-1]}, the number of hypothetical direct "
                f"arguments (here {count}) must match the number of ordering columns (here {len(sorted_arguments)}).",
                position=position,
            )
        pairs = []
        for one, two in zip(direct, sorted_arguments, strict=True):
            target = common_type(binding, [two, one], "WITHIN GROUP")
            assert target is not None
            pairs.append(
                (to_common(binding, one, target, "WITHIN GROUP"), to_common(binding, two, target, "WITHIN GROUP"))
            )
        direct_values = [one for one, _ in pairs]
        sorted_values = [two for _, two in pairs]
    else:
        if count != facts.direct_argument_count:
            shown = ", ".join(binding.types.name(item.type) for item in (*direct, *sorted_arguments))
            raise SqlError(
                "42883",
                f"function {node.names[-1]}({shown}) does not exist",
                hint=f"There is an ordered-set aggregate {node.names[-1]}, but it requires "
                f"{facts.direct_argument_count} direct arguments, not {count}.",
                position=position,
            )
        direct_values = [coerce(binding, item, wanted, "i") for item, wanted in zip(direct, declared, strict=False)]
        sorted_values = [
            coerce(binding, item, wanted, "i") for item, wanted in zip(sorted_arguments, declared[count:], strict=True)
        ]
    keys = tuple(
        [make_sort_key(query, value, item) for value, item in zip(sorted_values, node.within_group, strict=True)]
    )
    call = logical.AggregateCall(
        proc_oid=proc.oid,
        signature=signature(proc.oid),
        arguments=tuple([key.expression for key in keys]),
        type=result,
        filter=bind_filter(query, node),
        order_by=keys,
        direct=tuple(direct_values),
        within_group=True,
    )
    return enter(query, call, node)


def enter(query: Query, call: logical.AggregateCall, node: syntax.FunctionCall) -> logical.Expression:
    """Put the aggregate at its level and give the column that stands for it; equal calls share one."""
    inner = (call.arguments, call.filter, call.order_by, call.direct)
    owner = level_of(query, inner)
    _check_nesting(owner, inner)
    check_aggregate(owner, node.position)
    for existing, column in owner.aggregates:
        if existing == call:
            return reference(column, node.position)
    column = owner.column(node.names[-1], call.type)
    owner.aggregates.append((call, column))
    owner.aggregate_position = owner.aggregate_position or node.position
    return reference(column, node.position)


def _check_nesting(owner: Query, inner: object) -> None:
    computed = {column.id for _, column in owner.aggregates} | {column.id for _, column, _ in owner.groupings}
    windowed = {column.id for window in owner.windows for _, column in window.calls}
    for item in walk(inner):
        if not isinstance(item, logical.ColumnRef):
            continue
        if item.id in computed:
            message = "aggregate function calls cannot be nested"
            raise SqlError("42803", message, position=item.position or None)
        if item.id in windowed:
            message = "aggregate function calls cannot contain window function calls"
            raise SqlError("42803", message, position=item.position or None)


class Grouping:
    """The keys of one grouped level, and the rewriting of expressions above them.

    Args:
        keys: the GROUP BY expressions without duplicates; `sets` are indices into them (None: plain GROUP BY).
    """

    def __init__(
        self, query: Query, keys: Sequence[logical.Expression], sets: tuple[tuple[int, ...], ...] | None
    ) -> None:
        self.query = query
        self.keys = list(keys)
        self.sets = sets
        self.columns = [query.new_column(_key_name(query, key), key) for key in keys]
        self._added: dict[int, logical.Column] = {}
        self._kept = {column.id for _, column in query.aggregates}
        self._kept.update(column.id for _, column, _ in query.groupings)
        self._kept.update(column.id for window in query.windows for _, column in window.calls)
        self._kept.update(column.id for _, column in query.set_returning)

    def keep_no_more(self, identifiers: Sequence[int]) -> None:
        """Columns that are made below the grouping after all, and so must be keys to be seen above it."""
        self._kept.difference_update(identifiers)

    def above(self, node: Node) -> Node:
        """An expression (or part or tuple of them) over the input, as one over the grouped rows."""
        by_key = {key: column for key, column in zip(self.keys, self.columns, strict=True) if _hashable(key)}

        def replacement(expression: logical.Expression) -> logical.Expression | None:
            if _hashable(expression):
                column = by_key.get(expression)
                if column is not None and not isinstance(expression, logical.Constant | logical.ParameterRef):
                    return reference(column, expression.position)
            if not isinstance(expression, logical.ColumnRef):
                return None
            if self.query.binding.owners.get(expression.id) is not self.query or expression.id in self._kept:
                return None
            dependent = self._dependent(expression)
            if dependent is not None:
                return reference(dependent, expression.position)
            if expression.id in self._outputs():
                return None
            raise self._ungrouped(expression, all(item is not expression for item in walk_local(node)))

        return rewrite(node, replacement)

    def _outputs(self) -> set[int]:
        return {column.id for column in (*self.columns, *self._added.values())}

    def _dependent(self, expression: logical.ColumnRef) -> logical.Column | None:
        """The extra key for a column of a table whose primary key is grouped by."""
        known = self._added.get(expression.id)
        if known is not None:
            return known
        source, attribute = self.query.binding.provenance.get(expression.id, (None, 0))
        if not isinstance(source, TableSource) or not source.table.row_key or source.query is not self.query:
            return None
        if not any(item.kind == "p" for item in source.table.constraints):
            return None
        shared = set(range(len(self.keys)))
        for members in self.sets or ():
            shared &= set(members)
        grouped = {self.keys[place].id for place in shared if isinstance(self.keys[place], logical.ColumnRef)}  # type: ignore[attr-defined]
        if any(source.use(number).id not in grouped for number in source.table.row_key):
            return None
        column = self.query.new_column(source.column_name(attribute), expression)
        self._added[expression.id] = column
        self.keys.append(replace(expression, position=0))
        self.columns.append(column)
        if self.sets is not None:
            place = len(self.keys) - 1
            self.sets = tuple([(*members, place) for members in self.sets])
        return column

    def _ungrouped(self, expression: logical.ColumnRef, in_subquery: bool) -> SqlError:
        source, attribute = self.query.binding.provenance.get(expression.id, (None, 0))
        name = "?" if source is None else f"{source.alias}.{source.column_name(attribute)}"
        if in_subquery:
            message = f'subquery uses ungrouped column "{name}" from outer query'
            return SqlError("42803", message, position=expression.position or None)
        return SqlError(
            "42803",
            f'column "{name}" must appear in the GROUP BY clause or be used in an aggregate function',
            position=expression.position or None,
        )

    def groupings(self) -> tuple[tuple[int, ...], ...]:
        """For each GROUPING call, the indices of its arguments among the keys. 42803 where one is no key."""
        result = []
        for arguments, _, position in self.query.groupings:
            places = []
            for argument in arguments:
                if argument not in self.keys:
                    raise SqlError(
                        "42803",
                        "arguments to GROUPING must be grouping expressions of the associated query level",
                        position=argument.position or position or None,
                    )
                places.append(self.keys.index(argument))
            result.append(tuple(places))
        return tuple(result)

    def plan(self, source: logical.Plan) -> logical.Plan:
        """The Aggregate node; after every expression above went through `above`."""
        groupings = self.groupings()
        columns = [
            *self.columns,
            *[column for _, column in self.query.aggregates],
            *[column for _, column, _ in self.query.groupings],
        ]
        return logical.Aggregate(
            columns=tuple(columns),
            input=source,
            keys=tuple(self.keys),
            aggregates=tuple([call for call, _ in self.query.aggregates]),
            grouping_sets=self.sets,
            groupings=groupings,
        )


def _key_name(query: Query, key: logical.Expression) -> str:
    if isinstance(key, logical.ColumnRef):
        source, attribute = query.binding.provenance.get(key.id, (None, 0))
        if source is not None:
            return source.column_name(attribute)
    return "group_key"


def _hashable(expression: logical.Expression) -> bool:
    """Whether the expression can be looked up by value: constants of array types hold lists."""
    try:
        hash(expression)
    except TypeError:
        return False
    return True
