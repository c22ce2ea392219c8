"""The node's HTTP side: liveness, readiness and metrics.

GET /health   200 while the process runs
GET /ready    200 when clients are served; 503 while draining or when proposals cannot be ordered here
GET /metrics  Prometheus text
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge, generate_latest

if TYPE_CHECKING:
    from frontend.gateway import Gateway


class Leadership(Protocol):
    """What readiness depends on."""

    @property
    def is_leader(self) -> bool: ...


class HttpServer:
    """The aiohttp application of a node.

    Args:
        gateway: whose state is shown.
        leadership: tells whether this node can order proposals.
    """

    def __init__(self, gateway: Gateway, leadership: Leadership) -> None:
        self._gateway = gateway
        self._leadership = leadership
        self._registry = CollectorRegistry()
        sessions = Gauge("boreal_sessions", "Client sessions connected.", registry=self._registry)
        sessions.set_function(lambda: len(gateway.sessions))
        position = Gauge("boreal_view_position", "Position of the last event applied.", registry=self._registry)
        position.set_function(lambda: gateway.view.frontier.position)
        plans = Gauge("boreal_cached_plans", "Plans in the shared cache.", registry=self._registry)
        plans.set_function(lambda: len(gateway.plans.entries) + len(gateway.prepared_plans.entries))
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port."""
        application = web.Application(client_max_size=1 << 20)
        application.router.add_get("/health", self._health)
        application.router.add_get("/ready", self._ready)
        application.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(application, access_log=None)
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

    async def _ready(self, request: web.Request) -> web.Response:
        ready = self._leadership.is_leader and not self._gateway.draining
        return web.json_response({"ready": ready}, status=200 if ready else 503)

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), content_type="text/plain")
