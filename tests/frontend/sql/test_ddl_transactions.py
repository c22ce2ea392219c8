"""DDL in transactions: drafts, savepoints, conflicts between concurrent definitions and writes, identifiers, restarts.

Every expectation follows from snapshot isolation with first-committer-wins (architecture §3): whoever commits second on the same
object, the same name, or on rows that a definition has read, gets 40001.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from frontend.errors import SqlError
from frontend.sql.ddl.draft import STRIDE, IdentifierAllocator
from storage.catalog import Catalog, Table
from tests.frontend.sql.ddl_node import Node, TestSession


@pytest.fixture
def node() -> Node:
    return Node()


def table_of(catalog: Catalog, name: str) -> Table:
    found = next(item for item in catalog.objects.values() if item.name == name)
    assert isinstance(found, Table)
    return found


def conflict(session: TestSession) -> str:
    """The error that COMMIT gives."""
    with pytest.raises(SqlError) as error:
        session.commit()
    assert error.value.sqlstate == "40001"
    return error.value.message


def test_uncommitted_definitions_are_seen_only_by_their_transaction(node: Node) -> None:
    one, other = TestSession(node), TestSession(node)
    one.begin()
    one.execute("create table t (a int primary key)")
    one.execute("insert into t values (1)")
    assert one.execute("select a from t") == [["1"]]
    with pytest.raises(SqlError, match="does not exist"):
        other.execute("select a from t")
    one.commit()
    assert other.execute("select a from t") == [["1"]]


def test_rollback_leaves_nothing(node: Node) -> None:
    session = TestSession(node)
    session.begin()
    session.execute("create table t (a serial)")
    session.rollback()
    assert session.execute("select count(*) from pg_class where oid >= 16384") == [["0"]]


def test_rollback_to_savepoint_restores_the_draft(node: Node) -> None:
    session = TestSession(node)
    session.begin()
    session.execute("create table kept (a int)")
    session.savepoint("s")
    session.execute("create table gone (a int)")
    session.execute("alter table kept add column b int")
    session.rollback_to("s")
    session.execute("create table gone (c text)")
    session.commit()
    columns = "select attname from pg_attribute where attrelid = '{}'::regclass and attnum > 0"
    assert session.execute(columns.format("kept")) == [["a"]]
    assert session.execute(columns.format("gone")) == [["c"]]


def test_two_tables_of_one_name_conflict(node: Node) -> None:
    one, other = TestSession(node), TestSession(node)
    one.begin()
    other.begin()
    one.execute("create table t (a int)")
    other.execute("create table t (b int)")
    one.commit()
    conflict(other)


def test_tables_of_different_names_do_not_conflict(node: Node) -> None:
    one, other = TestSession(node), TestSession(node)
    one.begin()
    other.begin()
    one.execute("create table t (a int primary key)")
    other.execute("create table u (b int primary key)")
    one.commit()
    other.commit()
    first, second = table_of(node.view.catalog, "t"), table_of(node.view.catalog, "u")
    assert first.oid != second.oid
    assert first.storage != second.storage


def test_two_changes_of_one_table_conflict(node: Node) -> None:
    one, other = TestSession(node), TestSession(node)
    one.execute("create table t (a int)")
    one.begin()
    other.begin()
    one.execute("alter table t add column b int")
    other.execute("comment on table t is 'x'")
    one.commit()
    conflict(other)


@pytest.mark.parametrize("drop_first", [True, False])
def test_dropping_a_schema_conflicts_with_creating_in_it(node: Node, drop_first: bool) -> None:
    one, other = TestSession(node), TestSession(node)
    one.execute("create schema s")
    one.begin()
    other.begin()
    one.execute("drop schema s")
    other.execute("create table s.t (a int)")
    first, second = (one, other) if drop_first else (other, one)
    first.commit()
    conflict(second)


def test_index_build_conflicts_with_a_row_committed_meanwhile(node: Node) -> None:
    one, other = TestSession(node), TestSession(node)
    one.execute("create table t (a int primary key, b int)")
    one.begin()
    one.execute("create index on t (b)")
    other.execute("insert into t values (1, 2)")
    conflict(one)
    one.execute("create index on t (b)")
    assert one.execute("select a from t where b = 2") == [["1"]]


def test_write_planned_before_a_definition_conflicts(node: Node) -> None:
    one, other = TestSession(node), TestSession(node)
    one.execute("create table t (a int primary key, b int)")
    other.begin()
    other.execute("insert into t values (1, 2)")
    one.execute("create index on t (b)")
    assert "SCHEMA" in conflict(other)


@pytest.mark.parametrize(
    "change",
    [
        "alter table t add primary key (a)",
        "alter table t alter column a type bigint",
        "alter table t alter column a set not null",
    ],
)
def test_rewrites_and_checks_see_own_uncommitted_rows(node: Node, change: str) -> None:
    session = TestSession(node)
    session.execute("create table t (a int)")
    session.begin()
    session.execute("insert into t values (1), (2)")
    session.execute(change)
    session.execute("insert into t values (3)")
    session.commit()
    assert session.execute("select a from t order by a") == [["1"], ["2"], ["3"]]


def test_truncate_is_undone_by_rollback(node: Node) -> None:
    session = TestSession(node)
    session.execute("create table t (a int)")
    session.execute("insert into t values (1)")
    session.begin()
    session.execute("truncate t")
    assert session.execute("select count(*) from t") == [["0"]]
    session.rollback()
    assert session.execute("select count(*) from t") == [["1"]]


def test_create_drop_create_in_one_transaction(node: Node) -> None:
    session = TestSession(node)
    session.begin()
    session.execute("create table t (a int)")
    session.execute("drop table t")
    session.execute("create table t (b int)")
    session.commit()
    assert session.execute("select * from t") == []
    session.execute("drop table t")
    session.execute("create table t (c int)")


def test_storage_ids_are_never_used_twice(node: Node) -> None:
    session = TestSession(node)
    session.execute("create table t (a int)")
    session.execute("insert into t values (1)")
    before = table_of(node.view.catalog, "t").storage
    session.execute("drop table t")
    node.identifiers = IdentifierAllocator(0)  # a restart
    session.execute("create table u (a int)")
    assert table_of(node.view.catalog, "u").storage > before
    assert session.execute("select count(*) from u") == [["0"]]


def test_nodes_allocate_different_identifiers(node: Node) -> None:
    first, second = IdentifierAllocator(1), IdentifierAllocator(2)
    catalog = node.view.catalog
    ours = [first.oid(catalog) for _ in range(100)]
    theirs = [second.oid(catalog) for _ in range(100)]
    assert not set(ours) & set(theirs)
    assert all(after - before == STRIDE for before, after in zip(ours, ours[1:], strict=False))
    assert ours[0] >= 16384


def test_catalog_survives_a_restart(tmp_path: Path) -> None:
    node = Node(tmp_path / "view")
    session = TestSession(node)
    session.execute("create table t (a int primary key, b text default 'x', check (a > 0))")
    session.execute("create view v as select * from t")
    before = node.view.catalog.objects
    node.view.close()
    again = Node(tmp_path / "view")
    assert again.view.catalog.objects == before
    assert TestSession(again).execute("select * from v") == []
