"""What the routes of recipes and of work on datasets take and answer."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from regraft.flows.background import State
from regraft.flows.datasets.preview import PreviewSource
from regraft.flows.datasets.recipe_library import LONGEST, Origin
from regraft.flows.datasets.recipe_library import ListedRecipe as ListedRecipeRecord
from regraft.infra.config.document import Mistake as MistakeRecord
from regraft.presentation.web.answer import Model, fields_of

RecipeText = Annotated[str, Field(max_length=LONGEST, description="A recipe as TOML.")]


class Body(BaseModel):
    """What a client sends. An unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RecipeToCheck(Body):
    """A text that may be a recipe."""

    text: RecipeText


class RecipeToSave(RecipeToCheck):
    """A recipe to save. A saved one of the same name is kept unless ``replace``."""

    replace: bool = False


class PreviewRequest(RecipeToCheck):
    """A recipe to preview, its best thousand rows or all. ``page`` names what shows it: a preview that continues for
    the same page is cancelled."""

    page: str = Field("", max_length=40)
    all_rows: bool = False


@fields_of(ListedRecipeRecord)
class ListedRecipe(Model):
    """A recipe. ``problem`` says why a saved text is none."""


class Recipes(Model):
    """All recipes; ``saves``: whether the server has a folder to save more in, and this token may."""

    recipes: list[ListedRecipe]
    saves: bool


@fields_of(MistakeRecord)
class RecipeMistake(Model):
    """What is wrong with a text. ``line`` is from 1, null where it is about the whole."""


class CheckedRecipe(Model):
    """Whether a text is a recipe, of what name and kind; or what is wrong with it."""

    mistakes: list[RecipeMistake]
    name: str | None
    kind: str | None
    description: str | None


class Recipe(CheckedRecipe):
    """A recipe's text, and what it means."""

    origin: Origin
    text: str


@fields_of(PreviewSource)
class RowOrigin(Model):
    """Where a part of a row is in the graph."""


class RefusedExample(Model):
    """A candidate that became no row."""

    row_id: str
    detail: str
    sources: list[RowOrigin]


class PreviewMessage(Model):
    """A message in short: its text may be cut; ``calls`` counts its tool calls."""

    role: str
    text: str
    calls: int


class PreviewRow(Model):
    """A row that would be frozen."""

    row_id: str
    session_id: str
    split: str
    label: str | None
    label_source: str
    score: float
    margin: float
    stratum: str
    negative: str
    evidence: str
    agreement: float | None
    sources: list[RowOrigin]
    messages: list[PreviewMessage]


class TokenFigures(Model):
    """Lengths of rows in tokens of a tokenizer."""

    tokenizer: str
    rows: int
    sum: int
    min: int | None = None
    median: int | None = None
    p95: int | None = None
    max: int | None = None


class Preview(Model):
    """What a freeze would hold. ``whole`` is false when only the best thousand rows were made. ``reasons`` says what
    each reason means, and what to do about it."""

    recipe: str
    kind: str
    rows: int
    whole: bool
    splits: dict[str, int]
    strata: dict[str, int]
    labels: dict[str, int]
    refused: dict[str, int]
    passed_over: dict[str, int]
    examples: dict[str, list[RefusedExample]]
    targets: dict[str, dict[str, int]]
    tokens: TokenFigures
    messages: int
    leakage: dict[str, int]
    filters: dict[str, Any]
    dropped_fields: list[str]
    sample: list[PreviewRow]
    reasons: dict[str, str]


class ChangedRow(Model):
    """A row that does not follow from the log any more, and in what."""

    row_id: str
    how: str


class Verification(Model):
    """What came of a verification: ``files`` and ``rows`` say what is wrong, or are empty."""

    snapshot_id: str
    ok: bool
    checked: int
    files: str
    rows: str
    changed: list[ChangedRow]


class ExportArchive(Model):
    """A zip file to fetch from ``/api/exports/{archive_id}``."""

    archive_id: str
    snapshot_id: str
    target: str
    file_name: str
    size: int
    files: list[str]
    rows: dict[str, int]
    left_out: dict[str, int]
    reasons: dict[str, str]


class FrozenDataset(Model):
    """What a freeze made; ``created`` is false when the very same rows were frozen before."""

    snapshot_id: str
    created: bool
    row_counts: dict[str, int]


class DatasetJob(Model):
    """Work in the background on the dataset or snapshot ``about``: ``done`` of ``total`` of a step, 0 where that is not
    known. One of ``preview``, ``frozen``, ``verification`` and ``export`` is its result."""

    job_id: UUID
    name: str
    about: str
    state: State
    step: str
    done: int
    total: int
    error: str
    created_at: datetime
    ended_at: datetime | None
    preview: Preview | None = None
    frozen: FrozenDataset | None = None
    verification: Verification | None = None
    export: ExportArchive | None = None


class DatasetJobs(Model):
    """Work in the background, the newest first."""

    jobs: list[DatasetJob]
