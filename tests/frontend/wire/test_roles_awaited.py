"""A login that waits until this node knows the roles that others know.

Method: a live listener whose answer the test gives; raw clients, and psycopg with a password.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import psycopg
import pytest

from frontend.wire import messages
from frontend.wire.authentication import AccessRule, make_verifier
from frontend.wire.limits import WireLimits
from tests.frontend.wire.serving import RawClient, Served, error_fields, startup_packet_of

STARTUP = startup_packet_of(messages.PROTOCOL_VERSION, {"user": "postgres", "database": "postgres"})
QUERY = messages.message(b"Q", b"select 1\0")


class Roles:
    """Who waits, and for what; and the role that becomes known."""

    def __init__(self) -> None:
        self.waiting: list[tuple[str, str, Callable[[], None]]] = []
        self.verifiers: dict[str, str] = {}

    def awaits(self, user: str, method: str, done: Callable[[], None]) -> bool:
        if user == "known":
            return False
        self.waiting.append((user, method, done))
        return True

    def wait_for(self, count: int) -> None:
        deadline = time.monotonic() + 10
        while len(self.waiting) < count:
            assert time.monotonic() < deadline
            time.sleep(0.005)


@pytest.fixture
def roles() -> Roles:
    return Roles()


@pytest.fixture
def served(roles: Roles) -> Iterator[Served]:
    rules = [
        AccessRule("host", "all", "secret", "scram-sha-256"),
        AccessRule("host", "all", "all", "trust"),
    ]
    with Served(
        awaits_roles=roles.awaits,
        verifier=lambda user: roles.verifiers.get(user),
        rules=rules,
        limits=WireLimits(authentication_seconds_max=1.0),
    ) as each:
        yield each


def connected(served: Served) -> RawClient:
    return RawClient.to(("127.0.0.1", served.port))


def test_nothing_is_said_before_and_what_was_sent_meanwhile_is_answered_after(served: Served, roles: Roles) -> None:
    client = connected(served)
    client.send(STARTUP + QUERY)
    roles.wait_for(1)
    client.send(QUERY)
    client.socket.settimeout(0.2)
    with pytest.raises(TimeoutError):
        client.read()
    client.socket.settimeout(10)
    assert [each[:2] for each in roles.waiting] == [("postgres", "trust")]
    served.call(roles.waiting[0][2])
    kinds = b"".join(kind for kind, _ in client.read_until_ready(3))
    assert kinds.startswith(b"R")
    assert kinds.count(b"Z") == 3
    client.socket.close()


def test_who_is_known_does_not_wait(served: Served, roles: Roles) -> None:
    with served_connection(served, "known") as connection:
        assert connection.execute("select 1").fetchone() is not None
    assert not roles.waiting


def test_a_role_that_becomes_known_meanwhile_comes_in(served: Served, roles: Roles) -> None:
    def answer(user: str, method: str, done: Callable[[], None]) -> bool:
        assert (user, method) == ("secret", "scram-sha-256")
        roles.verifiers[user] = str(make_verifier("pass"))
        served.loop.call_later(0.05, done)
        return True

    served.listener.awaits_roles = answer
    with served_connection(served, "secret") as connection:
        assert connection.execute("select 1").fetchone() is not None


@pytest.mark.parametrize("leaves", [False, True])
def test_an_answer_after_the_end_is_ignored(served: Served, roles: Roles, leaves: bool) -> None:
    client = connected(served)
    client.send(STARTUP)
    roles.wait_for(1)
    if leaves:
        client.socket.close()
    else:
        received = client.read()
        assert received is not None
        assert error_fields(received[1])["M"] == "canceling authentication due to timeout"
        assert client.read() is None
        client.socket.close()
    time.sleep(0.1)
    served.call(roles.waiting[0][2])
    with served_connection(served, "known") as connection:
        assert connection.execute("select 1").fetchone() is not None


def served_connection(served: Served, user: str) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(
        f"host=127.0.0.1 port={served.port} user={user} password=pass dbname=postgres gssencmode=disable sslmode=disable"
    )
