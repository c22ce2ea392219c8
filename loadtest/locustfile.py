"""Locust users that talk to PostgreSQL or Boreal with psycopg: two workloads, conflicts retried and reported.

    locust -f loadtest/locustfile.py --host postgresql://postgres@127.0.0.1:5433/postgres
    locust -f loadtest/locustfile.py --host … --headless -u 16 -r 16 -t 30s BankUser       one workload only

`BankUser` is pgbench's TPC-B-like transaction: one account, one teller, one branch, one line of history. `ShopUser` is a mix of
which 70 % only read: browsing products and looking at a customer's orders; the rest places orders (one to five lines, stock
taken), ships them, and restocks. Tables are made and filled when the test starts, if they are not there.

Conflicts are part of the contract: SQLSTATE 40001 is retried, at most `ATTEMPTS_MAX` times in all, after a pause that doubles and
is shortened by chance, so that two who met do not meet again. In the statistics every transaction is one entry of type SQL, with
the time until its success and its pauses; every attempt that was lost is an entry of type RETRY under the same name; only a
transaction that ran out of attempts is a failure.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from decimal import Decimal

# Locust has to come first: it makes sockets cooperative, and psycopg looks whether they are.
from locust import User, constant, events, task
from locust.env import Environment

import psycopg  # isort: skip

ATTEMPTS_MAX = 12
PAUSE_SECONDS_FIRST = 0.002
PAUSE_SECONDS_MAX = 0.25

BRANCHES, TELLERS, ACCOUNTS = 2, 20, 20_000
CUSTOMERS, PRODUCTS = 1000, 500

Connection = psycopg.Connection[tuple[object, ...]]
Work = Callable[[Connection], object]

BANK = f"""
CREATE TABLE bank_branches (bid int PRIMARY KEY, balance bigint NOT NULL);
CREATE TABLE bank_tellers (tid int PRIMARY KEY, bid int NOT NULL, balance bigint NOT NULL);
CREATE TABLE bank_accounts (aid int PRIMARY KEY, bid int NOT NULL, balance bigint NOT NULL, filler char(84));
CREATE TABLE bank_history (tid int, bid int, aid int, delta int, at timestamp);
INSERT INTO bank_branches SELECT i, 0 FROM generate_series(1, {BRANCHES}) i;
INSERT INTO bank_tellers SELECT i, (i - 1) % {BRANCHES} + 1, 0 FROM generate_series(1, {TELLERS}) i;
INSERT INTO bank_accounts SELECT i, (i - 1) % {BRANCHES} + 1, 0, '' FROM generate_series(1, {ACCOUNTS}) i;
"""

SHOP = f"""
CREATE TABLE shop_customers (id int PRIMARY KEY, name text NOT NULL, spent numeric(12,2) NOT NULL DEFAULT 0);
CREATE TABLE shop_products (id int PRIMARY KEY, name text NOT NULL, price numeric(8,2) NOT NULL,
    stock int NOT NULL CHECK (stock >= 0));
CREATE TABLE shop_orders (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), customer int NOT NULL REFERENCES shop_customers,
    at timestamptz NOT NULL DEFAULT now(), total numeric(12,2) NOT NULL, shipped boolean NOT NULL DEFAULT false);
CREATE TABLE shop_lines (order_id uuid REFERENCES shop_orders, line int, product int NOT NULL REFERENCES shop_products,
    quantity int NOT NULL, price numeric(8,2) NOT NULL, PRIMARY KEY (order_id, line));
CREATE INDEX shop_orders_customer ON shop_orders (customer);
INSERT INTO shop_customers (id, name) SELECT i, 'customer ' || i FROM generate_series(1, {CUSTOMERS}) i;
INSERT INTO shop_products SELECT i, 'product ' || i, i % 97 + 0.99, 1000000 FROM generate_series(1, {PRODUCTS}) i;
"""


def prepare(environment: Environment, **options: object) -> None:
    """Make what is missing; one transaction for each workload."""
    with psycopg.connect(str(environment.host)) as connection:
        for table, script in (("bank_accounts", BANK), ("shop_orders", SHOP)):
            if connection.execute("SELECT to_regclass(%s)", (table,)).fetchone() == (None,):
                connection.execute(script)
            connection.commit()


events.test_start.add_listener(prepare)  # type: ignore[no-untyped-call]  # locust types its hooks in part


class SqlUser(User):
    """A client with one connection."""

    abstract = True
    wait_time = constant(0)

    def on_start(self) -> None:
        """Connect."""
        self.connection: Connection = psycopg.connect(str(self.host))
        self.chance = random.Random()

    def on_stop(self) -> None:
        """Leave."""
        self.connection.close()

    def transaction(self, name: str, work: Work) -> None:
        """Run `work` in a transaction until it commits, and tell Locust."""
        began = time.perf_counter()
        error: psycopg.Error | None = None
        for attempt in range(ATTEMPTS_MAX):
            attempted = time.perf_counter()
            try:
                with self.connection.transaction():
                    work(self.connection)
                error = None
                break
            except psycopg.errors.SerializationFailure as failure:
                error = failure
                self._tell("RETRY", name, attempted, None)
                pause = min(PAUSE_SECONDS_MAX, PAUSE_SECONDS_FIRST * 2**attempt)
                time.sleep(pause * self.chance.random())
            except psycopg.Error as failure:
                error = failure
                break
        self._tell("SQL", name, began, error)
        if self.connection.broken:
            self.connection = psycopg.connect(str(self.host))

    def _tell(self, kind: str, name: str, began: float, error: psycopg.Error | None) -> None:
        self.environment.events.request.fire(
            request_type=kind,
            name=name,
            response_time=(time.perf_counter() - began) * 1000,
            response_length=0,
            exception=error,
            context={},
        )


class BankUser(SqlUser):
    """TPC-B-like: every transaction of a branch changes the branch's row, so conflicts are the rule."""

    @task
    def transfer(self) -> None:
        """One deposit."""
        account, teller = self.chance.randint(1, ACCOUNTS), self.chance.randint(1, TELLERS)
        branch, delta = (teller - 1) % BRANCHES + 1, self.chance.randint(-5000, 5000)

        def work(connection: Connection) -> None:
            connection.execute("UPDATE bank_accounts SET balance = balance + %s WHERE aid = %s", (delta, account))
            connection.execute("SELECT balance FROM bank_accounts WHERE aid = %s", (account,)).fetchone()
            connection.execute("UPDATE bank_tellers SET balance = balance + %s WHERE tid = %s", (delta, teller))
            connection.execute("UPDATE bank_branches SET balance = balance + %s WHERE bid = %s", (delta, branch))
            connection.execute(
                "INSERT INTO bank_history VALUES (%s, %s, %s, %s, current_timestamp)", (teller, branch, account, delta)
            )

        self.transaction("transfer", work)


class ShopUser(SqlUser):
    """Orders: 70 of 100 transactions only read."""

    @task(40)
    def browse(self) -> None:
        """A page of products."""
        first = self.chance.randint(1, PRODUCTS - 20)
        self.transaction(
            "browse",
            lambda connection: (
                connection.execute(
                    "SELECT id, name, price, stock FROM shop_products WHERE id BETWEEN %s AND %s ORDER BY id",
                    (first, first + 19),
                ).fetchall()
                and None
            ),
        )

    @task(30)
    def look_at_orders(self) -> None:
        """A customer's newest orders with their lines."""
        customer = self.chance.randint(1, CUSTOMERS)
        self.transaction(
            "look at orders",
            lambda connection: (
                connection.execute(
                    "SELECT o.id, o.at, o.total, o.shipped, count(*), sum(l.quantity) FROM shop_orders o "
                    "JOIN shop_lines l ON l.order_id = o.id WHERE o.customer = %s GROUP BY o.id ORDER BY o.at DESC LIMIT 10",
                    (customer,),
                ).fetchall()
                and None
            ),
        )

    @task(20)
    def place_order(self) -> None:
        """One to five products, taken from the stock."""
        customer = self.chance.randint(1, CUSTOMERS)
        products = self.chance.sample(range(1, PRODUCTS + 1), self.chance.randint(1, 5))
        quantities = [self.chance.randint(1, 3) for _ in products]

        def work(connection: Connection) -> None:
            found_prices = connection.execute("SELECT id, price FROM shop_products WHERE id = ANY(%s)", (products,))
            prices = {product: Decimal(str(price)) for product, price in found_prices}
            total = sum(prices[product] * quantity for product, quantity in zip(products, quantities, strict=True))
            found = connection.execute(
                "INSERT INTO shop_orders (customer, total) VALUES (%s, %s) RETURNING id", (customer, total)
            ).fetchone()
            assert found is not None
            for line, (product, quantity) in enumerate(zip(products, quantities, strict=True), 1):
                connection.execute("UPDATE shop_products SET stock = stock - %s WHERE id = %s", (quantity, product))
                connection.execute(
                    "INSERT INTO shop_lines VALUES (%s, %s, %s, %s, %s)",
                    (found[0], line, product, quantity, prices[product]),
                )
            connection.execute("UPDATE shop_customers SET spent = spent + %s WHERE id = %s", (total, customer))

        self.transaction("place order", work)

    @task(7)
    def ship(self) -> None:
        """All of a customer's orders that wait."""
        customer = self.chance.randint(1, CUSTOMERS)
        self.transaction(
            "ship",
            lambda connection: (
                connection.execute(
                    "UPDATE shop_orders SET shipped = true WHERE customer = %s AND NOT shipped", (customer,)
                )
                and None
            ),
        )

    @task(3)
    def restock(self) -> None:
        """One product."""
        product = self.chance.randint(1, PRODUCTS)
        self.transaction(
            "restock",
            lambda connection: (
                connection.execute("UPDATE shop_products SET stock = stock + 100 WHERE id = %s", (product,)) and None
            ),
        )
