"""Both full regions write the same hot rows: who wins, who is told to try again, and whether anything is lost.

Sessions in both regions move one unit between two random rows of a hundred, in one transaction, without trying again. Every
outcome must be a commit or 40001; the rows must add up to what they were, and the numbers of changes to what was acknowledged.
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import asdict, dataclass, field

import psycopg

from loadtest.regions.cluster import WAN, Regions
from loadtest.regions.measure import ROWS, Times, print_table

ROWS_HOT = 100
START = 1000


@dataclass
class Outcomes:
    """Of one region's transactions; `others` are SQLSTATEs that should not be, `seconds` what those took that committed."""

    node: str
    committed: int = 0
    refused: int = 0
    others: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @property
    def abort_rate(self) -> float:
        """Share of transactions that got 40001."""
        return self.refused / max(1, self.committed + self.refused)


def transfer(connection: psycopg.Connection[tuple[object, ...]], source: int, sink: int) -> None:
    """One unit, and a count of changes in each row."""
    with connection.transaction():
        connection.execute("UPDATE hot SET n = n - 1, changes = changes + 1 WHERE id = %s", (source,))
        connection.execute("UPDATE hot SET n = n + 1, changes = changes + 1 WHERE id = %s", (sink,))


def session(cluster: Regions, node: str, seed: int, until: float, outcomes: Outcomes, lock: threading.Lock) -> None:
    """One client, until a monotonic moment."""
    chance = random.Random(seed)
    with cluster.connect(node) as connection:
        while time.monotonic() < until:
            source, sink = chance.sample(range(1, ROWS_HOT + 1), 2)
            state = None
            began = time.monotonic()
            try:
                transfer(connection, source, sink)
            except psycopg.Error as error:
                state = error.sqlstate or str(error)
            took = time.monotonic() - began
            with lock:
                if state is None:
                    outcomes.committed += 1
                    outcomes.seconds.append(took)
                elif state == "40001":
                    outcomes.refused += 1
                else:
                    outcomes.others.append(state)


def run(setting: str, sessions: int, seconds: float) -> dict[str, object]:
    """Measure, print, check, and return everything. Raises RuntimeError when something does not hold."""
    with Regions(ROWS[setting].settings) as cluster:
        with cluster.connect("n1") as connection:
            connection.execute("CREATE TABLE hot (id int PRIMARY KEY, n bigint NOT NULL, changes bigint NOT NULL)")
            connection.execute(f"INSERT INTO hot SELECT i, {START}, 0 FROM generate_series(1, {ROWS_HOT}) AS i(i)")
        regions = {node: Outcomes(node) for node in ("n1", "n2")}
        lock = threading.Lock()
        until = time.monotonic() + seconds
        threads = [
            threading.Thread(target=session, args=(cluster, node, 2 * number + place, until, regions[node], lock))
            for number in range(sessions)
            for place, node in enumerate(regions)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        totals = {}
        for node in regions:
            with cluster.connect(node) as connection:
                totals[node] = connection.execute("SELECT sum(n)::bigint, sum(changes)::bigint FROM hot").fetchone()
    print(f"{ROWS_HOT} hot rows, {sessions} sessions a region, {seconds:g} s, {ROWS[setting].name}, round trips {WAN}")
    times = {node: Times.of(each.seconds or [0.0]) for node, each in regions.items()}
    print_table(
        ("region", "committed", "a second", "p50 ms", "p99 ms", "40001", "abort rate", "other outcomes"),
        [
            (
                "leader's" if node == "n1" else "other",
                *(each.committed, each.committed / seconds, times[node].p50_ms, times[node].p99_ms),
                *(each.refused, f"{100 * each.abort_rate:.1f}%", len(each.others)),
            )
            for node, each in regions.items()
        ],
    )
    expected = (ROWS_HOT * START, 2 * sum(each.committed for each in regions.values()))
    rates = sorted(each.abort_rate for each in regions.values())
    factor = round(rates[1] / rates[0], 2) if rates[0] else float("inf")
    print(
        f"totals {totals['n1']} at n1, {totals['n2']} at n2, expected {expected}; abort rates within a factor of {factor}"
    )
    if any(each.others for each in regions.values()):
        raise RuntimeError(f"outcomes other than commit and 40001: {[each.others[:10] for each in regions.values()]}")
    if any(found != expected for found in totals.values()):
        raise RuntimeError("the totals are wrong")
    found = [{**asdict(each), "seconds": asdict(times[node])} for node, each in regions.items()]
    return {"regions": found, "totals": totals, "factor": factor}
