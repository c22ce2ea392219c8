"""How many rows a table has, as the planner believes: what ANALYZE counted, or a guess from the size of its files.

ANALYZE writes one row a table into the reserved relation of statistics (`record`), like any other row, so statistics travel
with the journal. Without one, a table's size on disk is asked of RocksDB, which is cheap and never exact; small tables that
were never flushed look empty, so the guess has a floor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from frontend.transaction import UNCHECKED
from storage.catalog import STATISTICS_STORAGE_ID
from storage.keys import prefix, successor
from storage.rows import encode_row, row_decoder

if TYPE_CHECKING:
    from frontend.transaction import Transaction
    from storage.catalog import Table
    from storage.view import View

ROWS_DEFAULT = 1000.0
ROW_BYTES_GUESS = 60

_decode = row_decoder([20], [None])


class RowCounts(Protocol):
    """What the planner asks."""

    def rows(self, table: Table) -> float:
        """Estimated number of rows, at least 1."""


def statistics_key(table_oid: int) -> bytes:
    """Where a table's statistics are."""
    return prefix(STATISTICS_STORAGE_ID, 0) + table_oid.to_bytes(4, "big")


def record(transaction: Transaction, table_oid: int, rows: int) -> None:
    """ANALYZE: note the number of rows, as part of the transaction."""
    transaction.put(statistics_key(table_oid), encode_row([rows]), UNCHECKED)


class Statistics:
    """Row counts out of a view."""

    def __init__(self, view: View) -> None:
        self._view = view

    def analyzed_rows(self, table_oid: int) -> int | None:
        """What ANALYZE counted last, None where it never ran."""
        data = self._view.store.get(statistics_key(table_oid), self._view.snapshot)
        if data is None:
            return None
        count: int = _decode(data)[0]
        return count

    def rows(self, table: Table) -> float:
        """Estimated number of rows, at least 1."""
        counted = self.analyzed_rows(table.oid)
        if counted is not None:
            return max(float(counted), 1.0)
        low = prefix(table.storage, 0)
        return max(self._view.approximate_bytes(low, successor(low)) / ROW_BYTES_GUESS, ROWS_DEFAULT)


class NoStatistics:
    """Every table looks alike; for tests and for plans made before there is a view."""

    def rows(self, table: Table) -> float:
        """The default."""
        return ROWS_DEFAULT
