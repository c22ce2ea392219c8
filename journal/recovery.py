"""What a replica finds on its disk, and how it goes on from there.

The event log says which Raft entry it has applied; a snapshot file, written before the Raft log is compacted, says the
same with certainty. Entries after that are judged again, with the same result, because judging is a function of the log
and the adjudicator recalls from the event log what it needs.
"""

from __future__ import annotations

from dataclasses import dataclass

from journal.adjudicator import Adjudicator
from journal.catchup import Mark, read_mark
from journal.environment import Disk
from journal.errors import CorruptData, NodeFatal
from journal.event import Block, EntryKind, Fragment, decode_entry
from journal.eventlog import EventLog
from journal.raftlog import RaftLog
from journal.settings import ReplicaSettings
from journal.snapshot import Snapshot, load_snapshot
from journal.statemachine import StateMachine


@dataclass
class Recovered:
    """The state on disk, opened.

    Attributes:
        applied: the last Raft entry whose events are all in the event log.
        mark: whether the node stopped while it was catching up by a feed, and has to go on with that: the event log may be
            ahead of the Raft log.
        is_empty: nothing was ever written here.
    """

    snapshot: Snapshot
    events: EventLog
    log: RaftLog
    machine: StateMachine
    applied: int
    mark: Mark
    is_empty: bool


def recover(disk: Disk, settings: ReplicaSettings) -> Recovered:
    """Open everything in the replica's directory and check that the parts join.

    Raises:
        CorruptData: they do not.
    """
    directory = settings.directory
    disk.make_directory(directory)
    snapshot = load_snapshot(disk, directory)
    events = EventLog(disk, f"{directory}/events", segment_bytes=settings.event_segment_bytes)
    log = RaftLog(disk, f"{directory}/raft", segment_bytes=settings.raft_segment_bytes)
    if events.position < snapshot.position:
        raise CorruptData(
            f"{directory}/events ends at position {events.position}, but position {snapshot.position} was durable "
            f"before the Raft log was compacted"
        )
    applied = max(snapshot.raft_index, events.raft_index)
    mark = read_mark(disk, directory)
    is_empty = not applied and not log.last_index and mark is Mark.NONE
    if mark is not Mark.NONE:
        machine = StateMachine(events, adjudicator_for(events, settings), lambda index: load_fragment(log, index))
        return Recovered(snapshot, events, log, machine, applied, mark, is_empty)
    if applied > max(log.last_index, 0) or log.first_index > applied + 1:
        raise CorruptData(
            f"{directory}/raft holds entries {log.first_index} to {log.last_index}, but the event log has applied "
            f"{applied}"
        )
    log.commit_floor = applied
    machine = StateMachine(events, adjudicator_for(events, settings), lambda index: load_fragment(log, index))
    restage(machine, log, applied)
    return Recovered(snapshot, events, log, machine, applied, mark, is_empty)


def adjudicator_for(events: EventLog, settings: ReplicaSettings) -> Adjudicator:
    """One that stands at the event log's end, and recalls from it what it must know."""
    return Adjudicator(
        position=events.position,
        commit_ts=events.commit_ts,
        window_us=settings.window_us,
        bulk_keys_max=settings.bulk_keys_max,
        history=events.history,
    )


def restage(machine: StateMachine, log: RaftLog, applied: int) -> None:
    """Find again the fragments, among the applied entries, whose transaction is not concluded."""
    indices = log.indices_of_kind(EntryKind.FRAGMENT, applied)
    if not indices:
        return
    indices += log.indices_of_kind(EntryKind.CONCLUSION, applied)
    for index in sorted(indices):
        decoded = decode_entry(log.entry(index)[0])
        if isinstance(decoded, Fragment):
            machine.stage(index, decoded)
        elif isinstance(decoded, Block):
            machine.abandon([*decoded.abandoned, *(proposal.txid for proposal in decoded.proposals)])
    machine.expire()


def load_fragment(log: RaftLog, index: int) -> Fragment:
    """The fragment in this Raft entry."""
    fragment = decode_entry(log.entry(index)[0])
    if not isinstance(fragment, Fragment):
        raise NodeFatal(f"Raft entry {index} should be a fragment")
    return fragment
