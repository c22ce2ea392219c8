"""Reading tables: full scans, point reads, ranges, indexes.

HOT PATH. A point read is `transaction.get(pack(storage, 0, value + bias))`, a decode and the consumer's code, in a plain
function; a full scan is one loop over `Scan.fetch_rows`. Guarded by tests/frontend/bench_statements.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from frontend.sql import logical
from frontend.sql.compiler.pipeline import Consume, Needed, Pipeline
from frontend.sql.compiler.source import Binding, Scope
from frontend.sql.executor import operators, ranges
from frontend.sql.physical import AccessPath
from frontend.types.registry import hash_key
from storage.catalog import Table
from storage.keys import prefix, successor
from storage.rows import row_decoder

CHUNK = 256
INDEX_CHUNK = 128


def table_decoder(table: Table) -> Callable[[bytes], list[object]]:
    """From a stored row to the list of its values by attribute number."""
    return row_decoder([column.type for column in table.columns], [column.missing for column in table.columns])


def produce_scan(pipe: Pipeline, node: logical.Scan, scope: Scope, needed: Needed, consume: Consume) -> None:
    """Rows of a table, along the access path that the planner chose."""
    path = node.path if isinstance(node.path, AccessPath) else None
    reader = _Reader(pipe, node, needed, consume)
    if path is None or path.full:
        _walk(reader, path, scope, None)
    elif path.many is not None or path.many_array is not None:
        _each(reader, path, scope)
    else:
        _one(reader, path, scope, ())


class _Reader:
    """What all the ways to a row share: from its bytes to bindings."""

    def __init__(self, pipe: Pipeline, node: logical.Scan, needed: Needed, consume: Consume) -> None:
        self.pipe = pipe
        self.node = node
        self.table = node.table
        self.consume = consume
        self.function = pipe.function
        self.module = pipe.module
        self.wanted = [
            (column, attribute)
            for column, attribute in zip(node.columns, node.attributes, strict=True)
            if column.id in needed
        ]
        attributes = {attribute for _, attribute in self.wanted}
        pseudo = {logical.ROW_KEY, logical.CTID, logical.XMIN}
        self.with_key = bool(attributes & pseudo)
        self.with_row = bool(attributes - pseudo - {logical.TABLEOID, logical.CMIN, logical.CMAX, logical.XMAX})
        self.decode = self.module.bind(table_decoder(self.table), "decode") if self.with_row else ""
        self.row = self.module.fresh("r")
        self.key = self.module.fresh("k")
        self.not_null = {column.number for column in self.table.columns if column.not_null} | set(self.table.row_key)

    @property
    def reads(self) -> str:
        """The source of the transaction, or of its state when the statement began."""
        return self.function.need("reader" if self.pipe.plans.frozen_reads else "transaction")

    def emit(self, scope: Scope) -> None:
        """The consumer's code, for the row in `row` and its key in `key`."""
        found = dict(scope)
        for column, attribute in self.wanted:
            found[column.id] = self._binding(attribute)
        self.consume(found)

    def decode_value(self, value: str) -> None:
        if self.with_row:
            self.function.line(f"{self.row} = {self.decode}({value})")

    def _binding(self, attribute: int) -> Binding:
        if attribute > 0:
            return Binding(f"{self.row}[{attribute - 1}]", attribute not in self.not_null, self.row, attribute - 1)
        if attribute == logical.WHOLE_ROW:
            return Binding(self.row, False)
        if attribute == logical.ROW_KEY:
            return Binding(self.key, False)
        if attribute == logical.CTID:
            return Binding(f"{self.module.bind(ranges.tid_text, 'tid')}({self.key})", False)
        if attribute == logical.XMIN:
            version = self.module.bind(operators.row_version, "row_version")
            return Binding(f"{version}({self.reads}, {self.key})", False)
        if attribute == logical.TABLEOID:
            return Binding(str(self.table.oid), False)
        return Binding("0", False)


def _bounds(reader: _Reader, path: AccessPath | None) -> tuple[str, str, bytes]:
    index_id = 0 if path is None or path.index is None else path.index.index_id
    start = prefix(reader.table.storage, index_id)
    low, high = start, successor(start)
    return reader.module.bind(low, "low"), reader.module.bind(high, "high"), start


def _walk(reader: _Reader, path: AccessPath | None, scope: Scope, bounds: str | None) -> None:
    """A scan between two keys: of rows, or of index entries that lead to rows."""
    function, module, pipe = reader.function, reader.module, reader.pipe
    if bounds is None:
        low, high, _ = _bounds(reader, path)
        between = f"{low}, {high}"
    else:
        between = f"{bounds}[0], {bounds}[1]"
    scan = module.fresh("s")
    goal, pipe.row_goal = pipe.row_goal, None
    indexed = path is not None and path.index is not None
    counters, pipe.count_into = pipe.count_into, []
    chunk = str(INDEX_CHUNK if indexed else CHUNK)
    if goal is not None:
        chunk = goal if goal.isdigit() and int(goal) < CHUNK else f"({goal} if 0 < {goal} < {chunk} else {chunk})"
    reverse = ", reverse=True" if path is not None and path.reverse else ""
    function.line(f"{scan} = {reader.reads}.scan({between}{reverse})")
    with function.block(f"while not {scan}.done:"):
        if counters and not reader.with_row and not reader.with_key:
            function.line(f"{' = '.join(counters)} = {counters[0]} + len({scan}.fetch(1024))")
        elif indexed:
            entry, value = module.fresh("e"), module.fresh("v")
            rows = module.bind(prefix(reader.table.storage, 0), "rows_at")
            with function.block(f"for _, {entry} in {scan}.fetch({chunk}):"):
                if reader.with_row:
                    function.line(f"{reader.key} = {rows} + {entry}")
                    function.line(f"{value} = {reader.reads}.get({reader.key})")
                    function.line(f"if {value} is None: continue")
                    reader.decode_value(value)
                elif reader.with_key:
                    function.line(f"{reader.key} = {rows} + {entry}")
                reader.emit(scope)
        elif reader.with_key:
            value = module.fresh("v")
            with function.block(f"for {reader.key}, {value} in {scan}.fetch({chunk}):"):
                reader.decode_value(value)
                reader.emit(scope)
        elif reader.with_row:
            with function.block(f"for {reader.row} in {scan}.fetch_rows({chunk}, {reader.decode}):"):
                reader.emit(scope)
        else:
            with function.block(f"for _ in {scan}.fetch({chunk}):"):
                reader.emit(scope)
        function.tick()


def _guard(name: str, column_type: int, value_type: int) -> list[str]:
    """Tests that a looked-up value must pass: not NULL, and within the column's integer type."""
    tests = [f"{name} is not None"]
    if column_type != value_type and column_type in ranges.INTEGER_RANGES:
        low, high = ranges.INTEGER_RANGES[column_type]
        tests.append(f"{low} <= {name} <= {high}")
    return tests


def _each(reader: _Reader, path: AccessPath, scope: Scope) -> None:
    """IN (…) and = ANY (array): one look-up for each distinct value."""
    function, module, pipe = reader.function, reader.module, reader.pipe
    column = path.key[len(path.equals)]
    if path.many is not None:
        items = "(" + "".join([pipe.code(item, scope) + ", " for item in path.many]) + ")"
    else:
        assert path.many_array is not None
        flattened = module.bind(operators.flattened, "flattened")
        items = f"{flattened}({pipe.code(path.many_array, scope)})"
    fitting = module.bind(ranges.fitting, "fitting")
    key = module.bind(hash_key(column.type), "hash_key") if hash_key(column.type) is not None else "None"
    item = module.fresh("i")
    with function.block(f"for {item} in {fitting}({items}, {column.type}, {key}):"):
        _one(reader, path, scope, (item,))
        function.counted_tick("8")


def _one(reader: _Reader, path: AccessPath, scope: Scope, extra: tuple[str, ...]) -> None:
    """The rows for one combination of key values: a point where they are the whole of a unique key, else a range."""
    function, module, pipe = reader.function, reader.module, reader.pipe
    names: list[str] = []
    tests: list[str] = []
    for column, expression in zip(path.key, path.equals, strict=False):
        if expression is None:
            names.append("None")
            continue
        binding = pipe.value(expression, scope)
        name = binding.code
        if not name.isidentifier() or name in ("None", "True", "False"):
            name = module.fresh("x")
            function.line(f"{name} = {binding.code}")
        guards = _guard(name, column.type, expression.type)
        if not binding.nullable:
            guards = guards[1:]
        names.append(name)
        tests.extend(guards)
    names.extend(extra)
    point = (
        path.unique and path.low is None and path.high is None and path.prefix is None and len(names) == len(path.key)
    )
    if tests:
        with function.block(f"if {' and '.join(tests)}:"):
            _found(reader, path, scope, names, point)
    else:
        _found(reader, path, scope, names, point)


def _found(reader: _Reader, path: AccessPath, scope: Scope, names: list[str], point: bool) -> None:
    if point and path.index is None:
        _row_point(reader, path, scope, names)
    elif point and path.index is not None:
        _entry_point(reader, path, scope, names)
    else:
        _range(reader, path, scope, names)


def _row_point(reader: _Reader, path: AccessPath, scope: Scope, names: list[str]) -> None:
    function, module = reader.function, reader.module
    packer = ranges.integer_packer(reader.table.storage, path.key[0]) if len(path.key) == 1 else None
    if packer is not None:
        pack, bias = packer
        key = f"{module.bind(pack, 'pack')}({reader.table.storage}, 0, {names[0]} + {bias})"
    else:
        maker = ranges.key_maker(prefix(reader.table.storage, 0), path.key)
        key = f"{module.bind(maker, 'make_key')}({', '.join(names)})"
    value = module.fresh("v")
    if reader.with_key:
        function.line(f"{reader.key} = {key}")
        key = reader.key
    function.line(f"{value} = {reader.reads}.get({key})")
    with function.block(f"if {value} is not None:"):
        reader.decode_value(value)
        reader.emit(scope)


def _entry_point(reader: _Reader, path: AccessPath, scope: Scope, names: list[str]) -> None:
    function, module = reader.function, reader.module
    assert path.index is not None
    maker = ranges.key_maker(prefix(reader.table.storage, path.index.index_id), path.key)
    entry, value = module.fresh("e"), module.fresh("v")
    function.line(f"{entry} = {reader.reads}.get({module.bind(maker, 'make_key')}({', '.join(names)}))")
    with function.block(f"if {entry} is not None:"):
        rows = module.bind(prefix(reader.table.storage, 0), "rows_at")
        function.line(f"{reader.key} = {rows} + {entry}")
        if not reader.with_row:
            reader.emit(scope)
            return
        function.line(f"{value} = {reader.reads}.get({reader.key})")
        with function.block(f"if {value} is not None:"):
            reader.decode_value(value)
            reader.emit(scope)


def _range(reader: _Reader, path: AccessPath, scope: Scope, names: list[str]) -> None:
    function, module, pipe = reader.function, reader.module, reader.pipe
    start = prefix(reader.table.storage, 0 if path.index is None else path.index.index_id)
    count = len(names)
    if path.prefix is not None:
        maker = ranges.prefix_range_maker(start, path.key, count, path.prefix)
    else:
        maker = ranges.range_maker(
            start,
            path.key,
            count,
            None if path.low is None else path.low.inclusive,
            None if path.high is None else path.high.inclusive,
            path.not_null,
        )
    low = "None" if path.low is None else pipe.code(path.low.value, scope)
    high = "None" if path.high is None else pipe.code(path.high.value, scope)
    values = f"({', '.join(names)},)" if names else "()"
    bounds = module.fresh("b")
    function.line(f"{bounds} = {module.bind(maker, 'key_range')}({values}, {low}, {high})")
    with function.block(f"if {bounds} is not None:"):
        _walk(reader, path, scope, bounds)


PRODUCERS: dict[type, Any] = {logical.Scan: produce_scan}
