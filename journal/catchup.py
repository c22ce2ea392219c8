"""Catching up: a member whose next Raft entry is compacted away everywhere gets the missing events from a peer's feed.

    told by the leader that it lags, or empty and joining
      ─▶ mark "catching up" (durable) ─▶ records into the event log and to the subscribers ─▶ cut
      ─▶ event log durable ─▶ snapshot durable ─▶ the Raft log begins after the cut ─▶ unmark ─▶ on by Raft

This is Raft's InstallSnapshot (§7), with the event log for a snapshot. It never goes through the leader's Raft path, and
asks a follower before the leader. Meanwhile nothing is applied from the Raft log, and the node does not stand for
election; it may vote, because its own Raft log is untouched until the cut is durable.

**At the cut** the paper's rule holds: if the Raft log has the cut's entry with the cut's term, what follows it is kept;
otherwise the whole log is replaced. What is thrown away then was never committed: everything committed up to the cut is
in the event log, and an entry beyond it that follows a wrong entry cannot be.

**Joining.** A directory that was empty has forgotten whatever its node may have voted and acknowledged before. Until it has
caught up, such a node hears neither vote requests nor AppendEntries; and should the configuration at the cut give it a
vote, it is the old one: a new one is only given to a learner that has acknowledged. A peer that is behind may not know better,
so others are asked, and the same one again; if all go on saying so, the node stops (it must be removed and added anew).

**After a crash in between** the mark is found. It says that the event log may be ahead of the Raft log, and the node goes
on catching up; without it, the same finding would be damage. The mark goes last.

The adjudicator starts anew at the event log's end, and recalls what it needs of the last window from there.
"""

from __future__ import annotations

import asyncio
import enum
import logging
from collections.abc import Callable
from typing import Protocol

from journal.environment import Disk
from journal.errors import BorealError, CorruptData, NodeFatal
from journal.event import Event
from journal.eventlog import EventLog
from journal.remotefeed import RETRY_SECONDS, Cut, FeedClient, FeedCut, FeedHeader, FeedRecords, FeedRefused
from journal.transport import Peer

logger = logging.getLogger(__name__)

_MARK = "catching-up"
_STILL_VOTER_MAX = 3
"""So often each peer may say that a member has a vote which it cannot have."""


class Mark(enum.Enum):
    """What the mark says."""

    NONE = b""
    BEHIND = b"behind"
    JOINING = b"joining"
    """The directory was empty: until it has caught up the node must not vote, nor acknowledge anything."""


def read_mark(disk: Disk, directory: str) -> Mark:
    """Whether the node stopped while it was catching up. Raises CorruptData."""
    if _MARK not in disk.names(directory):
        return Mark.NONE
    file = disk.open(f"{directory}/{_MARK}")
    try:
        content = file.read(file.size(), 0)
    finally:
        file.close()
    try:
        return Mark(content or b"nothing")
    except ValueError as error:
        raise CorruptData(f"{directory}/{_MARK} says {content[:20]!r}") from error


def write_mark(disk: Disk, directory: str, mark: Mark) -> None:
    """Say so; durable when it returns. Raises NodeFatal."""
    try:
        file = disk.open(f"{directory}/{_MARK}.tmp", create=True)
        try:
            file.truncate(0)
            file.write(mark.value, 0)
            file.synchronize()
        finally:
            file.close()
        disk.rename(f"{directory}/{_MARK}.tmp", f"{directory}/{_MARK}")
        disk.synchronize_directory(directory)
    except OSError as error:
        raise NodeFatal(f"cannot write {directory}/{_MARK}: {error}") from error


def remove_mark(disk: Disk, directory: str) -> None:
    """It is over. Raises NodeFatal."""
    try:
        disk.remove(f"{directory}/{_MARK}")
        disk.synchronize_directory(directory)
    except OSError as error:
        raise NodeFatal(f"cannot remove {directory}/{_MARK}: {error}") from error


class Laggard(Protocol):
    """Who catches up; the replica."""

    @property
    def events(self) -> EventLog:
        """Where the records go."""
        ...

    def sources(self) -> list[Peer]:
        """Whom to ask, the best first."""
        ...

    def take_records(self, events: list[Event]) -> None:
        """Publish what was appended."""
        ...

    async def continue_after(self, cut: Cut) -> None:
        """Make everything durable and let the Raft log begin after the cut."""
        ...


class CatchUp:
    """One member's catching up, for as long as it takes: it tries peers in turn, with a pause between."""

    def __init__(self, client: FeedClient, member: Laggard, running: Callable[[], bool]) -> None:
        self._client = client
        self._member = member
        self._running = running

    async def run(self) -> None:
        """Returns when the member can continue by Raft.

        Raises:
            NodeFatal: the disk fails, or no feed continues what this member has: it has another history."""
        attempt = corrupt = voter = 0
        while self._running():
            sources = self._member.sources()
            if sources:
                peer = sources[attempt % len(sources)]
                try:
                    if await self._from(peer, spares_leader=attempt < len(sources) - 1):
                        return
                except CorruptData as error:
                    corrupt += 1
                    logger.error("%s", error)
                    if corrupt > 2 * len(sources):
                        raise
                except StillVoter as error:
                    # A peer that is behind has not heard of the removal yet; or there has been none.
                    voter += 1
                    if voter >= _STILL_VOTER_MAX * len(sources):
                        raise NodeFatal(str(error)) from error
                    logger.warning("%s says that %s", peer.name, error)
                except (OSError, FeedRefused) as error:
                    logger.warning("catching up from %s failed: %s", peer.name, error)
            attempt += 1
            await asyncio.sleep(RETRY_SECONDS)

    async def _from(self, peer: Peer, *, spares_leader: bool) -> bool:
        member = self._member
        events = member.events
        stream = self._client.open(peer, events.position + 1, events.open_part, until_cut=True)
        logger.info("catching up from %s, from position %d on", peer.name, events.position + 1)
        try:
            async for message in stream:
                if not self._running():
                    return False
                if isinstance(message, FeedHeader):
                    # A member that joins does not hear the leader, and so learns only here who it is.
                    if message.leads and spares_leader:
                        logger.info("%s leads: another member is asked first", peer.name)
                        return False
                    continue
                if isinstance(message, FeedRecords):
                    self._take(peer, message)
                    await asyncio.sleep(0)  # a reader whose next frame is there does not wait
                    continue
                await self._end(peer, message)
                return True
        finally:
            await stream.aclose()  # type: ignore[attr-defined]
        return False

    def _take(self, peer: Peer, message: FeedRecords) -> None:
        """Append a message's records, and publish their events together; parts of a large one go by themselves."""
        events, member = self._member.events, self._member
        appended: list[Event] = []
        try:
            for kind, index, payload in message.records:
                found = events.append_record(f"the feed of {peer.name}", kind, index, payload)
                if appended and (found[0].part or found[0].more):
                    member.take_records(appended)
                    appended = []
                appended += found
                if found[0].part or found[0].more:
                    member.take_records(appended)
                    appended = []
        finally:
            # Also before an error: what is in the event log must be with the subscribers.
            if appended:
                member.take_records(appended)

    async def _end(self, peer: Peer, message: FeedCut) -> None:
        events = self._member.events
        if message.position != events.position or message.raft_index < events.raft_index:
            raise FeedRefused(f"{peer.name} is not ahead of this member")
        await self._member.continue_after(Cut(message.raft_index, message.raft_term, message.configuration))
        logger.info("caught up with %s at position %d, Raft entry %d", peer.name, events.position, message.raft_index)


class StillVoter(BorealError):
    """Of a member whose directory was empty: where the feed ends, it has the vote that its predecessor had."""

    sqlstate = "58000"


class NotReady(BorealError):
    """This member cannot serve: it is catching up itself."""

    sqlstate = "57P03"
