-- Queries of comparing.

-- name: answers
-- All answers under a node's anchor, by branch index: how each was asked, what it took, and what came of it.
SELECT b.branch_index, b.turn_id, b.node_id, b.branch_kind, b.variant_config::text, b.is_replay, b.same_context,
    b.fidelity, b.first_divergence::text, b.context_anchor_turn_id, r.model, r.model_snapshot_id, r.backend, r.run_status,
    r.finish_reason, r.prompt_tokens, r.completion_tokens, r.cached_tokens, r.duration_ms, r.first_byte_ms, r.started_at,
    r.variant::text, coalesce(e.model_requested, '') AS model_requested, t.system_digest, t.user_digest, r.tools_id,
    sampling.body::text AS sampling, e.identity::text, o.reward, o.source AS reward_source,
    EXISTS (SELECT FROM generations g WHERE g.supersedes = b.turn_id) AS superseded,
    m.body::text AS answer, message_text(m.body) AS answer_text
FROM response_branch_records b JOIN execution_run_records r ON r.run_id = b.turn_id
JOIN session_turn t ON t.turn_id = b.turn_id JOIN pipeline_event_inbox e ON e.event_id = r.event_id
LEFT JOIN request_part sampling ON sampling.part_id = e.sampling_id
LEFT JOIN message m ON m.message_id = r.answer_id
LEFT JOIN LATERAL outcome_of_turn(b.turn_id) AS o ON true
WHERE b.context_anchor_turn_id = (SELECT a.context_anchor_turn_id FROM conversation_branch_nodes n
                                  JOIN response_branch_records a ON a.turn_id = n.turn_id WHERE n.node_id = %(node)s)
ORDER BY b.branch_index;

-- name: whole_path
-- A node's whole trajectory: the history that it was asked with, and its answer.
SELECT context_messages(n.context_snapshot_id)::text AS history, m.body::text AS answer
FROM conversation_branch_nodes n LEFT JOIN session_turn t ON t.turn_id = n.turn_id
LEFT JOIN message m ON m.message_id = t.answer_id
WHERE n.node_id = %(node)s;
