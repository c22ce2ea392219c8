"""Making a view's query independent of the search path and of columns that are added later.

Relations get their schema, `*` is written out. Names of WITH queries are left alone where they are in scope.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

from frontend.errors import SqlError
from frontend.sql import syntax
from frontend.sql.binder.queries import bind_query
from frontend.sql.binder.statement import StatementBinding
from frontend.system import registry
from storage.catalog import Table, View

if TYPE_CHECKING:
    from frontend.sql.ddl.environment import DdlEnvironment

Scope = tuple[syntax.CommonTable, ...]
"""The WITH queries that can be named at a place, outermost first."""


def qualify_view(query: syntax.Select, environment: DdlEnvironment) -> list[int]:
    """Edit the tree in place; returns the OIDs of the user relations that it names, in order of appearance."""
    writer = _Qualifier(environment)
    writer.query(query, ())
    return list(writer.relations)


class _Qualifier:
    def __init__(self, environment: DdlEnvironment) -> None:
        self.environment = environment
        self.relations: dict[int, None] = {}

    def query(self, node: syntax.Select, scope: Scope) -> None:
        """A query and everything in it."""
        if node.with_ is not None:
            names = tuple(node.with_.tables)
            for place, table in enumerate(names):
                if isinstance(table.query, syntax.Select):
                    self.query(table.query, scope + (names if node.with_.recursive else names[:place]))
                else:
                    raise SqlError("0A000", "views must not contain data-modifying statements in WITH")
            scope = scope + names
        for branch in (node.left, node.right):
            if branch is not None:
                self.query(branch, scope)
        for item in node.from_:
            self.item(item, scope)
        node.targets = [expanded for target in node.targets for expanded in self.target(node, target, scope)]
        for name in node.__struct_fields__:
            if name not in ("with_", "left", "right", "from_", "position"):
                self.inside(getattr(node, name), scope)

    def inside(self, value: object, scope: Scope) -> None:
        """Queries within expressions."""
        if isinstance(value, syntax.Select):
            self.query(value, scope)
        elif isinstance(value, syntax.FromItem):
            self.item(value, scope)
        elif isinstance(value, syntax.Node):
            for name in value.__struct_fields__:
                self.inside(getattr(value, name), scope)
        elif isinstance(value, list):
            for element in value:
                self.inside(element, scope)

    def item(self, item: syntax.FromItem, scope: Scope) -> None:
        """One item of FROM."""
        match item:
            case syntax.TableItem():
                self.relation(item, scope)
                self.inside(item.sample, scope)
            case syntax.SubqueryItem():
                self.query(item.query, scope)
            case syntax.JoinItem():
                self.item(item.left, scope)
                self.item(item.right, scope)
                self.inside(item.condition, scope)
            case _:
                for name in item.__struct_fields__:
                    self.inside(getattr(item, name), scope)

    def relation(self, item: syntax.TableItem, scope: Scope) -> None:
        """Give the relation its schema, unless it is a WITH query."""
        name = item.relation
        if name.schema is None and any(table.name == name.name for table in scope):
            return
        catalog = self.environment.draft.catalog
        path = (name.schema,) if name.schema is not None else tuple(self.environment.context.search_path)
        for candidate in path:
            schema = catalog.schema(candidate)
            found = None if schema is None else catalog.relation(schema.oid, name.name)
            if isinstance(found, Table | View):
                self.relations[found.oid] = None
            elif registry.find(candidate, name.name) is None and found is None:
                continue
            name.schema = candidate
            return

    # ── stars ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def target(self, query: syntax.Select, target: syntax.Target, scope: Scope) -> list[syntax.Target]:
        """A target; a star as the columns that it stands for."""
        node = target.expression
        if not isinstance(node, syntax.ColumnReference) or not node.star:
            return [target]
        if node.names:
            names = self.columns(query, node, scope)
            return [_column([*node.names, name]) for name in names]
        leaves = [leaf for item in query.from_ for leaf in _leaves(item)]
        if leaves and all(leaf is not None for leaf in leaves):
            expanded: list[syntax.Target] = []
            for leaf in leaves:
                assert leaf is not None
                names = self.columns(query, syntax.ColumnReference(names=[leaf], star=True), scope)
                expanded.extend(_column([name] if len(leaves) == 1 else [leaf, name]) for name in names)
            return expanded
        names = self.columns(query, node, scope)
        return [_column([name]) for name in names]

    def columns(self, query: syntax.Select, star: syntax.ColumnReference, scope: Scope) -> list[str]:
        """The column names that a star gives over this FROM."""
        context = self.environment.context
        binding = StatementBinding(self.environment.draft.catalog, context.search_path, registry, context)
        with_ = syntax.With(tables=list(scope), recursive=True) if scope else None
        probe = syntax.Select(targets=[syntax.Target(expression=star)], from_=query.from_, with_=with_)
        return [column.name for column in bind_query(binding, deepcopy(probe), None).finish().columns]


def _column(names: list[str]) -> syntax.Target:
    return syntax.Target(expression=syntax.ColumnReference(names=names))


def _leaves(item: syntax.FromItem) -> list[str | None]:
    """The names under which an item's columns can be qualified; None where a join merges columns."""
    match item:
        case syntax.TableItem(alias=alias, relation=relation):
            return [relation.name if alias is None else alias.name]
        case syntax.SubqueryItem(alias=syntax.Alias(name=name)) | syntax.FunctionItem(alias=syntax.Alias(name=name)):
            return [name]
        case syntax.JoinItem(natural=False, using=[], alias=None, left=left, right=right):
            return [*_leaves(left), *_leaves(right)]
    return [None]
