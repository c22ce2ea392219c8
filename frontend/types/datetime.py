"""Calendar arithmetic and the text of dates and times.

    date         days since 2000-01-01              infinity 2147483647, -infinity -2147483648
    timestamp    microseconds since 2000-01-01      infinity 2**63 - 1, -infinity -2**63
    time         microseconds since midnight
    timetz       (microseconds, seconds west of UTC)
    interval     Interval(months, days, microseconds)

The calendar is the proleptic Gregorian one from 4714-11-24 BC to the year 294276 (dates: 5874897). Python's own datetime
reaches from 1 to 9999; other years are mapped there by 400-year cycles. Years are astronomical inside (0 is 1 BC).
"""

from __future__ import annotations

from datetime import date as python_date
from functools import lru_cache
from typing import NamedTuple

from frontend.context import Context
from frontend.errors import SqlError
from frontend.types.behaviour import Encoder
from frontend.types.zones import MICROSECONDS_PER_DAY, MICROSECONDS_PER_SECOND, Zone, session_zone

DATE_INFINITY = 2**31 - 1
DATE_NEGATIVE_INFINITY = -(2**31)
TIMESTAMP_INFINITY = 2**63 - 1
TIMESTAMP_NEGATIVE_INFINITY = -(2**63)
JULIAN_DAY_OF_EPOCH = 2451545  # of 2000-01-01
UNIX_EPOCH_DAYS = -10957  # 1970-01-01
UNIX_EPOCH_MICROSECONDS = UNIX_EPOCH_DAYS * MICROSECONDS_PER_DAY
DATE_MIN = -JULIAN_DAY_OF_EPOCH  # 4714-11-24 BC
DATE_END = 2145031949  # 5874898-01-01
TIMESTAMP_MIN = DATE_MIN * MICROSECONDS_PER_DAY
TIMESTAMP_END = 9223371331200000000  # 294277-01-01
MICROSECONDS_PER_MINUTE = 60_000_000
MICROSECONDS_PER_HOUR = 3_600_000_000
MONTH_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
DAY_NAMES = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")

_MINUTE_TEXTS = tuple(f"{minute // 60:02d}:{minute % 60:02d}" for minute in range(24 * 60 + 1))
_SECOND_TEXTS = tuple(f":{second:02d}" for second in range(60))
_ORDINAL_OF_EPOCH = python_date(2000, 1, 1).toordinal()
_CYCLE_DAYS = 146_097
_LAST_ORDINAL = python_date.max.toordinal()


class Interval(NamedTuple):
    """PostgreSQL's interval: three parts that are only related by convention (30 days, 24 hours)."""

    months: int
    days: int
    microseconds: int


def days_from_civil(year: int, month: int, day: int) -> int:
    """Days since 2000-01-01 of a date whose month and day exist; the year is astronomical."""
    if 1 <= year <= 9999:
        return python_date(year, month, day).toordinal() - _ORDINAL_OF_EPOCH
    cycles, remainder = divmod(year, 400)
    return python_date(remainder + 400, month, day).toordinal() - _ORDINAL_OF_EPOCH + (cycles - 1) * _CYCLE_DAYS


def civil_from_days(days: int) -> tuple[int, int, int]:
    """(astronomical year, month, day) of days since 2000-01-01."""
    ordinal = days + _ORDINAL_OF_EPOCH
    if 1 <= ordinal <= _LAST_ORDINAL:
        date = python_date.fromordinal(ordinal)
        return date.year, date.month, date.day
    cycles, remainder = divmod(ordinal - 1, _CYCLE_DAYS)
    date = python_date.fromordinal(remainder + 1)
    return date.year + 400 * cycles, date.month, date.day


def day_of_week(days: int) -> int:
    """0 is Sunday."""
    return (days + 6) % 7


def days_in_month(year: int, month: int) -> int:
    """28 to 31."""
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


def is_valid_civil(year: int, month: int, day: int) -> bool:
    """Whether the date exists in the calendar."""
    return 1 <= month <= 12 and 1 <= day <= days_in_month(year, month)


def timestamp_out_of_range() -> SqlError:
    """22008 of arithmetic and casts."""
    return SqlError("22008", "timestamp out of range")


def date_out_of_range() -> SqlError:
    """22008 of arithmetic and casts."""
    return SqlError("22008", "date out of range")


def interval_out_of_range() -> SqlError:
    """22008 of interval arithmetic."""
    return SqlError("22008", "interval out of range")


def check_timestamp(value: int) -> int:
    """The finite value if it is within PostgreSQL's range, else 22008."""
    if TIMESTAMP_MIN <= value < TIMESTAMP_END:
        return value
    raise timestamp_out_of_range()


def is_infinite_timestamp(value: int) -> bool:
    """Whether a timestamp is infinity or -infinity."""
    return value in (TIMESTAMP_INFINITY, TIMESTAMP_NEGATIVE_INFINITY)


def local_to_utc(local: int, zone: Zone) -> int:
    """A finite local timestamp in a zone as UTC."""
    return check_timestamp(local - zone.offset_of_local(local) * MICROSECONDS_PER_SECOND)


def utc_to_local(utc: int, zone: Zone) -> int:
    """A finite UTC timestamp as local time in a zone."""
    return utc + zone.offset_at(utc) * MICROSECONDS_PER_SECOND


def context_zone(context: Context) -> Zone:
    """The zone of the session's TimeZone setting."""
    return session_zone(context.time_zone)


def format_fraction(microseconds: int) -> str:
    """ ".5" for 500000, nothing for 0: at most six digits, trailing zeros left out."""
    return f".{microseconds:06d}".rstrip("0") if microseconds else ""


def format_time(value: int) -> str:
    """hh:mm:ss[.ffffff]"""
    minutes, rest = divmod(value, MICROSECONDS_PER_MINUTE)
    seconds, fraction = divmod(rest, MICROSECONDS_PER_SECOND)
    if fraction:
        return _MINUTE_TEXTS[minutes] + _SECOND_TEXTS[seconds] + f".{fraction:06d}".rstrip("0")
    return _MINUTE_TEXTS[minutes] + _SECOND_TEXTS[seconds]


def format_offset(east: int) -> str:
    """+hh[:mm[:ss]]"""
    sign = "-" if east < 0 else "+"
    minutes, second = divmod(abs(east), 60)
    hour, minute = divmod(minutes, 60)
    if second:
        return f"{sign}{hour:02d}:{minute:02d}:{second:02d}"
    return f"{sign}{hour:02d}:{minute:02d}" if minute else f"{sign}{hour:02d}"


def format_timetz(value: tuple[int, int]) -> str:
    """hh:mm:ss[.ffffff]+hh[:mm]"""
    return format_time(value[0]) + format_offset(-value[1])


@lru_cache(8192)
def _iso_date(days: int) -> tuple[str, str]:
    """The date, and " BC" for the end where it applies."""
    year, month, day = civil_from_days(days)
    if year > 0:
        return f"{year:04d}-{month:02d}-{day:02d}", ""
    return f"{1 - year:04d}-{month:02d}-{day:02d}", " BC"


def format_date(value: int, style: tuple[str, str] = ("ISO", "MDY")) -> str:
    """A date in the given DateStyle."""
    if value == DATE_INFINITY:
        return "infinity"
    if value == DATE_NEGATIVE_INFINITY:
        return "-infinity"
    name, order = style
    if name == "ISO":
        text, era = _iso_date(value)
        return text + era
    year, month, day = civil_from_days(value)
    shown, era = (year, "") if year > 0 else (1 - year, " BC")
    if name == "German":
        return f"{day:02d}.{month:02d}.{shown:04d}{era}"
    separator = "/" if name == "SQL" else "-"
    first, second = (day, month) if order == "DMY" else (month, day)
    return f"{first:02d}{separator}{second:02d}{separator}{shown:04d}{era}"


def format_timestamp(value: int, style: tuple[str, str] = ("ISO", "MDY"), zone: Zone | None = None) -> str:
    """A timestamp in the given DateStyle; with a zone, `value` is UTC and the zone is shown."""
    if value == TIMESTAMP_INFINITY:
        return "infinity"
    if value == TIMESTAMP_NEGATIVE_INFINITY:
        return "-infinity"
    offset = 0
    local = value
    if zone is not None:
        offset = zone.offset_at(value)
        local += offset * MICROSECONDS_PER_SECOND
    days, time = divmod(local, MICROSECONDS_PER_DAY)
    name, order = style
    if name == "ISO":
        text, era = _iso_date(days)
        return f"{text} {format_time(time)}{format_offset(offset) if zone is not None else ''}{era}"
    year, month, day = civil_from_days(days)
    shown, era = (year, "") if year > 0 else (1 - year, " BC")
    suffix = "" if zone is None else f" {zone.abbreviation_at(value)[:10]}"
    first, second = (day, month) if order == "DMY" else (month, day)
    if name == "SQL":
        return f"{first:02d}/{second:02d}/{shown:04d} {format_time(time)}{suffix}{era}"
    if name == "German":
        return f"{day:02d}.{month:02d}.{shown:04d} {format_time(time)}{suffix}{era}"
    middle = f"{day:02d} {MONTH_NAMES[month - 1]}" if order == "DMY" else f"{MONTH_NAMES[month - 1]} {day:02d}"
    return f"{DAY_NAMES[day_of_week(days)]} {middle} {format_time(time)} {shown:04d}{suffix}{era}"


def timestamp_text_encoder(context: Context) -> Encoder:
    """For rows in bulk; the ISO style is written out flat."""
    style = context.date_style
    if style[0] != "ISO":
        return lambda value: format_timestamp(value, style).encode()

    def encode(value: int) -> bytes:
        if TIMESTAMP_NEGATIVE_INFINITY < value < TIMESTAMP_INFINITY:
            days, time = divmod(value, MICROSECONDS_PER_DAY)
            text, era = _iso_date(days)
            return f"{text} {format_time(time)}{era}".encode()
        return b"infinity" if value > 0 else b"-infinity"

    return encode


def timestamptz_text_encoder(context: Context) -> Encoder:
    """For rows in bulk; the ISO style in UTC is written out flat."""
    style = context.date_style
    zone = context_zone(context)
    if style[0] != "ISO" or zone.name != "UTC":
        return lambda value: format_timestamp(value, style, zone).encode()

    def encode(value: int) -> bytes:
        if TIMESTAMP_NEGATIVE_INFINITY < value < TIMESTAMP_INFINITY:
            days, time = divmod(value, MICROSECONDS_PER_DAY)
            text, era = _iso_date(days)
            return f"{text} {format_time(time)}+00{era}".encode()
        return b"infinity" if value > 0 else b"-infinity"

    return encode


def round_microseconds(value: int, precision: int) -> int:
    """To `precision` digits of a second, half away from zero."""
    if precision >= 6:
        return value
    unit = (1_000_000, 100_000, 10_000, 1_000, 100, 10)[precision]
    return (value + unit // 2) // unit * unit if value >= 0 else -((-value + unit // 2) // unit * unit)
