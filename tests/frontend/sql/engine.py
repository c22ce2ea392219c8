"""A database without wire, session or journal: SQL text through parser, binder, planner, compiler to rows, over a real view.

COMMIT applies the transaction's writes to the view as an event. The catalog comes from PostgreSQL (`oracle_catalog`), so that
tests of planning and execution depend on nothing of our own DDL. Result values are given in their text forms.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

from frontend import functions
from frontend.sql.binder import bind
from frontend.sql.compiler.plan import CompiledPlan, compile_statement
from frontend.sql.executor.foreign_keys import check_deferred
from frontend.sql.executor.state import ExecutionState
from frontend.sql.fingerprint import fingerprint
from frontend.sql.parser import parse
from frontend.sql.statistics import Statistics
from frontend.statements import LiftedPlan, PlannedStatement
from frontend.system import registry
from frontend.transaction import Transaction
from frontend.types import oids
from frontend.types.facts import type_facts
from frontend.types.registry import type_by_oid
from journal.event import NO_PROVENANCE, Event
from storage.catalog import Catalog
from storage.view import View
from tests.frontend.fake_context import FakeContext

functions.load()


class Context(FakeContext):
    """Sequences that count."""

    def __init__(self) -> None:
        super().__init__()
        self.sequences: dict[int, int] = {}

    def next_sequence_value(self, sequence_oid: int) -> int:
        self.sequences[sequence_oid] = self.sequences.get(sequence_oid, 0) + 1
        return self.sequences[sequence_oid]


class Result:
    """What a statement gave: rows of text, the number for its tag, the plan that ran."""

    def __init__(self, rows: list[tuple[str | None, ...]], processed: int, plan: CompiledPlan) -> None:
        self.rows = rows
        self.processed = processed
        self.plan = plan


class Engine:
    """One session on one view."""

    def __init__(self, directory: Path, catalog: Catalog) -> None:
        self.view = View(directory)
        self.catalog = catalog
        self.context = Context()
        self.context.catalog = catalog
        self.statistics = Statistics(self.view)
        self._row_ids = count(1)
        self.transaction: Transaction | None = None
        self.deferred: list[Any] = []
        self.breaths_max = 0

    def begin(self) -> Transaction:
        self.transaction = Transaction(self.view.store, self.view.snapshot, lambda: next(self._row_ids))
        self.deferred = []
        return self.transaction

    def commit(self) -> None:
        transaction, self.transaction = self.transaction, None
        assert transaction is not None
        if self.deferred:
            check_deferred(transaction, self.context, self.deferred)
        if not transaction.writes:
            return
        frontier = self.view.frontier
        writes = [(key, value, kind) for key, (value, kind) in transaction.writes.items()]
        self.view.apply(
            [
                Event(
                    position=frontier.position + 1,
                    commit_ts=frontier.commit_ts + 10,
                    txid=transaction.txid,
                    provenance=NO_PROVENANCE,
                    catalog_changes=[],
                    locks=[],
                    part=0,
                    more=False,
                    relations=[],
                    bulk=False,
                    writes=writes,
                    previous_hash=b"",
                    hash=b"",
                )
            ]
        )

    def rollback(self) -> None:
        self.transaction = None

    def compile_lifted(self, sql: str) -> tuple[CompiledPlan, Sequence[Any]]:
        """The statement with its literals lifted to parameters, as the simple protocol runs it; and their values."""
        parsed = parse(sql, lift=True)[0]
        bound = bind(
            parsed.statement, self.catalog, ("public",), (), registry, self.context, lifted=parsed.lifted is not None
        )
        plan = compile_statement(bound, self.catalog, self.statistics)
        lifted = LiftedPlan(PlannedStatement(bound, plan), parsed.lifted or (), parsed.fixed)
        _, literals = fingerprint(parsed.source)
        return plan, lifted.parameters(literals or (), self.context)

    def compile(self, sql: str, parameter_types: Sequence[int] = (), instrument: bool = False) -> CompiledPlan:
        statement = parse(sql)[0].statement
        bound = bind(statement, self.catalog, ("public",), parameter_types, registry, self.context)
        return compile_statement(bound, self.catalog, self.statistics, instrument=instrument)

    def state(self, parameters: Sequence[Any] = ()) -> ExecutionState:
        assert self.transaction is not None
        return ExecutionState(self.transaction, parameters, self.context, deferred=self.deferred)

    def run(
        self, sql: str, parameters: Sequence[Any] = (), parameter_types: Sequence[int] = (), lifted: bool = False
    ) -> Result:
        """One statement in the open transaction, or in one of its own."""
        own = self.transaction is None
        if own:
            self.begin()
        try:
            if lifted:
                plan, parameters = self.compile_lifted(sql)
            else:
                plan = self.compile(sql, parameter_types)
            state = self.state(parameters)
            rows: list[Any] = []
            for batch in (plan.run_inline(state),) if plan.inline else plan.run(state):
                if isinstance(batch, list):
                    rows.extend(batch)
            outputs = [
                type_by_oid(column.type if column.type in type_facts() else oids.RECORD).output
                for column in plan.columns
            ]
            texts = [
                tuple(
                    [
                        None if value is None else output(value, self.context)
                        for output, value in zip(outputs, row, strict=True)
                    ]
                )
                for row in rows
            ]
            if own:
                self.commit()
            return Result(texts, state.processed, plan)
        finally:
            if own:
                self.transaction = None
