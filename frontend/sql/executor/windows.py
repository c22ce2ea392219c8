"""Window functions at run time: partitions, peers, frames.

    rows ──sort by partition and order──▶ partitions ──▶ peer ranges ──▶ frame ranges ──▶ one value a row and call

The generated code gathers each row as (partition key, order key, row, arguments of the calls…, order value); this module sorts
and computes. Frames are half-open index ranges. Aggregates over frames run forward: a frame that only grows adds rows to one
accumulator; one that slides uses the accumulator's `remove` where it has it, else it is computed anew from its rows; frames with
EXCLUDE are computed row by row. Frames that are the same for several rows in turn are computed once.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from frontend.errors import SqlError
from frontend.functions.registry import WindowFunction, WindowPartition
from frontend.sql.executor.operators import sort_rows

EMPTY: list[Any] = []
BREATH_ROWS = 512
Breaths = Generator[list[Any], None, Any]


@dataclass(frozen=True, slots=True)
class FrameSpecification:
    """A frame clause: kinds of the bounds as in `logical.WindowFrame`.

    `start_offset` and `end_offset` take the parameters' values (see `WindowPlan`); for RANGE, `before` and `after` compute the
    sort value shifted by an offset: (value, offset) → (sort key of value - offset, of value + offset).
    """

    mode: str
    start: str
    end: str
    exclusion: str


@dataclass(frozen=True, slots=True)
class WindowCallPlan:
    """One call: a pure window function, or an aggregate's factory. `arguments` are positions in the gathered arguments.

    `filter` is the position of the FILTER condition's value, -1 for none. `skips_null` as in the registry.
    """

    function: WindowFunction | None
    create: Callable[[], Any] | None
    arguments: tuple[int, ...]
    filter: int
    skips_null: bool


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """Everything about one Window node that does not depend on the execution."""

    reverse: bool
    ordered: bool
    frame: FrameSpecification
    calls: tuple[WindowCallPlan, ...]
    subtract: Callable[[Any, Any], Any] | None = None
    add: Callable[[Any, Any], Any] | None = None
    order_key: Callable[[Any], Any] | None = None
    descending: bool = False
    nulls_first: bool = False


_PARTITION = itemgetter(0)
_ORDER = itemgetter(1)


def compute(
    plan: WindowPlan, rows: list[Any], start_offset: Any, end_offset: Any
) -> Generator[list[Any], None, list[tuple[Any, ...]]]:
    """rows are (partition key, order key, payload, arguments, order value); gives (payload, results) in window order."""
    _check_offsets(plan.frame, start_offset, end_offset)
    if plan.ordered:
        rows = yield from sort_rows(rows, _ORDER, plan.reverse)
    groups: dict[Any, list[Any]] = {}
    for count, row in enumerate(rows):
        group = groups.get(row[0])
        if group is None:
            groups[row[0]] = [row]
        else:
            group.append(row)
        if not count % BREATH_ROWS:
            yield EMPTY
    result: list[tuple[Any, ...]] = []
    for partition in groups.values():
        values = yield from _partition(plan, partition, start_offset, end_offset)
        for place, row in enumerate(partition):
            result.append((row[2], tuple([column[place] for column in values])))
            if not place % BREATH_ROWS:
                yield EMPTY
    return result


def _check_offsets(frame: FrameSpecification, start: Any, end: Any) -> None:
    for kind, offset, name in ((frame.start, start, "starting"), (frame.end, end, "ending")):
        if kind not in ("preceding", "following"):
            continue
        if offset is None:
            raise SqlError("22004", f"frame {name} offset must not be null")
        if frame.mode != "range" and offset < 0:
            raise SqlError("22013", f"frame {name} offset must not be negative")


def _partition(plan: WindowPlan, rows: list[Any], start_offset: Any, end_offset: Any) -> Breaths:
    size = len(rows)
    peer_start, peer_end = _peers(plan, rows)
    yield EMPTY
    frame_start, frame_end = _frames(plan, rows, peer_start, peer_end, start_offset, end_offset)
    yield EMPTY
    columns: list[Sequence[Any]] = []
    for call in plan.calls:
        arguments = [[row[3][position] for row in rows] for position in call.arguments]
        if call.function is not None:
            if plan.frame.exclusion != "none" and _uses_frame(call.function):
                columns.append(
                    _excluding_values(plan, call.function, arguments, peer_start, peer_end, frame_start, frame_end)
                )
            else:
                columns.append(
                    call.function(WindowPartition(size, arguments, peer_start, peer_end, frame_start, frame_end))
                )
            yield EMPTY
            continue
        keep = _kept(call, rows, arguments)
        values = yield from _aggregate(plan, call, keep, arguments, size, peer_start, peer_end, frame_start, frame_end)
        columns.append(values)
    return columns


def _uses_frame(function: WindowFunction) -> bool:
    return function.__name__ in ("first_value", "last_value", "nth_value")


def _excluding_values(
    plan: WindowPlan,
    function: WindowFunction,
    arguments: list[list[Any]],
    peer_start: Sequence[int],
    peer_end: Sequence[int],
    frame_start: Sequence[int],
    frame_end: Sequence[int],
) -> list[Any]:
    """first_value, last_value and nth_value over frames with holes: each frame as a partition of its own."""
    values: list[Any] = []
    for row in range(len(peer_start)):
        chosen = _included(plan.frame.exclusion, row, peer_start, peer_end, frame_start[row], frame_end[row])
        size = len(chosen)
        if not size:
            values.append(None)
            continue
        # Only the value argument follows the frame; the others belong to the current row.
        picked = [
            [column[at] for at in chosen] if place == 0 else [column[row]] * size
            for place, column in enumerate(arguments)
        ]
        inner = WindowPartition(size, picked, range(size), range(1, size + 1), [0] * size, [size] * size)
        values.append(function(inner)[0])
    return values


def _peers(plan: WindowPlan, rows: list[Any]) -> tuple[Sequence[int], Sequence[int]]:
    size = len(rows)
    if not plan.ordered:
        return [0] * size, [size] * size
    starts, ends = [0] * size, [0] * size
    begin = 0
    for place in range(1, size + 1):
        if place == size or rows[place][1] != rows[begin][1]:
            starts[begin:place] = [begin] * (place - begin)
            ends[begin:place] = [place] * (place - begin)
            begin = place
    return starts, ends


def _frames(
    plan: WindowPlan, rows: list[Any], peer_start: Sequence[int], peer_end: Sequence[int], start: Any, end: Any
) -> tuple[Sequence[int], Sequence[int]]:
    size, frame = len(rows), plan.frame
    if frame.mode == "rows":
        starts = _row_bounds(frame.start, start, size, 0)
        ends = _row_bounds(frame.end, end, size, 1)
    elif frame.mode == "groups":
        starts, ends = _group_bounds(frame, peer_start, peer_end, start, end)
    else:
        starts = _range_bounds(plan, rows, frame.start, start, peer_start, True)
        ends = _range_bounds(plan, rows, frame.end, end, peer_end, False)
    ends = [stop if stop > begin else begin for begin, stop in zip(starts, ends, strict=True)]
    return starts, ends


def _row_bounds(kind: str, offset: Any, size: int, extra: int) -> list[int]:
    """ROWS: extra is 0 for a start and 1 for an (exclusive) end."""
    if kind == "unbounded_preceding":
        return [0] * size
    if kind == "unbounded_following":
        return [size] * size
    shift = extra + (0 if kind == "current" else -offset if kind == "preceding" else offset)
    return [min(max(place + shift, 0), size) for place in range(size)]


def _group_bounds(
    frame: FrameSpecification, peer_start: Sequence[int], peer_end: Sequence[int], start: Any, end: Any
) -> tuple[list[int], list[int]]:
    size = len(peer_start)
    firsts = sorted(set(peer_start))
    lasts = [peer_end[first] for first in firsts]
    number: list[int] = []
    for place, first in enumerate(firsts):
        number.extend([place] * (lasts[place] - first))
    count = len(firsts)

    def bound(kind: str, offset: Any, edges: list[int], low: int, high: int) -> list[int]:
        if kind == "unbounded_preceding":
            return [0] * size
        if kind == "unbounded_following":
            return [size] * size
        shift = 0 if kind == "current" else -offset if kind == "preceding" else offset
        result = []
        for group in number:
            wanted = group + shift
            result.append(low if wanted < 0 else high if wanted >= count else edges[wanted])
        return result

    return bound(frame.start, start, firsts, 0, size), bound(frame.end, end, lasts, 0, size)


def _range_bounds(
    plan: WindowPlan, rows: list[Any], kind: str, offset: Any, edges: Sequence[int], is_start: bool
) -> list[int]:
    size = len(rows)
    if kind == "unbounded_preceding":
        return [0] * size
    if kind == "unbounded_following":
        return [size] * size
    if kind == "current":
        return list(edges)
    assert plan.add is not None
    assert plan.subtract is not None
    order = plan.order_key or (lambda value: value)
    # Values run up or down the partition with NULLs at one end; NULL's frame is its peers.
    values = [row[4] for row in rows]
    first = next((place for place, value in enumerate(values) if value is not None), size)
    last = next((place for place in range(size, 0, -1) if values[place - 1] is not None), 0)
    keys = [order(value) for value in values[first:last]]
    descending = plan.descending
    if descending:
        keys = keys[::-1]
    shift = plan.subtract if (kind == "preceding") != descending else plan.add
    result = []
    for place, value in enumerate(values):
        if value is None:
            result.append(edges[place])
            continue
        wanted = order(shift(value, offset))
        if not descending:
            found = bisect_left(keys, wanted) if is_start else bisect_right(keys, wanted)
            result.append(first + found)
        else:
            found = bisect_right(keys, wanted) if is_start else bisect_left(keys, wanted)
            result.append(last - found)
    return result


# ── aggregates over frames ──────────────────────────────────────────────────────────────────────────────────────────


def _kept(call: WindowCallPlan, rows: list[Any], arguments: list[list[Any]]) -> list[bool] | None:
    """Which rows the aggregate takes; None for all."""
    if call.filter < 0 and not call.skips_null:
        return None
    keep = [call.filter < 0 or row[3][call.filter] is True for row in rows]
    if call.skips_null:
        for column in arguments:
            keep = [so_far and value is not None for so_far, value in zip(keep, column, strict=True)]
    return keep


def _included(
    exclusion: str, row: int, peer_start: Sequence[int], peer_end: Sequence[int], start: int, end: int
) -> list[int]:
    if exclusion == "current":
        return [place for place in range(start, end) if place != row]
    if exclusion == "group":
        low, high = peer_start[row], peer_end[row]
        return [place for place in range(start, end) if not low <= place < high]
    if exclusion == "ties":
        low, high = peer_start[row], peer_end[row]
        return [place for place in range(start, end) if place == row or not low <= place < high]
    return list(range(start, end))


def _aggregate(
    plan: WindowPlan,
    call: WindowCallPlan,
    keep: list[bool] | None,
    arguments: list[list[Any]],
    size: int,
    peer_start: Sequence[int],
    peer_end: Sequence[int],
    frame_start: Sequence[int],
    frame_end: Sequence[int],
) -> Breaths:
    create = call.create
    assert create is not None
    taken: list[tuple[Any, ...]] = list(zip(*arguments, strict=True)) if arguments else [()] * size
    exclusion = plan.frame.exclusion
    values: list[Any] = []
    work = 0
    if exclusion != "none":
        for row in range(size):
            accumulator = create()
            chosen = _included(exclusion, row, peer_start, peer_end, frame_start[row], frame_end[row])
            for place in chosen:
                if keep is None or keep[place]:
                    accumulator.add(*taken[place])
            values.append(accumulator.result())
            work += len(chosen) + 1
            if work > BREATH_ROWS:
                work = 0
                yield EMPTY
        return values
    accumulator = create()
    removes = hasattr(accumulator, "remove")
    low = high = 0
    current: Any = None
    known = False
    for row in range(size):
        start, end = frame_start[row], frame_end[row]
        if known and start == low and end == high:
            values.append(current)
            continue
        if start < low or end < high or (start > low and not removes) or start >= high:
            accumulator, low, high = create(), start, start
        while low < start:
            if keep is None or keep[low]:
                accumulator.remove(*taken[low])
            low += 1
            work += 1
        while high < end:
            if keep is None or keep[high]:
                accumulator.add(*taken[high])
            high += 1
            work += 1
        low, high = start, max(high, end)
        current = accumulator.result()
        known = True
        values.append(current)
        work += 1
        if work > BREATH_ROWS:
            work = 0
            yield EMPTY
    return values
