"""Routes of frozen dataset snapshots: what each is and proves; verify, export and withdraw one."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query

from regraft.domain.datasets.certificate import statements
from regraft.domain.datasets.filter_figures import filter_figures
from regraft.domain.datasets.formats import FORMATS
from regraft.domain.errors import UsageError
from regraft.flows.datasets import registry
from regraft.flows.datasets import withdraw as flow
from regraft.presentation.web.answer import FailedReply, JsonReply
from regraft.presentation.web.datasets.jobs import job_reply, reasons
from regraft.presentation.web.datasets.recipe_models import DatasetJob
from regraft.presentation.web.datasets.snapshot_models import (
    ExportRequest,
    FilterFigure,
    Snapshot,
    SnapshotDetail,
    Snapshots,
    Statement,
    Target,
    Withdrawal,
    WithdrawalRequest,
)
from regraft.presentation.web.request import Admin, Datasets, Limit, Truth

router = APIRouter(
    tags=["datasets"],
    responses={
        403: {"model": FailedReply, "description": "This token may not do that."},
        409: {"model": FailedReply, "description": "The snapshot was withdrawn."},
    },
)

_SNAPSHOT_ID = re.compile(r"[a-z][a-z0-9_-]{0,99}")


@router.get("/snapshots", response_model=Snapshots)
def snapshots(
    truth: Truth,
    limit: Limit = 200,
    after: Annotated[str | None, Query(description="`next` of an earlier page.")] = None,
) -> JsonReply:
    """Frozen dataset snapshots. A tenant's token sees those whose rows are all the tenant's, without `refused`."""
    if after is not None:
        check_id(after)
    with truth.connection() as connection:
        found = registry.snapshots(connection, scope=truth.scope, after=after, limit=limit)
    following = found[-1]["snapshot_id"] if len(found) == limit else None
    return JsonReply(Snapshots(snapshots=Snapshot.from_rows(found), next=following))


@router.get("/snapshots/{id}", response_model=SnapshotDetail)
def snapshot(id: str, truth: Truth) -> JsonReply:
    """One snapshot, by its id, the start of it, or a dataset's name, which means its newest."""
    check_id(id)
    with truth.connection() as connection:
        found = registry.snapshot(connection, id, truth.scope)
    row = found.snapshot
    said = statements(row["leakage"], row["report"], sum(row["row_counts"].values()))
    more = {
        "holds": found.holds,
        "reasons": reasons({*row["refused"], *row["passed_over"]}),
        "statements": [Statement(standing=one.standing, text=one.text) for one in said],
        "filters": [FilterFigure(**asdict(one)) for one in filter_figures(row["report"], row["refused"])],
        "targets": [Target(name=one.name, note=one.note) for one in FORMATS.values() if row["kind"] in one.kinds],
    }
    return JsonReply(SnapshotDetail.model_validate({**row, **more}))


@router.post("/snapshots/{id}/verify", response_model=DatasetJob, status_code=202)
def verify_snapshot(id: str, truth: Truth, datasets: Datasets) -> JsonReply:
    """Begin to check that the files are unchanged and that every row still follows from the stored calls."""
    record = seen_snapshot(id, truth)
    return job_reply(datasets.verify(record["snapshot_id"], scope=truth.scope), 202)


@router.post("/snapshots/{id}/export", response_model=DatasetJob, status_code=202)
def export_snapshot(id: str, body: ExportRequest, admin: Admin, truth: Truth, datasets: Datasets) -> JsonReply:
    """Begin to write the files of a target, to be fetched as one zip file."""
    record = seen_snapshot(id, truth)
    return job_reply(datasets.export(record["snapshot_id"], body.target, scope=admin.scope), 202)


@router.post("/snapshots/{id}/withdraw", response_model=Withdrawal)
def withdraw_snapshot(id: str, body: WithdrawalRequest, admin: Admin, truth: Truth, datasets: Datasets) -> JsonReply:
    """Withdraw a snapshot: nothing trains on it any more. One that is withdrawn keeps its first reason."""
    record = seen_snapshot(id, truth)
    done = flow.withdraw(
        record["snapshot_id"], body.reason, dsn=datasets.dsn, warehouse=datasets.warehouse, files=body.files
    )
    datasets.forget(record["snapshot_id"])
    return JsonReply(Withdrawal.model_validate(asdict(done)))


def seen_snapshot(id: str, truth: Truth) -> dict[str, Any]:
    """The registry's row of a snapshot that the token may see. Raises NotFoundError."""
    check_id(id)
    with truth.connection() as connection:
        return registry.seen(connection, id, truth.scope)


def check_id(text: str) -> None:
    """Raises UsageError for what is not an id of a snapshot."""
    if not _SNAPSHOT_ID.fullmatch(text):
        raise UsageError(f"{text[:80]!r} is not a snapshot id.")
