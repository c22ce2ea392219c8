"""A cluster of simulated nodes: started, crashed, paused, restarted, with clocks that are wrong each in its own way.

    SimulatedNode ── Process (dies with it)        ── Replica ── Rows (a view in memory)
                  ── SimulatedDisk (survives it, less what was not synchronized)
                  ── NodeClock (skewed, drifting, jumping)

The nodes run the production `Replica`; everything below its `Environment` is simulated. Whoever needs more on a node
(clients, a gateway with sessions) adds it through `on_started`, in the node's own process.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from random import Random
from typing import Any

from journal.environment import Environment
from journal.errors import BorealError, NodeFatal
from journal.replica import Replica, ReplicaSettings
from journal.simulated import Loss, SimulatedDisk, SimulatedSynchronizer
from journal.transport import Peer
from tests.simulation.history import Trace
from tests.simulation.loop import Process, SimulatedLoop
from tests.simulation.network import SimulatedNetwork
from tests.simulation.rows import Rows
from tests.simulation.shape import Shape

SYNCHRONIZATION_SECONDS_MAX = 1.0
"""However many faults slow a disk down: what is in flight when they end must end, too."""

EPOCH_US = 1_700_000_000_000_000

REPLICA_SETTINGS = ReplicaSettings(
    directory="/journal",
    window_us=1_500_000,
    bulk_keys_max=24,
    entry_bytes_max=2 << 10,
    block_proposals_max=8,
    turn_bytes_max=16 << 10,
    waiting_proposals_max=64,
    waiting_bytes_max=64 << 10,
    transaction_bytes_max=32 << 10,
    raft_segment_bytes=16 << 10,
    event_segment_bytes=16 << 10,
    # Most runs compact, and who was away for a while, or comes with an empty disk, needs a peer's feed.
    compact_bytes=24 << 10,
    lagging_bytes_max=48 << 10,
    event_log_sync_seconds=0.5,
    heartbeat_seconds=0.05,
    election_seconds_min=0.3,
    election_seconds_max=0.6,
    unknown_after_seconds=0.4,
)
"""Everything small, so that every bound, roll and cut is met within seconds."""


WITHOUT_DISK = "a voter without a disk"
"""Why a node may stop by itself (`SimulatedNode.expected_failures`)."""


@dataclass(frozen=True)
class Geography:
    """One-way delays in seconds between neighbours on the list of nodes, and the mean of what is added at random."""

    name: str
    seconds: tuple[float, ...]
    jitter: float


GEOGRAPHIES = (
    Geography("rack", (0.0001, 0.0001, 0.0001), 0.0001),
    Geography("metro", (0.001, 0.004, 0.003), 0.001),
    Geography("regions", (0.006, 0.031, 0.030), 0.002),
)


class NodeClock:
    """A host's clocks: `monotonic` runs at its own rate; `wall_us` follows it, off by an offset that faults change."""

    def __init__(self, loop: SimulatedLoop, rate: float, offset_us: int) -> None:
        self._loop = loop
        self._rate = rate
        self._since = loop.time()
        self._base = self._since
        self.offset_us = offset_us

    def set_rate(self, rate: float) -> None:
        """From now on it runs so much faster than true time."""
        self._base = self.monotonic()
        self._since = self._loop.time()
        self._rate = rate

    def wall_us(self) -> int:
        """Microseconds since the Unix epoch, as this host believes."""
        return EPOCH_US + round(self.monotonic() * 1e6) + self.offset_us

    def monotonic(self) -> float:
        """Seconds."""
        return self._base + (self._loop.time() - self._since) * self._rate

    def true_error_us(self) -> int:
        """How far `wall_us` is from true time."""
        return abs(self.wall_us() - EPOCH_US - round(self._loop.time() * 1e6))


class NodeClockError:
    """What the host's synchronization daemon says: the truth and a margin, or nothing where clocks are wrong."""

    _MARGIN_US = 500

    def __init__(self, clock: NodeClock, known: bool) -> None:
        self._clock = clock
        self._known = known

    def error_us(self) -> int | None:
        """A bound in µs."""
        return self._clock.true_error_us() + self._MARGIN_US if self._known else None


@dataclass
class DiskPace:
    """How long synchronizations take: at least `seconds`, `jitter` more on average; `slow` is a fault's factor."""

    seconds: float
    jitter: float
    slow: float = 1.0


class SimulatedNode:
    """One machine.

    Attributes:
        process: its present incarnation; None while it is down.
        replica, rows: of that incarnation.
        expected_failures: why the node may stop by itself at present; empty if it may not.
        absent: it is not meant to belong, and must not be started.
        joining: it is started as one that waits to be added, should its disk be empty.
    """

    def __init__(self, cluster: Cluster, number: int) -> None:
        chance = cluster.chance
        self.cluster = cluster
        self.number = number
        self.name = f"n{number}"
        self.disk = SimulatedDisk()
        good = cluster.shape.good_clocks
        drift, offset_us = (0.0004, 3_000) if good else (0.02, 200_000)
        self.clock = NodeClock(
            cluster.loop, 1 + (chance.random() - 0.5) * drift, chance.randrange(-offset_us, offset_us)
        )
        self.clock_error = NodeClockError(self.clock, good)
        self.pace = DiskPace(chance.choice((0.00005, 0.0005, 0.004)), chance.choice((0.0001, 0.001)))
        self.process: Process | None = None
        self.replica: Replica | None = None
        self.rows = Rows()
        self.incarnation = 0
        self.started = False
        self.expected_failures: set[str] = set()
        self.witness = self.name == cluster.shape.witness
        self.founder = number <= cluster.shape.voters
        self.absent = self.joining = not self.founder

    def __str__(self) -> str:
        """Its state, for a trace that ends without a good end."""
        replica = self.replica
        if replica is None or not self.started:
            return "is down" if self.process is None else "starts"
        report = replica.report()
        return (
            f"{'leads' if report.is_leader else 'follows ' + str(report.leader)}, term {report.term}, entries to "
            f"{report.last_index}, committed {report.committed_index}, applied {report.applied_index}, position "
            f"{report.position}, {'a voter' if report.is_voter else 'no voter'} of "
            f"{[member.member.name for member in report.members]}{', catching up' if report.is_catching_up else ''}"
        )

    @property
    def up(self) -> bool:
        """Whether its replica serves."""
        return self.started and self.process is not None

    def start(self) -> None:
        """Boot: recover and serve, in a process of its own."""
        assert self.process is None
        self.incarnation += 1
        self.process = Process(self.name)
        self.cluster.trace(self.name, f"starts for the {self.incarnation}. time")
        self.cluster.loop.create_task(self._run(self.process), context=self.process.context)

    async def _run(self, process: Process) -> None:
        cluster = self.cluster
        chance = Random(f"{cluster.seed}/{self.name}/{self.incarnation}")
        environment = Environment(
            self.clock,
            chance,
            self.disk,
            cluster.network.of(self.name),
            self.clock_error,
            synchronizer=lambda loop, file: SimulatedSynchronizer(loop, lambda: self._synchronization_seconds(chance)),
        )
        peers = [
            Peer(each.name, each.name, 1, each.witness) for each in cluster.nodes if each is not self and each.founder
        ]
        settings = cluster.replica_settings(self)
        replica = self.replica = Replica(environment, settings, address=(self.name, 1), peers=peers)
        try:
            await replica.start()
        except NodeFatal as error:
            self._failed(process, error)
            return
        replica.failed.add_done_callback(lambda future: self._failed(process, future.result()))
        self.started = True
        while replica.is_publishing:  # noqa: ASYNC110 - a large event that a feed brings
            await asyncio.sleep(0.005)
        if self.rows.position > replica.frontier.position:
            self.rows = Rows()
        replica.subscribe(self.rows.apply, self.rows.position)
        cluster.trace(
            self.name,
            f"serves from position {replica.frontier.position}, term {replica._log.getCurrentTerm()}, "
            f"entries {replica._log.first_index} to {replica._log.last_index}",
        )
        cluster.on_started(self)

    def _synchronization_seconds(self, chance: Random) -> float:
        seconds = (self.pace.seconds + chance.expovariate(1.0) * self.pace.jitter) * self.pace.slow
        return min(seconds, SYNCHRONIZATION_SECONDS_MAX)

    def _failed(self, process: Process, error: BorealError) -> None:
        """The replica stopped by itself: the process exits, and its supervisor starts it again."""
        if not process.alive:
            return
        self.cluster.trace(self.name, f"stops by itself: {error}")
        if not self.expected_failures:
            self.cluster.unexpected(f"{self.name} stopped by itself: {error}")
        self.cluster.count("stopped by itself")
        self.crash(Loss.NOTHING)
        self.cluster.loop.call_later(0.5, self.start_unless_up, context=self.cluster.context)

    def crash(self, loss: Loss) -> None:
        """The machine stops now: nothing more of it runs, is sent, or is written."""
        process = self.process
        if process is None:
            return
        cluster = self.cluster
        cluster.loop.kill(process)
        cluster.network.process_died(process)
        before = self.disk
        self.disk = before.after_crash(cluster.chance, loss)
        if loss is Loss.SOME and _is_torn(before, self.disk):
            cluster.count("torn write")
        self.expected_failures.discard("fsync fails")
        self.process = self.replica = None
        self.started = False
        if cluster.chance.random() < 0.3:
            self.rows = Rows()
        else:
            self.rows.crash()
        cluster.on_crashed(self)
        cluster.trace(self.name, f"crashes, losing {loss.value} of what was not synchronized")

    def crash_within(self, operations: int, loss: Loss) -> None:
        """Stop in the middle of what it does, so many operations of its disk from now."""
        process = self.process

        def stop() -> None:
            if process is not None and process.alive:
                self.crash(loss)
                self.cluster.loop.call_later(0.5, self.start_unless_up, context=self.cluster.context)

        self.disk.stop_after(operations, stop)

    def start_unless_up(self) -> None:
        """Start it if it is down, and meant to be there."""
        if self.process is None and not self.absent and not self.cluster.finished:
            self.start()

    def lose_disk(self) -> None:
        """A new machine takes the place of this one, which is down: it remembers nothing."""
        assert self.process is None
        self.disk = SimulatedDisk()
        self.rows = Rows()
        self.joining = True
        self.cluster.on_disk_lost(self)
        self.cluster.trace(self.name, "has an empty disk")

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call something of its replica, as if the node did so itself."""
        assert self.process is not None
        return self.process.call(function, *arguments)


def _is_torn(before: SimulatedDisk, after: SimulatedDisk) -> bool:
    """Whether of some file's writes that were not synchronized, some survived, and some did not."""
    return any(
        bool(inode.pending)
        and (found := after._names.get(path)) is not None
        and found.content != inode.content
        and found.content.rstrip(b"\0") != inode.durable.rstrip(b"\0")
        for path, inode in before._names.items()
    )


@dataclass
class Cluster:
    """The nodes and what is between them.

    Args:
        seed: of everything.
        loop: virtual time.
        trace: takes one line an event.
        unexpected: takes what must not happen.
        shape: how many nodes of what kinds.
        on_started, on_crashed, on_disk_lost, on_candidate: called with a node to which it happens.
        flood: has clients at a node propose many transactions without waiting for any.

    Attributes:
        counts: how often what struck, and what it led to; the proof that a run met something.
    """

    seed: int
    loop: SimulatedLoop
    trace: Trace
    unexpected: Callable[[str], None]
    shape: Shape = Shape()
    settings: ReplicaSettings = REPLICA_SETTINGS
    on_started: Callable[[SimulatedNode], None] = lambda node: None
    on_crashed: Callable[[SimulatedNode], None] = lambda node: None
    on_disk_lost: Callable[[SimulatedNode], None] = lambda node: None
    on_candidate: Callable[[SimulatedNode], None] = lambda node: None
    flood: Callable[[SimulatedNode], None] = lambda node: None
    finished: bool = False
    nodes: list[SimulatedNode] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.chance = Random(f"{self.seed}/cluster")
        self.context = Process("cluster").context
        self.network = SimulatedNetwork(self.loop, Random(f"{self.seed}/network"), self.trace)
        self.geography = self.chance.choice(GEOGRAPHIES)
        self.nodes = [SimulatedNode(self, number + 1) for number in range(self.shape.voters + self.shape.spares)]
        for one in self.nodes:
            for other in self.nodes:
                if one is not other:
                    link = self.network.link(one.name, other.name)
                    pair = (min(one.number, other.number) + max(one.number, other.number)) % 3
                    link.seconds = self.geography.seconds[pair]
                    link.jitter = self.geography.jitter
        self.trace("-", f"{self.shape}, {self.geography.name}")

    def replica_settings(self, node: SimulatedNode) -> ReplicaSettings:
        """The settings of one node."""
        shape = self.shape
        own: dict[str, Any] = {
            "node": node.number,
            "name": node.name,
            "joining": node.joining,
            "witness": node.witness,
            "leader_preferred": shape.preferred,
            "fast_commit": shape.fast_commit,
            "commit_lead_ms": shape.commit_lead_ms,
            "closed_seconds": shape.closed_seconds,
        }
        return ReplicaSettings(**{**asdict(self.settings), **own})

    def count(self, what: str) -> None:
        """It happened."""
        self.counts[what] += 1

    @property
    def members(self) -> list[SimulatedNode]:
        """The nodes that are meant to belong."""
        return [node for node in self.nodes if not node.absent]

    @property
    def leader(self) -> SimulatedNode | None:
        """Some node that believes to lead."""
        return next((node for node in self.nodes if node.up and node.replica and node.replica.is_leader), None)

    def node(self, name: str) -> SimulatedNode:
        """A node by its name."""
        return next(node for node in self.nodes if node.name == name)

    def start(self) -> None:
        """Boot all founders."""
        for node in self.members:
            node.start()

    async def wait_for(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Until the condition holds; AssertionError after so many virtual seconds."""
        deadline = self.loop.time() + seconds
        while not condition():
            if self.loop.time() > deadline:
                raise AssertionError(f"within {seconds} s of virtual time: {what}")
            await asyncio.sleep(0.02)
