"""The journal's own claims, and its events decoded for the proof.

`check_chain` walks over the events as the event log gives them, parts of large transactions included: positions count
1, 2, 3 … without gaps, commit timestamps rise, parts follow one another, and each hash is SHA-256 of the one before and
the event's bytes. The hash is computed here anew; only the encoding of an event is the journal's own, for it defines
the bytes.

`decode_events` makes one `JournalEvent` of each event. What a key of the workload is in terms of stored rows is the
caller's knowledge: its `Decoder` turns an event's writes into (key, what it now holds). The strength of each stored key
comes from architecture §3's table, written down here a second time on purpose: a mistake in the adjudicator's table
must not be shared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

from journal.event import GENESIS_HASH, Event, LockStrength, WriteKind, encode_event_body
from tests.checker.history import Content, JournalEvent, Key, Touch
from tests.checker.report import AnomalyKind, Findings, Report

Decoder = Callable[[Event], Iterable[tuple[Key, Content]]]
"""The recorded keys that an event (or one part of it) changed, each with what it holds afterwards. Called once for each
event, in order; it may keep state, for instance where each element of a list is a row of its own."""

TOUCH_OF_KIND: dict[int, Touch | None] = {
    WriteKind.INSERT: Touch.EXCLUSIVE,
    WriteKind.UPDATE: Touch.UPDATE,
    WriteKind.DELETE: Touch.EXCLUSIVE,
    WriteKind.KEY_UPDATE: Touch.EXCLUSIVE,
    WriteKind.ENTRY_PUT: None,
    WriteKind.ENTRY_DELETE: None,
    WriteKind.UNIQUE_PUT: Touch.EXCLUSIVE,
    WriteKind.UNIQUE_DELETE: Touch.EXCLUSIVE,
    WriteKind.UNCHECKED: None,
    LockStrength.KEY_SHARE: Touch.SHARE,
    LockStrength.EXCLUSIVE: Touch.EXCLUSIVE,
    LockStrength.NO_KEY_UPDATE: Touch.UPDATE,
}
"""Writes and locks by what they exclude; None is not checked."""


def check_chain(events: Sequence[Event]) -> Report:
    """Positions, timestamps, parts and hashes of the events, from the first given one on."""
    findings = Findings(())
    previous: Event | None = None
    for event in events:
        problem = _order_problem(previous, event)
        if problem is not None:
            findings.add(AnomalyKind.JOURNAL_ORDER, problem, ())
        if previous is not None:
            expected = previous.hash
        else:
            expected = GENESIS_HASH if event.position == 1 else event.previous_hash
        if event.previous_hash != expected or event.hash != _hash(event):
            link = (
                "is not chained to the event before" if event.previous_hash != expected else "is not what its hash says"
            )
            findings.add(AnomalyKind.HASH_CHAIN, f"event {event.position} (part {event.part}) {link}", ())
        previous = event
    if previous is not None and previous.more:
        findings.add(AnomalyKind.JOURNAL_ORDER, f"event {previous.position} ends after part {previous.part}", ())
    return findings.report(("events in the chain", len(events)))


def _order_problem(previous: Event | None, event: Event) -> str | None:
    if previous is None:
        return f"the first event, {event.position}, begins with part {event.part}" if event.part else None
    if previous.more:
        same = (event.position, event.commit_ts, event.txid, event.part) == (
            previous.position,
            previous.commit_ts,
            previous.txid,
            previous.part + 1,
        )
        return None if same else f"part {previous.part} of event {previous.position} is followed by something else"
    if event.position != previous.position + 1 or event.part:
        return f"event {previous.position} is followed by event {event.position}, part {event.part}"
    if event.commit_ts <= previous.commit_ts:
        return (
            f"event {event.position} has commit timestamp {event.commit_ts}, and the one before it {previous.commit_ts}"
        )
    return None


def _hash(event: Event) -> bytes:
    body = encode_event_body(
        event.position,
        event.commit_ts,
        event.txid,
        event.provenance,
        event.catalog_changes,
        event.locks,
        event.writes,
        event.part,
        event.more,
        event.relations,
        event.bulk,
    )
    return hashlib.sha256(event.previous_hash + body).digest()


def decode_events(events: Iterable[Event], decode: Decoder) -> tuple[JournalEvent, ...]:
    """One JournalEvent for each event, its parts joined; events without recorded keys included, for they may conflict."""
    decoded: list[JournalEvent] = []
    touches: list[tuple[bytes, Touch]] = []
    contents: dict[Key, Content] = {}
    for event in events:
        for key, _, kind in event.writes:
            touch = TOUCH_OF_KIND[kind]
            if touch is not None:
                touches.append((key, touch))
        for key, strength in event.locks:
            touch = TOUCH_OF_KIND[strength]
            if touch is not None:
                touches.append((key, touch))
        contents.update(decode(event))
        if not event.more:
            decoded.append(
                JournalEvent(
                    position=event.position,
                    commit_us=event.commit_ts,
                    txid=event.txid,
                    touches=tuple(touches),
                    contents=tuple(contents.items()),
                )
            )
            touches, contents = [], {}
    return tuple(decoded)
