"""Expressions: precedence climbing with PostgreSQL's table.

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
from frontend.sql.parser_cursor import COLUMN_NAMES, NEGATABLE, SYMBOLS, TYPE_FUNCTION_NAMES
from frontend.sql.parser_functions import FunctionParser
from frontend.sql.parser_types import TYPE_CONTINUATIONS, TYPE_KEYWORDS
from frontend.sql.syntax import (
    BooleanExpression,
    ColumnReference,
    Constant,
    Expression,
    FunctionCall,
    Operator,
    TypeName,
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
QUERY_START = frozenset(("select", "values", "with", "table"))


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


class ExpressionParser(FunctionParser):
    """Operators and primaries."""

    __slots__ = ()

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
