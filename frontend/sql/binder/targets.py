"""Select lists and RETURNING: stars expanded, names given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from frontend.errors import SqlError
from frontend.sql import logical, syntax
from frontend.sql.binder import scopes
from frontend.sql.binder.coercion import coerce
from frontend.sql.binder.expressions import bind, field_at
from frontend.sql.binder.labels import label
from frontend.sql.binder.statement import Query
from frontend.types import oids

COLUMNS_MAX = 1664


@dataclass(slots=True)
class Target:
    """An output column while its level is bound; `table` and `attribute` say what table column it shows, if any."""

    name: str
    expression: logical.Expression
    table: int = 0
    attribute: int = 0
    position: int = 0


def bind_targets(query: Query, targets: Sequence[syntax.Target], kind: str = "SELECT") -> list[Target]:
    """The output columns of a select list or RETURNING."""
    result: list[Target] = []
    with query.clause(kind):
        for target in targets:
            node = target.expression
            if isinstance(node, syntax.ColumnReference) and node.star:
                pairs = expand_star(query, node)
            elif isinstance(node, syntax.FieldSelection) and node.name is None:
                pairs = expand_row(query, node)
            else:
                value = bind(query, node)
                name = target.alias
                if name is None:
                    name = label(node, query.binding.subquery_labels)
                pairs = [(name, value)]
            for name, value in pairs:
                table, attribute = (0, 0) if isinstance(node, syntax.Collate) else origin_of(query, value)
                result.append(Target(name, value, table, attribute, value.position or node.position))
    if len(result) > COLUMNS_MAX:
        raise SqlError("54011", f"target lists can have at most {COLUMNS_MAX} entries")
    return result


def origin_of(query: Query, value: logical.Expression) -> tuple[int, int]:
    """(table OID, attribute number) of the table column that an expression plainly shows; zeros for others."""
    if isinstance(value, logical.RowConstructor):
        row_of = source_of_row(query, value)
        return (row_of.table.oid, 0) if isinstance(row_of, scopes.TableSource) else (0, 0)
    if not isinstance(value, logical.ColumnRef):
        return 0, 0
    source, attribute = query.binding.provenance.get(value.id, (None, 0))
    if source is None:
        return 0, 0
    return source.origin(attribute)


def source_of_row(query: Query, value: logical.RowConstructor) -> scopes.Source | None:
    """The FROM item whose whole row the value is; None for a ROW(…) that was written out."""
    if not value.fields or value.names[0] == "f1":
        return None
    first = value.fields[0]
    if not isinstance(first, logical.ColumnRef):
        return None
    return query.binding.provenance.get(first.id, (None, 0))[0]


def expand_star(query: Query, node: syntax.ColumnReference) -> list[tuple[str, logical.Expression]]:
    """The columns that * or t.* stands for."""
    if node.names:
        schema = node.names[-2] if len(node.names) >= 2 else None
        found = scopes.find_item(query, schema, node.names[-1], node.position)
        if found is None:
            raise scopes.missing_relation(query, node.names[-1], schema, node.position)
        return [(column.name, column.reference(node.position)) for column in found[0].columns]
    items = [item for item in query.namespace if item.columns_visible and not item.lateral_only]
    if not items:
        raise SqlError("42601", "SELECT * with no tables specified is not valid", position=node.position or None)
    return [(column.name, column.reference(node.position)) for item in items for column in item.columns]


def expand_row(query: Query, node: syntax.FieldSelection) -> list[tuple[str, logical.Expression]]:
    """The fields that (row).* stands for."""
    operand = bind(query, node.operand)
    types = query.binding.types
    shape = types.shape_of(operand, query.binding.shapes)
    if shape is None:
        if operand.type == oids.RECORD:
            raise SqlError("42809", "record type has not been registered", position=node.position or None)
        raise SqlError(
            "42809",
            f"type {types.name(operand.type)} is not composite",
            position=node.position or operand.position or None,
        )
    return [(column.name, field_at(operand, place, column, node.position)) for place, column in enumerate(shape)]


def resolve_unknown_targets(query: Query, targets: Sequence[Target]) -> None:
    """Output columns that nothing gave a type are text."""
    for target in targets:
        if target.expression.type == oids.UNKNOWN:
            target.expression = coerce(query.binding, target.expression, oids.TEXT, "i")
