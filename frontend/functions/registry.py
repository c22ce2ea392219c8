"""The one table of what Boreal can compute: Python implementations of PostgreSQL's own pg_proc entries.

Resolution (which overload, which casts) works on PostgreSQL's catalogue facts in `frontend/builtin`; this table says what
runs. A pg_proc entry without an implementation resolves like any other and is then refused with 0A000.

A scalar function is registered under its signature as PostgreSQL writes it, with internal type names:

    @scalar("int4pl(int4,int4)", inline="int4_checked({0} + {1})", names={"int4_checked": int4_checked})
    def int4pl(left: int, right: int) -> int: ...

`inline` is a Python expression that the plan compiler writes into generated code in place of a call; it may use the
placeholders several times (the compiler binds a complex argument to a
local first) and the names in `names`. Strict functions (pg_proc.proisstrict) never see None: the compiler tests before.

    @aggregate("sum(int8)")   class with add(*args) and result(); `inline` gives init/step/final templates for hot ones
    @window("row_number()")   function of a WindowPartition giving one value for each of its rows
    @set_returning("generate_series(int4,int4)")   generator of values (tuples where it returns several columns)

Conventions that compiler and executor keep:

  * VARIADIC "any" functions (concat, format, json_build_object, num_nulls …) take their arguments one by one. Called with an
    explicit VARIADIC array, a NULL array gives NULL, else its elements are spread, and `argument_types` ends with the
    array's element type once (implementations repeat the last type as needed).
  * An accumulator may have `remove(*arguments)`, the inverse of `add`, for sliding window frames. Without it the executor
    computes each frame anew.
  * Ordered-set aggregates (percentile_*, mode): rows come sorted by WITHIN GROUP's ORDER BY, only the aggregated arguments
    go to `add`, rows with a NULL in them are left out, and the direct arguments go to `result(*direct)`.
  * Hypothetical-set aggregates (rank … WITHIN GROUP): rows come sorted; `add(comparison, starts_peers)` for each, where
    comparison is -1, 0, 1 as the row sorts before, with or after the hypothetical row of the direct arguments, and
    starts_peers tells whether the row differs from the one before it; then `result()`.
  * Aggregates keep their input sorted or distinct by the executor's work: an accumulator sees the rows in the order wanted.

With `context=True` the implementation's first argument is the `Context`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class ScalarImplementation:
    """`call(*arguments)`, or `call(context, *arguments)` where `context`.

    `precompile(*arguments[1:])` gives a function of the first argument that is the same call, for when all the others are
    constants (and not NULL): the plan compiler makes it once, e.g. the matcher of a LIKE pattern. It may raise what the call
    would raise; the compiler then leaves the call as it is, so that the error comes at run time or not at all.

    `blocking` marks a function that waits (pg_sleep): it is a generator, which yields how many seconds to wait before it goes
    on, and returns the value. The executor waits without holding the event loop, and closes it when the statement is cancelled.
    """

    call: Callable[..., Any]
    inline: str | None = None
    names: Mapping[str, object] = field(default_factory=dict)
    context: bool = False
    typed: bool = (
        False  # also gets `argument_types` (tuple of OIDs) and `result_type` as keywords: polymorphic functions
    )
    precompile: Callable[..., Callable[[Any], Any]] | None = None
    blocking: bool = False


class Accumulator(Protocol):
    """The state of one aggregate over one group."""

    def add(self, *arguments: Any) -> None:
        """Take in one row (strict aggregates are not called for rows with a NULL argument)."""

    def result(self) -> Any:
        """The aggregate's value for what was added; callable again after more rows (window frames)."""


@dataclass(frozen=True, slots=True)
class AggregateImplementation:
    """`create()` makes the state of a group.

    `inline` = (initial expression, step statement, final expression) with {s} for the state and {0}… for arguments, for
    aggregates whose state is one Python value. `skips_null` tells whether rows with a NULL argument are left out.
    """

    create: Callable[..., Accumulator]
    skips_null: bool = True
    inline: tuple[str, str, str] | None = None
    names: Mapping[str, object] = field(default_factory=dict)
    typed: bool = False  # create(argument_types=…, result_type=…)
    context: bool = False  # create(context)


@dataclass(frozen=True, slots=True)
class WindowPartition:
    """One partition, sorted: what a window function may look at.

    Attributes:
        size: number of rows.
        arguments: one list a function argument, each with `size` values.
        peer_start, peer_end: for each row, the half-open range of its peers under the window's ORDER BY.
        frame_start, frame_end: for each row, its half-open frame.
    """

    size: int
    arguments: Sequence[Sequence[Any]]
    peer_start: Sequence[int]
    peer_end: Sequence[int]
    frame_start: Sequence[int]
    frame_end: Sequence[int]


WindowFunction = Callable[[WindowPartition], Sequence[Any]]


@dataclass(frozen=True, slots=True)
class SetReturningImplementation:
    """`call` yields the rows: values, or tuples where the function has several result columns.

    With `columns` it also gets `columns`, a tuple of (name, type OID, typmod) of the row that the call's column definition
    list describes: functions that return "record". Functions that return one record (json_to_record) are here, too, for use in
    FROM, and yield it.
    """

    call: Callable[..., Iterable[Any]]
    context: bool = False
    typed: bool = False
    columns: bool = False


SCALARS: dict[str, ScalarImplementation] = {}
AGGREGATES: dict[str, AggregateImplementation] = {}
WINDOWS: dict[str, WindowFunction] = {}
SET_RETURNING: dict[str, SetReturningImplementation] = {}


def scalar(
    *signatures: str,
    inline: str | None = None,
    names: Mapping[str, object] | None = None,
    context: bool = False,
    typed: bool = False,
    precompile: Callable[..., Callable[[Any], Any]] | None = None,
    blocking: bool = False,
) -> Callable[[Function], Function]:
    """Register the decorated function as the implementation of each signature, e.g. "lower(text)"."""

    def register(function: Function) -> Function:
        implementation = ScalarImplementation(function, inline, names or {}, context, typed, precompile, blocking)
        for signature in signatures:
            _claim(SCALARS, signature, implementation)
        return function

    return register


def aggregate(
    *signatures: str,
    skips_null: bool = True,
    inline: tuple[str, str, str] | None = None,
    names: Mapping[str, object] | None = None,
    typed: bool = False,
    context: bool = False,
) -> Callable[[Function], Function]:
    """Register the decorated class (or factory) as the accumulator of each signature, e.g. "sum(int4)"."""

    def register(factory: Function) -> Function:
        implementation = AggregateImplementation(factory, skips_null, inline, names or {}, typed, context)
        for signature in signatures:
            _claim(AGGREGATES, signature, implementation)
        return factory

    return register


def window(*signatures: str) -> Callable[[WindowFunction], WindowFunction]:
    """Register a pure window function (row_number, rank, lag, …). Aggregates work as windows by themselves."""

    def register(function: WindowFunction) -> WindowFunction:
        for signature in signatures:
            _claim(WINDOWS, signature, function)
        return function

    return register


def set_returning(
    *signatures: str, context: bool = False, typed: bool = False, columns: bool = False
) -> Callable[[Function], Function]:
    """Register a generator function, e.g. "generate_series(int4,int4)"."""

    def register(function: Function) -> Function:
        for signature in signatures:
            _claim(SET_RETURNING, signature, SetReturningImplementation(function, context, typed, columns))
        return function

    return register


def _claim(table: dict[str, Any], signature: str, implementation: Any) -> None:
    if signature in table:
        raise ValueError(f"{signature} is registered twice")
    table[signature] = implementation
