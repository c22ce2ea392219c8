"""Statements made ready to run: parsed, and for queries bound, planned and compiled.

    text ──parse──▶ syntax node ──┬─ query or data modification ──bind, plan, compile──▶ PlannedStatement (cached, shared)
                                  └─ anything else: run by commands.py or ddl, nothing to plan

A `PlannedStatement` belongs to no session: it knows types and code, not settings. It is valid for one catalog version and
one search path; the gateway's `PlanCache` keys on those, so DDL simply makes old plans unreachable.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from frontend.errors import SqlError
from frontend.sql import syntax
from frontend.types import oids
from frontend.types.registry import binary_decoder, binary_encoder, text_decoder, text_encoder, type_by_oid
from frontend.wire import messages
from frontend.wire.rowencoder import RowEncoder, compile_row_encoder

if TYPE_CHECKING:
    from collections.abc import Callable

    from frontend.context import Context
    from frontend.sql.compiler.plan import CompiledPlan
    from frontend.sql.logical import BoundStatement, Column

PLANS_MAX = 2000

PLANNABLE = (syntax.Select, syntax.Insert, syntax.Update, syntax.Delete, syntax.Merge)
"""Statements that are bound and compiled; all others are commands."""

_CONTEXT_FREE_TEXT = (
    frozenset({oids.INT2, oids.INT4, oids.INT8, oids.OID, oids.XID, oids.CID, oids.BOOL, oids.JSON}) | oids.STRING_TYPES
)


class PlannedStatement:
    """A query or data modification, ready to run.

    Attributes:
        bound: what the binder said: columns, parameters, relations, whether it writes.
        compiled: the code.
        returns_rows: a query, or RETURNING; a query's rows may have no columns.
        tag: "SELECT", "INSERT 0", "UPDATE" or "DELETE"; the row count follows.
    """

    __slots__ = (
        "_descriptions",
        "bound",
        "columns",
        "compiled",
        "parameters",
        "relations",
        "returns_rows",
        "tag",
        "text_formats",
        "writes",
    )

    def __init__(self, bound: BoundStatement, compiled: CompiledPlan) -> None:
        self.bound = bound
        self.compiled = compiled
        self.columns = bound.columns
        self.text_formats = (0,) * len(bound.columns)
        self.parameters = bound.parameters
        self.relations = bound.relations
        self.writes = bound.writes
        self.returns_rows = bool(bound.columns) or bound.command == "SELECT"
        self.tag = "INSERT 0" if bound.command == "INSERT" else bound.command
        self._descriptions: dict[tuple[int, ...], bytes] = {}

    def description(self, formats: tuple[int, ...]) -> bytes:
        """RowDescription for these result formats (one each), NoData where there are no columns."""
        found = self._descriptions.get(formats)
        if found is None:
            found = messages.row_description(()) if self.returns_rows else messages.NO_DATA
            if self.columns:
                found = describe(self.columns, formats)
            self._descriptions[formats] = found
        return found


def describe(columns: Sequence[Column], formats: Sequence[int]) -> bytes:
    """RowDescription of bound columns; NoData where there are none."""
    if not columns:
        return messages.NO_DATA
    return messages.row_description(
        messages.Column(
            column.name,
            column.table,
            column.attribute,
            column.type,
            type_by_oid(column.type).length,
            column.typmod,
            format_code,
        )
        for column, format_code in zip(columns, formats, strict=True)
    )


def expand_formats(formats: Sequence[int], count: int, what: str) -> tuple[int, ...]:
    """Format codes as received (none, one for all, one each) to one each; 08P01 / 22023 where they do not fit."""
    for code in formats:
        if code not in (0, 1):
            raise SqlError("22023", f"unsupported format code: {code}")
    if not formats:
        return (0,) * count
    if len(formats) == 1:
        return (formats[0],) * count
    if len(formats) != count:
        raise SqlError("08P01", f"bind message has {len(formats)} {what} formats but query has {count} columns")
    return tuple(formats)


def row_encoder(columns: Sequence[Column], formats: Sequence[int], context: Context) -> RowEncoder:
    """Rows to DataRow messages, for the settings of this moment."""
    specification: list[tuple[int, int, Any]] = []
    for column, format_code in zip(columns, formats, strict=True):
        if format_code == 0:
            encoder = None if column.type in _CONTEXT_FREE_TEXT else text_encoder(column.type, context)
        else:
            encoder = binary_encoder(column.type, context)
        specification.append((column.type, format_code, encoder))
    return compile_row_encoder(specification)


def parameter_decoders(types: Sequence[int], formats: Sequence[int], context: Context) -> list[Callable[[bytes], Any]]:
    """One function a parameter, from the bytes of Bind to the value in memory."""
    return [
        binary_decoder(oid, -1, context) if format_code else text_decoder(oid, -1, context)
        for oid, format_code in zip(types, formats, strict=True)
    ]


class PreparedStatement:
    """What Parse or PREPARE made: a name for a statement. The plan is looked up again whenever the catalog has moved.

    Attributes:
        sql: the text, as pg_prepared_statements shows it.
        node: syntax tree; None for an empty query.
        declared: parameter types as the client declared them (0: unspecified).
        parameters: parameter types as resolved.
        planned: the plan, for queries and data modification; valid for `validity`.
        from_sql: made by PREPARE.
        told: of a query AS OF: types and names of the columns that Describe has told, None where it was not asked.
    """

    __slots__ = (
        "declared", "encoders", "from_sql", "name", "node", "parameters", "planned", "prepared_us", "sql", "told",
        "validity",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        sql: str,
        node: syntax.Statement | None,
        declared: Sequence[int],
        prepared_us: int,
        from_sql: bool,
    ) -> None:
        self.name = name
        self.sql = sql
        self.node = node
        self.declared = tuple(declared)
        self.parameters: tuple[int, ...] = ()
        self.planned: PlannedStatement | None = None
        self.validity: Hashable = None
        self.prepared_us = prepared_us
        self.from_sql = from_sql
        self.encoders: dict[Hashable, Any] = {}
        self.told: list[tuple[int, str]] | None = None


class LiftedPlan:
    """A plan that serves all texts with one fingerprint.

    Attributes:
        fixed: indexes of literals whose values are part of the plan; such a plan is found under those values too.
        converters: for each literal a type's input function where it is a string of another type, else None; None as a
            whole where no literal needs any.
    """

    __slots__ = ("converters", "fixed", "planned")

    def __init__(self, planned: PlannedStatement, kinds: Sequence[str], fixed: Sequence[int]) -> None:
        self.planned = planned
        self.fixed = tuple(fixed)
        converters: list[Any] = []
        for index, (kind, oid) in enumerate(zip(kinds, planned.parameters, strict=False)):
            needs = kind == "string" and index not in self.fixed and oid not in _AS_WRITTEN
            converters.append(type_by_oid(oid).input if needs else None)
        self.converters = tuple(converters) if any(converters) else None

    def fixed_values(self, literals: Sequence[Any]) -> tuple[Any, ...]:
        """The part of the literals that the plan depends on; types told apart (1 is not 1.0)."""
        return tuple((type(literals[index]), literals[index]) for index in self.fixed)

    def parameters(self, literals: Sequence[Any], context: Context) -> Sequence[Any]:
        """Literal values as the plan wants them; raises what the type's input function raises."""
        if self.converters is None:
            return literals
        return [
            value if convert is None else convert(value, -1, context)
            for value, convert in zip(literals, self.converters, strict=False)
        ]


_AS_WRITTEN = frozenset({oids.TEXT, oids.VARCHAR, oids.UNKNOWN, oids.CSTRING, oids.BPCHAR})

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class BoundedCache(Generic[Key, Value]):
    """A dict that forgets its oldest half when it is full: look-ups cost nothing beyond the dict's own."""

    __slots__ = ("entries", "entries_max", "get")

    def __init__(self, entries_max: int) -> None:
        self.entries: dict[Key, Value] = {}
        self.entries_max = entries_max
        self.get = self.entries.get

    def put(self, key: Key, value: Value) -> None:
        """Remember; may forget older entries."""
        entries = self.entries
        if len(entries) >= self.entries_max:
            for old in list(entries)[: self.entries_max // 2]:
                del entries[old]
        entries[key] = value

    def clear(self) -> None:
        """Forget everything."""
        self.entries.clear()
