"""Clients of the journal: they live on a node, read its view at its frontier, and propose there.

A client proposes at its own node, whichever that is. A refusal (NOT_LEADER) is followed by a pause and another try; so the
same clients do for a journal in which only the leader takes proposals and for one that forwards them.

Transactions:
- *bank*: move money between two of eight accounts, or read all of them: the total never changes.
- *append*: add the own transaction id to a list, which shows every order, loss and duplicate.
- *locks*: lock rows of the bank in different strengths, with or without writing.
- *serializable*: read some keys and a range, write elsewhere.
- *large*: more than one Raft entry, in fragments; some beyond the bound of keys, judged by relations.
- *again*: propose an id again whose outcome is unknown, or ask some node for it, and then perhaps propose it again.
- *burst*: several of these at once, so that blocks hold more than one proposal and most of them conflict.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random

from journal.event import LockStrength, Outcome, Proposal, Verdict, WriteKind
from journal.replica import Replica, TransactionStatus
from tests.simulation.cluster import SimulatedNode
from tests.simulation.history import Attempt, History, SnapshotRead

ACCOUNTS = 8
ACCOUNT_START = 100
TOTAL = ACCOUNTS * ACCOUNT_START
LISTS = 4
STATUS_SECONDS_MAX = 15.0
LIST_MAX = 60
"""Entries of a list; an older one is dropped for each that is added."""

BANK = b"\0\0\0\7\0\1"
LIST = b"\0\0\0\x08\0\1"
BULK = b"\0\0\0\x09\0\1"

ACCOUNT_KEYS = [BANK + b"%d" % number for number in range(ACCOUNTS)]
LIST_KEYS = [LIST + b"%d" % number for number in range(LISTS)]
_STRENGTHS = (int(LockStrength.KEY_SHARE), int(LockStrength.EXCLUSIVE), int(LockStrength.NO_KEY_UPDATE))


def amount(value: bytes | None) -> int:
    """An account's balance; accounts that are not there have their first balance still."""
    return ACCOUNT_START if value is None else int(value)


class Client:
    """One client on one incarnation of a node.

    Args:
        node: where.
        number: of this client on the node.
        history: where its life is recorded.
        pause_seconds: mean time between two transactions.
        going: False when it is to end.
    """

    def __init__(
        self, node: SimulatedNode, number: int, history: History, pause_seconds: float, going: Callable[[], bool]
    ) -> None:
        assert node.replica is not None
        assert node.process is not None
        self._node = node
        self._name = f"{node.name}.{number}"
        self._replica: Replica = node.replica
        self._rows = node.rows
        self._process = node.process
        self._cluster = node.cluster
        self._history = history
        self._pause_seconds = pause_seconds
        self._going = going
        self._chance = Random(f"{node.cluster.seed}/client/{self._name}/{node.incarnation}")
        self._unknown: Attempt | None = None

    async def run(self) -> None:
        """Transactions until told to end."""
        single = (self._transfer, self._append, self._audit, self._lock, self._serializable, self._large, self._again)
        actions = (*single, self._burst)
        weights = (8, 6, 6, 3, 3, 1, 2, 3)
        while self._going():
            await asyncio.sleep(self._chance.expovariate(1.0) * self._pause_seconds)
            await self._chance.choices(actions, weights)[0]()

    async def read_on(self) -> None:
        """Only read: also while the others wait for verdicts that do not come."""
        while self._going():
            await asyncio.sleep(self._chance.expovariate(1.0) * self._pause_seconds)
            await self._audit()

    # ---- transactions -----------------------------------------------------------------------------------------------

    async def _transfer(self) -> None:
        attempt = self._begin()
        source, target = self._chance.sample(ACCOUNT_KEYS, 2)
        money = self._chance.randrange(1, 20)
        for key, change in ((source, -money), (target, money)):
            balance = amount(self._read(attempt, key)) + change
            attempt.writes.append((key, b"%d" % balance, int(WriteKind.UPDATE)))
        await self._commit(attempt)

    async def _append(self) -> None:
        attempt = self._begin()
        for key in self._chance.sample(LIST_KEYS, self._chance.choice((1, 1, 2))):
            entries = (self._read(attempt, key) or b"").split()[-LIST_MAX:]
            entries.append(b"%d" % attempt.txid)
            attempt.writes.append((key, b" ".join(entries), int(WriteKind.UPDATE)))
        await self._commit(attempt)

    async def _audit(self) -> None:
        """A read of everything: a strong one where this node can tell that it is up to date."""
        history = self._history
        floor = history.newest_acknowledged
        strong = await self._is_current()
        snapshot = self._rows.snapshot
        if strong:
            history.strong_reads += 1
            if snapshot < floor:
                history.violation(
                    f"stale strong read at {self._name}: snapshot {snapshot}, but {floor} was acknowledged before it began"
                )
        read = SnapshotRead(f"{'strong' if strong else 'local'} read at {self._name}", snapshot, {})
        for key in (*ACCOUNT_KEYS, *LIST_KEYS):
            read.reads[key] = self._rows.get(key, snapshot)
        total = sum(amount(read.reads[key]) for key in ACCOUNT_KEYS)
        if total != TOTAL:
            history.violation(f"the bank holds {total} instead of {TOTAL} at {self._name}, snapshot {snapshot}")
        history.reads.append(read)

    async def _lock(self) -> None:
        attempt = self._begin()
        for key in self._chance.sample(ACCOUNT_KEYS[:3], self._chance.randrange(1, 3)):
            self._read(attempt, key)
            attempt.locks.append((key, self._chance.choice(_STRENGTHS)))
        if self._chance.random() < 0.5:
            key = self._chance.choice(LIST_KEYS)
            attempt.writes.append(
                (key, b"%d" % attempt.txid, int(self._chance.choice((WriteKind.UPDATE, WriteKind.INSERT))))
            )
        await self._commit(attempt)

    async def _serializable(self) -> None:
        attempt = self._begin()
        attempt.read_keys = self._chance.sample(LIST_KEYS, 2)
        for key in attempt.read_keys:
            self._read(attempt, key)
        if self._chance.random() < 0.3:
            attempt.ranges.append((LIST + b"0", LIST + b"2"))
        key = self._chance.choice(LIST_KEYS)
        attempt.writes.append((key, b"%d" % attempt.txid, int(WriteKind.UPDATE)))
        await self._commit(attempt)

    async def _large(self) -> None:
        """In fragments; of the two kinds one is judged by keys, the other by relations."""
        attempt = self._begin()
        count = self._chance.choice((12, 40))
        token = b"%d." % attempt.txid * (3000 // count // 20)
        first = self._chance.randrange(60)
        attempt.writes = [
            (BULK + b"%03d" % number, token, int(WriteKind.UPDATE)) for number in range(first, first + count)
        ]
        await self._commit(attempt)

    async def _burst(self) -> None:
        some = (self._transfer, self._append, self._lock, self._lock, self._serializable)
        count = self._chance.randrange(2, 6)
        await asyncio.gather(*[self._chance.choice(some)() for _ in range(count)])

    async def _again(self) -> None:
        """The outcome of a transaction is unknown: ask, or propose it once more."""
        attempt, self._unknown = self._unknown, None
        if attempt is None:
            return
        if self._chance.random() < 0.5:
            asked = self._chance.choice([node for node in self._cluster.nodes if node.up]).replica
            assert asked is not None
            try:
                async with asyncio.timeout(STATUS_SECONDS_MAX):
                    status = await asked.resolve(attempt.txid)
            except TimeoutError:
                return  # whom it asked has crashed
            if status not in (TransactionStatus.ABORTED, TransactionStatus.COMMITTED):
                return
            attempt.resolved = status.value
            self._cluster.trace(self._name, f"{attempt.txid} has {attempt.resolved}")
            if self._chance.random() < 0.5:
                return
        # What has been said of it holds, also for a proposal that comes late.
        await self._commit(attempt)

    async def _is_current(self) -> bool:
        """Whether a read that begins now may be strong: by the journal's barrier where it has one (its callback gets None,
        or the verdict that refuses the read), else by the leader's lease."""
        barrier = getattr(self._replica, "read_barrier", None)
        if barrier is None:
            return self._replica.has_lease
        answered: asyncio.Future[Verdict | None] = self._cluster.loop.create_future()
        barrier(answered.set_result)
        return await answered is None

    # ---- parts ------------------------------------------------------------------------------------------------------

    def _begin(self) -> Attempt:
        snapshot = self._rows.snapshot
        if self._chance.random() < 0.05:
            # A transaction that began a while ago.
            snapshot = max(0, snapshot - self._chance.choice((100_000, 2_000_000)))
        return Attempt(self._replica.transaction_ids.next(), self._name, snapshot, {})

    def _read(self, attempt: Attempt, key: bytes) -> bytes | None:
        value = self._rows.get(key, attempt.snapshot)
        attempt.reads[key] = value
        return value

    async def _commit(self, attempt: Attempt) -> None:
        """Propose, and record the verdict the moment it comes."""
        history, process = self._history, self._process
        await asyncio.sleep(self._chance.choice((0.0, 0.0, 0.002, 0.05)))
        if attempt.txid not in history.attempts:
            history.begin(attempt)
        began = self._cluster.loop.time()
        answered = self._cluster.loop.create_future()

        def answer(verdict: Verdict) -> None:
            if not process.alive:
                return
            history.answer(attempt, verdict, began)
            self._cluster.trace(self._name, f"{attempt.txid} {_told(verdict)}")
            if verdict.committed:
                self._check_own(attempt, verdict)
            answered.set_result(verdict)

        self._replica.propose(
            Proposal(
                attempt.txid,
                attempt.snapshot,
                list(attempt.writes),
                list(attempt.locks),
                list(attempt.read_keys),
                list(attempt.ranges),
                provenance=(self._node.number, "client", self._name),
            ),
            answer,
        )
        verdict = await answered
        if verdict.outcome is Outcome.UNKNOWN:
            self._unknown = attempt
        elif verdict.outcome is Outcome.NOT_LEADER:
            await asyncio.sleep(0.1)

    def _check_own(self, attempt: Attempt, verdict: Verdict) -> None:
        """A session sees its own commit at once."""
        if self._rows.position < verdict.position:
            self._history.violation(f"{self._name} was told that {attempt.txid} committed before its view had it")
            return
        for key, value, _ in attempt.writes:
            if self._rows.get(key, verdict.commit_ts) != value:
                self._history.violation(f"{self._name} does not see its own commit {attempt.txid}")
                return


def _told(verdict: Verdict) -> str:
    if verdict.committed:
        return f"committed at {verdict.position}"
    return f"{verdict.outcome.name.lower()}{': ' + verdict.reason if verdict.reason else ''}"
