"""Looking up what a DDL statement names, and inventing the names that it leaves out.

The messages and SQLSTATEs are PostgreSQL's. System schemas are found by their names but never written to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from frontend.errors import SqlError
from frontend.system import registry
from storage.catalog import Column, Constraint, Index, Relation, Role, Schema, Sequence, Table, View

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from frontend.sql import syntax, syntax_commands
    from frontend.sql.ddl.environment import DdlEnvironment

NAME_BYTES_MAX = 63

KIND_NAMES: dict[type[Relation], str] = {Table: "table", View: "view", Index: "index", Sequence: "sequence"}
_ARTICLES = {"table": "a table", "view": "a view", "index": "an index", "sequence": "a sequence"}


def kind_name(item: Relation) -> str:
    """The object's kind as messages call it."""
    return KIND_NAMES[type(item)]


def written(name: syntax.RelationName) -> str:
    """The name as the user wrote it, for messages."""
    return name.name if name.schema is None else f"{name.schema}.{name.name}"


def relation_name(parts: list[str]) -> syntax.RelationName:
    """A dotted name of one to three parts as a relation's."""
    from frontend.sql import syntax

    if len(parts) > 3:
        raise SqlError("42601", f"improper relation name (too many dotted names): {'.'.join(parts)}")
    schema = parts[-2] if len(parts) > 1 else None
    return syntax.RelationName(name=parts[-1], schema=schema, catalog=parts[0] if len(parts) > 2 else None)


# ── schemas ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def find_schema(environment: DdlEnvironment, name: str) -> Schema:
    """The user-visible schema; 3F000 where there is none, 42501 for a system schema."""
    found = environment.draft.catalog.schema(name)
    if found is None:
        if name in registry.SYSTEM_SCHEMAS:
            raise SqlError("42501", f"permission denied for schema {name}")
        raise SqlError("3F000", f'schema "{name}" does not exist')
    return found


def creation_schema(environment: DdlEnvironment, name: syntax.RelationName) -> Schema:
    """Where CREATE puts a new relation: the schema named, or the first of the search path that can be written to."""
    check_database(environment, name)
    if name.schema is not None:
        if name.schema in registry.SYSTEM_SCHEMAS:
            raise SqlError(
                "42501",
                f'permission denied to create "{written(name)}"',
                detail="System catalog modifications are currently disallowed.",
            )
        if name.schema.startswith("pg_temp"):
            raise SqlError("0A000", "temporary tables are not supported")
        return find_schema(environment, name.schema)
    for candidate in environment.context.search_path:
        found = environment.draft.catalog.schema(candidate)
        if found is not None:
            return found
    raise SqlError("3F000", "no schema has been selected to create in")


def check_database(environment: DdlEnvironment, name: syntax.RelationName) -> None:
    """0A000 for a name in another database."""
    if name.catalog is not None and name.catalog != environment.context.database_name:
        text = f"{name.catalog}.{written(name)}"
        raise SqlError("0A000", f'cross-database references are not implemented: "{text}"')


# ── relations ───────────────────────────────────────────────────────────────────────────────────────────────────────


def find_relation(environment: DdlEnvironment, name: syntax.RelationName) -> Relation | None:
    """The user relation of this name, or None; 42501 where the name is of a system relation."""
    check_database(environment, name)
    catalog = environment.draft.catalog
    if name.schema is not None:
        if registry.find(name.schema, name.name) is not None:
            raise SqlError("42501", f'permission denied: "{name.name}" is a system catalog')
        schema = catalog.schema(name.schema)
        return None if schema is None else catalog.relation(schema.oid, name.name)
    for candidate in environment.context.search_path:
        schema = catalog.schema(candidate)
        found = None if schema is None else catalog.relation(schema.oid, name.name)
        if found is not None:
            return found
        if registry.find(candidate, name.name) is not None:
            raise SqlError("42501", f'permission denied: "{name.name}" is a system catalog')
    return None


def missing_relation(name: syntax.RelationName) -> SqlError:
    """42P01; like PostgreSQL's utility statements, without a position."""
    return SqlError("42P01", f'relation "{written(name)}" does not exist')


def require_relation(environment: DdlEnvironment, name: syntax.RelationName) -> Relation:
    """The relation; 3F000 for an unknown schema, 42P01 for an unknown relation."""
    found = find_relation(environment, name)
    if found is None:
        if name.schema is not None and environment.draft.catalog.schema(name.schema) is None:
            raise SqlError("3F000", f'schema "{name.schema}" does not exist')
        raise missing_relation(name)
    return found


def require_table(environment: DdlEnvironment, name: syntax.RelationName) -> Table:
    """The table; 42809 where the name is another kind of relation."""
    found = require_relation(environment, name)
    if not isinstance(found, Table):
        raise not_a(found, "table")
    return found


def not_a(item: Relation, kind: str) -> SqlError:
    """42809: «"x" is not a table»."""
    return SqlError("42809", f'"{item.name}" is not {_ARTICLES[kind]}')


def duplicate_relation(name: str) -> SqlError:
    """42P07."""
    return SqlError("42P07", f'relation "{name}" already exists')


def check_free(environment: DdlEnvironment, schema: Schema, name: str) -> None:
    """42P07 where the schema has a relation of this name (row types are in pg_type, whose names tables share)."""
    if environment.draft.catalog.relation(schema.oid, name) is not None:
        raise duplicate_relation(name)


def schema_of(environment: DdlEnvironment, item: Relation) -> Schema:
    """The schema that a relation is in."""
    found = environment.draft.catalog.objects[item.schema]
    assert isinstance(found, Schema)
    return found


def qualified(environment: DdlEnvironment, item: Relation) -> str:
    """The relation as SQL text with its schema."""
    return f"{quote_identifier(schema_of(environment, item).name)}.{quote_identifier(item.name)}"


def find_column(table: Table | View, name: str) -> Column | None:
    """The live column of this name."""
    for column in table.columns:
        if column.name == name and not column.dropped:
            return column
    return None


def require_column(table: Table | View, name: str) -> Column:
    """The column; 42703 where there is none."""
    found = find_column(table, name)
    if found is None:
        raise SqlError("42703", f'column "{name}" of relation "{table.name}" does not exist')
    return found


def require_constraint(table: Table, name: str) -> Constraint:
    """The constraint; 42704 where there is none."""
    for constraint in table.constraints:
        if constraint.name == name:
            return constraint
    raise SqlError("42704", f'constraint "{name}" of relation "{table.name}" does not exist')


# ── roles ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def require_role(environment: DdlEnvironment, name: str) -> Role:
    """The role; 42704 where there is none."""
    found = environment.draft.catalog.role(name)
    if found is None:
        raise SqlError("42704", f'role "{name}" does not exist')
    return found


def resolve_role(environment: DdlEnvironment, node: syntax_commands.RoleName) -> Role:
    """The role of a specification; PUBLIC is refused here (42704)."""
    match node.kind:
        case "current_role" | "current_user":
            return require_role(environment, environment.context.current_user)
        case "session_user":
            return require_role(environment, environment.context.session_user)
        case "public":
            raise SqlError("42704", 'role "public" does not exist')
    return require_role(environment, node.name)


def current_role_oid(environment: DdlEnvironment) -> int:
    """The owner of what the session creates."""
    return require_role(environment, environment.context.current_user).oid


# ── invented names ──────────────────────────────────────────────────────────────────────────────────────────────────


def clipped(name: str, limit: int) -> str:
    """At most `limit` bytes of a name, cut between characters."""
    data = name.encode()
    return name if len(data) <= limit else data[:limit].decode(errors="ignore")


def object_name(first: str, second: str | None, label: str) -> str:
    """`first_second_label`, shortened as PostgreSQL's makeObjectName does: the longer of the two parts gives way."""
    available = NAME_BYTES_MAX - len(label.encode()) - 1 - (1 if second is not None else 0)
    first_length = len(first.encode())
    second_length = len(second.encode()) if second is not None else 0
    while first_length + second_length > available:
        if first_length > second_length:
            first_length -= 1
        else:
            second_length -= 1
    parts = [clipped(first, first_length)]
    if second is not None:
        parts.append(clipped(second, second_length))
    return "_".join([*parts, label])


def choose_name(first: str, second: str | None, label: str, is_taken: Callable[[str], bool]) -> str:
    """The first free one of label, label1, label2 …"""
    suffix = 0
    while True:
        candidate = object_name(first, second, label if not suffix else f"{label}{suffix}")
        if not is_taken(candidate):
            return candidate
        suffix += 1


def relation_is_taken(
    environment: DdlEnvironment, schema_oid: int, reserved: Collection[str] = ()
) -> Callable[[str], bool]:
    """Whether a relation name is taken in a schema, or among names that this statement is about to use."""
    catalog = environment.draft.catalog

    def is_taken(name: str) -> bool:
        return name in reserved or catalog.relation(schema_oid, name) is not None

    return is_taken


def index_name_addition(columns: Iterable[str]) -> str:
    """The middle part of an index's invented name: its columns."""
    text = ""
    for column in columns:
        if text:
            text += "_"
        text += column
        if len(text.encode()) >= NAME_BYTES_MAX + 1:
            break
    return clipped(text, NAME_BYTES_MAX)


# ── text ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def quote_identifier(name: str) -> str:
    """The identifier as SQL needs it: quoted where it is not a plain lower-case word or is a reserved one."""
    from frontend.system.keywords import quoted

    return quoted(name)
