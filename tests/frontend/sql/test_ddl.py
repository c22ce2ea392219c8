"""DDL statements end in PostgreSQL as they end in Boreal: same command tag, or same SQLSTATE, message, detail and hint.

Method: the statements of ddl_statements.sql are run one after the other, each in a transaction of its own, on both; what one of
them leaves behind is what the next one meets. Notices are compared too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from frontend.errors import SqlError
from tests.frontend.sql.ddl_node import Node, TestSession
from tests.oracle import Oracle

STATEMENTS = (Path(__file__).parent / "ddl_statements.sql").read_text().strip().split(";\n")

# Where Boreal says something else on purpose, or cannot do what PostgreSQL does.
EXCEPTIONS = {"create table big (x timestamp(9))": "the warning about the precision is the binder's to give"}

Outcome = tuple[str | None, ...]


def run_on_oracle(connection: psycopg.Connection[tuple[object, ...]], sql: str) -> tuple[Outcome, list[str]]:
    """(tag) or (SQLSTATE, message, detail, hint), and the notices."""
    notices: list[str] = []

    def note(diagnostic: psycopg.errors.Diagnostic) -> None:
        notices.append(diagnostic.message_primary or "")

    connection.add_notice_handler(note)
    try:
        cursor = connection.execute(sql)
        return (cursor.statusmessage,), notices
    except psycopg.Error as error:
        diagnostic = error.diag
        return (
            diagnostic.sqlstate,
            diagnostic.message_primary,
            diagnostic.message_detail,
            diagnostic.message_hint,
        ), notices
    finally:
        connection.remove_notice_handler(note)


def run_on_boreal(session: TestSession, sql: str) -> tuple[Outcome, list[str]]:
    """The same."""
    session.context.notices.clear()
    session.last_tag = ""
    try:
        session.execute(sql)
        return (session.last_tag,), [message for _, message in session.context.notices]
    except SqlError as error:
        return (error.sqlstate, error.message, error.detail, error.hint), [
            message for _, message in session.context.notices
        ]


@pytest.fixture(scope="module")
def outcomes(oracle: Oracle) -> Iterator[dict[int, tuple[object, object]]]:
    """Both outcomes of every statement, in order."""
    with psycopg.connect(oracle.dsn, autocommit=True) as admin:
        admin.execute("drop database if exists ddl")
        admin.execute("create database ddl")
    connection = psycopg.connect(oracle.dsn.replace("dbname=postgres", "dbname=ddl"), autocommit=True)
    session = TestSession(Node())
    found: dict[int, tuple[object, object]] = {}
    for place, sql in enumerate(STATEMENTS):
        found[place] = (run_on_boreal(session, sql), run_on_oracle(connection, sql))
    yield found
    connection.close()


@pytest.mark.parametrize("place", range(len(STATEMENTS)), ids=lambda place: STATEMENTS[place][:60])
def test_same_outcome(outcomes: dict[int, tuple[object, object]], place: int) -> None:
    sql = STATEMENTS[place]
    if sql in EXCEPTIONS:
        pytest.skip(EXCEPTIONS[sql])
    actual, expected = outcomes[place]
    if re.match(r"(insert|delete|update|select)\b", sql) and isinstance(expected, tuple) and len(expected[0]) == 1:
        return  # the harness gives no tags of data modification
    assert actual == expected
