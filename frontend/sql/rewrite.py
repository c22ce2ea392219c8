"""Rewrites that never look at tables: constants folded, WITH queries and subqueries pulled in, filters pushed down.

    simplify      constant calls (immutable ones; errors stay where they would happen), AND/OR/NOT/CASE/COALESCE with constants,
                  x = 1 OR x = 2 → x IN (1, 2)
    inline        a WITH query used once and without side effects becomes part of its user
    pull up       WHERE EXISTS / IN (SELECT …) → semi join, NOT EXISTS → anti join, where the correlation is in its filters
    push down     conditions through projections, joins, unions, groups, sorts, to where they can be answered soonest;
                  an outer join whose NULL rows a condition refuses becomes an inner one

All are functions from plan to plan; column ids are kept, so that nothing above has to be renamed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from frontend.errors import SqlError
from frontend.functions import registry
from frontend.sql import logical, walk
from frontend.sql.access import conjunction, conjuncts
from frontend.sql.compiler.pipeline import produced, references
from frontend.types import oids

TRUE = logical.Constant(type=oids.BOOL, value=True)
FALSE = logical.Constant(type=oids.BOOL, value=False)


def rewrite(plan: logical.Plan) -> logical.Plan:
    """All rewrites, in order; subquery plans inside expressions included."""
    plan = _rewrite_subqueries(plan)
    plan = walk.rewrite_plans(plan, _simplify_node)
    plan = walk.rewrite_plans(plan, _inline_with)
    return push(plan, [])


def _rewrite_subqueries(plan: logical.Plan) -> logical.Plan:
    """Rewrites the plans that expressions hold."""

    def inner(expression: logical.Expression) -> logical.Expression | None:
        if not isinstance(expression, walk.SUBQUERIES):
            return None
        changes: dict[str, object] = {"plan": rewrite(expression.plan)}
        if isinstance(expression, logical.QuantifiedSubquery):
            changes["operands"] = walk.rewrite(expression.operands, inner)
        return replace(expression, **changes)  # type: ignore[arg-type]

    return walk.rewrite(plan, inner)


# ── expressions ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _simplify_node(plan: logical.Plan) -> logical.Plan:
    changes: dict[str, object] = {}
    for name in walk.child_fields(type(plan)):
        value = getattr(plan, name)
        if isinstance(value, logical.Plan) or (
            isinstance(value, tuple) and value and isinstance(value[0], logical.Plan | logical.CteDefinition)
        ):
            continue
        new = _simplify_tree(value)
        if new is not value:
            changes[name] = new
    return replace(plan, **changes) if changes else plan  # type: ignore[arg-type]


def _simplify_tree(node: object) -> object:
    """Bottom-up over one node's expressions, not into subquery plans."""
    if isinstance(node, tuple):
        items = [_simplify_tree(item) for item in node]
        return node if all(new is old for new, old in zip(items, node, strict=True)) else tuple(items)
    if isinstance(node, logical.Plan) or not isinstance(node, walk._WALKED):
        return node
    if isinstance(node, logical.Constant | logical.ColumnRef | logical.ParameterRef):
        return node
    changes: dict[str, object] = {}
    for name in walk.child_fields(type(node)):
        old = getattr(node, name)
        new = _simplify_tree(old)
        if new is not old:
            changes[name] = new
    if changes:
        node = replace(node, **changes)  # type: ignore[arg-type]
    return simplify(node) if isinstance(node, logical.Expression) else node


def simplify(expression: logical.Expression) -> logical.Expression:
    """One expression whose parts are simple already."""
    if isinstance(expression, logical.Call):
        return _fold(expression)
    if isinstance(expression, logical.BooleanOperation):
        return _simplify_boolean(expression)
    if isinstance(expression, logical.Not):
        operand = expression.operand
        if isinstance(operand, logical.Constant):
            return operand if operand.value is None else (FALSE if operand.value else TRUE)
        if isinstance(operand, logical.Not):
            return operand.operand
        if isinstance(operand, logical.NullTest) and not operand.row:
            return replace(operand, negated=not operand.negated)
        if isinstance(operand, logical.InList):
            return replace(operand, negated=not operand.negated)
        return expression
    if isinstance(expression, logical.Cast):
        return _fold_cast(expression)
    if isinstance(expression, logical.CaseExpression) and expression.operand is None:
        return _simplify_case(expression)
    return expression


def _fold(call: logical.Call) -> logical.Expression:
    if call.volatile != "i" or not all(isinstance(argument, logical.Constant) for argument in call.arguments):
        return call
    implementation = registry.SCALARS.get(call.signature)
    if implementation is None or implementation.context or implementation.blocking or call.variadic:
        return call
    values = [argument.value for argument in call.arguments if isinstance(argument, logical.Constant)]
    if call.strict and None in values:
        return _constant(call, None)
    keywords = (
        {"argument_types": tuple([argument.type for argument in call.arguments]), "result_type": call.type}
        if implementation.typed
        else {}
    )
    try:
        return _constant(call, implementation.call(*values, **keywords))
    except SqlError:
        return call  # raised when, and only if, it is evaluated


def _fold_cast(cast: logical.Cast) -> logical.Expression:
    operand = cast.operand
    if not isinstance(operand, logical.Constant):
        return cast
    if operand.value is None:
        return _constant(cast, None)
    try:
        implementation = cast.path.implementation
        if implementation.context or implementation.typed:
            return cast
        return _constant(cast, implementation.call(operand.value))
    except SqlError:
        return cast


def _constant(like: logical.Expression, value: object) -> logical.Constant:
    return logical.Constant(
        type=like.type, typmod=like.typmod, collation=like.collation, position=like.position, value=value
    )


def _simplify_boolean(expression: logical.BooleanOperation) -> logical.Expression:
    decisive = expression.operator == "or"
    parts: list[logical.Expression] = []
    for argument in expression.arguments:
        if isinstance(argument, logical.BooleanOperation) and argument.operator == expression.operator:
            inner = argument.arguments
        else:
            inner = (argument,)
        for part in inner:
            if isinstance(part, logical.Constant) and part.value is not None:
                if part.value is decisive:
                    return TRUE if decisive else FALSE
                continue
            if part not in parts or walk.is_volatile(part):
                parts.append(part)
    if not parts:
        return FALSE if decisive else TRUE
    if len(parts) == 1:
        return parts[0]
    if decisive:
        parts = _equalities_to_list(parts)
        if len(parts) == 1:
            return parts[0]
    return replace(expression, arguments=tuple(parts))


def _equalities_to_list(parts: list[logical.Expression]) -> list[logical.Expression]:
    """x = 1 OR x = $2 → x IN (1, $2), where all are the same operator on the same operand."""
    groups: dict[tuple[int, logical.Expression], list[logical.Call]] = {}
    for part in parts:
        if (
            isinstance(part, logical.Call)
            and part.operator == "="
            and len(part.arguments) == 2
            and isinstance(part.arguments[1], logical.Constant | logical.ParameterRef)
            and not isinstance(part.arguments[0], logical.Constant | logical.ParameterRef)
            and not walk.is_volatile(part.arguments[0])
        ):
            groups.setdefault((part.proc_oid, part.arguments[0]), []).append(part)
    result: list[logical.Expression] = []
    merged: set[int] = set()
    for part in parts:
        if id(part) in merged:
            continue
        group = (
            groups.get((part.proc_oid, part.arguments[0]))
            if isinstance(part, logical.Call) and part.arguments
            else None
        )
        if not group or len(group) < 2 or not any(item is part for item in group):
            result.append(part)
            continue
        merged.update([id(item) for item in group])
        first = group[0]
        left, right = first.arguments
        comparison = replace(
            first,
            arguments=(
                logical.CaseValue(type=left.type, typmod=left.typmod, collation=left.collation, slot=0),
                logical.CaseValue(type=right.type, slot=1),
            ),
        )
        result.append(
            logical.InList(
                type=oids.BOOL,
                operand=left,
                items=tuple([item.arguments[1] for item in group]),
                comparison=comparison,
                negated=False,
            )
        )
    return result


def _simplify_case(case: logical.CaseExpression) -> logical.Expression:
    branches: list[tuple[logical.Expression, logical.Expression]] = []
    otherwise = case.otherwise
    for condition, result in case.branches:
        if isinstance(condition, logical.Constant):
            if condition.value is not True:
                continue
            otherwise = result
            break
        branches.append((condition, result))
    if not branches:
        return otherwise
    if len(branches) == len(case.branches) and otherwise is case.otherwise:
        return case
    return replace(case, branches=tuple(branches), otherwise=otherwise)


# ── WITH ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _inline_with(plan: logical.Plan) -> logical.Plan:
    if not isinstance(plan, logical.With):
        return plan
    kept: list[logical.CteDefinition] = []
    body = plan.body
    ctes = list(plan.ctes)
    while ctes:
        cte = ctes.pop(0)
        uses = [
            item for item in walk.walk((tuple(ctes), body)) if isinstance(item, logical.CteScan) and item.cte == cte.id
        ]
        simple = (
            cte.recursive_step is None and not cte.modifies and not walk.is_volatile(cte.plan) and not _locks(cte.plan)
        )
        if not uses and simple:
            continue
        wanted = cte.materialized is False or (cte.materialized is None and len(uses) == 1)
        if not (simple and wanted and len(uses) == 1):
            kept.append(cte)
            continue
        definition = cte

        def inlined(node: logical.Plan, cte: logical.CteDefinition = definition) -> logical.Plan:
            if not isinstance(node, logical.CteScan) or node.cte != cte.id:
                return node
            expressions = tuple(
                [
                    logical.ColumnRef(
                        type=column.type,
                        typmod=column.typmod,
                        collation=column.collation,
                        id=cte.plan.columns[position].id,
                    )
                    for column, position in zip(node.columns, node.positions, strict=True)
                ]
            )
            return logical.Project(columns=node.columns, input=cte.plan, expressions=expressions)

        body = _everywhere(body, inlined)
        ctes = [
            replace(
                other,
                plan=_everywhere(other.plan, inlined),
                recursive_step=None if other.recursive_step is None else _everywhere(other.recursive_step, inlined),
            )
            for other in ctes
        ]
    if not kept:
        return body
    return replace(plan, ctes=tuple(kept), body=body)


def _locks(plan: logical.Plan) -> bool:
    return any(isinstance(item, logical.LockRows) for item in walk.walk(plan))


def _everywhere(plan: logical.Plan, function: object) -> logical.Plan:
    """rewrite_plans, in subqueries of expressions too."""

    def inner(expression: logical.Expression) -> logical.Expression | None:
        if isinstance(expression, walk.SUBQUERIES):
            changes: dict[str, object] = {"plan": _everywhere(expression.plan, function)}
            if isinstance(expression, logical.QuantifiedSubquery):
                changes["operands"] = walk.rewrite(expression.operands, inner)
            return replace(expression, **changes)  # type: ignore[arg-type]
        return None

    return walk.rewrite_plans(walk.rewrite(plan, inner), function)  # type: ignore[arg-type]


# ── pushing down ────────────────────────────────────────────────────────────────────────────────────────────────────


def filtered(plan: logical.Plan, conditions: Sequence[logical.Expression]) -> logical.Plan:
    """The plan under these conditions."""
    condition = conjunction(list(conditions))
    if condition is None:
        return plan
    return logical.Filter(columns=plan.columns, input=plan, condition=condition)


def _movable(condition: logical.Expression) -> bool:
    return not walk.is_volatile(condition)


def push(plan: logical.Plan, conditions: list[logical.Expression]) -> logical.Plan:
    """The plan under `conditions` (a conjunction over its columns and outer ones), each as deep as it may go."""
    if isinstance(plan, logical.Filter):
        return _push_filter(plan, conditions)
    if isinstance(plan, logical.Project):
        return _push_project(plan, conditions)
    if isinstance(plan, logical.Join):
        return _push_join(plan, conditions)
    if isinstance(plan, logical.SetOperation):
        return _push_set_operation(plan, conditions)
    if isinstance(plan, logical.Aggregate):
        return _push_aggregate(plan, conditions)
    if isinstance(plan, logical.Sort):
        down, above = _split(conditions, _movable)
        return filtered(replace(plan, input=push(plan.input, down)), above)
    if isinstance(plan, logical.Distinct):
        down, above = _split(conditions, lambda item: _movable(item) and plan.on is None)
        return filtered(replace(plan, input=push(plan.input, down)), above)
    if isinstance(plan, logical.Window):
        keys = {item.id for item in plan.partition_by if isinstance(item, logical.ColumnRef)}
        mine = produced(plan)
        down, above = _split(
            conditions, lambda item: _movable(item) and references(item) & mine <= keys and not _has_subquery(item)
        )
        return filtered(replace(plan, input=push(plan.input, down)), above)
    if isinstance(plan, logical.With):
        ctes = tuple(
            [
                replace(
                    cte,
                    plan=push(cte.plan, []),
                    recursive_step=None if cte.recursive_step is None else push(cte.recursive_step, []),
                )
                for cte in plan.ctes
            ]
        )
        return replace(plan, ctes=ctes, body=push(plan.body, conditions))
    changes: dict[str, logical.Plan] = {}
    for name in walk.child_fields(type(plan)):
        value = getattr(plan, name)
        if isinstance(value, logical.Plan):
            changes[name] = push(value, [])
    return filtered(replace(plan, **changes) if changes else plan, conditions)  # type: ignore[arg-type]


def _split(
    conditions: Sequence[logical.Expression], test: object
) -> tuple[list[logical.Expression], list[logical.Expression]]:
    yes: list[logical.Expression] = []
    no: list[logical.Expression] = []
    for condition in conditions:
        (yes if test(condition) else no).append(condition)  # type: ignore[operator]
    return yes, no


def _has_subquery(node: object) -> bool:
    return any(isinstance(item, walk.SUBQUERIES) for item in walk.walk(node))


def _push_filter(plan: logical.Filter, conditions: list[logical.Expression]) -> logical.Plan:
    mine = conjuncts(plan.condition)
    if any(not _movable(part) for part in mine):
        return filtered(replace(plan, input=push(plan.input, [])), conditions)
    plain: list[logical.Expression] = []
    source = plan.input
    for part in mine:
        joined = _pull_up(source, part)
        if joined is None:
            plain.append(part)
        else:
            source = joined
    return push(source, [*plain, *conditions])


def _push_project(plan: logical.Project, conditions: list[logical.Expression]) -> logical.Plan:
    replacements = {column.id: expression for column, expression in zip(plan.columns, plan.expressions, strict=True)}
    down: list[logical.Expression] = []
    above: list[logical.Expression] = []
    for condition in conditions:
        used = [replacements[identity] for identity in references(condition) if identity in replacements]
        if not _movable(condition) or any(walk.is_volatile(item) or _has_subquery(item) for item in used):
            above.append(condition)
        else:
            down.append(_simplified(walk.substitute(condition, replacements)))
    return filtered(replace(plan, input=push(plan.input, down)), above)


def _simplified(expression: logical.Expression) -> logical.Expression:
    result = _simplify_tree(expression)
    assert isinstance(result, logical.Expression)
    return result


def _rejects_null(condition: logical.Expression, ids: frozenset[int]) -> bool:
    """Whether the condition cannot be TRUE where all these columns are NULL."""
    if isinstance(condition, logical.Call):
        return condition.strict and any(_is_null_with(argument, ids) for argument in condition.arguments)
    if isinstance(condition, logical.NullTest):
        return condition.negated and not condition.row and _is_null_with(condition.operand, ids)
    if isinstance(condition, logical.InList):
        return _is_null_with(condition.operand, ids)
    if isinstance(condition, logical.Quantified):
        return _is_null_with(condition.operand, ids)
    if isinstance(condition, logical.ColumnRef):
        return condition.id in ids
    if isinstance(condition, logical.BooleanOperation):
        tests = [_rejects_null(argument, ids) for argument in condition.arguments]
        return any(tests) if condition.operator == "and" else all(tests)
    return False


def _is_null_with(expression: logical.Expression, ids: frozenset[int]) -> bool:
    """Whether the expression is NULL where these columns are."""
    if isinstance(expression, logical.ColumnRef):
        return expression.id in ids
    if isinstance(expression, logical.Call):
        return expression.strict and any(_is_null_with(argument, ids) for argument in expression.arguments)
    if isinstance(expression, logical.Cast):
        return _is_null_with(expression.operand, ids)
    return False


def _push_join(plan: logical.Join, conditions: list[logical.Expression]) -> logical.Plan:
    left_ids, right_ids = produced(plan.left), produced(plan.right)
    kind = plan.kind
    if kind in ("left", "full") and any(_rejects_null(item, right_ids) for item in conditions):
        kind = "inner" if kind == "left" else "right"
    if kind in ("right", "full") and any(_rejects_null(item, left_ids) for item in conditions):
        kind = "inner" if kind == "right" else "left"
    plan = replace(plan, kind=kind)
    own = conjuncts(plan.condition)
    to_left: list[logical.Expression] = []
    to_right: list[logical.Expression] = []
    stay: list[logical.Expression] = []
    above: list[logical.Expression] = []
    left_open = kind in ("inner", "left", "semi", "anti")
    right_open = kind in ("inner", "right")
    for condition in conditions:
        used = references(condition)
        if not _movable(condition):
            above.append(condition)
        elif left_open and not used & right_ids:
            to_left.append(condition)
        elif right_open and not used & left_ids and not plan.lateral:
            to_right.append(condition)
        elif kind == "inner":
            stay.append(condition)
        else:
            above.append(condition)
    for condition in own:
        used = references(condition)
        if not _movable(condition) or _has_subquery(condition):
            stay.append(condition)
        elif kind in ("inner", "right", "semi") and not used & right_ids:
            to_left.append(condition)
        elif kind in ("inner", "left", "semi", "anti") and not used & left_ids and used & right_ids:
            to_right.append(condition)
        else:
            stay.append(condition)
    left = push(plan.left, to_left)
    right = push(plan.right, to_right)
    return filtered(replace(plan, left=left, right=right, condition=conjunction(stay)), above)


def _push_set_operation(plan: logical.SetOperation, conditions: list[logical.Expression]) -> logical.Plan:
    down, above = _split(conditions, lambda item: _movable(item) and not _has_subquery(item))

    def side(source: logical.Plan) -> logical.Plan:
        replacements: dict[int, logical.Expression] = {
            column.id: logical.ColumnRef(type=inner.type, typmod=inner.typmod, collation=inner.collation, id=inner.id)
            for column, inner in zip(plan.columns, source.columns, strict=True)
        }
        return push(source, [walk.substitute(condition, replacements) for condition in down])

    return filtered(replace(plan, left=side(plan.left), right=side(plan.right)), above)


def _push_aggregate(plan: logical.Aggregate, conditions: list[logical.Expression]) -> logical.Plan:
    if plan.grouping_sets is not None or not plan.keys:
        return filtered(replace(plan, input=push(plan.input, [])), conditions)
    replacements = {column.id: key for column, key in zip(plan.columns, plan.keys, strict=False)}
    mine = produced(plan)
    down: list[logical.Expression] = []
    above: list[logical.Expression] = []
    for condition in conditions:
        used = references(condition) & mine
        keys = [replacements.get(identity) for identity in used]
        if (
            _movable(condition)
            and not _has_subquery(condition)
            and all(key is not None and not walk.is_volatile(key) and not _has_subquery(key) for key in keys)
        ):
            down.append(walk.substitute(condition, replacements))
        else:
            above.append(condition)
    return filtered(replace(plan, input=push(plan.input, down)), above)


# ── pulling up ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _pull_up(source: logical.Plan, condition: logical.Expression) -> logical.Plan | None:
    """A join of `source` that has the rows for which a subquery condition is TRUE; None where it stays an expression."""
    if isinstance(condition, logical.Exists):
        return _exists_join(source, condition, "semi")
    if isinstance(condition, logical.Not) and isinstance(condition.operand, logical.Exists):
        return _exists_join(source, condition.operand, "anti")
    if isinstance(condition, logical.QuantifiedSubquery) and not condition.all:
        return _in_join(source, condition)
    return None


def _exists_join(source: logical.Plan, exists: logical.Exists, kind: str) -> logical.Plan | None:
    opened = _opened(source, exists.plan, ())
    if opened is None:
        return None
    right, conditions = opened
    if not conditions and not walk.is_volatile(right):
        return None  # not correlated: once as an expression is best
    return logical.Join(
        columns=source.columns,
        kind=kind,  # type: ignore[arg-type]
        left=source,
        right=right,
        condition=conjunction(conditions),
    )


def _in_join(source: logical.Plan, quantified: logical.QuantifiedSubquery) -> logical.Plan | None:
    if _has_subquery(quantified.operands) or walk.is_volatile(quantified.operands):
        return None
    wanted = tuple(
        [
            logical.ColumnRef(type=column.type, typmod=column.typmod, collation=column.collation, id=column.id)
            for column in quantified.plan.columns
        ]
    )
    opened = _opened(source, quantified.plan, wanted)
    if opened is None:
        return None
    right, conditions = opened
    width = len(wanted)

    def filled(expression: logical.Expression) -> logical.Expression | None:
        if isinstance(expression, logical.CaseValue):
            slot = expression.slot
            return quantified.operands[slot] if slot < width else wanted[slot - width]
        return None

    comparison = walk.rewrite(quantified.comparison, filled)
    return logical.Join(
        columns=source.columns,
        kind="semi",
        left=source,
        right=right,
        condition=conjunction([*conjuncts(comparison), *conditions]),
    )


def _opened(
    source: logical.Plan, plan: logical.Plan, wanted: Sequence[logical.ColumnRef]
) -> tuple[logical.Plan, list[logical.Expression]] | None:
    """(the subquery without its correlated filters, those filters); None where outer columns are used elsewhere in it.

    A projection is widened by the columns that the filters need. What lies above a filter must not depend on how many rows
    pass it, so only projections are opened.
    """
    outer = produced(source)
    if not references(plan) & outer:
        return plan, []
    if isinstance(plan, logical.Project):
        inner = _opened(source, plan.input, ())
        if inner is None or references(plan.expressions) & outer or walk.is_volatile(plan.expressions):
            return None
        right, conditions = inner
        if not wanted:
            return right, conditions
        have = produced(plan)
        extra = [
            column for column in right.columns if column.id in references(tuple(conditions)) and column.id not in have
        ]
        passing = tuple(
            [
                logical.ColumnRef(type=column.type, typmod=column.typmod, collation=column.collation, id=column.id)
                for column in extra
            ]
        )
        return (
            replace(
                plan,
                columns=(*plan.columns, *extra),
                input=right,
                expressions=(*plan.expressions, *passing),
            ),
            conditions,
        )
    if isinstance(plan, logical.Filter):
        down, correlated = _split(conjuncts(plan.condition), lambda item: not references(item) & outer)
        if any(_has_subquery(item) or walk.is_volatile(item) for item in correlated):
            return None
        inner = _opened(source, plan.input, ())
        if inner is None:
            return None
        right, conditions = inner
        return filtered(right, down), [*correlated, *conditions]
    if isinstance(plan, logical.Join) and plan.kind == "inner" and not plan.lateral:
        left, right_side = _opened(source, plan.left, ()), _opened(source, plan.right, ())
        if left is None or right_side is None:
            return None
        own, correlated = _split(conjuncts(plan.condition), lambda item: not references(item) & outer)
        joined = replace(plan, left=left[0], right=right_side[0], condition=conjunction(own))
        joined = replace(joined, columns=(*left[0].columns, *right_side[0].columns))
        return joined, [*correlated, *left[1], *right_side[1]]
    return None
