"""A `Context` for tests of types and functions: fixed times, settings in a dictionary, an empty catalog."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from storage.catalog import Catalog

MICROSECONDS_NOW = 650_000_000_000_000  # 2020-08-06 …, any fixed moment will do


class FakeContext:
    """Implements `frontend.context.Context`; attributes may be set freely."""

    def __init__(self, **settings: Any) -> None:
        self.transaction_timestamp = MICROSECONDS_NOW
        self.statement_timestamp = MICROSECONDS_NOW
        self.random = random.Random(1)
        self.session_user = "postgres"
        self.current_user = "postgres"
        self.database_name = "postgres"
        self.backend_pid = 1
        self.transaction_id = 1000
        self.search_path: Sequence[str] = ("pg_catalog", "public")
        self.time_zone = "UTC"
        self.date_style = ("ISO", "MDY")
        self.interval_style = "postgres"
        self.extra_float_digits = 1
        self.bytea_output = "hex"
        self.settings: dict[str, str] = {}
        self.notices: list[tuple[str, str]] = []
        self.catalog = Catalog({}, 0)
        for name, value in settings.items():
            setattr(self, name, value)

    def clock_timestamp(self) -> int:
        return MICROSECONDS_NOW + 1

    def get_setting(self, name: str) -> str | None:
        return self.settings.get(name)

    def set_setting(self, name: str, value: str, is_local: bool) -> str:
        self.settings[name] = value
        return value

    def next_sequence_value(self, sequence_oid: int) -> int:
        return 1

    def current_sequence_value(self, sequence_oid: int) -> int:
        return 1

    def last_sequence_value(self) -> int:
        return 1

    def set_sequence_value(self, sequence_oid: int, value: int, is_called: bool) -> int:
        return value

    def notice(self, sqlstate: str, message: str, *, severity: str = "NOTICE", hint: str | None = None) -> None:
        self.notices.append((sqlstate, message))
