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
_FEEDBACK = "feedback"
_THUMBS = {"thumbs_up": 1.0, "thumbsup": 1.0, "up": 1.0, "thumbs_down": -1.0, "thumbsdown": -1.0, "down": -1.0}
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
    """The judgements in the numbers of a line, and in the thumb under ``feedback``."""
    found = []
    thumb, comment = _thumb(line)
    if thumb is not None:
        found.append(Judgement(name="vote", value=thumb, source=source, comment=comment))
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
    thumbs = {_FEEDBACK} if _thumb(line)[0] is not None else set()
    return frozenset(key for key in line if key in FIGURES and number(line[key]) is not None) | thumbs


def _thumb(line: dict[str, Any]) -> tuple[float | None, str | None]:
    """A thumb and its comment, where nothing else is said with them."""
    given = line.get(_FEEDBACK)
    said = given if isinstance(given, dict) else {"rating": given}
    rating = said.get("rating")
    if not isinstance(rating, str) or said.keys() - {"rating", "comment"}:
        return None, None
    return _THUMBS.get(rating.lower().replace("-", "_")), text(said.get("comment")) or None
