"""The words of the journal: proposals, blocks, fragments, events, verdicts, and how each looks in bytes.

    gateway ── Proposal ──▶ leader ── Block of proposals ──▶ Raft ──▶ adjudicator ── Verdict ──▶ gateway
                                                                          └── Event ──▶ event log ──▶ views, streams

Everything is msgpack through msgspec: structures are arrays (no field names on the wire), a writer may append fields at
the end and an old reader ignores them, and a reader that meets a shorter array fills in defaults. What cannot be
expressed so gets a new format version: the first two bytes of every Raft entry are its kind and its version, and an
unknown one is refused by name, never guessed (`UnknownFormat`).

A *write* is the plain tuple (key, value, kind): the key as the view stores it without the timestamp, that is 4 bytes
relation storage id (big endian), 2 bytes index id, then the encoded columns; the post-image, b"" for a tombstone; and a
`WriteKind`, which says how the adjudicator treats the key. A *lock* is (key, `LockStrength`).

A transaction larger than one block travels as `Fragment`s, then a `Proposal` whose `fragments` counts them. Its event
is published in parts: several `Event`s with the same position and timestamp, all but the last with `more` set. A view
writes each part and moves its frontier only with the last one, so that the transaction becomes visible atomically and
nobody ever holds more than one part in memory.

Hot path. Structs are not garbage-collected (they hold no cycles) and writes are tuples: a proposal of one row encodes
in about 0.3 µs and decodes in 0.7 µs. tests/journal/bench_commit.py guards it.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Sequence

import msgspec

from journal.errors import CorruptData, NodeFatal

Write = tuple[bytes, bytes, int]
"""(key without timestamp, post-image or b"" for a tombstone, WriteKind)"""

Lock = tuple[bytes, int]
"""(key without timestamp, LockStrength)"""

Provenance = tuple[int, str, str]
"""(node id of the gateway, user name, application name)"""

NO_PROVENANCE: Provenance = (0, "", "")

FORMAT_VERSION = 1
RELATION_BYTES = 4
"""Length of the relation prefix of every key, the unit of adjudication for bulk transactions."""


class WriteKind(enum.IntEnum):
    """What a write means to the adjudicator (architecture §3). Hot code passes plain ints."""

    INSERT = 0
    UPDATE = 1
    """Non-key update: compatible with FOR KEY SHARE."""
    DELETE = 2
    KEY_UPDATE = 3
    """The row's key, or columns that a foreign key may reference, changed: exclusive."""
    ENTRY_PUT = 4
    """Entry of a non-unique index: never checked, but seen by the range checks of SERIALIZABLE."""
    ENTRY_DELETE = 5
    UNIQUE_PUT = 6
    UNIQUE_DELETE = 7
    UNCHECKED = 8
    """Rows that need no check at all, such as sequence state or statistics."""


class LockStrength(enum.IntEnum):
    """Row locks. They share the number space of WriteKind, so that one table holds the strength of both."""

    KEY_SHARE = 9
    EXCLUSIVE = 10
    """FOR UPDATE."""
    NO_KEY_UPDATE = 11


class Proposal(msgspec.Struct, array_like=True, gc=False):
    """What a gateway submits at COMMIT: post-images and checks, never statements.

    Attributes:
        txid: the transaction's id, unique for ever (`journal.clock.TransactionIds`), 63 bits.
        snapshot: commit timestamp (µs) of the last event that the transaction saw.
        writes: in the order in which they are to be applied.
        locks: rows locked but not written.
        reads: row keys and unique-index keys read; SERIALIZABLE only.
        ranges: half-open key ranges [low, high) read; SERIALIZABLE only.
        dependencies: (object id, version) of everything in the catalogue that the transaction relied on; the version is
            the commit timestamp of the object's last change that the transaction knew of. A change later than both the
            version and the snapshot is a schema conflict. Object 0 stands for the catalogue as a whole and is an object
            like any other: who relies on all of it names 0, who changes what concerns everybody lists 0.
        catalog_changes: object ids whose definition this proposal changes. The id of a transaction is one, too: from then on
            that transaction cannot commit (`journal.resolution`).
        provenance: who.
        fragments: number of `Fragment`s that precede this proposal; they carry further writes and locks.
    """

    txid: int
    snapshot: int
    writes: list[Write] = []
    locks: list[Lock] = []
    reads: list[bytes] = []
    ranges: list[tuple[bytes, bytes]] = []
    dependencies: list[tuple[int, int]] = []
    catalog_changes: list[int] = []
    provenance: Provenance = NO_PROVENANCE
    fragments: int = 0


class Fragment(msgspec.Struct, array_like=True, gc=False):
    """A bounded piece of a large transaction, ordered by Raft before the proposal that it belongs to.

    Attributes:
        txid: the transaction.
        snapshot: its snapshot.
        sent_at: the gateway's clock, µs since the Unix epoch. When the last fragment of a transaction is older than the
            window, in log time, all are dropped.
        number: 0, 1, 2 … without gaps.
        writes_count: writes in `packed`.
        keys_count: those of them, and locks, that the adjudicator checks.
        relations: what a bulk transaction is judged by: (relation prefix of 4 bytes, the strongest `LockStrength`
            that the fragment's writes and locks ask of any key in it).
        packed: msgpack of list[Write], decoded with `decode_writes`; passed on unchanged to log and views.
        locks: further locks.
    """

    txid: int
    snapshot: int
    sent_at: int
    number: int
    writes_count: int
    keys_count: int
    relations: list[Lock]
    packed: bytes
    locks: list[Lock] = []


class Block(msgspec.Struct, array_like=True, gc=False):
    """The proposals that the leader grouped into one Raft entry.

    Attributes:
        leader: node id of the proposer of the block.
        timestamp: the leader's hybrid clock, µs since the Unix epoch. Commit timestamps of its events start here.
        proposals: in judging order.
        abandoned: transactions whose fragments are to be dropped: their gateway gave up.
    """

    leader: int
    timestamp: int
    proposals: list[Proposal]
    abandoned: list[int] = []


class _RawBlock(msgspec.Struct, array_like=True, gc=False):
    """A Block whose proposals are already encoded; the same bytes."""

    leader: int
    timestamp: int
    proposals: list[msgspec.Raw]
    abandoned: list[int] = []


class Event(msgspec.Struct, array_like=True, gc=False):
    """One committed transaction, or one part of it.

    Attributes:
        position: 1, 2, 3 … without gaps.
        commit_ts: µs since the Unix epoch, strictly increasing with position; the version of every row written.
        txid: the transaction.
        provenance: who.
        catalog_changes: object ids whose definition the event changes (on its first part).
        locks: rows locked but not written; no consumer needs them except the adjudicator's state after a restart.
        part: 0, 1, 2 … within a large transaction, else 0.
        more: further parts of the same event follow; the event is complete, and may be shown, when this is False.
        relations: (relation prefix, LockStrength) under which a bulk transaction was judged, on its first part; empty
            for all others. Keys of an event that was judged by relations are not tracked one by one.
        bulk: judged by relations, on every part.
        writes: in the order in which they are to be applied.
        previous_hash: the chain's value before this part.
        hash: SHA-256 over previous_hash and the encoded body.
    """

    position: int
    commit_ts: int
    txid: int
    provenance: Provenance
    catalog_changes: list[int]
    locks: list[Lock]
    part: int
    more: bool
    relations: list[Lock]
    bulk: bool
    writes: list[Write]
    previous_hash: bytes = b""
    hash: bytes = b""


HASH_BYTES = 32
GENESIS_HASH = bytes(HASH_BYTES)
"""The chain's value before position 1."""


class Outcome(enum.IntEnum):
    """How a proposal ended."""

    COMMITTED = 0
    CONFLICT = 1
    """A checked key was changed after the snapshot (OC000)."""
    SCHEMA_CONFLICT = 2
    """Something in the catalogue that the transaction relied on has changed (OC001)."""
    TOO_OLD = 3
    """The snapshot has left the conflict window."""
    TOO_LARGE = 4
    """More post-images than one transaction may have."""
    OVERLOADED = 5
    """Too many proposals are waiting; nothing was ordered, try again later."""
    NOT_LEADER = 6
    """This node cannot order proposals now; nothing was ordered."""
    MALFORMED = 7
    """The proposal contradicts itself (missing fragments, unknown kind, snapshot ahead of the log)."""
    DISK_FULL = 8
    """The leader has no space left for the journal; nothing was ordered."""
    UNKNOWN = 9
    """Ordered, but this node stopped or lost its leader before it could tell; ask for the transaction's status."""
    GIVEN_UP = 10
    """Somebody has asked for the transaction's status before it was decided, and was told that it has aborted."""


SQLSTATE_OF_OUTCOME: dict[Outcome, str] = {
    Outcome.COMMITTED: "00000",
    Outcome.CONFLICT: "40001",
    Outcome.SCHEMA_CONFLICT: "40001",
    Outcome.TOO_OLD: "40001",
    Outcome.TOO_LARGE: "54000",
    Outcome.OVERLOADED: "53400",
    Outcome.NOT_LEADER: "57P03",
    Outcome.MALFORMED: "XX000",
    Outcome.DISK_FULL: "53100",
    Outcome.UNKNOWN: "40003",
    Outcome.GIVEN_UP: "40001",
}


class Verdict(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """The answer to a proposal.

    Attributes:
        outcome: see Outcome.
        position, commit_ts: of the event, when COMMITTED.
        key: the key that met a conflict (CONFLICT); only its relation prefix where the winner was a bulk transaction.
        winner: transaction id that won (CONFLICT, SCHEMA_CONFLICT).
        relation: object id that changed (SCHEMA_CONFLICT).
        reason: for people (TOO_LARGE, OVERLOADED, NOT_LEADER, MALFORMED, UNKNOWN).
    """

    outcome: Outcome
    position: int = 0
    commit_ts: int = 0
    key: bytes = b""
    winner: int = 0
    relation: int = 0
    reason: str = ""

    @property
    def committed(self) -> bool:
        """Whether the transaction is in the journal."""
        return self.outcome is Outcome.COMMITTED

    @property
    def sqlstate(self) -> str:
        """The SQLSTATE that a client sees."""
        return SQLSTATE_OF_OUTCOME[self.outcome]


class UnknownFormat(NodeFatal):
    """Bytes of a kind or version that this build does not know: written by a newer Boreal."""


class EntryKind(enum.IntEnum):
    """First byte of a Raft entry. 0–3 belong to pysyncobj (regular, no-op, membership, version)."""

    NO_OP = 1
    BLOCK = 0x10
    FRAGMENT = 0x11
    CONCLUSION = 0x12
    """A Block that concludes large transactions: exactly one proposal, with fragments; or abandoned ones only."""
    MEMBERSHIP = 0x13
    """Who belongs from here on (`journal.membership`)."""


ENTRY_HEADER_BYTES = 2
_OUR_KINDS = frozenset({int(EntryKind.BLOCK), int(EntryKind.FRAGMENT), int(EntryKind.CONCLUSION)})
_BLOCK_HEADER = bytes([EntryKind.BLOCK, FORMAT_VERSION])
_CONCLUSION_HEADER = bytes([EntryKind.CONCLUSION, FORMAT_VERSION])
_FRAGMENT_HEADER = bytes([EntryKind.FRAGMENT, FORMAT_VERSION])

_encoder = msgspec.msgpack.Encoder()
_encode = _encoder.encode
_encode_into = _encoder.encode_into
_proposal_decoder = msgspec.msgpack.Decoder(Proposal)
_block_decoder = msgspec.msgpack.Decoder(Block)
_fragment_decoder = msgspec.msgpack.Decoder(Fragment)
_event_decoder = msgspec.msgpack.Decoder(Event)
_writes_decoder = msgspec.msgpack.Decoder(list[Write])
_sha256 = hashlib.sha256


def encode_proposal(proposal: Proposal) -> bytes:
    """The proposal as it is embedded in a block."""
    return _encode(proposal)


def decode_proposal(data: bytes) -> Proposal:
    """The inverse of `encode_proposal`; raises CorruptData."""
    try:
        return _proposal_decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise CorruptData(f"proposal of {len(data)} bytes does not decode: {error}") from error


def encode_block(
    leader: int, timestamp: int, proposals: Sequence[bytes], abandoned: list[int], *, conclusion: bool = False
) -> bytes:
    """A Raft entry from proposals that `encode_proposal` encoded."""
    buffer = bytearray(_CONCLUSION_HEADER if conclusion else _BLOCK_HEADER)
    raw = [msgspec.Raw(data) for data in proposals]
    _encode_into(_RawBlock(leader, timestamp, raw, abandoned), buffer, ENTRY_HEADER_BYTES)
    return bytes(buffer)


def encode_fragment(fragment: Fragment) -> bytes:
    """A Raft entry that holds one fragment."""
    buffer = bytearray(_FRAGMENT_HEADER)
    _encode_into(fragment, buffer, ENTRY_HEADER_BYTES)
    return bytes(buffer)


def decode_entry(entry: bytes) -> Block | Fragment | None:
    """What a Raft entry says; None for entries that mean nothing to the state machine: no-op, membership.

    Raises:
        UnknownFormat: written by a newer version.
        CorruptData: a known kind that does not decode.
    """
    kind = entry[0]
    if kind == EntryKind.NO_OP or kind == EntryKind.MEMBERSHIP:
        return None
    if len(entry) < ENTRY_HEADER_BYTES or kind not in _OUR_KINDS:
        raise UnknownFormat(f"Raft entry of unknown kind {kind:#x}")
    if entry[1] != FORMAT_VERSION:
        raise UnknownFormat(f"Raft entry of kind {kind:#x} has format version {entry[1]}, known is {FORMAT_VERSION}")
    try:
        body = memoryview(entry)[ENTRY_HEADER_BYTES:]
        return _fragment_decoder.decode(body) if kind == EntryKind.FRAGMENT else _block_decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise CorruptData(f"Raft entry of kind {kind:#x} and {len(entry)} bytes does not decode: {error}") from error


def encode_writes(writes: list[Write]) -> bytes:
    """`Fragment.packed`."""
    return _encode(writes)


def decode_writes(packed: bytes) -> list[Write]:
    """The inverse of `encode_writes`; raises CorruptData."""
    try:
        return _writes_decoder.decode(packed)
    except msgspec.MsgspecError as error:
        raise CorruptData(f"packed writes of {len(packed)} bytes do not decode: {error}") from error


def encode_event_body(
    position: int,
    commit_ts: int,
    txid: int,
    provenance: Provenance,
    catalog_changes: list[int],
    locks: list[Lock],
    writes: list[Write] | msgspec.Raw,
    part: int = 0,
    more: bool = False,
    relations: list[Lock] | None = None,
    bulk: bool = False,
) -> bytes:
    """The canonical bytes of an event, the ones that the hash chain covers. `writes` may be packed already."""
    return _encode(
        (position, commit_ts, txid, provenance, catalog_changes, locks, part, more, relations or [], bulk, writes)
    )


def chain_hash(previous_hash: bytes, body: bytes) -> bytes:
    """The chain's next value: SHA-256, which costs 0.5 µs for a small event (BLAKE2b: 0.6) and 0.55 ms a MiB."""
    return _sha256(previous_hash + body).digest()


def decode_event(body: bytes | memoryview, previous_hash: bytes, own_hash: bytes) -> Event:
    """An event from its canonical bytes; raises CorruptData."""
    try:
        event = _event_decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise CorruptData(f"event of {len(body)} bytes does not decode: {error}") from error
    event.previous_hash = previous_hash
    event.hash = own_hash
    return event
