"""Rows from JSON: json(b)_to_record(set) and json(b)_populate_record(set) (PostgreSQL's manual, 9.16, table 9.47).

The columns come from the call's column definition list (`columns`, see `registry`) or from the table whose row type the
first argument has. A member becomes a column's value through the type's input function; arrays are taken element by
element, json and jsonb as they are. Members of composite types are refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from frontend.context import Context
from frontend.errors import SqlError, unsupported
from frontend.functions.json_scanning import as_text, elements, kind_of, members
from frontend.functions.registry import scalar, set_returning
from frontend.types import oids
from frontend.types.jsondata import canonical_jsonb
from frontend.types.records import record_class
from frontend.types.registry import is_array, is_known_type, type_by_oid
from storage.catalog import Table, View

Column = tuple[str, int, int]  # name, type, typmod


def _value(context: Context, text: str, oid: int, typmod: int, name: str) -> Any:
    """One member as a value of a type."""
    if text == "null":
        return None
    if oid == oids.JSON:
        return text
    if oid == oids.JSONB:
        return canonical_jsonb(text)
    if not is_known_type(oid):
        raise unsupported("a member of a composite type in JSON")
    if is_array(oid):
        if text[0] != "[":
            raise SqlError("22P02", "expected JSON array", hint=f'See the value of key "{name}".')
        element = type_by_oid(oid).element
        return [_array_item(context, text[start:end], oid, element, typmod, name) for start, end in elements(text)]
    entry = type_by_oid(oid)
    value = entry.input(as_text(text) or "", typmod, context)
    return entry.apply_typmod(value, typmod, False) if typmod >= 0 else value


def _array_item(context: Context, text: str, array: int, element: int, typmod: int, name: str) -> Any:
    return _value(context, text, array if text[0] == "[" and element != oids.JSON else element, typmod, name)


def _row(context: Context, text: str, columns: Sequence[Column], base: Sequence[Any] | None) -> tuple[Any, ...]:
    kind = kind_of(text)
    if kind != "object":
        what = "an array" if kind == "array" else "a scalar"
        raise SqlError("22023", f"cannot call populate_composite on {what}")
    given = {key: text[start:end] for key, (start, end) in members(text)}
    return tuple(
        _value(context, given[name], oid, typmod, name) if name in given else None if base is None else base[place]
        for place, (name, oid, typmod) in enumerate(columns)
    )


def _rows(
    context: Context, text: str, columns: Sequence[Column], base: Sequence[Any] | None, function: str
) -> Iterable[tuple[Any, ...]]:
    kind = kind_of(text)
    if kind != "array":
        raise SqlError("22023", f"cannot call {function} on {'an object' if kind == 'object' else 'a scalar'}")
    for start, end in elements(text):
        item = text[start:end]
        if kind_of(item) != "object":
            raise SqlError("22023", f"argument of {function} must be an array of objects")
        yield _row(context, item, columns, base)


def _make_to_record(prefix: str) -> None:
    def to_record(context: Context, document: str, *, columns: Sequence[Column]) -> Iterable[tuple[Any, ...]]:
        return (_row(context, document.strip(), columns, None),)

    def to_recordset(context: Context, document: str | None, *, columns: Sequence[Column]) -> Iterable[tuple[Any, ...]]:
        return () if document is None else _rows(context, document, columns, None, f"{prefix}_to_recordset")

    set_returning(f"{prefix}_to_record({prefix})", context=True, columns=True)(to_record)
    set_returning(f"{prefix}_to_recordset({prefix})", context=True, columns=True)(to_recordset)


def columns_of_row_type(context: Context, oid: int) -> list[Column]:
    """The columns of the table or view whose row type this is."""
    for item in context.catalog.objects.values():
        if isinstance(item, (Table, View)) and item.type == oid:
            return [(column.name, column.type, column.typmod) for column in item.columns]
    raise unsupported("a record without a table's row type here")


def _record(columns: Sequence[Column], values: tuple[Any, ...]) -> tuple[Any, ...]:
    names, types = tuple(name for name, _, _ in columns), tuple(oid for _, oid, _ in columns)
    return record_class(types, names)(values)


def _make_populate(prefix: str, extra: str) -> None:
    def populate_record(
        context: Context,
        base: tuple[Any, ...] | None,
        document: str | None,
        use_json_as_text: bool = False,
        *,
        argument_types: tuple[int, ...],
        result_type: int,
    ) -> tuple[Any, ...] | None:
        if document is None:
            return base
        columns = columns_of_row_type(context, argument_types[0])
        return _record(columns, _row(context, document.strip(), columns, base))

    def populate_recordset(
        context: Context,
        base: tuple[Any, ...] | None,
        document: str | None,
        use_json_as_text: bool = False,
        *,
        argument_types: tuple[int, ...],
        result_type: int,
    ) -> Iterable[tuple[Any, ...]]:
        if document is None:
            return
        columns = columns_of_row_type(context, argument_types[0])
        for values in _rows(context, document, columns, base, f"{prefix}_populate_recordset"):
            yield _record(columns, values)

    def populated_row(*arguments: Any, **types: Any) -> Iterable[tuple[Any, ...]]:
        row = populate_record(*arguments, **types)
        return () if row is None else (row,)

    set_returning(f"{prefix}_populate_record(anyelement,{prefix}{extra})", context=True, typed=True)(populated_row)
    scalar(f"{prefix}_populate_record(anyelement,{prefix}{extra})", context=True, typed=True)(populate_record)
    set_returning(f"{prefix}_populate_recordset(anyelement,{prefix}{extra})", context=True, typed=True)(
        populate_recordset
    )


for _prefix, _extra in (("json", ",bool"), ("jsonb", "")):
    _make_to_record(_prefix)
    _make_populate(_prefix, _extra)
