"""Which sibling answers are legal preference pairs, and the certificate of each.

A pair is legal for DPO when both answers were given to one prompt with one tool list: the two siblings are compared
with one another, not with the answer that they were grown from, so two tool variants that share their tool list are
a pair and a tool variant with its original is not. A trainer that gets two different prompts takes what they have in
common, in the worst case nothing, and says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from uuid import UUID

from regraft.domain.capture.importers.conversation import Judgement
from regraft.domain.capture.judges import MODEL
from regraft.domain.evaluation.imported import Decider, JudgedAnswers, majority
from regraft.domain.evaluation.score import ScoreParts
from regraft.domain.ids import digest, uuid_of

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
    """A pair and its certificate. ``node_a`` is the smaller id. A refused one has a reason, and no sides; ``margin``
    is 0 to 1 on its source's own scale. Of an imported judgement ``basis`` says what it was (preference, rank or
    rating), ``decided_by`` whose, and ``given_by`` whether a person or a model gave it, '' where that is not known.
    ``deciders`` are the models that decided, none where people or results did."""

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


def _decide(a: Sibling, b: Sibling, votes: Sequence[Vote], judged: JudgedAnswers, min_margin: float) -> PairDecision:
    """The best source that says anything decides."""
    for source in ("human", "imported"):
        said = [vote.preference for vote in votes if vote.source == source]
        if said:
            return count_votes(said, source)
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
        deciders = tuple(Decider(vote.judge, vote.judge_version, preference=vote.preference) for vote in cast)
        decided_by = ", ".join(sorted({each.judge for each in deciders}))
        counted = count_votes([vote.preference for vote in cast], "model")
        return replace(counted, deciders=deciders, decided_by=decided_by, given_by=MODEL)
    if a.score.judge is not None and b.score.judge is not None:
        names = sorted({each.judge_source or "" for each in (a, b)})
        found = _difference(a.score.judge - b.score.judge, "model")
        return replace(found, deciders=tuple(map(Decider, names)), decided_by=", ".join(names), given_by=MODEL)
    if _is_judged(a, judged) or _is_judged(b, judged) or a.score.signals is None or b.score.signals is None:
        return PairDecision("no_preference", "none", 0.0)
    margin = a.score.signals - b.score.signals
    return PairDecision("" if abs(margin) >= max(min_margin, 1e-9) else "no_preference", "signals", margin)


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
    """What votes on a pair come to, by the majority of them."""
    winner = majority(said)
    if winner not in ("a", "b"):
        return PairDecision("both_bad" if winner == "both_bad" else "judged_equal", source, 0.0)
    return PairDecision("", source, (said.count("a") - said.count("b")) / len(said))


def propose(
    anchor_turn_id: UUID,
    siblings: Iterable[Sibling],
    votes: Mapping[UUID, Sequence[Vote]],
    *,
    min_margin: float = DEFAULT_MIN_MARGIN,
) -> list[Candidate]:
    """Every unordered pair of distinct nodes under one anchor, legal or refused, in the order of pair ids.

    Of a node that answered several times the first sibling given counts. ``votes`` are by pair id. The source of a
    preference is the best that says anything: human preference > imported judgements (but for those of models) >
    human ratings > outcome > imported judgements of models > model > signals. Signals decide only between answers that
    nobody judged.
    """
    distinct: dict[UUID, Sibling] = {}
    for sibling in siblings:
        distinct.setdefault(sibling.node_id, sibling)
    judged = JudgedAnswers({one.node_id: one.judgements for one in distinct.values()})
    found = []
    for a, b in combinations(sorted(distinct.values(), key=lambda one: one.node_id), 2):
        identity = pair_id(anchor_turn_id, a.node_id, b.node_id)
        decision = PairDecision(context_reason(a, b), "none", 0.0)
        if not decision.reason:
            decision = _decide(a, b, votes.get(identity, ()), judged, min_margin)
        reason, margin = decision.reason, decision.margin
        better, worse = (a, b) if margin > 0 else (b, a)
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
            )
        )
    return sorted(found, key=lambda candidate: candidate.pair_id)
