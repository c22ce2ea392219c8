"""Finding one value in a JSON text without building the document, and the readers that the JSON functions share.

`->` on a stored document wants one member of it, as written. Python's C scanner skips a value and says where it ends, so
the members of an object or array are walked at C speed and cut out of the text: for json that keeps the text as written,
for jsonb a piece of canonical text is canonical itself. Nothing is re-serialised.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from json import JSONDecoder, decoder
from typing import Any

from frontend.errors import SqlError
from frontend.functions.numeric_division import EXACT

Span = tuple[int, int]

scanstring = decoder.scanstring  # type: ignore[attr-defined]  # (text, place after the quote, strict) → content, end

# Numbers stay text: an integer of many digits costs nothing here.
_SKIPPER = JSONDecoder(parse_int=str, parse_float=str, strict=False)
_skip = _SKIPPER.scan_once  # type: ignore[attr-defined]
_SPACE = re.compile(r"[ \t\n\r]*").match


def _after_space(text: str, place: int) -> int:
    found = _SPACE(text, place)
    assert found is not None
    return found.end()


_KINDS = {"{": "object", "[": "array", '"': "string", "t": "boolean", "f": "boolean", "n": "null"}


def kind_of(text: str) -> str:
    """object, array, string, number, boolean or null: what json_typeof says."""
    first = text[0]
    if first in " \t\n\r":
        first = text[_after_space(text, 0)]
    return _KINDS.get(first, "number")


def members(text: str) -> Iterator[tuple[str, Span]]:
    """Key and the value's place for each member of the object that the text is."""
    place = _after_space(text, _after_space(text, 0) + 1)
    while text[place] != "}":
        key, place = scanstring(text, place + 1, False)
        start = _after_space(text, _after_space(text, place) + 1)
        _, end = _skip(text, start)
        yield key, (start, end)
        place = _after_space(text, end)
        if text[place] == ",":
            place = _after_space(text, place + 1)


def elements(text: str) -> Iterator[Span]:
    """The place of each element of the array that the text is."""
    place = _after_space(text, _after_space(text, 0) + 1)
    while text[place] != "]":
        _, end = _skip(text, place)
        yield place, end
        place = _after_space(text, end)
        if text[place] == ",":
            place = _after_space(text, place + 1)


def member(text: str, key: str, *, unique: bool) -> str | None:
    """The value of a key in an object, None where there is none or the text is no object.

    Of several members with one key the last counts. `unique` says that the text is jsonb's: keys are unique, and the
    separators are canonical, so that nothing but strings and values has to be scanned.
    """
    if unique:
        return _canonical_member(text, key)
    if kind_of(text) != "object":
        return None
    found: str | None = None
    for name, (start, end) in members(text):
        if name == key:
            found = text[start:end]
    return found


def _canonical_member(text: str, key: str) -> str | None:
    if text[0] != "{":
        return None
    place = 1
    while text[place] != "}":
        name, place = scanstring(text, place + 1, False)
        place += 2  # ": "
        _, end = _skip(text, place)
        if name == key:
            return text[place:end]
        if text[end] == "}":
            return None
        place = end + 2  # ", "
    return None


def element(text: str, index: int) -> str | None:
    """An element of an array by index from 0, negative ones from the end; None where there is none."""
    if kind_of(text) != "array":
        return None
    if index < 0:
        places = list(elements(text))
        return text[slice(*places[index])] if -index <= len(places) else None
    for place, (start, end) in enumerate(elements(text)):
        if place == index:
            return text[start:end]
    return None


def as_text(text: str | None) -> str | None:
    """What ->> gives for a value: a string's content, NULL for null, other values as they stand."""
    if text is None or text == "null":
        return None
    if text[0] != '"':
        return text
    content: str = scanstring(text, 1, False)[0]
    if "\0" in content:
        raise SqlError("22P05", "unsupported Unicode escape sequence", detail="\\u0000 cannot be converted to text.")
    return content


_INTEGER = re.compile(r"[ \t\n\v\f\r]*[+-]?[0-9]+\Z")


def path_index(step: str) -> int | None:
    """A path element as an array index, None where it is no int4."""
    if not _INTEGER.match(step):
        return None
    index = int(step)
    return index if -(2**31) <= index < 2**31 else None


def descend(text: str, path: list[str | None], *, unique: bool) -> str | None:
    """The value at a path of keys and indexes; None where there is none or a path element is NULL."""
    current: str | None = text
    for step in path:
        if step is None or current is None:
            return None
        kind = kind_of(current)
        if kind == "object":
            current = member(current, step, unique=unique)
        elif kind == "array":
            index = path_index(step)
            current = None if index is None else element(current, index)
        else:
            return None
    return current


def _number(text: str) -> Decimal:
    return EXACT.create_decimal(text)


_VALUES = JSONDecoder(parse_int=_number, parse_float=_number)


def values_of(text: str) -> Any:
    """A document as dict, list, str, bool, None and Decimal: for comparing by value, not for writing back."""
    return _VALUES.decode(text)


def same_value(left: Any, right: Any) -> bool:
    """Equality of two documents of `values_of`; unlike Python's, true is not 1."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same_value(value, right[key]) for key, value in left.items())
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same_value, left, right))
    return bool(left == right)
