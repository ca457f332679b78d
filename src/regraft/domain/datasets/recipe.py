"""A recipe: which rows a dataset contains. ``infra.files.recipes`` reads it from TOML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Literal

from regraft.domain.capture.endings import WHOLE, Ending
from regraft.domain.evaluation.calibration import MIN_AGREEMENT, MIN_JUDGED
from regraft.domain.evaluation.score import Weights
from regraft.domain.ids import Digest, canonical_json, digest

KindName = Literal["sft", "dpo", "reward", "suppression", "unlearning"]
Label = Literal["human", "imported", "outcome", "model", "signals"]
Stratum = Literal["theme", "model", "purpose", "task", "category", "cluster"]
Sides = Literal["answers", "continuations"]
Negative = Literal["hard_negative", "tool_misuse", "hallucination", "noise_reject", "suppression_candidate"]

CHOOSABLE: tuple[Ending, ...] = (*WHOLE, "cut")  # endings that a recipe may ask for
DEFAULT_LABELS: tuple[Label, ...] = ("human", "imported")
DEFAULT_SPLITS: Mapping[str, float] = {"train": 0.9, "validation": 0.1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What rows keep of the recorded messages, and which answers in them count.

    ``reasoning`` keeps what models thought. ``learn`` says which answers of a conversation a trainer learns from: all,
    the last one, or those of ``learn_models``; the others get weight 0. ``developer`` messages stay as they are, or
    become ``system`` messages. ``unlisted_tools`` says whether a call to a tool that is not in the request's tool list
    refuses the row.
    """

    reasoning: bool = False
    learn: Literal["all", "last", "models"] = "all"
    learn_models: tuple[str, ...] = ()
    developer: Literal["keep", "system"] = "keep"
    unlisted_tools: Literal["refuse", "keep"] = "refuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What is left out although it is legal, and what is replaced in the rest.

    Lengths are in tokens of ``tokenizer``, 0 for no limit. ``languages`` are ISO 639-1 codes. ``near_duplicates`` is
    the share of 5-grams of words (Jaccard, 0 to 1) from which two rows count as one; 0 compares exact copies only.
    ``decontaminate`` names files of evaluation prompts; a row that shares ``ngram`` words in a row with one is refused.
    """

    tokenizer: str = ""
    min_tokens: int = 0
    max_tokens: int = 0
    languages: tuple[str, ...] = ()
    near_duplicates: float = 0.0
    decontaminate: tuple[str, ...] = ()
    ngram: int = 13
    redact: Literal["", "secrets", "pii"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What to select, how much of it, and how to split it.

    Empty ``themes`` and ``models`` mean all, and so do ``purposes``, but that a client's side calls must be named
    (``side:title``, or ``side`` for all). ``since`` and ``until`` bound when the calls of a row began, the last one of
    a path and both of a pair; ``until`` itself is outside. ``labels`` names the sources that may decide; of
    models those decide whose agreement with people (Cohen's kappa) is at least ``min_agreement``, on at least
    ``min_judged`` items that people judged too; a ``min_agreement`` of 0 lets every model decide.
    ``k_per_stratum`` and ``per_context`` of 0 mean no limit; ``min_score`` and ``min_margin`` are 0 to 1, and a path
    without a judgement scores about 0.5. ``min_outcome`` leaves out paths whose reported outcome is lower.
    ``min_fidelity`` leaves out rollouts of which less of the tools' results is in the record. ``endings`` are of
    answers to learn from. ``negatives`` are the types that suppression and unlearning take. ``sides`` of pairs
    are single answers, or all that follows them to the ends of their paths. ``retain_per_forget`` is
    how many rows to retain for each row to forget. ``splits`` are ratios by name, in order; with ``split_by_task`` rows
    of one task stay together. ``text`` is the recipe as it was written.
    """

    name: str
    kind: KindName
    description: str = ""
    themes: tuple[str, ...] = ()
    purposes: tuple[str, ...] = ("chat", "replay", "import")
    models: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    min_score: float = 0.0
    min_outcome: float = 0.5
    min_fidelity: float = 0.0
    min_agreement: float = MIN_AGREEMENT
    min_judged: int = MIN_JUDGED
    labels: tuple[Label, ...] = DEFAULT_LABELS
    endings: tuple[Ending, ...] = WHOLE
    strata: tuple[Stratum, ...] = ("theme",)
    k_per_stratum: int = 0
    per_context: int = 1
    min_margin: float = 0.0
    negatives: tuple[Negative, ...] = ("suppression_candidate",)
    retain_per_forget: float = 1.0
    sides: Sides = "answers"
    content: Content = field(default_factory=Content)
    filters: Filters = field(default_factory=Filters)
    splits: Mapping[str, float] = field(default_factory=lambda: dict(DEFAULT_SPLITS))
    split_by_task: bool = False
    weights: Weights = field(default_factory=Weights)
    targets: tuple[str, ...] = ()
    text: str = ""

    @property
    def table(self) -> str:
        """The name of the dataset's Iceberg table: the recipe's, without hyphens, which SQL would need to quote."""
        return self.name.replace("-", "_")


# What a recipe says in addition to the first form of recipes: part of its digest only where it is not the default.
_ADDED = (
    *("since", "until", "min_outcome", "min_fidelity", "strata", "negatives", "retain_per_forget", "sides"),
    *("content", "filters", "split_by_task"),
)
_FIRST = ("name", "kind", "themes", "purposes", "models", "labels", "per_context")


def recipe_hash(recipe: Recipe) -> Digest:
    """The digest of what a recipe means: comments, order, blanks, description and targets are not part of it."""
    meaning: dict[str, Any] = {name: getattr(recipe, name) for name in _FIRST}
    meaning["k_per_theme"] = recipe.k_per_stratum
    meaning["weights"] = [repr(getattr(recipe.weights, one.name)) for one in fields(Weights)]
    meaning["splits"] = [[name, repr(ratio)] for name, ratio in recipe.splits.items()]
    meaning |= {name: repr(getattr(recipe, name)) for name in ("min_score", "min_margin")}
    defaults = {one.name: one for one in fields(Recipe)}
    for name in _ADDED:
        value, default = getattr(recipe, name), defaults[name]
        usual = default.default_factory() if callable(default.default_factory) else default.default
        if value != usual:
            meaning[name] = _meaning(value)
    if recipe.min_agreement and set(recipe.labels) & {"model", "imported"}:
        meaning["min_agreement"] = repr(recipe.min_agreement)  # 0 is what recipes meant before there was a figure
        meaning["min_judged"] = recipe.min_judged
    if sorted(recipe.endings) != sorted(WHOLE):
        meaning["endings"] = sorted(recipe.endings)
    return digest(canonical_json(meaning).encode())


def _meaning(value: Any) -> Any:
    if isinstance(value, Content | Filters):
        return {one.name: _meaning(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return [_meaning(one) for one in value]
    return repr(value) if isinstance(value, float) else value
