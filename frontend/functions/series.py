"""generate_series (PostgreSQL's manual, 9.25). Integer series are Python ranges: no code of ours runs a row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Any

from frontend.context import Context
from frontend.errors import SqlError
from frontend.functions.numeric_division import add_exactly
from frontend.functions.registry import SCALARS, set_returning
from frontend.types.datetime import Interval
from frontend.types.interval import interval_key


def _zero_step() -> SqlError:
    return SqlError("22023", "step size cannot equal zero")


@set_returning(
    "generate_series(int4,int4)",
    "generate_series(int4,int4,int4)",
    "generate_series(int8,int8)",
    "generate_series(int8,int8,int8)",
)
def generate_integers(start: int, stop: int, step: int = 1) -> Iterable[int]:
    if step == 0:
        raise _zero_step()
    return range(start, stop + (1 if step > 0 else -1), step)


def _check_finite(value: Decimal, what: str) -> None:
    if value.is_nan():
        raise SqlError("22023", f"{what} cannot be NaN")
    if value.is_infinite():
        raise SqlError("22023", f"{what} cannot be infinity")


@set_returning("generate_series(numeric,numeric)", "generate_series(numeric,numeric,numeric)")
def generate_numerics(start: Decimal, stop: Decimal, step: Decimal = Decimal(1)) -> Iterable[Decimal]:
    _check_finite(start, "start value")
    _check_finite(stop, "stop value")
    _check_finite(step, "step size")
    if step == 0:
        raise _zero_step()
    return _numerics(start, stop, step)


def _numerics(start: Decimal, stop: Decimal, step: Decimal) -> Iterator[Decimal]:
    current = start
    while current <= stop if step > 0 else current >= stop:
        yield current
        current = add_exactly(current, step)


def _moments(start: int, stop: int, step: Interval, advance: Callable[[int], Any]) -> Iterator[int]:
    direction = interval_key(step)
    current = start
    while current <= stop if direction > 0 else current >= stop:
        yield current
        current = advance(current)


def _check_step(step: Interval) -> None:
    if interval_key(step) == 0:
        raise _zero_step()


@set_returning("generate_series(timestamp,timestamp,interval)")
def generate_timestamps(start: int, stop: int, step: Interval) -> Iterable[int]:
    _check_step(step)
    add = SCALARS["timestamp_pl_interval(timestamp,interval)"].call
    return _moments(start, stop, step, lambda current: add(current, step))


@set_returning(
    "generate_series(timestamptz,timestamptz,interval)",
    "generate_series(timestamptz,timestamptz,interval,text)",
    context=True,
)
def generate_timestamps_with_zone(
    context: Context, start: int, stop: int, step: Interval, zone: str | None = None
) -> Iterable[int]:
    """Days and months are counted in the session's zone, or in the zone that is given."""
    _check_step(step)
    if zone is None:
        implementation, rest = SCALARS["timestamptz_pl_interval(timestamptz,interval)"], (step,)
        add = implementation.call
        if implementation.context:
            return _moments(start, stop, step, lambda current: add(context, current, *rest))
        return _moments(start, stop, step, lambda current: add(current, *rest))
    implementation = SCALARS["date_add(timestamptz,interval,text)"]
    add = implementation.call
    if implementation.context:
        return _moments(start, stop, step, lambda current: add(context, current, step, zone))
    return _moments(start, stop, step, lambda current: add(current, step, zone))
