"""Routes about the service itself: is it up, and how far is each layer?"""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter, Request

from regraft.flows.lineage import reading
from regraft.presentation.web.answer import JsonReply, Model
from regraft.presentation.web.request import Database, Truth
from regraft.version import __version__

router = APIRouter(tags=["status"])


class Health(Model):
    """PostgreSQL answers."""

    status: str
    version: str


class Gateway(Model):
    """Where clients reach the gateway; '': this server does not know."""

    base_url: str


class Build(Model):
    """How far a derived layer is."""

    name: str
    build: int
    turns_built: int
    projection_version: int
    built_at: datetime


class Status(Model):
    """Counts of every layer; with a tenant's token the tenant's own. Then there are no builds, and ``quarantine`` and
    ``waiting_calls`` are null: what could not be read is of no known tenant."""

    version: str
    inbox: int
    last_received_at: datetime | None
    turns: int
    ambiguous_turns: int
    unknown_endings: int
    waiting_turns: int
    failed_turns: int
    waiting_sessions: int
    sessions: int
    nodes: int
    runs: int
    replays: int
    quarantine: int | None
    waiting_calls: int | None
    unmatched_feedback: int
    snapshots: int
    ratings: int
    preferences: int
    builds: list[Build]


@router.get("/health", response_model=Health)
def health(database: Database) -> JsonReply:
    """Whether PostgreSQL answers; 503 when it does not."""
    with database.connection() as connection:
        connection.execute("SELECT 1")
    return JsonReply(Health(status="ok", version=__version__))


@router.get("/gateway", response_model=Gateway)
def gateway(request: Request) -> JsonReply:
    """The base URL to point a client at."""
    address: str = request.app.state.gateway
    return JsonReply(Gateway(base_url=f"{address}/v1" if address else ""))


@router.get("/status", response_model=Status)
def status(truth: Truth) -> JsonReply:
    """How much is stored in each layer, and how far the graph is behind the log."""
    with truth.connection() as connection:
        return JsonReply(Status.model_validate({"version": __version__, **reading.status(connection, truth.scope)}))
