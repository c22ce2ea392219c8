"""The messages of protocol 3.0, both directions, without IO.

A message is a type byte, a length that counts itself but not the type, and a body. Only the first packet of a connection
has no type. Everything a server says is built here, as bytes that can be joined and written; every body that a client
sends is taken apart here, or refused: 08P01 when it is malformed, 22021 when text is not UTF-8, both in PostgreSQL's
words. Framing (finding where a message ends) is the connection's job.

Source: PostgreSQL manual, chapter 55.7 "Message Formats" and 55.8 "Error and Notice Message Fields".

HOT: `parse_bind`, `parse_execute`, `command_complete`, the constants. Each costs well below 2 µs; the benchmark is
tests/frontend/wire/bench_wire.py. DataRow, the hottest message of all, is built by rowencoder.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from struct import Struct
from struct import error as StructError
from typing import Literal, NamedTuple, NoReturn

from frontend.errors import SqlError

PROTOCOL_VERSION = 196608
CANCEL_REQUEST = 80877102
SSL_REQUEST = 80877103
GSSENC_REQUEST = 80877104

STARTUP_BYTES_MAX = 10_000
"""Longest start-up packet, counted like PostgreSQL: without its length word."""

_HEADER = Struct("!cI").pack
_UINT16 = Struct("!H")
_INT32 = Struct("!i")
_COLUMN = Struct("!IhIhih").pack
_STARTUP_HEAD = Struct("!I").unpack_from


# --- refusals -----------------------------------------------------------------------------------------------------


def protocol_violation(message: str, *, severity: str = "ERROR") -> SqlError:
    """08P01: the client broke the protocol."""
    return SqlError("08P01", message, severity=severity)


def invalid_encoding(data: bytes, start: int) -> SqlError:
    """22021 for the malformed sequence that begins at `start`, in PostgreSQL's words: at most the bytes that the first
    one announces."""
    first = data[start]
    announced = 2 if first & 0xE0 == 0xC0 else 3 if first & 0xF0 == 0xE0 else 4 if first & 0xF8 == 0xF0 else 1
    shown = " ".join(f"0x{byte:02x}" for byte in data[start : start + announced])
    return SqlError("22021", f'invalid byte sequence for encoding "UTF8": {shown}')


def decode_text(data: bytes) -> str:
    """A text value from the client (a parameter in text format, a COPY field) as str.

    Raises:
        SqlError: 22021 for invalid UTF-8 and for a zero byte, which PostgreSQL's text cannot hold.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise invalid_encoding(data, error.start) from None
    if "\0" in text:
        raise invalid_encoding(b"\0", 0)
    return text


def _string(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise invalid_encoding(data, error.start) from None


def _refuse(error: Exception) -> NoReturn:
    raise protocol_violation("insufficient data left in message") from error


# --- frontend messages --------------------------------------------------------------------------------------------


class Bind(NamedTuple):
    """Body of Bind; field order is the argument order of `Session.bind`."""

    portal: str
    statement: str
    parameter_formats: tuple[int, ...]
    parameters: list[bytes | None]
    result_formats: tuple[int, ...]


def take_string(body: bytes, position: int) -> tuple[str, int]:
    """The zero-terminated string at `position`, and the position after it."""
    end = body.find(0, position)
    if end < 0:
        raise protocol_violation("invalid string in message")
    return _string(body[position:end]), end + 1


def parse_string(body: bytes) -> str:
    """A body that is one string: Query, CopyFail, PasswordMessage."""
    text, end = take_string(body, 0)
    if end != len(body):
        raise protocol_violation("invalid message format")
    return text


def parse_empty(body: bytes) -> None:
    """A body that must be empty: Sync, Flush, CopyDone."""
    if body:
        raise protocol_violation("invalid message format")


def parse_parse(body: bytes) -> tuple[str, str, tuple[int, ...]]:
    """Parse: statement name, SQL, parameter type OIDs (0: unspecified)."""
    name, position = take_string(body, 0)
    sql, position = take_string(body, position)
    try:
        (count,) = _UINT16.unpack_from(body, position)
        types: tuple[int, ...] = Struct(f"!{count}I").unpack_from(body, position + 2) if count else ()
    except StructError as error:
        _refuse(error)
    if position + 2 + 4 * count != len(body):
        raise protocol_violation("invalid message format")
    return name, sql, types


def _take_formats(body: bytes, position: int) -> tuple[tuple[int, ...], int]:
    (count,) = _UINT16.unpack_from(body, position)
    position += 2
    if count == 0:
        return (), position
    formats: tuple[int, ...] = Struct(f"!{count}h").unpack_from(body, position)
    return formats, position + 2 * count


def parse_bind(body: bytes) -> Bind:
    """Bind, with the parameters as raw bytes (None is NULL)."""
    portal, position = take_string(body, 0)
    statement, position = take_string(body, position)
    size = len(body)
    take_length = _INT32.unpack_from
    try:
        parameter_formats, position = _take_formats(body, position)
        (count,) = _UINT16.unpack_from(body, position)
        position += 2
        if len(parameter_formats) > 1 and len(parameter_formats) != count:
            raise protocol_violation(
                f"bind message has {len(parameter_formats)} parameter formats but {count} parameters"
            )
        parameters: list[bytes | None] = []
        for _ in range(count):
            (length,) = take_length(body, position)
            position += 4
            if length == -1:
                parameters.append(None)
            else:
                end = position + length
                if length < 0 or end > size:
                    raise protocol_violation("insufficient data left in message")
                parameters.append(body[position:end])
                position = end
        result_formats, position = _take_formats(body, position)
    except StructError as error:
        _refuse(error)
    if position != size:
        raise protocol_violation("invalid message format")
    return Bind(portal, statement, parameter_formats, parameters, result_formats)


def bind_head(body: bytes) -> bytes | None:
    """What is the same in every Bind of one statement that libpq sends: unnamed portal, statement, no parameter formats, number
    of parameters. None for any other Bind."""
    end = body.find(0, 1) + 5
    return body[:end] if body[:1] == b"\0" and end > 4 and body[end - 4 : end - 2] == b"\0\0" else None


USUAL_RESULT_FORMATS: dict[bytes, tuple[int, ...]] = {
    b"\0\0": (),
    b"\0\1\0\0": (0,),
    b"\0\1\0\1": (1,),
}
"""The end of a Bind, as sent, and what it means."""


def parse_target(body: bytes, message: Literal["DESCRIBE", "CLOSE"]) -> tuple[str, str]:
    """Describe or Close: "S" (statement) or "P" (portal), and a name."""
    if not body:
        raise protocol_violation("no data left in message")
    name, end = take_string(body, 1)
    if end != len(body):
        raise protocol_violation("invalid message format")
    kind = chr(body[0])
    if kind not in "SP":
        raise protocol_violation(f"invalid {message} message subtype {body[0]}")
    return kind, name


def parse_execute(body: bytes) -> tuple[str, int]:
    """Execute: portal name and the most rows to return; 0 (also for a negative count) means all."""
    portal, position = take_string(body, 0)
    if position + 4 != len(body):
        raise protocol_violation(
            "insufficient data left in message" if position + 4 > len(body) else "invalid message format"
        )
    (count,) = _INT32.unpack_from(body, position)
    return portal, max(count, 0)


def parse_sasl_initial_response(body: bytes) -> tuple[str, bytes | None]:
    """SASLInitialResponse: mechanism and the client's first message, if it came along."""
    mechanism, position = take_string(body, 0)
    try:
        (length,) = _INT32.unpack_from(body, position)
    except StructError as error:
        _refuse(error)
    position += 4
    if length == -1:
        data = None
    else:
        data = body[position : position + length]
        if length < 0 or len(data) != length:
            raise protocol_violation("insufficient data left in message")
        position += length
    if position != len(body):
        raise protocol_violation("invalid message format")
    return mechanism, data


def startup_code(packet: bytes) -> int:
    """The first word of a start-up packet (without its length): a protocol version or a request code."""
    (code,) = _STARTUP_HEAD(packet)
    return int(code)


def parse_startup(packet: bytes) -> dict[str, str]:
    """Parameters of a StartupMessage (the packet without its length word); later duplicates win."""
    if packet[-1:] != b"\0":
        raise _startup_layout()
    parameters: dict[str, str] = {}
    position = 4
    while True:
        if position >= len(packet):
            raise _startup_layout()
        if packet[position] == 0:
            break
        try:
            name, position = take_string(packet, position)
            value, position = take_string(packet, position)
        except SqlError as error:
            if error.sqlstate == "08P01":
                raise _startup_layout() from None
            raise
        parameters[name] = value
    if position != len(packet) - 1:
        raise _startup_layout()
    return parameters


def _startup_layout() -> SqlError:
    return protocol_violation("invalid startup packet layout: expected terminator as last byte", severity="FATAL")


def parse_options(options: str) -> list[tuple[str, str]]:
    """The settings in a start-up parameter `options`: `-c name=value` and `--name=value`, words split at white space,
    backslash escapes. Like PostgreSQL, "-" in a name stands for "_".

    Raises:
        SqlError: 42601, FATAL, for anything that is not a setting.
    """
    words: list[str] = []
    word: list[str] | None = None
    escaped = False
    for character in options:
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
            word = [] if word is None else word
            continue
        elif character in " \t\n\v\f\r":
            if word is not None:
                words.append("".join(word))
                word = None
            continue
        word = [character] if word is None else [*word, character]
    if word is not None:
        words.append("".join(word))

    settings: list[tuple[str, str]] = []
    remaining = iter(words)
    for argument in remaining:
        if argument == "-c":
            assignment = next(remaining, "")
        elif argument.startswith(("-c", "--")) and len(argument) > 2:
            assignment = argument[2:]
        else:
            raise SqlError("42601", f"invalid command-line argument for server process: {argument}", severity="FATAL")
        name, equals, value = assignment.partition("=")
        if not equals or not name:
            raise SqlError(
                "42601",
                f"{'--' if argument.startswith('--') else '-c '}{assignment} requires a value",
                severity="FATAL",
            )
        settings.append((name.replace("-", "_"), value))
    return settings


# --- backend messages ---------------------------------------------------------------------------------------------


def message(kind: bytes, body: bytes) -> bytes:
    """Any message: type byte, length, body."""
    return _HEADER(kind, len(body) + 4) + body


def _cstring(text: str) -> bytes:
    # A zero byte would end the string early and break the frame, so it cannot be let through.
    return text.encode("utf-8", "replace").replace(b"\0", b"?") + b"\0"


READY_FOR_QUERY = {status: message(b"Z", status.encode()) for status in "ITE"}
"""ReadyForQuery for each transaction status."""
AUTHENTICATION_OK = message(b"R", _INT32.pack(0))
AUTHENTICATION_CLEARTEXT_PASSWORD = message(b"R", _INT32.pack(3))
NO_DATA = message(b"n", b"")
PARSE_COMPLETE = message(b"1", b"")
BIND_COMPLETE = message(b"2", b"")
CLOSE_COMPLETE = message(b"3", b"")
PORTAL_SUSPENDED = message(b"s", b"")
EMPTY_QUERY_RESPONSE = message(b"I", b"")
COPY_DONE = message(b"c", b"")


def authentication_sasl(mechanisms: Sequence[str]) -> bytes:
    """AuthenticationSASL: the mechanisms on offer, best first."""
    return message(b"R", _INT32.pack(10) + b"".join(map(_cstring, mechanisms)) + b"\0")


def authentication_sasl_continue(data: bytes) -> bytes:
    """AuthenticationSASLContinue."""
    return message(b"R", _INT32.pack(11) + data)


def authentication_sasl_final(data: bytes) -> bytes:
    """AuthenticationSASLFinal."""
    return message(b"R", _INT32.pack(12) + data)


def parameter_status(name: str, value: str) -> bytes:
    """ParameterStatus: a setting that drivers follow has this value now."""
    return message(b"S", _cstring(name) + _cstring(value))


def backend_key_data(process_id: int, secret_key: int) -> bytes:
    """BackendKeyData: what a CancelRequest must repeat; both are unsigned 32-bit numbers."""
    return message(b"K", Struct("!II").pack(process_id, secret_key))


def negotiate_protocol_version(options: Sequence[str]) -> bytes:
    """NegotiateProtocolVersion: we speak 3.0, and do not know these protocol options."""
    body = Struct("!II").pack(PROTOCOL_VERSION, len(options)) + b"".join(map(_cstring, options))
    return message(b"v", body)


class Column(NamedTuple):
    """One column of a RowDescription.

    Args:
        type_size: pg_type.typlen; -1 and -2 are variable.
        type_modifier: atttypmod, -1 for none.
        format_code: 0 text, 1 binary.
    """

    name: str
    table_oid: int
    attribute_number: int
    type_oid: int
    type_size: int
    type_modifier: int
    format_code: int = 0


def row_description(columns: Iterable[Column]) -> bytes:
    """RowDescription."""
    parts = [
        _cstring(name) + _COLUMN(table, attribute, oid, size, modifier, format_code)
        for name, table, attribute, oid, size, modifier, format_code in columns
    ]
    return message(b"T", _UINT16.pack(len(parts)) + b"".join(parts))


def parameter_description(type_oids: Sequence[int]) -> bytes:
    """ParameterDescription."""
    return message(b"t", Struct(f"!H{len(type_oids)}I").pack(len(type_oids), *type_oids))


def data_row(values: Sequence[bytes | None]) -> bytes:
    """DataRow from encoded values. For many rows of known types use rowencoder.py."""
    parts = [_UINT16.pack(len(values))]
    for value in values:
        if value is None:
            parts.append(b"\xff\xff\xff\xff")
        else:
            parts.append(_INT32.pack(len(value)))
            parts.append(value)
    return message(b"D", b"".join(parts))


def command_complete(tag: str) -> bytes:
    """CommandComplete with a tag such as `INSERT 0 1`."""
    body = tag.encode() + b"\0"
    return _HEADER(b"C", len(body) + 4) + body


def _report(kind: bytes, error: SqlError, severity: str) -> bytes:
    fields: list[tuple[str, str | None]] = [
        ("S", severity),
        ("V", severity),
        ("C", error.sqlstate),
        ("M", error.message),
        ("D", error.detail),
        ("H", error.hint),
        ("P", None if error.position is None else str(error.position)),
        ("W", error.context),
        ("s", error.schema),
        ("t", error.table),
        ("c", error.column),
        ("d", error.datatype),
        ("n", error.constraint),
    ]
    body = b"".join(code.encode() + _cstring(value) for code, value in fields if value is not None)
    return message(kind, body + b"\0")


def error_response(error: SqlError, *, severity: str | None = None) -> bytes:
    """ErrorResponse; `severity` overrides the error's own (FATAL for one that ends the connection)."""
    return _report(b"E", error, severity or error.severity)


def notice_response(notice: SqlError) -> bytes:
    """NoticeResponse; the severity of `notice` is WARNING, NOTICE, INFO, LOG or DEBUG."""
    return _report(b"N", notice, notice.severity)


def notification_response(process_id: int, channel: str, payload: str) -> bytes:
    """NotificationResponse."""
    return message(b"A", Struct("!I").pack(process_id) + _cstring(channel) + _cstring(payload))


def _copy_response(kind: bytes, format_code: int, column_formats: Sequence[int]) -> bytes:
    count = len(column_formats)
    return message(kind, Struct(f"!bH{count}h").pack(format_code, count, *column_formats))


def copy_in_response(format_code: int, column_formats: Sequence[int]) -> bytes:
    """CopyInResponse: overall format 0 (text, csv) or 1 (binary), and one format per column."""
    return _copy_response(b"G", format_code, column_formats)


def copy_out_response(format_code: int, column_formats: Sequence[int]) -> bytes:
    """CopyOutResponse: overall format 0 (text, csv) or 1 (binary), and one format per column."""
    return _copy_response(b"H", format_code, column_formats)


def copy_both_response(format_code: int = 0, column_formats: Sequence[int] = ()) -> bytes:
    """CopyBothResponse: streaming replication."""
    return _copy_response(b"W", format_code, column_formats)


def copy_data(data: bytes) -> bytes:
    """CopyData."""
    return message(b"d", data)


def function_call_refusal() -> SqlError:
    """0A000: the answer to FunctionCall, an interface that the manual itself calls obsolete."""
    return SqlError("0A000", "function call protocol is not supported", hint="Use SELECT with the function instead.")
