"""Many rows through one INSERT: what COPY FROM runs.

`compile_bulk_insert` takes the planned `INSERT INTO t (…) VALUES ($1, …, $n)` and gives a function over a batch of parameter
rows. Values are computed as the INSERT would (defaults, typmods), then `RowWriter.insert_many` stores the batch: either all of
it or, where a row is refused, none of it, so that the caller may go through the batch row by row to tell which one it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from frontend.errors import unsupported
from frontend.sql import logical
from frontend.sql.compiler.pipeline import Pipeline, references
from frontend.sql.compiler.plan import PlanCompiler, is_bounded
from frontend.sql.compiler.source import Function, Module, Scope
from frontend.sql.compiler.writers import row_writer
from frontend.sql.executor import foreign_keys
from frontend.sql.executor.operators import run_to_end
from frontend.sql.executor.state import ExecutionState

BulkInsert = Callable[[ExecutionState, Sequence[Sequence[Any]]], int]


def compile_bulk_insert(statement: logical.BoundStatement) -> BulkInsert:
    """(state, rows of parameters) → number of rows inserted. Foreign keys are checked at the end of each batch.

    Raises 0A000 for an INSERT with ON CONFLICT or a source that is no single row.
    """
    node = statement.plan
    if not isinstance(node, logical.Insert) or node.on_conflict is not None or not is_bounded(node.source):
        raise unsupported("this INSERT as a bulk load")
    module = Module(plain=True)
    function = Function(module, "bulk", ["state", "batch"], "plain")
    names = [f"p{number}" for number in range(1, len(statement.parameters) + 1)]
    for name in names:
        function._known[name] = name
    pipe = Pipeline(PlanCompiler(module, False), function)
    writer = row_writer(node.target)
    transaction, context = function.need("transaction"), function.need("context")
    values = node.values
    function.line("rows = []; append = rows.append")

    def build(scope: Scope) -> None:
        parts = ["None" if value is None else pipe.code(value, scope) for value in values]
        function.line(f"append([{', '.join(parts)}])")

    with function.block(f"for {''.join([name + ', ' for name in names]) or '_'} in batch:"):
        pipe.produce(node.source, {}, references(values), build)
    if not node.target.foreign_keys:
        function.line(f"{module.bind(writer.insert_many, 'insert_many')}({transaction}, rows, {context})")
    else:
        links = module.bind(foreign_keys.Links(node.target, writer, None), "links")
        insert = module.bind(writer.insert, "insert")
        function.line(f"queue = [({links}, {insert}({transaction}, row, {context}), None, row) for row in rows]")
        finish = module.bind(foreign_keys.finish_statement, "finish")
        function.line(f"{module.bind(run_to_end, 'run_to_end')}({finish}(state, queue))")
    function.finish("len(rows)")
    return module.execute("COPY")["bulk"]  # type: ignore[no-any-return]
