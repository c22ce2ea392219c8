"""What only a running session knows: settings, activity, prepared statements, cursors, time zones, key words."""

from __future__ import annotations

import datetime
import zoneinfo
from collections.abc import Iterator

from frontend.context import Context
from frontend.system.registry import Row, rows_of
from frontend.system.roles import DATABASE_OID
from frontend.types.datetime import Interval
from storage.catalog import BOOTSTRAP_ROLE_OID

POSTGRES_EPOCH_US = 946_684_800_000_000


@rows_of("pg_catalog", "pg_settings", from_catalog=False)
def _pg_settings(context: Context) -> Iterator[Row]:
    for setting in context.system.settings():
        yield (
            setting.name, setting.setting, setting.unit, setting.category, setting.short_description, None, setting.context,
            setting.kind, setting.source, setting.minimum, setting.maximum, setting.allowed, setting.boot_value,
            setting.reset_value, None, None, False,
        )  # fmt: skip


@rows_of("pg_catalog", "pg_stat_activity", from_catalog=False)
def _pg_stat_activity(context: Context) -> Iterator[Row]:
    for session in context.system.sessions():
        role = context.catalog.role(session.user)
        waiting = session.state != "active"
        yield (
            DATABASE_OID, session.database, session.process_id, None, BOOTSTRAP_ROLE_OID if role is None else role.oid,
            session.user, session.application_name, session.client_address, None, session.client_port, session.backend_start,
            session.transaction_start, session.query_start, session.state_change, "Client" if waiting else None,
            "ClientRead" if waiting else None, session.state, None, None, None, session.query, "client backend",
        )  # fmt: skip


@rows_of("pg_catalog", "pg_prepared_statements", from_catalog=False)
def _pg_prepared_statements(context: Context) -> Iterator[Row]:
    for statement in context.system.prepared_statements():
        yield (
            statement.name,
            statement.statement,
            statement.prepare_time,
            statement.parameter_types,
            statement.result_types,
            statement.from_sql,
            0,
            0,
        )


@rows_of("pg_catalog", "pg_cursors", from_catalog=False)
def _pg_cursors(context: Context) -> Iterator[Row]:
    yield from context.system.cursors()


@rows_of("pg_catalog", "pg_timezone_names", from_catalog=False)
def _pg_timezone_names(context: Context) -> Iterator[Row]:
    now = datetime.datetime.fromtimestamp((context.transaction_timestamp + POSTGRES_EPOCH_US) / 1_000_000, datetime.UTC)
    for name in sorted(zoneinfo.available_timezones()):
        local = now.astimezone(zoneinfo.ZoneInfo(name))
        offset = local.utcoffset() or datetime.timedelta()
        microseconds = (offset.days * 86_400 + offset.seconds) * 1_000_000
        yield (name, local.tzname(), Interval(0, 0, microseconds), bool(local.dst()))
