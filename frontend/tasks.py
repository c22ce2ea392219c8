"""Straight-line code that can wait: how a session does what takes more than a moment.

Whatever may be long (a scan, a DDL backfill, a COPY, a commit) is written as a generator that yields a `Signal` where it
gives way. `TaskRunner` drives it: the first slice runs inside the message handler, so that short work never leaves it; when a
slice is over, the connection is suspended and the rest is scheduled behind other sessions' work.

    TICK        give way if the slice is over; cancel and statement_timeout are looked at here
    PARK        wait until `wake` is called (a verdict, a reserved sequence block)
    WRITABLE    wait until the client reads what was sent
    COPY_WAIT   the message handler returns; the next CopyData continues
    Sleep(s)    wait that long (pg_sleep)

No asyncio task or future is involved, so waiting for a verdict costs one callback.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from frontend.errors import SqlError
from frontend.sql.executor.state import Sleep
from journal.errors import NodeFatal

if TYPE_CHECKING:
    from frontend.wire.session_contract import Connection

SLICE_SECONDS = 0.003
"""How long one session works before others get their turn."""

logger = logging.getLogger(__name__)


class _Named:
    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


TICK: Final = _Named("TICK")
PARK: Final = _Named("PARK")
WRITABLE: Final = _Named("WRITABLE")
COPY_WAIT: Final = _Named("COPY_WAIT")

Signal = _Named | Sleep
Task = Generator[Signal, None, None]


class TaskRunner:
    """Drives one task at a time for a session.

    Attributes:
        deadline: perf_counter() time at which the running statement times out; 0.0: never.
        uninterruptible: a commit has been proposed: neither cancel nor timeout may break in.
    """

    __slots__ = (
        "_cancelled", "_connection", "_parked", "_scheduled", "_suspended", "_task", "_woken", "_writing", "deadline",
        "uninterruptible",
    )  # fmt: skip

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._task: Task | None = None
        self._suspended = False
        self._parked = False
        self._woken = False
        self._writing = False
        self._scheduled: Any = None
        self._cancelled: SqlError | None = None
        self.deadline = 0.0
        self.uninterruptible = False

    @property
    def running(self) -> bool:
        """Whether a task is under way (also one that waits for COPY data)."""
        return self._task is not None

    def start(self, task: Task) -> None:
        """Run the first slice now; raises what it raises. Suspends the connection if there is more."""
        self._task = task
        self._cancelled = None
        self._advance(None)

    def proceed(self) -> None:
        """COPY data came: continue a task that yielded COPY_WAIT."""
        self._advance(None)

    def wake(self) -> None:
        """What a parked task waits for has happened; may be called before it parks."""
        if self._parked:
            self._parked = False
            self._unschedule()
            self._advance(None)
        else:
            self._woken = True

    def writable(self) -> None:
        """The client reads again: continue a task that yielded WRITABLE."""
        if self._parked and self._writing:
            self.wake()

    def interrupt(self, error: SqlError) -> None:
        """Raise `error` inside the task at its next breath; a proposed commit goes on regardless."""
        if self._task is None or self.uninterruptible:
            return
        if self._parked:
            self._parked = False
            self._unschedule()
            self._advance(error)
        else:
            self._cancelled = error

    def abandon(self) -> None:
        """Stop the task for good: the connection is lost, or an error was reported."""
        task, self._task = self._task, None
        self._unschedule()
        self._parked = self._woken = self._suspended = False
        self.uninterruptible = False
        if task is not None:
            task.close()

    def _unschedule(self) -> None:
        if self._scheduled is not None:
            self._scheduled.cancel()
            self._scheduled = None

    def _continue(self) -> None:
        self._scheduled = None
        if self._task is not None:
            self._advance(None)

    def _continue_after_sleep(self) -> None:
        self._scheduled = None
        if self._task is not None and self._parked:
            self._parked = False
            self._advance(None)

    def _advance(self, error: SqlError | None) -> None:
        task = self._task
        assert task is not None
        self._writing = False
        end = perf_counter() + SLICE_SECONDS
        try:
            while True:
                signal = task.send(None) if error is None else task.throw(error)
                error = None
                if signal is TICK:
                    now = perf_counter()
                    error = self._interruption(now)
                    if error is not None or now < end:
                        continue
                    self._suspend()
                    self._scheduled = self._connection.loop.call_soon(self._continue)
                    return
                if signal is COPY_WAIT:
                    if self._suspended:
                        self._suspended = False
                        self._connection.resume()
                    return
                if signal is WRITABLE:
                    self._writing = True
                    self._park(0.0)
                    return
                if signal is PARK:
                    if self._woken:
                        self._woken = False
                        continue
                    self._park(0.0)
                    return
                assert isinstance(signal, Sleep)
                self._park(signal.seconds)
                return
        except StopIteration:
            self._finish(None)
        except SqlError as failure:
            self._finish(failure)
        except NodeFatal:
            raise  # stops the node: it leaves through the event loop's exception handler
        except Exception as failure:
            logger.exception("a statement failed for a reason that is not the client's")
            self._finish(SqlError("XX000", f"internal error: {type(failure).__name__}: {failure}"))

    def _interruption(self, now: float) -> SqlError | None:
        if self.uninterruptible:
            return None
        if self._cancelled is not None:
            error, self._cancelled = self._cancelled, None
            return error
        if self.deadline and now >= self.deadline:
            self.deadline = 0.0
            return statement_timeout()
        return None

    def _park(self, seconds: float) -> None:
        if self._cancelled is not None and not self.uninterruptible:
            error, self._cancelled = self._cancelled, None
            self._advance(error)
            return
        self._suspend()
        self._parked = True
        loop = self._connection.loop
        if seconds:
            remaining = self.deadline - perf_counter() if self.deadline else seconds
            if remaining < seconds:
                self._scheduled = loop.call_later(max(remaining, 0.0), self.interrupt, statement_timeout())
            else:
                self._scheduled = loop.call_later(seconds, self._continue_after_sleep)

    def _suspend(self) -> None:
        if not self._suspended:
            self._suspended = True
            self._connection.suspend()

    def _finish(self, error: SqlError | None) -> None:
        suspended, self._suspended = self._suspended, False
        self._task = None
        self.uninterruptible = False
        self._woken = False
        if suspended:
            self._connection.resume(error)
        elif error is not None:
            raise error


def statement_timeout() -> SqlError:
    """57014 in PostgreSQL's words."""
    return SqlError("57014", "canceling statement due to statement timeout")
