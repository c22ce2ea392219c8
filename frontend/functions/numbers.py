"""Arithmetic of integers and floating point numbers, and the casts between all number types.

Integers are checked against the range of the result type after every operation (22003); PostgreSQL has a function for each
operator and pair of widths (int24pl, int84mul, …), registered here in loops. real results are rounded to float32 after each
operation, which gives the same value as computing in float32 (a double has more than twice the digits).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from frontend.errors import SqlError
from frontend.functions.registry import scalar
from frontend.types.decimals import EXACT, format_numeric
from frontend.types.floats import parse_float4, parse_float8, round_to_float4

_RANGES = {2: (-(2**15), 2**15 - 1), 4: (-(2**31), 2**31 - 1), 8: (-(2**63), 2**63 - 1)}
_SQL_NAMES = {2: "smallint", 4: "integer", 8: "bigint"}


def division_by_zero() -> SqlError:
    """22012"""
    return SqlError("22012", "division by zero")


def _checker(width: int) -> Callable[[int], int]:
    low, high = _RANGES[width]
    message = f"{_SQL_NAMES[width]} out of range"

    def checked(value: int) -> int:
        if low <= value <= high:
            return value
        raise SqlError("22003", message)

    return checked


int2_checked, int4_checked, int8_checked = _checker(2), _checker(4), _checker(8)
CHECKED = {2: int2_checked, 4: int4_checked, 8: int8_checked}


def truncated_quotient(left: int, right: int) -> int:
    """Integer division as C does it, towards zero."""
    if right == 0:
        raise division_by_zero()
    if left >= 0 and right > 0:
        return left // right
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def truncated_remainder(left: int, right: int) -> int:
    """The remainder that goes with it, with the sign of the dividend."""
    if right == 0:
        raise division_by_zero()
    if left >= 0 and right > 0:
        return left % right
    remainder = abs(left) % abs(right)
    return -remainder if left < 0 else remainder


def _register_integer_arithmetic() -> None:
    for left in (2, 4, 8):
        for right in (2, 4, 8):
            width = max(left, right)
            infix = f"int{left}" if left == right else f"int{left}{right}"
            types = f"(int{left},int{right})"
            checked, name = CHECKED[width], f"int{width}_checked"
            names = {name: checked}
            for suffix, symbol in (("pl", "+"), ("mi", "-"), ("mul", "*")):
                inline = f"{name}({{0}} {symbol} {{1}})"
                scalar(f"{infix}{suffix}{types}", inline=inline, names=names)(_arithmetic(symbol, checked))
            scalar(f"{infix}div{types}")(_division(checked))


def _arithmetic(symbol: str, checked: Callable[[int], int]) -> Callable[[int, int], int]:
    if symbol == "+":
        return lambda left, right: checked(left + right)
    if symbol == "-":
        return lambda left, right: checked(left - right)
    return lambda left, right: checked(left * right)


def _division(checked: Callable[[int], int]) -> Callable[[int, int], int]:
    return lambda left, right: checked(truncated_quotient(left, right))


def _shift_left(width: int) -> Callable[[int, int], int]:
    bits = width * 8
    sign, mask = 1 << (bits - 1), (1 << bits) - 1
    counts = 63 if width == 8 else 31  # the processor looks at this many bits of the count

    def shifted(value: int, count: int) -> int:
        return ((value << (count & counts)) & mask ^ sign) - sign

    return shifted


def _shift_right(width: int) -> Callable[[int, int], int]:
    counts = 63 if width == 8 else 31
    return lambda value, count: value >> (count & counts)


def _register_integer_functions() -> None:
    for width in (2, 4, 8):
        one, two = f"(int{width})", f"(int{width},int{width})"
        checked, name = CHECKED[width], f"int{width}_checked"
        names = {name: checked}
        scalar(f"int{width}mod{two}", f"mod{two}")(truncated_remainder)
        scalar(f"int{width}um{one}", inline=f"{name}(-{{0}})", names=names)(_negation(checked))
        scalar(f"int{width}up{one}", inline="{0}")(_same)
        scalar(f"int{width}abs{one}", f"abs{one}", inline=f"{name}(abs({{0}}))", names=names)(_absolute(checked))
        scalar(f"int{width}and{two}", inline="({0} & {1})")(_and)
        scalar(f"int{width}or{two}", inline="({0} | {1})")(_or)
        scalar(f"int{width}xor{two}", inline="({0} ^ {1})")(_xor)
        scalar(f"int{width}not{one}", inline="(~{0})")(_not)
        scalar(f"int{width}shl(int{width},int4)")(_shift_left(width))
        scalar(f"int{width}shr(int{width},int4)")(_shift_right(width))
    scalar("int8inc(int8)", inline="int8_checked({0} + 1)", names={"int8_checked": int8_checked})(
        lambda value: int8_checked(value + 1)
    )


def _negation(checked: Callable[[int], int]) -> Callable[[int], int]:
    return lambda value: checked(-value)


def _absolute(checked: Callable[[int], int]) -> Callable[[int], int]:
    return lambda value: checked(abs(value))


def _same(value: Any) -> Any:
    return value


def _and(left: int, right: int) -> int:
    return left & right


def _or(left: int, right: int) -> int:
    return left | right


def _xor(left: int, right: int) -> int:
    return left ^ right


def _not(value: int) -> int:
    return ~value


_register_integer_arithmetic()
_register_integer_functions()


@scalar("gcd(int4,int4)")
def int4_gcd(left: int, right: int) -> int:
    return int4_checked(math.gcd(left, right))


@scalar("gcd(int8,int8)")
def int8_gcd(left: int, right: int) -> int:
    return int8_checked(math.gcd(left, right))


@scalar("lcm(int4,int4)")
def int4_lcm(left: int, right: int) -> int:
    return int4_checked(math.lcm(left, right))


@scalar("lcm(int8,int8)")
def int8_lcm(left: int, right: int) -> int:
    return int8_checked(math.lcm(left, right))


# floating point


def float_overflow() -> SqlError:
    """22003"""
    return SqlError("22003", "value out of range: overflow")


def float_underflow() -> SqlError:
    """22003"""
    return SqlError("22003", "value out of range: underflow")


def _exact_round(value: float) -> float:
    return value


def _add(round_result: Callable[[float], float], sign: int) -> Callable[[float, float], float]:
    def added(left: float, right: float) -> float:
        result = round_result(left + right if sign > 0 else left - right)
        if math.isinf(result) and not math.isinf(left) and not math.isinf(right):
            raise float_overflow()
        return result

    return added


def _multiply(round_result: Callable[[float], float]) -> Callable[[float, float], float]:
    def multiplied(left: float, right: float) -> float:
        result = round_result(left * right)
        if math.isinf(result) and not math.isinf(left) and not math.isinf(right):
            raise float_overflow()
        if result == 0.0 and left != 0.0 and right != 0.0:
            raise float_underflow()
        return result

    return multiplied


def _divide(round_result: Callable[[float], float]) -> Callable[[float, float], float]:
    def divided(left: float, right: float) -> float:
        if right == 0.0:
            if left != left:
                return left
            raise division_by_zero()
        result = round_result(left / right)
        if math.isinf(result) and not math.isinf(left):
            raise float_overflow()
        if result == 0.0 and left != 0.0 and not math.isinf(right):
            raise float_underflow()
        return result

    return divided


def _register_float_arithmetic() -> None:
    for left, right in ((4, 4), (8, 8), (4, 8), (8, 4)):
        infix = f"float{left}" if left == right else f"float{left}{right}"
        types = f"(float{left},float{right})"
        round_result = round_to_float4 if left == right == 4 else _exact_round
        scalar(f"{infix}pl{types}")(_add(round_result, 1))
        scalar(f"{infix}mi{types}")(_add(round_result, -1))
        scalar(f"{infix}mul{types}")(_multiply(round_result))
        scalar(f"{infix}div{types}")(_divide(round_result))
    for width in (4, 8):
        one = f"(float{width})"
        scalar(f"float{width}um{one}", inline="(-{0})")(_float_negation)
        scalar(f"float{width}up{one}", inline="{0}")(_same)
        scalar(f"float{width}abs{one}", f"abs{one}", inline="abs({0})")(_float_absolute)


def _float_negation(value: float) -> float:
    return -value


def _float_absolute(value: float) -> float:
    return abs(value)


_register_float_arithmetic()


# casts between number types


def _register_integer_casts() -> None:
    for source in (2, 4, 8):
        for target in (2, 4, 8):
            if source == target:
                continue
            signature = f"int{target}(int{source})"
            if source < target:
                scalar(signature, inline="{0}")(_same)
            else:
                name = f"int{target}_checked"
                scalar(signature, inline=f"{name}({{0}})", names={name: CHECKED[target]})(CHECKED[target])
        scalar(f"float8(int{source})", inline="float({0})")(_to_float8)
        scalar(f"float4(int{source})")(_to_float4)
        scalar(f"numeric(int{source})", inline="Decimal({0})", names={"Decimal": Decimal})(_to_numeric)
        scalar(f"int{source}(float8)", f"int{source}(float4)")(_from_float(CHECKED[source], _SQL_NAMES[source]))
        scalar(f"int{source}(numeric)")(_from_numeric(CHECKED[source], _SQL_NAMES[source]))


def _to_float8(value: int) -> float:
    return float(value)


def _to_float4(value: int) -> float:
    return round_to_float4(float(value)) if abs(value) < 2**53 else _nearest_float4(value)


def _nearest_float4(value: int) -> float:
    """A big integer rounded once: through a double it might be rounded twice."""
    shift = abs(value).bit_length() - 24
    unit = 1 << shift
    quotient, rest = divmod(abs(value), unit)
    if rest * 2 > unit or (rest * 2 == unit and quotient & 1):
        quotient += 1
    result = float(quotient * unit)
    return -result if value < 0 else result


def _to_numeric(value: int) -> Decimal:
    return Decimal(value)


def _from_float(checked: Callable[[int], int], name: str) -> Callable[[float], int]:
    def rounded(value: float) -> int:
        if value != value or math.isinf(value):
            raise SqlError("22003", f"{name} out of range")
        return checked(round(value))

    return rounded


def _from_numeric(checked: Callable[[int], int], name: str) -> Callable[[Decimal], int]:
    def rounded(value: Decimal) -> int:
        if not value.is_finite():
            what = "NaN" if value.is_nan() else "infinity"
            raise SqlError("0A000", f"cannot convert {what} to {name}")
        return checked(int(value.to_integral_value(ROUND_HALF_UP)))

    return rounded


_register_integer_casts()


@scalar("float8(float4)", inline="{0}")
def float4_to_float8(value: float) -> float:
    return value


@scalar("float4(float8)")
def float8_to_float4(value: float) -> float:
    result = round_to_float4(value)
    if math.isinf(result) and not math.isinf(value):
        raise float_overflow()
    if result == 0.0 and value != 0.0:
        raise float_underflow()
    return result


@scalar("numeric(float8)")
def float8_to_numeric(value: float) -> Decimal:
    return _float_to_numeric(value, 15)


@scalar("numeric(float4)")
def float4_to_numeric(value: float) -> Decimal:
    return _float_to_numeric(value, 6)


def _float_to_numeric(value: float, digits: int) -> Decimal:
    result = Decimal(format(value, f".{digits}g"))
    if not result.is_finite():
        return Decimal("NaN") if result.is_nan() else result
    if result.as_tuple().exponent > 0:  # type: ignore[operator]
        result = result.quantize(Decimal(1), context=EXACT)
    return result if result else result.copy_abs()


@scalar("float8(numeric)")
def numeric_to_float8(value: Decimal) -> float:
    if not value.is_finite():
        return float(value)
    return parse_float8(format_numeric(value))


@scalar("float4(numeric)")
def numeric_to_float4(value: Decimal) -> float:
    if not value.is_finite():
        return float(value)
    return parse_float4(format_numeric(value))


@scalar("int8(oid)", inline="{0}")
def oid_to_int8(value: int) -> int:
    return value


@scalar("oid(int8)")
def int8_to_oid(value: int) -> int:
    if not 0 <= value < 2**32:
        raise SqlError("22003", "OID out of range")
    return value


@scalar("bool(int4)", inline="({0} != 0)")
def int4_to_bool(value: int) -> bool:
    return value != 0


@scalar("int4(bool)", inline="int({0})")
def bool_to_int4(value: bool) -> int:
    return int(value)


@scalar("xid(xid8)", inline="({0} & 4294967295)")
def xid8_to_xid(value: int) -> int:
    return value & 0xFFFFFFFF
