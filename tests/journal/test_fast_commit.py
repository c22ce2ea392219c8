"""Two-of-three fast commit: earlier for the follower, no less safe, and no read misses it.

Goal: what a follower acknowledged survives every minority, and a strong read that begins after the acknowledgement, on any
member, sees it, also while the leader does not know yet. Method: three replicas over loopback whose acknowledgements to
the leader are held back.
"""

from __future__ import annotations

import asyncio

from journal.event import Outcome, Verdict
from journal.replica import Replica
from journal.simulated import Loss
from tests.journal.cluster import Cluster, put, three
from tests.journal.test_reads import barrier


def hold_acknowledgements(replica: Replica) -> list[bool]:
    """From now on the replica's acknowledgements stay in its outbox, until the returned list is emptied."""
    held = [True]
    transport = replica._transport
    release = transport.release

    def selective() -> None:
        if held:
            kept = [each for each in transport._outbox if each[-1]["type"] == "next_node_idx"]
            transport._outbox = [each for each in transport._outbox if each[-1]["type"] != "next_node_idx"]
            release()
            transport._outbox = kept
        else:
            release()

    transport.release = selective  # type: ignore[method-assign]
    return held


def test_a_read_at_the_leader_waits_for_what_a_follower_has_acknowledged() -> None:
    async def work(cluster: Cluster) -> None:
        followers = await cluster.followers()
        leader = await cluster.leader()
        await cluster.commit(1)
        holds = [hold_acknowledgements(follower) for follower in followers]
        verdict = await asyncio.wait_for(followers[0].submit(put(2, 0, b"early")), 1)
        assert verdict.committed
        # The leader does not know that it is committed; it could answer from its lease, and would be wrong.
        assert leader.frontier.position == 1
        assert leader.has_lease
        answers: list[Verdict | None] = []
        leader.read_barrier(answers.append)
        followers[1].read_barrier(answers.append)
        await asyncio.sleep(0.03)
        assert len(answers) <= 1
        assert leader.frontier.position == 1
        for held in holds:
            held.clear()
        assert await barrier(leader) is None
        assert leader.frontier.position == 2
        await asyncio.sleep(0.05)
        assert answers == [None, None]
        await cluster.agree(2)

    three(work, fast_commit=True, read_timeout_seconds=2.0)


def test_what_a_follower_acknowledged_survives_the_leader() -> None:
    async def work(cluster: Cluster) -> None:
        followers = await cluster.followers()
        leader = await cluster.leader()
        await cluster.commit(1)
        hold_acknowledgements(followers[0])
        # The third member has nothing of it.
        cluster.partition(cluster.number_of(followers[1]))
        verdict = await asyncio.wait_for(followers[0].submit(put(2, 0, b"early")), 1)
        assert verdict.committed
        assert leader.frontier.position == 1
        await cluster.crash(cluster.number_of(leader), Loss.EVERYTHING)
        number = cluster.number_of(followers[0])
        await cluster.crash(number, Loss.EVERYTHING)
        cluster.heal()
        again = await cluster.start(number)
        assert (await cluster.leader()) is again
        await cluster.agree(2)
        assert [event.txid for event in again.events.read(1)] == [1, 2]
        for missing in range(3):
            if missing not in cluster.replicas:
                await cluster.start(missing)
        await cluster.commit(3)
        await cluster.agree(3)

    three(work, fast_commit=True)


def test_reads_race_commits_everywhere() -> None:
    async def work(cluster: Cluster) -> None:
        await cluster.followers()
        acknowledged = 0
        stopping = False

        async def write(number: int) -> None:
            nonlocal acknowledged
            txid = number * 10_000
            while not stopping:
                txid += 1
                verdict = await cluster.replicas[number].submit(put(txid, 0, b"%d" % txid))
                assert verdict.outcome is Outcome.COMMITTED
                acknowledged = max(acknowledged, verdict.position)

        async def read(number: int) -> int:
            replica, count = cluster.replicas[number], 0
            while not stopping:
                before = acknowledged
                assert await barrier(replica) is None
                assert replica.frontier.position >= before
                count += 1
                await asyncio.sleep(0)
            return count

        workers = [asyncio.ensure_future(work(number)) for work in (write, read) for number in range(3)]
        await asyncio.sleep(1.5)
        stopping = True
        await asyncio.gather(*workers)
        assert acknowledged > 100
        last = await cluster.commit(99_999)
        await cluster.agree(last.position)

    three(work, fast_commit=True)


def test_with_a_lead_the_acknowledgement_waits_until_its_timestamp_has_passed() -> None:
    async def work(cluster: Cluster) -> None:
        follower = (await cluster.followers())[0]
        clock = follower._environment.clock
        began = clock.wall_us()
        verdict = await follower.submit(put(1, 0, b"a"))
        assert verdict.commit_ts >= began + 50_000
        assert clock.wall_us() >= verdict.commit_ts
        # Closed time leads, too: "now" is closed without any wait.
        await asyncio.sleep(0.1)
        assert follower.closed_us >= clock.wall_us()

    three(work, fast_commit=True, commit_lead_ms=50.0, closed_seconds=0.005)


def test_an_entry_of_an_older_term_is_not_taken_for_committed() -> None:
    async def work(cluster: Cluster) -> None:
        await cluster.commit(1)
        follower = (await cluster.followers())[0]
        consensus, log = follower._consensus, follower._log
        consensus.matched_in_term = 0
        consensus._SyncObj__raftCurrentTerm += 1  # as if what the log ends with were of the term before
        consensus._SyncObj__sendNextNodeIdx(
            consensus._peers.nodes["node-0" if follower.name != "node-0" else "node-1"],
            nextNodeIdx=log.last_index + 1,
            success=True,
        )
        consensus._SyncObj__raftCurrentTerm -= 1
        assert consensus.matched_in_term == 0
        follower._transport._outbox.clear()

    three(work, fast_commit=True)
