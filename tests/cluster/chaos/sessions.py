"""One database session through a real driver, with the two ways in which a statement can fail.

    fetch(sql, arguments) ─▶ rows
                          ─▶ Refused: the database said no, and why (SQLSTATE)
                          ─▶ Gone: the connection ended, or nothing was answered in time; what was asked may have happened

asyncpg speaks the extended protocol with prepared statements it keeps, psycopg binds anew each time, so both of the gateway's
ways are taken.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any, Protocol

import asyncpg
import psycopg

from deploy.cluster import HOST, NodePlace

ANSWER_SECONDS_MAX = 3.0
CONNECT_SECONDS_MAX = 2.0

Row = tuple[Any, ...]


class Refused(Exception):
    """An ErrorResponse."""

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(f"{sqlstate} {message}")
        self.sqlstate = sqlstate


class Gone(Exception):
    """The connection is of no use any more."""


class Session(Protocol):
    """What a client needs of a driver."""

    async def fetch(self, sql: str, *arguments: object) -> list[Row]:
        """The statement's rows. Raises Refused, Gone."""
        ...

    def close(self) -> None:
        """Leave at once, without a word to the server, which may be paused."""
        ...


class AsyncpgSession:
    """A connection of asyncpg."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, node: NodePlace) -> AsyncpgSession:
        """Connect. Raises Refused, Gone."""
        try:
            return cls(
                await asyncpg.connect(
                    host=HOST,
                    port=node.pg_port,
                    user="postgres",
                    database="postgres",
                    ssl=False,
                    timeout=CONNECT_SECONDS_MAX,
                )
            )
        except _ASYNCPG_ERRORS as error:
            raise _failure(error) from error

    async def fetch(self, sql: str, *arguments: object) -> list[Row]:
        """See Session."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                return [tuple(row) for row in await self._connection.fetch(sql, *arguments)]
        except _ASYNCPG_ERRORS as error:
            raise _failure(error) from error

    def close(self) -> None:
        """See Session."""
        self._connection.terminate()


class PsycopgSession:
    """A connection of psycopg 3."""

    def __init__(self, connection: psycopg.AsyncConnection[Row]) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, node: NodePlace) -> PsycopgSession:
        """Connect. Raises Refused, Gone."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS_MAX):
                return cls(await psycopg.AsyncConnection.connect(node.dsn, autocommit=True, prepare_threshold=None))
        except psycopg.Error as error:
            raise _failure(error) from error
        except TimeoutError as error:
            raise Gone("connecting: no answer") from error

    async def fetch(self, sql: str, *arguments: object) -> list[Row]:
        """See Session. On a time-out the socket is shut, since a driver whose task is cancelled asks the server to cancel."""
        task = asyncio.ensure_future(self._fetch(sql, arguments))
        done, _ = await asyncio.wait({task}, timeout=ANSWER_SECONDS_MAX)
        if not done:
            self._shut()
            await asyncio.wait({task})
        return task.result()

    async def _fetch(self, sql: str, arguments: tuple[object, ...]) -> list[Row]:
        try:
            cursor = psycopg.AsyncRawCursor(self._connection)
            await cursor.execute(sql, arguments or None)
            return await cursor.fetchall() if cursor.description is not None else []
        except psycopg.Error as error:
            raise _failure(error) from error

    def _shut(self) -> None:
        with socket.socket(fileno=os.dup(self._connection.fileno())) as shared:
            shared.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """See Session."""
        self._connection.pgconn.finish()


_ASYNCPG_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)


def _failure(error: Exception) -> Refused | Gone:
    """Errors of class 08 are the driver's own words for a connection that ended."""
    sqlstate = getattr(error, "sqlstate", None)
    return Refused(sqlstate, str(error)) if sqlstate and not sqlstate.startswith("08") else Gone(repr(error))
