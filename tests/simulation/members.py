"""The operator of a run: changes who belongs, one step at a time, as `boreal member` lets people do it.

    replace: remove ─▶ the machine stops, its disk is emptied ─▶ it joins again: add as a learner ─▶ promote
    grow:    a spare joins: add ─▶ promote

Each step is repeated until a leader with a lease says that it is done, whatever faults strike meanwhile. With the disk
lost first, the member comes back empty while it still has its vote: it must refuse to go on until it has been removed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from random import Random
from typing import TYPE_CHECKING

from journal.configuration import Change, Member
from journal.event import Verdict
from journal.replica import Replica
from journal.simulated import Loss
from tests.simulation.cluster import WITHOUT_DISK, Cluster, SimulatedNode

if TYPE_CHECKING:
    from tests.simulation.nemesis import Nemesis

_STEP_SECONDS_MAX = 1.0
_RETRY_SECONDS = 0.1


class Operator:
    """Changes the membership of a cluster.

    Attributes:
        busy: a change is under way; the next one has to wait.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._chance = Random(f"{cluster.seed}/operator")
        self.busy = False

    def replace(self, node: SimulatedNode, *, disk_first: bool) -> None:
        """Have a member's disk emptied, and its place taken by the same machine."""
        self._begin(self._replace(node, disk_first))

    def grow(self, spare: SimulatedNode) -> None:
        """Have a spare become a voter."""
        self._begin(self._join(spare))

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        assert not self.busy
        self.busy = True
        self._cluster.loop.create_task(self._work(work), context=self._cluster.context.copy())

    async def _work(self, work: Coroutine[None, None, None]) -> None:
        await work
        self.busy = False

    async def _replace(self, node: SimulatedNode, disk_first: bool) -> None:
        cluster = self._cluster
        if disk_first:
            node.expected_failures.add(WITHOUT_DISK)
            node.crash(Loss.EVERYTHING)
            node.lose_disk()
            node.start()
            await asyncio.sleep(self._chance.random() * 0.5)
        node.expected_failures.add("removed")
        await self._until(Change.REMOVE, node)
        cluster.count("member removed")
        if not disk_first:
            node.crash(Loss.NOTHING)
            node.absent = True
            await asyncio.sleep(self._chance.random() * 0.5)
            node.lose_disk()
        node.expected_failures.discard("removed")
        await self._join(node)
        node.expected_failures.discard(WITHOUT_DISK)

    async def _join(self, node: SimulatedNode) -> None:
        node.absent = False
        node.joining = True
        node.start_unless_up()
        await self._until(Change.ADD, node)
        self._cluster.count("learner added")
        await asyncio.sleep(self._chance.random() * 0.2)
        await self._until(Change.PROMOTE, node)
        self._cluster.count("learner promoted")

    async def _until(self, change: Change, node: SimulatedNode) -> None:
        member = Member(node.name, node.name, 1, witness=node.witness)
        told = ""
        while not self._cluster.finished:
            leader = next(
                (each for each in self._cluster.nodes if each.up and each.replica and each.replica.has_lease), None
            )
            if leader is not None and leader.replica is not None:
                if _is_done(leader.replica, change, node.name):
                    self._cluster.trace("-", f"{node.name}: {change.value} is done, says {leader.name}")
                    return
                if change is Change.REMOVE and leader is node:
                    leader.call(leader.replica.transfer_leadership)
                else:
                    verdict = await self._ask(leader, change, member)
                    reason = "" if verdict is None else verdict.reason
                    if reason and reason != told:
                        told = reason
                        self._cluster.trace(leader.name, f"{change.value} {node.name}: {reason}")
            await asyncio.sleep(_RETRY_SECONDS)

    async def _ask(self, leader: SimulatedNode, change: Change, member: Member) -> Verdict | None:
        answered: asyncio.Future[Verdict] = self._cluster.loop.create_future()

        def answer(verdict: Verdict) -> None:
            if not answered.done():
                answered.set_result(verdict)

        assert leader.replica is not None
        leader.call(leader.replica.change_membership, change, member, answer)
        try:
            return await asyncio.wait_for(answered, _STEP_SECONDS_MAX)
        except TimeoutError:
            return None


def _is_done(leader: Replica, change: Change, name: str) -> bool:
    if leader.change_refusal:
        return False
    known = leader.configuration.member(name)
    if change is Change.REMOVE:
        return known is None
    return known is not None and (change is Change.ADD or known.voter)


def replace(nemesis: Nemesis, cluster: Cluster) -> bool:
    """Fault: a member's disk is lost, or its machine is exchanged; it is removed, and added with an empty disk."""
    if nemesis.operator.busy:
        return False
    node = nemesis.chance.choice(cluster.members)
    cluster.trace(node.name, "is to be replaced")
    nemesis.operator.replace(node, disk_first=nemesis.chance.random() < 0.5)
    return True


def grow(nemesis: Nemesis, cluster: Cluster) -> bool:
    """Fault: there is to be a member more."""
    spares = [node for node in cluster.nodes if node.absent]
    if nemesis.operator.busy or not spares:
        return False
    cluster.trace(spares[0].name, "is to join")
    nemesis.operator.grow(spares[0])
    return True
