"""Strong reads: how far a node must have applied before it may answer (the `local` and `index` paths).

    read_barrier ─▶ collecting ─▶ one question to the leader ─▶ its index ─▶ applied here ─▶ callback
                        └─ whoever comes within a millisecond of the last question goes with the next one

An answer is good for those who had asked with its question or with an earlier one, and for nobody else. Several questions are under
way at a time, so a read takes one round trip and at most a millisecond, not the rest of somebody else's round trip and its own.

A leader answers when it is certain to be the leader still: at once if it has a lease, otherwise when a majority has
acknowledged a heartbeat sent after the question came (Raft §8, ReadIndex); and not before an entry of its own term is
committed, because until then it does not know what is. The index covers everything that anybody can have been told of:
what is committed or, with fast commit, whatever the leader has appended (architecture §4).

A question may be asked again, since nothing depends on how often it was. Every wait ends after `read_timeout_seconds`
with a refusal (57P03): a minority fails closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from journal.consensus import Consensus
from journal.environment import WallClock
from journal.event import Outcome, Verdict
from journal.forwarding import Post
from journal.messages import ReadAnswer, ReadRequest

ReadCallback = Callable[[Verdict | None], None]
"""None: go ahead. A Verdict (NOT_LEADER): the read is refused, its reason says why."""

WAITERS_MAX = 100_000
QUESTIONS_MAX = 10_000
OUTSTANDING_MAX = 64
"""Questions of this node under way."""
SPACING_SECONDS = 0.001
"""Between two of them; also with members so near that an answer comes sooner."""


class _Waiter(NamedTuple):
    deadline: float
    callback: ReadCallback


class _Asked(NamedTuple):
    """Whoever waits for the answer to this question, or to a later one."""

    number: int
    waiter: _Waiter


class _Question(NamedTuple):
    """What a leader without a lease has been asked."""

    asked: float
    deadline: float
    answer: Callable[[int, str], None]


class ReadBarriers:
    """Both halves: of whoever reads, and of the leader.

    Args:
        target: leader only: the index that a reader must have applied.
        applied: the index applied here.
        wake: has the driver take a turn.
        timeout_seconds: after which a read is refused.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: WallClock,
        consensus: Consensus,
        post: Post,
        *,
        target: Callable[[], int],
        applied: Callable[[], int],
        wake: Callable[[], None],
        timeout_seconds: float,
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._consensus = consensus
        self._post = post
        self._target = target
        self._applied = applied
        self._wake = wake
        self._timeout = timeout_seconds
        self._collecting: list[_Waiter] = []
        self._for_clients = False
        self._asked: list[_Asked] = []
        self._asked_at = 0.0
        self._outstanding: set[int] = set()
        # Nothing that an earlier process of this node was answered may look like an answer to this one.
        self._number = clock.wall_us()
        self._asks: asyncio.TimerHandle | None = None
        self._waiting: list[tuple[int, list[_Waiter]]] = []
        self._questions: list[_Question] = []

    @property
    def busy(self) -> bool:
        """Whether anybody waits for anything here."""
        return bool(self._collecting or self._asked or self._waiting or self._questions)

    def request(self, callback: ReadCallback, *, for_client: bool = True) -> None:
        """See `Replica.read_barrier`."""
        if self._consensus.may_answer():
            target = self._target()
            if self._applied() >= target:
                callback(None)
            else:
                self._waiting.append((target, [self._waiter(callback)]))
            return
        if len(self._collecting) >= WAITERS_MAX:
            callback(Verdict(Outcome.OVERLOADED, reason=f"{WAITERS_MAX} reads are waiting for the leader"))
            return
        self._collecting.append(self._waiter(callback))
        self._for_clients |= for_client
        self._ask_when_due()

    # ---- the reader's half ------------------------------------------------------------------------------------------

    def answered(self, answer: ReadAnswer) -> None:
        """The leader says how far."""
        number = answer.number
        self._outstanding = {each for each in self._outstanding if each > number}
        if answer.refused:
            return  # the next timer asks again, perhaps somebody else
        # An answer that comes late is as good for those who had asked.
        known = [asked.waiter for asked in self._asked if asked.number <= number]
        self._asked = [asked for asked in self._asked if asked.number > number]
        self._wait_for(answer.index, known)
        if self._collecting:
            self._ask_when_due()
        elif not self._asked:
            self._for_clients = False

    def progressed(self) -> None:
        """More has been applied."""
        if not self._waiting:
            return
        applied = self._applied()
        waiting, self._waiting = self._waiting, []
        for index, waiters in waiting:
            if index <= applied:
                self._let_go(waiters)
            else:
                self._waiting.append((index, waiters))

    def on_timer(self) -> None:
        """Refuse what has waited too long; ask again what got no answer."""
        if not self.busy:
            return
        now = self._loop.time()
        leader = self._consensus.leader_name or "not known"
        refused = Verdict(Outcome.NOT_LEADER, reason=f"strong reads cannot be confirmed (the leader is {leader})")
        self._collecting = self._expire(self._collecting, now, refused)
        if self._asked:
            self._expire([asked.waiter for asked in self._asked], now, refused)
            self._asked = [asked for asked in self._asked if asked.waiter.deadline > now]
        self._waiting = [(index, left) for index, each in self._waiting if (left := self._expire(each, now, refused))]
        for question in self._questions:
            if question.deadline <= now:
                question.answer(0, "the leader could not confirm its office")
        self._questions = [question for question in self._questions if question.deadline > now]
        if (self._collecting or self._asked) and (not self._outstanding or now - self._asked_at > self._timeout / 4):
            self._outstanding.clear()  # lost, or as good as lost
            self._ask()
        self.check()

    def stop(self, reason: str) -> None:
        """Refuse everything."""
        if self._asks is not None:
            self._asks.cancel()
            self._asks = None
        refused = Verdict(Outcome.NOT_LEADER, reason=reason)
        waiters = (
            self._collecting
            + [asked.waiter for asked in self._asked]
            + [waiter for _, each in self._waiting for waiter in each]
        )
        self._collecting, self._asked, self._waiting, self._questions = [], [], [], []
        for waiter in waiters:
            self._loop.call_soon(waiter.callback, refused)

    def _ask_when_due(self) -> None:
        """Now, if nothing is under way; else not too soon after the last question; and when an answer comes, if there are many."""
        if len(self._outstanding) >= OUTSTANDING_MAX or self._asks is not None:
            return
        wait = self._asked_at + SPACING_SECONDS - self._loop.time() if self._outstanding else 0.0
        if wait <= 0:
            self._ask()
        else:
            self._asks = self._loop.call_later(wait, self._ask_collected)

    def _ask_collected(self) -> None:
        self._asks = None
        if self._collecting and len(self._outstanding) < OUTSTANDING_MAX:
            self._ask()

    def _ask(self) -> None:
        self._number += 1
        self._asked_at = self._loop.time()
        consensus = self._consensus
        number = self._number
        if consensus.is_leader:
            self._question(lambda index, refused: self.answered(ReadAnswer(number, index, refused)))
        elif consensus.leader_name is None or not self._post(
            consensus.leader_name, ReadRequest(number, self._for_clients)
        ):
            return
        self._outstanding.add(number)
        self._asked += [_Asked(number, waiter) for waiter in self._collecting]
        self._collecting = []

    def _wait_for(self, index: int, waiters: list[_Waiter]) -> None:
        if index <= self._applied():
            self._let_go(waiters)
        elif waiters:
            self._waiting.append((index, waiters))

    def _let_go(self, waiters: list[_Waiter]) -> None:
        for waiter in waiters:
            self._loop.call_soon(waiter.callback, None)

    def _waiter(self, callback: ReadCallback) -> _Waiter:
        return _Waiter(self._loop.time() + self._timeout, callback)

    def _expire(self, waiters: list[_Waiter], now: float, refused: Verdict) -> list[_Waiter]:
        if not waiters or waiters[0].deadline > now and len(waiters) == 1:
            return waiters
        for waiter in waiters:
            if waiter.deadline <= now:
                self._loop.call_soon(waiter.callback, refused)
        return [waiter for waiter in waiters if waiter.deadline > now]

    # ---- the leader's half ------------------------------------------------------------------------------------------

    def asked(self, name: str, request: ReadRequest) -> None:
        """A peer asks."""

        def answer(index: int, refused: str) -> None:
            self._post(name, ReadAnswer(request.number, index, refused))

        if self._consensus.may_answer():
            answer(self._target(), "")
        elif not self._consensus.is_leader:
            answer(0, "this node is not the leader")
        elif len(self._questions) >= QUESTIONS_MAX:
            answer(0, "too many reads are waiting")
        else:
            self._question(answer)

    def check(self) -> None:
        """Answer what can be answered by now; the driver calls it once a turn if `busy`."""
        if not self._questions:
            return
        questions = self._questions
        if not self._consensus.is_leader:
            self._questions = []
            for question in questions:
                question.answer(0, "this node is no longer the leader")
        elif self._consensus.has_committed_in_term:
            confirmed = self._consensus.confirmed_since()
            self._questions = [question for question in questions if question.asked > confirmed]
            target = self._target()
            for question in questions:
                if question.asked <= confirmed:
                    question.answer(target, "")

    def _question(self, answer: Callable[[int, str], None]) -> None:
        deadline = self._loop.time() + self._timeout
        self._questions.append(_Question(self._clock.monotonic(), deadline, answer))
        self._consensus.send_heartbeats()
        self._wake()
