"""Frames over a connection between peers: a length of four bytes, then the body.

Where frames are many and every one wakes somebody (Raft's messages), they are handed over from within the connection's callback,
as soon as their last byte is there (`PeerReader.frames`). A task that awaits each of them costs two more turns of the loop and
25 µs, twice on the way of every commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import SupportsIndex

FRAME_BYTES_MAX = 64 << 20
_EVERYTHING = 1 << 30


def write_frame(writer: asyncio.StreamWriter, body: bytes) -> None:
    """Queue one frame."""
    writer.write(len(body).to_bytes(4, "big") + body)


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    """The next frame.

    Raises:
        ValueError: it is larger than any frame may be.
        asyncio.IncompleteReadError, OSError: the connection ended.
    """
    try:
        length = int.from_bytes(await reader.readexactly(4), "big")
        if length > FRAME_BYTES_MAX:
            raise ValueError(f"frame of {length} bytes")
        return await reader.readexactly(length)
    except RuntimeError as error:
        # What uvloop says when a reader that was full wants to go on, and its connection has been closed meanwhile.
        raise ConnectionResetError(str(error)) from error


class PeerReader(asyncio.StreamReader):
    """A reader that can hand frames over as they come. A frame that is not complete yet is kept, up to `FRAME_BYTES_MAX`."""

    _take: Callable[[bytes], None] | None = None
    _ended: asyncio.Future[None]
    _chunks: list[bytes]
    _size = 0
    _needed = 4

    async def frames(self, take: Callable[[bytes], None]) -> None:
        """Give `take` every frame from now on, until the connection ends.

        Raises:
            asyncio.IncompleteReadError, OSError: it has ended; there is no other way out.
            ValueError: a frame is larger than any may be.
            Exception: what `take` raises; it gets no more then."""
        data = await self.read(_EVERYTHING)  # what has come by now, or comes next; without a pause after it
        if not data:
            raise asyncio.IncompleteReadError(data, None)
        self._ended = asyncio.get_running_loop().create_future()
        self._chunks = []
        self._take = take
        self.feed_data(data)
        if self.at_eof():
            self._end(asyncio.IncompleteReadError(b"", None))  # it came before this call, and will not come again
        try:
            await self._ended
        finally:
            self._take = _ignore

    def feed_data(self, data: Iterable[SupportsIndex]) -> None:
        """Bytes from the connection."""
        take = self._take
        if take is None:
            super().feed_data(data)
        else:
            self._feed(bytes(data), take)

    def _feed(self, data: bytes, take: Callable[[bytes], None]) -> None:
        chunks = self._chunks
        if chunks:
            chunks.append(data)
            self._size += len(data)
            if self._size < self._needed:
                return
            data = b"".join(chunks)
            chunks.clear()
        start, end, needed = 0, len(data), 4
        try:
            while end - start >= 4:
                needed = 4 + int.from_bytes(data[start : start + 4], "big")
                if needed > 4 + FRAME_BYTES_MAX:
                    raise ValueError(f"frame of {needed - 4} bytes")
                if end - start < needed:
                    break
                take(data[start + 4 : start + needed])
                start += needed
                needed = 4
        except Exception as error:
            self._end(error)
            return
        if start < end:
            chunks.append(data[start:])
            self._size, self._needed = end - start, needed

    def feed_eof(self) -> None:
        """The connection has ended."""
        super().feed_eof()
        self._end(asyncio.IncompleteReadError(b"", None))

    def set_exception(self, exc: Exception) -> None:
        """The connection has broken."""
        super().set_exception(exc)
        self._end(exc)

    def _end(self, error: Exception) -> None:
        if self._take is not None and not self._ended.done():
            self._take = _ignore
            self._ended.set_exception(error)


def _ignore(frame: bytes) -> None:
    """After the end."""
