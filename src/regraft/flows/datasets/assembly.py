"""Rows from a recipe: choose paths or pairs, fetch what was said from the truth, refuse what is not legal."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from regraft.domain.datasets.formats import trl
from regraft.domain.datasets.recipe import Recipe
from regraft.domain.datasets.rows import (
    Message,
    Refusal,
    Row,
    Source,
    canonical_messages,
    content_keys,
    dropped_fields,
    tool_list,
)
from regraft.domain.datasets.selection import Scored, top
from regraft.domain.evaluation.score import PARTS, ScoreParts, human_part, score
from regraft.domain.ids import parse_json
from regraft.flows.evaluation.pairs import propose_pairs
from regraft.flows.evaluation.trajectories import materialise_units
from regraft.infra.duckdb.evaluation.workbench import Workbench
from regraft.infra.postgres.arrow import ArrowReader, reading

_BATCH = 500  # rows in memory as wire messages at a time

_PARTS = {"human": "human", "outcome": "outcome", "model": "judge", "signals": "signals"}
_SOURCES = {
    "human": ("human", "ratings"),
    "imported": ("imported",),
    "outcome": ("outcome",),
    "model": ("model",),
    "signals": ("signals",),
}
_LABELS = (("human", "ratings"), ("outcome", "outcome"), ("judge", "model"), ("signals", "signals"))
_STRENGTH = {"human": 5.0, "imported": 4.0, "ratings": 3.0, "outcome": 2.0, "model": 1.0, "signals": 0.0}


@dataclass(frozen=True, slots=True)
class Truth:
    """One call of the execution log in canonical form; ``refusal`` says why it has none."""

    node_id: str
    session_id: str
    history: tuple[Message, ...]
    answer: tuple[Message, ...]
    tools: str | None
    tools_digest: str | None
    dropped: frozenset[str]
    refusal: Refusal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A row to be made: its turns by part, where it belongs, and what it is worth among its like."""

    row_id: str
    kind: str
    turns: Mapping[str, str]
    theme: str
    anchor: str | None
    label_source: str
    margin: float
    score: float
    rank: float


@dataclass(frozen=True, slots=True)
class Assembly:
    """The rows of a recipe; what was refused, by reason; what did not match or was not among the best, by cause; which
    message fields were dropped; and the graph's build."""

    rows: tuple[Row, ...]
    refused: Mapping[str, int]
    passed_over: Mapping[str, int]
    dropped: tuple[str, ...]
    build: int


def assemble(recipe: Recipe, dsn: str, workbench: Path) -> Assembly:
    """Bring the workbench up to the graph and make the recipe's rows, in the order of their ids."""
    build = materialise_units(dsn, workbench).build
    propose_pairs(dsn, workbench)
    bench = Workbench(workbench)
    refused: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    dropped: set[str] = set()
    made: list[tuple[Plan, Row]] = []
    with reading(dsn, "postgres/evaluation/evaluation") as truth:
        if recipe.kind == "sft":
            plans = _paths(recipe, bench.units(), truth.rows("ratings"), refused, passed)
        else:
            plans = _pairs(recipe, bench.pairs(), refused, passed)
        for batch in _batches(sorted(plans, key=lambda plan: plan.row_id)):
            truths = turn_truths(truth, [turn for plan in batch for turn in plan.turns.values()])
            for plan in batch:
                row = proven(row_of(plan, truths))
                if isinstance(row, Refusal):
                    refused[row.reason] += 1
                    continue
                dropped.update(*(truths[turn].dropped for turn in plan.turns.values()))
                made.append((plan, row))
    kept = _distinct(made, refused)
    if recipe.kind == "dpo":
        kept = _best(kept, lambda plan: plan.anchor, recipe.per_context, passed)
    kept = _best(kept, lambda plan: plan.theme, recipe.k_per_theme, passed)
    return Assembly(
        rows=tuple(sorted((row for _, row in kept), key=lambda row: row.row_id)),
        refused=dict(sorted((+refused).items())),
        passed_over=dict(sorted((+passed).items())),
        dropped=tuple(sorted(dropped)),
        build=build,
    )


def _paths(
    recipe: Recipe,
    units: Iterable[Mapping[str, Any]],
    rated: Iterable[Mapping[str, Any]],
    refused: Counter[str],
    passed: Counter[str],
) -> list[Plan]:
    """The best paths of each task, or of each context where calls named no task."""
    ratings = {row["unit_id"]: json.loads(row["ratings"]) for row in rated}
    allowed = {_PARTS[label] for label in recipe.labels if label in _PARTS}
    candidates = []
    for unit in units:
        cause = _mismatch(recipe, unit["theme"], [unit["model"]], [unit["purpose"]])
        if not cause and unit["fidelity"] is not None and unit["fidelity"] < recipe.min_fidelity:
            cause = "low_fidelity"
        if cause:
            passed[cause] += 1
            continue
        human = human_part(ratings.get(str(unit["unit_id"]), []))
        parts = ScoreParts(
            human=unit["human_outcome"] if human is None else human,
            outcome=unit["outcome"],
            judge=unit["judge_outcome"],
            signals=unit["quality"],
        )
        worth = score(parts, recipe.weights, allowed)
        source = next(
            (label for part, label in _LABELS if part in allowed and getattr(parts, part) is not None), "none"
        )
        candidates.append((unit, worth, source))
    groups: dict[tuple[str, str], list[tuple[float, int, str]]] = defaultdict(list)
    for unit, worth, _ in candidates:
        # A path competes in each context it passed through, so that an answer which was given up for a sibling that
        # the conversation went on with is not taken for the best of its context.
        entry = (-worth, -unit["turns"], str(unit["unit_id"]))
        keys = [_task(unit)] if unit["task_key"] else [("context", str(anchor)) for anchor in unit["path_anchors"]]
        for key in keys:
            groups[key].append(entry)
    best = {}
    for key, entries in groups.items():
        entries.sort()
        best[key] = {entry[2] for entry in (entries[: recipe.per_context] if recipe.per_context else entries)}
    plans = []
    for unit, worth, source in candidates:
        unit_id = str(unit["unit_id"])
        if unit_id not in best.get(_task(unit), {unit_id}):
            passed["not_among_best"] += 1
        elif unit["node_status"] not in {"ok", "refused"}:
            refused["no_answer" if unit["node_status"] == "error" else "not_finished"] += 1
        elif worth < recipe.min_score:
            refused["score_below_minimum"] += 1
        else:
            plans.append(
                Plan(
                    row_id=unit_id,
                    kind="sft",
                    turns={"answer": str(unit["turn_id"])},
                    theme=unit["theme"],
                    anchor=str(unit["anchor"]) if unit["anchor"] else None,
                    label_source=source,
                    margin=0.0,
                    score=worth,
                    rank=worth,
                )
            )
    return plans


def _task(unit: Mapping[str, Any]) -> tuple[str, str]:
    return ("task", unit["task_key"]) if unit["task_key"] else ("context", str(unit["anchor"]))


def _pairs(
    recipe: Recipe, pairs: Iterable[Mapping[str, Any]], refused: Counter[str], passed: Counter[str]
) -> list[Plan]:
    """The legal pairs that the recipe's label sources decide clearly enough."""
    sources = {source for label in recipe.labels for source in _SOURCES.get(label, ())}
    allowed = {_PARTS[label] for label in recipe.labels if label in _PARTS}
    plans = []
    for pair in pairs:
        cause = _mismatch(
            recipe, pair["theme"], [pair["model_a"], pair["model_b"]], [pair["purpose_a"], pair["purpose_b"]]
        )
        if cause:
            passed[cause] += 1
            continue
        if pair["verdict"] != "legal":
            refused[pair["reason"]] += 1
            continue
        better, worse = ("a", "b") if pair["chosen"] == pair["node_a"] else ("b", "a")
        parts = ScoreParts(**{part: pair[f"{part}_{better}"] for part in PARTS})
        worth = score(parts, recipe.weights, allowed)
        if pair["source"] not in sources:
            refused["label_source_not_allowed"] += 1
        elif pair["margin"] < recipe.min_margin:
            refused["margin_below_minimum"] += 1
        elif worth < recipe.min_score:
            refused["score_below_minimum"] += 1
        else:
            plans.append(
                Plan(
                    row_id=str(pair["pair_id"]),
                    kind="dpo",
                    turns={"chosen": str(pair[f"turn_{better}"]), "rejected": str(pair[f"turn_{worse}"])},
                    theme=pair["theme"],
                    anchor=str(pair["anchor_turn_id"]),
                    label_source=pair["source"],
                    margin=pair["margin"],
                    score=worth,
                    rank=_STRENGTH[pair["source"]] + pair["margin"] / 2,
                )
            )
    return plans


def _mismatch(recipe: Recipe, theme: str, models: Sequence[str], purposes: Sequence[str]) -> str:
    if recipe.themes and theme not in recipe.themes:
        return "other_theme"
    if recipe.models and not set(models) <= set(recipe.models):
        return "other_model"
    if recipe.purposes and not set(purposes) <= set(recipe.purposes):
        return "other_purpose"
    return ""


def _batches(plans: Iterable[Plan]) -> Iterator[list[Plan]]:
    stream = iter(plans)
    while batch := list(islice(stream, _BATCH)):
        yield batch


def turn_truths(truth: ArrowReader, turn_ids: Sequence[str]) -> dict[str, Truth]:
    """By turn id: what was said, from the execution log."""
    return {row["turn_id"]: _truth(row) for row in truth.rows("turn_truth", sorted(set(turn_ids)))}


def _truth(row: Mapping[str, Any]) -> Truth:
    bodies = parse_json(row["history"])
    answers = [parse_json(row["answer"])] if row["answer"] else []
    history, answer = canonical_messages(bodies), canonical_messages(answers)
    tools = tool_list(parse_json(row["tools"]) if row["tools"] else {})
    refusal = next((one for one in (history, answer, tools) if isinstance(one, Refusal)), None)
    if not refusal and not answer:
        refusal = Refusal("no_answer")
    return Truth(
        node_id=row["node_id"],
        session_id=row["session_id"],
        history=() if isinstance(history, Refusal) else history,
        answer=() if isinstance(answer, Refusal) else answer,
        tools=None if isinstance(tools, Refusal) else tools,
        tools_digest=row["tools_id"].hex() if row["tools_id"] else None,
        dropped=frozenset().union(*map(dropped_fields, [*bodies, *answers])),
        refusal=refusal,
    )


def row_of(plan: Plan, truths: Mapping[str, Truth]) -> Row | Refusal:
    """The row of a plan, or why there is none."""
    parts = {part: truths.get(turn) for part, turn in plan.turns.items()}
    sources = []
    for part, one in parts.items():
        if one is None:
            return Refusal("source_gone", f"the turn {plan.turns[part]} is not in the execution log")
        if one.refusal:
            return one.refusal
        sources.append(Source(part, one.node_id, plan.turns[part]))
    first = next(one for one in parts.values() if one is not None)
    row = Row(
        row_id=plan.row_id,
        kind=plan.kind,
        session_id=first.session_id,
        sources=tuple(sources),
        tools=first.tools,
        tools_digest=first.tools_digest,
        anchor=plan.anchor,
        label_source=plan.label_source,
        margin=plan.margin,
        score=plan.score,
    )
    if plan.kind == "sft":
        return replace(row, messages=first.history + first.answer)
    other = parts["rejected"]
    assert other is not None
    if first.history != other.history:
        return Refusal("context_differs")
    if first.tools_digest != other.tools_digest:
        return Refusal("tools_differ")
    if first.answer == other.answer:
        return Refusal("identical_answer")
    return replace(row, prompt=first.history, chosen=first.answer, rejected=other.answer)


def proven(row: Row | Refusal) -> Row | Refusal:
    """The row if every target reads it back as the same branch, else why not."""
    if isinstance(row, Refusal):
        return row
    encoded = trl.encode(row)
    return encoded if isinstance(encoded, Refusal) else row


def _distinct(made: Iterable[tuple[Plan, Row]], refused: Counter[str]) -> list[tuple[Plan, Row]]:
    """Of rows that say the same, the one that ranks best."""
    found: dict[str, tuple[Plan, Row]] = {}
    for plan, row in sorted(made, key=lambda one: (-one[0].rank, one[0].row_id)):
        whole = content_keys(row)[1]
        if whole in found:
            refused["duplicate_row"] += 1
        else:
            found[whole] = (plan, row)
    return list(found.values())


def _best(
    made: Sequence[tuple[Plan, Row]], stratum: Callable[[Plan], str | None], k: int, passed: Counter[str]
) -> list[tuple[Plan, Row]]:
    kept = top((Scored(plan.row_id, stratum(plan), plan.rank, (plan, row)) for plan, row in made), k)
    passed["not_among_best"] += len(made) - len(kept)
    return [one.item for one in kept]
