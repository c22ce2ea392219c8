"""Raft's rules where pysyncobj does not keep them by itself.

Goal: each deviation of `journal.consensus` does what its table says. Method: members in one process without a network: what
one releases is put into the others' inboxes by hand, time is a number, and logs are on simulated disks.
"""

from __future__ import annotations

from random import Random

from journal.consensus import Consensus, Timing
from journal.environment import Environment, SystemNetwork
from journal.raftlog import RaftLog
from journal.simulated import ManualClock, SimulatedDisk
from journal.transport import Message, Peer, PeerTransport

TIMING = Timing(0.1, 0.6, 1.2)
NAMES = ("a", "b", "c")


class Wire(PeerTransport):
    """Hands what is released to the other members' inboxes."""

    members: dict[str, Member]

    def is_connected(self, name: str) -> bool:
        return True

    def release(self) -> None:
        outbox, self._outbox = self._outbox, []
        for name, stamp, term, message in outbox:
            member = self.members[self._own.name]
            member.sent.append((name, message))
            if name not in member.cut and self._own.name not in self.members[name].cut:
                self.members[name].transport._inbox.append((self._own.name, stamp, term, message))


class Member:
    """One member, ticked by hand."""

    def __init__(self, name: str, clock: ManualClock, members: dict[str, Member], log: RaftLog | None = None) -> None:
        self.environment = Environment(clock, Random(name), SimulatedDisk(), SystemNetwork())
        self.log = log or RaftLog(self.environment.disk, "/r", segment_bytes=64 << 10)
        self.transport = Wire(
            self.environment,
            "test",
            Peer(name, "", 0),
            [Peer(other, "", 0) for other in NAMES if other != name],
            wake=lambda: None,
        )
        self.transport.members = members
        self.waiting: list[bytes] = []
        self.sent: list[tuple[str, Message]] = []
        self.cut: set[str] = set()
        self.behind: list[str] = []
        self.consensus = Consensus(
            self.environment,
            self.log,
            self.transport,
            name,
            next_entry=lambda: self.waiting.pop(0) if self.waiting else None,
            on_ordered=lambda index, term: None,
            on_behind=self.behind.append,
            timing=TIMING,
            entry_bytes_max=1 << 20,
            bytes_in_flight_max=1 << 20,
        )
        self.consensus.adopt(NAMES, [])
        members[name] = self

    def turn(self) -> None:
        self.transport.deliver(self.log.settle)
        self.consensus.tick()
        self.log.synchronize()
        self.transport.release()


class Group:
    """Three members and their time."""

    def __init__(self, **logs: RaftLog) -> None:
        self.clock = ManualClock()
        self.members: dict[str, Member] = {}
        for name in NAMES:
            Member(name, self.clock, self.members, logs.get(name))

    def run(self, seconds: float, *names: str) -> None:
        for _ in range(int(seconds / 0.01)):
            self.clock.advance(10_000)
            for name in names or NAMES:
                self.members[name].turn()

    def leader(self) -> Member:
        leaders = [member for member in self.members.values() if member.consensus.is_leader]
        newest = max(leaders, key=lambda member: member.consensus.raftCurrentTerm)
        assert newest.consensus.has_lease
        return newest

    def others(self) -> list[Member]:
        leader = self.leader()
        return [member for member in self.members.values() if member is not leader]


def test_one_leader_is_elected_and_stays() -> None:
    for _ in range(5):
        group = Group()
        group.run(3)
        leader = group.leader()
        term = leader.consensus.raftCurrentTerm
        group.run(10)
        assert group.leader() is leader
        assert leader.consensus.raftCurrentTerm == term


def test_terms_do_not_grow_in_a_partition() -> None:
    group = Group()
    group.run(3)
    alone = group.others()[0]
    term = alone.consensus.raftCurrentTerm
    alone.cut.update(NAMES)
    group.run(20)
    assert alone.consensus.raftCurrentTerm == term
    alone.cut.clear()
    leader = group.leader()
    group.run(1)
    assert group.leader() is leader
    assert leader.consensus.raftCurrentTerm == term


def test_a_leader_of_an_older_term_is_told_and_steps_down() -> None:
    group = Group()
    group.run(3)
    leader, other = group.leader(), group.others()[0]
    other.consensus._SyncObj__setCurrentTerm(40, None)
    group.run(0.2)
    assert leader.consensus.raftCurrentTerm == 40
    assert not leader.consensus.is_leader
    group.run(4)
    assert group.leader().consensus.raftCurrentTerm > 40


def test_a_vote_request_passes_stickiness_only_if_it_is_forced() -> None:
    group = Group()
    group.run(3)
    voter, rival = group.others()
    request = {"type": "request_vote", "term": 50, "last_log_index": 99, "last_log_term": 49}
    assert not voter.consensus._admit(rival.consensus._own_name, dict(request))
    assert not group.leader().consensus._admit(rival.consensus._own_name, dict(request))
    assert voter.consensus._admit(rival.consensus._own_name, {**request, "forced": True})


def test_handing_over_gives_up_the_lease_first_and_takes_no_election_timeout() -> None:
    group = Group()
    group.run(3)
    leader, other = group.leader(), group.others()[0]
    assert not leader.consensus.hand_over("stranger")
    assert leader.consensus.hand_over(other.consensus._own_name)
    assert not leader.consensus.has_lease
    assert leader.consensus.is_leader
    group.run(0.1)
    assert other.consensus.is_leader
    assert not leader.consensus.is_leader


def test_a_vote_counts_once_and_only_from_a_voter() -> None:
    group = Group()
    candidate = group.members["a"]
    candidate.consensus.adopt(NAMES, [])
    candidate.consensus._SyncObj__setState(1)
    candidate.consensus._SyncObj__setCurrentTerm(9, "a")
    candidate.consensus._SyncObj__votesCount = 0
    node = candidate.transport.nodes["b"]
    for _ in range(3):
        candidate.consensus._SyncObj__onMessageReceived(node, {"type": "response_vote", "term": 9, "closed": 0})
    assert candidate.consensus._SyncObj__votesCount == 1
    candidate.consensus.voters = frozenset({"a", "b"})
    stranger = candidate.transport.nodes["c"]
    candidate.consensus._SyncObj__onMessageReceived(stranger, {"type": "response_vote", "term": 9, "closed": 0})
    assert candidate.consensus._SyncObj__votesCount == 1
    assert not candidate.consensus.is_leader


def test_a_differing_log_is_found_by_terms_not_by_entries() -> None:
    disk = SimulatedDisk()
    divergent = RaftLog(disk, "/r", segment_bytes=64 << 10)
    divergent.add(b"\x01", 1, 0)
    for index in range(2, 400):
        divergent.add(b"\x10old", index, 1 + index // 200)
    divergent.setCurrentTerm(3, None)
    divergent.synchronize()
    group = Group(c=divergent)
    group.members["c"].cut.update(NAMES)
    for name in ("a", "b"):
        group.members[name].consensus._SyncObj__setCurrentTerm(5, None)
    group.run(4)
    leader = group.leader()
    leader.waiting += [b"\x10new%d" % number for number in range(500)]
    group.run(0.5)
    member = group.members["c"]
    member.cut.clear()
    before = len(member.sent)
    group.run(0.3)
    assert member.log.last_index == leader.log.last_index
    assert [member.log.entry(index) for index in range(1, 400)] == [leader.log.entry(index) for index in range(1, 400)]
    resets = [message for _, message in member.sent[before:] if message.get("reset")]
    assert 1 <= len(resets) <= 6


def test_no_more_is_committed_than_a_message_vouches_for() -> None:
    """What lies behind its entries may be another leader's, never committed and never asked for until now (Raft §5.3)."""
    log = RaftLog(SimulatedDisk(), "/r", segment_bytes=64 << 10)
    for index in range(1, 10):
        log.add(b"\x10%d" % index, index, 1 if index < 7 else 2)  # 7 to 9 were lost elsewhere
    log.setCurrentTerm(2, None)
    log.synchronize()
    member = Group(b=log).members["b"]
    heard = {"type": "append_entries", "term": 3, "prevLogTerm": 1}
    for previous, entries, vouched_for in ((3, [], 3), (4, [(b"\x105", 5, 1)], 5), (5, [(b"\x106", 6, 1)], 6)):
        message = {**heard, "prevLogIdx": previous, "entries": entries, "commit_index": 8}
        member.transport._inbox.append(("a", 0.0, 3, message))
        member.turn()
        assert member.consensus.committed_index == vouched_for
        assert log.last_index == 9
    message = {
        **heard,
        "prevLogIdx": 6,
        "entries": [(b"\x11%d" % index, index, 3) for index in (7, 8)],
        "commit_index": 8,
    }
    member.transport._inbox.append(("a", 0.0, 3, message))
    member.turn()
    assert (member.consensus.committed_index, log.last_index, log.entry(8)) == (8, 8, (b"\x118", 8, 3))


def test_a_peer_behind_the_compacted_log_gets_heartbeats_and_a_hint() -> None:
    group = Group()
    group.run(3)
    leader, away = group.leader(), group.others()[0]
    name = away.consensus._own_name
    away.cut.update(NAMES)
    for number in range(300):
        leader.waiting.append(b"\x10%d" % number + b"x" * 1000)
        group.run(0.01)
    leader.log.compact(leader.log.last_index)
    assert leader.log.first_index > 10
    away.cut.clear()
    leader.consensus._SyncObj__onNodeConnected(leader.transport.nodes[name])
    term = leader.consensus.raftCurrentTerm
    group.run(2)
    assert set(leader.behind) == {name}
    assert len(leader.behind) < 40
    assert group.leader() is leader
    assert away.consensus.raftCurrentTerm == term
    assert away.consensus.leader_name == leader.consensus._own_name


def test_what_is_in_flight_to_a_peer_is_bounded() -> None:
    group = Group()
    group.run(3)
    leader, slow = group.leader(), group.others()[0]
    name = slow.consensus._own_name
    group.run(0.1, *[each for each in NAMES if each != name])
    sent = len(leader.sent)
    leader.waiting += [b"\x10" + b"x" * 100_000 for _ in range(100)]
    group.run(0.3, *[each for each in NAMES if each != name])
    entries = [len(m["entries"]) for to, m in leader.sent[sent:] if to == name and m["type"] == "append_entries"]
    assert 10 <= sum(entries) <= 12
    assert leader.consensus.committed_index == leader.log.last_index
    group.run(1)
    assert slow.log.last_index == leader.log.last_index


def test_a_leader_without_a_majority_steps_down_within_the_election_timeout() -> None:
    group = Group()
    group.run(3)
    leader = group.leader()
    leader.cut.update(NAMES)
    group.run(0.5)
    assert not leader.consensus.has_lease
    group.run(0.3)
    assert not leader.consensus.is_leader


def test_a_machine_that_stands_still_deposes_nobody() -> None:
    """Everybody at once, or the leader alone, for less than an election's time: what was said meanwhile is read first."""
    for standing_still in (NAMES, ()):
        group = Group()
        group.run(3)
        leader = group.leader()
        term = leader.consensus.raftCurrentTerm
        if standing_still:
            group.clock.advance(5_000_000)
        else:
            group.run(0.55, *(member.consensus._own_name for member in group.others()))
            group.clock.advance(250_000)
        assert not leader.consensus.has_lease
        leader.turn()
        assert leader.consensus.is_leader
        group.run(1)
        assert group.leader() is leader
        assert leader.consensus.raftCurrentTerm == term


def test_a_leader_that_stood_still_and_then_hears_nobody_steps_down_in_its_own_time() -> None:
    group = Group()
    group.run(3)
    leader = group.leader()
    leader.cut.update(NAMES)
    group.clock.advance(5_000_000)
    leader.turn()
    assert leader.consensus.is_leader
    assert not leader.consensus.has_lease
    group.run(0.8)
    assert not leader.consensus.is_leader
    group.run(3)
    assert group.leader() is not leader


def test_a_vote_for_somebody_who_is_gone_does_not_shut_out_the_longer_log() -> None:
    group = Group()
    group.run(3)
    leader = group.leader()
    voter, longer = group.others()
    voter.cut.update(NAMES)
    leader.waiting.append(b"\x10only two have it")
    group.run(0.05)
    assert longer.log.last_index == voter.log.last_index + 1
    # The leader stands again, gets this vote, and is lost before the other one hears of the term.
    gone = leader.transport._own.name
    voter.consensus._SyncObj__setCurrentTerm(voter.consensus.raftCurrentTerm + 1, gone)
    leader.cut.update(NAMES)
    voter.cut.clear()
    left = [member.transport._own.name for member in (voter, longer)]
    group.run(5, *left)
    assert longer.consensus.is_leader
