"""Comparing on a real database: every answer under an anchor, in a table, as JSON, CSV and Markdown, and over HTTP."""

from __future__ import annotations

import csv
import io
import json

import pytest
from rich.console import Console
from starlette.testclient import TestClient

from regraft.domain.errors import NotFoundError
from regraft.domain.replay.budget import Price
from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.lineage import build as lineage
from regraft.flows.replay import comparison as comparing
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.pool import connect, transaction
from regraft.presentation.cli.context import CommandContext
from regraft.presentation.cli.replay.compare import print_comparison
from regraft.presentation.web import app as web
from support.regraft_command import clean_environment, regraft_command

HI = [{"role": "user", "content": "hi"}]


@pytest.fixture
def anchor(truth, calls):
    """An original, and four samples of a hotter variant: two equal, another, one that failed; and a reward."""
    first = calls(HI, "yes | no", temperature=0.5)
    with connect(truth, autocommit=True) as connection:
        ingest(connection, [encode_exchange(first)], SeenIds())
        lineage.build(truth)
        node = connection.execute("SELECT node_id FROM session_turn").fetchone()["node_id"]
        who = {"replay_node": str(node), "purpose": "replay", "variant": '{"sampling":{"temperature":1}}'}
        rest = [calls(HI, text, who=who, temperature=1, seed=n) for n, text in enumerate(["no", "no", "maybe"])]
        rest.append(calls.failed(HI, who=who, temperature=1, seed=9))
        reward = calls(
            request=json.dumps({"turn_id": str(rest[0].event_id), "name": "reward", "value": 0.5}).encode(),
            response=b"{}",
            circumstances={"endpoint": "/v1/feedback"},
        )
        ingest(connection, [encode_exchange(each) for each in [*rest, reward]], SeenIds())
        lineage.build(truth)
    return node


def compare(dsn, node, prices=None):
    with transaction(dsn) as connection:
        return comparing.compare(connection, node, prices)


def test_all_answers_under_the_anchor_stand_in_variants_with_their_distribution(truth, anchor):
    found = compare(truth, anchor, {"m": Price(prompt=1.0, completion=2.0)})
    assert [row["words"] for row in found["alternatives"]] == ["as it was asked", *["temperature 1"] * 4]
    assert [row["head"] for row in found["alternatives"]] == ["yes | no", "no", "no", "maybe", ""]
    assert found["alternatives"][1]["reward"] == 0.5
    assert found["alternatives"][1]["cost"] == pytest.approx((5 + 2 * 3) / 1e6)
    assert found["alternatives"][4]["cost"] is None
    original, hotter = found["variants"]
    assert (original["samples"], hotter["samples"], hotter["distinct"]) == (1, 4, 2)
    assert hotter["agreement"] == pytest.approx(2 / 3)
    assert (hotter["errors"], hotter["reward"], hotter["rewarded"]) == (0.25, 0.5, 1)


def test_every_node_of_the_anchor_gives_the_same_comparison(truth, anchor):
    found = compare(truth, anchor)
    for row in found["alternatives"]:
        assert {**compare(truth, row["node_id"]), "node_id": anchor} == found


def test_a_root_and_an_unknown_node_have_nothing_to_compare(truth, anchor):
    with connect(truth) as connection:
        root = connection.execute("SELECT node_id FROM conversation_branch_nodes WHERE depth = 0").fetchone()
    with pytest.raises(NotFoundError):
        compare(truth, root["node_id"])


def test_two_ways_part_where_their_messages_first_differ(truth, anchor):
    found = compare(truth, anchor)["alternatives"]
    with transaction(truth) as connection:
        parted = comparing.part(connection, found[0]["node_id"], found[1]["node_id"])
        same = comparing.part(connection, found[0]["node_id"], found[0]["node_id"])
    assert parted["divergence"] == {"turn": 1, "step": 0, "kind": "answer", "before": "yes | no", "after": "no"}
    assert (parted["common_depth"], parted["a_next"]) == (0, found[0]["node_id"])
    assert same["divergence"] is None
    assert same["a_next"] is None


def test_the_web_api_tells_the_same(truth, anchor):
    with TestClient(web.make_app(truth)) as client:
        told = client.get(f"/api/compare/{anchor}")
        assert told.status_code == 200
        assert client.get("/api/compare/0123456789ab").status_code == 404
    found = compare(truth, anchor)
    assert [row["agreement"] for row in told.json()["variants"]] == [row["agreement"] for row in found["variants"]]
    assert told.json()["alternatives"][1]["answer"] == {"role": "assistant", "content": "no"}


def test_the_command_prints_a_table_json_csv_and_markdown(truth, anchor, tmp_path):
    environment = clean_environment(REGRAFT_DATA_DIR=str(tmp_path / "data"), REGRAFT_POSTGRES__DSN=truth)

    def run(*arguments):
        done = regraft_command("compare", str(anchor), *arguments, cwd=tmp_path, environment=environment)
        assert "Traceback" not in done.stderr
        return done

    assert "temperature 1" in run().stdout
    assert len(json.loads(run("--json").stdout)["alternatives"]) == 5
    rows = list(csv.reader(io.StringIO(run("--csv", "-").stdout)))
    assert tuple(rows[0]) == comparing.WHOLE
    assert rows[1][-1] == "yes | no"
    assert run("--csv", "out.csv").returncode == 0
    assert (tmp_path / "out.csv").read_text("utf-8").count("temperature 1") == 4
    assert "yes \\| no" in run("--markdown").stdout
    assert run("--markdown", "--json").returncode == 2
    assert "same" in run(str(anchor)).stdout


def test_a_csv_has_whole_answers(truth, calls):
    long = "a line\nand more " * 100
    asked = [{"role": "user", "content": "tell me all"}]
    called = {"tool_calls": [{"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}]}
    with connect(truth, autocommit=True) as connection:
        made = [calls(asked, long), calls(asked, {"role": "assistant", "content": None, **called})]
        ingest(connection, [encode_exchange(each) for each in made], SeenIds())
        lineage.build(truth)
        node = connection.execute("SELECT node_id FROM conversation_branch_nodes WHERE depth = 1 LIMIT 1").fetchone()
    first, second = comparing.as_whole_rows(compare(truth, node["node_id"]))
    assert first[-1] == long
    assert json.loads(second[-1]) == called["tool_calls"]


def test_a_table_of_many_answers_is_cut_and_says_how_many_more_there_are(truth, anchor, capsys):
    run = CommandContext(console=Console(width=200))
    print_comparison(run, comparing.compare(truth, anchor), limit=2)
    printed = capsys.readouterr().out
    assert "and 3 more: -n 0 shows them" in printed
    print_comparison(run, comparing.compare(truth, anchor), limit=0)
    assert "more:" not in capsys.readouterr().out
