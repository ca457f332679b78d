"""Routes of frozen dataset snapshots."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BeforeValidator

from regraft.domain.errors import UsageError
from regraft.flows.datasets import registry
from regraft.presentation.web.answer import JsonReply, Model, hexadecimal
from regraft.presentation.web.request import Truth

router = APIRouter(tags=["datasets"])

_SNAPSHOT_ID = re.compile(r"[a-z][a-z0-9_-]{0,99}")
Hash = Annotated[str, BeforeValidator(hexadecimal)]


class Snapshot(Model):
    """A frozen dataset. Hashes are hexadecimal."""

    snapshot_id: str
    dataset: str
    kind: str
    recipe: str
    recipe_hash: Hash
    code_version: str
    lineage_build: int
    iceberg_table: str
    iceberg_snapshot_id: int
    iceberg_tag: str
    row_counts: dict[str, Any]
    refused: dict[str, Any]
    leakage: dict[str, Any]
    content_hash: Hash
    created_at: datetime
    withdrawn_at: datetime | None


class Snapshots(Model):
    """Every snapshot, oldest first."""

    snapshots: list[Snapshot]


class SnapshotContent(Model):
    """How much a snapshot holds."""

    rows: int
    nodes: int
    sessions: int


class SnapshotDetail(Snapshot):
    """A snapshot, and how much it holds."""

    holds: SnapshotContent


@router.get("/snapshots", response_model=Snapshots)
def snapshots(truth: Truth) -> JsonReply:
    """Every frozen dataset snapshot."""
    with truth.connection() as connection:
        return JsonReply(Snapshots(snapshots=Snapshot.from_rows(registry.snapshots(connection))))


@router.get("/snapshots/{id}", response_model=SnapshotDetail)
def snapshot(id: str, truth: Truth) -> JsonReply:
    """One snapshot, by its id or the start of it."""
    if not _SNAPSHOT_ID.fullmatch(id):
        raise UsageError(f"{id[:80]!r} is not a snapshot id.")
    with truth.connection() as connection:
        found = registry.snapshot(connection, id)
    return JsonReply(SnapshotDetail.model_validate({**found.snapshot, "holds": found.holds}))
