"""What a test records, as plain data: transactions as their clients saw them, events as the journal has them.

    recorder ── Transaction, Transaction, … ──▶ History ──▶ anomalies.check   (black box: from the operations alone)
    event log ── JournalEvent, … ─────────────▶    │    ──▶ proof.prove       (white box: with the journal's facts)
                                                   ▼
                                            JSON lines in a file, and back (`python -m tests.checker FILE`)

A workload works on *keys* of two kinds. A **list** only grows: `Append` adds one element, `ReadList` returns all of it,
so that one read tells the whole order of versions (Elle's central idea). A **register** is overwritten: `Write`,
`ReadRegister`; None is "no row yet". A key is of one kind for ever.

What the recorder owes, for the verdict to mean anything:

- *Fresh values.* No value is written twice to the same key, not by a retry either: a retry is a new transaction with
  new values. (Bank balances cannot do this; they are for `bank.py` and `proof.py` only.)
- *Times of one clock*, µs. `began_us` is read before the first statement that fixes the snapshot is sent, `ended_us`
  after the answer to COMMIT (or the error) has arrived. A later begin or an earlier end than the truth makes false
  alarms.
- *Outcomes without guessing.* `aborted` only if the database said so (40001, ROLLBACK); a lost connection or 40003
  during COMMIT is `unknown`.
- *Sessions*. Transactions of one (client, process) run one after the other in one database session. A client that
  reconnects takes a new process index.
- Values are integers or strings; lists stay short (some hundred elements; take new keys), for every read repeats them.

Everything a client cannot see (snapshot, commit timestamp, position, transaction id) is optional.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from pathlib import Path

import msgspec

Key = int | str
Value = int | str
Elements = tuple[Value, ...]
Content = Value | Elements | None
"""What a key holds: a register's value, a list's elements, None for no row."""


class MalformedHistory(ValueError):
    """The recorder broke its part of the contract above, or the file is no history; nothing can be concluded."""


class Append(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="append"):
    """Added `value` to the end of the list `key`."""

    key: Key
    value: Value


class ReadList(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="read-list"):
    """Read the whole list; () if there is no row."""

    key: Key
    values: Elements


class Write(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="write"):
    """Set the register `key`, whatever it held."""

    key: Key
    value: Value


class ReadRegister(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="read-register"):
    """Read the register; None if there is no row."""

    key: Key
    value: Value | None


Operation = Append | ReadList | Write | ReadRegister


class Outcome(enum.Enum):
    """How a transaction ended, as its client knows."""

    COMMITTED = "committed"
    ABORTED = "aborted"
    UNKNOWN = "unknown"


class Isolation(enum.Enum):
    """The level the transaction asked for."""

    SNAPSHOT = "snapshot"
    SERIALIZABLE = "serializable"


class ReadPath(enum.Enum):
    """How the transaction got its snapshot (architecture §3). All but AS_OF promise strong reads."""

    LOCAL = "local"
    INDEX = "index"
    CLOCK = "clock"
    AS_OF = "as-of"


class Transaction(
    msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="transaction", tag_field="line"
):
    """One attempt of a client to run a transaction.

    Attributes:
        client: name of the client, for people.
        process: index of the client's session; (client, process) is the session whose guarantees are checked.
        node, region: where the session was connected, for people.
        began_us, ended_us: see the module header.
        outcome: see `Outcome`.
        operations: in program order; only those that were answered, and no writes that a savepoint took back.
        isolation: see `Isolation`.
        read_path: see `ReadPath`.
        snapshot_us: white box: commit timestamps up to this one were visible.
        commit_us, position, txid: white box: of the transaction's event.
        error: SQLSTATE or message of one that did not commit, for people.
    """

    client: str
    process: int
    began_us: int
    ended_us: int
    outcome: Outcome
    operations: tuple[Operation, ...]
    node: str = ""
    region: str = ""
    isolation: Isolation = Isolation.SNAPSHOT
    read_path: ReadPath = ReadPath.INDEX
    snapshot_us: int | None = None
    commit_us: int | None = None
    position: int | None = None
    txid: int | None = None
    error: str = ""

    @property
    def session(self) -> tuple[str, int]:
        """What session guarantees hold within."""
        return (self.client, self.process)

    @property
    def strong(self) -> bool:
        """Whether it was promised to see everything acknowledged before it began."""
        return self.read_path is not ReadPath.AS_OF

    @property
    def writes(self) -> bool:
        """Whether it changed anything."""
        return any(isinstance(operation, Append | Write) for operation in self.operations)


class Touch(enum.Enum):
    """How strongly an event holds a key, for the conflict table of architecture §3."""

    EXCLUSIVE = "exclusive"
    UPDATE = "update"
    SHARE = "share"


class JournalEvent(
    msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag="event", tag_field="line"
):
    """One event of the journal, decoded as far as the proof needs (`proof.decode_events`).

    Attributes:
        position, commit_us, txid: the event's own.
        touches: the stored keys that take part in conflict detection, each with its strength.
        contents: the recorded keys that it changed, each with what it holds after the event.
    """

    position: int
    commit_us: int
    txid: int
    touches: tuple[tuple[bytes, Touch], ...] = ()
    contents: tuple[tuple[Key, Content], ...] = ()


class Header(msgspec.Struct, frozen=True, tag="history", tag_field="line"):
    """First line of a file. `note` says where the history is from: seed, commit, faults."""

    version: int
    note: str = ""


class History(msgspec.Struct, frozen=True):
    """A run: what clients saw and, if it is known, what the journal has. The order of transactions means nothing;
    `T17` in an explanation is `transactions[17]`."""

    transactions: tuple[Transaction, ...]
    journal: tuple[JournalEvent, ...] = ()
    note: str = ""


FORMAT_VERSION = 1

_encode = msgspec.json.Encoder().encode
_decode_line = msgspec.json.Decoder(Header | Transaction | JournalEvent).decode


def encode_history(history: History) -> bytes:
    """The history as JSON lines."""
    lines: list[Header | Transaction | JournalEvent] = [Header(FORMAT_VERSION, history.note)]
    lines += history.transactions
    lines += history.journal
    return b"\n".join(map(_encode, lines)) + b"\n"


def decode_history(lines: Iterable[bytes]) -> History:
    """The inverse of `encode_history`, from lines; raises MalformedHistory, which names the line."""
    header: Header | None = None
    transactions: list[Transaction] = []
    journal: list[JournalEvent] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            decoded = _decode_line(line)
        except msgspec.MsgspecError as error:
            raise MalformedHistory(f"line {number}: {error}") from error
        if (header is None) != isinstance(decoded, Header):
            raise MalformedHistory(f"line {number}: a history has exactly one header, in its first line")
        if isinstance(decoded, Header):
            header = decoded
            if header.version != FORMAT_VERSION:
                raise MalformedHistory(f"format version {header.version}, known is {FORMAT_VERSION}")
        elif isinstance(decoded, Transaction):
            transactions.append(decoded)
        else:
            journal.append(decoded)
    if header is None:
        raise MalformedHistory("the file is empty")
    return History(tuple(transactions), tuple(journal), header.note)


def save_history(history: History, path: Path) -> None:
    """Write the history to a file."""
    path.write_bytes(encode_history(history))


def load_history(path: Path) -> History:
    """Read it back; raises MalformedHistory, OSError."""
    with path.open("rb") as file:
        return decode_history(file)
