"""COPY FROM: incremental decoders of text, csv and binary data, without IO.

    decoder = make_decoder(options, ["aid", "bid"])
    for chunk in arriving:  rows = decoder.feed(chunk)          rows: lists of one field per column
    rows = decoder.finish()

Chunks may be cut anywhere. A field is str (text, csv) or bytes (binary); None is NULL and `COPY_DEFAULT` stands for the column's
default. Fields are not converted to their types here; when a conversion fails, `error_context` gives PostgreSQL's
CONTEXT with the line number. After the end-of-data marker (`\\.`) the rest is ignored.

How the text decoder is fast: whatever ends in a newline is decoded to str in one call, split into lines in one call, and
each line into fields in one call. Only when the chunk has a backslash are lines looked at one by one, and only lines with one
take the slow path. A line that is longer than a chunk waits in a list of pieces, so long lines are not copied again
and again.

HOT: `TextDecoder.feed`: pgbench_accounts rows at more than 2 million rows/s; csv without quotes the same; csv with quotes
about 0.3 million rows/s (tests/frontend/wire/bench_wire.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from enum import Enum
from struct import Struct
from typing import Final, Protocol, TypeVar

from frontend.errors import SqlError
from frontend.wire.copy import BINARY_SIGNATURE, CopyOptions, bad_data, extra_data, missing_column
from frontend.wire.limits import MIB
from frontend.wire.messages import decode_text, invalid_encoding

LINE_BYTES_MAX = 64 * MIB
"""Longest line, or binary row, that is held in memory."""
CONTEXT_CHARACTERS_MAX = 100
"""PostgreSQL cuts the data it quotes in CONTEXT."""


class CopyMarker(Enum):
    """Fields that are neither text nor NULL."""

    DEFAULT = "default"


COPY_DEFAULT: Final = CopyMarker.DEFAULT

Field = str | bytes | CopyMarker | None
Row = Sequence[Field]
_TextRow = Sequence[str | CopyMarker | None]
_Row = TypeVar("_Row", bound=Row, covariant=True)


class Decoder(Protocol[_Row]):
    """What the three decoders have in common."""

    def feed(self, data: bytes) -> Sequence[_Row]:
        """The rows that are complete with this chunk. Raises SqlError 22P04 or 22021 for bad data."""

    def finish(self) -> Sequence[_Row]:
        """The rows that only the end of the data completes."""

    def error_context(self, table: str, row: int | None = None, column: str | None = None, value: object = None) -> str:
        """CONTEXT of an error: in row `row` (index into the batch returned last), or, with None, in decoding itself."""


def make_decoder(options: CopyOptions, columns: Sequence[str]) -> Decoder[Row]:
    """The decoder for resolved options and the names of the columns that are copied."""
    if options.format == "binary":
        return BinaryDecoder(columns)
    return CsvDecoder(options, columns) if options.format == "csv" else TextDecoder(options, columns)


class _LineDecoder:
    """Lines: from chunks to records, with the header, the end marker and line numbers."""

    carriage_return_error: tuple[str, str]
    newline_error: tuple[str, str]

    def __init__(self, options: CopyOptions, columns: Sequence[str]) -> None:
        assert options.delimiter is not None
        assert options.null is not None
        self.columns = list(columns)
        self.delimiter = options.delimiter
        self.null = options.null
        self._options_default = options.default
        # The marker means nothing in the header line.
        self.default = options.default if options.header == "none" else None
        self.finished = False
        self._header = options.header
        self._end_of_line = ""  # found out from the first line: "\n", "\r\n" or "\r"
        self._pieces: list[bytes] = []  # an unfinished line
        self._piece_bytes = 0
        self._retry_bytes = 0  # a record that spans lines is tried again only when twice as much is there
        self._first_line = 1
        self._lines_before = 0  # physical lines before the batch
        self._line_numbers: list[int] | None = None  # of the batch's rows; None: one line each, from _lines_before + 1
        self._failed_line: tuple[int, str | None] = (0, None)  # without its text when finding its end failed

    def error_context(self, table: str, row: int | None = None, column: str | None = None, value: object = None) -> str:
        """See Decoder."""
        if row is None:
            number, text = self._failed_line
            return f"COPY {table}, line {number}" + ("" if text is None else f': "{_shortened(text)}"')
        number = self._line_numbers[row] if self._line_numbers is not None else self._first_line + row
        context = f"COPY {table}, line {number}"
        if column is None:
            return context
        return f"{context}, column {column}: " + ("null input" if value is None else f'"{_shortened(str(value))}"')

    def feed(self, data: bytes) -> list[_TextRow]:
        """See Decoder."""
        if self.finished or not data:
            return []
        if not self._end_of_line:
            return self._feed_first(data)
        terminator = b"\r" if self._end_of_line == "\r" else b"\n"
        cut = data.rfind(terminator)
        if cut < 0 or self._piece_bytes + len(data) < self._retry_bytes:
            self._keep(data)
            return []
        self._retry_bytes = 0
        if self._pieces:
            complete = b"".join((*self._pieces, data[:cut]))
            self._pieces.clear()
            self._piece_bytes = 0
        else:
            complete = data[:cut]
        if cut + 1 < len(data):
            self._keep(data[cut + 1 :])
        return self._lines(complete)

    def finish(self) -> list[_TextRow]:
        """See Decoder."""
        rows = [] if self.finished else self._last_rows()
        self.finished = True
        if self._header == "match":  # no line at all counts as an empty header
            self._check_header(self._fields("", 1), "")
        return rows

    def _fields(self, line: str, number: int) -> _TextRow:
        raise NotImplementedError

    def _last_rows(self) -> list[_TextRow]:
        rest = self._take_pieces()
        if not self._end_of_line:
            # At most one line came; a carriage return at its end was its terminator.
            self._end_of_line = "\r" if rest.endswith(b"\r") else "\n"
        rows: list[_TextRow] = []
        numbers: list[int] = []
        if rest.endswith(b"\r" if self._end_of_line == "\r" else b"\n"):
            rows = self._lines(rest[:-1])
            numbers = self._numbers(len(rows))
            rest = self._take_pieces()
        if rest and not self.finished:
            more = self._lines(rest, last=True)
            numbers += self._numbers(len(more))
            rows += more
        self._line_numbers = numbers
        return rows

    def _take_pieces(self) -> bytes:
        joined = b"".join(self._pieces)
        self._pieces.clear()
        self._piece_bytes = 0
        return joined

    def _numbers(self, row_count: int) -> list[int]:
        """Line numbers of the batch's rows."""
        if self._line_numbers is not None:
            return self._line_numbers
        return list(range(self._first_line, self._first_line + row_count))

    def _feed_first(self, data: bytes) -> list[_TextRow]:
        """Until the first line's end tells how lines end."""
        after_return = bool(self._pieces) and self._pieces[-1].endswith(b"\r")
        if b"\n" not in data and b"\r" not in data and not after_return:
            self._keep(data)
            return []
        joined = b"".join((*self._pieces, data))
        self._pieces.clear()
        self._piece_bytes = 0
        position = self._first_end_of_line(joined)
        if position < 0 or (joined[position] == 13 and position + 1 == len(joined)):
            self._keep(joined)
            return []
        if joined[position] == 10:
            self._end_of_line = "\n"
        else:
            self._end_of_line = "\r\n" if joined[position + 1] == 10 else "\r"
        return self.feed(joined)

    def _first_end_of_line(self, data: bytes) -> int:
        raise NotImplementedError

    def _keep(self, data: bytes) -> None:
        self._pieces.append(data)
        self._piece_bytes += len(data)
        if self._piece_bytes > LINE_BYTES_MAX:
            raise SqlError("54000", f"a line of the COPY data is longer than {LINE_BYTES_MAX} bytes")

    def _keep_in_front(self, text: str) -> None:
        """Put back what the batch ended in the middle of: a record with a line end inside."""
        data = text.encode()
        self._pieces.insert(0, data)
        self._piece_bytes += len(data)
        self._retry_bytes = 2 * self._piece_bytes
        if self._piece_bytes > LINE_BYTES_MAX:
            raise SqlError("54000", f"a line of the COPY data is longer than {LINE_BYTES_MAX} bytes")

    def _lines(self, complete: bytes, last: bool = False) -> list[_TextRow]:
        """Rows of whole lines (the last one without its terminator)."""
        try:
            text = complete.decode()
        except UnicodeDecodeError as error:
            self._failed_line = (self._lines_before + complete.count(b"\n", 0, error.start) + 1, None)
            raise invalid_encoding(complete, error.start) from None
        if "\0" in text:
            self._failed_line = (self._lines_before + text.count("\n", 0, text.index("\0")) + 1, None)
            raise invalid_encoding(b"\0", 0)
        self._line_numbers = None
        self._first_line = self._lines_before + 1
        return self._records(text, last)

    def _records(self, text: str, last: bool) -> list[_TextRow]:
        raise NotImplementedError

    def _fail_at(self, number: int, line: str | None, error: SqlError) -> SqlError:
        self._failed_line = (number, line)
        return error

    def _check_header(self, fields: _TextRow, line: str) -> None:
        """HEADER MATCH: PostgreSQL's comparison, field by field."""
        if self._header == "match":
            if len(fields) != len(self.columns):
                raise self._fail_at(
                    1,
                    line,
                    bad_data(f"wrong number of fields in header line: got {len(fields)}, expected {len(self.columns)}"),
                )
            for number, (field, name) in enumerate(zip(fields, self.columns, strict=True), 1):
                if field is None:
                    error = bad_data(
                        f'column name mismatch in header line field {number}: got null value ("{self.null}"), '
                        f'expected "{name}"'
                    )
                    raise self._fail_at(1, line, error)
                if field != name:
                    error = bad_data(
                        f'column name mismatch in header line field {number}: got "{field}", expected "{name}"'
                    )
                    raise self._fail_at(1, line, error)
        self._header = "none"
        self.default = self._options_default

    def _check_count(self, count: int, number: int, line: str) -> None:
        expected = len(self.columns)
        if count > expected:
            raise self._fail_at(number, line, extra_data())
        if count < expected:
            raise self._fail_at(number, line, missing_column(self.columns, count))


def _shortened(text: str) -> str:
    return text if len(text) <= CONTEXT_CHARACTERS_MAX else text[:CONTEXT_CHARACTERS_MAX] + "..."


# --- text ---------------------------------------------------------------------------------------------------------

_ESCAPE = re.compile(rb"\\([0-7]{1,3}|x[0-9A-Fa-f]{1,2}|[\s\S]|\Z)")
_LETTERS = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_MARK_OR_LINE_END = re.compile(r"\\([\s\S])|([\r\n])")
_TEXT_END_OF_LINE = re.compile(rb"\\[\s\S]|([\r\n])")


def _unescape_one(match: re.Match[bytes]) -> bytes:
    escaped = match[1]
    if escaped[0:1].isdigit() and escaped < b"8":
        return bytes((int(escaped, 8) & 0xFF,))
    if len(escaped) > 1:
        return bytes((int(escaped[1:], 16),))
    return _LETTERS.get(escaped, escaped)


def _unescape(field: str) -> str:
    return decode_text(_ESCAPE.sub(_unescape_one, field.encode()))


class TextDecoder(_LineDecoder):
    """COPY's own text format."""

    carriage_return_error = ("literal carriage return found in data", 'Use "\\r" to represent carriage return.')
    newline_error = ("literal newline found in data", 'Use "\\n" to represent newline.')

    def __init__(self, options: CopyOptions, columns: Sequence[str]) -> None:
        super().__init__(options, columns)
        # Markers without a backslash can be met on the fast path, too.
        self._plain_markers = {
            marker: value
            for marker, value in ((self.null, None), (options.default, COPY_DEFAULT))
            if marker is not None and "\\" not in marker
        }

    def _first_end_of_line(self, data: bytes) -> int:
        return next((found.start() for found in _TEXT_END_OF_LINE.finditer(data) if found[1]), -1)

    def _records(self, text: str, last: bool) -> list[_TextRow]:
        if "\\" in text or self._header != "none" or self._end_of_line != "\n" or "\r" in text:
            return self._careful_records(text, last)
        delimiter = self.delimiter
        lines = text.split("\n")
        rows: list[_TextRow] = [line.split(delimiter) for line in lines]
        if set(map(len, rows)) != {len(self.columns)}:
            rows = [self._plain_row(line, self._first_line + index) for index, line in enumerate(lines)]
        elif self._plain_markers:
            rows = [self._with_markers(row) for row in rows]
        self._lines_before += len(rows)
        return rows

    def _plain_row(self, line: str, number: int) -> _TextRow:
        fields: _TextRow = line.split(self.delimiter) if self.columns or line else []
        self._check_count(len(fields), number, line)
        return self._with_markers(fields) if self._plain_markers else fields

    def _with_markers(self, fields: _TextRow) -> _TextRow:
        markers = self._plain_markers
        return [markers.get(field, field) for field in fields]  # type: ignore[arg-type]

    def _careful_records(self, text: str, last: bool) -> list[_TextRow]:
        """Line by line: escapes, the header, other line ends than newline."""
        rows: list[_TextRow] = []
        numbers: list[int] = []
        end_of_line = self._end_of_line
        if end_of_line == "\r\n" and not last:
            # The batch was cut at a newline. Without a carriage return before it, it is one too many.
            text = text[:-1] if text.endswith("\r") else text + "\n"
        pending: str | None = None
        pieces = text.split(end_of_line)
        unterminated = len(pieces) - 1 if last else -1
        for index, piece in enumerate(pieces):
            line = piece if pending is None else pending + end_of_line + piece
            if piece.endswith("\\") and _ends_escaping(line):
                pending = line
                continue
            pending = None
            if index == unterminated and not line:
                break
            if self._take(line, rows, numbers, index == unterminated):
                return rows
        if pending is not None:
            if last:
                self._take(pending, rows, numbers, True)
            else:
                self._keep_in_front(pending + end_of_line)
        self._line_numbers = numbers
        return rows

    def _check_line_end(self, line: str, number: int, last: bool) -> int:
        """Position of the end-of-data marker in the line or -1; refuses one that is not at the end, and stray line ends."""
        for found in _MARK_OR_LINE_END.finditer(line):
            if found[2]:
                message, hint = self.carriage_return_error if found[2] == "\r" else self.newline_error
                raise self._fail_at(number, None, bad_data(message, hint=hint))
            if found[1] == ".":
                after = line[found.end() :]
                if not after and not last:
                    return found.start()
                style = after[:1] in ("\r", "\n") and not (self._end_of_line == "\r\n" and re.match("\r[^\r]", after))
                what = "does not match previous newline style" if style else "corrupt"
                raise self._fail_at(number, None, bad_data(f"end-of-copy marker {what}"))
        return -1

    def _take(self, line: str, rows: list[_TextRow], numbers: list[int], last: bool) -> bool:
        """Add one line's row; True at the end-of-data marker."""
        self._lines_before += 1
        number = self._lines_before
        ended = False
        if "\\." in line or "\r" in line or "\n" in line:
            mark = self._check_line_end(line, number, last)
            if mark >= 0:
                self.finished = ended = True
                self._line_numbers = numbers
                line = line[:mark]
                if not line:
                    return True
        if self._header != "none":
            self._check_header(self._fields(line, number) if self._header == "match" else [], line)
            return ended
        if "\\" in line:
            fields = self._fields(line, number)
            self._check_count(len(fields), number, line)
        else:
            fields = self._plain_row(line, number)
        rows.append(fields)
        numbers.append(number)
        return ended

    def _fields(self, line: str, number: int) -> _TextRow:
        raw = line.split(self.delimiter) if self.columns or line else []
        if "\\" in line:
            raw = self._rejoined(raw)
            if _ends_escaping(line):  # the input ends here: PostgreSQL drops it before it looks for markers
                raw[-1] = raw[-1][:-1]
        fields: list[str | CopyMarker | None] = []
        for field in raw:
            if field == self.null:
                fields.append(None)
            elif field == self.default:
                fields.append(COPY_DEFAULT)
            elif "\\" in field:
                try:
                    fields.append(_unescape(field))
                except SqlError as error:
                    raise self._fail_at(number, line, error) from None
            else:
                fields.append(field)
        return fields

    def _rejoined(self, raw: list[str]) -> list[str]:
        """Undo splits at delimiters that were escaped."""
        result: list[str] = []
        pending: str | None = None
        for piece in raw:
            field = piece if pending is None else pending + self.delimiter + piece
            if piece.endswith("\\") and _ends_escaping(field):
                pending = field
            else:
                result.append(field)
                pending = None
        if pending is not None:
            result.append(pending)
        return result


def _ends_escaping(text: str) -> bool:
    """Whether the final backslash escapes what follows."""
    return (len(text) - len(text.rstrip("\\"))) % 2 == 1


# --- csv ----------------------------------------------------------------------------------------------------------


class CsvDecoder(_LineDecoder):
    """CSV as PostgreSQL reads it: quotes may open and close anywhere in a field; only unquoted text can be NULL."""

    carriage_return_error = (
        "unquoted carriage return found in data",
        "Use quoted CSV field to represent carriage return.",
    )
    newline_error = ("unquoted newline found in data", "Use quoted CSV field to represent newline.")

    def __init__(self, options: CopyOptions, columns: Sequence[str]) -> None:
        super().__init__(options, columns)
        assert options.quote is not None
        assert options.escape is not None
        self.quote = options.quote
        self.escape = options.escape
        self._force_not_null = options.force_not_null
        self._force_null = options.force_null
        quote, escape = re.escape(self.quote), re.escape(self.escape)
        self._outside = re.compile(f"[{re.escape(self.delimiter)}{quote}]").search
        self._inside = re.compile(f"[{quote}{escape}]").search
        # A quoted section, whole or open-ended.
        if self.quote == self.escape:
            section = f"{quote}(?:[^{quote}])*({quote}|\\Z)"
        else:
            section = f"{quote}(?:[^{quote}{escape}]|{escape}[{quote}{escape}]|{escape})*?({quote}|\\Z)"
        self._section = re.compile(section)
        self._end_of_line_search = re.compile(f"{section}|([\r\n])".encode())

    def _first_end_of_line(self, data: bytes) -> int:
        return next((found.start() for found in self._end_of_line_search.finditer(data) if found[2]), -1)

    def _records(self, text: str, last: bool) -> list[_TextRow]:
        plain = self.quote not in text and self._header == "none" and "\\." not in text
        if plain and self._end_of_line == "\n" and "\r" not in text and not self._force_null | self._force_not_null:
            return self._plain_records(text)
        rows: list[_TextRow] = []
        numbers: list[int] = []
        end_of_line = "\r" if self._end_of_line == "\r" else "\n"
        pending: list[str] = []
        quotes_open = False
        for piece in text.split(end_of_line):
            pending.append(piece)
            if self.quote in piece and self._toggles(piece, quotes_open):
                quotes_open = not quotes_open
            if quotes_open:
                continue
            line = piece if len(pending) == 1 else end_of_line.join(pending)
            if self._take(line, rows, numbers, last):
                return rows
            pending.clear()
        if pending:
            line = end_of_line.join(pending)
            if last:
                self._take(line, rows, numbers, last)
            else:
                self._keep_in_front(line + end_of_line)
        self._line_numbers = numbers
        return rows

    def _plain_records(self, text: str) -> list[_TextRow]:
        lines = text.split("\n")
        rows: list[_TextRow] = []
        delimiter, null, default, count = self.delimiter, self.null, self.default, len(self.columns)
        for index, line in enumerate(lines):
            fields: _TextRow = line.split(delimiter) if count or line else []
            if len(fields) != count:
                self._check_count(len(fields), self._first_line + index, line)
            if null in fields:
                fields = [None if field == null else field for field in fields]
            if default is not None and default in fields:
                fields = [COPY_DEFAULT if field == default else field for field in fields]
            rows.append(fields)
        self._lines_before += len(lines)
        return rows

    def _toggles(self, piece: str, quotes_open: bool) -> bool:
        """Whether quoting is the other way round after this piece of a record."""
        if self.quote == self.escape:
            return piece.count(self.quote) % 2 == 1
        state = quotes_open
        escaped = False
        for character in piece:
            if state and character == self.escape:
                escaped = not escaped
            if character == self.quote and not escaped:
                state = not state
            if character != self.escape:
                escaped = False
        return state != quotes_open

    def _take(self, line: str, rows: list[_TextRow], numbers: list[int], last: bool) -> bool:
        """Add one record's row; True at the end-of-data marker."""
        carriage_return = self._end_of_line == "\r\n" and line.endswith("\r")
        content = line[:-1] if carriage_return else line
        # Line ends inside quotes count, but like in PostgreSQL not before the first record told what a line end is.
        inside = content.count("\n" if self._end_of_line == "\n" else "\r") if self._lines_before else 0
        self._lines_before += 1 + inside
        number = self._lines_before
        if self._end_of_line == "\r\n" and not carriage_return and not last:
            raise self._fail_at(number, None, bad_data(self.newline_error[0], hint=self.newline_error[1]))
        line = content
        if line == "\\." and not last:
            self.finished = True
            self._line_numbers = numbers
            return True
        for character, (message, hint) in (("\r", self.carriage_return_error), ("\n", self.newline_error)):
            if character in line and character in self._section.sub("", line):
                raise self._fail_at(number, None, bad_data(message, hint=hint))
        if self._header != "none":
            self._check_header(self._fields(line, number) if self._header == "match" else [], line)
            return False
        fields = self._fields(line, number)
        self._check_count(len(fields), number, line)
        if self._force_not_null or self._force_null:
            fields = self._forced(fields)
        rows.append(fields)
        numbers.append(number)
        return False

    def _forced(self, fields: _TextRow) -> _TextRow:
        result = list(fields)
        for index, field in enumerate(fields):
            if field is None and index in self._force_not_null:
                result[index] = self.null
            elif field == self.null and index in self._force_null:
                result[index] = None
        return result

    def _marked(self, field: str) -> str | CopyMarker | None:
        return None if field == self.null else COPY_DEFAULT if field == self.default else field

    def _fields(self, line: str, number: int) -> _TextRow:
        if not self.columns and not line:
            return []
        if self.quote not in line:
            return [self._marked(field) for field in line.split(self.delimiter)]
        fields: list[str | CopyMarker | None] = []
        position = 0
        size = len(line)
        quote, escape, delimiter = self.quote, self.escape, self.delimiter
        while True:
            parts: list[str] = []
            quoted = False
            more = False
            while True:
                found = self._outside(line, position)
                if found is None:
                    parts.append(line[position:])
                    break
                parts.append(line[position : found.start()])
                position = found.end()
                if found[0] == delimiter:
                    more = True
                    break
                quoted = True
                while True:
                    found = self._inside(line, position)
                    if found is None:
                        raise self._fail_at(number, line, bad_data("unterminated CSV quoted field"))
                    parts.append(line[position : found.start()])
                    position = found.end()
                    if found[0] == escape and position < size and line[position] in (escape, quote):
                        parts.append(line[position])
                        position += 1
                    elif found[0] == quote:
                        break
                    else:
                        parts.append(found[0])
            field = parts[0] if len(parts) == 1 else "".join(parts)
            fields.append(field if quoted else self._marked(field))
            if not more:
                return fields


# --- binary -------------------------------------------------------------------------------------------------------

_INT16: Callable[[bytes, int], tuple[int]] = Struct("!h").unpack_from
_INT32: Callable[[bytes, int], tuple[int]] = Struct("!i").unpack_from
_BINARY_HEADER_BYTES = len(BINARY_SIGNATURE) + 8
_CRITICAL_FLAGS = 0xFFFF0000 & ~(1 << 16)


class BinaryDecoder:
    """The binary format, version 1: a header, rows of counted fields, a trailer."""

    def __init__(self, columns: Sequence[str]) -> None:
        self.columns = list(columns)
        self.finished = False
        self._buffer = b""
        self._pieces: list[bytes] = []
        self._buffered = 0
        self._needed = _BINARY_HEADER_BYTES
        self._header_done = False
        self._rows_before = 0
        self._rows_in_batch = 0

    def error_context(self, table: str, row: int | None = None, column: str | None = None, value: object = None) -> str:
        """See Decoder."""
        index = self._rows_in_batch if row is None else row
        context = f"COPY {table}, line {self._rows_before + index + 1}"
        return context if column is None else f"{context}, column {column}"

    def feed(self, data: bytes) -> list[list[bytes | None]]:
        """See Decoder."""
        self._rows_before += self._rows_in_batch
        self._rows_in_batch = 0
        if self.finished:
            if data:
                raise bad_data("received copy data after EOF marker")
            return []
        self._pieces.append(data)
        self._buffered += len(data)
        if self._buffered < self._needed:
            if self._buffered > LINE_BYTES_MAX:
                raise SqlError("54000", f"a row of the COPY data is longer than {LINE_BYTES_MAX} bytes")
            return []
        buffer = b"".join((self._buffer, *self._pieces))
        self._pieces.clear()
        position = 0
        if not self._header_done:
            position = self._read_header(buffer)
        rows: list[list[bytes | None]] = []
        self._needed = 0
        while position >= 0 and not self.finished:
            after = self._read_row(buffer, position, rows)
            if after < 0:
                break
            position = after
            self._rows_in_batch = len(rows)
        position = max(position, 0)
        if self.finished and position < len(buffer):
            raise bad_data("received copy data after EOF marker")
        self._buffer = buffer[position:]
        self._buffered = len(self._buffer)
        return rows

    def finish(self) -> list[list[bytes | None]]:
        """See Decoder. Like PostgreSQL, accepts an end before a row's field count is whole."""
        if not self.finished:
            if not self._header_done:
                raise bad_data("COPY file signature not recognized")
            if self._buffered > 1:
                raise bad_data("unexpected EOF in COPY data")
        self.finished = True
        return []

    def _read_header(self, buffer: bytes) -> int:
        """Position after the header, or -1 when it is not whole."""
        size = len(BINARY_SIGNATURE)
        if buffer[:size] != BINARY_SIGNATURE:
            raise bad_data("COPY file signature not recognized")
        (flags,) = _INT32(buffer, size)
        (extension_bytes,) = _INT32(buffer, size + 4)
        if flags & (1 << 16):
            raise bad_data("invalid COPY file header (WITH OIDS)")
        if flags & _CRITICAL_FLAGS:
            raise bad_data("unrecognized critical flags in COPY file header")
        if extension_bytes < 0:
            raise bad_data("invalid COPY file header (missing length)")
        end = _BINARY_HEADER_BYTES + extension_bytes
        if len(buffer) < end:
            self._needed = end
            return -1
        self._header_done = True
        return end

    def _read_row(self, buffer: bytes, position: int, rows: list[list[bytes | None]]) -> int:
        """Position after the row at `position`, or -1 when it is not whole."""
        start = position
        size = len(buffer)
        if size - position < 2:
            return -1
        (count,) = _INT16(buffer, position)
        position += 2
        if count == -1:
            self.finished = True
            return position
        if count != len(self.columns):
            raise bad_data(f"row field count is {count}, expected {len(self.columns)}")
        fields: list[bytes | None] = []
        for _ in range(count):
            if size - position < 4:
                return -1
            (length,) = _INT32(buffer, position)
            position += 4
            if length == -1:
                fields.append(None)
                continue
            if length < 0:
                raise bad_data("invalid field size")
            if size - position < length:
                self._needed = position + length - start
                return -1
            fields.append(buffer[position : position + length])
            position += length
        rows.append(fields)
        return position
