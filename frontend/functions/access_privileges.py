"""has_*_privilege and pg_has_role (PostgreSQL's manual, table 9.72): what the access lists in the catalog allow.

    question ─▶ role (superuser: yes) ─▶ object's owner (a member of it: yes) ─▶ access list, or the kind's default

Every family comes in six forms (role by name, by OID or the current one; object by name or OID), which are registered in a
loop. An object that is asked for by an unknown OID gives NULL, by an unknown name an error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from frontend.context import Context
from frontend.errors import SqlError
from frontend.functions import catalogue
from frontend.functions.registry import scalar
from frontend.system.registry import SYSTEM_SCHEMAS, find_by_oid
from frontend.types import oids
from frontend.types.registry import is_known_type, type_by_oid
from storage.catalog import BOOTSTRAP_ROLE_OID, PUBLIC_OID, Role, Schema, Sequence, Table, View

PUBLIC_ROLE = 0
DATABASE_OID = 5


class Access(NamedTuple):
    """Who owns an object, and its access list."""

    owner: int
    acl: tuple[tuple[int, int, str], ...]


def _granted_to_public(letters: str) -> Access:
    return Access(BOOTSTRAP_ROLE_OID, ((PUBLIC_ROLE, BOOTSTRAP_ROLE_OID, letters),))


# ── roles ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _role_by_name(context: Context, name: str) -> int:
    if name == "public":
        return PUBLIC_ROLE
    role = context.catalog.role(name)
    if role is None:
        raise SqlError("42704", f'role "{name}" does not exist')
    return role.oid


def roles_of(context: Context, role: int, *, inherited_only: bool) -> set[int]:
    """The role itself and all it is a member of, directly or not; with `inherited_only` those whose rights it has."""
    found: set[int] = set()
    waiting = [role]
    while waiting:
        oid = waiting.pop()
        item = context.catalog.objects.get(oid)
        if oid in found or not isinstance(item, Role):
            continue
        found.add(oid)
        if item.inherit or not inherited_only:
            waiting.extend(parent for parent, _ in item.member_of)
    return found


def _is_superuser(context: Context, role: int) -> bool:
    item = context.catalog.objects.get(role)
    return isinstance(item, Role) and item.superuser


def is_allowed(context: Context, role: int, access: Access, letter: str, grant_option: bool) -> bool:
    """Whether the role holds one privilege (or its grant option)."""
    if _is_superuser(context, role):
        return True
    roles = roles_of(context, role, inherited_only=True)
    if access.owner in roles:
        return True
    wanted = letter + "*" if grant_option else letter
    return any(wanted in letters for grantee, _, letters in access.acl if grantee == PUBLIC_ROLE or grantee in roles)


# ── objects ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _relation_access(context: Context, oid: int) -> Access | None:
    if find_by_oid(oid) is not None:
        return _granted_to_public("r")
    item = context.catalog.objects.get(oid)
    if item is None or isinstance(item, (Schema, Role)):
        return None
    return Access(item.owner, item.acl or ())


def _relation_by_name(context: Context, name: str) -> int:
    return int(type_by_oid(oids.REGCLASS).input(name, -1, context))


def _schema_access(context: Context, oid: int) -> Access | None:
    if oid in SYSTEM_SCHEMAS.values():
        return _granted_to_public("U")
    item = context.catalog.objects.get(oid)
    if not isinstance(item, Schema):
        return None
    if item.acl is None and oid == PUBLIC_OID:
        return Access(item.owner, ((PUBLIC_ROLE, item.owner, "U"),))
    return Access(item.owner, item.acl or ())


def _schema_by_name(context: Context, name: str) -> int:
    if name in SYSTEM_SCHEMAS:
        return SYSTEM_SCHEMAS[name]
    schema = context.catalog.schema(name)
    if schema is None:
        raise SqlError("3F000", f'schema "{name}" does not exist')
    return schema.oid


def _database_access(context: Context, oid: int) -> Access | None:
    return _granted_to_public("Tc") if oid == DATABASE_OID else None


def _database_by_name(context: Context, name: str) -> int:
    if name != context.database_name:
        raise SqlError("3D000", f'database "{name}" does not exist')
    return DATABASE_OID


def _function_access(context: Context, oid: int) -> Access | None:
    try:
        catalogue.proc_by_oid(oid)
    except KeyError:
        return None
    return _granted_to_public("X")


def _function_by_name(context: Context, name: str) -> int:
    return int(type_by_oid(oids.REGPROCEDURE).input(name, -1, context))


def _type_access(context: Context, oid: int) -> Access | None:
    return _granted_to_public("U") if is_known_type(oid) else None


def _type_by_name(context: Context, name: str) -> int:
    return int(type_by_oid(oids.REGTYPE).input(name, -1, context))


class Family(NamedTuple):
    """One kind of object: its privileges' letters, how to find it by name, what its access list is."""

    letters: dict[str, str]
    by_name: Callable[[Context, str], int]
    access: Callable[[Context, int], Access | None]


_TABLE_LETTERS = {
    "SELECT": "r", "INSERT": "a", "UPDATE": "w", "DELETE": "d", "TRUNCATE": "D", "REFERENCES": "x", "TRIGGER": "t",
}  # fmt: skip
_COLUMN_LETTERS = {"SELECT": "r", "INSERT": "a", "UPDATE": "w", "REFERENCES": "x"}
FAMILIES: dict[str, Family] = {
    "has_table_privilege": Family(_TABLE_LETTERS, _relation_by_name, _relation_access),
    "has_any_column_privilege": Family(_COLUMN_LETTERS, _relation_by_name, _relation_access),
    "has_sequence_privilege": Family({"USAGE": "U", "SELECT": "r", "UPDATE": "w"}, _relation_by_name, _relation_access),
    "has_schema_privilege": Family({"CREATE": "C", "USAGE": "U"}, _schema_by_name, _schema_access),
    "has_database_privilege": Family(
        {"CREATE": "C", "CONNECT": "c", "TEMPORARY": "T", "TEMP": "T"}, _database_by_name, _database_access
    ),
    "has_function_privilege": Family({"EXECUTE": "X"}, _function_by_name, _function_access),
    "has_type_privilege": Family({"USAGE": "U"}, _type_by_name, _type_access),
}


def parse_privileges(text: str, letters: dict[str, str]) -> list[tuple[str, bool]]:
    """(letter, with grant option) of each privilege in a list separated by commas; 22023 for an unknown one."""
    result = []
    for part in text.split(","):
        name = part.strip().upper()
        plain = name.removesuffix("WITH GRANT OPTION").rstrip() if name.endswith(" WITH GRANT OPTION") else name
        if plain not in letters:
            raise SqlError("22023", f'unrecognized privilege type: "{part.strip()}"')
        result.append((letters[plain], plain != name))
    return result


def _check_sequence(context: Context, oid: int) -> None:
    item = context.catalog.objects.get(oid)
    if item is not None and not isinstance(item, (Sequence, Schema, Role)):
        raise SqlError("42809", f'"{item.name}" is not a sequence')


def _register(name: str, family: Family) -> None:
    def ask(context: Context, role: int, target: str | int, privileges: str) -> bool | None:
        oid = family.by_name(context, target) if isinstance(target, str) else target
        wanted = parse_privileges(privileges, family.letters)
        if name == "has_sequence_privilege":
            _check_sequence(context, oid)
        access = family.access(context, oid)
        if access is None:
            return None
        return any(is_allowed(context, role, access, letter, option) for letter, option in wanted)

    def for_current(context: Context, target: str | int, privileges: str) -> bool | None:
        return ask(context, _role_by_name(context, context.current_user), target, privileges)

    def for_role(context: Context, role: str | int, target: str | int, privileges: str) -> bool | None:
        oid = _role_by_name(context, role) if isinstance(role, str) else role
        return ask(context, oid, target, privileges)

    scalar(f"{name}(text,text)", f"{name}(oid,text)", context=True)(for_current)
    for role_type in ("name", "oid"):
        scalar(f"{name}({role_type},text,text)", f"{name}({role_type},oid,text)", context=True)(for_role)


for _name, _family in FAMILIES.items():
    _register(_name, _family)


# ── columns ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _has_column(context: Context, relation: int, column: str | int) -> bool | None:
    """True where the column exists, None for an unknown number; 42703 for an unknown name."""
    system = find_by_oid(relation)
    item = context.catalog.objects.get(relation)
    if system is not None:
        names = [name for name, _, _ in system.columns]
    elif isinstance(item, (Table, View)):
        names = [definition.name for definition in item.columns]
    else:
        return None
    if isinstance(column, int):
        return True if 1 <= column <= len(names) else None
    if column not in names:
        shown = system.name if system is not None else getattr(item, "name", "")
        raise SqlError("42703", f'column "{column}" of relation "{shown}" does not exist')
    return True


def _column_privilege(
    context: Context, role: int, relation: str | int, column: str | int, privileges: str
) -> bool | None:
    oid = _relation_by_name(context, relation) if isinstance(relation, str) else relation
    if _has_column(context, oid, column) is None:
        return None
    wanted = parse_privileges(privileges, _COLUMN_LETTERS)
    access = _relation_access(context, oid)
    return None if access is None else any(is_allowed(context, role, access, *one) for one in wanted)


def _current_column_privilege(context: Context, relation: str | int, column: str | int, privileges: str) -> bool | None:
    return _column_privilege(context, _role_by_name(context, context.current_user), relation, column, privileges)


def _role_column_privilege(
    context: Context, role: str | int, relation: str | int, column: str | int, privileges: str
) -> bool | None:
    oid = _role_by_name(context, role) if isinstance(role, str) else role
    return _column_privilege(context, oid, relation, column, privileges)


for _relation_type in ("text", "oid"):
    for _column_type in ("text", "int2"):
        _tail = f"{_relation_type},{_column_type},text"
        scalar(f"has_column_privilege({_tail})", context=True)(_current_column_privilege)
        scalar(f"has_column_privilege(name,{_tail})", f"has_column_privilege(oid,{_tail})", context=True)(
            _role_column_privilege
        )


# ── membership ──────────────────────────────────────────────────────────────────────────────────────────────────────

_MEMBERSHIP = {"USAGE": "usage", "MEMBER": "member", "SET": "member"}


def _has_role(context: Context, member: int, role: int, privileges: str) -> bool:
    for part in privileges.split(","):
        name = part.strip().upper()
        plain = name.removesuffix(" WITH GRANT OPTION").removesuffix(" WITH ADMIN OPTION").rstrip()
        if plain not in _MEMBERSHIP:
            raise SqlError("22023", f'unrecognized privilege type: "{part.strip()}"')
        if _is_superuser(context, member):
            return True
        if plain != name:
            item = context.catalog.objects.get(member)
            if isinstance(item, Role) and (role, True) in item.member_of:
                return True
        elif role in roles_of(context, member, inherited_only=plain == "USAGE"):
            return True
    return False


def _role_argument(context: Context, role: Any) -> int:
    return _role_by_name(context, role) if isinstance(role, str) else int(role)


@scalar("pg_has_role(name,text)", "pg_has_role(oid,text)", context=True)
def pg_has_role(context: Context, role: str | int, privileges: str) -> bool:
    return _has_role(context, _role_by_name(context, context.current_user), _role_argument(context, role), privileges)


@scalar(
    "pg_has_role(name,name,text)",
    "pg_has_role(name,oid,text)",
    "pg_has_role(oid,name,text)",
    "pg_has_role(oid,oid,text)",
    context=True,
)
def pg_has_role_of(context: Context, member: str | int, role: str | int, privileges: str) -> bool:
    return _has_role(context, _role_argument(context, member), _role_argument(context, role), privileges)
