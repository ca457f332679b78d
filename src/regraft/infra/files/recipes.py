"""Recipes of datasets: small TOML texts under version control; files of the user's, and the built-in ones."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from datetime import UTC, date, datetime
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, model_validator

from regraft.domain.datasets.formats import FORMATS
from regraft.domain.datasets.recipe import (
    DEFAULT_LABELS,
    DEFAULT_SPLITS,
    Content,
    Filters,
    KindName,
    Label,
    Negative,
    Recipe,
    Sides,
    Stratum,
)
from regraft.domain.errors import ConflictError, NotFoundError, UnavailableError, UsageError
from regraft.domain.evaluation.calibration import MIN_AGREEMENT, MIN_JUDGED
from regraft.domain.evaluation.score import Weights
from regraft.infra.config.document import Mistake, mistakes_of, parse_document
from regraft.infra.config.example import example
from regraft.infra.config.section import FileSection

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError(f"must contain only lower-case letters, digits, '-' and '_', as in 'my-set', not {value!r}")
    return value


def _as_time(value: object) -> object:
    with suppress(ValueError):
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if not isinstance(value, datetime):
        raise ValueError(f"must be a date, or a date and time, as in 2026-01-31T12:00:00Z, not {value!r}")
    return value if value.tzinfo else value.replace(tzinfo=UTC)


Name = Annotated[str, AfterValidator(_name)]
Time = Annotated[datetime, BeforeValidator(_as_time)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=0, le=10**9)]


class SourceSection(FileSection):
    """Which conversations are read, and which sources may decide."""

    themes: list[str] = Field([], description="themes; empty: all")
    purposes: list[str] = Field(
        ["chat", "replay", "import"],
        description="what the calls were made for; empty: all but side calls (`side:title`, or `side` for all of them)",
    )
    models: list[str] = Field([], description="models that answered; empty: all")
    since: Time | None = Field(None, description="only calls from this time on; a date, or a date and time (UTC)")
    until: Time | None = Field(None, description="only calls before this time")
    labels: list[Label] = Field(list(DEFAULT_LABELS), description="the sources that may decide")
    min_score: Share = Field(0.0, description="least score; a path without any judgement has about 0.5")
    min_outcome: Share = Field(0.5, description="least reported outcome of a path to imitate")
    min_fidelity: Share = Field(0.0, description="least share of recorded tool results in a rollout")
    min_agreement: Share = Field(
        MIN_AGREEMENT,
        description="least agreement with people (Cohen's kappa) of a model that decides; 0: every model may",
    )
    min_judged: Count = Field(MIN_JUDGED, description="least number of items from which that agreement is known")
    endings: list[Literal["finished", "tool_use", "cut"]] = Field(
        ["finished", "tool_use"], description="how answers to learn from may have ended; `cut`: at a limit of tokens"
    )

    @model_validator(mode="after")
    def _has_a_period(self) -> SourceSection:
        if self.since and self.until and self.since >= self.until:
            raise ValueError(f"since must be before until, and {self.since} is not before {self.until}")
        return self


class SelectSection(FileSection):
    """How many rows are selected, and by which strata."""

    strata: list[Stratum] = Field(
        ["theme"], description="what a stratum is: any of theme, model, purpose, task, category, cluster"
    )
    k_per_stratum: Count = Field(
        0,
        validation_alias=AliasChoices("k_per_stratum", "k_per_theme"),
        description="most rows of one stratum, the best first; 0: no limit",
    )
    per_context: Count = Field(1, description="most rows of one context or task; 0: no limit")
    min_margin: Share = Field(0.0, description="least margin between the two sides of a pair")
    negatives: list[Negative] = Field(
        ["suppression_candidate"], description="types of negatives that suppression and unlearning take"
    )
    retain_per_forget: float = Field(1.0, ge=0.0, description="unlearning: rows to retain for each row to forget")
    sides: Sides = Field(
        "answers",
        description="dpo, reward: a side is one answer, or its `continuations` too, to the end of the path; then"
        " what came of the paths decides",
    )


class ContentSection(FileSection):
    """What rows keep of the messages, and which answers in them count."""

    reasoning: bool = Field(False, description="keep what models thought before they answered")
    learn: Literal["all", "last", "models"] = Field("all", description="answers of a conversation to learn from")
    learn_models: list[str] = Field([], description='the models of `learn = "models"`')
    developer: Literal["keep", "system"] = Field(
        "keep", description="developer messages stay, or become system messages"
    )
    unlisted_tools: Literal["refuse", "keep"] = Field(
        "refuse", description="rows that call a tool which is not in the tool list of the request"
    )

    @model_validator(mode="after")
    def _names_models(self) -> ContentSection:
        if (self.learn == "models") != bool(self.learn_models):
            raise ValueError('learn = "models" and learn_models belong together: give both or neither')
        return self


class FiltersSection(FileSection):
    """Filters for legal rows, and replacements in the rest."""

    tokenizer: str = Field("", description="tokenizer of the length limits: cl100k, o200k, llama3, qwen, or a file")
    min_tokens: Count = Field(0, description="least length of a row in tokens; 0: no limit")
    max_tokens: Count = Field(0, description="greatest length of a row in tokens; 0: no limit")
    languages: list[str] = Field([], description="languages of the answers, as ISO 639-1 codes; empty: all")
    near_duplicates: Share = Field(
        0.0, description="share of common 5-grams of words from which two rows count as one; 0: only equal rows do"
    )
    decontaminate: list[str] = Field([], description="files of evaluation prompts (JSON Lines or text)")
    ngram: int = Field(13, ge=3, le=64, description="words in a row that a row may not share with those prompts")
    redact: Literal["", "secrets", "pii"] = Field("", description="what is replaced: secrets, or personal data too")

    @model_validator(mode="after")
    def _has_tokenizer(self) -> FiltersSection:
        if (self.min_tokens or self.max_tokens) and not self.tokenizer:
            raise ValueError("limits in tokens need a tokenizer, as in tokenizer = 'o200k'")
        return self


class WeightsSection(FileSection):
    """The weights of the parts of a score; by default each outweighs all that follow it."""

    human: float = Field(8.0, ge=0.0, description="ratings by people")
    outcome: float = Field(4.0, ge=0.0, description="reported outcomes")
    judge: float = Field(2.0, ge=0.0, description="judgements by models")
    signals: float = Field(1.0, ge=0.0, description="what was measured")


class RecipeFile(FileSection):
    """The definition of a dataset: source, selection, content, filters and splits."""

    name: Name = Field(description="the dataset's name")
    kind: KindName = Field(description="sft, dpo, reward, suppression or unlearning")
    description: str = Field("", description="a line for the dataset card")
    targets: list[str] = Field([], description="the trainers that it is exported for")
    source: SourceSection = SourceSection()
    select: SelectSection = SelectSection()
    content: ContentSection = ContentSection()
    filters: FiltersSection = FiltersSection()
    weights: WeightsSection = WeightsSection()
    splits: dict[Name, Annotated[float, Field(ge=0.0)]] = Field(
        dict(DEFAULT_SPLITS), description="share of each split; they sum to 1"
    )
    split_by_task: bool = Field(False, description="keep all rows of one task in one split")

    @model_validator(mode="after")
    def _is_whole(self) -> RecipeFile:
        total = sum(self.splits.values()) if self.splits else 1.0
        if abs(total - 1.0) > 1e-6:
            raise ValueError(f"the ratios in [splits] must sum to 1, not {total:g}")
        for name in self.targets:
            if name not in FORMATS or self.kind not in FORMATS[name].kinds:
                fitting = ", ".join(one for one, target in FORMATS.items() if self.kind in target.kinds)
                raise ValueError(f"targets names {name!r}, which takes no {self.kind}; these do: {fitting}")
        if not any(self.weights.model_dump().values()):
            raise ValueError("at least one of [weights] must be above 0")
        return self


def parse_recipe(text: str, source: str = "the recipe") -> Recipe:
    """The recipe that a TOML text describes. Raises ConfigError with a line for each mistake."""
    read = parse_document(text, source, RecipeFile)
    sections: dict[str, Any] = {**read.source.model_dump(), **read.select.model_dump()}
    return Recipe(
        name=read.name,
        kind=read.kind,
        description=read.description,
        targets=tuple(read.targets),
        **_tuples(sections),
        content=Content(**_tuples(read.content.model_dump())),
        filters=Filters(**_tuples(read.filters.model_dump())),
        weights=Weights(**read.weights.model_dump()),
        splits=read.splits or dict(DEFAULT_SPLITS),
        split_by_task=read.split_by_task,
        text=text,
    )


def recipe_mistakes(text: str) -> list[Mistake]:
    """What is wrong with the text of a recipe; nothing where it is one."""
    return mistakes_of(text, RecipeFile)


def _tuples(section: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in section.items()}


def recipe_example(name: str, kind: str) -> str:
    """A recipe with every key, its default and its meaning. Raises ConfigError when the name or the kind is unknown."""
    text = example(RecipeFile, {"name": name, "kind": kind})
    parse_recipe(text)
    return text


def built_in() -> dict[str, Traversable]:
    """The recipes that come with Regraft, by name."""
    folder = files("regraft").joinpath("recipes")
    found = {file.name.removesuffix(".toml"): file for file in folder.iterdir() if file.name.endswith(".toml")}
    return dict(sorted(found.items()))


def recipe_text(recipe: str, folder: Path | None = None) -> str:
    """The text of a recipe: a file's, else that of a saved one in ``folder``, else that of a built-in one.

    Raises NotFoundError that lists those.
    """
    known = built_in()
    path = Path(recipe)
    saved = saved_recipe(folder, recipe) if folder is not None else None
    try:
        if saved is not None and not path.exists():
            return saved.read_text("utf-8")
        if recipe in known and not path.exists():
            return known[recipe].read_text("utf-8")
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise NotFoundError(f"The recipe {recipe} cannot be read: {reason}. Built in: {', '.join(known)}.") from error


def saved_recipe(folder: Path, name: str) -> Path | None:
    """The file of a saved recipe; None where there is none of this name."""
    path = folder / f"{name}.toml"
    return path if _NAME.fullmatch(name) and path.is_file() else None


def saved_recipes(folder: Path) -> dict[str, Path]:
    """The files of the saved recipes by name; files of other names are none."""
    found = {path.stem: path for path in folder.glob("*.toml")} if folder.is_dir() else {}
    return {name: path for name, path in sorted(found.items()) if _NAME.fullmatch(name) and path.is_file()}


def save_recipe(folder: Path, name: str, text: str, *, replace: bool = False) -> Path:
    """Write the file of a recipe, whole or not at all. Raises UsageError for a name that is none, ConflictError where
    there is a file and ``replace`` is not asked for, UnavailableError when it cannot be written."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name[:80]!r} is not a valid recipe name: use lower-case letters, digits, '-' and '_'.")
    if name in built_in():
        raise ConflictError(f"{name} is the name of a built-in recipe. Save it under another name.")
    path = folder / f"{name}.toml"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile("w", encoding="utf-8", dir=folder, prefix=".", suffix=".new") as draft:
            draft.write(text)
            draft.flush()
            os.fsync(draft.fileno())
            Path(draft.name).chmod(0o644)
            if replace and (path.exists() or path.is_symlink()):
                path.unlink()
            os.link(draft.name, path)  # never over a file
    except FileExistsError:
        raise ConflictError(f"There is a recipe {name}. Replace it, or save this one under another name.") from None
    except OSError as error:
        raise UnavailableError(f"The recipe {name} cannot be saved in {folder}: {error.strerror}.") from error
    return path
