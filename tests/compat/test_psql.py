"""psql says the same about the same schema.

Goal: the \\d family, \\copy, \\gdesc, \\bind, FETCH_COUNT, ON_ERROR_ROLLBACK and -1 of psql 16 work as on PostgreSQL. Method: the same
psql, the same input, both servers; the output must be equal, sizes aside (Boreal's tables have none on disk yet).
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.oracle import Oracle, client
from tests.server import Server

SCHEMA = """
CREATE SCHEMA psql;
SET search_path = psql;
CREATE TABLE customer (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name varchar(40) NOT NULL,
    email text UNIQUE,
    balance numeric(12,2) NOT NULL DEFAULT 0.00 CHECK (balance >= 0),
    active boolean DEFAULT true,
    tags text[] DEFAULT '{}',
    born date,
    created timestamptz NOT NULL DEFAULT now(),
    doubled numeric GENERATED ALWAYS AS (balance * 2) STORED,
    CONSTRAINT name_not_empty CHECK (length(name) > 0)
);
CREATE TABLE purchase (
    id serial PRIMARY KEY,
    customer bigint NOT NULL REFERENCES customer ON DELETE CASCADE ON UPDATE RESTRICT,
    other bigint CONSTRAINT other_customer REFERENCES customer (id) DEFERRABLE INITIALLY DEFERRED,
    placed timestamp(3) DEFAULT '2020-01-01 00:00:00',
    total double precision,
    note char(10) DEFAULT 'none',
    UNIQUE (customer, placed)
);
CREATE INDEX purchase_placed ON purchase (placed DESC NULLS LAST, total);
CREATE INDEX purchase_lower ON purchase (lower(note)) WHERE total > 10;
CREATE UNIQUE INDEX purchase_including ON purchase (customer, id) INCLUDE (total);
CREATE TABLE "Odd Name" ("Some Column" int, plain text);
CREATE TABLE empty ();
CREATE VIEW recent AS SELECT id, total FROM purchase;
CREATE VIEW busy AS SELECT customer, count(*) AS purchases FROM purchase GROUP BY customer;
CREATE SEQUENCE counter START 5 INCREMENT 5 MAXVALUE 1000 CYCLE;
CREATE SEQUENCE small AS smallint;
COMMENT ON TABLE customer IS 'who buys';
COMMENT ON COLUMN customer.name IS 'full name';
COMMENT ON VIEW recent IS 'a view';
COMMENT ON SEQUENCE counter IS 'counts';
COMMENT ON INDEX purchase_placed IS 'an index';
COMMENT ON CONSTRAINT name_not_empty ON customer IS 'a check';
CREATE ROLE psql_reader;
CREATE ROLE psql_writer LOGIN CREATEDB VALID UNTIL '2100-01-01 00:00:00+00';
GRANT psql_reader TO psql_writer;
GRANT SELECT ON customer TO psql_reader;
GRANT SELECT, INSERT, UPDATE ON purchase TO psql_writer WITH GRANT OPTION;
GRANT USAGE ON SEQUENCE counter TO psql_reader;
GRANT USAGE ON SCHEMA psql TO psql_reader;
INSERT INTO customer (name) VALUES ('Ada'), ('Bob');
INSERT INTO purchase (customer, total) SELECT 1, i FROM generate_series(1, 0) i;
"""

REMOVAL = """
DROP SCHEMA IF EXISTS psql CASCADE;
DROP ROLE IF EXISTS psql_reader;
DROP ROLE IF EXISTS psql_writer;
"""


@pytest.fixture(scope="module")
def servers(boreal: Server, oracle: Oracle) -> Iterator[tuple[str, str]]:
    """(Boreal's DSN, PostgreSQL's DSN), both with the schema."""
    for dsn in (boreal.dsn, oracle.dsn):
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(REMOVAL)
            connection.execute(SCHEMA)
    yield boreal.dsn, oracle.dsn
    for dsn in (boreal.dsn, oracle.dsn):
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(REMOVAL)


def psql(dsn: str, text: str, *options: str) -> str:
    """What psql prints for this input, errors included."""
    environment = {**os.environ, "PGOPTIONS": "-c search_path=psql", "PGTZ": "UTC", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [client("psql"), "-X", "-d", dsn, *options],
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
        env=environment,
    )
    return done.stdout


def plain(output: str) -> str:
    """Without what may differ: sizes and the widths of the columns that hold them."""
    output = re.sub(r"\b\d+ (bytes|kB|MB) *", "SIZE ", output)
    lines = [re.sub(r"-{2,}", "--", re.sub(r" {2,}", " ", line)).rstrip() for line in output.split("\n")]
    return "\n".join(lines)


DESCRIPTIONS = [
    r"\d", r"\d+", r"\d customer", r"\d+ customer", r"\d purchase", r"\d+ purchase", r'\d "Odd Name"', r"\d empty",
    r"\dt", r"\dt+", r"\dt psql.*", r"\dt cust*", r"\dt nothing", r"\d nothing", r"\di", r"\di+", r"\dv", r"\dv+", r"\ds", r"\ds+",
    r"\dn psql", r"\dn+ psql", r"\du psql*", r"\du+ psql*", r"\dg psql*", r"\dp", r"\z customer", r"\l postgres",
    r"\d recent", r"\d+ busy", r"\d counter", r"\d+ small", r"\d customer_id_seq", r"\d purchase_id_seq", r"\d customer_pkey",
    r"\d purchase_placed", r"\d+ purchase_lower", r"\d+ purchase_including", r"\df", r"\df lower",
    r"\dT", r"\dC", r"\dd", r"\dD", r"\db", r"\dc", r"\dE", r"\dm", r"\dO C", r"\des", r"\dew",
    r"\det", r"\deu", r"\dy", r"\dRp", r"\dRs", r"\dX", r"\drds", r"\ddp", r"\dA", r"\dAc btree int4", r"\sv recent",
    r"\dP", r"\drg psql*",
]  # fmt: skip


# \\dn shows sys, and public's owner is postgres; \\df+, \\da, \\do, \\dT lack PostgreSQL's texts about its own objects; \\dx, \\dL and
# \\dFp show plpgsql and the text search parser there; \\dconfig shows the limits of the node.


@pytest.mark.parametrize("command", DESCRIPTIONS)
def test_description(servers: tuple[str, str], command: str) -> None:
    ours, theirs = (plain(psql(dsn, command + "\n")) for dsn in servers)
    assert ours == theirs


SCRIPTS = {
    "gdesc": "SELECT 1 AS a, 'x' AS b, now() AS c, NULL::numeric(5,2) AS d \\gdesc\nSELECT * FROM customer \\gdesc\nUPDATE customer SET name = name \\gdesc\n",
    "bind": "SELECT $1::int + $2::int AS sum \\bind 1 2 \\g\nSELECT name FROM customer WHERE id = $1 \\bind 2 \\g\nSELECT $1::int \\bind x \\g\nSELECT 1 \\g\n",
    "fetch_count": "\\set FETCH_COUNT 7\nSELECT i, i * i FROM generate_series(1, 20) i;\nSELECT * FROM customer WHERE false;\nSELECT 1/0;\nSELECT 5;\n",
    "on_error_rollback": "\\set ON_ERROR_ROLLBACK on\nBEGIN;\nSELECT 1;\nSELECT 1/0;\nSELECT * FROM nothing;\nSELECT 2;\nCOMMIT;\n",
    "on_error_stop": "\\set ON_ERROR_STOP on\nSELECT 1;\nSELECT 1/0;\nSELECT 2;\n",
    "transactions": "BEGIN;\nSELECT 1/0;\nSELECT 1;\nCOMMIT;\nCOMMIT;\nBEGIN;\nBEGIN;\nROLLBACK;\n\\set AUTOCOMMIT off\nSELECT 1;\nROLLBACK;\n",
    "several": "SELECT 1\\; SELECT 2\\; SELECT 3;\nSELECT 1\\; SELECT 1/0\\; SELECT 2;\n\\set SHOW_ALL_RESULTS off\nSELECT 1\\; SELECT 2;\n",
    "positions": "SELECT nothing FROM customer;\nSELECT 'x'::int;\nSELECT 1 +;\nSELECT\n  1,\n  lower(5, 6);\n\\set VERBOSITY verbose\n",
    "gset": "SELECT 5 AS five, 'x y' AS text \\gset\n\\echo :five :'text'\nSELECT :five + 1;\nSELECT 'SELECT ' || i FROM generate_series(1, 2) i \\gexec\n",
    "crosstab": "SELECT i, j, i * j FROM generate_series(1, 2) i, generate_series(1, 3) j \\crosstabview\n",
    "formats": "\\x\nSELECT * FROM customer WHERE id = 0;\nSELECT 1 AS a, NULL AS b;\n\\x\n\\a\n\\pset null NULL\nSELECT 1 AS a, NULL AS b;\n\\pset format csv\nSELECT 1 AS a, 'x,y' AS b;\n",
    "dependents": "DROP TABLE customer;\nDROP SCHEMA psql;\n",
    "errors": "\\set VERBOSITY verbose\nINSERT INTO customer (name, balance) VALUES ('x', -1);\n\\errverbose\n",
    "copy": "CREATE TABLE copied (a int, b text);\n\\copy copied FROM STDIN\n1\tone\n2\t\\N\n\\.\n\\copy copied TO STDOUT\n\\copy copied (b) TO STDOUT WITH (FORMAT csv, HEADER)\nCOPY copied FROM STDIN WITH (FORMAT csv);\n3,\"x,y\"\n\\.\nSELECT * FROM copied ORDER BY a;\n\\copy copied FROM STDIN\nx\ty\n\\.\n\\copy (SELECT count(*) FROM copied) TO STDOUT\nDROP TABLE copied;\n",
    "variables": "\\echo :SERVER_VERSION_NUM\nSELECT :'ENCODING';\n\\encoding\n\\set ECHO errors\n\\timing off\n\\prompt\n",
    "cursor": "BEGIN;\nDECLARE c CURSOR FOR SELECT i FROM generate_series(1, 5) i;\nFETCH 2 FROM c;\nMOVE 1 FROM c;\nFETCH ALL FROM c;\nCLOSE c;\nCOMMIT;\n",
    "status": "INSERT INTO customer (name) VALUES ('temp') RETURNING name;\nDELETE FROM customer WHERE name = 'temp';\n\\echo :ROW_COUNT :SQLSTATE :ERROR\nSELECT 1/0;\n\\echo :ROW_COUNT :SQLSTATE :ERROR :LAST_ERROR_MESSAGE\n",
}  # fmt: skip


@pytest.mark.parametrize("name", SCRIPTS)
def test_script(servers: tuple[str, str], name: str) -> None:
    ours, theirs = (psql(dsn, SCRIPTS[name]) for dsn in servers)
    if name == "errors":  # the line of PostgreSQL's source, and its row's time, are its own
        ours, theirs = (re.sub(r"LOCATION: .*\n|Failing row contains .*", "", text) for text in (ours, theirs))
    if name == "variables":
        ours, theirs = (re.sub(r"^16\d+", "16", text) for text in (ours, theirs))
    assert ours == theirs


def test_single_transaction(servers: tuple[str, str], tmp_path: Path) -> None:
    """psql -1 -f: all or nothing."""
    good, bad = tmp_path / "good.sql", tmp_path / "bad.sql"
    good.write_text("CREATE TABLE kept (a int);\nINSERT INTO kept VALUES (1);\n")
    bad.write_text("CREATE TABLE lost (a int);\nINSERT INTO kept VALUES (2);\nSELECT 1/0;\nSELECT 3;\n")
    outputs = []
    for dsn in servers:
        output = psql(dsn, "", "-1", "-f", str(good)) + psql(dsn, "", "-1", "-f", str(bad))
        output += psql(dsn, "SELECT * FROM kept;\nSELECT * FROM lost;\nDROP TABLE kept;\n")
        outputs.append(output)
    assert outputs[0] == outputs[1]


def test_copy_files(servers: tuple[str, str], tmp_path: Path) -> None:
    """\\copy through files, both ways."""
    outputs = []
    for number, dsn in enumerate(servers):
        path = tmp_path / f"rows{number}"
        output = psql(
            dsn,
            "CREATE TABLE many (a int PRIMARY KEY, b text);\n"
            "INSERT INTO many SELECT i, 'row ' || i FROM generate_series(1, 3000) i;\n"
            f"\\copy many TO '{path}'\nTRUNCATE many;\n\\copy many FROM '{path}'\n"
            f"\\copy many FROM '{path}'\n"
            "SELECT count(*), sum(a), max(b) FROM many;\nDROP TABLE many;\n",
        )
        outputs.append((output, path.read_bytes()))
    assert outputs[0] == outputs[1]
