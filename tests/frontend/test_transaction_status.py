"""sys.transaction_status: what a client is told whose connection ended in the middle of a COMMIT.

Goal: the id is known beforehand (txid_current) or from 40003; the answer is the truth, and stays it. Method: a running node; its
journal's own tests (tests/journal/test_resolution.py) prove the answers among several members.
"""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg import errors

from tests.server import Server


def value(connection: psycopg.Connection[Any], sql: str, *parameters: object) -> Any:
    row = connection.execute(sql, parameters).fetchone()
    assert row is not None
    return row[0]


@pytest.fixture(autouse=True)
def table(boreal: Server) -> None:
    with boreal.connect() as connection:
        connection.execute("create table if not exists status_of (a bigint)")


def test_committed_in_progress_and_aborted(boreal: Server) -> None:
    with boreal.connect() as writer, boreal.connect() as asker:
        writer.execute("begin")
        txid = value(writer, "select txid_current()")
        assert value(writer, "select sys.transaction_status(%s)", txid) == "in progress"
        writer.execute("insert into status_of values (%s)", (txid,))
        assert value(asker, "select sys.transaction_status(%s)", txid) == "in progress"
        writer.execute("commit")
        assert value(asker, "select sys.transaction_status(%s)", txid) == "committed"
        assert value(asker, "select txid_status(%s)", txid) == "committed"
        assert value(asker, "select pg_xact_status(%s::text::xid8)", txid) == "committed"
        writer.execute("begin")
        lost = value(writer, "select txid_current()")
        writer.execute("insert into status_of values (%s)", (lost,))
        writer.execute("rollback")
        assert value(asker, "select sys.transaction_status(%s)", lost) == "aborted"
        assert value(asker, "select pg_xact_status(%s::text::xid8)", lost) == "aborted"


def test_what_nobody_can_know(boreal: Server) -> None:
    with boreal.connect() as connection:
        assert value(connection, "select sys.transaction_status(0)") == "unknown"
        assert value(connection, "select txid_status(0)") is None
        assert value(connection, "select sys.transaction_status(null)") is None
        far = value(connection, "select txid_current() + 3600::int8 * 1000000 * 1024")
        assert value(connection, "select sys.transaction_status(%s)", far) == "unknown"


def test_several_at_once_and_in_expressions(boreal: Server) -> None:
    with boreal.connect() as connection:
        ids = [value(connection, "select txid_current()") for _ in range(3)]
        rows = connection.execute(
            "select sys.transaction_status(each) || '!' from unnest(%s::int8[]) each", (ids,)
        ).fetchall()
        assert rows == [("aborted!",)] * 3


def test_it_has_a_place_in_the_catalogue(boreal: Server) -> None:
    with boreal.connect() as connection:
        row = connection.execute(
            "select n.nspname, p.proname, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid) "
            "from pg_proc p join pg_namespace n on n.oid = pronamespace where n.nspname = 'sys'"
        ).fetchone()
        assert row == ("sys", "transaction_status", "txid bigint", "text")
        for sql in (
            "select transaction_status(1)",
            "select sys.transaction_status('x'::text)",
            "select sys.nothing(1)",
        ):
            with pytest.raises(errors.UndefinedFunction):
                connection.execute(sql)


def test_an_id_is_assigned_by_whoever_asks_or_writes(boreal: Server) -> None:
    with boreal.connect() as connection:
        connection.execute("begin")
        assert value(connection, "select txid_current_if_assigned()") is None
        txid = value(connection, "select txid_current()")
        assert value(connection, "select txid_current_if_assigned()") == txid
        connection.execute("rollback")
        connection.execute("begin")
        connection.execute("insert into status_of values (1)")
        assert value(connection, "select pg_current_xact_id_if_assigned()") is not None
        connection.execute("rollback")


def test_a_statement_that_waits_can_be_cancelled(boreal: Server) -> None:
    with boreal.connect() as connection:
        connection.execute("set statement_timeout = 100")
        with pytest.raises(errors.QueryCanceled):
            connection.execute("select pg_sleep(60)")
        assert value(connection, "select pg_sleep(0.001)") == ""
