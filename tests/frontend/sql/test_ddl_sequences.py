"""Sequences: values ascend and are never given twice, whatever is rolled back, conflicts or crashes; nothing ever waits."""

from __future__ import annotations

from pathlib import Path

import pytest

from frontend.errors import SqlError
from frontend.sql.ddl.sequences import BLOCK_MIN, SequenceAllocator
from tests.frontend.sql.ddl_node import Node, TestSession


def values(session: TestSession, count: int) -> list[int]:
    return [int(session.execute("select nextval('s')")[0][0] or "") for _ in range(count)]


@pytest.fixture
def session() -> TestSession:
    session = TestSession(Node())
    session.execute("create sequence s")
    return session


def test_values_ascend_across_blocks(session: TestSession) -> None:
    assert values(session, BLOCK_MIN * 5) == list(range(1, BLOCK_MIN * 5 + 1))


def test_rollback_takes_nothing_back(session: TestSession) -> None:
    session.begin()
    assert values(session, 3) == [1, 2, 3]
    session.rollback()
    assert values(session, 1) == [4]


def test_a_restart_never_repeats_a_value(tmp_path: Path) -> None:
    node = Node(tmp_path / "view")
    session = TestSession(node)
    session.execute("create sequence s")
    last = values(session, 5)[-1]
    node.sequences = SequenceAllocator(node)
    session.sequences = node.sequences.session()
    assert values(session, 1)[0] > last


def test_overdraft_is_unsettled_until_its_reservation_commits(session: TestSession) -> None:
    node = session.node
    node.held = []
    assert values(session, 40) == list(range(1, 41))
    assert session.sequences.unsettled
    woken: list[bool] = []
    session.sequences.when_settled(lambda: woken.append(True))
    while node.held:
        node.release()
        if session.sequences.unsettled:
            session.sequences.when_settled(lambda: woken.append(True))
    assert woken
    values(session, 1)
    assert not session.sequences.unsettled


def test_two_nodes_on_one_journal_never_give_the_same_value(session: TestSession) -> None:
    """The second allocator plays another node: both reserve, and a reservation that loses fails its drawers."""
    node = session.node
    other = TestSession(node)
    other_sequences = SequenceAllocator(node)
    other.sequences = other_sequences.session()
    node.held = []
    first, second = values(session, 2), values(other, 2)
    node.release()
    assert first == second  # both drew in overdraft from the same position …
    assert not session.sequences.unsettled
    with pytest.raises(SqlError) as error:  # … so one of them must not commit
        _ = other.sequences.unsettled
    assert error.value.sqlstate == "40001"
    assert not set(values(other, 100)) & set(values(session, 20))


def test_restart_begins_again_and_is_transactional(session: TestSession) -> None:
    values(session, 3)
    session.begin()
    session.execute("alter sequence s restart with 50")
    assert values(session, 1) == [50]
    session.rollback()
    assert values(session, 1) == [4]
    session.execute("alter sequence s restart")
    assert values(session, 2) == [1, 2]


def test_changed_increment_continues_after_the_last_value(session: TestSession) -> None:
    values(session, 3)
    session.execute("alter sequence s increment 10")
    assert values(session, 2) == [13, 23]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("increment -1", [-1, -2, -3, -4, -5, -6]),
        ("minvalue 1 maxvalue 3 cycle", [1, 2, 3, 1, 2, 3]),
        ("increment -2 minvalue -5 maxvalue 0 start 0 cycle", [0, -2, -4, 0, -2, -4]),
        ("start 10 increment 5", [10, 15, 20, 25, 30, 35]),
    ],
)
def test_options(options: str, expected: list[int]) -> None:
    session = TestSession(Node())
    session.execute(f"create sequence s {options}")
    assert values(session, 6) == expected


@pytest.mark.parametrize(
    ("sql", "sqlstate", "message"),
    [
        ("select currval('s')", "55000", 'currval of sequence "s" is not yet defined in this session'),
        ("select lastval()", "55000", "lastval is not yet defined in this session"),
        (
            "select setval('s', 0)",
            "22003",
            'setval: value 0 is out of bounds for sequence "s" (1..9223372036854775807)',
        ),
    ],
)
def test_errors(session: TestSession, sql: str, sqlstate: str, message: str) -> None:
    with pytest.raises(SqlError) as error:
        session.execute(sql)
    assert (error.value.sqlstate, error.value.message) == (sqlstate, message)


def test_end_of_a_sequence(session: TestSession) -> None:
    session.execute("create sequence short maxvalue 2")
    session.execute("select nextval('short'), nextval('short')")
    with pytest.raises(SqlError) as error:
        session.execute("select nextval('short')")
    assert (error.value.sqlstate, error.value.message) == (
        "2200H",
        'nextval: reached maximum value of sequence "short" (2)',
    )


def test_setval_and_the_sequence_relation(session: TestSession) -> None:
    assert session.execute("select * from s") == [["1", "0", "f"]]
    session.execute("select setval('s', 20, false)")
    assert session.execute("select * from s") == [["20", "0", "f"]]
    assert values(session, 1) == [20]
    assert session.execute("select last_value, is_called from s") == [["20", "t"]]
    assert session.execute("select currval('s'), lastval()") == [["20", "20"]]


def test_truncate_restart_identity(session: TestSession) -> None:
    session.execute("create table t (id int generated always as identity, v int)")
    session.execute("insert into t (v) values (1), (2)")
    session.execute("truncate t restart identity")
    session.execute("insert into t (v) values (3)")
    assert session.execute("select id from t") == [["1"]]
