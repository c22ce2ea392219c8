"""Scalar expressions: each syntax node's rule, found by its class in one table.

`bind` gives the bound expression for a node at a query level. Rules for predicates are in `predicates.py`, for calls in
`calls.py`, for queries in `queries.py`; they enter the same table with `@binds`. An expression's `position` is where it
begins in the text, as PostgreSQL's exprLocation has it, because errors found later point there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from frontend.errors import SqlError, unsupported
from frontend.sql import logical, syntax
from frontend.sql.binder import scopes
from frontend.sql.binder.clauses import check_subquery
from frontend.sql.binder.coercion import (
    coerce,
    coerce_to,
    common_type,
    common_typmod,
    to_boolean,
    to_common,
)
from frontend.sql.binder.operations import call_by_name, comparison_between, leftmost, make_operator
from frontend.sql.binder.statement import Query
from frontend.types import oids

Rule = Callable[[Query, Any], logical.Expression]
RuleFunction = TypeVar("RuleFunction", bound=Rule)
RULES: dict[type, Rule] = {}

INT4_MAX = 2**31 - 1
INT8_MAX = 2**63 - 1


def binds(*kinds: type) -> Callable[[RuleFunction], RuleFunction]:
    """Enter the decorated function as the rule for these syntax nodes."""

    def enter(function: RuleFunction) -> RuleFunction:
        for kind in kinds:
            RULES[kind] = function
        return function

    return enter


def bind(query: Query, node: syntax.Expression) -> logical.Expression:
    """The bound form of an expression. Raises SqlError as PostgreSQL's parse analysis does."""
    rule = RULES.get(type(node))
    if rule is None:
        raise unsupported(f"{type(node).__name__} here", position=node.position or None)
    return rule(query, node)


@contextmanager
def without_sets(query: Query, construct: str) -> Iterator[None]:
    """Refuse set-returning functions in the arguments of a construct that may skip them."""
    before = query.inside_set_returning
    query.inside_set_returning = construct
    try:
        yield
    finally:
        query.inside_set_returning = before


# ── names and literals ──────────────────────────────────────────────────────────────────────────────────────────────


@binds(syntax.ColumnReference)
def bind_column(query: Query, node: syntax.ColumnReference) -> logical.Expression:
    """A dotted name: a column, a column of a table, a whole row."""
    if query.kind == "DEFAULT":
        raise SqlError("0A000", "cannot use column reference in DEFAULT expression", position=node.position or None)
    names = node.names
    position = node.position
    if node.star:
        return _bind_star(query, node)
    if len(names) == 1:
        found = scopes.find_column(query, names[0], position)
        if found is not None:
            return found
        row = scopes.find_item(query, None, names[0], position)
        if row is not None:
            return scopes.whole_row(row[1], row[0], position)
        raise scopes.missing_column(query, names[0], None, position)
    if len(names) > 4:
        raise SqlError(
            "42601", f"improper qualified name (too many dotted names): {'.'.join(names)}", position=position or None
        )
    schema = names[-3] if len(names) >= 3 else None
    relation, name = names[-2], names[-1]
    item = scopes.find_item(query, schema, relation, position)
    if item is None:
        raise scopes.missing_relation(query, relation, schema, position)
    found = scopes.item_column(item[0], name, position)
    if found is not None:
        return found
    call = _field_as_function(query, scopes.whole_row(item[1], item[0], position), name, position)
    if call is not None:
        return call
    raise scopes.missing_column(query, name, relation, position)


def _bind_star(query: Query, node: syntax.ColumnReference) -> logical.Expression:
    if not node.names:
        raise SqlError("42601", 'row expansion via "*" is not supported here', position=node.position or None)
    schema = node.names[-2] if len(node.names) >= 2 else None
    item = scopes.find_item(query, schema, node.names[-1], node.position)
    if item is None:
        raise scopes.missing_relation(query, node.names[-1], schema, node.position)
    return scopes.whole_row(item[1], item[0], node.position)


@binds(syntax.Constant)
def bind_constant(query: Query, node: syntax.Constant) -> logical.Expression:
    """A literal; strings and NULL are of unknown type until something wants one of them."""
    kind, text, position = node.kind, node.value, node.position
    if kind == "string":
        return logical.Constant(type=oids.UNKNOWN, value=text, position=position)
    if kind == "null":
        return logical.Constant(type=oids.UNKNOWN, value=None, position=position)
    if kind == "boolean":
        return logical.Constant(type=oids.BOOL, value=text == "true", position=position)
    if kind == "bit":
        raise unsupported("type bit", position=position or None)
    return _number(query, text, position)


def _number(query: Query, text: str, position: int) -> logical.Constant:
    if text.lstrip("-").isdigit():
        value = int(text)
        if -INT4_MAX - 1 <= value <= INT4_MAX:
            return logical.Constant(type=oids.INT4, value=value, position=position)
        if -INT8_MAX - 1 <= value <= INT8_MAX:
            return logical.Constant(type=oids.INT8, value=value, position=position)
    binding = query.binding
    numeric = binding.types.input(oids.NUMERIC, text, -1, binding.context)
    return logical.Constant(type=oids.NUMERIC, value=numeric, position=position)


@binds(syntax.Parameter)
def bind_parameter(query: Query, node: syntax.Parameter) -> logical.Expression:
    """$n or a lifted literal."""
    return query.binding.parameter(node)


@binds(syntax.SetToDefault)
def bind_default(query: Query, node: syntax.SetToDefault) -> logical.Expression:
    """DEFAULT outside the places that INSERT and UPDATE handle themselves."""
    raise SqlError("42601", "DEFAULT is not allowed in this context", position=node.position or None)


@binds(syntax.CurrentOf)
def bind_current_of(query: Query, node: syntax.CurrentOf) -> logical.Expression:
    """WHERE CURRENT OF: cursors hold no row locks here."""
    raise unsupported("WHERE CURRENT OF", position=node.position or None)


@binds(syntax.NamedArgument)
def bind_named_argument(query: Query, node: syntax.NamedArgument) -> logical.Expression:
    """name => value outside a function call's arguments."""
    raise SqlError("42601", "named arguments are only allowed in function calls", position=node.position or None)


# ── operators ───────────────────────────────────────────────────────────────────────────────────────────────────────


@binds(syntax.Operator)
def bind_operator(query: Query, node: syntax.Operator) -> logical.Expression:
    """An operator; a minus sign before a number makes a negative constant, as the grammar has it."""
    if node.left is None and node.schema is None:
        right = node.right
        if isinstance(right, syntax.Constant) and right.kind in ("integer", "decimal"):
            if node.name == "-":
                negated = right.value[1:] if right.value.startswith("-") else "-" + right.value
                return _number(query, negated, node.position)
            if node.name == "+":
                return _number(query, right.value, node.position)
    if isinstance(node.left, syntax.Row):
        from frontend.sql.binder.predicates import bind_row_operator

        return bind_row_operator(query, node)
    left = None if node.left is None else bind(query, node.left)
    right_value = bind(query, node.right)
    return make_operator(query.binding, node.name, left, right_value, node.position, node.schema)


@binds(syntax.BooleanExpression)
def bind_boolean(query: Query, node: syntax.BooleanExpression) -> logical.Expression:
    """AND, OR, NOT."""
    construct = node.kind.upper()
    arguments = tuple([to_boolean(query.binding, bind(query, item), construct) for item in node.arguments])
    position = leftmost(node.position, arguments)
    if node.kind == "not":
        return logical.Not(type=oids.BOOL, operand=arguments[0], position=position)
    return logical.BooleanOperation(type=oids.BOOL, operator=node.kind, arguments=arguments, position=position)


@binds(syntax.Collate)
def bind_collate(query: Query, node: syntax.Collate) -> logical.Expression:
    """COLLATE: there is one collation, under its several names."""
    operand = bind(query, node.operand)
    binding = query.binding
    if operand.type == oids.UNKNOWN:
        operand = coerce(binding, operand, oids.TEXT, "i")
    fact = binding.types.fact(operand.type)
    if not fact.collation:
        raise SqlError(
            "42804",
            f"collations are not supported by type {binding.types.name(operand.type)}",
            position=node.position or None,
        )
    check_collation(node.names, node.position)
    return operand


def check_collation(names: Sequence[str], position: int) -> None:
    """42704 for every collation but C under its names."""
    if names[-1] not in ("C", "POSIX", "default", "ucs_basic") or (len(names) > 1 and names[-2] != "pg_catalog"):
        raise SqlError(
            "42704",
            f'collation "{".".join(names)}" for encoding "UTF8" does not exist',
            position=position or None,
        )


# ── casts ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@binds(syntax.Cast)
def bind_cast(query: Query, node: syntax.Cast) -> logical.Expression:
    """An explicit conversion; of a literal it is the typed constant."""
    binding = query.binding
    target, typmod = binding.types.resolve(node.type, binding.search_path)
    operand_node = node.operand
    if isinstance(operand_node, syntax.ArrayConstructor) and binding.types.element(target):
        return bind_array(query, operand_node, target, typmod)
    operand = bind(query, operand_node)
    result = coerce_to(binding, operand, target, typmod, "e", leftmost(node.position, [operand]))
    if result is None:
        raise SqlError(
            "42846",
            f"cannot cast type {binding.types.name(operand.type)} to {binding.types.name(target)}",
            position=node.position or node.type.position or None,
        )
    return result


# ── conditionals ────────────────────────────────────────────────────────────────────────────────────────────────────


@binds(syntax.Case)
def bind_case(query: Query, node: syntax.Case) -> logical.Expression:
    """CASE; with an operand each WHEN is compared to it by =."""
    binding = query.binding
    with without_sets(query, "CASE"):
        operand = None
        placeholder: logical.Expression | None = None
        if node.operand is not None:
            operand = bind(query, node.operand)
            if operand.type == oids.UNKNOWN:
                operand = coerce(binding, operand, oids.TEXT, "i")
            placeholder = logical.CaseValue(type=operand.type, typmod=operand.typmod, position=operand.position)
        conditions: list[logical.Expression] = []
        results: list[logical.Expression] = []
        for when in node.whens:
            condition = bind(query, when.condition)
            if placeholder is not None:
                condition = make_operator(binding, "=", placeholder, condition, when.position)
            conditions.append(to_boolean(binding, condition, "CASE/WHEN"))
            results.append(bind(query, when.result))
        otherwise: logical.Expression = (
            logical.Constant(type=oids.UNKNOWN, value=None) if node.default is None else bind(query, node.default)
        )
    target = common_type(binding, [otherwise, *results], "CASE")
    assert target is not None
    otherwise = to_common(binding, otherwise, target, "CASE/ELSE")
    results = [to_common(binding, item, target, "CASE/WHEN") for item in results]
    return logical.CaseExpression(
        type=target,
        typmod=common_typmod([otherwise, *results], target),
        operand=operand,
        branches=tuple(zip(conditions, results, strict=True)),
        otherwise=otherwise,
        position=node.position,
    )


def _alternatives(
    query: Query, nodes: Sequence[syntax.Expression], construct: str
) -> tuple[tuple[logical.Expression, ...], int, int]:
    """(values converted to their common type, that type, its modifier)."""
    with without_sets(query, construct):
        values = [bind(query, item) for item in nodes]
    target = common_type(query.binding, values, construct)
    assert target is not None
    converted = tuple([to_common(query.binding, item, target, construct) for item in values])
    return converted, target, common_typmod(converted, target)


@binds(syntax.Coalesce)
def bind_coalesce(query: Query, node: syntax.Coalesce) -> logical.Expression:
    """COALESCE."""
    values, target, typmod = _alternatives(query, node.arguments, "COALESCE")
    return logical.Coalesce(type=target, typmod=typmod, arguments=values, position=node.position)


@binds(syntax.MinMax)
def bind_min_max(query: Query, node: syntax.MinMax) -> logical.Expression:
    """GREATEST and LEAST."""
    values = [bind(query, item) for item in node.arguments]
    target = common_type(query.binding, values, node.kind.upper())
    assert target is not None
    converted = tuple([to_common(query.binding, item, target, node.kind.upper()) for item in values])
    return logical.MinMax(
        type=target,
        typmod=common_typmod(converted, target),
        greatest=node.kind == "greatest",
        arguments=converted,
        position=node.position,
    )


@binds(syntax.NullIf)
def bind_null_if(query: Query, node: syntax.NullIf) -> logical.Expression:
    """NULLIF; the result has the type that the comparison gives its left side."""
    left, right = bind(query, node.left), bind(query, node.right)
    left, right, equality = comparison_between(query.binding, "=", left, right, node.position)
    if equality.type != oids.BOOL:
        raise SqlError("42804", "NULLIF requires = operator to yield boolean", position=node.position or None)
    return logical.NullIf(
        type=left.type, typmod=left.typmod, left=left, right=right, equality=equality, position=node.position
    )


# ── rows and arrays ─────────────────────────────────────────────────────────────────────────────────────────────────


def bind_elements(query: Query, nodes: Sequence[syntax.Expression]) -> list[logical.Expression]:
    """A list of expressions in which t.* and (row).* stand for their columns."""
    values: list[logical.Expression] = []
    for node in nodes:
        if isinstance(node, syntax.ColumnReference) and node.star:
            from frontend.sql.binder.targets import expand_star

            values.extend([value for _, value in expand_star(query, node)])
        elif isinstance(node, syntax.FieldSelection) and node.name is None:
            from frontend.sql.binder.targets import expand_row

            values.extend([value for _, value in expand_row(query, node)])
        else:
            values.append(bind(query, node))
    return values


@binds(syntax.Row)
def bind_row(query: Query, node: syntax.Row) -> logical.Expression:
    """ROW(…): an anonymous record with fields f1, f2 …"""
    fields = bind_elements(query, node.elements)
    if len(fields) > 1664:
        raise SqlError("54011", "ROW expressions can have at most 1664 entries", position=node.position or None)
    names = tuple([f"f{place + 1}" for place in range(len(fields))])
    return logical.RowConstructor(type=oids.RECORD, fields=tuple(fields), names=names, position=node.position)


@binds(syntax.ArrayConstructor)
def bind_array_constructor(query: Query, node: syntax.ArrayConstructor) -> logical.Expression:
    """ARRAY[…] without a type around it."""
    return bind_array(query, node, 0, -1)


def bind_array(query: Query, node: syntax.ArrayConstructor, wanted: int, typmod: int) -> logical.Expression:
    """ARRAY[…] as an array of type `wanted` (0: find out)."""
    binding = query.binding
    types = binding.types
    values: list[logical.Expression] = []
    nested = False
    for item in node.elements:
        if isinstance(item, syntax.ArrayConstructor):
            values.append(bind_array(query, item, wanted, typmod))
            nested = True
        else:
            value = bind(query, item)
            nested = nested or (types.element(value.type) != 0 and types.fact(value.type).length == -1)
            values.append(value)
    if wanted:
        element = types.element(wanted)
        member = wanted if nested else element
        converted = []
        for value in values:
            result = coerce_to(binding, value, member, -1 if nested else typmod, "e")
            if result is None:
                raise SqlError(
                    "42846",
                    f"cannot cast type {types.name(value.type)} to {types.name(member)}",
                    position=value.position or None,
                )
            converted.append(result)
        return logical.ArrayConstructor(
            type=wanted, typmod=typmod, elements=tuple(converted), nested=nested, position=node.position
        )
    if not values:
        raise SqlError(
            "42P18",
            "cannot determine type of empty array",
            hint="Explicitly cast to the desired type, for example ARRAY[]::integer[].",
            position=node.position or None,
        )
    member_type = common_type(binding, values, "ARRAY")
    assert member_type is not None
    array_type = member_type if nested else types.array(member_type)
    if nested and not types.element(member_type):
        raise SqlError(
            "42704", f"could not find element type for data type {types.name(member_type)}", position=node.position
        )
    if not array_type:
        raise SqlError(
            "42704",
            f"could not find array type for data type {types.name(member_type)}",
            position=node.position or None,
        )
    elements = tuple([to_common(binding, value, member_type, "ARRAY") for value in values])
    return logical.ArrayConstructor(type=array_type, elements=elements, nested=nested, position=node.position)


@binds(syntax.Subscript)
def bind_subscript(query: Query, node: syntax.Subscript) -> logical.Expression:
    """operand[…]: an array's element or slice; a member of jsonb."""
    operand = bind(query, node.operand)
    binding = query.binding
    types = binding.types
    if operand.type == oids.JSONB:
        return _jsonb_member(query, operand, node)
    element = types.element(operand.type)
    if operand.type == oids.NAME and len(node.indexes) == 1 and not node.indexes[0].slice:
        element = oids.CHAR  # name is an array of its characters, counted from 0: pg_dump asks for typname[0]
    if not element:
        raise SqlError(
            "42804",
            f"cannot subscript type {types.name(operand.type)} because it does not support subscripting",
            position=operand.position or None,
        )
    is_slice = any(index.slice for index in node.indexes)
    subscripts = tuple([bind_index(query, index, is_slice) for index in node.indexes])
    return logical.Subscript(
        type=operand.type if is_slice else element,
        typmod=operand.typmod,
        operand=operand,
        subscripts=subscripts,
        slice=is_slice,
        position=operand.position,
    )


def bind_index(
    query: Query, index: syntax.Index, is_slice: bool
) -> tuple[logical.Expression | None, logical.Expression | None]:
    """(lower, upper) of one pair of brackets; among slices a plain [n] means [1:n]."""
    lower = None if index.lower is None else _subscript_value(query, index.lower)
    upper = None if index.upper is None else _subscript_value(query, index.upper)
    if is_slice and not index.slice:
        lower = logical.Constant(type=oids.INT4, value=1)
    return lower, upper


def _subscript_value(query: Query, node: syntax.Expression) -> logical.Expression:
    value = coerce_to(query.binding, bind(query, node), oids.INT4, -1, "a")
    if value is None:
        raise SqlError("42804", "array subscript must have type integer", position=node.position or None)
    return value


def _jsonb_member(query: Query, operand: logical.Expression, node: syntax.Subscript) -> logical.Expression:
    binding = query.binding
    path: list[logical.Expression] = []
    for index in node.indexes:
        if index.slice or index.upper is None:
            raise SqlError("42804", "jsonb subscript does not support slices", position=index.position or None)
        value = bind(query, index.upper)
        if value.type not in (oids.INT4, oids.TEXT, oids.UNKNOWN, oids.INT2, oids.VARCHAR):
            raise SqlError(
                "42804",
                f"subscript type {binding.types.name(value.type)} is not supported",
                hint="jsonb subscript must be coercible to either integer or text.",
                position=value.position or None,
            )
        text = coerce_to(binding, value, oids.TEXT, -1, "a")
        assert text is not None
        path.append(text)
    array = logical.ArrayConstructor(type=oids.TEXTARRAY, elements=tuple(path))
    return call_by_name(binding, "jsonb_extract_path", (oids.JSONB, oids.TEXTARRAY), [operand, array], operand.position)


@binds(syntax.FieldSelection)
def bind_field(query: Query, node: syntax.FieldSelection) -> logical.Expression:
    """(row).name."""
    operand = bind(query, node.operand)
    if node.name is None:
        raise SqlError("42601", 'row expansion via "*" is not supported here', position=node.position or None)
    return select_field(query, operand, node.name, node.position)


def select_field(query: Query, operand: logical.Expression, name: str, position: int) -> logical.Expression:
    """The field of a row value by name, or the function of that name applied to it."""
    types = query.binding.types
    shape = types.shape_of(operand, query.binding.shapes)
    if shape is not None:
        for place, column in enumerate(shape):
            if column.name == name:
                return field_at(operand, place, column, position)
    call = _field_as_function(query, operand, name, position)
    if call is not None:
        return call
    if not types.is_row(operand.type):
        raise SqlError(
            "42809",
            f"column notation .{name} applied to type {types.name(operand.type)}, which is not a composite type",
            position=position or operand.position or None,
        )
    if isinstance(operand, logical.RowConstructor):
        from frontend.sql.binder.targets import source_of_row

        source = source_of_row(query, operand)
        if source is not None:
            raise scopes.missing_column(query, name, source.alias, operand.position)
    if operand.type == oids.RECORD:
        message = f'could not identify column "{name}" in record data type'
    else:
        message = f'column "{name}" not found in data type {types.name(operand.type)}'
    raise SqlError("42703", message, position=position or operand.position or None)


def field_at(operand: logical.Expression, place: int, column: logical.Column, position: int) -> logical.Expression:
    """The field at an index of a row value; of a visible ROW(…) it is the field itself."""
    if isinstance(operand, logical.RowConstructor):
        return operand.fields[place]
    return logical.FieldSelect(
        type=column.type, typmod=column.typmod, operand=operand, index=place, position=position or operand.position
    )


def _field_as_function(
    query: Query, operand: logical.Expression, name: str, position: int
) -> logical.Expression | None:
    from frontend.sql.binder.calls import call_on_value

    return call_on_value(query, name, operand, position)


# ── subqueries as values ────────────────────────────────────────────────────────────────────────────────────────────


@binds(syntax.SubqueryExpression)
def bind_subquery(query: Query, node: syntax.SubqueryExpression) -> logical.Expression:
    """(SELECT …), EXISTS (SELECT …), ARRAY(SELECT …)."""
    from frontend.sql.binder.queries import bind_inner_query

    check_subquery(query, node.position)
    plan, outer = bind_inner_query(query, node.query)
    position = node.position
    if node.kind == "exists":
        return logical.Exists(type=oids.BOOL, plan=plan, outer=outer, position=position)
    if len(plan.columns) != 1:
        raise SqlError("42601", "subquery must return only one column", position=position or None)
    column = plan.columns[0]
    if node.kind == "scalar":
        query.binding.subquery_labels[id(node)] = column.name
        return logical.ScalarSubquery(type=column.type, typmod=column.typmod, plan=plan, outer=outer, position=position)
    types = query.binding.types
    array = column.type if types.element(column.type) else types.array(column.type)
    if not array:
        raise SqlError(
            "42704",
            f"could not find array type for data type {types.name(column.type)}",
            position=position or None,
        )
    return logical.ArraySubquery(type=array, typmod=column.typmod, plan=plan, outer=outer, position=position)
