"""A node without a network: a view, a journal that commits at once, and sessions that run SQL text to its end.

Enough of a session for DDL and the catalogue: statements are parsed, bound, planned and run as the real one does, in a
transaction each or between `begin` and `commit`. Proposals go through the real adjudicator.
"""

from __future__ import annotations

import itertools
import random
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from frontend.errors import SqlError
from frontend.functions import load
from frontend.sql import syntax
from frontend.sql.binder import bind
from frontend.sql.compiler.plan import compile_statement
from frontend.sql.ddl.dispatch import DDL_STATEMENTS, run_statement
from frontend.sql.ddl.draft import CatalogDraft, IdentifierAllocator
from frontend.sql.ddl.environment import QueryRun
from frontend.sql.ddl.sequences import SequenceAllocator
from frontend.sql.executor.state import ExecutionState
from frontend.sql.parser import parse
from frontend.sql.statistics import Statistics
from frontend.system import registry as system_registry
from frontend.system.information import CursorRow, PreparedStatementRow, SessionRow, SettingRow
from frontend.transaction import Transaction
from frontend.types.registry import text_encoder
from journal.adjudicator import Adjudicator
from journal.event import NO_PROVENANCE, Event, Outcome, Proposal, Verdict
from storage.catalog import Catalog, Sequence, Table
from storage.view import View
from tests.frontend.fake_context import FakeContext

load()


class Node:
    """View, journal and identifiers of one process.

    Attributes:
        held: when a list, proposals wait in it until `release`.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._directory = tempfile.TemporaryDirectory() if path is None else None
        self.view = View(Path(self._directory.name) / "view" if self._directory is not None else path)  # type: ignore[arg-type]
        self.adjudicator = Adjudicator()
        self.identifiers = IdentifierAllocator(0)
        self._ids = itertools.count(1 << 20)
        self.sequences = SequenceAllocator(self)
        self.held: list[tuple[Proposal, Callable[[Verdict], None]]] | None = None

    @property
    def journal(self) -> Node:
        return self

    @property
    def next_transaction_id(self) -> Callable[[], int]:
        return lambda: next(self._ids)

    def propose(self, proposal: Proposal, callback: Callable[[Verdict], None]) -> None:
        if self.held is not None:
            self.held.append((proposal, callback))
            return
        callback(self.decide(proposal))

    def release(self) -> None:
        """Decide everything that waits."""
        held, self.held = self.held or [], None
        for proposal, callback in held:
            callback(self.decide(proposal))

    def decide(self, proposal: Proposal) -> Verdict:
        verdict = self.adjudicator.judge(proposal, self.view.frontier.commit_ts + 1000)
        if verdict.outcome is Outcome.COMMITTED:
            position, timestamp = verdict.position, verdict.commit_ts
            self.view.apply(
                [
                    Event(
                        position, timestamp, proposal.txid, NO_PROVENANCE, proposal.catalog_changes, proposal.locks, 0, False,
                        [], False, proposal.writes,
                    )
                ]
            )  # fmt: skip
        return verdict


class TestSession:
    """Runs SQL text; implements DdlEnvironment and SystemInformation."""

    __test__ = False

    def __init__(self, node: Node) -> None:
        self.node = node
        self.context = SessionContext(self)
        self.transaction_or_none: Transaction | None = None
        self.draft_or_none: CatalogDraft | None = None
        self.base: Catalog = node.view.catalog
        self.in_block = False
        self.marks: list[Any] = []
        self.sequences = node.sequences.session()

    # ── DdlEnvironment ─────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def transaction(self) -> Transaction:
        if self.transaction_or_none is None:
            view = self.node.view
            self.base = view.catalog
            self.transaction_or_none = Transaction(view.store, view.snapshot, self.node.next_transaction_id)
        return self.transaction_or_none

    @property
    def draft(self) -> CatalogDraft:
        transaction = self.transaction
        if self.draft_or_none is None:
            self.draft_or_none = CatalogDraft(self.base, transaction, self.node.identifiers)
        return self.draft_or_none

    @property
    def catalog(self) -> Catalog:
        if self.draft_or_none is not None:
            return self.draft_or_none.catalog
        return self.base if self.transaction_or_none is not None else self.node.view.catalog

    def run_query(self, query: syntax.Statement) -> QueryRun:
        bound = bind(query, self.catalog, self.context.search_path, (), system_registry, self.context)
        compiled = compile_statement(bound, self.catalog, Statistics(self.node.view))
        state = ExecutionState(self.transaction, (), self.context)
        return QueryRun(bound.columns, iter(compiled.run(state)))

    # ── running ────────────────────────────────────────────────────────────────────────────────────────────────────

    def execute(self, sql: str) -> list[list[str | None]]:
        """Run all statements of a text; the last one's rows as text. Raises SqlError; the transaction is then over."""
        rows: list[list[str | None]] = []
        for parsed in parse(sql):
            try:
                rows = self._one(parsed.statement)
                if not self.in_block:
                    self.commit()
            except SqlError:
                self.rollback()
                raise
        return rows

    def tag(self, sql: str) -> str:
        """Run one DDL statement and give its command tag."""
        self.execute(sql)
        return self.last_tag

    def _one(self, statement: syntax.Statement) -> list[list[str | None]]:
        if isinstance(statement, DDL_STATEMENTS):
            steps = run_statement(self, statement)  # type: ignore[arg-type]
            try:
                while True:
                    assert next(steps) == []
            except StopIteration as end:
                self.last_tag: str = end.value
            return []
        assert isinstance(statement, syntax.Select | syntax.Insert | syntax.Update | syntax.Delete), statement
        bound = bind(statement, self.catalog, self.context.search_path, (), system_registry, self.context)
        transaction = self.transaction
        transaction.depend(bound.relations)
        self.column_names = [column.name for column in bound.columns]
        compiled = compile_statement(bound, self.catalog, Statistics(self.node.view))
        state = ExecutionState(transaction, (), self.context)
        rows = [row for batch in compiled.run(state) for row in batch]
        encoders = [text_encoder(column.type, self.context) for column in bound.columns]
        return [
            [None if value is None else encode(value).decode() for value, encode in zip(row, encoders, strict=True)]
            for row in rows
        ]

    def begin(self) -> None:
        self.in_block = True

    def commit(self) -> None:
        """Submit; raises 40001 when the adjudicator says so."""
        transaction, self.transaction_or_none = self.transaction_or_none, None
        self.draft_or_none = None
        self.in_block = False
        if transaction is None or not transaction.must_propose:
            return
        verdict = self.node.decide(transaction.proposal(NO_PROVENANCE))
        if verdict.outcome is not Outcome.COMMITTED:
            raise SqlError(verdict.sqlstate, verdict.outcome.name)

    def rollback(self) -> None:
        self.transaction_or_none = None
        self.draft_or_none = None
        self.in_block = False

    def savepoint(self, name: str) -> None:
        self.transaction.savepoint(name)
        self.marks.append(self.draft.mark())

    def rollback_to(self, name: str) -> None:
        self.transaction.rollback_to(name)
        self.draft.restore(self.marks[-1])

    # ── SystemInformation ──────────────────────────────────────────────────────────────────────────────────────────

    def settings(self) -> Iterable[SettingRow]:
        return []

    def sessions(self) -> Iterable[SessionRow]:
        return []

    def prepared_statements(self) -> Iterable[PreparedStatementRow]:
        return []

    def cursors(self) -> Iterable[CursorRow]:
        return []

    def row_count(self, table: Table) -> float:
        found = Statistics(self.node.view).analyzed_rows(table.oid)
        return -1.0 if found is None else float(found)

    def relation_bytes(self, storage_id: int, index_id: int | None) -> int:
        return 0

    def sequence_position(self, sequence: Sequence) -> tuple[int, bool]:
        return self.node.sequences.position(sequence)

    def sequence_last_value(self, sequence: Sequence) -> int | None:
        return self.node.sequences.last_value(sequence)


class SessionContext(FakeContext):
    """The context of a TestSession: its catalog, its sequences."""

    def __init__(self, session: TestSession) -> None:
        super().__init__()
        self.session = session
        self.random = random.Random(1)
        self.details: list[str | None] = []
        del self.catalog

    def __getattr__(self, name: str) -> Any:
        if name == "catalog":
            return self.session.catalog
        if name == "system":
            return self.session
        raise AttributeError(name)

    def next_sequence_value(self, sequence_oid: int) -> int:
        return self.session.sequences.next_value(sequence_oid, self.session.catalog)

    def current_sequence_value(self, sequence_oid: int) -> int:
        return self.session.sequences.current_value(sequence_oid, self.session.catalog)

    def last_sequence_value(self) -> int:
        return self.session.sequences.last_value(self.session.catalog)

    def set_sequence_value(self, sequence_oid: int, value: int, is_called: bool) -> int:
        return self.session.sequences.set_value(sequence_oid, value, is_called, self.session.catalog)

    def notice(
        self,
        sqlstate: str,
        message: str,
        *,
        severity: str = "NOTICE",
        detail: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.notices.append((sqlstate, message))
        self.details.append(detail)
