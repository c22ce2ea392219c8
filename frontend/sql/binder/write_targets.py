"""What writing a row of a table needs: its checks, generated columns, index keys and foreign keys, bound.

All of it is over one row whose columns have the ids `row_ids`; defaults are separate, because an INSERT evaluates each where
the column has no value.
"""

from __future__ import annotations

from frontend.errors import SqlError
from frontend.sql import logical, syntax
from frontend.sql.binder.coercion import coerce
from frontend.sql.binder.from_items import find_relation
from frontend.sql.binder.operations import call_by_name
from frontend.sql.binder.statement import Query, StatementBinding
from frontend.sql.binder.table_expressions import assign, bind_in_row, parse_stored, row_namespace
from frontend.types import oids
from storage.catalog import Column, Constraint, Index, KeyPart, Sequence, Table, View


def find_target(binding: StatementBinding, node: syntax.RelationName) -> tuple[Table | View, str]:
    """The table or view that a statement writes, and its schema's name. Other kinds of relations are refused."""
    relation, schema = find_relation(binding, node)
    if isinstance(relation, Table):
        binding.use_relation(relation.oid, relation.version)
        return relation, schema
    position = node.position or None
    if isinstance(relation, View):
        return relation, schema
    if isinstance(relation, Sequence):
        raise SqlError("42809", f'cannot change sequence "{relation.name}"')
    if isinstance(relation, Index):
        raise SqlError(
            "42809",
            f'cannot open relation "{relation.name}"',
            detail="This operation is not supported for indexes.",
            position=position,
        )
    raise SqlError("42501", f'permission denied: "{relation.name}" is a system catalog')


def new_row_ids(query: Query, table: Table) -> tuple[int, ...]:
    """Fresh ids for the columns of one row, by attribute number - 1; 0 for dropped columns."""
    binding = query.binding
    ids = []
    for column in table.columns:
        if column.dropped:
            ids.append(0)
            continue
        identifier = binding.new_id()
        binding.owners[identifier] = query
        ids.append(identifier)
    return tuple(ids)


def by_number(table: Table, row_ids: tuple[int, ...]) -> dict[int, int]:
    """Column id by attribute number, live columns only."""
    return {column.number: row_ids[column.number - 1] for column in table.columns if not column.dropped}


def bind_write_target(binding: StatementBinding, table: Table, row_ids: tuple[int, ...]) -> logical.WriteTarget:
    """The table's rules over a row with these column ids. Its stored texts are bound without the statement's names."""
    ids = by_number(table, row_ids)
    owners = {identifier: binding.owners.get(identifier) for identifier in ids.values()}
    provenance = {identifier: binding.provenance.get(identifier) for identifier in ids.values()}
    with binding.inside_view(table.name):
        query = Query(binding)
        query.namespace.append(row_namespace(query, table.name, table.columns, ids))
        generated = []
        for column in table.columns:
            if column.generated and not column.dropped and column.default is not None:
                value = bind_in_row(
                    query, parse_stored(column.default), "GENERATED AS", (column.name, column.type, column.typmod)
                )
                generated.append((column.number, value))
        checks = [
            (constraint, bind_in_row(query, parse_stored(constraint.expression), "CHECK"))
            for constraint in table.constraints
            if constraint.kind == "c" and constraint.expression is not None
        ]
        indexes = [_bind_index(query, table, index, ids) for index in binding.catalog.indexes_of(table)]
    # The row belongs to the statement, not to the level that its rules were bound at.
    binding.owners.update({identifier: owner for identifier, owner in owners.items() if owner is not None})
    binding.provenance.update({identifier: origin for identifier, origin in provenance.items() if origin is not None})
    referencing: list[tuple[Table, Constraint]] = []
    for oid in table.referenced_by:
        other = binding.catalog.table(oid)
        binding.use_relation(other.oid, other.version)
        referencing.extend(
            (other, constraint)
            for constraint in other.constraints
            if constraint.kind == "f" and constraint.foreign_table == table.oid
        )
    foreign_keys = tuple([item for item in table.constraints if item.kind == "f"])
    for constraint in foreign_keys:
        other = binding.catalog.table(constraint.foreign_table)
        binding.use_relation(other.oid, other.version)
    return logical.WriteTarget(
        table=table,
        row_ids=row_ids,
        generated=tuple(generated),
        checks=tuple(checks),
        not_null=tuple([column.number for column in table.columns if column.not_null and not column.dropped]),
        indexes=tuple(indexes),
        foreign_keys=foreign_keys,
        referencing=tuple(referencing),
    )


def _bind_index(query: Query, table: Table, index: Index, ids: dict[int, int]) -> logical.BoundIndex:
    return logical.BoundIndex(
        index=index,
        keys=tuple([bind_key_part(query, table, part, ids) for part in index.key]),
        predicate=None
        if index.predicate is None
        else bind_in_row(query, parse_stored(index.predicate), "index predicate"),
    )


def bind_key_part(query: Query, table: Table, part: KeyPart, ids: dict[int, int]) -> logical.Expression:
    """One part of an index key over the row."""
    if part.expression is not None:
        return bind_in_row(query, parse_stored(part.expression), "index expression")
    column = table.columns[part.number - 1]
    return logical.ColumnRef(type=column.type, typmod=column.typmod, id=ids[part.number])


def default_value(binding: StatementBinding, column: Column) -> logical.Expression:
    """What a column gets without a value: its identity's next number, its default, or NULL."""
    if column.identity:
        sequence = logical.Constant(type=oids.REGCLASS, value=column.sequence)
        number = call_by_name(binding, "nextval", (oids.REGCLASS,), [sequence])
        return assign(binding, number, column.name, column.type, column.typmod)
    if column.default is None or column.generated:
        return logical.Constant(type=column.type, typmod=column.typmod, value=None)
    with binding.inside_view(column.name):
        query = Query(binding)
        return bind_in_row(query, parse_stored(column.default), "DEFAULT", (column.name, column.type, column.typmod))


def null_of(binding: StatementBinding, column: Column) -> logical.Expression:
    """NULL of the column's type."""
    return coerce(binding, logical.Constant(type=oids.UNKNOWN, value=None), column.type, "a")
