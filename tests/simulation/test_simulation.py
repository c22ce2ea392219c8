"""The simulation itself: many short lives of a cluster under faults, and the proof that a seed is a seed.

Goal: no seed violates Raft's properties, loses or doubles a transaction, breaks an isolation rule, reads stale where a read
is strong, or stays unavailable once its faults are over. Method: see DESIGN.md. `BOREAL_SOAK=1` runs `BOREAL_SEEDS` seeds
(20,000 by default) instead of a slice of them; `python -m tests.simulation --seed N` replays one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import pytest

from tests.simulation.nemesis import FAULTS
from tests.simulation.run import SQL, run_seed

SOAK = os.environ.get("BOREAL_SOAK") == "1"
SEEDS = int(os.environ.get("BOREAL_SEEDS", "20000")) if SOAK else 200
SLICE = 500 if SOAK else 20

CONSEQUENCES = (
    "one-way partition",
    "torn write",
    "compaction",
    "log begun anew",
    "member removed",
    "learner added",
    "learner promoted",
    "leadership transferred",
    "candidate ambushed",
    "leader returned",
)
"""What must have come of the faults in every slice of a soak."""


@pytest.mark.timeout(SLICE * 15)
@pytest.mark.parametrize("first", range(1, SEEDS + 1, SLICE))
def test_seeds(first: int) -> None:
    commits = strong_reads = terms = 0
    struck: Counter[str] = Counter()
    for seed in range(first, min(first + SLICE, SEEDS + 1)):
        result = run_seed(seed)
        if result.problems:
            print(*result.trace, sep="\n")
            pytest.fail(
                f"seed {seed}: {result.problems[0]}\nreplay: python -m tests.simulation --seed {seed}", pytrace=False
            )
        commits += result.figures["commits"]
        strong_reads += sum(result.history.strong_reads.values())
        terms += result.figures["terms"]
        struck.update(result.counts)
    # A slice in which nothing happened would prove nothing.
    assert commits > 10 * SLICE
    assert strong_reads > SLICE
    assert terms > SLICE
    if SOAK and SEEDS >= SLICE:
        assert not [what for what in (*FAULTS, *CONSEQUENCES) if not struck[what]], struck


SQL_SEEDS = SEEDS // 20 if SOAK else 8


@pytest.mark.timeout(SQL_SEEDS * 30)
def test_sql_seeds() -> None:
    commits = 0
    for seed in range(1, SQL_SEEDS + 1):
        result = run_seed(seed, SQL)
        if result.problems:
            print(*result.trace, sep="\n")
            pytest.fail(
                f"seed {seed}: {result.problems[0]}\nreplay: python -m tests.simulation --sql --seed {seed}",
                pytrace=False,
            )
        commits += result.figures["commits"]
    assert commits > 10 * SQL_SEEDS


@pytest.mark.parametrize("options", [[], ["--sql"]], ids=["journal", "sql"])
def test_the_same_seed_gives_the_same_trace_in_any_process(options: list[str]) -> None:
    """Byte for byte, whatever Python's hash salt is; and another seed gives another."""
    outputs = []
    for salt, seed in (("1", "11"), ("2", "11"), ("1", "12")):
        environment = {**os.environ, "PYTHONHASHSEED": salt}
        command = [sys.executable, "-m", "tests.simulation", *options, "--seed", seed]
        outputs.append(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
    assert outputs[0] == outputs[1]
    assert outputs[0] != outputs[2]
    assert outputs[0].count(b"\n") > 50


def test_the_same_seed_gives_the_same_trace_twice_in_one_process() -> None:
    assert run_seed(7).trace == run_seed(7).trace
