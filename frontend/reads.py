"""Strong reads: what a node must do before a transaction may fix its snapshot on the local view.

A strong read sees every transaction that was acknowledged, anywhere in the cluster, before it began. On a single node, and on a
leader whose lease holds, the local view has them all: nothing is to be done. On other nodes the view may lag, and the gateway asks
first (`barrier`): the connection holds the message that would begin the transaction until the answer is there, so that the session
itself knows nothing of waiting. So it does with a Parse and with the Describe of a statement, which read the catalog: a table that was
made elsewhere must not be missing. One answer serves a whole statement, as far as its messages had come when it was asked for; a client
that sends the rest later may know of more by then. Reads AS OF ask nobody, except for a position that is not here yet (`frontend.as_of`).
Architecture §3 has the paths; `deploy` implements them over the journal's replica.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from frontend.errors import SqlError

BarrierDone = Callable[[SqlError | None], None]
"""Called once: None, the local view is recent enough now; or why it cannot be known (57P03)."""


class StrongReads(Protocol):
    """How this node makes sure of recency."""

    @property
    def waits(self) -> bool:
        """Whether `barrier` has to be asked at this moment. HOT: read for every message that may begin a transaction."""
        ...

    @property
    def path(self) -> str:
        """Which read path serves: local, index or clock; what SHOW boreal.read_path says."""
        ...

    @property
    def clock_trusted(self) -> bool:
        """Whether this host's clock is known to be within its error bound."""
        ...

    def barrier(self, done: BarrierDone) -> None:
        """Call `done` when the view holds everything that was acknowledged before this call; bounded in time. Never from within
        this call."""
        ...


class LocalReads:
    """A single node: its own view is the newest there is."""

    waits = False
    path = "local"
    clock_trusted = False

    def barrier(self, done: BarrierDone) -> None:
        """Nobody need ask."""
        raise RuntimeError("the local read path has no barrier")
