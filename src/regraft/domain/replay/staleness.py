"""Which results are stale, why, and what would be regenerated, in which order.

Three rules. Another version of a taskify rule makes the plans made under the old one stale, and all that came after
them. Another build of a model makes the answers stale that *Regraft had made* by the old one (replays), and all that
came after those: an answer that a client received is history, and no later build invalidates it. A node whose
conditions changed makes its subtree stale, and nothing else. What was made again is superseded: it stays, and is
stale no more.

Everything here is a function of facts and of what is current; there is no I/O and no clock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from regraft.domain.orchestration.rule import rule_name

TASKIFICATIONS, RUNS = "taskification_results", "execution_run_records"
RULE, MODEL, CONDITIONS, AFTER = "rule", "model", "conditions", "after"  # causes
TASKIFY, REPLAY, FOLLOW, KEEP = "taskify", "replay", "follow", "keep"  # what is to be done
NAME = "name"  # how a snapshot is pinned of which only the name is known
DOWNSTREAM = (
    "Trajectories, embeddings, clusters, labels and scores follow the graph by their own watermarks: they are stale "
    "until they are materialised again. Frozen snapshots stay as they were frozen."
)

Key = tuple[str, str, str]  # backend, model, model_snapshot_id


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSnapshot:
    """A build of a model that answered. ``pinned_by`` is ``pin``, ``fingerprint``, ``version`` or ``name``."""

    backend: str
    model: str
    model_snapshot_id: str
    pinned_by: str
    first_seen: datetime
    last_seen: datetime
    runs: int

    @property
    def key(self) -> Key:
        """Its unique key."""
        return (self.backend, self.model, self.model_snapshot_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """A rule or model that artifacts were made with, and what replaced it. ``kind`` is ``rule`` or ``model``."""

    kind: str
    subject: str
    was: str
    now: str

    def __str__(self) -> str:
        what = "rule" if self.kind == RULE else "model"
        return f"the {what} {self.subject} is {self.now} now; this was made with {self.was}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One thing that was made, and all that its staleness depends on.

    ``stage`` is ``taskification_results`` (a plan; ``node_id`` is the node whose request was cut) or
    ``execution_run_records`` (a run; it gave ``node_id``). ``made_with`` is the rule version of a plan or the Key of
    a run. ``made_by``: the taskification that a run carries out. ``replay``: it grew a node again, to compare.
    ``ours``: no client was given it, so that it can be replaced.
    """

    id: UUID
    stage: str
    node_id: UUID | None
    parent_node_id: UUID | None
    depth: int
    made_with: str | Key
    made_at: datetime
    made_by: UUID | None = None
    replay: bool = False
    ours: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleArtifact:
    """Why a thing is stale. ``roots`` are the things that it is stale after; its own id, where it is one itself."""

    made: Artifact
    cause: str
    reason: str
    roots: frozenset[UUID]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegenerationStep:
    """One thing to do, after the roots that it is stale ``after``.

    ``taskify`` and ``replay`` make a thing again. The others make nothing: ``follow`` is replaced together with what
    it is after, and ``keep`` is a client's call, which stays as it is.
    """

    what: str
    stale: StaleArtifact
    after: frozenset[UUID]


def current(snapshots: Iterable[ModelSnapshot]) -> dict[Key, Key]:
    """For each snapshot the one that is current for its backend and model: itself, while it is.

    The pinned snapshot that was seen last is current, and so are those seen since it first came: several are served
    side by side. One of which only the name is known says nothing: it replaces none, and none replaces it.
    """
    groups: dict[tuple[str, str], list[ModelSnapshot]] = defaultdict(list)
    for each in snapshots:
        groups[each.backend, each.model].append(each)
    found: dict[Key, Key] = {}
    for group in groups.values():
        pinned = [each for each in group if each.pinned_by != NAME]
        newest = max(pinned, key=lambda each: (each.last_seen, each.first_seen, each.key)) if pinned else None
        for each in group:
            replaced = newest is not None and each.pinned_by != NAME and each.last_seen < newest.first_seen
            found[each.key] = newest.key if newest is not None and replaced else each.key
    return found


def model_changes(snapshots: Iterable[ModelSnapshot]) -> dict[str | Key, Replacement]:
    """The snapshots that another one has replaced."""
    return {
        was: Replacement(kind=MODEL, subject=f"{was[1]} on {was[0]}", was=was[2], now=now[2])
        for was, now in current(snapshots).items()
        if was != now
    }


def rule_changes(used: Iterable[str], versions: Iterable[str]) -> dict[str | Key, Replacement]:
    """The rule versions that another one has replaced: of the same rule, which is still there."""
    now = {rule_name(version): version for version in versions}
    return {
        version: Replacement(kind=RULE, subject=name, was=version, now=now[name])
        for version in used
        if (name := rule_name(version)) in now and now[name] != version
    }


def stale(
    facts: Iterable[Artifact],
    changes: Mapping[str | Key, Replacement],
    conditions: Mapping[UUID, tuple[datetime, str]],
    superseded: Collection[UUID],
) -> dict[UUID, StaleArtifact]:
    """All of ``facts`` that is stale, and why; what is superseded is not in it.

    ``conditions``: by node, when its conditions changed and in which words; runs that are younger hold. A place in the
    tree is lost when every run that gave it is stale or superseded; what grew from a lost place is stale after it.
    """
    plans, runs = [], defaultdict(list)
    for made in facts:
        if made.stage == TASKIFICATIONS:
            plans.append(made)
        else:
            runs[made.depth].append(made)
    gone = frozenset(superseded)
    found: dict[UUID, StaleArtifact] = {}
    lost: dict[UUID, frozenset[UUID]] = {}  # places, and the roots after which they are
    broken = {made.id: frozenset({made.id}) for made in plans if made.id in gone}  # plans that do not hold
    known = -1
    while known != len(found):  # a plan is made for a place, and what it plans has places of its own: until all is told
        known = len(found)
        for made in plans:
            if made.id not in gone and made.id not in found and (because := _plan(made, changes, lost)):
                found[made.id] = because
                broken[made.id] = because.roots
        for depth in sorted(runs):
            places: dict[UUID, list[Artifact]] = defaultdict(list)
            for made in runs[depth]:
                if made.node_id is not None:
                    places[made.node_id].append(made)
                told = made.id in gone or made.id in found
                if not told and (because := _run(made, changes, conditions, lost, broken)):
                    found[made.id] = because
            for node, given in places.items():
                if node not in lost and all(run.id in found or run.id in gone for run in given):
                    roots = (found[run.id].roots if run.id in found else frozenset({run.id}) for run in given)
                    lost[node] = frozenset().union(*roots)
    return found


def steps(found: Mapping[UUID, StaleArtifact]) -> list[RegenerationStep]:
    """What is to be done about all that is stale, in an order in which it can be done: roots before what is after
    them, plans before runs, then what is higher in its tree, then what is older."""
    made = []
    for because in found.values():
        own = because.made.id in because.roots
        if because.made.stage == TASKIFICATIONS:
            what = TASKIFY if own else FOLLOW
        elif because.made.ours:
            what = REPLAY if own and because.made.replay else FOLLOW
        else:
            what = KEEP
        made.append(RegenerationStep(what=what, stale=because, after=because.roots - {because.made.id}))
    return sorted(made, key=_order)


def _order(step: RegenerationStep) -> tuple[bool, bool, int, datetime, UUID]:
    made = step.stale.made
    return (bool(step.after), made.stage == RUNS, made.depth, made.made_at, made.id)


def _plan(
    made: Artifact, changes: Mapping[str | Key, Replacement], lost: Mapping[UUID, frozenset[UUID]]
) -> StaleArtifact | None:
    if change := changes.get(made.made_with):
        return StaleArtifact(made=made, cause=RULE, reason=str(change), roots=frozenset({made.id}))
    if made.parent_node_id is not None and made.parent_node_id in lost:
        return _after_place(made, lost)
    return None


def _after_place(made: Artifact, lost: Mapping[UUID, frozenset[UUID]]) -> StaleArtifact:
    assert made.parent_node_id is not None
    reason = f"what it grew from, node {made.parent_node_id}, does not hold"
    return StaleArtifact(made=made, cause=AFTER, reason=reason, roots=lost[made.parent_node_id])


def _run(
    made: Artifact,
    changes: Mapping[str | Key, Replacement],
    conditions: Mapping[UUID, tuple[datetime, str]],
    lost: Mapping[UUID, frozenset[UUID]],
    broken: Mapping[UUID, frozenset[UUID]],
) -> StaleArtifact | None:
    own = frozenset({made.id})
    if made.parent_node_id is not None and made.parent_node_id in lost:
        return _after_place(made, lost)
    if made.made_by is not None and made.made_by in broken:
        reason = f"the plan that it carries out, {made.made_by}, does not hold"
        return StaleArtifact(made=made, cause=AFTER, reason=reason, roots=broken[made.made_by])
    changed = conditions.get(made.node_id) if made.node_id else None
    if changed and made.made_at < changed[0]:
        return StaleArtifact(made=made, cause=CONDITIONS, reason=changed[1], roots=own)
    if made.replay and (change := changes.get(made.made_with)):
        return StaleArtifact(made=made, cause=MODEL, reason=str(change), roots=own)
    return None
