"""The extended query protocol: prepared statements, portals, and whole segments in one step.

In an implicit transaction the CommandComplete of a data modification is held back until Sync has committed it: a client is never
told «done» before it is.

HOT PATH. `run_segment`: Bind, Describe, Execute and Sync of a bounded statement in one call (see segment.py). Guarded by
tests/frontend/bench_transactions.py and loadtest/compare.py.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from struct import error as StructError
from typing import TYPE_CHECKING, Any, cast

from frontend import as_of, commands, transaction_control
from frontend.errors import SqlError
from frontend.portal import Portal
from frontend.segment import PARAMETERS_MAX, PreparedSegment, bind_reader
from frontend.session_context import postgres_now
from frontend.session_inline import InlineStatements, in_failed_transaction
from frontend.session_state import command_complete
from frontend.sql import syntax, syntax_commands
from frontend.sql.executor.operators import frozen_reader
from frontend.statements import (
    PLANNABLE,
    PlannedStatement,
    PreparedStatement,
    describe,
    expand_formats,
    parameter_decoders,
)
from frontend.tasks import WRITABLE, Signal
from frontend.wire import messages

if TYPE_CHECKING:
    from frontend.session import Session
    from frontend.sql.logical import Column

PREPARED_MAX = 10_000
PORTALS_MAX = 1000


_QUERY, _PARSE, _DESCRIBE, _BIND = b"QPDB"
_WITHOUT_SNAPSHOT = (
    syntax_commands.Transaction,
    syntax_commands.Set,
    syntax_commands.SetTransaction,
    syntax_commands.SetConstraints,
    syntax_commands.Reset,
    syntax_commands.Show,
    syntax_commands.Discard,
    syntax_commands.Deallocate,
    syntax_commands.CloseCursor,
    syntax_commands.Unlisten,
    syntax_commands.EmptyStatement,
)
"""Statements that read nothing which other transactions write."""


def _unwrapped(node: syntax.Statement) -> syntax.Statement:
    """The query that EXPLAIN, COPY, PREPARE or DECLARE CURSOR is about; any other statement as it is."""
    while True:
        inner: syntax.Statement | None = None
        if isinstance(node, syntax_commands.Explain | syntax_commands.Prepare):
            inner = node.statement
        elif isinstance(node, syntax_commands.Copy | syntax_commands.DeclareCursor):
            inner = node.query
        if inner is None:
            return node
        node = inner


class ExtendedQuery(InlineStatements):
    """The storey of the extended protocol."""

    def wants_snapshot(self, kind: int, body: bytes) -> bool:
        """See session_contract.Session. What is wrong with the message is for its handler to say."""
        if self.transaction is not None or self.transaction_status == "E":
            return False
        try:
            if kind == _QUERY:
                return any(self._reads_now(each.statement) for each in self.gateway.parse(body[:-1].decode()))
            if kind == _PARSE:
                return any(
                    isinstance(each.statement, PLANNABLE) for each in self.gateway.parse(messages.parse_parse(body)[1])
                )
            if kind == _DESCRIBE:
                target, name = messages.parse_target(body, "DESCRIBE")
                return target == "S" and isinstance(self.find_prepared(name).node, PLANNABLE)
            if kind == _BIND:
                node = self.find_prepared(messages.parse_bind(body).statement).node
            else:
                prepared = self.find_portal(messages.parse_execute(body)[0]).prepared
                node = prepared.node if prepared is not None else None
        except (SqlError, UnicodeDecodeError):
            return False
        return node is not None and self._reads_now(node)

    def _reads_now(self, node: syntax.Statement) -> bool:
        """Not a command about the session only, nor a query AS OF, for which nobody else is asked."""
        if isinstance(node, syntax_commands.Execute) and (prepared := self.prepared.get(node.name)) is not None:
            node = prepared.node or node
        return not isinstance(_unwrapped(node), (*_WITHOUT_SNAPSHOT, syntax.AsOfQuery))

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
            if oid and not self.gateway.is_type(cast("Session", self), oid):
                raise SqlError("XX000", f"cache lookup failed for type {oid}")
        statement = PreparedStatement(name, sql, node, parameter_types, 0 if not name else postgres_now(), from_sql)
        if node is not None:
            self._refuse_when_failed(node)
        self.plan_first(statement)
        self.prepared[name] = statement
        return statement

    def plan_first(self, statement: PreparedStatement) -> None:
        """Parse and PREPARE: the first plan. With a parameter in AS OF, for example, only Bind tells which schema counts, so that a name that
        is unknown today is no error yet."""
        node = statement.node
        try:
            self.plan_prepared(statement)
        except SqlError as error:
            undefined = error.sqlstate[:2] in ("42", "3F")
            session = cast("Session", self)
            if not undefined or not isinstance(node, syntax.AsOfQuery) or not as_of.is_open(session, node.as_of):
                raise

    def plan_prepared(self, statement: PreparedStatement) -> PlannedStatement | None:
        """The statement's plan, made anew if the catalog or the search path has changed; None for commands."""
        scope = self.scope()
        if statement.validity == scope:
            return statement.planned
        node = statement.node
        if isinstance(node, syntax.AsOfQuery):
            return self._plan_past(statement, node)
        if isinstance(node, PLANNABLE):
            before = statement.planned
            planned = self.gateway.plan(
                cast("Session", self), node, statement.sql, statement.parameters or statement.declared
            )
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

    def _plan_past(self, statement: PreparedStatement, node: syntax.AsOfQuery) -> PlannedStatement:
        """The plan of a query AS OF: by the schema that the transaction reads, or before it has begun by what `trying` finds.

        Its columns may be others each time, but not other than Describe has told.
        """
        session = cast("Session", self)
        types = list(statement.parameters or statement.declared)
        for number, oid in as_of.parameter_types(session, node.as_of, types).items():
            types.extend([0] * (number - len(types)))
            types[number - 1] = oid
        with as_of.trying(session, node.as_of):
            planned = self.gateway.plan(session, node.query, statement.sql, types)
            validity = self.scope()
        if statement.told is not None and statement.told != [(c.type, c.name) for c in planned.columns]:
            raise SqlError(
                "0A000",
                "cached plan must not change result type",
                detail="At the moment that AS OF names, the columns are others than Describe has told.",
            )
        statement.planned = planned
        statement.parameters = planned.parameters
        statement.validity = validity
        return planned

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
        if isinstance(prepared.node, syntax.AsOfQuery):
            self.context.begin_statement(self.transaction_status != "I" or self.transaction is not None)
            self.tasks.start(
                self._bind_past(prepared, prepared.node, portal, parameter_formats, parameters, result_formats)
            )
        else:
            self._open_portal(prepared, portal, parameter_formats, parameters, result_formats)

    def _bind_past(
        self,
        prepared: PreparedStatement,
        node: syntax.AsOfQuery,
        portal: str,
        formats: Sequence[int],
        raw: list[bytes | None],
        result_formats: Sequence[int],
    ) -> Generator[Signal, None, None]:
        """Bind of a query AS OF: it may have to wait, and what its parameters are depends on the schema of that time."""
        session = cast("Session", self)
        types = as_of.parameter_types(session, node.as_of, prepared.parameters or prepared.declared)
        if types and len(raw) < max(types):
            raise _wrong_count(prepared, len(raw), max(types))
        expanded = expand_formats(formats, len(raw), "parameter")
        values: dict[int, Any] = {}
        for number, oid in types.items():
            data = raw[number - 1]
            (decode,) = parameter_decoders((oid,), (expanded[number - 1],), self.context)
            try:
                values[number] = None if data is None else decode(data)
            except SqlError as error:
                error.context = _parameter_context(error, portal, number, bool(expanded[number - 1]))
                raise
        yield from as_of.begin(session, node.as_of, values, types)
        self._open_portal(prepared, portal, formats, raw, result_formats)

    def _open_portal(
        self,
        prepared: PreparedStatement,
        portal: str,
        parameter_formats: Sequence[int],
        parameters: list[bytes | None],
        result_formats: Sequence[int],
    ) -> None:
        planned = self.plan_prepared(prepared)
        columns: Sequence[Column] = (
            planned.columns if planned is not None else commands.columns_of(cast("Session", self), prepared.node)
        )
        count = len(prepared.parameters)
        if len(parameters) != count:
            raise _wrong_count(prepared, len(parameters), count)
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

    def run_segment(self, body: bytes, described: bool, *, permitted: bool) -> bytes | None:
        """Bind, [Describe,] Execute and Sync in one: the hot path of prepared statements. See `session_contract.Session`."""
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
                return None
            if segment.node is not None:
                return self._run_control(segment, described)
        status = self.transaction_status
        in_block = status == "T"
        if transaction is None:
            if status == "E" or (not permitted and self.reads.waits):
                return None
        elif not in_block:
            return None
        try:
            values = segment.read(body, segment.head_bytes)
        except StructError:
            return None
        except SqlError as error:
            raise self._bind_error(error, segment.prepared, body) from None
        if values is None:
            self._segments.entries.pop(body[: segment.head_bytes])  # other result formats
            return None
        self.current_sql = segment.prepared.sql
        if in_block:
            self.context.statement_us = 0  # HOT: `begin_statement` without its call
        else:
            self.context.begin_statement(False)
        if self.portals:
            self._drop_unnamed_portal()
        # Everything goes out in one piece; `failed` sends the prefix where an error takes the reply's place.
        prefix = self._prefix = segment.described if described else messages.BIND_COMPLETE
        if in_block or segment.writes:
            if transaction is None or (transaction.movable and transaction.snapshot != self._view.snapshot):
                transaction = self.ensure_transaction()
            state = self._state
            if state is None or state.transaction is not transaction:
                state = self._inline_state(transaction, values)
            else:
                state.parameters = values
                state.processed = 0
            if segment.writes and transaction.read_only:
                self.check_writable(segment.planned, transaction)
            note = transaction.dependencies.setdefault  # HOT: `Transaction.depend` without its call
            for oid, version in segment.relations:
                note(oid, version)
            if segment.writes and self._contention.keys:
                rows = self._try_contended(segment.run, state)
                if rows is None:
                    self._prefix = b""
                    self.connection.send(prefix)
                    self._wait_contended(segment.planned, state, not in_block, segment.formats, described=False)
                    return b""
            else:
                rows = segment.run(state)
        else:
            transaction = None
            state = self._inline_state(self._fresh_reader(), values)
            rows = segment.run(state)
        self._prefix = b""
        if rows and segment.encode is not None:
            prefix += segment.encode(rows)
        count = len(rows) if segment.counts_rows else state.processed
        tags = segment.tags
        reply = prefix + (tags[count] if count < len(tags) else segment.complete(count))
        if not in_block:
            return self._end_statement(transaction, reply)
        if self._idle_in_transaction_ms:
            self._watch_idle()
        return reply

    def _gather_segment(self, body: bytes) -> PreparedSegment | None:
        """What the hot path needs for such a Bind message, kept for the next; None where it is not for the hot path."""
        head = messages.bind_head(body)
        if head is None or self._held:
            return None
        bind = messages.parse_bind(body)
        prepared = self.prepared.get(bind.statement)
        if prepared is None or isinstance(prepared.node, syntax.AsOfQuery):
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

    def _run_control(self, segment: PreparedSegment, described: bool) -> bytes | None:
        """The same for BEGIN, COMMIT and ROLLBACK, which need neither plan nor snapshot."""
        prepared = segment.prepared
        node = segment.node
        if node is None or self.prepared.get(prepared.name) is not prepared or self.transaction_status == "E":
            return None
        session: Session = self  # type: ignore[assignment]  # HOT: the storeys are one class
        reply = transaction_control.run_hot(session, node, segment.described if described else messages.BIND_COMPLETE)
        if reply is not None:
            self.current_sql = prepared.sql
        return reply

    def _bind_error(self, error: SqlError, prepared: PreparedStatement, body: bytes) -> SqlError:
        """An input function's error, with the parameter that it is about."""
        return _in_bind(error, self._decoders(prepared, ()), messages.parse_bind(body).parameters, (), "")

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
        if isinstance(statement.node, syntax.AsOfQuery):
            planned = self.plan_prepared(statement)
            assert planned is not None
            statement.told = [(column.type, column.name) for column in planned.columns]
        # Parameters never change: PostgreSQL tells them even when the plan turns out to be stale.
        self.connection.send(messages.parameter_description(statement.parameters))
        planned = self.plan_prepared(statement)
        columns = planned.columns if planned is not None else commands.columns_of(cast("Session", self), statement.node)
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
        if isinstance(node, syntax_commands.Transaction):
            reply = transaction_control.run_hot(cast("Session", self), node)
            if reply is not None:
                if reply:
                    self.connection.send(reply)
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
            tag = yield from commands.run_copy(cast("Session", self), node)
            portal.finished = True
            self._complete(tag)
            return False
        result = yield from commands.run(cast("Session", self), node, sql, portal.parameters)
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
        if self.sequences.unsettled:
            self.tasks.start(self._commit_then(self._reply))
        elif transaction.must_propose:
            self._propose(transaction)
        else:
            if self._reply:
                self.connection.send(self._reply)
            self._end_transaction(committed=True)


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
    error.context = _parameter_context(error, portal, number, binary)
    return error


def _parameter_context(error: SqlError, portal: str, number: int, binary: bool) -> str:
    where = f'portal "{portal}"' if portal else "unnamed portal"
    shown = "" if binary or error.sqlstate == "22021" else " = '...'"  # what cannot be decoded has no text
    return f"{where} parameter ${number}{shown}"


def _wrong_count(prepared: PreparedStatement, supplied: int, required: int) -> SqlError:
    return SqlError(
        "08P01",
        f'bind message supplies {supplied} parameters, but prepared statement "{prepared.name}" requires {required}',
    )


def _counted(tag: str, count: int) -> str:
    """A command's tag with the number of rows that one Execute has handed out, where the tag has a number."""
    words, _, number = tag.rpartition(" ")
    return f"{words} {count}" if number.isdigit() else tag
