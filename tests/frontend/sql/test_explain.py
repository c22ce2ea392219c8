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
    (
        "select id from emp where id = 1 or id = 3",
        "Index Scan using emp_pkey on emp\n  Index Cond: (id = ANY (ARRAY[1, 3]))",
    ),
    (
        "select id from emp where id in (1, 2) and salary > 5",
        "Index Scan using emp_pkey on emp\n  Index Cond: (id = ANY (ARRAY[1, 2]))\n  Filter: (salary > 5)",
    ),
    (
        "select id from emp where note like 'n%' ",
        "Index Scan using emp_note on emp\n  Index Cond: ((note)::text ~~ 'n%'::text)",
    ),
    (
        "select id from emp where lower(name) = 'x'",
        "Index Scan using emp_lower on emp\n  Index Cond: (lower(name) = 'x'::text)",
    ),
    (
        "select id from emp where active and salary = 400",
        "Index Scan using emp_salary on emp\n  Index Cond: (salary = 400)\n  Filter: active",
    ),
    (
        "select id from emp where active and salary > 400 order by salary",
        "Sort\n  Sort Key: salary\n  ->  Seq Scan on emp\n        Filter: (active AND (salary > 400))",
    ),
    ("select id from emp order by salary desc, id limit 2", "Limit\n  ->  Index Scan using emp_salary on emp"),
    (
        "select b from pair where a = 1 order by b desc",
        "Index Scan Backward using pair_pkey on pair\n  Index Cond: (a = 1)",
    ),
    ("select b from pair where b = 'x'", "Seq Scan on pair\n  Filter: (b = 'x'::text)"),
    (
        "select k from pair p join big b on b.id = p.a where p.a = 1 and p.b = 'x'",
        "Nested Loop\n  ->  Index Scan using pair_pkey on pair p\n        Index Cond: ((p.a = 1) AND (p.b = 'x'::text))\n  ->  Index Scan using big_pkey on big b\n        Index Cond: (b.id = p.a)",
    ),
    (
        "select * from (select dept_id, count(*) c from emp group by dept_id) s where dept_id = 1 and c > 2",
        "HashAggregate\n  Group Key: dept_id\n  Filter: (count > 2)\n  ->  Index Scan using emp_dept on emp\n        Index Cond: (dept_id = 1)",
    ),
    (
        "select id from emp e where exists (select 1 from dept d where d.id = e.dept_id and d.budget > 5)",
        "Hash Semi Join\n  Hash Cond: (e.dept_id = d.id)\n  ->  Seq Scan on emp e\n  ->  Hash\n        ->  Seq Scan on dept d\n              Filter: (d.budget > '5'::numeric)",
    ),
    (
        "select e.id from emp e left join dept d on d.id = e.dept_id where d.name = 'x'",
        "Nested Loop\n  ->  Index Scan using dept_name_key on dept d\n        Index Cond: (d.name = 'x'::text)\n  ->  Index Scan using emp_dept on emp e\n        Index Cond: (d.id = e.dept_id)",
    ),
    (
        "select q.id from (select id, k from big union all select id, salary from emp) q where q.id = 5",
        "Append\n  ->  Index Scan using big_pkey on big\n        Index Cond: (big.id = 5)\n  ->  Index Scan using emp_pkey on emp\n        Index Cond: (emp.id = 5)",
    ),
    (
        "with q as (select id, k from big) select * from q where id = 7",
        "Index Scan using big_pkey on big\n  Index Cond: (id = 7)",
    ),
    (
        "select x from loose where z = (select max(v) from big)",
        "Seq Scan on loose\n  Filter: (loose.z = (InitPlan))\n  InitPlan 1\n    ->  Aggregate\n        ->  Seq Scan on big",
    ),
    (
        "select id from big where k > 5 and k < 9 and v = 'v1'",
        "Index Scan using big_k on big\n  Index Cond: ((k > 5) AND (k < 9))\n  Filter: (v = 'v1'::text)",
    ),
    (
        "delete from child_c where parent_id = 3",
        "Delete on child_c\n  ->  Index Scan using child_c_parent on child_c\n        Index Cond: (parent_id = 3)",
    ),
    (
        "select count(*) from emp e, big b, dept d where e.dept_id = d.id and b.id = e.salary",
        "Aggregate\n  ->  Hash Join\n        Hash Cond: (e.dept_id = d.id)\n        ->  Hash Join\n              Hash Cond: (e.salary = b.id)\n              ->  Seq Scan on emp e\n              ->  Hash\n                    ->  Seq Scan on big b\n        ->  Hash\n              ->  Seq Scan on dept d",
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
