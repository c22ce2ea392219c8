"""Relations without a table of their own, and the nodes that only pass rows on: values, functions, WITH, filters, projections."""

from __future__ import annotations

from functools import partial
from typing import Any

from frontend.errors import unsupported
from frontend.functions import registry
from frontend.sql import logical, walk
from frontend.sql.compiler.pipeline import Consume, Needed, Pipeline, produced, references
from frontend.sql.compiler.source import Binding, Scope
from frontend.sql.executor import operators
from frontend.types.registry import hash_key

VALUES_CODE_MAX = 20  # rows of VALUES that are written out as code; more become a list of tuples


# ── passing on ──────────────────────────────────────────────────────────────────────────────────────────────────────


def produce_filter(pipe: Pipeline, node: logical.Filter, scope: Scope, needed: Needed, consume: Consume) -> None:
    """Rows for which the condition is TRUE."""

    def passed(inner: Scope) -> None:
        with pipe.function.block(f"if {pipe.test(node.condition, inner)}:"):
            consume(inner)

    if pipe.row_goal is not None:
        pipe.row_goal = None  # how many rows must be read is not known
    pipe.produce(node.input, scope, needed | references(node.condition), passed)


def produce_project(pipe: Pipeline, node: logical.Project, scope: Scope, needed: Needed, consume: Consume) -> None:
    """Computed columns; a column that is only passed on costs nothing."""
    wanted = [
        (column, expression)
        for column, expression in zip(node.columns, node.expressions, strict=True)
        if column.id in needed or walk.is_volatile(expression)
    ]

    def computed(inner: Scope) -> None:
        found = {identity: binding for identity, binding in inner.items() if identity not in mine}
        for column, expression in wanted:
            found[column.id] = _stored(pipe, expression, inner)
        consume(found)

    mine = produced(node.input)
    pipe.produce(node.input, scope, references(tuple([expression for _, expression in wanted])), computed)


def _stored(pipe: Pipeline, expression: logical.Expression, scope: Scope) -> Binding:
    """The value, in a local where it is worth computing once."""
    from frontend.sql.compiler.expressions import is_atom

    binding = pipe.value(expression, scope)
    if binding.base or is_atom(binding.code):
        return binding
    name = pipe.module.fresh("x")
    pipe.function.line(f"{name} = {binding.code}")
    return Binding(name, binding.nullable)


def produce_one_row(pipe: Pipeline, node: logical.OneRow, scope: Scope, needed: Needed, consume: Consume) -> None:
    """SELECT without FROM: the consumer's code, once."""
    consume(scope)


def produce_values(pipe: Pipeline, node: logical.Values, scope: Scope, needed: Needed, consume: Consume) -> None:
    """VALUES: a loop over tuples; a single row is code."""
    function, module = pipe.function, pipe.module
    wanted = [(place, column) for place, column in enumerate(node.columns) if column.id in needed]
    if len(node.rows) == 1:
        found = dict(scope)
        for place, column in wanted:
            found[column.id] = _stored(pipe, node.rows[0][place], scope)
        consume(found)
        return
    row = module.fresh("r")
    nullable = [False] * len(wanted)
    if all(isinstance(item, logical.Constant) for line in node.rows for item in line):
        rows = [tuple([line[place].value for place, _ in wanted]) for line in node.rows]  # type: ignore[attr-defined]
        nullable = [any(line[at] is None for line in rows) for at in range(len(wanted))]
        listed = module.bind(rows, "rows")
    else:
        listed = module.fresh("rows")
        # Every row is computed when it is its turn: an error in a later one comes later, volatile calls in order.
        if len(node.rows) <= VALUES_CODE_MAX or function.kind == "plain":
            lines = []
            for line in node.rows:
                bindings = [pipe.value(line[place], scope) for place, _ in wanted]
                nullable = [old or new.nullable for old, new in zip(nullable, bindings, strict=True)]
                lines.append("(" + "".join([binding.code + ", " for binding in bindings]) + ")")
            function.line(f"{listed} = [{', '.join(lines)}]")
        else:
            function.line(f"{listed} = []")
            for line in node.rows:
                bindings = [pipe.value(line[place], scope) for place, _ in wanted]
                nullable = [old or new.nullable for old, new in zip(nullable, bindings, strict=True)]
                function.line(f"{listed}.append(({''.join([binding.code + ', ' for binding in bindings])}))")
    with function.loop(row, listed):
        found = dict(scope)
        for at, (_, column) in enumerate(wanted):
            found[column.id] = Binding(f"{row}[{at}]", nullable[at], row, at)
        consume(found)


def produce_virtual(pipe: Pipeline, node: logical.VirtualScan, scope: Scope, needed: Needed, consume: Consume) -> None:
    """A relation of pg_catalog, information_schema or sys: its rows are made when asked for."""
    function, module = pipe.function, pipe.module
    row = module.fresh("r")
    relation = module.bind(node.relation, "relation")
    with function.loop(row, f"{relation}.rows({function.need('context')})"):
        found = dict(scope)
        for column, position in zip(node.columns, node.positions, strict=True):
            found[column.id] = Binding(f"{row}[{position}]", True, row, position)
        consume(found)


# ── functions that return rows ──────────────────────────────────────────────────────────────────────────────────────


def rows_of_call(pipe: Pipeline, call: logical.Expression, scope: Scope) -> str:
    """Source of an iterable with the rows of a set-returning call (any other expression is one row)."""
    module = pipe.module
    if not isinstance(call, logical.SetReturningCall):
        return f"({pipe.code(call, scope)},)"
    implementation = registry.SET_RETURNING.get(call.signature)
    if implementation is None:
        raise unsupported(f"function {call.signature}")
    function: Any = implementation.call
    if implementation.typed:
        function = partial(
            function,
            argument_types=tuple([argument.type for argument in call.arguments]),
            result_type=call.type,
        )
    if implementation.columns:
        function = partial(
            function, columns=tuple([(column.name, column.type, column.typmod) for column in call.columns])
        )
    name = module.bind(function, "rows_of")
    lead = [pipe.function.need("context")] if implementation.context else []
    arguments = [pipe.value(argument, scope) for argument in call.arguments]
    if not call.strict:
        return f"{name}({', '.join([*lead, *[argument.code for argument in arguments]])})"
    result = pipe.expressions.strict(
        arguments, lambda codes: f"{name}({', '.join([*lead, *codes])})", [1] * len(arguments), True
    )
    if result.code == "None":
        return "()"
    return f"({result.code} or ())" if result.nullable else result.code


def produce_function_scan(
    pipe: Pipeline, node: logical.FunctionScan, scope: Scope, needed: Needed, consume: Consume
) -> None:
    """FROM f(…): the functions side by side, the shorter ones padded with NULL, numbered where asked for."""
    function, module = pipe.function, pipe.module
    calls = [rows_of_call(pipe, call, scope) for call in node.calls]
    widths = [
        len(call.columns) if isinstance(call, logical.SetReturningCall) and call.columns else 1 for call in node.calls
    ]
    spreads = [isinstance(call, logical.SetReturningCall) and bool(call.columns) for call in node.calls]
    if len(spreads) == 1 and not spreads[0]:
        # One scalar call whose type may still be a row that the scan's columns take apart.
        plain = len(node.columns) - node.ordinality
        if plain > 1:
            spreads, widths = [True], [plain]
    row = module.fresh("r")
    names: dict[int, Binding] = {}
    if len(calls) == 1 and not node.ordinality:
        source = calls[0]
        if spreads[0]:
            for place, column in enumerate(node.columns):
                names[column.id] = Binding(f"{row}[{place}]", True, row, place)
            source = f"{module.bind(operators.spread_rows, 'spread')}({source}, {widths[0]})"
        elif node.columns:
            never_null = isinstance(node.calls[0], logical.SetReturningCall) and node.calls[0].signature.startswith(
                "generate_series("
            )
            names[node.columns[0].id] = Binding(row, not never_null)
    else:
        zipped = module.bind(operators.side_by_side, "side_by_side")
        spread = "(" + "".join([f"{width if spreads[at] else 0}, " for at, width in enumerate(widths)]) + ")"
        source = f"{zipped}(({', '.join(calls)},), {spread}, {node.ordinality})"
        for place, column in enumerate(node.columns):
            names[column.id] = Binding(f"{row}[{place}]", True, row, place)
    with function.loop(row, source):
        consume({**scope, **names})


def produce_project_set(
    pipe: Pipeline, node: logical.ProjectSet, scope: Scope, needed: Needed, consume: Consume
) -> None:
    """Set-returning functions in the select list, in lockstep: as many rows as the longest gives, NULL for the others."""
    function, module = pipe.function, pipe.module
    mine = produced(node.input)

    def expand(inner: Scope) -> None:
        found = {identity: binding for identity, binding in inner.items() if identity not in mine}
        sets: list[tuple[int, str]] = []
        for column, expression in zip(node.columns, node.expressions, strict=True):
            if isinstance(expression, logical.SetReturningCall):
                sets.append((column.id, rows_of_call(pipe, expression, inner)))
            elif column.id in needed:
                found[column.id] = _stored(pipe, expression, inner)
        row = module.fresh("r")
        if len(sets) == 1:
            found[sets[0][0]] = Binding(row, True)
            source = sets[0][1]
        else:
            zipped = module.bind(operators.zip_longest, "zip_longest")
            source = f"{zipped}({', '.join([code for _, code in sets])})"
            for place, (identity, _) in enumerate(sets):
                found[identity] = Binding(f"{row}[{place}]", True, row, place)
        with function.loop(row, source):
            consume(found)

    pipe.produce(node.input, scope, references(node.expressions), expand)


# ── WITH ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def produce_with(pipe: Pipeline, node: logical.With, scope: Scope, needed: Needed, consume: Consume) -> None:
    """WITH queries become functions; their rows are kept in the frame from the first use on, or streamed."""
    for cte in node.ctes:
        if cte.recursive_step is not None:
            _recursive(pipe, cte, node, scope)
        else:
            _materialized(pipe, cte, scope)
    pipe.produce(node.body, scope, needed, consume)


def _materialized(pipe: Pipeline, cte: logical.CteDefinition, scope: Scope) -> None:
    from frontend.sql.compiler.plan import CommonTable

    plans = pipe.plans
    slot, here = plans.frame_slot(pipe)
    ids = [column.id for column in cte.plan.columns]

    def gather(inner_pipe: Pipeline, inner: Scope) -> str:
        rows, places = inner_pipe.materialize(cte.plan, inner, ids)
        order = [places[identity][0] for identity in ids] if ids else []
        function = inner_pipe.function
        if order != list(range(len(ids))):
            function.line(f"{rows} = [({''.join([f'row[{place}], ' for place in order])}) for row in {rows}]")
        function.line(f"{function.need('frame')}[{slot}] = {rows}")
        return rows

    name, arguments = pipe.sub_function("with_", "value", cte.plan, scope, gather)
    call = f"{name}({', '.join(['state', *arguments])})"
    run = call if pipe.function.kind == "plain" else f"(yield from {call})"
    if arguments:
        pipe.function.line(run)  # depends on outer rows: computed anew each time
    elif cte.modifies:
        pipe.function.line(f"if {here} is None: {run}")
    plans.tables[cte.id] = CommonTable(f"frame[{slot}] if frame[{slot}] is not None else {run}", "")


def _recursive(pipe: Pipeline, cte: logical.CteDefinition, node: logical.With, scope: Scope) -> None:
    from frontend.sql.compiler.plan import CommonTable

    plans, module = pipe.plans, pipe.module
    assert cte.recursive_step is not None
    step = cte.recursive_step
    work, _ = plans.frame_slot(pipe, "[]")
    base_ids = [column.id for column in cte.plan.columns]
    step_ids = [column.id for column in step.columns]
    keys = [hash_key(column.type) for column in cte.plan.columns]

    def rounds(inner_pipe: Pipeline, inner: Scope) -> None:
        function = inner_pipe.function
        frame = function.need("frame")
        if cte.distinct:
            function.line("seen = set()")
            key_of = module.bind(operators.row_key_maker(keys), "key_of")

        def gather(plan: logical.Plan, ids: list[int]) -> None:
            function.line("fresh = []")

            def consume(row: Scope) -> None:
                function.line(f"row = ({''.join([row[identity].code + ', ' for identity in ids])})")
                if cte.distinct:
                    function.line(f"key = {key_of}(row)")
                    with function.block("if key not in seen:"):
                        function.line("seen.add(key)")
                        function.line("fresh.append(row)")
                else:
                    function.line("fresh.append(row)")

            with function.grows("fresh", "fresh[-1]"):
                inner_pipe.produce(plan, inner, ids, consume)

        gather(cte.plan, base_ids)
        with function.block("while fresh:"):
            function.line("out.extend(fresh)")
            function.line(f"{frame}[{work}] = fresh")
            function.tick()
            plans.tables[cte.id] = CommonTable(f"frame[{work}]", "", work)
            gather(step, step_ids)

    call = pipe.rows_function("recursive", (cte.plan, step), scope, rounds)
    uses = _uses(node, cte.id)
    if uses == 1:
        plans.tables[cte.id] = CommonTable("", call)
        return
    slot, _ = plans.frame_slot(pipe)

    def gather_all(inner_pipe: Pipeline, inner: Scope) -> str:
        function = inner_pipe.function
        function.line("rows = []")
        arguments = [binding.code for _, binding in sorted(inner.items(), key=lambda item: int(item[0]))]
        row = module.fresh("r")
        with function.grows("rows", "rows[-1]"):
            inner_pipe.consume_batches(
                f"{call.split('(')[0]}({', '.join(['state', *arguments])})",
                row,
                lambda: function.line(f"rows.append({row})"),
            )
        function.line(f"{function.need('frame')}[{slot}] = rows")
        return "rows"

    name, arguments = pipe.sub_function("with_", "value", (cte.plan, step), scope, gather_all)
    gather_call = f"{name}({', '.join(['state', *arguments])})"
    run = gather_call if pipe.function.kind == "plain" else f"(yield from {gather_call})"
    if arguments:
        pipe.function.line(run)
    plans.tables[cte.id] = CommonTable(f"frame[{slot}] if frame[{slot}] is not None else {run}", "")


def _uses(node: logical.With, identity: int) -> int:
    """How many scans of the WITH query there are outside its own step; one inside another query's loop counts as many."""
    count = 0
    for item in walk.walk((node.ctes, node.body)):
        if isinstance(item, logical.CteScan) and item.cte == identity:
            count += 1
        elif isinstance(item, logical.CteDefinition) and item.id == identity:
            own = sum(
                isinstance(inner, logical.CteScan) and inner.cte == identity for inner in walk.walk(item.recursive_step)
            )
            count -= own
    if count == 1 and not _streamable(node.body, identity):
        return 2
    return count


def _streamable(plan: logical.Plan, identity: int) -> bool:
    """Whether the only scan is reached through nodes that run their input once."""
    while True:
        if isinstance(plan, logical.CteScan):
            return plan.cte == identity
        inputs = list(walk.inputs_of(plan))
        if len(inputs) != 1:
            return False
        plan = inputs[0]


def produce_cte_scan(pipe: Pipeline, node: logical.CteScan, scope: Scope, needed: Needed, consume: Consume) -> None:
    """Rows of a WITH query, or of the working table inside its own step."""
    function, module = pipe.function, pipe.module
    table = pipe.plans.tables[node.cte]
    row = module.fresh("r")
    found = dict(scope)
    for column, position in zip(node.columns, node.positions, strict=True):
        found[column.id] = Binding(f"{row}[{position}]", True, row, position)
    if table.stream:
        pipe.consume_batches(table.stream, row, lambda: consume(found))
        return
    function.need("frame")
    rows = module.fresh("rows")
    function.line(f"{rows} = {table.fetch}")
    with function.loop(row, rows):
        consume(found)


def produce_lock_rows(pipe: Pipeline, node: logical.LockRows, scope: Scope, needed: Needed, consume: Consume) -> None:
    """FOR UPDATE / FOR KEY SHARE: each row's key becomes a check of the proposal."""
    from journal.event import LockStrength

    strengths = {"exclusive": int(LockStrength.EXCLUSIVE), "share": int(LockStrength.KEY_SHARE)}
    function = pipe.function

    def lock(inner: Scope) -> None:
        for identity, strength in node.targets:
            binding = inner[identity]
            lock_call = f"{function.need('transaction')}.lock({binding.code}, {strengths[strength]})"
            function.line(f"if {binding.code} is not None: {lock_call}" if binding.nullable else lock_call)
        consume(inner)

    pipe.produce(node.input, scope, needed | {identity for identity, _ in node.targets}, lock)


PRODUCERS: dict[type, Any] = {
    logical.Filter: produce_filter,
    logical.Project: produce_project,
    logical.OneRow: produce_one_row,
    logical.Values: produce_values,
    logical.VirtualScan: produce_virtual,
    logical.FunctionScan: produce_function_scan,
    logical.ProjectSet: produce_project_set,
    logical.With: produce_with,
    logical.CteScan: produce_cte_scan,
    logical.LockRows: produce_lock_rows,
}
