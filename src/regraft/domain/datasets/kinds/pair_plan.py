"""The plan of a row that prefers one side of a pair."""

from __future__ import annotations

from regraft.domain.datasets.kinds.kind import PlannedRow, Record, stratum_of
from regraft.domain.datasets.messages import Message
from regraft.domain.datasets.recipe import Recipe

FILTERED = ("model", "purpose", "started")  # what a recipe asks of both sides
_STRENGTH = {"human": 5.0, "imported": 4.0, "ratings": 3.0, "outcome": 2.0, "model": 1.0, "signals": 0.0}


def planned_pair(
    recipe: Recipe, pair: Record, better: str, *, kind: str, label_source: str, margin: float, worth: float
) -> PlannedRow:
    """The plan of a row that prefers the side ``better`` (a or b). Rows are ranked by who decided, then by margin."""
    worse = "b" if better == "a" else "a"
    return PlannedRow(
        row_id=str(pair["pair_id"]),
        kind=kind,
        turns={"chosen": str(pair[f"turn_{better}"]), "rejected": str(pair[f"turn_{worse}"])},
        theme=pair["theme"],
        stratum=stratum_of(
            recipe,
            theme=pair["theme"],
            model=pair[f"model_{better}"],
            purpose=pair[f"purpose_{better}"],
            task="",
            category="",
            cluster=pair.get(f"cluster_{better}") or "",
        ),
        anchor=str(pair["anchor_turn_id"]),
        label_source=label_source,
        margin=margin,
        score=worth,
        agreement=pair.get("agreement"),
        rank=_STRENGTH[label_source] + margin / 2,
    )


def unweighted(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The same messages without their weights."""
    return tuple({**one, "weight": None} if one["weight"] is not None else one for one in messages)
