"""Replay: a node's frozen context, asked again under other conditions. A plan is a pure value of fingerprinted jobs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from regraft.domain.errors import UsageError
from regraft.domain.ids import Digest, NodeId, SessionId, canonical_json, digest

_STREAMING = frozenset({"stream", "stream_options"})
_INSTRUCTING = frozenset({"system", "developer"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What is grown again: a node, the exact history that its call was made with, and the rest of that request."""

    node_id: NodeId
    session_id: SessionId
    context_id: Digest
    messages: Sequence[Any]
    model: str
    tools: Mapping[str, Any]
    sampling: Mapping[str, Any]
    other: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """What is changed; a field left empty stays as it was. A sampling value of None removes the setting."""

    model: str | None = None
    system: str | None = None
    user: str | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """The variant as a JSON object, without what it leaves alone."""
        changes = {"model": self.model, "system": self.system, "user": self.user, "sampling": dict(self.sampling)}
        return {key: value for key, value in changes.items() if value not in (None, {})}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One call to make. ``fingerprint`` is the same for the same context, request and sample, whenever it is made."""

    origin: Origin
    variant: Variant
    sample: int
    body: str
    fingerprint: str

    def label(self) -> str:
        """The variant header: JSON text that the record of the call keeps."""
        return canonical_json({**self.variant.describe(), "sample": self.sample, "fingerprint": self.fingerprint})


def plan(origins: Iterable[Origin], variants: Sequence[Variant], samples: int) -> list[Job]:
    """Nodes x variants x samples. Siblings of one context stand together, so that a prefix cache is of use."""
    if samples < 1:
        raise UsageError(f"-n must be at least 1, not {samples}.")
    return [_job(origin, variant, sample) for origin in origins for variant in variants for sample in range(samples)]


def _job(origin: Origin, variant: Variant, sample: int) -> Job:
    sampling = {**origin.sampling, **variant.sampling}
    sampling = {key: value for key, value in sampling.items() if value is not None}
    if isinstance(sampling.get("seed"), int):
        sampling["seed"] += sample
    other = {key: value for key, value in origin.other.items() if key not in _STREAMING}
    if variant.model:
        other["model"] = variant.model
    request = {
        "model": origin.model,
        "messages": _messages(origin, variant),
        **origin.tools,
        **sampling,
        **other,
    }
    body = canonical_json(request)
    mark = digest(b"replay", origin.context_id, body.encode(), str(sample).encode()).hex()[:32]
    return Job(origin=origin, variant=variant, sample=sample, body=body, fingerprint=mark)


def _messages(origin: Origin, variant: Variant) -> list[Any]:
    messages = list(origin.messages)
    if variant.system is not None:
        kept = [message for message in messages if _role(message) not in _INSTRUCTING]
        messages = [{"role": "system", "content": variant.system}, *kept] if variant.system else kept
    if variant.user is not None:
        places = [at for at, message in enumerate(messages) if _role(message) == "user"]
        if not places:
            raise UsageError(f"Node {origin.node_id} has no user message that could be edited.")
        messages[places[-1]] = {"role": "user", "content": variant.user}
    if not messages:
        raise UsageError(f"Nothing would be left to ask at node {origin.node_id}.")
    return messages


def _role(message: Any) -> Any:
    return message.get("role") if isinstance(message, Mapping) else None
