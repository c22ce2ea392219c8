"""The state of binding one statement, and the query levels inside it.

    StatementBinding     one a statement: catalog, parameters, the counter of column ids, what was used
      └─ Query           one a query level (a SELECT, an UPDATE …): its FROM items, WITH queries, aggregates, windows;
                         `parent` is the level around it, whose columns it may refer to

`Query.kind` says which clause is being bound, in the words that PostgreSQL's error messages use ("WHERE", "GROUP BY" …).
The switches that decide what a clause may contain are tables in `clauses.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

from frontend.errors import SqlError
from frontend.sql import logical
from frontend.sql.binder.types import Types
from frontend.types import oids

if TYPE_CHECKING:
    from collections.abc import Iterator

    from frontend.context import Context
    from frontend.sql import syntax
    from frontend.sql.binder.scopes import NamespaceItem, Source
    from storage.catalog import Catalog

NESTED_VIEWS_MAX = 64


class VirtualRelation(Protocol):
    """A relation whose rows are made when asked for: pg_catalog, information_schema, sys."""

    @property
    def oid(self) -> int: ...

    @property
    def schema(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def columns(self) -> Sequence[tuple[str, int, int]]:
        """(name, type OID, typmod) in order; attribute numbers count from 1."""

    def rows(self, context: Context) -> Iterable[tuple[Any, ...]]:
        """The rows as the session sees them now, one value a declared column."""


class SystemRelations(Protocol):
    """The registry of virtual relations (`frontend.system`)."""

    def find(self, schema: str, name: str) -> VirtualRelation | None:
        """The virtual relation of this schema and name, or None."""


class NoSystemRelations:
    """A registry without relations, for tests and for expressions that cannot name any."""

    def find(self, schema: str, name: str) -> VirtualRelation | None:
        """Always None."""
        return None


@dataclass(slots=True)
class CommonTableEntry:
    """A WITH query in scope.

    Attributes:
        columns: None until it is bound; while the recursive term of a WITH RECURSIVE is bound, its base term's.
        returning: whether it has rows (an INSERT without RETURNING has none).
        order: when it was finished: an entry is evaluated after those that it refers to.
    """

    id: int
    name: str
    node: syntax.CommonTable
    columns: tuple[logical.Column, ...] | None = None
    state: Literal["unbound", "binding", "bound"] = "unbound"
    references: int = 0
    recursive: bool = False
    returning: bool = True
    order: int = 0
    definition: logical.CteDefinition | None = None


@dataclass(slots=True)
class WindowSpecification:
    """A window as it was bound; calls over equal ones share one plan node."""

    partition_by: tuple[logical.Expression, ...]
    order_by: tuple[logical.SortKey, ...]
    frame: logical.WindowFrame
    calls: list[tuple[logical.WindowCall, logical.Column]] = field(default_factory=list)
    positions: tuple[int, ...] = ()
    name: str | None = None
    frame_written: bool = False


class StatementBinding:
    """Everything that is known and collected while one statement is bound.

    Args:
        parameter_types: declared OIDs of $1…; 0 is unspecified.
        search_path: schemas in the order of look-up; pg_catalog is searched first where it is not named.
        lifted: the statement's Parameters are lifted literals: those without a type stay text in the end.
    """

    def __init__(
        self,
        catalog: Catalog,
        search_path: Sequence[str],
        system: SystemRelations,
        context: Context,
        parameter_types: Sequence[int] = (),
        lifted: bool = False,
    ) -> None:
        self.catalog = catalog
        self.search_path = tuple(search_path) if "pg_catalog" in search_path else ("pg_catalog", *search_path)
        self.system = system
        self.context = context
        self.lifted = lifted
        self.types = Types(catalog)
        self.parameters = [0 if oid == oids.UNKNOWN else oid for oid in parameter_types]
        self.relations: dict[int, int] = {}
        self.writes = False
        self.volatile = False
        self.notices: list[str] = []
        self.owners: dict[int, Query] = {}
        self.provenance: dict[int, tuple[Source, int]] = {}
        self.shapes: dict[int, tuple[logical.Column, ...]] = {}
        self.subquery_labels: dict[int, str] = {}
        self.view_depth = 0
        self._last_id = 0

    def new_id(self) -> int:
        """A column (or WITH query) id that nothing else in the statement has."""
        self._last_id += 1
        return self._last_id

    def use_relation(self, oid: int, version: int) -> None:
        """Note that the statement depends on this version of the relation."""
        self.relations[oid] = version

    @contextmanager
    def inside_view(self, name: str) -> Iterator[None]:
        """While a view's text is bound: its names are qualified, so only pg_catalog is searched."""
        if self.view_depth >= NESTED_VIEWS_MAX:
            raise SqlError("54001", f'views are nested more than {NESTED_VIEWS_MAX} deep at "{name}"')
        path, parameters, lifted = self.search_path, self.parameters, self.lifted
        self.search_path, self.parameters, self.lifted = ("pg_catalog",), [], False
        self.view_depth += 1
        try:
            yield
        except SqlError as error:
            error.position = None  # it counts in the stored text, not in the statement's
            raise
        finally:
            self.view_depth -= 1
            self.search_path, self.parameters, self.lifted = path, parameters, lifted

    def parameter(self, node: syntax.Parameter) -> logical.ParameterRef:
        """The reference to $n, with its type where that is known already."""
        if node.lifted is not None:
            declared = _LIFTED_TYPES[node.lifted]
            self._extend_parameters(node.number)
            if declared:
                self.parameters[node.number - 1] = declared
        elif self.view_depth or self.lifted or node.number > 65535 or node.number < 1:
            raise SqlError("42P02", f"there is no parameter ${node.number}", position=node.position)
        else:
            self._extend_parameters(node.number)
        known = self.parameters[node.number - 1]
        return logical.ParameterRef(type=known or oids.UNKNOWN, number=node.number, position=node.position)

    def _extend_parameters(self, number: int) -> None:
        missing = number - len(self.parameters)
        if missing > 0:
            self.parameters.extend([0] * missing)

    def resolve_parameter(self, reference: logical.ParameterRef, target: int, typmod: int) -> logical.Expression:
        """Give an untyped parameter the type that its context wants; 42P08 where it got another one before."""
        known = self.parameters[reference.number - 1]
        if known == 0:
            self.parameters[reference.number - 1] = target
        elif known != target:
            raise SqlError(
                "42P08",
                f"inconsistent types deduced for parameter ${reference.number}",
                detail=f"{self.types.name(known)} versus {self.types.name(target)}",
                position=reference.position or None,
            )
        return replace(reference, type=target, typmod=typmod)

    def finished_parameters(self) -> tuple[int, ...]:
        """The types of all parameters. 42P18 where one could not be found; a lifted literal is text then."""
        for place, oid in enumerate(self.parameters):
            if oid == 0:
                if not self.lifted:
                    raise SqlError("42P18", f"could not determine data type of parameter ${place + 1}")
                self.parameters[place] = oids.TEXT
        return tuple(self.parameters)


_LIFTED_TYPES = {"i4": oids.INT4, "i8": oids.INT8, "numeric": oids.NUMERIC, "string": 0}


class Query:
    """One query level.

    Attributes:
        namespace: FROM items that names are looked up in, innermost join last.
        kind: the clause being bound.
        lateral_active: inside a LATERAL item (or a join condition), where `lateral_only` items are visible.
        aggregates: the aggregates that belong to this level, with the column each becomes.
        sources: the things in FROM, for locking clauses and whole rows.
        allow_default: DEFAULT may stand here (VALUES of INSERT, SET).
    """

    def __init__(self, binding: StatementBinding, parent: Query | None = None) -> None:
        self.binding = binding
        self.parent = parent
        self.depth: int = 0 if parent is None else parent.depth + 1
        self.namespace: list[NamespaceItem] = []
        self.sources: list[Source] = []
        self.common_tables: dict[str, CommonTableEntry] = {}
        self.kind = "SELECT"
        self.lateral_active = False
        self.aggregates: list[tuple[logical.AggregateCall, logical.Column]] = []
        self.aggregate_position = 0
        self.groupings: list[tuple[tuple[logical.Expression, ...], logical.Column, int]] = []
        self.window_definitions: list[WindowSpecification] = []
        self.windows: list[WindowSpecification] = []
        self.inside_aggregate: str | None = None
        self.inside_window = False
        self.inside_set_returning: str | None = None
        self.set_returning: list[tuple[logical.SetReturningCall, logical.Column]] = []
        self.resolve_unknowns = True

    @contextmanager
    def clause(self, kind: str) -> Iterator[None]:
        """Bind in the clause of this name."""
        before = self.kind
        self.kind = kind
        try:
            yield
        finally:
            self.kind = before

    def new_column(self, name: str, expression: logical.Expression) -> logical.Column:
        """A new column of this level for the value of an expression."""
        return self.column(
            name, expression.type, expression.typmod, self.binding.types.shape_of(expression, self.binding.shapes)
        )

    def column(
        self, name: str, type_oid: int, typmod: int = -1, shape: tuple[logical.Column, ...] | None = None
    ) -> logical.Column:
        """A new column that belongs to this level; `shape` describes the fields of an anonymous record."""
        identifier = self.binding.new_id()
        self.binding.owners[identifier] = self
        if shape is not None:
            self.binding.shapes[identifier] = shape
        return logical.Column(id=identifier, name=name, type=type_oid, typmod=typmod)


def reference(column: logical.Column, position: int = 0) -> logical.ColumnRef:
    """The expression that is the value of a column."""
    return logical.ColumnRef(
        type=column.type, typmod=column.typmod, collation=column.collation, id=column.id, position=position
    )
