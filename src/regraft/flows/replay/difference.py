"""How two nodes differ: what was changed in their requests, and in the words of their answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from regraft.domain.capture.message import text_of
from regraft.domain.capture.request import part_digest
from regraft.domain.errors import NotFoundError
from regraft.domain.ids import NodeId, parse_json
from regraft.domain.lineage.difference import Components, Difference, difference
from regraft.domain.lineage.prompt_digests import system_digest, user_digest
from regraft.domain.replay.job import Origin
from regraft.domain.replay.text_diff import DiffRun, likeness, word_diff
from regraft.infra.postgres.lineage import reading
from regraft.infra.postgres.pool import Source, reading_from
from regraft.infra.postgres.replay import plans


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeDifference:
    """``request``: what differs between the requests; ``answer``: the words of both first answers, in order;
    ``likeness``: the share of words that both have, from 0 to 1."""

    a: NodeId
    b: NodeId
    request: Difference
    likeness: float
    answer: list[DiffRun]


def compare_nodes(source: Source, a: str, b: str) -> NodeDifference:
    """The difference of two nodes, named by their ids or the starts of them. Raises UsageError, and NotFoundError for
    a root: it has no request."""
    with reading_from(source) as connection:
        wanted = [NodeId(reading.resolve_node(connection, node)) for node in (a, b)]
        asked = {origin.node_id: origin for origin in plans.origins(connection, set(wanted))}
        answers = [(reading.runs(connection, node) or [{"answer": None}])[0]["answer"] for node in wanted]
    missing = [node for node in wanted if node not in asked]
    if missing:
        raise NotFoundError(f"Node {missing[0]} is a root: it has no request. Name a node below it.")
    texts = [_text(answer) for answer in answers]
    before, after = (_components(asked[node]) for node in wanted)
    return NodeDifference(
        a=wanted[0],
        b=wanted[1],
        request=difference(before, after),
        likeness=likeness(*texts),
        answer=word_diff(*texts),
    )


def _text(answer: Any) -> str:
    return text_of(parse_json(answer)) if answer else ""


def _components(origin: Origin) -> Components:
    messages = list(origin.messages)
    return Components(
        model=origin.model,
        sampling=origin.sampling,
        tools=origin.tools,
        tools_id=part_digest("tools", origin.tools),
        system=system_digest(messages),
        user=user_digest(messages),
    )
