"""Every anomaly by name, on histories from the literature, and the same histories without the flaw.

Goal: each kind is found, under its own name and no other, and explained; a neighbour that is allowed passes.

Method: hand-written histories. Sources: Adya, "Weak Consistency" (MIT, 1999);
Berenson et al. 1995 (P4, A5); Fekete, O'Neil, O'Neil 2004 (read-only anomaly); Sovran et al. 2011 (long fork);
Kingsbury and Alvaro, "Elle" (2020); Terry et al. 1994 (session guarantees); Herlihy and Wing 1990 (real
time). Version orders that the papers give as x₁ ≪ x₂ are the order of list elements here.
"""

from __future__ import annotations

import pytest

from tests.checker.anomalies import check
from tests.checker.history import MalformedHistory, ReadPath, Transaction
from tests.checker.notation import ABORTED, SERIALIZABLE, SNAPSHOT, UNKNOWN
from tests.checker.notation import transaction as t
from tests.checker.report import KEPT_PER_KIND

CASES: dict[str, tuple[str, list[Transaction], list[Transaction]]] = {
    # case: (name of the anomaly, history, the same without the flaw)
    "write cycle, Adya H_wcycle": (
        "G0",
        [t("a x 1; a y 1"), t("a x 2; a y 2"), t("r x [1 2]; r y [2 1]")],
        [t("a x 1; a y 1"), t("a x 2; a y 2"), t("r x [1 2]; r y [1 2]")],
    ),
    "write cycle, registers by journal position": (
        "G0-realtime",
        [t("w x 1", at=(0, 10), position=2), t("w x 2", at=(20, 30), position=1)],
        [t("w x 1", at=(0, 10), position=1), t("w x 2", at=(20, 30), position=2)],
    ),
    "aborted read, Adya G1a": (
        "G1a",
        [t("a x 1", outcome=ABORTED), t("r x [1]")],
        [t("a x 1", outcome=ABORTED), t("r x []")],
    ),
    "aborted read in the middle of a list": (
        "G1a",
        [t("a x 1", outcome=ABORTED), t("a x 2"), t("r x [1 2]")],
        [t("a x 1", outcome=UNKNOWN), t("a x 2"), t("r x [1 2]")],
    ),
    "aborted read of a register": (
        "G1a",
        [t("w x 1", outcome=ABORTED), t("r x 1")],
        [t("w x 1", outcome=UNKNOWN), t("r x 1")],
    ),
    "intermediate read, Adya G1b": (
        "G1b",
        [t("a x 1; a x 2"), t("r x [1]")],
        [t("a x 1; a x 2"), t("r x [1 2]")],
    ),
    "intermediate read of a register, Adya G1b": (
        "G1b",
        [t("w x 1; w x 2"), t("r x 1")],
        [t("w x 1; w x 2"), t("r x 2")],
    ),
    "circular information flow, Adya G1c": (
        "G1c",
        [t("a x 1; r y [2]"), t("a y 2; r x [1]")],
        [t("a x 1; r y []"), t("a y 2; r x [1]")],
    ),
    "circular information flow, registers": (
        "G1c",
        [t("w x 1; r y 2"), t("w y 2; r x 1")],
        [t("w x 1; r y -"), t("w y 2; r x 1")],
    ),
    "read skew, Berenson A5A": (
        "G-single",
        [t("a x 1; a y 1"), t("r x []; r y [1]")],
        [t("a x 1; a y 1"), t("r x [1]; r y [1]")],
    ),
    "read skew, registers": (
        "G-single",
        [t("w x 1; w y 1"), t("r x 1; w x 2; w y 2"), t("r x 1; r y 2")],
        [t("w x 1; w y 1"), t("r x 1; w x 2; w y 2"), t("r x 2; r y 2")],
    ),
    "observed transaction vanishes, Hermitage OTV": (
        "G-single",
        [t("a x 1; a y 1"), t("r x [1]; a x 2; a y 2"), t("r x [1 2]; r y [1]"), t("r y [1 2]")],
        [t("a x 1; a y 1"), t("r x [1]; a x 2; a y 2"), t("r x [1 2]; r y [1 2]"), t("r y [1 2]")],
    ),
    "TiDB's append over an append it did not see, Elle": (
        "G-single",
        [t("a 34 2; a 34 1"), t("r 34 [2 1]; a 36 5; a 34 4"), t("a 34 5"), t("r 34 [2 1 5 4]")],
        [t("a 34 2; a 34 1"), t("r 34 [2 1 5]; a 36 5; a 34 4"), t("a 34 5"), t("r 34 [2 1 5 4]")],
    ),
    "lost update, Berenson P4": (
        "lost update",
        [t("w x 10"), t("r x 10; w x 11"), t("r x 10; w x 12")],
        [t("w x 10"), t("r x 10; w x 11"), t("r x 11; w x 12")],
    ),
    "lost update of a list that nobody reads again": (
        "lost update",
        [t("r x []; a x 1"), t("r x []; a x 2")],
        [t("r x []; a x 1"), t("r x []; a x 2", outcome=ABORTED)],
    ),
    "lost update of a list, both shown": (
        "lost update",
        [t("r x []; a x 1"), t("r x []; a x 2"), t("r x [1 2]")],
        [t("r x []; a x 1"), t("r x [1]; a x 2"), t("r x [1 2]")],
    ),
    "long fork, Sovran": (
        "long fork",
        [t("a x 1"), t("a y 1"), t("r x [1]; r y []"), t("r x []; r y [1]")],
        [t("a x 1"), t("a y 1"), t("r x [1]; r y []"), t("r x [1]; r y [1]")],
    ),
    "two anti-dependencies with a write between": (
        "G-nonadjacent",
        [
            t("a x 1; a u 1"),
            t("a y 1; a v 1"),
            t("r y []; a u 2"),
            t("r x []; a v 2"),
            t("r u [1 2]; r v [1 2]; r x [1]; r y [1]"),
        ],
        [
            t("a x 1; a u 1"),
            t("a y 1; a v 1"),
            t("r y []; a u 2"),
            t("r x [1]; a v 2"),
            t("r u [1 2]; r v [1 2]; r x [1]; r y [1]"),
        ],
    ),
    "write skew, Berenson A5B": (
        "G2-item",
        [
            t("w x 1; w y 1"),
            t("r x 1; r y 1; w x 2", isolation=SERIALIZABLE),
            t("r x 1; r y 1; w y 3", isolation=SERIALIZABLE),
        ],
        [t("w x 1; w y 1"), t("r x 1; r y 1; w x 2"), t("r x 1; r y 1; w y 3")],
    ),
    "phantom write skew, Adya G2: both looked for the other's row": (
        "G2",
        [t("r x []; a y 1", isolation=SERIALIZABLE), t("r y []; a x 1", isolation=SERIALIZABLE)],
        [t("r x []; a y 1"), t("r y []; a x 1")],
    ),
    "mixed levels, after Adya's mixing rule: the pivot alone is SERIALIZABLE": (
        "G2",
        [t("r x []; a y 1", isolation=SERIALIZABLE), t("a x 1"), t("r x [1]; r y []")],
        [t("r x []; a y 1"), t("a x 1"), t("r x [1]; r y []", isolation=SERIALIZABLE)],
    ),
    "read-only transaction anomaly, Fekete": (
        "G2-item",
        [
            t("w x 0; w y 0"),
            t("r y 0; w y 20", isolation=SERIALIZABLE),
            t("r x 0; r y 0; w x -11", isolation=SERIALIZABLE),
            t("r x 0; r y 20", isolation=SERIALIZABLE),
        ],
        [
            t("w x 0; w y 0"),
            t("r y 0; w y 20"),
            t("r x 0; r y 0; w x -11"),
            t("r x 0; r y 20"),
        ],
    ),
    "SERIALIZABLE against real time": (
        "G2-realtime",
        [
            t("r x []; a y 1", at=(0, 100), isolation=SERIALIZABLE),
            t("a x 1", at=(10, 20)),
            t("r y []; r z []", at=(30, 40), isolation=SERIALIZABLE),
            t("r y [1]", at=(120, 130)),
        ],
        [
            t("r x []; a y 1", at=(0, 100)),
            t("a x 1", at=(10, 20)),
            t("r y []; r z []", at=(30, 40)),
            t("r y [1]", at=(120, 130)),
        ],
    ),
    "a transaction forgets its own append": (
        "internal inconsistency",
        [t("a x 1; r x []")],
        [t("a x 1; r x [1]")],
    ),
    "a transaction forgets its own write": (
        "internal inconsistency",
        [t("w x 1; r x -")],
        [t("w x 1; r x 1")],
    ),
    "fuzzy read, Berenson P2": (
        "internal inconsistency",
        [t("a x 1"), t("r x []; r x [1]")],
        [t("a x 1"), t("r x [1]; r x [1]")],
    ),
    "fuzzy read of a register": (
        "internal inconsistency",
        [t("w x 1"), t("r x -; r x 1")],
        [t("w x 1"), t("r x 1; r x 1")],
    ),
    "a transaction reads what it has not written yet": (
        "internal inconsistency",
        [t("r x [1]; a x 1")],
        [t("r x []; a x 1")],
    ),
    "an element twice": (
        "duplicate element",
        [t("a x 1"), t("r x [1 1]")],
        [t("a x 1"), t("r x [1]")],
    ),
    "an element from nowhere": (
        "garbage read",
        [t("r x [7]")],
        [t("r x []")],
    ),
    "a value from nowhere": (
        "garbage read",
        [t("r x 7")],
        [t("r x -")],
    ),
    "two histories of one list, Elle": (
        "incompatible order",
        [t("a x 1"), t("a x 2"), t("r x [1 2]"), t("r x [2 1]")],
        [t("a x 1"), t("a x 2"), t("r x [1 2]"), t("r x [1]")],
    ),
    "an append that later ones cover, and that is not there": (
        "incompatible order",
        [t("a x 1"), t("a x 2"), t("r x [1]"), t("r x [2]")],
        [t("a x 1"), t("a x 2"), t("r x [1]"), t("r x [1 2]")],
    ),
    "a transaction's own appends change places": (
        "incompatible order",
        [t("a x 1; a x 2; a x 3"), t("r x [2 1 3]")],
        [t("a x 1; a x 2; a x 3"), t("r x [1 2 3]")],
    ),
    "the first half of a transaction's appends is gone": (
        "lost write",
        [t("a x 1; a x 2"), t("r x [2]")],
        [t("a x 1; a x 2"), t("r x [1 2]")],
    ),
    "half of a transaction's appends are gone": (
        "lost write",
        [t("a x 1; a x 2"), t("a x 3"), t("r x [1 3]")],
        [t("a x 1; a x 2"), t("a x 3"), t("r x [1 2 3]")],
    ),
    "an acknowledged append that no later read shows": (
        "lost write",
        [t("a x 1", at=(0, 10)), t("r x []", at=(20, 30))],
        [t("a x 1", at=(0, 20)), t("r x []", at=(20, 30))],
    ),
    "replaced in a circle": (
        "cyclic version order",
        [t("w x 1", at=(20, 30)), t("r x 1; w x 2", at=(0, 10))],
        [t("w x 1", at=(0, 30)), t("r x 1; w x 2", at=(0, 10))],
    ),
    "stale read, Herlihy and Wing": (
        "stale read",
        [t("a x 1", at=(0, 10)), t("r x []", at=(11, 20)), t("r x [1]", at=(11, 20))],
        [t("a x 1", at=(0, 10)), t("r x []", at=(9, 20)), t("r x [1]", at=(11, 20))],
    ),
    "stale read of a register": (
        "stale read",
        [t("w x 1", at=(0, 10)), t("w x 2", at=(20, 30)), t("r x 1", at=(40, 50))],
        [t("w x 1", at=(0, 10)), t("w x 2", at=(20, 30)), t("r x 2", at=(40, 50))],
    ),
    "what was read before in real time is missed, by a chain": (
        "G-single-realtime",
        [t("a x 1", at=(0, 100)), t("r x [1]", at=(0, 10)), t("a y 1", at=(20, 30)), t("r y [1]; r x []", at=(5, 40))],
        [t("a x 1", at=(0, 100)), t("r x [1]", at=(0, 10)), t("a y 1", at=(20, 30)), t("r y [1]; r x [1]", at=(5, 40))],
    ),
    "a later read sees less, Herlihy and Wing": (
        "read inversion",
        [t("a x 1", at=(0, 100)), t("r x [1]", at=(0, 10)), t("r x []", at=(20, 30))],
        [t("a x 1", at=(0, 100)), t("r x [1]", at=(0, 10)), t("r x [1]", at=(20, 30))],
    ),
    "read your writes, Terry": (
        "own writes",
        [t("a x 1", at=(0, 10), session="s"), t("r x []", at=(10, 20), session="s")],
        [t("a x 1", at=(0, 10), session="s"), t("r x []", at=(10, 20), session="r")],
    ),
    "read your writes, registers": (
        "own writes",
        [t("w x 1", at=(0, 10), session="s"), t("r x -", at=(10, 20), session="s")],
        [t("w x 1", at=(0, 10), session="s"), t("r x 1", at=(10, 20), session="s")],
    ),
    "monotonic reads, Terry": (
        "monotonic reads",
        [t("a x 1"), t("r x [1]", at=(0, 10), session="s"), t("r x []", at=(10, 20), session="s")],
        [t("a x 1"), t("r x []", at=(0, 10), session="s"), t("r x [1]", at=(10, 20), session="s")],
    ),
    "monotonic reads, registers": (
        "monotonic reads",
        [t("w x 1"), t("r x 1", at=(0, 10), session="s"), t("r x -", at=(10, 20), session="s")],
        [t("w x 1"), t("r x -", at=(0, 10), session="s"), t("r x 1", at=(10, 20), session="s")],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_anomaly_is_found_by_name(case: str) -> None:
    name, history, _ = CASES[case]
    report = check(history)
    assert report.names == {name}, report


@pytest.mark.parametrize("case", CASES)
def test_without_the_flaw_it_passes(case: str) -> None:
    _, _, history = CASES[case]
    report = check(history)
    assert report.ok, report


def test_explanation_can_be_followed() -> None:
    history = [
        t("a x 1; a y 1", session="alice"),
        t("r x []; r y [1]", session="bob", at=(5, 9)),
    ]
    (anomaly,) = check(history).anomalies
    assert str(anomaly).splitlines() == [
        "G-single: T0 → T1 → T0: each must come before the next",
        "    T0 (alice/0, snapshot, index, 0–1000 µs, committed): append x 1; append y 1",
        "    T1 (bob/0, snapshot, index, 5–9 µs, committed): read x → []; read y → [1]",
        "    T0 → T1 (wr): T1 read y = 1, which T0 wrote",
        "    T1 → T0 (rw): T1 read x = [] and did not see 1, which T0 wrote",
    ]
    assert anomaly.transactions == (0, 1)
    assert set(anomaly.keys) == {"x", "y"}


def test_independent_anomalies_are_all_found() -> None:
    history = [
        t("a x 1; a y 1"),
        t("r x []; r y [1]"),
        t("a u 1; r v [2]"),
        t("a v 2; r u [1]"),
        t("a p 1; a q 1"),
        t("a p 2; a q 2"),
        t("r p [1 2]; r q [2 1]"),
    ]
    assert check(history).names == {"G-single", "G1c", "G0"}


def test_reading_the_past_on_purpose_is_no_anomaly() -> None:
    history = [
        t("a x 1", at=(0, 10), session="s"),
        t("r x []", at=(20, 30), session="s", read_path=ReadPath.AS_OF),
        t("r x [1]", at=(40, 50), session="s"),
    ]
    assert check(history).ok
    # Still a snapshot: half a transaction is wrong in the past, too.
    torn = [t("a x 1; a y 1", at=(0, 10)), t("r x [1]; r y []", at=(20, 30), read_path=ReadPath.AS_OF)]
    assert check(torn).names == {"G-single"}


def test_read_inversions_can_be_allowed_but_not_stale_reads() -> None:
    inversion = [t("a x 1", at=(0, 100)), t("r x [1]", at=(0, 10)), t("r x []", at=(20, 30))]
    assert not check(inversion).ok
    assert check(inversion, inversions=False).ok
    stale = [t("a x 1", at=(0, 10)), t("r x []", at=(20, 30)), t("r x [1]", at=(20, 30))]
    assert check(stale, inversions=False).names == {"stale read"}


def test_unknown_outcome_concludes_nothing_until_it_is_observed() -> None:
    lost = t("r y []; a x 1", at=(0, 10), outcome=UNKNOWN, session="s")
    assert check([lost, t("r x []", at=(20, 30), session="s")]).ok
    # Observed, it has committed, and what it read counts: it did not see y, whose writer had been acknowledged.
    assert check([t("a y 5", at=(-20, -10)), lost, t("r x []", at=(20, 30))]).ok
    observed = [t("a y 5", at=(-20, -10)), lost, t("r x [1]; r y [5]", at=(20, 30))]
    assert check(observed).names == {"stale read"}
    # It may take effect late, after its client has given up: nothing follows it in time.
    late = [lost, t("r x []", at=(20, 30), session="s"), t("r x [1]", at=(40, 50))]
    assert check(late).ok


def test_observation_makes_a_chain_of_unknown_ones_committed() -> None:
    first = t("a x 1; r z [9]", outcome=UNKNOWN)
    second = t("r x [1]; a y 1", outcome=UNKNOWN)
    assert check([first, second, t("r y []")]).ok
    assert check([first, second, t("r y [1]")]).names == {"garbage read"}


def test_write_skew_needs_a_serializable_reader_at_each_anti_dependency() -> None:
    def skew(first: bool, second: bool) -> list[Transaction]:
        levels = [SERIALIZABLE if serializable else SNAPSHOT for serializable in (first, second)]
        return [
            t("w x 1; w y 1"),
            t("r x 1; r y 1; w x 2", isolation=levels[0]),
            t("r x 1; r y 1; w y 3", isolation=levels[1]),
        ]

    assert check(skew(False, False)).ok
    assert check(skew(True, False)).ok
    assert check(skew(False, True)).ok
    assert check(skew(True, True)).names == {"G2-item"}


def test_a_damaged_run_is_counted_but_not_told_in_full() -> None:
    history = [t(f"r x [{number}]") for number in range(50)]
    report = check(history)
    assert report.counts["garbage read"] == 50
    assert sum(anomaly.name == "garbage read" for anomaly in report.anomalies) == KEPT_PER_KIND


@pytest.mark.parametrize(
    ("history", "message"),
    [
        ([t("a x 1"), t("a x 1")], "written twice"),
        ([t("w x 1; w x 1")], "written twice"),
        ([t("a x 1"), t("r x 1")], "as a list and as a register"),
        ([t("a x 1", at=(0, 10), session="s"), t("a x 2", at=(5, 20), session="s")], "overlap in time"),
        ([t("a x 1", at=(10, 0))], "ended before it began"),
    ],
)
def test_recorders_that_break_the_contract_are_told(history: list[Transaction], message: str) -> None:
    with pytest.raises(MalformedHistory, match=message):
        check(history)
