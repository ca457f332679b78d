"""Comparing the answers under one anchor: what each variant changed, in words, and how its samples are distributed.

Samples of one variant were asked the same thing: seeds, which only distinguish samples, do not make a variant.
Regenerated answers are compared separately from the superseded ones. Plain statistics; this does not judge which answer
is better."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev
from typing import Any
from uuid import UUID

from regraft.domain.ids import Digest, canonical_json, digest, plain
from regraft.domain.replay.job import tool_name

AS_ASKED = "as it was asked"
_REFUSED = frozenset({"refused", "filtered"})
_SEED = "seed"
_LONGEST_WORDS = 60  # characters of a prompt that a variant's words quote


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One answer. ``variant`` is equal for samples of one variant; ``projection`` for answers that say the same.

    ``projection`` is None where there is no answer. ``seconds`` is the time of the whole call, ``cost`` is in the money
    of the prices; a figure that was not reported is None.
    """

    turn_id: UUID
    variant: Digest
    words: str
    model: str
    model_snapshot_id: str
    status: str
    text: str
    projection: Digest | None
    seconds: float
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost: float | None = None
    reward: float | None = None
    fidelity: float | None = None
    superseded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """A variant over its samples.

    ``agreement`` is the share of the commonest answer among those that there are, 0 to 1, and ``distinct`` how many
    say different things; ``length`` counts characters, and its ``spread`` is the sample standard deviation.
    ``refusals``, ``errors`` and ``cut`` are shares of all samples. Means are over the samples that reported a figure;
    None where none did. ``cost`` is the sum.
    """

    variant: Digest
    words: str
    superseded: bool
    models: tuple[str, ...]
    samples: int
    answers: int
    distinct: int
    agreement: float | None
    commonest: UUID | None
    length: float | None
    length_spread: float | None
    refusals: float
    errors: float
    cut: float
    prompt_tokens: float | None
    completion_tokens: float | None
    seconds: float
    seconds_median: float
    cost: float | None
    reward: float | None
    rewarded: int
    fidelity: float | None
    turn_ids: tuple[UUID, ...]


def variant_of(
    *,
    model: str,
    system: bytes,
    user: bytes,
    tools: bytes,
    sampling: Mapping[str, Any],
    plan: str = "",
    superseded: bool = False,
) -> Digest:
    """The identity of a variant: the whole request except the seed."""
    kept = {key: value for key, value in sampling.items() if key != _SEED}
    parts = (model.encode("utf-8", "surrogatepass"), system, user, tools, canonical_json(plain(kept)).encode())
    return digest(b"variant", *parts, plan.encode("utf-8", "surrogatepass"), b"superseded" if superseded else b"")


def in_words(config: Mapping[str, Any], label: Mapping[str, Any] | None = None) -> str:
    """The changes of a variant, in words. ``config`` is the difference to the anchor's request, as the graph keeps it;
    ``label`` is what the replay said that it would change, and quotes prompts."""
    said = label or {}
    words: list[str] = []
    taskify = config.get("taskify")
    if isinstance(taskify, Mapping):
        words.append(f"plan {taskify['to']}" if taskify.get("to") else "no plan")
    prompt = config.get("prompt")
    for role in ("system", "user"):
        if isinstance(prompt, Mapping) and prompt.get(role):
            words.append(_prompt(role, said.get(role)))
    if isinstance(config.get("tools"), Mapping):
        words.append(_tools(config["tools"]))
    model = config.get("model")
    if isinstance(model, Mapping):
        words.append(f"model {model.get('to')}")
    sampling = config.get("sampling")
    for key, change in sorted(sampling.items()) if isinstance(sampling, Mapping) else ():
        if key != _SEED and isinstance(change, Mapping):
            words.append(f"{key} {'unset' if change.get('to') is None else _short(str(plain(change['to'])))}")
    return ", ".join(words) or AS_ASKED


def changes_in_words(described: Mapping[str, Any]) -> str:
    """The changes that a replay will make, in words, from ``Variant.describe``."""
    words = [_prompt(role, described[role]) for role in ("system", "user") if role in described]
    added = [tool_name(tool) or "" for tool in described.get("tools", ())]
    if added or described.get("without_tools"):
        words.append(_tools({"added": added, "removed": described.get("without_tools")}))
    words += [f"{name} {_short(described[name])}" for name in ("model", "plan") if name in described]
    for key, value in described.get("sampling", {}).items():
        words.append(f"{key} {'unset' if value is None else value}")
    if described.get("chat"):
        words.append("as a chat")
    return ", ".join(words) or AS_ASKED


def _prompt(role: str, quoted: Any) -> str:
    if quoted == "":
        return f"no {role} prompt"
    name = "system prompt" if role == "system" else "user message"
    return f"{name} “{_short(quoted)}”" if isinstance(quoted, str) else f"another {name}"


def _tools(changes: Mapping[str, Any]) -> str:
    marks = (("added", "+"), ("removed", "-"), ("changed", "~"), ("settings", "~"))
    found = [f"{mark}{name}" for key, mark in marks for name in changes.get(key) or ()]
    return "tools " + " ".join(found) if found else "tools in another order"


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _LONGEST_WORDS else flat[: _LONGEST_WORDS - 1] + "…"


def distributions(samples: Iterable[Sample]) -> list[Distribution]:
    """One for each variant, in the order of its first sample."""
    groups: dict[Digest, list[Sample]] = defaultdict(list)
    for sample in samples:
        groups[sample.variant].append(sample)
    return [_distribution(group) for group in groups.values()]


def _distribution(group: Sequence[Sample]) -> Distribution:
    first = group[0]
    answered = [sample for sample in group if sample.projection is not None]
    said = Counter(sample.projection for sample in answered)
    # Of answers that are equally common, the one that came first.
    top, count = said.most_common(1)[0] if said else (None, 0)
    lengths = [len(sample.text) for sample in answered]
    rewards = [sample.reward for sample in group if sample.reward is not None]
    costs = [sample.cost for sample in group if sample.cost is not None]
    seconds = [sample.seconds for sample in group]
    return Distribution(
        variant=first.variant,
        words=first.words,
        superseded=first.superseded,
        models=tuple(dict.fromkeys(sample.model_snapshot_id for sample in group)),
        samples=len(group),
        answers=len(answered),
        distinct=len(said),
        agreement=count / len(answered) if answered else None,
        commonest=next((sample.turn_id for sample in answered if sample.projection == top), None),
        length=fmean(lengths) if lengths else None,
        length_spread=stdev(lengths) if len(lengths) > 1 else None,
        refusals=_share(group, _REFUSED),
        errors=_share(group, frozenset({"error"})),
        cut=_share(group, frozenset({"interrupted"})),
        prompt_tokens=_mean(sample.prompt_tokens for sample in group),
        completion_tokens=_mean(sample.completion_tokens for sample in group),
        seconds=fmean(seconds),
        seconds_median=median(seconds),
        cost=sum(costs) if costs else None,
        reward=fmean(rewards) if rewards else None,
        rewarded=len(rewards),
        fidelity=_mean(sample.fidelity for sample in group),
        turn_ids=tuple(sample.turn_id for sample in group),
    )


def _share(group: Sequence[Sample], statuses: frozenset[str]) -> float:
    return sum(sample.status in statuses for sample in group) / len(group)


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
