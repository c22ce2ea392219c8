"""One authenticated client: finds the messages in what arrives, and gives them to its session, one at a time.

    data_received ─▶ buffer ─▶ _dispatch: one session method per message ─▶ output ─▶ one write per batch (turn.py)

Order and completeness are kept by three small pieces of state:

- `_held`, a set of reasons for which nothing is dispatched: the session suspended the message, the client does not read
  its replies, other connections are to have their turn, a strong read asks how recent it must be, the connection is closed. Whatever arrives meanwhile waits in the buffer; above a bound reading pauses.
- `_mode`: normal; copying in (only COPY messages make sense); skipping (an extended-protocol message failed, and all
  is discarded up to Sync). **`_fail` is the one place that reports errors and starts skipping, `_complete` the one place
  that sends ReadyForQuery.**
- `_command`: what kind of message is being handled, which decides what its end and its failure mean.

The buffer is immutable bytes with a position, and a list of chunks that arrived while it could not be used; they are joined
when a whole message is there or dispatching goes on, so that neither a 64 MiB Bind in small packets nor ten
thousand pipelined commits cost quadratic copying.

HOT: `data_received` and `_dispatch` run for every message of every client. There is no task, no future and no allocation but
the message's own strings; a trivial session answers more than 90,000 simple queries a second on one core
(tests/frontend/wire/bench_wire.py).
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from struct import Struct
from typing import Final, cast

from frontend.errors import SqlError
from frontend.reads import LocalReads, StrongReads
from frontend.wire import messages
from frontend.wire.cancellation import CancelRegistry
from frontend.wire.limits import PROTOCOL_MESSAGE_BYTES_MAX, SMALL_MESSAGE_BYTES_MAX, WireLimits
from frontend.wire.session_contract import Session, SessionFactory, Startup
from frontend.wire.tls import TlsChannel
from frontend.wire.turn import REPLIES_MAX, LoopTurn
from journal.errors import BorealError

logger = logging.getLogger(__name__)

# Reasons to hold (bits of _held).
SUSPENDED: Final = 1
WRITE_PAUSED: Final = 2
CLOSED: Final = 4
YIELDED: Final = 8
ASKING: Final = 64  # the message at hand needs a snapshot, and the node asks how far its view must have come
STOPS: Final = SUSPENDED | WRITE_PAUSED | CLOSED | YIELDED | ASKING
# Two that do not stop dispatching, but send every message's end through _settle:
DRAINING: Final = 16
REPORTING: Final = 32  # ParameterStatus is due before the next ReadyForQuery

# Modes (_mode).
NORMAL: Final = 0
SKIPPING: Final = 1
COPYING_IN: Final = 2

# Kinds of message in progress (_command).
NO_COMMAND: Final = 0
START: Final = 1
QUERY: Final = 2
EXTENDED: Final = 3
SYNC: Final = 4

TURN_MESSAGES_MAX: Final = 256
"""After so many messages in one go, other connections get their turn."""

# What almost every driver sends behind a Bind: [Describe the unnamed portal,] Execute it without a row limit, Sync.
_EXECUTE_SYNC: Final = b"E\0\0\0\x09\0\0\0\0\0S\0\0\0\x04"
_DESCRIBE_EXECUTE_SYNC: Final = b"D\0\0\0\x06P\0" + _EXECUTE_SYNC
assert (len(_DESCRIBE_EXECUTE_SYNC), len(_EXECUTE_SYNC)) == (22, 15)

HEADER_BYTES: Final = 5
_HEADER = Struct("!BI").unpack_from
_LENGTH = Struct("!I").unpack_from
_READY = messages.READY_FOR_QUERY

# Message types by their byte, and the longest that PostgreSQL lets each be.
_Q, _P, _B, _D, _E, _C, _H, _S, _X, _F, _d, _c, _f = b"QPBDECHSXFdcf"
_READING = frozenset((_Q, _P, _D, _B, _E))
_BYTES_MAX = {
    **dict.fromkeys((_Q, _P, _B, _F, _d), PROTOCOL_MESSAGE_BYTES_MAX),
    **dict.fromkeys((_D, _E, _C, _H, _S, _X, _c, _f), SMALL_MESSAGE_BYTES_MAX),
}


def admin_shutdown() -> SqlError:
    """57P01: the node drains or stops, or an administrator ended the session."""
    return SqlError("57P01", "terminating connection due to administrator command", severity="FATAL")


class PostgresConnection(asyncio.Protocol):
    """The connection of one client from authentication to its end. See session_contract.Connection for what sessions use.

    Args:
        transport: connected; `start` makes this object its protocol.
        startup: who the client is.
        secret: the cancel key's second half.
        registry: where the cancel key is entered.
        lost: called once when the connection is gone.
        turn: shared by the connections of the loop.
    """

    __slots__ = (
        "_asked_in",
        "_buffer",
        "_buffered",
        "_channel",
        "_chunks",
        "_command",
        "_dispatching",
        "_ended",
        "_granted",
        "_held",
        "_limits",
        "_lost",
        "_mode",
        "_needed",
        "_refusal",
        "_output",
        "_output_bytes",
        "_position",
        "_reading_paused",
        "_reads",
        "_registry",
        "_secret",
        "_transport",
        "_turn",
        "batches",
        "loop",
        "session",
        "startup",
        "write_paused",
    )

    def __init__(
        self,
        transport: asyncio.Transport,
        startup: Startup,
        secret: int,
        registry: CancelRegistry,
        limits: WireLimits,
        channel: TlsChannel | None,
        lost: Callable[[PostgresConnection], None],
        turn: LoopTurn,
    ) -> None:
        self.startup = startup
        self.loop = asyncio.get_running_loop()
        self.write_paused = False
        self.batches = 0
        self.session: Session | None = None
        self._transport = transport
        self._secret = secret
        self._registry = registry
        self._limits = limits
        self._channel = channel
        self._lost = lost
        self._turn = turn
        self._reads: StrongReads = LocalReads()
        self._granted = False  # the message at hand may read
        self._asked_in = 0  # of `batches`
        self._refusal: SqlError | None = None  # or why it may not
        self._held = 0
        self._mode = NORMAL
        self._command = NO_COMMAND
        self._dispatching = False
        self._ended = False  # the client has sent its last byte
        self._reading_paused = False
        self._buffer = b""
        self._position = 0
        self._chunks: list[bytes] = []
        self._buffered = 0  # bytes in buffer (from position) and chunks
        self._needed = HEADER_BYTES  # how many of them the next message takes
        self._output: list[bytes] = []
        self._output_bytes = 0

    def start(self, factory: SessionFactory, already_received: bytes) -> None:
        """Become the transport's protocol, make the session, send the first ReadyForQuery, handle what came early."""
        self._transport.set_protocol(self)
        self._transport.set_write_buffer_limits(high=self._limits.output_bytes_high)
        self._registry.register(self.startup.process_id, self._secret, self)
        self._command = START
        self._dispatching = True
        try:
            self.session = factory(self)
            self._reads = self.session.reads
        except Exception as error:
            self._fail(error)
        self._dispatching = False
        if not self._held & SUSPENDED:
            self._complete()
        if already_received:
            self._chunks.append(already_received)
            self._buffered = len(already_received)
        self._continue()

    # --- what the session uses ------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """See session_contract.Connection."""
        self._output.append(data)
        self._output_bytes += len(data)
        if self._output_bytes > self._limits.output_bytes_high:
            self.flush()

    def flush(self) -> None:
        """See session_contract.Connection."""
        output = self._output
        if output:
            data = output[0] if len(output) == 1 else b"".join(output)
            output.clear()
            self._output_bytes = 0
            if not self._held & CLOSED:
                self._transport.write(data if self._channel is None else self._channel.encrypt(data))

    def suspend(self) -> None:
        """See session_contract.Connection."""
        self._held |= SUSPENDED

    def resume(self, error: SqlError | None = None) -> None:
        """See session_contract.Connection."""
        if self._held & CLOSED:
            return
        self._held &= ~SUSPENDED
        if error is not None:
            self._fail(error)
        if not self._dispatching:
            self._settle()
            self._continue()

    def answer(self, reply: bytes) -> None:
        """See session_contract.Connection."""
        if (
            self._command != SYNC
            or self._held != SUSPENDED
            or self._mode
            or self._buffered
            or self._ended
            or self._dispatching
        ):
            self.send(reply)
            self.resume()
            return
        # Nothing else is to be done: what `_settle` and `_continue` come to then.
        self._held = 0
        self._command = NO_COMMAND
        session = self.session
        assert session is not None
        self._output.append(reply + _READY[session.transaction_status])
        self._turn.add(self)

    def report_parameters(self) -> None:
        """See session_contract.Connection."""
        self._held |= REPORTING

    def begin_copy_in(self) -> None:
        """See session_contract.Connection."""
        self._mode = COPYING_IN

    def terminate(self, error: SqlError) -> None:
        """See session_contract.Connection."""
        if not self._held & CLOSED:
            self._output.append(messages.error_response(error, severity="FATAL"))
            self._close()

    @property
    def idle(self) -> bool:
        """See session_contract.Connection."""
        return not (self._held & STOPS or self._mode or self._buffered or self._dispatching)

    # --- what the listener uses -----------------------------------------------------------------------------------

    def cancel(self) -> None:
        """A CancelRequest with our key came."""
        if self._held & (SUSPENDED | CLOSED):
            if self.session is not None and not self._held & CLOSED:
                self.session.cancel()
        elif self._mode == COPYING_IN:
            self._fail(SqlError("57014", "canceling statement due to user request"))
            self._settle()
            self._continue()

    def drain(self) -> None:
        """End as soon as no transaction is open; now, if the client is idle."""
        self._held |= DRAINING
        if self.idle and self.session is not None and self.session.transaction_status == "I":
            self.terminate(admin_shutdown())

    # --- the transport's callbacks --------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        self.batches += 1
        if self._channel is not None:
            data = self._decrypt(data)
            if not data:
                return
        if data[0] == _B and not self._held and not self._mode and not self._buffered and self._run_segment(data):
            return
        self._turn.touch()
        if self._buffered or self._held & STOPS:
            self._chunks.append(data)
            self._buffered += len(data)
            if self._held & STOPS:
                if self._buffered > self._limits.pipeline_bytes_max and not self._reading_paused:
                    self._reading_paused = True
                    self._transport.pause_reading()
                return
            if self._buffered < self._needed:
                return
            self._join()
        else:
            self._buffer = data
        self._dispatch()
        if self._output:
            self._turn.add(self)

    def _run_segment(self, data: bytes) -> bool:
        """Exactly one segment and nothing else: what `_dispatch` does with it, without a loop. False: let `_dispatch` look."""
        size = len(data)
        if not data.endswith(_EXECUTE_SYNC):
            return False
        end = 1 + _LENGTH(data, 1)[0]
        described = end == size - 22 and data.endswith(_DESCRIBE_EXECUTE_SYNC)
        if not described and end != size - 15:
            return False
        session = self.session
        assert session is not None
        self._command = SYNC
        self._dispatching = True
        try:
            reply = session.run_segment(data[5:end], described, permitted=False)
            if reply is None:
                return False
            if not self._held:
                self._output.append(reply + _READY[session.transaction_status])
            else:
                if reply:
                    self._output.append(reply)
                if not self._held & SUSPENDED:
                    self._settle()
        except Exception as error:
            self._fail(error)
            self._settle()
        finally:
            self._dispatching = False
        turn = self._turn
        if self._output:
            ready = turn.ready  # HOT: `LoopTurn.add` without its call
            ready.append(self)
            if not turn.scheduled or len(ready) >= REPLIES_MAX:
                turn.added()
        else:
            turn.touch()
        return True

    def eof_received(self) -> bool:
        """The client sends no more. What it sent is still handled (it may have pipelined a COMMIT and left)."""
        self._ended = True
        if self._held & STOPS and self._buffered:
            return True
        self._close()
        return False

    def pause_writing(self) -> None:
        """The client does not read."""
        self._held |= WRITE_PAUSED
        self.write_paused = True
        if self.session is not None:
            self.session.pause_writing()

    def resume_writing(self) -> None:
        """The client reads again."""
        if not self._held & WRITE_PAUSED:
            return
        self._held &= ~WRITE_PAUSED
        self.write_paused = False
        if self.session is not None and not self._held & CLOSED:
            self.session.resume_writing()
        if not self._dispatching:
            self._continue()

    def connection_lost(self, error: Exception | None) -> None:
        """The transport is gone."""
        self._held |= CLOSED
        self._buffer = b""
        self._chunks.clear()
        self._output.clear()
        self._registry.release(self.startup.process_id)
        try:
            if self.session is not None:
                self.session.connection_lost()
        finally:
            self._lost(self)

    # --- inside ---------------------------------------------------------------------------------------------------

    def _decrypt(self, data: bytes) -> bytes:
        channel = cast(TlsChannel, self._channel)
        try:
            data = channel.receive(data)
        except ssl.SSLError as error:
            logger.info("TLS of process %s broke: %s", self.startup.process_id, error)
            self._transport.abort()
            return b""
        outgoing = channel.outgoing()
        if outgoing:
            self._transport.write(outgoing)
        if channel.closed_by_peer:
            self._ended = True
            self.loop.call_soon(self._continue)  # closes, once what came along has been handled
        return data

    def _join(self) -> None:
        if self._chunks:
            self._buffer = b"".join((self._buffer[self._position :], *self._chunks))
            self._position = 0
            self._chunks.clear()

    def _continue(self) -> None:
        """Go on after something that held us has ended."""
        if not self._held & STOPS:
            if self._buffered >= self._needed:
                self._join()
                self._dispatch()
            if not self._held & STOPS:
                if self._ended:
                    self._close()
                elif self._reading_paused:
                    self._reading_paused = False
                    self._transport.resume_reading()
        if self._output:
            self._turn.add(self)

    def _dispatch(self) -> None:
        """Handle the whole messages in the buffer until something holds us."""
        session = cast(Session, self.session)
        data = self._buffer
        position = self._position
        size = len(data)
        output = self._output
        turns = TURN_MESSAGES_MAX
        self._needed = HEADER_BYTES
        self._dispatching = True
        try:
            while size - position >= HEADER_BYTES and not self._held & STOPS:
                kind, length = _HEADER(data, position)
                start = position + HEADER_BYTES
                end = position + 1 + length
                if end > size or end < start:
                    self._check_frame(kind, length)
                    self._needed = 1 + length
                    break
                if (self._reads.waits or self._granted) and self._must_ask(kind, data[start:end]):
                    self._needed = 1 + length
                    break
                position = end
                turns -= 1
                if not turns:
                    self._yield_turn()
                if self._mode:
                    self._dispatch_special(kind, data[start:end])
                    continue
                try:
                    if self._refusal is not None:
                        self._command = QUERY if kind == _Q else EXTENDED
                        self._refuse()
                    if kind == _Q:
                        self._command = QUERY
                        terminator = end - 1
                        if data.find(0, start, end) != terminator:
                            messages.parse_string(data[start:end])  # raises what is wrong with it
                        try:
                            sql = data[start:terminator].decode()
                        except UnicodeDecodeError as error:
                            raise messages.invalid_encoding(data[start:terminator], error.start) from None
                        session.query(sql)
                        if not self._held and not self._mode:
                            output.append(_READY[session.transaction_status])
                            continue
                    elif kind == _B:
                        tail = size - end
                        if (tail == 22 and data.endswith(_DESCRIBE_EXECUTE_SYNC)) or (
                            tail == 15 and data.endswith(_EXECUTE_SYNC)
                        ):
                            # The whole segment is here: one call instead of four. Its end is a Sync's.
                            self._command = SYNC
                            position = size
                            reply = session.run_segment(data[start:end], tail == 22, permitted=True)
                            if reply is not None:
                                self._granted = False
                                if reply:
                                    self.send(reply)
                                if not self._held and not self._mode:
                                    output.append(_READY[session.transaction_status])
                                    continue
                                self._settle()
                                continue
                            position = end
                        self._command = EXTENDED
                        session.bind(*messages.parse_bind(data[start:end]))
                        continue
                    elif kind == _E:
                        self._command = EXTENDED
                        session.execute(*messages.parse_execute(data[start:end]))
                        continue
                    elif kind == _S:
                        self._command = SYNC
                        messages.parse_empty(data[start:end])
                        session.sync()
                        if not self._held:
                            output.append(_READY[session.transaction_status])
                            continue
                    elif kind == _D:
                        self._command = EXTENDED
                        target, name = messages.parse_target(data[start:end], "DESCRIBE")
                        if target == "S":
                            session.describe_statement(name)
                        else:
                            session.describe_portal(name)
                        continue
                    elif kind == _P:
                        self._command = EXTENDED
                        session.parse(*messages.parse_parse(data[start:end]))
                        continue
                    else:
                        self._dispatch_rare(kind, data[start:end])
                except Exception as error:
                    self._fail(error)
                self._settle()
        finally:
            self._dispatching = False
            if self._granted and not self._held & STOPS:
                self._granted = False  # whoever sends more may know more by then
            if self._held & CLOSED:
                self._buffered = 0
            elif position == size:
                self._buffer = b""
                self._position = 0
                self._buffered = 0
            else:
                self._position = position
                self._buffered = size - position

    def _must_ask(self, kind: int, body: bytes) -> bool:
        """Whether the message has to wait until the local view is recent enough for a strong read; then it is asked for."""
        if self._granted:
            # A Bind is granted for its Execute, a Parse for those that had come along with it when it asked.
            if kind in (_Q, _E, _S) or (kind == _P and self._asked_in != self.batches):
                self._granted = False
            return False
        if kind not in _READING or self._mode or not cast(Session, self.session).wants_snapshot(kind, body):
            return False
        self._asked_in = self.batches
        self._held |= ASKING
        self._reads.barrier(self._answered)
        return True

    def _answered(self, error: SqlError | None) -> None:
        if self._held & CLOSED:
            return
        self._held &= ~ASKING
        self._granted = True
        self._refusal = error
        self._continue()

    def _refuse(self) -> None:
        refusal, self._refusal = self._refusal, None
        if refusal is not None:
            raise refusal

    def _yield_turn(self) -> None:
        self._held |= YIELDED
        self.loop.call_soon(self._take_turn)

    def _take_turn(self) -> None:
        self._held &= ~YIELDED
        self._continue()

    def _dispatch_rare(self, kind: int, body: bytes) -> None:
        """The messages that are not on any hot path, in normal mode."""
        session = cast(Session, self.session)
        if kind == _C:
            self._command = EXTENDED
            target, name = messages.parse_target(body, "CLOSE")
            if target == "S":
                session.close_statement(name)
            else:
                session.close_portal(name)
        elif kind == _H:
            self._command = EXTENDED
            messages.parse_empty(body)  # every batch ends with a write: there is nothing to flush that would not be
        elif kind == _X:
            self._close()
        elif kind in (_d, _c, _f):
            self._command = (
                NO_COMMAND  # late messages of a COPY that failed: accepted and ignored, as the protocol has it
            )
        elif kind == _F:
            self._command = QUERY  # like a query it fails at once and is followed by ReadyForQuery
            raise messages.function_call_refusal()
        else:
            self._refuse_kind(kind)

    def _dispatch_special(self, kind: int, body: bytes) -> None:
        """One message while skipping or copying in."""
        if kind not in _BYTES_MAX:
            self._refuse_kind(kind)
            return
        if kind == _X:
            self._close()
            return
        session = cast(Session, self.session)
        try:
            if self._mode == SKIPPING:
                if kind == _S:
                    self._mode = NORMAL
                    self._command = SYNC
                    messages.parse_empty(body)
                    session.sync()
            elif kind == _d:
                session.copy_data(body)
            elif kind == _c:
                self._mode = NORMAL
                messages.parse_empty(body)
                session.copy_done()
            elif kind == _f:
                self._mode = NORMAL
                session.copy_fail(messages.parse_string(body))
            elif kind not in (_H, _S):
                raise messages.protocol_violation(f"unexpected message type 0x{kind:02X} during COPY from stdin")
        except Exception as error:
            self._fail(error)
        self._settle()

    def _settle(self) -> None:
        """A session method came back, or a suspended message was resumed: is the message done?"""
        if not (self._held & (SUSPENDED | CLOSED) or self._mode == COPYING_IN):
            self._complete()

    def _complete(self) -> None:
        """The message is done: ReadyForQuery where it is due."""
        command = self._command
        self._command = NO_COMMAND
        if command in (QUERY, SYNC, START) and not self._held & CLOSED:
            session = self.session
            assert session is not None
            status = session.transaction_status
            if command == START:
                self._output.append(messages.backend_key_data(self.startup.process_id, self._secret))
            if self._held & REPORTING:
                self._held &= ~REPORTING
                session.report_parameters()
            self._output.append(_READY[status])
            if self._held & DRAINING and status == "I":
                self.terminate(admin_shutdown())

    def _fail(self, error: Exception) -> None:
        """Report an error; the only place that does, and the only one that begins to skip up to Sync."""
        if not isinstance(error, SqlError):
            error = self._internal_error(error)
        self._mode = NORMAL
        if error.severity != "ERROR" or self._command == START:
            self.terminate(error)
            return
        session = cast(Session, self.session)
        prefix = session.take_prefix()
        if prefix:
            self._output.append(prefix)
        self._output.append(messages.error_response(error))
        if self._command == EXTENDED:
            self._mode = SKIPPING
        cast(Session, self.session).failed(error)

    def _internal_error(self, error: Exception) -> SqlError:
        if isinstance(error, BorealError):
            if not error.deterministic:
                raise error  # stops the node: it leaves through the event loop's exception handler
            return SqlError(error.sqlstate, str(error))
        if isinstance(error, UnicodeDecodeError):  # of a parameter: names and texts are checked where they are read
            return messages.invalid_encoding(error.object, error.start)
        if isinstance(error, MemoryError):
            return SqlError("53200", "out of memory")
        if isinstance(error, RecursionError):
            return SqlError("54001", "stack depth limit exceeded")
        logger.error("internal error in a session of process %s", self.startup.process_id, exc_info=error)
        return SqlError("XX000", f"internal error: {type(error).__name__}: {error}")

    def _check_frame(self, kind: int, length: int) -> None:
        """Refuse a message that cannot become whole: it is out of step with us, or longer than we hold."""
        bytes_max = _BYTES_MAX.get(kind)
        if bytes_max is None:
            self._refuse_kind(kind)
        elif length < 4 or length > bytes_max:
            self.terminate(messages.protocol_violation("invalid message length", severity="FATAL"))
        elif length > self._limits.message_bytes_max:
            self.terminate(
                SqlError(
                    "08P01",
                    f"message of {length} bytes is longer than the limit of {self._limits.message_bytes_max} bytes",
                    hint="Send the data in smaller statements, or with COPY.",
                    severity="FATAL",
                )
            )

    def _refuse_kind(self, kind: int) -> None:
        self.terminate(messages.protocol_violation(f"invalid frontend message type {kind}", severity="FATAL"))

    def _close(self) -> None:
        """Write what is left and close; cut the connection if the client does not take it."""
        if self._held & CLOSED:
            return
        self.flush()
        self._held |= CLOSED
        if self._channel is not None:
            self._transport.write(self._channel.close_notify())
        if self._transport.get_write_buffer_size():
            self.loop.call_later(self._limits.close_seconds_max, self._transport.abort)
        self._transport.close()
