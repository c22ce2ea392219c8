"""FOR UPDATE and its kin.

Boreal locks nothing: a locked row's key becomes a check of the transaction's proposal, so that of two transactions that
lock the same row the second to commit is refused (40001). FOR UPDATE and FOR NO KEY UPDATE check as writes do ("exclusive"),
FOR SHARE and FOR KEY SHARE as foreign keys do ("share"). Since nothing ever waits, NOWAIT never fails and SKIP LOCKED
skips nothing.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from frontend.errors import SqlError
from frontend.sql import logical, syntax
from frontend.sql.binder.scopes import JoinSource, NamespaceItem, PlanSource, TableSource
from frontend.sql.binder.statement import Query

LockKind = Literal["exclusive", "share"]
Locks = tuple[tuple[int, LockKind], ...]


def push_locking(query: Query, node: syntax.Select) -> list[syntax.FromItem]:
    """FROM's items, with the locking clauses handed down into the subqueries that they name (or all)."""
    return [_pushed(item, node.locking) for item in node.from_]


def _pushed(item: syntax.FromItem, clauses: list[syntax.Locking]) -> syntax.FromItem:
    if isinstance(item, syntax.JoinItem):
        return msgspec.structs.replace(item, left=_pushed(item.left, clauses), right=_pushed(item.right, clauses))
    if not isinstance(item, syntax.SubqueryItem) or item.query.operation or item.query.values is not None:
        return item
    alias = item.alias.name if item.alias is not None else None
    down = [
        syntax.Locking(strength=clause.strength, wait=clause.wait, position=clause.position)
        for clause in clauses
        if not clause.relations or any(relation.name == alias for relation in clause.relations)
    ]
    if not down:
        return item
    inner = msgspec.structs.replace(item.query, locking=[*item.query.locking, *down])
    return msgspec.structs.replace(item, query=inner)


def bind_locking(query: Query, node: syntax.Select) -> Locks:
    """The row keys to check, each once with its strongest kind. 0A000 where rows cannot be told from the result."""
    found: dict[int, LockKind] = {}
    for clause in node.locking:
        name = f"FOR {clause.strength.upper()}"
        position = clause.position or None
        _check_shape(query, node, name)
        kind: LockKind = "exclusive" if clause.strength in ("update", "no key update") else "share"
        items = [item for item in query.namespace if item.source is not None]
        if clause.relations:
            items = [_named(query, items, relation, name) for relation in clause.relations]
        for item in items:
            source = item.source
            if not isinstance(source, TableSource):
                continue
            if source.nullable:
                raise SqlError(
                    "0A000", f"{name} cannot be applied to the nullable side of an outer join", position=position
                )
            identifier = source.use(logical.ROW_KEY).id
            if found.get(identifier) != "exclusive":
                found[identifier] = kind
    if found:
        query.binding.writes = True
    return tuple(found.items())


def _check_shape(query: Query, node: syntax.Select, name: str) -> None:
    for condition, what in (
        (node.distinct is not None, "DISTINCT clause"),
        (bool(node.group_by), "GROUP BY clause"),
        (node.having is not None, "HAVING clause"),
        (bool(query.aggregates), "aggregate functions"),
        (bool(query.windows), "window functions"),
        (bool(query.set_returning), "set-returning functions in the target list"),
    ):
        if condition:
            raise SqlError("0A000", f"{name} is not allowed with {what}")


def _named(query: Query, items: list[NamespaceItem], relation: syntax.RelationName, name: str) -> NamespaceItem:
    position = relation.position or None
    if relation.schema is not None:
        raise SqlError("42601", f"{name} must specify unqualified relation names", position=position)
    for item in items:
        if item.name == relation.name:
            if isinstance(item.source, JoinSource):
                raise SqlError("0A000", f"{name} cannot be applied to a join", position=position)
            if isinstance(item.source, PlanSource):
                plan = item.source.plan
                for kind, what in ((logical.FunctionScan, "a function"), (logical.CteScan, "a WITH query")):
                    if isinstance(plan, kind):
                        raise SqlError("0A000", f"{name} cannot be applied to {what}", position=position)
            return item
    raise SqlError("42P01", f'relation "{relation.name}" in {name} clause not found in FROM clause', position=position)
