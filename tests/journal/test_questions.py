"""Questions to the leader under way at the same time: which answer serves whom, and how many there may be.

Method: the reader's half of `ReadBarriers` alone, with a leader that answers what and when a test says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from journal.environment import SystemClock
from journal.event import Verdict
from journal.messages import ReadAnswer, ReadRequest, SideMessage
from journal.reads import OUTSTANDING_MAX, SPACING_SECONDS, ReadBarriers

LATER = 4 * SPACING_SECONDS


class FakeConsensus:
    """A follower's, which knows its leader."""

    is_leader = False
    leader_name = "leader"

    def may_answer(self) -> bool:
        return False


class Reader:
    """A node that has applied `applied`."""

    def __init__(self) -> None:
        self.questions: list[int] = []
        self.passed: dict[str, Verdict | None] = {}
        self.applied = 100
        self.barriers = ReadBarriers(
            asyncio.get_running_loop(),
            SystemClock(),
            FakeConsensus(),  # type: ignore[arg-type]
            self._post,
            target=lambda: 0,
            applied=lambda: self.applied,
            wake=lambda: None,
            timeout_seconds=1.0,
        )

    def _post(self, name: str, message: SideMessage) -> bool:
        assert isinstance(message, ReadRequest)
        self.questions.append(message.number)
        return True

    def read(self, who: str) -> None:
        self.barriers.request(lambda verdict: self.passed.update({who: verdict}))

    async def answer(self, question: int, index: int = 100, refused: str = "") -> set[str]:
        """Who may go on now."""
        before = set(self.passed)
        self.barriers.answered(ReadAnswer(self.questions[question], index, refused))
        await asyncio.sleep(0)
        return set(self.passed) - before


def in_a_loop(test: Callable[[Reader], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        await test(Reader())

    asyncio.run(main())


def test_a_read_does_not_wait_for_the_answer_to_another() -> None:
    async def test(reader: Reader) -> None:
        reader.read("a")
        assert len(reader.questions) == 1
        reader.read("b")
        reader.read("c")
        assert len(reader.questions) == 1  # not for each its own
        await asyncio.sleep(LATER)
        assert len(reader.questions) == 2
        assert await reader.answer(0) == {"a"}
        assert await reader.answer(1) == {"b", "c"}

    in_a_loop(test)


def test_an_answer_serves_who_asked_with_it_or_before() -> None:
    async def test(reader: Reader) -> None:
        for who in "abc":
            reader.read(who)
            await asyncio.sleep(LATER)
        assert len(reader.questions) == 3
        assert await reader.answer(1) == {"a", "b"}
        assert await reader.answer(0) == set()  # late, and older than c's question
        assert await reader.answer(2, refused="not the leader") == set()
        assert await reader.answer(2, index=101) == set()
        reader.applied = 101
        reader.barriers.progressed()
        await asyncio.sleep(0)
        assert set(reader.passed) == {"a", "b", "c"}
        assert not reader.barriers.busy

    in_a_loop(test)


def test_questions_under_way_are_bounded() -> None:
    async def test(reader: Reader) -> None:
        count = OUTSTANDING_MAX + 5
        for number in range(count):
            reader.read(f"{number}")
            await asyncio.sleep(2 * SPACING_SECONDS)
        assert len(reader.questions) == OUTSTANDING_MAX
        await reader.answer(0)
        await asyncio.sleep(LATER)
        assert len(reader.questions) == OUTSTANDING_MAX + 1
        await reader.answer(OUTSTANDING_MAX)
        assert len(reader.passed) == count

    in_a_loop(test)


def test_numbers_of_an_earlier_process_mean_nothing() -> None:
    async def test(reader: Reader) -> None:
        reader.read("a")
        await asyncio.sleep(0.002)
        later = Reader()
        later.read("b")
        assert later.questions[0] > reader.questions[0] + 1000

    in_a_loop(test)
