"""Clients: transactions against any gateway, until told to stop, believing only what the protocol lets them.

CommandComplete of COMMIT is committed. An error before COMMIT was sent, or one of COMMIT other than 40003 and 57P01, is not.
Those two, or a connection that ends while COMMIT is on its way, are unknown.

A client has a home gateway; when that fails it, it goes elsewhere, and home again later. Every transaction ends with a statement
that asks for its id and its snapshot, which the white-box proof needs; the snapshot of READ COMMITTED may move until then, and not
after.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from random import Random

from deploy.cluster import NodePlace
from tests.checker.history import Append, Isolation, Outcome, ReadList, ReadRegister, Write
from tests.cluster.chaos.recorder import Attempt, Recorder
from tests.cluster.chaos.sessions import Gone, Refused, Session

ACCOUNTS = 20
ACCOUNT_START = 100
TOTAL = ACCOUNTS * ACCOUNT_START

SCHEMA = (
    "CREATE TABLE list (id int PRIMARY KEY, elements int[] NOT NULL)",
    "CREATE TABLE register (id int PRIMARY KEY, value int NOT NULL)",
    "CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL)",
    f"INSERT INTO account SELECT n, {ACCOUNT_START} FROM generate_series(1, {ACCOUNTS}) n",
)
FACTS = "SELECT txid_current(), current_setting('boreal.snapshot')"
APPEND = (
    "INSERT INTO list VALUES ($1, ARRAY[$2::int]) ON CONFLICT (id) DO UPDATE SET elements = list.elements || $2::int "
    "RETURNING elements"
)
WRITE = "INSERT INTO register VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET value = excluded.value"
READ_LIST = "SELECT elements FROM list WHERE id = $1"
READ_REGISTER = "SELECT value FROM register WHERE id = $1"

AWAY_SECONDS = 3.0
"""After this, a client that went elsewhere looks whether its home serves again."""
RETRY_SECONDS = 0.05
_UNKNOWN = frozenset({"40003", "57P01"})
_ELSEWHERE = frozenset({"57P01", "57P03", "53100"})
"""Errors after which another gateway may do better."""

_LEVELS = (
    ("BEGIN", Isolation.SNAPSHOT, 5),
    ("BEGIN ISOLATION LEVEL REPEATABLE READ", Isolation.SNAPSHOT, 3),
    ("BEGIN ISOLATION LEVEL SERIALIZABLE", Isolation.SERIALIZABLE, 2),
)


class Keys:
    """Which lists and registers are in use: a few at a time, each retired before its list is long; all of them when a
    generation ends, so that the histories of generations share no key and can be judged one by one.

    Args:
        generation_seconds: how long a generation lasts.
        time: in seconds.
    """

    ACTIVE = 12
    WRITES_MAX = 60

    def __init__(self, generation_seconds: float, time: Callable[[], float]) -> None:
        self._generation_seconds = generation_seconds
        self._time = time
        self._values = count(1)
        self._next_key = count(1)
        self._ends = time() + generation_seconds
        self.generations: list[int] = []
        """The first key of each."""
        self._begin()

    def _begin(self) -> None:
        self._active = [next(self._next_key) for _ in range(self.ACTIVE)]
        self._writes = [0] * self.ACTIVE
        self._own: dict[str, int] = {}
        self.generations.append(self._active[0])

    def choose(self, dice: Random, number: int) -> list[int]:
        """Some keys of the present generation, for one transaction."""
        self._look_at_the_clock()
        return [dice.choice(self._active) for _ in range(number)]

    def own(self, client: str) -> int:
        """A key of the present generation that no other client uses."""
        self._look_at_the_clock()
        if client not in self._own:
            self._own[client] = next(self._next_key)
        return self._own[client]

    def _look_at_the_clock(self) -> None:
        if self._time() >= self._ends:
            self._ends = self._time() + self._generation_seconds
            self._begin()

    def value(self, key: int) -> int:
        """A value that nobody wrote before, to be written to `key`."""
        if key in self._active:
            place = self._active.index(key)
            self._writes[place] += 1
            if self._writes[place] >= self.WRITES_MAX:
                self._active[place] = next(self._next_key)
                self._writes[place] = 0
        return next(self._values)

    @property
    def newest(self) -> range:
        """All keys of the present generation, so far."""
        return range(self.generations[-1], max(*self._active, *self._own.values()) + 1)


class Client:
    """One client.

    Args:
        name: unique among clients.
        nodes: all gateways, its home first.
        open_session: which driver.
        recorder: where attempts go.
        pause_seconds: mean time between two transactions.
        dice: of its own.
        going: False when it is to end.
    """

    is_bank = False

    def __init__(
        self,
        name: str,
        nodes: Sequence[NodePlace],
        open_session: Callable[[NodePlace], Awaitable[Session]],
        recorder: Recorder,
        pause_seconds: float,
        dice: Random,
        going: Callable[[], bool],
    ) -> None:
        self._name = name
        self._nodes = nodes
        self._open_session = open_session
        self._recorder = recorder
        self._pause_seconds = pause_seconds
        self._dice = dice
        self._going = going
        self._session: Session | None = None
        self._process = -1
        self._place = 0
        self._left_home = 0.0

    async def run(self) -> None:
        """Transactions until told to end."""
        loop = asyncio.get_running_loop()
        while self._going():
            await asyncio.sleep(self._dice.expovariate(1.0) * self._pause_seconds)
            if self._place and loop.time() - self._left_home > AWAY_SECONDS:
                self._leave(0)
            try:
                session = await self._connected()
            except (Refused, Gone) as error:
                self._note(error)
                self._leave((self._place + 1) % len(self._nodes))
                await asyncio.sleep(RETRY_SECONDS)
                continue
            await self._attempt(session)
        self._leave(0)

    async def _connected(self) -> Session:
        if self._session is None:
            self._session = await self._open_session(self._nodes[self._place])
            self._process += 1
        return self._session

    def _leave(self, place: int) -> None:
        """End the session; the next one is at that gateway."""
        if self._session is not None:
            self._session.close()
            self._session = None
        if place and not self._place:
            self._left_home = asyncio.get_running_loop().time()
        self._place = place

    def _note(self, error: Refused | Gone) -> None:
        where = f"{self._name} at {self._nodes[self._place].name}"
        if isinstance(error, Refused):
            self._recorder.refused(where, error.sqlstate, str(error))
        else:
            self._recorder.gone += 1

    async def _attempt(self, session: Session) -> None:
        begin, isolation, _ = self._dice.choices(_LEVELS, [weight for *_, weight in _LEVELS])[0]
        attempt = Attempt(self._name, self._process, self._nodes[self._place].name, isolation)
        try:
            await session.fetch(begin)
            if not await self.work(session, attempt):
                await session.fetch("ROLLBACK")
                self._recorder.ended(attempt, Outcome.ABORTED, "rolled back", bank=self.is_bank)
                return
            await self._ask_facts(session, attempt)
            attempt.committing = True
            await session.fetch("COMMIT")
        except Refused as error:
            unknown = attempt.committing and error.sqlstate in _UNKNOWN
            self._fail(attempt, unknown, error)
            if error.sqlstate in _ELSEWHERE:
                self._leave((self._place + 1) % len(self._nodes))
            elif not attempt.committing:
                await self._roll_back(session)
        except Gone as error:
            self._fail(attempt, attempt.committing, error)
            self._leave((self._place + 1) % len(self._nodes))
        else:
            self._recorder.ended(attempt, Outcome.COMMITTED, bank=self.is_bank)

    async def _ask_facts(self, session: Session, attempt: Attempt) -> None:
        ((txid, snapshot),) = await session.fetch(FACTS)
        attempt.txid, attempt.snapshot_us = int(txid), int(snapshot)

    def _fail(self, attempt: Attempt, unknown: bool, error: Refused | Gone) -> None:
        self._note(error)
        self._recorder.ended(
            attempt, Outcome.UNKNOWN if unknown else Outcome.ABORTED, str(error)[:200], bank=self.is_bank
        )

    async def _roll_back(self, session: Session) -> None:
        try:
            await session.fetch("ROLLBACK")
        except (Refused, Gone) as error:
            self._note(error)
            self._leave(self._place)

    async def work(self, session: Session, attempt: Attempt) -> bool:
        """Between BEGIN and COMMIT; False: it is to be rolled back. Raises Refused, Gone."""
        raise NotImplementedError


class KeyedClient(Client):
    """Appends to lists, overwrites registers, and reads both; one to four operations a transaction."""

    keys: Keys

    async def work(self, session: Session, attempt: Attempt) -> bool:
        """See Client."""
        dice, operations = self._dice, attempt.operations
        for key in self.keys.choose(dice, dice.choice((1, 2, 2, 3, 4))):
            match dice.choices(("append", "read list", "write", "read register"), (4, 3, 3, 3))[0]:
                case "append":
                    value = self.keys.value(key)
                    ((elements,),) = await session.fetch(APPEND, key, value)
                    operations += (Append(f"l{key}", value), ReadList(f"l{key}", tuple(elements)))
                case "read list":
                    rows = await session.fetch(READ_LIST, key)
                    operations.append(ReadList(f"l{key}", tuple(rows[0][0]) if rows else ()))
                case "write":
                    value = self.keys.value(key)
                    await session.fetch(WRITE, key, value)
                    operations.append(Write(f"r{key}", value))
                case _:
                    rows = await session.fetch(READ_REGISTER, key)
                    operations.append(ReadRegister(f"r{key}", rows[0][0] if rows else None))
        return True


class PulseClient(KeyedClient):
    """Overwrites a register of its own as fast as it can: nobody conflicts with it, so its silence is the cluster's."""

    async def work(self, session: Session, attempt: Attempt) -> bool:
        """See Client."""
        key = self.keys.own(self._name)
        value = self.keys.value(key)
        await session.fetch(WRITE, key, value)
        attempt.operations.append(Write(f"r{key}", value))
        return True


class BankClient(Client):
    """Moves money, never more than there is, or reads all accounts."""

    is_bank = True

    async def work(self, session: Session, attempt: Attempt) -> bool:
        """See Client."""
        dice, operations = self._dice, attempt.operations
        if dice.random() < 0.2:
            rows = await session.fetch("SELECT id, balance FROM account ORDER BY id")
            operations += [ReadRegister(f"a{number}", balance) for number, balance in rows]
            return True
        source, target = dice.sample(range(1, ACCOUNTS + 1), 2)
        money = dice.randrange(1, 20)
        rows = await session.fetch("SELECT balance FROM account WHERE id = $1", source)
        balance = rows[0][0] if rows else None
        operations.append(ReadRegister(f"a{source}", balance))
        if balance is None or balance < money:
            return False
        for account, change in ((source, -money), (target, money)):
            rows = await session.fetch(
                "UPDATE account SET balance = balance + $1::int WHERE id = $2 RETURNING balance", change, account
            )
            if not rows:
                operations.append(ReadRegister(f"a{account}", None))
                return False
            operations += (ReadRegister(f"a{account}", rows[0][0] - change), Write(f"a{account}", rows[0][0]))
        return True
