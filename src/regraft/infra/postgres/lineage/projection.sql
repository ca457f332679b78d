-- Which version of the projection the log is in.

-- name: held
-- Shared by writers of the log; a switch waits for all of them, and they for it. Under the lock the newest row is read.
SELECT version FROM projection FOR SHARE;

-- name: begin
-- An empty log starts with the newest version.
INSERT INTO projection (version) VALUES (%(version)s) ON CONFLICT DO NOTHING;
