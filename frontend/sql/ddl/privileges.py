"""GRANT and REVOKE on schemas, tables, views and sequences: recorded in the objects' access lists.

An access list holds (grantee, grantor, letters); a letter followed by `*` carries the grant option, as in PostgreSQL's
aclitem text. An object without a list has its kind's defaults, which the first GRANT or REVOKE makes explicit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from frontend.errors import SqlError, unsupported
from frontend.sql.ddl import names
from storage.catalog import Relation, Schema, Sequence, Table, View

if TYPE_CHECKING:
    from frontend.sql import syntax_commands
    from frontend.sql.ddl.environment import DdlEnvironment, Steps

AclEntry = tuple[int, int, str]

LETTERS = {
    "select": "r",
    "insert": "a",
    "update": "w",
    "delete": "d",
    "truncate": "D",
    "references": "x",
    "trigger": "t",
    "usage": "U",
    "create": "C",
}
ALL_LETTERS = {"table": "arwdDxt", "sequence": "rwU", "schema": "UC"}
"""All privileges of a kind of object, in the order in which aclitem prints them."""

_ORDER = "arwdDxtXUCTcsAm"


def default_acl(kind: str, owner: int) -> tuple[AclEntry, ...]:
    """What an object without a list allows."""
    return ((owner, owner, ALL_LETTERS[kind]),)


def acl_kind(item: Relation | Schema) -> str:
    """table (also views), sequence or schema."""
    if isinstance(item, Schema):
        return "schema"
    return "sequence" if isinstance(item, Sequence) else "table"


def grant(environment: DdlEnvironment, node: syntax_commands.Grant) -> Steps:
    """GRANT … ON … TO and REVOKE … ON … FROM."""
    tag = "GRANT" if node.grant else "REVOKE"
    if node.object_kind == "database":
        for parts in node.objects:
            if parts[-1] != environment.context.database_name:
                raise SqlError("3D000", f'database "{parts[-1]}" does not exist')
        raise unsupported(f"{tag} ON DATABASE")
    if node.object_kind not in ("table", "sequence", "schema"):
        raise unsupported(f"{tag} ON {node.object_kind.upper()}")
    if any(privilege.columns for privilege in node.privileges):
        raise unsupported("column privilege")
    grantees = [
        0 if grantee.kind == "public" else names.resolve_role(environment, grantee).oid for grantee in node.grantees
    ]
    if node.grant and node.grant_option and 0 in grantees:
        raise SqlError("0LP01", "grant options can only be granted to roles")
    changed: list[Relation | Schema] = []
    for item in _objects(environment, node):
        kind = acl_kind(item)
        letters = _letters(node, kind)
        acl = item.acl if item.acl is not None else default_acl(kind, item.owner)
        for grantee in grantees:
            acl = _with(acl, grantee, item.owner, letters, node)
        changed.append(msgspec.structs.replace(item, acl=acl))
    environment.draft.put(*changed)
    return tag
    yield []


def _objects(environment: DdlEnvironment, node: syntax_commands.Grant) -> list[Relation | Schema]:
    if node.all_in_schema:
        found: list[Relation | Schema] = []
        kinds = (Sequence,) if node.object_kind == "sequence" else (Table, View)
        for parts in node.objects:
            schema = names.find_schema(environment, parts[-1])
            found.extend(
                item
                for item in environment.draft.catalog.objects.values()
                if isinstance(item, kinds) and item.schema == schema.oid
            )
        return found
    if node.object_kind == "schema":
        return [names.find_schema(environment, parts[-1]) for parts in node.objects]
    relations: list[Relation | Schema] = []
    for parts in node.objects:
        relation = names.require_relation(environment, names.relation_name(parts))
        if node.object_kind == "sequence" and not isinstance(relation, Sequence):
            raise names.not_a(relation, "sequence")
        if not isinstance(relation, Table | View | Sequence):
            raise SqlError("42809", f'"{relation.name}" is an index')
        relations.append(relation)
    return relations


def _letters(node: syntax_commands.Grant, kind: str) -> str:
    allowed = ALL_LETTERS[kind]
    if not node.privileges or any(privilege.name is None for privilege in node.privileges):
        return allowed
    chosen = set()
    for privilege in node.privileges:
        name = (privilege.name or "").lower()
        letter = LETTERS.get(name)
        if letter is None:
            raise SqlError("42601", f'unrecognized privilege type "{privilege.name}"')
        if letter not in allowed:
            what = "relation" if kind == "table" else kind
            raise SqlError("0LP01", f"invalid privilege type {name.upper()} for {what}")
        chosen.add(letter)
    return "".join(letter for letter in _ORDER if letter in chosen)


def _parse(letters: str) -> dict[str, bool]:
    """Letter → with grant option."""
    found: dict[str, bool] = {}
    for place, letter in enumerate(letters):
        if letter != "*":
            found[letter] = letters[place + 1 : place + 2] == "*"
    return found


def _with(
    acl: tuple[AclEntry, ...], grantee: int, grantor: int, letters: str, node: syntax_commands.Grant
) -> tuple[AclEntry, ...]:
    """The list after one GRANT or REVOKE for one grantee; entries keep their order, an empty one goes."""
    place = next((at for at, entry in enumerate(acl) if entry[:2] == (grantee, grantor)), None)
    held = {} if place is None else _parse(acl[place][2])
    for letter in letters:
        if node.grant:
            held[letter] = held.get(letter, False) or node.grant_option
        elif node.grant_option:
            if letter in held:
                held[letter] = False
        else:
            held.pop(letter, None)
    text = "".join(letter + ("*" if held[letter] else "") for letter in _ORDER if letter in held)
    entry = (grantee, grantor, text)
    if place is None:
        return (*acl, entry) if text else acl
    return (*acl[:place], *((entry,) if text else ()), *acl[place + 1 :])
