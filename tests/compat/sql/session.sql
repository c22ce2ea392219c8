SHOW server_version_num;
SHOW search_path;
SET search_path = public, pg_catalog;
SHOW search_path;
SELECT current_schemas(true), current_schemas(false);
SET search_path TO "session";
SET search_path = '';
SELECT current_schema();
SHOW search_path;
SET search_path = nonexistent, session;
SELECT current_schema();
SHOW nope;
SET nope = 1;
SET my.custom = 'x';
SHOW my.custom;
RESET my.custom;
SHOW my.custom;
SET statement_timeout = '5s';
SHOW statement_timeout;
SET statement_timeout = 1500;
SHOW statement_timeout;
SET statement_timeout = 'x';
SET statement_timeout = -1;
SET statement_timeout = 0;
SET work_mem = '64MB';
SHOW work_mem;
RESET work_mem;
-- diverges: the default bounds whole statements, not single sorts
SHOW work_mem;
SET work_mem = '1kB';
BEGIN;
SET LOCAL application_name = 'local';
SHOW application_name;
ROLLBACK;
SHOW application_name;
BEGIN;
SET LOCAL application_name = 'local';
COMMIT;
SHOW application_name;
BEGIN;
SET application_name = 'session';
SAVEPOINT s;
SET application_name = 'inner';
ROLLBACK TO s;
SHOW application_name;
COMMIT;
SHOW application_name;
BEGIN;
SET application_name = 'undone';
ROLLBACK;
SHOW application_name;
SET LOCAL application_name = 'outside';
SELECT set_config('application_name', 'by function', false), current_setting('application_name');
SELECT set_config('application_name', 'gone', true);
SHOW application_name;
RESET application_name;
RESET ALL;
SET search_path = session;
SET TIME ZONE 'UTC';
SHOW TIME ZONE;
SET TIME ZONE INTERVAL '+02:00' HOUR TO MINUTE;
SHOW timezone;
SET TIME ZONE LOCAL;
SET TIME ZONE 'UTC';
SET client_encoding = 'UTF8';
SET NAMES 'utf8';
SHOW client_encoding;
SET client_encoding = 'nope';
-- diverges: always on
SET standard_conforming_strings = off;
SET standard_conforming_strings = on;
SET client_min_messages = warning;
CREATE TABLE IF NOT EXISTS t (a int);
CREATE TABLE IF NOT EXISTS t (a int);
SET client_min_messages = notice;
CREATE TABLE IF NOT EXISTS t (a int);
SET client_min_messages = nope;
SET default_transaction_isolation = 'repeatable read';
SHOW default_transaction_isolation;
BEGIN;
SHOW transaction_isolation;
COMMIT;
RESET default_transaction_isolation;
SET enable_seqscan = off;
SET enable_seqscan = maybe;
SHOW enable_seqscan;
SET jit = off;
SET server_version = '17';
SET datestyle = iso;
SHOW datestyle;
-- diverges: there are no triggers to switch off
SET session_replication_role = 'replica';
RESET session_replication_role;
SET ROLE postgres;
RESET ROLE;
SET ROLE nobody_at_all;
SET SESSION AUTHORIZATION DEFAULT;
SHOW is_superuser;
SHOW max_connections;
SHOW integer_datetimes;
SHOW default_text_search_config;
INSERT INTO t VALUES (1), (2), (3);
PREPARE p AS SELECT a FROM t WHERE a = $1;
EXECUTE p (2);
EXECUTE p ('3');
EXECUTE p ('x');
EXECUTE p;
EXECUTE p (1, 2);
EXECUTE nope;
PREPARE p AS SELECT 1;
PREPARE q (text, int) AS SELECT $1 || $2, $2 + 1;
EXECUTE q ('n', 1 + 1);
PREPARE i (int) AS INSERT INTO t VALUES ($1) RETURNING a * 10 AS tenfold;
EXECUTE i (4);
PREPARE u AS UPDATE t SET a = $1 WHERE a = $2;
EXECUTE u (40, 4);
PREPARE x AS SELECT * FROM missing;
PREPARE y AS CREATE TABLE z (a int);
PREPARE s AS SELECT * FROM t ORDER BY a;
EXECUTE s;
ALTER TABLE t ADD COLUMN b int;
EXECUTE s;
EXECUTE p (2);
ALTER TABLE t DROP COLUMN b;
EXECUTE s;
SELECT name, parameter_types, from_sql FROM pg_prepared_statements ORDER BY name;
BEGIN;
PREPARE surviving AS SELECT 1;
ROLLBACK;
EXECUTE surviving;
DEALLOCATE p;
EXECUTE p (1);
DEALLOCATE nope;
DEALLOCATE ALL;
DECLARE c CURSOR FOR SELECT 1;
BEGIN;
DECLARE c CURSOR FOR SELECT a FROM t ORDER BY a;
FETCH c;
FETCH 2 FROM c;
FETCH ALL FROM c;
FETCH c;
MOVE BACKWARD 2 IN c;
FETCH NEXT FROM c;
CLOSE c;
FETCH c;
ROLLBACK;
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT a FROM t ORDER BY a;
FETCH LAST FROM c;
FETCH PRIOR FROM c;
FETCH FIRST FROM c;
FETCH ABSOLUTE 3 FROM c;
FETCH ABSOLUTE -1 FROM c;
FETCH RELATIVE -2 FROM c;
FETCH FORWARD 10 FROM c;
FETCH BACKWARD ALL FROM c;
FETCH 0 FROM c;
MOVE FORWARD 2 IN c;
FETCH 0 FROM c;
MOVE ALL IN c;
MOVE ABSOLUTE 0 IN c;
FETCH BACKWARD 1 FROM c;
-- unordered
SELECT name, statement, is_holdable, is_binary, is_scrollable FROM pg_cursors WHERE name <> '';
DECLARE c CURSOR FOR SELECT 1;
ROLLBACK;
BEGIN;
DECLARE n NO SCROLL CURSOR FOR SELECT a FROM t ORDER BY a;
FETCH n;
FETCH PRIOR FROM n;
ROLLBACK;
BEGIN;
DECLARE h CURSOR WITH HOLD FOR SELECT a FROM t ORDER BY a;
FETCH 1 FROM h;
DELETE FROM t WHERE a = 3;
COMMIT;
FETCH ALL FROM h;
SELECT a FROM t ORDER BY a;
CLOSE h;
DECLARE h CURSOR WITH HOLD FOR SELECT 1 AS x UNION ALL SELECT 2;
FETCH h;
CLOSE ALL;
FETCH h;
BEGIN;
DECLARE c CURSOR FOR SELECT a FROM t ORDER BY a;
SAVEPOINT s;
FETCH c;
INSERT INTO t VALUES (1000);
FETCH ALL c;
ROLLBACK TO s;
FETCH c;
COMMIT;
BEGIN;
DECLARE c CURSOR FOR SELECT a FROM t ORDER BY a FOR UPDATE;
FETCH c;
ROLLBACK;
DISCARD PLANS;
DISCARD TEMP;
BEGIN;
DISCARD ALL;
ROLLBACK;
DISCARD ALL;
SET search_path = session;
EXPLAIN (COSTS OFF) UPDATE nope SET a = 1;
EXPLAIN (NOPE) SELECT 1;
VACUUM;
ANALYZE t;
VACUUM ANALYZE t;
BEGIN;
VACUUM;
ROLLBACK;
CHECKPOINT;
UNLISTEN *;
SELECT pg_advisory_unlock_all();
COPY t TO STDOUT;
COPY (SELECT a, 'x,"y' AS b, NULL AS n FROM t ORDER BY a) TO STDOUT WITH (FORMAT csv, HEADER);
COPY (SELECT a, E'tab\there' AS b, NULL AS n FROM t ORDER BY a) TO STDOUT (NULL '*', DELIMITER '|');
COPY t FROM STDIN;
10
20
\.
COPY t FROM STDIN;
10
x
\.
COPY t (a) FROM STDIN WITH CSV HEADER;
a
30
\.
COPY t FROM STDIN;
1	2
\.
COPY t (nope) FROM STDIN;
COPY missing FROM STDIN;
COPY missing TO STDOUT;
COPY t FROM '/nonexistent/file';
COPY t TO STDOUT (FORMAT nope);
SELECT a FROM t ORDER BY a;
CREATE TABLE c (id int PRIMARY KEY, t text, d date DEFAULT '2020-02-02', CHECK (id > 0));
COPY c (id, t) FROM STDIN (FORMAT csv, NULL 'nil', QUOTE '''', FORCE_NOT_NULL (t));
1,'quoted, text'
2,nil
3,'it''s'
\.
COPY c FROM STDIN;
4	\N	2021-01-01
5	back\\slash\ttab	\N
\.
COPY c FROM STDIN;
-1	x	2021-01-01
\.
COPY c FROM STDIN;
1	dup	2021-01-01
\.
COPY c FROM STDIN;
6	only two
\.
COPY c TO STDOUT;
COPY c (t, id) TO STDOUT (FORMAT csv, FORCE_QUOTE *, HEADER true);
COPY c FROM STDIN; SELECT count(*) FROM c;
7	after	2022-02-02
\.
