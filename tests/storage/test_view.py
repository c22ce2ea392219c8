"""The view against a model: a dictionary of versions.

Method: hypothesis writes random histories of events over few keys; at random snapshots every read path (get, forward and
reverse scan, scan in small chunks) must give what the model gives. Then garbage collection up to a horizon must change
nothing that a snapshot at or after the horizon can see, replay must give an equal view, and reopening must keep the frontier.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from journal.errors import CorruptData
from journal.event import Event, WriteKind
from storage import keys
from storage.catalog import PUBLIC_OID, Column, Table, encode_object
from storage.mvcc import VersionedStore
from storage.view import CATALOG_PREFIX, View, compare, replay

PREFIX = keys.prefix(1000, 0)
KEYS = [PREFIX + bytes([number]) for number in range(6)]
END = keys.successor(PREFIX)

Change = tuple[int, bytes]
HISTORIES = st.lists(
    st.dictionaries(
        st.integers(0, 5), st.one_of(st.just(b""), st.binary(min_size=1, max_size=3)), min_size=1, max_size=3
    ),
    min_size=1,
    max_size=40,
)


def event(position: int, writes: list[tuple[bytes, bytes, int]], *, part: int = 0, more: bool = False) -> Event:
    return Event(position, position * 10, position, (0, "", ""), [], [], part, more, [], False, writes)


def events_of(history: list[dict[int, bytes]]) -> list[Event]:
    """The history as events with the kinds that a gateway would give them."""
    present: set[int] = set()
    events = []
    for position, changes in enumerate(history, 1):
        writes = []
        for number, value in changes.items():
            if value:
                kind = WriteKind.UPDATE if number in present else WriteKind.INSERT
                present.add(number)
            else:
                kind = WriteKind.DELETE
                present.discard(number)
            writes.append((KEYS[number], value, int(kind)))
        events.append(event(position, writes))
    return events


def model(history: list[dict[int, bytes]], snapshot: int) -> list[tuple[bytes, bytes]]:
    state: dict[int, bytes] = {}
    for position, changes in enumerate(history, 1):
        if position * 10 <= snapshot:
            state.update(changes)
    return [(KEYS[number], value) for number, value in sorted(state.items()) if value]


def scanned(
    store: VersionedStore, snapshot: int, *, reverse: bool = False, chunk: int = 2
) -> list[tuple[bytes, bytes]]:
    scan = store.scan(PREFIX, END, snapshot, reverse=reverse)
    found = []
    while not scan.done:
        found += scan.fetch(chunk)
    return found


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=HISTORIES, snapshot=st.integers(0, 420), horizon=st.integers(0, 420))
def test_reads_garbage_and_replay(
    tmp_path_factory: pytest.TempPathFactory, history: list[dict[int, bytes]], snapshot: int, horizon: int
) -> None:
    directory = tmp_path_factory.mktemp("view")
    view = View(directory / "view")
    events = events_of(history)
    for item in events:
        view.apply([item])

    def check(at: int) -> None:
        expected = model(history, at)
        assert scanned(view.store, at) == expected
        assert scanned(view.store, at, chunk=1) == expected
        assert scanned(view.store, at, reverse=True) == expected[::-1]
        values = dict(expected)
        for key in KEYS:
            assert view.store.get(key, at) == values.get(key)

    check(snapshot)
    check(view.snapshot)
    replayed = replay(events, directory / "replay", chunk=7)
    assert compare(view, replayed) == []
    while view.collect(horizon, keys_max=2):
        pass
    assert view.horizon < max(horizon, 1)
    kept = view.horizon
    # The horizon is exact enough: whatever is at or after it reads right, also where `collect` was allowed to go further.
    readable = [at for at in range(0, 421, 5) if at >= kept]
    for at in (*readable, max(horizon, snapshot), view.snapshot):
        check(at)
    assert compare(view, replayed) == []
    view.close()
    replayed.close()
    view = View(directory / "view")
    assert view.frontier.position == len(history)
    assert view.horizon == kept
    for at in (*readable, view.snapshot):
        check(at)
    view.close()


def test_many_versions_of_one_key_are_jumped_over(tmp_path: Path) -> None:
    view = View(tmp_path / "view")
    history = [{0: b"%d" % number, 1: b"x"} for number in range(200)]
    view.apply(events_of(history))
    for snapshot in (10, 500, 1990, 2000):
        assert scanned(view.store, snapshot) == model(history, snapshot)
        assert scanned(view.store, snapshot, reverse=True) == model(history, snapshot)[::-1]
    view.close()


def test_large_event_shows_only_when_complete(tmp_path: Path) -> None:
    view = View(tmp_path / "view")
    view.apply([event(1, [(KEYS[0], b"a", 0)])])
    view.apply([event(2, [(KEYS[1], b"b", 0)], more=True)])
    assert view.frontier.position == 1
    assert scanned(view.store, view.snapshot) == [(KEYS[0], b"a")]
    view.apply([event(2, [(KEYS[2], b"c", 0)], part=1)])
    assert scanned(view.store, view.snapshot) == [(KEYS[0], b"a"), (KEYS[1], b"b"), (KEYS[2], b"c")]
    view.close()


def test_feed_may_overlap_but_not_skip(tmp_path: Path) -> None:
    view = View(tmp_path / "view")
    first, second, third = (event(number, [(KEYS[number], b"v", 0)]) for number in (1, 2, 3))
    view.apply([first, second])
    view.apply([first, second])
    assert view.frontier.position == 2
    view.apply([third])
    with pytest.raises(CorruptData, match="position 3"):
        view.apply([event(5, [])])
    view.close()


def test_unflushed_events_are_gone_after_a_crash_and_the_frontier_with_them(tmp_path: Path) -> None:
    """Without its WAL a view that was never flushed comes back empty, at frontier 0: never rows without their frontier."""
    script = (
        "import os, sys; from pathlib import Path; from tests.storage.test_view import *\n"
        "view = View(Path(sys.argv[1])); view.apply([event(1, [(KEYS[0], b'a', 0)])]); view.flush()\n"
        "view.apply([event(2, [(KEYS[1], b'b', 0)])]); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "view")], check=False, cwd=Path(__file__).parents[2])
    view = View(tmp_path / "view")
    assert view.frontier.position == 1
    assert scanned(view.store, 2**62) == [(KEYS[0], b"a")]
    view.close()


def test_flipped_bit_in_a_table_file_is_found(tmp_path: Path) -> None:
    view = View(tmp_path / "view")
    view.apply(events_of([dict.fromkeys(range(6), b"value" * 50)]))
    view.close()
    table = next((tmp_path / "view").glob("*.sst"))
    data = bytearray(table.read_bytes())
    data[len(data) // 3] ^= 1
    table.write_bytes(bytes(data))

    def read_everything() -> None:
        damaged = View(tmp_path / "view")
        scanned(damaged.store, damaged.snapshot)

    with pytest.raises(Exception, match="(?i)corrupt|checksum"):
        read_everything()


def test_another_format_is_refused(tmp_path: Path) -> None:
    view = View(tmp_path / "view")
    view.apply([event(1, [])])
    view.database.put(keys.prefix(0, 0), b"\x93\x01\x02\xa5other")
    view.close()
    with pytest.raises(CorruptData, match="other"):
        View(tmp_path / "view")


def table_record(version: int = 0, storage: int = 1000) -> Table:
    return Table(
        oid=20000,
        name="t",
        version=version,
        schema=PUBLIC_OID,
        storage=storage,
        columns=(Column(number=1, name="a", type=23),),
    )


def catalog_event(position: int, table: Table | None) -> Event:
    key = CATALOG_PREFIX + (20000).to_bytes(4, "big")
    item = event(position, [(key, encode_object(table) if table else b"", int(WriteKind.KEY_UPDATE))])
    item.catalog_changes = [20000]
    return item


def test_catalog_follows_events_and_restarts(tmp_path: Path) -> None:
    view = View(tmp_path / "view")
    assert view.catalog.relation(PUBLIC_OID, "t") is None
    view.apply([catalog_event(1, table_record())])
    assert view.catalog.table(20000) == table_record(version=10)
    before = view.catalog
    view.apply([catalog_event(2, None)])
    assert view.catalog.relation(PUBLIC_OID, "t") is None
    assert before.relation(PUBLIC_OID, "t") is not None
    assert view.load_catalog(10).table(20000) == table_record(version=10)
    view.close()
    view = View(tmp_path / "view")
    assert view.catalog.relation(PUBLIC_OID, "t") is None
    view.close()


def test_storage_of_a_truncated_table_is_collected(tmp_path: Path) -> None:
    view = View(tmp_path / "view")
    view.apply([catalog_event(1, table_record())])
    view.apply([event(2, [(key, b"row", 0) for key in KEYS])])
    view.apply([catalog_event(3, table_record(storage=1001))])
    assert len(scanned(view.store, 30)) == 6
    while view.collect(30):
        pass
    assert len(scanned(view.store, 29)) == 6
    while view.collect(31):
        pass
    assert scanned(view.store, 29) == []
    view.close()
