"""What the sessions of one process share: the view, the way to the journal, plans, identifiers.

Gateway ── view ─────── reads at a snapshot
        ── propose ──▶  journal replica ──verdict──▶ session
        ── plans, parsed: caches keyed by text, catalog version and name resolution
        ── identifiers: transaction ids, row ids, OIDs, sequence blocks
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from frontend import as_of, functions
from frontend.contention import Contention
from frontend.errors import SqlError
from frontend.reads import LocalReads, StrongReads
from frontend.session import Session
from frontend.sql import syntax
from frontend.sql.binder import bind
from frontend.sql.binder.types import Types
from frontend.sql.compiler.plan import compile_plan
from frontend.sql.ddl.draft import IdentifierAllocator
from frontend.sql.ddl.sequences import SequenceAllocator
from frontend.sql.fingerprint import fingerprint
from frontend.sql.parser import Parsed, parse
from frontend.sql.planner import plan
from frontend.sql.statistics import Statistics
from frontend.statements import PLANS_MAX, BoundedCache, LiftedPlan, PlannedStatement
from frontend.system import registry as system_registry
from frontend.transaction import Transaction
from frontend.types.registry import is_known_type, type_by_oid
from journal.event import Proposal, Provenance, Verdict, Write

if TYPE_CHECKING:
    from frontend.wire.session_contract import Connection
    from storage.catalog import Relation
    from storage.view import View

PARSED_TEXT_MAX = 2000
"""Longer texts are not remembered by the parse cache."""

LARGE_TRANSACTION_BYTES = 512 << 10
"""From here on a transaction travels as fragments."""

FRAGMENT_BYTES = 512 << 10


class Journal(Protocol):
    """What the gateway needs of `journal.replica.Replica`."""

    def propose(self, proposal: Proposal, callback: Callable[[Verdict], None]) -> None:
        """Order the proposal; the callback comes after its event was applied by the subscribers."""

    def propose_large(
        self, proposal: Proposal, chunks: Iterator[list[Write]], callback: Callable[[Verdict], None]
    ) -> None:
        """The same for a transaction that does not fit one block."""

    def resolve(self, txid: int, callback: Callable[[str], None]) -> None:
        """What became of a transaction: committed, aborted, in progress, unknown. The question decides it."""


class History(Protocol):
    """What reads in the past need to know of the journal."""

    def commit_ts(self, position: int) -> int | None:
        """The commit timestamp (µs since the Unix epoch) of the event at a position; None where the journal no longer retains it.

        Args:
            position: from 1 to the view's frontier.
        """

    def closed_us(self) -> int | None:
        """The time up to which no event can be added to the view any more; None where this node cannot tell."""


class Gateway:
    """Shared state of a node's sessions.

    Args:
        view: the view that sessions read.
        journal: where COMMIT submits.
        history: for AS OF.
        next_transaction_id: unique ids, 63 bits.
        node_id: number of the node, part of row ids.
        transaction_bytes_max: post-images of one transaction (54000 above).
        reads: how strong reads make sure of recency.
        monotonic: seconds, for turns at hot keys; the simulation's is virtual.
    """

    def __init__(
        self,
        view: View,
        journal: Journal,
        history: History,
        next_transaction_id: Callable[[], int],
        *,
        node_id: int = 1,
        transaction_bytes_max: int = 256 << 20,
        reads: StrongReads | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        functions.load()
        self.reads: StrongReads = reads or LocalReads()
        self.view = view
        self.journal = journal
        self.history = history
        self.next_transaction_id = next_transaction_id
        self.node_id = node_id
        self.transaction_bytes_max = transaction_bytes_max
        self.sessions: set[Session] = set()
        self.contention = Contention(monotonic)
        self.plans: BoundedCache[Any, LiftedPlan] = BoundedCache(PLANS_MAX)
        self.prepared_plans: BoundedCache[Any, PlannedStatement] = BoundedCache(PLANS_MAX)
        self.parsed: BoundedCache[str, list[Parsed]] = BoundedCache(PLANS_MAX)
        self.identifiers = IdentifierAllocator(node_id)
        self.statistics = Statistics(view)
        self.sequences = SequenceAllocator(self)
        self._scopes: BoundedCache[Any, int] = BoundedCache(10_000)
        self._scope_count = 0
        self.draining = False

    # ── parsing and planning ───────────────────────────────────────────────────────────────────────────────────────

    def parse(self, sql: str) -> list[Parsed]:
        """All statements of a text, remembered for short texts."""
        found = self.parsed.get(sql)
        if found is None:
            found = parse(sql)
            if len(sql) <= PARSED_TEXT_MAX:
                self.parsed.put(sql, found)
        return found

    def scope(self, catalog_version: int, search_path: tuple[str, ...], settings: Any) -> int:
        """A number for everything beside the text that a plan depends on."""
        key = (
            catalog_version,
            search_path,
            settings.get("timezone"),
            settings.get("datestyle"),
            settings.get("intervalstyle"),
        )
        found = self._scopes.get(key)
        if found is None:
            self._scope_count += 1
            found = self._scope_count
            self._scopes.put(key, found)
        return found

    def plan(
        self, session: Session, node: syntax.Statement, sql: str, parameter_types: Sequence[int]
    ) -> PlannedStatement:
        """The plan of a prepared statement's text, shared by sessions that resolve names alike."""
        key = (sql, tuple(parameter_types), session.scope())
        found = self.prepared_plans.get(key)
        if found is None:
            found = self._plan(session, node, parameter_types, lifted=False)
            self.prepared_plans.put(key, found)
        return found

    def plan_text(self, session: Session, parsed: Parsed, whole: str | None) -> tuple[PlannedStatement, Sequence[Any]]:
        """The plan of an unprepared statement and its literals as parameters.

        Args:
            whole: the whole text where the statement is alone in it, else None.
        """
        text = parsed.source if whole is None else whole
        key, values = fingerprint(text)
        literals: Sequence[Any] = values or ()
        scope = session.scope()
        found = self.plans.get((key, scope))
        if found is not None and found.fixed:
            found = self.plans.get((key, scope, found.fixed_values(literals)))
        try:
            if found is None:
                found = self._plan_lifted(session, text, key, scope, literals)
            return found.planned, self.literal_values(session, found, text, literals)
        except SqlError as error:
            if error.position and whole is None:
                error.position += parsed.position - 1
            raise

    def literal_values(self, session: Session, lifted: LiftedPlan, text: str, literals: Sequence[Any]) -> Sequence[Any]:
        """The literals of a text as its plan wants them. Input errors get the position of their literal."""
        try:
            return lifted.parameters(literals, session.context)
        except SqlError:
            self._plan_as_written(session, text)  # raises the same, at its position
            raise

    def _plan_as_written(self, session: Session, text: str) -> PlannedStatement:
        """The plan of an unprepared statement with its literals in place; 42P02 where it asks for parameters."""
        statement = parse(text)[0].statement
        planned = self._plan(session, statement, (), lifted=False)
        if planned.parameters:
            first = next(node for node in syntax.nodes(statement) if isinstance(node, syntax.Parameter))
            raise SqlError("42P02", f"there is no parameter ${first.number}", position=first.position or None)
        return planned

    def _plan_lifted(self, session: Session, text: str, key: str, scope: int, literals: Sequence[Any]) -> LiftedPlan:
        again = parse(text, lift=True)[0]
        if again.lifted is None:
            return LiftedPlan(self._plan_as_written(session, text), (), ())
        try:
            planned = self._plan(session, again.statement, (), lifted=True)
        except SqlError:
            # Where the tree must know a literal's value, and for errors at the right position: the text as it is.
            planned = self._plan_as_written(session, text)
            again.fixed = list(range(len(literals)))
        lifted = LiftedPlan(planned, again.lifted, again.fixed)
        if lifted.fixed:
            self.plans.put((key, scope, lifted.fixed_values(literals)), lifted)
        self.plans.put((key, scope), lifted)
        return lifted

    def _plan(
        self, session: Session, node: syntax.Statement, parameter_types: Sequence[int], *, lifted: bool
    ) -> PlannedStatement:
        catalog = session.catalog
        bound = bind(
            node,
            catalog,
            session.context.search_path,
            parameter_types,
            system_registry,
            session.context,
            lifted=lifted,
        )
        for notice in bound.notices:
            session.send_notice(SqlError("00000", notice, severity="NOTICE"))
        return PlannedStatement(bound, compile_plan(plan(bound, catalog, self.statistics)))

    def plan_node(
        self, session: Session, node: syntax.Statement, parameter_types: Sequence[int] = ()
    ) -> PlannedStatement:
        """A plan of its own for a statement inside another one (DECLARE, EXPLAIN, CREATE TABLE AS, COPY)."""
        return self._plan(session, node, parameter_types, lifted=False)

    def resolve_relation(self, session: Session, name: syntax.RelationName) -> Relation:
        """The user relation that a command's name means along the search path; 42P01, without a position as PostgreSQL has
        it for commands, where there is none."""
        catalog = session.catalog
        for schema in (name.schema,) if name.schema is not None else session.context.search_path:
            if system_registry.find(schema, name.name) is not None:
                raise SqlError("42809", f'"{name.name}" is a system relation')
            record = catalog.schema(schema)
            relation = catalog.relation(record.oid, name.name) if record is not None else None
            if relation is not None:
                return relation
        shown = f"{name.schema}.{name.name}" if name.schema else name.name
        raise SqlError("42P01", f'relation "{shown}" does not exist')

    def resolve_type(self, session: Session, name: syntax.TypeName) -> tuple[int, int]:
        """(OID, typmod) of a type as written; 42704 where it does not exist."""
        return Types(session.catalog).resolve(name, session.context.search_path)

    def is_type(self, session: Session, oid: int) -> bool:
        """Whether there is a type of this OID, built in or the row type of a relation."""
        return is_known_type(oid) or Types(session.catalog).row_relation(oid) is not None

    def evaluate(self, session: Session, expression: syntax.Expression, type_oid: int) -> Any:
        """The value of an expression without columns, cast to a type: an argument of EXECUTE."""
        rows = self._plan_cast(session, expression, type_oid).compiled.run_inline(session.new_state(()))
        return rows[0][0]

    def evaluate_before(self, session: Session, expression: syntax.Expression, type_oid: int) -> Any:
        """The same without beginning the session's transaction: what says at which moment that is to read."""
        rows = self._plan_cast(session, expression, type_oid).compiled.run_inline(as_of.reading_now(session, ()))
        return rows[0][0]

    def _plan_cast(self, session: Session, expression: syntax.Expression, type_oid: int) -> PlannedStatement:
        cast = syntax.Cast(operand=expression, type=syntax.TypeName(names=["pg_catalog", type_by_oid(type_oid).name]))
        return self.plan_node(session, syntax.Select(targets=[syntax.Target(expression=cast)]))

    def oldest_snapshot(self) -> int:
        """The oldest snapshot that a session still reads at; garbage collection stays behind it.

        Whatever runs in slices has its transaction in `Session.transaction` from its first slice to its last, a single
        statement as well as a block; what runs inline is over before anybody can ask.
        """
        oldest = self.view.snapshot
        for session in self.sessions:
            if session.transaction is not None and session.transaction.snapshot < oldest:
                oldest = session.transaction.snapshot
        return oldest

    # ── committing ─────────────────────────────────────────────────────────────────────────────────────────────────

    def propose(self, transaction: Transaction, provenance: Provenance, callback: Callable[[Verdict], None]) -> None:
        """Submit a transaction; the callback gets the verdict when this node's view has applied the event."""
        transaction.proposed = True
        if transaction.bytes <= LARGE_TRANSACTION_BYTES:
            self.journal.propose(transaction.proposal(provenance), callback)
        else:
            self.journal.propose_large(transaction.header(provenance), transaction.chunks(FRAGMENT_BYTES), callback)

    # ── connections ────────────────────────────────────────────────────────────────────────────────────────────────

    def open_session(self, connection: Connection) -> Session:
        """The session of a connection that has authenticated; FATAL SqlError for an unknown role or database."""
        startup = connection.startup
        role = self.view.catalog.role(startup.user)
        if role is None:
            raise SqlError("28000", f'role "{startup.user}" does not exist', severity="FATAL")
        if not role.login:
            raise SqlError("28000", f'role "{startup.user}" is not permitted to log in', severity="FATAL")
        if startup.database not in ("postgres",):
            raise SqlError("3D000", f'database "{startup.database}" does not exist', severity="FATAL")
        if startup.replication:
            raise SqlError("0A000", "logical replication connections are not supported", severity="FATAL")
        if self.draining:
            raise SqlError("57P03", "the database system is shutting down", severity="FATAL")
        return Session(connection, self)
