"""Tasks: slices, cancels, time limits, sleeping and parking, without a session or a network.

Method: generators that record what they do, driven by a `TaskRunner` on an event loop and a connection that only notes what it is
told. The contract is the module header of frontend/tasks.py.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

from frontend.errors import SqlError
from frontend.sql.executor.state import Sleep
from frontend.tasks import COPY_WAIT, PARK, SLICE_SECONDS, TICK, WRITABLE, Signal, TaskRunner
from journal.errors import NodeFatal

Steps = Generator[Signal, None, None]


class FakeConnection:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.told: list[object] = []

    def suspend(self) -> None:
        self.told.append("suspend")

    def resume(self, error: SqlError | None = None) -> None:
        self.told.append(error if error is not None else "resume")


class Bench:
    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.connection = FakeConnection(self.loop)
        self.runner = TaskRunner(self.connection)  # type: ignore[arg-type]

    def run(self, seconds: float = 0.02) -> None:
        """Let the loop work until the task is done, or so long."""
        end = time.monotonic() + seconds
        while self.runner.running and time.monotonic() < end:
            self.loop.run_until_complete(asyncio.sleep(0.001))

    @property
    def error(self) -> SqlError:
        last = self.connection.told[-1]
        assert isinstance(last, SqlError)
        return last


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.loop.close()


def cancelled() -> SqlError:
    return SqlError("57014", "canceling statement due to user request")


def work(done: list[Any], seconds: float) -> Steps:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        yield TICK
    done.append("worked")


def test_short_work_never_leaves_its_message(bench: Bench) -> None:
    done: list[Any] = []
    bench.runner.start(work(done, 0.0))
    assert done == ["worked"]
    assert bench.connection.told == []
    assert not bench.runner.running


def test_an_error_of_the_first_slice_is_raised(bench: Bench) -> None:
    def fail() -> Steps:
        yield TICK
        raise SqlError("22012", "division by zero")

    with pytest.raises(SqlError, match="division by zero"):
        bench.runner.start(fail())
    assert not bench.runner.running
    assert bench.connection.told == []


def test_long_work_goes_on_in_slices(bench: Bench) -> None:
    done: list[Any] = []
    others = 0

    def count() -> None:
        nonlocal others
        others += 1
        if bench.runner.running:
            bench.loop.call_soon(count)

    bench.runner.start(work(done, 5 * SLICE_SECONDS))
    assert bench.connection.told == ["suspend"]
    bench.loop.call_soon(count)
    bench.run(1.0)
    assert done == ["worked"]
    assert bench.connection.told == ["suspend", "resume"]
    assert others >= 3


def test_a_later_error_resumes_with_it(bench: Bench) -> None:
    def fail() -> Steps:
        yield Sleep(0.002)
        raise SqlError("22012", "division by zero")

    bench.runner.start(fail())
    bench.run()
    assert bench.error.sqlstate == "22012"


def test_other_exceptions_are_internal_errors(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> Steps:
        yield TICK
        raise ZeroDivisionError("ours")

    with pytest.raises(SqlError) as raised:
        bench.runner.start(fail())
    assert raised.value.sqlstate == "XX000"
    assert "not the client's" in caplog.text


def test_what_stops_the_node_is_not_swallowed(bench: Bench) -> None:
    class Broken(NodeFatal):
        pass

    def fail() -> Steps:
        yield TICK
        raise Broken("disk")

    with pytest.raises(Broken):
        bench.runner.start(fail())


@pytest.mark.parametrize("wait", [lambda: Sleep(60), lambda: PARK, lambda: WRITABLE], ids=["sleep", "park", "writable"])
def test_cancel_while_waiting(bench: Bench, wait: Callable[[], Signal]) -> None:
    cleaned: list[str] = []

    def steps() -> Steps:
        try:
            yield wait()
        finally:
            cleaned.append("cleaned")

    bench.runner.start(steps())
    bench.runner.interrupt(cancelled())
    assert bench.error.sqlstate == "57014"
    assert cleaned == ["cleaned"]
    bench.run()
    assert bench.connection.told.count("suspend") == 1


def test_cancel_while_working(bench: Bench) -> None:
    bench.runner.start(work([], 60))
    bench.runner.interrupt(cancelled())
    bench.run()
    assert bench.error.message == "canceling statement due to user request"


def test_cancel_is_forgotten_with_its_task(bench: Bench) -> None:
    bench.runner.start(work([], 60))
    bench.runner.interrupt(cancelled())
    bench.runner.abandon()
    done: list[Any] = []
    bench.runner.start(work(done, 0.0))
    assert done == ["worked"]
    bench.runner.interrupt(cancelled())  # nothing runs
    bench.runner.start(work(done, 0.0))
    assert done == ["worked", "worked"]


def test_a_proposed_commit_is_not_interrupted(bench: Bench) -> None:
    done: list[Any] = []

    def commit() -> Steps:
        bench.runner.uninterruptible = True
        yield PARK
        done.append("decided")
        yield TICK

    bench.runner.deadline = time.perf_counter() + 0.001
    bench.runner.start(commit())
    bench.runner.interrupt(cancelled())
    time.sleep(0.002)
    bench.runner.wake()
    assert done == ["decided"]
    assert bench.connection.told == ["suspend", "resume"]
    assert not bench.runner.uninterruptible


@pytest.mark.parametrize("kind", ["work", "sleep"])
def test_deadline(bench: Bench, kind: str) -> None:
    def sleep() -> Steps:
        yield Sleep(60)

    bench.runner.deadline = time.perf_counter() + 0.01
    bench.runner.start(work([], 60) if kind == "work" else sleep())
    bench.run(1.0)
    assert bench.error.message == "canceling statement due to statement timeout"


def test_a_sleep_that_ends_before_the_deadline(bench: Bench) -> None:
    done: list[Any] = []

    def sleep() -> Steps:
        yield Sleep(0.002)
        done.append("woke")

    bench.runner.deadline = time.perf_counter() + 60
    bench.runner.start(sleep())
    bench.run()
    assert done == ["woke"]


def test_wake_before_park(bench: Bench) -> None:
    done: list[Any] = []

    def steps() -> Steps:
        bench.runner.wake()
        yield PARK
        done.append("went on")

    bench.runner.start(steps())
    assert done == ["went on"]


def test_wake_ends_a_sleep_once(bench: Bench) -> None:
    done: list[Any] = []

    def steps() -> Steps:
        yield Sleep(0.005)
        done.append("first")
        yield Sleep(0.02)
        done.append("second")

    bench.runner.start(steps())
    bench.runner.wake()
    assert done == ["first"]
    bench.run(0.01)
    assert done == ["first"]  # the first sleep's timer is gone
    bench.run(0.2)
    assert done == ["first", "second"]


def test_writable_only_wakes_who_waits_for_it(bench: Bench) -> None:
    done: list[Any] = []

    def steps() -> Steps:
        yield WRITABLE
        done.append("writes")
        yield PARK
        done.append("parked")

    bench.runner.start(steps())
    bench.runner.writable()
    assert done == ["writes"]
    bench.runner.writable()
    assert done == ["writes"]
    bench.runner.wake()
    assert done == ["writes", "parked"]


def test_copy_input(bench: Bench) -> None:
    done: list[Any] = []

    def steps() -> Steps:
        for number in range(3):
            yield COPY_WAIT
            done.append(number)
            if number == 1:
                yield PARK

    bench.runner.start(steps())
    assert bench.connection.told == []
    bench.runner.proceed()
    bench.runner.proceed()
    assert (done, bench.connection.told) == ([0, 1], ["suspend"])
    bench.runner.wake()
    assert bench.connection.told == ["suspend", "resume"]
    bench.runner.proceed()
    assert done == [0, 1, 2]
    assert not bench.runner.running


def test_abandoned_tasks_clean_up(bench: Bench) -> None:
    cleaned: list[str] = []

    def steps() -> Steps:
        try:
            yield Sleep(0.001)
        finally:
            cleaned.append("cleaned")

    bench.runner.start(steps())
    bench.runner.abandon()
    assert cleaned == ["cleaned"]
    bench.loop.run_until_complete(asyncio.sleep(0.005))
    assert bench.connection.told == ["suspend"]
