"""ALTER … RENAME TO, RENAME COLUMN, RENAME CONSTRAINT, SET SCHEMA, and OWNER TO of what is no relation.

Stored expressions and view queries are text, so a rename edits the texts that contain the old name:

- expressions of the table itself (checks, generation expressions, index expressions and predicates) name its columns plainly;
- defaults name sequences in regclass constants;
- views name relations with their schema in FROM; the renamed relation gets its old name as alias there, and a table one of
  whose columns was renamed gets a column alias list, which is how PostgreSQL prints such views, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from frontend.errors import SqlError, unsupported
from frontend.sql.ddl import names
from frontend.sql.ddl.roles import require_superuser
from frontend.sql.ddl.sequence_definitions import regclass_literal, renamed_in
from frontend.sql.ddl.stored_text import (
    expression_with_column_renamed,
    view_following_columns,
    view_with_relation_renamed,
)
from frontend.system import registry
from storage.catalog import CatalogObject, Column, Index, Relation, Role, Schema, Sequence, Table, View

if TYPE_CHECKING:
    from frontend.sql import syntax_commands
    from frontend.sql.ddl.environment import DdlEnvironment, Steps
    from frontend.sql.syntax import RelationName

_KINDS: dict[str, type[Relation]] = {"view": View, "index": Index, "sequence": Sequence}


def rename(environment: DdlEnvironment, node: syntax_commands.Rename) -> Steps:
    """ALTER … RENAME."""
    match node.kind:
        case "column":
            return _rename_column(environment, node)
        case "constraint":
            return _rename_constraint(environment, node)
        case "schema":
            _rename_schema(environment, node)
            return "ALTER SCHEMA"
        case "role" | "user" | "group":
            _rename_role(environment, node)
            return "ALTER ROLE"
        case "table" | "view" | "index" | "sequence":
            return _rename_relation(environment, node)
    raise unsupported(f"ALTER {node.kind.upper()} RENAME")
    yield []


def _find(environment: DdlEnvironment, name: RelationName | None, if_exists: bool) -> Relation | None:
    assert name is not None
    found = names.find_relation(environment, name)
    if found is None:
        if not if_exists:
            raise names.missing_relation(name)
        environment.context.notice("00000", f'relation "{name.name}" does not exist, skipping')
    return found


# ── relations ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _rename_relation(environment: DdlEnvironment, node: syntax_commands.Rename) -> str:
    tag = f"ALTER {node.kind.upper()}"
    found = _find(environment, node.relation, node.if_exists)
    if found is None:
        return tag
    wanted = _KINDS.get(node.kind)
    if wanted is not None and not isinstance(found, wanted):
        raise names.not_a(found, node.kind)
    if environment.draft.catalog.relation(found.schema, node.new_name) is not None:
        raise names.duplicate_relation(node.new_name)
    _move(environment, found, msgspec.structs.replace(found, name=node.new_name))
    return tag


def _move(environment: DdlEnvironment, before: Relation, after: Relation) -> None:
    """Give a relation another name or schema, and follow it in every stored text."""
    draft = environment.draft
    changes: dict[int, CatalogObject] = {after.oid: after}
    old_schema = names.schema_of(environment, before).name
    new_schema = draft.catalog.objects[after.schema].name
    if isinstance(before, Table | View):
        for view in draft.catalog.objects.values():
            if isinstance(view, View) and before.oid in view.depends_on:
                text = view_with_relation_renamed(
                    view.query, (old_schema, before.name), (new_schema, after.name), alias=before.name
                )
                changes[view.oid] = msgspec.structs.replace(view, query=text)
    if isinstance(before, Sequence):
        old_text = regclass_literal(environment, before)
        quoted = f"{names.quote_identifier(new_schema)}.{names.quote_identifier(after.name)}".replace("'", "''")
        new_text = f"'{quoted}'::regclass"
        for table in draft.catalog.objects.values():
            if isinstance(table, Table):
                columns = tuple(_following(column, old_text, new_text) for column in table.columns)
                if columns != table.columns:
                    changes[table.oid] = msgspec.structs.replace(table, columns=columns)
            elif isinstance(table, View) and old_text in table.query:
                changes[table.oid] = msgspec.structs.replace(table, query=renamed_in(table.query, old_text, new_text))
    if isinstance(before, Index) and before.constraint:
        table = draft.catalog.table(before.table)
        changes[table.oid] = _with_constraint_name(table, before.constraint, after.name)
    draft.apply(changes)


def _following(column: Column, before: str, after: str) -> Column:
    if column.default is None or before not in column.default:
        return column
    return msgspec.structs.replace(column, default=renamed_in(column.default, before, after))


# ── columns and constraints ─────────────────────────────────────────────────────────────────────────────────────────


def _rename_column(environment: DdlEnvironment, node: syntax_commands.Rename) -> str:
    tag = f"ALTER {node.relation_kind.upper()}"
    found = _find(environment, node.relation, node.if_exists)
    if found is None:
        return tag
    if not isinstance(found, Table | View):
        raise SqlError(
            "42809",
            f'cannot rename columns of relation "{found.name}"',
            detail=f"This operation is not supported for {names.kind_name(found)}{'es' if isinstance(found, Index) else 's'}.",
        )
    old = node.object or ""
    column = names.find_column(found, old)
    if column is None:
        raise SqlError("42703", f'column "{old}" does not exist')
    if names.find_column(found, node.new_name) is not None:
        raise SqlError("42701", f'column "{node.new_name}" of relation "{found.name}" already exists')
    columns = list(found.columns)
    columns[column.number - 1] = msgspec.structs.replace(column, name=node.new_name)
    draft = environment.draft
    changes: dict[int, CatalogObject] = {}
    if isinstance(found, Table):
        changes.update(_renamed_texts(environment, found, columns, old, node.new_name))
    else:
        changes[found.oid] = msgspec.structs.replace(found, columns=tuple(columns))
    draft.apply(changes)
    views_follow(environment, found, tuple(columns))
    return tag


def views_follow(environment: DdlEnvironment, before: Table | View, columns: tuple[Column, ...]) -> None:
    """Keep the views that read a relation right when its columns become `columns`."""
    draft = environment.draft
    name = (names.schema_of(environment, before).name, before.name)
    live_before = [(item.number, item.name) for item in before.columns if not item.dropped]
    live_after = [(item.number, item.name) for item in columns if not item.dropped]
    for view in list(draft.catalog.objects.values()):
        if isinstance(view, View) and before.oid in view.depends_on:
            text = view_following_columns(view.query, name, live_before, live_after)
            if text != view.query:
                draft.put(msgspec.structs.replace(view, query=text))


def _renamed_texts(
    environment: DdlEnvironment, table: Table, columns: list[Column], old: str, new: str
) -> dict[int, CatalogObject]:
    """The table and its indexes with the column renamed in all their expressions."""
    changes: dict[int, CatalogObject] = {}
    for place, column in enumerate(columns):
        if column.generated and column.default is not None:
            text = expression_with_column_renamed(column.default, old, new)
            columns[place] = msgspec.structs.replace(column, default=text)
    constraints = tuple(
        constraint
        if constraint.expression is None
        else msgspec.structs.replace(
            constraint, expression=expression_with_column_renamed(constraint.expression, old, new)
        )
        for constraint in table.constraints
    )
    changes[table.oid] = msgspec.structs.replace(table, columns=tuple(columns), constraints=constraints)
    for index in environment.draft.catalog.indexes_of(table):
        key = tuple(
            part
            if part.expression is None
            else msgspec.structs.replace(part, expression=expression_with_column_renamed(part.expression, old, new))
            for part in index.key
        )
        predicate = index.predicate
        if predicate is not None:
            predicate = expression_with_column_renamed(predicate, old, new)
        changes[index.oid] = msgspec.structs.replace(index, key=key, predicate=predicate)
    return changes


def _rename_constraint(environment: DdlEnvironment, node: syntax_commands.Rename) -> str:
    found = _find(environment, node.relation, node.if_exists)
    if found is None:
        return "ALTER TABLE"
    if not isinstance(found, Table):
        raise names.not_a(found, "table")
    old = node.object or ""
    constraint = next((item for item in found.constraints if item.name == old), None)
    if constraint is None:
        raise SqlError("42704", f'constraint "{old}" for table "{found.name}" does not exist')
    if any(item.name == node.new_name for item in found.constraints):
        raise SqlError("42710", f'constraint "{node.new_name}" for relation "{found.name}" already exists')
    changes: dict[int, CatalogObject] = {found.oid: _with_constraint_name(found, constraint.oid, node.new_name)}
    if constraint.kind in "pu":
        if environment.draft.catalog.relation(found.schema, node.new_name) is not None:
            raise names.duplicate_relation(node.new_name)
        index = environment.draft.catalog.index(constraint.index)
        changes[index.oid] = msgspec.structs.replace(index, name=node.new_name)
    environment.draft.apply(changes)
    return "ALTER TABLE"


def _with_constraint_name(table: Table, oid: int, name: str) -> Table:
    renamed = [
        msgspec.structs.replace(constraint, name=name) if constraint.oid == oid else constraint
        for constraint in table.constraints
    ]
    return msgspec.structs.replace(table, constraints=tuple(sorted(renamed, key=lambda item: item.name)))


# ── schemas, roles ──────────────────────────────────────────────────────────────────────────────────────────────────


def _rename_schema(environment: DdlEnvironment, node: syntax_commands.Rename) -> None:
    draft = environment.draft
    schema = names.find_schema(environment, node.names[-1])
    if draft.catalog.schema(node.new_name) is not None or node.new_name in registry.SYSTEM_SCHEMAS:
        raise SqlError("42P06", f'schema "{node.new_name}" already exists')
    if node.new_name.startswith("pg_"):
        raise SqlError(
            "42939",
            f'unacceptable schema name "{node.new_name}"',
            detail='The prefix "pg_" is reserved for system schemas.',
        )
    inside = [
        item
        for item in draft.catalog.objects.values()
        if isinstance(item, Table | View | Sequence) and item.schema == schema.oid
    ]
    literals = {item.oid: regclass_literal(environment, item) for item in inside if isinstance(item, Sequence)}
    changes: dict[int, CatalogObject] = {}
    for view in draft.catalog.objects.values():
        if isinstance(view, View):
            text = view.query
            for item in inside:
                if item.oid in view.depends_on:
                    text = view_with_relation_renamed(
                        text, (schema.name, item.name), (node.new_name, item.name), alias=None
                    )
            if text != view.query:
                changes[view.oid] = msgspec.structs.replace(view, query=text)
    draft.apply({**changes, schema.oid: msgspec.structs.replace(schema, name=node.new_name)})
    for sequence in inside:
        if isinstance(sequence, Sequence):
            _replace_literals(environment, literals[sequence.oid], regclass_literal(environment, sequence))


def _replace_literals(environment: DdlEnvironment, before: str, after: str) -> None:
    draft = environment.draft
    for table in list(draft.catalog.objects.values()):
        if isinstance(table, Table):
            columns = tuple(_following(column, before, after) for column in table.columns)
            if columns != table.columns:
                draft.put(msgspec.structs.replace(table, columns=columns))


def _rename_role(environment: DdlEnvironment, node: syntax_commands.Rename) -> None:
    require_superuser(environment, "rename role")
    role = names.require_role(environment, node.names[-1])
    if environment.draft.catalog.role(node.new_name) is not None:
        raise SqlError("42710", f'role "{node.new_name}" already exists')
    if role.name == environment.context.session_user:
        raise SqlError("0A000", "session user cannot be renamed")
    if role.name == environment.context.current_user:
        raise SqlError("0A000", "current user cannot be renamed")
    environment.draft.put(msgspec.structs.replace(role, name=node.new_name))


def set_schema(environment: DdlEnvironment, node: syntax_commands.SetSchema) -> Steps:
    """ALTER TABLE | VIEW | SEQUENCE … SET SCHEMA; a table takes its indexes and owned sequences along."""
    tag = f"ALTER {node.kind.upper()}"
    if node.kind not in ("table", "view", "sequence"):
        raise unsupported(f"{tag} SET SCHEMA")
    found = _find(environment, node.relation, node.if_exists)
    if found is None:
        return tag
    if node.kind != "table" and not isinstance(found, _KINDS[node.kind]):
        raise names.not_a(found, node.kind)
    if isinstance(found, Index):
        raise SqlError("42809", f'"{found.name}" is not a table, view, materialized view, sequence, or foreign table')
    schema = names.find_schema(environment, node.schema)
    if isinstance(found, Sequence) and found.owned_by_table:
        raise SqlError(
            "0A000",
            "cannot move an owned sequence into another schema",
            detail=f'Sequence "{found.name}" is linked to table '
            f'"{environment.draft.catalog.objects[found.owned_by_table].name}".',
        )
    if found.schema == schema.oid:
        return tag
    moving: list[Relation] = [found]
    if isinstance(found, Table):
        moving.extend(environment.draft.catalog.indexes_of(found))
        moving.extend(
            item
            for item in environment.draft.catalog.objects.values()
            if isinstance(item, Sequence) and item.owned_by_table == found.oid
        )
    for item in moving:
        if environment.draft.catalog.relation(schema.oid, item.name) is not None:
            raise SqlError("42P07", f'relation "{item.name}" already exists in schema "{schema.name}"')
    for item in moving:
        current = environment.draft.catalog.objects[item.oid]
        assert not isinstance(current, Schema | Role)
        _move(environment, current, msgspec.structs.replace(current, schema=schema.oid))
    environment.draft.rely_on(schema.oid)
    return tag
    yield []


def set_owner(environment: DdlEnvironment, node: syntax_commands.SetOwner) -> Steps:
    """ALTER SCHEMA … OWNER TO."""
    if node.kind != "schema":
        raise unsupported(f"ALTER {node.kind.upper()} OWNER")
    schema = names.find_schema(environment, node.names[-1])
    owner = names.resolve_role(environment, node.role)
    environment.draft.put(msgspec.structs.replace(schema, owner=owner.oid))
    return "ALTER SCHEMA"
    yield []
