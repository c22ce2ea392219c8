"""The node's HTTP side: liveness, readiness and metrics.

GET /health   200 while the process runs
GET /ready    200 when clients are served; 503 while draining or while no majority can be reached
GET /status   the same and more as one JSON object: what `boreal status` prints
GET /metrics  Prometheus text; `METRICS` below is the list

Every value is read when it is asked for: nothing is counted on the way of a statement.
"""

from __future__ import annotations

import logging
import resource
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from frontend.gateway import Gateway


class NodeState(Protocol):
    """What the node tells of itself."""

    @property
    def is_ready(self) -> bool:
        """Whether clients are served, and what they write can be committed."""

    def status(self) -> msgspec.Struct:
        """For operators; its fields are the JSON object's."""


class _OwnFaults(logging.Filter):
    """Lets through everything but requests that were no HTTP: a stranger must not be able to fill the log."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def _request_logger() -> logging.Logger:
    requests = logging.getLogger(f"{__name__}.requests")
    requests.addFilter(_OwnFaults())
    return requests


class MetricDefinition(NamedTuple):
    """One metric: name, kind (`gauge` or `counter`), meaning, and where its value comes from."""

    name: str
    kind: str
    help: str
    value: Callable[[Gateway], float]


def resident_bytes() -> int:
    """Resident memory of this process; where there is no /proc, its highest value so far."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def transactions_open(gateway: Gateway) -> int:
    """Sessions inside a transaction block."""
    return sum(session.transaction_status != "I" for session in gateway.sessions)


def processor_seconds() -> float:
    """Processor time of this process, user and system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _view_property(name: str) -> Callable[[Gateway], float]:
    return lambda gateway: float(gateway.view.database.property_int_value(name) or 0)


METRICS: tuple[MetricDefinition, ...] = (
    MetricDefinition("boreal_sessions", "gauge", "Client sessions connected.", lambda gateway: len(gateway.sessions)),
    MetricDefinition("boreal_transactions_open", "gauge", "Sessions inside a transaction block.", transactions_open),
    MetricDefinition(
        "boreal_view_position",
        "counter",
        "Position of the last event that the view has applied: committed transactions since the database was made.",
        lambda gateway: gateway.view.frontier.position,
    ),
    MetricDefinition(
        "boreal_view_commit_timestamp_seconds",
        "gauge",
        "Commit timestamp of that event, seconds since the Unix epoch.",
        lambda gateway: gateway.view.frontier.commit_ts / 1e6,
    ),
    MetricDefinition(
        "boreal_oldest_snapshot_age_seconds",
        "gauge",
        "How far the oldest open snapshot is behind the newest one; superseded rows newer than that are kept.",
        lambda gateway: (gateway.view.snapshot - gateway.oldest_snapshot()) / 1e6,
    ),
    MetricDefinition(
        "boreal_cached_plans",
        "gauge",
        "Plans in the shared caches.",
        lambda gateway: len(gateway.plans.entries) + len(gateway.prepared_plans.entries),
    ),
    MetricDefinition(
        "boreal_view_memtable_bytes",
        "gauge",
        "Memory of the view that is not yet in files.",
        _view_property("rocksdb.cur-size-all-mem-tables"),
    ),
    MetricDefinition(
        "boreal_view_file_bytes", "gauge", "Size of the view's files.", _view_property("rocksdb.live-sst-files-size")
    ),
    MetricDefinition(
        "boreal_view_keys_estimated",
        "gauge",
        "Stored versions of keys in the view, as RocksDB estimates them.",
        _view_property("rocksdb.estimate-num-keys"),
    ),
    MetricDefinition(
        "boreal_reads_by_clock",
        "gauge",
        "1 while the clock serves strong reads (read path `clock`); 0: they ask the leader, or need not.",
        lambda gateway: float(gateway.reads.path == "clock"),
    ),
    MetricDefinition(
        "boreal_clock_trusted",
        "gauge",
        "1 while this host's clock is within its error bound as far as the other members' clocks tell.",
        lambda gateway: float(gateway.reads.clock_trusted),
    ),
    MetricDefinition("process_resident_memory_bytes", "gauge", "Resident memory.", lambda gateway: resident_bytes()),
    MetricDefinition(
        "process_cpu_seconds", "counter", "Processor time, user and system.", lambda gateway: processor_seconds()
    ),
)
"""Every metric of /metrics, in the order in which they are printed."""

PROCESS_METRICS: dict[str, Callable[[], float]] = {
    "process_resident_memory_bytes": resident_bytes,
    "process_cpu_seconds": processor_seconds,
}
"""What a witness has, too."""


class _Metrics(Collector):
    def __init__(self, gateway: Gateway | None) -> None:
        self._gateway = gateway

    def collect(self) -> Iterator[Metric]:
        for name, kind, text, value in METRICS:
            family = CounterMetricFamily if kind == "counter" else GaugeMetricFamily
            if self._gateway is not None:
                yield family(name, text, value=value(self._gateway))
            elif name in PROCESS_METRICS:
                yield family(name, text, value=PROCESS_METRICS[name]())


class HttpServer:
    """The aiohttp application of a node.

    Args:
        gateway: whose state is shown; None on a witness.
        node: tells whether the node is ready, and how it is.
        routes: what else is served here.
    """

    def __init__(self, gateway: Gateway | None, node: NodeState, routes: Sequence[web.RouteDef] = ()) -> None:
        self._node = node
        self._routes = routes
        self._registry = CollectorRegistry()
        self._registry.register(_Metrics(gateway))
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port."""
        application = web.Application(client_max_size=1 << 20)
        application.router.add_get("/health", self._health)
        application.router.add_get("/ready", self._ready)
        application.router.add_get("/status", self._status)
        application.router.add_get("/metrics", self._metrics)
        application.router.add_routes(self._routes)
        self._runner = web.AppRunner(application, access_log=None, logger=_request_logger())
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Close the listener and its connections."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "alive"})

    async def _status(self, request: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(self._node.status()), content_type="application/json")

    async def _ready(self, request: web.Request) -> web.Response:
        ready = self._node.is_ready
        return web.json_response({"ready": ready}, status=200 if ready else 503)

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), content_type="text/plain")
