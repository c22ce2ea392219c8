"""What an operator may order a running node to do: change who belongs, hand over the leadership.

    boreal member … --data DIR ──reads DIR/control.json──▶ POST /control/… with the token ──▶ Replica

Only whoever can read the data directory may: the node writes a fresh token there when it starts, in a file for its owner
alone. The HTTP listener has no authentication otherwise, and needs none for what only reads. Changes of members are the
leader's to make (`journal.membership`); any other node answers with the leader's name.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar

import msgspec
from aiohttp import web

from journal.configuration import Change, Member
from journal.errors import BorealError
from journal.event import Outcome, Verdict
from journal.replica import Replica

FILE = "control.json"
SECONDS_MAX = 15.0
"""A change that is not decided by then is unknown to the operator: look at the status."""

FREE_SECONDS_MAX = 3.0
"""How long a change waits for the one before it."""


class ControlError(BorealError):
    """The order was refused, or nobody can take it; the message says why."""

    sqlstate = "55000"


class ControlFile(msgspec.Struct):
    """Where the node takes orders, and what shows that they are the owner's."""

    url: str
    token: str


class MemberOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Add a learner (with its address), promote it, or remove a member."""

    change: Literal["add", "promote", "remove"]
    name: str
    host: str = ""
    port: int = 0
    witness: bool = False


class LeaderOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Hand the leadership to a member; "": to the best one."""

    name: str = ""


Order = TypeVar("Order", MemberOrder, LeaderOrder)


class ControlAnswer(msgspec.Struct):
    """`error` is "" if it was done."""

    error: str = ""


class Control:
    """The node's side."""

    def __init__(self, replica: Replica, directory: Path) -> None:
        self._replica = replica
        self._file = directory / FILE
        self._token = secrets.token_urlsafe(32)

    @property
    def routes(self) -> list[web.RouteDef]:
        """For the HTTP application."""
        return [web.post("/control/member", self._member), web.post("/control/leader", self._leader)]

    def open(self, host: str, port: int) -> None:
        """Say where orders are taken."""
        shown = f"[{host}]" if ":" in host else host
        body = msgspec.json.encode(ControlFile(f"http://{shown}:{port}", self._token))
        temporary = self._file.with_suffix(".new")
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(body)
        os.replace(temporary, self._file)

    def close(self) -> None:
        """Nobody takes orders any more."""
        self._file.unlink(missing_ok=True)

    async def _member(self, request: web.Request) -> web.Response:
        order = await self._order(request, MemberOrder)
        member = Member(order.name, order.host, order.port, voter=False, witness=order.witness)
        if order.change == "add" and not (order.name and order.host and 0 < order.port < 65536):
            return _answer("a member to be added needs a name, a host and a port")
        await self._free_for_change()
        verdict = await self._decided(
            lambda callback: self._replica.change_membership(Change(order.change), member, callback)
        )
        if verdict is not None and verdict.outcome is not Outcome.COMMITTED:
            return self._refused(verdict)
        return _answer("")

    async def _leader(self, request: web.Request) -> web.Response:
        order = await self._order(request, LeaderOrder)
        verdict = await self._decided(lambda callback: self._replica.transfer_leadership(order.name or None, callback))
        return _answer("") if verdict is None else self._refused(verdict)

    async def _order(self, request: web.Request, kind: type[Order]) -> Order:
        """The order in a request; 401 without the token, 400 if it is none."""
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
            raise web.HTTPUnauthorized
        try:
            return msgspec.json.decode(await request.read(), type=kind)
        except msgspec.MsgspecError as error:
            raise web.HTTPBadRequest(reason="no such order") from error

    async def _free_for_change(self) -> None:
        """A leader that is new, or has another change under way, is asked again in a moment."""
        deadline = time.monotonic() + FREE_SECONDS_MAX
        while self._replica.is_leader and self._replica.change_refusal and time.monotonic() < deadline:  # noqa: ASYNC110 - there is no event of it
            await asyncio.sleep(0.02)

    def _refused(self, verdict: Verdict) -> web.Response:
        leader = self._replica.leader_name
        hint = "" if self._replica.is_leader else f"; the leader is {leader or 'not known'}"
        return _answer(f"{verdict.reason}{hint}")

    async def _decided(self, order: Callable[[Callable[[Verdict | None], None]], None]) -> Verdict | None:
        ended: asyncio.Future[Verdict | None] = asyncio.get_running_loop().create_future()

        def end(verdict: Verdict | None) -> None:
            if not ended.done():
                ended.set_result(verdict)

        order(end)
        try:
            return await asyncio.wait_for(ended, SECONDS_MAX)
        except TimeoutError:
            return Verdict(Outcome.UNKNOWN, reason=f"not decided within {SECONDS_MAX:g} s; look at the status")


def _answer(error: str) -> web.Response:
    return web.Response(
        status=409 if error else 200, body=msgspec.json.encode(ControlAnswer(error)), content_type="application/json"
    )


def give_order(directory: Path, order: MemberOrder | LeaderOrder) -> None:
    """Have the node that uses a data directory do something; returns when it is done.

    Raises:
        ControlError: it was refused, or there is no node.
    """
    # Nodes import this module to take orders, not to give them.
    import urllib.error
    import urllib.request

    try:
        file = msgspec.json.decode((directory / FILE).read_bytes(), type=ControlFile)
    except (OSError, msgspec.MsgspecError) as error:
        raise ControlError(f"no member of a cluster takes orders in {directory}: {error}") from error
    path = "member" if isinstance(order, MemberOrder) else "leader"
    request = urllib.request.Request(
        f"{file.url}/control/{path}",
        msgspec.json.encode(order),
        {"Authorization": f"Bearer {file.token}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=SECONDS_MAX + 5) as response:
            response.read()
    except urllib.error.HTTPError as error:
        with error:
            body = error.read()
        try:
            reason = msgspec.json.decode(body, type=ControlAnswer).error
        except msgspec.MsgspecError:
            reason = f"{error.code} {error.reason}"
        raise ControlError(reason) from error
    except (OSError, ValueError) as error:
        raise ControlError(f"the node of {directory} does not answer: {error}") from error
