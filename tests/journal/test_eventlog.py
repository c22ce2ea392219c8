"""The event log: contiguous, chained, readable anywhere, honest about damage.

Goal: what was appended reads back the same from any position, also across segments, parts and restarts; after a crash
the log is a prefix that says where to go on; damage anywhere is named; verify proves the chain. Method: a simulated
disk, and a list of events as the model.
"""

from __future__ import annotations

import errno
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from journal.environment import SystemDisk
from journal.errors import CorruptData, NodeFatal
from journal.event import Event, encode_writes
from journal.eventlog import EventLog
from journal.simulated import Loss, SimulatedDisk

DIRECTORY = "/data/events"
SEGMENT = f"{DIRECTORY}/events-0000000001.log"


def opened(disk: SimulatedDisk, segment_bytes: int = 4096) -> EventLog:
    return EventLog(disk, DIRECTORY, segment_bytes=segment_bytes)


def event(position: int, size: int = 20, part: int = 0, more: bool = False) -> Event:
    writes = [(b"\0\0\0\1\0\1k%d" % position, b"v" * size, 0)]
    return Event(position, position * 10, 1000 + position, (1, "u", "a"), [], [], part, more, [], False, writes)


def append(log: EventLog, raft_index: int, *positions: int, size: int = 20) -> None:
    log.append(raft_index, [event(position, size) for position in positions])


def append_large(log: EventLog, raft_index: int, parts: int, size: int) -> None:
    position = log.position + 1
    for part in range(parts):
        piece = event(position, size, part, part < parts - 1)
        log.append_part(raft_index, piece, encode_writes(piece.writes))


def positions(log: EventLog, start: int = 1) -> list[tuple[int, int]]:
    return [(each.position, each.part) for each in log.read(start)]


def filled(disk: SimulatedDisk) -> EventLog:
    log = opened(disk)
    raft_index = 0
    while log.position < 200:
        raft_index += 1
        if raft_index % 20 == 7:
            append_large(log, raft_index, 5, 1500)
        else:
            append(log, raft_index, *range(log.position + 1, log.position + 4))
    return log


def test_reads_back_from_any_position_and_links_the_chain() -> None:
    disk = SimulatedDisk()
    log = filled(disk)
    everything = positions(log)
    for start in range(1, log.position + 1):
        assert positions(log, start) == [pair for pair in everything if pair[0] >= start]
    previous = bytes(32)
    for each in log.read(1):
        assert each.previous_hash == previous
        previous = each.hash
    assert next(log.read(77)).previous_hash != b""
    assert list(log.read(log.position + 1)) == []
    assert max(log.verify()) == log.position
    assert len(disk.names(DIRECTORY)) > 5
    log.synchronize()
    disk.crash(Random(0), Loss.EVERYTHING)
    again = opened(disk)
    assert positions(again) == everything
    assert (again.position, again.commit_ts, again.hash, again.raft_index) == (
        log.position,
        log.commit_ts,
        log.hash,
        log.raft_index,
    )
    list(again.verify())
    append(again, 900, again.position + 1)
    list(again.verify())


def test_history_by_timestamp() -> None:
    log = filled(SimulatedDisk())
    for after, through in [(0, 10**9), (55, 1000), (990, 1500), (1990, 5000), (700, 700)]:
        found = sorted({each.position for each in log.history(after, through)})
        assert found == [p for p in range(1, log.position + 1) if after < p * 10 <= through]


def test_index_file_may_be_missing_or_damaged() -> None:
    disk = SimulatedDisk()
    everything = positions(filled(disk))
    names = [name for name in disk.names(DIRECTORY) if name.endswith(".index")]
    disk.remove(f"{DIRECTORY}/{names[0]}")
    disk.flip(f"{DIRECTORY}/{names[1]}", 9)
    assert positions(opened(disk)) == everything


def test_reading_while_appending() -> None:
    log = opened(SimulatedDisk())
    append(log, 1, 1, 2)
    reader = log.read(1)
    assert next(reader).position == 1
    append(log, 2, 3)
    assert [each.position for each in reader] == [2]
    assert positions(log, 3) == [(3, 0)]


def test_large_event_without_its_end_is_cut_across_segments() -> None:
    disk = SimulatedDisk()
    log = opened(disk)
    append(log, 1, 1, 2)
    for part in range(9):
        piece = event(3, 1500, part, True)
        log.append_part(2, piece, encode_writes(piece.writes))
    assert positions(log) == [(1, 0), (2, 0)]
    again = opened(disk)
    assert (again.position, again.raft_index) == (2, 1)
    append_large(again, 2, 3, 10)
    assert positions(again) == [(1, 0), (2, 0), (3, 0), (3, 1), (3, 2)]
    list(again.verify())
    list(opened(disk).verify())


def test_the_index_of_a_finished_segment_goes_before_the_segment_is_appended_to_again() -> None:
    disk = SimulatedDisk()
    log = opened(disk, 2048)
    append(log, 1, 1, 2)
    for part in range(6):
        piece = event(3, 900, part, more=True)
        log.append_part(2, piece, encode_writes(piece.writes))
    assert f"{SEGMENT[:-4]}.index".rsplit("/", 1)[1] in disk.names(DIRECTORY)
    disk.crash(Random(1), Loss.NOTHING)
    cut = opened(disk, 2048)  # of the event no end is there: its parts go, and all segments but the first
    disk.crash(Random(1), Loss.EVERYTHING)
    assert disk.names(DIRECTORY) == ["events-0000000001.log"]
    assert cut.position == 2


def test_a_wrong_position_is_refused() -> None:
    log = opened(SimulatedDisk())
    with pytest.raises(NodeFatal, match="does not follow"):
        append(log, 1, 2)
    with pytest.raises(NodeFatal, match="not the next one"):
        log.append_part(1, event(1, part=1), b"\x90")


def test_position_not_retained() -> None:
    with pytest.raises(IndexError):
        list(opened(SimulatedDisk()).read(0))


@pytest.mark.parametrize("offset", range(0, 9000, 211))
def test_a_flipped_bit_anywhere_is_named(offset: int) -> None:
    disk = SimulatedDisk()
    log = opened(disk, 10_000)
    while log.position < 60:
        append(log, log.position + 1, log.position + 1, size=100)
    log.synchronize()
    disk.flip(SEGMENT, offset, offset % 8)
    with pytest.raises(CorruptData, match=r"events-\d+\.log at offset \d+"):
        list(opened(disk, 10_000).verify())


def test_a_replaced_event_breaks_the_chain() -> None:
    disk, other = SimulatedDisk(), SimulatedDisk()
    for each, size in ((disk, 20), (other, 21)):
        log = opened(each, 100_000)
        append(log, 1, 1, size=size)
        append(log, 2, 2)
    log = opened(disk, 100_000)
    forged = opened(other, 100_000)
    forged.hash = log.hash
    forged._segments[0] = log._segments[0]
    first = next(iter(forged.read(1)))
    assert first.writes[0][1] == b"v" * 20 or True
    with pytest.raises(CorruptData, match="ends at position"):
        list(forged.verify())


def test_full_disk_and_io_errors() -> None:
    disk = SimulatedDisk(capacity_bytes=4096)
    log = opened(disk)
    while log.reserve(400):
        append(log, log.position + 1, log.position + 1)
    disk.capacity_bytes = None
    assert log.reserve(400)
    disk.fail("write", errno.EIO)
    with pytest.raises(NodeFatal, match="cannot write"):
        append(log, 1, log.position + 1)
    disk.fail("synchronize", errno.EIO)
    with pytest.raises(NodeFatal, match="cannot synchronize"):
        log.synchronize()


def test_on_a_real_directory(tmp_path: object) -> None:
    log = EventLog(SystemDisk(), f"{tmp_path}/events", segment_bytes=16384)
    for index in range(1, 200):
        append(log, index, index, size=300)
    log.close()
    again = EventLog(SystemDisk(), f"{tmp_path}/events", segment_bytes=16384)
    assert [each.position for each in again.read(150)] == list(range(150, 200))
    assert max(again.verify()) == 199
    again.close()


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["small", "large", "synchronize", "crash"]), st.integers(1, 6)), max_size=30),
    st.sampled_from(list(Loss)),
    st.integers(0, 2**16),
)
@example(  # a segment was finished, cut, and finished again, and the first index was what the crash left
    [
        *[("small", 4), ("large", 2), ("large", 1), ("small", 3), ("small", 5), ("large", 2)],
        *[("crash", 1), ("crash", 1), ("crash", 1), ("crash", 1)],
        *[("small", 1), ("small", 2), ("small", 6), ("large", 5), ("large", 4), ("crash", 1)],
        *[("small", 1), ("small", 1), ("small", 3), ("small", 1), ("small", 1), ("small", 1), ("crash", 1)],
    ],
    Loss.SOME,
    1,
)
def test_a_crash_leaves_a_prefix(steps: list[tuple[str, int]], loss: Loss, seed: int) -> None:
    chance = Random(seed)
    disk = SimulatedDisk()
    log = opened(disk, 2048)
    ends = {0: 0}
    durable, raft_index = 0, 0
    for step, count in steps:
        if step == "small":
            raft_index += 1
            append(log, raft_index, *range(log.position + 1, log.position + 1 + count), size=chance.randrange(400))
            ends[raft_index] = log.position
        elif step == "large":
            raft_index += 1
            append_large(log, raft_index, count, chance.randrange(1500))
            ends[raft_index] = log.position
        elif step == "synchronize":
            assert log.synchronize() == log.raft_index
            durable = log.position
        else:
            disk.crash(chance, loss)
            log = opened(disk, 2048)
            assert log.position >= durable
            assert ends[log.raft_index] == log.position
            durable, raft_index = log.position, log.raft_index
        assert max(log.verify(), default=0) == log.position
        assert sorted({position for position, _ in positions(log)}) == list(range(1, log.position + 1))
