"""A member at which nobody works applies several blocks together; whoever comes finds what it was told of.

Goal: resting costs nobody who reads, commits, follows or leads a wait for the clock. Method: three replicas over loopback; the timer
of a follower, which alone would end its rest, is half a minute away, so that whatever is applied sooner was applied for somebody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from journal.applying import _ENTRIES_PER_TURN
from journal.event import Verdict
from journal.replica import Replica
from tests.journal.cluster import Cluster, put, three
from tests.journal.test_reads import barrier, closed

_SECONDS_MAX = 10.0


async def _resting(cluster: Cluster) -> Replica:
    """A follower whose timer will not come, and that has applied everything."""
    leader = await cluster.leader()
    follower = (await cluster.followers())[0]
    await follower.applied(leader.frontier.position)
    follower._tick_seconds = 30.0
    await asyncio.sleep(0.05)
    _let_rest(follower)
    return follower


def _let_rest(follower: Replica) -> None:
    follower._used_at = -1e9


async def _commit(cluster: Cluster, follower: Replica, txid: int) -> Verdict:
    """A commit that the follower knows to be committed, and has not applied."""
    verdict = await cluster.commit(txid)
    leader = await cluster.leader()
    await _until(lambda: follower._consensus.committed_index >= leader._applied)
    await asyncio.sleep(0.05)
    assert follower.frontier.position < verdict.position, "it does not rest"
    return verdict


async def _until(condition: Callable[[], bool]) -> None:
    for _ in range(int(_SECONDS_MAX / 0.005)):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("not within so long")


def _wakes(work: Callable[[Cluster, Replica, Verdict], Awaitable[None]]) -> None:
    async def main(cluster: Cluster) -> None:
        follower = await _resting(cluster)
        verdict = await _commit(cluster, follower, 1)
        async with asyncio.timeout(_SECONDS_MAX):
            await work(cluster, follower, verdict)
        await _until(lambda: follower.frontier.position >= verdict.position)
        # It is used now: what follows is applied as it comes.
        later = await cluster.commit(2)
        await _until(lambda: follower.frontier.position >= later.position)

    three(main)


def test_a_strong_read_finds_what_was_acknowledged() -> None:
    async def read(cluster: Cluster, follower: Replica, verdict: Verdict) -> None:
        assert await barrier(follower) is None
        assert follower.frontier.position >= verdict.position

    _wakes(read)


def test_a_read_by_the_clock_finds_time_closed() -> None:
    async def read(cluster: Cluster, follower: Replica, verdict: Verdict) -> None:
        assert await closed(follower, verdict.commit_ts, 5.0) is None
        assert follower.frontier.position >= verdict.position

    _wakes(read)


def test_a_read_in_the_past_does_not_wait_for_the_clock() -> None:
    async def read(cluster: Cluster, follower: Replica, verdict: Verdict) -> None:
        await _until(lambda: (follower.closed_now_us() or 0) >= verdict.commit_ts)

    _wakes(read)


def test_who_follows_gets_the_event() -> None:
    async def follow(cluster: Cluster, follower: Replica, verdict: Verdict) -> None:
        await follower.applied(verdict.position)

    _wakes(follow)


def test_who_commits_there_hears_the_verdict() -> None:
    async def commit(cluster: Cluster, follower: Replica, verdict: Verdict) -> None:
        own = await follower.submit(put(77, verdict.commit_ts, b"77"))
        assert own.committed
        assert follower.frontier.position >= own.position

    _wakes(commit)


def test_who_waits_keeps_it_awake() -> None:
    async def work(cluster: Cluster) -> None:
        follower = await _resting(cluster)
        waiting = asyncio.ensure_future(follower.applied(follower.frontier.position + 1))
        await asyncio.sleep(0)
        _let_rest(follower)
        await cluster.commit(1)
        async with asyncio.timeout(_SECONDS_MAX):
            await waiting

    three(work)


def test_no_more_waits_than_a_turn_applies() -> None:
    async def work(cluster: Cluster) -> None:
        follower = await _resting(cluster)
        for txid in range(1, 2 * _ENTRIES_PER_TURN):
            verdict = await cluster.commit(txid)
        await _until(lambda: follower.frontier.position >= verdict.position - _ENTRIES_PER_TURN)
        assert follower._used_at < 0

    three(work)


def test_time_ends_a_rest() -> None:
    async def work(cluster: Cluster) -> None:
        follower = await _resting(cluster)
        verdict = await _commit(cluster, follower, 1)
        follower._on_timer()
        assert follower.frontier.position == verdict.position

    three(work)


def test_a_new_leader_has_everything() -> None:
    async def work(cluster: Cluster) -> None:
        follower = await _resting(cluster)
        verdict = await _commit(cluster, follower, 1)
        (await cluster.leader()).transfer_leadership(follower.name)
        await _until(lambda: follower.is_leader and follower.has_lease)
        assert follower.frontier.position >= verdict.position

    three(work)
