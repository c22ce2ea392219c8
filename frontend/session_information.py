"""What the system catalogue asks of a running session: its settings, statements and cursors, the node's sessions, sizes."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

from frontend.settings import definitions, postgresql_fact
from frontend.system.information import CursorRow, PreparedStatementRow, SessionRow, SettingRow
from storage import keys

if TYPE_CHECKING:
    from frontend.session import Session
    from storage.catalog import Sequence, Table

STATUS_WAIT_SECONDS = 0.002
STATUS_SECONDS_MAX = 30.0
"""Longer than a strong read, a commit and the search may take."""


class SessionInformation:
    """See `frontend.system.information.SystemInformation`."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def transaction_status(self, txid: int) -> Generator[float, None, str]:
        """What became of a transaction. One that is open on this node is in progress; any other is decided by the question,
        also one whose COMMIT waits here."""
        gateway = self._session.gateway
        if txid <= 0:
            return "unknown"  # nobody's
        for session in gateway.sessions:
            transaction = session.transaction
            if transaction is not None and transaction.assigned_id == txid and not transaction.proposed:
                return "in progress"
        answers: list[str] = []
        gateway.journal.resolve(txid, answers.append)
        waited = 0.0
        while not answers:
            if waited > STATUS_SECONDS_MAX:
                return "unknown"
            yield STATUS_WAIT_SECONDS
            waited += STATUS_WAIT_SECONDS
        return answers[0]

    def settings(self) -> Iterator[SettingRow]:
        """All settings, by name."""
        settings = self._session.settings
        table = definitions()
        for lowered in sorted(table):
            definition = table[lowered]
            fact = postgresql_fact(lowered)
            value = settings.get(lowered) or ""
            yield SettingRow(
                definition.name,
                settings.plain_amount(lowered) if definition.unit else value,
                definition.unit or (fact["unit"] if fact else None),
                fact["category"] if fact else "Customized Options",
                definition.effect,
                (fact["context"] if fact else "user") if definition.settable else "internal",
                fact["vartype"] if fact else "string",
                "default" if value == definition.default else "session",
                fact["min_val"] if fact else None,
                fact["max_val"] if fact else None,
                fact["enumvals"] if fact else None,
                definition.default,
                definition.default,
            )

    def sessions(self) -> Iterator[SessionRow]:
        """The sessions of this node."""
        for session in self._session.gateway.sessions:
            startup = session.connection.startup
            busy = session is self._session or session.tasks.running
            state = (
                "active"
                if busy
                else {"I": "idle", "T": "idle in transaction"}.get(
                    session.transaction_status, "idle in transaction (aborted)"
                )
            )
            yield SessionRow(
                startup.process_id,
                session.context.session_user,
                session.database,
                session.settings.get("application_name") or "",
                startup.client_address,
                startup.client_port,
                session.started_us,
                session.context.transaction_timestamp if session.in_block else None,
                session.state_changed_us,
                session.state_changed_us,
                state,
                session.current_sql,
            )

    def prepared_statements(self) -> Iterator[PreparedStatementRow]:
        """Named prepared statements of this session."""
        for statement in self._session.prepared.values():
            if statement.name:
                planned = statement.planned
                yield PreparedStatementRow(
                    statement.name,
                    statement.sql,
                    statement.prepared_us,
                    list(statement.parameters),
                    [column.type for column in planned.columns] if planned is not None else None,
                    statement.from_sql,
                )

    def cursors(self) -> Iterator[CursorRow]:
        """Open cursors and portals of this session."""
        for portal in self._session.portals.values():
            yield CursorRow(
                portal.name,
                portal.sql or (portal.prepared.sql if portal.prepared is not None else ""),
                portal.hold,
                1 in portal.formats,
                portal.scroll,
                portal.created_us,
            )

    def row_count(self, table: Table) -> float:
        """Rows at the last ANALYZE, -1 where there was none."""
        counted = self._session.gateway.statistics.analyzed_rows(table.oid)
        return -1.0 if counted is None else float(counted)

    def relation_bytes(self, storage_id: int, index_id: int | None) -> int:
        """Approximate bytes of a table's rows, one index, or all of a storage id, as RocksDB estimates them."""
        low = keys.prefix(storage_id, index_id or 0)
        high = keys.prefix(storage_id + 1, 0) if index_id is None else keys.successor(low)
        return self._session.gateway.view.approximate_bytes(low, high)

    def sequence_position(self, sequence: Sequence) -> tuple[int, bool]:
        """last_value and is_called, as this node knows them."""
        return self._session.gateway.sequences.position(sequence)

    def sequence_last_value(self, sequence: Sequence) -> int | None:
        """The last value that any session may have been given; None before the first."""
        return self._session.gateway.sequences.last_value(sequence)
