"""What people, judges and clients say of one node."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from regraft.infra.postgres.evaluation import node_judgements as store
from regraft.infra.postgres.evaluation.node_judgements import Row
from regraft.infra.postgres.lineage import reading
from regraft.infra.postgres.pool import Source, reading_from

_MOST = 200  # of each; a person reads them


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeJudgements:
    """``ratings`` of the path that ends at the node, ``preferences`` among answers, and ``feedback`` on its runs."""

    node_id: UUID
    ratings: list[Row]
    preferences: list[Row]
    feedback: list[Row]


def node_judgements(source: Source, node: str, scope: str | None = None) -> NodeJudgements:
    """All judgements of a node, the latest first. Raises UsageError or NotFoundError."""
    with reading_from(source) as connection:
        wanted = reading.resolve_node(connection, node, scope)
        return NodeJudgements(
            node_id=wanted,
            ratings=store.ratings(connection, wanted),
            preferences=store.preferences(connection, wanted, _MOST),
            feedback=store.feedback(connection, wanted, _MOST),
        )
