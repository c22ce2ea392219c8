"""Exact numeric arithmetic for aggregates: sums without rounding, quotients and roots with PostgreSQL's result scale.

PostgreSQL works in base 10,000 and chooses the scale of a quotient so that it has at least 16 significant digits: the
estimate is made from the position and value of the first base-10,000 digit of both operands (`quotient_scale`). avg,
variance and stddev show that scale, so they have to choose it the same way.
"""

from __future__ import annotations

from decimal import MAX_EMAX, MIN_EMIN, ROUND_HALF_UP, Context, Decimal
from math import isqrt

SIGNIFICANT_DIGITS_MIN = 16
DISPLAY_SCALE_MAX = 1000
BASE_DIGITS = 4  # decimal digits in one of PostgreSQL's base-10,000 digits

# PostgreSQL's numeric has at most 131,072 digits before the point and 16,383 after it, so this precision never rounds.
EXACT = Context(prec=600_000, rounding=ROUND_HALF_UP, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=[])
add_exactly = EXACT.add
NAN = Decimal("NaN")


def scale_of(number: Decimal) -> int:
    """Digits after the point that the number shows."""
    exponent = number.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _leading_digit(number: Decimal) -> tuple[int, int]:
    """Weight (power of 10,000) and value of the first non-zero base-10,000 digit; (0, 0) for zero."""
    if not number:
        return 0, 0
    adjusted = number.adjusted()
    weight = adjusted // BASE_DIGITS
    count = adjusted - BASE_DIGITS * weight + 1
    digits = number.as_tuple().digits[:count]
    value = 0
    for digit in digits:
        value = value * 10 + digit
    return weight, value * 10 ** (count - len(digits))


def quotient_scale(dividend: Decimal, divisor: Decimal) -> int:
    """The display scale that PostgreSQL gives dividend / divisor."""
    dividend_weight, dividend_digit = _leading_digit(dividend)
    divisor_weight, divisor_digit = _leading_digit(divisor)
    weight = dividend_weight - divisor_weight
    if dividend_digit <= divisor_digit:
        weight -= 1
    scale = SIGNIFICANT_DIGITS_MIN - weight * BASE_DIGITS
    return min(max(scale, scale_of(dividend), scale_of(divisor), 0), DISPLAY_SCALE_MAX)


def _as_integer(number: Decimal, scale: int) -> int:
    return int(EXACT.scaleb(number, scale))


def from_scaled_integer(value: int, scale: int) -> Decimal:
    """value / 10**scale with exactly that scale."""
    return EXACT.scaleb(Decimal(value), -scale)


def divide(dividend: Decimal, divisor: Decimal, scale: int) -> Decimal:
    """The finite quotient rounded half away from zero to `scale` digits; the divisor is positive."""
    common = max(scale_of(dividend), scale_of(divisor))
    numerator = _as_integer(dividend, common) * 10**scale
    denominator = _as_integer(divisor, common)
    quotient, remainder = divmod(abs(numerator), denominator)
    if 2 * remainder >= denominator:
        quotient += 1
    return from_scaled_integer(-quotient if numerator < 0 else quotient, scale)


def average(total: Decimal, count: int) -> Decimal:
    """total / count as PostgreSQL's avg gives it."""
    if not total.is_finite():
        return total
    divisor = Decimal(count)
    return divide(total, divisor, quotient_scale(total, divisor))


def average_of_integers(total: int, count: int) -> Decimal:
    """avg over integers."""
    return average(Decimal(total), count)


def square_root(number: Decimal, scale: int) -> Decimal:
    """The root of a non-negative number, rounded half up to `scale` digits."""
    scaled = int(EXACT.scaleb(number, 2 * scale + 2))  # one more digit of the root than shown, to round by
    return from_scaled_integer((isqrt(scaled) + 5) // 10, scale)


def variance(count: int, total: Decimal, squares: Decimal, *, sample: bool, root: bool) -> Decimal | None:
    """Variance or standard deviation from N, ΣX and ΣX², with PostgreSQL's scale; None where N is too small."""
    if count <= (1 if sample else 0):
        return None
    if not total.is_finite() or not squares.is_finite():
        return NAN
    spread = EXACT.subtract(EXACT.multiply(Decimal(count), squares), EXACT.multiply(total, total))
    if spread <= 0:
        return Decimal(0)
    divisor = Decimal(count * (count - 1) if sample else count * count)
    scale = quotient_scale(spread, divisor)
    result = divide(spread, divisor, scale)
    return square_root(result, scale) if root else result
