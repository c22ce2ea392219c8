"""One client's session: what each protocol message does.

    connection ──query──▶ hot path: one statement, plan cached, bounded work ──▶ rows, CommandComplete
                      └─▶ everything else: a task (tasks.py) that gives way while it works

    connection ──parse, bind, execute, sync──▶ the same two ways, through prepared statements and portals

Transactions: outside of a block every Query message, and every Sync-delimited segment of extended messages, is one implicit
transaction. A COMMIT (also an implicit one that wrote) submits the transaction's proposal and suspends the connection; the
verdict comes after the event is durable and applied to the view that this session reads, so a session sees its own commits.
In the extended protocol the CommandComplete of a data modification in an implicit transaction is held back until Sync has
committed it: a client is never told «done» before it is.

HOT PATH. `query` and `execute` for inline plans: per statement one dict look-up for the plan, one transaction (outside of a
block), the compiled function, one row encoder and one send. Guarded by tests/frontend/bench_statements.py and
loadtest/compare.py.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

from frontend import as_of, commands, transaction_control
from frontend.copying import CopyInput
from frontend.errors import SqlError
from frontend.portal import Portal
from frontend.session_context import SessionContext, postgres_now
from frontend.session_extended import ExtendedQuery
from frontend.session_information import SessionInformation
from frontend.session_state import command_complete
from frontend.settings import Settings
from frontend.sql import syntax, syntax_commands
from frontend.sql.ddl.draft import CatalogDraft
from frontend.sql.fingerprint import fingerprint
from frontend.sql.parser import Parsed
from frontend.statements import (
    PLANNABLE,
    LiftedPlan,
    PlannedStatement,
    PreparedStatement,
    describe,
)
from frontend.tasks import TICK, WRITABLE, Signal, TaskRunner
from frontend.transaction import Transaction
from frontend.wire import messages

if TYPE_CHECKING:
    from frontend.gateway import Gateway
    from frontend.wire.session_contract import Connection, TransactionStatus
    from journal.event import Verdict


class Session(ExtendedQuery):
    """See `frontend.wire.session_contract.Session` for when each method is called and how it may end.

    Attributes:
        transaction_status: "I" outside of a block, "T" inside, "E" inside a failed one.
        transaction: the running transaction, once its snapshot is fixed.
        draft: this transaction's view of the catalog, once it has run DDL.
        modes: isolation and access mode of the running transaction block.
    """

    def __init__(self, connection: Connection, gateway: Gateway) -> None:
        startup = connection.startup
        super().__init__(connection, gateway)
        self.database = startup.database
        self.transaction_status: TransactionStatus = "I"
        self.transaction: Transaction | None = None
        self.draft: CatalogDraft | None = None
        self.settings = Settings()
        self.settings.live["boreal.read_path"] = lambda: self.reads.path
        self.settings.live["boreal.snapshot"] = self._snapshot_shown
        self.context = SessionContext(self, startup.user)
        self.context.system = SessionInformation(self)
        self.sequences = gateway.sequences.session()
        self.tasks = TaskRunner(connection)
        self.prepared: dict[str, PreparedStatement] = {}
        self.portals: dict[str, Portal] = {}
        self.copy_input: CopyInput | None = None
        self.started_us = postgres_now()
        self.state_changed_us = self.started_us
        self.current_sql = ""
        self.verdict: Verdict | None = None

        commands.apply_startup(self, startup)
        self._default_modes = transaction_control.default_modes(self.settings)
        self.block = transaction_control.Block(self._default_modes)
        self.settings.on_change = self._on_change
        self._reported = dict(self.settings.reported())
        for name, value in self._reported.items():
            connection.send(messages.parameter_status(name, value))
        gateway.sessions.add(self)

    def _snapshot_shown(self) -> str:
        """The commit timestamp that the running transaction reads at, for AS OF SYSTEM TIME; empty before it has one."""
        return str(self.transaction.snapshot) if self.transaction is not None else ""

    def _on_change(self, lowered: str, reported: bool) -> None:
        if reported:
            self.connection.report_parameters()
        if lowered.startswith("default_transaction_"):
            self._default_modes = transaction_control.default_modes(self.settings)
            self.block.used = True  # the next transaction needs a block of these modes

    def report_parameters(self) -> None:
        """ParameterStatus of what differs from what the client knows."""
        known = self._reported
        for name, value in self.settings.reported():
            if known[name] != value:
                known[name] = value
                self.connection.send(messages.parameter_status(name, value))

    def set_parameter(self, name: str, value: str | None, *, local: bool = False) -> str:
        """SET, with the parameters whose change means more than their value."""
        lowered = name.lower()
        if lowered in transaction_control.MODES:
            value = transaction_control.set_mode(self, lowered, value)
            local = True  # ends with the transaction, however it was set
        elif lowered.startswith("default_transaction_") and self.transaction_status != "I":
            transaction_control.pin_modes(self)
        if lowered in ("role", "session_authorization"):
            return commands.set_identity(self, lowered, value, local)
        return self.settings.set(name, value, local=local, in_transaction=True)

    def query(self, sql: str) -> None:
        """Simple query."""
        self.prepared.pop("", None)
        if self.portals:
            self._drop_unnamed_portal()
        self.current_sql = sql
        key, literals = fingerprint(sql)
        if literals is not None:
            lifted = self.gateway.plans.get((key, self.scope()))
            if lifted is not None:
                if lifted.fixed:
                    lifted = self.gateway.plans.get((key, self._scope, lifted.fixed_values(literals)))
                if lifted is not None and lifted.planned.compiled.inline and self.transaction_status != "E":
                    self._query_inline(lifted, literals, sql)
                    return
        nodes = self.gateway.parsed.get(sql)
        if nodes is not None and len(nodes) == 1 and isinstance(nodes[0].statement, syntax_commands.Transaction):
            reply = transaction_control.run_hot(self, nodes[0].statement)
            if reply is not None:
                if reply:
                    self.connection.send(reply)
                return
        self.state_changed_us = postgres_now()
        self.tasks.start(self._run_simple(sql))

    def _query_inline(self, lifted: LiftedPlan, literals: Sequence[Any], sql: str) -> None:
        planned = lifted.planned
        context = self.context
        in_block = self.transaction_status != "I"
        context.begin_statement(in_block)
        parameters = literals
        if lifted.converters is not None:
            parameters = self.gateway.literal_values(self, lifted, sql, literals)
        formats = planned.text_formats
        if not in_block and not planned.writes and self.transaction is None:
            state = self._inline_state(self._fresh_reader(), parameters)
            rows = planned.compiled.run_inline(state)
            reply = self._end_statement(None, self._inline_reply(planned, state, rows, True, formats))
            if reply:
                self.connection.send(reply)
            return
        transaction = self.ensure_transaction()
        state = self._inline_state(transaction, parameters)
        self.check_writable(planned, transaction)
        transaction.depend(planned.relations)
        if self._contention.keys and planned.writes:
            rows = self._try_contended(planned.compiled.run_inline, state)
            if rows is None:
                self._wait_contended(planned, state, not in_block, formats, described=True)
                return
        else:
            rows = planned.compiled.run_inline(state)
        reply = self._inline_reply(planned, state, rows, True, formats)
        if in_block:
            self.connection.send(reply)
            if self._idle_in_transaction_ms:
                self._watch_idle()
        else:
            reply = self._end_statement(transaction, reply)
            if reply:
                self.connection.send(reply)

    def _run_simple(self, sql: str) -> Generator[Signal, None, None]:
        """All statements of one Query message; several are one implicit transaction."""
        parsed = self.gateway.parse(sql)
        if not parsed:
            self.connection.send(messages.EMPTY_QUERY_RESPONSE)
            return
        several = len(parsed) > 1
        for place, statement in enumerate(parsed):
            last = place == len(parsed) - 1
            self._refuse_when_failed(statement.statement)
            self._begin_timed_statement()
            self.block.implicit_several = several and self.transaction_status == "I"
            tag = yield from self._run_statement(statement, None if several else sql)
            if self.transaction_status == "I" and (last or self.block.ended):
                yield from self.commit()
            self.block.ended = False
            self.connection.send(tag)
        self.block.implicit_several = False
        self.watch_idle()

    def _run_statement(self, parsed: Parsed, whole: str | None) -> Generator[Signal, None, bytes]:
        """Run one statement of a simple query, sending its rows; returns its CommandComplete.

        `whole` is the message's text where it holds nothing else: what `query` looks plans up by."""
        node, text = parsed.statement, parsed.source
        if isinstance(node, syntax.AsOfQuery):
            yield from as_of.begin(self, node.as_of)
            parsed, whole = Parsed(node.query, node.source, parsed.position), None
            node = node.query
        if isinstance(node, PLANNABLE):
            planned, parameters = self.gateway.plan_text(self, parsed, whole)
            return (yield from self._stream(planned, parameters))
        if isinstance(node, syntax_commands.Copy):
            return (yield from commands.run_copy(self, node))
        result = yield from commands.run(self, node, text)
        if result.columns is not None:
            formats = result.formats or (0,) * len(result.columns)
            self.connection.send(describe(result.columns, formats))
            self.connection.send(self.encoder(result.columns, formats, tuple(result.columns))(result.rows))
        return messages.command_complete(result.tag)

    def _stream(self, planned: PlannedStatement, parameters: Sequence[Any]) -> Generator[Signal, None, bytes]:
        """Run a plan to its end, sending rows in text form as they come."""
        transaction = self.ensure_transaction()
        self.check_writable(planned, transaction)
        transaction.depend(planned.relations)
        state = self.new_state(parameters)
        connection = self.connection
        formats = (0,) * len(planned.columns)
        if planned.returns_rows:
            encode = self.encoder(planned.columns, formats, planned)
        described = False
        count = 0
        batches = (planned.compiled.run_inline(state),) if planned.compiled.inline else planned.compiled.run(state)
        for batch in batches:
            if not isinstance(batch, list):
                yield batch
                continue
            if batch and planned.returns_rows:
                if not described:
                    described = True
                    connection.send(planned.description(formats))
                count += len(batch)
                connection.send(encode(batch))
                while connection.write_paused:
                    yield WRITABLE
            yield TICK
        if planned.returns_rows and not described:
            connection.send(planned.description(formats))
        return command_complete(planned.tag, count if planned.tag == "SELECT" else state.processed)

    def copy_data(self, data: bytes) -> None:
        """CopyData."""
        if self.copy_input is not None and self.copy_input.add(data):
            self.tasks.proceed()

    def copy_done(self) -> None:
        """CopyDone."""
        if self.copy_input is not None:
            self.copy_input.ended = True
            self.tasks.proceed()

    def copy_fail(self, message: str) -> None:
        """CopyFail."""
        raise SqlError("57014", f"COPY from stdin failed: {message}")

    def cancel(self) -> None:
        """CancelRequest."""
        self.tasks.interrupt(SqlError("57014", "canceling statement due to user request"))

    def pause_writing(self) -> None:
        """The client does not read; `connection.write_paused` tells the producing task."""

    def resume_writing(self) -> None:
        """The client reads again."""
        self.tasks.writable()

    def connection_lost(self) -> None:
        """Roll back and release everything. A proposal that is under way is decided without us."""
        self.tasks.abandon()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        for portal in self.portals.values():
            portal.close()
        self.portals.clear()
        self.prepared.clear()
        if self.transaction is not None:
            self.transaction.release_held()
        self.transaction = None
        self.draft = None
        self.gateway.sessions.discard(self)
