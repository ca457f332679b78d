"""Review for a process that serves many reviewers: a pool of connections, the policy, and the guidelines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from regraft.domain.errors import UsageError
from regraft.domain.evaluation.review_queue import KINDS, QueueFilter
from regraft.domain.evaluation.taxonomy import Category
from regraft.flows.evaluation.desk import ReviewDesk, review_policy
from regraft.flows.evaluation.desk_records import ReviewPolicy
from regraft.flows.evaluation.queue import QueueSize, queue_size
from regraft.infra.files.guidelines import read_guidelines
from regraft.infra.files.taxonomies import default_taxonomy, taxonomy_of
from regraft.infra.postgres.client_pool import WritePool
from regraft.infra.postgres.lineage.reading import resolve_session
from regraft.infra.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Guidelines:
    """What reviewers go by: Markdown, and the categories that a path may be of."""

    markdown: str
    categories: tuple[Category, ...]


def guidelines_of(settings: Settings) -> Guidelines:
    """The guidelines and the taxonomy that the settings name. Raises ConfigError."""
    return Guidelines(markdown=read_guidelines(settings.review.guidelines), categories=taxonomy_of(settings).categories)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewSetup:
    """How a server lets people judge. ``guidelines`` is called for every reader: files are edited."""

    policy: ReviewPolicy = field(default_factory=ReviewPolicy)
    size: QueueSize = field(default_factory=QueueSize)
    min_agreement: float | None = None  # as it was last measured with, where neither is given
    min_judged: int | None = None
    guidelines: Callable[[], Guidelines] = field(
        default=lambda: Guidelines(markdown=read_guidelines(None), categories=default_taxonomy().categories)
    )


def review_setup(settings: Settings) -> ReviewSetup:
    """The setup that the settings describe."""
    return ReviewSetup(
        policy=review_policy(settings.review),
        size=queue_size(settings.review),
        min_agreement=settings.review.min_agreement,
        min_judged=settings.review.min_judged,
        guidelines=lambda: guidelines_of(settings),
    )


class ReviewService:
    """Desks of reviewers over one pool of connections."""

    def __init__(self, dsn: str, setup: ReviewSetup) -> None:
        self.setup = setup
        self.dsn = dsn
        self._pool = WritePool(dsn, "regraft-review")

    def desk(self, reviewer: str, scope: str | None) -> ReviewDesk:
        """The desk of a reviewer, who sees items of the tenant ``scope``; None: of all."""
        return ReviewDesk(self._pool.connection, reviewer, scope, self.setup.policy)

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()


def filter_of(
    desk: ReviewDesk,
    *,
    kind: str | None,
    theme: str | None,
    session: str | None,
    cluster: str | None,
    category: str | None,
) -> QueueFilter:
    """The filter that a reviewer describes; ``session`` is an id, the start of one, or a name. Raises UsageError for an
    unknown kind, NotFoundError for a session that the reviewer's tenant does not have."""
    if kind not in (None, *KINDS):
        raise UsageError(f"A kind is one of {', '.join(KINDS)}, not {kind!r}.")
    found: UUID | None = None
    if session:
        with desk.transaction() as connection:
            found = resolve_session(connection, session, desk.scope)
    return QueueFilter(kind=kind, theme=theme, session_id=found, cluster_id=cluster, category=category)
