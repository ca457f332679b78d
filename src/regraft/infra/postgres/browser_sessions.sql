-- Browsers that are signed in to the web UI.

-- name: add
-- A browser signs in.
INSERT INTO browser_sessions (session_digest, token_id, token_proof, created_at, last_used_at, expires_at)
VALUES (%(digest)s, %(token_id)s, %(proof)s, now(), now(), now() + %(idle)s);

-- name: find
-- The session of a cookie, while it lasts.
SELECT token_id, token_proof, last_used_at < now() - interval '1 minute' AS is_stale FROM browser_sessions
WHERE session_digest = %(digest)s AND expires_at > now();

-- name: touch
-- A session is used: it lasts longer, up to its longest life.
UPDATE browser_sessions SET last_used_at = now(), expires_at = least(created_at + %(longest)s, now() + %(idle)s)
WHERE session_digest = %(digest)s;

-- name: end
-- A browser signs out.
DELETE FROM browser_sessions WHERE session_digest = %(digest)s;

-- name: end_of_token
-- Every browser that was signed in with a token signs out.
DELETE FROM browser_sessions WHERE token_id = %(token_id)s;

-- name: forget_expired
-- Sessions that are over.
DELETE FROM browser_sessions WHERE expires_at <= now();

-- name: by_token
-- How many browsers are signed in with each token, and when one of them was last used.
SELECT token_id, count(*) AS browsers, max(last_used_at) AS last_used_at FROM browser_sessions
WHERE expires_at > now() GROUP BY token_id;
