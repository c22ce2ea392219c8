"""Arrays of any element type: the text form with its quoting rules, the binary form, ordering.

A value is a list; more dimensions are lists of lists of equal length; NULL elements are None. Lower bounds are read and
written as 1 only: `[2:3]={1,2}` is accepted and becomes `{1,2}`.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from typing import Any

from frontend.context import Context
from frontend.errors import SqlError
from frontend.types import oids
from frontend.types.behaviour import TypeBehaviour, malformed_binary

DIMENSIONS_MAX = 6
_ITEMS_MAX = 134217727
_BOUNDS = re.compile(r"[ \t\n\v\f\r]*\[\s*([+-]?\d+)\s*(?::\s*([+-]?\d+)\s*)?\]")


def _malformed(text: str, detail: str) -> SqlError:
    return SqlError("22P02", f'malformed array literal: "{text}"', detail=detail)


def parse_array(text: str, delimiter: str, element: Callable[[str], Any]) -> list[Any]:
    """An array literal; `element` reads one element's text."""
    position = 0
    bounds: list[tuple[int, int]] = []
    while True:
        match = _BOUNDS.match(text, position)
        if match is None:
            break
        first, last = (int(match[1]), int(match[2])) if match[2] is not None else (1, int(match[1]))
        if last < first:
            raise SqlError("2202E", "upper bound cannot be less than lower bound")
        bounds.append((first, last))
        position = match.end()
    rest = text[position:].lstrip(" \t\n\v\f\r")
    if bounds:
        if not rest.startswith("="):
            raise _malformed(text, 'Missing "=" after array dimensions.')
        rest = rest[1:].lstrip(" \t\n\v\f\r")
        if not rest.startswith("{"):
            raise _malformed(text, 'Array contents must start with "{".')
    elif rest.startswith("["):
        raise _malformed(text, '"[" must introduce explicitly-specified array dimensions.')
    if not rest.startswith("{"):
        raise _malformed(text, 'Array value must start with "{" or dimension information.')
    parser = _Parser(rest, 0, delimiter, _keep)
    value = parser.parse()  # the whole structure is checked before any element is read
    if bounds:
        shape = dimensions(value)
        if shape != [last - first + 1 for first, last in bounds]:
            raise _malformed(text, "Specified array dimensions do not match array contents.")
    return map_elements(element, value)


def _keep(text: str) -> str:
    return text


class _Parser:
    def __init__(self, text: str, position: int, delimiter: str, element: Callable[[str], Any]) -> None:
        self.text = text
        self.position = position
        self.delimiter = delimiter
        self.element = element
        self.special = frozenset('\\"{}' + delimiter)
        self.depth_of_elements: int | None = None
        self.lengths: list[int | None] = []

    def parse(self) -> list[Any]:
        value = self.parse_list(0)
        if self.text[self.position :].strip(" \t\n\v\f\r"):
            raise _malformed(self.text, "Junk after closing right brace.")
        return value

    def skip_space(self) -> str:
        text = self.text
        while self.position < len(text) and text[self.position] in " \t\n\v\f\r":
            self.position += 1
        if self.position >= len(text):
            raise _malformed(text, "Unexpected end of input.")
        return text[self.position]

    def parse_list(self, depth: int) -> list[Any]:
        if depth >= DIMENSIONS_MAX:
            raise SqlError("54000", f"number of array dimensions exceeds the maximum allowed ({DIMENSIONS_MAX})")
        self.position += 1
        items: list[Any] = []
        if self.skip_space() == "}":
            if depth:
                raise _malformed(self.text, 'Unexpected "}" character.')
            self.position += 1
            return items
        while True:
            character = self.skip_space()
            if character == "{":
                if self.depth_of_elements is not None and depth + 1 >= self.depth_of_elements:
                    raise _malformed(self.text, 'Unexpected "{" character.')
                items.append(self.parse_list(depth + 1))
            elif character in ("}", self.delimiter):
                raise _malformed(self.text, f'Unexpected "{character}" character.')
            else:
                items.append(self.parse_element(depth))
            character = self.skip_space()
            self.position += 1
            if character == "}":
                break
            if character != self.delimiter:
                raise _malformed(self.text, "Unexpected array element.")
        if len(self.lengths) <= depth:
            self.lengths.extend([None] * (depth + 1 - len(self.lengths)))
        known = self.lengths[depth]
        if known is None:
            self.lengths[depth] = len(items)
        elif known != len(items):
            raise self.mismatch()
        return items

    def mismatch(self) -> SqlError:
        return _malformed(self.text, "Multidimensional arrays must have sub-arrays with matching dimensions.")

    def parse_element(self, depth: int) -> Any:
        if self.depth_of_elements is None:
            self.depth_of_elements = depth + 1
        elif self.depth_of_elements != depth + 1:
            raise _malformed(self.text, "Unexpected array element.")
        text, special = self.text, self.special
        start = self.position
        position = start
        length = len(text)
        pieces: list[str] = []
        quoted = False
        kept = 0  # length of the result that trailing whitespace may not be cut from
        while position < length:
            character = text[position]
            if character == '"':
                if pieces and (quoted or "".join(pieces).strip(" \t\n\v\f\r")):
                    raise _malformed(text, "Unexpected array element.")
                quoted = True
                position += 1
                while True:
                    if position >= length:
                        raise _malformed(text, "Unexpected end of input.")
                    character = text[position]
                    if character == '"':
                        position += 1
                        break
                    if character == "\\":
                        position += 1
                        if position >= length:
                            raise _malformed(text, "Unexpected end of input.")
                    pieces.append(text[position])
                    position += 1
                break
            if character == "\\":
                position += 1
                if position >= length:
                    raise _malformed(text, "Unexpected end of input.")
                pieces.append(text[position])
                position += 1
                kept = sum(map(len, pieces))
                continue
            if character in special:
                break
            run_start = position
            while position < length and text[position] not in special:
                position += 1
            pieces.append(text[run_start:position])
        self.position = position
        body = "".join(pieces)
        if quoted:
            return self.element(body)
        body = body[:kept] + body[kept:].rstrip(" \t\n\v\f\r")
        if position < length and text[position] == "{":
            raise _malformed(text, 'Unexpected "{" character.')
        if body.upper() == "NULL" and not kept:
            return None
        return self.element(body)


def flatten(value: list[Any]) -> Iterator[Any]:
    """The elements in row-major order."""
    for item in value:
        if isinstance(item, list):
            yield from flatten(item)
        else:
            yield item


def dimensions(value: list[Any]) -> list[int]:
    """Length of each dimension; none for an empty array."""
    shape: list[int] = []
    level: Any = value
    while isinstance(level, list) and level:
        shape.append(len(level))
        level = level[0]
    return shape


def map_elements(function: Callable[[Any], Any], value: list[Any]) -> list[Any]:
    """The array with the function applied to every element that is not NULL."""
    return [
        None if item is None else map_elements(function, item) if isinstance(item, list) else function(item)
        for item in value
    ]


_NEEDS_QUOTES = re.compile(r'["\\{}, \t\n\v\f\r]')
_ESCAPED = re.compile(r'(["\\])')


def quote_element(text: str, delimiter: str = ",") -> str:
    """An element's text as it stands inside braces."""
    if not text or _NEEDS_QUOTES.search(text) or text.upper() == "NULL" or (delimiter != "," and delimiter in text):
        return '"' + _ESCAPED.sub(r"\\\1", text) + '"'
    return text


def format_array(value: list[Any], delimiter: str, element: Callable[[Any], str]) -> str:
    """An array literal; `element` writes one element without quotes."""
    return (
        "{"
        + delimiter.join(
            "NULL"
            if item is None
            else format_array(item, delimiter, element)
            if isinstance(item, list)
            else quote_element(element(item), delimiter)
            for item in value
        )
        + "}"
    )


def array_behaviour(element_oid: int, delimiter: str, element: TypeBehaviour) -> TypeBehaviour:
    """The array type over an element type."""

    def input_array(text: str, typmod: int, context: Context) -> list[Any]:
        return parse_array(text, delimiter, lambda item: element.input(item, typmod, context))

    def output_array(value: list[Any], context: Context) -> str:
        return format_array(value, delimiter, lambda item: element.output(item, context))

    def receive(data: bytes, typmod: int, context: Context) -> list[Any]:
        return receive_array(data, element_oid, lambda item: element.receive(item, typmod, context))

    def send(value: list[Any], context: Context) -> bytes:
        return send_array(value, element_oid, lambda item: element.send(item, context))

    def apply_typmod(value: list[Any], typmod: int, explicit: bool) -> list[Any]:
        return map_elements(lambda item: element.apply_typmod(item, typmod, explicit), value)

    return TypeBehaviour(
        input_array,
        output_array,
        receive,
        send,
        apply_typmod=apply_typmod,
        typmod_in=element.typmod_in,
        typmod_out=element.typmod_out,
        sort_key=_array_key(element.sort_key),
        hash_key=_array_key(element.hash_key),
    )


def _array_key(element_key: Callable[[Any], Any] | None) -> Callable[[list[Any]], Any]:
    def key(value: list[Any]) -> Any:
        items = tuple(
            (True, None) if item is None else (False, item if element_key is None else element_key(item))
            for item in flatten(value)
        )
        shape = dimensions(value)
        return items, len(shape), tuple(shape)

    return key


def send_array(value: list[Any], element_oid: int, send: Callable[[Any], bytes], lower_bound: int = 1) -> bytes:
    """Binary form of an array."""
    shape = dimensions(value)
    items = list(flatten(value))
    parts = [struct.pack(">iiI", len(shape), int(any(item is None for item in items)), element_oid)]
    parts += [struct.pack(">ii", length, lower_bound) for length in shape]
    for item in items:
        if item is None:
            parts.append(b"\xff\xff\xff\xff")
        else:
            data = send(item)
            parts.append(struct.pack(">i", len(data)) + data)
    return b"".join(parts)


def receive_array(data: bytes, element_oid: int, receive: Callable[[bytes], Any]) -> list[Any]:
    """The reverse of `send_array`; 22P03 for anything that is not a whole array of the right elements."""
    if len(data) < 12:
        raise malformed_binary("insufficient data left in message")
    count, flags, sent_oid = struct.unpack_from(">iiI", data)
    if count < 0:
        raise malformed_binary(f"invalid number of dimensions: {count}")
    if count > DIMENSIONS_MAX:
        raise SqlError("54000", f"number of array dimensions ({count}) exceeds the maximum allowed ({DIMENSIONS_MAX})")
    if flags not in (0, 1):
        raise malformed_binary("invalid array flags")
    if sent_oid != element_oid:
        raise SqlError("42804", f"binary data has array element type {sent_oid} instead of expected {element_oid}")
    position = 12
    shape: list[int] = []
    total = 1
    for _ in range(count):
        if len(data) < position + 8:
            raise malformed_binary("insufficient data left in message")
        length, _lower = struct.unpack_from(">ii", data, position)
        position += 8
        if length < 0:
            raise malformed_binary("invalid array dimension")
        total *= length
        if total > _ITEMS_MAX:
            raise SqlError("54000", f"array size exceeds the maximum allowed ({_ITEMS_MAX})")
        shape.append(length)
    if not count or not total:
        return []
    items: list[Any] = []
    for _ in range(total):
        if len(data) < position + 4:
            raise malformed_binary("insufficient data left in message")
        size = struct.unpack_from(">i", data, position)[0]
        position += 4
        if size == -1:
            items.append(None)
            continue
        if size < 0 or len(data) < position + size:
            raise malformed_binary("insufficient data left in message")
        items.append(receive(data[position : position + size]))
        position += size
    if position != len(data):
        raise malformed_binary()
    return shape_items(items, shape)


def shape_items(items: list[Any], shape: list[int]) -> list[Any]:
    """Elements in row-major order as nested lists of the given shape."""
    for length in reversed(shape[1:]):
        items = [items[start : start + length] for start in range(0, len(items), length)]
    return items


def vector_behaviour(element_oid: int, element: TypeBehaviour, type_name: str) -> TypeBehaviour:
    """int2vector and oidvector: numbers separated by blanks, bounds from 0."""

    def input_vector(text: str, typmod: int, context: Context) -> list[Any]:
        return [element.input(item, -1, context) for item in text.split()]

    def output_vector(value: list[Any], context: Context) -> str:
        return " ".join(element.output(item, context) for item in value)

    def receive(data: bytes, typmod: int, context: Context) -> list[Any]:
        return receive_array(data, element_oid, lambda item: element.receive(item, -1, context))

    def send(value: list[Any], context: Context) -> bytes:
        data = send_array(value, element_oid, lambda item: element.send(item, context), 0)
        return data if value else struct.pack(">iiIii", 1, 0, element_oid, 0, 0)

    return TypeBehaviour(input_vector, output_vector, receive, send, sort_key=vector_key, hash_key=_array_key(None))


def vector_key(value: list[Any]) -> tuple[int, tuple[Any, ...]]:
    """oidvectors order by length first."""
    return len(value), tuple(value)


VECTOR_ELEMENTS = {oids.INT2VECTOR: oids.INT2, oids.OIDVECTOR: oids.OID}
