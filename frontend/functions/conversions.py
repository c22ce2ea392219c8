"""Casts among character types, from booleans and from jsonb; length coercion; arithmetic of WAL positions (pg_lsn)."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from frontend.context import Context
from frontend.errors import SqlError
from frontend.functions.numbers import numeric_to_float4, numeric_to_float8
from frontend.functions.registry import SCALARS, scalar
from frontend.types import oids
from frontend.types.characters import (
    bpchar_typmod,
    char_from_byte,
    char_from_text,
    char_to_byte,
    truncate_name,
    varchar_typmod,
)
from frontend.types.decimals import EXACT, numeric_typmod, parse_numeric
from frontend.types.jsondata import JsonNumber, parse_json
from frontend.types.registry import type_by_oid


@scalar("text(bool)", inline='("true" if {0} else "false")')
def bool_to_text(value: bool) -> str:
    return "true" if value else "false"


@scalar("text(bpchar)", inline='{0}.rstrip(" ")')
def bpchar_to_text(value: str) -> str:
    return value.rstrip(" ")


def _same_text(value: str) -> str:
    return value


scalar("text(name)", "varchar(name)", "bpchar(name)", "text(char)", "bpchar(char)", inline="{0}")(_same_text)
scalar("name(text)", "name(varchar)")(truncate_name)
scalar("char(text)")(char_from_text)


@scalar("name(bpchar)")
def bpchar_to_name(value: str) -> str:
    return truncate_name(value.rstrip(" "))


@scalar("char(int4)")
def int4_to_char(value: int) -> str:
    if not -128 <= value <= 127:
        raise SqlError("22003", '"char" out of range')
    return char_from_byte(value & 0xFF)


@scalar("int4(char)")
def char_to_int4(value: str) -> int:
    byte = char_to_byte(value)
    return byte - 256 if byte > 127 else byte


scalar("varchar(varchar,int4,bool)")(varchar_typmod)
scalar("bpchar(bpchar,int4,bool)")(bpchar_typmod)


@scalar("numeric(numeric,int4)")
def fit_numeric(value: Decimal, typmod: int) -> Decimal:
    return numeric_typmod(value, typmod, True)


@scalar("regclass(text)", context=True)
def text_to_regclass(context: Context, value: str) -> int:
    name: int = type_by_oid(oids.REGCLASS).input(value, -1, context)
    return name


# jsonb


def _kind(value: Any) -> str:
    if isinstance(value, JsonNumber):
        return "numeric"
    if isinstance(value, str):
        return "string"
    if isinstance(value, bool):
        return "boolean"
    return "null" if value is None else "object" if isinstance(value, dict) else "array"


def _number(text: str, type_name: str) -> Decimal:
    value = parse_json(text)
    if not isinstance(value, JsonNumber):
        raise SqlError("22023", f"cannot cast jsonb {_kind(value)} to type {type_name}")
    return parse_numeric(value)


@scalar("bool(jsonb)")
def jsonb_to_bool(text: str) -> bool:
    value = parse_json(text)
    if not isinstance(value, bool):
        raise SqlError("22023", f"cannot cast jsonb {_kind(value)} to type boolean")
    return value


@scalar("numeric(jsonb)")
def jsonb_to_numeric(text: str) -> Decimal:
    return _number(text, "numeric")


@scalar("float8(jsonb)")
def jsonb_to_float8(text: str) -> float:
    return numeric_to_float8(_number(text, "double precision"))


@scalar("float4(jsonb)")
def jsonb_to_float4(text: str) -> float:
    return numeric_to_float4(_number(text, "real"))


def _jsonb_to_integer(width: int, type_name: str) -> Callable[[str], int]:
    convert = SCALARS[f"int{width}(numeric)"].call

    def converted(text: str) -> int:
        value: int = convert(_number(text, type_name))
        return value

    return converted


for _width, _type_name in ((2, "smallint"), (4, "integer"), (8, "bigint")):
    scalar(f"int{_width}(jsonb)")(_jsonb_to_integer(_width, _type_name))


# pg_lsn


def _position(value: Decimal) -> int:
    position = int(value)
    if not 0 <= position < 2**64:
        raise SqlError("22003", "pg_lsn out of range")
    return position


@scalar("pg_lsn_mi(pg_lsn,pg_lsn)")
def position_difference(left: int, right: int) -> Decimal:
    return Decimal(left - right)


@scalar("pg_lsn_pli(pg_lsn,numeric)")
def position_plus(position: int, distance: Decimal) -> int:
    if distance.is_nan():
        raise SqlError("0A000", "cannot add NaN to pg_lsn")
    return _position(EXACT.add(Decimal(position), distance))


@scalar("numeric_pl_pg_lsn(numeric,pg_lsn)")
def plus_position(distance: Decimal, position: int) -> int:
    return position_plus(position, distance)


@scalar("pg_lsn_mii(pg_lsn,numeric)")
def position_minus(position: int, distance: Decimal) -> int:
    if distance.is_nan():
        raise SqlError("0A000", "cannot subtract NaN from pg_lsn")
    return _position(EXACT.subtract(Decimal(position), distance))
