"""What a commit costs: run `python -m tests.journal.bench_commit [directory]`.

Prints, for 1, 8 and 32 proposals in flight on one voter with durable commits: commits a second, p50 and p99 in ms, and
CPU in µs a proposal, for proposals like pgbench's simple update (one row updated, one inserted, one index entry).
Then the same work without the disk, a large transaction of a million rows, and the cost of each codec.
"""

from __future__ import annotations

import asyncio
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable

import uvloop

from journal.adjudicator import Adjudicator
from journal.environment import real_environment
from journal.event import Event, Proposal, Verdict, Write, decode_proposal, encode_block, encode_proposal
from journal.replica import Replica, ReplicaSettings

SECONDS = 3.0


def proposal_of(number: int, snapshot: int) -> Proposal:
    key = b"\0\0\x40\x01\0\0\x80" + (number * 7919 % 1_000_000_007).to_bytes(7, "big")
    row = b"r" * 100
    return Proposal(
        (1 << 60) + number,
        snapshot,
        [(key, row, 1), (b"\0\0\x40\x02" + key[4:], row, 0), (b"\0\0\x40\x02\0\x01" + key[6:], b"x", 4)],
        dependencies=[(16385, 0), (16386, 0)],
        provenance=(1, "postgres", "pgbench"),
    )


class Counter:
    """A subscriber that touches every write once."""

    def __init__(self) -> None:
        self.writes = 0

    def __call__(self, events: list[Event]) -> None:
        for event in events:
            self.writes += len(event.writes)


async def commit(replica: Replica, in_flight: int, first: int) -> int:
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    times: list[float] = []
    number = first
    running = in_flight
    end = time.perf_counter() + SECONDS

    def next_one() -> None:
        nonlocal number
        number += 1
        started = time.perf_counter()

        def answer(verdict: Verdict) -> None:
            nonlocal running
            assert verdict.committed, verdict
            now = time.perf_counter()
            times.append(now - started)
            if now < end:
                loop.call_soon(next_one)
            else:
                running -= 1
                if not running:
                    done.set_result(None)

        replica.propose(proposal_of(number, replica.frontier.commit_ts), answer)

    cpu = time.process_time()
    wall = time.perf_counter()
    for _ in range(in_flight):
        next_one()
    await done
    cpu = time.process_time() - cpu
    wall = time.perf_counter() - wall
    times.sort()
    count = len(times)
    print(
        f"in flight {in_flight:3}: {count / wall:7.0f} commits/s   p50 {times[count // 2] * 1e3:6.3f} ms   "
        f"p99 {times[count * 99 // 100] * 1e3:6.3f} ms   CPU {cpu / count * 1e6:5.1f} µs"
    )
    return number


async def large(replica: Replica, rows: int) -> None:
    row = b"r" * 110

    def chunks() -> list[list[Write]]:
        prefix = b"\0\0\x40\x03\0\0\x80"
        return [
            [(prefix + number.to_bytes(8, "big"), row, 0) for number in range(start, min(rows, start + 5000))]
            for start in range(0, rows, 5000)
        ]

    made = chunks()
    cpu = time.process_time()
    wall = time.perf_counter()
    verdict = await replica.propose_large(Proposal((1 << 60) - 1, replica.frontier.commit_ts), made)
    assert verdict.committed, verdict
    cpu = time.process_time() - cpu
    wall = time.perf_counter() - wall
    print(f"large transaction: {rows} rows, {rows / wall:9.0f} rows/s   CPU {cpu / rows * 1e6:5.2f} µs a row")


def codecs() -> None:
    proposal = proposal_of(1, 0)
    encoded = encode_proposal(proposal)
    adjudicator = Adjudicator()
    counter = iter(range(1, 1 << 40))

    def judge() -> None:
        number = next(counter)
        assert adjudicator.judge(proposal_of(number, adjudicator.commit_ts), number).committed

    def cost(what: str, work: Callable[[], object], count: int = 50_000) -> None:
        started = time.perf_counter()
        for _ in range(count):
            work()
        print(f"{what}: {(time.perf_counter() - started) / count * 1e6:.2f} µs")

    cost("make a proposal", lambda: proposal_of(1, 0))
    cost(f"encode a proposal of {len(encoded)} bytes", lambda: encode_proposal(proposal))
    cost("decode it", lambda: decode_proposal(encoded))
    cost("block of 16", lambda: encode_block(1, 1, [encoded] * 16, []), 5_000)
    cost("judge (with making it)", judge)


async def main(directory: str) -> None:
    replica = Replica(real_environment(), ReplicaSettings(directory=directory))
    started = time.perf_counter()
    await replica.start()
    print(f"ready after {(time.perf_counter() - started) * 1e3:.1f} ms")
    counter = Counter()
    replica.subscribe(counter)
    number = 0
    for in_flight in (1, 8, 32, 128):
        number = await commit(replica, in_flight, number)
    await large(replica, 1_000_000)
    await replica.stop()
    again = Replica(real_environment(), ReplicaSettings(directory=directory))
    started = time.perf_counter()
    await again.start()
    print(f"ready again after {(time.perf_counter() - started) * 1e3:.1f} ms at position {again.frontier.position}")
    await again.stop()
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB")


if __name__ == "__main__":
    codecs()
    base = tempfile.mkdtemp(dir=sys.argv[1] if len(sys.argv) > 1 else None)
    try:
        uvloop.run(main(base))
    finally:
        shutil.rmtree(base)
