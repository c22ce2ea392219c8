"""Goal: deparsing loses nothing and looks like PostgreSQL.

Method: over the corpus, parsing the text that was printed gives the same tree. For expressions that analysis does not
change, the oracle's pg_get_expr must print the same text in both of its styles.
"""

from __future__ import annotations

import random

import psycopg
import pytest

from frontend.errors import SqlError
from frontend.sql import syntax
from frontend.sql.deparse import (
    deparse_expression,
    deparse_index_element,
    deparse_query,
    deparse_row_statement,
    deparse_type,
    quote_identifier,
    quote_literal,
)
from frontend.sql.parser import parse, parse_expression, parse_type
from frontend.sql.syntax_commands import CreateIndex
from tests.frontend.sql.corpus import mutated, statements
from tests.oracle import Oracle

ROW_STATEMENTS = (syntax.Select, syntax.Insert, syntax.Update, syntax.Delete, syntax.Merge)


@pytest.mark.parametrize("pretty", [False, True])
def test_round_trip_over_the_corpus(pretty: bool) -> None:
    seen = 0
    for text in [*statements(), *mutated(3000, seed=7)]:
        try:
            parsed = parse(text)
        except SqlError:
            continue
        if len(parsed) != 1 or not isinstance(parsed[0].statement, ROW_STATEMENTS):
            continue
        printed = deparse_row_statement(parsed[0].statement, pretty=pretty)
        again = parse(printed)[0].statement
        assert syntax.same(parsed[0].statement, again), (text, printed)
        seen += 1
    assert seen > 300


# text → as printed; the columns are integers a, b, c, a text t and a boolean f
EXPRESSIONS = [
    "a + b * c > 3",
    "(a + b) * c - 1 > -2",
    "a - (b - c) = a - b - c",
    "a > 1 and b < 2 or not c = 3",
    "a > 1 and (b < 2 or c = 3)",
    "not (a > 1 and f)",
    "a is null or t is not null",
    "f is true and f is not false",
    "a is distinct from b",
    "case when a > 1 then b else c end = 1",
    "case a when 1 then b end = 1",
    "coalesce(a, b, 1) = 1",
    "nullif(a, b) = greatest(a, b)",
    "a = 1",
    "(a, b) = (1, 2)",
    "abs(a + b) > 1",
    "t = lower(t)",
    "a::bigint > 5::bigint",
    "-a > 1",
    "@ a > 1",
    "f",
    "a % 2 = 0",
    "array[a, b] = array[1, 2]",
    "(array[a, b])[1] = 1",
]


@pytest.fixture(scope="module")
def checks(oracle: Oracle) -> psycopg.Connection:
    connection = psycopg.connect(oracle.dsn, autocommit=True)
    connection.execute("create temp table checked (a int, b int, c int, t text, f boolean)")
    return connection


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_expressions_look_like_postgresql(checks: psycopg.Connection, text: str) -> None:
    checks.execute(f"alter table checked add constraint k check ({text})")
    row = checks.execute(
        "select pg_get_expr(conbin, conrelid), pg_get_expr(conbin, conrelid, true) from pg_constraint "
        "where conrelid = 'checked'::regclass"
    ).fetchone()
    checks.execute("alter table checked drop constraint k")
    assert row is not None
    # the analysed tree knows types that the text does not say; parsing PostgreSQL's own text has them, too
    plain = parse_expression(row[0])
    assert deparse_expression(plain) == row[0]
    assert deparse_expression(plain, pretty=True) == row[1]


TYPES = [
    "integer",
    "bigint",
    "smallint",
    "real",
    "double precision",
    "boolean",
    "numeric",
    "numeric(10,2)",
    "text",
    "character varying",
    "character varying(10)",
    "character(3)",
    "bit(3)",
    "bit varying(5)",
    "timestamp without time zone",
    "timestamp(3) with time zone",
    "time without time zone",
    "time(0) with time zone",
    "interval",
    "interval(3)",
    "interval year to month",
    "interval second(2)",
    "date",
    "uuid",
    "jsonb",
    "integer[]",
    "text[]",
]


@pytest.mark.parametrize("text", TYPES)
def test_types_look_like_postgresql(checks: psycopg.Connection, text: str) -> None:
    checks.execute(f"create temp table typed (a {text})")
    row = checks.execute(
        "select format_type(atttypid, atttypmod) from pg_attribute where attrelid = 'typed'::regclass and attnum = 1"
    ).fetchone()
    checks.execute("drop table typed")
    assert row == (text,)
    assert deparse_type(parse_type(text)) == text


def test_quoting_agrees_with_postgresql(checks: psycopg.Connection) -> None:
    for name in ["a", "A", "a b", 'a"b', "select", "user", "value", "int", "left", "é", "1a", "a1", "_a", "a$", ""]:
        assert checks.execute("select quote_ident(%s)", [name]).fetchone() == (quote_identifier(name),)
    for text in ["", "a", "it's", "a\\b", "a\\'b"]:
        quoted = quote_literal(text)
        assert checks.execute(f"select {quoted}").fetchone() == (text,)


def test_index_elements_look_like_postgresql(checks: psycopg.Connection) -> None:
    text = "create index on checked (a, lower(t), (a + b), b desc, c desc nulls last, t nulls first, coalesce(a, b))"
    statement = parse(text)[0].statement
    assert isinstance(statement, CreateIndex)
    checks.execute(text)
    row = checks.execute(
        "select pg_get_indexdef(indexrelid) from pg_index where indrelid = 'checked'::regclass"
    ).fetchone()
    checks.execute(f"drop index {row[0].split()[2]}" if row else "")
    assert row is not None
    printed = ", ".join(deparse_index_element(element) for element in statement.elements)
    assert row[0].endswith(f"USING btree ({printed})")


def test_set_operations_keep_their_nesting() -> None:
    text = "(SELECT 1 UNION SELECT 2) INTERSECT SELECT 3"
    statement = parse(text)[0].statement
    assert isinstance(statement, syntax.Select)
    assert deparse_query(statement) == text


class Generator:
    """Random expressions of a type, with few parentheses, so that precedence decides what they mean."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def maybe(self, text: str) -> str:
        return f"({text})" if self.chance.random() < 0.15 else text

    def integer(self, depth: int) -> str:
        if depth <= 0:
            return self.chance.choice(["a", "b", "c", "1", "2"])
        kind = self.chance.randrange(8)
        if kind < 4:
            operator = self.chance.choice(["+", "-", "*", "/", "%", "&", "|", "#"])
            return self.maybe(f"{self.integer(depth - 1)} {operator} {self.integer(depth - 1)}")
        if kind == 4:
            return self.maybe(f"- {self.integer(depth - 1)}")
        if kind == 5:
            return self.maybe(f"{self.chance.choice(['@', '~'])} {self.integer(depth - 1)}")
        if kind == 6:
            return f"{self.integer(depth - 1)}::int"
        return f"case when {self.boolean(depth - 1)} then {self.integer(depth - 1)} end"

    def text(self, depth: int) -> str:
        if depth <= 0:
            return self.chance.choice(["t", "'x'::text"])
        kind = self.chance.randrange(4)
        if kind == 0:
            return self.maybe(f'{self.text(depth - 1)} collate "C"')
        if kind == 1:
            return f"{self.integer(depth - 1)}::text"
        return self.maybe(f"{self.text(depth - 1)} || {self.text(depth - 1)}")

    def boolean(self, depth: int) -> str:
        if depth <= 0:
            return self.chance.choice(["f", "true"])
        kind = self.chance.randrange(10)
        below = depth - 1
        if kind < 3:
            return self.maybe(f"{self.boolean(below)} {self.chance.choice(['and', 'or'])} {self.boolean(below)}")
        if kind == 3:
            return self.maybe(f"not {self.boolean(below)}")
        if kind == 4:
            test = self.chance.choice(["null", "not null", "true", "not false", "unknown", "distinct from f"])
            return self.maybe(f"{self.boolean(below)} is {test}")
        if kind == 5:
            return self.maybe(f"{self.integer(below)} between {self.integer(below)} and {self.integer(below)}")
        if kind == 6:
            return self.maybe(f"{self.integer(below)} not in ({self.integer(below)}, {self.integer(below)})")
        if kind == 7:
            return self.maybe(f"{self.text(below)} like {self.text(below)}")
        if kind == 8:
            return self.maybe(f"{self.boolean(below)} = {self.boolean(below)}")
        operator = self.chance.choice(["<", "=", ">=", "<>", "is distinct from"])
        return self.maybe(f"{self.integer(below)} {operator} {self.integer(below)}")


def test_precedence_is_postgresql_s(checks: psycopg.Connection) -> None:
    """A text and what we print for it mean the same to PostgreSQL: it makes the same view of both."""
    generator = Generator(5)
    compared = 0

    def definition(text: str) -> str | None:
        try:
            with checks.transaction():
                checks.execute(f"create temp view printed as select {text} from checked")
                row = checks.execute("select pg_get_viewdef('printed'::regclass)").fetchone()
                checks.execute("drop view printed")
        except psycopg.errors.SyntaxError:
            return "syntax error"
        except psycopg.Error:
            return None
        assert row is not None
        return str(row[0])

    for _ in range(400):
        text = generator.boolean(4)
        expected = definition(f"{text} as v")
        try:
            tree = parse_expression(text)
        except SqlError:
            assert expected == "syntax error", text
            continue
        assert expected != "syntax error", text
        if expected is None:
            continue
        compared += 1
        assert definition(f"{deparse_expression(tree)} as v") == expected
        assert definition(f"{deparse_expression(tree, pretty=True)} as v") == expected
    assert compared > 100


def test_system_views_print_as_postgresql_prints_them(checks: psycopg.Connection) -> None:
    """The definitions of its own views are PostgreSQL's text already; but for white space ours is the same."""

    def spaced(text: str) -> str:
        return " ".join(text.replace("( ", "(").split()).rstrip(";")

    different = []
    rows = checks.execute("select viewname, definition from pg_views").fetchall()
    for name, definition in rows:
        query = parse(definition)[0].statement
        assert isinstance(query, syntax.Select)
        if spaced(deparse_query(query)) != spaced(definition):
            different.append(name)
    assert len(rows) > 100
    assert different == []
