"""What replicas say to each other beside Raft: proposals on their way, questions of readers, promises about time,
and what time it is.

Raft's own messages are pysyncobj's dictionaries and wait for the disk (`journal.transport`). These do not: none of them
reflects anything that a crash could take back, so they leave at once and are handled when they arrive.
"""

from __future__ import annotations

import msgspec


class Parcel(msgspec.Struct, array_like=True, gc=False):
    """One thing to be ordered: a proposal, or a ready Raft entry (a fragment, or what drops fragments).

    Attributes:
        txid: the transaction.
        is_proposal: whether `data` is an encoded Proposal; else it is a whole entry.
        data: the bytes.
    """

    txid: int
    is_proposal: bool
    data: bytes


class Forward(msgspec.Struct, array_like=True, tag=1):
    """A follower asks the leader of this term, and no other, to order these, in this order."""

    term: int
    parcels: list[Parcel]


class Refusal(msgspec.Struct, array_like=True, tag=2):
    """What was forwarded has not been ordered and never will be.

    Attributes:
        txids: the transactions.
        outcome: why (`Outcome`).
        reason: for people.
    """

    txids: list[int]
    outcome: int
    reason: str


class ReadRequest(msgspec.Struct, array_like=True, tag=3):
    """How far must I have applied to know everything that was committed until now?

    Attributes:
        number: of the question.
        for_clients: somebody who waits for it works here; otherwise the node only wants to know whether it has a majority.
    """

    number: int
    for_clients: bool = True


class ReadAnswer(msgspec.Struct, array_like=True, tag=4):
    """Until this Raft index. `refused` says why there is no answer, and is empty otherwise."""

    number: int
    index: int
    refused: str = ""


class Closed(msgspec.Struct, array_like=True, tag=5):
    """Whoever has applied `index` will see no further event with a commit timestamp at or below `closed_us`."""

    term: int
    index: int
    closed_us: int


class Behind(msgspec.Struct, array_like=True, tag=6):
    """The leader has compacted the entries that you need: its log begins at `first_index`. Ask for a feed."""

    first_index: int


class ClockQuestion(msgspec.Struct, array_like=True, tag=7):
    """What time is it at your place?"""

    number: int


class ClockAnswer(msgspec.Struct, array_like=True, tag=8):
    """When the question came, which is when it is answered.

    Attributes:
        number: the question's.
        wall_us: µs since the Unix epoch.
        error_us: how far that clock may be from true time, as it says itself; -1 if it does not know.
    """

    number: int
    wall_us: int
    error_us: int


SideMessage = Forward | Refusal | ReadRequest | ReadAnswer | Closed | Behind | ClockQuestion | ClockAnswer

encode_message = msgspec.msgpack.Encoder().encode
decode_message = msgspec.msgpack.Decoder(SideMessage).decode
"""Raises msgspec.MsgspecError."""
