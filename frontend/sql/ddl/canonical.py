"""A bound expression as the text that PostgreSQL would show for it: implicit conversions left out, literals with their types.

The catalog keeps this text and binds it again when it is used, so it must mean the same under any search path: everything in
pg_catalog is found without a schema, relations in regclass constants carry theirs. Forms that this module does not print
(special call syntaxes, subscripts, row values) are printed from the syntax tree instead, which is equivalent.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, cast

from frontend.functions.catalogue import proc_by_oid
from frontend.sql import logical, syntax
from frontend.sql.ddl.stored_text import walk
from frontend.sql.deparse import deparse_expression, quote_identifier, quote_literal
from frontend.system.definitions import parenthesised
from frontend.types import oids
from frontend.types.registry import format_type, type_by_oid
from storage.catalog import Catalog, Role, Schema

if TYPE_CHECKING:
    from frontend.context import Context

_SPECIAL_FUNCTIONS = frozenset(
    {"extract", "overlay", "position", "substring", "btrim", "ltrim", "rtrim", "normalize", "is_normalized", "timezone"}
    | {"overlaps", "pg_collation_for", "xmlexists", "like_escape", "similar_to_escape", "date_part"}
)


class _PlainStyle:
    """The settings under which constants are printed: forms that every session reads alike."""

    time_zone = "UTC"
    date_style = ("ISO", "MDY")
    interval_style = "postgres"
    extra_float_digits = 1
    bytea_output = "hex"


class _NotPrinted(Exception):
    """The expression has a form that is printed from its syntax tree."""


def canonical_text(
    expression: logical.Expression, columns: Mapping[int, str], catalog: Catalog, node: syntax.Expression
) -> str:
    """The stored text of a bound expression; `columns` names column ids, `node` is what was written."""
    if any(isinstance(item, syntax.SqlValue) for item in walk(node)):
        return deparse_expression(node)  # CURRENT_DATE and its like keep their names
    try:
        return _Printer(columns, catalog).top(expression)
    except _NotPrinted:
        return deparse_expression(node)


class _Printer:
    def __init__(self, columns: Mapping[int, str], catalog: Catalog) -> None:
        self.columns = columns
        self.catalog = catalog
        self.case_values: list[str] = []

    def top(self, node: logical.Expression) -> str:
        """The whole expression; an implicit conversion of it is not shown (those of operands and arguments are)."""
        while (isinstance(node, logical.Cast) and node.implicit) or (
            isinstance(node, logical.ApplyTypmod) and not node.explicit
        ):
            node = node.operand
        return self.text(node)

    def text(self, node: logical.Expression) -> str:
        match node:
            case logical.Constant():
                return self.constant(node)
            case logical.ColumnRef(id=identifier) if identifier in self.columns:
                return quote_identifier(self.columns[identifier])
            case logical.Call():
                return self.call(node)
            case logical.Cast(operand=operand):
                return self.cast(operand, node.type, node.typmod)
            case logical.ApplyTypmod(operand=operand):
                inner = operand.operand if isinstance(operand, logical.Cast) else operand
                return self.cast(inner, node.type, node.typmod)
            case logical.BooleanOperation(operator=operator, arguments=arguments):
                return "(" + f" {operator.upper()} ".join(self.text(item) for item in arguments) + ")"
            case logical.Not(operand=operand):
                return f"(NOT {self.text(operand)})"
            case logical.NullTest(operand=operand, negated=negated, row=False):
                return f"({self.text(operand)} IS {'NOT ' if negated else ''}NULL)"
            case logical.BooleanTest(operand=operand, test=test, negated=negated):
                return f"({self.text(operand)} IS {'NOT ' if negated else ''}{test.upper()})"
            case logical.DistinctTest(left=left, right=right, negated=negated):
                return f"({self.text(left)} IS {'NOT ' if negated else ''}DISTINCT FROM {self.text(right)})"
            case logical.Coalesce(arguments=arguments):
                return f"COALESCE({self.list(arguments)})"
            case logical.NullIf(left=left, right=right):
                return f"NULLIF({self.text(left)}, {self.text(right)})"
            case logical.MinMax(greatest=greatest, arguments=arguments):
                return f"{'GREATEST' if greatest else 'LEAST'}({self.list(arguments)})"
            case logical.ArrayConstructor(elements=elements, nested=False) if elements:
                return f"ARRAY[{self.list(elements)}]"
            case logical.InList():
                return self.in_list(node)
            case logical.Quantified(
                operand=operand, array=array, comparison=logical.Call(operator=operator), all=every
            ) if operator:
                return f"({self.text(operand)} {operator} {'ALL' if every else 'ANY'} ({self.text(array)}))"
            case logical.CaseExpression(operand=None, branches=branches, otherwise=otherwise):
                parts = [f"WHEN {self.text(condition)} THEN {self.text(result)}" for condition, result in branches]
                return f"CASE {' '.join(parts)} ELSE {self.text(otherwise)} END"
        raise _NotPrinted

    def list(self, items: tuple[logical.Expression, ...]) -> str:
        return ", ".join(self.text(item) for item in items)

    def cast(self, operand: logical.Expression, type_oid: int, typmod: int) -> str:
        if type_oid >= 16384:
            raise _NotPrinted
        return f"{parenthesised(self.text(operand))}::{format_type(type_oid, typmod)}"

    def in_list(self, node: logical.InList) -> str:
        """x IN (…) is x = ANY (ARRAY[…]), x NOT IN (…) is x <> ALL (ARRAY[…])."""
        comparison = node.comparison
        if not isinstance(comparison, logical.Call) or comparison.operator not in ("=", "<>"):
            raise _NotPrinted
        items = self.list(node.items)
        operator = "<> ALL" if node.negated else "= ANY"
        return f"({self.text(node.operand)} {operator} (ARRAY[{items}]))"

    def call(self, node: logical.Call) -> str:
        if node.operator:
            if len(node.arguments) == 1:
                return f"({node.operator} {self.text(node.arguments[0])})"
            left, right = node.arguments
            return f"({self.text(left)} {node.operator} {self.text(right)})"
        proc = proc_by_oid(node.proc_oid)
        if proc.name in _SPECIAL_FUNCTIONS or node.variadic or proc.variadic:
            raise _NotPrinted
        if not proc.name.isidentifier():
            raise _NotPrinted
        return f"{quote_identifier(proc.name)}({self.list(node.arguments)})"

    def constant(self, node: logical.Constant) -> str:
        value, type_oid = node.value, node.type
        if type_oid >= 16384:
            raise _NotPrinted
        if value is None:
            return f"NULL::{format_type(type_oid, node.typmod)}"
        if type_oid == oids.BOOL:
            return "true" if value else "false"
        if type_oid == oids.INT4:
            return str(value) if value >= 0 else f"'{value}'::integer"
        if type_oid == oids.NUMERIC and isinstance(value, Decimal) and value.is_finite() and node.typmod == -1:
            text = format(value, "f")
            if "." in text or abs(value) > 2**63:
                return text if value >= 0 else f"'{text}'::numeric"
            return f"'{text}'::numeric"
        if type_oid == oids.REGCLASS:
            return self.regclass(int(value))
        text = type_by_oid(type_oid).output(value, cast("Context", _PlainStyle()))
        return f"{quote_literal(text)}::{format_type(type_oid, node.typmod)}"

    def regclass(self, oid: int) -> str:
        item = self.catalog.objects.get(oid)
        if item is None or isinstance(item, Schema | Role):
            raise _NotPrinted
        name = f"{quote_identifier(self.catalog.objects[item.schema].name)}.{quote_identifier(item.name)}"
        return f"{quote_literal(name)}::regclass"
