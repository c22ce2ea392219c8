"""Comparison: =, <>, <, <=, >, >= of every type and pair of types, btree's three-way forms, larger and smaller.

PostgreSQL has about 300 functions for these, one for each operator and pair of types. They are registered in loops over the
catalogue's own operators: `FAMILIES` says how a pair of types compares, the operator says which of the six forms it is. Most
pairs compare as Python does and are inlined as such ("({0} < {1})"); floats take care of NaN in the expression itself.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from frontend.context import Context
from frontend.functions import catalogue
from frontend.functions.registry import SCALARS, scalar
from frontend.types import oids
from frontend.types.characters import char_to_byte
from frontend.types.datetime import (
    DATE_INFINITY,
    DATE_NEGATIVE_INFINITY,
    TIMESTAMP_INFINITY,
    TIMESTAMP_NEGATIVE_INFINITY,
    context_zone,
    is_infinite_timestamp,
)
from frontend.types.decimals import numeric_key
from frontend.types.floats import float_key
from frontend.types.interval import interval_key
from frontend.types.jsondata import jsonb_key
from frontend.types.moments import timetz_key
from frontend.types.registry import sort_key
from frontend.types.zones import MICROSECONDS_PER_DAY, MICROSECONDS_PER_SECOND

OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_PYTHON = {"=": "==", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_PATTERN_OPERATORS = {"~<~": "<", "~<=~": "<=", "~>~": ">", "~>=~": ">="}

# Compared as Python compares them, within and across the types of a group.
_PLAIN_GROUPS: tuple[frozenset[int], ...] = (
    frozenset({oids.INT2, oids.INT4, oids.INT8}),
    frozenset({oids.OID}),
    frozenset({oids.BOOL}),
    frozenset({oids.TEXT, oids.NAME}),
    frozenset({oids.BYTEA}),
    frozenset({oids.DATE}),
    frozenset({oids.TIME}),
    frozenset({oids.TIMESTAMP}),
    frozenset({oids.TIMESTAMPTZ}),
    frozenset({oids.UUID}),
    frozenset({oids.PG_LSN}),
    frozenset({oids.XID8}),
    frozenset({oids.XID, oids.INT4}),
    frozenset({oids.CID}),
    frozenset({oids.TID}),
)
_FLOATS = frozenset({oids.FLOAT4, oids.FLOAT8})
_FLOAT_TEMPLATES = {
    "=": "({0} == {1} or ({0} != {0} and {1} != {1}))",
    "<>": "({0} != {1} and ({0} == {0} or {1} == {1}))",
    "<": "({0} < {1} or ({1} != {1} and {0} == {0}))",
    "<=": "({0} <= {1} or {1} != {1})",
    ">": "({0} > {1} or ({0} != {0} and {1} == {1}))",
    ">=": "({0} >= {1} or {0} != {0})",
}


def _strip(value: str) -> str:
    return value.rstrip(" ")


def _vector_key(value: list[int]) -> tuple[int, list[int]]:
    return len(value), value


# Types compared by a key of the value.
_KEYS: dict[int, Callable[[Any], Any]] = {
    oids.FLOAT4: float_key,
    oids.FLOAT8: float_key,
    oids.NUMERIC: numeric_key,
    oids.BPCHAR: _strip,
    oids.CHAR: char_to_byte,
    oids.INTERVAL: interval_key,
    oids.TIMETZ: timetz_key,
    oids.JSONB: jsonb_key,
    oids.OIDVECTOR: _vector_key,
}
_POLYMORPHIC = frozenset({oids.ANYARRAY, oids.RECORD})


def _date_to_timestamp(value: int) -> int:
    if value == DATE_INFINITY:
        return TIMESTAMP_INFINITY
    if value == DATE_NEGATIVE_INFINITY:
        return TIMESTAMP_NEGATIVE_INFINITY
    return min(value * MICROSECONDS_PER_DAY, TIMESTAMP_INFINITY - 1)  # dates reach further than timestamps


def _local_to_utc(context: Context, value: int) -> int:
    """A local timestamp as UTC, without the range check: it is only compared."""
    if is_infinite_timestamp(value):
        return value
    utc = value - context_zone(context).offset_of_local(value) * MICROSECONDS_PER_SECOND
    return min(utc, TIMESTAMP_INFINITY - 1)


def _moment(context: Context | None, value: int, oid: int, other: int) -> int:
    if oid == oids.DATE:
        value = _date_to_timestamp(value)
    if other == oids.TIMESTAMPTZ and oid != oids.TIMESTAMPTZ:
        assert context is not None
        value = _local_to_utc(context, value)
    return value


_MOMENTS = frozenset({oids.DATE, oids.TIMESTAMP, oids.TIMESTAMPTZ})


def numeric_compare(symbol: str) -> Callable[[Decimal, Decimal], bool]:
    """An ordering of numerics: Python's where it can, by keys where a NaN makes it raise."""
    compare = OPERATORS[symbol]

    def numeric_comparison(left: Decimal, right: Decimal) -> bool:
        try:
            return compare(left, right)
        except InvalidOperation:
            return compare(numeric_key(left), numeric_key(right))

    return numeric_comparison


def _by_key(compare: Callable[[Any, Any], Any], key: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda left, right: compare(key(left), key(right))


def three_way(left: Any, right: Any) -> int:
    """-1, 0 or 1"""
    return int(left > right) - int(left < right)


def _register(name: str, symbol: str, left: int, right: int) -> None:
    """One function for one operator and one pair of types; nothing where Boreal lacks a type."""
    compare = OPERATORS[symbol]
    pair = {left, right}
    if any(pair <= group for group in _PLAIN_GROUPS):
        template = f"({{0}} {_PYTHON[symbol]} {{1}})"
        scalar(name, inline=template)(compare)
    elif pair <= _FLOATS:
        scalar(name, inline=_FLOAT_TEMPLATES[symbol])(_by_key(compare, float_key))
    elif pair == {oids.NUMERIC}:
        if symbol in ("=", "<>"):
            scalar(name, inline=_FLOAT_TEMPLATES[symbol])(_by_key(compare, numeric_key))
        else:
            function = numeric_compare(symbol)
            scalar(name, inline="numeric_compare({0}, {1})", names={"numeric_compare": function})(function)
    elif pair == {oids.BPCHAR}:
        template = f'({{0}}.rstrip(" ") {_PYTHON[symbol]} {{1}}.rstrip(" "))'
        scalar(name, inline=template)(_by_key(compare, _strip))
    elif left == right and left in _KEYS:
        scalar(name)(_by_key(compare, _KEYS[left]))
    elif pair <= _MOMENTS:
        _register_moments(name, compare, left, right)
    elif left == right and left in _POLYMORPHIC:
        scalar(name, typed=True)(_polymorphic(compare))


def _register_moments(name: str, compare: Callable[[Any, Any], Any], left: int, right: int) -> None:
    if oids.TIMESTAMPTZ in (left, right):

        def with_zone(context: Context, one: int, two: int) -> Any:
            return compare(_moment(context, one, left, right), _moment(context, two, right, left))

        scalar(name, context=True)(with_zone)
        return

    def without_zone(one: int, two: int) -> Any:
        return compare(_moment(None, one, left, right), _moment(None, two, right, left))

    scalar(name)(without_zone)


def _polymorphic(compare: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def compared(left: Any, right: Any, *, argument_types: tuple[int, ...], result_type: int) -> Any:
        left_key, right_key = sort_key(argument_types[0]), sort_key(argument_types[1])
        return compare(left if left_key is None else left_key(left), right if right_key is None else right_key(right))

    return compared


def _register_operators() -> None:
    for fact in catalogue.all_operators():
        symbol = _PATTERN_OPERATORS.get(fact.name, fact.name)
        if symbol not in OPERATORS or not fact.function or fact.kind != "b":
            continue
        proc = catalogue.proc_by_oid(fact.function)
        signature = catalogue.signature_of(proc)
        if signature not in SCALARS:
            _register(signature, symbol, *proc.argument_types)


# btree's three-way comparisons and the larger/smaller functions behind max and min, by the pair of types they take.
_THREE_WAY_SUFFIX = "cmp"


def _pair_key(left: int, right: int) -> Callable[[Any], Any] | None | bool:
    """The key that both types share, None for Python's own order, False where there is no such thing."""
    if any({left, right} <= group for group in _PLAIN_GROUPS):
        return None
    if {left, right} <= _FLOATS:
        return float_key
    return _KEYS.get(left, False) if left == right else False


def _register_others() -> None:
    for proc in catalogue.all_procs():
        if len(proc.argument_types) != 2 or proc.kind != "f":
            continue
        signature = catalogue.signature_of(proc)
        left, right = proc.argument_types
        is_comparison = proc.name.endswith(_THREE_WAY_SUFFIX) and proc.result_type == oids.INT4
        is_choice = proc.name.endswith(("larger", "smaller")) and left == right == proc.result_type
        if not (is_comparison or is_choice) or signature in SCALARS:
            continue
        if left == right and left in _POLYMORPHIC:
            if is_comparison:
                scalar(signature, typed=True)(_polymorphic(three_way))
            else:
                scalar(signature, typed=True)(_polymorphic_choice(proc.name.endswith("larger")))
            continue
        if {left, right} <= _MOMENTS and left != right:
            _register_moments(signature, three_way, left, right)
            continue
        key = _pair_key(left, right)
        if isinstance(key, bool):
            continue
        if is_comparison:
            scalar(signature)(three_way if key is None else _by_key(three_way, key))
        else:
            scalar(signature)(_choice(key, proc.name.endswith("larger")))


def _choice(key: Callable[[Any], Any] | None, larger: bool) -> Callable[[Any, Any], Any]:
    def choose(left: Any, right: Any) -> Any:
        one, two = (left, right) if key is None else (key(left), key(right))
        return left if (one > two if larger else one < two) else right

    return choose


def _polymorphic_choice(larger: bool) -> Callable[..., Any]:
    def choose(left: Any, right: Any, *, argument_types: tuple[int, ...], result_type: int) -> Any:
        key = sort_key(argument_types[0])
        return _choice(key, larger)(left, right)

    return choose


@scalar("btint2cmp(int2,int2)")
def int2_difference(left: int, right: int) -> int:
    """PostgreSQL subtracts here, and shows it."""
    return left - right


_register_operators()
_register_others()


@scalar("booland_statefunc(bool,bool)")
def booland(left: bool, right: bool) -> bool:
    return left and right


@scalar("boolor_statefunc(bool,bool)")
def boolor(left: bool, right: bool) -> bool:
    return left or right
