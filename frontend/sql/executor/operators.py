"""The run time of generated plans: sorting in runs, remembering subqueries, joining rows of functions, small checks.

What may take long is a generator that yields an empty batch now and then and returns its value; generated code says
`yield from`, and plans of bounded work use `run_to_end`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from heapq import merge
from itertools import zip_longest
from time import perf_counter
from typing import Any

from frontend.errors import SqlError
from frontend.sql.executor.values import flattened
from frontend.transaction import Transaction

__all__ = [
    "NULL_HIGH", "NULL_LOW", "Descending", "Stop", "flattened", "frozen_reader", "perf_counter", "quantified_rows",
    "remember", "remember_keyed", "row_count", "row_key_maker", "row_version", "run_to_end", "side_by_side", "single",
    "sort_rows", "spread_rows", "zip_longest",
]  # fmt: skip

EMPTY: list[Any] = []
SORT_RUN = 4096  # rows sorted at one go: 1 to 3 ms
MERGE_CHUNK = 512
MEMO_ENTRIES_MAX = 10_000

NULL_HIGH = (1,)
NULL_LOW = (-1,)


class Stop(Exception):
    """Enough has been seen."""


class Descending:
    """A sort key in reverse order, for keys that cannot be negated."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __lt__(self, other: Descending) -> bool:
        return bool(other.value < self.value)

    def __gt__(self, other: Descending) -> bool:
        return bool(self.value < other.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Descending) and bool(self.value == other.value)

    def __hash__(self) -> int:
        return hash(self.value)


def run_to_end(generator: Generator[Any, None, Any]) -> Any:
    """The value of a generator whose breaths nobody waits for."""
    try:
        while True:
            next(generator)
    except StopIteration as end:
        return end.value


def sort_rows(rows: list[Any], key: Callable[[Any], Any], reverse: bool) -> Generator[list[Any], None, list[Any]]:
    """The rows sorted, stable. Sorted in runs with a breath after each, then merged with a breath every few hundred rows."""
    if len(rows) <= SORT_RUN:
        rows.sort(key=key, reverse=reverse)
        return rows
    runs = []
    for start in range(0, len(rows), SORT_RUN):
        run = rows[start : start + SORT_RUN]
        run.sort(key=key, reverse=reverse)
        runs.append(run)
        yield EMPTY
    merged: list[Any] = []
    append = merged.append
    for count, row in enumerate(merge(*runs, key=key, reverse=reverse)):
        append(row)
        if not count % MERGE_CHUNK:
            yield EMPTY
    return merged


def row_count(value: int | None, limit: bool) -> int | None:
    """LIMIT's or OFFSET's number; negative ones are refused as PostgreSQL does."""
    if value is not None and value < 0:
        if limit:
            raise SqlError("2201W", "LIMIT must not be negative")
        raise SqlError("2201X", "OFFSET must not be negative")
    return value


def remember(frame: list[Any], slot: int, value: Any) -> tuple[Any]:
    """Keep the value of an uncorrelated subquery for the rest of the execution."""
    frame[slot] = cell = (value,)
    return cell


def remember_keyed(memo: dict[Any, Any], key: Any, value: Any) -> tuple[Any]:
    """Keep the value of a correlated subquery for these outer values; the memory is bounded."""
    if len(memo) >= MEMO_ENTRIES_MAX:
        memo.clear()
    memo[key] = cell = (value,)
    return cell


def quantified_rows(
    operands: tuple[Any, ...], rows: Iterable[tuple[Any, ...]], compare: Callable[..., Any], every: bool
) -> bool | None:
    """operands OP ANY/ALL (rows)."""
    unknown = False
    for row in rows:
        outcome = compare(*operands, *row)
        if outcome is None:
            unknown = True
        elif outcome is not every:
            return not every
    return None if unknown else every


def single(row: Any) -> Sequence[Any]:
    """A row or None as a sequence of rows."""
    return () if row is None else (row,)


def spread_rows(rows: Iterable[Any], width: int) -> Iterator[Sequence[Any]]:
    """Rows of a function that returns records: NULL becomes a row of NULLs."""
    nulls = (None,) * width
    for row in rows:
        yield nulls if row is None else row


def side_by_side(
    sources: Sequence[Iterable[Any]], widths: Sequence[int], ordinality: bool
) -> Iterator[tuple[Any, ...]]:
    """ROWS FROM: one row from each function at a time; widths are 0 for functions that give plain values."""
    missing = object()
    for number, parts in enumerate(zip_longest(*sources, fillvalue=missing), 1):
        row: list[Any] = []
        for part, width in zip(parts, widths, strict=True):
            if width == 0:
                row.append(None if part is missing else part)
            elif part is missing or part is None:
                row.extend([None] * width)
            else:
                row.extend(part)
        if ordinality:
            row.append(number)
        yield tuple(row)


def row_key_maker(keys: Sequence[Callable[[Any], Any] | None]) -> Callable[[tuple[Any, ...]], Any]:
    """A function from a row to what equal rows share; NULLs are alike."""
    if not any(keys):
        return lambda row: row
    return lambda row: tuple(
        [value if key is None or value is None else key(value) for key, value in zip(keys, row, strict=True)]
    )


def row_version(transaction: Transaction, key: bytes) -> int:
    """xmin: low 32 bits of the commit timestamp of the version, of the transaction's id for its own writes."""
    if key in transaction.writes:
        return transaction.txid & 0xFFFFFFFF
    found = transaction.store.get_version(key, transaction.snapshot)
    return found[0] & 0xFFFFFFFF if found is not None else 0


def frozen_reader(transaction: Transaction) -> Transaction:
    """The transaction as it is now, for reading: WITH queries that write and the main query see one and the same state."""
    transaction.movable = False
    reader = Transaction(
        transaction.store,
        transaction.snapshot,
        transaction.next_row_id,
        serializable=transaction.serializable,
        read_only=True,
    )
    reader.writes = dict(transaction.writes)
    reader.reads = transaction.reads
    reader.ranges = transaction.ranges
    return reader
