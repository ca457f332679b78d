"""Category labels of clusters in the workbench."""

from __future__ import annotations

from uuid import UUID

from regraft.infra.duckdb.file import Record, WorkbenchFile

_EVERY = 2**31 - 1  # more labels than a workbench holds


class ClusterCategories(WorkbenchFile):
    """``cluster_category_labels``, beside the clusters and labels that they count."""

    tables = "evaluation/cluster_categories"

    def label(self) -> None:
        """Count the labels of the clusters that there are; without clusters nothing is labelled."""
        rows = self._rows("ready")
        if not rows:
            return
        with self._writing() as connection:
            connection.execute(self._query("forget"))
            if rows[0]["ready"]:
                connection.execute(self._query("label"))

    def count(self) -> Record:
        """How many ``labels`` of how many ``clusters`` there are."""
        return next(iter(self._rows("count")), {"labels": 0, "clusters": 0})

    def labels(
        self,
        *,
        category: str | None = None,
        source: str | None = None,
        layer: int | None = None,
        cluster: UUID | None = None,
        limit: int | None = None,
    ) -> list[Record]:
        """Labels of clusters, the most telling first."""
        asked = {"category": category, "source": source, "layer": layer, "cluster": cluster, "limit": limit or _EVERY}
        rows = self._rows("ready")
        return self._rows("labels", asked) if rows and rows[0]["ready"] else []
