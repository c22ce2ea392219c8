"""What tests of replicas share: proposals, a view, and clusters over loopback, each member with its own simulated disk."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import uvloop

from journal.environment import Environment, SystemClock, SystemNetwork
from journal.event import Event, Outcome, Proposal, Verdict
from journal.replica import Replica, ReplicaSettings
from journal.simulated import Loss, SimulatedDisk
from journal.transport import Peer

PREFIX = b"\0\0\0\7\0\1"

SMALL = ReplicaSettings(
    directory="/j",
    raft_segment_bytes=32 << 10,
    event_segment_bytes=64 << 10,
    entry_bytes_max=4 << 10,
    compact_bytes=48 << 10,
    event_log_sync_seconds=0.01,
    drain_seconds=2,
)


class View:
    """A subscriber that keeps what a view would: the newest value of each key, and moves only at an event's end."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.position = 0
        self.parts = 0

    def __call__(self, events: list[Event]) -> None:
        for event in events:
            assert event.position == self.position + 1
            for key, value, _ in event.writes:
                self.rows[key] = value
            if event.more:
                self.parts += 1
            else:
                self.position = event.position


def simulated(disk: SimulatedDisk, seed: int = 1) -> Environment:
    return Environment(SystemClock(), Random(seed), disk, SystemNetwork())


def put(txid: int, snapshot: int, *names: bytes, kind: int = 0, value: bytes = b"v") -> Proposal:
    return Proposal(txid, snapshot, [(PREFIX + name, value, kind) for name in names], provenance=(1, "u", "app"))


def run(work: Awaitable[None]) -> None:
    async def main() -> None:
        await asyncio.wait_for(work, 600)

    uvloop.run(main())


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Gates(SystemNetwork):
    """The network of one member, from which others can be cut off."""

    def __init__(self) -> None:
        self.blocked: set[int] = set()
        self.open: dict[int, list[asyncio.StreamWriter]] = {}

    async def connect(
        self, host: str, port: int, tls: ssl.SSLContext | None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if port in self.blocked:
            raise ConnectionRefusedError(f"cut off from port {port}")
        reader, writer = await super().connect(host, port, tls)
        self.open.setdefault(port, []).append(writer)
        return reader, writer

    def cut(self, port: int) -> None:
        self.blocked.add(port)
        for writer in self.open.pop(port, []):
            writer.close()


class Cluster:
    """Replicas over loopback, each with its own simulated disk."""

    def __init__(self, founders: int = 3, total: int | None = None, **options: Any) -> None:
        total = total or founders
        self.founders = founders
        self.witnesses: set[int] = set()
        self.options = options
        self.disks = [SimulatedDisk() for _ in range(total)]
        self.ports = free_ports(total)
        self.gates = [Gates() for _ in range(total)]
        self.replicas: dict[int, Replica] = {}
        self.views: dict[int, View] = {}

    def peer(self, number: int) -> Peer:
        return Peer(f"node-{number}", "127.0.0.1", self.ports[number], number in self.witnesses)

    async def start(self, number: int, **options: Any) -> Replica:
        defaults: dict[str, Any] = {
            "node": number,
            "name": f"node-{number}",
            "witness": number in self.witnesses,
            "directory": "/j",
            "raft_segment_bytes": 1 << 20,
            "event_segment_bytes": 1 << 20,
            "heartbeat_seconds": 0.03,
            "election_seconds_min": 0.3,
            "election_seconds_max": 0.6,
        }
        settings = ReplicaSettings(**{**defaults, **self.options, **options})
        peers = [self.peer(each) for each in range(self.founders) if each != number]
        environment = Environment(SystemClock(), Random(number), self.disks[number], self.gates[number])
        replica = Replica(environment, settings, address=("127.0.0.1", self.ports[number]), peers=peers)
        view = View()
        await replica.start()
        view.position = replica.frontier.position
        replica.subscribe(view)
        self.replicas[number], self.views[number] = replica, view
        return replica

    async def crash(self, number: int, loss: Loss) -> None:
        replica = self.replicas.pop(number)
        await replica._close(Outcome.UNKNOWN, "crash")
        self.disks[number].crash(Random(number), loss)

    def partition(self, *numbers: int) -> None:
        """Cut these off from all others."""
        for one in numbers:
            for other in range(len(self.ports)):
                if other not in numbers:
                    self.gates[one].cut(self.ports[other])
                    self.gates[other].cut(self.ports[one])

    def heal(self) -> None:
        for gate in self.gates:
            gate.blocked.clear()

    async def leader(self) -> Replica:
        while True:
            for replica in self.replicas.values():
                if replica.is_leader and replica.has_lease:
                    return replica
            await asyncio.sleep(0.01)

    def number_of(self, replica: Replica) -> int:
        return next(number for number, each in self.replicas.items() if each is replica)

    async def followers(self) -> list[Replica]:
        while True:
            leader = await self.leader()
            if all(replica.leader_name == leader.name for replica in self.replicas.values()):
                return [replica for replica in self.replicas.values() if replica is not leader]
            await asyncio.sleep(0.01)

    async def commit(self, txid: int) -> Verdict:
        """Retry until some leader commits it; the same txid takes effect once."""
        while True:
            leader = await self.leader()
            verdict = await leader.submit(put(txid, leader.frontier.commit_ts, b"%d" % txid))
            if verdict.committed:
                return verdict
            assert verdict.outcome in (Outcome.NOT_LEADER, Outcome.UNKNOWN), verdict
            await asyncio.sleep(0.02)

    async def agree(self, position: int) -> None:
        for replica in self.replicas.values():
            await replica.applied(position)
        chains = [
            [(event.position, event.txid, event.hash) for event in replica.events.read(1)]
            for replica in self.replicas.values()
        ]
        assert all(chain == chains[0] for chain in chains)

    async def stop(self) -> None:
        for replica in self.replicas.values():
            await replica.stop()


def three(work: Callable[[Cluster], Awaitable[None]], *, witness: int | None = None, **options: Any) -> None:
    async def main() -> None:
        cluster = Cluster(**options)
        if witness is not None:
            cluster.witnesses.add(witness)
        for number in range(3):
            await cluster.start(number)
        await work(cluster)
        await cluster.stop()

    run(main())
