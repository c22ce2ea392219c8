"""What the binder asks about types: PostgreSQL's built-in ones, and the row types of the catalog's tables and views.

Built-in facts come from `frontend.types`. A table's row type, its array type and the type of an anonymous record have no
entry there; they are answered from the catalog here, so that every caller sees one kind of fact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from frontend.errors import SqlError, unsupported
from frontend.sql import logical, syntax
from frontend.types import oids
from frontend.types.facts import TypeFact, type_facts, type_oids_by_name
from frontend.types.registry import format_type, type_by_oid
from storage.catalog import Table, View

if TYPE_CHECKING:
    from frontend.context import Context
    from storage.catalog import Catalog

POLYMORPHIC = frozenset(
    {
        oids.ANYELEMENT,
        oids.ANYARRAY,
        oids.ANYNONARRAY,
        oids.ANYENUM,
        oids.ANYRANGE,
        4537,  # anymultirange
        oids.ANYCOMPATIBLE,
        oids.ANYCOMPATIBLEARRAY,
        oids.ANYCOMPATIBLENONARRAY,
        oids.ANYCOMPATIBLERANGE,
        4538,  # anycompatiblemultirange
    }
)
INTERVAL_FULL_RANGE = 0x7FFF
INTERVAL_FULL_PRECISION = 0xFFFF
_INTERVAL_BITS = {"month": 1, "year": 2, "day": 3, "hour": 10, "minute": 11, "second": 12}
_INTERVAL_ORDER = ("year", "month", "day", "hour", "minute", "second")


class Types:
    """Type facts as one catalog sees them."""

    __slots__ = ("_catalog", "_rows")

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._rows: dict[int, Table | View] | None = None

    def _row_types(self) -> dict[int, Table | View]:
        if self._rows is None:
            self._rows = {}
            for item in self._catalog.objects.values():
                if isinstance(item, Table | View) and item.type:
                    self._rows[item.type] = item
                    if item.array_type:
                        self._rows[item.array_type] = item
        return self._rows

    def row_relation(self, oid: int) -> Table | View | None:
        """The table or view whose row type this is."""
        if oid in type_facts():
            return None
        relation = self._row_types().get(oid)
        return relation if relation is not None and relation.type == oid else None

    def fact(self, oid: int) -> TypeFact:
        """The pg_type row of a built-in or row type; 42704 where there is none."""
        fact = type_facts().get(oid)
        if fact is not None:
            return fact
        relation = self._row_types().get(oid)
        if relation is None:
            raise SqlError("42704", f"type with OID {oid} does not exist")
        is_row = relation.type == oid
        return type_facts()[oids.RECORD if is_row else oids.RECORDARRAY]._replace(
            oid=oid,
            name=relation.name if is_row else "_" + relation.name,
            kind="c" if is_row else "b",
            category="C" if is_row else "A",
            relation=relation.oid if is_row else 0,
            element=0 if is_row else relation.type,
            array=relation.array_type if is_row else 0,
        )

    def category(self, oid: int) -> str:
        """pg_type.typcategory: N numeric, S string, U user, P pseudo …"""
        return self.fact(oid).category

    def preferred(self, oid: int) -> bool:
        """pg_type.typispreferred."""
        return self.fact(oid).preferred

    def element(self, oid: int) -> int:
        """The element type of a true array (int2vector and oidvector included), else 0."""
        fact = self.fact(oid)
        return fact.element if fact.category == "A" else 0

    def array(self, oid: int) -> int:
        """The array type over this element type, 0 where there is none."""
        return self.fact(oid).array

    def is_row(self, oid: int) -> bool:
        """Whether values of the type have fields."""
        return oid == oids.RECORD or (oid not in type_facts() and self.fact(oid).kind == "c")

    def fields(self, oid: int) -> tuple[logical.Column, ...] | None:
        """The fields of a table's row type (ids are 0), None for other types."""
        relation = self.row_relation(oid)
        if relation is None:
            return None
        return tuple(
            logical.Column(id=0, name=column.name, type=column.type, typmod=column.typmod)
            for column in relation.columns
            if not column.dropped
        )

    def shape_of(
        self, expression: logical.Expression, shapes: Mapping[int, tuple[logical.Column, ...]]
    ) -> tuple[logical.Column, ...] | None:
        """The fields of an expression's value: of its row type, or of the record that it visibly makes; else None."""
        if expression.type != oids.RECORD:
            return None if expression.type in type_facts() else self.fields(expression.type)
        match expression:
            case logical.RowConstructor(fields=fields, names=names):
                return tuple(
                    logical.Column(id=0, name=name, type=item.type, typmod=item.typmod)
                    for name, item in zip(names, fields, strict=True)
                )
            case logical.ColumnRef(id=identifier):
                return shapes.get(identifier)
            case logical.SetReturningCall(columns=columns) if columns:
                return columns
            case logical.CaseExpression(otherwise=otherwise) if isinstance(otherwise, logical.RowConstructor):
                return self.shape_of(otherwise, shapes)
            case logical.ScalarSubquery(plan=plan):
                return shapes.get(plan.columns[0].id)
        return None

    def name(self, oid: int, typmod: int | None = None) -> str:
        """The type as messages print it."""
        if oid in type_facts():
            return format_type(oid, typmod)
        relation = self._row_types().get(oid)
        if relation is None:
            return "???"
        return relation.name + ("" if relation.type == oid else "[]")

    def input(self, oid: int, text: str, typmod: int, context: Context) -> Any:
        """The value that a literal of this type stands for. Raises the type's input errors."""
        if oid == oids.UNKNOWN:
            return text
        if oid not in type_facts():
            raise unsupported(f"a literal of row type {self.name(oid)}")
        return type_by_oid(oid).input(text, typmod, context)

    # ── names ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def lookup(self, names: Sequence[str], search_path: Sequence[str]) -> int | None:
        """The OID of a type by its possibly qualified name, None where there is none."""
        if len(names) == 1:
            schemas: Sequence[str] = search_path
        else:
            schemas = (names[-2],)
        name = names[-1]
        for schema in schemas:
            if schema == "pg_catalog":
                oid = type_oids_by_name().get(name)
                if oid is not None:
                    return oid
            record = self._catalog.schema(schema)
            if record is not None:
                array = name.startswith("_")
                relation = self._catalog.relation(record.oid, name)
                if isinstance(relation, Table | View) and relation.type:
                    return relation.type
                if array:
                    relation = self._catalog.relation(record.oid, name[1:])
                    if isinstance(relation, Table | View) and relation.array_type:
                        return relation.array_type
        return None

    def resolve(self, node: syntax.TypeName, search_path: Sequence[str]) -> tuple[int, int]:
        """(type OID, typmod) of a type as written; 42704 where it does not exist."""
        if node.percent_type:
            raise unsupported("%TYPE", position=node.position or None)
        oid = self.lookup(node.names, search_path)
        written = ".".join(node.names)
        if oid is None:
            raise SqlError("42704", f'type "{written}" does not exist', position=node.position or None)
        if node.setof:
            raise SqlError("42601", "type modifier cannot be SETOF here", position=node.position or None)
        typmod = self.modifier(oid, node)
        if node.dimensions:
            array = self.array(oid)
            if self.element(oid) and self.fact(oid).length == -1:
                array = oid  # an array of arrays is the same type
            if not array:
                raise SqlError(
                    "42704", f"could not find array type for data type {self.name(oid)}", position=node.position or None
                )
            return array, typmod
        return oid, typmod

    def modifier(self, oid: int, node: syntax.TypeName) -> int:
        """The typmod of a type as written, -1 without one."""
        if oid == oids.INTERVAL and node.interval_fields is not None:
            return _interval_typmod(node)
        if not node.modifiers:
            return -1
        words: list[str] = []
        for modifier in node.modifiers:
            sign = ""
            if isinstance(modifier, syntax.Operator) and modifier.left is None and modifier.name == "-":
                sign, modifier = "-", modifier.right
            if isinstance(modifier, syntax.Constant) and modifier.kind in ("integer", "decimal", "string"):
                words.append(sign + modifier.value)
            elif isinstance(modifier, syntax.ColumnReference) and len(modifier.names) == 1:
                words.append(modifier.names[0])
            else:
                raise SqlError(
                    "42601", "type modifiers must be simple constants or identifiers", position=node.position or None
                )
        fact = type_facts().get(oid)
        if fact is None or not fact.has_modifier:
            raise SqlError(
                "42601",
                f'type modifier is not allowed for type "{self.name(oid)}"',
                position=node.position or None,
            )
        if oid == oids.INTERVAL:
            precision = min(int(words[0]), 6)
            return INTERVAL_FULL_RANGE << 16 | precision
        element = self.element(oid)
        try:
            return type_by_oid(element or oid).typmod_in(words)
        except SqlError as error:
            error.position = error.position or node.position or None
            raise


def _interval_typmod(node: syntax.TypeName) -> int:
    words = (node.interval_fields or "").split(" to ")
    first = _INTERVAL_ORDER.index(words[0])
    last = _INTERVAL_ORDER.index(words[-1])
    mask = 0
    for word in _INTERVAL_ORDER[first : last + 1]:
        mask |= 1 << _INTERVAL_BITS[word]
    precision = INTERVAL_FULL_PRECISION
    if node.modifiers:
        modifier = node.modifiers[0]
        if not isinstance(modifier, syntax.Constant):
            raise SqlError("22023", "invalid INTERVAL type modifier", position=node.position or None)
        precision = min(int(modifier.value), 6)
    return mask << 16 | precision
