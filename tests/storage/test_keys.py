"""View keys: byte order is value order, and no key is a prefix of another.

Method: for each indexable type hypothesis draws pairs of values; the order of the encodings must be the order of the values as
PostgreSQL's B-tree has it (first principles: integers by value, NaN above all numbers, NULLs where the index says).
"""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import keys
from storage.keys import KeyColumn, key_encoder, prefix, successor

INT4 = st.integers(-(2**31), 2**31 - 1)
INT8 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=12)
NUMERIC = st.one_of(
    st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**12), max_value=10**12),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.sampled_from([Decimal("0"), Decimal("-0"), Decimal("1e100"), Decimal("-1e-100"), Decimal("10"), Decimal("100")]),
)
FLOAT = st.floats()
BY_TYPE = {
    16: st.booleans(),
    17: st.binary(max_size=12),
    20: INT8,
    21: st.integers(-(2**15), 2**15 - 1),
    23: INT4,
    25: TEXT,
    26: st.integers(0, 2**32 - 1),
    701: FLOAT,
    1082: INT4,
    1114: INT8,
    1700: NUMERIC,
}


def rank(value: object) -> object:
    """A value whose Python order is the B-tree's."""
    if isinstance(value, float):
        return (1, 0.0) if math.isnan(value) else (0, value)
    if isinstance(value, str):
        return value.encode()
    return value


@pytest.mark.parametrize("oid", list(BY_TYPE))
@given(data=st.data())
def test_order_of_encodings_is_order_of_values(oid: int, data: st.DataObject) -> None:
    left, right = data.draw(BY_TYPE[oid]), data.draw(BY_TYPE[oid])
    encode = keys.value_encoder(oid)
    one, two = encode(left), encode(right)
    assert (one < two) == (rank(left) < rank(right))  # type: ignore[operator]
    assert (one == two) == (rank(left) == rank(right))


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("nulls_first", [False, True])
@given(left=st.one_of(st.none(), INT4), right=st.one_of(st.none(), INT4))
def test_null_and_direction(descending: bool, nulls_first: bool, left: int | None, right: int | None) -> None:
    encode = keys.column_encoder(KeyColumn(23, True, descending, nulls_first))

    def position(value: int | None) -> tuple[int, int]:
        if value is None:
            return (0 if nulls_first else 2, 0)
        return (1, -value if descending else value)

    assert (encode(left) < encode(right)) == (position(left) < position(right))


@given(st.tuples(TEXT, INT4, TEXT), st.tuples(TEXT, INT4, TEXT))
def test_composite_keys_sort_column_by_column(left: tuple[str, int, str], right: tuple[str, int, str]) -> None:
    encode = key_encoder(prefix(7, 1), [KeyColumn(25), KeyColumn(23), KeyColumn(25)])
    one, two = encode(left), encode(right)
    comparable = [(a.encode(), b, c.encode()) for a, b, c in (left, right)]
    assert (one < two) == (comparable[0] < comparable[1])
    assert one == two or not one.startswith(two)


@given(TEXT, INT4)
def test_leading_values_give_the_shared_prefix(text: str, number: int) -> None:
    encode = key_encoder(prefix(7, 1), [KeyColumn(25), KeyColumn(23)])
    assert encode((text, number)).startswith(encode((text,)))
    assert encode(()) == prefix(7, 1)


@given(st.binary(min_size=1, max_size=6), st.binary(max_size=4))
def test_successor_is_above_everything_with_the_prefix(start: bytes, rest: bytes) -> None:
    after = successor(start)
    assert after == b"" or start + rest < after


def test_bpchar_ignores_trailing_blanks() -> None:
    encode = keys.value_encoder(1042)
    assert encode("ab  ") == encode("ab")


def test_numeric_of_equal_value_has_one_encoding() -> None:
    encode = keys.value_encoder(1700)
    assert encode(Decimal("1.0")) == encode(Decimal("1")) == encode(Decimal("1E0"))
    assert encode(Decimal("-0.00")) == encode(Decimal("0"))


def test_special_numerics_surround_the_finite() -> None:
    encode = keys.value_encoder(1700)
    ordered = [
        Decimal("-Infinity"),
        Decimal("-1e300"),
        Decimal("0"),
        Decimal("1e300"),
        Decimal("Infinity"),
        Decimal("NaN"),
    ]
    encoded = [encode(value) for value in ordered]
    assert encoded == sorted(encoded)


def test_single_integer_fast_path_equals_the_general_one() -> None:
    fast = key_encoder(prefix(9, 0), [KeyColumn(23, False)])
    slow = prefix(9, 0) + keys.value_encoder(23)(-5)
    assert fast((-5,)) == slow


@given(st.lists(st.one_of(st.none(), INT4), max_size=4), st.lists(st.one_of(st.none(), INT4), max_size=4))
def test_arrays_sort_element_by_element_then_by_length(left: list[int | None], right: list[int | None]) -> None:
    encode = keys.value_encoder(1007)

    def comparable(values: list[int | None]) -> list[tuple[int, int]]:
        return [(1, 0) if value is None else (0, value) for value in values]

    assert (encode(left) < encode(right)) == (comparable(left) < comparable(right))
