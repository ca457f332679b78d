"""What an imported file does not say whole becomes no training row, and the result of the import says it."""

from __future__ import annotations

import json
import zipfile

import pytest

from regraft.domain.datasets.recipe import parse_recipe
from regraft.flows.capture.importing import import_files
from regraft.flows.datasets.assembly import assemble

RECIPE = """
name = "imported"
kind = "sft"
description = "imported conversations"
[source]
themes = ["t"]
purposes = ["import"]
labels = ["signals"]
[select]
per_context = 9
[splits]
train = 1.0
"""


@pytest.fixture
def rows(truth, tmp_path):
    """What an import came to, and the SFT rows of it, with the counts of those that were refused."""

    def made(path):
        counts = import_files(truth, [path], theme="t")
        assembly = assemble(parse_recipe(RECIPE), truth, tmp_path / "workbench.duckdb")
        texts = [[message["content"] for message in row.messages] for row in assembly.rows]
        return counts, sorted(texts), {reason: n for reason, n in assembly.refused.items() if n}

    return made


def chatgpt(key, *nodes):
    """A conversation from (id, parent, role, text)."""
    mapping = {}
    for name, parent, role, said in nodes:
        content = {"content_type": "text", "parts": [said]}
        message = {"id": name, "author": {"role": role}, "content": content}
        mapping[name] = {"id": name, "message": message, "parent": parent}
    return {"conversation_id": key, "mapping": mapping}


def test_turns_after_a_missing_parent_are_named_and_are_no_rows(rows, tmp_path):
    talk = chatgpt(
        "c",
        ("u", None, "user", "First question"),
        ("a", "u", "assistant", "First answer"),
        ("v", "gone", "user", "Second question"),
        ("b", "v", "assistant", "Second answer"),
        ("w", "b", "user", "Third question"),
        ("c", "w", "assistant", "Third answer"),
    )
    (tmp_path / "conversations.json").write_text(json.dumps([talk]))
    counts, texts, refused = rows(tmp_path / "conversations.json")
    assert counts.refused_names == {"a message whose parent is not in the file": ["c: v"]}
    assert counts.turns == 3
    assert texts == [["First question", "First answer"]]
    assert refused == {"parent_missing": 1}


def test_a_zip_in_a_folder_is_read_with_all_its_parts(truth, tmp_path):
    (tmp_path / "export").mkdir()
    with zipfile.ZipFile(tmp_path / "export" / "chatgpt.zip", "w") as archive:
        for at in range(3):
            talk = chatgpt(f"c{at}", ("u", None, "user", f"q{at}"), ("a", "u", "assistant", "x"))
            archive.writestr(f"conversations-{at:03}.json", json.dumps([talk]))
        archive.writestr("user.json", "{}")
    assert import_files(truth, [tmp_path / "export"]).turns == 3


def lines(path, *conversations):
    path.write_text("".join(json.dumps({"messages": messages}) + "\n" for messages in conversations))
    return path


def say(role, content, **more):
    return {"role": role, "content": content, **more}


@pytest.mark.parametrize("flag", [{"weight": 0}, {"weight": 0.0}, {"weight": 0.5}, {"train": False}, {"loss": False}])
def test_no_row_trains_on_a_message_that_says_it_must_not_be_trained_on(rows, tmp_path, flag):
    asked, again = say("user", "q"), say("user", "try again")
    wrong, right = say("assistant", "wrong", **flag), say("assistant", "right", weight=1)
    other = [say("user", "other"), say("assistant", "fine", weight=1)]
    _, texts, refused = rows(lines(tmp_path / "a.jsonl", [asked, wrong, again, right], other))
    assert texts == [["other", "fine"]]
    assert refused == {"message_weight": 1}


def test_no_row_holds_a_tool_result_that_no_call_asked_for(rows, tmp_path):
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    asking, result = say("assistant", None, tool_calls=[call]), say("tool", "7", tool_call_id="c")
    stray = say("tool", "stray", tool_call_id="nope")
    end = say("assistant", "a")
    _, texts, refused = rows(
        lines(
            tmp_path / "a.jsonl",
            [say("user", "one"), asking, result, end],
            [say("user", "two"), stray, end],
            [say("user", "three"), asking, result, result, end],
            [say("user", "four"), asking, stray, end],
        )
    )
    assert texts == [["one", None, "7", "a"]]
    assert refused == {"tool_result_without_call": 3}


def test_legacy_function_calls_become_tool_calls_in_rows(rows, tmp_path):
    line = {
        "messages": [
            say("user", "q"),
            say("assistant", None, function_call={"name": "f", "arguments": '{"x": 1}'}),
            say("function", "7", name="f"),
            say("assistant", "It is 7."),
        ],
        "functions": [{"name": "f", "parameters": {"type": "object"}}],
    }
    (tmp_path / "a.jsonl").write_text(json.dumps(line))
    _, texts, refused = rows(tmp_path / "a.jsonl")
    assert (texts, refused) == ([["q", None, "7", "It is 7."]], {})
