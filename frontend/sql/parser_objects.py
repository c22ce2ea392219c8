"""Views, schemas and other objects: CREATE, ALTER, DROP, COMMENT; and the statements that Boreal knows but does not run.

A statement that is refused whole (CREATE FUNCTION, ALTER OPERATOR …) becomes an UnsupportedStatement; its text up to the
semicolon is passed over unread, so a syntax error inside it is not reported.
"""

from __future__ import annotations

from typing import Literal

from frontend.errors import SqlError, unsupported
from frontend.sql import syntax
from frontend.sql import syntax_commands as commands
from frontend.sql.parser_alter import AlterParser
from frontend.sql.parser_cursor import COLUMN_NAMES, TYPE_FUNCTION_NAMES
from frontend.sql.parser_tables import RELATION_KINDS

# first words after CREATE or ALTER → the words that name the refused statement
REFUSED_KINDS = (
    ("access", "method"),
    ("aggregate",),
    ("cast",),
    ("collation",),
    ("conversion",),
    ("default", "conversion"),
    ("database",),
    ("domain",),
    ("event", "trigger"),
    ("extension",),
    ("foreign", "data", "wrapper"),
    ("foreign", "table"),
    ("function",),
    ("large", "object"),
    ("language",),
    ("trusted", "procedural", "language"),
    ("trusted", "language"),
    ("procedural", "language"),
    ("operator", "class"),
    ("operator", "family"),
    ("operator",),
    ("policy",),
    ("procedure",),
    ("publication",),
    ("routine",),
    ("rule",),
    ("server",),
    ("statistics",),
    ("subscription",),
    ("system",),
    ("tablespace",),
    ("text", "search", "configuration"),
    ("text", "search", "dictionary"),
    ("text", "search", "parser"),
    ("text", "search", "template"),
    ("transform",),
    ("constraint", "trigger"),
    ("trigger",),
    ("type",),
    ("user", "mapping"),
)
REPLACEABLE = frozenset(
    ("aggregate", "function", "procedure", "language", "trusted", "procedural", "rule", "transform")
)
REPLACEABLE |= {"trigger", "constraint"}

# DROP and COMMENT: words → kind; how their objects are named
SIMPLE_DROPS = {
    ("schema",): "schema",
    ("extension",): "extension",
    ("language",): "language",
    ("procedural", "language"): "language",
    ("publication",): "publication",
    ("event", "trigger"): "event trigger",
    ("access", "method"): "access method",
    ("foreign", "data", "wrapper"): "foreign data wrapper",
    ("server",): "server",
}
QUALIFIED_DROPS = {
    ("table",): "table",
    ("sequence",): "sequence",
    ("view",): "view",
    ("materialized", "view"): "materialized view",
    ("index",): "index",
    ("foreign", "table"): "foreign table",
    ("collation",): "collation",
    ("conversion",): "conversion",
    ("statistics",): "statistics",
    ("text", "search", "parser"): "text search parser",
    ("text", "search", "dictionary"): "text search dictionary",
    ("text", "search", "template"): "text search template",
    ("text", "search", "configuration"): "text search configuration",
}
ON_RELATION = ("trigger", "rule", "policy")
FUNCTION_KINDS = ("function", "procedure", "routine", "aggregate")


class ObjectParser(AlterParser):
    """CREATE, ALTER, DROP and COMMENT."""

    __slots__ = ()

    # -------------------------------------------------------------------------------------------------------- CREATE

    def create(self) -> syntax.Statement:
        position = self.position
        self.expect("create")
        replace = False
        if self.type == "or":
            self.expect("or", "replace")
            replace = True
        kind = self.type
        persistence, written = self.persistence()
        if self.type in ("view", "recursive"):
            return self.create_view(position, replace, persistence)
        if written or kind in ("table", "sequence"):
            if replace:
                raise self.error()
            if self.type == "table":
                return self.create_table(position, persistence)
            if self.type == "sequence":
                return self.create_sequence(position, persistence)
            raise self.error()
        if replace:
            if kind in REPLACEABLE and (refused := self.refused("CREATE", position)) is not None:
                return refused
            raise self.error()
        if kind in ("index", "unique"):
            return self.create_index(position)
        if kind == "schema":
            return self.create_schema(position)
        if kind == "materialized":
            return self.create_materialized_view(position)
        if kind in ("role", "user", "group") and not (kind == "user" and self.ahead() == "mapping"):
            return self.create_role(position)
        refused = self.refused("CREATE", position)
        if refused is None:
            raise self.error()
        return refused

    def create_role(self, position: int) -> syntax.Statement:
        raise NotImplementedError

    def refused(self, verb: str, position: int) -> commands.UnsupportedStatement | None:
        """A statement that is refused by its first words, passed over to its end."""
        furthest = 0
        for words in REFUSED_KINDS:
            if verb != "CREATE" and words[0] in ("default", "constraint"):
                continue
            furthest = max(furthest, self.words_matching(words))
            if all(self.ahead(offset) == word for offset, word in enumerate(words)):
                self.skip_statement()
                return commands.UnsupportedStatement(f"{verb} {' '.join(words).upper()}", position=position)
        if furthest:
            raise self.error(self.index + furthest)
        return None

    def skip_statement(self) -> None:
        """Over everything up to the semicolon or the end; BEGIN ATOMIC … END has semicolons of its own."""
        depth = 0
        while self.type != "EOF" and (self.type != ";" or depth):
            if self.type == "begin" and self.ahead() == "atomic" or depth and self.type == "case":
                depth += 1
            elif depth and self.type == "end":
                depth -= 1
            self.advance()

    def create_view(self, position: int, replace: bool, persistence: commands.Persistence) -> commands.CreateView:
        recursive = self.accept("recursive")
        self.expect("view")
        relation = self.relation()
        columns = []
        if recursive or self.type == "(":
            columns = self.names_in_parentheses()
        options = []
        if self.accept("with"):
            options = self.relation_options()
        self.expect("as")
        query = self.query()
        result = commands.CreateView(relation, query, columns, replace, recursive, persistence, position=position)
        result.options = options
        if self.accept("with"):
            result.check_option = "local" if self.accept("local") else "cascaded"
            if result.check_option == "cascaded":
                self.accept("cascaded")
            start = self.position
            self.expect("check", "option")
            if recursive:
                raise SqlError("0A000", "WITH CHECK OPTION not supported on recursive views", position=start)
        return result

    def create_materialized_view(self, position: int) -> commands.CreateMaterializedView:
        self.expect("materialized", "view")
        if_not_exists = self.if_not_exists()
        relation = self.relation()
        columns = self.names_in_parentheses() if self.type == "(" else []
        if self.accept("using"):
            self.name()
        options = self.relation_options() if self.accept("with") else []
        if self.accept("tablespace"):
            self.name()
        self.expect("as")
        query = self.query()
        return commands.CreateMaterializedView(
            relation, query, columns, if_not_exists, options, self.with_data(), position=position
        )

    def create_schema(self, position: int) -> commands.CreateSchema:
        self.expect("schema")
        if_not_exists = self.if_not_exists()
        result = commands.CreateSchema(None, if_not_exists=if_not_exists, position=position)
        if self.accept("authorization"):
            result.authorization = self.role()
        else:
            result.name = self.name()
            if self.accept("authorization"):
                result.authorization = self.role()
        while self.type in ("create", "grant"):
            start = self.position
            if if_not_exists:
                raise SqlError("0A000", "CREATE SCHEMA IF NOT EXISTS cannot include schema elements", position=start)
            if self.type == "grant":
                result.elements.append(self.grant())
            else:
                if self.ahead() not in ("table", "index", "unique", "sequence", "view", "temp", "temporary", "or"):
                    if self.ahead() in ("trigger", "constraint"):
                        raise unsupported("CREATE TRIGGER", position=start)
                    raise self.error(self.index + 1)
                result.elements.append(self.create())
        return result

    def grant(self) -> syntax.Statement:
        raise NotImplementedError

    def refresh(self) -> commands.RefreshMaterializedView:
        position = self.position
        self.expect("refresh", "materialized", "view")
        concurrently = self.accept("concurrently")
        relation = self.relation()
        return commands.RefreshMaterializedView(relation, concurrently, self.with_data(), position=position)

    # --------------------------------------------------------------------------------------------------------- ALTER

    def alter(self) -> syntax.Statement:
        position = self.position
        self.expect("alter")
        kind = self.type
        if kind in RELATION_KINDS and (kind != "foreign" or self.ahead() == "table"):
            return self.alter_relation(position)
        if kind == "schema":
            self.advance()
            return self.alter_named("schema", [self.name()], position)
        if kind == "default":
            return self.alter_default_privileges(position)
        if kind in ("role", "user", "group") and not (kind == "user" and self.ahead() == "mapping"):
            return self.alter_role(position)
        if kind == "database":
            self.advance()
            name = self.name()
            if self.type == "rename" or (self.type == "owner" and self.ahead() == "to"):
                return self.alter_named("database", [name], position)
            self.skip_statement()
            return commands.UnsupportedStatement("ALTER DATABASE", position=position)
        refused = self.refused("ALTER", position)
        if refused is None:
            raise self.error()
        return refused

    def alter_named(self, kind: str, names: list[str], position: int) -> syntax.Statement:
        """… RENAME TO name, OWNER TO role."""
        if self.accept("rename"):
            self.expect("to")
            return commands.Rename(kind, self.name(), names=names, position=position)
        self.expect("owner", "to")
        return commands.SetOwner(kind, names, self.role(), position=position)

    def alter_default_privileges(self, position: int) -> syntax.Statement:
        raise NotImplementedError

    def alter_role(self, position: int) -> syntax.Statement:
        raise NotImplementedError

    # ---------------------------------------------------------------------------------------------------------- DROP

    def words(self, table: dict[tuple[str, ...], str], *, strict: bool = True) -> str | None:
        """The kind of the row of `table` whose words come next; they are taken.

        With `strict`, only some of the words of a row are a syntax error at the first that is missing.
        """
        furthest = 0
        for words, kind in table.items():
            if self.accept(*words):
                return kind
            furthest = max(furthest, self.words_matching(words))
        if strict and furthest:
            raise self.error(self.index + furthest)
        return None

    def words_matching(self, words: tuple[str, ...]) -> int:
        """How many of these words come next."""
        count = 0
        while count < len(words) and self.ahead(count) == words[count]:
            count += 1
        return count

    def drop(self) -> syntax.Statement:
        position = self.position
        self.expect("drop")
        if self.type == "owned":
            self.expect("owned", "by")
            roles = self.roles()
            return commands.DropOwned(roles, self.cascade(), position=position)
        if self.type in ("role", "user", "group") and not (self.type == "user" and self.ahead() == "mapping"):
            self.advance()
            if_exists = self.if_exists()
            return commands.DropRole(self.roles(), if_exists, position=position)
        if self.type in FUNCTION_KINDS:
            kind = self.type
            self.advance()
            result = commands.Drop(kind, position=position)
            result.if_exists = self.if_exists()
            result.functions = [self.function_signature(aggregate=kind == "aggregate")]
            while self.accept(","):
                result.functions.append(self.function_signature(aggregate=kind == "aggregate"))
            result.cascade = self.cascade()
            return result
        if self.type in ("type", "domain"):
            result = commands.Drop(self.type, position=position)
            self.advance()
            result.if_exists = self.if_exists()
            result.objects = [self.type_name().names]
            while self.accept(","):
                result.objects.append(self.type_name().names)
            result.cascade = self.cascade()
            return result
        if self.type in ON_RELATION:
            result = commands.Drop(self.type, position=position)
            self.advance()
            result.if_exists = self.if_exists()
            name = self.name()
            self.expect("on")
            result.objects = [[*self.qualified_name(), name]]
            result.cascade = self.cascade()
            return result
        simple = self.words(SIMPLE_DROPS, strict=False)
        if simple is not None:
            result = commands.Drop(simple, position=position)
            result.if_exists = self.if_exists()
            result.objects = [[name] for name in self.names()]
            result.cascade = self.cascade()
            return result
        qualified = self.words(QUALIFIED_DROPS, strict=False)
        if qualified is not None:
            result = commands.Drop(qualified, position=position)
            if qualified == "index":
                result.concurrently = self.accept("concurrently")
            result.if_exists = self.if_exists()
            result.objects = self.qualified_names()
            result.cascade = self.cascade()
            return result
        refused = self.refused("DROP", position)
        if refused is None:
            self.words({**SIMPLE_DROPS, **QUALIFIED_DROPS})
            raise self.error()
        return refused

    def function_signature(self, *, aggregate: bool = False) -> commands.FunctionSignature:
        """name [( [mode] [name] type, … )]; `*` for an aggregate of nothing."""
        position = self.position
        named_as_function = self.type in TYPE_FUNCTION_NAMES or self.ahead() == "."
        names = self.qualified_name() if self.type in COLUMN_NAMES else [self.type_function_name()]
        if self.type == "(" and not named_as_function:
            raise self.error()
        result = commands.FunctionSignature(names, position=position)
        if not aggregate and self.type != "(":
            return result
        self.expect("(")
        result.arguments = []
        if aggregate and self.type == "*":
            self.advance()
        elif aggregate or self.type != ")":
            while True:
                argument = self.function_argument()
                if argument is not None:
                    result.arguments.append(argument)
                if not self.accept(","):
                    break
        self.expect(")")
        return result

    def function_argument(self) -> syntax.TypeName | None:
        """[mode] [name] type; None for an OUT argument, which takes no part in the signature."""
        mode = self.type if self.type in ("in", "out", "inout", "variadic") else ""
        if mode:
            self.advance()
        following = self.ahead()
        if self.type in TYPE_FUNCTION_NAMES and following not in (
            ",",
            ")",
            "(",
            ".",
            "[",
            "%",
            "EOF",
            "precision",
            "array",
        ):
            self.advance()
        name = self.type_name()
        if self.type == "%":
            self.expect("%", "type")
            name.percent_type = True
        return None if mode == "out" else name

    # ------------------------------------------------------------------------------------------------------- COMMENT

    def comment(self) -> commands.Comment:
        position = self.position
        self.expect("comment", "on")
        result = commands.Comment("", [], None, position=position)
        kind = self.type
        if kind in FUNCTION_KINDS:
            self.advance()
            result.kind = kind
            result.function = self.function_signature(aggregate=kind == "aggregate")
            result.names = result.function.names
        elif kind in ("type", "domain"):
            self.advance()
            result.kind = kind
            result.type = self.type_name()
            result.names = result.type.names
        elif kind == "column":
            self.advance()
            result.kind = kind
            result.names = self.qualified_name()
        elif kind in ("constraint", *ON_RELATION):
            self.advance()
            result.kind = kind
            name = self.name()
            self.expect("on")
            if kind == "constraint" and self.type == "domain" and self.ahead() in COLUMN_NAMES:
                self.advance()
                result.kind = "domain constraint"
            result.names = [*self.qualified_name(), name]
        elif kind in ("database", "role", "tablespace", "subscription"):
            self.advance()
            result.kind = kind
            result.names = [self.name()]
        elif kind in ("cast", "operator", "large", "transform"):
            raise unsupported(f"COMMENT ON {kind.upper()}", position=position)
        elif (simple := self.words(SIMPLE_DROPS, strict=False)) is not None:
            result.kind = simple
            result.names = [self.name()]
        elif (qualified := self.words(QUALIFIED_DROPS)) is not None:
            result.kind = qualified
            result.names = self.qualified_name()
        else:
            self.words(SIMPLE_DROPS)
            raise self.error()
        self.expect("is")
        if self.type == "null":
            self.advance()
        else:
            result.text = self.string()
        return result

    def security_label(self) -> commands.UnsupportedStatement:
        position = self.position
        self.expect("security", "label")
        self.skip_statement()
        return commands.UnsupportedStatement("SECURITY LABEL", position=position)

    # --------------------------------------------------------------------------------------------- transaction modes

    def transaction_modes(self) -> commands.TransactionModes | None:
        """Modes separated by commas or nothing; None where there are none."""
        result: commands.TransactionModes | None = None
        while True:
            position = self.position
            mode = commands.TransactionModes(position=position)
            if self.accept("isolation"):
                self.expect("level")
                mode.isolation = self.isolation_level()
            elif self.accept("read"):
                mode.read_only = self.one_of("only", "write") == "only"
            elif self.accept("deferrable"):
                mode.deferrable = True
            elif self.type == "not":
                self.expect("not", "deferrable")
                mode.deferrable = False
            elif self.at_as_of():
                mode.as_of = self.as_of()
            else:
                return result
            if result is None:
                result = mode
            else:
                # the last one said wins, as when PostgreSQL sets them one after the other
                for field in ("isolation", "read_only", "deferrable", "as_of"):
                    if getattr(mode, field) is not None:
                        setattr(result, field, getattr(mode, field))
            if self.type == ",":
                self.advance()
                if self.type not in ("isolation", "read", "deferrable", "not") and not self.at_as_of():
                    raise self.error()

    def isolation_level(self) -> Literal["read uncommitted", "read committed", "repeatable read", "serializable"]:
        if self.accept("serializable"):
            return "serializable"
        if self.accept("repeatable"):
            self.expect("read")
            return "repeatable read"
        self.expect("read")
        return "read committed" if self.one_of("committed", "uncommitted") == "committed" else "read uncommitted"
