"""interval: reading and writing its four styles, and its modifiers.

Input accepts PostgreSQL's units (`1 year 2 mons -3 days 04:05:06.7`), the verbose form (`@ 1 day ago`), the SQL standard
(`1-2 3 4:05:06`) and ISO 8601 (`P1Y2M3DT4H5M6.7S`, `P0001-02-03T04:05:06`). Fractions of a unit flow into the smaller parts
with 12 months a year, 30 days a month and 24 hours a day, in floating point as PostgreSQL computes them.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence

from frontend.context import Context
from frontend.errors import SqlError
from frontend.types.characters import integer_modifier
from frontend.types.datetime import (
    MICROSECONDS_PER_HOUR,
    MICROSECONDS_PER_MINUTE,
    Interval,
    format_fraction,
    interval_out_of_range,
    round_microseconds,
)
from frontend.types.datetime_input import invalid_datetime, is_known_word
from frontend.types.zones import MICROSECONDS_PER_DAY, MICROSECONDS_PER_SECOND

_UNITS: dict[str, str] = {
    word: unit
    for unit, words in {
        "microsecond": "us usec usecond useconds usecs microsecon",
        "millisecond": "ms msec msecond mseconds msecs millisecon",
        "second": "s sec second seconds secs",
        "minute": "m min mins minute minutes",
        "hour": "h hour hours hr hrs",
        "day": "d day days",
        "week": "w week weeks",
        "month": "mon mons month months",
        "year": "y year years yr yrs",
        "decade": "dec decade decades decs",
        "century": "c cent centuries century",
        "millennium": "mil mils millennia millennium",
    }.items()
    for word in words.split()
}
_TOKEN_LENGTH_MAX = 10
_SECONDS = ("second", "millisecond", "microsecond")
_CLOCK_UNITS = {
    "hour": MICROSECONDS_PER_HOUR,
    "minute": MICROSECONDS_PER_MINUTE,
    "second": MICROSECONDS_PER_SECOND,
    "millisecond": 1000,
    "microsecond": 1,
}
_MONTHS_IN = {"month": 1, "year": 12, "decade": 120, "century": 1200, "millennium": 12000}
_DAYS_IN = {"day": 1, "week": 7}

# The bits of an interval's range modifier, as PostgreSQL numbers the fields.
YEAR, MONTH, DAY, HOUR, MINUTE, SECOND = 1 << 2, 1 << 1, 1 << 3, 1 << 10, 1 << 11, 1 << 12
FULL_RANGE, FULL_PRECISION = 0x7FFF, 0xFFFF
_RANGES: dict[str, int] = {
    "YEAR": YEAR,
    "MONTH": MONTH,
    "DAY": DAY,
    "HOUR": HOUR,
    "MINUTE": MINUTE,
    "SECOND": SECOND,
    "YEAR TO MONTH": YEAR | MONTH,
    "DAY TO HOUR": DAY | HOUR,
    "DAY TO MINUTE": DAY | HOUR | MINUTE,
    "DAY TO SECOND": DAY | HOUR | MINUTE | SECOND,
    "HOUR TO MINUTE": HOUR | MINUTE,
    "HOUR TO SECOND": HOUR | MINUTE | SECOND,
    "MINUTE TO SECOND": MINUTE | SECOND,
}
_RANGE_NAMES = {mask: name.lower() for name, mask in _RANGES.items()}

_FIELD = re.compile(
    r"""\s+
    |(?P<time>[+-]?\s*\d+:\d*(?::\d*)?(?:\.\d*)?)
    |(?P<months>[+-]?\s*\d+-\d+(?![-\d]))
    |(?P<number>[+-]?\s*(?:\d+\.?\d*|\.\d+)(?![\d.]*-\d))
    |(?P<word>[a-z]+)
    |(?P<ignored>[@,])""",
    re.VERBOSE | re.ASCII,
)
# What may not follow a word directly: these would make it part of a date or of a zone's name.
_BREAKS = frozenset("-/.")
_JOINS = frozenset("+0123456789")
_SPACE = re.compile(r"\s+")
_DESIGNATED = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))([a-z])", re.ASCII)


class _FormatError(Exception):
    pass


class _RangeError(Exception):
    pass


class _Parts:
    """What has been read so far; months, days and microseconds accumulate, units may appear once."""

    def __init__(self) -> None:
        self.months = self.days = self.microseconds = 0
        self.seen: set[str] = set()

    def add(self, unit: str, whole: int, fraction: float) -> None:
        """A number of units; `fraction` has the number's sign."""
        if abs(whole) >= 2**63:
            raise _RangeError
        if unit in _CLOCK_UNITS:
            self.microseconds += whole * _CLOCK_UNITS[unit]
            self.add_fraction_of(fraction, _CLOCK_UNITS[unit])
        elif unit in _DAYS_IN:
            self.days += whole * _DAYS_IN[unit]
            self.add_days(fraction * _DAYS_IN[unit])
        elif unit == "month":
            self.months += whole
            self.add_days(fraction * 30)
        else:
            self.months += whole * _MONTHS_IN[unit]
            self.months += round(fraction * _MONTHS_IN[unit])

    def add_days(self, days: float) -> None:
        whole = int(days)
        self.days += whole
        self.add_fraction_of(days - whole, MICROSECONDS_PER_DAY)

    def add_fraction_of(self, fraction: float, microseconds: int) -> None:
        scaled = fraction * microseconds
        whole = int(scaled)
        rest = scaled - whole
        self.microseconds += whole + (1 if rest > 0.5 else -1 if rest < -0.5 else 0)

    def finish(self, negate: bool) -> Interval:
        sign = -1 if negate else 1
        months, days, microseconds = sign * self.months, sign * self.days, sign * self.microseconds
        if not -(2**31) <= months < 2**31 and -(2**31) <= months // 12 < 2**31:
            raise interval_out_of_range()
        if not (-(2**31) <= months < 2**31 and -(2**31) <= days < 2**31 and -(2**63) <= microseconds < 2**63):
            raise _RangeError
        return Interval(months, days, microseconds)


def parse_interval(text: str, typmod: int = -1, style: str = "postgres") -> Interval:
    """An interval literal; the modifier's range gives a bare number its unit. 22007 and 22015 as PostgreSQL has them."""
    body = text.strip().lower()
    fields_range = typmod >> 16 & 0x7FFF if typmod >= 0 else FULL_RANGE
    try:
        if body.startswith("p") and not body[1:2].isspace():
            value = _parse_iso(body)
        else:
            value = _parse_units(body, fields_range, style)
    except _FormatError:
        raise invalid_datetime("interval", text) from None
    except _RangeError:
        raise SqlError("22015", f'interval field value out of range: "{text}"') from None
    return interval_typmod(value, typmod, False)


def _parse_units(body: str, fields_range: int, style: str) -> Interval:
    fields: list[tuple[str, str]] = []
    position = 0
    while position < len(body):
        match = _FIELD.match(body, position)
        if match is None:
            raise _FormatError
        position = match.end()
        kind = match.lastgroup
        following = body[position : position + 1]
        if kind == "word" and (following in _BREAKS or (following in _JOINS and not is_known_word(match.group()))):
            raise _FormatError
        if kind is not None and kind != "ignored":
            fields.append((kind, _SPACE.sub("", match.group())))
    if not fields:
        raise _FormatError
    force_negative = False
    if style == "sql_standard" and fields[0][1].startswith("-"):
        force_negative = not any(field[:1] in "+-" for _, field in fields[1:])
    parts = _Parts()
    unit: str | None = None
    ago = False
    for index in range(len(fields) - 1, -1, -1):
        kind, field = fields[index]
        if kind == "word":
            unit = "ago" if field == "ago" else _UNITS.get(field[:_TOKEN_LENGTH_MAX])
            if unit is None:
                raise _FormatError
            ago = ago or unit == "ago"
            continue
        negative = field.startswith("-") or (force_negative and not field.startswith("+"))
        digits = field.lstrip("+-")
        if kind == "time":
            _once(parts, "hour", "minute", *_SECONDS)
            value = _clock(digits, fields_range)
            parts.microseconds = -value if negative else value  # replaces what fractions of later fields left
            unit = "day"
        elif kind == "months":
            years, _, months = digits.partition("-")
            if int(months) > 11:
                raise _RangeError
            _once(parts, "year", "month")
            total = int(years) * 12 + int(months)
            parts.months += -total if negative else total
            unit = "month"
        else:
            unit = unit or _unit_of_range(fields_range)
            if unit == "ago":
                raise _FormatError
            whole, fraction = _number(digits)
            _once(parts, *(_SECONDS if unit == "second" and fraction else (unit,)))
            parts.add(unit, -whole if negative else whole, -fraction if negative else fraction)
            if unit == "hour":
                unit = "day"  # what a number without a unit before hours counts
    if not parts.seen:
        raise _FormatError
    return parts.finish(ago)


def _once(parts: _Parts, *units: str) -> None:
    if any(unit in parts.seen for unit in units):
        raise _FormatError
    parts.seen.update(units)


def _number(digits: str) -> tuple[int, float]:
    whole, _, fraction = digits.partition(".")
    return int(whole or 0), float("0." + fraction) if fraction else 0.0


def _clock(field: str, fields_range: int) -> int:
    match = re.match(r"(\d+):(\d+)(?::(\d+))?(?:\.(\d*))?\Z", field)
    if match is None:
        raise _FormatError
    first, second, third, fraction = match.groups()
    if third is None and (fraction is not None or fields_range == (MINUTE | SECOND)):
        hour, minute, seconds = 0, int(first), int(second)
    else:
        hour, minute, seconds = int(first), int(second), int(third or 0)
    if minute > 59 or seconds > 60:
        raise _RangeError
    microseconds = round(float("0." + fraction) * MICROSECONDS_PER_SECOND) if fraction else 0
    return (
        hour * MICROSECONDS_PER_HOUR
        + minute * MICROSECONDS_PER_MINUTE
        + seconds * MICROSECONDS_PER_SECOND
        + microseconds
    )


def _unit_of_range(fields_range: int) -> str:
    if fields_range == YEAR:
        return "year"
    if fields_range in (MONTH, YEAR | MONTH):
        return "month"
    if fields_range == DAY:
        return "day"
    if fields_range in (HOUR, DAY | HOUR):
        return "hour"
    if fields_range in (MINUTE, HOUR | MINUTE, DAY | HOUR | MINUTE):
        return "minute"
    return "second"


def _parse_iso(body: str) -> Interval:
    date, marker, time = body[1:].partition("t")
    if not date and not marker:
        raise _FormatError
    parts = _Parts()
    if re.search(r"[a-z]", date):
        _designators(parts, date, {"y": "year", "m": "month", "w": "week", "d": "day"})
    elif date:
        match = re.match(r"([+-]?\d+)(?:-([+-]?\d+)(?:-([+-]?\d+(?:\.\d+)?))?)?\Z", date)
        basic = re.match(r"(\d{4})(\d{2})(\d{2})\Z", date)
        match = basic or match
        if match is None:
            raise _FormatError
        for unit, number in zip(("year", "month", "day"), match.groups(), strict=True):
            if number:
                whole, fraction = _number(number.lstrip("+-"))
                sign = -1 if number.startswith("-") else 1
                parts.add(unit, sign * whole, sign * fraction)
    if time:
        if re.search(r"[a-z]", time):
            _designators(parts, time, {"h": "hour", "m": "minute", "s": "second"})
        else:
            match = re.match(r"([+-]?\d+)(?::(\d+)(?::(\d+(?:\.\d*)?))?)?\Z", time)
            basic = re.match(r"(\d{2})(\d{2})(\d{2})\Z", time)
            match = basic or match
            if match is None:
                raise _FormatError
            for unit, number in zip(("hour", "minute", "second"), match.groups(), strict=True):
                if number:
                    whole, fraction = _number(number.lstrip("+-"))
                    sign = -1 if number.startswith("-") else 1
                    parts.add(unit, sign * whole, sign * fraction)
    return parts.finish(False)


def _designators(parts: _Parts, text: str, units: dict[str, str]) -> None:
    position = 0
    while position < len(text):
        match = _DESIGNATED.match(text, position)
        unit = units.get(match[2]) if match else None
        if match is None or unit is None:
            raise _FormatError
        whole, fraction = _number(match[1].lstrip("+-"))
        sign = -1 if match[1].startswith("-") else 1
        parts.add(unit, sign * whole, sign * fraction)
        position = match.end()


# text


def _divide(value: int, unit: int) -> tuple[int, int]:
    """C's division: both results have the sign of `value`."""
    quotient, remainder = divmod(abs(value), unit)
    return (-quotient, -remainder) if value < 0 else (quotient, remainder)


def interval_fields(value: Interval) -> tuple[int, int, int, int, int, int, int]:
    """(years, months, days, hours, minutes, seconds, microseconds), each part with its own sign."""
    years, months = _divide(value.months, 12)
    hours, rest = _divide(value.microseconds, MICROSECONDS_PER_HOUR)
    minutes, rest = _divide(rest, MICROSECONDS_PER_MINUTE)
    seconds, microseconds = _divide(rest, MICROSECONDS_PER_SECOND)
    return years, months, value.days, hours, minutes, seconds, microseconds


def format_interval(value: Interval, style: str = "postgres") -> str:
    """An interval in the given IntervalStyle."""
    if style == "postgres":
        return _format_postgres(value)
    if style == "iso_8601":
        return _format_iso(value)
    if style == "sql_standard":
        return _format_standard(value)
    return _format_verbose(value)


def _format_postgres(value: Interval) -> str:
    years, months, days, hours, minutes, seconds, microseconds = interval_fields(value)
    parts = []
    is_before = False
    for number, unit in ((years, "year"), (months, "mon"), (days, "day")):
        if number:
            parts.append(f"{'+' if is_before and number > 0 else ''}{number} {unit}{'' if number == 1 else 's'}")
            is_before = number < 0
    if value.microseconds or not parts:
        sign = "-" if value.microseconds < 0 else "+" if is_before else ""
        clock = f"{abs(hours):02d}:{abs(minutes):02d}:{abs(seconds):02d}{format_fraction(abs(microseconds))}"
        parts.append(sign + clock)
    return " ".join(parts)


def _format_verbose(value: Interval) -> str:
    years, months, days, hours, minutes, seconds, microseconds = interval_fields(value)
    text = "@"
    is_before: bool | None = None
    units = ((years, "year"), (months, "mon"), (days, "day"), (hours, "hour"), (minutes, "min"))
    for number, unit in units:
        if number == 0:
            continue
        if is_before is None:
            is_before = number < 0
            shown = abs(number)
        else:
            shown = -number if is_before else number
        text += f" {shown} {unit}{'' if shown == 1 else 's'}"
    if seconds or microseconds:
        negative = seconds < 0 or microseconds < 0
        if is_before is None:
            is_before, sign = negative, ""
        else:
            sign = "-" if negative != is_before else ""
        plural = "" if abs(seconds) == 1 and microseconds == 0 else "s"
        text += f" {sign}{abs(seconds)}{format_fraction(abs(microseconds))} sec{plural}"
    if is_before is None:
        text += " 0"
    return text + " ago" if is_before else text


def _format_standard(value: Interval) -> str:
    years, months, days, hours, minutes, seconds, microseconds = interval_fields(value)
    numbers = (value.months, days, value.microseconds)
    has_negative, has_positive = any(number < 0 for number in numbers), any(number > 0 for number in numbers)
    has_clock = bool(days or value.microseconds)
    if not has_negative and not has_positive:
        return "0"
    if (has_negative and has_positive) or (value.months and has_clock):
        return (
            f"{'-' if value.months < 0 else '+'}{abs(years)}-{abs(months)}"
            f" {'-' if days < 0 else '+'}{abs(days)}"
            f" {'-' if value.microseconds < 0 else '+'}{abs(hours)}:{abs(minutes):02d}:{abs(seconds):02d}"
            f"{format_fraction(abs(microseconds))}"
        )
    sign = "-" if has_negative else ""
    if value.months:
        return f"{sign}{abs(years)}-{abs(months)}"
    clock = f"{abs(hours)}:{abs(minutes):02d}:{abs(seconds):02d}{format_fraction(abs(microseconds))}"
    return f"{sign}{abs(days)} {clock}" if days else sign + clock


def _format_iso(value: Interval) -> str:
    years, months, days, hours, minutes, seconds, microseconds = interval_fields(value)
    if not (value.months or days or value.microseconds):
        return "PT0S"
    text = "P" + "".join(f"{number}{unit}" for number, unit in ((years, "Y"), (months, "M"), (days, "D")) if number)
    if value.microseconds:
        text += "T" + "".join(f"{number}{unit}" for number, unit in ((hours, "H"), (minutes, "M")) if number)
        if seconds or microseconds:
            sign = "-" if seconds < 0 or microseconds < 0 else ""
            text += f"{sign}{abs(seconds)}{format_fraction(abs(microseconds))}S"
    return text


# modifiers


def interval_typmod_in(modifiers: Sequence[str]) -> int:
    """["YEAR TO MONTH"], ["DAY TO SECOND", "3"], ["3"] (a precision alone), or PostgreSQL's numeric range mask."""
    if len(modifiers) not in (1, 2):
        raise SqlError("22023", "invalid INTERVAL type modifier")
    first = modifiers[0].upper()
    mask = _RANGES.get(first)
    precision = integer_modifier(modifiers[1]) if len(modifiers) == 2 else FULL_PRECISION
    if mask is None:
        number = integer_modifier(modifiers[0])
        if len(modifiers) == 1 and number not in _RANGE_NAMES or len(modifiers) == 1 and number <= 6:
            mask, precision = FULL_RANGE, number
        else:
            mask = number
    if mask == FULL_RANGE and precision == FULL_PRECISION:
        return -1
    if precision != FULL_PRECISION:
        if precision < 0:
            raise SqlError("22023", f"INTERVAL({precision}) precision must not be negative")
        precision = min(precision, 6)
    return mask << 16 | precision


def interval_typmod_out(typmod: int) -> str:
    """ " year to month", "(3)", " second(3)"."""
    if typmod < 0:
        return ""
    fields_range, precision = typmod >> 16 & 0x7FFF, typmod & 0xFFFF
    name = _RANGE_NAMES.get(fields_range)
    text = f" {name}" if name is not None else ""
    return text + (f"({precision})" if precision != FULL_PRECISION else "")


def interval_typmod(value: Interval, typmod: int, explicit: bool) -> Interval:
    """Drop the fields below the modifier's range and round the seconds."""
    if typmod < 0:
        return value
    fields_range, precision = typmod >> 16 & 0x7FFF, typmod & 0xFFFF
    months, days, microseconds = value
    if fields_range == YEAR:
        return Interval(months - _divide(months, 12)[1], 0, 0)
    if fields_range in (MONTH, YEAR | MONTH):
        return Interval(months, 0, 0)
    if fields_range == DAY:
        return Interval(months, days, 0)
    if fields_range in (HOUR, DAY | HOUR):
        microseconds -= _divide(microseconds, MICROSECONDS_PER_HOUR)[1]
    elif fields_range in (MINUTE, HOUR | MINUTE, DAY | HOUR | MINUTE):
        microseconds -= _divide(microseconds, MICROSECONDS_PER_MINUTE)[1]
    if precision < 6:
        microseconds = round_microseconds(microseconds, precision)
    return Interval(months, days, microseconds)


def interval_key(value: Interval) -> int:
    """What intervals compare and hash by: a month is 30 days, a day 24 hours."""
    return (value[0] * 30 + value[1]) * MICROSECONDS_PER_DAY + value[2]


_BINARY = struct.Struct(">qii")


def interval_send(value: Interval) -> bytes:
    """Binary form: microseconds, days, months."""
    return _BINARY.pack(value[2], value[1], value[0])


def interval_receive(data: bytes) -> Interval:
    """The reverse of `interval_send`; the caller has checked the length."""
    microseconds, days, months = _BINARY.unpack(data)
    return Interval(months, days, microseconds)


def interval_input(text: str, typmod: int, context: Context) -> Interval:
    """`TypeEntry.input` of interval."""
    return parse_interval(text, typmod, context.interval_style)
