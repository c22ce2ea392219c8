"""Aggregates that need their input ordered or distinct: gathered while the groups are built, fed to the accumulator at the end.

ORDER BY            rows (sort key, arguments), sorted
DISTINCT            each arguments once; in their own order where no ORDER BY says otherwise, as PostgreSQL gives them
WITHIN GROUP        ordered-set: sorted values, direct arguments to result(); hypothetical: see functions/registry.py
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from itertools import chain
from operator import itemgetter
from typing import Any

from frontend.sql.executor.operators import MERGE_CHUNK, sort_rows

__all__ = ["Gathered", "chain", "finish_gathered", "finish_hypothetical", "finish_ordered_set"]

EMPTY: list[Any] = []
_FIRST = itemgetter(0)
Finish = Generator[list[Any], None, Any]


class Gathered:
    """The rows of one group for one aggregate, as (sort key, arguments)."""

    __slots__ = ("direct", "rows", "seen")

    def __init__(self) -> None:
        self.rows: list[tuple[Any, tuple[Any, ...]]] = []
        self.seen: set[Any] = set()
        self.direct: tuple[Any, ...] | None = None

    def add_distinct(self, identity: Any, key: Any, arguments: tuple[Any, ...]) -> None:
        """Take in arguments that have not been seen."""
        if identity not in self.seen:
            self.seen.add(identity)
            self.rows.append((key, arguments))


def finish_gathered(
    state: Gathered,
    create: Callable[[], Any],
    ordered: bool,
    reverse: bool,
    natural: Callable[[tuple[Any, ...]], Any] | None,
) -> Finish:
    """Sort, feed, result. `natural`: the sort key of arguments, for DISTINCT without ORDER BY."""
    rows = state.rows
    if natural is not None:
        rows = [(natural(arguments), arguments) for _, arguments in rows]
    if ordered or natural is not None:
        rows = yield from sort_rows(rows, _FIRST, reverse)
    accumulator = create()
    add = accumulator.add
    for count, (_, arguments) in enumerate(rows):
        add(*arguments)
        if not count % MERGE_CHUNK:
            yield EMPTY
    return accumulator.result()


def finish_ordered_set(
    state: Gathered, create: Callable[[], Any], reverse: bool, direct: tuple[Any, ...] | None
) -> Finish:
    """percentile_cont, mode …: `direct` where it is known without rows, else what the group's rows gave."""
    rows = yield from sort_rows(state.rows, _FIRST, reverse)
    accumulator = create()
    add = accumulator.add
    for count, (_, arguments) in enumerate(rows):
        add(*arguments)
        if not count % MERGE_CHUNK:
            yield EMPTY
    chosen = state.direct if state.direct is not None else direct
    return accumulator.result(*(chosen or ()))


def finish_hypothetical(
    state: Gathered,
    create: Callable[[], Any],
    reverse: bool,
    direct: tuple[Any, ...] | None,
    key_of: Callable[..., Any],
) -> Finish:
    """rank, dense_rank …: each row compared with the hypothetical one."""
    rows = yield from sort_rows(state.rows, _FIRST, reverse)
    chosen = state.direct if state.direct is not None else direct
    wanted = key_of(*(chosen or ()))
    accumulator = create()
    previous: Any = state
    for count, (key, _) in enumerate(rows):
        below = key > wanted if reverse else key < wanted
        accumulator.add(-1 if below else 0 if key == wanted else 1, key != previous)
        previous = key
        if not count % MERGE_CHUNK:
            yield EMPTY
    return accumulator.result()
