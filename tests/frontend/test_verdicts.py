"""What clients are told of transactions that did not commit.

Method: each outcome's SQLSTATE as the journal declares it; DETAIL of conflicts at every kind of key, provoked on a running node.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest
from psycopg import errors

from frontend.context import Context
from frontend.verdicts import verdict_error
from journal.event import SQLSTATE_OF_OUTCOME, Outcome, Verdict
from storage.catalog import bootstrap_catalog
from storage.mvcc import VersionedStore
from tests.frontend.fake_context import FakeContext
from tests.server import Server

SCHEMA = "verdicts"


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome != Outcome.COMMITTED])
def test_every_outcome_has_its_state(outcome: Outcome) -> None:
    verdict = Verdict(outcome, winner=7, relation=99, reason="because")
    error = verdict_error(verdict, bootstrap_catalog(), cast(VersionedStore, None), 1, cast(Context, FakeContext()), 17)
    assert error.sqlstate == SQLSTATE_OF_OUTCOME[outcome]
    assert error.message


def test_an_unknown_outcome_names_the_transaction() -> None:
    """It is all that a client needs to ask what became of it."""
    verdict = Verdict(Outcome.UNKNOWN, reason="the leader was lost")
    error = verdict_error(verdict, bootstrap_catalog(), cast(VersionedStore, None), 1, cast(Context, FakeContext()), 17)
    assert (error.sqlstate, error.detail) == ("40003", "Transaction 17: the leader was lost.")
    assert error.hint == "Before trying again, ask any node: SELECT sys.transaction_status(17)."


TABLES = """
create table pk (a int primary key, b int);
create table composite (a int, b text, c date, v int, primary key (a, b, c));
create table uniq (a int primary key, u text unique);
create table bare (a int, v int);
create table "Odd ""name" ("Key" numeric(5,2) primary key, v int);
insert into pk values (1, 0), (2, 0);
insert into composite values (1, 'x y', '2024-02-29', 0);
insert into uniq values (1, 'one'), (2, 'two');
insert into bare values (1, 0);
insert into "Odd ""name" values (1.50, 0);
"""
CONFLICTS = {
    "row": ("update pk set b = 1 where a = 1", "update pk set b = 2 where a = 1", 'table "pk", key (a)=(1).'),
    "deleted": ("update pk set b = 1 where a = 1", "delete from pk where a = 1", 'table "pk", key (a)=(1).'),
    "inserted": ("insert into pk values (9, 1)", "insert into pk values (9, 2)", 'table "pk", key (a)=(9).'),
    "composite": (
        "update composite set v = 1",
        "update composite set v = 2",
        'table "composite", key (a, b, c)=(1, x y, 2024-02-29).',
    ),
    "unique": ("insert into uniq values (3, 'n')", "insert into uniq values (4, 'n')", 'table "uniq", key (u)=(n).'),
    "no_key": ("update bare set v = 1", "update bare set v = 2", 'a row of table "bare".'),
    "odd": ('update "Odd ""name" set v = 1', 'update "Odd ""name" set v = 2', '"Odd "name", key (Key)=(1.50).'),
    "locked": (
        "select * from pk where a = 1 for update; update pk set b = 1 where a = 2",
        "update pk set b = 2 where a = 1",
        'table "pk", key (a)=(1).',
    ),
}


@pytest.fixture
def node(boreal: Server) -> Iterator[Server]:
    with boreal.connect() as connection:
        connection.execute(f"drop schema if exists {SCHEMA} cascade")
        connection.execute(f"create schema {SCHEMA}")
        connection.execute(f"set search_path = {SCHEMA}")
        connection.execute(TABLES)
        yield boreal
        connection.execute(f"drop schema {SCHEMA} cascade")


@pytest.mark.parametrize("name", CONFLICTS)
def test_detail_names_the_key_and_the_winner(node: Server, name: str) -> None:
    loser_sql, winner_sql, expected = CONFLICTS[name]
    with node.connect() as loser, node.connect() as winner:
        for connection in (loser, winner):
            connection.execute(f"set search_path = {SCHEMA}")
        loser.execute("begin")
        loser.execute(loser_sql)
        winner.execute("begin")
        winner.execute(winner_sql)
        row = winner.execute("select txid_current()").fetchone()
        assert row is not None
        winner.execute("commit")
        with pytest.raises(errors.SerializationFailure) as raised:
            loser.execute("commit")
        detail = raised.value.diag.message_detail or ""
        assert detail.startswith(f"Transaction {row[0]} committed a change to ")
        assert detail.endswith(expected)
        assert raised.value.diag.schema_name == SCHEMA
        assert raised.value.diag.table_name == expected.split('"')[1] or name == "odd"
