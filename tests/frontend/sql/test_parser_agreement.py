"""Goal: the parser accepts what PostgreSQL accepts and refuses the rest with the same error at the same place.

Method: every statement of the corpus and thousands of mutations of them go to the oracle as Parse messages, which PostgreSQL
parses but does not run. Where PostgreSQL answers with a syntax error, ours must be the same: SQLSTATE, message, position.
Where it answers anything else, the statement is well-formed (names do not exist, types do not fit …) and we must not call
it a syntax error. Statements that Boreal refuses whole are passed over unread and prove nothing.
"""

from __future__ import annotations

import psycopg
import pytest
from psycopg.pq import DiagnosticField, ExecStatus

from frontend.errors import SqlError
from frontend.sql.parser import parse
from frontend.sql.syntax_commands import UnsupportedStatement
from tests.frontend.sql.corpus import mutated, statements
from tests.oracle import Oracle

Verdict = tuple[str, str, int | None] | None

MUTATIONS = 4000
# disagreements that are left, per thousand mutations: names such as `between` inside of window frames, operators named
# after keywords, positions inside of doubly wrong statements
DISAGREEMENTS_PER_THOUSAND_MAX = 2


@pytest.fixture(scope="module")
def postgres(oracle: Oracle) -> psycopg.Connection:
    return psycopg.connect(oracle.dsn, autocommit=True)


def of_postgres(connection: psycopg.Connection, text: str) -> Verdict:
    result = connection.pgconn.prepare(b"", text.encode())
    if result.status == ExecStatus.COMMAND_OK:
        return None

    def field(which: DiagnosticField) -> str:
        return (result.error_field(which) or b"").decode()

    position = field(DiagnosticField.STATEMENT_POSITION)
    return (
        field(DiagnosticField.SQLSTATE),
        field(DiagnosticField.MESSAGE_PRIMARY),
        int(position) if position else None,
    )


def of_boreal(text: str) -> Verdict | str:
    try:
        parsed = parse(text)
    except SqlError as error:
        return (error.sqlstate, error.message, error.position)
    if parsed and isinstance(parsed[0].statement, UnsupportedStatement):
        return "unread"
    return None


def is_syntax_error(verdict: Verdict) -> bool:
    return verdict is not None and (" at or near " in verdict[1] or verdict[1].endswith("at end of input"))


def agree(ours: Verdict | str, theirs: Verdict) -> bool:
    if ours == "unread" or isinstance(ours, str):
        return True
    if ours is not None and ours[0] == "0A000":
        return True
    if is_syntax_error(theirs):
        return ours == theirs
    # an error that PostgreSQL raises only when the statement runs may come from our parser
    return not is_syntax_error(ours)


def test_corpus_is_read_as_postgresql_reads_it(postgres: psycopg.Connection) -> None:
    wrong = []
    for text in statements():
        ours, theirs = of_boreal(text), of_postgres(postgres, text)
        if not agree(ours, theirs):
            wrong.append((text, ours, theirs))
    assert wrong == []


def test_mutated_statements_fail_where_postgresql_fails(postgres: psycopg.Connection) -> None:
    wrong = []
    for text in mutated(MUTATIONS, seed=20251123):
        ours, theirs = of_boreal(text), of_postgres(postgres, text)
        if not agree(ours, theirs):
            wrong.append((text, ours, theirs))
    assert len(wrong) * 1000 <= DISAGREEMENTS_PER_THOUSAND_MAX * MUTATIONS, wrong


LEXICAL = [
    "select 'abc",
    'select "abc',
    "select /* a",
    "select /* a /* b */",
    "select $$a",
    "select $x$a$$",
    "select e'a\\'",
    "select b'1",
    "select x'1",
    "select u&'1",
    "select 12ab",
    "select 1.5ab",
    "select 1e",
    "select 1e+",
    "select 1.5e+x",
    "select 0x",
    "select 0xg",
    "select 0b2",
    "select 0o8",
    "select 1__0",
    "select 1_",
    "select $1a",
    "select $",
    'select ""',
    "select 1 where \\",
    "select $1+$2, $$a$1$$, $x$b$x$, $3",
    "select a$1 + $1, $$x$$",
    "select + 'abc",
    "select ) 'abc",
    "select x'1''2'",
    "select n'abc",
    'select u&"abc',
    "select 1\x0b",
    "select {",
    "select a ` b",
    "select 'a' 'b'",
    "select 'a' -- c\n 'b'",
    "select 'a' /* c */\n 'b'",
    "select 1..2",
    "select 1.a",
    "select .5.5",
    "select u&'\\zzzz'",
    "select u&'\\d800'",
    "select u&'\\d83d\\de00', U&'!0041' uescape '!', u&\"!0041\" UESCAPE '!'",
    "select u&'a' uescape 'ab'",
    "select u&'a' uescape 1",
    "select e'\\u12'",
    "select e'\\ud800'",
    "select e'\\ud83d\\ude00\\x41\\101\\q\\''",
    "select e'\\xff'",
    'select é, €1, a$1, _a, "É" from ünïcode',
    "select \u00a01",
    "select 1 +-+ 2, a<@-1, a@-1, a*-1, 1 !=-1, 1<>-1, a -- x\n - 1",
    "select 1 /* x */ - /* - */ 1",
    "select a.b . c, a:b",
    "select a := b",
    "select a => b",
    "select 100000000000000000000000000000000000, 0xfffffffffffffffffff",
    ";;",
    "",
    "-- nothing",
    "select 1;",
]


@pytest.mark.parametrize("text", LEXICAL)
def test_lexical_oddities(postgres: psycopg.Connection, text: str) -> None:
    ours, theirs = of_boreal(text), of_postgres(postgres, text)
    assert agree(ours, theirs), (ours, theirs)
