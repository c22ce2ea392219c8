"""Window nodes: gather the input with keys and arguments, let `executor/windows.py` compute, loop over the outcome."""

from __future__ import annotations

from functools import partial
from typing import Any

from frontend.errors import unsupported
from frontend.functions import registry
from frontend.sql import logical
from frontend.sql.compiler.ordering import row_key_code, sort_key_code
from frontend.sql.compiler.pipeline import Consume, Needed, Pipeline, produced, references
from frontend.sql.compiler.source import Binding, Function, Scope
from frontend.sql.executor import windows
from frontend.types.registry import sort_key


def produce_window(pipe: Pipeline, node: logical.Window, scope: Scope, needed: Needed, consume: Consume) -> None:
    """The input's rows in window order, each with its results."""
    function, module = pipe.function, pipe.module
    input_ids = produced(node.input)
    wanted = needed & input_ids
    calls = list(zip(node.columns[len(node.columns) - len(node.calls) :], node.calls, strict=True))
    arguments: list[logical.Expression] = []
    plans: list[windows.WindowCallPlan] = []

    def position(expression: logical.Expression) -> int:
        if expression not in arguments:
            arguments.append(expression)
        return arguments.index(expression)

    for _, call in calls:
        places = () if call.star else tuple([position(argument) for argument in call.arguments])
        condition = position(call.filter) if call.filter is not None else -1
        plans.append(_call_plan(pipe, call, places, condition))
    rows, layout = module.fresh("rows"), dict[int, tuple[int, bool]]()
    function.line(f"{rows} = []")
    ranged = node.frame.mode == "range" and node.frame.range_add is not None
    reverse = [False]

    def gather(inner: Scope) -> None:
        partition = "None"
        if node.partition_by:
            parts = [(pipe.value(item, inner), item.type) for item in node.partition_by]
            partition = row_key_code(pipe, [(binding.code, kind, binding.nullable) for binding, kind in parts])
        order = "None"
        if node.order_by:
            order, reverse[0] = sort_key_code(pipe, node.order_by, inner)
        payload, places, _ = pipe.pack(inner, wanted)
        layout.update(places)
        taken = "".join([pipe.code(item, inner) + ", " for item in arguments])
        value = pipe.code(node.order_by[0].expression, inner) if ranged else "None"
        function.line(f"{rows}.append(({partition}, {order}, {payload}, ({taken}), {value}))")

    used = wanted | references(node.partition_by) | references(node.order_by) | references(tuple(arguments))
    with function.grows(rows, f"{rows}[-1]"):
        pipe.produce(node.input, scope, used, gather)
    frame = node.frame
    plan = windows.WindowPlan(
        reverse=reverse[0],
        ordered=bool(node.order_by),
        frame=windows.FrameSpecification(frame.mode, frame.start[0], frame.end[0], frame.exclusion),
        calls=tuple(plans),
        subtract=_shift(pipe, frame.range_subtract) if ranged else None,
        add=_shift(pipe, frame.range_add) if ranged else None,
        order_key=sort_key(node.order_by[0].expression.type) if node.order_by else None,
        descending=bool(node.order_by) and node.order_by[0].descending,
    )
    offsets = [pipe.code(offset, scope) if offset is not None else "None" for offset in (frame.start[1], frame.end[1])]
    compute = module.bind(windows.compute, "windows")
    call_code = f"{compute}({module.bind(plan, 'window')}, {rows}, {offsets[0]}, {offsets[1]})"
    function.line(f"{rows} = {pipe.call(call_code)}")
    pair, row, results = module.fresh("q"), module.fresh("r"), module.fresh("w")
    with function.loop(pair, rows):
        function.line(f"{row}, {results} = {pair}")
        found = {**scope, **pipe.unpack(row, layout)}
        for place, (column, _) in enumerate(calls):
            found[column.id] = Binding(f"{results}[{place}]", True, results, place)
        consume(found)


def _call_plan(
    pipe: Pipeline, call: logical.WindowCall, places: tuple[int, ...], condition: int
) -> windows.WindowCallPlan:
    if not call.aggregate:
        function = registry.WINDOWS.get(call.signature)
        if function is None:
            raise unsupported(f"window function {call.signature}")
        return windows.WindowCallPlan(function, None, places, condition, False)
    implementation = registry.AGGREGATES.get(call.signature)
    if implementation is None:
        raise unsupported(f"aggregate {call.signature}")
    create: Any = implementation.create
    if implementation.typed:
        kinds = tuple([argument.type for argument in call.arguments])
        create = partial(create, argument_types=kinds, result_type=call.type)
    if implementation.context:
        raise unsupported(f"aggregate {call.signature} as a window function")
    return windows.WindowCallPlan(None, create, places, condition, implementation.skips_null)


def _shift(pipe: Pipeline, expression: logical.Expression | None) -> Any:
    """range_add or range_subtract as a function of (value, offset)."""
    from frontend.sql.compiler.expressions import Expressions
    from frontend.sql.compiler.source import Module

    assert expression is not None
    module = Module(plain=True)
    function = Function(module, "shift", ["a", "b"], "plain")
    code = Expressions(function, pipe.plans).code(
        expression, {("case", 0): Binding("a", False), ("case", 1): Binding("b", False)}
    )
    if function.preamble:
        raise unsupported("this RANGE offset")
    function.finish(code)
    return module.execute("frame")["shift"]


PRODUCERS: dict[type, Any] = {logical.Window: produce_window}
