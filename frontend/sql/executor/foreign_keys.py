"""Foreign keys: what follows from rows that were written, done when the statement ends, or at COMMIT where deferred.

    INSERT, UPDATE of the child     the parent must exist            reads its key, registers a KEY SHARE check of it
    DELETE, UPDATE of the parent    no child may refer to it         NO ACTION, RESTRICT: 23503
                                    or the children follow           CASCADE, SET NULL, SET DEFAULT: written, and so on from them

The statement queues (links, key, old row, new row) for each row that it wrote; `finish_statement` first lets the actions run
their course, which may queue more, and then makes the checks, each against what the transaction sees by then. A check is
skipped where its row is gone again. Adjudication does the rest: a parent deleted elsewhere collides with the KEY SHARE check.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from frontend.errors import SqlError
from frontend.sql import logical
from frontend.sql.executor import ranges
from frontend.transaction import KEY_SHARE
from storage.catalog import Catalog, Constraint, Index, Table
from storage.keys import KeyColumn, column_encoder, prefix, successor
from storage.rows import row_decoder

if TYPE_CHECKING:
    from frontend.context import Context
    from frontend.sql.compiler.writers import RowWriter
    from frontend.sql.executor.state import ExecutionState
    from frontend.transaction import Transaction

Row = list[Any]
Breaths = Generator[list[Any], None, None]
EMPTY: list[Any] = []
CHUNK = 128
DEPTH_MAX = 1_000_000


class Links:
    """The foreign keys that writing a table's rows can touch.

    Args:
        changed: attribute numbers that an UPDATE assigns; None for INSERT and DELETE.
    """

    def __init__(self, target: logical.WriteTarget, writer: RowWriter, changed: frozenset[int] | None) -> None:
        self.table = target.table
        self.writer = writer
        self.own = [
            constraint for constraint in target.foreign_keys if changed is None or changed & set(constraint.columns)
        ]
        self.referencing = [
            (table, constraint)
            for table, constraint in target.referencing
            if changed is None or changed & set(constraint.foreign_columns)
        ]
        self.concerned = bool(self.referencing or (self.own and changed is not None))


Work = tuple[Links, bytes, Row | None, Row | None]


class Deferred:
    """A check that waits for COMMIT."""

    __slots__ = ("constraint", "key", "parent_side", "table", "values")

    def __init__(
        self, table: Table, constraint: Constraint, key: bytes, values: tuple[Any, ...], parent_side: bool
    ) -> None:
        self.table = table
        self.constraint = constraint
        self.key = key
        self.values = values
        self.parent_side = parent_side


def _take(row: Row, numbers: Sequence[int]) -> tuple[Any, ...]:
    return tuple([row[number - 1] for number in numbers])


def _is_deferred(state: ExecutionState, constraint: Constraint) -> bool:
    if not constraint.deferrable:
        return False
    said = state.constraints_deferred
    if said:
        if constraint.oid in said:
            return said[constraint.oid]
        if None in said:
            return said[None]
    return constraint.initially_deferred


def finish_statement(state: ExecutionState, queue: list[Work]) -> Breaths:
    """Run the actions of all that was written, then the checks."""
    checks: list[Deferred] = []
    place = 0
    while place < len(queue):
        links, key, old, new = queue[place]
        place += 1
        if place > DEPTH_MAX:
            raise SqlError("54001", "foreign-key actions reach too many rows in one statement")
        if new is not None:
            for constraint in links.own:
                values = _take(new, constraint.columns)
                if old is None or values != _take(old, constraint.columns):
                    checks.append(Deferred(links.table, constraint, key, values, False))
        if old is not None:
            for table, constraint in links.referencing:
                values = _take(old, constraint.foreign_columns)
                if None in values or (new is not None and values == _take(new, constraint.foreign_columns)):
                    continue
                action = constraint.on_delete if new is None else constraint.on_update
                if action in "ar":
                    checks.append(Deferred(links.table, constraint, key, values, True))
                else:
                    yield from _act(state, queue, table, constraint, action, values, new)
                    if action == "d":
                        # The default may be the very key that goes away.
                        checks.append(Deferred(links.table, constraint, key, values, True))
        if not place % CHUNK:
            yield EMPTY
    for count, check in enumerate(checks):
        restricts = check.parent_side and "r" in (check.constraint.on_delete, check.constraint.on_update)
        if _is_deferred(state, check.constraint) and not restricts:
            state.deferred.append(check)
        else:
            yield from _check(state.transaction, state.context, check)
        if not count % CHUNK:
            yield EMPTY


def check_deferred(transaction: Transaction, context: Context, deferred: list[Any]) -> None:
    """All deferred checks of the transaction, before it is proposed; empties the list. Raises 23503."""
    pending = deferred[:]
    deferred.clear()
    for check in pending:
        for _ in _check(transaction, context, check):
            pass


def _check(transaction: Transaction, context: Context, check: Deferred) -> Breaths:
    if check.parent_side:
        yield from _check_parent_side(transaction, context, check)
    else:
        _check_child_side(transaction, context, check)


# ── the child's side ────────────────────────────────────────────────────────────────────────────────────────────────


def _check_child_side(transaction: Transaction, context: Context, check: Deferred) -> None:
    constraint, values, table = check.constraint, check.values, check.table
    if None in values:
        if not constraint.match_full or not any(value is not None for value in values):
            return
        raise SqlError(
            "23503",
            f'insert or update on table "{table.name}" violates foreign key constraint "{constraint.name}"',
            detail="MATCH FULL does not allow mixing of null and nonnull key values.",
            **_names(context, table, constraint),
        )
    data = transaction.get(check.key)
    if data is None or _take(_decoder(table)(data), constraint.columns) != values:
        return  # deleted or changed again since
    parent = context.catalog.table(constraint.foreign_table)
    key = parent_key(transaction, context.catalog, parent, constraint, values)
    if key is None:
        raise SqlError(
            "23503",
            f'insert or update on table "{table.name}" violates foreign key constraint "{constraint.name}"',
            detail=f'Key {_described(context, table, constraint.columns, values)} is not present in table "{parent.name}".',
            **_names(context, table, constraint),
        )
    transaction.lock(key, KEY_SHARE)


def parent_key(
    transaction: Transaction, catalog: Catalog, parent: Table, constraint: Constraint, values: tuple[Any, ...]
) -> bytes | None:
    """The row key of the parent row with these values, None where there is none."""
    given = dict(zip(constraint.foreign_columns, values, strict=True))
    for number, value in given.items():
        limits = ranges.INTEGER_RANGES.get(parent.columns[number - 1].type)
        if limits is not None and not limits[0] <= value <= limits[1]:
            return None
    if set(parent.row_key) == set(constraint.foreign_columns):
        columns = [KeyColumn(parent.columns[number - 1].type, nullable=False) for number in parent.row_key]
        key = ranges.key_maker(prefix(parent.storage, 0), columns)(*[given[number] for number in parent.row_key])
        return key if transaction.get(key) is not None else None
    index = _unique_index(catalog, parent, constraint)
    columns = [
        KeyColumn(parent.columns[part.number - 1].type, True, part.descending, part.nulls_first) for part in index.key
    ]
    entry = ranges.key_maker(prefix(parent.storage, index.index_id), columns)(
        *[given[part.number] for part in index.key]
    )
    suffix = transaction.get(entry)
    return None if suffix is None else prefix(parent.storage, 0) + suffix


def _unique_index(catalog: Catalog, parent: Table, constraint: Constraint) -> Index:
    for index in catalog.indexes_of(parent):
        if index.oid == constraint.index and not index.primary:
            return index
    wanted = set(constraint.foreign_columns)
    for index in catalog.indexes_of(parent):
        if index.unique and not index.primary and {part.number for part in index.key} == wanted:
            return index
    raise SqlError("42830", f'there is no unique constraint matching given keys for referenced table "{parent.name}"')


# ── the parent's side ───────────────────────────────────────────────────────────────────────────────────────────────


def _check_parent_side(transaction: Transaction, context: Context, check: Deferred) -> Breaths:
    constraint, values, parent = check.constraint, check.values, check.table
    catalog = context.catalog
    restricts = "r" in (constraint.on_delete, constraint.on_update)
    if not restricts and parent_key(transaction, catalog, parent, constraint, values) is not None:
        return  # another row has the key now
    child = _owner(catalog, parent, constraint)
    if child is None:
        return
    found = False
    for row in children(transaction, catalog, child, constraint, values):
        if row is None:
            yield EMPTY
            continue
        found = True
        break
    if found:
        raise SqlError(
            "23503",
            f'update or delete on table "{parent.name}" violates foreign key constraint "{constraint.name}" '
            f'on table "{child.name}"',
            detail=f"Key {_described(context, parent, constraint.foreign_columns, values)} is still referenced "
            f'from table "{child.name}".',
            **_names(context, child, constraint),
        )


def _owner(catalog: Catalog, parent: Table, constraint: Constraint) -> Table | None:
    for oid in {parent.oid, *parent.referenced_by}:
        table = catalog.table(oid)
        if any(item.oid == constraint.oid for item in table.constraints):
            return table
    return None


def children(
    transaction: Transaction, catalog: Catalog, child: Table, constraint: Constraint, values: tuple[Any, ...]
) -> Iterator[tuple[bytes, Row] | None]:
    """(key, row) of the rows that refer to these parent values, None now and then as a breath.

    By an index that begins with the foreign key's columns where there is one, else by a full scan.
    """
    decode = _decoder(child)
    given = dict(zip(constraint.columns, values, strict=True))
    rows_at = prefix(child.storage, 0)
    way = _way_to_children(catalog, child, constraint)
    if way is None:
        scan = transaction.scan(rows_at, successor(rows_at))
        while not scan.done:
            for key, data in scan.fetch(CHUNK):
                row = decode(data)
                if _take(row, constraint.columns) == values:
                    yield key, row
            yield None
        return
    index, numbers, columns = way
    for number in numbers:
        limits = ranges.INTEGER_RANGES.get(child.columns[number - 1].type)
        if limits is not None and not limits[0] <= given[number] <= limits[1]:
            return
    start = prefix(child.storage, 0 if index is None else index.index_id) + b"".join(
        [column_encoder(column)(given[number]) for number, column in zip(numbers, columns, strict=True)]
    )
    scan = transaction.scan(start, successor(start))
    while not scan.done:
        for key, data in scan.fetch(CHUNK):
            if index is None:
                yield key, decode(data)
                continue
            row_data = transaction.get(rows_at + data)
            if row_data is not None:
                yield rows_at + data, decode(row_data)
        yield None


def _way_to_children(
    catalog: Catalog, child: Table, constraint: Constraint
) -> tuple[Index | None, list[int], list[KeyColumn]] | None:
    wanted = set(constraint.columns)
    if set(child.row_key[: len(wanted)]) == wanted:
        numbers = list(child.row_key[: len(wanted)])
        return None, numbers, [KeyColumn(child.columns[number - 1].type, nullable=False) for number in numbers]
    for index in catalog.indexes_of(child):
        parts = index.key[: len(wanted)]
        if index.primary or not index.valid or index.predicate is not None or {part.number for part in parts} != wanted:
            continue
        columns = [
            KeyColumn(child.columns[part.number - 1].type, True, part.descending, part.nulls_first) for part in parts
        ]
        return index, [part.number for part in parts], columns
    return None


# ── actions ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class ChildTable:
    """What acting on a child table needs: its writer, its own links, its defaults. Bound when first needed."""

    def __init__(self, catalog: Catalog, table: Table, context: Context) -> None:
        from frontend.sql.binder.statement import NoSystemRelations, Query, StatementBinding
        from frontend.sql.binder.write_targets import bind_write_target, new_row_ids

        self.table = table
        self._binding = StatementBinding(catalog, ("pg_catalog", "public"), NoSystemRelations(), context)
        self.target = bind_write_target(self._binding, table, new_row_ids(Query(self._binding), table))

    @cached_property
    def writer(self) -> RowWriter:
        from frontend.sql.compiler.writers import row_writer

        return row_writer(self.target)

    def default_of(self, number: int) -> Callable[[Context], Any]:
        """A function that computes a column's default."""
        from frontend.sql.binder.write_targets import default_value
        from frontend.sql.compiler.writers import expression_function

        return expression_function(default_value(self._binding, self.table.columns[number - 1]))


def _act(
    state: ExecutionState,
    queue: list[Work],
    table: Table,
    constraint: Constraint,
    action: str,
    values: tuple[Any, ...],
    new_parent: Row | None,
) -> Breaths:
    """CASCADE, SET NULL and SET DEFAULT on the rows that refer to `values`; what they write is queued in turn."""
    transaction, context = state.transaction, state.context
    found: list[tuple[bytes, Row]] = []
    for item in children(transaction, context.catalog, table, constraint, values):
        if item is None:
            yield EMPTY
        else:
            found.append(item)
    if not found:
        return
    child = ChildTable(context.catalog, table, context)
    writer = child.writer
    if action == "c" and new_parent is None:
        links = Links(child.target, writer, None)
        for count, (key, row) in enumerate(found):
            if transaction.get(key) is None:
                continue
            writer.delete(transaction, key, row, context)
            queue.append((links, key, row, None))
            if not count % CHUNK:
                yield EMPTY
        return
    columns = constraint.columns
    if new_parent is None and constraint.on_delete_columns:
        columns = constraint.on_delete_columns
    if action == "c":
        assert new_parent is not None
        assigned = dict(zip(constraint.columns, _take(new_parent, constraint.foreign_columns), strict=True))
    elif action == "n":
        assigned = dict.fromkeys(columns)
    else:
        assigned = {number: child.default_of(number)(context) for number in columns}
    changed = frozenset(assigned)
    links = Links(child.target, writer, changed)
    update = writer.updater(changed)
    for count, (key, row) in enumerate(found):
        new = row.copy()
        for number, value in assigned.items():
            new[number - 1] = value
        queue.append((links, update(transaction, key, row, new, context), row, new))
        if not count % CHUNK:
            yield EMPTY


# ── words ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _decoder(table: Table) -> Callable[[bytes], Row]:
    return row_decoder([column.type for column in table.columns], [column.missing for column in table.columns])


def _described(context: Context, table: Table, numbers: Sequence[int], values: Sequence[Any]) -> str:
    from frontend.sql.compiler.writers import value_text

    names = ", ".join([table.columns[number - 1].name for number in numbers])
    texts = [
        value_text(table.columns[number - 1].type, value, context)
        for number, value in zip(numbers, values, strict=True)
    ]
    return f"({names})=({', '.join(texts)})"


def _names(context: Context, table: Table, constraint: Constraint) -> dict[str, Any]:
    found = context.catalog.objects.get(table.schema)
    return {
        "schema": found.name if found is not None else None,
        "table": table.name,
        "constraint": constraint.name,
    }
