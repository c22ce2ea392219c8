"""Whose clock is wrong: every member's own opinion, from what the others' clocks say.

Goal: a clock beyond its bound is distrusted at once when it is set and within a question's time when it was wrong before, by the right
node; nobody trusts what was not compared; who agrees again is trusted again. Method: watches that talk over a simulated network, each
way with a delay of its own, in virtual time.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Callable
from itertools import count

import pytest

from journal.clockwatch import FRESH_SECONDS, QUESTION_SECONDS, RECOVERY_SECONDS, ClockWatch
from journal.messages import ClockAnswer, ClockQuestion, SideMessage

BOUND_US = 500
EPOCH_US = 1_700_000_000_000_000


class World:
    """Virtual time, and what is due when."""

    def __init__(self, nodes: int = 3, *, there: float = 0.006, back: float = 0.006, lead_us: int = 0) -> None:
        self.now = 100.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self.there, self.back = there, back
        self.nodes = {f"n{number}": Node(self, f"n{number}", lead_us) for number in range(1, nodes + 1)}
        for node in self.nodes.values():
            node.start()

    def later(self, seconds: float, work: Callable[[], None]) -> None:
        heapq.heappush(self._due, (self.now + seconds, next(self._numbers), work))

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self._due and self._due[0][0] <= end:
            self.now, _, work = heapq.heappop(self._due)
            work()
        self.now = end

    def trusting(self) -> list[str]:
        return [name for name, node in self.nodes.items() if node.watch.trusted]


class Node:
    """A host with a clock, and its watch."""

    def __init__(self, world: World, name: str, lead_us: int) -> None:
        self.world, self.name = world, name
        self.offset_us = 0
        self.bound_us: int | None = BOUND_US
        self.reachable = True
        self._boot = 1000.0 * int(name[1:])
        self.watch = ClockWatch(self, self, self._post, self._peers, lead_us=lead_us)

    def start(self) -> None:
        self.watch.on_timer()
        self.world.later(0.025, self.start)

    def wall_us(self) -> int:
        return EPOCH_US + round(self.world.now * 1e6) + self.offset_us

    def monotonic(self) -> float:
        return self._boot + self.world.now

    def error_us(self) -> int | None:
        return self.bound_us

    def _peers(self) -> list[str]:
        return [name for name in self.world.nodes if name != self.name]

    def _post(self, name: str, message: SideMessage) -> bool:
        peer = self.world.nodes[name]
        if not (self.reachable and peer.reachable):
            return False
        delay = self.world.there if self.name < name else self.world.back

        def deliver() -> None:
            if isinstance(message, ClockQuestion):
                peer.watch.asked(self.name, message)
            else:
                assert isinstance(message, ClockAnswer)
                peer.watch.answered(self.name, message)

        self.world.later(delay, deliver)
        return True


def test_nobody_trusts_before_comparing() -> None:
    world = World()
    world.run(0.011)
    assert world.trusting() == []
    world.run(0.01)
    assert world.trusting() == ["n1", "n2", "n3"]


def test_alone_there_is_nobody_to_ask() -> None:
    world = World(1)
    world.run(0.1)
    watch = world.nodes["n1"].watch
    assert watch.trusted
    assert watch.may_promise
    assert watch.may_read("", 0)


@pytest.mark.parametrize(("there", "back"), [(0.006, 0.006), (0.001, 0.02), (0.03, 0.0001)])
def test_offsets_are_right_within_their_error(there: float, back: float) -> None:
    world = World(there=there, back=back)
    world.nodes["n2"].offset_us = 7_000
    world.run(10)
    found = world.nodes["n1"].watch.offset("n2")
    assert found is not None
    assert abs(found.offset_us - 7_000) <= found.error_us
    assert found.error_us >= (there + back) / 2 * 1e6
    same = world.nodes["n1"].watch.offset("n3")
    assert same is not None
    assert same.agrees


@pytest.mark.parametrize("skew_us", [-100_000, 100_000, 20_000])
def test_of_three_the_one_that_is_set_knows_at_once(skew_us: int, caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.run(5)
    wrong = world.nodes["n2"]
    wrong.offset_us = skew_us
    with caplog.at_level(logging.WARNING, logger="journal.clockwatch"):
        assert not wrong.watch.trusted
        world.run(3)
        assert world.trusting() == ["n1", "n3"]
        assert len(caplog.records) == 1
        assert f"n1's is {-skew_us / 1000:+.1f} ms from it" in caplog.text
        assert not wrong.watch.may_promise
        assert not wrong.watch.may_read("n1", 0)
        assert not world.nodes["n1"].watch.may_read("n2", 0)  # by its promises
        assert world.nodes["n1"].watch.may_read("n3", 0)
        wrong.offset_us = 0
        assert not wrong.watch.trusted
        world.run(RECOVERY_SECONDS + 2 * QUESTION_SECONDS)
        assert world.trusting() == ["n1", "n2", "n3"]
        assert len(caplog.records) == 2
        assert "agrees with n1, n3 again" in caplog.text


def test_a_clock_that_is_wrong_from_the_beginning_is_never_trusted() -> None:
    world = World()
    world.nodes["n2"].offset_us = -100_000
    for _ in range(2000):
        world.run(0.002)
        assert not world.nodes["n2"].watch.trusted


def test_of_two_both_distrust() -> None:
    world = World(2)
    world.run(2)
    assert world.trusting() == ["n1", "n2"]
    world.nodes["n2"].offset_us = 50_000
    world.run(QUESTION_SECONDS + 0.1)
    assert world.trusting() == []


def test_what_the_round_trip_may_be_to_blame_for_is_not_blamed() -> None:
    world = World(there=0.012, back=0.0)
    world.run(10)
    assert world.trusting() == ["n1", "n2", "n3"]


def test_clocks_without_a_bound_say_nothing() -> None:
    world = World()
    world.nodes["n3"].bound_us = None
    world.nodes["n3"].offset_us = 3_600_000_000
    world.run(2)
    assert world.trusting() == ["n1", "n2"]
    assert world.nodes["n3"].watch.may_promise
    assert not world.nodes["n1"].watch.may_read("n3", 0)
    world.nodes["n2"].bound_us = None
    world.run(2)
    only = world.nodes["n1"].watch
    assert not only.trusted
    assert not only.distrusted
    assert only.may_promise  # who reads in the past goes on


def test_who_hears_nobody_stops_trusting() -> None:
    world = World()
    world.run(2)
    world.nodes["n2"].reachable = False
    world.run(FRESH_SECONDS + 1)
    assert world.trusting() == ["n1", "n3"]
    assert not world.nodes["n2"].watch.distrusted
    world.nodes["n2"].reachable = True
    world.run(1)
    assert world.trusting() == ["n1", "n2", "n3"]


def test_closed_time_from_the_future_is_not_read_by() -> None:
    lead_us = 12_000
    world = World(lead_us=lead_us)
    world.run(2)
    watch, now_us = world.nodes["n1"].watch, world.nodes["n1"].wall_us()
    assert watch.may_read("n2", now_us + lead_us + 2 * BOUND_US)
    assert not watch.may_read("n2", now_us + lead_us + 2 * BOUND_US + 1_000)
    assert not watch.may_read("", now_us + lead_us + BOUND_US + 1_000)
    assert not watch.may_read(None, now_us)
    world.run(0.01)
    assert watch.may_read("n2", now_us + lead_us + 2 * BOUND_US + 1_000)
