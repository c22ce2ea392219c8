"""TRUNCATE: a new, empty storage for each table; the old rows stay readable by older snapshots and are removed later."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from frontend.errors import SqlError
from frontend.sql.ddl import names
from frontend.sql.ddl.sequence_definitions import restarted
from storage.catalog import Sequence, Table

if TYPE_CHECKING:
    from frontend.sql import syntax
    from frontend.sql.ddl.environment import DdlEnvironment, Steps


def truncate(environment: DdlEnvironment, node: syntax.Truncate) -> Steps:
    """TRUNCATE tables [RESTART IDENTITY] [CASCADE]."""
    catalog = environment.draft.catalog
    chosen: dict[int, Table] = {}
    for target in node.targets:
        table = names.require_table(environment, target.relation)
        chosen[table.oid] = table
    waiting = list(chosen.values())
    while waiting:
        table = waiting.pop()
        for oid in table.referenced_by:
            if oid in chosen:
                continue
            referencing = catalog.table(oid)
            if not node.cascade:
                raise SqlError(
                    "0A000",
                    "cannot truncate a table referenced in a foreign key constraint",
                    detail=f'Table "{referencing.name}" references "{table.name}".',
                    hint=f'Truncate table "{referencing.name}" at the same time, or use TRUNCATE ... CASCADE.',
                )
            environment.context.notice("00000", f'truncate cascades to table "{referencing.name}"')
            chosen[oid] = referencing
            waiting.append(referencing)
    draft = environment.draft
    for table in chosen.values():
        draft.put(msgspec.structs.replace(table, storage=draft.new_storage_id(table.oid)))
    if node.restart_identity:
        owned = [
            restarted(environment, item)
            for item in catalog.objects.values()
            if isinstance(item, Sequence) and item.owned_by_table in chosen
        ]
        draft.put(*owned)
    return "TRUNCATE TABLE"
    yield []
