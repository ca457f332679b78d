"""Comparing answers to one context, variant by variant, and where two trajectories part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from uuid import UUID

from regraft.domain.capture.message import text_of
from regraft.domain.evaluation.trajectory import printable
from regraft.domain.ids import canonical_json, parse_json
from regraft.domain.lineage.projection import projection_digest
from regraft.domain.replay.budget import Price, TokenSpend
from regraft.domain.replay.comparison import Sample, distributions, in_words, variant_of
from regraft.domain.replay.rollout import divergence
from regraft.domain.replay.tool_results import calls_of
from regraft.infra.postgres.lineage import reading
from regraft.infra.postgres.pool import Source, reading_from
from regraft.infra.postgres.replay import comparison as store

HEAD = 200  # characters of an answer in a row

# The columns of a comparison as a table, and what each is called there.
COLUMNS = (
    *("branch_index", "words", "model", "node_id", "turn_id", "run_status", "prompt_tokens", "completion_tokens"),
    *("seconds", "cost", "reward", "fidelity", "superseded", "head"),
)


def compare(
    source: Source, node: str | UUID, prices: Mapping[str, Price] | None = None, scope: str | None = None
) -> dict[str, Any]:
    """All answers under a node's anchor, and how each variant's samples are distributed. A node is named by its id, or
    the start of it.

    ``alternatives`` by branch index, each with its ``words`` (what was changed), its figures and its ``answer`` as
    stored JSON text; ``variants`` in the order of their first sample. ``cost`` is None for a model without a price.
    Raises NotFoundError for a node that was never asked anything, or that ``scope``, a tenant, may not see.
    """
    with reading_from(source) as connection:
        wanted = reading.resolve_node(connection, str(node), scope)
        rows = store.answers(connection, wanted)
    alternatives, samples = [], []
    for row in rows:
        sample = _sample(row, prices or {})
        samples.append(sample)
        shown = printable(sample.text or _calls(row))
        alternatives.append(
            {
                **{name: row[name] for name in _KEPT},
                "variant_id": sample.variant.hex()[:16],
                "words": sample.words,
                "seconds": sample.seconds,
                "cost": sample.cost,
                "head": " ".join(shown.split())[:HEAD],
                "answer": row["answer"],
            }
        )
    found = [
        {
            "variant_id": each.variant.hex()[:16],
            **{key: value for key, value in asdict(each).items() if key != "variant"},
        }
        for each in distributions(samples)
    ]
    anchor = rows[0]["context_anchor_turn_id"]
    return {"node_id": wanted, "context_anchor_turn_id": anchor, "alternatives": alternatives, "variants": found}


_KEPT = (
    *("branch_index", "turn_id", "node_id", "branch_kind", "is_replay", "same_context", "model", "model_snapshot_id"),
    *("run_status", "finish_reason", "prompt_tokens", "completion_tokens", "cached_tokens", "first_byte_ms"),
    *("started_at", "reward", "reward_source", "fidelity", "superseded"),
)


def _sample(row: store.Row, prices: Mapping[str, Price]) -> Sample:
    answer = parse_json(row["answer"]) if row["answer"] else None
    label = parse_json(row["variant"]) if row["variant"] else None
    identity = parse_json(row["identity"])
    price = prices.get(row["model"]) or prices.get(row["model_requested"])
    spent = TokenSpend(row["prompt_tokens"] or 0, row["completion_tokens"] or 0, row["cached_tokens"] or 0)
    told = row["prompt_tokens"] is not None or row["completion_tokens"] is not None
    config = parse_json(row["variant_config"]) if row["branch_index"] else {}
    words = in_words(config, label if isinstance(label, Mapping) else None)
    plan = identity.get("plan")
    return Sample(
        turn_id=row["turn_id"],
        variant=variant_of(
            model=row["model_requested"],
            system=bytes(row["system_digest"]),
            user=bytes(row["user_digest"]),
            tools=bytes(row["tools_id"] or b""),
            sampling=parse_json(row["sampling"]) if row["sampling"] else {},
            plan=plan if isinstance(plan, str) else "",
            superseded=row["superseded"],
        ),
        words=printable(words),
        model=row["model"],
        model_snapshot_id=row["model_snapshot_id"],
        status=row["run_status"],
        text=text_of(answer) if answer is not None else "",
        projection=projection_digest(answer) if answer is not None else None,
        seconds=row["duration_ms"] / 1000,
        prompt_tokens=row["prompt_tokens"],
        completion_tokens=row["completion_tokens"],
        cost=spent.money(price) if price and told else None,
        reward=row["reward"],
        fidelity=row["fidelity"],
        superseded=row["superseded"],
    )


def _calls(row: store.Row) -> str:
    """The tool calls of an answer without words."""
    return ", ".join(call.shown() for call in calls_of(parse_json(row["answer"]))) if row["answer"] else ""


def part(source: Source, a: str | UUID, b: str | UUID) -> dict[str, Any]:
    """Where two trajectories part: ``common_node_id`` is the last node that both go through, ``a_next`` and ``b_next``
    the nodes after it, and ``divergence`` where their messages first differ: None when they say the same.

    Raises NotFoundError.
    """
    with reading_from(source) as connection:
        wanted = [reading.resolve_node(connection, str(node)) for node in (a, b)]
        ways = [reading.path(connection, node) for node in wanted]
        told = [store.trajectory(connection, node) for node in wanted]
    shared = 0
    for one, other in zip(*ways, strict=False):
        if one["node_id"] != other["node_id"]:
            break
        shared += 1
    found = divergence(*told)
    following = [way[shared]["node_id"] if shared < len(way) else None for way in ways]
    described = None if found is None else {name: _printed(value) for name, value in found.describe().items()}
    return {
        "a": wanted[0],
        "b": wanted[1],
        "common_node_id": ways[0][shared - 1]["node_id"] if shared else None,
        "common_depth": shared - 1,
        "a_next": following[0],
        "b_next": following[1],
        "a_messages": len(told[0]),
        "b_messages": len(told[1]),
        "divergence": described,
    }


def _printed(value: Any) -> Any:
    return printable(value) if isinstance(value, str) else value


def as_rows(found: Mapping[str, Any]) -> list[list[str]]:
    """The alternatives as rows of text under ``COLUMNS``; what is not known is empty."""
    return [["" if row[name] is None else str(row[name]) for name in COLUMNS] for row in found["alternatives"]]


WHOLE = (*COLUMNS[:-1], "answer")


def as_whole_rows(found: Mapping[str, Any]) -> list[list[str]]:
    """The alternatives as rows of text under ``WHOLE``: with their answers whole, calls of tools as JSON."""
    return [
        [*("" if row[name] is None else str(row[name]) for name in COLUMNS[:-1]), _answer(row["answer"])]
        for row in found["alternatives"]
    ]


def _answer(stored: str | None) -> str:
    message = parse_json(stored) if stored else None
    if not isinstance(message, Mapping):
        return ""
    return printable(text_of(message) or canonical_json(message.get("tool_calls") or ""))


def as_markdown(found: Mapping[str, Any]) -> str:
    """The variants and the alternatives as two Markdown tables."""
    figures = ("words", "samples", "distinct", "agreement", "length", "refusals", "errors", "seconds", "cost", "reward")
    variants = [[_figure(row[name]) for name in figures] for row in found["variants"]]
    return "\n".join([*_table(figures, variants), "", *_table(COLUMNS, as_rows(found)), ""])


def _figure(value: Any) -> str:
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def _table(names: tuple[str, ...], rows: list[list[str]]) -> list[str]:
    def line(cells: tuple[str, ...] | list[str]) -> str:
        return "| " + " | ".join(cell.replace("\\", "\\\\").replace("|", "\\|") for cell in cells) + " |"

    return [line(names), "|" + "---|" * len(names), *(line(row) for row in rows)]
