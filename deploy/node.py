"""The composition root: one process, from a configuration to running roles and back.

    Config ──▶ Node.start:  lock the data directory
                            journal replica  ──events──▶ view
                            HTTP; join the other members
                            gateway  ◀──▶ PostgreSQL listener
               Node.stop:   hand over the leadership, drain connections, replica, view

A witness is a replica and HTTP, no more. Every other member serves clients, whoever leads: its replica forwards what they
commit, and `deploy.reads` confirms what they read.

Nothing below this module knows how the parts are put together.

**What stops a node.** Every NodeFatal, wherever it is raised: in the journal (a failed fsync, a damaged file), or in whoever reads
the view. The latter leaves a mark in the data directory, and the next start deletes the view and replays the event log: a view
is never repaired and never trusted again. A journal that cannot be trusted is left as it is, for people to look at.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import shutil
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from deploy import VERSION
from deploy.certificates import names_in, peer_contexts
from deploy.config import Config, ConfigError
from deploy.control import Control
from deploy.directory import lock
from deploy.faults import Faults, FaultyNetwork, SkewedClock
from deploy.faulty_disk import FaultyDisk, FaultySynchronizer
from deploy.readiness import Readiness
from deploy.reads import ReplicaReads
from deploy.status import NodeStatus, cluster_status
from frontend.gateway import Gateway
from frontend.http.app import HttpServer, resident_bytes, transactions_open
from frontend.reads import LocalReads, StrongReads
from frontend.wire.authentication import LOOPBACK_TRUST, AccessRule
from frontend.wire.cancellation import CancelRegistry
from frontend.wire.limits import WireLimits
from frontend.wire.listener import Listener
from frontend.wire.tls import ServerTls, load_server_tls
from journal.environment import Environment, FixedClockError, real_environment
from journal.errors import BorealError, CorruptData, NodeFatal
from journal.event import Event, Outcome, Proposal, Verdict, Write
from journal.replica import Replica, ReplicaSettings
from journal.statemachine import Subscriber
from storage.mvcc import DamagedView
from storage.view import View

logger = logging.getLogger(__name__)

COLLECT_SECONDS = 5.0
COLLECT_KEYS = 500
READ_SECONDS_MAX = 0.9
"""A strong read that no majority has confirmed by then is refused: within a second, as seen by the client."""
LEADER_SECONDS_MAX = 0.8
"""How long a COMMIT looks for a leader before it is refused; a region without a majority says so within a second."""
LEADER_RETRY_SECONDS = 0.02
SUBSCRIBE_SECONDS_MAX = 60.0
DAMAGED_VIEW_MARK = "view.damaged"


class Node:
    """A running node.

    Args:
        config: see deploy.config.
        environment: time, chance, disk and network; None: the host's.

    Attributes:
        stopped: set when the node has ended, whether asked to or by a fatal error (`fatal`).
        pg_port, http_port: where it listens, once started; pg_port is 0 on a witness.
        view, gateway, listener: None on a witness.
    """

    def __init__(self, config: Config, environment: Environment | None = None) -> None:
        self.config = config
        self._faults = Faults(Path(config.faults_file), config.peers) if config.faults_file else None
        self._environment = environment or _environment(config, self._faults)
        self.stopped = asyncio.Event()
        self.fatal: BaseException | None = None
        self.pg_port = 0
        self.http_port = 0
        self.view: View | None = None
        self.gateway: Gateway | None = None
        self.listener: Listener | None = None
        self.reads: StrongReads = LocalReads()
        self._readiness: Readiness | None = None
        self._draining = False
        self._began = time.monotonic()
        self._closing = contextlib.AsyncExitStack()

    async def start(self) -> None:
        """Bring everything up; returns when clients can connect. What was begun is undone if it fails.

        A member waits for the others at most `join_seconds`, and then goes on without them: it refuses strong reads and writes
        until a majority is there.

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
        if not config.is_witness:
            self.view = self._open_view(directory / "view")
            self._closing.callback(self._close_view)
        self.replica = _replica(config, self._environment)
        if self._faults is not None:
            self._spawn(self._faults.run())
        view_opened = time.perf_counter()
        with _naming("peer_port", config.peer_address[1]):
            await self.replica.start()
        journal_opened = time.perf_counter()
        self._closing.push_async_callback(self.replica.stop)
        self.replica.failed.add_done_callback(self._on_failed)
        replayed = 0
        if self.view is not None:
            replayed = await self._follow(self.view)
        view_current = time.perf_counter()
        if config.members:
            self.reads = _reads(config, self.replica, self._environment)
            self._readiness = Readiness(partial(self.replica.read_barrier, for_client=False))
            self._spawn(self._readiness.run())
        if self.view is not None:
            self.gateway = self._gateway(self.view)
        control = Control(self.replica, directory) if config.members else None
        self.http = HttpServer(self.gateway, self, control.routes if control is not None else ())
        self._closing.push_async_callback(self.http.stop)
        with _naming("http_port", config.http_port):
            self.http_port = await self.http.start(config.http_host, config.http_port)
        if control is not None:
            control.open(config.http_host, self.http_port)
            self._closing.callback(control.close)
        await self._join()
        if self.gateway is not None:
            await self._listen(self.gateway, tls)
            self._spawn(self._collect_garbage())
        logger.info(
            "view opened in %.2f s, journal in %.2f s, %d events replayed in %.2f s, listening after %.2f s",
            view_opened - began,
            journal_opened - view_opened,
            replayed,
            view_current - journal_opened,
            time.perf_counter() - began,
        )

    async def stop(self) -> None:
        """Drain: the leadership goes to another member, transactions finish within `drain_seconds`, nothing new begins, then
        everything is made durable."""
        self._draining = True
        if self.gateway is not None:
            self.gateway.draining = True
        await self._hand_over()
        if self.listener is not None:
            await self.listener.drain(self.config.drain_seconds)
        await self._closing.aclose()
        self.stopped.set()

    async def abandon(self) -> None:
        """Let go of everything without draining: after a fatal error, and for tests of crashes."""
        await self._closing.aclose()

    # ── parts ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _gateway(self, view: View) -> Gateway:
        config = self.config
        return Gateway(
            view,
            JournalAdapter(self.replica, patient=bool(config.members)),
            HistoryAdapter(self.replica),
            self.replica.transaction_ids.next,
            node_id=config.node_id,
            transaction_bytes_max=config.transaction_bytes_max,
            reads=self.reads,
        )

    async def _listen(self, gateway: Gateway, tls: ServerTls | None) -> None:
        config = self.config
        self.listener = Listener(
            gateway.open_session,
            verifier=self._verifier,
            awaits_roles=self._awaits_roles,
            rules=_access_rules(config),
            tls=tls,
            registry=CancelRegistry(config.node_id),
            limits=WireLimits(connection_count_max=config.connections_max),
            busy_poll_seconds=config.busy_poll_us / 1e6,
        )
        self._closing.push_async_callback(self.listener.drain, 0.0)
        with _naming("pg_port", config.pg_port):
            self.pg_port = await self.listener.start(config.pg_host, config.pg_port)
        if config.pg_socket_directory:
            await self.listener.start_unix(f"{config.pg_socket_directory}/.s.PGSQL.{self.pg_port}")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something as long as the node lives; an exception of it stops the node."""
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(self._on_task_done)
        self._closing.callback(task.cancel)

    # ── among other members ────────────────────────────────────────────────────────────────────────────────────────

    async def _join(self) -> None:
        """Wait, within a bound, until this member has what was committed."""
        if self._readiness is None:
            return
        joined = asyncio.ensure_future(self._readiness.joined(self.config.join_seconds))
        ends: tuple[asyncio.Future[Any], ...] = (joined, self.replica.failed)
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if self.replica.failed.done():
            joined.cancel()
            raise self.replica.failed.result()
        if await joined:
            logger.info(
                "joined: the leader is %s, position %d", self.replica.leader_name, self.replica.frontier.position
            )
        else:
            logger.warning("%s; going on without", self._readiness.reason or "no majority has answered")

    async def _hand_over(self) -> None:
        """Let another member lead before anything here ends. Nobody may be fit for it; then the others elect one later."""
        if not self.config.members or not self.replica.is_leader:
            return
        ended: asyncio.Future[Verdict | None] = asyncio.get_running_loop().create_future()
        self.replica.transfer_leadership(None, ended.set_result)
        verdict = await ended
        if verdict is not None:
            logger.warning("the leadership stays here until the end: %s", verdict.reason)

    # ── how it is ──────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def has_joined(self) -> bool:
        """Whether a majority has lately confirmed that this node has everything; always so on a single node."""
        return self.replica.is_leader if self._readiness is None else self._readiness.has_majority

    @property
    def is_ready(self) -> bool:
        """Whether clients are served, and what they write can be committed."""
        serving = self.listener is not None or self.config.is_witness
        return serving and self.has_joined and not self._draining

    def status(self) -> NodeStatus:
        """For operators."""
        config, gateway, readiness = self.config, self.gateway, self._readiness
        status = NodeStatus(
            ready=self.is_ready,
            draining=self._draining,
            leader=self.replica.is_leader,
            name=config.name,
            node_id=config.node_id,
            region=config.region,
            roles=config.roles,
            version=VERSION,
            position=self.view.frontier.position if self.view is not None else 0,
            journal_position=self.replica.frontier.position,
            sessions=len(gateway.sessions) if gateway is not None else 0,
            transactions_open=transactions_open(gateway) if gateway is not None else 0,
            uptime_seconds=round(time.monotonic() - self._began, 3),
            resident_bytes=resident_bytes(),
        )
        if readiness is not None:
            if not readiness.has_majority:
                status.waiting_for = f"a majority of the members: {readiness.reason or 'no answer'}"
            report = self.replica.report()
            if report.turned_away_by:
                status.waiting_for = (
                    f"{', '.join(report.turned_away_by)} to know {config.name} as a member: was it removed?"
                )
            status.cluster = cluster_status(
                report,
                cluster=config.cluster,
                now_us=self._environment.clock.wall_us(),
                has_majority=readiness.has_majority,
                read_path=self.reads.path if gateway is not None else None,
            )
        return status

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

    async def _follow(self, view: View) -> int:
        """Bring the view up to the event log's end and keep it there; how many events that took.

        A view may be ahead of the log after a crash: it writes itself to disk when it likes, the log is behind the verdicts.
        A single node replays its Raft log before it gets here, so there it means that the log has lost something, and the view is
        made anew. A member learns from the others what is committed, and the log catches up with the view."""
        log_position = self.replica.frontier.position
        if view.frontier.position <= log_position:
            before = view.frontier.position
            await self._subscribe(view.apply, before)
            return view.frontier.position - before
        if self.config.members:
            logger.warning(
                "the view is at position %d, ahead of the journal's %d", view.frontier.position, log_position
            )
            await self._subscribe(Overtaken(view).apply, log_position)
            return 0
        logger.error("the view is ahead of the journal; it is deleted and replayed")
        view.close()
        shutil.rmtree(view.path)
        self.view = view = self._open_view(view.path)
        await self._subscribe(view.apply, 0)
        return view.frontier.position

    async def _subscribe(self, subscriber: Subscriber, after: int) -> None:
        """Not in the middle of a large event, which a member that catches up may be publishing."""
        deadline = time.monotonic() + SUBSCRIBE_SECONDS_MAX
        while self.replica.is_publishing:
            if time.monotonic() > deadline:
                raise BorealError(f"the journal publishes one event for more than {SUBSCRIBE_SECONDS_MAX:g} s")
            await asyncio.sleep(0.005)
        self.replica.subscribe(subscriber, after)

    def _close_view(self) -> None:
        if self.view is not None:
            self.view.close()

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
        view, gateway = self.view, self.gateway
        assert view is not None
        assert gateway is not None
        retention_us = round(self.config.retention_hours * 3_600_000_000)
        while retention_us:
            await asyncio.sleep(COLLECT_SECONDS)
            horizon = self.replica.clock.last_us - retention_us
            # Asked before every slice: a read in the past may have begun since the one before.
            while horizon > 0 and view.collect(min(horizon, gateway.oldest_snapshot()), COLLECT_KEYS):  # noqa: ASYNC110 - a pause between slices
                await asyncio.sleep(0.01)

    def _verifier(self, user: str) -> str | None:
        assert self.view is not None  # who listens has one
        role = self.view.catalog.role(user)
        return role.password if role is not None and role.login else None

    def _awaits_roles(self, user: str, method: str, done: Callable[[], None]) -> bool:
        """A login reads the catalog strongly, too. With a password every one does, so that nobody learns from the time it takes which roles
        there are. A node that cannot make sure goes by what it knows: reads in the past need a login as well."""
        assert self.view is not None
        if not self.reads.waits or (method == "trust" and self.view.catalog.role(user) is not None):
            return False
        self.reads.barrier(lambda _: done())
        return True


class Overtaken:
    """A view that is ahead of the event log: it waits for the log to arrive where it is, and looks whether that is the same
    place. If the event there is another one, the view belongs to another history, and is made anew by the next start."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._position, self._commit_ts, _ = view.frontier

    def apply(self, events: Sequence[Event]) -> None:
        """See `View.apply`."""
        if events[0].position <= self._position:
            for event in events:
                if event.position == self._position and event.commit_ts != self._commit_ts:
                    raise DamagedView(
                        f"view {self._view.path} has applied position {self._position} at {self._commit_ts}, but the journal "
                        f"has it at {event.commit_ts}"
                    )
            if events[-1].position <= self._position:
                return
        self._view.apply(events)


class JournalAdapter:
    """`frontend.gateway.Journal` on a replica of the same process.

    Args:
        patient: propose again, within a bound, what was refused because the leadership was changing. NOT_LEADER proves that
            the proposal is not in the log and never will be (journal/DESIGN.md), so that cannot make it happen twice, and
            a leader that drains fails nobody. Not so for large transactions, whose writes are gone by then.
    """

    def __init__(self, replica: Replica, *, patient: bool) -> None:
        self._replica = replica
        self.propose = self._propose_patiently if patient else replica.propose
        self._tasks: set[asyncio.Task[None]] = set()

    def _propose_patiently(self, proposal: Proposal, callback: Callable[[Verdict], None]) -> None:
        loop, propose = asyncio.get_running_loop(), self._replica.propose
        deadline = loop.time() + LEADER_SECONDS_MAX

        def answer(verdict: Verdict) -> None:
            if verdict.outcome is Outcome.NOT_LEADER and loop.time() < deadline:
                loop.call_later(LEADER_RETRY_SECONDS, propose, proposal, answer)
            else:
                callback(verdict)

        propose(proposal, answer)

    def propose_large(
        self, proposal: Proposal, chunks: Iterator[list[Write]], callback: Callable[[Verdict], None]
    ) -> None:
        """See frontend.gateway.Journal."""

        async def commit() -> None:
            callback(await self._replica.propose_large(proposal, _breathing(chunks)))

        self._spawn(commit())

    def resolve(self, txid: int, callback: Callable[[str], None]) -> None:
        """See frontend.gateway.Journal."""

        async def ask() -> None:
            callback((await self._replica.resolve(txid)).value)

        self._spawn(ask())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            task.get_loop().call_exception_handler({"message": "the journal could not be asked", "exception": error})


class HistoryAdapter:
    """`frontend.gateway.History` from the event log and the replica of the same process."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self.closed_us = replica.closed_now_us

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


def _environment(config: Config, faults: Faults | None) -> Environment:
    """The host's, with what the settings say of its clock, and the faults."""
    environment = real_environment(FixedClockError(config.clock_error_us) if config.clock_error_us >= 0 else None)
    if faults is None:
        return environment
    return dataclasses.replace(
        environment,
        clock=SkewedClock(faults),
        network=FaultyNetwork(environment.network, faults),
        disk=FaultyDisk(faults),
        synchronizer=lambda loop, file: FaultySynchronizer(loop, file, faults),
    )


def _replica(config: Config, environment: Environment) -> Replica:
    server_tls = client_tls = None
    if config.members and config.peer_tls == "mutual":
        names = names_in(config.peer_certificate_file)
        if config.name not in names:
            raise ConfigError(
                f"peer_certificate_file {config.peer_certificate_file}: it names {names}, not {config.name}"
            )
        server_tls, client_tls = peer_contexts(config.peer_ca_file, config.peer_certificate_file, config.peer_key_file)
    settings = ReplicaSettings(
        node=config.node_id,
        name=config.name,
        cluster=config.cluster,
        directory=str(Path(config.data_directory) / "journal"),
        joining=config.joins,
        witness=config.is_witness,
        window_us=config.conflict_window_seconds * 1_000_000,
        transaction_bytes_max=config.transaction_bytes_max,
        raft_segment_bytes=config.journal_segment_bytes,
        event_segment_bytes=2 * config.journal_segment_bytes,
        compact_bytes=2 * config.journal_segment_bytes,
        heartbeat_seconds=config.heartbeat_ms / 1000,
        election_seconds_min=config.election_ms / 1000,
        election_seconds_max=2 * config.election_ms / 1000,
        read_timeout_seconds=READ_SECONDS_MAX,
        closed_seconds=config.closed_ms / 1000,
        leader_preferred=config.leader_preferred,
        fast_commit=config.fast_commit,
        commit_lead_ms=config.commit_lead_ms,
    )
    return Replica(
        environment,
        settings,
        address=config.peer_address,
        peers=config.peers,
        server_tls=server_tls,
        client_tls=client_tls,
    )


def _reads(config: Config, replica: Replica, environment: Environment) -> StrongReads:
    return ReplicaReads(
        replica,
        environment.clock,
        preference=config.read_path,
        error_us=config.clock_error_us if config.clock_error_us >= 0 else None,
        fast_commit=config.fast_commit,
        timeout_seconds=READ_SECONDS_MAX,
    )


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
