"""in_range: how far a RANGE frame with an offset reaches, for every type that may be its ORDER BY.

`in_range(value, base, offset, subtract, less)` tells whether `value` is on the near side of `base` moved by `offset`: moved
down where `subtract`, and compared with <= where `less`, else with >=.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from frontend.context import Context
from frontend.errors import SqlError
from frontend.functions.moment_arithmetic import (
    date_minus_interval,
    date_plus_interval,
    date_to_timestamp,
    interval_minus_interval,
    interval_plus_interval,
    timestamp_minus_interval,
    timestamp_plus_interval,
    timestamptz_minus_interval,
    timestamptz_plus_interval,
)
from frontend.functions.registry import scalar
from frontend.types.datetime import Interval
from frontend.types.decimals import EXACT, numeric_key
from frontend.types.interval import interval_key


def _negative() -> SqlError:
    return SqlError("22013", "invalid preceding or following size in window function")


def _near(value: Any, bound: Any, less: bool) -> bool:
    return bool(value <= bound) if less else bool(value >= bound)


def integer_in_range(value: int, base: int, offset: int, subtract: bool, less: bool) -> bool:
    if offset < 0:
        raise _negative()
    return _near(value, base - offset if subtract else base + offset, less)


for _value, _offset in ((2, 2), (2, 4), (2, 8), (4, 2), (4, 4), (4, 8), (8, 8)):
    scalar(f"in_range(int{_value},int{_value},int{_offset},bool,bool)")(integer_in_range)


def float_in_range(value: float, base: float, offset: float, subtract: bool, less: bool) -> bool:
    if offset != offset or offset < 0:
        raise _negative()
    if value != value:
        return base != base or not less
    if base != base:
        return less
    if math.isinf(offset) and math.isinf(base) and (base > 0) == subtract:
        return True
    return _near(value, base - offset if subtract else base + offset, less)


scalar("in_range(float8,float8,float8,bool,bool)", "in_range(float4,float4,float8,bool,bool)")(float_in_range)


@scalar("in_range(numeric,numeric,numeric,bool,bool)")
def numeric_in_range(value: Decimal, base: Decimal, offset: Decimal, subtract: bool, less: bool) -> bool:
    if offset.is_nan() or offset < 0:
        raise _negative()
    if value.is_nan() or base.is_nan():
        return _near(numeric_key(value), numeric_key(base), less)
    if offset.is_infinite() and base.is_infinite() and (base > 0) == subtract:
        return True
    bound = EXACT.subtract(base, offset) if subtract else EXACT.add(base, offset)
    return _near(value, bound, less)


def _check_interval(offset: Interval) -> None:
    if interval_key(offset) < 0:
        raise _negative()


@scalar("in_range(timestamp,timestamp,interval,bool,bool)")
def timestamp_in_range(value: int, base: int, offset: Interval, subtract: bool, less: bool) -> bool:
    _check_interval(offset)
    move = timestamp_minus_interval if subtract else timestamp_plus_interval
    return _near(value, move(base, offset), less)


@scalar("in_range(timestamptz,timestamptz,interval,bool,bool)", context=True)
def timestamptz_in_range(context: Context, value: int, base: int, offset: Interval, subtract: bool, less: bool) -> bool:
    _check_interval(offset)
    move = timestamptz_minus_interval if subtract else timestamptz_plus_interval
    return _near(value, move(context, base, offset), less)


@scalar("in_range(date,date,interval,bool,bool)")
def date_in_range(value: int, base: int, offset: Interval, subtract: bool, less: bool) -> bool:
    _check_interval(offset)
    move: Callable[[int, Interval], int] = date_minus_interval if subtract else date_plus_interval
    return _near(date_to_timestamp(value), move(base, offset), less)


@scalar("in_range(interval,interval,interval,bool,bool)")
def interval_in_range(value: Interval, base: Interval, offset: Interval, subtract: bool, less: bool) -> bool:
    _check_interval(offset)
    move = interval_minus_interval if subtract else interval_plus_interval
    return _near(interval_key(value), interval_key(move(base, offset)), less)


@scalar("in_range(time,time,interval,bool,bool)")
def time_in_range(value: int, base: int, offset: Interval, subtract: bool, less: bool) -> bool:
    if offset[2] < 0:
        raise _negative()
    return _near(value, base - offset[2] if subtract else base + offset[2], less)


@scalar("in_range(timetz,timetz,interval,bool,bool)")
def timetz_in_range(
    value: tuple[int, int], base: tuple[int, int], offset: Interval, subtract: bool, less: bool
) -> bool:
    if offset[2] < 0:
        raise _negative()
    bound = base[0] - offset[2] if subtract else base[0] + offset[2]
    return _near(_timetz_moment(value), (bound + base[1] * 1_000_000, base[1]), less)


def _timetz_moment(value: tuple[int, int]) -> tuple[int, int]:
    return value[0] + value[1] * 1_000_000, value[1]
