-- Erasures: which were asked for, how far each is, and what was erased.

-- The journal. `target` of a text is the text itself while it is looked for, and is taken away before the erasure ends.
CREATE TABLE erasure (
    erasure_id   uuid PRIMARY KEY,
    kind         text NOT NULL CHECK (kind IN ('session', 'node', 'scope', 'matching')),
    target       text,
    forget       text,                          -- the folder that forget and retain sets go to, as it was asked for
    done         text[] NOT NULL DEFAULT '{}',  -- steps that are finished, in their order
    found        jsonb NOT NULL DEFAULT '{}',   -- by place: how much was found there and erased
    left_over    jsonb NOT NULL DEFAULT '{}',   -- by place: what could not be erased, and why
    snapshots    jsonb NOT NULL DEFAULT '[]',   -- withdrawn ones, each with its successor
    started_at   timestamptz NOT NULL,
    finished_at  timestamptz
);

-- Messages that are tombstones: their joining ids are kept, since they cannot be derived from what is left.
CREATE TABLE erased_message (
    message_id  bytea PRIMARY KEY,
    erasure_id  uuid NOT NULL REFERENCES erasure
);

-- A call whose words were erased. Its session stays what it is: nothing is left to derive it from.
ALTER TABLE pipeline_event_inbox ADD COLUMN erased_at timestamptz;

-- Why a snapshot was withdrawn, what took its place, and when its files were removed.
ALTER TABLE dataset_snapshot_registry
    ADD COLUMN withdrawn_because text,
    ADD COLUMN successor text,
    ADD COLUMN files_removed_at timestamptz;
