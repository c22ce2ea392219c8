"""Cycles in a directed graph of numbered nodes: where they are, and a cheapest one.

`strongly_connected` is Tarjan's algorithm (1972), iterative, for histories are deeper than Python's stack: linear in
nodes and edges. Two nodes lie on a common cycle exactly if they share a component, so a graph is acyclic exactly if no
component has two nodes (self-loops do not occur here). `cheapest_cycle` then explains a component: Dijkstra from each
of its nodes, from `STARTS_MAX` of them where the component is large.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush

STARTS_MAX = 64
_EFFORT_MAX = 50_000
"""Starts × nodes of the component: a larger component is searched from fewer nodes."""


def strongly_connected(graph: Sequence[Sequence[int]]) -> list[list[int]]:
    """The strongly connected components of two or more nodes; `graph[node]` lists the successors."""
    count = len(graph)
    discovered = [0] * count  # when, from 1 on; 0 is never
    low = [0] * count
    on_stack = bytearray(count)
    visited = [0] * count  # successors looked at
    stack: list[int] = []
    components = []
    clock = 0
    for root in range(count):
        if discovered[root]:
            continue
        path = [root]
        while path:
            node = path[-1]
            if not discovered[node]:
                clock += 1
                discovered[node] = low[node] = clock
                stack.append(node)
                on_stack[node] = 1
            successors = graph[node]
            place, lowest = visited[node], low[node]
            while place < len(successors):
                successor = successors[place]
                if not discovered[successor]:
                    break
                if on_stack[successor] and low[successor] < lowest:
                    lowest = low[successor]
                place += 1
            visited[node], low[node] = place, lowest
            if place < len(successors):
                path.append(successors[place])
                continue
            path.pop()
            if lowest == discovered[node]:
                component = _pop_through(stack, node)
                for member in component:
                    on_stack[member] = 0
                if len(component) > 1:
                    components.append(component)
    return components


def _pop_through(stack: list[int], node: int) -> list[int]:
    start = len(stack) - 1
    while stack[start] != node:
        start -= 1
    popped = stack[start:]
    del stack[start:]
    return popped


def cheapest_cycle(
    graph: Sequence[Sequence[int]], component: Sequence[int], costs: Sequence[Sequence[int]] | None = None
) -> list[int]:
    """A cycle inside a component, as its nodes in order: the cheapest one through any of its first nodes.

    Args:
        graph: successors.
        component: nodes that are strongly connected, two or more.
        costs: of each edge, shaped like `graph`, not negative; without them every edge costs 1.
    """
    members = set(component)
    best: list[int] = []
    bound: int | None = None
    starts_count = max(1, min(STARTS_MAX, _EFFORT_MAX // len(component)))
    for start in sorted(component)[:starts_count]:
        found = _cycle_through(graph, members, costs, start, bound)
        if found is not None:
            bound, best = found
    assert best, "a strongly connected component has a cycle through each of its nodes"
    return best


def _cycle_through(
    graph: Sequence[Sequence[int]],
    members: set[int],
    costs: Sequence[Sequence[int]] | None,
    start: int,
    bound: int | None,
) -> tuple[int, list[int]] | None:
    """The cheapest cycle through `start` and its cost; None if it is not below the bound."""
    distance = {start: 0}
    came_from: dict[int, int] = {}
    queue = [(0, start)]
    closing: tuple[int, int] | None = None
    while queue:
        reached, node = heappop(queue)
        if closing is not None and reached >= closing[0]:
            break
        if reached > distance[node] or (bound is not None and reached >= bound):
            continue
        for place, successor in enumerate(graph[node]):
            if successor not in members:
                continue
            total = reached + (1 if costs is None else costs[node][place])
            if successor == start:
                if closing is None or total < closing[0]:
                    closing = (total, node)
            elif total < distance.get(successor, total + 1):
                distance[successor] = total
                came_from[successor] = node
                heappush(queue, (total, successor))
    if closing is None or (bound is not None and closing[0] >= bound):
        return None
    cycle = [closing[1]]
    while cycle[-1] != start:
        cycle.append(came_from[cycle[-1]])
    cycle.reverse()
    return closing[0], cycle
