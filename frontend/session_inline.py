"""Running a bounded statement at once, inside the message handler: the plan is a plain function.

While some keys are hot (`contention.py`) an updating statement may have to wait for its turn; then the rest of it is a task.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any

from frontend import transaction_control
from frontend.contention import HotKey, KeyIsBusy
from frontend.errors import SqlError
from frontend.session_ending import Endings
from frontend.session_state import command_complete
from frontend.sql import syntax
from frontend.sql.executor.state import ExecutionState, Sleep
from frontend.sql.logical import LockRows
from frontend.sql.walk import walk
from frontend.statements import (
    PlannedStatement,
)
from frontend.tasks import Signal
from frontend.transaction import Transaction

if TYPE_CHECKING:
    from frontend.sql.logical import Plan


class InlineStatements(Endings):
    """The storey of inline statements."""

    def _fresh_reader(self) -> Transaction:
        """The transaction of a statement that only reads, outside of a block: one object, moved to the newest snapshot.

        Nothing else of a Transaction changes by reading single rows, and there is nothing to end.
        """
        reader = self._reader
        reader.snapshot = self._view.snapshot
        return reader

    def _inline_state(self, transaction: Transaction, parameters: Sequence[Any]) -> ExecutionState:
        state = self._state
        if state is None:
            state = self._state = ExecutionState(transaction, parameters, self.context)
        state.transaction = transaction
        state.parameters = parameters
        state.processed = 0
        state.deferred = self.block.deferred
        state.constraints_deferred = self.block.constraints_deferred
        return state

    def _inline_reply(
        self, planned: PlannedStatement, state: ExecutionState, rows: Any, described: bool, formats: tuple[int, ...]
    ) -> bytes:
        """The messages that answer an inline plan; `described`: with RowDescription (simple queries)."""
        if not planned.returns_rows:
            return command_complete(planned.tag, state.processed)
        reply = planned.description(formats) if described else b""
        if rows:
            reply += self.encoder(planned.columns, formats, planned)(rows)
        return reply + command_complete(planned.tag, len(rows) if planned.tag == "SELECT" else state.processed)

    def check_writable(self, planned: PlannedStatement, transaction: Transaction) -> None:
        if planned.writes and transaction.read_only:
            raise read_only_violation(locking_command(planned.bound.plan) or planned.bound.command)

    def _try_contended(self, run: Callable[[ExecutionState], Any], state: ExecutionState) -> Any:
        """Run an updating inline plan while some keys are hot; None if it must wait for its turn, and has done nothing."""
        transaction = state.transaction
        reads_before = len(transaction.reads)
        transaction.bytes_before = transaction.bytes
        transaction.contention = self._contention
        try:
            return run(state)
        except KeyIsBusy as busy:
            # What the statement read is as good as unread.
            del transaction.reads[reads_before:]
            self._busy = busy.hot
            return None
        finally:
            transaction.contention = None

    def _wait_contended(
        self,
        planned: PlannedStatement,
        state: ExecutionState,
        commits: bool,
        formats: tuple[int, ...],
        *,
        described: bool,
    ) -> None:
        """Have a statement that `_try_contended` gave up wait for its turn.

        `commits`: outside of a block the statement is a transaction of its own; otherwise Sync will end it.
        """
        self.tasks.start(self._run_contended(planned, state, commits, formats, described))

    def _run_contended(
        self, planned: PlannedStatement, state: ExecutionState, commits: bool, formats: tuple[int, ...], described: bool
    ) -> Generator[Signal, None, None]:
        rows = None
        while rows is None:
            yield from self._await_turn(self._busy)
            transaction = state.transaction
            if self.transaction_status == "I" and not transaction.must_propose:
                transaction.release_held()
                self.transaction = None
            state.transaction = self.ensure_transaction()
            state.transaction.depend(planned.relations)
            rows = self._try_contended(planned.compiled.run_inline, state)
        reply = self._inline_reply(planned, state, rows, described, formats)
        if self.transaction_status != "I":
            self.connection.send(reply)
        elif commits:
            yield from self.commit()
            self.connection.send(reply)
        else:
            self._held = reply

    def _await_turn(self, hot: HotKey) -> Generator[Signal, None, None]:
        """Wait for the holder of a hot key to end, in order of arrival, but not long."""
        waiting = self._contention.await_turn(hot, self.tasks.wake)
        try:
            for seconds in waiting:
                yield Sleep(seconds)
        finally:
            waiting.close()  # a wait that was cancelled leaves the queue

    def _refuse_when_failed(self, node: syntax.Statement) -> None:
        if self.transaction_status == "E" and not transaction_control.ends_failure(node):
            raise in_failed_transaction()

    def _begin_timed_statement(self) -> None:
        self._refresh_limits()
        self.context.begin_statement(self.transaction_status != "I" or self.transaction is not None)
        self.tasks.deadline = perf_counter() + self._statement_timeout_s if self._statement_timeout_s else 0.0


def in_failed_transaction() -> SqlError:
    """25P02."""
    return SqlError("25P02", "current transaction is aborted, commands ignored until end of transaction block")


def locking_command(plan: Plan) -> str | None:
    """What PostgreSQL calls a SELECT that locks rows."""
    for node in walk(plan):
        if isinstance(node, LockRows):
            return "SELECT FOR UPDATE" if node.targets[0][1] == "exclusive" else "SELECT FOR SHARE"
    return None


def read_only_violation(command: str) -> SqlError:
    """25006."""
    return SqlError("25006", f"cannot execute {command} in a read-only transaction")
