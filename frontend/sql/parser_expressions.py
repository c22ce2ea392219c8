"""Expressions and types: precedence climbing with PostgreSQL's table.

PostgreSQL's precedences, loosest first (gram.y): OR, AND, NOT, IS ISNULL NOTNULL, comparison (not associative), BETWEEN IN
LIKE ILIKE SIMILAR (not associative), other operators, + -, * / %, ^, AT TIME ZONE, COLLATE, unary minus, subscripts,
`::`. All binary operators associate to the left. An operand of a unary operator ends before the first operator that binds
more loosely. `restricted` is the grammar's b_expr, which has no AND, OR, NOT, IN, LIKE, BETWEEN or IS NULL: the left bound
of BETWEEN, DEFAULT of a column, and a few more.

Literal lifting: while `lifting` holds, a literal whose place in the text `fingerprint` lifted becomes a Parameter. Places
where PostgreSQL's grammar wants a literal token never come here, so those remain what they are.
"""

from __future__ import annotations

from typing import Literal

from frontend.errors import SqlError, unsupported
from frontend.sql import syntax
from frontend.sql.dialect import Tokens
from frontend.sql.parser_cursor import COLUMN_NAMES, LABELS, TYPE_FUNCTION_NAMES, UNRESERVED, Cursor
from frontend.sql.syntax import (
    BooleanExpression,
    ColumnReference,
    Constant,
    Expression,
    FunctionCall,
    LiftedKind,
    Operator,
    TypeName,
    WindowDefinition,
)

OR, AND, NOT, IS, COMPARISON, MATCH, ESCAPE, OTHER, SUM, PRODUCT, POWER, AT, COLLATE, SIGN, CAST = range(1, 16)

PRECEDENCE = {
    "or": OR,
    "and": AND,
    "is": IS,
    "isnull": IS,
    "notnull": IS,
    "<": COMPARISON,
    ">": COMPARISON,
    "=": COMPARISON,
    "<=": COMPARISON,
    ">=": COMPARISON,
    "<>": COMPARISON,
    "between": MATCH,
    "in": MATCH,
    "like": MATCH,
    "ilike": MATCH,
    "similar": MATCH,
    "not": MATCH,
    "OP": OTHER,
    "operator": OTHER,
    "+": SUM,
    "-": SUM,
    "*": PRODUCT,
    "/": PRODUCT,
    "%": PRODUCT,
    "^": POWER,
    "at": AT,
    "collate": COLLATE,
    "::": CAST,
}
RESTRICTED_OUT = frozenset(("or", "and", "isnull", "notnull", "between", "in", "like", "ilike", "similar", "not", "at"))
RESTRICTED_OUT |= {"collate"}
SYMBOLS = frozenset(("+", "-", "*", "/", "%", "^", "<", ">", "=", "<=", ">=", "<>", "OP"))
NEGATABLE = frozenset(("between", "in", "like", "ilike", "similar"))
QUERY_START = frozenset(("select", "values", "with", "table"))

AFTER_PLACE = frozenset(("EOF", ";", ",", ")", "asc", "desc", "using", "nulls", "limit", "offset", "fetch", "for"))
AFTER_PLACE |= {
    "having",
    "window",
    "union",
    "intersect",
    "except",
    "order",
    "rows",
    "range",
    "groups",
    "returning",
    "on",
}

SQL_VALUES: dict[str, syntax.SqlValueName] = {
    "current_date": "current_date",
    "current_time": "current_time",
    "current_timestamp": "current_timestamp",
    "localtime": "localtime",
    "localtimestamp": "localtimestamp",
    "current_role": "current_role",
    "current_user": "current_user",
    "user": "user",
    "session_user": "session_user",
    "system_user": "system_user",
    "current_catalog": "current_catalog",
    "current_schema": "current_schema",
}
WITH_PRECISION = frozenset(("current_time", "current_timestamp", "localtime", "localtimestamp"))
XML_FUNCTIONS = frozenset(
    ("xmlconcat", "xmlelement", "xmlexists", "xmlforest", "xmlparse", "xmlpi", "xmlroot", "xmlserialize")
)
JSON_CONSTRUCTORS = frozenset(("json_object", "json_array", "json_objectagg", "json_arrayagg"))

# keywords that are types of their own in the grammar → the catalogue's name
SIMPLE_TYPES = {
    "int": "int4",
    "integer": "int4",
    "smallint": "int2",
    "bigint": "int8",
    "real": "float4",
    "boolean": "bool",
}
TYPE_KEYWORDS = frozenset(
    (*SIMPLE_TYPES, "float", "double", "decimal", "dec", "numeric", "bit", "character", "char", "varchar", "national")
) | {"nchar", "timestamp", "time", "interval"}
TYPE_CONTINUATIONS = {
    "double": ("precision",),
    "national": ("character", "char"),
    "bit": ("varying",),
    "character": ("varying",),
    "char": ("varying",),
    "nchar": ("varying",),
    "timestamp": ("with", "without"),
    "time": ("with", "without"),
}
INTERVAL_FIELDS: dict[str, tuple[str, ...]] = {
    "year": ("month",),
    "month": (),
    "day": ("hour", "minute", "second"),
    "hour": ("minute", "second"),
    "minute": ("second",),
    "second": (),
}


class ExpressionParser(Cursor):
    """Expressions, types and what belongs to them."""

    __slots__ = (
        "in_substring",
        "lifted_kinds",
        "lifted_ordinals",
        "lifting",
        "noted",
        "used_ordinals",
        "windowless",
        "word_least",
    )

    def __init__(
        self,
        tokens: Tokens,
        lifted_ordinals: dict[int, int] | None = None,
        lifted_kinds: list[LiftedKind] | None = None,
    ) -> None:
        super().__init__(tokens)
        self.lifted_ordinals = lifted_ordinals or {}  # offset of a lifted literal in the text → its number
        self.lifted_kinds = lifted_kinds or []
        self.lifting = bool(lifted_ordinals)
        self.used_ordinals: set[int] = set()
        self.in_substring = False
        self.noted: SqlError | None = None
        self.windowless = 0  # position of a call that may have no OVER, FILTER or WITHIN GROUP
        self.word_least = 0  # what `binary` was asked for when it last met an operator that is a word

    # -------------------------------------------------------------------------------------------------- expressions

    def expression(self) -> Expression:
        """a_expr."""
        return self.binary(0, False)

    def restricted_expression(self) -> Expression:
        """b_expr."""
        return self.binary(0, True)

    def expressions(self) -> list[Expression]:
        result = [self.binary(0, False)]
        while self.type == ",":
            self.advance()
            result.append(self.binary(0, False))
        return result

    def binary(self, least: int, restricted: bool) -> Expression:
        """An expression of operators that bind at least as tightly as `least`."""
        left = self.unary(restricted)
        while True:
            kind = self.type
            precedence = PRECEDENCE.get(kind)
            if precedence is None or precedence < least:
                return left
            if restricted and kind in RESTRICTED_OUT:
                return left
            if kind in SYMBOLS:
                left = self.operation(left, self.values[self.index], None, precedence, restricted)
            elif kind == "and" or kind == "or":
                self.word_least = least
                left = self.junction(left, kind, precedence)
            elif kind == "operator":
                self.word_least = least
                position = self.position
                name, schema = self.explicit_operator()
                left = self.operation(left, name, schema, precedence, restricted, position)
            elif kind == "::":
                left = self.casts(left)
            else:
                self.word_least = least
                extended = self.predicate(left, kind, precedence, restricted)
                if extended is None:
                    return left
                left = extended

    def operation(
        self,
        left: Expression,
        name: str,
        schema: str | None,
        precedence: int,
        restricted: bool,
        position: int = 0,
    ) -> Expression:
        if not position:  # a plain operator, not yet taken
            position = self.starts[self.index] + 1
            self.index += 1
            self.type = self.types[self.index]
        if self.type in ("any", "some", "all") and not restricted:
            return self.quantified(left, name, schema, position)
        right = self.binary(precedence + 1, restricted)
        if precedence == COMPARISON and PRECEDENCE.get(self.type) == COMPARISON:
            raise self.error()
        return Operator(name, left, right, schema, position=position)

    def quantified(self, left: Expression, name: str, schema: str | None, position: int) -> Expression:
        kind: Literal["any", "all"] = "all" if self.type == "all" else "any"
        self.advance()
        self.expect("(")
        query, operand = self.query_or_expression()
        self.expect(")")
        return syntax.Quantified(name, kind, left, operand, query, schema, position=position)

    def query_or_expression(self) -> tuple[syntax.Select | None, Expression | None]:
        """Inside parentheses: a query, or one expression."""
        if self.starts_query(self.index):
            return self.query(), None
        if self.type == "(":
            query = self.try_query()
            if query is not None:
                return query, None
        return None, self.expression()

    def starts_query(self, index: int) -> bool:
        """Whether a query begins at this token; VALUES without a parenthesis is a name."""
        kind = self.types[index]
        return kind in QUERY_START and (kind != "values" or self.types[index + 1] == "(")

    def try_query(self) -> syntax.Select | None:
        """At `(` inside parentheses: the query that goes on until the closing one, or None and nothing taken.

        Only the text after it tells `((select 1) union select 2)` from `((select 1) + 2)`, so this tries.
        """
        start = self.index
        probe = start
        while self.types[probe] == "(":
            probe += 1
        if not self.starts_query(probe):
            return None
        used = set(self.used_ordinals)
        try:
            query = self.query()
            if self.type == ")":
                return query
            self.note(self.error())
        except SqlError as error:
            if error.sqlstate != "42601":
                raise
            self.note(error)
        self.move(start)
        self.used_ordinals = used
        return None

    def note(self, error: SqlError) -> None:
        """Keep the furthest syntax error of what was tried and given up; it is the one PostgreSQL would report."""
        if self.noted is None or (error.position or 0) > (self.noted.position or 0):
            self.noted = error

    def junction(self, left: Expression, kind: str, precedence: int) -> Expression:
        position = self.position
        self.advance()
        right = self.binary(precedence + 1, False)
        word: Literal["and", "or"] = "and" if kind == "and" else "or"
        flat = isinstance(left, BooleanExpression) and left.kind == word
        arguments = [*left.arguments, right] if flat and isinstance(left, BooleanExpression) else [left, right]
        while self.type == kind:
            self.advance()
            arguments.append(self.binary(precedence + 1, False))
        return BooleanExpression(word, arguments, position=position)

    def predicate(self, left: Expression, kind: str, precedence: int, restricted: bool) -> Expression | None:
        """IS, IN, LIKE and the other operators that are words; None when the word is none here."""
        position = self.position
        if kind == "is":
            self.advance()
            return self.is_test(left, position, restricted)
        if kind in ("isnull", "notnull"):
            self.advance()
            return syntax.IsTest("null", left, kind == "notnull", position=position)
        if kind == "at":
            self.expect("at", "time", "zone")
            zone = self.binary(AT + 1, restricted)
            return FunctionCall(["pg_catalog", "timezone"], [zone, left], syntax="at time zone", position=position)
        if kind == "collate":
            self.advance()
            return syntax.Collate(left, self.qualified_name(), position=position)
        if kind == "similar" and self.in_substring and self.ahead() != "to":
            return None
        negated = kind == "not"
        if negated:
            kind = self.ahead()
            if kind not in NEGATABLE:
                return None
            self.advance()
        self.advance()
        if kind == "in":
            return self.membership(left, negated, position)
        result: Expression
        if kind == "between":
            symmetric = self.type == "symmetric"
            if symmetric or self.type == "asymmetric":
                self.advance()
            low = self.restricted_expression()
            self.expect("and")
            high = self.binary(MATCH + 1, False)
            result = syntax.Between(left, low, high, symmetric, negated, position=position)
        else:
            if kind == "similar":
                self.expect("to")
            elif self.type in ("any", "some", "all"):
                operator = ("!" if negated else "") + ("~~" if kind == "like" else "~~*")
                return self.quantified(left, operator, None, position)
            pattern = self.binary(MATCH + 1, False)
            escape = None
            if self.type == "escape":
                self.advance()
                escape = self.binary(MATCH + 1, False)
            word: Literal["like", "ilike", "similar"] = (
                "like" if kind == "like" else "ilike" if kind == "ilike" else "similar"
            )
            result = syntax.Like(word, left, pattern, escape, negated, position=position)
        following = self.ahead() if self.type == "not" else self.type
        if following in NEGATABLE:
            raise self.error()
        return result

    def membership(self, left: Expression, negated: bool, position: int) -> Expression:
        self.expect("(")
        if self.starts_query(self.index):
            query: syntax.Select | None = self.query()
        else:
            query = self.try_query() if self.type == "(" else None
        items = [] if query is not None else self.expressions()
        self.expect(")")
        return syntax.In(left, items, query, negated, position=position)

    def is_test(self, left: Expression, position: int, restricted: bool) -> Expression:
        negated = self.type == "not"
        if negated:
            if self.ahead() in NEGATABLE:
                raise self.error()  # PostgreSQL's scanner has made one token of NOT and what follows
            self.advance()
        kind = self.type
        if kind == "distinct":
            self.expect("distinct", "from")
            other = self.binary(IS + 1, restricted)
            if PRECEDENCE.get(self.type) == IS and not restricted:
                raise self.error()
            return syntax.IsTest("distinct", left, negated, other, position=position)
        if kind == "document":
            raise unsupported("IS DOCUMENT", position=position)
        if restricted:
            raise self.error()
        if kind == "null":
            self.advance()
            return syntax.IsTest("null", left, negated, position=position)
        if kind == "true" or kind == "false" or kind == "unknown":
            self.advance()
            word: Literal["true", "false", "unknown"] = (
                "true" if kind == "true" else "false" if kind == "false" else "unknown"
            )
            return syntax.IsTest(word, left, negated, position=position)
        if kind in ("normalized", "nfc", "nfd", "nfkc", "nfkd"):
            arguments: list[Expression] = [left]
            if kind != "normalized":
                arguments.append(Constant("string", kind.upper(), position=self.position))
                self.advance()
            self.expect("normalized")
            call = FunctionCall(["pg_catalog", "is_normalized"], arguments, syntax="is normalized", position=position)
            return BooleanExpression("not", [call], position=position) if negated else call
        if kind == "json":
            self.advance()
            json_kind: Literal["value", "array", "object", "scalar"] = "value"
            if self.accept("value"):
                pass
            elif self.accept("array"):
                json_kind = "array"
            elif self.accept("object"):
                json_kind = "object"
            elif self.accept("scalar"):
                json_kind = "scalar"
            unique = self.unique_keys()
            return syntax.JsonTest(left, json_kind, unique, negated, position=position)
        raise self.error()

    def unique_keys(self) -> bool:
        """[WITH | WITHOUT UNIQUE [KEYS]]."""
        if self.type in ("with", "without"):
            unique = self.type == "with"
            self.advance()
            self.expect("unique")
            self.accept("keys")
            return unique
        return False

    def explicit_operator(self) -> tuple[str, str | None]:
        """OPERATOR(schema.name): the name and its schema."""
        self.expect("operator", "(")
        name = self.operator_name()
        self.expect(")")
        return name.name, name.schema

    def operator_name(self) -> syntax.OperatorName:
        """any_operator: [schema.]operator."""
        position = self.position
        schema = None
        while self.type in COLUMN_NAMES:
            if schema is not None:
                schema += "." + self.name()
            else:
                schema = self.name()
            self.expect(".")
        if self.type not in SYMBOLS:
            raise self.error()
        name = self.values[self.index]
        self.advance()
        return syntax.OperatorName(name, schema, position=position)

    def unary(self, restricted: bool) -> Expression:
        kind = self.type
        if kind == "IDENT" or kind == "INTEGER" or kind == "STRING":
            return self.casts(self.primary())
        position = self.starts[self.index] + 1
        if kind == "not" and not restricted:
            self.advance()
            return BooleanExpression("not", [self.binary(NOT, False)], position=position)
        if kind == "-" or kind == "+":
            self.advance()
            return Operator(kind, None, self.binary(SIGN + 1, restricted), position=position)
        if kind == "OP":
            name = self.values[self.index]
            self.advance()
            return Operator(name, None, self.binary(OTHER + 1, restricted), position=position)
        if kind == "operator" and self.ahead() == "(":
            name, schema = self.explicit_operator()
            return Operator(name, None, self.binary(OTHER + 1, restricted), schema, position=position)
        if kind == "default":
            self.advance()
            return syntax.SetToDefault(position=position)
        if kind == "unique":
            raise unsupported("UNIQUE predicate", position=position)
        return self.casts(self.primary())

    def casts(self, operand: Expression) -> Expression:
        while self.type == "::":
            position = self.position
            self.advance()
            operand = syntax.Cast(operand, self.type_name(), position=position)
        return operand

    # ----------------------------------------------------------------------------------------------------- primaries

    def primary(self) -> Expression:
        """c_expr."""
        kind = self.type
        index = self.index
        position = self.starts[index] + 1
        if kind == "INTEGER" or kind == "STRING" or kind == "DECIMAL":
            return self.literal(kind, index, position)
        if kind == "IDENT":
            following = self.types[index + 1]
            if following != "(" and following != "." and following != "STRING" and following != "[":
                self.index = index + 1
                self.type = following
                return ColumnReference([self.values[index]], position=position)
            return self.named(position)
        if kind == "PARAMETER":
            self.advance()
            return self.indirection(syntax.Parameter(int(self.values[index]), position=position))
        if kind == "(":
            return self.parenthesised(position)
        special = SPECIAL.get(kind)
        if special is not None and (kind not in CALL_ONLY or self.ahead() == "("):
            return special(self, position)
        if kind in SQL_VALUES:
            if kind != "current_schema" or self.ahead() not in ("(", "."):
                return self.sql_value(position)
            return self.named(position)
        if kind in TYPE_KEYWORDS and (typed := self.typed_literal(position)) is not None:
            return typed
        if kind in COLUMN_NAMES or kind in TYPE_FUNCTION_NAMES:
            return self.named(position)
        raise self.error()

    def literal(self, kind: str, index: int, position: int) -> Expression:
        self.index = index + 1
        self.type = self.types[index + 1]
        if self.lifting:
            number = self.lifted_ordinals.get(position - 1)
            if number is not None:
                self.used_ordinals.add(number)
                return syntax.Parameter(number, self.lifted_kinds[number - 1], position=position)
        constant_kind: syntax.ConstantKind = (
            "integer" if kind == "INTEGER" else "string" if kind == "STRING" else "decimal"
        )
        return Constant(constant_kind, self.values[index], position=position)

    def constant_literal(self) -> Constant:
        """A literal that is never lifted."""
        kind = self.type
        if kind not in ("INTEGER", "STRING", "DECIMAL"):
            raise self.error()
        lifting, self.lifting = self.lifting, False
        result = self.literal(kind, self.index, self.position)
        self.lifting = lifting
        assert isinstance(result, Constant)
        return result

    def simple_constant(self, position: int) -> Expression:
        """TRUE, FALSE, NULL and bit strings."""
        kind, value = self.type, self.values[self.index]
        self.advance()
        if kind == "null":
            return Constant("null", position=position)
        if kind == "BIT":
            return Constant("bit", value, position=position)
        return Constant("boolean", kind, position=position)

    def sql_value(self, position: int) -> Expression:
        name = SQL_VALUES[self.type]
        self.advance()
        precision = None
        if name in WITH_PRECISION and self.accept("("):
            precision = self.integer()
            self.expect(")")
        return syntax.SqlValue(name, precision, position=position)

    def parenthesised(self, position: int) -> Expression:
        """( expression ), ( query ), or a row of two or more."""
        self.expect("(")
        if self.starts_query(self.index):
            query: syntax.Select | None = self.query()
        else:
            query = self.try_query() if self.type == "(" else None
        if query is not None:
            self.expect(")")
            return self.indirection(syntax.SubqueryExpression("scalar", query, position=position))
        first = self.expression()
        if self.type == ",":
            elements = [first]
            while self.accept(","):
                elements.append(self.expression())
            self.expect(")")
            return self.overlaps(syntax.Row(elements, position=position))
        self.expect(")")
        return self.indirection(first)

    def overlaps(self, left: syntax.Row) -> Expression:
        """row OVERLAPS row."""
        if self.type != "overlaps":
            return left
        position = self.position
        self.advance()
        start = self.position
        right = self.row_constructor(start) if self.type == "row" else self.parenthesised(start)
        if not isinstance(right, syntax.Row):
            raise self.error()
        for side, row in (("left", left), ("right", right)):
            if len(row.elements) != 2:
                raise self.failure(f"wrong number of parameters on {side} side of OVERLAPS expression", row.position)
        return FunctionCall(
            ["pg_catalog", "overlaps"], left.elements + right.elements, syntax="overlaps", position=position
        )

    def row_constructor(self, position: int) -> Expression:
        self.expect("row", "(")
        elements = [] if self.type == ")" else self.expressions()
        self.expect(")")
        return self.overlaps(syntax.Row(elements, explicit=True, position=position))

    def indirection(self, operand: Expression) -> Expression:
        """opt_indirection after a parenthesis or a parameter: .name, .*, [index]."""
        while self.type == "." or self.type == "[":
            position = self.position
            if self.type == "[":
                operand = syntax.Subscript(operand, self.subscripts(), position=position)
                continue
            self.advance()
            if self.type == "*":
                self.advance()
                return syntax.FieldSelection(operand, None, position=position)
            operand = syntax.FieldSelection(operand, self.label(), position=position)
        return operand

    def subscripts(self) -> list[syntax.Index]:
        result: list[syntax.Index] = []
        while self.type == "[":
            position = self.position
            self.advance()
            lower = None if self.type == ":" else self.expression()
            if self.type == ":":
                self.advance()
                upper = None if self.type == "]" else self.expression()
                result.append(syntax.Index(upper, lower, slice=True, position=position))
            else:
                result.append(syntax.Index(lower, position=position))
            self.expect("]")
        return result

    def named(self, position: int) -> Expression:
        """What begins with a name: a column, a function call, or `type 'literal'`."""
        start = self.index
        first_type = self.type
        names = [self.values[start]]
        self.advance()
        star = False
        while self.type == ".":
            self.advance()
            if self.type == "*":
                star = True
                self.advance()
                break
            names.append(self.label())
        if not star:
            if self.type == "(" and (len(names) > 1 or first_type in TYPE_FUNCTION_NAMES):
                if len(names) > 1 and first_type not in COLUMN_NAMES:
                    raise self.error(start + 1)
                return self.call(names, position)
            if self.type == "STRING" and (len(names) > 1 or first_type in TYPE_FUNCTION_NAMES):
                name = TypeName(names, position=position)
                return self.string_of_type(name, position)
        if first_type not in COLUMN_NAMES:
            raise self.error(start + 1)  # the name of a function or type alone
        reference = ColumnReference(names, star, position=position)
        if self.type == "[" and not star:
            subscript = syntax.Subscript(reference, self.subscripts(), position=position)
            return self.indirection(subscript)
        return reference

    def string_of_type(self, name: TypeName, position: int) -> Expression:
        value = Constant("string", self.string(), position=self.starts[self.index - 1] + 1)
        return syntax.Cast(value, name, literal=True, position=position)

    def typed_literal(self, position: int) -> Expression | None:
        """`numeric(3) '1'`, `timestamp with time zone '…'`; None and nothing taken when no string follows the type."""
        following = self.ahead()
        if following != "STRING" and following != "(" and following not in TYPE_CONTINUATIONS.get(self.type, ()):
            return None
        if self.type == "double" and following != "precision":
            return None
        lifting, self.lifting = self.lifting, False
        name = self.simple_type()
        result = self.string_of_type(name, position)
        if name.names == ["pg_catalog", "interval"] and not name.modifiers:
            name.interval_fields = self.interval_fields(name.modifiers)
        self.lifting = lifting
        return result

    # ------------------------------------------------------------------------------------------------ function calls

    def call(self, names: list[str], position: int) -> Expression:
        """func_application and what may follow it; also `name(modifiers) 'literal'`."""
        self.expect("(")
        result = FunctionCall(names, position=position)
        if self.type == "*":
            self.advance()
            result.star = True
        elif self.type != ")":
            self.call_arguments(result)
        self.expect(")")
        if self.type == "STRING" and not (result.star or result.distinct or result.variadic):
            for argument in result.arguments:
                if isinstance(argument, syntax.NamedArgument):
                    raise SqlError("42601", "type modifier cannot have parameter name", position=argument.position)
            if result.order_by:
                raise SqlError("42601", "type modifier cannot have ORDER BY", position=position)
            return self.string_of_type(TypeName(names, result.arguments, position=position), position)
        return self.call_suffix(result)

    def call_arguments(self, result: FunctionCall) -> None:
        if self.type == "distinct":
            self.advance()
            result.distinct = True
        elif self.type == "all":
            self.advance()
            if self.type == "variadic":
                raise self.error()
        plain = result.distinct or self.types[self.index - 1] == "all"
        arguments: list[Expression] = []
        while True:
            if self.type == "variadic" and not plain:
                self.advance()
                result.variadic = True
                arguments.append(self.argument())
                break
            arguments.append(self.argument())
            if self.type != ",":
                break
            self.advance()
        result.arguments = arguments
        if self.type == "order":
            result.order_by = self.order_by()

    def argument(self) -> Expression:
        following = self.types[self.index + 1]
        if (following == "=>" or following == ":=") and self.type in TYPE_FUNCTION_NAMES:
            position = self.position
            name = self.type_function_name()
            self.advance()
            return syntax.NamedArgument(name, self.expression(), position=position)
        return self.expression()

    def call_suffix(self, result: FunctionCall) -> FunctionCall:
        """[WITHIN GROUP (ORDER BY …)] [FILTER (WHERE …)] [OVER …]."""
        if result.position == self.windowless:
            return result
        if self.type == "within":
            position = self.position
            self.expect("within", "group", "(")
            result.within_group = self.order_by()
            self.expect(")")
            if result.order_by:
                raise self.failure("cannot use multiple ORDER BY clauses with WITHIN GROUP", position)
            if result.distinct:
                raise self.failure("cannot use DISTINCT with WITHIN GROUP", position)
            if result.variadic:
                raise self.failure("cannot use VARIADIC with WITHIN GROUP", position)
        if self.type == "filter":
            self.expect("filter", "(", "where")
            result.filter = self.expression()
            self.expect(")")
        if self.type == "over":
            position = self.position
            self.advance()
            if self.type == "(":
                result.over = self.window_specification()
            else:
                result.over = WindowDefinition(self.name(), position=position)
        return result

    def order_by(self) -> list[syntax.SortItem]:
        self.expect("order", "by")
        return self.sort_items()

    def sort_items(self) -> list[syntax.SortItem]:
        result = [self.sort_item()]
        while self.accept(","):
            result.append(self.sort_item())
        return result

    def expression_or_place(self) -> Expression:
        """An item of ORDER BY or GROUP BY; a literal alone names a target by its place and is never lifted."""
        if self.lifting and self.type in ("INTEGER", "STRING", "DECIMAL") and self.ahead() in AFTER_PLACE:
            return self.constant_literal()
        return self.expression()

    def sort_item(self) -> syntax.SortItem:
        position = self.position
        item = syntax.SortItem(self.expression_or_place(), position=position)
        if self.type == "using":
            self.advance()
            if self.type == "operator":
                self.expect("operator", "(")
                item.using = self.operator_name()
                self.expect(")")
            else:
                if self.type not in SYMBOLS:
                    raise self.error()
                item.using = syntax.OperatorName(self.values[self.index], position=self.position)
                self.advance()
        elif self.type == "asc" or self.type == "desc":
            item.descending = self.type == "desc"
            self.advance()
        item.nulls_first = self.nulls_order()
        return item

    def nulls_order(self) -> bool | None:
        if self.type == "nulls" and self.ahead() in ("first", "last"):
            first = self.ahead() == "first"
            self.advance()
            self.advance()
            return first
        return None

    def window_specification(self) -> WindowDefinition:
        """( [name] [PARTITION BY …] [ORDER BY …] [frame] )."""
        window = WindowDefinition(position=self.position)
        self.expect("(")
        if self.type in COLUMN_NAMES and not (
            (self.type == "partition" and self.ahead() == "by")
            or (self.type in ("rows", "range", "groups") and self.ahead() != ")")
        ):
            window.reference = self.name()
        if self.type == "partition":
            self.expect("partition", "by")
            window.partition_by = self.expressions()
        if self.type == "order":
            window.order_by = self.order_by()
        if self.type in ("rows", "range", "groups"):
            window.frame = self.frame()
        self.expect(")")
        return window

    def frame(self) -> syntax.Frame:
        position = self.position
        mode: Literal["rows", "range", "groups"] = (
            "rows" if self.type == "rows" else "range" if self.type == "range" else "groups"
        )
        self.advance()
        if self.accept("between"):
            start_position = self.position
            start = self.frame_bound()
            self.expect("and")
            end: syntax.FrameBound | None = self.frame_bound()
        else:
            start_position = self.position
            start, end = self.frame_bound(), None
        frame = syntax.Frame(mode, start, end, position=position)
        self.check_frame(start, end, start_position)
        if self.accept("exclude"):
            if self.accept("current", "row"):
                frame.exclusion = "current row"
            elif self.accept("group"):
                frame.exclusion = "group"
            elif self.accept("ties"):
                frame.exclusion = "ties"
            else:
                if self.type == "current":
                    self.advance()
                self.expect("no", "others")
        return frame

    def check_frame(self, start: syntax.FrameBound, end: syntax.FrameBound | None, position: int) -> None:
        def wrong(message: str, where: int) -> SqlError:
            return SqlError("42P20", message, position=where)

        if start.kind == "unbounded following":
            raise wrong("frame start cannot be UNBOUNDED FOLLOWING", position)
        if end is None:
            if start.kind == "offset following":
                raise wrong("frame starting from following row cannot end with current row", position)
            return
        if end.kind == "unbounded preceding":
            raise wrong("frame end cannot be UNBOUNDED PRECEDING", end.position)
        if start.kind == "current row" and end.kind == "offset preceding":
            raise wrong("frame starting from current row cannot have preceding rows", end.position)
        if start.kind == "offset following" and end.kind in ("offset preceding", "current row"):
            raise wrong("frame starting from following row cannot have preceding rows", end.position)

    def frame_bound(self) -> syntax.FrameBound:
        position = self.position
        if self.type == "unbounded" and self.ahead() in ("preceding", "following"):
            preceding = self.ahead() == "preceding"
            self.advance()
            self.advance()
            return syntax.FrameBound("unbounded preceding" if preceding else "unbounded following", position=position)
        if self.type == "current" and self.ahead() == "row":
            self.advance()
            self.advance()
            return syntax.FrameBound("current row", position=position)
        offset = self.expression()
        preceding = self.one_of("preceding", "following") == "preceding"
        return syntax.FrameBound("offset preceding" if preceding else "offset following", offset, position=position)

    # --------------------------------------------------------------------------------------------- special functions

    def special_call(self, function: str, arguments: list[Expression], position: int, form: str) -> FunctionCall:
        return FunctionCall(["pg_catalog", function], arguments, syntax=form, position=position)

    def empty_call(self, function: str, position: int) -> Expression:
        """`function()` for a special name; at the closing parenthesis."""
        self.expect(")")
        return FunctionCall([function], position=position)

    def case(self, position: int) -> Expression:
        self.expect("case")
        operand = None if self.type == "when" else self.expression()
        whens: list[syntax.When] = []
        while self.type == "when" or not whens:
            start = self.position
            self.expect("when")
            condition = self.expression()
            self.expect("then")
            whens.append(syntax.When(condition, self.expression(), position=start))
        default = self.expression() if self.accept("else") else None
        self.expect("end")
        return syntax.Case(operand, whens, default, position=position)

    def cast(self, position: int) -> Expression:
        self.expect("cast", "(")
        operand = self.expression()
        self.expect("as")
        name = self.type_name()
        self.expect(")")
        return syntax.Cast(operand, name, position=position)

    def exists(self, position: int) -> Expression:
        self.expect("exists")
        return syntax.SubqueryExpression("exists", self.query_in_parentheses(), position=position)

    def array(self, position: int) -> Expression:
        self.expect("array")
        if self.type == "(":
            return syntax.SubqueryExpression("array", self.query_in_parentheses(), position=position)
        return self.array_elements(position)

    def array_elements(self, position: int) -> Expression:
        self.expect("[")
        elements: list[Expression] = []
        if self.type == "[":
            elements.append(self.array_elements(self.position))
            while self.accept(","):
                elements.append(self.array_elements(self.position))
        elif self.type != "]":
            elements = self.expressions()
        self.expect("]")
        return syntax.ArrayConstructor(elements, position=position)

    def grouping(self, position: int) -> Expression:
        self.expect("grouping", "(")
        arguments = self.expressions()
        self.expect(")")
        return syntax.Grouping(arguments, position=position)

    def coalesce(self, position: int) -> Expression:
        self.expect("coalesce", "(")
        arguments = self.expressions()
        self.expect(")")
        return syntax.Coalesce(arguments, position=position)

    def greatest_least(self, position: int) -> Expression:
        kind: Literal["greatest", "least"] = "greatest" if self.type == "greatest" else "least"
        self.advance()
        self.expect("(")
        arguments = self.expressions()
        self.expect(")")
        return syntax.MinMax(kind, arguments, position=position)

    def nullif(self, position: int) -> Expression:
        self.expect("nullif", "(")
        left = self.expression()
        self.expect(",")
        right = self.expression()
        self.expect(")")
        return syntax.NullIf(left, right, position=position)

    def extract(self, position: int) -> Expression:
        self.expect("extract", "(")
        if self.type == ")":
            raise self.error()
        field_position = self.position
        if self.type == "STRING":
            field = self.string()
        elif self.type in LABELS and (
            self.type == "IDENT" or self.type in ("year", "month", "day", "hour", "minute", "second")
        ):
            field = self.label()
        else:
            raise self.error()
        self.expect("from")
        source = self.expression()
        self.expect(")")
        name = Constant("string", field, position=field_position)
        return self.special_call("extract", [name, source], position, "extract")

    def position_function(self, position: int) -> Expression:
        self.expect("position", "(")
        needle = self.restricted_expression()
        self.expect("in")
        haystack = self.restricted_expression()
        self.expect(")")
        return self.special_call("position", [haystack, needle], position, "position")

    def overlay(self, position: int) -> Expression:
        self.expect("overlay", "(")
        if self.type == ")":
            return self.empty_call("overlay", position)
        first = self.argument()
        if self.type == "placing":
            self.advance()
            arguments = [first, self.expression()]
            self.expect("from")
            arguments.append(self.expression())
            if self.accept("for"):
                arguments.append(self.expression())
            self.expect(")")
            return self.special_call("overlay", arguments, position, "overlay")
        return self.rest_of_plain_call("overlay", first, position)

    def rest_of_plain_call(self, function: str, first: Expression, position: int) -> Expression:
        arguments = [first]
        while self.accept(","):
            arguments.append(self.argument())
        self.expect(")")
        return FunctionCall([function], arguments, position=position)

    def substring(self, position: int) -> Expression:
        self.expect("substring", "(")
        if self.type == ")":
            return self.empty_call("substring", position)
        self.in_substring = True  # SIMILAR ends the first argument of SUBSTRING(… SIMILAR … ESCAPE …)
        first = self.argument()
        self.in_substring = False
        if self.type == "similar":
            self.advance()
            pattern = self.expression()
            self.expect("escape")
            arguments = [first, pattern, self.expression()]
            form = "substring similar"
        elif self.type == "from":
            self.advance()
            arguments = [first, self.expression()]
            if self.accept("for"):
                arguments.append(self.expression())
            form = "substring"
        elif self.type == "for":
            self.advance()
            length = self.expression()
            if self.type == "from":
                self.advance()
                arguments = [first, self.expression(), length]
            else:
                # FOR alone starts at 1; the cast makes bit strings and unknowns choose the integer variant
                integer = TypeName(["pg_catalog", "int4"])
                arguments = [first, Constant("integer", "1"), syntax.Cast(length, integer)]
            form = "substring"
        else:
            return self.rest_of_plain_call("substring", first, position)
        self.expect(")")
        return self.special_call("substring", arguments, position, form)

    def trim(self, position: int) -> Expression:
        self.expect("trim", "(")
        function = "btrim"
        if self.type in ("both", "leading", "trailing"):
            function = {"both": "btrim", "leading": "ltrim", "trailing": "rtrim"}[self.type]
            self.advance()
        if self.accept("from"):
            arguments = self.expressions()
        else:
            first = self.expression()
            if self.accept("from"):
                arguments = [*self.expressions(), first]
            else:
                arguments = [first]
                while self.accept(","):
                    arguments.append(self.expression())
        self.expect(")")
        return self.special_call(function, arguments, position, "trim")

    def normalize(self, position: int) -> Expression:
        self.expect("normalize", "(")
        arguments = [self.expression()]
        if self.accept(","):
            form = self.position
            arguments.append(Constant("string", self.one_of("nfc", "nfd", "nfkc", "nfkd").upper(), position=form))
        self.expect(")")
        return self.special_call("normalize", arguments, position, "normalize")

    def treat(self, position: int) -> Expression:
        self.expect("treat", "(")
        operand = self.expression()
        self.expect("as")
        name = self.type_name()
        self.expect(")")
        return FunctionCall(["pg_catalog", name.names[-1]], [operand], position=position)

    def collation_for(self, position: int) -> Expression:
        if self.ahead() != "for":
            return self.named(position)
        self.expect("collation", "for", "(")
        operand = self.expression()
        self.expect(")")
        return self.special_call("pg_collation_for", [operand], position, "collation for")

    def merge_action(self, position: int) -> Expression:
        raise unsupported("MERGE_ACTION", position=position)

    def xml_function(self, position: int) -> Expression:
        raise unsupported(f"{self.type.upper()}", position=position)

    def json_constructor(self, position: int) -> Expression:
        """json_object(text[]) is a function; the SQL/JSON constructors are refused."""
        name = self.type
        start = self.index
        self.advance()
        self.expect("(")
        if name == "json_object" and self.type not in (")", "returning"):
            first = self.argument()
            if self.type in (",", ")"):
                following = [first]
                while self.accept(","):
                    following.append(self.argument())
                if self.type == ")":
                    self.advance()
                    return FunctionCall([name], following, position=position)
        self.move(start)
        raise unsupported(f"{name.upper()}", position=position)

    # --------------------------------------------------------------------------------------------------------- types

    def type_name(self) -> TypeName:
        """Typename: with SETOF and array bounds."""
        position = self.position
        setof = self.accept("setof")
        name = self.simple_type()
        name.setof = setof
        name.position = position
        if self.type == "[" or self.type == "array":
            if self.accept("array"):
                if self.accept("["):
                    name.dimensions = [self.integer()]
                    self.expect("]")
                else:
                    name.dimensions = [-1]
            else:
                dimensions = []
                while self.accept("["):
                    dimensions.append(-1 if self.type == "]" else self.integer())
                    self.expect("]")
                name.dimensions = dimensions
        return name

    def simple_type(self) -> TypeName:
        """SimpleTypename."""
        kind = self.type
        position = self.position
        if kind not in TYPE_KEYWORDS:
            return self.generic_type(position)
        self.advance()
        name = TypeName(["pg_catalog", kind], position=position)
        if kind in SIMPLE_TYPES:
            name.names[1] = SIMPLE_TYPES[kind]
        elif kind == "float":
            name.names[1] = "float8"
            if self.accept("("):
                bits_position = self.position
                bits = self.integer()
                self.expect(")")
                if not 1 <= bits <= 53:
                    limit = "precision for type float must be at least 1 bit"
                    if bits > 53:
                        limit = "precision for type float must be less than 54 bits"
                    raise SqlError("22023", limit, position=bits_position)
                if bits < 25:
                    name.names[1] = "float4"
        elif kind == "double":
            if self.type != "precision":
                self.move(self.index - 1)
                return self.generic_type(position)
            self.advance()
            name.names[1] = "float8"
        elif kind in ("decimal", "dec", "numeric"):
            name.names[1] = "numeric"
            name.modifiers = self.modifiers()
        elif kind == "bit":
            varying = self.accept("varying")
            name.names[1] = "varbit" if varying else "bit"
            name.modifiers = self.modifiers()
            if not name.modifiers and not varying:
                name.modifiers = [Constant("integer", "1")]
        elif kind in ("character", "char", "varchar", "national", "nchar"):
            if kind == "national":
                self.one_of("character", "char")
            varying = kind == "varchar" or self.accept("varying")
            name.names[1] = "varchar" if varying else "bpchar"
            if self.accept("("):
                start = self.position
                name.modifiers = [Constant("integer", str(self.integer()), position=start)]
                self.expect(")")
            elif not varying:
                name.modifiers = [Constant("integer", "1")]
        elif kind == "interval":
            if self.accept("("):
                start = self.position
                name.modifiers = [Constant("integer", str(self.integer()), position=start)]
                self.expect(")")
            else:
                name.interval_fields = self.interval_fields(name.modifiers)
        else:  # time, timestamp
            if self.accept("("):
                start = self.position
                name.modifiers = [Constant("integer", str(self.integer()), position=start)]
                self.expect(")")
            if self.type in ("with", "without") and self.ahead() == "time":
                if self.type == "with":
                    name.names[1] = kind + "tz"
                self.advance()
                self.expect("time", "zone")
        return name

    def generic_type(self, position: int) -> TypeName:
        first_type = self.type
        if first_type not in TYPE_FUNCTION_NAMES:
            raise self.error()
        names = [self.values[self.index]]
        self.advance()
        while self.type == ".":
            self.advance()
            names.append(self.label())
        return TypeName(names, self.modifiers(), position=position)

    def modifiers(self) -> list[Expression]:
        if self.type != "(":
            return []
        self.advance()
        lifting, self.lifting = self.lifting, False
        result = self.expressions()
        self.lifting = lifting
        self.expect(")")
        return result

    def interval_fields(self, modifiers: list[Expression]) -> str | None:
        """YEAR, DAY TO SECOND(3) …: the words; a precision goes to `modifiers`."""
        first = self.type
        if first not in INTERVAL_FIELDS:
            return None
        self.advance()
        words = first
        last = first
        if self.type == "to" and INTERVAL_FIELDS[first]:
            self.advance()
            last = self.one_of(*INTERVAL_FIELDS[first])
            words = f"{first} to {last}"
        if last == "second" and self.accept("("):
            start = self.position
            modifiers.append(Constant("integer", str(self.integer()), position=start))
            self.expect(")")
        return words

    def any_name_unreserved(self) -> str:
        if self.type not in UNRESERVED:
            raise self.error()
        return self.label()


SPECIAL = {
    "true": ExpressionParser.simple_constant,
    "false": ExpressionParser.simple_constant,
    "null": ExpressionParser.simple_constant,
    "BIT": ExpressionParser.simple_constant,
    "case": ExpressionParser.case,
    "cast": ExpressionParser.cast,
    "exists": ExpressionParser.exists,
    "array": ExpressionParser.array,
    "row": ExpressionParser.row_constructor,
    "grouping": ExpressionParser.grouping,
    "coalesce": ExpressionParser.coalesce,
    "greatest": ExpressionParser.greatest_least,
    "least": ExpressionParser.greatest_least,
    "nullif": ExpressionParser.nullif,
    "extract": ExpressionParser.extract,
    "position": ExpressionParser.position_function,
    "overlay": ExpressionParser.overlay,
    "substring": ExpressionParser.substring,
    "trim": ExpressionParser.trim,
    "normalize": ExpressionParser.normalize,
    "treat": ExpressionParser.treat,
    "collation": ExpressionParser.collation_for,
    **dict.fromkeys(XML_FUNCTIONS, ExpressionParser.xml_function),
    **dict.fromkeys(JSON_CONSTRUCTORS, ExpressionParser.json_constructor),
}
"""First keyword of a primary → the production; those of CALL_ONLY are names unless a parenthesis follows."""

CALL_ONLY = frozenset(word for word in SPECIAL if word in COLUMN_NAMES and word not in ("true", "false", "null", "BIT"))

CALLS = frozenset(SPECIAL) - {"true", "false", "null", "BIT", "case", "exists", "array", "row", "grouping", "collation"}
"""Keywords that begin a call with a syntax of its own."""
