"""A run's history as the checker wants it (`tests/checker`): lists, registers and the bank, and the event log's decoder.

    Attempt, SnapshotRead ─▶ Transaction ─┐
                  the event log's events ─┴▶ check, prove_journal, check_bank ─▶ problems

The keys of `keys.py` stand for themselves. Balances are registers whose values repeat, so they are left to the proof
and to the bank's totals.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from journal.event import Event, Outcome
from tests.checker.anomalies import check
from tests.checker.bank import check_bank
from tests.checker.history import (
    Append,
    Content,
    Isolation,
    Key,
    Operation,
    ReadList,
    ReadRegister,
    Transaction,
)
from tests.checker.history import Outcome as Told
from tests.checker.history import Write as WriteRegister
from tests.checker.proof import prove_journal
from tests.checker.report import Report
from tests.simulation.history import Attempt, History, SnapshotRead
from tests.simulation.keys import ACCOUNT_KEYS, ACCOUNT_START, TOTAL, is_account, is_list, is_register

_DECIDED_AGAINST = frozenset(Outcome) - {Outcome.COMMITTED, Outcome.UNKNOWN}


def judge(history: History, events: Sequence[Event]) -> list[str]:
    """What the checkers object to; empty if nothing."""
    transactions = [
        *(_transaction_of(attempt) for attempt in history.attempts.values()),
        *(_transaction_of_read(read) for read in history.reads),
    ]
    unique = [_without_accounts(transaction) for transaction in transactions]
    initial: dict[Key, Content] = {_name(key): ACCOUNT_START for key in ACCOUNT_KEYS}
    reports = [
        check(unique, inversions=False),
        prove_journal(transactions, events, _decode, initial, inversions=False),
        check_bank(transactions, list(initial), TOTAL),
    ]
    history.examined.update(dict(entry for report in reports for entry in report.examined))
    return [_first(report) for report in reports if not report.ok]


def _first(report: Report) -> str:
    return f"{', '.join(sorted(report.names))}: {report.anomalies[0]}"


def _name(key: bytes) -> str:
    return key.decode("latin-1")


def _content(key: bytes, value: bytes) -> Content:
    if is_list(key):
        return tuple(int(each) for each in value.split())
    return int(value) if value else None


def _decode(event: Event) -> Iterable[tuple[Key, Content]]:
    for key, value, _ in event.writes:
        if is_list(key) or is_register(key) or is_account(key):
            yield _name(key), _content(key, value)


def _read(key: bytes, value: bytes | None) -> Operation:
    if is_list(key):
        return ReadList(_name(key), tuple(int(each) for each in (value or b"").split()))
    found = None if value is None else int(value)
    return ReadRegister(_name(key), ACCOUNT_START if found is None and is_account(key) else found)


def _write(key: bytes, value: bytes) -> Operation:
    if is_list(key):
        return Append(_name(key), int(value.rsplit(b" ", 1)[-1]))
    return WriteRegister(_name(key), int(value))


def _recorded(key: bytes) -> bool:
    return is_list(key) or is_register(key) or is_account(key)


def _transaction_of(attempt: Attempt) -> Transaction:
    operations = [_read(key, value) for key, value in attempt.reads.items()]
    operations += [_write(key, value) for key, value, _ in attempt.writes if _recorded(key)]
    committed = attempt.outcome is Outcome.COMMITTED
    if committed or attempt.resolved == "committed":
        told = Told.COMMITTED
    elif attempt.outcome in _DECIDED_AGAINST or attempt.resolved == "aborted":
        told = Told.ABORTED
    else:
        told = Told.UNKNOWN
    return Transaction(
        client=attempt.client,
        process=attempt.process,
        began_us=attempt.began_us,
        ended_us=max(attempt.ended_us, attempt.began_us),
        outcome=told,
        operations=tuple(operations),
        node=attempt.node,
        isolation=Isolation.SERIALIZABLE if attempt.read_keys or attempt.ranges else Isolation.SNAPSHOT,
        read_path=attempt.read_path,
        snapshot_us=attempt.snapshot,
        commit_us=attempt.commit_ts if committed else None,
        position=attempt.position if committed else None,
        txid=attempt.txid,
    )


def _transaction_of_read(read: SnapshotRead) -> Transaction:
    return Transaction(
        client=read.client,
        process=read.process,
        began_us=read.began_us,
        ended_us=read.ended_us,
        outcome=Told.COMMITTED,
        operations=tuple(_read(key, value) for key, value in read.reads.items()),
        node=read.node,
        read_path=read.read_path,
        snapshot_us=read.snapshot,
    )


def _without_accounts(transaction: Transaction) -> Transaction:
    kept = tuple(one for one in transaction.operations if one.key not in _ACCOUNT_NAMES)
    if len(kept) == len(transaction.operations):
        return transaction
    return Transaction(
        client=transaction.client,
        process=transaction.process,
        began_us=transaction.began_us,
        ended_us=transaction.ended_us,
        outcome=transaction.outcome,
        operations=kept,
        node=transaction.node,
        isolation=transaction.isolation,
        read_path=transaction.read_path,
        snapshot_us=transaction.snapshot_us,
        position=transaction.position,
        txid=transaction.txid,
    )


_ACCOUNT_NAMES = frozenset(_name(key) for key in ACCOUNT_KEYS)
