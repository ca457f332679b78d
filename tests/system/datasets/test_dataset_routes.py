"""Datasets over the web API: from a recipe to rows and back to their nodes, on a real PostgreSQL and warehouse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from threading import Event
from typing import cast
from uuid import uuid4
from zipfile import ZipFile

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from regraft.flows.datasets.preview import preview
from regraft.flows.datasets.service import DatasetSetup
from regraft.flows.evaluation.review import rate_unit
from regraft.infra.postgres.pool import transaction
from regraft.presentation.web.app import make_app
from support.dataset_client import DatasetClient
from support.small_graph import SmallGraph, Turn, every_kind
from support.waiting import until
from support.web_grants import NamedGrants

SOURCE = '[source]\nlabels = ["human", "signals"]\n'
SFT = f'name = "good"\nkind = "sft"\n{SOURCE}'
DPO = f'name = "better"\nkind = "dpo"\n[select]\nper_context = 0\n{SOURCE}'


@pytest.fixture
def turns(truth: str) -> dict[str, Turn]:
    with transaction(truth) as connection:
        return every_kind(SmallGraph(connection))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "recipes"


@pytest.fixture
def client(truth: str, tmp_path: Path, folder: Path) -> Iterator[TestClient]:
    setup = DatasetSetup(warehouse=str(tmp_path / "warehouse"), recipes=folder)
    made = make_app(truth, access=NamedGrants(), workbench=tmp_path / "workbench.duckdb", datasets=setup)
    with TestClient(made, raise_server_exceptions=False) as opened:
        yield opened


@pytest.fixture
def admin(client: TestClient) -> DatasetClient:
    return DatasetClient(client, "admin")


@pytest.fixture
def viewer(client: TestClient) -> DatasetClient:
    return DatasetClient(client, "viewer")


def test_a_preview_says_what_the_command_says_and_names_nodes(
    truth: str, turns: dict[str, Turn], admin: DatasetClient, tmp_path: Path
) -> None:
    job = admin.finished("/api/recipes/preview", {"text": SFT})
    found = job["preview"]
    said = preview(SFT, dsn=truth, workbench=tmp_path / "again.duckdb")
    assert (found["rows"], found["splits"], found["refused"]) == (said.rows, said.splits, said.refused)
    assert found["rows"] > 1
    assert found["tokens"]["tokenizer"] == "o200k"
    assert found["tokens"]["sum"] >= found["tokens"]["max"] > 0
    assert set(found["examples"]) == set(found["refused"])
    nodes = {str(turn.node_id) for turn in turns.values()}
    for examples in found["examples"].values():
        assert {source["node_id"] for one in examples for source in one["sources"]} <= nodes
        assert all(one["sources"] for one in examples)
    assert set(found["reasons"]) >= set(found["refused"])
    assert all(row["split"] in found["splits"] and row["sources"] for row in found["sample"])


def test_a_new_preview_of_a_page_takes_the_place_of_the_last(
    client: TestClient, admin: DatasetClient, turns: dict[str, Turn]
) -> None:
    release = Event()
    background = cast(FastAPI, client.app).state.background
    for _ in range(3):  # every worker is at something else, so that previews wait
        background.start("hold", lambda work: release.wait(60))
    until(lambda: all(job.state == "running" for job in background.jobs("hold")))
    first, second = (admin.send("/api/recipes/preview", {"text": SFT, "page": "p"})["job_id"] for _ in range(2))
    other = admin.send("/api/recipes/preview", {"text": SFT, "page": "q"})["job_id"]
    release.set()
    assert [admin.over(job)["state"] for job in (first, second, other)] == ["cancelled", "done", "done"]


def test_a_row_is_followed_to_its_node_and_back(
    truth: str, turns: dict[str, Turn], admin: DatasetClient, viewer: DatasetClient
) -> None:
    rated = turns["retry"].node_id
    rate_unit(truth, rated, 5, "ann", note="short and right")
    snapshot = admin.frozen(SFT)
    page = viewer.get(f"/api/snapshots/{snapshot}/rows")
    assert page["next"] is None
    assert page["of"] == len(page["rows"]) == viewer.get(f"/api/snapshots/{snapshot}")["holds"]["rows"]
    (row,) = viewer.get(f"/api/snapshots/{snapshot}/rows", text=str(rated)[:13])["rows"]
    shown = admin.get(f"/api/snapshots/{snapshot}/rows/{row['row_id']}")
    assert shown["sources"][0]["node_id"] == str(rated)
    assert {one["part"] for one in shown["nodes"]} <= {"answer", "history"}
    assert shown["parts"][0]["messages"][-1]["effect"] == "learn"
    assert shown["parts"][0]["messages"][0]["effect"] == ""
    (rating,) = [one for one in shown["judgements"] if one["kind"] == "rating"]
    assert (rating["value"], rating["decided_by"], rating["note"]) == (5.0, "ann", "short and right")
    assert {one["name"]: one["value"] for one in shown["figures"]}["decided by"] == "ratings"
    hidden = viewer.get(f"/api/snapshots/{snapshot}/rows/{row['row_id']}")["judgements"]
    assert [(one["decided_by"], one["note"]) for one in hidden if one["kind"] == "rating"] == [("", "")]
    node = viewer.get(f"/api/nodes/{rated}")
    assert {"snapshot_id": snapshot, "row_id": row["row_id"], "part": "answer"} in node["snapshots"]


def test_rows_are_paged_and_filtered(turns: dict[str, Turn], admin: DatasetClient) -> None:
    snapshot = admin.frozen(SFT)
    path = f"/api/snapshots/{snapshot}/rows"
    every = admin.get(path)["rows"]
    seen, after = [], None
    while True:
        page = admin.get(path, limit=2, **({} if after is None else {"after": after}))
        seen += page["rows"]
        if (after := page["next"]) is None:
            break
    assert seen == every
    for key in ("split", "stratum", "label_source"):
        value = every[0][key]
        assert admin.get(path, **{key: value})["rows"] == [one for one in every if one[key] == value]
    word = every[0]["asked"].split()[-1].strip("?.")
    found = admin.get(path, text=word.upper())["rows"]
    assert every[0] in found
    assert all(word in json.dumps(admin.get(f"{path}/{one['row_id']}")["parts"]) for one in found)
    assert admin.get(path, text="no such words")["rows"] == []


def test_verify_export_and_withdraw(turns: dict[str, Turn], admin: DatasetClient, viewer: DatasetClient) -> None:
    snapshot = admin.frozen(DPO)
    proof = viewer.finished(f"/api/snapshots/{snapshot}/verify")["verification"]
    assert (proof["ok"], proof["files"], proof["rows"], proof["changed"]) == (True, "", "", [])
    detail = viewer.get(f"/api/snapshots/{snapshot}")
    assert any(one["standing"] == "proven" for one in detail["statements"])
    assert "trl" in {one["name"] for one in detail["targets"]}
    assert detail["filters"] == []
    made = admin.finished(f"/api/snapshots/{snapshot}/export", {"target": "trl"})["export"]
    with ZipFile(BytesIO(admin.fetch(f"/api/exports/{made['archive_id']}"))) as packed:
        inside = {name.rpartition("/")[2] for name in packed.namelist()}
        assert inside == set(made["files"]) >= {"README.md", "manifest.json", "train.jsonl"}
        lines = packed.read(f"{snapshot}-trl/train.jsonl").splitlines()
    assert len(lines) == made["rows"]["train"]
    admin.send(f"/api/snapshots/{snapshot}/export", {"target": "nothing"}, 400)
    done = admin.send(f"/api/snapshots/{snapshot}/withdraw", {"reason": "a test"}, 200)
    assert done["reason"] == "a test"
    for refused in (f"/api/snapshots/{snapshot}/rows", f"/api/snapshots/{snapshot}/diff/{snapshot}"):
        assert "withdrawn: a test" in admin.get(refused, 409)["error"]["message"]
    failed = admin.finished(f"/api/snapshots/{snapshot}/verify")
    assert (failed["state"], "was withdrawn" in failed["error"]) == ("failed", True)
    assert admin.get(f"/api/snapshots/{snapshot}")["withdrawn_because"] == "a test"


def test_the_difference_of_two_snapshots_names_rows(
    truth: str, turns: dict[str, Turn], admin: DatasetClient, viewer: DatasetClient
) -> None:
    first = admin.frozen(SFT + "[select]\nper_context = 0\n")
    second = admin.frozen(SFT)
    path = f"/api/snapshots/{first}/diff/{second}"
    found = viewer.get(path, sort="removed")
    while found["job"]:
        assert viewer.over(found["job"]["job_id"])["state"] == "done"
        found = viewer.get(path, sort="removed")
    ids = [{one["row_id"] for one in viewer.get(f"/api/snapshots/{each}/rows")["rows"]} for each in (first, second)]
    assert found["counts"]["removed"] == len(ids[0] - ids[1]) > 0
    assert {one["row_id"] for one in found["rows"]} == ids[0] - ids[1]
    assert all(one["before"] and not one["after"] for one in found["rows"])
    other = admin.frozen(DPO)
    mixed = viewer.get(f"/api/snapshots/{first}/diff/{other}")
    assert "of kind" in viewer.over(mixed["job"]["job_id"])["error"]


def test_work_is_listed_without_its_results(turns: dict[str, Turn], admin: DatasetClient) -> None:
    snapshot = admin.frozen(SFT)
    admin.finished("/api/recipes/preview", {"text": SFT})
    admin.finished(f"/api/snapshots/{snapshot}/verify")
    jobs = admin.get("/api/dataset-jobs")["jobs"]
    assert [(one["name"], one["about"], one["state"]) for one in jobs] == [
        ("verify", snapshot, "done"),
        ("freeze", "good", "done"),
    ]
    assert all(one["verification"] is None and one["frozen"] is None for one in jobs)


def test_a_freeze_without_rows_says_why(turns: dict[str, Turn], admin: DatasetClient) -> None:
    job = admin.finished("/api/recipes/freeze", {"text": SFT + "min_score = 1.0\nthemes = ['none such']\n"})
    assert job["state"] == "failed"
    assert "other_theme" in job["error"]


@pytest.mark.parametrize("token", ["viewer", "reviewer"])
def test_who_is_no_admin_changes_nothing(client: TestClient, turns: dict[str, Turn], folder: Path, token: str) -> None:
    one = DatasetClient(client, token)
    snapshot = DatasetClient(client, "admin").frozen(SFT)
    job = DatasetClient(client, "admin").send("/api/recipes/preview", {"text": SFT})["job_id"]
    for path, body in (
        ("/api/recipes/preview", {"text": SFT}),
        ("/api/recipes/freeze", {"text": SFT}),
        (f"/api/snapshots/{snapshot}/export", {"target": "trl"}),
        (f"/api/snapshots/{snapshot}/withdraw", {"reason": "no"}),
        (f"/api/dataset-jobs/{job}/cancel", None),
    ):
        assert one.send(path, body, 403)["error"]["code"] == "forbidden"
    one.send("/api/recipes/mine", {"text": SFT}, 403, "PUT")
    one.get(f"/api/exports/{uuid4().hex}", 403)
    assert not folder.exists()
    assert one.get("/api/recipes")["saves"] is False
    assert one.send("/api/recipes/check", {"text": SFT}, 200)["name"] == "good"


def test_rubbish_is_refused_with_a_message(turns: dict[str, Turn], admin: DatasetClient) -> None:
    snapshot = admin.frozen(SFT)
    rows = f"/api/snapshots/{snapshot}/rows"
    admin.get(f"{rows}/none", 404)
    admin.get(f"{rows}/%00", 404)
    admin.get(rows, 400, after=-1)
    admin.get(rows, 400, limit=0)
    admin.get(rows, 400, text="\0")
    assert admin.get(rows, after=2**31 - 1)["rows"] == []
    assert admin.get(rows, split="nothing")["rows"] == []
    admin.get("/api/snapshots/NOPE'--/rows", 400)
    admin.get("/api/dataset-jobs/none", 400)
    admin.get(f"/api/dataset-jobs/{uuid4()}", 404)
    admin.get("/api/exports/..%2f..%2fetc%2fpasswd", 404)
    admin.get(f"/api/snapshots/{snapshot}/diff/none", 404)
    admin.get(f"/api/snapshots/{snapshot}/diff/{snapshot}", 400, sort="nothing")
    for text in ("", "=", 'name = "x"', SFT + "k = 1\n", SFT + 'decontaminate = ["/etc/passwd"]\n', "\0", "x" * 70_000):
        failed = admin.send("/api/recipes/preview", {"text": text}, 400)
        assert failed["error"]["code"] == "bad_request"
    admin.send("/api/recipes/preview", {"text": SFT, "more": 1}, 400)
    admin.send("/api/recipes/preview", None, 400)
    admin.send(f"/api/snapshots/{snapshot}/withdraw", {"reason": " "}, 400)
