"""What the DDL executor needs from the session that runs a statement.

    session ──execute_ddl(statement, environment)──▶ generator ──yields [] ──▶ a breath: let others run, look at cancel
                                                        └─ returns ──▶ the command tag ("CREATE TABLE")

A statement that touches no rows yields nothing. Everything it does goes to the transaction's write buffer, so an error in the
middle leaves nothing behind but what the session undoes anyway.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from frontend.context import Context
    from frontend.sql import logical, syntax
    from frontend.sql.ddl.draft import CatalogDraft
    from frontend.transaction import Transaction

Batch = list[tuple[Any, ...]]
Steps = Generator[Batch, None, str]
"""A running statement: every yield is an empty batch (a breath), the return value is the command tag."""

Work = Generator[Batch, None, None]
"""A part of a statement that may take long: yields breaths."""


class QueryRun(NamedTuple):
    """A query in progress: what it produces, and its rows in batches (an empty batch is a breath)."""

    columns: Sequence[logical.Column]
    batches: Iterator[Batch]


class DdlEnvironment(Protocol):
    """The session's side of a DDL statement."""

    @property
    def transaction(self) -> Transaction: ...

    @property
    def draft(self) -> CatalogDraft: ...

    @property
    def context(self) -> Context:
        """Its `catalog` is `draft.catalog`."""

    def run_query(self, query: syntax.Statement) -> QueryRun:
        """Bind, plan and run a query (or EXECUTE) for CREATE TABLE AS; against `draft.catalog` of this moment."""
