"""Mathematical functions of double precision numbers: rounding, roots, powers, logarithms, trigonometry, random numbers.

Results are checked as PostgreSQL checks them: a finite argument that gives an infinite result is an overflow (22003), one
that gives zero where it should not is an underflow, and arguments outside a function's domain are errors of their own. The
trigonometric functions in degrees are exact at the angles where the result is.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Sequence
from typing import Any

from frontend.context import Context
from frontend.errors import SqlError
from frontend.functions.numbers import float_overflow, float_underflow
from frontend.functions.registry import scalar
from frontend.types.floats import format_float8
from frontend.types.registry import sort_key


def _out_of_domain() -> SqlError:
    return SqlError("22003", "input is out of range")


@scalar("ceil(float8)", "ceiling(float8)")
def ceiling(value: float) -> float:
    return value if math.isinf(value) or value != value else math.copysign(float(math.ceil(value)), value)


@scalar("floor(float8)")
def floor(value: float) -> float:
    return value if math.isinf(value) or value != value else math.copysign(float(math.floor(value)), value)


@scalar("round(float8)")
def round_half_even(value: float) -> float:
    return value if math.isinf(value) or value != value else math.copysign(float(round(value)), value)


@scalar("trunc(float8)")
def truncate(value: float) -> float:
    return value if math.isinf(value) or value != value else math.copysign(float(math.trunc(value)), value)


@scalar("sign(float8)")
def sign(value: float) -> float:
    return 1.0 if value > 0 else -1.0 if value < 0 else 0.0


@scalar("dsqrt(float8)", "sqrt(float8)")
def square_root(value: float) -> float:
    if value < 0:
        raise SqlError("2201F", "cannot take square root of a negative number")
    return math.sqrt(value)


@scalar("dcbrt(float8)", "cbrt(float8)")
def cube_root(value: float) -> float:
    return math.cbrt(value)


@scalar("dpow(float8,float8)", "power(float8,float8)", "pow(float8,float8)")
def power(base: float, exponent: float) -> float:
    if base != base:
        return 1.0 if exponent == 0 else base
    if exponent != exponent:
        return 1.0 if base == 1 else exponent
    if base == 0 and exponent < 0:
        raise SqlError("2201F", "zero raised to a negative power is undefined")
    if base < 0 and math.floor(exponent) != exponent if not math.isinf(exponent) else False:
        raise SqlError("2201F", "a negative number raised to a non-integer power yields a complex result")
    try:
        result = math.pow(base, exponent)
    except OverflowError:
        raise float_overflow() from None
    if result == 0.0 and base != 0.0 and not math.isinf(base) and not math.isinf(exponent):
        raise float_underflow()
    return result


@scalar("dexp(float8)", "exp(float8)")
def exponential(value: float) -> float:
    try:
        result = math.exp(value)
    except OverflowError:
        raise float_overflow() from None
    if result == 0.0 and not math.isinf(value):
        raise float_underflow()
    return result


def _check_logarithm(value: float) -> None:
    if value == 0:
        raise SqlError("2201E", "cannot take logarithm of zero")
    if value < 0:
        raise SqlError("2201E", "cannot take logarithm of a negative number")


@scalar("dlog1(float8)", "ln(float8)")
def natural_logarithm(value: float) -> float:
    _check_logarithm(value)
    return math.log(value)


@scalar("dlog10(float8)", "log(float8)", "log10(float8)")
def logarithm_10(value: float) -> float:
    _check_logarithm(value)
    return math.log10(value)


def _bounded(function: Callable[[float], float]) -> Callable[[float], float]:
    """asin and acos: defined on [-1, 1]."""

    def bounded(value: float) -> float:
        if value != value:
            return value
        if not -1 <= value <= 1:
            raise _out_of_domain()
        return function(value)

    return bounded


def _finite(function: Callable[[float], float]) -> Callable[[float], float]:
    """Periodic functions: not defined at infinity."""

    def finite(value: float) -> float:
        if math.isinf(value):
            raise _out_of_domain()
        return function(value)

    return finite


def _cotangent(value: float) -> float:
    tangent = math.tan(value)
    return math.copysign(math.inf, tangent) if tangent == 0 else 1.0 / tangent


_BOUNDED: dict[str, Callable[[float], float]] = {"asin": math.asin, "acos": math.acos}
for _name, _function in _BOUNDED.items():
    scalar(f"{_name}(float8)")(_bounded(_function))
_PERIODIC: dict[str, Callable[[float], float]] = {
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "cot": _cotangent,
}
for _name, _function in _PERIODIC.items():
    scalar(f"{_name}(float8)")(_finite(_function))


@scalar("atan(float8)")
def arc_tangent(value: float) -> float:
    return math.atan(value)


@scalar("atan2(float8,float8)")
def arc_tangent_2(y: float, x: float) -> float:
    return math.atan2(y, x)


@scalar("sinh(float8)")
def hyperbolic_sine(value: float) -> float:
    try:
        return math.sinh(value)
    except OverflowError:
        return math.copysign(math.inf, value)


@scalar("cosh(float8)")
def hyperbolic_cosine(value: float) -> float:
    try:
        return math.cosh(value)
    except OverflowError:
        return math.inf


@scalar("tanh(float8)")
def hyperbolic_tangent(value: float) -> float:
    return math.tanh(value)


@scalar("asinh(float8)")
def inverse_hyperbolic_sine(value: float) -> float:
    return math.asinh(value)


@scalar("acosh(float8)")
def inverse_hyperbolic_cosine(value: float) -> float:
    if value < 1:
        raise _out_of_domain()
    return math.acosh(value)


@scalar("atanh(float8)")
def inverse_hyperbolic_tangent(value: float) -> float:
    if value < -1 or value > 1:
        raise _out_of_domain()
    if abs(value) == 1:
        return math.copysign(math.inf, value)
    return math.atanh(value)


@scalar("erf(float8)")
def error_function(value: float) -> float:
    return math.erf(value)


@scalar("erfc(float8)")
def complementary_error_function(value: float) -> float:
    return math.erfc(value)


# degrees: the quotients by these constants are exact at 30, 45, 60 and 90 degrees

_SIN_30, _ONE_MINUS_COS_60 = math.sin(math.radians(30)), 1 - math.cos(math.radians(60))
_ASIN_HALF, _ACOS_HALF, _ATAN_ONE = math.asin(0.5), math.acos(0.5), math.atan(1.0)
_TAN_45 = 1.0


def _sine_of_first_quadrant(degrees: float) -> float:
    """For 0 to 90 degrees."""
    if degrees <= 30:
        return math.sin(math.radians(degrees)) / _SIN_30 / 2
    return _cosine_60(90 - degrees)


def _cosine_60(degrees: float) -> float:
    return 1 - (1 - math.cos(math.radians(degrees))) / _ONE_MINUS_COS_60 / 2


def _cosine_of_first_quadrant(degrees: float) -> float:
    if degrees <= 60:
        return _cosine_60(degrees)
    return math.sin(math.radians(90 - degrees)) / _SIN_30 / 2


_TAN_SCALE = _sine_of_first_quadrant(45) / _cosine_of_first_quadrant(45)
_COT_SCALE = _cosine_of_first_quadrant(45) / _sine_of_first_quadrant(45)


def sine_degrees(value: float) -> float:
    angle, factor = math.fmod(value, 360.0), 1.0
    if angle < 0:
        angle, factor = -angle, -factor
    if angle > 180:
        angle, factor = 360 - angle, -factor
    if angle > 90:
        angle = 180 - angle
    return factor * _sine_of_first_quadrant(angle)


def cosine_degrees(value: float) -> float:
    angle, factor = abs(math.fmod(value, 360.0)), 1.0
    if angle > 180:
        angle = 360 - angle
    if angle > 90:
        angle, factor = 180 - angle, -factor
    return factor * _cosine_of_first_quadrant(angle)


def _reduce_tangent(value: float) -> tuple[float, float]:
    angle, factor = math.fmod(value, 360.0), 1.0
    if angle < 0:
        angle, factor = -angle, -factor
    if angle > 180:
        angle, factor = 360 - angle, -factor
    if angle > 90:
        angle, factor = 180 - angle, -factor
    return angle, factor


def tangent_degrees(value: float) -> float:
    angle, factor = _reduce_tangent(value)
    cosine = _cosine_of_first_quadrant(angle)
    if cosine == 0:
        return factor * math.inf
    return factor * (_sine_of_first_quadrant(angle) / cosine / _TAN_SCALE) or 0.0


def cotangent_degrees(value: float) -> float:
    angle, factor = _reduce_tangent(value)
    sine = _sine_of_first_quadrant(angle)
    if sine == 0:
        return factor * math.copysign(math.inf, sine)
    return factor * (_cosine_of_first_quadrant(angle) / sine / _COT_SCALE) or 0.0


def _asin_of_first_quadrant(value: float) -> float:
    if value <= 0.5:
        return math.asin(value) / _ASIN_HALF * 30.0
    return 90.0 - math.acos(value) / _ACOS_HALF * 60.0


def _acos_of_first_quadrant(value: float) -> float:
    if value <= 0.5:
        return 90.0 - math.asin(value) / _ASIN_HALF * 30.0
    return math.acos(value) / _ACOS_HALF * 60.0


def _asin_degrees(value: float) -> float:
    return _asin_of_first_quadrant(value) if value >= 0 else -_asin_of_first_quadrant(-value)


def _acos_degrees(value: float) -> float:
    return _acos_of_first_quadrant(value) if value >= 0 else 90.0 + _asin_of_first_quadrant(-value)


for _name, _function in (
    ("sind", sine_degrees),
    ("cosd", cosine_degrees),
    ("tand", tangent_degrees),
    ("cotd", cotangent_degrees),
):
    scalar(f"{_name}(float8)")(_finite(_function))
scalar("asind(float8)")(_bounded(_asin_degrees))
scalar("acosd(float8)")(_bounded(_acos_degrees))


@scalar("atand(float8)")
def arc_tangent_degrees(value: float) -> float:
    return math.atan(value) / _ATAN_ONE * 45.0


@scalar("atan2d(float8,float8)")
def arc_tangent_2_degrees(y: float, x: float) -> float:
    return math.atan2(y, x) / _ATAN_ONE * 45.0


_RADIANS_PER_DEGREE = 0.0174532925199432957692


@scalar("degrees(float8)")
def to_degrees(value: float) -> float:
    result = value / _RADIANS_PER_DEGREE
    if math.isinf(result) and not math.isinf(value):
        raise float_overflow()
    return result


@scalar("radians(float8)")
def to_radians(value: float) -> float:
    return value * _RADIANS_PER_DEGREE


@scalar("pi()")
def pi() -> float:
    return math.pi


# random numbers


@scalar("random()", context=True)
def random_number(context: Context) -> float:
    return context.random.random()


@scalar("random_normal(float8,float8)", context=True)
def random_normal(context: Context, mean: float, deviation: float) -> float:
    return context.random.gauss(0.0, 1.0) * deviation + mean


@scalar("setseed(float8)", context=True)
def set_seed(context: Context, seed: float) -> None:
    if not -1 <= seed <= 1:
        raise SqlError("22023", f"setseed parameter {format_float8(seed, 0)} is out of allowed range [-1,1]")
    context.random.seed(seed)


# histograms


@scalar("width_bucket(float8,float8,float8,int4)")
def float_width_bucket(operand: float, low: float, high: float, count: int) -> int:
    if count <= 0:
        raise SqlError("2201G", "count must be greater than zero")
    if operand != operand or low != low or high != high:
        raise SqlError("2201G", "operand, lower bound, and upper bound cannot be NaN")
    if math.isinf(low) or math.isinf(high):
        raise SqlError("2201G", "lower and upper bounds must be finite")
    if low == high:
        raise SqlError("2201G", "lower bound cannot equal upper bound")
    reverse = low > high
    if operand > low if reverse else operand < low:
        return 0
    if operand <= high if reverse else operand >= high:
        if count >= 2**31 - 1:
            raise SqlError("22003", "integer out of range")
        return count + 1
    distance, width = (low - operand, low - high) if reverse else (operand - low, high - low)
    return min(int(count * (distance / width)), count - 1) + 1


@scalar("width_bucket(anycompatible,anycompatiblearray)", typed=True)
def array_width_bucket(
    operand: Any, thresholds: Sequence[Any], *, argument_types: tuple[int, ...], result_type: int
) -> int:
    if thresholds and isinstance(thresholds[0], list):
        raise SqlError("2202E", "thresholds must be one-dimensional array")
    if any(threshold is None for threshold in thresholds):
        raise SqlError("22004", "thresholds array must not contain NULLs")
    key = sort_key(argument_types[0])
    if key is None:
        return bisect.bisect_right(thresholds, operand)
    return bisect.bisect_right([key(threshold) for threshold in thresholds], key(operand))
