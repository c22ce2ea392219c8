"""date, time, timetz, timestamp, timestamptz and interval as types: their forms and modifiers joined for the registry."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

from frontend.context import Context
from frontend.errors import SqlError
from frontend.types import oids
from frontend.types.behaviour import Decoder, Encoder, TypeBehaviour, malformed_binary
from frontend.types.characters import decode_utf8, integer_modifier
from frontend.types.datetime import (
    DATE_END,
    DATE_INFINITY,
    DATE_MIN,
    DATE_NEGATIVE_INFINITY,
    TIMESTAMP_END,
    TIMESTAMP_MIN,
    Interval,
    context_zone,
    date_out_of_range,
    format_date,
    format_time,
    format_timestamp,
    format_timetz,
    is_infinite_timestamp,
    round_microseconds,
    timestamp_out_of_range,
    timestamp_text_encoder,
    timestamptz_text_encoder,
)
from frontend.types.datetime_input import (
    parse_date,
    parse_time,
    parse_timestamp,
    parse_timestamptz,
    parse_timetz,
    plain_date,
    plain_time,
    plain_timestamp,
)
from frontend.types.interval import (
    format_interval,
    interval_input,
    interval_key,
    interval_receive,
    interval_send,
    interval_typmod,
    interval_typmod_in,
    interval_typmod_out,
)
from frontend.types.zones import MICROSECONDS_PER_DAY, MICROSECONDS_PER_SECOND

_INT32 = struct.Struct(">i")
_INT64 = struct.Struct(">q")
_TIMETZ = struct.Struct(">qi")
_PRECISION_MAX = 6


def _precision_in(name: str, suffix: str) -> Callable[[Sequence[str]], int]:
    def typmod_in(modifiers: Sequence[str]) -> int:
        if len(modifiers) != 1:
            raise SqlError("22023", "invalid type modifier")
        precision = integer_modifier(modifiers[0])
        if precision < 0:
            raise SqlError("22023", f"{name}({precision}){suffix} precision must not be negative")
        return min(precision, _PRECISION_MAX)

    return typmod_in


def _precision_out(typmod: int) -> str:
    return f"({typmod})" if typmod >= 0 else ""


def timestamp_typmod(value: int, typmod: int, explicit: bool) -> int:
    """timestamp(p) and timestamptz(p): round to p digits of a second."""
    if not 0 <= typmod < _PRECISION_MAX or is_infinite_timestamp(value):
        return value
    return round_microseconds(value, typmod)


def time_typmod(value: int, typmod: int, explicit: bool) -> int:
    """time(p)"""
    return round_microseconds(value, typmod) if 0 <= typmod < _PRECISION_MAX else value


def timetz_typmod(value: tuple[int, int], typmod: int, explicit: bool) -> tuple[int, int]:
    """timetz(p)"""
    return time_typmod(value[0], typmod, explicit), value[1]


def _check_length(data: bytes, length: int) -> None:
    if len(data) < length:
        raise malformed_binary("insufficient data left in message")
    if len(data) > length:
        raise malformed_binary()


def _date_receive(data: bytes, typmod: int, context: Context) -> int:
    _check_length(data, 4)
    value: int = _INT32.unpack(data)[0]
    if value in (DATE_INFINITY, DATE_NEGATIVE_INFINITY) or DATE_MIN <= value < DATE_END:
        return value
    raise date_out_of_range()


def _timestamp_receive(data: bytes, typmod: int, context: Context) -> int:
    _check_length(data, 8)
    value: int = _INT64.unpack(data)[0]
    if is_infinite_timestamp(value):
        return value
    if not TIMESTAMP_MIN <= value < TIMESTAMP_END:
        raise timestamp_out_of_range()
    return timestamp_typmod(value, typmod, False)


def _time_receive(data: bytes, typmod: int, context: Context) -> int:
    _check_length(data, 8)
    value: int = _INT64.unpack(data)[0]
    if not 0 <= value <= MICROSECONDS_PER_DAY:
        raise SqlError("22008", "time out of range")
    return time_typmod(value, typmod, False)


def _timetz_receive(data: bytes, typmod: int, context: Context) -> tuple[int, int]:
    _check_length(data, 12)
    time, zone = _TIMETZ.unpack(data)
    if not 0 <= time <= MICROSECONDS_PER_DAY:
        raise SqlError("22008", "time out of range")
    if not -57600 < zone < 57600:
        raise SqlError("22009", "time zone displacement out of range")
    return time_typmod(time, typmod, False), zone


def _interval_receive(data: bytes, typmod: int, context: Context) -> Interval:
    _check_length(data, 16)
    return interval_typmod(interval_receive(data), typmod, False)


def _date_input(text: str, typmod: int, context: Context) -> int:
    return parse_date(text, context)


def _timestamp_input(text: str, typmod: int, context: Context) -> int:
    return timestamp_typmod(parse_timestamp(text, context), typmod, False)


def _timestamptz_input(text: str, typmod: int, context: Context) -> int:
    return timestamp_typmod(parse_timestamptz(text, context), typmod, False)


def _time_input(text: str, typmod: int, context: Context) -> int:
    return time_typmod(parse_time(text, context), typmod, False)


def _timetz_input(text: str, typmod: int, context: Context) -> tuple[int, int]:
    return timetz_typmod(parse_timetz(text, context), typmod, False)


def _date_output(value: int, context: Context) -> str:
    return format_date(value, context.date_style)


def _timestamp_output(value: int, context: Context) -> str:
    return format_timestamp(value, context.date_style)


def _timestamptz_output(value: int, context: Context) -> str:
    return format_timestamp(value, context.date_style, context_zone(context))


def _time_output(value: int, context: Context) -> str:
    return format_time(value)


def _timetz_output(value: tuple[int, int], context: Context) -> str:
    return format_timetz(value)


def _interval_output(value: Interval, context: Context) -> str:
    return format_interval(value, context.interval_style)


def _date_encoder(context: Context) -> Encoder:
    style = context.date_style
    return lambda value: format_date(value, style).encode()


def _date_decoder(typmod: int, context: Context) -> Decoder:
    def decode(data: bytes) -> int:
        value = plain_date(data)
        return value if value is not None else parse_date(decode_utf8(data), context)

    return decode


def _timestamp_decoder(typmod: int, context: Context) -> Decoder:
    def decode(data: bytes) -> int:
        value = plain_timestamp(data, None)
        if value is None:
            value = parse_timestamp(decode_utf8(data), context)
        return timestamp_typmod(value, typmod, False)

    return decode


def _timestamptz_decoder(typmod: int, context: Context) -> Decoder:
    zone = context_zone(context)

    def decode(data: bytes) -> int:
        value = plain_timestamp(data, zone)
        if value is None:
            value = parse_timestamptz(decode_utf8(data), context)
        return timestamp_typmod(value, typmod, False)

    return decode


def _time_decoder(typmod: int, context: Context) -> Decoder:
    def decode(data: bytes) -> int:
        value = plain_time(data)
        return time_typmod(value if value is not None else parse_time(decode_utf8(data), context), typmod, False)

    return decode


def _packed(packer: struct.Struct) -> Callable[[Any, Context], bytes]:
    def send(value: Any, context: Context) -> bytes:
        return packer.pack(value)

    return send


def _timetz_send(value: tuple[int, int], context: Context) -> bytes:
    return _TIMETZ.pack(*value)


def _interval_send(value: Interval, context: Context) -> bytes:
    return interval_send(value)


def timetz_key(value: tuple[int, int]) -> tuple[int, int]:
    """Orders by the moment in UTC, then by zone."""
    return value[0] + value[1] * MICROSECONDS_PER_SECOND, value[1]


BEHAVIOURS: dict[int, TypeBehaviour] = {
    oids.DATE: TypeBehaviour(
        _date_input,
        _date_output,
        _date_receive,
        _packed(_INT32),
        text_encoder=_date_encoder,
        binary_encoder=lambda context: _INT32.pack,
        text_decoder=_date_decoder,
    ),
    oids.TIMESTAMP: TypeBehaviour(
        _timestamp_input,
        _timestamp_output,
        _timestamp_receive,
        _packed(_INT64),
        apply_typmod=timestamp_typmod,
        typmod_in=_precision_in("TIMESTAMP", ""),
        typmod_out=_precision_out,
        text_encoder=timestamp_text_encoder,
        binary_encoder=lambda context: _INT64.pack,
        text_decoder=_timestamp_decoder,
    ),
    oids.TIMESTAMPTZ: TypeBehaviour(
        _timestamptz_input,
        _timestamptz_output,
        _timestamp_receive,
        _packed(_INT64),
        apply_typmod=timestamp_typmod,
        typmod_in=_precision_in("TIMESTAMP", " WITH TIME ZONE"),
        typmod_out=_precision_out,
        text_encoder=timestamptz_text_encoder,
        binary_encoder=lambda context: _INT64.pack,
        text_decoder=_timestamptz_decoder,
    ),
    oids.TIME: TypeBehaviour(
        _time_input,
        _time_output,
        _time_receive,
        _packed(_INT64),
        apply_typmod=time_typmod,
        typmod_in=_precision_in("TIME", ""),
        typmod_out=_precision_out,
        text_decoder=_time_decoder,
        binary_encoder=lambda context: _INT64.pack,
    ),
    oids.TIMETZ: TypeBehaviour(
        _timetz_input,
        _timetz_output,
        _timetz_receive,
        _timetz_send,
        apply_typmod=timetz_typmod,
        typmod_in=_precision_in("TIME", " WITH TIME ZONE"),
        typmod_out=_precision_out,
        sort_key=timetz_key,
    ),
    oids.INTERVAL: TypeBehaviour(
        interval_input,
        _interval_output,
        _interval_receive,
        _interval_send,
        apply_typmod=interval_typmod,
        typmod_in=interval_typmod_in,
        typmod_out=interval_typmod_out,
        sort_key=interval_key,
        hash_key=interval_key,
    ),
}
