"""COPY in and out, between the wire's codecs and the engine.

    FROM STDIN   CopyData ──decoder──▶ fields ──type input──▶ values ──INSERT plan──▶ write buffer
    TO STDOUT    plan ──▶ rows ──type output──▶ fields ──encoder──▶ CopyData

COPY FROM binds `INSERT INTO table (columns) VALUES ($1, …)`. Where every column is a field or a constant and there are no
foreign keys, rows go to the table's RowWriter in batches, which knows when duplicate reads can be left out; otherwise the
INSERT's compiled plan runs for every row. Constraints, indexes and defaults are the same code as for INSERT either way. Work is
bounded a batch, and the task gives way between slices. An error says where: `COPY t, line 3, column a: "x"`. Server-side files
and programs are refused: a node's files are not the clients'.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any

from frontend import as_of
from frontend.errors import SqlError, unsupported
from frontend.settings import parse_boolean
from frontend.sql import syntax
from frontend.sql import syntax_commands as statements
from frontend.sql.compiler.writers import row_writer
from frontend.sql.logical import ApplyTypmod, Column, ColumnRef, Constant, Insert, ParameterRef, Plan, Values
from frontend.tasks import COPY_WAIT, TICK, WRITABLE, Signal
from frontend.types import oids
from frontend.types.registry import binary_decoder, binary_encoder, type_by_oid
from frontend.wire import messages
from frontend.wire.copy import CopyOptions
from frontend.wire.copy_in import COPY_DEFAULT, Decoder, Row, make_decoder
from frontend.wire.copy_out import BinaryEncoder, make_text_encoder
from storage.catalog import Column as TableColumn
from storage.catalog import Sequence as CatalogSequence
from storage.catalog import Table, View

if TYPE_CHECKING:
    from frontend.session import Session
    from frontend.statements import PlannedStatement

ROWS_BETWEEN_BREATHS = 500
INPUT_BYTES = 64 << 10
"""CopyData messages collect until there are so many bytes: one row at a time would cost more than the rows."""


class CopyInput:
    """What the client has sent and the running COPY has not taken yet. The connection delivers one message at a time."""

    __slots__ = ("bytes", "chunks", "ended")

    def __init__(self) -> None:
        self.bytes = 0
        self.chunks: list[bytes] = []
        self.ended = False

    def add(self, data: bytes) -> bool:
        """Keep a CopyData message (pgbench sends one a row); True when there is enough to work on."""
        self.chunks.append(data)
        self.bytes += len(data)
        return self.bytes >= INPUT_BYTES

    def take(self) -> bytes:
        """What has collected."""
        data = b"".join(self.chunks)
        self.chunks.clear()
        self.bytes = 0
        return data


def run(session: Session, node: statements.Copy) -> Generator[Signal, None, bytes]:
    """COPY; returns the CommandComplete message."""
    if node.filename is not None:
        what = "a program" if node.program else "a file"
        raise unsupported(
            f"COPY to or from {what} on the server", hint="Use COPY … FROM STDIN or TO STDOUT, or psql's \\copy."
        )
    if node.from_:
        count = yield from _copy_in(session, node)
    else:
        count = yield from _copy_out(session, node)
    return messages.command_complete(f"COPY {count}")


# ── options ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _options(node: statements.Copy, columns: Sequence[str], target: Table | None) -> CopyOptions:
    """The WITH list as the codecs want it; 42601 for unknown or repeated options. `target`: None copies a query."""
    values: dict[str, Any] = {}
    for option in node.options:
        name, value = option.name.lower(), option.value
        if name in values:
            raise SqlError("42601", "conflicting or redundant options", position=option.position or None)
        if name == "format":
            if value not in ("text", "csv", "binary"):
                raise SqlError("22023", f'COPY format "{value}" not recognized', position=option.position or None)
            values[name] = value
        elif name in ("delimiter", "null", "quote", "escape", "default"):
            values[name] = str(value)
        elif name == "header":
            values[name] = _header(value)
        elif name in ("force_quote", "force_not_null", "force_null"):
            values[name] = _column_places(value, columns, name, target)
        elif name == "freeze":
            values[name] = _boolean(name, value)
        elif name == "encoding":
            if str(value).replace("-", "").lower() not in ("utf8", "unicode"):
                raise unsupported(f"COPY ENCODING '{value}'")
            values[name] = value
        else:
            raise SqlError("42601", f'option "{option.name}" not recognized', position=option.position or None)
    values.pop("freeze", None)
    values.pop("encoding", None)
    return CopyOptions(**values).resolved(copy_from=node.from_)


def _boolean(name: str, value: object) -> bool:
    result = True if value is None else parse_boolean(str(value))
    if result is None:
        raise SqlError("42601", f"{name} requires a Boolean value")
    return result


def _header(value: object) -> str:
    if isinstance(value, str) and value.lower() == "match":
        return "match"
    result = True if value is None else parse_boolean(str(value))
    if result is None:
        raise SqlError("42601", 'header requires a Boolean value or "match"')
    return "names" if result else "none"


def _column_places(value: object, columns: Sequence[str], option: str, target: Table | None) -> frozenset[int]:
    if value == "*":
        return frozenset(range(len(columns)))
    names = value if isinstance(value, list) else [str(value)]
    for name in names:
        if name not in columns:
            if target is None:
                raise SqlError("42703", f'column "{name}" does not exist')
            if not any(column.name == name and not column.dropped for column in target.columns):
                raise SqlError("42703", f'column "{name}" of relation "{target.name}" does not exist')
            raise SqlError("42P10", f'{option.upper()} column "{name}" not referenced by COPY')
    return frozenset(columns.index(name) for name in names)


# ── FROM ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _target(session: Session, node: statements.Copy) -> tuple[Table, list[TableColumn]]:
    assert node.relation is not None
    relation = session.gateway.resolve_relation(session, node.relation)
    if not isinstance(relation, Table):
        if isinstance(relation, View):
            raise SqlError(
                "42809",
                f'cannot copy to view "{node.relation.name}"',
                hint="To enable copying to a view, provide an INSTEAD OF INSERT trigger.",
            )
        kind = "sequence" if isinstance(relation, CatalogSequence) else "index"
        raise SqlError("42809", f'cannot copy to {kind} "{node.relation.name}"')
    live = {column.name: column for column in relation.columns if not column.dropped}
    if not node.columns:
        return relation, [column for column in live.values() if not column.generated]
    chosen = []
    for name in node.columns:
        column = live.get(name)
        if column is None:
            raise SqlError("42703", f'column "{name}" of relation "{relation.name}" does not exist')
        if column.generated:
            raise SqlError(
                "42P10", f'column "{name}" is a generated column', detail="Generated columns cannot be used in COPY."
            )
        if column in chosen:
            raise SqlError("42701", f'column "{name}" specified more than once')
        chosen.append(column)
    return relation, chosen


def _copy_in(session: Session, node: statements.Copy) -> Generator[Signal, None, int]:
    if node.where is not None:
        raise unsupported("COPY FROM … WHERE")
    table, columns = _target(session, node)
    transaction = session.ensure_transaction()
    if transaction.read_only:
        raise SqlError("25006", "cannot execute COPY FROM in a read-only transaction")
    names = [column.name for column in columns]
    options = _options(node, names, table)
    decoder = make_decoder(options, names)
    inserter = _Inserter(session, node.relation, table, columns, binary=options.format == "binary")
    code = 1 if options.format == "binary" else 0
    copy_input = session.copy_input = CopyInput()
    session.connection.send(messages.copy_in_response(code, [code] * len(columns)))
    session.connection.begin_copy_in()
    count = 0
    finished = False
    while not finished:
        if not copy_input.chunks and not copy_input.ended:
            yield COPY_WAIT
            continue
        rows: Sequence[Row] = ()
        try:
            if copy_input.chunks:
                rows = decoder.feed(copy_input.take())
            else:
                rows = decoder.finish()
                finished = True
        except SqlError as error:
            error.context = decoder.error_context(table.name)
            raise
        for start in range(0, len(rows), ROWS_BETWEEN_BREATHS):
            inserter.insert(rows[start : start + ROWS_BETWEEN_BREATHS], decoder, start)
            yield TICK
        count += len(rows)
    session.copy_input = None
    return count


class _Inserter:
    """Fields to rows to the table, through INSERT's plan."""

    def __init__(
        self,
        session: Session,
        name: syntax.RelationName | None,
        table: Table,
        columns: list[TableColumn],
        *,
        binary: bool,
    ) -> None:
        self._session = session
        self._name = name or syntax.RelationName(name=table.name)
        self._table = table
        self._columns = columns
        self._convert = [_field_input(session, column, binary) for column in columns]
        planned = self._planned(columns)
        self._plain = self._row_inserter(planned)
        self._assemble = assembler(planned.bound.plan, self._columns, self._convert, binary=binary)
        insert = planned.bound.plan
        self._writer = row_writer(insert.target) if self._assemble is not None and isinstance(insert, Insert) else None
        self._with_defaults: dict[tuple[int, ...], Callable[[Sequence[Any]], None]] = {}

    def _planned(self, columns: Sequence[TableColumn]) -> PlannedStatement:
        """The INSERT of one row of values for these columns."""
        session = self._session
        values: list[syntax.Expression] = [syntax.Parameter(number=number) for number in range(1, len(columns) + 1)]
        insert = syntax.Insert(
            relation=self._name,
            columns=[syntax.InsertColumn(name=column.name) for column in columns],
            query=syntax.Select(values=[values]) if columns else None,
            overriding="system" if any(column.identity for column in columns) else None,
        )
        planned = session.gateway.plan_node(session, insert, [column.type for column in columns])
        session.ensure_transaction().depend(planned.relations)
        return planned

    def _row_inserter(self, planned: PlannedStatement) -> Callable[[Sequence[Any]], None]:
        """A function that inserts one row of values through the plan."""
        state = self._session.new_state(())
        run_inline = planned.compiled.run_inline

        def insert_row(row: Sequence[Any]) -> None:
            state.parameters = row
            run_inline(state)

        return insert_row

    def insert(self, rows: Sequence[Row], decoder: Decoder[Row], start: int) -> None:
        """Insert decoded rows; an error names line and column."""
        if self._writer is not None and self._insert_batch(rows):
            return
        convert, insert_row = self._convert, self._plain
        table = self._table.name
        for number, fields in enumerate(rows, start):
            if COPY_DEFAULT in fields:
                self._insert_with_defaults(fields, decoder, number)
                continue
            place = 0
            try:
                row = []
                for place, field in enumerate(fields):
                    row.append(None if field is None else convert[place](field))
            except SqlError as error:
                error.context = decoder.error_context(table, number, self._columns[place].name, fields[place])
                raise
            try:
                insert_row(row)
            except SqlError as error:
                error.context = decoder.error_context(table, number)
                raise

    def _insert_batch(self, rows: Sequence[Row]) -> bool:
        """The whole batch at once. False, with nothing done, where a row has an error or a marker: then they go one by one,
        which finds the place."""
        assemble, writer = self._assemble, self._writer
        assert assemble is not None
        assert writer is not None
        session = self._session
        try:
            # Nothing reaches the write buffer before the whole batch has passed all checks.
            writer.insert_many(session.ensure_transaction(), assemble(rows), session.context)
        except (SqlError, AttributeError, TypeError) as error:
            if isinstance(error, SqlError) and error.sqlstate == "54000":
                raise
            return False
        return True

    def _insert_with_defaults(self, fields: Row, decoder: Decoder[Row], number: int) -> None:
        """A row in which DEFAULT markers stand for some columns: a plan for the others."""
        given = tuple(place for place, field in enumerate(fields) if field is not COPY_DEFAULT)
        insert_row = self._with_defaults.get(given)
        if insert_row is None:
            planned = self._planned([self._columns[place] for place in given])
            insert_row = self._with_defaults[given] = self._row_inserter(planned)
        try:
            insert_row([None if fields[place] is None else self._convert[place](fields[place]) for place in given])
        except SqlError as error:
            error.context = decoder.error_context(self._table.name, number)
            raise


Assembler = Callable[[Sequence[Row]], list[list[Any]]]

_DIGITS = {oids.INT2: 5, oids.INT4: 10, oids.INT8: 19}  # so many digits may be out of range: the type's input decides
_AS_IT_IS = (oids.TEXT, oids.VARCHAR, oids.BPCHAR)


def assembler(
    plan: Plan, columns: Sequence[TableColumn], convert: Sequence[Callable[[Any], Any]], *, binary: bool
) -> Assembler | None:
    """From decoded fields to rows by attribute number, as one generated comprehension.

    Only for an INSERT … VALUES ($1, …) that stores its parameters and constants as they are; None where there is more to
    compute. HOT: about 0.6 µs a row of four columns.
    """
    if not isinstance(plan, Insert) or plan.on_conflict is not None or plan.returning or plan.target.foreign_keys:
        return None
    places: dict[int, int] = {}
    if isinstance(plan.source, Values):
        if len(plan.source.rows) != 1:
            return None
        places = {
            column.id: value.number - 1
            for column, value in zip(plan.source.columns, plan.source.rows[0], strict=True)
            if isinstance(value, ParameterRef)
        }
    names: dict[str, Any] = {f"parse{place}": function for place, function in enumerate(convert)}
    slots: list[str] = []
    for attribute, value in enumerate(plan.values):
        coerce = ""
        if isinstance(value, ApplyTypmod):
            coerce = f"coerce{attribute}"
            names[coerce] = _typmod_applier(value.type, value.typmod, value.explicit)
            value = value.operand
        if value is None:
            slots.append("None")
        elif isinstance(value, Constant):
            names[f"constant{attribute}"] = value.value
            slots.append(f"constant{attribute}")
        elif isinstance(value, ParameterRef):
            slots.append(_slot(value.number - 1, columns[value.number - 1].type, coerce, binary))
        elif isinstance(value, ColumnRef) and value.id in places:
            slots.append(_slot(places[value.id], columns[places[value.id]].type, coerce, binary))
        else:
            return None
    fields = ", ".join(f"f{place}" for place in range(len(columns)))
    code = f"def assemble(rows):\n    return [[{', '.join(slots)}] for {fields}, in rows]\n"
    exec(compile(code, "<rows of COPY>", "exec"), names)
    assemble: Assembler = names["assemble"]
    return assemble


def _slot(place: int, type_oid: int, coerce: str, binary: bool) -> str:
    """Source that turns field number `place` into a value."""
    field = f"f{place}"
    value = f"parse{place}({field})"
    if not binary:
        if type_oid in _DIGITS:
            value = f"(int({field}) if len({field}) < {_DIGITS[type_oid]} and {field}.isascii() and {field}.isdigit() else {value})"
        elif type_oid in _AS_IT_IS:
            value = field
    if coerce:
        value = f"{coerce}({value})"
    return f"(None if {field} is None else {value})"


def _typmod_applier(type_oid: int, typmod: int, explicit: bool) -> Callable[[Any], Any]:
    apply = type_by_oid(type_oid).apply_typmod
    return lambda value: apply(value, typmod, explicit)


def _field_input(session: Session, column: TableColumn, binary: bool) -> Callable[[Any], Any]:
    """From a field to a value of the column's type; typmod is the INSERT plan's to apply, as an assignment."""
    context = session.context
    if binary:
        return binary_decoder(column.type, -1, context)
    parse = type_by_oid(column.type).input
    return lambda field: parse(field, -1, context)


# ── TO ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _query(session: Session, node: statements.Copy) -> syntax.Statement:
    if node.query is not None:
        return node.query
    assert node.relation is not None
    relation = session.gateway.resolve_relation(session, node.relation)
    if isinstance(relation, View):
        raise SqlError(
            "42809", f'cannot copy from view "{node.relation.name}"', hint="Try the COPY (SELECT ...) TO variant."
        )
    if not isinstance(relation, Table):
        kind = "sequence" if isinstance(relation, CatalogSequence) else "index"
        raise SqlError("42809", f'cannot copy from {kind} "{node.relation.name}"')
    names = node.columns or [c.name for c in relation.columns if not c.dropped and not c.generated]
    for name in names:
        if not any(column.name == name and not column.dropped for column in relation.columns):
            raise SqlError("42703", f'column "{name}" of relation "{relation.name}" does not exist')
    return syntax.Select(
        targets=[syntax.Target(expression=syntax.ColumnReference(names=[name])) for name in names],
        from_=[syntax.TableItem(relation=node.relation)],
    )


def _copy_out(session: Session, node: statements.Copy) -> Generator[Signal, None, int]:
    query = _query(session, node)
    if isinstance(query, syntax.AsOfQuery):
        yield from as_of.begin(session, query.as_of)
        query = query.query
    planned = session.gateway.plan_node(session, query)
    columns = planned.columns
    if not columns:
        raise SqlError("0A000", "COPY query must have a RETURNING clause")
    names = [column.name for column in columns]
    target = session.gateway.resolve_relation(session, node.relation) if node.relation is not None else None
    options = _options(node, names, target if isinstance(target, Table) else None)
    transaction = session.ensure_transaction()
    session.check_writable(planned, transaction)
    transaction.depend(planned.relations)
    state = session.new_state(())
    connection = session.connection
    code = 1 if options.format == "binary" else 0
    connection.send(messages.copy_out_response(code, [code] * len(columns)))
    encoder: Any = BinaryEncoder(names) if code else make_text_encoder(options, names)
    outputs = [_field_output(session, column, binary=bool(code)) for column in columns]
    beginning = encoder.begin()
    if beginning:
        connection.send(beginning)
    count = 0
    batches = (planned.compiled.run_inline(state),) if planned.compiled.inline else planned.compiled.run(state)
    for batch in batches:
        if not isinstance(batch, list):
            yield batch
            continue
        if batch:
            count += len(batch)
            connection.send(
                encoder.rows(
                    [
                        [None if value is None else output(value) for output, value in zip(outputs, row, strict=True)]
                        for row in batch
                    ]
                )
            )
            while connection.write_paused:
                yield WRITABLE
        yield TICK
    ending = encoder.finish()
    if ending:
        connection.send(ending)
    connection.send(messages.COPY_DONE)
    return count


def _field_output(session: Session, column: Column, *, binary: bool) -> Callable[[Any], Any]:
    context = session.context
    if binary:
        return binary_encoder(column.type, context)
    output = type_by_oid(column.type).output
    return lambda value: output(value, context)
