"""One seed, from start to verdict.

    cluster starts ─▶ clients work, the nemesis strikes ─▶ everything is healed ─▶ it must commit again, and agree
                                                                                     └▶ checks over logs and history

`run_seed` is a function of the seed and of nothing else: the trace, which it returns, is the same on every machine.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from zlib import crc32

from pysyncobj.node import Node

from tests.simulation.checks import check_history, check_logs
from tests.simulation.cluster import Cluster, SimulatedNode
from tests.simulation.gateway import Gateways, virtual_slices
from tests.simulation.history import History
from tests.simulation.loop import Process, SimulatedLoop
from tests.simulation.nemesis import Nemesis
from tests.simulation.raftcheck import RaftObserver
from tests.simulation.shape import draw
from tests.simulation.sql import Ledger, SqlClient
from tests.simulation.workload import Client

LIVENESS_SECONDS = 6.0
"""After the faults have ended, a transaction that begins then must commit within this."""

OPERATOR_SECONDS = 15.0
"""After the faults have ended, a change of the membership must come to its end within this."""

AGREEMENT_SECONDS = 10.0
"""After the last transaction, all nodes must have the same events within this."""


@dataclass(frozen=True)
class Plan:
    """What to do to a cluster.

    Attributes:
        seconds: virtual time under faults.
        nodes_count: voters; 0: drawn from the seed.
        clients: per node.
        pause_seconds: a client's mean time between transactions.
        fault_pause_seconds: mean time between faults; 0: none.
        faults: names to draw from; empty: all.
        sql: clients speak SQL to gateways on the nodes, instead of proposing by themselves.
    """

    seconds: float = 4.0
    nodes_count: int = 0
    clients: int = 2
    pause_seconds: float = 0.03
    fault_pause_seconds: float = 0.4
    faults: tuple[str, ...] = ()
    sql: bool = False


SQL = Plan(seconds=2.0, nodes_count=3, clients=1, pause_seconds=0.03, fault_pause_seconds=0.4, sql=True)


@dataclass
class Result:
    """What came of a seed.

    Attributes:
        figures: how much was done.
        counts: how often which fault struck, and what it led to.
    """

    seed: int
    problems: list[str]
    trace: list[str]
    history: History
    steps: int = 0
    seconds: float = 0.0
    figures: dict[str, int] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)


class _Trace:
    """Lines of (time, node, what); made into text only when somebody wants to read them."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop
        self.events: list[tuple[float, str, str]] = []

    def __call__(self, node: str, what: str) -> None:
        self.events.append((self._loop.time(), node, what))

    def lines(self) -> list[str]:
        return [f"{time:11.6f} {node:6} {what}" for time, node, what in self.events]


@contextmanager
def deterministic_world() -> Iterator[None]:
    """pysyncobj keeps nodes in sets, in the order of hashes, which Python salts for every process: a fixed hash instead.
    And logging is for people; here the trace is."""
    original = Node.__hash__
    Node.__hash__ = lambda self: crc32(str(self.id).encode())  # type: ignore[method-assign]
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(level)
        Node.__hash__ = original  # type: ignore[method-assign]


def run_seed(seed: int, plan: Plan | None = None, on_line: Callable[[str], None] | None = None) -> Result:
    """Run one seed.

    Args:
        seed: decides everything that is left open by `plan`.
        plan: what to do.
        on_line: given each line of the trace, and each of the connections', once the run has ended.
    """
    plan = plan or Plan()
    chance = Random(f"{seed}/run")
    loop = SimulatedLoop(lambda: 0.0005 + chance.random() * 0.002)
    # An iterator may hold a crashed node's database open for a moment, and that may make a file while its directory is removed.
    files = TemporaryDirectory(ignore_cleanup_errors=True)
    with deterministic_world(), virtual_slices(loop), files as directory:
        run = _Run(seed, plan, loop, Path(directory))
        try:
            return run.run()
        finally:
            run.close()
            loop.close()


class _Run:
    def __init__(self, seed: int, plan: Plan, loop: SimulatedLoop, directory: Path) -> None:
        self._plan = plan
        self._loop = loop
        self._trace = _Trace(loop)
        self._problems: list[str] = []
        self._history = History()
        self._seed = seed
        self._working = True
        self._floods = 0
        shape = draw(seed, plan.nodes_count)
        self._cluster = Cluster(
            seed, loop, self._trace, self._problems.append, shape, on_started=self._on_started, flood=self._flood
        )
        self._observer = RaftObserver(self._cluster, self._history.violation, self._trace)
        self._cluster.on_disk_lost = self._observer.forget
        self._gateways = Gateways(self._cluster, directory) if plan.sql else None
        if self._gateways is not None:
            self._cluster.on_crashed = self._gateways.crash
        self._nodes = {node.name: node for node in self._cluster.nodes}
        loop.after_step = self._after_step

    def run(self) -> Result:
        try:
            self._loop.run_until_complete(self._main(), seconds_max=self._plan.seconds + 90)
        except Exception as error:  # whatever it is, it is what this seed came to
            self._problems.append(f"{type(error).__name__}: {error}")
            for node in self._cluster.nodes:
                self._trace(node.name, str(node))
        self._problems += [f"{name}: {what}: {error!r}" for name, what, error in self._loop.errors[:5]]
        self._problems += [f"{name}: {error!r}" for name, error in self._loop.failures()[:5]]
        problems = [*self._history.violations, *self._problems][:20]
        self._cluster.finished = True
        for problem in problems:
            self._trace("!", problem)
        history = self._history
        figures = {
            "commits": history.commits,
            "refusals": history.refusals,
            "unknown": history.unknowns,
            **{f"strong reads by {path.value}": count for path, count in sorted(history.strong_reads.items(), key=str)},
            "terms": max(self._observer.leaders, default=0),
            "bytes": self._cluster.network.bytes_sent,
        }
        counts = self._cluster.counts
        trace = self._trace.lines()
        return Result(self._seed, problems, trace, history, self._loop.steps, self._loop.time(), figures, counts)

    def close(self) -> None:
        """Give back what is real."""
        if self._gateways is not None:
            self._gateways.close()

    def _on_started(self, node: SimulatedNode) -> None:
        self._observer.attach(node)
        if self._gateways is not None:
            if not node.witness:
                self._gateways.start(node)
            return
        for number in range(self._plan.clients):
            client = Client(node, number, self._history, self._plan.pause_seconds, lambda: self._working)
            self._loop.create_task(client.run())
        reader = Client(node, self._plan.clients, self._history, self._plan.pause_seconds, lambda: self._working)
        self._loop.create_task(reader.read_on())

    def _flood(self, node: SimulatedNode) -> None:
        if node.up and node.process is not None and self._gateways is None:
            self._floods += 1
            client = Client(node, 100 + self._floods, self._history, self._plan.pause_seconds, lambda: self._working)
            self._loop.create_task(client.flood(40), context=node.process.context.copy())

    def _after_step(self, process: Process) -> None:
        node = self._nodes.get(process.name)
        if node is not None and node.process is process and node.started:
            self._observer.observe(node)

    async def _main(self) -> None:
        cluster, history = self._cluster, self._history
        cluster.start()
        ledger = Ledger()
        clients = [
            SqlClient(cluster, number, history, ledger, self._plan.pause_seconds, lambda: self._working)
            for number in range(self._plan.clients * len(cluster.nodes) if self._plan.sql else 0)
        ]
        if clients:
            await clients[0].create_schema()
        working = [client.start() for client in clients]
        operator = None
        if self._plan.fault_pause_seconds:
            nemesis = Nemesis(cluster, self._plan.fault_pause_seconds, self._plan.faults)
            operator = nemesis.operator
            await nemesis.strike(self._plan.seconds)
        else:
            await asyncio.sleep(self._plan.seconds)
        healed_at = self._loop.time()
        await cluster.wait_for(
            lambda: history.last_commit_began > healed_at, LIVENESS_SECONDS, "no transaction committed after the faults"
        )
        await cluster.wait_for(
            lambda: operator is None or not operator.busy,
            OPERATOR_SECONDS,
            "the membership does not become what it should",
        )
        await asyncio.sleep(0.3)
        self._working = False
        if working:
            await asyncio.wait(working)
        await cluster.wait_for(self._agree, AGREEMENT_SECONDS, "the nodes do not agree")
        self._problems += check_logs(cluster)
        if self._gateways is None:
            self._problems += check_history(cluster.nodes[0], history)
        else:
            self._problems += self._gateways.problems()
            await clients[0].judge()

    def _agree(self) -> bool:
        """All are up, have applied all that the leader's log has, and nothing is in flight."""
        members = self._cluster.members
        replicas = [node.replica for node in members if node.up]
        if len(replicas) < len(members) or not any(each and each.is_leader for each in replicas):
            return False
        ends = {(each._log.last_index, each._applied, each.frontier.position) for each in replicas if each}
        return len(ends) == 1 and all(last == applied for last, applied, _ in ends)
