"""The catalogue's relations against PostgreSQL's own: same relations, columns and built-in rows; same rows for the same schema.

OIDs of user objects differ, so rows about them are compared without OID columns.
"""

from __future__ import annotations

import psycopg
import pytest

from frontend.system import registry
from tests.frontend.system.test_psql import Pair
from tests.oracle import Oracle


@pytest.fixture(scope="module")
def both(oracle: Oracle) -> Pair:
    return Pair(oracle)


def rows(connection: psycopg.Connection[tuple[object, ...]], sql: str) -> list[list[str | None]]:
    result = connection.execute(sql, binary=False).pgresult
    assert result is not None
    return [
        [
            None if value is None else value.decode()
            for value in (result.get_value(row, column) for column in range(result.nfields))
        ]
        for row in range(result.ntuples)
    ]


def test_every_relation_of_postgresql_exists_and_can_be_read(both: Pair) -> None:
    names = rows(
        both.connection,
        "select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = relnamespace "
        "where nspname in ('pg_catalog', 'information_schema') and relkind in ('r', 'v') order by 1, 2",
    )
    for schema, name in names:
        relation = registry.find(schema or "", name or "")
        assert relation is not None, f"{schema}.{name}"
        width = len(relation.columns)
        for row in relation.rows(both.session.context):
            assert len(row) == width, f"{schema}.{name}"


BUILT_IN = {
    "pg_proc": "oid, proname, pronamespace, prolang, procost, prorows, provariadic, prosupport::oid, prokind, prosecdef, "
    "proleakproof, proisstrict, proretset, provolatile, proparallel, pronargs, pronargdefaults, prorettype, proargtypes, "
    "proallargtypes, proargmodes, proargnames, prosrc",
    "pg_type": "oid, typname, typowner, typlen, typbyval, typtype, typcategory, typispreferred, typisdefined, typdelim, "
    "typrelid, typsubscript::oid, typelem, typarray, typinput::oid, typoutput::oid, typreceive::oid, typsend::oid, "
    "typmodin::oid, typmodout::oid, typanalyze::oid, typalign, typstorage, typnotnull, typbasetype, typtypmod, typndims, "
    "typcollation, typdefault",
    "pg_operator": "oid, oprname, oprkind, oprcanmerge, oprcanhash, oprleft, oprright, oprresult, oprcom, oprnegate, oprcode::oid, "
    "oprrest::oid, oprjoin::oid",
    "pg_cast": "*",
    "pg_am": "oid, amname, amhandler::oid, amtype",
    "pg_opclass": "*",
    "pg_opfamily": "*",
    "pg_amop": "*",
    "pg_amproc": "oid, amprocfamily, amproclefttype, amprocrighttype, amprocnum, amproc::oid",
    "pg_aggregate": "aggfnoid::oid, aggkind, aggnumdirectargs, aggtransfn::oid, aggfinalfn::oid, aggcombinefn::oid, aggsortop, "
    "aggtranstype, agginitval",
    "pg_collation": "*",
    "pg_range": "rngtypid, rngsubtype, rngmultitypid, rngcollation, rngsubopc, rngcanonical::oid, rngsubdiff::oid",
    "pg_tablespace": "*",
}


@pytest.mark.parametrize("relation", BUILT_IN)
def test_built_in_rows(both: Pair, relation: str) -> None:
    key = {"pg_aggregate": "aggfnoid", "pg_range": "rngtypid"}.get(relation, "oid")
    where = "pronamespace = 11 and proname not like 'plpgsql%'" if relation == "pg_proc" else f"{key}::oid < 16384"
    sql = f"select {BUILT_IN[relation]} from {relation} where {where} order by {key}::oid"
    actual, expected = both.session.execute(sql), rows(both.connection, sql)
    assert len(actual) == len(expected)
    for mine, theirs in zip(actual, expected, strict=True):
        assert mine == theirs


USER_ROWS = [
    "select relname, relkind, relpersistence, relnatts, relchecks, relhasindex, relhasrules, relreplident, relispartition, "
    "reloptions, relam, relisshared from pg_class where oid >= 16384 and relnamespace <> 99 order by relname",
    "select c.relname, attname, atttypid::regtype, attlen, attnum, atttypmod, attndims, attbyval, attalign, attstorage, "
    "attcompression, attnotnull, atthasdef, attidentity, attgenerated, attislocal, attinhcount, attcollation from pg_attribute "
    "join pg_class c on c.oid = attrelid where c.oid >= 16384 and relnamespace <> 99 and not attisdropped order by 1, attnum",
    "select c.relname, adnum, pg_get_expr(adbin, adrelid) from pg_attrdef join pg_class c on c.oid = adrelid order by 1, 2",
    "select c.relname, indnatts, indnkeyatts, indisunique, indnullsnotdistinct, indisprimary, indimmediate, indisvalid, indkey, "
    "indcollation, indclass, indoption, pg_get_indexdef(indexrelid), pg_get_expr(indpred, indrelid) from pg_index "
    "join pg_class c on c.oid = indexrelid where c.oid >= 16384 and relnamespace <> 99 order by 1",
    "select conname, contype, condeferrable, condeferred, convalidated, confupdtype, confdeltype, confmatchtype, conislocal, "
    "coninhcount, connoinherit, conkey, confkey, conpfeqop, conppeqop, conffeqop, pg_get_constraintdef(oid) from pg_constraint "
    "where conrelid >= 16384 order by conname",
    "select seqrelid::regclass, seqtypid, seqstart, seqincrement, seqmax, seqmin, seqcache, seqcycle from pg_sequence order by 1::text",
    "select t.typname, t.typtype, t.typcategory, t.typlen, t.typdelim, e.typname from pg_type t left join pg_type e on e.oid = "
    "t.typelem where t.oid >= 16384 and t.typnamespace <> 99 order by 1",
    "select schemaname, tablename, tableowner, hasindexes, hasrules, hastriggers from pg_tables where schemaname in ('public', "
    "'extra') order by 1, 2",
    "select * from pg_indexes where schemaname in ('public', 'extra') order by 1, 3",
    "select schemaname, sequencename, sequenceowner, data_type, start_value, min_value, max_value, increment_by, cycle, cache_size, "
    "last_value from pg_sequences order by 2",
    "select rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolconnlimit from pg_roles where rolname in "
    "('postgres', 'worker') order by 1",
    "select table_schema, table_name, table_type, is_insertable_into from information_schema.tables where table_schema in "
    "('public', 'extra') and table_type <> 'VIEW' order by 1, 2",
    "select * from information_schema.columns where table_schema in ('public', 'extra') and table_name <> 'parent_view' order by "
    "table_schema, table_name, ordinal_position",
    "select constraint_schema, constraint_name, table_name, constraint_type, is_deferrable, initially_deferred, enforced, "
    "nulls_distinct from information_schema.table_constraints where constraint_name not like '%not_null' and table_schema in "
    "('public', 'extra') order by 1, 2",
    "select * from information_schema.key_column_usage where table_schema in ('public', 'extra') order by constraint_name, "
    "ordinal_position",
    "select * from information_schema.referential_constraints order by constraint_name",
    "select * from information_schema.constraint_column_usage where constraint_schema in ('public', 'extra') order by "
    "constraint_name, column_name",
    "select constraint_name, check_clause from information_schema.check_constraints where constraint_schema in ('public', 'extra') "
    "and constraint_name not like '%not_null' order by 1",
    "select * from information_schema.sequences order by sequence_name",
    "select grantor, grantee, table_name, privilege_type, is_grantable, with_hierarchy from information_schema.table_privileges "
    "where table_schema = 'public' order by 2, 3, 4",
    "select * from information_schema.view_table_usage where view_schema = 'public' order by table_name",
    "select * from information_schema.view_column_usage where view_schema = 'public' order by column_name",
    "select deptype, count(*) from pg_depend where refclassid = 'pg_class'::regclass and classid = 'pg_constraint'::regclass and "
    "refobjid >= 16384 group by 1 order by 1",
    "select pg_get_serial_sequence('parent', 'id'), pg_get_serial_sequence('child', 'id')",
    "select proname, pg_get_function_arguments(oid), pg_get_function_result(oid), pg_get_function_identity_arguments(oid) from "
    "pg_proc where proname in ('lower', 'generate_series', 'json_each', 'concat', 'pg_get_keywords', 'set_config', 'make_interval') "
    "order by oid",
    "select * from pg_get_keywords() order by 1",
    "select 'parent'::regclass, 'extra.thing'::regclass, 'pg_class'::regclass, 'information_schema.tables'::regclass, "
    "'int4'::regtype, 'public'::regnamespace, 'worker'::regrole, 'lower(text)'::regprocedure, '=(int4,int4)'::regoperator",
    "select (aclexplode(relacl)).privilege_type from pg_class where relname = 'parent' order by 1",
]  # fmt: skip


@pytest.mark.parametrize("sql", USER_ROWS, ids=lambda sql: sql[:70])
def test_same_rows_for_the_same_schema(both: Pair, sql: str) -> None:
    assert both.session.execute(sql) == rows(both.connection, sql)
