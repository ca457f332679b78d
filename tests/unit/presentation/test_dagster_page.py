"""Dagster's page answers to the address that it listens on and to the names that the settings list, and to no other."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from regraft.presentation.dagster.page import guarded


@pytest.mark.parametrize(
    ("bind", "hosts", "host", "status"),
    [
        ("10.0.0.5", (), "10.0.0.5:4702", 200),
        ("0.0.0.0", ("dagster",), "dagster:4702", 200),
        ("0.0.0.0", ("dagster",), "localhost:4702", 200),
        ("0.0.0.0", ("dagster",), "evil.example:4702", 403),
        ("127.0.0.1", (), "dagster:4702", 403),
    ],
)
def test_it_answers_to_names_that_it_knows(bind: str, hosts: tuple[str, ...], host: str, status: int) -> None:
    sent: list[dict[str, Any]] = []

    async def page(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "query_string": b"",
        "scheme": "http",
        "headers": [(b"host", host.encode())],
    }
    asyncio.run(guarded(page, hosts, bind)(scope, receive, send))  # type: ignore[arg-type]
    assert sent[0]["status"] == status
