"""Routes of frozen dataset snapshots."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BeforeValidator

from regraft.domain.errors import UsageError
from regraft.flows.datasets import registry
from regraft.presentation.web.answer import JsonReply, Model, hexadecimal
from regraft.presentation.web.request import Limit, Truth

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
    """A page of snapshots, oldest first. ``next`` is the ``after`` of the following page."""

    snapshots: list[Snapshot]
    next: str | None


class SnapshotContent(Model):
    """How much a snapshot holds."""

    rows: int
    nodes: int
    sessions: int


class SnapshotDetail(Snapshot):
    """A snapshot, and how much it holds."""

    holds: SnapshotContent


@router.get("/snapshots", response_model=Snapshots)
def snapshots(
    truth: Truth,
    limit: Limit = 200,
    after: Annotated[str | None, Query(description="`next` of an earlier page.")] = None,
) -> JsonReply:
    """Frozen dataset snapshots. A tenant's token sees those whose rows are all the tenant's, without `refused`."""
    if after is not None:
        _check_id(after)
    with truth.connection() as connection:
        found = registry.snapshots(connection, scope=truth.scope, after=after, limit=limit)
    following = found[-1]["snapshot_id"] if len(found) == limit else None
    return JsonReply(Snapshots(snapshots=Snapshot.from_rows(found), next=following))


@router.get("/snapshots/{id}", response_model=SnapshotDetail)
def snapshot(id: str, truth: Truth) -> JsonReply:
    """One snapshot, by its id, the start of it, or a dataset's name, which means its newest."""
    _check_id(id)
    with truth.connection() as connection:
        found = registry.snapshot(connection, id, truth.scope)
    return JsonReply(SnapshotDetail.model_validate({**found.snapshot, "holds": found.holds}))


def _check_id(text: str) -> None:
    if not _SNAPSHOT_ID.fullmatch(text):
        raise UsageError(f"{text[:80]!r} is not a snapshot id.")
