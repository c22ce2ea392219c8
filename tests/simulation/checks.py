"""What must hold when a run has ended: the event log against everything that clients did and were told.

The event log is the truth; `replay` of it gives every state that ever was. What the transactions of the history read, wrote and
were told is judged by `tests/checker` (`evidence.py`): as clients see it, and with the event log at hand. Here is what is
the journal's own: logs and views that must be alike, ranges, refusals and their reasons, ids and what `status` said.
"""

from __future__ import annotations

from collections.abc import Iterator

from journal.event import Event, Outcome
from tests.simulation.cluster import Cluster, SimulatedNode
from tests.simulation.evidence import judge
from tests.simulation.history import History
from tests.simulation.rows import replay


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
    for node in cluster.members:
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
    return [*_check_presence(found, history), *_check_refusals(found, history), *judge(history, events)]


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


def _check_refusals(found: list[Transaction], history: History) -> Iterator[str]:
    """Who lost, lost to somebody; and who read a range and committed, found it unchanged."""
    written: list[tuple[int, list[bytes]]] = []
    by_txid = {transaction.txid: transaction for transaction in found}
    for transaction in found:
        attempt = history.attempts.get(transaction.txid)
        if attempt is not None and attempt.ranges:
            for commit_ts, keys in reversed(written):
                if commit_ts <= attempt.snapshot:
                    break
                if any(low <= key < high for key in keys for low, high in attempt.ranges):
                    yield f"serializable transaction {transaction.txid} committed although a range it read had changed"
        written.append((transaction.commit_ts, [key for key, _, _ in transaction.writes]))
    for txid, attempt in history.attempts.items():
        if attempt.outcome is Outcome.CONFLICT and attempt.winner:
            winner = by_txid.get(attempt.winner)
            if winner is None or winner.commit_ts <= attempt.snapshot:
                yield f"transaction {txid} lost to {attempt.winner}, which it had seen or which never committed"
