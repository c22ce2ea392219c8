"""What the checkers answer: named anomalies, each explained a line at a time.

    check / prove / check_bank ──▶ Report(examined, anomalies)    report.ok    str(report)

A name is one of `AnomalyKind`, the field's own word where there is one. Cycles that exist only because of session order
or real-time order carry that order as a suffix: `G-single-realtime` is a cycle with one anti-dependency that needs the
fact that one transaction had ended before another began.

A damaged run may hold as many anomalies as transactions. `Findings` keeps the first `KEPT_PER_KIND` of each kind and
counts the rest, so that neither memory nor the reader drowns.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from tests.checker.history import Append, Key, Operation, ReadList, ReadRegister, Transaction, Write

KEPT_PER_KIND = 10
_ELEMENTS_SHOWN = 12
_OPERATIONS_SHOWN = 12
_TRANSACTIONS_SHOWN = 20


class AnomalyKind(enum.Enum):
    """What can be wrong; README.md explains each."""

    # Between operations of one transaction.
    INTERNAL = "internal inconsistency"
    # What a read returned.
    GARBAGE_READ = "garbage read"
    DUPLICATE_ELEMENT = "duplicate element"
    INCOMPATIBLE_ORDER = "incompatible order"
    CYCLIC_VERSIONS = "cyclic version order"
    G1A = "G1a"
    G1B = "G1b"
    # Cycles of dependencies.
    G0 = "G0"
    G1C = "G1c"
    G_SINGLE = "G-single"
    G_NONADJACENT = "G-nonadjacent"
    LONG_FORK = "long fork"
    LOST_UPDATE = "lost update"
    G2_ITEM = "G2-item"
    G2 = "G2"
    # Recency.
    LOST_WRITE = "lost write"
    STALE_READ = "stale read"
    READ_INVERSION = "read inversion"
    OWN_WRITES = "own writes"
    MONOTONIC_READS = "monotonic reads"
    # The journal's proof.
    JOURNAL_ORDER = "journal order"
    HASH_CHAIN = "hash chain"
    OVERLAPPING_WRITES = "overlapping writes"
    CHANGED_READ = "changed read"
    WRONG_READ = "read is not the snapshot's"
    WRONG_EVENT = "event is not the transaction's"
    MISSING_EVENT = "acknowledged but missing"
    DOUBLE_EVENT = "committed twice"
    ABORTED_EVENT = "aborted but committed"
    # Bank.
    WRONG_TOTAL = "wrong total"
    NEGATIVE_BALANCE = "negative balance"
    MISSING_ACCOUNT = "missing account"


class Order(enum.Enum):
    """Which order beyond the dependencies a cycle needs."""

    NONE = ""
    SESSION = "-session"
    REAL_TIME = "-realtime"


class Anomaly(msgspec.Struct, frozen=True):
    """One thing that must not be.

    Attributes:
        kind: see AnomalyKind.
        transactions: indices into the history.
        keys: concerned.
        lines: the explanation: what, then the transactions, then the edges or facts, one a line.
        order: see Order.
    """

    kind: AnomalyKind
    transactions: tuple[int, ...]
    keys: tuple[Key, ...]
    lines: tuple[str, ...]
    order: Order = Order.NONE

    @property
    def name(self) -> str:
        """The kind, with the order that it needs."""
        return self.kind.value + self.order.value

    def __str__(self) -> str:
        return "\n    ".join((f"{self.name}: {self.lines[0]}", *self.lines[1:]))


class Report(msgspec.Struct, frozen=True):
    """The verdict.

    Attributes:
        anomalies: the first few of each kind.
        counts: by name, all that were found.
        examined: what was looked at, for people and for tests that must not pass on nothing: (what, how many).
    """

    anomalies: tuple[Anomaly, ...]
    counts: dict[str, int]
    examined: tuple[tuple[str, int], ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.anomalies

    @property
    def names(self) -> frozenset[str]:
        """Names of the anomalies that were found."""
        return frozenset(self.counts)

    def __str__(self) -> str:
        examined = ", ".join(f"{count} {what}" for what, count in self.examined)
        if self.ok:
            return f"no anomaly in {examined}"
        counts = ", ".join(f"{name} × {count}" for name, count in sorted(self.counts.items()))
        return "\n".join((f"{counts} in {examined}", *map(str, self.anomalies)))


class Findings:
    """Collects anomalies of one history, in the order found, a bounded number of each kind."""

    def __init__(self, transactions: Sequence[Transaction]) -> None:
        self.transactions = transactions
        self.kept: list[Anomaly] = []
        self.counts: Counter[str] = Counter()
        self._concerned: set[frozenset[int]] = set()
        """The transactions of each kept anomaly between several."""

    def add(
        self,
        kind: AnomalyKind,
        what: str,
        indices: Iterable[int],
        keys: Iterable[Key] = (),
        facts: Iterable[str] = (),
        order: Order = Order.NONE,
    ) -> None:
        """Note an anomaly: `what` in one sentence, the transactions concerned, then facts or edges, one a line."""
        name = kind.value + order.value
        self.counts[name] += 1
        if self.counts[name] > KEPT_PER_KIND:
            return
        concerned = tuple(dict.fromkeys(indices))
        shown = [describe(index, self.transactions[index]) for index in concerned[:_TRANSACTIONS_SHOWN]]
        if len(shown) < len(concerned):
            shown.append(f"… and {len(concerned) - len(shown)} more transactions")
        lines = (what, *shown, *facts)
        self.kept.append(Anomaly(kind, concerned, tuple(dict.fromkeys(keys)), lines, order))
        if len(concerned) > 1:
            self._concerned.add(frozenset(concerned))

    def includes_any_of(self, transactions: set[int]) -> bool:
        """Whether an anomaly between several transactions has been kept, all of which are among these."""
        return any(concerned <= transactions for concerned in self._concerned)

    def report(self, *examined: tuple[str, int]) -> Report:
        """All of it."""
        return Report(tuple(self.kept), dict(self.counts), examined)


def merge(*reports: Report) -> Report:
    """Several reports on the same history as one."""
    counts: Counter[str] = Counter()
    for report in reports:
        counts.update(report.counts)
    anomalies = tuple(anomaly for report in reports for anomaly in report.anomalies)
    return Report(anomalies, dict(counts), tuple(entry for report in reports for entry in report.examined))


def show_elements(elements: Sequence[object]) -> str:
    """A list, shortened in the middle if it is long."""
    if len(elements) <= _ELEMENTS_SHOWN:
        return "[" + " ".join(map(str, elements)) + "]"
    half = _ELEMENTS_SHOWN // 2
    middle = f" … {len(elements) - 2 * half} more … "
    return "[" + " ".join(map(str, elements[:half])) + middle + " ".join(map(str, elements[-half:])) + "]"


def show_operation(operation: Operation) -> str:
    """An operation in words."""
    match operation:
        case Append(key, value):
            return f"append {key} {value}"
        case ReadList(key, values):
            return f"read {key} → {show_elements(values)}"
        case Write(key, value):
            return f"write {key} {value}"
        case ReadRegister(key, value):
            return f"read {key} → {value}"
    raise TypeError(f"no operation: {operation!r}")


def describe(index: int, transaction: Transaction) -> str:
    """A transaction in one line."""
    place = "".join(f" at {name}" for name in (transaction.node or transaction.region,) if name)
    facts = [
        f"{name} {value}"
        for name, value in (
            ("snapshot", transaction.snapshot_us),
            ("commit", transaction.commit_us),
            ("position", transaction.position),
            ("txid", transaction.txid),
        )
        if value is not None
    ]
    shown = "; ".join(map(show_operation, transaction.operations[:_OPERATIONS_SHOWN]))
    more = len(transaction.operations) - _OPERATIONS_SHOWN
    return (
        f"T{index} ({transaction.client}/{transaction.process}{place}, {transaction.isolation.value}, "
        f"{transaction.read_path.value}, {transaction.began_us}–{transaction.ended_us} µs, {transaction.outcome.value}"
        f"{''.join(', ' + fact for fact in facts)}): {shown}{f'; … {more} more' if more > 0 else ''}"
    )
