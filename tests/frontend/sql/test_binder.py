"""Goal: the binder resolves names, types and errors as PostgreSQL does.

Method: one schema is created in a real PostgreSQL and read back as a Boreal catalog; every statement is prepared there and
bound here. A statement that PostgreSQL accepts must give the same output columns (name, type, modifier, originating table
column) and parameter types; one that it refuses must be refused with the same SQLSTATE, message and position. What Boreal
does not support is refused with 0A000 and listed in `UNSUPPORTED`; the few other known differences are in `DIFFERENT`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from frontend.errors import SqlError
from frontend.sql.binder import bind
from frontend.sql.logical import BoundStatement
from frontend.sql.parser import parse
from frontend.system import registry
from frontend.types.identifiers import name_resolver, set_name_resolver
from storage.catalog import Catalog
from tests.frontend.sql import binder_statements
from tests.frontend.sql.oracle_catalog import read_catalog
from tests.frontend.sql.plan_checks import check_statement
from tests.oracle import Oracle

CHAPTERS = {
    "names": binder_statements.NAMES,
    "labels": binder_statements.LABELS,
    "types": binder_statements.TYPES,
    "functions": binder_statements.FUNCTIONS,
    "aggregation": binder_statements.AGGREGATION,
    "windows": binder_statements.WINDOWS,
    "sorting": binder_statements.SORTING,
    "with": binder_statements.WITH,
    "parameters": binder_statements.PARAMETERS,
    "modification": binder_statements.MODIFICATION,
    "views": binder_statements.VIEWS,
}
CASES = [
    pytest.param(statement, id=f"{chapter}-{number}")
    for chapter, text in CHAPTERS.items()
    for number, statement in enumerate(text.strip().split("\n"), 1)
]


def _relation_from_name(text: str, context: Any) -> int:
    *qualifier, name = [part.strip('"') for part in text.split(".")]
    for schema in qualifier or ("pg_catalog", "public"):
        virtual = registry.find(schema, name)
        if virtual is not None:
            return virtual.oid
        record = context.catalog.schema(schema)
        relation = None if record is None else context.catalog.relation(record.oid, name)
        if relation is not None:
            return int(relation.oid)
    raise SqlError("42P01", f'relation "{text}" does not exist')


@pytest.fixture(autouse=True, scope="module")
def regclass_names() -> Iterator[None]:
    """The session installs how regclass reads names; these tests run without one."""
    before = name_resolver("regclass")
    set_name_resolver("regclass", lambda oid, context: str(oid), _relation_from_name)
    yield
    if before is not None:
        set_name_resolver("regclass", *before)


class BindingContext:
    """The settings of a fresh session, as far as literals depend on them."""

    database_name = "binder"
    session_user = current_user = "postgres"
    date_style = ("ISO", "MDY")
    interval_style = "postgres"
    time_zone = "UTC"
    extra_float_digits = 1
    bytea_output = "hex"
    transaction_timestamp = statement_timestamp = 0
    search_path = ("pg_catalog", "public")

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog

    def get_setting(self, name: str) -> str | None:
        return None


class Sides:
    """PostgreSQL with the schema, and the same schema as a catalog."""

    def __init__(self, oracle: Oracle) -> None:
        with psycopg.connect(oracle.dsn, autocommit=True) as admin:
            admin.execute("drop database if exists binder")
            admin.execute("create database binder")
        self.connection = psycopg.connect(oracle.dsn.replace("dbname=postgres", "dbname=binder"), autocommit=True)
        self.connection.execute(binder_statements.SCHEMA)
        self.catalog = read_catalog(self.connection)

    def described(self, statement: str) -> Any:
        """PostgreSQL's answer: ("ok", columns, parameters) or ("error", SQLSTATE, message, position)."""
        link = self.connection.pgconn
        result = link.prepare(b"", statement.encode())
        if result.status == psycopg.pq.ExecStatus.FATAL_ERROR:
            field = psycopg.pq.DiagnosticField
            position = result.error_field(field.STATEMENT_POSITION)
            return (
                "error",
                (result.error_field(field.SQLSTATE) or b"").decode(),
                (result.error_field(field.MESSAGE_PRIMARY) or b"").decode(),
                int(position) if position else None,
            )
        described = link.describe_prepared(b"")
        columns = [
            (
                (described.fname(place) or b"").decode(),
                described.ftype(place),
                described.fmod(place),
                described.ftable(place),
                described.ftablecol(place),
            )
            for place in range(described.nfields)
        ]
        return "ok", columns, [described.param_type(place) for place in range(described.nparams)]

    def bound(self, statement: str) -> BoundStatement:
        """Our side; raises SqlError."""
        context: Any = BindingContext(self.catalog)
        tree = parse(statement)[0].statement
        return bind(tree, self.catalog, ("pg_catalog", "public"), (), registry, context)

    def outcome(self, statement: str) -> Any:
        """Our answer in the form of `described`."""
        try:
            result = self.bound(statement)
        except SqlError as error:
            return "error", error.sqlstate, error.message, error.position
        check_statement(result)
        columns = [
            (column.name, column.type, column.typmod, column.table, column.attribute) for column in result.columns
        ]
        return "ok", columns, list(result.parameters)


@pytest.fixture(scope="module")
def sides(oracle: Oracle) -> Iterator[Sides]:
    both = Sides(oracle)
    yield both
    both.connection.close()


# Statements that Boreal refuses with 0A000 (a prefix of the message), by what is missing.
UNSUPPORTED: dict[str, str] = {
    "select b'101', x'1F'": "type bit",
    "select * from t left join u on t.id = u.id for update": "FOR UPDATE cannot be applied to the nullable side",
    "update u set x = 1 where current of c": "WHERE CURRENT OF",
}
# Known differences: statement → why.
DIFFERENT: dict[str, str] = {
    "insert into pg_class values (1)": "system catalogues cannot be written, not even by superusers",
    "insert into u (x) values (1) on conflict (x) do nothing": "found out when binding, not when planning",
    "insert into u (x) values (1) on conflict (z) do nothing": "found out when binding, not when planning",
    "select row($1, 2), ($1, 'x') = (1, $2)": "a parameter in a ROW takes the type that another use gives it",
    "select $70000": "parameters end at what a Bind message can carry",
    "select a from t fetch first 3 rows with ties": "PostgreSQL gives no position here",
}


@pytest.mark.parametrize("statement", CASES)
def test_same_as_postgresql(sides: Sides, statement: str) -> None:
    ours = sides.outcome(statement)
    if statement in DIFFERENT:
        assert ours != sides.described(statement), "no longer different"
        return
    if statement in UNSUPPORTED:
        assert ours[:2] == ("error", "0A000")
        assert ours[2].startswith(UNSUPPORTED[statement])
        return
    assert ours == sides.described(statement)


# The most negative integers are one token too many for a lifted literal: -(2147483648) is a bigint then.
LIFTED_DIFFERENTLY = frozenset(
    statement
    for statement in binder_statements.TYPES.split("\n")
    if "-2147483648" in statement or "-9223372036854775808" in statement
)


@pytest.mark.parametrize("statement", CASES)
def test_lifted_literals_change_nothing(sides: Sides, statement: str) -> None:
    """With its literals lifted to parameters a statement has the same columns, or it is refused and bound unlifted."""
    if statement in LIFTED_DIFFERENTLY:
        return
    try:
        expected = sides.bound(statement)
        parsed = parse(statement, lift=True)[0]
    except SqlError:
        return
    if parsed.lifted is None:
        return
    context: Any = BindingContext(sides.catalog)
    try:
        lifted = bind(parsed.statement, sides.catalog, ("public",), (), registry, context, lifted=True)
    except SqlError:
        return
    check_statement(lifted)
    shown = [(column.name, column.type) for column in lifted.columns]
    assert shown == [(column.name, column.type) for column in expected.columns]
    assert len(lifted.parameters) <= len(parsed.lifted)
