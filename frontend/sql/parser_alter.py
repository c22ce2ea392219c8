"""ALTER TABLE and its kin: ALTER INDEX, VIEW, SEQUENCE, MATERIALIZED VIEW, SCHEMA and the renaming of other objects."""

from __future__ import annotations

from frontend.errors import unsupported
from frontend.sql import syntax
from frontend.sql import syntax_commands as commands
from frontend.sql.parser_tables import RELATION_KINDS, TableParser

SEQUENCE_OPTIONS = frozenset(("as", "cache", "cycle", "no", "increment", "maxvalue", "minvalue", "owned", "sequence"))
SEQUENCE_OPTIONS |= {"start", "restart", "logged", "unlogged"}


class AlterParser(TableParser):
    """ALTER of relations."""

    __slots__ = ()

    def alter_relation(self, position: int) -> syntax.Statement:
        """After ALTER, at TABLE, INDEX, VIEW, SEQUENCE, MATERIALIZED VIEW or FOREIGN TABLE."""
        kind = RELATION_KINDS[self.type]
        self.advance()
        if kind == "materialized view":
            self.expect("view")
        elif kind == "foreign table":
            self.expect("table")
        asynchronous = False
        if kind == "table" and self.type == "IDENT" and self.values[self.index] == "async":
            asynchronous = self.ahead() in ("IDENT", "if", "only")
            if asynchronous:
                self.advance()
        if self.type == "all" and kind in ("table", "index", "materialized view"):
            self.expect("all", "in")
            raise unsupported("ALTER … ALL IN TABLESPACE", position=position)
        if_exists = self.type == "if" and self.ahead() == "exists"
        if if_exists:
            self.expect("if", "exists")
        table = self.table_item_bare() if kind in ("table", "foreign table") else syntax.TableItem(self.relation())
        relation = table.relation
        if self.type == "rename":
            return self.rename_in(position, kind, relation, if_exists)
        if self.type == "set" and self.ahead() == "schema":
            self.expect("set", "schema")
            return commands.SetSchema(kind, self.name(), relation, if_exists=if_exists, position=position)
        if kind == "sequence" and self.type in SEQUENCE_OPTIONS and self.ahead() not in ("inherit", "force"):
            options = self.sequence_options()
            if not options:
                raise self.error()
            return commands.AlterSequence(relation, options, if_exists, position=position)
        if self.type in ("no", "depends") and (self.type == "depends" or self.ahead() == "depends"):
            raise unsupported("DEPENDS ON EXTENSION", position=position)
        actions = [self.action(kind)]
        while self.accept(","):
            actions.append(self.action(kind))
        return commands.AlterTable(kind, relation, actions, if_exists, table.only, asynchronous, position=position)

    def rename_in(
        self, position: int, kind: commands.RelationKind, relation: syntax.RelationName, if_exists: bool
    ) -> commands.Rename:
        """RENAME TO, RENAME [COLUMN] a TO b, RENAME CONSTRAINT a TO b."""
        self.expect("rename")
        result = commands.Rename(kind, "", relation, kind, if_exists=if_exists, position=position)
        if self.accept("to"):
            result.new_name = self.name()
            return result
        if kind in ("index", "sequence"):
            raise self.error()
        if self.type == "constraint" and kind == "table":
            self.advance()
            result.kind = "constraint"
        else:
            self.accept("column")
            result.kind = "column"
        result.object = self.name()
        self.expect("to")
        result.new_name = self.name()
        return result

    def action(self, kind: commands.RelationKind) -> commands.AlterTableAction:
        position = self.position
        word = self.type
        make = commands.AlterTableAction
        if word == "add":
            return self.add_action(position)
        if word == "drop":
            return self.drop_action(position)
        if word == "alter":
            return self.alter_action(position)
        if word == "set":
            return self.set_action(position)
        if word == "reset":
            self.advance()
            return make("reset options", options=self.relation_options(), position=position)
        if word == "owner":
            self.expect("owner", "to")
            return make("owner", role=self.role(), position=position)
        if word == "validate":
            self.expect("validate", "constraint")
            return make("validate constraint", self.name(), position=position)
        if word == "cluster":
            self.expect("cluster", "on")
            return make("cluster on", self.name(), position=position)
        if word in ("enable", "disable"):
            return self.trigger_action(position)
        if word == "force":
            self.expect("force", "row", "level", "security")
            return make("force row security", position=position)
        if word == "no":
            self.advance()
            if self.accept("force"):
                self.expect("row", "level", "security")
                return make("no force row security", position=position)
            self.expect("inherit")
            return make("no inherit", relation=self.relation(), position=position)
        if word == "inherit":
            self.advance()
            return make("inherit", relation=self.relation(), position=position)
        if word == "replica":
            self.expect("replica", "identity")
            if self.accept("using"):
                self.expect("index")
                return make("replica identity", self.name(), value="index", position=position)
            value = self.one_of("nothing", "full", "default")
            return make("replica identity", value=value, position=position)
        if word == "of":
            self.advance()
            start = self.position
            return make("of", type=syntax.TypeName(self.qualified_name(), position=start), position=position)
        if word == "not":
            self.expect("not", "of")
            return make("not of", position=position)
        if word == "attach":
            self.expect("attach", "partition")
            result = make("attach partition", relation=self.relation(), position=position)
            if kind != "index":
                result.bound = self.partition_bound()
            return result
        if word == "detach":
            self.expect("detach", "partition")
            result = make("detach partition", relation=self.relation(), position=position)
            if self.type in ("concurrently", "finalize"):
                result.value = self.type
                self.advance()
            return result
        if word == "options":
            raise unsupported("OPTIONS of a foreign table", position=position)
        raise self.error()

    def add_action(self, position: int) -> commands.AlterTableAction:
        self.expect("add")
        make = commands.AlterTableAction
        if self.type in ("constraint", "check", "unique", "primary", "foreign", "exclude"):
            return make("add constraint", constraint=self.table_constraint(), position=position)
        self.accept("column")
        if_not_exists = self.if_not_exists()
        column = self.column_definition()
        return make("add column", column.name, column, if_not_exists=if_not_exists, position=position)

    def drop_action(self, position: int) -> commands.AlterTableAction:
        self.expect("drop")
        make = commands.AlterTableAction
        if self.type == "constraint":
            self.advance()
            result = make("drop constraint", position=position)
        else:
            self.accept("column")
            result = make("drop column", position=position)
        if self.type == "if" and self.ahead() == "exists":
            self.expect("if", "exists")
            result.if_exists = True
        result.name = self.name()
        result.cascade = self.cascade()
        return result

    def alter_action(self, position: int) -> commands.AlterTableAction:
        self.expect("alter")
        make = commands.AlterTableAction
        if self.accept("constraint"):
            constraint = commands.Constraint("foreign key", self.name(), position=position)
            self.table_constraint_attributes(constraint)
            return make("alter constraint", constraint.name, constraint=constraint, position=position)
        self.accept("column")
        if self.type == "INTEGER":
            number = self.integer()
            self.expect("set", "statistics")
            return make("set statistics", None, value=str(self.signed_integer()), number=number, position=position)
        name = self.name()
        if self.type == "set":
            return self.alter_column_set(name, position)
        if self.accept("drop"):
            if self.accept("default"):
                return make("drop default", name, position=position)
            if self.accept("not"):
                self.expect("null")
                return make("drop not null", name, position=position)
            word = self.one_of("expression", "identity")
            result = make("drop expression" if word == "expression" else "drop identity", name, position=position)
            if self.type == "if":
                self.expect("if", "exists")
                result.if_exists = True
            return result
        if self.accept("add"):
            generated = self.position
            constraint = self.generated(generated)
            if constraint.kind != "identity":
                raise self.error()
            return make("add identity", name, constraint=constraint, position=position)
        if self.type == "type":
            return self.alter_column_type(name, position)
        if self.accept("reset"):
            return make("reset column options", name, options=self.relation_options(), position=position)
        if self.accept("restart"):
            option = commands.SequenceOption("restart", position=position)
            if self.accept("with") or self.type in ("INTEGER", "DECIMAL", "+", "-"):
                option.value = self.whole_number()
            return make("set identity", name, sequence=[option, *self.identity_options()], position=position)
        raise self.error()

    def alter_column_type(self, name: str, position: int) -> commands.AlterTableAction:
        self.expect("type")
        result = commands.AlterTableAction("alter column type", name, type=self.type_name(), position=position)
        if self.accept("collate"):
            result.collation = self.qualified_name()
        if self.accept("using"):
            result.expression = self.expression()
        return result

    def alter_column_set(self, name: str, position: int) -> commands.AlterTableAction:
        make = commands.AlterTableAction
        following = self.ahead()
        if following in ("generated", "sequence", "increment", "start", "minvalue", "maxvalue", "cache", "cycle") or (
            following in ("no", "restart", "as", "owned", "logged", "unlogged")
        ):
            return make("set identity", name, sequence=self.identity_options(), position=position)
        self.expect("set")
        if self.accept("default"):
            return make("set default", name, expression=self.expression(), position=position)
        if self.accept("not"):
            self.expect("null")
            return make("set not null", name, position=position)
        if self.accept("data"):
            return self.alter_column_type(name, position)
        if self.accept("statistics"):
            return make("set statistics", name, number=self.signed_integer(), position=position)
        if self.accept("storage"):
            value = "default" if self.accept("default") else self.name()
            return make("set storage", name, value=value, position=position)
        if self.accept("compression"):
            value = "default" if self.accept("default") else self.name()
            return make("set compression", name, value=value, position=position)
        if self.type == "(":
            return make("set column options", name, options=self.relation_options(), position=position)
        raise self.error()

    def identity_options(self) -> list[commands.SequenceOption]:
        """SET GENERATED …, SET sequence option, RESTART, any number of them."""
        result = []
        while self.type in ("set", "restart"):
            position = self.position
            if self.type == "restart":
                option = self.sequence_option()
                assert option is not None
                result.append(option)
                continue
            self.advance()
            if self.accept("generated"):
                always = self.accept("always")
                if not always:
                    self.expect("by", "default")
                result.append(commands.SequenceOption("generated", always, position=position))
                continue
            option = self.sequence_option()
            if option is None:
                raise self.error()
            result.append(option)
        return result

    def set_action(self, position: int) -> commands.AlterTableAction:
        self.expect("set")
        make = commands.AlterTableAction
        if self.type == "(":
            return make("set options", options=self.relation_options(), position=position)
        if self.accept("logged"):
            return make("set logged", position=position)
        if self.accept("unlogged"):
            return make("set unlogged", position=position)
        if self.accept("tablespace"):
            return make("set tablespace", value=self.name(), position=position)
        if self.accept("access"):
            self.expect("method")
            return make("set access method", value=self.name(), position=position)
        self.expect("without")
        if self.accept("oids"):
            return make("set without oids", position=position)
        self.expect("cluster")
        return make("set without cluster", position=position)

    def trigger_action(self, position: int) -> commands.AlterTableAction:
        enable = self.one_of("enable", "disable") == "enable"
        make = commands.AlterTableAction
        if self.accept("row"):
            self.expect("level", "security")
            return make("enable row security" if enable else "disable row security", position=position)
        value = ""
        if enable and self.type in ("always", "replica"):
            value = self.type
            self.advance()
        if self.accept("trigger"):
            result = make("enable trigger" if enable else "disable trigger", value=value, position=position)
            if not value and self.type in ("all", "user"):
                result.value = self.type
                self.advance()
            else:
                result.name = self.name()
            return result
        self.expect("rule")
        return make("enable rule" if enable else "disable rule", self.name(), value=value, position=position)
