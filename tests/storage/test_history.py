"""What a view knows of its past: the horizon, and the schemas before the present one.

Goal: a snapshot at or after the horizon finds everything, before and after a crash; and the schema at any such snapshot is the one
that was there, with a version that no other schema has. Method: small histories of tables made, changed and dropped, on real views;
a process that dies without flushing. That rows are right at every snapshot from the horizon on is in test_view.py.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from journal.event import Event, WriteKind
from storage import keys
from storage.catalog import PUBLIC_OID, Catalog, Column, Table, encode_object
from storage.history import CATALOGS_MAX, PastCatalogs
from storage.view import CATALOG_PREFIX, HORIZON_KEY, View

OID = 20000


def catalog_event(position: int, oid: int, columns: int | None, kind: WriteKind) -> Event:
    """The definition of a table with so many columns, or its end (None), committed at ten times the position."""
    value = b""
    if columns is not None:
        made = tuple(Column(number=number, name=f"c{number}", type=23) for number in range(1, columns + 1))
        value = encode_object(Table(oid=oid, name=f"t{oid}", schema=PUBLIC_OID, storage=oid, columns=made))
    write = (CATALOG_PREFIX + oid.to_bytes(4, "big"), value, int(kind))
    return Event(position, position * 10, position, (0, "", ""), [oid], [], 0, False, [], False, [write])


def shape(catalog: Catalog) -> dict[int, int]:
    """OID → number of columns of the user's tables."""
    return {oid: len(item.columns) for oid, item in catalog.objects.items() if isinstance(item, Table) and oid >= OID}


CHANGES = st.lists(st.tuples(st.integers(0, 2), st.none() | st.integers(1, 3)), min_size=1, max_size=25)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES, horizon=st.integers(0, 260), data=st.data())
def test_schema_at_every_snapshot(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int | None]], horizon: int, data: st.DataObject
) -> None:
    view = View(tmp_path_factory.mktemp("view") / "view")
    states: list[dict[int, int]] = [{}]
    for position, (number, columns) in enumerate(changes, 1):
        oid = OID + number
        state = dict(states[-1])
        kind = WriteKind.DELETE if columns is None else WriteKind.KEY_UPDATE if oid in state else WriteKind.INSERT
        if columns is None:
            state.pop(oid, None)
        else:
            state[oid] = columns
        states.append(state)
        view.apply([catalog_event(position, oid, columns, kind)])
    snapshots = st.lists(st.integers(0, len(changes) * 10), max_size=40)
    versions: dict[int, dict[int, int]] = {}

    def check(asked: list[int]) -> None:
        for snapshot in asked:
            if snapshot < view.horizon:
                continue
            catalog = view.catalog_at(snapshot)
            expected = states[snapshot // 10]
            assert shape(catalog) == expected
            assert versions.setdefault(catalog.version, expected) == expected
        assert view.catalog_at(view.snapshot) is view.catalog

    check(data.draw(snapshots))
    while view.collect(horizon):
        pass
    check(data.draw(snapshots))
    view.close()


def test_one_stretch_of_time_is_loaded_once(tmp_path: Path) -> None:
    view = View(tmp_path / "view")
    for position, columns in enumerate((1, 2, 3), 1):
        view.apply([catalog_event(position, OID, columns, WriteKind.INSERT if position == 1 else WriteKind.UPDATE)])
    first = view.catalog_at(19)
    assert [view.catalog_at(snapshot) is first for snapshot in (10, 15, 19)] == [True] * 3
    assert view.catalog_at(20) is view.catalog_at(29)
    assert view.catalog_at(20) is not first
    assert view.catalog_at(9) is view.catalog_at(0)
    view.close()


def test_schemas_kept_are_bounded() -> None:
    kept = PastCatalogs()
    catalogs = [Catalog({}, number * 10) for number in range(CATALOGS_MAX + 1)]
    for number, catalog in enumerate(catalogs[:-1]):
        kept.put(catalog, number * 10 + 5, number * 10 + 10)
    assert kept.find(3) is catalogs[0]  # so that the second is the one used longest ago
    kept.put(catalogs[-1], CATALOGS_MAX * 10, CATALOGS_MAX * 10 + 10)
    assert kept.find(12) is None
    assert kept.find(0) is catalogs[0]
    assert kept.find(CATALOGS_MAX * 10 + 9) is catalogs[-1]
    assert kept.find(CATALOGS_MAX * 10 + 10) is None


def test_dropped_storage_moves_the_horizon(tmp_path: Path) -> None:
    view = View(tmp_path / "view")
    row = (keys.prefix(OID, 0) + b"k", b"value", int(WriteKind.INSERT))
    view.apply([catalog_event(1, OID, 1, WriteKind.INSERT)])
    view.apply([Event(2, 20, 2, (0, "", ""), [], [], 0, False, [], False, [row])])
    view.apply([catalog_event(3, OID, None, WriteKind.DELETE)])
    while view.collect(30):
        pass
    assert view.horizon == 0
    assert [value for stored, value in view.contents() if stored.startswith(row[0])] == [b"value"]
    while view.collect(31):
        pass
    assert view.horizon == 30
    assert not [stored for stored, _ in view.contents() if stored.startswith(row[0])]
    view.close()


def test_horizon_is_never_behind_what_a_crash_leaves(tmp_path: Path) -> None:
    """Killed between the removal of a dropped table's rows and the end of `collect`, with all of it on disk."""
    script = (
        "import os, sys; from pathlib import Path; from tests.storage.test_history import *\n"
        "view = View(Path(sys.argv[1])); row = (keys.prefix(OID, 0) + b'k', b'value', int(WriteKind.INSERT))\n"
        "view.apply([catalog_event(1, OID, 1, WriteKind.INSERT)])\n"
        "view.apply([Event(2, 20, 2, (0, '', ''), [], [], 0, False, [], False, [row])])\n"
        "view.apply([catalog_event(3, OID, None, WriteKind.DELETE)])\n"
        "removes = view.database.delete_range\n"
        "class Dying:\n"
        "    def __getattr__(self, name): return getattr(database, name)\n"
        "    def delete_range(self, *ends): database.delete_range(*ends); database.flush(wait=True); os._exit(9)\n"
        "database, view.database = view.database, Dying()\n"
        "view.collect(1000)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "view")], check=False, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == 9
    view = View(tmp_path / "view")
    assert view.store.get(keys.prefix(OID, 0) + b"k", 29) is None
    assert view.horizon == 30
    view.close()


def test_a_view_without_a_horizon_has_no_past(tmp_path: Path) -> None:
    """As they were made before there was one."""
    view = View(tmp_path / "view")
    view.apply([catalog_event(1, OID, 1, WriteKind.INSERT)])
    view.database.delete(HORIZON_KEY)
    view.close()
    view = View(tmp_path / "view")
    assert view.horizon == 10
    view.close()
