"""An experiment: which nodes are replayed, with which variants, how many samples, and within which budget."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from math import isfinite
from typing import Any, Literal, get_args

from regraft.domain.capture.endings import STATUSES
from regraft.domain.capture.side_calls import is_side_call
from regraft.domain.errors import UsageError
from regraft.domain.ids import Digest, canonical_json, digest, parse_json
from regraft.domain.lineage.tombstone import ERASED, is_erased
from regraft.domain.replay.job import Origin, Variant, one_spelling, tool_name

Kind = Literal[
    "continuation",
    "retry",
    "model_variant",
    "sampling_variant",
    "prompt_variant",
    "tool_variant",
    "taskify_variant",
    "compaction",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
QueryName = Literal["pivot"]
QUERIES: tuple[QueryName, ...] = get_args(QueryName)
SAMPLING = ("temperature", "top_p", "seed", "max_tokens")
MOST_JOBS = 1_000_000
SIDE_CALL = "side_call"  # a refusal: a client's call for itself, which no conversation continues from


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which nodes: every condition given must be met, by one of its values. ``sessions`` are ids or names.

    Outcomes are rewards: a node's is the latest of its runs, else its session's. ``pivot``: several answers to one
    context that differ. ``query``: a set of nodes that is found elsewhere; ``pivot`` is those whose replay tells most,
    answers to whose context led to different outcomes. Answers of replays are found only with ``replays``.
    """

    sessions: tuple[str, ...] = ()
    themes: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    outcome_below: float | None = None
    outcome_above: float | None = None
    pivot: bool = False
    query: str = ""
    replays: bool = False
    limit: int | None = None

    def __post_init__(self) -> None:
        for name, given, known in (("kind", self.kinds, KINDS), ("status", self.statuses, STATUSES)):
            for value in given:
                if value not in known:
                    raise UsageError(f"{value!r} is not a {name} of a node. It is one of: {', '.join(known)}.")
        for outcome in (self.outcome_below, self.outcome_above):
            if outcome is not None and not isfinite(outcome):
                raise UsageError(f"An outcome is compared with a finite number, not {outcome}.")
        if self.query not in ("", *QUERIES):
            raise UsageError(f"{self.query!r} is not a query. It is one of: {', '.join(QUERIES)}.")
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"A limit is at least 1, not {self.limit}.")
        for text in (*self.themes, *self.tasks, *self.models):
            if "\0" in text or any("\ud800" <= each <= "\udfff" for each in text):
                raise UsageError("A theme, task or model must not contain NUL or a lone surrogate.")

    @property
    def conditions(self) -> dict[str, Any]:
        """The conditions that are given, as a JSON object."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in found.items()
            if value not in ((), None, False, "")
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """What is asked for. ``nodes`` are ids (or starts of ids) and win over ``query``.

    ``growth`` describes how an answer is generated if it takes more than one call, and ``rollout`` holds those options
    whole, so that a stored plan can continue. ``text`` is the file as it was written. Clients' side calls (titles,
    tags, ...) are refused unless ``side_calls``."""

    nodes: tuple[str, ...] = ()
    query: Query | None = None
    variants: Sequence[Variant] = (Variant(),)
    samples: int = 1
    name: str = ""
    theme: str | None = None
    again: bool = False
    side_calls: bool = False
    growth: str = ""
    rollout: Mapping[str, Any] | None = None
    concurrency: int = 2
    budget_tokens: int | None = None
    budget_money: float | None = None
    text: str | None = field(default=None, repr=False)

    def definition(self) -> dict[str, Any]:
        """The fields that define the experiment: all but its name, its concurrency and its budget."""
        chosen: dict[str, Any] = {"ids": list(self.nodes)} if self.nodes else (self.query or Query()).conditions
        whole = {
            "nodes": chosen,
            "variants": [variant.describe() for variant in self.variants],
            "samples": self.samples,
            "theme": self.theme,
            "again": self.again,
            "side_calls": self.side_calls,
            "growth": self.growth,
        }
        return {key: value for key, value in whole.items() if value not in (None, False, "")}

    def refusal(self, origin: Origin) -> str | None:
        """Why a node is not replayed; None: it is."""
        if any(map(is_erased, (*origin.messages, origin.tools, origin.sampling, origin.other))):
            return ERASED
        return SIDE_CALL if is_side_call(origin.purpose) and not self.side_calls else None

    def definition_digest(self) -> Digest:
        """The digest of the definition."""
        return digest(b"experiment", canonical_json(self.definition()).encode())


def grid(dimensions: Mapping[str, Sequence[Any]], fixed: Variant | None = None) -> list[Variant]:
    """Each value of each dimension with each of the others; an empty dimension stays as it was.

    ``model`` and ``system`` come first, so that the jobs of one model and one prompt come one after another.
    """
    start = fixed or Variant()
    order = ("model", "system", "user", *SAMPLING)
    lists = [[(name, value) for value in dict.fromkeys(dimensions.get(name, ()))] or [(name, None)] for name in order]
    found = []
    for point in itertools.product(*lists):
        chosen = {name: value for name, value in point if value is not None}
        sampling = {**start.sampling, **{name: chosen[name] for name in SAMPLING if name in chosen}}
        found.append(
            Variant(
                model=chosen.get("model", start.model),
                system=chosen.get("system", start.system),
                user=chosen.get("user", start.user),
                sampling=one_spelling(sampling),
                tools=start.tools,
                without_tools=start.without_tools,
                plan=start.plan,
                chat=start.chat,
            )
        )
    return found


def read_tools(text: str, where: str) -> list[dict[str, Any]]:
    """Tool definitions from a JSON list; a bare function is put into the chat form. Raises UsageError."""
    try:
        found = parse_json(text)
    except ValueError as error:
        raise UsageError(f"{where} is not JSON: {error}.") from error
    if not isinstance(found, list):
        raise UsageError(f"{where} must be a JSON list of tools.")
    tools = []
    for place, tool in enumerate(found, 1):
        if not isinstance(tool, dict) or tool_name(tool) is None:
            raise UsageError(f"{where}: tool {place} has no name.")
        bare = "function" not in tool and "type" not in tool
        tools.append({"type": "function", "function": tool} if bare else tool)
    return tools
