"""Faults that strike when the leadership moves, which chance alone meets too rarely.

Most of Raft's arguments are about the moments around an election: who is bound to whom, which of two leaders may still
answer, and whose acknowledgements count in which term. These faults wait for such a moment, or bring it about.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from journal.event import Verdict
from tests.simulation.cluster import Cluster, SimulatedNode

if TYPE_CHECKING:
    from tests.simulation.nemesis import Nemesis

_AMBUSH_SECONDS_MAX = 3.0
_STEP_SECONDS = 0.005


def transfer(nemesis: Nemesis, cluster: Cluster) -> bool:
    """The leadership is handed over, in some cases to somebody who cannot be heard by the time."""
    leader = cluster.leader
    if leader is None:
        return False
    target = nemesis.chance.choice([node for node in cluster.members if node is not leader])
    _hand_over(cluster, leader, target)
    if nemesis.chance.random() < 0.4:
        delay, seconds = nemesis.chance.random() * 0.06, 0.2 + nemesis.seconds()
        cluster.loop.call_later(delay, lambda: _silence(nemesis, cluster, target, seconds))
    return True


def _hand_over(cluster: Cluster, leader: SimulatedNode, target: SimulatedNode) -> None:
    assert leader.replica is not None
    cluster.trace(leader.name, f"is to hand over to {target.name}")

    def ended(refusal: Verdict | None) -> None:
        cluster.trace(leader.name, "has handed over" if refusal is None else f"hands nothing over: {refusal.reason}")
        if refusal is None:
            cluster.count("leadership transferred")

    leader.call(leader.replica.transfer_leadership, target.name, ended)


def _silence(nemesis: Nemesis, cluster: Cluster, node: SimulatedNode, seconds: float) -> None:
    """Nobody hears it, while it hears everybody."""
    if not nemesis.healed:
        ways = [(node.name, other.name) for other in cluster.nodes if other is not node]
        nemesis.block(cluster, ways, f"nobody hears {node.name}", seconds=seconds)


def _deafen(nemesis: Nemesis, cluster: Cluster, node: SimulatedNode, seconds: float) -> None:
    """It hears nobody, while everybody hears it."""
    if not nemesis.healed:
        ways = [(other.name, node.name) for other in cluster.nodes if other is not node]
        nemesis.block(cluster, ways, f"{node.name} hears nobody", seconds=seconds, cut=False)


def ambush(nemesis: Nemesis, cluster: Cluster) -> bool:
    """When the next member stands for election: nobody hears it, or the leader before it hears nobody, so that it learns
    nothing of its successor. An election is brought about: one member stops hearing the leader."""
    leader = cluster.leader
    if leader is None:
        return False
    chance = nemesis.chance
    silenced = chance.random() < 0.3
    seconds = 0.2 + chance.random() * 0.4
    until = cluster.loop.time() + _AMBUSH_SECONDS_MAX

    def strike(candidate: SimulatedNode) -> None:
        if cluster.loop.time() > until or candidate is leader:
            return
        cluster.on_candidate = lambda node: None
        cluster.count("candidate ambushed")
        if silenced:
            _silence(nemesis, cluster, candidate, seconds)
        else:
            _deafen(nemesis, cluster, leader, seconds)

    cluster.on_candidate = strike
    deaf = chance.choice([node for node in cluster.members if node is not leader])
    nemesis.block(
        cluster,
        [(leader.name, deaf.name)],
        f"{deaf.name} does not hear {leader.name}",
        seconds=0.5 + seconds,
        cut=False,
    )
    return True


def return_of_the_leader(nemesis: Nemesis, cluster: Cluster) -> bool:
    """Of five members, the leader and one other are cut off from the rest, go on writing in vain, and are overruled; soon
    after, the old leader leads again, while the other's acknowledgements from then are still on their way to it."""
    leader = cluster.leader
    if leader is None or len(cluster.members) < 5:
        return False
    cluster.loop.create_task(_return(nemesis, cluster, leader), context=cluster.context.copy())
    return True


async def _return(nemesis: Nemesis, cluster: Cluster, leader: SimulatedNode) -> None:
    chance = nemesis.chance
    others = [node for node in cluster.members if node is not leader]
    partner = chance.choice(others)
    rest = [node for node in others if node is not partner]
    link = cluster.network.link(partner.name, leader.name)
    factor = 1.0 / max(link.seconds, 1e-5)  # to what a link takes at most
    link.slow *= factor
    ways = [way for a in (leader, partner) for b in rest for way in ((a.name, b.name), (b.name, a.name))]
    for source, target in ways:
        cluster.network.block(source, target)
    cluster.trace("-", f"{leader.name} and {partner.name} are cut off; {partner.name} → {leader.name} is slow")
    cluster.flood(leader)

    def overruled() -> bool:
        return any(node.replica is not None and node.replica.is_leader for node in rest)

    await _until(cluster, overruled, 0.8)
    for source, target in ways:
        cluster.network.unblock(source, target)
    cluster.trace("-", f"{leader.name} and {partner.name} are back")
    deadline = cluster.loop.time() + 0.8
    while cluster.loop.time() < deadline and not (leader.replica is not None and leader.replica.is_leader):
        successor = cluster.leader
        if successor is not None and successor is not leader and successor.replica is not None and leader.up:
            successor.call(successor.replica.transfer_leadership, leader.name)
        await asyncio.sleep(_STEP_SECONDS)
    if leader.replica is not None and leader.replica.is_leader:
        cluster.count("leader returned")
        cluster.flood(leader)
    await asyncio.sleep(0.6)
    link.slow /= factor
    cluster.trace("-", f"{partner.name} → {leader.name} is as before")


async def _until(cluster: Cluster, condition: Callable[[], bool], seconds: float) -> None:
    deadline = cluster.loop.time() + seconds
    while not condition() and cluster.loop.time() < deadline:  # noqa: ASYNC110 - virtual time
        await asyncio.sleep(_STEP_SECONDS)
