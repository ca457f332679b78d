"""Judges over the web API: figures, disagreements and votes, each tenant its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from regraft.flows.access import AccessControl
from regraft.flows.evaluation.calibration import calibrate
from regraft.flows.evaluation.judging import judge_versions
from regraft.infra.duckdb.evaluation.calibration import CalibrationTable
from regraft.presentation.web.app import make_app
from support.planted import PAIRS, Planted


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    return tmp_path / "workbench.duckdb"


def test_the_api_shows_figures_disagreements_and_votes(truth: str, bench: Path, tmp_path: Path) -> None:
    planted = Planted(truth, bench, tmp_path)
    planted.pairs(60, longer=0.5)
    planted.vote(PAIRS, planted.judged(), lambda pair, first: planted.longer(pair))
    calibrate(truth, bench)
    with TestClient(make_app(truth, workbench=bench), base_url="http://127.0.0.1") as client:
        (shown,) = client.get("/api/judges").json()["judges"]
        assert (shown["judge"], shown["items"], shown["longer_share"], shown["flips"]) == ("careful", 60, 1.0, 0.0)
        assert shown["status"] == "uncalibrated: agreement below 0.6"
        assert client.get("/api/judges?judge=other").json() == {"judges": []}
        found = client.get("/api/judges/disagreements?limit=200").json()["disagreements"]
        wrong = [pair for pair in planted.judged() if planted.longer(pair) != planted.people(pair)]
        assert {row["node_id"] for row in found} == {str(pair["node_a"]) for pair in wrong}
        (pair,) = planted.judged()[:1]
        votes = client.get(f"/api/nodes/{pair['node_a']}/votes").json()["votes"]
        assert [(vote["shown_first"], vote["value"]) for vote in votes] == [
            (side, {"preference": planted.longer(pair)}) for side in "ab"
        ]
        assert client.get("/api/nodes/00000000-0000-7000-8000-000000000000/votes").status_code == 404


def test_the_api_shows_what_judges_were_asked_and_where_they_differ(truth: str, bench: Path, tmp_path: Path) -> None:
    planted = Planted(truth, bench, tmp_path)
    planted.pairs(10, longer=0.5, people=False)
    other = replace(PAIRS, name="hasty")
    planted.vote(PAIRS, planted.judged(), lambda pair, first: planted.people(pair))
    planted.vote(other, planted.judged(), lambda pair, first: planted.other(planted.people(pair)))
    app = make_app(truth, access=AccessControl("a-long-secret"), workbench=bench)
    admin = {"Authorization": "Bearer a-long-secret"}
    with TestClient(app, base_url="http://127.0.0.1", headers=admin) as client:
        assert client.get("/api/judges").json() == {"judges": []}  # people judged nothing, and no one compared
        versions = client.get("/api/judges/versions").json()["versions"]
        assert [(each["judge"], each["votes"], each["items"]) for each in versions] == [
            ("careful", 20, 10),
            ("hasty", 20, 10),
        ]
        assert versions[0]["definition"]["rubric"] == PAIRS.rubric
        assert client.get("/api/judges/contrasts").json() == {"contrasts": []}
        assert client.post("/api/judges/calibrate").json() == {"calibrated": True}
        (contrast,) = client.get("/api/judges/contrasts").json()["contrasts"]
        assert (contrast["judge"], contrast["other"], contrast["items"], contrast["same"]) == (
            "careful",
            "hasty",
            10,
            0.0,
        )
    alone = CalibrationTable(bench).contrasts("default")
    assert [(each.scope, each.items) for each in alone] == [("default", 10)]
    assert CalibrationTable(bench).contrasts("nobody") == []
    assert judge_versions(truth, "nobody") == []
