"""Ids of transactions: never the same twice, whatever becomes of the clock, the journal and the disk.

Method: the mark's file on a simulated disk, torn and damaged; lives of a node with a clock that goes back between them.
"""

from __future__ import annotations

import errno
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.errors import CorruptData, NodeFatal
from journal.simulated import Loss, SimulatedDisk
from journal.transactionids import IdMark, TransactionIds, node_of_transaction
from tests.journal.test_event import Wall


def disk_with_directory() -> SimulatedDisk:
    disk = SimulatedDisk()
    disk.make_directory("/j")
    return disk


def ids_of(disk: SimulatedDisk, wall: Wall) -> TransactionIds:
    mark = IdMark(disk, "/j")
    return TransactionIds(wall, 3, after_us=mark.us, reserve=mark.write)


def test_ids_increase_and_fit_63_bits() -> None:
    wall = Wall()
    wall.now = 4 * 10**15  # the year 2096
    ids = TransactionIds(wall, 1023)
    found = [ids.next() for _ in range(100)]
    wall.now -= 10**12
    found += [ids.next() for _ in range(100)]
    assert found == sorted(set(found))
    assert found[-1] < 2**63
    assert {node_of_transaction(txid) for txid in found} == {1023}
    with pytest.raises(ValueError):
        TransactionIds(wall, 1024)


@given(
    st.lists(st.tuples(st.integers(0, 10**9), st.integers(1, 5), st.sampled_from(Loss)), min_size=1, max_size=8),
    st.integers(0, 2**32),
)
def test_no_id_is_used_again_after_a_crash(lives: list[tuple[int, int, Loss]], seed: int) -> None:
    disk, wall, chance = disk_with_directory(), Wall(), Random(seed)
    used: list[int] = []
    for clock_us, count, loss in lives:
        wall.now = clock_us
        ids = ids_of(disk, wall)
        used += [ids.next() for _ in range(count)]
        disk.crash(chance, loss)
    assert used == sorted(set(used))


def test_a_torn_mark_leaves_the_one_before() -> None:
    disk = disk_with_directory()
    mark = IdMark(disk, "/j")
    mark.write(1_000)
    mark.write(2_000)
    file = disk.open("/j/transaction-ids")
    file.write(b"\xff" * 5, 512)
    again = IdMark(disk, "/j")
    assert again.us == 1_000
    again.write(3_000)
    assert IdMark(disk, "/j").us == 3_000
    file.write(b"\xff" * 5, 0)
    file.write(b"\xff" * 5, 512)
    with pytest.raises(CorruptData, match="/j/transaction-ids"):
        IdMark(disk, "/j")


def test_ids_are_reserved_seldom_and_a_failure_hands_out_none() -> None:
    wall, marks = Wall(), list[int]()
    ids = TransactionIds(wall, 0, reserve=marks.append)
    for _ in range(1000):
        wall.now += 10_000
        ids.next()
    assert 2 <= len(marks) <= 4

    disk = disk_with_directory()
    failing = ids_of(disk, wall)
    for operation in ("write", "synchronize"):
        disk.fail(operation, errno.EIO)
        with pytest.raises(NodeFatal, match="/j/transaction-ids"):
            failing.next()
