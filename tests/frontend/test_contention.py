"""Hot keys: turns, order of arrival, bounded waits. The effect on TPC-B is measured by loadtest/compare.py."""

from __future__ import annotations

import pytest

from frontend.contention import HOT_KEYS_MAX, HOT_SECONDS, TURN_SECONDS, WAIT_SECONDS, Contention, KeyIsBusy


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_keys_without_lost_conflicts_are_not_hot() -> None:
    assert Contention(Clock()).take(b"k", object()) is None


def test_holder_keeps_its_turn_and_others_find_the_key_busy() -> None:
    contention = Contention(Clock())
    contention.lost(b"k")
    one, two = object(), object()
    hot = contention.take(b"k", one)
    assert hot is not None
    assert contention.take(b"k", one) is hot
    with pytest.raises(KeyIsBusy):
        contention.take(b"k", two)
    contention.release(hot, one)
    assert contention.take(b"k", two) is hot


def test_waiters_go_in_order_of_arrival_one_a_turn() -> None:
    contention = Contention(Clock())
    contention.lost(b"k")
    one, two = object(), object()
    hot = contention.take(b"k", one)
    assert hot is not None
    called: list[str] = []
    hot.waiters.append(lambda: called.append("first"))
    hot.waiters.append(lambda: called.append("second"))
    contention.release(hot, two)  # not the holder: nothing happens
    assert called == []
    contention.release(hot, one)
    assert called == ["first"]


def test_a_key_cools_down() -> None:
    clock = Clock()
    contention = Contention(clock)
    contention.lost(b"k")
    clock.now += HOT_SECONDS + 0.1
    assert contention.take(b"k", object()) is None
    assert not contention.keys


def test_the_number_of_hot_keys_is_bounded() -> None:
    clock = Clock()
    contention = Contention(clock)
    for number in range(HOT_KEYS_MAX + 10):
        contention.lost(b"%d" % number)
    assert len(contention.keys) == HOT_KEYS_MAX
    clock.now += HOT_SECONDS + 0.1
    contention.lost(b"new")
    assert list(contention.keys) == [b"new"]


def test_a_turn_is_bounded_and_the_first_in_line_ends_it() -> None:
    clock = Clock()
    contention = Contention(clock)
    contention.lost(b"k")
    hot = contention.take(b"k", object())
    assert hot is not None
    first = contention.await_turn(hot, lambda: None)
    second = contention.await_turn(hot, lambda: None)
    assert next(first) == pytest.approx(TURN_SECONDS)
    assert next(second) == pytest.approx(TURN_SECONDS)
    clock.now += TURN_SECONDS
    assert next(second) > 0  # not its turn to end it
    assert list(first) == []
    three = object()
    assert contention.take(b"k", three) is hot
    assert next(second) == pytest.approx(TURN_SECONDS)  # a new turn


def test_a_wait_is_bounded() -> None:
    clock = Clock()
    contention = Contention(clock)
    contention.lost(b"k")
    hot = contention.take(b"k", object())
    assert hot is not None
    hot.waiters.append(lambda: None)  # who never ends anything
    waited = 0.0
    for seconds in contention.await_turn(hot, lambda: None):
        waited += seconds
        clock.now += seconds
    assert waited == pytest.approx(WAIT_SECONDS, abs=0.002)
    assert len(hot.waiters) == 1


def test_a_cancelled_wait_leaves_the_queue() -> None:
    contention = Contention(Clock())
    contention.lost(b"k")
    hot = contention.take(b"k", object())
    assert hot is not None
    waiting = contention.await_turn(hot, lambda: None)
    next(waiting)
    waiting.close()
    assert not hot.waiters
