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

from collections.abc import Callable, Generator, Hashable, Sequence
from struct import error as StructError
from time import perf_counter
from typing import TYPE_CHECKING, Any

from frontend import commands, transaction_control
from frontend.contention import HotKey, KeyIsBusy
from frontend.copying import CopyInput
from frontend.errors import SqlError
from frontend.portal import Portal
from frontend.segment import PARAMETERS_MAX, PreparedSegment, bind_reader
from frontend.session_context import SessionContext, postgres_now
from frontend.session_information import SessionInformation
from frontend.settings import Settings
from frontend.sql import syntax, syntax_commands
from frontend.sql.ddl.draft import CatalogDraft
from frontend.sql.executor.foreign_keys import check_deferred
from frontend.sql.executor.operators import frozen_reader
from frontend.sql.executor.state import ExecutionState, Sleep
from frontend.sql.fingerprint import fingerprint
from frontend.sql.logical import LockRows
from frontend.sql.walk import walk
from frontend.statements import (
    PLANNABLE,
    BoundedCache,
    LiftedPlan,
    PlannedStatement,
    PreparedStatement,
    describe,
    expand_formats,
    parameter_decoders,
    row_encoder,
)
from frontend.tasks import PARK, TICK, WRITABLE, Signal, TaskRunner
from frontend.transaction import Transaction
from frontend.verdicts import verdict_error
from frontend.wire import messages
from journal.event import NO_PROVENANCE, Outcome

if TYPE_CHECKING:
    from frontend.gateway import Gateway
    from frontend.sql.logical import Column, Plan
    from frontend.sql.parser import Parsed
    from frontend.wire.rowencoder import RowEncoder
    from frontend.wire.session_contract import Connection, TransactionStatus
    from journal.event import Provenance, Verdict
    from storage.catalog import Catalog

PREPARED_MAX = 10_000
PORTALS_MAX = 1000
ENCODERS_MAX = 500
SEGMENTS_MAX = 1000
MOVABLE_READS_MAX = 64
"""A transaction that has read more single rows than this keeps its snapshot: looking them all up again costs too much."""

_TAGS: dict[tuple[str, int], bytes] = {}


def command_complete(tag: str, count: int) -> bytes:
    """CommandComplete with a row count, from a table for small counts."""
    found = _TAGS.get((tag, count))
    if found is None:
        found = messages.command_complete(f"{tag} {count}")
        if count < 64:
            _TAGS[tag, count] = found
    return found


class Session:
    """See `frontend.wire.session_contract.Session` for when each method is called and how it may end.

    Attributes:
        transaction_status: "I" outside of a block, "T" inside, "E" inside a failed one.
        transaction: the running transaction, once its snapshot is fixed.
        draft: this transaction's view of the catalog, once it has run DDL.
        modes: isolation and access mode of the running transaction block.
    """

    def __init__(self, connection: Connection, gateway: Gateway) -> None:
        startup = connection.startup
        self.connection = connection
        self.gateway = gateway
        self.database = startup.database
        self.transaction_status: TransactionStatus = "I"
        self.transaction: Transaction | None = None
        self.draft: CatalogDraft | None = None
        self.settings = Settings()
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

        self._view = gateway.view
        self._contention = gateway.contention
        self._busy: Any = None  # the hot key that the statement waits for
        self._reader = Transaction(
            gateway.view.store, gateway.view.snapshot, gateway.next_transaction_id, read_only=True
        )
        self._state: ExecutionState | None = None
        self._encoders: BoundedCache[Hashable, tuple[int, RowEncoder]] = BoundedCache(ENCODERS_MAX)
        self._segments: BoundedCache[bytes, PreparedSegment] = BoundedCache(SEGMENTS_MAX)
        self._scope_key: Any = None
        self._scope = 0
        self._catalog: Catalog = gateway.view.catalog
        self._held = b""
        self._reply = b""
        self._prefix = b""
        self._idle_timer: Any = None
        self._limits_version = -1
        self._provenance_version = -1
        self._provenance_now: Provenance = NO_PROVENANCE
        self._statement_timeout_s = 0.0
        self._idle_in_transaction_ms = 0
        self._idle_ms = 0
        self._memory_bytes_max = 256 << 20

        commands.apply_startup(self, startup)
        self._default_modes = transaction_control.default_modes(self.settings)
        self.block = transaction_control.Block(self._default_modes)
        self.settings.on_change = self._on_change
        self._reported = dict(self.settings.reported())
        for name, value in self._reported.items():
            connection.send(messages.parameter_status(name, value))
        gateway.sessions.add(self)

    # ── what the rest of the session's code uses ───────────────────────────────────────────────────────────────────

    @property
    def catalog(self) -> Catalog:
        """The schema that the current statement sees: the transaction's snapshot plus its own DDL."""
        if self.draft is not None:
            return self.draft.catalog
        return self._catalog if self.transaction is not None else self.gateway.view.catalog

    @property
    def in_block(self) -> bool:
        """Inside BEGIN … COMMIT."""
        return self.transaction_status != "I"

    def send_notice(self, notice: SqlError) -> None:
        """NoticeResponse, unless client_min_messages is above it."""
        if commands.wants_notice(self.settings.get("client_min_messages") or "notice", notice.severity):
            self.connection.send(messages.notice_response(notice))

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

    def ensure_transaction(self) -> Transaction:
        """The running transaction, begun now if this is its first statement: this fixes the snapshot.

        In a READ COMMITTED block the snapshot moves forward while nothing that the transaction has read has changed since,
        which cannot be told from having begun later; it shortens the time in which others can conflict with it.
        """
        transaction = self.transaction
        view = self._view
        if transaction is None:
            block = self.block
            transaction = self.transaction = Transaction(
                view.store,
                self.gateway.read_snapshot(),
                self.gateway.next_transaction_id,
                serializable=block.serializable,
                read_only=block.read_only,
                movable=block.movable and self.transaction_status == "T",
                bytes_max=self.gateway.transaction_bytes_max,
            )
            self._catalog = view.catalog
        elif transaction.movable and transaction.snapshot != view.snapshot:
            self._move_snapshot(transaction)
        return transaction

    def _move_snapshot(self, transaction: Transaction) -> None:
        view = self._view
        if self.draft is not None or view.catalog is not self._catalog or (self.portals and self.portals_open):
            return
        reads = transaction.reads
        newest = view.snapshot
        if len(reads) > MOVABLE_READS_MAX or (reads and view.store.changed(reads, transaction.snapshot, newest)):
            transaction.movable = False
        else:
            transaction.snapshot = newest

    @property
    def portals_open(self) -> bool:
        """Whether a portal is part way through its rows, so that its snapshot must stand still."""
        return any(portal.iterator is not None and not portal.exhausted for portal in self.portals.values())

    def ensure_draft(self) -> CatalogDraft:
        """The transaction's draft of the catalog; DDL works on it."""
        if self.draft is None:
            transaction = self.ensure_transaction()
            self.draft = CatalogDraft(self._catalog, transaction, self.gateway.identifiers)
        return self.draft

    def scope(self) -> int:
        """A number that is the same exactly for sessions that resolve names alike: the plan cache's second key."""
        catalog = self.catalog
        key = (catalog.version, self.settings.version, self.context.user)
        if key != self._scope_key:
            self._scope_key = key
            self._scope = self.gateway.scope(catalog.version, tuple(self.context.search_path), self.settings)
        return self._scope

    def new_state(self, parameters: Sequence[Any]) -> ExecutionState:
        """An execution of its own, for plans that run in slices."""
        self._refresh_limits()
        return ExecutionState(
            self.ensure_transaction(),
            parameters,
            self.context,
            memory_bytes_max=self._memory_bytes_max,
            deferred=self.block.deferred,
            constraints_deferred=self.block.constraints_deferred,
        )

    def encoder(self, columns: Sequence[Column], formats: tuple[int, ...], owner: Hashable) -> RowEncoder:
        """The row encoder for these columns under the session's settings, remembered by `owner`."""
        key = (owner, formats)
        found = self._encoders.get(key)
        version = self.settings.version
        if found is not None and found[0] == version:
            return found[1]
        encode = row_encoder(columns, formats, self.context)
        self._encoders.put(key, (version, encode))
        return encode

    # ── simple query ───────────────────────────────────────────────────────────────────────────────────────────────

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
        if (
            nodes is not None
            and len(nodes) == 1
            and isinstance(nodes[0].statement, syntax_commands.Transaction)
            and transaction_control.run_hot(self, nodes[0].statement)
        ):
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
            self._end_statement(None, self._inline_reply(planned, state, rows, True, formats))
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
            self._end_statement(transaction, reply)

    def _fresh_reader(self) -> Transaction:
        """The transaction of a statement that only reads, outside of a block: one object, moved to the newest snapshot.

        Nothing else of a Transaction changes by reading single rows, and there is nothing to end.
        """
        reader = self._reader
        reader.snapshot = self._view.snapshot
        return reader

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

    def _commit_then(self, reply: bytes) -> Generator[Signal, None, None]:
        yield from self.commit()
        self._prefix = b""
        self.connection.send(reply)

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

    def check_writable(self, planned: PlannedStatement, transaction: Transaction) -> None:
        if planned.writes and transaction.read_only:
            raise read_only_violation(locking_command(planned.bound.plan) or planned.bound.command)

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

    def _refuse_when_failed(self, node: syntax.Statement) -> None:
        if self.transaction_status == "E" and not transaction_control.ends_failure(node):
            raise in_failed_transaction()

    def _begin_timed_statement(self) -> None:
        self._refresh_limits()
        self.context.begin_statement(self.transaction_status != "I" or self.transaction is not None)
        self.tasks.deadline = perf_counter() + self._statement_timeout_s if self._statement_timeout_s else 0.0

    def _run_statement(self, parsed: Parsed, whole: str | None) -> Generator[Signal, None, bytes]:
        """Run one statement of a simple query, sending its rows; returns its CommandComplete.

        `whole` is the message's text where it holds nothing else: what `query` looks plans up by."""
        node, text = parsed.statement, parsed.source
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

    # ── extended query ─────────────────────────────────────────────────────────────────────────────────────────────

    def parse(self, name: str, sql: str, parameter_types: Sequence[int]) -> None:
        """Parse: prepare a statement."""
        self._release_held()
        if not name:
            self.prepared.pop("", None)
        elif name in self.prepared:
            raise SqlError("42P05", f'prepared statement "{name}" already exists')
        self.prepare(name, sql, parameter_types, from_sql=False)
        self.connection.send(messages.PARSE_COMPLETE)

    def prepare(self, name: str, sql: str, parameter_types: Sequence[int], *, from_sql: bool) -> PreparedStatement:
        """Make a prepared statement of one statement's text (also PREPARE)."""
        if len(self.prepared) >= PREPARED_MAX:
            raise SqlError("53400", f"this session already has {PREPARED_MAX} prepared statements")
        parsed = self.gateway.parse(sql)
        if len(parsed) > 1:
            raise SqlError("42601", "cannot insert multiple commands into a prepared statement")
        node = parsed[0].statement if parsed else None
        for oid in parameter_types:
            if oid and not self.gateway.is_type(self, oid):
                raise SqlError("XX000", f"cache lookup failed for type {oid}")
        statement = PreparedStatement(name, sql, node, parameter_types, 0 if not name else postgres_now(), from_sql)
        if node is not None:
            self._refuse_when_failed(node)
        self.plan_prepared(statement)
        self.prepared[name] = statement
        return statement

    def plan_prepared(self, statement: PreparedStatement) -> PlannedStatement | None:
        """The statement's plan, made anew if the catalog or the search path has changed; None for commands."""
        scope = self.scope()
        if statement.validity == scope:
            return statement.planned
        node = statement.node
        if isinstance(node, PLANNABLE):
            before = statement.planned
            planned = self.gateway.plan(self, node, statement.sql, statement.parameters or statement.declared)
            if before is not None and [(c.type, c.name) for c in before.columns] != [
                (c.type, c.name) for c in planned.columns
            ]:
                raise SqlError("0A000", "cached plan must not change result type")
            statement.planned = planned
            statement.parameters = planned.parameters
        else:
            statement.parameters = statement.declared
        statement.validity = scope
        return statement.planned

    def find_prepared(self, name: str) -> PreparedStatement:
        """26000 where there is none."""
        statement = self.prepared.get(name)
        if statement is None:
            what = f'prepared statement "{name}"' if name else "unnamed prepared statement"
            raise SqlError("26000", f"{what} does not exist")
        return statement

    def bind(
        self,
        portal: str,
        statement: str,
        parameter_formats: Sequence[int],
        parameters: list[bytes | None],
        result_formats: Sequence[int],
    ) -> None:
        """Bind: make a portal of a prepared statement and parameter values."""
        if self._held:
            self._release_held()
        prepared = self.find_prepared(statement)
        if self.transaction_status == "E" and (
            prepared.node is None or not transaction_control.ends_failure(prepared.node)
        ):
            raise in_failed_transaction()
        if portal and portal in self.portals:
            raise SqlError("42P03", f'cursor "{portal}" already exists')
        planned = self.plan_prepared(prepared)
        columns: Sequence[Column] = planned.columns if planned is not None else commands.columns_of(self, prepared.node)
        count = len(prepared.parameters)
        if len(parameters) != count:
            name = f'"{statement}"'
            raise SqlError(
                "08P01",
                f"bind message supplies {len(parameters)} parameters, but prepared statement {name} requires {count}",
            )
        values: Sequence[Any] = self._decode(prepared, parameter_formats, parameters, portal) if count else ()
        formats = expand_formats(result_formats, len(columns), "result") if columns else ()
        if len(self.portals) >= PORTALS_MAX:
            raise SqlError("53400", f"this session already has {PORTALS_MAX} open portals")
        old = self.portals.get(portal)
        if old is not None:
            old.close()
        opened = self.portals[portal] = Portal(portal, prepared, planned, values, formats, columns)
        opened.level = len(self.block.marks)
        self.connection.send(messages.BIND_COMPLETE)

    def run_segment(self, body: bytes, described: bool) -> bool:
        """Bind, [Describe,] Execute and Sync in one: the hot path of prepared statements. False: one by one, please."""
        segment = self._segments.get(body[: body.find(0, 1) + 5])
        transaction = self.transaction
        if (
            segment is None
            or segment.settings_version != self.settings.version
            or segment.catalog is not (self._view.catalog if transaction is None else self._catalog)
            or self.prepared.get(segment.prepared.name) is not segment.prepared
            or self.draft is not None
            or self._held
        ):
            if segment is None or segment.node is None or self._held:
                segment = self._gather_segment(body)
            if segment is None:
                return False
            if segment.node is not None:
                return self._run_control(segment, described)
        status = self.transaction_status
        in_block = status == "T"
        if not in_block and (transaction is not None or status == "E"):
            return False
        try:
            values = segment.read(body, segment.head_bytes)
        except StructError:
            return False
        except SqlError as error:
            raise self._bind_error(error, segment.prepared, body) from None
        if values is None:
            self._segments.entries.pop(body[: segment.head_bytes])  # other result formats
            return False
        self.current_sql = segment.prepared.sql
        self.context.begin_statement(in_block)
        if self.portals:
            self._drop_unnamed_portal()
        # Everything goes out in one piece; `failed` sends the prefix where an error takes the reply's place.
        prefix = self._prefix = segment.described if described else messages.BIND_COMPLETE
        if in_block or segment.writes:
            if transaction is None or (transaction.movable and transaction.snapshot != self._view.snapshot):
                transaction = self.ensure_transaction()
            state = self._inline_state(transaction, values)
            if segment.writes and transaction.read_only:
                self.check_writable(segment.planned, transaction)
            transaction.depend(segment.relations)
            if segment.writes and self._contention.keys:
                rows = self._try_contended(segment.run, state)
                if rows is None:
                    self._prefix = b""
                    self.connection.send(prefix)
                    self._wait_contended(segment.planned, state, not in_block, segment.formats, described=False)
                    return True
            else:
                rows = segment.run(state)
        else:
            transaction = None
            state = self._inline_state(self._fresh_reader(), values)
            rows = segment.run(state)
        self._prefix = b""
        if rows and segment.encode is not None:
            prefix += segment.encode(rows)
        reply = prefix + segment.complete(len(rows) if segment.counts_rows else state.processed)
        if in_block:
            self.connection.send(reply)
            if self._idle_in_transaction_ms:
                self._watch_idle()
        else:
            self._end_statement(transaction, reply)
        return True

    def _gather_segment(self, body: bytes) -> PreparedSegment | None:
        """What the hot path needs for such a Bind message, kept for the next; None where it is not for the hot path."""
        head = messages.bind_head(body)
        if head is None or self._held:
            return None
        bind = messages.parse_bind(body)
        prepared = self.prepared.get(bind.statement)
        if prepared is None:
            return None
        segment = PreparedSegment(prepared, len(head))
        planned = prepared.planned
        node = prepared.node
        if planned is None:
            if (
                not isinstance(node, syntax_commands.Transaction)
                or bind.parameters
                or bind.result_formats not in ((), (0,))
            ):
                return None
            segment.node = node
        else:
            count = len(prepared.parameters)
            tail = body[-2 - 2 * len(bind.result_formats) :]
            if (
                not planned.compiled.inline
                or prepared.validity != self.scope()
                or len(bind.parameters) != count
                or count > PARAMETERS_MAX
                or tail not in messages.USUAL_RESULT_FORMATS
            ):
                return None
            formats = planned.text_formats
            if planned.columns:
                formats = expand_formats(bind.result_formats, len(planned.columns), "result")
            segment.take_plan(
                planned,
                bind_reader(self._decoders(prepared, ()), tail),
                formats,
                self.encoder(planned.columns, formats, planned) if planned.returns_rows else None,
                self.settings.version,
                self.catalog,
            )
        self._segments.put(head, segment)
        return segment

    def _run_control(self, segment: PreparedSegment, described: bool) -> bool:
        """The same for BEGIN, COMMIT and ROLLBACK, which need neither plan nor snapshot."""
        prepared = segment.prepared
        node = segment.node
        if node is None or self.prepared.get(prepared.name) is not prepared or self.transaction_status == "E":
            return False
        if not transaction_control.run_hot(self, node, segment.described if described else messages.BIND_COMPLETE):
            return False
        self.current_sql = prepared.sql
        return True

    def _bind_error(self, error: SqlError, prepared: PreparedStatement, body: bytes) -> SqlError:
        """An input function's error, with the parameter that it is about."""
        return _in_bind(error, self._decoders(prepared, ()), messages.parse_bind(body).parameters, (), "")

    def _end_statement(self, transaction: Transaction | None, reply: bytes) -> None:
        """A statement outside of a block has run inline; the transaction, None if it only read, ends with it."""
        if transaction is not None and transaction.must_propose:
            self._reply = reply
            self._propose(transaction)
        elif self.sequences.unsettled:
            self.tasks.start(self._commit_then(reply))
        else:
            self.connection.send(reply)
            if self.transaction is not None or self.settings.touched:
                self._end_transaction(committed=True)
            elif self._idle_ms:
                self._watch_idle()

    def take_prefix(self) -> bytes:
        """What the client must be told before the error that has come instead of a segment's reply; asked once."""
        prefix, self._prefix = self._prefix, b""
        return prefix

    def _decode(
        self, prepared: PreparedStatement, formats: Sequence[int], raw: list[bytes | None], portal: str = ""
    ) -> list[Any]:
        decoders = self._decoders(prepared, formats)
        try:
            return [None if data is None else decode(data) for decode, data in zip(decoders, raw, strict=True)]
        except SqlError as error:
            raise _in_bind(error, decoders, raw, formats, portal) from None

    def _decoders(self, prepared: PreparedStatement, formats: Sequence[int]) -> list[Callable[[bytes], Any]]:
        """One function a parameter, remembered until the settings change."""
        key = (tuple(formats), self.settings.version, prepared.parameters)
        decoders: list[Callable[[bytes], Any]] | None = prepared.encoders.get(key)
        if decoders is None:
            expanded = expand_formats(formats, len(prepared.parameters), "parameter")
            decoders = parameter_decoders(prepared.parameters, expanded, self.context)
            prepared.encoders.clear()
            prepared.encoders[key] = decoders
        return decoders

    def describe_statement(self, name: str) -> None:
        """Describe a prepared statement."""
        self._release_held()
        statement = self.find_prepared(name)
        # Parameters never change: PostgreSQL tells them even when the plan turns out to be stale.
        self.connection.send(messages.parameter_description(statement.parameters))
        planned = self.plan_prepared(statement)
        columns = planned.columns if planned is not None else commands.columns_of(self, statement.node)
        if columns and self.transaction_status == "E":
            raise in_failed_transaction()
        if planned is not None:
            self.connection.send(planned.description(planned.text_formats))
        else:
            self.connection.send(describe(columns, (0,) * len(columns)))

    def find_portal(self, name: str) -> Portal:
        """34000 where there is none."""
        portal = self.portals.get(name)
        if portal is None:
            raise SqlError("34000", f'portal "{name}" does not exist')
        return portal

    def describe_portal(self, name: str) -> None:
        """Describe a portal."""
        portal = self.find_portal(name)
        if portal.columns and self.transaction_status == "E":
            raise in_failed_transaction()
        if portal.planned is not None:
            self.connection.send(portal.planned.description(portal.formats))
        else:
            self.connection.send(describe(portal.columns, portal.formats))

    def execute(self, portal: str, row_count_max: int) -> None:
        """Execute a portal."""
        if self._held:
            self._release_held()
        found = self.find_portal(portal)
        planned = found.planned
        prepared = found.prepared
        if planned is not None and planned.compiled.inline and found.state is None and not row_count_max:
            if self.transaction_status == "E":
                raise in_failed_transaction()
            self.current_sql = prepared.sql if prepared is not None else ""
            self._execute_inline(found, planned)
            return
        node = prepared.node if prepared is not None else None
        self.current_sql = prepared.sql if prepared is not None else found.sql
        if isinstance(node, syntax_commands.Transaction) and transaction_control.run_hot(self, node):
            return
        self.state_changed_us = postgres_now()
        self.tasks.start(self._run_portal(found, row_count_max))

    def _execute_inline(self, portal: Portal, planned: PlannedStatement) -> None:
        in_block = self.transaction_status != "I"
        self.context.begin_statement(in_block or self.transaction is not None)
        portal.exhausted = portal.finished = True
        if not in_block and not planned.writes and self.transaction is None:
            state = portal.state = self._inline_state(self._fresh_reader(), portal.parameters)
            rows = planned.compiled.run_inline(state)
            reply = self._inline_reply(planned, state, rows, False, portal.formats)
            if self.sequences.unsettled:
                self._held = reply
            else:
                self.connection.send(reply)
            return
        transaction = self.ensure_transaction()
        state = portal.state = self._inline_state(transaction, portal.parameters)
        self.check_writable(planned, transaction)
        transaction.depend(planned.relations)
        if self._contention.keys and planned.writes:
            rows = self._try_contended(planned.compiled.run_inline, state)
            if rows is None:
                self._wait_contended(planned, state, False, portal.formats, described=False)
                return
        else:
            rows = planned.compiled.run_inline(state)
        reply = self._inline_reply(planned, state, rows, False, portal.formats)
        if in_block or not planned.writes:
            self.connection.send(reply)
        else:
            self._held = reply

    def _run_portal(self, portal: Portal, row_count_max: int) -> Generator[Signal, None, None]:
        connection = self.connection
        prepared = portal.prepared
        node = prepared.node if prepared is not None else None
        if node is None and portal.planned is None:
            connection.send(messages.EMPTY_QUERY_RESPONSE)
            return
        planned = portal.planned
        if portal.failed or (portal.finished and not (planned.returns_rows if planned is not None else portal.tag)):
            raise SqlError("55000", f'portal "{portal.name}" cannot be run')
        if node is not None:
            self._refuse_when_failed(node)
        self._begin_timed_statement()
        if planned is None:
            assert node is not None
            assert prepared is not None
            if not portal.tag and not (yield from self._run_command_portal(portal, node, prepared.sql)):
                return
        elif portal.state is None:
            self.start_portal(portal, in_pieces=bool(row_count_max))
        count = 0
        while not portal.finished:
            wanted = min(row_count_max - count, 1000) if row_count_max else 1000
            if not portal.exhausted or portal.rows:
                rows = yield from portal.take(wanted)
                if rows and (planned is None or planned.returns_rows):
                    owner = planned if planned is not None else tuple(portal.columns)
                    connection.send(self.encoder(portal.columns, portal.formats, owner)(rows))
                    while connection.write_paused:
                        yield WRITABLE
                count += len(rows)
            if row_count_max and count >= row_count_max:
                connection.send(messages.PORTAL_SUSPENDED)
                return
            if portal.exhausted and not portal.rows:
                portal.finished = True
        portal.place += count
        if planned is None:
            tag = messages.command_complete(_counted(portal.tag, count))
        else:
            assert portal.state is not None
            tag = command_complete(planned.tag, count if planned.returns_rows else portal.state.processed)
        self._complete(tag)

    def _complete(self, tag: bytes) -> None:
        """CommandComplete of an extended statement: held back where Sync has yet to commit what it did."""
        if self.transaction_status == "I" and self.transaction is not None and self.transaction.must_propose:
            self._held = tag
        else:
            self.connection.send(tag)

    def start_portal(self, portal: Portal, *, in_pieces: bool) -> None:
        """Begin the plan of a portal or cursor.

        Args:
            in_pieces: other statements may come between its rows, and it must not see what they write.
        """
        planned = portal.planned
        assert planned is not None
        transaction = self.ensure_transaction()
        self.check_writable(planned, transaction)
        transaction.depend(planned.relations)
        state = portal.state = self.new_state(portal.parameters)
        if in_pieces and not planned.writes:
            state.transaction = state.reader = frozen_reader(transaction)
        if planned.compiled.inline:
            portal.iterator = (planned.compiled.run_inline(state) for _ in (0,))
        else:
            portal.iterator = iter(planned.compiled.run(state))

    def _run_command_portal(self, portal: Portal, node: syntax.Statement, sql: str) -> Generator[Signal, None, bool]:
        """Run a command; whether it has left rows in the portal, to be handed out. If not, all is told."""
        if isinstance(node, syntax_commands.Copy):
            tag = yield from commands.run_copy(self, node)
            portal.finished = True
            self._complete(tag)
            return False
        result = yield from commands.run(self, node, sql, portal.parameters)
        if result.columns is not None:
            portal.rows = list(result.rows)
            portal.exhausted = True
            portal.tag = result.tag
            return True
        portal.finished = True
        self.block.ended = False
        self._complete(messages.command_complete(result.tag))
        return False

    def _release_held(self) -> None:
        """Another message than Sync follows: the statement's success is told now, its commit comes at Sync."""
        if self._held:
            self.connection.send(self._held)
            self._held = b""

    def close_statement(self, name: str) -> None:
        """Close a prepared statement."""
        self._release_held()
        self.prepared.pop(name, None)
        self.connection.send(messages.CLOSE_COMPLETE)

    def close_portal(self, name: str) -> None:
        """Close a portal."""
        self._release_held()
        portal = self.portals.pop(name, None)
        if portal is not None:
            portal.close()
        self.connection.send(messages.CLOSE_COMPLETE)

    def sync(self) -> None:
        """Sync: the implicit transaction of the segment ends."""
        if self.transaction_status != "I":
            self._release_held()
            self._watch_idle()
            return
        transaction = self.transaction
        if transaction is None:
            if self.sequences.unsettled:
                self._reply, self._held = self._held, b""
                self.tasks.start(self._commit_then(self._reply))
                return
            self._release_held()
            if self.settings.touched:
                self._end_transaction(committed=True)
            elif self.portals:
                self._drop_portals(committed=True)
            if self._idle_ms or self._limits_version != self.settings.version:
                self._watch_idle()
            return
        self._reply, self._held = self._held, b""
        if transaction.must_propose:
            self._propose(transaction)
        elif self.sequences.unsettled:
            self.tasks.start(self._commit_then(self._reply))
        else:
            if self._reply:
                self.connection.send(self._reply)
            self._end_transaction(committed=True)

    # ── COPY ───────────────────────────────────────────────────────────────────────────────────────────────────────

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

    # ── ending transactions ────────────────────────────────────────────────────────────────────────────────────────

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
        """Submit the proposal; `_decided` sends `_reply` or the error. Hot: nothing but a callback waits."""
        if self.sequences.unsettled:
            self.tasks.start(self._commit_then(self._reply))
            return
        if self.block.deferred:
            check_deferred(transaction, self.context, self.block.deferred)
        self.connection.suspend()
        self.gateway.propose(transaction, self._provenance(), self._decided)

    def _provenance(self) -> Provenance:
        """Who proposes, made anew when a setting has changed."""
        version = self.settings.version
        if self._provenance_version != version:
            self._provenance_version = version
            application = self.settings.get("application_name") or ""
            self._provenance_now = (self.gateway.node_id, self.context.session_user, application)
        return self._provenance_now

    def _decided(self, verdict: Verdict) -> None:
        connection = self.connection
        if verdict.outcome == 0:
            self._prefix = b""
            self._end_transaction(committed=True)
            connection.send(self._reply)
            connection.resume()
        else:
            connection.resume(self._verdict_error(verdict))

    def _verdict_error(self, verdict: Verdict) -> SqlError:
        view = self.gateway.view
        if verdict.outcome == Outcome.CONFLICT:
            self._contention.lost(verdict.key)
        return verdict_error(verdict, view.catalog, view.store, view.snapshot, self.context)

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
        self.gateway.propose(transaction, self._provenance(), self._decided_in_task)
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

    def _drop_unnamed_portal(self) -> None:
        portal = self.portals.pop("", None)
        if portal is not None:
            portal.close()

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

    # ── interruption ───────────────────────────────────────────────────────────────────────────────────────────────

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

    # ── time limits ────────────────────────────────────────────────────────────────────────────────────────────────

    def _refresh_limits(self) -> None:
        settings = self.settings
        if settings.version != self._limits_version:
            self._limits_version = settings.version
            self._statement_timeout_s = settings.amount("statement_timeout") / 1000
            self._idle_in_transaction_ms = settings.amount("idle_in_transaction_session_timeout")
            self._idle_ms = settings.amount("idle_session_timeout")
            self._memory_bytes_max = settings.amount("work_mem") << 10

    def watch_idle(self) -> None:
        """A message ends: watch how long the client is silent, if it is to be watched."""
        if self._idle_in_transaction_ms or self._idle_ms or self._limits_version != self.settings.version:
            self._watch_idle()

    def _watch_idle(self) -> None:
        """Start the timer of idle_in_transaction_session_timeout or idle_session_timeout, if one applies."""
        self._refresh_limits()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        in_block = self.transaction_status != "I"
        limit_ms = self._idle_in_transaction_ms if in_block else self._idle_ms
        if limit_ms:
            self._idle_timer = self.connection.loop.call_later(
                limit_ms / 1000, self._idle_expired, self.connection.batches, in_block
            )

    def _idle_expired(self, batches: int, in_block: bool) -> None:
        self._idle_timer = None
        if self.connection.batches == batches and self.connection.idle:
            if in_block:
                self.connection.terminate(
                    SqlError("25P03", "terminating connection due to idle-in-transaction timeout", severity="FATAL")
                )
            else:
                self.connection.terminate(
                    SqlError("57P05", "terminating connection due to idle-session timeout", severity="FATAL")
                )


def _in_bind(
    error: SqlError, decoders: Sequence[Any], raw: Sequence[bytes | None], formats: Sequence[int], portal: str
) -> SqlError:
    """Which parameter it was, as PostgreSQL says it."""
    number = 1
    for decode, data in zip(decoders, raw, strict=True):
        try:
            if data is not None:
                decode(data)
        except SqlError:
            break
        number += 1
    if error.sqlstate == "22P03" and error.message == "incorrect binary data format":
        error.message += f" in bind parameter {number}"
    binary = bool(formats) and formats[0 if len(formats) == 1 else number - 1] == 1
    where = f'portal "{portal}"' if portal else "unnamed portal"
    shown = "" if binary or error.sqlstate == "22021" else " = '...'"  # what cannot be decoded has no text
    error.context = f"{where} parameter ${number}{shown}"
    return error


def _counted(tag: str, count: int) -> str:
    """A command's tag with the number of rows that one Execute has handed out, where the tag has a number."""
    words, _, number = tag.rpartition(" ")
    return f"{words} {count}" if number.isdigit() else tag


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
