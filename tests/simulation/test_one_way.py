"""Partitions that are one-way and last: whoever is left must find a leader without waiting for the healing.

Method: a simulated cluster without clients; the ways into the leader are blocked, and stay so. What it sends still arrives, also its
wish to be elected again, whose grants it cannot hear. Another node must lead within a few election timeouts.
"""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from tests.simulation.cluster import REPLICA_SETTINGS, Cluster
from tests.simulation.loop import SimulatedLoop
from tests.simulation.run import deterministic_world
from tests.simulation.shape import Shape

WITHIN_SECONDS = 5 * REPLICA_SETTINGS.election_seconds_max


@pytest.mark.parametrize("nodes_count", [3, 5])
@pytest.mark.parametrize("seed", range(10))
def test_a_leader_that_hears_nobody_is_replaced(seed: int, nodes_count: int) -> None:
    chance = Random(seed)
    loop = SimulatedLoop(lambda: 0.0005 + chance.random() * 0.002)
    problems: list[str] = []
    with deterministic_world():
        cluster = Cluster(seed, loop, lambda node, what: None, problems.append, Shape(voters=nodes_count))

        def leader(*, other_than: str = "") -> str:
            return next(
                (
                    node.name
                    for node in cluster.nodes
                    if node.replica is not None and node.replica.has_lease and node.name != other_than
                ),
                "",
            )

        async def main() -> float:
            cluster.start()
            await cluster.wait_for(lambda: leader() != "", 10.0, "nobody leads")
            await asyncio.sleep(chance.random())
            deaf = leader()
            for node in cluster.nodes:
                if node.name != deaf:
                    cluster.network.block(node.name, deaf)
            began = loop.time()
            await cluster.wait_for(lambda: leader(other_than=deaf) != "", 30.0, f"nobody leads instead of {deaf}")
            cluster.finished = True
            return loop.time() - began

        try:
            seconds = loop.run_until_complete(main(), seconds_max=60)
        finally:
            loop.close()
    assert not problems
    assert seconds < WITHIN_SECONDS
