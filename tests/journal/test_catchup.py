"""Catching up by a feed, following one without a vote, and membership changes.

Goal: a member that lacks what the others have compacted, or comes with an empty disk, ends with the same event log, by a
way that survives crashes; a feed that lies is refused; changes of membership come one at a time and are safe. Method:
replicas over loopback with disks that crash, and logs compacted on purpose.
"""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import AsyncIterator, Callable
from random import Random
from typing import Any, cast

import pytest

from journal import catchup
from journal.catchup import CatchUp, Mark, StillVoter, read_mark
from journal.configuration import (
    Change,
    Configuration,
    Member,
    changed,
    configuration_of,
    decode_configuration,
    encode_configuration,
)
from journal.errors import CorruptData, MemberRemoved, NodeFatal
from journal.event import GENESIS_HASH, Event, Outcome, Proposal, Verdict
from journal.eventlog import EventLog
from journal.raftlog import RaftLog
from journal.remotefeed import FeedClient, FeedCut, FeedHeader, FeedRefused, follow_remote
from journal.replica import Replica
from journal.simulated import Loss, SimulatedDisk
from journal.transport import Peer
from tests.journal.cluster import PREFIX, Cluster, put, run, simulated, three

BIG = b"x" * 60_000


async def fill(cluster: Cluster, first: int, count: int) -> Verdict:
    """Commit events of 60 kB at the leader, and compact every log behind them."""
    leader = await cluster.leader()
    for txid in range(first, first + count):
        verdict = await leader.submit(put(txid, 0, b"%d" % txid, value=BIG))
        assert verdict.committed, verdict
    return verdict


async def compact(cluster: Cluster) -> None:
    leader = await cluster.leader()
    for replica in cluster.replicas.values():
        await asyncio.wait_for(replica.applied(leader.frontier.position), 10)
        replica._events.synchronize()
        from journal.snapshot import save_snapshot

        save_snapshot(replica._environment.disk, "/j", replica._snapshot())
        replica._log.compact(replica._applied)
        assert replica._log.first_index > 5


async def change(leader: Replica, what: Change, member: Member) -> Verdict:
    future: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
    leader.change_membership(what, member, future.set_result)
    return await asyncio.wait_for(future, 10)


def member_of(cluster: Cluster, number: int, **more: bool) -> Member:
    return Member(f"node-{number}", "127.0.0.1", cluster.ports[number], **more)


@pytest.mark.parametrize("loss", list(Loss))
def test_a_member_behind_the_compacted_log_catches_up_from_a_feed(loss: Loss) -> None:
    async def work(cluster: Cluster) -> None:
        follower = (await cluster.followers())[0]
        number = cluster.number_of(follower)
        await fill(cluster, 1, 5)
        await cluster.crash(number, loss)
        await fill(cluster, 6, 60)
        leader = await cluster.leader()
        large = await leader.propose_large(
            Proposal(900, 0), [[(PREFIX + b"L%05d" % each, b"y" * 100, 0) for each in range(20_000)]]
        )
        assert large.committed
        await compact(cluster)
        again = await cluster.start(number)
        await asyncio.wait_for(again.applied(66), 20)
        last = await cluster.commit(1000)
        await cluster.agree(last.position)
        assert list(again.events.verify())[-1] == last.position
        view = cluster.views[number]
        assert view.position == last.position
        assert read_mark(cluster.disks[number], "/j") is Mark.NONE
        # It judges like the others: an old snapshot meets what the feed brought.
        while not again._consensus.has_committed_in_term:
            if await transfer_to(cluster, again):
                break
        loser = await again.submit(put(1001, last.commit_ts - 1, b"1000", kind=1))
        assert (loser.outcome, loser.winner) == (Outcome.CONFLICT, 1000)
        # And it restarts from what it has now.
        await cluster.crash(number, Loss.EVERYTHING)
        await cluster.start(number)
        last = await cluster.commit(1002)
        await cluster.agree(last.position)

    three(work, entry_bytes_max=128 << 10)


async def transfer_to(cluster: Cluster, replica: Replica) -> bool:
    leader = await cluster.leader()
    future: asyncio.Future[Verdict | None] = asyncio.get_running_loop().create_future()
    leader.transfer_leadership(replica.name, future.set_result)
    await future
    await asyncio.sleep(0.2)
    return replica.is_leader


def test_catching_up_survives_crashes_anywhere() -> None:
    async def work(cluster: Cluster) -> None:
        follower = (await cluster.followers())[0]
        number = cluster.number_of(follower)
        await fill(cluster, 1, 5)
        await cluster.crash(number, Loss.EVERYTHING)
        await fill(cluster, 6, 80)
        await compact(cluster)
        chance = Random(5)
        for round_number in range(12):
            # The disk fails at some moment, with whatever was not synchronized half lost; then the node comes back.
            operation = ("synchronize", "write", "create", "rename", "synchronize_directory", "remove")[
                round_number % 6
            ]
            cluster.disks[number].fail(operation, errno.EIO, after=chance.randrange(0, 1 + round_number * 3))
            try:
                replica = await cluster.start(number)
                await asyncio.wait([replica.failed], timeout=chance.random() * 0.5)
                await cluster.crash(number, chance.choice(list(Loss)))
            except (OSError, NodeFatal) as error:
                assert not isinstance(error, CorruptData), error
                cluster.disks[number].crash(chance, Loss.SOME)
            cluster.disks[number]._failures.clear()
        again = await cluster.start(number)
        await asyncio.wait_for(again.applied(85), 20)
        last = await cluster.commit(1000)
        await cluster.agree(last.position)
        assert list(again.events.verify())[-1] == last.position

    three(work)


def test_a_member_that_joins_survives_the_end_of_its_source_and_its_own() -> None:
    """The leader, though first by name, is spared; each crash comes in the middle of the feed."""

    async def work() -> None:
        cluster = Cluster(3, 4)
        for number in range(3):
            await cluster.start(number)
        await cluster.followers()
        assert (await cluster.leader()) is cluster.replicas[0] or await transfer_to(cluster, cluster.replicas[0])
        await fill(cluster, 1, 80)
        await compact(cluster)
        served: list[str] = []
        for replica in cluster.replicas.values():
            records = replica.events.records

            def noted(*given: Any, name: str = replica.name, walk: Any = records, **more: Any) -> Any:
                served.append(name)
                return walk(*given, **more)

            replica.events.records = noted  # type: ignore[method-assign]
        joining = await cluster.start(3, joining=True)
        await asyncio.wait_for(joining.applied(10), 20)
        assert served.count("node-0") < 4 < served.count("node-1")
        assert "node-2" not in served
        await cluster.crash(1, Loss.SOME)
        assert joining.frontier.position < 50
        await asyncio.wait_for(joining.applied(joining.frontier.position + 10), 20)
        assert served.count("node-0") < 4 < served.count("node-2")
        assert joining.frontier.position < 80
        await cluster.crash(3, Loss.SOME)
        assert read_mark(cluster.disks[3], "/j") is Mark.JOINING
        joining = await cluster.start(3, joining=True)
        await asyncio.wait_for(joining.applied(80), 20)
        await cluster.start(1)
        leader = await cluster.leader()
        assert (await change(leader, Change.ADD, member_of(cluster, 3))).committed
        last = await cluster.commit(1000)
        await asyncio.wait_for(joining.applied(last.position), 10)
        assert (await change(leader, Change.PROMOTE, member_of(cluster, 3))).committed
        last = await cluster.commit(1001)
        await cluster.agree(last.position)
        assert list(joining.events.verify())[-1] == last.position
        await cluster.stop()

    run(work())


def test_fragments_that_are_under_way_are_not_lost_by_the_cut() -> None:
    async def work(cluster: Cluster) -> None:
        follower = (await cluster.followers())[0]
        number = cluster.number_of(follower)
        await cluster.crash(number, Loss.NOTHING)
        await fill(cluster, 1, 40)
        leader = await cluster.leader()
        large = leader.begin_large(500, 0)
        await large.add([(PREFIX + b"L%05d" % each, b"y" * 100, 0) for each in range(5000)])
        await fill(cluster, 50, 40)
        for replica in cluster.replicas.values():
            staged = replica._machine.staging.oldest_index()
            assert staged is not None
            replica._log.compact(staged - 1)
        assert leader._log.first_index > 5
        again = await cluster.start(number)
        await asyncio.wait_for(again.applied(80), 20)
        assert (await large.commit(Proposal(500, leader.frontier.commit_ts))).committed
        last = await cluster.commit(1000)
        await cluster.agree(last.position)
        assert sum(len(event.writes) for event in again.events.read(81)) == 5001

    three(work, entry_bytes_max=64 << 10)


# ---- membership ----


@pytest.mark.parametrize("compacted", [False, True])
def test_a_new_member_joins_is_promoted_and_the_old_one_removed(compacted: bool) -> None:
    async def work() -> None:
        cluster = Cluster(3, 4)
        for number in range(3):
            await cluster.start(number)
        await cluster.followers()
        await fill(cluster, 1, 40)
        await cluster.agree(40)
        if compacted:
            await compact(cluster)
        leader = await cluster.leader()
        joining = await cluster.start(3, joining=True)
        await asyncio.wait_for(joining.applied(40), 20)
        assert not joining.is_leader
        early = await change(leader, Change.PROMOTE, member_of(cluster, 3))
        assert "has not caught up" in early.reason
        assert (await change(leader, Change.ADD, member_of(cluster, 3))).committed
        assert not leader.configuration.member("node-3").voter  # type: ignore[union-attr]
        await cluster.commit(100)
        await asyncio.wait_for(joining.applied(41), 5)
        assert (await change(leader, Change.PROMOTE, member_of(cluster, 3))).committed
        assert leader.configuration.voters == ["node-0", "node-1", "node-2", "node-3"]
        refused = await change(leader, Change.REMOVE, member_of(cluster, cluster.number_of(leader)))
        assert "transfer the leadership" in refused.reason
        leaving = next(number for number in range(3) if cluster.replicas[number] is not leader)
        removed = cluster.replicas.pop(leaving)
        assert (await change(leader, Change.REMOVE, member_of(cluster, leaving))).committed
        assert isinstance(await asyncio.wait_for(asyncio.shield(removed.failed), 5), MemberRemoved)
        last = await cluster.commit(101)
        await cluster.agree(last.position)
        # The new member counts: with one of the old ones down, it makes the majority.
        down = next(number for number in cluster.replicas if number < 3 and cluster.replicas[number] is not leader)
        await cluster.crash(down, Loss.EVERYTHING)
        last = await cluster.commit(102)
        await cluster.start(down)
        await cluster.agree(last.position)
        # Everybody remembers after a restart, whatever they are started with.
        for number in list(cluster.replicas):
            await cluster.crash(number, Loss.SOME)
            await cluster.start(number)
        last = await cluster.commit(103)
        await cluster.agree(last.position)
        names = [sorted(replica.configuration.voters) for replica in cluster.replicas.values()]
        assert names == [sorted({f"node-{number}" for number in range(4)} - {f"node-{leaving}"})] * 3
        await cluster.stop()

    run(work())


def test_from_one_voter_to_three() -> None:
    async def work() -> None:
        cluster = Cluster(1, 3)
        first = await cluster.start(0)
        await fill(cluster, 1, 10)
        for number in (1, 2):
            joining = await cluster.start(number, joining=True)
            await asyncio.wait_for(joining.applied(10), 10)
            assert (await change(first, Change.ADD, member_of(cluster, number))).committed
            await cluster.commit(100 + number)
            await asyncio.wait_for(joining.applied(first.frontier.position), 5)
            assert (await change(first, Change.PROMOTE, member_of(cluster, number))).committed
        await cluster.crash(0, Loss.EVERYTHING)
        last = await cluster.commit(200)
        await cluster.start(0)
        await cluster.agree(last.position)
        await cluster.stop()

    run(work())


def test_a_single_voter_with_a_learner_commits_as_soon_as_its_disk_is_done() -> None:
    async def work() -> None:
        # Between two ticks of the timer lie 125 ms.
        cluster = Cluster(1, 2, heartbeat_seconds=0.5, election_seconds_min=2.0, election_seconds_max=2.5)
        first = await cluster.start(0)
        await fill(cluster, 1, 10)
        joining = await cluster.start(1, joining=True)
        await asyncio.wait_for(joining.applied(10), 10)
        assert (await change(first, Change.ADD, member_of(cluster, 1))).committed
        await cluster.commit(100)
        took = []
        for txid in range(200, 208):
            began = time.monotonic()
            await cluster.commit(txid)
            took.append(time.monotonic() - began)
        assert sorted(took)[4] < 0.05, took
        await cluster.stop()

    run(work())


def test_changes_come_one_at_a_time_and_not_before_the_terms_first_commit() -> None:
    async def work(cluster: Cluster) -> None:
        followers = await cluster.followers()
        leader = await cluster.leader()
        stranger = Member("node-9", "127.0.0.1", 1)
        assert "not the leader" in (await change(followers[0], Change.ADD, stranger)).reason
        first = leader._consensus._first_of_term
        leader._consensus._first_of_term = 1 << 40
        assert "has not committed" in (await change(leader, Change.ADD, stranger)).reason
        leader._consensus._first_of_term = first
        both = await asyncio.gather(
            change(leader, Change.ADD, stranger), change(leader, Change.ADD, Member("node-8", "127.0.0.1", 1))
        )
        assert sorted(verdict.committed for verdict in both) == [False, True]
        # A learner that is not there costs nothing.
        for txid in range(1, 50):
            assert (await leader.submit(put(txid, 0, b"%d" % txid))).committed
        assert (await change(leader, Change.REMOVE, stranger)).committed

    three(work)


def test_an_uncommitted_change_is_given_up_with_its_entry() -> None:
    async def work(cluster: Cluster) -> None:
        await cluster.commit(1)
        leader = await cluster.leader()
        number = cluster.number_of(leader)
        cluster.partition(number)
        pending = asyncio.ensure_future(change(leader, Change.ADD, Member("node-9", "127.0.0.1", 1)))
        await asyncio.sleep(0.05)
        assert leader.configuration.member("node-9") is not None
        del cluster.replicas[number]
        await asyncio.sleep(0.5)
        await cluster.commit(2)
        cluster.heal()
        cluster.replicas[number] = leader
        last = await cluster.commit(3)
        await cluster.agree(last.position)
        assert not (await pending).committed
        assert leader.configuration.member("node-9") is None

    three(work)


def test_a_voter_that_lost_its_disk_may_not_simply_come_back() -> None:
    async def work(cluster: Cluster) -> None:
        follower = (await cluster.followers())[0]
        number = cluster.number_of(follower)
        await cluster.commit(1)
        await cluster.crash(number, Loss.NOTHING)
        cluster.disks[number] = SimulatedDisk()
        again = await cluster.start(number, joining=True)
        error = await asyncio.wait_for(asyncio.shield(again.failed), 10)
        assert "Remove it from the cluster and add it again" in str(error)
        # That is what helps.
        del cluster.replicas[number]
        leader = await cluster.leader()
        assert (await change(leader, Change.REMOVE, member_of(cluster, number))).committed
        cluster.disks[number] = SimulatedDisk()
        again = await cluster.start(number, joining=True)
        await asyncio.wait_for(again.applied(1), 10)
        assert (await change(leader, Change.ADD, member_of(cluster, number))).committed
        await cluster.commit(2)
        await asyncio.wait_for(again.applied(2), 10)
        assert (await change(leader, Change.PROMOTE, member_of(cluster, number))).committed
        await cluster.agree(2)

    three(work)


def test_configurations_as_data() -> None:
    one, two = Member("a", "h", 1), Member("b", "h", 2, False, True)
    configuration = configuration_of([two, one])
    assert (configuration.voters, configuration.learners) == (["a"], ["b"])
    assert decode_configuration(encode_configuration(configuration)) == configuration
    promoted = changed(configuration, Change.PROMOTE, two, "a", (3, 4), 77)
    assert isinstance(promoted, Configuration)
    assert promoted.voters == ["a", "b"]
    assert promoted.member("b") == Member("b", "h", 2, True, True, directory=77)
    assert changed(configuration, Change.ADD, one, "a", (3, 4)) == "a is a member already"
    assert changed(configuration, Change.PROMOTE, one, "a", (3, 4)) == "a votes already"
    assert changed(configuration, Change.REMOVE, Member("z", "h", 3), "a", (3, 4)) == "z is not a member"
    added = changed(promoted, Change.ADD, Member("c", "h", 3), "a", (3, 4))
    assert isinstance(added, Configuration)
    assert added.member("c") == Member("c", "h", 3, False, False, (3, 4))
    assert decode_configuration(encode_configuration(added)) == added
    before_additions_were_noted = b"\x13\x01\x91\x91\x95\xa1a\xa1h\x01\xc3\xc2"
    assert decode_configuration(before_additions_were_noted) == configuration_of([one])
    full = configuration_of(Member(f"n{n}", "h", n) for n in range(32))
    assert "already" in str(changed(full, Change.ADD, two, "a", (3, 4)))
    for damaged in (b"\x13\x09\x91\x90", b"\x13\x01\xff"):
        with pytest.raises(CorruptData):
            decode_configuration(damaged)


# ---- feeds ----


def test_a_node_without_a_vote_follows_across_failures() -> None:
    async def work(cluster: Cluster) -> None:
        await cluster.followers()
        seen: list[Event] = []
        closed: list[int] = []
        client = FeedClient(simulated(SimulatedDisk()), "boreal", "storage-1")
        peers = [cluster.peer(number) for number in range(3)]

        async def follow() -> None:
            async for batch in follow_remote(client, peers, 1, on_closed=closed.append):
                seen.extend(batch)

        task = asyncio.ensure_future(follow())
        leader = await cluster.leader()
        for txid in range(1, 30):
            await leader.submit(put(txid, 0, b"%d" % txid))
        large = await leader.propose_large(
            Proposal(900, 0), [[(PREFIX + b"L%05d" % each, b"y" * 100, 0) for each in range(20_000)]]
        )
        assert large.committed
        for number in range(3):
            if cluster.replicas[number] is not leader:
                await cluster.crash(number, Loss.EVERYTHING)
                await cluster.commit(1000 + number)
                await cluster.start(number)
        last = await cluster.commit(2000)
        for _ in range(100):
            if seen and seen[-1].position == last.position and not seen[-1].more:
                break
            await asyncio.sleep(0.1)
        original = [(event.position, event.part, event.hash) for event in leader.events.read(1)]
        assert [(event.position, event.part, event.hash) for event in seen] == original
        assert max(closed) > 0
        task.cancel()

        # From the middle, with the hash that belongs there; and from where nothing is.
        middle = original[10]
        stream = follow_remote(client, peers, middle[0] + 1, middle[2])
        batch = await anext(stream)
        assert (batch[0].position, batch[0].previous_hash) == (middle[0] + 1, middle[2])
        await stream.aclose()  # type: ignore[attr-defined]
        with pytest.raises(CorruptData, match="breaks the hash chain"):
            await anext(follow_remote(client, peers, middle[0] + 1, GENESIS_HASH))
        with pytest.raises(FeedRefused, match="not retained"):
            await anext(follow_remote(client, peers, 0))

    three(work, entry_bytes_max=64 << 10)


def copy_of(records: list[tuple[int, int, bytes]], tamper: Callable[[list[tuple[int, int, bytes]]], None]) -> EventLog:
    changed_records = list(records)
    tamper(changed_records)
    log = EventLog(SimulatedDisk(), "/copy", segment_bytes=64 << 10)
    for kind, index, payload in changed_records:
        log.append_record("the feed of x", kind, index, payload)
    return log


def test_records_are_taken_only_if_they_continue_the_chain() -> None:
    async def work() -> None:
        replica = await Cluster(1).start(0, event_segment_bytes=64 << 10, entry_bytes_max=4 << 10)
        for txid in range(1, 8):
            await replica.submit(put(txid, 0, b"%d" % txid))
        await replica.propose_large(Proposal(8, 0), [[(PREFIX + b"L%d" % each, b"y" * 90, 0) for each in range(900)]])
        await replica.submit(put(9, 0, b"9"))
        records = [(record.kind, record.index, record.payload) for record, *_ in replica.events.records(1)]
        assert len(records) > 15
        same = copy_of(records, lambda each: None)
        assert (same.position, same.hash, same.commit_ts) == (9, replica.events.hash, replica.events.commit_ts)
        assert same.raft_index == replica.events.raft_index
        assert list(same.verify())[-1] == 9
        half = copy_of(records, lambda each: each.__delitem__(slice(10, None)))
        assert (half.position, half.open_part) == (7, 3)
        reopened = EventLog(half._disk, "/copy", segment_bytes=64 << 10)
        assert (reopened.position, reopened.open_part) == (7, 0)

        def flip(each: list[tuple[int, int, bytes]]) -> None:
            kind, index, payload = each[3]
            each[3] = (kind, index, payload[:-1] + bytes([payload[-1] ^ 1]))

        for tamper in (
            flip,
            lambda each: each.pop(3),
            lambda each: each.insert(3, each[2]),
            lambda each: each.pop(9),
            lambda each: each.__setitem__(3, (each[8][0], each[3][1], each[3][2])),
            lambda each: each.__setitem__(3, (2, each[3][1], b"")),
        ):
            with pytest.raises(CorruptData):
                copy_of(records, tamper)
        await replica.stop()

    run(work())


# ---- the Raft log begins anew ----


@pytest.mark.parametrize("loss", list(Loss))
def test_a_log_that_begins_anew_is_the_old_or_the_new_one(loss: Loss) -> None:
    for after in range(12):
        for operation in ("create", "write", "synchronize", "synchronize_directory", "remove"):
            disk = SimulatedDisk()
            log = RaftLog(disk, "/r", segment_bytes=4 << 10)
            for index in range(1, 60):
                log.add(b"\x10" + b"x" * 200, index, 3)
            log.setCurrentTerm(7, "node-2")
            log.synchronize()
            disk.fail(operation, errno.EIO, after=after)
            try:
                log.begin_after(1000, 6)
                disk._failures.clear()
                log.add(b"\x10next", 1001, 7)
                log.synchronize()
                finished = True
            except (NodeFatal, OSError):
                finished = False
            disk._failures.clear()
            disk.crash(Random(after), loss)
            again = RaftLog(disk, "/r", segment_bytes=4 << 10)
            assert (again.getCurrentTerm(), again.getVotedForNodeId()) == (7, "node-2")
            if finished:
                assert [again[n][1:] for n in range(len(again))] == [(1000, 6), (1001, 7)]
                again.add(b"\x10more", 1002, 7)
            elif again.last_index == 59:
                assert again.first_index == 1
            else:
                assert (again.first_index, again.last_index) == (1000, 1000)
                assert again.entry(1000)[2] == 6
            again.synchronize()
            again.close()


class StaleFeed:
    """Every peer's feed ends at once, where the member has a vote until `heard` feeds were asked for."""

    def __init__(self, heard: int) -> None:
        self.heard = heard
        self.asked: list[str] = []
        self.position = self.open_part = self.raft_index = 0

    @property
    def events(self) -> Any:
        return self

    def sources(self) -> list[Peer]:
        return [Peer("a", "", 1), Peer("b", "", 2)]

    def take_records(self, events: list[Event]) -> None:
        raise AssertionError(events)

    async def open(self, peer: Peer, *_: object, **options: object) -> AsyncIterator[object]:
        self.asked.append(peer.name)
        yield FeedHeader("", configuration_of([]))
        yield FeedCut(1, 1, 0, configuration_of([]))

    async def continue_after(self, cut: object) -> None:
        if len(self.asked) < self.heard:
            raise StillVoter("it has a vote")


@pytest.mark.parametrize("heard", [1, 2, 6, 7])
def test_a_member_that_joins_asks_others_before_it_believes_that_it_has_a_vote(
    heard: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catchup, "RETRY_SECONDS", 0.0)
    feed = StaleFeed(heard)
    catching = CatchUp(cast(FeedClient, feed), feed, lambda: True)
    if heard <= 6:
        asyncio.run(catching.run())
        assert feed.asked == ["a", "b", "a", "b", "a", "b"][:heard]
    else:
        with pytest.raises(NodeFatal, match="it has a vote"):
            asyncio.run(catching.run())
        assert len(feed.asked) == 6
