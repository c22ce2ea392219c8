"""Everything at once: clients and readers on every member, while members crash, are cut off, hand over, join and leave.

Goal: no acknowledged transaction is lost or appears twice, no refused one appears, no strong read is stale, all event logs
are equal at the end. Method: loopback replicas over simulated disks under a seeded storm; `BOREAL_SOAK` makes it longer.
"""

from __future__ import annotations

import asyncio
import os
from random import Random

import pytest

from journal.configuration import Change
from journal.errors import NodeFatal
from journal.event import Outcome, Proposal, Verdict
from journal.replica import Replica
from journal.simulated import Loss
from tests.journal.cluster import PREFIX, Cluster, put, run
from tests.journal.test_catchup import member_of
from tests.journal.test_reads import barrier

SEEDS = range(40) if os.environ.get("BOREAL_SOAK") else range(4)


class Storm:
    """One seeded run."""

    def __init__(self, cluster: Cluster, seed: int) -> None:
        self.cluster = cluster
        self.chance = Random(seed)
        self.verdicts: dict[int, Verdict] = {}
        self.acknowledged = 0
        self.reads = 0
        self.stopping = False
        self.next_txid = 0

    async def write(self, number: int) -> None:
        chance = Random(self.chance.getrandbits(32))
        while not self.stopping:
            replica = self.cluster.replicas.get(number)
            if replica is None or not replica._running:
                await asyncio.sleep(0.02)
                continue
            self.next_txid += 1
            txid = self.next_txid
            snapshot = replica.frontier.commit_ts
            if chance.random() < 0.02:
                rows = [(PREFIX + b"L%d-%d" % (txid, each), b"x" * 200, 0) for each in range(800)]
                verdict = await replica.propose_large(Proposal(txid, snapshot), [rows[:400], rows[400:]])
            else:
                key = b"%d" % chance.randrange(30)
                verdict = await replica.submit(put(txid, snapshot, key, kind=1, value=b"v" * chance.randrange(3000)))
            self.verdicts[txid] = verdict
            if verdict.committed:
                self.acknowledged = max(self.acknowledged, verdict.position)
            await asyncio.sleep(chance.random() * 0.005)

    async def read(self, number: int) -> None:
        while not self.stopping:
            replica = self.cluster.replicas.get(number)
            if replica is not None and replica._running:
                before = self.acknowledged
                if await barrier(replica) is None:
                    assert replica.frontier.position >= before, "a stale strong read"
                    self.reads += 1
            await asyncio.sleep(0.005)

    async def fault(self) -> None:
        cluster, chance = self.cluster, self.chance
        kind = chance.randrange(5)
        number = chance.choice(sorted(cluster.replicas))
        if kind == 0:
            await cluster.crash(number, chance.choice(list(Loss)))
            await asyncio.sleep(chance.random() * 0.6)
            await cluster.start(number)
        elif kind == 1:
            cluster.partition(number)
            await asyncio.sleep(chance.random() * 1.2)
            cluster.heal()
        elif kind == 2:
            leader = self.leader()
            if leader is not None:
                leader.transfer_leadership()
                await asyncio.sleep(0.1)
        elif kind == 3:
            leader = self.leader()
            if leader is not None:
                leader._log.compact(leader._applied)
                await self.make_compaction_sound(leader)
        else:
            for each in sorted(cluster.replicas):
                await cluster.crash(each, chance.choice(list(Loss)))
            for each in range(3):
                await cluster.start(each)

    async def make_compaction_sound(self, replica: Replica) -> None:
        """What housekeeping would have done before it."""
        replica._events.write_behind()
        await replica._keeper.make_durable(replica._snapshot())

    def leader(self) -> Replica | None:
        return next((each for each in self.cluster.replicas.values() if each.is_leader and each.has_lease), None)

    async def check(self) -> None:
        last = await self.cluster.commit(1 << 40)
        await asyncio.wait_for(self.cluster.agree(last.position), 20)
        for number, replica in self.cluster.replicas.items():
            assert not replica.failed.done()
            assert list(replica.events.verify())[-1] == last.position
            assert self.cluster.views[number].position == last.position
        replica = self.cluster.replicas[0]
        found: dict[int, int] = {}
        for event in replica.events.read(1):
            assert event.more or event.txid not in found, "applied twice"
            if not event.more:
                found[event.txid] = event.position
        for txid, verdict in self.verdicts.items():
            if verdict.committed:
                assert found[txid] == verdict.position
            elif verdict.outcome is not Outcome.UNKNOWN:
                assert txid not in found, verdict


@pytest.mark.timeout(180)
@pytest.mark.parametrize("fast_commit", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_storm(seed: int, fast_commit: bool) -> None:
    async def work() -> None:
        cluster = Cluster(
            fast_commit=fast_commit,
            entry_bytes_max=64 << 10,
            raft_segment_bytes=128 << 10,
            event_segment_bytes=256 << 10,
            compact_bytes=256 << 10,
            event_log_sync_seconds=0.05,
            unknown_after_seconds=1.5,
            lagging_bytes_max=512 << 10,
        )
        for number in range(3):
            await cluster.start(number)
        storm = Storm(cluster, seed)
        workers = [asyncio.ensure_future(work(number)) for work in (storm.write, storm.read) for number in range(3)]
        for _ in range(10):
            await asyncio.sleep(storm.chance.random() * 0.4)
            await storm.fault()
            for worker in workers:
                assert not worker.done() or worker.exception() is None
        await cluster.leader()
        await asyncio.sleep(0.5)
        storm.stopping = True
        await asyncio.wait_for(asyncio.gather(*workers), 20)
        await storm.check()
        assert sum(verdict.committed for verdict in storm.verdicts.values()) > 50
        assert storm.reads > 50
        await cluster.stop()

    run(work())


def test_a_rolling_replacement_under_load() -> None:
    """Every founder is replaced by a new member, one after the other, while clients write and read."""

    async def work() -> None:
        cluster = Cluster(3, 6, raft_segment_bytes=128 << 10, compact_bytes=256 << 10, unknown_after_seconds=1.5)
        for number in range(3):
            await cluster.start(number)
        storm = Storm(cluster, 99)
        workers = [asyncio.ensure_future(work(number)) for work in (storm.write, storm.read) for number in range(6)]
        await asyncio.sleep(0.3)
        for old in range(3):
            new = old + 3
            await cluster.start(new, joining=True)

            async def ask(what: Change, number: int, new: int = new) -> None:
                while True:
                    leader = await cluster.leader()
                    if what is Change.REMOVE and cluster.number_of(leader) == number:
                        leader.transfer_leadership(f"node-{new}")
                        await asyncio.sleep(0.2)
                        continue
                    future: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
                    leader.change_membership(what, member_of(cluster, number), future.set_result)
                    verdict = await future
                    if verdict.committed or "already" in verdict.reason or "not a member" in verdict.reason:
                        return
                    await asyncio.sleep(0.05)

            await ask(Change.ADD, new)
            await ask(Change.PROMOTE, new)
            await ask(Change.REMOVE, old)
            removed = cluster.replicas.pop(old)
            assert isinstance(await asyncio.wait_for(asyncio.shield(removed.failed), 10), NodeFatal)
        storm.stopping = True
        await asyncio.wait_for(asyncio.gather(*workers), 20)
        cluster.replicas[0] = cluster.replicas.pop(3)
        cluster.views[0] = cluster.views[3]
        await storm.check()
        assert cluster.replicas[0].configuration.voters == ["node-3", "node-4", "node-5"]
        await cluster.stop()

    run(work())
