"""Which sibling answers are legal preference pairs, and the certificate of each.

A pair is legal for DPO when both answers were given to one prompt with one tool list: the two siblings are compared
with each other, not with the answer that they were replayed from, so two tool variants that share their tool list are
a pair and a tool variant with its original is not. A trainer that gets two different prompts takes what they have in
common, in the worst case nothing, and says nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING
from uuid import UUID

from regraft.domain.capture.judges import MODEL
from regraft.domain.evaluation.contest import Strength
from regraft.domain.evaluation.contest import margin as margin_of_strengths
from regraft.domain.evaluation.imported import Decider, JudgedAnswers, majority
from regraft.domain.evaluation.score import ScoreParts
from regraft.domain.ids import digest, uuid_of

if TYPE_CHECKING:  # every format that can be imported would be loaded with it
    from regraft.domain.capture.importers.conversation import Judgement

DEFAULT_MIN_MARGIN = 0.05
FINISHED = frozenset({"ok", "refused"})
UNDECIDED = frozenset({"no_preference", "judged_equal"})  # legal contexts, only the verdict is missing


@dataclass(frozen=True, slots=True, kw_only=True)
class Sibling:
    """One answer under an anchor. ``context_id`` and ``tools_id`` are exact digests (no tools: None);
    ``answer_projection`` identifies what the answer says, apart from its ids and extra fields. ``outcome_source`` is
    who reported the outcome in ``score``: only outcomes from one source are compared; ``judge_source`` gave the word of
    a model there. ``judgements`` came with
    imported data; none of them is in ``score``."""

    node_id: UUID
    turn_id: UUID
    branch_kind: str
    context_id: bytes
    tools_id: bytes | None
    answer_projection: bytes
    has_answer: bool
    node_status: str
    score: ScoreParts
    outcome_source: str | None = None
    judge_source: str | None = None
    judgements: tuple[Judgement, ...] = ()


@dataclass(frozen=True, slots=True)
class Vote:
    """One judgement that counts: ``source`` is human, imported or model; ``preference`` a, b, equal or both_bad. Of a
    judge it has the name and the version."""

    source: str
    preference: str
    judge: str = ""
    judge_version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A pair and its certificate. ``node_a`` is the smaller id. A refused one has a reason, and no sides.

    ``margin`` is twice the probability that the better answer wins, minus one, 0 to 1: see ``contest.py``. ``basis`` is
    ``strengths`` where votes over several answers were turned into those. Of an imported judgement it says what that
    was (preference, rank or rating), ``decided_by`` whose, and ``given_by`` whether a person or a model gave it, ''
    where that is not known. ``strength_a`` and ``strength_b`` are of the source that decided; ``deciders`` are the
    models that did, none where people or results decided.
    """

    pair_id: UUID
    anchor_turn_id: UUID
    node_a: UUID
    node_b: UUID
    turn_a: UUID
    turn_b: UUID
    kind_a: str
    kind_b: str
    verdict: str
    reason: str
    source: str
    margin: float
    chosen: UUID | None
    rejected: UUID | None
    tools_id: bytes | None
    score_a: ScoreParts
    score_b: ScoreParts
    basis: str = ""
    decided_by: str = ""
    given_by: str = ""
    strength_a: float | None = None
    strength_b: float | None = None
    deciders: tuple[Decider, ...] = ()


def pair_id(anchor_turn_id: UUID, one: UUID, other: UUID) -> UUID:
    """The id of a pair: the same whichever side is named first."""
    low, high = sorted((one, other))
    return uuid_of(digest(b"pair", anchor_turn_id.bytes, low.bytes, high.bytes))


def context_reason(a: Sibling, b: Sibling) -> str:
    """Why the two may not be compared, or '' when they may."""
    if not (a.has_answer and b.has_answer):
        return "no_answer"
    if a.node_status not in FINISHED or b.node_status not in FINISHED:
        return "not_finished"
    if a.context_id != b.context_id:
        kinds = {a.branch_kind, b.branch_kind}
        if "prompt_variant" in kinds:
            return "prompt_differs"
        return "plan_differs" if "taskify_variant" in kinds else "context_differs"
    if a.tools_id != b.tools_id:
        return "tools_differ"
    if a.answer_projection == b.answer_projection:
        return "identical_answer"
    return ""


@dataclass(frozen=True, slots=True)
class PairDecision:
    """Which side is preferred: a positive margin prefers ``a``. One without a verdict has a ``reason``."""

    reason: str
    source: str
    margin: float
    basis: str = ""
    decided_by: str = ""
    given_by: str = ""
    deciders: tuple[Decider, ...] = ()


Strengths = Mapping[str, Mapping[UUID, Strength]]  # by source, of the answers under one anchor


def _decide(
    a: Sibling,
    b: Sibling,
    votes: Sequence[Vote],
    judged: JudgedAnswers,
    strengths: Strengths,
    judges: Collection[Decider],
    min_margin: float,
) -> PairDecision:
    """The best source with a judgement decides."""
    stronger = {source: _stronger(a, b, strengths.get(source, {})) for source in strengths}
    for source in ("human", "imported"):
        said = [vote.preference for vote in votes if vote.source == source]
        if said:
            return _weighed(count_votes(said, source), stronger.get(source))
    for source in ("human", "imported"):
        if abs(stronger.get(source) or 0.0) >= max(min_margin, 1e-9):
            return PairDecision("", source, stronger[source] or 0.0, "strengths")
    imported = _imported(a, b, judged)
    if imported and imported.given_by != MODEL:
        return imported
    if a.score.human is not None and b.score.human is not None:
        return _difference(a.score.human - b.score.human, "ratings")
    if a.score.outcome is not None and b.score.outcome is not None and a.outcome_source == b.outcome_source:
        return _difference(a.score.outcome - b.score.outcome, "outcome")
    if imported:
        return imported
    cast = [vote for vote in votes if vote.source == "model"]
    if cast:
        counted = _weighed(count_votes([vote.preference for vote in cast], "model"), stronger.get("model"))
        voters = [Decider(vote.judge, vote.judge_version, preference=vote.preference) for vote in cast]
        named = {(each.judge, each.version) for each in voters}
        others = [each for each in judges if (each.judge, each.version) not in named and counted.basis == "strengths"]
        return _by_models(counted, [*voters, *others])
    if abs(stronger.get("model") or 0.0) >= max(min_margin, 1e-9):
        return _by_models(PairDecision("", "model", stronger["model"] or 0.0, "strengths"), judges)
    if a.score.judge is not None and b.score.judge is not None:
        sources = sorted({each.judge_source or "" for each in (a, b)})
        return _by_models(_difference(a.score.judge - b.score.judge, "model"), list(map(Decider, sources)))
    compared = any(margin is not None for margin in stronger.values())
    unknown = a.score.signals is None or b.score.signals is None
    if compared or unknown or _is_judged(a, judged) or _is_judged(b, judged):
        return PairDecision("no_preference", "none", 0.0)
    assert a.score.signals is not None
    assert b.score.signals is not None
    margin = a.score.signals - b.score.signals
    return PairDecision("" if abs(margin) >= max(min_margin, 1e-9) else "no_preference", "signals", margin)


def _stronger(a: Sibling, b: Sibling, strengths: Mapping[UUID, Strength]) -> float | None:
    return margin_of_strengths(strengths.get(a.node_id), strengths.get(b.node_id))


def _by_models(decision: PairDecision, deciders: Collection[Decider]) -> PairDecision:
    names = ", ".join(sorted({each.judge for each in deciders}))
    return replace(decision, deciders=tuple(deciders), decided_by=names, given_by=MODEL)


def _weighed(counted: PairDecision, stronger: float | None) -> PairDecision:
    """The verdict of the votes over a pair, with the margin that all votes over its answers give it. Where these say
    the opposite the pair is undecided."""
    if stronger is None or not counted.margin:
        return counted
    if stronger * counted.margin <= 0:
        return PairDecision("judged_equal", counted.source, 0.0, "strengths")
    return PairDecision("", counted.source, stronger, "strengths")


def _is_judged(sibling: Sibling, judged: JudgedAnswers) -> bool:
    """Whether an answer was judged, so that measured signals must not decide."""
    parts = sibling.score
    return judged.is_judged(sibling.node_id) or any(
        part is not None for part in (parts.human, parts.outcome, parts.judge)
    )


def _difference(margin: float, source: str) -> PairDecision:
    return PairDecision("" if margin else "judged_equal", source, margin)


def _imported(a: Sibling, b: Sibling, judged: JudgedAnswers) -> PairDecision | None:
    found = judged.compare(a.node_id, b.node_id)
    if found is None:
        return None
    deciders = tuple(map(Decider, found.decided_by)) if found.given_by == MODEL else ()
    more = (found.basis, ", ".join(found.decided_by), found.given_by, deciders)
    if found.preference not in ("a", "b"):
        return PairDecision("both_bad" if found.preference == "both_bad" else "judged_equal", "imported", 0.0, *more)
    return PairDecision("", "imported", found.margin if found.preference == "a" else -found.margin, *more)


def count_votes(said: Sequence[str], source: str) -> PairDecision:
    """The majority verdict of the votes on a pair."""
    winner = majority(said)
    if winner not in ("a", "b"):
        return PairDecision("both_bad" if winner == "both_bad" else "judged_equal", source, 0.0)
    return PairDecision("", source, (said.count("a") - said.count("b")) / len(said))


def _judges(anchor: UUID, nodes: Iterable[UUID], votes: Mapping[UUID, Sequence[Vote]]) -> list[Decider]:
    """The judges that voted on answers under an anchor."""
    if not votes:
        return []
    cast = (vote for a, b in combinations(nodes, 2) for vote in votes.get(pair_id(anchor, a, b), ()))
    return [Decider(*each) for each in sorted({(v.judge, v.judge_version) for v in cast if v.source == "model"})]


def propose(
    anchor_turn_id: UUID,
    siblings: Iterable[Sibling],
    votes: Mapping[UUID, Sequence[Vote]],
    *,
    strengths: Strengths | None = None,
    min_margin: float = DEFAULT_MIN_MARGIN,
) -> list[Candidate]:
    """Every unordered pair of distinct nodes under one anchor, legal or refused, in the order of pair ids.

    Of a node that answered several times the first sibling given counts. ``votes`` are by pair id; ``strengths`` are by
    source, of answers that were in a contest: they give the margin of a pair that votes decide, and decide a pair whose
    answers were compared only with others. The source of a preference is the best that says anything: human preference
    > imported judgements (but for those of models) > human ratings > outcome > imported judgements of models > model >
    signals. Signals decide only between answers without a judgement.
    """
    distinct: dict[UUID, Sibling] = {}
    for sibling in siblings:
        distinct.setdefault(sibling.node_id, sibling)
    judged = JudgedAnswers({one.node_id: one.judgements for one in distinct.values()})
    judges = _judges(anchor_turn_id, distinct, votes)
    found = []
    for a, b in combinations(sorted(distinct.values(), key=lambda one: one.node_id), 2):
        identity = pair_id(anchor_turn_id, a.node_id, b.node_id)
        decision = PairDecision(context_reason(a, b), "none", 0.0)
        if not decision.reason:
            decision = _decide(a, b, votes.get(identity, ()), judged, strengths or {}, judges, min_margin)
        reason, margin = decision.reason, decision.margin
        better, worse = (a, b) if margin > 0 else (b, a)
        known = (strengths or {}).get(decision.source, {}) if decision.basis == "strengths" else {}
        found.append(
            Candidate(
                pair_id=identity,
                anchor_turn_id=anchor_turn_id,
                node_a=a.node_id,
                node_b=b.node_id,
                turn_a=a.turn_id,
                turn_b=b.turn_id,
                kind_a=a.branch_kind,
                kind_b=b.branch_kind,
                verdict="refused" if reason else "legal",
                reason=reason,
                source=decision.source,
                margin=round(abs(margin), 6),
                chosen=None if reason else better.node_id,
                rejected=None if reason else worse.node_id,
                tools_id=a.tools_id if a.tools_id == b.tools_id else None,
                score_a=a.score,
                score_b=b.score,
                basis=decision.basis,
                decided_by=decision.decided_by,
                given_by=decision.given_by,
                deciders=decision.deciders,
                strength_a=known[a.node_id].value if a.node_id in known else None,
                strength_b=known[b.node_id].value if b.node_id in known else None,
            )
        )
    return sorted(found, key=lambda candidate: candidate.pair_id)
