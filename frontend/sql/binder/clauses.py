"""What each clause of a statement may contain, as a table: aggregates, window functions, set-returning functions, subqueries.

The clause names are those of PostgreSQL's messages; a missing entry means allowed, a text is what the message ends in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from frontend.errors import SqlError

if TYPE_CHECKING:
    from frontend.sql.binder.statement import Query

# Clauses that PostgreSQL's messages describe in other words than their names.
_DESCRIBED: dict[str, str] = {
    "JOIN/ON": "JOIN conditions",
    "JOIN/USING": "JOIN conditions",
    "function in FROM": "functions in FROM",
    "CHECK": "check constraints",
    "DEFAULT": "DEFAULT expressions",
    "index expression": "index expressions",
    "index predicate": "index predicates",
    "GENERATED AS": "column generation expressions",
    "USING": "transform expressions",
    "EXECUTE": "EXECUTE parameters",
}
_ALL_REFUSED = frozenset(
    {"WHERE", "FILTER", "LIMIT", "OFFSET", "RETURNING", "VALUES", "UPDATE", "INSERT", "JOIN/ON", "JOIN/USING"}
    | {"CHECK", "DEFAULT", "index expression", "index predicate", "GENERATED AS", "USING", "EXECUTE"}
)
_WINDOW_PARTS = frozenset({"window PARTITION BY", "window ORDER BY"})
_WINDOW_FRAMES = frozenset({"window RANGE", "window ROWS", "window GROUPS"})
_NO_AGGREGATES = _ALL_REFUSED | _WINDOW_FRAMES | {"GROUP BY", "function in FROM"}
_NO_WINDOWS = _ALL_REFUSED | {"GROUP BY", "HAVING", "function in FROM"}
_NO_SETS = (_ALL_REFUSED - {"INSERT"}) | {"HAVING"}
_SUBQUERIES_REFUSED: dict[str, str] = {
    "CHECK": "check constraint",
    "DEFAULT": "DEFAULT expression",
    "index expression": "index expression",
    "index predicate": "index predicate",
    "GENERATED AS": "column generation expression",
    "USING": "transform expression",
    "EXECUTE": "EXECUTE parameter",
}
LATERAL_HINT = "You might be able to move the set-returning function into a LATERAL FROM item."


def check_aggregate(query: Query, position: int, what: str = "aggregate functions") -> None:
    """42803 where this clause may not contain an aggregate (or GROUPING)."""
    kind = query.kind
    if kind == "sub-SELECT in FROM":
        raise SqlError(
            "42803", f"{what} are not allowed in FROM clause of their own query level", position=position or None
        )
    if kind in _NO_AGGREGATES:
        raise SqlError("42803", f"{what} are not allowed in {_DESCRIBED.get(kind, kind)}", position=position or None)


def check_window(query: Query, position: int) -> None:
    """42P20 where this clause may not contain a window function."""
    kind = query.kind
    if kind in _WINDOW_PARTS or kind in _WINDOW_FRAMES:
        raise SqlError("42P20", "window functions are not allowed in window definitions", position=position or None)
    if kind in _NO_WINDOWS:
        described = _DESCRIBED.get(kind, kind)
        raise SqlError("42P20", f"window functions are not allowed in {described}", position=position or None)


def check_set_returning(query: Query, position: int) -> None:
    """0A000 where this clause may not contain a set-returning function."""
    kind = query.kind
    if query.inside_set_returning is not None:
        raise SqlError(
            "0A000",
            f"set-returning functions are not allowed in {query.inside_set_returning}",
            hint=LATERAL_HINT,
            position=position or None,
        )
    if kind in _WINDOW_FRAMES:
        raise SqlError(
            "0A000", "set-returning functions are not allowed in window definitions", position=position or None
        )
    if kind in _NO_SETS:
        described = _DESCRIBED.get(kind, kind)
        raise SqlError("0A000", f"set-returning functions are not allowed in {described}", position=position or None)


def check_subquery(query: Query, position: int) -> None:
    """0A000 where this clause may not contain a subquery."""
    described = _SUBQUERIES_REFUSED.get(query.kind)
    if described is not None:
        raise SqlError("0A000", f"cannot use subquery in {described}", position=position or None)
