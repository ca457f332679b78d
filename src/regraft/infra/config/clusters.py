"""The settings of trajectory clusters."""

from __future__ import annotations

from pydantic import Field

from regraft.domain.evaluation.clusters import ClusterRule
from regraft.infra.config.section import Section


class ClustersSection(Section):
    """How paths are clustered by subject."""

    min_size: int = Field(5, ge=2, le=1000, description="least number of paths in a cluster")
    seed: int = Field(
        0, ge=0, le=2**31 - 1, description="seed of a fit; the same paths and seed give the same clusters"
    )
    drift: float = Field(
        0.1,
        ge=0,
        le=1,
        description="growth of the share of paths without a cluster from which the clusters are fitted anew",
    )

    @property
    def rule(self) -> ClusterRule:
        """The same for a fit."""
        return ClusterRule(min_size=self.min_size, seed=self.seed, drift=self.drift)
