"""The Raft log on a disk that lies within its rights, and on one that does not.

Goal: nothing durable is ever lost or changed unnoticed; repetition of appends changes nothing; what is torn is cut and
what is damaged is named. Method: a simulated disk (`journal.simulated`) that loses un-synchronized sectors, flips bits
and refuses writes; a list as the model of the log, with crashes at random points.
"""

from __future__ import annotations

import errno
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journal.environment import SystemDisk
from journal.errors import CorruptData, NodeFatal
from journal.event import UnknownFormat
from journal.raftlog import RaftLog
from journal.simulated import Loss, SimulatedDisk, SimulatedFile

DIRECTORY = "/data/raft"
SEGMENT = f"{DIRECTORY}/raft-0000000001.log"


def opened(disk: SimulatedDisk, segment_bytes: int = 4096, tail_bytes: int = 200) -> RaftLog:
    return RaftLog(disk, DIRECTORY, segment_bytes=segment_bytes, tail_bytes=tail_bytes)


def contents(log: RaftLog) -> list[tuple[bytes, int, int]]:
    return log[0 : len(log)]  # type: ignore[no-any-return]


def test_survives_reopening_with_term_and_vote() -> None:
    disk = SimulatedDisk()
    log = opened(disk)
    for index in range(1, 100):
        log.add(b"\x10" + b"x" * index, index, 3)
    log.setCurrentTerm(4, "node-2")
    log.synchronize()
    assert log.durable_index == 99
    disk.crash(Random(1), Loss.EVERYTHING)
    again = opened(disk)
    assert contents(again) == [(b"\x10" + b"x" * index, index, 3) for index in range(1, 100)]
    assert (again.getCurrentTerm(), again.getVotedForNodeId()) == (4, "node-2")
    assert again[-1] == (b"\x10" + b"x" * 99, 99, 3)
    assert again.indices_of_kind(0x10, 5) == [1, 2, 3, 4, 5]


def test_entry_larger_than_a_segment() -> None:
    disk = SimulatedDisk()
    log = opened(disk)
    log.add(b"a" * 20_000, 1, 1)
    log.add(b"b", 2, 1)
    log.synchronize()
    assert contents(opened(disk)) == [(b"a" * 20_000, 1, 1), (b"b", 2, 1)]


def test_on_a_real_directory(tmp_path: object) -> None:
    directory = f"{tmp_path}/raft"
    log = RaftLog(SystemDisk(), directory, segment_bytes=8192)
    for index in range(1, 300):
        log.add(b"e%d" % index, index, 1)
        if index % 50 == 0:
            log.synchronize()
            log.prepare()
    log.close()
    again = RaftLog(SystemDisk(), directory, segment_bytes=8192)
    assert contents(again) == [(b"e%d" % index, index, 1) for index in range(1, 300)]
    again.close()


def test_repeated_append_keeps_acknowledged_entries() -> None:
    log = opened(SimulatedDisk())
    for index in range(1, 11):
        log.add(b"%d" % index, index, 1)
    log.synchronize()
    before = contents(log)
    # A repeated message with entries 4 and 5, after which pysyncobj believes the log to end at 5.
    log.deleteEntriesFrom(3)
    assert log[-1][1] == 3
    log.add(b"4", 4, 1)
    log.add(b"5", 5, 1)
    assert log[-1] == (b"5", 5, 1)
    assert len(log) == 5
    log.settle()
    assert contents(log) == before
    assert not log.dirty


def test_conflicting_append_truncates_also_across_segments_and_restarts() -> None:
    disk = SimulatedDisk()
    log = opened(disk)
    for index in range(1, 41):
        log.add(b"old%d" % index + b"." * 200, index, 1)
    log.synchronize()
    log.deleteEntriesFrom(9)
    log.add(b"new10", 10, 2)
    log.settle()
    expected = [(b"old%d" % index + b"." * 200, index, 1) for index in range(1, 10)] + [(b"new10", 10, 2)]
    assert contents(log) == expected
    log.add(b"new11", 11, 2)
    log.synchronize()
    disk.crash(Random(1), Loss.EVERYTHING)
    again = opened(disk)
    assert contents(again) == [*expected, (b"new11", 11, 2)]
    assert again.entry(9)[1] == 9


def test_compaction_drops_whole_segments_and_keeps_the_rest() -> None:
    disk = SimulatedDisk()
    log = opened(disk)
    for index in range(1, 101):
        log.add(b"x" * 100, index, 1)
    log.setCurrentTerm(7, None)
    log.synchronize()
    log.compact(60)
    assert 1 < log.first_index <= 60
    first = log.first_index
    assert log[0][1] == first
    assert log[-1][1] == 100
    disk.crash(Random(0), Loss.NOTHING)
    again = opened(disk)
    assert again.first_index == first
    assert [entry[1] for entry in contents(again)] == list(range(first, 101))
    assert again.getCurrentTerm() == 7
    again.compact(10**9)
    assert again[-1][1] == 100


def test_a_hole_in_the_sequence_is_refused() -> None:
    log = opened(SimulatedDisk())
    log.add(b"1", 1, 1)
    with pytest.raises(NodeFatal, match="does not follow"):
        log.add(b"3", 3, 1)


def damaged_log() -> SimulatedDisk:
    disk = SimulatedDisk()
    log = opened(disk, segment_bytes=16384)
    for index in range(1, 21):
        log.add(bytes([index]) * 90, index, 1)
        log.synchronize()
    return disk


@pytest.mark.parametrize("offset", range(0, 2500, 37))
def test_a_flipped_bit_anywhere_is_named(offset: int) -> None:
    disk = damaged_log()
    disk.flip(SEGMENT, offset, offset % 8)
    with pytest.raises(CorruptData, match=r"raft-0000000001\.log at offset \d+"):
        opened(disk, segment_bytes=16384)


def test_a_bit_flipped_after_opening_is_named_on_reading() -> None:
    disk = damaged_log()
    log = opened(disk, segment_bytes=16384)
    disk.flip(SEGMENT, 1000)
    with pytest.raises(CorruptData):
        contents(log)


def test_a_missing_segment_is_named() -> None:
    disk = SimulatedDisk()
    log = opened(disk)
    for index in range(1, 101):
        log.add(b"x" * 100, index, 1)
    log.synchronize()
    disk.remove(f"{DIRECTORY}/raft-0000000002.log")
    with pytest.raises(CorruptData, match="is missing"):
        opened(disk)


def test_a_zeroed_sector_in_the_middle_is_not_taken_for_a_torn_end() -> None:
    disk = damaged_log()
    disk.open(SEGMENT).write(bytes(512), 1024)
    with pytest.raises(CorruptData, match="later synchronized records follow"):
        opened(disk, segment_bytes=16384)


def test_newer_format_is_refused() -> None:
    disk = SimulatedDisk()
    log = opened(disk)
    log._write(9, 1, 1, b"from the future")
    log.synchronize()
    with pytest.raises(UnknownFormat, match="unknown kind 9"):
        opened(disk)


def test_full_disk_is_told_beforehand_and_costs_nothing() -> None:
    disk = SimulatedDisk(capacity_bytes=4096 * 2)
    log = opened(disk)
    index = 0
    while log.reserve(100):
        index += 1
        log.add(b"x" * 100, index, 1)
        log.synchronize()
    assert index >= 30
    assert not log.reserve(100)
    assert len(contents(opened(disk))) == index
    disk.capacity_bytes = None
    assert log.reserve(100)
    log.add(b"more", index + 1, 1)
    log.synchronize()


@pytest.mark.parametrize(("operation", "code"), [("write", errno.EIO), ("write", errno.ENOSPC)])
def test_failed_write_stops_the_node(operation: str, code: int) -> None:
    disk = SimulatedDisk()
    log = opened(disk)
    log.add(b"1", 1, 1)
    disk.fail(operation, code)
    with pytest.raises(NodeFatal, match="cannot write"):
        log.flush()


def test_failed_synchronization_stops_the_node() -> None:
    disk = SimulatedDisk()
    log = opened(disk)
    log.add(b"1", 1, 1)
    disk.fail("synchronize", errno.EIO)
    with pytest.raises(NodeFatal, match="cannot synchronize"):
        log.synchronize()


def test_zeros_are_written_ahead_once_for_many_entries() -> None:
    disk = SimulatedDisk()
    log = opened(disk, segment_bytes=1 << 20)
    written: list[tuple[int, int]] = []
    write = type(log.file).write

    def noted(file: SimulatedFile, data: bytes, offset: int) -> None:
        written.append((offset, len(data)))
        write(file, data, offset)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(log.file), "write", noted)
        for index in range(1, 601):
            log.add(b"x" * 1000, index, 1)
            log.synchronize()
    ahead = [length for _, length in written if length > 2000]
    assert [length // 1024 for length in ahead] == [257, 257, 257]  # 600 entries are 600 kB, in three steps of 256 KiB
    assert len(written) == 600
    assert all(after[0] > before[0] for before, after in zip(written, written[1:], strict=False))
    disk.crash(Random(1), Loss.EVERYTHING)
    assert contents(opened(disk, segment_bytes=1 << 20)) == [(b"x" * 1000, index, 1) for index in range(1, 601)]


def test_zeros_ahead_end_with_the_segment() -> None:
    disk = SimulatedDisk()
    log = opened(disk, segment_bytes=10_000)
    for index in range(1, 30):
        log.add(b"x" * 1000, index, 1)
        log.synchronize()
    assert [disk.open(f"{DIRECTORY}/raft-{number:010d}.log").size() for number in (1, 2, 3, 4)] == [10_000] * 4


def test_spare_segment_is_used() -> None:
    disk = SimulatedDisk()
    log = opened(disk)
    for index in range(1, 60):
        log.add(b"x" * 100, index, 1)
        log.synchronize()
        log.prepare()
    assert len(contents(opened(disk))) == 59


# ---- model ----

operations = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(0, 700)),
        st.tuples(st.just("replace"), st.integers(1, 6)),
        st.tuples(st.just("repeat"), st.integers(1, 6)),
        st.tuples(st.just("synchronize"), st.just(0)),
        st.tuples(st.just("vote"), st.integers(1, 5)),
        st.tuples(st.just("compact"), st.integers(1, 12)),
        st.tuples(st.just("prepare"), st.just(0)),
        st.tuples(st.just("crash"), st.integers(0, 2**16)),
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(operations, st.sampled_from(list(Loss)))
def test_against_a_list_with_crashes(given: list[tuple[str, int]], loss: Loss) -> None:
    disk = SimulatedDisk()
    log = opened(disk, segment_bytes=2048)
    model: list[tuple[bytes, int, int]] = []
    first, durable, term = 1, 0, 1
    vote: str | None = None
    states: list[tuple[list[tuple[bytes, int, int]], int, str | None]] = [([], 0, None)]
    for operation, argument in given:
        if operation == "append":
            model.append((bytes([len(model) % 251 + 1]) * argument + b"!", len(model) + 1, term))
            log.add(*model[-1])
        elif operation in ("replace", "repeat") and len(model) - argument >= max(first, 1):
            start = len(model) - argument
            log.deleteEntriesFrom(start - log.first_index + 1)
            if operation == "replace":
                term += 1
                log.setCurrentTerm(term, None)
                states.append((list(model), term, None))
                del model[start:]
                model.append((b"replaced", start + 1, term))
                durable = min(durable, start)
                log.add(*model[-1])
            else:
                log.add(*model[start])
            log.settle()
        elif operation == "synchronize":
            log.synchronize()
            durable = len(model)
        elif operation == "vote":
            term += argument
            vote = f"node-{argument}"
            log.setCurrentTerm(term, vote)
            log.synchronize()
            durable = len(model)
        elif operation == "compact":
            log.compact(min(durable, len(model) - argument))
            first = log.first_index
        elif operation == "prepare":
            log.prepare()
        elif operation == "crash":
            disk.crash(Random(argument), loss)
            log = opened(disk, segment_bytes=2048)
            survived = contents(log)
            first = log.first_index
            # What a crash leaves is a state that the log went through since the last synchronization.
            found = (model[: first - 1] + survived, log.getCurrentTerm(), log.getVotedForNodeId())
            assert found in states
            model, _, vote = found
            durable = len(model)
            term = max(term, log.getCurrentTerm())
            states = [found]
        states.append((list(model), log.getCurrentTerm(), log.getVotedForNodeId()))
        if not log.dirty:
            states = states[-1:]
        assert contents(log) == model[first - 1 :] if model else not len(log)
        if model:
            assert log[-1] == model[-1]


@pytest.mark.parametrize("restarts", [0, 1, 3])
def test_the_first_records_after_a_restart_may_be_torn(restarts: int) -> None:
    """Also so that a later sector of them survives and the first does not."""
    for seed in range(60):
        disk = SimulatedDisk()
        log = opened(disk)
        for index in range(1, 11):
            log.add(b"a" * 60, index, 1)
            log.synchronize()
        for _ in range(restarts):
            log = opened(disk)
        for index in range(11, 31):
            log.add(b"b" * 60, index, 1)
        log.flush()
        disk.crash(Random(seed), Loss.SOME)
        again = opened(disk)
        assert 10 <= again.last_index <= 30
        assert [entry[0][:1] for entry in contents(again)] == [b"a"] * 10 + [b"b"] * (again.last_index - 10)
