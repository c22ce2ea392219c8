"""Handing the leadership to another member (Raft dissertation §3.10): on drain, to the preferred leader, from a witness.

    hold: nothing more is ordered ─▶ the successor has the whole log ─▶ lease given up, "stand now" ─▶ deposed: done
                                        └───────────── not within the bound: given up, ordering goes on, in a new term with a lease

What waits meanwhile goes to the successor when it leads (`journal.replica`), so that a planned transfer fails nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from journal.consensus import Consensus
from journal.event import Outcome, Verdict
from journal.membership import Membership

TransferCallback = Callable[[Verdict | None], None]
"""None: another member leads. A Verdict: the transfer was given up, its reason says why."""

_RETRY_SECONDS = 10.0
_SETTLED_SECONDS = 2.0


class Transfer:
    """The transfers of one replica, one at a time.

    Attributes:
        holding: nothing may be ordered.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        consensus: Consensus,
        membership: Membership,
        *,
        own: str,
        preferred: str,
        timeout_seconds: float,
    ) -> None:
        self._loop = loop
        self._consensus = consensus
        self._membership = membership
        self._own = own
        self._preferred = preferred
        self._timeout = timeout_seconds
        self._target = ""
        self._asked = False
        self._deadline = 0.0
        self._callback: TransferCallback | None = None
        self._led_since = 0.0
        self._tried_at = -1e9
        self.holding = False

    def begin(self, name: str | None, callback: TransferCallback | None) -> None:
        """See `Replica.transfer_leadership`. The callback may come within this call."""
        target = name or self._best_successor()
        reason = self._reason_against(target)
        if reason:
            if callback is not None:
                callback(Verdict(Outcome.NOT_LEADER, reason=reason))
            return
        self._target, self._callback, self._asked = target, callback, False
        self._deadline = self._loop.time() + self._timeout
        self.holding = True
        self.step()

    def step(self) -> None:
        """Whatever can be done now; the driver calls it every turn while `holding`."""
        if not self.holding:
            return
        if not self._consensus.is_leader:
            self._end(None)
        elif self._loop.time() > self._deadline:
            self._end(Verdict(Outcome.NOT_LEADER, reason=f"{self._target} did not take over within {self._timeout} s"))
            self._consensus.renew()
        elif not self._asked:
            self._asked = self._consensus.hand_over(self._target)

    def on_timer(self) -> None:
        """Begin the transfers that nobody has to ask for."""
        now = self._loop.time()
        if not self._consensus.is_leader:
            self._led_since = 0.0
            return
        self._led_since = self._led_since or now
        settled = self._consensus.is_witness or now - self._led_since > _SETTLED_SECONDS
        if self.holding or not settled or now - self._tried_at < _RETRY_SECONDS:
            return
        wanted = self._preferred if self._preferred != self._own else ""
        if self._consensus.is_witness and not self._is_near(wanted):
            wanted = self._best_successor()
        if wanted and self._is_near(wanted) and not self._reason_against(wanted):
            self._tried_at = now
            self.begin(wanted, None)

    def _end(self, result: Verdict | None) -> None:
        callback, self._callback = self._callback, None
        self.holding = False
        if callback is not None:
            callback(result)

    def _reason_against(self, target: str) -> str:
        if not self._consensus.is_leader:
            return "this node is not the leader"
        if self.holding:
            return "another transfer is under way"
        if target == self._own:
            return "this node leads already"
        if target not in self._membership.configuration.voters:
            return f"{target} has no vote" if target else "nobody else has a vote"
        return ""

    def _is_near(self, name: str) -> bool:
        """Whether a member is so close that it would take over within a moment."""
        return bool(name) and self._consensus.is_near(name)

    def _best_successor(self) -> str:
        """The voter that has most of the log; a witness only if there is nobody else."""
        configuration = self._membership.configuration
        candidates = [
            (
                not member.witness,
                self._consensus.is_near(member.name),
                self._consensus.matched_index(member.name),
                member.name,
            )
            for member in configuration.members
            if member.voter and member.name != self._own
        ]
        return max(candidates, default=(False, False, 0, ""))[3]
