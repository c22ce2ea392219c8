"""Housekeeping: the event log is made durable now and then, and the Raft log is kept small.

Compaction: when the Raft log has grown, the event log is synchronized, a snapshot is written, and whole Raft segments
below the applied index are dropped, but none that a staged transaction or a (reasonably near) peer still needs. The
disk's part runs in a thread, where there is a real disk; a simulated one is served at once, so that the order of events
depends on nothing but the simulation's seed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from journal.environment import Disk
from journal.eventlog import EventLog
from journal.raftlog import RaftLog
from journal.settings import ReplicaSettings
from journal.snapshot import Snapshot, save_snapshot
from journal.statemachine import StateMachine


class Housekeeper:
    """Of one replica.

    Args:
        snapshot: what holds now.
        may_compact: False while an event is being published in parts.
        matched: the lowest Raft index that some peer, which is to be waited for, has; None if there is none.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        disk: Disk,
        settings: ReplicaSettings,
        log: RaftLog,
        events: EventLog,
        machine: StateMachine,
        *,
        snapshot: Callable[[], Snapshot],
        may_compact: Callable[[], bool],
        matched: Callable[[], int | None],
    ) -> None:
        self._loop = loop
        self._disk = disk
        self._settings = settings
        self._log = log
        self._events = events
        self._machine = machine
        self._snapshot = snapshot
        self._may_compact = may_compact
        self._matched = matched
        self._synced_at = loop.time()
        self._in_thread = log.file.fileno() >= 0
        self.busy = False
        """Whether `run` is under way; it must not be entered twice."""

    @property
    def due(self) -> bool:
        """Whether there is something to do."""
        if self._log.bytes_kept > self._settings.compact_bytes:
            return True
        return self._events.dirty and self._loop.time() - self._synced_at > self._settings.event_log_sync_seconds

    async def run(self, running: Callable[[], bool]) -> None:
        """Synchronize the event log, then drop what the Raft log need not keep."""
        try:
            staged_from = self._machine.staging.oldest_index()
            state = self._snapshot()
            compact = self._log.bytes_kept > self._settings.compact_bytes and self._may_compact()
            if self._in_thread:
                await self._loop.run_in_executor(None, self._make_durable, state if compact else None)
            else:
                self._make_durable(state if compact else None)
            self._synced_at = self._loop.time()
            if compact and running():
                self._log.compact(self._compaction_index(state.raft_index, staged_from))
        finally:
            self.busy = False

    async def make_durable(self, state: Snapshot) -> None:
        """Synchronize the event log, then write this snapshot."""
        if self._in_thread:
            await self._loop.run_in_executor(None, self._make_durable, state)
        else:
            self._make_durable(state)

    def _make_durable(self, state: Snapshot | None) -> None:
        self._events.synchronize()
        self._log.prepare()
        if state is not None:
            save_snapshot(self._disk, self._settings.directory, state)

    def _compaction_index(self, applied: int, staged_from: int | None) -> int:
        """Entries below may go. The one before the first staged stays: whoever is given a feed continues after it."""
        needed = [applied]
        if staged_from is not None:
            needed.append(staged_from - 1)
        matched = self._matched()
        if matched is not None and self._log.bytes_kept < self._settings.lagging_bytes_max:
            needed.append(matched)
        return min(needed)
