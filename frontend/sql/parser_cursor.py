"""The parser's hands: a cursor over tokens, names and errors.

The parser is one class built in a line of modules, each a family of productions on top of the one before:

    Cursor (here) ← TypeParser ← FunctionParser ← ExpressionParser ← QueryParser ← ChangeParser ← TableParser ← AlterParser
        ← ObjectParser ← RoleParser ← CommandParser ← Parser

It is a recursive-descent parser with one token of lookahead in almost all places, like PostgreSQL's LALR grammar, so that
the token it stops at is the token PostgreSQL stops at, and `syntax error at or near` agrees with PostgreSQL.
Productions are methods named after what they return; each begins at its first token and ends after its last.
"""

from __future__ import annotations

from typing import NoReturn

from frontend.errors import SqlError, syntax_error
from frontend.sql.dialect import BARE_LABELS, KEYWORDS, Tokens
from frontend.sql.syntax import (
    AsOf,
    Constant,
    Expression,
    Index,
    LiftedKind,
    OperatorName,
    RelationName,
    Select,
    SortItem,
    Statement,
    TypeName,
)

# what may be a name in which place: keywords that PostgreSQL's grammar admits there, and IDENT
COLUMN_NAMES = frozenset({"IDENT"} | {word for word, category in KEYWORDS.items() if category in "UC"})
TYPE_FUNCTION_NAMES = frozenset({"IDENT"} | {word for word, category in KEYWORDS.items() if category in "UT"})
LABELS = frozenset({"IDENT"} | KEYWORDS.keys())
BARE = frozenset({"IDENT"} | BARE_LABELS)
SYMBOLS = frozenset(("+", "-", "*", "/", "%", "^", "<", ">", "=", "<=", ">=", "<>", "OP"))
NEGATABLE = frozenset(("between", "in", "like", "ilike", "similar"))


class Cursor:
    """Position in the tokens of a text. `type` is always the current token's type."""

    __slots__ = (
        "as_of_clauses",
        "ends",
        "in_substring",
        "index",
        "lifted_kinds",
        "lifted_ordinals",
        "lifting",
        "noted",
        "starts",
        "text",
        "tokens",
        "type",
        "types",
        "used_ordinals",
        "values",
        "windowless",
        "word_least",
    )

    def __init__(
        self,
        tokens: Tokens,
        lifted_ordinals: dict[int, int] | None = None,
        lifted_kinds: list[LiftedKind] | None = None,
    ) -> None:
        self.tokens = tokens
        self.text = tokens.text
        self.types = tokens.types
        self.values = tokens.values
        self.starts = tokens.starts
        self.ends = tokens.ends
        self.index = 0
        self.type = self.types[0]
        self.lifted_ordinals = lifted_ordinals or {}  # offset of a lifted literal in the text → its number
        self.lifted_kinds = lifted_kinds or []
        self.lifting = bool(lifted_ordinals)
        self.used_ordinals: set[int] = set()
        self.in_substring = False
        self.noted: SqlError | None = None
        self.windowless = 0  # position of a call that may have no OVER, FILTER or WITHIN GROUP
        self.as_of_clauses: dict[int, tuple[Select, AsOf, int]] = {}  # first token → query, clause, token behind it
        self.word_least = 0  # what `binary` was asked for when it last met an operator that is a word

    # ------------------------------------------------------------------------------------------------------- tokens

    def advance(self) -> None:
        self.index += 1
        self.type = self.types[self.index]

    def move(self, index: int) -> None:
        """Back to (or on to) the token at `index`."""
        self.index = index
        self.type = self.types[index]

    def ahead(self, count: int = 1) -> str:
        """The type of the token `count` after the current one; EOF beyond the end."""
        index = self.index + count
        return self.types[index] if index < len(self.types) else "EOF"

    @property
    def position(self) -> int:
        """1-based character offset of the current token."""
        return self.starts[self.index] + 1

    def error(self, index: int | None = None) -> SqlError:
        """The syntax error at the current token (or at the one given)."""
        if index is None:
            index = self.index
        failure = self.tokens.failure
        if failure is not None and self.types[index] == "ERROR":
            return failure
        if self.as_of_near(index):
            return self.as_of_misplaced(index)
        if self.types[index] == "EOF":
            return syntax_error("", len(self.text) + 1)
        return syntax_error(self.text[self.starts[index] : self.ends[index]], self.starts[index] + 1)

    def at_as_of(self, index: int | None = None) -> bool:
        """Whether AS OF SYSTEM or AS OF POSITION comes at the current token (or at the one given). In no place where AS gives a
        name may such words follow it."""
        if index is None:
            index = self.index
        types = self.types
        return (
            types[index] == "as"
            and types[index + 1] == "of"
            and (types[index + 2] == "position" or (types[index + 2] == "system" and types[index + 3] == "time"))
        )

    def as_of_near(self, index: int) -> bool:
        """Whether the token is among the first of AS OF …; a place that takes AS as the beginning of a name stops within."""
        return any(self.at_as_of(index - back) for back in range(3) if index >= back)

    def as_of_misplaced(self, index: int) -> SqlError:
        """0A000 for AS OF where the past cannot be read."""
        return SqlError(
            "0A000",
            "AS OF is only possible at the end of a whole query, in BEGIN and in SET TRANSACTION",
            position=self.starts[index] + 1,
        )

    def fail(self) -> NoReturn:
        raise self.error()

    def failure(self, message: str, position: int | None = None) -> SqlError:
        """A 42601 of PostgreSQL's grammar with a text of its own."""
        return SqlError("42601", message, position=position)

    def note(self, error: SqlError) -> None:
        """Keep the furthest syntax error of what was tried and given up; it is the one PostgreSQL would report."""
        if self.noted is None or (error.position or 0) > (self.noted.position or 0):
            self.noted = error

    def accept(self, *types: str) -> bool:
        """Take the tokens if they all come next; multi-word keywords are checked as a whole."""
        if self.type != types[0]:
            return False
        for offset in range(1, len(types)):
            if self.ahead(offset) != types[offset]:
                return False
        self.move(self.index + len(types))
        return True

    def expect(self, *types: str) -> None:
        """Take exactly these tokens."""
        for kind in types:
            if self.type != kind:
                raise self.error()
            self.index += 1
            self.type = self.types[self.index]

    def expect_value(self, kind: str) -> str:
        """Take a token of this type and return its value."""
        if self.type != kind:
            raise self.error()
        value = self.values[self.index]
        self.index += 1
        self.type = self.types[self.index]
        return value

    def one_of(self, *types: str) -> str:
        """Take one of these tokens and return its type."""
        if self.type not in types:
            raise self.error()
        taken = self.type
        self.advance()
        return taken

    # -------------------------------------------------------------------------------------------------------- names

    def name(self) -> str:
        """ColId: a name of a column, table, schema, index, constraint, cursor …"""
        if self.type not in COLUMN_NAMES:
            raise self.error()
        value = self.values[self.index]
        self.index += 1
        self.type = self.types[self.index]
        return value

    def label(self) -> str:
        """ColLabel: any word."""
        if self.type not in LABELS:
            raise self.error()
        value = self.values[self.index]
        self.index += 1
        self.type = self.types[self.index]
        return value

    def type_function_name(self) -> str:
        if self.type not in TYPE_FUNCTION_NAMES:
            raise self.error()
        value = self.values[self.index]
        self.advance()
        return value

    def non_reserved_word(self) -> str:
        """NonReservedWord: any word that is not reserved (names of languages, extensions, roles)."""
        if self.type not in COLUMN_NAMES and self.type not in TYPE_FUNCTION_NAMES:
            raise self.error()
        value = self.values[self.index]
        self.advance()
        return value

    def names(self) -> list[str]:
        """A comma-separated list of ColIds."""
        result = [self.name()]
        while self.type == ",":
            self.advance()
            result.append(self.name())
        return result

    def names_in_parentheses(self) -> list[str]:
        self.expect("(")
        result = self.names()
        self.expect(")")
        return result

    def qualified_name(self) -> list[str]:
        """any_name: ColId followed by `.label`s."""
        result = [self.name()]
        while self.type == ".":
            self.advance()
            result.append(self.label())
        return result

    def qualified_names(self) -> list[list[str]]:
        result = [self.qualified_name()]
        while self.accept(","):
            result.append(self.qualified_name())
        return result

    def relation(self) -> RelationName:
        """qualified_name: the name of a relation with at most schema and catalog."""
        position = self.starts[self.index] + 1
        first = self.name()
        if self.type != "." and self.type != "[":
            return RelationName(first, position=position)
        parts = [first]
        while self.type == ".":
            self.advance()
            if self.type == "*":  # the grammar takes an indirection here and refuses it once it is read
                self.advance()
                raise self.error()
            parts.append(self.label())
        if self.type == "[":
            self.subscripts()
            raise self.error()
        return self.relation_of(parts, position)

    def relation_of(self, parts: list[str], position: int) -> RelationName:
        if len(parts) == 1:
            return RelationName(parts[0], position=position)
        if len(parts) == 2:
            return RelationName(parts[1], parts[0], position=position)
        if len(parts) == 3:
            return RelationName(parts[2], parts[1], parts[0], position=position)
        raise self.failure(f"improper qualified name (too many dotted names): {'.'.join(parts)}", position)

    def relations(self) -> list[RelationName]:
        result = [self.relation()]
        while self.accept(","):
            result.append(self.relation())
        return result

    def string(self) -> str:
        return self.expect_value("STRING")

    def integer(self) -> int:
        """Iconst: an unsigned integer of at most 31 bits."""
        if self.type != "INTEGER" or int(self.values[self.index]) > 2**31 - 1:
            raise self.error()
        value = int(self.values[self.index])
        self.advance()
        return value

    def signed_integer(self) -> int:
        """SignedIconst."""
        if self.type in ("+", "-"):
            negative = self.type == "-"
            self.advance()
            value = self.integer()
            return -value if negative else value
        return self.integer()

    def number_text(self) -> str:
        """NumericOnly: a number with its sign, as written."""
        sign = ""
        if self.type in ("+", "-"):
            sign = "-" if self.type == "-" else ""
            self.advance()
        if self.type not in ("INTEGER", "DECIMAL"):
            raise self.error()
        value = sign + self.values[self.index]
        self.advance()
        return value

    def whole_number(self) -> int:
        """NumericOnly where a whole number is wanted (sequence options)."""
        position = self.position
        text = self.number_text()
        try:
            return int(text)
        except ValueError:
            raise SqlError("22P02", f'invalid input syntax for type bigint: "{text}"', position=position) from None

    def if_exists(self) -> bool:
        if self.type == "if" and self.ahead() == "exists":
            self.advance()
            self.advance()
            return True
        return False

    def if_not_exists(self) -> bool:
        """IF NOT EXISTS where IF cannot be a name (or is told from one by the NOT that follows)."""
        if self.type == "if" and self.ahead() == "not":
            self.expect("if", "not", "exists")
            return True
        return False

    def cascade(self) -> bool:
        """[CASCADE | RESTRICT]: whether it was CASCADE."""
        if self.type in ("cascade", "restrict"):
            taken = self.type == "cascade"
            self.advance()
            return taken
        return False

    # ----------------------------------------------------- productions that lower modules need from the higher ones

    def expression(self) -> Expression:
        raise NotImplementedError

    def restricted_expression(self) -> Expression:
        raise NotImplementedError

    def expressions(self) -> list[Expression]:
        raise NotImplementedError

    def constant_literal(self) -> Constant:
        raise NotImplementedError

    def named(self, position: int) -> Expression:
        raise NotImplementedError

    def string_of_type(self, name: TypeName, position: int) -> Expression:
        raise NotImplementedError

    def operator_name(self) -> OperatorName:
        raise NotImplementedError

    def subscripts(self) -> list[Index]:
        raise NotImplementedError

    def type_name(self) -> TypeName:
        raise NotImplementedError

    def query(self) -> Select:
        raise NotImplementedError

    def query_in_parentheses(self) -> Select:
        raise NotImplementedError

    def sort_items(self) -> list[SortItem]:
        raise NotImplementedError

    def statement(self) -> Statement:
        raise NotImplementedError
