"""Judges over the web API: figures, disagreements and votes, each tenant its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from regraft.flows.evaluation.calibration import calibrate
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
