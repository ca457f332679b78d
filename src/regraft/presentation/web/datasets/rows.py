"""Routes of the rows of frozen datasets: pages of them, one with where it came from, and what differs of two."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query

from regraft.domain.datasets.kinds import KINDS
from regraft.domain.datasets.messages import compact
from regraft.domain.datasets.rows import Row
from regraft.domain.datasets.training_mask import effect
from regraft.flows.background import BackgroundJob
from regraft.flows.datasets.provenance import Provenance, provenance
from regraft.flows.datasets.stored import RowFilter, RowSummary, summary, usable
from regraft.presentation.web.answer import FailedReply, JsonReply
from regraft.presentation.web.datasets.jobs import job_shown
from regraft.presentation.web.datasets.recipe_models import RowOrigin
from regraft.presentation.web.datasets.snapshot_models import (
    AdmissionFigure,
    DifferentRow,
    RowJudgement,
    RowMessage,
    RowNode,
    RowPart,
    SnapshotDifference,
    SnapshotRow,
    SnapshotRowDetail,
    SnapshotRows,
    Sort,
)
from regraft.presentation.web.datasets.snapshots import seen_snapshot
from regraft.presentation.web.request import AfterNumber, Datasets, Limit, Truth, storable

router = APIRouter(
    prefix="/snapshots/{id}",
    tags=["datasets"],
    responses={409: {"model": FailedReply, "description": "The snapshot was withdrawn."}},
)

Wanted = Annotated[str | None, Query(max_length=1000)]


@router.get("/rows", response_model=SnapshotRows)
def snapshot_rows(
    id: str,
    truth: Truth,
    datasets: Datasets,
    limit: Limit = 50,
    after: AfterNumber = None,
    split: Wanted = None,
    stratum: Wanted = None,
    label: Wanted = None,
    label_source: Wanted = None,
    text: Annotated[
        str | None,
        Query(max_length=1000, description="In messages or calls, or the start of the id of a row, node or session."),
    ] = None,
) -> JsonReply:
    """Rows of a snapshot, a page at a time."""
    storable("text", text)
    record = usable(seen_snapshot(id, truth))
    wanted = RowFilter(split=split, stratum=stratum, label=label, label_source=label_source, text=text or None)
    found = datasets.stored.page(record, after or 0, limit, wanted)
    rows = [_row_shown(one) for one in found.rows]
    return JsonReply(SnapshotRows(rows=rows, next=found.next, looked_at=found.looked_at, of=found.of))


@router.get("/rows/{row}", response_model=SnapshotRowDetail)
def snapshot_row(id: str, row: str, truth: Truth, datasets: Datasets) -> JsonReply:
    """A row with everything that it says, what training does with it, and where it came from."""
    record = usable(seen_snapshot(id, truth))
    found, split = datasets.stored.row(record, row)
    with truth.connection() as connection:
        origin = provenance(connection, record, found)
    return JsonReply(_detail(record["snapshot_id"], found, split, origin, named=truth.grant.changes))


@router.get("/diff/{other}", response_model=SnapshotDifference)
def snapshot_difference(
    id: str,
    other: str,
    truth: Truth,
    datasets: Datasets,
    sort: Sort = "changed",
    limit: Limit = 50,
    after: AfterNumber = None,
) -> JsonReply:
    """What differs from this snapshot to another of its kind. The first time it takes a while: ask again while there is
    a `job`."""
    a, b = usable(seen_snapshot(id, truth)), usable(seen_snapshot(other, truth))
    found = datasets.difference(a["snapshot_id"], b["snapshot_id"], scope=truth.scope)
    if isinstance(found, BackgroundJob):
        return JsonReply(SnapshotDifference(a=a["snapshot_id"], b=b["snapshot_id"], job=job_shown(found), sort=sort))
    start = after or 0
    named = found.ids.get(sort, [])
    ids = named[start : start + limit]
    before = datasets.stored.rows(a, ids) if sort != "added" else {}
    later = datasets.stored.rows(b, ids) if sort != "removed" else {}
    rows = [DifferentRow(row_id=one, before=_short(before.get(one)), after=_short(later.get(one))) for one in ids]
    counts = {name: getattr(found, name) for name in ("same", "added", "removed", "changed", "recertified", "moved")}
    following = start + limit if start + limit < len(named) else None
    return JsonReply(
        SnapshotDifference(a=found.a, b=found.b, counts=counts, sort=sort, named=len(named), rows=rows, next=following)
    )


def _short(found: tuple[Row, str] | None) -> SnapshotRow | None:
    return _row_shown(summary(0, *found)) if found else None


def _row_shown(one: RowSummary) -> SnapshotRow:
    return SnapshotRow.model_validate({**asdict(one), "sources": _origins(one.sources, one.session_id)})


def _origins(sources: Any, session_id: str) -> list[RowOrigin]:
    return [RowOrigin(part=one.part, node_id=one.node_id, session_id=session_id) for one in sources]


def _detail(snapshot_id: str, row: Row, split: str, origin: Provenance, *, named: bool) -> SnapshotRowDetail:
    same = (
        *("row_id", "kind", "session_id", "label", "label_source", "stratum", "negative", "evidence", "score"),
        *("margin", "agreement", "anchor", "tools"),
    )
    parts = [
        RowPart(
            name=name,
            messages=[RowMessage(effect=effect(row, name, one), message=compact(one)) for one in getattr(row, name)],
        )
        for name in KINDS[row.kind].columns
    ]
    hidden: dict[str, str] = {} if named else {"decided_by": "", "note": ""}
    judgements = [
        RowJudgement.model_validate({**one, **(hidden if one["given_by"] == "person" else {})})
        for one in origin.judgements
    ]
    return SnapshotRowDetail(
        snapshot_id=snapshot_id,
        split=split,
        **{name: getattr(row, name) for name in same},
        notes=list(row.notes),
        parts=[one for one in parts if one.messages],
        sources=_origins(row.sources, row.session_id),
        nodes=[RowNode.model_validate(one) for one in origin.nodes],
        judgements=judgements,
        figures=[AdmissionFigure.model_validate(asdict(one)) for one in origin.figures],
    )
