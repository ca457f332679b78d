"""A client of the dataset routes: starts jobs and waits for their results."""

from __future__ import annotations

from typing import Any

from starlette.testclient import TestClient

from support.waiting import until
from support.web_grants import bearer


class DatasetClient:
    """Requests with one token."""

    def __init__(self, client: TestClient, token: str) -> None:
        self._client, self._headers = client, bearer(token)

    def get(self, path: str, status: int = 200, **query: Any) -> Any:
        """The answer to a GET."""
        reply = self._client.get(path, headers=self._headers, params=query)
        assert reply.status_code == status, reply.text
        return reply.json()

    def send(self, path: str, body: Any = None, status: int = 202, method: str = "POST") -> Any:
        """The answer to a request that changes something."""
        reply = self._client.request(method, path, headers=self._headers, json=body)
        assert reply.status_code == status, reply.text
        return reply.json()

    def fetch(self, path: str) -> bytes:
        """The bytes of a file."""
        reply = self._client.get(path, headers=self._headers)
        assert reply.status_code == 200, reply.text
        return reply.content

    def finished(self, path: str, body: Any = None) -> Any:
        """The result of a job that a request starts."""
        return self.over(self.send(path, body)["job_id"])

    def over(self, job_id: str) -> Any:
        """A job when it is over."""
        path = f"/api/dataset-jobs/{job_id}"
        until(lambda: self.get(path)["state"] in ("done", "failed", "cancelled"))
        return self.get(path)

    def frozen(self, recipe: str) -> str:
        """The id of the snapshot that a recipe gives."""
        job = self.finished("/api/recipes/freeze", {"text": recipe})
        assert job["state"] == "done", job["error"]
        return str(job["frozen"]["snapshot_id"])
