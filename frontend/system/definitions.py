"""SQL text that defines catalog objects, as PostgreSQL's pg_get_constraintdef, pg_get_indexdef and pg_get_viewdef print it.

Names are qualified where the search path does not find them, except where PostgreSQL always qualifies (the table of an index).
"""

from __future__ import annotations

import re
from collections.abc import Sequence as Items
from typing import TYPE_CHECKING

from frontend.system.keywords import quoted
from storage.catalog import Catalog, Column, Constraint, Index, KeyPart, Relation, Schema, Sequence, Table, View

if TYPE_CHECKING:
    from frontend.context import Context

_ACTIONS = {"a": "", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}
_REGCLASS = re.compile(r"'((?:[^']|'')*)'::regclass")
_FUNCTION_CALL = re.compile(r'[a-z_"][\w".]*\(.*\)\Z', re.IGNORECASE | re.DOTALL)


def schema_name(catalog: Catalog, item: Relation) -> str:
    """The name of the relation's schema."""
    schema = catalog.objects[item.schema]
    assert isinstance(schema, Schema)
    return schema.name


def is_visible(context: Context, item: Relation) -> bool:
    """Whether the relation is what its name alone means under the search path."""
    catalog = context.catalog
    for name in context.search_path:
        schema = catalog.schema(name)
        found = None if schema is None else catalog.relation(schema.oid, item.name)
        if found is not None:
            return found.oid == item.oid
    return False


def relation_text(context: Context, item: Relation) -> str:
    """The relation's name as SQL text, qualified unless it is visible."""
    if is_visible(context, item):
        return quoted(item.name)
    return f"{quoted(schema_name(context.catalog, item))}.{quoted(item.name)}"


def column_list(columns: Items[Column], numbers: Items[int]) -> str:
    """Column names by attribute number, separated by commas."""
    return ", ".join(quoted(columns[number - 1].name) for number in numbers)


def expression_text(context: Context, text: str) -> str:
    """A stored expression as it reads under the search path: regclass constants lose a schema that is not needed."""
    if "::regclass" not in text:
        return text

    def shortened(match: re.Match[str]) -> str:
        name = match.group(1).replace("''", "'")
        for item in context.catalog.objects.values():
            if (
                isinstance(item, Sequence)
                and f"{quoted(schema_name(context.catalog, item))}.{quoted(item.name)}" == name
            ):
                return "'" + relation_text(context, item).replace("'", "''") + "'::regclass"
        return match.group(0)

    return _REGCLASS.sub(shortened, text)


# ── constraints ─────────────────────────────────────────────────────────────────────────────────────────────────────


def constraint_definition(context: Context, table: Table, constraint: Constraint, *, readable: bool = False) -> str:
    """pg_get_constraintdef."""
    catalog = context.catalog
    match constraint.kind:
        case "p" | "u":
            text = "PRIMARY KEY" if constraint.kind == "p" else "UNIQUE"
            index = catalog.objects.get(constraint.index)
            if isinstance(index, Index) and index.nulls_not_distinct:
                text += " NULLS NOT DISTINCT"
            text += f" ({column_list(table.columns, constraint.columns)})"
            if isinstance(index, Index) and index.include:
                text += f" INCLUDE ({column_list(table.columns, index.include)})"
            if isinstance(index, Index) and index.options:
                text += f" WITH ({_options(index.options)})"
        case "c":
            condition = parenthesised(expression_text(context, constraint.expression or ""))
            text = f"CHECK ({pretty(condition) if readable else condition})"
            if constraint.no_inherit:
                text += " NO INHERIT"
        case _:
            target = catalog.table(constraint.foreign_table)
            text = (
                f"FOREIGN KEY ({column_list(table.columns, constraint.columns)}) REFERENCES "
                f"{relation_text(context, target)}({column_list(target.columns, constraint.foreign_columns)})"
            )
            if constraint.match_full:
                text += " MATCH FULL"
            if constraint.on_update != "a":
                text += f" ON UPDATE {_ACTIONS[constraint.on_update]}"
            if constraint.on_delete != "a":
                text += f" ON DELETE {_ACTIONS[constraint.on_delete]}"
                if constraint.on_delete_columns:
                    text += f" ({column_list(table.columns, constraint.on_delete_columns)})"
    if constraint.deferrable:
        text += " DEFERRABLE"
    if constraint.initially_deferred:
        text += " INITIALLY DEFERRED"
    if not constraint.validated:
        text += " NOT VALID"
    return text


def parenthesised(text: str) -> str:
    """The expression in one pair of parentheses of its own."""
    return text if _is_parenthesised(text) else f"({text})"


def pretty(text: str) -> str:
    """A stored expression with parentheses that only make precedence plain left out, as PostgreSQL's pretty-printing does."""
    from frontend.sql.binder.table_expressions import parse_stored
    from frontend.sql.deparse import deparse_expression

    return deparse_expression(parse_stored(text), pretty=True)


def _is_parenthesised(text: str) -> bool:
    """Whether the first parenthesis closes with the last character."""
    if not text.startswith("(") or not text.endswith(")"):
        return False
    depth = 0
    quote = ""
    for place, character in enumerate(text):
        if quote:
            if character == quote:
                quote = ""
        elif character in "'\"":
            quote = character
        elif character == "(":
            depth += 1
        elif character == ")":
            depth -= 1
            if depth == 0:
                return place == len(text) - 1
    return False


def _options(options: dict[str, str]) -> str:
    return ", ".join(f"{name}={_option_value(value)}" for name, value in options.items())


def _option_value(value: str) -> str:
    if re.match(r"[a-z_][a-z0-9_]*\Z", value):
        return value
    return "'" + value.replace("'", "''") + "'"


# ── indexes ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def index_column_definition(context: Context, index: Index, position: int, *, readable: bool = False) -> str:
    """pg_get_indexdef with a column number (from 1): the key or included column without its options."""
    table = context.catalog.table(index.table)
    if position <= len(index.key):
        return _key_text(context, table, index.key[position - 1], readable=readable)
    place = position - len(index.key) - 1
    return quoted(table.columns[index.include[place] - 1].name) if place < len(index.include) else ""


def _key_text(context: Context, table: Table, part: KeyPart, *, readable: bool = False) -> str:
    if part.expression is None:
        return quoted(table.columns[part.number - 1].name)
    text = expression_text(context, part.expression)
    if readable:
        text = pretty(text)
    return text if _FUNCTION_CALL.match(text) and not text.startswith("(") else parenthesised(text)


def index_definition(context: Context, index: Index, *, qualified: bool = True) -> str:
    """pg_get_indexdef."""
    catalog = context.catalog
    table = catalog.table(index.table)
    name = f"{quoted(schema_name(catalog, table))}.{quoted(table.name)}"
    if not qualified:
        name = relation_text(context, table)
    keys = []
    for part in index.key:
        text = _key_text(context, table, part, readable=not qualified)
        if part.operator_class:
            text += f" {quoted(part.operator_class)}"
        if part.descending:
            text += " DESC"
            if not part.nulls_first:
                text += " NULLS LAST"
        elif part.nulls_first:
            text += " NULLS FIRST"
        keys.append(text)
    text = f"CREATE {'UNIQUE ' if index.unique else ''}INDEX {quoted(index.name)} ON {name} USING btree ({', '.join(keys)})"
    if index.include:
        text += f" INCLUDE ({column_list(table.columns, index.include)})"
    if index.nulls_not_distinct:
        text += " NULLS NOT DISTINCT"
    if index.options:
        text += f" WITH ({_options(index.options)})"
    if index.predicate is not None:
        condition = parenthesised(expression_text(context, index.predicate))
        text += f" WHERE {condition if qualified else pretty(condition)}"
    return text


# ── views ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def view_definition(context: Context, view: View, *, readable: bool = False) -> str:
    """pg_get_viewdef: the query, with schemas only where the search path needs them, and a semicolon."""
    from frontend.sql.ddl.stored_text import parse_view, walk
    from frontend.sql.deparse_layout import deparse_view
    from frontend.sql.syntax import TableItem

    query = parse_view(view.query)
    catalog = context.catalog
    tables: dict[int, list[str]] = {}
    for node in walk(query):
        if isinstance(node, TableItem) and node.relation.schema is not None:
            schema = catalog.schema(node.relation.schema)
            found = None if schema is None else catalog.relation(schema.oid, node.relation.name)
            if isinstance(found, Table | View):
                tables[id(node)] = [column.name for column in found.columns if not column.dropped]
            if (found is not None and is_visible(context, found)) or node.relation.schema == "pg_catalog":
                node.relation.schema = None
    names = [column.name for column in view.columns]
    text = deparse_view(query, names, lambda item: tables.get(id(item), ()), pretty=readable)
    return expression_text(context, text + ";")


def acl_texts(catalog: Catalog, acl: Items[tuple[int, int, str]] | None) -> list[str] | None:
    """An access list as aclitem texts."""
    if acl is None:
        return None
    return [
        f"{'' if grantee == 0 else _role_name(catalog, grantee)}={letters}/{_role_name(catalog, grantor)}"
        for grantee, grantor, letters in acl
    ]


def _role_name(catalog: Catalog, oid: int) -> str:
    role = catalog.objects.get(oid)
    return str(oid) if role is None else quoted(role.name)
