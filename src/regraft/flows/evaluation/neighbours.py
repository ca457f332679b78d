"""The paths that are near a node in meaning, searched by pgvector where it is, else exactly, in the workbench.

PostgreSQL holds a copy of the workbench's vectors of one model. ``index_vectors`` brings it up to the workbench; a
search uses it only while it is of the model that is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from regraft.domain.capture.message import messages_of
from regraft.domain.errors import NotFoundError
from regraft.domain.evaluation.neighbour import Neighbour
from regraft.domain.evaluation.trajectory import render
from regraft.domain.ids import parse_json
from regraft.infra.duckdb.evaluation.embeddings import Embeddings
from regraft.infra.duckdb.evaluation.neighbours import neighbour_index
from regraft.infra.embedding import Embedder
from regraft.infra.postgres.evaluation import vectors as store
from regraft.infra.postgres.evaluation.vectors import VectorSearch
from regraft.infra.postgres.lineage import reading
from regraft.infra.postgres.pool import Connection, Source, connect, reading_from

__all__ = [
    "Neighbours",
    "SimilarPath",
    "VectorSearch",
    "forget_dropped",
    "index_vectors",
    "similar",
    "vector_search",
]

_BATCH = 4_096  # vectors in memory at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class SimilarPath:
    """A path by its cosine ``similarity``, -1 to 1, and what is shown of it; ``asked`` and ``answer_text`` are cut."""

    unit_id: UUID
    session_id: UUID
    similarity: float
    theme: str
    task_key: str | None
    model: str
    purpose: str
    turns: int
    asked: str | None
    answer_text: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """The paths near a node, nearest first. ``search``: ``pgvector`` (an index, which may miss one) or ``exact``."""

    node_id: UUID
    embedding_model: str
    search: str
    items: list[SimilarPath]


def vector_search(source: Source) -> VectorSearch:
    """Whether pgvector can be used, and what PostgreSQL holds for it."""
    with reading_from(source) as connection:
        return store.vector_search(connection)


def index_vectors(dsn: str, workbench: Path, model: str) -> VectorSearch:
    """Bring the vectors in PostgreSQL up to those of a model in the workbench, in one transaction.

    Only what changed is sent. Nothing is done where pgvector cannot be used: the ``reason`` says why.
    """
    bench = Embeddings(workbench)
    wanted = bench.vector_state(model)
    with connect(dsn) as connection:
        held = store.vector_search(connection)
        if held.reason or (held.made and (held.model, held.state) == (model, wanted.state)):
            return held
        if not wanted.vectors and not held.made:
            return held
        if reason := store.prepare(connection):
            return VectorSearch(reason=reason)
        if not wanted.vectors:
            store.forget_all(connection)
            return store.vector_search(connection)
        missing = store.start_copy(connection, model, wanted.dimensions, bench.vector_keys(model))
        for start in range(0, len(missing), _BATCH):
            store.add_vectors(connection, bench.vectors(model, missing[start : start + _BATCH]))
        store.finish_copy(connection, model, wanted.dimensions, wanted.state)
        return store.vector_search(connection)


def forget_dropped(dsn: str, workbench: Path) -> None:
    """Take out of PostgreSQL the vectors that the workbench has no more; all of them where there is no workbench."""
    held = vector_search(dsn)
    if held.made:
        index_vectors(dsn, workbench, held.model)


def similar(
    source: Source,
    workbench: Path,
    embedder: Embedder,
    node: UUID,
    limit: int = 10,
    *,
    elsewhere: bool = False,
    scope: str | None = None,
) -> Neighbours:
    """Paths by the nearness of their text to the path that ends at ``node``, without those that go through it.

    ``elsewhere``: only of other sessions; ``scope``: only of this tenant. The vector of a path that was embedded is
    used as it is; what reads up to another node is embedded here. Raises NotFoundError for a node that is not there.
    """
    with reading_from(source) as connection:
        found = store.through(connection, node, scope)
        if found is None:
            raise NotFoundError(f"There is no node {node}.")
        session, without = found
        other_than = session if elsewhere else None
        held = store.vector_search(connection)
        if held.made and held.vectors and held.model == embedder.model:
            try:
                with _without_waiting(connection):
                    vector = store.vector_of(connection, node) or _embedded(connection, embedder, node)
                    near = store.nearest(
                        connection, vector, limit, scope=scope, elsewhere_than=other_than, without=without
                    )
                    return _described(connection, node, embedder.model, "pgvector", near, scope)
            except psycopg.errors.LockNotAvailable:
                pass  # it is being filled again
        index = neighbour_index(workbench, embedder.model)
        vector = index.vector_of(node)
        if vector is None:
            vector = _embedded(connection, embedder, node)
        most = limit
        while True:
            near = index.nearest(vector, most, elsewhere_than=other_than, without=without)
            shown = _described(connection, node, embedder.model, "exact", near, scope)
            if len(shown.items) >= limit or len(near) < most:
                return shown if len(shown.items) <= limit else _first(shown, limit)
            most *= 4  # the others are of other tenants, or have left the graph


@contextmanager
def _without_waiting(connection: Connection) -> Iterator[None]:
    with connection.transaction():
        store.fail_on_lock(connection)
        yield


def _embedded(connection: Connection, embedder: Embedder, node: UUID) -> Any:
    found = reading.node(connection, node)
    answers = [run["answer"] for run in reading.runs(connection, node) if run["answer"]]
    said = parse_json(found["history"]) + [parse_json(answer) for answer in answers[:1]]
    return embedder.embed([render(messages_of(said))])[0].as_py()


def _described(
    connection: Connection, node: UUID, model: str, search: str, near: list[Neighbour], scope: str | None
) -> Neighbours:
    shown = store.described(connection, [each.unit_id for each in near], scope)
    items = [SimilarPath(similarity=each.similarity, **shown[each.unit_id]) for each in near if each.unit_id in shown]
    return Neighbours(node_id=node, embedding_model=model, search=search, items=items)


def _first(found: Neighbours, limit: int) -> Neighbours:
    return Neighbours(
        node_id=found.node_id,
        embedding_model=found.embedding_model,
        search=found.search,
        items=found.items[:limit],
    )
