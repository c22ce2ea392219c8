"""Hermitage: ten anomalies, interleaved by hand on a real node.

Goal: exactly Aurora DSQL's answers. Snapshot isolation prevents G0, G1a, G1b, G1c, OTV, PMP, P4 and G-single and allows
write skew (G2-item, G2), which SERIALIZABLE and FOR UPDATE prevent. Every loser fails at COMMIT with 40001; no statement
ever waits, which the statement timeout proves.

Method: Martin Kleppmann's test cases (github.com/ept/hermitage) in psycopg: two rows (1, 10), (2, 20), statements of
several transactions in the order of the case. The expected values are the case's own, for snapshot isolation.
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.server import Server

LEVELS = ["", "ISOLATION LEVEL REPEATABLE READ", "ISOLATION LEVEL SERIALIZABLE"]


class Actor:
    """One transaction of a case."""

    def __init__(self, server: Server, level: str) -> None:
        self.connection = server.connect()
        self.connection.execute("SET search_path = hermitage")
        self.connection.execute("SET statement_timeout = '2s'")
        self.connection.execute(f"BEGIN {level}")

    def run(self, sql: str) -> list[tuple[object, ...]]:
        cursor = self.connection.execute(sql)
        return cursor.fetchall() if cursor.description else []

    def commit(self) -> None:
        self.connection.execute("COMMIT")

    def commit_fails(self) -> None:
        with pytest.raises(psycopg.errors.SerializationFailure) as caught:
            self.connection.execute("COMMIT")
        assert "OC000" in str(caught.value)
        assert caught.value.diag.sqlstate == "40001"


class Stage:
    """The table of every case and as many actors as it needs."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.actors: list[Actor] = []
        with server.connect() as connection:
            connection.execute("CREATE SCHEMA IF NOT EXISTS hermitage")
            connection.execute("DROP TABLE IF EXISTS hermitage.test")
            connection.execute("CREATE TABLE hermitage.test (id int PRIMARY KEY, value int)")
            connection.execute("INSERT INTO hermitage.test VALUES (1, 10), (2, 20)")

    def begin(self, level: str = "", count: int = 2) -> list[Actor]:
        self.actors = [Actor(self.server, level) for _ in range(count)]
        return self.actors

    def rows(self) -> list[tuple[object, ...]]:
        with self.server.connect() as connection:
            return connection.execute("SELECT id, value FROM hermitage.test ORDER BY id").fetchall()


@pytest.fixture
def stage(boreal: Server) -> Iterator[Stage]:
    stage = Stage(boreal)
    yield stage
    for actor in stage.actors:
        actor.connection.close()


@pytest.mark.parametrize("level", LEVELS)
def test_g0_dirty_write(stage: Stage, level: str) -> None:
    one, two = stage.begin(level)
    one.run("UPDATE test SET value = 11 WHERE id = 1")
    two.run("UPDATE test SET value = 12 WHERE id = 1")
    one.run("UPDATE test SET value = 21 WHERE id = 2")
    one.commit()
    assert stage.rows() == [(1, 11), (2, 21)]
    two.run("UPDATE test SET value = 22 WHERE id = 2")
    two.commit_fails()
    assert stage.rows() == [(1, 11), (2, 21)]


@pytest.mark.parametrize("level", LEVELS)
def test_g1a_aborted_read(stage: Stage, level: str) -> None:
    one, two = stage.begin(level)
    one.run("UPDATE test SET value = 101 WHERE id = 1")
    assert two.run("SELECT * FROM test ORDER BY id") == [(1, 10), (2, 20)]
    one.run("ROLLBACK")
    assert two.run("SELECT * FROM test ORDER BY id") == [(1, 10), (2, 20)]
    two.commit()


@pytest.mark.parametrize("level", LEVELS)
def test_g1b_intermediate_read(stage: Stage, level: str) -> None:
    one, two = stage.begin(level)
    one.run("UPDATE test SET value = 101 WHERE id = 1")
    assert two.run("SELECT * FROM test ORDER BY id") == [(1, 10), (2, 20)]
    one.run("UPDATE test SET value = 11 WHERE id = 1")
    one.commit()
    assert two.run("SELECT * FROM test ORDER BY id") == [(1, 10), (2, 20)]
    two.commit()


@pytest.mark.parametrize("level", LEVELS[:2])
def test_g1c_circular_information_flow(stage: Stage, level: str) -> None:
    one, two = stage.begin(level)
    one.run("UPDATE test SET value = 11 WHERE id = 1")
    two.run("UPDATE test SET value = 22 WHERE id = 2")
    assert one.run("SELECT * FROM test WHERE id = 2") == [(2, 20)]
    assert two.run("SELECT * FROM test WHERE id = 1") == [(1, 10)]
    one.commit()
    two.commit()


def test_g1c_serializable_aborts_one(stage: Stage) -> None:
    one, two = stage.begin(LEVELS[2])
    one.run("UPDATE test SET value = 11 WHERE id = 1")
    two.run("UPDATE test SET value = 22 WHERE id = 2")
    assert one.run("SELECT * FROM test WHERE id = 2") == [(2, 20)]
    assert two.run("SELECT * FROM test WHERE id = 1") == [(1, 10)]
    one.commit()
    two.commit_fails()


@pytest.mark.parametrize("level", LEVELS)
def test_otv_observed_transaction_vanishes(stage: Stage, level: str) -> None:
    one, two, three = stage.begin(level, 3)
    one.run("UPDATE test SET value = 11 WHERE id = 1")
    one.run("UPDATE test SET value = 19 WHERE id = 2")
    two.run("UPDATE test SET value = 12 WHERE id = 1")
    one.commit()
    assert three.run("SELECT * FROM test WHERE id = 1") == [(1, 11)]
    two.run("UPDATE test SET value = 18 WHERE id = 2")
    assert three.run("SELECT * FROM test WHERE id = 2") == [(2, 19)]
    two.commit_fails()
    assert three.run("SELECT * FROM test WHERE id = 2") == [(2, 19)]
    assert three.run("SELECT * FROM test WHERE id = 1") == [(1, 11)]
    three.commit()


@pytest.mark.parametrize("level", LEVELS)
def test_pmp_predicate_many_preceders(stage: Stage, level: str) -> None:
    one, two = stage.begin(level)
    assert one.run("SELECT * FROM test WHERE value = 30") == []
    two.run("INSERT INTO test (id, value) VALUES (3, 30)")
    two.commit()
    assert one.run("SELECT * FROM test WHERE value % 3 = 0") == []
    one.commit()


@pytest.mark.parametrize("level", LEVELS)
def test_pmp_write_predicate(stage: Stage, level: str) -> None:
    one, two = stage.begin(level)
    one.run("UPDATE test SET value = value + 10")
    assert two.run("SELECT * FROM test WHERE value = 20") == [(2, 20)]
    two.run("DELETE FROM test WHERE value = 20")
    one.commit()
    two.commit_fails()
    assert stage.rows() == [(1, 20), (2, 30)]


@pytest.mark.parametrize("level", LEVELS)
def test_p4_lost_update(stage: Stage, level: str) -> None:
    one, two = stage.begin(level)
    assert one.run("SELECT * FROM test WHERE id = 1") == [(1, 10)]
    assert two.run("SELECT * FROM test WHERE id = 1") == [(1, 10)]
    one.run("UPDATE test SET value = 11 WHERE id = 1")
    two.run("UPDATE test SET value = 11 WHERE id = 1")
    one.commit()
    two.commit_fails()


@pytest.mark.parametrize("level", LEVELS)
def test_g_single_read_skew(stage: Stage, level: str) -> None:
    one, two = stage.begin(level)
    assert one.run("SELECT * FROM test WHERE id = 1") == [(1, 10)]
    assert two.run("SELECT * FROM test WHERE id = 1") == [(1, 10)]
    assert two.run("SELECT * FROM test WHERE id = 2") == [(2, 20)]
    two.run("UPDATE test SET value = 12 WHERE id = 1")
    two.run("UPDATE test SET value = 18 WHERE id = 2")
    two.commit()
    assert one.run("SELECT * FROM test WHERE id = 2") == [(2, 20)]
    one.commit()


@pytest.mark.parametrize("level", LEVELS)
def test_g_single_predicate_dependencies(stage: Stage, level: str) -> None:
    one, two = stage.begin(level)
    assert one.run("SELECT * FROM test WHERE value % 5 = 0 ORDER BY id") == [(1, 10), (2, 20)]
    two.run("UPDATE test SET value = 12 WHERE value = 10")
    two.commit()
    assert one.run("SELECT * FROM test WHERE value % 3 = 0") == []
    one.commit()


@pytest.mark.parametrize("level", LEVELS)
def test_g_single_write_predicate(stage: Stage, level: str) -> None:
    one, two = stage.begin(level)
    assert one.run("SELECT * FROM test WHERE id = 1") == [(1, 10)]
    two.run("UPDATE test SET value = 12 WHERE id = 1")
    two.run("UPDATE test SET value = 18 WHERE id = 2")
    two.commit()
    one.run("DELETE FROM test WHERE value = 20")
    one.commit_fails()


@pytest.mark.parametrize("level", LEVELS[:2])
def test_g2_item_write_skew_is_possible(stage: Stage, level: str) -> None:
    one, two = stage.begin(level)
    assert len(one.run("SELECT * FROM test WHERE id IN (1, 2)")) == 2
    assert len(two.run("SELECT * FROM test WHERE id IN (1, 2)")) == 2
    one.run("UPDATE test SET value = 11 WHERE id = 1")
    two.run("UPDATE test SET value = 21 WHERE id = 2")
    one.commit()
    two.commit()
    assert stage.rows() == [(1, 11), (2, 21)]


def test_g2_item_serializable_prevents(stage: Stage) -> None:
    one, two = stage.begin(LEVELS[2])
    assert len(one.run("SELECT * FROM test WHERE id IN (1, 2)")) == 2
    assert len(two.run("SELECT * FROM test WHERE id IN (1, 2)")) == 2
    one.run("UPDATE test SET value = 11 WHERE id = 1")
    two.run("UPDATE test SET value = 21 WHERE id = 2")
    one.commit()
    two.commit_fails()


@pytest.mark.parametrize("level", LEVELS[:2])
def test_g2_item_for_update_prevents(stage: Stage, level: str) -> None:
    one, two = stage.begin(level)
    assert len(one.run("SELECT * FROM test WHERE id IN (1, 2) FOR UPDATE")) == 2
    assert len(two.run("SELECT * FROM test WHERE id IN (1, 2) FOR UPDATE")) == 2
    one.run("UPDATE test SET value = 11 WHERE id = 1")
    two.run("UPDATE test SET value = 21 WHERE id = 2")
    one.commit()
    two.commit_fails()


@pytest.mark.parametrize("level", LEVELS[:2])
def test_g2_anti_dependency_cycle_is_possible(stage: Stage, level: str) -> None:
    one, two = stage.begin(level)
    assert one.run("SELECT * FROM test WHERE value % 3 = 0") == []
    assert two.run("SELECT * FROM test WHERE value % 3 = 0") == []
    one.run("INSERT INTO test (id, value) VALUES (3, 30)")
    two.run("INSERT INTO test (id, value) VALUES (4, 42)")
    one.commit()
    two.commit()
    assert stage.rows() == [(1, 10), (2, 20), (3, 30), (4, 42)]


def test_g2_serializable_prevents(stage: Stage) -> None:
    one, two = stage.begin(LEVELS[2])
    assert one.run("SELECT * FROM test WHERE value % 3 = 0") == []
    assert two.run("SELECT * FROM test WHERE value % 3 = 0") == []
    one.run("INSERT INTO test (id, value) VALUES (3, 30)")
    two.run("INSERT INTO test (id, value) VALUES (4, 42)")
    one.commit()
    two.commit_fails()


def test_loser_is_told_table_key_and_winner(stage: Stage) -> None:
    one, two = stage.begin()
    one.run("UPDATE test SET value = 11 WHERE id = 1")
    two.run("UPDATE test SET value = 12 WHERE id = 1")
    one.commit()
    with pytest.raises(psycopg.errors.SerializationFailure) as caught:
        two.commit()
    diagnosis = caught.value.diag
    assert diagnosis.message_primary == "change conflicts with another transaction, please retry: (OC000)"
    assert diagnosis.message_detail is not None
    assert 'table "test", key (id)=(1)' in diagnosis.message_detail
    assert diagnosis.table_name == "test"
