"""Routes of work on datasets in the background, and of the exports that it makes."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import FileResponse

from regraft.domain.datasets.reasons import REASONS
from regraft.flows.background import Background, BackgroundJob
from regraft.flows.datasets.service import EXPORT, FREEZE, PREVIEW, VERIFY
from regraft.presentation.web.answer import JsonReply
from regraft.presentation.web.datasets import recipe_models as models
from regraft.presentation.web.datasets.recipe_models import DatasetJob, DatasetJobs
from regraft.presentation.web.request import Admin, Datasets, Truth

router = APIRouter(tags=["datasets"])

_LISTED = 50  # jobs, the newest
_SHOWN = 2_000  # characters of a message of a preview


@router.get("/dataset-jobs", response_model=DatasetJobs)
def dataset_jobs(truth: Truth, request: Request) -> JsonReply:
    """Freezes, verifications and exports that continue or ended lately, the newest first, without their results."""
    background: Background = request.app.state.background
    found = [job for job in background.jobs(scope=truth.scope) if job.name in (FREEZE, VERIFY, EXPORT)]
    return JsonReply(DatasetJobs(jobs=[job_shown(job, results=False) for job in found[:_LISTED]]))


@router.get("/dataset-jobs/{id}", response_model=DatasetJob)
def dataset_job(id: UUID, truth: Truth, request: Request) -> JsonReply:
    """How far a preview, freeze, verification or export is, and what came of it."""
    background: Background = request.app.state.background
    return job_reply(background.find(id, truth.scope))


@router.post("/dataset-jobs/{id}/cancel", response_model=DatasetJob)
def cancel_dataset_job(id: UUID, admin: Admin, request: Request) -> JsonReply:
    """Stop it. A freeze that is cancelled leaves nothing."""
    background: Background = request.app.state.background
    return job_reply(background.cancel(id, admin.scope))


@router.get(
    "/exports/{id}",
    response_class=FileResponse,
    responses={200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}},
)
def export_archive(id: str, admin: Admin, truth: Truth, datasets: Datasets) -> FileResponse:
    """The zip file that an export made."""
    made, path = datasets.archives.find(id, truth.scope)
    return FileResponse(path, media_type="application/zip", filename=made.file_name)


def job_reply(job: BackgroundJob, status: int = 200) -> JsonReply:
    """A job with its result."""
    return JsonReply(job_shown(job), status)


def job_shown(job: BackgroundJob, *, results: bool = True) -> DatasetJob:
    """A job as clients see it, with its result unless ``results`` is False."""
    shown = {
        name: getattr(job, name) for name in ("job_id", "name", "about", "state", "step", "done", "total", "error")
    }
    made = _RESULTS[job.name](job.result) if results and job.state == "done" and job.name in _RESULTS else {}
    return DatasetJob(**shown, created_at=job.created_at, ended_at=job.ended_at, **made)


def _preview(found: Any) -> dict[str, Any]:
    record = asdict(found)
    for row in record["sample"]:
        for message in row["messages"]:
            message["text"] = message["text"][:_SHOWN]
    named = {*record["refused"], *record["passed_over"], *(one for each in record["targets"].values() for one in each)}
    return {"preview": models.Preview.model_validate({**record, "reasons": reasons(named)})}


def _frozen(found: Any) -> dict[str, Any]:
    return {"frozen": models.FrozenDataset.model_validate(asdict(found))}


def _verification(found: Any) -> dict[str, Any]:
    changed = [models.ChangedRow(row_id=row_id, how=how) for row_id, how in found.changed]
    shown = {name: getattr(found, name) for name in ("snapshot_id", "ok", "checked", "files", "rows")}
    return {"verification": models.Verification(**shown, changed=changed)}


def _export(found: Any) -> dict[str, Any]:
    record = {**asdict(found), "reasons": reasons(found.left_out)}
    return {"export": models.ExportArchive.model_validate(record)}


def reasons(names: Any) -> dict[str, str]:
    """What reasons mean, and what to do about each."""
    return {name: str(REASONS[name]) for name in sorted(names) if name in REASONS}


_RESULTS = {PREVIEW: _preview, FREEZE: _frozen, VERIFY: _verification, EXPORT: _export}
