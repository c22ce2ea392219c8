"""GROUP BY: plain keys, and ROLLUP, CUBE and GROUPING SETS as the list of sets that they stand for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

from frontend.errors import SqlError
from frontend.sql import logical, syntax
from frontend.sql.binder.operations import require_equality
from frontend.sql.binder.statement import Query
from frontend.sql.walk import free_columns

SETS_MAX = 4096
Members = tuple[int, ...]


def bind_group_by(
    query: Query, node: syntax.Select, bind_key: Callable[[syntax.Expression], logical.Expression]
) -> tuple[list[logical.Expression], tuple[Members, ...] | None]:
    """(distinct keys, grouping sets as indices into them or None for a plain GROUP BY)."""
    keys: list[logical.Expression] = []

    def key(item: syntax.Expression) -> int:
        value = bind_key(item)
        _check_key(query, value, item.position)
        if value not in keys:
            keys.append(value)
        return keys.index(value)

    has_sets = any(isinstance(item, syntax.GroupingSet) for item in node.group_by)
    lists = [_sets_of(item, key) for item in node.group_by]
    if not has_sets:
        return keys, None
    count = 1
    for sets in lists:
        count *= len(sets)
        if count > SETS_MAX:
            raise SqlError("54001", f"too many grouping sets present (maximum {SETS_MAX})")
    combined = [_without_repeats([place for part in choice for place in part]) for choice in product(*lists)]
    if node.group_distinct:
        unique: dict[frozenset[int], Members] = {}
        for members in combined:
            unique.setdefault(frozenset(members), members)
        combined = list(unique.values())
    return keys, tuple(combined)


def _without_repeats(places: Sequence[int]) -> Members:
    return tuple(dict.fromkeys(places))


def _sets_of(item: syntax.Expression, key: Callable[[syntax.Expression], int]) -> list[Members]:
    """The grouping sets that one item of GROUP BY stands for; a plain key is one set of itself."""
    if isinstance(item, syntax.Row) and not item.explicit:
        return [tuple([key(element) for element in item.elements])]
    if not isinstance(item, syntax.GroupingSet):
        return [(key(item),)]
    if item.kind == "empty":
        return [()]
    if item.kind == "sets":
        return [members for inner in item.items for members in _sets_of(inner, key)]
    parts = [_sets_of(inner, key)[0] for inner in item.items]
    if item.kind == "rollup":
        return [tuple([place for part in parts[:length] for place in part]) for length in range(len(parts), -1, -1)]
    if len(parts) > 12:
        raise SqlError("54011", "CUBE is limited to 12 elements", position=item.position or None)
    return [
        tuple([place for at, part in enumerate(parts) if not mask >> (len(parts) - 1 - at) & 1 for place in part])
        for mask in range(1 << len(parts))
    ]


def _check_key(query: Query, value: logical.Expression, position: int) -> None:
    used = free_columns(value)
    if any(column.id in used for _, column in query.aggregates):
        raise SqlError("42803", "aggregate functions are not allowed in GROUP BY", position=value.position or None)
    if any(column.id in used for window in query.windows for _, column in window.calls):
        raise SqlError("42P20", "window functions are not allowed in GROUP BY", position=value.position or None)
    require_equality(query.binding, value.type, position or value.position)
