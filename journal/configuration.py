"""Who belongs, as data: members, configurations, and the changes that lead from one to the next.

How they are used, and why it is safe: `journal.membership`.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

import msgspec

from journal.errors import CorruptData
from journal.event import FORMAT_VERSION, EntryKind
from journal.transport import FOUNDER, Added, Peer

MEMBERS_MAX = 32


class Member(msgspec.Struct, array_like=True, frozen=True):
    """One member.

    Attributes:
        name: of the node.
        host, port: where it listens for peers.
        voter: whether it votes; otherwise it is a learner.
        witness: whether it has no role but the journal's.
        added: term and index of the Raft entry that added it; (0, 0) for a founder. Of two additions the later one has the
            greater.
        directory: identity of the data directory that was given the vote (`journal.identity`); 0 for founders and learners.
    """

    name: str
    host: str
    port: int
    voter: bool = True
    witness: bool = False
    added: Added = FOUNDER
    directory: int = 0

    @property
    def peer(self) -> Peer:
        """Its address."""
        return Peer(self.name, self.host, self.port, self.witness)


class Configuration(msgspec.Struct, array_like=True, frozen=True):
    """All members, in the order of their names."""

    members: tuple[Member, ...] = ()

    def member(self, name: str) -> Member | None:
        """The member of this name."""
        return next((member for member in self.members if member.name == name), None)

    @property
    def voters(self) -> list[str]:
        """Names of those who vote."""
        return [member.name for member in self.members if member.voter]

    @property
    def learners(self) -> list[str]:
        """Names of the others."""
        return [member.name for member in self.members if not member.voter]

    def with_member(self, member: Member) -> Configuration:
        """With this member added, or in the place of the one of the same name."""
        return configuration_of([*(each for each in self.members if each.name != member.name), member])

    def without(self, name: str) -> Configuration:
        """Without the member of this name."""
        return configuration_of(member for member in self.members if member.name != name)


def configuration_of(members: Iterable[Member]) -> Configuration:
    """A configuration of these members."""
    return Configuration(tuple(sorted(members, key=lambda member: member.name)))


def founding(peers: Iterable[Peer]) -> Configuration:
    """The configuration of a cluster that begins with these voters."""
    return configuration_of(Member(peer.name, peer.host, peer.port, True, peer.witness) for peer in peers)


class Change(enum.Enum):
    """What an operator may ask for."""

    ADD = "add"
    """As a learner."""
    PROMOTE = "promote"
    REMOVE = "remove"


_HEADER = bytes([EntryKind.MEMBERSHIP, FORMAT_VERSION])
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Configuration).decode


def encode_configuration(configuration: Configuration) -> bytes:
    """The Raft entry that makes it the present one."""
    return _HEADER + _encode(configuration)


def decode_configuration(entry: bytes) -> Configuration:
    """The inverse; raises CorruptData."""
    if entry[:2] != _HEADER:
        raise CorruptData(f"membership entry of unknown format {entry[:2].hex()}")
    try:
        return _decode(memoryview(entry)[2:])
    except msgspec.MsgspecError as error:
        raise CorruptData(f"membership entry of {len(entry)} bytes does not decode: {error}") from error


def changed(
    configuration: Configuration, change: Change, member: Member, leader: str, added: Added, directory: int = 0
) -> Configuration | str:
    """The configuration after a change, or why there is none. `added`: for who is added now; `directory`: for who is promoted."""
    known = configuration.member(member.name)
    if change is Change.ADD:
        if known is not None:
            return f"{member.name} is a member already"
        if len(configuration.members) >= MEMBERS_MAX:
            return f"there are {MEMBERS_MAX} members already"
        return configuration.with_member(msgspec.structs.replace(member, voter=False, added=added))
    if known is None:
        return f"{member.name} is not a member"
    if change is Change.PROMOTE:
        if known.voter:
            return f"{member.name} votes already"
        return configuration.with_member(msgspec.structs.replace(known, voter=True, directory=directory))
    if member.name == leader:
        return f"{member.name} leads; transfer the leadership first"
    return configuration.without(member.name)
