"""What three voters cost: run `python -m tests.journal.bench_cluster [directory]`.

Three replicas in one process over loopback, each with its own durable logs. Prints, plain and with fast commit, for 1 and 32
proposals in flight at the leader and at a follower: commits a second, p50 and p99 in ms, CPU in µs a commit for all three
together; strong reads at the follower; and how long no commit succeeds after the leader has stopped without a word.
"""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
import sys
import tempfile
import time

import uvloop

from journal.environment import real_environment
from journal.event import Outcome, Verdict
from journal.replica import Replica, ReplicaSettings
from journal.transport import Peer
from tests.journal.bench_commit import proposal_of
from tests.journal.cluster import free_ports

SECONDS = 2.0


def report(what: str, times: list[float], wall: float, cpu: float) -> None:
    times.sort()
    count = len(times)
    print(
        f"{what:34}: {count / wall:7.0f}/s   p50 {times[count // 2] * 1e3:7.3f} ms   "
        f"p99 {times[count * 99 // 100] * 1e3:7.3f} ms   CPU {cpu / count * 1e6:6.1f} µs"
    )


async def commits(what: str, replica: Replica, in_flight: int, first: int) -> int:
    times: list[float] = []
    number = first
    end = time.perf_counter() + SECONDS

    async def client() -> None:
        nonlocal number
        while time.perf_counter() < end:
            number += 1
            began = time.perf_counter()
            verdict = await replica.submit(proposal_of(number, replica.frontier.commit_ts))
            assert verdict.outcome in (Outcome.COMMITTED, Outcome.CONFLICT), verdict
            times.append(time.perf_counter() - began)

    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(client() for _ in range(in_flight)))
    report(f"{what}, {in_flight} in flight", times, time.perf_counter() - wall, time.process_time() - cpu)
    return number


async def reads(replica: Replica, waiting: int) -> None:
    times: list[float] = []
    end = time.perf_counter() + SECONDS

    async def reader() -> None:
        while time.perf_counter() < end:
            began = time.perf_counter()
            future: asyncio.Future[Verdict | None] = asyncio.get_running_loop().create_future()
            replica.read_barrier(future.set_result)
            refused = await future
            assert refused is None, refused
            times.append(time.perf_counter() - began)

    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(reader() for _ in range(waiting)))
    report(f"strong reads at a follower, {waiting}", times, time.perf_counter() - wall, time.process_time() - cpu)


async def main(directory: str) -> None:
    for fast in (False, True):
        print("fast commit" if fast else "plain Raft")
        ports = free_ports(3)
        peers = [Peer(f"node-{number}", "127.0.0.1", ports[number]) for number in range(3)]
        replicas: list[Replica] = []
        for peer in peers:
            settings = dataclasses.replace(
                ReplicaSettings(name=peer.name, fast_commit=fast), directory=f"{directory}/{fast}-{peer.name}"
            )
            others = [each for each in peers if each is not peer]
            replica = Replica(real_environment(), settings, address=(peer.host, peer.port), peers=others)
            await replica.start()
            replicas.append(replica)
        while True:
            leader = next((replica for replica in replicas if replica.has_lease), None)
            if leader is not None:
                break
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)
        follower = next(replica for replica in replicas if replica is not leader)
        number = 0
        for in_flight in (1, 32):
            number = await commits("commits at the leader", leader, in_flight, number)
            number = await commits("commits at a follower", follower, in_flight, number)
        for waiting in (1, 32):
            await reads(follower, waiting)
        began = time.perf_counter()
        await leader._close(Outcome.UNKNOWN, "killed")
        verdict = Verdict(Outcome.UNKNOWN)
        while verdict.outcome > Outcome.TOO_OLD:
            number += 1
            verdict = await follower.submit(proposal_of(number, follower.frontier.commit_ts))
            await asyncio.sleep(0.005)
        print(f"no commit after the leader's end  : {time.perf_counter() - began:.2f} s")
        for replica in replicas:
            await replica.stop()


if __name__ == "__main__":
    base = tempfile.mkdtemp(dir=sys.argv[1] if len(sys.argv) > 1 else None)
    try:
        uvloop.run(main(base))
    finally:
        shutil.rmtree(base)
