"""Read-write registers: versions by their unique values, their order from what is known.

A register forgets its past, so a read tells only who wrote what it returned (wr). The order of versions comes from

1. the journal positions of their writers, where they are known: a total order of those;
2. *writes follow reads*: who read a version and then replaced it wrote a later one (snapshot isolation: nothing can
   have come in between);
3. *real time*: a write that was acknowledged before the transaction of another began is earlier (strong reads: the
   later one's snapshot contains it);
4. nothing is earlier than the first write.

Points 2 and 3 are Elle's optional assumptions; Boreal promises both. Together they give a partial order. If it is
cyclic, that itself is an anomaly, and nothing more is concluded from the key's order. A reader of version v gets rw
edges to the writers of v's direct successors. An edge to a successor that is not the next one stands for rw, ww, …, ww,
a path with as many anti-dependencies; so it neither makes nor renames a cycle. Readers of "nothing" have the minimal
versions as successors, at most `FIRST_TARGETS` of them.
"""

from __future__ import annotations

from itertools import pairwise

from tests.checker.cycles import cheapest_cycle, strongly_connected
from tests.checker.dependencies import Edge, EdgeKind
from tests.checker.history import Content, Value
from tests.checker.observations import KeyObservations, Observations
from tests.checker.report import AnomalyKind, Findings
from tests.checker.versions import KeyVersions, lost_updates

FIRST_TARGETS = 8


def check_register(
    observations: Observations, of_key: KeyObservations, findings: Findings
) -> tuple[list[Edge], KeyVersions | None]:
    """Anomalies of single reads of a register, its edges, and its versions if they are totally ordered."""
    reads = observations.counted_reads(of_key)
    _check_values(observations, of_key, reads, findings)
    writers = {index: values[-1] for index, values in of_key.written_by.items() if observations.counted[index]}
    lost_updates(of_key.key, reads, writers, findings)

    total = _journal_order(observations, writers)
    complete = len(total) == len(writers)
    successors = _successors(observations, of_key, reads, writers, total, complete)
    if not complete and _is_cyclic(of_key, successors, findings):
        successors = {}
    edges = _edges(of_key, reads, writers, successors)
    return edges, _versions(of_key, reads, writers, total) if complete else None


def _check_values(
    observations: Observations, of_key: KeyObservations, reads: list[tuple[int, Content]], findings: Findings
) -> None:
    """Every value read was somebody's last write to the register, and that somebody did not abort."""
    key = of_key.key
    for reader, value in reads:
        if value is None or isinstance(value, tuple):
            continue
        writer = of_key.writer_of.get(value)
        if writer is None:
            findings.add(
                AnomalyKind.GARBAGE_READ, f"T{reader} read {key} = {value}, which nobody wrote", [reader], [key]
            )
        elif observations.aborted(writer):
            what = f"T{reader} read {key} = {value}, which T{writer} wrote, but T{writer} aborted"
            findings.add(AnomalyKind.G1A, what, [reader, writer], [key])
        elif writer != reader and of_key.written_by[writer][-1] != value:
            final = of_key.written_by[writer][-1]
            what = f"T{reader} read {key} = {value}, but T{writer} went on to write {final} before it committed"
            findings.add(AnomalyKind.G1B, what, [reader, writer], [key])


def _journal_order(observations: Observations, writers: dict[int, Value]) -> list[int]:
    """The writers whose position is known, by it."""
    positions = {index: observations.transactions[index].position for index in writers}
    known = [(position, index) for index, position in positions.items() if position is not None]
    return [index for _, index in sorted(known)]


def _successors(
    observations: Observations,
    of_key: KeyObservations,
    reads: list[tuple[int, Content]],
    writers: dict[int, Value],
    total: list[int],
    complete: bool,
) -> dict[int, list[int]]:
    """Writer → writers of later versions, direct ones only as far as that is cheap to know."""
    successors: dict[int, dict[int, None]] = {index: {} for index in writers}
    for source, target in pairwise(total):
        successors[source][target] = None
    if not complete:
        for reader, value in reads:
            writer = None if value is None or isinstance(value, tuple) else of_key.writer_of.get(value)
            if writer in successors and reader in writers and writer != reader:
                successors[writer][reader] = None
        for source, target in _real_time_pairs(observations, list(writers)):
            successors[source][target] = None
    return {index: list(targets) for index, targets in successors.items()}


def _real_time_pairs(observations: Observations, indices: list[int]) -> list[tuple[int, int]]:
    """The transitive reduction of "acknowledged before … began", by a sweep with a frontier.

    The frontier holds the ended transactions that no other ended one follows. Who begins follows all of it; who ends
    replaces those that it followed. As many pairs as transactions × those in flight at once on this key."""
    transactions = observations.transactions
    steps = []
    for index in indices:
        transaction = transactions[index]
        if transaction.strong:
            steps.append((transaction.began_us, 0, index))
            if observations.acknowledged(index):
                steps.append((transaction.ended_us, 1, index))
    frontier: set[int] = set()
    followed: dict[int, set[int]] = {}
    pairs = []
    for _, ends, index in sorted(steps):
        if ends:
            frontier -= followed[index]
            frontier.add(index)
        else:
            followed[index] = set(frontier)
            pairs += [(source, index) for source in frontier]
    return pairs


def _is_cyclic(of_key: KeyObservations, successors: dict[int, list[int]], findings: Findings) -> bool:
    numbers = {index: number for number, index in enumerate(successors)}
    indices = list(successors)
    graph = [[numbers[target] for target in targets] for targets in successors.values()]
    components = strongly_connected(graph)
    for component in components:
        cycle = [indices[node] for node in cheapest_cycle(graph, component)]
        order = " before ".join(str(of_key.written_by[index][-1]) for index in (*cycle, cycle[0]))
        what = f"by what was read before it was replaced, and by real time, {of_key.key} was {order}"
        findings.add(AnomalyKind.CYCLIC_VERSIONS, what, cycle, [of_key.key])
    return bool(components)


def _edges(
    of_key: KeyObservations,
    reads: list[tuple[int, Content]],
    writers: dict[int, Value],
    successors: dict[int, list[int]],
) -> list[Edge]:
    key = of_key.key
    edges = [
        Edge(source, target, EdgeKind.WW, key, writers[source], writers[target])
        for source, targets in successors.items()
        for target in targets
    ]
    preceded = {target for targets in successors.values() for target in targets}
    first = [index for index in writers if index not in preceded][:FIRST_TARGETS] if successors else []
    for reader, value in reads:
        if value is None:
            following = first
        else:
            writer = of_key.writer_of.get(value) if not isinstance(value, tuple) else None
            if writer is None or writer not in writers:
                continue
            if writer != reader:
                edges.append(Edge(writer, reader, EdgeKind.WR, key, value))
            following = successors.get(writer, [])
        edges += [
            Edge(reader, target, EdgeKind.RW, key, value, writers[target]) for target in following if target != reader
        ]
    return edges


def _versions(
    of_key: KeyObservations, reads: list[tuple[int, Content]], writers: dict[int, Value], total: list[int]
) -> KeyVersions:
    number_of = {index: number for number, index in enumerate(total, 1)}
    seen = []
    for reader, value in reads:
        writer = None if value is None or isinstance(value, tuple) else of_key.writer_of.get(value)
        if value is None:
            seen.append((reader, 0))
        elif writer in number_of:
            seen.append((reader, number_of[writer]))
    return KeyVersions(of_key.key, seen, list(number_of.items()), len(total) + 1)
