"""Values of any type as text, for functions that take "any": concat, format, ||, quote_literal, array_to_string.

PostgreSQL has two ways: the type's output function (`output_text`: true is "t") and the cast to text (`cast_to_text`: true
is "true", bpchar loses its padding). Which one a function uses is visible, so both are here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from frontend.context import Context
from frontend.types import oids
from frontend.types.registry import type_by_oid

_PLAIN_TEXT = frozenset(
    {oids.TEXT, oids.VARCHAR, oids.NAME, oids.UNKNOWN, oids.CSTRING, oids.JSON, oids.JSONB, oids.UUID, oids.BPCHAR}
)
_PLAIN_INTEGERS = frozenset({oids.INT2, oids.INT4, oids.INT8, oids.OID})


def output_text(value: Any, oid: int, context: Context) -> str:
    """The type's output function."""
    if oid in _PLAIN_TEXT:
        return str(value)
    if oid in _PLAIN_INTEGERS:
        return str(value)
    return type_by_oid(oid).output(value, context)


def cast_to_text(value: Any, oid: int, context: Context) -> str:
    """value::text."""
    if oid == oids.BOOL:
        return "true" if value else "false"
    if oid == oids.BPCHAR:
        return str(value).rstrip(" ")
    return output_text(value, oid, context)


def output_function(oid: int, context: Context) -> Callable[[Any], str]:
    """`output_text` of one type, resolved once for many values."""
    if oid in _PLAIN_TEXT or oid in _PLAIN_INTEGERS:
        return str
    output = type_by_oid(oid).output
    return lambda value: output(value, context)


def types_for(arguments: Sequence[Any], argument_types: Sequence[int]) -> Sequence[int]:
    """One type an argument: the last type stands for the spread elements of a VARIADIC array."""
    missing = len(arguments) - len(argument_types)
    return [*argument_types, *list(argument_types[-1:]) * missing] if missing > 0 else argument_types


def element_type(oid: int) -> int:
    """The OID of the elements of an array type, int2vector and oidvector included."""
    if oid == oids.INT2VECTOR:
        return oids.INT2
    if oid == oids.OIDVECTOR:
        return oids.OID
    return type_by_oid(oid).element
