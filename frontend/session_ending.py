"""How transactions end: COMMIT, ROLLBACK, failure, and what the journal's verdict means to the client.

A COMMIT of a transaction that wrote submits its proposal and suspends the connection, or parks the task that runs; the verdict
comes when the event is durable and applied to the view that this session reads, so a session sees its own commits.

HOT PATH. `_propose` and `_decided`: nothing but a callback waits for the verdict.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

from frontend import transaction_control
from frontend.errors import SqlError
from frontend.session_state import SessionState
from frontend.sql.executor.foreign_keys import check_deferred
from frontend.tasks import PARK, Signal
from frontend.transaction import Transaction
from frontend.verdicts import verdict_error
from journal.event import Outcome

if TYPE_CHECKING:
    from journal.event import Verdict


class Endings(SessionState):
    """The storey of ends."""

    def _end_statement(self, transaction: Transaction | None, reply: bytes) -> bytes:
        """A statement outside of a block has run inline; the transaction, None if it only read, ends with it. What is to be sent now: the
        reply, or b"", if it follows by itself."""
        if self.sequences.unsettled:
            self.tasks.start(self._commit_then(reply))
            return b""
        if transaction is not None and transaction.must_propose:
            self._reply = reply
            self._propose(transaction)
            return b""
        if self.transaction is not None or self.settings.touched:
            self._end_transaction(committed=True)
        elif self._idle_ms:
            self._watch_idle()
        return reply

    def _commit_then(self, reply: bytes) -> Generator[Signal, None, None]:
        yield from self.commit()
        self._prefix = b""
        self.connection.send(reply)

    def commit_hot(self, prefix: bytes, reply: bytes) -> None:
        """COMMIT of a block that wrote: `prefix` and `reply` follow when the event is durable and visible here."""
        transaction = self.transaction
        assert transaction is not None
        self._prefix = prefix
        self._reply = prefix + reply
        self.block.committing = True
        self._propose(transaction)

    def end_committed(self) -> None:
        """COMMIT of a transaction that has nothing to order: over at once."""
        self._end_transaction(committed=True)

    def _propose(self, transaction: Transaction) -> None:
        """Submit the proposal; `_decided` sends `_reply` or the error. The caller has seen that no sequence is `unsettled`. HOT: nothing
        but a callback waits."""
        if self.block.deferred:
            check_deferred(transaction, self.context, self.block.deferred)
        self.connection.suspend()
        if self._provenance_version != self.settings.version:
            self._renew_provenance()
        self.gateway.propose(transaction, self._provenance, self._decided)

    def _renew_provenance(self) -> None:
        """Who proposes; a setting has changed."""
        self._provenance_version = self.settings.version
        application = self.settings.get("application_name") or ""
        self._provenance = (self.gateway.node_id, self.context.session_user, application)

    def _decided(self, verdict: Verdict) -> None:
        if verdict.outcome == 0:
            self._prefix = b""
            self._end_transaction(committed=True)
            self.connection.answer(self._reply)
        else:
            self.connection.resume(self._verdict_error(verdict))

    def _verdict_error(self, verdict: Verdict) -> SqlError:
        view = self.gateway.view
        if verdict.outcome == Outcome.CONFLICT:
            self._contention.lost(verdict.key)
        transaction = self.transaction
        txid = transaction.assigned_id if transaction is not None else 0
        return verdict_error(verdict, view.catalog, view.store, view.snapshot, self.context, txid)

    def commit(self) -> Generator[Signal, None, None]:
        """End the running transaction from a task; raises what the verdict says."""
        transaction = self.transaction
        while self.sequences.unsettled:
            # Values were drawn ahead of their reservation: nobody may hear of them before it is durable.
            self.sequences.when_settled(self.tasks.wake)
            yield PARK
        if transaction is None or not transaction.must_propose:
            self._end_transaction(committed=True)
            return
        if self.block.deferred:
            check_deferred(transaction, self.context, self.block.deferred)
        self.verdict = None
        self.tasks.uninterruptible = True
        if self._provenance_version != self.settings.version:
            self._renew_provenance()
        self.gateway.propose(transaction, self._provenance, self._decided_in_task)
        while self.verdict is None:
            yield PARK
        self.tasks.uninterruptible = False
        verdict, self.verdict = self.verdict, None
        if not verdict.committed:
            raise self._verdict_error(verdict)
        self._end_transaction(committed=True)

    def _decided_in_task(self, verdict: Verdict) -> None:
        self.verdict = verdict
        self.tasks.wake()

    def rollback(self) -> None:
        """Forget the running transaction."""
        self._end_transaction(committed=False)

    def _end_transaction(self, *, committed: bool) -> None:
        transaction, self.transaction = self.transaction, None
        if transaction is not None and transaction.held is not None:
            transaction.release_held()
        self.draft = None
        if self.portals:
            self._drop_portals(committed=committed)
        self.settings.end_transaction(committed=committed)
        if self.transaction_status != "I" or self.block.used:
            self.transaction_status = "I"
            self.block = transaction_control.Block(self._default_modes)
        self.context.end_transaction()
        if self._idle_ms:
            self._watch_idle()

    def _drop_portals(self, *, committed: bool) -> None:
        """Portals die with their transaction; cursors WITH HOLD do not, once the transaction that made them commits."""
        for name, portal in list(self.portals.items()):
            if portal.held or (portal.hold and committed):
                portal.held = True
                portal.level = 0
            else:
                portal.close()
                del self.portals[name]

    def drop_portals_above(self, level: int) -> None:
        """ROLLBACK TO: what was opened since the savepoint has never been."""
        for name, portal in list(self.portals.items()):
            if portal.level > level:
                portal.close()
                del self.portals[name]

    def failed(self, error: SqlError) -> None:
        """An error was reported: the transaction fails, an implicit one is rolled back."""
        self.tasks.abandon()
        self.copy_input = None
        self._held = b""
        self.sequences.statement_failed()
        if self.transaction_status == "I" or self.block.committing:
            self.rollback()
        else:
            self.transaction_status = "E"
            if self.transaction is not None:
                self.transaction.contention = None
                self.transaction.release_held()
            marks = len(self.block.marks)
            self.settings.abort(marks)
            for portal in self.portals.values():
                if not portal.held and portal.level >= marks:
                    portal.close()
            self.watch_idle()

    def take_prefix(self) -> bytes:
        """What the client must be told before the error that has come instead of a segment's reply; asked once."""
        prefix, self._prefix = self._prefix, b""
        return prefix
