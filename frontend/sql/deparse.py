"""Syntax tree → SQL text, in the form in which PostgreSQL prints stored expressions and views.

    deparse_expression(tree)   as pg_get_expr: ((a > 1) AND (b = 'x'::text)); pretty: a > 1 AND b = 'x'::text
    deparse_query(tree)        as pg_get_viewdef without its line breaks and semicolon
    deparse_type(tree)         as format_type: integer, character varying(10), timestamp(3) with time zone
    quote_identifier(name), quote_literal(text)

Used to keep defaults, checks, views and index expressions as text and to show them in \\d. PostgreSQL prints an analysed
tree, this prints a syntax tree, so what analysis adds (types of literals, implicit casts, qualified columns) is printed
only if the tree has it: the binder writes it into the tree before it is stored. The layout is PostgreSQL's: operations in
parentheses (fewer when pretty), casts as `::`, keywords in capitals.

`parse(deparse(tree))` is the same tree but for positions (`syntax.same`); tests/frontend/sql/test_deparse.py proves it over
the whole corpus of statements.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from frontend.errors import SqlError
from frontend.sql import syntax
from frontend.sql.dialect import KEYWORDS
from frontend.sql.syntax import Expression, FromItem, Select, Target, TypeName

_PLAIN_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]*\Z")


def quote_identifier(name: str) -> str:
    """A name as it must be written: quoted if it is not plain lower case or is any but an unreserved keyword."""
    if _PLAIN_IDENTIFIER.match(name) and KEYWORDS.get(name, "U") == "U":
        return name
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def quote_literal(text: str) -> str:
    """A string literal; with backslashes as E'' so that it reads the same under every setting."""
    escaped = text.replace("'", "''")
    if "\\" in escaped:
        doubled = escaped.replace("\\", "\\\\")
        return f"E'{doubled}'"
    return f"'{escaped}'"


def _string(text: str) -> str:
    """A string constant of an expression; PostgreSQL prints these without E, for standard_conforming_strings."""
    escaped = text.replace("'", "''")
    return f"'{escaped}'"


def qualified(names: list[str]) -> str:
    return ".".join(quote_identifier(name) for name in names)


def relation(name: syntax.RelationName) -> str:
    return qualified([part for part in (name.catalog, name.schema, name.name) if part is not None])


_TYPE_WORDS = {
    "int4": "integer",
    "int2": "smallint",
    "int8": "bigint",
    "float4": "real",
    "float8": "double precision",
    "bool": "boolean",
    "numeric": "numeric",
    "varchar": "character varying",
    "bpchar": "character",
    "bit": "bit",
    "varbit": "bit varying",
    "interval": "interval",
    "time": "time",
    "timetz": "time",
    "timestamp": "timestamp",
    "timestamptz": "timestamp",
}


_ZONES = {
    "time": " without time zone",
    "timestamp": " without time zone",
    "timetz": " with time zone",
    "timestamptz": " with time zone",
}


# by what PostgreSQL's isSimpleNode says: what needs no parentheses as a part of another expression …
_PRIMARIES = (
    syntax.ColumnReference,
    syntax.Constant,
    syntax.Parameter,
    syntax.SqlValue,
    syntax.Case,
    syntax.ArrayConstructor,
    syntax.Row,
    syntax.Subscript,
    syntax.FieldSelection,
    syntax.SubqueryExpression,
    syntax.Coalesce,
    syntax.NullIf,
    syntax.MinMax,
    syntax.Grouping,
    syntax.SetToDefault,
    syntax.CurrentOf,
)
# … and what prints its own parentheses when the style is not pretty
_OPERATIONS = (
    syntax.Operator,
    syntax.Quantified,
    syntax.BooleanExpression,
    syntax.IsTest,
    syntax.JsonTest,
    syntax.Between,
    syntax.In,
    syntax.Like,
    syntax.Collate,
)
_SUMS = ("+", "-")
_PRODUCTS = ("*", "/", "%")


def _operator_name(name: str, schema: str | None) -> str:
    if schema is None:
        return name
    parts = ".".join(quote_identifier(part) for part in schema.split("."))
    return f"OPERATOR({parts}.{name})"


def _function_name(names: list[str]) -> str:
    """A function's name: keywords that may name functions stand unquoted, those that may not are quoted."""
    if len(names) == 1:
        category = KEYWORDS.get(names[0], "U")
        if category == "T" and _PLAIN_IDENTIFIER.match(names[0]):
            return f'"{names[0]}"'
    return qualified(names)


def _column_list(columns: list[str]) -> str:
    return f"({', '.join(quote_identifier(name) for name in columns)})" if columns else ""


def _locking(locking: syntax.Locking) -> str:
    text = "FOR " + locking.strength.upper()
    if locking.relations:
        text += " OF " + ", ".join(relation(name) for name in locking.relations)
    return text if locking.wait == "block" else f"{text} {locking.wait.upper()}"


def _from_alias(alias: syntax.Alias | None) -> str:
    return "" if alias is None else f" {quote_identifier(alias.name)}{_column_list(alias.columns)}"


def _alias(alias: syntax.Alias | None) -> str:
    return "" if alias is None else f" AS {quote_identifier(alias.name)}{_column_list(alias.columns)}"


_BARE_IN_INDEX = (syntax.FunctionCall, syntax.Coalesce, syntax.NullIf, syntax.MinMax, syntax.SqlValue)


_PARENTHESISED_SYNTAX = ("is normalized", "at time zone", "overlaps")


def _option(option: syntax.Option) -> str:
    name = quote_identifier(option.name)
    if option.namespace is not None:
        name = f"{quote_identifier(option.namespace)}.{name}"
    if option.value is None:
        return name
    value = option.value if isinstance(option.value, str) else ", ".join(option.value)
    return f"{name}={quote_literal(value)}"


def _is_wordy(node: syntax.FunctionCall) -> bool:
    """Whether the call is written as an operator of words, which needs parentheses inside of others."""
    return node.syntax in ("is normalized", "at time zone", "overlaps")


def _is_simple(node: Expression, parent: Expression) -> bool:
    """Whether pretty printing leaves out the parentheses of an operation in its parent (isSimpleNode)."""
    if isinstance(parent, syntax.BooleanExpression):
        if isinstance(node, syntax.BooleanExpression):
            # a chain inside of one of its kind keeps its parentheses: it was not written flat
            return parent.kind != "not" and (node.kind == "not" or (node.kind, parent.kind) == ("and", "or"))
        return isinstance(node, _OPERATIONS)
    if isinstance(node, syntax.Operator) and isinstance(parent, syntax.Operator):
        if node.left is None or parent.left is None or node.schema or parent.schema:
            return False
        if node.name in _PRODUCTS and parent.name in _SUMS:
            return True
        same_rank = (node.name in _SUMS and parent.name in _SUMS) or (
            node.name in _PRODUCTS and parent.name in _PRODUCTS
        )
        return same_rank and parent.left is node
    return False


class Deparser:
    """Prints trees in one style.

    Args:
        pretty: leave out parentheses as pg_get_expr(…, true) does, which psql shows; otherwise print them all, as for
            pg_dump and for storing.
    """

    __slots__ = ("indentation", "pretty")

    def __init__(self, *, pretty: bool = False) -> None:
        self.pretty = pretty
        self.indentation = 0

    def type_name(self, name: TypeName) -> str:
        """A type's name as format_type prints it."""
        modifiers = f"({','.join(self.expression(item) for item in name.modifiers)})" if name.modifiers else ""
        names = name.names
        if len(names) == 2 and names[0] == "pg_catalog" and names[1] in _TYPE_WORDS and not name.percent_type:
            kind = names[1]
            text = _TYPE_WORDS[kind]
            if kind in ("bpchar", "bit") and not modifiers:
                text = f"pg_catalog.{kind}"  # `character` without a length would be character(1)
            if kind == "interval" and name.interval_fields:
                text += " " + name.interval_fields
            text += modifiers + _ZONES.get(kind, "")
        else:
            text = qualified(names) + ("%TYPE" if name.percent_type else modifiers)
        text += "".join("[]" if size < 0 else f"[{size}]" for size in name.dimensions)
        return "SETOF " + text if name.setof else text

    def expression(self, node: Expression) -> str:
        """An expression that stands alone or in a list: in parentheses of its own unless the style is pretty."""
        text = self._bare(node)
        return f"({text})" if not self.pretty and isinstance(node, _OPERATIONS) else text

    def _bare(self, node: Expression) -> str:
        writer = _WRITERS.get(type(node))
        if writer is None:
            raise TypeError(f"no text form for {type(node).__name__}")
        return writer(self, node)

    def _list(self, nodes: list[Expression]) -> str:
        return ", ".join(self.expression(node) for node in nodes)

    def _operand(self, node: Expression, parent: Expression | None = None) -> str:
        """An expression as part of `parent`: in parentheses unless it cannot be misread."""
        text = self._bare(node)
        if isinstance(node, _PRIMARIES) or (isinstance(node, syntax.FunctionCall) and not _is_wordy(node)):
            return text
        if isinstance(node, syntax.Cast) and (self.pretty or not isinstance(parent, syntax.Cast)):
            return text
        if self.pretty and parent is not None and _is_simple(node, parent):
            return text
        return f"({text})"

    def _operator(self, node: syntax.Operator) -> str:
        name = _operator_name(node.name, node.schema)
        right = self._operand(node.right, node)
        if node.left is None:
            return f"{name} {right}"
        gap = "" if right.startswith("\n") else " "
        return f"{self._operand(node.left, node)} {name}{gap}{right}"

    def _quantified(self, node: syntax.Quantified) -> str:
        inside = self.query(node.query) if node.query is not None else ""
        if node.array is not None:
            inside = self.expression(node.array)
            if isinstance(node.array, syntax.SubqueryExpression) and node.array.kind == "scalar":
                inside = f"({inside})"  # one pair would make it the query itself
        name = _operator_name(node.name, node.schema)
        return f"{self._operand(node.left)} {name} {node.kind.upper()} ({inside})"

    def _boolean(self, node: syntax.BooleanExpression) -> str:
        if node.kind == "not":
            return f"NOT {self._operand(node.arguments[0], node)}"
        return f" {node.kind.upper()} ".join(self._operand(argument, node) for argument in node.arguments)

    def _is_test(self, node: syntax.IsTest) -> str:
        negation = "NOT " if node.negated else ""
        if node.other is not None:
            return f"{self._operand(node.operand)} IS {negation}DISTINCT FROM {self._operand(node.other)}"
        return f"{self._operand(node.operand)} IS {negation}{node.kind.upper()}"

    def _json_test(self, node: syntax.JsonTest) -> str:
        text = f"{self._operand(node.operand)} IS {'NOT ' if node.negated else ''}JSON"
        if node.kind != "value":
            text += " " + node.kind.upper()
        return text + (" WITH UNIQUE KEYS" if node.unique_keys else "")

    def _between(self, node: syntax.Between) -> str:
        negation = "NOT " if node.negated else ""
        symmetric = " SYMMETRIC" if node.symmetric else ""
        bounds = f"{self._operand(node.low)} AND {self._operand(node.high)}"
        return f"{self._operand(node.operand)} {negation}BETWEEN{symmetric} {bounds}"

    def _in(self, node: syntax.In) -> str:
        negation = "NOT " if node.negated else ""
        if node.query is not None:
            return f"{self._operand(node.operand)} {negation}IN ({self.query(node.query)})"
        items = self._list(node.items)
        alone = node.items[0] if len(node.items) == 1 else None
        if isinstance(alone, syntax.SubqueryExpression) and alone.kind == "scalar":
            items = f"({items})"
        return f"{self._operand(node.operand)} {negation}IN ({items})"

    def _like(self, node: syntax.Like) -> str:
        word = {"like": "LIKE", "ilike": "ILIKE", "similar": "SIMILAR TO"}[node.kind]
        text = f"{self._operand(node.operand)} {'NOT ' if node.negated else ''}{word} {self._operand(node.pattern)}"
        return text if node.escape is None else f"{text} ESCAPE {self._operand(node.escape)}"

    def _case(self, node: syntax.Case) -> str:
        """On lines of its own, as PostgreSQL prints CASE in every style."""
        edge = "\n" + " " * self.indentation
        self.indentation += 4
        inside = "\n" + " " * self.indentation
        text = f"{edge}CASE"
        if node.operand is not None:
            text += " " + self.expression(node.operand)
        for when in node.whens:
            text += f"{inside}WHEN {self.expression(when.condition)} THEN {self.expression(when.result)}"
        if node.default is not None:
            text += f"{inside}ELSE {self.expression(node.default)}"
        self.indentation -= 4
        return f"{text}{edge}END"

    def _cast(self, node: syntax.Cast) -> str:
        name = self.type_name(node.type)
        if node.literal and isinstance(node.operand, syntax.Constant):
            # printed as a cast would be shorter, but INTERVAL's fields and the tree want it as it was
            return self._typed_literal(node, node.operand)
        operand = node.operand
        literal = isinstance(operand, syntax.Parameter) or (
            isinstance(operand, syntax.Constant) and operand.kind in ("string", "null", "bit")
        )
        text = self._operand(operand, node) if self.pretty or literal else f"({self.expression(operand)})"
        return f"{text}::{name}"

    def _typed_literal(self, node: syntax.Cast, constant: syntax.Constant) -> str:
        value = _string(constant.value)
        name = node.type
        if name.names == ["pg_catalog", "interval"] and name.interval_fields:
            precision = f"({self._list(name.modifiers)})" if name.modifiers else ""
            return f"interval {value} {name.interval_fields}{precision}"
        if name.names in (["pg_catalog", "bpchar"], ["pg_catalog", "bit"]) and not name.modifiers:
            return f"{qualified(name.names)} {value}"
        return f"{self.type_name(name)} {value}"

    def _collate(self, node: syntax.Collate) -> str:
        return f"{self._operand(node.operand)} COLLATE {qualified(node.names)}"

    def _array(self, node: syntax.ArrayConstructor) -> str:
        return f"ARRAY[{self._list(node.elements)}]"

    def _row(self, node: syntax.Row) -> str:
        return f"{'ROW' if node.explicit else ''}({self._list(node.elements)})"

    def _indirection_base(self, node: Expression) -> str:
        """What may be followed by brackets or a field without parentheses, and all else in them."""
        text = self._bare(node)
        if isinstance(node, syntax.Parameter | syntax.Subscript | syntax.FieldSelection):
            return text
        if isinstance(node, syntax.SubqueryExpression) and node.kind == "scalar":
            return text
        return f"({text})"

    def _subscript(self, node: syntax.Subscript) -> str:
        base = node.operand
        text = self._column(base) if isinstance(base, syntax.ColumnReference) else self._indirection_base(base)
        return text + self._indexes(node.indexes)

    def _indexes(self, indexes: list[syntax.Index]) -> str:
        text = ""
        for index in indexes:
            upper = "" if index.upper is None else self.expression(index.upper)
            lower = "" if index.lower is None else self.expression(index.lower)
            text += f"[{lower}:{upper}]" if index.slice else f"[{upper}]"
        return text

    def _field(self, node: syntax.FieldSelection) -> str:
        name = "*" if node.name is None else quote_identifier(node.name)
        return f"{self._indirection_base(node.operand)}.{name}"

    def _subquery(self, node: syntax.SubqueryExpression) -> str:
        word = {"scalar": "", "exists": "EXISTS ", "array": "ARRAY"}[node.kind]
        text = f"{word}({self.query(node.query)})"
        return f"({text})" if node.kind == "exists" else text

    def _coalesce(self, node: syntax.Coalesce) -> str:
        return f"COALESCE({self._list(node.arguments)})"

    def _nullif(self, node: syntax.NullIf) -> str:
        return f"NULLIF({self.expression(node.left)}, {self.expression(node.right)})"

    def _min_max(self, node: syntax.MinMax) -> str:
        return f"{node.kind.upper()}({self._list(node.arguments)})"

    def _grouping(self, node: syntax.Grouping) -> str:
        return f"GROUPING({self._list(node.arguments)})"

    def _named_argument(self, node: syntax.NamedArgument) -> str:
        return f"{quote_identifier(node.name)} => {self.expression(node.value)}"

    def _grouping_set(self, node: syntax.GroupingSet) -> str:
        if node.kind == "empty":
            return "()"
        word = {"rollup": "ROLLUP", "cube": "CUBE", "sets": "GROUPING SETS"}[node.kind]
        return f"{word} ({self._list(node.items)})"

    def _function(self, node: syntax.FunctionCall) -> str:
        if node.syntax:
            return self._special(node)
        name = _function_name(node.names)
        inside = "*" if node.star else self._list(node.arguments)
        if node.variadic:
            inside = ", ".join(
                [self._list(node.arguments[:-1])] * (len(node.arguments) > 1) + [self._variadic(node.arguments[-1])]
            )
        if node.distinct:
            inside = "DISTINCT " + inside
        if node.order_by:
            inside += " ORDER BY " + self._sort_items(node.order_by)
        text = f"{name}({inside})"
        if node.within_group:
            text += f" WITHIN GROUP (ORDER BY {self._sort_items(node.within_group)})"
        if node.filter is not None:
            text += f" FILTER (WHERE {self.expression(node.filter)})"
        if node.over is not None:
            over = node.over
            text += " OVER " + (quote_identifier(over.name) if over.name is not None else self._window(over))
        return text

    def _variadic(self, argument: Expression) -> str:
        return "VARIADIC " + self.expression(argument)

    def _special(self, node: syntax.FunctionCall) -> str:
        """The special syntaxes as they are written; the arguments are in the order of the function."""
        function = node.names[-1]
        arguments = node.arguments
        text = [self.expression(argument) for argument in arguments]
        closed = [self._operand(argument) for argument in arguments]
        if node.syntax == "extract":
            field = arguments[0]
            name = quote_literal(field.value) if isinstance(field, syntax.Constant) else text[0]
            if (
                isinstance(field, syntax.Constant)
                and _PLAIN_IDENTIFIER.match(field.value)
                and field.value not in KEYWORDS
            ):
                name = field.value
            return f"EXTRACT({name} FROM {text[1]})"
        if node.syntax == "substring":
            return f"SUBSTRING({text[0]} FROM {text[1]}" + (f" FOR {text[2]})" if len(text) > 2 else ")")
        if node.syntax == "substring similar":
            return f"SUBSTRING({text[0]} SIMILAR {text[1]} ESCAPE {text[2]})"
        if node.syntax == "overlay":
            length = f" FOR {text[3]}" if len(text) > 3 else ""
            return f"OVERLAY({text[0]} PLACING {text[1]} FROM {text[2]}{length})"
        if node.syntax == "position":
            return f"POSITION(({text[1]}) IN ({text[0]}))"
        if node.syntax == "trim":
            side = {"btrim": "BOTH", "ltrim": "LEADING", "rtrim": "TRAILING"}[function]
            if len(text) == 2:
                return f"TRIM({side} {text[1]} FROM {text[0]})"
            return f"TRIM({side} FROM {', '.join(text)})"
        if node.syntax == "normalize":
            form = arguments[1] if len(arguments) > 1 else None
            return f"NORMALIZE({text[0]}{f', {form.value}' if isinstance(form, syntax.Constant) else ''})"
        if node.syntax == "is normalized":
            form = arguments[1] if len(arguments) > 1 else None
            return f"({closed[0]} IS {f'{form.value} ' if isinstance(form, syntax.Constant) else ''}NORMALIZED)"
        if node.syntax == "at time zone":
            return f"({closed[1]} AT TIME ZONE {closed[0]})"
        if node.syntax == "overlaps":
            return f"(({text[0]}, {text[1]}) OVERLAPS ({text[2]}, {text[3]}))"
        if node.syntax == "collation for":
            return f"COLLATION FOR ({text[0]})"
        raise TypeError(f"no text form for the function syntax {node.syntax}")

    def _sort_items(self, items: list[syntax.SortItem]) -> str:
        return ", ".join(self._sort_item(item) for item in items)

    def _sortable(self, node: Expression) -> str:
        """An item of ORDER BY or GROUP BY, with the parentheses that PostgreSQL puts around what is no plain column."""
        text = self.expression(node)
        if isinstance(node, syntax.ColumnReference | syntax.Constant | syntax.Parameter | syntax.GroupingSet):
            return text
        return f"({text})" if self.pretty or isinstance(node, syntax.FunctionCall) else text

    def _sort_item(self, item: syntax.SortItem) -> str:
        text = self._sortable(item.expression)
        if item.using is not None:
            name = item.using
            text += f" USING {_operator_name(name.name, name.schema)}"
        elif item.descending:
            text += " DESC"
        if item.nulls_first is not None:
            text += " NULLS FIRST" if item.nulls_first else " NULLS LAST"
        return text

    def _window(self, window: syntax.WindowDefinition) -> str:
        parts = []
        if window.reference is not None:
            parts.append(quote_identifier(window.reference))
        if window.partition_by:
            parts.append("PARTITION BY " + self._list(window.partition_by))
        if window.order_by:
            parts.append("ORDER BY " + self._sort_items(window.order_by))
        if window.frame is not None:
            parts.append(self._frame(window.frame))
        return f"({' '.join(parts)})"

    def _frame(self, frame: syntax.Frame) -> str:
        text = frame.mode.upper() + " "
        start = self._bound(frame.start)
        text += start if frame.end is None else f"BETWEEN {start} AND {self._bound(frame.end)}"
        return text if frame.exclusion is None else f"{text} EXCLUDE {frame.exclusion.upper()}"

    def _bound(self, bound: syntax.FrameBound) -> str:
        if bound.offset is None:
            return bound.kind.upper()
        return f"{self._operand(bound.offset)} {bound.kind.split()[1].upper()}"

    def query(self, query: Select) -> str:
        """A query on one line, without a semicolon."""
        parts = []
        if query.with_ is not None:
            parts.append(self._with(query.with_))
        if query.operation is not None:
            assert query.left is not None
            assert query.right is not None
            word = query.operation.upper() + (" ALL" if query.all_rows else "")
            parts.append(f"{self._branch(query.left, query)} {word} {self._branch(query.right, query)}")
        elif query.values is not None:
            rows = (",".join(self.expression(value) for value in row) for row in query.values)
            parts.append("VALUES " + ", ".join(f"({row})" for row in rows))
        else:
            parts.append(self._select(query))
        if query.order_by:
            parts.append("ORDER BY " + self._sort_items(query.order_by))
        if query.offset is not None:
            parts.append("OFFSET " + self._operand(query.offset))
        if query.limit is not None:
            if query.with_ties:
                parts.append(f"FETCH FIRST ({self.expression(query.limit)}) ROWS WITH TIES")
            else:
                parts.append("LIMIT " + self._operand(query.limit))
        parts.extend(_locking(locking) for locking in query.locking)
        return " ".join(parts)

    def _branch(self, query: Select, parent: Select) -> str:
        """One side of a set operation: in parentheses where it has clauses of its own or is one that binds otherwise."""
        text = self.query(query)
        own = query.order_by or query.limit or query.offset or query.locking or query.with_
        same = (query.operation, query.all_rows) == (parent.operation, parent.all_rows) and query is parent.left
        return f"({text})" if own or (query.operation is not None and not same) else text

    def _with(self, with_: syntax.With) -> str:
        tables = ", ".join(self._common_table(table) for table in with_.tables)
        return f"WITH {'RECURSIVE ' if with_.recursive else ''}{tables}"

    def _common_table(self, table: syntax.CommonTable) -> str:
        text = quote_identifier(table.name) + _column_list(table.columns) + " AS "
        if table.materialized is not None:
            text += "MATERIALIZED " if table.materialized else "NOT MATERIALIZED "
        return f"{text}({self.row_statement(table.query)})"

    def _select(self, query: Select) -> str:
        text = "SELECT"
        if query.distinct is not None:
            text += " DISTINCT" + (f" ON ({self._list(query.distinct)})" if query.distinct else "")
        if query.targets:
            text += " " + self._targets(query.targets)
        if query.into is not None:
            word = {"permanent": "", "temporary": "TEMPORARY TABLE ", "unlogged": "UNLOGGED TABLE "}
            text += f" INTO {word[query.into.persistence]}{relation(query.into.relation)}"
        if query.from_:
            text += " FROM " + self._from_list(query.from_)
        if query.where is not None:
            text += " WHERE " + self.expression(query.where)
        if query.group_by:
            text += f" GROUP BY {'DISTINCT ' if query.group_distinct else ''}{', '.join(self._sortable(item) for item in query.group_by)}"
        if query.having is not None:
            text += " HAVING " + self.expression(query.having)
        if query.windows:
            named = (f"{quote_identifier(window.name or '')} AS {self._window(window)}" for window in query.windows)
            text += " WINDOW " + ", ".join(named)
        return text

    def _targets(self, targets: list[Target]) -> str:
        return ", ".join(self._target(target) for target in targets)

    def _target(self, target: Target) -> str:
        text = self.expression(target.expression)
        return text if target.alias is None else f"{text} AS {quote_identifier(target.alias)}"

    def _from_list(self, items: list[FromItem]) -> str:
        return ", ".join(self._from_item(item) for item in items)

    def _from_item(self, item: FromItem) -> str:
        if isinstance(item, syntax.TableItem):
            return self._table(item)
        if isinstance(item, syntax.SubqueryItem):
            return f"{'LATERAL ' if item.lateral else ''}({self.query(item.query)}){_from_alias(item.alias)}"
        if isinstance(item, syntax.FunctionItem):
            return self._function_item(item)
        if isinstance(item, syntax.JoinItem):
            text = self._join(item)
            bare = self.pretty and item.alias is None
            return text if bare else f"({text}){_from_alias(item.alias)}"
        raise TypeError(f"no text form for {type(item).__name__}")

    def _table(self, item: syntax.TableItem) -> str:
        text = ("ONLY " if item.only else "") + relation(item.relation) + _from_alias(item.alias)
        sample = item.sample
        if sample is not None:
            text += f" TABLESAMPLE {qualified(sample.method)} ({self._list(sample.arguments)})"
            if sample.repeatable is not None:
                text += f" REPEATABLE ({self.expression(sample.repeatable)})"
        return text

    def _record_columns(self, columns: list[syntax.RecordColumn]) -> str:
        def one(column: syntax.RecordColumn) -> str:
            collation = f" COLLATE {qualified(column.collation)}" if column.collation else ""
            return f"{quote_identifier(column.name)} {self.type_name(column.type)}{collation}"

        return f"({', '.join(one(column) for column in columns)})"

    def _modified_table(self, item: syntax.TableItem) -> str:
        """The target of UPDATE, DELETE and MERGE; its alias may be a word that needs AS."""
        return ("ONLY " if item.only else "") + relation(item.relation) + _alias(item.alias)

    def _function_item(self, item: syntax.FunctionItem) -> str:
        calls = []
        for call in item.calls:
            text = self.expression(call.call)
            if isinstance(call.call, syntax.Cast):
                text = f"CAST({self.expression(call.call.operand)} AS {self.type_name(call.call.type)})"
            calls.append(text + (f" AS {self._record_columns(call.columns)}" if call.columns else ""))
        text = f"ROWS FROM ({', '.join(calls)})" if item.rows_from else calls[0]
        if item.lateral:
            text = "LATERAL " + text
        if item.ordinality:
            text += " WITH ORDINALITY"
        if item.columns:
            name = f" {quote_identifier(item.alias.name)}" if item.alias is not None else ""
            return f"{text} AS{name} {self._record_columns(item.columns)}"
        return text + _from_alias(item.alias)

    def _join(self, item: syntax.JoinItem) -> str:
        right = self._from_item(item.right)
        if self.pretty and isinstance(item.right, syntax.JoinItem) and item.right.alias is None:
            right = f"({right})"
        word = {"inner": "JOIN", "left": "LEFT JOIN", "right": "RIGHT JOIN", "full": "FULL JOIN"}[item.kind]
        if item.natural:
            return f"{self._from_item(item.left)} NATURAL {word} {right}"
        if item.condition is None and not item.using:
            return f"{self._from_item(item.left)} CROSS JOIN {right}"
        if item.using:
            using_alias = f" AS {quote_identifier(item.using_alias)}" if item.using_alias is not None else ""
            return f"{self._from_item(item.left)} {word} {right} USING {_column_list(item.using)}{using_alias}"
        assert item.condition is not None
        return f"{self._from_item(item.left)} {word} {right} ON ({self.expression(item.condition)})"

    def row_statement(self, statement: syntax.Statement) -> str:
        """A query, INSERT, UPDATE, DELETE or MERGE.

        Raises: SqlError 0A000 for any other statement.
        """
        if isinstance(statement, Select):
            return self.query(statement)
        if isinstance(statement, syntax.Insert):
            text = self._insert(statement)
        elif isinstance(statement, syntax.Update):
            text = f"UPDATE {self._modified_table(statement.target)} SET {self._assignments(statement.assignments)}"
            if statement.from_:
                text += " FROM " + self._from_list(statement.from_)
            text += self._where(statement.where) + self._returning(statement.returning)
        elif isinstance(statement, syntax.Delete):
            text = f"DELETE FROM {self._modified_table(statement.target)}"
            if statement.using:
                text += " USING " + self._from_list(statement.using)
            text += self._where(statement.where) + self._returning(statement.returning)
        elif isinstance(statement, syntax.Merge):
            text = f"MERGE INTO {self._modified_table(statement.target)} USING {self._from_item(statement.source)}"
            text += f" ON ({self.expression(statement.condition)})"
            text += "".join(" " + self._merge_when(when) for when in statement.whens)
        else:
            raise SqlError("0A000", f"deparsing of {type(statement).__name__} is not supported")
        return text if statement.with_ is None else f"{self._with(statement.with_)} {text}"

    def _where(self, where: Expression | None) -> str:
        return "" if where is None else " WHERE " + self.expression(where)

    def _returning(self, targets: list[Target]) -> str:
        return " RETURNING " + self._targets(targets) if targets else ""

    def _insert_column(self, column: syntax.InsertColumn) -> str:
        text = quote_identifier(column.name)
        for step in column.steps:
            text += f".{quote_identifier(step)}" if isinstance(step, str) else self._indexes([step])
        return text

    def _insert_columns(self, columns: list[syntax.InsertColumn]) -> str:
        return f"({', '.join(self._insert_column(column) for column in columns)})"

    def _assignments(self, assignments: list[syntax.Assignment]) -> str:
        def one(assignment: syntax.Assignment) -> str:
            value = self.expression(assignment.value)
            if assignment.multiple:
                return f"{self._insert_columns(assignment.columns)} = {value}"
            return f"{self._insert_column(assignment.columns[0])} = {value}"

        return ", ".join(one(assignment) for assignment in assignments)

    def _insert(self, statement: syntax.Insert) -> str:
        text = f"INSERT INTO {relation(statement.relation)}{_alias(statement.alias)}"
        if statement.columns:
            text += " " + self._insert_columns(statement.columns)
        if statement.overriding is not None:
            text += f" OVERRIDING {statement.overriding.upper()} VALUE"
        text += " DEFAULT VALUES" if statement.query is None else " " + self.query(statement.query)
        conflict = statement.on_conflict
        if conflict is not None:
            text += " ON CONFLICT"
            target = conflict.target
            if target is not None and target.constraint is not None:
                text += f" ON CONSTRAINT {quote_identifier(target.constraint)}"
            elif target is not None:
                text += f" ({', '.join(self.index_element(element) for element in target.elements)})"
                text += self._where(target.where)
            if conflict.assignments is None:
                text += " DO NOTHING"
            else:
                text += f" DO UPDATE SET {self._assignments(conflict.assignments)}{self._where(conflict.where)}"
        return text + self._returning(statement.returning)

    def _merge_when(self, when: syntax.MergeWhen) -> str:
        text = f"WHEN {'' if when.matched else 'NOT '}MATCHED"
        if when.condition is not None:
            text += f" AND {self._operand(when.condition)}"
        if when.action == "nothing":
            return text + " THEN DO NOTHING"
        if when.action == "delete":
            return text + " THEN DELETE"
        if when.action == "update":
            return f"{text} THEN UPDATE SET {self._assignments(when.assignments)}"
        text += " THEN INSERT"
        if when.columns:
            text += " " + self._insert_columns(when.columns)
        if when.overriding is not None:
            text += f" OVERRIDING {when.overriding.upper()} VALUE"
        return text + (" DEFAULT VALUES" if when.values is None else f" VALUES ({self._list(when.values)})")

    def index_element(self, element: syntax.IndexElement) -> str:
        """A column or expression of an index, as pg_get_indexdef prints it: functions bare, other expressions in ( )."""
        if element.name is not None:
            text = quote_identifier(element.name)
        else:
            assert element.expression is not None
            text = self.expression(element.expression)
            if not isinstance(element.expression, _BARE_IN_INDEX) or (
                isinstance(element.expression, syntax.FunctionCall)
                and element.expression.syntax in _PARENTHESISED_SYNTAX
            ):
                text = f"({text})"
        if element.collation:
            text += f" COLLATE {qualified(element.collation)}"
        if element.opclass:
            text += f" {qualified(element.opclass)}"
            if element.opclass_options:
                text += f" ({', '.join(_option(option) for option in element.opclass_options)})"
        if element.descending:
            text += " DESC"
        if element.nulls_first is not None and element.nulls_first != element.descending:
            text += " NULLS FIRST" if element.nulls_first else " NULLS LAST"
        return text

    def _column(self, node: syntax.ColumnReference) -> str:
        parts = [quote_identifier(name) for name in node.names]
        if node.star:
            parts.append("*")
        return ".".join(parts)

    def _constant(self, node: syntax.Constant) -> str:
        if node.kind == "string":
            return _string(node.value)
        if node.kind == "bit":
            return f"{node.value[0].upper()}'{node.value[1:]}'"
        if node.kind == "null":
            return "NULL"
        return node.value

    def _parameter(self, node: syntax.Parameter) -> str:
        return f"${node.number}"

    def _default(self, node: syntax.SetToDefault) -> str:
        return "DEFAULT"

    def _current_of(self, node: syntax.CurrentOf) -> str:
        return f"CURRENT OF {quote_identifier(node.cursor)}"

    def _sql_value(self, node: syntax.SqlValue) -> str:
        precision = "" if node.precision is None else f"({node.precision})"
        return node.name.upper() + precision


_WRITERS: dict[type[Expression], Callable[..., str]] = {
    syntax.ColumnReference: Deparser._column,
    syntax.Constant: Deparser._constant,
    syntax.Parameter: Deparser._parameter,
    syntax.FunctionCall: Deparser._function,
    syntax.NamedArgument: Deparser._named_argument,
    syntax.SqlValue: Deparser._sql_value,
    syntax.Operator: Deparser._operator,
    syntax.Quantified: Deparser._quantified,
    syntax.BooleanExpression: Deparser._boolean,
    syntax.IsTest: Deparser._is_test,
    syntax.JsonTest: Deparser._json_test,
    syntax.Between: Deparser._between,
    syntax.In: Deparser._in,
    syntax.Like: Deparser._like,
    syntax.Case: Deparser._case,
    syntax.Cast: Deparser._cast,
    syntax.Collate: Deparser._collate,
    syntax.ArrayConstructor: Deparser._array,
    syntax.Row: Deparser._row,
    syntax.Subscript: Deparser._subscript,
    syntax.FieldSelection: Deparser._field,
    syntax.SubqueryExpression: Deparser._subquery,
    syntax.Coalesce: Deparser._coalesce,
    syntax.NullIf: Deparser._nullif,
    syntax.MinMax: Deparser._min_max,
    syntax.Grouping: Deparser._grouping,
    syntax.SetToDefault: Deparser._default,
    syntax.CurrentOf: Deparser._current_of,
    syntax.GroupingSet: Deparser._grouping_set,
}


def deparse_expression(node: Expression, *, pretty: bool = False) -> str:
    """An expression as pg_get_expr prints it."""
    return Deparser(pretty=pretty).expression(node)


def deparse_query(query: Select, *, pretty: bool = False) -> str:
    """A query on one line, without a semicolon."""
    return Deparser(pretty=pretty).query(query)


def deparse_row_statement(statement: syntax.Statement, *, pretty: bool = False) -> str:
    """A query, INSERT, UPDATE, DELETE or MERGE.

    Raises: SqlError 0A000 for any other statement.
    """
    return Deparser(pretty=pretty).row_statement(statement)


def deparse_type(name: TypeName) -> str:
    """A type's name as format_type prints it."""
    return Deparser().type_name(name)


def deparse_index_element(element: syntax.IndexElement, *, pretty: bool = False) -> str:
    """A column or expression of an index, as pg_get_indexdef prints it: functions bare, other expressions in ( )."""
    return Deparser(pretty=pretty).index_element(element)
