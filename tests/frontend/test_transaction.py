"""Transactions over a real store: composed kinds of writes, savepoints, scans over own writes.

Goal: whatever a transaction puts, takes back to a savepoint and reads, it reads what a plain dictionary would say, and COMMIT
submits the difference to its snapshot. Method: random histories against that dictionary (hypothesis), and the kinds of writes
from first principles: they must tell the adjudicator what changed between the snapshot and the end.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rocksdict import Options, Rdict

from frontend.errors import SqlError
from frontend.transaction import (
    DELETE,
    EXCLUSIVE,
    INSERT,
    KEY_SHARE,
    KEY_UPDATE,
    UNIQUE_DELETE,
    UNIQUE_PUT,
    UPDATE,
    Transaction,
    drain,
)
from storage.mvcc import VersionedStore

SNAPSHOT = 1000
STORED = {b"k%02d" % number: b"old%d" % number for number in range(0, 40, 2)}
KEYS = st.integers(0, 39).map(lambda number: b"k%02d" % number)


@pytest.fixture(scope="module")
def store() -> Iterator[VersionedStore]:
    with tempfile.TemporaryDirectory() as directory:
        database = Rdict(str(Path(directory) / "view"), Options(raw_mode=True))
        for key, value in STORED.items():
            database[key + struct.pack("!Q", 2**64 - 1 - SNAPSHOT)] = value
        database[b"\xff" * 16] = b""  # views end with a key behind all others, so that damage is told from their end
        yield VersionedStore(database)
        database.close()


def begin(store: VersionedStore, **options: bool) -> Transaction:
    return Transaction(store, SNAPSHOT, count(1).__next__, **options)


class Model:
    """A transaction as a dictionary, with copies of it for savepoints."""

    def __init__(self) -> None:
        self.rows = dict(STORED)
        self.marks: list[tuple[str, dict[bytes, bytes]]] = []

    def find(self, name: str) -> int | None:
        return next((place for place in range(len(self.marks) - 1, -1, -1) if self.marks[place][0] == name), None)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS, st.integers(0, 9)),
        st.tuples(st.just("delete"), KEYS),
        st.tuples(st.sampled_from(["savepoint", "release", "rollback"]), st.sampled_from("abc")),
        st.tuples(st.just("scan"), KEYS, KEYS, st.booleans(), st.integers(1, 7)),
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(steps=STEPS)
def test_random_histories(store: VersionedStore, steps: list[tuple[object, ...]]) -> None:
    transaction, model = begin(store), Model()
    for step in steps:
        match step:
            case ("put", bytes(key), int(number)):
                exists = key in model.rows
                model.rows[key] = b"new%d" % number
                transaction.put(key, model.rows[key], UPDATE if exists else INSERT)
            case ("delete", bytes(key)):
                if key in model.rows:
                    del model.rows[key]
                    transaction.put(key, b"", DELETE)
            case ("savepoint", str(name)):
                transaction.savepoint(name)
                model.marks.append((name, dict(model.rows)))
            case ("release" | "rollback" as what, str(name)):
                place = model.find(name)
                act = transaction.release if what == "release" else transaction.rollback_to
                if place is None:
                    with pytest.raises(SqlError, match=f'savepoint "{name}" does not exist'):
                        act(name)
                    continue
                act(name)
                if what == "rollback":
                    model.rows = dict(model.marks[place][1])
                del model.marks[place + (what == "rollback") :]
            case ("scan", bytes(low), bytes(high), bool(reverse), int(chunk)):
                expected = sorted(((k, v) for k, v in model.rows.items() if low <= k < high), reverse=reverse)
                assert list(drain(transaction.scan(low, high, reverse=reverse), chunk)) == expected
    for key in {b"k%02d" % number for number in range(40)}:
        assert transaction.get(key) == model.rows.get(key)
    check_difference(transaction, model)


def check_difference(transaction: Transaction, model: Model) -> None:
    """What would be submitted turns the snapshot into the model, and each kind says what happened to its key."""
    result = dict(STORED)
    for key, (value, kind) in transaction.writes.items():
        if key in STORED:
            assert kind in ((DELETE,) if not value else (UPDATE, KEY_UPDATE))
        else:
            assert kind == INSERT
        if value:
            result[key] = value
        else:
            del result[key]
    assert result == model.rows


def test_writes_made_while_scanning_are_not_seen(store: VersionedStore) -> None:
    transaction = begin(store)
    transaction.put(b"k01", b"x", INSERT)
    scan = transaction.scan(b"k00", b"k99")
    first = scan.fetch(2)
    transaction.put(b"k07", b"x", INSERT)
    transaction.put(b"k08", b"", DELETE)
    rest = list(drain(scan, 3))
    assert [key for key, _ in first + rest] == sorted([*STORED, b"k01"])


@pytest.mark.parametrize(
    ("kinds", "kept"),
    [
        ((INSERT, UPDATE), INSERT),
        ((INSERT, DELETE), None),
        ((INSERT, DELETE, INSERT), INSERT),
        ((UPDATE, UPDATE), UPDATE),
        ((UPDATE, DELETE), DELETE),
        ((DELETE, INSERT), KEY_UPDATE),  # exclusive: others may have seen the row go
        ((DELETE, INSERT, UPDATE), KEY_UPDATE),
        ((DELETE, INSERT, DELETE), DELETE),
        ((UPDATE, KEY_UPDATE), KEY_UPDATE),
        ((KEY_UPDATE, UPDATE), KEY_UPDATE),
        ((UNIQUE_DELETE, UNIQUE_PUT), KEY_UPDATE),
    ],
)
def test_composed_kinds(store: VersionedStore, kinds: tuple[int, ...], kept: int | None) -> None:
    transaction = begin(store)
    for kind in kinds:
        transaction.put(b"k00", b"" if kind in (DELETE, UNIQUE_DELETE) else b"v", kind)
    written = transaction.writes.get(b"k00")
    assert (written[1] if written else None) == kept


def test_locks_only_grow_and_obey_savepoints(store: VersionedStore) -> None:
    transaction = begin(store)
    transaction.lock(b"a", KEY_SHARE)
    transaction.savepoint("s")
    transaction.lock(b"a", EXCLUSIVE)
    transaction.lock(b"a", KEY_SHARE)
    transaction.lock(b"b", KEY_SHARE)
    assert transaction.locks == {b"a": EXCLUSIVE, b"b": KEY_SHARE}
    transaction.rollback_to("s")
    assert transaction.locks == {b"a": KEY_SHARE}
    assert transaction.must_propose


def test_bulk_writes_obey_savepoints_and_scans(store: VersionedStore) -> None:
    transaction = begin(store)
    assert len(list(drain(transaction.scan(b"k00", b"k99")))) == len(STORED)
    transaction.put(b"k01", b"x", INSERT)
    list(drain(transaction.scan(b"k00", b"k99")))
    transaction.savepoint("s")
    transaction.put_new({b"k03": (b"y", INSERT), b"k05": (b"z", INSERT)})
    assert len(list(drain(transaction.scan(b"k00", b"k99")))) == len(STORED) + 3
    transaction.rollback_to("s")
    assert len(list(drain(transaction.scan(b"k00", b"k99")))) == len(STORED) + 1


def test_limits(store: VersionedStore) -> None:
    transaction = Transaction(store, SNAPSHOT, count(1).__next__, bytes_max=100)
    transaction.put(b"k", b"x" * 50, INSERT)
    with pytest.raises(SqlError) as raised:
        transaction.put(b"l", b"x" * 50, INSERT)
    assert raised.value.sqlstate == "54000"
    with pytest.raises(SqlError) as raised:
        begin(store, read_only=True).put(b"k", b"x", INSERT)
    assert raised.value.sqlstate == "25006"


def test_what_is_submitted(store: VersionedStore) -> None:
    transaction = begin(store, serializable=True)
    transaction.get(b"k00")
    list(drain(transaction.scan(b"k10", b"k20")))
    transaction.put(b"k01", b"x", INSERT)
    transaction.lock(b"k02", KEY_SHARE)
    transaction.depend(((7, 3), (8, 1)))
    transaction.depend(((7, 4),))  # the version first used counts
    proposal = transaction.proposal((1, "u", "a"))
    assert proposal.snapshot == SNAPSHOT
    assert proposal.writes == [(b"k01", b"x", INSERT)]
    assert proposal.locks == [(b"k02", KEY_SHARE)]
    assert list(proposal.reads) == [b"k00"]
    assert list(proposal.ranges) == [(b"k10", b"k20")]
    assert dict(proposal.dependencies) == {7: 3, 8: 1}


def test_chunks_carry_everything_once(store: VersionedStore) -> None:
    transaction = begin(store)
    expected = {}
    for number in range(100):
        key = b"n%03d" % number
        expected[key] = b"v" * number
        transaction.put(key, expected[key] or b"-", INSERT)
    chunks = list(transaction.chunks(500))
    assert len(chunks) > 5
    assert {key for chunk in chunks for key, _, _ in chunk} == set(expected)
    assert sum(map(len, chunks)) == 100
