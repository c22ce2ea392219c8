"""The replica end to end: propose, decide, publish, survive.

Goal: verdicts and events are right and in order; nothing acknowledged is lost by process death, power loss or a full
disk; large transactions are atomic; three replicas agree. Method: real event loops over a simulated disk that crashes
and refuses, over a real directory with a process that is killed, and over loopback for three voters.
"""

from __future__ import annotations

import asyncio
import errno
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from journal.environment import Environment, real_environment
from journal.errors import BorealError, CorruptData, NodeFatal
from journal.event import Event, LockStrength, Outcome, Proposal, Verdict, Write
from journal.eventlog import EventLog
from journal.feed import follow
from journal.replica import Replica, ReplicaSettings, TransactionStatus
from journal.simulated import Loss, SimulatedDisk
from tests.journal.cluster import PREFIX, SMALL, Cluster, View, put, run, simulated, three


async def started(environment: Environment, settings: ReplicaSettings = SMALL) -> tuple[Replica, View]:
    replica = Replica(environment, settings)
    view = View()
    await replica.start()
    view.position = replica.frontier.position
    replica.subscribe(view)
    return replica, view


def test_commit_conflict_and_order_of_callbacks() -> None:
    async def work() -> None:
        replica, view = await started(simulated(SimulatedDisk()))
        assert replica.is_leader
        assert replica.has_lease
        assert replica.frontier == (0, 0)
        verdict = await replica.submit(put(1, 0, b"a"))
        assert (verdict.outcome, verdict.position) == (Outcome.COMMITTED, 1)
        assert replica.frontier == (1, verdict.commit_ts)
        seen: list[tuple[int, int]] = []
        for txid in (2, 3, 4):
            replica.propose(
                put(txid, verdict.commit_ts, b"a", kind=1),
                lambda v, txid=txid: seen.append((txid, view.position if v.committed else -v.winner)),
            )
        await asyncio.sleep(0.1)
        # The verdict comes when the view has the event; the first of the block wins.
        assert seen == [(2, 2), (3, -2), (4, -2)]
        lock = Proposal(5, verdict.commit_ts, locks=[(PREFIX + b"a", int(LockStrength.KEY_SHARE))])
        assert (await replica.submit(lock)).committed
        assert await replica.resolve(2) is TransactionStatus.COMMITTED
        await replica.stop()
        with pytest.raises(NodeFatal):
            raise replica.failed.result() if replica.failed.done() else NodeFatal("not failed")
        assert (await replica.submit(put(9, 0, b"z"))).outcome is Outcome.NOT_LEADER

    run(work())


def test_nothing_is_committed_at_a_closed_time() -> None:
    """Asked at every turn of the loop while proposals are under way, large ones too."""

    async def work() -> None:
        replica, _ = await started(simulated(SimulatedDisk()))
        events: list[Event] = []
        replica.subscribe(events.extend)
        answers: list[tuple[int, int]] = []
        verdicts: list[Verdict] = []
        decided = asyncio.Event()

        def decide(verdict: Verdict) -> None:
            verdicts.append(verdict)
            if len(verdicts) == 199:
                decided.set()

        for txid in range(1, 200):
            value = b"v" * (20_000 if txid % 40 == 0 else 10)
            replica.propose(put(txid, 0, b"%d" % txid, value=value), decide)
            for _ in range(txid % 4):
                await asyncio.sleep(0)
                closed_us = replica.closed_now_us()
                assert closed_us is not None
                answers.append((closed_us, len(events)))
        await decided.wait()
        assert all(verdict.committed for verdict in verdicts)
        for closed_us, count in answers:
            assert all(event.commit_ts > closed_us for event in events[count:] if not event.part)
        idle = replica.closed_now_us()
        assert idle is not None
        assert idle > events[-1].commit_ts
        later = replica.closed_now_us()
        assert later is not None
        assert later > idle
        await replica.stop()
        assert replica.closed_now_us() is None

    run(work())


@pytest.mark.parametrize("loss", list(Loss))
def test_what_was_acknowledged_survives(loss: Loss) -> None:
    disk = SimulatedDisk()
    acknowledged: dict[int, int] = {}

    async def life(seed: int) -> None:
        replica, _ = await started(simulated(disk, seed))
        assert len(list(replica.events.verify())) >= 0
        found = {event.txid: event.position for event in replica.events.read(1)}
        for txid, position in acknowledged.items():
            assert found[txid] == position
        chance = Random(seed)
        for number in range(chance.randrange(5, 120)):
            txid = seed * 1000 + number

            def answer(verdict: Verdict, txid: int = txid) -> None:
                if verdict.committed:
                    acknowledged[txid] = verdict.position

            name = b"%d" % chance.randrange(50)
            replica.propose(put(txid, replica.frontier.commit_ts, name, value=b"x" * chance.randrange(800)), answer)
            if chance.random() < 0.3:
                await asyncio.sleep(0.001)
        replica._running = False  # the machine stops here; nothing more is written
        disk.crash(chance, loss)

    for seed in range(1, 13):
        run(life(seed))
    assert len(acknowledged) > 100


def test_large_transaction_is_atomic_and_in_parts() -> None:
    disk = SimulatedDisk()

    async def work() -> None:
        replica, view = await started(simulated(disk))
        writes: list[Write] = [(PREFIX + b"%05d" % number, b"x" * 50, 0) for number in range(2000)]
        visible: list[int] = []
        replica.subscribe(lambda events: visible.append(replica.frontier.position))
        verdict = await replica.propose_large(Proposal(1, 0), [writes[:1500], writes[1500:]])
        assert verdict.committed
        assert view.parts > 20
        assert set(visible) == {0}
        assert len(view.rows) == 2000
        # A proposal that is larger than an entry goes the same way by itself.
        verdict = await replica.submit(Proposal(2, verdict.commit_ts, [(k, b"y" * 60, 1) for k, _, _ in writes]))
        assert verdict.committed
        assert view.rows[PREFIX + b"01999"] == b"y" * 60
        loser = await replica.submit(put(3, verdict.commit_ts - 1, b"01234", kind=1))
        assert (loser.outcome, loser.winner) == (Outcome.CONFLICT, 2)
        again = await replica.propose_large(Proposal(4, verdict.commit_ts - 1), [writes])
        assert (again.outcome, again.winner) == (Outcome.CONFLICT, 2)
        assert len(replica._machine.staging) == 0
        assert list(replica.events.verify())[-1] == 2
        await replica.stop()
        replica, _ = await started(simulated(disk))
        assert replica.frontier.position == 2
        assert sum(len(event.writes) for event in replica.events.read(1)) == 4000
        await replica.stop()

    run(work())


def test_large_transaction_above_the_key_bound_is_judged_by_relation() -> None:
    settings = ReplicaSettings(directory="/j", entry_bytes_max=4 << 10, bulk_keys_max=100)

    async def work() -> None:
        replica, _ = await started(simulated(SimulatedDisk()), settings)
        writes: list[Write] = [(PREFIX + b"%05d" % number, b"", 0) for number in range(500)]
        first = await replica.submit(put(1, 0, b"zzz"))
        assert (await replica.propose_large(Proposal(2, 0), [writes])).winner == 1
        bulk = await replica.propose_large(Proposal(3, first.commit_ts), [writes])
        assert bulk.committed
        assert (await replica.submit(put(4, first.commit_ts, b"not among them"))).winner == 3
        assert (await replica.submit(put(5, bulk.commit_ts, b"not among them"))).committed
        relations = [event.relations for event in replica.events.read(2) if event.position == 2 and event.part == 0]
        assert relations == [[(PREFIX[:4], int(LockStrength.EXCLUSIVE))]]
        await replica.stop()

    run(work())


def test_too_large_and_abandoned_leave_nothing_behind() -> None:
    settings = ReplicaSettings(directory="/j", entry_bytes_max=4 << 10, transaction_bytes_max=64 << 10)

    async def work() -> None:
        replica, view = await started(simulated(SimulatedDisk()), settings)
        writes: list[Write] = [(PREFIX + b"%05d" % number, b"x" * 100, 0) for number in range(1000)]
        verdict = await replica.propose_large(Proposal(1, 0), [writes])
        assert (verdict.outcome, verdict.sqlstate) == (Outcome.TOO_LARGE, "54000")
        large = replica.begin_large(2, 0)
        assert await large.add(writes[:100])
        large.abandon()
        assert (await replica.submit(put(3, 0, b"a"))).committed
        assert len(replica._machine.staging) == 0
        assert view.position == 1
        await replica.stop()

    run(work())


def test_fragments_survive_a_restart_until_concluded() -> None:
    disk = SimulatedDisk()

    async def work() -> None:
        replica, _ = await started(simulated(disk))
        large = replica.begin_large(1, 0)
        await large.add([(PREFIX + b"%05d" % number, b"x" * 100, 0) for number in range(200)])
        await replica.submit(put(2, 0, b"other"))
        count = replica._machine.staging.get(1).fragments_count  # type: ignore[union-attr]
        await replica.stop()
        replica, view = await started(simulated(disk))
        assert replica._machine.staging.get(1).fragments_count == count  # type: ignore[union-attr]
        verdict = await replica.submit(Proposal(1, 0, fragments=count))
        assert verdict.committed
        assert len(view.rows) == 200
        await replica.stop()

    run(work())


def test_compaction_keeps_the_raft_log_small_and_restarts_work() -> None:
    disk = SimulatedDisk()

    async def work() -> None:
        replica, _ = await started(simulated(disk))
        for number in range(1, 400):
            assert (await replica.submit(put(number, replica.frontier.commit_ts, b"k", value=b"x" * 900))).committed
            if number % 40 == 0:
                await asyncio.sleep(0.3)
                replica._on_timer()
        await asyncio.sleep(0.1)
        assert replica._log.first_index > 100
        assert replica._log.bytes_kept < 200_000
        disk.crash(Random(3), Loss.EVERYTHING)
        replica._running = False
        again, _ = await started(simulated(disk))
        assert again.frontier.position == 399
        # The adjudicator recalls from the event log what happened before the restart.
        old = next(again.events.read(300)).commit_ts
        assert (await again.submit(put(1000, old, b"k", kind=1))).outcome is Outcome.CONFLICT
        assert await again.resolve(350) is TransactionStatus.COMMITTED
        await again.stop()

    run(work())


def test_feed_follows_from_any_position() -> None:
    async def work() -> None:
        replica, _ = await started(simulated(SimulatedDisk()))
        for number in range(1, 11):
            await replica.submit(put(number, replica.frontier.commit_ts, b"k%d" % number))
        seen: list[int] = []

        async def consume() -> None:
            async for batch in follow(replica, 4):
                seen.extend(event.position for event in batch)

        task = asyncio.ensure_future(consume())
        await asyncio.sleep(0.01)
        assert seen == list(range(4, 11))
        for number in range(11, 16):
            await replica.submit(put(number, replica.frontier.commit_ts, b"k%d" % number))
        await asyncio.sleep(0.01)
        assert seen == list(range(4, 16))
        await replica.stop()
        with pytest.raises(BorealError, match="stopping"):
            await task

    run(work())


def test_a_subscriber_catches_up_from_the_event_log() -> None:
    async def work() -> None:
        replica, view = await started(simulated(SimulatedDisk()))
        await replica.propose_large(Proposal(1, 0), [[(PREFIX + b"%05d" % n, b"x" * 50, 0) for n in range(500)]])
        for number in range(2, 12):
            await replica.submit(put(number, replica.frontier.commit_ts, b"k%d" % number))
        late = View()
        late.position = 0
        replica.subscribe(late, after=0)
        assert (late.position, late.rows) == (11, view.rows)
        later = View()
        later.position = 5
        replica.subscribe(later, after=5)
        await replica.submit(put(12, replica.frontier.commit_ts, b"last"))
        assert late.position == later.position == view.position == 12
        await replica.stop()

    run(work())


def test_waiting_proposals_are_bounded() -> None:
    settings = ReplicaSettings(directory="/j", waiting_proposals_max=10)

    async def work() -> None:
        replica, _ = await started(simulated(SimulatedDisk()), settings)
        verdicts = await asyncio.gather(*(replica.submit(put(n, 0, b"%d" % n)) for n in range(1, 31)))
        outcomes = [verdict.outcome for verdict in verdicts]
        assert outcomes.count(Outcome.COMMITTED) == 10
        assert outcomes.count(Outcome.OVERLOADED) == 20
        await replica.stop()

    run(work())


# ---- faults ----


@pytest.mark.parametrize(
    ("operation", "code", "path"),
    [
        ("write", errno.EIO, "raft-"),
        ("synchronize", errno.EIO, "raft-"),
        ("write", errno.EIO, "events-"),
        ("synchronize", errno.EIO, "events-"),
    ],
)
def test_a_disk_error_stops_the_node_and_nothing_acknowledged_is_lost(operation: str, code: int, path: str) -> None:
    disk = SimulatedDisk()

    async def work() -> None:
        replica, _ = await started(simulated(disk))
        first = await replica.submit(put(1, 0, b"a"))
        await asyncio.sleep(0.01)  # the event log is written behind the verdict
        disk.fail(operation, code, path=f"{path}0000000001.log")
        verdict = await replica.submit(put(2, first.commit_ts, b"b"))
        error = await asyncio.wait_for(asyncio.shield(replica.failed), 5)
        assert path in str(error)
        # The Raft log alone decides what may be acknowledged.
        assert verdict.outcome is (Outcome.COMMITTED if path == "events-" else Outcome.UNKNOWN)
        assert (await replica.submit(put(3, 0, b"c"))).outcome is Outcome.NOT_LEADER
        await asyncio.sleep(0.01)
        disk.crash(Random(1), Loss.SOME)
        again, _ = await started(simulated(disk))
        found = {event.txid for event in again.events.read(1)}
        assert found >= ({1, 2} if verdict.committed else {1})
        await again.stop()

    run(work())


def test_a_full_disk_refuses_and_recovers() -> None:
    disk = SimulatedDisk(capacity_bytes=300_000)

    async def work() -> None:
        replica, _ = await started(simulated(disk))
        number = 0
        while True:
            number += 1
            verdict = await replica.submit(put(number, replica.frontier.commit_ts, b"k", value=b"x" * 900))
            if not verdict.committed:
                break
        assert (verdict.outcome, verdict.sqlstate) == (Outcome.DISK_FULL, "53100")
        assert number > 20
        assert not replica.failed.done()
        disk.capacity_bytes = None
        assert (await replica.submit(put(number + 1, replica.frontier.commit_ts, b"k"))).committed
        await replica.stop()

    run(work())


def test_a_subscriber_that_fails_stops_the_node() -> None:
    async def work() -> None:
        replica, _ = await started(simulated(SimulatedDisk()))

        def broken(events: list[Event]) -> None:
            raise ValueError("the view is broken")

        replica.subscribe(broken)
        assert (await replica.submit(put(1, 0, b"a"))).outcome is Outcome.UNKNOWN
        assert "the view is broken" in str(replica.failed.result())

    run(work())


def test_event_log_lost_behind_the_snapshot_is_named() -> None:
    disk = SimulatedDisk()

    async def work() -> None:
        replica, _ = await started(simulated(disk))
        for number in range(1, 200):
            await replica.submit(put(number, replica.frontier.commit_ts, b"k", value=b"x" * 900))
        await asyncio.sleep(0.3)
        replica._on_timer()
        await asyncio.sleep(0.1)
        await replica.stop()
        for name in disk.names("/j/events"):
            disk.remove(f"/j/events/{name}")
        with pytest.raises(CorruptData, match="was durable"):
            await started(simulated(disk))

    run(work())


# ---- a real process, killed ----

CHILD = """
import asyncio, sys, uvloop
from journal.environment import real_environment
from journal.event import Proposal
from journal.replica import Replica, ReplicaSettings

async def client(replica, number):
    count = 0
    while True:
        count += 1
        txid = (number << 32) + int(sys.argv[2]) * 1_000_000 + count
        key = bytes([0, 0, 0, 7, 0, 1]) + txid.to_bytes(8, "big")
        verdict = await replica.submit(Proposal(txid, replica.frontier.commit_ts, [(key, b"v" * 200, 0)]))
        assert verdict.committed, verdict
        sys.stdout.write(f"{txid} {verdict.position}\\n")

async def main():
    replica = Replica(real_environment(), ReplicaSettings(directory=sys.argv[1], compact_bytes=2 << 20,
        raft_segment_bytes=1 << 20, event_segment_bytes=1 << 20))
    await replica.start()
    sys.stdout.write("ready\\n"); sys.stdout.flush()
    await asyncio.gather(*(client(replica, number) for number in range(16)))

sys.stdout.reconfigure(line_buffering=True)
uvloop.run(main())
"""


def test_killed_processes_lose_nothing(tmp_path: Path) -> None:
    chance = random.Random(7)
    directory = str(tmp_path / "journal")
    acknowledged: dict[int, int] = {}
    for life in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", CHILD, directory, str(life)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        lines: list[bytes] = []
        for _ in range(chance.randrange(200, 3000)):
            lines.append(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
        lines += process.stdout.read().splitlines()
        process.wait()
        process.stdout.close()
        for line in lines:
            pair = line.split()
            if len(pair) == 2 and line.endswith(b"\n"):
                acknowledged[int(pair[0])] = int(pair[1])
        log = EventLog(real_environment().disk, f"{directory}/events", segment_bytes=1 << 20)
        list(log.verify())
        log.close()

    async def check() -> None:
        replica = Replica(
            real_environment(),
            ReplicaSettings(directory=directory, raft_segment_bytes=1 << 20, event_segment_bytes=1 << 20),
        )
        await replica.start()
        found = {event.txid: event.position for event in replica.events.read(1)}
        assert acknowledged.items() <= found.items()
        assert list(replica.events.verify())[-1] == replica.frontier.position
        await replica.stop()

    run(check())
    assert len(acknowledged) > 1000


# ---- three voters ----


def test_three_voters_elect_replicate_and_survive() -> None:
    async def work(cluster: Cluster) -> None:
        for txid in range(1, 51):
            await cluster.commit(txid)
        await cluster.agree(50)
        first = await cluster.leader()
        number = next(key for key, replica in cluster.replicas.items() if replica is first)
        follower = next(replica for replica in cluster.replicas.values() if replica is not first)
        assert follower.leader_name == f"node-{number}"
        # The leader loses power, with everything it had not synchronized; the others go on.
        await cluster.crash(number, Loss.EVERYTHING)
        for txid in range(51, 101):
            await cluster.commit(txid)
        await cluster.start(number)
        last = await cluster.commit(101)
        await cluster.agree(last.position)
        assert {event.txid for event in cluster.replicas[number].events.read(1)} == set(range(1, 102))
        # A large transaction, then all of them at once.
        leader = await cluster.leader()
        writes: list[Write] = [(PREFIX + b"L%06d" % each, b"x" * 100, 0) for each in range(30_000)]
        large = await leader.propose_large(Proposal(500, leader.frontier.commit_ts), [writes])
        assert large.committed
        await cluster.agree(large.position)
        for each in range(3):
            await cluster.crash(each, Loss.SOME)
        for each in range(3):
            await cluster.start(each)
        last = await cluster.commit(600)
        await cluster.agree(last.position)
        assert last.position == large.position + 1

    three(work)


def test_a_minority_does_not_commit() -> None:
    async def work(cluster: Cluster) -> None:
        await cluster.commit(1)
        leader = await cluster.leader()
        followers = [number for number, replica in cluster.replicas.items() if replica is not leader]
        await asyncio.gather(*(cluster.crash(number, Loss.EVERYTHING) for number in followers))
        pending = asyncio.ensure_future(leader.submit(put(2, leader.frontier.commit_ts, b"lonely")))
        await asyncio.sleep(0.8)
        assert not leader.has_lease
        assert not leader.is_leader
        assert not pending.done()
        assert leader.frontier.position == 1
        for number in range(3):
            if number not in cluster.replicas:
                await cluster.start(number)
        await cluster.commit(3)
        verdict = await pending
        assert verdict.outcome in (Outcome.COMMITTED, Outcome.NOT_LEADER)

    three(work)


def test_chaos_among_three_voters_loses_nothing() -> None:
    """Clients commit while replicas lose power and return, one at a time; `BOREAL_SOAK` makes it longer."""
    rounds = 60 if os.environ.get("BOREAL_SOAK") else 5

    async def work(cluster: Cluster) -> None:
        chance = Random(11)
        acknowledged: dict[int, int] = {}
        stopping = False

        async def client(number: int) -> None:
            txid = number * 1_000_000
            while not stopping:
                txid += 1
                for replica in list(cluster.replicas.values()):
                    if not replica.is_leader:
                        continue
                    key = b"%d" % (txid % 97)
                    verdict = await replica.submit(put(txid, replica.frontier.commit_ts, key, kind=1))
                    if verdict.committed:
                        acknowledged[txid] = verdict.position
                await asyncio.sleep(0.002)

        clients = [asyncio.ensure_future(client(number)) for number in range(1, 5)]
        for _ in range(rounds):
            await asyncio.sleep(chance.random() * 0.4)
            number = chance.randrange(3)
            await cluster.crash(number, chance.choice(list(Loss)))
            await asyncio.sleep(chance.random() * 0.4)
            await cluster.start(number)
            await cluster.leader()
        stopping = True
        await asyncio.gather(*clients)
        last = await cluster.commit(1)
        await cluster.agree(last.position)
        found = {event.txid: event.position for event in cluster.replicas[0].events.read(1)}
        assert acknowledged.items() <= found.items()
        assert len(acknowledged) > 50

    three(work)
