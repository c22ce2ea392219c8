"""ALTER TABLE, INDEX, VIEW, SEQUENCE: one statement is a list of actions, done in PostgreSQL's order.

PostgreSQL sorts the actions into passes (drops first, then type changes, then additions, then constraints), so that
`ADD COLUMN a …, DROP COLUMN b` means the same in either order; `_PASS` says which action belongs to which pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from frontend.errors import SqlError, unsupported
from frontend.sql.ddl import alter_columns, constraints, names, rewrite
from frontend.sql.ddl.dependencies import Doomed, Removal
from frontend.sql.ddl.options import INDEX_OPTIONS, TABLE_OPTIONS, VIEW_OPTIONS, checked_options
from storage.catalog import Index, Relation, Sequence, Table, View

if TYPE_CHECKING:
    from frontend.sql import syntax_commands
    from frontend.sql.ddl.environment import DdlEnvironment, Steps, Work

    Action = syntax_commands.AlterTableAction
    Handler = Callable[[DdlEnvironment, int, Action], Work]

# What each action may be applied to.
_TABLE = (Table,)
_ANY_OWNED = (Table, View, Sequence, Index)
_APPLIES: dict[str, tuple[type[Relation], ...]] = {
    "set default": (Table, View),
    "drop default": (Table, View),
    "owner": (Table, View, Sequence),
    "set options": (Table, View, Index),
    "reset options": (Table, View, Index),
    "set statistics": (Table, Index),
    "set tablespace": (Table, Index),
}

# The name that messages give an action.
_ACTION_NAMES = {
    "add column": "ADD COLUMN",
    "drop column": "DROP COLUMN",
    "alter column type": "ALTER COLUMN ... SET DATA TYPE",
    "set default": "ALTER COLUMN ... SET DEFAULT",
    "drop default": "ALTER COLUMN ... DROP DEFAULT",
    "set not null": "ALTER COLUMN ... SET NOT NULL",
    "drop not null": "ALTER COLUMN ... DROP NOT NULL",
    "drop expression": "ALTER COLUMN ... DROP EXPRESSION",
    "add identity": "ALTER COLUMN ... ADD IDENTITY",
    "set identity": "ALTER COLUMN ... SET",
    "drop identity": "ALTER COLUMN ... DROP IDENTITY",
    "set statistics": "ALTER COLUMN ... SET STATISTICS",
    "add constraint": "ADD CONSTRAINT",
    "drop constraint": "DROP CONSTRAINT",
    "validate constraint": "VALIDATE CONSTRAINT",
    "alter constraint": "ALTER CONSTRAINT",
    "owner": "OWNER TO",
    "set options": "SET",
    "reset options": "RESET",
}

_PASS = {
    "drop column": 0,
    "drop constraint": 0,
    "drop not null": 0,
    "drop expression": 0,
    "drop identity": 0,
    "alter column type": 1,
    "add column": 2,
    "set default": 3,
    "drop default": 3,
    "add identity": 3,
    "set identity": 3,
    "set not null": 4,
    "add constraint": 5,
}

# Accepted and without effect: what they change is physical, or is not there to be changed.
_NO_EFFECT = frozenset(
    {"set storage", "set compression", "set without cluster", "set without oids", "set logged", "reset column options"}
    | {"set column options", "no force row security", "disable row security"}
)


def alter_relation(environment: DdlEnvironment, node: syntax_commands.AlterTable) -> Steps:
    """ALTER TABLE | INDEX | VIEW | SEQUENCE name action, …"""
    tag = f"ALTER {node.kind.upper()}"
    if node.kind in ("materialized view", "foreign table"):
        raise SqlError("42P01", f'relation "{names.written(node.relation)}" does not exist')
    found = names.find_relation(environment, node.relation)
    if found is None:
        if not node.if_exists:
            raise names.missing_relation(node.relation)
        environment.context.notice("00000", f'relation "{node.relation.name}" does not exist, skipping')
        return tag
    _check_kind(node, found)
    for action in node.actions:
        _check_applies(found, action)
    for action in sorted(node.actions, key=lambda action: _PASS.get(action.kind, 6)):
        yield from _run(environment, found.oid, action, node)
    return tag


def _check_kind(node: syntax_commands.AlterTable, found: Relation) -> None:
    """ALTER TABLE works on all of them; the others only on their own kind."""
    wanted = {"index": Index, "view": View, "sequence": Sequence}.get(node.kind)
    if wanted is not None and not isinstance(found, wanted):
        raise names.not_a(found, node.kind)


def _check_applies(found: Relation, action: Action) -> None:
    if isinstance(found, _APPLIES.get(action.kind, _TABLE)):
        return
    label = _ACTION_NAMES.get(action.kind, action.kind.upper())
    plural = {"view": "views", "index": "indexes", "sequence": "sequences", "table": "tables"}[names.kind_name(found)]
    raise SqlError(
        "42809",
        f'ALTER action {label} cannot be performed on relation "{found.name}"',
        detail=f"This operation is not supported for {plural}.",
    )


def _run(environment: DdlEnvironment, oid: int, action: Action, node: syntax_commands.AlterTable) -> Work:
    handler = _HANDLERS.get(action.kind)
    if handler is not None:
        yield from handler(environment, oid, action)
        return
    relation = environment.draft.catalog.objects[oid]
    if action.kind in _NO_EFFECT:
        if action.name is not None and action.kind.startswith(
            ("set storage", "set compression", "set column", "reset column")
        ):
            assert isinstance(relation, Table)
            names.require_column(relation, action.name)
        return
    if action.kind == "replica identity" and action.value in ("default", "full", "nothing"):
        return  # an event always carries whole rows
    if action.kind == "set tablespace" and action.value == "pg_default":
        return
    if action.kind in ("enable trigger", "disable trigger") and action.name in ("all", "user"):
        return
    raise unsupported(f"ALTER {node.kind.upper()} … {action.kind.upper()}")


# ── constraints ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _add_constraint(environment: DdlEnvironment, oid: int, action: Action) -> Work:
    assert action.constraint is not None
    yield from constraints.add_constraint(environment, oid, action.constraint, fresh=False)


def _drop_constraint(environment: DdlEnvironment, oid: int, action: Action) -> Work:
    table = environment.draft.catalog.table(oid)
    found = next((item for item in table.constraints if item.name == action.name), None)
    if found is None:
        if not action.if_exists:
            raise SqlError("42704", f'constraint "{action.name}" of relation "{table.name}" does not exist')
        environment.context.notice(
            "00000", f'constraint "{action.name}" of relation "{table.name}" does not exist, skipping'
        )
        return
    removal = Removal(environment, cascade=action.cascade)
    removal.add(Doomed("constraint", oid, found.oid))
    removal.run()
    if found.kind == "p":
        # Rows were stored under the key that is gone: they get hidden row ids, in a new storage.
        current = environment.draft.catalog.table(oid)
        changed = msgspec.structs.replace(current, row_key=(), storage=environment.draft.new_storage_id(oid))
        environment.draft.put(changed)
        yield from rewrite.rewrite_rows(environment, msgspec.structs.replace(table, indexes=()), changed)


def _validate_constraint(environment: DdlEnvironment, oid: int, action: Action) -> Work:
    table = environment.draft.catalog.table(oid)
    constraint = names.require_constraint(table, action.name or "")
    if constraint.kind not in "cf":
        raise SqlError(
            "42809",
            f'constraint "{constraint.name}" of relation "{table.name}" is not a foreign key or check constraint',
        )
    if constraint.validated:
        return
    valid = msgspec.structs.replace(constraint, validated=True)
    changed = msgspec.structs.replace(
        table, constraints=tuple(valid if item.oid == valid.oid else item for item in table.constraints)
    )
    environment.draft.put(changed)
    if constraint.kind == "c":
        yield from rewrite.validate_check(environment, changed, valid)
    else:
        yield from rewrite.validate_foreign_key(environment, changed, valid)


def _alter_constraint(environment: DdlEnvironment, oid: int, action: Action) -> Work:
    assert action.constraint is not None
    table = environment.draft.catalog.table(oid)
    constraint = names.require_constraint(table, action.constraint.name or "")
    if constraint.kind != "f":
        raise SqlError(
            "42809", f'constraint "{constraint.name}" of relation "{table.name}" is not a foreign key constraint'
        )
    changed = msgspec.structs.replace(
        constraint,
        deferrable=action.constraint.deferrable,
        initially_deferred=action.constraint.initially_deferred,
    )
    environment.draft.put(
        msgspec.structs.replace(
            table, constraints=tuple(changed if item.oid == changed.oid else item for item in table.constraints)
        )
    )
    return
    yield []


# ── the relation itself ─────────────────────────────────────────────────────────────────────────────────────────────


def _set_owner(environment: DdlEnvironment, oid: int, action: Action) -> Work:
    assert action.role is not None
    owner = names.resolve_role(environment, action.role).oid
    draft = environment.draft
    relation = draft.catalog.objects[oid]
    changed = [msgspec.structs.replace(relation, owner=owner)]
    if isinstance(relation, Table):
        changed.extend(msgspec.structs.replace(index, owner=owner) for index in draft.catalog.indexes_of(relation))
        changed.extend(
            msgspec.structs.replace(item, owner=owner)
            for item in draft.catalog.objects.values()
            if isinstance(item, Sequence) and item.owned_by_table == oid
        )
    elif isinstance(relation, Sequence) and relation.owned_by_table:
        table = draft.catalog.objects[relation.owned_by_table]
        if table.owner != owner:
            raise SqlError(
                "0A000",
                f'cannot change owner of sequence "{relation.name}"',
                detail=f'Sequence "{relation.name}" is linked to table "{table.name}".',
            )
    draft.put(*changed)
    return
    yield []


def _set_options(environment: DdlEnvironment, oid: int, action: Action) -> Work:
    relation = environment.draft.catalog.objects[oid]
    known = (
        INDEX_OPTIONS if isinstance(relation, Index) else VIEW_OPTIONS if isinstance(relation, View) else TABLE_OPTIONS
    )
    assert isinstance(relation, Table | View | Index)
    options = dict(relation.options)
    if action.kind == "set options":
        options.update(checked_options(action.options, known))
        if "check_option" in options:
            raise unsupported("WITH CHECK OPTION")
    else:
        for option in action.options:
            options.pop(option.name if option.namespace is None else f"{option.namespace}.{option.name}", None)
    environment.draft.put(msgspec.structs.replace(relation, options=options))
    return
    yield []


def _cluster_on(environment: DdlEnvironment, oid: int, action: Action) -> Work:
    table = environment.draft.catalog.table(oid)
    index = environment.draft.catalog.relation(table.schema, action.name or "")
    if not isinstance(index, Index) or index.table != oid:
        raise SqlError("42704", f'index "{action.name}" for table "{table.name}" does not exist')
    return
    yield []


_HANDLERS: dict[str, Handler] = {
    **alter_columns.HANDLERS,
    "add constraint": _add_constraint,
    "drop constraint": _drop_constraint,
    "validate constraint": _validate_constraint,
    "alter constraint": _alter_constraint,
    "owner": _set_owner,
    "set options": _set_options,
    "reset options": _set_options,
    "cluster on": _cluster_on,
}
