"""Goal: texts become the trees that syntax.py describes.

Method: pairs of texts that must give the same tree (one with every parenthesis written, by PostgreSQL's precedence table),
trees spelled out for what the binder relies on, and positions. That texts are accepted and refused as by PostgreSQL is
test_parser_agreement.py's subject.
"""

from __future__ import annotations

import pytest

from frontend.errors import SqlError
from frontend.sql import syntax
from frontend.sql import syntax_commands as commands
from frontend.sql.parser import parse, parse_expression, parse_type
from frontend.sql.syntax import Cast, ColumnReference, Constant, FunctionCall, Operator, TypeName, same

SAME = [
    ("a + b * c", "a + (b * c)"),
    ("a - b - c", "(a - b) - c"),
    ("a ^ b ^ c", "(a ^ b) ^ c"),
    ("-a ^ b", "(-a) ^ b"),
    ("-a::int", "-(a::int)"),
    ("-a[1]", "-(a[1])"),
    ("a || b + c", "a || (b + c)"),
    ("a || b -> c", "(a || b) -> c"),
    ("@ a + b", "@ (a + b)"),
    ("a < b + c", "a < (b + c)"),
    ("not a = b", "not (a = b)"),
    ("not a is null", "not (a is null)"),
    ("a = b is null", "(a = b) is null"),
    ("a or b and c", "a or (b and c)"),
    ("not a and b", "(not a) and b"),
    ("a and b and c", "(a and b) and c"),
    ("a between b and c and d", "(a between b and c) and d"),
    ("a between b + 1 and c || d", "a between (b + 1) and (c || d)"),
    ("a like b || c", "a like (b || c)"),
    ("a = b like c", "a = (b like c)"),
    ("a < b between c and d", "a < (b between c and d)"),
    ("a in (1) = b", "(a in (1)) = b"),
    ("a is distinct from b = c", "a is distinct from (b = c)"),
    ('a || b collate "C"', 'a || (b collate "C")'),
    ("a + b at time zone c", "a + (b at time zone c)"),
    ("a operator(pg_catalog.*) b + c", "a operator(pg_catalog.*) (b + c)"),
    ("a isnull", "a is null"),
    ("a != b", "a <> b"),
    ("a = some (b)", "a = any (b)"),
    ("cast(a as int)", "a::integer"),
    ("cast(a as char)", "a::character(1)"),
    ("a::dec(3)", "a::numeric(3)"),
    ("a::float(10)", "a::real"),
    ("a::int array", "a::int[]"),
    ("0x1F + 1_000 + 0b11", "31 + 1000 + 3"),
    ("e'a\\n\\x41'", "'a\nA'"),
    ("$$it's$$", "'it''s'"),
    ("u&'\\0041'", "'A'"),
    ("'a'\n'b'", "'ab'"),
    ("f(a := 1)", "f(a => 1)"),
    ('ABC."dE"', 'abc."dE"'),
]


@pytest.mark.parametrize(("left", "right"), SAME)
def test_same_tree(left: str, right: str) -> None:
    assert same(parse_expression(left), parse_expression(right))


@pytest.mark.parametrize("text", ["a < b < c", "a = b = c", "a between 1 and 2 between 3 and 4", "a like b like c"])
def test_operators_that_do_not_associate(text: str) -> None:
    with pytest.raises(SqlError, match="syntax error at or near"):
        parse_expression(text)


def column(name: str) -> ColumnReference:
    return ColumnReference([name])


def integer(value: str) -> Constant:
    return Constant("integer", value)


def integer_type() -> TypeName:
    return TypeName(["pg_catalog", "int4"])


TREES = [
    ("a.b.*", ColumnReference(["a", "b"], star=True)),
    ("-5", Operator("-", None, integer("5"))),
    ("1.50", Constant("decimal", "1.50")),
    ("99999999999999999999", Constant("integer", "99999999999999999999")),
    ("b'101'", Constant("bit", "b101")),
    ("true", Constant("boolean", "true")),
    ("$3", syntax.Parameter(3)),
    ("count(*)", FunctionCall(["count"], star=True)),
    ("trim(a)", FunctionCall(["pg_catalog", "btrim"], [column("a")], syntax="trim")),
    (
        "position('x' in a)",
        FunctionCall(["pg_catalog", "position"], [column("a"), Constant("string", "x")], syntax="position"),
    ),
    (
        "extract(year from a)",
        FunctionCall(["pg_catalog", "extract"], [Constant("string", "year"), column("a")], syntax="extract"),
    ),
    (
        "a at time zone 'utc'",
        FunctionCall(["pg_catalog", "timezone"], [Constant("string", "utc"), column("a")], syntax="at time zone"),
    ),
    ("current_timestamp(3)", syntax.SqlValue("current_timestamp", 3)),
    ("now()", FunctionCall(["now"])),
    (
        "date '2020-01-01'",
        Cast(Constant("string", "2020-01-01"), TypeName(["date"]), literal=True),
    ),
    (
        "interval '1' day to second(2)",
        Cast(
            Constant("string", "1"),
            TypeName(["pg_catalog", "interval"], [integer("2")], interval_fields="day to second"),
            literal=True,
        ),
    ),
    ("a::int", Cast(column("a"), integer_type())),
    ("(a).b", syntax.FieldSelection(column("a"), "b")),
    ("(a).*", syntax.FieldSelection(column("a"), None)),
    ("a[1:2]", syntax.Subscript(column("a"), [syntax.Index(integer("2"), integer("1"), slice=True)])),
    ("(1, 2)", syntax.Row([integer("1"), integer("2")])),
    ("row(1)", syntax.Row([integer("1")], explicit=True)),
    ("a not in (1)", syntax.In(column("a"), [integer("1")], negated=True)),
    ("a like any (b)", syntax.Quantified("~~", "any", column("a"), column("b"))),
    ("a is not distinct from b", syntax.IsTest("distinct", column("a"), True, column("b"))),
]


@pytest.mark.parametrize(("text", "tree"), TREES, ids=[text for text, _ in TREES])
def test_tree(text: str, tree: syntax.Expression) -> None:
    assert same(parse_expression(text), tree)


def test_positions_count_characters_of_the_whole_text() -> None:
    first, second = parse("select 'é'; select a + b from t;")
    assert (first.source, first.position) == ("select 'é'", 1)
    assert (second.source, second.position) == ("select a + b from t", 13)
    statement = second.statement
    assert isinstance(statement, syntax.Select)
    operator = statement.targets[0].expression
    assert isinstance(operator, Operator)
    assert isinstance(operator.right, ColumnReference)
    assert (operator.position, operator.right.position) == (22, 24)
    item = statement.from_[0]
    assert isinstance(item, syntax.TableItem)
    assert item.relation.position == 31


def test_empty_text_has_no_statements() -> None:
    assert parse("") == parse(" ; ;-- x") == []


def test_set_operations_associate() -> None:
    [parsed] = parse("select 1 union select 2 except select 3 intersect select 4 order by 1")
    top = parsed.statement
    assert isinstance(top, syntax.Select)
    assert top.operation == "except"
    assert top.left is not None
    assert top.left.operation == "union"
    assert top.right is not None
    assert top.right.operation == "intersect"
    assert len(top.order_by) == 1


def test_identifiers_are_cut_to_63_bytes() -> None:
    assert same(parse_expression("a" * 70), column("a" * 63))
    assert same(parse_expression("é" * 40), column("é" * 31))


@pytest.mark.parametrize(
    ("text", "statement"),
    [
        ("set x to 'a', b", commands.Set("x", [Constant("string", "a"), Constant("string", "b")])),
        ("set local time zone default", commands.Set("timezone", None, True)),
        ("show transaction isolation level", commands.Show("transaction_isolation")),
        (
            "begin isolation level repeatable read, read only",
            commands.Transaction("begin", commands.TransactionModes("repeatable read", True)),
        ),
        ("rollback to savepoint a", commands.Transaction("rollback to", name="a")),
        ("fetch backward all in c", commands.Fetch("c", "backward", None)),
        ("drop table if exists a.b cascade", commands.Drop("table", [["a", "b"]], if_exists=True, cascade=True)),
        (
            "create index async i on t (a)",
            commands.CreateIndex(syntax.RelationName("t"), [syntax.IndexElement("a")], "i", asynchronous=True),
        ),
        (
            "copy t (a) from stdin with (format csv, header)",
            commands.Copy(
                syntax.RelationName("t"),
                ["a"],
                from_=True,
                options=[syntax.Option("format", "csv"), syntax.Option("header")],
            ),
        ),
        ("create function f() returns int as 'x;y' language sql", commands.UnsupportedStatement("CREATE FUNCTION")),
    ],
)
def test_commands(text: str, statement: syntax.Statement) -> None:
    [parsed] = parse(text)
    assert same(parsed.statement, statement)


def test_deep_nesting_is_an_error_and_no_crash() -> None:
    with pytest.raises(SqlError) as caught:
        parse("select " + "(" * 200_000 + "1" + ")" * 200_000)
    assert caught.value.sqlstate == "54001"


def test_long_chains_are_no_nesting() -> None:
    assert len(parse("select " + " + ".join(["1"] * 5000))) == 1
    assert len(parse("select 1 where " + " or ".join(["a = 1"] * 5000))) == 1
    assert len(parse("insert into t values " + ", ".join(["(1, 'x')"] * 5000))) == 1


def test_types() -> None:
    assert same(parse_type("timestamp(3) with time zone"), TypeName(["pg_catalog", "timestamptz"], [integer("3")]))
    assert same(parse_type("s.t[]"), TypeName(["s", "t"], dimensions=[-1]))
    assert same(parse_type("int[3]"), TypeName(["pg_catalog", "int4"], dimensions=[3]))


# ── AS OF ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def as_of(text: str) -> syntax.AsOfQuery:
    (parsed,) = parse(text)
    assert isinstance(parsed.statement, syntax.AsOfQuery)
    return parsed.statement


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("select 1", ""),
        ("select a", ""),
        ("select a b", ""),
        ("select a from t", ""),
        ("select a from t as u", ""),
        ("select a from f(1)", ""),
        ("select a from t join u using (a)", ""),
        ("select a from t, (select 1) as s(b) where a > 1 order by a limit 3", ""),
        ("select a from t union all select b from u", ""),
        ("(select a from t) except (select 1) order by 1", ""),
        ("(select a from t", ")"),
        ("((select a from t", ")) order by a"),
        ("with w as (select 1) select * from w", ""),
        ("values (1), (2)", ""),
        ("table t", ""),
    ],
)
def test_as_of_ends_whole_queries(before: str, after: str) -> None:
    plain = parse(before + after)[0].statement
    for clause, kind, argument in (
        ("as of system time '-5s'", "time", "'-5s'"),
        ("AS OF POSITION $1 + 2", "position", "$1 + 2"),
        ("as of system time now() - interval '1 h'", "time", "now() - interval '1 h'"),
    ):
        found = as_of(f"{before} {clause}{after}")
        assert same(found.query, plain)
        assert found.as_of.kind == kind
        assert same(found.as_of.argument, parse_expression(argument))
        assert found.as_of.position == len(before) + 2
        assert same(parse(found.source)[0].statement, plain)
        assert found.source.startswith(before)


def test_as_of_in_other_statements() -> None:
    (prepare,) = parse("prepare p as select 1 as of position $1")
    (explain,) = parse("explain (costs off) select 1 as of position 1")
    (declare,) = parse("declare c cursor for (select 1 as of position 1)")
    (copy,) = parse("copy (select 1 as of position 1) to stdout")
    for inner in (
        prepare.statement.statement,
        explain.statement.statement,
        declare.statement.query,
        copy.statement.query,
    ):
        assert isinstance(inner, syntax.AsOfQuery)
        assert inner.source.strip().endswith("select 1") or inner.source.startswith("(select 1")
    for text in (
        "begin isolation level serializable as of position 1",
        "start transaction as of position 1, read only",
        "begin read only, as of position 1 not deferrable",
        "set transaction as of position 1",
    ):
        modes = parse(text)[0].statement.modes
        assert (modes.as_of.kind, modes.as_of.argument.value) == ("position", "1")


@pytest.mark.parametrize(
    "text",
    [
        "select a as of",
        "select a as of, b from t",
        "select * from t as of",
        "select * from t as of where of.a = 1",
        "select * from f() as of",
        "select * from t join u using (a) as of",
        "select of.system from t as of",
    ],
)
def test_of_is_still_a_name(text: str) -> None:
    assert isinstance(parse(text)[0].statement, syntax.Select)


@pytest.mark.parametrize(
    "text",
    [
        "select * from (select 1 | as of position 1) s",
        "select (select 1 | as of position 1)",
        "select 1 in (select 1 | as of position 1)",
        "(select 1 | as of position 1) union select 2",
        "(select 1 | as of position 1) as of position 2",
        "with w as (select 1 | as of position 1) select * from w",
        "with w as (select 1 | as of system time '-1s') select * from w as of system time '-1s'",
        "insert into t select 1 | as of position 1",
        "insert into t values (1) | as of position 1",
        "update t set a = 1 | as of position 1",
        "delete from t where a = 1 | as of system time '-1s'",
        "create table s as select 1 | as of position 1",
        "create view v as select 1 | as of position 1",
        "explain insert into t select 1 | as of position 1",
        "copy (insert into t select 1 | as of position 1 returning a) to stdout",
        "commit | as of position 1",
    ],
)
def test_as_of_elsewhere_is_refused_by_name(text: str) -> None:
    position = text.index("|") + 1
    with pytest.raises(SqlError, match="AS OF is only possible") as caught:
        parse(text.replace("| ", ""))
    assert (caught.value.sqlstate, caught.value.position) == ("0A000", position)


@pytest.mark.parametrize(
    "text",
    [
        "select 1 as of position",
        "select 1 as of system time",
        "select 1 as of position 1 as of position 2",
        "select * from t as of system",
        "select 1 as of position 1 where true",
    ],
)
def test_as_of_syntax_errors(text: str) -> None:
    with pytest.raises(SqlError) as caught:
        parse(text)
    assert caught.value.sqlstate in ("42601", "0A000")
