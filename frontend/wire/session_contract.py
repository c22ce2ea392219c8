"""The border between the wire and the session: what a connection calls, and what it offers in return.

    bytes ──▶ PostgresConnection ──query, parse, bind, execute …──▶ Session
                    ▲                                                  │
                    └──────── send, suspend, resume, begin_copy_in ────┘

The division of labour, which both sides rely on:

- **The connection frames, orders and recovers.** It parses messages, calls one session method for each, in order,
  never two at a time, and it alone sends `ErrorResponse` and `ReadyForQuery`: exactly one ReadyForQuery after each
  `query` and each `sync`, with the session's `transaction_status` of that moment; and after an error in the extended
  protocol it discards messages up to Sync. Nobody else does either of these.
- **The session answers.** Everything else is sent by the session, through `connection.send`: ParameterStatus,
  ParseComplete, BindComplete, CloseComplete, RowDescription, ParameterDescription, NoData, DataRow, CommandComplete,
  EmptyQueryResponse, PortalSuspended, NoticeResponse, CopyInResponse, CopyOutResponse, CopyData, CopyDone.

How a method ends, one of three ways:

1. **It returns.** The message is done. This is the hot path: no task, no future, no allocation.
2. **It raises SqlError.** The connection sends ErrorResponse and calls `failed(error)`, where the session aborts its
   transaction (or marks it failed) so that `transaction_status` is right for what follows. Severity FATAL also ends the
   connection. An error that is not an SqlError is logged with its traceback and reported as XX000.
3. **It calls `connection.suspend()` and returns.** The message is not done: no further message is dispatched (they stay
   buffered, in order, and reading pauses when they are many) until somebody calls `connection.resume()`, or
   `connection.resume(error)`, which is exactly a raise of that error at that point. Replies are sent before the resume.
   A commit suspends, and the verdict's callback sends CommandComplete and resumes; a long query suspends and schedules
   its slices with `loop.call_soon`, calling `connection.flush()` after each. A resume before the method has returned is
   allowed. While suspended, `cancel()` may be called.

COPY FROM STDIN: inside `query` or `execute` the session sends CopyInResponse, calls `connection.begin_copy_in()` and
returns. The message is then not done; `copy_data` follows any number of times, and one of `copy_done` and `copy_fail`,
unless the session fails first. Each of these may suspend, like any method. When `copy_done` is done, so is the original
message (`copy_done` of a simple query goes on with the statements that follow the COPY, and may begin another one).
COPY TO STDOUT needs no mode: it is sending, in slices.

Back-pressure: `send` collects; the connection writes once per batch of received messages, at `flush`, at `resume`, and
when more than 64 KiB have collected. When the client does not read, the connection dispatches nothing further and calls
`pause_writing`; a session that produces in slices stops scheduling them (or looks at `connection.write_paused`)
until `resume_writing`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from frontend.errors import SqlError
from frontend.reads import StrongReads

TransactionStatus = Literal["I", "T", "E"]
"""Idle, in a transaction, in a failed transaction; what ReadyForQuery reports."""


@dataclass(frozen=True)
class Startup:
    """What the client said and what authentication established, before the session exists.

    Args:
        user: authenticated role name.
        database: database name; the user's name when the client gave none.
        settings: other start-up parameters in order, including those of `options=-c x=y`; names as the client wrote
            them. `options` itself and protocol extensions (`_pq_.*`) are not among them.
        replication: "" for a normal session, "database" or "true" for a replication connection.
        process_id: number for pg_backend_pid() and BackendKeyData; carries the node.
        client_address: numeric address, or None on a Unix socket.
        client_port: -1 on a Unix socket.
        tls_version: "TLSv1.3" and so on, or None without TLS; tls_cipher likewise.
        authentication: the method that let the client in: "trust", "scram-sha-256", "password".
    """

    user: str
    database: str
    settings: Mapping[str, str] = field(default_factory=dict)
    replication: str = ""
    process_id: int = 0
    client_address: str | None = None
    client_port: int = -1
    tls_version: str | None = None
    tls_cipher: str | None = None
    authentication: str = "trust"


class Connection(Protocol):
    """What the session may ask of its connection. `PostgresConnection` is the implementation."""

    startup: Startup
    loop: asyncio.AbstractEventLoop
    write_paused: bool
    """The client is not reading; produce no more until `Session.resume_writing`."""
    batches: int
    """Counts batches of received bytes. Equal at two moments: nothing arrived between them."""

    def send(self, data: bytes) -> None:
        """Append one or more whole protocol messages to the output."""

    def flush(self) -> None:
        """Write what has been sent so far. Only needed between the slices of a suspended message."""

    def suspend(self) -> None:
        """The message being handled is not done when the method returns."""

    def resume(self, error: SqlError | None = None) -> None:
        """The suspended message is done, well or with `error`. Ignored when the connection is already lost."""

    def answer(self, reply: bytes) -> None:
        """`send`, then `resume`: what a COMMIT comes to. HOT."""

    def report_parameters(self) -> None:
        """A reported parameter has changed: `Session.report_parameters` is called before the next ReadyForQuery."""

    def begin_copy_in(self) -> None:
        """CopyData follows from the client (also for the receiving half of CopyBoth)."""

    def terminate(self, error: SqlError) -> None:
        """End the connection now, with `error` as FATAL: time-outs, pg_terminate_backend, shutdown. At any moment."""

    @property
    def idle(self) -> bool:
        """Nothing is being handled and nothing is buffered: the server waits for the client.

        For idle_in_transaction_session_timeout and idle_session_timeout: at the end of `query` or `sync` in which the
        setting applies, note `batches` and set a timer (`loop.call_later`); when it fires, `batches` is unchanged and
        `idle` holds, `terminate` with 25P03 or 57P05.
        """


class Session(Protocol):
    """One client's session. Every method is called from the event loop and must not block it for long."""

    transaction_status: TransactionStatus
    reads: StrongReads
    """What the connection asks before a message that `wants_snapshot`, where that needs asking."""

    @property
    def transaction(self) -> object | None:
        """The transaction whose snapshot is fixed; None where the next message that reads would begin one. HOT."""
        ...

    def wants_snapshot(self, kind: int, body: bytes) -> bool:
        """Whether handling this message (Query, Parse, Describe, Bind or Execute, by its type byte) reads what other transactions
        write, without a snapshot that is fixed by now. Parse and Describe of a statement read the catalog; Bind is called on behalf of
        the Execute that follows. Called only where strong reads have to wait."""

    def query(self, sql: str) -> None:
        """Simple query: any number of statements. Replies, but never ReadyForQuery."""

    def parse(self, name: str, sql: str, parameter_types: Sequence[int]) -> None:
        """Parse: prepare `name` ("" is the unnamed statement); type OID 0 means unspecified. Sends ParseComplete."""

    def bind(
        self,
        portal: str,
        statement: str,
        parameter_formats: Sequence[int],
        parameters: list[bytes | None],
        result_formats: Sequence[int],
    ) -> None:
        """Bind. Formats are 0 (text) or 1 (binary) as received: none, one for all, or one each; the number of
        parameter formats has been checked against the parameters. Other codes than 0 and 1 are the session's to refuse
        (22023 `unsupported format code: n`). Sends BindComplete."""

    def run_segment(self, body: bytes, described: bool, *, permitted: bool) -> bytes | None:
        """Bind (its body as received), [Describe of the unnamed portal,] Execute of it without a row limit, and Sync at once:
        exactly what `bind`, `describe_portal` (where `described`), `execute` and `sync` would do together.

        Returns the reply, b"" where it has been sent or comes later (this may suspend), or None, having done nothing, where the session
        wants the messages one by one. That includes what wants a snapshot while `reads.waits`, unless it is `permitted`: then the
        connection has asked. An error ends the segment, as it would have up to the Sync that has already been taken.
        """

    def take_prefix(self) -> bytes:
        """Called when an error is reported: replies of a `run_segment` that were kept back to go out in one piece with
        what the error has come instead of; usually b""."""

    def describe_statement(self, name: str) -> None:
        """Sends ParameterDescription, then RowDescription (formats 0) or NoData."""

    def describe_portal(self, name: str) -> None:
        """Sends RowDescription or NoData."""

    def execute(self, portal: str, row_count_max: int) -> None:
        """Sends DataRows, then CommandComplete, EmptyQueryResponse or PortalSuspended. 0 means all rows."""

    def close_statement(self, name: str) -> None:
        """Sends CloseComplete; closing what does not exist is no error."""

    def close_portal(self, name: str) -> None:
        """Sends CloseComplete; closing what does not exist is no error."""

    def report_parameters(self) -> None:
        """Sends ParameterStatus for what has changed since the client was last told; see `Connection.report_parameters`."""

    def sync(self) -> None:
        """Ends the implicit transaction of this segment (commit, or roll back when it failed)."""

    def copy_data(self, data: bytes) -> None:
        """The next piece of COPY input; pieces need not be lines."""

    def copy_done(self) -> None:
        """The input is complete: finish the COPY, CommandComplete, and go on with what followed it."""

    def copy_fail(self, message: str) -> None:
        """The client gave up: raise 57014 `COPY from stdin failed: {message}`."""

    def failed(self, error: SqlError) -> None:
        """An error was reported to the client: fail or roll back the transaction, drop a COPY in progress.

        Called once per ErrorResponse, whether the session or the connection raised it; not for FATAL ones, after which
        only `connection_lost` follows. Must not raise or suspend.
        """

    def cancel(self) -> None:
        """A CancelRequest for this session; only called while a message is suspended or a COPY is in progress. The
        session ends the work soon with `resume(SqlError("57014", …))`, or, if it waits for COPY input, the connection
        raises 57014 itself (then `failed` follows). A commit that has been proposed goes on."""

    def pause_writing(self) -> None:
        """The client does not read its replies; stop producing until `resume_writing`."""

    def resume_writing(self) -> None:
        """The client reads again."""

    def connection_lost(self) -> None:
        """Called exactly once, last: roll back, release everything. A later `resume` is ignored."""


SessionFactory = Callable[[Connection], Session]
"""Makes the session of an authenticated connection, from `connection.startup`.

Sends the ParameterStatus messages through `connection.send`; the connection adds BackendKeyData and ReadyForQuery.
May raise SqlError (unknown role or database, wrong setting), which the client gets as FATAL. May `suspend` the
connection: the first ReadyForQuery then waits for `resume`.
"""
