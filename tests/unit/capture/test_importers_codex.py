"""Codex rollouts become conversations: items are messages, and what replaced or took back a history is followed."""

from __future__ import annotations

import json

from support.codex_rollout import CONTEXT, call, count, event, item, meta, one, output, said
from support.imported_conversation import path


def test_items_are_messages_and_what_the_model_made_in_a_row_is_one_answer():
    talk = one(
        meta(base_instructions={"text": "You are Codex"}),
        said("user", "<environment_context>cwd</environment_context>"),
        CONTEXT,
        said("user", "list it"),
        event("user_message", message="list it"),
        item("reasoning", summary=[{"type": "summary_text", "text": "look"}], encrypted_content="x"),
        event("agent_reasoning", text="look"),
        said("assistant", "Looking."),
        call("c1"),
        call("c2"),
        output("c1", "one"),
        output("c2", "two"),
        count(output_tokens=9),
        said("assistant", "Done."),
        event("agent_message", message="Done."),
        count(output_tokens=2),
        event("task_complete", last_agent_message="Done."),
    )
    assert (talk.key, talk.named, talk.left_out) == ("s1", True, ())
    assert [role for role, _ in path(talk)] == [
        "system", "user", "user", "assistant", "tool", "tool", "assistant",
    ]  # fmt: skip
    answer, last = talk.said[3], talk.said[-1]
    assert answer.message["content"] == "Looking."
    assert answer.message["reasoning_content"] == "look"
    assert [each["id"] for each in answer.message["tool_calls"]] == ["c1", "c2"]
    assert (answer.model, answer.sampling, answer.finish_reason) == (
        "gpt-x",
        {"reasoning_effort": "high"},
        "tool_calls",
    )
    assert (last.message["content"], last.usage, last.finish_reason) == ("Done.", {"output_tokens": 2}, "stop")


def test_a_shell_call_of_its_own_type_is_a_call_with_its_output():
    talk = one(
        meta(),
        said("user", "q"),
        item("local_shell_call", call_id="c1", status="completed", action={"type": "exec", "command": ["ls"]}),
        output("c1", "a.txt"),
        item("custom_tool_call", call_id="c2", name="apply_patch", input="*** Begin"),
        item("custom_tool_call_output", call_id="c2", output={"content": "done", "success": True}),
    )
    assert talk.said[1].message["tool_calls"][0]["function"]["name"] == "local_shell"
    assert talk.said[3].message["tool_calls"][0]["custom"] == {"name": "apply_patch", "input": "*** Begin"}
    assert talk.said[4].message["content"] == "done"


def test_a_compaction_begins_anew_with_the_history_that_replaced_the_old_one():
    replacement = [said("user", "q")["payload"], said("user", "Summary of it")["payload"]]
    talk = one(
        meta(),
        said("user", "q"),
        said("assistant", "a"),
        {"type": "compacted", "payload": {"message": "", "replacement_history": replacement}},
        said("user", "go on"),
        said("assistant", "b"),
    )
    assert path(talk) == [("user", "q"), ("user", "Summary of it"), ("user", "go on"), ("assistant", "b")]
    assert talk.said[2].rest["compacted"]["after"] == talk.said[1].key


def test_a_compaction_without_a_history_begins_with_its_summary():
    talk = one(
        meta(), said("user", "q"), {"type": "compacted", "payload": {"message": "Summary"}}, said("assistant", "b")
    )
    assert path(talk) == [("user", "Summary"), ("assistant", "b")]


def test_turns_that_were_taken_back_stay_as_a_branch():
    talk = one(
        meta(),
        said("user", "first"),
        said("assistant", "a"),
        said("user", "wrong"),
        said("assistant", "b"),
        event("thread_rolled_back", num_turns=1),
        said("user", "right"),
        said("assistant", "c"),
    )
    assert path(talk) == [("user", "first"), ("assistant", "a"), ("user", "right"), ("assistant", "c")]
    assert path(talk, 3) == [("user", "first"), ("assistant", "a"), ("user", "wrong"), ("assistant", "b")]


def test_an_answer_that_was_stopped_is_no_whole_answer():
    talk = one(meta(), said("user", "q"), said("assistant", "a"), event("turn_aborted", reason="interrupted"))
    assert talk.said[1].status == "interrupted"


def test_what_only_events_say_is_kept_and_named():
    talk = one(
        meta(instructions="Project words"),
        said("user", "q"),
        event("error", message="the stream broke"),
        {"type": "world_state", "payload": {"note": "state words"}},
        said("assistant", "a"),
    )
    told = json.dumps([each.rest for each in talk.said])
    assert all(words in told for words in ("Project words", "the stream broke", "state words"))
    named = {each.reason for each in talk.left_out}
    assert named == {"a record of the type 'error'", "a record of the type 'world_state'"}


def test_a_rollout_without_items_is_read_from_its_events():
    talk = one(meta(), event("user_message", message="q"), event("agent_message", message="a"))
    assert path(talk) == [("user", "q"), ("assistant", "a")]
    assert talk.said[1].answered


def test_a_rollout_of_the_first_versions_is_read():
    talk = one(
        {"id": "s0", "timestamp": "2025-06-01T00:00:00Z", "instructions": None},
        {"record_type": "state"},
        said("user", "q")["payload"],
        said("assistant", "a")["payload"],
    )
    assert (talk.key, path(talk)) == ("s0", [("user", "q"), ("assistant", "a")])


def test_a_segment_whose_beginning_is_elsewhere_begins_nothing():
    talk = one(
        {**meta(), "ordinal": 0}, {**said("user", "q"), "ordinal": 40}, {**said("assistant", "a"), "ordinal": 41}
    )
    assert talk.said[0].missing_parent == "ordinal 39"
    assert talk.left_out
