"""Portals: a statement bound to its parameters, running or ready to run; cursors are portals with a name from DECLARE.

A portal keeps the plan's generator between Executes, so that fetching in pieces costs nothing extra, and, for SCROLL and WITH
HOLD cursors, the rows it has produced.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from frontend.tasks import TICK, Signal

if TYPE_CHECKING:
    from frontend.sql.executor.state import ExecutionState
    from frontend.sql.logical import Column
    from frontend.statements import PlannedStatement, PreparedStatement

Rows = list[Sequence[Any]]

KEPT_ROWS_MAX = 1_000_000
"""Rows that a scrollable or held cursor may keep before it is refused with 54000."""


class Portal:
    """One portal.

    Attributes:
        name: "" is the unnamed one.
        prepared: the statement it was bound from; None for a cursor of DECLARE.
        planned: the plan for queries and data modification, None for commands.
        parameters: decoded values.
        formats: result format codes, one a column.
        state: the execution, once started.
        rows: produced and not yet handed out.
        exhausted: the plan has no more rows.
        finished: everything was handed out and CommandComplete was sent.
        kept: all rows so far, for scrolling; `place` is the number of rows before the cursor's position; `at_end`, of a
            cursor that keeps no rows: it is behind the last one.
        hold: WITH HOLD; `held`: the transaction that made it has committed.
        level: how many savepoints there were when it was opened.
        failed: its plan has raised an error.
        tag: of a command that returned rows: what CommandComplete will say.
    """

    __slots__ = (
        "at_end", "columns", "created_us", "exhausted", "failed", "finished", "formats", "held", "hold", "iterator", "kept",
        "level", "name", "parameters", "place", "planned", "prepared", "rows", "scroll", "sql", "state", "tag",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        prepared: PreparedStatement | None,
        planned: PlannedStatement | None,
        parameters: Sequence[Any],
        formats: tuple[int, ...],
        columns: Sequence[Column],
    ) -> None:
        self.name = name
        self.prepared = prepared
        self.planned = planned
        self.parameters = parameters
        self.formats = formats
        self.columns = columns
        self.state: ExecutionState | None = None
        self.iterator: Iterator[Any] | None = None
        self.rows: Rows = []
        self.exhausted = False
        self.finished = False
        self.hold = False
        self.scroll = False
        self.kept: Rows | None = None
        self.place = 0
        self.at_end = False
        self.sql = ""
        self.created_us = 0
        self.held = False
        self.level = 0
        self.failed = False
        self.tag = ""

    def take(self, count: int) -> Generator[Signal, None, Rows]:
        """The next `count` rows (0: all); fewer at the end. Gives way between batches."""
        rows = self.rows
        iterator = self.iterator
        while not self.exhausted and (count == 0 or len(rows) < count):
            assert iterator is not None
            try:
                batch = next(iterator, None)
            except Exception:
                self.failed = True
                raise
            if batch is None:
                self.exhausted = True
            elif isinstance(batch, list):
                if batch:
                    rows.extend(batch)
                yield TICK
            else:
                yield batch  # a Sleep
        if count == 0 or len(rows) <= count:
            self.rows = []
            return rows
        self.rows = rows[count:]
        return rows[:count]

    def close(self) -> None:
        """Let go of the running plan."""
        close = getattr(self.iterator, "close", None)
        if close is not None:
            close()
        self.iterator = None
        self.rows = []
        self.exhausted = True
