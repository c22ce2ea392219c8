"""python -m tests.cluster.chaos --minutes M --seed S: real processes under clients and faults, then the verdict.

Exit status 0: everything is right; 1: it is not, and the files are kept where the last line says.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.cluster.chaos.nemesis import faults
from tests.cluster.chaos.run import Plan, run


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.cluster.chaos",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="faults: " + ", ".join(kind.name for kind in faults()),
    )
    parser.add_argument("--minutes", type=float, default=2.0, help="how long the nemesis strikes (default 2)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--wan", default="", metavar="T,T,T", help="round-trip times of the pairs 1-2, 1-3, 2-3 …")
    parser.add_argument("--regions", type=int, default=3)
    parser.add_argument("--no-witness", action="store_true", help="the last region is a full one, too")
    parser.add_argument("--read-path", choices=("local", "index", "clock"), default="local")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting for every node")
    parser.add_argument("--faults", default="", metavar="NAME,NAME", help="only these")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep all files in this new directory")
    options = parser.parse_args(arguments)
    plan = Plan(
        seed=options.seed,
        seconds=60 * options.minutes,
        wan=options.wan,
        kinds=tuple(name.strip() for name in options.faults.split(",") if name.strip()),
        regions=options.regions,
        witness=not options.no_witness,
        read_path=options.read_path,
        settings=dict(pair.split("=", 1) for pair in options.set),
        directory=options.keep,
    )
    result = run(plan, lambda line: print(line, flush=True))
    print(result.text)
    if result.directory is not None:
        print(f"files are in {result.directory}")
    return 1 if result.problems else 0


if __name__ == "__main__":
    sys.exit(main())
