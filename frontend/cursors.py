"""DECLARE, FETCH, MOVE, CLOSE: portals that SQL names.

A cursor sees its transaction as it was at DECLARE, whatever the transaction writes later. A forward-only cursor is the plan's
generator, stopped where the last FETCH left it. A SCROLL cursor keeps the rows it has produced; a cursor WITH HOLD runs to
its end at DECLARE (its transaction's snapshot is what it shows) and outlives COMMIT.
Without SCROLL or NO SCROLL, PostgreSQL allows backward fetches where the plan makes them cheap; here a backward fetch then
runs on the rows kept, which are kept from the start for cursors not declared NO SCROLL.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

from frontend import as_of
from frontend.errors import SqlError
from frontend.portal import KEPT_ROWS_MAX, Portal, Rows
from frontend.session_context import postgres_now
from frontend.sql import syntax
from frontend.sql import syntax_commands as statements

if TYPE_CHECKING:
    from frontend.session import Session
    from frontend.tasks import Signal


def find(session: Session, name: str) -> Portal:
    """34000 where there is no such cursor."""
    portal = session.portals.get(name)
    if portal is None:
        raise SqlError("34000", f'cursor "{name}" does not exist')
    return portal


def declare(
    session: Session, node: statements.DeclareCursor, parameters: Sequence[Any]
) -> Generator[Signal, None, None]:
    """DECLARE name CURSOR FOR query."""
    if not node.hold and not session.in_block and not session.block.implicit_several and session.transaction is None:
        raise SqlError("25P01", "DECLARE CURSOR can only be used in transaction blocks")
    if node.name in session.portals:
        raise SqlError("42P03", f'cursor "{node.name}" already exists')
    query = node.query
    if isinstance(query, syntax.AsOfQuery):
        yield from as_of.begin(session, query.as_of)
        query = query.query
    planned = session.gateway.plan_node(session, query)
    if planned.writes and node.hold:
        raise SqlError(
            "0A000",
            "DECLARE CURSOR WITH HOLD ... FOR UPDATE is not supported",
            detail="Holdable cursors must be READ ONLY.",
        )
    code = 1 if node.binary else 0
    portal = Portal(node.name, None, planned, parameters, (code,) * len(planned.columns), planned.columns)
    portal.sql = session.current_sql
    portal.created_us = postgres_now()
    portal.scroll = node.scroll is not False
    portal.level = len(session.block.marks)
    session.start_portal(portal, in_pieces=True)
    if portal.scroll or node.hold:
        portal.kept = []
    if node.hold:
        yield from _keep(portal, 0)
        portal.hold = True
    session.portals[node.name] = portal


def _keep(portal: Portal, wanted: int) -> Generator[Signal, None, None]:
    """Produce rows until `wanted` are kept (0: all)."""
    kept = portal.kept
    assert kept is not None
    while not (portal.exhausted and not portal.rows) and (wanted == 0 or len(kept) < wanted):
        rows = yield from portal.take(1000 if wanted == 0 else min(1000, wanted - len(kept)))
        kept.extend(rows)
        if len(kept) > KEPT_ROWS_MAX:
            raise SqlError(
                "54000",
                f"a scrollable or held cursor cannot keep more than {KEPT_ROWS_MAX} rows",
                hint="Declare the cursor NO SCROLL.",
            )


def fetch(session: Session, node: statements.Fetch) -> Generator[Signal, None, tuple[Portal, Rows, int]]:
    """FETCH or MOVE: (cursor, rows, number of rows moved over)."""
    portal = find(session, node.cursor)
    if portal.failed:
        raise SqlError("55000", f'portal "{portal.name}" cannot be run')
    direction, count = node.direction, node.count
    if direction == "backward" and count is not None and count < 0:
        direction, count = "forward", -count
    if direction == "forward" and (count is None or count >= 0):
        rows = yield from _forward(portal, count)
    elif not portal.scroll:
        rows = yield from _jump_forward(portal, direction, count)
    else:
        rows = yield from _scroll(portal, direction, count)
    return portal, rows, len(rows)


def _forward_only() -> SqlError:
    return SqlError(
        "55000", "cursor can only scan forward", hint="Declare it with SCROLL option to enable backward scan."
    )


def _jump_forward(portal: Portal, direction: str, count: int | None) -> Generator[Signal, None, Rows]:
    """Absolute and relative fetches with NO SCROLL: as long as they lead forward from the cursor's position."""
    steps = count or 0
    if direction == "absolute" and steps > 0 and not portal.at_end:
        steps -= portal.place
    elif direction != "relative":
        steps = 0
    if steps <= 0:
        raise _forward_only()
    passed = yield from _forward(portal, steps)
    return passed[-1:] if len(passed) == steps else []


def _forward(portal: Portal, count: int | None) -> Generator[Signal, None, Rows]:
    """The next `count` rows (None: all); 0 re-fetches the current row."""
    kept = portal.kept
    if kept is None or not portal.scroll:
        if count == 0:
            if portal.place > 0 and not portal.at_end:
                raise _forward_only()
            return []
        if kept is None:
            rows = yield from portal.take(count or 0)
        else:
            rows = kept[portal.place : None if count is None else portal.place + count]
        portal.place += len(rows)
        portal.at_end = count is None or len(rows) < count
        return rows
    if count == 0:
        return [kept[portal.place - 1]] if 0 < portal.place <= len(kept) else []
    wanted = 0 if count is None else portal.place + count
    yield from _keep(portal, wanted)
    rows = kept[portal.place : wanted or None]
    at_end = count is None or len(rows) < count
    portal.place += len(rows)
    if at_end:
        portal.place = len(kept) + 1
    return rows


def _scroll(portal: Portal, direction: str, count: int | None) -> Generator[Signal, None, Rows]:
    """Backward, absolute and relative fetches over kept rows. `place` is the 1-based row the cursor is on: 0 before the
    first, len + 1 after the last."""
    kept = portal.kept
    assert kept is not None
    if direction == "forward":
        direction, count = "backward", -(count or 0)
    if direction == "backward":
        if count is not None and count < 0:
            return (yield from _forward(portal, -count))
        if count == 0:
            return [kept[portal.place - 1]] if 0 < portal.place <= len(kept) else []
        here = min(portal.place, len(kept) + 1)
        low = 0 if count is None else max(here - 1 - count, 0)
        rows = kept[low : max(here - 1, 0)][::-1]
        portal.place = low + 1 if count is not None and here - 1 - count >= 0 else 0
        return rows
    target = count or 0
    if direction == "relative":
        target += portal.place
    elif target < 0:
        yield from _keep(portal, 0)
        target += len(kept) + 1
    if target > 0:
        yield from _keep(portal, target)
    portal.place = max(0, min(target, len(kept) + 1))
    return [kept[target - 1]] if 0 < target <= len(kept) else []


def close(session: Session, name: str) -> None:
    """CLOSE name."""
    find(session, name).close()
    del session.portals[name]


def close_all(session: Session) -> None:
    """CLOSE ALL."""
    for portal in session.portals.values():
        portal.close()
    session.portals.clear()
