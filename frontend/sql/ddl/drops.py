"""DROP TABLE, VIEW, INDEX, SEQUENCE, SCHEMA; other kinds of object exist nowhere, so they are never found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frontend.errors import SqlError, unsupported
from frontend.sql.binder.types import Types
from frontend.sql.ddl import names
from frontend.sql.ddl.dependencies import Doomed, Removal
from frontend.sql.ddl.sequence_definitions import is_identity
from frontend.system import registry
from storage.catalog import Index, Relation, Sequence, Table, View

if TYPE_CHECKING:
    from frontend.sql import syntax_commands
    from frontend.sql.ddl.environment import DdlEnvironment, Steps
    from frontend.sql.syntax import TypeName

_KINDS: dict[str, type[Relation]] = {"table": Table, "view": View, "index": Index, "sequence": Sequence}

# Kinds that PostgreSQL has and Boreal cannot make: DROP finds none of that name (SQLSTATE 42704, or 42P01 for relations).
_NEVER_EXISTING = {
    "type": "type",
    "domain": "type",
    "extension": "extension",
    "materialized view": "materialized view",
    "foreign table": "foreign table",
    "collation": "collation",
    "publication": "publication",
    "subscription": "subscription",
    "statistics": "statistics object",
    "foreign data wrapper": "foreign-data wrapper",
    "server": "server",
    "event trigger": "event trigger",
    "language": "language",
    "access method": "access method",
}


def drop(environment: DdlEnvironment, node: syntax_commands.Drop) -> Steps:
    """DROP kind names."""
    tag = f"DROP {node.kind.upper()}"
    if node.kind == "schema":
        _drop_schemas(environment, node)
        return tag
    if node.kind in _KINDS:
        _drop_relations(environment, node)
        return tag
    if node.functions:
        for function in node.functions:
            name = ".".join(function.names)
            if function.arguments is None:
                if not node.if_exists:
                    raise SqlError("42883", f'could not find a {node.kind} named "{name}"')
                environment.context.notice("00000", f"{node.kind} {name}() does not exist, skipping")
                continue
            types = ",".join(".".join(item.names) + "[]" * len(item.dimensions) for item in function.arguments)
            if not node.if_exists:
                shown = ", ".join(_type_text(environment, item) for item in function.arguments)
                raise SqlError("42883", f"{node.kind} {name}({shown}) does not exist")
            environment.context.notice("00000", f"{node.kind} {name}({types}) does not exist, skipping")
        return tag
    if node.kind in ("trigger", "rule", "policy"):
        _drop_table_part(environment, node)
        return tag
    described = _NEVER_EXISTING.get(node.kind)
    if described is None:
        raise unsupported(tag)
    for parts in node.objects:
        if not node.if_exists:
            code = "42P01" if "view" in described or "table" in described else "42704"
            raise SqlError(code, f'{described} "{".".join(parts)}" does not exist')
        environment.context.notice("00000", f'{described} "{".".join(parts)}" does not exist, skipping')
    return tag
    yield []


def _type_text(environment: DdlEnvironment, node: TypeName) -> str:
    types = Types(environment.draft.catalog)
    return types.name(types.resolve(node, environment.context.search_path)[0])


def _drop_table_part(environment: DdlEnvironment, node: syntax_commands.Drop) -> None:
    for parts in node.objects:
        table = names.find_relation(environment, names.relation_name(parts[:-1]))
        if table is None:
            message = f'relation "{".".join(parts[:-1])}" does not exist'
            code = "42P01"
        else:
            message = f'{node.kind} "{parts[-1]}" for relation "{table.name}" does not exist'
            if node.kind == "trigger":
                message = f'trigger "{parts[-1]}" for table "{table.name}" does not exist'
            code = "42704"
        if not node.if_exists:
            raise SqlError(code, message)
        environment.context.notice("00000", f"{message}, skipping")


def _drop_schemas(environment: DdlEnvironment, node: syntax_commands.Drop) -> None:
    removal = Removal(environment, cascade=node.cascade)
    for parts in node.objects:
        name = parts[-1]
        if name in registry.SYSTEM_SCHEMAS:
            raise SqlError("2BP01", f"cannot drop schema {name} because it is required by the database system")
        schema = environment.draft.catalog.schema(name)
        if schema is None:
            if not node.if_exists:
                raise SqlError("3F000", f'schema "{name}" does not exist')
            environment.context.notice("00000", f'schema "{name}" does not exist, skipping')
            continue
        removal.add(Doomed("schema", schema.oid))
    removal.run()


def _drop_relations(environment: DdlEnvironment, node: syntax_commands.Drop) -> None:
    kind = _KINDS[node.kind]
    removal = Removal(environment, cascade=node.cascade)
    for parts in node.objects:
        name = names.relation_name(parts)
        missing_schema = name.schema is not None and (
            environment.draft.catalog.schema(name.schema) is None and name.schema not in registry.SYSTEM_SCHEMAS
        )
        found = None if missing_schema else names.find_relation(environment, name)
        if found is None:
            _missing(environment, node, name.schema if missing_schema else None, parts)
            continue
        if not isinstance(found, kind):
            actual = names.kind_name(found)
            raise SqlError(
                "42809",
                str(names.not_a(found, node.kind)),
                hint=f"Use DROP {actual.upper()} to remove {'an' if actual == 'index' else 'a'} {actual}.",
            )
        _check_droppable(environment, found)
        removal.add(Doomed("relation", found.oid))
    removal.run()


def _missing(
    environment: DdlEnvironment, node: syntax_commands.Drop, missing_schema: str | None, parts: list[str]
) -> None:
    if missing_schema is not None:
        if not node.if_exists:
            raise SqlError("3F000", f'schema "{missing_schema}" does not exist')
        environment.context.notice("00000", f'schema "{missing_schema}" does not exist, skipping')
        return
    if not node.if_exists:
        code = "42704" if node.kind == "index" else "42P01"
        raise SqlError(code, f'{node.kind} "{".".join(parts)}" does not exist')
    environment.context.notice("00000", f'{node.kind} "{parts[-1]}" does not exist, skipping')


def _check_droppable(environment: DdlEnvironment, found: Relation) -> None:
    """2BP01 for an index that a constraint owns and for the sequence of an identity column."""
    catalog = environment.draft.catalog
    if isinstance(found, Index) and found.constraint:
        table = catalog.table(found.table)
        raise SqlError(
            "2BP01",
            f"cannot drop index {found.name} because constraint {found.name} on table {table.name} requires it",
            hint=f"You can drop constraint {found.name} on table {table.name} instead.",
        )
    if isinstance(found, Sequence) and is_identity(environment, found):
        table = catalog.table(found.owned_by_table)
        column = table.columns[found.owned_by_column - 1].name
        raise SqlError(
            "2BP01",
            f"cannot drop sequence {found.name} because column {column} of table {table.name} requires it",
            hint=f"You can drop column {column} of table {table.name} instead.",
        )
