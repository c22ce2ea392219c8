"""A Boreal catalog made from the schema of a running PostgreSQL, OIDs included.

Tests create their schema in PostgreSQL once and bind the same statements on both sides; nothing of our own DDL takes part.
"""

from __future__ import annotations

from typing import Any

import psycopg

from storage.catalog import (
    Catalog,
    CatalogObject,
    Column,
    Constraint,
    Index,
    KeyPart,
    Schema,
    Sequence,
    Table,
    View,
    bootstrap_catalog,
)

_COLUMNS = """
select a.attrelid::int8, a.attnum, a.attname, a.atttypid::int8, a.atttypmod, a.attnotnull, a.attgenerated, a.attidentity,
       a.attisdropped, pg_get_expr(d.adbin, d.adrelid),
       (select s.objid::int8 from pg_depend s join pg_class c on c.oid = s.objid and c.relkind = 'S'
         where s.classid = 'pg_class'::regclass and s.refobjid = a.attrelid and s.refobjsubid = a.attnum and s.deptype = 'i')
  from pg_attribute a join pg_class r on r.oid = a.attrelid
  left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
 where a.attnum > 0 and r.relkind in ('r', 'v') and r.oid >= 16384 and r.relnamespace <> 'pg_toast'::regnamespace
 order by a.attrelid, a.attnum
"""
_RELATIONS = """
select c.oid::int8, c.relname, c.relnamespace::int8, c.relkind::text, c.reltype::int8, t.typarray::int8,
       case when c.relkind = 'v' then pg_get_viewdef(c.oid) end
  from pg_class c left join pg_type t on t.oid = c.reltype
 where c.oid >= 16384 and c.relkind in ('r', 'v', 'S') and c.relnamespace <> 'pg_toast'::regnamespace
"""
_INDEXES = """
select i.indexrelid::int8, c.relname, c.relnamespace::int8, i.indrelid::int8, i.indkey::int2[]::int[], i.indnkeyatts,
       i.indisunique, i.indisprimary, pg_get_expr(i.indpred, i.indrelid),
       array(select pg_get_indexdef(i.indexrelid, k, true) from generate_series(1, i.indnatts) k), i.indoption::int2[]::int[],
       i.indnullsnotdistinct
  from pg_index i join pg_class c on c.oid = i.indexrelid
 where i.indrelid >= 16384 and c.relnamespace <> 'pg_toast'::regnamespace
"""
_CONSTRAINTS = """
select oid::int8, conrelid::int8, conname, contype::text, coalesce(conkey, '{}')::int[], pg_get_expr(conbin, conrelid),
       conindid::int8, confrelid::int8, coalesce(confkey, '{}')::int[], confupdtype::text, confdeltype::text,
       confmatchtype = 'f', condeferrable, condeferred, coalesce(confdelsetcols, '{}')::int[]
  from pg_constraint where conrelid >= 16384 and contype in ('p', 'u', 'c', 'f') order by conname
"""


def _fetch(connection: psycopg.Connection[Any], query: str) -> list[tuple[Any, ...]]:
    return connection.execute(query).fetchall()


def read_catalog(connection: psycopg.Connection[Any]) -> Catalog:
    """The user-made relations of the connected database as a Catalog."""
    connection.execute("set search_path = ''")
    objects: dict[int, CatalogObject] = dict(bootstrap_catalog().objects)
    for oid, name in _fetch(connection, "select oid::int8, nspname from pg_namespace where oid >= 16384"):
        if not name.startswith("pg_"):
            objects[oid] = Schema(oid=oid, name=name)
    columns: dict[int, list[Column]] = {}
    for relation, number, name, type_oid, typmod, not_null, generated, identity, dropped, default, sequence in _fetch(
        connection, _COLUMNS
    ):
        columns.setdefault(relation, []).append(
            Column(
                number=number,
                name=name,
                type=type_oid,
                typmod=typmod,
                not_null=not_null,
                default=default,
                generated=bool(generated),
                identity=identity,
                sequence=sequence or 0,
                dropped=dropped,
            )
        )
    constraints: dict[int, list[Constraint]] = {}
    referenced: dict[int, list[int]] = {}
    for oid, relation, name, kind, key, expression, index, foreign, foreign_key, *actions in _fetch(
        connection, _CONSTRAINTS
    ):
        on_update, on_delete, match_full, deferrable, deferred, delete_columns = actions
        constraints.setdefault(relation, []).append(
            Constraint(
                oid=oid,
                name=name,
                kind=kind,
                columns=tuple(key),
                expression=expression,
                index=index,
                foreign_table=foreign,
                foreign_columns=tuple(foreign_key),
                on_update=on_update if kind == "f" else "a",
                on_delete=on_delete if kind == "f" else "a",
                on_delete_columns=tuple(delete_columns),
                match_full=match_full,
                deferrable=deferrable,
                initially_deferred=deferred,
            )
        )
        if kind == "f":
            referenced.setdefault(foreign, []).append(relation)
    indexes: dict[int, list[int]] = {}
    row_keys: dict[int, tuple[int, ...]] = {}
    for number, row in enumerate(_fetch(connection, _INDEXES), 1):
        oid, name, schema, relation, key, width, unique, primary, predicate, definitions, options, not_distinct = row
        parts = tuple(
            KeyPart(
                number=attribute,
                expression=None if attribute else definitions[place],
                descending=bool(options[place] & 1),
                nulls_first=bool(options[place] & 2),
            )
            for place, attribute in enumerate(key[:width])
        )
        indexes.setdefault(relation, []).append(oid)
        if primary:
            row_keys[relation] = tuple(key)
        objects[oid] = Index(
            oid=oid,
            name=name,
            schema=schema,
            table=relation,
            index_id=0 if primary else number,
            key=parts,
            unique=unique,
            primary=primary,
            predicate=predicate,
            nulls_not_distinct=not_distinct,
        )
    for oid, name, schema, kind, row_type, array_type, query in _fetch(connection, _RELATIONS):
        if kind == "r":
            objects[oid] = Table(
                oid=oid,
                name=name,
                schema=schema,
                storage=oid,
                columns=tuple(columns.get(oid, ())),
                row_key=row_keys.get(oid, ()),
                type=row_type,
                array_type=array_type,
                indexes=tuple(sorted(indexes.get(oid, ()))),
                constraints=tuple(constraints.get(oid, ())),
                referenced_by=tuple(dict.fromkeys(referenced.get(oid, ()))),
            )
        elif kind == "v":
            objects[oid] = View(
                oid=oid,
                name=name,
                schema=schema,
                columns=tuple(columns.get(oid, ())),
                query=query.rstrip(";"),
                type=row_type,
                array_type=array_type,
            )
        else:
            objects[oid] = Sequence(oid=oid, name=name, schema=schema, type=20)
    connection.execute("reset search_path")
    return Catalog(objects, 1)
