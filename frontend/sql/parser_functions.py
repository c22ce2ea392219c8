"""Function calls: ordinary ones with what may follow them, window specifications, and the calls with a syntax of their own.

Only ordinary calls may be followed by WITHIN GROUP, FILTER and OVER. The special syntaxes become calls of the functions in
pg_catalog that PostgreSQL's grammar turns them into, with the arguments in those functions' order and `syntax` set.
"""

from __future__ import annotations

from typing import Literal

from frontend.errors import SqlError, unsupported
from frontend.sql import syntax
from frontend.sql.parser_cursor import COLUMN_NAMES, LABELS, SYMBOLS, TYPE_FUNCTION_NAMES
from frontend.sql.parser_types import TypeParser
from frontend.sql.syntax import Constant, Expression, FunctionCall, TypeName, WindowDefinition

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


class FunctionParser(TypeParser):
    """Calls and windows."""

    __slots__ = ()

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
        if (
            self.type == "STRING"
            and result.arguments
            and position != self.windowless
            and not (result.star or result.distinct or result.variadic)
        ):
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
            self.advance()
            position = self.position
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
