"""Which module runs which statement, and the session's face to all of them.

    session ──execute_ddl(session, statement, text)──▶ one module a family of statements ──▶ CatalogDraft, Transaction

`execute_ddl` gives a generator: it yields a tick whenever it has worked for a while and returns the command tag.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

from frontend.errors import SqlError, unsupported
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
from frontend.sql.ddl.draft import CatalogDraft
from frontend.sql.ddl.environment import Batch, DdlEnvironment, QueryRun, Steps
from frontend.tasks import TICK, Signal

if TYPE_CHECKING:
    from frontend.context import Context
    from frontend.session import Session
    from frontend.transaction import Transaction


class SessionEnvironment:
    """A session as the DDL modules see it; see `DdlEnvironment`."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def transaction(self) -> Transaction:
        return self._session.ensure_transaction()

    @property
    def draft(self) -> CatalogDraft:
        return self._session.ensure_draft()

    @property
    def context(self) -> Context:
        return self._session.context

    def run_query(self, query: syntax.Statement) -> QueryRun:
        """Plan and start a query (CREATE TABLE AS)."""
        session = self._session
        if not isinstance(query, syntax.Select):
            raise unsupported("CREATE TABLE AS EXECUTE")
        planned = session.gateway.plan_node(session, query)
        session.ensure_transaction().depend(planned.relations)
        state = session.new_state(())
        batches: Iterator[Batch] = iter(planned.compiled.run(state))
        return QueryRun(planned.columns, batches)


def _create_schema(environment: DdlEnvironment, node: syntax_commands.CreateSchema) -> Steps:
    return schemas.create_schema(environment, node, run_statement)


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


def run_statement(environment: DdlEnvironment, statement: syntax.Statement) -> Steps:
    """Run one DDL statement. Raises SqlError as PostgreSQL does, or 0A000 for what Boreal has not."""
    refused = _REFUSED.get(type(statement))
    if refused is not None:
        raise unsupported(refused)
    return (yield from _HANDLERS[type(statement)](environment, statement))


def execute_ddl(session: Session, statement: syntax.Statement, text: str) -> Generator[Signal, None, str]:
    """Run a DDL statement of a session; `text` is the statement's source, for error positions and event provenance."""
    if (
        isinstance(statement, syntax_commands.Vacuum)
        and not statement.analyze_only
        and (session.in_block or session.block.implicit_several)
    ):
        raise SqlError("25001", "VACUUM cannot run inside a transaction block")
    steps = run_statement(SessionEnvironment(session), statement)
    try:
        while True:
            next(steps)
            yield TICK
    except StopIteration as end:
        tag: str = end.value
        return tag
