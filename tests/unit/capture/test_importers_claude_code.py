"""Claude Code's transcripts become conversations: one answer whatever lines it stands in, one tree a session."""

from __future__ import annotations

import json

from regraft.domain.capture.importers.conversation import RefusedConversation
from regraft.domain.capture.importers.links import NO_PARENT
from support.claude_code_transcript import call, line, model, read, result, talks, user, words
from support.imported_conversation import path


def test_lines_that_share_a_message_id_are_one_answer():
    (talk,) = talks(
        {"type": "summary", "summary": "Fix", "leafUuid": "e"},
        user("a", None, "fix it"),
        model("b", "a", {"type": "thinking", "thinking": "hm", "signature": "sig"}, stop=None),
        model("c", "b", words("Looking."), stop=None),
        model("d", "c", call("t1", p="x")),
        result("e", "d", "t1", "text of x"),
        model("f", "e", words("Fixed."), answer="m2", stop="end_turn", request="r2"),
    )
    assert (talk.key, talk.named) == ("s1", True)
    assert path(talk) == [("user", "fix it"), ("assistant", "Looking."), ("tool", "text of x"), ("assistant", "Fixed.")]
    answer = talk.said[1]
    assert answer.answered
    assert answer.model == "claude-x"
    assert answer.finish_reason == "tool_calls"
    assert answer.message["reasoning_content"] == "hm"
    assert answer.message["thinking_blocks"][0]["signature"] == "sig"
    assert [each["id"] for each in answer.message["tool_calls"]] == ["t1"]
    assert answer.message["tool_calls"][0]["function"]["arguments"] == '{"p":"x"}'


def test_results_of_parallel_calls_all_come_before_what_follows_any_of_them():
    for after in ("ra", "rb"):
        (talk,) = talks(
            user("u", None, "q"),
            model("a", "u", call("t1"), stop=None),
            result("ra", "a", "t1", "one"),
            model("b", "a", call("t2")),
            result("rb", "b", "t2", "two"),
            model("e", after, words("done"), answer="m2", request="r2"),
        )
        assert path(talk) == [
            ("user", "q"),
            ("assistant", None),
            ("tool", "one"),
            ("tool", "two"),
            ("assistant", "done"),
        ]
        assert len(talk.said[1].message["tool_calls"]) == 2


def test_a_call_that_is_written_after_the_result_of_the_one_before_it_is_of_the_same_answer():
    (talk,) = talks(
        user("u", None, "q"),
        model("a", "u", call("t1"), stop=None),
        result("ra", "a", "t1", "one"),
        model("b", "ra", call("t2")),
        result("rb", "b", "t2", "two"),
        model("e", "rb", words("done"), answer="m2", request="r2"),
    )
    assert [role for role, _ in path(talk)] == ["user", "assistant", "tool", "tool", "assistant"]


def test_answers_to_which_a_server_gave_the_same_id_stay_two():
    for requests in (("r1", "r2"), (None, None)):
        (talk,) = talks(
            user("u", None, "q"),
            model("a", "u", call("t1"), request=requests[0]),
            result("ra", "a", "t1", "one"),
            model("b", "ra", words("done"), stop="end_turn", request=requests[1]),
        )
        assert [each.answered for each in talk.said] == [False, True, False, True]


def test_a_rewound_session_is_a_tree_and_a_line_written_twice_is_one():
    first = user("u", None, "q")
    (talk,) = talks(
        first,
        first,
        model("a", "u", words("one"), stop="end_turn"),
        user("v", "a", "more"),
        user("w", "a", "other"),
    )
    assert [(each.message["content"], each.parent) for each in talk.said] == [
        ("q", None), ("one", 0), ("more", 1), ("other", 1),
    ]  # fmt: skip


def test_a_compaction_begins_anew_in_the_same_session_and_keeps_its_evidence():
    boundary = line("c", None, "system", subtype="compact_boundary", logicalParentUuid="a", content="Compacted")
    (talk,) = talks(
        user("u", None, "q"),
        model("a", "u", words("one"), stop="end_turn"),
        boundary,
        user("s", "c", "Summary of it", isCompactSummary=True, isVisibleInTranscriptOnly=True),
        user("v", "s", "go on"),
        model("b", "v", words("two"), answer="m2", request="r2"),
    )
    assert path(talk) == [("user", "Summary of it"), ("user", "go on"), ("assistant", "two")]
    summary = talk.said[2]
    assert summary.rest["records"][0]["logicalParentUuid"] == "a"
    assert summary.rest["isCompactSummary"] is True
    assert not talk.left_out


def test_side_chains_are_conversations_of_their_own_named_by_their_agent():
    side = {"isSidechain": True, "agentId": "a9"}
    main, agent = talks(
        user("u", None, "q"),
        model("a", "u", call("t1")),
        user("x", "a", "look for it", **side),
        model("y", "x", words("found"), answer="m5", request="r5", **side),
        result("r", "a", "t1", "found"),
    )
    assert (main.key, agent.key) == ("s1", "s1/a9")
    assert path(agent) == [("user", "look for it"), ("assistant", "found")]
    assert agent.rest["session"]["agentId"] == "a9"
    assert agent.said[0].rest["records"] == [{"started_by": "a"}]


def test_records_that_are_no_messages_are_steps_of_the_chain_and_named():
    (talk,) = talks(
        {"type": "file-history-snapshot", "messageId": "u", "snapshot": {}},
        user("u", None, "q"),
        line("p", "u", "progress", data={"type": "hook_progress"}),
        line("n", "p", "attachment", attachment={"type": "todo_reminder", "content": []}),
        model("a", "n", words("one"), stop="end_turn"),
        line("t", "a", "system", subtype="turn_duration", durationMs=5),
        {"type": "queue-operation", "operation": "enqueue", "sessionId": "s1", "content": "waiting words"},
        user("m", "t", "<command-name>/cost</command-name>", isMeta=True),
        line(
            "e",
            "m",
            "assistant",
            isApiErrorMessage=True,
            message={"role": "assistant", "content": [words("API Error")]},
        ),
        user("v", "e", "again"),
    )
    assert path(talk) == [
        ("user", "q"), ("assistant", "one"), ("user", "<command-name>/cost</command-name>"), ("user", "again"),
    ]  # fmt: skip
    named = {each.reason for each in talk.left_out}
    for kind in (
        "file-history-snapshot",
        "progress",
        "attachment/todo_reminder",
        "system/turn_duration",
        "queue-operation",
    ):
        assert f"a record of the type '{kind}'" in named
    assert talk.said[2].rest["isMeta"] is True
    assert "waiting words" in json.dumps(talk.said[2].rest)
    assert "API Error" in json.dumps(talk.said[3].rest)


def test_what_the_user_wrote_while_the_model_worked_is_said():
    queued = {"type": "queued_command", "prompt": "and the tests", "commandMode": "prompt"}
    (talk,) = talks(user("u", None, "q"), line("v", "u", "attachment", attachment=queued), model("a", "v", words("ok")))
    assert path(talk) == [("user", "q"), ("user", "and the tests"), ("assistant", "ok")]


def test_what_the_application_wrote_in_place_of_an_answer_is_no_answer():
    made = line(
        "a",
        "u",
        "assistant",
        message={"id": "x", "role": "assistant", "model": "<synthetic>", "content": [words("No response")]},
    )
    (talk,) = talks(user("u", None, "q"), made)
    assert not talk.said[1].answered


def test_a_parent_that_was_never_written_is_named_and_begins_nothing():
    (talk,) = talks(user("u", "gone", "q"), line("p", "also-gone", "progress"), user("v", "p", "r"))
    assert [each.missing_parent for each in talk.said] == ["gone", "also-gone"]
    assert [each.place for each in talk.left_out if each.reason == NO_PARENT] == ["gone", "also-gone"]


def test_different_messages_with_one_id_are_named_and_a_circle_refuses_its_transcript():
    found = read(user("u", None, "q"), user("u", None, "other"))
    assert RefusedConversation("u", "two messages with the same id") in found
    found = read(user("u", "v", "q"), user("v", "u", "r"))
    assert [type(each) for each in found] == [RefusedConversation]


def test_a_transcript_without_messages_is_named():
    found = read({"type": "file-history-snapshot", "messageId": "u", "snapshot": {}})
    assert [each.reason for each in found] == ["a record of the type 'file-history-snapshot'"]
