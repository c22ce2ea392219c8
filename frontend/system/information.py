"""What the catalogue shows beyond the schema: the settings, sessions and sizes that only a running session knows.

The session implements `SystemInformation` and offers it as `Context.system`; tests use a small fake. Everything is asked for
when a relation is read, never before.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from storage.catalog import Sequence, Table


class SettingRow(NamedTuple):
    """One setting as pg_settings shows it; `setting` without its unit."""

    name: str
    setting: str
    unit: str | None
    category: str
    short_description: str
    context: str
    kind: str  # bool, integer, real, string, enum
    source: str
    minimum: str | None
    maximum: str | None
    allowed: list[str] | None
    boot_value: str | None
    reset_value: str | None


class SessionRow(NamedTuple):
    """One session as pg_stat_activity shows it. Timestamps are microseconds since 2000-01-01 UTC."""

    process_id: int
    user: str
    database: str
    application_name: str
    client_address: str | None
    client_port: int | None
    backend_start: int
    transaction_start: int | None
    query_start: int | None
    state_change: int | None
    state: str
    query: str


class PreparedStatementRow(NamedTuple):
    """One prepared statement of this session; `parameter_types` and `result_types` are type OIDs."""

    name: str
    statement: str
    prepare_time: int
    parameter_types: list[int]
    result_types: list[int] | None
    from_sql: bool


class CursorRow(NamedTuple):
    """One open cursor of this session."""

    name: str
    statement: str
    is_holdable: bool
    is_binary: bool
    is_scrollable: bool
    creation_time: int


class SystemInformation(Protocol):
    """The session's side of the catalogue."""

    def settings(self) -> Iterable[SettingRow]:
        """All settings, by name."""

    def sessions(self) -> Iterable[SessionRow]:
        """The sessions of this node."""

    def prepared_statements(self) -> Iterable[PreparedStatementRow]:
        """PREPAREd and Parse-d named statements of this session."""

    def cursors(self) -> Iterable[CursorRow]:
        """Open cursors and portals of this session."""

    def row_count(self, table: Table) -> float:
        """Rows at the last ANALYZE, -1 where there was none."""

    def relation_bytes(self, storage_id: int, index_id: int | None) -> int:
        """Approximate bytes of a table's rows (index 0), one index, or all of a storage id (None)."""

    def sequence_position(self, sequence: Sequence) -> tuple[int, bool]:
        """What the sequence relation shows: last_value, and whether nextval goes on behind it (is_called)."""

    def transaction_status(self, txid: int) -> Generator[float, None, str]:
        """committed, aborted, in progress, unknown; yields how many seconds to wait before it goes on."""

    def sequence_last_value(self, sequence: Sequence) -> int | None:
        """The last value that any session may have been given; None before the first."""
