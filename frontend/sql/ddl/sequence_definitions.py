"""CREATE SEQUENCE and ALTER SEQUENCE, and the sequences behind serial and identity columns.

A definition is a catalog record. Its state is a row of its own, written by `frontend/sequences.py` outside of transactions;
what ALTER SEQUENCE and RESTART IDENTITY change is transactional, and takes effect by a new `generation`, whose state row does
not exist yet and is thus independent of what other sessions draw from the old one meanwhile.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypedDict

import msgspec

from frontend.errors import SqlError
from frontend.sql import syntax
from frontend.sql.binder.types import Types
from frontend.sql.ddl import names
from frontend.types import oids
from storage.catalog import Sequence, Table, View

if TYPE_CHECKING:
    from collections.abc import Sequence as Items

    from frontend.sql import syntax_commands
    from frontend.sql.ddl.environment import DdlEnvironment, Steps

_LIMITS = {oids.INT2: (-(2**15), 2**15 - 1), oids.INT4: (-(2**31), 2**31 - 1), oids.INT8: (-(2**63), 2**63 - 1)}
_TYPE_NAMES = {oids.INT2: "smallint", oids.INT4: "integer", oids.INT8: "bigint"}

SERIAL_TYPES = {
    "serial": oids.INT4,
    "serial4": oids.INT4,
    "bigserial": oids.INT8,
    "serial8": oids.INT8,
    "smallserial": oids.INT2,
    "serial2": oids.INT2,
}
"""The pseudo-types of CREATE TABLE that make a sequence."""

_REGCLASS_LITERAL = re.compile(r"'((?:[^']|'')*)'::regclass")


class _Fields(TypedDict, total=False):
    type: int
    start: int
    increment: int
    minimum: int
    maximum: int
    cache: int
    cycle: bool
    first: int | None
    first_is_called: bool
    owned_by_table: int
    owned_by_column: int


def regclass_literal(environment: DdlEnvironment, sequence: Sequence) -> str:
    """The sequence as canonical text names it in nextval(…)."""
    text = names.qualified(environment, sequence).replace("'", "''")
    return f"'{text}'::regclass"


def next_value_expression(environment: DdlEnvironment, sequence: Sequence) -> str:
    """The canonical text of a serial column's default."""
    return f"nextval({regclass_literal(environment, sequence)})"


def refers_to(text: str | None, literal: str) -> bool:
    """Whether an expression's canonical text names this relation by a regclass constant."""
    return text is not None and literal in text


def new_sequence(
    environment: DdlEnvironment,
    schema_oid: int,
    name: str,
    options: Items[syntax_commands.SequenceOption],
    *,
    type_oid: int = oids.INT8,
) -> Sequence:
    """The record of a new sequence; 22023 for limits that contradict each other."""
    blank = Sequence(
        oid=environment.draft.new_oid(),
        name=name,
        owner=names.current_role_oid(environment),
        schema=schema_oid,
        type=type_oid,
    )
    return _with_options(environment, blank, options, new=True)


def _with_options(
    environment: DdlEnvironment,
    sequence: Sequence,
    options: Items[syntax_commands.SequenceOption],
    *,
    new: bool,
) -> Sequence:
    given: dict[str, Any] = {}
    for option in options:
        if option.name in given:
            raise SqlError("42601", "conflicting or redundant options", position=option.position or None)
        given[option.name] = option.value
    for refused in ("unlogged",):
        if refused in given:
            raise SqlError("0A000", "unlogged sequences are not supported")
    fields: _Fields = {}
    type_oid = sequence.type
    if "as" in given:
        type_name = given["as"]
        assert isinstance(type_name, syntax.TypeName)
        type_oid, _ = Types(environment.draft.catalog).resolve(type_name, environment.context.search_path)
        if type_oid not in _LIMITS:
            what = "identity column type" if sequence.owned_by_column and new else "sequence type"
            raise SqlError("22023", f"{what} must be smallint, integer, or bigint")
        fields["type"] = type_oid
    increment = given.get("increment", sequence.increment)
    if increment == 0:
        raise SqlError("22023", "INCREMENT must not be zero")
    ascending = increment > 0
    lowest, highest = _LIMITS[type_oid]
    default_minimum, default_maximum = (1, highest) if ascending else (lowest, -1)
    old_lowest, old_highest = _LIMITS[sequence.type]
    maximum = sequence.maximum
    if "maxvalue" in given and given["maxvalue"] is not None:
        maximum = given["maxvalue"]
    elif new or "maxvalue" in given or ("as" in given and sequence.maximum == old_highest):
        maximum = default_maximum
    minimum = sequence.minimum
    if "minvalue" in given and given["minvalue"] is not None:
        minimum = given["minvalue"]
    elif new or "minvalue" in given or ("as" in given and sequence.minimum == old_lowest):
        minimum = default_minimum
    type_text = _TYPE_NAMES[type_oid]
    if not lowest <= maximum <= highest:
        raise SqlError("22023", f"MAXVALUE ({maximum}) is out of range for sequence data type {type_text}")
    if not lowest <= minimum <= highest:
        raise SqlError("22023", f"MINVALUE ({minimum}) is out of range for sequence data type {type_text}")
    if minimum >= maximum:
        raise SqlError("22023", f"MINVALUE ({minimum}) must be less than MAXVALUE ({maximum})")
    start = given.get("start", (minimum if ascending else maximum) if new else sequence.start)
    if start < minimum:
        raise SqlError("22023", f"START value ({start}) cannot be less than MINVALUE ({minimum})")
    if start > maximum:
        raise SqlError("22023", f"START value ({start}) cannot be greater than MAXVALUE ({maximum})")
    cache = given.get("cache", sequence.cache)
    if cache <= 0:
        raise SqlError("22023", f"CACHE ({cache}) must be greater than zero")
    fields["increment"], fields["minimum"], fields["maximum"] = increment, minimum, maximum
    fields["start"], fields["cache"] = start, cache
    if "cycle" in given:
        fields["cycle"] = bool(given["cycle"])
    if "restart" in given:
        first = start if given["restart"] is None else given["restart"]
        if first < minimum:
            raise SqlError("22023", f"RESTART value ({first}) cannot be less than MINVALUE ({minimum})")
        if first > maximum:
            raise SqlError("22023", f"RESTART value ({first}) cannot be greater than MAXVALUE ({maximum})")
        fields["first"], fields["first_is_called"] = first, False
    if "owned by" in given:
        fields.update(_owner_column(environment, sequence, given["owned by"]))
    return msgspec.structs.replace(sequence, **fields)


def _owner_column(environment: DdlEnvironment, sequence: Sequence, parts: list[str]) -> _Fields:
    if len(parts) == 1:
        if parts[0] != "none":
            raise SqlError("42601", "invalid OWNED BY option", hint="Specify OWNED BY table.column or OWNED BY NONE.")
        return {"owned_by_table": 0, "owned_by_column": 0}
    table = names.require_relation(environment, names.relation_name(parts[:-1]))
    if not isinstance(table, Table | View):
        raise SqlError("42809", f'sequence cannot be owned by relation "{table.name}"')
    if table.owner != sequence.owner:
        raise SqlError("55000", "sequence must have same owner as table it is linked to")
    if table.schema != sequence.schema:
        raise SqlError("55000", "sequence must be in same schema as table it is linked to")
    column = names.find_column(table, parts[-1])
    if column is None:
        raise SqlError("42703", f'column "{parts[-1]}" of relation "{table.name}" does not exist')
    return {"owned_by_table": table.oid, "owned_by_column": column.number}


def owned_sequence(
    environment: DdlEnvironment,
    table: Table,
    column_name: str,
    column_number: int,
    type_oid: int,
    options: Items[syntax_commands.SequenceOption] = (),
) -> Sequence:
    """The sequence behind a serial or identity column, named as PostgreSQL names it unless the options do."""
    catalog = environment.draft.catalog
    schema_oid, name = table.schema, None
    for option in options:
        if option.name == "sequence name":
            assert isinstance(option.value, syntax.RelationName)
            name = option.value.name
            if option.value.schema is not None:
                schema_oid = names.creation_schema(environment, option.value).oid
    if name is None:
        is_taken = names.relation_is_taken(environment, schema_oid, (table.name,))
        name = names.choose_name(table.name, column_name, "seq", is_taken)
    elif catalog.relation(schema_oid, name) is not None:
        raise names.duplicate_relation(name)
    rest = [option for option in options if option.name != "sequence name"]
    sequence = new_sequence(environment, schema_oid, name, rest, type_oid=type_oid)
    return msgspec.structs.replace(sequence, owner=table.owner, owned_by_table=table.oid, owned_by_column=column_number)


def new_generation(environment: DdlEnvironment) -> int:
    """A generation that was never used, not by a transaction that rolled back either: its state row would still be there."""
    return environment.transaction.next_row_id()


def restarted(environment: DdlEnvironment, sequence: Sequence) -> Sequence:
    """The sequence starting again from START, in a new generation."""
    return msgspec.structs.replace(
        sequence, generation=new_generation(environment), first=sequence.start, first_is_called=False
    )


def create_sequence(environment: DdlEnvironment, node: syntax_commands.CreateSequence) -> Steps:
    """CREATE SEQUENCE."""
    if node.persistence == "temporary":
        raise SqlError("0A000", "temporary sequences are not supported")
    if node.persistence == "unlogged":
        raise SqlError("0A000", "unlogged sequences are not supported")
    schema = names.creation_schema(environment, node.relation)
    if environment.draft.catalog.relation(schema.oid, node.relation.name) is not None:
        if not node.if_not_exists:
            raise names.duplicate_relation(node.relation.name)
        environment.context.notice("42P07", f'relation "{node.relation.name}" already exists, skipping')
        return "CREATE SEQUENCE"
    sequence = new_sequence(environment, schema.oid, node.relation.name, node.options)
    environment.draft.put(sequence)
    environment.draft.rely_on(schema.oid, *([sequence.owned_by_table] if sequence.owned_by_table else []))
    return "CREATE SEQUENCE"
    yield []


def alter_sequence(environment: DdlEnvironment, node: syntax_commands.AlterSequence) -> Steps:
    """ALTER SEQUENCE … options."""
    found = names.find_relation(environment, node.relation)
    if found is None:
        if not node.if_exists:
            raise names.missing_relation(node.relation)
        environment.context.notice("00000", f'relation "{node.relation.name}" does not exist, skipping')
        return "ALTER SEQUENCE"
    if not isinstance(found, Sequence):
        raise names.not_a(found, "sequence")
    if any(option.name == "owned by" for option in node.options) and is_identity(environment, found):
        raise SqlError(
            "0A000",
            "cannot change ownership of identity sequence",
            detail=f'Sequence "{found.name}" is linked to table "{_owner_name(environment, found)}".',
        )
    environment.draft.put(altered(environment, found, node.options))
    return "ALTER SEQUENCE"
    yield []


def altered(
    environment: DdlEnvironment, sequence: Sequence, options: Items[syntax_commands.SequenceOption]
) -> Sequence:
    """The sequence with options changed. Where they concern its values, it goes on in a new generation.

    Without RESTART the new generation continues after the last value that this node knows of.
    """
    changed = _with_options(environment, sequence, options, new=False)
    if all(option.name == "owned by" for option in options):
        return changed
    if not any(option.name == "restart" for option in options):
        last = environment.context.system.sequence_last_value(sequence)
        if last is None:
            first = changed.start if sequence.first is None else sequence.first
        else:
            first = last
            if not changed.minimum <= last <= changed.maximum:
                bound = "MAXVALUE" if last > changed.maximum else "MINVALUE"
                side = "greater" if last > changed.maximum else "less"
                limit = changed.maximum if last > changed.maximum else changed.minimum
                raise SqlError("22023", f"RESTART value ({last}) cannot be {side} than {bound} ({limit})")
        changed = msgspec.structs.replace(changed, first=first, first_is_called=last is not None)
    return msgspec.structs.replace(changed, generation=new_generation(environment))


def is_identity(environment: DdlEnvironment, sequence: Sequence) -> bool:
    """Whether the sequence belongs to an identity column."""
    table = environment.draft.catalog.objects.get(sequence.owned_by_table)
    if not isinstance(table, Table):
        return False
    return any(column.identity and column.sequence == sequence.oid for column in table.columns)


def _owner_name(environment: DdlEnvironment, sequence: Sequence) -> str:
    return environment.draft.catalog.objects[sequence.owned_by_table].name


def renamed_in(text: str, before: str, after: str) -> str:
    """An expression's text with one regclass constant replaced (both with quotes and cast)."""
    return _REGCLASS_LITERAL.sub(lambda match: after if match.group(0) == before else match.group(0), text)
