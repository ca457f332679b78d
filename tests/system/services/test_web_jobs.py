"""Work in the background of the web process, through its API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from threading import Event
from typing import Any
from uuid import UUID

import pytest
from starlette.testclient import TestClient

from regraft.flows.background import Background, Work
from regraft.presentation.web.app import make_app
from support.waiting import until
from support.web_grants import NamedGrants, bearer

ADMIN = bearer("admin")


@pytest.fixture
def client(truth: str) -> Iterator[TestClient]:
    with TestClient(make_app(truth, access=NamedGrants())) as running:
        yield running


def background_of(client: TestClient) -> Background:
    app: Any = client.app
    found: Background = app.state.background
    return found


def holding(release: Event) -> Any:
    def work(at: Work) -> None:
        while not release.wait(0.01):
            at.progress("counting", 3, 7)

    return work


def test_work_is_listed_watched_and_cancelled(client: TestClient) -> None:
    job = background_of(client).start("count", holding(Event()), key="sheep")
    until(lambda: background_of(client).find(job.job_id).step == "counting")
    (listed,) = client.get("/api/jobs", headers=ADMIN).json()["jobs"]
    figures = {name: listed[name] for name in ("job_id", "name", "key", "state", "step", "done", "total")}
    assert figures == {
        "job_id": str(job.job_id),
        "name": "count",
        "key": "sheep",
        "state": "running",
        "step": "counting",
        "done": 3,
        "total": 7,
    }
    assert client.get("/api/jobs?name=other", headers=ADMIN).json()["jobs"] == []
    assert client.post(f"/api/jobs/{job.job_id}/cancel", headers=bearer("reviewer")).status_code == 403
    assert client.post(f"/api/jobs/{job.job_id}/cancel", headers=ADMIN).status_code == 200
    events = client.get(f"/api/jobs/{job.job_id}/events", headers=ADMIN).text.strip().splitlines()
    assert events[-2] == "event: end"
    assert json.loads(events[-1].removeprefix("data: "))["state"] == "cancelled"


def test_a_tenant_sees_and_stops_its_own_work_only(client: TestClient) -> None:
    release = Event()
    job = background_of(client).start("count", holding(release), scope="alpha")
    other, own = bearer("admin beta"), bearer("admin alpha")
    assert client.get("/api/jobs", headers=other).json()["jobs"] == []
    for answer in (
        client.get(f"/api/jobs/{job.job_id}", headers=other),
        client.get(f"/api/jobs/{job.job_id}/events", headers=other),
        client.post(f"/api/jobs/{job.job_id}/cancel", headers=other),
        client.get(f"/api/jobs/{UUID(int=5)}", headers=own),
    ):
        assert answer.status_code == 404
    assert client.get(f"/api/jobs/{job.job_id}", headers=own).json()["state"] in ("waiting", "running")
    release.set()


def test_nothing_is_left_running_when_the_server_stops(truth: str) -> None:
    with TestClient(make_app(truth)) as client:
        background = background_of(client)
        job = background.start("count", holding(Event()))
        until(lambda: background.find(job.job_id).state == "running")
    assert background.find(job.job_id).state == "cancelled"
