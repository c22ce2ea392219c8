"""ORDER BY items as sort keys, wherever they stand."""

from __future__ import annotations

from collections.abc import Sequence

from frontend.errors import SqlError
from frontend.sql import logical, syntax
from frontend.sql.binder.coercion import coerce
from frontend.sql.binder.expressions import bind
from frontend.sql.binder.operations import require_ordering
from frontend.sql.binder.statement import Query
from frontend.types import oids


def make_sort_key(query: Query, value: logical.Expression, item: syntax.SortItem) -> logical.SortKey:
    """The key for a bound expression; unknown literals are text. 42883 where the type has no order."""
    if value.type == oids.UNKNOWN:
        value = coerce(query.binding, value, oids.TEXT, "i")
    descending = item.descending
    if item.using is not None:
        if item.using.name not in ("<", ">"):
            raise SqlError(
                "42809",
                f"operator {item.using.name} is not a valid ordering operator",
                hint='Ordering operators must be "<" or ">" members of btree operator families.',
                position=item.using.position or None,
            )
        descending = item.using.name == ">"
    require_ordering(query.binding, value.type, item.expression.position or value.position)
    nulls_first = descending if item.nulls_first is None else item.nulls_first
    return logical.SortKey(expression=value, descending=descending, nulls_first=nulls_first)


def bind_sort_items(query: Query, items: Sequence[syntax.SortItem]) -> tuple[logical.SortKey, ...]:
    """ORDER BY inside a call or window: expressions only, no output names or numbers (SQL99)."""
    keys: list[logical.SortKey] = []
    for item in items:
        key = make_sort_key(query, bind(query, item.expression), item)
        if not any(key.expression == other.expression for other in keys):
            keys.append(key)
    return tuple(keys)
