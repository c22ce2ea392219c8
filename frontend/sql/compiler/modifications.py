"""INSERT, UPDATE, DELETE: a pipeline whose consumer writes.

Rows are written as they are found where that cannot change what is found: a scan does not see writes that are made while it
runs. Where the statement reads its target in another way too (a join, a subquery, an action of a foreign key), all rows are
gathered first. Foreign keys are looked at when the statement ends: their work is queued and `finish_statement` does it.

HOT PATH: `UPDATE t SET a = a + $1 WHERE id = $2` is one plain function: get, decode, copy, encode, put.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from frontend.sql import logical, walk
from frontend.sql.compiler.pipeline import Consume, Needed, Pipeline, produced, references
from frontend.sql.compiler.source import Binding, Scope
from frontend.sql.compiler.writers import row_writer
from frontend.sql.executor import foreign_keys, modifying
from frontend.sql.physical import HashJoin, NestedLoop

BATCH_ROWS = 256


def finish_statement(pipe: Pipeline) -> None:
    """What comes after the last row: foreign keys."""
    plans = pipe.plans
    if plans.queue >= 0:
        finish = pipe.module.bind(foreign_keys.finish_statement, "finish")
        pipe.function.line(pipe.call(f"{finish}(state, {pipe.function.need('frame')}[{plans.queue}])"))


def _queue(pipe: Pipeline) -> str:
    """Source of the statement's list of foreign-key work."""
    if pipe.plans.queue < 0:
        pipe.plans.queue = pipe.module.slot("[]")
    return f"{pipe.function.need('frame')}[{pipe.plans.queue}]"


def _reads_itself(node: logical.Insert | logical.Update | logical.Delete) -> bool:
    """Whether writing while reading could change what is read."""
    target = node.target.table.oid
    scans = joins = 0
    for item in walk.walk(node):
        if isinstance(item, logical.Scan) and item.table.oid == target:
            scans += 1
        elif isinstance(item, logical.Join | HashJoin | NestedLoop):
            joins += 1
    limit = 0 if isinstance(node, logical.Insert) else 1
    return scans > limit or (scans > 0 and joins > 0)


def _count(pipe: Pipeline, node: Any) -> bool:
    """Whether this node's rows are the statement's (for the command tag), not those of a WITH query."""
    return pipe.function.name == "run"


def _returned(pipe: Pipeline, node: Any, scope: Scope, row: str, consume: Consume) -> None:
    """RETURNING: the expressions over the row as it was written."""
    never = {*node.target.not_null, *node.target.table.row_key}
    inner = dict(scope)
    for place, identity in enumerate(node.target.row_ids):
        if identity:
            inner[identity] = Binding(f"{row}[{place}]", place + 1 not in never, row, place)
    found = dict(scope)
    for column, expression in zip(node.columns, node.returning, strict=True):
        binding = pipe.value(expression, inner)
        if not (binding.base or binding.code.isidentifier()):
            name = pipe.module.fresh("x")
            pipe.function.line(f"{name} = {binding.code}")
            binding = Binding(name, binding.nullable)
        found[column.id] = binding
    consume(found)


# ── insert ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def produce_insert(pipe: Pipeline, node: logical.Insert, scope: Scope, needed: Needed, consume: Consume) -> None:
    """Rows of the source, completed and stored; conflicting ones handled as ON CONFLICT says."""
    function, module = pipe.function, pipe.module
    writer = row_writer(node.target)
    transaction, context = function.need("transaction"), function.need("context")
    function.line("processed = 0")
    listens = bool(node.target.foreign_keys)
    links = module.bind(foreign_keys.Links(node.target, writer, None), "links") if listens else ""
    used = references(node.values)
    row = module.fresh("row")
    gathers = _reads_itself(node)
    rows = module.fresh("rows")
    conflict = node.on_conflict
    conflict_links = ""
    if conflict is not None:
        function.line("touched = set()")
        if conflict.assignments is not None:
            changed = frozenset([number for number, _ in conflict.assignments])
            conflict_links = _links(pipe, node.target, writer, changed)

    def built(inner: Scope) -> str:
        parts = ["None" if value is None else pipe.code(value, inner) for value in node.values]
        return f"[{', '.join(parts)}]"

    def store(inner: Scope) -> None:
        if conflict is not None:
            _insert_or_else(pipe, node, inner, row, conflict_links, listens, links, consume)
            return
        if listens:
            function.line(f"key = {module.bind(writer.insert, 'insert')}({transaction}, {row}, {context})")
            function.line(f"{_queue(pipe)}.append(({links}, key, None, {row}))")
        else:
            function.line(f"{module.bind(writer.insert, 'insert')}({transaction}, {row}, {context})")
        function.line("processed += 1")
        if node.columns:
            _returned(pipe, node, scope, row, consume)

    many = conflict is None and not listens and not node.columns and function.kind != "plain"
    if many:
        _insert_in_batches(pipe, node, scope, used, built, gathers)
    elif gathers:
        function.line(f"{rows} = []")
        with function.grows(rows, f"{rows}[-1]"):
            pipe.produce(node.source, scope, used, lambda inner: function.line(f"{rows}.append({built(inner)})"))
        with function.loop(row, rows):
            store(scope)
    else:

        def each(inner: Scope) -> None:
            function.line(f"{row} = {built(inner)}")
            store(inner)

        pipe.produce(node.source, scope, used, each)
    if _count(pipe, node):
        function.line("state.processed = processed")


def _insert_in_batches(
    pipe: Pipeline,
    node: logical.Insert,
    scope: Scope,
    used: frozenset[int],
    built: Callable[[Scope], str],
    gathers: bool,
) -> None:
    """INSERT without RETURNING, ON CONFLICT or foreign keys: rows are stored a few hundred at a time."""
    function, module = pipe.function, pipe.module
    insert = module.bind(row_writer(node.target).insert_many, "insert_many")
    rows, batch, place = module.fresh("rows"), module.fresh("batch"), module.fresh("i")
    store = f"processed += {insert}(transaction, {batch}, context)"

    def each(inner: Scope) -> None:
        function.line(f"{rows}.append({built(inner)})")
        if not gathers:
            with function.block(f"if len({rows}) >= {BATCH_ROWS}:"):
                function.line(f"{batch} = {rows}; {rows} = []")
                function.line(store)

    function.line(f"{rows} = []")
    with function.grows(rows, f"{rows}[-1]"):
        pipe.produce(node.source, scope, used, each)
    with function.block(f"for {place} in range(0, len({rows}), {BATCH_ROWS}):"):
        function.line(f"{batch} = {rows}[{place}:{place} + {BATCH_ROWS}]")
        function.line(store)
        function.tick()


def _insert_or_else(
    pipe: Pipeline,
    node: logical.Insert,
    scope: Scope,
    row: str,
    conflict_links: str,
    listens: bool,
    links: str,
    consume: Consume,
) -> None:
    """ON CONFLICT: look for the colliding row first, then insert or update."""
    function, module = pipe.function, pipe.module
    writer, conflict = row_writer(node.target), node.on_conflict
    assert conflict is not None
    find = module.bind(writer.conflict_finder(conflict.arbiters), "find")
    function.line(f"{module.bind(writer.prepare, 'prepare')}({row}, context)")
    function.line(f"key = {find}(transaction, {row}, context)")
    written = module.fresh("written")
    function.line(f"{written} = None")
    with function.block("if key is None:"):
        function.line(f"key = {module.bind(writer.store, 'store')}(transaction, {row}, context)")
        function.line("touched.add(key)")
        function.line(f"{written} = {row}")
        if listens:
            function.line(f"{_queue(pipe)}.append(({links}, key, None, {row}))")
    if conflict.assignments is not None:
        with function.block("else:"):
            old, new = module.fresh("old"), module.fresh("new")
            function.line(f"if key in touched: raise {module.bind(modifying.second_time, 'second_time')}()")
            function.line(f"{old} = {module.bind(writer.decode, 'decode')}(transaction.get(key))")
            inner = dict(scope)
            for place, identity in enumerate(conflict.existing_ids):
                if identity:
                    inner[identity] = Binding(f"{old}[{place}]", True, old, place)
            for place, identity in enumerate(node.target.row_ids):
                if identity and identity not in inner:
                    inner[identity] = Binding(f"{old}[{place}]", True, old, place)
            for place, identity in enumerate(conflict.excluded_ids):
                if identity:
                    inner[identity] = Binding(f"{row}[{place}]", True, row, place)
            condition = pipe.test(conflict.where, inner) if conflict.where is not None else "True"
            with function.block(f"if {condition}:"):
                function.line(f"{new} = {old}.copy()")
                for number, expression in conflict.assignments:
                    function.line(f"{new}[{number - 1}] = {pipe.code(expression, inner)}")
                changed = frozenset([number for number, _ in conflict.assignments])
                update = module.bind(writer.updater(changed), "update")
                function.line(f"new_key = {update}(transaction, key, {old}, {new}, context)")
                function.line("touched.add(new_key)")
                function.line(f"{written} = {new}")
                if conflict_links:
                    function.line(f"{_queue(pipe)}.append(({conflict_links}, new_key, {old}, {new}))")
    with function.block(f"if {written} is not None:"):
        function.line("processed += 1")
        if node.columns:
            _returned(pipe, node, scope, written, consume)


def _links(pipe: Pipeline, target: logical.WriteTarget, writer: Any, changed: frozenset[int] | None) -> str:
    """Name of the foreign-key links that an update of `changed` (None: a delete) can touch; "" for none."""
    links = foreign_keys.Links(target, writer, changed)
    return pipe.module.bind(links, "links") if links.concerned else ""


# ── update and delete ───────────────────────────────────────────────────────────────────────────────────────────────


def produce_update(pipe: Pipeline, node: logical.Update, scope: Scope, needed: Needed, consume: Consume) -> None:
    """New values over old ones; a row that several source rows name is updated once, by the first."""
    function, module = pipe.function, pipe.module
    writer = row_writer(node.target)
    changed = frozenset([number for number, _ in node.assignments])
    update = module.bind(writer.updater(changed), "update")
    links = _links(pipe, node.target, writer, changed)
    transaction, context = function.need("transaction"), function.need("context")
    key, old, new = module.fresh("key"), module.fresh("old"), module.fresh("new")
    function.line("processed = 0")

    def compute(inner: Scope) -> None:
        function.line(f"{new} = {old}.copy()")
        for number, expression in node.assignments:
            function.line(f"{new}[{number - 1}] = {pipe.code(expression, inner)}")

    def store(inner: Scope) -> None:
        stored = f"{update}({transaction}, {key}, {old}, {new}, {context})"
        if links:
            function.line(f"{_queue(pipe)}.append(({links}, {stored}, {old}, {new}))")
        else:
            function.line(stored)
        function.line("processed += 1")
        if node.columns:
            _returned(pipe, node, inner, new, consume)

    used = {node.key_id, node.row_id} | references(tuple([expression for _, expression in node.assignments]))
    _modify(pipe, node, scope, used, (key, old, new), compute, store)


def produce_delete(pipe: Pipeline, node: logical.Delete, scope: Scope, needed: Needed, consume: Consume) -> None:
    """Rows and their entries become tombstones."""
    function, module = pipe.function, pipe.module
    writer = row_writer(node.target)
    delete = module.bind(writer.delete, "delete")
    links = _links(pipe, node.target, writer, None)
    transaction, context = function.need("transaction"), function.need("context")
    key, old = module.fresh("key"), module.fresh("old")
    function.line("processed = 0")

    def store(inner: Scope) -> None:
        function.line(f"{delete}({transaction}, {key}, {old}, {context})")
        if links:
            function.line(f"{_queue(pipe)}.append(({links}, {key}, {old}, None))")
        function.line("processed += 1")
        if node.columns:
            _returned(pipe, node, inner, old, consume)

    _modify(pipe, node, scope, {node.key_id, node.row_id}, (key, old), lambda inner: None, store)


def _modify(
    pipe: Pipeline,
    node: logical.Update | logical.Delete,
    scope: Scope,
    used: set[int] | frozenset[int],
    names: tuple[str, ...],
    compute: Any,
    store: Any,
) -> None:
    """The shared frame of UPDATE and DELETE: stream or gather, each row once."""
    function, module = pipe.function, pipe.module
    key, old = names[0], names[1]
    several = any(isinstance(item, HashJoin | NestedLoop | logical.Join) for item in walk.walk(node.source))
    gathers = several or _reads_itself(node) or _may_cascade(node)
    mine = produced(node.source)
    row_ids = frozenset([identity for identity in node.target.row_ids if identity])
    returned = (references(node.returning) - row_ids) & mine
    if several:
        function.line("touched = set()")

    def take(inner: Scope) -> None:
        function.line(f"{key} = {inner[node.key_id].code}")
        function.line(f"{old} = {inner[node.row_id].code}")

    def once(inner: Scope, body: Any) -> None:
        if inner[node.key_id].nullable:
            with function.block(f"if {inner[node.key_id].code} is not None:"):
                _once(inner, body)
        else:
            _once(inner, body)

    def _once(inner: Scope, body: Any) -> None:
        take(inner)
        if not several:
            body(inner)
            return
        with function.block(f"if {key} not in touched:"):
            function.line(f"touched.add({key})")
            body(inner)

    if not gathers:

        def each(inner: Scope) -> None:
            def write(found: Scope) -> None:
                compute(found)
                store(found)

            once(inner, write)

        pipe.produce(node.source, scope, frozenset(used) | returned, each)
    else:
        rows, item = module.fresh("rows"), module.fresh("r")
        places: dict[int, tuple[int, bool]] = {}

        def gather(inner: Scope) -> None:
            compute(inner)
            parts = list(names)
            for identity in sorted(returned):
                places[identity] = (len(parts), inner[identity].nullable)
                parts.append(inner[identity].code)
            function.line(f"{rows}.append(({', '.join(parts)},))")

        function.line(f"{rows} = []")
        with function.grows(rows, f"{rows}[-1]"):
            pipe.produce(node.source, scope, frozenset(used) | returned, lambda inner: once(inner, gather))
        with function.loop(item, rows):
            for place, name in enumerate(names):
                function.line(f"{name} = {item}[{place}]")
            store({**scope, **pipe.unpack(item, places)})
    if _count(pipe, node):
        function.line("state.processed = processed")


def _may_cascade(node: logical.Update | logical.Delete) -> bool:
    return any(table.oid == node.target.table.oid for table, _ in node.target.referencing)


PRODUCERS: dict[type, Any] = {
    logical.Insert: produce_insert,
    logical.Update: produce_update,
    logical.Delete: produce_delete,
}
