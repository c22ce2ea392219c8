"""Components and cycles of random graphs against brute force, and real-time order against its definition.

Goal: components are exactly the sets of mutually reachable nodes; the cheapest cycle is a cycle, and none is cheaper;
the chain of moments orders exactly those pairs of transactions of which one ended before the other began. Method:
hypothesis.
"""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tests.checker.cycles import cheapest_cycle, strongly_connected
from tests.checker.dependencies import moments
from tests.checker.notation import transaction
from tests.checker.observations import Observations
from tests.checker.report import Findings

INFINITE = 10**9


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[list[int]], list[list[int]]]:
    """Successors and costs."""
    count = draw(st.integers(1, 9))
    pairs = [(one, other) for one in range(count) for other in range(count) if one != other]
    edges = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=2 * count)) if pairs else []
    graph: list[list[int]] = [[] for _ in range(count)]
    costs: list[list[int]] = [[] for _ in range(count)]
    for one, other in edges:
        graph[one].append(other)
        costs[one].append(draw(st.integers(0, 5)))
    return graph, costs


def distances(graph: list[list[int]], costs: list[list[int]]) -> list[list[int]]:
    """Floyd and Warshall, from each node to each by at least one edge."""
    count = len(graph)
    distance = [[INFINITE] * count for _ in range(count)]
    for one, successors in enumerate(graph):
        for place, other in enumerate(successors):
            distance[one][other] = min(distance[one][other], costs[one][place])
    for middle in range(count):
        for one in range(count):
            for other in range(count):
                distance[one][other] = min(distance[one][other], distance[one][middle] + distance[middle][other])
    return distance


@given(graphs())
def test_components_are_mutually_reachable_nodes(given_graph: tuple[list[list[int]], list[list[int]]]) -> None:
    graph, costs = given_graph
    distance = distances(graph, costs)
    expected = {
        frozenset(
            other
            for other in range(len(graph))
            if one == other or (distance[one][other] < INFINITE and distance[other][one] < INFINITE)
        )
        for one in range(len(graph))
    }
    assert {frozenset(part) for part in strongly_connected(graph)} == {part for part in expected if len(part) > 1}


@given(graphs())
def test_no_cycle_is_cheaper(given_graph: tuple[list[list[int]], list[list[int]]]) -> None:
    graph, costs = given_graph
    distance = distances(graph, costs)
    for part in strongly_connected(graph):
        cycle = cheapest_cycle(graph, part, costs)
        assert len(set(cycle)) == len(cycle)
        cost = sum(costs[one][graph[one].index(other)] for one, other in pairwise((*cycle, cycle[0])))
        assert cost == min(distance[node][node] for node in part)


def test_a_path_deeper_than_pythons_stack() -> None:
    count = 100_000
    ring = [[(node + 1) % count] for node in range(count)]
    (component,) = strongly_connected(ring)
    assert len(component) == count
    assert len(cheapest_cycle(ring, component)) == count
    assert strongly_connected([*ring[:-1], []]) == []


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 8)), min_size=1, max_size=9))
def test_moments_are_real_time_order(times: list[tuple[int, int]]) -> None:
    history = [transaction("r x []", at=(began, began + length)) for began, length in times]
    chain = moments(Observations(history, Findings(history)), inversions=True)
    reached = {(source, target) for source, entered in chain.entered for left, target in chain.left if entered <= left}
    assert reached == {
        (source, target)
        for source, one in enumerate(history)
        for target, other in enumerate(history)
        if one.ended_us < other.began_us
    }
    assert len(chain.entered) + len(chain.left) <= 2 * len(history)
