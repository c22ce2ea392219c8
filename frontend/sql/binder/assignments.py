"""SET lists of UPDATE and of ON CONFLICT DO UPDATE."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from frontend.errors import SqlError, unsupported
from frontend.sql import logical, syntax
from frontend.sql.binder import scopes
from frontend.sql.binder.clauses import check_subquery
from frontend.sql.binder.coercion import coerce_to
from frontend.sql.binder.expressions import bind, bind_elements, bind_index
from frontend.sql.binder.operations import call_by_name
from frontend.sql.binder.statement import Query, reference
from frontend.sql.binder.table_expressions import assign
from frontend.sql.binder.write_targets import default_value
from frontend.types import oids
from storage.catalog import Column, Table


@dataclass(slots=True)
class Assigned:
    """(attribute number, value) of each column set; `records` are the rows of sub-SELECTs, to be computed once a row."""

    values: tuple[tuple[int, logical.Expression], ...] = ()
    records: list[tuple[logical.Column, logical.Expression]] = field(default_factory=list)


def bind_assignments(query: Query, table: Table, nodes: Sequence[syntax.Assignment]) -> Assigned:
    """Bind a SET list over the target's row. Raises 42703, 42804, 42601, 428C9 as PostgreSQL does."""
    result = Assigned()
    values: dict[int, logical.Expression] = {}
    with query.clause("UPDATE"):
        for node in nodes:
            pairs = _split_multiple(query, node, result) if node.multiple else [(node.columns[0], node.value)]
            for written, value in pairs:
                column = _column(table, written)
                if column.number in values and not (
                    written.steps and isinstance(values[column.number], logical.SubscriptAssign)
                ):
                    raise SqlError(
                        "42601",
                        f'multiple assignments to same column "{column.name}"',
                        position=None,
                    )
                values[column.number] = _value(query, column, written, value, values.get(column.number))
    result.values = tuple(values.items())
    return result


def _column(table: Table, written: syntax.InsertColumn) -> Column:
    for column in table.columns:
        if column.name == written.name and not column.dropped:
            return column
    position = written.position or None
    if written.name in scopes.SYSTEM_COLUMNS:
        raise SqlError("0A000", f'cannot assign to system column "{written.name}"', position=position)
    raise SqlError("42703", f'column "{written.name}" of relation "{table.name}" does not exist', position=position)


def _split_multiple(
    query: Query, node: syntax.Assignment, result: Assigned
) -> list[tuple[syntax.InsertColumn, syntax.Expression | logical.Expression]]:
    """(columns) = ROW or (SELECT …), as one pair a column."""
    value = node.value
    wanted = len(node.columns)
    mismatch = SqlError("42601", "number of columns does not match number of values", position=value.position or None)
    if isinstance(value, syntax.Row):
        if any(isinstance(item, syntax.ColumnReference) and item.star for item in value.elements):
            bound = bind_elements(query, value.elements)
            if len(bound) != wanted:
                raise mismatch
            return list(zip(node.columns, bound, strict=True))
        if len(value.elements) != wanted:
            raise mismatch
        return list(zip(node.columns, value.elements, strict=True))
    if isinstance(value, syntax.SubqueryExpression) and value.kind == "scalar":
        from frontend.sql.binder.queries import bind_inner_query

        check_subquery(query, value.position)
        plan, outer = bind_inner_query(query, value.query)
        if len(plan.columns) != wanted:
            raise mismatch
        if wanted == 1:
            column = plan.columns[0]
            single = logical.ScalarSubquery(
                type=column.type, typmod=column.typmod, plan=plan, outer=outer, position=value.position
            )
            return [(node.columns[0], single)]
        record = logical.RowConstructor(
            type=oids.RECORD,
            fields=tuple([reference(column) for column in plan.columns]),
            names=tuple([column.name for column in plan.columns]),
        )
        whole = logical.Project(columns=(query.column("row", oids.RECORD),), input=plan, expressions=(record,))
        place = query.column("row", oids.RECORD, shape=plan.columns)
        subquery = logical.ScalarSubquery(type=oids.RECORD, plan=whole, outer=outer, position=value.position)
        result.records.append((place, subquery))
        return [
            (
                written,
                logical.FieldSelect(
                    type=column.type,
                    typmod=column.typmod,
                    operand=reference(place),
                    index=index,
                    position=value.position,
                ),
            )
            for index, (written, column) in enumerate(zip(node.columns, plan.columns, strict=True))
        ]
    if wanted == 1:
        return [(node.columns[0], value)]
    raise SqlError(
        "0A000",
        "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression",
        position=value.position or None,
    )


def _value(
    query: Query,
    column: Column,
    written: syntax.InsertColumn,
    node: syntax.Expression | logical.Expression,
    before: logical.Expression | None,
) -> logical.Expression:
    binding = query.binding
    is_default = isinstance(node, syntax.SetToDefault)
    if not is_default and (column.generated or column.identity == "a"):
        reason = "a generated column" if column.generated else "an identity column defined as GENERATED ALWAYS"
        raise SqlError(
            "428C9",
            f'column "{column.name}" can only be updated to DEFAULT',
            detail=f'Column "{column.name}" is {reason}.',
        )
    if is_default:
        if written.steps:
            raise SqlError("0A000", "cannot set an array element to DEFAULT", position=written.position or None)
        return default_value(binding, column)
    value = bind(query, node) if isinstance(node, syntax.Expression) else node
    if written.steps:
        return _assign_part(query, column, written, value, before)
    return assign(binding, value, column.name, column.type, column.typmod)


def _assign_part(
    query: Query,
    column: Column,
    written: syntax.InsertColumn,
    value: logical.Expression,
    before: logical.Expression | None,
) -> logical.Expression:
    """SET column[…] = value: the column with a part replaced."""
    binding = query.binding
    types = binding.types
    position = written.position or None
    indexes = [step for step in written.steps if isinstance(step, syntax.Index)]
    if len(indexes) != len(written.steps):
        raise unsupported("assignment to a field of a composite column", position=position)
    whole = before
    if whole is None:
        whole = bind(query, syntax.ColumnReference(names=[column.name], position=written.position))
    if column.type == oids.JSONB:
        return _assign_jsonb(query, whole, indexes, value)
    element = types.element(column.type)
    if not element:
        raise SqlError(
            "42804",
            f"cannot subscript type {types.name(column.type)} because it does not support subscripting",
            position=position,
        )
    is_slice = any(index.slice for index in indexes)
    wanted = column.type if is_slice else element
    converted = coerce_to(binding, value, wanted, column.typmod, "a")
    if converted is None:
        raise SqlError(
            "42804",
            f'subscripted assignment to "{column.name}" requires type {types.name(wanted)} '
            f"but expression is of type {types.name(value.type)}",
            hint="You will need to rewrite or cast the expression.",
            position=position,
        )
    return logical.SubscriptAssign(
        type=column.type,
        typmod=column.typmod,
        operand=whole,
        subscripts=tuple([bind_index(query, index, is_slice) for index in indexes]),
        slice=is_slice,
        value=converted,
        position=written.position,
    )


def _assign_jsonb(
    query: Query, whole: logical.Expression, indexes: Sequence[syntax.Index], value: logical.Expression
) -> logical.Expression:
    binding = query.binding
    path: list[logical.Expression] = []
    for index in indexes:
        if index.slice or index.upper is None:
            raise SqlError("42804", "jsonb subscript does not support slices", position=index.position or None)
        text = coerce_to(binding, bind(query, index.upper), oids.TEXT, -1, "a")
        if text is None:
            raise SqlError("42804", "subscript type is not supported", position=index.position or None)
        path.append(text)
    new = coerce_to(binding, value, oids.JSONB, -1, "a")
    if new is None:
        raise SqlError(
            "42804",
            f"subscripted assignment requires type jsonb but expression is of type {binding.types.name(value.type)}",
            hint="You will need to rewrite or cast the expression.",
            position=value.position or None,
        )
    array = logical.ArrayConstructor(type=oids.TEXTARRAY, elements=tuple(path))
    create = logical.Constant(type=oids.BOOL, value=True)
    empty = logical.Constant(type=oids.JSONB, value="{}")
    base = logical.Coalesce(type=oids.JSONB, arguments=(whole, empty))
    return call_by_name(
        binding, "jsonb_set", (oids.JSONB, oids.TEXTARRAY, oids.JSONB, oids.BOOL), [base, array, new, create]
    )
