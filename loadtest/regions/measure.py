"""What the measurements of a cluster have in common: the settings that are compared, load beside, percentiles, tables."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from loadtest.compare import Target
from loadtest.postgresql import client
from loadtest.regions.cluster import ONE_WAY_MS, Regions

ROWS_OF_LOAD = 1000
TABLES = (
    "CREATE TABLE counters (id int PRIMARY KEY, n bigint NOT NULL)",
    "INSERT INTO counters VALUES (1, 0), (2, 0)",
    "CREATE TABLE load (id int PRIMARY KEY, n bigint NOT NULL)",
    f"INSERT INTO load SELECT i, 0 FROM generate_series(1, {ROWS_OF_LOAD}) AS i(i)",
)
_UPDATE = f"\\set id random(1, {ROWS_OF_LOAD})\nUPDATE load SET n = n + 1 WHERE id = :id;\n"


@dataclass(frozen=True)
class Row:
    """One row of the architecture's table (§4): settings, and its theory in one-way delays d between the full regions."""

    name: str
    settings: dict[str, str]
    leader_delays: int
    other_delays: int

    def theory_ms(self, node: str) -> float:
        """Of COMMIT at a node; n1 leads."""
        return ONE_WAY_MS * (self.leader_delays if node == "n1" else self.other_delays)


CLOCKS = {"clock_error_us": "500", "closed_ms": "2"}
"""Nodes on one machine share a clock: a bound of half a millisecond is generous."""

ROWS = {
    "plain": Row("plain Raft", {}, 2, 4),
    "fast": Row("fast commit, lead 0", {"fast_commit": "true"}, 2, 2),
    "clock": Row(
        "fast commit, lead 2d, clock",
        {"fast_commit": "true", "commit_lead_ms": f"{2 * ONE_WAY_MS:g}", **CLOCKS},
        2,
        3,
    ),
}


@dataclass(frozen=True)
class Times:
    """Percentiles of a list of times, in ms."""

    count: int
    p50_ms: float
    p99_ms: float
    highest_ms: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Times:
        """At least one is needed."""
        ordered = sorted(seconds)
        return cls(
            len(ordered),
            round(1000 * ordered[len(ordered) // 2], 2),
            round(1000 * ordered[len(ordered) * 99 // 100], 2),
            round(1000 * ordered[-1], 2),
        )


def make_tables(cluster: Regions) -> None:
    """What the load and the counters need."""
    with cluster.connect("n1") as connection:
        for statement in TABLES:
            connection.execute(statement)


@contextmanager
def steady_load(target: Target, rate: int, clients: int) -> Iterator[None]:
    """pgbench updates random rows of `load`, `rate` times a second, while the block runs. Raises RuntimeError if it failed."""
    with tempfile.TemporaryDirectory(prefix="boreal-load-") as directory:
        script = Path(directory) / "update.sql"
        script.write_text(_UPDATE)
        process = subprocess.Popen(
            [
                *(client("pgbench"), *target.options, "-n", "-f", str(script), "-M", "prepared", "-R", str(rate)),
                *("-c", str(clients), "-j", "1", "-T", "3600", "--max-tries=20", "postgres"),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield
            if process.poll() is not None:
                output, _ = process.communicate()
                raise RuntimeError(f"the load at {target.name} has ended:\n{output}")
        finally:
            process.kill()
            process.communicate()


def print_table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Columns as wide as they need."""
    shown = [
        list(headings),
        *([f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows),
    ]
    widths = [max(len(row[column]) for row in shown) for column in range(len(headings))]
    for row in shown:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip(), flush=True)
