"""``regraft clusters`` and the routes of the web API: clusters are listed, shown, named, fitted again and mapped."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest
from click.testing import Result
from starlette.testclient import TestClient
from typer.testing import CliRunner

from regraft.flows.access import AccessControl
from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.evaluation import cluster_reading as reading
from regraft.flows.lineage import build as lineage
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.pool import connect
from regraft.presentation.cli.main import app
from regraft.presentation.web.app import make_app
from support.topics import ODD, TOPICS, talks


class Commands:
    """Gives commands in their own folder."""

    def __init__(self, dsn: str, folder: Any) -> None:
        self.workbench = folder / "data" / "workbench.duckdb"
        self.variables = {
            "REGRAFT_POSTGRES__DSN": dsn,
            "REGRAFT_DATA_DIR": str(folder / "data"),
            "REGRAFT_EMBEDDING__MODEL": "static",
            "REGRAFT_CLUSTERS__MIN_SIZE": "4",
        }

    def give(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, ["clusters", *arguments], env=self.variables)

    def told(self, *arguments: str) -> Any:
        done = self.give(*arguments, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)


@pytest.fixture
def commands(truth, calls, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = [one for topic in TOPICS for one in talks(topic)] + list(ODD)
    with connect(truth, autocommit=True) as connection:
        records = [
            encode_exchange(
                calls([{"role": "user", "content": asked}], answer, circumstances={"scope": "one" if at % 2 else "two"})
            )
            for at, (asked, answer) in enumerate(said)
        ]
        ingest(connection, records, SeenIds())
    lineage.build(truth)
    return Commands(truth, tmp_path)


def test_clusters_are_listed_shown_and_named(commands):
    listed = commands.told("list")
    assert (listed["clusters"], listed["units"], listed["fitted"]) == (3, 51, True)
    assert {row["units"] for row in listed["items"]} <= {15, 16, 17}
    weather = next(row for row in listed["items"] if "rain" in row["words"])
    shown = commands.told("show", weather["cluster_id"][:8], "-n", "3")
    assert shown["summary"]["prototypes"][:3] == [member["unit_id"] for member in shown["members"]]
    assert commands.give("rename", weather["name"], "Wind and rain", "--reviewer", "ann").exit_code == 0
    text = commands.give("show", "Wind and rain").output
    assert "Wind and rain" in text
    assert "by ann (human)" in text
    assert "Wind and rain" in commands.give("list").output


def test_a_new_fit_of_the_same_paths_is_the_same(commands):
    first = commands.told("list")
    assert "nothing changed" in commands.give("refit").output
    assert commands.told("refit")["cluster_run_id"] == first["cluster_run_id"]


def test_the_map_is_drawn_with_a_legend(commands):
    points = commands.told("map")["points"]
    assert len(points) == 51
    drawn = commands.give("map").output
    assert "Trustworthiness" in drawn
    assert all(f"\n{letter}  " in drawn for letter in "abc")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("show", "nothing of that name"), 3, "No clusters are called"),
        (("list", "--layer", "50"), 3, "There is no layer 50"),
        (("rename", "nothing of that name", "x"), 3, "No clusters are called"),
    ],
)
def test_what_is_not_there_is_said(commands, arguments, code, message):
    failed = commands.give(*arguments)
    assert failed.exception.exit_code == code
    assert message in str(failed.exception)


def test_a_name_must_say_something(commands):
    name = commands.told("list")["items"][0]["name"]
    assert "printable" in str(commands.give("rename", name, "  ").exception)


def test_the_web_api_counts_for_a_tenant_what_is_its_own(commands, truth):
    commands.told("list")
    with TestClient(make_app(truth, workbench=commands.workbench)) as client:
        shown = client.get("/api/clusters").json()
        assert (shown["run"]["units"], len(shown["clusters"])) == (51, 3)
        page = client.get("/api/clusters/map?limit=30").json()
        rest = client.get(f"/api/clusters/map?limit=30&after={page['next']}").json()
        assert (len(page["points"]), len(rest["points"]), rest["next"]) == (30, 21, None)
        assert client.get("/api/clusters?layer=99").status_code == 404
        assert client.get("/api/clusters/map?limit=0").status_code == 400
    with connect(truth, autocommit=True) as connection:
        own = reading.own_sessions(connection, "one")
    part = reading.cluster_page(commands.workbench, None, own)
    assert part.run["units"] == 25
    assert sum(row["units"] for row in part.clusters) + part.run["without"] == 25
    assert {(row["name"], tuple(row["words"])) for row in part.clusters} == {("", ())}
    mine = {str(row["session_id"]) for row in reading.points(commands.workbench, sessions=own)}
    assert mine <= set(own)
    assert reading.cluster_page(commands.workbench, None, []).run is None


def test_the_map_comes_in_columns(commands, truth):
    listed = commands.told("list")["items"]
    with TestClient(make_app(truth, workbench=commands.workbench)) as client:
        assert client.get("/api/clusters/columns?layer=99").status_code == 404
        shown = client.get("/api/clusters/columns").json()["map"]
        ids = client.get("/api/clusters/ids").json()["ids"]
        points = {one["unit_id"]: one for one in client.get("/api/clusters/map").json()["points"]}
    assert (shown["points"], len(ids["units"]), len(ids["sessions"])) == (51, 51, 51)
    columns = {
        name: [one[0] for one in struct.iter_unpack(form, base64.b64decode(shown[name]))]
        for name, form in (
            ("x", "<h"),
            ("y", "<h"),
            ("cluster", "<H"),
            ("theme", "<H"),
            ("outcome", "B"),
            ("quality", "B"),
        )
    }
    assert {len(values) for values in columns.values()} == {51}
    for at, unit in enumerate(ids["units"]):
        point = points[unit]
        assert ids["sessions"][at] == point["session_id"]
        assert columns["x"][at] == pytest.approx(point["x"] * 32767, abs=1)
        assert columns["y"][at] == pytest.approx(point["y"] * 32767, abs=1)
        assert shown["clusters"][columns["cluster"][at]] == (point["cluster_id"] or "")
        assert shown["themes"][columns["theme"][at]] == point["theme"]
        assert columns["quality"][at] == pytest.approx(point["quality"] * 254, abs=1)
        assert (columns["outcome"][at] == 255) == (point["outcome"] is None)
    assert set(shown["clusters"]) - {""} == {row["cluster_id"] for row in listed}


def test_before_the_first_fit_there_is_no_map(commands, truth):
    with TestClient(make_app(truth, workbench=commands.workbench)) as client:
        assert client.get("/api/clusters/columns").json() == {"map": None}
        assert client.get("/api/clusters/ids").json() == {"ids": None}
        assert client.get("/api/clusters/abcdef").status_code == 404


def test_a_cluster_is_shown_with_its_texts_its_neighbours_and_its_paths(commands, truth):
    listed = commands.told("list")["items"]
    weather = next(row for row in listed if "rain" in row["words"])
    with TestClient(make_app(truth, workbench=commands.workbench)) as client:
        shown = client.get(f"/api/clusters/{weather['cluster_id'][:8]}").json()
        assert shown["cluster"]["units"] == weather["units"]
        assert [one["unit_id"] for one in shown["typical"]] == weather["prototypes"]
        asked = {question for question, _ in talks("weather")} if "weather" in TOPICS else None
        assert all(one["asked"] and one["answer_text"] for one in shown["typical"])
        assert asked is None or {one["asked"] for one in shown["typical"]} <= asked
        assert {one["cluster_id"] for one in shown["nearest"]} == {row["cluster_id"] for row in listed} - {
            weather["cluster_id"]
        }
        assert [one["similarity"] for one in shown["nearest"]] == sorted(
            (one["similarity"] for one in shown["nearest"]), reverse=True
        )
        walked, start = [], 0
        while start is not None:
            page = client.get(f"/api/clusters/{weather['cluster_id']}/units?limit=5&start={start}").json()
            walked += [one["unit_id"] for one in page["units"]]
            start = page["next"]
        assert len(walked) == len(set(walked)) == weather["units"]
        worst = client.get(f"/api/clusters/{weather['cluster_id']}/units?worst=true").json()["units"]
        assert sorted(one["unit_id"] for one in worst) == sorted(walked)
        assert [one["quality"] for one in worst] == sorted(one["quality"] for one in worst)
        assert client.get("/api/clusters/nothing").status_code == 404


def test_an_admin_names_a_cluster_by_the_api(commands, truth):
    first = commands.told("list")["items"][0]
    admin = {"Authorization": "Bearer a-long-secret"}
    path = f"/api/clusters/{first['cluster_id']}/name"
    with TestClient(make_app(truth, access=AccessControl("a-long-secret"), workbench=commands.workbench)) as client:
        assert client.post(path, json={"name": "x"}).status_code == 401
        assert client.post(path, json={"name": " "}, headers=admin).status_code == 400
        assert client.post(path, json={"name": "Lost  cards"}, headers=admin).json()["name"] == "Lost cards"
        shown = client.get(f"/api/clusters/{first['cluster_id']}", headers=admin).json()
    assert (shown["cluster"]["name"], shown["cluster"]["name_source"]) == ("Lost cards", "human")
    with TestClient(make_app(truth, workbench=commands.workbench)) as client:
        assert client.post(path, json={"name": "x"}).status_code == 403
