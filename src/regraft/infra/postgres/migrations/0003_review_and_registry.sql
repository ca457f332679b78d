-- What people decided, and what was frozen. Append-only: a correction supersedes, nothing is overwritten.

CREATE TABLE human_eval_labels (
    label_id      uuid PRIMARY KEY,
    unit_id       uuid NOT NULL,                 -- the terminal node of the trajectory that was rated
    session_id    uuid NOT NULL REFERENCES session,
    reviewer      text NOT NULL,
    rating        integer NOT NULL CHECK (rating BETWEEN 1 AND 5),
    categories    text[] NOT NULL DEFAULT '{}',
    note          text NOT NULL DEFAULT '',
    seconds       double precision,
    shown_hash    bytea NOT NULL,                -- digest of what the reviewer saw
    shown         text NOT NULL,                 -- a copy of it: the workbench may be deleted
    supersedes    uuid REFERENCES human_eval_labels,
    created_at    timestamptz NOT NULL
);
CREATE INDEX human_eval_labels_unit ON human_eval_labels (unit_id);
CREATE UNIQUE INDEX human_eval_labels_supersedes ON human_eval_labels (supersedes) WHERE supersedes IS NOT NULL;

CREATE TABLE preference_labels (
    label_id     uuid PRIMARY KEY,
    pair_id      uuid NOT NULL,
    anchor_turn_id uuid NOT NULL REFERENCES session_turn,
    node_a       uuid NOT NULL,
    node_b       uuid NOT NULL,
    source       text NOT NULL CHECK (source IN ('human', 'model', 'imported')),
    decided_by   text NOT NULL,
    preference   text NOT NULL CHECK (preference IN ('a', 'b', 'equal', 'both_bad')),
    shown_first  text NOT NULL CHECK (shown_first IN ('a', 'b')),   -- which side stood first: sides are randomised
    note         text NOT NULL DEFAULT '',
    shown_hash   bytea NOT NULL,
    supersedes   uuid REFERENCES preference_labels,
    created_at   timestamptz NOT NULL,
    CHECK (node_a < node_b)
);
CREATE INDEX preference_labels_pair ON preference_labels (pair_id);
CREATE UNIQUE INDEX preference_labels_supersedes ON preference_labels (supersedes) WHERE supersedes IS NOT NULL;

-- The labels that count: the newest of each line of corrections.
CREATE VIEW current_human_eval_labels AS
    SELECT l.* FROM human_eval_labels l
    WHERE NOT EXISTS (SELECT FROM human_eval_labels s WHERE s.supersedes = l.label_id);
CREATE VIEW current_preference_labels AS
    SELECT l.* FROM preference_labels l
    WHERE NOT EXISTS (SELECT FROM preference_labels s WHERE s.supersedes = l.label_id);

-- A dataset frozen for ever. The row is written last: what has no row was never frozen.
CREATE TABLE dataset_snapshot_registry (
    snapshot_id          text PRIMARY KEY,
    dataset              text NOT NULL,
    kind                 text NOT NULL CHECK (kind IN ('sft', 'dpo', 'suppression', 'unlearning')),
    recipe               text NOT NULL,
    recipe_hash          bytea NOT NULL,
    code_version         text NOT NULL,
    lineage_build        bigint NOT NULL,
    iceberg_table        text NOT NULL,
    iceberg_snapshot_id  bigint NOT NULL,
    iceberg_tag          text NOT NULL,
    row_counts           jsonb NOT NULL,           -- by split
    refused              jsonb NOT NULL,           -- by reason
    leakage              jsonb NOT NULL,
    content_hash         bytea NOT NULL,
    created_at           timestamptz NOT NULL,
    withdrawn_at         timestamptz,
    UNIQUE (iceberg_table, iceberg_snapshot_id)
);

-- Lineage both ways: a row's nodes, and every snapshot that holds a node.
CREATE TABLE dataset_snapshot_nodes (
    snapshot_id  text NOT NULL REFERENCES dataset_snapshot_registry,
    row_id       text NOT NULL,
    node_id      uuid NOT NULL,
    session_id   uuid NOT NULL REFERENCES session,
    part         text NOT NULL,                    -- answer, chosen or rejected
    PRIMARY KEY (snapshot_id, row_id, node_id)
);
CREATE INDEX dataset_snapshot_nodes_node ON dataset_snapshot_nodes (node_id);
