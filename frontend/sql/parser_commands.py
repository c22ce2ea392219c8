"""Settings, transactions, cursors, COPY, EXPLAIN, prepared statements and maintenance."""

from __future__ import annotations

from typing import Literal

from frontend.errors import SqlError, unsupported
from frontend.sql import syntax
from frontend.sql import syntax_commands as commands
from frontend.sql.parser_cursor import COLUMN_NAMES, TYPE_FUNCTION_NAMES
from frontend.sql.parser_roles import RoleParser
from frontend.sql.syntax import Constant, Option

LOCK_MODES = (
    ("access", "share"),
    ("row", "share"),
    ("row", "exclusive"),
    ("share", "update", "exclusive"),
    ("share", "row", "exclusive"),
    ("share",),
    ("exclusive",),
    ("access", "exclusive"),
)


class CommandParser(RoleParser):
    """Everything that neither reads rows nor defines objects."""

    __slots__ = ()

    # ------------------------------------------------------------------------------------------------------ settings

    def set(self) -> syntax.Statement:
        position = self.position
        self.expect("set")
        if self.type == "constraints" and self.ahead() not in ("to", "=", "."):
            self.advance()
            constraints = [] if self.accept("all") else self.relations()
            deferred = self.one_of("deferred", "immediate") == "deferred"
            return commands.SetConstraints(constraints, deferred, position=position)
        local = False
        session = False
        if self.type == "local" and self.ahead() not in ("to", "=", ".", "from"):
            self.advance()
            local = True
        elif self.type == "session" and self.ahead() not in ("to", "=", ".", "from", "authorization"):
            self.advance()
            session = True
        if self.type == "transaction" and self.ahead() not in ("to", "=", ".", "from"):
            self.advance()
            if self.accept("snapshot"):
                modes = commands.TransactionModes()
                return commands.SetTransaction(modes, False, local, self.string(), position=position)
            found = self.transaction_modes()
            if found is None:
                raise self.error()
            return commands.SetTransaction(found, False, local, position=position)
        if session and self.type == "characteristics":
            self.expect("characteristics", "as", "transaction")
            found = self.transaction_modes()
            if found is None:
                raise self.error()
            return commands.SetTransaction(found, True, position=position)
        return self.setting(local, position)

    def setting(self, local: bool, position: int) -> commands.Set:
        """set_rest_more and generic_set."""
        make = commands.Set
        kind, following = self.type, self.ahead()
        if following in ("to", "=", ".", "from"):
            return self.generic_setting(local, position)
        if kind == "time":
            self.expect("time", "zone")
            return make("timezone", self.zone(), local, position=position)
        if kind == "catalog":
            self.advance()
            raise SqlError("0A000", "current database cannot be changed", position=self.position)
        if kind == "schema":
            self.advance()
            return make("search_path", [self.constant_literal_string()], local, position=position)
        if kind == "names":
            self.advance()
            if self.accept("default"):
                return make("client_encoding", None, local, position=position)
            if self.type == "STRING":
                return make("client_encoding", [self.constant_literal_string()], local, position=position)
            return make("client_encoding", None, local, position=position)
        if kind == "role":
            self.advance()
            return make("role", [self.word_or_string()], local, position=position)
        if kind == "session":
            self.expect("session", "authorization")
            if self.accept("default"):
                return make("session_authorization", None, local, position=position)
            return make("session_authorization", [self.word_or_string()], local, position=position)
        if kind == "xml":
            raise unsupported("XML", position=position)
        return self.generic_setting(local, position)

    def generic_setting(self, local: bool, position: int) -> commands.Set:
        name = self.variable_name()
        if self.type == "from":
            self.expect("from", "current")
            raise unsupported("SET … FROM CURRENT outside of a function", position=self.position)
        self.one_of("to", "=")
        if self.accept("default"):
            return commands.Set(name, None, local, position=position)
        values = [self.setting_value()]
        while self.accept(","):
            values.append(self.setting_value())
        return commands.Set(name, values, local, position=position)

    def variable_name(self) -> str:
        name = self.name()
        while self.accept("."):
            name += "." + self.name()
        return name

    def setting_value(self) -> syntax.Expression:
        """var_value: a word, a string or a number; ON too is a word."""
        position = self.position
        if self.type in ("INTEGER", "DECIMAL", "+", "-"):
            text = self.number_text()
            kind: Literal["integer", "decimal"] = "integer" if text.lstrip("-").isdigit() else "decimal"
            return Constant(kind, text, position=position)
        if self.type in ("true", "false", "on"):
            word = self.type
            self.advance()
            return Constant("string", word, position=position)
        return self.word_or_string()

    def word_or_string(self) -> Constant:
        position = self.position
        if self.type == "STRING":
            return Constant("string", self.string(), position=position)
        return Constant("string", self.non_reserved_word(), position=position)

    def constant_literal_string(self) -> Constant:
        position = self.position
        return Constant("string", self.string(), position=position)

    def zone(self) -> list[syntax.Expression] | None:
        """zone_value of SET TIME ZONE; None for DEFAULT and LOCAL."""
        position = self.position
        if self.type in ("default", "local"):
            self.advance()
            return None
        if self.type == "STRING":
            return [self.constant_literal_string()]
        if self.type == "IDENT":
            return [self.word_or_string()]
        if self.type == "interval":
            name = syntax.TypeName(["pg_catalog", "interval"], position=position)
            self.advance()
            if self.accept("("):
                name.modifiers = [Constant("integer", str(self.integer()))]
                self.expect(")")
            value = self.constant_literal_string()
            name.interval_fields = self.interval_fields(name.modifiers)
            if name.interval_fields not in (None, "hour", "minute", "hour to minute"):
                raise self.failure("time zone interval must be HOUR or HOUR TO MINUTE", position)
            return [syntax.Cast(value, name, literal=True, position=position)]
        text = self.number_text()
        kind: Literal["integer", "decimal"] = "integer" if text.lstrip("-").isdigit() else "decimal"
        return [Constant(kind, text, position=position)]

    def reset(self) -> commands.Reset:
        position = self.position
        self.expect("reset")
        return commands.Reset(self.variable_or_all(), position=position)

    def variable_or_all(self) -> str | None:
        if self.accept("all"):
            return None
        if self.accept("time", "zone"):
            return "timezone"
        if self.type == "transaction" and self.ahead() == "isolation":
            self.expect("transaction", "isolation", "level")
            return "transaction_isolation"
        if self.accept("session", "authorization"):
            return "session_authorization"
        return self.variable_name()

    def show(self) -> commands.Show:
        position = self.position
        self.expect("show")
        return commands.Show(self.variable_or_all(), position=position)

    def set_or_reset(self) -> commands.Set | commands.Reset:
        if self.type == "reset":
            return self.reset()
        position = self.position
        self.expect("set")
        return self.setting(False, position)

    # -------------------------------------------------------------------------------------------------- transactions

    def transaction(self) -> commands.Transaction:
        position = self.position
        word = self.type
        self.advance()
        make = commands.Transaction
        if word == "begin":
            if self.type in ("work", "transaction"):
                self.advance()
            return make("begin", self.transaction_modes(), position=position)
        if word == "start":
            self.expect("transaction")
            return make("start", self.transaction_modes(), position=position)
        if word == "savepoint":
            return make("savepoint", name=self.name(), position=position)
        if word == "release":
            if self.type == "savepoint" and self.ahead() in COLUMN_NAMES:
                self.advance()
            return make("release", name=self.name(), position=position)
        if word == "prepare":
            self.expect("transaction")
            return make("prepare transaction", name=self.string(), position=position)
        ends = word in ("commit", "end")
        if word in ("commit", "rollback") and self.accept("prepared"):
            return make("commit prepared" if ends else "rollback prepared", name=self.string(), position=position)
        if self.type in ("work", "transaction"):
            self.advance()
        if word == "rollback" and self.accept("to"):
            if self.type == "savepoint" and self.ahead() in COLUMN_NAMES:
                self.advance()
            return make("rollback to", name=self.name(), position=position)
        chain = False
        if self.accept("and"):
            chain = not self.accept("no")
            self.expect("chain")
        return make("commit" if ends else "rollback", chain=chain, position=position)

    # -------------------------------------------------------------------------------------- prepared statements, cursors

    def prepare(self) -> syntax.Statement:
        if self.ahead() == "transaction" and self.ahead(2) == "STRING":
            return self.transaction()
        position = self.position
        self.expect("prepare")
        name = self.name()
        types = []
        if self.accept("("):
            types = [self.type_name()]
            while self.accept(","):
                types.append(self.type_name())
            self.expect(")")
        self.expect("as")
        return commands.Prepare(name, types, self.reading_statement(), position=position)

    def execute(self) -> commands.Execute:
        position = self.position
        self.expect("execute")
        result = commands.Execute(self.name(), position=position)
        if self.accept("("):
            result.arguments = self.expressions()
            self.expect(")")
        return result

    def deallocate(self) -> commands.Deallocate:
        position = self.position
        self.expect("deallocate")
        if self.type == "prepare" and (self.ahead() in COLUMN_NAMES or self.ahead() == "all"):
            self.advance()
        if self.accept("all"):
            return commands.Deallocate(None, position=position)
        return commands.Deallocate(self.name(), position=position)

    def declare(self) -> commands.DeclareCursor:
        position = self.position
        self.expect("declare")
        result = commands.DeclareCursor(self.name(), syntax.Select(), position=position)
        while True:
            if self.accept("binary"):
                result.binary = True
            elif self.accept("scroll"):
                result.scroll = True
            elif self.type == "no":
                self.expect("no", "scroll")
                result.scroll = False
            elif self.accept("insensitive"):
                result.insensitive = True
            elif self.accept("asensitive"):
                result.insensitive = False
            else:
                break
        self.expect("cursor")
        if self.type in ("with", "without"):
            result.hold = self.type == "with"
            self.advance()
            self.expect("hold")
        self.expect("for")
        start = self.index
        result.query = self.whole_query(self.query(), start)
        return result

    def fetch(self) -> commands.Fetch:
        position = self.position
        move = self.one_of("fetch", "move") == "move"
        result = commands.Fetch("", "forward", move=move, position=position)
        word = self.type
        if word in ("INTEGER", "+", "-"):
            result.count = self.signed_integer()
        elif word == "all":
            self.advance()
            result.count = None
        elif word in COLUMN_NAMES and self.ahead() in (";", "EOF"):
            result.cursor = self.name()  # a cursor that is named like a direction
            return result
        elif word in ("next", "prior", "first", "last"):
            self.advance()
            if word == "prior":
                result.direction = "backward"
            elif word != "next":
                result.direction, result.count = "absolute", 1 if word == "first" else -1
        elif word in ("absolute", "relative"):
            self.advance()
            result.direction = "absolute" if word == "absolute" else "relative"
            result.count = self.signed_integer()
        elif word in ("forward", "backward"):
            self.advance()
            result.direction = "forward" if word == "forward" else "backward"
            if self.accept("all"):
                result.count = None
            elif self.type in ("INTEGER", "+", "-"):
                result.count = self.signed_integer()
        if self.type in ("from", "in"):
            self.advance()
        result.cursor = self.name()
        return result

    def close(self) -> commands.CloseCursor:
        position = self.position
        self.expect("close")
        if self.accept("all"):
            return commands.CloseCursor(None, position=position)
        return commands.CloseCursor(self.name(), position=position)

    # ------------------------------------------------------------------------------------------------ EXPLAIN, COPY

    def explain(self) -> commands.Explain:
        position = self.position
        self.expect("explain")
        options = []
        if self.type == "(" and self.is_option_list():
            options = self.utility_options()
        else:
            for word in ("analyze", "verbose"):
                start = self.position
                if self.type == word or (word == "analyze" and self.type == "analyse"):
                    self.advance()
                    options.append(Option(word, position=start))
        return commands.Explain(self.explainable(), options, position=position)

    def is_option_list(self) -> bool:
        return self.ahead() not in ("select", "values", "with", "table", "(")

    def explainable(self) -> syntax.Statement:
        kind = self.type
        if kind == "create":
            if self.ahead() not in ("table", "temp", "temporary", "local", "global", "unlogged", "materialized"):
                raise self.error(self.index + 1)
            created = self.create()
            if isinstance(created, commands.CreateTable) and created.query is None:
                raise self.error()
            return created
        if kind == "declare":
            return self.declare()
        if kind == "refresh":
            return self.refresh()
        if kind == "execute":
            return self.execute()
        return self.reading_statement()

    def utility_options(self) -> list[Option]:
        """utility_option_list: ( name [value], … )."""
        self.expect("(")
        result = []
        while True:
            position = self.position
            if self.type in ("analyze", "analyse"):
                self.advance()
                option = Option("analyze", position=position)
            elif self.type == "format":
                self.advance()
                option = Option("format", position=position)
            else:
                option = Option(self.non_reserved_word(), position=position)
            if self.type not in (",", ")"):
                option.value = self.option_value()
            result.append(option)
            if not self.accept(","):
                break
        self.expect(")")
        return result

    def option_value(self) -> str:
        """opt_boolean_or_string or NumericOnly."""
        if self.type in ("INTEGER", "DECIMAL", "+", "-"):
            return self.number_text()
        if self.type == "STRING":
            return self.string()
        if self.type in ("true", "false", "on"):
            word = self.type
            self.advance()
            return word
        return self.non_reserved_word()

    def copy(self) -> commands.Copy:
        position = self.position
        self.expect("copy")
        result = commands.Copy(None, position=position)
        binary = self.type == "binary"
        binary_position = self.position
        if self.type == "(":
            self.advance()
            result.query = self.reading_statement()
            self.expect(")", "to")
        else:
            if binary:
                self.advance()
                result.options.append(Option("format", "binary", position=binary_position))
            result.relation = self.relation()
            if self.type == "(":
                result.columns = self.names_in_parentheses()
            result.from_ = self.one_of("from", "to") == "from"
        result.program = self.accept("program")
        if self.type == "STRING":
            result.filename = self.string()
        elif result.program:
            raise self.error()
        else:
            word = self.one_of("stdin", "stdout")
            del word
        if self.type in ("using", "delimiters"):
            start = self.position
            self.accept("using")
            self.expect("delimiters")
            result.options.append(Option("delimiter", self.string(), position=start))
        if self.type == "with" and self.ahead() != "(":
            self.advance()
        if self.accept("with") or self.type == "(":
            result.options += self.copy_options()
        else:
            while (option := self.old_copy_option()) is not None:
                result.options.append(option)
        if self.type == "where":
            where = self.position
            self.advance()
            result.where = self.expression()
            if not result.from_:
                raise self.failure("WHERE clause not allowed with COPY TO", where)
        return result

    def copy_options(self) -> list[Option]:
        """( name [value | * | (list)], … )."""
        self.expect("(")
        result = []
        while True:
            position = self.position
            option = Option(self.label(), position=position)
            if self.type == "*":
                self.advance()
                option.value = "*"
            elif self.accept("("):
                values = [self.option_value()]
                while self.accept(","):
                    values.append(self.option_value())
                self.expect(")")
                option.value = values
            elif self.type not in (",", ")"):
                if self.type == "default":
                    self.advance()
                    option.value = "default"
                else:
                    option.value = self.option_value()
            result.append(option)
            if not self.accept(","):
                break
        self.expect(")")
        return result

    def old_copy_option(self) -> Option | None:
        """copy_opt_item, the syntax before PostgreSQL 9.0."""
        position = self.position
        word = self.type
        if word in ("binary", "csv"):
            self.advance()
            return Option("format", word, position=position)
        if word in ("freeze", "header"):
            self.advance()
            return Option(word, "true", position=position)
        if word in ("delimiter", "null", "quote", "escape", "encoding"):
            self.advance()
            if word != "encoding":
                self.accept("as")
            return Option(word, self.string(), position=position)
        if word == "force":
            self.advance()
            if self.accept("not"):
                self.expect("null")
                return Option("force_not_null", self.names(), position=position)
            if self.accept("null"):
                return Option("force_null", self.names(), position=position)
            self.expect("quote")
            if self.type == "*":
                self.advance()
                return Option("force_quote", "*", position=position)
            return Option("force_quote", self.names(), position=position)
        return None

    # --------------------------------------------------------------------------------------------------- maintenance

    def vacuum(self) -> commands.Vacuum:
        position = self.position
        analyze_only = self.type != "vacuum"
        self.advance()
        result = commands.Vacuum(analyze_only=analyze_only, position=position)
        if self.type == "(":
            result.options = self.utility_options()
        else:
            for word in ("verbose",) if analyze_only else ("full", "freeze", "verbose", "analyze"):
                start = self.position
                if self.type == word or (word == "analyze" and self.type == "analyse"):
                    self.advance()
                    result.options.append(Option(word, position=start))
        if self.type in COLUMN_NAMES:
            result.targets.append(self.vacuum_target())
            while self.accept(","):
                result.targets.append(self.vacuum_target())
        return result

    def vacuum_target(self) -> commands.VacuumTarget:
        position = self.position
        result = commands.VacuumTarget(self.relation(), position=position)
        if self.type == "(":
            result.columns = self.names_in_parentheses()
        return result

    def lock(self) -> commands.Lock:
        position = self.position
        self.expect("lock")
        self.accept("table")
        result = commands.Lock([self.table_item_bare()], position=position)
        while self.accept(","):
            result.targets.append(self.table_item_bare())
        if self.accept("in"):
            for words in LOCK_MODES:
                if self.accept(*words, "mode"):
                    result.mode = " ".join(words)
                    break
            else:
                self.wrong_lock_mode()
        result.nowait = self.accept("nowait")
        return result

    def wrong_lock_mode(self) -> None:
        """Raise at the first token that no lock mode has there."""
        for count in range(4):
            taken = tuple(self.ahead(offset) for offset in range(count + 1))
            if not any((*words, "mode")[: count + 1] == taken for words in LOCK_MODES):
                raise self.error(self.index + count)

    def discard(self) -> commands.Discard:
        position = self.position
        self.expect("discard")
        word = self.one_of("all", "temp", "temporary", "plans", "sequences")
        target: Literal["all", "plans", "sequences", "temporary"] = "temporary"
        if word == "all":
            target = "all"
        elif word == "plans":
            target = "plans"
        elif word == "sequences":
            target = "sequences"
        return commands.Discard(target, position=position)

    def listen(self) -> syntax.Statement:
        position = self.position
        word = self.one_of("listen", "notify", "unlisten")
        if word == "unlisten" and self.type == "*":
            self.advance()
            return commands.Unlisten(None, position=position)
        channel = self.name()
        if word == "listen":
            return commands.Listen(channel, position=position)
        if word == "unlisten":
            return commands.Unlisten(channel, position=position)
        payload = self.string() if self.accept(",") else None
        return commands.Notify(channel, payload, position=position)

    def checkpoint(self) -> commands.Checkpoint:
        position = self.position
        self.expect("checkpoint")
        return commands.Checkpoint(position=position)

    def call_statement(self) -> commands.Call:
        position = self.position
        self.expect("call")
        start = self.position
        if self.type in COLUMN_NAMES and (self.type in TYPE_FUNCTION_NAMES or self.ahead() == "."):
            names = self.qualified_name()
        elif self.type in COLUMN_NAMES:
            raise self.error(self.index + 1)
        elif self.type in TYPE_FUNCTION_NAMES:
            names = [self.type_function_name()]
        else:
            raise self.error()
        if self.type != "(":
            raise self.error()
        call = syntax.FunctionCall(names, position=start)
        self.expect("(")
        if self.type == "*":
            self.advance()
            call.star = True
        elif self.type != ")":
            self.call_arguments(call)
        self.expect(")")
        return commands.Call(call, position=position)

    def do(self) -> commands.Do:
        position = self.position
        self.expect("do")
        language, body = None, None
        while self.type in ("STRING", "language"):
            if self.type == "STRING":
                body = self.string()
            else:
                self.advance()
                language = self.word_or_string().value
        if body is None and language is None:
            raise self.error()
        return commands.Do(language, body, position=position)

    def refused_command(self) -> commands.UnsupportedStatement:
        """REINDEX, CLUSTER, LOAD, IMPORT FOREIGN SCHEMA: known and refused."""
        position = self.position
        name = self.type.upper()
        self.skip_statement()
        return commands.UnsupportedStatement(name, position=position)
