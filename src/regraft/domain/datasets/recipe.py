"""A recipe: what a dataset is made of, as a small TOML text under version control."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from regraft.domain.capture.endings import WHOLE, Ending
from regraft.domain.errors import ConfigError
from regraft.domain.evaluation.score import Weights
from regraft.domain.ids import Digest, canonical_json, digest

KINDS = ("sft", "dpo")
LABELS = ("human", "imported", "outcome", "model", "signals")
CHOOSABLE: tuple[Ending, ...] = (*WHOLE, "cut")  # endings that a recipe may ask for
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_KEYS = {
    "": {"name", "kind", "description", "source", "select", "splits", "weights"},
    "source": {"themes", "purposes", "models", "min_score", "min_fidelity", "labels", "endings"},
    "select": {"k_per_theme", "per_context", "min_margin"},
    "weights": {one.name for one in fields(Weights)},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What to take, how much of it, and how to split it.

    Empty ``themes`` and ``models`` mean all, and so do ``purposes``, but that a client's side calls must be named
    (``side:title``, or ``side`` for all). ``labels`` names the sources that may decide. ``k_per_theme`` and
    ``per_context`` of 0 mean no limit; ``min_score`` and ``min_margin`` are 0 to 1, and a path without a judgement
    scores about 0.5. ``min_fidelity`` leaves out rollouts of which less of the tools' results is in the record; paths
    that are no rollouts have none. ``endings`` are of answers to learn from: whole ones, and ``cut`` where it is named.
    ``splits`` are ratios by name, in order. ``text`` is the recipe as it was written.
    """

    name: str
    kind: str
    description: str = ""
    themes: tuple[str, ...] = ()
    purposes: tuple[str, ...] = ("chat", "replay")
    models: tuple[str, ...] = ()
    min_score: float = 0.0
    min_fidelity: float = 0.0
    labels: tuple[str, ...] = ("human", "signals")
    endings: tuple[str, ...] = WHOLE
    k_per_theme: int = 0
    per_context: int = 1
    min_margin: float = 0.0
    splits: Mapping[str, float] = field(default_factory=lambda: {"train": 0.9, "validation": 0.1})
    weights: Weights = field(default_factory=Weights)
    text: str = ""

    @property
    def table(self) -> str:
        """The name of the dataset's Iceberg table: the recipe's, without hyphens, which SQL would need to quote."""
        return self.name.replace("-", "_")


def recipe_hash(recipe: Recipe) -> Digest:
    """The digest of what a recipe means: comments, order and blanks are not part of it."""
    meaning = {one.name: getattr(recipe, one.name) for one in fields(recipe) if one.name not in {"text", "description"}}
    meaning["weights"] = [repr(getattr(recipe.weights, one.name)) for one in fields(Weights)]
    meaning["splits"] = [[name, repr(ratio)] for name, ratio in recipe.splits.items()]
    meaning |= {name: repr(meaning[name]) for name in ("min_score", "min_margin")}
    fidelity, endings = meaning.pop("min_fidelity"), sorted(meaning.pop("endings"))
    if fidelity:  # a recipe that says nothing of it keeps the digest that it always had
        meaning["min_fidelity"] = repr(fidelity)
    if endings != sorted(WHOLE):
        meaning["endings"] = endings
    return digest(canonical_json(meaning).encode())


def parse_recipe(text: str) -> Recipe:
    """Read a recipe. Raises ConfigError that names the key and what it should have been."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"The recipe is not TOML: {error}.") from error
    for section, known in _KEYS.items():
        present = table if section == "" else _section(table, section)
        for key in present:
            if key not in known:
                where = f"[{section}]" if section else "the recipe"
                raise ConfigError(f"Unknown key {key!r} in {where}. It may hold: {', '.join(sorted(known))}.")
    source, select = _section(table, "source"), _section(table, "select")
    name, kind = _text(table, "name", ""), _text(table, "kind", "")
    if not _NAME.fullmatch(name):
        raise ConfigError("A recipe needs a name of small letters, digits, hyphens and underscores: name = 'my-set'.")
    if kind not in KINDS:
        raise ConfigError(f"A recipe's kind is one of {', '.join(KINDS)}, not {kind!r}.")
    labels = _texts(source, "labels", ("human", "signals"))
    for label in labels:
        if label not in LABELS:
            raise ConfigError(f"Unknown label source {label!r}. It is one of {', '.join(LABELS)}.")
    endings = _texts(source, "endings", WHOLE)
    for ending in endings:
        if ending not in CHOOSABLE:
            raise ConfigError(f"Unknown ending {ending!r}. It is one of {', '.join(CHOOSABLE)}.")
    splits = {key: _number(value, f"splits.{key}") for key, value in _section(table, "splits").items()}
    splits = splits or {"train": 0.9, "validation": 0.1}
    for split in splits:
        if not _NAME.fullmatch(split):
            raise ConfigError(f"A split's name is of small letters, digits, hyphens and underscores, not {split!r}.")
    if min(splits.values()) < 0 or abs(sum(splits.values()) - 1.0) > 1e-6:
        raise ConfigError(
            f"The ratios in [splits] must not be negative and must sum to 1, not {sum(splits.values()):g}."
        )
    weights = {key: _number(value, f"weights.{key}") for key, value in _section(table, "weights").items()}
    return Recipe(
        name=name,
        kind=kind,
        description=_text(table, "description", ""),
        themes=_texts(source, "themes", ()),
        purposes=_texts(source, "purposes", ("chat", "replay")),
        models=_texts(source, "models", ()),
        min_score=_share(source.get("min_score", 0.0), "source.min_score"),
        min_fidelity=_share(source.get("min_fidelity", 0.0), "source.min_fidelity"),
        labels=labels,
        endings=endings,
        k_per_theme=_count(select.get("k_per_theme", 0), "select.k_per_theme"),
        per_context=_count(select.get("per_context", 1), "select.per_context"),
        min_margin=_share(select.get("min_margin", 0.0), "select.min_margin"),
        splits=splits,
        weights=Weights(**weights),
        text=text,
    )


def _section(table: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = table.get(name, {})
    if not isinstance(value, dict):
        raise ConfigError(f"{name!r} is a section: write [{name}].")
    return value


def _text(table: Mapping[str, Any], key: str, default: str) -> str:
    value = table.get(key, default)
    if not isinstance(value, str):
        raise ConfigError(f"{key!r} must be text.")
    return value


def _texts(table: Mapping[str, Any], key: str, default: tuple[str, ...]) -> tuple[str, ...]:
    value = table.get(key, default)
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        raise ConfigError(f"{key!r} must be a list of texts.")
    return tuple(value)


def _number(value: Any, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{key} must be a number.")
    return float(value)


def _share(value: Any, key: str) -> float:
    number = _number(value, key)
    if not 0.0 <= number <= 1.0:
        raise ConfigError(f"{key} must be from 0 to 1, not {number:g}.")
    return number


def _count(value: Any, key: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ConfigError(f"{key} must be a whole number, 0 for no limit.")
    return value
