"""Datasets over the web API with tokens of two tenants: each selects, freezes, sees and fetches its own alone."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from starlette.testclient import TestClient

from regraft.domain.capture.exchange import Exchange, Identity
from regraft.domain.ids import time_ordered_uuid
from regraft.flows.capture.ingest import SeenIds, ingest
from regraft.flows.datasets.erase import ErasureStores, erase
from regraft.flows.datasets.service import DatasetSetup
from regraft.flows.lineage import build as lineage
from regraft.infra.nats.codec import encode_exchange
from regraft.infra.postgres.pool import connect
from regraft.presentation.web.app import make_app
from support.dataset_client import DatasetClient
from support.web_grants import NamedGrants

SFT = 'name = "good"\nkind = "sft"\n[source]\nlabels = ["human", "signals"]\n'


@pytest.fixture
def talks(truth: str) -> dict[str, list[UUID]]:
    """Two conversations of each tenant under the same names, and one of alpha that is refused."""
    made: dict[str, list[UUID]] = {"alpha": [], "beta": []}
    for scope, turns in made.items():
        for topic in ("lamps", "ships"):
            turns.append(talk(truth, scope, topic, f"All about {topic} from {scope}."))
    talk(truth, "alpha", "empty", "")
    lineage.build(truth)
    return made


def talk(truth: str, scope: str, topic: str, answer: str) -> UUID:
    event = UUID(str(time_ordered_uuid(time.time_ns() // 10**6, uuid4().bytes[:10])))
    message = {"role": "assistant", "content": answer}
    exchange = Exchange(
        event_id=event,
        scope=scope,
        endpoint="/v1/chat/completions",
        upstream="local",
        upstream_pin="",
        started_ns=time.time_ns(),
        first_byte_ns=10**6,
        duration_ns=5 * 10**6,
        request_body=json.dumps(
            {"model": "m", "messages": [{"role": "user", "content": f"Tell {scope} of {topic}."}]}
        ).encode(),
        status=200,
        response_type="application/json",
        response_encoding="",
        response_body=json.dumps(
            {"model": "m", "choices": [{"index": 0, "finish_reason": "stop", "message": message}]}
        ).encode(),
        identity=Identity(session=topic, theme="things"),
    )
    with connect(truth, autocommit=True) as connection:
        ingest(connection, [encode_exchange(exchange)], SeenIds())
    return event


@pytest.fixture
def client(truth: str, tmp_path: Path) -> Iterator[TestClient]:
    setup = DatasetSetup(warehouse=str(tmp_path / "warehouse"), recipes=tmp_path / "recipes")
    made = make_app(truth, access=NamedGrants(), workbench=tmp_path / "workbench.duckdb", datasets=setup)
    with TestClient(made, raise_server_exceptions=False) as opened:
        yield opened


@pytest.fixture
def alpha(client: TestClient) -> DatasetClient:
    return DatasetClient(client, "admin alpha")


@pytest.fixture
def beta(client: TestClient) -> DatasetClient:
    return DatasetClient(client, "admin beta")


def test_a_tenants_preview_and_freeze_hold_its_own_alone(
    client: TestClient, talks: dict[str, list[UUID]], alpha: DatasetClient, beta: DatasetClient
) -> None:
    everything = DatasetClient(client, "admin").finished("/api/recipes/preview", {"text": SFT})["preview"]
    assert (everything["rows"], everything["refused"]) == (4, {"no_answer": 1})
    found = {}
    for name, one in (("alpha", alpha), ("beta", beta)):
        job = one.finished("/api/recipes/preview", {"text": SFT})
        assert job["preview"]["rows"] == 2
        assert job["preview"]["refused"] == ({"no_answer": 1} if name == "alpha" else {})
        other = "beta" if name == "alpha" else "alpha"
        assert other not in json.dumps(job)
        found[name] = one.frozen(SFT)
        rows = one.get(f"/api/snapshots/{found[name]}/rows")["rows"]
        assert len(rows) == 2
        assert other not in json.dumps(rows)
        # It was made of this tenant's conversations alone, so its refusals may be seen.
        assert one.get(f"/api/snapshots/{found[name]}")["refused"] == job["preview"]["refused"]
    assert found["alpha"] != found["beta"]


def test_what_is_of_another_tenant_is_as_unknown_as_what_never_was(
    client: TestClient, talks: dict[str, list[UUID]], alpha: DatasetClient, beta: DatasetClient
) -> None:
    own, theirs = alpha.frozen(SFT), beta.frozen(SFT)
    row = beta.get(f"/api/snapshots/{theirs}/rows")["rows"][0]["row_id"]
    job = beta.finished(f"/api/snapshots/{theirs}/export", {"target": "trl"})
    paths = [
        f"/api/snapshots/{theirs}",
        f"/api/snapshots/{theirs}/rows",
        f"/api/snapshots/{theirs}/rows/{row}",
        f"/api/snapshots/{theirs}/diff/{own}",
        f"/api/snapshots/{own}/diff/{theirs}",
        f"/api/snapshots/{own}/rows/{row}",
        f"/api/dataset-jobs/{job['job_id']}",
        f"/api/exports/{job['export']['archive_id']}",
    ]
    for path in paths:
        alpha.get(path, 404)
    for act, body in (("verify", None), ("export", {"target": "trl"}), ("withdraw", {"reason": "x"})):
        alpha.send(f"/api/snapshots/{theirs}/{act}", body, 404)
    alpha.send(f"/api/dataset-jobs/{job['job_id']}/cancel", None, 404)
    assert [one["about"] for one in alpha.get("/api/dataset-jobs")["jobs"]] == ["good"]
    assert beta.get(f"/api/snapshots/{theirs}")["withdrawn_at"] is None
    assert [one["snapshot_id"] for one in alpha.get("/api/snapshots")["snapshots"]] == [own]
    # A snapshot with rows of both is neither's.
    mixed = DatasetClient(client, "admin").frozen(SFT)
    for one in (alpha, beta):
        one.get(f"/api/snapshots/{mixed}/rows", 404)


def test_a_tenant_shares_no_recipes_and_names_no_files(
    client: TestClient, talks: dict[str, list[UUID]], alpha: DatasetClient, tmp_path: Path
) -> None:
    everyone = DatasetClient(client, "admin")
    everyone.send("/api/recipes/secret", {"text": SFT}, 200, "PUT")
    assert "secret" not in {one["name"] for one in alpha.get("/api/recipes")["recipes"]}
    alpha.get("/api/recipes/secret", 404)
    alpha.send("/api/recipes/mine", {"text": SFT}, 403, "PUT")
    inside = SFT + f'[filters]\ndecontaminate = ["{tmp_path}/recipes/secret.toml"]\n'
    assert everyone.send("/api/recipes/check", {"text": inside}, 200)["mistakes"] == []
    assert alpha.send("/api/recipes/check", {"text": inside}, 200)["mistakes"]
    alpha.send("/api/recipes/preview", {"text": inside}, 400)


def test_an_erasure_freezes_a_tenants_snapshot_again_for_that_tenant_alone(
    truth: str, talks: dict[str, list[UUID]], alpha: DatasetClient, tmp_path: Path
) -> None:
    snapshot = alpha.frozen(SFT)
    made = alpha.finished(f"/api/snapshots/{snapshot}/export", {"target": "trl"})["export"]
    session = next(
        row["session_id"] for row in alpha.get(f"/api/snapshots/{snapshot}/rows")["rows"] if "lamps" in row["answer"]
    )
    places = ErasureStores(
        dsn=truth,
        workbench=tmp_path / "workbench.duckdb",
        warehouse=str(tmp_path / "warehouse"),
        spool=tmp_path / "spool",
        data_dir=tmp_path,
    )
    erase("session", session, places)
    old = alpha.get(f"/api/snapshots/{snapshot}")
    assert old["withdrawn_at"]
    (row,) = alpha.get(f"/api/snapshots/{old['successor']}/rows")["rows"]
    assert "ships from alpha" in row["answer"]
    alpha.get(f"/api/exports/{made['archive_id']}", 404)
    assert not any(b"lamps from alpha" in path.read_bytes() for path in tmp_path.rglob("export-*/*.zip"))
