"""`boreal verify`: the event log is whole, and the view is its replay.

1. Every record of the event log: CRC, contiguous positions, rising timestamps, the hash chain from the first event.
2. The Raft log's records.
3. The events are replayed into a fresh view in a temporary directory, up to the frontier of the node's own view, and the two
   are compared, version by version.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from deploy.directory import lock
from journal.environment import real_environment
from journal.event import Event
from journal.eventlog import EventLog
from journal.raftlog import RaftLog
from storage.view import Difference, View, compare, replay


@dataclass
class Report:
    """What was found.

    Attributes:
        events: number of events in the journal, all of them checked.
        frontier: position of the view; `events` - `frontier` will be replayed at the next start.
        differences: where the view is not what replay gives (at most ten).
    """

    events: int
    frontier: int
    hash: str
    differences: list[Difference] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether everything holds."""
        return not self.differences

    def to_dict(self) -> dict[str, object]:
        """For --json."""
        return {
            "ok": self.ok,
            "events": self.events,
            "view_position": self.frontier,
            "hash": self.hash,
            "differences": [difference.key.hex() for difference in self.differences],
        }

    def to_text(self) -> str:
        """For people."""
        lines = [
            f"journal: {self.events} events, hash chain intact, ends in {self.hash[:16]}…",
            f"view: at position {self.frontier}" + (", equal to the replay of the journal" if self.ok else ""),
        ]
        lines += [f"view differs from the journal at key {difference.key.hex()}" for difference in self.differences]
        return "\n".join(lines)


def verify_directory(directory: Path) -> Report:
    """Check a stopped node's data directory.

    Raises:
        CorruptData: the journal itself is damaged; the message names file and offset.
        OSError: there is no such directory, or it cannot be read.
    """
    if not (directory / "journal").is_dir():
        raise FileNotFoundError(f"{directory} holds no journal")
    with lock(directory):
        return _verify(directory)


def _verify(directory: Path) -> Report:
    log = EventLog(real_environment().disk, str(directory / "journal" / "events"))
    for _ in log.verify():
        pass
    RaftLog(
        real_environment().disk, str(directory / "journal" / "raft")
    ).abandon()  # opening reads and checks every record
    view = View(directory / "view")
    with tempfile.TemporaryDirectory(prefix="boreal-verify-", dir=directory) as temporary:
        replayed = replay(_through(log, view.frontier.position), Path(temporary) / "view")
        differences = compare(view, replayed)
        replayed.close()
    report = Report(log.position, view.frontier.position, log.hash.hex(), differences)
    view.close()
    log.close()
    return report


def _through(log: EventLog, position: int) -> Iterator[Event]:
    for event in log.read(1) if log.position else ():
        if event.position > position:
            return
        yield event
