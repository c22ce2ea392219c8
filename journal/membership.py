"""Who belongs: members, what they may do, and how that changes, one step at a time, through the log.

    configuration = the newest membership entry in the log, else the snapshot's, else what the node was started with

A configuration holds all members. It is used from the moment it is in the log, committed or not, and given up again when
the entry is truncated (Raft dissertation §4.1). Because two successive configurations differ in one voter at most, every
majority of the one meets every majority of the other, so no term can have two leaders and nothing committed can be lost.
That needs two rules, which `Membership.refusal` enforces: no change while one is not committed, and none before the
leader has committed an entry of its own term (without it, a change that was left uncommitted by an older leader could
come back and make it two).

A member is added as a *learner*: it gets the log, but has no vote and counts for no majority, so that a disk that is
still empty costs no availability. It is promoted when it has caught up. A *witness* has a vote and the log, but no
storage: it leads only if nobody else can, and hands over at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from journal.configuration import Configuration, Member, decode_configuration
from journal.consensus import Consensus
from journal.raftlog import RaftLog
from journal.transport import Peer, PeerTransport


class Membership:
    """The configuration that this replica uses.

    Args:
        own: this node.
        base: the configuration before the first membership entry of the log.
        addresses: of peers, where they differ from what the configuration says.

    Attributes:
        configuration: the present one.
        index: the Raft index of its entry; 0 if it is not an entry of the log.
        version: the log's `memberships_version` when it was looked at last.
    """

    def __init__(
        self,
        own: Peer,
        base: Configuration,
        addresses: Iterable[Peer],
        log: RaftLog,
        transport: PeerTransport,
        consensus: Consensus,
    ) -> None:
        self._own = own
        self._base = base
        self._addresses = {peer.name: peer for peer in addresses}
        self._log = log
        self._transport = transport
        self._consensus = consensus
        self.version = -1
        self._known: dict[int, Configuration] = {}
        self._leaving: dict[str, Peer] = {}
        self.configuration = base
        self.index = 0
        self.refresh()

    def refresh(self) -> None:
        """Use the newest configuration in the log. Cheap if it has not changed."""
        if self._log.memberships_version == self.version:
            return
        log, before = self._log, self.configuration
        self.version = log.memberships_version
        compacted = [index for index in self._known if index < log.first_index]
        if compacted:
            self._base = self._known[max(compacted)]
        self._known = {index: decode_configuration(log.entry(index)[0]) for index in log.memberships}
        self.index = max(self._known, default=0)
        self.configuration = self._known.get(self.index, self._base)
        for member in before.members:
            if self.configuration.member(member.name) is None and member.name != self._own.name:
                # It still gets the log until the change is committed, or it would never know.
                self._leaving[member.name] = self._address(member)
        returned = [name for name in self._leaving if self.configuration.member(name) is not None]
        if returned:
            # Whoever is added again may have lost everything: what its predecessor acknowledged must not count for it.
            for name in returned:
                del self._leaving[name]
            self._use(without=returned)
        self._use()

    def rebase(self, base: Configuration) -> None:
        """The log begins anew, and this is what holds before its first entry."""
        self._base = base
        self._known.clear()
        self.version = -1
        self.refresh()

    def at(self, index: int) -> Configuration:
        """The configuration as of an applied entry, for a snapshot."""
        return self._known.get(max((each for each in self._known if each <= index), default=0), self._base)

    def drop_leavers(self, index: int) -> None:
        """Stop talking to those who have left with the configuration of this entry, unless it has changed since."""
        if index == self.index and self._leaving:
            self._leaving = {}
            self._use()

    @property
    def is_changing(self) -> bool:
        """Whether the present configuration is not known to be committed."""
        return self.index > self._consensus.committed_index

    @property
    def is_member(self) -> bool:
        """Whether this node belongs."""
        return self.configuration.member(self._own.name) is not None

    def refusal(self) -> str:
        """Why no change can begin now, or ""."""
        if not self._consensus.is_leader:
            return "this node is not the leader"
        if not self._consensus.has_committed_in_term:
            return "the leader has not committed an entry of its term yet"
        if self.is_changing:
            return "another change is under way"
        return ""

    def _address(self, member: Member) -> Peer:
        return self._addresses.get(member.name, member.peer)

    def _use(self, without: Collection[str] = ()) -> None:
        configuration, own = self.configuration, self._own.name
        present = [member for member in configuration.members if member.name not in without]
        peers = [self._address(member) for member in present if member.name != own]
        leaving = [peer for name, peer in self._leaving.items() if configuration.member(name) is None]
        self._transport.set_peers(peers + leaving)
        member = configuration.member(own)
        self._consensus.is_witness = member is not None and member.witness
        self._consensus.witnesses = frozenset(each.name for each in configuration.members if each.witness)
        self._consensus.adopt(
            [member.name for member in present if member.voter],
            [*(member.name for member in present if not member.voter), *(peer.name for peer in leaving)],
        )
