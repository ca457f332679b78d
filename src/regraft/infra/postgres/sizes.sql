-- How much of the disk a database takes.

-- name: patience
-- To measure a table is to wait for who holds it.
SET lock_timeout = '3s';

-- name: tables
-- Each table of ours with what it takes and about how many rows it has, as of the last look of autovacuum.
SELECT c.relname AS name, pg_total_relation_size(c.oid)::bigint AS bytes, pg_indexes_size(c.oid)::bigint AS index_bytes,
    greatest(c.reltuples, 0)::bigint AS rows
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_'
ORDER BY c.relname;

-- name: database
-- The whole database, with its catalogue; and the number of turns.
SELECT pg_database_size(current_database())::bigint AS bytes, (SELECT count(*) FROM session_turn) AS turns;

-- name: other_database
-- Another database of the same server; no row where there is none.
SELECT pg_database_size(datname)::bigint AS bytes FROM pg_database WHERE datname = %(name)s;
