"""What must hold when a run has ended: the event log against everything that clients did and were told.

The event log is the truth; `replay` of it gives every state that ever was. So the checks are linear in the run's length
and leave nothing to search for: each transaction's reads must be the replay's at its snapshot, no two that both
committed may have touched the same key in ways that exclude each other while the later one could not see the earlier,
and each answer must agree with what is in the log.
"""

from __future__ import annotations

from collections.abc import Iterator

from journal.event import Event, LockStrength, Outcome, WriteKind
from tests.simulation.cluster import Cluster, SimulatedNode
from tests.simulation.history import History
from tests.simulation.rows import Rows, replay

_SHARE, _UPDATE, _EXCLUSIVE = 1, 2, 3
# By the words of architecture §3, not by the adjudicator's table.
_TOUCH = {
    WriteKind.INSERT: _EXCLUSIVE,
    WriteKind.UPDATE: _UPDATE,
    WriteKind.DELETE: _EXCLUSIVE,
    WriteKind.KEY_UPDATE: _EXCLUSIVE,
    WriteKind.UNIQUE_PUT: _EXCLUSIVE,
    WriteKind.UNIQUE_DELETE: _EXCLUSIVE,
    LockStrength.KEY_SHARE: _SHARE,
    LockStrength.NO_KEY_UPDATE: _UPDATE,
    LockStrength.EXCLUSIVE: _EXCLUSIVE,
}
_EXCLUDES = frozenset(
    {(_EXCLUSIVE, _EXCLUSIVE), (_EXCLUSIVE, _UPDATE), (_UPDATE, _EXCLUSIVE), (_EXCLUSIVE, _SHARE)}
    | {(_SHARE, _EXCLUSIVE), (_UPDATE, _UPDATE)}
)


class Transaction:
    """One event, its parts put together."""

    __slots__ = ("bulk", "commit_ts", "given_up", "locks", "position", "txid", "writes")

    def __init__(self, event: Event) -> None:
        self.position = event.position
        self.commit_ts = event.commit_ts
        self.txid = event.txid
        self.bulk = event.bulk
        self.given_up = event.catalog_changes
        self.writes = list(event.writes)
        self.locks = list(event.locks)


def transactions(events: list[Event]) -> Iterator[Transaction]:
    """Whole transactions."""
    found: Transaction | None = None
    for event in events:
        if found is None:
            found = Transaction(event)
        else:
            found.writes += event.writes
            found.locks += event.locks
        if not event.more:
            yield found
            found = None


def check_logs(cluster: Cluster) -> list[str]:
    """Every node's event log proves itself, is the same as all others, and is what its view has."""
    problems = []
    reference: list[bytes] = []
    for node in cluster.nodes:
        events = node.replica.events  # type: ignore[union-attr]
        for _ in events.verify():
            pass
        found = list(events.read(events.first_position))
        hashes = [event.hash for event in found]
        if not reference:
            reference = hashes
        elif hashes != reference:
            at = next((i for i, pair in enumerate(zip(hashes, reference, strict=False)) if pair[0] != pair[1]), -1)
            problems.append(f"event logs differ: {node.name} has {len(hashes)}, {len(reference)}, first at {at}")
        if replay(found).contents() != node.rows.contents():
            problems.append(f"the view of {node.name} is not what replaying its event log gives")
        if node.rows.position != events.position:
            problems.append(f"the view of {node.name} is at {node.rows.position}, its event log at {events.position}")
    return problems


def check_history(node: SimulatedNode, history: History) -> list[str]:
    """The history against one node's event log; all are alike by `check_logs`."""
    events = list(node.replica.events.read(1))  # type: ignore[union-attr]
    found = list(transactions(events))
    rows = replay(events)
    return [
        *_check_order(found),
        *_check_presence(found, history),
        *_check_conflicts(found, history),
        *_check_reads(rows, history),
    ]


def _check_order(found: list[Transaction]) -> Iterator[str]:
    before = 0
    for place, transaction in enumerate(found):
        if transaction.position != place + 1:
            yield f"position {transaction.position} stands at {place + 1}"
        if transaction.commit_ts <= before:
            yield f"commit timestamps do not increase at position {transaction.position}"
        before = transaction.commit_ts


def _check_presence(found: list[Transaction], history: History) -> Iterator[str]:
    """Acknowledged: once, as told. Refused: never. Everything: as proposed."""
    by_txid: dict[int, Transaction] = {}
    for transaction in found:
        if transaction.txid in by_txid:
            yield f"transaction {transaction.txid} is in the log twice: {by_txid[transaction.txid].position}, {transaction.position}"
        by_txid[transaction.txid] = transaction
        attempt = history.attempts.get(transaction.txid)
        if attempt is None and transaction.given_up:
            continue
        if attempt is None:
            yield f"event {transaction.position} is of transaction {transaction.txid}, which nobody proposed"
        elif transaction.writes != attempt.writes or (not transaction.bulk and transaction.locks != attempt.locks):
            yield f"event {transaction.position} does not hold what transaction {transaction.txid} proposed"
    for txid, attempt in history.attempts.items():
        event = by_txid.get(txid)
        if attempt.outcome is Outcome.COMMITTED:
            if event is None:
                yield f"transaction {txid} was acknowledged at {attempt.node} and is lost"
            elif (event.position, event.commit_ts) != (attempt.position, attempt.commit_ts):
                yield f"transaction {txid} was acknowledged at position {attempt.position} and is at {event.position}"
        elif attempt.outcome is not None and event is not None:
            yield f"transaction {txid} was refused ({attempt.outcome.name}) at {attempt.node} and is in the log at {event.position}"
        if attempt.resolved == "committed" and event is None:
            yield f"transaction {txid} was said to have committed, and has not"
        if attempt.resolved == "aborted" and event is not None:
            yield f"transaction {txid} was said to have aborted, and is in the log at {event.position}"


def _check_conflicts(found: list[Transaction], history: History) -> Iterator[str]:
    """First committer wins: nothing that excludes one of a transaction's touches happened between its snapshot and its
    commit; and who lost, lost to somebody."""
    last: dict[bytes, dict[int, tuple[int, int]]] = {}
    written: list[tuple[int, list[bytes]]] = []
    by_txid = {transaction.txid: transaction for transaction in found}
    for transaction in found:
        attempt = history.attempts.get(transaction.txid)
        if attempt is None:
            continue
        touches = [(key, _TOUCH[kind]) for key, _, kind in transaction.writes if kind in _TOUCH]  # type: ignore[index]
        touches += [(key, _TOUCH[kind]) for key, kind in attempt.locks]  # type: ignore[index]
        for key, strength in touches:
            for other, (commit_ts, txid) in last.get(key, {}).items():
                if (strength, other) in _EXCLUDES and attempt.snapshot < commit_ts and txid != transaction.txid:
                    yield f"transactions {txid} and {transaction.txid} both committed; the second did not see the first"
        for commit_ts, keys in reversed(written):
            if commit_ts <= attempt.snapshot or not (attempt.read_keys or attempt.ranges):
                break
            for key in keys:
                if key in attempt.read_keys or any(low <= key < high for low, high in attempt.ranges):
                    yield f"serializable transaction {transaction.txid} committed although what it read had changed"
        for key, strength in touches:
            last.setdefault(key, {})[strength] = (transaction.commit_ts, transaction.txid)
        written.append((transaction.commit_ts, [key for key, _, _ in transaction.writes]))
    for txid, attempt in history.attempts.items():
        if attempt.outcome is Outcome.CONFLICT and attempt.winner:
            winner = by_txid.get(attempt.winner)
            if winner is None or winner.commit_ts <= attempt.snapshot:
                yield f"transaction {txid} lost to {attempt.winner}, which it had seen or which never committed"


def _check_reads(rows: Rows, history: History) -> Iterator[str]:
    for attempt in history.attempts.values():
        for key, value in attempt.reads.items():
            if rows.get(key, attempt.snapshot) != value:
                yield f"transaction {attempt.txid} at {attempt.node} read {value!r} from {key!r} at {attempt.snapshot}"
    for read in history.reads:
        for key, value in read.reads.items():
            if rows.get(key, read.snapshot) != value:
                yield f"{read.where} read {value!r} from {key!r} at {read.snapshot}, where it was not so"
