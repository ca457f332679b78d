"""A dataset row in canonical form, as it is frozen; every format is written from it."""

from __future__ import annotations

from dataclasses import dataclass

from regraft.domain.datasets.messages import Message

LAST_ONLY = "only the last answer is learned from"  # notes of rows
PREFILL_JOINED = "prefill joined to its answer"


@dataclass(frozen=True, slots=True)
class RowSource:
    """Where a part of a row comes from: ``part`` is answer, chosen or rejected; ids are those of node and turn."""

    part: str
    node_id: str
    turn_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row with its certificate. Which of the lists of messages are filled depends on ``kind``.

    ``tools`` is the tool list as JSON text, None when there was none; ``margin`` and ``score`` are 0 to 1. ``label`` is
    of kinds whose rows have one: whether the completion is wanted (suppression), or the name of the set that the row
    belongs to (unlearning: ``forget`` or ``retain``). ``notes`` name what was done to the recorded messages.
    ``agreement`` is the agreement with people of the model that decided, None where people or results decided.
    """

    row_id: str
    kind: str
    session_id: str
    sources: tuple[RowSource, ...]
    messages: tuple[Message, ...] = ()
    prompt: tuple[Message, ...] = ()
    completion: tuple[Message, ...] = ()
    chosen: tuple[Message, ...] = ()
    rejected: tuple[Message, ...] = ()
    alternate: tuple[Message, ...] = ()
    tools: str | None = None
    tools_digest: str | None = None
    anchor: str | None = None
    label: str | None = None
    label_source: str = ""
    margin: float = 0.0
    score: float = 0.0
    stratum: str = ""
    negative: str = ""
    evidence: str = ""
    agreement: float | None = None
    notes: tuple[str, ...] = ()
