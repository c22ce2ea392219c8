select 1
select
select 1 as a, 2 b, 3 as "C", 4 as select, 5 value
select * from t
select t.*, s.t.*, t.a, s.t.a, (t).a, (t).*, (x.y).z from t
select distinct a from t
select distinct on (a, b + 1) a, b from t order by a, b desc nulls last
select all a from t
select a from t where b = 1 and c <> 2 or not d
select a + b * c ^ 2 - -d / e % f from t
select a || b || c, a <@ b, a @> b, a -> 'x' ->> 'y', a #>> '{a,b}', @ a, |/ b, ~ c, a ~* 'x', a !~ 'y', !!x
select a operator(pg_catalog.+) b, operator(pg_catalog.-) c, a operator(+) b
select a < b, a > b, a = b, a <= b, a >= b, a <> b, a != b
select a between 1 and 2, a not between 1 and 2 + 3, a between symmetric 3 and 1, a between asymmetric 1 and 2 and b
select a in (1, 2, 3), a not in (select b from u), (a, b) in ((1, 2), (3, 4)), a in ((select 1)), a in ((select 1) union select 2)
select a like 'x%', a not like 'y' escape '!', a ilike b, a not ilike b escape '', a similar to 'z', a not similar to 'z' escape 'q'
select a is null, a is not null, a isnull, a notnull, a is true, a is not true, a is false, a is not false, a is unknown, a is not unknown
select a is distinct from b, a is not distinct from b + 1, a is null = b is null
select a is json, a is not json object, a is json array with unique keys, a is json scalar, a is json value without unique
select a is normalized, a is nfc normalized, a is not nfkd normalized
select a = any (array[1, 2]), a = all ('{1,2}'), a > some (select b from u), a like any (array['a']), a not ilike all (array['a'])
select a operator(pg_catalog.=) any (select 1), a = any ((select array[1]))
select case when a then 1 when b then 2 else 3 end, case a when 1 then 'x' end
select cast(a as integer), a::text, a::varchar(10)[], '1'::int::text, -1::int, a::numeric(10, 2), cast(x as setof text)
select date '2020-01-01', timestamp with time zone '2020-01-01', timestamp(3) without time zone 'x', time '10:00', time with time zone 'x', interval '1 day', interval '1' day to second(3), interval(3) '1 s', interval '1' year to month, interval '1' second (2)
select int '1', integer '1', bigint '2', smallint '3', real '1', float '1', float(20) '1', double precision '1.5', numeric '1', numeric(3,1) '1.5', dec '1', decimal(3) '1', boolean 'true', char 'a', char(3) 'abc', varchar 'x', varchar(3) 'x', character varying(3) 'x', national character 'x', nchar varying(3) 'x', bit '101', bit(3) '101', bit varying '1', bit varying(3) '1'
select text 'x', pg_catalog.int4 '1', jsonb '{}', pg_catalog.varchar(3) 'x', circle '((0,0),1)'
select b'101', x'1F', B'1', X'ff', n'abc', e'a\nb', E'\x41\101\u0041', u&'d\0061t\+000061', u&'d!0061' uescape '!', u&"d\0061t", 'a''b', $$dollar$$, $tag$it's $$ here$tag$
select 'a' 
  'b'
select 1, 1.5, .5, 1., 1e5, 1.5e-3, 1E+5, 0x1F, 0b101, 0o17, 1_000_000, 1_000.5_0, 99999999999999999999
select $1, $2::int, $1.a, $1[1]
select f(), f(1), f(a, b), s.f(1), f(a => 1, b := 2), f(variadic a), f(1, variadic array[2]), count(*), count(distinct a), count(all a), array_agg(a order by b desc, c), f(distinct a order by a)
select sum(a) filter (where b > 1), percentile_cont(0.5) within group (order by a), rank(1) within group (order by a) filter (where b)
select row_number() over (), sum(a) over w, sum(a) over (w), sum(a) over (partition by b order by c), sum(a) over (w order by c) from t window w as (partition by b), x as (w rows unbounded preceding)
select sum(a) over (order by b rows between 1 preceding and 2 following), sum(a) over (order by b range between unbounded preceding and current row exclude ties), sum(a) over (order by b groups between current row and unbounded following exclude group), sum(a) over (rows 5 preceding exclude no others), sum(a) over (range current row exclude current row)
select current_date, current_time, current_time(3), current_timestamp, current_timestamp(0), localtime, localtime(1), localtimestamp, localtimestamp(6), current_role, current_user, user, session_user, system_user, current_catalog, current_schema, current_schema()
select extract(year from a), extract('month' from a), extract(epoch from b), extract(isodow from a)
select substring(a from 1), substring(a from 1 for 2), substring(a for 2), substring(a for 2 from 1), substring(a, 1, 2), substring(a similar 'x' escape '#'), substring(a from 'x' for 'y')
select trim(a), trim(both from a), trim(leading 'x' from a), trim(trailing from a), trim('x' from a), trim(both a), trim(a, 'x'), trim(from a)
select position('a' in b), overlay(a placing b from 1), overlay(a placing b from 1 for 2), overlay(a, b, 1), collation for (a), normalize(a), normalize(a, nfc), treat(a as int)
select coalesce(a, b), nullif(a, b), greatest(a, b), least(1), grouping(a, b)
select a at time zone 'utc', a at time zone b at time zone 'x', a collate "C", a collate pg_catalog."default" || b
select array[1, 2], array[[1, 2], [3, 4]], array[]::int[], array(select 1), array[array[1], array[2]]
select a[1], a[1][2], a[1:2], a[:2], a[1:], a[:], t.a[1].b, (f(x))[1], (array[1,2])[1:1], (select a)[1], (row(1,2)).f1
select row(1, 2), row(), row(1), (1, 2), row(a.*), (1, 2) = (3, 4), row(1, 2) < (2, 3), (1, 2) overlaps (3, 4), row(a, b) overlaps row(c, d)
select exists (select 1), not exists (select), (select 1) + (select 2), ((select 1)), (((select 1)) + 1), ((select 1) union (select 2))
select (1 + 2) * 3, ((a)), (a or b) and c, not (a and b), - (a), not not a
select null, true, false, null::int
select a and, b or from t
select 1 is, 2 in, 3 like, 4 between from t
select a at from t
select a as over, a as filter from t
select abort, value, name, type, key, int, integer, bit, char, varchar, text, date, time, timestamp, interval, position, row, values from t
select left(a, 1), right(a, 1), like(a, b), concurrently(1), freeze(1), overlaps(a, b, c, d)
select from t where x
select a from only t, only (u), t *, t as x, t x (a, b), s.t, c.s.t as y
select a from t, u join v on t.a = u.a left join w using (a, b) right outer join x on true full join y using (a) as z cross join q natural join r natural left join s inner join k on true
select a from t join u join v on v.a = u.a on u.b = t.b
select a from (t join u on true) as j, (t cross join u), ((t join u using (a)) join v using (b))
select a from (select 1) as x, (select 2) y (a), (values (1, 2), (3, 4)) v (a, b), lateral (select 3) z, ((select 1)) q, (select 1 union select 2) u, ((select 1) union (select 2)) uu
select a from f(1), f(2) as x, f(3) as x (a, b), f(4) x, lateral f(5), rows from (f(6), g(7)) with ordinality as y (a, b, c), f(8) with ordinality
select a from f(1) as (a int, b text collate "C"), f(2) as x (a int), rows from (f(1) as (a int, b text), g(2)) z, current_date as d, s.f(1), generate_series(1, 10) g
select a from t tablesample bernoulli (10), u as x tablesample system (5.5) repeatable (1), v tablesample s.m (1, 2)
select a from t group by a, (), (a, b), rollup (a, b), cube (a, (b, c)), grouping sets ((a), (b, c), (), rollup (a)) having count(*) > 1
select a from t group by distinct rollup (a), cube (b)
select a from t group by all a
select a from t order by a, b asc, c desc nulls first, d using <, e using operator(pg_catalog.>) nulls last
select a from t limit 10 offset 5
select a from t offset 5 rows fetch first 10 rows only
select a from t limit all
select a from t fetch next row only
select a from t order by a fetch first 5 rows with ties
select a from t fetch first (1 + 2) rows only
select a from t offset 1 limit 2
select a from t for update
select a from t for no key update of t, u nowait for share skip locked for key share
select a from t for update limit 1
select a from t limit 1 for update
select a from t for read only
select a into b from t
select a into temp table b from t
select a into unlogged b from t
select a union select b
select a union all select b except select c intersect select d order by 1 limit 1
(select a order by 1 limit 1) union (select b for update)
(select 1)
((select 1))
(select 1) order by 1
(select 1 union select 2) intersect select 3
values (1, 'a'), (2, default)
values (1) order by 1
table t
table only t
with a as (select 1) select * from a
with recursive a (n) as (values (1) union all select n + 1 from a where n < 10) select * from a
with a as materialized (select 1), b as not materialized (select 2) select * from a, b
with a as (insert into t values (1) returning *), b as (update t set a = 1 returning a), c as (delete from t returning 1) select 1
with a as (with b as (select 1) select * from b) (select * from a)
with a as (select 1) insert into t select * from a
with a as (select 1) update t set b = 1
with a as (select 1) delete from t
with a as (select 1) values (1)
insert into t values (1, 'x')
insert into t (a, b) values (1, default), (2, 3)
insert into t as x (a, b[1], c.d) select 1, 2, 3
insert into t default values
insert into s.t (a) overriding system value values (1)
insert into t overriding user value select 1
insert into t values (1) on conflict do nothing
insert into t values (1) on conflict (a, lower(b), (c || d) collate "C" text_ops) where a > 1 do update set a = excluded.a, (b, c) = (1, 2), d = default where t.a > 1 returning *
insert into t values (1) on conflict on constraint k do nothing returning a, b as c
insert into t (select 1)
insert into t ((select 1))
insert into t (a) (select 1)
insert into t with x as (select 1) select * from x
insert into t table u
update t set a = 1
update only t as x set a = x.a + 1, b = default, (c, d) = (1, 2), (e, f) = (select 1, 2), (g) = row(1), h[1] = 2, i.j = 3 from u, v where t.a = u.a returning x.*
update t * set a = 1 where current of c
update t x set a = 1
delete from t
delete from only t as x using u, v where t.a = u.a returning *
delete from t where current of c
merge into t using u on t.a = u.a when matched and t.b > 1 then update set a = 1 when matched then delete when not matched then insert (a, b) values (1, default) when not matched and true then do nothing
merge into t as x using (select 1) as y on true when not matched then insert default values when matched then do nothing
merge into t using u on true when not matched then insert overriding system value values (1)
truncate t
truncate table only t, u restart identity cascade
truncate t continue identity restrict
create table t (a int)
create table t ()
create table if not exists s.t (a int primary key, b text not null, c numeric(10, 2) default 1.5, d varchar(10) collate "C" unique, e int check (e > 0), f int references u, g int references u (a) on delete cascade on update set null, h int generated always as (a + 1) stored, i int generated by default as identity, j bigint generated always as identity (start with 10 increment by 5 cache 3 no cycle), k int null, l int[] default '{}', m timestamp(3) with time zone default now())
create table t (a int constraint x not null constraint y check (a > 1) no inherit, constraint z primary key (a), unique (a, b), constraint w foreign key (a, b) references u (c, d) match full on delete restrict on update no action deferrable initially deferred not valid, check (a > b) no inherit, exclude using gist (a with =, b with &&) where (a > 1))
create table t (a int primary key deferrable initially immediate, b int unique not deferrable, c int references u on delete set default deferrable initially deferred)
create table t (a int, unique nulls not distinct (a), unique (b) include (c, d) with (fillfactor = 70) using index tablespace x, primary key (a))
create table t (a int) inherits (u, v) with (fillfactor = 70, autovacuum_enabled, toast.x = off) on commit drop tablespace x
create table t (a int) partition by range (a, (b + 1) collate "C" int_ops, lower(c))
create table t partition of u for values from (1, minvalue) to (maxvalue, 2)
create table t partition of u (a not null, b with options default 1) for values in (1, 2) partition by list (a)
create table t partition of u default
create table t partition of u for values with (modulus 4, remainder 1)
create table t of x (a with options primary key)
create temp table t (a int) on commit delete rows
create temporary table t (a int) on commit preserve rows
create local temp table t (a int)
create unlogged table t (a int) using heap
create table t (like u including all excluding indexes, like v including defaults including constraints)
create table t (a int storage external, b text compression pglz)
create table t as select 1
create table if not exists t (a, b) with (fillfactor = 50) as select 1, 2 with no data
create table t as values (1) with data
create table t as execute p(1)
create table t (a) as table u
create temp table t on commit drop as select 1
create table t without oids as select 1
create table t (a serial, b bigserial, c double precision, d "Odd Type", e s.t, g setof int, h int array, i int array[3], j int[3][], k float(10), l interval year to month, m interval(3), n bit varying(5), o character varying, p national char varying(3), q dec(3))
create index on t (a)
create unique index if not exists i on only s.t using btree (a, lower(b) collate "C" text_ops (x = 1) desc nulls last, (a + b) asc, c text_pattern_ops nulls first) include (d, e) nulls not distinct with (fillfactor = 70) tablespace x where a > 1
create index concurrently i on t (a)
create index concurrently on t (a)
create index i on t (coalesce(a, b), (a is null), s.f(a), cast(a as text))
create view v as select 1
create or replace temp view s.v (a, b) with (security_barrier, check_option = local) as select 1, 2 with cascaded check option
create view v as select 1 with local check option
create view v as select 1 with check option
create recursive view v (n) as values (1) union all select n + 1 from v
create or replace recursive view v (n) as select 1
create materialized view if not exists v (a) using heap with (fillfactor = 70) tablespace x as select 1 with no data
refresh materialized view concurrently v with no data
create schema s
create schema if not exists s authorization r
create schema authorization current_user
create schema s create table t (a int) create view v as select 1 create index on t (a) grant select on t to public create sequence q
create sequence q
create temp sequence if not exists s.q as bigint increment by 2 minvalue 1 maxvalue 100 start with 5 restart with 6 cache 7 cycle owned by t.a
create sequence q no minvalue no maxvalue no cycle increment -1 owned by none start 5 restart
alter sequence if exists q as int restart
alter sequence q restart with 5 increment 3 owned by s.t.a
alter sequence q owner to r
alter sequence q rename to p
alter sequence q set schema s
alter sequence q set logged
alter table t add a int
alter table if exists only s.t add column if not exists a int default 1 not null, drop column if exists b cascade, drop c restrict
alter table t alter column a type text collate "C" using a::text, alter b set data type int, alter c set default 1 + 2, alter c drop default, alter d set not null, alter d drop not null
alter table t alter a drop expression if exists, alter b add generated always as identity (start 5), alter b set generated by default set start with 3 restart, alter b drop identity if exists, alter c set statistics 100, alter 3 set statistics -1, alter d set (n_distinct = 5), alter d reset (n_distinct), alter e set storage plain, alter e set compression lz4, alter b restart with 7, alter b set cycle set no maxvalue
alter table t add constraint x check (a > 1) not valid, add primary key (a), add unique (a) deferrable, add constraint y unique using index i, add constraint z primary key using index j deferrable initially deferred, add foreign key (a) references u not valid
alter table t validate constraint x, alter constraint y deferrable initially deferred, drop constraint if exists z cascade, drop constraint w
alter table t rename to u
alter table t rename column a to b
alter table t rename a to b
alter table if exists t rename constraint a to b
alter table t owner to current_user, set schema
alter table t set schema s
alter table t owner to r
alter table t set (fillfactor = 70), reset (fillfactor, x), set logged, set unlogged, set tablespace x, set access method heap, set without oids, set without cluster, cluster on i
alter table t enable trigger x, enable trigger all, disable trigger user, enable always trigger x, enable replica trigger y, enable rule r, enable always rule r, disable rule r
alter table t enable row level security, disable row level security, force row level security, no force row level security
alter table t replica identity full, replica identity default, replica identity nothing, replica identity using index i
alter table t inherit u, no inherit v, of x, not of
alter table t attach partition u for values in (1)
alter table t attach partition u default
alter table t detach partition u
alter table t detach partition u concurrently
alter table t detach partition u finalize
alter index i rename to j
alter index if exists i set (fillfactor = 70), reset (fillfactor), set tablespace x
alter index i attach partition j
alter index i alter column 1 set statistics 10
alter view v rename to w
alter view v rename column a to b
alter view if exists v alter column a set default 1
alter view v owner to r
alter view v set schema s
alter view v set (security_barrier = true)
alter materialized view v rename to w
alter materialized view v owner to r
alter foreign table t rename to u
alter schema s rename to r
alter schema s owner to session_user
alter database d rename to e
alter database d owner to r
drop table t
drop table if exists s.t, u cascade
drop view v restrict
drop materialized view if exists v
drop index concurrently if exists i
drop index i, j
drop sequence q
drop schema if exists s, r cascade
drop type if exists t, s.u
drop domain d cascade
drop function f(int, text), g
drop function if exists s.f(in a int, out b text, inout c int, variadic d int[])
drop procedure p()
drop routine r
drop aggregate a(*), b(int)
drop extension if exists x cascade
drop trigger x on t
drop rule if exists r on s.t cascade
drop policy p on t
drop collation c
drop language l
drop procedural language l
drop foreign table t
drop statistics s
drop text search configuration c
drop role a, b
drop user if exists u
drop group g
drop owned by a, current_user cascade
drop publication p
drop event trigger e
drop access method m
drop server s
comment on table t is 'x'
comment on column s.t.a is null
comment on constraint c on t is 'x'
comment on constraint c on domain d is 'x'
comment on index i is 'x'
comment on view v is 'x'
comment on schema s is e'a\nb'
comment on sequence q is 'x'
comment on database d is 'x'
comment on role r is 'x'
comment on function f(int) is 'x'
comment on type t is 'x'
comment on extension e is 'x'
comment on trigger t on u is 'x'
comment on materialized view m is 'x'
copy t from stdin
copy t (a, b) to stdout
copy s.t from '/tmp/x' with (format csv, header true, delimiter ',', null '', quote '"', escape '\', force_quote (a, b), force_not_null (c), encoding 'utf8')
copy (select 1) to stdout with (format binary)
copy (insert into t values (1) returning a) to stdout
copy t from program 'cat x' csv header
copy t to stdout (format text, force_quote *)
copy t from stdin with csv header delimiter as ';' null as '' quote '"' escape as '\' force not null a, b force quote c encoding 'utf8'
copy binary t from stdin
copy t from stdin using delimiters '|' with null as 'x'
copy t from stdin with binary
copy t from stdin with delimiter ',' freeze
copy t from stdin where a > 1
copy t from stdin (freeze, header match)
set x = 1
set x to 'a', b, 1.5, -2, true, on, off
set x to default
set local x = 1
set session x = 1
set a.b = 'x'
set time zone 'utc'
set time zone local
set time zone default
set time zone utc
set time zone -5
set time zone interval '-08:00' hour to minute
set local time zone 'x'
set names 'utf8'
set names default
set names
set schema 's'
set role r
set role none
set role 'x'
set session role r
set session authorization r
set session authorization default
set local role r
set transaction isolation level serializable
set transaction isolation level repeatable read, read only, deferrable
set transaction read write not deferrable
set transaction snapshot 'x'
set local transaction isolation level read committed
set session characteristics as transaction isolation level read uncommitted read only
set constraints all deferred
set constraints a, s.b immediate
set search_path = a, "B", 'c'
set transaction_read_only = on
set xml option document
reset x
reset all
reset time zone
reset transaction isolation level
reset session authorization
reset a.b
show x
show all
show time zone
show transaction isolation level
show session authorization
show a.b
begin
begin work
begin transaction isolation level serializable, read only
begin isolation level repeatable read read write deferrable
start transaction
start transaction read only
commit
commit work and chain
commit transaction and no chain
end
end transaction
rollback
rollback work and no chain
abort and chain
savepoint a
release a
release savepoint a
rollback to a
rollback to savepoint a
rollback work to savepoint a
prepare transaction 'x'
commit prepared 'x'
rollback prepared 'x'
explain select 1
explain analyze verbose select 1
explain verbose select 1
explain (analyze, verbose off, costs false, buffers on, format json, timing 'true') select 1
explain (select 1)
explain ((select 1) union select 2)
explain insert into t values (1)
explain create table t as select 1
explain execute p(1)
explain declare c cursor for select 1
prepare p as select 1
prepare p (int, text) as insert into t values ($1, $2)
prepare p as values (1)
execute p
execute p(1, 'a', null)
deallocate p
deallocate prepare p
deallocate all
deallocate prepare all
declare c cursor for select 1
declare c binary insensitive no scroll cursor with hold for select 1
declare c scroll asensitive cursor without hold for (select 1)
fetch c
fetch next from c
fetch prior in c
fetch first c
fetch last from c
fetch absolute 5 from c
fetch relative -2 c
fetch 10 from c
fetch -1 c
fetch all c
fetch forward c
fetch forward 5 c
fetch forward all from c
fetch backward 5 from c
fetch backward all in c
fetch from c
move 5 in c
move all c
close c
close all
vacuum
vacuum t
vacuum full freeze verbose analyze t (a, b), u
vacuum (full, analyze true, parallel 4) t
analyze
analyze t (a, b), u
analyze verbose t
analyze (verbose, skip_locked true) t
lock t
lock table only t, u in access exclusive mode nowait
lock t in row share mode
lock t in share update exclusive mode
lock t in share row exclusive mode
lock t in share mode
lock t in exclusive mode
discard all
discard plans
discard sequences
discard temp
discard temporary
listen c
notify c
notify c, 'x'
unlisten c
unlisten *
checkpoint
call p()
call s.p(1, a => 2)
do 'x'
do $$ begin null; end $$ language plpgsql
do language plpgsql 'x'
grant select on t to r
grant select, insert (a, b), update (c), references on table t, s.u to r, public, current_user with grant option granted by current_role
grant all on t to r
grant all privileges (a) on t to r
grant usage on schema s to r
grant usage, select on sequence q to r
grant all on all tables in schema s, u to r
grant execute on all functions in schema s to group r
grant execute on function f(int), g to r
grant execute on procedure p() to r
grant connect, temp on database d to r
grant usage on language l to r
grant usage on type t to r
grant usage on domain d to r
grant usage on foreign server s to r
grant usage on foreign data wrapper w to r
grant create on tablespace x to r
grant select on large object 1, 2 to r
grant set, alter system on parameter a.b to r
grant a to b
grant a, b to c, d with admin option granted by e
grant a to b with admin true, inherit false, set true
revoke select on t from r
revoke grant option for select on t from r cascade
revoke all on t from public granted by r restrict
revoke a from b
revoke admin option for a from b cascade
revoke inherit option for a from b
alter default privileges grant select on tables to r
alter default privileges for role a, b in schema s revoke grant option for all on functions from r cascade
alter default privileges in schema s for user u grant usage on sequences to r with grant option
alter default privileges grant all on schemas to r
alter default privileges revoke execute on routines from public
create role r
create role r with superuser nocreatedb createrole noinherit login replication bypassrls connection limit 5 password 'x' valid until 'y' in role a, b role c admin d
create user u password null
create user u with encrypted password 'x' inherit
create group g user a, b
create role r sysid 5 in group g
alter role r login
alter role r with password 'x' valid until 'infinity' connection limit -1
alter user u rename to v
alter role r set x = 1
alter role all in database d set x to 'a'
alter role r reset x
alter role r in database d reset all
alter user r set time zone 'utc'
alter group g add user a, b
alter group g drop user a
alter group g rename to h
alter role current_user nologin
reassign owned by a, b to c
create function f() returns int language sql as 'select 1'
create or replace function f() returns int language sql as 'select 1'
create procedure p() language sql as 'x'
create type t as enum ('a', 'b')
create domain d as int check (value > 0)
create extension if not exists x
create trigger x before insert on t for each row execute function f()
create database d
create rule r as on insert to t do nothing
create aggregate a (int) (sfunc = f, stype = int)
create operator + (procedure = f)
create cast (a as b) without function
create collation c from "C"
create policy p on t
create statistics s on a, b from t
create publication p for all tables
alter function f() rename to g
alter type t add value 'c'
alter domain d drop default
alter system set x = 1
alter extension x update
reindex table t
cluster t using i
cluster
load 'x'
security label on table t is 'x'
select 1 where 1 = 1 and (2 > 1 or not (3 in (4, 5))) and exists (select from t where t.a = u.b)
select a, count(*) as n from t where b between '2020-01-01'::date and current_date group by a having count(*) > 1 order by n desc, a limit 10 offset 20
select coalesce((select max(a) from t where t.b = u.b), 0) from u
select * from t where (a, b) = (select 1, 2) and (a, b) > any (select c, d from u)
select a.b.c.d from e.f.g
select "select", "a""b", "É", é from "T"
select t.select, t.from, t.all from t
select 1 --comment
select 1 /* a /* nested */ comment */ + 2
select a<-1, a<>-1, a*-1, a@-1, a||-1
select a!=-1, a=-1, a>=-1
select -1, - 1, + 1, - - 1, -a[1], -a.b, -a::int, -a ^ 2, @-1
select not a = b, not a is null, not a in (1), a = b is true, a = b or c = d and not e
select a + b is not null, a || b like c || d, a like b || c and d, a < b + c, a || b < c || d
select a between b and c and d, a between b + 1 and c * 2 or d, not a between 1 and 2
select 1 + 2 as sum, 'x' as "Label", array[1] label
select f(a)(b)
select f(a).b
select f(a)[1]
select array[1,2][1]
select '{1}'[1]
select 1::int[1]
select (a)::int, (a).b.c[1].d, ((a).b)[2]
select a from t where a = 1 order by a collate "C" desc, lower(b) nulls last
select nextval('q'), currval('s.q'::regclass), 'x'::regclass::oid
select array_agg(distinct a order by a), string_agg(a, ',' order by b), json_agg(x.*) from x
select sum(a) over (partition by b, c order by d rows between unbounded preceding and unbounded following) / count(*) over ()
select lag(a, 1, 0) over w, first_value(a) over (w range between interval '1 day' preceding and current row) from t window w as (order by b)
select json_object('{a,b}'), json_object('{a}', '{b}')
select interval '1' year, interval '1' month, interval '1' day to hour, interval '1' day to minute, interval '1' hour to second, interval '1' minute to second
select a from t as of
select time '1', timestamp, interval, time from t
select char, char(1) 'a' from t
select set_config('a', 'b', false), current_setting('x', true)
select case when case when a then b end then c else case d when e then f end end
select cast('1' as int) + cast(cast(a as text) as int)
select * from generate_series(1, 3) with ordinality as g (a, b) left join lateral (select g.a) x on true
select * from unnest(array[1,2], array['a','b']) as u (a, b)
select * from (values (1)) as v (x) where x = all (select 1)
select * from a left join (b join c on b.x = c.x) on a.x = b.x
select * from a natural full outer join b
select * from ((a cross join b) cross join c)
