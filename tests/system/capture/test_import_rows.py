"""Incomplete imported conversations give no training rows, and the result of the import names them."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections import Counter

import pytest
import zstandard

from regraft.domain.datasets.formats import FORMATS
from regraft.domain.datasets.formats.format import write_row
from regraft.domain.datasets.messages import RowRefusal
from regraft.domain.errors import UsageError
from regraft.flows.capture.importing import import_files
from regraft.flows.datasets.assembly import assemble
from regraft.infra.files.recipes import parse_recipe

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
[content]
unlisted_tools = "keep"
[splits]
train = 1.0
"""


@pytest.fixture
def rows(truth, tmp_path):
    """What an import came to, and the SFT rows of it for TRL, with the counts of those that were refused."""

    def made(path):
        counts = import_files(truth, [path], theme="t")
        with assemble(parse_recipe(RECIPE), truth, tmp_path / "workbench.duckdb") as assembly:
            kept = list(assembly.rows.rows())
        written = [row for row in kept if not isinstance(write_row(FORMATS["trl"], row), RowRefusal)]
        texts = [[message["content"] for message in row.messages] for row in written]
        refused = assembly.counts.refused + Counter(
            found.reason for row in kept if isinstance(found := write_row(FORMATS["trl"], row), RowRefusal)
        )
        return counts, sorted(texts), dict(+refused)

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
    last = [say("user", "last"), say("assistant", "not this", weight=0)]
    _, texts, refused = rows(lines(tmp_path / "a.jsonl", [asked, wrong, again, right], other, last))
    assert texts == [["other", "fine"]]
    assert refused == {"message_weight": 1, "weight_zero": 1}


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


def test_a_report_has_a_line_for_each_conversation_with_what_was_refused_and_kept(truth, tmp_path):
    asked, said = say("user", "q"), say("assistant", "a")
    (tmp_path / "a.jsonl").write_text(
        "\n".join(
            [
                json.dumps({"messages": None}),
                json.dumps({"id": "good", "messages": [asked, said], "licence": "of some kind"}),
                json.dumps({"id": "bad", "messages": [asked, said], "other": [say("user", "hidden")]}),
                json.dumps({"id": "open", "messages": [asked], "remark": "some words"}),
                '{"messages": [',
            ]
        )
    )
    (tmp_path / "b.json").write_text('{"nothing": "known"}')
    counts = import_files(truth, [tmp_path], report=tmp_path / "report.txt")
    lines = [json.loads(line) for line in (tmp_path / "report.txt").read_text().splitlines()]
    assert [(line["file"], line["record"], line["conversation"], line["turns"]) for line in lines] == [
        ("a.jsonl", 1, "record 1", 0),
        ("a.jsonl", 2, "good", 1),
        ("a.jsonl", 3, "bad", 0),
        ("a.jsonl", 4, "open", 0),
        ("a.jsonl", 5, "line 5", 0),
        ("b.json", None, "b.json", 0),
    ]
    assert [[each["reason"] for each in line["refused"]] for line in lines] == [
        ["no list of messages"],
        [],
        ["messages that are not read"],
        ["words beside a history without an answer"],
        ["a line that was cut short at the end of the file"],
        ["a file of no known format"],
    ]
    assert lines[1]["kept"] == ["licence"]
    assert lines[2]["refused"][0]["place"] == "other[].content"
    assert (counts.turns, counts.forms, sum(counts.refused.values())) == (1, {"openai": 2}, 5)


def test_a_report_that_cannot_be_written_is_said_before_anything_is_read(tmp_path):
    with pytest.raises(UsageError, match="cannot be written"):
        import_files(None, [lines(tmp_path / "a.jsonl", [])], report=tmp_path / "no" / "report.jsonl")


def packed(path, line, times):
    """A file that unpacks to many equal lines, in each of the ways in which files are packed."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.jsonl", "w") as member:
            for _ in range(times):
                member.write(line)
        return path
    with (gzip.open if path.suffix == ".gz" else zstandard.open)(path, "wb") as file:
        for _ in range(times):
            file.write(line)
    return path


@pytest.mark.parametrize("name", ["a.zip", "a.jsonl.gz", "a.jsonl.zst"])
def test_a_file_that_unpacks_to_very_much_more_than_its_size_is_read_no_further(tmp_path, name):
    talk = {"messages": [say("user", "q" * 500_000), say("assistant", "a")]}
    bomb = packed(tmp_path / name, json.dumps(talk).encode() + b"\n", 80)
    assert bomb.stat().st_size < 80_000
    counts = import_files(None, [bomb])
    assert 0 < counts.conversations < 70
    assert [reason for reason in counts.refused if "200 times its size" in reason]


@pytest.mark.parametrize("name", ["a.zip", "a.jsonl.gz", "a.jsonl.zst"])
def test_a_small_file_may_be_packed_as_well_as_it_likes(tmp_path, name):
    talk = {"messages": [say("user", "q" * 500_000), say("assistant", "a")]}
    assert import_files(None, [packed(tmp_path / name, json.dumps(talk).encode() + b"\n", 9)]).conversations == 9


def test_a_zip_that_cannot_be_read_is_named_and_stops_no_other_file(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("a.jsonl", "{}")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("readme.txt", "no")
    lines(tmp_path / "c.jsonl", [say("user", "q"), say("assistant", "a")])
    counts = import_files(None, [tmp_path])
    assert counts.conversations == 1
    assert sorted(name for names in counts.refused_names.values() for name in names) == ["a.zip!a.jsonl", "b.zip"]
