"""Recent versions: reads through them give what the journal says, at every snapshot, whatever has been forgotten.

Method: hypothesis makes histories of small, large and partial events; a dict of all versions is the model. The generations are made
tiny, so that forgetting happens all the time.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journal.event import Event, Write, WriteKind
from storage import keys, recent
from storage.view import View

KEYS = [keys.prefix(1000, 0) + bytes([number]) for number in range(6)]
WRITES = st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from([b"", b"a", b"b" * 50])), max_size=4)


def event(position: int, writes: list[tuple[bytes, bytes]], part: int = 0, more: bool = False) -> Event:
    changes: list[Write] = [(key, value, int(WriteKind.UPDATE if value else WriteKind.DELETE)) for key, value in writes]
    return Event(position, position * 10, position, (0, "", ""), [], [], part, more, [], False, changes)


@pytest.fixture(autouse=True)
def _tiny_generations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "KEYS_MAX", 2)
    monkeypatch.setattr(recent, "BYTES_MAX", 120)
    monkeypatch.setattr(recent, "EVENT_WRITES_MAX", 2)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(WRITES, min_size=1, max_size=2), max_size=12), st.data())
def test_every_snapshot_reads_what_was_written(
    history: list[list[list[tuple[bytes, bytes]]]], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        view = View(Path(directory) / "view", cache_bytes=1 << 20, write_buffer_bytes=1 << 20)
        versions: dict[bytes, list[tuple[int, bytes]]] = {key: [] for key in KEYS}
        for position, parts in enumerate(history, 1):
            for part, writes in enumerate(parts):
                # A batch that overlaps what the view has already must not bring old versions back.
                view.apply([event(position, writes, part, part < len(parts) - 1)])
                for key, value in dict(writes).items():
                    held = versions[key]
                    if held and held[-1][0] == position * 10:
                        held.pop()
                    held.append((position * 10, value))
            if data.draw(st.booleans()):
                view.apply([event(position, [(KEYS[0], b"overlap")])])
            newest = position * 10
            snapshot = data.draw(st.integers(0, newest))
            for key in KEYS:
                for at in (snapshot, newest):
                    seen = [value for written, value in versions[key] if written <= at]
                    assert view.store.get(key, at) == ((seen[-1] or None) if seen else None)
            asked = data.draw(st.lists(st.sampled_from(KEYS), max_size=3))
            expected = any(written > snapshot for key in asked for written, _ in versions[key])
            assert view.store.changed(asked, snapshot, newest) == expected
        view.close()


def test_memory_is_bounded() -> None:
    versions = recent.RecentVersions(0)
    for position in range(1, 200):
        versions.note([event(position, [(KEYS[position % 6], b"x" * 30), (KEYS[(position + 1) % 6], b"y")])])
        assert len(versions.young) <= recent.KEYS_MAX
        assert len(versions.older) <= recent.KEYS_MAX + recent.EVENT_WRITES_MAX
        assert versions.known_since < position * 10
