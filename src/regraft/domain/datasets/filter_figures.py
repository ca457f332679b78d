"""What each filter of a recipe did to the rows of a dataset, in figures and a sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Figures = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterFigure:
    """``name`` is the filter, ``refused`` how many rows it left out, ``text`` what it looked for and found."""

    name: str
    refused: int
    text: str


def filter_figures(report: Mapping[str, Any], refused: Mapping[str, int]) -> tuple[FilterFigure, ...]:
    """The filters of a dataset in the order in which rows pass them, from what its freeze recorded: its ``report``, and
    the ``refused`` rows by reason. A filter that the recipe did not ask for is left out."""
    found = report.get("filters") or {}
    return tuple(
        FilterFigure(name=name, refused=sum(refused.get(reason, 0) for reason in reasons), text=text(found[key]))
        for key, (name, reasons, text) in _FILTERS.items()
        if found.get(key)
    )


def _decontamination(found: Figures) -> str:
    files = found.get("files") or {}
    said = [
        f"{name} with {figures.get('prompts', 0)} prompts (rows that fell to it: {figures.get('rows', 0)})"
        for name, figures in sorted(files.items())
    ]
    return f"runs of {found.get('ngram')} words in a row, compared with {'; '.join(said) or 'no file'}"


def _languages(found: Figures) -> str:
    return f"wanted: {', '.join(found.get('wanted') or ())}; answers by language: {_listed(found.get('rows') or {})}"


def _redaction(found: Figures) -> str:
    what = "secrets and personal data" if found.get("what") == "pii" else "secrets"
    replaced = found.get("replaced") or {}
    kinds = f": {_listed(replaced)}" if replaced else ""
    return f"{what}, {sum(replaced.values())} replaced in {found.get('rows', 0)} rows{kinds}"


def _lengths(found: Figures) -> str:
    counted = f"counted in tokens of {found.get('tokenizer')}"
    if "median" not in found:
        return f"{counted}; no row is within the limits"
    spread = f"{found['min']} to {found['max']}, median {found['median']}, 95 % below {found['p95']}"
    return f"{counted}; rows within the limits: {spread}, {found['sum']} in all"


def _near_duplicates(found: Figures) -> str:
    return (
        f"rows that share {found.get('threshold', 0):.0%} or more of their runs of {found.get('words_of_a_run')} words"
        f" with a better one; {found.get('links', 0)} pairs of kept rows share {found.get('same_split_from', 0):.0%} or"
        " more, and a split"
    )


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "none"


# By their names in a report: a name for people, the reasons that they refuse for, and their sentence.
_FILTERS: Mapping[str, tuple[str, tuple[str, ...], Callable[[Figures], str]]] = {
    "decontamination": ("decontamination", ("contaminated",), _decontamination),
    "languages": ("languages", ("other_language",), _languages),
    "redaction": ("redaction", ("redaction_breaks_call",), _redaction),
    "tokens": ("lengths", ("too_short", "too_long"), _lengths),
    "near_duplicates": ("near_duplicates", ("near_duplicate",), _near_duplicates),
}
