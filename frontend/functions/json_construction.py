"""JSON from SQL values (PostgreSQL's manual, 9.16, table 9.47) and the JSON aggregates.

`to_json_text` decides by the value's type: numbers and booleans are bare, dates and times take ISO 8601's form whatever
DateStyle says, json is taken over, arrays and rows become arrays and objects, anything else is its text as a string.
jsonb is the canonical form of the same text. Field names of rows come from `records.Record.names`; a row without
names has f1, f2, …
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from frontend.context import Context
from frontend.errors import SqlError
from frontend.functions.registry import Accumulator, aggregate, scalar
from frontend.functions.rendering import output_text, types_for
from frontend.types import oids
from frontend.types.arrays import dimensions, flatten
from frontend.types.datetime import context_zone, format_date, format_timestamp
from frontend.types.jsondata import canonical_jsonb, dump_json
from frontend.types.records import Record, field_types
from frontend.types.registry import is_array, type_by_oid

_ISO = ("ISO", "MDY")
_NUMBERS = frozenset({oids.FLOAT4, oids.FLOAT8, oids.NUMERIC})
_INTEGERS = frozenset({oids.INT2, oids.INT4, oids.INT8})
_INFINITE = frozenset({2**63 - 1, -(2**63), 2147483647, -2147483648})


def json_string(text: str) -> str:
    """A JSON string literal."""
    return dump_json(str(text))


def _moment(value: int, oid: int, context: Context) -> str:
    if oid == oids.DATE:
        return format_date(value, _ISO)
    text = format_timestamp(value, _ISO, context_zone(context) if oid == oids.TIMESTAMPTZ else None)
    if value in _INFINITE:
        return text
    date, _, rest = text.partition(" ")
    clock, space, era = rest.partition(" ")
    if oid == oids.TIMESTAMPTZ and ":" not in clock.replace("+", "-").rsplit("-", 1)[1]:
        clock += ":00"
    return f"{date}T{clock}{space}{era}"


def to_json_text(value: Any, oid: int, context: Context) -> str:
    """The value as json text."""
    if value is None:
        return "null"
    if oid in _INTEGERS:
        return str(value)
    if oid == oids.BOOL:
        return "true" if value else "false"
    if oid in _NUMBERS:
        text = type_by_oid(oid).output(value, context)
        return text if text[-1].isdigit() else f'"{text}"'
    if oid in (oids.JSON, oids.JSONB):
        return str(value)
    if oid in (oids.DATE, oids.TIMESTAMP, oids.TIMESTAMPTZ):
        return f'"{_moment(value, oid, context)}"'
    if isinstance(value, list) and is_array(oid):
        return _array_text(value, type_by_oid(oid).element, context, ",")
    if isinstance(value, tuple) and (isinstance(value, Record) or oid == oids.RECORD):
        return _record_text(value, context, ",")
    return json_string(output_text(value, oid, context))


def _array_text(array: list[Any], element: int, context: Context, separator: str) -> str:
    return (
        "["
        + separator.join(
            _array_text(item, element, context, ",") if isinstance(item, list) else to_json_text(item, element, context)
            for item in array
        )
        + "]"
    )


def field_names(record: tuple[Any, ...]) -> tuple[str, ...]:
    """The names of a row's fields, f1, f2, … where it has none."""
    if isinstance(record, Record) and record.names:
        return record.names
    return tuple(f"f{place}" for place in range(1, len(record) + 1))


def _record_text(record: tuple[Any, ...], context: Context, separator: str) -> str:
    fields = zip(field_names(record), record, field_types(record), strict=True)
    return (
        "{"
        + separator.join(f"{json_string(name)}:{to_json_text(item, oid, context)}" for name, item, oid in fields)
        + "}"
    )


@scalar("to_json(anyelement)", context=True, typed=True)
def to_json(context: Context, value: Any, *, argument_types: tuple[int, ...], result_type: int) -> str:
    return to_json_text(value, argument_types[0], context)


@scalar("to_jsonb(anyelement)", context=True, typed=True)
def to_jsonb(context: Context, value: Any, *, argument_types: tuple[int, ...], result_type: int) -> str:
    if argument_types[0] == oids.JSONB:
        return str(value)
    return canonical_jsonb(to_json_text(value, argument_types[0], context))


@scalar("array_to_json(anyarray)", "array_to_json(anyarray,bool)", context=True, typed=True)
def array_to_json(
    context: Context, array: list[Any], pretty: bool = False, *, argument_types: tuple[int, ...], result_type: int
) -> str:
    return _array_text(array, type_by_oid(argument_types[0]).element, context, ",\n " if pretty else ",")


@scalar("row_to_json(record)", "row_to_json(record,bool)", context=True)
def row_to_json(context: Context, record: tuple[Any, ...], pretty: bool = False) -> str:
    return _record_text(record, context, ",\n " if pretty else ",")


# ── build ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def key_text(key: Any, oid: int, context: Context) -> str:
    """An object's key, which must be a scalar."""
    if oid in (oids.JSON, oids.JSONB) or isinstance(key, (list, Record)) or is_array(oid) or oid == oids.RECORD:
        raise SqlError("22023", "key value must be scalar, not array, composite, or json")
    if oid in (oids.DATE, oids.TIMESTAMP, oids.TIMESTAMPTZ):
        return _moment(key, oid, context)
    return ("true" if key else "false") if oid == oids.BOOL else output_text(key, oid, context)


def _pairs(
    name: str, arguments: tuple[Any, ...], argument_types: tuple[int, ...], context: Context
) -> Iterator[tuple[str, str]]:
    if len(arguments) % 2:
        raise SqlError(
            "22023",
            "argument list must have even number of elements",
            hint=f"The arguments of {name}() must consist of alternating keys and values.",
        )
    types = types_for(arguments, argument_types)
    for place in range(0, len(arguments), 2):
        if arguments[place] is None:
            if name == "json_build_object":
                raise SqlError("22004", "null value not allowed for object key")
            raise SqlError("22023", f"argument {place + 1}: key must not be null")
        key = key_text(arguments[place], types[place], context)
        yield key, to_json_text(arguments[place + 1], types[place + 1], context)


@scalar("json_build_object(any)", "json_build_object()", context=True, typed=True)
def json_build_object(context: Context, *arguments: Any, argument_types: tuple[int, ...], result_type: int) -> str:
    pairs = _pairs("json_build_object", arguments, argument_types, context)
    return "{" + ", ".join(f"{json_string(key)} : {value}" for key, value in pairs) + "}"


@scalar("jsonb_build_object(any)", "jsonb_build_object()", context=True, typed=True)
def jsonb_build_object(context: Context, *arguments: Any, argument_types: tuple[int, ...], result_type: int) -> str:
    pairs = _pairs("jsonb_build_object", arguments, argument_types, context)
    return canonical_jsonb("{" + ",".join(f"{json_string(key)}:{value}" for key, value in pairs) + "}")


@scalar("json_build_array(any)", "json_build_array()", context=True, typed=True)
def json_build_array(context: Context, *arguments: Any, argument_types: tuple[int, ...], result_type: int) -> str:
    types = types_for(arguments, argument_types)
    return "[" + ", ".join(to_json_text(item, oid, context) for item, oid in zip(arguments, types, strict=False)) + "]"


@scalar("jsonb_build_array(any)", "jsonb_build_array()", context=True, typed=True)
def jsonb_build_array(context: Context, *arguments: Any, argument_types: tuple[int, ...], result_type: int) -> str:
    return canonical_jsonb(
        json_build_array(context, *arguments, argument_types=argument_types, result_type=result_type)
    )


def _text_pairs(keys: list[Any], values: list[Any] | None) -> list[tuple[str, str | None]]:
    """Keys and values of json_object's one- and two-array forms."""
    shape = dimensions(keys)
    if values is not None:
        other = dimensions(values)
        if len(shape) > 1 or len(shape) != len(other):
            raise SqlError("2202E", "wrong number of array subscripts")
        if len(keys) != len(values):
            raise SqlError("2202E", "mismatched array dimensions")
        flat = [item for pair in zip(keys, values, strict=True) for item in pair]
    else:
        if len(shape) == 1 and shape[0] % 2:
            raise SqlError("2202E", "array must have even number of elements")
        if len(shape) == 2 and shape[1] != 2:
            raise SqlError("2202E", "array must have two columns")
        if len(shape) > 2:
            raise SqlError("2202E", "wrong number of array subscripts")
        flat = list(flatten(keys))
    if None in flat[::2]:
        raise SqlError("22004", "null value not allowed for object key")
    return list(zip(flat[::2], flat[1::2], strict=True))


@scalar("json_object(_text)", "json_object(_text,_text)")
def json_object(keys: list[Any], values: list[Any] | None = None) -> str:
    members = (
        f"{json_string(key)} : {'null' if value is None else json_string(value)}"
        for key, value in _text_pairs(keys, values)
    )
    return "{" + ", ".join(members) + "}"


@scalar("jsonb_object(_text)", "jsonb_object(_text,_text)")
def jsonb_object(keys: list[Any], values: list[Any] | None = None) -> str:
    return dump_json(dict(_text_pairs(keys, values)))


# ── aggregates ──────────────────────────────────────────────────────────────────────────────────────────────────────


class JsonArray:
    """json_agg and jsonb_agg; elements that are arrays or rows start on lines of their own in json."""

    def __init__(self, context: Context, oid: int, binary: bool, strict: bool) -> None:
        self.context = context
        self.oid = oid
        self.binary = binary
        self.strict = strict
        self.texts: list[str] = []
        self.separator = ", \n " if is_array(oid) or oid == oids.RECORD else ", "

    def add(self, value: Any) -> None:
        if value is None and self.strict:
            return
        if self.texts:
            self.texts.append(", " if value is None else self.separator)
        self.texts.append(to_json_text(value, self.oid, self.context))

    def result(self) -> str | None:
        if not self.texts:
            return None
        text = "[" + "".join(self.texts) + "]"
        return canonical_jsonb(text) if self.binary else text


class JsonObject:
    """json_object_agg and jsonb_object_agg with their strict and unique variants."""

    def __init__(
        self, context: Context, key_type: int, value_type: int, binary: bool, strict: bool, unique: bool
    ) -> None:
        self.context = context
        self.key_type = key_type
        self.value_type = value_type
        self.binary = binary
        self.strict = strict
        self.unique = unique
        self.seen: set[str] = set()
        self.any = False
        self.texts: list[str] = []

    def add(self, key: Any, value: Any) -> None:
        self.any = True
        if key is None:
            if self.binary:
                raise SqlError("22023", "field name must not be null")
            raise SqlError("22004", "null value not allowed for object key")
        if value is None and self.strict:
            return
        name = key_text(key, self.key_type, self.context)
        if self.unique:
            if name in self.seen:
                quoted = name if self.binary else json_string(name)
                raise SqlError("22030", f"duplicate JSON object key value{'' if self.binary else ': ' + quoted}")
            self.seen.add(name)
        self.texts.append(f"{json_string(name)} : {to_json_text(value, self.value_type, self.context)}")

    def result(self) -> str | None:
        if not self.any:
            return None
        text = "{ " + ", ".join(self.texts) + " }"
        return canonical_jsonb(text) if self.binary else text


def _array_maker(binary: bool, strict: bool) -> Callable[..., Accumulator]:
    def create(context: Context, *, argument_types: tuple[int, ...], result_type: int) -> Accumulator:
        return JsonArray(context, argument_types[0], binary, strict)

    return create


def _object_maker(binary: bool, strict: bool, unique: bool) -> Callable[..., Accumulator]:
    def create(context: Context, *, argument_types: tuple[int, ...], result_type: int) -> Accumulator:
        return JsonObject(context, argument_types[0], argument_types[1], binary, strict, unique)

    return create


for _prefix, _binary in (("json", False), ("jsonb", True)):
    for _suffix, _strict in (("", False), ("_strict", True)):
        aggregate(f"{_prefix}_agg{_suffix}(anyelement)", skips_null=False, typed=True, context=True)(
            _array_maker(_binary, _strict)
        )
        for _unique_suffix, _unique in (("", False), ("_unique", True)):
            aggregate(
                f"{_prefix}_object_agg{_unique_suffix}{_suffix}(any,any)", skips_null=False, typed=True, context=True
            )(_object_maker(_binary, _strict, _unique))
