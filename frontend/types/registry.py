"""The one table of types: OIDs, names, text and binary forms, modifiers, ordering.

    facts (pg_type.json)  +  behaviour (one module a family)  ->  TypeEntry

`type_by_oid` and `type_by_name` find entries; arrays are derived from their element type. `text_encoder` and its three
companions return functions specialised for the session's settings (DateStyle, TimeZone, IntervalStyle, bytea_output,
extra_float_digits), so that the row encoder pays for one call a value and nothing else: 0.1 to 0.2 µs for integers and
text. They hold for as long as the settings do not change.

Values are the ones of the table in the package's DESIGN.md; NULL never reaches any function here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from frontend.context import Context
from frontend.errors import SqlError, unsupported
from frontend.types import arrays, characters, decimals, floats, identifiers, integers, jsondata, moments, oids, records
from frontend.types.behaviour import Decoder, Encoder, Input, Output, Receive, Send, TypeBehaviour
from frontend.types.facts import TypeFact, type_facts, type_oids_by_name


@dataclass(frozen=True, slots=True)
class TypeEntry:
    """One type.

    Attributes:
        name: internal name (int4); `sql_name` is what format_type prints without a modifier (integer).
        length: bytes, -1 varlena, -2 cstring, as in pg_type.typlen.
        element: OID of an array's elements, 0 for other types (`array` is the reverse).
        collatable: whether COLLATE may be applied.
        input: text to value under a modifier; raises SqlError (22P02, 22003, 22007, 22008 …).
        output: value to text.
        receive, send: the same for the binary form; malformed data is 22P03.
        apply_typmod: value, modifier, whether the cast is explicit, to value; raises 22001, 22003 …
        typmod_in: modifiers as written to the stored integer; `typmod_out` is the reverse, "(10,2)".
        sort_key: None where Python's own order of values is the type's order, else the key to order by.
        hash_key: None where the value itself may be a dictionary key, else what makes equal values alike.
    """

    oid: int
    name: str
    sql_name: str
    length: int
    by_value: bool
    category: str
    preferred: bool
    element: int
    array: int
    delimiter: str
    collatable: bool
    input: Input
    output: Output
    receive: Receive
    send: Send
    apply_typmod: Callable[[Any, int, bool], Any]
    typmod_in: Callable[[Sequence[str]], int]
    typmod_out: Callable[[int], str]
    behaviour: TypeBehaviour
    sort_key: Callable[[Any], Any] | None
    hash_key: Callable[[Any], Any] | None


# What SQL calls the types whose internal name differs.
SQL_NAMES: dict[int, str] = {
    oids.BOOL: "boolean",
    oids.CHAR: '"char"',
    oids.INT2: "smallint",
    oids.INT4: "integer",
    oids.INT8: "bigint",
    oids.FLOAT4: "real",
    oids.FLOAT8: "double precision",
    oids.BPCHAR: "character",
    oids.VARCHAR: "character varying",
    oids.TIME: "time without time zone",
    oids.TIMETZ: "time with time zone",
    oids.TIMESTAMP: "timestamp without time zone",
    oids.TIMESTAMPTZ: "timestamp with time zone",
    oids.ANY: '"any"',
    1560: "bit",
    1562: "bit varying",
}

# "character" and "bit" without a length mean a length of 1, so these types of any length have names of their own.
_LENGTH_ONE_BY_DEFAULT = {oids.BPCHAR: "bpchar", 1560: '"bit"'}

_ALIASES: dict[str, int] = {
    "int": oids.INT4,
    "integer": oids.INT4,
    "smallint": oids.INT2,
    "bigint": oids.INT8,
    "boolean": oids.BOOL,
    "real": oids.FLOAT4,
    "float": oids.FLOAT8,
    "double precision": oids.FLOAT8,
    "decimal": oids.NUMERIC,
    "dec": oids.NUMERIC,
    "character varying": oids.VARCHAR,
    "char varying": oids.VARCHAR,
    "character": oids.BPCHAR,
    "char": oids.BPCHAR,
    '"char"': oids.CHAR,
    "national character": oids.BPCHAR,
    "national char": oids.BPCHAR,
    "nchar": oids.BPCHAR,
    "timestamp without time zone": oids.TIMESTAMP,
    "timestamp with time zone": oids.TIMESTAMPTZ,
    "time without time zone": oids.TIME,
    "time with time zone": oids.TIMETZ,
    "bit varying": 1562,
}

_BEHAVIOURS: dict[int, TypeBehaviour] = {
    **integers.BEHAVIOURS,
    **floats.BEHAVIOURS,
    **decimals.BEHAVIOURS,
    **characters.BEHAVIOURS,
    **moments.BEHAVIOURS,
    **jsondata.BEHAVIOURS,
    **identifiers.BEHAVIOURS,
}


_ARRAY_SUBSCRIPT_HANDLER = 6179  # pg_proc.oid


def is_known_type(oid: int) -> bool:
    """Whether PostgreSQL has a type of this OID built in (Boreal may still refuse to use it)."""
    return oid in type_facts()


@cache
def type_by_oid(oid: int) -> TypeEntry:
    """The entry of a built-in type, or of a table's row type; 42704 for an unknown OID.

    Using an unsupported type's functions is 0A000.
    """
    fact = type_facts().get(oid)
    if fact is None:
        if oid >= oids.FIRST_USER_OID:
            record = type_facts()[oids.RECORD]
            return _entry(record._replace(oid=oid, kind="c", category="C"), _row_type_behaviour())
        raise SqlError("42704", f"type with OID {oid} does not exist")
    return _entry(fact, _behaviour_of(oid))


@cache
def _behaviour_of(oid: int) -> TypeBehaviour:
    behaviour = _BEHAVIOURS.get(oid)
    if behaviour is not None:
        return behaviour
    if oid >= oids.FIRST_USER_OID:
        return _row_type_behaviour()
    if oid == oids.RECORD:
        return records.record_behaviour(_behaviour_of)
    if oid in arrays.VECTOR_ELEMENTS:
        element = arrays.VECTOR_ELEMENTS[oid]
        return arrays.vector_behaviour(element, _behaviour_of(element), sql_name(oid))
    fact = type_facts()[oid]
    if is_array(oid) and is_supported(fact.element):
        return arrays.array_behaviour(fact.element, fact.delimiter, _behaviour_of(fact.element))
    return _refused(sql_name(oid))


@cache
def _row_type_behaviour() -> TypeBehaviour:
    """The behaviour of tables' row types and of arrays of them, which user OIDs alone do not tell apart: by the value."""
    row, rows = _behaviour_of(oids.RECORD), _behaviour_of(oids.RECORDARRAY)

    def behaviour(value: Any) -> TypeBehaviour:
        return rows if isinstance(value, list) else row

    def key(name: str, value: Any) -> Any:
        function = getattr(behaviour(value), name)
        return value if function is None else function(value)

    return TypeBehaviour(
        row.input,
        lambda value, context: behaviour(value).output(value, context),
        row.receive,
        lambda value, context: behaviour(value).send(value, context),
        sort_key=partial(key, "sort_key"),
        hash_key=partial(key, "hash_key"),
    )


def is_supported(oid: int) -> bool:
    """Whether Boreal can hold values of the type."""
    if oid in _BEHAVIOURS or oid == oids.RECORD or oid in arrays.VECTOR_ELEMENTS:
        return True
    return is_array(oid) and is_supported(type_facts()[oid].element)


def type_by_name(name: str) -> TypeEntry:
    """The entry of a built-in type by internal name or SQL name, "[]" behind it for its array type.

    `"char"` with its quotes is the one-byte type, `char` without them is bpchar. 42704 where there is none.
    """
    if name.endswith("[]"):
        array = type_by_name(name[:-2].rstrip())
        return array if is_array(array.oid) else type_by_oid(array.array)
    oid = _ALIASES.get(name.lower()) or type_oids_by_name().get(name) or type_oids_by_name().get(name.lower())
    if oid is None:
        raise SqlError("42704", f'type "{name}" does not exist')
    return type_by_oid(oid)


def is_array(oid: int) -> bool:
    """Whether a type is a true array (int2vector and oidvector are not, though they have elements)."""
    fact = type_facts().get(oid)
    return fact is not None and fact.subscript == _ARRAY_SUBSCRIPT_HANDLER and oid not in arrays.VECTOR_ELEMENTS


def sql_name(oid: int) -> str:
    """What format_type prints without a modifier."""
    fact = type_facts().get(oid)
    if fact is None:
        return "???"
    if is_array(oid):
        return sql_name(fact.element) + "[]"
    return SQL_NAMES.get(oid, fact.name)


def format_type(oid: int, typmod: int | None = None) -> str:
    """format_type(oid, typmod): the type as SQL writes it; typmod None is "not given"."""
    if oid == 0:
        return "-"
    fact = type_facts().get(oid)
    if fact is None:
        return "???"
    if is_array(oid):
        return format_type(fact.element, typmod) + "[]"
    modified = typmod is not None and typmod >= 0
    if oid in _LENGTH_ONE_BY_DEFAULT and typmod is not None and not modified:
        return _LENGTH_ONE_BY_DEFAULT[oid]
    name = SQL_NAMES.get(oid, fact.name)
    if not modified:
        return name
    assert typmod is not None
    modifier = type_by_oid(oid).typmod_out(typmod)
    first, separator, rest = name.partition(" with")  # time(3) with time zone
    return f"{first}{modifier}{separator}{rest}"


def text_encoder(oid: int, context: Context) -> Encoder:
    """Value to the bytes of its text form, specialised for the session's settings of this moment."""
    entry = type_by_oid(oid)
    if entry.behaviour.text_encoder is not None:
        return entry.behaviour.text_encoder(context)
    output = entry.output
    return lambda value: output(value, context).encode()


def binary_encoder(oid: int, context: Context) -> Encoder:
    """Value to its binary form."""
    entry = type_by_oid(oid)
    if entry.behaviour.binary_encoder is not None:
        return entry.behaviour.binary_encoder(context)
    send = entry.send
    return lambda value: send(value, context)


def text_decoder(oid: int, typmod: int, context: Context) -> Decoder:
    """Bytes of the text form (Bind parameter, COPY field) to a value."""
    entry = type_by_oid(oid)
    if entry.behaviour.text_decoder is not None:
        return entry.behaviour.text_decoder(typmod, context)
    parse, decode = entry.input, characters.decode_utf8
    return lambda data: parse(decode(data), typmod, context)


def binary_decoder(oid: int, typmod: int, context: Context) -> Decoder:
    """Binary form (Bind parameter, COPY field) to a value."""
    entry = type_by_oid(oid)
    if entry.behaviour.binary_decoder is not None:
        return entry.behaviour.binary_decoder(typmod, context)
    receive = entry.receive
    return lambda data: receive(data, typmod, context)


def sort_key(oid: int) -> Callable[[Any], Any] | None:
    """See `TypeEntry.sort_key`."""
    return type_by_oid(oid).sort_key


def hash_key(oid: int) -> Callable[[Any], Any] | None:
    """See `TypeEntry.hash_key`."""
    return type_by_oid(oid).hash_key


def _entry(fact: TypeFact, behaviour: TypeBehaviour) -> TypeEntry:
    name = sql_name(fact.oid) if fact.oid in type_facts() else fact.name

    def refuse_modifier(modifiers: Sequence[str]) -> int:
        if not is_supported(fact.oid):
            raise unsupported(f"type {name}")
        raise SqlError("42601", f'type modifier is not allowed for type "{fact.name}"')

    def print_modifier(typmod: int) -> str:
        return f"({typmod})"

    return TypeEntry(
        oid=fact.oid,
        name=fact.name,
        sql_name=name,
        length=fact.length,
        by_value=fact.by_value,
        category=fact.category,
        preferred=fact.preferred,
        element=fact.element if is_array(fact.oid) else 0,
        array=fact.array,
        delimiter=fact.delimiter,
        collatable=fact.collation != 0,
        input=behaviour.input,
        output=behaviour.output,
        receive=behaviour.receive,
        send=behaviour.send,
        apply_typmod=behaviour.apply_typmod,
        typmod_in=behaviour.typmod_in or refuse_modifier,
        typmod_out=behaviour.typmod_out or print_modifier,
        behaviour=behaviour,
        sort_key=behaviour.sort_key,
        hash_key=behaviour.hash_key,
    )


def _type_to_text(oid: int, context: Context) -> str | None:
    return format_type(oid) if oid in type_facts() else None


def _type_from_text(text: str, context: Context) -> int:
    name = re.sub(r"\s*\([0-9, ]*\)", "", text.strip())
    return type_by_name(name.removeprefix("pg_catalog.")).oid


identifiers.set_name_resolver("regtype", _type_to_text, _type_from_text)


def _refused(name: str) -> TypeBehaviour:
    """The behaviour of a type that Boreal does not have: known by name, refused when used."""

    def refuse_input(text: str, typmod: int, context: Context) -> Any:
        raise unsupported(f"type {name}")

    def refuse_output(value: Any, context: Context) -> str:
        raise unsupported(f"type {name}")

    def refuse_receive(data: bytes, typmod: int, context: Context) -> Any:
        raise unsupported(f"type {name}")

    def refuse_send(value: Any, context: Context) -> bytes:
        raise unsupported(f"type {name}")

    return TypeBehaviour(refuse_input, refuse_output, refuse_receive, refuse_send)
