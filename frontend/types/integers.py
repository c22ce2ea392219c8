"""Integers: smallint, integer, bigint, and the unsigned identifiers oid, xid, cid, xid8.

Text decoding is hot (Bind parameters, COPY): Python's `int(bytes)` accepts what PostgreSQL's parser accepts in decimal,
underscores and surrounding whitespace included, so it is tried first (about 0.15 µs with the range check) and only its
failures take the careful path that knows hexadecimal, octal, binary and the error texts.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

from frontend.context import Context
from frontend.errors import SqlError
from frontend.types import oids
from frontend.types.behaviour import Decoder, Encoder, TypeBehaviour, invalid_syntax, malformed_binary, out_of_range

WHITESPACE = " \t\n\v\f\r"
_INTEGER = re.compile(
    r"[ \t\n\v\f\r]*([+-]?)(?:0[xX]((?:_?[0-9a-fA-F])+)|0[oO]((?:_?[0-7])+)|0[bB]((?:_?[01])+)|([0-9](?:_?[0-9])*))"
    r"[ \t\n\v\f\r]*\Z"
)
SURE_DIGITS: dict[Callable[[bytes], int], int] = {}
"""Text decoder of an integer type → as many plain digits are always one of its values, so that `int` alone will do."""
_DIGITS_CONSIDERED_MAX = 4000  # Python refuses to convert longer decimal strings; they are out of range for sure


def parse_integer(text: str, type_name: str, low: int, high: int) -> int:
    """An integer literal in any of PostgreSQL 16's notations, checked against [low, high]."""
    match = _INTEGER.match(text)
    if match is None:
        raise invalid_syntax(type_name, text)
    sign, hexadecimal, octal, binary, decimal = match.groups()
    if decimal is not None:
        if len(decimal) > _DIGITS_CONSIDERED_MAX:
            decimal = decimal.replace("_", "").lstrip("0") or "0"
            if len(decimal) > _DIGITS_CONSIDERED_MAX:
                raise out_of_range(type_name, text)
        value = int(decimal)
    else:
        digits, base = (hexadecimal, 16) if hexadecimal else (octal, 8) if octal else (binary, 2)
        value = int(digits.replace("_", ""), base)
    if sign == "-":
        value = -value
    if not low <= value <= high:
        raise out_of_range(type_name, text)
    return value


def _encode_text(context: Context) -> Encoder:
    return b"%d".__mod__


def _integer(type_name: str, code: str, low: int, high: int) -> TypeBehaviour:
    packer = struct.Struct(">" + code)
    size, pack, unpack = packer.size, packer.pack, packer.unpack

    def input_value(text: str, typmod: int, context: Context) -> int:
        return parse_integer(text, type_name, low, high)

    def output_value(value: int, context: Context) -> str:
        return str(value)

    def receive(data: bytes, typmod: int, context: Context) -> int:
        return decode_binary(data)

    def send(value: int, context: Context) -> bytes:
        return pack(value)

    def decode_text(data: bytes) -> int:
        try:
            value = int(data)
        except ValueError:
            return parse_integer(str(data, "utf-8"), type_name, low, high)
        if low <= value <= high:
            return value
        raise out_of_range(type_name, str(data, "utf-8"))

    SURE_DIGITS[decode_text] = len(str(high)) - 1

    def decode_binary(data: bytes) -> int:
        if len(data) != size:
            raise malformed_binary("insufficient data left in message" if len(data) < size else _EXCESS)
        return unpack(data)[0]  # type: ignore[no-any-return]

    return TypeBehaviour(
        input_value,
        output_value,
        receive,
        send,
        text_encoder=_encode_text,
        binary_encoder=lambda context: pack,
        text_decoder=_constant(decode_text),
        binary_decoder=_constant(decode_binary),
    )


_EXCESS = "incorrect binary data format"


def _constant(decoder: Decoder) -> Callable[[int, Context], Decoder]:
    def make(typmod: int, context: Context) -> Decoder:
        return decoder

    return make


def _unsigned(type_name: str, bits: int) -> TypeBehaviour:
    """oid, xid, cid, xid8: PostgreSQL reads them as C does, so negative input wraps around."""
    packer = struct.Struct(">I" if bits == 32 else ">Q")
    mask = (1 << bits) - 1

    def input_value(text: str, typmod: int, context: Context) -> int:
        return parse_unsigned(text, type_name, bits)

    def output_value(value: int, context: Context) -> str:
        return str(value)

    def receive(data: bytes, typmod: int, context: Context) -> int:
        if len(data) != packer.size:
            raise malformed_binary("insufficient data left in message" if len(data) < packer.size else _EXCESS)
        return packer.unpack(data)[0]  # type: ignore[no-any-return]

    def send(value: int, context: Context) -> bytes:
        return packer.pack(value & mask)

    return TypeBehaviour(input_value, output_value, receive, send, text_encoder=_encode_text)


_UNSIGNED = re.compile(r"[ \t\n\v\f\r]*([+-]?)(0[xX][0-9a-fA-F]+|[0-9]+)[ \t\n\v\f\r]*\Z")


def parse_unsigned(text: str, type_name: str, bits: int) -> int:
    """strtoul's reading: decimal, 0x… or 0… (octal); a minus sign wraps around."""
    match = _UNSIGNED.match(text)
    if match is None:
        raise invalid_syntax(type_name, text)
    sign, digits = match.groups()
    if digits[:2] in ("0x", "0X"):
        value = int(digits, 16)
    elif digits[0] == "0" and len(digits) > 1:
        if not all(digit in "01234567" for digit in digits):
            raise invalid_syntax(type_name, text)
        value = int(digits, 8)
    else:
        value = int(digits) if len(digits) < 40 else 1 << 64
    limit = (1 << bits) - 1
    if sign == "-":
        if value > (1 << (bits - 1) if bits == 32 else limit):
            raise out_of_range(type_name, text)
        return -value & limit
    if value > limit:
        raise out_of_range(type_name, text)
    return value


def integer_out_of_range(type_name: str) -> SqlError:
    """22003 of arithmetic and casts: "integer out of range"."""
    return SqlError("22003", f"{type_name} out of range")


BEHAVIOURS: dict[int, TypeBehaviour] = {
    oids.INT2: _integer("smallint", "h", -(2**15), 2**15 - 1),
    oids.INT4: _integer("integer", "i", -(2**31), 2**31 - 1),
    oids.INT8: _integer("bigint", "q", -(2**63), 2**63 - 1),
    oids.OID: _unsigned("oid", 32),
    oids.XID: _unsigned("xid", 32),
    oids.CID: _unsigned("cid", 32),
    oids.XID8: _unsigned("xid8", 64),
}
