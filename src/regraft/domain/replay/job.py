"""Replay: a node's frozen context, sent again with other conditions. A plan is a pure value of fingerprinted jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from regraft.domain.capture.dialects import CHAT, as_chat, dialect_of
from regraft.domain.capture.request import Request
from regraft.domain.errors import UsageError
from regraft.domain.ids import Digest, NodeId, SessionId, canonical_json, digest, plain

# How the answer is handed over, not what is asked; an answer made in the background would not come back at all.
_DELIVERY = frozenset({"stream", "stream_options", "background"})
_INSTRUCTING = frozenset({"system", "developer"})
_REAL = frozenset(
    {"temperature", "top_p", "min_p", "typical_p", "frequency_penalty", "presence_penalty", "repetition_penalty"}
)
_WHOLE = frozenset({"seed", "max_tokens", "max_completion_tokens", "max_output_tokens", "top_k", "n"})
_EXACT = 2**53  # below it each whole number is a float
_LISTS = ("tools", "functions")
_CHOICES = ("tool_choice", "function_call")
LONGEST_TEXT = 200  # characters of a prompt that a label quotes; a longer one is named by its digest
LONGEST_LABEL = 1300  # bytes: the gateway reads 4,096 of a header, and a byte may take three there


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The source of a replay: a node, the exact history of its call, and the rest of that request.

    ``endpoint`` is the dialect that it was asked in, ``plan`` the plan that the call named, ``purpose`` what the call
    was for. ``prompt_tokens`` and ``completion_tokens`` are those of the recorded answer, None where they were not
    reported.
    """

    node_id: NodeId
    session_id: SessionId
    context_id: Digest
    messages: Sequence[Any]
    model: str
    tools: Mapping[str, Any]
    sampling: Mapping[str, Any]
    other: Mapping[str, Any]
    endpoint: str = CHAT
    plan: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    purpose: str = ""

    def request(self) -> Request:
        """The request, whole and in the chat form."""
        return Request(
            model=self.model,
            messages=self.messages,
            tools=dict(self.tools),
            sampling=dict(self.sampling),
            other=dict(self.other),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """The changes of a replay; an empty field changes nothing. A sampling value of None removes the setting.

    ``tools`` are definitions in the chat form: one of a known name replaces it, any other is added. ``plan`` names the
    taskification that the call belongs to. ``chat`` asks the chat endpoint, also when the original used another
    dialect.
    """

    model: str | None = None
    system: str | None = None
    user: str | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict)
    tools: Sequence[Mapping[str, Any]] = ()
    without_tools: tuple[str, ...] = ()
    plan: str | None = None
    chat: bool = False

    def __post_init__(self) -> None:
        for name, value in self.sampling.items():
            if isinstance(value, float) and not isfinite(value):
                raise UsageError(f"{name} is a finite number, not {value}.")

    def describe(self) -> dict[str, Any]:
        """The variant as a JSON object with its changes only."""
        changes = {
            "model": self.model,
            "system": self.system,
            "user": self.user,
            "sampling": dict(self.sampling),
            "tools": [dict(tool) for tool in self.tools],
            "without_tools": list(self.without_tools),
            "plan": self.plan,
            "chat": self.chat or None,
        }
        return {key: value for key, value in changes.items() if value not in (None, {}, [])}

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> Variant:
        """The variant that ``describe`` gave."""
        fields: dict[str, Any] = dict(described)
        if "without_tools" in fields:
            fields["without_tools"] = tuple(fields["without_tools"])
        return cls(**fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One answer to generate. ``fingerprint`` is the same for the same context, request and sample, whenever it is
    made.

    ``variant_index`` is the variant's place in its plan, ``endpoint`` and ``body`` are the call to make.
    """

    origin: Origin
    variant: Variant
    variant_index: int
    sample: int
    endpoint: str
    body: str
    fingerprint: str

    @property
    def model(self) -> str:
        """The model that is asked."""
        return self.variant.model or self.origin.model

    @property
    def plan(self) -> str:
        """The taskification that the call names; empty: none."""
        return self.origin.plan if self.variant.plan is None else self.variant.plan

    @property
    def same_words(self) -> bool:
        """Whether exactly the messages of the original are asked."""
        return self.variant.system is None and self.variant.user is None

    def label(self) -> str:
        """The variant header: JSON text that the record of the call keeps. Long values are shortened.

        Only the call that finishes the job may bear it: its fingerprint in the log says that the job is done.
        """
        mark = {"sample": self.sample, "fingerprint": self.fingerprint}
        text = canonical_json({**_in_short(self.variant.describe()), **mark})
        return text if len(text.encode()) <= LONGEST_LABEL else canonical_json(mark)


def one_spelling(sampling: Mapping[str, Any]) -> dict[str, Any]:
    """Sampling settings with their numbers as the command line writes them: 0.0 for a temperature of 0, 100 for a limit
    of 100.0. The spelling is part of a request, and so of a job's fingerprint."""
    return {name: _one_spelling(name, value) for name, value in sampling.items()}


def _one_spelling(name: str, value: Any) -> Any:
    if isinstance(value, bool) or name not in _REAL | _WHOLE:
        return value
    number = plain(value)
    if isinstance(number, float) and name in _WHOLE:
        return int(number) if number.is_integer() else number
    if isinstance(number, int | float) and name in _REAL:
        return float(number) + 0.0 if abs(number) < _EXACT else number  # + 0.0: -0.0 is 0.0
    return number


def _in_short(described: dict[str, Any]) -> dict[str, Any]:
    for name in ("system", "user", "plan"):
        text = described.get(name)
        if isinstance(text, str) and len(text) > LONGEST_TEXT:
            described[name] = {"characters": len(text), "digest": digest(canonical_json(text).encode()).hex()[:16]}
    if "tools" in described:
        described["tools"] = [tool_name(tool) for tool in described["tools"]]
    return described


def tool_name(tool: Any) -> str | None:
    """The name of a tool definition; a hosted tool goes by its type."""
    if not isinstance(tool, Mapping):
        return None
    function = tool.get("function", tool)
    name = function.get("name") if isinstance(function, Mapping) else None
    return name if isinstance(name, str) else tool.get("type") if isinstance(tool.get("type"), str) else None


def plan(
    origins: Iterable[Origin],
    variants: Sequence[Variant],
    samples: int,
    *,
    pin_of: Callable[[str], str] = lambda model: "",
    growth: str = "",
) -> list[Job]:
    """Nodes x variants x samples. Siblings of one context come one after another, so that a prefix cache helps.

    ``pin_of`` tells what pins a model's build where that is known: another build is another job. ``growth`` describes
    how an answer is generated if it takes more than one call, and is part of the fingerprint. Raises UsageError.
    """
    if samples < 1:
        raise UsageError(f"-n must be at least 1, not {samples}.")
    found = list(origins)
    _check_removed_tools(found, variants)
    places: dict[Digest, int] = {}
    for origin in found:
        places.setdefault(origin.context_id, len(places))
    found.sort(key=lambda origin: places[origin.context_id])
    return [
        _job(origin, variants[index], index, sample, pin_of, growth)
        for origin in found
        for index in range(len(variants))
        for sample in range(samples)
    ]


def _check_removed_tools(origins: Sequence[Origin], variants: Sequence[Variant]) -> None:
    removed = {name for variant in variants for name in variant.without_tools}
    if removed and origins:
        known = {
            tool_name(tool)
            for origin in origins
            for key in ("tools", "functions")
            for tool in _listed(origin.tools, key)
        }
        if unknown := sorted(removed - known):
            has = ", ".join(sorted(filter(None, known))) or "none"
            raise UsageError(f"No node has a tool {unknown[0]!r} that could be removed (the tools are: {has}).")


def _listed(tools: Mapping[str, Any], key: str) -> Sequence[Any]:
    found = tools.get(key)
    return found if isinstance(found, list) else ()


def _job(origin: Origin, variant: Variant, index: int, sample: int, pin_of: Callable[[str], str], growth: str) -> Job:
    model = variant.model or origin.model
    if not model:
        raise UsageError(f"Node {origin.node_id} has no known model: choose one to ask (--model).")
    other = {key: value for key, value in origin.other.items() if key not in _DELIVERY}
    if variant.model:
        other.pop("model", None)
    request = Request(
        model=model,
        messages=_messages(origin, variant),
        tools=_tools(origin, variant),
        sampling=_sampling(origin, variant, sample),
        other=other,
    )
    endpoint = CHAT if variant.chat else origin.endpoint
    if endpoint != origin.endpoint:
        request = as_chat(request)
    body = dialect_of(endpoint).standalone(request).decode()
    job = Job(
        origin=origin,
        variant=variant,
        variant_index=index,
        sample=sample,
        endpoint=endpoint,
        body=body,
        fingerprint="",
    )
    # What is not there is left out, so that a fingerprint stays the same when a new kind of component is thought of.
    more = {"endpoint": "" if endpoint == CHAT else endpoint, "plan": job.plan, "pin": pin_of(model), "growth": growth}
    marks = [f"{name}={value}".encode() for name, value in more.items() if value]
    mark = digest(b"replay", origin.context_id, body.encode(), str(sample).encode(), *marks).hex()[:32]
    return Job(
        origin=origin,
        variant=variant,
        variant_index=index,
        sample=sample,
        endpoint=endpoint,
        body=body,
        fingerprint=mark,
    )


def _sampling(origin: Origin, variant: Variant, sample: int) -> dict[str, Any]:
    changes = dict(variant.sampling)
    if "max_completion_tokens" in origin.sampling and "max_tokens" in changes:
        changes["max_completion_tokens"] = changes.pop("max_tokens")  # servers refuse both at once
    sampling = {key: value for key, value in {**origin.sampling, **changes}.items() if value is not None}
    if isinstance(sampling.get("seed"), int):
        sampling["seed"] += sample
    return sampling


def _tools(origin: Origin, variant: Variant) -> dict[str, Any]:
    if not variant.tools and not variant.without_tools:
        return dict(origin.tools)
    tools = dict(origin.tools)
    changed = {tool_name(tool): tool for tool in variant.tools}
    for key in _LISTS:
        kept = [tool for tool in _listed(origin.tools, key) if tool_name(tool) not in variant.without_tools]
        tools[key] = [_in_place(key, changed.pop(tool_name(tool), tool)) for tool in kept]
    tools["tools"] += [tool for name, tool in changed.items() if name not in variant.without_tools]
    tools = {key: value for key, value in tools.items() if value or key not in _LISTS}
    left = {tool_name(tool) for key in _LISTS for tool in _listed(tools, key)}
    chosen = {tool_name(choice) for key in _CHOICES if isinstance(choice := tools.get(key), Mapping)}
    if not left or chosen - left:
        # A choice among no tools, or of one that is gone, is refused by servers.
        tools = {key: value for key, value in tools.items() if key not in (*_CHOICES, "parallel_tool_calls")}
    return tools


def _in_place(key: str, tool: Any) -> Any:
    """A tool as an item of ``tools``, or of the older ``functions``."""
    return tool["function"] if key == "functions" and isinstance(tool, Mapping) and "function" in tool else tool


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
        raise UsageError(f"The variant leaves no messages to send at node {origin.node_id}.")
    return messages


def _role(message: Any) -> Any:
    return message.get("role") if isinstance(message, Mapping) else None
