-- Vectors of trajectories in PostgreSQL, where the extension pgvector is: a copy of the workbench's, of one embedding model,
-- for searches by an index and in plain SQL. Made when first needed, and made again when it is dropped.

-- name: availability
-- Whether the extension can be had, and whether it and the copy are there.
SELECT (SELECT default_version FROM pg_available_extensions WHERE name = 'vector') AS offered,
       (SELECT extversion FROM pg_extension WHERE extname = 'vector') AS installed,
       to_regprocedure('regraft_vectors.nearest(real[],integer,text,uuid,uuid[])') IS NOT NULL AS made;

-- name: alone
-- One writer at a time, until the end of the transaction.
SELECT pg_advisory_xact_lock(7267426622);

-- name: extension
-- The extension, and a schema for the copy.
CREATE SCHEMA IF NOT EXISTS regraft_vectors;
CREATE EXTENSION IF NOT EXISTS vector SCHEMA regraft_vectors;

-- name: find_extension
-- Its types and operators are found in this transaction, wherever it was installed.
SELECT set_config('search_path', format('regraft_vectors, %I, %s', n.nspname, current_setting('search_path')), true)
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector';

-- name: schema
-- The copy and its functions. Each function keeps the search path of this transaction.
CREATE TABLE IF NOT EXISTS regraft_vectors.embedding_model (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    model text NOT NULL,
    dimensions integer NOT NULL,
    vectors bigint NOT NULL,
    state text NOT NULL);                    -- a digest of the rows that were copied
CREATE TABLE IF NOT EXISTS regraft_vectors.trajectory_vectors (
    unit_id uuid PRIMARY KEY,                -- the terminal node of the path
    session_id uuid NOT NULL,
    text_hash bytea NOT NULL,                -- SHA-256 of the path's text
    vector vector NOT NULL);                 -- of length 1
CREATE INDEX IF NOT EXISTS trajectory_vectors_session ON regraft_vectors.trajectory_vectors (session_id);
COMMENT ON SCHEMA regraft_vectors IS 'A copy of the workbench, for searches by pgvector. It may be dropped: it is made again.';

CREATE OR REPLACE FUNCTION regraft_vectors.make_index() RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
-- HNSW over 16-bit floats: half the size, and the order of what it finds is made from the vectors themselves.
DECLARE size integer := (SELECT dimensions FROM embedding_model);
BEGIN
    IF size <= 4000 THEN
        EXECUTE format('CREATE INDEX IF NOT EXISTS trajectory_vectors_near ON trajectory_vectors
                        USING hnsw ((vector::halfvec(%s)) halfvec_cosine_ops)', size);
    END IF;
END $$;

CREATE OR REPLACE FUNCTION regraft_vectors.nearest(
    given real[], most integer, of_scope text DEFAULT NULL, other_than uuid DEFAULT NULL, without uuid[] DEFAULT '{}')
RETURNS TABLE (unit_id uuid, session_id uuid, similarity double precision)
LANGUAGE plpgsql STABLE SET search_path FROM CURRENT SET hnsw.ef_search = 100 SET hnsw.iterative_scan = strict_order AS $$
-- The paths nearest to a vector, by cosine similarity: of a tenant, of other sessions than one, without some paths.
#variable_conflict use_column
DECLARE
    size integer := (SELECT dimensions FROM embedding_model);
    found uuid[];
BEGIN
    IF size IS DISTINCT FROM cardinality(given) THEN
        RETURN;
    END IF;
    IF size <= 4000 THEN
        EXECUTE format($query$
            SELECT array_agg(near.unit_id) FROM (
                SELECT v.unit_id FROM trajectory_vectors v
                WHERE ($3 IS NULL OR EXISTS (
                          SELECT FROM conversation_sessions s WHERE s.session_id = v.session_id AND s.scope = $3))
                  AND ($4 IS NULL OR v.session_id <> $4) AND v.unit_id <> ALL ($5)
                ORDER BY v.vector::halfvec(%1$s) <=> $1::vector::halfvec(%1$s) LIMIT 2 * $2 + 10) AS near $query$, size)
            INTO found USING given, most, of_scope, other_than, without;
    END IF;
    IF coalesce(cardinality(found), 0) < most THEN
        -- Too long for an index, or a scan of it ended before enough of a small tenant was found: look at all of them.
        found := ARRAY(
            SELECT v.unit_id FROM trajectory_vectors v
            WHERE (of_scope IS NULL OR EXISTS (
                      SELECT FROM conversation_sessions s WHERE s.session_id = v.session_id AND s.scope = of_scope))
              AND (other_than IS NULL OR v.session_id <> other_than) AND v.unit_id <> ALL (without)
            ORDER BY v.vector <=> given::vector, v.unit_id LIMIT most);
    END IF;
    RETURN QUERY
        SELECT v.unit_id, v.session_id, 1 - (v.vector <=> given::vector) AS similarity
        FROM trajectory_vectors v WHERE v.unit_id = ANY (found) ORDER BY 3 DESC, 1 LIMIT most;
END $$;

CREATE OR REPLACE FUNCTION regraft_vectors.similar(node uuid, most integer DEFAULT 10)
RETURNS TABLE (unit_id uuid, session_id uuid, similarity double precision)
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
-- The paths nearest to the one that ends at a node.
    SELECT near.* FROM trajectory_vectors v
    CROSS JOIN LATERAL nearest(v.vector::real[], most, NULL, NULL, ARRAY[node]) AS near
    WHERE v.unit_id = node ORDER BY near.similarity DESC, near.unit_id $$;

-- name: model
-- Of which model the copy is, how many vectors it has, and a digest of them.
SELECT model, dimensions, vectors, state FROM regraft_vectors.embedding_model;

-- name: set_model
-- Of which model it is from now on, and what was copied.
INSERT INTO regraft_vectors.embedding_model (model, dimensions, vectors, state)
SELECT %(model)s, %(dimensions)s, count(*), %(state)s FROM regraft_vectors.trajectory_vectors
ON CONFLICT (only_one) DO UPDATE
SET model = excluded.model, dimensions = excluded.dimensions, vectors = excluded.vectors, state = excluded.state;

-- name: held
-- How many vectors are there.
SELECT count(*) AS vectors FROM regraft_vectors.trajectory_vectors;

-- name: forget_all
-- Vectors of another model are not compared with those of this one.
TRUNCATE regraft_vectors.trajectory_vectors;
DELETE FROM regraft_vectors.embedding_model;
DROP INDEX IF EXISTS regraft_vectors.trajectory_vectors_near;

-- name: wanted
-- A place for the rows that the workbench has.
CREATE TEMPORARY TABLE wanted_vectors (unit_id uuid, session_id uuid, text_hash bytea) ON COMMIT DROP;

-- name: forget_dropped
-- Take out what the workbench has no more, or has otherwise.
DELETE FROM regraft_vectors.trajectory_vectors v WHERE NOT EXISTS (
    SELECT FROM wanted_vectors w
    WHERE w.unit_id = v.unit_id AND w.session_id = v.session_id AND w.text_hash = v.text_hash);

-- name: missing
-- What the workbench has and the copy has not.
SELECT w.unit_id FROM wanted_vectors w
WHERE NOT EXISTS (SELECT FROM regraft_vectors.trajectory_vectors v WHERE v.unit_id = w.unit_id) ORDER BY w.unit_id;

-- name: drop_index
-- Many rows are added faster without it.
DROP INDEX IF EXISTS regraft_vectors.trajectory_vectors_near;

-- name: make_index
-- The index, in this process alone: workers would need shared memory that containers often lack.
SELECT set_config('maintenance_work_mem', '256MB', true), set_config('max_parallel_maintenance_workers', '0', true);
SELECT regraft_vectors.make_index();

-- name: vector
-- The vector of a path.
SELECT vector::real[] AS vector FROM regraft_vectors.trajectory_vectors WHERE unit_id = %(unit)s;

-- name: fail_on_lock
-- Do not wait while the copy is being filled anew.
SET LOCAL lock_timeout = '500ms';

-- name: nearest
-- The paths nearest to a vector.
SELECT * FROM regraft_vectors.nearest(
    %(vector)s::real[], %(limit)s, %(scope)s::text, %(elsewhere_than)s::uuid, %(without)s::uuid[]);

-- name: through
-- A node's session, and the ends of the paths that go through it.
WITH RECURSIVE below AS (
    SELECT n.node_id FROM conversation_branch_nodes n WHERE n.node_id = %(node)s
    UNION ALL
    SELECT n.node_id FROM below JOIN conversation_branch_nodes n ON n.parent_node_id = below.node_id)
SELECT n.session_id,
       (SELECT array_agg(below.node_id) FROM below WHERE NOT EXISTS (
           SELECT FROM conversation_branch_nodes c WHERE c.parent_node_id = below.node_id)) AS units
FROM conversation_branch_nodes n JOIN conversation_sessions s USING (session_id)
WHERE n.node_id = %(node)s AND (%(scope)s::text IS NULL OR s.scope = %(scope)s);

-- name: described
-- What is shown of paths, those of a tenant or all.
SELECT n.node_id AS unit_id, n.session_id, coalesce(rt.name, st.name, '') AS theme, r.task_key, r.model, r.purpose,
       n.depth AS turns, left(message_text(asked.body), 200) AS asked, left(message_text(answer.body), 200) AS answer_text
FROM conversation_branch_nodes n
JOIN conversation_sessions s USING (session_id)
JOIN execution_run_records r ON r.run_id = n.turn_id
LEFT JOIN seed_themes rt ON rt.theme_id = r.theme_id
LEFT JOIN seed_themes st ON st.theme_id = s.theme_id
LEFT JOIN context c ON c.context_id = n.context_snapshot_id
LEFT JOIN message asked ON asked.message_id = c.message_id
LEFT JOIN message answer ON answer.message_id = r.answer_id
WHERE n.node_id = ANY (%(units)s) AND (%(scope)s::text IS NULL OR s.scope = %(scope)s);
