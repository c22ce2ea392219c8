"""Names in FROM: what a column or table name means at a place in the statement.

A `Source` is a thing in FROM that yields rows; it makes its plan node only after the whole query level is bound, because a
table's scan yields just the columns that somebody named (`TableSource.use` gives the id of one when it is first wanted).
A `NamespaceItem` is how a source (or a join) can be named: by its alias, by its columns, by both, or by neither while it is
hidden. The rules are PostgreSQL's (parse_relation.c describes them): look-ups go outwards level by level, the first level
that knows the name wins, two candidates on one level are ambiguous, and items to the left in FROM are visible to LATERAL
ones only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from frontend.errors import SqlError
from frontend.sql import logical
from frontend.sql.binder.statement import Query, VirtualRelation, reference
from frontend.sql.walk import free_columns, produced_columns
from frontend.types import oids

if TYPE_CHECKING:
    from storage.catalog import Column, Table

SYSTEM_COLUMNS: dict[str, tuple[int, int]] = {
    "ctid": (logical.CTID, oids.TID),
    "xmin": (logical.XMIN, oids.XID),
    "cmin": (logical.CMIN, oids.CID),
    "xmax": (logical.XMAX, oids.XID),
    "cmax": (logical.CMAX, oids.CID),
    "tableoid": (logical.TABLEOID, oids.OID),
}


class Source:
    """Something in FROM.

    `nullable`: on the side of an outer join that may be filled with NULLs; `relation_name`: the table behind the alias.
    """

    def __init__(self, query: Query, alias: str) -> None:
        self.query = query
        self.alias = alias
        self.nullable = False
        self.relation_name: str | None = None
        query.sources.append(self)

    def build(self) -> logical.Plan:
        """The plan node; only after all expressions of the level are bound."""
        raise NotImplementedError

    def column_name(self, attribute: int) -> str:
        """The name of the column behind an attribute number, for messages."""
        raise NotImplementedError

    def origin(self, attribute: int) -> tuple[int, int]:
        """(table OID, attribute number) that a client may ask about; zeros for what no relation has."""
        return 0, 0


class TableSource(Source):
    """A table. `use(attribute)` names the id under which the scan yields an attribute (or pseudo attribute).

    For the target of UPDATE and DELETE, `row_ids` fixes the ids, and after `close` more columns can be named (RETURNING takes
    them from the written row) without the scan yielding them.
    """

    def __init__(self, query: Query, alias: str, table: Table, row_ids: Sequence[int] = ()) -> None:
        super().__init__(query, alias)
        self.table = table
        self.relation_name = table.name
        self._columns: dict[int, logical.Column] = {}
        self._row_ids = row_ids
        self._scanned: tuple[int, ...] | None = None

    def close(self) -> None:
        """The scan yields what was used so far and nothing more."""
        self._scanned = tuple(sorted(self._columns))

    def column_name(self, attribute: int) -> str:
        return self.table.columns[attribute - 1].name if attribute > 0 else _PSEUDO_ATTRIBUTES[attribute][0]

    def origin(self, attribute: int) -> tuple[int, int]:
        return (self.table.oid, attribute) if attribute > logical.ROW_KEY else (0, 0)

    def use(self, attribute: int) -> logical.Column:
        """The output column for an attribute, made when first asked for."""
        column = self._columns.get(attribute)
        if column is None:
            if attribute > 0:
                record = self.table.columns[attribute - 1]
                name, type_oid, typmod = record.name, record.type, record.typmod
            else:
                name, type_oid = _PSEUDO_ATTRIBUTES[attribute]
                typmod = -1
            binding = self.query.binding
            identifier = self._row_ids[attribute - 1] if attribute > 0 and self._row_ids else binding.new_id()
            binding.owners[identifier] = self.query
            binding.provenance[identifier] = (self, attribute)
            column = logical.Column(
                id=identifier,
                name=name,
                type=type_oid,
                typmod=typmod,
                table=self.table.oid,
                attribute=attribute if attribute > logical.ROW_KEY else 0,
            )
            self._columns[attribute] = column
        return column

    def build(self) -> logical.Plan:
        attributes = tuple(sorted(self._columns)) if self._scanned is None else self._scanned
        return logical.Scan(
            columns=tuple([self._columns[attribute] for attribute in attributes]),
            table=self.table,
            alias=self.alias,
            attributes=attributes,
        )


_PSEUDO_ATTRIBUTES = {number: (name, type_oid) for name, (number, type_oid) in SYSTEM_COLUMNS.items()} | {
    logical.ROW_KEY: ("row_key", oids.BYTEA),
    logical.WHOLE_ROW: ("whole_row", oids.INTERNAL),
}


class VirtualSource(Source):
    """A virtual relation; like a table it yields the columns that are used."""

    def __init__(self, query: Query, alias: str, relation: VirtualRelation) -> None:
        super().__init__(query, alias)
        self.relation = relation
        self._columns: dict[int, logical.Column] = {}

    def column_name(self, attribute: int) -> str:
        return self.relation.columns[attribute - 1][0] if attribute > 0 else "tableoid"

    def origin(self, attribute: int) -> tuple[int, int]:
        return self.relation.oid, attribute

    def use(self, attribute: int) -> logical.Column:
        """The output column for an attribute number (from 1), made when first asked for."""
        column = self._columns.get(attribute)
        if column is None:
            name, type_oid, typmod = self.relation.columns[attribute - 1]
            binding = self.query.binding
            identifier = binding.new_id()
            binding.owners[identifier] = self.query
            binding.provenance[identifier] = (self, attribute)
            column = logical.Column(
                id=identifier, name=name, type=type_oid, typmod=typmod, table=self.relation.oid, attribute=attribute
            )
            self._columns[attribute] = column
        return column

    def build(self) -> logical.Plan:
        attributes = sorted(self._columns)
        return logical.VirtualScan(
            columns=tuple([self._columns[attribute] for attribute in attributes]),
            relation=self.relation,
            alias=self.alias,
            positions=tuple([attribute - 1 for attribute in attributes]),
        )


class PlanSource(Source):
    """A subquery, view, function or WITH query: all its columns are made from the start."""

    def __init__(self, query: Query, alias: str, plan: logical.Plan, relation_oid: int = 0) -> None:
        super().__init__(query, alias)
        self.plan = plan
        self.relation_oid = relation_oid
        binding = query.binding
        for place, column in enumerate(plan.columns):
            binding.owners[column.id] = query
            binding.provenance[column.id] = (self, place + 1)

    def column_name(self, attribute: int) -> str:
        return self.plan.columns[attribute - 1].name

    def origin(self, attribute: int) -> tuple[int, int]:
        if self.relation_oid:
            return self.relation_oid, attribute
        column = self.plan.columns[attribute - 1]
        return column.table, column.attribute

    def build(self) -> logical.Plan:
        return self.plan


class RowSource(Source):
    """One row of a table under fixed ids: what table expressions, RETURNING and ON CONFLICT see in place of FROM."""

    def __init__(self, query: Query, alias: str, columns: Sequence[Column], table: Table | None = None) -> None:
        super().__init__(query, alias)
        self.table_oid = 0 if table is None else table.oid
        self.relation_name = None if table is None else table.name
        self.by_number = {column.number: column for column in columns}

    def column_name(self, attribute: int) -> str:
        return self.by_number[attribute].name

    def origin(self, attribute: int) -> tuple[int, int]:
        return (self.table_oid, attribute) if self.table_oid else (0, 0)


class JoinSource(Source):
    """A join of two sources; its condition is set when it is bound."""

    def __init__(self, query: Query, kind: str, left: Source, right: Source) -> None:
        super().__init__(query, "")
        self.kind = kind
        self.left = left
        self.right = right
        self.condition: logical.Expression | None = None

    def build(self) -> logical.Plan:
        return make_join(self.kind, self.left.build(), self.right.build(), self.condition)


def make_join(kind: str, left: logical.Plan, right: logical.Plan, condition: logical.Expression | None) -> logical.Join:
    """The join node; LATERAL is whatever refers to the left."""
    lateral = not free_columns(right).isdisjoint(produced_columns(left))
    return logical.Join(
        columns=left.columns + right.columns,
        kind=kind,  # type: ignore[arg-type]  # one of the four join kinds of the syntax tree
        left=left,
        right=right,
        condition=condition,
        lateral=lateral,
    )


class ScopeColumn:
    """A column that can be named: an attribute of a table (made on use), or an expression (a USING column)."""

    __slots__ = ("_attribute", "_expression", "_source", "name", "type", "typmod")

    def __init__(
        self,
        name: str,
        type_oid: int,
        typmod: int,
        source: TableSource | VirtualSource | None = None,
        attribute: int = 0,
        expression: logical.Expression | None = None,
    ) -> None:
        self.name = name
        self.type = type_oid
        self.typmod = typmod
        self._source = source
        self._attribute = attribute
        self._expression = expression

    def reference(self, position: int = 0) -> logical.Expression:
        """The expression for the column's value, pointing at a place in the text."""
        if self._source is not None:
            return reference(self._source.use(self._attribute), position)
        assert self._expression is not None
        return replace(self._expression, position=position) if position else self._expression

    def renamed(self, name: str) -> ScopeColumn:
        """The same column under another name."""
        return ScopeColumn(name, self.type, self.typmod, self._source, self._attribute, self._expression)


class NamespaceItem:
    """How something in FROM can be named.

    Attributes:
        name, schema: the alias, or the table's own name and schema; None for a join without an alias.
        relation_visible: name.column works; columns_visible: a bare column name works.
        lateral_only: visible to LATERAL items only, for now; lateral_ok: and these may really use it.
        source: what yields the rows, None for joins.
        scalar: a function that returns one plain value: its whole row is that value.
    """

    __slots__ = (
        "columns",
        "columns_visible",
        "lateral_ok",
        "lateral_only",
        "name",
        "relation_oid",
        "relation_visible",
        "scalar",
        "schema",
        "source",
    )

    def __init__(
        self,
        name: str | None,
        columns: list[ScopeColumn],
        source: Source | None,
        *,
        schema: str | None = None,
        scalar: bool = False,
        relation_oid: int = 0,
    ) -> None:
        self.name = name
        self.schema = schema
        self.columns = columns
        self.source = source
        self.scalar = scalar
        self.relation_oid = relation_oid
        self.relation_visible = name is not None
        self.columns_visible = True
        self.lateral_only = False
        self.lateral_ok = True


def find_column(query: Query, name: str, position: int) -> logical.Expression | None:
    """A bare column name, looked up outwards through the query levels. 42702 where it is ambiguous."""
    level: Query | None = query
    while level is not None:
        found: ScopeColumn | None = None
        found_in: NamespaceItem | None = None
        for item in level.namespace:
            if not item.columns_visible or (item.lateral_only and not level.lateral_active):
                continue
            for column in item.columns:
                if column.name == name:
                    if found is not None:
                        raise SqlError("42702", f'column reference "{name}" is ambiguous', position=position or None)
                    found, found_in = column, item
        if found is not None and found_in is not None:
            _check_lateral(found_in, position)
            return found.reference(position)
        if name in SYSTEM_COLUMNS:
            system: logical.Expression | None = None
            for item in level.namespace:
                if item.columns_visible and not (item.lateral_only and not level.lateral_active):
                    candidate = system_column(item, name, position)
                    if candidate is not None:
                        if system is not None:
                            raise SqlError(
                                "42702", f'column reference "{name}" is ambiguous', position=position or None
                            )
                        system = candidate
            if system is not None:
                return system
        level = level.parent
    return None


def _check_lateral(item: NamespaceItem, position: int) -> None:
    if item.lateral_only and not item.lateral_ok:
        raise SqlError(
            "42P10",
            f'invalid reference to FROM-clause entry for table "{item.name}"',
            detail="The combining JOIN type must be INNER or LEFT for a LATERAL reference.",
            position=position or None,
        )


def system_column(item: NamespaceItem, name: str, position: int) -> logical.Expression | None:
    """A table's ctid, xmin, tableoid …, or None where the item is no table or the name is none of them."""
    if name not in SYSTEM_COLUMNS:
        return None
    if isinstance(item.source, TableSource):
        return reference(item.source.use(SYSTEM_COLUMNS[name][0]), position)
    if isinstance(item.source, VirtualSource) and name == "tableoid":
        return logical.Constant(type=oids.OID, value=item.source.relation.oid, position=position)
    if name == "tableoid" and item.relation_oid and isinstance(item.source, RowSource):
        return logical.Constant(type=oids.OID, value=item.relation_oid, position=position)
    return None


def find_item(query: Query, schema: str | None, name: str, position: int) -> tuple[NamespaceItem, Query] | None:
    """The FROM item that a qualified name starts with, and its level. 42P09 where it is ambiguous."""
    level: Query | None = query
    while level is not None:
        found: NamespaceItem | None = None
        for item in level.namespace:
            if not item.relation_visible or (item.lateral_only and not level.lateral_active):
                continue
            if item.name != name or (schema is not None and item.schema != schema):
                continue
            if found is not None:
                raise SqlError("42P09", f'table reference "{name}" is ambiguous', position=position or None)
            found = item
        if found is not None:
            _check_lateral(found, position)
            return found, level
        level = level.parent
    return None


def item_column(item: NamespaceItem, name: str, position: int) -> logical.Expression | None:
    """item.name, or None where it has no such column. 42702 where two columns share the name."""
    found: ScopeColumn | None = None
    for column in item.columns:
        if column.name == name:
            if found is not None:
                raise SqlError("42702", f'column reference "{name}" is ambiguous', position=position or None)
            found = column
    if found is not None:
        return found.reference(position)
    return system_column(item, name, position)


def whole_row(query: Query, item: NamespaceItem, position: int) -> logical.Expression:
    """A reference to the row as one value; NULL where an outer join found no row.

    For a subquery or function on the nullable side, a row whose columns are all NULL is taken for a missing one.
    """
    if item.scalar:
        return item.columns[0].reference(position)
    source = item.source
    columns = [column.reference(position) for column in item.columns]
    row_type = oids.RECORD
    if isinstance(source, TableSource):
        row_type = source.table.type or oids.RECORD
    row = logical.RowConstructor(
        type=row_type, fields=tuple(columns), names=tuple([column.name for column in item.columns]), position=position
    )
    if source is None or not source.nullable:
        return row
    missing: logical.Expression
    if isinstance(source, TableSource):
        missing = logical.NullTest(type=oids.BOOL, operand=reference(source.use(logical.TABLEOID)), negated=False)
    else:
        missing = logical.NullTest(type=oids.BOOL, operand=row, negated=False, row=True)
    return logical.CaseExpression(
        type=row_type,
        operand=None,
        branches=((missing, logical.Constant(type=row_type, value=None)),),
        otherwise=row,
        position=position,
    )


def check_conflicts(left: Sequence[NamespaceItem], right: Sequence[NamespaceItem]) -> None:
    """42712 where two FROM items of one level go by the same name."""
    for one in left:
        if not one.relation_visible:
            continue
        for other in right:
            if other.relation_visible and other.name == one.name:
                both_plain = one.schema is not None and other.schema is not None
                if both_plain and one.relation_oid and other.relation_oid and one.relation_oid != other.relation_oid:
                    continue  # s1.t and s2.t, both without alias, are told apart by their schemas
                raise SqlError("42712", f'table name "{one.name}" specified more than once')


def set_lateral(items: Sequence[NamespaceItem], only: bool, usable: bool) -> None:
    """Mark the items as visible to LATERAL only, or to all."""
    for item in items:
        item.lateral_only = only
        item.lateral_ok = usable


def missing_column(query: Query, name: str, relation: str | None, position: int) -> SqlError:
    """42703 with PostgreSQL's guess at what was meant."""
    if relation is not None:
        message = f"column {relation}.{name} does not exist"
    else:
        message = f'column "{name}" does not exist'
    hint = detail = None
    guesses = _similar_columns(query, name, relation)
    if guesses is not None:
        hint, detail = guesses
    return SqlError("42703", message, position=position or None, hint=hint, detail=detail)


def _similar_columns(query: Query, name: str, relation: str | None) -> tuple[str | None, str | None] | None:
    best: list[tuple[str, str]] = []
    distance_max = 3
    level: Query | None = query
    while level is not None:
        for item in level.namespace:
            if item.name is None or item.source is None:
                continue
            penalty = 0
            if relation is not None:
                penalty = _distance(relation, item.name)
            for column in item.columns:
                distance = penalty + _distance(name, column.name)
                if distance > len(name) // 2 or distance > distance_max:
                    continue
                if distance < distance_max:
                    best, distance_max = [], distance
                best.append((item.name, column.name))
        level = level.parent
    if len(best) == 1:
        return f'Perhaps you meant to reference the column "{best[0][0]}.{best[0][1]}".', None
    if len(best) == 2:
        first, second = best
        return (
            f'Perhaps you meant to reference the column "{first[0]}.{first[1]}" '
            f'or the column "{second[0]}.{second[1]}".',
            None,
        )
    return None


def _distance(source: str, target: str) -> int:
    """Levenshtein distance, each edit one."""
    if source == target:
        return 0
    previous = list(range(len(target) + 1))
    for row, left in enumerate(source, 1):
        current = [row]
        for place, right in enumerate(target, 1):
            current.append(min(previous[place] + 1, current[place - 1] + 1, previous[place - 1] + (left != right)))
        previous = current
    return previous[-1]


def missing_relation(query: Query, name: str, schema: str | None, position: int) -> SqlError:
    """42P01 for a qualifier that names nothing visible, with PostgreSQL's hints about what is in FROM but hidden."""
    level: Query | None = query
    while level is not None:
        for source in level.sources:
            table_name = source.relation_name
            if source.alias != name and table_name != name:
                continue
            detail = hint = None
            visible = [item for item in level.namespace if item.source is source]
            if source.alias != name and any(item.relation_visible for item in visible):
                hint = f'Perhaps you meant to reference the table alias "{source.alias}".'
            else:
                detail = (
                    f'There is an entry for table "{name}", but it cannot be referenced from this part of the query.'
                )
                if any(item.lateral_only for item in visible):
                    hint = "To reference that table, you must mark this subquery with LATERAL."
            return SqlError(
                "42P01",
                f'invalid reference to FROM-clause entry for table "{name}"',
                detail=detail,
                hint=hint,
                position=position or None,
            )
        level = level.parent
    return SqlError("42P01", f'missing FROM-clause entry for table "{name}"', position=position or None)
