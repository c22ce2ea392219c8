"""Goal: the catalogue's facts are PostgreSQL's, and every registered implementation is a pg_proc entry.

Method: facts against the oracle's own catalogues; the registry's keys against `proc_by_signature`.
"""

from __future__ import annotations

import psycopg

import frontend.functions
from frontend.functions import catalogue, registry
from frontend.types import oids
from tests.oracle import Oracle


def test_signatures_are_unique() -> None:
    signatures = [catalogue.signature_of(proc) for proc in catalogue.all_procs()]
    assert len(signatures) == len(set(signatures))


def test_procs_are_the_oracles(oracle: Oracle) -> None:
    with psycopg.connect(oracle.dsn) as connection:
        facts = {
            row[0]: row[1:]
            for row in connection.execute(
                "select oid::int8, proname, prokind, proisstrict, proretset, prorettype::int8, proargtypes::oid[]::int8[]"
                " from pg_proc where pronamespace = 'pg_catalog'::regnamespace"
            )
        }
    for proc in catalogue.all_procs():
        kind = proc.kind
        expected = (proc.name, kind, proc.is_strict, proc.returns_set, proc.result_type, list(proc.argument_types))
        assert facts[proc.oid] == expected


def test_output_columns() -> None:
    (json_each,) = catalogue.procs_by_name("json_each")
    assert json_each.output_columns == [("key", 25), ("value", 114)]
    assert catalogue.procs_by_name("lower")[0].output_columns == []


def test_registered_signatures_exist_with_their_kind() -> None:
    frontend.functions.load()
    for table, kinds, returns_set in (
        (registry.SCALARS, "fp", False),
        (registry.AGGREGATES, "a", False),
        (registry.WINDOWS, "w", False),
        (registry.SET_RETURNING, "f", True),
    ):
        for signature in table:
            proc = catalogue.proc_by_signature(signature)
            assert proc is not None, f"{signature} is not in pg_proc"
            assert proc.kind in kinds, signature
            # a function that gives one record stands in FROM like one that gives several
            one_record = table is registry.SET_RETURNING and proc.result_type in (oids.RECORD, oids.ANYELEMENT)
            assert proc.returns_set is returns_set or one_record, signature
