"""Statements that change rows: INSERT, UPDATE, DELETE, MERGE, TRUNCATE; and index elements, which ON CONFLICT shares."""

from __future__ import annotations

from frontend.errors import SqlError
from frontend.sql import syntax
from frontend.sql.parser_cursor import COLUMN_NAMES, LABELS, SYMBOLS
from frontend.sql.parser_expressions import QUERY_START
from frontend.sql.parser_queries import QueryParser
from frontend.sql.syntax import Expression, Target


class ChangeParser(QueryParser):
    """Data modification."""

    __slots__ = ()

    def insert(self) -> syntax.Insert:
        position = self.position
        self.expect("insert", "into")
        result = syntax.Insert(self.relation(), position=position)
        if self.accept("as"):
            result.alias = syntax.Alias(self.name())
        if self.type == "default":
            self.expect("default", "values")
        else:
            if self.type == "(" and not self.query_after_parentheses():
                self.advance()
                result.columns = self.target_columns()
                self.expect(")")
            if self.accept("overriding"):
                result.overriding = "user" if self.one_of("user", "system") == "user" else "system"
                self.expect("value")
            if self.type not in QUERY_START and self.type != "(":
                raise self.error()
            result.query = self.query()
        if self.type == "on":
            result.on_conflict = self.on_conflict()
        result.returning = self.returning()
        return result

    def query_after_parentheses(self) -> bool:
        """At `(`: whether a query stands in these parentheses and not a list of names."""
        probe = self.index
        while self.types[probe] == "(":
            probe += 1
        return self.starts_query(probe) or probe > self.index + 1

    def target_columns(self) -> list[syntax.InsertColumn]:
        result = [self.target_column()]
        while self.accept(","):
            result.append(self.target_column())
        return result

    def target_column(self) -> syntax.InsertColumn:
        """ColId with field names and subscripts."""
        result = syntax.InsertColumn(self.name(), position=self.starts[self.index - 1] + 1)
        while self.type in (".", "["):
            if self.accept("."):
                result.steps.append(self.label())
            else:
                result.steps.extend(self.subscripts())
        return result

    def on_conflict(self) -> syntax.OnConflict:
        position = self.position
        self.expect("on", "conflict")
        target = None
        if self.type == "(":
            target = syntax.ConflictTarget(position=self.position)
            self.advance()
            target.elements = self.index_elements()
            self.expect(")")
            if self.accept("where"):
                target.where = self.expression()
        elif self.type == "on":
            target = syntax.ConflictTarget(position=self.position)
            self.expect("on", "constraint")
            target.constraint = self.name()
        self.expect("do")
        if self.accept("nothing"):
            return syntax.OnConflict(target, None, position=position)
        self.expect("update", "set")
        result = syntax.OnConflict(target, self.assignments(), position=position)
        if self.accept("where"):
            result.where = self.expression()
        return result

    def index_elements(self) -> list[syntax.IndexElement]:
        result = [self.index_element()]
        while self.accept(","):
            result.append(self.index_element())
        return result

    def index_element(self) -> syntax.IndexElement:
        """A column, a function call or a parenthesised expression, with its options."""
        position = self.position
        if self.type == "(":
            self.advance()
            element = syntax.IndexElement(expression=self.expression(), position=position)
            self.expect(")")
        elif self.type in COLUMN_NAMES and self.ahead() not in ("(", "."):
            element = syntax.IndexElement(self.name(), position=position)
        else:
            element = syntax.IndexElement(expression=self.function_without_window(), position=position)
        if self.accept("collate"):
            element.collation = self.qualified_name()
        if self.type in COLUMN_NAMES and self.type != "nulls":
            element.opclass = self.qualified_name()
            if self.type == "(":
                element.opclass_options = self.relation_options()
        elif self.type == "nulls" and self.ahead() not in ("first", "last"):
            element.opclass = self.qualified_name()
        if self.type in ("asc", "desc"):
            element.descending = self.type == "desc"
            self.advance()
        element.nulls_first = self.nulls_order()
        return element

    def relation_options(self) -> list[syntax.Option]:
        """reloptions: ( [namespace.]name [= value], … )."""
        self.expect("(")
        result = [self.relation_option()]
        while self.accept(","):
            result.append(self.relation_option())
        self.expect(")")
        return result

    def relation_option(self) -> syntax.Option:
        position = self.position
        result = syntax.Option(self.label(), position=position)
        if self.accept("."):
            result.namespace = result.name
            result.name = self.label()
        if self.accept("="):
            result.value = self.definition_argument()
        return result

    def definition_argument(self) -> str:
        """def_arg: a type, a reserved word, an operator, a number, a string or NONE, as text."""
        if self.type in ("+", "-", "INTEGER", "DECIMAL") and (
            self.type in ("INTEGER", "DECIMAL") or self.ahead() in ("INTEGER", "DECIMAL")
        ):
            return self.number_text()
        if self.type == "STRING":
            return self.string()
        start = self.index
        if self.type == "operator" and self.ahead() == "(":
            name, schema = self.explicit_operator()
            return f"{schema}.{name}" if schema else name
        if self.type in SYMBOLS:
            value = self.values[self.index]
            self.advance()
            return value
        if self.type in COLUMN_NAMES or self.type in LABELS:
            if self.ahead() in (".", "[", "("):
                self.type_name()
                return self.text[self.starts[start] : self.ends[self.index - 1]]
            return self.label()
        raise self.error()

    def returning(self) -> list[Target]:
        if self.accept("returning"):
            return self.targets()
        return []

    def assignments(self) -> list[syntax.Assignment]:
        result = [self.assignment()]
        while self.accept(","):
            result.append(self.assignment())
        return result

    def assignment(self) -> syntax.Assignment:
        position = self.position
        if self.accept("("):
            columns = self.target_columns()
            self.expect(")", "=")
            value = self.expression()
            if isinstance(value, syntax.Row) and len(value.elements) != len(columns):
                raise SqlError("42601", "number of columns does not match number of values", position=value.position)
            return syntax.Assignment(columns, value, multiple=True, position=position)
        column = self.target_column()
        self.expect("=")
        return syntax.Assignment([column], self.expression(), position=position)

    def modified_table(self) -> syntax.TableItem:
        """relation_expr_opt_alias: SET may not be an alias without AS."""
        result = self.table_item_bare()
        position = self.position
        if self.accept("as") or (self.type in COLUMN_NAMES and self.type != "set"):
            result.alias = syntax.Alias(self.name(), position=position)
        return result

    def update(self) -> syntax.Update:
        position = self.position
        self.expect("update")
        target = self.modified_table()
        self.expect("set")
        result = syntax.Update(target, self.assignments(), position=position)
        if self.accept("from"):
            result.from_ = self.from_list()
        result.where = self.where_or_current_of()
        result.returning = self.returning()
        return result

    def delete(self) -> syntax.Delete:
        position = self.position
        self.expect("delete", "from")
        result = syntax.Delete(self.modified_table(), position=position)
        if self.accept("using"):
            result.using = self.from_list()
        result.where = self.where_or_current_of()
        result.returning = self.returning()
        return result

    def where_or_current_of(self) -> Expression | None:
        if not self.accept("where"):
            return None
        if self.type == "current" and self.ahead() == "of":
            position = self.position
            self.expect("current", "of")
            return syntax.CurrentOf(self.name(), position=position)
        return self.expression()

    def merge(self) -> syntax.Merge:
        position = self.position
        self.expect("merge", "into")
        target = self.modified_table()
        self.expect("using")
        source = self.from_item()
        self.expect("on")
        condition = self.expression()
        whens: list[syntax.MergeWhen] = []
        while self.type == "when" or not whens:
            whens.append(self.merge_when())
        return syntax.Merge(target, source, condition, whens, position=position)

    def merge_when(self) -> syntax.MergeWhen:
        position = self.position
        self.expect("when")
        matched = not self.accept("not")
        self.expect("matched")
        condition = self.expression() if self.accept("and") else None
        self.expect("then")
        result = syntax.MergeWhen(matched, "nothing", condition, position=position)
        if self.accept("do"):
            self.expect("nothing")
        elif matched:
            if self.accept("delete"):
                result.action = "delete"
            else:
                self.expect("update", "set")
                result.action = "update"
                result.assignments = self.assignments()
        else:
            self.expect("insert")
            result.action = "insert"
            if self.accept("("):
                result.columns = self.target_columns()
                self.expect(")")
            if self.accept("overriding"):
                result.overriding = "user" if self.one_of("user", "system") == "user" else "system"
                self.expect("value")
            if self.accept("default"):
                self.expect("values")
            else:
                self.expect("values")
                result.values = self.values_row()
        return result

    def truncate(self) -> syntax.Truncate:
        position = self.position
        self.expect("truncate")
        self.accept("table")
        result = syntax.Truncate([self.table_item_bare()], position=position)
        while self.accept(","):
            result.targets.append(self.table_item_bare())
        if self.type in ("continue", "restart"):
            result.restart_identity = self.type == "restart"
            self.advance()
            self.expect("identity")
        result.cascade = self.cascade()
        return result
