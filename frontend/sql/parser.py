"""SQL text → syntax trees.

    parse(text)                      every statement of the text, each with its own part of it
    parse(text, lift=True)           the same of one statement, with literals as parameters (see fingerprint.py)
    parse_expression(text)           an expression alone, as the catalogue stores defaults, checks and index expressions
    parse_type(text)                 a type's name alone, as in '…'::regtype

Positions in the trees and in errors count from the start of the whole text, as the protocol reports them. A syntax error
anywhere in the text refuses all of it before anything runs, as in PostgreSQL.

The cost of a point SELECT is about 40 µs, of which the tokens are 12; plans are cached, so this is off the hot path.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from frontend.errors import SqlError
from frontend.sql import syntax
from frontend.sql.dialect import tokenize
from frontend.sql.fingerprint import literals_of
from frontend.sql.parser_commands import CommandParser
from frontend.sql.syntax import Expression, LiftedKind, Select, Statement, TypeName


class Parsed(msgspec.Struct):
    """One statement of a text.

    Args:
        source: the statement's own text, without the semicolon and the blanks around it.
        position: 1-based offset of `source` in the whole text.
        lifted: kinds of the literals that `fingerprint` lifted, in order; None when nothing was lifted by request or
            because the text is not liftable.
        fixed: 0-based indexes into `lifted` (and into fingerprint's literals) whose values the tree depends on: they stand
            in it as constants, and a plan made from it may be used only for the same values. Always sorted.
    """

    statement: Statement
    source: str
    position: int
    lifted: list[LiftedKind] | None = None
    fixed: list[int] = []


class Parser(CommandParser):
    """The whole grammar: what a statement's first word decides."""

    __slots__ = ()

    def statement(self) -> Statement:
        production = STATEMENTS.get(self.type)
        if production is None:
            raise self.error()
        return production(self)


STATEMENTS: dict[str, Callable[[Parser], Statement]] = {
    **dict.fromkeys(("select", "values", "with", "table", "(", "insert", "update", "delete"), Parser.reading_statement),
    "merge": Parser.reading_statement,
    "truncate": Parser.truncate,
    "create": Parser.create,
    "alter": Parser.alter,
    "drop": Parser.drop,
    "comment": Parser.comment,
    "security": Parser.security_label,
    "refresh": Parser.refresh,
    "grant": Parser.grant,
    "revoke": Parser.revoke,
    "reassign": Parser.reassign,
    "set": Parser.set,
    "reset": Parser.reset,
    "show": Parser.show,
    **dict.fromkeys(
        ("begin", "start", "commit", "end", "rollback", "abort", "savepoint", "release"), Parser.transaction
    ),
    "prepare": Parser.prepare,
    "execute": Parser.execute,
    "deallocate": Parser.deallocate,
    "declare": Parser.declare,
    **dict.fromkeys(("fetch", "move"), Parser.fetch),
    "close": Parser.close,
    "explain": Parser.explain,
    "copy": Parser.copy,
    **dict.fromkeys(("vacuum", "analyze", "analyse"), Parser.vacuum),
    "lock": Parser.lock,
    "discard": Parser.discard,
    **dict.fromkeys(("listen", "notify", "unlisten"), Parser.listen),
    "checkpoint": Parser.checkpoint,
    "call": Parser.call_statement,
    "do": Parser.do,
    **dict.fromkeys(("reindex", "cluster", "load", "import"), Parser.refused_command),
}


def parse(text: str, *, lift: bool = False) -> list[Parsed]:
    """All statements of `text`; none for an empty one.

    Args:
        lift: give the literals that `fingerprint(text)` lifts as Parameters with `lifted` set.

    Raises: SqlError 42601 (and the few other errors that PostgreSQL's grammar raises), 0A000 for refused syntax.
    """
    if lift:
        literals = literals_of(text)
        if literals is not None:
            parsed = _parse_lifted(text, literals)
            if parsed is not None:
                return [parsed]
    return _parse_all(text)


def _parse_all(text: str) -> list[Parsed]:
    parser = Parser(tokenize(text))
    result: list[Parsed] = []
    while True:
        while parser.type == ";":
            parser.advance()
        if parser.type == "EOF":
            return result
        result.append(_one(parser))


def _one(parser: Parser) -> Parsed:
    start = parser.starts[parser.index]
    try:
        statement = parser.statement()
        if parser.type not in (";", "EOF"):
            raise parser.error()
        for first in parser.as_of_clauses:  # of a query in a statement that does not read in the past
            raise parser.as_of_misplaced(first)
    except RecursionError:
        raise SqlError(
            "54001",
            "stack depth limit exceeded",
            hint="The statement nests too deeply.",
        ) from None
    except SqlError as error:
        noted = parser.noted
        if noted is not None and error.sqlstate == "42601" and (noted.position or 0) > (error.position or 0):
            raise noted from None
        raise
    source = parser.text[start : parser.ends[parser.index - 1]]
    return Parsed(statement, source, start + 1)


def _parse_lifted(text: str, literals: list[tuple[int, int, LiftedKind]]) -> Parsed | None:
    """The one statement of `text` with the literals as parameters; None when it holds none or several statements."""
    tokens = tokenize(text)
    ends = dict(zip(tokens.starts, tokens.ends, strict=True))
    kinds = [kind for _, _, kind in literals]
    everything = list(range(len(literals)))
    exact = all(ends.get(start) == end for start, end, _ in literals)
    ordinals = {start: number for number, (start, _, _) in enumerate(literals, 1)} if exact else {}
    parser = Parser(tokens, ordinals, kinds)
    if parser.type not in LIFTED_STATEMENTS:
        parser.lifting = False
    parsed = _one(parser)
    while parser.type == ";":
        parser.advance()
    if parser.type != "EOF":
        return None
    if parser.lifting and not _separable(parsed.statement):
        parsed = _one(Parser(tokens))
        parsed.fixed = everything
    else:
        parsed.fixed = [index for index in everything if index + 1 not in parser.used_ordinals]
    parsed.lifted = kinds
    return parsed


LIFTED_STATEMENTS = frozenset(("select", "values", "with", "(", "insert", "update", "delete"))


def _separable(statement: Statement) -> bool:
    """Whether the statement means the same with parameters in the place of its literals.

    It does not where expressions are compared for being the same: GROUP BY and DISTINCT ON against the targets, ORDER BY
    of a grouped or DISTINCT query or a set operation. (A bare number, which names a target by its place, is not lifted.)
    """
    return all(_separable_query(query) for query in _queries(statement))


def _separable_query(query: Select) -> bool:
    if query.group_by or query.distinct is not None or query.operation is not None:
        compared: list[Expression] = [*query.group_by, *(query.distinct or ())]
        compared += [item.expression for item in query.order_by]
        return not any(_has_lifted(expression) for expression in compared)
    return True


def _queries(node: object) -> list[Select]:
    """Every query inside a tree."""
    found: list[Select] = []
    waiting = [node]
    while waiting:
        current = waiting.pop()
        if isinstance(current, syntax.Node):
            if isinstance(current, Select):
                found.append(current)
            waiting.extend(
                value
                for name in current.__struct_fields__
                if isinstance(value := getattr(current, name), syntax.Node | list) and value
            )
        elif isinstance(current, list):
            waiting.extend(item for item in current if isinstance(item, syntax.Node | list))
    return found


def _has_lifted(node: object) -> bool:
    if isinstance(node, syntax.Parameter):
        return node.lifted is not None
    if isinstance(node, syntax.Node):
        return any(_has_lifted(getattr(node, name)) for name in node.__struct_fields__)
    return isinstance(node, list) and any(_has_lifted(item) for item in node)


def parse_expression(text: str) -> Expression:
    """An expression that stands alone.

    Raises: SqlError 42601.
    """
    parser = Parser(tokenize(text))
    result = parser.expression()
    if parser.type != "EOF":
        raise parser.error()
    return result


def parse_type(text: str) -> TypeName:
    """A type's name that stands alone, e.g. "numeric(10,2)[]".

    Raises: SqlError 42601.
    """
    parser = Parser(tokenize(text))
    result = parser.type_name()
    if parser.type != "EOF":
        raise parser.error()
    return result
