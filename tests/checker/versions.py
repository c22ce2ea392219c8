"""The versions of one key in their order, as far as it is known: what lists and registers have in common.

`KeyVersions` is what the recency checks need: versions numbered 0 (nothing), 1, 2, …; who wrote which, who saw which.
`lost_updates` needs even less: two committed transactions that saw the same version and both replaced it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable
from typing import NamedTuple

from tests.checker.history import Key
from tests.checker.report import AnomalyKind, Findings

_NAMES_SHOWN = 5


class KeyVersions(NamedTuple):
    """A key whose versions are totally ordered.

    Attributes:
        key: the key.
        reads: (transaction, number of the version it saw), of those who count.
        writes: (transaction, number of the version it made), of those who count.
        unseen: number of the first version that nobody has read, though committed transactions wrote some; they are numbered
            from here on.
    """

    key: Key
    reads: list[tuple[int, int]]
    writes: list[tuple[int, int]]
    unseen: int


def lost_updates(key: Key, saw: Iterable[tuple[int, Hashable]], wrote: Iterable[int], findings: Findings) -> None:
    """P4: of two transactions that replaced the same version, the second has overwritten what it had not seen.

    Args:
        key: the key.
        saw: (transaction, the version that it saw before it wrote).
        wrote: those who wrote the key. Both only of those who count.
        findings: where to note it.
    """
    writers = set(wrote)
    replaced: dict[Hashable, list[int]] = defaultdict(list)
    for index, version in saw:
        if index in writers:
            replaced[version].append(index)
    for version, indices in replaced.items():
        if len(indices) > 1:
            names = " and ".join(f"T{index}" for index in indices[:_NAMES_SHOWN])
            more = f" and {len(indices) - _NAMES_SHOWN} more" if len(indices) > _NAMES_SHOWN else ""
            shown = "nothing" if version is None else version
            what = f"{names}{more} read the same version of {key} ({shown}), changed it, and committed"
            findings.add(AnomalyKind.LOST_UPDATE, what, indices, [key])
