"""Figures of one node beside PostgreSQL: start, memory, bulk load, large tables, and who waits for whom.

    python -m loadtest.figures                    all of them, about two minutes
    python -m loadtest.figures --rows 100000      a smaller table
    python -m loadtest.figures --json FILE        also for machines

Both servers have durable commits and run on this machine, one after the other. What is printed:

    ready, idle          seconds from start to «ready» on an empty directory; resident memory then (Boreal only)
    copy                 COPY of pgbench_accounts rows, as pgbench sends them, in one transaction into a table with its primary
                         key; rows a second, and Boreal's highest resident memory
    point read           p50 of a prepared primary-key read: large table, and one of 1000 rows, in turns
    aggregate            select count(*), sum(abalance): best of three
    beside an aggregate  p50 and p99 of point reads of eight clients (pgbench, closed loop), with and without another session
                         that runs the aggregate all the time
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

from loadtest.compare import Target, boreal_server, free_port
from loadtest.postgresql import PostgresServer, client

TABLE = "(aid int NOT NULL PRIMARY KEY, bid int, abalance int, filler char(84))"
AGGREGATE = "SELECT count(*), sum(abalance) FROM pgbench_accounts"
POINT_READ = "SELECT abalance FROM {} WHERE aid = %s"
CHUNK_ROWS = 2000
SMALL_ROWS = 1000
POINT_READS = 4000
CLIENTS = 8

Connection = psycopg.Connection[tuple[object, ...]]
Figures = dict[str, float]


def connect(target: Target) -> Connection:
    """An autocommit session."""
    return psycopg.connect(
        host=target.host, port=target.port, user="postgres", dbname="postgres", autocommit=True, prepare_threshold=0
    )


def memory_bytes(process: int, field: str) -> int:
    """VmRSS or VmHWM (the highest so far) of a process, from /proc."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no {field} for process {process}")


def accounts(rows: int) -> Iterator[bytes]:
    """Chunks of rows in COPY's text format, as pgbench makes them."""
    for start in range(1, rows + 1, CHUNK_ROWS):
        numbers = range(start, min(start + CHUNK_ROWS, rows + 1))
        yield "".join(f"{number}\t{(number - 1) // 100_000 + 1}\t0\t\n" for number in numbers).encode()


def load(connection: Connection, table: str, rows: int) -> float:
    """Create and fill; rows a second, COMMIT included."""
    connection.execute(f"CREATE TABLE {table} {TABLE}")
    chunks = list(accounts(rows))
    began = time.perf_counter()
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN") as copy:
        for chunk in chunks:
            copy.write(chunk)
    return rows / (time.perf_counter() - began)


def point_reads(connection: Connection, rows: int) -> tuple[float, float]:
    """p50 in µs: (large table, small table)."""
    times: dict[str, list[float]] = {"pgbench_accounts": [], "small": []}
    chance = random.Random(1)
    for number in range(POINT_READS * 2):
        table, keys = ("small", SMALL_ROWS) if number % 2 else ("pgbench_accounts", rows)
        key = chance.randint(1, keys)
        began = time.perf_counter()
        connection.execute(POINT_READ.format(table), (key,)).fetchone()
        times[table].append(time.perf_counter() - began)
    large, small = (statistics.median(values) * 1e6 for values in times.values())
    return large, small


def aggregate_seconds(connection: Connection, rows: int) -> float:
    """Best of three."""
    best = float("inf")
    for _ in range(3):
        began = time.perf_counter()
        found = connection.execute(AGGREGATE).fetchone()
        best = min(best, time.perf_counter() - began)
        if found != (rows, 0):
            raise RuntimeError(f"wrong answer: {found}")
    return best


def client_latencies(target: Target, rows: int, seconds: int) -> tuple[float, float]:
    """(p50, p99) in ms of eight pgbench clients that read single rows."""
    with tempfile.TemporaryDirectory(prefix="boreal-figures-") as directory:
        script = Path(directory) / "read.sql"
        script.write_text(f"\\set aid random(1, {rows})\nSELECT abalance FROM pgbench_accounts WHERE aid = :aid;\n")
        command = [client("pgbench"), *target.options, "-n", "-f", str(script), "-c", str(CLIENTS), "-j", "1"]
        command += ["-T", str(seconds), "-M", "prepared", "-l", "--log-prefix", f"{directory}/log", "postgres"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"pgbench failed:\n{done.stderr}")
        times = sorted(
            int(line.split()[2]) / 1000 for log in Path(directory).glob("log.*") for line in log.open(encoding="ascii")
        )
    return times[len(times) // 2], times[len(times) * 99 // 100]


def beside_an_aggregate(target: Target, rows: int, seconds: int) -> tuple[tuple[float, float], int]:
    """The latencies while another session aggregates, and how many aggregates it finished."""
    finished = 0
    stopping = threading.Event()

    def aggregate() -> None:
        nonlocal finished
        with connect(target) as connection:
            while not stopping.is_set():
                connection.execute(AGGREGATE)
                finished += 1

    thread = threading.Thread(target=aggregate)
    thread.start()
    try:
        return client_latencies(target, rows, seconds), finished
    finally:
        stopping.set()
        thread.join()


def measure(target: Target, rows: int, seconds: int) -> Figures:
    """Everything on one server."""
    figures: Figures = {}
    if target.process:
        figures["ready_seconds"] = target.ready_seconds
        figures["idle_mib"] = memory_bytes(target.process, "VmRSS") / (1 << 20)
    with connect(target) as connection:
        figures["copy_rows_per_second"] = load(connection, "pgbench_accounts", rows)
        if target.process:
            figures["copy_peak_mib"] = memory_bytes(target.process, "VmHWM") / (1 << 20)
            figures["after_copy_mib"] = memory_bytes(target.process, "VmRSS") / (1 << 20)
        load(connection, "small", SMALL_ROWS)
        connection.execute("ANALYZE")
        figures["point_read_large_us"], figures["point_read_small_us"] = point_reads(connection, rows)
        figures["aggregate_seconds"] = aggregate_seconds(connection, rows)
    figures["alone_p50_ms"], figures["alone_p99_ms"] = client_latencies(target, rows, seconds)
    (figures["beside_p50_ms"], figures["beside_p99_ms"]), finished = beside_an_aggregate(target, rows, seconds)
    figures["aggregates_finished"] = finished
    return figures


def report(rows: int, ours: Figures, theirs: Figures) -> str:
    """For people; the bound of issue 2 stands behind each figure."""
    large, small = ours["point_read_large_us"], ours["point_read_small_us"]
    lines = [
        f"ready on an empty directory      {ours['ready_seconds']:.2f} s   (< 2)",
        f"idle, resident                   {ours['idle_mib']:.0f} MiB   (< 150 MB)",
        f"COPY of {rows} rows          {ours['copy_rows_per_second']:,.0f} rows/s   (≥ 100,000; PostgreSQL "
        f"{theirs['copy_rows_per_second']:,.0f})",
        f"  highest resident memory        {ours['copy_peak_mib']:.0f} MiB, afterwards {ours['after_copy_mib']:.0f} MiB",
        f"point read p50, {rows} rows  {large:.0f} µs; {SMALL_ROWS} rows {small:.0f} µs: {large / small:.2f} ×   (≤ 1.5 ×; "
        f"PostgreSQL {theirs['point_read_large_us']:.0f} and {theirs['point_read_small_us']:.0f} µs)",
        f"count(*), sum(abalance)          {ours['aggregate_seconds']:.2f} s = "
        f"{ours['aggregate_seconds'] / theirs['aggregate_seconds']:.1f} × PostgreSQL's {theirs['aggregate_seconds']:.3f} s   "
        "(≤ 20 ×)",
        f"{CLIENTS} clients reading, alone         p50 {ours['alone_p50_ms']:.2f} ms, p99 {ours['alone_p99_ms']:.2f} ms   "
        f"(PostgreSQL {theirs['alone_p50_ms']:.2f}, {theirs['alone_p99_ms']:.2f})",
        f"  beside an aggregate            p50 {ours['beside_p50_ms']:.2f} ms, p99 {ours['beside_p99_ms']:.2f} ms   (< 25; "
        f"PostgreSQL {theirs['beside_p50_ms']:.2f}, {theirs['beside_p99_ms']:.2f}); "
        f"{ours['aggregates_finished']:.0f} aggregates finished",
    ]
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="figures of one node beside PostgreSQL")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=int, default=8, help="of each run of eight clients")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    with boreal_server() as boreal:
        ours = measure(boreal, arguments.rows, arguments.seconds)
    port = free_port()
    with PostgresServer({"shared_buffers": "256MB", "max_wal_size": "4GB", "timezone": "UTC"}, port=port):
        theirs = measure(Target("PostgreSQL", "127.0.0.1", port), arguments.rows, arguments.seconds)
    print(report(arguments.rows, ours, theirs))
    if arguments.json:
        arguments.json.write_text(json.dumps({"rows": arguments.rows, "boreal": ours, "postgresql": theirs}, indent=1))


if __name__ == "__main__":
    main()
