"""Window functions and the windows that they are computed over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from frontend.errors import SqlError
from frontend.functions.catalogue import Proc
from frontend.sql import logical, syntax
from frontend.sql.binder.calls import bind_filter
from frontend.sql.binder.clauses import check_window
from frontend.sql.binder.coercion import can_coerce, coerce, to_specific
from frontend.sql.binder.expressions import bind
from frontend.sql.binder.operations import apply_operator, require_equality, signature
from frontend.sql.binder.resolution import find_operator
from frontend.sql.binder.sorting import bind_sort_items
from frontend.sql.binder.statement import Query, WindowSpecification, reference
from frontend.sql.walk import free_columns, walk
from frontend.types import oids

BoundKind = Literal["unbounded_preceding", "preceding", "current", "following", "unbounded_following"]
_BOUNDS: dict[str, BoundKind] = {
    "unbounded preceding": "unbounded_preceding",
    "offset preceding": "preceding",
    "current row": "current",
    "offset following": "following",
    "unbounded following": "unbounded_following",
}
_EXCLUSIONS: dict[str | None, Literal["none", "current", "group", "ties"]] = {
    None: "none",
    "current row": "current",
    "group": "group",
    "ties": "ties",
}
DEFAULT_FRAME = logical.WindowFrame(mode="range", start=("unbounded_preceding", None), end=("current", None))


def bind_window_call(
    query: Query, node: syntax.FunctionCall, proc: Proc, arguments: Sequence[logical.Expression], result: int
) -> logical.Expression:
    """f(…) OVER …: entered in its window; the expression is the column that it becomes."""
    assert node.over is not None
    position = node.position or None
    if node.distinct:
        raise SqlError("0A000", "DISTINCT is not implemented for window functions", position=position)
    if node.order_by:
        raise SqlError("0A000", "aggregate ORDER BY is not implemented for window functions", position=position)
    if node.filter is not None and proc.kind != "a":
        raise SqlError("0A000", "FILTER is not implemented for non-aggregate window functions", position=position)
    check_window(query, node.position)
    condition = bind_filter(query, node)
    computed = {column.id for window in query.windows for _, column in window.calls}
    for item in walk((tuple(arguments), condition)):
        if isinstance(item, logical.ColumnRef) and item.id in computed:
            raise SqlError("42P20", "window function calls cannot be nested", position=item.position or None)
    window = _window_for(query, node.over)
    call = logical.WindowCall(
        proc_oid=proc.oid,
        signature=signature(proc.oid),
        arguments=tuple(arguments),
        type=result,
        aggregate=proc.kind == "a",
        filter=condition,
        star=node.star,
    )
    for existing, column in window.calls:
        if existing == call:
            return reference(column, node.position)
    column = query.column(node.names[-1], result)
    window.calls.append((call, column))
    return reference(column, node.position)


def _window_for(query: Query, over: syntax.WindowDefinition) -> WindowSpecification:
    """The window of an OVER clause; equal ones are one."""
    if over.name is not None:
        for definition in query.window_definitions:
            if definition.name == over.name:
                specification = definition
                break
        else:
            raise SqlError("42704", f'window "{over.name}" does not exist', position=over.position or None)
    else:
        specification = bind_window_definition(query, over)
    for known in query.windows:
        if (
            known.partition_by == specification.partition_by
            and known.order_by == specification.order_by
            and known.frame == specification.frame
        ):
            return known
    query.windows.append(specification)
    return specification


def bind_window_clause(query: Query, definitions: Sequence[syntax.WindowDefinition]) -> None:
    """WINDOW name AS (…), …: each may build on those before it."""
    for definition in definitions:
        if any(known.name == definition.name for known in query.window_definitions):
            raise SqlError(
                "42P20", f'window "{definition.name}" is already defined', position=definition.position or None
            )
        specification = bind_window_definition(query, definition)
        specification.name = definition.name
        query.window_definitions.append(specification)


def bind_window_definition(query: Query, node: syntax.WindowDefinition) -> WindowSpecification:
    """The parentheses of a window: partitioning, ordering and frame, completed from the window that it refers to."""
    binding = query.binding
    base = _referenced(query, node)
    with query.clause("window PARTITION BY"):
        partition: list[logical.Expression] = []
        for item in node.partition_by:
            value = bind(query, item)
            if value.type == oids.UNKNOWN:
                value = coerce(binding, value, oids.TEXT, "i")
            require_equality(binding, value.type, value.position)
            if value not in partition:
                partition.append(value)
    with query.clause("window ORDER BY"):
        order_by = bind_sort_items(query, node.order_by)
    partition_by = tuple(partition)
    if base is not None:
        partition_by = base.partition_by
        order_by = base.order_by or order_by
    frame = DEFAULT_FRAME
    if node.frame is not None:
        frame, order_by = _bind_frame(query, node, node.frame, order_by)
    return WindowSpecification(
        partition_by=partition_by, order_by=order_by, frame=frame, frame_written=node.frame is not None
    )


def _referenced(query: Query, node: syntax.WindowDefinition) -> WindowSpecification | None:
    if node.reference is None:
        return None
    position = node.position or None
    base = next((item for item in query.window_definitions if item.name == node.reference), None)
    if base is None:
        raise SqlError("42704", f'window "{node.reference}" does not exist', position=position)
    if node.partition_by:
        raise SqlError("42P20", f'cannot override PARTITION BY clause of window "{node.reference}"', position=position)
    if node.order_by and base.order_by:
        raise SqlError("42P20", f'cannot override ORDER BY clause of window "{node.reference}"', position=position)
    if base.frame_written:
        hint = None
        if not node.order_by and node.frame is None:
            hint = "Omit the parentheses in this OVER clause."
        raise SqlError(
            "42P20",
            f'cannot copy window "{node.reference}" because it has a frame clause',
            hint=hint,
            position=position,
        )
    return base


def _bind_frame(
    query: Query, window: syntax.WindowDefinition, node: syntax.Frame, order_by: tuple[logical.SortKey, ...]
) -> tuple[logical.WindowFrame, tuple[logical.SortKey, ...]]:
    end = node.end if node.end is not None else syntax.FrameBound(kind="current row")
    has_offset = node.start.offset is not None or end.offset is not None
    if node.mode == "groups" and not order_by:
        raise SqlError("42P20", "GROUPS mode requires an ORDER BY clause", position=window.position or None)
    frame = logical.WindowFrame(
        mode=node.mode,
        start=(_BOUNDS[node.start.kind], None),
        end=(_BOUNDS[end.kind], None),
        exclusion=_EXCLUSIONS[node.exclusion],
    )
    if not has_offset:
        return frame, order_by
    with query.clause(f"window {node.mode.upper()}"):
        if node.mode == "range":
            return _range_offsets(query, window, node, end, frame, order_by)
        start_offset = _row_offset(query, node.mode, node.start.offset)
        end_offset = _row_offset(query, node.mode, end.offset)
    return replace(frame, start=(frame.start[0], start_offset), end=(frame.end[0], end_offset)), order_by


def _row_offset(query: Query, mode: str, node: syntax.Expression | None) -> logical.Expression | None:
    if node is None:
        return None
    value = to_specific(query.binding, bind(query, node), oids.INT8, mode.upper())
    _refuse_variables(query, value, mode)
    return value


def _refuse_variables(query: Query, value: logical.Expression, mode: str) -> None:
    if any(query.binding.owners.get(identifier) is query for identifier in free_columns(value)):
        raise SqlError(
            "42P10", f"argument of {mode.upper()} must not contain variables", position=value.position or None
        )


def _range_offsets(
    query: Query,
    window: syntax.WindowDefinition,
    node: syntax.Frame,
    end: syntax.FrameBound,
    frame: logical.WindowFrame,
    order_by: tuple[logical.SortKey, ...],
) -> tuple[logical.WindowFrame, tuple[logical.SortKey, ...]]:
    """RANGE with offsets: the sort column plus and minus the offset, as operators over placeholders."""
    binding = query.binding
    if len(order_by) != 1:
        raise SqlError(
            "42P20",
            "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column",
            position=window.position or None,
        )
    key = order_by[0]
    sort_type = key.expression.type
    is_time = sort_type in (oids.DATE, oids.TIME, oids.TIMETZ, oids.TIMESTAMP, oids.TIMESTAMPTZ, oids.INTERVAL)
    if not is_time and sort_type not in oids.NUMERIC_TYPES:
        raise SqlError(
            "0A000",
            f"RANGE with offset PRECEDING/FOLLOWING is not supported for column type {binding.types.name(sort_type)}",
            position=next((bound.offset.position for bound in (node.start, end) if bound.offset), None),
        )
    offset_type = oids.INTERVAL if is_time else sort_type
    bounds: list[logical.Expression | None] = []
    for offset in (node.start.offset, end.offset):
        if offset is None:
            bounds.append(None)
            continue
        value = bind(query, offset)
        if not can_coerce(binding, value.type, offset_type, "i"):
            if not is_time and value.type in (oids.INT8, oids.INT4) and sort_type in (oids.INT2, oids.INT4):
                bounds.append(value)
                offset_type = value.type
                continue
            raise SqlError(
                "0A000",
                "RANGE with offset PRECEDING/FOLLOWING is not supported for column type "
                f"{binding.types.name(sort_type)} and offset type {binding.types.name(value.type)}",
                hint="Cast the offset value to an appropriate type.",
                position=value.position or None,
            )
        _refuse_variables(query, value, "range")
        bounds.append(coerce(binding, value, offset_type, "i"))
    add = find_operator(binding, "+", sort_type, offset_type)
    subtract = find_operator(binding, "-", sort_type, offset_type)
    assert add is not None
    assert subtract is not None
    if add.result != sort_type and can_coerce(binding, sort_type, add.result, "i"):
        # date ± interval is a timestamp; sorting by the timestamp is the same order.
        key = replace(key, expression=coerce(binding, key.expression, add.result, "i"))
        sort_type = add.result
        add = find_operator(binding, "+", sort_type, offset_type)
        subtract = find_operator(binding, "-", sort_type, offset_type)
        assert add is not None
        assert subtract is not None
    operands = [logical.CaseValue(type=sort_type, slot=0), logical.CaseValue(type=offset_type, slot=1)]
    return (
        replace(
            frame,
            start=(frame.start[0], bounds[0]),
            end=(frame.end[0], bounds[1]),
            range_add=apply_operator(binding, add, operands, 0),
            range_subtract=apply_operator(binding, subtract, operands, 0),
        ),
        (key,),
    )
