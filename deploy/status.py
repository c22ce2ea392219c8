"""What `GET /status` answers and `boreal status` prints: one structure, as JSON or as tables for people.

A node knows itself; of the other members it knows whether it can reach them, and, while it leads, how far they are. So lag and
age of heartbeats come from the leader: ask that one. Nodes import this to answer; what only prints is loaded where it prints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from journal.report import ReplicaReport

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


class MemberStatus(msgspec.Struct, kw_only=True):
    """One member, as the answering node sees it.

    Attributes:
        role: `leader`, `follower`, `witness`, or `learner` (no vote).
        connected: whether the answering node can send to it.
        entries_behind, heard_ms_ago: only the leader knows them.
        clock_offset_us: how far its clock is ahead of the answering node's, give or take clock_offset_error_us; None: not known.
    """

    name: str
    host: str
    port: int
    role: str
    witness: bool
    voter: bool
    connected: bool
    entries_behind: int | None
    heard_ms_ago: float | None
    clock_offset_us: int | None = None
    clock_offset_error_us: int | None = None


class ClusterStatus(msgspec.Struct, kw_only=True):
    """The journal's side of one member; see `journal.report.ReplicaReport`."""

    cluster: str
    leader: str | None
    term: int
    has_majority: bool
    catching_up: bool
    last_index: int
    committed_index: int
    applied_index: int
    lease_ms: float | None
    closed_us: int
    closed_lag_ms: float | None
    clock_error_us: int | None
    clock_trusted: bool
    read_path: str | None
    members: list[MemberStatus]


class NodeStatus(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One node. `waiting_for` says what it is not ready for; `cluster` is there if it has other members."""

    ready: bool
    draining: bool
    leader: bool
    name: str
    node_id: int
    region: str
    roles: tuple[str, ...]
    version: str
    position: int
    journal_position: int
    sessions: int
    transactions_open: int
    uptime_seconds: float
    resident_bytes: int
    waiting_for: str = ""
    cluster: ClusterStatus | None = None


def cluster_status(
    report: ReplicaReport, *, cluster: str, now_us: int, has_majority: bool, read_path: str | None
) -> ClusterStatus:
    """From the journal's report."""
    members = [
        MemberStatus(
            name=each.member.name,
            host=each.member.host,
            port=each.member.port,
            role=_role(each.member.name == report.leader, each.member.voter, each.member.witness),
            witness=each.member.witness,
            voter=each.member.voter,
            connected=each.connected,
            entries_behind=each.entries_behind,
            heard_ms_ago=each.heard_ms_ago,
            clock_offset_us=each.clock_offset.offset_us if each.clock_offset else None,
            clock_offset_error_us=each.clock_offset.error_us if each.clock_offset else None,
        )
        for each in report.members
    ]
    return ClusterStatus(
        cluster=cluster,
        leader=report.leader,
        term=report.term,
        has_majority=has_majority,
        catching_up=report.is_catching_up,
        last_index=report.last_index,
        committed_index=report.committed_index,
        applied_index=report.applied_index,
        lease_ms=report.lease_ms,
        closed_us=report.closed_us,
        closed_lag_ms=round((now_us - report.closed_us) / 1000, 1) if report.closed_us else None,
        clock_error_us=report.clock_error_us,
        clock_trusted=report.clock_trusted,
        read_path=read_path,
        members=members,
    )


def fetch_status(url: str, *, seconds_max: float = 5.0) -> NodeStatus:
    """Ask a running node. Raises OSError (it cannot be reached), ValueError (what answers is no such node)."""
    import urllib.request

    with urllib.request.urlopen(f"{url}/status", timeout=seconds_max) as response:
        return msgspec.json.decode(response.read(), type=NodeStatus)


def _role(leads: bool, voter: bool, witness: bool) -> str:
    if leads:
        return "leader"
    if not voter:
        return "learner"
    return "witness" if witness else "follower"


def print_status(status: NodeStatus, console: Console) -> None:
    """For people."""
    console.print(render(status))


def render(status: NodeStatus) -> RenderableType:
    """Two columns for the node, and a table of the members, if there are others."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    facts = Table(show_header=False, box=None, pad_edge=False)
    facts.add_column(no_wrap=True)
    facts.add_column(overflow="fold")
    for name in status.__struct_fields__:
        value = getattr(status, name)
        if name != "cluster" and (value != "" or name != "waiting_for"):
            facts.add_row(name.replace("_", " "), _shown(value))
    cluster = status.cluster
    if cluster is None:
        return facts
    for name in cluster.__struct_fields__:
        if name not in ("members", "leader"):
            facts.add_row(name.replace("_", " "), _shown(getattr(cluster, name)))
    members = Table(title="members, as this node sees them", title_justify="left")
    for heading in ("name", "role", "address", "reachable", "entries behind", "heard ms ago", "clock ahead µs"):
        members.add_column(heading, no_wrap=True)
    for member in cluster.members:
        members.add_row(
            member.name,
            member.role,
            f"{member.host}:{member.port}",
            Text("yes") if member.connected else Text("no", style="bold red"),
            _shown(member.entries_behind),
            _shown(member.heard_ms_ago),
            _shown_offset(member),
        )
    return Group(facts, members)


def _shown_offset(member: MemberStatus) -> str:
    if member.clock_offset_us is None:
        return "–"
    return f"{member.clock_offset_us:+d} ± {member.clock_offset_error_us}"


def _shown(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(value)
    return str(value)
