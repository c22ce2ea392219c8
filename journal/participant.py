"""What a replica does because it is not alone.

It talks to its peers, reads by asking the leader, follows the configuration, hands over, and catches up: each of these is
a module of its own, and here they meet the replica's logs and its queue. The turns, and everything that a single voter
does, are in `journal.replica`, which builds upon this.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Coroutine, Iterable, Iterator
from dataclasses import dataclass

from journal.catchup import CatchUp, Mark, NotReady, StillVoter, remove_mark, write_mark
from journal.clock import HybridClock
from journal.clockwatch import ClockWatch
from journal.closed import ClosedTime
from journal.configuration import Change, Configuration, Member, changed, encode_configuration
from journal.consensus import Consensus, Timing
from journal.environment import Environment
from journal.errors import MemberRemoved, NodeFatal
from journal.event import (
    Event,
    Outcome,
    Verdict,
)
from journal.eventlog import EventLog
from journal.fairness import Fairness
from journal.forwarding import Forwarder, Refusals, unpack
from journal.housekeeping import Housekeeper
from journal.identity import Identities, another_directory
from journal.membership import Membership
from journal.messages import (
    Behind,
    ClockAnswer,
    ClockQuestion,
    Closed,
    Forward,
    ReadAnswer,
    ReadRequest,
    Refusal,
    SideMessage,
)
from journal.news import News
from journal.queued import Callback, Ordered, Waiting
from journal.raftlog import RaftLog
from journal.reads import ReadBarriers, ReadCallback
from journal.recovery import adjudicator_for
from journal.remotefeed import Cut, FeedClient, FeedServer
from journal.report import MemberReport, ReplicaReport
from journal.settings import ReplicaSettings as ReplicaSettings
from journal.snapshot import FORMAT_VERSION as SNAPSHOT_VERSION
from journal.snapshot import Snapshot
from journal.statemachine import Frontier, StateMachine
from journal.transfer import Transfer, TransferCallback
from journal.transport import Added, Peer, PeerTransport, Standing, TurnedAway

logger = logging.getLogger(__name__)


@dataclass
class _Change:
    """A change of the members that was asked for; `wanted` is what comes of it."""

    what: Change
    member: Member
    callback: Callback
    term: int
    wanted: Configuration


class Participant(ABC):
    """A replica among others; see `journal.replica.Replica`, which is the only kind.

    Attributes:
        clock: the hybrid clock.
    """

    clock: HybridClock
    _environment: Environment
    _settings: ReplicaSettings
    _peers: list[Peer]
    _server_tls: ssl.SSLContext | None
    _client_tls: ssl.SSLContext | None
    _loop: asyncio.AbstractEventLoop
    _ready: asyncio.Future[None]
    _events: EventLog
    _log: RaftLog
    _machine: StateMachine
    _keeper: Housekeeper
    _waiting: deque[Waiting]
    _waiting_bytes: int
    _ordered: dict[int, Ordered]
    _applied: int
    _large: tuple[Iterator[None], list[Callback | None], Verdict, int] | None
    _running: bool

    def __init__(self, settings: ReplicaSettings, peers: list[Peer]) -> None:
        self._settings = settings
        self._peers = peers
        self._alone = not peers
        self._applied_term = 0
        self._catching_up = False
        self._joins = False
        self._catch_up_task: asyncio.Task[None] | None = None
        self._change: _Change | None = None
        self._turned_away: dict[str, TurnedAway] = {}

    # ---- what the replica provides ----------------------------------------------------------------------------------

    @abstractmethod
    def _wake(self) -> None:
        """Have a turn taken."""

    @abstractmethod
    def _fail(self, error: BaseException) -> None:
        """Stop the node."""

    @abstractmethod
    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Do something in the background."""

    @abstractmethod
    def _refusal(self) -> Verdict | None:
        """Why nothing can be ordered here now."""

    @abstractmethod
    def _answer(self, callbacks: Iterable[Callback | None], verdict: Verdict) -> None:
        """Tell proposers."""

    @abstractmethod
    def _uses(self) -> None:
        """Somebody at this member reads, commits or follows, and waits for what is applied."""

    @abstractmethod
    def _enqueue(self, waiting: Waiting) -> None:
        """Have something ordered."""

    @abstractmethod
    def _next_entry(self) -> bytes | None:
        """What is to be ordered next."""

    @abstractmethod
    def _on_ordered(self, index: int, term: int) -> None:
        """It was ordered."""

    @property
    @abstractmethod
    def events(self) -> EventLog:
        """The event log, for reading."""

    @property
    @abstractmethod
    def frontier(self) -> Frontier:
        """The last event that subscribers have been given."""

    @property
    @abstractmethod
    def is_leader(self) -> bool:
        """Whether proposals can be ordered here."""

    @abstractmethod
    async def applied(self, position: int) -> None:
        """Wait until subscribers have been given this position."""

    # ---- beginning --------------------------------------------------------------------------------------------------

    def _connect(self, own: Peer, base: Configuration) -> None:
        """Make what talks to others."""
        settings = self._settings
        self._transport = PeerTransport(
            self._environment,
            settings.cluster,
            own,
            [],
            wake=self._wake,
            server_tls=self._server_tls,
            client_tls=self._client_tls,
        )
        self._transport.on_side_message = self._on_side_message
        self._transport.on_feed = FeedServer(self._loop, self, self._environment.clock).serve
        self._identities = Identities(self._environment.disk, settings.directory, self._environment.clock.wall_us())
        self._transport.identity = self._identities.own
        self._transport.identity_refusal = self._identity_refusal
        self._transport.standing = self._standing
        self._transport.is_disowned = self._is_disowned
        self._transport.may_be_added = lambda added: added[1] > self._applied
        self._transport.applied = lambda: self._applied
        self._transport.on_turned_away = self._on_turned_away
        self._closed = ClosedTime(self._loop, lambda: self._applied)
        self._consensus = Consensus(
            self._environment,
            self._log,
            self._transport,
            settings.name,
            next_entry=self._next_entry,
            on_ordered=self._on_ordered,
            on_behind=self._on_behind,
            close_time=self._close_time,
            on_closed=self._on_closed,
            timing=self._timing(),
            entry_bytes_max=settings.entry_bytes_max,
            bytes_in_flight_max=settings.peer_bytes_in_flight_max,
            sends_before_disk=not settings.fast_commit,
            awaits_news=lambda name, told: self._news.is_awaited_by(name, told),
            on_waiting=lambda seconds: self._news.waits(seconds),
        )
        self._membership = Membership(own, base, self._peers, self._log, self._transport, self._consensus)
        self._configuration_changed()
        post = self._transport.post
        self._clock_watch = ClockWatch(
            self._environment.clock,
            self._environment.clock_error,
            post,
            peers=lambda: self._transport.nodes,
            lead_us=int(settings.commit_lead_ms * 1000),
        )
        self._forwarder = Forwarder(
            self._loop,
            settings,
            post,
            leader=lambda: self._consensus.leader_name,
            term=lambda: self._consensus.raftCurrentTerm,
        )
        self._fairness = Fairness(self._loop, lambda: self.clock.present_us, self._enqueue)
        self._contended = self._fairness.contended
        self._refusals = Refusals(self._loop, post, self._fairness.decided)
        self._news = News(self._loop, self._consensus, self._announce)
        self._reads = ReadBarriers(
            self._loop,
            self._environment.clock,
            self._consensus,
            post,
            target=self._read_target,
            applied=lambda: self._applied,
            wake=self._wake,
            timeout_seconds=settings.read_timeout_seconds,
        )
        self._transfer = Transfer(
            self._loop,
            self._consensus,
            self._membership,
            own=settings.name,
            preferred=settings.leader_preferred,
            timeout_seconds=settings.transfer_seconds,
        )

    def _timing(self) -> Timing:
        settings = self._settings
        if self._alone:
            # Nobody else can be elected where there is nobody else: no reason to wait.
            return Timing(0.001, 0.004, 0.005)
        return Timing(settings.heartbeat_seconds, settings.election_seconds_min, settings.election_seconds_max)

    def _configuration_changed(self) -> None:
        configuration = self._membership.configuration
        self._alone = [member.name for member in configuration.members] == [self._settings.name]
        self._consensus.retime(self._timing())
        self._tick_seconds = 0.002 if self._alone else self._settings.heartbeat_seconds / 4

    @property
    def name(self) -> str:
        """This node's name."""
        return self._settings.name

    @property
    def configuration(self) -> Configuration:
        """Who belongs."""
        return self._membership.configuration

    def report(self) -> ReplicaReport:
        """How this member and, if it leads, the others are; for operators."""
        consensus, transport, now = self._consensus, self._transport, self._environment.clock.monotonic()
        leads = self._running and consensus.is_leader
        members = []
        for member in self.configuration.members:
            is_self = member.name == self.name
            heard = transport.acknowledged.get(member.name) if leads and not is_self else None
            members.append(
                MemberReport(
                    member,
                    connected=is_self or transport.is_connected(member.name),
                    entries_behind=None
                    if not leads
                    else 0
                    if is_self
                    else self._log.last_index - consensus.matched_index(member.name),
                    heard_ms_ago=None if heard is None else round((now - heard) * 1000, 1),
                    clock_offset=self._clock_watch.offset(member.name),
                )
            )
        return ReplicaReport(
            name=self.name,
            leader=consensus.leader_name,
            term=consensus.raftCurrentTerm,
            is_leader=leads,
            has_lease=self._running and consensus.has_lease,
            lease_ms=max(0.0, round((consensus.lease_end() - now) * 1000, 1)) if leads and not self._alone else None,
            is_voter=consensus.is_voter,
            is_catching_up=self._catching_up,
            last_index=self._log.last_index,
            committed_index=consensus.committed_index,
            applied_index=self._applied,
            position=self.frontier.position,
            commit_ts=self.frontier.commit_ts,
            closed_us=self.closed_us,
            clock_error_us=self.clock_error_us,
            clock_trusted=self._clock_watch.trusted,
            members=tuple(members),
            turned_away_by=tuple(self._turned_away_by()),
        )

    # ---- reading ----------------------------------------------------------------------------------------------------

    @property
    def is_current(self) -> bool:
        """Whether a `read_barrier` would be passed at once: nothing that anybody can have been told of is missing here. HOT: asked for
        every message of a client that may begin a transaction."""
        consensus = self._consensus
        return (
            self._running
            and consensus.may_answer()
            and self._applied >= (self._read_target() if self._settings.fast_commit else consensus.committed_index)
        )

    def read_barrier(self, callback: ReadCallback, *, for_client: bool = True) -> None:
        """Call back once this node has applied everything that anybody can have been told of before this call.

        `callback(None)` may come from within this call: on a leader with a lease that has applied all. Elsewhere it costs a
        round trip to the leader, shared by all who wait. `callback(verdict)`, a refusal with SQLSTATE 57P03, comes within
        `read_timeout_seconds` if no leader with a majority can be reached. `for_client`: not merely to see whether it is so."""
        if not self._running:
            callback(Verdict(Outcome.NOT_LEADER, reason="this node is stopping"))
        else:
            if for_client:
                self._uses()
            self._reads.request(callback, for_client=for_client)

    @property
    def closed_us(self) -> int:
        """No event with a commit timestamp at or below this will be published here any more."""
        return self._closed.closed_us

    @property
    def clock_error_us(self) -> int | None:
        """How far this host's clock may be from true time, in µs; None while nobody knows."""
        return self._environment.clock_error.error_us()

    @property
    def clock_trusted(self) -> bool:
        """Whether this host's clock is as good as it says, as far as the others' clocks tell."""
        return self._clock_watch.trusted

    @property
    def may_read_by_clock(self) -> bool:
        """Whether this node's clock, the leader's and closed time can be relied on, as far as anybody can tell (`journal.clockwatch`)."""
        leader = "" if self._consensus.is_leader else self._consensus.leader_name
        return self._running and self._clock_watch.may_read(leader, self.closed_us)

    def wait_closed(self, timestamp_us: int, callback: ReadCallback, timeout_seconds: float) -> None:
        """Call back once `closed_us` has reached a timestamp; with a refusal (57P03) if it does not in time."""
        if not self._running:
            callback(Verdict(Outcome.NOT_LEADER, reason="this node is stopping"))
        else:
            self._uses()
            self._closed.wait(timestamp_us, callback, timeout_seconds)

    def _read_target(self) -> int:
        """What a strong read must see: with fast commit, an entry that a follower has may be known to somebody before
        the leader knows that it is committed."""
        return self._log.last_index if self._settings.fast_commit else self._consensus.committed_index

    # ---- turns ------------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """After each message that was delivered."""
        self._log.settle()
        if self._log.memberships_version != self._membership.version:
            self._membership.refresh()
            self._configuration_changed()

    def _progressed(self) -> None:
        """More is applied: for those who wait for it."""
        self._reads.progressed()
        self._closed.progressed()

    def _term_began(self, term: int) -> None:
        """The first entry of a term is being applied: what was ordered in an earlier one, and is not applied by now, was
        replaced; what was forwarded for an earlier one was never ordered."""
        self._applied_term = term
        lost = [index for index, ordered in self._ordered.items() if ordered.term < term and index > self._applied + 1]
        verdict = Verdict(Outcome.NOT_LEADER, reason="another leader's entries took its place")
        for index in lost:
            self._answer(self._ordered.pop(index).callbacks, verdict)
        self._forwarder.term_began(term)

    def _fast_limit(self, limit: int) -> int:
        """With three voters, what a follower has durably of the leader's term is on two disks, because the leader's
        entries are durable there before they are sent: it is committed (DESIGN.md)."""
        consensus = self._consensus
        if len(consensus.voters) != 3 or not consensus.is_voter or consensus.is_leader:
            return limit
        return max(limit, min(consensus.matched_in_term, self._log.durable_index))

    # ---- peers ------------------------------------------------------------------------------------------------------

    def _on_side_message(self, name: str, message: SideMessage) -> None:
        """What is not Raft's is handled when it comes: nothing of it depends on the disk."""
        if not self._running:
            return
        if isinstance(message, Forward) or (isinstance(message, ReadRequest) and message.for_clients):
            self._news.works(name)
        if isinstance(message, Forward):
            self._on_forward(name, message)
        elif isinstance(message, Refusal):
            self._forwarder.refuse(message.txids, Verdict(Outcome(message.outcome), reason=message.reason))
        elif isinstance(message, ReadRequest):
            self._reads.asked(name, message)
        elif isinstance(message, ReadAnswer):
            self._reads.answered(message)
        elif isinstance(message, Behind):
            if name == self._consensus.leader_name and message.first_index > self._applied:
                self._catch_up(False)
        elif isinstance(message, Closed):
            self._consensus.closed_by(name, message.term, message.index, message.closed_us)
        elif isinstance(message, ClockQuestion):
            self._clock_watch.asked(name, message)
        elif isinstance(message, ClockAnswer):
            self._clock_watch.answered(name, message)

    def _announce(self) -> None:
        if self._running:
            self._consensus.announce()
            self._wake()

    def _on_forward(self, name: str, message: Forward) -> None:
        for txid, is_proposal, data in ((each.txid, each.is_proposal, each.data) for each in message.parcels):
            refusal = self._refusal()
            if message.term != self._consensus.raftCurrentTerm:
                refusal = Verdict(Outcome.NOT_LEADER, reason="sent for another term")
            if refusal is None:
                try:
                    proposal = unpack(txid, is_proposal, data)
                except ValueError as error:
                    logger.error("%s forwarded what cannot be ordered: %s", name, error)
                    refusal = Verdict(Outcome.NOT_LEADER, reason=str(error))
                else:
                    if self._contended and proposal is not None:
                        self._fairness.forwarded(proposal)
                    callback = self._refusals.callback_for(name, txid)
                    self._waiting.append(Waiting(data, proposal, callback, name))
                    self._waiting_bytes += len(data)
            if refusal is not None:
                self._refusals.refuse(name, txid, refusal)
        self._wake()

    def _close_time(self) -> int:
        """A promise for followers, as long as nobody else can lead; and for this node."""
        if not self._consensus.has_lease or not self._clock_watch.may_promise:
            return 0
        closed_us = self.clock.now_us()
        self._closed.promised(self._log.last_index, closed_us)
        return closed_us

    def _promise(self) -> None:
        """Close time more often than heartbeats do."""
        if not self._running:
            return
        if not self._alone and (closed_us := self._close_time()):
            message = Closed(self._consensus.raftCurrentTerm, self._log.last_index, closed_us)
            for name in self._transport.nodes:
                self._transport.post(name, message)
        self._loop.call_later(self._settings.closed_seconds, self._promise)

    def _on_closed(self, index: int, closed_us: int) -> None:
        # Should this node lead one day, it is bound, too.
        self.clock.observe(closed_us)
        self._closed.promised(index, closed_us)

    def _on_behind(self, name: str) -> None:
        self._transport.post(name, Behind(self._log.first_index))

    # ---- members ----------------------------------------------------------------------------------------------------

    @property
    def change_refusal(self) -> str:
        """Why no change can begin at this moment, or ""; at a leader it is a matter of time only."""
        reason = self._membership.refusal() if self._running else "this node is stopping"
        return reason or ("another change is under way" if self._change is not None else "")

    def change_membership(self, change: Change, member: Member, callback: Callback) -> None:
        """Add a learner, promote one that has caught up, or remove a member; at the leader only, one change at a time.

        `callback(verdict)`: COMMITTED when the new configuration is; NOT_LEADER, with a reason, if there is no change;
        UNKNOWN if the leadership was lost on the way."""
        reason = self.change_refusal
        if not reason and change is Change.PROMOTE and not self._consensus.is_near(member.name):
            reason = f"{member.name} has not caught up"
        term = self._consensus.raftCurrentTerm
        wanted = changed(self._membership.configuration, change, member, self._settings.name, (term, 0))
        if reason or isinstance(wanted, str):
            self._loop.call_soon(callback, Verdict(Outcome.NOT_LEADER, reason=reason or str(wanted)))
            return
        self._change = _Change(change, member, callback, term, wanted)
        entry = encode_configuration(wanted)
        self._waiting.append(Waiting(entry, None, self._change_ended))
        self._waiting_bytes += len(entry)
        self._wake()

    def _change_for(self, index: int) -> bytes | None:
        """The entry of the change that is about to be ordered at this index; None if it cannot be, and whoever asked is told why."""
        change, term = self._change, self._consensus.raftCurrentTerm
        if change is None:
            return None
        name, member = self._settings.name, change.member
        directory = self._transport.identity_of(member.name)
        wanted: Configuration | str
        if change.term != term or self._membership.is_changing:
            wanted = "the leader changed"
        elif change.what is Change.PROMOTE and not directory:
            wanted = f"{member.name} is not connected"  # nobody knows whose the vote would be
        else:
            wanted = changed(self._membership.configuration, change.what, member, name, (term, index), directory)
        if isinstance(wanted, str):
            self._change_ended(Verdict(Outcome.NOT_LEADER, reason=wanted))
            return None
        change.wanted = wanted
        return encode_configuration(wanted)

    def _change_ended(self, verdict: Verdict) -> None:
        change, self._change = self._change, None
        if change is not None:
            change.callback(verdict)

    def _standing(self) -> Standing | None:
        own = self._membership.configuration.member(self.name)
        return None if own is None else Standing(own.added, own.peer)

    def _identity_refusal(self, name: str, identity: int, added: Added) -> str:
        if self._membership.configuration.member(name) is None:
            return ""  # It is leaving, and gets the log until it knows; its directory is not that of whoever is added next.
        if self._is_disowned(name, identity, added):
            return another_directory(name)
        return self._identities.refusal(name, identity, added)

    def _is_disowned(self, name: str, identity: int, added: Added) -> bool:
        """Whether the log says that the member's vote belongs to another directory; a later addition is another member."""
        member = self._membership.configuration.member(name)
        return member is not None and member.directory not in (0, identity) and added <= member.added

    def _membership_applied(self, index: int) -> None:
        """A configuration is committed."""
        if self._change is not None:
            won = self._membership.at(index) == self._change.wanted
            reason = "" if won else "another leader's configuration took its place"
            self._change_ended(Verdict(Outcome.COMMITTED if won else Outcome.NOT_LEADER, reason=reason))
        self._identities.forget_others(but=[member.name for member in self._membership.at(index).members])
        if index != self._membership.index:
            return
        if not self._membership.is_member:
            raise MemberRemoved(f"{self._settings.name} was removed from the cluster")
        # Whoever has left learns it with the next heartbeats.
        self._loop.call_later(2 * self._settings.election_seconds_max, self._membership.drop_leavers, index)

    def _on_turned_away(self, name: str, answer: TurnedAway) -> None:
        """A peer says that this node does not belong. It may only be behind itself; or this node has yet to be added."""
        if not self._running or self._consensus.abstains or answer.index <= self._applied:
            return
        if name not in self._turned_away:
            logger.error("%s says, as of Raft entry %d: %s", name, answer.index, answer.reason)
        self._turned_away[name] = answer
        if answer.is_member:
            self._fail(NodeFatal(f"{name} says: {answer.reason}"))
            return
        # Of two majorities of successive configurations one member is in both: so it cannot have been added again unknown to them.
        # But a node that joins may have caught up before it is added.
        voters = self._consensus.voters
        if self._membership.is_member and sum(each in voters for each in self._turned_away_by()) > len(voters) // 2:
            self._fail(MemberRemoved(f"{self.name} was removed from the cluster while it was away"))

    def _turned_away_by(self) -> list[str]:
        """Who says so, and knows more than this node."""
        return [name for name, answer in self._turned_away.items() if answer.index > self._applied]

    # ---- catching up ------------------------------------------------------------------------------------------------

    def _catch_up(self, joins: bool) -> None:
        """Get by a feed what the Raft log of the others has no more."""
        if self._catching_up or not self._running or self._large is not None:
            return  # the leader says it again
        self._events.write_behind()
        self._catching_up = True
        self._joins = joins
        self._catch_up_task = self._spawn(self._catching())

    async def _catching(self) -> None:
        disk, directory = self._environment.disk, self._settings.directory
        client = FeedClient(self._environment, self._settings.cluster, self._settings.name, self._client_tls)
        try:
            write_mark(disk, directory, Mark.JOINING if self._joins else Mark.BEHIND)
            await CatchUp(client, self, lambda: self._running).run()
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._fail(error)

    def sources(self) -> list[Peer]:
        """Whom to ask for a feed: rather not the leader, rather somebody who can be reached, rather a witness, which has no clients."""
        leader, transport = self._consensus.leader_name, self._transport

        def cost(peer: Peer) -> tuple[bool, bool, bool, str]:
            return peer.name == leader, not transport.is_connected(peer.name), not peer.witness, peer.name

        return sorted(transport.peers, key=cost)

    def take_records(self, events: list[Event]) -> None:
        """Publish what a feed has brought."""
        self._machine.take_over(events)
        last = events[-1]
        self.clock.observe(last.commit_ts)
        if self._forwarder.undecided:
            for event in events:
                if not event.more:
                    verdict = Verdict(Outcome.COMMITTED, event.position, event.commit_ts)
                    self._answer(self._forwarder.take(event.txid), verdict)

    async def continue_after(self, cut: Cut) -> None:
        """Everything up to the cut is in the event log: let the Raft log begin there."""
        own = cut.configuration.member(self._settings.name)
        if self._joins and own is not None and own.voter:
            raise StillVoter(
                f"{self._settings.name} has a vote, but its directory was empty: what it voted and acknowledged is "
                f"forgotten. Remove it from the cluster and add it again"
            )
        await self._keeper.make_durable(self._snapshot_at(cut.raft_index, cut.configuration))
        installed = self._loop.create_future()

        def install() -> None:
            self._begin_after(cut)
            installed.set_result(None)

        self._transport.between_turns(install)
        await installed
        remove_mark(self._environment.disk, self._settings.directory)
        self._catching_up = False
        self._consensus.abstains = False
        self._progressed()
        self._wake()

    def _begin_after(self, cut: Cut) -> None:
        index, log = cut.raft_index, self._log
        if not log.first_index <= index <= log.last_index or log.term_of(index) != cut.raft_term:
            log.begin_after(index, cut.raft_term)
        log.commit_floor = index
        self._consensus.begin_after(index)
        self._applied = index
        self._machine.continue_with(adjudicator_for(self._events, self._settings))
        self._membership.rebase(cut.configuration)
        self._identities.forget_others()  # who was removed and added in between is not known
        self._configuration_changed()
        unknown = Verdict(Outcome.UNKNOWN, reason="the leader changed")
        for ordered in [each for each in self._ordered if each <= index]:
            self._answer(self._ordered.pop(ordered).callbacks, unknown)
        self._term_began(cut.raft_term)

    def cut(self) -> Cut:
        """Where a member that has the event log's records up to it may continue by Raft."""
        if self._catching_up or not self._applied:
            raise NotReady("this member is catching up itself")
        staged_from = self._machine.staging.oldest_index()
        index = self._applied if staged_from is None else min(self._applied, staged_from - 1)
        return Cut(index, self._log.term_of(index), self._membership.at(index))

    # ---- leadership -------------------------------------------------------------------------------------------------

    def transfer_leadership(self, name: str | None = None, callback: TransferCallback | None = None) -> None:
        """Hand the leadership to a voter, or to the best one. `callback(None)` when another member leads;
        `callback(verdict)` if that did not happen within `transfer_seconds`."""
        self._transfer.begin(name, callback)
        self._wake()

    def _snapshot(self) -> Snapshot:
        return self._snapshot_at(self._applied, self._membership.at(self._applied))

    def _snapshot_at(self, applied: int, configuration: Configuration) -> Snapshot:
        return Snapshot(
            SNAPSHOT_VERSION,
            applied,
            self._events.position,
            self._events.commit_ts,
            self._events.hash,
            [member.name for member in configuration.members],
            configuration,
        )

    def _lowest_match(self) -> int | None:
        """What the member that is furthest behind has; None if this node does not lead, or there are no others."""
        return self._consensus.lowest_match() if self._consensus.is_leader else None
