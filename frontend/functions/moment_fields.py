"""EXTRACT, date_part and date_trunc: the fields of dates, times and intervals.

EXTRACT gives numeric (with 6 digits after the point for seconds and epochs, 3 for milliseconds), date_part the same as double
precision. A field is computed as an exact fraction (integer, scale) once, for both. Fields of infinite timestamps are NULL
where they go round (hour, month …) and infinite where they grow (year, epoch …).
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from frontend.context import Context
from frontend.errors import SqlError
from frontend.functions.numeric_operators import numeric_add, numeric_divide
from frontend.functions.registry import scalar
from frontend.types.datetime import (
    DATE_INFINITY,
    DATE_NEGATIVE_INFINITY,
    JULIAN_DAY_OF_EPOCH,
    TIMESTAMP_INFINITY,
    TIMESTAMP_NEGATIVE_INFINITY,
    UNIX_EPOCH_DAYS,
    UNIX_EPOCH_MICROSECONDS,
    Interval,
    check_timestamp,
    civil_from_days,
    context_zone,
    day_of_week,
    days_from_civil,
    is_infinite_timestamp,
    local_to_utc,
    utc_to_local,
)
from frontend.types.decimals import EXACT, INFINITY, NEGATIVE_INFINITY
from frontend.types.interval import interval_fields
from frontend.types.zones import MICROSECONDS_PER_DAY, MICROSECONDS_PER_SECOND, Zone, zone_by_name

_UNIT_WORDS: dict[str, str] = {
    "microseconds": "us usec usecond useconds usecs microsecon",
    "milliseconds": "ms msec msecond mseconds msecs millisecon",
    "second": "s sec second seconds secs",
    "minute": "m min mins minute minutes",
    "hour": "h hour hours hr hrs",
    "day": "d day days",
    "week": "w week weeks",
    "month": "mon mons month months",
    "quarter": "qtr quarter",
    "year": "y year years yr yrs",
    "decade": "dec decade decades decs",
    "century": "c cent centuries century",
    "millennium": "mil mils millennia millennium",
    "timezone": "timezone",
    "timezone_hour": "timezone_h",
    "timezone_minute": "timezone_m",
}
_FIELD_WORDS: dict[str, str] = {
    "dow": "dow",
    "isodow": "isodow",
    "doy": "doy",
    "epoch": "epoch",
    "isoyear": "isoyear",
    "julian": "julian j jd",
}
_TOKEN_LENGTH_MAX = 10
_UNITS = {word: unit for unit, words in _UNIT_WORDS.items() for word in words.split()}
_FIELDS = _UNITS | {word: unit for unit, words in _FIELD_WORDS.items() for word in words.split()}
_GROWING = frozenset({"year", "decade", "century", "millennium", "julian", "isoyear", "epoch"})
_DATE_FIELDS = _GROWING | {"day", "month", "quarter", "week", "dow", "isodow", "doy"}
_CLOCK_FIELDS = frozenset({"microseconds", "milliseconds", "second", "minute", "hour"})
_ZONE_FIELDS = frozenset({"timezone", "timezone_hour", "timezone_minute"})

# A field's value: an integer and the number of its digits that stand behind the point.
Fraction = tuple[int, int]

TIMESTAMP, TIMESTAMPTZ = "timestamp without time zone", "timestamp with time zone"
TIME, TIMETZ = "time without time zone", "time with time zone"


def _field(text: str, type_name: str, words: dict[str, str] = _FIELDS) -> str:
    unit = words.get(text.lower()[:_TOKEN_LENGTH_MAX])
    if unit is None:
        raise SqlError("22023", f'unit "{text.lower()}" not recognized for type {type_name}')
    return unit


def _not_supported(text: str, type_name: str, detail: str | None = None) -> SqlError:
    return SqlError("0A000", f'unit "{text.lower()}" not supported for type {type_name}', detail=detail)


def iso_week(days: int) -> tuple[int, int]:
    """ISO 8601's (astronomical year, week) of a date: the ones of its week's Thursday."""
    thursday = days - (days + 5) % 7 + 3
    year = civil_from_days(thursday)[0]
    return year, (thursday - days_from_civil(year, 1, 1)) // 7 + 1


def _shown_year(year: int) -> int:
    """Years before 1 AD are negative, and there is no year 0."""
    return year if year > 0 else year - 1


def _decade(year: int) -> int:
    return year // 10 if year >= 0 else -((8 - (year - 1)) // 10)


def _century(year: int) -> int:
    return (year + 99) // 100 if year > 0 else -((99 - (year - 1)) // 100)


def _millennium(year: int) -> int:
    return (year + 999) // 1000 if year > 0 else -((999 - (year - 1)) // 1000)


def _date_field(unit: str, days: int) -> int:
    """Fields that only need the date."""
    if unit == "dow":
        return day_of_week(days)
    if unit == "isodow":
        return day_of_week(days) or 7
    if unit == "week":
        return iso_week(days)[1]
    if unit == "isoyear":
        return _shown_year(iso_week(days)[0])
    year, month, day = civil_from_days(days)
    if unit == "year":
        return _shown_year(year)
    if unit == "month":
        return month
    if unit == "day":
        return day
    if unit == "quarter":
        return (month - 1) // 3 + 1
    if unit == "doy":
        return days - days_from_civil(year, 1, 1) + 1
    if unit == "decade":
        return _decade(year)
    if unit == "century":
        return _century(year)
    return _millennium(year)


def _clock_field(unit: str, time: int) -> Fraction:
    """Fields of the time of day in microseconds."""
    if unit == "hour":
        return time // (3600 * MICROSECONDS_PER_SECOND), 0
    if unit == "minute":
        return time // (60 * MICROSECONDS_PER_SECOND) % 60, 0
    seconds = time % (60 * MICROSECONDS_PER_SECOND)
    return seconds, 6 if unit == "second" else 3 if unit == "milliseconds" else 0


def _zone_field(unit: str, offset: int) -> int:
    """Fields of an offset in seconds east, truncated towards zero."""
    if unit == "timezone":
        return offset
    sign, magnitude = (-1, -offset) if offset < 0 else (1, offset)
    return sign * (magnitude // 3600 if unit == "timezone_hour" else magnitude // 60 % 60)


def _exact(value: Fraction) -> Decimal:
    return Decimal(value[0]).scaleb(-value[1], context=EXACT)


def _rough(value: Fraction) -> float:
    return float(value[0] / 10 ** value[1])


def _infinite(unit: str, positive: bool, numeric: bool) -> Decimal | float | None:
    if unit not in _GROWING:
        return None
    if numeric:
        return INFINITY if positive else NEGATIVE_INFINITY
    return float("inf") if positive else float("-inf")


def _timestamp_part(text: str, utc: int, zone: Zone | None, numeric: bool) -> Decimal | float | None:
    """A field of a timestamp; with a zone, `utc` is UTC and the fields are local."""
    type_name = TIMESTAMP if zone is None else TIMESTAMPTZ
    unit = _field(text, type_name)
    if is_infinite_timestamp(utc):
        return _infinite(unit, utc > 0, numeric)
    if unit in _ZONE_FIELDS and zone is None:
        raise _not_supported(text, type_name)
    convert: Callable[[Fraction], Decimal | float] = _exact if numeric else _rough
    if unit == "epoch":
        return convert((utc - UNIX_EPOCH_MICROSECONDS, 6))
    offset = 0 if zone is None else zone.offset_at(utc)
    if unit in _ZONE_FIELDS:
        return convert((_zone_field(unit, offset), 0))
    days, time = divmod(utc + offset * MICROSECONDS_PER_SECOND, MICROSECONDS_PER_DAY)
    if unit in _CLOCK_FIELDS:
        return convert(_clock_field(unit, time))
    if unit == "julian":
        julian = days + JULIAN_DAY_OF_EPOCH
        if numeric:
            return numeric_add(Decimal(julian), numeric_divide(Decimal(time), Decimal(MICROSECONDS_PER_DAY)))
        return julian + time / MICROSECONDS_PER_DAY
    return convert((_date_field(unit, days), 0))


@scalar("extract(text,timestamp)")
def extract_timestamp(text: str, value: int) -> Decimal | float | None:
    return _timestamp_part(text, value, None, True)


@scalar("date_part(text,timestamp)")
def timestamp_part(text: str, value: int) -> Decimal | float | None:
    return _timestamp_part(text, value, None, False)


@scalar("extract(text,timestamptz)", context=True)
def extract_timestamptz(context: Context, text: str, value: int) -> Decimal | float | None:
    return _timestamp_part(text, value, context_zone(context), True)


@scalar("date_part(text,timestamptz)", context=True)
def timestamptz_part(context: Context, text: str, value: int) -> Decimal | float | None:
    return _timestamp_part(text, value, context_zone(context), False)


@scalar("date_part(text,date)")
def date_part(text: str, value: int) -> Decimal | float | None:
    if value == DATE_INFINITY:
        return timestamp_part(text, TIMESTAMP_INFINITY)
    if value == DATE_NEGATIVE_INFINITY:
        return timestamp_part(text, TIMESTAMP_NEGATIVE_INFINITY)
    try:
        timestamp = check_timestamp(value * MICROSECONDS_PER_DAY)
    except SqlError:
        raise SqlError("22008", "date out of range for timestamp") from None
    return timestamp_part(text, timestamp)


@scalar("extract(text,date)")
def extract_date(text: str, value: int) -> Decimal | float | None:
    unit = _field(text, "date")
    if unit not in _DATE_FIELDS:
        raise _not_supported(text, "date")
    if value in (DATE_INFINITY, DATE_NEGATIVE_INFINITY):
        return _infinite(unit, value > 0, True)
    if unit == "epoch":
        return Decimal((value - UNIX_EPOCH_DAYS) * 86400)
    if unit == "julian":
        return Decimal(value + JULIAN_DAY_OF_EPOCH)
    return Decimal(_date_field(unit, value))


def _time_part(text: str, time: int, west: int | None) -> Fraction:
    type_name = TIME if west is None else TIMETZ
    unit = _field(text, type_name)
    if unit in _CLOCK_FIELDS:
        return _clock_field(unit, time)
    if unit == "epoch":
        return time + (west or 0) * MICROSECONDS_PER_SECOND, 6
    if west is not None and unit in _ZONE_FIELDS:
        return _zone_field(unit, -west), 0
    raise _not_supported(text, type_name)


@scalar("extract(text,time)")
def extract_time(text: str, value: int) -> Decimal:
    return _exact(_time_part(text, value, None))


@scalar("date_part(text,time)")
def time_part(text: str, value: int) -> float:
    return _rough(_time_part(text, value, None))


@scalar("extract(text,timetz)")
def extract_timetz(text: str, value: tuple[int, int]) -> Decimal:
    return _exact(_time_part(text, *value))


@scalar("date_part(text,timetz)")
def timetz_part(text: str, value: tuple[int, int]) -> float:
    return _rough(_time_part(text, *value))


def _truncated(value: int, unit: int) -> int:
    return -(-value // unit) if value < 0 else value // unit


def _interval_part(text: str, value: Interval) -> Fraction:
    unit = _field(text, "interval")
    years, months, days, hours, minutes, seconds, microseconds = interval_fields(value)
    if unit == "epoch":
        calendar_days_by_4 = _truncated(value.months, 12) * 1461 + months * 120 + value.days * 4
        return calendar_days_by_4 * 21600 * MICROSECONDS_PER_SECOND + value.microseconds, 6
    total = seconds * MICROSECONDS_PER_SECOND + microseconds
    parts: dict[str, Fraction] = {
        "microseconds": (total, 0),
        "milliseconds": (total, 3),
        "second": (total, 6),
        "minute": (minutes, 0),
        "hour": (hours, 0),
        "day": (days, 0),
        "month": (months, 0),
        "quarter": (_truncated(months, 3) + 1, 0),
        "year": (years, 0),
        "decade": (_truncated(years, 10), 0),
        "century": (_truncated(years, 100), 0),
        "millennium": (_truncated(years, 1000), 0),
    }
    part = parts.get(unit)
    if part is None:
        raise _not_supported(text, "interval")
    return part


@scalar("extract(text,interval)")
def extract_interval(text: str, value: Interval) -> Decimal:
    return _exact(_interval_part(text, value))


@scalar("date_part(text,interval)")
def interval_part(text: str, value: Interval) -> float:
    return _rough(_interval_part(text, value))


# date_trunc

_CLOCK_UNITS = {
    "microseconds": 1,
    "milliseconds": 1000,
    "second": MICROSECONDS_PER_SECOND,
    "minute": 60 * MICROSECONDS_PER_SECOND,
    "hour": 3600 * MICROSECONDS_PER_SECOND,
}


def _truncate_days(text: str, unit: str, days: int, type_name: str) -> int:
    """A date cut to the start of its week, month, year …"""
    if unit == "day":
        return days
    if unit == "week":
        return days - (days + 5) % 7
    year, month, _ = civil_from_days(days)
    if unit == "month":
        return days_from_civil(year, month, 1)
    if unit == "quarter":
        return days_from_civil(year, (month - 1) // 3 * 3 + 1, 1)
    if unit == "year":
        pass
    elif unit == "decade":
        year = _decade(year) * 10
    elif unit == "century":
        year = _century(year) * 100 - 99 if year > 0 else _century(year) * 100 + 1
    elif unit == "millennium":
        year = _millennium(year) * 1000 - 999 if year > 0 else _millennium(year) * 1000 + 1
    else:
        raise _not_supported(text, type_name)
    return days_from_civil(year, 1, 1)


@scalar("date_trunc(text,timestamp)")
def truncate_timestamp(text: str, value: int) -> int:
    if is_infinite_timestamp(value):
        return value
    unit = _field(text, TIMESTAMP, _UNITS)
    if unit in _CLOCK_UNITS:
        return value // _CLOCK_UNITS[unit] * _CLOCK_UNITS[unit]
    days = _truncate_days(text, unit, value // MICROSECONDS_PER_DAY, TIMESTAMP)
    return check_timestamp(days * MICROSECONDS_PER_DAY)


def _truncate_in_zone(text: str, value: int, zone: Zone) -> int:
    if is_infinite_timestamp(value):
        return value
    unit = _field(text, TIMESTAMPTZ, _UNITS)
    if unit in _CLOCK_UNITS:
        offset = zone.offset_at(value) * MICROSECONDS_PER_SECOND
        return (value + offset) // _CLOCK_UNITS[unit] * _CLOCK_UNITS[unit] - offset
    days = _truncate_days(text, unit, utc_to_local(value, zone) // MICROSECONDS_PER_DAY, TIMESTAMPTZ)
    return local_to_utc(days * MICROSECONDS_PER_DAY, zone)


@scalar("date_trunc(text,timestamptz)", context=True)
def truncate_timestamptz(context: Context, text: str, value: int) -> int:
    return _truncate_in_zone(text, value, context_zone(context))


@scalar("date_trunc(text,timestamptz,text)")
def truncate_timestamptz_at_zone(text: str, value: int, zone: str) -> int:
    if is_infinite_timestamp(value):
        return value
    return _truncate_in_zone(text, value, zone_by_name(zone))


_MONTHS_IN = {"month": 1, "quarter": 3, "year": 12, "decade": 120, "century": 1200, "millennium": 12000}


@scalar("date_trunc(text,interval)")
def truncate_interval(text: str, value: Interval) -> Interval:
    unit = _field(text, "interval", _UNITS)
    months, days, time = value
    if unit in _CLOCK_UNITS:
        return Interval(months, days, _truncated(time, _CLOCK_UNITS[unit]) * _CLOCK_UNITS[unit])
    if unit == "day":
        return Interval(months, days, 0)
    if unit in _MONTHS_IN:
        return Interval(_truncated(months, _MONTHS_IN[unit]) * _MONTHS_IN[unit], 0, 0)
    detail = "Months usually have fractional weeks." if unit == "week" else None
    raise _not_supported(text, "interval", detail)
