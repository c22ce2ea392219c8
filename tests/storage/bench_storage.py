"""What the storage layer costs: `python -m tests.storage.bench_storage`. Not collected by pytest."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from time import perf_counter

from journal.event import Event
from storage import keys
from storage.rows import encode_row, row_decoder
from storage.view import View, replay

ROWS = 200_000
READS = 50_000
EVENTS = 30_000


def report(what: str, began: float, count: int) -> None:
    print(f"{what:45} {(perf_counter() - began) / count * 1e6:7.2f} µs")


def event(position: int, writes: list[tuple[bytes, bytes, int]]) -> Event:
    return Event(position, 1000 + position, position, (0, "", ""), [], [], 0, False, [], False, writes)


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        encode = keys.key_encoder(keys.prefix(1000, 0), [keys.KeyColumn(23, False)])
        decode = row_decoder([23, 23, 23, 1042], [None] * 4)
        value = encode_row([1, 1, 0, "x" * 84])
        view = View(Path(directory) / "view")
        view.apply([event(1, [(encode((number,)), value, 0) for number in range(ROWS)])])
        snapshot = view.snapshot
        wanted = [random.randrange(ROWS) for _ in range(READS)]
        began = perf_counter()
        for number in wanted:
            found = view.store.get(encode((number,)), snapshot)
            assert found
            decode(found)
        report("point read by integer key, decoded", began, READS)
        low = keys.prefix(1000, 0)
        for reverse in (False, True):
            scan = view.store.scan(low, keys.successor(low), snapshot, reverse=reverse)
            began = perf_counter()
            count = 0
            while not scan.done:
                count += len(scan.fetch_rows(256, decode))
            report("reverse scan, a row" if reverse else "full scan, a decoded four-column row", began, count)
        events = [
            event(2 + number, [(encode((number % 1000,)), value, 1), (encode((ROWS + number,)), value, 0)])
            for number in range(EVENTS)
        ]
        began = perf_counter()
        for item in events:
            view.apply([item])
        report("apply an event of two writes, alone", began, EVENTS)
        began = perf_counter()
        removed = 0
        while done := view.collect(view.snapshot):
            removed += done
        report("garbage, a superseded key", began, removed)
        view.close()
        began = perf_counter()
        renumbered = [event(number, item.writes) for number, item in enumerate(events, 1)]
        replay(renumbered, Path(directory) / "replay").close()
        report("replay, an event of two writes", began, EVENTS)


if __name__ == "__main__":
    main()
