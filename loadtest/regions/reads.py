"""Strong reads in both regions under a write load, on each read path, and whether any of them was stale.

Beside the load, a writer in each region counts one row up, a transaction each; what was acknowledged is known here, in this
process, before the reader begins its next read. A read that returns less than what was acknowledged before it began is stale.
The reader's session writes nothing: it sees its own commits in any case.

With `skewed_ms` the clock of the reader's node is set wrong by more than the bound it was told. The cluster must notice, and read
by asking the leader.
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
NOTICED_SECONDS_MAX = 5.0

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


def wait_for_path(cluster: Regions, node: str, path: str) -> float:
    """Seconds until a node reads by this path. Raises RuntimeError."""
    began = time.monotonic()
    while read_path(cluster, node) != path:
        if time.monotonic() - began > NOTICED_SECONDS_MAX:
            raise RuntimeError(f"{node} does not read by {path} after {NOTICED_SECONDS_MAX:g} s")
        time.sleep(0.02)
    return time.monotonic() - began


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


def skew(cluster: Regions, skewed_ms: float, count: int) -> tuple[dict[str, float], list[Cell]]:
    """Set n2's clock wrong under way: how soon each node has noticed; then reads at n2, which must not be stale."""
    cluster.verb("skew", "n2", "--by", f"{skewed_ms:g}ms")
    noticed = {node: round(wait_for_path(cluster, node, "index"), 2) for node in ("n2", "n1")}
    cells = [cell for cell in measure(cluster, f"clock, n2 off by {skewed_ms:g} ms", count) if cell.node == "n2"]
    cluster.verb("heal")
    noticed["n2 healed"] = round(wait_for_path(cluster, "n2", "clock"), 2)
    return noticed, cells


def run(settings: Sequence[str], count: int, skewed_ms: float) -> dict[str, object]:
    """Measure, print, and return everything. Raises RuntimeError if a read was stale."""
    load = " and ".join(f"{rate} updates/s at {node}" for node, rate in RATES.items())
    print(f"strong reads, {count} each, beside {load} and two writers; round trips {WAN}; in ms")
    cells: list[Cell] = []
    noticed: dict[str, float] = {}
    for name in settings:
        with Regions(SETTINGS[name]) as cluster:
            make_tables(cluster)
            cells += measure(cluster, name, count)
            if name == "clock" and skewed_ms:
                noticed, skewed = skew(cluster, skewed_ms, count)
                cells += skewed
    print_table(
        ("setting", "region", "path", "reads", "p50", "p99", "highest", "stale"),
        [
            (
                cell.setting,
                "leader's" if cell.node == "n1" else "other",
                cell.path,
                *(cell.read.count, cell.read.p50_ms, cell.read.p99_ms, cell.read.highest_ms, cell.stale),
            )
            for cell in cells
        ],
    )
    if noticed:
        print("seconds until the wrong clock was noticed, and until it was trusted again: ", noticed)
    if any(cell.stale for cell in cells):
        raise RuntimeError("a strong read was stale")
    return {"cells": [asdict(cell) for cell in cells], "noticed_seconds": noticed}
