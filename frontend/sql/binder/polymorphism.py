"""Polymorphic arguments: what anyelement, anyarray, anycompatible … stand for in one call.

`unify` is PostgreSQL's enforce_generic_type_consistency: it finds the concrete types from the actual ones or says, in
PostgreSQL's words, why they do not go together. Range types are not supported by Boreal, so anyrange matches nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from frontend.errors import SqlError
from frontend.sql.binder.statement import StatementBinding
from frontend.sql.binder.types import POLYMORPHIC
from frontend.types import oids

_ELEMENTS = frozenset({oids.ANYELEMENT, oids.ANYNONARRAY, oids.ANYENUM})
_COMPATIBLE = frozenset({oids.ANYCOMPATIBLE, oids.ANYCOMPATIBLENONARRAY})
_RANGES = frozenset({oids.ANYRANGE, 4537, oids.ANYCOMPATIBLERANGE, 4538})


def _refuse(message: str, detail: str | None = None) -> SqlError:
    return SqlError("42804", message, detail=detail)


def unify(
    binding: StatementBinding, actual: Sequence[int], declared: Sequence[int], result: int, deciding: bool = False
) -> tuple[list[int], int]:
    """(argument types to convert to, result type). With `deciding`, an undecidable type is no error yet."""
    if result not in POLYMORPHIC and not any(oid in POLYMORPHIC for oid in declared):
        return list(declared), result
    types = binding.types
    element = array = 0
    compatible: list[int] = []
    compatible_array = 0
    any_unknown = has_nonarray = has_compatible_nonarray = has_poly = has_compatible = False
    for given, wanted in zip(actual, declared, strict=True):
        if wanted in _ELEMENTS:
            has_poly = True
            has_nonarray = has_nonarray or wanted == oids.ANYNONARRAY
            if wanted == oids.ANYENUM and given != oids.UNKNOWN:
                raise _refuse(f"type matched to anyenum is not an enum type: {types.name(given)}")
            if given == oids.UNKNOWN:
                any_unknown = True
            elif element and given != element:
                raise _refuse(
                    'arguments declared "anyelement" are not all alike',
                    f"{types.name(element)} versus {types.name(given)}",
                )
            else:
                element = given
        elif wanted == oids.ANYARRAY:
            has_poly = True
            if given == oids.UNKNOWN:
                any_unknown = True
            elif array and given != array:
                raise _refuse(
                    'arguments declared "anyarray" are not all alike',
                    f"{types.name(array)} versus {types.name(given)}",
                )
            else:
                array = given
        elif wanted in _COMPATIBLE:
            has_compatible = True
            has_compatible_nonarray = has_compatible_nonarray or wanted == oids.ANYCOMPATIBLENONARRAY
            if given != oids.UNKNOWN:
                compatible.append(given)
        elif wanted == oids.ANYCOMPATIBLEARRAY:
            has_compatible = True
            if given == oids.UNKNOWN:
                continue
            inner = types.element(given)
            if not inner:
                raise _refuse(f"argument declared anycompatiblearray is not an array but type {types.name(given)}")
            compatible_array = given
            compatible.append(inner)
        elif wanted in _RANGES:
            raise _refuse(f"argument declared anyrange is not a range type but type {types.name(given)}")
    if has_poly:
        element, array = _settle_elements(binding, element, array, any_unknown, has_nonarray, deciding)
    compatible_type = 0
    if has_compatible:
        compatible_type = _settle_compatible(binding, compatible, has_compatible_nonarray, deciding)
        if compatible_type:
            compatible_array = types.array(compatible_type)
            if not compatible_array and oids.ANYCOMPATIBLEARRAY in (*declared, result):
                raise _refuse(f"could not find array type for data type {types.name(compatible_type)}")
    substitutes = {
        oids.ANYELEMENT: element,
        oids.ANYNONARRAY: element,
        oids.ANYENUM: element,
        oids.ANYARRAY: array,
        oids.ANYCOMPATIBLE: compatible_type,
        oids.ANYCOMPATIBLENONARRAY: compatible_type,
        oids.ANYCOMPATIBLEARRAY: compatible_array,
    }
    if not deciding and result == oids.ANYARRAY and not array:
        raise _refuse(f"could not find array type for data type {types.name(element)}")
    return [substitutes.get(oid, oid) or oid for oid in declared], substitutes.get(result, result) or result


def _settle_elements(
    binding: StatementBinding, element: int, array: int, any_unknown: bool, has_nonarray: bool, deciding: bool
) -> tuple[int, int]:
    types = binding.types
    if array == oids.ANYARRAY:
        return element or oids.ANYELEMENT, array
    if array:
        inner = types.element(array)
        if not inner:
            raise _refuse(f"argument declared anyarray is not an array but type {types.name(array)}")
        if element and inner != element:
            raise _refuse(
                "argument declared anyarray is not consistent with argument declared anyelement",
                f"{types.name(array)} versus {types.name(element)}",
            )
        element = inner
    if not element:
        if deciding:
            return 0, 0
        raise _refuse(
            "could not determine polymorphic type because input has type unknown"
            if any_unknown
            else "could not determine polymorphic type"
        )
    if has_nonarray and types.element(element):
        raise _refuse(f"type matched to anynonarray is an array type: {types.name(element)}")
    return element, array or types.array(element)


def _settle_compatible(binding: StatementBinding, compatible: Sequence[int], has_nonarray: bool, deciding: bool) -> int:
    from frontend.sql import logical
    from frontend.sql.binder.coercion import can_coerce, common_type

    if not compatible:
        return 0 if deciding else oids.TEXT
    types = binding.types
    chosen = common_type(binding, [logical.Constant(type=oid, value=None) for oid in compatible], None)
    if chosen is None:
        raise _refuse(
            "arguments of anycompatible family cannot be cast to a common type",
            " versus ".join(types.name(oid) for oid in compatible[:2]),
        )
    for oid in compatible:
        if not can_coerce(binding, oid, chosen, "i"):
            raise _refuse("arguments of anycompatible family cannot be cast to a common type")
    if has_nonarray and types.element(chosen):
        raise _refuse(f"type matched to anycompatiblenonarray is an array type: {types.name(chosen)}")
    return chosen
