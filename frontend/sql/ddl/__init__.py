"""Definitions: every statement that changes the schema, as changes of a `CatalogDraft` and rows of the transaction.

    session ──execute_ddl(statement, environment)──▶ one module a family of statements ──▶ CatalogDraft, Transaction

`execute_ddl` gives a generator: it yields an empty batch whenever it has worked for a while and returns the command tag.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from frontend.errors import unsupported
from frontend.sql import syntax, syntax_commands
from frontend.sql.ddl import (
    alter,
    comments,
    drops,
    indexes,
    maintenance,
    privileges,
    renames,
    roles,
    schemas,
    sequence_definitions,
    tables,
    truncate,
    views,
)
from frontend.sql.ddl.draft import CatalogDraft, DraftMark, IdentifierAllocator
from frontend.sql.ddl.environment import DdlEnvironment, QueryRun, Steps

__all__ = [
    "DDL_STATEMENTS",
    "CatalogDraft",
    "DdlEnvironment",
    "DraftMark",
    "IdentifierAllocator",
    "QueryRun",
    "Steps",
    "execute_ddl",
]


def _create_schema(environment: DdlEnvironment, node: syntax_commands.CreateSchema) -> Steps:
    return schemas.create_schema(environment, node, execute_ddl)


_HANDLERS: dict[type[syntax.Statement], Callable[[DdlEnvironment, Any], Steps]] = {
    syntax_commands.CreateTable: tables.create_table,
    syntax_commands.CreateIndex: indexes.create_index,
    syntax_commands.CreateView: views.create_view,
    syntax_commands.CreateSchema: _create_schema,
    syntax_commands.CreateSequence: sequence_definitions.create_sequence,
    syntax_commands.AlterSequence: sequence_definitions.alter_sequence,
    syntax_commands.AlterTable: alter.alter_relation,
    syntax_commands.Rename: renames.rename,
    syntax_commands.SetSchema: renames.set_schema,
    syntax_commands.SetOwner: renames.set_owner,
    syntax_commands.Drop: drops.drop,
    syntax_commands.Comment: comments.comment,
    syntax_commands.CreateRole: roles.create_role,
    syntax_commands.AlterRole: roles.alter_role,
    syntax_commands.AlterRoleSetting: roles.alter_role_setting,
    syntax_commands.DropRole: roles.drop_role,
    syntax_commands.ReassignOwned: roles.reassign_owned,
    syntax_commands.DropOwned: roles.drop_owned,
    syntax_commands.GrantRole: roles.grant_role,
    syntax_commands.Grant: privileges.grant,
    syntax_commands.Vacuum: maintenance.vacuum,
    syntax.Truncate: truncate.truncate,
}

DDL_STATEMENTS: tuple[type[syntax.Statement], ...] = (
    *_HANDLERS,
    syntax_commands.CreateMaterializedView,
    syntax_commands.RefreshMaterializedView,
    syntax_commands.AlterDefaultPrivileges,
)
"""The statements that `execute_ddl` takes; everything else is the session's."""

_REFUSED: dict[type[syntax.Statement], str] = {
    syntax_commands.CreateMaterializedView: "CREATE MATERIALIZED VIEW",
    syntax_commands.RefreshMaterializedView: "REFRESH MATERIALIZED VIEW",
    syntax_commands.AlterDefaultPrivileges: "ALTER DEFAULT PRIVILEGES",
}


def execute_ddl(environment: DdlEnvironment, statement: syntax.Statement) -> Steps:
    """Run one DDL statement. Raises SqlError as PostgreSQL does, or 0A000 for what Boreal has not."""
    refused = _REFUSED.get(type(statement))
    if refused is not None:
        raise unsupported(refused)
    return (yield from _HANDLERS[type(statement)](environment, statement))
