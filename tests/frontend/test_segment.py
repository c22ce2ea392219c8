"""Segments: the generated reader of Bind agrees with the ordinary one, or gives way to it.

Method: Bind messages made by hypothesis, whole, cut short and with bytes changed, are read by both.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from hypothesis import example, given
from hypothesis import strategies as st

from frontend.errors import SqlError
from frontend.segment import bind_reader
from frontend.types.integers import SURE_DIGITS
from frontend.wire import messages

PARAMETERS = st.lists(st.one_of(st.none(), st.binary(max_size=12)), max_size=5)
NAMES = st.sampled_from(["", "s", "a statement"])
TAILS = st.sampled_from([b"\0\0", b"\0\1\0\0", b"\0\1\0\1", b"\0\2\0\0\0\1"])


def bind_body(name: str, parameters: list[bytes | None], tail: bytes) -> bytes:
    body = b"\0" + name.encode() + b"\0\0\0" + struct.pack("!H", len(parameters))
    for value in parameters:
        body += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
    return body + tail


@given(NAMES, PARAMETERS, TAILS, st.sampled_from([b"\0\0", b"\0\1\0\0"]))
def test_reads_what_the_ordinary_parser_reads(
    name: str, parameters: list[bytes | None], tail: bytes, expected_tail: bytes
) -> None:
    body = bind_body(name, parameters, tail)
    head = messages.bind_head(body)
    assert head is not None
    assert body.startswith(head)
    ordinary = messages.parse_bind(body)
    assert (ordinary.statement, ordinary.parameters) == (name, parameters)
    read = bind_reader([lambda data: data + b"!"] * len(parameters), expected_tail)
    values = read(body, len(head))
    if tail == expected_tail:
        assert values == [None if value is None else value + b"!" for value in parameters]
    else:
        assert values is None


@given(NAMES, PARAMETERS, st.data())
def test_malformed_messages_are_left_to_the_ordinary_parser(
    name: str, parameters: list[bytes | None], data: st.DataObject
) -> None:
    body = bytearray(bind_body(name, parameters, b"\0\0"))
    head = messages.bind_head(bytes(body))
    assert head is not None
    place = data.draw(st.integers(len(head), len(body) - 1))
    body[place] = data.draw(st.integers(0, 255))
    cut = bytes(body[: data.draw(st.integers(len(head), len(body)))])
    read = bind_reader([bytes] * len(parameters), b"\0\0")
    try:
        values = read(cut, len(head))
    except struct.error:
        values = None
    try:
        ordinary = messages.parse_bind(cut)
    except SqlError:
        assert values is None
    else:
        assert values is None or (values == ordinary.parameters and not ordinary.result_formats)


@given(
    st.sampled_from(sorted(SURE_DIGITS, key=SURE_DIGITS.__getitem__)),
    st.one_of(
        st.integers(-(2**70), 2**70).map(lambda value: b"%d" % value),
        st.text("0123456789 _+-x", max_size=22).map(str.encode),
    ),
)
@example(next(iter(SURE_DIGITS)), b"")
@example(next(iter(SURE_DIGITS)), "\u0663".encode())
def test_integers_are_read_as_their_type_reads_them(decode: Callable[[bytes], int], parameter: bytes) -> None:
    body = bind_body("s", [parameter], b"\0\0")
    head = messages.bind_head(body)
    assert head is not None

    def outcome(read: Callable[[], object]) -> object:
        try:
            return read()
        except SqlError as error:
            return error.sqlstate, error.message

    read = bind_reader([decode], b"\0\0")
    assert outcome(lambda: read(body, len(head))) == outcome(lambda: [decode(parameter)])


def test_only_the_unnamed_portal_without_parameter_formats_has_a_head() -> None:
    assert messages.bind_head(b"") is None
    assert messages.bind_head(b"portal\0s\0\0\0\0\0\0\0") is None
    assert messages.bind_head(b"\0s\0\0\1\0\1\0\0\0\0") is None
    assert messages.bind_head(b"\0s") is None
    assert messages.bind_head(b"\0s\0\0\0\0\2rest") == b"\0s\0\0\0\0\2"
