"""psql's backslash commands ask the same questions of Boreal and of PostgreSQL and get the same answers.

Method: psql -E prints the queries behind each command. The same schema is made in PostgreSQL and in Boreal, every query that psql
sent is run on Boreal, with PostgreSQL's OIDs of user objects replaced by Boreal's, and the rows are compared, OIDs mapped back.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.frontend.sql.ddl_node import Node, TestSession
from tests.oracle import Oracle, client

SCHEMA = (Path(__file__).parent / "schema.sql").read_text()

COMMANDS = [
    r"\d", r"\dt", r"\di", r"\dv", r"\ds", r"\dn", r"\dn+", r"\d parent", r"\d+ parent", r"\d child", r"\d+ child", r"\d plain",
    r"\d+ plain", r"\d parent_view", r"\d+ parent_view", r"\d counter", r"\d parent_pkey", r"\d plain_expr_idx",
    r"\d extra.thing", r"\dt *.thing", r"\d+ child_created_idx", r"\du worker", r"\dp parent", r"\df lower", r"\df pg_get_con*",
    r"\dT int4", r"\do @>", r"\dC", r"\dd", r"\db", r"\dp", r"\det", r"\dRp", r"\dy", r"\dD", r"\dE", r"\dm", r"\dAc btree int4",
    r"\dc xx", r"\dO default", r"\drds", r"\dL sql", r"\da max", r"\dti+", r"\ddp",
]  # fmt: skip

# Comments on built-in objects are PostgreSQL's prose; a view's text differs in layout and in implicit conversions.
HIDDEN_COLUMNS = (b"Description", b"description", b"pg_get_viewdef")


class Pair:
    """Both databases with the same schema."""

    def __init__(self, oracle: Oracle) -> None:
        self.connection = psycopg.connect(oracle.dsn, autocommit=True)
        self.connection.execute("drop database if exists catalogue")
        self.connection.execute("drop role if exists worker")
        self.connection.execute("create database catalogue")
        self.dsn = oracle.dsn.replace("dbname=postgres", "dbname=catalogue")
        self.connection = psycopg.connect(self.dsn, autocommit=True)
        self.connection.execute(SCHEMA)
        self.session = TestSession(Node())
        self.session.context.database_name = "catalogue"
        for statement in SCHEMA.split(";\n"):
            self.session.execute(statement)
        self.boreal_oid: dict[str, str] = {}
        self.oracle_oid: dict[str, str] = {}
        for query in (
            "select relnamespace::regnamespace || '.' || relname, oid from pg_class where oid >= 16384",
            "select relnamespace::regnamespace || '.type.' || relname, reltype from pg_class where reltype >= 16384",
            "select 'constraint.' || conname, oid from pg_constraint where oid >= 16384",
            "select 'schema.' || nspname, oid from pg_namespace where oid >= 16384 or nspname = 'information_schema'",
            "select 'role.' || rolname, oid from pg_roles where oid >= 16384",
        ):
            theirs = {name: str(oid) for name, oid in self.connection.execute(query).fetchall()}
            for name, oid in self.session.execute(query):
                assert name is not None
                assert oid is not None
                if name in theirs:
                    self.boreal_oid[theirs[name]] = oid
                    self.oracle_oid[oid] = theirs[name]

    def queries(self, command: str) -> list[str]:
        """The queries that psql sends for a command."""
        output = subprocess.run(
            [client("psql"), "-X", "-E", "-c", command, self.dsn],
            capture_output=True,
            text=True,
            check=False,
            env={"LC_ALL": "C", "PGOPTIONS": ""},
            cwd="/",
        ).stdout
        return re.findall(r"\*{9} QUERY \*{10}\n(.*?)\n\*{26}", output, re.DOTALL)

    def translate(self, query: str) -> str:
        """PostgreSQL's OIDs as Boreal's."""
        return re.sub(r"\b\d{5}\b", lambda match: self.boreal_oid.get(match.group(0), match.group(0)), query)

    def expected(self, query: str) -> list[list[str | None]]:
        """PostgreSQL's rows as text."""
        cursor = self.connection.execute(query, binary=False)
        result = cursor.pgresult
        assert result is not None
        rows = []
        shown = [column for column in range(result.nfields) if result.fname(column) not in HIDDEN_COLUMNS]
        for row in range(result.ntuples):
            values = [result.get_value(row, column) for column in shown]
            rows.append([None if value is None else value.decode() for value in values])
        return rows

    def actual(self, query: str) -> list[list[str | None]]:
        """Boreal's rows, its OIDs as PostgreSQL's."""
        rows = self.session.execute(self.translate(query))
        shown = [place for place, name in enumerate(self.session.column_names) if name.encode() not in HIDDEN_COLUMNS]
        return [
            [None if row[place] is None else self.oracle_oid.get(row[place] or "", row[place]) for place in shown]
            for row in rows
        ]


@pytest.fixture(scope="module")
def pair(oracle: Oracle) -> Iterator[Pair]:
    both = Pair(oracle)
    yield both
    both.connection.close()


def _comparable(rows: list[list[str | None]]) -> list[list[str | None]]:
    """Without what is meant to differ: Boreal has the schema sys and no predefined roles, and sizes are its own."""
    found = []
    for row in rows:
        if row[:1] == ["sys"] or any(value is not None and value.startswith("pg_toast") for value in row):
            continue
        values = [None if value is None else value.replace("pg_database_owner", "postgres") for value in row]
        found.append(
            ["size" if value is not None and re.match(r"\d+ (bytes|kB)\Z", value) else value for value in values]
        )
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_psql_command_gives_the_same_rows(pair: Pair, command: str) -> None:
    queries = pair.queries(command)
    assert queries, f"psql sent nothing for {command}"
    for query in queries:
        expected = pair.expected(query)
        actual = pair.actual(query)
        assert _comparable(actual) == _comparable(expected), query
