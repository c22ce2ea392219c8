"""The newest versions of keys that were written lately, in memory.

What was just written is what is read next: branches and tellers of a bank, counters, queues, the row that another session wants to
update too. `VersionedStore` asks here before RocksDB, whose seek costs twenty times a look-up in a dict, and so does whoever wants
to know whether certain keys have changed after a snapshot.

    apply ──note──▶ young ──when full──▶ older ──when young is full again──▶ forgotten
                      ▲                    ▲
                      └────── find ────────┘

Everything written after `known_since` is here, so that a miss says something, too: the key has not been written since. Two
generations of bounded size make forgetting cheap: a whole dict is dropped, at most `KEYS_MAX` keys, well below a millisecond. An
event of many writes is not remembered; it moves `known_since` instead.

HOT PATH. One or two dict look-ups. Guarded by tests/storage/bench_storage.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from journal.event import Event

KEYS_MAX = 10_000
"""Keys of one generation."""

BYTES_MAX = 8 << 20
"""Bytes of the values of one generation."""

EVENT_WRITES_MAX = 500
"""An event of more writes than this is not remembered."""

Version = tuple[int, bytes]
"""(commit timestamp in µs, value; b"" is a tombstone)"""


class RecentVersions:
    """See the module's text.

    Attributes:
        known_since: commit timestamp (µs); what was written after it is known here.
        young, older: key without version → newest version.
    """

    __slots__ = ("_bytes", "_young_since", "known_since", "older", "young")

    def __init__(self, commit_ts: int) -> None:
        self.young: dict[bytes, Version] = {}
        self.older: dict[bytes, Version] = {}
        self.known_since = commit_ts
        self._young_since = commit_ts
        self._bytes = 0

    def note(self, events: Sequence[Event]) -> None:
        """Remember what complete, applied events have written."""
        young = self.young
        for event in events:
            writes = event.writes
            commit_ts = event.commit_ts
            if event.more or event.part or len(writes) > EVENT_WRITES_MAX:
                self._forget(commit_ts)
                young = self.young
                continue
            for key, value, _ in writes:
                young[key] = (commit_ts, value)
                self._bytes += len(value)
            if len(young) > KEYS_MAX or self._bytes > BYTES_MAX:
                self.older = young
                self.known_since = self._young_since
                self._young_since = commit_ts
                self._bytes = 0
                young = self.young = {}

    def _forget(self, commit_ts: int) -> None:
        self.young = {}
        self.older = {}
        self._bytes = 0
        self.known_since = self._young_since = commit_ts

    def find(self, key: bytes) -> Version | None:
        """The newest version of a key, if it was written after `known_since`."""
        return self.young.get(key) or self.older.get(key)

    def changed(self, keys: Iterable[bytes], snapshot: int) -> bool | None:
        """Whether one of the keys was written after `snapshot`; None where that is too long ago to tell."""
        if snapshot < self.known_since:
            return None
        young, older = self.young, self.older
        for key in keys:
            version = young.get(key) or older.get(key)
            if version is not None and version[0] > snapshot:
                return True
        return False
