"""A slice of fuzzing: random bytes on a live listener.

Goal: whatever a client sends, at start-up, as messages with a right frame and a wrong body, or as rubbish, the server neither
crashes nor leaks a connection, and a neighbour's session goes on undisturbed. A seed makes a run repeatable; BOREAL_SOAK=1 runs
it far longer.
"""

from __future__ import annotations

import os
import random
import struct
import time

import pytest

from frontend.wire.authentication import AccessRule, make_verifier
from frontend.wire.messages import message
from tests.frontend.wire.serving import RawClient, Served, kinds, startup_packet
from tests.frontend.wire.trivial_session import live_sessions

ROUNDS = 20_000 if os.environ.get("BOREAL_SOAK") else 1500
TEXTS = [b"select 1", b"begin", b"later 1", b"copy in", b"fail", b"now", b"rollback", b"", b"later fail", b"big 20"]


def random_message(rng: random.Random) -> bytes:
    kind = bytes((rng.choice(b"QPBDECHSFdcf" * 9 + b"Xz\0"),))
    choice = rng.random()
    if choice < 0.3:
        body = rng.choice(TEXTS) + b"\0"
    elif choice < 0.5:
        body = b"\0" + rng.choice(TEXTS) + b"\0\0\0"
    elif choice < 0.7:
        body = bytes(rng.choice([6, 8, 5, 0]))
    else:
        body = rng.randbytes(rng.randrange(20))
    data = message(kind, body)
    if rng.random() < 0.02:
        data = data[:1] + struct.pack("!i", rng.choice([-1, 0, 3, 2**31 - 1, 100])) + data[5:]
    return data


@pytest.mark.parametrize("method", ["trust", "scram-sha-256"])
def test_random_bytes(method: str) -> None:
    rng = random.Random(f"wire {method}")
    rules = [
        AccessRule("host", "all", "neighbour", "trust"),
        AccessRule("host", "all", "all", method),  # type: ignore[arg-type]
    ]
    verifier = str(make_verifier("x"))
    before = len(live_sessions)
    with Served(rules=rules, verifier=lambda user: verifier) as served:
        neighbour = served.raw(user="neighbour")
        for number in range(ROUNDS):
            client = RawClient.to(("127.0.0.1", served.port))
            client.socket.settimeout(0.005)
            try:
                if rng.random() < 0.8:
                    client.send(startup_packet(user="postgres"))
                    stream = b"".join(random_message(rng) for _ in range(rng.randrange(30)))
                else:
                    stream = rng.randbytes(rng.randrange(200))
                cut = rng.randrange(len(stream) + 1)
                client.send(stream[:cut])
                client.send(stream[cut:])
                if rng.random() < 0.3:
                    client.read_until_ready()
            except (OSError, AssertionError):
                pass  # the server has hung up, or its answer is cut
            client.close()
            if number % 20 == 0:
                assert kinds(neighbour.query("select 1")) == "TDCZ"
        neighbour.close()
        deadline = time.monotonic() + 5
        while (served.listener.connections or served.listener._starting) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not served.listener.connections
        assert not served.listener._starting
        assert not served.listener.registry._entries
        assert len(live_sessions) <= before
