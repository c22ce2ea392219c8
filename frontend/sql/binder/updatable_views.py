"""Writing through simple views.

A view over one table (or another such view) without grouping, DISTINCT, set operations, limits or set-returning functions is
updatable: a statement that writes it writes the table below. The view's columns become names for the table's, its WHERE
restricts what UPDATE and DELETE see. What PostgreSQL calls not automatically updatable is refused in its words (55000).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from frontend.errors import SqlError, unsupported
from frontend.sql import logical, syntax
from frontend.sql.binder.coercion import to_boolean
from frontend.sql.binder.expressions import bind
from frontend.sql.binder.from_items import find_relation, parse_view
from frontend.sql.binder.scopes import NamespaceItem, ScopeColumn
from frontend.sql.binder.statement import Query, StatementBinding
from frontend.sql.binder.targets import bind_targets
from storage.catalog import Table, View

MakeItem = Callable[[Table, str], NamespaceItem]
_VERBS = {"INSERT": "insert into", "UPDATE": "update", "DELETE": "delete from"}
_HINTS = {
    "INSERT": "To enable inserting into the view, provide an INSTEAD OF INSERT trigger or an unconditional "
    "ON INSERT DO INSTEAD rule.",
    "UPDATE": "To enable updating the view, provide an INSTEAD OF UPDATE trigger or an unconditional "
    "ON UPDATE DO INSTEAD rule.",
    "DELETE": "To enable deleting from the view, provide an INSTEAD OF DELETE trigger or an unconditional "
    "ON DELETE DO INSTEAD rule.",
}


@dataclass(slots=True)
class WrittenView:
    """A view as the target of a statement.

    Attributes:
        item: its columns as expressions over the table's row.
        condition: its WHERE (and those of views below), or None.
        attributes: the table's attribute number behind each view column that is one.
    """

    item: NamespaceItem
    condition: logical.Expression | None
    attributes: dict[str, int]


def base_table(binding: StatementBinding, view: View, command: str) -> Table:
    """The table that writing the view writes. 55000 where the view is not simple enough."""
    binding.use_relation(view.oid, view.version)
    if view.check_option:
        raise unsupported(f"{command} on a view with CHECK OPTION")
    inner = _simple_source(view, command)
    with binding.inside_view(view.name):
        relation, _ = find_relation(binding, inner.relation)
        if isinstance(relation, Table):
            binding.use_relation(relation.oid, relation.version)
            return relation
        if isinstance(relation, View):
            return base_table(binding, relation, command)
    raise _not_updatable(view, command, "Views that do not select from a single table or view")


def _not_updatable(view: View, command: str, what: str) -> SqlError:
    return SqlError(
        "55000",
        f'cannot {_VERBS[command]} view "{view.name}"',
        detail=f"{what} are not automatically updatable.",
        hint=_HINTS[command],
    )


def _simple_source(view: View, command: str) -> syntax.TableItem:
    """The one table or view that a simple view selects from."""
    select = parse_view(view.query)
    for condition, what in (
        (select.distinct is not None, "Views containing DISTINCT"),
        (bool(select.group_by), "Views containing GROUP BY"),
        (select.having is not None, "Views containing HAVING"),
        (select.operation is not None, "Views containing UNION, INTERSECT, or EXCEPT"),
        (select.with_ is not None, "Views containing WITH"),
        (select.limit is not None or select.offset is not None, "Views containing LIMIT or OFFSET"),
    ):
        if condition:
            raise _not_updatable(view, command, what)
    if len(select.from_) != 1 or not isinstance(select.from_[0], syntax.TableItem) or select.from_[0].sample:
        raise _not_updatable(view, command, "Views that do not select from a single table or view")
    return select.from_[0]


def view_target(
    query: Query, view: View, alias: str, schema: str | None, command: str, row_ids: tuple[int, ...], make: MakeItem
) -> WrittenView:
    """The view over the row with these ids; `make` gives the table's own namespace item."""
    binding = query.binding
    select = parse_view(view.query)
    source = _simple_source(view, command)
    inner_alias = source.alias.name if source.alias is not None else source.relation.name
    with binding.inside_view(view.name):
        relation, _ = find_relation(binding, source.relation)
        condition = None
        if isinstance(relation, View):
            below = view_target(query, relation, inner_alias, None, command, row_ids, make)
            inner, condition = below.item, below.condition
        else:
            assert isinstance(relation, Table)
            inner = make(relation, inner_alias)
        before = query.namespace
        query.namespace = [inner]
        calls = (len(query.aggregates), len(query.windows), len(query.set_returning))
        targets = bind_targets(query, select.targets)
        if select.where is not None:
            with query.clause("WHERE"):
                where = to_boolean(binding, bind(query, select.where), "WHERE")
            condition = where if condition is None else _both(condition, where)
        query.namespace = before
    for count, now, what in zip(
        calls,
        (len(query.aggregates), len(query.windows), len(query.set_returning)),
        ("aggregate functions", "window functions", "set-returning functions"),
        strict=True,
    ):
        if now > count:
            raise _not_updatable(view, command, f"Views that return {what}")
    numbers = {identifier: number for number, identifier in enumerate(row_ids, 1) if identifier}
    attributes: dict[str, int] = {}
    columns = []
    for column, target in zip(view.columns, targets, strict=True):
        value = target.expression
        columns.append(ScopeColumn(column.name, value.type, value.typmod, expression=value))
        if isinstance(value, logical.ColumnRef) and value.id in numbers:
            attributes[column.name] = numbers[value.id]
    if not attributes:
        raise _not_updatable(view, command, "Views that have no updatable columns")
    item = NamespaceItem(alias, columns, None, schema=schema, relation_oid=view.oid)
    return WrittenView(item, condition, attributes)


def _both(left: logical.Expression, right: logical.Expression) -> logical.Expression:
    return logical.BooleanOperation(type=left.type, operator="and", arguments=(left, right))


def as_named_table(table: Table, view: View, written: WrittenView) -> Table:
    """The table with its columns under the view's names, to look assigned columns up in; others have no name."""
    names = {number: name for name, number in written.attributes.items()}
    columns = tuple(
        [
            msgspec.structs.replace(column, name=names[column.number])
            if column.number in names
            else msgspec.structs.replace(column, name="")
            for column in table.columns
        ]
    )
    return msgspec.structs.replace(table, name=view.name, columns=columns)


def check_writable(view: View, written: WrittenView, name: str, command: str) -> None:
    """55000/0A000 for a view column that is no column of the table."""
    if name not in written.attributes and any(column.name == name for column in view.columns):
        raise SqlError(
            "0A000",
            f'cannot {_VERBS[command]} column "{name}" of view "{view.name}"',
            detail="View columns that are not columns of their base relation are not updatable.",
        )
