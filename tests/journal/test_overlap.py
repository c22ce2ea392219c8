"""Plain Raft: followers write a leader's entries while its own disk does; fast commit: only once it has.

Goal: the overlap is there, nothing commits by it that is not on the leader's disk as well, and what is forgotten in a crash hurts
nobody. Method: three replicas over loopback; the leader's synchronizations are held back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from journal.environment import DiskFile
from journal.event import Verdict
from journal.replica import Replica
from journal.simulated import Loss
from tests.journal.cluster import Cluster, put, three


class HeldSynchronizer:
    """Begins a synchronization when `go` is called, not before."""

    def __init__(self, replica: Replica) -> None:
        self._real = replica._synchronizer
        self._waiting: list[tuple[DiskFile, Callable[[OSError | None], None]]] = []
        replica._synchronizer = self

    def start(self, file: DiskFile, done: Callable[[OSError | None], None], *, may_block: bool = False) -> bool:
        self._waiting.append((file, done))
        return False

    def go(self) -> None:
        """From now on as ever."""
        self.start = self._real.start  # type: ignore[method-assign]
        for file, done in self._waiting:
            if self._real.start(file, done):
                done(None)

    def abandon(self) -> None:
        """The machine has stopped: nothing is synchronized."""
        for _, done in self._waiting:
            done(None)

    def close(self) -> None:
        self._real.close()


@pytest.mark.parametrize("fast_commit", [False, True])
def test_followers_write_while_the_leader_does(fast_commit: bool) -> None:
    async def work(cluster: Cluster) -> None:
        leader = await cluster.leader()
        followers = await cluster.followers()
        await cluster.commit(1)
        await cluster.agree(1)
        held = HeldSynchronizer(leader)
        verdicts: list[Verdict] = []
        leader.propose(put(2, 0, b"new"), verdicts.append)
        await asyncio.sleep(0.1)
        last = leader._log.last_index
        assert last > leader._log.durable_index
        assert [each._log.durable_index == last for each in followers] == [not fast_commit] * 2
        # Two of three have it, and yet the leader does not count on itself.
        assert not verdicts
        assert {each.frontier.position for each in (leader, *followers)} == {1}
        held.go()
        await cluster.agree(2)
        assert [each.committed for each in verdicts] == [True]

    three(work, fast_commit=fast_commit)


def test_what_the_leader_forgets_is_kept_by_those_who_have_it() -> None:
    async def work(cluster: Cluster) -> None:
        leader = await cluster.leader()
        number = cluster.number_of(leader)
        await cluster.commit(1)
        await cluster.agree(1)
        held = HeldSynchronizer(leader)
        leader.propose(put(2, 0, b"new"), lambda verdict: None)
        await asyncio.sleep(0.1)
        term = leader.report().term
        crash = asyncio.ensure_future(cluster.crash(number, Loss.EVERYTHING))
        await asyncio.sleep(0)
        held.abandon()
        await crash
        other = await cluster.leader()
        back = await cluster.start(number)
        await asyncio.wait_for(back.applied(2), 10)
        assert other.report().term > term
        await cluster.agree(2)

    three(work)
