"""What an erasure reaches in PostgreSQL: choose it, and put tombstones in its place, in the caller's transaction."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from regraft.domain.capture.exchange import Exchange
from regraft.domain.datasets.erasure import TextFinder, blanked, hollow, identity_tombstone
from regraft.domain.errors import NotFoundError, RegraftError, UsageError
from regraft.domain.ids import Digest, canonical_json, parse_json
from regraft.domain.lineage.history import EMPTY, extend
from regraft.domain.lineage.tombstone import ERASED, SHOWN, holds_words, message_tombstone, settings_tombstone
from regraft.flows.capture.session_resolver import ParsedCall, parse_record
from regraft.flows.lineage.history_cache import HistoryCache
from regraft.infra.http.coding import decode
from regraft.infra.nats.codec import decode_exchange
from regraft.infra.postgres.datasets import erasure as store
from regraft.infra.postgres.lineage import graph, projection
from regraft.infra.postgres.pool import Connection

_STATEMENTS: tuple[tuple[str, str], ...] = (
    ("erase_runs", "runs"),
    ("erase_nodes", "nodes"),
    ("erase_branches", "alternatives"),
    ("erase_sessions", "sessions"),
    ("erase_trees", "trees"),
    ("erase_links", "links"),
    ("erase_failures", "failures"),
    ("erase_labels", "labels"),
    ("erase_preferences", "preferences"),
    ("erase_votes", "votes of judges"),
    ("erase_queue", "review items"),
    ("erase_review_drafts", "review leases"),
    ("erase_review_notes", "review notes"),
    ("erase_gold", "gold answers"),
    ("erase_jobs", "replay jobs"),
    ("erase_rollouts", "rollouts"),
    ("erase_conditions", "conditions"),
)
_OF_NODES: tuple[tuple[str, str], ...] = (  # whatever was chosen: they say what nodes are about
    ("blank_centroids", "centroids of clusters"),
    ("erase_cluster_names", "names of clusters"),
    ("erase_cluster_members", "members of clusters"),
)
_LEAVE_OUT = {("message", "role"), ("message", "body"), ("request_part", "body")}


@dataclass(slots=True)
class FoundContent:
    """By place how much was found; the snapshots that hold some of it, each with the ids of those rows (None: not
    known by id); and what could not be erased."""

    found: Counter[str] = field(default_factory=Counter)
    snapshots: list[dict[str, Any]] = field(default_factory=list)
    left_over: dict[str, str] = field(default_factory=dict)

    def count(self, place: str, rows: int) -> None:
        if rows > 0:
            self.found[place] += rows


def erase_truth(
    connection: Connection,
    erasure_id: UUID,
    kind: str,
    target: str,
    now: datetime,
    held: Mapping[str, list[str]] | None = None,
) -> FoundContent:
    """Erase what is chosen. ``held`` are rows of snapshots that hold the text, by snapshot.

    Raises NotFoundError when there is no such session, node or tenant. Ingest waits until the transaction ends.
    """
    content = FoundContent()
    graph.lock(connection)
    version = projection.held(connection)
    store.stage(connection)
    if kind == "matching":
        _erase_text(connection, erasure_id, TextFinder(target), now, content)
    else:
        _erase_chosen(connection, erasure_id, kind, target, now, content)
    for statement, place in _OF_NODES:
        content.count(place, store.run(connection, statement))
    by_node = store.rows(connection, "affected_snapshots", held=list(held or {}))
    for row in by_node:
        ids = {each["row_id"] for each in store.rows(connection, "affected_rows", snapshot_id=row["snapshot_id"])}
        content.snapshots.append({**row, "rows": sorted(ids | set((held or {}).get(row["snapshot_id"], ())))})
    content.count("snapshots", len(content.snapshots))
    assert version
    return content


def _erase_chosen(
    connection: Connection, erasure_id: UUID, kind: str, target: str, now: datetime, content: FoundContent
) -> None:
    store.choose(connection, kind, target)
    calls = store.rows(connection, "calls_identities")
    scope = target if kind == "scope" else None
    keys = {row["key"] for row in store.rows(connection, "chosen_keys")}
    names = {row["external_id"] for row in store.rows(connection, "chosen_names")}
    taskifications = store.rows(connection, "chosen_taskifications", scope=scope)
    themes = [row["theme_id"] for row in store.rows(connection, "chosen_themes", scope=scope)]
    feedback = store.run(connection, "erase_feedback", scope=scope)
    content.count("feedback", feedback)
    lost = [
        row["event_id"]
        for row in store.quarantined(connection)
        if _is_chosen(row, kind, keys, names if kind == "session" else set(), scope)
    ]
    if not calls and not feedback and not lost and not taskifications:
        raise NotFoundError(f"There is no {kind if kind != 'scope' else 'tenant'} {target}.")
    _choose_messages(connection, kind, content)
    _choose_parts(connection, lambda _: True)
    store.put_tombstones(connection, erasure_id, content.count)
    store.run(connection, "affected_nodes")
    identities = {row["event_id"]: canonical_json(identity_tombstone(parse_json(row["identity"]))) for row in calls}
    given = {"events": list(identities), "identities": list(identities.values()), "now": now}
    content.count("calls", store.run(connection, "erase_calls", **given))
    for statement, place in _STATEMENTS:
        content.count(place, store.run(connection, statement))
    plans = store.rows(connection, "chosen_plans")
    hollowed = [canonical_json(hollow(parse_json(row["definition"]))) for row in plans]
    content.count(
        "replay plans",
        store.run(connection, "erase_plans", plans=[row["plan_id"] for row in plans], definitions=hollowed),
    )
    ids = [row["taskification_id"] for row in taskifications]
    kept = [None if row["plan"] is None else canonical_json(hollow(parse_json(row["plan"]))) for row in taskifications]
    content.count("plans of subtasks", store.run(connection, "erase_taskifications", ids=ids, plans=kept))
    content.count("generations", store.run(connection, "erase_generations", taskifications=ids))
    content.count("themes", store.run(connection, "erase_themes", themes=themes))
    content.count("changes of themes", store.run(connection, "erase_theme_changes", scope=scope))
    content.count("quarantine", store.run(connection, "blank_quarantine", events=lost))


def _choose_messages(connection: Connection, kind: str, content: FoundContent) -> None:
    """Every erased message gets one tombstone, and every history that held it another id."""
    found = store.rows(connection, "messages_of_node" if kind == "node" else "messages_of_steps")
    new_ids = {bytes(row["message_id"]): os.urandom(32) for row in found}
    store.add_messages(
        connection,
        (
            store.MessageTombstone(
                message_id=bytes(row["message_id"]),
                new_id=new_ids[bytes(row["message_id"])],
                body=canonical_json(message_tombstone(row["role"], uuid4())),
            )
            for row in found
        ),
    )
    scopes = connection.execute(
        "SELECT DISTINCT e.scope FROM erase_user JOIN pipeline_event_inbox e USING (event_id)"
    ).fetchall()
    if len(scopes) > 1:
        raise UsageError("An erasure covers the histories of one tenant only.")
    scope = scopes[0]["scope"] if scopes else ""
    renewed: dict[bytes, bytes] = {}
    steps = []
    for row in store.rows(connection, "renewed_steps"):
        old_parent = None if row["parent_id"] is None else bytes(row["parent_id"])
        parent = None if old_parent is None else renewed.get(old_parent, old_parent)
        message = bytes(row["message_id"])
        new_id = extend(scope, Digest(parent) if parent else EMPTY, Digest(message))
        renewed[bytes(row["context_id"])] = new_id
        steps.append(
            store.RenewedStep(
                context_id=bytes(row["context_id"]),
                new_id=new_id,
                new_parent=parent,
                new_message=message,
                depth=row["depth"],
                projection_id=bytes(row["projection_id"]),
            )
        )
    store.add_steps(connection, steps)
    content.count("steps of histories", len(steps))


def _choose_parts(connection: Connection, wanted: Any) -> None:
    """Numbers and switches of settings stay; a part of nothing else is left as it is."""
    parts = []
    for row in store.rows(connection, "parts"):
        body = parse_json(row["body"])
        if not isinstance(body, Mapping) or ERASED in body or not holds_words(body) or not wanted(row):
            continue
        parts.append(
            store.PartTombstone(
                part_id=bytes(row["part_id"]),
                kind=row["kind"],
                new_id=os.urandom(32),
                body=canonical_json(settings_tombstone(body, uuid4())),
            )
        )
    store.add_parts(connection, parts)


def _is_chosen(row: Mapping[str, Any], kind: str, keys: set[str], names: set[str], scope: str | None) -> bool:
    """Whether a call in quarantine is of what is chosen. One that cannot even be opened is, if it names an id of it."""
    if str(row["event_id"]) in keys:
        return True
    try:
        exchange = decode_exchange(bytes(row["event"]))
    except RegraftError:
        said = bytes(row["event"])
        return any(key.encode() in said for key in keys if len(key) > 8)
    if kind == "scope":
        return exchange.scope == scope
    who = exchange.identity
    named = {who.parent_node, who.replay_node, (who.session or "").removeprefix("regraft:")} - {None, ""}
    awaited = str(row["waits_for"] or "").rpartition(":")[2]
    return bool(named & keys) or awaited in keys or (who.session in names if who.session else False)


def call_holds(record: bytes, holds: TextFinder) -> bool:
    """Whether a captured call holds a text: in its bytes, decoded; or in its answer, assembled from its pieces."""
    if holds(record.decode("utf-8", "replace")):
        return True
    try:
        exchange = decode_exchange(record)
    except RegraftError:
        return False
    if any(holds(body.decode("utf-8", "replace")) for body in _bodies(exchange)):
        return True
    read = parse_record(record, HistoryCache())
    if not isinstance(read, ParsedCall):
        return False
    return any(holds(canonical_json(choice.message)) for choice in read.answer.choices if choice.message is not None)


def _bodies(exchange: Exchange) -> list[bytes]:
    found = [exchange.request_body, exchange.response_body]
    for body, encoding in (
        (exchange.request_body, exchange.request_encoding),
        (exchange.response_body, exchange.response_encoding),
    ):
        if encoding:
            try:
                found.append(decode(body, encoding))
            except RegraftError:
                continue
    return found


def _erase_text(
    connection: Connection, erasure_id: UUID, holds: TextFinder, now: datetime, content: FoundContent
) -> None:
    """Every message that holds the text becomes a tombstone under its own id: it stays one when it is sent again."""
    tables = store.columns(connection)
    store.lock_tables(connection, tables)
    plain = (
        holds.text if holds.text.isascii() and holds.text.isprintable() and not set('"\\/') & set(holds.text) else None
    )
    body = store.Column("message", "body", "json", key=False)
    connection.execute("CREATE TEMP TABLE erase_found (message_id bytea PRIMARY KEY, role text) ON COMMIT DROP")
    found = [row["at"] for row in store.scan(connection, "message", [body], plain) if holds(row["body"])]
    rows = connection.execute(
        "SELECT message_id, role FROM message WHERE ctid = ANY(%(at)s::tid[])", {"at": found}
    ).fetchall()
    store.add_messages(
        connection,
        (
            store.MessageTombstone(
                message_id=bytes(row["message_id"]),
                new_id=bytes(row["message_id"]),
                body=canonical_json(message_tombstone(row["role"], uuid4())),
            )
            for row in rows
        ),
    )
    part = store.Column("request_part", "body", "json", key=False)
    at = [row["at"] for row in store.scan(connection, "request_part", [part], plain) if holds(row["body"])]
    for row in connection.execute(
        "SELECT part_id, kind, body::text AS body FROM request_part WHERE ctid = ANY(%(at)s::tid[])", {"at": at}
    ).fetchall():
        settings = parse_json(row["body"])
        left = settings_tombstone(settings if isinstance(settings, Mapping) else {}, uuid4())
        if holds(canonical_json(left)):
            left = {ERASED: str(uuid4())}
        one = store.PartTombstone(
            part_id=bytes(row["part_id"]), kind=row["kind"], new_id=bytes(row["part_id"]), body=canonical_json(left)
        )
        store.add_parts(connection, [one])
    store.put_tombstones(connection, erasure_id, content.count)
    if rows:
        store.index_references(connection)
        store.run(connection, "affected_by_messages")
        store.index_references(connection, drop=True)
    store.run(connection, "affected_nodes")
    lost = [
        row["event_id"]
        for row in store.quarantined(connection)
        if holds(row["reason"] or "") or call_holds(bytes(row["event"]), holds)
    ]
    content.count("quarantine", store.run(connection, "blank_quarantine", events=lost))
    for table, columns in tables.items():
        wanted = [column for column in columns if (table, column.name) not in _LEAVE_OUT]
        if wanted:
            _erase_in_table(connection, table, wanted, holds, plain, content)
    connection.execute("UPDATE human_eval_labels SET shown_hash = '' WHERE shown = '[erased]' AND shown_hash <> ''")
    connection.execute("UPDATE taskification_results SET prompt_digest = '' WHERE prompt = '[erased]'")
    connection.execute(
        "UPDATE pipeline_event_inbox SET erased_at = %(now)s"
        " WHERE erased_at IS NULL AND (identity::text LIKE %(shown)s OR answer_rest::text LIKE %(shown)s)",
        {"now": now, "shown": f"%{SHOWN}%"},
    )


def _erase_in_table(
    connection: Connection,
    table: str,
    columns: list[store.Column],
    holds: TextFinder,
    plain: str | None,
    content: FoundContent,
) -> None:
    changes: list[tuple[str, dict[store.Column, Any]]] = []
    for row in store.scan(connection, table, columns, plain):
        left = {
            column: _left_of(column, row[column.name], holds) for column in columns if _is_held(row[column.name], holds)
        }
        if left:
            changes.append((row["at"], left))
    for at, left in changes:
        done = left
        if not store.replace(connection, table, at, left):
            done = {column: value for column, value in left.items() if not column.key}
            if done and not store.replace(connection, table, at, done):
                done = {}
        for column in left:
            if column in done:
                content.count(f"{table}.{column.name}", 1)
            else:
                content.left_over[f"{table}.{column.name}"] = "the text is part of a name that other rows refer to"


def _is_held(value: Any, holds: TextFinder) -> bool:
    if isinstance(value, list):
        return any(isinstance(each, str) and holds(each) for each in value)
    return isinstance(value, str) and holds(value)


def _left_of(column: store.Column, held: Any, holds: TextFinder) -> Any:
    """A value without the text; JSON keeps its structure unless the text is still in it."""
    if isinstance(held, list):
        return [SHOWN if isinstance(each, str) and holds(each) else each for each in held]
    if column.type in ("json", "jsonb"):
        left = canonical_json(blanked(parse_json(held), holds))
        return canonical_json({ERASED: SHOWN}) if holds(left) else left
    return f"{SHOWN} {uuid4()}" if column.key else SHOWN
