"""Joins: hash tables for equalities, loops for everything else.

    hash join     build: the right side's rows into a dict by key      probe: the left side's pipeline looks each row up
    nested loop   the right side's code inside the left side's loop    (an index look-up where its path refers to the left)

A left join consumes in one place only: the matches, or else a row of NULLs, are first gathered in a list. Full joins must
consume in two places (unmatched right rows come last), so they are a rows function. Build rows that are whole rows already are
kept as they are; a build side whose key is unique holds rows instead of lists of rows.
"""

from __future__ import annotations

from typing import Any

from frontend.sql import logical
from frontend.sql.compiler.pipeline import Consume, Needed, Pipeline, produced, references
from frontend.sql.compiler.source import Scope
from frontend.sql.executor import operators
from frontend.sql.physical import AccessPath, HashJoin, NestedLoop
from frontend.types.registry import hash_key

Places = dict[int, tuple[int, bool]]
BLOCKS_MAX = 8  # loops around a consumer before its input becomes a function of its own; Python allows 20


def blocks(node: logical.Plan) -> int:
    """How many nested loops the node writes around its consumer, about."""
    if isinstance(node, logical.Scan):
        path = node.path
        if not isinstance(path, AccessPath):
            return 2
        return (0 if path.unique and path.ordered else 2) + (0 if path.ordered else 1)
    if isinstance(node, HashJoin | NestedLoop) and node.kind not in ("right", "full"):
        left = min(blocks(node.left), BLOCKS_MAX)
        if isinstance(node, HashJoin):
            return left + 1
        return left + 1 + (min(blocks(node.right), BLOCKS_MAX) if node.lateral else 1)
    if isinstance(node, logical.Filter | logical.Project | logical.Distinct | logical.LockRows):
        return blocks(node.input)
    if isinstance(node, logical.Limit):
        return blocks(node.input) + 1
    if isinstance(node, logical.ProjectSet):
        return blocks(node.input) + 2
    if isinstance(node, logical.With):
        return blocks(node.body)
    return 0 if isinstance(node, logical.OneRow) else 2


def _produce_side(pipe: Pipeline, node: logical.Plan, scope: Scope, needed: Needed, consume: Consume) -> None:
    """One input of a join; as a function of its own where the loops would nest too deep."""
    if blocks(node) <= BLOCKS_MAX:
        pipe.produce(node, scope, needed, consume)
        return
    ids = sorted(needed & produced(node))

    def write(inner_pipe: Pipeline, inner: Scope) -> None:
        inner_pipe.produce(node, inner, ids, lambda row: inner_pipe.function.line(f"push({_row_code(row, ids)})"))

    row = pipe.module.fresh("r")
    call = pipe.rows_function("part", node, scope, write)
    places = {identity: (place, True) for place, identity in enumerate(ids)}
    pipe.consume_batches(call, row, lambda: consume({**scope, **pipe.unpack(row, places)}))


def _key(
    pipe: Pipeline, expressions: tuple[logical.Expression, ...], types: tuple[int, ...], scope: Scope
) -> tuple[str, str]:
    """(source of the tests that no part is NULL, source of the key); tests come first and bind what they test."""
    tests: list[str] = []
    parts: list[str] = []
    for expression, type_oid in zip(expressions, types, strict=True):
        binding = pipe.value(expression, scope)
        code = binding.code
        if not (binding.base or code.isidentifier()):
            name = pipe.module.fresh("x")
            pipe.function.line(f"{name} = {code}")
            code = name
        if binding.nullable:
            tests.append(f"{code} is not None")
        hashing = hash_key(type_oid)
        parts.append(code if hashing is None else f"{pipe.module.bind(hashing, 'hash_key')}({code})")
    key = parts[0] if len(parts) == 1 else f"({', '.join(parts)})"
    return " and ".join(tests), key


def _build(pipe: Pipeline, node: HashJoin, scope: Scope, wanted: Needed, keep_null: bool) -> tuple[str, Places, int]:
    """Fill the hash table; returns (its variable, where the columns are in its rows, their width)."""
    function, module = pipe.function, pipe.module
    table, entry, bucket = module.fresh("hash"), module.fresh("e"), module.fresh("u")
    places: Places = {}
    width = [0]
    function.line(f"{table} = {{}}")
    if keep_null:
        function.line(f"{table}_nulls = []")
    key_name = module.fresh("y")

    def insert(row: Scope) -> None:
        tests, key = _key(pipe, node.right_keys, node.key_types, row)
        code, found, size = pipe.pack(row, wanted)
        places.update(found)
        width[0] = size

        def store() -> None:
            function.line(f"{entry} = {code}")
            function.line(f"{key_name} = {key}")
            if node.unique:
                function.line(f"{table}[{key_name}] = {entry}")
                return
            function.line(f"{bucket} = {table}.get({key_name})")
            function.line(f"{table}_rows += 1")
            function.line(f"if {bucket} is None: {table}[{key_name}] = [{entry}]")
            function.line(f"else: {bucket}.append({entry})")

        if not tests:
            store()
            return
        with function.block(f"if {tests}:"):
            store()
        if keep_null:
            with function.block("else:"):
                function.line(f"{table}_nulls.append({code})")

    function.line(f"{entry} = None; {table}_rows = 0")
    with function.grows(table, entry, "" if node.unique else f"{table}_rows"):
        pipe.produce(node.right, scope, wanted | references(node.right_keys), insert)
    return table, places, width[0]


def produce_hash_join(pipe: Pipeline, node: HashJoin, scope: Scope, needed: Needed, consume: Consume) -> None:
    """All kinds but right and full are one pipeline; those two are a rows function."""
    if node.kind in ("right", "full"):
        _as_rows(pipe, node, scope, needed, consume, _hash_join_rows)
        return
    function, module = pipe.function, pipe.module
    residual = node.residual
    wanted = (needed | (references(residual) if residual is not None else frozenset())) & produced(node.right)
    table, places, width = _build(pipe, node, scope, wanted, keep_null=False)
    left_needed = needed | references(node.left_keys) | (references(residual) if residual is not None else frozenset())

    def probe(row: Scope) -> None:
        tests, key = _key(pipe, node.left_keys, node.key_types, row)
        if node.kind in ("semi", "anti"):
            _probe_existence(pipe, node, row, tests, key, table, places, consume)
            return
        match = module.fresh("m")
        if node.unique and residual is None:
            found = f"{table}.get({key})"
            if node.kind == "inner":
                guard = f"{tests} and " if tests else ""
                with function.block(f"if {guard}({match} := {found}) is not None:"):
                    consume({**row, **pipe.unpack(match, places)})
                return
            nulls = module.bind((None,) * max(width, 1), "nulls")
            function.line(
                f"{match} = {found + f' or {nulls}' if width else found}"
                + (f" if {tests} else {nulls}" if tests else "")
            )
            consume({**row, **pipe.unpack(match, places, nullable=True)})
            return
        matches = module.fresh("ms")
        bucket = (
            f"{table}.get({key}, EMPTY)"
            if not node.unique
            else f"{module.bind(operators.single, 'single')}({table}.get({key}))"
        )
        function.line(f"{matches} = {bucket}" + (f" if {tests} else EMPTY" if tests else ""))
        inner_row = {**row, **pipe.unpack(match, places, nullable=node.kind == "left")}
        if node.kind == "inner":
            with function.block(f"for {match} in {matches}:"):
                function.counted_tick()
                if residual is not None:
                    with function.block(f"if {pipe.test(residual, inner_row)}:"):
                        consume(inner_row)
                else:
                    consume(inner_row)
            return
        if residual is not None:
            passed = module.fresh("ms")
            function.line(f"{passed} = []")
            with function.block(f"for {match} in {matches}:"):
                function.counted_tick()
                test_row = {**row, **pipe.unpack(match, places)}
                function.line(f"if {pipe.test(residual, test_row)}: {passed}.append({match})")
            matches = passed
        nulls = module.bind([(None,) * max(width, 1)], "nulls")
        with function.block(f"for {match} in {matches} or {nulls}:"):
            function.counted_tick()
            consume(inner_row)

    _produce_side(pipe, node.left, scope, left_needed, probe)


def _probe_existence(
    pipe: Pipeline,
    node: HashJoin,
    row: Scope,
    tests: str,
    key: str,
    table: str,
    places: Places,
    consume: Consume,
) -> None:
    """Semi and anti joins: only whether there is a match counts."""
    function, module = pipe.function, pipe.module
    if node.residual is None:
        if node.kind == "semi":
            condition = f"{tests} and {key} in {table}" if tests else f"{key} in {table}"
        else:
            condition = f"not ({tests} and {key} in {table})" if tests else f"{key} not in {table}"
        with function.block(f"if {condition}:"):
            consume(row)
        return
    found, match = module.fresh("found"), module.fresh("m")
    bucket = (
        f"{table}.get({key}, EMPTY)"
        if not node.unique
        else f"{module.bind(operators.single, 'single')}({table}.get({key}))"
    )
    function.line(f"{found} = False")
    with function.block(f"for {match} in {bucket}" + (f" if {tests} else EMPTY:" if tests else ":")):
        function.counted_tick()
        with function.block(f"if {pipe.test(node.residual, {**row, **pipe.unpack(match, places)})}:"):
            function.line(f"{found} = True")
            function.line("break")
    with function.block(f"if {found}:" if node.kind == "semi" else f"if not {found}:"):
        consume(row)


def _as_rows(pipe: Pipeline, node: Any, scope: Scope, needed: Needed, consume: Consume, write: Any) -> None:
    """A join as a rows function, and the loop over it."""
    ids = sorted(needed & produced(node))
    row = pipe.module.fresh("r")
    call = pipe.rows_function("join", node, scope, lambda inner_pipe, inner: write(inner_pipe, node, inner, ids))
    places = {identity: (place, True) for place, identity in enumerate(ids)}
    pipe.consume_batches(call, row, lambda: consume({**scope, **pipe.unpack(row, places)}))


def _row_code(scope: Scope, ids: list[int], null_ids: frozenset[int] = frozenset()) -> str:
    return "(" + "".join([("None" if identity in null_ids else scope[identity].code) + ", " for identity in ids]) + ")"


def _hash_join_rows(pipe: Pipeline, node: HashJoin, scope: Scope, ids: list[int]) -> None:
    """Right and full joins: build rows carry a mark, the unmarked ones come at the end beside NULLs."""
    function, module = pipe.function, pipe.module
    residual = node.residual
    used = frozenset(ids) | (references(residual) if residual is not None else frozenset())
    wanted = used & produced(node.right)
    table, mark = module.fresh("hash"), module.fresh("e")
    places: Places = {}
    unmatched = module.fresh("rows")
    function.line(f"{table} = {{}}; {unmatched} = []; {mark} = None")

    def insert(row: Scope) -> None:
        tests, key = _key(pipe, node.right_keys, node.key_types, row)
        code, found, _ = pipe.pack(row, wanted)
        places.update({identity: (place, nullable) for identity, (place, nullable) in found.items()})
        function.line(f"{mark} = [False, {code}]")
        function.line(f"{unmatched}.append({mark})")
        adding = f"{table}.setdefault({key}, []).append({mark})"
        function.line(f"if {tests}: {adding}" if tests else adding)

    with function.grows(unmatched, mark):
        pipe.produce(node.right, scope, wanted | references(node.right_keys), insert)
    left_ids, right_ids = produced(node.left), produced(node.right)

    def probe(row: Scope) -> None:
        tests, key = _key(pipe, node.left_keys, node.key_types, row)
        match, found, held = module.fresh("m"), module.fresh("found"), module.fresh("h")
        function.line(f"{found} = False")
        with function.block(
            f"for {match} in {table}.get({key}, EMPTY)" + (f" if {tests} else EMPTY:" if tests else ":")
        ):
            function.counted_tick()
            function.line(f"{held} = {match}[1]")
            both = {**row, **pipe.unpack(held, places)}
            with function.block(f"if {pipe.test(residual, both)}:" if residual is not None else "if True:"):
                function.line(f"{found} = {match}[0] = True")
                function.line(f"push({_row_code(both, ids)})")
        if node.kind == "full":
            function.line(f"if not {found}: push({_row_code(row, ids, right_ids)})")

    _produce_side(pipe, node.left, scope, used | references(node.left_keys), probe)
    match, held = module.fresh("m"), module.fresh("h")
    with function.loop(match, unmatched), function.block(f"if not {match}[0]:"):
        function.line(f"{held} = {match}[1]")
        function.line(f"push({_row_code(pipe.unpack(held, places), ids, left_ids)})")


# ── nested loops ────────────────────────────────────────────────────────────────────────────────────────────────────


def produce_nested_loop(pipe: Pipeline, node: NestedLoop, scope: Scope, needed: Needed, consume: Consume) -> None:
    """The right side inside the left side's loop."""
    if node.kind in ("right", "full"):
        _as_rows(pipe, node, scope, needed, consume, _nested_loop_rows)
        return
    condition = node.condition
    used = needed | (references(condition) if condition is not None else frozenset())
    right_needed = used & produced(node.right)
    left_needed = used | (references(node.right) if node.lateral else frozenset())
    function, module = pipe.function, pipe.module
    memory: tuple[str, Places] | None = None
    if not node.lateral:
        memory = pipe.materialize(node.right, scope, right_needed)

    def each(row: Scope) -> None:
        if node.kind == "inner":
            _inner_loop(pipe, node, row, right_needed, memory, consume)
        elif node.kind == "left":
            _left_loop(pipe, node, row, right_needed, memory, consume)
        else:
            found, stop = module.fresh("found"), module.bind(operators.Stop, "Stop")
            function.line(f"{found} = False")
            with function.block("try:"):

                def match(_: Scope) -> None:
                    function.line(f"{found} = True")
                    function.line(f"raise {stop}")

                pipe.row_goal = "1" if condition is None else None
                _inner_loop(pipe, node, row, right_needed, memory, match)
            function.line(f"except {stop}: pass")
            with function.block(f"if {found}:" if node.kind == "semi" else f"if not {found}:"):
                consume(row)

    _produce_side(pipe, node.left, scope, left_needed, each)


def _inner_loop(
    pipe: Pipeline,
    node: NestedLoop,
    row: Scope,
    right_needed: Needed,
    memory: tuple[str, Places] | None,
    consume: Consume,
) -> None:
    function = pipe.function

    def joined(both: Scope) -> None:
        if node.condition is None:
            consume(both)
            return
        with function.block(f"if {pipe.test(node.condition, both)}:"):
            consume(both)

    if memory is None:
        _produce_side(pipe, node.right, row, right_needed, joined)
        function.counted_tick("4")
        return
    rows, places = memory
    match = pipe.module.fresh("m")
    with function.block(f"for {match} in {rows}:"):
        function.counted_tick()
        joined({**row, **pipe.unpack(match, places)})


def _left_loop(
    pipe: Pipeline,
    node: NestedLoop,
    row: Scope,
    right_needed: Needed,
    memory: tuple[str, Places] | None,
    consume: Consume,
) -> None:
    """Matches are gathered first, so that there is one place that consumes."""
    function, module = pipe.function, pipe.module
    matches, match = module.fresh("ms"), module.fresh("m")
    kept: Places = {}
    width = [1]
    function.line(f"{matches} = []")

    def gather(both: Scope) -> None:
        code, places, size = pipe.pack(both, right_needed)
        kept.update(places)
        width[0] = max(size, 1)
        function.line(f"{matches}.append({code})")

    _inner_loop(pipe, node, row, right_needed, memory, gather)
    nulls = module.bind([(None,) * width[0]], "nulls")
    with function.block(f"for {match} in {matches} or {nulls}:"):
        function.counted_tick()
        consume({**row, **pipe.unpack(match, kept, nullable=True)})


def _nested_loop_rows(pipe: Pipeline, node: NestedLoop, scope: Scope, ids: list[int]) -> None:
    """Right and full joins without an equality: the right side from memory, with marks."""
    function, module = pipe.function, pipe.module
    condition = node.condition
    used = frozenset(ids) | (references(condition) if condition is not None else frozenset())
    left_ids, right_ids = produced(node.left), produced(node.right)
    rows, places = pipe.materialize(node.right, scope, used & right_ids)
    marks = module.fresh("marks")
    function.line(f"{marks} = bytearray(len({rows}))")
    match, place, found = module.fresh("m"), module.fresh("i"), module.fresh("found")

    def each(row: Scope) -> None:
        function.line(f"{found} = False")
        with function.block(f"for {place}, {match} in enumerate({rows}):"):
            function.counted_tick()
            both = {**row, **pipe.unpack(match, places)}
            with function.block(f"if {pipe.test(condition, both)}:" if condition is not None else "if True:"):
                function.line(f"{found} = True; {marks}[{place}] = 1")
                function.line(f"push({_row_code(both, ids)})")
        if node.kind == "full":
            function.line(f"if not {found}: push({_row_code(row, ids, right_ids)})")

    _produce_side(pipe, node.left, scope, used, each)
    with function.loop(place, f"range(len({rows}))"), function.block(f"if not {marks}[{place}]:"):
        function.line(f"{match} = {rows}[{place}]")
        function.line(f"push({_row_code(pipe.unpack(match, places), ids, left_ids)})")


PRODUCERS: dict[type, Any] = {HashJoin: produce_hash_join, NestedLoop: produce_nested_loop}
