"""The longest time without a commit, by the fault that caused it.

A gap is the time between two acknowledged commits, one after the other, anywhere in the cluster. It belongs to a strike if it ends
after the strike began, and begins after, or at most `BEFORE_US` before, that. `during` begins before the healing, `after` behind it.
For a fault that silences its victim, what the victim's gateway acknowledges until the healing does not count: commits of the
surviving nodes are what the gap is in.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from tests.cluster.chaos.nemesis import Strike

BEFORE_US = 100_000
_MARGIN_US = 2_000_000


@dataclass(frozen=True)
class Gap:
    """Longest gaps of one strike, in ms."""

    strike: Strike
    during_ms: float
    after_ms: float


def measure(commits: Sequence[tuple[int, str]], strikes: Sequence[Strike], end_us: int) -> list[Gap]:
    """For each strike.

    Args:
        commits: (time, node), in order of time.
        strikes: in order of time.
        end_us: when clients were told to stop.
    """
    times = [time_us for time_us, _ in commits]
    found = []
    for place, strike in enumerate(strikes):
        next_us = strikes[place + 1].began_us if place + 1 < len(strikes) else end_us
        first = bisect_left(times, strike.began_us - _MARGIN_US)
        last = bisect_right(times, next_us + 30_000_000)
        counted = [
            time_us
            for time_us, node in commits[first:last]
            if not (strike.fault.silences and node == strike.victim and strike.began_us <= time_us < strike.healed_us)
        ]
        during = after = 0
        for one, other in zip(counted, counted[1:], strict=False):
            if other <= strike.began_us or one < strike.began_us - BEFORE_US:
                continue
            if one >= next_us or (other > next_us and next_us - one <= BEFORE_US):
                break
            if one < strike.healed_us:
                during = max(during, other - one)
            else:
                after = max(after, other - one)
        found.append(Gap(strike, during / 1000, after / 1000))
    return found


def table(gaps: Sequence[Gap]) -> list[str]:
    """For people: a line for each kind of fault."""
    lines = [
        f"{'fault':<20} {'strikes':>7}  {'during: worst':>13} {'median':>7}  {'after: worst':>12} {'median':>7}   ms"
    ]
    kinds: dict[str, list[Gap]] = {}
    for gap in gaps:
        kinds.setdefault(gap.strike.fault.name, []).append(gap)
    for name, of_kind in sorted(kinds.items()):
        during = sorted(gap.during_ms for gap in of_kind)
        after = sorted(gap.after_ms for gap in of_kind)
        middle = len(of_kind) // 2
        lines.append(
            f"{name:<20} {len(of_kind):>7}  {during[-1]:>13.0f} {during[middle]:>7.0f}  {after[-1]:>12.0f} {after[middle]:>7.0f}"
        )
    return lines
