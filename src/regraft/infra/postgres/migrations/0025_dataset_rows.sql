-- Datasets in depth: more kinds, digests of rows that stream, and what a snapshot says of itself beside its counts.
ALTER TABLE dataset_snapshot_registry DROP CONSTRAINT dataset_snapshot_registry_kind_check;
ALTER TABLE dataset_snapshot_registry ADD CONSTRAINT dataset_snapshot_registry_kind_check
    CHECK (kind IN ('sft', 'dpo', 'reward', 'suppression', 'unlearning'));
ALTER TABLE dataset_snapshot_registry ADD COLUMN hash_version integer NOT NULL DEFAULT 1;  -- how content_hash is computed
ALTER TABLE dataset_snapshot_registry ALTER COLUMN hash_version DROP DEFAULT;
ALTER TABLE dataset_snapshot_registry ADD COLUMN passed_over jsonb NOT NULL DEFAULT '{}';   -- not asked for, by cause
ALTER TABLE dataset_snapshot_registry ADD COLUMN report jsonb NOT NULL DEFAULT '{}';        -- strata, labels, lengths, filters
