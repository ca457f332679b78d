-- Which models answered and from which builds, and what was made again because its conditions changed.

-- Kept by triggers of execution_run_records: in the transaction of whoever adds or removes runs, a statement a set.
CREATE TABLE model_snapshots (
    backend            text NOT NULL,
    model              text NOT NULL,
    model_snapshot_id  text NOT NULL,
    pinned_by          text NOT NULL CHECK (pinned_by IN ('pin', 'fingerprint', 'version', 'name')),
    first_seen         timestamptz NOT NULL,    -- when the earliest of its runs started
    last_seen          timestamptz NOT NULL,
    runs               bigint NOT NULL
);
-- Names come from clients and servers and may be longer than a page takes: the key is their digest.
CREATE UNIQUE INDEX model_snapshots_key ON model_snapshots
    (md5(backend || chr(31) || model || chr(31) || model_snapshot_id));

CREATE FUNCTION count_model_snapshots() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO model_snapshots AS s (backend, model, model_snapshot_id, pinned_by, first_seen, last_seen, runs)
    SELECT a.backend, a.model, a.model_snapshot_id,
        CASE WHEN a.model_snapshot_id = a.model THEN 'name' WHEN e.upstream_pin <> '' THEN 'pin'
             WHEN e.system_fingerprint LIKE 'version:%' THEN 'version' ELSE 'fingerprint' END,
        a.first_seen, a.last_seen, a.runs
    FROM (SELECT backend, model, model_snapshot_id, min(started_at) AS first_seen, max(started_at) AS last_seen,
                 count(*) AS runs, (array_agg(event_id))[1] AS event_id
          FROM added GROUP BY backend, model, model_snapshot_id) AS a
    LEFT JOIN pipeline_event_inbox e USING (event_id)
    ORDER BY a.backend, a.model, a.model_snapshot_id
    ON CONFLICT (md5(backend || chr(31) || model || chr(31) || model_snapshot_id))
    DO UPDATE SET first_seen = least(s.first_seen, excluded.first_seen),
        last_seen = greatest(s.last_seen, excluded.last_seen), runs = s.runs + excluded.runs;
    RETURN NULL;
END $$;

CREATE FUNCTION uncount_model_snapshots() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        DELETE FROM model_snapshots;
        RETURN NULL;
    END IF;
    UPDATE model_snapshots s SET runs = s.runs - r.runs
    FROM (SELECT backend, model, model_snapshot_id, count(*) AS runs FROM removed
          GROUP BY backend, model, model_snapshot_id) AS r
    WHERE (s.backend, s.model, s.model_snapshot_id) = (r.backend, r.model, r.model_snapshot_id);
    DELETE FROM model_snapshots WHERE runs <= 0;
    RETURN NULL;
END $$;

CREATE TRIGGER model_snapshots_added AFTER INSERT ON execution_run_records
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION count_model_snapshots();
CREATE TRIGGER model_snapshots_removed AFTER DELETE ON execution_run_records
    REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION uncount_model_snapshots();
CREATE TRIGGER model_snapshots_cleared AFTER TRUNCATE ON execution_run_records
    FOR EACH STATEMENT EXECUTE FUNCTION uncount_model_snapshots();

INSERT INTO model_snapshots (backend, model, model_snapshot_id, pinned_by, first_seen, last_seen, runs)
SELECT a.backend, a.model, a.model_snapshot_id,
    CASE WHEN a.model_snapshot_id = a.model THEN 'name' WHEN e.upstream_pin <> '' THEN 'pin'
         WHEN e.system_fingerprint LIKE 'version:%' THEN 'version' ELSE 'fingerprint' END,
    a.first_seen, a.last_seen, a.runs
FROM (SELECT backend, model, model_snapshot_id, min(started_at) AS first_seen, max(started_at) AS last_seen,
             count(*) AS runs, (array_agg(event_id))[1] AS event_id
      FROM execution_run_records GROUP BY backend, model, model_snapshot_id) AS a
LEFT JOIN pipeline_event_inbox e USING (event_id);

-- What was made again. Rows are only ever added, and name runs and taskifications without foreign keys: both the old
-- and the new one stay, in the log and in the graph, whatever of them is derived again.
CREATE TABLE generations (
    new_id      uuid NOT NULL,
    supersedes  uuid NOT NULL,
    stage       text NOT NULL CHECK (stage IN ('taskification_results', 'execution_run_records')),
    cause       text NOT NULL CHECK (cause IN ('rule', 'model', 'conditions', 'after')),
    reason      text NOT NULL,
    made_at     timestamptz NOT NULL,
    PRIMARY KEY (supersedes, new_id),
    CHECK (new_id <> supersedes)
);
CREATE INDEX generations_new ON generations (new_id);

-- Somebody says that what a node stands for no longer holds; the latest word on a node counts. Rows are only added.
CREATE TABLE condition_changes (
    change_id   uuid PRIMARY KEY,
    node_id     uuid NOT NULL,
    reason      text,                           -- NULL: taken back
    changed_by  text NOT NULL,
    changed_at  timestamptz NOT NULL
);
CREATE INDEX condition_changes_node ON condition_changes (node_id, changed_at DESC, change_id DESC);

CREATE VIEW current_condition_changes AS
    SELECT * FROM (SELECT DISTINCT ON (node_id) change_id, node_id, reason, changed_by, changed_at
                   FROM condition_changes ORDER BY node_id, changed_at DESC, change_id DESC) AS latest
    WHERE reason IS NOT NULL;
