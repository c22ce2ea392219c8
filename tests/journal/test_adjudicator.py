"""The adjudicator against its specification.

Goal: architecture §3's conflict table, catalog dependencies, transactions given up, the window, SERIALIZABLE and bulk rules, each as written.
Method: the table itself as parameters; then hypothesis histories judged both by the adjudicator and by a brute-force
definition that keeps every committed proposal and looks at all of them; and the same histories cut by a restart at a
random point, with state recalled from events, which must change no verdict.
"""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journal.adjudicator import Adjudicator, relations_of
from journal.event import (
    Event,
    Fragment,
    Lock,
    LockStrength,
    Outcome,
    Proposal,
    Verdict,
    Write,
    WriteKind,
    encode_writes,
)
from journal.staging import StagedTransaction

REL = b"\x00\x00\x00\x07"
OTHER = b"\x00\x00\x00\x08"
KEY = REL + b"\x00\x01" + b"a"

TOUCHES: dict[str, tuple[str, int]] = {
    "insert": ("write", WriteKind.INSERT),
    "delete": ("write", WriteKind.DELETE),
    "key update": ("write", WriteKind.KEY_UPDATE),
    "unique put": ("write", WriteKind.UNIQUE_PUT),
    "unique delete": ("write", WriteKind.UNIQUE_DELETE),
    "for update": ("lock", LockStrength.EXCLUSIVE),
    "update": ("write", WriteKind.UPDATE),
    "no key update": ("lock", LockStrength.NO_KEY_UPDATE),
    "key share": ("lock", LockStrength.KEY_SHARE),
    "entry put": ("write", WriteKind.ENTRY_PUT),
    "entry delete": ("write", WriteKind.ENTRY_DELETE),
    "unchecked": ("write", WriteKind.UNCHECKED),
}
CLASS = {
    **dict.fromkeys(("insert", "delete", "key update", "unique put", "unique delete", "for update"), "exclusive"),
    **dict.fromkeys(("update", "no key update"), "update"),
    "key share": "share",
    **dict.fromkeys(("entry put", "entry delete", "unchecked"), "none"),
}
CONFLICTS = {
    ("exclusive", "exclusive"),
    ("exclusive", "update"),
    ("exclusive", "share"),
    ("update", "exclusive"),
    ("update", "update"),
    ("share", "exclusive"),
}


def touch(txid: int, snapshot: int, *touches: tuple[str, bytes]) -> Proposal:
    proposal = Proposal(txid, snapshot)
    for name, key in touches:
        where, kind = TOUCHES[name]
        if where == "write":
            proposal.writes.append((key, b"v", int(kind)))
        else:
            proposal.locks.append((key, int(kind)))
    return proposal


@pytest.mark.parametrize("earlier", TOUCHES)
@pytest.mark.parametrize("later", TOUCHES)
@pytest.mark.parametrize("bulk", ["keys", "earlier bulk", "later bulk", "both bulk"])
def test_conflict_table(earlier: str, later: str, bulk: str) -> None:
    adjudicator = Adjudicator(bulk_keys_max=3)
    padding = [("unchecked", OTHER + b"\0\1%d" % number) for number in range(4)]
    first = touch(1, 0, (earlier, KEY), *(padding if bulk in ("earlier bulk", "both bulk") else []))
    second = touch(2, 0, (later, KEY), *(padding if bulk in ("later bulk", "both bulk") else []))
    assert adjudicator.judge(first, 100).committed
    verdict = adjudicator.judge(second, 200)
    if (CLASS[later], CLASS[earlier]) in CONFLICTS:
        assert verdict.outcome is Outcome.CONFLICT
        assert verdict.winner == 1
        assert verdict.sqlstate == "40001"
        assert verdict.key[:4] == REL
    else:
        assert verdict == Verdict(Outcome.COMMITTED, 2, 200)


def test_a_snapshot_that_saw_the_winner_does_not_conflict() -> None:
    adjudicator = Adjudicator()
    assert adjudicator.judge(touch(1, 0, ("insert", KEY)), 100).committed
    assert adjudicator.judge(touch(2, 100, ("update", KEY)), 200).committed


def test_a_later_update_does_not_hide_an_exclusive_change_from_a_share() -> None:
    adjudicator = Adjudicator()
    adjudicator.judge(touch(1, 0, ("delete", KEY)), 100)
    adjudicator.judge(touch(2, 100, ("update", KEY)), 200)
    assert adjudicator.judge(touch(3, 50, ("key share", KEY)), 300).winner == 1


def test_commit_timestamps_increase_even_if_blocks_do_not() -> None:
    adjudicator = Adjudicator()
    stamps = [adjudicator.judge(Proposal(txid, 0), ts).commit_ts for txid, ts in enumerate([100, 100, 50, 300])]
    assert stamps == [100, 101, 102, 300]


def test_catalog_dependency() -> None:
    adjudicator = Adjudicator()
    assert adjudicator.judge(Proposal(1, 0, catalog_changes=[42]), 100).committed
    verdict = adjudicator.judge(Proposal(2, 50, dependencies=[(41, 10), (42, 10)]), 200)
    assert verdict == Verdict(Outcome.SCHEMA_CONFLICT, winner=1, relation=42)
    assert adjudicator.judge(Proposal(3, 50, dependencies=[(41, 10)]), 300).committed
    assert adjudicator.judge(Proposal(4, 300, dependencies=[(42, 100)]), 400).committed


def test_window_is_measured_in_log_time() -> None:
    adjudicator = Adjudicator(window_us=1000)
    assert adjudicator.judge(touch(1, 0, ("insert", KEY)), 900).committed
    assert adjudicator.judge(Proposal(2, 0), 1899).committed
    assert adjudicator.judge(Proposal(3, 0), 1900).outcome is Outcome.TOO_OLD
    assert adjudicator.judge(Proposal(4, 900), 2898).committed
    assert adjudicator.judge(Proposal(5, 900), 2899).outcome is Outcome.TOO_OLD


def test_a_snapshot_after_which_nothing_happened_does_not_age() -> None:
    adjudicator = Adjudicator(window_us=1000)
    assert adjudicator.judge(touch(1, 0, ("insert", KEY)), 10**9).committed
    assert adjudicator.judge(touch(2, 10**9, ("insert", KEY + b"2")), 10**12).committed
    assert adjudicator.judge(touch(3, 10**9, ("insert", KEY + b"3")), 10**12 + 500).committed
    assert adjudicator.judge(touch(4, 10**9, ("insert", KEY + b"4")), 10**12 + 1000).outcome is Outcome.TOO_OLD


def test_snapshot_ahead_of_the_journal_is_malformed() -> None:
    assert Adjudicator().judge(Proposal(1, 500), 400).outcome is Outcome.MALFORMED


def test_unknown_kind_is_malformed_and_changes_nothing() -> None:
    adjudicator = Adjudicator()
    assert adjudicator.judge(Proposal(1, 0, [(KEY, b"", 0), (KEY, b"", 77)]), 100).outcome is Outcome.MALFORMED
    assert adjudicator.position == 0
    assert adjudicator.judge(Proposal(2, 0, [(KEY, b"", 0)]), 200).committed


def test_duplicate_transaction_gets_its_first_verdict() -> None:
    adjudicator = Adjudicator()
    first = adjudicator.judge(touch(1, 0, ("insert", KEY)), 100)
    assert adjudicator.judge(touch(1, 0, ("insert", KEY)), 200) == first
    assert adjudicator.position == 1


def test_serializable_reads_and_ranges() -> None:
    adjudicator = Adjudicator()
    adjudicator.judge(touch(1, 0, ("update", KEY)), 100)
    adjudicator.judge(touch(2, 100, ("entry put", REL + b"\0\2m")), 200)
    assert adjudicator.judge(Proposal(3, 50, reads=[KEY]), 300).outcome is Outcome.CONFLICT
    assert adjudicator.judge(Proposal(4, 150, reads=[KEY]), 300).committed
    phantom = Proposal(5, 150, ranges=[(REL + b"\0\2a", REL + b"\0\2z")])
    assert adjudicator.judge(phantom, 400).winner == 2
    assert adjudicator.judge(Proposal(6, 150, ranges=[(REL + b"\0\2n", REL + b"\0\2z")]), 400).committed


def test_serializable_range_meets_bulk() -> None:
    adjudicator = Adjudicator(bulk_keys_max=1)
    adjudicator.judge(touch(1, 0, ("insert", KEY), ("insert", KEY + b"b")), 100)
    assert adjudicator.judge(Proposal(2, 0, ranges=[(REL + b"\0\1", REL + b"\0\2")]), 200).winner == 1
    assert adjudicator.judge(Proposal(3, 0, reads=[KEY + b"zz"]), 200).winner == 1
    assert adjudicator.judge(Proposal(4, 0, ranges=[(OTHER + b"\0\1", OTHER + b"\0\2")]), 200).committed


def test_fragments_missing_is_malformed() -> None:
    assert Adjudicator().judge(Proposal(1, 0, fragments=2), 100).outcome is Outcome.MALFORMED


def fragment_of(proposal: Proposal, number: int, writes: list[Write], locks: list[Lock]) -> Fragment:
    keys_count, relations = relations_of(writes, locks)
    return Fragment(
        proposal.txid, proposal.snapshot, 0, number, len(writes), keys_count, relations, encode_writes(writes), locks
    )


def staged_of(proposal: Proposal) -> tuple[Proposal, StagedTransaction]:
    """The same transaction with its writes in fragments of two and its locks in a last one."""
    fragments: list[Fragment] = []
    staged = StagedTransaction(proposal.txid, proposal.snapshot, fragments.__getitem__)
    for start in range(0, len(proposal.writes), 2):
        fragments.append(fragment_of(proposal, len(fragments), proposal.writes[start : start + 2], []))
    if proposal.locks:
        fragments.append(fragment_of(proposal, len(fragments), [], proposal.locks))
    for index, fragment in enumerate(fragments):
        assert staged.add(index, fragment)
        assert not staged.add(index, fragment)
    return Proposal(proposal.txid, proposal.snapshot, fragments=len(fragments)), staged


# ---- against a brute-force definition ----

KEYS = [relation + b"\0\1" + letter for relation in (REL, OTHER) for letter in (b"a", b"b", b"c")]


@dataclasses.dataclass
class Brute:
    """Every committed proposal, for ever."""

    window_us: int
    bulk_keys_max: int
    position: int = 0
    commit_ts: int = 0
    log: list[tuple[int, Proposal]] = dataclasses.field(default_factory=list)

    def touches(self, proposal: Proposal) -> list[tuple[bytes, str]]:
        names = {int(kind): CLASS[name] for name, (_, kind) in TOUCHES.items()}
        found = [(key, names[kind]) for key, _, kind in proposal.writes]
        found += [(key, names[kind]) for key, kind in proposal.locks]
        return found

    def judge(self, proposal: Proposal, timestamp: int) -> Outcome:
        commit_ts = max(timestamp, self.commit_ts + 1)
        if any(proposal.snapshot < ts <= commit_ts - self.window_us for ts, _ in self.log):
            return Outcome.TOO_OLD
        for ts, other in self.log:
            if ts <= proposal.snapshot:
                continue
            if proposal.txid in other.catalog_changes:
                return Outcome.GIVEN_UP
        for ts, other in self.log:
            if ts <= proposal.snapshot:
                continue
            for oid, version in proposal.dependencies:
                if oid in other.catalog_changes and ts > version:
                    return Outcome.SCHEMA_CONFLICT
        for ts, other in self.log:
            if ts > proposal.snapshot and self.excludes(proposal, other):
                return Outcome.CONFLICT
        self.position += 1
        self.commit_ts = commit_ts
        self.log.append((commit_ts, proposal))
        return Outcome.COMMITTED

    def bulk(self, proposal: Proposal) -> bool:
        return len(proposal.writes) + len(proposal.locks) > self.bulk_keys_max

    def excludes(self, mine: Proposal, theirs: Proposal) -> bool:
        by_relation = self.bulk(mine) or self.bulk(theirs)
        for key, how in self.touches(mine):
            for their_key, their_how in self.touches(theirs):
                same = key[:4] == their_key[:4] if by_relation else key == their_key
                if same and (how, their_how) in CONFLICTS:
                    return True
        for their_key, their_how in self.touches(theirs):
            changes = their_how in ("exclusive", "update")
            if changes and (
                their_key in mine.reads or (self.bulk(theirs) and any(r[:4] == their_key[:4] for r in mine.reads))
            ):
                return True
            for low, high in mine.ranges:
                if changes and (low <= their_key < high or (self.bulk(theirs) and low[:4] == their_key[:4])):
                    return True
        return False


OBJECT = 100
"""Larger than any transaction's id here, which may be given up."""
CHECKED = [name for name in TOUCHES if CLASS[name] != "none"]


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[Proposal, int]]:
    history = []
    now = 0
    for txid in range(1, draw(st.integers(2, 14))):
        now += draw(st.sampled_from([1, 3, 40]))
        proposal = touch(
            txid,
            max(0, now - draw(st.integers(1, 60))),
            *draw(st.lists(st.tuples(st.sampled_from(CHECKED), st.sampled_from(KEYS)), max_size=5)),
        )
        if draw(st.integers(0, 3)) == 0:
            proposal.reads = draw(st.lists(st.sampled_from(KEYS), max_size=2))
            low, high = sorted((draw(st.sampled_from(KEYS)), draw(st.sampled_from(KEYS))))
            proposal.ranges = [(low, high)] if low[:4] == high[:4] else []
        if draw(st.integers(0, 5)) == 0:
            proposal.catalog_changes = [draw(st.integers(OBJECT, OBJECT + 2) | st.integers(1, 14))]
        if draw(st.integers(0, 2)) == 0:
            proposal.dependencies = [(draw(st.integers(OBJECT, OBJECT + 2)), proposal.snapshot)]
        history.append((proposal, now))
    return history


def event_of(proposal: Proposal, verdict: Verdict, adjudicator: Adjudicator) -> Event:
    bulk = adjudicator.is_bulk(proposal, None)
    relations = adjudicator.bulk_relations(proposal, None) if bulk else []
    return Event(
        verdict.position,
        verdict.commit_ts,
        proposal.txid,
        proposal.provenance,
        proposal.catalog_changes,
        proposal.locks,
        0,
        False,
        relations,
        bulk,
        proposal.writes,
    )


@settings(max_examples=300, deadline=None)
@given(histories(), st.integers(0, 14), st.sampled_from([2, 100]), st.sampled_from([3, 1_000]), st.booleans())
def test_judges_like_the_definition(
    history: list[tuple[Proposal, int]], restart_at: int, bulk: int, keys_max: int, in_fragments: bool
) -> None:
    brute = Brute(window_us=100, bulk_keys_max=bulk)
    events: list[Event] = []

    def recall(after: int, through: int) -> list[Event]:
        return [event for event in events if after < event.commit_ts <= through]

    def fresh() -> Adjudicator:
        last = events[-1] if events else None
        return Adjudicator(
            position=last.position if last else 0,
            commit_ts=last.commit_ts if last else 0,
            window_us=100,
            bulk_keys_max=bulk,
            keys_max=keys_max,
            history=recall,
        )

    adjudicator = fresh()
    for number, (proposal, timestamp) in enumerate(history):
        if number == restart_at:
            adjudicator = fresh()
        proposal.snapshot = min(proposal.snapshot, adjudicator.commit_ts)
        expected = brute.judge(proposal, timestamp)
        if in_fragments:
            header, staged = staged_of(proposal)
            header.reads, header.ranges = proposal.reads, proposal.ranges
            header.dependencies, header.catalog_changes = proposal.dependencies, proposal.catalog_changes
            verdict = adjudicator.judge(header, timestamp, staged if header.fragments else None)
        else:
            verdict = adjudicator.judge(proposal, timestamp)
        assert verdict.outcome is expected
        assert (adjudicator.position, adjudicator.commit_ts) == (brute.position, brute.commit_ts)
        if verdict.committed:
            events.append(event_of(proposal, verdict, adjudicator))
    complete = Adjudicator(window_us=100, bulk_keys_max=bulk)
    complete.restore(events)
    assert (complete.position, complete.commit_ts) == (brute.position, brute.commit_ts)


def test_fragment_declares_what_it_touches() -> None:
    writes = [(KEY, b"", int(WriteKind.DELETE)), (OTHER + b"\0\1x", b"", int(WriteKind.ENTRY_PUT))]
    keys_count, relations = relations_of(writes, [(OTHER + b"\0\1y", int(LockStrength.KEY_SHARE))])
    assert keys_count == 2
    assert dict(relations) == {REL: LockStrength.EXCLUSIVE, OTHER: LockStrength.KEY_SHARE}
