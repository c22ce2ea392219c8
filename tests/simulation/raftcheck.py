"""Raft's five safety properties (figure 3 of the paper), watched on the real logs while the cluster runs.

    every callback of a node ─▶ observe(node): leader? commit index? ─▶ election safety, append-only, completeness
    every entry that any log takes ─▶ note(entry): log matching
    every event that any node publishes ─▶ publish(event): state machine safety
    every message that leaves, every restart ─▶ term, vote and log are persistent (figure 2): what was told, stays

Watching is complete and cheap: entries are compared when they are written, by (index, term), together with the term of
the entry before them; by induction that is the whole prefix. So nothing is compared twice, and nothing is sampled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from zlib import crc32

import msgspec

from journal.event import EntryKind, Event
from tests.simulation.cluster import WITHOUT_DISK, Cluster, SimulatedNode
from tests.simulation.history import Trace

_CANDIDATE, _LEADER = 1, 2
"""pysyncobj's _RAFT_STATE"""

_PLACEHOLDER = bytes([EntryKind.NO_OP])


class _Seen:
    """What was last seen of one incarnation."""

    __slots__ = ("committed", "last_index", "last_term", "leading", "standing", "term", "voters")

    def __init__(self, committed: int) -> None:
        self.term = -1
        self.leading = 0
        self.standing = 0
        self.committed = committed
        self.last_index = 0
        self.last_term = 0
        self.voters: frozenset[str] = frozenset()


class RaftObserver:
    """Watches every node of a run.

    Args:
        cluster: whose nodes.
        violation: told of what must not be.
        trace: told of elections.

    Attributes:
        leaders: term → the node that leads, or led it.
        committed: Raft index → (term, checksum) of what some node took for committed.
        events: (position, part) → checksum of what some node published.
    """

    def __init__(self, cluster: Cluster, violation: Callable[[str], None], trace: Trace) -> None:
        self._cluster = cluster
        self._violation = violation
        self._trace = trace
        self.leaders: dict[int, str] = {}
        self.committed: dict[int, tuple[int, int]] = {}
        self._committed_in: dict[int, int] = {}
        """Raft index → the term of whoever took it for committed first."""
        self._committed_end = 0
        self._entries: dict[tuple[int, int], tuple[int, int]] = {}
        self.events: dict[tuple[int, int], int] = {}
        self._seen: dict[str, _Seen] = {}
        self._told_terms: dict[str, int] = {}
        self._told_votes: dict[tuple[str, int], str] = {}
        self._told_ends: dict[str, int] = {}
        self._lost_ends: dict[str, int] = {}
        """What voters had acknowledged whose disk was lost: a majority may have been one with them."""
        self._durable: dict[str, int] = {}

    def attach(self, node: SimulatedNode) -> None:
        """A node has recovered: look at all that it holds, then at each entry that it takes."""
        assert node.replica is not None
        log: Any = node.replica._log
        self._check_persistent_state(node.name, log)
        self._listen(node)
        for index in range(log.first_index, log.last_index + 1):
            self._note(node.name, log, *log.entry(index))
        add = log.add

        def noted_add(command: bytes, idx: int, term: int) -> None:
            if idx <= self._committed_end and idx <= log.last_index:
                known = self.committed.get(idx)
                if known is not None and log._term_at(idx) == known[0] != term:
                    self._violation(f"{node.name} replaces entry {idx}, committed in term {known[0]}, by one of {term}")
            if idx <= log.last_index and idx <= self._told_ends.get(node.name, 0) and log._term_at(idx) != term:
                # A newer leader has another entry there: what was acknowledged from here on is void, and rightly so.
                self._told_ends[node.name] = idx - 1
            add(command, idx, term)
            self._note(node.name, log, command, idx, term)

        log.add = noted_add
        synchronized = log.synchronized

        def noted_synchronized() -> None:
            synchronized()
            self._durable[node.name] = log.last_index

        log.synchronized = noted_synchronized
        begin_after = log.begin_after

        def noted_begin_after(index: int, term: int) -> None:
            """A feed has brought everything up to here; what this log had beyond it had followed a wrong entry."""
            begin_after(index, term)
            self._cluster.count("log begun anew")
            self._durable[node.name] = index
            self._told_ends[node.name] = min(index, self._told_ends.get(node.name, 0))

        log.begin_after = noted_begin_after
        compact = log.compact

        def noted_compact(index: int) -> None:
            first = log.first_index
            compact(index)
            if log.first_index > first:
                self._cluster.count("compaction")

        log.compact = noted_compact
        self._durable[node.name] = log.last_index
        node.replica.subscribe(lambda events: self.publish(node.name, events), 0)
        self._seen[node.name] = _Seen(0)

    def forget(self, node: SimulatedNode) -> None:
        """Its disk is lost, and it will be somebody else: what it told is void."""
        self._told_terms.pop(node.name, None)
        told = self._told_ends.pop(node.name, 0)
        self._lost_ends[node.name] = told if WITHOUT_DISK in node.expected_failures else 0
        self._told_votes = {told: vote for told, vote in self._told_votes.items() if told[0] != node.name}

    def _listen(self, node: SimulatedNode) -> None:
        """Remember the terms and votes that leave this node."""
        transport: Any = node.replica._transport  # type: ignore[union-attr]
        log: Any = node.replica._log  # type: ignore[union-attr]
        process = node.process
        release = transport.release

        def noted_release() -> None:
            if process is not None and process.alive:
                for name, _, term, message in transport._outbox:
                    self._tell(node.name, name, term, message, log)
            release()

        transport.release = noted_release

    def _tell(self, name: str, to: str, sent_in: int, message: dict[str, Any], log: Any) -> None:
        term = message.get("term", 0)
        if message["type"] in ("request_vote", "append_entries", "response_vote"):
            self._told_terms[name] = max(term, self._told_terms.get(name, 0))
        if message["type"] in ("request_vote", "response_vote"):
            vote = name if message["type"] == "request_vote" else to
            if self._told_votes.setdefault((name, term), vote) != vote:
                self._violation(f"{name} votes for {vote} in term {term}, and had voted for another")

        if message["type"] == "next_node_idx" and message["success"]:
            end = message["next_node_idx"] - 1
            if sent_in < log.getCurrentTerm():
                # Acknowledged and replaced by a newer leader's in one turn: as if the one had been told before the other came.
                end = min(end, log.last_index)
            self._told_ends[name] = max(end, self._told_ends.get(name, 0))

    def _check_persistent_state(self, name: str, log: Any) -> None:
        """What a node told others of its term, its vote and its entries has survived its restart."""
        if log.last_index < self._told_ends.get(name, 0):
            self._violation(
                f"{name} comes back with entries to {log.last_index}, and had acknowledged {self._told_ends[name]}"
            )
        told = self._told_terms.get(name, 0)
        term = max(log.getCurrentTerm(), log._term_at(log.last_index) if log.last_index >= log.first_index else 0)
        vote = self._told_votes.get((name, term))
        if term < told:
            self._violation(f"{name} comes back with term {term}; others know of its term {told}")
        elif vote is not None and vote != log.getVotedForNodeId():
            self._violation(f"{name} comes back without its vote for {vote} in term {term}")

    def _note(self, name: str, log: Any, command: bytes, index: int, term: int) -> None:
        if _stands_for_others(log, index, command):
            return
        before = log._term_at(index - 1) if index > log.first_index else -1
        checksum = crc32(command)
        known = self._entries.get((index, term))
        if known is None:
            self._entries[index, term] = checksum, before
        elif known[0] != checksum:
            self._violation(f"log matching: entry {index} of term {term} at {name} is not what another node has there")
        elif before >= 0 and known[1] >= 0 and known[1] != before:
            self._violation(
                f"log matching: before entry {index} of term {term}, {name} has term {before}, another {known[1]}"
            )

    def observe(self, node: SimulatedNode) -> None:
        """Called after each callback of a node that serves."""
        consensus: Any = node.replica._consensus  # type: ignore[union-attr]
        seen = self._seen.get(node.name)
        if seen is None:
            return
        term = consensus.raftCurrentTerm
        log = consensus._log
        if term != seen.term:
            if term < seen.term:
                self._violation(f"{node.name} went back from term {seen.term} to {term}")
            seen.term = term
        state = consensus._SyncObj__raftState
        if state == _LEADER:
            self._observe_leader(node.name, seen, term, log)
        elif seen.leading:
            self._trace(node.name, f"no longer leads term {seen.leading}")
            seen.leading = 0
        if state == _CANDIDATE and seen.standing != term:
            seen.standing = term
            self._trace(node.name, f"stands in term {term}")
            self._cluster.on_candidate(node)
        if log.last_index < self._told_ends.get(node.name, 0):
            self._violation(f"{node.name} forgot entries after {log.last_index}, and had acknowledged them")
        if node.replica._catching_up:  # type: ignore[union-attr]
            return  # by a feed, which is ahead of the log until its end
        applied = node.replica._applied  # type: ignore[union-attr]
        if applied > self._durable[node.name]:
            self._violation(f"{node.name} applied entry {applied} before it was durable there")
        # With fast commit, a follower applies what it has concluded to be committed.
        committed = max(consensus.committed_index, applied)
        if committed > seen.committed:
            self._observe_commit(node.name, seen, committed, log, consensus.voters)
        seen.voters = consensus.voters

    def _observe_leader(self, name: str, seen: _Seen, term: int, log: Any) -> None:
        last = log.last_index
        if seen.leading != term:
            self._trace(name, f"leads term {term}, entries to {last}")
            other = self.leaders.setdefault(term, name)
            if other != name:
                self._violation(f"election safety: {name} and {other} lead term {term}")
            self._check_completeness(name, term, log)
            seen.leading = term
            seen.last_term = 0  # of an earlier office; what came after it may have been truncated meanwhile
        elif last < seen.last_index or (
            seen.last_index >= log.first_index and log._term_at(seen.last_index) != seen.last_term
        ):
            self._violation(f"leader append-only: {name} lost entry {seen.last_index} in term {term}")
        if last != seen.last_index or not seen.last_term:
            seen.last_index = last
            seen.last_term = log._term_at(last)

    def _check_completeness(self, name: str, term: int, log: Any) -> None:
        for index in range(max(1, log.first_index), self._committed_end + 1):
            known = self.committed.get(index)
            if known is None or self._committed_in[index] >= term:
                continue  # a late vote may make a leader of a term that others have left behind
            if index > log.last_index or log._term_at(index) != known[0]:
                self._violation(f"leader completeness: {name} leads term {term} without entry {index} of {known[0]}")
                return

    def _observe_commit(self, name: str, seen: _Seen, committed: int, log: Any, voters: frozenset[str]) -> None:
        for index in range(max(seen.committed + 1, log.first_index), min(committed, log.last_index) + 1):
            command, _, term = log.entry(index)
            if _stands_for_others(log, index, command):
                continue
            entry = (term, crc32(command))
            self._committed_in.setdefault(index, seen.term)
            if self.committed.setdefault(index, entry) != entry:
                self._violation(f"{name} took entry {index} of term {term} for committed, others one of another term")
        if seen.leading:
            self._check_majority(name, min(committed, log.last_index), log, voters, seen.voters)
        seen.committed = committed
        self._committed_end = max(self._committed_end, min(committed, log.last_index))

    def _check_majority(self, name: str, index: int, log: Any, *configurations: frozenset[str]) -> None:
        """What a leader takes for committed is in the logs of a majority. Nodes that are down may have it.

        A step may commit entries and then append another configuration: the majority may be that of either.
        """
        term = log._term_at(index)
        lacking = []
        for node in self._cluster.nodes:
            if node.up and index > self._lost_ends.get(node.name, 0):
                other: Any = node.replica._log  # type: ignore[union-attr]
                if other.last_index < index or (other.first_index <= index and other._term_at(index) != term):
                    lacking.append(node.name)
        if all(2 * sum(each in voters for each in lacking) >= len(voters) for voters in configurations if voters):
            self._violation(f"{name} took entry {index} of term {term} for committed; {lacking} do not have it")

    def publish(self, name: str, events: list[Event]) -> None:
        """State machine safety, and the order of positions and timestamps."""
        for event in events:
            content = (event.txid, event.commit_ts, event.more, event.catalog_changes, event.locks, event.writes)
            entry = crc32(msgspec.msgpack.encode(content))
            if self.events.setdefault((event.position, event.part), entry) != entry:
                self._violation(f"state machine safety: {name} published another event at position {event.position}")


def _stands_for_others(log: Any, index: int, command: bytes) -> bool:
    """Whether it is the first entry of a log that was begun anew: of the entry there, only the term is known."""
    return index == log.first_index > 1 and command == _PLACEHOLDER
