"""The sending half of a large transaction: writes in fragments, ahead of the proposal, with back-pressure.

The receiving half, on every replica, is `journal.staging`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import msgspec

from journal.adjudicator import relations_of
from journal.event import Fragment, Lock, Outcome, Proposal, Verdict, Write, encode_writes

_WRITE_OVERHEAD_BYTES = 12
_LOCKS_PER_FRAGMENT = 4096


_LOST = Verdict(Outcome.NOT_LEADER, reason="the leader changed while the transaction was being sent")


class Orderer(Protocol):
    """What takes fragments; the replica."""

    @property
    def entry_bytes_max(self) -> int:
        """Size of a fragment's writes."""
        ...

    def now_us(self) -> int:
        """A timestamp of the hybrid clock."""
        ...

    def route(self) -> object:
        """The way to the leader. Fragments that took another way than the proposal may be missing before it."""
        ...

    async def enqueue_fragment(self, fragment: Fragment, refused: Callable[[Verdict], None]) -> Verdict | None:
        """Queue one fragment when there is room. A verdict if it is refused now; `refused` if it is later."""
        ...

    def abandon(self, txid: int) -> None:
        """Have the transaction's fragments dropped."""
        ...

    async def submit(self, proposal: Proposal) -> Verdict:
        """Order a proposal and wait for its verdict."""
        ...


class LargeTransaction:
    """Sends the writes of one transaction ahead, in fragments, with back-pressure."""

    def __init__(self, replica: Orderer, txid: int, snapshot: int, bytes_max: int) -> None:
        self._replica = replica
        self._txid = txid
        self._snapshot = snapshot
        self._bytes_max = bytes_max
        self._bytes = 0
        self._number = 0
        self._refused: Verdict | None = None
        self._route = replica.route()

    async def add(self, writes: list[Write], locks: list[Lock] | None = None) -> bool:
        """Send writes and locks; waits while the journal is busy. False once the transaction cannot commit any more."""
        pending = locks or []
        for piece in self._pieces(writes):
            if self._refused is None:
                await self._send(piece, [])
        for start in range(0, len(pending), 4096):
            if self._refused is None:
                await self._send([], pending[start : start + 4096])
        return self._refused is None

    async def commit(self, header: Proposal) -> Verdict:
        """Propose; the verdict covers all that was sent."""
        if self._refused is not None:
            self.abandon()
            return self._refused
        if self._has_lost_its_way():
            self.abandon()
            return _LOST
        header = msgspec.structs.replace(header, fragments=self._number)
        return await self._replica.submit(header)

    def abandon(self) -> None:
        """Give up: what was sent is dropped everywhere."""
        if self._number:
            self._replica.abandon(self._txid)
            self._number = 0

    def _has_lost_its_way(self) -> bool:
        if not self._number:
            self._route = self._replica.route()
        return self._route != self._replica.route()

    def _pieces(self, writes: list[Write]) -> Iterator[list[Write]]:
        bound = self._replica.entry_bytes_max
        start = size = 0
        for place, (key, value, _) in enumerate(writes):
            cost = len(key) + len(value) + 12
            if size and size + cost > bound:
                yield writes[start:place]
                start, size = place, 0
            size += cost
        if start < len(writes):
            yield writes[start:] if start else writes

    async def _send(self, writes: list[Write], locks: list[Lock]) -> None:
        packed = encode_writes(writes)
        self._bytes += len(packed)
        if self._bytes > self._bytes_max:
            self._refused = Verdict(
                Outcome.TOO_LARGE, reason=f"the transaction writes more than {self._bytes_max >> 20} MiB"
            )
            return
        keys_count, relations = relations_of(writes, locks)
        sent_at = self._replica.now_us()
        fragment = Fragment(
            self._txid, self._snapshot, sent_at, self._number, len(writes), keys_count, relations, packed, locks
        )
        if self._has_lost_its_way():
            self._refused = _LOST
            return
        self._number += 1
        refused = await self._replica.enqueue_fragment(fragment, self._refuse)
        self._refused = self._refused or refused

    def _refuse(self, verdict: Verdict) -> None:
        self._refused = self._refused or verdict
