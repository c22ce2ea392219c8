"""The measurements of a cluster run, check what they promise, and print it; how fast is not a matter of tests.

Two of them take a few seconds each; the others, and PostgreSQL with standbys, run with BOREAL_SOAK=1.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from loadtest.regions.measure import ROWS, Times, print_table
from tests.loadtest.test_side_by_side import run

pytestmark = pytest.mark.xdist_group("side_by_side")
soak = pytest.mark.skipif(not os.environ.get("BOREAL_SOAK"), reason="BOREAL_SOAK=1 runs it")


def test_percentiles(capsys: pytest.CaptureFixture[str]) -> None:
    assert Times.of([number / 1000 for number in range(200, 0, -1)]) == Times(200, 101.0, 199.0, 200.0)
    assert Times.of([0.0015]) == Times(1, 1.5, 1.5, 1.5)
    print_table(("name", "n"), [("a", 1.005), ("longer", 2)])
    assert capsys.readouterr().out.splitlines() == ["name    n", "a       1.00", "longer  2"]


def test_theory_is_the_architectures() -> None:
    assert {name: (row.theory_ms("n1"), row.theory_ms("n2")) for name, row in ROWS.items()} == {
        "plain": (12, 24),
        "fast": (12, 12),
        "clock": (12, 18),
    }


def test_latency(tmp_path: Path) -> None:
    file = tmp_path / "cells"
    output = run("loadtest.regions", "latency", "--settings", "plain", "--count", "10", "--json", str(file))
    assert "leader's" in output
    leader, other = json.loads(file.read_text())
    assert leader["commit"]["p50_ms"] >= leader["theory_ms"] == 12
    assert other["commit"]["p50_ms"] >= other["theory_ms"] == 24


def test_hot(tmp_path: Path) -> None:
    file = tmp_path / "figures"
    run("loadtest.regions", "hot", "--sessions", "2", "--seconds", "2", "--json", str(file))
    assert all(region["committed"] and not region["others"] for region in json.loads(file.read_text())["regions"])


@soak
def test_reads() -> None:
    output = run("loadtest.regions", "reads", "--settings", "plain by clock", "clock", "--count", "300")
    assert "n2 off by" in output


@soak
def test_join(tmp_path: Path) -> None:
    output = run("loadtest.regions", "join", "--events", "5000", "--before", "3")
    assert "has a vote" in output


@soak
def test_replicated() -> None:
    arguments = ["--replicated", "--scale", "1", "--seconds", "1", "--rounds", "1", "--clients", "4"]
    assert "lowest ratio" in run("loadtest.compare", *arguments)
