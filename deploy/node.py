"""The composition root: one process, from a configuration to running roles and back.

    Config ──▶ Node.start:  lock the data directory
                            journal replica  ──events──▶ view
                            gateway  ◀──▶ PostgreSQL listener, HTTP
               Node.stop:   drain connections, replica, view

Nothing below this module knows how the parts are put together. A view that cannot be trusted is deleted and replayed from the
event log; a journal that cannot be trusted stops the node with an error that names the file.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import IO

from deploy.config import Config
from frontend.gateway import Gateway
from frontend.http.app import HttpServer
from frontend.wire.authentication import LOOPBACK_TRUST, AccessRule
from frontend.wire.cancellation import CancelRegistry
from frontend.wire.limits import WireLimits
from frontend.wire.listener import Listener
from frontend.wire.tls import load_server_tls
from journal.clock import TransactionIds
from journal.environment import Environment, real_environment
from journal.errors import BorealError, CorruptData, NodeFatal
from journal.event import Proposal, Verdict, Write
from journal.replica import Replica, ReplicaSettings
from storage.view import View

logger = logging.getLogger(__name__)

COLLECT_SECONDS = 5.0
COLLECT_KEYS = 500


class DataDirectoryInUse(BorealError):
    """Another process has locked the data directory."""

    sqlstate = "F0001"


class Node:
    """A running node.

    Args:
        config: see deploy.config.

    Attributes:
        stopped: set when the node has ended, whether asked to or by a fatal error (`fatal`).
        pg_port, http_port: where it listens, once started.
    """

    def __init__(self, config: Config, environment: Environment | None = None) -> None:
        self.config = config
        self._environment = environment or real_environment()
        self._lock: IO[str] | None = None
        self.stopped = asyncio.Event()
        self.fatal: BaseException | None = None
        self.pg_port = 0
        self.http_port = 0
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Bring everything up; returns when clients can connect.

        Raises:
            BorealError: the directory is in use, the journal is damaged, TLS files do not fit …
            OSError: a port is taken.
        """
        config = self.config
        directory = Path(config.data_directory)
        directory.mkdir(parents=True, exist_ok=True)
        self._lock_directory(directory)
        self.view = self._open_view(directory / "view")
        self.replica = Replica(
            self._environment,
            ReplicaSettings(
                node=config.node_id,
                name=f"node-{config.node_id}",
                directory=str(directory / "journal"),
                window_us=config.conflict_window_seconds * 1_000_000,
                transaction_bytes_max=config.transaction_bytes_max,
            ),
        )
        await self.replica.start()
        self.replica.failed.add_done_callback(self._on_failed)
        if self.view.frontier.position > self.replica.frontier.position:
            logger.error("the view is ahead of the journal; it is deleted and replayed")
            self.view.close()
            shutil.rmtree(self.view.path)
            self.view = self._open_view(directory / "view")
        self.replica.subscribe(self.view.apply, self.view.frontier.position)
        ids = TransactionIds(self._environment.clock, config.node_id)
        self.gateway = Gateway(
            self.view,
            JournalAdapter(self.replica),
            ids.next,
            node_id=config.node_id,
            transaction_bytes_max=config.transaction_bytes_max,
        )
        self.listener = Listener(
            self.gateway.open_session,
            verifier=self._verifier,
            rules=_access_rules(config),
            tls=load_server_tls(config.tls_certificate_file, config.tls_key_file)
            if config.tls_certificate_file
            else None,
            registry=CancelRegistry(config.node_id),
            limits=WireLimits(connection_count_max=config.connections_max),
        )
        self.http = HttpServer(self.gateway, self.replica)
        self.http_port = await self.http.start(config.http_host, config.http_port)
        self.pg_port = await self.listener.start(config.pg_host, config.pg_port)
        if config.pg_socket_directory:
            await self.listener.start_unix(f"{config.pg_socket_directory}/.s.PGSQL.{self.pg_port}")
        self._tasks.append(asyncio.get_running_loop().create_task(self._collect_garbage()))

    async def stop(self) -> None:
        """Drain: no new connections, transactions finish within `drain_seconds`, then everything is made durable."""
        self.gateway.draining = True
        await self.listener.drain(self.config.drain_seconds)
        await self._shut_down()

    async def _shut_down(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.http.stop()
        await self.replica.stop()
        self.view.close()
        if self._lock is not None:
            self._lock.close()
        self.stopped.set()

    def _on_failed(self, future: asyncio.Future[NodeFatal]) -> None:
        """The journal cannot go on: stop without pretending."""
        if not future.cancelled():
            self.fatal = future.result() if future.exception() is None else future.exception()
            logger.critical("the node stops: %s", self.fatal)
            self.stopped.set()

    def _lock_directory(self, directory: Path) -> None:
        lock = (directory / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            owner = lock.read().strip()
            raise DataDirectoryInUse(f"data directory {directory} is in use by process {owner or 'unknown'}") from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        self._lock = lock

    # ── journal to view ────────────────────────────────────────────────────────────────────────────────────────────

    def _open_view(self, path: Path) -> View:
        try:
            return View(path, cache_bytes=self.config.cache_bytes)
        except CorruptData as error:
            logger.error("%s; it is deleted and replayed from the event log", error)
            shutil.rmtree(path)
            return View(path, cache_bytes=self.config.cache_bytes)

    async def _collect_garbage(self) -> None:
        """Remove superseded versions older than the retention, a few at a time."""
        retention_us = round(self.config.retention_hours * 3_600_000_000)
        while retention_us:
            await asyncio.sleep(COLLECT_SECONDS)
            horizon = self.replica.clock.last_us - retention_us
            oldest = self.gateway.oldest_snapshot()
            while horizon > 0 and self.view.collect(min(horizon, oldest), COLLECT_KEYS):  # noqa: ASYNC110 - a pause between slices
                await asyncio.sleep(0.01)

    def _verifier(self, user: str) -> str | None:
        role = self.view.catalog.role(user)
        return role.password if role is not None and role.login else None


class JournalAdapter:
    """`frontend.gateway.Journal` on a replica of the same process."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self.propose = replica.propose
        self.submit = replica.submit
        self._large: set[asyncio.Task[None]] = set()

    def propose_large(
        self, proposal: Proposal, chunks: Iterator[list[Write]], callback: Callable[[Verdict], None]
    ) -> None:
        """See frontend.gateway.Journal."""

        async def commit() -> None:
            callback(await self._replica.propose_large(proposal, _breathing(chunks)))

        task = asyncio.get_running_loop().create_task(commit())
        self._large.add(task)
        task.add_done_callback(self._large.discard)


async def _breathing(chunks: Iterator[list[Write]]) -> AsyncIterator[list[Write]]:
    """The chunks, giving way to other sessions between them."""
    for chunk in chunks:
        yield chunk
        await asyncio.sleep(0)


def _access_rules(config: Config) -> tuple[AccessRule, ...]:
    scram = AccessRule("host", "all", "all", "scram-sha-256")
    if config.authentication == "scram":
        return (AccessRule("local", "all", "all", "scram-sha-256"), scram)
    return (*LOOPBACK_TRUST, scram)
