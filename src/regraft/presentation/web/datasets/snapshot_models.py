"""What the routes of frozen datasets take and answer."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BeforeValidator, Field

from regraft.domain.datasets.admission import AdmissionFigure as AdmissionFigureRecord
from regraft.domain.datasets.certificate import Standing
from regraft.domain.datasets.training_mask import Effect
from regraft.flows.datasets.stored import RowPage, RowSummary
from regraft.flows.datasets.withdraw import WithdrawalResult
from regraft.presentation.web.answer import Model, fields_of, hexadecimal
from regraft.presentation.web.datasets.recipe_models import Body, DatasetJob, RowOrigin

Hash = Annotated[str, BeforeValidator(hexadecimal)]
Digits = Annotated[str, BeforeValidator(str)]


class ExportRequest(Body):
    """What the files are for, such as ``trl``."""

    target: str = Field(max_length=40)


class WithdrawalRequest(Body):
    """Why a snapshot must not be trained on any more; ``files``: what only it needs is removed permanently."""

    reason: str = Field(min_length=1, max_length=2000)
    files: bool = False


class Statement(Model):
    """A sentence of a certificate; ``open``: nothing is known, either way."""

    standing: Standing
    text: str


class FilterFigure(Model):
    """What a filter of the recipe did: how many rows it refused, and what it looked for and found."""

    name: str
    refused: int
    text: str


class Target(Model):
    """What a snapshot can be exported for."""

    name: str
    note: str


class Snapshot(Model):
    """A frozen dataset. Hashes are hexadecimal. The 64-bit id in Iceberg is text, as JavaScript cuts it."""

    snapshot_id: str
    dataset: str
    kind: str
    recipe: str
    recipe_hash: Hash
    code_version: str
    lineage_build: int
    iceberg_table: str
    iceberg_snapshot_id: Digits
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
    """A snapshot, how much it holds, and what is proven of it."""

    holds: SnapshotContent
    passed_over: dict[str, Any]
    report: dict[str, Any]
    reasons: dict[str, str]
    statements: list[Statement]
    filters: list[FilterFigure]
    targets: list[Target]
    withdrawn_because: str | None
    successor: str | None


@fields_of(WithdrawalResult)
class Withdrawal(Model):
    """A snapshot that is withdrawn; ``files_removed``: null where they are kept."""


@fields_of(RowSummary)
class SnapshotRow(Model):
    """A row in short: ``asked`` and ``answer`` are cut. ``place`` is its number in the snapshot."""

    sources: list[RowOrigin]


@fields_of(RowPage)
class SnapshotRows(Model):
    """Some rows; ``next`` is the ``after`` of the following page, which begins after the ``looked_at`` rows that this
    one looked at of ``of``: a page may be empty and not the last."""

    rows: list[SnapshotRow]


class RowMessage(Model):
    """A message of a row, as it is stored. ``effect`` says what training does with it: ``learn``, ``avoid``, or nothing
    but read it."""

    effect: Effect
    message: dict[str, Any]


class RowPart(Model):
    """A list of messages of a row: ``messages``, ``prompt``, ``chosen`` and so on."""

    name: str
    messages: list[RowMessage]


class RowNode(Model):
    """A node of a row, ``part`` ``history`` where only its answer is in the row's history. Without a ``depth`` the
    graph has it no more under this id."""

    node_id: UUID
    session_id: UUID
    part: str
    depth: int | None
    branch_kind: str | None
    node_status: str | None
    turn_id: UUID | None
    runs: int | None
    model: str | None
    model_snapshot_id: str | None
    purpose: str | None
    task_key: str | None
    finish_reason: str | None
    started_at: datetime | None
    is_replay: bool | None
    fidelity: float | None
    theme: str | None
    external_id: str | None


class RowJudgement(Model):
    """A judgement of a node of a row, or of two. Only admins see names of people and their notes."""

    kind: Literal["rating", "preference", "judgement", "vote"]
    node_id: UUID
    other_node_id: UUID | None
    name: str
    value: float | None
    scale_low: float | None
    scale_high: float | None
    preference: str | None
    source: str
    decided_by: str | None
    given_by: str | None
    categories: list[str]
    note: str
    given_at: datetime


@fields_of(AdmissionFigureRecord)
class AdmissionFigure(Model):
    """A figure of a row, and what the recipe demands of it."""


class SnapshotRowDetail(Model):
    """A row with everything that it says, and where it came from."""

    snapshot_id: str
    row_id: str
    kind: str
    split: str
    session_id: str
    label: str | None
    label_source: str
    stratum: str
    negative: str
    evidence: str
    score: float
    margin: float
    agreement: float | None
    anchor: str | None
    tools: str | None
    notes: list[str]
    parts: list[RowPart]
    sources: list[RowOrigin]
    nodes: list[RowNode]
    judgements: list[RowJudgement]
    figures: list[AdmissionFigure]


class DifferentRow(Model):
    """A row that differs; ``before`` and ``after`` are what it is in each snapshot, null where it is not in it."""

    row_id: str
    before: SnapshotRow | None
    after: SnapshotRow | None


Sort = Literal["added", "removed", "changed", "recertified", "moved"]


class SnapshotDifference(Model):
    """What differs from snapshot ``a`` to ``b``: null counts while ``job`` finds it out. ``rows`` are those of one
    sort; ``next`` is the ``after`` of the following page. ``named`` counts the rows that can be shown of the sort."""

    a: str
    b: str
    job: DatasetJob | None = None
    counts: dict[str, int] | None = None
    sort: Sort
    named: int = 0
    rows: list[DifferentRow] = Field([])
    next: int | None = None
