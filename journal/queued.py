"""What is on its way into the log: waiting to be ordered, or ordered and waiting to be applied."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from journal.event import Proposal, Verdict

Callback = Callable[[Verdict], None]


class Waiting(msgspec.Struct):
    """A proposal or a fragment that is not ordered yet."""

    data: bytes
    proposal: Proposal | None
    """None for a fragment, or what drops fragments; the callback is called only if it is refused."""
    callback: Callback | None
    origin: str = ""
    """The peer that forwarded it."""


class Ordered(msgspec.Struct):
    """What this node put into a Raft entry."""

    term: int
    since: float
    timestamp: int
    proposals: list[Proposal]
    callbacks: list[Callback | None]
