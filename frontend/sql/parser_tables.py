"""CREATE TABLE, ALTER TABLE, CREATE INDEX and sequences, with columns, constraints and storage options."""

from __future__ import annotations

from typing import Literal

from frontend.errors import SqlError, unsupported
from frontend.sql import syntax
from frontend.sql import syntax_commands as commands
from frontend.sql.parser_changes import ChangeParser
from frontend.sql.parser_cursor import COLUMN_NAMES, NEGATABLE, TYPE_FUNCTION_NAMES

LIKE_PARTS = (
    "comments",
    "compression",
    "constraints",
    "defaults",
    "generated",
    "identity",
    "indexes",
    "statistics",
    "storage",
)
CONSTRAINT_START = frozenset(("constraint", "check", "unique", "primary", "foreign", "exclude"))
RELATION_KINDS: dict[str, commands.RelationKind] = {
    "table": "table",
    "index": "index",
    "view": "view",
    "sequence": "sequence",
    "materialized": "materialized view",
    "foreign": "foreign table",
}


class TableParser(ChangeParser):
    """Tables, indexes and sequences."""

    __slots__ = ()

    # -------------------------------------------------------------------------------------------------- CREATE TABLE

    def create_table(self, position: int, persistence: commands.Persistence) -> commands.CreateTable:
        """After CREATE [TEMP …], at TABLE."""
        self.expect("table")
        if_not_exists = self.if_not_exists()
        result = commands.CreateTable(self.relation(), position=position)
        result.persistence = persistence
        result.if_not_exists = if_not_exists
        if self.accept("of"):
            start = self.position
            result.of_type = syntax.TypeName(self.qualified_name(), position=start)
            if self.type == "(":
                result.elements = self.typed_elements()
        elif self.type == "partition":
            self.expect("partition", "of")
            result.partition_of = self.relation()
            if self.type == "(":
                result.elements = self.typed_elements()
            result.partition_bound = self.partition_bound()
        elif self.type == "(":
            if self.is_name_list():
                result.columns = self.names_in_parentheses()
            else:
                self.advance()
                if self.type != ")":
                    result.elements.append(self.table_element())
                    while self.accept(","):
                        result.elements.append(self.table_element())
                self.expect(")")
                if self.type == "inherits":
                    self.expect("inherits", "(")
                    result.inherits = self.relations()
                    self.expect(")")
        elif self.type not in ("using", "with", "without", "on", "tablespace", "as"):
            raise self.error()
        else:
            self.table_storage(result)
            return self.create_table_as(result)
        if self.type == "partition" and not result.columns:
            result.partition_by = self.partition_by()
        self.table_storage(result)
        if self.type == "as" and not result.elements and result.of_type is None and result.partition_of is None:
            return self.create_table_as(result)
        if result.columns:
            raise self.error()
        return result

    def is_name_list(self) -> bool:
        """At `(`: whether a plain list of names follows, which only CREATE TABLE t (a, b) AS can have."""
        return self.ahead() in COLUMN_NAMES and self.ahead(2) in (",", ")")

    def create_table_as(self, result: commands.CreateTable) -> commands.CreateTable:
        self.expect("as")
        if self.type == "execute":
            result.query = self.execute()
        else:
            result.query = self.query()
        result.with_data = self.with_data()
        return result

    def execute(self) -> syntax.Statement:
        raise NotImplementedError

    def with_data(self) -> bool:
        if self.accept("with"):
            without = self.accept("no")
            self.expect("data")
            return not without
        return True

    def table_storage(self, result: commands.CreateTable) -> None:
        """[USING method] [WITH (…) | WITHOUT OIDS] [ON COMMIT …] [TABLESPACE name]."""
        if self.accept("using"):
            result.method = self.name()
        if self.accept("with"):
            result.options = self.relation_options()
        elif self.type == "without":
            self.expect("without", "oids")
        if self.accept("on"):
            self.expect("commit")
            if self.accept("drop"):
                result.on_commit = "drop"
            else:
                word = self.one_of("delete", "preserve")
                self.expect("rows")
                result.on_commit = "delete rows" if word == "delete" else "preserve rows"
        if self.accept("tablespace"):
            result.tablespace = self.name()

    def typed_elements(self) -> list[commands.ColumnDefinition | commands.Constraint | commands.TableLike]:
        self.expect("(")
        result = [self.typed_element()]
        while self.accept(","):
            result.append(self.typed_element())
        self.expect(")")
        return result

    def typed_element(self) -> commands.ColumnDefinition | commands.Constraint | commands.TableLike:
        if self.type in CONSTRAINT_START:
            return self.table_constraint()
        position = self.position
        column = commands.ColumnDefinition(self.name(), None, position=position)
        if self.accept("with"):
            self.expect("options")
        self.column_constraints(column)
        return column

    def table_element(self) -> commands.ColumnDefinition | commands.Constraint | commands.TableLike:
        if self.type in CONSTRAINT_START:
            return self.table_constraint()
        if self.type == "like":
            return self.table_like()
        return self.column_definition()

    def table_like(self) -> commands.TableLike:
        position = self.position
        self.expect("like")
        result = commands.TableLike(self.relation(), position=position)
        included: set[str] = set()
        while self.type in ("including", "excluding"):
            including = self.type == "including"
            self.advance()
            parts = {self.one_of("all", *LIKE_PARTS)}
            if "all" in parts:
                parts = set(LIKE_PARTS)
            included = included | parts if including else included - parts
        result.including = sorted(included)
        return result

    def column_definition(self) -> commands.ColumnDefinition:
        position = self.position
        column = commands.ColumnDefinition(self.name(), self.type_name(), position=position)
        if self.type == "storage":
            self.advance()
            column.storage = "default" if self.accept("default") else self.name()
        if self.type == "compression":
            self.advance()
            column.compression = "default" if self.accept("default") else self.name()
        if self.type == "options":
            raise unsupported("OPTIONS of a foreign table's column", position=self.position)
        self.column_constraints(column)
        return column

    def column_constraints(self, column: commands.ColumnDefinition) -> None:
        while True:
            position = self.position
            if self.type == "collate":
                self.advance()
                if column.collation:
                    raise SqlError("42601", "multiple COLLATE clauses not allowed", position=position)
                column.collation = self.qualified_name()
                continue
            if self.constraint_attribute(column.constraints):
                continue
            name = None
            if self.accept("constraint"):
                name = self.name()
            constraint = self.column_constraint(position)
            if constraint is None:
                if name is not None:
                    raise self.error()
                return
            constraint.name = name
            column.constraints.append(constraint)

    def constraint_attribute(self, constraints: list[commands.Constraint]) -> bool:
        """[NOT] DEFERRABLE, INITIALLY …: belongs to the constraint before it."""
        position = self.position
        if self.type == "deferrable":
            word = "DEFERRABLE"
            self.advance()
        elif self.type == "not" and self.ahead() == "deferrable":
            word = "NOT DEFERRABLE"
            self.expect("not", "deferrable")
        elif self.type == "initially":
            self.advance()
            word = "INITIALLY " + self.one_of("deferred", "immediate").upper()
        else:
            return False
        last = constraints[-1] if constraints else None
        if last is None or last.kind not in ("primary key", "unique", "exclusion", "foreign key"):
            raise self.failure(f"misplaced {word} clause", position)
        if word == "DEFERRABLE":
            last.deferrable = True
        elif word == "INITIALLY DEFERRED":
            last.deferrable = last.initially_deferred = True
        return True

    def column_constraint(self, position: int) -> commands.Constraint | None:
        """ColConstraintElem, or None where none begins."""
        kind = self.type
        if kind == "not":
            self.expect("not", "null")
            return commands.Constraint("not null", position=position)
        if kind == "null":
            self.advance()
            return commands.Constraint("null", position=position)
        if kind in ("unique", "primary"):
            return self.key_constraint(position, with_columns=False)
        if kind == "check":
            self.expect("check", "(")
            result = commands.Constraint("check", expression=self.expression(), position=position)
            self.expect(")")
            if self.accept("no"):
                self.expect("inherit")
                result.no_inherit = True
            return result
        if kind == "default":
            self.advance()
            return commands.Constraint("default", expression=self.restricted_expression(), position=position)
        if kind == "generated":
            return self.generated(position)
        if kind == "references":
            return commands.Constraint("foreign key", references=self.references(), position=position)
        return None

    def generated(self, position: int) -> commands.Constraint:
        self.expect("generated")
        always = self.accept("always")
        if not always:
            self.expect("by", "default")
        self.expect("as")
        if self.accept("identity"):
            result = commands.Constraint("identity", identity_always=always, position=position)
            if self.accept("("):
                result.sequence = self.sequence_options()
                if not result.sequence:
                    raise self.error()
                self.expect(")")
            return result
        self.expect("(")
        result = commands.Constraint("generated", expression=self.expression(), position=position)
        self.expect(")", "stored")
        if not always:
            raise SqlError("42601", "for a generated column, GENERATED ALWAYS must be specified", position=position)
        return result

    def references(self) -> commands.ForeignKey:
        position = self.position
        self.expect("references")
        result = commands.ForeignKey(self.relation(), position=position)
        if self.type == "(":
            result.columns = self.names_in_parentheses()
        if self.accept("match"):
            if self.type == "partial":
                raise SqlError("0A000", "MATCH PARTIAL not yet implemented", position=self.position - 6)
            result.match = "full" if self.one_of("full", "simple") == "full" else "simple"
        seen: set[str] = set()
        while self.type == "on":
            self.advance()
            event = self.one_of("update", "delete")
            if event in seen:
                raise self.error(self.index - 1)
            seen.add(event)
            action, columns = self.referential_action()
            if event == "update":
                result.on_update = action
                if columns:
                    raise SqlError(
                        "0A000", f"a column list with {action.upper()} is only supported for ON DELETE actions"
                    )
            else:
                result.on_delete, result.on_delete_columns = action, columns
        return result

    def referential_action(self) -> tuple[commands.ReferentialAction, list[str]]:
        if self.accept("no"):
            self.expect("action")
            return "no action", []
        if self.accept("restrict"):
            return "restrict", []
        if self.accept("cascade"):
            return "cascade", []
        self.expect("set")
        to_null = self.one_of("null", "default") == "null"
        columns = self.names_in_parentheses() if self.type == "(" else []
        return ("set null" if to_null else "set default"), columns

    def key_constraint(self, position: int, *, with_columns: bool) -> commands.Constraint:
        """PRIMARY KEY or UNIQUE of a column or a table."""
        if self.accept("unique"):
            result = commands.Constraint("unique", position=position)
            if self.type == "nulls":
                self.advance()
                result.nulls_distinct = not self.accept("not")
                self.expect("distinct")
        else:
            self.expect("primary", "key")
            result = commands.Constraint("primary key", position=position)
        if with_columns:
            if self.type == "using":
                self.expect("using", "index")
                result.index = self.name()
                return result
            result.columns = self.names_in_parentheses()
            if self.accept("include"):
                result.including = self.names_in_parentheses()
        if self.accept("with"):
            result.options = self.definition()
        if self.accept("using"):
            self.expect("index", "tablespace")
            result.tablespace = self.name()
        return result

    def definition(self) -> list[syntax.Option]:
        """( label [= value], … )."""
        self.expect("(")
        result = []
        while True:
            position = self.position
            option = syntax.Option(self.label(), position=position)
            if self.accept("="):
                option.value = self.definition_argument()
            result.append(option)
            if not self.accept(","):
                break
        self.expect(")")
        return result

    def table_constraint(self) -> commands.Constraint:
        position = self.position
        name = self.name() if self.accept("constraint") else None
        kind = self.type
        if kind == "check":
            self.expect("check", "(")
            result = commands.Constraint("check", expression=self.expression(), position=position)
            self.expect(")")
        elif kind in ("unique", "primary"):
            result = self.key_constraint(position, with_columns=True)
        elif kind == "exclude":
            result = self.exclusion(position)
        elif kind == "foreign":
            self.expect("foreign", "key")
            result = commands.Constraint("foreign key", columns=self.names_in_parentheses(), position=position)
            result.references = self.references()
        else:
            raise self.error()
        result.name = name
        self.table_constraint_attributes(result)
        return result

    def exclusion(self, position: int) -> commands.Constraint:
        self.expect("exclude")
        result = commands.Constraint("exclusion", position=position)
        if self.accept("using"):
            result.exclusion_method = self.name()
        self.expect("(")
        while True:
            result.exclusion_elements.append(self.index_element())
            self.expect("with")
            if self.type == "operator":
                self.expect("operator", "(")
                result.exclusion_operators.append(self.operator_name())
                self.expect(")")
            else:
                result.exclusion_operators.append(self.operator_name())
            if not self.accept(","):
                break
        self.expect(")")
        if self.accept("include"):
            result.including = self.names_in_parentheses()
        if self.accept("with"):
            result.options = self.definition()
        if self.accept("using"):
            self.expect("index", "tablespace")
            result.tablespace = self.name()
        if self.accept("where"):
            self.expect("(")
            result.where = self.expression()
            self.expect(")")
        return result

    def table_constraint_attributes(self, result: commands.Constraint) -> None:
        """ConstraintAttributeSpec, with PostgreSQL's refusals of what does not apply."""
        label = {"check": "CHECK", "unique": "UNIQUE", "primary key": "PRIMARY KEY", "exclusion": "EXCLUDE"}.get(
            result.kind, "FOREIGN KEY"
        )
        start = self.position
        seen: set[str] = set()
        while True:
            position = self.position
            if self.accept("deferrable"):
                word = "DEFERRABLE"
            elif self.type == "not":
                if self.ahead() in NEGATABLE:
                    raise self.error()
                self.advance()
                word = "NOT " + self.one_of("deferrable", "valid").upper()
            elif self.accept("initially"):
                word = "INITIALLY " + self.one_of("deferred", "immediate").upper()
            elif self.type == "no":
                self.expect("no", "inherit")
                word = "NO INHERIT"
            else:
                break
            seen.add(word)
            if {"DEFERRABLE", "NOT DEFERRABLE"} <= seen or {"INITIALLY DEFERRED", "INITIALLY IMMEDIATE"} <= seen:
                raise self.failure("conflicting constraint properties", position)
            if {"NOT DEFERRABLE", "INITIALLY DEFERRED"} <= seen:
                raise self.failure("constraint declared INITIALLY DEFERRED must be DEFERRABLE", position)
        if seen & {"DEFERRABLE", "INITIALLY DEFERRED"}:
            if result.kind == "check":
                raise SqlError("0A000", f"{label} constraints cannot be marked DEFERRABLE", position=start)
            result.deferrable = True
        result.initially_deferred = "INITIALLY DEFERRED" in seen
        if "NOT VALID" in seen:
            if result.kind not in ("check", "foreign key"):
                raise SqlError("0A000", f"{label} constraints cannot be marked NOT VALID", position=start)
            result.not_valid = True
        if "NO INHERIT" in seen:
            if result.kind != "check":
                raise SqlError("0A000", f"{label} constraints cannot be marked NO INHERIT", position=start)
            result.no_inherit = True

    def partition_by(self) -> commands.PartitionBy:
        position = self.position
        self.expect("partition", "by")
        strategy = self.name()
        self.expect("(")
        elements = []
        while True:
            elements.append(self.partition_element())
            if not self.accept(","):
                break
        self.expect(")")
        return commands.PartitionBy(strategy, elements, position=position)

    def partition_element(self) -> commands.PartitionElement:
        position = self.position
        if self.accept("("):
            result = commands.PartitionElement(self.expression(), position=position)
            self.expect(")")
        elif self.type in COLUMN_NAMES and self.ahead() not in ("(", "."):
            column = syntax.ColumnReference([self.name()], position=position)
            result = commands.PartitionElement(column, position=position)
        else:
            result = commands.PartitionElement(self.function_without_window(), position=position)
        if self.accept("collate"):
            result.collation = self.qualified_name()
        if self.accept("using") or self.type in COLUMN_NAMES:
            result.opclass = self.qualified_name()
        return result

    def partition_bound(self) -> commands.PartitionBound:
        position = self.position
        if self.accept("default"):
            return commands.PartitionBound("default", position=position)
        self.expect("for", "values")
        if self.accept("in"):
            self.expect("(")
            result = commands.PartitionBound("in", self.expressions(), position=position)
            self.expect(")")
        elif self.accept("from"):
            self.expect("(")
            result = commands.PartitionBound("range", self.expressions(), position=position)
            self.expect(")", "to", "(")
            result.to_values = self.expressions()
            self.expect(")")
        else:
            self.expect("with", "(")
            result = commands.PartitionBound("hash", position=position)
            while True:
                start = self.position
                word = self.non_reserved_word()
                result.options.append(syntax.Option(word, str(self.integer()), position=start))
                if not self.accept(","):
                    break
            self.expect(")")
        return result

    # ----------------------------------------------------------------------------------------------------- sequences

    def create_sequence(self, position: int, persistence: commands.Persistence) -> commands.CreateSequence:
        self.expect("sequence")
        if_not_exists = self.if_not_exists()
        result = commands.CreateSequence(self.relation(), position=position)
        result.options = self.sequence_options()
        result.if_not_exists = if_not_exists
        result.persistence = persistence
        return result

    def sequence_options(self) -> list[commands.SequenceOption]:
        result = []
        while (option := self.sequence_option()) is not None:
            result.append(option)
        return result

    def sequence_option(self) -> commands.SequenceOption | None:
        position = self.position
        option = commands.SequenceOption(self.type, position=position)
        if self.accept("as"):
            option.value = self.simple_type()
        elif self.accept("cache"):
            option.value = self.whole_number()
        elif self.accept("cycle"):
            option.value = True
        elif self.accept("no"):
            if self.type not in ("cycle", "minvalue", "maxvalue"):
                raise self.error()
            option.name = self.type
            option.value = False if self.type == "cycle" else None
            self.advance()
        elif self.accept("increment"):
            self.accept("by")
            option.value = self.whole_number()
        elif self.type in ("maxvalue", "minvalue"):
            self.advance()
            option.value = self.whole_number()
        elif self.accept("owned"):
            self.expect("by")
            option.name = "owned by"
            option.value = self.qualified_name()
        elif self.type == "sequence" and self.ahead() == "name":
            self.expect("sequence", "name")
            option.name = "sequence name"
            option.value = self.relation()
        elif self.accept("start"):
            self.accept("with")
            option.value = self.whole_number()
        elif self.accept("restart"):
            if self.accept("with") or self.type in ("INTEGER", "DECIMAL", "+", "-"):
                option.value = self.whole_number()
        elif self.type in ("logged", "unlogged"):
            self.advance()
        else:
            return None
        return option

    # ------------------------------------------------------------------------------------------------------- indexes

    def create_index(self, position: int) -> commands.CreateIndex:
        """After CREATE, at [UNIQUE] INDEX."""
        unique = self.accept("unique")
        self.expect("index")
        concurrently = self.accept("concurrently")
        asynchronous = self.is_async()
        if_not_exists = self.if_not_exists()
        name = None
        if if_not_exists or self.type != "on":
            name = self.name()
        self.expect("on")
        table = self.table_item_bare()
        result = commands.CreateIndex(table.relation, [], name, unique, concurrently, asynchronous, position=position)
        result.only = table.only
        result.if_not_exists = if_not_exists
        if self.accept("using"):
            result.method = self.name()
        self.expect("(")
        result.elements = self.index_elements()
        self.expect(")")
        if self.accept("include"):
            self.expect("(")
            result.including = self.index_elements()
            self.expect(")")
        if self.type == "nulls":
            self.advance()
            result.nulls_distinct = not self.accept("not")
            self.expect("distinct")
        if self.accept("with"):
            result.options = self.relation_options()
        if self.accept("tablespace"):
            result.tablespace = self.name()
        if self.accept("where"):
            result.where = self.expression()
        return result

    def is_async(self) -> bool:
        """Aurora DSQL's ASYNC; as it is no keyword, `CREATE INDEX async ON t` still names an index."""
        if self.type == "IDENT" and self.values[self.index] == "async" and self.ahead() != "on":
            self.advance()
            return True
        if (
            self.type == "IDENT"
            and self.values[self.index] == "async"
            and self.ahead() == "on"
            and self.ahead(2) not in COLUMN_NAMES | {"only"}
        ):
            raise self.error(self.index + 2)
        return False

    # -------------------------------------------------------------------------------------------------- option lists

    def role(self) -> commands.RoleName:
        """RoleSpec."""
        position = self.position
        if self.type in ("current_role", "current_user", "session_user"):
            kind: Literal["current_role", "current_user", "session_user"] = (
                "current_role"
                if self.type == "current_role"
                else "current_user"
                if self.type == "current_user"
                else "session_user"
            )
            self.advance()
            return commands.RoleName(kind, position=position)
        quoted = self.text.startswith('"', self.starts[self.index])
        if self.type not in COLUMN_NAMES and self.type not in TYPE_FUNCTION_NAMES:
            raise self.error()
        name = self.values[self.index]
        if not quoted and name == "none":
            raise SqlError("42939", 'role name "none" is reserved', position=position)
        self.advance()
        if not quoted and name == "public":
            return commands.RoleName("public", position=position)
        return commands.RoleName("name", name, position=position)

    def roles(self) -> list[commands.RoleName]:
        result = [self.role()]
        while self.accept(","):
            result.append(self.role())
        return result
