"""One script, two servers: what each says to every statement, and where they differ.

A script is SQL text. A line that ends with a semicolon ends a query, and a query may hold several statements (it is then one
implicit transaction, as the simple protocol has it). Comments steer:

    -- unordered            the rows may come in any order
    -- connection two       this and all further queries go to a connection of that name ("one" at the start)
    -- diverges: reason     Boreal is meant to differ here, and docs/compatibility.md says so; the test fails if it does not
    -- diverges extended: reason    the same in the extended protocol only
    COPY … FROM STDIN; is followed by its data, which a line of \\. ends

An `Answer` is everything of a reply that a program can see: notices, column names and types, rows in text or binary, command
tags, errors with all their fields, and the state of the transaction afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import pq
from psycopg.pq import DiagnosticField as Field
from psycopg.pq import ExecStatus

ERROR_FIELDS = {
    "severity": Field.SEVERITY_NONLOCALIZED,
    "sqlstate": Field.SQLSTATE,
    "message": Field.MESSAGE_PRIMARY,
    "detail": Field.MESSAGE_DETAIL,
    "hint": Field.MESSAGE_HINT,
    "position": Field.STATEMENT_POSITION,
    "schema": Field.SCHEMA_NAME,
    "table": Field.TABLE_NAME,
    "column": Field.COLUMN_NAME,
    "type": Field.DATATYPE_NAME,
    "constraint": Field.CONSTRAINT_NAME,
    "context": Field.CONTEXT,
}


PLACED = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "VALUES", "TABLE", "(")
"""Statements whose errors are compared with their position. In utility statements PostgreSQL itself gives some and some not."""


FIRST_USER_OID = 16384


@dataclass
class Query:
    """One Query message of a script."""

    sql: str
    line: int
    connection: str
    copy_data: bytes = b""
    unordered: bool = False
    divergence: str = ""
    divergence_extended: str = ""

    def diverges(self, mode: str) -> bool:
        """Whether the servers are meant to differ."""
        return bool(self.divergence or (mode != "simple" and self.divergence_extended))


@dataclass
class Result:
    """One statement's outcome."""

    tag: str = ""
    columns: list[tuple[str, int, int, int]] = field(default_factory=list)
    rows: list[tuple[bytes | None, ...]] = field(default_factory=list)
    copied: bytes = b""
    error: dict[str, str] = field(default_factory=dict)


@dataclass
class Answer:
    """The whole reply to a Query message."""

    results: list[Result]
    notices: list[dict[str, str]]
    transaction: str

    def comparable(self, unordered: bool) -> list[object]:
        """Nested lists that are equal exactly where the answers are."""
        shown: list[object] = []
        for result in self.results:
            rows: Sequence[object] = sorted(result.rows, key=repr) if unordered else result.rows
            shown.append((result.error or result.tag, result.columns, rows, result.copied))
        return [shown, self.notices, self.transaction]

    def describe(self) -> str:
        """For the eye, in failures."""
        lines = [f"notice: {notice}" for notice in self.notices]
        for result in self.results:
            if result.error:
                lines.append(f"error: {result.error}")
                continue
            lines.append(result.tag)
            if result.columns:
                lines.append("  " + " | ".join(f"{name}:{oid}:{typmod}" for name, oid, typmod, _ in result.columns))
            lines += ["  " + " | ".join(_shown(value) for value in row) for row in result.rows[:40]]
            if result.copied:
                lines.append(f"  copied: {result.copied!r}")
        lines.append(f"({self.transaction})")
        return "\n".join(lines)


def _shown(value: bytes | None) -> str:
    return "NULL" if value is None else value.decode("utf-8", "backslashreplace")


def parse_script(text: str) -> list[Query]:
    """Queries of a script in order."""
    queries: list[Query] = []
    connection, unordered, divergence, extended = "one", False, "", ""
    pending: list[str] = []
    lines = text.split("\n")
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        stripped = line.strip()
        if not pending and stripped.startswith("--"):
            comment = stripped[2:].strip()
            if comment.startswith("connection "):
                connection = comment.split()[1]
            elif comment == "unordered":
                unordered = True
            elif comment.startswith("diverges:"):
                divergence = comment.removeprefix("diverges:").strip()
            elif comment.startswith("diverges extended:"):
                extended = comment.removeprefix("diverges extended:").strip()
            continue
        if not pending and not stripped:
            continue
        pending.append(line)
        if stripped.endswith(";"):
            sql = "\n".join(pending)
            query = Query(sql, number - len(pending) + 1, connection, b"", unordered, divergence, extended)
            if "FROM STDIN" in sql.upper() and not sql.lstrip().upper().startswith("EXPLAIN"):
                data: list[str] = []
                while number < len(lines) and lines[number] != "\\.":
                    data.append(lines[number] + "\n")
                    number += 1
                number += 1
                query.copy_data = "".join(data).encode()
            queries.append(query)
            pending, unordered, divergence, extended = [], False, "", ""
    assert not pending, f"the script ends inside a statement: {pending}"
    return queries


class Side:
    """One server's half of a run.

    Args:
        mode: "simple", "extended" (text results) or "binary" (extended, binary results).
    """

    def __init__(self, dsn: str, schema: str, mode: str) -> None:
        self.dsn = dsn
        self.schema = schema
        self.mode = mode
        self.connections: dict[str, psycopg.Connection[tuple[object, ...]]] = {}
        self.notices: list[dict[str, str]] = []

    def connection(self, name: str) -> pq.abc.PGconn:
        """The named connection, opened at first use with the script's schema in its search path."""
        found = self.connections.get(name)
        if found is None:
            found = self.connections[name] = psycopg.connect(self.dsn, autocommit=True)
            found.pgconn.notice_handler = self._notice
            if len(self.connections) == 1:
                found.execute(f'CREATE SCHEMA "{self.schema}"')
            found.execute(f'SET search_path = "{self.schema}"')
            found.execute("SET timezone = 'UTC'")
            self.notices.clear()
        return found.pgconn

    def _notice(self, result: pq.abc.PGresult) -> None:
        self.notices.append(_fields(result))

    def ask(self, query: Query) -> Answer:
        """Send the query, collect everything that comes back."""
        connection = self.connection(query.connection)
        self.notices = []
        sql = query.sql.encode()
        if self.mode == "simple":
            connection.send_query(sql)
        else:
            connection.send_query_params(sql, None, result_format=1 if self.mode == "binary" else 0)
        results: list[Result] = []
        while (reply := connection.get_result()) is not None:
            status = reply.status
            if status == ExecStatus.COPY_IN:
                connection.put_copy_data(query.copy_data)
                connection.put_copy_end()
                continue
            result = Result(tag=(reply.command_status or b"").decode())
            if status == ExecStatus.COPY_OUT:
                while True:
                    count, data = connection.get_copy_data(0)
                    if count < 0:
                        break
                    result.copied += bytes(data)
            elif status == ExecStatus.EMPTY_QUERY:
                result.tag = "(empty)"
            elif status in (ExecStatus.FATAL_ERROR, ExecStatus.BAD_RESPONSE):
                result.error = _fields(reply)
            else:
                result.columns = [
                    (_decoded(reply.fname(place)), _known(reply.ftype(place)), reply.fmod(place), reply.fsize(place))
                    for place in range(reply.nfields)
                ]
                result.rows = [
                    tuple(reply.get_value(row, place) for place in range(reply.nfields)) for row in range(reply.ntuples)
                ]
            results.append(result)
        if not query.sql.lstrip().upper().startswith(PLACED):
            for result in results:
                result.error.pop("position", None)
        return Answer(results, self.notices, pq.TransactionStatus(connection.transaction_status).name)

    def close(self) -> None:
        """Close the connections and drop the schema."""
        for connection in self.connections.values():
            connection.close()
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(f'DROP SCHEMA IF EXISTS "{self.schema}" CASCADE')


def _decoded(name: bytes | None) -> str:
    return "" if name is None else name.decode()


def _known(oid: int) -> int:
    """The OID of a built-in type; user objects have their own on each server."""
    return oid if oid < FIRST_USER_OID else FIRST_USER_OID


def _fields(result: pq.abc.PGresult) -> dict[str, str]:
    found = {name: result.error_field(code) for name, code in ERROR_FIELDS.items()}
    return {name: value.decode() for name, value in found.items() if value}


def differences(script: Path, boreal_dsn: str, oracle_dsn: str, mode: str) -> list[str]:
    """Run a script on both servers; a description of each query whose answers differ, or agree where they should not."""
    schema = script.stem
    boreal, oracle = Side(boreal_dsn, schema, mode), Side(oracle_dsn, schema, mode)
    found: list[str] = []
    try:
        for query in parse_script(script.read_text()):
            ours, theirs = boreal.ask(query), oracle.ask(query)
            same = ours.comparable(query.unordered) == theirs.comparable(query.unordered)
            if same == query.diverges(mode):
                found.append(
                    f"{script.name}:{query.line} [{mode}] {'DOES NOT DIVERGE' if same else ''}\n{query.sql}\n"
                    f"─ PostgreSQL:\n{theirs.describe()}\n─ Boreal:\n{ours.describe()}\n"
                )
    finally:
        boreal.close()
        oracle.close()
    return found
