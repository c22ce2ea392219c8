"""Editing SQL text that the catalog stores: parse, change the tree, print it again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache

import msgspec

from frontend.errors import SqlError
from frontend.sql import syntax
from frontend.sql.deparse import deparse_expression, deparse_query
from frontend.sql.parser import parse, parse_expression

Name = tuple[str, str]
"""(schema, relation)."""


@cache
def parsed_expression(text: str) -> syntax.Expression:
    """A stored expression as a tree; shared, so it must not be changed."""
    return parse_expression(text)


def parse_view(text: str) -> syntax.Select:
    """A stored view query as a tree."""
    statements = parse(text)
    statement = statements[0].statement
    if len(statements) != 1 or not isinstance(statement, syntax.Select):
        raise SqlError("XX000", "a view's stored query is not a query")
    return statement


def walk(node: object) -> Iterator[syntax.Node]:
    """Every node of a tree, parents first."""
    if isinstance(node, syntax.Node):
        yield node
        for name in node.__struct_fields__:
            yield from walk(getattr(node, name))
    elif isinstance(node, list | tuple):
        for item in node:
            yield from walk(item)


def _edited(query: syntax.Select, change: Callable[[syntax.TableItem], None]) -> str:
    for node in walk(query):
        if isinstance(node, syntax.TableItem):
            change(node)
    return deparse_query(query)


def expression_with_column_renamed(text: str, old: str, new: str) -> str:
    """An expression of a table (whose columns it names plainly) after one of them got another name."""
    tree = parse_expression(text)
    changed = False
    for node in walk(tree):
        if isinstance(node, syntax.ColumnReference) and node.names and node.names[-1] == old and not node.star:
            node.names = [*node.names[:-1], new]
            changed = True
    return deparse_expression(tree) if changed else text


def view_with_relation_renamed(text: str, before: Name, after: Name, *, alias: str | None) -> str:
    """A view's query after a relation that it reads got another name or schema.

    `alias`: what columns are qualified with in the text; given to the relation where it has no alias yet.
    """

    def change(item: syntax.TableItem) -> None:
        if (item.relation.schema, item.relation.name) == before:
            item.relation = msgspec.structs.replace(item.relation, schema=after[0], name=after[1])
            if item.alias is None and alias is not None and alias != after[1]:
                item.alias = syntax.Alias(name=alias)

    return _edited(parse_view(text), change)


def view_following_columns(
    text: str, relation: Name, before: Sequence[tuple[int, str]], after: Sequence[tuple[int, str]]
) -> str:
    """A view's query after the live columns (number, name) of a relation that it reads have changed.

    Columns keep the names that the query knows them by, in an alias list where those differ from their own; a new column
    whose name the query gives to another one gets a name that it does not use.
    """
    changed = False

    def change(item: syntax.TableItem) -> None:
        nonlocal changed
        if (item.relation.schema, item.relation.name) != relation:
            return
        alias = item.alias or syntax.Alias(name=item.relation.name)
        known = {
            number: alias.columns[place] if place < len(alias.columns) else name
            for place, (number, name) in enumerate(before)
        }
        shown: list[str] = []
        for number, name in after:
            wanted = known.get(number, name)
            if number not in known:
                suffix = 0
                while wanted in shown or wanted in known.values():
                    suffix += 1
                    wanted = f"{name}_{suffix}"
            shown.append(wanted)
        columns = [] if shown == [name for _, name in after] else shown
        if columns != alias.columns:
            changed = True
            keeps = item.alias is not None and alias.name != item.relation.name
            item.alias = syntax.Alias(name=alias.name, columns=columns) if columns or keeps else None

    edited = _edited(parse_view(text), change)
    return edited if changed else text
