"""A small database in memory that keeps Boreal's promises, and breaks one of them if asked to: the checkers' own test bench.

`run` interleaves clients at random: each begins a transaction (its snapshot is fixed: the last committed event),
performs a few operations on snapshot and own writes, and commits (first committer wins; SERIALIZABLE also validates its
reads). The acknowledgement arrives some steps later, or never. The result is what a recorder would have: transactions
with white-box facts, and the journal as real, hash-chained events.

A `Fault` makes the database wrong in one way, each now and then; `Run.fired` counts how often that made a difference,
so that a test knows when there is something to find. It is written for clarity, from the promises alone, and shares no
code with the checkers or with Boreal's adjudicator.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

import msgspec

from journal.event import GENESIS_HASH, Event, WriteKind, encode_event_body
from tests.checker.history import (
    Append,
    Content,
    Isolation,
    Key,
    Operation,
    Outcome,
    ReadList,
    ReadPath,
    ReadRegister,
    Transaction,
    Write,
)

RELATION = b"\x00\x00\x00\x07\x00\x01"
_KEPT_OLD = 3


class Fault(enum.Enum):
    """One broken promise each."""

    SKIP_CONFLICT = "overlapping writers both commit"
    SKIP_READ_CHECK = "SERIALIZABLE does not validate its reads"
    READ_TOO_NEW = "a read returns a version newer than the snapshot"
    OLD_SNAPSHOT = "a strong transaction reads from an old snapshot"
    DIRTY_READ = "a read returns what another transaction has not committed"
    DROP_WRITE = "one write of a transaction is not applied"
    DROP_TRANSACTION = "an acknowledged transaction is not in the journal"
    KEEP_ABORTED = "an aborted transaction is applied"
    APPLY_TWICE = "a transaction is applied twice"
    FORGET_OWN = "a read does not see the transaction's own writes"


@dataclass
class _Active:
    """A transaction in flight."""

    isolation: Isolation
    read_path: ReadPath
    began_us: int
    snapshot_us: int
    steps: int
    operations: list[Operation] = field(default_factory=list)
    written: dict[Key, Content] = field(default_factory=dict)
    read: set[Key] = field(default_factory=set)
    txid: int = 0
    outcome: Outcome | None = None
    commit_us: int | None = None
    position: int | None = None


@dataclass(frozen=True)
class Run:
    """What a run left behind: the recorder's history, the journal's events, and how often the fault made a difference."""

    transactions: list[Transaction]
    events: list[Event]
    fired: int


def decode(event: Event) -> Iterator[tuple[Key, Content]]:
    """The reference database's rows back to recorded keys (a `chain.Decoder`)."""
    for key, image, _ in event.writes:
        name = key[len(RELATION) :].decode()
        content = msgspec.msgpack.decode(image)
        yield name, tuple(content) if isinstance(content, list) else content


def make_event(position: int, commit_us: int, txid: int, written: dict[Key, Content], previous_hash: bytes) -> Event:
    """A journal event that sets the keys to these contents."""
    writes = [
        (RELATION + str(key).encode(), msgspec.msgpack.encode(content), int(WriteKind.UPDATE))
        for key, content in written.items()
    ]
    body = encode_event_body(position, commit_us, txid, (0, "", ""), [], [], writes)
    own_hash = hashlib.sha256(previous_hash + body).digest()
    return Event(position, commit_us, txid, (0, "", ""), [], [], 0, False, [], False, writes, previous_hash, own_hash)


class _Database:
    def __init__(self, random: Random, fault: Fault | None) -> None:
        self.random = random
        self.fault = fault
        self.fired = 0
        self.versions: dict[Key, list[tuple[int, Content]]] = {}
        self.events: list[Event] = []
        self.acknowledged_us = 0
        """Commit timestamp of the newest event that a client knows of."""
        self.active: dict[int, _Active] = {}

    def strikes(self, fault: Fault) -> bool:
        """Whether the fault is to be made now."""
        return self.fault is fault and self.random.random() < 0.3

    @property
    def last_us(self) -> int:
        return self.events[-1].commit_ts if self.events else 0

    def snapshot(self) -> int:
        if self.strikes(Fault.OLD_SNAPSHOT) and len(self.events) > _KEPT_OLD:
            old_us = self.events[-1 - self.random.randint(1, _KEPT_OLD)].commit_ts
            self.fired += old_us < self.acknowledged_us
            return old_us
        return self.last_us

    def at(self, key: Key, snapshot_us: int) -> Content:
        return next((content for us, content in reversed(self.versions.get(key, [])) if us <= snapshot_us), None)

    def changed_after(self, key: Key, snapshot_us: int) -> bool:
        versions = self.versions.get(key)
        return bool(versions) and versions[-1][0] > snapshot_us

    def read(self, client: int, key: Key) -> Content:
        transaction = self.active[client]
        transaction.read.add(key)
        right = self.at(key, transaction.snapshot_us)
        if key in transaction.written:
            if self.strikes(Fault.FORGET_OWN):
                self.fired += 1
                return right
            return transaction.written[key]
        seen = right
        if self.strikes(Fault.READ_TOO_NEW):
            seen = self.at(key, self.last_us)
        elif self.strikes(Fault.DIRTY_READ):
            dirty = [
                other.written[key]
                for name, other in self.active.items()
                if name != client and key in other.written and other.outcome is None
            ]
            seen = self.random.choice(dirty) if dirty else right
        self.fired += seen != right
        return seen

    def commit(self, transaction: _Active, now_us: int) -> None:
        """Judge and, if it may, apply."""
        if not transaction.written:
            transaction.outcome = Outcome.COMMITTED
            return
        written = dict(transaction.written)
        if self._conflicts(transaction):
            transaction.outcome = Outcome.ABORTED
            if not self.strikes(Fault.KEEP_ABORTED):
                return
            self.fired += 1
        else:
            transaction.outcome = Outcome.COMMITTED
            if self.strikes(Fault.DROP_TRANSACTION):
                self.fired += 1
                return
            if len(written) > 1 and self.strikes(Fault.DROP_WRITE):
                self.fired += 1
                del written[self.random.choice(list(written))]
        self._publish(transaction, written, now_us)
        if self.strikes(Fault.APPLY_TWICE):
            self.fired += 1
            again = {key: self._again(transaction, key, content) for key, content in written.items()}
            self._publish(transaction, again, now_us)

    def _again(self, transaction: _Active, key: Key, content: Content) -> Content:
        if not isinstance(content, tuple):
            return content
        own = [one.value for one in transaction.operations if isinstance(one, Append) and one.key == key]
        return (*content, *own)

    def _conflicts(self, transaction: _Active) -> bool:
        if any(self.changed_after(key, transaction.snapshot_us) for key in transaction.written):
            if self.strikes(Fault.SKIP_CONFLICT):
                self.fired += 1
                return False
            return True
        if transaction.isolation is Isolation.SERIALIZABLE and any(
            self.changed_after(key, transaction.snapshot_us) for key in transaction.read
        ):
            if self.strikes(Fault.SKIP_READ_CHECK):
                self.fired += 1
                return False
            return True
        return False

    def _publish(self, transaction: _Active, written: dict[Key, Content], now_us: int) -> None:
        commit_us = max(now_us, self.last_us + 1)
        previous_hash = self.events[-1].hash if self.events else GENESIS_HASH
        event = make_event(len(self.events) + 1, commit_us, transaction.txid, written, previous_hash)
        self.events.append(event)
        for key, content in written.items():
            self.versions.setdefault(key, []).append((commit_us, content))
        if transaction.position is None:
            transaction.commit_us, transaction.position = commit_us, event.position


class _Clients:
    """The schedule: who does what next, and what the recorder writes down."""

    def __init__(self, database: _Database, keys: int, serializable: float, lists: float) -> None:
        self.database = database
        self.random = database.random
        self.serializable = serializable
        self.list_keys: list[Key] = [f"l{number}" for number in range(keys) if number < keys * lists]
        self.register_keys: list[Key] = [f"r{number}" for number in range(keys) if number >= keys * lists]
        self.now_us = 1000
        self.next_value = 0
        self.next_txid = 0
        self.processes: dict[int, int] = {}
        self.recorded: list[Transaction] = []

    def step(self, client: int) -> None:
        """One client does one thing."""
        self.now_us += self.random.randint(0, 3)
        transaction = self.database.active.get(client)
        if transaction is None:
            self._begin(client)
        elif transaction.outcome is not None:
            self.acknowledge(client, transaction, lost=self.random.random() < 0.05)
        elif transaction.steps:
            transaction.steps -= 1
            self._operate(client, transaction)
        elif self.random.random() < 0.1:
            transaction.outcome = Outcome.ABORTED
        else:
            self.database.commit(transaction, self.now_us)

    def _begin(self, client: int) -> None:
        random, database = self.random, self.database
        level = Isolation.SERIALIZABLE if random.random() < self.serializable else Isolation.SNAPSHOT
        path, began_us = ReadPath.INDEX, self.now_us
        # The snapshot is taken a little later than the client's clock was read.
        self.now_us += random.randint(0, 1)
        if database.fault is None and database.events and random.random() < 0.1:
            path, snapshot_us = ReadPath.AS_OF, random.choice(database.events).commit_ts
        else:
            snapshot_us = database.snapshot()
        self.next_txid += 1
        transaction = _Active(level, path, began_us, snapshot_us, random.randint(1, 4), txid=self.next_txid)
        database.active[client] = transaction

    def _operate(self, client: int, transaction: _Active) -> None:
        key = self.random.choice(self.list_keys + self.register_keys)
        is_list = key in self.list_keys
        if transaction.read_path is not ReadPath.AS_OF and self.random.random() < 0.5:
            self.next_value += 1
            if is_list:
                before = transaction.written.get(key, self.database.at(key, transaction.snapshot_us)) or ()
                transaction.written[key] = (*before, self.next_value)
                transaction.operations.append(Append(key, self.next_value))
            else:
                transaction.written[key] = self.next_value
                transaction.operations.append(Write(key, self.next_value))
        elif is_list:
            transaction.operations.append(ReadList(key, self.database.read(client, key) or ()))
        else:
            transaction.operations.append(ReadRegister(key, self.database.read(client, key)))

    def acknowledge(self, client: int, transaction: _Active, *, lost: bool) -> None:
        """The answer arrives, or is lost, and then the client takes a new session."""
        database = self.database
        del database.active[client]
        if transaction.outcome is Outcome.COMMITTED and transaction.commit_us and not lost:
            database.acknowledged_us = max(database.acknowledged_us, transaction.commit_us)
        committed = transaction.outcome is Outcome.COMMITTED and not lost
        self.recorded.append(
            Transaction(
                client=f"client {client}",
                process=self.processes.get(client, 0),
                began_us=transaction.began_us,
                ended_us=self.now_us,
                outcome=Outcome.UNKNOWN if lost or transaction.outcome is None else transaction.outcome,
                operations=tuple(transaction.operations),
                isolation=transaction.isolation,
                read_path=transaction.read_path,
                snapshot_us=transaction.snapshot_us,
                commit_us=transaction.commit_us if committed else None,
                position=transaction.position if committed else None,
                txid=transaction.txid,
            )
        )
        if lost:
            self.processes[client] = self.processes.get(client, 0) + 1


def run(
    random: Random,
    *,
    clients: int = 5,
    keys: int = 4,
    transactions: int = 60,
    serializable: float = 0.0,
    lists: float = 0.5,
    fault: Fault | None = None,
) -> Run:
    """Let `clients` run `transactions` in all, then read every key once in a last transaction.

    Args:
        random: decides everything.
        keys: how many; the fraction `lists` of them are lists, the others registers.
        serializable: fraction of the transactions that ask for it.
        fault: what the database does wrong.
    """
    database = _Database(random, fault)
    them = _Clients(database, keys, serializable, lists)
    while len(them.recorded) < transactions:
        them.step(random.randrange(clients))
    while database.active:
        them.step(random.choice(list(database.active)))
    database.fault = None
    database.active[clients] = last = _Active(Isolation.SNAPSHOT, ReadPath.INDEX, them.now_us + 1, database.last_us, 0)
    them.now_us += 2
    for key in them.list_keys:
        last.operations.append(ReadList(key, database.read(clients, key) or ()))
    for key in them.register_keys:
        last.operations.append(ReadRegister(key, database.read(clients, key)))
    last.outcome = Outcome.COMMITTED
    them.acknowledge(clients, last, lost=False)
    return Run(them.recorded, database.events, database.fired)
