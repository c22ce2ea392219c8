"""A minimal session for the tests of the wire: answers `select 1` and a handful of other texts, in every way a session can.

    select 1                 one row, inline                 later N      N-millisecond work, suspended, then one row
    begin / commit           transaction status              later fail   suspended, then 40001
    big N                    N rows of 1 KiB, in slices      copy in      COPY FROM STDIN, counts bytes
    fail, fatal, bug         an error of each kind           empty text   EmptyQueryResponse

Statements are separated by ";" and run in order. `log` records the calls that a test wants to see.
"""

from __future__ import annotations

from collections.abc import Sequence

from frontend.errors import SqlError
from frontend.reads import LocalReads, StrongReads
from frontend.wire import messages
from frontend.wire.session_contract import Connection, TransactionStatus

ONE_ROW = messages.row_description([messages.Column("?column?", 0, 0, 23, 4, -1)]) + messages.data_row([b"1"])
SELECT_1 = ONE_ROW + messages.command_complete("SELECT 1")
KILOBYTE_ROW = messages.data_row([b"x" * 1024])

PARAMETERS = {
    "application_name": "",
    "client_encoding": "UTF8",
    "DateStyle": "ISO, MDY",
    "default_transaction_read_only": "off",
    "in_hot_standby": "off",
    "integer_datetimes": "on",
    "IntervalStyle": "postgres",
    "is_superuser": "on",
    "server_encoding": "UTF8",
    "server_version": "16.4",
    "session_authorization": "postgres",
    "standard_conforming_strings": "on",
    "TimeZone": "UTC",
}

live_sessions: set[TrivialSession] = set()


class TrivialSession:
    """See the module."""

    def __init__(self, connection: Connection) -> None:
        startup = connection.startup
        if startup.user == "nobody":
            raise SqlError("28000", 'role "nobody" does not exist', severity="FATAL")
        self.connection = connection
        self.transaction_status: TransactionStatus = "I"
        self.transaction: object | None = None
        self.reads: StrongReads = LocalReads()
        self.statements: dict[str, str] = {}
        self.portals: dict[str, tuple[str, list[bytes | None]]] = {}
        self.rest: list[str] = []
        self.rows_left = 0
        self.copied = 0
        self.log: list[object] = []
        live_sessions.add(self)
        for name, value in PARAMETERS.items():
            connection.send(messages.parameter_status(name, startup.settings.get(name, value)))

    # --- simple query ---------------------------------------------------------------------------------------------

    def query(self, sql: str) -> None:
        if sql == "select 1":
            self.connection.send(SELECT_1)
            return
        self.rest = [statement.strip() for statement in sql.split(";") if statement.strip()]
        if not self.rest:
            self.connection.send(messages.EMPTY_QUERY_RESPONSE)
        self.run_rest()

    def run_rest(self) -> None:
        while self.rest:
            if not self.run(self.rest.pop(0)):
                return

    def run(self, statement: str) -> bool:
        """False: not done, something will call run_rest."""
        connection = self.connection
        if self.transaction_status == "E" and statement not in ("rollback", "commit"):
            raise SqlError("25P02", "current transaction is aborted, commands ignored until end of transaction block")
        word, _, argument = statement.lower().partition(" ")
        if word == "select":
            connection.send(SELECT_1)
        elif word in ("begin", "commit", "rollback"):
            self.transaction_status = "T" if word == "begin" else "I"
            connection.send(messages.command_complete(word.upper()))
        elif word == "later":
            connection.suspend()
            if argument == "fail":
                connection.loop.call_later(0.001, self.finish_later, SqlError("40001", "change conflicts"))
            else:
                connection.loop.call_later(int(argument or "1") / 1000, self.finish_later, None)
            return False
        elif word == "now":  # resumes before the method has returned
            connection.suspend()
            connection.send(SELECT_1)
            connection.resume()
        elif word == "big":
            self.rows_left = int(argument)
            connection.send(messages.row_description([messages.Column("x", 0, 0, 25, -1, -1)]))
            connection.suspend()
            self.slice()
            return False
        elif statement == "copy in":
            connection.send(messages.copy_in_response(0, [0, 0]))
            connection.begin_copy_in()
            return False
        elif word == "fail":
            raise SqlError("22012", "division by zero", detail="d", hint="h", position=3, constraint="c")
        elif word == "fatal":
            raise SqlError("57P01", "terminating", severity="FATAL")
        elif word == "bug":
            raise ZeroDivisionError("a bug")
        else:
            raise SqlError("42601", f'syntax error at or near "{word}"', position=1)
        return True

    def finish_later(self, error: SqlError | None) -> None:
        if error is None:
            self.connection.send(SELECT_1)
            try:
                self.run_rest()
            except SqlError as raised:
                error = raised
        self.connection.resume(error)

    def slice(self) -> None:
        connection = self.connection
        if self not in live_sessions:
            return
        count = min(self.rows_left, 16)
        self.rows_left -= count
        connection.send(KILOBYTE_ROW * count)
        connection.flush()
        if not self.rows_left:
            connection.send(messages.command_complete("SELECT"))
            connection.resume()
        elif not connection.write_paused:
            connection.loop.call_soon(self.slice)

    # --- extended query -------------------------------------------------------------------------------------------

    def parse(self, name: str, sql: str, parameter_types: Sequence[int]) -> None:
        if name and name in self.statements:
            raise SqlError("42P05", f'prepared statement "{name}" already exists')
        self.statements[name] = sql
        self.connection.send(messages.PARSE_COMPLETE)

    def bind(
        self,
        portal: str,
        statement: str,
        parameter_formats: Sequence[int],
        parameters: list[bytes | None],
        result_formats: Sequence[int],
    ) -> None:
        if statement not in self.statements:
            raise SqlError("26000", f'prepared statement "{statement}" does not exist')
        self.portals[portal] = (self.statements[statement], parameters)
        self.connection.send(messages.BIND_COMPLETE)

    def describe_statement(self, name: str) -> None:
        self.connection.send(messages.parameter_description([]))
        self.describe_sql(self.statements.get(name))

    def describe_portal(self, name: str) -> None:
        entry = self.portals.get(name)
        if entry is None:
            raise SqlError("34000", f'portal "{name}" does not exist')
        self.describe_sql(entry[0])

    def describe_sql(self, sql: str | None) -> None:
        if sql is None:
            raise SqlError("26000", "prepared statement does not exist")
        if sql.startswith("select"):
            self.connection.send(messages.row_description([messages.Column("?column?", 0, 0, 23, 4, -1)]))
        else:
            self.connection.send(messages.NO_DATA)

    def execute(self, portal: str, row_count_max: int) -> None:
        entry = self.portals.get(portal)
        if entry is None:
            raise SqlError("34000", f'portal "{portal}" does not exist')
        sql, parameters = entry
        if sql.startswith("select"):
            value = parameters[0] if parameters else b"1"
            self.connection.send(messages.data_row([value]) + messages.command_complete("SELECT 1"))
        else:
            self.rest = [sql]
            self.run_rest()

    def close_statement(self, name: str) -> None:
        self.statements.pop(name, None)
        self.connection.send(messages.CLOSE_COMPLETE)

    def close_portal(self, name: str) -> None:
        self.portals.pop(name, None)
        self.connection.send(messages.CLOSE_COMPLETE)

    def wants_snapshot(self, kind: int, body: bytes) -> bool:
        return True

    def run_segment(self, body: bytes, described: bool, *, permitted: bool) -> bytes | None:
        return None

    def take_prefix(self) -> bytes:
        return b""

    def report_parameters(self) -> None:
        """Nothing changes here."""

    def sync(self) -> None:
        self.log.append("sync")

    # --- COPY and the rest ----------------------------------------------------------------------------------------

    def copy_data(self, data: bytes) -> None:
        if data.startswith(b"bad"):
            raise SqlError("22P04", "extra data after last expected column")
        self.copied += len(data)

    def copy_done(self) -> None:
        self.connection.send(messages.command_complete(f"COPY {self.copied}"))
        self.copied = 0
        self.run_rest()

    def copy_fail(self, message: str) -> None:
        raise SqlError("57014", f"COPY from stdin failed: {message}")

    def failed(self, error: SqlError) -> None:
        self.log.append(error.sqlstate)
        self.rest = []
        self.copied = 0
        if self.transaction_status == "T":
            self.transaction_status = "E"

    def cancel(self) -> None:
        self.connection.resume(SqlError("57014", "canceling statement due to user request"))

    def pause_writing(self) -> None:
        self.log.append("pause")

    def resume_writing(self) -> None:
        self.log.append("resume")
        if self.rows_left:
            self.slice()

    def connection_lost(self) -> None:
        live_sessions.discard(self)
