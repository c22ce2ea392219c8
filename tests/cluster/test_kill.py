"""kill -9 under load: nothing acknowledged is lost, nothing unacknowledged is half there.

Method: 16 client threads, each a loop of one transaction that writes its next number to two tables (`first`, `second`) and
moves an amount between two accounts. The client notes a number as acknowledged only after COMMIT has returned. At a random
moment the node is killed; after the restart

- every acknowledged number is in both tables,
- the two tables are equal (no transaction is half visible),
- at most one number a client is there that was not acknowledged (the one in flight),
- the sum of all balances is what it was,

and, with the node stopped again, `boreal verify` proves view ≡ replay. Three kills in `make test`, twenty in `make soak`.
"""

from __future__ import annotations

import os
import random
import threading
import time
from pathlib import Path

import psycopg
import pytest

from tests.server import Server, slowness

CLIENTS = 16
KILLS = 20 if os.environ.get("BOREAL_SOAK") else 3
ACCOUNTS = 1000
READY_SECONDS_MAX = 3.0


class Writer(threading.Thread):
    """One client; `acknowledged` is the last number whose COMMIT returned."""

    def __init__(self, server: Server, number: int, first: int) -> None:
        super().__init__(daemon=True)
        self.server = server
        self.number = number
        self.acknowledged = first - 1
        self.random = random.Random(number)
        self.stopping = False
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            with self.server.connect(autocommit=False) as connection:
                while not self.stopping:
                    self.write(connection)
        except psycopg.OperationalError:
            pass  # the node was killed
        except BaseException as error:
            self.error = error

    def write(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        following = self.acknowledged + 1
        source, target = self.random.sample(range(ACCOUNTS), 2)
        try:
            connection.execute("INSERT INTO first VALUES (%s, %s)", (self.number, following))
            connection.execute("UPDATE account SET balance = balance - 7 WHERE id = %s", (source,))
            connection.execute("UPDATE account SET balance = balance + 7 WHERE id = %s", (target,))
            connection.execute("INSERT INTO second VALUES (%s, %s)", (self.number, following))
            connection.commit()
        except psycopg.errors.SerializationFailure:
            connection.rollback()
            return
        self.acknowledged = following


@pytest.mark.timeout(900)
@pytest.mark.xdist_group("kill")
def test_kill_nine_loses_nothing(tmp_path: Path) -> None:
    server = Server(tmp_path)
    moments = random.Random(20261123)
    server.start()
    with server.connect() as connection:
        connection.execute("CREATE TABLE first (client int, number int, PRIMARY KEY (client, number))")
        connection.execute("CREATE TABLE second (client int, number int, PRIMARY KEY (client, number))")
        connection.execute("CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL)")
        connection.execute(f"INSERT INTO account SELECT i, 100 FROM generate_series(0, {ACCOUNTS - 1}) i")
    following = [0] * CLIENTS
    try:
        for kill in range(1, KILLS + 1):
            writers = [Writer(server, number, following[number]) for number in range(CLIENTS)]
            for writer in writers:
                writer.start()
            time.sleep(moments.uniform(0.3, 2.5))
            server.kill()
            for writer in writers:
                writer.join(30)
                assert writer.error is None, writer.error
            server.start()
            print(f"kill {kill}: ready again after {server.ready_seconds:.2f} s")
            assert server.ready_seconds < READY_SECONDS_MAX or server.ready_seconds < READY_SECONDS_MAX * slowness()
            with server.connect() as connection:
                first = connection.execute("SELECT client, number FROM first ORDER BY 1, 2").fetchall()
                second = connection.execute("SELECT client, number FROM second ORDER BY 1, 2").fetchall()
                total = connection.execute("SELECT sum(balance) FROM account").fetchone()
            assert first == second
            assert total == (ACCOUNTS * 100,)
            present: dict[object, set[object]] = {number: set() for number in range(CLIENTS)}
            for client, number in first:
                present[client].add(number)
            for writer in writers:
                numbers = present[writer.number]
                missing = set(range(writer.acknowledged + 1)) - numbers
                assert not missing, f"client {writer.number} lost {sorted(missing)[:5]}"
                assert len(numbers) <= writer.acknowledged + 2
                following[writer.number] = len(numbers)
            assert server.stop() == 0
            report = server.verify()
            assert report["ok"], report
            server.start()
    finally:
        server.kill()
    assert sum(following) > 0
