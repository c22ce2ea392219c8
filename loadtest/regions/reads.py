"""Strong reads in both regions under a write load, on each read path, and whether any of them was stale.

Beside the load, a writer in each region counts one row up, a transaction each; what was acknowledged is known here, in this
process, before the reader begins its next read. A read that returns less than what was acknowledged before it began is stale.
The reader's session writes nothing: it sees its own commits in any case.

With `skewed_ms` the same is done with a clock at the reader's node that is wrong by more than the bound it was told, without a
lead of timestamps: there reads by the clock must be stale, and the check must see it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass

import psycopg

from loadtest.regions.cluster import WAN, Regions
from loadtest.regions.measure import CLOCKS, ROWS, Times, make_tables, print_table, steady_load

NODES = ("n1", "n2")
RATES = {"n1": 60, "n2": 60}
CLIENTS = 4
SKEWED = "plain by clock"

SETTINGS = {
    "plain": ROWS["plain"].settings,
    "plain by clock": {**CLOCKS, "read_path": "clock"},
    "fast": ROWS["fast"].settings,
    "clock": ROWS["clock"].settings,
}


@dataclass(frozen=True)
class Cell:
    """Reads at one node."""

    setting: str
    node: str
    path: str
    read: Times
    stale: int


class Writer:
    """Counts its row up, at its node, until it is stopped.

    Attributes:
        acknowledged: the last value that was committed and acknowledged.
        error: what ended it early.
    """

    def __init__(self, cluster: Regions, node: str, number: int) -> None:
        self._connection = cluster.connect(node)
        self._number = number
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"writer-{node}")
        found = self._connection.execute("SELECT n FROM counters WHERE id = %s", (number,)).fetchone()
        assert found is not None
        self.acknowledged = int(found[0])
        self.error: psycopg.Error | None = None
        self._thread.start()

    def stop(self) -> None:
        """Returns when it has ended; raises what ended it early."""
        self._stopped.set()
        self._thread.join()
        self._connection.close()
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                value = self.acknowledged + 1
                self._connection.execute("UPDATE counters SET n = %s WHERE id = %s", (value, self._number))
                self.acknowledged = value
        except psycopg.Error as error:
            self.error = error


@contextmanager
def writers(cluster: Regions) -> Iterator[list[Writer]]:
    """One at each node."""
    running = [Writer(cluster, node, number) for number, node in enumerate(NODES, 1)]
    try:
        yield running
    finally:
        for writer in running:
            writer.stop()


def read(cluster: Regions, node: str, running: list[Writer], count: int) -> tuple[Times, int]:
    """(times, how many were stale) of single-statement reads at a node."""
    times = []
    stale = 0
    with cluster.connect(node) as connection:
        for _ in range(count):
            before = [writer.acknowledged for writer in running]
            began = time.perf_counter()
            found = connection.execute("SELECT n FROM counters ORDER BY id").fetchall()
            times.append(time.perf_counter() - began)
            stale += any(int(row[0]) < value for row, value in zip(found, before, strict=True))
            time.sleep(0.001)
    return Times.of(times), stale


def read_path(cluster: Regions, node: str) -> str:
    """What serves there now."""
    with cluster.connect(node) as connection:
        found = connection.execute("SHOW boreal.read_path").fetchone()
    return str(found[0]) if found else ""


def measure(cluster: Regions, name: str, count: int) -> list[Cell]:
    """Both nodes, under load at both."""
    cells = []
    with ExitStack() as stack:
        for node in NODES:
            stack.enter_context(steady_load(cluster.places[node].target, RATES[node], CLIENTS))
        running = stack.enter_context(writers(cluster))
        time.sleep(1)
        for node in NODES:
            times, stale = read(cluster, node, running, count)
            cells.append(Cell(name, node, read_path(cluster, node), times, stale))
    return cells


def run(settings: Sequence[str], count: int, skewed_ms: float) -> dict[str, object]:
    """Measure, print, and return everything.

    Raises:
        RuntimeError: a read was stale where clocks are right; or none was where one is wrong, so the check sees nothing.
    """
    load = " and ".join(f"{rate} updates/s at {node}" for node, rate in RATES.items())
    print(f"strong reads, {count} each, beside {load} and two writers; round trips {WAN}; in ms")
    cells: list[Cell] = []
    skewed: list[Cell] = []
    for name in settings:
        with Regions(SETTINGS[name]) as cluster:
            make_tables(cluster)
            cells += measure(cluster, name, count)
            if name == SKEWED and skewed_ms:
                cluster.verb("skew", "n2", "--by", f"{skewed_ms:g}ms")
                skewed = measure(cluster, f"{name}, n2 off by {skewed_ms:g} ms", count)[1:]
    print_table(
        ("setting", "region", "path", "reads", "p50", "p99", "highest", "stale"),
        [
            (
                cell.setting,
                "leader's" if cell.node == "n1" else "other",
                cell.path,
                *(cell.read.count, cell.read.p50_ms, cell.read.p99_ms, cell.read.highest_ms, cell.stale),
            )
            for cell in cells + skewed
        ],
    )
    if any(cell.stale for cell in cells):
        raise RuntimeError("a strong read was stale")
    if skewed and not any(cell.stale for cell in skewed):
        raise RuntimeError("the clock was wrong by more than its bound, and no read was found to be stale")
    return {"cells": [asdict(cell) for cell in cells + skewed]}
