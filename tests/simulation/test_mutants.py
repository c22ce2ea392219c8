"""The checks check: every mutant of `mutants.py` is caught.

Goal: each defect is seen within its bound of seeds; how many it took is printed (`pytest -rP`, or `python -m
tests.simulation --mutants`). Those that need many seeds run in the soak only.
"""

from __future__ import annotations

import os

import pytest

from tests.simulation.mutants import MUTANTS, seeds_needed

QUICK_SEEDS_MAX = 40
SOAK = os.environ.get("BOREAL_SOAK") == "1"


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", [name for name in MUTANTS if SOAK or MUTANTS[name].seeds_max <= QUICK_SEEDS_MAX])
def test_mutant_is_caught(name: str) -> None:
    mutant = MUTANTS[name]
    count, what = seeds_needed(mutant)
    print(f"{name}: {mutant.what}: caught by seed {count}: {what}")
    assert count, f"{mutant.what}, and {mutant.seeds_max} seeds did not notice"
