"""CREATE TABLE: from column definitions, LIKE, and AS query.

The table goes into the draft as soon as its columns are known, without constraints; each constraint is then added by the same
function that ALTER TABLE uses. Expressions are bound when every column exists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from frontend.errors import SqlError, unsupported
from frontend.sql import syntax, syntax_commands
from frontend.sql.binder.types import Types
from frontend.sql.ddl import constraints, indexes, names
from frontend.sql.ddl.columns import (
    COLUMNS_MAX,
    DefinedColumn,
    define_column,
    refuse_unstorable,
    table_constraints,
    with_default,
)
from frontend.sql.ddl.options import TABLE_OPTIONS, checked_options
from frontend.sql.ddl.rewrite import RowSink
from frontend.sql.ddl.sequence_definitions import owned_sequence
from frontend.types import oids
from storage.catalog import Column, Constraint, Index, KeyPart, Sequence, Table, View

if TYPE_CHECKING:
    from frontend.sql.ddl.environment import DdlEnvironment, Steps


def create_table(environment: DdlEnvironment, node: syntax_commands.CreateTable) -> Steps:
    """CREATE TABLE, and CREATE TABLE AS (whose tag is SELECT n)."""
    _refuse(node)
    schema = names.creation_schema(environment, node.relation)
    if environment.draft.catalog.relation(schema.oid, node.relation.name) is not None:
        if not node.if_not_exists:
            raise names.duplicate_relation(node.relation.name)
        environment.context.notice("42P07", f'relation "{node.relation.name}" already exists, skipping')
        return "CREATE TABLE" if node.query is None else "CREATE TABLE AS"
    draft = environment.draft
    oid = draft.new_oid()
    table = Table(
        oid=oid,
        name=node.relation.name,
        schema=schema.oid,
        owner=names.current_role_oid(environment),
        storage=0,
        columns=(),
        type=draft.new_oid(),
        array_type=draft.new_oid(),
        options=checked_options(node.options, TABLE_OPTIONS),
    )
    draft.rely_on(schema.oid)
    if node.query is not None:
        return (yield from _create_table_as(environment, table, node))
    yield from _define(environment, table, node.elements)
    return "CREATE TABLE"


def _refuse(node: syntax_commands.CreateTable) -> None:
    if node.persistence == "temporary" or node.on_commit is not None:
        raise unsupported("temporary table", hint="Use a table in a schema of its own.")
    if node.persistence == "unlogged":
        raise unsupported("unlogged table", hint="Every table of Boreal is in the journal.")
    if node.inherits:
        raise unsupported("table inheritance")
    if node.partition_by is not None or node.partition_of is not None:
        raise unsupported("table partitioning")
    if node.of_type is not None:
        raise unsupported("CREATE TABLE OF")
    if node.method not in (None, "heap"):
        raise SqlError("42704", f'access method "{node.method}" does not exist')
    if node.tablespace not in (None, "pg_default"):
        raise SqlError("42704", f'tablespace "{node.tablespace}" does not exist')


def _define(
    environment: DdlEnvironment,
    table: Table,
    elements: list[syntax_commands.ColumnDefinition | syntax_commands.Constraint | syntax_commands.TableLike],
) -> Steps:
    draft = environment.draft
    defined: list[DefinedColumn] = []
    wanted: list[syntax_commands.Constraint] = []
    likes: list[tuple[syntax_commands.TableLike, Table | View, dict[int, int]]] = []
    reserved: list[Sequence] = []
    for element in elements:
        number = len(defined) + 1
        if isinstance(element, syntax_commands.ColumnDefinition):
            column = define_column(environment, table, element, number)
            if column.sequence is not None:
                reserved.append(column.sequence)
                draft.put(column.sequence)  # so that the next invented name avoids this one
            defined.append(column)
            wanted.extend(column.constraints)
        elif isinstance(element, syntax_commands.TableLike):
            source, copied, mapping = _like_columns(environment, table, element, number)
            for column in copied:
                if column.sequence is not None:
                    draft.put(column.sequence)
            defined.extend(copied)
            likes.append((element, source, mapping))
        else:
            wanted.append(element)
    _check_columns(defined)
    if sum(1 for item in wanted if item.kind == "primary key") > 1:
        raise SqlError("42P16", f'multiple primary keys for table "{table.name}" are not allowed')
    table = msgspec.structs.replace(
        table, storage=draft.new_storage_id(table.oid), columns=tuple(item.column for item in defined)
    )
    bound = tuple(
        with_default(environment, table, item.column, item.default) if item.default is not None else item.column
        for item in defined
    )
    draft.put(msgspec.structs.replace(table, columns=bound))
    for item in table_constraints(wanted):
        yield from constraints.add_constraint(environment, table.oid, item, fresh=True)
    for like, source, mapping in likes:
        yield from _like_constraints(environment, table.oid, like, source, mapping)
    return "CREATE TABLE"


def _check_columns(defined: list[DefinedColumn]) -> None:
    if len(defined) > COLUMNS_MAX:
        raise SqlError("54011", f"tables can have at most {COLUMNS_MAX} columns")
    seen: set[str] = set()
    for item in defined:
        if item.column.name in seen:
            raise SqlError("42701", f'column "{item.column.name}" specified more than once')
        seen.add(item.column.name)


# ── LIKE ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _like_columns(
    environment: DdlEnvironment, table: Table, node: syntax_commands.TableLike, number: int
) -> tuple[Table | View, list[DefinedColumn], dict[int, int]]:
    source = names.require_relation(environment, node.relation)
    if not isinstance(source, Table | View):
        raise SqlError(
            "42809",
            f'relation "{source.name}" is invalid in LIKE clause',
            detail="This operation is not supported for "
            + ("sequences." if isinstance(source, Sequence) else "indexes."),
            position=node.position or None,
        )
    copied: list[DefinedColumn] = []
    mapping: dict[int, int] = {}
    for column in source.columns:
        if column.dropped:
            continue
        mapping[column.number] = number
        keeps_default = (
            "generated" in node.including if column.generated else "defaults" in node.including
        ) and column.default is not None
        new = Column(
            number=number,
            name=column.name,
            type=column.type,
            typmod=column.typmod,
            collation=column.collation,
            not_null=column.not_null,
            default=column.default if keeps_default else None,
            generated=column.generated and keeps_default,
            comment=column.comment if "comments" in node.including else None,
        )
        sequence: Sequence | None = None
        if column.identity and "identity" in node.including:
            old = environment.draft.catalog.objects[column.sequence]
            assert isinstance(old, Sequence)
            fresh = owned_sequence(environment, table, column.name, number, column.type)
            sequence = msgspec.structs.replace(
                fresh,
                start=old.start,
                increment=old.increment,
                minimum=old.minimum,
                maximum=old.maximum,
                cache=old.cache,
                cycle=old.cycle,
            )
            new = msgspec.structs.replace(new, identity=column.identity, sequence=sequence.oid)
        copied.append(DefinedColumn(new, sequence, None, []))
        number += 1
    return source, copied, mapping


def _like_constraints(
    environment: DdlEnvironment,
    table_oid: int,
    node: syntax_commands.TableLike,
    source: Table | View,
    mapping: dict[int, int],
) -> Steps:
    """Checks, keys and indexes that LIKE includes; texts carry over, since the columns have the same names."""
    if isinstance(source, View):
        return ""
    draft = environment.draft
    with_comments = "comments" in node.including
    if "constraints" in node.including:
        for constraint in source.constraints:
            if constraint.kind != "c":
                continue
            copied = msgspec.structs.replace(
                constraint,
                oid=draft.new_oid(),
                columns=tuple(mapping[number] for number in constraint.columns),
                comment=constraint.comment if with_comments else None,
            )
            draft.put(constraints.with_constraint(draft.catalog.table(table_oid), copied))
    if "indexes" in node.including:
        for index in draft.catalog.indexes_of(source):
            _copy_index(environment, draft.catalog.table(table_oid), index, mapping, with_comments)
    return ""
    yield []


def _copy_index(
    environment: DdlEnvironment, table: Table, index: Index, mapping: dict[int, int], with_comments: bool
) -> None:
    draft = environment.draft
    columns = {new: old for old, new in mapping.items()}
    numbers = tuple(mapping[part.number] if part.number else 0 for part in index.key)
    elements = [
        indexes.element_of(table.columns[number - 1].name)
        if number
        else syntax.IndexElement(expression=syntax.ColumnReference(names=["expr"]))
        for number in numbers
    ]
    including = [indexes.element_of(table.columns[mapping[number] - 1].name) for number in index.include]
    del columns
    label = "pkey" if index.primary else "key" if index.constraint else "idx"
    name = indexes.invented_name(environment, table, elements, including, label)
    constraint_oid = draft.new_oid() if index.constraint else 0
    parts: list[KeyPart] = [
        msgspec.structs.replace(part, number=number) for part, number in zip(index.key, numbers, strict=True)
    ]
    copied = msgspec.structs.replace(
        index,
        oid=draft.new_oid(),
        name=name,
        owner=table.owner,
        schema=table.schema,
        table=table.oid,
        index_id=0 if index.primary else table.next_index_id,
        key=tuple(parts),
        include=tuple(mapping[number] for number in index.include),
        constraint=constraint_oid,
        comment=index.comment if with_comments else None,
        version=0,
        acl=None,
    )
    if constraint_oid:
        constraint = Constraint(
            oid=constraint_oid, name=name, kind="p" if index.primary else "u", columns=numbers, index=copied.oid
        )
        table = constraints.with_constraint(table, constraint)
    if index.primary:
        marked = tuple(
            msgspec.structs.replace(column, not_null=True) if column.number in numbers else column
            for column in table.columns
        )
        table = msgspec.structs.replace(table, row_key=numbers, columns=marked)
    indexes.attach(environment, table, copied)


# ── AS query ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _create_table_as(environment: DdlEnvironment, table: Table, node: syntax_commands.CreateTable) -> Steps:
    assert node.query is not None
    run = environment.run_query(node.query)
    if len(node.columns) > len(run.columns):
        raise SqlError("42601", "too many column names were specified")
    columns: list[Column] = []
    types = Types(environment.draft.catalog)
    for place, source in enumerate(run.columns):
        name = node.columns[place] if place < len(node.columns) else source.name
        type_oid = oids.TEXT if source.type == oids.UNKNOWN else source.type
        if types.fact(type_oid).kind == "p":
            raise SqlError("42P16", f'column "{name}" has pseudo-type {types.name(type_oid)}')
        refuse_unstorable(types, type_oid)
        if any(column.name == name for column in columns):
            raise SqlError("42701", f'column "{name}" specified more than once')
        collation = types.fact(type_oid).collation
        columns.append(Column(number=place + 1, name=name, type=type_oid, typmod=source.typmod, collation=collation))
    if len(columns) > COLUMNS_MAX:
        raise SqlError("54011", f"tables can have at most {COLUMNS_MAX} columns")
    table = msgspec.structs.replace(table, storage=environment.draft.new_storage_id(table.oid), columns=tuple(columns))
    environment.draft.put(table)
    if not node.with_data:
        return "CREATE TABLE AS"
    sink = RowSink(environment, table)
    for batch in run.batches:
        for row in batch:
            sink.insert(list(row))
        yield []
    return f"SELECT {sink.count}"
