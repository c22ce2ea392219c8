"""View keys: bytes whose order is the order of the values they were made of.

    storage id (4) | index id (2) | column … | inverted commit timestamp (8, added by mvcc.py)

Each column is self-delimiting, so that no key is a prefix of another key of the same index. The bytes of one column:

    NULL                   01 before / 03 after all values (nulls first / last)          only in nullable positions
    value                  02 then the encoding below                                     the marker only in nullable positions
    int2/4/8, date, time…  big-endian with the sign bit flipped
    float4/8               IEEE bits, flipped so that they sort; NaN greatest, -0 = 0
    numeric                class byte, exponent, digits base 100 (see `_encode_numeric`)
    text family            UTF-8, then 00 (PostgreSQL's text has no zero byte); bpchar without trailing blanks
    bytea                  00 → 00 FF, then 00 00
    uuid                   16 bytes;  interval: 16-byte total microseconds; timetz: UTC microseconds then zone
    arrays                 elements as nullable columns, each after 02, then 00

A descending column is the complement of all its bytes, its marker included, with the NULL marker chosen so that NULLs land
where the index says.

HOT PATH: a key of one int costs 0.25 µs (one struct call). Guarded by tests/storage/bench_storage.py.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

PREFIX_LENGTH = 6
VERSION_LENGTH = 8

_PREFIX = struct.Struct(">IH")
_U16 = struct.Struct(">H")
_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")
_F64 = struct.Struct(">d")

_COMPLEMENT = bytes(255 - byte for byte in range(256))

KeyEncoder = Callable[[Sequence[Any]], bytes]


def prefix(storage_id: int, index_id: int) -> bytes:
    """The first six bytes of every key of an index (index 0: the rows themselves)."""
    return _PREFIX.pack(storage_id, index_id)


def successor(key: bytes) -> bytes:
    """The smallest key that is greater than every key beginning with `key` (b"" where there is none)."""
    trimmed = key.rstrip(b"\xff")
    return trimmed[:-1] + bytes((trimmed[-1] + 1,)) if trimmed else b""


def _encode_int16(value: int) -> bytes:
    return _U16.pack(value + 0x8000)


def _encode_int32(value: int) -> bytes:
    return _U32.pack(value + 0x80000000)


def _encode_int64(value: int) -> bytes:
    return _U64.pack(value + 0x8000000000000000)


def _encode_oid(value: int) -> bytes:
    return _U32.pack(value)


def _encode_bool(value: bool) -> bytes:
    return b"\x01" if value else b"\x00"


def _encode_float(value: float) -> bytes:
    if value != value:
        return b"\xff" * 8
    bits: int = _U64.unpack(_F64.pack(value + 0.0))[0]
    return _U64.pack(bits ^ 0xFFFFFFFFFFFFFFFF if bits >> 63 else bits | 0x8000000000000000)


def _encode_text(value: str) -> bytes:
    return value.encode() + b"\x00"


def _encode_bpchar(value: str) -> bytes:
    return value.rstrip(" ").encode() + b"\x00"


def _encode_bytea(value: bytes) -> bytes:
    return value.replace(b"\x00", b"\x00\xff") + b"\x00\x00"


def _encode_uuid(value: str) -> bytes:
    return bytes.fromhex(value.replace("-", ""))


def _encode_interval(value: tuple[int, int, int]) -> bytes:
    total = (value[0] * 30 + value[1]) * 86_400_000_000 + value[2]
    return (total + (1 << 127)).to_bytes(16, "big")


def _encode_timetz(value: tuple[int, int]) -> bytes:
    return _encode_int64(value[0] + value[1] * 1_000_000) + _encode_int32(value[1])


def _encode_numeric(value: Decimal) -> bytes:
    """-Infinity 10, negative 20, zero 30, positive 40, Infinity 50, NaN 60.

    A finite value is 0.d1d2d3… × 100^exponent with base-100 digits: the exponent as a biased u16, each digit + 1 as a byte,
    then 00. A negative one is the complement of its magnitude's bytes.
    """
    if not value.is_finite():
        return b"\x60" if value.is_nan() else (b"\x50" if value > 0 else b"\x10")
    sign, digits, exponent = value.as_tuple()
    if not any(digits):
        return b"\x30"
    text = "".join(map(str, digits)).lstrip("0")
    scale = int(exponent)
    point = len(text) + scale  # the value is 0.text × 10^point
    if point % 2:
        text = "0" + text
        point += 1
    text = text.rstrip("0")
    if len(text) % 2:
        text += "0"
    body = _U16.pack(point // 2 + 0x8000) + bytes(int(text[i : i + 2]) + 1 for i in range(0, len(text), 2)) + b"\x00"
    return b"\x20" + body.translate(_COMPLEMENT) if sign else b"\x40" + body


_ENCODERS: dict[int, Callable[[Any], bytes]] = {
    16: _encode_bool,
    17: _encode_bytea,
    18: _encode_text,
    19: _encode_text,
    20: _encode_int64,
    21: _encode_int16,
    23: _encode_int32,
    24: _encode_oid,
    25: _encode_text,
    26: _encode_oid,
    28: _encode_oid,
    29: _encode_oid,
    700: _encode_float,
    701: _encode_float,
    1042: _encode_bpchar,
    1043: _encode_text,
    1082: _encode_int32,
    1083: _encode_int64,
    1114: _encode_int64,
    1184: _encode_int64,
    1186: _encode_interval,
    1266: _encode_timetz,
    1700: _encode_numeric,
    2202: _encode_oid,
    2205: _encode_oid,
    2206: _encode_oid,
    2950: _encode_uuid,
    4089: _encode_oid,
    4096: _encode_oid,
    5069: _encode_int64,
}
_ARRAY_ELEMENTS: dict[int, int] = {
    1000: 16, 1001: 17, 1002: 18, 1003: 19, 1005: 21, 1007: 23, 1009: 25, 1014: 1042, 1015: 1043, 1016: 20, 1021: 700,
    1022: 701, 1028: 26, 1115: 1114, 1182: 1082, 1183: 1083, 1185: 1184, 1187: 1186, 1231: 1700, 1270: 1266, 2951: 2950,
}  # fmt: skip


def is_indexable(type_oid: int) -> bool:
    """Whether values of this type can be part of a key."""
    return type_oid in _ENCODERS or _ARRAY_ELEMENTS.get(type_oid) in _ENCODERS


def _array_encoder(element: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    def encode_array(value: list[Any]) -> bytes:
        parts = []
        for item in value:
            if item is None:
                parts.append(b"\x03")
            elif isinstance(item, list):
                parts.append(b"\x02" + encode_array(item))
            else:
                parts.append(b"\x02" + element(item))
        return b"".join(parts) + b"\x00"

    return encode_array


def value_encoder(type_oid: int) -> Callable[[Any], bytes]:
    """The encoder of one not-null value; KeyError for a type that cannot be indexed."""
    encoder = _ENCODERS.get(type_oid)
    return encoder if encoder is not None else _array_encoder(_ENCODERS[_ARRAY_ELEMENTS[type_oid]])


class KeyColumn(NamedTuple):
    """One position of a key. A position that can never be NULL (primary key) has no marker byte."""

    type: int
    nullable: bool = True
    descending: bool = False
    nulls_first: bool = False


def column_encoder(column: KeyColumn) -> Callable[[Any], bytes]:
    """The encoder of one position, NULL handling and direction included."""
    encode = value_encoder(column.type)
    if not column.nullable:
        if not column.descending:
            return encode
        return lambda value: encode(value).translate(_COMPLEMENT)
    if not column.descending:
        null = b"\x01" if column.nulls_first else b"\x03"
        return lambda value: null if value is None else b"\x02" + encode(value)
    null = b"\x01" if column.nulls_first else b"\xff"
    return lambda value: null if value is None else (b"\x02" + encode(value)).translate(_COMPLEMENT)


def key_encoder(key_prefix: bytes, columns: Sequence[KeyColumn]) -> KeyEncoder:
    """A function from the key's values, in order, to the view key (without version).

    Fewer values than columns give the prefix that all keys with these leading values share.
    """
    encoders = [column_encoder(column) for column in columns]
    if len(columns) == 1 and not columns[0].nullable and not columns[0].descending:
        packed = {23: (struct.Struct(">IHI"), 0x80000000), 20: (struct.Struct(">IHQ"), 0x8000000000000000)}.get(
            columns[0].type
        )
        if packed is not None:
            pack, bias = packed[0].pack, packed[1]
            storage_id, index_id = _PREFIX.unpack(key_prefix)

            def encode_one_integer(values: Sequence[Any]) -> bytes:
                return pack(storage_id, index_id, values[0] + bias) if values else key_prefix

            return encode_one_integer

    def encode_key(values: Sequence[Any]) -> bytes:
        return key_prefix + b"".join([encode(value) for encode, value in zip(encoders, values, strict=False)])

    return encode_key
