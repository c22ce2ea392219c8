"""to_date and to_timestamp: dates and times read along a template (PostgreSQL's manual, 9.8).

The template's nodes are `date_formatting`'s. Reading is lenient as PostgreSQL's is: spaces before a field are skipped, a
separator in the template matches one separator or nothing, other literal characters each stand for any character; with FX
everything has to be where the template says. Fields are collected first (a field given twice must agree) and put together
at the end: century and short year, ISO week or Gregorian date, day of the year, Julian day.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from frontend.context import Context
from frontend.errors import SqlError
from frontend.functions.date_formatting import (
    DAYS,
    JULIAN_OF_EPOCH,
    MONTHS,
    ROMAN_MONTHS,
    Node,
    first_iso_day,
    parse_template,
)
from frontend.functions.registry import scalar
from frontend.types.datetime import (
    check_timestamp,
    civil_from_days,
    context_zone,
    date_out_of_range,
    days_from_civil,
    days_in_month,
    local_to_utc,
)
from frontend.types.zones import MICROSECONDS_PER_DAY, MICROSECONDS_PER_SECOND

_SPACE = " \t\n\r\v\f"
_INTEGER = re.compile(r"[ \t\n\r\v\f]*[+-]?[0-9]+")
_GREGORIAN = frozenset(
    {"DDD", "DD", "D", "DAY", "DY", "MM", "MONTH", "MON", "RM", "WW", "W", "Y,YYY", "YYYY", "YYY", "YY", "Y"}
)
_ISO = frozenset({"IDDD", "ID", "IW", "IYYY", "IYY", "IY", "I"})
_FIELD_OF = {
    "HH24": "hour", "MI": "minute", "SS": "second", "MM": "month", "DD": "day", "IW": "week", "WW": "week",
}  # fmt: skip
_NOT_DIGITS = frozenset(
    {"A.D.", "A.M.", "AD", "AM", "B.C.", "BC", "DAY", "DY", "FX", "MONTH", "MON", "OF", "P.M.", "PM", "RM", "TZ", "TZH"}
)


@dataclass(slots=True)
class Collected:
    """What the template's fields said; 0 where they said nothing."""

    numbers: dict[str, int] = field(default_factory=dict)
    iso: bool | None = None
    clock12: bool = False
    afternoon: bool = False
    before_christ: bool = False
    year_digits: int = 0
    fraction: int = 0  # microseconds
    zone_sign: int = 0

    def get(self, name: str) -> int:
        return self.numbers.get(name, 0)


def _bad_value(text: str, node: Node, detail: str, hint: str | None = None) -> SqlError:
    return SqlError("22007", f'invalid value "{text}" for "{node.key}"', detail=detail, hint=hint)


def _is_separator(character: str) -> bool:
    return " " < character < "\x7f" and not character.isalnum()


def _adjusted_year(year: int) -> int:
    """A year of fewer than four digits, moved next to 2020."""
    if year < 70:
        return year + 2000
    if year < 100:
        return year + 1900
    if year < 520:
        return year + 2000
    return year + 1000 if year < 1000 else year


class _Reader:
    def __init__(self, text: str, template: str) -> None:
        self.text = text
        self.nodes = parse_template(template)
        self.at = 0
        self.skipped = 0  # characters skipped that the template did not name
        self.fixed = False
        self.found = Collected()

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def skip_space(self) -> int:
        start = self.at
        while self.at < len(self.text) and self.text[self.at] in _SPACE:
            self.at += 1
        return self.at - start

    def read(self) -> Collected:
        self.fixed = any(node.pattern == "FX" for node in self.nodes)
        for place, node in enumerate(self.nodes):
            if self.at >= len(self.text):
                break
            if not self.fixed and (node.key or place == 0):
                self.skipped += self.skip_space()
            if not node.key:
                self._literal(node)
                continue
            if node.pattern == "FX":
                continue
            self._field(place, node)
            if node.suffix in ("TH", "th") and node.pattern not in _NOT_DIGITS:
                self.at += 2
            if not self.fixed:
                self.skipped = self.skip_space()
        return self.found

    def _literal(self, node: Node) -> None:
        if not node.quoted and (node.literal in _SPACE or _is_separator(node.literal)):
            if self.fixed:
                self.at += 1
                return
            self.skipped -= 1
            if self.peek() and (self.peek() in _SPACE or _is_separator(self.peek())):
                self.at += 1
                self.skipped += 1
        elif not self.fixed and self.skipped > 0:
            self.skipped -= 1
        else:
            self.at += 1

    # fields

    def set(self, name: str, value: int, node: Node) -> None:
        known = self.found.get(name)
        if known not in (0, value):
            raise SqlError(
                "22007",
                f'conflicting values for "{node.key}" field in formatting string',
                detail="This value contradicts a previous setting for the same field type.",
            )
        self.found.numbers[name] = value

    def _is_open_ended(self, place: int) -> bool:
        """Whether a number may take all digits there are: nothing after it can begin with a digit."""
        node = self.nodes[place]
        if node.suffix in ("TH", "th") or place + 1 == len(self.nodes):
            return True
        following = self.nodes[place + 1]
        return following.pattern in _NOT_DIGITS if following.key else not following.literal.isdigit()

    def integer(self, place: int, width: int) -> tuple[int, int]:
        """A number, and how many characters it took."""
        node = self.nodes[place]
        start = self.at
        self.skip_space()
        shown = self.text[self.at : self.at + width]
        if node.fill_mode or self._is_open_ended(place):
            found = _INTEGER.match(self.text, self.at)
        else:
            if len(shown) < width:
                raise SqlError(
                    "22007",
                    f'source string too short for "{node.key}" formatting field',
                    detail=f"Field requires {width} characters, but only {len(shown)} remain.",
                    hint='If your source string is not fixed-width, try using the "FM" modifier.',
                )
            found = _INTEGER.match(self.text, self.at, self.at + width)
            if found is not None and found.end() - self.at < width:
                raise _bad_value(
                    shown,
                    node,
                    f"Field requires {width} characters, but only {found.end() - self.at} could be parsed.",
                    'If your source string is not fixed-width, try using the "FM" modifier.',
                )
        if found is None:
            raise _bad_value(shown, node, "Value must be an integer.")
        self.at = found.end()
        value = int(found[0])
        if not -(2**31) <= value < 2**31:
            raise SqlError(
                "22008",
                f'value for "{node.key}" in source string is out of range',
                detail=f"Value must be in the range {-(2**31)} to {2**31 - 1}.",
            )
        return value, self.at - start

    def word(self, node: Node, words: tuple[str, ...]) -> int:
        """The index of the word that the text goes on with, whatever its case."""
        rest = self.text[self.at :].lower()
        for index, candidate in enumerate(words):
            if rest.startswith(candidate.lower()):
                self.at += len(candidate)
                return index
        shown = re.split(r"[ \t\n\r\v\f]", self.text[self.at :], maxsplit=1)[0]
        raise _bad_value(shown, node, "The given value did not match any of the allowed values for this field.")

    def _mode(self, node: Node) -> None:
        iso = True if node.pattern in _ISO else False if node.pattern in _GREGORIAN else None
        if iso is None:
            return
        if self.found.iso not in (None, iso):
            raise SqlError(
                "22007",
                "invalid combination of date conventions",
                hint="Do not mix Gregorian and ISO week date conventions in a formatting template.",
            )
        self.found.iso = iso

    def _field(self, place: int, node: Node) -> None:
        self._mode(node)
        found = self.found
        match node.pattern:
            case "A.M." | "P.M." | "AM" | "PM":
                words = ("a.m.", "p.m.") if "." in node.key else ("am", "pm")
                found.afternoon = self.word(node, words) == 1
                found.clock12 = True
            case "A.D." | "B.C." | "AD" | "BC":
                words = ("a.d.", "b.c.") if "." in node.key else ("ad", "bc")
                found.before_christ = self.word(node, words) == 1
            case "HH" | "HH12":
                self.set("hour", self.integer(place, 2)[0], node)
                found.clock12 = True
            case "HH24" | "MI" | "SS" | "MM" | "DD" | "WW" | "CC" | "TZM" | "IW":
                self.set(_FIELD_OF.get(node.pattern, node.pattern), self.integer(place, 2)[0], node)
            case "SSSS" | "SSSSS":
                self.set("SSSS", self.integer(place, len(node.key))[0], node)
            case "MS" | "US" | "FF1" | "FF2" | "FF3" | "FF4" | "FF5" | "FF6":
                self._fraction(place, node)
            case "TZH":
                self._zone_hours(place, node)
            case "TZ" | "OF":
                raise SqlError("0A000", f'formatting field "{node.key}" is only supported in to_char')
            case "MONTH":
                self.set("month", self.word(node, MONTHS) + 1, node)
            case "MON":
                self.set("month", self.word(node, tuple(name[:3] for name in MONTHS)) + 1, node)
            case "DAY":
                self.set("weekday", self.word(node, DAYS) + 1, node)
            case "DY":
                self.set("weekday", self.word(node, tuple(name[:3] for name in DAYS)) + 1, node)
            case "RM":
                numeral = self.word(node, tuple(sorted(ROMAN_MONTHS, key=len, reverse=True)))
                self.set("month", ROMAN_MONTHS.index(sorted(ROMAN_MONTHS, key=len, reverse=True)[numeral]) + 1, node)
            case "DDD" | "IDDD":
                self.set("yearday", self.integer(place, 3)[0], node)
            case "D":
                self.set("weekday", self.integer(place, 1)[0], node)
            case "ID":
                day = self.integer(place, 1)[0] + 1  # Monday is 1 here, Sunday is 1 in "weekday"
                self.set("weekday", 1 if day > 7 else day, node)
            case "W":
                self.set("W", self.integer(place, 1)[0], node)
            case "Q":
                self.integer(place, 1)  # read and ignored, as in PostgreSQL
            case "J":
                self.set("J", self.integer(place, 1)[0], node)
            case _:
                self._year(place, node)

    def _fraction(self, place: int, node: Node) -> None:
        digits = {"MS": 3, "US": 6}.get(node.pattern) or int(node.pattern[2])
        value, length = self.integer(place, digits)
        self.set(node.pattern[:2], value, node)
        value *= 10 ** max(digits - length, 0)
        self.found.fraction += value * 10 ** (6 - digits)

    def _zone_hours(self, place: int, node: Node) -> None:
        if self.peek() and self.peek() in "+- ":
            self.found.zone_sign = -1 if self.peek() == "-" else 1
            self.at += 1
        else:  # the sign may have been taken for a separator
            self.found.zone_sign = -1 if self.skipped > 0 and self.text[self.at - 1] == "-" else 1
        self.set("TZH", self.integer(place, 2)[0], node)

    def _year(self, place: int, node: Node) -> None:
        if node.pattern == "Y,YYY":
            found = re.compile(r"\s*(\d+),(\d{1,3})").match(self.text, self.at)
            if found is None:
                raise SqlError("22007", 'invalid input string for "Y,YYY"')
            self.set("year", int(found[1]) * 1000 + int(found[2]), node)
            self.at = found.end()
            self.found.year_digits = 4
            return
        width = len(node.pattern)
        value, length = self.integer(place, width)
        if length < 4 and width < 4:
            value = _adjusted_year(value)
        self.set("year", value, node)
        self.found.year_digits = width


# ── putting together ────────────────────────────────────────────────────────────────────────────────────────────────


def _overflow(text: str) -> SqlError:
    return SqlError("22008", f'date/time field value out of range: "{text}"')


def _year_of(found: Collected) -> int | None:
    """The astronomical year, None where the fields do not tell."""
    year, century = found.get("year"), found.get("CC")
    if year:
        if century and found.year_digits <= 2:
            century = -century if found.before_christ else century
            short = year % 100
            if short:
                return short + (century - 1) * 100 if century >= 0 else (century + 1) * 100 - short + 1
            return century * 100 + (0 if century >= 0 else 1)
        year = -year if found.before_christ else year
        return year + 1 if year < 0 else year
    if century:
        century = -century if found.before_christ else century
        return (century - 1) * 100 + 1 if century >= 0 else century * 100 + 1
    return None


def _hour_of(found: Collected) -> int:
    hour = found.get("hour")
    if not found.clock12:
        return hour
    if not 1 <= hour <= 12:
        raise SqlError(
            "22007",
            f'hour "{hour}" is invalid for the 12-hour clock',
            hint="Use the 24-hour clock, or give an hour between 1 and 12.",
        )
    if found.afternoon:
        return hour + 12 if hour < 12 else hour
    return 0 if hour == 12 else hour


def _date_of(found: Collected, text: str) -> int:
    """Days since 2000-01-01."""
    year, month, day = _year_of(found), found.get("month") or 1, found.get("day") or 1
    year_day = found.get("yearday")
    if found.get("J"):
        year, month, day = civil_from_days(found.get("J") - JULIAN_OF_EPOCH)
    week = found.get("week")
    if week:
        if found.iso:
            weekday = found.get("weekday")
            offset = (weekday + 5) % 7 if weekday else 0
            year, month, day = civil_from_days(first_iso_day(year or 0) + (week - 1) * 7 + offset)
        else:
            year_day = (week - 1) * 7 + 1
    if found.get("W"):
        day = (found.get("W") - 1) * 7 + 1
        day = found.get("day") or day
    if year_day and (month <= 1 or day <= 1):
        if year is None and not found.before_christ:
            raise SqlError("22007", "cannot calculate day of year without year information")
        start = first_iso_day(year or 0) if found.iso else days_from_civil(year or 0, 1, 1)
        last = 371 if found.iso else 365 + (days_in_month(year or 0, 2) == 29)
        if not 1 <= year_day <= last:
            raise _overflow(text)
        return start + year_day - 1
    if year is None:
        year = 0
    if not 1 <= month <= 12 or not 1 <= day <= days_in_month(year, month):
        raise _overflow(text)
    return days_from_civil(year, month, day)


def _parse(text: str, template: str) -> tuple[int, int, int | None]:
    """Days since 2000-01-01, microseconds of the day, and the zone's seconds east of UTC where it was given."""
    found = _Reader(text, template).read()
    hour, minute, second = found.get("hour"), found.get("minute"), found.get("second")
    if found.get("SSSS"):
        total = found.get("SSSS")
        hour, minute, second = total // 3600, total // 60 % 60, total % 60
    if found.get("hour") or found.clock12:
        hour = _hour_of(found)
    days = _date_of(found, text)
    if not (0 <= hour < 24 and 0 <= minute < 60 and 0 <= second < 60 and 0 <= found.fraction < MICROSECONDS_PER_SECOND):
        raise _overflow(text)
    offset = None
    if found.zone_sign:
        if found.get("TZH") > 15 or found.get("TZM") >= 60 or found.get("TZH") < 0 or found.get("TZM") < 0:
            raise SqlError("22009", f'time zone displacement out of range: "{text}"')
        offset = found.zone_sign * (found.get("TZH") * 3600 + found.get("TZM") * 60)
    return days, ((hour * 60 + minute) * 60 + second) * MICROSECONDS_PER_SECOND + found.fraction, offset


_DATE_MIN, _DATE_END = -2_451_545, 2_145_031_949


@scalar("to_date(text,text)")
def to_date(text: str, template: str) -> int:
    days, _, _ = _parse(text, template)
    if not _DATE_MIN <= days < _DATE_END:
        raise date_out_of_range()
    return days


@scalar("to_timestamp(text,text)", context=True)
def to_timestamp(context: Context, text: str, template: str) -> int:
    days, microseconds, offset = _parse(text, template)
    local = days * MICROSECONDS_PER_DAY + microseconds
    if offset is not None:
        return check_timestamp(local - offset * MICROSECONDS_PER_SECOND)
    return local_to_utc(check_timestamp(local), context_zone(context))
