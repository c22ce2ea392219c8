"""Functions in FROM: one call or ROWS FROM several, their result columns and WITH ORDINALITY."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from frontend.errors import SqlError
from frontend.functions.catalogue import proc_by_oid
from frontend.sql import logical, syntax
from frontend.sql.binder.calls import bind_any_call, output_columns
from frontend.sql.binder.coercion import coerce
from frontend.sql.binder.expressions import bind, check_collation
from frontend.sql.binder.from_items import rename
from frontend.sql.binder.labels import label
from frontend.sql.binder.scopes import NamespaceItem, PlanSource, ScopeColumn, Source
from frontend.sql.binder.statement import Query, reference
from frontend.types import oids

Shape = list[tuple[str, int, int]]  # (name, type, typmod)


def bind_function_item(query: Query, item: syntax.FunctionItem) -> tuple[Source, list[NamespaceItem]]:
    """f(…), or ROWS FROM (f(…), g(…)), as rows. Functions see the items to their left without LATERAL being written."""
    calls: list[logical.Expression] = []
    shapes: list[Shape] = []
    is_scalar = True
    alias = item.alias.name if item.alias is not None else ""
    before = query.lateral_active
    query.lateral_active = True
    try:
        with query.clause("function in FROM"):
            parts = _expanded(item)
            for part in parts:
                definitions = part.columns or (item.columns if len(parts) == 1 else [])
                call, shape, scalar = _bind_one(query, part.call, definitions, item.alias if len(parts) == 1 else None)
                calls.append(call)
                shapes.append(shape)
                is_scalar = is_scalar and scalar
    finally:
        query.lateral_active = before
    if not alias:
        alias = label(parts[0].call, query.binding.subquery_labels)
    flat = [column for shape in shapes for column in shape]
    if item.ordinality:
        flat.append(("ordinality", oids.INT8, -1))
    columns = tuple([query.column(name, type_oid, typmod) for name, type_oid, typmod in flat])
    if (
        len(calls) == 1
        and calls[0].type == oids.RECORD
        and len(columns) == 1
        and isinstance(calls[0], logical.SetReturningCall)
    ):
        query.binding.shapes[columns[0].id] = calls[0].columns
    plan = logical.FunctionScan(columns=columns, calls=tuple(calls), ordinality=item.ordinality, alias=alias)
    source = PlanSource(query, alias, plan)
    scope = [ScopeColumn(column.name, column.type, column.typmod, expression=reference(column)) for column in columns]
    scalar_item = is_scalar and len(calls) == 1 and not item.ordinality
    names = NamespaceItem(alias, rename(scope, item.alias, item.position), source, scalar=scalar_item)
    return source, [names]


def _expanded(item: syntax.FunctionItem) -> list[syntax.FunctionItemCall]:
    """The calls, unnest(a, b) taken apart into unnest(a), unnest(b) as PostgreSQL does."""
    result: list[syntax.FunctionItemCall] = []
    for part in item.calls:
        call = part.call
        if (
            isinstance(call, syntax.FunctionCall)
            and call.names[-1] == "unnest"
            and len(call.arguments) > 1
            and (len(call.names) == 1 or call.names[0] == "pg_catalog")
            and not (call.distinct or call.star or call.order_by or call.filter or call.over or call.variadic)
        ):
            result.extend(
                syntax.FunctionItemCall(
                    call=syntax.FunctionCall(
                        names=["pg_catalog", "unnest"], arguments=[argument], position=call.position
                    )
                )
                for argument in call.arguments
            )
        else:
            result.append(part)
    return result


def _bind_one(
    query: Query,
    node: syntax.Expression,
    definitions: Sequence[syntax.RecordColumn],
    alias: syntax.Alias | None,
) -> tuple[logical.Expression, Shape, bool]:
    """(call, its columns, whether it returns plain values)."""
    binding = query.binding
    sets_before = len(query.set_returning)
    bound = bind_any_call(query, node) if isinstance(node, syntax.FunctionCall) else bind(query, node)
    if len(query.set_returning) > sets_before:
        raise SqlError(
            "0A000",
            "set-returning functions must appear at top level of FROM",
            position=query.set_returning[sets_before][0].position or None,
        )
    if bound.type == oids.UNKNOWN:
        bound = coerce(binding, bound, oids.TEXT, "i")
    name = label(node, binding.subquery_labels)
    outputs: list[logical.Column] = []
    if isinstance(bound, logical.SetReturningCall | logical.Call):
        proc = proc_by_oid(bound.proc_oid)
        outputs = [
            logical.Column(id=0, name=output_name, type=output_type) for output_name, output_type in proc.output_columns
        ]
    if definitions:
        return _with_definitions(query, node, bound, definitions, outputs)
    row_fields = binding.types.fields(bound.type)
    if row_fields is not None:
        return _as_rows(bound, row_fields), [(item.name, item.type, item.typmod) for item in row_fields], False
    if bound.type == oids.RECORD:
        if isinstance(bound, logical.SetReturningCall) and bound.columns:
            columns: Sequence[logical.Column] = bound.columns
        elif isinstance(bound, logical.Call) and len(outputs) > 1:
            proc = proc_by_oid(bound.proc_oid)
            columns = output_columns(proc, [item.type for item in bound.arguments], bound.type)
        else:
            raise SqlError(
                "42601",
                'a column definition list is required for functions returning "record"',
                position=node.position or None,
            )
        return _as_rows(bound, columns), [(item.name, item.type, item.typmod) for item in columns], False
    if len(outputs) == 1:
        name = outputs[0].name
    elif alias is not None:
        name = alias.name
    return bound, [(name, bound.type, bound.typmod)], True


def _with_definitions(
    query: Query,
    node: syntax.Expression,
    bound: logical.Expression,
    definitions: Sequence[syntax.RecordColumn],
    outputs: Sequence[logical.Column],
) -> tuple[logical.Expression, Shape, bool]:
    binding = query.binding
    position = definitions[0].position or node.position or None
    if outputs:
        raise SqlError(
            "42601",
            "a column definition list is redundant for a function with OUT parameters",
            position=position,
        )
    if bound.type != oids.RECORD:
        what = "redundant for a function returning a named composite type"
        if not binding.types.is_row(bound.type):
            what = 'only allowed for functions returning "record"'
        raise SqlError("42601", f"a column definition list is {what}", position=position)
    shape: Shape = []
    for definition in definitions:
        type_oid, typmod = binding.types.resolve(definition.type, binding.search_path)
        if definition.collation:
            check_collation(definition.collation, definition.position)
        if any(name == definition.name for name, _, _ in shape):
            raise SqlError(
                "42701",
                f'column name "{definition.name}" specified more than once',
                position=definition.position or None,
            )
        shape.append((definition.name, type_oid, typmod))
    columns = tuple([logical.Column(id=0, name=name, type=type_oid, typmod=typmod) for name, type_oid, typmod in shape])
    return _as_rows(bound, columns), shape, False


def _as_rows(bound: logical.Expression, columns: Sequence[logical.Column]) -> logical.Expression:
    """A call that gives rows of these columns; a plain function that returns one record gives one."""
    if isinstance(bound, logical.SetReturningCall):
        return replace(bound, columns=tuple(columns))
    if isinstance(bound, logical.Call):
        return logical.SetReturningCall(
            type=bound.type,
            proc_oid=bound.proc_oid,
            signature=bound.signature,
            arguments=bound.arguments,
            strict=bound.strict,
            columns=tuple(columns),
            position=bound.position,
        )
    return bound
