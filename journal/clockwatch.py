"""Is this node's clock wrong? Every member compares its clock with the others', because what a clock says of itself may be false.

    question ─▶ peer ─▶ answer (when it came, when it was answered, how good that clock is said to be)
        └──────── round trip ───────┘       offset = middle of the peer's times − middle of ours, ± half the round trip (NTP, RFC 5905 §8)

A question goes to each peer once a second. Samples are kept against this node's *monotonic* clock, so a wall clock that is set, here,
changes all offsets at once, without waiting for another answer. Of each peer the sample with the smallest error counts, which grows
with its age; one that contradicts it takes its place: the peer's clock was set.

Two clocks *agree* if their offset is within both error bounds, the sample's error and `ALLOWANCE_US`. Otherwise one of them is wrong, and
the majority says which: a node trusts its clock while more of the compared clocks, its own included, agree with it than do not. Of two
nodes that disagree neither knows better, and both distrust. Nobody trusts a clock that has been compared with nobody; who is alone
has nobody to be wrong for. A clock without an error bound makes no claim: it is neither trusted nor evidence.

**What it is for.** Reads by the clock (`deploy.reads`) miss what was acknowledged if this clock is behind, or the leader's ahead, by more
than the bounds. So they need a trusted clock here, one at the leader that agrees with it, and a closed time that no good clock could
have passed yet (`may_read`): promises of a leader whose clock was ahead outlive its correction. A leader that distrusts its clock
promises nothing (`may_promise`); whoever distrusts it does not acknowledge by it (`Replica._answer`).

**What remains.** Half a round trip is the resolution: between regions 60 ms apart an error below 30 ms may stay unseen, unless a nearer
member sees it. Both bounds are the operator's (or the kernel's) word: within them nothing is noticed, nor need be.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import NamedTuple

from journal.environment import ClockErrorSource, WallClock
from journal.messages import ClockAnswer, ClockQuestion, SideMessage

logger = logging.getLogger(__name__)

ALLOWANCE_US = 250
"""What reading clocks and turns of the loop may add."""
QUESTION_SECONDS = 1.0
"""Between questions to a peer; an answer that takes longer is not used."""
FRESH_SECONDS = 5.0
"""A sample that is older says nothing."""
RECOVERY_SECONDS = 2.0
"""A clock that was distrusted must agree for so long."""
DRIFT = 500e-6
"""How fast two clocks may part: what the kernel assumes of one that nobody corrects."""
_READINGS_MAX = 4
_READING_SECONDS_MAX = 50e-6
_UNKNOWN = -1


class _Asked(NamedTuple):
    number: int
    monotonic: float


class _Sample(NamedTuple):
    """A peer's wall clock minus this node's monotonic one, at the moment `taken`, by both in µs."""

    difference_us: float
    half_round_trip_us: float
    taken: float
    bound_us: int | None

    def error_us(self, now: float) -> float:
        """How far the difference may be from the truth by now."""
        return self.half_round_trip_us + (now - self.taken) * DRIFT * 1e6


class ClockOffset(NamedTuple):
    """What is known of a peer's clock, in µs.

    Attributes:
        offset_us: how far it is ahead of this node's.
        error_us: by how much that may be wrong.
        bound_us: what the peer says of its own error; None if it does not know.
        agrees: whether the two are as near as the bounds say; None if one has no bound.
    """

    offset_us: int
    error_us: int
    bound_us: int | None
    agrees: bool | None


class ClockWatch:
    """One node's opinion of its clock.

    Args:
        clock: the host's.
        error: what it says of itself.
        post: sends to a peer; False if that is not possible now.
        peers: names of the other members.
        lead_us: how far commit timestamps lead clocks, the same on every node.
    """

    def __init__(
        self,
        clock: WallClock,
        error: ClockErrorSource,
        post: Callable[[str, SideMessage], bool],
        peers: Callable[[], Collection[str]],
        *,
        lead_us: int = 0,
    ) -> None:
        self._clock = clock
        self._error = error
        self._post = post
        self._peers = peers
        self._lead_us = lead_us
        self._number = 0
        self._asked: dict[str, _Asked] = {}
        self._samples: dict[str, _Sample] = {}
        self._offsets: dict[str, ClockOffset] = {}
        self._basis_us = self._reading()[0]
        self._trusted = False
        self._distrusted = False
        self._agrees_since: float | None = None

    # ---- what others ask --------------------------------------------------------------------------------------------

    @property
    def trusted(self) -> bool:
        """Whether this node's clock is as good as it says, as far as anybody can tell. HOT: for every read by the clock."""
        if abs(self._reading()[0] - self._basis_us) > ALLOWANCE_US:
            self.judge()  # it was set just now
        return self._trusted

    @property
    def distrusted(self) -> bool:
        """Whether it was compared and found wrong. Neither `trusted` nor this: it makes no claim, or was not compared yet."""
        return not self.trusted and self._distrusted

    @property
    def may_promise(self) -> bool:
        """Whether a leader may close time by this clock: others would read by that. Where no clock has a bound, or this one alone,
        nobody reads by the clock, and closed time goes on for those who read in the past."""
        if self.trusted or self._error.error_us() is None:
            return True
        return bool(self._offsets) and all(each.bound_us is None for each in self._offsets.values())

    def may_read(self, leader: str | None, closed_us: int) -> bool:
        """Whether a read by the clock is safe.

        Args:
            leader: the leader's name; "" if it is this node.
            closed_us: the closed time that it would rely on.
        """
        if not self.trusted or leader is None:
            return False
        ahead_us = self._lead_us + (self._error.error_us() or 0) + ALLOWANCE_US
        if leader:
            offset = self._offsets.get(leader)
            if offset is None or not offset.agrees or offset.bound_us is None:
                return False
            ahead_us += offset.bound_us
        return closed_us - self._clock.wall_us() <= ahead_us or not self._peers()

    def offset(self, name: str) -> ClockOffset | None:
        """What is known of a peer's clock; None: nothing that is fresh."""
        return self._offsets.get(name)

    # ---- messages ---------------------------------------------------------------------------------------------------

    def on_timer(self) -> None:
        """Ask whom it is time to ask, and judge."""
        now = self._clock.monotonic()
        peers = self._peers()
        for name in [*self._samples, *self._asked]:
            if name not in peers:
                self._samples.pop(name, None)
                self._asked.pop(name, None)
        for name in peers:
            asked = self._asked.get(name)
            if asked is None or now - asked.monotonic >= QUESTION_SECONDS:
                self._number += 1
                if self._post(name, ClockQuestion(self._number)):
                    self._asked[name] = _Asked(self._number, self._clock.monotonic())
        self.judge()

    def asked(self, name: str, question: ClockQuestion) -> None:
        """A peer asks."""
        wall_us = self._clock.wall_us()
        bound_us = self._error.error_us()
        self._post(name, ClockAnswer(question.number, wall_us, _UNKNOWN if bound_us is None else bound_us))

    def answered(self, name: str, answer: ClockAnswer) -> None:
        """A peer has answered."""
        now = self._clock.monotonic()
        asked = self._asked.get(name)
        if asked is None or asked.number != answer.number:
            return  # later than the next question
        middle_us = (asked.monotonic + now) / 2 * 1e6
        bound_us = None if answer.error_us == _UNKNOWN else answer.error_us
        sample = _Sample(answer.wall_us - middle_us, (now - asked.monotonic) / 2 * 1e6, now, bound_us)
        kept = self._samples.get(name)
        if kept is not None and kept.bound_us == bound_us:
            apart_us = abs(sample.difference_us - kept.difference_us)
            if (
                apart_us <= sample.half_round_trip_us + kept.error_us(now) + ALLOWANCE_US
                and kept.error_us(now) < sample.half_round_trip_us
                and now - kept.taken < FRESH_SECONDS / 2
            ):
                return
        self._samples[name] = sample
        self.judge()

    # ---- judging ----------------------------------------------------------------------------------------------------

    def judge(self) -> None:
        """Compare, by what is known now."""
        self._basis_us, now = self._reading()
        own_us = self._error.error_us()
        self._offsets = {
            name: self._compare(sample, now, own_us)
            for name, sample in self._samples.items()
            if now - sample.taken <= FRESH_SECONDS
        }
        agree = [name for name, each in self._offsets.items() if each.agrees]
        others = [name for name, each in self._offsets.items() if each.agrees is False]
        if own_us is None:
            self._trusted = self._distrusted = False
            self._agrees_since = None
        elif not self._peers() or (agree and len(agree) + 1 > len(others)):
            if self._agrees_since is None:
                self._agrees_since = now
            if not self._distrusted or now - self._agrees_since >= RECOVERY_SECONDS:
                if self._distrusted:
                    logger.warning(
                        "this host's clock agrees with %s again, and is trusted", ", ".join(agree) or "itself"
                    )
                self._trusted, self._distrusted = True, False
        else:
            self._trusted = False
            self._agrees_since = None
            if others and not self._distrusted:
                self._distrusted = True
                logger.error(
                    "this host's clock is not trusted any more, reads by the clock ask the leader: %s; its own error is said "
                    "to be at most %.1f ms",
                    ", ".join(f"{name}'s is {self._offsets[name].offset_us / 1000:+.1f} ms from it" for name in others),
                    own_us / 1000,
                )

    def _compare(self, sample: _Sample, now: float, own_us: int | None) -> ClockOffset:
        offset_us = sample.difference_us - self._basis_us
        error_us = sample.error_us(now)
        agrees = None
        if own_us is not None and sample.bound_us is not None:
            agrees = abs(offset_us) <= own_us + sample.bound_us + error_us + ALLOWANCE_US
        return ClockOffset(round(offset_us), round(error_us), sample.bound_us, agrees)

    def _reading(self) -> tuple[float, float]:
        """(wall clock minus monotonic clock in µs, monotonic seconds), read at the same moment, or nearly."""
        clock = self._clock
        for _ in range(_READINGS_MAX):
            before = clock.monotonic()
            wall_us = clock.wall_us()
            after = clock.monotonic()
            if after - before <= _READING_SECONDS_MAX:
                break
        return wall_us - (before + after) / 2 * 1e6, after
