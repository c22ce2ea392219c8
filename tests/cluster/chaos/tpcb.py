"""pgbench's TPC-B-like transaction, by the real pgbench: one process for each gateway, in short runs, again and again.

A run whose node dies ends early and says how many transactions it had been told of. So at the end the history table has at least that
many rows, and at most one more for each client whose connection was lost.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

from deploy.cluster import HOST, NodePlace
from loadtest.postgresql import client

BRANCHES, TELLERS, ACCOUNTS = 10, 100, 1000
CLIENTS = 2
RUN_SECONDS = 4
PATIENCE_SECONDS = 30.0
"""A run that has not ended this long after its time hangs."""

SCHEMA = (
    "CREATE TABLE pgbench_branches (bid int PRIMARY KEY, bbalance int NOT NULL)",
    "CREATE TABLE pgbench_tellers (tid int PRIMARY KEY, bid int NOT NULL, tbalance int NOT NULL)",
    "CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, bid int NOT NULL, abalance int NOT NULL)",
    "CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp)",
    f"INSERT INTO pgbench_branches SELECT n, 0 FROM generate_series(1, {BRANCHES}) n",
    f"INSERT INTO pgbench_tellers SELECT n, 1 + n % {BRANCHES}, 0 FROM generate_series(1, {TELLERS}) n",
    f"INSERT INTO pgbench_accounts SELECT n, 1 + n % {BRANCHES}, 0 FROM generate_series(1, {ACCOUNTS}) n",
)
SCRIPT = rf"""
\set aid random(1, {ACCOUNTS})
\set bid random(1, {BRANCHES})
\set tid random(1, {TELLERS})
\set delta random(-5000, 5000)
BEGIN;
UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
UPDATE pgbench_tellers SET tbalance = tbalance + :delta WHERE tid = :tid;
UPDATE pgbench_branches SET bbalance = bbalance + :delta WHERE bid = :bid;
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (:tid, :bid, :aid, :delta, CURRENT_TIMESTAMP);
END;
"""
SUMS = (
    "SELECT (SELECT count(*) FROM pgbench_history), (SELECT coalesce(sum(delta), 0) FROM pgbench_history), "
    "(SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(tbalance) FROM pgbench_tellers), "
    "(SELECT sum(bbalance) FROM pgbench_branches)"
)
_PROCESSED = re.compile(r"number of transactions actually processed: (\d+)")


class Pgbench:
    """pgbench against one gateway.

    Attributes:
        acknowledged: transactions that pgbench was told have committed.
        lost: connections that ended in between; each may have committed one more.
        problems: what should not have happened.
    """

    def __init__(self, node: NodePlace, directory: Path, rate: float, going: Callable[[], bool]) -> None:
        self._node = node
        self._rate = rate
        self._going = going
        self._script = directory / "tpcb.sql"
        self._script.write_text(SCRIPT)
        self.acknowledged = 0
        self.lost = 0
        self.problems: list[str] = []

    async def run(self) -> None:
        """Run after run until told to end."""
        while self._going():
            await self._run_once()
            await asyncio.sleep(0.3)

    async def _run_once(self) -> None:
        process = await asyncio.create_subprocess_exec(
            client("pgbench"),
            *("-h", HOST, "-p", str(self._node.pg_port), "-U", "postgres", "-n", "-M", "prepared", "-j", "1"),
            *("-c", str(CLIENTS), "-T", str(RUN_SECONDS), "-R", str(self._rate), "--max-tries=20"),
            *("-f", str(self._script), "postgres"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(RUN_SECONDS + PATIENCE_SECONDS):
                output, errors = (data.decode(errors="replace") for data in await process.communicate())
        except TimeoutError:
            process.kill()
            await process.wait()
            self.lost += CLIENTS
            self.problems.append(f"pgbench at {self._node.name} hung")
            return
        processed = _PROCESSED.search(output)
        if processed is not None:
            self.acknowledged += int(processed[1])
        if process.returncode:
            # Without figures it did not even begin: its connections were refused.
            self.lost += CLIENTS if processed is not None else 0
        elif processed is None:
            self.problems.append(f"pgbench at {self._node.name} said nothing of transactions: {output} {errors}")
