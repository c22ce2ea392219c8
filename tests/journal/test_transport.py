"""The transport: nothing leaves before `release`, strangers stay out, acknowledgements of another term do not count.

Goal: persist-before-send and authentication. Method: two transports over loopback, with and without TLS, and a raw
socket that says what it should not.
"""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from journal.environment import real_environment
from journal.transport import PROTOCOL_VERSION, Hello, Peer, PeerTransport, TurnedAway, _encode, is_well_formed
from tests.journal.cluster import free_ports

HEARTBEAT: dict[str, Any] = {
    "type": "append_entries",
    "term": 3,
    "commit_index": 1,
    "entries": [(b"x", 2, 3)],
    "prevLogIdx": 1,
    "prevLogTerm": 0,
}
ACKNOWLEDGEMENT = {"type": "next_node_idx", "next_node_idx": 3, "reset": False, "success": True}


class End:
    """One transport and what it delivered."""

    def __init__(self, own: Peer, other: Peer, term: int, **options: Any) -> None:
        self.received: list[dict[str, Any]] = []
        self.settled = 0
        self.transport = PeerTransport(real_environment(), "test", own, [other], wake=lambda: None, **options)
        self.transport.attach(lambda: term, lambda name, message: message["type"] != "request_vote")
        self.transport.setOnMessageReceivedCallback(lambda node, message: self.received.append(message))
        self.node = self.transport.nodes[other.name]

    def settle(self) -> None:
        self.settled += 1

    async def deliver(self, seconds: float = 0.4) -> list[dict[str, Any]]:
        end = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < end and not self.received:
            await asyncio.sleep(0.01)
            self.transport.deliver(self.settle)
        return self.received


def pair(
    work: Callable[[End, End], Awaitable[None]], terms: tuple[int, int] = (3, 3), options: tuple[Any, Any] = ({}, {})
) -> None:
    async def main() -> None:
        ports = free_ports(2)
        peers = [Peer(f"node-{number}", "127.0.0.1", ports[number]) for number in range(2)]
        ends = [End(peers[each], peers[1 - each], terms[each], **options[each]) for each in range(2)]
        for end in ends:
            await end.transport.start()
        for _ in range(1000):
            if all(end.transport._writers for end in ends):
                break
            await asyncio.sleep(0.01)
        await asyncio.wait_for(work(*ends), 20)
        for end in ends:
            await end.transport.stop()

    uvloop.run(main())


def test_nothing_leaves_before_release() -> None:
    async def work(left: End, right: End) -> None:
        assert left.transport.send(left.node, HEARTBEAT)
        assert await right.deliver(0.1) == []
        left.transport.release()
        received = await right.deliver()
        assert received[0]["entries"] == [[b"x", 2, 3]]
        assert right.settled == 1
        # The acknowledgement echoes when the heartbeat was sent: what the lease counts from.
        before = real_environment().clock.monotonic()
        right.transport.send(right.node, ACKNOWLEDGEMENT)
        right.transport.release()
        assert (await left.deliver())[0]["type"] == "next_node_idx"
        assert left.transport.acknowledged["node-1"] < before

    pair(work)


def test_an_acknowledgement_of_another_term_is_dropped() -> None:
    async def work(left: End, right: End) -> None:
        right.transport.send(right.node, ACKNOWLEDGEMENT)
        right.transport.release()
        assert await left.deliver(0.2) == []
        assert left.transport.acknowledged == {}

    pair(work, terms=(4, 3))


def test_an_acknowledgement_carries_the_term_in_which_it_was_given() -> None:
    """Between `send` and `release` the sender may have moved to a newer term, of which the acknowledgement says nothing."""

    async def work(left: End, right: End) -> None:
        left.transport.send(left.node, ACKNOWLEDGEMENT)
        left.transport.attach(lambda: 4, lambda message: True)
        left.transport.send(left.node, HEARTBEAT)
        left.transport.release()
        assert [message["type"] for message in await right.deliver()] == ["append_entries"]

    pair(work, terms=(3, 4))


def test_only_raft_messages_pass() -> None:
    async def work(left: End, right: End) -> None:
        assert not left.transport.send(left.node, {"type": "apply_command", "command": b"x"})
        assert not left.transport.send(left.node, {"type": "append_entries", "serialized": b"x"})
        left.transport.send(left.node, {"type": "request_vote", "term": 4, "last_log_index": 1, "last_log_term": 0})
        left.transport.release()
        assert await right.deliver(0.2) == []

    pair(work)


@pytest.mark.parametrize(
    "hello",
    [
        Hello(99, "test", "node-0"),
        Hello(PROTOCOL_VERSION, "another", "node-0"),
        Hello(PROTOCOL_VERSION, "test", "node-0", "nonsense"),
        ["no", "hello"],
    ],
)
def test_strangers_are_refused(hello: object) -> None:
    async def work(left: End, right: End) -> None:
        port = right.transport._own.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for frame in (_encode(hello), b"\0" + _encode((0.0, 3, HEARTBEAT))):
            writer.write(len(frame).to_bytes(4, "big") + frame)
        assert await reader.read() == b""
        assert await right.deliver(0.1) == []
        writer.close()

    pair(work)


@pytest.mark.parametrize("is_member", [False, True], ids=["stranger", "another directory"])
def test_who_is_turned_away_hears_why(is_member: bool) -> None:
    async def work(left: End, right: End) -> None:
        right.transport.applied = lambda: 7
        right.transport.identity_refusal = lambda name, identity, added: f"{name} is not {identity}, {added}"
        port = right.transport._own.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        hello = Hello(PROTOCOL_VERSION, "test", "node-0" if is_member else "stranger", identity=5, added=(3, 4))
        for frame in (_encode(hello), b"\0" + _encode((0.0, 3, HEARTBEAT))):
            writer.write(len(frame).to_bytes(4, "big") + frame)
        answer = msgspec.msgpack.decode((await reader.read())[4:], type=TurnedAway)
        reason = "node-0 is not 5, (3, 4)" if is_member else "stranger is not a member of the cluster"
        assert answer == TurnedAway(7, reason, is_member)
        assert await right.deliver(0.1) == []
        writer.close()

    pair(work)


def test_an_oversized_frame_closes_the_connection() -> None:
    async def work(left: End, right: End) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", right.transport._own.port)
        writer.write(b"\xff" * 100)
        assert await reader.read() == b""
        writer.close()

    pair(work)


def test_fuzzed_frames_harm_nobody() -> None:
    """From a peer that is authenticated: at worst its connection is closed."""
    chance = Random(3)

    async def work(left: End, right: End) -> None:
        hello = _encode(Hello(PROTOCOL_VERSION, "test", "node-0"))
        for number in range(300):
            reader, writer = await asyncio.open_connection("127.0.0.1", right.transport._own.port)
            message: Any = dict(HEARTBEAT)
            victim = chance.choice(list(message))
            nonsense = chance.choice([None, -1.5, "x", b"", [], {}, [[1]], [[b"", 1, 1]], [[b"x"]]])
            message[victim] = nonsense
            body = chance.choice(
                [b"\0" + _encode((0.0, 3, message)), b"\1" + chance.randbytes(20), chance.randbytes(9)]
            )
            for frame in (hello, body, chance.randbytes(number % 50)):
                writer.write(len(frame).to_bytes(4, "big") + frame)
            await writer.drain()
            writer.close()
            right.transport.deliver(right.settle)
        await asyncio.sleep(0.2)
        right.transport.deliver(right.settle)
        assert all(is_well_formed(message) for message in right.received)
        assert {message["type"] for message in right.received} <= {"append_entries"}

    pair(work)


def authority(directory: Path) -> Callable[[str], tuple[ssl.SSLContext, ssl.SSLContext]]:
    """A certificate authority; returns a maker of (server, client) contexts for a node name."""
    now = datetime.datetime.now(datetime.UTC)
    root_key = ec.generate_private_key(ec.SECP256R1())
    root_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])

    def certificate(name: x509.Name, key: ec.EllipticCurvePrivateKey, *extensions: x509.ExtensionType) -> bytes:
        builder = x509.CertificateBuilder(root_name, name, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(1)).not_valid_after(now + datetime.timedelta(1))
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(root_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    root = directory / "root.pem"
    root.write_bytes(certificate(root_name, root_key, x509.BasicConstraints(ca=True, path_length=None)))

    def contexts(name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        both = directory / f"{name}.pem"
        both.write_bytes(
            certificate(subject, key, x509.SubjectAlternativeName(names))
            + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        made = []
        for purpose in (ssl.Purpose.CLIENT_AUTH, ssl.Purpose.SERVER_AUTH):
            context = ssl.create_default_context(purpose, cafile=str(root))
            context.load_cert_chain(both)
            context.verify_mode = ssl.CERT_REQUIRED
            made.append(context)
        return made[0], made[1]

    return contexts


def test_mutual_tls_and_a_certificate_of_another_name(tmp_path: Path) -> None:
    contexts = authority(tmp_path)
    options = []
    for name in ("node-0", "impostor"):
        server, client = contexts(name)
        options.append({"server_tls": server, "client_tls": client})

    async def work(left: End, right: End) -> None:
        left.transport.send(left.node, HEARTBEAT)
        left.transport.release()
        assert (await right.deliver())[0]["type"] == "append_entries"
        # The other's certificate says that it is not node-1.
        right.transport.send(right.node, HEARTBEAT)
        right.transport.release()
        assert await left.deliver(0.3) == []

    pair(work, options=(options[0], options[1]))


def test_nobody_is_served_after_the_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Also if the other end does not answer any more. A handler that is left over is cancelled with the loop, which some versions of
    Python log as an error."""
    contexts = authority(tmp_path)
    options: list[dict[str, Any]] = []
    for name in ("node-0", "node-1"):
        server, client = contexts(name)
        options.append({"server_tls": server, "client_tls": client})

    async def work(left: End, right: End) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", left.transport._own.port, ssl=contexts("node-1")[1])
        hello = _encode(Hello(PROTOCOL_VERSION, "test", "node-1"))
        writer.write(len(hello).to_bytes(4, "big") + hello)
        await asyncio.sleep(0.1)
        writer.transport.pause_reading()
        assert left.transport._serving
        await left.transport.stop()
        assert not left.transport._serving
        writer.transport.abort()

    pair(work, options=(options[0], options[1]))
    assert "Exception in callback" not in caplog.text


def test_who_turns_out_not_to_be_the_voter_is_heard_no_more() -> None:
    """It had connected before this node's log said whose the vote is; what has arrived from it counts no more either."""

    async def work(left: End, right: End) -> None:
        while "node-0" not in right.transport._inbound_of:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        port = right.transport._own.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        hello = Hello(PROTOCOL_VERSION, "test", "node-0", identity=5)
        for frame in (_encode(hello), b"\0" + _encode((0.0, 3, HEARTBEAT))):
            writer.write(len(frame).to_bytes(4, "big") + frame)
        while not right.transport._inbox:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        assert right.transport.identity_of("node-0") == 5
        right.transport.set_peers(right.transport.peers)
        assert right.transport.identity_of("node-0") == 5
        right.transport.is_disowned = lambda name, identity, added: (name, identity) == ("node-0", 5)
        right.transport.set_peers(right.transport.peers)
        assert right.transport.identity_of("node-0") == 0
        assert await right.deliver(0.1) == []
        assert await reader.read() == b""
        writer.close()

    pair(work)
