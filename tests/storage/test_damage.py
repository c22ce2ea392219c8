"""A flipped bit in a view's file is an error for whoever reads there, never a shorter answer.

Method: a view with 20 000 rows is flushed and closed; one bit of its SST file is flipped in the middle of the data; the view is
opened again and every way of reading is tried: point reads, scans both ways, whole contents, garbage collection. Each read
either gives what was written or raises DamagedView; and at least one must raise.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from journal.event import Event, WriteKind
from storage import keys
from storage.mvcc import DamagedView
from storage.view import View

ROWS = 20_000
TABLE = keys.prefix(77, 0)
KEYS = [TABLE + number.to_bytes(4, "big") for number in range(ROWS)]


def value_of(number: int) -> bytes:
    return random.Random(number).randbytes(40)


@pytest.fixture
def damaged(tmp_path: Path) -> View:
    view = View(tmp_path / "view")
    writes = [(key, value_of(number), WriteKind.INSERT) for number, key in enumerate(KEYS)]
    view.apply([Event(1, 1000, 1, (1, "", ""), [], [], 0, False, [], False, writes)])
    view.close()
    largest = max((tmp_path / "view").glob("*.sst"), key=lambda path: path.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 0x10
    largest.write_bytes(data)
    return View(tmp_path / "view")


def test_point_reads(damaged: View) -> None:
    errors = []
    for number, key in enumerate(KEYS):
        try:
            assert damaged.store.get(key, 2000) == value_of(number)
        except DamagedView as error:
            errors.append(str(error))
    assert 0 < len(errors) < 1000
    assert all(".sst" in error for error in errors)
    damaged.close()


def fetch_all(view: View, low: bytes, high: bytes, *, reverse: bool) -> list[bytes]:
    scan = view.store.scan(low, high, 2000, reverse=reverse)
    found = []
    while not scan.done:
        found += [key for key, _ in scan.fetch(100)]
    return found


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("high", [keys.successor(TABLE), b""])
def test_scans(damaged: View, reverse: bool, high: bytes) -> None:
    with pytest.raises(DamagedView):
        fetch_all(damaged, TABLE, high, reverse=reverse)
    assert fetch_all(damaged, TABLE, KEYS[100], reverse=reverse) == (KEYS[99::-1] if reverse else KEYS[:100])
    damaged.close()


@pytest.mark.parametrize(
    "read",
    [
        lambda view: list(view.contents()),
        lambda view: [view.store.scan(TABLE, keys.successor(TABLE), 2000).fetch_rows(ROWS, lambda value: [value])],
    ],
)
def test_whole_contents(damaged: View, read: Callable[[View], object]) -> None:
    with pytest.raises(DamagedView):
        read(damaged)
    damaged.close()


def test_compaction_of_damaged_files(damaged: View) -> None:
    """What RocksDB finds by itself, while it merges files, comes back as DamagedView with the next write or flush."""
    with pytest.raises(DamagedView, match=r"\.sst"):
        for number in range(2, 100):
            writes = [(key, b"new", WriteKind.UPDATE) for key in KEYS[::50]]
            damaged.apply([Event(number, 1000 + number, number, (1, "", ""), [], [], 0, False, [], False, writes)])
            damaged.flush()
            damaged.database.compact_range(None, None)
