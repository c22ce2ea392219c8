"""From the dependency graph to named anomalies: the graph of starts and commits.

Snapshot isolation gives every transaction two moments: the start, when its snapshot is taken, and the commit, when its
writes appear. So each transaction Tᵢ becomes two nodes, Sᵢ before Cᵢ, and each edge says what it really says about
them:

| edge | asserts | because |
| --- | --- | --- |
| ww | Cᵢ → Sⱼ | both wrote the key and both committed: the first committer wins, so they did not overlap |
| wr | Cᵢ → Sⱼ | the reader's snapshot contains the writer |
| rw | Sᵢ → Cⱼ | the reader's snapshot does not contain the writer |
| rw, reader SERIALIZABLE | Cᵢ → Cⱼ | what it read still held when it committed |
| session, real time | Cᵢ → Sⱼ | the later one sees what the earlier one did and saw |

**A history breaks the promises exactly if this graph has a cycle**; one linear search for components decides. A cycle
with no anti-dependency is G0 or G1c. One with a single rw is G-single (read skew, lost update, stale read). One with
several passes through some Tⱼ from Cⱼ (rw in) to Sⱼ (rw out) only over other edges, for a path cannot go from Cⱼ back
to Sⱼ at once: so two neighbouring rw never close a cycle, and write skew passes, as snapshot isolation allows (Fekete
et al. 2005); several rw with something between each are a long fork, or G-nonadjacent in general. The fourth row
follows Adya's mixing rule (an anti-dependency is obligatory where its *reader* runs at PL-3): cycles
that need it are G2. They need a SERIALIZABLE transaction wherever two anti-dependencies meet, and nothing of the
others; where all are at snapshot isolation there is none. A SERIALIZABLE transaction that wrote nothing happens as a
whole at its snapshot; since only rw edges end at a C, and only at a writer's, its two nodes act as one.

A component is then explained at the most specific level that has a cycle: ww only, then with wr, then with rw, then
with session and real-time order, then with what only SERIALIZABLE forbids. A cycle of transactions that another check
has already named (a lost update, G1b) is its consequence and not named again. Where session or real time is needed, a
component that holds any such anomaly is taken as explained: `recency.py` has found each reader, and around one stale
read real time ties all into one component.
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

_WITHIN, _ENTER, _LEAVE = -1, -2, -3
"""Labels of edges that are none of the history's: a start to its commit or a moment to the next; into and out of a moment."""

_FREE = len(EdgeKind)
"""The kind of edges that cost nothing and belong to every level."""

_COSTS = {
    EdgeKind.WW: 1,
    EdgeKind.WR: 1,
    EdgeKind.RW: 1000,
    EdgeKind.SESSION: 30,
    EdgeKind.REAL_TIME: 100,
    _FREE: 0,
}
"""Cheap edges make good explanations: as few anti-dependencies as possible, then as little real time."""


class _Level:
    """A restriction of the graph to some kinds of edges, with the more specific levels within, the most telling first."""

    def __init__(self, *kinds: EdgeKind, serializable: bool = False, within: Sequence[_Level] = ()) -> None:
        self.costs = [_COSTS[kind] if kind in kinds or kind == _FREE else None for kind in range(_FREE + 1)]
        self.serializable = serializable
        self.recency = EdgeKind.SESSION in kinds
        self.within = within


_WW = _Level(EdgeKind.WW)
_WW_WR = _Level(EdgeKind.WW, EdgeKind.WR, within=[_WW])
_DATA = _Level(EdgeKind.WW, EdgeKind.WR, EdgeKind.RW, within=[_WW_WR])
_SERIALIZABLE_DATA = _Level(EdgeKind.WW, EdgeKind.WR, EdgeKind.RW, serializable=True, within=[_DATA])
_SESSIONS = _Level(EdgeKind.WW, EdgeKind.WR, EdgeKind.RW, EdgeKind.SESSION)
_REAL_TIME = _Level(*EdgeKind, within=[_SESSIONS])
_ALL = _Level(*EdgeKind, serializable=True, within=[_SERIALIZABLE_DATA, _REAL_TIME])
"""Each level's components lie within those of the level around it, so that a level looks only at what is left there."""


class _Part(NamedTuple):
    """Some nodes and the edges of a level between them, numbered anew.

    Attributes:
        nodes: by new number.
        graph: successors.
        costs: of each edge, shaped like graph.
        labels: by node, successor → label of the cheapest edge.
    """

    nodes: list[int]
    graph: list[list[int]]
    costs: list[list[int]]
    labels: list[dict[int, int]]


class StartCommitGraph:
    """Nodes 2i and 2i + 1 are start and commit of transaction i; then one node for each moment of real time."""

    def __init__(self, observations: Observations, edges: Sequence[Edge], moments: Moments) -> None:
        transactions = observations.transactions
        self._observations = observations
        self._edges = edges
        self._kinds: list[int] = [edge.kind for edge in edges]
        """By label; the last three answer to the negative labels."""
        self._kinds += [_FREE, EdgeKind.REAL_TIME, _FREE]
        self._moments_from = 2 * len(transactions)
        nodes = range(self._moments_from + moments.moments_count)
        self._successors: list[list[int]] = [[] for _ in nodes]
        self._labels: list[list[int]] = [[] for _ in nodes]
        """For each successor, the index of its edge, or one of the marks."""
        serializable = bytearray(one.isolation is Isolation.SERIALIZABLE for one in transactions)
        for start in range(0, self._moments_from, 2):
            self._add(start, start + 1, _WITHIN)
        for number, edge in enumerate(edges):
            source, target = edge.source, edge.target
            if edge.kind is not EdgeKind.RW:
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
        """Find and name the cycles: of each component, in the most specific level that has some."""
        for component in strongly_connected(self._successors):
            self._explain(component, _ALL, findings)

    def _explain(self, component: list[int], level: _Level, findings: Findings) -> None:
        """Explain a component of a level by what lies within, or by its own cheapest cycle."""
        explained = False
        for specific in level.within:
            part = self._restrict(component, specific)
            for smaller in strongly_connected(part.graph):
                self._explain([part.nodes[number] for number in smaller], specific, findings)
                explained = True
        concerned = {node // 2 for node in component if node < self._moments_from}
        if explained or (level.recency and findings.includes_any_of(concerned)):
            return
        part = self._restrict(component, level)
        cycle = cheapest_cycle(part.graph, range(len(component)), part.costs)
        edges, needs_serializable = self._edges_of(cycle, part)
        if findings.includes_any_of({edge.source for edge in edges}):
            return
        kind, order = name_cycle(edges, self._observations, needs_serializable)
        transactions = self._observations.transactions
        what = (
            " → ".join(f"T{edge.source}" for edge in edges) + f" → T{edges[0].source}: each must come before the next"
        )
        keys = [edge.key for edge in edges if edge.key is not None]
        facts = [explain(edge, transactions) for edge in edges]
        findings.add(kind, what, [edge.source for edge in edges], keys, facts, order)

    def _restrict(self, component: list[int], level: _Level) -> _Part:
        """The component's nodes with the edges of a level."""
        number_of = {node: number for number, node in enumerate(component)}
        kinds, level_costs = self._kinds, level.costs
        part = _Part(component, [], [], [])
        for node in component:
            cheapest: dict[int, tuple[int, int]] = {}
            without_rw = node % 2 == 1 and not level.serializable
            for successor, label in zip(self._successors[node], self._labels[node], strict=True):
                number = number_of.get(successor)
                cost = level_costs[kinds[label]]
                if number is None or cost is None or (without_rw and kinds[label] == EdgeKind.RW):
                    continue
                if number not in cheapest or cost < cheapest[number][0]:
                    cheapest[number] = (cost, label)
            part.graph.append(list(cheapest))
            part.costs.append([cost for cost, _ in cheapest.values()])
            part.labels.append({number: label for number, (_, label) in cheapest.items()})
        return part

    def _edges_of(self, cycle: list[int], part: _Part) -> tuple[list[Edge], bool]:
        """The cycle's edges between transactions; and whether it needs a SERIALIZABLE reader's commit."""
        edges: list[Edge] = []
        needs_serializable = False
        # Begin at a start or commit, so that no walk over moments is cut.
        first = next(place for place, number in enumerate(cycle) if part.nodes[number] < self._moments_from)
        cycle = cycle[first:] + cycle[:first]
        entered = -1
        for number, successor in pairwise((*cycle, cycle[0])):
            node, label = part.nodes[number], part.labels[number][successor]
            if label == _ENTER:
                entered = node // 2
            elif label == _LEAVE:
                edges.append(Edge(entered, part.nodes[successor] // 2, EdgeKind.REAL_TIME))
            elif label != _WITHIN:
                edges.append(self._edges[label])
                needs_serializable |= self._kinds[label] == EdgeKind.RW and node % 2 == 1
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
