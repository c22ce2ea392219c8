"""Operators and functions that read and change json and jsonb (PostgreSQL's manual, 9.16, tables 9.45 to 9.48).

json is the text as written, jsonb the canonical text (`frontend.types.jsondata`). Reading cuts pieces out of the text
(`json_scanning`: about 1 µs for a small document); changing parses to Python values and writes canonical text again.
Construction from SQL values is in `json_construction`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from frontend.errors import SqlError
from frontend.functions.json_scanning import (
    as_text,
    descend,
    element,
    elements,
    kind_of,
    member,
    members,
    path_index,
    same_value,
    values_of,
)
from frontend.functions.registry import scalar, set_returning
from frontend.types.jsondata import JsonNumber, dump_json, key_order, parse_json


def _refused(message: str) -> SqlError:
    return SqlError("22023", message)


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@scalar("json_object_field(json,text)")
def json_object_field(document: str, key: str) -> str | None:
    return member(document, key, unique=False)


@scalar("jsonb_object_field(jsonb,text)")
def jsonb_object_field(document: str, key: str) -> str | None:
    return member(document, key, unique=True)


@scalar("json_object_field_text(json,text)")
def json_object_field_text(document: str, key: str) -> str | None:
    return as_text(member(document, key, unique=False))


@scalar("jsonb_object_field_text(jsonb,text)")
def jsonb_object_field_text(document: str, key: str) -> str | None:
    return as_text(member(document, key, unique=True))


scalar("json_array_element(json,int4)")(element)


@scalar("json_array_element_text(json,int4)")
def json_array_element_text(document: str, index: int) -> str | None:
    return as_text(element(document, index))


@scalar("jsonb_array_element(jsonb,int4)")
def jsonb_array_element(document: str, index: int) -> str | None:
    """A scalar document counts as an array of one element, as PostgreSQL stores it."""
    if document[0] not in "{[":
        return document if index in (0, -1) else None
    return element(document, index)


@scalar("jsonb_array_element_text(jsonb,int4)")
def jsonb_array_element_text(document: str, index: int) -> str | None:
    return as_text(jsonb_array_element(document, index))


@scalar("json_extract_path(json,_text)")
def json_extract_path(document: str, path: list[str | None]) -> str | None:
    return descend(document.strip(" \t\n\r"), path, unique=False)


@scalar("jsonb_extract_path(jsonb,_text)")
def jsonb_extract_path(document: str, path: list[str | None]) -> str | None:
    return descend(document, path, unique=True)


@scalar("json_extract_path_text(json,_text)")
def json_extract_path_text(document: str, path: list[str | None]) -> str | None:
    return as_text(json_extract_path(document, path))


@scalar("jsonb_extract_path_text(jsonb,_text)")
def jsonb_extract_path_text(document: str, path: list[str | None]) -> str | None:
    return as_text(descend(document, path, unique=True))


scalar("json_typeof(json)", "jsonb_typeof(jsonb)")(kind_of)


def _array_length(document: str) -> int:
    kind = kind_of(document)
    if kind == "object":
        raise _refused("cannot get array length of a non-array")
    if kind != "array":
        raise _refused("cannot get array length of a scalar")
    return sum(1 for _ in elements(document))


scalar("json_array_length(json)", "jsonb_array_length(jsonb)")(_array_length)


def _check_json_object(document: str) -> None:
    kind = kind_of(document)
    if kind == "array":
        raise _refused("cannot deconstruct an array as an object")
    if kind != "object":
        raise _refused("cannot deconstruct a scalar")


def _check_jsonb_object(document: str, function: str) -> None:
    if kind_of(document) != "object":
        raise _refused(f"cannot call {function} on a non-object")


@set_returning("json_each(json)")
def json_each(document: str) -> Iterable[tuple[str, str]]:
    _check_json_object(document)
    return [(key, document[start:end]) for key, (start, end) in members(document)]


@set_returning("json_each_text(json)")
def json_each_text(document: str) -> Iterable[tuple[str, str | None]]:
    _check_json_object(document)
    return [(key, as_text(document[start:end])) for key, (start, end) in members(document)]


@set_returning("jsonb_each(jsonb)")
def jsonb_each(document: str) -> Iterable[tuple[str, str]]:
    _check_jsonb_object(document, "jsonb_each")
    return [(key, document[start:end]) for key, (start, end) in members(document)]


@set_returning("jsonb_each_text(jsonb)")
def jsonb_each_text(document: str) -> Iterable[tuple[str, str | None]]:
    _check_jsonb_object(document, "jsonb_each_text")
    return [(key, as_text(document[start:end])) for key, (start, end) in members(document)]


def _keys(document: str, function: str) -> list[str]:
    kind = kind_of(document)
    if kind != "object":
        raise _refused(f"cannot call {function} on {'an array' if kind == 'array' else 'a scalar'}")
    return [key for key, _ in members(document)]


@set_returning("json_object_keys(json)")
def json_object_keys(document: str) -> Iterable[str]:
    return _keys(document, "json_object_keys")


@set_returning("jsonb_object_keys(jsonb)")
def jsonb_object_keys(document: str) -> Iterable[str]:
    return _keys(document, "jsonb_object_keys")


def _json_elements(document: str, function: str) -> list[str]:
    kind = kind_of(document)
    if kind != "array":
        raise _refused(f"cannot call {function} on a {'non-array' if kind == 'object' else 'scalar'}")
    return [document[start:end] for start, end in elements(document)]


def _jsonb_elements(document: str) -> list[str]:
    kind = kind_of(document)
    if kind != "array":
        raise _refused(f"cannot extract elements from {'an object' if kind == 'object' else 'a scalar'}")
    return [document[start:end] for start, end in elements(document)]


@set_returning("json_array_elements(json)")
def json_array_elements(document: str) -> Iterable[str]:
    return _json_elements(document, "json_array_elements")


@set_returning("json_array_elements_text(json)")
def json_array_elements_text(document: str) -> Iterable[str | None]:
    return map(as_text, _json_elements(document, "json_array_elements_text"))


@set_returning("jsonb_array_elements(jsonb)")
def jsonb_array_elements(document: str) -> Iterable[str]:
    return _jsonb_elements(document)


@set_returning("jsonb_array_elements_text(jsonb)")
def jsonb_array_elements_text(document: str) -> Iterable[str | None]:
    return map(as_text, _jsonb_elements(document))


# ── tests ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _contains(whole: Any, part: Any) -> bool:
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(
            key in whole and _contains_value(whole[key], value) for key, value in part.items()
        )
    if isinstance(part, list):
        return isinstance(whole, list) and all(
            any(_contains_value(candidate, wanted) for candidate in whole) for wanted in part
        )
    return same_value(whole, part)


def _contains_value(whole: Any, part: Any) -> bool:
    if isinstance(part, (dict, list)):
        return _contains(whole, part)
    return same_value(whole, part)


@scalar("jsonb_contains(jsonb,jsonb)")
def jsonb_contains(document: str, part: str) -> bool:
    """@>: every member and element of `part` is somewhere in the document; an array also contains a single scalar."""
    whole, wanted = values_of(document), values_of(part)
    if isinstance(whole, list) and not isinstance(wanted, (dict, list)):
        return any(same_value(candidate, wanted) for candidate in whole)
    return _contains(whole, wanted)


@scalar("jsonb_contained(jsonb,jsonb)")
def jsonb_contained(part: str, document: str) -> bool:
    return jsonb_contains(document, part)


def _top_strings(document: str) -> set[str]:
    """The keys of an object, the strings of an array, or the string itself."""
    kind = kind_of(document)
    if kind == "object":
        return {key for key, _ in members(document)}
    if kind == "array":
        return {str(as_text(document[start:end])) for start, end in elements(document) if document[start] == '"'}
    return {str(as_text(document))} if kind == "string" else set()


@scalar("jsonb_exists(jsonb,text)")
def jsonb_exists(document: str, key: str) -> bool:
    return key in _top_strings(document)


@scalar("jsonb_exists_any(jsonb,_text)")
def jsonb_exists_any(document: str, keys: list[str | None]) -> bool:
    strings = _top_strings(document)
    return any(key in strings for key in keys if key is not None)


@scalar("jsonb_exists_all(jsonb,_text)")
def jsonb_exists_all(document: str, keys: list[str | None]) -> bool:
    strings = _top_strings(document)
    return all(key in strings for key in keys if key is not None)


# ── changing ────────────────────────────────────────────────────────────────────────────────────────────────────────


@scalar("jsonb_concat(jsonb,jsonb)")
def jsonb_concat(left: str, right: str) -> str:
    """|| merges two objects; anything else becomes one array."""
    first, second = parse_json(left), parse_json(right)
    if isinstance(first, dict) and isinstance(second, dict):
        return dump_json(first | second)
    return dump_json(
        (first if isinstance(first, list) else [first]) + (second if isinstance(second, list) else [second])
    )


def _is_string(value: Any, text: str) -> bool:
    return isinstance(value, str) and not isinstance(value, JsonNumber) and value == text


@scalar("jsonb_delete(jsonb,text)")
def jsonb_delete(document: str, key: str) -> str:
    return jsonb_delete_all(document, [key])


@scalar("jsonb_delete(jsonb,_text)")
def jsonb_delete_all(document: str, keys: list[str | None]) -> str:
    value = parse_json(document)
    if isinstance(value, dict):
        return dump_json({name: item for name, item in value.items() if name not in keys})
    if isinstance(value, list):
        return dump_json([item for item in value if not any(key is not None and _is_string(item, key) for key in keys)])
    raise _refused("cannot delete from scalar")


@scalar("jsonb_delete(jsonb,int4)")
def jsonb_delete_index(document: str, index: int) -> str:
    value = parse_json(document)
    if isinstance(value, dict):
        raise _refused("cannot delete from object using integer index")
    if not isinstance(value, list):
        raise _refused("cannot delete from scalar")
    if -len(value) <= index < len(value):
        del value[index]
    return dump_json(value)


_DELETE, _SET, _SET_EXISTING, _INSERT_BEFORE, _INSERT_AFTER = range(5)
_MISSING = object()


def _change(value: Any, path: list[str | None], level: int, operation: int, new: Any) -> Any:
    """The value with the change made at path[level:]."""
    step = path[level]
    if step is None:
        raise SqlError("22004", f"path element at position {level + 1} is null")
    is_last = level == len(path) - 1
    if isinstance(value, dict):
        present = step in value
        if is_last:
            if operation == _DELETE:
                return {key: item for key, item in value.items() if key != step}
            if present and operation in (_INSERT_BEFORE, _INSERT_AFTER):
                raise SqlError(
                    "22023",
                    "cannot replace existing key",
                    hint="Try using the function jsonb_set to replace key value.",
                )
            return value if not present and operation == _SET_EXISTING else value | {step: new}
        return value | {step: _change(value[step], path, level + 1, operation, new)} if present else value
    if isinstance(value, list):
        index = path_index(step)
        if index is None:
            raise SqlError("22P02", f'path element at position {level + 1} is not an integer: "{step}"')
        return _change_array(value, index, is_last, path, level, operation, new)
    return value


def _change_array(
    value: list[Any], index: int, is_last: bool, path: list[str | None], level: int, operation: int, new: Any
) -> list[Any]:
    size = len(value)
    place = index + size if index < 0 else index
    if not 0 <= place < size:
        if not is_last or operation in (_DELETE, _SET_EXISTING):
            return value
        return [new, *value] if place < 0 else [*value, new]
    before, old, after = value[:place], value[place], value[place + 1 :]
    if not is_last:
        return [*before, _change(old, path, level + 1, operation, new), *after]
    if operation == _DELETE:
        return before + after
    if operation == _INSERT_BEFORE:
        return [*before, new, old, *after]
    if operation == _INSERT_AFTER:
        return [*before, old, new, *after]
    return [*before, new, *after]


def _changed(document: str, path: list[str | None], operation: int, new: str | None) -> str:
    value = parse_json(document)
    if not isinstance(value, (dict, list)):
        raise _refused("cannot delete path in scalar" if operation == _DELETE else "cannot set path in scalar")
    if not path or (not value and operation in (_DELETE, _SET_EXISTING)):
        return document
    return dump_json(_change(value, path, 0, operation, None if new is None else parse_json(new)))


@scalar("jsonb_delete_path(jsonb,_text)")
def jsonb_delete_path(document: str, path: list[str | None]) -> str:
    return _changed(document, path, _DELETE, None)


@scalar("jsonb_set(jsonb,_text,jsonb,bool)")
def jsonb_set(document: str, path: list[str | None], new: str, create_missing: bool) -> str:
    return _changed(document, path, _SET if create_missing else _SET_EXISTING, new)


@scalar("jsonb_insert(jsonb,_text,jsonb,bool)")
def jsonb_insert(document: str, path: list[str | None], new: str, insert_after: bool) -> str:
    return _changed(document, path, _INSERT_AFTER if insert_after else _INSERT_BEFORE, new)


@scalar("jsonb_set_lax(jsonb,_text,jsonb,bool,text)")
def jsonb_set_lax(
    document: str | None,
    path: list[str | None] | None,
    new: str | None,
    create_missing: bool | None,
    null_treatment: str | None,
) -> str | None:
    if document is None or path is None or create_missing is None:
        return None
    if new is not None and null_treatment is not None:
        return jsonb_set(document, path, new, create_missing)
    if null_treatment not in ("raise_exception", "use_json_null", "delete_key", "return_target"):
        raise _refused(
            'null_value_treatment must be "delete_key", "return_target", "use_json_null", or "raise_exception"'
        )
    if null_treatment == "raise_exception":
        raise SqlError(
            "22004",
            "JSON value must not be null",
            detail='Exception was raised because null_value_treatment is "raise_exception".',
            hint="To avoid, either change the null_value_treatment argument or ensure that an SQL NULL is not passed.",
        )
    if null_treatment == "use_json_null":
        return jsonb_set(document, path, "null", create_missing)
    return jsonb_delete_path(document, path) if null_treatment == "delete_key" else document


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


@scalar("jsonb_strip_nulls(jsonb)")
def jsonb_strip_nulls(document: str) -> str:
    return dump_json(_without_nulls(parse_json(document)))


_STRING_OR_SPACE = re.compile(r'("(?:[^"\\]|\\.)*")|[ \t\n\r]+', re.DOTALL)


def _compact(text: str) -> str:
    return _STRING_OR_SPACE.sub(lambda found: found[1] or "", text)


@scalar("json_strip_nulls(json)")
def json_strip_nulls(document: str) -> str:
    """The text without members that are null, and without white space."""
    kind = kind_of(document)
    if kind == "object":
        kept = [
            f"{_quoted(key)}:{json_strip_nulls(document[start:end])}"
            for key, (start, end) in members(document)
            if document[start:end] != "null"
        ]
        return "{" + ",".join(kept) + "}"
    if kind == "array":
        return "[" + ",".join(json_strip_nulls(document[start:end]) for start, end in elements(document)) + "]"
    text = _compact(document)
    return _quoted(str(as_text(text))) if kind == "string" else text


def _quoted(text: str) -> str:
    return dump_json(text)


def _pretty(value: Any, indent: str, write: list[str]) -> None:
    if isinstance(value, dict):
        inner = indent + "    "
        write.append("{\n")
        for place, key in enumerate(sorted(value, key=key_order)):
            write.append(f"{',' + chr(10) if place else ''}{inner}{_quoted(key)}: ")
            _pretty(value[key], inner, write)
        write.append(f"{chr(10) if value else ''}{indent}}}")
    elif isinstance(value, list):
        inner = indent + "    "
        write.append("[\n")
        for place, item in enumerate(value):
            write.append(f"{',' + chr(10) if place else ''}{inner}")
            _pretty(item, inner, write)
        write.append(f"{chr(10) if value else ''}{indent}]")
    else:
        write.append(dump_json(value))


@scalar("jsonb_pretty(jsonb)")
def jsonb_pretty(document: str) -> str:
    write: list[str] = []
    _pretty(parse_json(document), "", write)
    return "".join(write)
