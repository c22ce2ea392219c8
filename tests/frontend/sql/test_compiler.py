"""Goal: compiled plans give way, keep within memory, are plain functions where work is bounded, and write what they should.

Method: statements over a small schema made by hand (no PostgreSQL needed); what is measured is the plan's shape, the batches that
the generator yields, and the transaction's buffered writes and locks.
"""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from frontend.errors import SqlError
from frontend.sql.compiler.bulk import compile_bulk_insert
from frontend.sql.compiler.writers import row_writer
from frontend.sql.executor.foreign_keys import check_deferred
from frontend.sql.executor.state import ExecutionState, Sleep
from frontend.transaction import DELETE, ENTRY_DELETE, ENTRY_PUT, INSERT, KEY_UPDATE, UNIQUE_DELETE, UNIQUE_PUT, UPDATE
from journal.event import LockStrength
from storage.catalog import PUBLIC_OID, Catalog, Column, Constraint, Index, KeyPart, Table, bootstrap_catalog
from storage.keys import prefix
from tests.frontend.sql.engine import Engine

ROWS = 20_000
ITEM, NOTE, CHILD = 20000, 20100, 20200


def catalog() -> Catalog:
    def index(oid: int, table: int, number: int, name: str, keys: tuple[int, ...], unique: bool) -> Index:
        parts = tuple(KeyPart(number=key) for key in keys)
        return Index(
            oid=oid,
            name=name,
            schema=PUBLIC_OID,
            table=table,
            index_id=number,
            key=parts,
            unique=unique,
            primary=number == 0,
        )

    objects: dict[int, Any] = {
        20001: index(20001, ITEM, 0, "item_pkey", (1,), True),
        20002: index(20002, ITEM, 1, "item_code_key", (2,), True),
        20003: index(20003, ITEM, 2, "item_kind", (3,), False),
        20201: index(20201, CHILD, 0, "child_pkey", (1,), True),
        ITEM: Table(
            oid=ITEM,
            name="item",
            schema=PUBLIC_OID,
            storage=ITEM,
            columns=(
                Column(number=1, name="id", type=23, not_null=True),
                Column(number=2, name="code", type=25),
                Column(number=3, name="kind", type=23),
                Column(number=4, name="amount", type=20),
            ),
            row_key=(1,),
            indexes=(20001, 20002, 20003),
            referenced_by=(CHILD,),
        ),
        NOTE: Table(
            oid=NOTE,
            name="note",
            schema=PUBLIC_OID,
            storage=NOTE,
            columns=(Column(number=1, name="a", type=23), Column(number=2, name="b", type=25)),
        ),
        CHILD: Table(
            oid=CHILD,
            name="child",
            schema=PUBLIC_OID,
            storage=CHILD,
            columns=(Column(number=1, name="id", type=23, not_null=True), Column(number=2, name="item_id", type=23)),
            row_key=(1,),
            indexes=(20201,),
            constraints=(
                Constraint(
                    oid=20202,
                    name="child_item_fkey",
                    kind="f",
                    columns=(2,),
                    index=20001,
                    foreign_table=ITEM,
                    foreign_columns=(1,),
                    deferrable=True,
                ),
            ),
        ),
    }
    return bootstrap_catalog().replace(objects, 1)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    made = Engine(Path(tmp_path_factory.mktemp("view")) / "v", catalog())
    made.run("insert into item values (1, 'a', 1, 10), (2, 'b', 1, 20), (3, null, null, null)")
    made.run(f"insert into note select i, 'n' || (i % 100) from generate_series(1, {ROWS}) i")
    return made


INLINE = [
    ("select 1", True),
    ("select * from item where id = 1", True),
    ("select * from item where code = 'a'", True),
    ("select amount + 1 from item where id = 1 and kind = 1", True),
    ("select i.id, j.id from item i join item j on j.id = i.kind where i.id = 1", True),
    ("select (select amount from item where id = 2)", True),
    ("insert into note values (1, 'x')", True),
    ("update item set amount = 1 where id = 1", True),
    ("select count(*) from item where id = 1", True),
    ("select * from item where kind = 1", False),
    ("select * from item", False),
    ("select * from item where id in (1, 2)", False),
    ("select * from generate_series(1, 3)", False),
    ("delete from item where id = 1", False),
    ("select pg_sleep(1)", False),
]


@pytest.mark.parametrize(("sql", "inline"), INLINE, ids=[sql for sql, _ in INLINE])
def test_bounded_work_is_a_plain_function(engine: Engine, sql: str, inline: bool) -> None:
    assert engine.compile(sql).inline is inline


def test_sleep_is_handed_to_the_session(engine: Engine) -> None:
    engine.begin()
    batches = list(engine.compile("select pg_sleep(0.25)").run(engine.state()))
    engine.rollback()
    assert [item.seconds for item in batches if isinstance(item, Sleep)] == [0.25]
    assert sum(len(item) for item in batches if isinstance(item, list)) == 1


LONG = [
    "select count(*) from note",
    "select b, count(*) from note group by b",
    "select * from note order by b, a desc",
    "select * from note order by b limit 5",
    "select count(*) from note x join note y on x.a = y.a",
    "select count(*) from note x join note y on x.b = y.b where x.a < 500",
    "select count(*) from note x, note y where x.a < 40 and x.a < y.a",
    "select a, sum(a) over (partition by b order by a) from note",
    "select b from note union select b from note",
    "select count(*) from generate_series(1, 50000)",
    "select distinct b from note where a > 0",
    "with q as materialized (select a from note) select count(*) from q x join q y using (a)",
    "select array_agg(a order by b) from note",
]


@pytest.mark.parametrize("sql", LONG)
def test_long_work_gives_way(engine: Engine, sql: str) -> None:
    """Between two breaths lies a small part of the work (generous, since the machine is shared and garbage is collected)."""
    engine.begin()
    plan = engine.compile(sql)
    start = last = perf_counter()
    pauses = []
    for _ in plan.run(engine.state()):
        now = perf_counter()
        pauses.append(now - last)
        last = now
    total = perf_counter() - start
    engine.rollback()
    assert len(pauses) >= 10
    assert sorted(pauses)[len(pauses) * 9 // 10] < max(0.1 * total, 0.005)


def test_memory_is_bounded(engine: Engine) -> None:
    for sql in (
        "select * from note order by b",
        "select count(*) from note x join note y on x.a = y.a",
        "select a from note group by a",
    ):
        transaction = engine.begin()
        state = ExecutionState(transaction, (), engine.context, memory_bytes_max=200_000)
        with pytest.raises(SqlError) as caught:
            list(engine.compile(sql).run(state))
        engine.rollback()
        assert caught.value.sqlstate == "53200"


def written(engine: Engine, sql: str) -> list[tuple[int, int]]:
    """(index id, kind) of each write that a statement buffers, in key order."""
    transaction = engine.begin()
    try:
        engine.run(sql)
        return sorted((int.from_bytes(key[4:6], "big"), kind) for key, (_, kind) in transaction.writes.items())
    finally:
        engine.rollback()


def test_kinds_of_writes(engine: Engine) -> None:
    assert written(engine, "insert into item values (9, 'z', 5, 1)") == [(0, INSERT), (1, UNIQUE_PUT), (2, ENTRY_PUT)]
    assert written(engine, "insert into item values (9, null, null, 1)") == [
        (0, INSERT),
        (1, ENTRY_PUT),
        (2, ENTRY_PUT),
    ]
    assert written(engine, "update item set amount = 0 where id = 1") == [(0, UPDATE)]
    assert written(engine, "update item set code = 'a' where id = 1") == [(0, UPDATE)]
    assert written(engine, "update item set code = 'q' where id = 1") == [
        (0, KEY_UPDATE), (1, UNIQUE_PUT), (1, UNIQUE_DELETE),
    ]  # fmt: skip
    assert written(engine, "update item set kind = 7 where id = 1") == [(0, UPDATE), (2, ENTRY_PUT), (2, ENTRY_DELETE)]
    assert written(engine, "delete from item where id = 2") == [(0, DELETE), (1, UNIQUE_DELETE), (2, ENTRY_DELETE)]
    moved = written(engine, "update item set id = 77 where id = 2")
    assert moved == [(0, INSERT), (0, DELETE), (1, KEY_UPDATE), (2, ENTRY_PUT), (2, ENTRY_DELETE)]


def test_locks(engine: Engine) -> None:
    transaction = engine.begin()
    engine.run("select * from item where kind = 1 for update")
    assert set(transaction.locks.values()) == {int(LockStrength.EXCLUSIVE)}
    assert len(transaction.locks) == 2
    engine.rollback()
    transaction = engine.begin()
    engine.run("insert into child values (1, 2)")
    assert list(transaction.locks.values()) == [int(LockStrength.KEY_SHARE)]
    engine.rollback()


def test_deferred_checks_wait_for_commit(engine: Engine) -> None:
    transaction = engine.begin()
    state = ExecutionState(transaction, (), engine.context, constraints_deferred={None: True})
    list(engine.compile("insert into child values (1, 99)").run(state))
    with pytest.raises(SqlError, match="violates foreign key constraint"):
        check_deferred(transaction, engine.context, state.deferred)
    list(engine.compile("insert into child values (2, 98)").run(state))
    engine.run("insert into item values (98, 'late', 1, 1)")
    check_deferred(transaction, engine.context, state.deferred)
    assert state.deferred == []
    engine.rollback()


def test_insert_many_is_insert(engine: Engine) -> None:
    """A batch writes what single inserts write, refuses what they refuse, and writes nothing then."""
    rows = [[10, "k", 1, 1], [12, None, 1, 2], [11, "l", None, None], [5, "m", 3, 4]]
    target = engine.compile("insert into item values (1, 'a', 1, 1)").statement.plan.target  # type: ignore[attr-defined]
    writer = row_writer(target)
    one = engine.begin()
    for row in rows:
        writer.insert(one, list(row), engine.context)
    many = engine.begin()
    assert writer.insert_many(many, [list(row) for row in rows], engine.context) == 4
    assert many.writes == one.writes
    before = dict(many.writes)
    for bad in (
        [[20, "a", 1, 1]],
        [[21, "new", 1, 1], [21, "other", 1, 1]],
        [[30, "k", 1, 1]],
        [[None, "k2", 1, 1]],
        [[1, "y", 1, 1]],
    ):
        with pytest.raises(SqlError):
            writer.insert_many(many, [list(row) for row in bad], engine.context)
        assert many.writes == before
    engine.rollback()


def test_bulk_insert_takes_parameters(engine: Engine) -> None:
    transaction = engine.begin()
    bulk = compile_bulk_insert(engine.compile("insert into note (b, a) values ($1, $2)", (25, 23)).statement)
    assert bulk(engine.state(), [("x", 1), ("y", None)]) == 2
    stored = [value for key, (value, _) in transaction.writes.items() if key.startswith(prefix(NOTE, 0))]
    decode = row_writer(engine.compile("insert into note values (1, 'a')").statement.plan.target).decode  # type: ignore[attr-defined]
    assert [decode(value) for value in stored] == [[1, "x"], [None, "y"]]
    engine.rollback()


def test_many_joins_do_not_nest_too_deep(engine: Engine) -> None:
    froms = " left join ".join(
        ["item a0", *[f"item a{i} on a{i}.kind < a{i - 1}.id and a{i}.id = 1" for i in range(1, 15)]]
    )
    engine.begin()
    assert engine.run(f"select count(*) from {froms}").rows == [("3",)]
    engine.rollback()


def test_statements_too_deep_for_python_are_refused(engine: Engine) -> None:
    with pytest.raises(SqlError) as caught:
        engine.compile("select " + " + ".join(["a"] * 400) + " from note")
    assert caught.value.sqlstate == "54001"
