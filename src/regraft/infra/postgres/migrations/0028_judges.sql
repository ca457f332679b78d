-- Judge models: what each was asked, and every vote that it gave. Votes are only added.

-- A judge as it was asked. Another model, rubric, list of categories or sampling is another version.
CREATE TABLE judge_versions (
    judge_version  text PRIMARY KEY,               -- the judge's name, '@', and a digest of what follows
    judge          text NOT NULL,
    task           text NOT NULL CHECK (task IN ('categories', 'preference', 'rating')),
    model          text NOT NULL,                  -- as the gateway knows it
    categories     text[] NOT NULL DEFAULT '{}',   -- of the task categories
    definition     jsonb NOT NULL,                 -- rubric, sampling, definitions of the categories
    first_used     timestamptz NOT NULL,
    last_used      timestamptz NOT NULL            -- the version of a judge that counts is the one last used
);
CREATE INDEX judge_versions_judge ON judge_versions (judge, last_used DESC);

-- One answer of a judge. An answer that is not of the form that was asked for has no value, and says why.
CREATE TABLE judge_votes (
    vote_id         uuid PRIMARY KEY,
    judge_version   text NOT NULL REFERENCES judge_versions,
    session_id      uuid NOT NULL REFERENCES session,
    unit_id         uuid,                          -- the terminal node of the path that was judged; NULL: a pair was
    pair_id         uuid,
    anchor_turn_id  uuid REFERENCES session_turn,  -- of a pair
    node_a          uuid,
    node_b          uuid,
    shown_first     text NOT NULL CHECK (shown_first IN ('', 'a', 'b')),  -- which side of a pair was shown first
    vote_index      integer NOT NULL CHECK (vote_index >= 0),
    turn_id         uuid,                          -- the captured call; it reaches the log later
    model_snapshot  text NOT NULL,                 -- the model as its server named itself
    answer          text NOT NULL,                 -- as it came
    value           jsonb,                         -- {category: 0 or 1}, {"rating": 1 to 5} or {"preference": side}
    evidence        jsonb NOT NULL DEFAULT '{}',   -- the judge's reasons, by category or for the whole
    problem         text NOT NULL DEFAULT '',      -- why there is no value
    shown_hash      bytea NOT NULL,                -- digest of the request
    created_at      timestamptz NOT NULL,
    CHECK ((unit_id IS NULL) <> (pair_id IS NULL)),
    CHECK (pair_id IS NULL OR (node_a < node_b AND anchor_turn_id IS NOT NULL AND shown_first <> ''))
);
CREATE UNIQUE INDEX judge_votes_once ON judge_votes
    (judge_version, coalesce(unit_id, pair_id), shown_first, vote_index);
CREATE INDEX judge_votes_unit ON judge_votes (unit_id) WHERE unit_id IS NOT NULL;
CREATE INDEX judge_votes_pair ON judge_votes (pair_id) WHERE pair_id IS NOT NULL;
CREATE INDEX judge_votes_session ON judge_votes (session_id);
CREATE INDEX judge_votes_turn ON judge_votes (turn_id);

-- The version of each judge that counts today.
CREATE VIEW current_judge_versions AS
    SELECT DISTINCT ON (judge) * FROM judge_versions ORDER BY judge, last_used DESC, judge_version;

-- Votes with the snapshot that the log knows for their call.
CREATE VIEW judge_votes_with_snapshots AS
    SELECT v.*, d.judge, d.task, coalesce(r.model_snapshot_id, v.model_snapshot) AS snapshot
    FROM judge_votes v JOIN judge_versions d USING (judge_version)
    LEFT JOIN execution_run_records r ON r.run_id = v.turn_id;

-- What each version of a judge says of paths: the mean of its votes on a category, 0 to 1; NULL: no vote has a value.
CREATE VIEW judge_labels AS
    SELECT v.unit_id, v.session_id, c.category, v.judge, v.judge_version,
           avg((v.value ->> c.category)::double precision) AS value, count(v.value ->> c.category) AS votes,
           count(*) FILTER (WHERE v.value ->> c.category IS NULL) AS unparseable, max(v.snapshot) AS model_snapshot,
           coalesce(jsonb_agg(v.evidence -> c.category ORDER BY v.vote_index) FILTER (WHERE v.evidence ? c.category), '[]')
               AS evidence,
           max(v.created_at) AS judged_at
    FROM judge_votes_with_snapshots v JOIN judge_versions d USING (judge_version)
    CROSS JOIN LATERAL unnest(d.categories) AS c (category)
    WHERE v.task = 'categories'
    GROUP BY v.unit_id, v.session_id, c.category, v.judge, v.judge_version;

-- The same of the versions that count today.
CREATE VIEW current_judge_labels AS
    SELECT l.* FROM judge_labels l JOIN current_judge_versions USING (judge_version);

-- How each version of a judge rates paths, 1 (worst) to 5 (best): the mean of its votes.
CREATE VIEW judge_ratings AS
    SELECT v.unit_id, v.session_id, v.judge, v.judge_version, avg((v.value ->> 'rating')::double precision) AS rating,
           count(v.value) AS votes, count(*) FILTER (WHERE v.value IS NULL) AS unparseable,
           max(v.snapshot) AS model_snapshot, max(v.created_at) AS judged_at
    FROM judge_votes_with_snapshots v WHERE v.task = 'rating'
    GROUP BY v.unit_id, v.session_id, v.judge, v.judge_version;

-- The same of the versions that count today.
CREATE VIEW current_judge_ratings AS
    SELECT l.* FROM judge_ratings l JOIN current_judge_versions USING (judge_version);

-- The version of the judge that a model's preference is from; NULL: no judge of ours.
ALTER TABLE preference_labels ADD COLUMN judge_version text REFERENCES judge_versions;
CREATE OR REPLACE VIEW current_preference_labels AS
    SELECT l.* FROM preference_labels l
    WHERE NOT EXISTS (SELECT FROM preference_labels s WHERE s.supersedes = l.label_id);
