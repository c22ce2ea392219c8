"""From the dependency graph to named anomalies: the graph of starts and commits.

Snapshot isolation gives every transaction two moments: the start, when its snapshot is taken, and the commit, when its writes
appear. So each transaction Tᵢ becomes two nodes, Sᵢ before Cᵢ, and each edge says what it really says about them:

| edge | asserts | because |
| --- | --- | --- |
| ww | Cᵢ → Sⱼ | both wrote the key and both committed: the first committer wins, so they did not overlap |
| wr | Cᵢ → Sⱼ | the reader's snapshot contains the writer |
| rw | Sᵢ → Cⱼ | the reader's snapshot does not contain the writer |
| rw, reader SERIALIZABLE | Cᵢ → Cⱼ | what it read still held when it committed |
| session, real time | Cᵢ → Sⱼ | the later one sees what the earlier one did and saw |

**A history breaks the promises exactly if this graph has a cycle**; one linear search for components decides. A cycle
with no anti-dependency is G0 or G1c. One with a single rw is G-single (read skew, lost update, stale read). One with several
passes through some Tⱼ from Cⱼ (rw in) to Sⱼ (rw out) only over other edges, for a path cannot go from Cⱼ back to Sⱼ at once: so
two neighbouring rw never close a cycle, and write skew passes, as snapshot isolation allows (Fekete et al. 2005); several rw with
something between each are a long fork, or G-nonadjacent in general. The fourth row follows Adya's mixing rule (thesis §5.5.3: an anti-dependency is
obligatory where its *reader* runs at PL-3): cycles that need it are G2. They need a SERIALIZABLE transaction wherever two
anti-dependencies meet, and nothing of the others; where all are at snapshot isolation there is none. A SERIALIZABLE
transaction that wrote nothing happens as a whole at its snapshot; since only rw edges end at a C, and only at a writer's, its
two nodes act as one.

A component is then explained at the most specific level: the graph restricted to fewer kinds of edges first. Parts that hold
all transactions of an anomaly found before are taken as its consequence and not named again.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from tests.checker.cycles import cheapest_cycle, strongly_connected
from tests.checker.dependencies import Edge, EdgeKind, Moments, explain
from tests.checker.history import Isolation
from tests.checker.observations import Observations
from tests.checker.report import AnomalyKind, Findings, Order

_WITHIN = -1
"""Marks an edge that is none of the history's: from a start to its commit, from a moment to the next."""
_ENTER = -2
_LEAVE = -3

_COSTS = {EdgeKind.WW: 1, EdgeKind.WR: 1, EdgeKind.RW: 1000, EdgeKind.SESSION: 30, EdgeKind.REAL_TIME: 100}
"""Cheap edges make good explanations: as few anti-dependencies as possible, then as little real time."""


class _Level(NamedTuple):
    """A restriction of the graph."""

    kinds: frozenset[EdgeKind]
    serializable: bool


_DATA = frozenset({EdgeKind.WW, EdgeKind.WR, EdgeKind.RW})
_LEVELS = (
    _Level(frozenset({EdgeKind.WW}), False),
    _Level(frozenset({EdgeKind.WW, EdgeKind.WR}), False),
    _Level(_DATA, False),
    _Level(_DATA, True),
    _Level(_DATA | {EdgeKind.SESSION}, False),
    _Level(_DATA | {EdgeKind.SESSION, EdgeKind.REAL_TIME}, False),
    _Level(_DATA | {EdgeKind.SESSION, EdgeKind.REAL_TIME}, True),
)


class StartCommitGraph:
    """Nodes 2i and 2i + 1 are start and commit of transaction i; then one node for each moment of real time."""

    def __init__(self, observations: Observations, edges: Sequence[Edge], moments: Moments) -> None:
        transactions = observations.transactions
        self._observations = observations
        self._edges = edges
        self._moments_from = 2 * len(transactions)
        nodes = range(self._moments_from + moments.count)
        self._successors: list[list[int]] = [[] for _ in nodes]
        self._labels: list[list[int]] = [[] for _ in nodes]
        """For each successor, the index of its edge, or one of the marks."""
        serializable = bytearray(one.isolation is Isolation.SERIALIZABLE for one in transactions)
        for start in range(0, self._moments_from, 2):
            self._add(start, start + 1, _WITHIN)
        for number, edge in enumerate(edges):
            source, target, kind = edge[:3]
            if kind is not EdgeKind.RW:
                self._add(2 * source + 1, 2 * target, number)
                continue
            self._add(2 * source, 2 * target + 1, number)
            if serializable[source]:
                self._add(2 * source + 1, 2 * target + 1, number)
        for index, moment in moments.entered:
            self._add(2 * index + 1, self._moments_from + moment, _ENTER)
        for node in nodes[self._moments_from : -1]:
            self._add(node, node + 1, _WITHIN)
        for moment, index in moments.left:
            self._add(self._moments_from + moment, 2 * index, _LEAVE)

    def _add(self, source: int, target: int, label: int) -> None:
        self._successors[source].append(target)
        self._labels[source].append(label)

    def check(self, findings: Findings) -> None:
        """Find and name the cycles, one for each component of each level that holds none found before."""
        for component in strongly_connected(self._successors):
            self._explain(component, findings)

    def _explain(self, component: list[int], findings: Findings) -> None:
        members = set(component)
        explained = False
        for level in _LEVELS:
            graph, costs, labels, nodes = self._restrict(component, members, level)
            for part in strongly_connected(graph):
                concerned = {nodes[node] // 2 for node in part if nodes[node] < self._moments_from}
                explained = True
                if not any(pair <= concerned for pair in findings.pairs):
                    cycle = cheapest_cycle(graph, part, costs)
                    self._report([(nodes[node], labels[node]) for node in cycle], findings)
        assert explained, "the last level is the whole graph"

    def _restrict(
        self, component: list[int], members: set[int], level: _Level
    ) -> tuple[list[list[int]], list[list[int]], list[dict[int, int]], list[int]]:
        """The component's subgraph at a level: successors, costs, and labels by successor's node; nodes renumbered."""
        number_of = {node: number for number, node in enumerate(component)}
        graph: list[list[int]] = []
        costs: list[list[int]] = []
        labels: list[dict[int, int]] = []
        for node in component:
            cheapest: dict[int, tuple[int, int]] = {}
            for successor, label in zip(self._successors[node], self._labels[node], strict=True):
                cost = self._cost(node, successor, label, level) if successor in members else None
                if cost is not None and (successor not in cheapest or cost < cheapest[successor][0]):
                    cheapest[successor] = (cost, label)
            graph.append([number_of[successor] for successor in cheapest])
            costs.append([cost for cost, _ in cheapest.values()])
            labels.append({successor: label for successor, (_, label) in cheapest.items()})
        return graph, costs, labels, component

    def _cost(self, node: int, successor: int, label: int, level: _Level) -> int | None:
        """What the edge costs at a level; None if it is not in it."""
        if label in (_WITHIN, _LEAVE):
            return 0
        if label == _ENTER:
            return _COSTS[EdgeKind.REAL_TIME] if EdgeKind.REAL_TIME in level.kinds else None
        kind = self._edges[label].kind
        if kind not in level.kinds or (kind is EdgeKind.RW and node % 2 and not level.serializable):
            return None
        return _COSTS[kind]

    def _report(self, steps: list[tuple[int, dict[int, int]]], findings: Findings) -> None:
        edges, needs_serializable = self._edges_of(steps)
        kind, order = name_cycle(edges, self._observations, needs_serializable)
        transactions = self._observations.transactions
        what = (
            " → ".join(f"T{edge.source}" for edge in edges) + f" → T{edges[0].source}: each must come before the next"
        )
        keys = [edge.key for edge in edges if edge.key is not None]
        facts = [explain(edge, transactions) for edge in edges]
        findings.add(kind, what, [edge.source for edge in edges], keys, facts, order)

    def _edges_of(self, steps: list[tuple[int, dict[int, int]]]) -> tuple[list[Edge], bool]:
        """The edges between transactions of a cycle of (node, labels of what follows); and whether it needs a SERIALIZABLE reader's commit."""
        edges: list[Edge] = []
        needs_serializable = False
        # Begin at a start or commit, so that no walk over moments is cut.
        first = next(place for place, (node, _) in enumerate(steps) if node < self._moments_from)
        steps = steps[first:] + steps[:first]
        entered = -1
        for (node, labels), (successor, _) in pairwise((*steps, steps[0])):
            label = labels[successor]
            if label == _ENTER:
                entered = node // 2
            elif label == _LEAVE:
                edges.append(Edge(entered, successor // 2, EdgeKind.REAL_TIME))
            elif label != _WITHIN:
                edges.append(self._edges[label])
                needs_serializable |= self._edges[label].kind is EdgeKind.RW and node % 2 == 1
        return edges, needs_serializable


def name_cycle(
    edges: Sequence[Edge], observations: Observations, needs_serializable: bool
) -> tuple[AnomalyKind, Order]:
    """The field's name for a cycle, and the order that it needs beyond dependencies."""
    kinds = {edge.kind for edge in edges}
    order = Order.NONE
    if EdgeKind.REAL_TIME in kinds:
        order = Order.REAL_TIME
    elif EdgeKind.SESSION in kinds:
        order = Order.SESSION
    anti = [edge for edge in edges if edge.kind is EdgeKind.RW]
    if not anti:
        return (AnomalyKind.G1C if EdgeKind.WR in kinds else AnomalyKind.G0), order
    if len(anti) == 1 and order is not Order.NONE:
        name = _name_recency(anti[0], edges, observations)
        if name is not None:
            return name, Order.NONE
    if needs_serializable:
        return (AnomalyKind.G2 if any(edge.phantom for edge in anti) else AnomalyKind.G2_ITEM), order
    if len(anti) == 1:
        return AnomalyKind.G_SINGLE, order
    if kinds == {EdgeKind.RW, EdgeKind.WR}:
        return AnomalyKind.LONG_FORK, order
    return AnomalyKind.G_NONADJACENT, order


def _name_recency(missed: Edge, edges: Sequence[Edge], observations: Observations) -> AnomalyKind | None:
    """The user's word for: `missed.source` did not see `missed.target`, though it had to by session or real time.

    The cycle goes from the missed write over ww and wr to one transaction, then by session or real time straight to the
    reader; else there is no shorter word than the cycle's own."""
    place = edges.index(missed)
    around = [*edges[place + 1 :], *edges[:place]]
    *between, last = around
    if last.kind not in (EdgeKind.SESSION, EdgeKind.REAL_TIME) or any(
        edge.kind not in (EdgeKind.WW, EdgeKind.WR) for edge in between
    ):
        return None
    wrote = not between or between[-1].kind is EdgeKind.WW or observations.transactions[last.source].writes
    if last.kind is EdgeKind.SESSION:
        return AnomalyKind.OWN_WRITES if wrote else AnomalyKind.MONOTONIC_READS
    return AnomalyKind.STALE_READ if wrote else AnomalyKind.READ_INVERSION
