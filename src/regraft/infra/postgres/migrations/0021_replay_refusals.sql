-- Why nodes that a replay plan was asked for have no jobs, with their counts: a JSON object by reason.
ALTER TABLE replay_plan ADD COLUMN refused jsonb NOT NULL DEFAULT '{}';
