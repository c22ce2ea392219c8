"""Clients that speak SQL to the gateways of a simulated cluster, over the simulated network.

Each has a process of its own, connects to some node, and goes to another when that one fails it. It moves money between
accounts, with a ledger entry of its own in the same transaction, and believes what PostgreSQL's protocol lets a client
believe: CommandComplete of COMMIT is committed; an error of class 40001, 57P03 or any other before COMMIT is not;
40003, or a connection that ends while COMMIT is on its way, is not known.

At the end the ledger is the judge: every transfer that was acknowledged is in it, once, and none that was refused; and the
balances are exactly what the ledger's entries add up to, so that no update was lost, doubled or seen half.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from random import Random

from tests.simulation.cluster import Cluster
from tests.simulation.gateway import SQL_PORT
from tests.simulation.history import History
from tests.simulation.loop import Process

ACCOUNTS = 6
START = 100
_ANSWER_SECONDS_MAX = 3.0

SCHEMA = (
    "CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL)",
    "CREATE TABLE ledger (token text PRIMARY KEY, source int NOT NULL, target int NOT NULL, money int NOT NULL)",
    "CREATE INDEX ledger_source ON ledger (source)",
    "INSERT INTO account SELECT n, 100 FROM generate_series(1, 6) n",
)


class Refused(Exception):
    """An ErrorResponse."""

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(f"{sqlstate} {message}")
        self.sqlstate = sqlstate


class Gone(Exception):
    """The connection ended, or did not answer in time."""


class Connection:
    """The simple query protocol over a simulated stream."""

    def __init__(self, node: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.node = node
        self._reader = reader
        self._writer = writer

    async def query(self, sql: str) -> list[list[str | None]]:
        """The rows of the last statement that returns some. Raises Refused, Gone."""
        body = sql.encode() + b"\0"
        self._writer.write(b"Q" + struct.pack("!I", len(body) + 4) + body)
        return await self.answer()

    async def answer(self) -> list[list[str | None]]:
        """Everything up to ReadyForQuery."""
        try:
            return await asyncio.wait_for(self._answer(), _ANSWER_SECONDS_MAX)
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            self._writer.close()
            raise Gone(str(error)) from error

    async def _answer(self) -> list[list[str | None]]:
        rows: list[list[str | None]] = []
        refused: Refused | None = None
        while True:
            head = await self._reader.readexactly(5)
            body = await self._reader.readexactly(int.from_bytes(head[1:], "big") - 4)
            kind = head[:1]
            if kind == b"T":
                rows = []
            elif kind == b"D":
                rows.append(_row(body))
            elif kind == b"E":
                fields = {part[:1]: part[1:].decode() for part in body.split(b"\0") if part}
                refused = Refused(fields[b"C"], fields[b"M"])
            elif kind == b"Z":
                if refused is not None:
                    raise refused
                return rows

    def close(self) -> None:
        """Leave."""
        self._writer.close()


def _row(body: bytes) -> list[str | None]:
    values: list[str | None] = []
    position = 2
    for _ in range(int.from_bytes(body[:2], "big")):
        length = struct.unpack_from("!i", body, position)[0]
        position += 4
        if length < 0:
            values.append(None)
        else:
            values.append(body[position : position + length].decode())
            position += length
    return values


class Ledger:
    """What the clients believe of each transfer: token → "committed", "refused" or "unknown"."""

    def __init__(self) -> None:
        self.outcomes: dict[str, str] = {}


class SqlClient:
    """One client.

    Args:
        cluster: whose gateways.
        number: of this client.
        history: for counts and violations.
        ledger: for beliefs.
        pause_seconds: mean time between two transactions.
        going: False when it is to end.
    """

    def __init__(
        self,
        cluster: Cluster,
        number: int,
        history: History,
        ledger: Ledger,
        pause_seconds: float,
        going: Callable[[], bool],
    ) -> None:
        self._cluster = cluster
        self._name = f"c{number}"
        self._history = history
        self._ledger = ledger
        self._pause_seconds = pause_seconds
        self._going = going
        self._chance = Random(f"{cluster.seed}/sql/{number}")
        self._connection: Connection | None = None
        self._count = 0

    def start(self) -> asyncio.Task[None]:
        """Run in a process of its own."""
        process = Process(self._name)
        return self._cluster.loop.create_task(self.run(), context=process.context)

    async def run(self) -> None:
        """Transactions until told to end."""
        while self._going():
            await asyncio.sleep(self._chance.expovariate(1.0) * self._pause_seconds)
            try:
                connection = await self.connected()
                await (self._transfer(connection) if self._chance.random() < 0.7 else self._audit(connection))
            except (Refused, Gone) as error:
                # Whoever refused may not lead: try elsewhere.
                if isinstance(error, Gone) or error.sqlstate != "40001":
                    self._leave()

    async def connected(self) -> Connection:
        """The present connection, or one to some node. Raises Gone."""
        if self._connection is None:
            node = self._chance.choice([node for node in self._cluster.nodes if not node.witness])
            try:
                reader, writer = await self._cluster.network.of(self._name).connect(node.name, SQL_PORT, None)
            except OSError as error:
                raise Gone(str(error)) from error
            connection = Connection(node.name, reader, writer)
            await connection.answer()
            self._connection = connection
        return self._connection

    def _leave(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def create_schema(self) -> None:
        """Until some node, the leader, has made everything."""
        for statement in SCHEMA:
            while True:
                try:
                    await (await self.connected()).query(statement)
                    break
                except (Refused, Gone) as error:
                    if isinstance(error, Refused) and error.sqlstate in ("42P07", "23505"):
                        break
                    self._leave()
                    await asyncio.sleep(0.05)
        self._leave()

    async def _transfer(self, connection: Connection) -> None:
        self._count += 1
        token = f"{self._name}-{self._count}"
        source, target = self._chance.sample(range(1, ACCOUNTS + 1), 2)
        money = self._chance.randrange(1, 9)
        began = self._cluster.loop.time()
        self._ledger.outcomes[token] = "refused"
        committing = False
        try:
            await connection.query("BEGIN")
            rows = await connection.query(f"SELECT balance FROM account WHERE id = {source}")
            if not rows:
                raise Refused("02000", "this node has not seen the accounts yet")
            balance = int(rows[0][0] or 0)
            if self._chance.random() < 0.5:
                await connection.query(f"UPDATE account SET balance = {balance - money} WHERE id = {source}")
            else:
                await connection.query(f"UPDATE account SET balance = balance - {money} WHERE id = {source}")
            await connection.query(f"UPDATE account SET balance = balance + {money} WHERE id = {target}")
            await connection.query(f"INSERT INTO ledger VALUES ('{token}', {source}, {target}, {money})")
            committing = True
            await connection.query("COMMIT")
        except Gone:
            if committing:
                self._told(token, "unknown")
                self._history.unknowns += 1
            raise
        except Refused as error:
            if committing and error.sqlstate == "40003":
                self._told(token, "unknown")
                self._history.unknowns += 1
            else:
                self._history.refusals += 1
                self._cluster.trace(self._name, f"{token} at {connection.node}: {error}")
                if not committing:
                    await connection.query("ROLLBACK")
            raise
        self._told(token, "committed")
        self._history.commits += 1
        self._history.last_commit_began = max(self._history.last_commit_began, began)
        rows = await connection.query(f"SELECT money FROM ledger WHERE token = '{token}'")
        if rows != [[str(money)]]:
            self._history.violation(f"{self._name} at {connection.node} does not see its own commit {token}: {rows}")

    def _told(self, token: str, outcome: str) -> None:
        self._ledger.outcomes[token] = outcome
        self._cluster.trace(self._name, f"{token} {outcome}")

    async def _audit(self, connection: Connection) -> None:
        """The total is right, read at once and read row by row in one transaction; accounts and ledger are of one snapshot."""
        await connection.query("BEGIN")
        total = 0
        seen = 0
        for number in range(1, ACCOUNTS + 1):
            for row in await connection.query(f"SELECT balance FROM account WHERE id = {number}"):
                total += int(row[0] or 0)
                seen += 1
        await connection.query("COMMIT")
        if seen and (seen, total) != (ACCOUNTS, ACCOUNTS * START):
            self._history.violation(f"{self._name} at {connection.node}: row by row, {seen} accounts hold {total}")
        rows = await connection.query("SELECT count(*), sum(balance) FROM account")
        # A node that is behind reads an older snapshot, as long as it does not claim to read strongly.
        if rows not in ([[str(ACCOUNTS), str(ACCOUNTS * START)]], [["0", None]]):
            self._history.violation(f"{self._name} at {connection.node}: accounts hold {rows}")
        await self._check_balances(connection)

    async def _check_balances(self, connection: Connection) -> None:
        wrong = await connection.query(
            "SELECT a.id, a.balance FROM account a WHERE a.balance <> 100"
            " + coalesce((SELECT sum(money) FROM ledger WHERE target = a.id), 0)"
            " - coalesce((SELECT sum(money) FROM ledger WHERE source = a.id), 0)"
        )
        if wrong:
            self._history.violation(f"{self._name} at {connection.node}: balances are not the ledger's: {wrong}")

    async def judge(self) -> None:
        """At the end: ledger against beliefs, at every node."""
        for node in self._cluster.members:
            if node.witness:
                continue
            reader, writer = await self._cluster.network.of(self._name).connect(node.name, SQL_PORT, None)
            connection = Connection(node.name, reader, writer)
            await connection.answer()
            await self._audit(connection)
            rows = await connection.query("SELECT token FROM ledger")
            tokens = [row[0] for row in rows]
            if len(set(tokens)) != len(tokens):
                self._history.violation(f"{node.name}: tokens twice in the ledger")
            present = set(tokens)
            for token, outcome in self._ledger.outcomes.items():
                if outcome == "committed" and token not in present:
                    self._history.violation(f"{node.name}: transfer {token} was acknowledged and is lost")
                if outcome == "refused" and token in present:
                    self._history.violation(f"{node.name}: transfer {token} was refused and is in the ledger")
            unheard = sorted(str(token) for token in present - set(self._ledger.outcomes))
            if unheard:
                self._history.violation(f"{node.name}: transfers nobody made: {unheard[:3]}")
            connection.close()
