"""Deriving everything again from the log: joining ids under any version of the projection, then the graph.

All ids change in one transaction, which writers of the log wait for. The graph is built after it in chunks, and a build
that was interrupted continues with ``regraft lineage build``.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from regraft.domain.errors import IntegrityError, UsageError
from regraft.domain.ids import Digest, SessionId, digest, parse_json
from regraft.domain.lineage.fingerprints import anchors_of
from regraft.domain.lineage.history import (
    EMPTY,
    History,
    empty_history,
    extend,
    extend_projection,
    node_of,
    session_by_named_opening,
    session_by_opening,
)
from regraft.domain.lineage.projection import PROJECTIONS, projection_digest
from regraft.domain.lineage.turn import internal_session
from regraft.flows.lineage import build as lineage
from regraft.infra.postgres.lineage import graph, projection
from regraft.infra.postgres.lineage import reprojection as store
from regraft.infra.postgres.pool import Connection, transaction

_STEPS = 1_000  # of histories to a page, with their messages
_TURNS = 5_000  # to a page
_MESSAGES = 5_000  # to a page, of those whose anchors are searched for
_REMEMBERED = 100_000  # messages whose projections are kept
_LISTED = 1_000  # sessions, and nodes, of each kind of change that are named
_NO_TURN = UUID(int=0)

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Regrouping:
    """Sessions or nodes that split or merged: how many, and the largest of them, as (one id, the ids that it became, or
    that became it)."""

    split: int
    merged: int
    splits: list[tuple[UUID, list[UUID]]]
    merges: list[tuple[UUID, list[UUID]]]


@dataclass(frozen=True, slots=True)
class RebuildReport:
    """The result of a rebuild.

    ``identical``: the graph is row for row what it was; None where that cannot be decided, because the version changed,
    calls arrived meanwhile, or nothing was written. ``followed`` are rows that name nodes or sessions by their new ids,
    by column; ``left_behind`` rows that keep the former ones.
    """

    version_before: int
    version: int
    dry_run: bool
    turns: int
    turns_renamed: int
    turns_refiled: int
    contexts_changed: int
    anchors_added: int
    sessions: Regrouping
    nodes: Regrouping
    followed: dict[str, int] = field(default_factory=dict)
    left_behind: dict[str, int] = field(default_factory=dict)
    identical: bool | None = None
    differs: list[str] = field(default_factory=list)
    built: lineage.BuildCounts | None = None


def rebuild(
    dsn: str, version: int | None = None, *, dry_run: bool = False, progress: Progress | None = None
) -> RebuildReport:
    """Derive all joining ids under a version of the projection, the log's own if none is given, and the graph.

    ``dry_run`` says what would split and merge, and changes nothing; writers of the log wait for it anyway.
    Raises UsageError for an unknown version.
    """
    if version is not None and version not in PROJECTIONS:
        raise UsageError(f"There is no projection {version}. The versions are {projection.known_versions()}.")
    anchored = 0 if dry_run else add_anchors(dsn)
    with transaction(dsn, name="regraft-reprojection") as connection:
        graph.lock(connection)
        before = projection.held(connection)
        chosen = before if version is None else version
        store.turn_to(connection, chosen)
        waiting, _ = graph.waiting(connection)
        seen = store.fingerprint(connection)
        _derive(connection, chosen, same=chosen == before)
        changes = store.changes(connection)
        if changes["contexts"] != changes["contexts_derived"] or changes["turns"] != changes["derived"]:
            raise IntegrityError(
                f"{changes['contexts'] - changes['contexts_derived']} steps of histories and "
                f"{changes['turns'] - changes['derived']} turns cannot be reached from the beginning of any history. "
                "Nothing was changed."
            )
        sessions, nodes = (_change(connection, noun) for noun in ("sessions", "nodes"))
        followed: dict[str, int] = {}
        left: dict[str, int] = {}
        if dry_run:
            connection.rollback()
        else:
            followed, left = store.apply(connection, chosen)
            graph.clear(connection)
            store.drop_sessions(connection)
    result = RebuildReport(
        version_before=before,
        version=chosen,
        dry_run=dry_run,
        turns=changes["turns"],
        turns_renamed=changes["turns_renamed"],
        turns_refiled=changes["turns_refiled"],
        contexts_changed=changes["contexts_changed"],
        anchors_added=anchored,
        sessions=sessions,
        nodes=nodes,
        followed=followed,
        left_behind=left,
    )
    if dry_run:
        return result
    built = lineage.build(dsn, None, progress)
    with transaction(dsn, name="regraft-reprojection") as connection:
        now = store.fingerprint(connection)
    comparable = chosen == before and not waiting and built.turns == changes["turns"]
    differs = sorted(layer for layer in now if now[layer] != seen[layer]) if comparable else []
    return replace(result, built=built, identical=not differs if comparable else None, differs=differs)


def add_anchors(dsn: str) -> int:
    """Find what stored messages can be recognised by, where that was never computed; returns how many got anchors."""
    added, after = 0, b""
    with transaction(dsn, name="regraft-reprojection") as connection:
        while rows := store.unanchored(connection, after, _MESSAGES):
            found = [(bytes(row["message_id"]), anchors_of(parse_json(row["body"]))) for row in rows]
            some = [(message, anchors) for message, anchors in found if anchors]
            if some:
                store.save_anchors(connection, some)
            connection.commit()
            added += len(some)
            after = found[-1][0]
    return added


def _derive(connection: Connection, version: int, *, same: bool) -> None:
    """``same``: what was erased keeps its joining ids; under another version it is joined by its tombstones."""
    messages = _Messages(connection, version)
    for ends in _walk(connection, store.prepare(connection), messages, version, same=same):
        store.stage_contexts(
            connection,
            (
                store.DerivedContext(
                    context_id=end.context.context_id,
                    projection_id=end.context.projection_id,
                    opening=end.opening,
                    awaited=end.awaited,
                    system_digest=end.system.digest(),
                    user_digest=end.user.digest(),
                )
                for end in ends
            ),
        )
    _derive_turns(connection, messages, version, same=same)
    store.file_by_claims(connection)
    after = _NO_TURN
    while rows := store.filed(connection, after, _TURNS):
        store.stage_nodes(
            connection,
            (
                store.DerivedNode(
                    turn_id=row["turn_id"],
                    node_id=node_of(SessionId(row["session_id"]), Digest(bytes(row["answer_projection"]))),
                )
                for row in rows
            ),
        )
        after = rows[-1]["turn_id"]


class _Messages:
    """Role and projection of messages by exact digest; forgets the oldest."""

    def __init__(self, connection: Connection, version: int) -> None:
        self._connection = connection
        self._version = version
        self._known: OrderedDict[bytes, tuple[str, Digest]] = OrderedDict()

    def of(self, wanted: set[bytes]) -> dict[bytes, tuple[str, Digest]]:
        """(role, projection) of each."""
        found = {each: self._known[each] for each in wanted if each in self._known}
        for each, body in store.bodies(self._connection, wanted - found.keys()).items():
            message = parse_json(body)
            role = message.get("role") if isinstance(message, dict) else None
            read = (role if isinstance(role, str) else "", projection_digest(message, self._version))
            found[each] = self._known[each] = read
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return found


def _walk(
    connection: Connection, scopes: list[str], messages: _Messages, version: int, *, same: bool
) -> Iterator[Sequence[History]]:
    """Every step of every history, parents before children, a page at a time.

    Depth first by pages: what is kept is a page for each place where histories part into more than a page.
    """
    after = b""
    while firsts := store.roots(connection, after, _STEPS):
        after = bytes(firsts[-1]["context_id"])
        known = messages.of({bytes(row["message_id"]) for row in firsts})
        page = [_first(row, scopes, known[bytes(row["message_id"])], version, same=same) for row in firsts]
        yield page
        waiting: list[tuple[list[History], bytes]] = [(page, b"")]
        while waiting:
            ends, from_here = waiting.pop()
            ends.sort(key=lambda end: end.context.context_id)
            rows = store.next_steps(connection, [end.context.context_id for end in ends], from_here, _STEPS)
            if not rows:
                continue
            if len(rows) == _STEPS:
                last = bytes(rows[-1]["parent_id"])
                waiting.append(([end for end in ends if end.context.context_id >= last], bytes(rows[-1]["context_id"])))
            by_id = {end.context.context_id: end for end in ends}
            known = messages.of({bytes(row["message_id"]) for row in rows})
            page = [
                _extended(by_id[Digest(bytes(row["parent_id"]))], row, known[bytes(row["message_id"])], same=same)
                for row in rows
            ]
            yield page
            waiting.append((page, b""))


def _first(row: store.Row, scopes: list[str], message: tuple[str, Digest], version: int, *, same: bool) -> History:
    """The first step of a history: its id says whose it is. Tenants seen last are tried first."""
    context_id = Digest(bytes(row["context_id"]))
    for place, scope in enumerate(scopes):
        if extend(scope, EMPTY, Digest(bytes(row["message_id"]))) == context_id:
            scopes.insert(0, scopes.pop(place))
            break
    else:
        raise IntegrityError(f"The history that begins with {context_id.hex()} is of no tenant. Nothing was changed.")
    return _extended(empty_history(scope, version), row, message, same=same)


def _extended(before: History, row: store.Row, message: tuple[str, Digest], *, same: bool) -> History:
    role, projected = message
    kept = Digest(bytes(row["kept"])) if same and row["kept"] is not None else None
    return before.extend(role, Digest(bytes(row["message_id"])), projected, Digest(bytes(row["context_id"])), kept)


def _derive_turns(connection: Connection, messages: _Messages, version: int, *, same: bool) -> None:
    after = _NO_TURN
    while rows := store.turns(connection, after, _TURNS):
        known = messages.of({bytes(row["answer_id"]) for row in rows if row["answer_id"] is not None})
        store.stage_turns(connection, (_turn(row, known, version, same=same) for row in rows))
        after = rows[-1]["turn_id"]


def _turn(row: store.Row, known: dict[bytes, tuple[str, Digest]], version: int, *, same: bool) -> store.DerivedTurn:
    past = Digest(bytes(row["projection_id"]))
    if row["answer_id"] is None:
        ending = digest(b"no answer", row["node_status"].encode())
    else:
        ending = known[bytes(row["answer_id"])][1]
    answer = extend_projection(row["scope"], past, ending, version)
    if same and row["kept"] is not None:
        answer = Digest(bytes(row["kept"]))
    session: UUID | None = row["session_id"]
    named: UUID | None = None
    if row["filed_by"] == "opening":
        session = session_by_opening(row["scope"], Digest(bytes(row["opening"])) if row["opening"] else past)
    elif row["filed_by"] == "named_opening":
        who, opening = parse_json(row["identity"]), Digest(bytes(row["opening"])) if row["opening"] else past
        session = session_by_named_opening(row["scope"], opening, who["client_session"], who.get("agent", ""))
    elif row["filed_by"] == "explicit_node":
        session, named = None, internal_session(parse_json(row["identity"]).get("session"))
    return store.DerivedTurn(
        turn_id=row["turn_id"],
        answer_projection=answer,
        session_id=session,
        named=named,
    )


def _change(connection: Connection, noun: str) -> Regrouping:
    rows = store.compared(connection, noun, _LISTED)
    found = {what: [(row["one"], row["parts"]) for row in rows if row["what"] == what] for what in ("split", "merged")}
    totals = {row["what"]: int(row["total"]) for row in rows}
    return Regrouping(totals.get("split", 0), totals.get("merged", 0), found["split"], found["merged"])
