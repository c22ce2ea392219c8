"""CREATE INDEX and ALTER INDEX: records of indexes, and their entries for the rows that exist already.

An index is built in one transaction, in slices. The range of the table is put among the transaction's checked reads, so that
a row written by somebody else meanwhile is a conflict and never a missing entry; there is nothing to wait for.
CONCURRENTLY is accepted and means the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from frontend.errors import SqlError, unsupported
from frontend.sql import syntax
from frontend.sql.binder.types import Types
from frontend.sql.ddl import expressions, names, rewrite
from frontend.sql.ddl.options import INDEX_OPTIONS, checked_options
from frontend.system import facts as system_facts
from frontend.types import oids
from storage import keys
from storage.catalog import Index, KeyPart, Table

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from frontend.sql import syntax_commands
    from frontend.sql.ddl.environment import DdlEnvironment, Steps
    from storage.catalog import Schema

KEY_COLUMNS_MAX = 32
BTREE = 403
_METHODS = ("btree",)
_KNOWN_METHODS = ("hash", "gist", "gin", "brin", "spgist")


def create_index(environment: DdlEnvironment, node: syntax_commands.CreateIndex) -> Steps:
    """CREATE [UNIQUE] INDEX."""
    found = names.require_relation(environment, node.relation)
    if not isinstance(found, Table):
        raise SqlError(
            "42809",
            f'cannot create index on relation "{found.name}"',
            detail=f"This operation is not supported for {names.kind_name(found)}s."
            if names.kind_name(found) != "index"
            else "This operation is not supported for indexes.",
        )
    if node.tablespace not in (None, "pg_default"):
        raise SqlError("42704", f'tablespace "{node.tablespace}" does not exist')
    check_method(node.method, unique=node.unique)
    schema = names.schema_of(environment, found)
    if node.name is not None and environment.draft.catalog.relation(schema.oid, node.name) is not None:
        if not node.if_not_exists:
            raise names.duplicate_relation(node.name)
        environment.context.notice("42P07", f'relation "{node.name}" already exists, skipping')
        return "CREATE INDEX"
    index = index_record(
        environment,
        found,
        node.elements,
        name=node.name,
        label="idx",
        including=node.including,
        unique=node.unique,
        nulls_not_distinct=not node.nulls_distinct,
        predicate=node.where,
        options=checked_options(node.options, INDEX_OPTIONS),
    )
    table = attach(environment, found, index)
    yield from rewrite.build_index(environment, table, index)
    return "CREATE INDEX"


def check_method(method: str | None, *, unique: bool = False) -> None:
    """0A000 for an access method that PostgreSQL has and Boreal has not, 42704 for an unknown one."""
    if method is None or method in _METHODS:
        return
    if method in _KNOWN_METHODS:
        if unique:
            raise SqlError("0A000", f'access method "{method}" does not support unique indexes')
        raise unsupported(f"access method {method}", hint="Use a btree index.")
    raise SqlError("42704", f'access method "{method}" does not exist')


def attach(environment: DdlEnvironment, table: Table, index: Index) -> Table:
    """Put the index and the table that now has it into the draft."""
    changed = msgspec.structs.replace(
        table, indexes=(*table.indexes, index.oid), next_index_id=max(table.next_index_id, index.index_id + 1)
    )
    environment.draft.put(changed, index)
    return changed


def index_record(
    environment: DdlEnvironment,
    table: Table,
    elements: Sequence[syntax.IndexElement],
    *,
    name: str | None,
    label: str,
    including: Sequence[syntax.IndexElement] = (),
    unique: bool = False,
    nulls_not_distinct: bool = False,
    predicate: syntax.Expression | None = None,
    options: dict[str, str] | None = None,
    primary: bool = False,
    constraint: int = 0,
) -> Index:
    """The record of a new index on a table; name None: PostgreSQL's rule (table_columns_label, _pkey)."""
    if len(elements) + len(including) > KEY_COLUMNS_MAX:
        raise SqlError("54011", f"cannot use more than {KEY_COLUMNS_MAX} columns in an index")
    parts = [_key_part(environment, table, element) for element in elements]
    included = [_included(table, element) for element in including]
    where = None
    if predicate is not None:
        bound = expressions.bind_row_expression(environment, predicate, table, "index predicate", None)
        if bound.volatility != "i":
            raise SqlError("42P17", "functions in index predicate must be marked IMMUTABLE")
        where = bound.text
    if name is None:
        name = invented_name(environment, table, elements, including, label)
    elif environment.draft.catalog.relation(table.schema, name) is not None:
        raise names.duplicate_relation(name)
    return Index(
        oid=environment.draft.new_oid(),
        name=name,
        owner=table.owner,
        schema=table.schema,
        table=table.oid,
        index_id=0 if primary else table.next_index_id,
        key=tuple(parts),
        include=tuple(included),
        unique=unique,
        nulls_not_distinct=nulls_not_distinct,
        primary=primary,
        predicate=where,
        constraint=constraint,
        options=options or {},
    )


def invented_name(
    environment: DdlEnvironment,
    table: Table,
    elements: Sequence[syntax.IndexElement],
    including: Sequence[syntax.IndexElement],
    label: str,
    reserved: Collection[str] = (),
) -> str:
    """ChooseIndexName: t_pkey, t_a_b_key, t_a_lower_idx …"""
    is_taken = names.relation_is_taken(environment, table.schema, reserved)
    if label == "pkey":
        return names.choose_name(table.name, None, label, is_taken)
    columns: list[str] = []
    for element in (*elements, *including):
        base = element.name if element.name is not None else _expression_name(element.expression)
        candidate, suffix = base, 1
        while candidate in columns:
            candidate, suffix = f"{names.clipped(base, names.NAME_BYTES_MAX - len(str(suffix)))}{suffix}", suffix + 1
        columns.append(candidate)
    return names.choose_name(table.name, names.index_name_addition(columns), label, is_taken)


def _expression_name(expression: syntax.Expression | None) -> str:
    """What an index expression is called: its function, the column it casts, or expr."""
    match expression:
        case syntax.FunctionCall(names=parts):
            return parts[-1]
        case syntax.ColumnReference(names=parts) if parts:
            return parts[-1]
        case syntax.Cast(operand=operand, type=type_name):
            inner = _expression_name(operand)
            return type_name.names[-1] if inner == "expr" else inner
        case syntax.Coalesce():
            return "coalesce"
        case syntax.MinMax(kind=kind):
            return kind
        case syntax.NullIf():
            return "nullif"
        case syntax.Case():
            return "case"
        case syntax.Collate(operand=operand):
            return _expression_name(operand)
    return "expr"


def _key_part(environment: DdlEnvironment, table: Table, element: syntax.IndexElement) -> KeyPart:
    types = Types(environment.draft.catalog)
    expression: str | None = None
    name, node = element.name, element.expression
    if isinstance(node, syntax.ColumnReference) and len(node.names) == 1 and not node.star:
        name, node = node.names[0], None
    if name is not None:
        column = names.find_column(table, name)
        if column is None:
            if name in ("ctid", "xmin", "cmin", "xmax", "cmax", "tableoid"):
                raise SqlError("0A000", "index creation on system columns is not supported")
            raise SqlError("42703", f'column "{name}" does not exist')
        number, type_oid, typmod = column.number, column.type, column.typmod
    else:
        assert node is not None
        bound = expressions.bind_row_expression(environment, node, table, "index expression", None)
        if bound.volatility != "i":
            raise SqlError("42P17", "functions in index expression must be marked IMMUTABLE")
        number, type_oid, typmod, expression = 0, bound.type, bound.typmod, bound.text
    if not keys.is_indexable(type_oid):
        raise SqlError(
            "42704",
            f'data type {types.name(type_oid)} has no default operator class for access method "btree"',
            hint="You must specify an operator class for the index or define a default operator class for the data type.",
        )
    return KeyPart(
        number=number,
        expression=expression,
        type=type_oid,
        typmod=typmod,
        descending=element.descending,
        nulls_first=element.descending if element.nulls_first is None else element.nulls_first,
        operator_class=_operator_class(element.opclass, type_oid, types),
    )


def _operator_class(written: Sequence[str], type_oid: int, types: Types) -> str | None:
    """The operator class, where it is not the type's default one; 42704 or 42804 for one that does not fit."""
    if not written:
        return None
    name = written[-1]
    for row in system_facts.builtin_rows("pg_opclass"):
        _, method, class_name, _, _, _, input_type, is_default, _ = row
        if method != BTREE or class_name != name:
            continue
        fits = (
            input_type == type_oid
            or (input_type == oids.TEXT and type_oid == oids.VARCHAR)
            or input_type == oids.ANYARRAY
        )
        if not fits:
            raise SqlError("42804", f'operator class "{name}" does not accept data type {types.name(type_oid)}')
        return None if is_default else name
    raise SqlError("42704", f'operator class "{name}" does not exist for access method "btree"')


def _included(table: Table, element: syntax.IndexElement) -> int:
    if element.name is None or element.expression is not None:
        raise SqlError("0A000", "expressions are not supported in included columns")
    if element.opclass:
        raise SqlError("0A000", "including column does not support an operator class")
    if element.collation:
        raise SqlError("0A000", "including column does not support a collation")
    if element.descending:
        raise SqlError("0A000", "including column does not support ASC/DESC options")
    if element.nulls_first is not None:
        raise SqlError("0A000", "including column does not support NULLS FIRST/LAST options")
    column = names.find_column(table, element.name)
    if column is None:
        raise SqlError("42703", f'column "{element.name}" does not exist')
    return column.number


def element_of(name: str) -> syntax.IndexElement:
    """A plain column as an index element."""
    return syntax.IndexElement(name=name)


def schema_of_index(environment: DdlEnvironment, index: Index) -> Schema:
    """The schema that the index is in: its table's."""
    return names.schema_of(environment, index)
