"""real and double precision: PostgreSQL's shortest text that reads back as the same number.

Python's `repr` finds the shortest digits of a double; PostgreSQL writes the same digits but switches to the exponent form
at 1e15 already (1e6 for real) and leaves out a trailing ".0". For real, digits are tried from six up until the text reads
back as the same float32.
"""

from __future__ import annotations

import math
import re
import struct
from decimal import Decimal
from typing import Any

from frontend.context import Context
from frontend.errors import SqlError
from frontend.types import oids
from frontend.types.behaviour import Decoder, Encoder, TypeBehaviour, invalid_syntax, malformed_binary

_FLOAT4 = struct.Struct(">f")
_FLOAT8 = struct.Struct(">d")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\Z")
_HEXADECIMAL = re.compile(r"[+-]?0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)(?:[pP][+-]?[0-9]+)?\Z")
_SPECIAL = {
    "nan": math.nan,
    "+nan": math.nan,
    "-nan": math.nan,
    "infinity": math.inf,
    "+infinity": math.inf,
    "-infinity": -math.inf,
    "inf": math.inf,
    "+inf": math.inf,
    "-inf": -math.inf,
}
# Shortest digits must lie strictly between the midpoints to the neighbouring doubles; Python also accepts the midpoint
# itself, which can only have as few digits as that among integers beyond 2**53 (1e23 is the famous one).
_MIDPOINTS_FROM = 2.0**53
_DIGITS_TRIED = (6, 7, 8, 9)
_FLOAT4_NORMAL_MIN = 2.0**-126
FLOAT4_MAX = float.fromhex("0x1.fffffep+127")


def round_to_float4(value: float) -> float:
    """The nearest float32 as a Python float; infinity where it is too large."""
    try:
        return _FLOAT4.unpack(_FLOAT4.pack(value))[0]  # type: ignore[no-any-return]
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _parse(text: str, type_name: str) -> tuple[float, str]:
    body = text.strip(" \t\n\v\f\r")
    if _NUMBER.match(body):
        return float(body), body
    special = _SPECIAL.get(body.lower())
    if special is not None:
        return special, ""
    if _HEXADECIMAL.match(body):
        try:
            return float.fromhex(body), body
        except OverflowError:
            return math.inf, body
    raise invalid_syntax(type_name, text)


def _is_nonzero_literal(body: str) -> bool:
    return any(digit in "123456789abcdfABCDF" for digit in re.split("[eEpP]", body)[0].replace("0x", ""))


def parse_float8(text: str) -> float:
    """Input of double precision; 22003 for what over- or underflows."""
    value, body = _parse(text, "double precision")
    if body and (math.isinf(value) or (value == 0 and _is_nonzero_literal(body))):
        raise SqlError("22003", f'"{body}" is out of range for type double precision')
    return value


def parse_float4(text: str) -> float:
    """Input of real; 22003 for what over- or underflows a float32."""
    value, body = _parse(text, "real")
    narrow = round_to_float4(value)
    if body and (math.isinf(narrow) or (narrow == 0 and _is_nonzero_literal(body))):
        raise SqlError("22003", f'"{body}" is out of range for type real')
    return narrow


def format_float8(value: float, extra_float_digits: int = 1) -> str:
    """double precision as text."""
    if extra_float_digits > 0:
        text = repr(value)
        if text.endswith(".0"):
            text = text[:-2]
            if len(text) < 16:
                return text
        if abs(value) >= _MIDPOINTS_FROM and _is_midpoint(text, value):
            text = _digits_off_midpoint(value)
        magnitude = abs(value)
        if 1e15 <= magnitude < 1e16:
            digits = text.lstrip("-").replace(".", "").rstrip("0")
            mantissa = digits[0] + ("." + digits[1:] if len(digits) > 1 else "")
            return ("-" if value < 0 else "") + mantissa + "e+15"
        if math.isinf(value) or value != value:
            return _format_special(value)
        return text
    if math.isinf(value) or value != value:
        return _format_special(value)
    return format(value, f".{max(15 + extra_float_digits, 1)}g")


def _reads_back(candidate: float, value: float) -> bool:
    """Whether the nearest float32 of a candidate, and of what is next to it, is the value."""
    if candidate == value:
        return True
    return (
        round_to_float4(math.nextafter(candidate, math.inf)) == value
        and round_to_float4(math.nextafter(candidate, -math.inf)) == value
    )


def _is_midpoint(text: str, value: float) -> bool:
    return not math.isinf(value) and abs(Decimal(text) - Decimal(value)) * 2 == Decimal(math.ulp(value))


def _digits_off_midpoint(value: float) -> str:
    for digits in (15, 16):
        text = format(value, f".{digits}g")
        if float(text) == value and not _is_midpoint(text, value):
            return text
    return format(value, ".17g")


def _format_special(value: float) -> str:
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"


def format_float4(value: float, extra_float_digits: int = 1) -> str:
    """real as text."""
    if math.isinf(value) or value != value:
        return _format_special(value)
    if extra_float_digits <= 0:
        return format(value, f".{max(6 + extra_float_digits, 1)}g")
    for digits in _DIGITS_TRIED if abs(value) >= _FLOAT4_NORMAL_MIN else range(1, 10):
        text = format(value, f".{digits}g")
        if _reads_back(float(text), value):
            break
    mantissa, _, exponent = f"{float(text):.{digits - 1}e}".partition("e")
    if -5 < int(exponent) < 6:
        return text if "e" not in text else format(float(text), f".{digits}g")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{mantissa}e{exponent}"


def float_key(value: float) -> tuple[bool, float]:
    """Orders NaN after everything."""
    return (True, 0.0) if value != value else (False, value)


def float_hash_key(value: float) -> Any:
    """NaN equals NaN; -0.0 and 0.0 already hash and compare alike."""
    return "NaN" if value != value else value


def _float8_input(text: str, typmod: int, context: Context) -> float:
    return parse_float8(text)


def _float8_output(value: float, context: Context) -> str:
    return format_float8(value, context.extra_float_digits)


def _float4_input(text: str, typmod: int, context: Context) -> float:
    return parse_float4(text)


def _float4_output(value: float, context: Context) -> str:
    return format_float4(value, context.extra_float_digits)


def _receive(packer: struct.Struct) -> Any:
    def receive(data: bytes, typmod: int, context: Context) -> float:
        if len(data) != packer.size:
            raise malformed_binary(
                "insufficient data left in message" if len(data) < packer.size else "incorrect binary data format"
            )
        return packer.unpack(data)[0]  # type: ignore[no-any-return]

    return receive


def _float8_text_encoder(context: Context) -> Encoder:
    digits = context.extra_float_digits
    return lambda value: format_float8(value, digits).encode()


def _float4_text_encoder(context: Context) -> Encoder:
    digits = context.extra_float_digits
    return lambda value: format_float4(value, digits).encode()


def _float8_text_decoder(typmod: int, context: Context) -> Decoder:
    return lambda data: parse_float8(str(data, "utf-8"))


def _float8_send(value: float, context: Context) -> bytes:
    return _FLOAT8.pack(value)


def _float4_send(value: float, context: Context) -> bytes:
    return _FLOAT4.pack(value)


BEHAVIOURS: dict[int, TypeBehaviour] = {
    oids.FLOAT4: TypeBehaviour(
        _float4_input,
        _float4_output,
        _receive(_FLOAT4),
        _float4_send,
        text_encoder=_float4_text_encoder,
        binary_encoder=lambda context: _FLOAT4.pack,
        sort_key=float_key,
        hash_key=float_hash_key,
    ),
    oids.FLOAT8: TypeBehaviour(
        _float8_input,
        _float8_output,
        _receive(_FLOAT8),
        _float8_send,
        text_encoder=_float8_text_encoder,
        binary_encoder=lambda context: _FLOAT8.pack,
        text_decoder=_float8_text_decoder,
        sort_key=float_key,
        hash_key=float_hash_key,
    ),
}
