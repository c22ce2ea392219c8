"""Roles and databases: pg_authid and its views, pg_auth_members, pg_database, pg_db_role_setting."""

from __future__ import annotations

from collections.abc import Iterator

from frontend.context import Context
from frontend.system.registry import Row, rows_of
from frontend.types.registry import type_by_oid
from storage.catalog import BOOTSTRAP_ROLE_OID, Role

DATABASE_OID = 5
TEMPLATE_OID = 1
HIDDEN_PASSWORD = "********"
TIMESTAMPTZ = 1184


def _roles(context: Context) -> Iterator[Role]:
    for item in context.catalog.objects.values():
        if isinstance(item, Role):
            yield item


def _valid_until(role: Role, context: Context) -> int | None:
    if role.valid_until is None:
        return None
    value: int = type_by_oid(TIMESTAMPTZ).input(role.valid_until, -1, context)
    return value


def _settings(role: Role) -> list[str] | None:
    return [f"{name}={value}" for name, value in role.settings.items()] or None


@rows_of("pg_catalog", "pg_authid", from_catalog=False)
def _pg_authid(context: Context) -> Iterator[Row]:
    for role in _roles(context):
        yield (
            role.oid, role.name, role.superuser, role.inherit, role.create_role, role.create_database, role.login,
            role.replication, role.bypass_rls, role.connection_limit, role.password, _valid_until(role, context),
        )  # fmt: skip


@rows_of("pg_catalog", "pg_roles", from_catalog=False)
def _pg_roles(context: Context) -> Iterator[Row]:
    for role in _roles(context):
        yield (
            role.name, role.superuser, role.inherit, role.create_role, role.create_database, role.login, role.replication,
            role.connection_limit, HIDDEN_PASSWORD, _valid_until(role, context), role.bypass_rls, _settings(role), role.oid,
        )  # fmt: skip


def _user(role: Role, password: str | None, context: Context) -> Row:
    return (
        role.name, role.oid, role.create_database, role.superuser, role.replication, role.bypass_rls, password,
        _valid_until(role, context), _settings(role),
    )  # fmt: skip


@rows_of("pg_catalog", "pg_user", from_catalog=False)
def _pg_user(context: Context) -> Iterator[Row]:
    for role in _roles(context):
        if role.login:
            yield _user(role, HIDDEN_PASSWORD, context)


@rows_of("pg_catalog", "pg_shadow", from_catalog=False)
def _pg_shadow(context: Context) -> Iterator[Row]:
    for role in _roles(context):
        if role.login:
            yield _user(role, role.password, context)


@rows_of("pg_catalog", "pg_group")
def _pg_group(context: Context) -> Iterator[Row]:
    roles = list(_roles(context))
    for role in roles:
        if not role.login:
            members = [other.oid for other in roles if any(group == role.oid for group, _ in other.member_of)]
            yield (role.name, role.oid, members)


@rows_of("pg_catalog", "pg_auth_members")
def _pg_auth_members(context: Context) -> Iterator[Row]:
    for role in _roles(context):
        for group, admin in role.member_of:
            oid = 0x80000000 + (group * 65_537 + role.oid) % 0x7FFFFFFF
            yield (oid, group, role.oid, BOOTSTRAP_ROLE_OID, admin, role.inherit, True)


@rows_of("pg_catalog", "pg_database", from_catalog=False)
def _pg_database(context: Context) -> Iterator[Row]:
    yield (
        DATABASE_OID, context.database_name, BOOTSTRAP_ROLE_OID, 6, "c", False, True, -1, 0, 1, 1663, "C", "C", None, None, None,
        None,
    )  # fmt: skip


@rows_of("pg_catalog", "pg_db_role_setting")
def _pg_db_role_setting(context: Context) -> Iterator[Row]:
    for role in _roles(context):
        settings = _settings(role)
        if settings:
            yield (0, role.oid, settings)
