"""numeric: exact arithmetic, and roots, powers and logarithms with the scale that PostgreSQL chooses.

Sums, differences and products are exact, and their scale follows from the operands'. Everything else has a result scale
estimated so that at least 16 significant digits show; the estimates work on PostgreSQL's base-10,000 digits (`leading`), and
they are visible in every result, so they are computed here in the same way. The digits themselves come from `decimal`, rounded
once from a result with more digits than needed.
"""

from __future__ import annotations

import decimal
import math
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_UP, Decimal

from frontend.errors import SqlError
from frontend.functions.numbers import division_by_zero
from frontend.functions.numeric_division import divide, quotient_scale
from frontend.functions.registry import scalar
from frontend.types.decimals import (
    EXACT,
    INFINITY,
    INTEGER_DIGITS_MAX,
    NAN,
    NEGATIVE_INFINITY,
    SCALE_MAX,
    numeric_overflow,
    round_to_scale,
    scale_of,
)

ZERO, ONE = Decimal(0), Decimal(1)
SIGNIFICANT_DIGITS_MIN = 16
DISPLAY_SCALE_MAX = 1000
_RESULT_SCALE_MAX = 2000
_BASE_DIGITS = 4
_LOG10_E = 0.434294481903252
_LN_10 = 2.302585092994046

_add, _subtract, _multiply = EXACT.add, EXACT.subtract, EXACT.multiply


def _finish(value: Decimal) -> Decimal:
    """No negative zero, no signed NaN, no more digits than the format has."""
    if not value:
        return value.copy_abs()
    if not value.is_finite():
        return NAN if value.is_nan() else value
    if value.adjusted() >= INTEGER_DIGITS_MAX:
        raise numeric_overflow()
    return value


@scalar("numeric_add(numeric,numeric)")
def numeric_add(left: Decimal, right: Decimal) -> Decimal:
    return _finish(_add(left, right))


@scalar("numeric_sub(numeric,numeric)")
def numeric_subtract(left: Decimal, right: Decimal) -> Decimal:
    return _finish(_subtract(left, right))


@scalar("numeric_mul(numeric,numeric)")
def numeric_multiply(left: Decimal, right: Decimal) -> Decimal:
    product = _finish(_multiply(left, right))
    if product.is_finite() and scale_of(product) > SCALE_MAX:
        return round_to_scale(product, SCALE_MAX)
    return product


def _divide_special(left: Decimal, right: Decimal) -> Decimal:
    """Division where an operand is NaN or infinite."""
    if left.is_nan() or right.is_nan():
        return NAN
    if left.is_infinite():
        if right.is_infinite():
            return NAN
        if not right:
            raise division_by_zero()
        return INFINITY if (left > 0) == (right > 0) else NEGATIVE_INFINITY
    return ZERO


def quotient(left: Decimal, right: Decimal, scale: int) -> Decimal:
    """The finite quotient rounded to `scale` digits."""
    if right < 0:
        left, right = left.copy_negate(), right.copy_negate()
    result = divide(left, right, scale)
    return result if result else result.copy_abs()


@scalar("numeric_div(numeric,numeric)")
def numeric_divide(left: Decimal, right: Decimal) -> Decimal:
    if not (left.is_finite() and right.is_finite()):
        return _divide_special(left, right)
    if not right:
        raise division_by_zero()
    return _finish(quotient(left, right, quotient_scale(left, right)))


@scalar("numeric_div_trunc(numeric,numeric)", "div(numeric,numeric)")
def numeric_divide_truncated(left: Decimal, right: Decimal) -> Decimal:
    if not (left.is_finite() and right.is_finite()):
        return _divide_special(left, right)
    if not right:
        raise division_by_zero()
    return _finish(EXACT.divide_int(left, right).quantize(ONE, context=EXACT))


@scalar("numeric_mod(numeric,numeric)", "mod(numeric,numeric)")
def numeric_modulo(left: Decimal, right: Decimal) -> Decimal:
    if left.is_nan() or right.is_nan():
        return NAN
    if left.is_infinite():
        if not right:
            raise division_by_zero()
        return NAN
    if right.is_infinite():
        return left
    if not right:
        raise division_by_zero()
    return _finish(EXACT.remainder(left, right))


@scalar("numeric_uminus(numeric)")
def numeric_negate(value: Decimal) -> Decimal:
    return value.copy_negate() if value and not value.is_nan() else value


@scalar("numeric_uplus(numeric)", inline="{0}")
def numeric_plus(value: Decimal) -> Decimal:
    return value


@scalar("numeric_abs(numeric)", "abs(numeric)", inline="{0}.copy_abs()")
def numeric_absolute(value: Decimal) -> Decimal:
    return value.copy_abs()


@scalar("sign(numeric)")
def numeric_sign(value: Decimal) -> Decimal:
    return value if value.is_nan() else Decimal((value > 0) - (value < 0))


@scalar("numeric_inc(numeric)")
def numeric_increment(value: Decimal) -> Decimal:
    return _finish(_add(value, ONE))


@scalar("ceil(numeric)", "ceiling(numeric)")
def numeric_ceiling(value: Decimal) -> Decimal:
    return _finish(value.to_integral_value(ROUND_CEILING)) if value.is_finite() else value


@scalar("floor(numeric)")
def numeric_floor(value: Decimal) -> Decimal:
    return _finish(value.to_integral_value(ROUND_FLOOR)) if value.is_finite() else value


@scalar("round(numeric)")
def numeric_round_whole(value: Decimal) -> Decimal:
    return numeric_round(value, 0)


@scalar("round(numeric,int4)")
def numeric_round(value: Decimal, scale: int) -> Decimal:
    if not value.is_finite():
        return value
    scale = min(max(scale, -INTEGER_DIGITS_MAX), SCALE_MAX)
    return _finish(round_to_scale(value, scale))


@scalar("trunc(numeric)")
def numeric_truncate_whole(value: Decimal) -> Decimal:
    return numeric_truncate(value, 0)


@scalar("trunc(numeric,int4)")
def numeric_truncate(value: Decimal, scale: int) -> Decimal:
    if not value.is_finite():
        return value
    scale = min(max(scale, -INTEGER_DIGITS_MAX), SCALE_MAX)
    result = value.quantize(Decimal((0, (1,), -scale)), rounding=ROUND_DOWN, context=EXACT)
    if scale < 0:
        result = result.quantize(ONE, context=EXACT)
    return _finish(result)


@scalar("scale(numeric)")
def numeric_scale(value: Decimal) -> int | None:
    return scale_of(value) if value.is_finite() else None


@scalar("min_scale(numeric)")
def numeric_min_scale(value: Decimal) -> int | None:
    return scale_of(numeric_trim_scale(value)) if value.is_finite() else None


@scalar("trim_scale(numeric)")
def numeric_trim_scale(value: Decimal) -> Decimal:
    if not value.is_finite():
        return value
    trimmed = value.normalize(EXACT)
    return trimmed.quantize(ONE, context=EXACT) if trimmed.as_tuple().exponent > 0 else trimmed  # type: ignore[operator]


@scalar("gcd(numeric,numeric)")
def numeric_gcd(left: Decimal, right: Decimal) -> Decimal:
    if not (left.is_finite() and right.is_finite()):
        return NAN
    one, two, scale = _common_integers(left, right)
    return EXACT.scaleb(Decimal(math.gcd(one, two)), -scale)


@scalar("lcm(numeric,numeric)")
def numeric_lcm(left: Decimal, right: Decimal) -> Decimal:
    if not (left.is_finite() and right.is_finite()):
        return NAN
    one, two, scale = _common_integers(left, right)
    return _finish(EXACT.scaleb(Decimal(math.lcm(one, two)), -scale))


def _common_integers(left: Decimal, right: Decimal) -> tuple[int, int, int]:
    scale = max(scale_of(left), scale_of(right))
    return int(EXACT.scaleb(left, scale)), int(EXACT.scaleb(right, scale)), scale


@scalar("factorial(int8)")
def factorial(value: int) -> Decimal:
    if value < 0:
        raise SqlError("22003", "factorial of a negative number is undefined")
    if value > 32177:
        raise numeric_overflow()
    return Decimal(math.factorial(value))


# roots, powers, logarithms


def leading(value: Decimal) -> tuple[int, list[int]]:
    """The weight of the first base-10,000 digit of a number that is not zero, and up to five digits from there."""
    magnitude = value.copy_abs()
    weight = magnitude.adjusted() // _BASE_DIGITS
    digits = []
    rest = EXACT.scaleb(magnitude, -weight * _BASE_DIGITS)
    for _ in range(5):
        whole = int(rest)
        digits.append(whole)
        rest = EXACT.scaleb(EXACT.subtract(rest, Decimal(whole)), _BASE_DIGITS)
    return weight, digits


def _digit_count(value: Decimal) -> int:
    """How many base-10,000 digits the number has, trailing zeros left out."""
    weight = value.adjusted() // _BASE_DIGITS
    exponent = value.normalize(EXACT).as_tuple().exponent
    assert isinstance(exponent, int)
    return weight - exponent // _BASE_DIGITS + 1


def _clamp_scale(scale: int, *least: int) -> int:
    return min(max(scale, 0, *least), DISPLAY_SCALE_MAX)


def _precise(digits: int) -> decimal.Context:
    return decimal.Context(
        prec=max(digits, 1) + 10, rounding=ROUND_HALF_UP, Emin=decimal.MIN_EMIN, Emax=decimal.MAX_EMAX, traps=[]
    )


@scalar("sqrt(numeric)", "numeric_sqrt(numeric)")
def numeric_square_root(value: Decimal) -> Decimal:
    if value.is_nan():
        return value
    if value < 0:
        raise SqlError("2201F", "cannot take square root of a negative number")
    if value.is_infinite():
        return value
    if not value:
        return round_to_scale(ZERO, _clamp_scale(SIGNIFICANT_DIGITS_MIN - 1, scale_of(value)))
    weight, _ = leading(value)
    result_digits = weight * _BASE_DIGITS // 2 + 1 if weight >= 0 else 1 - (-weight * _BASE_DIGITS) // 2
    scale = _clamp_scale(SIGNIFICANT_DIGITS_MIN - result_digits, scale_of(value))
    shifted = int(EXACT.scaleb(value, 2 * scale + 2))
    root = (math.isqrt(shifted) + 5) // 10
    return EXACT.scaleb(Decimal(root), -scale)


@scalar("exp(numeric)", "numeric_exp(numeric)")
def numeric_exponential(value: Decimal) -> Decimal:
    if not value.is_finite():
        return ZERO if value == NEGATIVE_INFINITY else value
    estimate = float(value) * _LOG10_E
    estimate = min(max(estimate, -_RESULT_SCALE_MAX), _RESULT_SCALE_MAX)
    scale = _clamp_scale(SIGNIFICANT_DIGITS_MIN - int(estimate), scale_of(value))
    if float(value) >= _RESULT_SCALE_MAX * 3:
        raise numeric_overflow()
    if float(value) <= -_RESULT_SCALE_MAX * 3:
        return round_to_scale(ZERO, scale)
    digits = int(float(value) * _LOG10_E) + scale + 2
    return _finish(round_to_scale(_precise(digits).exp(value), scale))


def _logarithm_weight(value: Decimal) -> int:
    """PostgreSQL's estimate of the decimal weight of a natural logarithm."""
    if value <= 0:
        return 0
    if Decimal("0.9") <= value <= Decimal("1.1"):
        distance = EXACT.subtract(value, ONE)
        if not distance:
            return 0
        weight, digits = leading(distance)
        return weight * _BASE_DIGITS + int(math.log10(digits[0]))
    weight, digits = leading(value)
    number, exponent = float(digits[0]), weight * _BASE_DIGITS
    if _digit_count(value) > 1:
        number = number * 10000 + digits[1]
        exponent -= _BASE_DIGITS
    return int(math.log10(abs(math.log(number) + exponent * _LN_10)))


def _check_logarithm(value: Decimal) -> None:
    if value < 0:
        raise SqlError("2201E", "cannot take logarithm of a negative number")
    if not value:
        raise SqlError("2201E", "cannot take logarithm of zero")


@scalar("ln(numeric)", "numeric_ln(numeric)")
def numeric_natural_logarithm(value: Decimal) -> Decimal:
    if value.is_nan():
        return value
    _check_logarithm(value)
    if value.is_infinite():
        return value
    scale = _clamp_scale(SIGNIFICANT_DIGITS_MIN - _logarithm_weight(value), scale_of(value))
    return _finish(round_to_scale(_precise(scale + 12).ln(value), scale))


@scalar("log(numeric,numeric)", "numeric_log(numeric,numeric)")
def numeric_logarithm(base: Decimal, value: Decimal) -> Decimal:
    if base.is_nan() or value.is_nan():
        return NAN
    if NEGATIVE_INFINITY in (base, value):
        raise SqlError("2201E", "cannot take logarithm of a negative number")
    _check_logarithm(base)
    _check_logarithm(value)
    if base.is_infinite():
        return NAN if value.is_infinite() else ZERO
    if value.is_infinite():
        return INFINITY
    weight = _logarithm_weight(value) - _logarithm_weight(base)
    scale = _clamp_scale(SIGNIFICANT_DIGITS_MIN - weight, scale_of(base), scale_of(value))
    context = _precise(scale + 30)
    divisor = context.ln(base)
    if not divisor:
        raise division_by_zero()
    return _finish(round_to_scale(context.divide(context.ln(value), divisor), scale))


@scalar("log(numeric)", "log10(numeric)")
def numeric_logarithm_10(value: Decimal) -> Decimal:
    return numeric_logarithm(Decimal(10), value)


@scalar("numeric_power(numeric,numeric)", "power(numeric,numeric)", "pow(numeric,numeric)")
def numeric_power(base: Decimal, exponent: Decimal) -> Decimal:
    if not (base.is_finite() and exponent.is_finite()):
        return _power_special(base, exponent)
    if not base and exponent < 0:
        raise SqlError("2201F", "zero raised to a negative power is undefined")
    is_whole = exponent == exponent.to_integral_value()
    if base < 0 and not is_whole:
        raise SqlError("2201F", "a negative number raised to a non-integer power yields a complex result")
    if is_whole and -(2**31) <= exponent < 2**31:
        return _whole_power(base, int(exponent), scale_of(exponent))
    if not base:
        return round_to_scale(ZERO, SIGNIFICANT_DIGITS_MIN)
    return _real_power(base, exponent, is_whole)


def _power_special(base: Decimal, exponent: Decimal) -> Decimal:
    if base.is_nan():
        return ONE if exponent == 0 else NAN
    if exponent.is_nan():
        return ONE if base == 1 else NAN
    if base == 0 and exponent < 0:
        raise SqlError("2201F", "zero raised to a negative power is undefined")
    if base < 0 and exponent.is_finite() and exponent != exponent.to_integral_value():
        raise SqlError("2201F", "a negative number raised to a non-integer power yields a complex result")
    if base == 1 or exponent == 0:
        return ONE
    if base.is_infinite() and exponent.is_finite():
        if exponent < 0:
            return ZERO
        return NEGATIVE_INFINITY if base < 0 and int(exponent) % 2 else INFINITY
    if base == 0:
        return ZERO
    magnitude = abs(base)
    if magnitude == 1:
        return ONE
    return INFINITY if (magnitude > 1) == (exponent > 0) else ZERO


def _whole_power(base: Decimal, exponent: int, exponent_scale: int) -> Decimal:
    estimate = 0.0
    if base:
        weight, digits = leading(base)
        count = min(_digit_count(base), 4)
        mantissa = float(digits[0])
        for digit in digits[1:count]:
            mantissa = mantissa * 10000 + digit
        estimate = exponent * (math.log10(mantissa) + (weight - count + 1) * _BASE_DIGITS)
    if estimate > INTEGER_DIGITS_MAX:
        raise numeric_overflow()
    if estimate + 1 < -DISPLAY_SCALE_MAX:
        return round_to_scale(ZERO, DISPLAY_SCALE_MAX)
    scale = _clamp_scale(SIGNIFICANT_DIGITS_MIN - int(estimate), scale_of(base), exponent_scale)
    if exponent == 0:
        return round_to_scale(ONE, scale)
    if exponent == -1:
        return _finish(quotient(ONE, base, scale))
    context = _precise(max(int(estimate), 0) + scale + 20)
    return _finish(round_to_scale(context.power(base, Decimal(exponent)), scale))


def _real_power(base: Decimal, exponent: Decimal, is_whole: bool) -> Decimal:
    magnitude = base.copy_abs()
    estimate = float(EXACT.multiply(_precise(20).ln(magnitude), exponent))
    if abs(estimate) > _RESULT_SCALE_MAX * 3.01:
        if estimate > 0:
            raise numeric_overflow()
        return round_to_scale(ZERO, DISPLAY_SCALE_MAX)
    decimal_weight = estimate * _LOG10_E
    scale = _clamp_scale(SIGNIFICANT_DIGITS_MIN - int(decimal_weight), scale_of(base), scale_of(exponent))
    context = _precise(int(abs(decimal_weight)) + scale + 20)
    result = context.exp(context.multiply(context.ln(magnitude), exponent))
    if base < 0 and is_whole and EXACT.remainder(exponent, Decimal(2)):
        result = result.copy_negate()
    return _finish(round_to_scale(result, scale))


@scalar("width_bucket(numeric,numeric,numeric,int4)")
def numeric_width_bucket(operand: Decimal, low: Decimal, high: Decimal, count: int) -> int:
    if count <= 0:
        raise SqlError("2201G", "count must be greater than zero")
    if operand.is_nan() or low.is_nan() or high.is_nan():
        raise SqlError("2201G", "operand, lower bound, and upper bound cannot be NaN")
    if low.is_infinite() or high.is_infinite():
        raise SqlError("2201G", "lower and upper bounds must be finite")
    if low == high:
        raise SqlError("2201G", "lower bound cannot equal upper bound")
    if low < high:
        if operand < low:
            return 0
        if operand >= high:
            return _bucket_checked(count + 1)
        distance, width = EXACT.subtract(operand, low), EXACT.subtract(high, low)
    else:
        if operand > low:
            return 0
        if operand <= high:
            return _bucket_checked(count + 1)
        distance, width = EXACT.subtract(low, operand), EXACT.subtract(low, high)
    return int(EXACT.divide_int(EXACT.multiply(distance, Decimal(count)), width)) + 1


def _bucket_checked(bucket: int) -> int:
    if bucket >= 2**31:
        raise SqlError("22003", "integer out of range")
    return bucket
