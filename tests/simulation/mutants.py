"""Boreal with one defect at a time: each must be caught by the simulation's checks within a number of seeds.

A check that never fails proves nothing. So every safety argument of journal/DESIGN.md has a mutant here that breaks it,
by replacing one method, and a test that counts the seeds until some check objects (`seeds_needed`). Whoever adds an
argument adds its mutant; whoever weakens a check learns of it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import msgspec

from journal.adjudicator import Adjudicator
from journal.consensus import Consensus
from journal.event import Outcome, Verdict
from journal.membership import Membership
from journal.participant import Participant
from journal.raftlog import RaftLog
from journal.replica import Replica
from journal.statemachine import StateMachine
from journal.transactionids import IdMark
from journal.transport import PeerTransport
from storage.mvcc import VersionedStore
from tests.simulation.run import SQL, Plan, run_seed

CRASHES = Plan(fault_pause_seconds=0.1, faults=("crash", "crash_all", "slow_disk"))
OVERTAKING = Plan(fault_pause_seconds=0.1, pause_seconds=0.01, clients=3, faults=("cut", "crash", "slow_link"))
DETOURS = Plan(fault_pause_seconds=0.1, pause_seconds=0.01, nodes_count=3, faults=("slow_link", "transfer"))
"""A proposal is under way to one leader while another one is asked what has become of it."""
REPLACEMENTS = Plan(
    fault_pause_seconds=0.15, pause_seconds=0.01, nodes_count=3, faults=("replace", "crash", "slow_disk", "cut")
)
CLOCKS = Plan(fault_pause_seconds=0.1, faults=("crash", "crash_all", "jump_clock", "isolate"))
RETURNS = Plan(pause_seconds=0.01, nodes_count=5, fault_pause_seconds=0.8, faults=("return_of_the_leader",))

AMBUSHES = Plan(pause_seconds=0.005, nodes_count=5, fault_pause_seconds=0.5, faults=("return_of_the_leader", "ambush"))

Replacement = Callable[[Callable[..., Any]], Callable[..., Any]]
"""original method → defective one"""


@dataclass(frozen=True)
class Mutant:
    """One defect.

    Attributes:
        what: in words.
        owner, method: what is replaced; a property's getter is replaced as such.
        replacement: makes the defective method from the original.
        seeds_max: within how many seeds it must be caught.
        plan: the kind of run that gets at it; drawn from the seed like any other otherwise.
    """

    what: str
    owner: type
    method: str
    replacement: Replacement
    seeds_max: int = 40
    plan: Plan = Plan()

    @contextmanager
    def active(self) -> Iterator[None]:
        """Boreal has the defect meanwhile."""
        original = self.owner.__dict__[self.method]
        if isinstance(original, property):
            assert original.fget is not None
            defective: Any = property(self.replacement(original.fget))
        else:
            defective = self.replacement(original)
        with patch.object(self.owner, self.method, defective):
            yield


def seeds_needed(mutant: Mutant, first: int = 1) -> tuple[int, str]:
    """(number of seeds run until a check objected, its words); (0, "") if none did within the bound."""
    with mutant.active():
        for count in range(mutant.seeds_max):
            result = run_seed(first + count, mutant.plan)
            if result.problems:
                return count + 1, result.problems[0]
    return 0, ""


# ---- adjudication ---------------------------------------------------------------------------------------------------


def _skip_a_key(original: Callable[..., Any]) -> Callable[..., Any]:
    def conflict_by_key(self: Any, writes: Any, locks: Any, snapshot: int, bulk: bool) -> Any:
        return original(self, list(writes)[1:], locks, snapshot, bulk)

    return conflict_by_key


def _judge_too_new(original: Callable[..., Any]) -> Callable[..., Any]:
    def judge(self: Any, proposal: Any, timestamp: int, staged: Any = None) -> Any:
        """As if the transaction had seen the newest event when it had seen the one before."""
        last = next(reversed(self._recent), None)
        newest = last.commit_ts if last is not None else 0
        if 0 < newest - proposal.snapshot < 50_000:
            proposal = msgspec.structs.replace(proposal, snapshot=newest)
        return original(self, proposal, timestamp, staged)

    return judge


def _timestamps_as_they_come(original: Callable[..., Any]) -> Callable[..., Any]:
    def judge(self: Any, proposal: Any, timestamp: int, staged: Any = None) -> Any:
        verdict = original(self, proposal, timestamp, staged)
        if verdict.committed and verdict.commit_ts == self.commit_ts > timestamp:
            self.commit_ts = timestamp
            return msgspec.structs.replace(verdict, commit_ts=timestamp)
        return verdict

    return judge


def _no_memory_of_ids(original: Callable[..., Any]) -> Callable[..., Any]:
    def judge(self: Any, proposal: Any, timestamp: int, staged: Any = None) -> Any:
        self._committed.pop(proposal.txid, None)
        return original(self, msgspec.structs.replace(proposal, snapshot=self.commit_ts), timestamp, staged)

    return judge


def _nothing(original: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, *arguments, **options: None


def _false(original: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, *arguments: False


def _forget_shares(original: Callable[..., Any]) -> Callable[..., Any]:
    def touch(self: Any, touched: Any) -> None:
        original(self, touched)
        self._share.clear()

    return touch


def _read_the_newest(original: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, key, snapshot: original(self, key, (1 << 63) - 1)


# ---- the log --------------------------------------------------------------------------------------------------------


def _really_delete(original: Callable[..., Any]) -> Callable[..., Any]:
    def delete_entries_from(self: Any, entryFrom: int) -> None:
        original(self, entryFrom)
        if self._visible < self.last_index:
            self._truncate(self._visible + 1)
            self._last_entry = self.entry(self.last_index) if self.last_index >= self._first else None

    return delete_entries_from


def _keep_old_entries(original: Callable[..., Any]) -> Callable[..., Any]:
    def add(self: Any, command: bytes, idx: int, term: int) -> None:
        if idx <= self.last_index:
            self._visible = idx
            self._last_entry = self.entry(idx)
        else:
            original(self, command, idx, term)

    return add


def _forget_the_vote(original: Callable[..., Any]) -> Callable[..., Any]:
    def load(self: Any, *arguments: Any, **options: Any) -> None:
        original(self, *arguments, **options)
        self._voted_for = None

    return load


def _forget_the_term(original: Callable[..., Any]) -> Callable[..., Any]:
    def set_current_term(self: Any, term: int, voted_for: str | None) -> None:
        self._term, self._voted_for = term, voted_for

    return set_current_term


# ---- consensus ------------------------------------------------------------------------------------------------------


def _vote_twice(original: Callable[..., Any]) -> Callable[..., Any]:
    def on_message(self: Any, node: Any, message: Any) -> None:
        if message["type"] == "request_vote":
            self._SyncObj__votedForNodeId = None
        original(self, node, message)

    return on_message


def _vote_for_anybody(original: Callable[..., Any]) -> Callable[..., Any]:
    def on_message(self: Any, node: Any, message: Any) -> None:
        if message["type"] == "request_vote":
            message = {**message, "last_log_index": 1 << 40, "last_log_term": 1 << 40}
        elif message["type"] == "pre_vote":
            message = {**message, "last": [1 << 40, 1 << 40]}
        original(self, node, message)

    return on_message


def _count_every_acknowledgement(original: Callable[..., Any]) -> Callable[..., Any]:
    def deliver(self: Any, settle: Any) -> None:
        self._inbox = deque(
            (name, stamp, self._term() if message["type"] == "next_node_idx" else term, message)
            for name, stamp, term, message in self._inbox
        )
        original(self, settle)

    return deliver


def _release_at_once(original: Callable[..., Any]) -> Callable[..., Any]:
    def turn(self: Any) -> None:
        original(self)
        if self._running:
            self._transport.release()

    return turn


def _believe_the_predecessor(original: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, without=(): None if without else original(self)


def _remember_leavers(original: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, name, identity, added: self._identities.refusal(name, identity, added)


# ---- the replica ----------------------------------------------------------------------------------------------------


def _durable_when_flushed(original: Callable[..., Any]) -> Callable[..., Any]:
    def flush(self: Any) -> bool:
        dirty = bool(original(self))
        self.durable_index = self.last_index
        return dirty

    return flush


def _answer_when_ordered(original: Callable[..., Any]) -> Callable[..., Any]:
    def on_ordered(self: Any, index: int, term: int) -> None:
        """The verdict is guessed, and given, before anything is committed."""
        original(self, index, term)
        ordered = self._ordered.get(index)
        if ordered is None:
            return
        position, commit_ts = self.frontier
        for place, callback in enumerate(ordered.callbacks):
            if callback is not None and place == 0 and index % 7 == 0 and self._applied == index - 1:
                ordered.callbacks[place] = None
                verdict = Verdict(Outcome.COMMITTED, position + 1, max(commit_ts + 1, ordered.timestamp))
                self._loop.call_soon(callback, verdict)

    return on_ordered


def _apply_twice(original: Callable[..., Any]) -> Callable[..., Any]:
    def apply(self: Any, index: int, timestamp: int, proposals: Any) -> Any:
        verdicts = original(self, index, timestamp, proposals)
        if index % 10 == 0:
            for proposal in proposals:
                self.adjudicator._committed.pop(proposal.txid, None)
            fresh = [msgspec.structs.replace(proposal, snapshot=self.adjudicator.commit_ts) for proposal in proposals]
            original(self, index, timestamp, fresh)
        return verdicts

    return apply


def _lead_is_lease(original: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self: self.is_leader


def _lease_without_own_entry(original: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self: self.has_lease


def _given_up_commits(original: Callable[..., Any]) -> Callable[..., Any]:
    def conflict(self: Any, proposal: Any, *arguments: Any) -> Any:
        self._catalog.pop(proposal.txid, None)
        return original(self, proposal, *arguments)

    return conflict


def _publish_later(original: Callable[..., Any]) -> Callable[..., Any]:
    def publish(self: Any, events: Any) -> None:
        asyncio.get_running_loop().call_soon(original, self, events)

    return publish


MUTANTS: dict[str, Mutant] = {
    "skip_conflict_key": Mutant("one written key is not checked", Adjudicator, "_conflict_by_key", _skip_a_key),
    "judge_too_new": Mutant("the newest event counts as seen", Adjudicator, "judge", _judge_too_new),
    "read_too_new": Mutant("a point read sees the newest version", VersionedStore, "get", _read_the_newest, 20, SQL),
    "timestamps_do_not_increase": Mutant(
        "commit timestamps are taken as they come", Adjudicator, "judge", _timestamps_as_they_come
    ),
    "duplicates_commit": Mutant("an id that committed may commit again", Adjudicator, "judge", _no_memory_of_ids),
    "no_recall": Mutant("a restarted adjudicator does not ask the event log", Adjudicator, "_recall", _nothing),
    "ignore_window": Mutant("a snapshot is never too old", Adjudicator, "_is_too_old", _false),
    "ignore_shares": Mutant("FOR KEY SHARE is forgotten", Adjudicator, "_touch", _forget_shares),
    "ignore_reads": Mutant("SERIALIZABLE does not check reads", Adjudicator, "_conflict_by_read", _nothing),
    "append_truncates": Mutant(
        "a repeated AppendEntries truncates", RaftLog, "deleteEntriesFrom", _really_delete, 200, CRASHES
    ),
    "conflicting_entries_stay": Mutant("an entry of another term stays", RaftLog, "add", _keep_old_entries),
    "forget_vote": Mutant("the vote does not survive a restart", RaftLog, "_load", _forget_the_vote, 400),
    "forget_term": Mutant("term and vote are not written", RaftLog, "setCurrentTerm", _forget_the_term),
    "durable_when_written": Mutant(
        "what is flushed counts as durable", RaftLog, "flush", _durable_when_flushed, 100, CRASHES
    ),
    "vote_twice": Mutant(
        "a vote is given to every candidate of a term", Consensus, "_SyncObj__onMessageReceived", _vote_twice
    ),
    "vote_for_anybody": Mutant(
        "voters do not compare logs", Consensus, "_SyncObj__onMessageReceived", _vote_for_anybody
    ),
    "count_every_acknowledgement": Mutant(
        "acknowledgements of other terms count",
        PeerTransport,
        "deliver",
        _count_every_acknowledgement,
        100,
        RETURNS,
    ),
    "acknowledge_before_sync": Mutant(
        "messages leave before the synchronization", Replica, "_turn", _release_at_once, 40, CRASHES
    ),
    "answer_when_ordered": Mutant("COMMIT is answered when ordered", Replica, "_on_ordered", _answer_when_ordered),
    "apply_twice": Mutant("an entry is applied twice", StateMachine, "apply", _apply_twice),
    "no_stickiness": Mutant(
        "voters elect another while they hear a leader that may hold a lease",
        Consensus,
        "_sticks",
        _false,
        100,
        AMBUSHES,
    ),
    "lead_is_lease": Mutant("whoever believes to lead reads strongly", Consensus, "may_answer", _lead_is_lease),
    "lease_without_own_entry": Mutant(
        "a new leader reads before it knows what is committed",
        Consensus,
        "may_answer",
        _lease_without_own_entry,
        100,
    ),
    "given_up_commits": Mutant(
        "what was said to have aborted can still commit", Adjudicator, "_conflict", _given_up_commits, 40, DETOURS
    ),
    "believe_the_predecessor": Mutant(
        "who is added again has what its predecessor had",
        Membership,
        "_use",
        _believe_the_predecessor,
        400,
        REPLACEMENTS,
    ),
    "remember_leavers": Mutant(
        "the directory of a member that leaves is remembered for who is added next",
        Participant,
        "_identity_refusal",
        _remember_leavers,
        400,
        REPLACEMENTS,
    ),
    "ids_without_mark": Mutant(
        "ids of transactions begin at the clock after a restart", IdMark, "write", _nothing, 40, CLOCKS
    ),
    "publish_after_answer": Mutant("views learn after clients", StateMachine, "_publish", _publish_later),
}
