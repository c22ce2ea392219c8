"""The session's side of expression evaluation: what `Context` promises, from the session's own state.

Derived settings (time zone, date style, search path) are computed once per change of the settings. Time is lazy: a
statement that never asks for now() never reads the clock.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from frontend.errors import SqlError
from frontend.settings import split_identifiers
from storage.catalog import Role

if TYPE_CHECKING:
    from collections.abc import Sequence

    from frontend.session import Session
    from frontend.system.information import SystemInformation
    from storage.catalog import Catalog

POSTGRES_EPOCH_US = 946_684_800_000_000
"""2000-01-01 in microseconds since the Unix epoch."""


def postgres_now() -> int:
    """Microseconds since 2000-01-01 UTC, by the host's clock."""
    return time.time_ns() // 1000 - POSTGRES_EPOCH_US


class SessionContext:
    """See `frontend.context.Context` for the meaning of each member.

    Attributes:
        statement_us: when the statement began (µs since 2000), 0 as long as nobody has asked.
    """

    __slots__ = (
        "_bytea_output", "_date_style", "_extra_float_digits", "_interval_style", "_path", "_path_key",
        "_settings_version", "_transaction_us", "_zone", "random", "session", "session_user", "statement_us",
        "system", "user",
    )  # fmt: skip

    system: SystemInformation

    def __init__(self, session: Session, user: str) -> None:
        self.session = session
        self.session_user = user
        self.user = user
        self.random = random.Random()
        self.statement_us = 0
        self._transaction_us = 0
        self._settings_version = -1
        self._zone = "UTC"
        self._date_style = ("ISO", "MDY")
        self._interval_style = "postgres"
        self._extra_float_digits = 1
        self._bytea_output = "hex"
        self._path: tuple[str, ...] = ()
        self._path_key: object = None

    # ── time ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def begin_statement(self, in_block: bool) -> None:
        """A new statement; outside of a block also a new transaction."""
        self.statement_us = 0
        if not in_block:
            self._transaction_us = 0

    def begin_transaction(self) -> None:
        """BEGIN: now() stands still from here."""
        self.statement_us = self._transaction_us = postgres_now()

    def end_transaction(self) -> None:
        """The next statement begins a new one."""
        self._transaction_us = 0

    @property
    def statement_timestamp(self) -> int:
        if not self.statement_us:
            self.statement_us = postgres_now()
        return self.statement_us

    @property
    def transaction_timestamp(self) -> int:
        if not self._transaction_us:
            self._transaction_us = self.statement_timestamp
        return self._transaction_us

    def clock_timestamp(self) -> int:
        return postgres_now()

    # ── identity ───────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def catalog(self) -> Catalog:
        return self.session.catalog

    @property
    def current_user(self) -> str:
        return self.user

    @property
    def database_name(self) -> str:
        return self.session.database

    @property
    def backend_pid(self) -> int:
        return self.session.connection.startup.process_id

    @property
    def transaction_id(self) -> int:
        return self.session.ensure_transaction().txid

    @property
    def transaction_id_if_assigned(self) -> int | None:
        """The id, if the transaction has one or has written; None otherwise (txid_current_if_assigned)."""
        transaction = self.session.transaction
        if transaction is None or not (transaction.assigned_id or transaction.must_propose):
            return None
        return transaction.txid

    @property
    def search_path(self) -> Sequence[str]:
        catalog = self.session.catalog
        key = (
            self.session.settings.version,
            catalog.version,
            self.user,
            self.session.draft is not None and id(catalog),
        )
        if key != self._path_key:
            self._path_key = key
            self._path = self._resolve_path(catalog)
        return self._path

    def _resolve_path(self, catalog: Catalog) -> tuple[str, ...]:
        names = []
        for part in split_identifiers(self.session.settings.get("search_path") or "") or ():
            name = self.user if part == "$user" else part
            if (
                catalog.schema(name) is not None or name in ("pg_catalog", "information_schema", "sys")
            ) and name not in names:
                names.append(name)
        if "pg_catalog" not in names:
            names.insert(0, "pg_catalog")
        return tuple(names)

    @property
    def is_superuser(self) -> bool:
        """Whether the current role is a superuser."""
        role = self.session.catalog.role(self.user)
        return isinstance(role, Role) and role.superuser

    # ── settings ───────────────────────────────────────────────────────────────────────────────────────────────────

    def refresh(self) -> None:
        """Re-derive what output and input functions read, if the settings have changed."""
        settings = self.session.settings
        if settings.version == self._settings_version:
            return
        self._settings_version = settings.version
        self._zone = settings.get("timezone") or "UTC"
        style, _, order = (settings.get("datestyle") or "ISO, MDY").partition(", ")
        self._date_style = (style, order)
        self._interval_style = settings.get("intervalstyle") or "postgres"
        self._extra_float_digits = int(settings.get("extra_float_digits") or 1)
        self._bytea_output = settings.get("bytea_output") or "hex"

    @property
    def time_zone(self) -> str:
        if self.session.settings.version != self._settings_version:
            self.refresh()
        return self._zone

    @property
    def date_style(self) -> tuple[str, str]:
        self.refresh()
        return self._date_style

    @property
    def interval_style(self) -> str:
        self.refresh()
        return self._interval_style

    @property
    def extra_float_digits(self) -> int:
        self.refresh()
        return self._extra_float_digits

    @property
    def bytea_output(self) -> str:
        self.refresh()
        return self._bytea_output

    def get_setting(self, name: str) -> str | None:
        return self.session.settings.get(name)

    def set_setting(self, name: str, value: str, is_local: bool) -> str:
        return self.session.set_parameter(name, value, local=is_local)

    # ── sequences ──────────────────────────────────────────────────────────────────────────────────────────────────

    def next_sequence_value(self, sequence_oid: int) -> int:
        self._refuse_read_only("nextval()")
        return self.session.sequences.next_value(sequence_oid, self.catalog)

    def current_sequence_value(self, sequence_oid: int) -> int:
        return self.session.sequences.current_value(sequence_oid, self.catalog)

    def last_sequence_value(self) -> int:
        return self.session.sequences.last_value(self.catalog)

    def set_sequence_value(self, sequence_oid: int, value: int, is_called: bool) -> int:
        self._refuse_read_only("setval()")
        return self.session.sequences.set_value(sequence_oid, value, is_called, self.catalog)

    def _refuse_read_only(self, what: str) -> None:
        transaction = self.session.transaction
        if transaction is not None and transaction.read_only:
            raise SqlError("25006", f"cannot execute {what} in a read-only transaction")

    # ── messages ───────────────────────────────────────────────────────────────────────────────────────────────────

    def notice(
        self,
        sqlstate: str,
        message: str,
        *,
        severity: str = "NOTICE",
        detail: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.session.send_notice(SqlError(sqlstate, message, detail=detail, hint=hint, severity=severity))
