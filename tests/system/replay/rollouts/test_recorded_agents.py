"""Recorded agents on a model that repeats their answers give themselves again, and part where an answer changes."""

from __future__ import annotations

from regraft.domain.ids import parse_json
from regraft.domain.lineage.projection import project
from regraft.domain.replay.job import Variant
from regraft.domain.replay.tool_results import calls_of
from regraft.flows.capture.importing import import_files
from regraft.flows.replay.rollouts import RolloutOptions
from support.recorded_conversations import each_folder
from support.rollouts import MODEL, says


def leaves(path):
    """Every recorded trajectory: its first node, its last, and its answers from the first."""
    rows = path.ask(
        """WITH RECURSIVE walk AS (
            SELECT n.node_id AS leaf, n.node_id, n.parent_node_id, n.turn_id, n.depth FROM conversation_branch_nodes n
            WHERE n.depth > 0 AND NOT EXISTS (
                SELECT FROM conversation_branch_nodes c WHERE c.parent_node_id = n.node_id)
            UNION ALL
            SELECT walk.leaf, n.node_id, n.parent_node_id, n.turn_id, n.depth
            FROM walk JOIN conversation_branch_nodes n ON n.node_id = walk.parent_node_id WHERE n.depth > 0)
        SELECT walk.leaf, (array_agg(walk.node_id ORDER BY walk.depth))[1] AS first,
            array_agg(m.body::text ORDER BY walk.depth) AS answers
        FROM walk JOIN session_turn t USING (turn_id) JOIN message m ON m.message_id = t.answer_id
        GROUP BY walk.leaf ORDER BY walk.leaf"""
    )
    return [(row["first"], row["leaf"], [parse_json(body) for body in row["answers"]]) for row in rows]


@each_folder("tau-bench-airline", "tau2-bench", "swe-agent")
def test_recorded_agents_on_a_model_that_repeats_their_answers_give_themselves_again(path, corpus, name):
    import_files(path.dsn, sorted((corpus / name).glob("conversations*.jsonl.zst")))
    everything = leaves(path)
    chosen = everything[:: max(1, len(everything) // 12)]
    before = path.ask("SELECT count(*) AS nodes, sum(runs) AS runs FROM conversation_branch_nodes")[0]
    work = []
    for number, (first, leaf, answers) in enumerate(chosen):
        path.script.answers[f"{MODEL}-{number}"] = answers
        work.append((first, Variant(model=f"{MODEL}-{number}"), RolloutOptions(toward=leaf)))
    ended, watcher = path.grow(*work)
    assert watcher.failures == []
    for row, (_, _, answers) in zip(ended, chosen, strict=True):
        called = sum(len(calls_of(answer)) for answer in answers[:-1])
        assert (row["stop_reason"], row["steps"], row["first_divergence"]) == ("end_of_record", len(answers), None)
        assert row["fidelity"] == (1.0 if sum(row["tool_sources"].values()) else None)
        assert sum(row["tool_sources"].values()) == called
    after = path.ask("SELECT count(*) AS nodes, sum(runs) AS runs FROM conversation_branch_nodes")[0]
    assert after["nodes"] == before["nodes"]
    assert after["runs"] == before["runs"] + sum(len(answers) for _, _, answers in chosen)


def test_a_changed_answer_of_a_recorded_agent_parts_exactly_there(path, corpus):
    import_files(path.dsn, sorted((corpus / "tau-bench-airline").glob("conversations*.jsonl.zst")))
    chosen = [each for each in leaves(path) if len(each[2]) > 6][:8]
    work, changed_at = [], []
    for number, (first, leaf, answers) in enumerate(chosen):
        place = 1 + number % 5
        changed = list(answers)
        old = project(changed[place])
        if calls := changed[place].get("tool_calls"):
            made = {**calls[0], "function": {"name": calls[0]["function"]["name"], "arguments": '{"changed": true}'}}
            changed[place] = {**changed[place], "tool_calls": [made, *calls[1:]]}
            kind = "arguments"
        else:
            changed[place] = says("Something else.")
            kind = "answer"
        assert project(changed[place]) != old
        path.script.answers[f"{MODEL}-{number}"] = changed
        work.append((first, Variant(model=f"{MODEL}-{number}"), RolloutOptions(toward=leaf)))
        changed_at.append((place + 1, kind))
    ended, _ = path.grow(*work)
    assert [(row["first_divergence"]["turn"], row["first_divergence"]["kind"]) for row in ended] == changed_at
    for row, (_, kind) in zip(ended, changed_at, strict=True):
        assert row["stop_reason"] == ("unrecorded_tool_call" if kind == "arguments" else "end_of_record")
    assert {kind for _, kind in changed_at} == {"arguments", "answer"}
