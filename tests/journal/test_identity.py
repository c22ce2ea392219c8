"""Who is not welcome learns it: a member that was removed while it was away, and a founder whose directory is another one.

Goal: both stop with a reason that names what to do, and disturb nobody; whoever merely has old news turns nobody out. Method: the
file on a simulated disk; replicas over loopback, one of which is down while things change.
"""

from __future__ import annotations

import asyncio
import zlib
from random import Random

import msgspec
import pytest

from journal.configuration import Change, Member
from journal.errors import CorruptData, MemberRemoved, NodeFatal
from journal.identity import Identities
from journal.replica import Replica
from journal.simulated import Loss, SimulatedDisk
from journal.transport import FOUNDER, Peer, TurnedAway
from tests.journal.cluster import Cluster, run, three
from tests.journal.test_catchup import change, member_of


def test_identities_are_remembered_until_they_are_forgotten() -> None:
    disk = SimulatedDisk()
    disk.make_directory("/j")
    first = Identities(disk, "/j", 10)
    assert first.refusal("a", 1, FOUNDER) == first.refusal("b", 2, FOUNDER) == ""
    disk.crash(Random(1), Loss.EVERYTHING)
    again = Identities(disk, "/j", 99)
    assert again.own == 10
    assert again.refusal("a", 1, FOUNDER) == ""
    for word in ("another data directory", "boreal member remove a", "joining = true"):
        assert word in again.refusal("a", 3, FOUNDER)
    again.forget_others(but=["b"])
    disk.crash(Random(1), Loss.EVERYTHING)
    third = Identities(disk, "/j", 99)
    assert third.refusal("a", 3, FOUNDER) == ""
    assert third.refusal("b", 3, FOUNDER) != ""


def test_who_was_added_later_is_believed_and_the_former_no_more() -> None:
    disk = SimulatedDisk()
    disk.make_directory("/j")
    known = Identities(disk, "/j", 10)
    assert known.refusal("a", 1, FOUNDER) == ""
    assert known.refusal("a", 2, FOUNDER) != ""
    assert known.refusal("a", 2, (1, 7)) == ""
    assert known.refusal("a", 2, FOUNDER) == ""  # it connected before it knew
    disk.crash(Random(1), Loss.EVERYTHING)
    known = Identities(disk, "/j", 10)
    assert known.refusal("a", 1, FOUNDER) != ""
    assert known.refusal("a", 3, (1, 7)) != ""
    assert known.refusal("a", 3, (2, 5)) == ""
    assert known.refusal("a", 2, (1, 7)) != ""
    known.forget_others()
    assert known.refusal("a", 2, (1, 7)) == ""


def test_a_file_of_before_additions_were_remembered_is_read() -> None:
    disk = SimulatedDisk()
    disk.make_directory("/j")
    data = msgspec.msgpack.encode([10, {"a": 1}])
    file = disk.open("/j/identity", create=True)
    file.write(zlib.crc32(data).to_bytes(4, "little") + data, 0)
    file.close()
    known = Identities(disk, "/j", 99)
    assert known.own == 10
    assert known.refusal("a", 2, FOUNDER) != ""
    assert known.refusal("a", 2, (1, 7)) == ""


def test_a_damaged_file_is_found() -> None:
    disk = SimulatedDisk()
    disk.make_directory("/j")
    Identities(disk, "/j", 10)
    file = disk.open("/j/identity")
    file.write(b"\xff", file.size() - 1)
    with pytest.raises(CorruptData, match="/j/identity"):
        Identities(disk, "/j", 11)


def test_a_member_that_was_removed_while_it_was_away() -> None:
    async def work(cluster: Cluster) -> None:
        follower = (await cluster.followers())[0]
        number = cluster.number_of(follower)
        await cluster.commit(1)
        await cluster.crash(number, Loss.NOTHING)
        leader = await cluster.leader()
        assert (await change(leader, Change.REMOVE, member_of(cluster, number))).committed
        await cluster.commit(2)
        while number in {cluster.ports.index(peer.port) for peer in leader._transport.peers}:  # noqa: ASYNC110
            await asyncio.sleep(0.05)  # for a while it would still get the log
        term = leader.report().term
        back = await cluster.start(number)
        error = await asyncio.wait_for(asyncio.shield(back.failed), 5)
        assert isinstance(error, MemberRemoved)
        assert f"node-{number} was removed from the cluster while it was away" in str(error)
        del cluster.replicas[number]
        await cluster.commit(3)
        assert (leader.is_leader, leader.report().term) == (True, term)
        # Added again, it goes on with what it has.
        assert (await change(leader, Change.ADD, member_of(cluster, number))).committed
        back = await cluster.start(number)
        await asyncio.wait_for(back.applied(3), 10)
        await cluster.agree(3)

    three(work)


def known(replica: Replica, name: str) -> Member:
    member = replica.configuration.member(name)
    assert member is not None
    return member


def test_the_log_says_whose_a_vote_is_to_those_who_have_forgotten() -> None:
    """Seed 11915: a member that replays the removal of a member forgets its directory, and took the next one that came for the
    voter, which had lost its disk and what it had acknowledged."""

    async def work(cluster: Cluster) -> None:
        await cluster.commit(1)
        follower = (await cluster.followers())[0]
        number, leader = cluster.number_of(follower), await cluster.leader()
        await cluster.crash(number, Loss.NOTHING)
        cluster.disks[number] = SimulatedDisk()
        assert (await change(leader, Change.REMOVE, member_of(cluster, number))).committed
        assert (await change(leader, Change.ADD, member_of(cluster, number))).committed
        assert known(leader, follower.name).directory == 0
        voter = await cluster.start(number, joining=True)
        while not leader._consensus.is_near(follower.name):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        del leader._transport._inbound_of[follower.name]
        refused = await change(leader, Change.PROMOTE, member_of(cluster, number))
        assert refused.reason == f"{follower.name} is not connected"
        await promote(cluster, leader, number)
        assert known(leader, follower.name).directory == voter._identities.own
        await cluster.agree((await cluster.commit(2)).position)
        await cluster.crash(number, Loss.NOTHING)
        cluster.disks[number] = SimulatedDisk()
        for other in cluster.replicas.values():
            other._identities.forget_others()
        empty = await cluster.start(number)
        error = await asyncio.wait_for(asyncio.shield(empty.failed), 5)
        assert "another data directory" in str(error)
        assert all(
            follower.name not in other._identities._known.others
            for other in cluster.replicas.values()
            if other is not empty
        )
        del cluster.replicas[number]

    three(work)


async def promote(cluster: Cluster, leader: Replica, number: int) -> None:
    """As soon as it has caught up."""
    while not (await change(leader, Change.PROMOTE, member_of(cluster, number))).committed:  # noqa: ASYNC110
        await asyncio.sleep(0.05)


async def hand_over(cluster: Cluster, number: int) -> None:
    while (leader := await cluster.leader()).name != f"node-{number}":
        leader.transfer_leadership(f"node-{number}")
        await asyncio.sleep(0.05)


def test_who_was_away_while_the_leader_was_replaced_hears_the_new_one() -> None:
    """It remembers the directory of the leader's predecessor, and hears of the replacement from nobody but that leader."""

    async def work() -> None:
        cluster = Cluster(5)
        for number in range(5):
            await cluster.start(number)
        for number in range(5):  # who leads has met everybody
            await hand_over(cluster, number)
            await cluster.agree((await cluster.commit(number)).position)
        away = 0
        assert "node-1" in cluster.replicas[away]._identities._known.others
        await cluster.crash(away, Loss.NOTHING)
        await cluster.crash(1, Loss.NOTHING)
        cluster.disks[1] = SimulatedDisk()
        leader = await cluster.leader()
        assert (await change(leader, Change.REMOVE, member_of(cluster, 1))).committed
        assert (await change(leader, Change.ADD, member_of(cluster, 1))).committed
        replaced = await cluster.start(1, joining=True)
        last = await cluster.commit(10)
        await asyncio.wait_for(replaced.applied(last.position), 10)
        await promote(cluster, leader, 1)
        await hand_over(cluster, 1)
        last = await cluster.commit(11)
        back = await cluster.start(away)
        await asyncio.wait_for(back.applied(last.position), 10)
        assert (await cluster.leader()).name == "node-1"
        await cluster.stop()

    run(work())


def test_who_was_away_while_the_leader_was_added_hears_it() -> None:
    """Nobody but the leader sends to it, and of the leader it has never heard."""

    async def work() -> None:
        cluster = Cluster(3, 4)
        for number in range(3):
            await cluster.start(number)
        await hand_over(cluster, 1)
        last = await cluster.commit(1)
        await cluster.agree(last.position)
        away = 0
        await cluster.crash(away, Loss.NOTHING)
        added = await cluster.start(3, joining=True)
        leader = await cluster.leader()
        assert (await change(leader, Change.ADD, member_of(cluster, 3))).committed
        last = await cluster.commit(2)
        await asyncio.wait_for(added.applied(last.position), 10)
        await promote(cluster, leader, 3)
        await hand_over(cluster, 3)
        assert known(added, "node-3").added[1] > cluster.founders
        back = await cluster.start(away)
        assert back.configuration.member("node-3") is None
        last = await cluster.commit(3)
        await asyncio.wait_for(back.applied(last.position), 10)
        assert (await cluster.leader()).name == "node-3"
        assert back.configuration == added.configuration
        # Once it knows, who is no member is turned away.
        assert not back._transport.may_be_added(known(added, "node-3").added)
        await cluster.stop()

    run(work())


def test_a_guest_holds_no_log_back() -> None:
    """It is none of those for whom a leader keeps entries."""

    async def work(cluster: Cluster) -> None:
        await cluster.agree((await cluster.commit(1)).position)
        leader = await cluster.leader()
        while leader._lowest_match() != leader._log.last_index:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        leader._transport._add(Peer("node-9", "127.0.0.1", 1))
        assert leader._lowest_match() == leader._log.last_index

    three(work)


def test_old_news_turn_nobody_out() -> None:
    """Only who has applied more knows better, and one of three is no majority."""

    async def work(cluster: Cluster) -> None:
        last = await cluster.commit(1)
        await cluster.agree(last.position)
        replica = (await cluster.followers())[0]
        one, other = (each for each in ("node-0", "node-1", "node-2") if each != replica.name)
        for name in (one, other):
            replica._on_turned_away(name, TurnedAway(1, "old"))
        assert replica.report().turned_away_by == ()
        replica._on_turned_away(one, TurnedAway(1000, "new"))
        assert replica.report().turned_away_by == (one,)
        await asyncio.sleep(0.1)
        assert not replica.failed.done()

    three(work)


def test_a_founder_with_an_empty_directory_is_not_taken_for_the_one_before() -> None:
    async def work(cluster: Cluster) -> None:
        follower = (await cluster.followers())[0]
        number = cluster.number_of(follower)
        await cluster.commit(1)
        await cluster.crash(number, Loss.NOTHING)
        cluster.disks[number] = SimulatedDisk()
        empty = await cluster.start(number)
        error = await asyncio.wait_for(asyncio.shield(empty.failed), 5)
        assert type(error) is NodeFatal
        assert f"boreal member remove node-{number}" in str(error)
        del cluster.replicas[number]
        leader = await cluster.leader()
        assert leader._consensus.matched_index(f"node-{number}") is not None
        # The procedure that the message names.
        assert (await change(leader, Change.REMOVE, member_of(cluster, number))).committed
        assert (await change(leader, Change.ADD, member_of(cluster, number))).committed
        cluster.disks[number] = SimulatedDisk()
        joined = await cluster.start(number, joining=True)
        await asyncio.wait_for(joined.applied(1), 10)
        await cluster.commit(2)
        await asyncio.wait_for(joined.applied(2), 10)
        # From now on it is the one that everybody knows.
        await cluster.crash(number, Loss.EVERYTHING)
        await cluster.start(number)
        await cluster.commit(3)
        await cluster.agree(3)

    three(work)


def test_who_is_added_again_at_once_is_known_to_have_nothing() -> None:
    """For a while the leader still talks to a member that it has removed. Should it be added again within that time, on an empty disk,
    what was acknowledged before must count for nothing, or entries would be committed that are on one disk only."""

    async def work(cluster: Cluster) -> None:
        await cluster.commit(1)
        follower = (await cluster.followers())[0]
        number, leader = cluster.number_of(follower), await cluster.leader()
        for _ in range(100):
            if leader._consensus.matched_index(follower.name) == leader._log.last_index:
                break
            await asyncio.sleep(0.01)
        await cluster.crash(number, Loss.NOTHING)
        assert leader._consensus.matched_index(follower.name) == leader._log.last_index
        assert (await change(leader, Change.REMOVE, member_of(cluster, number))).committed
        assert follower.name in leader._membership._leaving
        added = asyncio.ensure_future(change(leader, Change.ADD, member_of(cluster, number)))
        while leader.configuration.member(follower.name) is None:  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert leader._consensus.matched_index(follower.name) == 0
        assert follower.name not in leader._transport.acknowledged
        assert (await added).committed
        refused = await change(leader, Change.PROMOTE, member_of(cluster, number))
        assert "has not caught up" in refused.reason

    three(work)


def test_the_directory_of_one_that_leaves_is_not_remembered_for_who_is_added_next() -> None:
    async def work(cluster: Cluster) -> None:
        leader = await cluster.leader()
        known = leader._identities._known.others.copy()
        assert leader._identity_refusal("node-9", 5, FOUNDER) == ""
        assert leader._identities._known.others == known
        assert leader._identity_refusal("node-9", 6, FOUNDER) == ""
        follower = (await cluster.followers())[0]
        assert "another data directory" in leader._identity_refusal(follower.name, 5, FOUNDER)

    three(work)


def test_a_member_that_has_caught_up_and_waits_to_be_added_does_not_take_itself_for_removed() -> None:
    async def work() -> None:
        cluster = Cluster(3, 4)
        for number in range(3):
            await cluster.start(number)
        last = await cluster.commit(1)
        await cluster.agree(last.position)  # or the feed may end before it, and nothing more comes to who is no member
        waiting = await cluster.start(3, joining=True)
        await asyncio.wait_for(waiting.applied(last.position), 10)
        while waiting._consensus.abstains:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        newer = TurnedAway(waiting._applied + 10, "node-3 is not a member of the cluster")
        for number in range(3):
            waiting._on_turned_away(f"node-{number}", newer)
        await asyncio.sleep(0.05)
        assert not waiting.failed.done()
        assert (await change(await cluster.leader(), Change.ADD, member_of(cluster, 3))).committed
        last = await cluster.commit(2)
        await asyncio.wait_for(waiting.applied(last.position), 10)
        await cluster.stop()

    run(work())
