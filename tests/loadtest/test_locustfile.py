"""The Locust file against a real node: both workloads run without failures, retries are told apart, and the books balance."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from loadtest.compare import foreign_environment
from tests.server import Server

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.xdist_group("locust")
def test_both_workloads() -> None:
    with Server() as server:
        done = subprocess.run(
            [sys.executable, "-m", "locust", "-f", "loadtest/locustfile.py", "--headless", "-u", "12", "-r", "12"]
            + ["-t", "4s", "--json", "--host", f"postgresql://postgres@127.0.0.1:{server.port}/postgres"],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            timeout=90,
            env=foreign_environment(),
        )
        assert done.returncode == 0, done.stderr[-4000:]
        entries = {(entry["method"], entry["name"]): entry for entry in json.loads(done.stdout)}
        for name in ("transfer", "browse", "look at orders", "place order"):
            assert entries["SQL", name]["num_requests"] > 0
        assert all(entry["num_failures"] == 0 for entry in entries.values())
        assert entries["RETRY", "transfer"]["num_requests"] > 0
        transfers = entries["SQL", "transfer"]["num_requests"]
        reads = sum(entries["SQL", name]["num_requests"] for name in ("browse", "look at orders"))
        shop = sum(entry["num_requests"] for (kind, name), entry in entries.items() if kind == "SQL") - transfers
        assert 0.6 < reads / shop < 0.8
        with server.connect() as connection:
            totals = connection.execute(
                "SELECT (SELECT sum(balance) FROM bank_accounts), (SELECT sum(balance) FROM bank_tellers), "
                "(SELECT sum(balance) FROM bank_branches), (SELECT sum(delta) FROM bank_history)"
            ).fetchone()
            assert totals is not None
            assert len(set(totals)) == 1
            # Locust may stop a user between its COMMIT and its report, never the other way round.
            committed = connection.execute("SELECT count(*) FROM bank_history").fetchone()
            assert committed is not None
            assert transfers <= int(str(committed[0])) <= transfers + 12
            assert (
                connection.execute(
                    "SELECT o.id FROM shop_orders o JOIN shop_lines l ON l.order_id = o.id GROUP BY o.id "
                    "HAVING o.total <> sum(l.quantity * l.price)"
                ).fetchall()
                == []
            )
            assert (
                connection.execute(
                    "SELECT c.id FROM shop_customers c LEFT JOIN shop_orders o ON o.customer = c.id GROUP BY c.id "
                    "HAVING c.spent <> coalesce(sum(o.total), 0)"
                ).fetchall()
                == []
            )
