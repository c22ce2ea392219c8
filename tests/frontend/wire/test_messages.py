"""Messages and row encoder as pure functions.

Goal: what is built decodes to what went in, by an independent decoder written from the manual's chapter 55.7; and what clients
send parses back, or is refused with the right SQLSTATE, never with another exception. The comparison with real
PostgreSQL bytes is in test_protocol.py; here the oracle only judges the rows.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontend.errors import SqlError
from frontend.wire import messages, rowencoder
from tests.frontend.wire.serving import RawClient, closing_raw, error_fields, kinds
from tests.oracle import Oracle

NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
FORMATS = st.lists(st.integers(0, 1), max_size=3)


@given(NAMES, NAMES, st.lists(st.none() | st.binary(max_size=9), max_size=4), FORMATS, st.sampled_from([0, 1, None]))
def test_bind_round_trip(
    portal: str, statement: str, values: list[bytes | None], results: list[int], code: int | None
) -> None:
    formats = [] if code is None else [code]
    body = (
        portal.encode() + b"\0" + statement.encode() + b"\0" + struct.pack(f"!H{len(formats)}h", len(formats), *formats)
    )
    body += struct.pack("!H", len(values))
    for value in values:
        body += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
    body += struct.pack(f"!H{len(results)}h", len(results), *results)
    assert messages.parse_bind(body) == (portal, statement, tuple(formats), values, tuple(results))
    for cut in range(len(body)):
        with pytest.raises(SqlError) as raised:
            messages.parse_bind(body[:cut])
        assert raised.value.sqlstate in ("08P01", "22021")


@given(st.binary(max_size=40))
def test_any_body_parses_or_is_refused(body: bytes) -> None:
    for parse in (
        messages.parse_bind,
        messages.parse_parse,
        messages.parse_execute,
        messages.parse_string,
        messages.parse_empty,
        messages.parse_sasl_initial_response,
        messages.parse_startup,
        lambda body: messages.parse_target(body, "CLOSE"),
        messages.decode_text,
    ):
        try:
            parse(body)
        except SqlError as error:
            refused = error
        else:
            continue
        assert refused.sqlstate in ("08P01", "22021")


@given(NAMES, NAMES, st.lists(st.integers(0, 2**32 - 1), max_size=4))
def test_parse_round_trip(name: str, sql: str, types: list[int]) -> None:
    body = name.encode() + b"\0" + sql.encode() + b"\0" + struct.pack(f"!H{len(types)}I", len(types), *types)
    assert messages.parse_parse(body) == (name, sql, tuple(types))


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ("", []),
        ("-c a=b", [("a", "b")]),
        ("-ca=b --c-d=e\\ f  -c  g=", [("a", "b"), ("c_d", "e f"), ("g", "")]),
        ("-c a=b\\\\c=d", [("a", "b\\c=d")]),
        ("\t-c x.y=1\n", [("x.y", "1")]),
    ],
)
def test_options(options: str, settings: list[tuple[str, str]]) -> None:
    assert messages.parse_options(options) == settings


def test_backend_messages_are_what_the_manual_says() -> None:
    assert messages.READY_FOR_QUERY["T"] == b"Z\0\0\0\5T"
    assert messages.AUTHENTICATION_OK == b"R\0\0\0\x08\0\0\0\0"
    assert messages.AUTHENTICATION_CLEARTEXT_PASSWORD == b"R\0\0\0\x08\0\0\0\3"
    assert messages.authentication_sasl(["A", "B"]) == b"R\0\0\0\x0d\0\0\0\x0aA\0B\0\0"
    assert messages.backend_key_data(1, 2**32 - 1) == b"K\0\0\0\x0c\0\0\0\1\xff\xff\xff\xff"
    assert messages.negotiate_protocol_version(["_pq_.a"]) == b"v\0\0\0\x13\0\3\0\0\0\0\0\1_pq_.a\0"
    assert messages.parameter_description([23, 2**32 - 1]) == b"t\0\0\0\x0e\0\2\0\0\0\x17\xff\xff\xff\xff"
    assert messages.command_complete("INSERT 0 1") == b"C\0\0\0\x0fINSERT 0 1\0"
    assert messages.copy_in_response(1, [1, 1]) == b"G\0\0\0\x0b\1\0\2\0\1\0\1"
    assert messages.copy_out_response(0, []) == b"H\0\0\0\x07\0\0\0"
    assert messages.copy_both_response() == b"W\0\0\0\x07\0\0\0"
    assert messages.notification_response(7, "c", "p") == b"A\0\0\0\x0c\0\0\0\7c\0p\0"
    assert messages.data_row([None, b"ab"]) == b"D\0\0\0\x10\0\2\xff\xff\xff\xff\0\0\0\2ab"
    column = messages.Column("é", 16384, 2, 1043, -1, 14, 1)
    assert messages.row_description([column])[7:] == b"\xc3\xa9\0" + struct.pack("!IhIhih", 16384, 2, 1043, -1, 14, 1)


def test_error_fields() -> None:
    error = SqlError(
        "23505",
        "m",
        detail="d",
        hint="h",
        position=3,
        schema="s",
        table="t",
        column="c",
        datatype="y",
        constraint="n",
        context="w",
    )
    data = messages.error_response(error)
    assert error_fields(data[5:]) == {
        "S": "ERROR", "V": "ERROR", "C": "23505", "M": "m", "D": "d", "H": "h", "P": "3", "W": "w", "s": "s", "t": "t",
        "c": "c", "d": "y", "n": "n",
    }  # fmt: skip
    assert error_fields(messages.error_response(SqlError("XX000", "a\0b"), severity="FATAL")[5:]) == {
        "S": "FATAL", "V": "FATAL", "C": "XX000", "M": "a?b",
    }  # fmt: skip
    assert messages.notice_response(SqlError("00000", "x", severity="NOTICE"))[:1] == b"N"


# --- row encoder --------------------------------------------------------------------------------------------------


def test_rows_are_the_oracles(oracle: Oracle) -> None:
    """Every type with code of its own, in both formats, against PostgreSQL's DataRow."""
    columns = [
        (16, "true::bool", True), (16, "false::bool", False), (17, "'\\x00ff'::bytea", b"\0\xff"), (20, "'-9223372036854775808'::int8", -(2**63)),
        (21, "-3::int2", -3), (23, "2147483647::int4", 2**31 - 1), (25, "'é'::text", "é"), (26, "4294967295::oid", 2**32 - 1),
        (700, "0.1::float4", 0.1), (701, "'-infinity'::float8", -math.inf), (1043, "repeat('x', 5000)::varchar", "x" * 5000),
        (23, "null::int4", None), (25, "null::text", None), (2278, "pg_sleep(0)", None), (19, "'n'::name", "n"), (18, "'q'::\"char\"", "q"),
        (28, "'7'::xid", 7), (1042, "'a'::char(3)", "a  "), (1700, "1.50::numeric", Decimal("1.50")),
    ]  # fmt: skip

    def encoder(format_code: int, oid: int) -> rowencoder.ValueEncoder | None:
        if oid == 1700:
            return lambda value: b"1.50" if format_code == 0 else b"\0\2\0\0\0\0\0\2\0\1\x13\x88"
        if format_code == 1 and oid == 18:
            return lambda value: str(value).encode()
        if format_code == 0 and oid in (17, 700, 701):
            return {
                17: lambda value: b"\\x" + value.hex().encode(),
                700: lambda value: b"0.1",
                701: lambda value: b"-Infinity",
            }[oid]
        return None

    sql = "select " + ", ".join(text for _, text, _ in columns)
    for format_code in (0, 1):
        encode = rowencoder.compile_row_encoder(
            [(oid, format_code, encoder(format_code, oid)) for oid, _, _ in columns]
        )
        with closing_raw(RawClient.to(f"{oracle.directory}/.s.PGSQL.5432")) as client:
            client.start()
            client.send(
                messages.message(b"P", b"\0" + sql.encode() + b"\0\0\0"),
                messages.message(b"B", b"\0\0\0\0\0\0" + struct.pack("!Hh", 1, format_code)),
                messages.message(b"E", b"\0\0\0\0\0"),
                messages.message(b"S", b""),
            )
            received = client.read_until_ready()
            assert kinds(received) == "12DCZ", received
            expected = received[2][1]
        row = [value for _, _, value in columns]
        assert encode([row]) == messages.message(b"D", expected)
        assert encode([tuple(row), row]) == messages.message(b"D", expected) * 2


VALUES = {
    23: st.none() | st.integers(-(2**31), 2**31 - 1),
    25: st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=2000),
    1700: st.none() | st.integers(),
}


@given(st.data(), st.lists(st.sampled_from([23, 25, 1700]), max_size=6))
def test_row_encoder_is_data_row(data: st.DataObject, oids: list[int]) -> None:
    rows = data.draw(st.lists(st.tuples(*(VALUES[oid] for oid in oids)), max_size=4))
    encode = rowencoder.compile_row_encoder(
        [(oid, 0, (lambda value: b"n%d" % value) if oid == 1700 else None) for oid in oids]
    )

    def plain(row: Sequence[object]) -> list[bytes | None]:
        return [
            None if value is None else ("n" * (oid == 1700) + str(value)).encode()
            for oid, value in zip(oids, row, strict=True)
        ]

    assert encode(rows) == b"".join(messages.data_row(plain(row)) for row in rows)


def test_row_encoder_needs_an_encoder_for_other_types() -> None:
    with pytest.raises(ValueError, match="1700"):
        rowencoder.compile_row_encoder([(1700, 0, None)])
