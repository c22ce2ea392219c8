"""A cluster over mutual TLS: everything that passes between members does so with certificates, feeds, too.

Goal: elections, commits from any member, catching up and following work over TLS, and nobody without a certificate of the
cluster's authority gets a byte. Method: three replicas over loopback with certificates made here.
"""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from journal.event import Proposal
from journal.remotefeed import FeedClient, follow_remote
from journal.replica import Replica, ReplicaSettings
from journal.simulated import SimulatedDisk
from journal.transport import PROTOCOL_VERSION, Hello, Peer, _encode, write_frame
from tests.journal.cluster import PREFIX, free_ports, put, run, simulated
from tests.journal.test_transport import authority


def test_three_members_and_a_follower_over_tls(tmp_path: Path) -> None:
    contexts = authority(tmp_path)
    (tmp_path / "other").mkdir()
    strangers = authority(tmp_path / "other")

    async def work() -> None:
        ports = free_ports(3)
        peers = [Peer(f"node-{number}", "127.0.0.1", ports[number]) for number in range(3)]
        replicas: list[Replica] = []
        for number, peer in enumerate(peers):
            server, client = contexts(peer.name)
            replica = Replica(
                simulated(SimulatedDisk(), number),
                ReplicaSettings(
                    name=peer.name,
                    directory="/j",
                    heartbeat_seconds=0.03,
                    election_seconds_min=0.3,
                    election_seconds_max=0.6,
                    entry_bytes_max=64 << 10,
                ),
                address=(peer.host, peer.port),
                peers=[each for each in peers if each is not peer],
                server_tls=server,
                client_tls=client,
            )
            await replica.start()
            replicas.append(replica)
        for _ in range(500):
            if all(replica.leader_name is not None for replica in replicas):
                break
            await asyncio.sleep(0.01)
        for number, replica in enumerate(replicas):
            assert (await replica.submit(put(number + 1, 0, b"%d" % number))).committed
        large = await replicas[0].propose_large(
            Proposal(9, 0), [[(PREFIX + b"L%05d" % each, b"y" * 100, 0) for each in range(5000)]]
        )
        assert large.committed

        _, client = contexts("storage-1")
        feed = follow_remote(FeedClient(simulated(SimulatedDisk()), "boreal", "storage-1", client), peers, 1)
        seen = [event.txid async for batch in _until(feed, 4) for event in batch if not event.more]
        assert seen[:4] == [event.txid for event in replicas[0].events.read(1) if not event.more]

        # Without TLS, with another authority's certificate, and under another member's name: not a byte.
        hello = _encode(Hello(PROTOCOL_VERSION, "boreal", "node-1", "feed"))
        _, foreign = strangers("node-1")
        _, impostor = contexts("storage-2")
        for tls in (None, foreign, impostor):
            received = b""
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", ports[0], ssl=tls)
                write_frame(writer, hello)
                received = await asyncio.wait_for(reader.read(), 5)
                writer.close()
            except (ssl.SSLError, ConnectionError, TimeoutError):
                pass
            # Without TLS the server's alert may come, which says nothing.
            assert b"node-" not in received
            assert len(received) < 16
        for replica in replicas:
            await replica.stop()

    run(work())


async def _until(feed, position):  # type: ignore[no-untyped-def]
    async for batch in feed:
        yield batch
        if batch[-1].position >= position and not batch[-1].more:
            await feed.aclose()
            return


def test_a_hello_is_bounded_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("journal.transport._HELLO_SECONDS_MAX", 0.1)

    async def work() -> None:
        port = free_ports(1)[0]
        replica = Replica(simulated(SimulatedDisk()), ReplicaSettings(directory="/j"), address=("127.0.0.1", port))
        await replica.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await asyncio.wait_for(reader.read(), 2) == b""
        writer.close()
        await replica.stop()

    run(work())
