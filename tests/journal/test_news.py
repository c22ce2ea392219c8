"""Who hears of a commit at once, who soon, and who with the next heartbeat.

Method: the decision by itself; then three replicas over loopback, in which a follower's clients must not wait for a heartbeat.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable

from pysyncobj.node import Node

from journal.consensus import WITNESS_SECONDS
from journal.event import Verdict
from journal.news import News
from journal.replica import Replica
from journal.transport import Message
from tests.journal.cluster import Cluster, put, run, three
from tests.journal.test_reads import barrier


class Told:
    """A leader's consensus, as far as news go: whom it has told until where."""

    def __init__(self) -> None:
        self.committed_index = 1
        self.witnesses = {"witness"}
        self.told = {"idle": 0, "busy": 0}

    def lacks_news(self, index: int) -> bool:
        return min(self.told.values()) < index


def test_each_is_waited_for_as_long_as_it_may_take() -> None:
    """A witness's blocks wait longer than an idle follower's news; neither costs the leader a turn before its time."""

    async def work() -> None:
        announced: list[float] = []
        news = News(asyncio.get_running_loop(), Told(), lambda: announced.append(time.monotonic()))
        began = time.monotonic()
        news.waits(0.05)
        news.waits(0.04)
        news.waits(0.08)
        await asyncio.sleep(0.02)
        assert not announced
        while not announced:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        assert announced[0] - began >= 0.039
        news.told()
        news.waits(1.0)
        assert not news.is_awaited_by("idle", 0)
        while len(announced) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        assert announced[1] - announced[0] < 0.5

    run(work())


def test_at_once_soon_or_with_a_heartbeat() -> None:
    async def work() -> None:
        announced: list[float] = []
        consensus = Told()
        news = News(asyncio.get_running_loop(), consensus, lambda: announced.append(time.monotonic()))
        began = time.monotonic()
        assert not news.is_awaited_by("witness", 0)
        assert not news.is_awaited_by("idle", 0)
        assert not news.is_awaited_by("idle", 0)
        news.works("busy")
        news.works("busy")
        assert len(announced) == 1
        assert news.is_awaited_by("busy", 0)
        while len(announced) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        assert 0.004 < announced[1] - began < 0.1
        assert news.is_awaited_by("idle", 0)
        assert not news.is_awaited_by("idle", 1)
        assert not news.is_awaited_by("witness", 0)
        news.told()
        assert not news.is_awaited_by("idle", 0)
        news.stop()
        await asyncio.sleep(0.02)
        assert len(announced) == 2

    run(work())


def test_who_has_heard_meanwhile_is_not_told_again() -> None:
    """What goes out with the next entries costs no message of its own; what comes after them has as long again."""

    async def work() -> None:
        announced: list[float] = []
        consensus = Told()
        consensus.told = {"idle": 0}
        news = News(asyncio.get_running_loop(), consensus, lambda: announced.append(time.monotonic()))
        began = time.monotonic()
        assert not news.is_awaited_by("idle", 0)
        await asyncio.sleep(0.002)
        consensus.told = {"idle": 1}
        consensus.committed_index = 2
        assert not news.is_awaited_by("idle", 1)
        while not announced:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        assert 0.009 < announced[0] - began < 0.1
        assert news.is_awaited_by("idle", 1)
        consensus.told = {"idle": 2}
        news.told()
        await asyncio.sleep(0.02)
        assert len(announced) == 1

    run(work())


def test_nobody_waits_for_a_heartbeat() -> None:
    """Heartbeats are half a second apart, and everything is there long before."""

    async def work(cluster: Cluster) -> None:
        leader = await cluster.leader()
        followers = await cluster.followers()
        last = await cluster.commit(1)
        await asyncio.sleep(1.2)
        began = time.monotonic()
        for txid in range(2, 12):
            # Of the leader's own clients a follower hears without being asked, ...
            last = await leader.submit(put(txid, leader.frontier.commit_ts, b"%d" % txid))
            await followers[0].applied(last.position)
            # ... and its own clients hear of theirs, and read what is newest.
            last = await followers[1].submit(put(txid + 100, followers[1].frontier.commit_ts, b"a%d" % txid))
            assert last.committed
            assert await barrier(followers[0]) is None
            assert followers[0].frontier.position >= last.position
        assert time.monotonic() - began < 1.5
        await cluster.agree(last.position)

    three(work, heartbeat_seconds=0.5, election_seconds_min=1.6, election_seconds_max=2.0)


def test_who_only_asks_whether_there_is_a_majority_is_not_told_of_every_commit() -> None:
    """A node asks twice a second for itself. The news wait for it, like for any other at which nobody works."""

    async def work(cluster: Cluster) -> None:
        await cluster.commit(1)
        leader = await cluster.leader()
        follower = (await cluster.followers())[0]
        await asyncio.sleep(1.1)  # what the test has done so far is forgotten
        counts, answers = news_sent(leader), list[Verdict | None]()
        began = time.monotonic()
        for txid in range(2, 102):
            follower.read_barrier(answers.append, for_client=False)
            assert (await leader.submit(put(txid, 0, b"%d" % txid))).committed
        assert counts[follower.name] <= 2 + (time.monotonic() - began) / 0.005
        while len(answers) < 100:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert answers == [None] * 100
        counts.clear()
        for txid in range(102, 152):
            follower.read_barrier(answers.append)
            assert (await leader.submit(put(txid, 0, b"%d" % txid))).committed
        assert counts[follower.name] >= 45

    three(work, heartbeat_seconds=0.5, election_seconds_min=1.6, election_seconds_max=2.0)


def news_sent(replica: Replica) -> Counter[str]:
    """From now on, how many messages with nothing but news go to each peer."""
    return sent(replica, lambda message: message["type"] == "append_entries" and not message["entries"])


def entries_sent(replica: Replica) -> Counter[str]:
    """From now on, how many messages with entries go to each peer."""
    return sent(replica, lambda message: bool(message.get("entries")))


def sent(replica: Replica, counts_it: Callable[[Message], bool]) -> Counter[str]:
    counts: Counter[str] = Counter()
    transport = replica._transport
    send = transport.send

    def counting(node: Node, message: Message) -> bool:
        counts[node.id] += counts_it(message)
        return send(node, message)

    transport.send = counting  # type: ignore[method-assign]
    return counts


def test_a_witness_gets_blocks_together_and_is_there_when_it_is_needed() -> None:
    async def work(cluster: Cluster) -> None:
        await cluster.commit(1)
        leader = await cluster.leader()
        other = next(each for each in await cluster.followers() if each.name != "node-2")
        counts = entries_sent(leader)
        last, began = 1, time.monotonic()
        for txid in range(2, 102):
            last = (await cluster.commit(txid)).position
        assert counts[other.name] == 100
        assert counts["node-2"] <= 10 + (time.monotonic() - began) / WITNESS_SECONDS
        await cluster.agree(last)
        # Without the other one, every block needs the witness.
        cluster.partition(cluster.number_of(other))
        counts.clear()
        for txid in range(102, 152):
            last = (await cluster.commit(txid)).position
        assert counts["node-2"] >= 49
        cluster.heal()
        await cluster.agree(last)

    three(work, witness=2)
