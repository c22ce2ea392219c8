"""How new what a read returned must have been: real time and sessions, one key at a time.

Where the versions of a key are totally ordered, recency is a comparison of numbers. Each sweep goes over the key's
writes and reads once, in the order of time, and keeps the newest version that the next reader must not miss:

| anomaly | the reader missed a version that |
| --- | --- |
| stale read | had been acknowledged before the reader began |
| lost write | as above, and no read shows it, at any time |
| own writes | its own session had written before |
| monotonic reads | its own session had read before |

The same facts are cycles with one anti-dependency, which `isolation.py` would find; here each reader is found, and
named by what its user would say. Reads that precede reads of other sessions are left to the cycles (read inversion).
"""

from __future__ import annotations

from tests.checker.observations import Observations
from tests.checker.report import AnomalyKind, Findings, Order
from tests.checker.versions import KeyVersions


def check_recency(observations: Observations, versions: KeyVersions, findings: Findings) -> None:
    """Strong reads of one key against what had been acknowledged before, and against their own session."""
    _check_real_time(observations, versions, findings)
    _check_sessions(observations, versions, findings)


def _check_real_time(observations: Observations, versions: KeyVersions, findings: Findings) -> None:
    transactions = observations.transactions
    acknowledged = sorted(
        (transactions[index].ended_us, number, index)
        for index, number in versions.writes
        if observations.acknowledged(index) and transactions[index].strong
    )
    reads = sorted(
        (transactions[index].began_us, index, number) for index, number in versions.reads if transactions[index].strong
    )
    due, due_writer, place = 0, -1, 0
    for began_us, reader, number in reads:
        while place < len(acknowledged) and acknowledged[place][0] < began_us:
            if acknowledged[place][1] > due:
                _, due, due_writer = acknowledged[place]
            place += 1
        if number < due and reader != due_writer:
            late_us = began_us - transactions[due_writer].ended_us
            lost = due >= versions.unseen
            what = (
                f"T{reader} began {late_us} µs after T{due_writer} had been acknowledged, but does not see its write to "
                f"{versions.key}{', and nobody ever does' if lost else ''}"
            )
            kind = AnomalyKind.LOST_WRITE if lost else AnomalyKind.STALE_READ
            findings.add(kind, what, [reader, due_writer], [versions.key])


def _check_sessions(observations: Observations, versions: KeyVersions, findings: Findings) -> None:
    """In the order of each session: a read, then what it and the transaction's own writes ask of the next."""
    transactions = observations.transactions
    steps = [(index, 0, number) for index, number in versions.reads]
    steps += [(index, 1, number) for index, number in versions.writes if observations.acknowledged(index)]
    steps = [step for step in steps if transactions[step[0]].strong]
    steps.sort(
        key=lambda step: (transactions[step[0]].began_us, transactions[step[0]].ended_us, step[0], step[1], step[2])
    )
    written: dict[tuple[str, int], tuple[int, int]] = {}
    read: dict[tuple[str, int], tuple[int, int]] = {}
    for index, is_write, number in steps:
        session = transactions[index].session
        if is_write:
            written[session] = max(written.get(session, (0, index)), (number, index))
            continue
        for kind, before, verb in (
            (AnomalyKind.OWN_WRITES, written, "written"),
            (AnomalyKind.MONOTONIC_READS, read, "read"),
        ):
            due, other = before.get(session, (0, index))
            if number < due:
                what = f"T{index} sees an older version of {versions.key} than T{other} had {verb} before in the same session"
                findings.add(kind, what, [index, other], [versions.key], order=Order.NONE)
        read[session] = max(read.get(session, (0, index)), (number, index))
