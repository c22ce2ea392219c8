"""Statistics aggregates (PostgreSQL's manual, 9.21): variance and deviation, covariance, correlation, regression.

Integers and numerics accumulate N, ΣX and ΣX² exactly and divide once, with PostgreSQL's scale. Floats use the
Youngs–Cramer update (Youngs and Cramer, "Some results relevant to choice of sum and sum-of-product algorithms",
Technometrics 13, 1971), which PostgreSQL uses too, so that the last digits agree.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from math import isinf, isnan, nan, sqrt
from typing import Any

from frontend.errors import SqlError
from frontend.functions.numeric_division import EXACT, add_exactly, variance
from frontend.functions.registry import Accumulator, aggregate


def _overflow() -> SqlError:
    return SqlError("22003", "value out of range: overflow")


# ── exact ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class IntegerSpread:
    """variance and stddev of integers."""

    def __init__(self, sample: bool, root: bool) -> None:
        self.sample, self.root = sample, root
        self.count = self.total = self.squares = 0

    def add(self, value: int) -> None:
        self.count += 1
        self.total += value
        self.squares += value * value

    def remove(self, value: int) -> None:
        self.count -= 1
        self.total -= value
        self.squares -= value * value

    def result(self) -> Decimal | None:
        return variance(self.count, Decimal(self.total), Decimal(self.squares), sample=self.sample, root=self.root)


class NumericSpread:
    """variance and stddev of numerics."""

    def __init__(self, sample: bool, root: bool) -> None:
        self.sample, self.root = sample, root
        self.count = 0
        self.total = self.squares = Decimal(0)

    def add(self, value: Decimal) -> None:
        self.count += 1
        self.total = add_exactly(self.total, value)
        self.squares = add_exactly(self.squares, EXACT.multiply(value, value))

    def result(self) -> Decimal | None:
        return variance(self.count, self.total, self.squares, sample=self.sample, root=self.root)


# ── floating point ──────────────────────────────────────────────────────────────────────────────────────────────────


class _FloatMoments:
    """N, ΣX and Σ(X-mean)²."""

    def __init__(self) -> None:
        self.count = 0.0
        self.total = 0.0
        self.spread = 0.0

    def add(self, value: float) -> None:
        self.count += 1.0
        previous = self.total
        self.total += value
        if self.count > 1.0:
            step = value * self.count - self.total
            self.spread += step * step / (self.count * (self.count - 1.0))
            if isinf(self.total) or isinf(self.spread):
                if not isinf(previous) and not isinf(value):
                    raise _overflow()
                self.spread = nan
        elif isnan(value) or isinf(value):
            self.spread = nan


@aggregate("avg(float4)", "avg(float8)")
class AverageFloat(_FloatMoments):
    """avg of floats → float8."""

    def result(self) -> float | None:
        return self.total / self.count if self.count else None


class FloatSpread(_FloatMoments):
    """variance and stddev of floats."""

    def __init__(self, sample: bool, root: bool) -> None:
        super().__init__()
        self.sample, self.root = sample, root

    def result(self) -> float | None:
        divisor = self.count - 1.0 if self.sample else self.count
        if divisor <= 0:
            return None
        value = self.spread / divisor
        return sqrt(value) if self.root else value


def _maker(kind: Callable[[bool, bool], Accumulator], sample: bool, root: bool) -> Callable[[], Accumulator]:
    return lambda: kind(sample, root)


_SPREADS = {  # name → sample (not population), root (deviation, not variance)
    "variance": (True, False),
    "var_samp": (True, False),
    "var_pop": (False, False),
    "stddev": (True, True),
    "stddev_samp": (True, True),
    "stddev_pop": (False, True),
}
for _name, (_sample, _root) in _SPREADS.items():
    aggregate(f"{_name}(int2)", f"{_name}(int4)", f"{_name}(int8)")(_maker(IntegerSpread, _sample, _root))
    aggregate(f"{_name}(numeric)")(_maker(NumericSpread, _sample, _root))
    aggregate(f"{_name}(float4)", f"{_name}(float8)")(_maker(FloatSpread, _sample, _root))


# ── pairs ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class Pairs:
    """N, ΣX, ΣY and the centred sums of X², Y² and XY, over pairs given as (Y, X) like SQL's regression functions."""

    def __init__(self, finish: Callable[[Pairs], Any]) -> None:
        self.finish = finish
        self.count = 0.0
        self.x = self.y = self.xx = self.yy = self.xy = 0.0

    def add(self, y: float, x: float) -> None:
        self.count += 1.0
        previous_x, previous_y = self.x, self.y
        self.x += x
        self.y += y
        if self.count > 1.0:
            step_x = x * self.count - self.x
            step_y = y * self.count - self.y
            scale = 1.0 / (self.count * (self.count - 1.0))
            self.xx += step_x * step_x * scale
            self.yy += step_y * step_y * scale
            self.xy += step_x * step_y * scale
            if isinf(self.x) or isinf(self.xx) or isinf(self.y) or isinf(self.yy) or isinf(self.xy):
                self._check_infinite(previous_x, x, previous_y, y)
        else:
            if isnan(x) or isinf(x):
                self.xx = self.xy = nan
            if isnan(y) or isinf(y):
                self.yy = self.xy = nan

    def _check_infinite(self, previous_x: float, x: float, previous_y: float, y: float) -> None:
        finite_x = not isinf(previous_x) and not isinf(x)
        finite_y = not isinf(previous_y) and not isinf(y)
        if ((isinf(self.x) or isinf(self.xx)) and finite_x) or ((isinf(self.y) or isinf(self.yy)) and finite_y):
            raise _overflow()
        if isinf(self.xy) and finite_x and finite_y:
            raise _overflow()
        if isinf(self.xx):
            self.xx = nan
        if isinf(self.yy):
            self.yy = nan
        if isinf(self.xy):
            self.xy = nan

    def result(self) -> Any:
        return self.finish(self)


def _correlation(pairs: Pairs) -> float | None:
    if pairs.xx == 0 or pairs.yy == 0:
        return None
    return pairs.xy / sqrt(pairs.xx * pairs.yy)


def _determination(pairs: Pairs) -> float | None:
    if pairs.xx == 0:
        return None
    return 1.0 if pairs.yy == 0 else (pairs.xy * pairs.xy) / (pairs.xx * pairs.yy)


_PAIR_RESULTS: dict[str, tuple[int, Callable[[Pairs], float | None]]] = {  # name → fewest pairs, result
    "regr_sxx": (1, lambda pairs: pairs.xx),
    "regr_syy": (1, lambda pairs: pairs.yy),
    "regr_sxy": (1, lambda pairs: pairs.xy),
    "regr_avgx": (1, lambda pairs: pairs.x / pairs.count),
    "regr_avgy": (1, lambda pairs: pairs.y / pairs.count),
    "covar_pop": (1, lambda pairs: pairs.xy / pairs.count),
    "covar_samp": (2, lambda pairs: pairs.xy / (pairs.count - 1.0)),
    "corr": (1, _correlation),
    "regr_r2": (1, _determination),
    "regr_slope": (1, lambda pairs: None if pairs.xx == 0 else pairs.xy / pairs.xx),
    "regr_intercept": (
        1,
        lambda pairs: None if pairs.xx == 0 else (pairs.y - pairs.x * pairs.xy / pairs.xx) / pairs.count,
    ),
}


def _pair_maker(fewest: int, finish: Callable[[Pairs], float | None]) -> Callable[[], Accumulator]:
    return lambda: Pairs(lambda pairs: None if pairs.count < fewest else finish(pairs))


for _name, (_fewest, _finish) in _PAIR_RESULTS.items():
    aggregate(f"{_name}(float8,float8)")(_pair_maker(_fewest, _finish))


@aggregate("regr_count(float8,float8)")
class CountPairs:
    """regr_count."""

    def __init__(self) -> None:
        self.count = 0

    def add(self, y: float, x: float) -> None:
        self.count += 1

    def remove(self, y: float, x: float) -> None:
        self.count -= 1

    def result(self) -> int:
        return self.count
