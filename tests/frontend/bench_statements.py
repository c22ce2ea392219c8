"""Cost of statements without wire, session and commit. Run it: `python -m tests.frontend.bench_statements` (not collected).

Targets on a 2-core virtual machine: point SELECT 5 µs, single-row UPDATE 9 µs, INSERT of one row 6 µs, aggregate over a scan
0.8 µs a row, hash join 1 µs a row, bulk insert 250,000 rows/s.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

from frontend.sql.compiler.writers import row_writer
from storage.catalog import PUBLIC_OID, Column, Index, KeyPart, Table, bootstrap_catalog
from tests.frontend.sql.engine import Engine

ROWS = 200_000


def bench_catalog() -> Any:
    def table(oid: int, name: str, columns: list[tuple[str, int, bool]], row_key: tuple[int, ...]) -> dict[int, Any]:
        made = tuple(
            Column(number=number, name=column, type=kind, not_null=needed)
            for number, (column, kind, needed) in enumerate(columns, 1)
        )
        found: dict[int, Any] = {}
        indexes: tuple[int, ...] = ()
        if row_key:
            parts = tuple(KeyPart(number=number) for number in row_key)
            found[oid + 1] = Index(
                oid=oid + 1,
                name=f"{name}_pkey",
                schema=PUBLIC_OID,
                table=oid,
                index_id=0,
                key=parts,
                unique=True,
                primary=True,
            )
            indexes = (oid + 1,)
        found[oid] = Table(
            oid=oid, name=name, schema=PUBLIC_OID, storage=oid, columns=made, row_key=row_key, indexes=indexes
        )
        return found

    accounts = [("aid", 23, True), ("bid", 23, False), ("abalance", 23, False), ("filler", 25, False)]
    history = [("tid", 23, False), ("bid", 23, False), ("aid", 23, False), ("delta", 23, False)]
    objects = {
        **table(20000, "accounts", accounts, (1,)),
        **table(20010, "history", history, ()),
        **table(20020, "bulk", accounts, (1,)),
    }
    return bootstrap_catalog().replace(objects, 1)


def each(action: Callable[[int], object], count: int) -> float:
    """Microseconds a call."""
    best = 1e9
    for _ in range(3):
        start = perf_counter()
        for number in range(count):
            action(number)
        best = min(best, (perf_counter() - start) / count * 1e6)
    return best


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        engine = Engine(Path(directory) / "v", bench_catalog())
        _run(engine)


def _run(engine: Engine) -> None:
    plan = engine.compile(
        "insert into accounts select i, i % 10, 0, 'filler text of some length' from generate_series(1, 10) i"
    )
    transaction = engine.begin()
    target = plan.statement.plan.target  # type: ignore[attr-defined]
    writer = row_writer(target)
    start = perf_counter()
    for first in range(1, ROWS + 1, 1000):
        writer.insert_many(
            transaction,
            [[i, i % 10, 0, "filler text of some length"] for i in range(first, first + 1000)],
            engine.context,
        )
    print(f"insert_many, primary key          {ROWS / (perf_counter() - start):12,.0f} rows/s")
    engine.commit()
    engine.view.flush()
    history = engine.compile("insert into history values (1, 2, 3, 4)").statement.plan.target  # type: ignore[attr-defined]
    transaction = engine.begin()
    bulk = row_writer(history)
    start = perf_counter()
    for _ in range(0, ROWS, 1000):
        bulk.insert_many(transaction, [[i, i % 10, 0, 5] for i in range(1000)], engine.context)
    print(f"insert_many, no primary key       {ROWS / (perf_counter() - start):12,.0f} rows/s")
    engine.rollback()

    engine.begin()
    state = engine.state()

    def statement(
        sql: str, types: tuple[int, ...], parameters: Callable[[int], tuple[Any, ...]], count: int = 20_000
    ) -> None:
        compiled = engine.compile(sql, types)
        assert compiled.inline, sql
        run = compiled.run_inline

        def one(number: int) -> object:
            state.parameters = parameters(number)
            return run(state)

        print(f"{each(one, count):8.2f} µs  {sql}")

    statement("select abalance from accounts where aid = $1", (23,), lambda n: (n * 7 % ROWS + 1,))
    statement("select * from accounts where aid = $1", (20,), lambda n: (n * 7 % ROWS + 1,))
    statement("update accounts set abalance = abalance + $1 where aid = $2", (23, 23), lambda n: (5, n * 7 % ROWS + 1))
    statement("insert into history values ($1, $2, $3, $4)", (23,) * 4, lambda n: (1, 2, 3, 4))
    place = iter(range(1, 10_000_000))
    statement("insert into bulk values ($1, $2, $3, $4)", (23, 23, 23, 25), lambda n: (next(place), 2, 3, "x"))
    statement("select 1", (), lambda n: ())
    engine.rollback()

    def whole(sql: str, rows: int) -> None:
        engine.begin()
        compiled = engine.compile(sql)
        best, pause = 1e9, 0.0
        for _ in range(3):
            start = last = perf_counter()
            for _ in compiled.run(engine.state()):
                now = perf_counter()
                pause = max(pause, now - last)
                last = now
            best = min(best, perf_counter() - start)
        engine.rollback()
        print(f"{best / rows * 1e6:8.3f} µs/row, longest slice {pause * 1000:6.2f} ms  {sql}")

    whole("select count(*), sum(abalance) from accounts", ROWS)
    whole("select count(*) from accounts", ROWS)
    whole("select bid, count(*), sum(abalance) from accounts group by bid", ROWS)
    whole("select * from accounts where abalance > 5", ROWS)
    whole("select * from accounts", ROWS)
    whole("select count(*) from accounts a join accounts b on a.aid = b.aid", 2 * ROWS)
    whole("select count(*) from accounts a join accounts b on a.aid = b.bid", 2 * ROWS)
    whole("select aid from accounts order by abalance, filler, aid desc", ROWS)
    whole("select aid from accounts order by filler, aid desc limit 10", ROWS)
    whole("select aid, sum(bid) over (order by aid) from accounts", ROWS)
    whole("select distinct aid from accounts", ROWS)
    whole("update accounts set abalance = abalance + 1", ROWS)


if __name__ == "__main__":
    main()
