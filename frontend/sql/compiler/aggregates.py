"""Aggregation: one loop that updates states, then one over the groups.

Without keys the states are local variables; with keys a group is a list [keys…, states…, GROUPING() masks…] in a dict.
Aggregates with an inline template become statements on that place (`g[2] += 1`); others are accumulator objects. DISTINCT and
ORDER BY inside an aggregate gather the arguments of each group and feed the accumulator at the end. Several grouping sets
share the loop: each has its dict, and the row's groups are updated in turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from frontend.errors import unsupported
from frontend.functions import registry
from frontend.functions.catalogue import aggregate_by_oid
from frontend.sql import logical
from frontend.sql.compiler.expressions import instantiate, is_atom
from frontend.sql.compiler.ordering import row_key_code, sort_key_code
from frontend.sql.compiler.pipeline import Consume, Needed, Pipeline, references
from frontend.sql.compiler.source import Binding, Scope
from frontend.sql.executor import grouping
from frontend.types.registry import hash_key


class _Call:
    """One aggregate: how its state begins, takes in a row and ends."""

    def __init__(self, pipe: Pipeline, call: logical.AggregateCall) -> None:
        self.pipe = pipe
        self.call = call
        implementation = registry.AGGREGATES.get(call.signature)
        if implementation is None:
            raise unsupported(f"aggregate {call.signature}")
        self.implementation = implementation
        self.gathers = call.distinct or bool(call.order_by) or call.within_group
        self.inline = None if self.gathers or implementation.typed or implementation.context else implementation.inline
        create: Any = implementation.create
        if implementation.typed:
            kinds = [argument.type for argument in (*call.direct, *call.arguments)]
            if call.within_group and not call.arguments:
                kinds = [key.expression.type for key in call.order_by]
            elif call.within_group:
                kinds = [argument.type for argument in call.arguments]
            create = partial(create, argument_types=tuple(kinds), result_type=call.type)
        self.create = create
        self.hypothetical = call.within_group and aggregate_by_oid(call.proc_oid).kind == "h"

    def creation(self) -> str:
        """Source of an accumulator factory's call."""
        name = self.pipe.module.bind(self.create, "create")
        return f"{name}({self.pipe.function.need('context') if self.implementation.context else ''})"

    def initial(self) -> str:
        if self.gathers:
            return f"{self.pipe.module.bind(grouping.Gathered, 'Gathered')}()"
        if self.inline is not None:
            return instantiate(self.pipe.function, self.inline[0], self.implementation.names, [])
        return self.creation()

    def step(self, state: str, scope: Scope) -> None:
        """Code that takes in the current row."""
        pipe, call = self.pipe, self.call
        function = pipe.function
        if call.filter is not None:
            with function.block(f"if {pipe.test(call.filter, scope)}:"):
                self._take(state, scope)
        else:
            self._take(state, scope)

    def _take(self, state: str, scope: Scope) -> None:
        pipe, function = self.pipe, self.pipe.function
        codes: list[str] = []
        tests: list[str] = []
        for argument in () if self.call.star else self.call.arguments:
            binding = pipe.value(argument, scope)
            code = binding.code
            if not is_atom(code):
                name = pipe.module.fresh("x")
                function.line(f"{name} = {code}")
                code = name
            if binding.nullable and self.implementation.skips_null and not self.hypothetical:
                tests.append(f"{code} is not None")
            codes.append(code)
        if tests:
            with function.block(f"if {' and '.join(dict.fromkeys(tests))}:"):
                self._add(state, codes, scope)
        else:
            self._add(state, codes, scope)

    def _add(self, state: str, codes: list[str], scope: Scope) -> None:
        pipe, function, call = self.pipe, self.pipe.function, self.call
        if not self.gathers:
            if self.inline is not None:
                function.line(instantiate(function, self.inline[1], self.implementation.names, codes, state))
            else:
                function.line(f"{state}.add({', '.join(codes)})")
            return
        arguments = f"({''.join([code + ', ' for code in codes])})"
        key = "None"
        if call.order_by:
            key, _ = sort_key_code(pipe, call.order_by, scope)
        if call.within_group and call.direct:
            direct = "".join([pipe.code(item, scope) + ", " for item in call.direct])
            function.line(f"if {state}.direct is None: {state}.direct = ({direct})")
        if call.distinct:
            identity = row_key_code(
                pipe, [(code, argument.type, True) for code, argument in zip(codes, call.arguments, strict=True)]
            )
            function.line(f"{state}.add_distinct({identity}, {key}, {arguments})")
        else:
            function.line(f"{state}.rows.append(({key}, {arguments}))")

    def final(self, state: str, scope: Scope) -> str:
        """Source of the result."""
        pipe, call = self.pipe, self.call
        if not self.gathers:
            if self.inline is not None:
                return instantiate(pipe.function, self.inline[2], self.implementation.names, [], state)
            return f"{state}.result()"
        module = pipe.module
        reverse = bool(call.order_by) and all(key.descending for key in call.order_by)
        creation = f"lambda: {self.creation()}"
        if call.within_group:
            fixed = all(not isinstance(item, logical.ColumnRef) for item in references_free(call.direct))
            direct = "(" + "".join([pipe.code(item, scope) + ", " for item in call.direct]) + ")" if fixed else "None"
            finish = module.bind(grouping.finish_ordered_set, "finish")
            if self.hypothetical:
                # The hypothetical row's own sort key, in the order of the WITHIN GROUP keys.
                stand_ins = tuple(
                    [
                        logical.SortKey(
                            expression=logical.CaseValue(type=key.expression.type, slot=slot),
                            descending=key.descending,
                            nulls_first=key.nulls_first,
                        )
                        for slot, key in enumerate(call.order_by)
                    ]
                )
                names = [module.fresh("a") for _ in call.direct]
                inner: Scope = {("case", slot): Binding(name, True) for slot, name in enumerate(names)}
                key, _ = sort_key_code(pipe, stand_ins, inner)
                hypothetical = f"lambda {', '.join(names)}: {key}"
                finish = module.bind(grouping.finish_hypothetical, "finish")
                return pipe.call(f"{finish}({state}, {creation}, {reverse}, {direct}, {hypothetical})")
            return pipe.call(f"{finish}({state}, {creation}, {reverse}, {direct})")
        finish = module.bind(grouping.finish_gathered, "finish")
        natural = "None"
        if call.distinct and not call.order_by:
            keys = tuple(
                [
                    logical.SortKey(expression=logical.CaseValue(type=item.type, slot=slot))
                    for slot, item in enumerate(call.arguments)
                ]
            )
            argument = module.fresh("a")
            inner = {("case", slot): Binding(f"{argument}[{slot}]", True) for slot in range(len(call.arguments))}
            key, _ = sort_key_code(pipe, keys, inner)
            natural = f"lambda {argument}: {key}"
        return pipe.call(f"{finish}({state}, {creation}, {bool(call.order_by)}, {reverse}, {natural})")


def references_free(expressions: object) -> list[logical.Expression]:
    """All expressions below, for tests of what they are."""
    from frontend.sql import walk

    return [item for item in walk.walk(expressions) if isinstance(item, logical.Expression)]


def produce_aggregate(pipe: Pipeline, node: logical.Aggregate, scope: Scope, needed: Needed, consume: Consume) -> None:
    """One row without keys, else one a group."""
    key_count = len(node.keys)
    calls = [
        (column, _Call(pipe, call))
        for column, call in zip(node.columns[key_count:], node.aggregates, strict=False)
        if column.id in needed
    ]
    used = references(node.keys) | references(tuple([call.call.arguments for _, call in calls]))
    for _, call in calls:
        used |= references(call.call.filter) if call.call.filter is not None else frozenset()
        used |= references(call.call.order_by) | references(call.call.direct)
    if not node.keys and node.grouping_sets is None:
        _single(pipe, node, scope, calls, used, consume)
    else:
        _grouped(pipe, node, scope, needed, calls, used, consume)


_KEEPERS = ("array_agg", "string_agg", "json_agg", "jsonb_agg", "json_object_agg", "jsonb_object_agg", "xmlagg")


def _keeps(calls: list[tuple[logical.Column, _Call]]) -> bool:
    """Whether some state grows with the number of rows."""
    return any(call.gathers or call.call.signature.startswith(_KEEPERS) for _, call in calls)


def _hold(pipe: Pipeline, calls: list[tuple[logical.Column, _Call]]) -> None:
    if _keeps(calls) and pipe.function.kind != "plain":
        pipe.function.line("held += 1")


@contextmanager
def _holding(pipe: Pipeline, calls: list[tuple[logical.Column, _Call]]) -> Iterator[None]:
    """Memory accounting for aggregates that keep what they are given; each row counts as a small object."""
    if not _keeps(calls) or pipe.function.kind == "plain":
        yield
        return
    pipe.function.line("held = 0")
    with pipe.function.grows("held", "0", "held"):
        yield


def _single(
    pipe: Pipeline,
    node: logical.Aggregate,
    scope: Scope,
    calls: list[tuple[logical.Column, _Call]],
    used: frozenset[int],
    consume: Consume,
) -> None:
    function, module = pipe.function, pipe.module
    states = [module.fresh("a") for _ in calls]
    for state, (_, call) in zip(states, calls, strict=True):
        function.line(f"{state} = {call.initial()}")

    def update(inner: Scope) -> None:
        if not calls:
            function.line("pass")
        _hold(pipe, calls)
        for state, (_, call) in zip(states, calls, strict=True):
            call.step(state, inner)

    source = node.input
    while isinstance(source, logical.Project):
        source = source.input
    if (
        calls
        and isinstance(source, logical.Scan)
        and all(call.call.star and call.call.filter is None and call.call.signature == "count()" for _, call in calls)
    ):
        pipe.count_into = states
    with _holding(pipe, calls):
        pipe.produce(node.input, scope, used, update)
    pipe.count_into = []
    found = dict(scope)
    for state, (column, call) in zip(states, calls, strict=True):
        result = module.fresh("x")
        function.line(f"{result} = {call.final(state, scope)}")
        found[column.id] = Binding(result, not call.call.signature.startswith("count("))
    consume(found)


def _grouped(
    pipe: Pipeline,
    node: logical.Aggregate,
    scope: Scope,
    needed: Needed,
    calls: list[tuple[logical.Column, _Call]],
    used: frozenset[int],
    consume: Consume,
) -> None:
    function, module = pipe.function, pipe.module
    key_count = len(node.keys)
    sets = node.grouping_sets if node.grouping_sets is not None else (tuple(range(key_count)),)
    tables = [module.fresh("groups") for _ in sets]
    group = module.fresh("g")
    first_state = key_count
    first_mask = key_count + len(calls)
    masks = [
        [sum(1 << (len(bits) - 1 - at) for at, key in enumerate(bits) if key not in chosen) for bits in node.groupings]
        for chosen in sets
    ]
    initial = ", ".join([call.initial() for _, call in calls])
    nullable = [True] * key_count

    def creation(keys: list[str], mask: list[int]) -> str:
        return f"[{', '.join([*keys, *([initial] if initial else []), *map(str, mask)])}]"

    function.line(f"{group} = None")
    for table, chosen, mask in zip(tables, sets, masks, strict=True):
        if chosen:
            function.line(f"{table} = {{}}")
        else:
            function.line(f"{table} = {{(): {creation(['None'] * key_count, mask)}}}")

    def update(inner: Scope) -> None:
        names: list[str] = []
        hashed: list[str] = []
        for place, key in enumerate(node.keys):
            binding = pipe.value(key, inner)
            nullable[place] = binding.nullable
            name = binding.code
            if not is_atom(name):
                name = module.fresh("x")
                function.line(f"{name} = {binding.code}")
            names.append(name)
            code = row_key_code(pipe, [(name, key.type, binding.nullable)])
            if hash_key(key.type) is not None and len(sets) > 1:
                hashed_name = module.fresh("x")
                function.line(f"{hashed_name} = {code}")
                code = hashed_name
            hashed.append(code)
        groups: list[str] = []
        for table, chosen, mask in zip(tables, sets, masks, strict=True):
            keys = [names[place] if place in chosen else "None" for place in range(key_count)]
            parts = [hashed[place] for place in chosen]
            key_code = "()" if not parts else parts[0] if len(parts) == 1 else f"({', '.join(parts)})"
            found = group if len(sets) == 1 else module.fresh("g")
            groups.append(found)
            if not chosen:
                function.line(f"{found} = {table}[()]")
                continue
            if not is_atom(key_code):
                key_name = module.fresh("y")
                function.line(f"{key_name} = {key_code}")
                key_code = key_name
            function.line(f"{found} = {table}.get({key_code})")
            function.line(f"if {found} is None: {table}[{key_code}] = {found} = {creation(keys, mask)}")
        if not calls:
            return
        _hold(pipe, calls)
        if len(sets) == 1:
            for place, (_, call) in enumerate(calls):
                call.step(f"{group}[{first_state + place}]", inner)
            return
        with function.block(f"for {group} in ({', '.join(groups)},):"):
            for place, (_, call) in enumerate(calls):
                call.step(f"{group}[{first_state + place}]", inner)

    with function.grows(tables[0], group), _holding(pipe, calls):
        pipe.produce(node.input, scope, used, update)
    row = module.fresh("g")
    if len(tables) == 1:
        source = f"{tables[0]}.values()"
    else:
        chain = module.bind(grouping.chain, "chain")
        source = f"{chain}({', '.join([f'{table}.values()' for table in tables])})"
    with function.loop(row, source):
        found: Scope = dict(scope)
        for place, column in enumerate(node.columns[:key_count]):
            can_be_null = nullable[place] or len(sets) > 1
            found[column.id] = Binding(f"{row}[{place}]", can_be_null, row, place)
        inner_scope = dict(found)
        for place, (column, call) in enumerate(calls):
            state = f"{row}[{first_state + place}]"
            final = call.final(state, inner_scope)
            never_null = call.call.signature.startswith("count(")
            if final == state:
                found[column.id] = Binding(state, not never_null, row, first_state + place)
                continue
            result = module.fresh("x")
            function.line(f"{result} = {final}")
            found[column.id] = Binding(result, not never_null)
        for place, column in enumerate(node.columns[key_count + len(node.aggregates) :]):
            found[column.id] = Binding(f"{row}[{first_mask + place}]", False)
        consume(found)


PRODUCERS: dict[type, Any] = {logical.Aggregate: produce_aggregate}
