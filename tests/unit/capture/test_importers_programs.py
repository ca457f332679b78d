"""Chats that programs keep: LM Studio, llama.cpp, Gemini, Cline and Cursor."""

from __future__ import annotations

import json
import sqlite3

import pytest

from regraft.domain.capture.importers import conversations, detected
from regraft.domain.capture.importers.records import records
from regraft.domain.errors import UsageError
from regraft.infra.files.exports import opened, parts
from support.imported_conversation import one, path


def text(words):
    return {"type": "text", "text": words}


def answer(*steps):
    return {"type": "multiStep", "role": "assistant", "senderInfo": {"senderName": "qwen"}, "steps": list(steps)}


def step(*content, thinking=False, **more):
    style = {"style": {"type": "thinking"}} if thinking else {}
    return {"type": "contentBlock", "content": list(content), **style, **more}


def test_lm_studio_versions_are_branches_and_steps_are_one_answer():
    asked = {"type": "singleStep", "role": "user", "content": [text("q")]}
    stats = {"stopReason": "eosFound", "promptTokensCount": 3, "predictedTokensCount": 4}
    talk = one(
        "lm_studio",
        {
            "name": "n", "createdAt": 1_700_000_000_000, "systemPrompt": "s",
            "messages": [
                {"versions": [asked], "currentlySelected": 0},
                {
                    "versions": [
                        answer(step(text("a"))),
                        answer(
                            step(text("hm"), thinking=True),
                            step(text("b"), genInfo={"indexedModelIdentifier": "qwen/1", "stats": stats}),
                        ),
                    ],
                    "currentlySelected": 1,
                },
                {"versions": [{**asked, "content": [text("more")]}], "currentlySelected": 0},
            ],
        },
    )  # fmt: skip
    assert path(talk) == [("system", "s"), ("user", "q"), ("assistant", "b"), ("user", "more")]
    first, second = talk.said[2], talk.said[3]
    assert (first.message["content"], first.parent, first.model) == ("a", 1, "qwen")
    assert second.message == {"role": "assistant", "content": "b", "reasoning_content": "hm"}
    assert (second.model, second.finish_reason) == ("qwen/1", "eosFound")
    assert second.usage == {"prompt_tokens": 3, "completion_tokens": 4}


def test_lm_studio_tools_are_calls_with_their_results():
    called = {"type": "toolCallRequest", "toolCallRequestId": "1", "name": "f", "parameters": {"x": 1}}
    steps = [
        step(called),
        step({"type": "toolCallResult", "toolCallRequestId": "1", "content": "r"}),
        step(text("done")),
    ]
    asked = {"role": "user", "content": [text("q")]}
    talk = one("lm_studio", {"messages": [{"versions": [asked]}, {"versions": [answer(*steps)]}]})
    assert path(talk) == [("user", "q"), ("assistant", None), ("tool", "r"), ("assistant", "done")]
    assert talk.said[1].message["tool_calls"][0]["function"]["arguments"] == '{"x":1}'


def test_llama_cpp_trees_begin_behind_their_root():
    def node(key, parent, children, role, words, **more):
        return {
            "id": key,
            "convId": "c",
            "parent": parent,
            "children": children,
            "role": role,
            "content": words,
            **more,
        }

    talk = one(
        "llama_cpp",
        {
            "conv": {"id": "c", "name": "n", "currNode": "b"},
            "messages": [
                node("r", None, ["u"], "system", "", type="root"),
                node("u", "r", ["a", "b"], "user", "q", timestamp=1_700_000_000_000),
                node("a", "u", [], "assistant", "one", model="m"),
                node("b", "u", [], "assistant", "two", thinking="hm", timings={"predicted_n": 3}),
            ],
        },
    )
    assert [(each.message["content"], each.parent) for each in talk.said] == [("q", None), ("one", 0), ("two", 0)]
    assert talk.said[1].model == "m"
    assert talk.said[2].message["reasoning_content"] == "hm"
    assert talk.said[2].rest == {"timings": {"predicted_n": 3}}


def test_gemini_contents_keep_their_calls_and_thoughts():
    called = {"functionCall": {"name": "f", "args": {"x": 1}}}
    talk = one(
        "gemini",
        {
            "systemInstruction": {"parts": [{"text": "s"}]},
            "contents": [
                {"role": "user", "parts": [{"text": "q"}]},
                {"role": "model", "parts": [{"text": "hm", "thought": True}, called]},
                {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"y": 2}}}]},
                {"role": "model", "parts": [{"text": "a"}]},
            ],
            "tools": [{"functionDeclarations": [{"name": "f"}]}],
            "generationConfig": {"temperature": 0},
        },
    )  # fmt: skip
    assert [role for role, _ in path(talk)] == ["system", "user", "assistant", "tool", "assistant"]
    called = talk.said[2].message
    assert (called["reasoning_content"], called["tool_calls"][0]["function"]["name"]) == ("hm", "f")
    assert talk.tools["tools"][0]["function"] == {"name": "f"}
    assert talk.sampling == {"temperature": 0}


def test_ai_studio_chunks_are_messages_with_their_thoughts():
    chunks = [
        {"text": "q", "role": "user", "tokenCount": 1},
        {"text": "hm", "role": "model", "isThought": True},
        {"text": "a", "role": "model", "finishReason": "STOP"},
    ]
    talk = one(
        "gemini", {"runSettings": {"model": "models/gemini", "temperature": 1}, "chunkedPrompt": {"chunks": chunks}}
    )
    assert path(talk) == [("user", "q"), ("assistant", "a")]
    assert talk.said[1].message["reasoning_content"] == "hm"
    assert talk.model == "models/gemini"


CLINE = [
    {"role": "user", "content": [text("do it")], "ts": 1_700_000_000_000},
    {"role": "assistant", "content": [text("ok"), {"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [text("r")]}, text("env")]},
    {"role": "assistant", "content": [text("done")]},
]


@pytest.mark.parametrize("written", [json.dumps(CLINE), "".join(json.dumps(each) + "\n" for each in CLINE)])
def test_a_file_of_messages_is_one_conversation(written):
    found = list(records([written]))
    importer = detected(found[0])
    ((_, talk),) = conversations(importer, found)
    assert importer.form == "messages"
    assert path(talk) == [
        ("user", "do it"), ("assistant", "ok"), ("tool", "r"), ("user", "env"), ("assistant", "done"),
    ]  # fmt: skip
    assert talk.said[1].message["tool_calls"][0]["id"] == "t"


def database(path, rows, table="cursorDiskKV"):
    with sqlite3.connect(path) as made:
        made.execute(f"CREATE TABLE {table} (key TEXT UNIQUE, value BLOB)")
        made.executemany(
            f"INSERT INTO {table} VALUES (?, ?)", [(key, json.dumps(value)) for key, value in rows.items()]
        )
    made.close()


def chats(path):
    (part,) = parts(path)
    with opened(part) as file:
        found = list(records(file.pieces))
    return [talk for _, talk in conversations(detected(found[0]), found)]


def test_cursor_chats_are_read_from_the_database(tmp_path):
    tool = {
        "toolCallId": "t",
        "name": "read_file",
        "rawArgs": '{"p":1}',
        "result": '{"text":"r"}',
        "status": "completed",
    }
    headers = [{"bubbleId": each} for each in ("u", "t", "a", "gone", "v")]
    database(
        tmp_path / "state.vscdb",
        {
            "composerData:c1": {"composerId": "c1", "name": "n", "fullConversationHeadersOnly": headers},
            "bubbleId:c1:u": {"type": 1, "text": "q", "createdAt": "2026-01-01T00:00:00Z"},
            "bubbleId:c1:t": {"type": 2, "text": "", "thinking": {"text": "hm"}},
            "bubbleId:c1:a": {"type": 2, "text": "", "toolFormerData": tool, "modelInfo": {"modelName": "m"}},
            "bubbleId:c1:v": {"type": 1, "text": "later"},
            "bubbleId:c2:x": {"type": 1, "text": "of another chat"},
            "composerData:c3": {"composerId": "c3", "conversation": [{"bubbleId": "o", "type": 1, "text": "old form"}]},
        },
    )
    chat, old = chats(tmp_path / "state.vscdb")
    assert chat.key == "c1"
    assert path(chat, 2) == [("user", "q"), ("assistant", None), ("tool", '{"text":"r"}')]
    assert (chat.said[1].message["reasoning_content"], chat.said[1].model) == ("hm", "m")
    assert chat.said[3].missing_parent == "gone"
    assert [each.reason for each in chat.left_out] == ["a bubble that the database does not hold"]
    assert path(old) == [("user", "old form")]


def test_a_database_of_another_application_is_refused(tmp_path):
    database(tmp_path / "x.db", {"a": 1}, table="other")
    with pytest.raises(UsageError, match="no known application"):
        chats(tmp_path / "x.db")
