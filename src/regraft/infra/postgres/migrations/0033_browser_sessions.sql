-- Browsers that are signed in to the web UI. A row holds no secret, and nobody's name: what a browser may do is what the
-- token may do that it was signed in with, at the time of each request.

CREATE TABLE browser_sessions (
    session_digest  bytea PRIMARY KEY,           -- BLAKE2b-256 of the cookie
    token_id        text NOT NULL,               -- of the token that it was signed in with
    token_proof     bytea NOT NULL,              -- the token's digest, hashed with the cookie as key
    created_at      timestamptz NOT NULL,
    last_used_at    timestamptz NOT NULL,        -- within a minute
    expires_at      timestamptz NOT NULL         -- moves on with use, up to a month after the sign-in
);
CREATE INDEX browser_sessions_token ON browser_sessions (token_id);
CREATE INDEX browser_sessions_expiry ON browser_sessions (expires_at);
