"""What an output column is called when no AS says so: PostgreSQL's FigureColname."""

from __future__ import annotations

from frontend.sql import syntax

NO_NAME = "?column?"


def label(node: syntax.Expression, subquery_labels: dict[int, str]) -> str:
    """The name of a select list item; `subquery_labels` has the first column's name by id() of each scalar subquery."""
    name, _ = _name(node, subquery_labels)
    return name or NO_NAME


def _name(node: syntax.Expression, subqueries: dict[int, str]) -> tuple[str, int]:
    """(name, strength): 2 for a name as good as an alias, 1 for a type's or CASE's, 0 for none."""
    match node:
        case syntax.ColumnReference(names=names, star=False):
            return names[-1], 2
        case syntax.FunctionCall(names=names):
            return names[-1], 2
        case syntax.FieldSelection(operand=operand, name=name):
            return (name, 2) if name is not None else _name(operand, subqueries)
        case syntax.Subscript(operand=operand) | syntax.Collate(operand=operand):
            return _name(operand, subqueries)
        case syntax.Cast(operand=operand, type=type_name):
            name, strength = _name(operand, subqueries)
            return (name, strength) if strength > 1 else (type_name.names[-1], 1)
        case syntax.Case(default=default):
            name, strength = _name(default, subqueries) if default is not None else ("", 0)
            return (name, strength) if strength > 1 else ("case", 1)
        case syntax.SubqueryExpression(kind="scalar"):
            return subqueries.get(id(node), NO_NAME), 2
        case syntax.SubqueryExpression(kind=kind):
            return kind, 2
        case syntax.MinMax(kind=kind):
            return kind, 2
        case syntax.SqlValue(name=value_name):
            return value_name, 2
        case syntax.Row():
            return "row", 2
    fixed = _FIXED.get(type(node))
    return (fixed, 2) if fixed is not None else ("", 0)


_FIXED: dict[type, str] = {
    syntax.Coalesce: "coalesce",
    syntax.NullIf: "nullif",
    syntax.ArrayConstructor: "array",
    syntax.Grouping: "grouping",
}
