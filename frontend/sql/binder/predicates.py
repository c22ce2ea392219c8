"""Predicates: IS tests, BETWEEN, IN, LIKE, ANY and ALL, and comparisons of rows.

Each becomes what PostgreSQL's grammar and parse_expr.c make of it: BETWEEN is two comparisons, a row is compared field by
field, IN over constants is one membership test with a common type, IN over a single item or over columns is equality.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

from frontend.errors import SqlError, unsupported
from frontend.sql import logical, syntax
from frontend.sql.binder.calls import call_resolved
from frontend.sql.binder.clauses import check_subquery
from frontend.sql.binder.coercion import coerce, common_type, to_boolean, to_common
from frontend.sql.binder.expressions import bind, bind_elements, binds
from frontend.sql.binder.operations import (
    apply_operator,
    comparison_between,
    leftmost,
    make_operator,
    over_placeholders,
)
from frontend.sql.binder.resolution import resolve_operator
from frontend.sql.binder.statement import Query
from frontend.sql.walk import walk_local
from frontend.types import oids


@binds(syntax.IsTest)
def bind_is(query: Query, node: syntax.IsTest) -> logical.Expression:
    """IS NULL, IS TRUE, IS DISTINCT FROM and their negations."""
    if node.kind == "distinct":
        assert node.other is not None
        return _bind_distinct(query, node, node.other)
    operand = bind(query, node.operand)
    position = leftmost(node.position, [operand])
    if node.kind == "null":
        return logical.NullTest(
            type=oids.BOOL,
            operand=operand,
            negated=node.negated,
            row=query.binding.types.is_row(operand.type),
            position=position,
        )
    construct = f"IS {'NOT ' if node.negated else ''}{node.kind.upper()}"
    condition = to_boolean(query.binding, operand, construct)
    return logical.BooleanTest(
        type=oids.BOOL, operand=condition, test=node.kind, negated=node.negated, position=position
    )


def _bind_distinct(query: Query, node: syntax.IsTest, other: syntax.Expression) -> logical.Expression:
    if isinstance(node.operand, syntax.Row) and isinstance(other, syntax.Row):
        left, right = bind_elements(query, node.operand.elements), bind_elements(query, other.elements)
        if len(left) != len(right):
            raise SqlError("42601", "unequal number of entries in row expressions", position=node.position or None)
        parts = [
            make_distinct(query, one, two, node.position, negated=False) for one, two in zip(left, right, strict=True)
        ]
        if not parts:
            return logical.Constant(type=oids.BOOL, value=node.negated, position=node.position)
        result = _combine("or", parts, node.position)
        return logical.Not(type=oids.BOOL, operand=result, position=node.position) if node.negated else result
    left_value, right_value = bind(query, node.operand), bind(query, other)
    return make_distinct(query, left_value, right_value, node.position, node.negated)


def make_distinct(
    query: Query, left: logical.Expression, right: logical.Expression, position: int, negated: bool
) -> logical.Expression:
    """left IS [NOT] DISTINCT FROM right; against a bare NULL it is a NULL test."""
    for value, tested in ((right, left), (left, right)):
        if isinstance(value, logical.Constant) and value.value is None and value.type == oids.UNKNOWN:
            return logical.NullTest(type=oids.BOOL, operand=tested, negated=not negated, position=position)
    left, right, equality = comparison_between(query.binding, "=", left, right, position)
    if equality.type != oids.BOOL:
        raise SqlError("42804", "IS DISTINCT FROM requires = operator to yield boolean", position=position or None)
    return logical.DistinctTest(
        type=oids.BOOL,
        left=left,
        right=right,
        equality=equality,
        negated=negated,
        position=leftmost(position, [left, right]),
    )


@binds(syntax.JsonTest)
def bind_is_json(query: Query, node: syntax.JsonTest) -> logical.Expression:
    """IS JSON has no pg_proc entry to stand for it."""
    raise unsupported("IS JSON", position=node.position or None)


@binds(syntax.Between)
def bind_between(query: Query, node: syntax.Between) -> logical.Expression:
    """BETWEEN: the operand is bound once for each comparison, as PostgreSQL copies it."""

    def compare(name: str, bound: syntax.Expression) -> logical.Expression:
        comparison = syntax.Operator(name=name, left=node.operand, right=bound, position=node.position)
        return to_boolean(query.binding, bind(query, comparison), "BETWEEN")

    def one_way(low: syntax.Expression, high: syntax.Expression) -> logical.Expression:
        if node.negated:
            return _combine("or", [compare("<", low), compare(">", high)], node.position)
        return _combine("and", [compare(">=", low), compare("<=", high)], node.position)

    straight = one_way(node.low, node.high)
    if not node.symmetric:
        return straight
    swapped = one_way(node.high, node.low)
    return _combine("and" if node.negated else "or", [straight, swapped], node.position)


def _combine(operator: Literal["and", "or"], parts: Sequence[logical.Expression], position: int) -> logical.Expression:
    if len(parts) == 1:
        return parts[0]
    return logical.BooleanOperation(
        type=oids.BOOL, operator=operator, arguments=tuple(parts), position=leftmost(position, parts)
    )


@binds(syntax.Like)
def bind_like(query: Query, node: syntax.Like) -> logical.Expression:
    """LIKE, ILIKE and SIMILAR TO as operators over a pattern that an ESCAPE has been worked into."""
    operand, pattern = bind(query, node.operand), bind(query, node.pattern)
    escape = [] if node.escape is None else [bind(query, node.escape)]
    if node.kind == "similar" or escape:
        name = "similar_to_escape" if node.kind == "similar" else "like_escape"
        pattern = call_resolved(query, ["pg_catalog", name], [pattern, *escape], node.position)
    return make_operator(query.binding, node.operator, operand, pattern, node.position)


# ── IN, ANY, ALL ────────────────────────────────────────────────────────────────────────────────────────────────────


@binds(syntax.In)
def bind_in(query: Query, node: syntax.In) -> logical.Expression:
    """[NOT] IN a list or a query."""
    if node.query is not None:
        result = _quantified_query(query, "=", node.operand, node.query, False, node.position)
        if node.negated:
            return logical.Not(type=oids.BOOL, operand=result, position=result.position)
        return result
    if isinstance(node.operand, syntax.Row):
        left = bind_elements(query, node.operand.elements)
        parts: list[logical.Expression] = []
        for item in node.items:
            if not isinstance(item, syntax.Row):
                parts.append(
                    make_operator(
                        query.binding,
                        "<>" if node.negated else "=",
                        bind(query, node.operand),
                        bind(query, item),
                        node.position,
                    )
                )
                continue
            right = bind_elements(query, item.elements)
            parts.append(compare_rows(query, "<>" if node.negated else "=", left, right, node.position))
        return _combine("and" if node.negated else "or", parts, node.position)
    return _bind_in_list(query, node)


def _bind_in_list(query: Query, node: syntax.In) -> logical.Expression:
    binding = query.binding
    operand = bind(query, node.operand)
    values = [bind(query, item) for item in node.items]
    plain = [value for value in values if not _has_columns(query, value)]
    parts: list[logical.Expression] = []
    remaining = values
    if len(plain) > 1:
        target = common_type(binding, [operand, *plain], None)
        if target is not None and target != oids.RECORD and binding.types.array(target):
            items = [to_common(binding, value, target, "IN") for value in plain]
            resolved = resolve_operator(binding, "=", operand.type, target, node.position)
            parts.append(
                logical.InList(
                    type=oids.BOOL,
                    operand=coerce(binding, operand, resolved.arguments[0], "i"),
                    items=tuple([coerce(binding, item, resolved.arguments[1], "i") for item in items]),
                    comparison=over_placeholders(binding, resolved, (0, 1), node.position),
                    negated=node.negated,
                    position=leftmost(node.position, [operand]),
                )
            )
            known = {id(value) for value in plain}
            remaining = [value for value in values if id(value) not in known]
    for value in remaining:
        compared = make_operator(binding, "<>" if node.negated else "=", operand, value, node.position)
        parts.append(to_boolean(binding, compared, "IN"))
    return _combine("and" if node.negated else "or", parts, node.position)


def _has_columns(query: Query, value: logical.Expression) -> bool:
    owners = query.binding.owners
    return any(isinstance(item, logical.ColumnRef) and owners.get(item.id) is query for item in walk_local(value))


@binds(syntax.Quantified)
def bind_quantified(query: Query, node: syntax.Quantified) -> logical.Expression:
    """left op ANY|ALL (array) or (query)."""
    every = node.kind == "all"
    if node.query is not None:
        return _quantified_query(query, node.name, node.left, node.query, every, node.position, node.schema)
    assert node.array is not None
    binding = query.binding
    left, array = bind(query, node.left), bind(query, node.array)
    element = oids.UNKNOWN
    if array.type != oids.UNKNOWN:
        element = binding.types.element(array.type)
        if not element:
            raise SqlError("42809", "op ANY/ALL (array) requires array on right side", position=node.position or None)
    resolved = resolve_operator(binding, node.name, left.type, element, node.position, node.schema)
    if resolved.result != oids.BOOL:
        raise SqlError("42809", "op ANY/ALL (array) requires operator to yield boolean", position=node.position or None)
    wanted = binding.types.array(resolved.arguments[1])
    if not wanted:
        raise SqlError(
            "42704",
            f"could not find array type for data type {binding.types.name(resolved.arguments[1])}",
            position=node.position or None,
        )
    return logical.Quantified(
        type=oids.BOOL,
        operand=coerce(binding, left, resolved.arguments[0], "i"),
        array=coerce(binding, array, wanted, "i"),
        comparison=over_placeholders(binding, resolved, (0, 1), node.position),
        all=every,
        position=leftmost(node.position, [left]),
    )


def _quantified_query(
    query: Query,
    operator: str,
    left: syntax.Expression,
    inner: syntax.Select,
    every: bool,
    position: int,
    schema: str | None = None,
) -> logical.Expression:
    from frontend.sql.binder.queries import bind_inner_query

    check_subquery(query, position)
    binding = query.binding
    operands = bind_elements(query, left.elements) if isinstance(left, syntax.Row) else [bind(query, left)]
    plan, outer = bind_inner_query(query, inner)
    if len(plan.columns) != len(operands):
        fewer = "few" if len(plan.columns) < len(operands) else "many"
        raise SqlError("42601", f"subquery has too {fewer} columns", position=position or None)
    count = len(operands)
    converted: list[logical.Expression] = []
    lefts: list[logical.Expression] = []
    rights: list[logical.Expression] = []
    for place, (operand, column) in enumerate(zip(operands, plan.columns, strict=True)):
        resolved = resolve_operator(binding, operator, operand.type, column.type, position, schema)
        if resolved.result != oids.BOOL:
            raise SqlError(
                "42804",
                f"row comparison operator must yield type boolean, not type {binding.types.name(resolved.result)}",
                position=position or None,
            )
        value = coerce(binding, operand, resolved.arguments[0], "i")
        converted.append(value)
        lefts.append(logical.CaseValue(type=value.type, typmod=value.typmod, slot=place))
        rights.append(logical.CaseValue(type=column.type, typmod=column.typmod, slot=count + place))
    comparison = compare_rows(query, operator, lefts, rights, position, schema)
    return logical.QuantifiedSubquery(
        type=oids.BOOL,
        operands=tuple(converted),
        plan=plan,
        outer=outer,
        comparison=comparison,
        all=every,
        position=leftmost(position, operands),
    )


# ── rows ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def bind_row_operator(query: Query, node: syntax.Operator) -> logical.Expression:
    """ROW(…) op ROW(…), ROW(…) op (SELECT …), or ROW(…) op any record."""
    assert isinstance(node.left, syntax.Row)
    if isinstance(node.right, syntax.Row):
        left = bind_elements(query, node.left.elements)
        right = bind_elements(query, node.right.elements)
        return compare_rows(query, node.name, left, right, node.position, node.schema)
    if isinstance(node.right, syntax.SubqueryExpression) and node.right.kind == "scalar":
        return _compare_row_with_query(query, node, node.left, node.right)
    left_value, right_value = bind(query, node.left), bind(query, node.right)
    return make_operator(query.binding, node.name, left_value, right_value, node.position, node.schema)


def _compare_row_with_query(
    query: Query, node: syntax.Operator, row: syntax.Row, subquery: syntax.SubqueryExpression
) -> logical.Expression:
    """The query's one row is made a record, looked at once (CASE's operand), and compared field by field."""
    from frontend.sql.binder.queries import bind_inner_query

    check_subquery(query, subquery.position)
    left = bind_elements(query, row.elements)
    plan, outer = bind_inner_query(query, subquery.query)
    if len(plan.columns) != len(left):
        fewer = "few" if len(plan.columns) < len(left) else "many"
        raise SqlError("42601", f"subquery has too {fewer} columns", position=node.position or None)
    record = logical.RowConstructor(
        type=oids.RECORD,
        fields=tuple(
            [logical.ColumnRef(type=column.type, typmod=column.typmod, id=column.id) for column in plan.columns]
        ),
        names=tuple([column.name for column in plan.columns]),
    )
    column = query.column("row", oids.RECORD)
    whole = logical.Project(columns=(column,), input=plan, expressions=(record,))
    placeholder = logical.CaseValue(type=oids.RECORD)
    fields: list[logical.Expression] = [
        logical.FieldSelect(type=item.type, typmod=item.typmod, operand=placeholder, index=place)
        for place, item in enumerate(plan.columns)
    ]
    compared = compare_rows(query, node.name, left, fields, node.position, node.schema)
    return logical.CaseExpression(
        type=oids.BOOL,
        operand=logical.ScalarSubquery(type=oids.RECORD, plan=whole, outer=outer, position=subquery.position),
        branches=((logical.Constant(type=oids.BOOL, value=True), compared),),
        otherwise=logical.Constant(type=oids.BOOL, value=None),
        position=node.position,
    )


def compare_rows(
    query: Query,
    operator: str,
    left: Sequence[logical.Expression],
    right: Sequence[logical.Expression],
    position: int,
    schema: str | None = None,
) -> logical.Expression:
    """Two lists of fields compared: = is AND of the parts, <> is OR, an ordering is lexicographic."""
    binding = query.binding
    if len(left) != len(right):
        raise SqlError("42601", "unequal number of entries in row expressions", position=position or None)
    if not left:
        raise SqlError("0A000", "cannot compare rows of zero length", position=position or None)
    if len(left) == 1:
        return make_operator(binding, operator, left[0], right[0], position, schema)
    resolved = [
        resolve_operator(binding, operator, one.type, two.type, position, schema)
        for one, two in zip(left, right, strict=True)
    ]
    for item in resolved:
        if item.result != oids.BOOL:
            raise SqlError(
                "42804",
                f"row comparison operator must yield type boolean, not type {binding.types.name(item.result)}",
                position=position or None,
            )
    if operator in ("=", "<>"):
        parts = [
            apply_operator(binding, item, [one, two], position)
            for item, one, two in zip(resolved, left, right, strict=True)
        ]
        return _combine("and" if operator == "=" else "or", parts, position)
    if operator not in ("<", "<=", ">", ">="):
        raise SqlError(
            "0A000",
            f"could not determine interpretation of row comparison operator {operator}",
            hint="Row comparison operators must be associated with btree operator families.",
            position=position or None,
        )
    lefts = [coerce(binding, one, item.arguments[0], "i") for one, item in zip(left, resolved, strict=True)]
    rights = [coerce(binding, two, item.arguments[1], "i") for two, item in zip(right, resolved, strict=True)]
    pairs = []
    for one, two in zip(lefts, rights, strict=True):
        less = resolve_operator(binding, "<", one.type, two.type, position)
        equal = resolve_operator(binding, "=", one.type, two.type, position)
        pairs.append(
            (over_placeholders(binding, less, (0, 1), position), over_placeholders(binding, equal, (0, 1), position))
        )
    return logical.RowComparison(
        type=oids.BOOL,
        operator=cast(Literal["<", "<=", ">", ">="], operator),
        left=tuple(lefts),
        right=tuple(rights),
        parts=tuple(pairs),
        position=leftmost(position, [*left, *right]),
    )
