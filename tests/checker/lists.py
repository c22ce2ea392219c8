"""List-append: the order of versions from the reads themselves (Elle).

A list that only grows shows its whole past in every read. The longest read of a key is its version order; every other
read must be a prefix of it. From that follow, without any guess,

    ww  between the writers of neighbouring elements,
    wr  from the writer of a read's last element to the reader,
    rw  from the reader to the writer of the element after its last one.

Committed appends that no read shows are later than all that are shown: ww from the last shown one, rw from all who read
the whole order. Among themselves their order is known only from journal positions. At most `UNSEEN_TARGETS` of them get
edges, so that a key with many readers and many unread appends costs no product; leaving out true edges can hide a
cycle, never make one.

Unlike Elle, only *external* versions count as reads (`observations.py`): a transaction's own appends are not yet in the
shared order, so that a lost update is named so and not taken for an incompatible order.
"""

from __future__ import annotations

from itertools import pairwise

from tests.checker.dependencies import Edge, EdgeKind
from tests.checker.history import Elements, Value
from tests.checker.observations import KeyObservations, Observations
from tests.checker.report import AnomalyKind, Findings, show_elements
from tests.checker.versions import KeyVersions, lost_updates

UNSEEN_TARGETS = 8


def check_list(
    observations: Observations, of_key: KeyObservations, findings: Findings
) -> tuple[list[Edge], KeyVersions]:
    """Anomalies of single reads of a list, its edges, and its versions for the recency checks."""
    reads = [
        (reader, elements) for reader, elements in observations.counted_reads(of_key) if isinstance(elements, tuple)
    ]
    longest_reader, order = max(reads, key=lambda read: len(read[1]), default=(-1, ()))
    _check_elements(observations, of_key, longest_reader, order, findings)
    reads = _without_incompatible(observations, of_key, reads, longest_reader, order, findings)
    _check_intermediate(observations, of_key, reads, findings)

    writers = {index: values for index, values in of_key.written_by.items() if observations.counted[index]}
    lost_updates(of_key.key, ((reader, _identity(seen)) for reader, seen in reads), writers, findings)
    shown = [(number, value) for number, value in enumerate(order, 1) if of_key.writer_of.get(value) in writers]
    number_of = {value: number for number, value in reversed(shown)}
    _check_torn(of_key, writers, number_of, len(order), findings)
    unseen = _unseen(observations, writers, number_of)

    edges = _edges(of_key, reads, shown, len(order))
    edges += _unseen_edges(observations, of_key, reads, shown, unseen, order)
    numbers_unseen = {value: len(order) + 1 + place for place, (_, value) in enumerate(unseen)}
    writes = [
        (index, number_of.get(value) or numbers_unseen[value])
        for index, values in writers.items()
        for value in values
        if value in number_of or value in numbers_unseen
    ]
    versions = KeyVersions(of_key.key, [(reader, len(seen)) for reader, seen in reads], writes, len(order) + 1)
    return edges, versions


def _identity(seen: Elements) -> str | None:
    """What tells versions of one list apart, all of which are prefixes of one another."""
    return f"{len(seen)} elements up to {seen[-1]}" if seen else None


def _check_elements(
    observations: Observations, of_key: KeyObservations, reader: int, elements: Elements, findings: Findings
) -> None:
    """Every element of a read was appended, once, by somebody who did not abort."""
    key = of_key.key
    seen: set[Value] = set()
    for value in elements:
        writer = of_key.writer_of.get(value)
        if value in seen:
            what = f"T{reader} read {value} twice in {key} = {show_elements(elements)}; it was appended once"
            findings.add(AnomalyKind.DUPLICATE_ELEMENT, what, [reader] if writer is None else [reader, writer], [key])
        elif writer is None:
            what = f"T{reader} read {value} in {key}, which nobody has appended"
            findings.add(AnomalyKind.GARBAGE_READ, what, [reader], [key])
        elif observations.aborted(writer):
            what = f"T{reader} read {value} in {key}, which T{writer} appended, but T{writer} aborted"
            findings.add(AnomalyKind.G1A, what, [reader, writer], [key])
        seen.add(value)


def _without_incompatible(
    observations: Observations,
    of_key: KeyObservations,
    reads: list[tuple[int, Elements]],
    longest_reader: int,
    order: Elements,
    findings: Findings,
) -> list[tuple[int, Elements]]:
    """The reads that are prefixes of the longest; the others are noted."""
    compatible = []
    for reader, seen in reads:
        if seen == order[: len(seen)]:
            compatible.append((reader, seen))
            continue
        _check_elements(observations, of_key, reader, seen, findings)
        place = next(place for place, value in enumerate(seen) if value != order[place])
        what = (
            f"element {place + 1} of {of_key.key} is {seen[place]} to T{reader} and {order[place]} to T{longest_reader}: "
            f"neither of {show_elements(seen)} and {show_elements(order)} begins the other"
        )
        findings.add(AnomalyKind.INCOMPATIBLE_ORDER, what, [reader, longest_reader], [of_key.key])
    return compatible


def _check_intermediate(
    observations: Observations, of_key: KeyObservations, reads: list[tuple[int, Elements]], findings: Findings
) -> None:
    """G1b: a read that ends between two appends of one transaction."""
    for reader, seen in reads:
        writer = of_key.writer_of.get(seen[-1]) if seen else None
        if writer is None or writer == reader or observations.aborted(writer):
            continue
        final = of_key.written_by[writer][-1]
        if seen[-1] != final:
            what = f"T{reader} read {of_key.key} up to {seen[-1]}, but T{writer} went on to append {final} before it committed"
            findings.add(AnomalyKind.G1B, what, [reader, writer], [of_key.key])


def _check_torn(
    of_key: KeyObservations,
    writers: dict[int, list[Value]],
    number_of: dict[Value, int],
    length: int,
    findings: Findings,
) -> None:
    """A transaction's appends to one key appear in its own order, and all of them: what later ones follow is complete."""
    for writer, values in writers.items():
        numbers = [number_of.get(value) for value in values]
        known = [number for number in numbers if number is not None]
        appended = f"T{writer} appended {show_elements(values)} to {of_key.key}"
        if known != sorted(known):
            what = f"{appended}, in this order; reads show another"
            findings.add(AnomalyKind.INCOMPATIBLE_ORDER, what, [writer], [of_key.key])
        missing = numbers.index(None) if known and None in numbers else len(numbers)
        if missing < len(numbers) and (numbers[-1] is not None or max(known) < length):
            what = f"{appended}; {values[missing]} is missing, though others came after"
            findings.add(AnomalyKind.LOST_WRITE, what, [writer], [of_key.key])


def _unseen(
    observations: Observations, writers: dict[int, list[Value]], number_of: dict[Value, int]
) -> list[tuple[int, Value]]:
    """(writer, element) of committed appends that no read shows: by journal position, those without one last."""
    unseen = [(index, values[-1]) for index, values in writers.items() if values[-1] not in number_of]
    positions = [observations.transactions[index].position for index, _ in unseen]
    return [
        entry
        for _, _, entry in sorted(
            ((position is None, position or 0, entry) for position, entry in zip(positions, unseen, strict=True)),
            key=lambda item: item[:2],
        )
    ]


def _edges(
    of_key: KeyObservations, reads: list[tuple[int, Elements]], shown: list[tuple[int, Value]], length: int
) -> list[Edge]:
    key, writer_of = of_key.key, of_key.writer_of
    edges = []
    for (_, earlier), (_, later) in pairwise(shown):
        source, target = writer_of[earlier], writer_of[later]
        if source != target:
            edges.append(Edge(source, target, EdgeKind.WW, key, earlier, later))
    # By number of elements seen: the last one shown up to there, and the first one shown after.
    last: list[Value | None] = [None] * (length + 1)
    following: list[Value | None] = [None] * (length + 1)
    for number, value in shown:
        last[number] = value
        following[number - 1] = value
    for number in range(1, length + 1):
        if last[number] is None:
            last[number] = last[number - 1]
    for number in range(length - 1, -1, -1):
        if following[number] is None:
            following[number] = following[number + 1]
    for reader, seen in reads:
        newest, after = last[len(seen)], following[len(seen)]
        if newest is not None and writer_of[newest] != reader:
            edges.append(Edge(writer_of[newest], reader, EdgeKind.WR, key, newest))
        if after is not None and writer_of[after] != reader:
            edges.append(Edge(reader, writer_of[after], EdgeKind.RW, key, newest if seen else (), after))
    return edges


def _unseen_edges(
    observations: Observations,
    of_key: KeyObservations,
    reads: list[tuple[int, Elements]],
    shown: list[tuple[int, Value]],
    unseen: list[tuple[int, Value]],
    order: Elements,
) -> list[Edge]:
    """Edges to committed appends that no read shows; not where the writer's other appends are shown: those are torn."""
    edges = []
    torn = {of_key.writer_of[value] for _, value in shown}
    unseen = [entry for entry in unseen if entry[0] not in torn]
    key = of_key.key
    last = shown[-1][1] if shown else None
    full_readers = [reader for reader, seen in reads if len(seen) == len(order)]
    for writer, value in unseen[:UNSEEN_TARGETS]:
        if last is not None and of_key.writer_of[last] != writer:
            edges.append(Edge(of_key.writer_of[last], writer, EdgeKind.WW, key, last, value))
        before = order[-1] if order else ()
        edges += [Edge(reader, writer, EdgeKind.RW, key, before, value) for reader in full_readers if reader != writer]
    positioned = [entry for entry in unseen if observations.transactions[entry[0]].position is not None]
    for (source, earlier), (target, later) in pairwise(positioned):
        edges.append(Edge(source, target, EdgeKind.WW, key, earlier, later))
    return edges
