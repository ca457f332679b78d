"""The calls of a trace, from its spans: each with its own history; a span that wraps another call repeats it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from regraft.domain.capture.importers.conversation import (
    Conversation,
    Found,
    RefusedConversation,
    UnreadableConversationError,
)
from regraft.domain.capture.importers.logged_call import CallMetadata, LoggedRequest, answers, call_messages
from regraft.domain.capture.importers.messages import checked

WRAPS = "a span that wraps another call, which is kept"


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedCall:
    """A span that asked a model. ``parent`` is the span above it; ``tools`` and ``sampling`` are what the span says of
    them, where the request does not."""

    key: str
    parent: str
    request: LoggedRequest
    response: Any
    measured: CallMetadata
    tools: dict[str, Any] = field(default_factory=dict)
    sampling: dict[str, Any] = field(default_factory=dict)
    rest: dict[str, Any] = field(default_factory=dict)


def conversations(trace: str, calls: Iterable[TracedCall], parents: dict[str, str]) -> Iterator[Found]:
    """The calls as conversations, in the order of their times. ``parents`` has the span above each of the trace."""
    known = {each.key: each for each in calls}
    wrapping = spans_above(known, parents)
    for each in sorted(known.values(), key=lambda call: call.measured.started_ns or 0):
        if each.key in wrapping:
            yield RefusedConversation(f"{trace}/{each.key}", WRAPS)
            continue
        try:
            yield _conversation(trace, each)
        except UnreadableConversationError as error:
            yield RefusedConversation(f"{trace}/{each.key}", str(error), error.place)


def spans_above(known: Iterable[str], parents: dict[str, str]) -> set[str]:
    """The spans above those of the calls."""
    found: set[str] = set()
    for key in known:
        above = parents.get(key, "")
        while above and above not in found and above != key:
            found.add(above)
            above = parents.get(above, "")
    return found


def _conversation(trace: str, call: TracedCall) -> Conversation:
    paths = answers(call.response, call.request.dialect)
    rest = dict(call.rest)
    if not paths and call.response not in (None, "", [], {}):
        rest["response"] = call.response
    return checked(
        Conversation(
            key=call.key,
            said=call_messages(call.request, paths, call.measured),
            source=trace,
            model=call.request.model or call.measured.model,
            started_ns=call.measured.started_ns,
            tools=call.request.tools or call.tools,
            sampling={**call.sampling, **call.request.sampling},
            rest=rest,
        )
    )
