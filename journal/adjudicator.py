"""First committer wins: the pure function that turns proposals into events or conflicts.

    judge(proposal, timestamp) ──▶ Verdict        on every replica, in log order, from nothing but the log

For each key the state knows the commit timestamps of its last *exclusive* change (insert, delete, key update, FOR
UPDATE), its last *write* (exclusive or non-key update) and its last *share* (FOR KEY SHARE). A proposal with snapshot s
conflicts if a key it touches has a timestamp > s of a strength that excludes its own (architecture §3). With strengths
share = 1, non-key update = 2, exclusive = 3, two touches exclude each other exactly if their strengths add up to 4 or
more; that is the whole conflict table.

**Window.** Events older than the window (5 minutes of log time) are forgotten, and a proposal is refused if an event
after its snapshot is among them; so what was forgotten can never matter. (A snapshot does not age by itself: if nothing
was committed since, it is as good as new, however long ago that was.) Forgetting is therefore pure housekeeping: it may happen late
(a few events per commit, so that no commit pays for many) or early (bound on the number of keys), because whatever is
missing is *recalled*: `known_since` is the timestamp after which the state is complete, and a proposal with an older
snapshot first loads the difference from the event log. That also makes a restart instantaneous: the state starts empty
with `known_since` at the last event, and is filled only if an old snapshot really comes. For the same reason every
check compares with the snapshot, and only with it: nothing older than the snapshot can sway a verdict.

**Bulk.** Above `bulk_keys_max` keys a transaction is judged by relation: it conflicts with any touch of its relations
after its snapshot, and whoever touches these relations with an older snapshot conflicts with it. Relations are 4-byte
prefixes of keys and live in the same tables as keys, which are always longer.

**SERIALIZABLE** adds the keys and ranges read: any later write to them is a conflict (backward validation).

**Duplicates.** A transaction id that has committed already gets its first verdict again, so that an entry which was
ordered twice takes effect once.

Hot: about 4 µs for a proposal of three writes, of which two are checked (tests/journal/bench_commit.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import msgspec

from journal.event import RELATION_BYTES, Event, Lock, LockStrength, Outcome, Proposal, Verdict, Write, WriteKind

NONE, SHARE, UPDATE, EXCLUSIVE = 0, 1, 2, 3

STRENGTH: tuple[int, ...] = tuple(
    {
        WriteKind.INSERT: EXCLUSIVE,
        WriteKind.UPDATE: UPDATE,
        WriteKind.DELETE: EXCLUSIVE,
        WriteKind.KEY_UPDATE: EXCLUSIVE,
        WriteKind.ENTRY_PUT: NONE,
        WriteKind.ENTRY_DELETE: NONE,
        WriteKind.UNIQUE_PUT: EXCLUSIVE,
        WriteKind.UNIQUE_DELETE: EXCLUSIVE,
        WriteKind.UNCHECKED: NONE,
        LockStrength.KEY_SHARE: SHARE,
        LockStrength.EXCLUSIVE: EXCLUSIVE,
        LockStrength.NO_KEY_UPDATE: UPDATE,
    }.values()
)
"""Strength by WriteKind or LockStrength (their numbers are 0 … 11 without gaps)."""

_LOCK_OF_STRENGTH = {
    SHARE: int(LockStrength.KEY_SHARE),
    UPDATE: int(LockStrength.NO_KEY_UPDATE),
    EXCLUSIVE: int(LockStrength.EXCLUSIVE),
}
_CONFLICT_SUM = 4
_RECALL_US_MIN = 1_000_000
_PRUNE_PER_COMMIT = 4
_TIMESTAMP_BITS = 64
_TIMESTAMP_MASK = (1 << _TIMESTAMP_BITS) - 1
_NEVER = 1 << 64
"""After every timestamp."""

WINDOW_US_DEFAULT = 5 * 60 * 1_000_000
BULK_KEYS_MAX_DEFAULT = 100_000
KEYS_MAX_DEFAULT = 3_000_000

History = Callable[[int, int], Iterable[Event]]
"""history(after_ts, through_ts): the events with after_ts < commit_ts <= through_ts, in order."""


class Staged(Protocol):
    """The fragments of a large transaction, as the replica keeps them."""

    @property
    def fragments_count(self) -> int:
        """Fragments received."""
        ...

    @property
    def keys_count(self) -> int:
        """Checked keys in them."""
        ...

    @property
    def relations(self) -> dict[bytes, int]:
        """Relation prefix → strongest LockStrength asked of any key in it."""
        ...

    def writes(self) -> Iterator[list[Write]]:
        """The writes, a fragment at a time."""
        ...

    def locks(self) -> Iterator[list[Lock]]:
        """The locks, a fragment at a time."""
        ...


class _Touched(msgspec.Struct, gc=False):
    """What one event did to keys: the material of range checks, of bulk checks and of forgetting.

    There may be millions; the garbage collector does not look at them."""

    commit_ts: int
    txid: int
    keys: tuple[bytes, ...]
    kinds: tuple[int, ...]


class _Recent:
    """A queue of touches in log order.

    A deque of hundreds of thousands of elements costs 40 ms in every full garbage collection. A dictionary from ints to
    objects without garbage collection is not looked at.

    Attributes:
        oldest_ts: commit timestamp of the first of them, `_NEVER` where there are none.
    """

    __slots__ = ("_first", "_items", "_next", "oldest_ts")

    def __init__(self) -> None:
        self._items: dict[int, _Touched] = {}
        self._first = 0
        self._next = 0
        self.oldest_ts = _NEVER

    def __iter__(self) -> Iterator[_Touched]:
        for number in range(self._first, self._next):
            yield self._items[number]

    def __reversed__(self) -> Iterator[_Touched]:
        for number in range(self._next - 1, self._first - 1, -1):
            yield self._items[number]

    @property
    def newest(self) -> _Touched:
        return self._items[self._next - 1]

    def append(self, touched: _Touched) -> None:
        if self._first == self._next:
            self.oldest_ts = touched.commit_ts
        self._items[self._next] = touched
        self._next += 1

    def pop_oldest(self) -> _Touched:
        touched = self._items.pop(self._first)
        self._first += 1
        self.oldest_ts = self._items[self._first].commit_ts if self._items else _NEVER
        return touched

    def put_before(self, older: _Recent) -> None:
        """Put all of `older` before what is here."""
        for touched in reversed(older):
            self._first -= 1
            self._items[self._first] = touched
            self.oldest_ts = touched.commit_ts


def relations_of(writes: Iterable[Write], locks: Iterable[Lock]) -> tuple[int, list[Lock]]:
    """(number of checked keys, strongest lock per relation prefix) of one fragment."""
    strongest: dict[bytes, int] = {}
    keys_count = 0
    for key, _, kind in writes:
        strength = STRENGTH[kind]
        if strength:
            keys_count += 1
            prefix = key[:RELATION_BYTES]
            if strength > strongest.get(prefix, 0):
                strongest[prefix] = strength
    for key, kind in locks:
        keys_count += 1
        strength = STRENGTH[kind]
        prefix = key[:RELATION_BYTES]
        if strength > strongest.get(prefix, 0):
            strongest[prefix] = strength
    return keys_count, [(prefix, _LOCK_OF_STRENGTH[strength]) for prefix, strength in strongest.items()]


class Adjudicator:
    """The state machine's decision.

    Args:
        position, commit_ts: of the last event that is in the event log already.
        window_us: how old, in log time, a snapshot may be.
        bulk_keys_max: above so many keys a transaction is judged by relation.
        keys_max: above so many tracked keys the oldest are forgotten early; they can be recalled.
        history: recalls events; without it the state must be complete (`restore`).
    """

    def __init__(
        self,
        *,
        position: int = 0,
        commit_ts: int = 0,
        window_us: int = WINDOW_US_DEFAULT,
        bulk_keys_max: int = BULK_KEYS_MAX_DEFAULT,
        keys_max: int = KEYS_MAX_DEFAULT,
        history: History | None = None,
    ) -> None:
        self.position = position
        self.commit_ts = commit_ts
        self.window_us = window_us
        self.bulk_keys_max = bulk_keys_max
        self.keys_max = keys_max
        self.known_since = commit_ts if history is not None else 0
        self._history = history
        self._write: dict[bytes, int] = {}
        self._exclusive: dict[bytes, int] = {}
        self._share: dict[bytes, int] = {}
        self._catalog: dict[int, int] = {}
        self._catalog_order: deque[tuple[int, int]] = deque()
        self._recent = _Recent()
        self._keys_count = 0
        # txid → position and commit timestamp in one int: tuples would have the garbage collector look at them all.
        self._committed: dict[int, int] = {}
        self._txid_of: dict[int, int] = {}
        self._bulk_ts = 0

    def judge(self, proposal: Proposal, timestamp: int, staged: Staged | None = None) -> Verdict:
        """Decide one proposal and, if it commits, remember what it touched.

        Args:
            proposal: the next one in log order.
            timestamp: the block's; the commit timestamp is this or, where that would not increase, one more than the
                last.
            staged: its fragments, if `proposal.fragments` is not 0.
        """
        snapshot = proposal.snapshot
        commit_ts = timestamp if timestamp > self.commit_ts else self.commit_ts + 1
        horizon = commit_ts - self.window_us
        if snapshot < horizon and snapshot < self.commit_ts and self._is_too_old(snapshot, horizon):
            return Verdict(Outcome.TOO_OLD)
        if snapshot < self.known_since:
            self._recall(snapshot)
        known = self._committed.get(proposal.txid)
        if known is not None:
            return Verdict(Outcome.COMMITTED, known >> _TIMESTAMP_BITS, known & _TIMESTAMP_MASK)
        if snapshot > self.commit_ts and snapshot >= commit_ts:
            return Verdict(Outcome.MALFORMED, reason="the snapshot is ahead of the journal")
        bulk = self.is_bulk(proposal, staged)
        if snapshot < self.commit_ts:
            conflict = self._conflict(proposal, snapshot, staged, bulk)
            if conflict is not None:
                return conflict
        if proposal.fragments and (staged is None or staged.fragments_count != proposal.fragments):
            return Verdict(Outcome.MALFORMED, reason="fragments are missing; the transaction was given up or timed out")
        position = self.position + 1
        try:
            self._remember(proposal, position, commit_ts, staged, bulk)
        except (IndexError, TypeError):
            return Verdict(Outcome.MALFORMED, reason="unknown kind of write or lock")
        self.position = position
        self.commit_ts = commit_ts
        return Verdict(Outcome.COMMITTED, position, commit_ts)

    def is_bulk(self, proposal: Proposal, staged: Staged | None) -> bool:
        """Whether the proposal is judged by relations."""
        if staged is None:
            return len(proposal.writes) + len(proposal.locks) > self.bulk_keys_max
        return staged.keys_count + len(proposal.writes) + len(proposal.locks) > self.bulk_keys_max

    def bulk_relations(self, proposal: Proposal, staged: Staged | None) -> list[Lock]:
        """The relations and strengths that a bulk transaction is judged by, in key order."""
        relations: dict[bytes, int] = dict(staged.relations) if staged is not None else {}
        for prefix, kind in relations_of(proposal.writes, proposal.locks)[1]:
            if prefix not in relations or STRENGTH[kind] > STRENGTH[relations[prefix]]:
                relations[prefix] = kind
        return sorted(relations.items())

    def committed(self, txid: int) -> tuple[int, int] | None:
        """(position, commit_ts) of a transaction that the state knows to have committed after `known_since`."""
        known = self._committed.get(txid)
        return None if known is None else (known >> _TIMESTAMP_BITS, known & _TIMESTAMP_MASK)

    def given_up(self, txid: int) -> bool:
        """Whether the state knows an event that has given the transaction up (`journal.resolution`)."""
        return txid in self._catalog

    def recall_window(self) -> None:
        """Make the state complete for the whole window."""
        self._recall(0)

    def restore(self, events: Iterable[Event]) -> None:
        """Take over events in order, without judging: the whole window, or those after the ones known already."""
        for event in events:
            self._remember_event(event)
            if not event.more:
                self.position = event.position
                self.commit_ts = event.commit_ts

    def _is_too_old(self, snapshot: int, horizon: int) -> bool:
        """Whether some event after the snapshot is at or before the horizon. Rare, and may look into the event log."""
        if snapshot < self.known_since:
            if self._history is None:
                return True
            return next(iter(self._history(snapshot, horizon)), None) is not None
        for touched in self._recent:
            if touched.commit_ts > snapshot:
                return touched.commit_ts <= horizon
        return False

    # ---- checks -----------------------------------------------------------------------------------------------------

    def _conflict(self, proposal: Proposal, snapshot: int, staged: Staged | None, is_bulk: bool) -> Verdict | None:
        catalog = self._catalog
        if catalog:
            if catalog.get(proposal.txid, 0) > snapshot:
                return Verdict(Outcome.GIVEN_UP, winner=self._txid_of.get(catalog[proposal.txid], 0))
            for oid, version in proposal.dependencies:
                changed = catalog.get(oid, 0)
                if changed > version and changed > snapshot:
                    return Verdict(Outcome.SCHEMA_CONFLICT, winner=self._txid_of.get(changed, 0), relation=oid)
        try:
            if is_bulk:
                return self._conflict_by_relation(proposal, snapshot, staged)
            bulk = snapshot < self._bulk_ts
            conflict = self._conflict_by_key(proposal.writes, proposal.locks, snapshot, bulk)
            if conflict is None and staged is not None:
                conflict = self._conflict_by_staged(staged, snapshot, bulk)
        except IndexError:
            return Verdict(Outcome.MALFORMED, reason="unknown kind of write or lock")
        if conflict is None and (proposal.reads or proposal.ranges):
            conflict = self._conflict_by_read(proposal, snapshot)
        return conflict

    def _conflict_by_key(
        self, writes: Iterable[Write], locks: Iterable[Lock], snapshot: int, bulk: bool
    ) -> Verdict | None:
        write, share = self._write, self._share
        strengths = STRENGTH
        for key, _, kind in writes:
            strength = strengths[kind]
            if strength and (
                write.get(key, 0) > snapshot
                or (strength == EXCLUSIVE and share and share.get(key, 0) > snapshot)
                or (bulk and self._meets_bulk(key, strength, snapshot))
            ):
                return self._lost(key, strength, snapshot)
        for key, kind in locks:
            strength = strengths[kind]
            last = self._exclusive if strength == SHARE else write
            if (
                last.get(key, 0) > snapshot
                or (strength == EXCLUSIVE and share and share.get(key, 0) > snapshot)
                or (bulk and self._meets_bulk(key, strength, snapshot))
            ):
                return self._lost(key, strength, snapshot)
        return None

    def _conflict_by_staged(self, staged: Staged, snapshot: int, bulk: bool) -> Verdict | None:
        for writes in staged.writes():
            conflict = self._conflict_by_key(writes, (), snapshot, bulk)
            if conflict is not None:
                return conflict
        for locks in staged.locks():
            conflict = self._conflict_by_key((), locks, snapshot, bulk)
            if conflict is not None:
                return conflict
        return None

    def _meets_bulk(self, key: bytes, strength: int, snapshot: int) -> bool:
        return self._newest_excluding(key[:RELATION_BYTES], strength) > snapshot

    def _newest_excluding(self, key: bytes, strength: int) -> int:
        """Timestamp of the last touch of `key` that excludes a touch of `strength`."""
        if strength == SHARE:
            return self._exclusive.get(key, 0)
        newest = self._write.get(key, 0)
        return max(newest, self._share.get(key, 0)) if strength == EXCLUSIVE else newest

    def _lost(self, key: bytes, strength: int, snapshot: int) -> Verdict:
        newest = self._newest_excluding(key, strength)
        if newest <= snapshot:
            newest = self._newest_excluding(key[:RELATION_BYTES], strength)
        return Verdict(Outcome.CONFLICT, key=key, winner=self._txid_of.get(newest, 0))

    def _since(self, snapshot: int) -> Iterator[_Touched]:
        for touched in reversed(self._recent):
            if touched.commit_ts <= snapshot:
                return
            yield touched

    def _conflict_by_relation(self, proposal: Proposal, snapshot: int, staged: Staged | None) -> Verdict | None:
        relations = {prefix: STRENGTH[kind] for prefix, kind in self.bulk_relations(proposal, staged)}
        strengths = STRENGTH
        for touched in self._since(snapshot):
            for key, kind in zip(touched.keys, touched.kinds, strict=True):
                mine = relations.get(key[:RELATION_BYTES])
                if mine is not None and mine + strengths[kind] >= _CONFLICT_SUM:
                    return Verdict(Outcome.CONFLICT, key=key, winner=touched.txid)
        return self._conflict_by_read(proposal, snapshot) if proposal.reads or proposal.ranges else None

    def _conflict_by_read(self, proposal: Proposal, snapshot: int) -> Verdict | None:
        write = self._write
        bulk = snapshot < self._bulk_ts
        for key in proposal.reads:
            if write.get(key, 0) > snapshot or (bulk and write.get(key[:RELATION_BYTES], 0) > snapshot):
                return self._lost(key, UPDATE, snapshot)
        if not proposal.ranges:
            return None
        for touched in self._since(snapshot):
            for key, kind in zip(touched.keys, touched.kinds, strict=True):
                if kind in (WriteKind.UNCHECKED, LockStrength.KEY_SHARE):
                    continue
                for low, high in proposal.ranges:
                    # A bulk event is known by its relations only: it may have written into any range of them.
                    inside = low[:RELATION_BYTES] <= key < high if len(key) == RELATION_BYTES else low <= key < high
                    if inside:
                        return Verdict(Outcome.CONFLICT, key=key, winner=touched.txid)
        return None

    # ---- memory -----------------------------------------------------------------------------------------------------

    def _remember(
        self, proposal: Proposal, position: int, commit_ts: int, staged: Staged | None, is_bulk: bool
    ) -> None:
        txid = proposal.txid
        if is_bulk:
            relations = self.bulk_relations(proposal, staged)
            self._touch(_touched(commit_ts, txid, (), relations))
            self._bulk_ts = commit_ts
        elif staged is None:
            self._touch(_touched(commit_ts, txid, proposal.writes, proposal.locks))
        else:
            # All are made before the first is noted: an unknown kind must leave nothing behind.
            touched = [_touched(commit_ts, txid, proposal.writes, proposal.locks)]
            touched.extend(_touched(commit_ts, txid, writes, ()) for writes in staged.writes())
            touched.extend(_touched(commit_ts, txid, (), locks) for locks in staged.locks())
            for each in touched:
                self._touch(each)
        self._conclude(position, commit_ts, txid, proposal.catalog_changes)

    def _remember_event(self, event: Event) -> None:
        if event.bulk:
            if event.relations:
                self._touch(_touched(event.commit_ts, event.txid, (), event.relations))
            self._bulk_ts = max(self._bulk_ts, event.commit_ts)
        else:
            self._touch(_touched(event.commit_ts, event.txid, event.writes, event.locks))
        if not event.part:
            self._conclude(event.position, event.commit_ts, event.txid, event.catalog_changes)

    def _conclude(self, position: int, commit_ts: int, txid: int, catalog_changes: list[int]) -> None:
        self._committed[txid] = position << _TIMESTAMP_BITS | commit_ts
        self._txid_of[commit_ts] = txid
        for oid in catalog_changes:
            self._catalog[oid] = commit_ts
            self._catalog_order.append((commit_ts, oid))
        self._forget(commit_ts - self.window_us)

    def _touch(self, touched: _Touched) -> None:
        write, exclusive = self._write, self._exclusive
        commit_ts = touched.commit_ts
        for key, kind in zip(touched.keys, touched.kinds, strict=True):
            strength = STRENGTH[kind]
            if strength == EXCLUSIVE:
                write[key] = exclusive[key] = commit_ts
            elif strength == UPDATE:
                write[key] = commit_ts
            elif strength == SHARE:
                self._share[key] = commit_ts
        self._recent.append(touched)
        self._keys_count += len(touched.keys)

    def _forget(self, horizon: int) -> None:
        """Drop a few of the touches that have left the window, and more if there are too many keys."""
        recent = self._recent
        for _ in range(_PRUNE_PER_COMMIT):
            if recent.oldest_ts > horizon:
                break
            self._forget_event(recent.oldest_ts)
        if self._keys_count > self.keys_max and self._history is not None:
            # Events are forgotten whole, because `known_since` is a timestamp; the newest one is never forgotten.
            newest = recent.newest.commit_ts
            while self._keys_count > self.keys_max and recent.oldest_ts < newest:
                self._forget_event(recent.oldest_ts)
        while self._catalog_order and self._catalog_order[0][0] <= horizon:
            commit_ts, oid = self._catalog_order.popleft()
            if self._catalog.get(oid) == commit_ts:
                del self._catalog[oid]

    def _forget_event(self, commit_ts: int) -> None:
        while self._recent.oldest_ts == commit_ts:
            self._drop(self._recent.pop_oldest())
        self.known_since = max(self.known_since, commit_ts)

    def _drop(self, touched: _Touched) -> None:
        commit_ts = touched.commit_ts
        write, exclusive, share = self._write, self._exclusive, self._share
        for key, kind in zip(touched.keys, touched.kinds, strict=True):
            strength = STRENGTH[kind]
            if strength == SHARE:
                if share.get(key) == commit_ts:
                    del share[key]
            elif strength:
                if write.get(key) == commit_ts:
                    del write[key]
                if strength == EXCLUSIVE and exclusive.get(key) == commit_ts:
                    del exclusive[key]
        self._keys_count -= len(touched.keys)
        self._committed.pop(touched.txid, None)
        self._txid_of.pop(commit_ts, None)

    def _recall(self, snapshot: int) -> None:
        """Load events of the window underneath what is known, so that everything after `snapshot` is known.

        No more than that, or a second: to judge a proposal nothing else is needed (what committed under its id did so after its
        snapshot), and after a restart the window may hold a million events, at 17 µs each."""
        after = max(self.commit_ts - self.window_us, min(snapshot, self.known_since - _RECALL_US_MIN), 0)
        if self._history is None or after >= self.known_since:
            return
        older = Adjudicator(window_us=1 << 62, bulk_keys_max=self.bulk_keys_max, keys_max=1 << 62)
        older.restore(self._history(after, self.known_since))
        for mine, theirs in (
            (self._write, older._write),
            (self._exclusive, older._exclusive),
            (self._share, older._share),
        ):
            for key, commit_ts in theirs.items():
                mine.setdefault(key, commit_ts)
        for oid, commit_ts in older._catalog.items():
            self._catalog.setdefault(oid, commit_ts)
        self._catalog_order.extendleft(reversed(older._catalog_order))
        self._recent.put_before(older._recent)
        self._keys_count += older._keys_count
        self._committed.update(older._committed)
        self._txid_of.update(older._txid_of)
        self._bulk_ts = max(self._bulk_ts, older._bulk_ts)
        self.known_since = after


def _touched(commit_ts: int, txid: int, writes: Sequence[Write], locks: Sequence[Lock]) -> _Touched:
    keys: tuple[bytes, ...] = ()
    kinds: tuple[int, ...] = ()
    if writes:
        keys, _, kinds = zip(*writes, strict=True)
    if locks:
        lock_keys, strengths = zip(*locks, strict=True)
        keys, kinds = keys + lock_keys, kinds + strengths
    if kinds and not 0 <= min(kinds) <= max(kinds) < len(STRENGTH):
        raise IndexError(f"unknown kind of write or lock: {min(kinds)} … {max(kinds)}")
    return _Touched(commit_ts, txid, keys, kinds)
