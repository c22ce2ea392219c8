"""A member with an empty disk joins a cluster that holds many events, under load, and becomes a voter.

The events are transactions of one row each, made by pgbench through SQL. Then, beside a steady load, one session times its COMMITs:
for a while before, and for as long as `boreal cluster join` takes, which ends when the new member has a vote. There is no wide area:
what is to be seen is what catching up costs the others.

The new member has a host of its own wherever this matters; here it takes its processor time from the others. With `nice` (19 unless
told otherwise) it gets what they leave, which stands for that; 0 shows the whole cost on this machine.
"""

from __future__ import annotations

import subprocess
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psycopg

from loadtest.compare import Target
from loadtest.postgresql import client
from loadtest.regions.cluster import Regions
from loadtest.regions.measure import Times, make_tables, print_table, steady_load

FILLED_TABLE = "CREATE TABLE filled (id bigint PRIMARY KEY, n int)"
FILL_CLIENTS = 64
FILL_STEP = 20_000
CLIENTS = 4
NEW = "n4"


@dataclass(frozen=True)
class Joined:
    """`vote_seconds`: from the order to join until the new member had a vote; `nice`: the new member's."""

    events: int
    nice: int
    fill_seconds: float
    vote_seconds: float
    before: Times
    during: Times


class Committer:
    """Changes a row again and again, until it is stopped.

    Attributes:
        times: (when it ended, how long COMMIT took), monotonic seconds.
    """

    def __init__(self, cluster: Regions, node: str) -> None:
        self.times: list[tuple[float, float]] = []
        self._connection = cluster.connect(node)
        self._error: psycopg.Error | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="committer")
        self._thread.start()

    def stop(self) -> None:
        """Returns when it has ended; raises what ended it early."""
        self._stopped.set()
        self._thread.join()
        self._connection.close()
        if self._error is not None:
            raise self._error

    def between(self, since: float, until: float) -> Times:
        """COMMITs that ended then."""
        return Times.of([seconds for ended, seconds in self.times if since <= ended <= until])

    def _run(self) -> None:
        try:
            while not self._stopped.wait(0.005):
                self._connection.execute("BEGIN")
                self._connection.execute("UPDATE counters SET n = n + 1 WHERE id = 1")
                began = time.monotonic()
                self._connection.execute("COMMIT")
                ended = time.monotonic()
                self.times.append((ended, ended - began))
        except psycopg.Error as error:
            self._error = error


def fill(cluster: Regions, target: Target, events: int) -> None:
    """Commit transactions until the journal is at position `events`."""
    with tempfile.TemporaryDirectory(prefix="boreal-fill-") as directory:
        script = Path(directory) / "insert.sql"
        script.write_text(
            "\\set id random(1, 9000000000000000000)\nINSERT INTO filled VALUES (:id, 1) ON CONFLICT DO NOTHING;\n"
        )
        while (missing := events - int(cluster.status("n1")["journal_position"])) > 0:
            each = max(1, min(missing, FILL_STEP) // FILL_CLIENTS)
            subprocess.run(
                [
                    *(client("pgbench"), *target.options, "-n", "-f", str(script), "-M", "prepared"),
                    *("-c", str(FILL_CLIENTS), "-j", "1", "-t", str(each), "postgres"),
                ],
                check=True,
                capture_output=True,
            )


def run(events: int, rate: int, before_seconds: float, nice: int, directory: Path | None) -> dict[str, object]:
    """Measure, print, and return everything."""
    with Regions(wan="", directory=directory) as cluster:
        target = cluster.places["n1"].target
        if int(cluster.status("n1")["journal_position"]) < 10:
            make_tables(cluster)
            with cluster.connect("n1") as connection:
                connection.execute(FILLED_TABLE)
        began = time.monotonic()
        fill(cluster, target, events)
        fill_seconds = time.monotonic() - began
        held = int(cluster.status("n1")["journal_position"])
        print(f"{held} events after {fill_seconds:.0f} s", flush=True)
        with steady_load(target, rate, CLIENTS):
            committer = Committer(cluster, "n1")
            try:
                time.sleep(2)
                began = time.monotonic()
                time.sleep(before_seconds)
                asked = time.monotonic()
                cluster.verb("join", NEW, "--within", "600", nice=nice)
                joined = time.monotonic()
            finally:
                committer.stop()
            found = Joined(
                held,
                nice,
                round(fill_seconds, 1),
                round(joined - asked, 2),
                committer.between(began, asked),
                committer.between(asked, joined),
            )
        members = cluster.status("n1")["cluster"]["members"]
        if not any(member["name"] == NEW and member["voter"] for member in members):
            raise RuntimeError(f"{NEW} has no vote")
    print(
        f"a member with an empty disk has a vote after {found.vote_seconds:.1f} s, {held / found.vote_seconds:,.0f} events/s; "
        f"load {rate} updates/s and one session"
    )
    if nice:
        print(f"the new member runs at nice {nice}, in place of a host of its own")
    print_table(
        ("COMMIT", "count", "p50", "p99", "highest"),
        [
            (name, times.count, times.p50_ms, times.p99_ms, times.highest_ms)
            for name, times in (("before", found.before), ("during", found.during))
        ],
    )
    print(f"p99 during / before: {found.during.p99_ms / found.before.p99_ms:.2f}")
    return asdict(found)
