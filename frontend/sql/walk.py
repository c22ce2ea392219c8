"""Walking and rewriting bound expressions and plans (`logical.py`) without naming every class.

Which fields of a class hold expressions, plans or the parts between (sort keys, aggregate calls …) is read once a class
from its annotations, so a new node in `logical.py` is walked without any change here. Everything is recursive into the
plans of subquery expressions too, because correlation makes them part of the expression.

    walk(node)                 every expression, plan and part below (and including) node, parents first
    expressions_of(plan)       the expressions of one plan node itself, not of its inputs
    rewrite(node, function)    a new tree: `function` gives an expression's replacement, or None to go on below it
    rewrite_plans(plan, f)     a new tree: `f` is given every plan node after its inputs were rewritten
    free_columns(node)         ids that the node refers to but nothing inside it produces: its correlation
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from frontend.sql import logical

Node = TypeVar("Node")

_PARTS = (
    logical.SortKey,
    logical.AggregateCall,
    logical.WindowCall,
    logical.WindowFrame,
    logical.CteDefinition,
    logical.WriteTarget,
    logical.BoundIndex,
    logical.OnConflict,
)
_WORDS = ("Expression", "Plan", "SetReturningCall", *(part.__name__ for part in _PARTS))
_WALKED = (logical.Expression, logical.Plan, *_PARTS)
SUBQUERIES = (logical.ScalarSubquery, logical.Exists, logical.ArraySubquery, logical.QuantifiedSubquery)


_child_fields: dict[type, tuple[str, ...]] = {}


def child_fields(kind: type) -> tuple[str, ...]:
    """The fields of a node class that (may) hold expressions, plans or parts, in declaration order."""
    names = _child_fields.get(kind)
    if names is None:
        names = _child_fields[kind] = tuple(
            field.name
            for field in dataclasses.fields(kind)
            if field.name not in ("columns", "path") and any(word in str(field.type) for word in _WORDS)
        )
    return names


def walk(node: object) -> Iterator[Any]:
    """Every expression, plan and part in the tree, parents before children; tuples are gone through."""
    stack: list[object] = [node]
    while stack:
        item = stack.pop()
        if isinstance(item, tuple):
            stack.extend(reversed(item))
        elif isinstance(item, _WALKED):
            yield item
            stack.extend([getattr(item, name) for name in reversed(child_fields(type(item)))])


def walk_expression(expression: logical.Expression) -> Iterator[logical.Expression]:
    """Every expression in the tree, those inside subqueries' plans included."""
    for item in walk(expression):
        if isinstance(item, logical.Expression):
            yield item


def walk_local(node: object) -> Iterator[logical.Expression]:
    """Every expression in the tree but those inside subqueries' plans."""
    stack: list[object] = [node]
    while stack:
        item = stack.pop()
        if isinstance(item, tuple):
            stack.extend(reversed(item))
        elif isinstance(item, _WALKED) and not isinstance(item, logical.Plan):
            if isinstance(item, logical.Expression):
                yield item
            stack.extend([getattr(item, name) for name in reversed(child_fields(type(item)))])


def expressions_of(plan: logical.Plan) -> Iterator[logical.Expression]:
    """The expressions directly in a plan node (also inside its sort keys, calls and targets), not those of its inputs."""
    stack: list[object] = [getattr(plan, name) for name in reversed(child_fields(type(plan)))]
    while stack:
        item = stack.pop()
        if isinstance(item, tuple):
            stack.extend(reversed(item))
        elif isinstance(item, logical.Expression):
            yield item
        elif isinstance(item, _PARTS):
            stack.extend([getattr(item, name) for name in reversed(child_fields(type(item)))])


def inputs_of(plan: logical.Plan) -> Iterator[logical.Plan]:
    """The plan nodes directly below one, WITH queries before the body."""
    for name in child_fields(type(plan)):
        value = getattr(plan, name)
        if isinstance(value, logical.Plan):
            yield value
        elif isinstance(value, tuple):
            for item in value:
                if isinstance(item, logical.CteDefinition):
                    yield item.plan
                    if item.recursive_step is not None:
                        yield item.recursive_step


def rewrite(node: Node, function: Callable[[logical.Expression], logical.Expression | None]) -> Node:
    """The tree with each expression for which `function` returns one replaced by it; others are looked into.

    A replacement is not looked into again. Unchanged parts are shared with the old tree. `outer` of subqueries is kept right.
    """
    if isinstance(node, tuple):
        changed = [rewrite(item, function) for item in node]
        if all(new is old for new, old in zip(changed, node, strict=True)):
            return node
        return tuple(changed)  # type: ignore[return-value]
    if not isinstance(node, _WALKED):
        return node
    if isinstance(node, logical.Expression):
        replacement = function(node)
        if replacement is not None:
            return replacement  # type: ignore[return-value]
    changes: dict[str, Any] = {}
    for name in child_fields(type(node)):
        old = getattr(node, name)
        new = rewrite(old, function)
        if new is not old:
            changes[name] = new
    if not changes:
        return node
    result = dataclasses.replace(node, **changes)
    if isinstance(result, SUBQUERIES) and "plan" in changes:
        result = dataclasses.replace(result, outer=free_columns(result.plan))
    return result


def rewrite_plans(plan: logical.Plan, function: Callable[[logical.Plan], logical.Plan]) -> logical.Plan:
    """The tree with `function` applied to every plan node, inputs first; plans of subquery expressions are left alone."""
    changes: dict[str, Any] = {}
    for name in child_fields(type(plan)):
        old = getattr(plan, name)
        new: Any = old
        if isinstance(old, logical.Plan):
            new = rewrite_plans(old, function)
        elif isinstance(old, tuple) and old and isinstance(old[0], logical.CteDefinition):
            new = tuple(
                dataclasses.replace(
                    item,
                    plan=rewrite_plans(item.plan, function),
                    recursive_step=None
                    if item.recursive_step is None
                    else rewrite_plans(item.recursive_step, function),
                )
                for item in old
            )
        if new is not old:
            changes[name] = new
    return function(dataclasses.replace(plan, **changes) if changes else plan)


def substitute(node: Node, replacements: dict[int, logical.Expression]) -> Node:
    """The tree with references to these column ids replaced."""
    if not replacements:
        return node

    def replacement(expression: logical.Expression) -> logical.Expression | None:
        return replacements.get(expression.id) if isinstance(expression, logical.ColumnRef) else None

    return rewrite(node, replacement)


def produced_columns(plan: logical.Plan) -> frozenset[int]:
    """Ids of a node's output columns."""
    return frozenset([column.id for column in plan.columns])


def referenced_columns(node: object) -> set[int]:
    """Ids of all column references in the tree, subqueries included."""
    return {item.id for item in walk(node) if isinstance(item, logical.ColumnRef)}


def free_columns(node: object) -> frozenset[int]:
    """Ids that the tree refers to and that nothing inside it produces."""
    used: set[int] = set()
    made: set[int] = set()
    for item in walk(node):
        if isinstance(item, logical.ColumnRef):
            used.add(item.id)
        elif isinstance(item, logical.Plan):
            made.update([column.id for column in item.columns])
        elif isinstance(item, logical.WriteTarget):
            made.update(item.row_ids)
        elif isinstance(item, logical.OnConflict):
            made.update(item.existing_ids)
            made.update(item.excluded_ids)
    return frozenset(used - made)


def is_volatile(node: object) -> bool:
    """Whether the tree calls a volatile function anywhere."""
    return any(isinstance(item, logical.Call) and item.volatile == "v" for item in walk(node))
