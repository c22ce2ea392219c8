"""How operators become code: each one *produces* rows by writing loops, and in their midst lets its consumer *consume*.

    produce(Project)                     for r1 in scan.fetch_rows(256, decode):
      └─ produce(Filter)        ──▶          if r1[2] is not None and r1[2] > p0:
           └─ produce(Scan)                      push((r1[0], r1[1]))

(T. Neumann, «Efficiently Compiling Efficient Query Plans for Modern Hardware», VLDB 2011.) A pipeline of scan, filter, probe and
project is one nest of loops; an operator that needs all its input first (sort, hash table, aggregate) ends a pipeline and
starts the next below it in the same function. What would have to consume in two places (UNION ALL, full joins, recursion)
becomes a generator function of its own, whose batches the consumer loops over.

A producer is a function (pipe, node, scope, needed, consume): `scope` says where outer columns are, `needed` which of the
node's columns anybody above refers to, `consume(scope)` writes what happens with a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from frontend.sql import logical, walk
from frontend.sql.compiler.expressions import Expressions
from frontend.sql.compiler.source import Binding, Function, FunctionKind, Module, Scope
from frontend.sql.executor import operators
from frontend.sql.physical import AccessPath

if TYPE_CHECKING:
    from frontend.sql.compiler.plan import PlanCompiler

Consume = Callable[[Scope], None]
Needed = frozenset[int]


def references(node: object) -> frozenset[int]:
    """All column ids that a tree refers to, those in access paths included."""
    found: set[int] = set()
    stack = [node]
    while stack:
        for item in walk.walk(stack.pop()):
            if isinstance(item, logical.ColumnRef):
                found.add(item.id)
            elif isinstance(item, logical.Scan) and isinstance(item.path, AccessPath):
                stack.extend(item.path.expressions)
    return frozenset(found)


def produced(node: logical.Plan) -> frozenset[int]:
    return frozenset([column.id for column in node.columns])


class Pipeline:
    """One function under construction, with the compilers of expressions and plans that write into it."""

    def __init__(self, plans: PlanCompiler, function: Function) -> None:
        self.plans = plans
        self.function = function
        self.module: Module = function.module
        self.expressions = Expressions(function, plans)
        self.row_goal: str | None = None
        self.count_into: list[str] = []

    # ── producing ──────────────────────────────────────────────────────────────────────────────────────────────────

    def produce(self, node: logical.Plan, scope: Scope, needed: Iterable[int], consume: Consume) -> None:
        """Write the code that runs `node` and lets `consume` write what happens with each of its rows."""
        self.plans.produce(self, node, scope, frozenset(needed), consume)

    def value(self, expression: logical.Expression, scope: Scope) -> Binding:
        return self.expressions.value(expression, scope)

    def code(self, expression: logical.Expression, scope: Scope) -> str:
        return self.expressions.code(expression, scope)

    def test(self, expression: logical.Expression, scope: Scope) -> str:
        return self.expressions.test(expression, scope)

    def call(self, code: str, runtime: bool = True) -> str:
        """Run a generator to its value. `runtime`: one of our own library's, which is a generator in any case."""
        if self.function.kind != "plain":
            return f"(yield from {code})"
        return f"{self.module.bind(operators.run_to_end, 'run_to_end')}({code})" if runtime else code

    # ── rows as values ─────────────────────────────────────────────────────────────────────────────────────────────

    def pack(self, scope: Scope, ids: Iterable[int]) -> tuple[str, dict[int, tuple[int, bool]], int]:
        """Source of one value that holds the columns `ids`, (index in it, nullable) of each, and its width.

        Where all of them are in one row already, that row is it, and nothing is copied.
        """
        ordered = sorted(ids)
        bases = {scope[identity].base for identity in ordered}
        if len(bases) == 1 and (base := next(iter(bases))):
            places = {identity: (scope[identity].place, scope[identity].nullable) for identity in ordered}
            return base, places, max(scope[identity].place for identity in ordered) + 1
        code = "(" + "".join([scope[identity].code + ", " for identity in ordered]) + ")"
        return (
            code,
            {identity: (place, scope[identity].nullable) for place, identity in enumerate(ordered)},
            len(ordered),
        )

    def unpack(self, variable: str, places: dict[int, tuple[int, bool]], nullable: bool = False) -> Scope:
        """Bindings of packed columns in the row `variable`."""
        return {
            identity: Binding(f"{variable}[{place}]", can_be_null or nullable, variable, place)
            for identity, (place, can_be_null) in places.items()
        }

    def materialize(
        self, node: logical.Plan, scope: Scope, needed: Iterable[int]
    ) -> tuple[str, dict[int, tuple[int, bool]]]:
        """Code that gathers all rows of `node` into a list; returns the list's variable and where the columns are."""
        function = self.function
        rows = self.module.fresh("rows")
        wanted = frozenset(needed) & produced(node)
        places: dict[int, tuple[int, bool]] = {}
        function.line(f"{rows} = []")

        def consume(inner: Scope) -> None:
            code, found, _ = self.pack(inner, wanted)
            places.update(found)
            function.line(f"{rows}.append({code})")

        with function.grows(rows, f"{rows}[-1]"):
            self.produce(node, scope, wanted, consume)
        return rows, places

    # ── functions of their own ─────────────────────────────────────────────────────────────────────────────────────

    def sub_function(
        self,
        hint: str,
        kind: FunctionKind,
        nodes: object,
        scope: Scope,
        build: Callable[[Pipeline, Scope], str | None],
        extra: tuple[str, ...] = (),
    ) -> tuple[str, list[str]]:
        """A new function whose body `build` writes (it returns the source of a value function's result).

        Returns (name, arguments' source): the outer columns that `nodes` refer to are passed on.
        """
        outer = sorted([identity for identity in references(nodes) if identity in scope])
        name = self.module.fresh(hint)
        function = Function(self.module, name, ["state", *extra, *[f"o{identity}" for identity in outer]], kind)
        pipe = Pipeline(self.plans, function)
        inner: Scope = {identity: Binding(f"o{identity}", scope[identity].nullable) for identity in outer}
        result = build(pipe, inner)
        function.finish(result)
        return name, [scope[identity].code for identity in outer]

    def rows_function(self, hint: str, nodes: object, scope: Scope, build: Callable[[Pipeline, Scope], None]) -> str:
        """A new function that gives batches of rows (`push` in it takes one); returns the source of its call."""

        def write(pipe: Pipeline, inner: Scope) -> None:
            build(pipe, inner)

        name, arguments = self.sub_function(hint, "rows", nodes, scope, write)
        return f"{name}({', '.join(['state', *arguments])})"

    def consume_batches(self, call: str, variable: str, body: Callable[[], None]) -> None:
        """A loop over the rows of a rows function."""
        function = self.function
        if function.kind == "plain":
            with function.block(f"for {variable} in {call}:"):
                body()
            return
        batch = self.module.fresh("b")
        with function.block(f"for {batch} in {call}:"):
            with function.block(f"if type({batch}) is not list:"):
                function.line(f"yield {batch}")
                function.line("continue")
            with function.block(f"for {variable} in {batch}:"):
                body()
            function.tick()
