"""journal.gathering: when a block waits for more proposals."""

from __future__ import annotations

from journal.gathering import Gathering, Wait, gathering_for
from journal.simulated import SimulatedDisk


class Seconds:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def work(self, seconds: float) -> None:
        """The loop does something else."""
        self.now += seconds


def seen(gathering: Gathering, committing: int) -> None:
    """A block went to the disk and is durable."""
    gathering.ordered()
    gathering.synchronized(committing)


def waits(gathering: Gathering, count: int) -> bool:
    """At a node that is alone, where nothing is ever in flight between two synchronizations."""
    return bool(gathering.waits(count, False))


def test_a_single_client_never_waits() -> None:
    gathering = Gathering(Seconds())
    for _ in range(10):
        assert not waits(gathering, 1)
        seen(gathering, 1)
    assert gathering.concurrent == 1


def test_a_block_waits_for_most_of_those_who_commit() -> None:
    seconds = Seconds()
    gathering = Gathering(seconds)
    seen(gathering, 8)
    for count in range(1, 6):
        assert waits(gathering, count), count
        seconds.work(100e-6)
    assert not waits(gathering, 6)


def test_it_goes_when_the_loop_has_nothing_else_to_do() -> None:
    seconds = Seconds()
    gathering = Gathering(seconds)
    seen(gathering, 8)
    assert waits(gathering, 2)
    seconds.work(5e-6)
    assert not waits(gathering, 2)


def test_it_goes_after_a_bounded_time() -> None:
    seconds = Seconds()
    gathering = Gathering(seconds)
    seen(gathering, 8)
    turns = 0
    while waits(gathering, 2):
        seconds.work(100e-6)
        turns += 1
        assert turns < 30
    assert turns == 20


def test_each_block_waits_anew() -> None:
    seconds = Seconds()
    gathering = Gathering(seconds)
    seen(gathering, 8)
    while waits(gathering, 2):
        seconds.work(100e-6)
    seen(gathering, 6)
    assert waits(gathering, 2)


def test_it_forgets_clients_that_have_left() -> None:
    gathering = Gathering(Seconds())
    seen(gathering, 32)
    for _ in range(100):
        seen(gathering, 1)
    assert not waits(gathering, 1)


def test_with_other_members_near_it_waits_for_the_block_on_its_way() -> None:
    seconds = Seconds()
    gathering = Gathering(seconds)
    for _ in range(50):
        gathering.applied(0.001)
    seen(gathering, 8)
    assert gathering.waits(2, True) == Wait.TURN
    seconds.work(5e-6)
    assert gathering.waits(2, True) == Wait.REST
    seconds.work(0.001)
    assert gathering.waits(3, True) == Wait.TURN
    assert gathering.waits(6, True) == Wait.NO
    seconds.work(5e-6)
    assert gathering.waits(3, False) == Wait.NO
    seconds.work(0.001)
    assert gathering.waits(3, True) == Wait.NO


def test_with_other_members_far_away_it_does_not() -> None:
    seconds = Seconds()
    gathering = Gathering(seconds)
    for _ in range(50):
        gathering.applied(0.012)
    seen(gathering, 8)
    assert gathering.waits(2, True) == Wait.TURN
    seconds.work(5e-6)
    assert gathering.waits(2, True) == Wait.NO


def test_a_simulated_disk_has_none() -> None:
    disk = SimulatedDisk()
    disk.make_directory("d")
    assert gathering_for(disk.open("d/f", create=True)) is None
