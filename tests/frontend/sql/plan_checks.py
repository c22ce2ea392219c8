"""Whether a bound plan is well formed: every column reference can be computed where it stands.

This is the contract between binder, planner and compiler (`logical.py`), checked node by node; the tests of all three may
use it after any rewriting.
"""

from __future__ import annotations

from frontend.sql import logical
from frontend.sql.walk import SUBQUERIES, walk_local

PASSING = (logical.Filter, logical.Sort, logical.Distinct, logical.Limit, logical.LockRows)


def check_statement(bound: logical.BoundStatement) -> None:
    """Raise AssertionError where the statement's plan refers to something that is not there."""
    check_plan(bound.plan, frozenset())
    assert bound.columns == bound.plan.columns


def _ids(columns: tuple[logical.Column, ...]) -> frozenset[int]:
    return frozenset(column.id for column in columns)


def check_expressions(node: object, available: frozenset[int]) -> None:
    """The expressions in a tuple, part or expression use these columns only; their subqueries are checked inside."""
    for item in walk_local(node):
        if isinstance(item, logical.ColumnRef):
            assert item.id in available, f"column {item.id} is not available: {item}"
        if isinstance(item, SUBQUERIES):
            check_plan(item.plan, available)
            assert item.outer <= available, f"outer {item.outer - available}"


def check_plan(plan: logical.Plan, outer: frozenset[int]) -> None:
    """Every node of the plan, given the columns of the queries around it."""
    if isinstance(plan, logical.Scan):
        assert len(plan.columns) == len(plan.attributes)
    elif isinstance(plan, logical.VirtualScan | logical.CteScan):
        assert len(plan.columns) == len(plan.positions)
    elif isinstance(plan, logical.FunctionScan):
        check_expressions(plan.calls, outer)
    elif isinstance(plan, logical.Values):
        check_expressions(plan.rows, outer)
        assert all(len(row) == len(plan.columns) for row in plan.rows)
        assert all(
            value.type == column.type for row in plan.rows for value, column in zip(row, plan.columns, strict=True)
        )
    elif isinstance(plan, logical.Join):
        check_plan(plan.left, outer)
        check_plan(plan.right, outer | _ids(plan.left.columns) if plan.lateral else outer)
        both = _ids(plan.left.columns) | _ids(plan.right.columns)
        assert plan.kind in ("semi", "anti") or _ids(plan.columns) == both
        check_expressions(plan.condition, outer | both)
    elif isinstance(plan, logical.SetOperation):
        check_plan(plan.left, outer)
        check_plan(plan.right, outer)
        for side in (plan.left, plan.right):
            assert [column.type for column in side.columns] == [column.type for column in plan.columns]
    elif isinstance(plan, logical.With):
        for definition in plan.ctes:
            check_plan(definition.plan, outer)
            if definition.recursive_step is not None:
                check_plan(definition.recursive_step, outer)
                assert [column.type for column in definition.recursive_step.columns] == [
                    column.type for column in definition.plan.columns
                ]
        check_plan(plan.body, outer)
        assert plan.columns == plan.body.columns
    elif isinstance(plan, logical.Insert | logical.Update | logical.Delete):
        _check_modification(plan, outer)
    elif not isinstance(plan, logical.OneRow):
        _check_unary(plan, outer)


def _check_unary(plan: logical.Plan, outer: frozenset[int]) -> None:
    below: logical.Plan = plan.input  # type: ignore[attr-defined]
    check_plan(below, outer)
    available = outer | _ids(below.columns)
    if isinstance(plan, PASSING):
        assert plan.columns == below.columns
    if isinstance(plan, logical.Filter):
        check_expressions(plan.condition, available)
    elif isinstance(plan, logical.Project | logical.ProjectSet):
        check_expressions(plan.expressions, available)
        assert len(plan.columns) == len(plan.expressions)
        for column, expression in zip(plan.columns, plan.expressions, strict=True):
            assert column.type == expression.type, (column, expression)
    elif isinstance(plan, logical.Aggregate):
        check_expressions((plan.keys, plan.aggregates), available)
        assert len(plan.columns) == len(plan.keys) + len(plan.aggregates) + len(plan.groupings)
    elif isinstance(plan, logical.Window):
        check_expressions((plan.partition_by, plan.order_by, plan.frame, plan.calls), available)
        assert plan.columns[: len(below.columns)] == below.columns
    elif isinstance(plan, logical.Sort):
        check_expressions(plan.keys, available)
    elif isinstance(plan, logical.Distinct):
        check_expressions(plan.on, available)
    elif isinstance(plan, logical.Limit):
        check_expressions((plan.count, plan.offset), outer)
    elif isinstance(plan, logical.LockRows):
        assert {identifier for identifier, _ in plan.targets} <= available
    else:
        raise AssertionError(f"unknown plan node {type(plan).__name__}")


def _check_modification(plan: logical.Insert | logical.Update | logical.Delete, outer: frozenset[int]) -> None:
    check_plan(plan.source, outer)
    target = plan.target
    row = frozenset(identifier for identifier in target.row_ids if identifier)
    source = outer | _ids(plan.source.columns)
    check_expressions((target.generated, target.checks, target.indexes), row)
    check_expressions(plan.returning, outer | row | (frozenset() if isinstance(plan, logical.Insert) else source))
    assert len(plan.returning) == len(plan.columns)
    if isinstance(plan, logical.Insert):
        assert len(plan.values) == len(target.table.columns)
        check_expressions(plan.values, source)
        for column, value in zip(target.table.columns, plan.values, strict=True):
            assert value is None or value.type == column.type, (column, value)
        if plan.on_conflict is not None:
            seen = outer | frozenset(plan.on_conflict.existing_ids) | frozenset(plan.on_conflict.excluded_ids)
            check_expressions((plan.on_conflict.assignments, plan.on_conflict.where), seen)
        return
    assert {plan.key_id, plan.row_id} <= source
    if isinstance(plan, logical.Update):
        check_expressions(plan.assignments, source)
        for number, value in plan.assignments:
            assert value.type == target.table.columns[number - 1].type
