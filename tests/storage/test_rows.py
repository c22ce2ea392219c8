"""Rows: what is stored comes back, also for rows written before a column existed."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from storage.rows import Interval, encode_row, encode_value, row_decoder

VALUES = st.tuples(
    st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
    st.one_of(st.none(), st.text()),
    st.one_of(st.none(), st.decimals(allow_nan=False)),
    st.one_of(st.none(), st.binary()),
    st.one_of(st.none(), st.builds(Interval, *(st.integers(-1000, 1000),) * 3)),
    st.one_of(st.none(), st.lists(st.one_of(st.none(), st.decimals(allow_nan=False)), max_size=3)),
    st.one_of(st.none(), st.tuples(st.integers(0, 10**9), st.integers(-50_000, 50_000))),
    st.one_of(st.none(), st.floats(allow_nan=False)),
)
TYPES = [20, 25, 1700, 17, 1186, 1231, 1266, 701]


@given(VALUES)
def test_round_trip(values: tuple[object, ...]) -> None:
    decode = row_decoder(TYPES, [None] * len(TYPES))
    assert decode(encode_row(values)) == list(values)


def test_decimal_keeps_its_scale() -> None:
    decode = row_decoder([1700], [None])
    assert str(decode(encode_row([Decimal("1.500")]))[0]) == "1.500"


def test_rows_older_than_a_column_read_its_missing_value() -> None:
    decode = row_decoder([23, 25, 1700], [None, encode_value("later"), encode_value(Decimal("2.50"))])
    assert decode(encode_row([1])) == [1, "later", Decimal("2.50")]
    assert decode(encode_row([1, None])) == [1, None, Decimal("2.50")]


def test_interval_comes_back_as_an_interval() -> None:
    value = row_decoder([1186], [None])(encode_row([Interval(1, 2, 3)]))[0]
    assert isinstance(value, Interval)
