"""Goal: statements that differ only in literals share a key, nothing else does, and lifting is exact and fast.

Method: examples; a property over the corpus and over generated literals: the tokens of the text with the literals put back
are the tokens of the original; the parser finds the same literals as parameters in the same places, or calls them fixed; a
text that means something else never has the same key. The time is that of pgbench's statements, with room for slow machines.
"""

from __future__ import annotations

import timeit
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontend.errors import SqlError
from frontend.sql import syntax
from frontend.sql.dialect import tokenize
from frontend.sql.fingerprint import fingerprint, literals_of
from frontend.sql.parser import Parsed, parse
from tests.frontend.sql.corpus import mutated, statements

MARKS = {"\0i": "INTEGER", "\0l": "INTEGER", "\0n": "number", "\0s": "STRING"}


@pytest.mark.parametrize(
    ("text", "key", "values"),
    [
        ("select 1", "select \0i", [1]),
        ("select a + -123 from t1", "select a + -\0i from t1", [123]),
        ("select 'it''s'", "select \0s", ["it's"]),
        ("select 2147483647, 2147483648", "select \0i, \0l", [2147483647, 2147483648]),
        ("select 9223372036854775807, 9223372036854775808", "select \0l, \0n", [2**63 - 1, Decimal(2**63)]),
        ("select 1.50, 1e3", "select \0n, \0n", [Decimal("1.50"), Decimal("1e3")]),
        ('select "a1" from "t 2" where x=3', 'select "a1" from "t 2" where x=\0i', [3]),
        ("select 1;", "select \0i;", [1]),
        ("select a1, t2.c3, a$4", "select a1, t2.c3, a$4", None),
        ("select x[1:2]", "select x[\0i:\0i]", [1, 2]),
        ("begin", "begin", []),
        ("select 'é'", "select \0s", ["é"]),
        ("select '\\'", "select \0s", ["\\"]),
    ],
)
def test_examples(text: str, key: str, values: list[int | Decimal | str] | None) -> None:
    assert fingerprint(text) == (key, values)


@pytest.mark.parametrize(
    "text",
    [
        "select e'a'",
        "select E'\\''",
        "select b'1'",
        "select u&'a'",
        "select 'a'\n'b'",
        "select $1, 2",
        "select $$a 1$$",
        "select 1 -- 2",
        "select /* 1 */ 2",
        "select 1; select 2",
        "select 'abc 1",
        "select 1 where é",
        'select u&"1", 2',
    ],
)
def test_what_is_unusual_is_not_lifted(text: str) -> None:
    assert fingerprint(text) == (text, None)
    assert literals_of(text) is None


def test_what_differs_in_more_than_literals_differs_in_key() -> None:
    texts = [
        "select 1",
        "select 1 ",
        "select '1'",
        "select 1.0",
        "select -1",
        "select 5000000000",
        "select t1",
        'select "1"',
    ]
    assert len({fingerprint(text)[0] for text in texts}) == len(texts)


def put_back(key: str, values: list[int | Decimal | str]) -> str:
    """The text of a key with literals in the place of the marks."""
    parts = key.split("\0")
    text = parts[0]
    for part, value in zip(parts[1:], values, strict=True):
        written = "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)
        text += written + part[1:]
    return text


def tokens_of(text: str) -> list[tuple[str, str]]:
    tokens = tokenize(text)
    if tokens.failure is not None:
        raise tokens.failure
    return [
        (kind, str(Decimal(value))) if kind in ("DECIMAL", "INTEGER") else (kind, value)
        for kind, value in zip(tokens.types, tokens.values, strict=True)
    ]


def check_lifting(text: str) -> Parsed | None:
    key, values = fingerprint(text)
    if values is None:
        assert key == text
        return None
    try:
        original = [(kind.replace("DECIMAL", "INTEGER"), value) for kind, value in tokens_of(text)]
    except SqlError:
        return None
    again = [(kind.replace("DECIMAL", "INTEGER"), value) for kind, value in tokens_of(put_back(key, values))]
    assert again == original
    try:
        parsed = parse(text, lift=True)
    except SqlError:
        return None
    if len(parsed) != 1 or parsed[0].lifted is None:
        return None
    [only] = parsed
    assert len(only.lifted or []) == len(values)
    parameters = sorted({node.number for node in parameters_in(only.statement)})
    free = [index + 1 for index in range(len(values)) if index not in only.fixed]
    assert parameters == free
    return only


def parameters_in(node: object) -> list[syntax.Parameter]:
    if isinstance(node, syntax.Parameter):
        return [node] if node.lifted is not None else []
    if isinstance(node, syntax.Node):
        return [found for name in node.__struct_fields__ for found in parameters_in(getattr(node, name))]
    if isinstance(node, list):
        return [found for item in node for found in parameters_in(item)]
    return []


def test_lifting_is_undone_by_putting_the_literals_back() -> None:
    lifted = sum(check_lifting(text) is not None for text in [*statements(), *mutated(3000, seed=11)])
    assert lifted > 300


LITERALS = st.one_of(
    st.integers(0, 2**70).map(str),
    st.decimals(0, 10**9, places=3).map(str),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12).map(
        lambda text: "'" + text.replace("'", "''") + "'"
    ),
)


@given(st.lists(LITERALS, min_size=1, max_size=5))
def test_any_literal_is_lifted(literals: list[str]) -> None:
    only = check_lifting(f"select {', '.join(literals)} from t where x = {literals[0]}")
    assert only is not None
    assert only.fixed == []


@given(st.text(alphabet="'\"$ae1.5-/*;\\&\n uUx_,()+", max_size=25))
def test_no_text_is_cut_wrong(text: str) -> None:
    check_lifting("select " + text)


def test_text_without_literals_keeps_the_tree() -> None:
    [plain] = parse("select a from t where b is null")
    [lifted] = parse("select a from t where b is null", lift=True)
    assert plain.statement == lifted.statement
    assert lifted.lifted == []


@pytest.mark.parametrize(
    ("text", "fixed"),
    [
        ("select a from t where b = 1 order by 1 limit 5", [1]),
        ("select a, count(*) from t where b = 5 group by 1", [1]),
        ("select a + 1 from t group by a + 1", [0, 1]),
        ("select distinct a + 1 from t order by a + 1", [0, 1]),
        ("select date '2020-01-01', interval '1' day, '5'::int, cast(1 as numeric(5, 2))", [0, 1, 4, 5]),
        ("select extract('year' from a), substring(t from 1 for 2)", [0]),
        ("select a from t where b in (1, 2) and c like 'x%'", []),
        ("insert into t values (1, 'a', -5), (2, 'b', 1.5) on conflict (a) do update set b = 'c'", []),
        ("update t set a = a + -5 where b = 'x' returning a + 1", []),
        ("delete from t where a between 1 and 2", []),
        ("set x = 5", [0]),
        ("create table t (a varchar(5) default 'x')", [0, 1]),
        ("copy t to '/x'", [0]),
    ],
)
def test_fixed_literals(text: str, fixed: list[int]) -> None:
    [parsed] = parse(text, lift=True)
    assert parsed.fixed == fixed


def test_lifted_parameters_know_their_kind() -> None:
    [parsed] = parse("select 1, 3000000000, 1.5, 'x'", lift=True)
    statement = parsed.statement
    assert isinstance(statement, syntax.Select)
    kinds = [
        target.expression.lifted for target in statement.targets if isinstance(target.expression, syntax.Parameter)
    ]
    assert kinds == ["i4", "i8", "numeric", "string"] == parsed.lifted


PGBENCH = [
    "SELECT abalance FROM pgbench_accounts WHERE aid = 1234567;",
    "UPDATE pgbench_accounts SET abalance = abalance + -1234 WHERE aid = 123456;",
    "UPDATE pgbench_tellers SET tbalance = tbalance + 1234 WHERE tid = 77;",
    "UPDATE pgbench_branches SET bbalance = bbalance + 1234 WHERE bid = 7;",
]


def test_time_of_a_fingerprint_and_a_parse() -> None:
    def best_us(work: object) -> float:
        assert callable(work)
        return min(timeit.repeat(work, number=500, repeat=9)) / 500 * 1e6

    mean = sum(best_us(lambda text=text: fingerprint(text)) for text in PGBENCH) / len(PGBENCH)
    assert mean < 9, f"{mean:.1f} µs; 2 µs where it was measured"
    point = best_us(lambda: parse(PGBENCH[0]))
    assert point < 150, f"{point:.0f} µs; 20 µs where it was measured"
