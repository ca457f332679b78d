"""A span as it is exported: names from configuration, ids, times and counts. Never content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

AttributeValue = str | bool | int | float | Sequence[str]


@dataclass(frozen=True, slots=True)
class SpanLink:
    """Another span that this one has to do with, in whatever trace. ``relation`` says how."""

    trace_id: str
    span_id: str
    relation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Something that was done, from one Unix nanosecond to another. ``parent_id`` is empty where a trace begins."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str = ""
    kind: Literal["client", "internal"] = "internal"
    started_ns: int
    ended_ns: int
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    failed: bool = False
    links: tuple[SpanLink, ...] = ()
