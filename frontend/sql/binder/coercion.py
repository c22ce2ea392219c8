"""Conversions that the binder puts in: PostgreSQL's rules of parse_coerce.c.

Three contexts, each allowing more: "i" implicit (operands and arguments), "a" assignment (INSERT, UPDATE), "e" explicit
(CAST). A literal of unknown type becomes a constant of the wanted type here and now, so that its input error is the
statement's error with the literal's position; an untyped parameter takes the type on (`resolve_parameter`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from frontend.errors import SqlError
from frontend.sql import logical
from frontend.sql.binder.statement import StatementBinding
from frontend.sql.binder.types import POLYMORPHIC
from frontend.types import oids
from frontend.types.casts import CastPath, find_cast
from frontend.types.facts import type_facts

CoercionContext = Literal["i", "a", "e"]

_POLYMORPHIC_SCALARS = frozenset(
    {oids.ANY, oids.ANYELEMENT, oids.ANYNONARRAY, oids.ANYCOMPATIBLE, oids.ANYCOMPATIBLENONARRAY}
)


def cast_path(binding: StatementBinding, source: int, target: int, context: CoercionContext) -> CastPath | None:
    """How values get from one type to another in this context; None where they may not."""
    facts = type_facts()
    if source in facts and target in facts:
        return find_cast(source, target, context)
    types = binding.types
    if types.is_row(source) and target == oids.RECORD:
        return find_cast(oids.RECORD, oids.RECORD, "e")
    if context != "i" and types.is_row(source) and types.category(target) == "S":
        return find_cast(oids.RECORD, target, context)
    if context != "i" and types.category(target) == "S" and types.is_row(types.element(source) or oids.INT4):
        return find_cast(oids.RECORDARRAY, target, context)
    return None


def can_coerce(binding: StatementBinding, source: int, target: int, context: CoercionContext) -> bool:
    """Whether one type converts to another; polymorphic targets are checked by `resolution`."""
    if source == target or target == oids.ANY or target in POLYMORPHIC or source == oids.UNKNOWN:
        return True
    if cast_path(binding, source, target, context) is not None:
        return True
    types = binding.types
    if source == oids.RECORD and types.is_row(target):
        return True
    if target == oids.RECORD and types.is_row(source):
        return True
    return target == oids.RECORDARRAY and types.is_row(types.element(source) or oids.INT4)


def coerce(
    binding: StatementBinding,
    expression: logical.Expression,
    target: int,
    context: CoercionContext,
    typmod: int = -1,
    position: int = 0,
) -> logical.Expression:
    """The expression as a value of `target` (without applying the typmod); only after `can_coerce`.

    `position`: where an explicit cast stands; an implicit one is blamed on its operand.
    """
    source = expression.type
    if source == target or target in _POLYMORPHIC_SCALARS:
        return expression
    if target in POLYMORPHIC and source != oids.UNKNOWN:
        return expression
    if source == oids.UNKNOWN:
        return _typed(binding, expression, target, typmod)
    types = binding.types
    path = cast_path(binding, source, target, context)
    if path is not None:
        return logical.Cast(
            type=target,
            operand=expression,
            path=path,
            implicit=context != "e",
            position=position or expression.position,
        )
    if source == oids.RECORD and types.is_row(target):
        return _record_to_row(binding, expression, target, context, position)
    if types.is_row(source) and target == oids.RECORD:
        return expression
    if target == oids.RECORDARRAY:
        return expression
    raise _cannot_cast(binding, source, target, position or expression.position)


def _typed(binding: StatementBinding, expression: logical.Expression, target: int, typmod: int) -> logical.Expression:
    if isinstance(expression, logical.Constant):
        if expression.value is None:
            return logical.Constant(type=target, value=None, position=expression.position)
        if target == oids.UNKNOWN:
            return expression
        try:
            value = binding.types.input(
                target, expression.value, typmod if target == oids.INTERVAL else -1, binding.context
            )
        except SqlError as error:
            error.position = error.position or expression.position or None
            raise
        return logical.Constant(type=target, value=value, position=expression.position)
    if isinstance(expression, logical.ParameterRef):
        return binding.resolve_parameter(expression, target, -1)
    # Some other expression of unknown type holds a str, as text does.
    as_text = replace(expression, type=oids.TEXT)
    return as_text if target == oids.TEXT else coerce(binding, as_text, target, "e")


def _record_to_row(
    binding: StatementBinding, expression: logical.Expression, target: int, context: CoercionContext, position: int
) -> logical.Expression:
    fields = binding.types.fields(target)
    shape = binding.types.shape_of(expression, binding.shapes)
    where = position or expression.position
    if not isinstance(expression, logical.RowConstructor) or fields is None or shape is None:
        raise _cannot_cast(binding, expression.type, target, where)
    error = _cannot_cast(binding, expression.type, target, where)
    if len(fields) != len(expression.fields):
        error.detail = (
            "Input has too few columns." if len(fields) > len(expression.fields) else "Input has too many columns."
        )
        raise error
    converted = []
    for place, (item, field) in enumerate(zip(expression.fields, fields, strict=True)):
        value = coerce_to(binding, item, field.type, field.typmod, context)
        if value is None:
            error.detail = (
                f"Cannot cast type {binding.types.name(item.type)} to {binding.types.name(field.type)} "
                f"in column {place + 1}."
            )
            raise error
        converted.append(value)
    return logical.RowConstructor(
        type=target,
        fields=tuple(converted),
        names=tuple([field.name for field in fields]),
        position=expression.position,
    )


def _cannot_cast(binding: StatementBinding, source: int, target: int, position: int) -> SqlError:
    types = binding.types
    return SqlError(
        "42846", f"cannot cast type {types.name(source)} to {types.name(target)}", position=position or None
    )


def apply_typmod(expression: logical.Expression, typmod: int, explicit: bool) -> logical.Expression:
    """The value cut, padded or rounded to the modifier, where it is not known to be so already."""
    if typmod < 0 or expression.typmod == typmod:
        return expression
    fact = type_facts().get(expression.type)
    if fact is None:
        return expression
    return logical.ApplyTypmod(
        type=expression.type, typmod=typmod, operand=expression, explicit=explicit, position=expression.position
    )


def coerce_to(
    binding: StatementBinding,
    expression: logical.Expression,
    target: int,
    typmod: int,
    context: CoercionContext,
    position: int = 0,
) -> logical.Expression | None:
    """The expression as a value of type and modifier; None where the context does not allow it."""
    if not can_coerce(binding, expression.type, target, context):
        return None
    return apply_typmod(coerce(binding, expression, target, context, typmod, position), typmod, context == "e")


def to_boolean(binding: StatementBinding, expression: logical.Expression, construct: str) -> logical.Expression:
    """The expression as a condition. 42804 where it is none."""
    return to_specific(binding, expression, oids.BOOL, construct)


def to_specific(
    binding: StatementBinding, expression: logical.Expression, target: int, construct: str
) -> logical.Expression:
    """The expression as a value of the one type that a construct takes. 42804 where it is not of that type."""
    if expression.type == target:
        return expression
    result = coerce_to(binding, expression, target, -1, "a")
    if result is None:
        types = binding.types
        raise SqlError(
            "42804",
            f"argument of {construct} must be type {types.name(target)}, not type {types.name(expression.type)}",
            position=expression.position or None,
        )
    return result


def common_type(
    binding: StatementBinding, expressions: Sequence[logical.Expression], construct: str | None
) -> int | None:
    """The type that the alternatives of a construct (CASE, UNION, ARRAY …) share, by PostgreSQL's rules.

    42804 where they do not match; with `construct` None the answer is None then.
    """
    types = binding.types
    chosen = expressions[0]
    best = chosen.type
    if best != oids.UNKNOWN and all(item.type == best for item in expressions):
        return best
    category = types.category(best)
    preferred = types.preferred(best)
    for item in expressions[1:]:
        other = item.type
        if other in (oids.UNKNOWN, best):
            continue
        if best == oids.UNKNOWN:
            best, category, preferred = other, types.category(other), types.preferred(other)
        elif types.category(other) != category:
            if construct is None:
                return None
            raise SqlError(
                "42804",
                f"{construct} types {types.name(best)} and {types.name(other)} cannot be matched",
                position=item.position or None,
            )
        elif not preferred and can_coerce(binding, best, other, "i") and not can_coerce(binding, other, best, "i"):
            best, category, preferred = other, types.category(other), types.preferred(other)
    return oids.TEXT if best == oids.UNKNOWN else best


def to_common(
    binding: StatementBinding, expression: logical.Expression, target: int, construct: str
) -> logical.Expression:
    """One alternative as a value of the common type. 42846 where there is no implicit conversion."""
    if expression.type == target:
        return expression
    if not can_coerce(binding, expression.type, target, "i"):
        types = binding.types
        raise SqlError(
            "42846",
            f"{construct} could not convert type {types.name(expression.type)} to {types.name(target)}",
            position=expression.position or None,
        )
    return coerce(binding, expression, target, "i")


def common_typmod(expressions: Sequence[logical.Expression], target: int) -> int:
    """The modifier that all the alternatives share, else -1."""
    first = expressions[0]
    if all(item.type == target and item.typmod == first.typmod for item in expressions):
        return first.typmod
    return -1
