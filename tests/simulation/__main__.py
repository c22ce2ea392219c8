"""python -m tests.simulation: replay one seed with its full trace, or run many.

--seed N             one seed, trace and verdict
--from A --count N   many, one line for each that fails, figures at the end
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from dataclasses import replace

from tests.simulation.mutants import MUTANTS, seeds_needed
from tests.simulation.run import SQL, Plan, run_seed


def main() -> int:
    """Exit code 1 if a seed failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="replay this seed with its trace")
    parser.add_argument("--from", dest="first", type=int, default=1, help="first of many seeds")
    parser.add_argument("--count", type=int, default=100, help="how many")
    parser.add_argument("--seconds", type=float, default=Plan.seconds, help="virtual seconds under faults")
    parser.add_argument("--mutants", action="store_true", help="count the seeds that catch each mutant")
    parser.add_argument("--sql", action="store_true", help="clients speak SQL to gateways")
    arguments = parser.parse_args()
    if arguments.mutants:
        return _mutants()
    plan = replace(SQL if arguments.sql else Plan(), seconds=arguments.seconds)
    if arguments.seed is not None:
        result = run_seed(arguments.seed, plan)
        print(*result.trace, sep="\n")
        print(f"{result.steps} steps, {result.seconds:.3f} virtual seconds, {result.figures}")
        return 1 if result.problems else 0
    began = time.perf_counter()
    failed = 0
    totals: Counter[str] = Counter()
    for seed in range(arguments.first, arguments.first + arguments.count):
        result = run_seed(seed, plan)
        totals.update({**result.figures, "steps": result.steps, "virtual seconds": round(result.seconds)})
        if result.problems:
            failed += 1
            print(f"seed {seed}: {result.problems[0]}", flush=True)
    took = time.perf_counter() - began
    print(
        f"{arguments.count} seeds, {failed} failed, {took:.1f} s, {arguments.count / took:.2f} seeds/s; {dict(totals)}"
    )
    return 1 if failed else 0


def _mutants() -> int:
    missed = 0
    for name, mutant in MUTANTS.items():
        count, what = seeds_needed(mutant)
        missed += not count
        print(f"{name:28} {count or 'missed':>6}  {what}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
