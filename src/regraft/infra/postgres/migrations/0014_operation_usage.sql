-- What an operation used: the tokens of what a client asked once, however many attempts that took.

-- A count of tokens in a call's usage; NULL where there is none, or where PostgreSQL cannot read the usage (it holds
-- NUL or a lone surrogate).
CREATE FUNCTION usage_count(usage json, VARIADIC path text[]) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    found json;
BEGIN
    found := usage #> path;
    RETURN CASE WHEN json_typeof(found) = 'number' AND found::text ~ '^[0-9]{1,18}$' THEN found::text::bigint END;
EXCEPTION WHEN untranslatable_character OR invalid_text_representation OR character_not_in_repertoire THEN
    RETURN NULL;
END $$;

-- One row per operation: its final attempt, which gave the client its answer, with the number of all its attempts.
-- Usage is the final attempt's alone, so that sums over this view count nothing twice; what a failed attempt reported
-- stays in the inbox. An operation whose client left between two attempts has no answer, no usage and no row here.
-- Cached tokens are among those of the prompt, whatever the API counts.
CREATE VIEW operation_usage AS
    SELECT coalesce(e.operation_id, e.event_id) AS operation_id, e.event_id,
        CASE WHEN e.operation_id IS NULL THEN 1
             ELSE (SELECT count(*) FROM pipeline_event_inbox a WHERE a.operation_id = e.operation_id) END AS attempts,
        e.scope, e.endpoint, e.purpose, e.upstream, coalesce(e.model_answered, e.model_requested) AS model,
        e.asked_model, e.http_status, e.started_at, e.duration_ms,
        coalesce(usage_count(e.usage, 'prompt_tokens'),
                 usage_count(e.usage, 'input_tokens')
                 + coalesce(usage_count(e.usage, 'cache_read_input_tokens'), 0)
                 + coalesce(usage_count(e.usage, 'cache_creation_input_tokens'), 0)) AS prompt_tokens,
        coalesce(usage_count(e.usage, 'completion_tokens'), usage_count(e.usage, 'output_tokens')) AS completion_tokens,
        coalesce(usage_count(e.usage, 'cache_read_input_tokens'),
                 usage_count(e.usage, 'prompt_tokens_details', 'cached_tokens'),
                 usage_count(e.usage, 'input_tokens_details', 'cached_tokens')) AS cached_tokens,
        e.usage
    FROM pipeline_event_inbox e WHERE e.final;
