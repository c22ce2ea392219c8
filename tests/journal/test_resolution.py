"""`Replica.resolve`: what became of a transaction, asked of any member.

Goal: COMMITTED and ABORTED are never wrong, whatever is still on its way; who cannot know says UNKNOWN. Method: single replicas on a
simulated disk, with restarts, short windows and a removed past; three over loopback, one of which is cut off.
"""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest

from journal.environment import Environment, SystemClock, SystemNetwork
from journal.event import Outcome
from journal.messages import Forward
from journal.replica import Replica, ReplicaSettings, TransactionStatus
from journal.resolution import CLOCKS_APART_US_MAX
from journal.simulated import Loss, SimulatedDisk
from journal.transactionids import NODE_BITS
from tests.journal.cluster import Cluster, put, run, three

COMMITTED, ABORTED = TransactionStatus.COMMITTED, TransactionStatus.ABORTED
PENDING, UNKNOWN = TransactionStatus.PENDING, TransactionStatus.UNKNOWN
MINUTE_US = 60_000_000


class MovableClock(SystemClock):
    """The host's clock, set forward by hand."""

    def __init__(self) -> None:
        self.ahead_us = 0

    def wall_us(self) -> int:
        return super().wall_us() + self.ahead_us


async def alone(disk: SimulatedDisk, clock: SystemClock | None = None, **options: Any) -> Replica:
    environment = Environment(clock or SystemClock(), Random(1), disk, SystemNetwork())
    replica = Replica(environment, ReplicaSettings(directory="/j", **options))
    await replica.start()
    return replica


async def commit(replica: Replica, txid: int, key: bytes = b"k") -> int:
    verdict = await replica.submit(put(txid, replica.frontier.commit_ts, key + b"%d" % txid))
    assert verdict.committed
    return verdict.commit_ts


def test_what_has_committed_and_what_has_not() -> None:
    async def work() -> None:
        replica = await alone(SimulatedDisk())
        committed, never = replica.transaction_ids.next(), replica.transaction_ids.next()
        await commit(replica, committed)
        position = replica.frontier.position
        assert await replica.resolve(committed) is COMMITTED
        assert replica.frontier.position == position  # to ask for what is known changes nothing
        assert await replica.resolve(never) is ABORTED
        assert await replica.resolve(0) is UNKNOWN
        assert await replica.resolve(-5) is UNKNOWN
        future = replica.clock.now_us() + 2 * CLOCKS_APART_US_MAX << NODE_BITS
        assert await replica.resolve(future) is UNKNOWN
        await replica.stop()

    run(work())


@pytest.mark.parametrize("restarts", [False, True], ids=["running", "restarted"])
def test_what_was_said_to_have_aborted_never_commits(restarts: bool) -> None:
    async def work() -> None:
        disk = SimulatedDisk()
        replica = await alone(disk)
        late = put(replica.transaction_ids.next(), replica.frontier.commit_ts, b"late")
        assert await replica.resolve(late.txid) is ABORTED
        if restarts:
            await replica._close(Outcome.UNKNOWN, "crash")
            disk.crash(Random(2), Loss.EVERYTHING)
            replica = await alone(disk)
        verdict = await replica.submit(late)
        assert verdict.outcome is Outcome.GIVEN_UP
        assert verdict.sqlstate == "40001"
        assert await replica.resolve(late.txid) is ABORTED
        await commit(replica, replica.transaction_ids.next())
        await replica.stop()

    run(work())


def test_a_large_transaction_that_was_given_up() -> None:
    async def work() -> None:
        replica = await alone(SimulatedDisk(), entry_bytes_max=4 << 10)
        late = put(replica.transaction_ids.next(), replica.frontier.commit_ts, *[b"%d" % each for each in range(900)])
        assert await replica.resolve(late.txid) is ABORTED
        assert (await replica.submit(late)).outcome is Outcome.GIVEN_UP
        await replica.stop()

    run(work())


def test_what_waits_here_is_in_progress() -> None:
    async def work() -> None:
        replica = await alone(SimulatedDisk())
        txid = replica.transaction_ids.next()
        committing = asyncio.ensure_future(commit(replica, txid))
        await asyncio.sleep(0)
        assert await replica.resolve(txid) is PENDING
        await committing
        assert await replica.resolve(txid) is COMMITTED
        await replica.stop()

    run(work())


def test_beyond_the_window_the_event_log_knows() -> None:
    """Long after, and after a restart: nothing need be given up, because whatever began then is too old to commit."""

    async def work() -> None:
        disk, clock = SimulatedDisk(), MovableClock()
        replica = await alone(disk, clock, window_us=MINUTE_US)
        committed, never = replica.transaction_ids.next(), replica.transaction_ids.next()
        for txid in (committed, *[replica.transaction_ids.next() for _ in range(6000)]):
            await commit(replica, txid)
        for _ in range(4):
            clock.ahead_us += 2 * MINUTE_US
            await commit(replica, replica.transaction_ids.next())
        await replica._close(Outcome.UNKNOWN, "crash")
        disk.crash(Random(2), Loss.EVERYTHING)
        replica = await alone(disk, clock, window_us=MINUTE_US)
        position = replica.frontier.position
        assert await replica.resolve(committed) is COMMITTED
        assert await replica.resolve(never) is ABORTED
        assert replica.frontier.position == position
        assert (await replica.submit(put(never, 0, b"x"))).outcome is Outcome.TOO_OLD
        await replica.stop()

    run(work())


def test_what_is_not_retained_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        replica = await alone(SimulatedDisk())
        txid = replica.transaction_ids.next()
        await commit(replica, replica.transaction_ids.next())
        monkeypatch.setattr("journal.eventlog.EventLog.retained_after", replica.frontier.commit_ts)
        assert await replica.resolve(txid) is UNKNOWN
        await replica.stop()

    run(work())


def test_every_member_can_be_asked_and_a_minority_does_not_know() -> None:
    async def work(cluster: Cluster) -> None:
        leader = await cluster.leader()
        follower, cut_off = await cluster.followers()
        committed = follower.transaction_ids.next()
        await commit(follower, committed)
        for replica in cluster.replicas.values():
            assert await replica.resolve(committed) is COMMITTED
            assert await replica.resolve(replica.transaction_ids.next()) is ABORTED
        undecided, late = (put(leader.transaction_ids.next(), leader.frontier.commit_ts, name) for name in (b"a", b"b"))
        cluster.partition(cluster.number_of(cut_off))
        assert await cut_off.resolve(undecided.txid) is UNKNOWN
        assert await cut_off.resolve(committed) is COMMITTED  # what is here has committed
        assert (await leader.submit(undecided)).committed
        assert await follower.resolve(undecided.txid) is COMMITTED
        assert await follower.resolve(late.txid) is ABORTED
        cluster.heal()
        await cluster.followers()
        verdict = await cut_off.submit(late)
        for _ in range(200):
            if verdict.outcome not in (Outcome.NOT_LEADER, Outcome.UNKNOWN):
                break
            await asyncio.sleep(0.02)
            verdict = await cut_off.submit(late)
        assert verdict.outcome is Outcome.GIVEN_UP
        assert await cut_off.resolve(undecided.txid) is COMMITTED
        await cluster.agree(leader.frontier.position)

    three(work, read_timeout_seconds=0.5)


def test_a_proposal_that_a_paused_leader_still_has() -> None:
    """The leader has ordered it and is cut off before anybody else has it: whoever asks the others hears that it has aborted, and
    so it is when the old leader is back, whose entry is replaced."""

    async def work(cluster: Cluster) -> None:
        leader = await cluster.leader()
        await cluster.followers()
        lost = put(leader.transaction_ids.next(), leader.frontier.commit_ts, b"lost")
        number = cluster.number_of(leader)
        cluster.partition(number)
        answer = asyncio.ensure_future(leader.submit(lost))
        del cluster.replicas[number]
        successor = await cluster.leader()
        assert await successor.resolve(lost.txid) is ABORTED
        cluster.replicas[number] = leader
        cluster.heal()
        assert (await answer).outcome in (Outcome.NOT_LEADER, Outcome.UNKNOWN)
        await cluster.followers()
        assert await leader.resolve(lost.txid) is ABORTED

    three(work)


def test_what_was_given_up_elsewhere_is_not_in_progress_where_it_was_proposed() -> None:
    """Its proposal is lost on the way to the leader, so its own node waits for a verdict; another one was asked meanwhile."""

    async def work(cluster: Cluster) -> None:
        leader = await cluster.leader()
        follower = (await cluster.followers())[0]
        deliver = leader._transport.on_side_message
        leader._transport.on_side_message = lambda name, message: (
            None if isinstance(message, Forward) else deliver(name, message)
        )
        lost = put(follower.transaction_ids.next(), follower.frontier.commit_ts, b"lost")
        answer = asyncio.ensure_future(follower.submit(lost))
        await asyncio.sleep(0.05)
        assert await follower.resolve(lost.txid) is PENDING
        assert await leader.resolve(lost.txid) is ABORTED
        assert follower.is_pending(lost.txid)
        assert await follower.resolve(lost.txid) is ABORTED
        # Who cannot ask the others knows what it has, and that it waits for the rest.
        cluster.partition(cluster.number_of(follower))
        other = put(follower.transaction_ids.next(), follower.frontier.commit_ts, b"other")
        follower._forwarder.propose(other.txid, b"", lambda verdict: None)
        follower._forwarder._parcels.clear()
        assert await follower.resolve(other.txid) is PENDING
        cluster.heal()
        await follower.stop()
        assert (await answer).outcome is Outcome.UNKNOWN
        del cluster.replicas[cluster.number_of(follower)]

    three(work, drain_seconds=0.1, read_timeout_seconds=0.2)
