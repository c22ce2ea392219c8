"""Bound expressions to Python expressions, with SQL's three-valued logic where it is needed and nowhere else.

Three readings of one expression:

    value(e)   a Python expression for its value, None for NULL
    test(e)    true exactly where e is TRUE           WHERE, join conditions, CHECK's other half, CASE conditions
    fails(e)   true exactly where e is FALSE          under NOT

`test` and `fails` turn AND, OR and NOT into Python's own, since NULL and FALSE need not be told apart there. `value` tells
them apart, but tests for None only what can be None: NOT NULL columns, constants and the results of most operators cannot.

Arguments that are tested and then used are bound by `:=` in the test, so everything stays one expression, evaluation stays
lazy, and a subquery is a `(yield from …)` in its place. Parts that do not depend on a row (parameters, stable calls over them)
are computed once before the loops, except where a CASE, AND or OR decides whether they are evaluated at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from frontend.errors import SqlError, unsupported
from frontend.functions import registry
from frontend.sql import logical, walk
from frontend.sql.compiler.source import Binding, Function, Scope
from frontend.sql.executor import array_assignment, values
from frontend.types import oids
from frontend.types.records import record_class
from frontend.types.registry import hash_key, sort_key, type_by_oid

if TYPE_CHECKING:
    from frontend.sql.compiler.plan import PlanCompiler

_ATOM = re.compile(r"-?[A-Za-z_0-9.]+(\[\d+\])?\Z|'[^'\\]*'\Z|\(-\d+\)\Z")
_PLACEHOLDER = re.compile(r"\{(\d+)\}")
_NEVER_NULL_OPERATORS = frozenset(
    ["=", "<>", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "||", "~~", "!~~", "~~*", "!~~*", "~", "!~", "~*", "!~*",
     "&", "|", "#", "<<", ">>", "@>", "<@", "&&", "?", "?|", "?&", "^@", "^"]
)  # fmt: skip
_INTEGERS = frozenset([oids.INT2, oids.INT4, oids.INT8, oids.OID])
NULL = Binding("None", True)


def is_atom(code: str) -> bool:
    """Whether the code may be written several times for the price of one."""
    return _ATOM.match(code) is not None


def is_none(code: str) -> str:
    """Source of the test for NULL; Python warns of `is` with a literal, whose answer is known."""
    return "False" if is_atom(code) and not code[0].isalpha() else f"{code} is None"


def instantiate(
    function: Function, template: str, names: Mapping[str, object], codes: Sequence[str], state: str = ""
) -> str:
    """An inline template with its names bound and its placeholders filled."""
    for name, value in names.items():
        template = re.sub(rf"\b{name}\b", function.module.bind(value, name), template)
    template = template.replace("{s}", state)
    return _PLACEHOLDER.sub(lambda match: codes[int(match.group(1))], template)


def is_plain_equality(expression: logical.Expression) -> bool:
    """Whether this Call of = agrees with Python's == on hash keys (same type, or integers of different widths)."""
    if not isinstance(expression, logical.Call) or expression.operator != "=" or len(expression.arguments) != 2:
        return False
    left, right = expression.arguments[0].type, expression.arguments[1].type
    if left in _INTEGERS and right in _INTEGERS:
        return True
    same = left == right or {left, right} <= {oids.TEXT, oids.VARCHAR}
    return same and hashable(left)


def hashable(type_oid: int) -> bool:
    """Whether values of the type, or their hash keys, can be dictionary keys that agree with = (records may hold NULLs)."""
    if type_oid in (oids.RECORD, oids.JSON, oids.UNKNOWN) or type_oid >= 16384:
        return False
    entry = type_by_oid(type_oid)
    return entry.element == 0 or entry.hash_key is not None


class Expressions:
    """Compiles expressions into one function."""

    def __init__(self, function: Function, plans: PlanCompiler) -> None:
        self.function = function
        self.module = function.module
        self.plans = plans
        self._lazy = 0

    # ── the three readings ─────────────────────────────────────────────────────────────────────────────────────────

    def value(self, expression: logical.Expression, scope: Scope) -> Binding:
        """Python source of the expression's value."""
        method = _VALUES.get(type(expression))
        if method is None:
            raise unsupported(f"expression {type(expression).__name__}")
        return method(self, expression, scope)  # type: ignore[no-any-return]

    def code(self, expression: logical.Expression, scope: Scope) -> str:
        return self.value(expression, scope).code

    def test(self, expression: logical.Expression, scope: Scope) -> str:
        """Python source that is true where the expression is TRUE."""
        if isinstance(expression, logical.BooleanOperation):
            parts = [self.test(expression.arguments[0], scope)]
            self._lazy += 1
            parts.extend([self.test(argument, scope) for argument in expression.arguments[1:]])
            self._lazy -= 1
            return "(" + f" {expression.operator} ".join(parts) + ")"
        if isinstance(expression, logical.Not):
            return self.fails(expression.operand, scope)
        if isinstance(expression, logical.Constant):
            return "True" if expression.value is True else "False"
        if isinstance(expression, logical.Call) and expression.strict:
            return self._strict_test(expression, scope, "{}")
        if isinstance(expression, logical.InList):
            return self._in_list_test(expression, scope)
        if isinstance(expression, logical.RowComparison | logical.CaseExpression | logical.Coalesce):
            return self.code(expression, scope)
        return self.code(expression, scope)

    def fails(self, expression: logical.Expression, scope: Scope) -> str:
        """Python source that is true where the expression is FALSE."""
        if isinstance(expression, logical.BooleanOperation):
            parts = [self.fails(expression.arguments[0], scope)]
            self._lazy += 1
            parts.extend([self.fails(argument, scope) for argument in expression.arguments[1:]])
            self._lazy -= 1
            return "(" + (" or " if expression.operator == "and" else " and ").join(parts) + ")"
        if isinstance(expression, logical.Not):
            return self.test(expression.operand, scope)
        if isinstance(expression, logical.Constant):
            return "True" if expression.value is False else "False"
        if isinstance(expression, logical.Call) and expression.strict:
            return self._strict_test(expression, scope, "not {}")
        value = self.value(expression, scope)
        return f"(({value.code}) is False)" if value.nullable else f"(not {value.code})"

    # ── leaves ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _constant(self, expression: logical.Constant, scope: Scope) -> Binding:
        return self.literal(expression.value)

    def literal(self, value: Any) -> Binding:
        """Source of a constant."""
        if value is None:
            return NULL
        if value is True or value is False:
            return Binding(repr(value), False)
        if type(value) is int:
            return Binding(repr(value) if value >= 0 else f"({value})", False)
        if type(value) is str and len(value) <= 200:
            return Binding(repr(value), False)
        return Binding(self.module.bind(value, "k"), False)

    def _parameter(self, expression: logical.ParameterRef, scope: Scope) -> Binding:
        return Binding(self.function.parameter(expression.number), True)

    def _column(self, expression: logical.ColumnRef, scope: Scope) -> Binding:
        return scope[expression.id]

    def _case_value(self, expression: logical.CaseValue, scope: Scope) -> Binding:
        return scope["case", expression.slot]

    # ── calls ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _invariant(self, expression: logical.Expression) -> bool:
        """Whether the value is the same for all rows of this function's run, and may be computed before the first."""
        if self._lazy or self.function.kind == "plain":
            return False
        useful = False
        for item in walk.walk(expression):
            if isinstance(item, logical.ColumnRef | logical.CaseValue | logical.Plan | logical.SetReturningCall):
                return False
            if isinstance(item, logical.Call):
                if item.volatile == "v":
                    return False
                useful = True
            elif isinstance(item, logical.ParameterRef):
                useful = True
        return useful

    def _hoisted(self, expression: logical.Expression, binding: Binding) -> Binding:
        if is_atom(binding.code) or not self._invariant(expression):
            return binding
        return Binding(self.function.hoist(binding.code), binding.nullable)

    def _call(self, expression: logical.Call, scope: Scope) -> Binding:
        implementation = registry.SCALARS.get(expression.signature)
        if implementation is not None and implementation.blocking:
            return self._blocking(expression, implementation, scope)
        arguments = [self.value(argument, scope) for argument in expression.arguments]
        build, uses = self._builder(expression)
        if expression.strict:
            never_null = expression.operator in _NEVER_NULL_OPERATORS
            return self._hoisted(expression, self.strict(arguments, build, uses, never_null))
        codes = [argument.code for argument in arguments]
        return self._hoisted(expression, Binding(build(codes), True))

    def _builder(self, expression: logical.Call) -> tuple[Callable[[Sequence[str]], str], list[int]]:
        """How the call is written, given its arguments' source, and how often each argument occurs in it."""
        count = len(expression.arguments)
        implementation = registry.SCALARS.get(expression.signature)
        if implementation is None:
            raise unsupported(f"function {expression.signature}")
        function = self.function
        if expression.variadic and expression.arguments and expression.signature.endswith("any)"):
            return self._spread(expression, implementation), [1] * count
        if implementation.inline is not None and not implementation.typed and not implementation.context:
            inline, names = implementation.inline, implementation.names
            found = _PLACEHOLDER.findall(inline)
            return (
                lambda codes: "(" + instantiate(function, inline, names, codes) + ")",
                [found.count(str(place)) for place in range(count)],
            )
        made = self._precompiled(expression, implementation)
        if made is not None:
            return (lambda codes: f"{made}({codes[0]})"), [1] * count
        name = self._callable(
            implementation, tuple([argument.type for argument in expression.arguments]), expression.type
        )
        lead = [function.need("context")] if implementation.context else []
        return (lambda codes: f"{name}({', '.join([*lead, *codes])})"), [1] * count

    def _precompiled(self, expression: logical.Call, implementation: Any) -> str | None:
        """A function of the first argument, where the others are constants (a LIKE pattern)."""
        others = expression.arguments[1:]
        if implementation.precompile is None or not others:
            return None
        constants = [item.value for item in others if isinstance(item, logical.Constant) and item.value is not None]
        if len(constants) < len(others):
            return None
        try:
            return self.module.bind(implementation.precompile(*constants), "match")
        except SqlError:
            return None

    def _callable(self, implementation: Any, argument_types: tuple[int, ...], result_type: int) -> str:
        call = implementation.call
        if implementation.typed:
            call = partial(call, argument_types=argument_types, result_type=result_type)
        return self.module.bind(call, getattr(implementation.call, "__name__", "f").strip("<>") or "f")

    def _spread(self, expression: logical.Call, implementation: Any) -> Callable[[Sequence[str]], str]:
        element = type_by_oid(expression.arguments[-1].type).element
        name = self._callable(
            implementation, (*[argument.type for argument in expression.arguments[:-1]], element), expression.type
        )
        lead = [self.function.need("context")] if implementation.context else []
        temporary = self.module.fresh("t")

        def build(codes: Sequence[str]) -> str:
            before = ", ".join([*lead, *codes[:-1]])
            return f"(None if ({temporary} := {codes[-1]}) is None else {name}({before}{', ' if before else ''}*{temporary}))"

        return build

    def strict(
        self,
        arguments: Sequence[Binding],
        build: Callable[[Sequence[str]], str],
        uses: Sequence[int],
        never_null: bool,
    ) -> Binding:
        """A call that is not made when an argument is NULL."""
        tests, codes = self._tests(arguments, uses, "is None")
        if tests is None:
            return NULL
        body = build(codes)
        if not tests:
            return Binding(body, not never_null)
        nullable = not never_null or any(argument.nullable for argument in arguments)
        return Binding(f"(None if {' or '.join(tests)} else {body})", nullable)

    def _tests(self, arguments: Sequence[Binding], uses: Sequence[int], how: str) -> tuple[list[str] | None, list[str]]:
        tests: list[str] = []
        codes: list[str] = []
        for argument, count in zip(arguments, uses, strict=True):
            code = argument.code
            if code == "None":
                return None, codes
            simple = is_atom(code)
            if argument.nullable or (count > 1 and not simple):
                if simple:
                    tests.append(f"{code} {how}")
                else:
                    temporary = self.module.fresh("t")
                    tests.append(f"({temporary} := {code}) {how}")
                    code = temporary
            codes.append(code)
        return list(dict.fromkeys(tests)), codes

    def _strict_test(self, expression: logical.Call, scope: Scope, form: str) -> str:
        if self._invariant(expression):
            value = self.value(expression, scope)
            return f"({value.code} is {form == '{}'})"
        arguments = [self.value(argument, scope) for argument in expression.arguments]
        build, uses = self._builder(expression)
        tests, codes = self._tests(arguments, uses, "is not None")
        if tests is None:
            return "False"
        body = build(codes)
        if form != "{}" and expression.operator not in _NEVER_NULL_OPERATORS:
            body = f"({body}) is False"
        else:
            body = form.format(body)
        return "(" + " and ".join([*tests, body]) + ")"

    def _blocking(self, expression: logical.Call, implementation: Any, scope: Scope) -> Binding:
        """A function that waits: it says how long, as often as it likes, and the execution pauses."""
        arguments = [self.value(argument, scope) for argument in expression.arguments]
        name = self._callable(
            implementation, tuple([argument.type for argument in expression.arguments]), expression.type
        )
        lead = [self.function.need("context")] if implementation.context else []
        steps = self.strict(
            arguments, lambda codes: f"{name}({', '.join([*lead, *codes])})", [1] * len(arguments), True
        )
        return Binding(f"(yield from {self.module.bind(values.waiting, 'waiting')}({steps.code}))", True)

    # ── conversions ────────────────────────────────────────────────────────────────────────────────────────────────

    def _cast(self, expression: logical.Cast, scope: Scope) -> Binding:
        operand = self.value(expression.operand, scope)
        return self._hoisted(expression, self.convert(operand, expression))

    def convert(self, operand: Binding, expression: logical.Cast) -> Binding:
        """The operand converted along the cast's path."""
        implementation = expression.path.implementation
        if implementation.inline == "{0}":
            return operand
        if implementation.inline is not None and not implementation.context and not implementation.typed:
            inline, names, function = implementation.inline, implementation.names, self.function
            uses = [len(_PLACEHOLDER.findall(inline))]
            return self.strict(
                [operand], lambda codes: "(" + instantiate(function, inline, names, codes) + ")", uses, True
            )
        lead = self.function.need("context") + ", " if implementation.context else ""
        name = self._callable(implementation, (expression.operand.type,), expression.type)
        return self.strict([operand], lambda codes: f"{name}({lead}{codes[0]})", [1], True)

    def _apply_typmod(self, expression: logical.ApplyTypmod, scope: Scope) -> Binding:
        operand = self.value(expression.operand, scope)
        typmod = expression.typmod
        apply = partial(values.apply_typmod, type_by_oid(expression.type).apply_typmod, typmod, expression.explicit)
        name = self.module.bind(apply, "typmod")
        if expression.type == oids.VARCHAR and typmod >= 4:
            return self.strict(
                [operand],
                lambda codes: f"({codes[0]} if len({codes[0]}) <= {typmod - 4} else {name}({codes[0]}))",
                [3],
                True,
            )
        if expression.type == oids.BPCHAR and typmod >= 4:
            return self.strict(
                [operand],
                lambda codes: f"({codes[0]} if len({codes[0]}) == {typmod - 4} else {name}({codes[0]}))",
                [3],
                True,
            )
        return self.strict([operand], lambda codes: f"{name}({codes[0]})", [1], True)

    # ── logic ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _boolean(self, expression: logical.BooleanOperation, scope: Scope) -> Binding:
        first = self.value(expression.arguments[0], scope)
        self._lazy += 1
        rest = [self.value(argument, scope) for argument in expression.arguments[1:]]
        self._lazy -= 1
        parts = [first, *rest]
        if not any(part.nullable for part in parts):
            return Binding("(" + f" {expression.operator} ".join([part.code for part in parts]) + ")", False)
        decisive, other = ("False", "True") if expression.operator == "and" else ("True", "False")
        # Evaluated left to right; NULL is remembered, the decisive value ends it.
        temporaries = [part.code if is_atom(part.code) else self.module.fresh("t") for part in parts]
        tests = [
            f"{name} is {decisive}" if name == part.code else f"({name} := {part.code}) is {decisive}"
            for name, part in zip(temporaries, parts, strict=True)
        ]
        nulls = [f"{name} is None" for name, part in zip(temporaries, parts, strict=True) if part.nullable]
        return Binding(f"({decisive} if {' or '.join(tests)} else None if {' or '.join(nulls)} else {other})", True)

    def _not(self, expression: logical.Not, scope: Scope) -> Binding:
        operand = self.value(expression.operand, scope)
        return self.strict([operand], lambda codes: f"(not {codes[0]})", [1], True)

    def _null_test(self, expression: logical.NullTest, scope: Scope) -> Binding:
        operand = self.value(expression.operand, scope)
        if expression.row:
            name = self.module.bind(values.row_not_null if expression.negated else values.row_is_null, "row_null")
            return Binding(f"{name}({operand.code})", False)
        if not operand.nullable and is_atom(operand.code):
            return Binding(repr(expression.negated), False)
        return Binding(f"({operand.code} is {'not ' if expression.negated else ''}None)", False)

    def _boolean_test(self, expression: logical.BooleanTest, scope: Scope) -> Binding:
        value = self.value(expression.operand, scope)
        wanted = {"true": "True", "false": "False", "unknown": "None"}[expression.test]
        return Binding(f"({value.code} is {'not ' if expression.negated else ''}{wanted})", False)

    def _compare(self, comparison: logical.Expression, scope: Scope, *sides: Binding, how: str = "value") -> str:
        inner = {**scope, **{("case", slot): side for slot, side in enumerate(sides)}}
        self._lazy += 1
        code = self.test(comparison, inner) if how == "test" else self.code(comparison, inner)
        self._lazy -= 1
        return code

    def _kept(self, binding: Binding) -> tuple[str, Binding]:
        """(source that evaluates and keeps the value, binding of the kept value)."""
        if is_atom(binding.code):
            return binding.code, binding
        temporary = self.module.fresh("t")
        return f"({temporary} := {binding.code})", Binding(temporary, binding.nullable)

    def _distinct(self, expression: logical.DistinctTest, scope: Scope) -> Binding:
        left_code, left = self._kept(self.value(expression.left, scope))
        right_code, right = self._kept(self.value(expression.right, scope))
        equal = self._compare(expression.equality, scope, left._replace(nullable=False), right._replace(nullable=False))
        left_null, right_null = is_none(left_code), is_none(right_code)
        either = f"{is_none(left.code)} or {is_none(right.code)}"
        same = f"(({left_null}) & ({right_null}) or (not ({either}) and {equal}))"
        return Binding(f"({same})" if expression.negated else f"(not {same})", False)

    def _null_if(self, expression: logical.NullIf, scope: Scope) -> Binding:
        left_code, left = self._kept(self.value(expression.left, scope))
        right = self.value(expression.right, scope)
        equal = self._compare(expression.equality, scope, left, right, how="test")
        if left_code == left.code:
            return Binding(f"(None if {equal} else {left.code})", True)
        return Binding(f"(None if {left_code} is None or {equal} else {left.code})", True)

    def _case(self, expression: logical.CaseExpression, scope: Scope) -> Binding:
        kept = ""
        if expression.operand is not None:
            code, binding = self._kept(self.value(expression.operand, scope))
            kept = code if code != binding.code else ""
            scope = {**scope, ("case", 0): binding}
        pieces: list[str] = []
        nullable = False
        first = self.test(expression.branches[0][0], scope)
        self._lazy += 1
        for place, (condition, result) in enumerate(expression.branches):
            test = first if place == 0 else self.test(condition, scope)
            value = self.value(result, scope)
            nullable = nullable or value.nullable
            pieces.append(f"{value.code} if {test} else ")
        otherwise = self.value(expression.otherwise, scope)
        self._lazy -= 1
        nullable = nullable or otherwise.nullable
        text = "(" + "".join(pieces) + otherwise.code + ")"
        if kept:
            # `x is x` evaluates the operand once, whatever branch is taken.
            name = kept[1:].split(" ", 1)[0]
            text = f"({text} if {kept} is {name} else None)"
        return Binding(text, nullable)

    def _coalesce(self, expression: logical.Coalesce, scope: Scope) -> Binding:
        parts: list[Binding] = [self.value(expression.arguments[0], scope)]
        self._lazy += 1
        for argument in expression.arguments[1:]:
            if not parts[-1].nullable:
                break
            parts.append(self.value(argument, scope))
        self._lazy -= 1
        text = parts[-1].code
        for part in reversed(parts[:-1]):
            code, kept = self._kept(part)
            text = f"({kept.code} if {code} is not None else {text})"
        return Binding(text, parts[-1].nullable)

    def _min_max(self, expression: logical.MinMax, scope: Scope) -> Binding:
        items = ", ".join([self.code(argument, scope) for argument in expression.arguments])
        chosen = values.greatest if expression.greatest else values.least
        name = self.module.bind(partial(chosen, sort_key(expression.type)), "extreme")
        return Binding(f"{name}(({items},))", True)

    # ── lists ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _membership(self, comparison: logical.Expression, items: str, cache: str) -> str | None:
        """Source of a cached (set of hash keys, whether there is a NULL) for items that do not change; None: not hashable."""
        if not is_plain_equality(comparison):
            return None
        assert isinstance(comparison, logical.Call)
        if not all(isinstance(argument, logical.CaseValue) for argument in comparison.arguments):
            return None
        make = self.module.bind(partial(values.membership, hash_key(comparison.arguments[1].type)), "members")
        return f"{make}({items})"

    def _in_list_items(self, expression: logical.InList) -> bool:
        return all(isinstance(item, logical.Constant | logical.ParameterRef) for item in expression.items)

    def _set_of(self, expression: logical.InList, scope: Scope) -> tuple[str, bool, str] | None:
        """(local of the set, whether it certainly has no NULL, hash function) where the list is long and constant."""
        if len(expression.items) < 5 or not self._in_list_items(expression):
            return None
        if not is_plain_equality(expression.comparison):
            return None
        assert isinstance(expression.comparison, logical.Call)
        if not all(isinstance(argument, logical.CaseValue) for argument in expression.comparison.arguments):
            return None
        key = hash_key(expression.operand.type)
        hashing = self.module.bind(key, "hash_key") if key is not None else ""
        constants = [item for item in expression.items if isinstance(item, logical.Constant)]
        if len(constants) == len(expression.items):
            members = values.membership(hash_key(constants[0].type), [item.value for item in constants])
            assert members is not None
            return self.module.bind(members, "members"), not members[1], hashing
        items = ", ".join([self.code(item, scope) for item in expression.items])
        code = self._membership(expression.comparison, f"({items},)", "")
        assert code is not None
        return self.function.hoist(code), False, hashing

    def _in_list_test(self, expression: logical.InList, scope: Scope) -> str:
        operand_code, operand = self._kept(self.value(expression.operand, scope))
        found = self._set_of(expression, scope)
        if found is not None:
            members, certain, hashing = found
            key = f"{hashing}({operand.code})" if hashing else operand.code
            null = f"{operand_code} is not None and " if operand.nullable or operand_code != operand.code else ""
            if not expression.negated:
                return f"({null}{key} in {members}[0])"
            return f"({null}{key} not in {members}[0]" + ("" if certain else f" and not {members}[1]") + ")"
        self._lazy += 1
        items = [self.value(item, scope) for item in expression.items]
        self._lazy -= 1
        inner = operand._replace(nullable=False)
        null = f"{operand_code} is not None and " if operand.nullable or operand_code != operand.code else ""
        if not expression.negated:
            tests = [self._compare(expression.comparison, scope, inner, item, how="test") for item in items]
            return f"({null}({' or '.join(tests)}))"
        tests = []
        for item in items:
            scope_of_item = {**scope, ("case", 0): inner, ("case", 1): item}
            tests.append(self.fails(expression.comparison, scope_of_item))
        return f"({null}{' and '.join(tests)})"

    def _in_list(self, expression: logical.InList, scope: Scope) -> Binding:
        operand_code, operand = self._kept(self.value(expression.operand, scope))
        found = self._set_of(expression, scope)
        hit, miss = ("False", "True") if expression.negated else ("True", "False")
        inner = operand._replace(nullable=False)
        if found is not None:
            members, certain, hashing = found
            key = f"{hashing}({operand.code})" if hashing else operand.code
            text = f"({hit} if {key} in {members}[0] else {miss if certain else f'None if {members}[1] else {miss}'})"
        else:
            self._lazy += 1
            items = [self.value(item, scope) for item in expression.items]
            self._lazy -= 1
            tests = " or ".join(
                [self._compare(expression.comparison, scope, inner, item, how="test") for item in items]
            )
            nulls = " or ".join([f"{item.code} is None" for item in items if item.nullable])
            text = f"({hit} if {tests} else {f'None if {nulls} else ' if nulls else ''}{miss})"
        if operand.nullable or operand_code != operand.code:
            text = f"(None if {is_none(operand_code)} else {text})"
        return Binding(text, True)

    def _quantified(self, expression: logical.Quantified, scope: Scope) -> Binding:
        operand_code, operand = self._kept(self.value(expression.operand, scope))
        array = self.value(expression.array, scope)
        if not expression.all and is_plain_equality(expression.comparison) and self._is_fixed(expression.array):
            code = self._membership(
                expression.comparison, f"{self.module.bind(values.flattened, 'flattened')}({array.code})", ""
            )
            if code is not None:
                members = self.function.hoist(code)
                key = hash_key(expression.operand.type)
                lookup = f"{self.module.bind(key, 'hash_key')}({operand.code})" if key is not None else operand.code
                # The array itself NULL: members is None.
                return Binding(
                    f"(None if {is_none(operand_code)} or {members} is None else True if {lookup} in {members}[0] "
                    f"else None if {members}[1] else False)",
                    True,
                )
        left, right = self.module.fresh("a"), self.module.fresh("b")
        comparison = self._compare(expression.comparison, scope, Binding(left, True), Binding(right, True))
        name = self.module.bind(values.quantified_all if expression.all else values.quantified_any, "quantified")
        return Binding(f"{name}({operand_code}, {array.code}, lambda {left}, {right}: {comparison})", True)

    def _is_fixed(self, expression: logical.Expression) -> bool:
        return self.function.kind != "plain" and all(
            not isinstance(item, logical.ColumnRef | logical.CaseValue | logical.Plan)
            and not (isinstance(item, logical.Call) and item.volatile == "v")
            for item in walk.walk(expression)
        )

    def _row_comparison(self, expression: logical.RowComparison, scope: Scope) -> Binding:
        text = "True" if "=" in expression.operator else "False"
        less = expression.operator.startswith("<")
        triples = list(zip(expression.left, expression.right, expression.parts, strict=True))
        for left_side, right_side, (less_than, equality) in reversed(triples):
            left_code, left = self._kept(self.value(left_side, scope))
            right_code, right = self._kept(self.value(right_side, scope))
            sides = (left._replace(nullable=False), right._replace(nullable=False))
            below = self._compare(less_than, scope, *sides)
            equal = self._compare(equality, scope, *sides)
            decided = below if less else f"(not {below})"
            nulls = f"{is_none(left_code)} or {is_none(right_code)}"
            text = f"(None if {nulls} else {text} if {equal} else {decided})"
        return Binding(text, True)

    # ── arrays and rows ────────────────────────────────────────────────────────────────────────────────────────────

    def _array(self, expression: logical.ArrayConstructor, scope: Scope) -> Binding:
        elements = ", ".join([self.code(element, scope) for element in expression.elements])
        if expression.nested:
            return Binding(f"{self.module.bind(values.joined_arrays, 'joined_arrays')}([{elements}])", False)
        return Binding(f"[{elements}]", False)

    def _row(self, expression: logical.RowConstructor, scope: Scope) -> Binding:
        fields = "".join([self.code(field, scope) + ", " for field in expression.fields])
        types = tuple([field.type for field in expression.fields])
        row = self.module.bind(record_class(types, tuple(expression.names)), "row")
        return Binding(f"{row}(({fields}))", False)

    def _field(self, expression: logical.FieldSelect, scope: Scope) -> Binding:
        operand = self.value(expression.operand, scope)
        result = self.strict([operand], lambda codes: f"{codes[0]}[{expression.index}]", [1], False)
        return result._replace(nullable=True)

    def _subscript(self, expression: logical.Subscript, scope: Scope) -> Binding:
        operand = self.code(expression.operand, scope)
        if expression.operand.type == oids.NAME:
            name = self.module.bind(values.name_character, "character")
            return Binding(f"{name}({operand}, {self._subscripts(expression, scope)})", True)
        base = 0 if expression.operand.type in (oids.INT2VECTOR, oids.OIDVECTOR) else 1
        name = self.module.bind(values.array_slice if expression.slice else values.array_element, "subscript")
        return Binding(f"{name}({operand}, {self._subscripts(expression, scope)}, {base})", True)

    def _subscripts(self, expression: logical.Subscript | logical.SubscriptAssign, scope: Scope) -> str:
        """Source of a tuple: one number a dimension, or one (lower, upper) where it is a slice."""
        parts: list[str] = []
        for lower, upper in expression.subscripts:
            if not expression.slice:
                chosen = upper if lower is None else lower
                assert chosen is not None
                parts.append(self.code(chosen, scope))
                continue
            none = self.module.bind(values.OMITTED, "omitted")
            low = none if lower is None else self.code(lower, scope)
            high = none if upper is None else self.code(upper, scope)
            parts.append(f"({low}, {high})")
        return f"({', '.join(parts)},)"

    def _subscript_assign(self, expression: logical.SubscriptAssign, scope: Scope) -> Binding:
        assign = array_assignment.assign_slice if expression.slice else array_assignment.assign_element
        operand, value = self.code(expression.operand, scope), self.code(expression.value, scope)
        name = self.module.bind(assign, "assign")
        return Binding(f"{name}({operand}, {self._subscripts(expression, scope)}, {value})", True)

    # ── subqueries ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _subquery(self, expression: Any, scope: Scope) -> Binding:
        return self.plans.subquery(self, expression, scope)


_VALUES: dict[type, Any] = {
    logical.Constant: Expressions._constant,
    logical.ParameterRef: Expressions._parameter,
    logical.ColumnRef: Expressions._column,
    logical.CaseValue: Expressions._case_value,
    logical.Call: Expressions._call,
    logical.Cast: Expressions._cast,
    logical.ApplyTypmod: Expressions._apply_typmod,
    logical.BooleanOperation: Expressions._boolean,
    logical.Not: Expressions._not,
    logical.NullTest: Expressions._null_test,
    logical.BooleanTest: Expressions._boolean_test,
    logical.DistinctTest: Expressions._distinct,
    logical.CaseExpression: Expressions._case,
    logical.Coalesce: Expressions._coalesce,
    logical.NullIf: Expressions._null_if,
    logical.MinMax: Expressions._min_max,
    logical.ArrayConstructor: Expressions._array,
    logical.RowConstructor: Expressions._row,
    logical.FieldSelect: Expressions._field,
    logical.Subscript: Expressions._subscript,
    logical.SubscriptAssign: Expressions._subscript_assign,
    logical.InList: Expressions._in_list,
    logical.Quantified: Expressions._quantified,
    logical.RowComparison: Expressions._row_comparison,
    logical.ScalarSubquery: Expressions._subquery,
    logical.Exists: Expressions._subquery,
    logical.ArraySubquery: Expressions._subquery,
    logical.QuantifiedSubquery: Expressions._subquery,
}
