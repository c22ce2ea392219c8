"""COMMIT across regions, beside its theory.

One session at a time changes a row; what is timed is COMMIT alone. Also timed, because it is what the settings trade against each
other: the first read of the transaction, which is strong.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from loadtest.regions.cluster import WAN, Regions
from loadtest.regions.measure import ROWS, Times, make_tables, print_table

WARM_UP = 20


@dataclass(frozen=True)
class Cell:
    """One setting, one region."""

    setting: str
    node: str
    theory_ms: float
    commit: Times
    read: Times

    @property
    def above_ms(self) -> float:
        """p50 of COMMIT above its theory."""
        return self.commit.p50_ms - self.theory_ms


def measure(cluster: Regions, node: str, number: int, count: int) -> tuple[Times, Times]:
    """(COMMIT, first read) of `count` transactions at a node that change the counter `number`."""
    commits, reads = [], []
    with cluster.connect(node) as connection:
        for _ in range(count + WARM_UP):
            connection.execute("BEGIN")
            began = time.perf_counter()
            connection.execute("SELECT n FROM counters WHERE id = %s", (number,)).fetchone()
            reads.append(time.perf_counter() - began)
            connection.execute("UPDATE counters SET n = n + 1 WHERE id = %s", (number,))
            began = time.perf_counter()
            connection.execute("COMMIT")
            commits.append(time.perf_counter() - began)
    return Times.of(commits[WARM_UP:]), Times.of(reads[WARM_UP:])


def run(settings: Sequence[str], count: int) -> list[dict[str, object]]:
    """Measure, print, and return the cells."""
    print(f"COMMIT, {count} each, round trips {WAN} (n1 leads, n3 is a witness), in ms")
    cells = []
    for key in settings:
        row = ROWS[key]
        with Regions(row.settings) as cluster:
            make_tables(cluster)
            for number, node in enumerate(("n1", "n2"), 1):
                commit, read = measure(cluster, node, number, count)
                cells.append(Cell(row.name, node, row.theory_ms(node), commit, read))
    print_table(
        ("setting", "region", "theory", "p50", "p99", "above", "first read p50", "p99"),
        [
            (
                cell.setting,
                "leader's" if cell.node == "n1" else "other",
                f"{cell.theory_ms:g}",
                *(cell.commit.p50_ms, cell.commit.p99_ms, cell.above_ms, cell.read.p50_ms, cell.read.p99_ms),
            )
            for cell in cells
        ],
    )
    return [{**asdict(cell), "above_ms": cell.above_ms} for cell in cells]
