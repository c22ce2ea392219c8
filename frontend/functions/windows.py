"""Window functions (PostgreSQL's manual, 9.22): each maps a sorted `WindowPartition` to one value a row.

All are linear in the partition's size. Ranks read the peer ranges, offsets read the argument lists, and the three frame
functions read the frame ranges; where a frame is empty they give NULL. A frame here is one range: the executor hands
frames with EXCLUDE to aggregates row by row and refuses them for these three.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from frontend.errors import SqlError
from frontend.functions.registry import WindowPartition, window


@window("row_number()")
def row_number(partition: WindowPartition) -> Sequence[int]:
    return range(1, partition.size + 1)


@window("rank()")
def rank(partition: WindowPartition) -> Sequence[int]:
    return [start + 1 for start in partition.peer_start]


def _dense_ranks(partition: WindowPartition) -> list[int]:
    ranks: list[int] = []
    current = 0
    for row, start in enumerate(partition.peer_start):
        if row == start:
            current += 1
        ranks.append(current)
    return ranks


@window("dense_rank()")
def dense_rank(partition: WindowPartition) -> Sequence[int]:
    return _dense_ranks(partition)


@window("percent_rank()")
def percent_rank(partition: WindowPartition) -> Sequence[float]:
    others = partition.size - 1
    if others <= 0:
        return [0.0] * partition.size
    return [start / others for start in partition.peer_start]


@window("cume_dist()")
def cume_dist(partition: WindowPartition) -> Sequence[float]:
    size = partition.size
    return [end / size for end in partition.peer_end]


@window("ntile(int4)")
def ntile(partition: WindowPartition) -> Sequence[int | None]:
    if not partition.size:
        return []
    buckets = partition.arguments[0][0]
    if buckets is None:
        return [None] * partition.size
    if buckets <= 0:
        raise SqlError("22014", "argument of ntile must be greater than zero")
    small, larger = divmod(partition.size, buckets)  # the first `larger` buckets hold one row more
    result: list[int | None] = []
    for bucket in range(min(buckets, partition.size)):
        result.extend([bucket + 1] * (small + 1 if bucket < larger else small))
    return result


def _shifted(partition: WindowPartition, direction: int) -> Sequence[Any]:
    values = partition.arguments[0]
    size = partition.size
    given = len(partition.arguments)
    if given == 1:
        if direction < 0:
            return [None, *values[: size - 1]] if size else []
        return [*values[1:], None] if size else []
    offsets = partition.arguments[1]
    defaults = partition.arguments[2] if given == 3 else None
    result: list[Any] = []
    for row in range(size):
        offset = offsets[row]
        if offset is None:
            result.append(None)
            continue
        source = row + direction * offset
        if 0 <= source < size:
            result.append(values[source])
        else:
            result.append(None if defaults is None else defaults[row])
    return result


@window("lag(anyelement)", "lag(anyelement,int4)", "lag(anycompatible,int4,anycompatible)")
def lag(partition: WindowPartition) -> Sequence[Any]:
    return _shifted(partition, -1)


@window("lead(anyelement)", "lead(anyelement,int4)", "lead(anycompatible,int4,anycompatible)")
def lead(partition: WindowPartition) -> Sequence[Any]:
    return _shifted(partition, 1)


@window("first_value(anyelement)")
def first_value(partition: WindowPartition) -> Sequence[Any]:
    values = partition.arguments[0]
    return [
        values[start] if start < end else None
        for start, end in zip(partition.frame_start, partition.frame_end, strict=True)
    ]


@window("last_value(anyelement)")
def last_value(partition: WindowPartition) -> Sequence[Any]:
    values = partition.arguments[0]
    return [
        values[end - 1] if start < end else None
        for start, end in zip(partition.frame_start, partition.frame_end, strict=True)
    ]


@window("nth_value(anyelement,int4)")
def nth_value(partition: WindowPartition) -> Sequence[Any]:
    values, places = partition.arguments
    result: list[Any] = []
    for row in range(partition.size):
        place = places[row]
        if place is None:
            result.append(None)
            continue
        if place <= 0:
            raise SqlError("22016", "argument of nth_value must be greater than zero")
        source = partition.frame_start[row] + place - 1
        result.append(values[source] if source < partition.frame_end[row] else None)
    return result
