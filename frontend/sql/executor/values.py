"""What generated expressions call where a template would be too long: arrays, rows, quantifiers, extremes, waiting."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any

from frontend.errors import SqlError
from frontend.sql.executor.state import Sleep

Key = Callable[[Any], Any] | None
OMITTED = object()
"""A bound that a slice leaves out; NULL as a bound is something else (the result is NULL)."""


def apply_typmod(apply: Callable[[Any, int, bool], Any], typmod: int, explicit: bool, value: Any) -> Any:
    """A modifier applied to a value."""
    return apply(value, typmod, explicit)


def row_is_null(row: Any) -> bool:
    """row IS NULL: NULL itself or all fields NULL."""
    return row is None or all(field is None for field in row)


def row_not_null(row: Any) -> bool:
    """row IS NOT NULL: all fields not NULL."""
    return row is not None and not any(field is None for field in row)


def greatest(key: Key, items: Sequence[Any]) -> Any:
    """GREATEST: NULLs ignored."""
    present = [item for item in items if item is not None]
    return max(present, key=key) if present else None


def least(key: Key, items: Sequence[Any]) -> Any:
    """LEAST: NULLs ignored."""
    present = [item for item in items if item is not None]
    return min(present, key=key) if present else None


def membership(key: Key, items: Iterable[Any] | None) -> tuple[frozenset[Any], bool] | None:
    """(hash keys of the values, whether a NULL is among them); None for no list at all."""
    if items is None:
        return None
    listed = list(items)
    present = [item for item in listed if item is not None]
    return frozenset(present if key is None else [key(item) for item in present]), len(present) < len(listed)


def flattened(array: list[Any] | None) -> list[Any] | None:
    """All elements of an array of any dimensions."""
    if array is None or not array or not isinstance(array[0], list):
        return array
    return [element for part in array for element in flattened(part) or ()]


def quantified_any(operand: Any, array: list[Any] | None, compare: Callable[[Any, Any], Any]) -> bool | None:
    """operand OP ANY (array)."""
    if array is None:
        return None
    unknown = False
    for element in flattened(array) or ():
        outcome = compare(operand, element)
        if outcome is True:
            return True
        unknown = unknown or outcome is None
    return None if unknown else False


def quantified_all(operand: Any, array: list[Any] | None, compare: Callable[[Any, Any], Any]) -> bool | None:
    """operand OP ALL (array)."""
    if array is None:
        return None
    unknown = False
    for element in flattened(array) or ():
        outcome = compare(operand, element)
        if outcome is False:
            return False
        unknown = unknown or outcome is None
    return None if unknown else True


def _shape(array: Any) -> tuple[int, ...]:
    return (len(array), *(_shape(array[0]) if array and isinstance(array[0], list) else ()))


def joined_arrays(arrays: list[Any]) -> list[Any]:
    """ARRAY[array, …]: one dimension more; empty ones vanish, shapes must match (2202E)."""
    present = [array for array in arrays if array is not None and array]
    if len(present) < len(arrays) and present:
        raise _mismatch()
    if len({_shape(array) for array in present}) > 1:
        raise _mismatch()
    return present


def _mismatch() -> SqlError:
    return SqlError("2202E", "multidimensional arrays must have array expressions with matching dimensions")


NAME_BYTES = 64


def array_element(array: Any, subscripts: tuple[Any, ...], base: int) -> Any:
    """array[i][j]: NULL outside the bounds or where the dimensions do not fit."""
    for subscript in subscripts:
        if array is None or subscript is None or not isinstance(array, list):
            return None
        place = subscript - base
        if not 0 <= place < len(array):
            return None
        array = array[place]
    return None if isinstance(array, list) else array


def name_character(name: str | None, subscripts: tuple[Any, ...]) -> str | None:
    """name[i], counted from 0: a byte of it; NULL outside."""
    (place,) = subscripts
    if name is None or place is None or not 0 <= place < NAME_BYTES:
        return None
    stored = name.encode()
    return chr(stored[place]) if place < len(stored) else ""


def array_slice(array: Any, subscripts: tuple[tuple[Any, Any], ...], base: int) -> Any:
    """array[a:b][c:d]: an empty array where nothing is left, NULL where a bound is NULL."""
    if array is None or any(low is None or high is None for low, high in subscripts):
        return None
    return _slice(array, subscripts, base)


def _slice(array: Any, subscripts: tuple[tuple[Any, Any], ...], base: int) -> Any:
    if not subscripts:
        return array
    if not isinstance(array, list):
        return []
    low, high = subscripts[0]
    start = 0 if low is OMITTED else max(low - base, 0)
    stop = len(array) if high is OMITTED else max(high - base + 1, 0)
    chosen = array[start:stop]
    if len(subscripts) == 1:
        return chosen
    parts = [_slice(item, subscripts[1:], base) for item in chosen]
    return [part for part in parts if part]


def more_than_one_row() -> SqlError:
    """21000 of a scalar subquery."""
    return SqlError("21000", "more than one row returned by a subquery used as an expression")


def waiting(steps: Generator[float, None, Any] | None) -> Generator[Any, None, Any]:
    """The value of a function that waits (`ScalarImplementation.blocking`): the execution pauses as long as it says."""
    if steps is None:
        return None
    try:
        while True:
            yield Sleep(next(steps))
    except StopIteration as end:
        return end.value
    finally:
        steps.close()
