"""The faults of a run: which, when, to whom and for how long is drawn from the seed.

Each fault begins, lasts, and ends; they overlap. `heal` ends whatever still lasts, and what follows must be a healthy
cluster: that is when liveness is demanded.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from random import Random

from journal.simulated import Loss
from tests.simulation.cluster import Cluster, SimulatedNode

Undo = Callable[[], None]


class Nemesis:
    """Draws and inflicts faults.

    Args:
        cluster: the victims.
        pause_seconds: mean time between two faults.
        faults: names of faults to draw from; all if empty.
    """

    def __init__(self, cluster: Cluster, pause_seconds: float = 0.5, faults: tuple[str, ...] = ()) -> None:
        self._cluster = cluster
        self._chance = Random(f"{cluster.seed}/nemesis")
        self._pause_seconds = pause_seconds
        self._lasting: dict[int, Undo] = {}
        self._count = 0
        names = faults or tuple(FAULTS)
        # Some runs meet everything, others the same few things again and again.
        if not faults and self._chance.random() < 0.5:
            names = tuple(sorted(self._chance.sample(names, self._chance.randrange(1, 5))))
        self._names = names
        self._weights = [FAULTS[name][0] for name in names]

    async def strike(self, seconds: float) -> None:
        """Inflict faults for so long, then heal everything."""
        loop = self._cluster.loop
        end = loop.time() + seconds
        while True:
            pause = self._chance.expovariate(1.0) * self._pause_seconds
            if loop.time() + pause >= end:
                await asyncio.sleep(max(0.0, end - loop.time()))
                break
            await asyncio.sleep(pause)
            name = self._chance.choices(self._names, self._weights)[0]
            FAULTS[name][1](self, self._cluster)
        self.heal()

    def heal(self) -> None:
        """End every fault."""
        for number in sorted(self._lasting):
            self._lasting.pop(number)()
        for node in self._cluster.nodes:
            node.start_unless_up()
        self._cluster.trace("-", "everything is healed")

    # ---- helpers ----------------------------------------------------------------------------------------------------

    def _for(self, seconds: float, undo: Undo) -> None:
        """Have a fault end after so long, or when all is healed."""
        self._count += 1
        number = self._count
        self._lasting[number] = undo

        def end() -> None:
            if self._lasting.pop(number, None) is not None:
                undo()

        self._cluster.loop.call_later(seconds, end)

    def _victim(self) -> SimulatedNode:
        """Any node; the leader more often than others."""
        nodes = self._cluster.nodes
        leaders = [node for node in nodes if node.up and node.replica is not None and node.replica.is_leader]
        if leaders and self._chance.random() < 0.4:
            return self._chance.choice(leaders)
        return self._chance.choice(nodes)

    def _seconds(self) -> float:
        """How long a fault lasts: mostly about an election timeout, where it hurts most."""
        return self._chance.choice((0.05, 0.3, 0.6, 1.2)) * (0.5 + self._chance.random())

    # ---- faults -----------------------------------------------------------------------------------------------------

    def crash(self, cluster: Cluster) -> None:
        """Power failure or kill of one machine, at a moment of rest or within its work."""
        node = self._victim()
        if node.process is None:
            return
        loss = self._chance.choice((Loss.NOTHING, Loss.EVERYTHING, Loss.SOME, Loss.SOME))
        if self._chance.random() < 0.5:
            node.crash_within(self._chance.randrange(12), loss)
        else:
            node.crash(loss)
        self._for(self._seconds(), node.start_unless_up)

    def crash_all(self, cluster: Cluster) -> None:
        """The whole cluster loses power at once."""
        loss = self._chance.choice((Loss.EVERYTHING, Loss.SOME))
        for node in cluster.nodes:
            node.crash(loss)
            self._for(self._seconds(), node.start_unless_up)

    def pause(self, cluster: Cluster) -> None:
        """SIGSTOP, then SIGCONT."""
        node = self._victim()
        process = node.process
        if process is None or process.paused:
            return
        cluster.trace(node.name, "is paused")
        cluster.loop.pause(process)

        def resume() -> None:
            if process.alive:
                cluster.trace(node.name, "goes on")
                cluster.loop.resume(process)

        self._for(self._seconds(), resume)

    def isolate(self, cluster: Cluster) -> None:
        """One node hears nobody, is heard by nobody, or both."""
        node = self._victim()
        inward, outward = self._chance.choice(((True, True), (True, True), (True, False), (False, True)))
        ways = [
            way
            for other in cluster.nodes
            if other is not node
            for way in (((other.name, node.name),) if inward else ()) + (((node.name, other.name),) if outward else ())
        ]
        self._block(cluster, ways, f"partition around {node.name}: {'in' * inward}{'out' * outward} blocked")

    def bridge(self, cluster: Cluster) -> None:
        """Two halves that meet only in one node; with three nodes, two that do not see each other."""
        names = [node.name for node in cluster.nodes]
        middle = self._victim().name
        others = [name for name in names if name != middle]
        self._chance.shuffle(others)
        half = len(others) // 2
        ways = [way for a in others[:half] for b in others[half:] for way in ((a, b), (b, a))]
        self._block(cluster, ways, f"bridge over {middle}")

    def split(self, cluster: Cluster) -> None:
        """A minority of nodes apart from the others; of three nodes that is one, of five two."""
        names = [node.name for node in cluster.nodes]
        self._chance.shuffle(names)
        count = len(names) // 2
        ways = [way for a in names[:count] for b in names[count:] for way in ((a, b), (b, a))]
        self._block(cluster, ways, f"{' '.join(sorted(names[:count]))} apart from the others")

    def _block(self, cluster: Cluster, ways: list[tuple[str, str]], what: str) -> None:
        cluster.trace("-", what)
        cut = self._chance.random() < 0.3
        for source, target in ways:
            cluster.network.block(source, target)
            if cut:
                cluster.network.cut_between(source, target, "the firewall said so")

        def heal() -> None:
            cluster.trace("-", f"over: {what}")
            for source, target in ways:
                cluster.network.unblock(source, target)

        self._for(self._seconds(), heal)

    def cut(self, cluster: Cluster) -> None:
        """The connections between two nodes die; they dial again."""
        one, other = self._chance.sample(cluster.nodes, 2)
        cluster.trace("-", f"connections between {one.name} and {other.name} are cut")
        cluster.network.cut_between(one.name, other.name, "cut")

    def slow_link(self, cluster: Cluster) -> None:
        """One direction becomes much slower."""
        one, other = self._chance.sample(cluster.nodes, 2)
        link = cluster.network.link(one.name, other.name)
        factor = self._chance.choice((3.0, 20.0, 100.0))
        cluster.trace("-", f"{one.name} → {other.name} is {factor:.0f} times slower")
        link.slow *= factor

        def normal() -> None:
            link.slow /= factor

        self._for(self._seconds(), normal)

    def jump_clock(self, cluster: Cluster) -> None:
        """The wall clock of a node jumps; small steps are common, large ones happen."""
        node = self._victim()
        step_us = self._chance.choice((-1, 1)) * self._chance.choice((1_000, 100_000, 2_000_000, 60_000_000))
        node.clock.offset_us += step_us
        cluster.trace(node.name, f"clock jumps by {step_us / 1e6:+.3f} s")

    def drift_clock(self, cluster: Cluster) -> None:
        """The rate of a node's clock changes within the tenth that the lease allows for."""
        node = self._victim()
        now = cluster.loop.time()
        rate = 1 + (self._chance.random() - 0.5) * 0.16
        node.clock.set_rate(rate)
        cluster.trace(node.name, f"clock runs at {rate:.3f} from {now:.3f} s on")

    def slow_disk(self, cluster: Cluster) -> None:
        """Synchronizations take long."""
        node = self._victim()
        factor = self._chance.choice((10.0, 100.0, 500.0))
        cluster.trace(node.name, f"disk is {factor:.0f} times slower")
        node.pace.slow *= factor

        def normal() -> None:
            node.pace.slow /= factor

        self._for(self._seconds(), normal)

    def fail_synchronize(self, cluster: Cluster) -> None:
        """An fsync fails: the node must stop."""
        node = self._victim()
        if node.process is None:
            return
        cluster.trace(node.name, "an fsync will fail")
        node.expected_failures.add("fsync fails")
        node.disk.fail("synchronize", errno.EIO, after=self._chance.randrange(4))

    def fill_disk(self, cluster: Cluster) -> None:
        """No byte more can be allocated, for a while."""
        node = self._victim()
        disk = node.disk
        if node.process is None or disk.capacity_bytes is not None:
            return
        cluster.trace(node.name, "disk is full")
        node.expected_failures.add("disk is full")
        disk.capacity_bytes = disk.used_bytes()

        def free() -> None:
            cluster.trace(node.name, "disk has space again")
            node.disk.capacity_bytes = None
            node.expected_failures.discard("disk is full")

        self._for(self._seconds(), free)


FAULTS: dict[str, tuple[int, Callable[[Nemesis, Cluster], None]]] = {
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
}
"""Name → (weight, what it does)."""
