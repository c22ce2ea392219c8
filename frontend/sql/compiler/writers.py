"""RowWriter: everything that writing one row of a table means, compiled once a table version.

    insert   generated columns → NOT NULL (23502) → CHECK (23514) → duplicate reads (23505) → row → index entries
    update   the same for what changed; a new primary key moves the row and all its entries
    delete   row and entries become tombstones

Used by INSERT, UPDATE, DELETE, foreign-key actions, COPY and index backfill, so that the layout of entries is in one place:

    row      prefix(storage, 0) + primary key columns, or 8 bytes of a row id                  → msgpack array
    entry    prefix(storage, index) + key columns with NULL markers [+ the row key's suffix]    → the row key's suffix

The suffix is appended in non-unique indexes, and in unique ones where a part is NULL and NULLs are distinct: such entries never
collide and are not checked at COMMIT. A plain UPDATE of columns that no foreign key could refer to is a non-key update.

HOT PATH. The functions are generated source over `row`, a list by attribute number. Inserting a row of four columns costs
3 µs beside the duplicate read (2.5 µs); `insert_many` leaves that read out where the keys cannot exist, 1 µs a row. Guarded by
tests/frontend/bench_statements.py.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from struct import Struct
from typing import TYPE_CHECKING, Any

from frontend.errors import SqlError
from frontend.sql import logical
from frontend.sql.compiler.expressions import Expressions, is_atom
from frontend.sql.compiler.pipeline import references
from frontend.sql.compiler.source import Binding, Function, Module, Scope
from frontend.sql.deparse import quote_identifier
from frontend.sql.executor import ranges
from frontend.transaction import (
    DELETE,
    ENTRY_DELETE,
    ENTRY_PUT,
    INSERT,
    KEY_UPDATE,
    UNIQUE_DELETE,
    UNIQUE_PUT,
    UPDATE,
)
from frontend.types.registry import type_by_oid
from storage.catalog import Index, Table
from storage.keys import KeyColumn, column_encoder, prefix, successor
from storage.rows import encode_row

if TYPE_CHECKING:
    from frontend.context import Context
    from frontend.transaction import Transaction

Row = list[Any]
WRITERS_MAX = 512
_ROW_ID = Struct(">IHQ")

_writers: OrderedDict[tuple[int, ...], tuple[tuple[object, ...], RowWriter]] = OrderedDict()


def index_columns(bound: logical.BoundIndex) -> list[KeyColumn]:
    """How the key of an index is encoded."""
    return [
        KeyColumn(key.type, True, part.descending, part.nulls_first)
        for key, part in zip(bound.keys, bound.index.key, strict=True)
    ]


def primary_columns(table: Table) -> list[KeyColumn]:
    """How the primary key is encoded; empty for a table of hidden row ids."""
    return [KeyColumn(table.columns[number - 1].type, nullable=False) for number in table.row_key]


def row_writer(target: logical.WriteTarget) -> RowWriter:
    """The writer of a table version; made once."""
    parts: tuple[object, ...] = (target.table, *[bound.index for bound in target.indexes])
    identity = tuple([id(part) for part in parts])
    found = _writers.get(identity)
    if found is not None:
        _writers.move_to_end(identity)
        return found[1]
    writer = RowWriter(target)
    _writers[identity] = (parts, writer)
    if len(_writers) > WRITERS_MAX:
        _writers.popitem(last=False)
    return writer


class RowWriter:
    """Writes rows of one table.

    Attributes:
        prepare(row, context): fills in generated columns of a row (in place), checks NOT NULL and CHECK.
        insert(transaction, row, context): prepare and store; returns the row's key. 23505 where a key exists.
        store(transaction, row, context): the second half of `insert`.
        delete(transaction, key, row): remove the row and its entries.
        insert_many(transaction, rows, context): many rows; for COPY and bulk INSERT.
        decode: stored bytes → row.
    """

    def __init__(self, target: logical.WriteTarget) -> None:
        from frontend.sql.compiler.scans import table_decoder

        self.target = target
        self.table = target.table
        self.decode = table_decoder(target.table)
        self.primary = next((bound.index for bound in target.indexes if bound.index.primary), None)
        self.secondary = [bound for bound in target.indexes if not bound.index.primary]
        module = Module(plain=True)
        source = _WriterSource(self, module)
        source.write_prepare()
        source.write_store()
        source.write_delete()
        source.write_insert_many()
        names = module.execute(f"writer of {self.table.name}")
        self.prepare: Callable[..., None] = names["prepare"]
        self.store: Callable[..., bytes] = names["store"]
        self.insert: Callable[..., bytes] = names["insert"]
        self.delete: Callable[..., None] = names["delete"]
        self.insert_many: Callable[..., int] = names["insert_many"]
        self.source = module.source()
        self._updaters: dict[frozenset[int], Callable[..., bytes]] = {}
        self._conflicts: dict[tuple[int, ...], Callable[..., bytes | None]] = {}
        self._entries: dict[int, Callable[..., tuple[bytes, bytes, bool] | None]] = {}
        self._keys: Callable[..., bytes] | None = None

    def updater(self, changed: frozenset[int]) -> Callable[..., bytes]:
        """(transaction, key, old, new, context) → the row's key after it, for updates that assign these attributes."""
        found = self._updaters.get(changed)
        if found is None:
            module = Module(plain=True)
            _WriterSource(self, module).write_update(changed)
            found = self._updaters[changed] = module.execute(f"writer of {self.table.name}")["update"]
        return found

    def update(self, transaction: Transaction, key: bytes, old: Row, new: Row, context: Context | None = None) -> bytes:
        """Replace a row whatever has changed in it."""
        everything = frozenset([column.number for column in self.table.columns if not column.dropped])
        return self.updater(everything)(transaction, key, old, new, context)

    def conflict_finder(self, arbiters: tuple[int, ...]) -> Callable[..., bytes | None]:
        """(transaction, row, context) → key of an existing row that collides in one of these unique indexes (none: any)."""
        found = self._conflicts.get(arbiters)
        if found is None:
            module = Module(plain=True)
            _WriterSource(self, module).write_conflict(arbiters)
            found = self._conflicts[arbiters] = module.execute(f"writer of {self.table.name}")["conflict"]
        return found

    def entry_maker(self, index_oid: int) -> Callable[..., tuple[bytes, bytes, bool] | None]:
        """(row, row key, context) → (entry key, value, whether unique) of one index, None where the predicate leaves it out.

        What CREATE INDEX needs for its backfill: two equal keys of unique entries are a duplicate.
        """
        found = self._entries.get(index_oid)
        if found is None:
            module = Module(plain=True)
            _WriterSource(self, module).write_entry(index_oid)
            found = self._entries[index_oid] = module.execute(f"writer of {self.table.name}")["entry"]
        return found

    # ── errors ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _names(self, context: Context | None) -> dict[str, str]:
        found = context.catalog.objects.get(self.table.schema) if context is not None else None
        return {"table": self.table.name, **({"schema": found.name} if found is not None else {})}

    def not_null_violation(self, row: Row, context: Context | None) -> SqlError:
        """23502 for the first column that may not be NULL."""
        for number in sorted({*self.target.not_null, *self.table.row_key}):
            if row[number - 1] is None:
                column = self.table.columns[number - 1]
                break
        return SqlError(
            "23502",
            f'null value in column "{column.name}" of relation "{self.table.name}" violates not-null constraint',
            detail=self._failing_row(row, context),
            column=column.name,
            **self._names(context),  # type: ignore[arg-type]
        )

    def check_violation(self, name: str, row: Row, context: Context | None) -> SqlError:
        """23514."""
        return SqlError(
            "23514",
            f'new row for relation "{self.table.name}" violates check constraint "{name}"',
            detail=self._failing_row(row, context),
            constraint=name,
            **self._names(context),  # type: ignore[arg-type]
        )

    def duplicate(
        self, index: Index | None, names: str, types: Sequence[int], values: Sequence[Any], context: Context
    ) -> SqlError:
        """23505."""
        name = index.name if index is not None else f"{self.table.name}_pkey"
        texts = ", ".join([value_text(kind, value, context) for kind, value in zip(types, values, strict=True)])
        return SqlError(
            "23505",
            f'duplicate key value violates unique constraint "{name}"',
            detail=f"Key ({names})=({texts}) already exists.",
            constraint=name,
            **self._names(context),  # type: ignore[arg-type]
        )

    def _failing_row(self, row: Row, context: Context | None) -> str:
        texts = []
        for column, value in zip(self.table.columns, row, strict=False):
            if column.dropped:
                continue
            text = value_text(column.type, value, context)
            texts.append(text if len(text.encode()) <= 64 else text.encode()[:64].decode(errors="ignore") + "...")
        return f"Failing row contains ({', '.join(texts)})."


def value_text(type_oid: int, value: Any, context: Context | None) -> str:
    """A value as error details show it."""
    if value is None:
        return "null"
    return type_by_oid(type_oid).output(value, context)  # type: ignore[arg-type]


class _WriterSource:
    """Writes the functions of one writer."""

    def __init__(self, writer: RowWriter, module: Module) -> None:
        self.writer = writer
        self.target = writer.target
        self.table = writer.table
        self.module = module
        self.storage = self.table.storage

    def _function(self, name: str, parameters: list[str]) -> Function:
        function = Function(self.module, name, parameters, "plain")
        function._known["context"] = "context"
        function._known["transaction"] = "transaction"
        return function

    def _expressions(self, function: Function) -> Expressions:
        from frontend.sql.compiler.plan import PlanCompiler

        return Expressions(function, PlanCompiler(self.module, False))

    def _scope(self, row: str, checked: bool) -> Scope:
        never = {*self.target.not_null, *self.table.row_key} if checked else set()
        return {
            identity: Binding(f"{row}[{place}]", place + 1 not in never)
            for place, identity in enumerate(self.target.row_ids)
            if identity
        }

    # ── preparing ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _prepare(self, function: Function, row: str, changed: frozenset[int] | None) -> None:
        """Generated columns, NOT NULL, CHECK; `changed` None: of a new row."""
        expressions = self._expressions(function)
        loose = self._scope(row, False)
        touched = set(changed or ())
        for number, expression in self.target.generated:
            function.line(f"{row}[{number - 1}] = {expressions.code(expression, loose)}")
            touched.add(number)
        numbers = sorted({*self.target.not_null, *self.table.row_key})
        if changed is not None:
            numbers = [number for number in numbers if number in touched]
        writer = self.module.bind(self.writer, "writer")
        if numbers:
            tests = " or ".join([f"{row}[{number - 1}] is None" for number in numbers])
            function.line(f"if {tests}: raise {writer}.not_null_violation({row}, context)")
        strict = self._scope(row, True)
        changed_ids = {self.target.row_ids[number - 1] for number in touched}
        for constraint, expression in self.target.checks:
            used = references(expression)
            if changed is not None and used and not used & changed_ids:
                continue
            with function.block(f"if {expressions.fails(expression, strict)}:"):
                function.line(f"raise {writer}.check_violation({constraint.name!r}, {row}, context)")

    def write_prepare(self) -> None:
        function = self._function("prepare", ["row", "context=None"])
        function.line("pass")
        self._prepare(function, "row", None)
        function.finish()

    # ── keys ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _row_key(self, row: str) -> str:
        """Source of the primary key's bytes."""
        columns = primary_columns(self.table)
        if not columns:
            pack = self.module.bind(_ROW_ID.pack, "pack")
            return f"{pack}({self.storage}, 0, transaction.next_row_id())"
        values = [f"{row}[{number - 1}]" for number in self.table.row_key]
        packer = ranges.integer_packer(self.storage, columns[0]) if len(columns) == 1 else None
        if packer is not None:
            return f"{self.module.bind(packer[0], 'pack')}({self.storage}, 0, {values[0]} + {packer[1]})"
        maker = self.module.bind(ranges.key_maker(prefix(self.storage, 0), columns), "make_key")
        return f"{maker}({', '.join(values)})"

    def _entry(
        self, function: Function, bound: logical.BoundIndex, row: str, suffix: str, name: str
    ) -> tuple[str, str, list[str]]:
        """Code that sets `name` to the entry's key (None: not in a partial index); returns (unique test, predicate, values).

        The unique test is source that is true where the entry must be unique ("" for never, "True" for always).
        """
        expressions = self._expressions(function)
        scope = self._scope(row, True)
        base = self.module.bind(prefix(self.storage, bound.index.index_id), "entries_at")
        values: list[str] = []
        tests: list[str] = []
        codes: list[str] = []
        for key, column in zip(bound.keys, index_columns(bound), strict=True):
            binding = expressions.value(key, scope)
            code = binding.code
            if not is_atom(code):
                variable = self.module.fresh("x")
                function.line(f"{variable} = {code}")
                code = variable
            values.append(code)
            if binding.nullable:
                tests.append(f"{code} is not None")
            codes.append(f"{self.module.bind(column_encoder(column), 'encode')}({code})")
        text = " + ".join([base, *codes])
        if not bound.index.unique:
            function.line(f"{name} = {text} + {suffix}")
            return "", "", values
        if bound.index.nulls_not_distinct or not tests:
            function.line(f"{name} = {text}")
            return "True", "", values
        unique = self.module.fresh("unique")
        function.line(f"{unique} = {' and '.join(tests)}")
        function.line(f"{name} = {text} if {unique} else {text} + {suffix}")
        return unique, "", values

    def _duplicate(self, bound: logical.BoundIndex | None, values: list[str], row: str) -> str:
        """Source that raises 23505."""
        writer = self.module.bind(self.writer, "writer")
        if bound is None:
            names = ", ".join([quote_identifier(self.table.columns[number - 1].name) for number in self.table.row_key])
            types = tuple([self.table.columns[number - 1].type for number in self.table.row_key])
            values = [f"{row}[{number - 1}]" for number in self.table.row_key]
            index = self.writer.primary
        else:
            names = ", ".join(
                [
                    quote_identifier(self.table.columns[part.number - 1].name) if part.number else str(part.expression)
                    for part in bound.index.key
                ]
            )
            types = tuple([key.type for key in bound.keys])
            index = bound.index
        listed = f"({', '.join(values)},)"
        bound_index = self.module.bind(index, "index") if index is not None else "None"
        return f"raise {writer}.duplicate({bound_index}, {names!r}, {types!r}, {listed}, context)"

    # ── inserting ──────────────────────────────────────────────────────────────────────────────────────────────────

    def write_store(self) -> None:
        encode = self.module.bind(encode_row, "encode_row")
        for name in ("store", "insert"):
            function = self._function(name, ["transaction", "row", "context=None"])
            if name == "insert":
                self._prepare(function, "row", None)
            function.line(f"key = {self._row_key('row')}")
            if self.table.row_key:
                function.line(f"if transaction.get(key) is not None: {self._duplicate(None, [], 'row')}")
            if self.writer.secondary:
                function.line("suffix = key[6:]")
            puts: list[tuple[str, str, str]] = []
            for place, bound in enumerate(self.writer.secondary):
                entry = f"e{place}"
                self._with_predicate(function, bound, "row", partial(self._claim, function, bound, entry, puts))
            function.line(f"transaction.put(key, {encode}(row), {INSERT})")
            for entry, kind, partial_index in puts:
                put = f"transaction.put({entry}, suffix, {kind})"
                function.line(f"if {entry} is not None: {put}" if partial_index else put)
            function.finish("key")

    def _with_predicate(
        self, function: Function, bound: logical.BoundIndex, row: str, body: Callable[[], None]
    ) -> None:
        if bound.predicate is None:
            body()
            return
        test = self._expressions(function).test(bound.predicate, self._scope(row, True))
        with function.block(f"if {test}:"):
            body()

    def _claim(
        self, function: Function, bound: logical.BoundIndex, entry: str, puts: list[tuple[str, str, str]]
    ) -> None:
        """The entry's key, and the duplicate read of a unique one."""
        unique, _, values = self._entry(function, bound, "row", "suffix", entry)
        if unique:
            test = f"transaction.get({entry}) is not None"
            if unique != "True":
                test = f"{unique} and {test}"
            function.line(f"if {test}: {self._duplicate(bound, values, 'row')}")
        kind = (
            str(UNIQUE_PUT)
            if unique == "True"
            else f"{UNIQUE_PUT} if {unique} else {ENTRY_PUT}"
            if unique
            else str(ENTRY_PUT)
        )
        if bound.predicate is not None:
            function.preamble.append(f"{entry} = None")
            if unique not in ("", "True"):
                function.preamble.append(f"{unique} = False")
        puts.append((entry, kind, "" if bound.predicate is None else "partial"))

    def write_conflict(self, arbiters: tuple[int, ...]) -> None:
        """Key of the row that a new row collides with."""
        function = self._function("conflict", ["transaction", "row", "context=None"])
        primary = self.writer.primary
        rows_at = self.module.bind(prefix(self.storage, 0), "rows_at")
        if self.table.row_key and (not arbiters or (primary is not None and primary.oid in arbiters)):
            function.line(f"key = {self._row_key('row')}")
            function.line("if transaction.get(key) is not None: return key")
        for place, bound in enumerate(self.writer.secondary):
            if not bound.index.unique or (arbiters and bound.index.oid not in arbiters):
                continue

            def look(bound: logical.BoundIndex = bound, place: int = place) -> None:
                unique, _, _ = self._entry(function, bound, "row", "b''", f"e{place}")
                look_up = f"found = transaction.get(e{place})"
                function.line(look_up if unique == "True" else f"{look_up} if {unique} else None")
                function.line(f"if found is not None: return {rows_at} + found")

            self._with_predicate(function, bound, "row", look)
        function.finish("None")

    def write_entry(self, index_oid: int) -> None:
        function = self._function("entry", ["row", "key", "context=None"])
        bound = next(item for item in self.writer.secondary if item.index.oid == index_oid)
        function.line("suffix = key[6:]")

        def body() -> None:
            unique, _, _ = self._entry(function, bound, "row", "suffix", "entry_key")
            function.line(f"return entry_key, suffix, {unique or 'False'}")

        self._with_predicate(function, bound, "row", body)
        function.finish("None")

    def write_insert_many(self) -> None:
        """Without duplicate reads where a key cannot exist: past the last key, or in a table that was empty."""
        encode = self.module.bind(encode_row, "encode_row")
        low, high = prefix(self.storage, 0), successor(prefix(self.storage, 0))
        function = self._function("insert_many", ["transaction", "rows", "context=None"])
        last_key = self.module.bind(_LastKey(low, high), "last_key")
        if self.table.row_key or any(bound.index.unique for bound in self.writer.secondary):
            function.line(f"last = {last_key}.find(transaction)")
            function.line("empty = not last")
        function.line("writes = transaction.writes; get = transaction.get; entries = {}")
        with function.block("for row in rows:"):
            self._prepare(function, "row", None)
            function.line(f"key = {self._row_key('row')}")
            if self.table.row_key:
                with function.block("if key <= last:"):
                    known = "(key in entries or (not empty and get(key) is not None))"
                    function.line(f"if {known}: {self._duplicate(None, [], 'row')}")
                function.line("else: last = key")
            if self.writer.secondary:
                function.line("suffix = key[6:]")
            function.line(f"entries[key] = ({encode}(row), {INSERT})")
            for place, bound in enumerate(self.writer.secondary):

                def claim(bound: logical.BoundIndex = bound, place: int = place) -> None:
                    entry = f"e{place}"
                    unique, _, values = self._entry(function, bound, "row", "suffix", entry)
                    if unique:
                        known = f"({entry} in entries or (not empty and get({entry}) is not None))"
                        test = known if unique == "True" else f"{unique} and {known}"
                        function.line(f"if {test}: {self._duplicate(bound, values, 'row')}")
                    kind = f"{UNIQUE_PUT} if {unique} else {ENTRY_PUT}" if unique else str(ENTRY_PUT)
                    function.line(f"entries[{entry}] = (suffix, {kind})")

                self._with_predicate(function, bound, "row", claim)
        # A key deleted by this transaction before is no new key: its kinds must be composed.
        with function.block("if writes and not writes.keys().isdisjoint(entries):"):
            function.line("put = transaction.put")
            function.line("for key, (value, kind) in entries.items(): put(key, value, kind)")
        function.line("else: transaction.put_new(entries)")
        if self.table.row_key or any(bound.index.unique for bound in self.writer.secondary):
            function.line(f"{last_key}.note(transaction, last)")
        function.finish("len(rows)")

    # ── deleting and updating ──────────────────────────────────────────────────────────────────────────────────────

    def write_delete(self) -> None:
        function = self._function("delete", ["transaction", "key", "row", "context=None"])
        function.line(f"transaction.put(key, b'', {DELETE})")
        if self.writer.secondary:
            function.line("suffix = key[6:]")
        for place, bound in enumerate(self.writer.secondary):

            def remove(bound: logical.BoundIndex = bound, place: int = place) -> None:
                unique, _, _ = self._entry(function, bound, "row", "suffix", f"e{place}")
                kind = f"{UNIQUE_DELETE} if {unique} else {ENTRY_DELETE}" if unique else str(ENTRY_DELETE)
                function.line(f"transaction.put(e{place}, b'', {kind})")

            self._with_predicate(function, bound, "row", remove)
        function.finish("None")

    def write_update(self, changed: frozenset[int]) -> None:
        function = self._function("update", ["transaction", "key", "old", "new", "context=None"])
        encode = self.module.bind(encode_row, "encode_row")
        self._prepare(function, "new", changed)
        touched = changed | {number for number, _ in self.target.generated}
        moves = bool(touched & set(self.table.row_key))
        touched_ids = {self.target.row_ids[number - 1] for number in touched}
        function.line("new_key = key")
        if moves:
            same = " and ".join([f"old[{number - 1}] == new[{number - 1}]" for number in self.table.row_key])
            with function.block(f"if not ({same}):"):
                function.line(f"new_key = {self._row_key('new')}")
                function.line(
                    f"if new_key != key and transaction.get(new_key) is not None: {self._duplicate(None, [], 'new')}"
                )
        affected = [
            bound
            for bound in self.writer.secondary
            if moves or (references(bound.keys) | references(bound.predicate)) & touched_ids
        ]
        if affected:
            function.line("old_suffix = key[6:]; suffix = new_key[6:]")
        # Every duplicate read comes before the first write.
        for bound in affected:
            name = bound.index.index_id
            function.line(f"old{name} = new{name} = None; unique_old{name} = unique_new{name} = False")

            def of_old(bound: logical.BoundIndex = bound, name: int = name) -> None:
                unique, _, _ = self._entry(function, bound, "old", "old_suffix", f"old{name}")
                function.line(f"unique_old{name} = {unique or 'False'}")

            def of_new(bound: logical.BoundIndex = bound, name: int = name) -> None:
                unique, _, values = self._entry(function, bound, "new", "suffix", f"new{name}")
                if unique:
                    function.line(f"unique_new{name} = {unique}")
                    with function.block(f"if new{name} != old{name} and unique_new{name}:"):
                        function.line(
                            f"if transaction.get(new{name}) is not None: {self._duplicate(bound, values, 'new')}"
                        )

            self._with_predicate(function, bound, "old", of_old)
            self._with_predicate(function, bound, "new", of_new)
        kind = self._update_kind(touched)
        if moves:
            with function.block("if new_key != key:"):
                function.line(f"transaction.put(key, b'', {DELETE})")
                function.line(f"transaction.put(new_key, {encode}(new), {INSERT})")
            function.line(f"else: transaction.put(key, {encode}(new), {kind})")
        else:
            function.line(f"transaction.put(key, {encode}(new), {kind})")
        for bound in affected:
            name = bound.index.index_id
            with function.block(f"if old{name} != new{name}" + (" or new_key != key:" if moves else ":")):
                removal = f"transaction.put(old{name}, b'', {UNIQUE_DELETE} if unique_old{name} else {ENTRY_DELETE})"
                function.line(f"if old{name} is not None: {removal}")
                addition = f"transaction.put(new{name}, suffix, {UNIQUE_PUT} if unique_new{name} else {ENTRY_PUT})"
                function.line(f"if new{name} is not None: {addition}")
        function.finish("new_key")

    def _update_kind(self, touched: frozenset[int]) -> str:
        """KEY_UPDATE where a column that a foreign key could refer to has really changed, else a non-key update."""
        referable: set[int] = set()
        for bound in self.writer.secondary:
            if bound.index.unique and bound.predicate is None and all(part.number for part in bound.index.key):
                referable.update([part.number for part in bound.index.key])
        referable.update(self.table.row_key)
        watched = sorted(referable & touched)
        if not watched:
            return str(UPDATE)
        same = " and ".join([f"old[{number - 1}] == new[{number - 1}]" for number in watched])
        return f"{UPDATE} if {same} else {KEY_UPDATE}"


class _LastKey:
    """The greatest row key of a table, as a transaction sees it; remembered between the batches of one COPY."""

    def __init__(self, low: bytes, high: bytes) -> None:
        self._low = low
        self._high = high
        self._known = (0, 0, b"")

    def find(self, transaction: Transaction) -> bytes:
        """b"" where the table is empty."""
        txid, writes, last = self._known
        if txid == transaction.txid and writes == len(transaction.writes):
            return last
        return _last_key(self._low, self._high, transaction)

    def note(self, transaction: Transaction, last: bytes) -> None:
        """Holds until the transaction writes something else."""
        self._known = (transaction.txid, len(transaction.writes), last)


def _last_key(low: bytes, high: bytes, transaction: Transaction) -> bytes:
    """The greatest row key that the transaction sees in the table; b"" where there is none."""
    ranges_before = len(transaction.ranges)
    scan = transaction.scan(low, high, reverse=True)
    found: list[tuple[bytes, bytes]] = []
    while not scan.done and not found:
        found = scan.fetch(1)
    # No result depends on what was read here: what others insert is found by the inserted keys' own checks.
    del transaction.ranges[ranges_before:]
    return found[0][0] if found else b""


def expression_function(expression: logical.Expression) -> Callable[[Context], Any]:
    """A function that evaluates an expression without columns."""
    from frontend.sql.compiler.plan import PlanCompiler

    module = Module(plain=True)
    function = Function(module, "evaluate", ["context"], "plain")
    function._known["context"] = "context"
    result = Expressions(function, PlanCompiler(module, False)).code(expression, {})
    function.finish(result)
    return module.execute("expression")["evaluate"]  # type: ignore[no-any-return]
