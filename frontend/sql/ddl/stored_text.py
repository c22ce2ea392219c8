"""Editing SQL text that the catalog stores: parse, change the tree, print it again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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


def view_with_column_aliases(text: str, relation: Name, columns: list[str]) -> str:
    """A view's query in which a relation's columns keep the names `columns`, whatever they are called now."""

    def change(item: syntax.TableItem) -> None:
        if (item.relation.schema, item.relation.name) == relation:
            alias = item.alias or syntax.Alias(name=item.relation.name)
            if not alias.columns:
                item.alias = syntax.Alias(name=alias.name, columns=list(columns))
            elif len(alias.columns) < len(columns):
                item.alias = syntax.Alias(name=alias.name, columns=[*alias.columns, *columns[len(alias.columns) :]])

    return _edited(parse_view(text), change)


def view_with_column_dropped(text: str, relation: Name, place: int) -> str:
    """A view's query after the relation's live column at `place` (which it does not use) was dropped."""

    def change(item: syntax.TableItem) -> None:
        alias = item.alias
        if (item.relation.schema, item.relation.name) == relation and alias is not None and place < len(alias.columns):
            remaining = [name for at, name in enumerate(alias.columns) if at != place]
            item.alias = syntax.Alias(name=alias.name, columns=remaining)

    return _edited(parse_view(text), change)
