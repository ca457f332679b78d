"""Search for anything: by a prefix of an id, a name, or words of a conversation."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal
from uuid import UUID

from regraft.infra.duckdb.evaluation.clusters import Clusters
from regraft.infra.postgres.lineage import search
from regraft.infra.postgres.pool import Source, reading_from

FoundKind = Literal["session", "node", "theme", "cluster", "words"]

SHORTEST_ID = 4  # digits
_HEX = re.compile(r"[0-9a-f]{4,32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Something that was found. ``words`` is a node by its question or answer, ``excerpt`` what it says there."""

    kind: FoundKind
    id: UUID
    session_id: UUID | None = None
    name: str = ""
    excerpt: str = ""
    at: datetime | None = None


def find_anything(
    source: Source, text: str, *, workbench: Path | None = None, scope: str | None = None, limit: int = 8
) -> list[Found]:
    """What the text names: ids first, then names, then words of conversations; ``limit`` of each at most.

    Names of clusters are made from the conversations of all tenants: with a ``scope`` they are not looked at.
    """
    wanted = text.strip()
    if not wanted:
        return []
    digits = wanted.lower().replace("-", "")
    with reading_from(source) as connection:
        rows = search.ids(connection, digits, limit, scope) if _HEX.fullmatch(digits) else []
        rows += search.names(connection, wanted, limit, scope)
        words = search.find(connection, wanted, limit, scope)
    found = [
        Found(kind=row["kind"], id=row["id"], session_id=row["session_id"], name=row["name"] or "", at=row["at"])
        for row in rows
    ]
    if workbench is not None and scope is None:
        found += [
            Found(kind="cluster", id=row["cluster_id"], name=row["name"])
            for row in Clusters(workbench).summaries()
            if wanted.casefold() in row["name"].casefold() or str(row["cluster_id"]).startswith(wanted.lower())
        ][:limit]
    found += [
        Found(
            kind="words",
            id=row["node_id"],
            session_id=row["session_id"],
            name=row["place"],
            excerpt=row["excerpt"] or "",
            at=row["started_at"],
        )
        for row in words
    ]
    return list({(one.kind, one.id): one for one in reversed(found)}.values())[::-1]
