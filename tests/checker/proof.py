"""The white-box proof: what clients saw against what the journal says, in time linear in both.

With the snapshot of each transaction and the journal itself nothing needs to be inferred (this is the idea of
client-centric isolation, Crooks et al. 2017: a level is a statement about the states that each transaction read from,
and the journal *is* the sequence of states). Snapshot isolation holds if

1. **no overlap**: of two events with conflicting touches of one key, the later one's snapshot contains the earlier one;
2. **snapshot reads**: every read returned what replaying the journal up to the snapshot gives, with the transaction's
   own writes on top; this includes transactions that aborted, for they were promised a snapshot, too;
3. **faithful events**: every acknowledged transaction with writes is in the journal exactly once, with the contents
   that its operations ask for; no aborted one is;
4. **the journal is a journal**: positions count up, timestamps rise, hashes join (`chain.check_chain`).

For strong reads and sessions, whose promises are about time, also

5. **recency**: what had been acknowledged before a strong transaction began is in its snapshot, and so is what its
   session saw or wrote before;

and for SERIALIZABLE

6. **unchanged reads**: what a writing transaction read has not changed between its snapshot and its commit.

A transaction is matched with its event by txid. Where the recorder does not know it (drivers mostly do not), by its
writes: the event that leaves a key with the very value it wrote. Where that value was written by others, too (bank
balances), the transaction counts as *unidentified* in the report. Without a snapshot, points 1, 2, 5 and 6 say nothing
about a transaction; the report counts what was compared, and a test should look at those numbers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from journal.event import Event
from tests.checker.chain import Decoder, check_chain, decode_events
from tests.checker.history import (
    Append,
    Content,
    Isolation,
    JournalEvent,
    Key,
    Outcome,
    ReadList,
    ReadRegister,
    Touch,
    Transaction,
    Value,
    Write,
)
from tests.checker.report import AnomalyKind, Findings, Report, merge, show_elements

CONFLICTS: dict[Touch, tuple[Touch, ...]] = {
    Touch.EXCLUSIVE: (Touch.EXCLUSIVE, Touch.UPDATE, Touch.SHARE),
    Touch.UPDATE: (Touch.EXCLUSIVE, Touch.UPDATE),
    Touch.SHARE: (Touch.EXCLUSIVE,),
}
"""Architecture §3: by the touch of the later one, the touches of an earlier one that exclude it."""


def prove_journal(
    transactions: Sequence[Transaction],
    events: Sequence[Event],
    decode: Decoder,
    initial: Mapping[Key, Content] | None = None,
    *,
    inversions: bool = True,
) -> Report:
    """All points, from the event log's events; `initial` and `inversions` as for `prove`."""
    journal = decode_events(events, decode)
    return merge(check_chain(events), prove(transactions, journal, initial, inversions=inversions))


def prove(
    transactions: Sequence[Transaction],
    journal: Sequence[JournalEvent],
    initial: Mapping[Key, Content] | None = None,
    *,
    inversions: bool = True,
) -> Report:
    """All points but the hash chain, for a recorded history.

    Args:
        transactions: in any order.
        journal: all events, in order.
        initial: what keys held before the first of these events, if that is not position 1.
        inversions: as for `anomalies.check`.
    """
    return _Proof(transactions, journal, initial or {}).run(inversions)


class _Proof:
    def __init__(
        self, transactions: Sequence[Transaction], journal: Sequence[JournalEvent], initial: Mapping[Key, Content]
    ) -> None:
        self._transactions = transactions
        self._journal = journal
        self._initial = initial
        self._findings = Findings(transactions)
        self._commit_us = [event.commit_us for event in journal]
        self._event_of: dict[int, int] = {}
        """Transaction → place of its event in the journal."""
        self._unidentified: set[int] = set()
        writes = Counter(item for one in transactions for item in _writes(one))
        self._ambiguous = {item for item, count in writes.items() if count > 1}
        self._examined: dict[str, int] = dict.fromkeys(
            ("events", "reads compared", "write sets compared", "transactions found in the journal", "unidentified"), 0
        )

    def run(self, inversions: bool) -> Report:
        """All points."""
        self._examined["events"] = len(self._journal)
        self._check_order()
        self._identify()
        self._check_presence()
        self._check_overlap()
        self._replay()
        self._check_recency(inversions)
        return self._findings.report(*self._examined.items())

    # Point 4.

    def _check_order(self) -> None:
        for before, after in zip(self._journal, self._journal[1:], strict=False):
            if after.position != before.position + 1 or after.commit_us <= before.commit_us:
                what = (
                    f"event {before.position} at {before.commit_us} is followed by event {after.position} at "
                    f"{after.commit_us}"
                )
                self._findings.add(AnomalyKind.JOURNAL_ORDER, what, ())

    # Point 3.

    def _identify(self) -> None:
        """Match transactions with events."""
        by_txid: dict[int, list[int]] = defaultdict(list)
        for place, event in enumerate(self._journal):
            by_txid[event.txid].append(place)
        recorded = {one.txid: index for index, one in enumerate(self._transactions) if one.txid is not None}
        for txid, places in by_txid.items():
            if len(places) > 1:
                positions = ", ".join(str(self._journal[place].position) for place in places)
                concerned = [recorded[txid]] if txid in recorded else []
                what = f"transaction id {txid} is in the journal {len(places)} times, at {positions}"
                self._findings.add(AnomalyKind.DOUBLE_EVENT, what, concerned)
        by_value = self._places_by_value() if any(one.txid is None and one.writes for one in self._transactions) else {}
        for index, transaction in enumerate(self._transactions):
            if transaction.txid is not None:
                if transaction.txid in by_txid:
                    self._event_of[index] = by_txid[transaction.txid][0]
            elif transaction.writes:
                self._identify_by_value(index, transaction, by_value)
        self._examined["transactions found in the journal"] = len(self._event_of)

    def _places_by_value(self) -> dict[tuple[Key, Value], list[int]]:
        places: dict[tuple[Key, Value], list[int]] = defaultdict(list)
        for place, event in enumerate(self._journal):
            for key, content in event.contents:
                value = (content[-1] if content else None) if isinstance(content, tuple) else content
                if value is not None:
                    places[key, value].append(place)
        return places

    def _identify_by_value(
        self, index: int, transaction: Transaction, by_value: Mapping[tuple[Key, Value], list[int]]
    ) -> None:
        final = set(dict(_writes(transaction)).items())
        places = sorted({place for item in final for place in by_value.get(item, ())})
        if not final.isdisjoint(self._ambiguous):
            self._examined["unidentified"] += 1
            self._unidentified.add(index)
        elif places:
            self._event_of[index] = places[0]
            if len(places) > 1:
                positions = ", ".join(str(self._journal[place].position) for place in places)
                what = f"what T{index} wrote is in the journal {len(places)} times, at {positions}"
                self._findings.add(AnomalyKind.DOUBLE_EVENT, what, [index])

    def _check_presence(self) -> None:
        for index, transaction in enumerate(self._transactions):
            place = self._event_of.get(index)
            if place is None:
                lost = transaction.outcome is Outcome.COMMITTED and transaction.writes
                if lost and index not in self._unidentified:
                    what = f"T{index} was acknowledged, but no event of the journal is its"
                    self._findings.add(AnomalyKind.MISSING_EVENT, what, [index])
                continue
            event = self._journal[place]
            if transaction.outcome is Outcome.ABORTED:
                what = f"T{index} was told that it aborted, but event {event.position} is its"
                self._findings.add(AnomalyKind.ABORTED_EVENT, what, [index])
            for name, told, truth in (
                ("position", transaction.position, event.position),
                ("commit timestamp", transaction.commit_us, event.commit_us),
            ):
                if told is not None and told != truth:
                    what = f"T{index} was told {name} {told}; its event has {truth}"
                    self._findings.add(AnomalyKind.WRONG_EVENT, what, [index])

    # Point 1.

    def _check_overlap(self) -> None:
        transaction_of = {place: index for index, place in self._event_of.items()}
        newest: dict[bytes, dict[Touch, int]] = defaultdict(dict)
        for place, event in enumerate(self._journal):
            index = transaction_of.get(place)
            snapshot_us = None if index is None else self._transactions[index].snapshot_us
            if index is not None and snapshot_us is not None:
                self._examined["write sets compared"] += 1
                for key, touch in event.touches:
                    self._check_touch(index, event, snapshot_us, key, newest[key], touch, transaction_of)
            for key, touch in event.touches:
                newest[key][touch] = place

    def _check_touch(
        self,
        index: int,
        event: JournalEvent,
        snapshot_us: int,
        key: bytes,
        newest: Mapping[Touch, int],
        touch: Touch,
        transaction_of: Mapping[int, int],
    ) -> None:
        place = max((newest[excluded] for excluded in CONFLICTS[touch] if excluded in newest), default=-1)
        if place >= 0 and self._commit_us[place] > snapshot_us:
            other = self._journal[place]
            what = (
                f"T{index} (snapshot {snapshot_us}, committed {event.commit_us} as event {event.position}) and event "
                f"{other.position}, committed {other.commit_us} in between, both hold the stored key {key.hex()}"
            )
            concerned = [index, transaction_of[place]] if place in transaction_of else [index]
            self._findings.add(AnomalyKind.OVERLAPPING_WRITES, what, concerned, [name for name, _ in event.contents])

    # Points 2, 3 (contents) and 6.

    def _replay(self) -> None:
        """Replay the journal once, stopping at each snapshot, in order, to compare what was read there."""
        content: dict[Key, Content] = dict(self._initial)
        changed: dict[Key, list[int]] = defaultdict(list)
        for event in self._journal:
            for key, _ in event.contents:
                changed[key].append(event.commit_us)
        snapshots = sorted(
            (one.snapshot_us, index) for index, one in enumerate(self._transactions) if one.snapshot_us is not None
        )
        place = 0
        for snapshot_us, index in snapshots:
            while place < len(self._journal) and self._journal[place].commit_us <= snapshot_us:
                content.update(self._journal[place].contents)
                place += 1
            written = self._check_reads(index, content)
            if index in self._event_of:
                event = self._journal[self._event_of[index]]
                self._check_contents(index, event, written)
                if self._transactions[index].isolation is Isolation.SERIALIZABLE:
                    self._check_unchanged(index, snapshot_us, event, changed)

    def _check_reads(self, index: int, content: Mapping[Key, Content]) -> dict[Key, Content]:
        """Run the transaction on its snapshot; what it leaves in the keys that it wrote."""
        written: dict[Key, Content] = {}
        for operation in self._transactions[index].operations:
            key = operation.key
            now = written[key] if key in written else content.get(key)
            match operation:
                case Append(_, value):
                    written[key] = (*now, value) if isinstance(now, tuple) else (value,)
                case Write(_, value):
                    written[key] = value
                case ReadList(_, values):
                    self._check_read(index, key, values, () if now is None else now)
                case ReadRegister(_, value):
                    self._check_read(index, key, value, now)
        return written

    def _check_read(self, index: int, key: Key, seen: Content, expected: Content) -> None:
        self._examined["reads compared"] += 1
        if seen != expected:
            snapshot_us = self._transactions[index].snapshot_us
            what = f"T{index} read {key} = {_show(seen)}; replaying up to its snapshot {snapshot_us} gives {_show(expected)}"
            self._findings.add(AnomalyKind.WRONG_READ, what, [index], [key])

    def _check_contents(self, index: int, event: JournalEvent, written: Mapping[Key, Content]) -> None:
        contents = dict(event.contents)
        for key in dict.fromkeys((*written, *contents)):
            if key not in contents:
                what = f"event {event.position} of T{index} does not change {key}, to which T{index} wrote"
            elif key not in written:
                what = f"event {event.position} of T{index} changes {key}, to which T{index} did not write"
            elif contents[key] != written[key]:
                what = (
                    f"event {event.position} of T{index} leaves {key} = {_show(contents[key])}; on its snapshot its operations "
                    f"give {_show(written[key])}"
                )
            else:
                continue
            self._findings.add(AnomalyKind.WRONG_EVENT, what, [index], [key])

    def _check_unchanged(
        self, index: int, snapshot_us: int, event: JournalEvent, changed: Mapping[Key, list[int]]
    ) -> None:
        reads = (one.key for one in self._transactions[index].operations if isinstance(one, ReadList | ReadRegister))
        for key in dict.fromkeys(reads):
            changes = changed.get(key, [])
            place = bisect_right(changes, snapshot_us)
            if place < len(changes) and changes[place] < event.commit_us:
                what = (
                    f"T{index} is SERIALIZABLE and read {key} at {snapshot_us}, which had changed at {changes[place]}, before "
                    f"T{index} committed at {event.commit_us}"
                )
                self._findings.add(AnomalyKind.CHANGED_READ, what, [index], [key])

    # Point 5.

    def _check_recency(self, inversions: bool) -> None:
        """By number of events visible: sweep over begins, with the most that any ended transaction has shown."""
        shown = self._shown_at_end(inversions)
        ends = sorted((self._transactions[index].ended_us, count, index) for index, (count, _) in shown.items())
        begins = sorted(
            (one.began_us, one.ended_us, index)
            for index, one in enumerate(self._transactions)
            if one.strong and one.snapshot_us is not None
        )
        place, due, due_to = 0, 0, -1
        in_session: dict[tuple[str, int], tuple[int, int]] = {}
        for began_us, _, index in begins:
            while place < len(ends) and ends[place][0] < began_us:
                if ends[place][1] > due:
                    _, due, due_to = ends[place]
                place += 1
            visible = self._visible(index)
            session = self._transactions[index].session
            session_due, session_due_to = in_session.get(session, (0, -1))
            if visible < session_due:
                self._report_stale(
                    index, session_due_to, visible, session_due, self._session_kind(session_due_to, session_due)
                )
            if visible < due and (due_to != session_due_to or visible >= session_due):
                kind = AnomalyKind.STALE_READ if shown[due_to][1] else AnomalyKind.READ_INVERSION
                self._report_stale(index, due_to, visible, due, kind)
            after = self._visible_after(index)
            if after > session_due:
                in_session[session] = (after, index)

    def _shown_at_end(self, inversions: bool) -> dict[int, tuple[int, bool]]:
        """Acknowledged strong transaction → (number of events that it shows to whoever comes later, whether by its commit)."""
        shown = {}
        for index, transaction in enumerate(self._transactions):
            if transaction.outcome is Outcome.COMMITTED and transaction.strong:
                if index in self._event_of:
                    shown[index] = (self._event_of[index] + 1, True)
                elif inversions and transaction.snapshot_us is not None:
                    shown[index] = (self._visible(index), False)
        return shown

    def _visible(self, index: int) -> int:
        snapshot_us = self._transactions[index].snapshot_us
        assert snapshot_us is not None
        return bisect_right(self._commit_us, snapshot_us)

    def _visible_after(self, index: int) -> int:
        """Events that the session has seen or made once the transaction has ended."""
        visible = self._visible(index)
        if self._transactions[index].outcome is Outcome.COMMITTED and index in self._event_of:
            visible = max(visible, self._event_of[index] + 1)
        return visible

    def _session_kind(self, other: int, count: int) -> AnomalyKind:
        return AnomalyKind.OWN_WRITES if self._event_of.get(other) == count - 1 else AnomalyKind.MONOTONIC_READS

    def _report_stale(self, index: int, other: int, visible: int, due: int, kind: AnomalyKind) -> None:
        newest = self._journal[visible].position
        what = (
            f"T{index}'s snapshot ends before event {newest}, but T{other}, which had ended before T{index} began, "
            f"{'made' if self._event_of.get(other) == due - 1 else 'saw'} event {self._journal[due - 1].position}"
        )
        self._findings.add(kind, what, [index, other])


def _writes(transaction: Transaction) -> list[tuple[Key, Value]]:
    return [(one.key, one.value) for one in transaction.operations if isinstance(one, Append | Write)]


def _show(content: Content) -> str:
    if isinstance(content, tuple):
        return show_elements(content)
    return "nothing" if content is None else str(content)
