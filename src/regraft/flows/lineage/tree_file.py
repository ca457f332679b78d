"""All that a picture of a tree shows, as one JSON document: for a file that needs no server."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from regraft.infra.postgres.lineage import reading, tree_texts
from regraft.infra.postgres.lineage import shape as store
from regraft.infra.postgres.pool import Source, reading_from

LONGEST_TITLE = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeDocument:
    """``json`` holds the tree. ``left_out`` messages of ``messages`` are not in it: with them it would be too large."""

    json: str
    title: str
    nodes: int
    messages: int
    left_out: int


def tree_document(source: Source, session: str, *, now: datetime, version: str, most_text: int) -> TreeDocument:
    """A session's tree with its messages, whole ones, up to ``most_text`` characters together, the first ones first.

    ``version`` of Regraft made it ``now``. Raises UsageError or NotFoundError.
    """
    with reading_from(source) as connection:
        wanted: UUID = reading.resolve_session(connection, session)
        found = reading.session(connection, wanted)
        names, nodes = store.shape(connection, wanted)
        words = store.words(connection, wanted)
        texts = tree_texts.histories(connection, wanted)
        links = _links(reading.links(connection, wanted))
        kept, left_out, room = [], 0, most_text
        for body in tree_texts.bodies(connection, texts.messages):
            if len(body) <= room:
                room -= len(body)
                kept.append(body)
            else:
                left_out += 1
                kept.append("null")
    title = _title(found)
    about = {"session_id": str(wanted), "turns": found["turns"], "nodes": found["nodes"]}
    members = {
        "title": json.dumps(title),
        "made_at": json.dumps(now.isoformat()),
        "version": json.dumps(version),
        "session": json.dumps(about),
        "shape": f'{{"names":{names},"nodes":{nodes},"links":{json.dumps(links)}}}',
        "words": words,
        "contexts": texts.contexts,
        "asked": texts.asked,
        "answered": texts.answered,
        "messages": f"[{','.join(kept)}]",
        "left_out": str(left_out),
    }
    document = "{" + ",".join(f'"{name}":{value}' for name, value in members.items()) + "}"
    return TreeDocument(json=document, title=title, nodes=found["nodes"], messages=len(kept), left_out=left_out)


def _title(session: dict[str, Any]) -> str:
    opening = " ".join((session["opening"] or "").split())
    title = opening or session["external_id"] or f"Session {str(session['session_id'])[:8]}"
    return title if len(title) <= LONGEST_TITLE else f"{title[: LONGEST_TITLE - 1]}…"


def _links(found: dict[UUID, dict[str, list[dict[str, Any]]]]) -> list[dict[str, str | None]]:
    return [
        {
            "node_id": str(node),
            "way": way,
            "session_id": str(link["session_id"]),
            "other_node_id": str(link["node_id"]),
            "evidence": link["evidence"],
        }
        for node, ways in found.items()
        for way, links in ways.items()
        for link in links
    ]
