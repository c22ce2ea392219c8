"""Reading dates and times as people and programs write them.

Input goes through two steps. `_split` cuts the text into fields by their looks alone (number, date, time, zone, word), and
`_Reader` takes the fields from left to right, deciding what each means from what is still missing: PostgreSQL's rules, so
that `Jan 2 2020`, `2020-01-02T03:04:05.678+02`, `20200102 030405`, `2/1/20` under any DateStyle, `J2451545`, `yesterday
12:00` and `epoch` all read alike here and there.

Errors: 22007 where the text is no date, 22008 where it is one that does not exist, 22009 for an impossible zone offset.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Decimal
from typing import NamedTuple

from frontend.context import Context
from frontend.errors import SqlError
from frontend.types.behaviour import invalid_syntax
from frontend.types.datetime import (
    DATE_END,
    DATE_INFINITY,
    DATE_MIN,
    DATE_NEGATIVE_INFINITY,
    JULIAN_DAY_OF_EPOCH,
    MICROSECONDS_PER_HOUR,
    MICROSECONDS_PER_MINUTE,
    TIMESTAMP_END,
    TIMESTAMP_INFINITY,
    TIMESTAMP_MIN,
    TIMESTAMP_NEGATIVE_INFINITY,
    UNIX_EPOCH_MICROSECONDS,
    context_zone,
    days_from_civil,
    days_in_month,
    utc_to_local,
)
from frontend.types.zones import (
    MICROSECONDS_PER_DAY,
    MICROSECONDS_PER_SECOND,
    FixedZone,
    Zone,
    abbreviations,
    find_zone,
    zone_of_abbreviation,
)

_MONTHS = {
    name[:length]: number
    for number, name in enumerate(
        (
            "january",
            "february",
            "march",
            "april",
            "may",
            "june",
            "july",
            "august",
            "september",
            "october",
            "november",
            "december",
        ),
        1,
    )
    for length in (3, len(name))
} | {"sept": 9}
_WEEKDAYS = frozenset(
    [
        "sun",
        "sunday",
        "mon",
        "monday",
        "tue",
        "tues",
        "tuesday",
        "wed",
        "wednesday",
        "weds",
        "thu",
        "thur",
        "thurs",
        "thursday",
        "fri",
        "friday",
        "sat",
        "saturday",
    ]
)
_IGNORED = frozenset({"at", "on"})
_DAYS_FROM_TODAY = {"today": 0, "tomorrow": 1, "yesterday": -1}
_JULIAN = frozenset({"j", "jd", "julian"})
_ZONE_HOURS_MAX = 15
_FIELDS_MAX = 25
_NUMBER, _DATE, _TIME, _ZONE, _WORD, _SIGNED_WORD = range(6)
_YEAR, _MONTH, _DAY, _CLOCK, _OFFSET, _WEEKDAY, _DAY_OF_YEAR = 1, 2, 4, 8, 16, 32, 64
_MERIDIAN, _ERA = 128, 256
_WHOLE_DATE = _YEAR | _MONTH | _DAY


class _FormatError(Exception):
    """22007: not a date or time."""


class _RangeError(Exception):
    """22008: a date or time that does not exist; the argument says whether DateStyle may be to blame."""


class _DisplacementError(Exception):
    """22009: a zone offset that does not exist."""


class Reading(NamedTuple):
    """What a text says: a special word, or local days and microseconds and the zone that it names."""

    special: str | None
    days: int | None
    time: int
    zone: Zone | None
    is_now: bool = False


_FIELD = re.compile(
    r"""(?P<space>[\s]+)
    |(?P<time>\d+:[\d:.]*)
    |(?P<date>\d+(?P<delimiter>[-/.])(?:\d+(?:(?P=delimiter)[\d]*(?:(?P=delimiter)|\d)*)?|[A-Za-z][A-Za-z0-9]*(?:(?P=delimiter)|[A-Za-z0-9])*|))
    |(?P<number>\d+|\.\d+)
    |(?P<zone>[+-]\s*\d[\d:.-]*)
    |(?P<special>[+-]\s*[A-Za-z]+)
    |(?P<word>[A-Za-z]+)
    |(?P<ignored>[!-,/:-@\[-`{-~])""",
    re.VERBOSE | re.ASCII,
)
_WORD_TAIL = re.compile(r"[A-Za-z0-9+\-/_.:]*", re.ASCII)


def _split(text: str) -> list[tuple[int, str]]:
    """Fields as (kind, text in lower case; zone names keep their case for the messages only)."""
    fields: list[tuple[int, str]] = []
    position = 0
    while position < len(text):
        match = _FIELD.match(text, position)
        if match is None:
            raise _FormatError
        position = match.end()
        kind = match.lastgroup
        if kind == "delimiter":
            kind = "date"
        field = match.group().lower()
        if kind in ("space", "ignored"):
            continue
        if kind == "time":
            fields.append((_TIME, field))
        elif kind == "date":
            delimiter = match["delimiter"]
            is_decimal = (
                delimiter == "." and field.count(".") == 1 and field[-1:].isdigit() and field.replace(".", "").isdigit()
            )
            fields.append((_NUMBER if is_decimal else _DATE, field))
        elif kind == "number":
            fields.append((_NUMBER, field))
        elif kind == "zone":
            fields.append((_ZONE, re.sub(r"\s", "", field)))
        elif kind == "special":
            fields.append((_SIGNED_WORD, re.sub(r"\s", "", field)))
        else:
            following = text[position : position + 1]
            continues = following in ("-", "/", ".") and following != ""
            if not continues and (following == "+" or following.isdigit()):
                continues = not is_known_word(field)
            elif following in ("_", ":"):
                continues = following == "_"
            if continues:
                tail = _WORD_TAIL.match(text, position)
                assert tail is not None
                position = tail.end()
                fields.append((_DATE, field + tail.group().lower()))
            else:
                fields.append((_WORD, field))
        if len(fields) > _FIELDS_MAX:
            raise _FormatError
    return fields


def is_known_word(word: str) -> bool:
    """Whether a word stands for itself when digits follow it directly, rather than starting a zone's name."""
    return (
        word in _MONTHS
        or word in _WEEKDAYS
        or word in _JULIAN
        or word in _IGNORED
        or word in _DAYS_FROM_TODAY
        or word in ("t", "am", "pm", "ad", "bc", "now", "epoch", "infinity", "allballs", "dst", "h", "m", "s", "d", "y")
    )


def _microseconds_of(fraction: str) -> int:
    """Microseconds of the digits behind a decimal point."""
    if not fraction:
        return 0
    if len(fraction) <= 6:
        return int(fraction.ljust(6, "0"))
    return int((Decimal("0." + fraction) * MICROSECONDS_PER_SECOND).quantize(Decimal(1), rounding=ROUND_HALF_EVEN))


def parse_clock(field: str) -> int:
    """hh:mm[:ss[.f]] or mm:ss.f as microseconds, without an upper bound on the hours beyond 24."""
    match = re.match(r"(\d+):(\d+)(?:\.(\d*)|:(\d+)(?:\.(\d*))?|:)?\Z", field)
    if match is None or field.endswith(":"):
        raise _FormatError
    first, second, short_fraction, third, fraction = match.groups()
    if short_fraction is not None:
        hour, minute, seconds = 0, int(first), int(second)
        microseconds = _microseconds_of(short_fraction)
    else:
        hour, minute, seconds = int(first), int(second), int(third or 0)
        microseconds = _microseconds_of(fraction or "")
    if minute > 59 or seconds > 60:
        raise _RangeError(False)
    return (
        hour * MICROSECONDS_PER_HOUR
        + minute * MICROSECONDS_PER_MINUTE
        + seconds * MICROSECONDS_PER_SECOND
        + microseconds
    )


def parse_zone_offset(field: str) -> int:
    """+hh, +hhmm, +hhmmss, +hh:mm[:ss] as seconds east."""
    match = re.match(r"([+-])(\d+)(?::(\d+)(?::(\d+))?)?\Z", field)
    if match is None:
        raise _FormatError
    sign, hours, minutes, seconds = match.groups()
    if minutes is None and len(hours) > 2:
        hours, minutes = hours[:-2], hours[-2:]
    hour, minute, second = int(hours), int(minutes or 0), int(seconds or 0)
    if hour > _ZONE_HOURS_MAX or minute > 59 or second > 59:
        raise _DisplacementError
    total = hour * 3600 + minute * 60 + second
    return -total if sign == "-" else total


class _Reader:
    """Takes the fields of one text from left to right. `time_only` reads `time` and `timetz`."""

    def __init__(self, context: Context, time_only: bool) -> None:
        self.context = context
        self.time_only = time_only
        self.order = context.date_style[1]
        self.seen = 0
        self.year = self.month = self.day = self.day_of_year = 0
        self.days: int | None = None
        self.time = 0
        self.zone: Zone | None = None
        self.special: str | None = None
        self.is_now = False
        self.two_digits = False
        self.month_is_text = False
        self.is_bc = False
        self.meridian: str | None = None
        self.pending: str | None = None

    def mark(self, flags: int) -> None:
        if self.seen & flags:
            raise _FormatError
        self.seen |= flags

    def read(self, fields: list[tuple[int, str]]) -> Reading:
        for index, (kind, field) in enumerate(fields):
            if self.pending is not None and kind not in (_NUMBER, _TIME, _DATE):
                raise _FormatError
            if kind == _DATE:
                self.read_date_field(field, index, fields)
            elif kind == _TIME:
                self.pending = None
                self.mark(_CLOCK)
                self.time = parse_clock(field)
                if self.time > MICROSECONDS_PER_DAY:
                    raise _RangeError(False)
            elif kind == _ZONE:
                self.mark(_OFFSET)
                self.set_offset(parse_zone_offset(field))
            elif kind == _NUMBER:
                self.read_number_field(field)
            else:
                self.read_word(field.lstrip("+-") if kind == _SIGNED_WORD else field, kind == _SIGNED_WORD, field)
        if self.pending is not None:
            raise _FormatError
        return self.finish()

    def set_offset(self, east: int) -> None:
        self.zone = FixedZone("", east)

    # fields

    def read_date_field(self, field: str, index: int, fields: list[tuple[int, str]]) -> None:
        if self.pending == "julian":
            whole, separator, rest = field.partition("-")
            if not separator:
                raise _FormatError
            self.read_number_field(whole)
            self.mark(_OFFSET)
            self.set_offset(parse_zone_offset("-" + rest))
            return
        has_date = self.seen & _WHOLE_DATE == _WHOLE_DATE or bool(self.seen & _CLOCK)
        if self.time_only and field[0].isdigit() and not has_date:
            is_date = index == 0 and len(fields) >= 2 and (fields[-1][0] == _DATE or fields[1][0] == _TIME)
            if not is_date:
                has_date = True
        if has_date or self.pending == "time":
            if field[0].isdigit():
                match = re.match(r"([\d.]+)-([\d:-]+)\Z", field)
                if match is None:
                    raise _FormatError
                self.pending = None
                self.read_run_together(match[1], self.time_only)
                self.mark(_OFFSET)
                self.set_offset(parse_zone_offset("-" + match[2]))
            else:
                self.mark(_OFFSET)
                self.zone = find_zone(field)
                if self.zone is None:
                    raise SqlError("22023", f'time zone "{field}" not recognized')
            return
        self.read_date(field)

    def read_date(self, field: str) -> None:
        parts: list[str] = re.findall(r"[0-9]+|[a-z]+", field)
        numbers = []
        for part in parts:
            if part.isdigit():
                numbers.append(part)
                continue
            if part in _IGNORED:
                continue
            month = _MONTHS.get(part)
            if month is None:
                raise self.unknown_zone_or_format(field)
            self.mark(_MONTH)
            self.month = month
            self.month_is_text = True
        for part in numbers:
            if self.seen & _WHOLE_DATE == _WHOLE_DATE:
                raise _FormatError
            self.read_number(part)
        if self.seen & _WHOLE_DATE != _WHOLE_DATE or self.seen & (_MERIDIAN | _ERA | _WEEKDAY):
            raise _FormatError

    def unknown_zone_or_format(self, field: str) -> Exception:
        if not field[0].isdigit():
            zone = find_zone(field)
            if zone is None and "/" in field:
                return SqlError("22023", f'time zone "{field}" not recognized')
        return _FormatError()

    def read_number_field(self, field: str) -> None:
        if self.pending == "julian":
            self.pending = None
            whole, _, fraction = field.partition(".")
            self.mark(_WHOLE_DATE)
            if len(whole) > 12:
                raise _RangeError(False)
            self.days = int(whole) - JULIAN_DAY_OF_EPOCH
            if fraction:
                self.mark(_CLOCK)
                self.time = int(
                    (Decimal("0." + fraction) * MICROSECONDS_PER_DAY).quantize(Decimal(1), rounding=ROUND_HALF_EVEN)
                )
            return
        if self.pending == "time":
            self.pending = None
            self.read_run_together(field, self.time_only)
            return
        whole, point, _ = field.partition(".")
        if self.time_only:
            self.read_run_together(field, time_only=True)
        elif point and self.seen & _WHOLE_DATE == 0:
            self.read_date_with_point(field)
        elif (point and len(whole) > 2) or len(field) > 4:
            self.read_run_together(field)
        else:
            self.read_number(field)

    def read_date_with_point(self, field: str) -> None:
        """2001.360, the year and the day of the year; 20011225.5 and other dates run together."""
        whole, _, rest = field.partition(".")
        if len(whole) == 4 and len(rest) == 3:
            self.read_number(whole)
            self.read_number(rest)
            return
        raise _FormatError

    def read_run_together(self, field: str, time_only: bool = False) -> None:
        """yyyymmdd, yymmdd, hhmmss[.f] or hhmm."""
        whole, point, fraction = field.partition(".")
        if not point and not time_only and self.seen & _WHOLE_DATE != _WHOLE_DATE:
            if len(whole) >= 6:
                self.mark(_WHOLE_DATE)
                self.year, self.month, self.day = int(whole[:-4]), int(whole[-4:-2]), int(whole[-2:])
                self.two_digits = len(whole) == 6
                return
            raise _FormatError
        if len(whole) not in (4, 6) or self.seen & _CLOCK:
            raise _FormatError
        hour, minute = int(whole[:2]), int(whole[2:4])
        second = int(whole[4:6] or 0)
        if self.time_only and (minute > 59 or second > 60 or hour > 24):
            raise _RangeError(False)
        self.mark(_CLOCK)
        self.time = (
            (hour * 60 + minute) * MICROSECONDS_PER_MINUTE
            + second * MICROSECONDS_PER_SECOND
            + _microseconds_of(fraction)
        )
        if self.time > MICROSECONDS_PER_DAY:
            raise _RangeError(False)

    def read_number(self, field: str) -> None:
        """A number whose meaning follows from what of the date is there and from DateStyle."""
        if not field.isdigit():
            raise _FormatError
        if len(field) > 9:
            raise _RangeError(False)
        value, length = int(field), len(field)
        have = self.seen & _WHOLE_DATE
        if length == 3 and have == _YEAR and 1 <= value <= 366:
            self.mark(_DAY_OF_YEAR | _MONTH | _DAY)
            self.day_of_year = value
            return
        if have == 0:
            if length >= 3 or self.order == "YMD":
                self.set_year(value, length)
            elif self.order == "DMY":
                self.set_day(value)
            else:
                self.set_month(value)
        elif have == _YEAR:
            self.set_month(value)
        elif have == _MONTH:
            if self.month_is_text and (length >= 3 or self.order == "YMD"):
                self.set_year(value, length)
            else:
                self.set_day(value)
        elif have == _YEAR | _MONTH:
            if self.month_is_text and length >= 3 and self.two_digits:
                self.mark(_DAY)
                self.day = self.year
                self.year = value
                self.two_digits = False
            else:
                self.set_day(value)
        elif have == _DAY:
            self.set_month(value)
        elif have == _MONTH | _DAY:
            self.set_year(value, length)
        elif have == _WHOLE_DATE:
            self.read_run_together(field)
        else:
            raise _FormatError

    def set_year(self, value: int, length: int) -> None:
        self.mark(_YEAR)
        self.year = value
        self.two_digits = length <= 2

    def set_month(self, value: int) -> None:
        self.mark(_MONTH)
        self.month = value

    def set_day(self, value: int) -> None:
        self.mark(_DAY)
        self.day = value

    def read_word(self, word: str, signed: bool, field: str) -> None:
        if signed:
            raise _FormatError
        zone = zone_of_abbreviation(word) if word in abbreviations() else None
        if zone is not None:
            self.mark(_OFFSET)
            self.zone = zone
        elif word in ("now", "today", "tomorrow", "yesterday"):
            self.read_relative(word)
        elif word in ("epoch", "infinity"):
            if self.time_only:
                raise _FormatError
            self.mark(_WHOLE_DATE | _CLOCK | _OFFSET)
            self.special = word
        elif word == "allballs":
            self.mark(_CLOCK | _OFFSET)
            self.set_offset(0)
        elif self.time_only and (word in _MONTHS or word in _WEEKDAYS):
            raise _FormatError
        elif word in _MONTHS:
            if self.seen & _MONTH and not self.month_is_text and not self.seen & _DAY and 1 <= self.month <= 31:
                self.mark(_DAY)
                self.day = self.month
            else:
                self.mark(_MONTH)
            self.month_is_text = True
            self.month = _MONTHS[word]
        elif word in _WEEKDAYS:
            self.mark(_WEEKDAY)
        elif word in _IGNORED:
            pass
        elif word in ("am", "pm"):
            self.mark(_MERIDIAN)
            self.meridian = word
        elif word in ("ad", "bc"):
            self.mark(_ERA)
            self.is_bc = word == "bc"
        elif word == "dst":
            if self.zone is None:
                raise _FormatError
            self.set_offset(self.zone.offset_at(0) + 3600)
        elif word in _JULIAN:
            self.pending = "julian"
        elif word == "t":
            if not self.time_only and self.seen & _WHOLE_DATE != _WHOLE_DATE:
                raise _FormatError
            self.pending = "time"
        else:
            zone = find_zone(word)
            if zone is None:
                raise _FormatError
            self.mark(_OFFSET)
            self.zone = zone

    def read_relative(self, word: str) -> None:
        now = self.context.transaction_timestamp
        zone = context_zone(self.context)
        local = utc_to_local(now, zone)
        if word == "now":
            self.mark(_CLOCK | _OFFSET | (0 if self.time_only else _WHOLE_DATE))
            self.days, self.time = divmod(local, MICROSECONDS_PER_DAY)
            self.set_offset(zone.offset_at(now))
            self.is_now = True
            return
        if self.time_only:
            raise _FormatError
        self.mark(_WHOLE_DATE)
        self.days = local // MICROSECONDS_PER_DAY + _DAYS_FROM_TODAY[word]

    # the end

    def finish(self) -> Reading:
        if self.special is not None:
            return Reading(self.special, None, 0, None)
        if self.meridian is not None:
            hour = self.time // MICROSECONDS_PER_HOUR
            if hour > 12:
                raise _RangeError(False)
            if self.meridian == "am" and hour == 12:
                self.time -= 12 * MICROSECONDS_PER_HOUR
            elif self.meridian == "pm" and hour != 12:
                self.time += 12 * MICROSECONDS_PER_HOUR
        if self.time_only:
            if not self.seen & _CLOCK:
                raise _FormatError
            if type(self.zone) is Zone and self.seen & _WHOLE_DATE != _WHOLE_DATE:
                raise _FormatError  # its offset depends on the date
            if self.days is None and self.seen & _WHOLE_DATE == _WHOLE_DATE:
                self.days = self.calendar_days()
            return Reading(None, self.days, self.time, self.zone, self.is_now)
        if self.seen & _WHOLE_DATE != _WHOLE_DATE:
            raise _FormatError
        if self.days is None:
            self.days = self.calendar_days()
        return Reading(None, self.days, self.time, self.zone, self.is_now)

    def calendar_days(self) -> int:
        year = self.year
        if self.is_bc:
            if year <= 0:
                raise _RangeError(False)
            year = 1 - year
        elif self.two_digits:
            year += 2000 if year < 70 else 1900 if year < 100 else 0
        elif year <= 0:
            raise _RangeError(False)
        if self.day_of_year:
            return days_from_civil(year, 1, 1) + self.day_of_year - 1
        if not 1 <= self.month <= 12 or not 1 <= self.day <= 31:
            raise _RangeError(True)
        if self.day > days_in_month(year, self.month):
            raise _RangeError(False)
        return days_from_civil(year, self.month, self.day)


_SIGNED_INFINITY = re.compile(r"\s*([+-])\s*infinity\s*\Z", re.IGNORECASE)


def _read(text: str, type_name: str, context: Context, time_only: bool = False) -> Reading:
    try:
        signed = _SIGNED_INFINITY.match(text)
        if signed is not None and not time_only:
            return Reading("infinity" if signed[1] == "+" else "-infinity", None, 0, None)
        fields = _split(text)
        if not fields:
            raise _FormatError
        return _Reader(context, time_only).read(fields)
    except _FormatError:
        raise invalid_datetime(type_name, text) from None
    except _RangeError as error:
        raise SqlError(
            "22008",
            f'date/time field value out of range: "{text}"',
            hint='Perhaps you need a different "datestyle" setting.' if error.args[0] else None,
        ) from None
    except _DisplacementError:
        raise SqlError("22009", f'time zone displacement out of range: "{text}"') from None


def invalid_datetime(type_name: str, text: str) -> SqlError:
    """22007 in PostgreSQL's words."""
    error = invalid_syntax(type_name, text)
    error.sqlstate = "22007"
    return error


def parse_date(text: str, context: Context) -> int:
    """A date; a time behind it is read and dropped."""
    reading = _read(text, "date", context)
    if reading.special == "infinity":
        return DATE_INFINITY
    if reading.special == "-infinity":
        return DATE_NEGATIVE_INFINITY
    if reading.special == "epoch":
        return UNIX_EPOCH_MICROSECONDS // MICROSECONDS_PER_DAY
    assert reading.days is not None
    if not DATE_MIN <= reading.days < DATE_END:
        raise SqlError("22008", f'date out of range: "{text}"')
    return reading.days


def parse_timestamp(text: str, context: Context) -> int:
    """A timestamp without time zone; a zone in the text is read and ignored."""
    reading = _read(text, "timestamp", context)
    special = _special_timestamp(reading)
    if special is not None:
        return special
    assert reading.days is not None
    value = reading.days * MICROSECONDS_PER_DAY + reading.time
    if not TIMESTAMP_MIN <= value < TIMESTAMP_END:
        raise SqlError("22008", f'timestamp out of range: "{text}"')
    return value


def parse_timestamptz(text: str, context: Context) -> int:
    """A timestamp with time zone, as UTC; without a zone in the text, the session's applies."""
    reading = _read(text, "timestamp with time zone", context)
    special = _special_timestamp(reading)
    if special is not None:
        return special
    if reading.is_now:
        return context.transaction_timestamp
    assert reading.days is not None
    local = reading.days * MICROSECONDS_PER_DAY + reading.time
    if not TIMESTAMP_MIN - MICROSECONDS_PER_DAY <= local < TIMESTAMP_END + MICROSECONDS_PER_DAY:
        raise SqlError("22008", f'timestamp out of range: "{text}"')
    zone = reading.zone if reading.zone is not None else context_zone(context)
    value = local - zone.offset_of_local(local) * MICROSECONDS_PER_SECOND
    if not TIMESTAMP_MIN <= value < TIMESTAMP_END:
        raise SqlError("22008", f'timestamp out of range: "{text}"')
    return value


def _special_timestamp(reading: Reading) -> int | None:
    if reading.special is None:
        return None
    if reading.special == "epoch":
        return UNIX_EPOCH_MICROSECONDS
    return TIMESTAMP_INFINITY if reading.special == "infinity" else TIMESTAMP_NEGATIVE_INFINITY


def parse_time(text: str, context: Context) -> int:
    """A time of day; a zone in the text is read and ignored."""
    return _read(text, "time", context, time_only=True).time


def parse_timetz(text: str, context: Context) -> tuple[int, int]:
    """A time of day with its offset; a zone that changes over the year needs a date, or takes today's."""
    reading = _read(text, "time with time zone", context, time_only=True)
    zone = reading.zone if reading.zone is not None else context_zone(context)
    days = reading.days
    if days is None:
        days = utc_to_local(context.transaction_timestamp, context_zone(context)) // MICROSECONDS_PER_DAY
    return reading.time, -zone.offset_of_local(days * MICROSECONDS_PER_DAY + reading.time)


_PLAIN_DATE = re.compile(rb"(\d{4})-(\d{2})-(\d{2})\Z")
_PLAIN_TIMESTAMP = re.compile(
    rb"(\d{4}-\d\d-\d\d)[ T]([01]\d|2[0-3]):([0-5]\d):([0-5]\d)(?:\.(\d{1,6}))?"
    rb"(?:(Z)|([+-])(0\d|1[0-4])(?::([0-5]\d))?)?\Z"
)


def plain_date(data: bytes) -> int | None:
    """yyyy-mm-dd in days, None for everything that needs the full reader."""
    match = _PLAIN_DATE.match(data)
    if match is None or data[:4] == b"0000":
        return None
    try:
        return days_from_civil(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return None


def plain_timestamp(data: bytes, zone: Zone | None) -> int | None:
    """An ISO timestamp in microseconds, None for everything that needs the full reader.

    With a zone the result is UTC, by the offset in the text or else by the zone; without one an offset is ignored.
    """
    match = _PLAIN_TIMESTAMP.match(data)
    if match is None:
        return None
    date, hour, minute, second, fraction, zulu, sign, zone_hour, zone_minute = match.groups()
    days = plain_date(date)
    if days is None:
        return None
    local = (
        days * MICROSECONDS_PER_DAY
        + (int(hour) * 3600 + int(minute) * 60 + int(second)) * MICROSECONDS_PER_SECOND
        + (int(fraction.ljust(6, b"0")) if fraction else 0)
    )
    if zone is None or zulu is not None:
        return local
    if sign is None:
        return local - zone.offset_of_local(local) * MICROSECONDS_PER_SECOND
    offset = (int(zone_hour) * 60 + int(zone_minute or 0)) * 60 * MICROSECONDS_PER_SECOND
    return local - offset if sign == b"+" else local + offset


_PLAIN_TIME = re.compile(rb"([01]\d|2[0-3]):([0-5]\d):([0-5]\d)(?:\.(\d{1,6}))?\Z")


def plain_time(data: bytes) -> int | None:
    """hh:mm:ss[.f] in microseconds, None for everything that needs the full reader."""
    match = _PLAIN_TIME.match(data)
    if match is None:
        return None
    hour, minute, second, fraction = match.groups()
    seconds = int(hour) * 3600 + int(minute) * 60 + int(second)
    return seconds * MICROSECONDS_PER_SECOND + (int(fraction.ljust(6, b"0")) if fraction else 0)


def today(context: Context) -> int:
    """The session's current date."""
    return utc_to_local(context.transaction_timestamp, context_zone(context)) // MICROSECONDS_PER_DAY
