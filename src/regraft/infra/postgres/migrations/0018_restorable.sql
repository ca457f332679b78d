-- A restore, ANALYZE and maintenance run with an empty search path, and they evaluate the expression of message_words:
-- the functions that it calls are named with their schema, whichever it is.
DO $$
DECLARE
    home text := quote_ident(current_schema());
BEGIN
    EXECUTE format($fn$
        CREATE OR REPLACE FUNCTION %1$s.message_text(body json) RETURNS text LANGUAGE sql IMMUTABLE AS $body$
            SELECT CASE WHEN strpos(body::text, '\u') = 0 AND json_typeof(body -> 'content') = 'string'
                        THEN body ->> 'content' ELSE %1$s.message_text_with_care(body) END
        $body$
    $fn$, home);
    EXECUTE format($fn$
        CREATE OR REPLACE FUNCTION %1$s.message_words(body json) RETURNS tsvector LANGUAGE plpgsql IMMUTABLE AS $body$
        BEGIN
            RETURN to_tsvector('simple'::regconfig, left(%1$s.message_text(body), 200000));
        EXCEPTION WHEN program_limit_exceeded THEN
            RETURN NULL;
        END $body$
    $fn$, home);
END $$;
ALTER FUNCTION message_words(json) PARALLEL UNSAFE;
