"""What `boreal status` says of a member, in both forms.

Method: a journal's report made by hand, its JSON read back, its tables printed to a console of fixed width.
"""

from __future__ import annotations

import io

import msgspec
from rich.console import Console

from deploy.status import NodeStatus, cluster_status, print_status
from journal.clockwatch import ClockOffset
from journal.configuration import Member
from journal.report import MemberReport, ReplicaReport

NOW_US = 1_800_000_000_000_000
REPORT = ReplicaReport(
    name="n1",
    leader="n1",
    term=7,
    is_leader=True,
    has_lease=True,
    lease_ms=391.5,
    is_voter=True,
    is_catching_up=False,
    last_index=120,
    committed_index=118,
    applied_index=117,
    position=99,
    commit_ts=NOW_US - 5000,
    closed_us=NOW_US - 40_000,
    clock_error_us=None,
    members=(
        MemberReport(Member("n1", "10.0.0.1", 7433), True, 0, None),
        MemberReport(Member("n2", "10.0.0.2", 7433), True, 2, 12.5, ClockOffset(300, 40, None, None)),
        MemberReport(Member("n3", "10.0.0.3", 7433, True, True), False, 120, None),
        MemberReport(Member("n4", "10.0.0.4", 7433, False), True, 1, 3.5),
    ),
)


def status(has_majority: bool = True) -> NodeStatus:
    return NodeStatus(
        ready=has_majority,
        draining=False,
        leader=True,
        name="n1",
        node_id=1,
        region="north",
        roles=("journal", "storage", "frontend"),
        version="0",
        position=98,
        journal_position=99,
        sessions=3,
        transactions_open=1,
        uptime_seconds=1.5,
        resident_bytes=1,
        waiting_for="" if has_majority else "a majority of the members",
        cluster=cluster_status(REPORT, cluster="c", now_us=NOW_US, has_majority=has_majority, read_path="local"),
    )


def printed(what: NodeStatus) -> list[str]:
    output = io.StringIO()
    print_status(what, Console(file=output, width=110, highlight=False))
    return [" ".join(line.replace("│", " ").split()) for line in output.getvalue().splitlines()]


def test_json() -> None:
    decoded = msgspec.json.decode(msgspec.json.encode(status()))
    assert "waiting_for" not in decoded
    cluster = decoded["cluster"]
    assert (cluster["leader"], cluster["term"], cluster["lease_ms"]) == ("n1", 7, 391.5)
    assert (cluster["last_index"], cluster["committed_index"], cluster["applied_index"]) == (120, 118, 117)
    assert (cluster["closed_us"], cluster["closed_lag_ms"], cluster["clock_error_us"]) == (NOW_US - 40_000, 40.0, None)
    assert cluster["read_path"] == "local"
    assert [(each["name"], each["role"], each["entries_behind"]) for each in cluster["members"]] == [
        ("n1", "leader", 0),
        ("n2", "follower", 2),
        ("n3", "witness", 120),
        ("n4", "learner", 1),
    ]
    assert msgspec.json.decode(msgspec.json.encode(status()), type=NodeStatus) == status()


def test_tables() -> None:
    lines = printed(status())
    for line in (
        "ready yes",
        "region north",
        "term 7",
        "closed lag ms 40.0",
        "clock error us –",
        "clock trusted no",
        "read path local",
    ):
        assert line in lines
    assert "n2 follower 10.0.0.2:7433 yes 2 12.5 +300 ± 40" in lines
    assert "n3 witness 10.0.0.3:7433 no 120 – –" in lines
    assert not any(line.startswith("waiting for") for line in lines)
    assert "waiting for a majority of the members" in printed(status(has_majority=False))


def test_a_single_node_has_no_members() -> None:
    alone = msgspec.structs.replace(status(), cluster=None)
    assert "cluster" not in msgspec.json.decode(msgspec.json.encode(alone))
    assert not any("members" in line for line in printed(alone))
