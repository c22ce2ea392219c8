"""Bounds and timing of a replica, in one place."""

from __future__ import annotations

from dataclasses import dataclass

from journal.adjudicator import BULK_KEYS_MAX_DEFAULT, WINDOW_US_DEFAULT


@dataclass(frozen=True)
class ReplicaSettings:
    """Bounds and timing. Bytes are of encoded form."""

    node: int = 0
    name: str = "node-0"
    cluster: str = "boreal"
    directory: str = "journal"
    joining: bool = False
    """An empty directory is to be filled from the others, and the node waits to be added; otherwise it is a founder's."""
    witness: bool = False
    """Whether this node has no role but the journal's: it votes, and leads only if nobody else can."""
    window_us: int = WINDOW_US_DEFAULT
    bulk_keys_max: int = BULK_KEYS_MAX_DEFAULT
    entry_bytes_max: int = 1 << 20
    """A block's and a fragment's size; larger proposals go in fragments."""
    block_proposals_max: int = 1024
    turn_bytes_max: int = 4 << 20
    """Entries ordered between two synchronizations."""
    waiting_proposals_max: int = 20_000
    """Proposals that wait to be ordered; at a follower, those on their way and not decided."""
    waiting_bytes_max: int = 32 << 20
    transaction_bytes_max: int = 256 << 20
    staged_bytes_max: int = 1 << 30
    raft_segment_bytes: int = 32 << 20
    event_segment_bytes: int = 64 << 20
    compact_bytes: int = 64 << 20
    """The Raft log is compacted when it is larger."""
    lagging_bytes_max: int = 1 << 30
    """Beyond this a peer that lags no longer holds compaction back."""
    peer_bytes_in_flight_max: int = 8 << 20
    """Entries sent to one peer and not acknowledged; at the bound it gets heartbeats only."""
    event_log_sync_seconds: float = 2.0
    heartbeat_seconds: float = 0.1
    election_seconds_min: float = 0.6
    election_seconds_max: float = 1.2
    unknown_after_seconds: float = 10.0
    """A proposal whose leader lost its office or its connection is answered UNKNOWN after this; sooner where no leader is heard."""
    read_timeout_seconds: float = 1.0
    """A strong read that could not be confirmed by then is refused."""
    closed_seconds: float = 0.0
    """How often the leader promises a closed timestamp beside its heartbeats; 0: with heartbeats only."""
    drain_seconds: float = 5.0
    transfer_seconds: float = 2.0
    """A leadership transfer that has not succeeded by then is given up."""
    leader_preferred: str = ""
    """The member that should lead when it can."""
    fast_commit: bool = False
    """Of three voters a follower takes an entry for committed when it has it durably (`journal.DESIGN`)."""
    commit_lead_ms: float = 0.0
    """How far commit timestamps lead the clock; a COMMIT is acknowledged when its timestamp has passed."""
