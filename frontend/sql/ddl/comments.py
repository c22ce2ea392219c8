"""COMMENT ON: the comment is part of the object's record."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from frontend.errors import SqlError, unsupported
from frontend.sql.ddl import names
from storage.catalog import Index, Relation, Sequence, Table, View

if TYPE_CHECKING:
    from frontend.sql import syntax_commands
    from frontend.sql.ddl.environment import DdlEnvironment, Steps

_KINDS: dict[str, type[Relation]] = {"table": Table, "view": View, "index": Index, "sequence": Sequence}


def comment(environment: DdlEnvironment, node: syntax_commands.Comment) -> Steps:
    """COMMENT ON kind name IS text; the empty text removes it, like NULL."""
    text = node.text or None
    draft = environment.draft
    match node.kind:
        case "table" | "view" | "index" | "sequence":
            found = names.require_relation(environment, names.relation_name(node.names))
            if not isinstance(found, _KINDS[node.kind]):
                raise names.not_a(found, node.kind)
            draft.put(msgspec.structs.replace(found, comment=text))
        case "column":
            if len(node.names) < 2:
                raise SqlError("42601", "column name must be qualified")
            found = names.require_relation(environment, names.relation_name(node.names[:-1]))
            if not isinstance(found, Table | View):
                raise SqlError("42809", f'cannot set comment on relation "{found.name}"')
            column = names.require_column(found, node.names[-1])
            columns = list(found.columns)
            columns[column.number - 1] = msgspec.structs.replace(column, comment=text)
            draft.put(msgspec.structs.replace(found, columns=tuple(columns)))
        case "constraint":
            table = names.require_table(environment, names.relation_name(node.names[:-1]))
            constraint = next((item for item in table.constraints if item.name == node.names[-1]), None)
            if constraint is None:
                raise SqlError("42704", f'constraint "{node.names[-1]}" for table "{table.name}" does not exist')
            changed = msgspec.structs.replace(constraint, comment=text)
            draft.put(
                msgspec.structs.replace(
                    table,
                    constraints=tuple(changed if item.oid == constraint.oid else item for item in table.constraints),
                )
            )
        case "schema":
            draft.put(msgspec.structs.replace(names.find_schema(environment, node.names[-1]), comment=text))
        case "role":
            draft.put(msgspec.structs.replace(names.require_role(environment, node.names[-1]), comment=text))
        case _:
            raise unsupported(f"COMMENT ON {node.kind.upper()}")
    return "COMMENT"
    yield []
