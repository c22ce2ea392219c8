"""Figures of three regions on one machine: two full ones and a witness, with the round trips of a wide area.

    python -m loadtest.regions latency     COMMIT in both regions, three settings, beside theory       (1.5 minutes)
    python -m loadtest.regions reads       strong reads under a write load, on each path, any stale?   (2 minutes)
    python -m loadtest.regions join        a member with an empty disk joins under load, and votes     (minutes)
    python -m loadtest.regions hot         both regions write the same hundred rows                    (half a minute)

Each prints a table; --json FILE writes the same for machines.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from loadtest.regions import hot, join, latency, reads
from loadtest.regions.measure import ROWS


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.regions", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("latency", help="COMMIT in both regions, beside theory")
    command.add_argument("--settings", nargs="+", choices=list(ROWS), default=list(ROWS))
    command.add_argument("--count", type=int, default=300, help="transactions of each cell")
    command.set_defaults(run=lambda given: latency.run(given.settings, given.count))
    command = commands.add_parser("reads", help="strong reads under a write load")
    command.add_argument("--settings", nargs="+", choices=list(reads.SETTINGS), default=list(reads.SETTINGS))
    command.add_argument("--count", type=int, default=1000, help="reads of each cell")
    command.add_argument("--skewed-ms", type=float, default=-100.0, help="how wrong a clock is set; 0: it is not")
    command.set_defaults(run=lambda given: reads.run(given.settings, given.count, given.skewed_ms))
    command = commands.add_parser("join", help="a member with an empty disk joins under load")
    command.add_argument("--events", type=int, default=2_000_000)
    command.add_argument("--rate", type=int, default=100, help="transactions a second beside it")
    command.add_argument("--before", type=float, default=20.0, help="seconds of the same load before it joins")
    command.add_argument(
        "--nice",
        type=int,
        choices=range(20),
        metavar="N",
        default=19,
        help="of the new member: 19 stands for its own host",
    )
    command.add_argument("--directory", type=Path, help="keep the cluster there, or use the one that is there")
    command.set_defaults(
        run=lambda given: join.run(given.events, given.rate, given.before, given.nice, given.directory)
    )
    command = commands.add_parser("hot", help="both regions write the same rows")
    command.add_argument("--setting", choices=list(ROWS), default="plain")
    command.add_argument("--sessions", type=int, default=8, help="in each region")
    command.add_argument("--seconds", type=float, default=20.0)
    command.set_defaults(run=lambda given: hot.run(given.setting, given.sessions, given.seconds))
    for command in commands.choices.values():
        command.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to this file")
    given = parser.parse_args()
    found = given.run(given)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
