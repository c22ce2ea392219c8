"""Syntax tree → SQL text, in the form in which PostgreSQL prints stored expressions and views.

    deparse_expression(tree)   as pg_get_expr: (a > 1) AND (b = 'x'::text)
    deparse_query(tree)        as pg_get_viewdef without its line breaks and semicolon
    deparse_type(tree)         as format_type: integer, character varying(10), timestamp(3) with time zone
    quote_identifier(name), quote_literal(text)

Used to keep defaults, checks, views and index expressions as text and to show them in \\d. PostgreSQL prints an analysed
tree, this prints a syntax tree, so what analysis adds (types of literals, implicit casts, qualified columns) is printed
only if the tree has it: the binder writes it into the tree before it is stored. The layout is PostgreSQL's: every operator
expression in parentheses except at the top, casts as `::`, keywords in capitals.

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


def qualified(names: list[str]) -> str:
    return ".".join(quote_identifier(name) for name in names)


def relation(name: syntax.RelationName) -> str:
    return qualified([part for part in (name.catalog, name.schema, name.name) if part is not None])


# ----------------------------------------------------------------------------------------------------------------- types

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


def deparse_type(name: TypeName) -> str:
    """A type's name as format_type prints it."""
    modifiers = f"({', '.join(deparse_expression(item) for item in name.modifiers)})" if name.modifiers else ""
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


# ----------------------------------------------------------------------------------------------------------- expressions


def deparse_expression(node: Expression) -> str:
    """An expression with parentheses inside but none around it, as pg_get_expr prints one of a CHECK or DEFAULT."""
    writer = _WRITERS.get(type(node))
    if writer is None:
        raise TypeError(f"no text form for {type(node).__name__}")
    return writer(node)


def _list(nodes: list[Expression]) -> str:
    return ", ".join(deparse_expression(node) for node in nodes)


def _operand(node: Expression) -> str:
    """An expression as part of another one: in parentheses unless it is a primary."""
    text = deparse_expression(node)
    return text if isinstance(node, _PRIMARIES) else f"({text})"


_PRIMARIES = (
    syntax.ColumnReference,
    syntax.Constant,
    syntax.Parameter,
    syntax.FunctionCall,
    syntax.SqlValue,
    syntax.Case,
    syntax.Cast,
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
)


def _column(node: syntax.ColumnReference) -> str:
    parts = [quote_identifier(name) for name in node.names]
    if node.star:
        parts.append("*")
    return ".".join(parts)


def _constant(node: syntax.Constant) -> str:
    if node.kind == "string":
        return quote_literal(node.value)
    if node.kind == "bit":
        return f"{node.value[0].upper()}'{node.value[1:]}'"
    if node.kind == "null":
        return "NULL"
    return node.value


def _parameter(node: syntax.Parameter) -> str:
    return f"${node.number}"


def _operator_name(name: str, schema: str | None) -> str:
    if schema is None:
        return name
    parts = ".".join(quote_identifier(part) for part in schema.split("."))
    return f"OPERATOR({parts}.{name})"


def _operator(node: syntax.Operator) -> str:
    name = _operator_name(node.name, node.schema)
    right = _operand(node.right)
    if node.left is None:
        return f"{name} {right}"
    return f"{_operand(node.left)} {name} {right}"


def _quantified(node: syntax.Quantified) -> str:
    inside = deparse_query(node.query) if node.query is not None else ""
    if node.array is not None:
        inside = deparse_expression(node.array)
        if isinstance(node.array, syntax.SubqueryExpression) and node.array.kind == "scalar":
            inside = f"({inside})"  # one pair would make it the query itself
    name = _LIKE_WORDS.get(node.name, node.name) if node.schema is None else _operator_name(node.name, node.schema)
    return f"{_operand(node.left)} {name} {node.kind.upper()} ({inside})"


_LIKE_WORDS: dict[str, str] = {}


def _boolean(node: syntax.BooleanExpression) -> str:
    if node.kind == "not":
        return f"NOT {_operand(node.arguments[0])}"
    return f" {node.kind.upper()} ".join(_operand(argument) for argument in node.arguments)


def _is_test(node: syntax.IsTest) -> str:
    negation = "NOT " if node.negated else ""
    if node.other is not None:
        return f"{_operand(node.operand)} IS {negation}DISTINCT FROM {_operand(node.other)}"
    return f"{_operand(node.operand)} IS {negation}{node.kind.upper()}"


def _json_test(node: syntax.JsonTest) -> str:
    text = f"{_operand(node.operand)} IS {'NOT ' if node.negated else ''}JSON"
    if node.kind != "value":
        text += " " + node.kind.upper()
    return text + (" WITH UNIQUE KEYS" if node.unique_keys else "")


def _between(node: syntax.Between) -> str:
    negation = "NOT " if node.negated else ""
    symmetric = " SYMMETRIC" if node.symmetric else ""
    bounds = f"{_operand(node.low)} AND {_operand(node.high)}"
    return f"{_operand(node.operand)} {negation}BETWEEN{symmetric} {bounds}"


def _in(node: syntax.In) -> str:
    negation = "NOT " if node.negated else ""
    if node.query is not None:
        return f"{_operand(node.operand)} {negation}IN ({deparse_query(node.query)})"
    items = _list(node.items)
    alone = node.items[0] if len(node.items) == 1 else None
    if isinstance(alone, syntax.SubqueryExpression) and alone.kind == "scalar":
        items = f"({items})"
    return f"{_operand(node.operand)} {negation}IN ({items})"


def _like(node: syntax.Like) -> str:
    word = {"like": "LIKE", "ilike": "ILIKE", "similar": "SIMILAR TO"}[node.kind]
    text = f"{_operand(node.operand)} {'NOT ' if node.negated else ''}{word} {_operand(node.pattern)}"
    return text if node.escape is None else f"{text} ESCAPE {_operand(node.escape)}"


def _case(node: syntax.Case) -> str:
    parts = ["CASE"]
    if node.operand is not None:
        parts.append(_operand(node.operand))
    for when in node.whens:
        parts.append(f"WHEN {_operand(when.condition)} THEN {_operand(when.result)}")
    if node.default is not None:
        parts.append(f"ELSE {_operand(node.default)}")
    return " ".join([*parts, "END"])


def _cast(node: syntax.Cast) -> str:
    name = deparse_type(node.type)
    if node.literal and isinstance(node.operand, syntax.Constant):
        # printed as a cast would be shorter, but INTERVAL's fields and the tree want it as it was
        return _typed_literal(node, node.operand)
    operand = node.operand
    text = _operand(operand)
    if isinstance(operand, syntax.Constant) and operand.value.startswith("-"):
        text = f"({text})"
    return f"{text}::{name}"


def _typed_literal(node: syntax.Cast, constant: syntax.Constant) -> str:
    value = quote_literal(constant.value)
    name = node.type
    if name.names == ["pg_catalog", "interval"] and name.interval_fields:
        precision = f"({_list(name.modifiers)})" if name.modifiers else ""
        return f"interval {value} {name.interval_fields}{precision}"
    if name.names in (["pg_catalog", "bpchar"], ["pg_catalog", "bit"]) and not name.modifiers:
        return f"{qualified(name.names)} {value}"
    return f"{deparse_type(name)} {value}"


def _collate(node: syntax.Collate) -> str:
    return f"{_operand(node.operand)} COLLATE {qualified(node.names)}"


def _array(node: syntax.ArrayConstructor) -> str:
    return f"ARRAY[{_list(node.elements)}]"


def _row(node: syntax.Row) -> str:
    return f"{'ROW' if node.explicit else ''}({_list(node.elements)})"


def _indirection_base(node: Expression) -> str:
    """What may be followed by brackets or a field without parentheses, and all else in them."""
    text = deparse_expression(node)
    if isinstance(node, syntax.Parameter | syntax.Subscript | syntax.FieldSelection):
        return text
    if isinstance(node, syntax.SubqueryExpression) and node.kind == "scalar":
        return text
    return f"({text})"


def _subscript(node: syntax.Subscript) -> str:
    base = node.operand
    text = _column(base) if isinstance(base, syntax.ColumnReference) else _indirection_base(base)
    return text + _indexes(node.indexes)


def _indexes(indexes: list[syntax.Index]) -> str:
    text = ""
    for index in indexes:
        upper = "" if index.upper is None else deparse_expression(index.upper)
        lower = "" if index.lower is None else deparse_expression(index.lower)
        text += f"[{lower}:{upper}]" if index.slice else f"[{upper}]"
    return text


def _field(node: syntax.FieldSelection) -> str:
    name = "*" if node.name is None else quote_identifier(node.name)
    return f"{_indirection_base(node.operand)}.{name}"


def _subquery(node: syntax.SubqueryExpression) -> str:
    word = {"scalar": "", "exists": "EXISTS ", "array": "ARRAY"}[node.kind]
    return f"{word}({deparse_query(node.query)})"


def _coalesce(node: syntax.Coalesce) -> str:
    return f"COALESCE({_list(node.arguments)})"


def _nullif(node: syntax.NullIf) -> str:
    return f"NULLIF({deparse_expression(node.left)}, {deparse_expression(node.right)})"


def _min_max(node: syntax.MinMax) -> str:
    return f"{node.kind.upper()}({_list(node.arguments)})"


def _grouping(node: syntax.Grouping) -> str:
    return f"GROUPING({_list(node.arguments)})"


def _default(node: syntax.SetToDefault) -> str:
    return "DEFAULT"


def _current_of(node: syntax.CurrentOf) -> str:
    return f"CURRENT OF {quote_identifier(node.cursor)}"


def _sql_value(node: syntax.SqlValue) -> str:
    precision = "" if node.precision is None else f"({node.precision})"
    return node.name.upper() + precision


def _named_argument(node: syntax.NamedArgument) -> str:
    return f"{quote_identifier(node.name)} => {deparse_expression(node.value)}"


def _grouping_set(node: syntax.GroupingSet) -> str:
    if node.kind == "empty":
        return "()"
    word = {"rollup": "ROLLUP", "cube": "CUBE", "sets": "GROUPING SETS"}[node.kind]
    return f"{word} ({_list(node.items)})"


def _function(node: syntax.FunctionCall) -> str:
    if node.syntax:
        return _special(node)
    name = _function_name(node.names)
    inside = "*" if node.star else _list(node.arguments)
    if node.variadic:
        inside = ", ".join([_list(node.arguments[:-1])] * (len(node.arguments) > 1) + [_variadic(node.arguments[-1])])
    if node.distinct:
        inside = "DISTINCT " + inside
    if node.order_by:
        inside += " ORDER BY " + _sort_items(node.order_by)
    text = f"{name}({inside})"
    if node.within_group:
        text += f" WITHIN GROUP (ORDER BY {_sort_items(node.within_group)})"
    if node.filter is not None:
        text += f" FILTER (WHERE {deparse_expression(node.filter)})"
    if node.over is not None:
        over = node.over
        text += " OVER " + (quote_identifier(over.name) if over.name is not None else _window(over))
    return text


def _variadic(argument: Expression) -> str:
    return "VARIADIC " + deparse_expression(argument)


def _function_name(names: list[str]) -> str:
    """A function's name: keywords that may name functions stand unquoted, those that may not are quoted."""
    if len(names) == 1:
        category = KEYWORDS.get(names[0], "U")
        if category == "T" and _PLAIN_IDENTIFIER.match(names[0]):
            return f'"{names[0]}"'
    return qualified(names)


def _special(node: syntax.FunctionCall) -> str:
    """The special syntaxes as they are written; the arguments are in the order of the function."""
    function = node.names[-1]
    arguments = node.arguments
    text = [deparse_expression(argument) for argument in arguments]
    closed = [_operand(argument) for argument in arguments]
    if node.syntax == "extract":
        field = arguments[0]
        name = quote_literal(field.value) if isinstance(field, syntax.Constant) else text[0]
        if isinstance(field, syntax.Constant) and _PLAIN_IDENTIFIER.match(field.value) and field.value not in KEYWORDS:
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


def _sort_items(items: list[syntax.SortItem]) -> str:
    return ", ".join(_sort_item(item) for item in items)


def _sort_item(item: syntax.SortItem) -> str:
    text = deparse_expression(item.expression)
    if item.using is not None:
        name = item.using
        text += f" USING {_operator_name(name.name, name.schema)}"
    elif item.descending:
        text += " DESC"
    if item.nulls_first is not None:
        text += " NULLS FIRST" if item.nulls_first else " NULLS LAST"
    return text


def _window(window: syntax.WindowDefinition) -> str:
    parts = []
    if window.reference is not None:
        parts.append(quote_identifier(window.reference))
    if window.partition_by:
        parts.append("PARTITION BY " + _list(window.partition_by))
    if window.order_by:
        parts.append("ORDER BY " + _sort_items(window.order_by))
    if window.frame is not None:
        parts.append(_frame(window.frame))
    return f"({' '.join(parts)})"


def _frame(frame: syntax.Frame) -> str:
    text = frame.mode.upper() + " "
    start = _bound(frame.start)
    text += start if frame.end is None else f"BETWEEN {start} AND {_bound(frame.end)}"
    return text if frame.exclusion is None else f"{text} EXCLUDE {frame.exclusion.upper()}"


def _bound(bound: syntax.FrameBound) -> str:
    if bound.offset is None:
        return bound.kind.upper()
    return f"{_operand(bound.offset)} {bound.kind.split()[1].upper()}"


# --------------------------------------------------------------------------------------------------------------- queries


def deparse_query(query: Select) -> str:
    """A query on one line, without a semicolon."""
    parts = []
    if query.with_ is not None:
        parts.append(_with(query.with_))
    if query.operation is not None:
        assert query.left is not None
        assert query.right is not None
        word = query.operation.upper() + (" ALL" if query.all_rows else "")
        parts.append(f"{_branch(query.left, query.operation, left=True)} {word} {_branch(query.right, '', left=False)}")
    elif query.values is not None:
        parts.append("VALUES " + ", ".join(f"({_list(row)})" for row in query.values))
    else:
        parts.append(_select(query))
    if query.order_by:
        parts.append("ORDER BY " + _sort_items(query.order_by))
    if query.offset is not None:
        parts.append("OFFSET " + _operand(query.offset))
    if query.limit is not None:
        if query.with_ties:
            parts.append(f"FETCH FIRST ({deparse_expression(query.limit)}) ROWS WITH TIES")
        else:
            parts.append("LIMIT " + _operand(query.limit))
    parts.extend(_locking(locking) for locking in query.locking)
    return " ".join(parts)


def _branch(query: Select, operation: str, *, left: bool) -> str:
    """One side of a set operation: in parentheses where it has clauses of its own or binds otherwise."""
    text = deparse_query(query)
    own = query.order_by or query.limit or query.offset or query.locking or query.with_
    if own or query.operation is not None:
        return f"({text})"
    return text


def _with(with_: syntax.With) -> str:
    tables = ", ".join(_common_table(table) for table in with_.tables)
    return f"WITH {'RECURSIVE ' if with_.recursive else ''}{tables}"


def _common_table(table: syntax.CommonTable) -> str:
    text = quote_identifier(table.name) + _column_list(table.columns) + " AS "
    if table.materialized is not None:
        text += "MATERIALIZED " if table.materialized else "NOT MATERIALIZED "
    return f"{text}({deparse_row_statement(table.query)})"


def _column_list(columns: list[str]) -> str:
    return f"({', '.join(quote_identifier(name) for name in columns)})" if columns else ""


def _select(query: Select) -> str:
    text = "SELECT"
    if query.distinct is not None:
        text += " DISTINCT" + (f" ON ({_list(query.distinct)})" if query.distinct else "")
    if query.targets:
        text += " " + _targets(query.targets)
    if query.into is not None:
        word = {"permanent": "", "temporary": "TEMPORARY TABLE ", "unlogged": "UNLOGGED TABLE "}
        text += f" INTO {word[query.into.persistence]}{relation(query.into.relation)}"
    if query.from_:
        text += " FROM " + _from_list(query.from_)
    if query.where is not None:
        text += " WHERE " + deparse_expression(query.where)
    if query.group_by:
        text += f" GROUP BY {'DISTINCT ' if query.group_distinct else ''}{_list(query.group_by)}"
    if query.having is not None:
        text += " HAVING " + deparse_expression(query.having)
    if query.windows:
        named = (f"{quote_identifier(window.name or '')} AS {_window(window)}" for window in query.windows)
        text += " WINDOW " + ", ".join(named)
    return text


def _targets(targets: list[Target]) -> str:
    return ", ".join(_target(target) for target in targets)


def _target(target: Target) -> str:
    text = deparse_expression(target.expression)
    return text if target.alias is None else f"{text} AS {quote_identifier(target.alias)}"


def _locking(locking: syntax.Locking) -> str:
    text = "FOR " + locking.strength.upper()
    if locking.relations:
        text += " OF " + ", ".join(relation(name) for name in locking.relations)
    return text if locking.wait == "block" else f"{text} {locking.wait.upper()}"


def _from_list(items: list[FromItem]) -> str:
    return ", ".join(_from_item(item) for item in items)


def _from_item(item: FromItem) -> str:
    if isinstance(item, syntax.TableItem):
        return _table(item)
    if isinstance(item, syntax.SubqueryItem):
        return f"{'LATERAL ' if item.lateral else ''}({deparse_query(item.query)}){_alias(item.alias)}"
    if isinstance(item, syntax.FunctionItem):
        return _function_item(item)
    if isinstance(item, syntax.JoinItem):
        text = _join(item)
        return f"({text}){_alias(item.alias)}" if item.alias is not None else text
    raise TypeError(f"no text form for {type(item).__name__}")


def _alias(alias: syntax.Alias | None) -> str:
    return "" if alias is None else f" AS {quote_identifier(alias.name)}{_column_list(alias.columns)}"


def _table(item: syntax.TableItem) -> str:
    text = ("ONLY " if item.only else "") + relation(item.relation) + _alias(item.alias)
    sample = item.sample
    if sample is not None:
        text += f" TABLESAMPLE {qualified(sample.method)} ({_list(sample.arguments)})"
        if sample.repeatable is not None:
            text += f" REPEATABLE ({deparse_expression(sample.repeatable)})"
    return text


def _record_columns(columns: list[syntax.RecordColumn]) -> str:
    def one(column: syntax.RecordColumn) -> str:
        collation = f" COLLATE {qualified(column.collation)}" if column.collation else ""
        return f"{quote_identifier(column.name)} {deparse_type(column.type)}{collation}"

    return f"({', '.join(one(column) for column in columns)})"


def _function_item(item: syntax.FunctionItem) -> str:
    calls = []
    for call in item.calls:
        text = deparse_expression(call.call)
        if isinstance(call.call, syntax.Cast):
            text = f"CAST({deparse_expression(call.call.operand)} AS {deparse_type(call.call.type)})"
        calls.append(text + (f" AS {_record_columns(call.columns)}" if call.columns else ""))
    text = f"ROWS FROM ({', '.join(calls)})" if item.rows_from else calls[0]
    if item.lateral:
        text = "LATERAL " + text
    if item.ordinality:
        text += " WITH ORDINALITY"
    if item.columns:
        name = f" {quote_identifier(item.alias.name)}" if item.alias is not None else ""
        return f"{text} AS{name} {_record_columns(item.columns)}"
    return text + _alias(item.alias)


def _join(item: syntax.JoinItem) -> str:
    right = _from_item(item.right)
    if isinstance(item.right, syntax.JoinItem) and item.right.alias is None:
        right = f"({right})"
    word = {"inner": "JOIN", "left": "LEFT JOIN", "right": "RIGHT JOIN", "full": "FULL JOIN"}[item.kind]
    if item.natural:
        return f"{_from_item(item.left)} NATURAL {word} {right}"
    if item.condition is None and not item.using:
        return f"{_from_item(item.left)} CROSS JOIN {right}"
    if item.using:
        using_alias = f" AS {quote_identifier(item.using_alias)}" if item.using_alias is not None else ""
        return f"{_from_item(item.left)} {word} {right} USING {_column_list(item.using)}{using_alias}"
    assert item.condition is not None
    return f"{_from_item(item.left)} {word} {right} ON ({deparse_expression(item.condition)})"


# ------------------------------------------------------------------------------------------------------ data modification


def deparse_row_statement(statement: syntax.Statement) -> str:
    """A query, INSERT, UPDATE, DELETE or MERGE.

    Raises: SqlError 0A000 for any other statement.
    """
    if isinstance(statement, Select):
        return deparse_query(statement)
    if isinstance(statement, syntax.Insert):
        text = _insert(statement)
    elif isinstance(statement, syntax.Update):
        text = f"UPDATE {_table(statement.target)} SET {_assignments(statement.assignments)}"
        if statement.from_:
            text += " FROM " + _from_list(statement.from_)
        text += _where(statement.where) + _returning(statement.returning)
    elif isinstance(statement, syntax.Delete):
        text = f"DELETE FROM {_table(statement.target)}"
        if statement.using:
            text += " USING " + _from_list(statement.using)
        text += _where(statement.where) + _returning(statement.returning)
    elif isinstance(statement, syntax.Merge):
        text = f"MERGE INTO {_table(statement.target)} USING {_from_item(statement.source)}"
        text += f" ON ({deparse_expression(statement.condition)})"
        text += "".join(" " + _merge_when(when) for when in statement.whens)
    else:
        raise SqlError("0A000", f"deparsing of {type(statement).__name__} is not supported")
    return text if statement.with_ is None else f"{_with(statement.with_)} {text}"


def _where(where: Expression | None) -> str:
    return "" if where is None else " WHERE " + deparse_expression(where)


def _returning(targets: list[Target]) -> str:
    return " RETURNING " + _targets(targets) if targets else ""


def _insert_column(column: syntax.InsertColumn) -> str:
    text = quote_identifier(column.name)
    for step in column.steps:
        text += f".{quote_identifier(step)}" if isinstance(step, str) else _indexes([step])
    return text


def _insert_columns(columns: list[syntax.InsertColumn]) -> str:
    return f"({', '.join(_insert_column(column) for column in columns)})"


def _assignments(assignments: list[syntax.Assignment]) -> str:
    def one(assignment: syntax.Assignment) -> str:
        value = deparse_expression(assignment.value)
        if assignment.multiple:
            return f"{_insert_columns(assignment.columns)} = {value}"
        return f"{_insert_column(assignment.columns[0])} = {value}"

    return ", ".join(one(assignment) for assignment in assignments)


def _insert(statement: syntax.Insert) -> str:
    text = f"INSERT INTO {relation(statement.relation)}{_alias(statement.alias)}"
    if statement.columns:
        text += " " + _insert_columns(statement.columns)
    if statement.overriding is not None:
        text += f" OVERRIDING {statement.overriding.upper()} VALUE"
    text += " DEFAULT VALUES" if statement.query is None else " " + deparse_query(statement.query)
    conflict = statement.on_conflict
    if conflict is not None:
        text += " ON CONFLICT"
        target = conflict.target
        if target is not None and target.constraint is not None:
            text += f" ON CONSTRAINT {quote_identifier(target.constraint)}"
        elif target is not None:
            text += f" ({', '.join(deparse_index_element(element) for element in target.elements)})"
            text += _where(target.where)
        if conflict.assignments is None:
            text += " DO NOTHING"
        else:
            text += f" DO UPDATE SET {_assignments(conflict.assignments)}{_where(conflict.where)}"
    return text + _returning(statement.returning)


def _merge_when(when: syntax.MergeWhen) -> str:
    text = f"WHEN {'' if when.matched else 'NOT '}MATCHED"
    if when.condition is not None:
        text += f" AND {_operand(when.condition)}"
    if when.action == "nothing":
        return text + " THEN DO NOTHING"
    if when.action == "delete":
        return text + " THEN DELETE"
    if when.action == "update":
        return f"{text} THEN UPDATE SET {_assignments(when.assignments)}"
    text += " THEN INSERT"
    if when.columns:
        text += " " + _insert_columns(when.columns)
    if when.overriding is not None:
        text += f" OVERRIDING {when.overriding.upper()} VALUE"
    return text + (" DEFAULT VALUES" if when.values is None else f" VALUES ({_list(when.values)})")


def deparse_index_element(element: syntax.IndexElement) -> str:
    """A column or expression of an index, as pg_get_indexdef prints it: functions bare, other expressions in ( )."""
    if element.name is not None:
        text = quote_identifier(element.name)
    else:
        assert element.expression is not None
        text = deparse_expression(element.expression)
        if not isinstance(element.expression, _BARE_IN_INDEX) or (
            isinstance(element.expression, syntax.FunctionCall) and element.expression.syntax in _PARENTHESISED_SYNTAX
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


_WRITERS: dict[type[Expression], Callable[..., str]] = {
    syntax.ColumnReference: _column,
    syntax.Constant: _constant,
    syntax.Parameter: _parameter,
    syntax.FunctionCall: _function,
    syntax.NamedArgument: _named_argument,
    syntax.SqlValue: _sql_value,
    syntax.Operator: _operator,
    syntax.Quantified: _quantified,
    syntax.BooleanExpression: _boolean,
    syntax.IsTest: _is_test,
    syntax.JsonTest: _json_test,
    syntax.Between: _between,
    syntax.In: _in,
    syntax.Like: _like,
    syntax.Case: _case,
    syntax.Cast: _cast,
    syntax.Collate: _collate,
    syntax.ArrayConstructor: _array,
    syntax.Row: _row,
    syntax.Subscript: _subscript,
    syntax.FieldSelection: _field,
    syntax.SubqueryExpression: _subquery,
    syntax.Coalesce: _coalesce,
    syntax.NullIf: _nullif,
    syntax.MinMax: _min_max,
    syntax.Grouping: _grouping,
    syntax.SetToDefault: _default,
    syntax.CurrentOf: _current_of,
    syntax.GroupingSet: _grouping_set,
}
