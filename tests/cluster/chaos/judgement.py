"""When the faults are over: do all members agree, is everything there that was acknowledged, and was every read right?"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec
import psycopg

from deploy.cluster import LocalCluster
from deploy.verification import verify_directory
from journal.environment import real_environment
from journal.errors import BorealError
from journal.event import Event
from journal.eventlog import EventLog
from tests.checker.anomalies import check
from tests.checker.bank import check_bank
from tests.checker.chain import check_chain, decode_events
from tests.checker.history import (
    Content,
    History,
    JournalEvent,
    Key,
    Outcome,
    ReadList,
    ReadRegister,
    Transaction,
    save_history,
)
from tests.checker.proof import prove
from tests.checker.report import Report
from tests.cluster.chaos import clients, tpcb
from tests.cluster.chaos.recorder import Attempt, Recorder

CONVERGE_SECONDS_MAX = 15.0
_PREFIXES = {"list": "l", "register": "r", "account": "a"}
_decode_row = msgspec.msgpack.decode


class Decoder:
    """From an event's writes to the keys of the workload.

    Args:
        tables: first six bytes of the keys of each table's rows → prefix of its keys in the history.
    """

    def __init__(self, tables: dict[bytes, str]) -> None:
        self._tables = tables

    @classmethod
    def of(cls, connection: psycopg.Connection[tuple[object, ...]]) -> Decoder:
        """For the tables as they are stored."""
        rows = connection.execute("SELECT DISTINCT table_name, storage_id FROM sys.storage").fetchall()
        return cls(
            {
                int(str(storage)).to_bytes(4, "big") + b"\0\0": _PREFIXES[str(name)]
                for name, storage in rows
                if name in _PREFIXES
            }
        )

    def __call__(self, event: Event) -> Iterator[tuple[Key, Content]]:
        """See `tests.checker.chain.Decoder`."""
        for key, value, _ in event.writes:
            prefix = self._tables.get(key[:6])
            if prefix is not None and value:
                number, content = _decode_row(value)
                yield f"{prefix}{number}", tuple(content) if isinstance(content, list) else content


def converge(cluster: LocalCluster) -> list[str]:
    """Wait until every member has every event."""
    deadline = time.monotonic() + CONVERGE_SECONDS_MAX
    while True:
        statuses = [cluster.status(node.name) for node in cluster.nodes]
        found = [
            {status.journal_position, status.position if "storage" in status.roles else status.journal_position}
            for status in statuses
            if status is not None
        ]
        if len(found) == len(cluster.nodes) and len(set[int]().union(*found)) == 1:
            return []
        if time.monotonic() > deadline:
            return [f"positions (journal, view) differ {CONVERGE_SECONDS_MAX:g} s after the end: {found}"]
        time.sleep(0.05)


def ask_gateways(
    cluster: LocalCluster, recorder: Recorder, keys: Iterable[int], pgbench: Sequence[tpcb.Pgbench]
) -> list[str]:
    """Read everything at every gateway: totals are checked here, the last lists and registers become part of the history."""
    problems = []
    acknowledged = sum(each.acknowledged for each in pgbench)
    lost = sum(each.lost for each in pgbench)
    for node in cluster.nodes:
        if node.witness:
            continue
        with psycopg.connect(node.dsn, autocommit=True, connect_timeout=5) as connection:
            rows = connection.execute("SELECT count(*), sum(balance) FROM account").fetchone()
            if rows != (clients.ACCOUNTS, clients.TOTAL):
                problems.append(f"{node.name}: (accounts, total) is {rows}")
            count, *sums = (int(str(value)) for value in connection.execute(tpcb.SUMS).fetchone() or ())
            if len(set(sums)) != 1:
                problems.append(f"{node.name}: TPC-B sums of history, accounts, tellers, branches differ: {sums}")
            if not acknowledged <= count <= acknowledged + lost:
                problems.append(
                    f"{node.name}: {count} rows of TPC-B history; pgbench was told of {acknowledged} and lost {lost} connections"
                )
            _read_all(connection, node.name, recorder, keys)
    return problems


def _read_all(
    connection: psycopg.Connection[tuple[object, ...]], node: str, recorder: Recorder, keys: Iterable[int]
) -> None:
    attempt = Attempt(f"last reader of {node}", 0, node)
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        wanted = list(keys)
        lists = dict(connection.execute("SELECT id, elements FROM list WHERE id = ANY(%s)", [wanted]).fetchall())
        registers = dict(connection.execute("SELECT id, value FROM register WHERE id = ANY(%s)", [wanted]).fetchall())
        for key in wanted:
            attempt.operations.append(ReadList(f"l{key}", tuple(lists.get(key, ()))))  # type: ignore[arg-type]
            attempt.operations.append(ReadRegister(f"r{key}", registers.get(key)))  # type: ignore[arg-type]
        facts = connection.execute(clients.FACTS).fetchone()
        assert facts is not None
        attempt.txid, attempt.snapshot_us = int(str(facts[0])), int(str(facts[1]))
    recorder.ended(attempt, Outcome.COMMITTED, bank=False)


def compare_logs(cluster: LocalCluster) -> tuple[list[Event], list[str]]:
    """The events of the first member, and whether the others' are the same; the nodes have stopped."""
    problems = []
    reference: list[Event] = []
    for node in cluster.nodes:
        directory = cluster.data(node.name)
        try:
            if not node.witness and not (report := verify_directory(directory)).ok:
                problems.append(f"{node.name}: {report.to_text()}")
            log = EventLog(real_environment().disk, str(directory / "journal" / "events"))
            try:
                if not reference:
                    reference = list(log.read(1))
                    continue
                if log.hash != reference[-1].hash or log.position != reference[-1].position:
                    problems.append(_difference(node.name, reference, log))
                else:
                    problems += [_difference(node.name, reference, log)] if not _same(reference, log) else []
            finally:
                log.close()
        except (BorealError, OSError, IndexError) as error:
            problems.append(f"{node.name}: {error!r}")
    return reference, problems


def _same(reference: Sequence[Event], log: EventLog) -> bool:
    count = 0
    for mine, other in zip(log.read(1), reference, strict=False):
        if mine.hash != other.hash:
            return False
        count += 1
    return count == len(reference)


def _difference(name: str, reference: Sequence[Event], log: EventLog) -> str:
    for mine, other in zip(log.read(1), reference, strict=False):
        if mine.hash != other.hash:
            return f"{name}: event {other.position} is another one than on the first member"
    return f"{name}: ends at event {log.position}, the first member at {reference[-1].position}"


def judge(
    recorder: Recorder, events: Sequence[Event], decode: Decoder, generations: Sequence[int], *, inversions: bool
) -> tuple[list[tuple[str, Report]], tuple[JournalEvent, ...]]:
    """Every checker; (name, verdict) of each, and the journal as they saw it."""
    journal = decode_events(events, decode)
    verdicts = [("hash chain", check_chain(events))]
    verdicts += [
        (f"isolation of generation {number}", check(of_generation, inversions=inversions))
        for number, of_generation in enumerate(_by_generation(recorder.keyed, generations), 1)
    ]
    accounts = [f"a{number}" for number in range(1, clients.ACCOUNTS + 1)]
    verdicts.append(("bank", check_bank(recorder.bank, accounts, clients.TOTAL)))
    verdicts.append(("proof", prove([*recorder.keyed, *recorder.bank], journal, inversions=inversions)))
    return verdicts, journal


def _by_generation(transactions: Sequence[Transaction], first_keys: Sequence[int]) -> list[list[Transaction]]:
    """Apart by the keys that they work on; those that did nothing concern nobody."""
    parts: list[list[Transaction]] = [[] for _ in first_keys]
    for transaction in transactions:
        if transaction.operations:
            key = int(str(transaction.operations[0].key)[1:])
            place = max(place for place, first in enumerate(first_keys) if first <= key)
            parts[place].append(transaction)
    return parts


def unknown_fates(recorder: Recorder, journal: Sequence[JournalEvent]) -> tuple[int, int]:
    """(transactions of unknown outcome that wrote, those of them that had committed)."""
    committed = {event.txid for event in journal}
    unknown = [each for each in (*recorder.keyed, *recorder.bank) if each.outcome is Outcome.UNKNOWN and each.writes]
    return len(unknown), sum(each.txid in committed for each in unknown)


def save(directory: Path, recorder: Recorder, journal: tuple[JournalEvent, ...], note: str) -> None:
    """Both histories, for `python -m tests.checker`; the bank's with `--bank`."""
    save_history(History(tuple(recorder.keyed), journal, note), directory / "history.jsonl")
    save_history(History(tuple(recorder.bank), journal, note), directory / "bank.jsonl")
