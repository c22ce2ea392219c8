"""Faults on purpose: delays, cuts, a wrong clock and a bad disk for one node, read from a file while it runs.

    {"delays_ms": {"n2": 6, "n3": 31}, "cut": ["n3"], "skew_us": 0, "disk_delay_ms": 0, "disk_full": false}

This is how `boreal cluster` makes a wide area of one machine, without privileges and without a change to what runs in
production: a `Network`, a `WallClock` and a `Disk` (`deploy.faulty_disk`) that stand in for the host's (`journal.environment`).

**Delays** hold back everything on connections that this node has dialled, in both directions, by the time given: one way, so half
a round trip. Since a connection between members goes one way only, dialled by whoever sends, each direction of a pair has the
delay that its sender's file says. Making a connection costs what TCP and TLS would: two round trips.

**Cuts** do what a lost link does. Nothing passes to that peer, nobody is told, and what was written waits (TCP would send it
again); after three seconds the connection ends, as the kernel ends silent ones (`journal.environment`). New connections time
out. A cut is one-way, too: the peer's own file says whether it can send here.

The file is looked at every 50 ms, and replaced, never edited, by whoever writes it. One that cannot be read is logged, and
what was in force stays so.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from deploy.timer import ExactTimer
from journal.environment import ConnectionHandler, Network, SystemClock
from journal.transport import Peer

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.05
CUT_SECONDS_MAX = 3.0
"""A connection that is cut for longer ends."""
_CHUNK_BYTES = 256 << 10
_ROUND_TRIPS_TO_CONNECT = 2


class FaultSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file's content.

    Attributes:
        delays_ms: one-way delay to each peer.
        cut: peers to which nothing passes.
        skew_us: how far this node's wall clock is ahead.
        disk_delay_ms: by how much every synchronization takes longer.
        disk_full: no file of the journal may begin or grow.
    """

    delays_ms: dict[str, float] = {}
    cut: tuple[str, ...] = ()
    skew_us: int = 0
    disk_delay_ms: Annotated[float, Meta(ge=0, le=60_000)] = 0.0
    disk_full: bool = False


def read_faults(file: Path) -> FaultSettings:
    """Those in the file; none if there is no file. Raises OSError, msgspec.MsgspecError."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=FaultSettings)
    except FileNotFoundError:
        return FaultSettings()


def write_faults(file: Path, faults: FaultSettings) -> None:
    """Replace the file at once, so that no reader finds half of it."""
    temporary = file.with_suffix(".new")
    temporary.write_bytes(msgspec.json.encode(faults))
    os.replace(temporary, file)


class Faults:
    """What is in force now, and the connections that it is in force on."""

    def __init__(self, file: Path, peers: Iterable[Peer]) -> None:
        self._file = file
        self._names = {(peer.host, peer.port): peer.name for peer in peers}
        self._seen: tuple[int, int] | None = None
        self._links: set[_Link] = set()
        self.settings = FaultSettings()
        self.refresh()

    def peer_at(self, host: str, port: int) -> str:
        """The name of the peer that listens there; "" for somebody else."""
        return self._names.get((host, port), "")

    def delay_seconds(self, name: str) -> float:
        """One way."""
        return self.settings.delays_ms.get(name, 0.0) / 1000

    def is_cut(self, name: str) -> bool:
        """Whether nothing passes to this peer."""
        return name in self.settings.cut

    def track(self, link: _Link) -> None:
        """Tell a link of changes, until it is closed."""
        self._links.add(link)

    def untrack(self, link: _Link) -> None:
        """It is closed."""
        self._links.discard(link)

    async def run(self) -> None:
        """Look at the file again and again; ends when it is cancelled."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            self.refresh()
            for link in list(self._links):
                link.check()

    def refresh(self) -> None:
        """Read the file if it has changed."""
        try:
            found = self._file.stat()
            seen: tuple[int, int] | None = (found.st_mtime_ns, found.st_ino)
        except FileNotFoundError:
            seen = None
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self.settings = read_faults(self._file)
        except (OSError, msgspec.MsgspecError) as error:
            logger.error("faults_file %s: %s; what was in force stays so", self._file, error)
        else:
            logger.warning("faults in force: %s", self.settings)


class SkewedClock(SystemClock):
    """The host's clocks, the wall clock ahead by what the faults say."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def wall_us(self) -> int:
        """Microseconds since the Unix epoch, wrong on purpose."""
        return time.time_ns() // 1000 + self._faults.settings.skew_us  # HOT: without the call of the host's


class FaultyNetwork:
    """A network whose dialled connections suffer what the faults say."""

    def __init__(self, network: Network, faults: Faults) -> None:
        self._network = network
        self._faults = faults

    async def listen(
        self, handler: ConnectionHandler, host: str, port: int, tls: ssl.SSLContext | None
    ) -> asyncio.AbstractServer:
        """As it is: whoever dials delays."""
        return await self._network.listen(handler, host, port, tls)

    async def connect(
        self, host: str, port: int, tls: ssl.SSLContext | None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect, later; a cut peer is waited for until the caller loses patience, or for as long as a cut lasts."""
        faults, name = self._faults, self._faults.peer_at(host, port)
        await asyncio.sleep(2 * _ROUND_TRIPS_TO_CONNECT * faults.delay_seconds(name))
        if faults.is_cut(name):
            await asyncio.sleep(CUT_SECONDS_MAX)
            raise TimeoutError(f"{name} does not answer (cut)")
        reader, writer = await self._network.connect(host, port, tls)
        link = _Link(faults, name, reader, writer)
        return link.reader, asyncio.StreamWriter(link, writer.transport.get_protocol(), reader, link.loop)


class _Link(asyncio.Transport):
    """A dialled connection's transport, with what is under way in both directions.

    Reading: a task moves what arrives to `reader`, after the delay. Writing: chunks wait in `_outbound` until they are due.
    """

    def __init__(self, faults: Faults, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__()
        self.loop = asyncio.get_running_loop()
        self.reader = asyncio.StreamReader()
        self._faults = faults
        self._name = name
        self._inner_reader = reader
        self._inner_writer = writer  # a writer closes its transport when nobody holds it any more
        self._inner = writer.transport
        self._outbound: deque[tuple[float, bytes]] = deque()
        self._outbound_bytes = 0
        self._timer = ExactTimer(self.loop, self._send)
        self._is_set = False
        self._cut_since = 0.0
        self._closing = False
        self._pump = self.loop.create_task(self._read())
        faults.track(self)

    # ---- what a StreamWriter calls ----------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send after the delay."""
        if self._closing:
            return
        settings, name = self._faults.settings, self._name
        delay = settings.delays_ms.get(name, 0.0) / 1000
        if not delay and not self._outbound and name not in settings.cut:
            self._inner.write(data)
            return
        due = time.monotonic() + delay
        if self._outbound:
            due = max(due, self._outbound[-1][0])
        self._outbound.append((due, bytes(data)))
        self._outbound_bytes += len(data)
        if not self._is_set:
            self._set_timer()

    def get_write_buffer_size(self) -> int:
        """What was not sent yet."""
        return self._outbound_bytes + self._inner.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Of the connection below."""
        return self._inner.get_extra_info(name, default)

    def is_closing(self) -> bool:
        """Whether it is at its end."""
        return self._closing or self._inner.is_closing()

    def can_write_eof(self) -> bool:
        """Nobody between members ends one direction only."""
        return False

    def abort(self) -> None:
        """The same as `close`."""
        self.close()

    def close(self) -> None:
        """Close; what is under way is lost, as with a network."""
        if self._closing:
            return
        self._closing = True
        self._faults.untrack(self)
        self._timer.close()
        self._pump.cancel()
        self._outbound.clear()
        self._outbound_bytes = 0
        self._inner.close()

    # ---- what passes ------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """The faults may have changed."""
        if self._inner.is_closing():
            return
        if not self._faults.is_cut(self._name):
            self._cut_since = 0.0
            if self._outbound and not self._is_set:
                self._send()
        elif not self._cut_since:
            self._cut_since = self.loop.time()
        elif self.loop.time() - self._cut_since > CUT_SECONDS_MAX:
            self.reader.set_exception(TimeoutError(f"{self._name} does not answer (cut)"))
            self.close()

    def _set_timer(self) -> None:
        self._is_set = True
        self._timer.set(self._outbound[0][0])

    def _send(self) -> None:
        self._is_set = False
        if self._faults.is_cut(self._name):
            return
        now = time.monotonic()
        while self._outbound and self._outbound[0][0] <= now:
            _, data = self._outbound.popleft()
            self._outbound_bytes -= len(data)
            self._inner.write(data)
        if self._outbound:
            self._set_timer()

    async def _read(self) -> None:
        try:
            while data := await self._inner_reader.read(_CHUNK_BYTES):
                await self._pass(data)
        except OSError as error:
            self.reader.set_exception(error)
            return
        self.reader.feed_eof()

    async def _pass(self, data: bytes) -> None:
        """What comes back is late by the same delay, and does not come while the peer is cut. One chunk at a time: nobody
        reads anything here but feeds of events, whose chunks are large."""
        await asyncio.sleep(self._faults.delay_seconds(self._name))
        while self._faults.is_cut(self._name):  # noqa: ASYNC110 - faults change when the file is looked at
            await asyncio.sleep(POLL_SECONDS)
        self.reader.feed_data(data)
