"""Clients of the journal: they live on a node, read its view at its frontier, and propose there.

A client proposes at its own node, whichever that is. A refusal (NOT_LEADER) is followed by a pause and another try; so the
same clients do for a journal in which only the leader takes proposals and for one that forwards them.

Transactions:
- *bank*: move money between two of eight accounts, or read all of them: the total never changes.
- *append*: add the own transaction id to a list, which shows every order, loss and duplicate.
- *locks*: lock rows of the bank in different strengths, with or without writing a register.
- *serializable*: read some lists and registers, and a range; write a register.
- *large*: more than one Raft entry, in fragments; some beyond the bound of keys, judged by relations.
- *again*: propose an id again whose outcome is unknown, or ask some node for it, and then perhaps propose it again.
- *burst*: several of these at once, so that blocks hold more than one proposal and most of them conflict.

Half of them are strong: they wait as a session on this node would, on whatever read path serves (`deploy.reads`). The
others take what is there, so that a node without a leader still proposes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random

from deploy.reads import ReplicaReads
from frontend.errors import SqlError
from journal.event import LockStrength, Outcome, Proposal, Verdict, WriteKind
from journal.replica import Replica, TransactionStatus
from tests.checker.history import ReadPath
from tests.simulation.cluster import SimulatedNode
from tests.simulation.history import Attempt, History, SnapshotRead
from tests.simulation.keys import ACCOUNT_KEYS, ACCOUNT_START, BULK, LIST, REGISTER_KEYS, TOTAL, list_keys

STATUS_SECONDS_MAX = 15.0
"""How long whoever is asked for an outcome may take; it may have crashed."""

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
        self._session = node.incarnation * 1_000_000
        self._apart = False
        self._reads = ReplicaReads(
            self._replica,
            node.clock,
            preference=self._chance.choice(("auto", "index", "clock")),
            error_us=None,
            fast_commit=self._cluster.shape.fast_commit,
            timeout_seconds=1.0,
        )

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

    async def flood(self, count: int) -> None:
        """Append and append, without waiting for any answer."""
        self._apart = True
        for _ in range(count):
            self._cluster.loop.create_task(self._append())
            await asyncio.sleep(0.004)

    # ---- transactions -----------------------------------------------------------------------------------------------

    async def _transfer(self) -> None:
        attempt = await self._begin()
        source, target = self._chance.sample(ACCOUNT_KEYS, 2)
        money = min(self._chance.randrange(1, 20), amount(self._read(attempt, source)))
        for key, change in ((source, -money), (target, money)):
            balance = amount(self._read(attempt, key)) + change
            attempt.writes.append((key, b"%d" % balance, int(WriteKind.UPDATE)))
        await self._commit(attempt)

    async def _append(self) -> None:
        attempt = await self._begin()
        for key in self._chance.sample(list_keys(self._cluster.loop.time()), self._chance.choice((1, 1, 2))):
            entries = (self._read(attempt, key) or b"").split()
            entries.append(b"%d" % attempt.txid)
            attempt.writes.append((key, b" ".join(entries), int(WriteKind.UPDATE)))
        await self._commit(attempt)

    async def _audit(self) -> None:
        """A read of everything: a strong one where this node can tell that it is up to date."""
        history, began_us = self._history, self._now_us()
        path = await self._strongly() or ReadPath.AS_OF
        snapshot = self._rows.snapshot
        keys = (*ACCOUNT_KEYS, *REGISTER_KEYS, *list_keys(self._cluster.loop.time()))
        reads = {key: self._rows.get(key, snapshot) for key in keys}
        total = sum(amount(reads[key]) for key in ACCOUNT_KEYS)
        if total != TOTAL:
            history.violation(f"the bank holds {total} instead of {TOTAL} at {self._name}, snapshot {snapshot}")
        history.reads.append(
            SnapshotRead(
                self._node.name, self._name, self._session_now(), path, began_us, self._now_us(), snapshot, reads
            )
        )

    async def _lock(self) -> None:
        attempt = await self._begin()
        for key in self._chance.sample(ACCOUNT_KEYS[:3], self._chance.randrange(1, 3)):
            self._read(attempt, key)
            attempt.locks.append((key, self._chance.choice(_STRENGTHS)))
        if self._chance.random() < 0.5:
            key = self._chance.choice(REGISTER_KEYS)
            attempt.writes.append(
                (key, b"%d" % attempt.txid, int(self._chance.choice((WriteKind.UPDATE, WriteKind.INSERT))))
            )
        await self._commit(attempt)

    async def _serializable(self) -> None:
        attempt = await self._begin()
        attempt.read_keys = self._chance.sample((*REGISTER_KEYS, *list_keys(self._cluster.loop.time())), 2)
        for key in attempt.read_keys:
            self._read(attempt, key)
        if self._chance.random() < 0.3:
            attempt.ranges.append((LIST, LIST + b"2"))
        key = self._chance.choice(REGISTER_KEYS)
        attempt.writes.append((key, b"%d" % attempt.txid, int(WriteKind.UPDATE)))
        await self._commit(attempt)

    async def _large(self) -> None:
        """In fragments; of the two kinds one is judged by keys, the other by relations."""
        attempt = await self._begin()
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
        self._apart = True
        await asyncio.gather(*[self._chance.choice(some)() for _ in range(count)])
        self._apart = False

    async def _again(self) -> None:
        """The outcome of a transaction is unknown: ask, or propose it once more."""
        attempt, self._unknown = self._unknown, None
        if attempt is None:
            return
        if self._chance.random() < 0.5:
            asked = self._chance.choice([node for node in self._cluster.nodes if node.up])
            assert asked.replica is not None
            # By the process that is asked: what it began to do must not end with the one that asks.
            answer = asked.call(self._cluster.loop.create_task, asked.replica.resolve(attempt.txid))
            done, _ = await asyncio.wait({answer}, timeout=STATUS_SECONDS_MAX)
            if not done:
                return  # whom it asked has crashed
            status = answer.result()
            if status not in (TransactionStatus.ABORTED, TransactionStatus.COMMITTED):
                return
            attempt.resolved = status.value
            attempt.ended_us = self._now_us()
            self._cluster.trace(self._name, f"{attempt.txid} has {attempt.resolved}")
            if self._chance.random() < 0.5:
                return
        # What has been said of it holds, also for a proposal that comes late.
        await self._commit(attempt)

    # ---- parts ------------------------------------------------------------------------------------------------------

    async def _strongly(self) -> ReadPath | None:
        """Wait until a transaction that begins now may read strongly, and tell how; None if nobody can tell."""
        floor = self._history.newest_acknowledged
        path = ReadPath.LOCAL
        if self._reads.waits:
            path = ReadPath(self._reads.path)
            answered: asyncio.Future[SqlError | None] = self._cluster.loop.create_future()
            self._reads.barrier(answered.set_result)
            if await answered is not None:
                return None
        self._history.strong_reads[path] += 1
        if self._rows.snapshot < floor:
            self._history.violation(
                f"stale strong read at {self._name}, by {path.value}: snapshot {self._rows.snapshot}, but {floor} was "
                f"acknowledged before it began"
            )
        return path

    async def _begin(self) -> Attempt:
        began_us, path = self._now_us(), None
        if self._chance.random() < 0.5:
            path = await self._strongly()
        snapshot = self._rows.snapshot
        if self._chance.random() < 0.05:
            # A transaction that began a while ago.
            snapshot, path = max(0, snapshot - self._chance.choice((100_000, 2_000_000))), None
        txid = self._replica.transaction_ids.next()
        session = self._session_now()
        return Attempt(txid, self._node.name, self._name, session, path or ReadPath.AS_OF, began_us, snapshot)

    def _now_us(self) -> int:
        return round(self._cluster.loop.time() * 1e6)

    def _session_now(self) -> int:
        """A session's transactions come one after the other: what runs beside others has one of its own."""
        if self._apart:
            self._session += 1
        return self._session

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
            history.answer(attempt, verdict, began, self._now_us())
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
            self._session += 1
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
