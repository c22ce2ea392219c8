"""Function calls: plain functions, casts written as functions, aggregates, set-returning functions.

PostgreSQL's ParseFuncOrColumn: the arguments are bound, the pg_proc entry is chosen (`resolution.py`), then its kind says
what the call is. An aggregate is not computed where it stands: it is entered at the query level that its arguments belong
to, and the expression sees the column that it becomes. A set-returning function in a select list does the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from frontend.errors import SqlError
from frontend.functions.catalogue import Proc, aggregate_by_oid, procs_by_name
from frontend.sql import logical, syntax
from frontend.sql.binder.clauses import LATERAL_HINT, check_aggregate, check_set_returning
from frontend.sql.binder.coercion import apply_typmod, cast_path, coerce, coerce_to, to_boolean
from frontend.sql.binder.expressions import bind, binds
from frontend.sql.binder.operations import call, call_by_name, require_equality, signature
from frontend.sql.binder.polymorphism import unify
from frontend.sql.binder.resolution import Candidate, exact_function, find_function, missing_function
from frontend.sql.binder.statement import Query, StatementBinding, reference
from frontend.sql.walk import free_columns
from frontend.types import oids

ARGUMENTS_MAX = 100


@binds(syntax.FunctionCall)
def bind_call(query: Query, node: syntax.FunctionCall) -> logical.Expression:
    """A call in an expression; a set-returning one becomes a column of the level's ProjectSet."""
    bound = bind_any_call(query, node)
    if isinstance(bound, logical.SetReturningCall):
        check_set_returning(query, node.position)
        return place_set_returning(query, bound, node.names[-1])
    return bound


def place_set_returning(query: Query, bound: logical.SetReturningCall, name: str) -> logical.Expression:
    """The column that a set-returning call in a select list becomes; equal calls share one."""
    for existing, column in query.set_returning:
        if existing == bound:
            return reference(column, bound.position)
    column = query.column(name, bound.type, bound.typmod, bound.columns or None)
    query.set_returning.append((bound, column))
    return reference(column, bound.position)


def bind_any_call(query: Query, node: syntax.FunctionCall) -> logical.Expression:
    """A call as it is, also one that returns a set (`SetReturningCall`)."""
    binding = query.binding
    position = node.position
    name = node.names[-1]
    if len(node.arguments) > ARGUMENTS_MAX:
        raise SqlError(
            "54023", f"cannot pass more than {ARGUMENTS_MAX} arguments to a function", position=position or None
        )
    sets_before = len(query.set_returning)
    arguments, argument_names = _bind_arguments(query, node.arguments)
    sort_arguments = [bind(query, item.expression) for item in node.within_group]
    given = [item.type for item in (*arguments, *sort_arguments)]
    names = node.names
    if len(names) > 1 and names[-2] == "sys":
        names = [f"sys.{name}"]
    elif len(names) > 1 and names[-2] != "pg_catalog":
        _check_schema(query, node)
        raise missing_function(binding, names, given, argument_names, position)
    if (
        not node.within_group
        and not node.star
        and not argument_names
        and not node.variadic
        and len(given) == 1
        and names is node.names
    ):
        as_cast = _function_style_cast(binding, name, arguments[0], position)
        if as_cast is not None and not (node.distinct or node.order_by or node.filter or node.over):
            return as_cast
    candidate = find_function(binding, names, given, argument_names, node.variadic, position)
    if candidate is None:
        if len(arguments) == 1 and not argument_names and not node.star:
            field = _field_of(query, arguments[0], name, position)
            if field is not None:
                return field
        raise missing_function(binding, node.names, given, argument_names, position)
    proc = candidate.proc
    _check_decoration(node, proc, name)
    declared, result = unify(binding, given, candidate.arguments, proc.result_type)
    if proc.kind == "a" and node.within_group:
        from frontend.sql.binder.aggregates import bind_ordered_set

        return bind_ordered_set(query, node, proc, arguments, sort_arguments, declared, result)
    converted = _convert(binding, candidate, arguments, declared, node.variadic, given)
    if node.over is not None and proc.kind in "aw":
        from frontend.sql.binder.windows import bind_window_call

        return bind_window_call(query, node, proc, converted, result)
    if proc.kind == "a":
        if len(query.set_returning) > sets_before:
            raise SqlError(
                "0A000",
                "aggregate function calls cannot contain set-returning function calls",
                hint=LATERAL_HINT,
                position=query.set_returning[sets_before][0].position or None,
            )
        from frontend.sql.binder.aggregates import bind_aggregate

        return bind_aggregate(query, node, proc, converted, result)
    if proc.returns_set:
        if proc.volatility == "v":
            binding.volatile = True
        return logical.SetReturningCall(
            type=result,
            proc_oid=proc.oid,
            signature=signature(proc.oid),
            arguments=tuple(converted),
            strict=proc.is_strict,
            columns=output_columns(proc, declared, result),
            position=position,
        )
    return call(binding, proc, result, converted, variadic=node.variadic, position=position)


def output_columns(proc: Proc, declared: Sequence[int], result: int) -> tuple[logical.Column, ...]:
    """The columns of a function with OUT arguments (ids are 0), polymorphic ones made concrete; () without."""
    columns = proc.output_columns
    if len(columns) < 2:
        return ()
    concrete = dict(zip(proc.argument_types, declared, strict=False))
    return tuple([logical.Column(id=0, name=name, type=concrete.get(oid, oid), typmod=-1) for name, oid in columns])


def _check_schema(query: Query, node: syntax.FunctionCall) -> None:
    schema = node.names[-2]
    if schema not in ("pg_catalog", "information_schema", "sys") and query.binding.catalog.schema(schema) is None:
        raise SqlError("3F000", f'schema "{schema}" does not exist', position=node.position or None)


def _bind_arguments(query: Query, nodes: Sequence[syntax.Expression]) -> tuple[list[logical.Expression], list[str]]:
    values: list[logical.Expression] = []
    names: list[str] = []
    for node in nodes:
        if isinstance(node, syntax.NamedArgument):
            if node.name in names:
                raise SqlError(
                    "42601", f'argument name "{node.name}" used more than once', position=node.position or None
                )
            names.append(node.name)
            values.append(bind(query, node.value))
        elif names:
            raise SqlError("42601", "positional argument cannot follow named argument", position=node.position or None)
        else:
            values.append(bind(query, node))
    return values, names


def _function_style_cast(
    binding: StatementBinding, name: str, argument: logical.Expression, position: int
) -> logical.Expression | None:
    """type(value) where there is no such function but a cast that needs no function, or a literal."""
    if exact_function(name, (argument.type,)):
        return None
    target = binding.types.lookup([name], ("pg_catalog",))
    if target is None or binding.types.fact(target).kind == "p":
        return None
    if argument.type != oids.UNKNOWN:
        path = cast_path(binding, argument.type, target, "e")
        if path is None or path.method not in ("binary", "io"):
            return None
        if path.method == "io" and binding.types.is_row(argument.type) and binding.types.category(target) == "S":
            return None
    return coerce_to(binding, argument, target, -1, "e", position)


def _field_of(query: Query, argument: logical.Expression, name: str, position: int) -> logical.Expression | None:
    from frontend.sql.binder.expressions import field_at

    shape = query.binding.types.shape_of(argument, query.binding.shapes)
    for place, column in enumerate(shape or ()):
        if column.name == name:
            return field_at(argument, place, column, position)
    return None


def call_on_value(query: Query, name: str, operand: logical.Expression, position: int) -> logical.Expression | None:
    """(value).name as the function name(value), or None where there is none."""
    binding = query.binding
    if not procs_by_name(name):
        return None
    candidate = find_function(binding, [name], [operand.type])
    if candidate is None or candidate.proc.kind != "f" or candidate.proc.returns_set:
        return None
    declared, result = unify(binding, [operand.type], candidate.arguments, candidate.proc.result_type)
    converted = _convert(binding, candidate, [operand], declared, False, [operand.type])
    return call(binding, candidate.proc, result, converted, position=position)


def call_resolved(
    query: Query, names: Sequence[str], arguments: Sequence[logical.Expression], position: int
) -> logical.Expression:
    """A plain function found by overload resolution, for syntax that stands for a call. 42883 where none fits."""
    binding = query.binding
    given = [item.type for item in arguments]
    candidate = find_function(binding, names, given, position=position)
    if candidate is None:
        raise missing_function(binding, names, given, (), position)
    declared, result = unify(binding, given, candidate.arguments, candidate.proc.result_type)
    converted = _convert(binding, candidate, arguments, declared, False, given)
    return call(binding, candidate.proc, result, converted, position=position)


def _check_decoration(node: syntax.FunctionCall, proc: Proc, name: str) -> None:
    """Refuse what only aggregates or window functions may have."""
    position = node.position or None
    shown = ".".join(node.names[-1:]) if node.syntax or len(node.names) == 1 else ".".join(node.names)
    if proc.kind == "p":
        raise SqlError("42809", f"{shown} is a procedure", hint="To call a procedure, use CALL.", position=position)
    if proc.kind == "w" and node.over is None:
        raise SqlError("42809", f"window function {shown} requires an OVER clause", position=position)
    if proc.kind == "w" and node.within_group:
        raise SqlError("42809", f"window function {shown} cannot have WITHIN GROUP", position=position)
    if proc.kind == "a":
        _check_aggregate_kind(node, proc, shown)
        return
    what = "is not an aggregate function"
    if proc.kind == "f":
        if node.star:
            raise SqlError("42809", f"{shown}(*) specified, but {shown} {what}", position=position)
        if node.distinct:
            raise SqlError("42809", f"DISTINCT specified, but {shown} {what}", position=position)
        if node.within_group:
            raise SqlError("42809", f"WITHIN GROUP specified, but {shown} {what}", position=position)
        if node.order_by:
            raise SqlError("42809", f"ORDER BY specified, but {shown} {what}", position=position)
        if node.filter is not None:
            raise SqlError("42809", f"FILTER specified, but {shown} {what}", position=position)
        if node.over is not None:
            raise SqlError(
                "42809",
                f"OVER specified, but {shown} is not a window function nor an aggregate function",
                position=position,
            )


def _check_aggregate_kind(node: syntax.FunctionCall, proc: Proc, shown: str) -> None:
    position = node.position or None
    kind = aggregate_by_oid(proc.oid).kind
    if kind != "n" and not node.within_group:
        raise SqlError("42809", f"WITHIN GROUP is required for ordered-set aggregate {shown}", position=position)
    if kind != "n" and node.over is not None:
        raise SqlError("0A000", f"OVER is not supported for ordered-set aggregate {shown}", position=position)
    if kind == "n" and node.within_group:
        raise SqlError(
            "42809", f"{shown} is not an ordered-set aggregate, so it cannot have WITHIN GROUP", position=position
        )
    if kind == "n" and not node.star and not node.arguments and proc.argument_count == 0:
        raise SqlError(
            "42809", f"{shown}(*) must be used to call a parameterless aggregate function", position=position
        )


def _convert(
    binding: StatementBinding,
    candidate: Candidate,
    arguments: Sequence[logical.Expression],
    declared: Sequence[int],
    explicit_variadic: bool,
    given: Sequence[int],
) -> list[logical.Expression]:
    """The arguments in the function's order with its types: converted, variadic ones gathered, defaults filled in."""
    proc = candidate.proc
    if explicit_variadic and proc.variadic == oids.ANY and not binding.types.element(given[-1]):
        raise SqlError("42804", "VARIADIC argument must be an array", position=arguments[-1].position or None)
    converted = [coerce(binding, argument, wanted, "i") for argument, wanted in zip(arguments, declared, strict=True)]
    if candidate.variadic_count and proc.variadic != oids.ANY:
        fixed = len(converted) - candidate.variadic_count
        members = converted[fixed:]
        array = binding.types.array(members[0].type)
        if not array:
            name = binding.types.name(members[0].type)
            raise SqlError("42704", f"could not find array type for data type {name}")
        gathered = logical.ArrayConstructor(type=array, elements=tuple(members), position=members[0].position)
        return [*converted[:fixed], gathered]
    if candidate.order is not None:
        slots: list[logical.Expression | None] = [None] * proc.argument_count
        for place, value in zip(candidate.order, converted, strict=True):
            slots[place] = value
        first = proc.argument_count - proc.default_count
        return [
            value if value is not None else default_argument(binding, proc, place - first)
            for place, value in enumerate(slots)
        ]
    if len(converted) < proc.argument_count and not candidate.variadic_count:
        first = proc.argument_count - proc.default_count
        converted.extend(
            default_argument(binding, proc, place - first) for place in range(len(converted), proc.argument_count)
        )
    return converted


@cache
def _parsed_defaults(text: str) -> tuple[syntax.Expression, ...]:
    from frontend.sql.parser import parse_expression

    parsed = parse_expression(f"ROW({text})")
    assert isinstance(parsed, syntax.Row)
    return tuple(parsed.elements)


def default_argument(binding: StatementBinding, proc: Proc, place: int) -> logical.Expression:
    """The default of the place-th argument that has one."""
    assert proc.default_expressions is not None
    wanted = proc.argument_types[proc.argument_count - proc.default_count + place]
    value = bind(Query(binding), _parsed_defaults(proc.default_expressions)[place])
    return replace(coerce(binding, value, wanted, "i"), position=0)


# ── functions without parentheses ───────────────────────────────────────────────────────────────────────────────────

_VALUE_FUNCTIONS: dict[str, str] = {
    "current_role": "current_user",
    "current_user": "current_user",
    "user": "current_user",
    "session_user": "session_user",
    "system_user": "system_user",
    "current_catalog": "current_database",
    "current_schema": "current_schema",
}
# What now() is converted to.
_TIME_FUNCTIONS: dict[str, int] = {
    "current_date": oids.DATE,
    "current_time": oids.TIMETZ,
    "current_timestamp": oids.TIMESTAMPTZ,
    "localtime": oids.TIME,
    "localtimestamp": oids.TIMESTAMP,
}


@binds(syntax.SqlValue)
def bind_sql_value(query: Query, node: syntax.SqlValue) -> logical.Expression:
    """current_date, current_user …: calls of the functions that give the same value."""
    binding = query.binding
    if node.name in _VALUE_FUNCTIONS:
        return call_by_name(binding, _VALUE_FUNCTIONS[node.name], (), [], node.position)
    target = _TIME_FUNCTIONS[node.name]
    value = coerce(binding, call_by_name(binding, "now", (), [], node.position), target, "e", position=node.position)
    if node.precision is None:
        return value
    precision = node.precision
    if precision > 6:
        binding.notices.append(f"{node.name.upper()}({precision}) precision reduced to maximum allowed, 6")
        precision = 6
    return apply_typmod(value, precision, False)


@binds(syntax.Grouping)
def bind_grouping(query: Query, node: syntax.Grouping) -> logical.Expression:
    """GROUPING(…): resolved against the keys when the whole level is bound."""
    if len(node.arguments) > 31:
        raise SqlError("54023", "GROUPING must have fewer than 32 arguments", position=node.position or None)
    arguments = tuple([bind(query, item) for item in node.arguments])
    owner = level_of(query, arguments)
    check_aggregate(owner, node.position, "grouping operations")
    column = owner.column("grouping", oids.INT4)
    owner.groupings.append((arguments, column, node.position))
    return reference(column, node.position)


def level_of(query: Query, parts: object) -> Query:
    """The query level an aggregate belongs to: the innermost whose columns its arguments use, else where it stands."""
    best: Query | None = None
    for identifier in free_columns(parts):
        owner = query.binding.owners.get(identifier)
        if owner is not None and owner.depth <= query.depth and (best is None or owner.depth > best.depth):
            best = owner
    return best if best is not None else query


def bind_filter(query: Query, node: syntax.FunctionCall) -> logical.Expression | None:
    """FILTER (WHERE …) of an aggregate."""
    if node.filter is None:
        return None
    with query.clause("FILTER"):
        return to_boolean(query.binding, bind(query, node.filter), "FILTER")


def require_distinct_support(query: Query, arguments: Sequence[logical.Expression]) -> None:
    """DISTINCT over arguments needs their equality."""
    for argument in arguments:
        require_equality(query.binding, argument.type, argument.position)
