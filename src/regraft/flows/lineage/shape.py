"""A whole tree for a picture of it: its shape first, then the words at its nodes; and the search within it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from regraft.domain.errors import UsageError
from regraft.infra.postgres.lineage import reading
from regraft.infra.postgres.lineage import shape as store
from regraft.infra.postgres.lineage.reading import Row
from regraft.infra.postgres.pool import Source, reading_from

_PARTS = ("tools", "sampling", "other")


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeShape:
    """``names`` and ``nodes`` are JSON that PostgreSQL wrote: see its query. ``links`` are the session's to others."""

    session: Row
    names: str
    nodes: str
    links: list[Row]


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeWords:
    """The words at a session's nodes at one ``build`` of it, in the order of its shape, as JSON of PostgreSQL."""

    build: int
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturedCall:
    """A call as it was captured; ``request`` is the whole one again, equal in meaning. ``facts`` hold the rest."""

    facts: dict[str, Any]
    request: str


def tree_shape(source: Source, session: str, scope: str | None = None) -> TreeShape:
    """The shape of a session's whole tree. Raises UsageError or NotFoundError."""
    with reading_from(source) as connection:
        wanted = reading.resolve_session(connection, session, scope)
        found = reading.session(connection, wanted)
        names, nodes = store.shape(connection, wanted)
        links = [
            {"at_node_id": node, "way": way, **link}
            for node, ways in reading.links(connection, wanted).items()
            for way, others in ways.items()
            for link in others
        ]
        return TreeShape(session=found, names=names, nodes=nodes, links=links)


def tree_words(source: Source, session: str, scope: str | None = None) -> TreeWords:
    """The words at the nodes of a session's tree. Raises UsageError or NotFoundError."""
    with reading_from(source) as connection:
        wanted = reading.resolve_session(connection, session, scope)
        build = reading.session(connection, wanted)["build"]
        return TreeWords(build=build, words=store.words(connection, wanted))


def find_in_tree(source: Source, session: str, text: str, limit: int, scope: str | None = None) -> list[UUID]:
    """Nodes of a session that hold the words, in the order of its shape. Raises UsageError or NotFoundError.

    ``text`` is read like a web search: words, "phrases", ``or``, ``-not``.
    """
    with reading_from(source) as connection:
        wanted = reading.resolve_session(connection, session, scope)
        return store.find(connection, wanted, text, limit)


def captured_call(source: Source, run: str, scope: str | None = None) -> CapturedCall:
    """The captured request and answer of a run. Raises UsageError or NotFoundError."""
    try:
        run_id = UUID(run)
    except ValueError:
        raise UsageError(f"{run[:80]!r} is not the whole id of a run.") from None
    with reading_from(source) as connection:
        facts = store.captured_call(connection, run_id, scope)
    members = [f'"model":{json.dumps(facts["model_requested"])}'] if facts["model_requested"] is not None else []
    members.append(f'"messages":{facts["messages"]}')
    members += [inside for part in _PARTS if (inside := (facts[part] or "").strip()[1:-1].strip())]
    return CapturedCall(facts=facts, request=f"{{{','.join(members)}}}")
