"""A node's gateway in the simulation: a real view in RocksDB, real sessions, the real connection class on a simulated stream.

    client ─▶ SimulatedNetwork ─▶ PostgresConnection ─▶ Session ─▶ Gateway ─▶ View (RocksDB), Replica

The composition is deploy.node's, without TLS, authentication and HTTP. RocksDB is the one thing below it that is not
simulated: its files lie in a temporary directory. It is deterministic for what is asked of it, since a view is read in its
own thread only; and a crash is simulated from outside: the view comes back as it was at its last flush (a copy of its files
taken then), or is deleted and replayed.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from unittest.mock import patch

from rocksdict import Checkpoint

from deploy.node import HistoryAdapter, JournalAdapter
from frontend.gateway import Gateway
from frontend.wire.cancellation import CancelRegistry
from frontend.wire.connection import PostgresConnection
from frontend.wire.limits import WireLimits
from frontend.wire.session_contract import Startup
from frontend.wire.turn import LoopTurn
from journal.event import Event
from storage.view import View, compare
from tests.simulation.cluster import Cluster, SimulatedNode
from tests.simulation.loop import SimulatedLoop

SQL_PORT = 5432


@contextmanager
def virtual_slices(loop: SimulatedLoop) -> Iterator[None]:
    """Statements are cut into slices by the host's clock: by virtual time instead."""
    with patch("frontend.tasks.perf_counter", loop.time):
        yield


class Gateways:
    """The gateways and views of a cluster.

    Args:
        cluster: on whose nodes they run.
        directory: for the views' files; disposable.
    """

    def __init__(self, cluster: Cluster, directory: Path) -> None:
        self._cluster = cluster
        self._directory = directory
        self._chance = Random(f"{cluster.seed}/views")
        self.views: dict[str, View] = {}

    def start(self, node: SimulatedNode) -> None:
        """The node's replica serves: bring up view and gateway, in the node's process."""
        replica = node.replica
        assert replica is not None
        path = self._path(node)
        view = _open(path)
        if view.frontier.position > replica.frontier.position:
            view.close()
            path = path.with_suffix(".replay")
            view = _open(path)
        self.views[node.name] = view
        replica.subscribe(view.apply, view.frontier.position)
        gateway = Gateway(
            view,
            JournalAdapter(replica, patient=True),
            HistoryAdapter(replica),
            replica.transaction_ids.next,
            node_id=node.number,
            monotonic=self._cluster.loop.time,
        )
        registry = CancelRegistry(node.number)
        turn = LoopTurn(self._cluster.loop)
        # A StreamWriter that nobody holds closes its transport.
        held: list[asyncio.StreamWriter] = []

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            held.append(writer)
            process_id, _ = registry.allocate()
            transport: asyncio.Transport = writer.transport  # type: ignore[assignment]
            startup = Startup("postgres", "postgres", process_id=process_id)
            connection = PostgresConnection(
                transport, startup, 0, registry, WireLimits(), None, lambda connection: None, turn
            )
            connection.start(gateway.open_session, b"")

        async def listen() -> None:
            await self._cluster.network.of(node.name).listen(accept, node.name, SQL_PORT, None)
            while True:
                await asyncio.sleep(0.3 + self._chance.random())
                _flush(view)

        self._cluster.loop.create_task(listen())

    def crash(self, node: SimulatedNode) -> None:
        """The node is gone; so is what its view had not flushed, and now and then the whole view."""
        view = self.views.pop(node.name, None)
        if view is None:
            return
        # The old database may live on for a moment, held by an iterator: the next incarnation has a directory of its own.
        view.database.close()
        flushed = _flushed(view)
        if flushed.exists() and self._chance.random() < 0.7:
            shutil.copytree(flushed, self._directory / f"{node.name}-{node.incarnation + 1}")

    def problems(self) -> list[str]:
        """Every view against a fresh one that is given the whole event log."""
        found = []
        for node in self._cluster.members:
            if node.witness:
                continue
            replayed = _open(self._directory / f"{node.name}.replayed")
            assert node.replica is not None
            if node.name not in self.views:
                found.append(f"{node.name} has no view")
                continue
            events: list[Event] = list(node.replica.events.read(1))
            replayed.apply(events)
            differences = compare(self.views[node.name], replayed)
            if differences:
                found.append(f"the view of {node.name} differs from replay: {differences[0]}")
            replayed.close()
        return found

    def close(self) -> None:
        """Let go of the files."""
        for name in sorted(self.views):
            self.views[name].database.close()

    def _path(self, node: SimulatedNode) -> Path:
        return self._directory / f"{node.name}-{node.incarnation}"


def _open(path: Path) -> View:
    return View(path, cache_bytes=1 << 20, write_buffer_bytes=1 << 20)


def _flushed(view: View) -> Path:
    return view.path.with_suffix(".flushed")


def _flush(view: View) -> None:
    """Make the view durable, and keep a copy of what is."""
    view.flush()
    flushed = _flushed(view)
    shutil.rmtree(flushed, ignore_errors=True)
    Checkpoint(view.database).create_checkpoint(str(flushed))
