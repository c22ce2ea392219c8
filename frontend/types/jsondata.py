"""json and jsonb: validation, PostgreSQL's canonical text of jsonb, its ordering.

json keeps the text as written after checking it. jsonb is held as the text that PostgreSQL would print: keys once (the last
wins), ordered by length in bytes and then by bytes, numbers as numeric prints them, ", " and ": " between. Python's C scanner
does the work for valid documents; what it refuses, or might take too generously (surrogates, NUL), goes through `_Checker`,
which finds PostgreSQL's message for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from frontend.context import Context
from frontend.errors import SqlError
from frontend.types import oids
from frontend.types.behaviour import Encoder, TypeBehaviour, malformed_binary
from frontend.types.characters import decode_utf8
from frontend.types.decimals import format_numeric, parse_numeric

_DEPTH_MAX = 6000


class JsonNumber(str):
    """A number of a JSON document in PostgreSQL's numeric text."""

    __slots__ = ()


class _ConstantError(ValueError):
    pass


def _refuse_constant(name: str) -> None:
    raise _ConstantError(name)


def _canonical_integer(text: str) -> JsonNumber:
    return JsonNumber("0" if text == "-0" else text)


def _canonical_float(text: str) -> JsonNumber:
    return JsonNumber(format_numeric(parse_numeric(text)))


_DECODER = json.JSONDecoder(
    parse_int=_canonical_integer, parse_float=_canonical_float, parse_constant=_refuse_constant, strict=True
)
_WHITESPACE = " \t\n\r"


def parse_json(text: str, *, binary: bool = True) -> Any:
    """A document as Python values: dict, list, str, bool, None, and `JsonNumber` for numbers.

    Raises 22P02 with PostgreSQL's detail; with `binary` also what jsonb cannot hold (22P05 for \\u0000).
    """
    if binary and "\\u" in text:
        _Checker(text, binary).check()
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        if isinstance(error, RecursionError):
            raise SqlError(
                "54001",
                "stack depth limit exceeded",
                hint='Increase the configuration parameter "max_stack_depth" (currently 2048kB), after ensuring the '
                "platform's stack depth limit is adequate.",
            ) from None
        _Checker(text, binary).check()
        raise SqlError("22P02", "invalid input syntax for type json") from None


_encode_string = json.encoder.encode_basestring


def key_order(key: str) -> tuple[int, bytes]:
    """jsonb orders an object's keys by length in bytes, then by bytes."""
    encoded = key.encode()
    return len(encoded), encoded


def dump_json(value: Any) -> str:
    """Values of `parse_json` (or plain int, float as JsonNumber) as canonical jsonb text."""
    parts: list[str] = []
    _dump(value, parts.append)
    return "".join(parts)


def _dump(value: Any, write: Callable[[str], None]) -> None:
    if isinstance(value, JsonNumber):
        write(value)
    elif isinstance(value, str):
        write(_encode_string(value))
    elif value is None:
        write("null")
    elif value is True:
        write("true")
    elif value is False:
        write("false")
    elif isinstance(value, dict):
        separator = "{"
        for key in sorted(value, key=key_order):
            write(separator)
            write(_encode_string(key))
            write(": ")
            _dump(value[key], write)
            separator = ", "
        write("}" if value else "{}")
    else:
        separator = "["
        for item in value:
            write(separator)
            _dump(item, write)
            separator = ", "
        write("]" if value else "[]")


def canonical_jsonb(text: str) -> str:
    """Any JSON text as jsonb holds it."""
    return dump_json(parse_json(text))


_TOKEN = re.compile(
    r'(?P<string>")|(?P<structure>[{}\[\],:])|(?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)'
)
_WORD = re.compile(r"[A-Za-z0-9_$\x80-\U0010ffff]+")
_NUMBER_TAIL = re.compile(r"[A-Za-z0-9_$.+\-\x80-\U0010ffff]*")


class _Checker:
    """Reads a document only to say, in PostgreSQL's words, what is wrong with it; silent where nothing is."""

    def __init__(self, text: str, binary: bool) -> None:
        self.text = text
        self.binary = binary
        self.position = 0
        self.kind = ""
        self.token = ""

    def error(
        self, detail: str, sqlstate: str = "22P02", message: str = "invalid input syntax for type json"
    ) -> SqlError:
        return SqlError(sqlstate, message, detail=detail)

    def expected(self, what: str) -> SqlError:
        if self.kind == "end":
            return self.error("The input string ended unexpectedly.")
        return self.error(f'Expected {what}, but found "{self.token}".')

    def advance(self) -> None:
        text = self.text
        while self.position < len(text) and text[self.position] in _WHITESPACE:
            self.position += 1
        if self.position >= len(text):
            self.kind = "end"
            self.token = ""
            return
        start = self.position
        match = _TOKEN.match(text, start)
        if match is None:
            word = _WORD.match(text, start)
            if text[start] == "-":
                tail = _NUMBER_TAIL.match(text, start + 1)
                self.token = text[start : tail.end() if tail else start + 1]
                raise self.error(f'Token "{self.token}" is invalid.')
            self.token = word.group() if word else text[start]
            if self.token in ("true", "false", "null"):
                self.kind = "scalar"
                self.position = start + len(self.token)
                return
            raise self.error(f'Token "{self.token}" is invalid.')
        if match["string"]:
            self.read_string()
            self.kind = "string"
            self.token = text[start : self.position]
            return
        self.position = match.end()
        self.token = match.group()
        if match["structure"]:
            self.kind = self.token
            return
        tail = _NUMBER_TAIL.match(text, self.position)
        if tail and tail.group():
            raise self.error(f'Token "{self.token}{tail.group()}" is invalid.')
        self.kind = "scalar"

    def read_string(self) -> None:
        text = self.text
        start = self.position
        position = start + 1
        high: int | None = None
        while True:
            if position >= len(text):
                raise self.error(f'Token "{text[start:]}" is invalid.')
            character = text[position]
            if character == "\\":
                position += 1
                if position >= len(text):
                    raise self.error(f'Token "{text[start:]}" is invalid.')
                escape = text[position]
                if escape == "u":
                    digits = re.match(r"[0-9a-fA-F]{0,4}", text[position + 1 :])
                    found = digits.group() if digits else ""
                    if len(found) < 4:
                        end = position + 1 + len(found)
                        if end >= len(text):
                            raise self.error(f'Token "{text[start:]}" is invalid.')
                        raise self.error('"\\u" must be followed by four hexadecimal digits.')
                    code = int(found, 16)
                    position += 4
                    high = self.check_code(code, high)
                else:
                    if high is not None:
                        raise self.error("Unicode low surrogate must follow a high surrogate.")
                    if escape not in '"\\/bfnrt':
                        raise self.error(f'Escape sequence "\\{escape}" is invalid.')
            else:
                if high is not None:
                    raise self.error("Unicode low surrogate must follow a high surrogate.")
                if character == '"':
                    break
                if character < " ":
                    raise self.error(f"Character with value 0x{ord(character):02x} must be escaped.")
            position += 1
        self.position = position + 1

    def check_code(self, code: int, high: int | None) -> int | None:
        if not self.binary:
            return None
        if 0xD800 <= code < 0xDC00:
            if high is not None:
                raise self.error("Unicode high surrogate must not follow a high surrogate.")
            return code
        if 0xDC00 <= code < 0xE000:
            if high is None:
                raise self.error("Unicode low surrogate must follow a high surrogate.")
            return None
        if high is not None:
            raise self.error("Unicode low surrogate must follow a high surrogate.")
        if code == 0 and self.binary:
            raise self.error("\\u0000 cannot be converted to text.", "22P05", "unsupported Unicode escape sequence")
        return None

    def check(self) -> None:
        self.advance()
        self.check_value(0)
        if self.kind != "end":
            raise self.error(f'Expected end of input, but found "{self.token}".')

    def check_value(self, depth: int) -> None:
        if depth > _DEPTH_MAX:
            raise SqlError("54001", "stack depth limit exceeded")
        if self.kind in ("string", "scalar"):
            self.advance()
        elif self.kind == "{":
            self.advance()
            if self.kind == "}":
                self.advance()
                return
            what = 'string or "}"'
            while True:
                if self.kind != "string":
                    raise self.expected(what)
                self.advance()
                if self.kind != ":":
                    raise self.expected('":"')
                self.advance()
                self.check_value(depth + 1)
                if self.kind == "}":
                    break
                if self.kind != ",":
                    raise self.expected('"," or "}"')
                self.advance()
                what = "string"
            self.advance()
        elif self.kind == "[":
            self.advance()
            if self.kind == "]":
                self.advance()
                return
            while True:
                self.check_value(depth + 1)
                if self.kind == "]":
                    break
                if self.kind != ",":
                    raise self.expected('"," or "]"')
                self.advance()
            self.advance()
        else:
            raise self.expected("JSON value")


# ordering

_NULL, _STRING, _NUMBER, _BOOLEAN, _ARRAY, _OBJECT = range(6)


def jsonb_key(text: str) -> tuple[Any, ...]:
    """Orders objects over arrays over booleans over numbers over strings over null, larger containers over smaller.

    An empty array on top sorts before everything, scalars included, as in PostgreSQL.
    """
    value = _DECODER.decode(text)
    return (-1,) if value == [] else _key(value)


def _key(value: Any) -> tuple[Any, ...]:
    if isinstance(value, JsonNumber):
        return _NUMBER, parse_numeric(value)
    if isinstance(value, str):
        return _STRING, value
    if value is None:
        return (_NULL,)
    if isinstance(value, bool):
        return _BOOLEAN, value
    if isinstance(value, dict):
        return _OBJECT, len(value), tuple((key, _key(value[key])) for key in sorted(value, key=key_order))
    return _ARRAY, len(value), tuple(_key(item) for item in value)


def _json_input(text: str, typmod: int, context: Context) -> str:
    check_json(text)
    return text


def check_json(text: str) -> None:
    """Raise 22P02 unless the text is one JSON document."""
    parse_json(text, binary=False)


def _jsonb_input(text: str, typmod: int, context: Context) -> str:
    return canonical_jsonb(text)


def _output(value: str, context: Context) -> str:
    return value


def _json_receive(data: bytes, typmod: int, context: Context) -> str:
    text = decode_utf8(data)
    check_json(text)
    return text


def _jsonb_receive(data: bytes, typmod: int, context: Context) -> str:
    if not data:
        raise malformed_binary("insufficient data left in message")
    if data[0] != 1:
        raise SqlError("XX000", f"unsupported jsonb version number {data[0]}")
    return canonical_jsonb(decode_utf8(data[1:]))


def _json_send(value: str, context: Context) -> bytes:
    return value.encode()


def _jsonb_send(value: str, context: Context) -> bytes:
    return b"\x01" + value.encode()


def _text_encoder(context: Context) -> Encoder:
    return str.encode


BEHAVIOURS: dict[int, TypeBehaviour] = {
    oids.JSON: TypeBehaviour(_json_input, _output, _json_receive, _json_send, text_encoder=_text_encoder),
    oids.JSONB: TypeBehaviour(
        _jsonb_input,
        _output,
        _jsonb_receive,
        _jsonb_send,
        text_encoder=_text_encoder,
        sort_key=jsonb_key,
        hash_key=jsonb_key,
    ),
}
