"""Strong reads in both regions under a write load, on each read path, and whether any of them was stale.

Beside the load, a writer in each region counts one row up, a transaction each; what was acknowledged is known here, in this
process, before the reader begins its next read. A read that returns less than what was acknowledged before it began is stale.
The reader's session writes nothing: it sees its own commits in any case.

With `skewed_ms` the clock at the reader's node is made wrong by more than the bound it was told, once while it runs and once before it
starts. The node has to find out, by the other members' clocks, and to ask the leader instead (`journal/clockwatch.py`); when the clock
is right again it has to trust it again. No read may be stale.
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
DETECTION_SECONDS_MAX = 15.0
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


@dataclass(frozen=True)
class Detection:
    """A clock that was set wrong, at a node that reads by it.

    Attributes:
        distrusted_ms: from the order to set it until the node did not read by it any more.
        trusted_ms: from the order to set it right until the node read by it again.
        reads, stale: between the order and the node's finding.
    """

    distrusted_ms: float
    trusted_ms: float
    reads: int
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


@contextmanager
def load(cluster: Regions) -> Iterator[list[Writer]]:
    """Updates at both nodes, and the writers, which it gives."""
    with ExitStack() as stack:
        for node in NODES:
            stack.enter_context(steady_load(cluster.places[node].target, RATES[node], CLIENTS))
        yield stack.enter_context(writers(cluster))


def measure(cluster: Regions, name: str, count: int, nodes: Sequence[str] = NODES) -> list[Cell]:
    """Reads at these nodes, under load at both."""
    cells = []
    with load(cluster) as running:
        time.sleep(1)
        for node in nodes:
            times, stale = read(cluster, node, running, count)
            cells.append(Cell(name, node, read_path(cluster, node), times, stale))
    return cells


def measure_skewed(cluster: Regions, name: str, count: int, skewed_ms: float) -> tuple[Detection, list[Cell]]:
    """n2's clock is set wrong while it serves, then right, then wrong before it starts."""
    skew = f"{skewed_ms:g}ms"
    with load(cluster) as running:
        time.sleep(1)
        distrusted_ms, reads, stale = set_clock(cluster, running, skew, "index")
        times, later = read(cluster, "n2", running, count)
        cells = [Cell(f"{name}, n2 set {skew} off", "n2", read_path(cluster, "n2"), times, later)]
        trusted_ms, *_ = set_clock(cluster, running, "0ms", "clock")
    cluster.verb("kill", "n2")
    cluster.verb("skew", "n2", "--by", skew)
    cluster.verb("revive", "n2")
    cells += measure(cluster, f"{name}, n2 started {skew} off", count, ("n2",))
    return Detection(distrusted_ms, trusted_ms, reads, stale), cells


def set_clock(cluster: Regions, running: list[Writer], skew: str, path: str) -> tuple[float, int, int]:
    """(ms until n2 reads by this path, reads meanwhile, how many of them were stale) from when n2's clock is set."""
    began = time.perf_counter()
    order = threading.Thread(target=cluster.verb, args=("skew", "n2", "--by", skew), name="skew")
    order.start()
    reads = stale = 0
    while read_path(cluster, "n2") != path:
        if time.perf_counter() - began > DETECTION_SECONDS_MAX:
            raise RuntimeError(f"n2's clock was set {skew} off, and it does not read by {path}")
        stale += read(cluster, "n2", running, 10)[1]
        reads += 10
    took = time.perf_counter() - began
    order.join()
    return round(1000 * took, 1), reads, stale


def run(settings: Sequence[str], count: int, skewed_ms: float) -> dict[str, object]:
    """Measure, print, and return everything.

    Raises:
        RuntimeError: a read was stale, or a clock that is wrong was not found out.
    """
    beside = " and ".join(f"{rate} updates/s at {node}" for node, rate in RATES.items())
    print(f"strong reads, {count} each, beside {beside} and two writers; round trips {WAN}; in ms")
    cells: list[Cell] = []
    detection: Detection | None = None
    skewed: list[Cell] = []
    for name in settings:
        with Regions(SETTINGS[name]) as cluster:
            make_tables(cluster)
            cells += measure(cluster, name, count)
            if name == SKEWED and skewed_ms:
                detection, skewed = measure_skewed(cluster, name, count, skewed_ms)
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
    if detection is not None:
        print(
            f"n2 read by its wrong clock for at most {detection.distrusted_ms} ms from the order to set it, {detection.stale} of "
            f"{detection.reads} reads stale; and by the right one again {detection.trusted_ms} ms after the order"
        )
        if any(cell.path == "clock" for cell in skewed):
            raise RuntimeError("a node read by a clock that is wrong")
    if any(cell.stale for cell in cells) or (detection is not None and detection.stale):
        raise RuntimeError("a strong read was stale")
    return {"cells": [asdict(cell) for cell in cells], "detection": asdict(detection) if detection else None}
