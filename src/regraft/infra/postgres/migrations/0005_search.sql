-- Words of messages, for `regraft find`. A text that PostgreSQL cannot index (NUL, too long) is not found by words.
CREATE FUNCTION message_words(body json) RETURNS tsvector LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN to_tsvector('simple'::regconfig, left(message_text(body), 200000));
EXCEPTION WHEN program_limit_exceeded THEN
    RETURN NULL;
END $$;

CREATE INDEX message_words ON message USING gin (message_words(body));
CREATE INDEX context_message ON context (message_id);
CREATE INDEX session_turn_answer_id ON session_turn (answer_id);
CREATE INDEX session_turn_context ON session_turn (context_id);
