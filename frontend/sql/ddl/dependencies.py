"""What depends on what, and dropping with it: RESTRICT's 2BP01 and CASCADE's notices.

Dependencies are not stored; they are read off the catalog's records when something is dropped. An object is named in messages
as PostgreSQL describes it («constraint c on table t»). Three things may depend on a dropped object:

- parts of it (a table's indexes, its own constraints, sequences that its columns own), which go silently;
- other objects that need it (views, foreign keys of other tables, defaults that draw from a sequence), which RESTRICT
  refuses and CASCADE drops, with a notice;
- for a schema, everything in it, in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from frontend.errors import SqlError
from frontend.sql.ddl import constraints, names
from frontend.sql.ddl.sequence_definitions import refers_to, regclass_literal
from storage.catalog import Column, Constraint, Index, Relation, Role, Schema, Sequence, Table, View

if TYPE_CHECKING:
    from frontend.sql.ddl.environment import DdlEnvironment

NOTICE_LINES_MAX = 100


@dataclass(frozen=True)
class Doomed:
    """Something to be dropped: a whole object, or a column, constraint or default of a table.

    Attributes:
        part: attribute number, or constraint OID, or attribute number of a default, by `kind`.
    """

    kind: str  # relation, schema, column, constraint, default
    oid: int
    part: int = 0


def _oldest_first(item: Doomed) -> int:
    """PostgreSQL lists dependents by OID."""
    return item.part if item.kind == "constraint" else item.oid


class Removal:
    """Collects all that a DROP takes with it, asks or announces, and then does it.

    Args:
        cascade: also drop what depends on the targets; otherwise 2BP01.
    """

    def __init__(self, environment: DdlEnvironment, *, cascade: bool) -> None:
        self.environment = environment
        self.cascade = cascade
        self.catalog = environment.draft.catalog
        self._targets: list[Doomed] = []
        self._chosen: dict[Doomed, None] = {}  # in order of discovery
        self._silent: set[Doomed] = set()
        self._causes: dict[Doomed, Doomed] = {}

    def add(self, target: Doomed) -> None:
        """A target that the statement names."""
        self._targets.append(target)
        self._chosen[target] = None
        self._silent.add(target)

    def run(self) -> None:
        """Find all dependents, refuse or announce them, and drop."""
        waiting = list(self._targets)
        while waiting:
            cause = waiting.pop(0)
            for part in self._parts(cause):
                if part not in self._chosen:
                    self._chosen[part] = None
                    waiting.append(part)
                self._silent.add(part)
            for dependent in sorted(self._dependents(cause), key=_oldest_first):
                if dependent not in self._chosen and not self._covered(dependent):
                    self._chosen[dependent] = None
                    self._causes[dependent] = cause
                    waiting.append(dependent)
        others = [item for item in self._chosen if item not in self._silent and not self._covered(item)]
        if others and not self.cascade:
            raise self._refusal(others)
        if others:
            self._announce(others)
        self._execute()

    def _covered(self, item: Doomed) -> bool:
        """Whether a part goes anyway, because the whole does."""
        return item.kind in ("column", "constraint", "default") and Doomed("relation", item.oid) in self._chosen

    # ── the graph ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _parts(self, item: Doomed) -> Iterator[Doomed]:
        """What goes without a word when `item` goes."""
        objects = self.catalog.objects
        if item.kind == "relation":
            relation = objects[item.oid]
            if isinstance(relation, Table):
                for oid in relation.indexes:
                    yield Doomed("relation", oid)
                for constraint in relation.constraints:
                    yield Doomed("constraint", relation.oid, constraint.oid)
                yield from self._owned(relation.oid, None)
            elif isinstance(relation, Index) and relation.constraint:
                yield Doomed("constraint", relation.table, relation.constraint)
        elif item.kind == "constraint":
            constraint = self._constraint(item)
            if constraint.kind in "pu":
                yield Doomed("relation", constraint.index)
        elif item.kind == "column":
            table = objects[item.oid]
            if not isinstance(table, Table):
                return
            yield from self._owned(table.oid, item.part)
            for constraint in table.constraints:
                if item.part in constraint.columns:
                    yield Doomed("constraint", table.oid, constraint.oid)
            for index in self.catalog.indexes_of(table):
                used = {part.number for part in index.key} | set(index.include) | self._expression_columns(table, index)
                if item.part in used:
                    yield Doomed("relation", index.oid)
            yield Doomed("default", table.oid, item.part)

    def _owned(self, table: int, column: int | None) -> Iterator[Doomed]:
        for item in self.catalog.objects.values():
            if (
                isinstance(item, Sequence)
                and item.owned_by_table == table
                and (column is None or item.owned_by_column == column)
            ):
                yield Doomed("relation", item.oid)

    def _expression_columns(self, table: Table, index: Index) -> set[int]:
        from frontend.sql.ddl import expressions

        texts = [part.expression for part in index.key if part.expression is not None]
        if index.predicate is not None:
            texts.append(index.predicate)
        found: set[int] = set()
        for text in texts:
            found |= expressions.columns_of_text(self.environment, text, table)
        return found

    def _dependents(self, item: Doomed) -> Iterator[Doomed]:
        """What needs `item` and is not a part of it."""
        objects = self.catalog.objects
        match item.kind:
            case "schema":
                for other in objects.values():
                    if isinstance(other, Table | View | Sequence) and other.schema == item.oid:
                        yield Doomed("relation", other.oid)
            case "relation":
                relation = objects[item.oid]
                for other in objects.values():
                    if isinstance(other, View) and item.oid in other.depends_on:
                        yield Doomed("relation", other.oid)
                if isinstance(relation, Table):
                    for oid in relation.referenced_by:
                        for constraint in self.catalog.table(oid).constraints:
                            if constraint.kind == "f" and constraint.foreign_table == item.oid and oid != item.oid:
                                yield Doomed("constraint", oid, constraint.oid)
                if isinstance(relation, Sequence):
                    yield from self._default_users(relation)
                if isinstance(relation, Table | View):
                    yield from self._row_type_users(relation)
                if isinstance(relation, Index):
                    yield from self._foreign_keys_on(self.catalog.table(relation.table), relation.oid)
            case "column":
                table = objects[item.oid]
                for other in objects.values():
                    if isinstance(other, View) and (item.oid, item.part) in other.column_uses:
                        yield Doomed("relation", other.oid)
                if isinstance(table, Table):
                    for oid in table.referenced_by:
                        for constraint in self.catalog.table(oid).constraints:
                            if constraint.foreign_table == table.oid and item.part in constraint.foreign_columns:
                                yield Doomed("constraint", oid, constraint.oid)
                    for column in table.columns:
                        if column.generated and column.number != item.part and not column.dropped:
                            from frontend.sql.ddl import expressions

                            text = column.default or ""
                            if item.part in expressions.columns_of_text(self.environment, text, table):
                                yield Doomed("column", table.oid, column.number)

    def _foreign_keys_on(self, table: Table, index_oid: int) -> Iterator[Doomed]:
        for oid in table.referenced_by:
            for constraint in self.catalog.table(oid).constraints:
                if constraint.kind == "f" and constraint.index == index_oid:
                    yield Doomed("constraint", oid, constraint.oid)

    def _default_users(self, sequence: Sequence) -> Iterator[Doomed]:
        literal = regclass_literal(self.environment, sequence)
        for other in self.catalog.objects.values():
            if isinstance(other, Table):
                for column in other.columns:
                    if not column.dropped and refers_to(column.default, literal):
                        yield Doomed("default", other.oid, column.number)
            elif isinstance(other, View) and refers_to(other.query, literal):
                yield Doomed("relation", other.oid)

    def _row_type_users(self, relation: Table | View) -> Iterator[Doomed]:
        for other in self.catalog.objects.values():
            if isinstance(other, Table) and other.oid != relation.oid:
                for column in other.columns:
                    if not column.dropped and column.type in (relation.type, relation.array_type) and relation.type:
                        yield Doomed("column", other.oid, column.number)

    def _constraint(self, item: Doomed) -> Constraint:
        for constraint in self.catalog.table(item.oid).constraints:
            if constraint.oid == item.part:
                return constraint
        raise KeyError(item.part)

    # ── words ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def describe(self, item: Doomed) -> str:
        """The object as messages name it: «view v», «constraint c on table t»."""
        if item.kind == "schema":
            return f"schema {names.quote_identifier(self.catalog.objects[item.oid].name)}"
        relation = self.catalog.objects[item.oid]
        assert not isinstance(relation, Schema | Role)
        whole = describe_relation(self.environment, relation)
        if item.kind == "relation":
            return whole
        if item.kind == "constraint":
            return f"constraint {names.quote_identifier(self._constraint(item).name)} on {whole}"
        assert isinstance(relation, Table | View)
        column = f"column {names.quote_identifier(relation.columns[item.part - 1].name)} of {whole}"
        return f"default value for {column}" if item.kind == "default" else column

    def _refusal(self, others: list[Doomed]) -> SqlError:
        lines = [f"{self.describe(item)} depends on {self.describe(self._causes[item])}" for item in others]
        if len(lines) > NOTICE_LINES_MAX:
            extra = len(lines) - NOTICE_LINES_MAX
            lines = [
                *lines[:NOTICE_LINES_MAX],
                f"and {extra} other object{'s' if extra > 1 else ''} (see server log for list)",
            ]
        if len(self._targets) == 1:
            message = f"cannot drop {self.describe(self._targets[0])} because other objects depend on it"
        else:
            message = "cannot drop desired object(s) because other objects depend on them"
        return SqlError(
            "2BP01",
            message,
            detail="\n".join(lines),
            hint="Use DROP ... CASCADE to drop the dependent objects too.",
        )

    def _announce(self, others: list[Doomed]) -> None:
        lines = [f"drop cascades to {self.describe(item)}" for item in others]
        if len(lines) == 1:
            self.environment.context.notice("00000", lines[0])
            return
        self.environment.context.notice(
            "00000", f"drop cascades to {len(lines)} other objects", detail="\n".join(lines[:NOTICE_LINES_MAX])
        )

    # ── doing it ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _execute(self) -> None:
        """Parts first, whole objects after them."""
        draft = self.environment.draft
        for item in self._chosen:
            if self._covered(item):
                if item.kind == "constraint":
                    self._forget_reference(item)
                continue
            match item.kind:
                case "constraint":
                    self._drop_constraint(item)
                case "default":
                    self._change_column(item, default=True)
        for item in self._chosen:
            if item.kind == "column" and not self._covered(item):
                self._change_column(item, default=False)
        gone = [item.oid for item in self._chosen if item.kind in ("relation", "schema")]
        for oid in gone:
            index = draft.catalog.objects.get(oid)
            if isinstance(index, Index) and index.table not in gone:
                table = draft.catalog.objects.get(index.table)
                if isinstance(table, Table):
                    remaining = tuple(other for other in table.indexes if other != oid)
                    row_key = () if index.primary else table.row_key
                    changed = msgspec.structs.replace(table, indexes=remaining)
                    draft.put(changed if row_key == table.row_key else changed)
        draft.drop(*gone)

    def _drop_constraint(self, item: Doomed) -> None:
        draft = self.environment.draft
        table = draft.catalog.objects.get(item.oid)
        if not isinstance(table, Table):
            return
        constraint = next((each for each in table.constraints if each.oid == item.part), None)
        if constraint is None:
            return
        changed = msgspec.structs.replace(
            table, constraints=tuple(each for each in table.constraints if each.oid != item.part)
        )
        draft.put(changed)
        if constraint.kind == "f":
            constraints.without_reference(self.environment, changed, constraint.foreign_table)

    def _forget_reference(self, item: Doomed) -> None:
        """A foreign key that goes with its table: its target must not name the table any more."""
        constraint = self._constraint(item)
        if constraint.kind != "f" or Doomed("relation", constraint.foreign_table) in self._chosen:
            return
        draft = self.environment.draft
        target = draft.catalog.objects.get(constraint.foreign_table)
        if isinstance(target, Table):
            draft.put(
                msgspec.structs.replace(
                    target, referenced_by=tuple(oid for oid in target.referenced_by if oid != item.oid)
                )
            )

    def _change_column(self, item: Doomed, *, default: bool) -> None:
        draft = self.environment.draft
        relation = draft.catalog.objects.get(item.oid)
        if not isinstance(relation, Table):
            return
        columns = list(relation.columns)
        column = columns[item.part - 1]
        columns[item.part - 1] = (
            msgspec.structs.replace(column, default=None) if default and not column.generated else column
        )
        if not default:
            columns[item.part - 1] = dropped_column(column)
        draft.put(msgspec.structs.replace(relation, columns=tuple(columns)))


def dropped_column(column: Column) -> Column:
    """What remains of a dropped column: its number and its type, so that stored rows stay readable."""
    return Column(
        number=column.number,
        name=f"........pg.dropped.{column.number}........",
        type=column.type,
        typmod=column.typmod,
        missing=column.missing,
        dropped=True,
    )


def describe_relation(environment: DdlEnvironment, relation: Relation | Schema) -> str:
    """«table t», with its schema where it is not found on the search path."""
    if isinstance(relation, Schema):
        return f"schema {names.quote_identifier(relation.name)}"
    catalog = environment.draft.catalog
    for name in environment.context.search_path:
        schema = catalog.schema(name)
        found = None if schema is None else catalog.relation(schema.oid, relation.name)
        if found is not None:
            if found.oid == relation.oid:
                return f"{names.kind_name(relation)} {names.quote_identifier(relation.name)}"
            break
    return f"{names.kind_name(relation)} {names.qualified(environment, relation)}"
