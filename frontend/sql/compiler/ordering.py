"""Sort, top-N, DISTINCT, LIMIT.

A sort key is one Python value that orders rows with a single comparison: the column itself where it cannot be NULL, a pair
that places NULL where it can, a tuple of these for several keys. If all keys descend the sort runs in reverse (it stays
stable); in a mixture, descending numbers are negated and other values wrapped. LIMIT over a sort keeps only what can still be
among the first rows.
"""

from __future__ import annotations

from operator import itemgetter
from typing import Any

from frontend.sql import logical
from frontend.sql.compiler.expressions import is_atom
from frontend.sql.compiler.pipeline import Consume, Needed, Pipeline, produced, references
from frontend.sql.compiler.source import Scope
from frontend.sql.executor import operators
from frontend.types import oids
from frontend.types.registry import hash_key, sort_key

NEGATABLE = frozenset(
    [oids.INT2, oids.INT4, oids.INT8, oids.OID, oids.DATE, oids.TIMESTAMP, oids.TIMESTAMPTZ, oids.TIME]
)


def sort_key_code(pipe: Pipeline, keys: tuple[logical.SortKey, ...], scope: Scope) -> tuple[str, bool]:
    """(source of a row's sort key, whether to sort in reverse)."""
    reverse = all(key.descending for key in keys)
    parts: list[str] = []
    for key in keys:
        binding = pipe.value(key.expression, scope)
        code, nullable = binding.code, binding.nullable
        before = ""
        if nullable and not is_atom(code):
            name = pipe.module.fresh("x")
            before, code = f"({name} := {code})", name
        order = sort_key(key.expression.type)
        value = code if order is None else f"{pipe.module.bind(order, 'sort_key')}({code})"
        if key.descending and not reverse:
            if key.expression.type in NEGATABLE:
                value = f"-{value}"
            else:
                value = f"{pipe.module.bind(operators.Descending, 'Descending')}({value})"
        if nullable:
            # In the direction that is sorted in, NULL comes last where its mark is greater than 0.
            last = not key.nulls_first
            if reverse:
                last = not last
            mark = pipe.module.bind(operators.NULL_HIGH if last else operators.NULL_LOW, "null")
            value = f"((0, {value}) if {before or code} is not None else {mark})"
        parts.append(value)
    return (parts[0] if len(parts) == 1 else f"({', '.join(parts)})"), reverse


def produce_sort(pipe: Pipeline, node: logical.Sort, scope: Scope, needed: Needed, consume: Consume) -> None:
    """All rows, then the sort, then a loop over it."""
    _sorted(pipe, node, scope, needed, consume, None)


def _sorted(
    pipe: Pipeline, node: logical.Sort, scope: Scope, needed: Needed, consume: Consume, bound: str | None
) -> None:
    """`bound`: source of the number of rows that anybody wants; None: all."""
    function, module = pipe.function, pipe.module
    rows, row = module.fresh("rows"), module.fresh("r")
    wanted = needed & produced(node.input)
    layout: dict[int, tuple[int, bool]] = {}
    how: dict[str, Any] = {"reverse": False, "bare": None}
    function.line(f"{rows} = []")
    if bound is not None:
        worst = module.fresh("worst")
        function.line(f"{worst} = None; {worst}_full = 2 * {bound} + 1024")

    def keep(inner: Scope) -> None:
        key, reverse = sort_key_code(pipe, node.keys, inner)
        how["reverse"] = reverse
        code, places, _ = pipe.pack(inner, wanted)
        layout.update(places)
        if bound is None:
            if code.isidentifier() and key.startswith(f"{code}[") and key[len(code) + 1 : -1].isdigit():
                how["bare"] = int(key[len(code) + 1 : -1])
                function.line(f"{rows}.append({code})")
            else:
                function.line(f"{rows}.append(({key}, {code}))")
            return
        name = module.fresh("y")
        function.line(f"{name} = {key}")
        comparison = ">" if reverse else "<"
        with function.block(f"if {worst} is None or {name} {comparison} {worst}:"):
            function.line(f"{rows}.append(({name}, {code}))")
            with function.block(f"if len({rows}) >= {worst}_full:"):
                function.line(f"{rows}.sort(key={module.bind(_FIRST, 'first')}, reverse={reverse})")
                function.line(f"del {rows}[{bound}:]")
                function.line(f"if {rows}: {worst} = {rows}[-1][0]")

    with function.grows(rows, f"{rows}[-1]"):
        pipe.produce(node.input, scope, wanted | references(node.keys), keep)
    chosen = _FIRST if how["bare"] is None else itemgetter(how["bare"])
    sorter = module.bind(operators.sort_rows, "sort_rows")
    call = f"{sorter}({rows}, {module.bind(chosen, 'first')}, {how['reverse']})"
    function.line(f"{rows} = {pipe.call(call)}")
    if how["bare"] is None:
        pair = module.fresh("q")
        with function.loop(pair, rows):
            function.line(f"{row} = {pair}[1]")
            consume({**scope, **pipe.unpack(row, layout)})
        return
    with function.loop(row, rows):
        consume({**scope, **pipe.unpack(row, layout)})


_FIRST = itemgetter(0)


def row_key_code(pipe: Pipeline, columns: list[tuple[str, int, bool]]) -> str:
    """Source of a hashable value that is equal for equal rows; columns are (source, type, nullable). NULLs are alike."""
    parts = []
    for code, type_oid, nullable in columns:
        hashing = hash_key(type_oid)
        if hashing is None:
            parts.append(code)
            continue
        name = pipe.module.bind(hashing, "hash_key")
        if not nullable:
            parts.append(f"{name}({code})")
        elif is_atom(code):
            parts.append(f"(None if {code} is None else {name}({code}))")
        else:
            temporary = pipe.module.fresh("t")
            parts.append(f"(None if ({temporary} := {code}) is None else {name}({temporary}))")
    return parts[0] if len(parts) == 1 else f"({', '.join(parts)})"


def produce_distinct(pipe: Pipeline, node: logical.Distinct, scope: Scope, needed: Needed, consume: Consume) -> None:
    """The first row of each group of equal ones, in input order."""
    function, module = pipe.function, pipe.module
    seen = module.fresh("seen")
    function.line(f"{seen} = set()")
    name = module.fresh("y")
    function.line(f"{name} = None")

    def first(inner: Scope) -> None:
        if node.on is not None:
            bindings = [(pipe.value(expression, inner), expression.type) for expression in node.on]
        else:
            bindings = [(inner[column.id], column.type) for column in node.columns]
        key = (
            row_key_code(pipe, [(binding.code, kind, binding.nullable) for binding, kind in bindings])
            if bindings
            else "()"
        )
        function.line(f"{name} = {key}")
        with function.block(f"if {name} not in {seen}:"):
            function.line(f"{seen}.add({name})")
            consume(inner)

    used = references(node.on) if node.on is not None else produced(node)
    with function.grows(seen, name):
        pipe.produce(node.input, scope, needed | used, first)


def produce_limit(pipe: Pipeline, node: logical.Limit, scope: Scope, needed: Needed, consume: Consume) -> None:
    """Stops everything below by an exception that costs nothing until it is raised."""
    function, module = pipe.function, pipe.module
    goal = None
    if pipe.function.kind == "plain" and node.count is None and node.offset is None:
        pipe.produce(node.input, scope, needed, consume)
        return
    count, skip = module.fresh("n"), module.fresh("o")
    checked = module.bind(operators.row_count, "row_count")
    if node.count is not None:
        function.line(f"{count} = {checked}({pipe.code(node.count, scope)}, True)")
    else:
        function.line(f"{count} = None")
    function.line(
        f"{skip} = {checked}({pipe.code(node.offset, scope)}, False) or 0" if node.offset is not None else f"{skip} = 0"
    )
    if node.with_ties and isinstance(node.input, logical.Sort):
        _with_ties(pipe, node, node.input, scope, needed, consume, count, skip)
        return
    stop = module.bind(type("Stop", (Exception,), {}), "Stop")

    def counted(inner: Scope) -> None:
        if node.offset is not None:
            with function.block(f"if {skip} > 0:"):
                function.line(f"{skip} -= 1")
            with function.block("else:"):
                take(inner)
        else:
            take(inner)

    def take(inner: Scope) -> None:
        consume(inner)
        if node.count is not None:
            function.line(f"{count} -= 1" if not nullable else f"if {count} is not None: {count} -= 1")
            function.line(f"if {count} == 0: raise {stop}")

    nullable = node.count is None or not (isinstance(node.count, logical.Constant) and node.count.value is not None)
    with function.block(f"if {count} != 0:"):
        with function.block("try:"):
            if node.count is not None:
                goal = f"({count} + {skip})" if node.offset is not None else count
                if nullable:
                    name = module.fresh("goal")
                    function.line(f"{name} = {goal} if {count} is not None else {1 << 60}")
                    goal = name
            if goal is not None and isinstance(node.input, logical.Sort):
                _sorted(pipe, node.input, scope, needed, counted, goal)
            else:
                pipe.row_goal = goal
                pipe.produce(node.input, scope, needed, counted)
                pipe.row_goal = None
        function.line(f"except {stop}: pass")


def _with_ties(
    pipe: Pipeline,
    node: logical.Limit,
    sort: logical.Sort,
    scope: Scope,
    needed: Needed,
    consume: Consume,
    count: str,
    skip: str,
) -> None:
    function, module = pipe.function, pipe.module
    stop = module.bind(type("Stop", (Exception,), {}), "Stop")
    last, key_name = module.fresh("last"), module.fresh("y")

    def counted(inner: Scope) -> None:
        with function.block(f"if {skip} > 0:"):
            function.line(f"{skip} -= 1")
        with function.block("else:"):
            key, _ = sort_key_code(pipe, sort.keys, inner)
            function.line(f"{key_name} = {key}")
            with function.block(f"if {count} is not None:"):
                function.line(f"if {count} <= 0 and {key_name} != {last}: raise {stop}")
                function.line(f"{count} -= 1; {last} = {key_name}")
            consume(inner)

    with function.block(f"if {count} != 0:"):
        with function.block("try:"):
            pipe.produce(sort, scope, needed | references(sort.keys), counted)
        function.line(f"except {stop}: pass")


PRODUCERS: dict[type, Any] = {
    logical.Sort: produce_sort,
    logical.Distinct: produce_distinct,
    logical.Limit: produce_limit,
}
