"""Strong reads and closed time: never stale, never for ever.

Goal: after `read_barrier` a node has applied everything that anybody was told of before the call; in a minority it refuses
in time; closed time is never contradicted by a later event. Method: replicas over loopback, with reads racing commits.
"""

from __future__ import annotations

import asyncio
from random import Random

from journal.closed import ClosedTime
from journal.environment import FixedClockError, KernelClockError, UnknownClockError, _Timex
from journal.event import Event, Outcome, Verdict
from journal.messages import ReadRequest
from journal.replica import Replica
from journal.simulated import Loss, SimulatedDisk
from tests.journal.cluster import SMALL, Cluster, put, run, simulated, three


async def barrier(replica: Replica) -> Verdict | None:
    future: asyncio.Future[Verdict | None] = asyncio.get_running_loop().create_future()
    replica.read_barrier(future.set_result)
    return await future


async def closed(replica: Replica, timestamp_us: int, timeout_seconds: float) -> Verdict | None:
    future: asyncio.Future[Verdict | None] = asyncio.get_running_loop().create_future()
    replica.wait_closed(timestamp_us, future.set_result, timeout_seconds)
    return await future


def test_a_leader_with_a_lease_answers_at_once() -> None:
    async def work() -> None:
        replica = Replica(simulated(SimulatedDisk()), SMALL)
        await replica.start()
        answers: list[Verdict | None] = []
        replica.read_barrier(answers.append)
        assert answers == [None]
        await replica.stop()
        replica.read_barrier(answers.append)
        assert answers[1] is not None
        assert answers[1].sqlstate == "57P03"

    run(work())


def test_reads_on_every_member_are_never_stale() -> None:
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
                if verdict.committed:
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

        writers = [asyncio.ensure_future(write(number)) for number in range(3)]
        readers = [asyncio.ensure_future(read(number)) for number in range(3)]
        await asyncio.sleep(1.5)
        stopping = True
        await asyncio.gather(*writers)
        assert min(await asyncio.gather(*readers)) > 50
        assert acknowledged > 100

    three(work)


def test_one_question_serves_all_who_wait() -> None:
    async def work(cluster: Cluster) -> None:
        follower = (await cluster.followers())[0]
        leader = await cluster.leader()
        asked: list[ReadRequest] = []
        original = leader._reads.asked
        leader._reads.asked = lambda name, request: (asked.append(request), original(name, request))  # type: ignore[method-assign, func-returns-value]
        answers = await asyncio.gather(*(barrier(follower) for _ in range(500)))
        assert answers == [None] * 500
        assert 1 <= len(asked) <= 3

    three(work)


def test_a_leader_without_a_lease_asks_its_majority() -> None:
    async def work(cluster: Cluster) -> None:
        follower = (await cluster.followers())[0]
        leader = await cluster.leader()
        await cluster.commit(1)
        leader._consensus._lease_given_up_in = leader._consensus.raftCurrentTerm
        assert not leader.has_lease
        began = asyncio.get_running_loop().time()
        assert await barrier(leader) is None
        assert await barrier(follower) is None
        # Not at the next heartbeat, but by one of its own.
        assert asyncio.get_running_loop().time() - began < 0.3

    three(work, heartbeat_seconds=0.25, election_seconds_min=0.9, election_seconds_max=1.5)


def test_a_minority_refuses_within_the_bound() -> None:
    async def work(cluster: Cluster) -> None:
        await cluster.commit(1)
        followers = await cluster.followers()
        leader = await cluster.leader()
        for follower in followers:
            await cluster.crash(cluster.number_of(follower), Loss.EVERYTHING)
        loop = asyncio.get_running_loop()
        began = loop.time()
        for _ in range(30):
            await asyncio.sleep(0.01)
        assert not leader.has_lease
        refused = await barrier(leader)
        assert refused is not None
        assert refused.sqlstate == "57P03"
        assert loop.time() - began < 1.0
        # Reads of what is there go on; writes are refused at once when it has stepped down.
        assert leader.frontier.position == 1
        verdict = await leader.submit(put(2, 0, b"x"))
        assert verdict.outcome is Outcome.NOT_LEADER
        for number in range(3):
            if number not in cluster.replicas:
                await cluster.start(number)
        await cluster.leader()
        assert await barrier(leader) is None or await barrier(leader) is None

    three(work, read_timeout_seconds=0.5)


def test_a_follower_keeps_asking_while_leaders_change() -> None:
    async def work(cluster: Cluster) -> None:
        followers = await cluster.followers()
        leader = await cluster.leader()
        await cluster.crash(cluster.number_of(leader), Loss.EVERYTHING)
        answers = await asyncio.gather(*(barrier(follower) for follower in followers))
        assert answers == [None, None]

    three(work, read_timeout_seconds=5.0)


# ---- closed time ----


def test_no_event_comes_at_or_below_closed_time() -> None:
    async def work(cluster: Cluster) -> None:
        await cluster.followers()
        violations: list[Event] = []
        for replica in cluster.replicas.values():

            def watch(events: list[Event], replica: Replica = replica) -> None:
                violations.extend(event for event in events if event.commit_ts <= replica.closed_us)

            replica.subscribe(watch)
        stopping = False

        async def write(number: int) -> None:
            txid = number * 100_000
            while not stopping:
                txid += 1
                if number in cluster.replicas:
                    await cluster.replicas[number].submit(put(txid, 0, b"%d" % txid))
                await asyncio.sleep(0.001)

        writers = [asyncio.ensure_future(write(number)) for number in range(3)]
        await asyncio.sleep(0.5)
        for replica in cluster.replicas.values():
            wall = replica._environment.clock.wall_us()
            assert await closed(replica, wall, 1.0) is None
            assert replica.closed_us >= wall
        await cluster.crash(cluster.number_of(await cluster.leader()), Loss.EVERYTHING)
        await asyncio.sleep(1.5)
        stopping = True
        await asyncio.gather(*writers)
        assert violations == []
        replica = next(iter(cluster.replicas.values()))
        assert await closed(replica, replica._environment.clock.wall_us(), 2.0) is None
        refused = await closed(replica, replica._environment.clock.wall_us() + 3_600_000_000, 0.1)
        assert refused is not None
        assert refused.sqlstate == "57P03"

    three(work, closed_seconds=0.005, unknown_after_seconds=1.0)


def test_promises_hold_only_once_their_entry_is_applied() -> None:
    async def work() -> None:
        applied = 5
        times = ClosedTime(asyncio.get_running_loop(), lambda: applied)
        answers: list[Verdict | None] = []
        times.wait(100, answers.append, 1.0)
        times.promised(7, 100)
        times.promised(6, 90)  # older than what is known
        times.promised(9, 200)
        assert times.closed_us == 0
        applied = 7
        times.progressed()
        await asyncio.sleep(0)
        assert (times.closed_us, answers) == (100, [None])
        times.promised(7, 150)
        assert times.closed_us == 150
        for number in range(5000):
            times.promised(100 + number, 1000 + number)
        assert len(times._promises) <= 1024
        applied = 10_000
        times.progressed()
        assert times.closed_us == 5999

    run(work())


def test_what_is_known_of_the_clock() -> None:
    assert UnknownClockError().error_us() is None
    assert FixedClockError(250).error_us() == 250
    kernel = KernelClockError()
    kernel._read = None
    assert kernel.error_us() is None
    asked = 0

    def answer(state: int, status: int) -> int | None:
        def read(pointer: object) -> int:
            nonlocal asked
            asked += 1
            timex: _Timex = pointer._obj  # type: ignore[attr-defined]
            assert timex.modes == 0
            timex.maxerror, timex.status = 1234, status
            return state

        kernel._read = read
        kernel._known_until = 0.0
        assert kernel.error_us() == kernel.error_us()
        return kernel.error_us()

    assert answer(0, 0x2001) == 1234
    assert asked == 1  # it is not asked again at once
    assert answer(0, 0x2041) is None
    assert answer(5, 0x2001) is None
    assert answer(-1, 0x2001) is None
    real = KernelClockError().error_us()
    assert real is None or 0 <= real < 1 << 62


def test_a_leaders_lease_is_not_trusted_before_its_first_commit() -> None:
    async def work(cluster: Cluster) -> None:
        leader = await cluster.leader()
        await cluster.commit(1)
        consensus = leader._consensus
        consensus._first_of_term = consensus.committed_index + 1
        answers: list[Verdict | None] = []
        leader.read_barrier(answers.append)
        assert answers == []
        await asyncio.sleep(0.1)
        assert answers == []
        chance = Random(1)
        await leader.submit(put(chance.getrandbits(40), 0, b"next"))
        await asyncio.sleep(0.1)
        assert answers == [None]

    three(work)
