"""Names of catalog objects as reg* values print and read them: regclass, regnamespace, regrole, regtype, regproc(edure), regoper…

`regclass` prints the name alone where the search path finds it, with its schema otherwise, as PostgreSQL does. Importing the
module installs the resolvers into the types registry.
"""

from __future__ import annotations

from functools import cache

from frontend.context import Context
from frontend.errors import SqlError
from frontend.functions.catalogue import (
    operator_by_oid,
    operator_named,
    operators_by_name,
    proc_by_oid,
    procs_by_name,
)
from frontend.system import facts, registry
from frontend.system.definitions import relation_text
from frontend.system.keywords import quoted
from frontend.types.identifiers import set_name_resolver
from frontend.types.registry import format_type, is_known_type, type_by_name
from storage.catalog import Role, Schema, Table, View


def split_name(text: str) -> list[str]:
    """A possibly qualified and quoted name as its parts; 42602 where it is malformed."""
    parts: list[str] = []
    place, length = 0, len(text)
    while True:
        while place < length and text[place].isspace():
            place += 1
        if place < length and text[place] == '"':
            end, part = place + 1, ""
            while True:
                close = text.find('"', end)
                if close < 0:
                    raise SqlError("42602", "invalid name syntax")
                part += text[end:close]
                if text[close + 1 : close + 2] != '"':
                    break
                part += '"'
                end = close + 2
            place = close + 1
        else:
            begin = place
            while place < length and text[place] != "." and not text[place].isspace():
                place += 1
            part = text[begin:place].lower()
        if not part:
            raise SqlError("42602", "invalid name syntax")
        parts.append(part)
        while place < length and text[place].isspace():
            place += 1
        if place == length:
            return parts
        if text[place] != ".":
            raise SqlError("42602", "invalid name syntax")
        place += 1


# ── regclass ────────────────────────────────────────────────────────────────────────────────────────────────────────


def relation_to_text(oid: int, context: Context) -> str | None:
    """The relation's name as the session would write it."""
    item = context.catalog.objects.get(oid)
    if item is not None:
        return None if isinstance(item, Schema | Role) else relation_text(context, item)
    system = registry.find_by_oid(oid)
    if system is None:
        return None
    if system.schema in context.search_path and find_relation_oid([system.name], context) == oid:
        return quoted(system.name)
    return f"{system.schema}.{quoted(system.name)}"


def find_relation_oid(parts: list[str], context: Context) -> int | None:
    """The OID of a relation by its name's parts, None where there is none."""
    catalog = context.catalog
    for schema_name in (parts[-2],) if len(parts) > 1 else context.search_path:
        system = registry.find(schema_name, parts[-1])
        if system is not None:
            return system.oid
        schema = catalog.schema(schema_name)
        found = None if schema is None else catalog.relation(schema.oid, parts[-1])
        if found is not None:
            return found.oid
    return None


def relation_from_text(text: str, context: Context) -> int:
    """The OID of a relation by name; 42P01 where there is none."""
    parts = split_name(text)
    if len(parts) > 3:
        raise SqlError("42601", f"improper relation name (too many dotted names): {text}")
    oid = find_relation_oid(parts, context)
    if oid is None:
        shown = ".".join(parts[-2:])
        raise SqlError("42P01", f'relation "{shown}" does not exist')
    return oid


# ── regnamespace, regrole, regcollation ─────────────────────────────────────────────────────────────────────────────


def schema_to_text(oid: int, context: Context) -> str | None:
    """The schema's name."""
    for name, system_oid in registry.SYSTEM_SCHEMAS.items():
        if system_oid == oid:
            return name
    item = context.catalog.objects.get(oid)
    return quoted(item.name) if isinstance(item, Schema) else None


def schema_from_text(text: str, context: Context) -> int:
    """The OID of a schema; 3F000 where there is none."""
    name = split_name(text)[-1]
    if name in registry.SYSTEM_SCHEMAS:
        return registry.SYSTEM_SCHEMAS[name]
    schema = context.catalog.schema(name)
    if schema is None:
        raise SqlError("3F000", f'schema "{name}" does not exist')
    return schema.oid


def role_to_text(oid: int, context: Context) -> str | None:
    """The role's name."""
    item = context.catalog.objects.get(oid)
    return quoted(item.name) if isinstance(item, Role) else None


def role_from_text(text: str, context: Context) -> int:
    """The OID of a role; 42704 where there is none."""
    name = split_name(text)[-1]
    role = context.catalog.role(name)
    if role is None:
        raise SqlError("42704", f'role "{name}" does not exist')
    return role.oid


def collation_to_text(oid: int, context: Context) -> str | None:
    """The collation's name."""
    for row in facts.builtin_rows("pg_collation"):
        if row[0] == oid:
            return quoted(row[1])
    return None


def collation_from_text(text: str, context: Context) -> int:
    """The OID of a collation; 42704 where there is none."""
    name = split_name(text)[-1]
    for row in facts.builtin_rows("pg_collation"):
        if row[1] == name:
            oid: int = row[0]
            return oid
    raise SqlError("42704", f'collation "{name}" for encoding "UTF8" does not exist')


# ── regtype ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def type_to_text(oid: int, context: Context) -> str | None:
    """format_type without a modifier; row types by their relation's name."""
    if is_known_type(oid):
        return format_type(oid)
    name = _system_types().get(oid)
    if name is not None:
        return quoted(name)
    for item in context.catalog.objects.values():
        if isinstance(item, Table | View) and oid in (item.type, item.array_type):
            text = relation_text(context, item)
            return text if oid == item.type else f"{text}[]"
    return None


@cache
def _system_types() -> dict[int, str]:
    return {row[0]: row[1] for row in facts.builtin_rows("pg_type")}


def type_from_text(text: str, context: Context) -> int:
    """The OID of a type by its SQL or internal name; 42704 where there is none."""
    name = text.strip()
    base = name.split("(", 1)[0].strip() if name.endswith(")") else name
    bare = base.removeprefix("pg_catalog.")
    try:
        return type_by_name(bare).oid
    except SqlError:
        pass
    is_array = bare.endswith("[]")
    parts = split_name(bare[:-2] if is_array else bare)
    oid = find_relation_oid(parts, context)
    item = None if oid is None else context.catalog.objects.get(oid)
    if isinstance(item, Table | View):
        return item.array_type if is_array else item.type
    for row in facts.builtin_rows("pg_type"):
        if row[1] == parts[-1]:
            found: int = row[0]
            return found
    raise SqlError("42704", f'type "{text}" does not exist')


# ── functions and operators ─────────────────────────────────────────────────────────────────────────────────────────


def procedure_to_text(oid: int, context: Context) -> str | None:
    """regprocedure: name(argument types)."""
    try:
        proc = proc_by_oid(oid)
    except KeyError:
        return None
    return f"{quoted(proc.name)}({','.join(format_type(item) for item in proc.argument_types)})"


def procedure_from_text(text: str, context: Context) -> int:
    """regprocedure: the one function with these argument types."""
    name, separator, rest = text.partition("(")
    if not separator or not rest.rstrip().endswith(")"):
        raise SqlError("22P02", "expected a left parenthesis")
    wanted = tuple(type_from_text(part, context) for part in rest.rstrip()[:-1].split(",") if part.strip())
    for proc in procs_by_name(split_name(name)[-1]):
        if proc.argument_types == wanted:
            return proc.oid
    raise SqlError("42883", f'function "{text}" does not exist')


def operator_to_text(oid: int, context: Context) -> str | None:
    """regoper: the operator's name, qualified where it is overloaded."""
    try:
        name = operator_by_oid(oid).name
    except KeyError:
        return None
    return name if len(operators_by_name(name)) == 1 else f"pg_catalog.{name}"


def operator_from_text(text: str, context: Context) -> int:
    """regoper: the one operator of that name."""
    found = operators_by_name(text.strip().removeprefix("pg_catalog."))
    if not found:
        raise SqlError("42883", f"operator does not exist: {text}")
    if len(found) > 1:
        raise SqlError("42725", f"more than one operator named {text}")
    return found[0].oid


def signature_to_text(oid: int, context: Context) -> str | None:
    """regoperator: name(left,right)."""
    try:
        operator = operator_by_oid(oid)
    except KeyError:
        return None
    left = format_type(operator.left) if operator.left else "NONE"
    return f"{operator.name}({left},{format_type(operator.right)})"


def signature_from_text(text: str, context: Context) -> int:
    """regoperator: the operator on exactly these types."""
    name, _, rest = text.partition("(")
    types = [part.strip() for part in rest.rstrip().removesuffix(")").split(",")]
    if len(types) != 2:
        raise SqlError("42P02", "missing argument", hint="Use NONE to denote the missing argument of a unary operator.")
    left = 0 if types[0].upper() == "NONE" else type_from_text(types[0], context)
    found = operator_named(name.strip().removeprefix("pg_catalog."), left, type_from_text(types[1], context))
    if found is None:
        raise SqlError("42883", f"operator does not exist: {text}")
    return found.oid


set_name_resolver("regclass", relation_to_text, relation_from_text)
set_name_resolver("regnamespace", schema_to_text, schema_from_text)
set_name_resolver("regrole", role_to_text, role_from_text)
set_name_resolver("regcollation", collation_to_text, collation_from_text)
set_name_resolver("regtype", type_to_text, type_from_text)
set_name_resolver("regprocedure", procedure_to_text, procedure_from_text)
set_name_resolver("regoper", operator_to_text, operator_from_text)
set_name_resolver("regoperator", signature_to_text, signature_from_text)
