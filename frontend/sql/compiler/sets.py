"""UNION, INTERSECT, EXCEPT: two producers for one consumer, so each is a rows function of its own."""

from __future__ import annotations

from typing import Any

from frontend.sql import logical
from frontend.sql.compiler.ordering import row_key_code
from frontend.sql.compiler.pipeline import Consume, Needed, Pipeline
from frontend.sql.compiler.source import Binding, Scope


def produce_set_operation(
    pipe: Pipeline, node: logical.SetOperation, scope: Scope, needed: Needed, consume: Consume
) -> None:
    """Rows of both sides, counted or marked by key."""
    row = pipe.module.fresh("r")
    pipe.row_goal = None
    call = pipe.rows_function("set_", node, scope, lambda inner_pipe, inner: _rows(inner_pipe, node, inner))
    found = dict(scope)
    for place, column in enumerate(node.columns):
        found[column.id] = Binding(f"{row}[{place}]", True, row, place)

    pipe.consume_batches(call, row, lambda: consume(found))


def _rows(pipe: Pipeline, node: logical.SetOperation, scope: Scope) -> None:
    function, module = pipe.function, pipe.module

    def side(plan: logical.Plan, body: Any) -> None:
        ids = [column.id for column in plan.columns]

        def consume(inner: Scope) -> None:
            bindings = [inner[identity] for identity in ids]
            row = f"({''.join([binding.code + ', ' for binding in bindings])})"
            if node.operation == "union" and node.all:
                function.line(f"push({row})")
                return
            function.line(f"row = {row}")
            key = (
                row_key_code(pipe, [(f"row[{place}]", column.type, True) for place, column in enumerate(node.columns)])
                if ids
                else "()"
            )
            function.line(f"key = {'row' if _plain(key) else key}")
            body()

        pipe.produce(plan, scope, ids, consume)

    def _plain(key: str) -> bool:
        return "hash_key" not in key

    if node.operation == "union":
        if node.all:
            side(node.left, None)
            side(node.right, None)
            return
        function.line("seen = set(); key = None")

        def first() -> None:
            with function.block("if key not in seen:"):
                function.line("seen.add(key)")
                function.line("push(row)")

        with function.grows("seen", "key"):
            side(node.left, first)
            side(node.right, first)
        return
    # The right side is counted, the left side is measured against it.
    counts = module.fresh("counts")
    function.line(f"{counts} = {{}}; key = None")
    with function.grows(counts, "key"):
        side(node.right, lambda: function.line(f"{counts}[key] = {counts}.get(key, 0) + 1"))
        if not node.all:
            function.line("seen = set()")

        def judge() -> None:
            if node.all:
                function.line(f"left = {counts}.get(key, 0)")
                with function.block("if left > 0:"):
                    function.line(f"{counts}[key] = left - 1")
                    if node.operation == "intersect":
                        function.line("push(row)")
                if node.operation == "except":
                    function.line("else: push(row)")
                return
            wanted = "in" if node.operation == "intersect" else "not in"
            with function.block(f"if key {wanted} {counts} and key not in seen:"):
                function.line("seen.add(key)")
                function.line("push(row)")

        side(node.left, judge)


PRODUCERS: dict[type, Any] = {logical.SetOperation: produce_set_operation}
