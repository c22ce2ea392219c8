"""What one session is, and what all of its parts use: the running transaction, its snapshot, its view of the schema, time limits.

A session is one object, written in storeys, each in a module that knows only those below it:

    session.py             simple queries, parameters, COPY, cancel                the connection's view of a session
    session_extended.py    Parse, Bind, Describe, Execute, Sync; segments
    session_inline.py      running a bounded statement at once; turns at hot keys
    session_ending.py      COMMIT, ROLLBACK, failure, verdicts
    session_state.py       this one
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

from frontend import commands, transaction_control
from frontend.copying import CopyInput
from frontend.errors import SqlError
from frontend.portal import Portal
from frontend.segment import PreparedSegment
from frontend.session_context import SessionContext
from frontend.settings import Settings
from frontend.sql.ddl.draft import CatalogDraft
from frontend.sql.executor.state import ExecutionState
from frontend.statements import (
    BoundedCache,
    PreparedStatement,
    row_encoder,
)
from frontend.tasks import TaskRunner
from frontend.transaction import Transaction
from frontend.wire import messages
from journal.event import NO_PROVENANCE

if TYPE_CHECKING:
    from frontend.gateway import Gateway
    from frontend.sql.ddl.sequences import SessionSequences
    from frontend.sql.logical import Column
    from frontend.wire.rowencoder import RowEncoder
    from frontend.wire.session_contract import Connection, TransactionStatus
    from journal.event import Provenance, Verdict
    from storage.catalog import Catalog
    from storage.view import View

ENCODERS_MAX = 500
SEGMENTS_MAX = 1000
MOVABLE_READS_MAX = 64
"""A transaction that has read more single rows than this keeps its snapshot: looking them all up again costs too much."""

_TAGS: dict[tuple[str, int], bytes] = {}


def command_complete(tag: str, count: int) -> bytes:
    """CommandComplete with a row count, from a table for small counts."""
    found = _TAGS.get((tag, count))
    if found is None:
        found = messages.command_complete(f"{tag} {count}")
        if count < 64:
            _TAGS[tag, count] = found
    return found


class SessionState:
    """The lowest storey of a session; `frontend.session.Session` makes it and says what the attributes mean."""

    connection: Connection
    gateway: Gateway
    database: str
    transaction_status: TransactionStatus
    transaction: Transaction | None
    draft: CatalogDraft | None
    block: transaction_control.Block
    settings: Settings
    context: SessionContext
    sequences: SessionSequences
    tasks: TaskRunner
    prepared: dict[str, PreparedStatement]
    portals: dict[str, Portal]
    copy_input: CopyInput | None
    started_us: int
    state_changed_us: int
    current_sql: str
    verdict: Verdict | None

    def __init__(self, connection: Connection, gateway: Gateway) -> None:
        self.connection = connection
        self.gateway = gateway
        self.reads = gateway.reads
        self._view: View = gateway.view
        self._contention = gateway.contention
        self._busy: Any = None  # the hot key that the statement waits for
        self._reader = Transaction(
            gateway.view.store, gateway.view.snapshot, gateway.next_transaction_id, read_only=True
        )
        self._state: ExecutionState | None = None
        self._encoders: BoundedCache[Hashable, tuple[int, RowEncoder]] = BoundedCache(ENCODERS_MAX)
        self._segments: BoundedCache[bytes, PreparedSegment] = BoundedCache(SEGMENTS_MAX)
        self._scope_key: Any = None
        self._scope = 0
        self._catalog: Catalog = gateway.view.catalog
        self._held = b""  # CommandComplete of a statement whose commit Sync will make
        self._reply = b""  # what follows when the commit under way is decided
        self._prefix = b""  # what the client is told before an error that comes instead of the reply
        self._idle_timer: Any = None
        self._limits_version = -1
        self._provenance_version = -1
        self._provenance: Provenance = NO_PROVENANCE
        self._statement_timeout_s = 0.0
        self._idle_in_transaction_ms = 0
        self._idle_ms = 0
        self._memory_bytes_max = 256 << 20
        self._default_modes: tuple[bool, bool, bool]

    @property
    def catalog(self) -> Catalog:
        """The schema that the current statement sees: the transaction's snapshot plus its own DDL."""
        if self.draft is not None:
            return self.draft.catalog
        return self._catalog if self.transaction is not None else self.gateway.view.catalog

    @property
    def in_block(self) -> bool:
        """Inside BEGIN … COMMIT."""
        return self.transaction_status != "I"

    def send_notice(self, notice: SqlError) -> None:
        """NoticeResponse, unless client_min_messages is above it."""
        if commands.wants_notice(self.settings.get("client_min_messages") or "notice", notice.severity):
            self.connection.send(messages.notice_response(notice))

    def ensure_transaction(self) -> Transaction:
        """The running transaction, begun now if this is its first statement: this fixes the snapshot.

        In a READ COMMITTED block the snapshot moves forward while nothing that the transaction has read has changed since,
        which cannot be told from having begun later; it shortens the time in which others can conflict with it.
        """
        transaction = self.transaction
        view = self._view
        if transaction is None:
            block = self.block
            transaction = self.transaction = Transaction(
                view.store,
                view.snapshot,  # it is recent enough, or `reads` was asked before
                self.gateway.next_transaction_id,
                serializable=block.serializable,
                read_only=block.read_only,
                movable=block.movable and self.transaction_status == "T",
                bytes_max=self.gateway.transaction_bytes_max,
            )
            self._catalog = view.catalog
        elif transaction.movable and transaction.snapshot != view.snapshot:
            self._move_snapshot(transaction)
        return transaction

    def enter_past(self, snapshot: int) -> None:
        """Begin a transaction that reads at `snapshot` (commit timestamp, µs), at or after the view's horizon."""
        self._catalog = self._view.catalog_at(snapshot)
        self.transaction = Transaction(
            self._view.store, snapshot, self.gateway.next_transaction_id, read_only=True, bytes_max=0
        )

    def _move_snapshot(self, transaction: Transaction) -> None:
        view = self._view
        if self.draft is not None or view.catalog is not self._catalog or (self.portals and self.portals_open):
            return
        reads = transaction.reads
        newest = view.snapshot
        if len(reads) > MOVABLE_READS_MAX or (reads and view.store.changed(reads, transaction.snapshot, newest)):
            transaction.movable = False
        else:
            transaction.snapshot = newest

    @property
    def portals_open(self) -> bool:
        """Whether a portal is part way through its rows, so that its snapshot must stand still."""
        return any(portal.iterator is not None and not portal.exhausted for portal in self.portals.values())

    def ensure_draft(self) -> CatalogDraft:
        """The transaction's draft of the catalog; DDL works on it."""
        if self.draft is None:
            transaction = self.ensure_transaction()
            self.draft = CatalogDraft(self._catalog, transaction, self.gateway.identifiers)
        return self.draft

    def scope(self) -> int:
        """A number that is the same exactly for sessions that resolve names alike: the plan cache's second key."""
        catalog = self.catalog
        key = (catalog.version, self.settings.version, self.context.user)
        if key != self._scope_key:
            self._scope_key = key
            self._scope = self.gateway.scope(catalog.version, tuple(self.context.search_path), self.settings)
        return self._scope

    def new_state(self, parameters: Sequence[Any]) -> ExecutionState:
        """An execution of its own, for plans that run in slices."""
        self._refresh_limits()
        return ExecutionState(
            self.ensure_transaction(),
            parameters,
            self.context,
            memory_bytes_max=self._memory_bytes_max,
            deferred=self.block.deferred,
            constraints_deferred=self.block.constraints_deferred,
        )

    def encoder(self, columns: Sequence[Column], formats: tuple[int, ...], owner: Hashable) -> RowEncoder:
        """The row encoder for these columns under the session's settings, remembered by `owner`."""
        key = (owner, formats)
        found = self._encoders.get(key)
        version = self.settings.version
        if found is not None and found[0] == version:
            return found[1]
        encode = row_encoder(columns, formats, self.context)
        self._encoders.put(key, (version, encode))
        return encode

    def _drop_unnamed_portal(self) -> None:
        portal = self.portals.pop("", None)
        if portal is not None:
            portal.close()

    def _refresh_limits(self) -> None:
        settings = self.settings
        if settings.version != self._limits_version:
            self._limits_version = settings.version
            self._statement_timeout_s = settings.amount("statement_timeout") / 1000
            self._idle_in_transaction_ms = settings.amount("idle_in_transaction_session_timeout")
            self._idle_ms = settings.amount("idle_session_timeout")
            self._memory_bytes_max = settings.amount("work_mem") << 10

    def watch_idle(self) -> None:
        """A message ends: watch how long the client is silent, if it is to be watched."""
        if self._idle_in_transaction_ms or self._idle_ms or self._limits_version != self.settings.version:
            self._watch_idle()

    def _watch_idle(self) -> None:
        """Start the timer of idle_in_transaction_session_timeout or idle_session_timeout, if one applies."""
        self._refresh_limits()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        in_block = self.transaction_status != "I"
        limit_ms = self._idle_in_transaction_ms if in_block else self._idle_ms
        if limit_ms:
            self._idle_timer = self.connection.loop.call_later(
                limit_ms / 1000, self._idle_expired, self.connection.batches, in_block
            )

    def _idle_expired(self, batches: int, in_block: bool) -> None:
        self._idle_timer = None
        if self.connection.batches == batches and self.connection.idle:
            if in_block:
                self.connection.terminate(
                    SqlError("25P03", "terminating connection due to idle-in-transaction timeout", severity="FATAL")
                )
            else:
                self.connection.terminate(
                    SqlError("57P05", "terminating connection due to idle-session timeout", severity="FATAL")
                )
