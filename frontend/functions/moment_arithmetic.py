"""Dates, times and intervals: the clock, casts among them, and their arithmetic.

An interval is added in three steps: months on the calendar (the day is cut to the month's length), days on the calendar, then
microseconds. For timestamptz the first two happen in the session's (or the given) time zone, so that "+ 1 day" is the same
hour tomorrow also across a change of the clocks. Infinity absorbs what is added to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from frontend.context import Context
from frontend.errors import SqlError
from frontend.functions.numbers import division_by_zero
from frontend.functions.registry import scalar
from frontend.types.datetime import (
    DATE_END,
    DATE_INFINITY,
    DATE_MIN,
    DATE_NEGATIVE_INFINITY,
    DAY_NAMES,
    MONTH_NAMES,
    TIMESTAMP_INFINITY,
    TIMESTAMP_NEGATIVE_INFINITY,
    Interval,
    check_timestamp,
    civil_from_days,
    context_zone,
    date_out_of_range,
    day_of_week,
    days_from_civil,
    days_in_month,
    format_time,
    interval_out_of_range,
    is_infinite_timestamp,
    local_to_utc,
    utc_to_local,
)
from frontend.types.interval import interval_typmod
from frontend.types.moments import time_typmod, timestamp_typmod, timetz_typmod
from frontend.types.zones import MICROSECONDS_PER_DAY, MICROSECONDS_PER_SECOND, Zone, session_zone, zone_by_name

_INT32_MIN, _INT32_MAX = -(2**31), 2**31 - 1
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
_DAYS_PER_MONTH = 30
_SECONDS_PER_DAY = 86400


# the clock


@scalar("now()", "transaction_timestamp()", context=True)
def now(context: Context) -> int:
    return context.transaction_timestamp


@scalar("statement_timestamp()", context=True)
def statement_timestamp(context: Context) -> int:
    return context.statement_timestamp


@scalar("clock_timestamp()", context=True)
def clock_timestamp(context: Context) -> int:
    return context.clock_timestamp()


@scalar("timeofday()", context=True)
def time_of_day(context: Context) -> str:
    zone, moment = context_zone(context), context.clock_timestamp()
    days, time = divmod(utc_to_local(moment, zone), MICROSECONDS_PER_DAY)
    year, month, day = civil_from_days(days)
    fraction = time % MICROSECONDS_PER_SECOND
    clock = f"{format_time(time - fraction)}.{fraction:06d}"
    weekday = DAY_NAMES[day_of_week(days)]
    return f"{weekday} {MONTH_NAMES[month - 1]} {day:02d} {clock} {year:04d} {zone.abbreviation_at(moment)}"


# casts


@scalar("timestamp(date)")
def date_to_timestamp(value: int) -> int:
    if value == DATE_INFINITY:
        return TIMESTAMP_INFINITY
    if value == DATE_NEGATIVE_INFINITY:
        return TIMESTAMP_NEGATIVE_INFINITY
    try:
        return check_timestamp(value * MICROSECONDS_PER_DAY)
    except SqlError:
        raise SqlError("22008", "date out of range for timestamp") from None


@scalar("timestamptz(date)", context=True)
def date_to_timestamptz(context: Context, value: int) -> int:
    local = date_to_timestamp(value)
    return local if is_infinite_timestamp(local) else local_to_utc(local, context_zone(context))


@scalar("timestamptz(timestamp)", context=True)
def timestamp_to_timestamptz(context: Context, value: int) -> int:
    return value if is_infinite_timestamp(value) else local_to_utc(value, context_zone(context))


@scalar("timestamp(timestamptz)", context=True)
def timestamptz_to_timestamp(context: Context, value: int) -> int:
    # HOT, since columns of type timestamp are often filled with now(): `utc_to_local` without calls.
    if value in (TIMESTAMP_INFINITY, TIMESTAMP_NEGATIVE_INFINITY):
        return value
    return value + session_zone(context.time_zone).offset_at(value) * MICROSECONDS_PER_SECOND


@scalar("date(timestamp)")
def timestamp_to_date(value: int) -> int:
    if is_infinite_timestamp(value):
        return DATE_INFINITY if value > 0 else DATE_NEGATIVE_INFINITY
    return value // MICROSECONDS_PER_DAY


@scalar("date(timestamptz)", context=True)
def timestamptz_to_date(context: Context, value: int) -> int:
    return timestamp_to_date(timestamptz_to_timestamp(context, value))


@scalar("time(timestamp)")
def timestamp_to_time(value: int) -> int | None:
    return None if is_infinite_timestamp(value) else value % MICROSECONDS_PER_DAY


@scalar("time(timestamptz)", context=True)
def timestamptz_to_time(context: Context, value: int) -> int | None:
    return timestamp_to_time(timestamptz_to_timestamp(context, value))


@scalar("timetz(timestamptz)", context=True)
def timestamptz_to_timetz(context: Context, value: int) -> tuple[int, int] | None:
    if is_infinite_timestamp(value):
        return None
    offset = context_zone(context).offset_at(value)
    return (value + offset * MICROSECONDS_PER_SECOND) % MICROSECONDS_PER_DAY, -offset


@scalar("timetz(time)", context=True)
def time_to_timetz(context: Context, value: int) -> tuple[int, int]:
    zone = context_zone(context)
    today = utc_to_local(context.transaction_timestamp, zone) // MICROSECONDS_PER_DAY
    return value, -zone.offset_of_local(today * MICROSECONDS_PER_DAY + value)


@scalar("time(timetz)")
def timetz_to_time(value: tuple[int, int]) -> int:
    return value[0]


@scalar("interval(time)")
def time_to_interval(value: int) -> Interval:
    return Interval(0, 0, value)


@scalar("time(interval)")
def interval_to_time(value: Interval) -> int:
    return value[2] % MICROSECONDS_PER_DAY


def _fit(apply: Callable[[Any, int, bool], Any]) -> Callable[[Any, int], Any]:
    return lambda value, typmod: apply(value, typmod, True)


scalar("timestamp(timestamp,int4)", "timestamptz(timestamptz,int4)")(_fit(timestamp_typmod))
scalar("time(time,int4)")(_fit(time_typmod))
scalar("timetz(timetz,int4)")(_fit(timetz_typmod))
scalar("interval(interval,int4)")(_fit(interval_typmod))


@scalar("to_timestamp(float8)")
def float_to_timestamptz(value: float) -> int:
    if math.isinf(value):
        return TIMESTAMP_INFINITY if value > 0 else TIMESTAMP_NEGATIVE_INFINITY
    if value != value:
        raise SqlError("22008", "timestamp cannot be NaN")
    seconds = value - 946684800
    try:
        return check_timestamp(round(seconds * MICROSECONDS_PER_SECOND))
    except (SqlError, OverflowError):
        raise SqlError("22008", f'timestamp out of range: "{value:g}"') from None


# combining


@scalar("datetime_pl(date,time)", "timestamp(date,time)")
def date_plus_time(date: int, time: int) -> int:
    value = date_to_timestamp(date)
    return value if is_infinite_timestamp(value) else check_timestamp(value + time)


@scalar("timedate_pl(time,date)")
def time_plus_date(time: int, date: int) -> int:
    return date_plus_time(date, time)


@scalar("timestamptz(date,time)", context=True)
def date_and_time_to_timestamptz(context: Context, date: int, time: int) -> int:
    return timestamp_to_timestamptz(context, date_plus_time(date, time))


@scalar("datetimetz_pl(date,timetz)", "timestamptz(date,timetz)")
def date_plus_timetz(date: int, time: tuple[int, int]) -> int:
    value = date_to_timestamp(date)
    if is_infinite_timestamp(value):
        return value
    return check_timestamp(value + time[0] + time[1] * MICROSECONDS_PER_SECOND)


@scalar("timetzdate_pl(timetz,date)")
def timetz_plus_date(time: tuple[int, int], date: int) -> int:
    return date_plus_timetz(date, time)


# dates


def _check_date(value: int) -> int:
    if DATE_MIN <= value < DATE_END:
        return value
    raise date_out_of_range()


def _is_infinite_date(value: int) -> bool:
    return value in (DATE_INFINITY, DATE_NEGATIVE_INFINITY)


@scalar("date_pli(date,int4)")
def date_plus_days(date: int, days: int) -> int:
    return date if _is_infinite_date(date) else _check_date(date + days)


@scalar("integer_pl_date(int4,date)")
def days_plus_date(days: int, date: int) -> int:
    return date_plus_days(date, days)


@scalar("date_mii(date,int4)")
def date_minus_days(date: int, days: int) -> int:
    return date if _is_infinite_date(date) else _check_date(date - days)


@scalar("date_mi(date,date)")
def date_minus_date(left: int, right: int) -> int:
    if _is_infinite_date(left) or _is_infinite_date(right):
        raise SqlError("22008", "cannot subtract infinite dates")
    return left - right


@scalar("date_pl_interval(date,interval)")
def date_plus_interval(date: int, span: Interval) -> int:
    return timestamp_plus_interval(date_to_timestamp(date), span)


@scalar("date_mi_interval(date,interval)")
def date_minus_interval(date: int, span: Interval) -> int:
    return timestamp_minus_interval(date_to_timestamp(date), span)


@scalar("interval_pl_date(interval,date)")
def interval_plus_date(span: Interval, date: int) -> int:
    return date_plus_interval(date, span)


# timestamps


def add_months(days: int, months: int) -> int:
    """A date some months away, its day cut to the month's length."""
    year, month, day = civil_from_days(days)
    year, month = divmod(year * 12 + month - 1 + months, 12)
    return days_from_civil(year, month + 1, min(day, days_in_month(year, month + 1)))


def _add_calendar(local: int, span: Interval) -> int:
    """The months and days of an interval added to a local timestamp."""
    days, time = divmod(local, MICROSECONDS_PER_DAY)
    if span[0]:
        days = add_months(days, span[0])
        check_timestamp(days * MICROSECONDS_PER_DAY + time)
    return check_timestamp((days + span[1]) * MICROSECONDS_PER_DAY + time)


@scalar("timestamp_pl_interval(timestamp,interval)")
def timestamp_plus_interval(value: int, span: Interval) -> int:
    if is_infinite_timestamp(value):
        return value
    if span[0] or span[1]:
        value = _add_calendar(value, span)
    return check_timestamp(value + span[2])


@scalar("timestamp_mi_interval(timestamp,interval)")
def timestamp_minus_interval(value: int, span: Interval) -> int:
    return timestamp_plus_interval(value, _negated(span))


@scalar("interval_pl_timestamp(interval,timestamp)")
def interval_plus_timestamp(span: Interval, value: int) -> int:
    return timestamp_plus_interval(value, span)


def timestamptz_plus_interval_in(zone: Zone, value: int, span: Interval) -> int:
    """A UTC timestamp plus an interval whose months and days count in a zone."""
    if is_infinite_timestamp(value):
        return value
    if span[0]:
        local = utc_to_local(value, zone)
        value = local_to_utc(_add_calendar(local, Interval(span[0], 0, 0)), zone)
    if span[1]:
        local = utc_to_local(value, zone)
        value = local_to_utc(_add_calendar(local, Interval(0, span[1], 0)), zone)
    return check_timestamp(value + span[2])


@scalar("timestamptz_pl_interval(timestamptz,interval)", "date_add(timestamptz,interval)", context=True)
def timestamptz_plus_interval(context: Context, value: int, span: Interval) -> int:
    return timestamptz_plus_interval_in(context_zone(context), value, span)


@scalar("timestamptz_mi_interval(timestamptz,interval)", "date_subtract(timestamptz,interval)", context=True)
def timestamptz_minus_interval(context: Context, value: int, span: Interval) -> int:
    return timestamptz_plus_interval_in(context_zone(context), value, _negated(span))


@scalar("date_add(timestamptz,interval,text)")
def timestamptz_plus_interval_at_zone(value: int, span: Interval, zone: str) -> int:
    return timestamptz_plus_interval_in(zone_by_name(zone), value, span)


@scalar("date_subtract(timestamptz,interval,text)")
def timestamptz_minus_interval_at_zone(value: int, span: Interval, zone: str) -> int:
    return timestamptz_plus_interval_in(zone_by_name(zone), value, _negated(span))


@scalar("interval_pl_timestamptz(interval,timestamptz)", context=True)
def interval_plus_timestamptz(context: Context, span: Interval, value: int) -> int:
    return timestamptz_plus_interval(context, value, span)


@scalar("timestamp_mi(timestamp,timestamp)", "timestamptz_mi(timestamptz,timestamptz)")
def timestamp_minus_timestamp(left: int, right: int) -> Interval:
    if is_infinite_timestamp(left) or is_infinite_timestamp(right):
        raise SqlError("22008", "cannot subtract infinite timestamps")
    difference = left - right
    if not _INT64_MIN <= difference <= _INT64_MAX:
        raise interval_out_of_range()
    return justify_hours(Interval(0, 0, difference))


# times


@scalar("time_pl_interval(time,interval)")
def time_plus_interval(time: int, span: Interval) -> int:
    return (time + span[2]) % MICROSECONDS_PER_DAY


@scalar("time_mi_interval(time,interval)")
def time_minus_interval(time: int, span: Interval) -> int:
    return (time - span[2]) % MICROSECONDS_PER_DAY


@scalar("interval_pl_time(interval,time)")
def interval_plus_time(span: Interval, time: int) -> int:
    return time_plus_interval(time, span)


@scalar("time_mi_time(time,time)")
def time_minus_time(left: int, right: int) -> Interval:
    return Interval(0, 0, left - right)


@scalar("timetz_pl_interval(timetz,interval)")
def timetz_plus_interval(time: tuple[int, int], span: Interval) -> tuple[int, int]:
    return time_plus_interval(time[0], span), time[1]


@scalar("timetz_mi_interval(timetz,interval)")
def timetz_minus_interval(time: tuple[int, int], span: Interval) -> tuple[int, int]:
    return time_minus_interval(time[0], span), time[1]


@scalar("interval_pl_timetz(interval,timetz)")
def interval_plus_timetz(span: Interval, time: tuple[int, int]) -> tuple[int, int]:
    return timetz_plus_interval(time, span)


# intervals


def checked_interval(months: int, days: int, microseconds: int) -> Interval:
    """The interval, or 22008 where a part does not fit."""
    if (
        _INT32_MIN <= months <= _INT32_MAX
        and _INT32_MIN <= days <= _INT32_MAX
        and _INT64_MIN <= microseconds <= _INT64_MAX
    ):
        return Interval(months, days, microseconds)
    raise interval_out_of_range()


def _negated(span: Interval) -> Interval:
    return Interval(-span[0], -span[1], -span[2])


@scalar("interval_um(interval)")
def interval_negate(value: Interval) -> Interval:
    return checked_interval(-value[0], -value[1], -value[2])


@scalar("interval_pl(interval,interval)")
def interval_plus_interval(left: Interval, right: Interval) -> Interval:
    return checked_interval(left[0] + right[0], left[1] + right[1], left[2] + right[2])


@scalar("interval_mi(interval,interval)")
def interval_minus_interval(left: Interval, right: Interval) -> Interval:
    return checked_interval(left[0] - right[0], left[1] - right[1], left[2] - right[2])


def _whole_and_rest(value: float) -> tuple[int, float]:
    if value != value or not _INT32_MIN <= value <= _INT32_MAX:
        raise interval_out_of_range()
    return int(value), value - int(value)


def _to_microsecond(value: float) -> float:
    return round(value * 1_000_000.0) / 1_000_000.0


def _scaled(months: float, days: float, microseconds: float) -> Interval:
    """Parts after multiplication: fractions of months become days, fractions of days seconds."""
    whole_months, month_rest = _whole_and_rest(months)
    whole_days, day_rest = _whole_and_rest(days)
    rest_days = _to_microsecond(month_rest * _DAYS_PER_MONTH)
    seconds = _to_microsecond((day_rest + rest_days - int(rest_days)) * _SECONDS_PER_DAY)
    if abs(seconds) >= _SECONDS_PER_DAY:
        whole_days += int(seconds / _SECONDS_PER_DAY)
        seconds -= int(seconds / _SECONDS_PER_DAY) * _SECONDS_PER_DAY
    total = microseconds + seconds * MICROSECONDS_PER_SECOND
    if total != total or math.isinf(total):
        raise interval_out_of_range()
    return checked_interval(whole_months, whole_days + int(rest_days), round(total))


@scalar("interval_mul(interval,float8)")
def interval_multiply(span: Interval, factor: float) -> Interval:
    return _scaled(span[0] * factor, span[1] * factor, span[2] * factor)


@scalar("mul_d_interval(float8,interval)")
def multiply_interval(factor: float, span: Interval) -> Interval:
    return interval_multiply(span, factor)


@scalar("interval_div(interval,float8)")
def interval_divide(span: Interval, divisor: float) -> Interval:
    if divisor == 0.0:
        raise division_by_zero()
    return _scaled(span[0] / divisor, span[1] / divisor, span[2] / divisor)


def _carry(larger: int, smaller: int, unit: int) -> tuple[int, int]:
    """Whole units of the smaller part moved to the larger, towards zero."""
    whole = abs(smaller) // unit
    whole = -whole if smaller < 0 else whole
    return larger + whole, smaller - whole * unit


def _same_sign(larger: int, smaller: int, unit: int) -> tuple[int, int]:
    if larger > 0 and smaller < 0:
        return larger - 1, smaller + unit
    if larger < 0 and smaller > 0:
        return larger + 1, smaller - unit
    return larger, smaller


@scalar("justify_hours(interval)")
def justify_hours(value: Interval) -> Interval:
    days, time = _same_sign(*_carry(value[1], value[2], MICROSECONDS_PER_DAY), MICROSECONDS_PER_DAY)
    return checked_interval(value[0], days, time)


@scalar("justify_days(interval)")
def justify_days(value: Interval) -> Interval:
    months, days = _same_sign(*_carry(value[0], value[1], _DAYS_PER_MONTH), _DAYS_PER_MONTH)
    return checked_interval(months, days, value[2])


@scalar("justify_interval(interval)")
def justify_interval(value: Interval) -> Interval:
    days, time = _carry(value[1], value[2], MICROSECONDS_PER_DAY)
    months, days = _carry(value[0], days, _DAYS_PER_MONTH)
    if months > 0 and (days < 0 or (days == 0 and time < 0)):
        months, days = months - 1, days + _DAYS_PER_MONTH
    elif months < 0 and (days > 0 or (days == 0 and time > 0)):
        months, days = months + 1, days - _DAYS_PER_MONTH
    days, time = _same_sign(days, time, MICROSECONDS_PER_DAY)
    return checked_interval(months, days, time)


@scalar("isfinite(date)")
def is_finite_date(value: int) -> bool:
    return not _is_infinite_date(value)


@scalar("isfinite(timestamp)", "isfinite(timestamptz)")
def is_finite_timestamp(value: int) -> bool:
    return not is_infinite_timestamp(value)


@scalar("isfinite(interval)")
def is_finite_interval(value: Interval) -> bool:
    return True
