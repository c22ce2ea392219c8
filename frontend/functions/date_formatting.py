"""to_char for dates and times (PostgreSQL's manual, 9.8, tables 9.26 and 9.27); reading is in `date_parsing`.

    template ─▶ parse (cached) ─▶ nodes: a pattern with its modifiers, or one literal character
    timestamp ─▶ Fields (broken-down local time) ─▶ one writer a pattern (`_WRITERS`)

Names are English and unaffected by TM: the locale is C. Intervals go through the same writers, except those that need a
calendar date.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import fmod

from frontend.context import Context
from frontend.errors import SqlError
from frontend.functions.number_formatting import ordinal_suffix
from frontend.functions.registry import scalar
from frontend.types.datetime import (
    Interval,
    civil_from_days,
    context_zone,
    day_of_week,
    days_from_civil,
    is_infinite_timestamp,
    utc_to_local,
)
from frontend.types.zones import MICROSECONDS_PER_DAY, MICROSECONDS_PER_SECOND

JULIAN_OF_EPOCH = 2451545  # 2000-01-01
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
ROMAN_MONTHS = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII")
_NAME_WIDTH = 9  # September, Wednesday

# Longer patterns before those that they begin with; names in capitals match in lower case too.
_PATTERNS = (
    "A.D.", "A.M.", "AD", "AM", "B.C.", "BC", "CC", "DAY", "DDD", "DD", "DY", "D", "FF1", "FF2", "FF3", "FF4", "FF5",
    "FF6", "FX", "HH24", "HH12", "HH", "IDDD", "ID", "IW", "IYYY", "IYY", "IY", "I", "J", "MI", "MM", "MONTH", "MON",
    "MS", "OF", "P.M.", "PM", "Q", "RM", "SSSSS", "SSSS", "SS", "TZH", "TZM", "TZ", "US", "WW", "W", "Y,YYY", "YYYY",
    "YYY", "YY", "Y",
)  # fmt: skip
_SPELLINGS = [spelling for pattern in _PATTERNS for spelling in (pattern, pattern.lower())]
_SPELLINGS += ["Month", "Mon", "Day", "Dy"]
_SPELLINGS.sort(key=lambda spelling: -len(spelling))
_TOKEN = re.compile(
    r"(?P<prefix>(?:FM|fm|TM|tm)*)(?P<key>" + "|".join(map(re.escape, _SPELLINGS)) + r")(?P<suffix>TH|th|SP)?"
    r'|(?:FM|fm|TM|tm)+|"(?P<quoted>(?:\\.|[^"\\])*)"?|\\(?P<escaped>")|(?P<other>.)',
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Node:
    """A pattern (`key` as spelled, `pattern` in capitals) or, with an empty key, one literal character."""

    key: str
    pattern: str
    fill_mode: bool
    fill_name: bool  # names come without padding: FM or TM
    suffix: str
    literal: str
    quoted: bool


@lru_cache(maxsize=512)
def parse_template(text: str) -> tuple[Node, ...]:
    """The template's nodes."""
    nodes: list[Node] = []
    for token in _TOKEN.finditer(text):
        if token["key"] is not None:
            prefix, key = token["prefix"].upper(), token["key"]
            nodes.append(Node(key, key.upper(), "FM" in prefix, bool(prefix), token["suffix"] or "", "", False))
        elif token["quoted"] is not None:
            literal = re.sub(r"\\(.)", r"\1", token["quoted"], flags=re.DOTALL)
            nodes.extend(Node("", "", False, False, "", character, True) for character in literal)
        elif token["escaped"] or token["other"]:
            nodes.append(
                Node("", "", False, False, "", token["escaped"] or token["other"], token["escaped"] is not None)
            )
    return tuple(nodes)


@dataclass(slots=True)
class Fields:
    """A broken-down time. For timestamps `days` counts from 2000-01-01; an interval has no date (`is_interval`)."""

    year: int
    month: int
    day: int
    hour: int
    minute: int
    second: int
    microsecond: int
    days: int
    is_interval: bool = False
    zone_offset: int | None = None  # seconds east of UTC, None without a zone
    zone_name: str = ""


# ── ISO weeks ───────────────────────────────────────────────────────────────────────────────────────────────────────


def first_iso_day(year: int) -> int:
    """The Monday on which an ISO year begins, as days since 2000-01-01."""
    fourth = days_from_civil(year, 1, 4)
    return fourth - (day_of_week(fourth) + 6) % 7


def iso_year_and_week(days: int) -> tuple[int, int]:
    """The ISO year and week of a date."""
    year = civil_from_days(days)[0] + 1
    while days < first_iso_day(year):
        year -= 1
    return year, (days - first_iso_day(year)) // 7 + 1


# ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _padded(value: int, width: int, node: Node) -> str:
    """The number with leading zeros up to `width` digits, one more place for a sign; bare with FM."""
    if node.fill_mode:
        return str(value)
    return f"{value:0{width + (value < 0)}d}"


def _cased(text: str, node: Node) -> str:
    """A name in the case in which its pattern is written."""
    if node.key.isupper():
        return text.upper()
    return text.lower() if node.key.islower() else text


def _name(text: str, node: Node) -> str:
    return _cased(text, node) if node.fill_name else _cased(text, node).ljust(_NAME_WIDTH)


def _shown_year(fields: Fields, year: int) -> int:
    return year if fields.is_interval or year > 0 else 1 - year


def _days(fields: Fields) -> int:
    """Days since 2000-01-01; an interval's parts are read as if they were a date's."""
    if not fields.is_interval:
        return fields.days
    year, month = divmod(fields.year * 12 + fields.month - 1, 12)
    return days_from_civil(year, month + 1, 1) + fields.day - 1


def _year_of(fields: Fields, node: Node) -> int:
    if node.pattern.startswith("I"):
        year = iso_year_and_week(_days(fields))[0]
    else:
        year = fields.year
    return _shown_year(fields, year)


def _calendar_only(fields: Fields) -> None:
    if fields.is_interval:
        raise SqlError(
            "22007",
            "invalid format specification for an interval value",
            hint="Intervals are not tied to specific calendar dates.",
        )


def _half_day(fields: Fields, node: Node) -> str:
    afternoon = fmod(fields.hour, 24) >= 12
    text = ("P.M." if afternoon else "A.M.") if "." in node.key else ("PM" if afternoon else "AM")
    return text if node.key.isupper() else text.lower()


def _era(fields: Fields, node: Node) -> str:
    _calendar_only(fields)
    before = fields.year <= 0
    text = ("B.C." if before else "A.D.") if "." in node.key else ("BC" if before else "AD")
    return text if node.key.isupper() else text.lower()


def _hour12(fields: Fields, node: Node) -> str:
    hour = abs(fields.hour) % 12
    return _padded((12 if hour == 0 else hour) * (-1 if fields.hour < 0 and hour else 1), 2, node)


def _year_day(fields: Fields) -> int:
    if fields.is_interval:
        return (fields.year * 12 + fields.month) * 30 + fields.day
    return fields.days - days_from_civil(fields.year, 1, 1) + 1


def _full_month(fields: Fields, node: Node) -> str:
    _calendar_only(fields)
    return _name(MONTHS[fields.month - 1], node)


def _short_month(fields: Fields, node: Node) -> str:
    _calendar_only(fields)
    return _cased(MONTHS[fields.month - 1][:3], node)


def _full_day(fields: Fields, node: Node) -> str:
    _calendar_only(fields)
    return _name(DAYS[day_of_week(fields.days)], node)


def _short_day(fields: Fields, node: Node) -> str:
    _calendar_only(fields)
    return _cased(DAYS[day_of_week(fields.days)][:3], node)


def _week_day(fields: Fields, node: Node) -> str:
    _calendar_only(fields)
    return str(day_of_week(fields.days) + 1)


def _iso_week_day(fields: Fields, node: Node) -> str:
    _calendar_only(fields)
    return str(day_of_week(fields.days) or 7)


def _iso_year_day(fields: Fields, node: Node) -> str:
    _calendar_only(fields)
    year, _ = iso_year_and_week(fields.days)
    return _padded(fields.days - first_iso_day(year) + 1, 3, node)


def _iso_week(fields: Fields, node: Node) -> str:
    _calendar_only(fields)
    return _padded(iso_year_and_week(fields.days)[1], 2, node)


def _quarter(fields: Fields, node: Node) -> str:
    return str((fields.month - 1) // 3 + 1) if fields.month else ""


def _century(fields: Fields, node: Node) -> str:
    if fields.is_interval:
        century = int(fields.year / 100)
    elif fields.year > 0:
        century = (fields.year - 1) // 100 + 1
    else:
        century = -(-fields.year // 100) - 1
    return _padded(century, 2, node) if -99 <= century <= 99 else str(century)


def _iso_year(fields: Fields, node: Node) -> str:
    year = _year_of(fields, node)
    return str(year) if node.fill_mode else f"{year:0{4 + (_shown_year(fields, fields.year) < 0)}d}"


def _year_with_comma(fields: Fields, node: Node) -> str:
    year = _shown_year(fields, fields.year)
    thousands = int(year / 1000)
    return f"{thousands},{year - thousands * 1000:03d}"


def _roman_month(fields: Fields, node: Node) -> str:
    if not fields.month and not fields.year:
        return ""
    if fields.month:
        number = fields.month - 1 if fields.month > 0 else fields.month + 12
    else:
        number = 11 if fields.year >= 0 else 0
    text = ROMAN_MONTHS[number] if node.key.isupper() else ROMAN_MONTHS[number].lower()
    return text if node.fill_mode else text.ljust(4)


def _julian(fields: Fields, node: Node) -> str:
    return str(_days(fields) + JULIAN_OF_EPOCH)


def _zone_name(fields: Fields, node: Node) -> str:
    _calendar_only(fields)
    return fields.zone_name.lower() if node.key.islower() else fields.zone_name


def _zone_offset(fields: Fields, node: Node) -> str:
    _calendar_only(fields)
    offset = fields.zone_offset or 0
    hours, minutes = divmod(abs(offset) // 60, 60)
    sign = "-" if offset < 0 else "+"
    shown = str(hours) if node.fill_mode else f"{hours:02d}"
    return f"{sign}{shown}{f':{minutes:02d}' if minutes else ''}"


def _zone_hours(fields: Fields, node: Node) -> str:
    _calendar_only(fields)
    offset = fields.zone_offset or 0
    return f"{'-' if offset < 0 else '+'}{abs(offset) // 3600:02d}"


def _zone_minutes(fields: Fields, node: Node) -> str:
    _calendar_only(fields)
    return f"{abs(fields.zone_offset or 0) % 3600 // 60:02d}"


def _fraction(digits: int) -> Callable[[Fields, Node], str]:
    divisor = 10 ** (6 - digits)

    def write(fields: Fields, node: Node) -> str:
        return f"{int(fields.microsecond / divisor):0{digits + (fields.microsecond <= -divisor)}d}"

    return write


def _year_digits(digits: int) -> Callable[[Fields, Node], str]:
    modulus = 10**digits

    def write(fields: Fields, node: Node) -> str:
        year = _year_of(fields, node)
        value = abs(year) % modulus * (-1 if year < 0 else 1)
        return str(value) if node.fill_mode else f"{value:0{digits + (value < 0)}d}"

    return write


_WRITERS: dict[str, Callable[[Fields, Node], str]] = {
    "A.M.": _half_day, "P.M.": _half_day, "AM": _half_day, "PM": _half_day,
    "A.D.": _era, "B.C.": _era, "AD": _era, "BC": _era,
    "HH": _hour12, "HH12": _hour12,
    "HH24": lambda fields, node: _padded(fields.hour, 2, node),
    "MI": lambda fields, node: _padded(fields.minute, 2, node),
    "SS": lambda fields, node: _padded(fields.second, 2, node),
    "SSSS": lambda fields, node: str(fields.hour * 3600 + fields.minute * 60 + fields.second),
    "SSSSS": lambda fields, node: str(fields.hour * 3600 + fields.minute * 60 + fields.second),
    "MS": _fraction(3), "US": _fraction(6), "FF1": _fraction(1), "FF2": _fraction(2), "FF3": _fraction(3),
    "FF4": _fraction(4), "FF5": _fraction(5), "FF6": _fraction(6),
    "TZ": _zone_name, "TZH": _zone_hours, "TZM": _zone_minutes, "OF": _zone_offset,
    "MONTH": _full_month, "MON": _short_month, "MM": lambda fields, node: _padded(fields.month, 2, node),
    "DAY": _full_day, "DY": _short_day, "DDD": lambda fields, node: _padded(_year_day(fields), 3, node),
    "IDDD": _iso_year_day, "DD": lambda fields, node: str(fields.day) if node.fill_mode else f"{fields.day:02d}", "D": _week_day, "ID": _iso_week_day,
    "WW": lambda fields, node: _padded(int((_year_day(fields) - 1) / 7) + 1, 2, node), "IW": _iso_week,
    "W": lambda fields, node: str(int((fields.day - 1) / 7) + 1), "Q": _quarter, "CC": _century,
    "Y,YYY": _year_with_comma, "YYYY": lambda fields, node: _padded(_year_of(fields, node), 4, node),
    "IYYY": _iso_year, "YYY": _year_digits(3), "IYY": _year_digits(3),
    "YY": _year_digits(2), "IY": _year_digits(2), "Y": _year_digits(1), "I": _year_digits(1),
    "RM": _roman_month, "J": _julian, "FX": lambda fields, node: "",
}  # fmt: skip
_WITHOUT_ORDINAL = frozenset(
    {
        "A.M.",
        "P.M.",
        "AM",
        "PM",
        "A.D.",
        "B.C.",
        "AD",
        "BC",
        "TZ",
        "TZH",
        "TZM",
        "OF",
        "MONTH",
        "MON",
        "DAY",
        "DY",
        "RM",
        "FX",
    }
)


def write_fields(fields: Fields, template: str) -> str:
    """The fields in the template's form."""
    result = []
    for node in parse_template(template):
        if not node.key:
            result.append(node.literal)
            continue
        text = _WRITERS[node.pattern](fields, node)
        if node.suffix in ("TH", "th") and node.pattern not in _WITHOUT_ORDINAL and text:
            suffix = ordinal_suffix(text)
            text += suffix.upper() if node.suffix == "TH" else suffix
        result.append(text)
    return "".join(result)


def fields_of(local: int) -> Fields:
    """A finite local timestamp, broken down."""
    days, rest = divmod(local, MICROSECONDS_PER_DAY)
    seconds, microsecond = divmod(rest, MICROSECONDS_PER_SECOND)
    year, month, day = civil_from_days(days)
    return Fields(year, month, day, seconds // 3600, seconds // 60 % 60, seconds % 60, microsecond, days)


@scalar("to_char(timestamp,text)")
def timestamp_to_char(value: int, template: str) -> str | None:
    if not template or is_infinite_timestamp(value):
        return None
    return write_fields(fields_of(value), template)


@scalar("to_char(timestamptz,text)", context=True)
def timestamptz_to_char(context: Context, value: int, template: str) -> str | None:
    if not template or is_infinite_timestamp(value):
        return None
    zone = context_zone(context)
    fields = fields_of(utc_to_local(value, zone))
    fields.zone_offset = zone.offset_at(value)
    fields.zone_name = zone.abbreviation_at(value)
    return write_fields(fields, template)


def _split(value: int, unit: int) -> tuple[int, int]:
    """Quotient and remainder towards zero."""
    quotient = abs(value) // unit
    return (quotient, value - quotient * unit) if value >= 0 else (-quotient, value + quotient * unit)


@scalar("to_char(interval,text)")
def interval_to_char(value: Interval, template: str) -> str | None:
    if not template:
        return None
    years, months = _split(value.months, 12)
    seconds, microseconds = _split(value.microseconds, MICROSECONDS_PER_SECOND)
    minutes, second = _split(seconds, 60)
    hour, minute = _split(minutes, 60)
    return write_fields(
        Fields(years, months, value.days, hour, minute, second, microseconds, 0, is_interval=True), template
    )
