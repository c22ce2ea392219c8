"""Codecs and clock.

Goal: what is encoded decodes to the same, unknown kinds and versions are refused by name, damaged bytes never come back
as something else than an error of ours, and timestamps and ids never repeat. Method: hypothesis round trips.
"""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.clock import ClockAhead, HybridClock
from journal.errors import CorruptData, NodeFatal
from journal.event import (
    GENESIS_HASH,
    Block,
    Fragment,
    Proposal,
    UnknownFormat,
    chain_hash,
    decode_entry,
    decode_event,
    decode_proposal,
    decode_writes,
    encode_block,
    encode_event_body,
    encode_fragment,
    encode_proposal,
    encode_writes,
)

integers = st.integers(0, 2**63 - 1)
keys = st.binary(min_size=6, max_size=40)
writes = st.lists(st.tuples(keys, st.binary(max_size=60), st.integers(0, 8)), max_size=6)
locks = st.lists(st.tuples(keys, st.integers(9, 11)), max_size=3)
provenances = st.tuples(st.integers(0, 1023), st.text(max_size=8), st.text(max_size=8))
proposals = st.builds(
    Proposal,
    txid=integers,
    snapshot=integers,
    writes=writes,
    locks=locks,
    reads=st.lists(keys, max_size=3),
    ranges=st.lists(st.tuples(keys, keys), max_size=2),
    dependencies=st.lists(st.tuples(st.integers(0, 2**32 - 1), integers), max_size=3),
    catalog_changes=st.lists(st.integers(0, 2**32 - 1), max_size=3),
    provenance=provenances,
    fragments=st.integers(0, 1000),
)
fragments = st.builds(
    Fragment,
    integers,
    integers,
    integers,
    st.integers(0, 999),
    st.integers(0, 99),
    st.integers(0, 99),
    locks,
    st.binary(),
    locks,
)


@given(st.lists(proposals, max_size=4), integers, st.lists(integers, max_size=2))
def test_block_round_trip(given: list[Proposal], timestamp: int, abandoned: list[int]) -> None:
    entry = encode_block(3, timestamp, [encode_proposal(proposal) for proposal in given], abandoned)
    assert decode_entry(entry) == Block(3, timestamp, given, abandoned)
    assert [decode_proposal(encode_proposal(proposal)) for proposal in given] == given


@given(fragments)
def test_fragment_round_trip(fragment: Fragment) -> None:
    assert decode_entry(encode_fragment(fragment)) == fragment


@given(writes, locks, integers, provenances, st.booleans())
def test_event_round_trip_and_packed_writes_are_the_same_bytes(
    given_writes: list[tuple[bytes, bytes, int]],
    given_locks: list[tuple[bytes, int]],
    number: int,
    provenance: tuple[int, str, str],
    more: bool,
) -> None:
    body = encode_event_body(number, number, 7, provenance, [1], given_locks, given_writes, 2, more)
    packed = msgspec.Raw(encode_writes(given_writes))
    assert body == encode_event_body(number, number, 7, provenance, [1], given_locks, packed, 2, more)
    own = chain_hash(GENESIS_HASH, body)
    event = decode_event(body, GENESIS_HASH, own)
    assert (event.position, event.writes, event.locks, event.more) == (number, given_writes, given_locks, more)
    assert (event.previous_hash, event.hash) == (GENESIS_HASH, own)
    assert decode_writes(encode_writes(given_writes)) == given_writes


@pytest.mark.parametrize("entry", [b"\x10\x02\x90", b"\x11\xff\x90", b"\x7f\x01", b"\x00", b"\x10"])
def test_unknown_kind_or_version_is_refused(entry: bytes) -> None:
    with pytest.raises(UnknownFormat):
        decode_entry(entry)


@given(st.binary(max_size=80))
def test_garbage_is_a_node_fatal_or_nothing_else(data: bytes) -> None:
    for decode in (decode_entry, decode_proposal, decode_writes, lambda body: decode_event(body, b"", b"")):
        try:
            decode(b"\x10\x01" + data if decode is decode_entry else data)
        except NodeFatal:
            pass


def test_damaged_block_is_corrupt() -> None:
    entry = encode_block(1, 1, [encode_proposal(Proposal(1, 1))], [])
    with pytest.raises(CorruptData, match="does not decode"):
        decode_entry(entry[:-1])


def test_newer_writer_may_append_fields() -> None:
    body = msgspec.msgpack.encode([1, 2, [], [], [], [], [], [], [0, "", ""], 0, "a field of the future"])
    assert decode_proposal(body) == Proposal(1, 2)
    assert decode_proposal(msgspec.msgpack.encode([1, 2])) == Proposal(1, 2)


class Wall:
    """A clock set by hand."""

    def __init__(self) -> None:
        self.now = 1_000

    def wall_us(self) -> int:
        return self.now

    def monotonic(self) -> float:
        return self.now / 1e6


def test_clock_never_goes_back_and_follows_what_it_saw() -> None:
    wall = Wall()
    clock = HybridClock(wall)
    assert clock.now_us() == 1_000
    wall.now = 500
    assert clock.now_us() == 1_001
    clock.observe(9_000)
    assert clock.now_us() == 9_001
    wall.now = 20_000
    assert clock.now_us() == 20_000
    clock.check(20_000)
    with pytest.raises(ClockAhead):
        clock.check(20_001 + clock.ahead_us_max)
    assert clock.uncertainty() is None
    clock.error_bound_us = 10
    assert clock.uncertainty() == (19_990, 20_010)
