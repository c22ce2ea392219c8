"""Array functions and operators (PostgreSQL's manual, 9.19); comparison is in `comparison_operators`.

An array value is a list, nested for more dimensions, without lower bounds: arrays begin at 1, int2vector and oidvector at 0
(that is what `lower_bound` reads off the argument's type). Elements are compared by their type's hash key, so membership
tests are set look-ups.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from frontend.context import Context
from frontend.errors import SqlError, unsupported
from frontend.functions.registry import scalar, set_returning
from frontend.functions.rendering import element_type
from frontend.types import oids
from frontend.types.arrays import dimensions, flatten
from frontend.types.registry import hash_key

DIMENSIONS_MAX = 6
ELEMENTS_MAX = 134_217_727  # PostgreSQL's MaxArraySize

Array = list[Any]
Types = tuple[int, ...]


def lower_bound(oid: int) -> int:
    """The index of an array type's first element."""
    return 0 if oid in (oids.INT2VECTOR, oids.OIDVECTOR) else 1


def _same(value: Any) -> Any:
    return value


def _key(array_type: int) -> Callable[[Any], Any]:
    return hash_key(element_type(array_type)) or _same


# ── shape ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@scalar("array_ndims(anyarray)")
def array_ndims(array: Array) -> int | None:
    return len(dimensions(array)) or None


@scalar("array_dims(anyarray)", typed=True)
def array_dims(array: Array, *, argument_types: Types, result_type: int) -> str | None:
    low = lower_bound(argument_types[0])
    return "".join(f"[{low}:{size + low - 1}]" for size in dimensions(array)) or None


@scalar("array_length(anyarray,int4)")
def array_length(array: Array, dimension: int) -> int | None:
    if dimension == 1:
        return len(array) or None
    shape = dimensions(array)
    return shape[dimension - 1] if 0 < dimension <= len(shape) else None


@scalar("array_lower(anyarray,int4)", typed=True)
def array_lower(array: Array, dimension: int, *, argument_types: Types, result_type: int) -> int | None:
    return lower_bound(argument_types[0]) if 0 < dimension <= len(dimensions(array)) else None


@scalar("array_upper(anyarray,int4)", typed=True)
def array_upper(array: Array, dimension: int, *, argument_types: Types, result_type: int) -> int | None:
    size = array_length(array, dimension)
    return None if size is None else size + lower_bound(argument_types[0]) - 1


@scalar("cardinality(anyarray)")
def cardinality(array: Array) -> int:
    size = 1
    for length in dimensions(array) or [0]:
        size *= length
    return size


# ── construction ────────────────────────────────────────────────────────────────────────────────────────────────────


def _check_flat(array: Array) -> None:
    if len(dimensions(array)) > 1:
        raise SqlError("22000", "argument must be empty or one-dimensional array")


@scalar("array_append(anycompatiblearray,anycompatible)")
def array_append(array: Array | None, value: Any) -> Array:
    if array is None:
        return [value]
    _check_flat(array)
    return [*array, value]


@scalar("array_prepend(anycompatible,anycompatiblearray)")
def array_prepend(value: Any, array: Array | None) -> Array:
    if array is None:
        return [value]
    _check_flat(array)
    return [value, *array]


@scalar("array_cat(anycompatiblearray,anycompatiblearray)")
def array_cat(left: Array | None, right: Array | None) -> Array | None:
    """Arrays of one shape side by side, or an array as one more row of another."""
    if left is None or right is None:
        return right if left is None else left
    left_shape, right_shape = dimensions(left), dimensions(right)
    if not left_shape or not right_shape:
        return right if not left_shape else left
    difference = len(left_shape) - len(right_shape)
    if abs(difference) > 1:
        raise SqlError(
            "2202E",
            "cannot concatenate incompatible arrays",
            detail=f"Arrays of {len(left_shape)} and {len(right_shape)} dimensions are not compatible for concatenation.",
        )
    if difference == 0 and left_shape[1:] == right_shape[1:]:
        return left + right
    if difference == 1 and left_shape[1:] == right_shape:
        return [*left, right]
    if difference == -1 and left_shape == right_shape[1:]:
        return [left, *right]
    detail = (
        "Arrays with differing element dimensions are not compatible for concatenation."
        if difference == 0
        else "Arrays with differing dimensions are not compatible for concatenation."
    )
    raise SqlError("2202E", "cannot concatenate incompatible arrays", detail=detail)


@scalar("array_fill(anyelement,_int4)", "array_fill(anyelement,_int4,_int4)")
def array_fill(value: Any, shape: Array | None, *bounds: Array | None) -> Array:
    if shape is None or None in bounds:
        raise SqlError("22004", "dimension array or low bound array cannot be null")
    for given, name in ((shape, "Dimension"), *((bound, "Low bound") for bound in bounds)):
        assert given is not None
        if len(dimensions(given)) > 1:
            raise SqlError("2202E", "wrong number of array subscripts", detail=f"{name} array must be one dimensional.")
    if None in shape:
        raise SqlError("22004", "dimension values cannot be null")
    if len(shape) > DIMENSIONS_MAX:
        raise SqlError(
            "54000",
            f"number of array dimensions ({len(shape)}) exceeds the maximum allowed ({DIMENSIONS_MAX})",
        )
    for bound in bounds:
        assert bound is not None
        if None in bound:
            raise SqlError("22004", "dimension values cannot be null")
        if len(bound) != len(shape):
            raise SqlError(
                "2202E",
                "wrong number of array subscripts",
                detail="Low bound array has different size than dimensions array.",
            )
        if any(low != 1 for low in bound):
            raise unsupported("an array with a lower bound other than 1")
    size = 1
    for length in shape or [0]:
        size *= length
        if length < 0 or size > ELEMENTS_MAX:
            raise SqlError("54000", f"array size exceeds the maximum allowed ({ELEMENTS_MAX})")
    if size == 0:
        return []

    def fill(level: int) -> Array:
        if level == len(shape) - 1:
            return [value] * shape[level]
        return [fill(level + 1) for _ in range(shape[level])]

    return fill(0)


@scalar("trim_array(anyarray,int4)")
def trim_array(array: Array, count: int) -> Array:
    if not 0 <= count <= len(array):
        raise SqlError("2202E", f"number of elements to trim must be between 0 and {len(array)}")
    return array[: len(array) - count]


# ── search and change ───────────────────────────────────────────────────────────────────────────────────────────────


def _positions(array: Array, value: Any, array_type: int) -> Iterable[int]:
    if len(dimensions(array)) > 1:
        raise unsupported_search()
    low = lower_bound(array_type)
    if value is None:
        return (place + low for place, item in enumerate(array) if item is None)
    key = _key(array_type)
    wanted = key(value)
    return (place + low for place, item in enumerate(array) if item is not None and key(item) == wanted)


def unsupported_search() -> SqlError:
    """0A000 of PostgreSQL itself."""
    return SqlError("0A000", "searching for elements in multidimensional arrays is not supported")


@scalar("array_position(anycompatiblearray,anycompatible)", typed=True)
def array_position(array: Array | None, value: Any, *, argument_types: Types, result_type: int) -> int | None:
    return None if array is None else next(iter(_positions(array, value, argument_types[0])), None)


@scalar("array_position(anycompatiblearray,anycompatible,int4)", typed=True)
def array_position_from(
    array: Array | None, value: Any, start: int | None, *, argument_types: Types, result_type: int
) -> int | None:
    if array is None:
        return None
    found = _positions(array, value, argument_types[0])
    if not array or (value is None and None not in array):
        return None
    if start is None:
        raise SqlError("22004", "initial position must not be null")
    return next((place for place in found if place >= start), None)


@scalar("array_positions(anycompatiblearray,anycompatible)", typed=True)
def array_positions(array: Array | None, value: Any, *, argument_types: Types, result_type: int) -> Array | None:
    return None if array is None else list(_positions(array, value, argument_types[0]))


@scalar("array_remove(anycompatiblearray,anycompatible)", typed=True)
def array_remove(array: Array | None, value: Any, *, argument_types: Types, result_type: int) -> Array | None:
    if array is None:
        return None
    if len(dimensions(array)) > 1:
        raise SqlError("0A000", "removing elements from multidimensional arrays is not supported")
    if value is None:
        return [item for item in array if item is not None]
    key = _key(argument_types[0])
    wanted = key(value)
    return [item for item in array if item is None or key(item) != wanted]


@scalar("array_replace(anycompatiblearray,anycompatible,anycompatible)", typed=True)
def array_replace(array: Array | None, old: Any, new: Any, *, argument_types: Types, result_type: int) -> Array | None:
    if array is None:
        return None
    key = _key(argument_types[0])
    wanted = None if old is None else key(old)

    def replace(items: Array) -> Array:
        result = []
        for item in items:
            if isinstance(item, list):
                result.append(replace(item))
            else:
                is_wanted = item is None if old is None else item is not None and key(item) == wanted
                result.append(new if is_wanted else item)
        return result

    return replace(array)


# ── containment ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _keys_of(array: Array, key: Callable[[Any], Any]) -> set[Any]:
    return {key(item) for item in flatten(array) if item is not None}


@scalar("arraycontains(anyarray,anyarray)", typed=True)
def array_contains(array: Array, part: Array, *, argument_types: Types, result_type: int) -> bool:
    """@>: every element of `part` is in the array; NULL is in nothing."""
    key = _key(argument_types[0])
    wanted = list(flatten(part))
    return None not in wanted and _keys_of(array, key).issuperset(map(key, wanted))


@scalar("arraycontained(anyarray,anyarray)", typed=True)
def array_contained(part: Array, array: Array, *, argument_types: Types, result_type: int) -> bool:
    return array_contains(array, part, argument_types=argument_types, result_type=result_type)


@scalar("arrayoverlap(anyarray,anyarray)", typed=True)
def array_overlap(left: Array, right: Array, *, argument_types: Types, result_type: int) -> bool:
    key = _key(argument_types[0])
    return not _keys_of(left, key).isdisjoint(_keys_of(right, key))


# ── random ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@scalar("array_shuffle(anyarray)", context=True)
def array_shuffle(context: Context, array: Array) -> Array:
    return context.random.sample(array, len(array))


@scalar("array_sample(anyarray,int4)", context=True)
def array_sample(context: Context, array: Array, count: int) -> Array:
    if not 0 <= count <= len(array):
        raise SqlError("22023", f"sample size must be between 0 and {len(array)}")
    return context.random.sample(array, count)


# ── rows ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@set_returning("unnest(anyarray)")
def unnest(array: Array) -> Iterable[Any]:
    return flatten(array) if array and isinstance(array[0], list) else array


@set_returning("generate_subscripts(anyarray,int4)", "generate_subscripts(anyarray,int4,bool)", typed=True)
def generate_subscripts(
    array: Array, dimension: int, reverse: bool = False, *, argument_types: Types, result_type: int
) -> Iterable[int]:
    size = array_length(array, dimension)
    if size is None:
        return ()
    low = lower_bound(argument_types[0])
    subscripts = range(low, low + size)
    return reversed(subscripts) if reverse else subscripts
