"""journal.fairness: the leader's own proposals for contended rows wait until they are as old as the others'.

Goal: what is contended, for how long and what is held is as the module says, and nothing is lost or answered twice whatever happens to
the leader meanwhile. Method: a loop whose time is set by hand; replicas over loopback, the leader's fairness made to hold.
"""

from __future__ import annotations

import asyncio

import pytest

from journal import fairness
from journal.event import Outcome, Proposal, Verdict, encode_proposal
from journal.fairness import CONTENDED_SECONDS, HELD_MAX, HOLD_SECONDS_MAX, Fairness
from journal.queued import Waiting
from tests.journal.cluster import PREFIX, Cluster, put, three

HOT = PREFIX + b"hot"


class Loop(asyncio.SelectorEventLoop):
    """Time passes by hand."""

    def __init__(self) -> None:
        self.seconds = 100.0
        super().__init__()

    def time(self) -> float:
        return self.seconds

    def pass_time(self, seconds: float) -> None:
        self.seconds += seconds
        self.call_soon(self.stop)
        self.run_forever()

    def now_us(self) -> int:
        return round(self.seconds * 1e6)


@pytest.fixture
def loop() -> Loop:
    return Loop()


def proposal(loop: Loop, age_ms: float, name: bytes = b"hot", txid: int = 1) -> Proposal:
    return put(txid, loop.now_us() - round(age_ms * 1000), name)


def holds(each: Fairness, asked: Proposal) -> bool:
    return bool(each.contended) and each.holds(Waiting(encode_proposal(asked), asked, None), asked)


def contended(loop: Loop, released: list[Waiting], *ages_ms: float) -> Fairness:
    each = Fairness(loop, loop.now_us, released.append)
    each.decided(Verdict(Outcome.CONFLICT, key=HOT))
    for age_ms in ages_ms:
        each.forwarded(proposal(loop, age_ms))
    return each


def test_held_until_as_old_as_the_others(loop: Loop) -> None:
    released: list[Waiting] = []
    each = contended(loop, released, 20, 30, 40, 5000, 25)
    assert not holds(each, proposal(loop, 10, b"cold"))
    assert not holds(each, proposal(loop, 30))
    assert not holds(each, Proposal(9, loop.now_us(), [(HOT, b"", 0)], fragments=2))
    assert holds(each, proposal(loop, 10))
    loop.pass_time(0.019)
    assert not released
    loop.pass_time(0.0011)
    assert [waiting.proposal.txid for waiting in released if waiting.proposal] == [1]
    assert not each.held
    loop.close()


def test_nothing_is_held_without_a_loss_of_others(loop: Loop) -> None:
    each = Fairness(loop, loop.now_us, lambda waiting: None)
    for outcome in Outcome:
        if outcome is not Outcome.CONFLICT:
            each.decided(Verdict(outcome, key=HOT))
    assert not each.contended
    each = contended(loop, [], 30, 30)
    assert not holds(each, proposal(loop, 0))  # too few to tell
    each = contended(loop, [], 30, 30, 30)
    assert holds(each, proposal(loop, 0))
    loop.pass_time(CONTENDED_SECONDS)
    assert not holds(each, proposal(loop, 0))
    assert not each.contended
    each.decided(Verdict(Outcome.CONFLICT, key=HOT))
    assert not holds(each, proposal(loop, 0))  # what was long ago does not count
    loop.close()


def test_bounds(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fairness, "CONTENDED_KEYS_MAX", 3)
    released: list[Waiting] = []
    each = contended(loop, released, *[1e5] * 3)
    for number in range(3):
        each.decided(Verdict(Outcome.CONFLICT, key=b"%d" % number))
    assert list(each.contended) == [b"0", b"1", b"2"]
    each.decided(Verdict(Outcome.CONFLICT, key=b"0"))
    each.decided(Verdict(Outcome.CONFLICT, key=HOT))
    assert list(each.contended) == [b"2", b"0", HOT]
    held = [holds(each, proposal(loop, 0, txid=number)) for number in range(HELD_MAX + 1)]
    assert held == [True] * HELD_MAX + [False]
    loop.pass_time(HOLD_SECONDS_MAX + 0.001)
    assert len(released) == HELD_MAX
    monkeypatch.setattr(fairness, "HELD_BYTES_MAX", 100)
    assert not holds(each, put(5, loop.now_us(), b"hot", value=bytes(200)))
    loop.close()


def test_release_keeps_the_order(loop: Loop) -> None:
    released: list[Waiting] = []
    each = contended(loop, released, 50, 50, 50)
    for number, age_ms in enumerate((10, 0, 20)):
        assert holds(each, proposal(loop, age_ms, txid=number))
    each.release()
    assert [waiting.proposal.txid for waiting in released if waiting.proposal] == [0, 1, 2]
    loop.pass_time(1)
    assert len(released) == 3
    loop.close()


def test_what_waits_at_a_deposed_leader_waits_for_the_next_one_however_briefly_it_led() -> None:
    async def work(cluster: Cluster) -> None:
        leader = await cluster.leader()
        answers: list[Verdict] = []
        leader._transfer.holding = True
        leader.propose(put(leader.transaction_ids.next(), leader.frontier.commit_ts, b"one"), answers.append)
        leader._consensus._step_down()
        assert leader.leader_name is None
        leader._redirect_waiting()  # as its timer does, which may not have seen it lead
        assert len(leader._waiting) == 1
        for _ in range(400):
            if answers:
                break
            await asyncio.sleep(0.01)
        assert [verdict.outcome for verdict in answers] == [Outcome.COMMITTED]

    three(work)


@pytest.mark.parametrize("ending", ["stop", "deposed"])
def test_what_is_held_is_answered_once(ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fairness, "HOLD_SECONDS_MAX", 30.0)

    async def work(cluster: Cluster) -> None:
        leader = await cluster.leader()
        follower = (await cluster.followers())[0]
        number = cluster.number_of(leader)
        begun = leader.frontier.commit_ts
        assert (await leader.submit(put(leader.transaction_ids.next(), begun, b"hot"))).committed
        assert not leader._fairness.contended
        lost = await follower.submit(put(follower.transaction_ids.next(), begun, b"hot"))
        assert lost.outcome is Outcome.CONFLICT
        assert list(leader._fairness.contended) == [HOT]
        answers: list[Verdict] = []
        proposed = put(leader.transaction_ids.next(), leader.frontier.commit_ts, b"hot")
        old = put(1, leader.clock.present_us - 100_000_000, b"hot")
        for _ in range(3):
            leader._fairness.forwarded(old)
        leader.propose(proposed, answers.append)
        assert len(leader._fairness.held) == 1
        assert leader.is_pending(proposed.txid)
        if ending == "stop":
            del cluster.replicas[number]
            await leader.stop()
        else:
            cluster.partition(number)
        for _ in range(400):
            if answers:
                break
            await asyncio.sleep(0.01)
        assert not leader._fairness.held
        await asyncio.sleep(0.05)
        expected = Outcome.NOT_LEADER if ending == "deposed" else Outcome.COMMITTED
        assert [verdict.outcome for verdict in answers] == [expected]
        cluster.heal()

    three(work, election_seconds_max=0.4)
