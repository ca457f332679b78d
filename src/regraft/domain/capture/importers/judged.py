"""Numbers that judge the answer of a line: rewards, ratings, scores, labels."""

from __future__ import annotations

from typing import Any

from regraft.domain.capture.importers.conversation import Judgement
from regraft.domain.capture.importers.values import figure, text
from regraft.domain.ids import Number

_AS_THEY_ARE = {
    "reward": "reward",
    "success": "success",
    "vote": "vote",
    "rank": "rank",
    "preferred": "preferred",
    "score": "score",
}
_LABELS = frozenset({"label", "kto_tag"})
_SCORES = frozenset(
    {"rating", "quality", "overall_score", "fine-grained_score", "helpfulness", "correctness", "coherence"}
    | {"complexity", "verbosity", "honesty", "truthfulness", "instruction_following", "instruction-following"}
    | {"harmlessness", "safety", "toxicity", "average_rating", "quality_score", "reward_score", "rm_score"}
)
FIGURES = _AS_THEY_ARE.keys() | _LABELS | _SCORES


def number(value: Any) -> float | None:
    """A figure or a truth value, also one that was written as text."""
    if isinstance(value, str):
        if value.lower() in ("true", "false"):
            return float(value.lower() == "true")
        try:
            return figure(Number(str(float(value))))
        except ValueError:
            return None
    return figure(value)


def judgements(line: dict[str, Any], source: str) -> tuple[Judgement, ...]:
    """The judgements in the numbers of a line."""
    found = []
    for key in line:
        if key not in FIGURES:
            continue
        value = number(line[key])
        if value is None:
            continue
        name = "preferred" if key in _LABELS else _AS_THEY_ARE.get(key) or f"score:{key}"
        comment = text(line.get(f"{key}_comment")) or None
        found.append(Judgement(name=name, value=value, source=source, comment=comment))
    return tuple(found)


def read_figures(line: dict[str, Any]) -> frozenset[str]:
    """The members that are read as figures."""
    return frozenset(key for key in line if key in FIGURES and number(line[key]) is not None)
