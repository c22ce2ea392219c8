"""The journal's proof, point by point, and the chain of the journal itself.

Goal: each point of `proof.py` is refuted by the smallest history that breaks it, under its own name, and holds for the
same history unbroken. Method: journals of a few hand-made, correctly chained events. The conflict table is written out
from architecture §3.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import pytest

from journal.event import GENESIS_HASH, Event, LockStrength, WriteKind, chain_hash, encode_event_body
from tests.checker.chain import check_chain, decode_events
from tests.checker.history import Content, JournalEvent, Key, ReadPath, Touch, Transaction
from tests.checker.notation import ABORTED, SERIALIZABLE, UNKNOWN
from tests.checker.notation import transaction as t
from tests.checker.proof import prove, prove_journal
from tests.checker.reference import decode, make_event


def event(position: int, commit_us: int, txid: int, **contents: Content) -> JournalEvent:
    """An event that leaves recorded keys with these contents, each of which is a stored row."""
    touches = tuple((key.encode(), Touch.UPDATE) for key in contents)
    return JournalEvent(
        position=position, commit_us=commit_us, txid=txid, touches=touches, contents=tuple(contents.items())
    )


@dataclass(frozen=True)
class Case:
    name: str
    history: list[Transaction]
    journal: list[JournalEvent]
    right_history: list[Transaction]
    right_journal: list[JournalEvent]


FIRST = event(1, 100, 1, x=(1,))
ONE = t("a x 1", at=(0, 110), snapshot=0, commit=100, position=1, txid=1)
CASES = {
    "1: two overlapping writers of one key": Case(
        "overlapping writes",
        [ONE, t("a x 2", at=(0, 300), snapshot=50, txid=2)],
        [FIRST, event(2, 200, 2, x=(2,))],
        [ONE, t("a x 2", at=(0, 300), snapshot=100, txid=2)],
        [FIRST, event(2, 200, 2, x=(1, 2))],
    ),
    "1: overlap with an event that nobody recorded": Case(
        "overlapping writes",
        [t("w y 2", at=(0, 300), snapshot=99, txid=2)],
        [event(1, 100, 9, y=7), event(2, 200, 2, y=2)],
        [t("w y 2", at=(0, 300), snapshot=100, txid=2)],
        [event(1, 100, 9, y=7), event(2, 200, 2, y=2)],
    ),
    "2: a list one version too old": Case(
        "read is not the snapshot's",
        [ONE, t("r x []", at=(0, 300), snapshot=100)],
        [FIRST],
        [ONE, t("r x []", at=(0, 300), snapshot=99)],
        [FIRST],
    ),
    "2: a list one version too new": Case(
        "read is not the snapshot's",
        [ONE, t("r x [1]", at=(0, 300), snapshot=99)],
        [FIRST],
        [ONE, t("r x [1]", at=(0, 300), snapshot=100)],
        [FIRST],
    ),
    "2: a register, in a transaction that aborted": Case(
        "read is not the snapshot's",
        [t("w x 5", at=(0, 110), snapshot=0, txid=1), t("r x -", outcome=ABORTED, snapshot=150)],
        [event(1, 100, 1, x=5)],
        [t("w x 5", at=(0, 110), snapshot=0, txid=1), t("r x 5", outcome=ABORTED, snapshot=150)],
        [event(1, 100, 1, x=5)],
    ),
    "2: own writes lie over the snapshot": Case(
        "read is not the snapshot's",
        [ONE, t("r x [1]; a x 2; r x [1]", outcome=ABORTED, snapshot=100)],
        [FIRST],
        [ONE, t("r x [1]; a x 2; r x [1 2]", outcome=ABORTED, snapshot=100)],
        [FIRST],
    ),
    "3: acknowledged, and not there": Case(
        "acknowledged but missing",
        [ONE, t("a x 2", at=(0, 300), snapshot=100, txid=2)],
        [FIRST],
        [ONE, t("a x 2", at=(0, 300), snapshot=100, txid=2, outcome=UNKNOWN)],
        [FIRST],
    ),
    "3: acknowledged, and not there, known by its writes": Case(
        "acknowledged but missing",
        [ONE, t("a x 2")],
        [FIRST],
        [ONE, t("a x 2")],
        [FIRST, event(2, 200, 77, x=(1, 2))],
    ),
    "3: committed twice": Case(
        "committed twice",
        [t("w x 5", snapshot=0, txid=1)],
        [event(1, 100, 1, x=5), event(2, 200, 1, x=5)],
        [t("w x 5", snapshot=0, txid=1)],
        [event(1, 100, 1, x=5), event(2, 200, 2)],
    ),
    "3: committed twice under two ids, known by its writes": Case(
        "committed twice",
        [t("w x 5")],
        [event(1, 100, 1, x=5), event(2, 200, 2, x=5)],
        [t("w x 5")],
        [event(1, 100, 1, x=5), event(2, 200, 2, x=6)],
    ),
    "3: aborted, and there": Case(
        "aborted but committed",
        [t("a x 1", snapshot=0, txid=1, outcome=ABORTED)],
        [FIRST],
        [t("a x 1", snapshot=0, txid=1, outcome=UNKNOWN)],
        [FIRST],
    ),
    "3: aborted, and there, known by its writes": Case(
        "aborted but committed",
        [t("a x 1", outcome=ABORTED)],
        [FIRST],
        [t("a x 2", outcome=ABORTED)],
        [FIRST],
    ),
    "3: the event lacks a write": Case(
        "event is not the transaction's",
        [t("a x 1; w y 2", snapshot=0, txid=1)],
        [event(1, 100, 1, x=(1,))],
        [t("a x 1; w y 2", snapshot=0, txid=1)],
        [event(1, 100, 1, x=(1,), y=2)],
    ),
    "3: the event has a write too many": Case(
        "event is not the transaction's",
        [t("a x 1", snapshot=0, txid=1)],
        [event(1, 100, 1, x=(1,), y=2)],
        [t("a x 1", snapshot=0, txid=1)],
        [event(1, 100, 1, x=(1,))],
    ),
    "3: the event has other contents": Case(
        "event is not the transaction's",
        [t("a x 1; a x 2", snapshot=0, txid=1)],
        [event(1, 100, 1, x=(2, 1))],
        [t("a x 1; a x 2", snapshot=0, txid=1)],
        [event(1, 100, 1, x=(1, 2))],
    ),
    "3: the client was told another position": Case(
        "event is not the transaction's",
        [t("a x 1", snapshot=0, txid=1, position=2, commit=100)],
        [FIRST],
        [ONE],
        [FIRST],
    ),
    "4: a gap in the positions": Case("journal order", [], [FIRST, event(3, 200, 3)], [], [FIRST, event(2, 200, 3)]),
    "4: a timestamp that does not rise": Case(
        "journal order", [], [FIRST, event(2, 100, 3)], [], [FIRST, event(2, 101, 3)]
    ),
    "5: a snapshot older than an acknowledged event": Case(
        "stale read",
        [ONE, t("r y []", at=(111, 120), snapshot=99)],
        [FIRST],
        [ONE, t("r y []", at=(110, 120), snapshot=99)],
        [FIRST],
    ),
    "5: not promised on AS OF": Case(
        "stale read",
        [ONE, t("r y []", at=(111, 120), snapshot=99)],
        [FIRST],
        [ONE, t("r y []", at=(111, 120), snapshot=99, read_path=ReadPath.AS_OF)],
        [FIRST],
    ),
    "5: a snapshot that lacks the session's own commit": Case(
        "own writes",
        [
            t("a x 1", at=(0, 110), snapshot=0, txid=1, session="s"),
            t("r y []", at=(110, 120), snapshot=99, session="s"),
        ],
        [FIRST],
        [
            t("a x 1", at=(0, 110), snapshot=0, txid=1, session="s"),
            t("r y []", at=(110, 120), snapshot=99, session="r"),
        ],
        [FIRST],
    ),
    "5: a snapshot older than the session's last": Case(
        "monotonic reads",
        [
            t("r x [1]", at=(0, 110), snapshot=100, session="s"),
            t("r y []", at=(110, 120), snapshot=99, session="s"),
        ],
        [FIRST],
        [
            t("r x []", at=(0, 110), snapshot=98, session="s"),
            t("r y []", at=(110, 120), snapshot=99, session="s"),
        ],
        [FIRST],
    ),
    "5: a snapshot older than one that has been shown": Case(
        "read inversion",
        [t("r x [1]", at=(0, 110), snapshot=100), t("r y []", at=(111, 120), snapshot=99)],
        [FIRST],
        [t("r x [1]", at=(0, 110), snapshot=150), t("r y []", at=(111, 120), snapshot=100)],
        [FIRST],
    ),
    "6: what a SERIALIZABLE transaction read has changed": Case(
        "changed read",
        [ONE, t("r x []; w y 2", at=(0, 300), snapshot=50, txid=2, isolation=SERIALIZABLE)],
        [FIRST, event(2, 200, 2, y=2)],
        [ONE, t("r x []; w y 2", at=(0, 300), snapshot=50, txid=2)],
        [FIRST, event(2, 200, 2, y=2)],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_broken_is_refuted(case: str) -> None:
    report = prove(CASES[case].history, CASES[case].journal)
    assert report.names == {CASES[case].name}, report


@pytest.mark.parametrize("case", CASES)
def test_what_is_not_broken_is_proven(case: str) -> None:
    report = prove(CASES[case].right_history, CASES[case].right_journal)
    assert report.ok, report


def test_read_inversions_can_be_allowed() -> None:
    case = CASES["5: a snapshot older than one that has been shown"]
    assert prove(case.history, case.journal, inversions=False).ok


def test_what_keys_held_before_the_journal_began_counts() -> None:
    history = [t("r x 5; r y [1]", snapshot=50), t("w x 6; a y 2", snapshot=50, txid=1)]
    journal = [event(7, 100, 1, x=6, y=(1, 2))]
    assert prove(history, journal, {"x": 5, "y": (1,)}).ok
    assert not prove(history, journal).ok


def test_balances_that_repeat_are_not_identified_by_value() -> None:
    history = [t("w x 5"), t("w x 5")]
    report = prove(history, [event(1, 100, 1, x=5), event(2, 200, 2, x=5)])
    assert report.ok
    assert dict(report.examined)["unidentified"] == 2


def test_the_report_counts_what_was_proven() -> None:
    report = prove([ONE, t("r x [1]", at=(200, 300), snapshot=100), t("r x [1]", at=(200, 300))], [FIRST])
    assert dict(report.examined) == {
        "events": 1,
        "reads compared": 1,
        "write sets compared": 1,
        "transactions found in the journal": 1,
        "unidentified": 0,
    }


X, U, S = Touch.EXCLUSIVE, Touch.UPDATE, Touch.SHARE
EXCLUDED = {(X, X), (X, U), (X, S), (U, X), (U, U), (S, X)}
"""Architecture §3: (the later one, the one already committed)."""


@pytest.mark.parametrize("later", Touch)
@pytest.mark.parametrize("earlier", Touch)
def test_conflicts_are_architectures(earlier: Touch, later: Touch) -> None:
    journal = [
        JournalEvent(position=1, commit_us=100, txid=1, touches=((b"k", earlier),)),
        JournalEvent(position=2, commit_us=200, txid=2, touches=((b"k", later),)),
    ]
    report = prove([t("", snapshot=50, txid=2)], journal)
    assert report.ok == ((later, earlier) not in EXCLUDED)
    assert prove([t("", snapshot=100, txid=2)], journal).ok


def chained() -> list[Event]:
    """Three good events."""
    events: list[Event] = []
    for position in (1, 2, 3):
        previous_hash = events[-1].hash if events else GENESIS_HASH
        events.append(make_event(position, 100 * position, position, {f"k{position}": position}, previous_hash))
    return events


def chain_again(events: list[Event]) -> list[Event]:
    """Correct hashes for whatever the events say."""
    previous_hash = GENESIS_HASH
    for one in events:
        body = encode_event_body(
            one.position, one.commit_ts, one.txid, one.provenance, [], [], one.writes, one.part, one.more
        )
        one.previous_hash, one.hash = previous_hash, chain_hash(previous_hash, body)
        previous_hash = one.hash
    return events


def test_a_good_chain_is_good_from_any_event_on() -> None:
    assert check_chain([]).ok
    assert check_chain(chained()).ok
    assert check_chain(chained()[1:]).ok


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"txid": 99}, "hash chain"),
        ({"writes": []}, "hash chain"),
        ({"hash": bytes(32)}, "hash chain"),
        ({"previous_hash": bytes(32)}, "hash chain"),
        ({"position": 3}, "journal order"),
        ({"commit_ts": 100}, "journal order"),
        ({"commit_ts": 300}, "journal order"),
        ({"part": 1}, "journal order"),
        ({"more": True}, "journal order"),
    ],
)
def test_a_changed_event_breaks_the_chain(change: dict[str, object], name: str) -> None:
    events = chained()
    events[1] = msgspec.structs.replace(events[1], **change)
    assert name in check_chain(events).names
    if name == "journal order":
        assert check_chain(chain_again(events)).names == {name}


def test_a_removed_or_repeated_event_breaks_the_chain() -> None:
    first, second, third = chained()
    assert check_chain([first, third]).names == {"journal order", "hash chain"}
    assert check_chain([first, second, second, third]).names == {"journal order", "hash chain"}
    forged = make_event(1, 100, 1, {"k": 1}, b"\x01" * 32)
    assert check_chain([forged]).names == {"hash chain"}


def in_parts(*, complete: bool = True) -> list[Event]:
    """One event in three parts, or only two of them."""
    whole = [
        msgspec.structs.replace(make_event(1, 100, 1, {f"k{part}": part}, GENESIS_HASH), part=part, more=part < 2)
        for part in range(3)
    ]
    return chain_again(whole if complete else whole[:2])


def test_parts_belong_together() -> None:
    assert check_chain(in_parts()).ok
    assert check_chain(in_parts(complete=False)).names == {"journal order"}
    first, _, third = in_parts()
    assert check_chain(chain_again([first, third])).names == {"journal order"}


def test_parts_become_one_event() -> None:
    (one,) = decode_events(in_parts(), decode)
    assert (one.position, one.commit_us, one.txid) == (1, 100, 1)
    assert dict(one.contents) == {"k0": 0, "k1": 1, "k2": 2}
    assert [touch for _, touch in one.touches] == [Touch.UPDATE] * 3


def test_strengths_of_writes_and_locks() -> None:
    """As `journal.event` describes its kinds: entries of non-unique indexes and unchecked rows take no part."""
    expected = {
        WriteKind.INSERT: X,
        WriteKind.UPDATE: U,
        WriteKind.DELETE: X,
        WriteKind.KEY_UPDATE: X,
        WriteKind.ENTRY_PUT: None,
        WriteKind.ENTRY_DELETE: None,
        WriteKind.UNIQUE_PUT: X,
        WriteKind.UNIQUE_DELETE: X,
        WriteKind.UNCHECKED: None,
    }
    assert set(expected) == set(WriteKind)
    writes = [(bytes([kind]), b"", int(kind)) for kind in WriteKind]
    locks = [(b"lock" + bytes([strength]), int(strength)) for strength in LockStrength]
    one = msgspec.structs.replace(make_event(1, 100, 1, {}, GENESIS_HASH), writes=writes, locks=locks)

    def no_keys(_: Event) -> list[tuple[Key, Content]]:
        return []

    (decoded,) = decode_events([one], no_keys)
    assert dict(decoded.touches) == {
        **{bytes([kind]): touch for kind, touch in expected.items() if touch is not None},
        b"lock" + bytes([LockStrength.KEY_SHARE]): S,
        b"lock" + bytes([LockStrength.EXCLUSIVE]): X,
        b"lock" + bytes([LockStrength.NO_KEY_UPDATE]): U,
    }


def test_the_whole_proof_joins_both() -> None:
    events = chained()
    history = [t("w k1 1", at=(0, 110), snapshot=0, txid=1), t("r k1 1; r k2 2", at=(250, 260), snapshot=200)]
    report = prove_journal(history, events, decode)
    assert report.ok, report
    assert dict(report.examined)["events in the chain"] == 3
    events[2] = msgspec.structs.replace(events[2], txid=1)
    assert prove_journal(history, events, decode).names == {"hash chain", "committed twice"}
