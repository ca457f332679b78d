"""The read-only API under ``/api``: parse, read in a thread, answer as JSON."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from regraft import __version__
from regraft.domain.errors import NotFoundError, RegraftError, UnavailableError, UsageError
from regraft.flows.replay import comparison as comparing
from regraft.infra.postgres.datasets import registry
from regraft.infra.postgres.lineage import reading
from regraft.infra.postgres.pool import Connection
from regraft.infra.postgres.replay import plans as replay_store
from regraft.presentation.web.events import replay_events
from regraft.presentation.web.reading_pool import read_from

LONGEST_PAGE = 200
_SNAPSHOT_ID = re.compile(r"[a-z][a-z0-9_-]{0,99}")
_TITLES = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 503: "unavailable"}


class Reply(Response):
    """JSON. Stored JSON goes out as it came in, byte for byte, whatever it holds."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The bytes to send."""
        return orjson.dumps(content, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def failure(status: int, message: str) -> Reply:
    """An error as JSON."""
    return Reply({"error": {"code": _TITLES.get(status, "error"), "message": message}}, status)


def _raw(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row whose stored JSON goes out unread."""
    return {
        name: orjson.Fragment(value) if name in reading.JSON_COLUMNS and isinstance(value, str) else value
        for name, value in row.items()
    }


def _rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [_raw(row) for row in rows]


def _route(path: str, read: Callable[[Request, Connection], Any]) -> Route:
    async def answer(request: Request) -> Response:
        return Reply(await run_in_threadpool(read_from, request.app.state.pool, lambda found: read(request, found)))

    return Route(path, answer, methods=["GET"])


def _status(request: Request, connection: Connection) -> Any:
    return {"version": __version__, **reading.status(connection)}


def _themes(request: Request, connection: Connection) -> Any:
    return {"themes": reading.themes(connection)}


def _sessions(request: Request, connection: Connection) -> Any:
    asked = request.query_params
    limit = _limit(asked.get("limit", "50"))
    before, before_id = _before(asked.get("before"))
    theme = asked.get("theme")
    if theme is not None and not _storable(theme):
        raise UsageError("A theme's name holds no NUL and no lone surrogate.")
    found = reading.sessions(connection, limit, before=before, before_id=before_id, theme=theme)
    full = len(found) == limit
    following = f"{found[-1]['last_turn_at'].astimezone(UTC).isoformat()},{found[-1]['session_id']}" if full else None
    return {"sessions": _rows(found), "next": following}


def _limit(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", text) or not 1 <= int(text) <= LONGEST_PAGE:
        raise UsageError(f"limit is a number from 1 to {LONGEST_PAGE}.")
    return int(text)


def _before(text: str | None) -> tuple[datetime | None, UUID | None]:
    """``before`` is the last page's ``next``, or any ISO 8601 time."""
    if text is None:
        return None, None
    moment, _, identity = text.replace(" ", "+").partition(",")  # an unescaped + arrives as a blank
    try:
        at = datetime.fromisoformat(moment)
        return at if at.tzinfo else at.replace(tzinfo=UTC), UUID(identity) if identity else None
    except ValueError:
        raise UsageError("before is the `next` of an earlier page, or a time such as 2026-01-31T12:00:00Z.") from None


def _session(request: Request, connection: Connection) -> Any:
    return _raw(reading.session(connection, reading.resolve_session(connection, request.path_params["id"])))


def _tree(request: Request, connection: Connection) -> Any:
    session = reading.session(connection, reading.resolve_session(connection, request.path_params["id"]))
    return {"session": _raw(session), "nodes": _rows(reading.session_tree(connection, session["session_id"]))}


def _node(request: Request, connection: Connection) -> Any:
    node = reading.node(connection, reading.resolve_node(connection, request.path_params["id"]))
    anchor = node["context_anchor_turn_id"]
    return {
        **_raw(node),
        "path": reading.path(connection, node["node_id"]),
        "children": reading.children(connection, node["node_id"]),
        "run_records": _rows(reading.runs(connection, node["node_id"])),
        "siblings": _rows(reading.alternatives(connection, anchor)) if anchor else [],
        "snapshots": registry.snapshots_of_node(connection, node["node_id"]),
    }


def _anchor(request: Request, connection: Connection) -> Any:
    anchor = reading.anchor(connection, reading.resolve_turn(connection, request.path_params["id"]))
    return {**_raw(anchor), "alternatives": _rows(reading.alternatives(connection, anchor["context_anchor_turn_id"]))}


def _compare(request: Request, connection: Connection) -> Any:
    found = comparing.compare(connection, reading.resolve_node(connection, request.path_params["id"]))
    return {**found, "alternatives": _rows(found["alternatives"])}


def _replays(request: Request, connection: Connection) -> Any:
    return {"replays": replay_store.plans(connection, _limit(request.query_params.get("limit", "50")))}


def _replay(request: Request, connection: Connection) -> Any:
    plan_id = replay_store.resolve_plan(connection, request.path_params["id"])
    asked = replay_store.get_plan(connection, plan_id)
    return {
        **replay_store.progress(connection, plan_id),
        "definition": orjson.Fragment(asked["definition"]),
        "experiment": asked["experiment"],
        "failures": replay_store.failures(connection, plan_id),
        "job_records": replay_store.jobs(connection, plan_id),
    }


def _snapshots(request: Request, connection: Connection) -> Any:
    return {"snapshots": registry.snapshots(connection)}


def _snapshot(request: Request, connection: Connection) -> Any:
    snapshot_id = request.path_params["id"]
    if not _SNAPSHOT_ID.fullmatch(snapshot_id):
        raise UsageError(f"{snapshot_id[:80]!r} is not a snapshot id.")
    snapshot = registry.get(connection, snapshot_id)
    return {**snapshot, "holds": reading.snapshot_counts(connection, snapshot_id)}


def _storable(text: str) -> bool:
    return "\0" not in text and not re.search("[\ud800-\udfff]", text)


async def _health(request: Request) -> Response:
    await run_in_threadpool(read_from, request.app.state.pool, lambda found: found.execute("SELECT 1"))
    return Reply({"status": "ok", "version": __version__})


async def _unknown(request: Request) -> Response:
    raise NotFoundError(f"There is no page {request.url.path}.")


ROUTES = [
    Route("/api/health", _health, methods=["GET"]),
    _route("/api/status", _status),
    _route("/api/themes", _themes),
    _route("/api/sessions", _sessions),
    _route("/api/sessions/{id}", _session),
    _route("/api/sessions/{id}/tree", _tree),
    _route("/api/nodes/{id}", _node),
    _route("/api/anchors/{id}", _anchor),
    _route("/api/compare/{id}", _compare),
    _route("/api/replays", _replays),
    _route("/api/replays/{id}", _replay),
    Route("/api/replays/{id}/events", replay_events, methods=["GET"]),
    _route("/api/snapshots", _snapshots),
    _route("/api/snapshots/{id}", _snapshot),
    Route("/api/{rest:path}", _unknown),
]


async def on_error(request: Request, error: Exception) -> Response:
    """One of our errors with its own status."""
    assert isinstance(error, RegraftError)
    status = {NotFoundError: 404, UsageError: 400, UnavailableError: 503}.get(type(error), 500)
    return failure(status, str(error))
