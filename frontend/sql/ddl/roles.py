"""CREATE, ALTER and DROP ROLE, USER and GROUP, and membership (GRANT role TO role)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict

import msgspec

from frontend.errors import SqlError, unsupported
from frontend.sql import syntax_commands
from frontend.sql.ddl import names
from frontend.wire.authentication import make_verifier, parse_verifier
from storage.catalog import BOOTSTRAP_ROLE_OID, Role, Schema

if TYPE_CHECKING:
    from frontend.sql.ddl.environment import DdlEnvironment, Steps
    from frontend.sql.syntax import Option

_FLAGS = {
    "superuser": "superuser",
    "createdb": "create_database",
    "createrole": "create_role",
    "inherit": "inherit",
    "login": "login",
    "replication": "replication",
    "bypassrls": "bypass_rls",
}
_RESERVED = frozenset({"public", "none", "current_role", "current_user", "session_user"})


class _Fields(TypedDict, total=False):
    superuser: bool
    create_database: bool
    create_role: bool
    inherit: bool
    login: bool
    replication: bool
    bypass_rls: bool
    connection_limit: int
    password: str | None
    valid_until: str | None


def create_role(environment: DdlEnvironment, node: syntax_commands.CreateRole) -> Steps:
    """CREATE ROLE | USER | GROUP."""
    require_superuser(environment, "create role")
    _check_name(node.name)
    if environment.draft.catalog.role(node.name) is not None:
        raise SqlError("42710", f'role "{node.name}" already exists')
    fields = _fields(environment, node.name, node.options)
    if node.kind == "user" and "login" not in fields:
        fields["login"] = True
    role = Role(oid=environment.draft.new_oid(), name=node.name, **fields)
    environment.draft.put(role)
    for option in node.options:
        members = option.value if isinstance(option.value, list) else []
        if option.name == "in role":
            for group in members:
                _add_member(environment, names.require_role(environment, group).oid, role.oid, admin=False)
        elif option.name in ("role", "admin"):
            for member in members:
                _add_member(
                    environment, role.oid, names.require_role(environment, member).oid, admin=option.name == "admin"
                )
        elif option.name == "sysid":
            environment.context.notice("00000", "SYSID can no longer be specified")
    return "CREATE ROLE"
    yield []


def _check_name(name: str) -> None:
    if name in _RESERVED:
        raise SqlError("42939", f'role name "{name}" is reserved')
    if name.startswith("pg_"):
        raise SqlError(
            "42939", f'role name "{name}" is reserved', detail='Role names starting with "pg_" are reserved.'
        )


def require_superuser(environment: DdlEnvironment, action: str) -> None:
    """42501 unless the current role is a superuser."""
    role = environment.draft.catalog.role(environment.context.current_user)
    if role is None or not role.superuser:
        raise SqlError("42501", f"permission denied to {action}")


def _fields(environment: DdlEnvironment, name: str, options: Sequence[Option]) -> _Fields:
    fields: _Fields = {}
    seen: set[str] = set()
    for option in options:
        if option.name in seen:
            raise SqlError("42601", "conflicting or redundant options", position=option.position or None)
        seen.add(option.name)
        flag = _FLAGS.get(option.name)
        if flag is not None:
            fields[flag] = option.value == "true"  # type: ignore[literal-required]
        elif option.name == "password":
            fields["password"] = _verifier(environment, option.value)
        elif option.name == "connection limit":
            limit = int(option.value) if isinstance(option.value, str) else -1
            if limit < -1:
                raise SqlError("22023", f"invalid connection limit: {limit}")
            fields["connection_limit"] = limit
        elif option.name == "valid until":
            fields["valid_until"] = option.value if isinstance(option.value, str) else None
    return fields


def _verifier(environment: DdlEnvironment, password: str | list[str] | None) -> str | None:
    """What is stored for a password: its SCRAM verifier; a verifier given as such stays as it is."""
    if password is None:
        return None
    assert isinstance(password, str)
    if not password:
        environment.context.notice("00000", "empty string is not a valid password, clearing password")
        return None
    if parse_verifier(password) is not None:
        return password
    if password.startswith("md5") and len(password) == 35:
        raise unsupported("MD5 password", hint="Give the password itself, or its SCRAM-SHA-256 verifier.")
    return str(make_verifier(password))


def alter_role(environment: DdlEnvironment, node: syntax_commands.AlterRole) -> Steps:
    """ALTER ROLE … options, and ALTER GROUP … ADD | DROP USER."""
    require_superuser(environment, "alter role")
    role = names.resolve_role(environment, node.role)
    if node.add_members is not None:
        for option in node.options:
            for member in option.value if isinstance(option.value, list) else []:
                oid = names.require_role(environment, member).oid
                if node.add_members:
                    _add_member(environment, role.oid, oid, admin=False)
                else:
                    _remove_member(environment, role.oid, oid)
        return "ALTER ROLE"
    fields = _fields(environment, role.name, node.options)
    if role.oid == BOOTSTRAP_ROLE_OID and fields.get("superuser") is False:
        raise SqlError("0A000", "permission denied: bootstrap user must be superuser")
    environment.draft.put(msgspec.structs.replace(role, **fields))
    return "ALTER ROLE"
    yield []


def alter_role_setting(environment: DdlEnvironment, node: syntax_commands.AlterRoleSetting) -> Steps:
    """ALTER ROLE … SET | RESET: what a session of the role begins with."""
    require_superuser(environment, "alter role settings")
    if node.role is None:
        raise unsupported("ALTER ROLE ALL SET")
    if node.database is not None and node.database != environment.context.database_name:
        raise SqlError("3D000", f'database "{node.database}" does not exist')
    role = names.resolve_role(environment, node.role)
    settings = dict(role.settings)
    if isinstance(node.setting, syntax_commands.Reset):
        if node.setting.name is None:
            settings.clear()
        else:
            settings.pop(node.setting.name, None)
    elif node.setting.values is None:
        settings.pop(node.setting.name, None)
    else:
        if environment.context.get_setting(node.setting.name) is None and "." not in node.setting.name:
            raise SqlError("42704", f'unrecognized configuration parameter "{node.setting.name}"')
        settings[node.setting.name] = ", ".join(_setting_text(value) for value in node.setting.values)
    environment.draft.put(msgspec.structs.replace(role, settings=settings))
    return "ALTER ROLE"
    yield []


def _setting_text(value: object) -> str:
    from frontend.sql import syntax

    if isinstance(value, syntax.Constant):
        return value.value
    if isinstance(value, syntax.Operator) and value.left is None and isinstance(value.right, syntax.Constant):
        return value.name + value.right.value
    raise unsupported("this form of a setting's value")


def drop_role(environment: DdlEnvironment, node: syntax_commands.DropRole) -> Steps:
    """DROP ROLE; 2BP01 while the role owns something or has privileges."""
    require_superuser(environment, "drop role")
    draft = environment.draft
    for spec in node.roles:
        if spec.kind != "name":
            raise SqlError("22023", "cannot use special role specifier in DROP ROLE")
        role = draft.catalog.role(spec.name)
        if role is None:
            if not node.if_exists:
                raise SqlError("42704", f'role "{spec.name}" does not exist')
            environment.context.notice("00000", f'role "{spec.name}" does not exist, skipping')
            continue
        if role.name == environment.context.current_user:
            raise SqlError("55006", "current user cannot be dropped")
        if role.name == environment.context.session_user:
            raise SqlError("55006", "session user cannot be dropped")
        if role.oid == BOOTSTRAP_ROLE_OID:
            raise SqlError("2BP01", f"cannot drop role {role.name} because it is required by the database system")
        lines = _uses(environment, role)
        if lines:
            raise SqlError(
                "2BP01",
                f'role "{role.name}" cannot be dropped because some objects depend on it',
                detail="\n".join(lines),
            )
        for item in draft.catalog.objects.values():
            if isinstance(item, Role) and any(group == role.oid for group, _ in item.member_of):
                _remove_member(environment, role.oid, item.oid)
        draft.drop(role.oid)
    return "DROP ROLE"
    yield []


def _uses(environment: DdlEnvironment, role: Role) -> list[str]:
    from frontend.sql.ddl.dependencies import describe_relation

    lines = []
    for item in environment.draft.catalog.objects.values():
        if isinstance(item, Role):
            continue
        described = describe_relation(environment, item)
        if item.owner == role.oid:
            lines.append(f"owner of {described}")
        elif item.acl and any(grantee == role.oid for grantee, _, _ in item.acl):
            lines.append(f"privileges for {described}")
    return lines


def grant_role(environment: DdlEnvironment, node: syntax_commands.GrantRole) -> Steps:
    """GRANT role TO role and REVOKE role FROM role."""
    require_superuser(environment, "grant role")
    admin = any(option.name == "admin" and option.value != "false" for option in node.options)
    for group_name in node.roles:
        group = names.require_role(environment, group_name)
        for grantee in node.grantees:
            member = names.resolve_role(environment, grantee)
            if node.grant:
                _add_member(environment, group.oid, member.oid, admin=admin)
            elif not _remove_member(environment, group.oid, member.oid, only_admin=admin):
                environment.context.notice(
                    "01000",
                    f'role "{member.name}" has not been granted membership in role "{group.name}" by role '
                    f'"{environment.context.current_user}"',
                    severity="WARNING",
                )
    return "GRANT ROLE" if node.grant else "REVOKE ROLE"
    yield []


def _add_member(environment: DdlEnvironment, group: int, member: int, *, admin: bool) -> None:
    role = environment.draft.catalog.objects[member]
    target = environment.draft.catalog.objects[group]
    assert isinstance(role, Role)
    assert isinstance(target, Role)
    if group == member or member in _all_groups(environment, group):
        raise SqlError("0LP01", f'role "{target.name}" is a member of role "{role.name}"')
    for oid, has_admin in role.member_of:
        if oid == group and (has_admin or not admin):
            environment.context.notice(
                "00000",
                f'role "{role.name}" has already been granted membership in role "{target.name}" by role '
                f'"{environment.context.current_user}"',
            )
            return
    rest = tuple(item for item in role.member_of if item[0] != group)
    environment.draft.put(msgspec.structs.replace(role, member_of=(*rest, (group, admin))))


def _all_groups(environment: DdlEnvironment, oid: int) -> set[int]:
    """Every role that this one is a member of, directly or not."""
    found: set[int] = set()
    waiting = [oid]
    while waiting:
        role = environment.draft.catalog.objects.get(waiting.pop())
        if isinstance(role, Role):
            for group, _ in role.member_of:
                if group not in found:
                    found.add(group)
                    waiting.append(group)
    return found


def _remove_member(environment: DdlEnvironment, group: int, member: int, *, only_admin: bool = False) -> bool:
    role = environment.draft.catalog.objects[member]
    assert isinstance(role, Role)
    if not any(oid == group for oid, _ in role.member_of):
        return False
    if only_admin:
        changed = tuple((oid, has_admin and oid != group) for oid, has_admin in role.member_of)
    else:
        changed = tuple(item for item in role.member_of if item[0] != group)
    environment.draft.put(msgspec.structs.replace(role, member_of=changed))
    return True


def reassign_owned(environment: DdlEnvironment, node: syntax_commands.ReassignOwned) -> Steps:
    """REASSIGN OWNED BY roles TO role."""
    require_superuser(environment, "reassign objects")
    new = names.resolve_role(environment, node.new_role)
    old = {names.resolve_role(environment, role).oid for role in node.roles}
    environment.draft.put(
        *[
            msgspec.structs.replace(item, owner=new.oid)
            for item in environment.draft.catalog.objects.values()
            if not isinstance(item, Role) and item.owner in old
        ]
    )
    return "REASSIGN OWNED"
    yield []


def drop_owned(environment: DdlEnvironment, node: syntax_commands.DropOwned) -> Steps:
    """DROP OWNED BY roles: what they own, and the privileges that they were given."""
    from frontend.sql.ddl.dependencies import Doomed, Removal
    from storage.catalog import Sequence as SequenceRecord
    from storage.catalog import Table, View

    require_superuser(environment, "drop objects")
    old = {names.resolve_role(environment, role).oid for role in node.roles}
    removal = Removal(environment, cascade=node.cascade)
    for item in environment.draft.catalog.objects.values():
        if item.owner in old and not isinstance(item, Role):
            if isinstance(item, Schema):
                removal.add(Doomed("schema", item.oid))
            elif isinstance(item, Table | View | SequenceRecord):
                removal.add(Doomed("relation", item.oid))
    removal.run()
    environment.draft.put(
        *[
            msgspec.structs.replace(item, acl=tuple(entry for entry in item.acl if entry[0] not in old))
            for item in environment.draft.catalog.objects.values()
            if item.acl and any(grantee in old for grantee, _, _ in item.acl)
        ]
    )
    return "DROP OWNED"
    yield []
