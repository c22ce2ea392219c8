"""The faults of a run: which, when, to whom and for how long is drawn from the seed.

Each fault begins, lasts, and ends; they overlap. `heal` ends whatever still lasts, and what follows must be a healthy
cluster: that is when liveness is demanded.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from random import Random

from journal.resolution import CLOCKS_APART_US_MAX
from journal.simulated import Loss
from tests.simulation.cluster import Cluster, SimulatedNode
from tests.simulation.leadership import ambush, return_of_the_leader, transfer
from tests.simulation.members import Operator, grow, replace

Undo = Callable[[], None]


class Nemesis:
    """Draws and inflicts faults.

    Args:
        cluster: the victims.
        pause_seconds: mean time between two faults.
        faults: names of faults to draw from; all if empty.

    Attributes:
        chance: of this nemesis.
        operator: who changes the membership.
        healed: nothing may strike any more.
    """

    def __init__(self, cluster: Cluster, pause_seconds: float = 0.5, faults: tuple[str, ...] = ()) -> None:
        self._cluster = cluster
        self.chance = Random(f"{cluster.seed}/nemesis")
        self._pause_seconds = pause_seconds
        self._lasting: dict[int, Undo] = {}
        self._count = 0
        self.healed = False
        names = faults or tuple(name for name in FAULTS if not cluster.shape.good_clocks or name not in CLOCKS)
        # Some runs meet everything, others the same few things again and again.
        if not faults and self.chance.random() < 0.5:
            names = tuple(sorted(self.chance.sample(names, self.chance.randrange(1, 5))))
        self._names = names
        self._weights = [FAULTS[name][0] for name in names]
        self.operator = Operator(cluster)

    async def strike(self, seconds: float) -> None:
        """Inflict faults for so long, then heal everything."""
        loop = self._cluster.loop
        end = loop.time() + seconds
        while True:
            pause = self.chance.expovariate(1.0) * self._pause_seconds
            if loop.time() + pause >= end:
                await asyncio.sleep(max(0.0, end - loop.time()))
                break
            await asyncio.sleep(pause)
            name = self.chance.choices(self._names, self._weights)[0]
            if FAULTS[name][1](self, self._cluster):
                self._cluster.count(name)
        self.heal()

    def heal(self) -> None:
        """End every fault. What an operator has begun goes on."""
        self.healed = True
        for number in sorted(self._lasting):
            self._lasting.pop(number)()
        self._cluster.on_candidate = lambda node: None
        for node in self._cluster.nodes:
            node.start_unless_up()
        self._cluster.trace("-", "everything is healed")

    # ---- helpers ----------------------------------------------------------------------------------------------------

    def last(self, seconds: float, undo: Undo) -> None:
        """Have a fault end after so long, or when all is healed."""
        self._count += 1
        number = self._count
        self._lasting[number] = undo

        def end() -> None:
            if self._lasting.pop(number, None) is not None:
                undo()

        self._cluster.loop.call_later(seconds, end)

    def victim(self) -> SimulatedNode:
        """Any node; the leader more often than others."""
        nodes = self._cluster.nodes
        leaders = [node for node in nodes if node.up and node.replica is not None and node.replica.is_leader]
        if leaders and self.chance.random() < 0.4:
            return self.chance.choice(leaders)
        return self.chance.choice(nodes)

    def seconds(self) -> float:
        """How long a fault lasts: mostly about an election timeout, where it hurts most."""
        return self.chance.choice((0.05, 0.3, 0.6, 1.2)) * (0.5 + self.chance.random())

    # ---- faults -----------------------------------------------------------------------------------------------------

    def crash(self, cluster: Cluster) -> bool:
        """Power failure or kill of one machine, at a moment of rest or within its work."""
        node = self.victim()
        if node.process is None:
            return False
        loss = self.chance.choice((Loss.NOTHING, Loss.EVERYTHING, Loss.SOME, Loss.SOME))
        if self.chance.random() < 0.5:
            node.crash_within(self.chance.randrange(12), loss)
        else:
            node.crash(loss)
        self.last(self.seconds(), node.start_unless_up)
        return True

    def crash_all(self, cluster: Cluster) -> bool:
        """The whole cluster loses power at once."""
        loss = self.chance.choice((Loss.EVERYTHING, Loss.SOME))
        for node in cluster.nodes:
            node.crash(loss)
            self.last(self.seconds(), node.start_unless_up)
        return True

    def pause(self, cluster: Cluster) -> bool:
        """SIGSTOP, then SIGCONT."""
        node = self.victim()
        process = node.process
        if process is None or process.paused:
            return False
        cluster.trace(node.name, "is paused")
        cluster.loop.pause(process)

        def resume() -> None:
            if process.alive:
                cluster.trace(node.name, "goes on")
                cluster.loop.resume(process)

        self.last(self.seconds(), resume)
        return True

    def isolate(self, cluster: Cluster) -> bool:
        """One node hears nobody, is heard by nobody, or both."""
        node = self.victim()
        inward, outward = self.chance.choice(((True, True), (True, True), (True, False), (False, True)))
        ways = [
            way
            for other in cluster.nodes
            if other is not node
            for way in (((other.name, node.name),) if inward else ()) + (((node.name, other.name),) if outward else ())
        ]
        if not (inward and outward):
            cluster.count("one-way partition")
        self.block(cluster, ways, f"partition around {node.name}: {'in' * inward}{'out' * outward} blocked")
        return True

    def bridge(self, cluster: Cluster) -> bool:
        """Two halves that meet only in one node; with three nodes, two that do not see each other."""
        names = [node.name for node in cluster.nodes]
        middle = self.victim().name
        others = [name for name in names if name != middle]
        self.chance.shuffle(others)
        half = len(others) // 2
        ways = [way for a in others[:half] for b in others[half:] for way in ((a, b), (b, a))]
        self.block(cluster, ways, f"bridge over {middle}")
        return True

    def split(self, cluster: Cluster) -> bool:
        """A minority of nodes apart from the others; of three nodes that is one, of five two."""
        names = [node.name for node in cluster.nodes]
        self.chance.shuffle(names)
        count = len(names) // 2
        ways = [way for a in names[:count] for b in names[count:] for way in ((a, b), (b, a))]
        self.block(cluster, ways, f"{' '.join(sorted(names[:count]))} apart from the others")
        return True

    def block(
        self, cluster: Cluster, ways: list[tuple[str, str]], what: str, *, seconds: float = 0.0, cut: bool | None = None
    ) -> None:
        """Let nothing pass on these ways for a while; in some cases connections die of it."""
        cluster.trace("-", what)
        if cut is None:
            cut = self.chance.random() < 0.3
        for source, target in ways:
            cluster.network.block(source, target)
            if cut:
                cluster.network.cut_between(source, target, "the firewall said so")

        def heal() -> None:
            cluster.trace("-", f"over: {what}")
            for source, target in ways:
                cluster.network.unblock(source, target)

        self.last(seconds or self.seconds(), heal)

    def cut(self, cluster: Cluster) -> bool:
        """The connections between two nodes die; they dial again."""
        one, other = self.chance.sample(cluster.nodes, 2)
        cluster.trace("-", f"connections between {one.name} and {other.name} are cut")
        cluster.network.cut_between(one.name, other.name, "cut")
        return True

    def slow_link(self, cluster: Cluster) -> bool:
        """One direction becomes much slower."""
        one, other = self.chance.sample(cluster.nodes, 2)
        link = cluster.network.link(one.name, other.name)
        factor = self.chance.choice((3.0, 20.0, 100.0))
        cluster.trace("-", f"{one.name} → {other.name} is {factor:.0f} times slower")
        link.slow *= factor

        def normal() -> None:
            link.slow /= factor

        self.last(self.seconds(), normal)
        return True

    def jump_clock(self, cluster: Cluster) -> bool:
        """The wall clock of a node jumps; small steps are common, large ones happen. Two clocks are never further apart than
        `sys.transaction_status` can bear."""
        node = self.victim()
        step_us = self.chance.choice((-1, 1)) * self.chance.choice((1_000, 100_000, 2_000_000, 60_000_000))
        if abs(node.clock.offset_us + step_us) > CLOCKS_APART_US_MAX // 2 - 1_000_000:
            step_us = -step_us
        node.clock.offset_us += step_us
        cluster.trace(node.name, f"clock jumps by {step_us / 1e6:+.3f} s")
        return True

    def drift_clock(self, cluster: Cluster) -> bool:
        """The rate of a node's clock changes within the tenth that the lease allows for."""
        node = self.victim()
        now = cluster.loop.time()
        rate = 1 + (self.chance.random() - 0.5) * 0.16
        node.clock.set_rate(rate)
        cluster.trace(node.name, f"clock runs at {rate:.3f} from {now:.3f} s on")
        return True

    def slow_disk(self, cluster: Cluster) -> bool:
        """Synchronizations take long."""
        node = self.victim()
        factor = self.chance.choice((10.0, 100.0, 500.0))
        cluster.trace(node.name, f"disk is {factor:.0f} times slower")
        node.pace.slow *= factor

        def normal() -> None:
            node.pace.slow /= factor

        self.last(self.seconds(), normal)
        return True

    def fail_synchronize(self, cluster: Cluster) -> bool:
        """An fsync fails: the node must stop."""
        node = self.victim()
        if node.process is None:
            return False
        cluster.trace(node.name, "an fsync will fail")
        node.expected_failures.add("fsync fails")
        node.disk.fail("synchronize", errno.EIO, after=self.chance.randrange(4))
        return True

    def fill_disk(self, cluster: Cluster) -> bool:
        """No byte more can be allocated, for a while."""
        node = self.victim()
        disk = node.disk
        if node.process is None or disk.capacity_bytes is not None:
            return False
        cluster.trace(node.name, "disk is full")
        node.expected_failures.add("disk is full")
        disk.capacity_bytes = disk.used_bytes()

        def free() -> None:
            cluster.trace(node.name, "disk has space again")
            node.disk.capacity_bytes = None
            node.expected_failures.discard("disk is full")

        self.last(self.seconds(), free)
        return True


FAULTS: dict[str, tuple[int, Callable[[Nemesis, Cluster], bool]]] = {
    "crash": (6, Nemesis.crash),
    "crash_all": (1, Nemesis.crash_all),
    "pause": (4, Nemesis.pause),
    "isolate": (5, Nemesis.isolate),
    "bridge": (2, Nemesis.bridge),
    "split": (2, Nemesis.split),
    "cut": (4, Nemesis.cut),
    "slow_link": (3, Nemesis.slow_link),
    "jump_clock": (2, Nemesis.jump_clock),
    "drift_clock": (1, Nemesis.drift_clock),
    "slow_disk": (2, Nemesis.slow_disk),
    "fail_synchronize": (1, Nemesis.fail_synchronize),
    "fill_disk": (1, Nemesis.fill_disk),
    "transfer": (2, transfer),
    "replace": (2, replace),
    "grow": (2, grow),
    "ambush": (2, ambush),
    "return_of_the_leader": (1, return_of_the_leader),
}
"""Name → (weight, what it does, if it finds a victim)."""

CLOCKS = ("jump_clock", "drift_clock")
"""Faults that do not happen to good clocks."""
