"""make_date and its kin, AT TIME ZONE, age, date_bin, OVERLAPS."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from frontend.context import Context
from frontend.errors import SqlError
from frontend.functions.moment_arithmetic import (
    checked_interval,
    date_to_timestamp,
    time_plus_interval,
    timestamp_plus_interval,
    timestamptz_plus_interval,
)
from frontend.functions.registry import scalar
from frontend.types.datetime import (
    DATE_END,
    DATE_MIN,
    TIMESTAMP_NEGATIVE_INFINITY,
    Interval,
    check_timestamp,
    civil_from_days,
    context_zone,
    days_from_civil,
    days_in_month,
    interval_out_of_range,
    is_infinite_timestamp,
    is_valid_civil,
    local_to_utc,
    timestamp_out_of_range,
    utc_to_local,
)
from frontend.types.datetime_input import today
from frontend.types.floats import format_float8
from frontend.types.interval import format_interval
from frontend.types.zones import (
    MICROSECONDS_PER_DAY,
    MICROSECONDS_PER_SECOND,
    FixedZone,
    Zone,
    parse_fixed_offset,
    zone_by_name,
)

# construction


def _days(year: int, month: int, day: int) -> int | None:
    """Days of a date whose year is negative for BC; None where there is none."""
    if year == 0:
        return None
    astronomical = year if year > 0 else year + 1
    if not is_valid_civil(astronomical, month, day):
        return None
    return days_from_civil(astronomical, month, day)


@scalar("make_date(int4,int4,int4)")
def make_date(year: int, month: int, day: int) -> int:
    days = _days(year, month, day)
    if days is None:
        raise SqlError("22008", f"date field value out of range: {year}-{month:02d}-{day:02d}")
    if not DATE_MIN <= days < DATE_END:
        shown = year if year > 0 else year + 1  # PostgreSQL prints the year as it counts inside
        raise SqlError("22008", f"date out of range: {shown}-{month:02d}-{day:02d}")
    return days


def _microseconds(hour: int, minute: int, seconds: float) -> int:
    whole_day = hour == 24 and minute == 0 and seconds == 0
    if (
        seconds != seconds
        or not (0 <= hour < 24 or whole_day)
        or not 0 <= minute < 60
        or not 0 <= seconds <= 60
        or math.isinf(seconds)
    ):
        raise SqlError("22008", f"time field value out of range: {hour}:{minute:02d}:{_printf_02g(seconds)}")
    return (hour * 60 + minute) * 60 * MICROSECONDS_PER_SECOND + round(seconds * MICROSECONDS_PER_SECOND)


def _printf_02g(value: float) -> str:
    return f"{value:g}".rjust(2, "0") if math.isfinite(value) else format_float8(value)


@scalar("make_time(int4,int4,float8)")
def make_time(hour: int, minute: int, seconds: float) -> int:
    return _microseconds(hour, minute, seconds)


@scalar("make_timestamp(int4,int4,int4,int4,int4,float8)")
def make_timestamp(year: int, month: int, day: int, hour: int, minute: int, seconds: float) -> int:
    days = _days(year, month, day)
    if days is None:
        raise SqlError("22008", f"date field value out of range: {year}-{month:02d}-{day:02d}")
    time = _microseconds(hour, minute, seconds)
    try:
        return check_timestamp(days * MICROSECONDS_PER_DAY + time)
    except SqlError:
        shown = f"{year}-{month:02d}-{day:02d} {hour}:{minute:02d}:{_printf_02g(seconds)}"
        raise SqlError("22008", f"timestamp out of range: {shown}") from None


@scalar("make_timestamptz(int4,int4,int4,int4,int4,float8)", context=True)
def make_timestamptz(context: Context, year: int, month: int, day: int, hour: int, minute: int, seconds: float) -> int:
    return local_to_utc(make_timestamp(year, month, day, hour, minute, seconds), context_zone(context))


@scalar("make_timestamptz(int4,int4,int4,int4,int4,float8,text)")
def make_timestamptz_at_zone(year: int, month: int, day: int, hour: int, minute: int, seconds: float, zone: str) -> int:
    return local_to_utc(make_timestamp(year, month, day, hour, minute, seconds), _explicit_zone(zone))


def _explicit_zone(text: str) -> Zone:
    """A zone that is not left to interpretation: bare digits are refused."""
    if text[:1].isdigit():
        raise SqlError(
            "22023",
            f'invalid input syntax for type numeric time zone: "{text}"',
            hint='Numeric time zones must have "-" or "+" as first character.',
        )
    if text[:1] in ("+", "-"):
        offset = parse_fixed_offset(text)
        if offset is None:
            raise SqlError("22023", f'invalid input syntax for type numeric time zone: "{text}"')
        if abs(offset) >= 16 * 3600:
            raise SqlError("22023", f'numeric time zone "{text}" out of range')
        return FixedZone("", offset)
    return zone_by_name(text)


# PostgreSQL 16 lets an overflow of years and months wrap around; we report it, as its successors do.
@scalar("make_interval(int4,int4,int4,int4,int4,int4,float8)")
def make_interval(years: int, months: int, weeks: int, days: int, hours: int, minutes: int, seconds: float) -> Interval:
    if not math.isfinite(seconds):
        raise interval_out_of_range()
    time = (hours * 60 + minutes) * 60 * MICROSECONDS_PER_SECOND + round(seconds * MICROSECONDS_PER_SECOND)
    return checked_interval(years * 12 + months, weeks * 7 + days, time)


# AT TIME ZONE


@scalar("timezone(text,timestamp)")
def timestamp_at_zone(zone: str, value: int) -> int:
    return value if is_infinite_timestamp(value) else _to_utc(value, zone_by_name(zone))


@scalar("timezone(text,timestamptz)")
def timestamptz_at_zone(zone: str, value: int) -> int:
    return value if is_infinite_timestamp(value) else _to_local(value, zone_by_name(zone))


def _to_utc(value: int, zone: Zone) -> int:
    return local_to_utc(value, zone)


def _to_local(value: int, zone: Zone) -> int:
    return check_timestamp(utc_to_local(value, zone))


@scalar("timezone(text,timetz)", context=True)
def timetz_at_zone(context: Context, zone: str, value: tuple[int, int]) -> tuple[int, int]:
    return _timetz_in(value, zone_by_name(zone).offset_at(context.transaction_timestamp))


def _timetz_in(value: tuple[int, int], offset: int) -> tuple[int, int]:
    time = value[0] + (value[1] + offset) * MICROSECONDS_PER_SECOND
    return time % MICROSECONDS_PER_DAY, -offset


def _interval_offset(span: Interval) -> int:
    if span[0] or span[1]:
        raise SqlError("22023", f'interval time zone "{format_interval(span)}" must not include months or days')
    return int(span[2] / MICROSECONDS_PER_SECOND)


@scalar("timezone(interval,timestamp)")
def timestamp_at_offset(span: Interval, value: int) -> int:
    return value if is_infinite_timestamp(value) else _to_utc(value, FixedZone("", _interval_offset(span)))


@scalar("timezone(interval,timestamptz)")
def timestamptz_at_offset(span: Interval, value: int) -> int:
    return value if is_infinite_timestamp(value) else _to_local(value, FixedZone("", _interval_offset(span)))


@scalar("timezone(interval,timetz)")
def timetz_at_offset(span: Interval, value: tuple[int, int]) -> tuple[int, int]:
    return _timetz_in(value, _interval_offset(span))


# age


@scalar("age(timestamp,timestamp)")
def timestamp_age(left: int, right: int) -> Interval:
    """Years, months, days and time between two moments, as one would count them on a calendar.

    PostgreSQL 16 takes infinity for the last moment that its timestamps can hold, and refuses only -infinity.
    """
    if TIMESTAMP_NEGATIVE_INFINITY in (left, right):
        raise timestamp_out_of_range()
    sign = 1 if left >= right else -1
    left_days, left_time = divmod(left, MICROSECONDS_PER_DAY)
    right_days, right_time = divmod(right, MICROSECONDS_PER_DAY)
    left_year, left_month, left_day = civil_from_days(left_days)
    right_year, right_month, right_day = civil_from_days(right_days)
    months = sign * ((left_year - right_year) * 12 + left_month - right_month)
    days = sign * (left_day - right_day)
    time = sign * (left_time - right_time)
    if time < 0:
        time += MICROSECONDS_PER_DAY
        days -= 1
    while days < 0:
        days += days_in_month(left_year, left_month) if sign < 0 else days_in_month(right_year, right_month)
        months -= 1
    return Interval(sign * months, sign * days, sign * time)


@scalar("age(timestamptz,timestamptz)", context=True)
def timestamptz_age(context: Context, left: int, right: int) -> Interval:
    if TIMESTAMP_NEGATIVE_INFINITY in (left, right):
        raise timestamp_out_of_range()
    zone = context_zone(context)
    return timestamp_age(utc_to_local(left, zone), utc_to_local(right, zone))


@scalar("age(timestamp)", context=True)
def timestamp_age_today(context: Context, value: int) -> Interval:
    return timestamp_age(date_to_timestamp(today(context)), value)


@scalar("age(timestamptz)", context=True)
def timestamptz_age_today(context: Context, value: int) -> Interval:
    if value == TIMESTAMP_NEGATIVE_INFINITY:
        raise timestamp_out_of_range()
    return timestamp_age(date_to_timestamp(today(context)), utc_to_local(value, context_zone(context)))


# date_bin


@scalar("date_bin(interval,timestamp,timestamp)", "date_bin(interval,timestamptz,timestamptz)")
def date_bin(stride: Interval, value: int, origin: int) -> int:
    if is_infinite_timestamp(value):
        return value
    if is_infinite_timestamp(origin):
        raise SqlError("22008", "origin out of range")
    if stride[0]:
        raise SqlError("0A000", "timestamps cannot be binned into intervals containing months or years")
    width = stride[1] * MICROSECONDS_PER_DAY + stride[2]
    if width <= 0:
        raise SqlError("22008", "stride must be greater than zero")
    difference = value - origin
    if not -(2**63) <= difference < 2**63 or width >= 2**63:
        raise interval_out_of_range()
    return check_timestamp(origin + difference // width * width)


# OVERLAPS


def overlaps(start: Any, end: Any, other_start: Any, other_end: Any, key: Callable[[Any], Any]) -> bool | None:
    """SQL's OVERLAPS of two periods whose ends may be NULL or in the wrong order."""
    first, second = _period(start, end, key), _period(other_start, other_end, key)
    if first is None or second is None:
        return None
    (one, one_end), (two, two_end) = first, second
    if key(one) == key(two):
        return None if one_end is None or two_end is None else True
    if key(one) < key(two):
        (one, one_end), (two, two_end) = second, first
    # the second period starts earlier: do they meet before it ends?
    if two_end is None:
        return None
    if key(one) < key(two_end):
        return True
    return None if one_end is None else False


def _period(start: Any, end: Any, key: Callable[[Any], Any]) -> tuple[Any, Any] | None:
    if start is None:
        return None if end is None else (end, None)
    if end is None:
        return start, None
    return (end, start) if key(start) > key(end) else (start, end)


def _itself(value: Any) -> Any:
    return value


def _timetz_key(value: tuple[int, int]) -> tuple[int, int]:
    return value[0] + value[1] * MICROSECONDS_PER_SECOND, value[1]


def _register_overlaps() -> None:
    def plain(start: Any, end: Any, other_start: Any, other_end: Any) -> bool | None:
        return overlaps(start, end, other_start, other_end, _itself)

    def with_zones(start: Any, end: Any, other_start: Any, other_end: Any) -> bool | None:
        return overlaps(start, end, other_start, other_end, _timetz_key)

    for name in ("time", "timestamp", "timestamptz"):
        scalar(f"overlaps({name},{name},{name},{name})")(plain)
    scalar("overlaps(timetz,timetz,timetz,timetz)")(with_zones)
    additions: dict[str, Callable[[Context, Any, Any], Any]] = {
        "time": lambda context, value, span: time_plus_interval(value, span),
        "timestamp": lambda context, value, span: timestamp_plus_interval(value, span),
        "timestamptz": timestamptz_plus_interval,
    }
    for name, add in additions.items():
        for first, second in ((True, True), (True, False), (False, True)):
            types = f"{name},{'interval' if first else name},{name},{'interval' if second else name}"
            scalar(f"overlaps({types})", context=True)(_overlaps_with_spans(add, first, second))


def _overlaps_with_spans(add: Callable[[Context, Any, Any], Any], first: bool, second: bool) -> Callable[..., Any]:
    def end_of(context: Context, start: Any, end: Any, is_span: bool) -> Any:
        if not is_span:
            return end
        return None if start is None or end is None else add(context, start, end)

    def compare(context: Context, start: Any, end: Any, other_start: Any, other_end: Any) -> bool | None:
        return overlaps(
            start,
            end_of(context, start, end, first),
            other_start,
            end_of(context, other_start, other_end, second),
            _itself,
        )

    return compare


_register_overlaps()
