"""The side-by-side scripts run and print what they promise; how fast is not a matter of tests."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from loadtest.compare import foreign_environment

ROOT = Path(__file__).parent.parent.parent


def run(module: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=110,
        env=foreign_environment(),
    )
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    return done.stdout


@pytest.mark.xdist_group("side_by_side")
def test_compare(tmp_path: Path) -> None:
    arguments = ["--scale", "1", "--seconds", "1", "--rounds", "1", "--clients", "4", "--json", str(tmp_path / "cells")]
    output = run("loadtest.compare", *arguments)
    assert "lowest ratio" in output
    cells = json.loads((tmp_path / "cells").read_text())
    assert {(cell["script"], cell["protocol"]) for cell in cells} == {
        (script, protocol)
        for script in ("select-only", "simple-update", "tpcb-like")
        for protocol in ("simple", "prepared")
    }
    assert all(cell["boreal_tps"] > 0 and cell["postgresql_tps"] > 0 for cell in cells)
    assert all(cell["boreal_failed"] == 0 for cell in cells if cell["script"] != "tpcb-like")


@pytest.mark.xdist_group("side_by_side")
def test_figures(tmp_path: Path) -> None:
    output = run("loadtest.figures", "--rows", "20000", "--seconds", "1", "--json", str(tmp_path / "figures"))
    assert "rows/s" in output
    figures = json.loads((tmp_path / "figures").read_text())
    assert figures["boreal"]["copy_rows_per_second"] > 10_000
    assert figures["boreal"]["aggregates_finished"] > 0
