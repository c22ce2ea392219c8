"""PostgreSQL with two synchronous standbys, and a Boreal of three nodes: what `compare --replicated` sets beside each other.

Both run on this machine, over its loopback, with durable commits on a majority of three: PostgreSQL's primary waits until either
standby has flushed (`synchronous_standby_names = 'ANY 1 (a, b)'`, `synchronous_commit = on`), Boreal's leader until either follower
has. PostgreSQL's standbys are real ones: `pg_basebackup`, then streaming, with hot standby on. Boreal is `boreal cluster start`:
two full nodes, each with its own copy of the data, and a witness, TLS between them; clients connect to the leader.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from loadtest.compare import Target, free_port
from loadtest.postgresql import PostgresServer
from loadtest.regions.cluster import Regions

STANDBYS = ("a", "b")
_STREAMING_SECONDS_MAX = 30.0


class Standby(PostgresServer):
    """A copy of a running primary that follows it; gone when the `with` block ends."""

    def __init__(self, primary_port: int, name: str, settings: dict[str, str]) -> None:
        super().__init__(settings, port=free_port())
        self._primary = f"host=127.0.0.1 port={primary_port} user=postgres"
        self.name = name

    def initialize(self) -> None:
        """pg_basebackup writes standby.signal and primary_conninfo."""
        self.run_program(
            *("pg_basebackup", "-D", self.data, "-R", "-X", "stream", "-c", "fast", "-d"),
            f"{self._primary} application_name={self.name}",
        )


@contextmanager
def postgresql(settings: dict[str, str]) -> Iterator[Target]:
    """A primary that answers when one of two standbys has flushed."""
    port = free_port()
    with ExitStack() as stack:
        primary = stack.enter_context(
            PostgresServer({**settings, "wal_level": "replica", "max_wal_senders": "6"}, port=port)
        )
        for name in STANDBYS:
            stack.enter_context(Standby(port, name, settings))
        primary.execute(f"ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 ({', '.join(STANDBYS)})'")
        primary.execute("SELECT pg_reload_conf()")
        _wait_for_standbys(primary)
        yield Target("PostgreSQL", "127.0.0.1", port)


def _wait_for_standbys(primary: PostgresServer) -> None:
    deadline = time.monotonic() + _STREAMING_SECONDS_MAX
    wanted = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = 'quorum'"
    while primary.execute(wanted) != str(len(STANDBYS)):
        if time.monotonic() > deadline:
            raise RuntimeError("the standbys do not follow")
        time.sleep(0.1)


@contextmanager
def boreal(settings: dict[str, str]) -> Iterator[Target]:
    """Three nodes without a wide area between them; the leader."""
    with Regions(settings, wan="") as cluster:
        yield cluster.places["n1"].target
