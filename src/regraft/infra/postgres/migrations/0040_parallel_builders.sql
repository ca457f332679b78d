-- Several builders of the graph at work at once: each takes the turns of some shards of sessions, and leaves what may join
-- a session with another one to a builder that is alone.

-- The shard of a session, 0 to 15. Ids of sessions are digests, so that all shards are alike.
CREATE FUNCTION lineage_shard(session_id uuid) RETURNS int4
LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN get_byte(uuid_send(session_id), 15) & 15;

ALTER TABLE lineage_queue ADD COLUMN joins bool NOT NULL DEFAULT false;  -- waits for a builder that is alone

CREATE INDEX lineage_queue_shard ON lineage_queue (lineage_shard(session_id), turn_id) WHERE failure IS NULL AND NOT joins;
