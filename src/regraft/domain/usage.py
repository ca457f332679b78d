"""Tokens of a call, from any dialect's usage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Tokens:
    """``prompt`` is all that the model read, what came from a cache included; None if it was not reported."""

    prompt: int | None
    completion: int | None
    cached: int | None


def tokens(usage: Mapping[str, Any]) -> Tokens:
    """Chat Completions and Responses count cached tokens among those of the prompt, Anthropic beside them."""
    prompt = _count(usage.get("prompt_tokens"))
    if prompt is None:
        prompt = _count(usage.get("input_tokens"))
    cached = _count(usage.get("cache_read_input_tokens"))
    if cached is not None or "cache_creation_input_tokens" in usage:
        written = _count(usage.get("cache_creation_input_tokens"))
        if "prompt_tokens" not in usage:
            prompt = None if prompt is None else prompt + (cached or 0) + (written or 0)
    for name in ("prompt_tokens_details", "input_tokens_details"):
        if cached is None and isinstance(details := usage.get(name), Mapping):
            cached = _count(details.get("cached_tokens"))
    completion = _count(usage.get("completion_tokens"))
    return Tokens(prompt, _count(usage.get("output_tokens")) if completion is None else completion, cached)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
