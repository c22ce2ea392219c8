"""Byte streams between simulated nodes: late, cut at any byte, blocked one way or both, never reordered or lost inside.

    StreamWriter ─▶ _Half: arrival = latency + queue of this direction ─▶ the receiver's StreamReader, in its own process
                      └ blocked? the bytes wait, as TCP's do, and come when the way is free again, or the connection dies

That is TCP as a program sees it. A living connection delivers its bytes whole and in order, however late. A connection
that is cut delivers some prefix. Messages are lost when a connection dies with them; they are repeated because whoever
sent them sends again on the next connection; and they are reordered *across* connections: the bytes of one that the
sender has given up may still arrive after those of its successor.

A connection goes between two `Process`es. What it delivers runs in the receiver's process, so a paused node receives
nothing while its kernel goes on accepting (up to `WINDOW_BYTES`; beyond that the sender's buffer grows), and a dead one
never again. Nobody is told of a death at once: a reset takes its time, and none comes through a partition.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any

from journal.environment import ConnectionHandler
from journal.frames import PeerReader
from tests.simulation.loop import Process, SimulatedLoop, current_process

WINDOW_BYTES = 64 << 10
"""What the receiver's kernel takes in while the program does not read."""

CONNECT_SECONDS_MAX = 2.0
RETRANSMISSION_SECONDS = 0.2
DELAY_SECONDS_MAX = 1.0
"""However many faults slow a link down: what is on its way when they end must arrive, too."""

Watcher = Callable[[str, str], None]
"""(node, what happened)"""


class Link:
    """One direction between two nodes.

    Attributes:
        seconds: least one-way delay.
        jitter: mean of the exponential part of the delay.
        blocked: how many faults block it; nothing passes while there is one.
        slow: factor on both, a fault.
    """

    __slots__ = ("blocked", "jitter", "seconds", "slow")

    def __init__(self, seconds: float, jitter: float) -> None:
        self.seconds = seconds
        self.jitter = jitter
        self.blocked = 0
        self.slow = 1.0


class _Half:
    """What one side has sent and the other has not received yet."""

    __slots__ = ("arrival", "bytes_waiting", "closed", "held", "queue")

    def __init__(self) -> None:
        self.queue: deque[bytes] = deque()
        self.bytes_waiting = 0
        self.arrival = 0.0
        self.held = False
        self.closed = False


class _Transport(asyncio.Transport):
    """One end of a connection."""

    def __init__(self, network: SimulatedNetwork, own: str, peer: str, process: Process | None) -> None:
        super().__init__()
        self.network = network
        self.own = own
        self.peer = peer
        self.process = process
        self.other: _Transport = self
        self.protocol: Any = None
        self.outgoing = _Half()
        self.reading_paused = False
        self.writing_paused = False
        self.high = WINDOW_BYTES
        self.ended = False
        self.backlog: list[bytes | None] = []

    # ---- asyncio.Transport ----

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def get_protocol(self) -> Any:
        return self.protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return (self.peer, 0) if name == "peername" else default

    def is_closing(self) -> bool:
        return self.ended or self.outgoing.closed

    def get_write_buffer_size(self) -> int:
        return max(0, self.outgoing.bytes_waiting - WINDOW_BYTES)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high = WINDOW_BYTES if high is None else high

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.is_closing() or (self.process is not None and not self.process.alive) or not data:
            return
        self.network.send(self, bytes(data))

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self.reading_paused = True

    def resume_reading(self) -> None:
        self.reading_paused = False
        self.network.loop.call_soon(self.read_backlog)

    def is_reading(self) -> bool:
        return not self.reading_paused

    def close(self) -> None:
        """What was written still arrives, then the end."""
        if not self.is_closing():
            self.outgoing.closed = True
            self.network.send_end(self)
            self.network.loop.call_soon(self.lose, None)

    def abort(self) -> None:
        self.network.cut(self, "aborted")

    # ---- what the network calls, in this end's process ----

    def receive(self, data: bytes | None) -> None:
        """Bytes, or None for the end."""
        if self.ended:
            return
        if self.reading_paused or self.backlog:
            self.backlog.append(data)
        elif data is None:
            if not self.protocol.eof_received():
                self.close()
        else:
            self.protocol.data_received(data)

    def read_backlog(self) -> None:
        backlog, self.backlog = self.backlog, []
        for place, data in enumerate(backlog):
            if self.reading_paused:
                self.backlog = backlog[place:]
                return
            self.receive(data)

    def lose(self, error: Exception | None) -> None:
        if self.ended:
            return
        self.ended = True
        self.outgoing.closed = True
        self.network.forget(self)
        if self.protocol is not None:
            self.protocol.connection_lost(error)


class _Server(asyncio.AbstractServer):
    """A listening node."""

    def __init__(self, network: SimulatedNetwork, address: tuple[str, int], handler: ConnectionHandler) -> None:
        self._network = network
        self._address = address
        self.handler = handler
        self.process = current_process()
        # Keeps the handlers' tasks: asyncio itself does not.
        self.tasks: set[asyncio.Task[Any]] = set()

    def close(self) -> None:
        if self._network.servers.get(self._address) is self:
            del self._network.servers[self._address]

    def is_serving(self) -> bool:
        return self._network.servers.get(self._address) is self

    async def wait_closed(self) -> None:
        return


class SimulatedNetwork:
    """All links and connections of a simulated world.

    Args:
        loop: whose time counts.
        chance: for delays, splits and cuts.
        watch: told of connections that begin and end, for the trace.
    """

    def __init__(self, loop: SimulatedLoop, chance: Random, watch: Watcher) -> None:
        self.loop = loop
        self.servers: dict[tuple[str, int], _Server] = {}
        self._chance = chance
        self._watch = watch
        self._links: dict[tuple[str, str], Link] = {}
        self._ends: list[_Transport] = []
        self.bytes_sent = 0

    def of(self, node: str) -> NodeNetwork:
        """The network as a node sees it: a `journal.environment.Network`."""
        return NodeNetwork(self, node)

    def link(self, source: str, target: str) -> Link:
        """The way from one node to another."""
        found = self._links.get((source, target))
        if found is None:
            found = self._links[source, target] = Link(0.0001, 0.0001)
        return found

    # ---- faults -----------------------------------------------------------------------------------------------------

    def block(self, source: str, target: str) -> None:
        """Nothing passes from source to target until `unblock`; connections do not notice by themselves."""
        self.link(source, target).blocked += 1

    def unblock(self, source: str, target: str) -> None:
        """What waited arrives after a retransmission timeout, in order."""
        link = self.link(source, target)
        link.blocked -= 1
        if link.blocked:
            return
        for end in self._ends:
            if (end.own, end.peer) == (source, target) and end.outgoing.held:
                end.outgoing.held = False
                self._schedule(end, RETRANSMISSION_SECONDS * self._chance.random(), len(end.outgoing.queue))

    def cut_between(self, one: str, other: str, reason: str) -> int:
        """Kill every connection between two nodes; returns how many."""
        ends = [end for end in self._ends if end.own == one and end.peer == other]
        for end in ends:
            self.cut(end, reason)
        return len(ends)

    def cut(self, end: _Transport, reason: str) -> None:
        """One connection dies. Each side learns of it in its own time; what is in flight arrives up to some byte."""
        for each in (end, end.other):
            half = each.outgoing
            if not half.closed:
                half.closed = True
                self._tear(half)
            delay = self._chance.random() * (0.01 if self._chance.random() < 0.7 else 1.0)
            self._call(each, delay, each.lose, ConnectionResetError(reason))

    def process_died(self, process: Process) -> None:
        """The connections of a killed process: the peers are reset, unless the way is blocked (then they stay)."""
        for end in [end for end in self._ends if end.process is process]:
            half = end.outgoing
            half.closed = True
            self._tear(half)
            end.ended = True
            self.forget(end)
            if not self.link(end.own, end.peer).blocked:
                delay = self._chance.random() * (0.02 if self._chance.random() < 0.7 else 1.0)
                self._call(end.other, delay, end.other.lose, ConnectionResetError("peer died"))
            else:
                # A keep-alive, or the peer's own timeout, finds out.
                self._call(end.other, 1.0 + self._chance.random(), end.other.lose, TimeoutError("peer is gone"))
        for server in [server for server in self.servers.values() if server.process is process]:
            server.close()

    def _tear(self, half: _Half) -> None:
        """Some prefix of what is in flight still arrives."""
        keep = self._chance.randrange(half.bytes_waiting + 1) if half.bytes_waiting else 0
        pieces = list(half.queue)
        for place, data in enumerate(pieces):
            half.queue[place] = data[:keep]
            keep = max(0, keep - len(data))

    # ---- sending ----------------------------------------------------------------------------------------------------

    def send(self, end: _Transport, data: bytes) -> None:
        """Queue bytes; they arrive one by one or in pieces."""
        half = end.outgoing
        pieces = [data]
        if len(data) > 1 and self._chance.random() < 0.05:
            at = self._chance.randrange(1, len(data))
            pieces = [data[:at], data[at:]]
        half.queue.extend(pieces)
        half.bytes_waiting += len(data)
        self.bytes_sent += len(data)
        if self.link(end.own, end.peer).blocked:
            half.held = True
        elif not half.held:
            self._schedule(end, 0.0, len(pieces))
        if end.get_write_buffer_size() > end.high and not end.writing_paused:
            end.writing_paused = True
            end.protocol.pause_writing()

    def send_end(self, end: _Transport) -> None:
        """The end arrives after everything else, or, where the way is blocked, is concluded from silence."""
        if self.link(end.own, end.peer).blocked or end.outgoing.held:
            self._call(end.other, 1.0 + self._chance.random(), end.other.lose, TimeoutError("peer is gone"))
            return
        delay = max(self._delay(end.own, end.peer), end.outgoing.arrival - self.loop.time())
        self._call(end.other, delay, end.other.receive, None)

    def _schedule(self, end: _Transport, extra: float, count: int) -> None:
        half = end.outgoing
        for _ in range(count):
            arrival = max(self.loop.time() + extra + self._delay(end.own, end.peer), half.arrival)
            half.arrival = arrival
            self._call(end.other, arrival - self.loop.time(), self._arrive, end)

    def _arrive(self, end: _Transport) -> None:
        half = end.outgoing
        if self.link(end.own, end.peer).blocked:
            half.held = True
        if half.held or not half.queue:
            # It was on its way when the way was blocked: it comes with the rest.
            return
        data = half.queue.popleft()
        half.bytes_waiting -= len(data)
        if end.writing_paused and end.get_write_buffer_size() <= end.high // 2:
            end.writing_paused = False
            self._call(end, 0.0, end.protocol.resume_writing)
        if data:
            end.other.receive(data)

    def _delay(self, source: str, target: str) -> float:
        link = self.link(source, target)
        delay = link.seconds + self._chance.expovariate(1.0) * link.jitter
        return min(delay * link.slow, DELAY_SECONDS_MAX)

    def _call(self, end: _Transport, delay: float, function: Callable[..., None], *arguments: Any) -> None:
        context = None if end.process is None else end.process.context.copy()
        self.loop.call_at(self.loop.time() + max(0.0, delay), function, *arguments, context=context)

    # ---- connecting -------------------------------------------------------------------------------------------------

    async def connect(self, source: str, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection, or OSError."""
        await asyncio.sleep(self._delay(source, host) + self._delay(host, source))
        if self.link(source, host).blocked or self.link(host, source).blocked:
            await asyncio.sleep(self._chance.random() * CONNECT_SECONDS_MAX)
            raise TimeoutError(f"connecting to {host}: timed out")
        server = self.servers.get((host, port))
        if server is None:
            raise ConnectionRefusedError(f"{host}:{port} does not listen")
        own = _Transport(self, source, host, current_process())
        theirs = _Transport(self, host, source, server.process)
        own.other, theirs.other = theirs, own
        self._ends += [own, theirs]
        reader, writer = _streams(self.loop, own)
        self._watch(source, f"connected to {host}")
        self._call(theirs, 0.0, self._accept, server, theirs)
        return reader, writer

    def _accept(self, server: _Server, end: _Transport) -> None:
        reader, writer = _streams(self.loop, end)
        task = self.loop.create_task(server.handler(reader, writer))  # type: ignore[arg-type]
        server.tasks.add(task)
        task.add_done_callback(server.tasks.discard)

    def forget(self, end: _Transport) -> None:
        """The end is gone."""
        if end in self._ends:
            self._ends.remove(end)
            self._watch(end.own, f"connection with {end.peer} ended")


def _streams(loop: SimulatedLoop, end: _Transport) -> tuple[PeerReader, asyncio.StreamWriter]:
    reader = PeerReader(loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    end.protocol = protocol
    protocol.connection_made(end)
    return reader, asyncio.StreamWriter(end, protocol, reader, loop)


class NodeNetwork:
    """`journal.environment.Network` of one node; hosts are node names."""

    def __init__(self, network: SimulatedNetwork, node: str) -> None:
        self._network = network
        self._node = node

    async def listen(
        self, handler: ConnectionHandler, host: str, port: int, tls: ssl.SSLContext | None
    ) -> asyncio.AbstractServer:
        """Accept connections."""
        server = _Server(self._network, (self._node, port), handler)
        self._network.servers[self._node, port] = server
        return server

    async def connect(
        self, host: str, port: int, tls: ssl.SSLContext | None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection or raise OSError."""
        return await self._network.connect(self._node, host, port)
