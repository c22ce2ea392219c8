"""Hot keys: turns, order of arrival, bounded waits. The effect on TPC-B is measured by loadtest/compare.py."""

from __future__ import annotations

import pytest

from frontend.contention import HOT_KEYS_MAX, HOT_SECONDS, Contention, KeyIsBusy


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
