"""A frozen dataset's certificate in sentences: what is proven, what is not, and what to check."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Standing = Literal["proven", "open", "warning"]

UNCALIBRATED = "model (uncalibrated)"  # who decided a row: a model that is not known to agree with people


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence. ``open``: it is not known whether it holds."""

    standing: Standing
    text: str


def statements(leakage: Mapping[str, int], report: Mapping[str, Any], rows: int) -> tuple[Statement, ...]:
    """The sentences of a snapshot, from the report of its freeze; none from an empty ``report``, which the reader may
    not see. ``rows``: the number of its rows."""
    if not report:
        return tuple(_leakage(leakage))
    filters = report.get("filters") or {}
    return (
        *_leakage(leakage),
        *_deciders(report.get("labels") or {}, rows),
        _duplicates(filters.get("near_duplicates")),
        _contamination(filters.get("decontamination")),
        _redaction(filters.get("redaction")),
    )


def _leakage(found: Mapping[str, int]) -> Iterator[Statement]:
    for key, what in (
        ("sessions_in_two_splits", "conversation has rows"),
        ("contents_in_two_splits", "text of a row or of a prompt is"),
    ):
        count = found.get(key, 0)
        if count:
            yield Statement("warning", f"{count} times the same {what} in two splits.")
        else:
            yield Statement("proven", f"No {what} in two splits.")


def _deciders(labels: Mapping[str, int], rows: int) -> Iterator[Statement]:
    uncalibrated = labels.get(UNCALIBRATED, 0)
    if uncalibrated:
        yield Statement(
            "warning",
            f"{uncalibrated} of {rows} rows were decided by a model that is not known to agree with people.",
        )
    elif labels:
        yield Statement("proven", "The label source is recorded for each row, and no unproven model decided.")
    undecided = labels.get("none", 0) + labels.get("signals", 0) + labels.get("", 0)
    if undecided:
        yield Statement("open", f"{undecided} of {rows} rows have no judgement: they were only measured.")


def _duplicates(figures: Mapping[str, Any] | None) -> Statement:
    if not figures:
        return Statement("open", "No two rows are equal; near-duplicates were not searched for.")
    return Statement(
        "proven",
        f"No two rows share {figures.get('threshold', 0):.0%} of their runs of words or more: they were compared.",
    )


def _contamination(figures: Mapping[str, Any] | None) -> Statement:
    if not figures:
        return Statement("open", "Rows were not compared with evaluation prompts.")
    files = ", ".join(sorted(figures.get("files") or {}))
    return Statement("proven", f"No row shares {figures.get('ngram')} words in a row with a prompt of {files}.")


def _redaction(figures: Mapping[str, Any] | None) -> Statement:
    if not figures:
        return Statement("open", "Nothing was redacted: rows may hold secrets and personal data.")
    replaced = sum((figures.get("replaced") or {}).values())
    what = "Secrets and personal data" if figures.get("what") == "pii" else "Secrets"
    return Statement("proven", f"{what} were looked for and replaced by placeholders: {replaced} in all.")
