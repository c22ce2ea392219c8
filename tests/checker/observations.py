"""From transactions to keys: who wrote which value, and which version of each key everybody saw.

A transaction's read is *external* until the transaction writes the key; what it reads afterwards must be its own writes
on top of the version it saw. So each (transaction, key) has at most one external version, and everything else that it
read of the key follows from that and its own writes; if not, it is inconsistent in itself. (For a list, a first read
after own appends still tells the external version: take the own elements off its end.)

**Who counts.** The dependency graph is made of committed transactions. One of unknown outcome counts as committed if
somebody who counts has read what it wrote, or if its journal position is known; else its writes may have happened or
not, and nothing is concluded from them.
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.checker.history import (
    Append,
    Content,
    Elements,
    Key,
    MalformedHistory,
    Operation,
    Outcome,
    ReadList,
    Transaction,
    Value,
    Write,
)
from tests.checker.report import AnomalyKind, Findings, show_elements, show_operation


class KeyObservations:
    """All that a history says about one key.

    Attributes:
        is_list: a list, else a register.
        writer_of: value → the transaction that wrote it, whatever became of it.
        written_by: transaction → what it wrote, in order.
        reads: (transaction, external version), at most one for a transaction.
    """

    __slots__ = ("is_list", "key", "reads", "writer_of", "written_by")

    def __init__(self, key: Key, is_list: bool) -> None:
        self.key = key
        self.is_list = is_list
        self.writer_of: dict[Value, int] = {}
        self.written_by: dict[int, list[Value]] = {}
        self.reads: list[tuple[int, Content]] = []


class Observations:
    """A history, sorted by key.

    Attributes:
        transactions: the history.
        keys: by key.
        counted: by transaction, whether it counts as committed.
    """

    def __init__(self, transactions: Sequence[Transaction], findings: Findings) -> None:
        """Sort the history by key, and note what is inconsistent within a transaction.

        Raises:
            MalformedHistory: a value was written twice, a key is both list and register, or an end is before its begin.
        """
        self.transactions = transactions
        self.keys: dict[Key, KeyObservations] = {}
        self._findings = findings
        for index, transaction in enumerate(transactions):
            if transaction.ended_us < transaction.began_us:
                raise MalformedHistory(f"T{index} ended before it began")
            self._observe(index, transaction.operations)
        self.counted = [
            transaction.outcome is Outcome.COMMITTED
            or (transaction.outcome is Outcome.UNKNOWN and transaction.position is not None)
            for transaction in transactions
        ]
        self._promote_observed()

    def acknowledged(self, index: int) -> bool:
        """Whether the client knew, at the transaction's end, that it had committed."""
        return self.transactions[index].outcome is Outcome.COMMITTED

    def aborted(self, index: int) -> bool:
        """Whether the transaction has certainly not committed."""
        return self.transactions[index].outcome is Outcome.ABORTED

    def counted_reads(self, observations: KeyObservations) -> list[tuple[int, Content]]:
        """The external reads of those who count."""
        counted = self.counted
        return [read for read in observations.reads if counted[read[0]]]

    def _of_key(self, key: Key, is_list: bool) -> KeyObservations:
        observations = self.keys.get(key)
        if observations is None:
            observations = self.keys[key] = KeyObservations(key, is_list)
        elif observations.is_list != is_list:
            raise MalformedHistory(f"key {key!r} is used as a list and as a register")
        return observations

    def _observe(self, index: int, operations: Sequence[Operation]) -> None:
        external: dict[Key, Content] = {}
        for operation in operations:
            key = operation.key
            observations = self._of_key(key, isinstance(operation, Append | ReadList))
            if isinstance(operation, Append | Write):
                self._note_write(observations, index, operation.value)
                continue
            own = observations.written_by.get(index)
            version: Content
            if isinstance(operation, ReadList):
                version = self._external_list(index, operation, own)
            elif own is None:
                version = operation.value
            else:
                if operation.value != own[-1]:
                    self._inconsistent(index, operation, f"its own last write was {own[-1]}")
                continue
            if key not in external:
                external[key] = version
                observations.reads.append((index, version))
            elif external[key] != version:
                why = f"it had read another version before: {_show(external[key])}"
                self._inconsistent(index, operation, why)
        for key, version in external.items():
            own = self.keys[key].written_by.get(index)
            if own and version is not None and not set(own).isdisjoint(_values_of(version)):
                self._inconsistent_future(index, key)

    def _note_write(self, observations: KeyObservations, index: int, value: Value) -> None:
        other = observations.writer_of.setdefault(value, index)
        own = observations.written_by.setdefault(index, [])
        if other != index or value in own:
            raise MalformedHistory(
                f"value {value!r} of key {observations.key!r} was written twice, by T{other} and T{index}"
            )
        own.append(value)

    def _external_list(self, index: int, read: ReadList, own: list[Value] | None) -> Elements:
        if not own:
            return read.values
        base = read.values[: max(0, len(read.values) - len(own))]
        if read.values[len(base) :] != tuple(own):
            self._inconsistent(index, read, f"its own appends so far were {show_elements(own)}")
        return base

    def _inconsistent(self, index: int, operation: Operation, why: str) -> None:
        what = f"T{index} contradicts itself: {show_operation(operation)}, but {why}"
        self._findings.add(AnomalyKind.INTERNAL, what, [index], [operation.key])

    def _inconsistent_future(self, index: int, key: Key) -> None:
        what = f"T{index} contradicts itself: it read of {key} what it had not written yet"
        self._findings.add(AnomalyKind.INTERNAL, what, [index], [key])

    def _promote_observed(self) -> None:
        """Count those of unknown outcome whose writes somebody who counts has read, and so on until nothing changes."""
        unknown = [index for index, one in enumerate(self.transactions) if one.outcome is Outcome.UNKNOWN]
        waiting = {index for index in unknown if not self.counted[index]}
        if not waiting:
            return
        reads_of: dict[int, list[tuple[KeyObservations, Content]]] = {index: [] for index in waiting}
        promoted: list[int] = []

        def observe(observations: KeyObservations, version: Content) -> None:
            for writer in map(observations.writer_of.get, _values_of(version)):
                if writer in waiting:
                    waiting.remove(writer)
                    self.counted[writer] = True
                    promoted.append(writer)

        for observations in self.keys.values():
            for reader, version in observations.reads:
                if self.counted[reader] and reader not in reads_of:
                    observe(observations, version)
                elif reader in reads_of:
                    reads_of[reader].append((observations, version))
        while promoted:
            for observations, version in reads_of[promoted.pop()]:
                observe(observations, version)


def _values_of(version: Content) -> Elements:
    """The values that a version shows."""
    if isinstance(version, tuple):
        return version
    return () if version is None else (version,)


def _show(version: Content) -> str:
    return show_elements(version) if isinstance(version, tuple) else str(version)
