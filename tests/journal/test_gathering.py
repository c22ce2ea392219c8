"""journal.gathering: when a block waits for more proposals."""

from __future__ import annotations

from journal.gathering import Gathering, gathering_for
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


def seen(gathering: Gathering, block: int, waiting: int) -> None:
    """A block went to the disk and is durable."""
    gathering.ordered(block)
    gathering.synchronized(waiting)


def test_a_single_client_never_waits() -> None:
    gathering = Gathering(Seconds())
    for _ in range(10):
        assert not gathering.waits(1)
        seen(gathering, 1, 0)
    assert gathering.concurrent == 1


def test_a_block_waits_for_most_of_those_who_commit() -> None:
    seconds = Seconds()
    gathering = Gathering(seconds)
    seen(gathering, 4, 4)
    for count in range(1, 6):
        assert gathering.waits(count), count
        seconds.work(100e-6)
    assert not gathering.waits(6)


def test_it_goes_when_the_loop_has_nothing_else_to_do() -> None:
    seconds = Seconds()
    gathering = Gathering(seconds)
    seen(gathering, 8, 0)
    assert gathering.waits(2)
    seconds.work(5e-6)
    assert not gathering.waits(2)


def test_it_goes_after_a_bounded_time() -> None:
    seconds = Seconds()
    gathering = Gathering(seconds)
    seen(gathering, 8, 0)
    turns = 0
    while gathering.waits(2):
        seconds.work(100e-6)
        turns += 1
        assert turns < 30
    assert turns == 20


def test_each_block_waits_anew() -> None:
    seconds = Seconds()
    gathering = Gathering(seconds)
    seen(gathering, 8, 0)
    while gathering.waits(2):
        seconds.work(100e-6)
    seen(gathering, 2, 4)
    assert gathering.waits(2)


def test_it_forgets_clients_that_have_left() -> None:
    gathering = Gathering(Seconds())
    seen(gathering, 32, 0)
    for _ in range(100):
        seen(gathering, 1, 0)
    assert not gathering.waits(1)


def test_blocks_that_go_together_count_together() -> None:
    gathering = Gathering(Seconds())
    gathering.ordered(3)
    seen(gathering, 2, 1)
    assert gathering.concurrent == 6


def test_a_simulated_disk_has_none() -> None:
    disk = SimulatedDisk()
    disk.make_directory("d")
    assert gathering_for(disk.open("d/f", create=True)) is None
