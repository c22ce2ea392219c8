"""What one execution of a compiled plan carries, and how it gives way to others.

    session ──creates──▶ ExecutionState ──▶ CompiledPlan.run(state)  ──yields──▶  [row, row, …]   rows for the client
                                                                              []            a breath: nothing yet
                                                                              Sleep(s)      wait that long, then go on

The generator yields at least every millisecond or so of work, whatever it is doing; between two yields the session looks
at cancel requests and timeouts and lets other sessions run. Memory is accounted where rows are kept (sorts, hash tables,
materialised inputs): `keep` estimates the bytes of a growing list from its newest element, so that counting costs nothing
a row, and refuses (53200) above the limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from sys import getsizeof
from typing import TYPE_CHECKING, Any

from frontend.errors import SqlError

if TYPE_CHECKING:
    from frontend.context import Context
    from frontend.transaction import Transaction

MEMORY_BYTES_MAX = 512 << 20
ELEMENT_BYTES = 64  # a dictionary slot or list slot and what the allocator adds


class Sleep:
    """Yielded in place of a batch: the session waits `seconds` without blocking anybody, then goes on."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


Batch = list[tuple[Any, ...]]


class ExecutionState:
    """One execution of one plan.

    Attributes:
        transaction: what the plan reads from and writes to.
        parameters: decoded values of $1…$n, in order.
        context: what expressions may ask of the session.
        processed: rows inserted, updated or deleted by the statement proper (for the command tag); for SELECT the session
            counts what it gets.
        frame: the plan's own slots (materialised WITH queries, memoised subqueries); made by the plan.
        memory_bytes, memory_bytes_max: estimate of what operators hold, and its limit.
        deferred: deferrable foreign-key checks to do at COMMIT (see foreign_keys.check_deferred); shared by all statements
            of a transaction, the session passes the same list each time.
        constraints_deferred: names/OIDs state of SET CONSTRAINTS: constraint OID → deferred; None key: ALL.
    """

    __slots__ = (
        "constraints_deferred", "context", "deferred", "frame", "instruments", "memory_bytes", "memory_bytes_max",
        "parameters", "processed", "reader", "transaction", "_kept",
    )  # fmt: skip

    def __init__(
        self,
        transaction: Transaction,
        parameters: Sequence[Any],
        context: Context,
        *,
        memory_bytes_max: int = MEMORY_BYTES_MAX,
        deferred: list[Any] | None = None,
        constraints_deferred: dict[int | None, bool] | None = None,
    ) -> None:
        self.transaction = transaction
        self.reader = transaction  # what scans read: the transaction, or its state when the statement began
        self.parameters = parameters
        self.context = context
        self.processed = 0
        self.frame: list[Any] = []
        self.instruments: Any = None
        self.memory_bytes = 0
        self.memory_bytes_max = memory_bytes_max
        self.deferred: list[Any] = [] if deferred is None else deferred
        self.constraints_deferred = constraints_deferred
        self._kept: dict[int, int] = {}

    def keep(self, slot: int, count: int, newest: Any) -> None:
        """Account for a collection (identified by `slot`) that now holds `count` elements like `newest`; 53200 above the limit."""
        kept = self._kept
        grown = count - kept.get(slot, 0)
        if grown:
            kept[slot] = count
            self.memory_bytes += grown * (ELEMENT_BYTES + size_of(newest))
            if self.memory_bytes > self.memory_bytes_max:
                raise out_of_memory(self.memory_bytes, self.memory_bytes_max)

    def release(self, slot: int, count: int, newest: Any) -> None:
        """The reverse: the collection is gone or has shrunk by `count` elements."""
        if count:
            self._kept[slot] = self._kept.get(slot, 0) - count
            self.memory_bytes -= count * (ELEMENT_BYTES + size_of(newest))


def size_of(value: Any) -> int:
    """Bytes of a row or a value, containers one level deep."""
    if isinstance(value, list | tuple):
        return getsizeof(value) + sum([getsizeof(item) for item in value])
    return getsizeof(value)


def out_of_memory(used: int, limit: int) -> SqlError:
    """53200: the statement holds more rows than it may."""
    return SqlError(
        "53200",
        "out of memory",
        detail=f"The statement holds about {used >> 20} MB of rows; {limit >> 20} MB are allowed.",
    )
