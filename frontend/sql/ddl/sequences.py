"""Sequences at run time: nextval without waiting, without conflicts, and without giving a value twice.

    nextval ──▶ SequenceState (one a sequence and node): a counter in memory, ahead of which a block of values is reserved
                     └── reservation: a tiny proposal of its own, outside of every transaction ──▶ journal

The state of a sequence is a row of storage id 2, keyed by OID and generation, that says where the reserved values end. A node
reserves `BLOCK_MIN` values at a time (doubling up to `BLOCK_MAX` while it is being drawn from quickly), before the last block
is used up. After a crash the sequence goes on behind the reserved block: gaps, never repetitions; PostgreSQL does the same
with its 32 values a log record. ROLLBACK takes nothing back.

**nextval never waits.** Compiled code calls it synchronously, in the middle of a statement that may already have sent rows,
so neither waiting nor running the statement again is possible. When a block is used up before the next is durable, nextval
goes on *in overdraft*: it gives the following values and the reservation that covers them is already on its way. The session
must not acknowledge the transaction before that is durable (`SessionSequences.unsettled`, `when_settled`): on the ordinary
path it is, because the reservation was proposed before the transaction and the journal keeps that order. Should another
node have reserved the same values meanwhile, the reservation conflicts, and the transactions that drew in overdraft fail
with 40001 at COMMIT; a retry draws from a fresh block.

The rejected alternative was an exception when a block is exhausted, after which the session refills and runs the statement
again: it cannot be done once rows have gone out, and doubles the work of bulk inserts.

setval is as immediate as in PostgreSQL on this node; other nodes go on with the blocks that they hold, as PostgreSQL's
sessions do under CACHE. ALTER SEQUENCE and RESTART IDENTITY begin a new generation and thereby a new state row; they are
transactional.

HOT PATH: nextval inside a block is two dictionary look-ups and some integer arithmetic, 0.6 µs.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

from frontend.errors import SqlError
from journal.event import Outcome, Proposal, Verdict, WriteKind
from storage import keys
from storage.catalog import SEQUENCE_STORAGE_ID, Catalog, Sequence

if TYPE_CHECKING:
    from storage.mvcc import VersionedStore

BLOCK_MIN = 32
BLOCK_MAX = 65_536
ATTEMPTS_MAX = 10

_PREFIX = keys.prefix(SEQUENCE_STORAGE_ID, 0)
_KEY = struct.Struct(">IQ")


class StoredPosition(NamedTuple):
    """The state row: the last value that is reserved, and whether it may have been given out."""

    last: int
    is_called: bool


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(StoredPosition).decode


def state_key(oid: int, generation: int) -> bytes:
    """The view key of a sequence's state."""
    return _PREFIX + _KEY.pack(oid, generation)


class View(Protocol):
    """What is read of the node's view."""

    @property
    def store(self) -> VersionedStore: ...

    @property
    def snapshot(self) -> int: ...


class Journal(Protocol):
    """The way to the journal."""

    def propose(self, proposal: Proposal, callback: Callable[[Verdict], None]) -> None:
        """Order the proposal; the callback comes when this node's view has applied its event."""


class Node(Protocol):
    """What the allocator needs of the gateway."""

    @property
    def view(self) -> View: ...

    @property
    def journal(self) -> Journal: ...

    @property
    def next_transaction_id(self) -> Callable[[], int]: ...


class SequenceState:
    """One sequence's generation on this node.

    Attributes:
        last, is_called: as PostgreSQL's sequence relation shows them.
        drawn: how many changes (nextval, setval) were made since the state was loaded; a session remembers the number of its
            own last one and is settled when `durable` has reached it.
        durable: up to which number the values are covered by reservations in the journal.
        failed: a reservation lost against another node's; what is above `durable` may have been given out there, too.
    """

    __slots__ = (
        "_block", "_epoch", "_flying", "_node", "_requested", "_waiting", "definition", "drawn", "durable", "failed",
        "is_called", "key", "last",
    )  # fmt: skip

    def __init__(self, definition: Sequence, node: Node) -> None:
        self.definition = definition
        self.key = state_key(definition.oid, definition.generation)
        self._node = node
        self._block = BLOCK_MIN
        self._flying = False
        self._requested = 0
        self._epoch = 0
        self._waiting: list[tuple[int, Callable[[], None]]] = []
        self.drawn = 0
        self.durable = 0
        self.failed = False
        stored = node.view.store.get(self.key, node.view.snapshot)
        if stored is None:
            self.last = definition.start if definition.first is None else definition.first
            self.is_called = definition.first is not None and definition.first_is_called
        else:
            self.last, self.is_called = _decode(stored)

    def next_value(self) -> int:
        """nextval; 2200H at the end of a sequence that does not cycle."""
        value = self._after(self.last, self.is_called, 1, strict=True)
        self.last = value
        self.is_called = True
        self.drawn += 1
        if self.durable - self.drawn < self._block >> 1 and not self._flying:
            self.reserve()
        return value

    def set_value(self, value: int, is_called: bool) -> None:
        """setval: whatever was reserved before is void."""
        self.last = value
        self.is_called = is_called
        self.drawn += 1
        self.durable = min(self.durable, self.drawn - 1)
        self._epoch += 1
        if not self._flying:
            self.reserve()

    def _after(self, last: int, is_called: bool, steps: int, *, strict: bool) -> int:
        """The value that `steps` calls from here give; without `strict` the last possible one beyond the end."""
        definition = self.definition
        value = last if not is_called else last + definition.increment
        value += (steps - 1) * definition.increment
        low, high = definition.minimum, definition.maximum
        if low <= value <= high:
            return value
        if definition.cycle:
            step = abs(definition.increment)
            span = (high - low) // step + 1
            if definition.increment > 0:
                beyond = (value - high - 1) // step
                return low + (beyond % span) * step
            beyond = (low - value - 1) // step
            return high - (beyond % span) * step
        if strict:
            bound = f'maximum value of sequence "{definition.name}" ({high})'
            if definition.increment < 0:
                bound = f'minimum value of sequence "{definition.name}" ({low})'
            raise SqlError("2200H", f"nextval: reached {bound}")
        return high if definition.increment > 0 else low

    # ── reserving ──────────────────────────────────────────────────────────────────────────────────────────────────

    def reserve(self, attempt: int = 0) -> None:
        """Propose the next block, from where the sequence is now."""
        view = self._node.view
        if self._requested and self.durable - self.drawn <= 0:
            self._block = min(self._block * 2, BLOCK_MAX)  # used up faster than reserved
        epoch = self._epoch
        self._requested = requested = self.drawn + self._block
        position = StoredPosition(self._after(self.last, self.is_called, self._block, strict=False), True)
        known = view.store.get(self.key, view.snapshot)
        kind = WriteKind.INSERT if known is None else WriteKind.UPDATE
        proposal = Proposal(self._node.next_transaction_id(), view.snapshot, [(self.key, _encode(position), int(kind))])
        self._flying = True

        def decided(verdict: Verdict) -> None:
            self._flying = False
            if verdict.outcome is Outcome.COMMITTED:
                if epoch == self._epoch:
                    self.durable = max(self.durable, requested)
                if epoch != self._epoch or self.durable < self.drawn:
                    self.reserve()  # setval has voided it, or more was drawn in the meantime than it covers
            elif verdict.outcome is Outcome.OVERLOADED and attempt < ATTEMPTS_MAX:
                self.reserve(attempt + 1)
                return
            else:
                self.failed = True
            self._wake()

        self._node.journal.propose(proposal, decided)

    def settled(self, number: int) -> bool:
        """Whether change `number` is durable. 40001 where it never will be."""
        if number <= self.durable:
            return True
        if self.failed:
            raise SqlError(
                "40001",
                "change conflicts with another transaction, please retry: (OC000)",
                detail=f'Values of sequence "{self.definition.name}" could not be reserved.',
            )
        return False

    def when_settled(self, number: int, callback: Callable[[], None]) -> None:
        """Call back when change `number` is durable or has failed."""
        self._waiting.append((number, callback))

    def _wake(self) -> None:
        ready = [item for item in self._waiting if self.failed or item[0] <= self.durable]
        if ready:
            self._waiting = [item for item in self._waiting if item not in ready]
            for _, callback in ready:
                callback()


class SequenceAllocator:
    """The sequences of one node, shared by its sessions."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._states: dict[tuple[int, int], SequenceState] = {}

    def session(self) -> SessionSequences:
        """The part that belongs to one session."""
        return SessionSequences(self)

    def state(self, definition: Sequence) -> SequenceState:
        """The state of a sequence's present generation; loaded when first asked for, and again after a failure."""
        key = (definition.oid, definition.generation)
        state = self._states.get(key)
        if state is None or state.failed:
            state = SequenceState(definition, self._node)
            self._states[key] = state
        elif state.definition is not definition:
            state.definition = definition
        return state

    def position(self, definition: Sequence) -> StoredPosition:
        """What the sequence relation shows as last_value and is_called."""
        state = self.state(definition)
        return StoredPosition(state.last, state.is_called)

    def last_value(self, definition: Sequence) -> int | None:
        """The last value given out (pg_sequences.last_value); None before the first."""
        last, is_called = self.position(definition)
        return last if is_called else None


class SessionSequences:
    """currval, lastval, and what the session's transaction must wait for before it is acknowledged."""

    __slots__ = ("_allocator", "_drawn", "_last", "_values")

    def __init__(self, allocator: SequenceAllocator) -> None:
        self._allocator = allocator
        self._values: dict[int, int] = {}
        self._last = 0
        self._drawn: dict[SequenceState, int] = {}

    def next_value(self, oid: int, catalog: Catalog) -> int:
        """nextval(oid)."""
        state = self._allocator.state(_definition(oid, catalog))
        value = state.next_value()
        self._values[oid] = value
        self._last = oid
        if state.drawn > state.durable:
            self._drawn[state] = state.drawn
        return value

    def current_value(self, oid: int, catalog: Catalog) -> int:
        """currval(oid); 55000 before the first nextval of this session."""
        definition = _definition(oid, catalog)
        value = self._values.get(oid)
        if value is None:
            raise SqlError("55000", f'currval of sequence "{definition.name}" is not yet defined in this session')
        return value

    def last_value(self, catalog: Catalog) -> int:
        """lastval(); 55000 before the first nextval of this session."""
        if not self._last or self._last not in catalog.objects:
            raise SqlError("55000", "lastval is not yet defined in this session")
        return self._values[self._last]

    def set_value(self, oid: int, value: int, is_called: bool, catalog: Catalog) -> int:
        """setval(oid, value, is_called); 22003 outside of the sequence's bounds."""
        definition = _definition(oid, catalog)
        if not definition.minimum <= value <= definition.maximum:
            raise SqlError(
                "22003",
                f'setval: value {value} is out of bounds for sequence "{definition.name}" '
                f"({definition.minimum}..{definition.maximum})",
            )
        state = self._allocator.state(definition)
        state.set_value(value, is_called)
        if is_called:
            self._values[oid] = value
        self._drawn[state] = state.drawn
        return value

    @property
    def unsettled(self) -> bool:
        """Whether values were drawn that no durable reservation covers yet. 40001 where none ever will."""
        if not self._drawn:
            return False
        try:
            waiting = {state: number for state, number in self._drawn.items() if not state.settled(number)}
        except SqlError:
            self._drawn = {}
            raise
        self._drawn = waiting
        return bool(waiting)

    def when_settled(self, callback: Callable[[], None]) -> None:
        """Call back as soon as it is worth asking `unsettled` again; only while it is true."""
        for state, number in self._drawn.items():
            state.when_settled(number, callback)
            return

    def statement_failed(self) -> None:
        """The statement failed: what it drew stays drawn, and nobody waits for it."""
        self._drawn = {}

    def discard(self) -> None:
        """DISCARD SEQUENCES: currval and lastval are undefined again."""
        self._values = {}
        self._last = 0


def _definition(oid: int, catalog: Catalog) -> Sequence:
    item = catalog.objects.get(oid)
    if isinstance(item, Sequence):
        return item
    if item is None:
        raise SqlError("42P01", f"could not open relation with OID {oid}")
    raise SqlError("42809", f'"{item.name}" is not a sequence')
