"""Exports of chat applications become trees with every branch."""

from __future__ import annotations

import pytest

from regraft.domain.capture.importers.conversation import RefusedConversation
from support.chat_export import chatgpt, claude, lines, node, one, webui


def test_a_chatgpt_tree_keeps_edited_questions_and_regenerated_answers():
    form, talk = one(
        chatgpt(
            node("leaf", "u2", [], "assistant", ["b2"]),
            node("root", None, ["u1", "u2"]),
            node("u1", "root", ["a1", "a2"], "user", ["one"]),
            node("a1", "u1", [], "assistant", ["a"], metadata={"model_slug": "m1"}, create_time=12),
            node("a2", "u1", [], "assistant", ["a"], status="in_progress"),
            node("u2", "root", ["leaf"], "user", ["two"]),
        )
    )
    assert form == "chatgpt"
    assert talk.named
    assert lines(talk) == [
        ("user", "one", None),
        ("assistant", "a", 0),
        ("assistant", "a", 0),
        ("user", "two", None),
        ("assistant", "b2", 3),
    ]
    first, second = talk.said[1], talk.said[2]
    assert (first.key, first.model, first.started_ns, first.status) == ("a1", "m1", 12_000_000_000, "ok")
    assert (second.key, second.status) == ("a2", "interrupted")


def test_what_chatgpt_thought_goes_with_its_answer_and_a_tool_call_with_its_result():
    thoughts = {"content_type": "thoughts", "thoughts": [{"summary": "s", "content": "hm"}]}
    code = {"content_type": "code", "language": "python", "text": "1+1"}
    output = {"content_type": "execution_output", "text": "2"}
    _, talk = one(
        chatgpt(
            node("u", None, ["t"], "user", ["q"]),
            node("t", "u", ["c"], "assistant", content=thoughts),
            node("c", "t", ["o"], "assistant", content=code, recipient="python"),
            node("o", "c", ["a"], "tool", content=output, author={"name": "python"}),
            node("a", "o", [], "assistant", ["two"]),
        )
    )
    call = {"id": "c", "type": "function", "function": {"name": "python", "arguments": "1+1"}}
    assert [said.message for said in talk.said] == [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": None, "tool_calls": [call], "reasoning_content": "hm"},
        {"role": "tool", "name": "python", "tool_call_id": "c", "content": "2"},
        {"role": "assistant", "content": "two"},
    ]


def test_an_image_of_chatgpt_is_a_part_and_a_quoted_page_is_text_with_its_address_beside_it():
    picture = {"content_type": "image_asset_pointer", "asset_pointer": "file-1"}
    mixed = {"content_type": "multimodal_text", "parts": [picture, "see"]}
    page = {"content_type": "tether_quote", "url": "u", "text": "x"}
    _, talk = one(chatgpt(node("u", None, ["t"], "user", content=mixed), node("t", "u", [], "user", content=page)))
    assert talk.said[0].message["content"] == [
        {"type": "image_asset_pointer", **picture},
        {"type": "text", "text": "see"},
    ]
    assert talk.said[1].message["content"] == "x"
    assert talk.said[1].rest["parts"] == [{"content_type": "tether_quote", "url": "u"}]


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        ([node("a", "b", ["b"], "user", ["x"]), node("b", "a", ["a"], "user", ["y"])], "circle"),
        ([node("a", None, [], "critic", ["x"])], "author 'critic'"),
        ([node("a", None, [])], "no messages"),
    ],
)
def test_a_chatgpt_conversation_that_cannot_be_read_is_refused_by_name(nodes, reason):
    _, refused = one(chatgpt(*nodes))
    assert isinstance(refused, RefusedConversation)
    assert refused.name == "c1"
    assert reason in refused.reason


def test_a_claude_export_is_split_at_its_tool_blocks():
    blocks = [
        {"type": "thinking", "thinking": "hm", "start_timestamp": "x"},
        {"type": "tool_use", "id": "t1", "name": "find", "input": {"q": 1}},
        {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "found"}]},
        {"type": "text", "text": "so", "start_timestamp": "x", "citations": []},
    ]
    form, talk = one(
        claude(
            {"uuid": "h", "sender": "human", "text": "q", "content": [], "attachments": [{"file_name": "f"}]},
            {"uuid": "a", "sender": "assistant", "text": "so", "content": blocks, "created_at": "2025-01-01T00:00:01Z"},
        )
    )
    assert form == "claude"
    call = {"id": "t1", "type": "function", "function": {"name": "find", "arguments": '{"q":1}'}}
    assert [said.message for said in talk.said] == [
        {"role": "user", "content": [{"type": "text", "text": "q"}, {"type": "attachment", "file_name": "f"}]},
        {"role": "assistant", "content": None, "reasoning_content": "hm", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "t1", "content": "found"},
        {"role": "assistant", "content": "so"},
    ]
    assert [said.parent for said in talk.said] == [None, 0, 1, 2]
    assert [said.key for said in talk.said] == ["h", "a", "a/1", "a/2"]


def test_a_claude_export_with_parents_keeps_its_branches():
    _, talk = one(
        claude(
            {
                "uuid": "h",
                "sender": "human",
                "text": "q",
                "parent_message_uuid": "00000000-0000-4000-8000-000000000000",
            },
            {"uuid": "a", "sender": "assistant", "text": "x", "parent_message_uuid": "h"},
            {"uuid": "b", "sender": "assistant", "text": "y", "parent_message_uuid": "h"},
        )
    )
    assert lines(talk) == [("user", "q", None), ("assistant", "x", 0), ("assistant", "y", 0)]


@pytest.mark.parametrize("recursive", [True, False])
def test_a_librechat_export_begins_with_its_system_prompt_and_keeps_its_branches(recursive):
    answers = [
        {
            "messageId": "a",
            "parentMessageId": "u",
            "text": "x",
            "isCreatedByUser": False,
            "model": "m",
            "unfinished": True,
        },
        {"messageId": "b", "parentMessageId": "u", "isCreatedByUser": False, "feedback": {"rating": "thumbsDown"}},
    ]
    answers[1]["content"] = [
        {"type": "think", "think": "hm"},
        {"type": "tool_call", "tool_call": {"id": "t", "name": "f", "args": "{}", "output": "1"}},
        {"type": "text", "text": "y"},
    ]
    asked = {"messageId": "u", "parentMessageId": "0", "text": "q", "isCreatedByUser": True}
    messages = [{**asked, "children": answers}] if recursive else [answers[1], answers[0], asked]
    options = {"promptPrefix": "Be brief.", "temperature": 1, "model": "m0"}
    form, talk = one({"conversationId": "c3", "title": "t", "options": options, "messages": messages})
    assert form == "librechat"
    assert (talk.model, talk.sampling) == ("m0", {"temperature": 1})
    said = {each.key: each for each in talk.said}
    assert said["promptPrefix"].message == {"role": "system", "content": "Be brief."}
    assert talk.said[said["u"].parent].key == "promptPrefix"
    assert (said["a"].status, said["a"].model, talk.said[said["a"].parent].key) == ("interrupted", "m", "u")
    call = {"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    assert said["b"].message == {"role": "assistant", "content": None, "reasoning_content": "hm", "tool_calls": [call]}
    assert said["b/1"].message == {"role": "tool", "tool_call_id": "t", "content": "1"}
    assert said["b/2"].message == {"role": "assistant", "content": "y"}
    assert [(vote.name, vote.value) for vote in said["b"].judgements] == [("vote", -1.0)]


def test_an_open_webui_chat_keeps_branches_votes_and_the_calls_in_its_text():
    written = (
        '<details type="reasoning" done="true" duration="2">\n<summary>Thought</summary>\n&gt; hm\n</details>\n'
        '<details type="tool_calls" done="true" id="t" name="f" arguments="&quot;{\\&quot;q\\&quot;: 1}&quot;" '
        'result="&quot;found&quot;">\n<summary>Done</summary>\n</details>\nso'
    )
    form, talk = one(
        webui(
            [
                {"id": "u", "parentId": None, "role": "user", "content": "q"},
                {"id": "a", "parentId": "u", "role": "assistant", "content": written, "model": "m"},
                {"id": "b", "parentId": "u", "role": "assistant", "content": "y", "annotation": {"rating": 1}},
            ],
            system="Be brief.",
            temperature=1,
        )
    )
    assert form == "open_webui"
    assert talk.sampling == {"temperature": 1}
    call = {"id": "t", "type": "function", "function": {"name": "f", "arguments": '{"q": 1}'}}
    assert [said.message for said in talk.said] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": None, "reasoning_content": "hm", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "t", "content": "found"},
        {"role": "assistant", "content": "so"},
        {"role": "assistant", "content": "y"},
    ]
    assert [said.parent for said in talk.said] == [None, 0, 1, 2, 3, 1]
    assert [(vote.name, vote.value) for vote in talk.said[5].judgements] == [("vote", 1.0)]


def test_an_open_webui_answer_with_output_items_is_read_from_them():
    output = [
        {"type": "reasoning", "summary": [{"text": "hm"}]},
        {"type": "function_call", "call_id": "t", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "t", "output": [{"type": "input_text", "text": "1"}]},
        {"type": "message", "content": [{"type": "output_text", "text": "so"}]},
    ]
    asked = {"id": "u", "parentId": None, "role": "user", "content": "q"}
    _, talk = one(webui([asked, {"id": "a", "parentId": "u", "role": "assistant", "content": "so", "output": output}]))
    assert [said.message["role"] for said in talk.said] == ["user", "assistant", "tool", "assistant"]
    assert talk.said[1].message["reasoning_content"] == "hm"
    assert (talk.said[2].message["content"], talk.said[3].message["content"]) == ("1", "so")
    _, refused = one(webui([asked, {"id": "a", "parentId": "u", "role": "assistant", "output": [{"type": "song"}]}]))
    assert refused == RefusedConversation("c4", "an output item of type 'song'")
