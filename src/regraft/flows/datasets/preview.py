"""What a recipe would give, without writing anything: rows, refusals with examples, lengths, duplicates, leakage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from regraft.domain.datasets.content import all_messages
from regraft.domain.datasets.formats import FORMATS
from regraft.domain.datasets.formats.format import write_row
from regraft.domain.datasets.messages import RowRefusal, text_of
from regraft.domain.datasets.rows import Row
from regraft.domain.datasets.splits import assign, leakage
from regraft.flows.datasets.assembly import Assembly, assemble
from regraft.flows.datasets.progress import Progress, unwatched
from regraft.flows.datasets.recorded_turns import QUERIES
from regraft.flows.datasets.row_filters.lengths import row_tokens, token_figures
from regraft.infra.files.recipes import parse_recipe
from regraft.infra.garbage import reduced_garbage_collection
from regraft.infra.postgres.arrow import reading
from regraft.infra.text.token_counter import token_counter

SAMPLE = 1_000  # rows that a preview makes, the best first, unless it is asked for all
TOKENIZER = "o200k"  # of the figures in tokens, where the recipe names none
_STEP = 250  # rows between two looks at whether it is still wanted


@dataclass(frozen=True, slots=True)
class LengthSummary:
    """Characters of rows: the least, the middle one, the one below which 95 % are, and the greatest."""

    least: int = 0
    median: int = 0
    p95: int = 0
    greatest: int = 0


@dataclass(frozen=True, slots=True)
class PreviewSource:
    """Where a part of a row, or of what became none, is in the graph."""

    part: str
    node_id: str
    session_id: str


@dataclass(frozen=True, slots=True)
class RefusedExample:
    """A candidate that became no row; ``detail`` says more of the reason, where there is more."""

    row_id: str
    detail: str
    sources: tuple[PreviewSource, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a freeze of the recipe would hold. ``whole`` is False when only the best rows were made.

    ``refused`` and ``passed_over`` count candidates by reason, ``examples`` names some of each reason; ``tokens`` are
    figures of the lengths of rows, in tokens of the recipe's tokenizer or of ``o200k``; ``targets`` counts, for each
    target that takes the kind, the rows that it cannot express, by reason.
    """

    recipe: str
    kind: str
    rows: int
    whole: bool
    splits: Mapping[str, int]
    strata: Mapping[str, int]
    labels: Mapping[str, int]
    refused: Mapping[str, int]
    passed_over: Mapping[str, int]
    examples: Mapping[str, tuple[RefusedExample, ...]]
    targets: Mapping[str, Mapping[str, int]]
    lengths: LengthSummary
    tokens: Mapping[str, Any]
    messages: int
    leakage: Mapping[str, int]
    filters: Mapping[str, object]
    dropped_fields: tuple[str, ...]
    sample: tuple[Mapping[str, Any], ...] = field(default=())


def preview(
    recipe_text: str,
    *,
    dsn: str,
    workbench: Path,
    all_rows: bool = False,
    show: int = 3,
    scope: str | None = None,
    progress: Progress = unwatched,
) -> Preview:
    """Make a recipe's rows, the best thousand unless ``all_rows``, and say what they are; nothing is frozen.

    ``show`` rows come with their texts. ``scope``: only conversations of this tenant are candidates. Raises ConfigError
    for a bad recipe, and what ``progress`` raises.
    """
    recipe = parse_recipe(recipe_text)
    most = 0 if all_rows else SAMPLE
    candidates = assemble(recipe, dsn, workbench, at_most=most, scope=scope, progress=progress)
    with reduced_garbage_collection(), candidates as made:
        targets = {name: _TargetRefusals(name) for name, each in FORMATS.items() if recipe.kind in each.kinds}
        tokenizer = recipe.filters.tokenizer or TOKENIZER
        count = token_counter(tokenizer)
        lengths: list[int] = []
        tokens: list[int] = []
        messages = 0
        shown: list[Mapping[str, Any]] = []
        splits = assign(made.members, recipe.splits, links=made.links)
        for number, row in enumerate(made.rows.rows()):
            if number % _STEP == 0:
                progress("figures", number, len(made))
            texts = all_messages(row)
            messages += len(texts)
            lengths.append(sum(len(text_of(message)) for message in texts))
            tokens.append(row_tokens(row, count))
            for losses in targets.values():
                losses.add(row)
            if number < show:
                shown.append({**_shown(row), "split": splits[number]})
        proof = leakage(made.members, splits, made.links)
        return Preview(
            recipe=recipe.name,
            kind=recipe.kind,
            rows=len(made),
            whole=all_rows or len(made) < SAMPLE,
            splits={name: splits.count(name) for name in recipe.splits},
            lengths=_lengths(lengths),
            tokens=token_figures(tokenizer, tokens),
            messages=messages,
            leakage=asdict(proof),
            targets={name: losses.reasons for name, losses in targets.items()},
            sample=tuple(shown),
            examples=_examples(made, dsn),
            **_counts(made),
        )


def _examples(made: Assembly, dsn: str) -> Mapping[str, tuple[RefusedExample, ...]]:
    """The refused candidates that are named, each with the nodes that it would have been made of."""
    named = made.counts.examples
    turns = sorted({turn for some in named.values() for one in some for turn in one.turns.values()})
    with reading(dsn, QUERIES) as log:
        placed = {row["turn_id"]: row for row in log.rows("nodes_of_turns", turns)} if turns else {}
    return {
        reason: tuple(
            RefusedExample(
                row_id=one.row_id,
                detail=one.detail,
                sources=tuple(
                    PreviewSource(part, placed[turn]["node_id"], placed[turn]["session_id"])
                    for part, turn in one.turns.items()
                    if turn in placed
                ),
            )
            for one in some
        )
        for reason, some in sorted(named.items())
    }


def _counts(made: Assembly) -> dict[str, Any]:
    return {
        "strata": dict(sorted(made.strata.items())),
        "labels": dict(sorted(made.labels.items())),
        "refused": dict(sorted((+made.counts.refused).items())),
        "passed_over": dict(sorted((+made.counts.passed_over).items())),
        "filters": dict(made.filters),
        "dropped_fields": tuple(sorted(made.dropped)),
    }


class _TargetRefusals:
    """Counts the rows that one target cannot express."""

    def __init__(self, name: str) -> None:
        self._target = FORMATS[name]
        self.reasons: dict[str, int] = {}

    def add(self, row: Row) -> None:
        line = write_row(self._target, row)
        if isinstance(line, RowRefusal):
            self.reasons[line.reason] = self.reasons.get(line.reason, 0) + 1


def _lengths(lengths: list[int]) -> LengthSummary:
    if not lengths:
        return LengthSummary()
    ordered = sorted(lengths)
    return LengthSummary(
        least=ordered[0],
        median=int(median(ordered)),
        p95=ordered[min(len(ordered) - 1, len(ordered) * 95 // 100)],
        greatest=ordered[-1],
    )


def _shown(row: Row) -> Mapping[str, Any]:
    messages = [
        {"role": one["role"], "text": text_of(one), "calls": len(one["tool_calls"])} for one in all_messages(row)
    ]
    same = (
        "row_id",
        "session_id",
        "label",
        "label_source",
        "score",
        "margin",
        "stratum",
        "negative",
        "evidence",
        "agreement",
    )
    sources = [{"part": each.part, "node_id": each.node_id, "session_id": row.session_id} for each in row.sources]
    return {**{name: getattr(row, name) for name in same}, "sources": sources, "messages": messages}
