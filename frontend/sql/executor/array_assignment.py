"""UPDATE … SET array[i] = value: the array with an element or a slice replaced, by PostgreSQL's rules of array_set.

Arrays are Python lists whose lower bounds are all 1. What PostgreSQL would answer with another lower bound (writing before the
first element, or into the middle of nowhere of an empty array) is therefore refused with 0A000. A one-dimensional array
grows; the elements between become NULL.
"""

from __future__ import annotations

from typing import Any

from frontend.errors import SqlError, unsupported
from frontend.sql.executor.values import OMITTED

Subscripts = tuple[Any, ...]

ELEMENTS_MAX = 134_217_727
"""PostgreSQL's MaxArraySize: elements of one array (54000 above)."""


def assign_element(array: Any, subscripts: Subscripts, value: Any) -> Any:
    """array[i][j]… = value. 2202E where the subscripts do not fit the dimensions."""
    _require_numbers(subscripts)
    if not array:
        return _single(subscripts, value)
    _require_dimensions(array, subscripts)
    if len(subscripts) == 1:
        place = subscripts[0] - 1
        result: list[Any] = list(array)
        _extend(result, place)
        result[place] = value
        return result
    return _replaced(array, subscripts, value)


def assign_slice(array: Any, subscripts: Subscripts, source: Any) -> Any:
    """array[a:b]… = source; a NULL source changes nothing."""
    if source is None:
        return array
    for bounds in subscripts:
        _require_numbers(tuple(bound for bound in bounds if bound is not OMITTED))
    if not array:
        if any(OMITTED in bounds for bounds in subscripts):
            raise SqlError(
                "2202E",
                "array slice subscript must provide both boundaries",
                detail="When assigning to a slice of an empty array value, slice boundaries must be fully specified.",
            )
        if len(subscripts) > 1:
            raise unsupported("assigning a slice of several dimensions to an empty array")
        low, high = subscripts[0]
        values = _taken(source, low, high)
        if values and low != 1:
            raise _lower_bound()
        return values
    _require_dimensions(array, subscripts)
    if len(subscripts) > 1:
        return _replaced_slices(array, subscripts, iter(_flat(source)), _count(source))
    low, high = subscripts[0]
    low = 1 if low is OMITTED else low
    high = len(array) if high is OMITTED else high
    values = _taken(source, low, high)
    result: list[Any] = list(array)
    if values:
        _extend(result, low - 1)
        _extend(result, high - 1)
        result[low - 1 : high] = values
    return result


def _require_numbers(subscripts: Subscripts) -> None:
    if None in subscripts:
        raise SqlError("22004", "array subscript in assignment must not be null")


def _require_dimensions(array: Any, subscripts: Subscripts) -> None:
    dimensions = 0
    while isinstance(array, list) and array:
        dimensions += 1
        array = array[0]
    if dimensions != len(subscripts):
        raise SqlError("2202E", "wrong number of array subscripts")


def _lower_bound() -> SqlError:
    return unsupported("an array whose lower bound is not 1")


def _single(subscripts: Subscripts, value: Any) -> Any:
    """A new array of one element."""
    if any(subscript != 1 for subscript in subscripts):
        raise _lower_bound()
    for _ in subscripts:
        value = [value]
    return value


def _extend(result: list[Any], place: int) -> None:
    """Make room for `place` with NULLs."""
    if place < 0:
        raise _lower_bound()
    if place >= ELEMENTS_MAX:
        raise SqlError("54000", f"array size exceeds the maximum allowed ({ELEMENTS_MAX})")
    result.extend([None] * (place + 1 - len(result)))


def _replaced(array: list[Any], subscripts: Subscripts, value: Any) -> list[Any]:
    """A copy of an array of several dimensions with one element replaced; it does not grow."""
    place = subscripts[0] - 1
    if not 0 <= place < len(array):
        raise SqlError("2202E", "array subscript out of range")
    result = list(array)
    result[place] = value if len(subscripts) == 1 else _replaced(array[place], subscripts[1:], value)
    return result


def _taken(source: list[Any], low: int, high: int) -> list[Any]:
    """The elements that fill low:high."""
    if high < low:
        raise SqlError("2202E", "upper bound cannot be less than lower bound")
    values = _flat(source)
    if len(values) < high - low + 1:
        raise SqlError("2202E", "source array too small")
    return values[: high - low + 1]


def _replaced_slices(array: list[Any], subscripts: Subscripts, values: Any, available: int) -> list[Any]:
    spans = []
    level: Any = array
    total = 1
    for low, high in subscripts:
        low = 1 if low is OMITTED else low
        high = len(level) if high is OMITTED else high
        if high < low:
            raise SqlError("2202E", "upper bound cannot be less than lower bound")
        if low < 1 or high > len(level):
            raise SqlError("2202E", "array subscript out of range")
        spans.append(range(low - 1, high))
        total *= high - low + 1
        level = level[0]
    if available < total:
        raise SqlError("2202E", "source array too small")

    def replace(part: list[Any], depth: int) -> list[Any]:
        result = list(part)
        for place in spans[depth]:
            result[place] = next(values) if depth == len(spans) - 1 else replace(part[place], depth + 1)
        return result

    return replace(array, 0)


def _flat(source: Any) -> list[Any]:
    if source and isinstance(source[0], list):
        return [element for item in source for element in _flat(item)]
    return list(source)


def _count(source: Any) -> int:
    return len(_flat(source))
