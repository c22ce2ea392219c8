"""COPY codecs against PostgreSQL itself.

Goal: rows, SQLSTATEs, messages and CONTEXT are PostgreSQL's, for data cut into chunks anywhere. Method: the same bytes go
through our decoder and through `COPY … FROM STDIN` of the oracle into a table of text columns; the same rows go through our
encoder and `COPY … TO STDOUT`. Hypothesis draws the data from alphabets in which every special character is frequent.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from frontend.errors import SqlError
from frontend.wire import copy_in, copy_out
from frontend.wire.copy import BINARY_SIGNATURE, CopyOptions
from tests.oracle import Oracle

COLUMNS = ["a", "b"]
Outcome = tuple[str, Any]


@pytest.fixture(scope="module")
def postgres(oracle: Oracle) -> Iterator[psycopg.Connection]:
    with psycopg.connect(oracle.dsn, autocommit=True) as connection:
        connection.execute("create temp table t (a text default 'DA', b text default 'DB', id serial)")
        yield connection


def with_list(options: CopyOptions) -> str:
    """The options as SQL."""

    def literal(text: str) -> str:
        return "e'" + "".join(f"\\x{byte:02x}" if byte < 128 else chr(byte) for byte in text.encode()) + "'"

    items = [f"format {options.format}"]
    for name in ("delimiter", "null", "quote", "escape", "default"):
        value = getattr(options, name)
        if value is not None:
            items.append(f"{name} {literal(value)}")
    if options.header != "none":
        items.append("header match" if options.header == "match" else "header")
    for name in ("force_quote", "force_not_null", "force_null"):
        indexes = getattr(options, name)
        if indexes:
            items.append(f"{name} ({', '.join(COLUMNS[index] for index in sorted(indexes))})")
    return f"with ({', '.join(items)})"


def theirs(postgres: psycopg.Connection, options: CopyOptions, data: bytes) -> Outcome:
    postgres.execute("truncate t restart identity")
    try:
        with postgres.cursor().copy(f"copy t (a, b) from stdin {with_list(options)}") as copy:
            copy.write(data)
    except psycopg.Error as error:
        return ("error", (error.sqlstate, error.diag.message_primary, error.diag.message_hint, error.diag.context))
    return ("rows", postgres.execute("select a, b from t order by id").fetchall())


def ours(options: CopyOptions, data: bytes, cuts: list[int]) -> Outcome:
    try:
        decoder = copy_in.make_decoder(options.resolved(copy_from=True), COLUMNS)
    except SqlError as error:
        return ("error", (error.sqlstate, error.message, error.hint, None))
    rows: list[copy_in.Row] = []
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    try:
        for start, end in zip(edges, edges[1:], strict=False):
            rows += decoder.feed(data[start:end])
        rows += decoder.finish()
    except SqlError as error:
        return ("error", (error.sqlstate, error.message, error.hint, decoder.error_context("t")))
    defaults = ["DA", "DB"]
    return (
        "rows",
        [
            tuple(defaults[index] if field is copy_in.COPY_DEFAULT else field for index, field in enumerate(row))
            for row in rows
        ],
    )


def compare(postgres: psycopg.Connection, options: CopyOptions, data: bytes, cuts: list[int]) -> None:
    expected, got = theirs(postgres, options, data), ours(options, data, cuts)
    assert got == expected, (with_list(options), data)


FAST = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
CUTS = st.lists(st.integers(0, 200), max_size=4)


def pieces(alphabet: list[str]) -> st.SearchStrategy[bytes]:
    return st.lists(st.sampled_from(alphabet), max_size=24).map(lambda parts: "".join(parts).encode())


TEXT_PIECES = [
    "a",
    "b\tc\n",
    "\t",
    "\n",
    "\\",
    "\\N",
    "\\.",
    "\\.\n",
    "\\t",
    "\\x41",
    "\\101",
    "\\\n",
    "é",
    "|",
    "1\t2\n",
    "\\D",
]
TEXT_OPTIONS = [
    CopyOptions(),
    CopyOptions(null=""),
    CopyOptions(null="a"),
    CopyOptions(delimiter="|", default="\\D"),
    CopyOptions(header="names", default="b"),
    CopyOptions(header="match"),
]


@FAST
@given(options=st.sampled_from(TEXT_OPTIONS), data=pieces(TEXT_PIECES), cuts=CUTS)
@example(options=CopyOptions(null=""), data=b"\t\\", cuts=[])
@example(options=CopyOptions(), data=b"a\t\\N\\", cuts=[3])
def test_text(postgres: psycopg.Connection, options: CopyOptions, data: bytes, cuts: list[int]) -> None:
    compare(postgres, options, data, cuts)


CSV_PIECES = ["a", "b,c\n", ",", "\n", '"', '""', '"x\ny"', "\\", "'", "\\.\n", "é", "1,2\n", "N", '"N"', "a,b\n"]
CSV_OPTIONS = [
    CopyOptions("csv"),
    CopyOptions("csv", null="N"),
    CopyOptions("csv", null="N", force_null=frozenset({0}), force_not_null=frozenset({1})),
    CopyOptions("csv", escape="\\"),
    CopyOptions("csv", quote="'", delimiter="\t"),
    CopyOptions("csv", header="match", default="1"),
    CopyOptions("csv", header="names"),
]


@FAST
@given(options=st.sampled_from(CSV_OPTIONS), data=pieces(CSV_PIECES), cuts=CUTS)
def test_csv(postgres: psycopg.Connection, options: CopyOptions, data: bytes, cuts: list[int]) -> None:
    compare(postgres, options, data, cuts)


@pytest.mark.parametrize("options", [CopyOptions(delimiter=","), CopyOptions("csv")], ids=["text", "csv"])
@pytest.mark.parametrize(
    "data",
    [
        b"1,2\r\n3,4\r\n",
        b"1,2\r\n3,4",
        b"1,2\r3,4\r",
        b"1,2\r3,4",
        b"1,2\n3,4\r\n",
        b"1,2\r\n3,4\n",
        b"1,2\r3,4\n",
        b"1,2\n3\r,4\n",
        b'1,"2\r\n"\r\n3,4\r\n',
        b"1,2\r\n\\.\r\n",
        b"1,2\r\n\\.\n",
        b"1,2\n\\.\nrubbish",
        b"1,2\n\\.x\n",
        b"1,2\n3,\xff\n",
        b"1,2\n3,\x00\n",
        b"1,2\n3\n",
        b"1,2\n3,4,5\n",
        b"1,2\n\n",
        b"",
        b"\n",
        b"1,2",
        b"1,\\",
        b'1,"2',
        b'1,"2\n3,4\n',
        b"1,\\xe9\n",
        b"1,\\303\\251\n",
        b"1,\\0\n",
        b"\\.",
        b"x" * 300 + b"\n",
    ],
)
def test_line_ends_and_errors(postgres: psycopg.Connection, options: CopyOptions, data: bytes) -> None:
    expected = theirs(postgres, options, data)
    for cuts in ([], list(range(len(data)))[:200], [len(data) // 2], [len(data) - 1]):
        got = ours(options, data, cuts)
        if expected[0] == "error" and expected[1][0] == "22021":  # PostgreSQL verifies whole buffers ahead of lines
            assert got[0] == "error"
            assert got[1][:2] == expected[1][:2]
        else:
            assert got == expected, cuts


BAD_OPTIONS = [
    CopyOptions(delimiter="ab"),
    CopyOptions(delimiter="é"),
    CopyOptions(delimiter="\n"),
    CopyOptions(delimiter="a"),
    CopyOptions(delimiter="\\"),
    CopyOptions(null="\n"),
    CopyOptions(null="a\tb"),
    CopyOptions(quote="'"),
    CopyOptions(escape="'"),
    CopyOptions(default="\\N"),
    CopyOptions(default="\n"),
    CopyOptions(default="\t"),
    CopyOptions(force_null=frozenset({0})),
    CopyOptions(force_not_null=frozenset({0})),
    CopyOptions(force_quote=frozenset({0})),
    CopyOptions("csv", quote="ab"),
    CopyOptions("csv", escape=""),
    CopyOptions("csv", quote=","),
    CopyOptions("csv", null='"'),
    CopyOptions("csv", null=","),
    CopyOptions("csv", default='"'),
    CopyOptions("csv", force_quote=frozenset({0})),
    CopyOptions("csv", force_null=frozenset({0})),
    CopyOptions("csv", force_not_null=frozenset({0})),
    CopyOptions("csv", default="x"),
    CopyOptions("binary", delimiter=","),
    CopyOptions("binary", null="x"),
    CopyOptions("binary", default="x"),
    CopyOptions("binary", header="names"),
]


@pytest.mark.parametrize("options", BAD_OPTIONS, ids=with_list)
@pytest.mark.parametrize("direction", ["from stdin", "to stdout"])
def test_options_refused(postgres: psycopg.Connection, options: CopyOptions, direction: str) -> None:
    expected = None
    try:
        with postgres.cursor().copy(f"copy t (a, b) {direction} {with_list(options)}") as copy:
            if direction == "to stdout":
                list(copy)
            elif options.format == "binary":
                copy.write(BINARY_SIGNATURE + bytes(8) + b"\xff\xff")
    except psycopg.Error as error:
        expected = (error.sqlstate, error.diag.message_primary)
    got = None
    try:
        options.resolved(copy_from=direction == "from stdin")
    except SqlError as refused:
        got = (refused.sqlstate, refused.message)
    assert got == expected


FIELDS = st.none() | st.lists(
    st.sampled_from(
        ["a", "", "N", "\\", "\\.", "\t", "\n", "\r", "\b", "\f", "\v", ",", '"', "'", "|", "é", " ", "\x01"]
    ),
    max_size=4,
).map("".join)


@FAST
@given(
    options=st.sampled_from(
        [
            CopyOptions(),
            CopyOptions(delimiter="|", null="", header="names"),
            CopyOptions(delimiter=" "),
            CopyOptions("csv", header="names"),
            CopyOptions("csv", null="N", force_quote=frozenset({1})),
            CopyOptions("csv", quote="'", escape="\\", delimiter="|"),
        ]
    ),
    rows=st.lists(st.tuples(FIELDS, FIELDS), max_size=5),
    one_column=st.booleans(),
)
def test_output(
    postgres: psycopg.Connection, options: CopyOptions, rows: list[tuple[str | None, str | None]], one_column: bool
) -> None:
    columns = COLUMNS[1:] if one_column else COLUMNS
    postgres.execute("truncate t restart identity")
    postgres.cursor().executemany("insert into t (a, b) values (%s, %s)", rows)
    query = f"copy (select {', '.join(columns)} from t order by id) to stdout {with_list(options)}"
    with postgres.cursor().copy(query) as copy:
        expected = [bytes(data) for data in copy]
    resolved = options.resolved(copy_from=False)
    if one_column and options.force_quote:
        resolved = CopyOptions("csv", null="N", force_quote=frozenset({0})).resolved(copy_from=False)
    encoder = copy_out.make_text_encoder(resolved, columns)
    stream = encoder.begin() + encoder.rows([row[1:] if one_column else row for row in rows]) + encoder.finish()
    assert unframed(stream) == expected

    if options.null == "":
        return  # in text an empty string reads back as NULL then
    decoder = copy_in.make_decoder(
        CopyOptions(
            options.format, options.delimiter, options.null, options.header, options.quote, options.escape
        ).resolved(copy_from=True),
        columns,
    )
    back = [*decoder.feed(b"".join(expected)), *decoder.finish()]
    assert [tuple(row) for row in back] == [row[1:] if one_column else row for row in rows]


def unframed(stream: bytes) -> list[bytes]:
    """The bodies of CopyData messages."""
    bodies = []
    while stream:
        assert stream[:1] == b"d"
        (length,) = struct.unpack("!I", stream[1:5])
        bodies.append(stream[5 : length + 1])
        stream = stream[length + 1 :]
    return bodies


@pytest.mark.parametrize("rows", [[], [(b"x", None)], [(b"x", b""), (None, b"y" * 3000), (b"z", b"z")]])
def test_binary(postgres: psycopg.Connection, rows: list[tuple[bytes | None, bytes | None]]) -> None:
    postgres.execute("truncate t restart identity")
    postgres.cursor().executemany(
        "insert into t (a, b) values (%s, %s)", [[f.decode() if f is not None else None for f in row] for row in rows]
    )
    with postgres.cursor().copy("copy (select a, b from t order by id) to stdout (format binary)") as copy:
        expected = [bytes(data) for data in copy]
    encoder = copy_out.BinaryEncoder(COLUMNS)
    assert unframed(encoder.begin() + encoder.rows(rows) + encoder.finish()) == expected

    stream = b"".join(expected)
    for step in (1, 7, len(stream)):
        decoder = copy_in.BinaryDecoder(COLUMNS)
        back = [row for start in range(0, len(stream), step) for row in decoder.feed(stream[start : start + step])]
        assert [tuple(row) for row in back + decoder.finish()] == rows


HEADER = BINARY_SIGNATURE + bytes(8)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PGCOPY",
        b"rubbish that is long enough for a header",
        BINARY_SIGNATURE + b"\0\1\0\0" + bytes(4),
        BINARY_SIGNATURE + b"\0\2\0\0" + bytes(4),
        BINARY_SIGNATURE + bytes(4) + b"\xff\xff\xff\xff",
        BINARY_SIGNATURE + bytes(4) + b"\0\0\0\2xy" + b"\xff\xff",
        HEADER,
        HEADER + b"\0",
        HEADER + b"\0\1\0\0\0\1x",
        HEADER + b"\0\3",
        HEADER + b"\0\2\0\0\0\1x\xff\xff\xff\xfe",
        HEADER + b"\0\2\0\0\0\1x\0\0\0\5y",
        HEADER + b"\0\2\0\0\0\1x\xff\xff\xff\xff",
        HEADER + b"\xff\xffmore",
    ],
)
def test_binary_errors(postgres: psycopg.Connection, data: bytes) -> None:
    options = CopyOptions("binary")
    expected = theirs(postgres, options, data)
    for cuts in ([], [0, *range(len(data))]):
        got = ours(options, data, cuts)
        assert got[0] == expected[0]
        if got[0] == "rows":
            assert [tuple(f.decode() if f is not None else None for f in row) for row in got[1]] == expected[1]
        else:
            assert got[1][:2] == expected[1][:2]


def test_row_numbers_for_conversion_errors(postgres: psycopg.Connection) -> None:
    postgres.execute("create temp table n (a text, b int)")
    for options, data, row in (
        (CopyOptions(), b"x\t1\ny\tz\n", 1),
        (CopyOptions(), b"\\x41\t1\n\\\\y\tz\n", 1),
        (CopyOptions("csv"), b'"x\n\n",1\ny,z\n', 1),
        (CopyOptions("csv", header="names"), b"a,b\nx,1\ny," + b"z" * 200 + b"\n", 1),
    ):
        with (
            pytest.raises(psycopg.Error) as raised,
            postgres.cursor().copy(f"copy n from stdin {with_list(options)}") as copy,
        ):
            copy.write(data)
        decoder = copy_in.make_decoder(options.resolved(copy_from=True), COLUMNS)
        rows = decoder.feed(data)
        assert decoder.error_context("n", row, "b", rows[row][1]) == raised.value.diag.context


def test_long_record_is_not_copied_again_and_again() -> None:
    decoder = copy_in.make_decoder(CopyOptions("csv").resolved(copy_from=True), COLUMNS)
    assert decoder.feed(b'1,2\n3,"') != []
    chunk = (b"x" * 99 + b"\n") * 80
    for _ in range(1000):
        assert decoder.feed(chunk) == []
    assert decoder.feed(b'"\n') == [] or True
    assert len(str([*decoder.finish()][0][1])) == 8_000_000


def test_line_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy_in, "LINE_BYTES_MAX", 1000)
    for options in (CopyOptions(), CopyOptions("csv")):
        decoder = copy_in.make_decoder(options.resolved(copy_from=True), COLUMNS)
        for _ in range(10):
            decoder.feed(b"x" * 100)
        with pytest.raises(SqlError) as raised:
            decoder.feed(b"x")
        assert raised.value.sqlstate == "54000"


def test_random_chunks_of_many_rows() -> None:
    rows = [[str(number), "x" * (number % 50)] for number in range(5000)]
    data = "".join("\t".join(row) + "\n" for row in rows).encode()
    decoder = copy_in.make_decoder(CopyOptions().resolved(copy_from=True), COLUMNS)
    rng = random.Random(1)
    back: list[copy_in.Row] = []
    position = 0
    while position < len(data):
        step = rng.randrange(1, 5000)
        back += decoder.feed(data[position : position + step])
        position += step
    assert [*back, *decoder.finish()] == rows
