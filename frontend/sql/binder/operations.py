"""Making bound calls: operators and functions over operands that are bound already."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Literal, cast

from frontend.errors import SqlError
from frontend.functions.catalogue import Proc, proc_by_oid, procs_by_name, signature_of
from frontend.sql import logical
from frontend.sql.binder.coercion import coerce
from frontend.sql.binder.resolution import ResolvedOperator, find_operator, resolve_operator
from frontend.sql.binder.statement import StatementBinding
from frontend.types import oids

Volatility = Literal["i", "s", "v"]


@cache
def signature(oid: int) -> str:
    """The registry's key of a pg_proc entry."""
    return signature_of(proc_by_oid(oid))


def call(
    binding: StatementBinding,
    proc: Proc,
    result: int,
    arguments: Sequence[logical.Expression],
    *,
    operator: str = "",
    variadic: bool = False,
    position: int = 0,
    typmod: int = -1,
) -> logical.Call:
    """The call of a pg_proc entry whose arguments have their declared types."""
    if proc.volatility == "v":
        binding.volatile = True
    return logical.Call(
        type=result,
        typmod=typmod,
        proc_oid=proc.oid,
        signature=signature(proc.oid),
        arguments=tuple(arguments),
        strict=proc.is_strict,
        volatile=cast(Volatility, proc.volatility),
        operator=operator,
        variadic=variadic,
        position=position,
    )


def call_by_name(
    binding: StatementBinding,
    name: str,
    argument_types: tuple[int, ...],
    arguments: Sequence[logical.Expression],
    position: int = 0,
) -> logical.Call:
    """The call of the pg_proc entry with exactly this name and these declared types."""
    for proc in procs_by_name(name):
        if proc.argument_types == argument_types:
            return call(binding, proc, proc.result_type, arguments, position=position)
    raise LookupError(f"pg_proc has no {name}{argument_types}")


def leftmost(position: int, expressions: Sequence[logical.Expression]) -> int:
    """Where a construct begins: the smallest known position of it and its operands."""
    known = [place for place in (position, *[item.position for item in expressions]) if place > 0]
    return min(known) if known else 0


def make_operator(
    binding: StatementBinding,
    name: str,
    left: logical.Expression | None,
    right: logical.Expression,
    position: int,
    schema: str | None = None,
) -> logical.Call:
    """`left name right` (or prefix), operands converted as the chosen operator wants them."""
    resolved = resolve_operator(binding, name, 0 if left is None else left.type, right.type, position, schema)
    operands = [right] if left is None else [left, right]
    return apply_operator(binding, resolved, operands, position)


def apply_operator(
    binding: StatementBinding, resolved: ResolvedOperator, operands: Sequence[logical.Expression], position: int
) -> logical.Call:
    """The call of a resolved operator over unconverted operands."""
    converted = [
        coerce(binding, operand, wanted, "i") for operand, wanted in zip(operands, resolved.arguments, strict=True)
    ]
    if resolved.proc.returns_set:
        raise SqlError("0A000", f"operator {resolved.operator.name} must not return a set", position=position or None)
    return call(
        binding,
        resolved.proc,
        resolved.result,
        converted,
        operator=resolved.operator.name,
        position=leftmost(position, operands),
    )


def comparison_between(
    binding: StatementBinding,
    name: str,
    left: logical.Expression,
    right: logical.Expression,
    position: int,
    slots: tuple[int, int] = (0, 1),
    schema: str | None = None,
) -> tuple[logical.Expression, logical.Expression, logical.Expression]:
    """(left, right, comparison): operands converted for the operator, and it as a call over two CaseValue placeholders."""
    resolved = resolve_operator(binding, name, left.type, right.type, position, schema)
    new_left = coerce(binding, left, resolved.arguments[0], "i")
    new_right = coerce(binding, right, resolved.arguments[1], "i")
    return new_left, new_right, over_placeholders(binding, resolved, slots, position)


def over_placeholders(
    binding: StatementBinding, resolved: ResolvedOperator, slots: tuple[int, int], position: int
) -> logical.Call:
    """A resolved binary operator as a call over CaseValue placeholders."""
    return call(
        binding,
        resolved.proc,
        resolved.result,
        [
            logical.CaseValue(type=resolved.arguments[0], slot=slots[0]),
            logical.CaseValue(type=resolved.arguments[1], slot=slots[1]),
        ],
        operator=resolved.operator.name,
        position=position,
    )


def require_ordering(binding: StatementBinding, oid: int, position: int) -> None:
    """42883 where values of the type cannot be sorted."""
    if oid in (oids.RECORD, oids.UNKNOWN) or binding.types.is_row(oid):
        return
    if find_operator(binding, "<", oid, oid) is None or not has_ordering(binding, oid):
        raise SqlError(
            "42883",
            f"could not identify an ordering operator for type {binding.types.name(oid)}",
            hint="Use an explicit ordering operator or modify the query.",
            position=position or None,
        )


def has_ordering(binding: StatementBinding, oid: int) -> bool:
    """Whether the type has a default B-tree order."""
    types = binding.types
    element = types.element(oid)
    if element and types.fact(oid).length == -1 and oid not in (oids.INT2VECTOR, oids.OIDVECTOR):
        return has_ordering(binding, element)
    return oid not in _UNORDERED


def require_equality(binding: StatementBinding, oid: int, position: int) -> None:
    """42883 where values of the type cannot be compared for equality."""
    if oid in (oids.RECORD, oids.UNKNOWN) or binding.types.is_row(oid):
        return
    types = binding.types
    element = types.element(oid)
    inner = oid
    while element and types.fact(inner).length == -1 and inner not in (oids.INT2VECTOR, oids.OIDVECTOR):
        inner, element = element, types.element(element)
    if inner in _UNEQUAL or find_operator(binding, "=", inner, inner) is None:
        raise SqlError(
            "42883",
            f"could not identify an equality operator for type {binding.types.name(oid)}",
            position=position or None,
        )


# Types with < or = operators but without a B-tree (or hash) operator class, or without operators at all.
_UNEQUAL = frozenset({oids.JSON, 142, 600, 601, 602, 603, 604, 628, 718, oids.JSONPATH})
_UNORDERED = _UNEQUAL | frozenset({oids.XID, oids.CID, oids.ACLITEM})
