"""String functions (PostgreSQL's manual, 9.4), except patterns (`pattern_matching`), templates (`formatting`) and bytea
(`binary_strings`).

A text value is a Python str, so positions are characters and no function decodes anything. The database is UTF-8 with the
C collation: lengths and chr/ascii are Unicode's, letters are ASCII's. Results are bounded as in PostgreSQL: what would
exceed 1 GiB is 54000 before memory is taken.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Any

from frontend.context import Context
from frontend.errors import SqlError
from frontend.functions.keywords import reserved_in_identifiers
from frontend.functions.letters import lower_ascii, upper_ascii
from frontend.functions.registry import scalar, set_returning
from frontend.functions.rendering import cast_to_text, element_type, output_function, output_text, types_for
from frontend.types import oids

TEXT_BYTES_MAX = 0x3FFFFFFF  # PostgreSQL's MaxAllocSize


# ── concatenation ───────────────────────────────────────────────────────────────────────────────────────────────────


@scalar("textcat(text,text)", inline="({0} + {1})")
def textcat(left: str, right: str) -> str:
    return left + right


@scalar("anytextcat(anynonarray,text)", context=True, typed=True)
def anytextcat(context: Context, left: Any, right: str, *, argument_types: tuple[int, ...], result_type: int) -> str:
    return cast_to_text(left, argument_types[0], context) + right


@scalar("textanycat(text,anynonarray)", context=True, typed=True)
def textanycat(context: Context, left: str, right: Any, *, argument_types: tuple[int, ...], result_type: int) -> str:
    return left + cast_to_text(right, argument_types[1], context)


@scalar("concat(any)", context=True, typed=True)
def concat(context: Context, *arguments: Any, argument_types: tuple[int, ...], result_type: int) -> str:
    return "".join(
        output_text(value, oid, context)
        for value, oid in zip(arguments, types_for(arguments, argument_types), strict=False)
        if value is not None
    )


@scalar("concat_ws(text,any)", context=True, typed=True)
def concat_ws(
    context: Context, separator: str | None, *arguments: Any, argument_types: tuple[int, ...], result_type: int
) -> str | None:
    if separator is None:
        return None
    types = types_for(arguments, argument_types[1:])
    return separator.join(
        output_text(value, oid, context) for value, oid in zip(arguments, types, strict=False) if value is not None
    )


# ── measures ────────────────────────────────────────────────────────────────────────────────────────────────────────


@scalar("length(text)", "char_length(text)", "character_length(text)", "textlen(text)", inline="len({0})")
def length(text: str) -> int:
    return len(text)


@scalar("length(bpchar)", "char_length(bpchar)", "character_length(bpchar)")
def bpchar_length(text: str) -> int:
    return len(text.rstrip(" "))


@scalar("octet_length(text)", "octet_length(bpchar)")
def octet_length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


@scalar("bit_length(text)")
def bit_length(text: str) -> int:
    return 8 * octet_length(text)


# ── case ────────────────────────────────────────────────────────────────────────────────────────────────────────────

scalar("lower(text)")(lower_ascii)
scalar("upper(text)")(upper_ascii)

_WORD = re.compile("[a-zA-Z0-9]+")


@scalar("initcap(text)")
def initcap(text: str) -> str:
    return _WORD.sub(lambda word: upper_ascii(word[0][0]) + lower_ascii(word[0][1:]), text)


# ── parts ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def substring_bounds(start: int, count: int | None) -> tuple[int, int | None]:
    """Python's slice bounds of SQL's substring from `start` (1-based, any integer) for `count`."""
    if count is None:
        return max(start - 1, 0), None
    end = start + count
    if end < start:
        raise SqlError("22011", "negative substring length not allowed")
    return max(start - 1, 0), max(end - 1, 0)


@scalar("substring(text,int4,int4)", "substr(text,int4,int4)")
def substring(text: str, start: int, count: int) -> str:
    first, end = substring_bounds(start, count)
    return text[first:end]


@scalar("substring(text,int4)", "substr(text,int4)")
def substring_from(text: str, start: int) -> str:
    return text[max(start - 1, 0) :]


@scalar("left(text,int4)")
def left(text: str, count: int) -> str:
    return text[:count]


@scalar("right(text,int4)")
def right(text: str, count: int) -> str:
    if count < 0:
        return text[-count:]
    return text[-count:] if count else ""


def overlay_at(whole: Any, replacement: Any, start: int, count: int) -> Any:
    """SQL's overlay for text and bytea."""
    if start <= 0:
        raise SqlError("22011", "negative substring length not allowed")
    if start + count > 2**31 - 1:
        raise SqlError("22003", "integer out of range")
    return whole[: start - 1] + replacement + whole[max(start + count - 1, 0) :]


@scalar("overlay(text,text,int4,int4)")
def overlay(text: str, replacement: str, start: int, count: int) -> str:
    return str(overlay_at(text, replacement, start, count))


@scalar("overlay(text,text,int4)")
def overlay_whole(text: str, replacement: str, start: int) -> str:
    return str(overlay_at(text, replacement, start, len(replacement)))


@scalar("strpos(text,text)", "position(text,text)")
def strpos(text: str, part: str) -> int:
    return text.find(part) + 1


@scalar("starts_with(text,text)")
def starts_with(text: str, prefix: str) -> bool:
    return text.startswith(prefix)


@scalar("split_part(text,text,int4)")
def split_part(text: str, delimiter: str, number: int) -> str:
    if number == 0:
        raise SqlError("22023", "field position must not be zero")
    if not text:
        return ""
    parts = text.split(delimiter) if delimiter else [text]
    place = number - 1 if number > 0 else len(parts) + number
    return parts[place] if 0 <= place < len(parts) else ""


# ── changes ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@scalar("btrim(text,text)")
def btrim(text: str, characters: str) -> str:
    return text.strip(characters) if characters else text


@scalar("ltrim(text,text)")
def ltrim(text: str, characters: str) -> str:
    return text.lstrip(characters) if characters else text


@scalar("rtrim(text,text)")
def rtrim(text: str, characters: str) -> str:
    return text.rstrip(characters) if characters else text


@scalar("btrim(text)")
def btrim_spaces(text: str) -> str:
    return text.strip(" ")


@scalar("ltrim(text)")
def ltrim_spaces(text: str) -> str:
    return text.lstrip(" ")


@scalar("rtrim(text)")
def rtrim_spaces(text: str) -> str:
    return text.rstrip(" ")


def _too_long() -> SqlError:
    return SqlError("54000", "requested length too large")


def _padding(missing: int, fill: str) -> str:
    return (fill * (missing // len(fill) + 1))[:missing]


@scalar("lpad(text,int4,text)")
def lpad(text: str, width: int, fill: str) -> str:
    width = max(width, 0)
    if 4 * width > TEXT_BYTES_MAX:  # four bytes a character at most
        raise _too_long()
    if width <= len(text):
        return text[:width]
    return _padding(width - len(text), fill) + text if fill else text


@scalar("rpad(text,int4,text)")
def rpad(text: str, width: int, fill: str) -> str:
    width = max(width, 0)
    if 4 * width > TEXT_BYTES_MAX:
        raise _too_long()
    if width <= len(text):
        return text[:width]
    return text + _padding(width - len(text), fill) if fill else text


@scalar("lpad(text,int4)")
def lpad_spaces(text: str, width: int) -> str:
    return lpad(text, width, " ")


@scalar("rpad(text,int4)")
def rpad_spaces(text: str, width: int) -> str:
    return rpad(text, width, " ")


@scalar("repeat(text,int4)")
def repeat(text: str, count: int) -> str:
    if count > 0 and octet_length(text) * count > TEXT_BYTES_MAX - 4:
        raise _too_long()
    return text * count


@scalar("reverse(text)")
def reverse(text: str) -> str:
    return text[::-1]


@scalar("replace(text,text,text)")
def replace(text: str, old: str, new: str) -> str:
    return text.replace(old, new) if old else text


@scalar("translate(text,text,text)")
def translate(text: str, characters: str, replacements: str) -> str:
    table: dict[int, str | None] = {}
    for place, character in enumerate(characters):
        if ord(character) not in table:
            table[ord(character)] = replacements[place] if place < len(replacements) else None
    return text.translate(table)


# ── characters and numbers ──────────────────────────────────────────────────────────────────────────────────────────


@scalar("ascii(text)")
def ascii_code(text: str) -> int:
    return ord(text[0]) if text else 0


@scalar("chr(int4)")
def chr_of(code: int) -> str:
    if code < 0:
        raise SqlError("22023", "character number must be positive")
    if code == 0:
        raise SqlError("54000", "null character not permitted")
    if code > 0x10FFFF:
        raise SqlError("54000", f"requested character too large for encoding: {code}")
    if 0xD800 <= code <= 0xDFFF:
        raise SqlError("54000", f"requested character not valid for encoding: {code}")
    return chr(code)


@scalar("to_hex(int4)")
def to_hex(number: int) -> str:
    return f"{number & 0xFFFFFFFF:x}"


@scalar("to_hex(int8)")
def to_hex_bigint(number: int) -> str:
    return f"{number & 0xFFFFFFFFFFFFFFFF:x}"


# ── arrays of strings ───────────────────────────────────────────────────────────────────────────────────────────────


@scalar("string_to_array(text,text)", "string_to_array(text,text,text)")
def string_to_array(text: str | None, delimiter: str | None, null_text: str | None = None) -> list[str | None] | None:
    """A NULL delimiter cuts into characters, an empty one not at all; fields equal to `null_text` become NULL."""
    if text is None:
        return None
    if not text:
        return []
    fields: list[str]
    if delimiter is None:
        fields = list(text)
    else:
        fields = text.split(delimiter) if delimiter else [text]
    if null_text is None:
        return list(fields)
    return [None if field == null_text else field for field in fields]


@set_returning("string_to_table(text,text)", "string_to_table(text,text,text)")
def string_to_table(text: str | None, delimiter: str | None, null_text: str | None = None) -> Iterable[str | None]:
    return string_to_array(text, delimiter, null_text) or ()


def _leaves(array: list[Any]) -> Iterable[Any]:
    for element in array:
        if isinstance(element, list):
            yield from _leaves(element)
        else:
            yield element


@scalar("array_to_string(anyarray,text)", "array_to_string(anyarray,text,text)", context=True, typed=True)
def array_to_string(
    context: Context,
    array: list[Any] | None,
    delimiter: str | None,
    null_text: str | None = None,
    *,
    argument_types: tuple[int, ...],
    result_type: int,
) -> str | None:
    """NULL elements are left out unless `null_text` stands for them."""
    if array is None or delimiter is None:
        return None
    output = output_function(element_type(argument_types[0]), context)
    texts = (null_text if element is None else output(element) for element in _leaves(array))
    return delimiter.join(text for text in texts if text is not None)


# ── quoting ─────────────────────────────────────────────────────────────────────────────────────────────────────────

_SAFE_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]*\Z")


@scalar("quote_ident(text)")
def quote_ident(name: str) -> str:
    """The name as an identifier: quoted unless it is plain and no keyword that would be misread."""
    if _SAFE_IDENTIFIER.match(name) and name not in reserved_in_identifiers():
        return name
    return '"' + name.replace('"', '""') + '"'


@scalar("quote_literal(text)")
def quote_literal(text: str) -> str:
    quoted = "'" + text.replace("'", "''") + "'"
    return "E" + quoted.replace("\\", "\\\\") if "\\" in text else quoted


@scalar("quote_literal(anyelement)", context=True, typed=True)
def quote_any_literal(context: Context, value: Any, *, argument_types: tuple[int, ...], result_type: int) -> str:
    return quote_literal(cast_to_text(value, argument_types[0], context))


@scalar("quote_nullable(text)")
def quote_nullable(text: str | None) -> str:
    return "NULL" if text is None else quote_literal(text)


@scalar("quote_nullable(anyelement)", context=True, typed=True)
def quote_any_nullable(context: Context, value: Any, *, argument_types: tuple[int, ...], result_type: int) -> str:
    return (
        "NULL"
        if value is None
        else quote_any_literal(context, value, argument_types=argument_types, result_type=result_type)
    )


_PLAIN_IDENTIFIER = re.compile(r"[a-zA-Z_\u0080-\U0010ffff][a-zA-Z0-9_$\u0080-\U0010ffff]*")


@scalar("parse_ident(text,bool)")
def parse_ident(text: str, strict: bool) -> list[str]:
    """A qualified name's parts, quotes taken off and unquoted letters made small."""

    def invalid(detail: str | None = None) -> SqlError:
        return SqlError("22023", f'string is not a valid identifier: "{text}"', detail=detail)

    parts: list[str] = []
    place, size = 0, len(text)

    def skip_space(place: int) -> int:
        while place < size and text[place] in " \t\n\r\f\v":
            place += 1
        return place

    place = skip_space(place)
    after_dot = False
    while True:
        if place < size and text[place] == '"':
            name = ""
            start = place + 1
            while True:
                end = text.find('"', start)
                if end < 0:
                    raise invalid("String has unclosed double quotes.")
                name += text[start:end]
                if text[end + 1 : end + 2] != '"':
                    break
                name += '"'
                start = end + 2
            place = end + 1
            if not name:
                raise invalid("Quoted identifier must not be empty.")
            parts.append(name)
        elif plain := _PLAIN_IDENTIFIER.match(text, place):
            parts.append(lower_ascii(plain[0]))
            place = plain.end()
        elif place < size and text[place] == ".":
            raise invalid('No valid identifier before ".".')
        elif after_dot:
            raise invalid('No valid identifier after ".".')
        else:
            raise invalid()
        place = skip_space(place)
        if place < size and text[place] == ".":
            after_dot = True
            place = skip_space(place + 1)
        elif place >= size:
            return parts
        elif strict:
            raise invalid()
        else:
            return parts


# ── format ──────────────────────────────────────────────────────────────────────────────────────────────────────────

_SPECIFIER = re.compile(r"(?:(\d+)\$)?(-+)?(?:(\d+)|(\*)(?:(\d+)\$)?)?(.)?", re.DOTALL)


def _integer_argument(value: Any, oid: int, context: Context) -> int:
    if value is None:
        return 0
    if oid in oids.INTEGER_LIKE_TYPES:
        return int(value)
    return int(output_text(value, oid, context))


@scalar("format(text)", "format(text,any)", context=True, typed=True)
def format_text(
    context: Context, template: str | None, *arguments: Any, argument_types: tuple[int, ...], result_type: int
) -> str | None:
    """%s, %I and %L with positions and widths; %% is a percent sign."""
    if template is None:
        return None
    types = types_for(arguments, argument_types[1:])
    result: list[str] = []
    place = 0
    next_argument = 1

    def take(number: int) -> tuple[Any, int]:
        if number > len(arguments):
            raise SqlError("22023", "too few arguments for format()")
        return arguments[number - 1], types[number - 1]

    def numbered(digits: str) -> int:
        number = int(digits)
        if number > 2**31 - 1:
            raise SqlError("22003", "number is out of range")
        return number

    def positioned(digits: str) -> int:
        number = numbered(digits)
        if number == 0:
            raise SqlError("22023", "format specifies argument 0, but arguments are numbered from 1")
        return number

    while True:
        percent = template.find("%", place)
        if percent < 0:
            result.append(template[place:])
            return "".join(result)
        result.append(template[place:percent])
        place = percent + 1
        if template[place : place + 1] == "%":
            result.append("%")
            place += 1
            continue
        found = _SPECIFIER.match(template, place)
        assert found is not None
        position, minus, width_digits, star, star_position, conversion = found.groups()
        number = positioned(position) if position is not None else 0
        width = 0
        align_left = minus is not None
        if width_digits is not None:
            width = numbered(width_digits)
        elif star is not None:
            if star_position is not None:
                value, oid = take(positioned(star_position))
            else:
                value, oid = take(next_argument)
                next_argument += 1
            width = _integer_argument(value, oid, context)
            if width < 0:
                align_left = True
                width = -width
        if conversion is None:
            raise SqlError("22023", "unterminated format() type specifier", hint='For a single "%" use "%%".')
        if conversion not in "sIL":
            raise SqlError(
                "22023",
                f'unrecognized format() type specifier "{conversion}"',
                hint='For a single "%" use "%%".',
            )
        if number == 0:
            number = next_argument
        value, oid = take(number)
        next_argument = number + 1
        if value is None:
            if conversion == "I":
                raise SqlError("22004", "null values cannot be formatted as an SQL identifier")
            text = "NULL" if conversion == "L" else ""
        else:
            text = output_text(value, oid, context)
            if conversion == "I":
                text = quote_ident(text)
            elif conversion == "L":
                text = quote_literal(text)
        result.append(text.ljust(width) if align_left else text.rjust(width))
        place = found.end()


# ── Unicode ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _normalization_form(form: str) -> Any:
    name = lower_ascii(form)
    if name not in ("nfc", "nfd", "nfkc", "nfkd"):
        raise SqlError("22023", f"invalid normalization form: {form}")
    return name.upper()


@scalar("normalize(text,text)")
def normalize(text: str, form: str) -> str:
    return unicodedata.normalize(_normalization_form(form), text)


@scalar("is_normalized(text,text)")
def is_normalized(text: str, form: str) -> bool:
    return unicodedata.is_normalized(_normalization_form(form), text)


_UNICODE_ESCAPE = re.compile(r"\\(?:(\\)|u?([0-9a-fA-F]{4})|\+([0-9a-fA-F]{6})|U([0-9a-fA-F]{8})|)")


@scalar("unistr(text)")
def unistr(text: str) -> str:
    """Unicode escapes in a text value: \\XXXX, \\uXXXX, \\+XXXXXX, \\UXXXXXXXX, surrogate pairs joined."""
    result: list[str] = []
    high: int | None = None
    place = 0

    def bad_pair() -> SqlError:
        return SqlError("42601", "invalid Unicode surrogate pair")

    while place < len(text):
        if text[place] != "\\":
            if high is not None:
                raise bad_pair()
            end = text.find("\\", place)
            end = len(text) if end < 0 else end
            result.append(text[place:end])
            place = end
            continue
        found = _UNICODE_ESCAPE.match(text, place)
        assert found is not None
        if found.end() == place + 1:
            raise SqlError(
                "42601",
                "invalid Unicode escape",
                hint="Unicode escapes must be \\XXXX, \\+XXXXXX, \\uXXXX, or \\UXXXXXXXX.",
            )
        place = found.end()
        if found[1]:
            if high is not None:
                raise bad_pair()
            result.append("\\")
            continue
        code = int(found[2] or found[3] or found[4], 16)
        if code == 0 or code > 0x10FFFF:
            raise SqlError("22023", f"invalid Unicode code point: {code:04X}")
        if high is not None:
            if not 0xDC00 <= code <= 0xDFFF:
                raise bad_pair()
            result.append(chr(0x10000 + ((high - 0xD800) << 10) + (code - 0xDC00)))
            high = None
        elif 0xD800 <= code <= 0xDBFF:
            high = code
        elif 0xDC00 <= code <= 0xDFFF:
            raise bad_pair()
        else:
            result.append(chr(code))
    if high is not None:
        raise bad_pair()
    return "".join(result)
