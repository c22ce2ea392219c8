"""Leaders that die, that are cut off, that hand over; peers that are slow.

Goal: commits resume quickly, a returning member disturbs nobody, planned transfers fail no proposal. Method: replicas over
loopback with a network that can be cut, and the default timing where time is what is tested.
"""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from journal.event import Outcome, Proposal, Verdict
from journal.replica import Replica
from journal.simulated import Loss
from journal.transport import Message
from tests.journal.cluster import PREFIX, Cluster, put, three

DEFAULT_TIMING = {"heartbeat_seconds": 0.1, "election_seconds_min": 0.6, "election_seconds_max": 1.2}


async def transfer(leader: Replica, name: str | None) -> Verdict | None:
    future: asyncio.Future[Verdict | None] = asyncio.get_running_loop().create_future()
    leader.transfer_leadership(name, future.set_result)
    return await asyncio.wait_for(future, 5)


@pytest.mark.parametrize("round_number", range(3))
def test_commits_resume_within_a_second_and_a_half_of_a_leaders_death(round_number: int) -> None:
    async def work(cluster: Cluster) -> None:
        await cluster.followers()
        await cluster.commit(1)
        loop = asyncio.get_running_loop()
        leader = await cluster.leader()
        await asyncio.sleep(Random(round_number).random() * 0.1)
        began = loop.time()
        await cluster.crash(cluster.number_of(leader), Loss.EVERYTHING)
        await cluster.commit(2)
        assert loop.time() - began < 1.5

    three(work, **DEFAULT_TIMING)


def test_a_followers_death_is_not_noticed() -> None:
    async def work(cluster: Cluster) -> None:
        followers = await cluster.followers()
        leader = await cluster.leader()
        loop = asyncio.get_running_loop()
        longest = 0.0
        for txid in range(1, 300):
            if txid == 50:
                await cluster.crash(cluster.number_of(followers[0]), Loss.EVERYTHING)
            began = loop.time()
            assert (await leader.submit(put(txid, 0, b"%d" % txid))).committed
            longest = max(longest, loop.time() - began)
        assert longest < 0.1

    three(work, **DEFAULT_TIMING)


def test_a_member_that_was_cut_off_returns_without_an_election() -> None:
    async def work(cluster: Cluster) -> None:
        await cluster.commit(1)
        follower = (await cluster.followers())[0]
        leader = await cluster.leader()
        term = leader._consensus.raftCurrentTerm
        number = cluster.number_of(follower)
        await follower.applied(1)
        cluster.partition(number)
        await asyncio.sleep(1.5)
        # Without anybody to vote for it, it does not even raise its term (pre-vote).
        assert follower._consensus.raftCurrentTerm == term
        last = await cluster.commit(2)
        assert follower.frontier.position == 1
        cluster.heal()
        await follower.applied(last.position)
        assert await cluster.leader() is leader
        assert leader._consensus.raftCurrentTerm == term

    three(work)


def test_a_member_with_a_higher_term_is_taken_back() -> None:
    async def work(cluster: Cluster) -> None:
        await cluster.commit(1)
        follower = (await cluster.followers())[0]
        leader = await cluster.leader()
        # As if it had been a candidate that nobody heard of.
        follower._consensus._SyncObj__setCurrentTerm(leader._consensus.raftCurrentTerm + 7, None)
        last = await cluster.commit(2)
        await asyncio.wait_for(follower.applied(last.position), 5)
        terms = {replica._consensus.raftCurrentTerm for replica in cluster.replicas.values()}
        assert len(terms) == 1

    three(work)


def test_a_leader_that_is_cut_off_steps_down_in_time_and_follows_again() -> None:
    async def work(cluster: Cluster) -> None:
        await cluster.commit(1)
        leader = await cluster.leader()
        number = cluster.number_of(leader)
        loop = asyncio.get_running_loop()
        cluster.partition(number)
        began = loop.time()
        lost = [asyncio.ensure_future(leader.submit(put(1000 + n, 0, b"lost%d" % n))) for n in range(200)]
        while leader.is_leader:
            assert loop.time() - began < 0.6
            await asyncio.sleep(0.01)
        assert (await leader.submit(put(5, 0, b"x"))).outcome is Outcome.NOT_LEADER
        del cluster.replicas[number]
        for txid in range(10, 60):
            await cluster.commit(txid)
        cluster.replicas[number] = leader
        cluster.heal()
        last = await cluster.commit(60)
        await cluster.agree(last.position)
        outcomes = {(await each).outcome for each in lost}
        assert outcomes <= {Outcome.NOT_LEADER, Outcome.UNKNOWN}
        found = {event.txid for event in leader.events.read(1)}
        assert not any(1000 + n in found for n in range(200))

    three(work)


# ---- transfer ----


def test_leadership_is_transferred_without_failing_anybody() -> None:
    async def work(cluster: Cluster) -> None:
        await cluster.followers()
        verdicts: list[Verdict] = []
        stopping = False

        async def client(number: int) -> None:
            txid = number * 100_000
            while not stopping:
                txid += 1
                verdicts.append(await cluster.replicas[number].submit(put(txid, 0, b"%d" % txid)))
                if not verdicts[-1].committed:
                    await asyncio.sleep(0.05)  # as a client would

        clients = [asyncio.ensure_future(client(number)) for number in (0, 1, 2)]
        for _ in range(4):
            leader = await cluster.leader()
            target = (cluster.number_of(leader) + 1) % 3
            assert await transfer(leader, f"node-{target}") is None
            assert not leader.is_leader
            async with asyncio.timeout(10):
                while not cluster.replicas[target].is_leader:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.02)
            await asyncio.sleep(0.2)
        stopping = True
        await asyncio.gather(*clients)
        refused = [verdict for verdict in verdicts if not verdict.committed]
        # Whoever asks a leader that has just been deposed may be refused; nobody is left in doubt.
        assert all(verdict.outcome is Outcome.NOT_LEADER for verdict in refused)
        assert len(refused) <= 12
        assert len(verdicts) > 200

    three(work)


def test_a_transfer_that_cannot_be_is_refused_or_given_up() -> None:
    async def work(cluster: Cluster) -> None:
        follower = (await cluster.followers())[0]
        leader = await cluster.leader()
        for name, reason in ((leader.name, "leads already"), ("stranger", "no vote")):
            refused = await transfer(leader, name)
            assert refused is not None
            assert reason in refused.reason
        refused = await transfer(follower, leader.name)
        assert refused is not None
        assert "not the leader" in refused.reason
        await cluster.crash(cluster.number_of(follower), Loss.NOTHING)
        await cluster.commit(1)
        given_up = asyncio.ensure_future(transfer(leader, follower.name))
        await asyncio.sleep(0)
        turns = leader._consensus.tick
        count = 0

        def counted() -> None:
            nonlocal count
            count += 1
            turns()

        leader._consensus.tick = counted  # type: ignore[method-assign]
        pending = asyncio.ensure_future(leader.submit(put(2, 0, b"held")))
        assert (await given_up) is not None
        assert count < 400, "what is held keeps the driver spinning"
        # What was held meanwhile goes on.
        assert (await pending).committed
        assert leader.has_lease

    three(work, transfer_seconds=0.4)


def test_the_preferred_member_leads_when_it_can() -> None:
    async def work(cluster: Cluster) -> None:
        for _ in range(100):
            if (await cluster.leader()).name == "node-2":
                break
            await asyncio.sleep(0.1)
        assert (await cluster.leader()).name == "node-2"

    three(work, leader_preferred="node-2")


def test_draining_hands_over() -> None:
    async def work(cluster: Cluster) -> None:
        await cluster.commit(1)
        leader = await cluster.leader()
        number = cluster.number_of(leader)
        loop = asyncio.get_running_loop()
        began = loop.time()
        await leader.stop()
        del cluster.replicas[number]
        await cluster.commit(2)
        # No election timeout had to pass.
        assert loop.time() - began < 0.6

    three(work, **DEFAULT_TIMING)


# ---- slow peers ----


def test_a_peer_that_does_not_read_costs_bounded_memory_and_no_time() -> None:
    async def work(cluster: Cluster) -> None:
        follower = (await cluster.followers())[0]
        leader = await cluster.leader()
        number = cluster.number_of(follower)
        inbound = next(writer for name, writer in follower._transport._inbound_of.items() if name == leader.name)
        inbound.transport.pause_reading()
        loop = asyncio.get_running_loop()
        longest = 0.0
        for txid in range(1, 400):
            began = loop.time()
            proposal = Proposal(txid, 0, [(PREFIX + b"%d" % txid, b"x" * 50_000, 0)])
            assert (await leader.submit(proposal)).committed
            longest = max(longest, loop.time() - began)
        assert longest < 0.5
        assert leader._consensus._in_flight_bytes[follower.name] <= 2 << 20
        buffered = leader._transport._writers[follower.name].transport.get_write_buffer_size()
        assert buffered < 3 << 20
        inbound.transport.resume_reading()
        await asyncio.wait_for(follower.applied(399), 10)
        assert cluster.views[number].position == 399

    three(work, peer_bytes_in_flight_max=1 << 20)


def test_a_witness_hands_over_as_soon_as_it_can() -> None:
    async def work(cluster: Cluster) -> None:
        await cluster.followers()
        await cluster.commit(1)
        leader = await cluster.leader()
        assert leader.name != "node-2"
        assert await transfer(leader, "node-2") is None
        for _ in range(100):
            if (await cluster.leader()).name != "node-2":
                break
            await asyncio.sleep(0.02)
        assert (await cluster.leader()).name != "node-2"

    three(work, witness=2)


def test_a_leader_whose_successor_does_not_take_over_has_a_lease_again() -> None:
    """It had given up the lease for good in its term: so it has itself elected for the next one, and nothing is lost on the way."""

    async def work(cluster: Cluster) -> None:
        leader = await cluster.leader()
        successor = (await cluster.followers())[0]
        await cluster.commit(1)
        term = leader._consensus.raftCurrentTerm

        def deaf(name: str, message: Message) -> bool:
            return message["type"] != "timeout_now" and admit(name, message)

        admit, successor._transport._admit = successor._transport._admit, deaf
        refused = await transfer(leader, successor.name)
        assert refused is not None
        assert "did not take over within" in refused.reason
        waiting = asyncio.ensure_future(leader.submit(put(2, 0, b"a")))
        assert (await asyncio.wait_for(waiting, 5)).outcome in (Outcome.COMMITTED, Outcome.NOT_LEADER)
        assert await asyncio.wait_for(cluster.leader(), 5) is leader
        assert leader.has_lease
        assert leader._consensus.raftCurrentTerm == term + 1
        last = await cluster.commit(3)
        await cluster.agree(last.position)

    three(work, transfer_seconds=0.3)


def test_who_is_cut_off_says_soon_that_nobody_knows() -> None:
    """Not after `unknown_after_seconds`, which is for members that hear a leader."""

    async def work(cluster: Cluster) -> None:
        leader = await cluster.leader()
        follower, other = await cluster.followers()
        assert (await follower.submit(put(1, 0, b"a"))).committed
        # Disks that never answer: both take what is sent to them, and say nothing more.
        follower._synchronizing = other._synchronizing = True
        began = asyncio.get_running_loop().time()
        found = await asyncio.wait_for(
            asyncio.gather(leader.submit(put(2, 0, b"b")), follower.submit(put(3, 0, b"c"))), 8
        )
        took = asyncio.get_running_loop().time() - began
        assert [verdict.outcome for verdict in found] == [Outcome.UNKNOWN] * 2
        assert found[0].sqlstate == "40003"
        assert took > 1.2  # an election's time is left for a new leader, who would know
        later = await asyncio.wait_for(follower.submit(put(4, 0, b"d")), 1)
        assert (later.outcome, later.sqlstate) == (Outcome.NOT_LEADER, "57P03")
        follower._synchronizing = other._synchronizing = False

    three(work)
