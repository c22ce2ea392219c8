"""The checkers stay linear.

Goal: 50,000 transactions of four operations are judged in well under 20 s of one slow core, and five times as many take
about five times as long; nor does a history of which half is wrong take for ever. Method: histories of the reference's
kind, made directly (one key retires after 100 appends, as a recorder should do it), with 16 clients; CPU time of the
process, so that a busy machine does not matter. The bounds are generous.
"""

from __future__ import annotations

from random import Random
from time import process_time

import msgspec
import pytest

from tests.checker.anomalies import check
from tests.checker.history import (
    Append,
    JournalEvent,
    Key,
    Operation,
    Outcome,
    ReadList,
    ReadRegister,
    Touch,
    Transaction,
    Write,
)
from tests.checker.proof import prove

CLIENTS = 16
APPENDS_PER_KEY = 100


def serial_history(count: int) -> tuple[list[Transaction], list[JournalEvent]]:
    """Right by construction: executed one after another at points in time, each inside a long interval."""
    random = Random(1)
    lists: dict[Key, tuple[int, ...]] = {f"l{number}": () for number in range(10)}
    registers: dict[Key, int | None] = {f"r{number}": None for number in range(10)}
    transactions, journal = [], []
    next_key = len(lists)
    snapshot_us = 0
    for index in range(count):
        now_us = 1000 + 10 * index
        operations: list[Operation] = []
        written: dict[Key, tuple[int, ...] | int | None] = {}
        for number in range(4):
            value = 4 * index + number
            if random.random() < 0.5:
                key = random.choice(list(lists))
                if random.random() < 0.5:
                    lists[key] = (*lists[key], value)
                    written[key] = lists[key]
                    operations.append(Append(key, value))
                else:
                    operations.append(ReadList(key, lists[key]))
            else:
                key = random.choice(list(registers))
                if random.random() < 0.5:
                    registers[key] = written[key] = value
                    operations.append(Write(key, value))
                else:
                    operations.append(ReadRegister(key, registers[key]))
        for key in [key for key, elements in lists.items() if len(elements) >= APPENDS_PER_KEY]:
            del lists[key]
            lists[f"l{next_key}"] = ()
            next_key += 1
        transactions.append(
            Transaction(
                client=f"c{index % CLIENTS}",
                process=0,
                began_us=now_us - 75,
                ended_us=now_us + 75,
                outcome=Outcome.COMMITTED,
                operations=tuple(operations),
                snapshot_us=snapshot_us,
                txid=index,
            )
        )
        if written:
            touches = tuple((str(key).encode(), Touch.UPDATE) for key in written)
            journal.append(
                JournalEvent(
                    position=len(journal) + 1,
                    commit_us=now_us,
                    txid=index,
                    touches=touches,
                    contents=tuple(written.items()),
                )
            )
            snapshot_us = now_us
    return transactions, journal


def seconds(count: int) -> tuple[float, float]:
    """CPU time of both checkers."""
    transactions, journal = serial_history(count)
    start = process_time()
    report = check(transactions)
    middle = process_time()
    proof = prove(transactions, journal)
    end = process_time()
    assert report.ok, report
    assert proof.ok, proof
    assert dict(proof.examined)["reads compared"] > count
    return middle - start, end - middle


@pytest.mark.timeout(600)  # by the wall clock, which a busy machine stretches
def test_fifty_thousand_transactions_in_linear_time() -> None:
    small = seconds(10_000)
    large = seconds(50_000)
    print(
        f"50,000 transactions: check {large[0]:.2f} s, proof {large[1]:.2f} s; 10,000: {small[0]:.2f} s, {small[1]:.2f} s"
    )
    assert sum(large) < 15
    # Five times the work; three times that for caches and the garbage collector. Quadratic would be 25.
    assert large[0] < 15 * small[0]
    assert large[1] < 15 * small[1]


def test_a_history_full_of_errors_is_judged_in_bounded_time() -> None:
    random = Random(2)
    transactions, journal = serial_history(5_000)
    wrong = [
        msgspec.structs.replace(
            one,
            operations=tuple(
                ReadList(operation.key, operation.values[: random.randint(0, len(operation.values))])
                if isinstance(operation, ReadList) and random.random() < 0.5
                else operation
                for operation in one.operations
            ),
        )
        for one in transactions
    ]
    start = process_time()
    report, proof = check(wrong), prove(wrong, journal)
    assert process_time() - start < 10
    assert report.counts["stale read"] > 500
    assert proof.counts["read is not the snapshot's"] > 1000
    assert len(str(report)) < 1_000_000
