"""CREATE SCHEMA; its elements run as statements of their own in the new schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frontend.errors import SqlError
from frontend.sql import syntax, syntax_commands
from frontend.sql.ddl import names
from frontend.system import registry
from storage.catalog import Schema

if TYPE_CHECKING:
    from collections.abc import Callable

    from frontend.sql.ddl.environment import DdlEnvironment, Steps


def create_schema(
    environment: DdlEnvironment,
    node: syntax_commands.CreateSchema,
    run: Callable[[DdlEnvironment, syntax.Statement], Steps],
) -> Steps:
    """CREATE SCHEMA [name] [AUTHORIZATION role] [elements]."""
    owner = (
        names.current_role_oid(environment)
        if node.authorization is None
        else names.resolve_role(environment, node.authorization).oid
    )
    name = node.name if node.name is not None else environment.draft.catalog.objects[owner].name
    if name.startswith("pg_"):
        raise SqlError(
            "42939",
            f'unacceptable schema name "{name}"',
            detail='The prefix "pg_" is reserved for system schemas.',
        )
    if environment.draft.catalog.schema(name) is not None or name in registry.SYSTEM_SCHEMAS:
        if not node.if_not_exists:
            raise SqlError("42P06", f'schema "{name}" already exists')
        environment.context.notice("42P06", f'schema "{name}" already exists, skipping')
        return "CREATE SCHEMA"
    environment.draft.put(Schema(oid=environment.draft.new_oid(), name=name, owner=owner))
    for element in node.elements:
        yield from run(environment, _inside(element, name))
    return "CREATE SCHEMA"


def _inside(element: syntax.Statement, schema: str) -> syntax.Statement:
    """A schema element with its name put into the schema; 42P15 where it names another one."""
    if isinstance(
        element,
        syntax_commands.CreateTable
        | syntax_commands.CreateView
        | syntax_commands.CreateSequence
        | syntax_commands.CreateIndex,
    ):
        if element.relation.schema not in (None, schema):
            raise SqlError(
                "42P15",
                f"CREATE specifies a schema ({element.relation.schema}) different from the one being created ({schema})",
            )
        element.relation.schema = schema
        return element
    if isinstance(element, syntax_commands.Grant):
        return element
    raise SqlError("0A000", "this kind of schema element is not supported")
