"""Goal: EXPLAIN shows the plan that runs, in PostgreSQL's form.

Method: plans of small statements over the schema of test_executor are written down by hand and compared; ANALYZE's row counts
are compared with what the statement returns.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from frontend.sql.explain import Options, describe, render
from frontend.sql.parser import parse
from frontend.sql.syntax_commands import Explain
from tests.frontend.sql.engine import Engine
from tests.frontend.sql.executor_statements import DATA, SCHEMA
from tests.frontend.sql.oracle_catalog import read_catalog
from tests.frontend.sql.test_executor import split
from tests.oracle import Oracle


@pytest.fixture(scope="module")
def engine(oracle: Oracle, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    with psycopg.connect(oracle.dsn, autocommit=True) as connection:
        connection.execute("drop database if exists explain_tests")
        connection.execute("create database explain_tests")
    with psycopg.connect(oracle.dsn.replace("dbname=postgres", "dbname=explain_tests"), autocommit=True) as connection:
        connection.execute(SCHEMA)
        engine = Engine(Path(tmp_path_factory.mktemp("view")) / "v", read_catalog(connection))
    for statement in split(DATA):
        engine.run(statement.rstrip(";"))
    return engine


def options(**chosen: bool) -> Options:
    node = parse("explain select 1")[0].statement
    assert isinstance(node, Explain)
    result = Options(node)
    for name, value in {"costs": False, "timing": False, **chosen}.items():
        setattr(result, name, value)
    return result


def plan_of(engine: Engine, sql: str) -> str:
    compiled = engine.compile(sql)
    return "\n".join(render(describe(compiled, engine.catalog, engine.statistics, options()), options()))


PLANS = [
    ("select * from emp where id = 1", "Index Scan using emp_pkey on emp\n  Index Cond: (id = 1)"),
    ("select * from loose where x = 1", "Seq Scan on loose\n  Filter: (x = 1)"),
    (
        "select id from emp where dept_id = 1 and name = 'x'",
        "Index Scan using emp_dept on emp\n  Index Cond: (dept_id = 1)\n  Filter: (name = 'x'::text)",
    ),
    ("select * from emp order by id desc limit 3", "Limit\n  ->  Index Scan Backward using emp_pkey on emp"),
    ("select id from emp order by name", "Sort\n  Sort Key: name\n  ->  Seq Scan on emp"),
    (
        "select e.id from emp e join dept d on d.id = e.dept_id where e.id = 1",
        "Nested Loop\n  ->  Index Scan using emp_pkey on emp e\n        Index Cond: (e.id = 1)\n"
        "  ->  Index Scan using dept_pkey on dept d\n        Index Cond: (d.id = e.dept_id)",
    ),
    (
        "select a.x from loose a left join loose b on a.x = b.y",
        "Hash Left Join\n  Hash Cond: (a.x = b.y)\n  ->  Seq Scan on loose a\n  ->  Hash\n        ->  Seq Scan on loose b",
    ),
    ("select x, count(*) from loose group by x", "HashAggregate\n  Group Key: x\n  ->  Seq Scan on loose"),
    ("select 1", "Result"),
    (
        "update emp set salary = 1 where id = 2",
        "Update on emp\n  ->  Index Scan using emp_pkey on emp\n        Index Cond: (id = 2)",
    ),
    (
        "select max(k) from big",
        "Aggregate\n  ->  Limit\n        ->  Index Scan Backward using big_k on big\n              Index Cond: (k IS NOT NULL)",
    ),
]


@pytest.mark.parametrize(("sql", "expected"), PLANS, ids=[sql for sql, _ in PLANS])
def test_plan(engine: Engine, sql: str, expected: str) -> None:
    assert plan_of(engine, sql) == expected


def test_analyze_counts_rows(engine: Engine) -> None:
    engine.begin()
    compiled = engine.compile(
        "select e.id from emp e join dept d on d.id = e.dept_id where e.salary > 100", instrument=True
    )
    state = engine.state()
    rows: list[Any] = [row for batch in compiled.run(state) for row in batch]
    engine.rollback()
    chosen = options(analyze=True)
    described = describe(compiled, engine.catalog, engine.statistics, chosen, state)
    assert described["Actual Rows"] == len(rows)
    assert all("actual" in line or ":" in line for line in render(described, chosen))
