"""Both checkers on a database that is right, on one that is wrong, and on right histories made wrong.

Goal: no false alarm, ever; every fault of the reference database is caught by the proof whenever it made a difference,
and by the black box as often as a black box can; and changes to a right history that contradict the promises are always
caught.

Method: `reference.run` under hypothesis' seeds and sizes. Where a mutation is certain to contradict something (the last
transaction of each run reads every key, after everything has been acknowledged), the test demands a verdict by name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.checker.anomalies import check
from tests.checker.history import Append, Outcome, ReadList, ReadPath, Transaction
from tests.checker.proof import prove_journal
from tests.checker.reference import Fault, Run, decode, run

seeds = st.integers(0, 2**32 - 1)


def without_facts(transactions: Sequence[Transaction]) -> list[Transaction]:
    """The history as a client without privileges records it."""
    return [
        msgspec.structs.replace(one, snapshot_us=None, commit_us=None, position=None, txid=None) for one in transactions
    ]


@settings(max_examples=150, deadline=None)
@given(
    seed=seeds,
    clients=st.integers(1, 12),
    keys=st.integers(1, 8),
    transactions=st.integers(1, 80),
    serializable=st.sampled_from([0.0, 0.5, 1.0]),
    lists=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_a_right_database_raises_no_alarm(
    seed: int, clients: int, keys: int, transactions: int, serializable: float, lists: float
) -> None:
    result = run(
        Random(seed), clients=clients, keys=keys, transactions=transactions, serializable=serializable, lists=lists
    )
    for history in (result.transactions, without_facts(result.transactions)):
        report = check(history)
        assert report.ok, report
        proof = prove_journal(history, result.events, decode)
        assert proof.ok, proof
    found = dict(prove_journal(result.transactions, result.events, decode).examined)
    assert found["transactions found in the journal"] == len(result.events)
    assert found["write sets compared"] == len(result.events)


@settings(max_examples=50, deadline=None)
@given(seed=seeds)
def test_transactions_are_found_in_the_journal_by_what_they_wrote(seed: int) -> None:
    result = run(Random(seed))
    found = dict(prove_journal(without_facts(result.transactions), result.events, decode).examined)
    assert found["transactions found in the journal"] == len(result.events)
    assert found["unidentified"] == 0


BLACK_BOX_SHARE_MIN = {
    # A read that is a little too new contradicts nothing unless the same transaction, or its writes, show the older state.
    Fault.READ_TOO_NEW: 0.4,
    # Write skew shows only where both sides read what the other wrote.
    Fault.SKIP_READ_CHECK: 0.25,
    Fault.DROP_WRITE: 0.7,
}


@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.name.lower())
def test_a_wrong_database_is_caught(fault: Fault) -> None:
    seen = Counter[str]()
    for seed in range(25):
        result = run(Random(seed), transactions=80, serializable=0.5, fault=fault)
        if not result.fired:
            continue
        seen["fired"] += 1
        proof = prove_journal(result.transactions, result.events, decode)
        assert not proof.ok, f"seed {seed}: {fault.value}, {result.fired} times, and nothing found"
        seen["black box"] += not check(without_facts(result.transactions)).ok
    assert seen["fired"] >= 10
    assert seen["black box"] >= seen["fired"] * BLACK_BOX_SHARE_MIN.get(fault, 0.95), seen


def right_run(seed: int) -> Run:
    return run(Random(seed), clients=4, keys=2, transactions=40, lists=1.0)


def replace_read(history: list[Transaction], index: int, place: int, values: tuple[int, ...]) -> list[Transaction]:
    """The history with another result of one list read."""
    operations = list(history[index].operations)
    operations[place] = ReadList(operations[place].key, values)
    changed = list(history)
    changed[index] = msgspec.structs.replace(history[index], operations=tuple(operations))
    return changed


def a_read(data: st.DataObject, history: Sequence[Transaction], elements_min: int) -> tuple[int, int, tuple[int, ...]]:
    """Some committed read of an untouched list, not the last transaction's: (transaction, place, elements)."""
    candidates = []
    for index, one in enumerate(history[:-1]):
        if one.outcome is Outcome.COMMITTED:
            keys = Counter(operation.key for operation in one.operations)
            candidates += [
                (index, place, operation.values)
                for place, operation in enumerate(one.operations)
                if isinstance(operation, ReadList)
                and len(operation.values) >= elements_min
                and keys[operation.key] == 1
            ]
    assume(candidates)
    return data.draw(st.sampled_from(candidates))


@settings(max_examples=40, deadline=None)
@given(seed=seeds, data=st.data())
def test_an_element_dropped_from_a_read(seed: int, data: st.DataObject) -> None:
    history = right_run(seed).transactions
    index, place, values = a_read(data, history, 2)
    dropped = data.draw(st.integers(0, len(values) - 2))
    report = check(replace_read(history, index, place, values[:dropped] + values[dropped + 1 :]))
    assert "incompatible order" in report.names


@settings(max_examples=40, deadline=None)
@given(seed=seeds, data=st.data())
def test_two_elements_swapped(seed: int, data: st.DataObject) -> None:
    history = right_run(seed).transactions
    index, place, values = a_read(data, history, 2)
    at = data.draw(st.integers(0, len(values) - 2))
    swapped = (*values[:at], values[at + 1], values[at], *values[at + 2 :])
    assert "incompatible order" in check(replace_read(history, index, place, swapped)).names


@settings(max_examples=40, deadline=None)
@given(seed=seeds, data=st.data())
def test_an_element_duplicated(seed: int, data: st.DataObject) -> None:
    history = right_run(seed).transactions
    index, place, values = a_read(data, history, 1)
    at = data.draw(st.integers(0, len(values) - 1))
    names = check(replace_read(history, index, place, (*values[: at + 1], *values[at:]))).names
    assert "duplicate element" in names


@settings(max_examples=40, deadline=None)
@given(seed=seeds, data=st.data())
def test_an_acknowledged_append_vanishes_from_all_reads(seed: int, data: st.DataObject) -> None:
    history = right_run(seed).transactions
    appends = [
        operation
        for one in history
        if one.outcome is Outcome.COMMITTED and not any(isinstance(op, ReadList) for op in one.operations)
        for operation in one.operations
        if isinstance(operation, Append)
    ]
    assume(appends)
    lost = data.draw(st.sampled_from(appends))
    changed = [
        msgspec.structs.replace(
            one,
            operations=tuple(
                ReadList(op.key, tuple(value for value in op.values if value != lost.value))
                if isinstance(op, ReadList) and op.key == lost.key
                else op
                for op in one.operations
            ),
        )
        for one in history
    ]
    assert "lost write" in check(changed).names


@settings(max_examples=40, deadline=None)
@given(seed=seeds, data=st.data())
def test_a_strong_read_from_an_older_snapshot(seed: int, data: st.DataObject) -> None:
    history = right_run(seed).transactions
    *_, last = history
    known = {
        op.value
        for one in history
        if one.outcome is Outcome.COMMITTED
        for op in one.operations
        if isinstance(op, Append)
    }
    candidates = [
        (place, op.values)
        for place, op in enumerate(last.operations)
        if op.values and known.intersection(op.values[-1:])
    ]
    assume(candidates)
    place, values = data.draw(st.sampled_from(candidates))
    # The missed append is seen by others, or by nobody.
    names = check(replace_read(history, len(history) - 1, place, values[:-1])).names
    assert names & {"stale read", "lost write", "G1b"}


@settings(max_examples=40, deadline=None)
@given(seed=seeds, data=st.data())
def test_a_transaction_called_aborted_is_visible(seed: int, data: st.DataObject) -> None:
    history = list(right_run(seed).transactions)
    writers = [index for index, one in enumerate(history) if one.outcome is Outcome.COMMITTED and one.writes]
    assume(writers)
    index = data.draw(st.sampled_from(writers))
    history[index] = msgspec.structs.replace(history[index], outcome=Outcome.ABORTED)
    assert "G1a" in check(history).names


@settings(max_examples=40, deadline=None)
@given(seed=seeds, data=st.data())
def test_a_read_of_another_version_fails_the_proof(seed: int, data: st.DataObject) -> None:
    """One version too old or too new, with everything else in place: the proof needs no luck."""
    result = right_run(seed)
    index, place, values = a_read(data, result.transactions, 0)
    key = result.transactions[index].operations[place].key
    final = next(op.values for op in result.transactions[-1].operations if op.key == key)
    other = data.draw(st.sampled_from([final[:length] for length in range(len(final) + 1)]))
    assume(other != values)
    changed = replace_read(result.transactions, index, place, other)
    assert prove_journal(changed, result.events, decode).names == {"read is not the snapshot's"}


@settings(max_examples=40, deadline=None)
@given(seed=seeds, data=st.data())
def test_an_older_snapshot_fails_the_proof(seed: int, data: st.DataObject) -> None:
    """A strong transaction whose snapshot lacks an acknowledged event is stale even if it reads nothing of it."""
    result = right_run(seed)
    history = list(result.transactions)
    acknowledged = [one for one in history if one.commit_us is not None]
    pairs = [
        (index, missed.commit_us - 1)
        for index, one in enumerate(history)
        for missed in acknowledged
        if one.read_path is not ReadPath.AS_OF and missed.ended_us < one.began_us
    ]
    assume(pairs)
    index, snapshot_us = data.draw(st.sampled_from(pairs))
    history[index] = msgspec.structs.replace(history[index], snapshot_us=snapshot_us)
    names = prove_journal(history, result.events, decode).names
    # Its own session may have missed it, too, or another reader have shown it first.
    assert names & {"stale read", "own writes", "monotonic reads", "read inversion"}
