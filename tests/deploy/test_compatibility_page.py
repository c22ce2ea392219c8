"""docs/compatibility.md against a node: what it says is not supported is refused with 0A000, what it says is accepted is.

Method: for each item of the page's lists, statements that ask for it. The page's items and the table's must be the same, so that
neither can change alone.
"""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

from tests.server import Server

PAGE = (Path(__file__).parent.parent.parent / "docs" / "compatibility.md").read_text("utf-8")

REFUSED: dict[str, list[str]] = {
    "MERGE": ["MERGE INTO page_t USING page_t s ON page_t.a = s.a WHEN MATCHED THEN DELETE"],
    "`WHERE CURRENT OF`": [
        "BEGIN; DECLARE c CURSOR FOR SELECT * FROM page_t; DELETE FROM page_t WHERE CURRENT OF c",
    ],
    "`TABLESAMPLE`": ["SELECT * FROM page_t TABLESAMPLE SYSTEM (10)"],
    "`SELECT … INTO`": ["SELECT a INTO page_into FROM page_t"],
    "`CREATE TABLE AS EXECUTE`": ["PREPARE page_p AS SELECT 1; CREATE TABLE page_as AS EXECUTE page_p"],
    "SEARCH and CYCLE clauses": [
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 3) "
        "SEARCH DEPTH FIRST BY n SET o SELECT * FROM r",
    ],
    "`WITH CHECK OPTION`": ["CREATE VIEW page_v AS SELECT * FROM page_t WHERE a > 1 WITH CHECK OPTION"],
    "INSERT into a part of a column": ["INSERT INTO page_t (a, b[1]) VALUES (1, 'x')"],
    "literals of row types": ["SELECT '(1,x)'::page_t"],
    "jsonpath": ["SELECT '$.a'::jsonpath"],
    "triggers": ["CREATE TRIGGER x BEFORE INSERT ON page_t FOR EACH ROW EXECUTE FUNCTION f()"],
    "PL/pgSQL and user-defined functions": [
        "DO $$ BEGIN END $$",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE PROCEDURE p() LANGUAGE sql AS 'SELECT 1'",
    ],
    "LISTEN/NOTIFY": ["LISTEN x", "NOTIFY x"],
    "materialized views": ["CREATE MATERIALIZED VIEW m AS SELECT 1"],
    "partitioning": ["CREATE TABLE p (a int) PARTITION BY RANGE (a)"],
    "inheritance": ["CREATE TABLE i () INHERITS (page_t)"],
    "temporary and unlogged tables": ["CREATE TEMP TABLE x (a int)", "CREATE UNLOGGED TABLE x (a int)"],
    "user-defined types and domains": ["CREATE TYPE e AS ENUM ('a')", "CREATE DOMAIN d AS int"],
    "extensions": ["CREATE EXTENSION hstore"],
    "row security": [
        "CREATE POLICY p ON page_t",
        "ALTER TABLE page_t ENABLE ROW LEVEL SECURITY",
    ],
    "large objects": ["SELECT lo_create(0)"],
    "two-phase commit": ["BEGIN; PREPARE TRANSACTION 'x'"],
    "full-text search": ["SELECT to_tsvector('a b')"],
    "geometric, network, range, xml, bit and money types": [
        "CREATE TABLE x (a point)",
        "CREATE TABLE x (a inet)",
        "CREATE TABLE x (a int4range)",
        "CREATE TABLE x (a xml)",
        "CREATE TABLE x (a bit(3))",
        "CREATE TABLE x (a money)",
    ],
    "advisory locks": ["SELECT pg_advisory_lock(1)"],
    "server-side COPY files": ["COPY page_t TO '/tmp/x'", "COPY page_t FROM PROGRAM 'true'"],
    "`COPY FROM … WHERE`": ["COPY page_t FROM STDIN WHERE a > 1"],
    "logical replication": ["CREATE PUBLICATION p", "CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p"],
}

ACCEPTED = [
    "CREATE INDEX CONCURRENTLY page_index ON page_t (b)",
    "BEGIN; LOCK TABLE page_t IN ACCESS SHARE MODE; LOCK TABLE page_t IN ROW SHARE MODE; COMMIT",
    "VACUUM page_t",
    "ANALYZE page_t",
    "SELECT * FROM page_t FOR UPDATE NOWAIT",
    "SELECT * FROM page_t FOR UPDATE SKIP LOCKED",
    "SELECT * FROM page_t FOR NO KEY UPDATE",
    "SELECT * FROM page_t FOR KEY SHARE",
    "BEGIN ISOLATION LEVEL READ UNCOMMITTED; COMMIT",
    "BEGIN ISOLATION LEVEL SERIALIZABLE; COMMIT",
]


@pytest.fixture(scope="module")
def table(boreal: Server) -> Server:
    with boreal.connect() as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS page_t (a int PRIMARY KEY, b text)")
    return boreal


def test_the_page_lists_what_is_tested() -> None:
    section = " ".join(PAGE.split("## Not supported yet")[1].split())
    for item in REFUSED:
        assert item in section
    words = re.sub("|".join(map(re.escape, sorted(REFUSED, key=len, reverse=True))), "", section)
    assert words.replace(",", "").replace(".", "").split() == ["Each", "is", "refused", "by", "name"]


@pytest.mark.parametrize(("item", "statement"), [(item, each) for item, them in REFUSED.items() for each in them])
def test_refused_by_name(table: Server, item: str, statement: str) -> None:
    with table.connect() as connection, pytest.raises(psycopg.errors.FeatureNotSupported) as caught:
        connection.execute(statement)  # type: ignore[call-overload]
    assert "is not supported" in str(caught.value)


@pytest.mark.parametrize("statement", ACCEPTED)
def test_accepted(table: Server, statement: str) -> None:
    with table.connect() as connection:
        connection.execute(statement)  # type: ignore[call-overload]


def test_stronger_table_locks_are_refused(table: Server) -> None:
    with table.connect() as connection, pytest.raises(psycopg.errors.FeatureNotSupported):
        connection.execute("BEGIN; LOCK TABLE page_t IN EXCLUSIVE MODE")


def test_copy_freeze_is_accepted(table: Server) -> None:
    with table.connect(autocommit=False) as connection:
        connection.execute("CREATE TABLE page_frozen (a int)")
        with connection.cursor().copy("COPY page_frozen FROM STDIN (FREEZE)") as copy:
            copy.write(b"1\n")
        connection.rollback()


def test_facts_of_the_server(table: Server) -> None:
    with table.connect() as connection:
        for name, value in (
            ("server_encoding", "UTF8"),
            ("TimeZone", "UTC"),
            ("default_transaction_isolation", "read committed"),
        ):
            assert connection.execute("SELECT current_setting(%s)", (name,)).fetchone() == (value,)
        assert connection.execute("SELECT datcollate FROM pg_database").fetchall() == [("C",)]
