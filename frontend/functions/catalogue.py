"""PostgreSQL's own facts about functions, operators, aggregates and casts, read once and indexed by name and OID.

The facts are the rows of pg_proc, pg_operator, pg_aggregate and pg_cast in `frontend/builtin/*.json`. Each table is decoded
when it is first asked for (msgspec straight into structs, pg_proc with its 3,286 rows takes about 8 ms and 2 MiB), so a
process that never resolves a function pays nothing.

    pg_proc.json      ─▶ Proc       proc_by_oid, procs_by_name      signature_of(proc) is the key of `registry`'s tables
    pg_operator.json  ─▶ Operator   operator_by_oid, operators_by_name, operator_named(name, left, right)
    pg_aggregate.json ─▶ Aggregate  aggregate_by_oid (the key is pg_proc's OID)
    pg_cast.json      ─▶ Cast       cast_between(source, target)
    pg_type.json      ─▶ type_name(oid): internal names only; everything else about types is `frontend.types`'s

Nothing here decides which overload a call means: that is the binder's work.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any, Generic, TypeVar

import msgspec

Row = TypeVar("Row")


class Proc(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One row of pg_proc.

    Attributes:
        kind: f function, a aggregate, w window function, p procedure.
        variadic: OID of the variadic array's element type (ANY for VARIADIC "any"), 0 where it is not variadic.
        volatility: i immutable, s stable, v volatile.
        argument_types: the input arguments' OIDs, what calls are resolved on.
        all_argument_types, argument_modes: also the output columns (modes i in, o out, b inout, v variadic, t table), or None.
        source: the C function's name, e.g. for telling two entries with one implementation.
        default_expressions: pg_get_expr of the defaults of the last `default_count` arguments, or None.
    """

    oid: int
    name: str
    kind: str
    variadic: int
    is_strict: bool
    returns_set: bool
    volatility: str
    argument_count: int
    default_count: int
    result_type: int
    argument_types: tuple[int, ...]
    all_argument_types: tuple[int, ...] | None
    argument_modes: tuple[str, ...] | None
    argument_names: tuple[str, ...] | None
    source: str
    default_expressions: str | None

    @property
    def output_columns(self) -> list[tuple[str, int]]:
        """(name, type) of the result columns of a function with OUT arguments, in order; empty where it has none."""
        if self.all_argument_types is None or self.argument_modes is None:
            return []
        names = self.argument_names or ("",) * len(self.all_argument_types)
        outputs = [
            (name, oid)
            for name, oid, mode in zip(names, self.all_argument_types, self.argument_modes, strict=True)
            if mode in "obt"
        ]
        return [(name or f"column{place}", oid) for place, (name, oid) in enumerate(outputs, 1)]


class Operator(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One row of pg_operator. `kind` b is infix, l prefix (left is 0); `function` is pg_proc's OID, 0 for a shell."""

    oid: int
    name: str
    kind: str
    can_merge: bool
    can_hash: bool
    left: int
    right: int
    result: int
    commutator: int
    negator: int
    function: int


class Aggregate(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One row of pg_aggregate. `kind` n normal, o ordered-set, h hypothetical-set; `sort_operator` tells min and max."""

    oid: int
    kind: str
    direct_argument_count: int
    transition_function: str
    final_function: str
    sort_operator: int
    transition_type: int
    initial_value: str | None


class Cast(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One row of pg_cast.

    Attributes:
        function: pg_proc's OID, 0 where the value needs none (method b: same representation; i: through text).
        context: e only explicit, a also in assignments, i also implicit.
        method: f function, i input/output, b binary coercible.
    """

    oid: int
    source: int
    target: int
    function: int
    context: str
    method: str


class _Table(msgspec.Struct, Generic[Row]):
    columns: list[str]
    rows: list[Row]


def _rows(file: str, kind: type[Row]) -> list[Row]:
    data = files("frontend.builtin").joinpath(file).read_bytes()
    return msgspec.json.decode(data, type=_Table[kind]).rows  # type: ignore[valid-type]


SYS_PROCS = (
    Proc(15500, "sys.transaction_status", "f", 0, True, False, "v", 1, 0, 25, (20,), None, None, ("txid",), "", None),
)
"""Functions of Boreal's own. They are called by their qualified names only, which are their names here."""


@cache
def _procs() -> tuple[dict[int, Proc], dict[str, list[Proc]]]:
    by_oid: dict[int, Proc] = {}
    by_name: dict[str, list[Proc]] = {}
    for proc in (*_rows("pg_proc.json", Proc), *SYS_PROCS):
        by_oid[proc.oid] = proc
        by_name.setdefault(proc.name, []).append(proc)
    return by_oid, by_name


@cache
def _operators() -> tuple[dict[int, Operator], dict[str, list[Operator]], dict[tuple[str, int, int], Operator]]:
    by_oid: dict[int, Operator] = {}
    by_name: dict[str, list[Operator]] = {}
    by_types: dict[tuple[str, int, int], Operator] = {}
    for operator in _rows("pg_operator.json", Operator):
        by_oid[operator.oid] = operator
        by_name.setdefault(operator.name, []).append(operator)
        by_types[operator.name, operator.left, operator.right] = operator
    return by_oid, by_name, by_types


@cache
def _aggregates() -> dict[int, Aggregate]:
    return {aggregate.oid: aggregate for aggregate in _rows("pg_aggregate.json", Aggregate)}


@cache
def _casts() -> dict[tuple[int, int], Cast]:
    return {(cast.source, cast.target): cast for cast in _rows("pg_cast.json", Cast)}


@cache
def _type_names() -> dict[int, str]:
    return {row[0]: row[1] for row in _rows("pg_type.json", list[Any])}


def proc_by_oid(oid: int) -> Proc:
    """The pg_proc entry; KeyError where there is none."""
    return _procs()[0][oid]


def all_procs() -> list[Proc]:
    """Every pg_proc entry of PostgreSQL, for the catalogue relations."""
    return [proc for proc in _procs()[0].values() if proc not in SYS_PROCS]


def procs_by_name(name: str) -> list[Proc]:
    """All overloads of a function in pg_catalog, or of sys.name; an empty list for an unknown name."""
    return _procs()[1].get(name, [])


def signature_of(proc: Proc) -> str:
    """The key of the registry's tables: `name(type,type)` with pg_type's internal names, e.g. "array_length(anyarray,int4)"."""
    names = _type_names()
    return f"{proc.name}({','.join([names[oid] for oid in proc.argument_types])})"


def proc_by_signature(signature: str) -> Proc | None:
    """The entry that `signature_of` writes so, or None."""
    for proc in procs_by_name(signature[: signature.index("(")]):
        if signature_of(proc) == signature:
            return proc
    return None


def operator_by_oid(oid: int) -> Operator:
    """The pg_operator entry; KeyError where there is none."""
    return _operators()[0][oid]


def all_operators() -> list[Operator]:
    """Every pg_operator entry."""
    return list(_operators()[0].values())


def operators_by_name(name: str) -> list[Operator]:
    """All operators spelled so, prefix ones (left = 0) included."""
    return _operators()[1].get(name, [])


def operator_named(name: str, left: int, right: int) -> Operator | None:
    """The operator on exactly these types (left 0 for a prefix operator), or None."""
    return _operators()[2].get((name, left, right))


def aggregate_by_oid(oid: int) -> Aggregate:
    """Facts of the aggregate whose pg_proc OID this is; KeyError where it is none."""
    return _aggregates()[oid]


def all_aggregates() -> list[Aggregate]:
    """Every pg_aggregate entry."""
    return list(_aggregates().values())


def cast_between(source: int, target: int) -> Cast | None:
    """The pg_cast entry between exactly these types, or None."""
    return _casts().get((source, target))


def all_casts() -> list[Cast]:
    """Every pg_cast entry."""
    return list(_casts().values())


def type_name(oid: int) -> str:
    """pg_type.typname of a built-in type; KeyError where there is none."""
    return _type_names()[oid]
