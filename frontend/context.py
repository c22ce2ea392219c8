"""What an expression may ask of the session and transaction that runs it.

Compiled plans, type input/output and functions get one `Context`, and through nothing else do they reach the outside: time
is the transaction's, randomness is the session's, settings are read by name. The session implements it; tests use a small
fake. A function that needs no context does not get one (see `functions/registry.py`), so the hot path pays nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from frontend.system.information import SystemInformation
    from storage.catalog import Catalog


class Context(Protocol):
    """The session's side of an expression's evaluation. Timestamps are microseconds since 2000-01-01 UTC."""

    @property
    def transaction_timestamp(self) -> int:
        """now(), current_timestamp: when the transaction began."""

    @property
    def statement_timestamp(self) -> int:
        """When the statement arrived."""

    def clock_timestamp(self) -> int:
        """The time right now."""

    @property
    def catalog(self) -> Catalog:
        """The catalog that this transaction sees, its own DDL included."""

    @property
    def random(self) -> random.Random:
        """The session's random source (setseed reseeds it)."""

    @property
    def session_user(self) -> str: ...

    @property
    def current_user(self) -> str: ...

    @property
    def database_name(self) -> str: ...

    @property
    def backend_pid(self) -> int: ...

    @property
    def transaction_id(self) -> int:
        """The transaction's id, assigned when first asked for."""

    @property
    def transaction_id_if_assigned(self) -> int | None:
        """The id, if the transaction has one or has written; None otherwise."""

    @property
    def search_path(self) -> Sequence[str]:
        """Existing schemas in resolution order, pg_catalog included where it is searched implicitly."""

    def get_setting(self, name: str) -> str | None:
        """The text that SHOW prints; None where there is no such setting."""

    def set_setting(self, name: str, value: str, is_local: bool) -> str:
        """SET [LOCAL]; returns the new value as SHOW prints it. Raises SqlError as SET does."""

    @property
    def time_zone(self) -> str:
        """The TimeZone setting (an IANA name or a POSIX specification)."""

    @property
    def date_style(self) -> tuple[str, str]:
        """(ISO | SQL | Postgres | German, MDY | DMY | YMD)."""

    @property
    def interval_style(self) -> str:
        """postgres | postgres_verbose | sql_standard | iso_8601."""

    @property
    def extra_float_digits(self) -> int: ...

    @property
    def bytea_output(self) -> str:
        """hex | escape."""

    def next_sequence_value(self, sequence_oid: int) -> int: ...

    def current_sequence_value(self, sequence_oid: int) -> int: ...

    def last_sequence_value(self) -> int: ...

    def set_sequence_value(self, sequence_oid: int, value: int, is_called: bool) -> int: ...

    @property
    def system(self) -> SystemInformation:
        """What only the running session can tell the system catalogue: settings, sessions, sizes."""

    def notice(
        self,
        sqlstate: str,
        message: str,
        *,
        severity: str = "NOTICE",
        detail: str | None = None,
        hint: str | None = None,
    ) -> None:
        """Queue a NoticeResponse for the client."""
