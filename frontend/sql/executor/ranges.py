"""From the values of an access path to view keys: points and ranges, for scans and index nested loops.

    primary key   prefix(storage, 0)  + columns without NULL marker                     value: the row
    index         prefix(storage, id) + columns with NULL marker [+ row key's suffix]    value: the row key's suffix

A range over the column behind the leading equalities becomes a half-open key range. NULL entries are never part of a range:
values lie between the markers 02 and 03 (ascending) or FD and FE (descending, where all bytes are complemented). Integer
bounds that the column's type cannot hold are clamped rather than refused, so that `int4_column < $1::bigint` works for all $1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any

from storage.keys import KeyColumn, column_encoder, successor

INTEGER_RANGES: dict[int, tuple[int, int]] = {
    21: (-(2**15), 2**15 - 1),
    23: (-(2**31), 2**31 - 1),
    20: (-(2**63), 2**63 - 1),
    26: (0, 2**32 - 1),
}

Range = tuple[bytes, bytes]


def integer_packer(storage_id: int, column: KeyColumn) -> tuple[Callable[..., bytes], int] | None:
    """(pack, bias) such that pack(storage, 0, value + bias) is the row key of a one-integer primary key."""
    if column.nullable or column.descending:
        return None
    if column.type == 23:
        return Struct(">IHI").pack, 0x80000000
    if column.type == 20:
        return Struct(">IHQ").pack, 0x8000000000000000
    return None


def key_maker(key_prefix: bytes, columns: Sequence[KeyColumn]) -> Callable[..., bytes]:
    """A function from the columns' values (as separate arguments) to the key."""
    encoders = [column_encoder(column) for column in columns]
    if not encoders:
        return lambda: key_prefix
    if len(encoders) == 1:
        (only,) = encoders
        return lambda value: key_prefix + only(value)
    if len(encoders) == 2:
        first, second = encoders
        return lambda a, b: key_prefix + first(a) + second(b)
    return lambda *values: (
        key_prefix + b"".join([encode(value) for encode, value in zip(encoders, values, strict=True)])
    )


def values_range(base: bytes, column: KeyColumn) -> Range:
    """All entries below `base` whose next column is not NULL."""
    if not column.nullable:
        return base, successor(base)
    if column.descending:
        return base + b"\xfd", base + b"\xfe"
    return base + b"\x02", base + b"\x03"


def range_maker(
    key_prefix: bytes,
    columns: Sequence[KeyColumn],
    equal_count: int,
    low: bool | None,
    high: bool | None,
    not_null: bool,
) -> Callable[[tuple[Any, ...], Any, Any], Range | None]:
    """A function (values of the equalities, low, high) → key range, None where it is empty.

    `low` and `high`: None where there is no such bound, else whether it is inclusive.
    """
    make_base = key_maker(key_prefix, columns[:equal_count])
    if low is None and high is None and not not_null:

        def equal_range(values: tuple[Any, ...], low_value: Any, high_value: Any) -> Range | None:
            base = make_base(*values)
            return base, successor(base)

        return equal_range

    column = columns[equal_count]
    encode = column_encoder(column)
    limits = INTEGER_RANGES.get(column.type)

    def bounded_range(values: tuple[Any, ...], low_value: Any, high_value: Any) -> Range | None:
        if (low is not None and low_value is None) or (high is not None and high_value is None):
            return None
        with_low, with_high = low, high
        if limits is not None:
            if with_low is not None:
                if low_value > limits[1]:
                    return None
                if low_value < limits[0]:
                    with_low = None
            if with_high is not None:
                if high_value < limits[0]:
                    return None
                if high_value > limits[1]:
                    with_high = None
        base = make_base(*values)
        start, stop = values_range(base, column)
        if column.descending:
            if with_high is not None:
                key = base + encode(high_value)
                start = key if with_high else successor(key)
            if with_low is not None:
                key = base + encode(low_value)
                stop = successor(key) if with_low else key
        else:
            if with_low is not None:
                key = base + encode(low_value)
                start = key if with_low else successor(key)
            if with_high is not None:
                key = base + encode(high_value)
                stop = successor(key) if with_high else key
        return (start, stop) if start < stop or not stop else None

    return bounded_range


def prefix_range_maker(
    key_prefix: bytes, columns: Sequence[KeyColumn], equal_count: int, text: str
) -> Callable[[tuple[Any, ...], Any, Any], Range | None]:
    """LIKE 'text%': the strings that begin with `text`."""
    make_base = key_maker(key_prefix, columns[:equal_count])
    column = columns[equal_count]
    marker = b"\x02" if column.nullable else b""
    body = marker + text.encode()
    if column.descending:
        body = bytes([255 - byte for byte in body])

    def prefix_range(values: tuple[Any, ...], low_value: Any, high_value: Any) -> Range | None:
        start = make_base(*values) + body
        return start, successor(start)

    return prefix_range


def fitting(values: Sequence[Any] | None, type_oid: int, key: Callable[[Any], Any] | None) -> list[Any]:
    """The distinct values of an IN list that the column's type can hold, NULLs left out."""
    if values is None:
        return []
    limits = INTEGER_RANGES.get(type_oid)
    if limits is not None:
        return [value for value in dict.fromkeys(values) if value is not None and limits[0] <= value <= limits[1]]
    if key is None:
        return [value for value in dict.fromkeys(values) if value is not None]
    return list({key(value): value for value in values if value is not None}.values())


def tid_text(row_key: bytes) -> str:
    """ctid of a row: its key's suffix as (block, offset); unique in the table."""
    number = int.from_bytes(row_key[6:], "big")
    return f"({number >> 16},{number & 0xFFFF})"
