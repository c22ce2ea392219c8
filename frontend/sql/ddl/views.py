"""CREATE [OR REPLACE] VIEW.

A view keeps its query as SQL text in which every relation has its schema and every star is written out, so that it means the
same under any search path and after columns are added. What it reads is recorded (relations and columns), which is what DROP
and ALTER look at. Renaming a relation or column that a view reads rewrites the text: the new name gets the old one as its
alias, exactly as PostgreSQL prints such a view.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from frontend.errors import SqlError, unsupported
from frontend.sql import syntax
from frontend.sql.binder.types import Types
from frontend.sql.ddl import expressions, names
from frontend.sql.ddl.options import VIEW_OPTIONS, checked_options
from frontend.types import oids
from storage.catalog import Column, View

if TYPE_CHECKING:
    from typing import Literal

    from frontend.sql import syntax_commands
    from frontend.sql.ddl.environment import DdlEnvironment, Steps


def _recursive(node: syntax_commands.CreateView) -> syntax.Select:
    """CREATE RECURSIVE VIEW v (a) AS q is a view over WITH RECURSIVE v (a) AS (q) SELECT a FROM v."""
    name = node.relation.name
    table = syntax.CommonTable(name=name, columns=node.columns, query=node.query)
    return syntax.Select(
        targets=[syntax.Target(expression=syntax.ColumnReference(names=[column])) for column in node.columns],
        from_=[syntax.TableItem(relation=syntax.RelationName(name=name))],
        with_=syntax.With(tables=[table], recursive=True),
    )


def create_view(environment: DdlEnvironment, node: syntax_commands.CreateView) -> Steps:
    """CREATE VIEW; OR REPLACE may add columns at the end but not change the others (42P16)."""
    if node.persistence == "temporary":
        raise unsupported("temporary view")
    schema = names.creation_schema(environment, node.relation)
    query = expressions.bind_view(environment, _recursive(node) if node.recursive else node.query)
    if len(node.columns) > len(query.columns):
        raise SqlError("42601", "CREATE VIEW specifies more column names than columns")
    old = environment.draft.catalog.relation(schema.oid, node.relation.name)
    if old is not None and not node.replace:
        raise names.duplicate_relation(node.relation.name)
    if old is not None and not isinstance(old, View):
        raise names.not_a(old, "view")
    columns = _columns(environment, node, query)
    options = checked_options(node.options, VIEW_OPTIONS)
    check_option = node.check_option or options.pop("check_option", "")
    if check_option:
        raise unsupported("WITH CHECK OPTION")
    if old is not None:
        _check_replacement(environment, old, columns)
    draft = environment.draft
    view = View(
        oid=draft.new_oid() if old is None else old.oid,
        name=node.relation.name,
        schema=schema.oid,
        owner=names.current_role_oid(environment) if old is None else old.owner,
        columns=columns if old is None else _keeping_comments(old, columns),
        query=query.text,
        type=draft.new_oid() if old is None else old.type,
        array_type=draft.new_oid() if old is None else old.array_type,
        check_option=_check_option(check_option),
        depends_on=query.relations,
        column_uses=query.column_uses,
        options=options,
        comment=None if old is None else old.comment,
        acl=None if old is None else old.acl,
        version=0 if old is None else old.version,
    )
    if old is not None and old.oid in query.relations:
        raise SqlError("42P17", f'infinite recursion detected in rules for relation "{old.name}"')
    draft.put(view)
    draft.rely_on(schema.oid, *query.relations)
    return "CREATE VIEW"
    yield []


def _check_option(text: str) -> Literal["", "local", "cascaded"]:
    return "local" if text == "local" else "cascaded" if text == "cascaded" else ""


def _columns(
    environment: DdlEnvironment, node: syntax_commands.CreateView, query: expressions.BoundView
) -> tuple[Column, ...]:
    types = Types(environment.draft.catalog)
    columns: list[Column] = []
    for place, source in enumerate(query.columns):
        name = node.columns[place] if place < len(node.columns) else source.name
        if any(column.name == name for column in columns):
            raise SqlError("42701", f'column "{name}" specified more than once')
        type_oid = oids.TEXT if source.type == oids.UNKNOWN else source.type
        if types.fact(type_oid).kind == "p" and type_oid != oids.RECORD:
            raise SqlError("42P16", f'column "{name}" has pseudo-type {types.name(type_oid)}')
        columns.append(
            Column(
                number=place + 1,
                name=name,
                type=type_oid,
                typmod=source.typmod,
                collation=types.fact(type_oid).collation,
            )
        )
    if not columns:
        raise SqlError("42P16", "view must have at least one column")
    return tuple(columns)


def _check_replacement(environment: DdlEnvironment, old: View, columns: tuple[Column, ...]) -> None:
    types = Types(environment.draft.catalog)
    if len(columns) < len(old.columns):
        raise SqlError("42P16", "cannot drop columns from view")
    for before, after in zip(old.columns, columns, strict=False):
        if before.name != after.name:
            raise SqlError(
                "42P16",
                f'cannot change name of view column "{before.name}" to "{after.name}"',
                hint="Use ALTER VIEW ... RENAME COLUMN ... to change name of view column instead.",
            )
        if (before.type, before.typmod) != (after.type, after.typmod):
            raise SqlError(
                "42P16",
                f'cannot change data type of view column "{before.name}" from {types.name(before.type, before.typmod)} '
                f"to {types.name(after.type, after.typmod)}",
            )


def _keeping_comments(old: View, columns: tuple[Column, ...]) -> tuple[Column, ...]:
    kept = {column.number: column for column in old.columns}
    return tuple(
        msgspec.structs.replace(column, comment=kept[column.number].comment, default=kept[column.number].default)
        if column.number in kept
        else column
        for column in columns
    )
