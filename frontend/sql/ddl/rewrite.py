"""What definitions do to rows: building indexes, checking constraints, rewriting tables.

Everything is a scan in slices over the transaction's own view of the table, its uncommitted rows included. The scanned range
is put among what COMMIT checks (`Transaction.ranges`), because a row that another transaction commits after this one's
snapshot would otherwise be missed: such a commit makes this transaction fail with 40001, instead of anybody waiting. In the
other direction a transaction that planned with the old definition depends on its version and fails with OC001.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from frontend.errors import SqlError
from frontend.sql.binder.statement import Query, StatementBinding
from frontend.sql.binder.write_targets import bind_write_target, new_row_ids
from frontend.sql.compiler.writers import RowWriter, value_text
from frontend.sql.ddl import expressions, names
from frontend.sql.executor.foreign_keys import parent_key
from frontend.system import registry
from frontend.transaction import ENTRY_PUT, UNIQUE_PUT
from frontend.types.registry import type_by_oid
from storage import keys
from storage.catalog import Column, Constraint, Index, Table
from storage.rows import row_decoder

if TYPE_CHECKING:
    from frontend.sql.ddl.environment import Batch, DdlEnvironment, Work

CHUNK_ROWS = 256
PRESENT_MAX = 100_000
"""Referenced keys that the validation of a foreign key remembers having found."""

Row = list[Any]


def table_writer(environment: DdlEnvironment, table: Table) -> RowWriter:
    """What writes rows of the table as the draft defines it."""
    binding = StatementBinding(environment.draft.catalog, expressions.STORED_PATH, registry, environment.context)
    return RowWriter(bind_write_target(binding, table, new_row_ids(Query(binding), table)))


class RowSink:
    """Stores complete rows in a table that this transaction has made.

    Attributes:
        count: rows stored.
    """

    def __init__(self, environment: DdlEnvironment, table: Table) -> None:
        self._environment = environment
        self._writer = table_writer(environment, table)
        self.count = 0

    def insert(self, row: Row) -> None:
        """Store one row, by attribute number."""
        self._writer.insert(self._environment.transaction, row, self._environment.context)
        self.count += 1


def _decoder(table: Table) -> Callable[[bytes], Row]:
    return row_decoder([column.type for column in table.columns], [column.missing for column in table.columns])


def table_rows(environment: DdlEnvironment, table: Table) -> Iterator[list[tuple[bytes, Row]]]:
    """All rows of the table in chunks, each with its key; what others write meanwhile will be a conflict."""
    transaction = environment.transaction
    low = keys.prefix(table.storage, 0)
    high = keys.successor(low)
    if (low, high) not in transaction.ranges:
        transaction.ranges.append((low, high))
    scan = transaction.scan(low, high)
    decode = _decoder(table)
    while not scan.done:
        yield [(key, decode(value)) for key, value in scan.fetch(CHUNK_ROWS)]


_BREATH: Batch = []


# ── indexes ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def build_index(environment: DdlEnvironment, table: Table, index: Index) -> Work:
    """The entries of a new index for all rows; 23505 where a unique one meets two equal keys."""
    transaction, context = environment.transaction, environment.context
    entry_of = table_writer(environment, table).entry_maker(index.oid)
    put, writes = transaction.put, transaction.writes
    for chunk in table_rows(environment, table):
        for key, row in chunk:
            entry = entry_of(row, key, context)
            if entry is None:
                continue
            entry_key, value, unique = entry
            if unique:
                if entry_key in writes:
                    raise _not_unique(environment, table, index, row)
                put(entry_key, value, UNIQUE_PUT)
            else:
                put(entry_key, value, ENTRY_PUT)
        yield _BREATH


def _not_unique(environment: DdlEnvironment, table: Table, index: Index, row: Row) -> SqlError:
    labels: list[str] = []
    texts: list[str] = []
    expression_texts = [part.expression for part in index.key if part.expression is not None]
    computed = (
        iter(expressions.row_function(environment, expression_texts, table)(row)) if expression_texts else iter(())
    )
    for part in index.key:
        if part.expression is None:
            labels.append(names.quote_identifier(table.columns[part.number - 1].name))
            value = row[part.number - 1]
        else:
            labels.append(part.expression)
            value = next(computed)
        texts.append(value_text(part.type, value, environment.context))
    return SqlError(
        "23505",
        f'could not create unique index "{index.name}"',
        detail=f"Key ({', '.join(labels)})=({', '.join(texts)}) is duplicated.",
        schema=names.schema_of(environment, table).name,
        table=table.name,
        constraint=index.name,
    )


# ── rewriting ───────────────────────────────────────────────────────────────────────────────────────────────────────


def rewrite_rows(
    environment: DdlEnvironment, before: Table, after: Table, transform: Callable[[Row], Row] | None = None
) -> Work:
    """Store every row of `before` as a row of `after` (a new storage id), with all entries of all its indexes."""
    transaction, context = environment.transaction, environment.context
    writer = table_writer(environment, after)
    width = len(after.columns)
    places = [
        column.number - 1 for column in after.columns if column.not_null and not column.dropped and not column.generated
    ]
    for chunk in table_rows(environment, before):
        rows = [row for _, row in chunk] if transform is None else [transform(row) for _, row in chunk]
        for row in rows:
            row.extend([None] * (width - len(row)))
        null = _first_null(rows, places)
        try:
            writer.insert_many(transaction, rows if null is None else rows[: null[0]], context)
        except SqlError as error:
            raise _while_rewriting(error, after) from None
        if null is not None:
            raise contains_null(environment, after, after.columns[null[1]])
        yield _BREATH


def _first_null(rows: list[Row], places: list[int]) -> tuple[int, int] | None:
    """(row, column index) of the first NULL at these places."""
    for place in places:
        if any(row[place] is None for row in rows):
            return min((at, where) for at, row in enumerate(rows) for where in places if row[where] is None)
    return None


def _while_rewriting(error: SqlError, table: Table) -> SqlError:
    """The writer's complaints in the words of a table that is being changed as a whole."""
    if error.sqlstate == "23505":
        error.message = f'could not create unique index "{error.constraint}"'
        error.args = (error.message,)
        error.detail = (error.detail or "").replace("already exists.", "is duplicated.")
    elif error.sqlstate == "23514":
        error.message = f'check constraint "{error.constraint}" of relation "{table.name}" is violated by some row'
        error.args = (error.message,)
        error.detail = None
    return error


# ── checking ────────────────────────────────────────────────────────────────────────────────────────────────────────


def contains_null(environment: DdlEnvironment, table: Table, column: Column) -> SqlError:
    """23502 for a column that is to become NOT NULL."""
    return SqlError(
        "23502",
        f'column "{column.name}" of relation "{table.name}" contains null values',
        schema=names.schema_of(environment, table).name,
        table=table.name,
        column=column.name,
    )


def require_empty(environment: DdlEnvironment, table: Table, column: Column) -> Work:
    """23502 unless the table has no rows: a new NOT NULL column without a value for them."""
    for chunk in table_rows(environment, table):
        if chunk:
            raise contains_null(environment, table, column)
        yield _BREATH


def validate_not_null(environment: DdlEnvironment, table: Table, column: Column) -> Work:
    """23502 where a row has NULL in the column."""
    place = column.number - 1
    for chunk in table_rows(environment, table):
        if any(row[place] is None for _, row in chunk):
            raise contains_null(environment, table, column)
        yield _BREATH


def validate_check(environment: DdlEnvironment, table: Table, constraint: Constraint) -> Work:
    """23514 where a row fails the check."""
    assert constraint.expression is not None
    compute = expressions.row_function(environment, [constraint.expression], table)
    for chunk in table_rows(environment, table):
        for _, row in chunk:
            if compute(row)[0] is False:
                raise SqlError(
                    "23514",
                    f'check constraint "{constraint.name}" of relation "{table.name}" is violated by some row',
                    schema=names.schema_of(environment, table).name,
                    table=table.name,
                    constraint=constraint.name,
                )
        yield _BREATH


def validate_foreign_key(environment: DdlEnvironment, table: Table, constraint: Constraint) -> Work:
    """23503 where a row refers to nothing."""
    catalog, transaction = environment.draft.catalog, environment.transaction
    parent = catalog.table(constraint.foreign_table)
    places = [number - 1 for number in constraint.columns]
    present: set[tuple[Any, ...]] = set()
    hashable = not any(type_by_oid(table.columns[place].type).element for place in places)
    for chunk in table_rows(environment, table):
        for _, row in chunk:
            values = tuple([row[place] for place in places])
            if hashable and values in present:
                continue
            if None in values:
                if constraint.match_full and any(value is not None for value in values):
                    raise _violates(
                        environment,
                        table,
                        constraint,
                        "MATCH FULL does not allow mixing of null and nonnull key values.",
                    )
                continue
            if parent_key(transaction, catalog, parent, constraint, values) is None:
                labels = ", ".join(table.columns[place].name for place in places)
                texts = ", ".join(
                    value_text(table.columns[place].type, value, environment.context)
                    for place, value in zip(places, values, strict=True)
                )
                raise _violates(
                    environment, table, constraint, f'Key ({labels})=({texts}) is not present in table "{parent.name}".'
                )
            if hashable and len(present) < PRESENT_MAX:
                present.add(values)
        yield _BREATH


def _violates(environment: DdlEnvironment, table: Table, constraint: Constraint, detail: str) -> SqlError:
    return SqlError(
        "23503",
        f'insert or update on table "{table.name}" violates foreign key constraint "{constraint.name}"',
        detail=detail,
        schema=names.schema_of(environment, table).name,
        table=table.name,
        constraint=constraint.name,
    )
