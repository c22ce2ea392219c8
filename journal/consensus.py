"""pysyncobj, held by its two public extension points and by a few of its private ones.

`Consensus` is a SyncObj that orders opaque entries and does nothing else: no commands of its own, no pickling, no
threads, no files. Everything that depends on pysyncobj's inside is in this module, and `_require` refuses to start if a
future version has renamed any of it.

    tick ─▶ elections, commit index ─▶ committed_index moves ─▶ `_checkCommandsToApply` takes entries from the owner

What is replaced, and why:

| pysyncobj                 | here                                                                                   |
| ------------------------- | -------------------------------------------------------------------------------------- |
| __applyLogEntries         | only moves the index. The owner applies entries, once they are durable here, so that    |
|                           | the disk works on the next block meanwhile; and an exception in apply cannot be retried |
| _checkCommandsToApply     | takes entries from the owner, without a queue, a lock and a pipe write for each         |
| __sendAppendEntries       | leaves out peers that lag behind the compacted log                                     |
| __onMessageReceived       | a leader of an older term is told so                                                    |
| __onNodeConnected         | begins anew with a peer that was away                                                  |
| __tryLogCompaction        | nothing: the owner compacts the log                                                     |
| __generateRaftTimeout     | the environment's randomness                                                            |
| monotonicTime (global)    | the environment's clock                                                                 |
| createJournal (global)    | hands over the log that the configuration carries                                       |
| _poller, its pipe         | nothing to poll: the transport is asyncio's                                             |

**Leader stickiness.** A vote request is not delivered while this node has heard a leader within the minimum election
timeout, or is a leader with a lease: a partitioned node that returns with a high term cannot depose a healthy leader,
and the lease is sound: a majority that acknowledged a heartbeat sent at t will not elect anybody before t + minimum
election timeout, measured on their clocks, so with a drift allowance the leader may read locally until then.

**Stale terms.** A node whose term has grown while nobody heard it follows no leader of a lower one, and stickiness refuses
its candidacy: it would stay outside for ever. So it answers the leader's messages with `stale_term` (the paper's reply to
an AppendEntries of an old term, which pysyncobj does not send), and the leader steps down for an election in a newer term.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pysyncobj.syncobj
from pysyncobj import SyncObj, SyncObjConf
from pysyncobj.node import Node

from journal.environment import Environment, RandomSource, WallClock
from journal.errors import NodeFatal
from journal.raftlog import RaftLog
from journal.transport import Message, PeerTransport

logger = logging.getLogger(__name__)

LEASE_SHARE = 0.8
"""The part of the minimum election timeout that a lease lasts: allows clocks to drift apart by a fifth."""

_FOLLOWER = 0
_PRIVATE = (
    "_SyncObj__applyLogEntries",
    "_SyncObj__tryLogCompaction",
    "_SyncObj__generateRaftTimeout",
    "_SyncObj__sendAppendEntries",
    "_SyncObj__onNodeConnected",
    "_SyncObj__onMessageReceived",
    "_SyncObj__setCurrentTerm",
    "_SyncObj__setState",
    "_checkCommandsToApply",
)


class _Injected:
    """Where pysyncobj's module takes the time from: the environment of whoever ticks or receives. A process may run several
    replicas, each with a clock of its own."""

    clock: WallClock


_injected = _Injected()
_original_create_journal = pysyncobj.syncobj.createJournal


def _monotonic() -> float:
    return _injected.clock.monotonic()


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
pysyncobj.syncobj.monotonicTime = _monotonic
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
        heartbeat_seconds, election_seconds_min, election_seconds_max: timing.
    """

    def __init__(
        self,
        environment: Environment,
        log: RaftLog,
        transport: PeerTransport,
        name: str,
        *,
        next_entry: Callable[[], bytes | None],
        on_ordered: Callable[[int, int], None],
        heartbeat_seconds: float,
        election_seconds_min: float,
        election_seconds_max: float,
        entry_bytes_max: int,
    ) -> None:
        self._clock = environment.clock
        self._chance: RandomSource = environment.random
        self._log = log
        self._peers = transport
        self._next_entry = next_entry
        self._on_ordered = on_ordered
        self._election_seconds_min = election_seconds_min
        self._election_seconds_max = election_seconds_max
        # A heartbeat acknowledged just before a restart still binds: whoever starts has heard a leader.
        self._leader_heard = environment.clock.monotonic()
        self.committed_index = max(1, log.commit_floor)
        _injected.clock = environment.clock
        configuration = SyncObjConf(
            autoTick=False,
            appendEntriesUseBatch=False,
            appendEntriesPeriod=heartbeat_seconds,
            raftMinTimeout=election_seconds_min,
            raftMaxTimeout=election_seconds_max,
            leaderFallbackTimeout=election_seconds_max,
            connectionTimeout=election_seconds_max,
            appendEntriesBatchSizeBytes=max(4 << 20, 2 * entry_bytes_max),
            dynamicMembershipChange=False,
            journalFile=log,
            fullDumpFile=None,
        )
        super().__init__(Node(name), list(transport.nodes.values()), configuration, transport=transport)
        transport.attach(lambda: self.raftCurrentTerm, self._admit)
        self._poller = _NothingToPoll()
        self._SyncObj__raftLastApplied = self.committed_index

    def tick(self) -> None:
        """One step: elections, heartbeats, commit index, new entries. Never while a synchronization is in flight."""
        _injected.clock = self._clock
        self.doTick(0)

    @property
    def is_leader(self) -> bool:
        """Whether this node believes to lead its term; see `has_lease` for certainty."""
        return bool(self._isLeader())

    @property
    def leader_name(self) -> str | None:
        """The leader's name, if one is known."""
        leader = self._getLeader()
        return None if leader is None else str(leader.id)

    @property
    def has_lease(self) -> bool:
        """Whether no other node can have been elected yet."""
        return self.is_leader and self._clock.monotonic() < self._lease_end()

    def matched_index(self, name: str) -> int:
        """Leader only: up to where a peer's log is known to agree."""
        return int(self._SyncObj__raftMatchIndex.get(self._peers.nodes[name], 0))

    def _lease_end(self) -> float:
        peers = len(self._peers.nodes)
        if not peers:
            return float("inf")
        acknowledged = sorted((self._peers.acknowledged.get(name, -1e9) for name in self._peers.nodes), reverse=True)
        majority = (peers + 1) // 2
        return acknowledged[majority - 1] + LEASE_SHARE * self._election_seconds_min

    def _admit(self, message: Message) -> bool:
        """Whether to deliver a message."""
        now = self._clock.monotonic()
        if message["type"] == "append_entries" and message["term"] >= self.raftCurrentTerm:
            self._leader_heard = now
        if message["type"] == "request_vote":
            return now - self._leader_heard >= self._election_seconds_min and not self.has_lease
        return True

    # ---- pysyncobj's inside -----------------------------------------------------------------------------------------

    def _SyncObj__applyLogEntries(self) -> bool:
        committed = self._SyncObj__raftCommitIndex
        if committed <= self.committed_index:
            return False
        self.committed_index = committed
        self._SyncObj__raftLastApplied = committed
        return True

    def _SyncObj__sendAppendEntries(self) -> None:
        """Leave out peers that need entries which are compacted away: pysyncobj would offer them its own snapshot, in a
        loop. They are provisioned from a peer's feed, and come back by connecting anew."""
        first = self._log.first_index
        for node in [*self._SyncObj__connectedNodes]:
            if self._SyncObj__raftNextIndex.get(node, first + 1) <= first and len(self._log) > 1:
                logger.error("%s lags behind the compacted Raft log (it begins at %d)", node.id, first)
                self._SyncObj__connectedNodes.discard(node)
        super()._SyncObj__sendAppendEntries()

    def _SyncObj__onMessageReceived(self, node: Node, message: Message) -> None:
        _injected.clock = self._clock
        kind, term = message["type"], self.raftCurrentTerm
        if kind == "append_entries" and message["term"] < term:
            self._peers.send(node, {"type": "stale_term", "term": term})
        elif kind == "stale_term":
            if message["term"] > term:
                self._SyncObj__setCurrentTerm(message["term"], None)
                self._SyncObj__setState(_FOLLOWER)
                self._SyncObj__raftLeader = None
        else:
            super()._SyncObj__onMessageReceived(node, message)

    def _SyncObj__onNodeConnected(self, node: Node) -> None:
        if node in self._SyncObj__raftNextIndex:
            # Whatever was sent on the old connection may be lost; the peer will say what it has.
            self._SyncObj__raftNextIndex[node] = self._log.last_index + 1
        super()._SyncObj__onNodeConnected(node)

    def _SyncObj__tryLogCompaction(self) -> None:
        return

    def _SyncObj__generateRaftTimeout(self) -> float:
        low, high = self._election_seconds_min, self._election_seconds_max
        return low + (high - low) * self._chance.random()

    def _applyCommand(self, command: bytes, callback: Any, commandType: Any = None) -> None:
        raise NodeFatal("pysyncobj was asked to order a command of its own")

    def _checkCommandsToApply(self) -> None:
        if not self._isLeader():
            return
        ordered = False
        log = self._log
        term = self.raftCurrentTerm
        while True:
            entry = self._next_entry()
            if entry is None:
                break
            index = log.last_index + 1
            log.add(entry, index, term)
            self._on_ordered(index, term)
            ordered = True
        if ordered and self._peers.nodes:
            self._SyncObj__sendAppendEntries()
