"""pysyncobj, held by its two public extension points and by a few of its private ones.

`Consensus` is a SyncObj that orders opaque entries and does nothing else: no commands of its own, no pickling, no
threads, no files. Everything that depends on pysyncobj's inside is in this module, and `_require` refuses to start if a
future version has renamed any of it.

    tick ─▶ elections, commit index ─▶ committed_index moves ─▶ `_checkCommandsToApply` takes entries from the owner

What is replaced, and why:

| pysyncobj                 | here                                                                                   |
| ------------------------- | -------------------------------------------------------------------------------------- |
| __applyLogEntries         | only moves the index; followers hear of it with the next entries, or at once if there    |
|                           | are none. The owner applies entries, once they are durable here, so that the disk works on the next block meanwhile; and an        |
|                           | exception in apply cannot be retried                                                    |
| _checkCommandsToApply     | takes entries from the owner, without a queue, a lock and a pipe write for each; they   |
|                           | may leave before the own disk has them (`sends_before_disk`)                            |
| __sendAppendEntries       | written anew: bytes in flight to a peer are bounded; one that lags behind the compacted  |
|                           | log gets heartbeats and is told to ask for a feed; peers in the order of their names;    |
|                           | news of a commit for a peer that has everything asks for no answer (`quiet`), and goes   |
|                           | alone only to who waits for it (`awaits_news`); a witness gets blocks together          |
| __sendNextNodeIdx         | a follower whose log differs goes back a whole term at once (§5.3), not one entry        |
| __connectedToAnyone       | asked exactly when an election is due: the pre-vote, and who may stand at all            |
| __onMessageReceived       | pre-votes; a leader of an older term is told so; each voter's vote counts once; what the |
|                           | closed timestamps and fast commit need to know                                          |
| __onNodeConnected         | begins anew with a peer that was away                                                  |
| __onBecomeLeader          | forgets what was in flight; notes the term's first entry                                |
| __tryLogCompaction        | nothing: the owner compacts the log                                                     |
| __generateRaftTimeout     | the environment's randomness; a witness waits longer                                    |
| __otherNodes, __readonly… | set by `adopt`: voters and learners of the newest configuration in the log               |
| monotonicTime (global)    | the environment's clock                                                                 |
| createJournal (global)    | hands over the log that the configuration carries                                       |
| _poller, its pipe         | nothing to poll: the transport is asyncio's                                             |
| _onTick                   | `_tick_alone` for a single voter that leads: the same, without what only peers need;     |
|                           | time in which this node stood still is not taken for the silence of others              |
| raftCurrentTerm, the      | the same without calls: they are asked for many times a transaction (`transport.PeerNode`) |
| state,                    |                                                                                        |
| transport's ready, a      |                                                                                        |
| node's hash and id        |                                                                                        |

**Leader stickiness.** A vote request is not delivered while this node has heard a leader within the minimum election
timeout, or is a leader with a lease: a partitioned node that returns with a high term cannot depose a healthy leader,
and the lease is sound: a majority that acknowledged a heartbeat sent at t will not elect anybody before t + minimum
election timeout, measured on their clocks, so with a drift allowance the leader may read locally until then.

**Pre-vote** (Raft dissertation §9.6). A node that would stand first asks whether it would be elected; terms do not grow
in a partition, and nobody stands while its voters still stick to a leader. Should a node have a higher term nevertheless,
it says so to the leader that it cannot follow (`stale_term`), which steps down: the paper's reply to an AppendEntries of
an old term, which pysyncobj does not send.

**Transfer.** The outgoing leader gives up its lease for the rest of its term before it asks its successor to stand
(`timeout_now`); the successor's vote requests are marked as forced, and pass stickiness. A successor that does not take over may
still stand at any later time, so the lease is gone for good in that term: the leader has itself elected for the next one (`renew`).
"""

from __future__ import annotations

import logging
import operator
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import pysyncobj.syncobj
from pysyncobj import SyncObj, SyncObjConf
from pysyncobj.node import Node

from journal.environment import Environment, RandomSource
from journal.errors import NodeFatal
from journal.raftlog import Entry, RaftLog
from journal.transport import Message, PeerNode, PeerTransport

logger = logging.getLogger(__name__)

LEASE_SHARE = 0.8
"""The part of the minimum election timeout that a lease lasts: allows clocks to drift apart by a fifth."""

WITNESS_SECONDS = 0.025
"""For so long entries may wait before they are sent to a witness."""

_WORTH_SECONDS = 0.001
"""A shorter wait is none: timers and clocks need not agree so closely."""

_FOLLOWER, _LEADER = 0, 2
_NAME = operator.attrgetter("id")
"""The order in which peers are gone through."""
_NEAR_ENTRIES = 1000
_PRIVATE = (
    "_SyncObj__applyLogEntries",
    "_SyncObj__connectedToAnyone",
    "_SyncObj__generateRaftTimeout",
    "_SyncObj__onBecomeLeader",
    "_SyncObj__onMessageReceived",
    "_SyncObj__onNodeConnected",
    "_SyncObj__sendAppendEntries",
    "_SyncObj__sendNextNodeIdx",
    "_SyncObj__setCurrentTerm",
    "_SyncObj__setState",
    "_SyncObj__tryLogCompaction",
    "_checkCommandsToApply",
    "_onTick",
)


@dataclass(frozen=True)
class Timing:
    """In seconds: between heartbeats, and the bounds of the time without a leader after which a node stands."""

    heartbeat: float
    election_min: float
    election_max: float


_original_create_journal = pysyncobj.syncobj.createJournal


def _create_journal(journal_file: Any) -> Any:
    return journal_file if isinstance(journal_file, RaftLog) else _original_create_journal(journal_file)


def _require() -> None:
    missing = [name for name in _PRIVATE if not hasattr(SyncObj, name)]
    missing += [
        name
        for name in ("monotonicTime", "createJournal", "PIPE_NOTIFIER_ENABLED")
        if not hasattr(pysyncobj.syncobj, name)
    ]
    if missing:
        raise NodeFatal(f"this version of pysyncobj is not known: it lacks {', '.join(missing)}")


def _is_news(record: logging.LogRecord) -> bool:
    """Not the report that applied entries are truncated: the log makes that harmless (see `journal.raftlog`)."""
    return "truncating already-applied log entries" not in str(record.msg)


_require()
pysyncobj.syncobj.logger.addFilter(_is_news)
pysyncobj.syncobj.createJournal = _create_journal
# It would wake pysyncobj's poller for its command queue; neither is used, and it holds two descriptors until the process ends.
pysyncobj.syncobj.PIPE_NOTIFIER_ENABLED = False


class _NothingToPoll:
    """Stands in for pysyncobj's poller."""

    def poll(self, timeout: float) -> None:
        """Nothing."""


class Consensus(SyncObj):  # type: ignore[misc]  # pysyncobj carries no types
    """Raft over a log and a transport.

    Args:
        environment: time and randomness.
        log: the durable log; `log.commit_floor` is what is applied already.
        transport: the peers.
        name: this node.
        next_entry: called in a tick while leader, until it returns None: the next entry to order.
        on_ordered: called with (index, term) of each entry taken.
        on_behind: called, leader only, with the name of a peer that needs entries which are compacted away.
        close_time: called, leader only: a timestamp at or below which it will order nothing any more.
        on_closed: called with (Raft index, timestamp) of such a promise by the present leader.
        awaits_news: called, leader only, with the name of a peer and the index until which it knows entries to be committed: whether it
            is to hear at once that more are, if there is nothing else to send. If not, it does with the next entries or heartbeat, or
            after `announce`.
        on_waiting: called, leader only, when entries wait so many seconds before they are sent to a witness: `announce` is to
            follow then.
        timing: seconds between heartbeats, and between which an election is due.
        bytes_in_flight_max: see `ReplicaSettings.peer_bytes_in_flight_max`.
        sends_before_disk: a leader's new entries leave at once, and its own disk works at the same time as theirs (Raft
            dissertation §10.2.1). Not with fast commit, where a follower counts on the leader's.
    """

    _SyncObj__raftCommitIndex: int
    _SyncObj__leaderCommitIndex: int
    _SyncObj__raftElectionDeadline: float

    def __init__(
        self,
        environment: Environment,
        log: RaftLog,
        transport: PeerTransport,
        name: str,
        *,
        next_entry: Callable[[], bytes | None],
        on_ordered: Callable[[int, int], None],
        on_behind: Callable[[str], None] = lambda name: None,
        close_time: Callable[[], int] = lambda: 0,
        on_closed: Callable[[int, int], None] = lambda index, closed_us: None,
        awaits_news: Callable[[str, int], bool] = lambda name, told: True,
        on_waiting: Callable[[float], None] = lambda seconds: None,
        timing: Timing,
        entry_bytes_max: int,
        bytes_in_flight_max: int,
        sends_before_disk: bool = False,
    ) -> None:
        self._clock = environment.clock
        self._chance: RandomSource = environment.random
        self._log = log
        self._peers = transport
        self._own_name = name
        self._next_entry = next_entry
        self._on_ordered = on_ordered
        self._on_behind = on_behind
        self._close_time = close_time
        self._on_closed = on_closed
        self._awaits_news = awaits_news
        self._on_waiting = on_waiting
        self._closed_heard = 0
        self._timing = timing
        self._batch_bytes = max(4 << 20, 2 * entry_bytes_max)
        self._in_flight_max = bytes_in_flight_max
        self._sends_before_disk = sends_before_disk
        self._in_flight: dict[str, deque[tuple[int, int]]] = {}
        self._in_flight_bytes: dict[str, int] = {}
        # A heartbeat acknowledged just before a restart still binds: whoever starts has heard a leader.
        self._leader_heard = self._ticked = environment.clock.monotonic()
        self._pre_votes: dict[str, float] = {}
        self._pre_vote_due = 0.0
        self._yields_until = 0.0
        self._yielding_to: dict[str, float] = {}
        """Since when, without a leader in between."""
        self._votes_counted: set[tuple[int, str]] = set()
        self._forced_term = 0
        self._lease_given_up_in = -1
        self._lease_known_until = 0.0
        self._quiet = False
        self._has_news = False
        self.is_leader = False
        """Whether this node believes to lead its term; see `has_lease` for certainty."""
        self._told: dict[str, int] = {}
        self._sent: dict[str, float] = {}
        self._first_of_term = 0
        self.voters: frozenset[str] = frozenset()
        self.is_voter = True
        self.is_witness = False
        self.witnesses: frozenset[str] = frozenset()
        """Members without a view."""
        self.abstains = False
        """Whether this node hears nothing of Raft: it has yet to learn what it may once have promised."""
        self.committed_index = max(1, log.commit_floor)
        self.matched_in_term = 0
        """Follower: up to here the log is the leader's, and the entry there is of the current term."""
        pysyncobj.syncobj.monotonicTime = environment.clock.monotonic
        configuration = SyncObjConf(
            autoTick=False,
            appendEntriesUseBatch=False,
            appendEntriesPeriod=timing.heartbeat,
            raftMinTimeout=timing.election_min,
            raftMaxTimeout=timing.election_max,
            # A leader whose majority is silent for so long may have been replaced: it must not linger.
            leaderFallbackTimeout=timing.election_min + timing.heartbeat,
            connectionTimeout=timing.election_max,
            appendEntriesBatchSizeBytes=self._batch_bytes,
            dynamicMembershipChange=False,
            journalFile=log,
            fullDumpFile=None,
        )
        super().__init__(PeerNode(name), list(transport.nodes.values()), configuration, transport=transport)
        transport.attach(lambda: self.raftCurrentTerm, self._admit, self._annotate, self._connection_lost)
        self._poller = _NothingToPoll()
        self._SyncObj__raftLastApplied = self.committed_index

    def tick(self) -> None:
        """One step: elections, heartbeats, commit index, new entries. Never while a synchronization is in flight."""
        # Whoever ticks or receives says what pysyncobj's module takes the time from: a process may run several replicas, each with
        # a clock of its own.
        monotonic = pysyncobj.syncobj.monotonicTime = self._clock.monotonic
        if self._peers.nodes or not self.is_leader:
            now = monotonic()
            if now - self._ticked > self._timing.heartbeat:
                self._stood_still(now, now - self._ticked - self._timing.heartbeat)
            self._ticked = now
            self._onTick(0)
        else:
            self._tick_alone()

    def _stood_still(self, now: float, seconds: float) -> None:
        """For so long this node did not run, or waited for its disk: that is nobody else's silence. What the others have sent is yet
        to be read, and where processes share a machine they stood still, too. A lease ends in its time all the same."""
        answered = self._SyncObj__lastResponseTime
        for node, since in answered.items():
            answered[node] = min(now, since + seconds)
        self._leader_heard = min(now, self._leader_heard + seconds)
        self._SyncObj__raftElectionDeadline += seconds

    def _tick_alone(self) -> None:
        """What pysyncobj's tick comes to for a single voter that leads: its own log, durable at every tick, is the majority, as
        far as it is of this term; and it takes what is waiting. HOT: a commit of one voter pays for it twice."""
        last = self._log.last_index
        if last > self._SyncObj__raftCommitIndex and self._log[-1][2] == self.raftCurrentTerm:
            self._SyncObj__raftCommitIndex = self._SyncObj__leaderCommitIndex = last
            self._SyncObj__applyLogEntries()
        self._checkCommandsToApply()

    def announce(self) -> None:
        """Ask, with the next tick, once more who is to hear of what is committed."""
        self._has_news = True

    # ---- what the owner asks ----------------------------------------------------------------------------------------

    def lacks_news(self, index: int) -> bool:
        """Whether somebody has not been told that this entry is committed, or, for a witness, not been sent all entries."""
        return any(
            self._SyncObj__raftNextIndex[node] <= self._log.last_index
            if node.id in self.witnesses
            else self._told.get(node.id, 0) < index
            for node in self._SyncObj__connectedNodes
            if node in self._SyncObj__raftNextIndex
        )

    raftCurrentTerm = property(operator.attrgetter("_SyncObj__raftCurrentTerm"))  # HOT: no call of Python's

    @property
    def leader_name(self) -> str | None:
        """The leader's name, if one is known."""
        leader = self._getLeader()
        return None if leader is None else str(leader.id)

    @property
    def has_lease(self) -> bool:
        """Whether no other node can have been elected yet. A lease that was found once holds for its time, as long as term and voters
        are the same: acknowledgements only prolong it."""
        if not self.is_leader or self._lease_given_up_in == self.raftCurrentTerm:
            return False
        now = self._clock.monotonic()
        if now >= self._lease_known_until:
            self._lease_known_until = self.lease_end()
        return now < self._lease_known_until

    def may_answer(self) -> bool:
        """Leader only: whether it can say at once what is committed: it has a lease, and knows (`has_committed_in_term`). HOT: asked
        for every message of a client of the leader, 0.7 µs."""
        return (
            self.is_leader
            and self.committed_index >= self._first_of_term
            and (
                self.has_lease
                if self._clock.monotonic() >= self._lease_known_until
                else self._lease_given_up_in != self._SyncObj__raftCurrentTerm
            )
        )

    @property
    def silence_seconds(self) -> float:
        """Follower only: for how long no leader has been heard, or none since the start."""
        return self._clock.monotonic() - self._leader_heard

    @property
    def has_committed_in_term(self) -> bool:
        """Leader only: whether an entry of its own term is committed, so that it knows what is (Raft §8)."""
        return self.is_leader and self.committed_index >= self._first_of_term

    def matched_index(self, name: str) -> int:
        """Leader only: up to where a peer's log is known to agree."""
        node = self._peers.nodes.get(name)
        return 0 if node is None else int(self._SyncObj__raftMatchIndex.get(node, 0))

    def lowest_match(self) -> int | None:
        """Leader only: up to where every other member's log is known to agree; None if there are no others."""
        return min(self._SyncObj__raftMatchIndex.values(), default=None)

    def is_near(self, name: str) -> bool:
        """Leader only: whether a peer acknowledged a heartbeat lately, and its log agrees and has nearly everything."""
        heard = self._peers.acknowledged.get(name, -1e9)
        recent = self._clock.monotonic() - heard < 3 * self._timing.heartbeat + 0.2
        matched = self.matched_index(name)
        return recent and matched > 0 and matched >= self._log.last_index - _NEAR_ENTRIES

    def lease_end(self) -> float:
        """When, on the monotonic clock, the lease ends."""
        return self.confirmed_since() + LEASE_SHARE * self._timing.election_min

    def confirmed_since(self) -> float:
        """Leader only: a majority has acknowledged a heartbeat that was sent at this monotonic time or later."""
        others = self._SyncObj__otherNodes
        if not others:
            return float("inf")
        acknowledged = sorted((self._peers.acknowledged.get(node.id, -1e9) for node in others), reverse=True)
        return float(acknowledged[(len(others) + 1) // 2 - 1])

    def send_heartbeats(self) -> None:
        """With the next tick."""
        self._SyncObj__newAppendEntriesTime = 0.0

    # ---- what the owner orders --------------------------------------------------------------------------------------

    def adopt(self, voters: Collection[str], learners: Collection[str]) -> None:
        """Use a configuration: from the moment that it is in the log, committed or not (Raft dissertation §4.1). The
        transport knows its peers already."""
        nodes = self._peers.nodes
        others = {nodes[name] for name in voters if name != self._own_name}
        readers = {nodes[name] for name in learners if name != self._own_name}
        self.voters = frozenset(voters)
        self.matched_in_term = 0
        self._lease_known_until = 0.0
        self.is_voter = self._own_name in voters
        now = self._clock.monotonic()
        next_index, match_index = self._SyncObj__raftNextIndex, self._SyncObj__raftMatchIndex
        for node in others | readers:
            if node not in next_index:
                next_index[node] = self._log.last_index + 1
                match_index[node] = 0
            self._SyncObj__lastResponseTime.setdefault(node, now)
            if self._peers.is_connected(node.id):
                self._SyncObj__connectedNodes.add(node)
        for node in [node for node in next_index if node not in others and node not in readers]:
            del next_index[node], match_index[node]
            self._SyncObj__connectedNodes.discard(node)
            self._SyncObj__lastResponseTime.pop(node, None)
            self._forget_in_flight(node.id)
        self._SyncObj__otherNodes = others
        self._SyncObj__readonlyNodes = readers
        self._pre_votes = {name: since for name, since in self._pre_votes.items() if name in voters}
        if self.is_leader and not self.is_voter:
            self._step_down()

    def hand_over(self, name: str) -> bool:
        """Ask a voter that has everything to stand at once. False if it has not, or this node does not lead."""
        node = self._peers.nodes.get(name)
        if not self.is_leader or node not in self._SyncObj__otherNodes:
            return False
        if self.matched_index(name) != self._log.last_index:
            return False
        self._lease_given_up_in = self.raftCurrentTerm
        self._peers.send(node, {"type": "timeout_now", "term": self.raftCurrentTerm})
        return True

    def closed(self, index: int, closed_us: int) -> None:
        """A promise of the present leader."""
        if closed_us > self._closed_heard:
            self._closed_heard = closed_us
            self._on_closed(index, closed_us)

    def closed_by(self, name: str, term: int, index: int, closed_us: int) -> None:
        """A promise beside Raft's messages: it counts if it is the present leader's."""
        if term == self.raftCurrentTerm and name == self.leader_name:
            self.closed(index, closed_us)

    def retime(self, timing: Timing) -> None:
        """From now on. What is under way keeps its time."""
        self._timing = timing
        configuration = self._getConf()
        configuration.leaderFallbackTimeout = timing.election_min + timing.heartbeat
        configuration.appendEntriesPeriod = timing.heartbeat
        self._lease_known_until = 0.0

    def begin_after(self, index: int) -> None:
        """The log begins with entry `index` now, which is committed: it and all before came by a feed."""
        self.committed_index = max(self.committed_index, index)
        self._SyncObj__raftCommitIndex = self.committed_index
        self._SyncObj__raftLastApplied = self.committed_index
        self.matched_in_term = 0

    def renew(self) -> None:
        """Leader only: stand at once for the next term, if the lease of this one was given up for a transfer that has failed."""
        if self.is_leader and self._lease_given_up_in == self.raftCurrentTerm:
            self._step_down()
            self._SyncObj__transferInProgress = True
            self._SyncObj__raftElectionDeadline = 0.0

    # ---- elections --------------------------------------------------------------------------------------------------

    def _admit(self, name: str, message: Message) -> bool:
        """Whether to deliver a message."""
        now = self._clock.monotonic()
        kind = message["type"]
        if self.abstains:
            return False
        if kind == "append_entries" and message["term"] >= self.raftCurrentTerm:
            self._leader_heard = now
            self._pre_votes.clear()
            self._yielding_to.clear()
        if kind == "request_vote":
            return bool(message.get("forced")) or not self._sticks(now)
        return True

    def _sticks(self, now: float) -> bool:
        """Whether this node is bound to a leader, or is one with a lease."""
        return now - self._leader_heard < self._timing.election_min or self.has_lease

    def _SyncObj__connectedToAnyone(self) -> bool:
        """pysyncobj asks it when, and only when, the election timeout has passed."""
        if not self.is_voter:
            return False
        others = self._SyncObj__otherNodes
        if not others:
            return True
        if self._SyncObj__transferInProgress:
            self._forced_term = self.raftCurrentTerm + 1
            return True
        now = self._clock.monotonic()
        granted = sum(1 for since in self._pre_votes.values() if now - since < self._timing.election_min)
        if granted + 1 > (len(others) + 1) / 2:
            self._pre_votes.clear()
            return True
        if now >= self._pre_vote_due and now >= self._yields_until:
            self._pre_vote_due = now + self._timing.heartbeat
            question = {"type": "pre_vote", "term": self.raftCurrentTerm + 1, "last": self._last()}
            for node in sorted(others, key=_NAME):
                self._peers.send(node, question)
        return False

    def _answer_pre_vote(self, node: Node, message: Message) -> None:
        """It binds nobody: it only says that a vote would be given. Of two who would stand at the same time, the one
        with the longer log, then the larger name, gets the other's: they would only split the vote. But nobody yields to the
        same node for long: one that does not hear its grants asks for ever."""
        now = self._clock.monotonic()
        term, last = message["term"], tuple(message["last"])
        taken = term < self.raftCurrentTerm or (
            term == self.raftCurrentTerm and self._SyncObj__votedForNodeId not in (None, node.id)
        )
        campaigning = now < self._pre_vote_due
        if self._sticks(now):
            return
        if taken:
            # It does not know of this term, and would ask for it for ever, perhaps with the only log that can win.
            self._peers.send(node, {"type": "stale_term", "term": self.raftCurrentTerm})
            return
        if last < self._last():
            return
        if campaigning and not self.is_witness and (last, node.id) < (self._last(), self._own_name):
            return
        if now - self._yielding_to.setdefault(node.id, now) < self._timing.election_min:
            self._yields_until = now + 2 * self._timing.heartbeat
        self._peers.send(node, {"type": "pre_vote_granted", "term": term})

    def _last(self) -> tuple[int, int]:
        """(term, index) of the newest entry: which of two logs is the longer (Raft §5.4.1)."""
        _, index, term = self._log[-1]
        return term, index

    def _connection_lost(self, name: str) -> None:
        """The leader's connection has ended, so it is probably gone: stand as soon as stickiness allows."""
        if name != self.leader_name or self.is_leader:
            return
        timing = self._timing
        spread = (timing.election_max - timing.election_min) / 4
        due = self._leader_heard + timing.election_min + spread * (self._chance.random() + 2 * self.is_witness)
        self._SyncObj__raftElectionDeadline = min(self._SyncObj__raftElectionDeadline, due)

    def _step_down(self) -> None:
        self._SyncObj__setState(_FOLLOWER)
        self._SyncObj__raftLeader = None

    def _annotate(self, message: Message) -> None:
        """What Raft's messages carry beside."""
        kind = message["type"]
        if kind == "request_vote" and message["term"] == self._forced_term:
            message["forced"] = True
        elif kind == "append_entries":
            message["closed"] = (self._log.last_index, self._close_time())
        elif kind == "response_vote":
            message["closed"] = self._closed_heard

    # ---- pysyncobj's inside -----------------------------------------------------------------------------------------

    def _SyncObj__setState(self, state: int) -> None:
        super()._SyncObj__setState(state)
        self.is_leader = state == _LEADER

    def _SyncObj__onMessageReceived(self, node: Node, message: Message) -> None:
        pysyncobj.syncobj.monotonicTime = self._clock.monotonic
        kind = message["type"]
        term = self.raftCurrentTerm
        if kind == "append_entries":
            if message["term"] < term:
                self._peers.send(node, {"type": "stale_term", "term": term})
                return
            self._quiet = bool(message.get("quiet"))
            super()._SyncObj__onMessageReceived(node, message)
            self._quiet = False
            self.closed(*message.get("closed", (0, 0)))
        elif kind == "pre_vote":
            self._answer_pre_vote(node, message)
        elif kind == "pre_vote_granted":
            if message["term"] == term + 1 and node.id in self.voters:
                self._pre_votes[node.id] = self._clock.monotonic()
        elif kind == "stale_term":
            if message["term"] > term:
                self._SyncObj__setCurrentTerm(message["term"], None)
                self._step_down()
        elif kind == "response_vote":
            vote = (message["term"], node.id)
            if node.id in self.voters and vote not in self._votes_counted:
                self._votes_counted = {each for each in self._votes_counted if each[0] >= term} | {vote}
                # A promise of the last leader's that only this voter has heard of.
                self.closed(self._log.last_index, message.get("closed", 0))
                super()._SyncObj__onMessageReceived(node, message)
        else:
            super()._SyncObj__onMessageReceived(node, message)
            if kind == "next_node_idx" and self.is_leader:
                self._acknowledged(node, bool(message["reset"]))

    def _acknowledged(self, node: Node, reset: bool) -> None:
        if reset:
            self._forget_in_flight(node.id)
            if self._SyncObj__raftNextIndex.get(node, 0) > self._log.first_index:
                self.send_heartbeats()
            return
        sent = self._in_flight.get(node.id)
        if sent:
            matched = self._SyncObj__raftMatchIndex.get(node, 0)
            full = self._in_flight_bytes[node.id] >= self._in_flight_max
            while sent and sent[0][0] <= matched:
                self._in_flight_bytes[node.id] -= sent.popleft()[1]
            if full and self._in_flight_bytes[node.id] < self._in_flight_max:
                self.send_heartbeats()

    def _forget_in_flight(self, name: str) -> None:
        self._in_flight.pop(name, None)
        self._in_flight_bytes.pop(name, None)

    def _SyncObj__sendNextNodeIdx(
        self, node: Node, reset: bool = False, nextNodeIdx: int | None = None, success: bool = False
    ) -> None:
        if success and nextNodeIdx is not None and nextNodeIdx > 1:
            matched = nextNodeIdx - 1
            if matched > self._log.first_index and self._log.term_of(matched) == self.raftCurrentTerm:
                self.matched_in_term = max(self.matched_in_term, matched)
            if self._quiet:
                return
        elif reset and nextNodeIdx is not None:
            nextNodeIdx = max(self._log.first_of_term(nextNodeIdx), self.committed_index + 1)
        super()._SyncObj__sendNextNodeIdx(node, reset, nextNodeIdx, success)

    def _SyncObj__applyLogEntries(self) -> bool:
        committed = self._SyncObj__raftCommitIndex
        if committed <= self.committed_index:
            return False
        self.committed_index = committed
        self._SyncObj__raftLastApplied = committed
        self._has_news = True
        return False

    def _SyncObj__sendAppendEntries(self) -> None:
        now = self._clock.monotonic()
        is_heartbeat = now > self._SyncObj__newAppendEntriesTime
        self._SyncObj__newAppendEntriesTime = now + self._timing.heartbeat
        for node in self._connected():
            self._send(node, is_heartbeat)

    def _connected(self) -> list[Node]:
        others = self._SyncObj__otherNodes | self._SyncObj__readonlyNodes
        return sorted(others & self._SyncObj__connectedNodes, key=_NAME)

    def _send(self, node: Node, is_heartbeat: bool) -> None:
        """All entries that the peer lacks and there is room for; if there are none, how far entries are committed."""
        log, next_index = self._log, self._SyncObj__raftNextIndex
        first = next_index[node]
        if first <= log.first_index:
            # Heartbeats go on, or the peer would look for another leader.
            self._on_behind(node.id)
            self._append(node, log.last_index + 1, [])
            return
        sent = False
        while first <= log.last_index:
            room = self._in_flight_max - self._in_flight_bytes.get(node.id, 0)
            if room <= 0:
                break
            entries = log.entries_within(first, min(self._batch_bytes, room))
            self._append(node, first, entries)
            self._count_in_flight(node.id, entries)
            first = next_index[node] = entries[-1][1] + 1
            sent = True
        if not sent:
            # News of a commit only: whoever has everything need not answer, since the next heartbeat or entry asks again.
            quiet = not is_heartbeat and self._SyncObj__raftMatchIndex.get(node, 0) == log.last_index
            self._append(node, first, [], quiet=quiet)

    def _send_ordered(self) -> None:
        """New entries go out, to a witness perhaps a little later."""
        now = self._clock.monotonic()
        if now > self._SyncObj__newAppendEntriesTime:
            self._SyncObj__sendAppendEntries()
            return
        self._SyncObj__newAppendEntriesTime = now + self._timing.heartbeat
        for node in self._connected():
            if not self._may_wait(node, now):
                self._send(node, False)

    def _send_news(self) -> None:
        """Entries were committed, and none go out with which the others would hear of it: tell those who wait for it."""
        now = self._clock.monotonic()
        for node in self._connected():
            if self._SyncObj__raftNextIndex[node] <= self._log.last_index:
                if not self._may_wait(node, now):
                    self._send(node, False)
            else:
                told = self._told.get(node.id, 0)
                if told < self.committed_index and self._awaits_news(node.id, told):
                    self._send(node, False)

    def _may_wait(self, node: Node, now: float) -> bool:
        """A witness gets several blocks in one message, as long as the others are a majority without it and keep up: they answer
        sooner, and what it costs everybody is by the message."""
        if node.id not in self.witnesses:
            return False
        left = self._sent.get(node.id, 0.0) + WITNESS_SECONDS - now
        if left < _WORTH_SECONDS:
            return False
        match_index, committed = self._SyncObj__raftMatchIndex, self.committed_index
        others, connected = self._SyncObj__otherNodes, self._SyncObj__connectedNodes
        keeping_up = 0
        for each in others:
            if each.id not in self.witnesses and each in connected and match_index[each] >= committed:
                keeping_up += 1
        if keeping_up < (len(others) + 1) // 2:
            return False
        self._on_waiting(left)
        return True

    def _append(self, node: Node, first: int, entries: list[Entry], *, quiet: bool = False) -> None:
        message = {
            "type": "append_entries",
            "term": self.raftCurrentTerm,
            "commit_index": self.committed_index,
            "entries": entries,
            "prevLogIdx": first - 1,
            "prevLogTerm": self._log.term_of(first - 1),
        }
        if quiet:
            message["quiet"] = True
        self._told[node.id] = self.committed_index
        if node.id in self.witnesses:
            self._sent[node.id] = self._clock.monotonic()
        self._peers.send(node, message)

    def _count_in_flight(self, name: str, entries: list[Entry]) -> None:
        size = 0
        for command, _, _ in entries:
            size += len(command)
        self._in_flight.setdefault(name, deque()).append((entries[-1][1], size))
        self._in_flight_bytes[name] = self._in_flight_bytes.get(name, 0) + size

    def _SyncObj__onNodeConnected(self, node: Node) -> None:
        if node in self._SyncObj__raftNextIndex:
            # Whatever was sent on the old connection may be lost; the peer will say what it has.
            self._SyncObj__raftNextIndex[node] = self._log.last_index + 1
            self._forget_in_flight(node.id)
            super()._SyncObj__onNodeConnected(node)
            self.send_heartbeats()

    def _SyncObj__onBecomeLeader(self) -> None:
        self._in_flight.clear()
        self._in_flight_bytes.clear()
        self._told.clear()
        self._peers.acknowledged.clear()
        self._lease_known_until = 0.0
        self._first_of_term = self._log.last_index + 1
        super()._SyncObj__onBecomeLeader()

    def _SyncObj__tryLogCompaction(self) -> None:
        return

    def _SyncObj__generateRaftTimeout(self) -> float:
        low, high = self._timing.election_min, self._timing.election_max
        return low + (high - low) * self._chance.random() + high * self.is_witness

    def _applyCommand(self, command: bytes, callback: Any, commandType: Any = None) -> None:
        raise NodeFatal("pysyncobj was asked to order a command of its own")

    def _checkCommandsToApply(self) -> None:
        if not self.is_leader:
            return
        ordered = False
        log = self._log
        is_clean = not log.dirty
        if self._peers.nodes and is_clean:
            # Nothing that waits to be sent is ahead of the disk; what follows will be.
            self._peers.release()
        term = self.raftCurrentTerm
        while True:
            entry = self._next_entry()
            if entry is None:
                break
            index = log.last_index + 1
            log.add(entry, index, term)
            self._on_ordered(index, term)
            ordered = True
        if not self._SyncObj__raftNextIndex:
            return
        if ordered:
            self._send_ordered()
            if self._sends_before_disk and is_clean:
                self._peers.release()
        elif self._has_news:
            self._send_news()
        self._has_news = False
