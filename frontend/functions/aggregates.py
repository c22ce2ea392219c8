"""Aggregate functions (PostgreSQL's manual, 9.21): accumulators with PostgreSQL's result types, scales and NULL rules.

    family                       state                                        module
    count, sum, avg, min, max    one number, or sum and count                 here
    bool_*, bit_*, any_value     one value                                    here
    string_agg, array_agg        a list, joined at the end                    here
    stddev, variance, regr_*     N, ΣX, ΣX² exact; Youngs–Cramer for floats   statistics_aggregates.py
    percentile_*, mode, rank …   the sorted input                             ordered_aggregates.py
    json(b)_agg, _object_agg     texts                                        json_aggregates.py

The hot ones (count, sum and avg of integers, min and max of types that Python orders itself) also carry `inline`
templates, so that a grouped scan runs `state += value` in generated code instead of a method call a row. Integer
accumulators have `remove`, with which a sliding window frame takes a row out again; sums of numerics have none, because
the scale of a sum is that of the rows in the frame, and floats have none because subtraction does not undo addition.
"""

from __future__ import annotations

import operator
import struct
from collections.abc import Callable
from decimal import Decimal
from math import isinf
from typing import Any

from frontend.errors import SqlError
from frontend.functions.numeric_division import add_exactly, average, average_of_integers
from frontend.functions.registry import SCALARS, Accumulator, aggregate
from frontend.types import oids
from frontend.types.registry import sort_key

INT8_MIN, INT8_MAX = -(2**63), 2**63 - 1


# ── count ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@aggregate("count()", skips_null=False, inline=("0", "{s} += 1", "{s}"))
class CountRows:
    """count(*)."""

    def __init__(self) -> None:
        self.count = 0

    def add(self) -> None:
        self.count += 1

    def remove(self) -> None:
        self.count -= 1

    def result(self) -> int:
        return self.count


@aggregate("count(any)", inline=("0", "{s} += 1", "{s}"))
class CountValues:
    """count(expression): rows where it is not NULL."""

    def __init__(self) -> None:
        self.count = 0

    def add(self, value: Any) -> None:
        self.count += 1

    def remove(self, value: Any) -> None:
        self.count -= 1

    def result(self) -> int:
        return self.count


# ── sum and avg ─────────────────────────────────────────────────────────────────────────────────────────────────────


def checked_bigint(value: int | None) -> int | None:
    """The sum itself, or 22003 where it does not fit int8."""
    if value is not None and not INT8_MIN <= value <= INT8_MAX:
        raise SqlError("22003", "bigint out of range")
    return value


class _IntegerSum:
    def __init__(self) -> None:
        self.total = 0
        self.count = 0

    def add(self, value: int) -> None:
        self.total += value
        self.count += 1

    def remove(self, value: int) -> None:
        self.total -= value
        self.count -= 1


@aggregate(
    "sum(int4)",
    "sum(int2)",
    inline=("None", "{s} = {0} if {s} is None else {s} + {0}", "checked_bigint({s})"),
    names={"checked_bigint": checked_bigint},
)
class SumSmallIntegers(_IntegerSum):
    """sum(int2), sum(int4) → int8."""

    def result(self) -> int | None:
        return checked_bigint(self.total) if self.count else None


def exact_numeric(value: int | None) -> Decimal | None:
    """An integer sum as numeric."""
    return None if value is None else Decimal(value)


@aggregate(
    "sum(int8)",
    inline=("None", "{s} = {0} if {s} is None else {s} + {0}", "exact_numeric({s})"),
    names={"exact_numeric": exact_numeric},
)
class SumBigint(_IntegerSum):
    """sum(int8) → numeric."""

    def result(self) -> Decimal | None:
        return Decimal(self.total) if self.count else None


def finish_average(state: list[int]) -> Decimal | None:
    """[sum, count] → avg."""
    return average_of_integers(state[0], state[1]) if state[1] else None


@aggregate(
    "avg(int8)",
    "avg(int4)",
    "avg(int2)",
    inline=("[0, 0]", "{s}[0] += {0}; {s}[1] += 1", "finish_average({s})"),
    names={"finish_average": finish_average},
)
class AverageIntegers(_IntegerSum):
    """avg of integers → numeric."""

    def result(self) -> Decimal | None:
        return average_of_integers(self.total, self.count) if self.count else None


class _NumericSum:
    def __init__(self) -> None:
        self.total = Decimal(0)
        self.count = 0

    def add(self, value: Decimal) -> None:
        self.total = add_exactly(self.total, value)
        self.count += 1


@aggregate(
    "sum(numeric)",
    inline=("None", "{s} = {0} if {s} is None else add_exactly({s}, {0})", "{s}"),
    names={"add_exactly": add_exactly},
)
class SumNumeric(_NumericSum):
    """sum(numeric): exact, with the largest scale of the input."""

    def result(self) -> Decimal | None:
        return self.total if self.count else None


@aggregate("avg(numeric)")
class AverageNumeric(_NumericSum):
    """avg(numeric)."""

    def result(self) -> Decimal | None:
        return average(self.total, self.count) if self.count else None


def add_floats(left: float, right: float) -> float:
    """left + right; 22003 where finite numbers overflow."""
    total = left + right
    if isinf(total) and not isinf(left) and not isinf(right):
        raise SqlError("22003", "value out of range: overflow")
    return total


@aggregate(
    "sum(float8)",
    inline=("None", "{s} = {0} if {s} is None else add_floats({s}, {0})", "{s}"),
    names={"add_floats": add_floats},
)
class SumDouble:
    """sum(float8)."""

    def __init__(self) -> None:
        self.total: float | None = None

    def add(self, value: float) -> None:
        self.total = value if self.total is None else add_floats(self.total, value)

    def result(self) -> float | None:
        return self.total


_SINGLE = struct.Struct("<f")


@aggregate("sum(float4)")
class SumReal:
    """sum(float4): rounded to single precision after every addition, as PostgreSQL does."""

    def __init__(self) -> None:
        self.total: float | None = None

    def add(self, value: float) -> None:
        if self.total is None:
            self.total = value
            return
        total = self.total + value
        try:
            (self.total,) = _SINGLE.unpack(_SINGLE.pack(total))
        except OverflowError:
            raise SqlError("22003", "value out of range: overflow") from None

    def result(self) -> float | None:
        return self.total


def _interval_add(left: Any, right: Any) -> Any:
    return SCALARS["interval_pl(interval,interval)"].call(left, right)


@aggregate("sum(interval)")
class SumInterval:
    """sum(interval), by the interval's own addition with its overflow checks."""

    def __init__(self) -> None:
        self.total: Any = None
        self.count = 0

    def add(self, value: Any) -> None:
        self.total = value if self.total is None else _interval_add(self.total, value)
        self.count += 1

    def result(self) -> Any:
        return self.total


@aggregate("avg(interval)")
class AverageInterval(SumInterval):
    """avg(interval)."""

    def result(self) -> Any:
        return SCALARS["interval_div(interval,float8)"].call(self.total, float(self.count)) if self.count else None


# ── min, max, any_value ─────────────────────────────────────────────────────────────────────────────────────────────

_PYTHON_ORDERS = ("int8", "int4", "int2", "oid", "date", "time", "timestamp", "timestamptz", "text", "xid8")
_KEYED_ORDERS = {
    "float4": oids.FLOAT4,
    "float8": oids.FLOAT8,
    "numeric": oids.NUMERIC,
    "interval": oids.INTERVAL,
    "timetz": oids.TIMETZ,
    "bpchar": oids.BPCHAR,
}


def _signatures(name: str, types: tuple[str, ...]) -> list[str]:
    return [f"{name}({type_name})" for type_name in types]


@aggregate(
    *_signatures("min", _PYTHON_ORDERS),
    inline=("None", "{s} = {0} if {s} is None or {0} < {s} else {s}", "{s}"),
)
class Minimum:
    """min over types whose values Python orders as PostgreSQL does."""

    def __init__(self) -> None:
        self.value: Any = None

    def add(self, value: Any) -> None:
        if self.value is None or value < self.value:
            self.value = value

    def result(self) -> Any:
        return self.value


@aggregate(
    *_signatures("max", _PYTHON_ORDERS),
    inline=("None", "{s} = {0} if {s} is None or {0} > {s} else {s}", "{s}"),
)
class Maximum:
    """max over types whose values Python orders as PostgreSQL does."""

    def __init__(self) -> None:
        self.value: Any = None

    def add(self, value: Any) -> None:
        if self.value is None or value > self.value:
            self.value = value

    def result(self) -> Any:
        return self.value


class KeyedExtreme:
    """min or max by a type's sort key; of equal values the latest wins, which shows in numeric's scale."""

    def __init__(self, key: Callable[[Any], Any], better: Callable[[Any, Any], bool]) -> None:
        self.key = key
        self.better = better
        self.value: Any = None
        self.value_key: Any = None

    def add(self, value: Any) -> None:
        key = self.key(value)
        if self.value is None or not self.better(self.value_key, key):
            self.value, self.value_key = value, key

    def result(self) -> Any:
        return self.value


def _same(value: Any) -> Any:
    return value


def _extreme(better: Callable[[Any, Any], bool]) -> Callable[..., Accumulator]:
    def create(*, argument_types: tuple[int, ...], result_type: int) -> Accumulator:
        return KeyedExtreme(sort_key(argument_types[0]) or _same, better)

    return create


for _type in (*_KEYED_ORDERS, "anyarray"):
    aggregate(f"min({_type})", typed=True)(_extreme(operator.lt))
    aggregate(f"max({_type})", typed=True)(_extreme(operator.gt))


@aggregate("any_value(anyelement)", inline=("None", "{s} = {0} if {s} is None else {s}", "{s}"))
class AnyValue:
    """The first value that is not NULL."""

    def __init__(self) -> None:
        self.value: Any = None

    def add(self, value: Any) -> None:
        if self.value is None:
            self.value = value

    def result(self) -> Any:
        return self.value


# ── booleans and bits ───────────────────────────────────────────────────────────────────────────────────────────────


class _Booleans:
    def __init__(self) -> None:
        self.true_count = 0
        self.count = 0

    def add(self, value: bool) -> None:
        self.true_count += value
        self.count += 1

    def remove(self, value: bool) -> None:
        self.true_count -= value
        self.count -= 1


@aggregate("bool_and(bool)", "every(bool)", inline=("None", "{s} = {0} if {s} is None else ({s} and {0})", "{s}"))
class EveryTrue(_Booleans):
    """bool_and, every."""

    def result(self) -> bool | None:
        return self.true_count == self.count if self.count else None


@aggregate("bool_or(bool)", inline=("None", "{s} = {0} if {s} is None else ({s} or {0})", "{s}"))
class AnyTrue(_Booleans):
    """bool_or."""

    def result(self) -> bool | None:
        return self.true_count > 0 if self.count else None


class _Bits:
    combine: Callable[[int, int], int]

    def __init__(self) -> None:
        self.value: int | None = None

    def add(self, value: int) -> None:
        self.value = value if self.value is None else self.combine(self.value, value)

    def result(self) -> int | None:
        return self.value


_INTEGERS = ("int2", "int4", "int8")


@aggregate(*_signatures("bit_and", _INTEGERS))
class BitAnd(_Bits):
    """bit_and."""

    combine = staticmethod(operator.and_)


@aggregate(*_signatures("bit_or", _INTEGERS))
class BitOr(_Bits):
    """bit_or."""

    combine = staticmethod(operator.or_)


@aggregate(*_signatures("bit_xor", _INTEGERS))
class BitXor(_Bits):
    """bit_xor."""

    combine = staticmethod(operator.xor)


# ── string_agg and array_agg ────────────────────────────────────────────────────────────────────────────────────────


@aggregate("string_agg(text,text)", skips_null=False)
class JoinedText:
    """string_agg: each row's delimiter stands before its value; NULL values are left out, a NULL delimiter is empty."""

    empty: Any = ""

    def __init__(self) -> None:
        self.pieces: list[Any] = []

    def add(self, value: Any, delimiter: Any) -> None:
        if value is None:
            return
        self.pieces.append(self.empty if delimiter is None or not self.pieces else delimiter)
        self.pieces.append(value)

    def result(self) -> Any:
        return self.empty.join(self.pieces) if self.pieces else None


@aggregate("string_agg(bytea,bytea)", skips_null=False)
class JoinedBytes(JoinedText):
    """string_agg over bytea."""

    empty: Any = b""


@aggregate("array_agg(anynonarray)", skips_null=False)
class ArrayOfValues:
    """array_agg: all values, NULLs included; NULL where there was no row."""

    def __init__(self) -> None:
        self.values: list[Any] = []

    def add(self, value: Any) -> None:
        self.values.append(value)

    def result(self) -> list[Any] | None:
        return list(self.values) if self.values else None


def _dimensions(array: Any) -> list[int]:
    result = []
    while isinstance(array, list) and array:
        result.append(len(array))
        array = array[0]
    return result


@aggregate("array_agg(anyarray)", skips_null=False)
class ArrayOfArrays:
    """array_agg over arrays of one shape: an array of one dimension more."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self.dimensions: list[int] | None = None

    def add(self, value: list[Any] | None) -> None:
        if value is None:
            raise SqlError("22004", "cannot accumulate null arrays")
        dimensions = _dimensions(value)
        if not dimensions:
            raise SqlError("2202E", "cannot accumulate empty arrays")
        if self.dimensions is None:
            self.dimensions = dimensions
        elif self.dimensions != dimensions:
            raise SqlError("2202E", "cannot accumulate arrays of different dimensionality")
        self.values.append(value)

    def result(self) -> list[Any] | None:
        return list(self.values) if self.values else None
