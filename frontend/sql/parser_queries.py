"""Queries: SELECT in all its forms, VALUES, WITH, FROM.

Set operations associate to the left, INTERSECT binds tighter than UNION and EXCEPT. A parenthesised query keeps its own
ORDER BY, LIMIT, FOR and WITH; the same clause may not be given twice to one query. Joins nest as PostgreSQL's grammar
nests them: `a JOIN b JOIN c ON … ON …` gives the inner ON to b and c.
"""

from __future__ import annotations

from typing import Literal, TypeVar

from frontend.errors import SqlError, unsupported
from frontend.sql import syntax
from frontend.sql.parser_cursor import BARE, COLUMN_NAMES, LABELS, TYPE_FUNCTION_NAMES
from frontend.sql.parser_expressions import CALLS, PRECEDENCE, QUERY_START, SQL_VALUES, ExpressionParser
from frontend.sql.syntax import ColumnReference, Expression, FromItem, Select, Target

AnyStatement = TypeVar("AnyStatement", bound=syntax.Statement)

JOIN_START = frozenset(("join", "cross", "left", "right", "full", "inner", "natural"))
# what can follow a target; there `and`, `is` … are labels and not operators: SELECT 1 and FROM t
AFTER_TARGET = frozenset(
    ("EOF", ";", ",", ")", "from", "into", "where", "group", "having", "window", "union", "intersect", "except")
) | {"order", "limit", "offset", "fetch", "for", "with", "on", "returning"}


class QueryParser(ExpressionParser):
    """SELECT, VALUES, TABLE, WITH and FROM."""

    __slots__ = ()

    # ------------------------------------------------------------------------------------------------------- queries

    def query(self) -> Select:
        """SelectStmt without the outermost parentheses being required."""
        return self.query_body(self.with_clause() if self.type == "with" else None)

    def query_body(self, with_: syntax.With | None) -> Select:
        """What follows WITH."""
        result = self.set_operations(0)
        if with_ is not None:
            if result.with_ is not None:
                raise self.failure("multiple WITH clauses not allowed", result.with_.position)
            result.with_ = with_
        self.query_tail(result)
        return result

    def query_in_parentheses(self) -> Select:
        """select_with_parens."""
        self.expect("(")
        if self.type not in QUERY_START and self.type != "(":
            raise self.error()
        result = self.query()
        self.expect(")")
        return result

    def set_operations(self, least: int) -> Select:
        left = self.simple_query()
        while self.type in ("union", "except", "intersect"):
            kind: Literal["union", "except", "intersect"] = (
                "union" if self.type == "union" else "except" if self.type == "except" else "intersect"
            )
            tightness = 2 if kind == "intersect" else 1
            if tightness <= least:
                break
            position = self.position
            self.advance()
            all_rows = self.type == "all"
            if all_rows or self.type == "distinct":
                self.advance()
            right = self.set_operations(tightness)
            left = Select(operation=kind, all_rows=all_rows, left=left, right=right, position=position)
        return left

    def query_tail(self, result: Select) -> None:
        """[ORDER BY] [LIMIT, OFFSET, FETCH] [FOR …], the latter two in either order."""
        if self.type == "order":
            position = self.position
            items = self.order_by()
            if result.order_by:
                raise self.failure("multiple ORDER BY clauses not allowed", position)
            result.order_by = items
        seen_locking = False
        seen_limit = False
        while True:
            if self.type in ("limit", "offset", "fetch") and not seen_limit:
                seen_limit = True
                self.limit_clause(result)
            elif self.type == "for" and not seen_locking:
                seen_locking = True
                if self.ahead() == "read":
                    self.expect("for", "read", "only")
                    continue
                while self.type == "for":
                    result.locking.append(self.locking())
            else:
                break
        if self.type == "as" and self.at_as_of():
            start = self.index
            clause = self.as_of()
            self.as_of_clauses[start] = (result, clause, self.index)

    # ---------------------------------------------------------------------------------------------------- AS OF
    #
    # Any query may end with AS OF as far as the grammar goes, because only what follows tells whether it is a whole one:
    # (SELECT … AS OF …) and (SELECT … AS OF …) UNION … begin alike. So clauses are noted, by the token at which they begin (what
    # is tried and given up is read twice), and `whole_query` looks whether the one there is belongs to the whole.

    def as_of(self) -> syntax.AsOf:
        position = self.position
        self.expect("as", "of")
        kind: Literal["time", "position"] = "position"
        if self.accept("system"):
            self.expect("time")
            kind = "time"
        else:
            self.expect("position")
        return syntax.AsOf(kind, self.expression(), position=position)

    def whole_query(self, statement: AnyStatement, start: int) -> AnyStatement | syntax.AsOfQuery:
        """A statement that may read in the past, with the clause that says so.

        Args:
            start: the statement's first token.

        Raises: SqlError 0A000 where a part of it has an AS OF of its own.
        """
        if not self.as_of_clauses:
            return statement
        for first, (query, _, _) in self.as_of_clauses.items():
            if query is not statement or len(self.as_of_clauses) > 1:
                raise self.as_of_misplaced(first)
        ((first, (_, clause, behind)),) = self.as_of_clauses.items()
        self.as_of_clauses = {}
        assert isinstance(statement, Select)
        begin, end = self.starts[first], self.ends[behind - 1]
        rest = self.text[end : self.ends[self.index - 1]]
        source = self.text[self.starts[start] : begin] + " " * (end - begin) + rest
        return syntax.AsOfQuery(statement, clause, source.rstrip(), position=statement.position)

    def reading_statement(self) -> syntax.Statement:
        """A query or a data modification; a query may end with AS OF."""
        start = self.index
        return self.whole_query(self.row_statement(), start)

    def limit_clause(self, result: Select) -> None:
        limit: Expression | None = None
        offset: Expression | None = None
        seen: set[str] = set()
        limit_all = False
        position = self.position
        with_ties = False
        while self.type in ("limit", "offset", "fetch"):
            kind = "limit" if self.type == "fetch" else self.type
            if kind in seen:
                raise self.error()
            seen.add(kind)
            at = self.position
            if self.accept("limit"):
                if self.accept("all"):
                    limit_all = True
                else:
                    limit = self.expression()
                if self.type == ",":
                    self.advance()
                    self.expression()
                    raise SqlError(
                        "42601",
                        "LIMIT #,# syntax is not supported",
                        hint="Use separate LIMIT and OFFSET clauses.",
                        position=at,
                    )
            elif self.accept("offset"):
                offset = self.expression()
                if self.type in ("row", "rows"):
                    self.advance()
            else:
                self.expect("fetch")
                self.one_of("first", "next")
                if self.type in ("row", "rows"):
                    limit = syntax.Constant("integer", "1", position=0)
                else:
                    limit = self.fetch_count()
                self.one_of("row", "rows")
                if self.accept("only"):
                    pass
                else:
                    self.expect("with", "ties")
                    with_ties = True
        if offset is not None:
            if result.offset is not None:
                raise self.failure("multiple OFFSET clauses not allowed", position)
            result.offset = offset
        if limit is not None or limit_all:
            if result.limit is not None:
                raise self.failure("multiple LIMIT clauses not allowed", position)
            result.limit = limit
        if with_ties:
            if not result.order_by:
                raise self.failure("WITH TIES cannot be specified without ORDER BY clause", position)
            if any(locking.wait == "skip locked" for locking in result.locking):
                raise self.failure("SKIP LOCKED and WITH TIES options cannot be used together", position)
            result.with_ties = True

    def fetch_count(self) -> Expression:
        """select_fetch_first_value: c_expr or a signed number."""
        if self.type in ("+", "-"):
            position = self.position
            sign = self.type
            self.advance()
            if self.type not in ("INTEGER", "DECIMAL"):
                raise self.error()
            return syntax.Operator(sign, None, self.primary(), position=position)
        return self.primary()

    def locking(self) -> syntax.Locking:
        position = self.position
        self.expect("for")
        strength: Literal["update", "no key update", "share", "key share"]
        if self.accept("update"):
            strength = "update"
        elif self.accept("no"):
            self.expect("key", "update")
            strength = "no key update"
        elif self.accept("share"):
            strength = "share"
        else:
            self.expect("key", "share")
            strength = "key share"
        result = syntax.Locking(strength, position=position)
        if self.accept("of"):
            result.relations = self.relations()
        if self.accept("nowait"):
            result.wait = "nowait"
        elif self.type == "skip":
            self.expect("skip", "locked")
            result.wait = "skip locked"
        return result

    def simple_query(self) -> Select:
        """One SELECT, VALUES or TABLE, or a parenthesised query."""
        kind = self.type
        if kind == "select":
            return self.select()
        position = self.position
        if kind == "(":
            return self.query_in_parentheses()
        if kind == "values":
            self.advance()
            rows = [self.values_row()]
            while self.accept(","):
                rows.append(self.values_row())
            return Select(values=rows, position=position)
        if kind == "table":
            self.advance()
            star = Target(ColumnReference([], star=True))
            return Select([star], [self.table_item_bare()], position=position)
        raise self.error()

    def values_row(self) -> list[Expression]:
        self.expect("(")
        row = self.expressions()
        self.expect(")")
        return row

    def select(self) -> Select:
        result = Select(position=self.starts[self.index] + 1)
        self.advance()
        if self.type == "distinct":
            self.advance()
            result.distinct = []
            if self.type == "on":
                self.expect("on", "(")
                result.distinct = self.expressions()
                self.expect(")")
            result.targets = self.targets()
        else:
            self.accept("all")
            if self.type not in AFTER_TARGET:
                result.targets = self.targets()
        if self.type == "into":
            result.into = self.into_table()
        if self.type == "from":
            self.advance()
            result.from_ = self.from_list()
        if self.type == "where":
            self.advance()
            result.where = self.expression()
        if self.type == "group":
            self.expect("group", "by")
            if self.type == "distinct":
                self.advance()
                result.group_distinct = True
            else:
                self.accept("all")
            result.group_by = self.grouping_items()
        if self.type == "having":
            self.advance()
            result.having = self.expression()
        if self.type == "window":
            self.advance()
            result.windows = [self.window_definition()]
            while self.accept(","):
                result.windows.append(self.window_definition())
        return result

    def into_table(self) -> syntax.IntoTable:
        position = self.position
        self.expect("into")
        persistence, _ = self.persistence(for_into=True)
        self.accept("table")
        return syntax.IntoTable(self.relation(), persistence, position=position)

    def persistence(self, *, for_into: bool = False) -> tuple[Literal["permanent", "temporary", "unlogged"], bool]:
        """[LOCAL | GLOBAL] TEMP[ORARY] | UNLOGGED: what it says, and whether anything was written."""
        if self.type in ("local", "global") and (not for_into or self.ahead() in ("temp", "temporary")):
            self.advance()
            if self.type not in ("temp", "temporary"):
                raise self.error()
        if self.type in ("temp", "temporary") and not (for_into and self.ahead() in AFTER_TARGET | {"."}):
            self.advance()
            return "temporary", True
        if self.type == "unlogged" and not (for_into and self.ahead() in AFTER_TARGET | {"."}):
            self.advance()
            return "unlogged", True
        return "permanent", False

    def window_definition(self) -> syntax.WindowDefinition:
        name = self.name()
        self.expect("as")
        window = self.window_specification()
        window.name = name
        return window

    def grouping_items(self) -> list[Expression]:
        result = [self.grouping_item()]
        while self.accept(","):
            result.append(self.grouping_item())
        return result

    def grouping_item(self) -> Expression:
        position = self.position
        if self.type == "(" and self.ahead() == ")":
            self.expect("(", ")")
            return syntax.GroupingSet("empty", position=position)
        if self.type in ("rollup", "cube") and self.ahead() == "(":
            kind: Literal["rollup", "cube"] = "rollup" if self.type == "rollup" else "cube"
            self.advance()
            self.expect("(")
            items = self.expressions()
            self.expect(")")
            return syntax.GroupingSet(kind, items, position=position)
        if self.type == "grouping" and self.ahead() == "sets":
            self.expect("grouping", "sets", "(")
            items = self.grouping_items()
            self.expect(")")
            return syntax.GroupingSet("sets", items, position=position)
        return self.expression_or_place()

    def targets(self) -> list[Target]:
        result = [self.target()]
        while self.type == ",":
            self.advance()
            result.append(self.target())
        return result

    def target(self) -> Target:
        start = self.index
        position = self.starts[start] + 1
        if self.type == "*":
            self.advance()
            return Target(ColumnReference([], star=True, position=position), position=position)
        try:
            expression = self.expression()
        except SqlError as error:
            # `SELECT 1 and FROM t`: an operator word that nothing follows is a label
            word = self.index - 1
            if (
                error.sqlstate != "42601"
                or word <= start
                or self.types[word] not in PRECEDENCE
                or self.types[word] not in BARE
                or self.type not in AFTER_TARGET
                or self.word_least
            ):
                raise
            return self.target_labelled(start, word, error)
        alias = None
        if self.type == "as":
            if not self.at_as_of():
                self.advance()
                alias = self.label()
        elif self.type in BARE:
            alias = self.label()
        return Target(expression, alias, position=position)

    def target_labelled(self, start: int, word: int, error: SqlError) -> Target:
        """The target at `start` where the token at `word` is the label."""
        kind, self.types[word] = self.types[word], "IDENT"
        self.move(start)
        try:
            expression = self.expression()
            if self.index != word:
                raise error
        except SqlError:
            raise error from None
        finally:
            self.types[word] = kind
        self.move(word)
        return Target(expression, self.label(), position=self.starts[start] + 1)

    def with_clause(self) -> syntax.With:
        result = syntax.With([], position=self.position)
        self.expect("with")
        if self.type == "recursive" and self.ahead() not in ("as", "("):
            self.advance()
            result.recursive = True
        result.tables.append(self.common_table())
        while self.accept(","):
            result.tables.append(self.common_table())
        return result

    def common_table(self) -> syntax.CommonTable:
        position = self.position
        name = self.name()
        columns = self.names_in_parentheses() if self.type == "(" else []
        self.expect("as")
        materialized: bool | None = None
        if self.accept("materialized"):
            materialized = True
        elif self.type == "not":
            self.expect("not", "materialized")
            materialized = False
        self.expect("(")
        query = self.row_statement()
        self.expect(")")
        if self.type == "search":
            raise unsupported("SEARCH clause", position=self.position)
        if self.type == "cycle":
            raise unsupported("CYCLE clause", position=self.position)
        return syntax.CommonTable(name, columns, query, materialized, position=position)

    def row_statement(self) -> syntax.Statement:
        """PreparableStmt: a query or a data modification, each with its own WITH."""
        kind = self.type
        if kind == "with":
            with_ = self.with_clause()
            if self.type in ("insert", "update", "delete", "merge"):
                statement = self.row_statement()
                assert isinstance(statement, syntax.Insert | syntax.Update | syntax.Delete | syntax.Merge)
                statement.with_ = with_
                return statement
            return self.query_body(with_)
        if kind == "insert":
            return self.insert()
        if kind == "update":
            return self.update()
        if kind == "delete":
            return self.delete()
        if kind == "merge":
            return self.merge()
        if kind in QUERY_START or kind == "(":
            return self.query()
        raise self.error()

    # ---------------------------------------------------------------------------------------------------------- FROM

    def from_list(self) -> list[FromItem]:
        result = [self.from_item()]
        while self.type == ",":
            self.advance()
            result.append(self.from_item())
        return result

    def from_item(self) -> FromItem:
        """table_ref with the joins that follow it."""
        left = self.from_primary()
        while self.type in JOIN_START:
            left = self.join(left)
        return left

    def join(self, left: FromItem) -> FromItem:
        position = self.position
        if self.accept("cross"):
            self.expect("join")
            return syntax.JoinItem("inner", left, self.from_primary(), position=position)
        natural = self.accept("natural")
        kind: Literal["inner", "left", "right", "full"] = "inner"
        if self.type in ("left", "right", "full"):
            kind = "left" if self.type == "left" else "right" if self.type == "right" else "full"
            self.advance()
            self.accept("outer")
        else:
            self.accept("inner")
        self.expect("join")
        right = self.from_primary()
        result = syntax.JoinItem(kind, left, right, natural, position=position)
        if natural:
            return result
        while self.type in JOIN_START:
            right = self.join(right)
        result.right = right
        if self.accept("using"):
            result.using = self.names_in_parentheses()
            if self.type == "as" and not self.at_as_of():
                self.advance()
                result.using_alias = self.name()
        else:
            self.expect("on")
            result.condition = self.expression()
        return result

    def from_primary(self) -> FromItem:
        position = self.position
        kind = self.type
        if kind == "lateral":
            self.advance()
            if self.type == "(":
                return self.subquery_item(position, lateral=True)
            item = self.function_item(position)
            item.lateral = True
            return item
        if kind == "(":
            return self.parenthesised_from(position)
        if kind == "only":
            return self.table_item()
        if kind == "rows" and self.ahead() == "from":
            return self.function_item(position)
        if kind in ("xmltable", "json_table") and self.ahead() == "(":
            raise unsupported(kind.upper(), position=position)
        # a relation's name, or a function's: the parenthesis tells
        probe = self.index + 1
        types = self.types
        while types[probe] == "." and types[probe + 1] in LABELS:
            probe += 2
        if types[probe] == "(" or kind not in COLUMN_NAMES:  # function_without_window judges the name
            return self.function_item(position)
        return self.table_item()

    def parenthesised_from(self, position: int) -> FromItem:
        """( query ) or ( joined tables )."""
        probe = self.index
        while self.types[probe] == "(":
            probe += 1
        if self.starts_query(probe) and (probe == self.index + 1 or self.is_query_in_parentheses()):
            return self.subquery_item(position, lateral=False)
        self.expect("(")
        item = self.from_item()
        if not isinstance(item, syntax.JoinItem):
            raise self.error()
        self.expect(")")
        if item.alias is None:
            item.alias = self.alias()
        elif (alias := self.alias()) is not None:
            item.alias = alias
        return item

    def is_query_in_parentheses(self) -> bool:
        start = self.index
        self.advance()
        query = self.try_query()
        self.move(start)
        return query is not None

    def subquery_item(self, position: int, *, lateral: bool) -> FromItem:
        query = self.query_in_parentheses()
        return syntax.SubqueryItem(query, self.alias(), lateral, position=position)

    def alias(self) -> syntax.Alias | None:
        """[AS] name [(columns)]."""
        position = self.position
        if self.type == "as" and self.at_as_of():
            return None
        if self.accept("as") or self.type in COLUMN_NAMES:
            result = syntax.Alias(self.name(), position=position)
        else:
            return None
        if self.type == "(":
            result.columns = self.names_in_parentheses()
        return result

    def table_item_bare(self) -> syntax.TableItem:
        """relation_expr: name [*], ONLY name, ONLY (name)."""
        position = self.position
        if self.accept("only"):
            if self.accept("("):
                relation = self.relation()
                self.expect(")")
            else:
                relation = self.relation()
            return syntax.TableItem(relation, only=True, position=position)
        relation = self.relation()
        if self.type == "*":
            self.advance()
        return syntax.TableItem(relation, position=position)

    def table_item(self) -> syntax.TableItem:
        result = self.table_item_bare()
        if self.type == "tablesample":
            result.sample = self.table_sample()
        else:
            result.alias = self.alias()
            if self.type == "tablesample":
                result.sample = self.table_sample()
        return result

    def table_sample(self) -> syntax.TableSample:
        position = self.position
        self.expect("tablesample")
        if self.type in COLUMN_NAMES and self.type not in TYPE_FUNCTION_NAMES and self.ahead() != ".":
            raise self.error(self.index + 1)
        method = [self.type_function_name()] if self.ahead() != "." else self.qualified_name()
        self.expect("(")
        arguments = self.expressions()
        self.expect(")")
        repeatable = None
        if self.accept("repeatable"):
            self.expect("(")
            repeatable = self.expression()
            self.expect(")")
        return syntax.TableSample(method, arguments, repeatable, position=position)

    def function_item(self, position: int) -> syntax.FunctionItem:
        result = syntax.FunctionItem([], position=position)
        if self.type == "rows" and self.ahead() == "from":
            result.rows_from = True
            self.expect("rows", "from", "(")
            while True:
                call = syntax.FunctionItemCall(self.function_without_window(), position=self.position)
                if self.accept("as"):
                    self.expect("(")
                    call.columns = self.record_columns()
                    self.expect(")")
                result.calls.append(call)
                if not self.accept(","):
                    break
            self.expect(")")
        else:
            result.calls.append(syntax.FunctionItemCall(self.function_without_window(), position=position))
        if self.type == "with" and self.ahead() == "ordinality":
            self.expect("with", "ordinality")
            result.ordinality = True
        alias_position = self.position
        if self.type == "as" and self.ahead() == "(":
            self.expect("as", "(")
            result.columns = self.record_columns()
            self.expect(")")
            return result
        if (self.type == "as" and not self.at_as_of()) or self.type in COLUMN_NAMES:
            self.accept("as")
            alias = syntax.Alias(self.name(), position=alias_position)
            if self.accept("("):
                if self.type in COLUMN_NAMES and self.ahead() not in (",", ")"):
                    result.columns = self.record_columns()
                else:
                    alias.columns = self.names()
                self.expect(")")
            result.alias = alias
        return result

    def function_without_window(self) -> Expression:
        """func_expr_windowless: a call, or a special function, but no other expression."""
        kind = self.type
        if kind not in SQL_VALUES and (kind not in CALLS or self.ahead() != "("):
            if kind not in COLUMN_NAMES and kind not in TYPE_FUNCTION_NAMES and kind not in CALLS:
                raise self.error()
            probe = self.index + 1
            if kind in CALLS and kind not in COLUMN_NAMES:
                raise self.error(probe)
            if kind == "collation" and self.types[probe] == "for":
                probe += 1
            elif kind in COLUMN_NAMES:
                while self.types[probe] == "." and self.types[probe + 1] in LABELS:
                    probe += 2
            alone = probe == self.index + 1
            if self.types[probe] != "(" or (alone and kind not in TYPE_FUNCTION_NAMES):
                raise self.error(probe + 1 if self.types[probe] == "." else probe)
        self.windowless = self.position
        result = self.primary()
        self.windowless = 0
        return result

    def record_columns(self) -> list[syntax.RecordColumn]:
        result = [self.record_column()]
        while self.accept(","):
            result.append(self.record_column())
        return result

    def record_column(self) -> syntax.RecordColumn:
        position = self.position
        result = syntax.RecordColumn(self.name(), self.type_name(), position=position)
        if self.accept("collate"):
            result.collation = self.qualified_name()
        return result

    def insert(self) -> syntax.Insert:
        raise NotImplementedError

    def update(self) -> syntax.Update:
        raise NotImplementedError

    def delete(self) -> syntax.Delete:
        raise NotImplementedError

    def merge(self) -> syntax.Merge:
        raise NotImplementedError
