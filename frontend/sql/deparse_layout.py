"""Queries over several lines, laid out as PostgreSQL lays out view definitions (pg_get_viewdef, psql's \\d+ and \\sv).

Each clause begins a line; its keyword stands 1 to 3 columns in, so that the clauses' ends line up under SELECT:

     SELECT a.id,                      a query in a query is 8 columns further in:
        b.v                                ( SELECT max(t.id) AS max
       FROM a                                     FROM t)
         JOIN b ON a.id = b.id
      WHERE a.id > 5

`name_targets` adds the names that PostgreSQL writes out: AS max for an unnamed max(…), AS x for a view's own column names.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TypeGuard

from frontend.sql import syntax
from frontend.sql.binder.labels import NO_NAME, label
from frontend.sql.ddl.stored_text import walk
from frontend.sql.deparse import Deparser, quote_identifier
from frontend.sql.syntax import Expression, FromItem, Select, Target

STEP = 8
"""Columns from a query to the queries inside it."""


class LayoutDeparser(Deparser):
    """`Deparser` with line breaks; `indentation` is the column of the query that is being written."""

    __slots__ = ()

    def _line(self, text: str, plus: int) -> str:
        """A line of its own, `plus` columns further in than the query it belongs to."""
        return "\n" + " " * (self.indentation - STEP + plus) + text

    def query(self, query: Select) -> str:
        """A query; its first line begins with a blank."""
        text = ""
        if query.with_ is not None:
            self.indentation += STEP
            text = " " + self._with(query.with_) + self._line("", 0)
            self.indentation -= STEP
        if query.operation is not None:
            text += self._operation(query)
        self.indentation += STEP
        if query.operation is None:
            if query.values is not None:
                rows = (",".join(self.expression(value) for value in row) for row in query.values)
                text += " VALUES " + ", ".join(f"({row})" for row in rows)
            else:
                text += " " + self._select(query)
        if query.order_by:
            text += self._line("ORDER BY " + self._sort_items(query.order_by), 2)
        if query.offset is not None:
            text += self._line("OFFSET " + self._operand(query.offset), 1)
        if query.limit is not None:
            if query.with_ties:
                text += self._line(f"FETCH FIRST ({self.expression(query.limit)}) ROWS WITH TIES", 1)
            else:
                text += self._line("LIMIT " + self._operand(query.limit), 1)
        self.indentation -= STEP
        return text

    def _operation(self, query: Select) -> str:
        assert query.left is not None
        assert query.right is not None
        left, right = query.left, query.right
        same = (left.operation, left.all_rows) == (query.operation, query.all_rows)
        start = "\n" + " " * self.indentation
        word = f"{query.operation}".upper() + (" ALL" if query.all_rows else "")
        if left.operation is not None and not same:
            text = f"({self._inner(left)}{start}) {word}"
        else:
            text = f"{self._leaf(left)}{start}{word}"
        if right.operation is not None:
            return f"{text} ({self._inner(right)}{start})"
        return f"{text}{start}{self._leaf(right)}"

    def _inner(self, query: Select) -> str:
        self.indentation += STEP
        text = "\n" + " " * self.indentation + self.query(query)
        self.indentation -= STEP
        return text

    def _leaf(self, query: Select) -> str:
        own = query.order_by or query.limit or query.offset or query.locking or query.with_
        text = self.query(query)
        return f"({text})" if own and query.operation is None else text

    def _common_table(self, table: syntax.CommonTable) -> str:
        columns = f"({', '.join(quote_identifier(name) for name in table.columns)})" if table.columns else ""
        said = {None: "", True: "MATERIALIZED ", False: "NOT MATERIALIZED "}[table.materialized]
        query = self._line("", STEP) + self.row_statement(table.query) + self._line(")", STEP)
        return f"{quote_identifier(table.name)}{columns} AS {said}({query}"

    def _select(self, query: Select) -> str:
        text = "SELECT"
        if query.distinct is not None:
            text += " DISTINCT" + (f" ON ({self._list(query.distinct)})" if query.distinct else "")
        if query.targets:
            targets = self._targets(query.targets)
            text += targets if targets.startswith("\n") else " " + targets
        if query.from_:
            text += self._line("FROM " + self._from_list(query.from_), 3)
        if query.where is not None:
            text += self._line("WHERE " + self.expression(query.where), 2)
        if query.group_by:
            items = ", ".join(self._sortable(item) for item in query.group_by)
            text += self._line(f"GROUP BY {'DISTINCT ' if query.group_distinct else ''}{items}", 2)
        if query.having is not None:
            text += self._line("HAVING " + self.expression(query.having), 1)
        if query.windows:
            named = (f"{quote_identifier(window.name or '')} AS {self._window(window)}" for window in query.windows)
            text += self._line("WINDOW " + ", ".join(named), 2)
        return text

    def _targets(self, targets: list[Target]) -> str:
        return self._on_lines([self._target(target) for target in targets])

    def _from_list(self, items: list[FromItem]) -> str:
        return self._on_lines([self._from_item(item) for item in items])

    def _on_lines(self, texts: list[str]) -> str:
        joined = texts[0]
        for text in texts[1:]:
            joined += "," + (text if text.startswith("\n") else self._line(text, 4))
        return joined

    def _join(self, item: syntax.JoinItem) -> str:
        left, right = self._from_item(item.left), self._from_item(item.right)
        if self.pretty and isinstance(item.right, syntax.JoinItem) and item.right.alias is None:
            right = f"({right})"
        word = {"inner": "JOIN", "left": "LEFT JOIN", "right": "RIGHT JOIN", "full": "FULL JOIN"}[item.kind]
        if item.natural:
            return f"{left}{self._line(f'NATURAL {word} {right}', 5)}"
        if item.condition is None and not item.using:
            return f"{left}{self._line(f'CROSS JOIN {right}', 5)}"
        if item.using:
            columns = ", ".join(quote_identifier(name) for name in item.using)
            using_alias = f" AS {quote_identifier(item.using_alias)}" if item.using_alias is not None else ""
            return f"{left}{self._line(f'{word} {right} USING ({columns}){using_alias}', 5)}"
        assert item.condition is not None
        condition = self.expression(item.condition)
        return f"{left}{self._line(f'{word} {right} ON ' + (condition if self.pretty else f'({condition})'), 5)}"


def name_targets(query: Select, names: Sequence[str]) -> None:
    """Write out the names of output columns: `names` at the top, what they are called inside."""
    expressions = [node.query for node in walk(query) if isinstance(node, syntax.SubqueryExpression)]
    unnamed = {id(leaf) for inner in expressions for leaf in _leaves(inner)}
    for node in walk(query):
        if isinstance(node, Select):
            labels = {id(inner): _first_label(inner.query) for inner in walk(node.targets) if _is_scalar(inner)}
            for target in node.targets:
                name = target.alias or label(target.expression, labels)
                if name != NO_NAME or id(node) not in unnamed:
                    _name(target, name)
    for leaf in _leaves(query):
        for target, name in zip(leaf.targets, names, strict=False):
            _name(target, name)


def qualify_columns(query: Select, columns_of: Callable[[syntax.TableItem], Collection[str]]) -> None:
    """Columns get their table's name, except in a query that is alone and has but one table.

    Only where a query reads one table: with more, the names are as they were written.
    """
    for node in walk(query):
        if not isinstance(node, Select) or len(node.from_) != 1 or not isinstance(node.from_[0], syntax.TableItem):
            continue
        table = node.from_[0]
        name = table.alias.name if table.alias is not None else table.relation.name
        alone = node is query and query.with_ is None
        columns = () if table.alias is not None and table.alias.columns else columns_of(table)
        outputs = {target.alias for target in node.targets if target.alias is not None}
        for reference in _own_columns(
            [node.targets, node.where, node.having, node.windows, node.group_by, node.order_by]
        ):
            names = reference.names
            if alone and len(names) == 2 and names[0] == name:
                reference.names = names[1:]
            elif not alone and len(names) == 1 and names[0] in columns and names[0] not in outputs:
                reference.names = [name, *names]


def _own_columns(value: object) -> Iterator[syntax.ColumnReference]:
    """Column references that are not inside a query of their own."""
    if isinstance(value, syntax.ColumnReference):
        if not value.star:
            yield value
    elif isinstance(value, syntax.Node) and not isinstance(value, Select):
        for name in value.__struct_fields__:
            yield from _own_columns(getattr(value, name))
    elif isinstance(value, list):
        for item in value:
            yield from _own_columns(item)


def _leaves(query: Select) -> Iterator[Select]:
    """The plain queries of a set operation, or the query itself."""
    if query.operation is None:
        yield query
        return
    for branch in (query.left, query.right):
        if branch is not None:
            yield from _leaves(branch)


def _name(target: Target, name: str) -> None:
    expression: Expression = target.expression
    if isinstance(expression, syntax.ColumnReference) and (expression.star or expression.names[-1] == name):
        target.alias = None
    else:
        target.alias = name


def _is_scalar(node: syntax.Node) -> TypeGuard[syntax.SubqueryExpression]:
    return isinstance(node, syntax.SubqueryExpression) and node.kind == "scalar"


def _first_label(query: Select) -> str:
    while query.operation is not None and query.left is not None:
        query = query.left
    if not query.targets:
        return NO_NAME
    first = query.targets[0]
    return first.alias or label(first.expression, {})


def deparse_view(
    query: Select,
    names: Sequence[str],
    columns_of: Callable[[syntax.TableItem], Collection[str]],
    *,
    pretty: bool = False,
) -> str:
    """A view's query with a leading blank and without a semicolon; edits the tree.

    Args:
        names: the view's columns.
        columns_of: the columns of a table in FROM; empty for what is none (a WITH query).
    """
    qualify_columns(query, columns_of)
    name_targets(query, names)
    return LayoutDeparser(pretty=pretty).query(query)
