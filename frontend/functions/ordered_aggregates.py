"""Ordered-set and hypothetical-set aggregates (PostgreSQL's manual, 9.21, tables 9.61 and 9.62).

How the executor drives them (see `registry`):

    ordered-set (percentile_*, mode)   rows sorted by WITHIN GROUP's ORDER BY; add(value) for each; result(*direct)
    hypothetical-set (rank …)          rows sorted; add(comparison, starts_peers) for each, where comparison is -1, 0 or 1
                                       as the row sorts before, with or after the hypothetical row, and starts_peers says
                                       that the row differs from the one before it; result()
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, floor, isnan
from typing import Any

from frontend.errors import SqlError
from frontend.functions.registry import SCALARS, aggregate
from frontend.types.registry import sort_key


class _Sorted:
    def __init__(self) -> None:
        self.values: list[Any] = []

    def add(self, value: Any) -> None:
        self.values.append(value)


def _checked_fraction(fraction: float) -> float:
    if isnan(fraction) or not 0 <= fraction <= 1:
        text = "NaN" if isnan(fraction) else f"{fraction:g}"
        raise SqlError("22003", f"percentile value {text} is not between 0 and 1")
    return fraction


def _results(values: list[Any], fractions: Any, compute: Callable[[float], Any]) -> Any:
    """The percentile, or the array of them; a single fraction is checked even where there are no rows."""
    if fractions is None:
        return None
    if not values:
        if not isinstance(fractions, list):
            _checked_fraction(fractions)
        return None
    return _map_fractions(fractions, compute)


def _map_fractions(fractions: Any, compute: Callable[[float], Any]) -> Any:
    """compute over a (nested) array of fractions; NULL elements stay NULL."""
    if isinstance(fractions, list):
        return [_map_fractions(element, compute) for element in fractions]
    return None if fractions is None else compute(fractions)


@aggregate("percentile_disc(float8,anyelement)", "percentile_disc(_float8,anyelement)")
class DiscretePercentile(_Sorted):
    """The first value whose position equals or exceeds the fraction."""

    def _at(self, fraction: float) -> Any:
        row = ceil(_checked_fraction(fraction) * len(self.values))
        return self.values[max(row, 1) - 1]

    def result(self, fractions: Any) -> Any:
        return _results(self.values, fractions, self._at)


class _Continuous(_Sorted):
    def _between(self, low: Any, high: Any, share: float) -> Any:
        raise NotImplementedError

    def _at(self, fraction: float) -> Any:
        position = _checked_fraction(fraction) * (len(self.values) - 1)
        first, second = floor(position), ceil(position)
        if first == second:
            return self.values[first]
        return self._between(self.values[first], self.values[second], position - first)

    def result(self, fractions: Any) -> Any:
        return _results(self.values, fractions, self._at)


@aggregate("percentile_cont(float8,float8)", "percentile_cont(_float8,float8)")
class ContinuousPercentile(_Continuous):
    """Linear interpolation between the neighbours."""

    def _between(self, low: float, high: float, share: float) -> float:
        return low + share * (high - low)


@aggregate("percentile_cont(float8,interval)", "percentile_cont(_float8,interval)")
class ContinuousInterval(_Continuous):
    """Linear interpolation between intervals."""

    def _between(self, low: Any, high: Any, share: float) -> Any:
        difference = SCALARS["interval_mi(interval,interval)"].call(high, low)
        part = SCALARS["interval_mul(interval,float8)"].call(difference, share)
        return SCALARS["interval_pl(interval,interval)"].call(part, low)


@aggregate("mode(anyelement)", typed=True)
class Mode:
    """The most frequent value; the first of them where several are."""

    def __init__(self, *, argument_types: tuple[int, ...], result_type: int) -> None:
        self.key = sort_key(argument_types[0])
        self.previous: Any = None
        self.run_value: Any = None
        self.run_length = 0
        self.best_value: Any = None
        self.best_length = 0

    def add(self, value: Any) -> None:
        key = value if self.key is None else self.key(value)
        if self.run_length and key == self.previous:
            self.run_length += 1
        else:
            self.previous, self.run_value, self.run_length = key, value, 1
        if self.run_length > self.best_length:
            self.best_value, self.best_length = self.run_value, self.run_length

    def result(self) -> Any:
        return self.best_value


class _Hypothetical:
    def __init__(self) -> None:
        self.count = 0
        self.before = 0
        self.not_after = 0
        self.groups_before = 0

    def add(self, comparison: int, starts_peers: bool) -> None:
        self.count += 1
        if comparison < 0:
            self.before += 1
            self.groups_before += starts_peers
        if comparison <= 0:
            self.not_after += 1


@aggregate("rank(any)", skips_null=False)
class HypotheticalRank(_Hypothetical):
    """rank(…) WITHIN GROUP."""

    def result(self) -> int:
        return self.before + 1


@aggregate("dense_rank(any)", skips_null=False)
class HypotheticalDenseRank(_Hypothetical):
    """dense_rank(…) WITHIN GROUP."""

    def result(self) -> int:
        return self.groups_before + 1


@aggregate("percent_rank(any)", skips_null=False)
class HypotheticalPercentRank(_Hypothetical):
    """percent_rank(…) WITHIN GROUP."""

    def result(self) -> float:
        return self.before / self.count if self.count else 0.0


@aggregate("cume_dist(any)", skips_null=False)
class HypotheticalCumulativeDistribution(_Hypothetical):
    """cume_dist(…) WITHIN GROUP."""

    def result(self) -> float:
        return (self.not_after + 1) / (self.count + 1)
