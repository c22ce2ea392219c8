"""Time zones: names, abbreviations, POSIX specifications and fixed offsets, all as one small class.

Rules come from the IANA database through `zoneinfo`. What Python's datetime cannot reach (years beyond 1…9999) is shifted
by whole 400-year cycles into its range: the calendar repeats, and so do the rules in force at either end. A zone remembers
the offset of every day it was asked for whose first and last moment agree, so that converting costs a dictionary look-up
(about 0.15 µs) except on the days of a transition.
"""

from __future__ import annotations

import io
import re
import struct
import zoneinfo
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache

from frontend.errors import SqlError
from frontend.types.facts import load_rows

MICROSECONDS_PER_DAY = 86_400_000_000
MICROSECONDS_PER_SECOND = 1_000_000
_CYCLE_MICROSECONDS = 146_097 * MICROSECONDS_PER_DAY  # 400 Gregorian years
_EPOCH = datetime(2000, 1, 1)
_EPOCH_UTC = datetime(2000, 1, 1, tzinfo=UTC)
_LOW = -1998 * 365 * MICROSECONDS_PER_DAY  # safely after 0001-01-02
_HIGH = 7998 * 365 * MICROSECONDS_PER_DAY  # safely before 9999-12-30
_DAYS_REMEMBERED_MAX = 100_000


class Zone:
    """One time zone; offsets are seconds east of UTC, timestamps microseconds since 2000-01-01."""

    __slots__ = ("_days", "_rules", "name")

    def __init__(self, name: str, rules: zoneinfo.ZoneInfo) -> None:
        self.name = name
        self._rules = rules
        self._days: dict[int, int] = {}

    def offset_at(self, utc: int) -> int:
        """The offset in force at a moment."""
        day = utc // MICROSECONDS_PER_DAY
        offset = self._days.get(day)
        if offset is not None:
            return offset
        first = self._offset_at(day * MICROSECONDS_PER_DAY)
        last = self._offset_at((day + 1) * MICROSECONDS_PER_DAY - 1)
        if first != last:
            return self._offset_at(utc)
        if len(self._days) >= _DAYS_REMEMBERED_MAX:
            self._days.clear()
        self._days[day] = first
        return first

    def _local(self, utc: int) -> datetime:
        moment = _EPOCH_UTC + timedelta(microseconds=_into_range(utc))
        return moment.astimezone(self._rules)

    def _offset_at(self, utc: int) -> int:
        offset = self._local(utc).utcoffset()
        assert offset is not None
        return round(offset.total_seconds())

    def abbreviation_at(self, utc: int) -> str:
        """EST, CEST, +03 … at a moment."""
        return self._local(utc).tzname() or ""

    def is_daylight_at(self, utc: int) -> bool:
        """Whether daylight-saving time is in force at a moment."""
        return bool(self._local(utc).dst())

    def offset_of_local(self, local: int) -> int:
        """The offset that a local time means.

        As PostgreSQL has it: a time skipped in spring is read with the offset before, a repeated one in autumn with the
        offset after the change.
        """
        moment = _EPOCH + timedelta(microseconds=_into_range(local))
        early = moment.replace(tzinfo=self._rules, fold=0).utcoffset()
        late = moment.replace(tzinfo=self._rules, fold=1).utcoffset()
        assert early is not None
        assert late is not None
        return round(min(early, late).total_seconds())


class FixedZone(Zone):
    """A constant offset."""

    __slots__ = ("_abbreviation", "_is_daylight", "_offset")

    def __init__(self, name: str, offset: int, abbreviation: str | None = None, is_daylight: bool = False) -> None:
        self.name = name
        self._offset = offset
        self._abbreviation = abbreviation if abbreviation is not None else name
        self._is_daylight = is_daylight

    def offset_at(self, utc: int) -> int:
        return self._offset

    def abbreviation_at(self, utc: int) -> str:
        return self._abbreviation

    def is_daylight_at(self, utc: int) -> bool:
        return self._is_daylight

    def offset_of_local(self, local: int) -> int:
        return self._offset


def _into_range(timestamp: int) -> int:
    if timestamp < _LOW:
        return timestamp + -((timestamp - _LOW) // _CYCLE_MICROSECONDS) * _CYCLE_MICROSECONDS
    if timestamp > _HIGH:
        return timestamp - -((_HIGH - timestamp) // _CYCLE_MICROSECONDS) * _CYCLE_MICROSECONDS
    return timestamp


_POSIX = re.compile(
    r"(?P<standard><[A-Za-z0-9+:-]+>|[A-Za-z]{3,})?(?P<offset>[+-]?\d{1,2}(?::\d{1,2}){0,2})"
    r"(?:(?P<daylight><[A-Za-z0-9+:-]+>|[A-Za-z]{3,})(?P<rest>[+-]?\d{1,2}(?::\d{1,2}){0,2})?(?P<rules>,.*)?)?\Z"
)


@cache
def _names() -> dict[str, str]:
    return {name.lower(): name for name in zoneinfo.available_timezones()}


@lru_cache(4096)
def find_zone(name: str) -> Zone | None:
    """A zone by IANA name (any case) or POSIX specification; None where there is none."""
    lowered = name.lower()
    if lowered in ("utc", "gmt", "etc/utc", "uct", "zulu", "etc/gmt", "etc/uct", "etc/zulu", "greenwich", "universal"):
        canonical = _names().get(lowered, name)
        return FixedZone(canonical, 0, "GMT" if "gmt" in lowered or lowered == "greenwich" else "UTC")
    canonical_name = _names().get(lowered)
    if canonical_name is not None:
        return Zone(canonical_name, zoneinfo.ZoneInfo(canonical_name))
    return _posix_zone(name)


def _posix_zone(name: str) -> Zone | None:
    match = _POSIX.match(name)
    if match is None:
        return None
    offset = _posix_seconds(match["offset"])
    if abs(offset) > 167 * 3600:
        return None
    standard = (match["standard"] or "").strip("<>")
    if match["daylight"] is None:
        return FixedZone(name, -offset, standard)
    rules = match["rules"] or ",M3.2.0,M11.1.0"
    try:
        footer = f"{match['standard']}{match['offset']}{match['daylight']}{match['rest'] or ''}{rules}"
        return Zone(name, zoneinfo.ZoneInfo.from_file(io.BytesIO(_tzif(footer, -offset)), key=name))
    except ValueError:
        return None


def _posix_seconds(text: str) -> int:
    sign = -1 if text.startswith("-") else 1
    parts = [int(part) for part in text.lstrip("+-").split(":")] + [0, 0]
    return sign * (parts[0] * 3600 + parts[1] * 60 + parts[2])


def _tzif(footer: str, offset: int) -> bytes:
    """A time zone file without transitions whose footer holds the rules (RFC 8536)."""
    header = b"TZif2" + bytes(15) + struct.pack(">6l", 0, 0, 0, 0, 1, 4)
    body = struct.pack(">lbb", offset, 0, 0) + b"LMT\0"
    return header + body + header + body + b"\n" + footer.encode() + b"\n"


class Abbreviation:
    """One entry of PostgreSQL's default abbreviation set: a fixed offset, or a zone whose history decides."""

    __slots__ = ("is_daylight", "offset", "zone")

    def __init__(self, offset: int | None, is_daylight: bool, zone: str | None) -> None:
        self.offset = offset
        self.is_daylight = is_daylight
        self.zone = zone


@cache
def abbreviations() -> dict[str, Abbreviation]:
    """By lower-case abbreviation."""
    return {row[0]: Abbreviation(row[1], row[2], row[3]) for row in load_rows("timezone_abbreviations")[1]}


@lru_cache(1024)
def zone_of_abbreviation(word: str) -> Zone | None:
    """The zone that an abbreviation stands for. EST is always UTC-5; MSK follows what Moscow called MSK at the time."""
    entry = abbreviations().get(word.lower())
    if entry is None:
        return None
    if entry.offset is not None:
        return FixedZone(word.upper(), entry.offset, is_daylight=entry.is_daylight)
    assert entry.zone is not None
    zone = find_zone(entry.zone)
    return None if zone is None else _AbbreviatedZone(word.upper(), zone)


class _AbbreviatedZone(Zone):
    """An abbreviation whose meaning changed in the course of its zone's history."""

    __slots__ = ("_zone",)

    def __init__(self, abbreviation: str, zone: Zone) -> None:
        super().__init__(abbreviation, zone._rules)
        self._zone = zone

    def offset_at(self, utc: int) -> int:
        """The offset last (or else next) called by this abbreviation at a moment."""
        if self._zone.abbreviation_at(utc) == self.name:
            return self._zone.offset_at(utc)
        for distance in range(1, 60):  # half-years, back first: the latest use counts
            for moment in (utc - distance * _HALF_YEAR, utc + distance * _HALF_YEAR):
                if self._zone.abbreviation_at(moment) == self.name:
                    return self._zone.offset_at(moment)
        return self._zone.offset_at(utc)

    def offset_of_local(self, local: int) -> int:
        return self.offset_at(local - self._zone.offset_of_local(local) * MICROSECONDS_PER_SECOND)


_HALF_YEAR = 182 * MICROSECONDS_PER_DAY


@lru_cache(4096)
def parse_fixed_offset(text: str) -> int | None:
    """Seconds east for "+hh[:mm[:ss]]" or "+hhmm"; None where it is no such thing."""
    match = re.match(r"([+-])(\d{1,2}):?(\d{2})?(?::?(\d{2}))?\Z", text)
    if match is None:
        return None
    seconds = int(match[2]) * 3600 + int(match[3] or 0) * 60 + int(match[4] or 0)
    return -seconds if match[1] == "-" else seconds


def zone_by_name(name: str) -> Zone:
    """What AT TIME ZONE accepts: an abbreviation, a zone name or a POSIX specification; else 22023."""
    zone = zone_of_abbreviation(name) or find_zone(name)
    if zone is None:
        raise SqlError("22023", f'time zone "{name}" not recognized')
    return zone


@lru_cache(1024)
def session_zone(setting: str) -> Zone:
    """The zone of a TimeZone setting."""
    zone = find_zone(setting)
    if zone is None:
        offset = parse_fixed_offset(setting)
        if offset is None:
            raise SqlError("22023", f'time zone "{setting}" not recognized')
        return FixedZone(setting, offset)
    return zone
