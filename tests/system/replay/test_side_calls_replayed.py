"""Calls that a client makes for itself (a title, tags) are not replayed, and counted, unless they are asked for."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import UUID

import pytest
from starlette.testclient import TestClient

from regraft.domain.replay.experiment import Experiment, Query
from regraft.domain.replay.job import Variant
from regraft.flows.replay.plans import prepare, prepare_experiment, resume, save
from regraft.infra.files.experiments import parse_experiment
from regraft.infra.postgres.pool import connect
from regraft.presentation.cli.main import main
from regraft.presentation.web.app import make_app
from support.captured_graph import CapturedGraph
from support.messages import user

TITLE = "Please write a 5-10 word title: bread?"
CLAUDE = {"client_headers": json.dumps({"x-claude-code-session-id": "s-1"}), "theme": "kitchen"}


@pytest.fixture
def graph(truth):
    with connect(truth, autocommit=True) as connection:
        yield CapturedGraph(truth, connection)


@pytest.fixture
def nodes(graph, calls):
    """The nodes of a title, a question, another title and another question, in this order."""
    made = [
        calls([user(TITLE)], "Bread", who=CLAUDE),
        calls([user("bread?")], "Mix and bake.", who=CLAUDE),
        calls([user(f"{TITLE} again")], "More bread", who=CLAUDE),
        calls([user("cake?")], "Mix and bake longer.", who=CLAUDE),
    ]
    graph.take(*made)
    return [graph.node(each)["node_id"] for each in made]


def grown(planned):
    return [job.origin.node_id for job in planned.jobs]


def test_a_side_call_is_refused_and_counted(truth, nodes):
    planned = prepare(truth, nodes, [Variant(), Variant(model="n")], 3)
    assert set(grown(planned)) == {nodes[1], nodes[3]}
    assert planned.refused == {"side_call": 2}
    alone = prepare(truth, nodes[:1], [Variant()])
    assert (alone.jobs, alone.refused) == ([], {"side_call": 1})


def test_a_side_call_is_replayed_when_that_is_asked_for(truth, nodes):
    planned = prepare(truth, nodes, [Variant()], side_calls=True)
    assert (grown(planned), planned.refused) == (nodes, {})
    asked = parse_experiment(
        f'[experiment]\nside_calls = true\n[nodes]\nids = ["{nodes[0]}"]\n', "e.toml", lambda name: ""
    )
    assert grown(prepare_experiment(truth, asked)) == nodes[:1]


def test_a_limit_counts_the_nodes_that_are_replayed(truth, nodes):
    def found(limit, *, side_calls=False):
        asked = Experiment(query=Query(themes=("kitchen",), limit=limit), side_calls=side_calls)
        return prepare_experiment(truth, asked)

    assert grown(found(1)) == nodes[1:2]
    assert grown(found(2)) == [nodes[1], nodes[3]]
    assert found(2).refused == {"side_call": 2}
    assert grown(found(2, side_calls=True)) == nodes[:2]
    assert grown(found(None)) == [nodes[1], nodes[3]]


def test_a_replay_of_a_side_call_is_one_too(truth, graph, nodes, calls):
    again = calls([user(TITLE)], "Loaf", who={**CLAUDE, "replay_node": str(nodes[0]), "purpose": "replay"})
    graph.take(again)
    (row,) = graph.ask("SELECT node_id, purpose FROM session_turn WHERE event_id = %(id)s", id=again.event_id)
    assert row["purpose"] == "replay"
    assert prepare(truth, [row["node_id"]], [Variant()]).refused == {"side_call": 1}
    assert len(prepare(truth, [row["node_id"]], [Variant()], side_calls=True).jobs) == 1


def test_a_stored_plan_keeps_what_was_refused(truth, nodes):
    planned = prepare(truth, nodes, [Variant()])
    plan = save(truth, planned)
    assert resume(truth, plan).refused == {"side_call": 2}
    with TestClient(make_app(truth)) as client:
        shown = client.get(f"/api/replays/{plan}").json()
    assert (shown["refused"], shown["jobs"]) == ({"side_call": 2}, 2)
    wider = save(truth, prepare(truth, nodes, [Variant()], side_calls=True))
    assert wider != plan
    assert resume(truth, wider).refused == {}
    assert len(resume(truth, wider).jobs) == 4


def test_the_command_names_the_reason_and_the_way(
    truth: str, nodes: list[UUID], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "regraft.toml"
    config.write_text(f'data_dir = "{tmp_path}/data"\npostgres.dsn = "{truth}"\n')

    def replay(*words: str) -> str:
        monkeypatch.setattr("sys.argv", ["regraft", "--config", str(config), "replay", *words])
        with pytest.raises(SystemExit) as left:
            main()
        shown = capsys.readouterr()
        assert not left.value.code, shown.err
        return shown.out

    ids = [str(node) for node in nodes]
    told = " ".join(replay(*ids, "--dry-run").split())
    assert "side_call" in told
    assert "--side-calls" in told
    assert "2 jobs would run" in told
    assert json.loads(replay(*ids, "--dry-run", "--json"))["refused"] == {"side_call": 2}
    assert json.loads(replay(*ids, "--dry-run", "--json", "--side-calls"))["refused"] == {}
    assert json.loads(replay(*ids, "--store", "--json"))["refused"] == {"side_call": 2}
