"""A clock beyond its bound, in a whole cluster: who reads by the clock, and who closes time.

Method: a simulated cluster whose hosts' clocks say that they are good; one is set, behind at a follower or ahead at the leader, and set right
later. What the watch decides by itself is shown in tests/journal/test_clockwatch.py; here it meets messages, leases and promises.
"""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from journal.environment import FixedClockError
from tests.simulation.cluster import Cluster, SimulatedNode
from tests.simulation.loop import SimulatedLoop
from tests.simulation.run import deterministic_world
from tests.simulation.shape import Shape

BOUND_US = 4_000
SKEW_US = 500_000
FOUND_SECONDS = 1.5


def may_read(node: SimulatedNode) -> bool:
    return node.replica is not None and bool(node.call(lambda: node.replica and node.replica.may_read_by_clock))


def closed_us(node: SimulatedNode) -> int:
    assert node.replica is not None
    return node.replica.closed_us


@pytest.mark.parametrize("of_leader", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_a_wrong_clock_serves_no_read_and_closes_no_time(seed: int, of_leader: bool) -> None:
    chance = Random(seed)
    loop = SimulatedLoop(lambda: 0.0005 + chance.random() * 0.002)
    problems: list[str] = []
    with deterministic_world():
        shape = Shape(closed_seconds=0.02, good_clocks=True)
        cluster = Cluster(seed, loop, lambda node, what: None, problems.append, shape)
        for node in cluster.nodes:
            node.clock_error = FixedClockError(BOUND_US)  # type: ignore[assignment]

        async def main() -> None:
            cluster.start()
            await cluster.wait_for(
                lambda: all(may_read(node) for node in cluster.nodes), 10.0, "not all read by the clock"
            )
            leader = cluster.leader
            assert leader is not None
            followers = [node for node in cluster.nodes if node is not leader]
            wrong = leader if of_leader else followers[0]
            wrong.clock.offset_us += SKEW_US if of_leader else -SKEW_US
            assert not may_read(wrong)
            await asyncio.sleep(FOUND_SECONDS)
            assert [may_read(node) for node in cluster.nodes] == [
                not of_leader and node is not wrong for node in cluster.nodes
            ]
            if of_leader:
                before = [closed_us(node) for node in followers]
                await asyncio.sleep(0.5)
                assert [closed_us(node) for node in followers] == before
                assert max(before) < followers[0].clock.wall_us()
            wrong.clock.offset_us += -SKEW_US if of_leader else SKEW_US
            await cluster.wait_for(
                lambda: all(may_read(node) for node in cluster.nodes), 10.0, "not all read by it again"
            )
            cluster.finished = True

        try:
            loop.run_until_complete(main(), seconds_max=60)
        finally:
            loop.close()
    assert not problems
