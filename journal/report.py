"""What a replica tells operators of itself and of the others: a moment's picture, made when it is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from journal.clockwatch import ClockOffset
from journal.configuration import Member


@dataclass(frozen=True)
class MemberReport:
    """One member, as this replica sees it.

    Attributes:
        connected: whether this node can send to it.
        entries_behind: entries of the leader's log that it is not known to have; None unless this node leads.
        heard_ms_ago: age of the newest heartbeat that it has acknowledged; None unless this node leads and has heard it.
        clock_offset: how its clock differs from this node's; None while that is not known.
    """

    member: Member
    connected: bool
    entries_behind: int | None
    heard_ms_ago: float | None
    clock_offset: ClockOffset | None = None


@dataclass(frozen=True)
class ReplicaReport:
    """One replica.

    Attributes:
        leader: name of the leader, if known.
        lease_ms: how long the lease still lasts; None unless this node leads others.
        last_index, committed_index, applied_index: ends of the Raft log, of what is known to be committed, of what is applied.
        position, commit_ts: of the last event published here.
        closed_us: no event at or below this timestamp will be published here any more.
        turned_away_by: peers which say that this node is not a member, and know more than it does.
        clock_error_us: how far this host's clock may be from true time; None while nobody knows.
        clock_trusted: whether it is as good as that, as far as the others' clocks tell (`journal.clockwatch`).
    """

    name: str
    leader: str | None
    term: int
    is_leader: bool
    has_lease: bool
    lease_ms: float | None
    is_voter: bool
    is_catching_up: bool
    last_index: int
    committed_index: int
    applied_index: int
    position: int
    commit_ts: int
    closed_us: int
    clock_error_us: int | None
    members: tuple[MemberReport, ...]
    turned_away_by: tuple[str, ...] = ()
    clock_trusted: bool = False
