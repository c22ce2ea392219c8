"""Unmodified pgbench: initialisation, the three built-in scripts, all protocols, and TPC-B's totals afterwards.

Goal: no failures but exhausted retries, and Σ abalance = Σ tbalance = Σ bbalance = Σ delta after the default script.
Method: PostgreSQL 16's own pgbench, 1 to 64 clients, `--max-tries=20`. Short runs in `make test`, scale 10 in `make soak`.
"""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from loadtest.compare import TOTALS
from tests.oracle import client
from tests.server import Server

SOAK = bool(os.environ.get("BOREAL_SOAK"))
SCALE = 10 if SOAK else 1
SECONDS = 5 if SOAK else 1


def pgbench(server: Server, *arguments: str) -> str:
    done = subprocess.run(
        [client("pgbench"), "-h", "127.0.0.1", "-p", str(server.port), "-U", "postgres", *arguments, "postgres"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def loaded() -> Server:
    """A node of its own with pgbench's tables."""
    with Server() as server:
        pgbench(server, "-i", "-q", "-s", str(SCALE))
        yield server


def totals(server: Server) -> tuple[object, ...]:
    with server.connect() as connection:
        row = connection.execute(TOTALS).fetchone()
    assert row is not None
    return row


@pytest.mark.xdist_group("pgbench")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("protocol", ["simple", "extended", "prepared"])
@pytest.mark.parametrize("clients", [1, 8, 64])
@pytest.mark.parametrize("script", [["-S"], [], ["-N"]], ids=["select-only", "tpcb-like", "simple-update"])
def test_scripts(loaded: Server, script: list[str], clients: int, protocol: str) -> None:
    before = totals(loaded)
    output = pgbench(
        loaded, "-n", *script, "-M", protocol, "-c", str(clients), "-j", "1", "-T", str(SECONDS), "--max-tries=20"
    )
    processed = re.search(r"number of transactions actually processed: (\d+)", output)
    assert processed is not None
    assert int(processed[1]) > 0
    assert "ERROR" not in output
    accounts, tellers, branches, history = totals(loaded)
    if script == ["-N"]:
        assert accounts - before[0] == history - before[3]
        assert (tellers, branches) == before[1:3]
    else:
        assert accounts - before[0] == tellers - before[1] == branches - before[2] == history - before[3]


@pytest.mark.xdist_group("pgbench")
@pytest.mark.timeout(600)
def test_initialisation_steps(boreal: Server) -> None:
    """Server-side generation; then the data is what client-side generation makes."""
    pgbench(boreal, "-i", "-I", "dtGvp", "-q", "-s", "1")
    with boreal.connect() as connection:
        assert connection.execute("SELECT count(*), min(aid), max(aid) FROM pgbench_accounts").fetchone() == (
            100_000,
            1,
            100_000,
        )
        assert connection.execute("SELECT count(*) FROM pgbench_tellers").fetchone() == (10,)
    pgbench(boreal, "-i", "-I", "d")
