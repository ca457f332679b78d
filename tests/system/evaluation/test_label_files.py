"""`regraft import` of labels: lines find their answers by node, turn or key, and decide pairs."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from regraft.domain.evaluation.label_lines import LabelDefaults
from regraft.flows.capture.importing import import_files
from regraft.flows.evaluation.label_files import import_labels, is_label_file
from regraft.flows.evaluation.pairs import propose_pairs
from regraft.infra.duckdb.evaluation.workbench import Workbench
from regraft.infra.postgres.pool import transaction
from regraft.presentation.cli.main import app

BY = LabelDefaults(source="study", annotator="ann")


@pytest.fixture
def answers(truth: str, tmp_path: Path) -> dict[str, dict[str, Any]]:
    """Three imported answers to one question, by their text; and a conversation of two turns."""
    question = {"role": "user", "content": "Q?"}
    lines = [
        {"id": f"set/{name}", "source": "set", "messages": [question, {"role": "assistant", "content": name}]}
        for name in ("one", "two", "three")
    ]
    more = [{"role": "user", "content": "And?"}, {"role": "assistant", "content": "four"}]
    lines.append({"id": "set/long", "source": "set", "messages": [*lines[0]["messages"], *more]})
    file = tmp_path / "set.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    import_files(truth, [file])
    with transaction(truth) as connection:
        rows = connection.execute(
            "SELECT t.turn_id, t.node_id, message_text(m.body) AS words FROM session_turn t "
            "JOIN message m ON m.message_id = t.answer_id ORDER BY t.started_at, t.turn_id"
        ).fetchall()
    return {row["words"]: row for row in rows}


def labels(path: Path, *lines: dict[str, Any]) -> Path:
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, sorted({key for line in lines for key in line}))
            writer.writeheader()
            writer.writerows(lines)
    else:
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def decided(dsn: str, bench: Path, answers: dict[str, dict[str, Any]]) -> dict[frozenset[str], tuple[str, str | None]]:
    propose_pairs(dsn, bench)
    words = {row["node_id"]: said for said, row in answers.items()}
    return {
        frozenset((words[pair["node_a"]], words[pair["node_b"]])): (
            pair["reason"] or pair["source"],
            words.get(pair["chosen"]),
        )
        for pair in Workbench(bench).pairs()
    }


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_labels_by_node_turn_and_key_decide_pairs(truth, answers, tmp_path, form) -> None:
    bench = tmp_path / "workbench.duckdb"
    file = labels(
        tmp_path / f"labels.{form}",
        {"key_a": "set/one", "key_b": "set/two", "preference": "b"},
        {"key_a": "set/three", "key_b": "set/two", "preference": "tie"},
    )
    assert is_label_file(file)
    counts = import_labels(truth, [file], scope="default", defaults=BY)
    assert (counts.judgements, counts.refused) == (4, {})
    expected = {
        frozenset(("one", "two")): ("imported", "two"),
        frozenset(("two", "three")): ("judged_equal", None),
        frozenset(("one", "three")): ("no_preference", None),
    }
    assert decided(truth, bench, answers) == expected
    assert import_labels(truth, [file], scope="default", defaults=BY).judgements == 0
    node, turn = str(answers["one"]["node_id"]), str(answers["three"]["turn_id"])
    rated = labels(tmp_path / f"rated.{form}", {"node": node, "rating": 2}, {"turn": turn, "rating": 5})
    assert import_labels(truth, [rated], scope="default", defaults=BY).judgements == 2
    assert decided(truth, bench, answers)[frozenset(("one", "three"))] == ("imported", "three")


def test_a_later_label_of_one_annotator_supersedes_and_another_annotators_does_not(truth, answers, tmp_path) -> None:
    bench, pair = tmp_path / "workbench.duckdb", {"key_a": "set/one", "key_b": "set/two"}
    for number, (who, word, outcome) in enumerate(
        [("ann", "a", "one"), ("ann", "b", "two"), ("bob", "a", None), ("cat", "a", "one")]
    ):
        file = labels(tmp_path / f"{number}.jsonl", {**pair, "preference": word, "annotator": who})
        import_labels(truth, [file], scope="default", defaults=BY)
        assert decided(truth, bench, answers)[frozenset(("one", "two"))][1] == outcome
    with transaction(truth) as connection:
        rows = connection.execute("SELECT superseded, annotator FROM judgements").fetchall()
    assert sorted((row["annotator"], row["superseded"]) for row in rows) == [
        *[("ann", False), ("ann", False), ("ann", True), ("ann", True)],
        *[("bob", False), ("bob", False), ("cat", False), ("cat", False)],
    ]


def test_what_is_refused_is_counted_and_reported_with_its_line(truth, answers, tmp_path) -> None:
    node = answers["one"]["node_id"]
    file = labels(
        tmp_path / "labels.jsonl",
        {"key": "set/long", "label": True},
        {"key": "nobody", "label": True},
        {"node": "00000000-0000-0000-0000-000000000001", "label": True},
        {"key": "nul\x00", "label": True},
        {"node": str(node), "label": "maybe"},
        {"node_a": str(node), "key_b": "set/one", "preference": "a"},
    )
    report = tmp_path / "report.jsonl"
    counts = import_labels(truth, [file], scope="default", defaults=BY, report=report)
    assert counts.judgements == 1
    assert counts.refused == {
        "no answer with this key": 2,
        "no answer with this node": 1,
        "a label that is neither true nor false": 1,
        "a preference between an answer and itself": 1,
    }
    told = {line["record"]: line["refused"][0]["reason"] for line in map(json.loads, report.read_text().splitlines())}
    assert told[2] == "no answer with this key"
    assert set(told) == {2, 3, 4, 5, 6}
    with transaction(truth) as connection:
        row = connection.execute("SELECT turn_id FROM feedback").fetchone()
    assert row == {"turn_id": answers["four"]["turn_id"]}  # the last answer of the conversation
    elsewhere = labels(tmp_path / "other.jsonl", {"node": str(node), "label": True})
    assert import_labels(truth, [elsewhere], scope="other", defaults=BY).refused == {"no answer with this node": 1}


def test_the_command_imports_labels_and_says_what_it_refused(truth, answers, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("REGRAFT_POSTGRES__DSN", truth)
    monkeypatch.setenv("REGRAFT_DATA_DIR", str(tmp_path / "data"))
    file = labels(tmp_path / "labels.csv", {"key": "one", "label": "yes"}, {"key": "gone", "label": "no"})
    run = CliRunner().invoke(app, ["import", str(file), "--source", "study", "--key-prefix", "set/"])
    assert run.exit_code == 0, run.output
    assert "1 judgement added" in run.output
    assert "refused 1 x no answer with this key: labels.csv line 2" in " ".join(run.output.split())
    with transaction(truth) as connection:
        row = connection.execute("SELECT name, value, source, imported FROM feedback").fetchone()
    assert row == {"name": "label", "value": 1.0, "source": "study", "imported": True}
    shown = CliRunner().invoke(app, ["show", str(answers["one"]["node_id"])])
    assert "judged label 1 by study" in shown.output
    judges = CliRunner().invoke(app, ["evaluate", "judges", "--json"])
    assert [(each["source"], each["name"], each["judgements"]) for each in json.loads(judges.output)] == [
        ("study", "label", 1)
    ]


@pytest.mark.corpus
def test_reviews_by_a_model_decide_as_a_models_word(truth, tmp_path, recorded_corpus) -> None:
    bench = tmp_path / "workbench.duckdb"
    reviews = recorded_corpus / "vicuna-bench"
    import_files(truth, [reviews / "conversations.jsonl.zst"])
    defaults = LabelDefaults(source="vicuna-bench", annotator="gpt-4", key_prefix="vicuna-bench/")
    counts = import_labels(truth, [reviews / "judgments.jsonl.zst"], scope="default", defaults=defaults)
    assert counts.judgements + 2 * sum(counts.refused.values()) == 2 * 520
    propose_pairs(truth, bench)
    found = [pair for pair in Workbench(bench).pairs() if pair["verdict"] == "legal"]
    assert found
    assert {(pair["source"], pair["given_by"], pair["decided_by"]) for pair in found} == {
        ("imported", "model", "vicuna-bench: gpt-4")
    }
