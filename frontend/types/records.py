"""Records (rows as values): tuples that know the types of their fields.

A record's text and binary forms need the types of its fields, which a bare tuple does not tell. `record_class(types)` makes,
once for each combination, a subclass of tuple that carries them; row constructors build values of it. A bare tuple is
accepted too and read by the Python types of its items (an int prints as an integer).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import Any, ClassVar

from frontend.context import Context
from frontend.errors import SqlError, unsupported
from frontend.types import oids
from frontend.types.behaviour import TypeBehaviour


class Record(tuple[Any, ...]):
    """A row value; subclasses fix `types`, and `names` where the fields have names (for row_to_json and its like)."""

    __slots__ = ()
    types: ClassVar[tuple[int, ...]] = ()
    names: ClassVar[tuple[str, ...]] = ()


@lru_cache(4096)
def record_class(types: tuple[int, ...], names: tuple[str, ...] = ()) -> type[Record]:
    """The class of rows with fields of these types: `record_class((INT4, TEXT))((1, "a"))`."""
    return type("Record", (Record,), {"__slots__": (), "types": types, "names": names})


_INFERRED: dict[type, int] = {
    bool: oids.BOOL,
    int: oids.INT8,
    float: oids.FLOAT8,
    Decimal: oids.NUMERIC,
    str: oids.TEXT,
    bytes: oids.BYTEA,
}


def field_types(value: tuple[Any, ...]) -> tuple[int, ...]:
    """OIDs of a record's fields."""
    if isinstance(value, Record):
        return value.types
    return tuple(_infer(item) for item in value)


def _infer(item: Any) -> int:
    if item is None:
        return oids.TEXT
    if isinstance(item, Record):
        return oids.RECORD
    if isinstance(item, tuple):
        return oids.INTERVAL if hasattr(item, "months") else oids.RECORD
    oid = _INFERRED.get(type(item))
    if oid is None:
        raise unsupported(f"a record field of class {type(item).__name__} without a type")
    return oid


_NEEDS_QUOTES = re.compile(r'["\\(), \t\n\v\f\r]')
_DOUBLED = re.compile(r'(["\\])')


def quote_field(text: str) -> str:
    """A field's text as it stands inside parentheses: quotes and backslashes are doubled."""
    if not text or _NEEDS_QUOTES.search(text):
        return '"' + _DOUBLED.sub(r"\1\1", text) + '"'
    return text


def record_behaviour(find: Callable[[int], TypeBehaviour]) -> TypeBehaviour:
    """The behaviour of anonymous records; `find` gives the behaviour of a field's type."""

    def refuse_input(text: str, typmod: int, context: Context) -> Any:
        raise SqlError("0A000", "input of anonymous composite types is not implemented")

    def refuse_receive(data: bytes, typmod: int, context: Context) -> Any:
        raise SqlError("0A000", "input of anonymous composite types is not implemented")

    def output(value: tuple[Any, ...], context: Context) -> str:
        types = field_types(value)
        return (
            "("
            + ",".join(
                "" if item is None else quote_field(find(oid).output(item, context))
                for item, oid in zip(value, types, strict=True)
            )
            + ")"
        )

    def send(value: tuple[Any, ...], context: Context) -> bytes:
        parts = [struct.pack(">i", len(value))]
        for item, oid in zip(value, field_types(value), strict=True):
            if item is None:
                parts.append(struct.pack(">Ii", oid, -1))
            else:
                data = find(oid).send(item, context)
                parts.append(struct.pack(">Ii", oid, len(data)) + data)
        return b"".join(parts)

    def sort_key(value: tuple[Any, ...]) -> Any:
        return tuple(
            (True, None) if item is None else (False, _apply(find(oid).sort_key, item))
            for item, oid in zip(value, field_types(value), strict=True)
        )

    def hash_key(value: tuple[Any, ...]) -> Any:
        return tuple(
            None if item is None else _apply(find(oid).hash_key, item)
            for item, oid in zip(value, field_types(value), strict=True)
        )

    return TypeBehaviour(refuse_input, output, refuse_receive, send, sort_key=sort_key, hash_key=hash_key)


def _apply(key: Callable[[Any], Any] | None, item: Any) -> Any:
    return item if key is None else key(item)


def parse_record(text: str, read: list[Callable[[str], Any]]) -> tuple[Any, ...]:
    """A composite literal "(1,\\"a b\\",)" by the readers of its fields; 22P02 where it does not fit."""
    body = text.strip(" \t\n\v\f\r")
    if not body.startswith("("):
        raise SqlError("22P02", f'malformed record literal: "{text}"', detail="Missing left parenthesis.")
    position, values = 1, []
    for index, reader in enumerate(read):
        if index:
            if body[position : position + 1] != ",":
                raise SqlError("22P02", f'malformed record literal: "{text}"', detail="Too few columns.")
            position += 1
        field, position = _read_field(text, body, position)
        values.append(None if field is None else reader(field))
    if body[position : position + 1] == ",":
        raise SqlError("22P02", f'malformed record literal: "{text}"', detail="Too many columns.")
    if body[position : position + 1] != ")":
        raise SqlError("22P02", f'malformed record literal: "{text}"', detail="Too many columns.")
    if position + 1 != len(body):
        raise SqlError("22P02", f'malformed record literal: "{text}"', detail="Junk after right parenthesis.")
    return tuple(values)


def _read_field(text: str, body: str, position: int) -> tuple[str | None, int]:
    if body[position : position + 1] in (",", ")"):
        return None, position
    pieces: list[str] = []
    quoted = False
    while True:
        if position >= len(body):
            raise SqlError("22P02", f'malformed record literal: "{text}"', detail="Unexpected end of input.")
        character = body[position]
        if character == "\\":
            pieces.append(body[position + 1 : position + 2])
            position += 2
        elif character == '"':
            if quoted and body[position + 1 : position + 2] == '"':
                pieces.append('"')
                position += 2
            else:
                quoted = not quoted
                position += 1
        elif not quoted and character in ",)":
            return "".join(pieces), position
        else:
            pieces.append(character)
            position += 1
