"""Lines of labels made outside Regraft: a CSV or JSONL file that names answers and their judgements.

A line names an answer by ``node``, ``turn`` or ``key``, or two by the same with ``_a`` and ``_b``; and it holds a
``label`` (true or false), a ``rating``, a ``rank``, or the ``preference`` between the two. Reviews of FastChat
(``answer1_id``, ``answer2_id``, ``score``) are such lines, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from regraft.domain.capture.importers.conversation import Judgement
from regraft.domain.capture.importers.moment import nanoseconds
from regraft.domain.capture.importers.values import figure, mapping, name, text
from regraft.domain.capture.judges import JUDGES, judge_of
from regraft.domain.errors import RegraftError
from regraft.domain.ids import Number

_TARGETS = ("node", "turn", "key")
_VERDICTS = ("label", "rating", "rank", "preference")
_WHO = ("annotator", "reviewer", "judge", "reviewer_id")
_TRUE = frozenset({"true", "yes", "1", "1.0", "good", "thumbs_up"})
_FALSE = frozenset({"false", "no", "0", "0.0", "bad", "thumbs_down"})
_SIDES = {
    **dict.fromkeys(("a", "1", "first"), (1.0, 0.0)),
    **dict.fromkeys(("b", "2", "second"), (0.0, 1.0)),
    **dict.fromkeys(("equal", "tie", "0"), (0.5, 0.5)),
    **dict.fromkeys(("both_bad", "both bad"), (0.0, 0.0)),
}


class UnreadableLabelError(RegraftError):
    """A line of labels that cannot be taken. Lines with one fault share the reason."""


@dataclass(frozen=True, slots=True)
class Target:
    """An answer: ``kind`` is node, turn or key."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelDefaults:
    """What holds for lines that do not say it; ``key_prefix`` is put before every key."""

    source: str = ""
    annotator: str = ""
    given_by: str = ""
    key_prefix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelLine:
    """Judgements, each with the answer that it is about; ``pair``: it prefers one of two. ``given_ns`` is a time."""

    judgements: tuple[tuple[Target, Judgement], ...]
    pair: bool = False
    given_ns: int | None = None


def is_label_line(value: Any) -> bool:
    """Whether a record is a line of labels."""
    line = mapping(value)
    if "messages" in line or "conversations" in line:
        return False
    if _is_review(line):
        return True
    return any(key in line for key in _VERDICTS) and any(
        key in line for target in _TARGETS for key in (target, f"{target}_id", f"{target}_a")
    )


def read_label_line(value: Any, defaults: LabelDefaults) -> LabelLine:
    """Raises UnreadableLabelError with the reason why a line says nothing that can be stored."""
    line = {key: each for key, each in mapping(value).items() if each is not None and each != ""}
    if _is_review(line):
        line = _review(line)
    source = text(line.get("source")) or defaults.source
    if not source:
        raise UnreadableLabelError("no source: who the labels are from")
    annotator = next((name(line[key]) for key in _WHO if name(line.get(key))), "")
    if not annotator or ("reviewer_id" in line and not any(key in line for key in _WHO[:3]) and defaults.annotator):
        annotator = defaults.annotator
    given_by = text(line.get("given_by")) or defaults.given_by or judge_of(source, annotator)
    if given_by and given_by not in JUDGES:
        raise UnreadableLabelError("a given_by that is not person, model or program")
    verdicts = [key for key in _VERDICTS if key in line]
    if len(verdicts) != 1:
        raise UnreadableLabelError(
            "several verdicts in one line" if verdicts else "no label, rating, rank or preference"
        )
    (verdict,) = verdicts

    def judged(kind: str, value: float, **more: Any) -> Judgement:
        comment = text(line.get("comment")) or text(line.get("note")) or None
        return Judgement(
            name=kind, value=value, source=source, annotator=annotator, given_by=given_by, comment=comment, **more
        )

    given_ns = nanoseconds(line.get("given_at"))
    if "given_at" in line and given_ns is None:
        raise UnreadableLabelError("a given_at that is not a time")
    if verdict == "preference":
        targets = [_target(line, f"_{side}", defaults) for side in "ab"]
        if targets[0] == targets[1]:
            raise UnreadableLabelError("a preference between an answer and itself")
        sides = _SIDES.get(_word(line["preference"]))
        if sides is None:
            raise UnreadableLabelError("a preference that is not a, b, equal or both_bad")
        both = tuple((target, judged("preferred", side)) for target, side in zip(targets, sides, strict=True))
        return LabelLine(judgements=both, pair=True, given_ns=given_ns)
    target = _target(line, "", defaults)
    if verdict == "label":
        word = _word(line["label"])
        if word not in _TRUE | _FALSE:
            raise UnreadableLabelError("a label that is neither true nor false")
        return LabelLine(judgements=((target, judged("label", float(word in _TRUE))),), given_ns=given_ns)
    value_of = _figure(line[verdict])
    if value_of is None:
        raise UnreadableLabelError(f"a {verdict} that is not a number")
    if verdict == "rank":
        comparison = name(line.get("comparison"))
        return LabelLine(judgements=((target, judged("rank", value_of, comparison=comparison)),), given_ns=given_ns)
    scale = _scale(line)
    if scale and not scale[0] <= value_of <= scale[1]:
        raise UnreadableLabelError("a rating beyond its scale")
    kind = f"score:{text(line['name'])}" if text(line.get("name")) else "rating"
    return LabelLine(judgements=((target, judged(kind, value_of, scale=scale)),), given_ns=given_ns)


def _target(line: Mapping[str, Any], side: str, defaults: LabelDefaults) -> Target:
    found = [
        Target(kind, each)
        for kind in _TARGETS
        for key in (f"{kind}{side}", f"{kind}_id{side}")
        if (each := name(line.get(key)).strip())
    ]
    which = f" of side {side[1:]}" if side else ""
    if not found:
        raise UnreadableLabelError(f"no node, turn or key{which}")
    if len(found) > 1:
        raise UnreadableLabelError(f"several names of one answer{which}")
    (target,) = found
    if target.kind == "key":
        return Target("key", f"{defaults.key_prefix}{target.name}")
    try:
        return Target(target.kind, str(UUID(target.name)))
    except ValueError:
        raise UnreadableLabelError(f"a {target.kind} that is not a whole id{which}") from None


def _scale(line: Mapping[str, Any]) -> tuple[float, float] | None:
    low, high = _figure(line.get("scale_low")), _figure(line.get("scale_high"))
    if low is None and high is None:
        return None
    if low is None or high is None or low >= high:
        raise UnreadableLabelError("a scale without a lower and a higher end")
    return low, high


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return (str(value) if isinstance(value, int | Number) else text(value)).strip().casefold()


def _figure(value: Any) -> float | None:
    if isinstance(value, str | float):
        try:
            value = Number(str(float(value)))
        except ValueError:
            return None
    return figure(value)


def _is_review(line: Mapping[str, Any]) -> bool:
    return "answer1_id" in line and "answer2_id" in line and "score" in line


def _review(line: Mapping[str, Any]) -> dict[str, Any]:
    scores = line["score"]
    found = [_figure(each) for each in scores] if isinstance(scores, list) and len(scores) == 2 else []
    first, second = found or (None, None)
    if first is None or second is None or first < 0 or second < 0:
        raise UnreadableLabelError("a review without two scores")
    kept = {key: line[key] for key in ("source", "given_by", "given_at", *_WHO) if key in line}
    return {
        **kept,
        "key_a": line["answer1_id"],
        "key_b": line["answer2_id"],
        "preference": "equal" if first == second else "a" if first > second else "b",
        "comment": line.get("text"),
    }


def given_at(line: LabelLine, now: datetime) -> datetime:
    """When a line's judgements were made: as it says, else when they are stored."""
    if line.given_ns is None:
        return now
    return datetime.fromtimestamp(line.given_ns // 1_000_000_000, tz=now.tzinfo)
