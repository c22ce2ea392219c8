"""Histories as files, and the command line that checks them again.

Goal: what was recorded comes back the same; a file that is no history is refused with its line; the exit status tells
the verdict. Method: hypothesis round trips; the command called in process.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.checker.__main__ import main
from tests.checker.chain import decode_events
from tests.checker.history import (
    Append,
    History,
    Isolation,
    JournalEvent,
    MalformedHistory,
    Outcome,
    ReadList,
    ReadPath,
    ReadRegister,
    Touch,
    Transaction,
    Write,
    decode_history,
    encode_history,
    load_history,
    save_history,
)
from tests.checker.notation import transaction as t
from tests.checker.reference import decode, run

numbers = st.integers(-(2**63), 2**63 - 1)
keys = numbers | st.text(max_size=5)
elements = st.lists(keys, max_size=4).map(tuple)
operations = st.one_of(
    st.builds(Append, keys, keys),
    st.builds(ReadList, keys, elements),
    st.builds(Write, keys, keys),
    st.builds(ReadRegister, keys, st.none() | keys),
)
facts = st.none() | numbers
transactions = st.builds(
    Transaction,
    client=st.text(max_size=5),
    process=numbers,
    began_us=numbers,
    ended_us=numbers,
    outcome=st.sampled_from(Outcome),
    operations=st.lists(operations, max_size=4).map(tuple),
    node=st.text(max_size=5),
    region=st.text(max_size=5),
    isolation=st.sampled_from(Isolation),
    read_path=st.sampled_from(ReadPath),
    snapshot_us=facts,
    commit_us=facts,
    position=facts,
    txid=facts,
    error=st.text(max_size=5),
)
events = st.builds(
    JournalEvent,
    position=numbers,
    commit_us=numbers,
    txid=numbers,
    touches=st.lists(st.tuples(st.binary(max_size=8), st.sampled_from(Touch)), max_size=3).map(tuple),
    contents=st.lists(st.tuples(keys, st.none() | keys | elements), max_size=3).map(tuple),
)
histories = st.builds(
    History,
    st.lists(transactions, max_size=4).map(tuple),
    st.lists(events, max_size=3).map(tuple),
    st.text(max_size=8),
)


@given(histories)
def test_round_trip(history: History) -> None:
    assert decode_history(encode_history(history).splitlines()) == history


def test_lines_are_short_and_readable() -> None:
    history = History((t("a x 1; r x [1]; w y 2; r y -", at=(5, 7), session="c"),), note="seed 17")
    assert encode_history(history).decode().splitlines() == [
        '{"line":"history","version":1,"note":"seed 17"}',
        '{"line":"transaction","client":"c","process":0,"began_us":5,"ended_us":7,"outcome":"committed",'
        '"operations":[["append","x",1],["read-list","x",[1]],["write","y",2],["read-register","y",null]]}',
    ]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "empty"),
        ([b'{"line":"history","version":1}', b'{"line":"history","version":1}'], "line 2: .*one header"),
        ([b'{"line":"event","position":1,"commit_us":1,"txid":1}'], "line 1: .*one header"),
        ([b'{"line":"history","version":2}'], "version 2, known is 1"),
        ([b'{"line":"history","version":1}', b"", b'{"line":"transaction"}'], "line 3"),
        ([b'{"line":"history","version":1}', b"no json"], "line 2"),
    ],
)
def test_what_is_no_history_is_refused(lines: list[bytes], message: str) -> None:
    with pytest.raises(MalformedHistory, match=message):
        decode_history(lines)


def test_command_line_on_a_good_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = run(Random(1))
    history = History(tuple(result.transactions), decode_events(result.events, decode), "seed 1")
    save_history(history, tmp_path / "good.jsonl")
    assert load_history(tmp_path / "good.jsonl") == history
    assert main([str(tmp_path / "good.jsonl")]) == 0
    said = capsys.readouterr().out
    assert said.startswith("seed 1\nno anomaly in ")
    assert f"{len(result.events)} write sets compared" in said


def test_command_line_on_a_bad_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    history = History(
        (t("a x 1", at=(0, 10), txid=1), t("r x []", at=(20, 30)), t("r x [1]", at=(20, 30))),
        (JournalEvent(position=1, commit_us=5, txid=2),),
    )
    save_history(history, tmp_path / "bad.jsonl")
    assert main([str(tmp_path / "bad.jsonl")]) == 1
    said = capsys.readouterr().out
    assert "\nstale read: T1 began 10 µs after T0" in said
    assert "\nacknowledged but missing: T0" in said


def test_command_line_allows_inversions(tmp_path: Path) -> None:
    inversion = History((t("a x 1", at=(0, 100)), t("r x [1]", at=(0, 10)), t("r x []", at=(20, 30))))
    save_history(inversion, tmp_path / "inversion.jsonl")
    assert main([str(tmp_path / "inversion.jsonl")]) == 1
    assert main([str(tmp_path / "inversion.jsonl"), "--no-inversions"]) == 0


def test_command_line_on_a_bank(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    history = History(
        (t("r a 10; r b 10; w a 5; w b 15"), t("r a 5; r b 15; w a 10; w b 10"), t("r a 10; r b 10; w a 5; w b 15"))
    )
    save_history(history, tmp_path / "bank.jsonl")
    assert main([str(tmp_path / "bank.jsonl"), "--bank", "20"]) == 0
    assert main([str(tmp_path / "bank.jsonl"), "--bank", "21"]) == 1
    assert "wrong total × 3" in capsys.readouterr().out
    # As a register history it breaks the contract: values repeat.
    assert main([str(tmp_path / "bank.jsonl")]) == 2
    assert "written twice" in capsys.readouterr().err


def test_command_line_on_no_history(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "missing.jsonl")]) == 2
    (tmp_path / "other.jsonl").write_text("hello\n")
    assert main([str(tmp_path / "other.jsonl")]) == 2
    assert "line 1" in capsys.readouterr().err
