"""The composition root: one process, from a configuration to running roles and back.

    Config ──▶ Node.start:  lock the data directory
                            journal replica  ──events──▶ view
                            gateway  ◀──▶ PostgreSQL listener, HTTP
               Node.stop:   drain connections, replica, view

Nothing below this module knows how the parts are put together.

**What stops a node.** Every NodeFatal, wherever it is raised: in the journal (a failed fsync, a damaged file), or in whoever reads
the view. The latter leaves a mark in the data directory, and the next start deletes the view and replays the event log: a view
is never repaired and never trusted again. A journal that cannot be trusted is left as it is, for people to look at.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

from deploy import VERSION
from deploy.config import Config, ConfigError
from deploy.directory import lock
from frontend.gateway import Gateway
from frontend.http.app import HttpServer
from frontend.wire.authentication import LOOPBACK_TRUST, AccessRule
from frontend.wire.cancellation import CancelRegistry
from frontend.wire.limits import WireLimits
from frontend.wire.listener import Listener
from frontend.wire.tls import ServerTls, load_server_tls
from journal.clock import TransactionIds
from journal.environment import Environment, real_environment
from journal.errors import CorruptData, NodeFatal
from journal.event import Proposal, Verdict, Write
from journal.replica import Replica, ReplicaSettings
from storage.mvcc import DamagedView
from storage.view import View

logger = logging.getLogger(__name__)

COLLECT_SECONDS = 5.0
COLLECT_KEYS = 500
DAMAGED_VIEW_MARK = "view.damaged"


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
        self.stopped = asyncio.Event()
        self.fatal: BaseException | None = None
        self.pg_port = 0
        self.http_port = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._closing = contextlib.AsyncExitStack()

    async def start(self) -> None:
        """Bring everything up; returns when clients can connect. What was begun is undone if it fails.

        Raises:
            BorealError: the directory is in use, the journal is damaged, TLS files do not fit …
            OSError: a port is taken.
        """
        asyncio.get_running_loop().set_exception_handler(self._on_loop_exception)
        try:
            await self._start()
        except BaseException:
            await self._closing.aclose()
            raise

    async def _start(self) -> None:
        config = self.config
        began = time.perf_counter()
        tls = _load_tls(config)
        directory = Path(config.data_directory)
        directory.mkdir(parents=True, exist_ok=True)
        self._closing.enter_context(lock(directory))
        self.view = self._open_view(directory / "view")
        self._closing.callback(lambda: self.view.close())
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
        view_opened = time.perf_counter()
        await self.replica.start()
        journal_opened = time.perf_counter()
        replayed_from = self.view.frontier.position
        self._closing.push_async_callback(self.replica.stop)
        self.replica.failed.add_done_callback(self._on_failed)
        if self.view.frontier.position > self.replica.frontier.position:
            logger.error("the view is ahead of the journal; it is deleted and replayed")
            self.view.close()
            shutil.rmtree(self.view.path)
            self.view = self._open_view(directory / "view")
        self.replica.subscribe(self.view.apply, self.view.frontier.position)
        replayed = time.perf_counter()
        ids = TransactionIds(self._environment.clock, config.node_id)
        self.gateway = Gateway(
            self.view,
            JournalAdapter(self.replica),
            HistoryAdapter(self.replica),
            ids.next,
            node_id=config.node_id,
            transaction_bytes_max=config.transaction_bytes_max,
        )
        self.listener = Listener(
            self.gateway.open_session,
            verifier=self._verifier,
            rules=_access_rules(config),
            tls=tls,
            registry=CancelRegistry(config.node_id),
            limits=WireLimits(connection_count_max=config.connections_max),
            busy_poll_seconds=config.busy_poll_us / 1e6,
        )
        self._closing.push_async_callback(self.listener.drain, 0.0)
        self.http = HttpServer(self.gateway, self.replica, VERSION)
        self._closing.push_async_callback(self.http.stop)
        with _naming("http_port", config.http_port):
            self.http_port = await self.http.start(config.http_host, config.http_port)
        with _naming("pg_port", config.pg_port):
            self.pg_port = await self.listener.start(config.pg_host, config.pg_port)
        if config.pg_socket_directory:
            await self.listener.start_unix(f"{config.pg_socket_directory}/.s.PGSQL.{self.pg_port}")
        logger.info(
            "view opened in %.2f s, journal in %.2f s, %d events replayed in %.2f s, listening after %.2f s",
            view_opened - began,
            journal_opened - view_opened,
            self.view.frontier.position - replayed_from,
            replayed - journal_opened,
            time.perf_counter() - began,
        )
        task = asyncio.get_running_loop().create_task(self._collect_garbage())
        task.add_done_callback(self._on_task_done)
        self._closing.callback(task.cancel)

    async def stop(self) -> None:
        """Drain: transactions finish within `drain_seconds`, nothing new begins, then everything is made durable."""
        self.gateway.draining = True
        await self.listener.drain(self.config.drain_seconds)
        await self._closing.aclose()
        self.stopped.set()

    async def abandon(self) -> None:
        """Let go of everything without draining: after a fatal error, and for tests of crashes."""
        await self._closing.aclose()

    # ── what stops the node by itself ──────────────────────────────────────────────────────────────────────────────

    @property
    def view_damaged(self) -> bool:
        """Whether it was the view that stopped the node."""
        return isinstance(self.fatal, DamagedView) or isinstance(getattr(self.fatal, "__cause__", None), DamagedView)

    def _on_failed(self, future: asyncio.Future[NodeFatal]) -> None:
        """The journal cannot go on: stop without pretending."""
        if not future.cancelled():
            self._fail(future.result())

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def _on_loop_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What nobody caught. A NodeFatal stops the node; anything else is a bug that is logged with its traceback."""
        error = context.get("exception")
        if isinstance(error, NodeFatal):
            self._fail(error)
        else:
            loop.default_exception_handler(context)

    def _fail(self, error: BaseException) -> None:
        if self.fatal is not None:
            return
        self.fatal = error
        if self.view_damaged:
            (Path(self.config.data_directory) / DAMAGED_VIEW_MARK).touch()
            logger.critical("the node stops: %s; the next start deletes the view and replays the event log", error)
        else:
            logger.critical("the node stops: %s", error)
        self.stopped.set()

    # ── journal to view ────────────────────────────────────────────────────────────────────────────────────────────

    def _open_view(self, path: Path) -> View:
        mark = path.parent / DAMAGED_VIEW_MARK
        if mark.exists():
            logger.warning("view %s was found damaged; it is deleted and replayed from the event log", path)
            shutil.rmtree(path, ignore_errors=True)
            mark.unlink()
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
            # Asked before every slice: a read in the past may have begun since the one before.
            while horizon > 0 and self.view.collect(min(horizon, self.gateway.oldest_snapshot()), COLLECT_KEYS):  # noqa: ASYNC110 - a pause between slices
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


class HistoryAdapter:
    """`frontend.gateway.History` from the event log and the replica of the same process."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self.closed_us = replica.closed_us

    def commit_ts(self, position: int) -> int | None:
        """See frontend.gateway.History."""
        try:
            return next(self._replica.events.read(position)).commit_ts
        except IndexError:
            return None


async def _breathing(chunks: Iterator[list[Write]]) -> AsyncIterator[list[Write]]:
    """The chunks, giving way to other sessions between them."""
    for chunk in chunks:
        yield chunk
        await asyncio.sleep(0)


def _load_tls(config: Config) -> ServerTls | None:
    if not config.tls_certificate_file:
        return None
    try:
        return load_server_tls(config.tls_certificate_file, config.tls_key_file)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        files = f"tls_certificate_file {config.tls_certificate_file}, tls_key_file {config.tls_key_file}"
        raise ConfigError(f"{files}: {error}") from error


@contextlib.contextmanager
def _naming(setting: str, port: int) -> Iterator[None]:
    """An OSError of listening says which setting to change."""
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{setting} {port}: {error.strerror or error}") from error


def _access_rules(config: Config) -> tuple[AccessRule, ...]:
    scram = AccessRule("host", "all", "all", "scram-sha-256")
    if config.authentication == "scram":
        return (AccessRule("local", "all", "all", "scram-sha-256"), scram)
    return (*LOOPBACK_TRUST, scram)
