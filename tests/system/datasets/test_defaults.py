"""Defaults of recipes: imports are included, poor outcomes are not, and every path is accounted for."""

from __future__ import annotations

import json

import pytest

from regraft.domain.datasets.reasons import explained
from regraft.flows.capture.importing import import_files
from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.datasets.preview import preview
from regraft.flows.evaluation import reading
from regraft.flows.evaluation.trajectories import materialise_units
from regraft.flows.lineage.build import build
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.pool import connect

RECIPE = 'name = "defaults"\nkind = "sft"\n'
# Reward of each captured conversation; None: no one said anything of it.
REWARDS = (None, 0.0, 0.25, 0.5, 0.75, 1.0)
SIDE = [{"role": "user", "content": "Generate a title for this chat."}]


@pytest.fixture
def log(truth, calls, tmp_path):
    """Six captured conversations with their rewards, a failed one, a side call, and three that were imported."""
    captured = []
    for number, reward in enumerate(REWARDS):
        call = calls([{"role": "user", "content": f"Question {number}?"}], f"Answer {number}.")
        captured.append(call)
        if reward is not None:
            said = json.dumps({"turn_id": str(call.event_id), "reward": reward}).encode()
            captured.append(calls(request=said, response=b"{}", circumstances={"endpoint": "/v1/feedback"}))
    captured.append(calls.failed([{"role": "user", "content": "Question of a broken server?"}]))
    captured.append(calls(SIDE, "Titles", who={"purpose": "side:title"}))
    with connect(truth, autocommit=True) as connection:
        ingest(connection, [encode_exchange(each) for each in captured], SeenIds())
    talks = [
        [{"from": "human", "value": f"Imported question {number}?"}, {"from": "gpt", "value": f"Imported {number}."}]
        for number in range(3)
    ]
    (tmp_path / "talks.json").write_text(json.dumps([{"id": f"t{n}", "conversations": t} for n, t in enumerate(talks)]))
    import_files(truth, [tmp_path / "talks.json"])
    build(truth)
    materialise_units(truth, tmp_path / "workbench.duckdb")
    return truth, tmp_path / "workbench.duckdb"


def previewed(log, more=""):
    dsn, workbench = log
    return preview(RECIPE + more, dsn=dsn, workbench=workbench, all_rows=True, show=50)


def questions(found):
    return sorted(row["messages"][0]["text"] for row in found.sample)


def test_imports_are_in_unless_they_are_left_out(log):
    assert [f"Imported question {number}?" for number in range(3)] == questions(previewed(log))[:3]
    without = previewed(log, '[source]\npurposes = ["chat"]\n')
    assert not any("Imported" in question for question in questions(without))
    assert without.passed_over["other_purpose"] == 3
    (line,) = explained(["other_purpose"])
    assert 'purposes = ["chat", "replay", "import"]' in line
    assert previewed(log).rows - without.rows == 3


def test_an_outcome_below_half_is_no_target_unless_it_is_asked_for(log):
    default = previewed(log)
    assert [each for each in questions(default) if each.startswith("Question")] == [
        f"Question {number}?" for number, reward in enumerate(REWARDS) if reward is None or reward >= 0.5
    ]
    assert default.refused["outcome_below_minimum"] == 2
    (line,) = explained(["outcome_below_minimum"])
    assert "min_outcome = 0.0" in line
    asked = previewed(log, "[source]\nmin_outcome = 0.0\n")
    assert asked.rows == default.rows + 2
    assert "outcome_below_minimum" not in asked.refused


@pytest.mark.parametrize(
    "more",
    ["", '[source]\npurposes = ["chat"]\n', "[source]\nmin_outcome = 0.9\n", '[source]\nmodels = ["other"]\n'],
    ids=["defaults", "chats", "good ones", "another model"],
)
def test_every_path_is_a_row_or_counted_with_a_reason_that_is_explained(log, more):
    found = previewed(log, more)
    paths = reading.units(log[1])
    assert len(paths) == len(REWARDS) + 1 + 1 + 3
    assert found.rows + sum(found.refused.values()) + sum(found.passed_over.values()) == len(paths)
    counted = {**found.refused, **found.passed_over}
    assert len(explained(counted)) == len(counted)
