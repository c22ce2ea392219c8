"""What clients saw, in the form that `tests.checker` judges, and when commits were acknowledged."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

from tests.checker.history import Isolation, Operation, Outcome, Transaction

EXPECTED_SQLSTATES = frozenset({"40001", "40003", "53100", "53400", "57P01", "57P03"})
"""What faults explain: conflict, unknown outcome, full disk, full queue, a node that stops, a node without a majority."""
_MESSAGES_MAX = 20


def now_us() -> int:
    """The one clock of all clients."""
    return time.monotonic_ns() // 1000


@dataclass
class Attempt:
    """A transaction while it runs."""

    client: str
    process: int
    node: str
    isolation: Isolation = Isolation.SNAPSHOT
    began_us: int = field(default_factory=now_us)
    operations: list[Operation] = field(default_factory=list)
    snapshot_us: int | None = None
    txid: int | None = None
    committing: bool = False


class Recorder:
    """Collects attempts as they end.

    Attributes:
        keyed, bank: by workload; balances repeat, so the bank is judged by itself.
        commits: acknowledged transactions that wrote: (when, µs; the gateway's node), in order.
        refusals: by SQLSTATE. `gone`: connections that ended.
        surprises: errors that no fault explains.
    """

    def __init__(self) -> None:
        self.keyed: list[Transaction] = []
        self.bank: list[Transaction] = []
        self.commits: list[tuple[int, str]] = []
        self.outcomes: Counter[Outcome] = Counter()
        self.refusals: Counter[str] = Counter()
        self.gone = 0
        self.surprises: list[str] = []

    def ended(self, attempt: Attempt, outcome: Outcome, error: str = "", *, bank: bool) -> None:
        """The attempt has its answer, or will never have one."""
        transaction = Transaction(
            client=attempt.client,
            process=attempt.process,
            began_us=attempt.began_us,
            ended_us=now_us(),
            outcome=outcome,
            operations=tuple(attempt.operations),
            node=attempt.node,
            isolation=attempt.isolation,
            snapshot_us=attempt.snapshot_us,
            txid=attempt.txid,
            error=error,
        )
        (self.bank if bank else self.keyed).append(transaction)
        self.outcomes[outcome] += 1
        if outcome is Outcome.COMMITTED and transaction.writes:
            self.commits.append((transaction.ended_us, attempt.node))

    def refused(self, where: str, sqlstate: str, message: str) -> None:
        """The database said no."""
        self.refusals[sqlstate] += 1
        if sqlstate not in EXPECTED_SQLSTATES and len(self.surprises) < _MESSAGES_MAX:
            self.surprises.append(f"{where}: {message}")
