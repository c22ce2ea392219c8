"""A peer that vanishes without a FIN is noticed within a bound, also by who only listens.

Goal: `journal.environment` promises 3 s of silence, on both ends. Method: a network namespace whose link goes down, so that nothing
arrives and nobody says so; without the right to make one, the sockets' options alone.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest
import uvloop

from journal.environment import SystemNetwork

NAMESPACE = f"boreal{os.getpid()}"
OUTSIDE, INSIDE = "10.213.77.1", "10.213.77.2"
SILENCE_SECONDS_MAX = 6.0
"""3 s, an interval of keep-alives, and a slow machine."""


def test_every_connection_is_watched() -> None:
    async def work() -> None:
        network, accepted = SystemNetwork(), asyncio.get_running_loop().create_future()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted.set_result(writer)

        server = await network.listen(accept, "127.0.0.1", 0, None)
        _, writer = await network.connect("127.0.0.1", server.sockets[0].getsockname()[1], None)
        for end in (writer, await accepted):
            connection = end.get_extra_info("socket")
            assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 3000
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 1
            end.close()
        server.close()

    uvloop.run(work())


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.fixture
def namespace() -> Iterator[str]:
    link, far = f"bo{os.getpid()}a", f"bo{os.getpid()}b"
    try:
        ip("netns", "add", NAMESPACE)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no right to make a network namespace")
    try:
        ip("link", "add", link, "type", "veth", "peer", "name", far, "netns", NAMESPACE)
        ip("addr", "add", f"{OUTSIDE}/24", "dev", link)
        ip("link", "set", link, "up")
        ip("-n", NAMESPACE, "addr", "add", f"{INSIDE}/24", "dev", far)
        ip("-n", NAMESPACE, "link", "set", far, "up")
        yield far
    except subprocess.CalledProcessError:
        pytest.skip("no right to make a link")
    finally:
        # At once; with its namespace it would go later, and meanwhile take the next one's packets.
        subprocess.run(["ip", "link", "del", link], check=False, capture_output=True)
        ip("netns", "del", NAMESPACE)


@pytest.mark.parametrize("speaks", [False, True], ids=["listens", "sends"])
def test_a_peer_that_vanishes(namespace: str, speaks: bool) -> None:
    async def work() -> None:
        accepted: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = (
            asyncio.get_running_loop().create_future()
        )
        let_go = asyncio.Event()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted.set_result((reader, writer))
            await let_go.wait()

        server = await SystemNetwork().listen(accept, OUTSIDE, 0, None)
        port = server.sockets[0].getsockname()[1]
        dial = (
            f"import socket,time; c=socket.create_connection(('{OUTSIDE}',{port}),10); c.sendall(b'x'); time.sleep(60)"
        )
        peer = await asyncio.create_subprocess_exec("ip", "netns", "exec", NAMESPACE, "python3", "-c", dial)
        try:
            reader, writer = await asyncio.wait_for(accepted, 10)
            assert await reader.readexactly(1) == b"x"
            ip("-n", NAMESPACE, "link", "set", namespace, "down")
            began = time.monotonic()
            if speaks:
                writer.write(b"heartbeat")
            with pytest.raises(OSError):
                async with asyncio.timeout(SILENCE_SECONDS_MAX):
                    await reader.readexactly(1)
            took = time.monotonic() - began
            print(f"noticed after {took:.1f} s")
            assert took < SILENCE_SECONDS_MAX
        finally:
            peer.kill()
            await peer.wait()
            let_go.set()
            server.close()

    uvloop.run(work())
