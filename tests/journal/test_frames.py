"""Frames are handed over whole and in order, however the bytes come, and nothing after the end.

Method: hypothesis cuts the bytes of frames anywhere; ends of every kind.
"""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.frames import FRAME_BYTES_MAX, PeerReader


def framed(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body


@given(
    st.lists(st.binary(max_size=20), min_size=1, max_size=10),
    st.lists(st.integers(0, 200), max_size=12),
    st.integers(0, 3),
)
def test_however_the_bytes_come(bodies: list[bytes], cuts: list[int], early: int) -> None:
    """The first `early` pieces come before anybody takes frames."""

    async def work() -> None:
        reader, taken = PeerReader(), list[bytes]()
        data = b"".join(map(framed, bodies))
        places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
        pieces = [data[start:stop] for start, stop in zip(places, places[1:], strict=False)]
        for piece in pieces[:early]:
            reader.feed_data(piece)
        task = asyncio.ensure_future(reader.frames(taken.append))
        for piece in pieces[early:]:
            await asyncio.sleep(0)
            reader.feed_data(piece)
        for _ in range(5):
            await asyncio.sleep(0)
        assert taken == bodies
        reader.feed_eof()
        with pytest.raises(asyncio.IncompleteReadError):
            await task
        reader.feed_data(framed(b"late"))
        assert taken == bodies

    asyncio.run(work())


def test_a_frame_larger_than_any_ends_it() -> None:
    async def work() -> None:
        reader, taken = PeerReader(), list[bytes]()
        reader.feed_data(framed(b"one") + (FRAME_BYTES_MAX + 1).to_bytes(4, "big") + framed(b"two"))
        with pytest.raises(ValueError, match="frame of 67108865 bytes"):
            await reader.frames(taken.append)
        reader.feed_data(framed(b"three"))
        assert taken == [b"one"]

    asyncio.run(work())


def test_what_the_taker_raises_ends_it() -> None:
    async def work() -> None:
        def take(frame: bytes) -> None:
            taken.append(frame)
            if frame == b"bad":
                raise KeyError("bad")

        reader, taken = PeerReader(), list[bytes]()
        task = asyncio.ensure_future(reader.frames(take))
        await asyncio.sleep(0)
        reader.feed_data(framed(b"good") + framed(b"bad") + framed(b"never"))
        with pytest.raises(KeyError):
            await task
        reader.feed_data(framed(b"never"))
        assert taken == [b"good", b"bad"]

    asyncio.run(work())


def test_a_connection_that_breaks() -> None:
    async def work() -> None:
        reader, taken = PeerReader(), list[bytes]()
        task = asyncio.ensure_future(reader.frames(taken.append))
        await asyncio.sleep(0)
        reader.feed_data(framed(b"one")[:3])
        await asyncio.sleep(0)
        reader.set_exception(ConnectionResetError("gone"))
        with pytest.raises(ConnectionResetError):
            await task
        assert taken == []

    asyncio.run(work())


def test_the_end_came_before_anybody_took_frames() -> None:
    """Or the connection would be served for ever, and nobody told that it is lost."""

    async def work() -> None:
        reader, taken = PeerReader(), list[bytes]()
        reader.feed_data(framed(b"one") + framed(b"two")[:5])
        reader.feed_eof()
        with pytest.raises(asyncio.IncompleteReadError):
            await asyncio.wait_for(reader.frames(taken.append), 5)
        assert taken == [b"one"]

    asyncio.run(work())


def test_nothing_came_at_all() -> None:
    async def work() -> None:
        reader = PeerReader()
        reader.feed_eof()
        with pytest.raises(asyncio.IncompleteReadError):
            await reader.frames(lambda frame: None)

    asyncio.run(work())
