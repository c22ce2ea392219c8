"""Proposals on their way to the leader, and their verdicts on the way back, which come through the log.

    propose at a follower ─▶ parcels ─▶ one frame for each turn of the loop ─▶ the leader's queue ─▶ … ─▶ applied here

A follower's proposal is ordered by the leader like any other, and decided by every replica; so the proposer learns the
verdict from its own replica, when the entry is applied here, and nothing has to be sent back. It is found by its
transaction id.

**Nothing is sent twice**, and only the leader of the term for which it was sent may order it. What becomes of a proposal
whose leader or connection was lost on the way is known as soon as its entry is applied here, or *any entry of a later term*:
entries are in the log in the order of their terms, so what has not come by then never will (NOT_LEADER). Only if neither
happens in time (`unknown_after_seconds`, or two elections without a leader: this node is cut off) the verdict is UNKNOWN. A refusal by the leader says the same at once, and so
does a connection over which nothing could be sent.

**Bounds.** Undecided proposals are bounded by number and bytes (OVERLOADED beyond); the fragments of large transactions
by bytes, and their senders wait for room, which comes as their fragments are applied here. At the leader, what others
forwarded counts like its own proposals and meets the same bounds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from journal.errors import NodeFatal
from journal.event import Fragment, Outcome, Proposal, Verdict, decode_entry, decode_proposal
from journal.messages import Forward, Parcel, Refusal, SideMessage
from journal.settings import ReplicaSettings

logger = logging.getLogger(__name__)

Callback = Callable[[Verdict], None]
Post = Callable[[str, SideMessage], bool]
FRAME_BYTES_MAX = 1 << 20
FRAME_PARCELS_MAX = 1024


_NOT_SENT = 1 << 62


class _Undecided:
    """A transaction that was sent to a leader."""

    __slots__ = ("callbacks", "since", "size", "term")

    def __init__(self, since: float, size: int, callback: Callback) -> None:
        self.since = since
        self.term = _NOT_SENT
        self.size = size
        self.callbacks = [callback]


class Forwarder:
    """The proposer's half.

    Args:
        post: sends to a peer; False if it cannot.
        leader: the present leader's name.
        term: the present term.

    Attributes:
        undecided: transactions whose proposal was sent. Empty wherever nothing was: cheap to ask.
        fragment_bytes: of fragments that were sent and have not been applied here.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        settings: ReplicaSettings,
        post: Post,
        leader: Callable[[], str | None],
        term: Callable[[], int],
    ) -> None:
        self._loop = loop
        self._settings = settings
        self._post = post
        self._leader = leader
        self._term = term
        self._parcels: list[Parcel] = []
        self._scheduled = False
        self._bytes = 0
        self.undecided: dict[int, _Undecided] = {}
        self.fragment_bytes = 0
        self._fragments: dict[int, dict[int, int]] = {}
        self._fragment_refused: dict[int, tuple[float, int, Callback]] = {}

    def propose(self, txid: int, data: bytes, callback: Callback) -> None:
        """Send a proposal; the callback comes later, never from within this call."""
        known = self.undecided.get(txid)
        if known is not None:
            known.callbacks.append(callback)
            return
        settings = self._settings
        if len(self.undecided) >= settings.waiting_proposals_max or self._bytes >= settings.waiting_bytes_max:
            reason = f"{len(self.undecided)} proposals are on their way to the leader"
            self._loop.call_soon(callback, Verdict(Outcome.OVERLOADED, reason=reason))
            return
        self.undecided[txid] = _Undecided(self._loop.time(), len(data), callback)
        self._bytes += len(data)
        self._send(Parcel(txid, True, data))

    def send_fragment(self, fragment: Fragment, data: bytes, refused: Callback) -> None:
        """Send a fragment; `refused` is called if the leader does not want it."""
        self._fragments.setdefault(fragment.txid, {})[fragment.number] = len(data)
        self._fragment_refused[fragment.txid] = (self._loop.time(), self._term(), refused)
        self.fragment_bytes += len(data)
        self._send(Parcel(fragment.txid, False, data))

    def send_entry(self, txid: int, data: bytes) -> None:
        """Send an entry that nobody waits for."""
        self._send(Parcel(txid, False, data))

    def fragment_applied(self, fragment: Fragment) -> None:
        """A fragment was applied here: there is room again."""
        sizes = self._fragments.get(fragment.txid)
        if sizes is not None:
            self.fragment_bytes -= sizes.pop(fragment.number, 0)
            if not sizes:
                del self._fragments[fragment.txid]

    def take(self, txid: int) -> list[Callback]:
        """The transaction is decided: who wants to know."""
        self._forget_fragments(txid)
        known = self.undecided.pop(txid, None)
        if known is None:
            return []
        self._bytes -= known.size
        return known.callbacks

    def refuse(self, txids: Iterable[int], verdict: Verdict) -> None:
        """These were not ordered and never will be."""
        for txid in txids:
            refused = self._fragment_refused.get(txid)
            if refused is not None:
                self._loop.call_soon(refused[2], verdict)
            for callback in self.take(txid):
                self._loop.call_soon(callback, verdict)

    def refuse_all(self, verdict: Verdict) -> None:
        """Give every proposal this verdict."""
        self.refuse([*self.undecided, *self._fragment_refused], verdict)

    def term_began(self, term: int) -> None:
        """An entry of this term is applied: what was sent for an earlier one, and has not come, never will."""
        lost = [txid for txid, undecided in self.undecided.items() if undecided.term < term]
        lost += [txid for txid, (_, sent_in, _) in self._fragment_refused.items() if sent_in < term]
        if lost:
            self.refuse(lost, Verdict(Outcome.NOT_LEADER, reason="the leader was lost before it was ordered"))

    def expire(self, horizon: float) -> None:
        """Give up on what was sent before this (loop time)."""
        verdict = Verdict(Outcome.UNKNOWN, reason="the leader was lost before the outcome was known here")
        old = []
        for txid, undecided in self.undecided.items():
            if undecided.since >= horizon:
                break
            old.append(txid)
        old += [txid for txid, (since, _, _) in self._fragment_refused.items() if since < horizon]
        self.refuse(old, verdict)

    def _forget_fragments(self, txid: int) -> None:
        self._fragment_refused.pop(txid, None)
        sizes = self._fragments.pop(txid, None)
        if sizes is not None:
            self.fragment_bytes -= sum(sizes.values())

    def _send(self, parcel: Parcel) -> None:
        self._parcels.append(parcel)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        parcels, self._parcels = self._parcels, []
        leader = self._leader()
        start = size = 0
        for place, parcel in enumerate(parcels):
            if place > start and (size + len(parcel.data) > FRAME_BYTES_MAX or place - start >= FRAME_PARCELS_MAX):
                self._flush_some(leader, parcels[start:place])
                start, size = place, 0
            size += len(parcel.data)
        if start < len(parcels):
            self._flush_some(leader, parcels[start:])

    def _flush_some(self, leader: str | None, parcels: list[Parcel]) -> None:
        term = self._term()
        for parcel in parcels:
            undecided = self.undecided.get(parcel.txid)
            if undecided is not None:
                undecided.term = term
        if leader is None or not self._post(leader, Forward(term, parcels)):
            self.refuse(
                {parcel.txid: None for parcel in parcels},
                Verdict(Outcome.NOT_LEADER, reason=f"the leader {leader or '(not known)'} cannot be reached"),
            )


class Refusals:
    """The leader's half: tells proposers what was not ordered.

    Args:
        decided: is told what became of everything else.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, post: Post, decided: Callback) -> None:
        self._loop = loop
        self._post = post
        self._decided = decided
        self._refused: dict[tuple[str, int, str], list[int]] = {}

    def callback_for(self, name: str, txid: int) -> Callback:
        """A verdict callback for what `name` forwarded: only refusals travel back."""

        def answer(verdict: Verdict) -> None:
            if verdict.outcome in REFUSALS:
                self.refuse(name, txid, verdict)
            else:
                self._decided(verdict)

        return answer

    def refuse(self, name: str, txid: int, verdict: Verdict) -> None:
        """Tell `name`, with this turn of the loop."""
        if not self._refused:
            self._loop.call_soon(self._flush)
        self._refused.setdefault((name, int(verdict.outcome), verdict.reason), []).append(txid)

    def _flush(self) -> None:
        refused, self._refused = self._refused, {}
        for (name, outcome, reason), txids in refused.items():
            # A refusal that cannot be delivered leaves the proposer with UNKNOWN, in time.
            self._post(name, Refusal(txids, outcome, reason))


REFUSALS = frozenset({Outcome.NOT_LEADER, Outcome.OVERLOADED, Outcome.DISK_FULL})
"""Outcomes which say that nothing was ordered."""


def unpack(txid: int, is_proposal: bool, data: bytes) -> Proposal | None:
    """A parcel's proposal, None if it holds an entry.

    Raises:
        ValueError: it holds neither.
    """
    try:
        if is_proposal:
            proposal = decode_proposal(data)
            if proposal.txid != txid:
                raise ValueError(f"transaction {proposal.txid} under the name of {txid}")
            return proposal
        content = decode_entry(data)
    except (NodeFatal, IndexError) as error:
        # What a peer sends is not what this node's disk holds: it is refused, and stops nobody.
        raise ValueError(str(error)) from error
    if content is None or (not isinstance(content, Fragment) and content.proposals):
        raise ValueError("an entry that only a leader may make")
    return None
