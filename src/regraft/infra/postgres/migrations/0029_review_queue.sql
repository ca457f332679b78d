-- What people are asked to judge, who holds it, what they did with it, and how far they agree.

-- A sample of everything that can be judged: one rate for a tenant and a kind. A subject is in it when its draw is below
-- the rate, so raising the rate adds to the sample and never takes anything out.
CREATE TABLE review_samples (
    scope       text NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('unit', 'pair')),
    seed        bigint NOT NULL,
    rate        double precision NOT NULL CHECK (rate BETWEEN 0 AND 1),   -- the probability of being in the sample
    population  bigint NOT NULL,                 -- subjects that can be judged
    updated_at  timestamptz NOT NULL,
    PRIMARY KEY (scope, kind)
);

CREATE TABLE human_sample_queue (
    item_id        uuid PRIMARY KEY,             -- from the kind and the subject
    kind           text NOT NULL CHECK (kind IN ('unit', 'pair')),
    subject_id     uuid NOT NULL,                -- the terminal node of a path, or the id of a pair
    session_id     uuid NOT NULL REFERENCES session,
    scope          text NOT NULL,
    theme          text NOT NULL DEFAULT '',
    cluster_id     text,                         -- cluster and category: NULL where none is known
    category       text,
    anchor_turn_id uuid,                         -- of a pair: what both answers are under, and its sides
    node_a         uuid,
    node_b         uuid,
    turn_a         uuid,
    turn_b         uuid,
    share          text NOT NULL CHECK (share IN ('priority', 'random', 'gold')),
    priority       double precision NOT NULL,
    draw           double precision NOT NULL,    -- 0 to 1, from the item's id and the seed of the sample
    place          double precision NOT NULL GENERATED ALWAYS AS
                       (CASE share WHEN 'priority' THEN -priority ELSE draw END) STORED,   -- the lowest is next
    needed         integer NOT NULL CHECK (needed > 0),   -- reviewers who should judge it
    done           integer NOT NULL DEFAULT 0,   -- reviewers who have
    leased         integer NOT NULL DEFAULT 0,   -- reviewers who hold it
    skips          integer NOT NULL DEFAULT 0,   -- reviewers who would not
    created_at     timestamptz NOT NULL,
    closed_at      timestamptz,
    closed_because text CHECK (closed_because IN ('complete', 'skipped', 'gone', 'gold', 'withdrawn', 'erased')),
    CHECK ((closed_at IS NULL) = (closed_because IS NULL)),
    CHECK (kind = 'unit' OR (node_a < node_b AND num_nulls(anchor_turn_id, turn_a, turn_b) = 0))
);
CREATE INDEX human_sample_queue_next ON human_sample_queue (share, place, item_id) WHERE closed_at IS NULL;
CREATE INDEX human_sample_queue_theme ON human_sample_queue (theme, share, place, item_id) WHERE closed_at IS NULL;
CREATE INDEX human_sample_queue_subject ON human_sample_queue (subject_id);
CREATE INDEX human_sample_queue_session ON human_sample_queue (session_id);

-- One row each time that an item is given to a reviewer. An item that was answered or skipped, or is held, is not given
-- to the same reviewer again; one whose lease expired may be.
CREATE TABLE review_leases (
    lease_id    uuid PRIMARY KEY,
    item_id     uuid NOT NULL REFERENCES human_sample_queue,
    reviewer    text NOT NULL,
    claimed_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    shown_first text NOT NULL CHECK (shown_first IN ('a', 'b')),
    shown_hash  bytea,                           -- digest of what was shown; NULL: nothing yet
    draft       text,                            -- an unfinished answer, as the client wrote it
    ended_at    timestamptz,
    ended       text CHECK (ended IN ('submitted', 'skipped', 'expired', 'released')),
    label_id    uuid,                            -- the label that counts, when it was submitted
    CHECK ((ended_at IS NULL) = (ended IS NULL))
);
CREATE UNIQUE INDEX review_leases_once ON review_leases (item_id, reviewer)
    WHERE ended IS NULL OR ended IN ('submitted', 'skipped');
CREATE INDEX review_leases_held ON review_leases (expires_at) WHERE ended IS NULL;
CREATE INDEX review_leases_reviewer ON review_leases (reviewer) WHERE ended IS NULL;

-- What reviewers did, in order; only ever added to. An act that was undone stays, and names the act that undid it.
CREATE TABLE review_acts (
    act_id    uuid PRIMARY KEY,
    act       text NOT NULL CHECK (act IN ('submitted', 'changed', 'skipped', 'flagged', 'unflagged', 'undone', 'released',
                                           'requeued', 'withdrawn', 'adjudicated')),
    item_id   uuid REFERENCES human_sample_queue,
    lease_id  uuid REFERENCES review_leases,
    label_id  uuid,
    reviewer  text NOT NULL,
    reason    text,                              -- of a skip: one of the reasons for it
    note      text NOT NULL DEFAULT '',
    undone_by uuid REFERENCES review_acts,
    at        timestamptz NOT NULL
);
CREATE INDEX review_acts_reviewer ON review_acts (reviewer, at);
CREATE INDEX review_acts_item ON review_acts (item_id);

-- Items of known answer, mixed in to see how well reviewers do.
CREATE TABLE review_gold (
    gold_id      uuid PRIMARY KEY,
    item_id      uuid NOT NULL REFERENCES human_sample_queue,
    preference   text CHECK (preference IN ('a', 'b', 'equal', 'both_bad')),
    rating_low   integer CHECK (rating_low BETWEEN 1 AND 5),
    rating_high  integer CHECK (rating_high BETWEEN 1 AND 5),
    note         text NOT NULL DEFAULT '',
    made_by      text NOT NULL,
    created_at   timestamptz NOT NULL,
    withdrawn_at timestamptz,
    CHECK (preference IS NOT NULL OR rating_low <= rating_high)
);
CREATE UNIQUE INDEX review_gold_item ON review_gold (item_id) WHERE withdrawn_at IS NULL;

-- Labels that were taken back. They stay, and do not count.
CREATE TABLE label_retractions (
    label_id     uuid PRIMARY KEY,
    retracted_by text NOT NULL,
    retracted_at timestamptz NOT NULL
);

ALTER TABLE human_eval_labels ADD COLUMN item_id uuid, ADD COLUMN adjudicates boolean NOT NULL DEFAULT false;
ALTER TABLE preference_labels ADD COLUMN item_id uuid, ADD COLUMN adjudicates boolean NOT NULL DEFAULT false,
    ADD COLUMN seconds double precision;
CREATE INDEX human_eval_labels_line ON human_eval_labels (unit_id, reviewer, adjudicates, created_at, label_id);
CREATE INDEX preference_labels_line ON preference_labels (pair_id, source, decided_by, adjudicates, created_at, label_id);

-- The labels that count: the newest of each reviewer on each subject that was not taken back. Taking back a correction
-- makes what it corrected count again.
CREATE OR REPLACE VIEW current_human_eval_labels AS
    SELECT l.* FROM human_eval_labels l
    WHERE NOT EXISTS (SELECT FROM label_retractions r WHERE r.label_id = l.label_id)
      AND NOT EXISTS (SELECT FROM human_eval_labels n
                      WHERE n.unit_id = l.unit_id AND n.reviewer = l.reviewer AND n.adjudicates = l.adjudicates
                        AND (n.created_at, n.label_id) > (l.created_at, l.label_id)
                        AND NOT EXISTS (SELECT FROM label_retractions r WHERE r.label_id = n.label_id));
CREATE OR REPLACE VIEW current_preference_labels AS
    SELECT l.* FROM preference_labels l
    WHERE NOT EXISTS (SELECT FROM label_retractions r WHERE r.label_id = l.label_id)
      AND NOT EXISTS (SELECT FROM preference_labels n
                      WHERE n.pair_id = l.pair_id AND n.source = l.source AND n.decided_by = l.decided_by
                        AND n.adjudicates = l.adjudicates
                        AND (n.created_at, n.label_id) > (l.created_at, l.label_id)
                        AND NOT EXISTS (SELECT FROM label_retractions r WHERE r.label_id = n.label_id));

-- Agreement of people, per theme: made again from the labels whenever they change. A contested theme's labels decide
-- nothing until somebody adjudicates what is disputed in it.
CREATE TABLE theme_agreement (
    scope       text NOT NULL,
    theme       text NOT NULL,
    measure     text NOT NULL,                   -- preference, rating, or category: and its name
    alpha       double precision,                -- Krippendorff's; NULL: nothing was judged by two people
    low         double precision,                -- bounds of the bootstrap interval
    high        double precision,
    subjects    integer NOT NULL,                -- judged by two people or more
    labels      integer NOT NULL,                -- of those
    reviewers   integer NOT NULL,
    disputed    integer NOT NULL,                -- subjects on which they differ, and nobody adjudicated
    contested   boolean NOT NULL,
    measured_at timestamptz NOT NULL,
    PRIMARY KEY (scope, theme, measure)
);
CREATE TABLE agreement_state (
    only_row      boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    state         text NOT NULL,                 -- of the labels that were measured
    min_agreement double precision NOT NULL,
    min_judged    integer NOT NULL,
    measured_at   timestamptz NOT NULL
);

-- Each label of a person with the tenant and the theme of what it is about.
CREATE VIEW human_label_themes AS
    SELECT l.label_id, 'rating' AS measure, l.unit_id AS subject_id, s.scope, coalesce(rt.name, st.name, '') AS theme
    FROM human_eval_labels l
    JOIN session s ON s.session_id = l.session_id
    LEFT JOIN conversation_sessions c ON c.session_id = l.session_id
    LEFT JOIN seed_themes st ON st.theme_id = c.theme_id
    LEFT JOIN conversation_branch_nodes n ON n.node_id = l.unit_id
    LEFT JOIN execution_run_records r ON r.run_id = n.turn_id
    LEFT JOIN seed_themes rt ON rt.theme_id = r.theme_id
    UNION ALL
    SELECT l.label_id, 'preference', l.pair_id, s.scope, coalesce(rt.name, st.name, '')
    FROM preference_labels l
    JOIN session_turn t ON t.turn_id = l.anchor_turn_id
    JOIN session s ON s.session_id = t.session_id
    LEFT JOIN conversation_sessions c ON c.session_id = t.session_id
    LEFT JOIN seed_themes st ON st.theme_id = c.theme_id
    LEFT JOIN conversation_branch_nodes n ON n.node_id = l.node_a
    LEFT JOIN execution_run_records r ON r.run_id = n.turn_id
    LEFT JOIN seed_themes rt ON rt.theme_id = r.theme_id
    WHERE l.source = 'human';

-- The labels that decide: where somebody adjudicated, that word alone; else those of themes that are not contested.
CREATE VIEW contested_human_labels AS
    SELECT h.label_id FROM human_label_themes h JOIN theme_agreement t USING (scope, theme, measure) WHERE t.contested;
CREATE VIEW deciding_human_eval_labels AS
    SELECT l.* FROM current_human_eval_labels l
    LEFT JOIN (SELECT DISTINCT unit_id FROM current_human_eval_labels WHERE adjudicates) a ON a.unit_id = l.unit_id
    LEFT JOIN contested_human_labels c ON c.label_id = l.label_id
    WHERE l.adjudicates OR (a.unit_id IS NULL AND c.label_id IS NULL);
CREATE VIEW deciding_preference_labels AS
    SELECT l.* FROM current_preference_labels l
    LEFT JOIN (SELECT DISTINCT pair_id FROM current_preference_labels WHERE adjudicates) a ON a.pair_id = l.pair_id
    LEFT JOIN contested_human_labels c ON c.label_id = l.label_id
    WHERE l.adjudicates OR l.source <> 'human' OR (a.pair_id IS NULL AND c.label_id IS NULL);

-- How people answered items of known answer.
CREATE VIEW gold_results AS
    SELECT g.gold_id, g.item_id, l.reviewer, l.rating BETWEEN g.rating_low AND g.rating_high AS is_right
    FROM review_gold g JOIN human_sample_queue q USING (item_id)
    JOIN current_human_eval_labels l ON l.unit_id = q.subject_id AND NOT l.adjudicates
    WHERE q.kind = 'unit' AND g.withdrawn_at IS NULL
    UNION ALL
    SELECT g.gold_id, g.item_id, l.decided_by, l.preference = g.preference
    FROM review_gold g JOIN human_sample_queue q USING (item_id)
    JOIN current_preference_labels l ON l.pair_id = q.subject_id AND l.source = 'human' AND NOT l.adjudicates
    WHERE q.kind = 'pair' AND g.withdrawn_at IS NULL;
