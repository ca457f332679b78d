"""Clusters of trajectories in the workbench."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pyarrow as pa

from regraft.domain.errors import NotFoundError
from regraft.infra.duckdb.file import Record, WorkbenchFile
from regraft.infra.queries import queries

_SUMMARIES = "evaluation/cluster_summaries"
_PROTOTYPES = 5  # of a cluster
_TYPICAL = 30  # units of a cluster whose words are looked at,
_CHARACTERS = 2_500  # of the beginning of each and as many of the end
_WORDS = 10
_IDS = pa.list_(pa.string())

SUMMARIES = pa.schema(
    [
        ("cluster_run_id", pa.string()),
        ("layer", pa.int32()),
        *((name, pa.string()) for name in ("cluster_id", "parent_id", "name", "name_source")),
        *((name, _IDS) for name in ("words", "prototypes")),
        *((name, pa.int64()) for name in ("units", "outcomes")),
        *((name, pa.float64()) for name in ("outcome_rate", "error_rate", "tool_error_rate", "quality", "turns")),
        *((name, pa.float64()) for name in ("prompt_tokens", "completion_tokens", "seconds", "x", "y")),
        ("over_represented", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class ClusterFigures:
    """What was counted over the units of the clusters: a row for each, the telling ``words`` by cluster, and
    ``features`` that are more frequent in a cluster than elsewhere."""

    clusters: list[Record]
    words: dict[str, list[str]]
    features: list[Record]


class Clusters(WorkbenchFile):
    """``trajectory_clusters`` and their descriptions, next to the units and vectors from which they are computed."""

    tables = "evaluation/clusters"

    def vectors(self, model: str) -> pa.Table:
        """Every unit that says something: ``unit_id``, ``text_hash`` and ``vector``, by id; ids are text."""
        return self._arrow("vectors", {"model": model})

    def vectors_of(self, model: str, units: list[str]) -> pa.Table:
        """``unit_id`` and ``vector`` of those of the given units that have one."""
        return self._arrow("vectors_of", {"model": model, "units": units})

    def vectors_without_cluster(self, model: str) -> pa.Table:
        """``unit_id`` and ``vector`` of units that the tables say nothing of."""
        return self._arrow("vectors_without_cluster", {"model": model})

    def turn_to(self, run: Record, matches: list[Record]) -> None:
        """Let the tables be of this fit, and forget units that are no more."""
        text = pa.string()
        columns = {
            name: [row[name] and str(row[name]) for row in matches] for name in ("cluster_id", "previous_cluster_id")
        }
        table = pa.table(
            {
                **{name: pa.array(values, text) for name, values in columns.items()},
                "jaccard": pa.array([row["jaccard"] for row in matches], pa.float64()),
                "fate": pa.array([row["fate"] for row in matches], text),
            }
        )
        with self._writing(new_matches=table) as connection:
            connection.execute(self._query("forget_other_runs"), {"run": run["cluster_run_id"]})
            connection.execute(self._query("forget_gone"), {"model": run["embedding_model"]})
            connection.execute(self._query("forget_run"))
            connection.execute(self._query("add_run"), {name: run[name] for name in _RUN})
            connection.execute(self._query("forget_matches"))
            connection.execute(self._query("add_matches"), {"run": run["cluster_run_id"]})

    def add(self, run: UUID, units: pa.Table) -> None:
        """Put units in: ``unit_id``, ``cluster_ids`` and ``strengths`` (one a layer), ``x``, ``y``; ``fitted``: whether
        the fit was made from them."""
        with self._writing(new_units=units) as connection:
            connection.execute(self._query("add_units"), {"run": run})

    def counts(self) -> Record:
        """At the default layer: ``units``, those ``without`` a cluster, those that came ``later`` than the fit, and
        those of them that are ``unassigned``."""
        rows = self._rows("counts")
        return rows[0] if rows else {"units": 0, "without": 0, "later": 0, "unassigned": 0}

    def figures(self) -> ClusterFigures:
        """What can be counted over the units of each cluster."""
        steps = {name: query.decode() for name, query in queries(f"duckdb/{_SUMMARIES}").items()}
        typical = {"units": _TYPICAL, "characters": _CHARACTERS}
        with self._open() as connection:
            for name in ("members", "features"):
                connection.execute(steps[name])
            connection.execute(steps["spoken"], typical)
            found = _records(connection.execute(steps["figures"], {"prototypes": _PROTOTYPES}))
            given = {"units": _TYPICAL, "least": 2, "words": _WORDS}
            words = {row["cluster_id"]: row["words"] for row in _records(connection.execute(steps["words"], given))}
            features = _records(connection.execute(steps["feature_counts"]))
        return ClusterFigures(found, words, features)

    def replace_summaries(self, summaries: list[Record]) -> None:
        """The clusters are about exactly this."""
        with self._writing(new_summaries=pa.Table.from_pylist(summaries, schema=SUMMARIES)) as connection:
            connection.execute(self._query("forget_summaries"))
            connection.execute(self._query("add_summaries"))

    def run(self) -> Record | None:
        """The fit that the tables are of; None where there was none yet."""
        rows = self._rows("run")
        return rows[0] if rows else None

    def summaries(self, layer: int | None = None) -> list[Record]:
        """Descriptions of clusters, of all layers or one; the largest of each first."""
        return self._rows("summaries", {"layer": layer})

    def matches(self) -> list[Record]:
        """The fate of the clusters of the previous fit."""
        return self._rows("matches")

    def members(self, cluster: UUID, limit: int) -> list[Record]:
        """Units of a cluster, those nearest to its middle first, with their texts."""
        return self._rows("members", {"cluster": cluster, "limit": limit})

    def points(
        self, layer: int, limit: int, after: UUID | None = None, sessions: list[str] | None = None
    ) -> list[Record]:
        """The map: units with ``x``, ``y`` and the cluster of a layer, by id, after an id; of these sessions only."""
        given = {"layer": layer, "limit": limit, "after": after, "every": sessions is None}
        return self._of_sessions("points", given, sessions or [])

    def figures_of(self, layer: int, sessions: list[str]) -> list[Record]:
        """The clusters of a layer (``cluster_id`` None: no cluster), counted over the units of some sessions alone."""
        return self._of_sessions("figures_of", {"layer": layer}, sessions)

    def page(
        self, limit: int, *, after: str | None = None, theme: str | None = None, session: str | None = None
    ) -> pa.Table:
        """At most ``limit`` units with their clusters at the default layer, by id, after an id; ids are text."""
        if not self._made():
            return pa.table({"unit_id": pa.array([], pa.string())})
        asked = {"after": after, "theme": theme, "session": session, "limit": limit}
        with self._open() as connection:
            return connection.sql(self._query("page"), params=asked).to_arrow_table()

    def _of_sessions(self, name: str, parameters: Record, sessions: list[str]) -> list[Record]:
        if not self._made():
            return []
        with self._open() as connection:
            connection.register("some_sessions", pa.table({"session_id": pa.array(sessions, pa.string())}))
            return _records(connection.execute(self._query(name), parameters))

    def map_columns(self, layer: int, limit: int, sessions: list[str] | None = None) -> dict[str, Any]:
        """The map as numpy arrays of equal length: ``x``, ``y``, ``cluster``, ``outcome``, ``quality``, ``theme``,
        ``late``; of all sessions, or of some."""
        return self._columns("map_columns", {"layer": layer, "limit": limit}, sessions)

    def map_ids(self, layer: int, limit: int, sessions: list[str] | None = None) -> dict[str, Any]:
        """``unit_id`` and ``session_id`` of the map's points, in its order."""
        return self._columns("map_ids", {"layer": layer, "limit": limit}, sessions)

    def units_of(
        self, cluster: UUID, limit: int, start: int = 0, *, worst: bool = False, sessions: list[str] | None = None
    ) -> list[Record]:
        """Units of a cluster from a place on: the most typical first, or those that ended worst."""
        asked = {"cluster": cluster, "limit": limit, "start": start, "worst": worst, "every": sessions is None}
        return self._of_sessions("units_of", asked, sessions or [])

    def _columns(self, name: str, asked: Record, sessions: list[str] | None) -> dict[str, Any]:
        if not self._made():
            return {}
        with self._open() as connection:
            connection.register("some_sessions", pa.table({"session_id": pa.array(sessions or [], pa.string())}))
            found: dict[str, Any] = connection.execute(
                self._query(name), {**asked, "every": sessions is None}
            ).fetchnumpy()
            return found

    def set_name(self, cluster: UUID, name: str, source: str) -> None:
        """The name of a cluster."""
        if self.path.exists():
            with self._writing() as connection:
                connection.execute(self._query("set_name"), {"cluster": cluster, "name": name, "source": source})

    def resolve(self, text: str) -> UUID:
        """The id of a cluster from the start of it, or from its name; of several the one of the default layer.

        Raises NotFoundError unless exactly one fits.
        """
        wanted = text.strip()
        found = self._rows("resolve", {"start": wanted.casefold() or "-", "name": wanted})
        if len(found) != 1:
            several = " Give more of its id." if found else " `regraft clusters list` makes and shows them."
            raise NotFoundError(f"{'Several' if found else 'No'} clusters are called {text!r}.{several}")
        return UUID(str(found[0]["id"]))

    def _arrow(self, name: str, parameters: Record) -> pa.Table:
        if not self._made():
            text = pa.array([], pa.string())
            return pa.table({"unit_id": text, "text_hash": text, "vector": pa.array([], pa.list_(pa.float32()))})
        with self._open() as connection:
            return connection.sql(self._query(name), params=parameters).to_arrow_table()

    def _made(self) -> bool:
        rows = self._rows("needs")
        return bool(rows and rows[0]["tables"] == 2)


_RUN = (
    *("cluster_run_id", "previous_run_id", "embedding_model", "algorithm", "parameters", "seed", "units", "noise"),
    *("layers", "default_layer", "trustworthiness", "created_at"),
)


def _records(cursor: Any) -> list[Record]:
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
