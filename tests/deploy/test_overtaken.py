"""A view that is ahead of the event log takes nothing twice, nothing too early, and nothing of another history."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from deploy.node import Overtaken
from journal.event import Event
from storage.mvcc import DamagedView


def event(position: int, commit_ts: int, part: int = 0, more: bool = False) -> Event:
    return Event(position, commit_ts, position, (1, "", ""), [], [], part, more, [], False, [])


def overtaken(position: int) -> tuple[Overtaken, list[Event]]:
    taken: list[Event] = []
    view = SimpleNamespace(path=Path("view"), frontier=(position, position * 10, "f"), apply=taken.extend)
    return Overtaken(view), taken  # type: ignore[arg-type]


def test_the_log_arrives() -> None:
    subject, taken = overtaken(5)
    subject.apply([event(3, 30)])
    subject.apply([event(4, 40, 0, True)])
    subject.apply([event(4, 40, 1), event(5, 50)])
    assert taken == []
    subject.apply([event(6, 60)])
    subject.apply([event(7, 70)])
    assert [each.position for each in taken] == [6, 7]


def test_the_log_arrives_and_goes_on_at_once() -> None:
    subject, taken = overtaken(5)
    subject.apply([event(5, 50), event(6, 60)])
    # A view skips by itself what it has (storage.view.View.apply).
    assert taken[-1].position == 6


def test_another_history() -> None:
    subject, taken = overtaken(5)
    subject.apply([event(4, 44)])
    with pytest.raises(DamagedView, match="position 5 at 50, but the journal has it at 55"):
        subject.apply([event(5, 55), event(6, 60)])
    assert taken == []
