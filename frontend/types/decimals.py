"""numeric: exact decimals with PostgreSQL's limits, text and binary form.

A value is a `decimal.Decimal` that holds to three rules: the exponent is never positive (it is minus the display scale),
there is no negative zero, and NaN has no sign. Arithmetic uses `EXACT`, a context without traps and with room for every
result that PostgreSQL allows (131072 digits before the point, 16383 after), never the thread's own context.
"""

from __future__ import annotations

import decimal
import re
import struct
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from frontend.context import Context
from frontend.errors import SqlError
from frontend.types import oids
from frontend.types.behaviour import Decoder, Encoder, TypeBehaviour, invalid_syntax, malformed_binary
from frontend.types.characters import integer_modifier

EXACT = decimal.Context(
    prec=400_000,
    rounding=decimal.ROUND_HALF_UP,
    Emin=decimal.MIN_EMIN,
    Emax=decimal.MAX_EMAX,
    traps=[],
)
NAN = Decimal("NaN")
INFINITY = Decimal("Infinity")
NEGATIVE_INFINITY = Decimal("-Infinity")
PRECISION_MAX = 1000
SCALE_MAX = 16383
INTEGER_DIGITS_MAX = 131072
_HEADER = 4
_EXPONENT_CONSIDERED_MAX = 2**30

_NUMBER = re.compile(
    r"[ \t\n\v\f\r]*([+-]?)((?:[0-9](?:_?[0-9])*)?)(\.?)((?:[0-9](?:_?[0-9])*)?)(?:[eE]([+-]?[0-9](?:_?[0-9])*))?[ \t\n\v\f\r]*\Z"
)
_BASED = re.compile(
    r"[ \t\n\v\f\r]*([+-]?)(?:0[xX]((?:_?[0-9a-fA-F])+)|0[oO]((?:_?[0-7])+)|0[bB]((?:_?[01])+))[ \t\n\v\f\r]*\Z"
)
_SPECIAL = {
    "nan": NAN,
    "infinity": INFINITY,
    "+infinity": INFINITY,
    "inf": INFINITY,
    "+inf": INFINITY,
    "-infinity": NEGATIVE_INFINITY,
    "-inf": NEGATIVE_INFINITY,
}


def numeric_overflow() -> SqlError:
    """22003 of values beyond the format's limits."""
    return SqlError("22003", "value overflows numeric format")


def normalize(value: Decimal) -> Decimal:
    """Bring any Decimal under the module's three rules, and check PostgreSQL's limits."""
    if value.is_finite():
        exponent = value.as_tuple().exponent
        assert isinstance(exponent, int)
        if exponent > 0:
            if not value:
                return Decimal(0)
            if value.adjusted() >= INTEGER_DIGITS_MAX:
                raise numeric_overflow()
            return value.quantize(Decimal(1), context=EXACT)
        if not value:
            return value.copy_abs()
        if value.adjusted() >= INTEGER_DIGITS_MAX:
            raise numeric_overflow()
        return value
    return NAN if value.is_nan() else value


def scale_of(value: Decimal) -> int:
    """Digits after the point of a finite value."""
    return -value.as_tuple().exponent  # type: ignore[operator]


def round_to_scale(value: Decimal, scale: int) -> Decimal:
    """Half away from zero, to `scale` digits after the point (negative: before it)."""
    rounded = value.quantize(Decimal((0, (1,), -scale)), rounding=decimal.ROUND_HALF_UP, context=EXACT)
    if scale < 0:
        rounded = rounded.quantize(Decimal(1), context=EXACT)
    return rounded if rounded else rounded.copy_abs()


def parse_numeric(text: str) -> Decimal:
    """A numeric literal in any of PostgreSQL 16's notations."""
    match = _NUMBER.match(text)
    if match is None or not (match[2] or match[4]):
        special = _SPECIAL.get(text.strip(" \t\n\v\f\r").lower())
        if special is not None:
            return special
        based = _BASED.match(text)
        if based is None:
            raise invalid_syntax("numeric", text)
        sign, hexadecimal, octal, binary = based.groups()
        digits, base = (hexadecimal, 16) if hexadecimal else (octal, 8) if octal else (binary, 2)
        value = Decimal(int(digits.replace("_", ""), base))
        return -value if sign == "-" and value else value
    sign, whole, _, fraction, exponent_text = match.groups()
    exponent = int(exponent_text[:20]) if exponent_text else 0
    if abs(exponent) >= _EXPONENT_CONSIDERED_MAX:
        raise numeric_overflow() if len(exponent_text) < 20 else invalid_syntax("numeric", text)
    body = f"{sign}{whole}.{fraction}".replace("_", "")
    value = Decimal(f"{body}E{exponent}" if exponent else body)
    if len(fraction.replace("_", "")) - exponent > SCALE_MAX:
        raise numeric_overflow()
    return normalize(value)


def numeric_typmod(value: Decimal, typmod: int, explicit: bool) -> Decimal:
    """numeric(p,s): round to the scale; 22003 "numeric field overflow" where the precision does not suffice."""
    if typmod < _HEADER:
        return value
    precision, scale = numeric_modifier(typmod)
    if not value.is_finite():
        if value.is_nan():
            return value
        raise SqlError(
            "22003",
            "numeric field overflow",
            detail=f"A field with precision {precision}, scale {scale} cannot hold an infinite value.",
        )
    rounded = round_to_scale(value, scale)
    if rounded and rounded.adjusted() >= precision - scale:
        bound = f"10^{precision - scale}" if precision != scale else "1"
        raise SqlError(
            "22003",
            "numeric field overflow",
            detail=f"A field with precision {precision}, scale {scale} must round to an absolute value "
            f"less than {bound}.",
        )
    return rounded


def numeric_modifier(typmod: int) -> tuple[int, int]:
    """(precision, scale) of a type modifier."""
    packed = typmod - _HEADER
    scale = packed & 0x7FF
    return packed >> 16 & 0xFFFF, (scale ^ 1024) - 1024


def _typmod_in(modifiers: Sequence[str]) -> int:
    if len(modifiers) not in (1, 2):
        raise SqlError("22023", "invalid NUMERIC type modifier")
    precision = integer_modifier(modifiers[0])
    scale = integer_modifier(modifiers[1]) if len(modifiers) == 2 else 0
    if not 1 <= precision <= PRECISION_MAX:
        raise SqlError("22023", f"NUMERIC precision {precision} must be between 1 and {PRECISION_MAX}")
    if not -1000 <= scale <= 1000:
        raise SqlError("22023", f"NUMERIC scale {scale} must be between -1000 and 1000")
    return (precision << 16 | scale & 0x7FF) + _HEADER


def _typmod_out(typmod: int) -> str:
    if typmod < _HEADER:
        return ""
    precision, scale = numeric_modifier(typmod)
    return f"({precision},{scale})"


def format_numeric(value: Decimal) -> str:
    """numeric as text."""
    return format(value, "f")


def _encode_text(value: Decimal) -> bytes:
    return format(value, "f").encode()


def _encode_binary(value: Decimal) -> bytes:
    if not value.is_finite():
        sign = 0xC000 if value.is_nan() else 0xD000 if value > 0 else 0xF000
        return struct.pack(">hhHH", 0, 0, sign, 0x20 if sign != 0xC000 else 0)
    scale: int = -value.as_tuple().exponent  # type: ignore[operator]
    if not value:
        return struct.pack(">hhHH", 0, 0, 0, scale)
    fraction_groups = -(-scale // 4)
    number = abs(int(value.scaleb(4 * fraction_groups, EXACT)))
    groups = []
    while number:
        number, group = divmod(number, 10000)
        groups.append(group)
    weight = len(groups) - 1 - fraction_groups
    trailing = 0
    while groups[trailing] == 0:
        trailing += 1
    groups = groups[trailing:]
    groups.reverse()
    count = len(groups)
    return struct.pack(f">hhHH{count}H", count, weight, 0x4000 if value < 0 else 0, scale, *groups)


def _decode_binary(data: bytes) -> Decimal:
    if len(data) < 8:
        raise malformed_binary("insufficient data left in message")
    count, weight, sign, scale = struct.unpack_from(">HhHH", data)
    if len(data) < 8 + 2 * count:
        raise malformed_binary("insufficient data left in message")
    if len(data) > 8 + 2 * count:
        raise malformed_binary()
    if sign not in (0, 0x4000, 0xC000, 0xD000, 0xF000):
        raise malformed_binary('invalid sign in external "numeric" value')
    if scale & ~0x3FFF:
        raise malformed_binary('invalid scale in external "numeric" value')
    if sign == 0xC000:
        return NAN
    if sign >= 0xD000:
        return INFINITY if sign == 0xD000 else NEGATIVE_INFINITY
    groups = struct.unpack_from(f">{count}H", data, 8)
    if any(group > 9999 for group in groups):
        raise malformed_binary('invalid digit in external "numeric" value')
    number = 0
    for group in groups:
        number = number * 10000 + group
    spare = 4 * (count - weight - 1) - scale  # digits sent beyond the scale, zeros as a rule; negative: zeros left out
    if spare > 0:
        number //= 10**spare
    elif spare < 0:
        number *= 10**-spare
    return Decimal(-number if sign == 0x4000 else number).scaleb(-scale, EXACT)


def numeric_key(value: Decimal) -> tuple[bool, Decimal]:
    """Orders NaN after everything, infinity included."""
    return (True, _ZERO) if value.is_nan() else (False, value)


def numeric_hash_key(value: Decimal) -> Any:
    """NaN equals NaN; everything else hashes right by itself."""
    return "NaN" if value.is_nan() else value


_ZERO = Decimal(0)


def _input(text: str, typmod: int, context: Context) -> Decimal:
    value = parse_numeric(text)
    return numeric_typmod(value, typmod, False) if typmod >= _HEADER else value


def _output(value: Decimal, context: Context) -> str:
    return format(value, "f")


def _receive(data: bytes, typmod: int, context: Context) -> Decimal:
    return numeric_typmod(_decode_binary(data), typmod, False)


def _send(value: Decimal, context: Context) -> bytes:
    return _encode_binary(value)


def _text_encoder(context: Context) -> Encoder:
    return _encode_text


def _binary_encoder(context: Context) -> Encoder:
    return _encode_binary


_FAST = re.compile(rb"-?[0-9]{1,50}(?:\.[0-9]{1,50})?\Z")


def _text_decoder(typmod: int, context: Context) -> Decoder:
    def decode(data: bytes) -> Decimal:
        if _FAST.match(data):
            value = Decimal(str(data, "ascii"))
            if not value:
                value = value.copy_abs()
        else:
            value = parse_numeric(str(data, "utf-8"))
        return numeric_typmod(value, typmod, False) if typmod >= _HEADER else value

    return decode


BEHAVIOURS: dict[int, TypeBehaviour] = {
    oids.NUMERIC: TypeBehaviour(
        _input,
        _output,
        _receive,
        _send,
        apply_typmod=numeric_typmod,
        typmod_in=_typmod_in,
        typmod_out=_typmod_out,
        text_encoder=_text_encoder,
        binary_encoder=_binary_encoder,
        text_decoder=_text_decoder,
        sort_key=numeric_key,
        hash_key=numeric_hash_key,
    )
}
