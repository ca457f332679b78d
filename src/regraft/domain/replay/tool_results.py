"""The sources that answer the tool calls of a replayed branch, and which answers come from the record.

Policies: ``strict`` hands out recorded results for the very calls that they answered, and ends the branch at any other
call; ``recorded`` also hands out, by order, results of calls of the same tool with other arguments, and says so;
``live`` runs the tools that a server offers; ``simulated`` lets a model invent what the record does not hold.
Calls are equal when their names and their arguments are, under the projection that joining uses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from regraft.domain.ids import Digest, canonical_json, digest_json
from regraft.domain.lineage.projection import project

POLICIES = ("strict", "recorded", "live", "simulated")
# Where a result came from. The first two are the record's answers to exactly the call that was made.
PATH, SIBLING, DRIFT, LIVE, SIMULATED = "path", "sibling", "drift", "live", "simulated"
EXACT = frozenset({PATH, SIBLING})
_SHOWN = 80  # characters of arguments in a reason
_RESULTS = frozenset({"tool", "function"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """One call that a message asks for. ``key`` is equal for equal calls; ``legacy``: it is a ``function_call``.

    ``arguments`` are projected (numbers and blanks are normal), ``sent`` is what the message holds.
    """

    name: str
    key: Digest
    arguments: Any
    sent: Any
    call_id: str | None
    legacy: bool = False

    def shown(self) -> str:
        """The call in a line."""
        arguments = canonical_json(self.arguments)
        return f"{self.name}({arguments if len(arguments) <= _SHOWN else arguments[:_SHOWN] + '...'})"


def calls_of(message: Any) -> list[ToolCall]:
    """The tool calls of a message, in its order."""
    if not isinstance(message, Mapping):
        return []
    projected = project(message)
    calls = zip(projected.get("calls", ()), message.get("tool_calls") or (), strict=False)
    found = [_call(call, sent, legacy=False) for call, sent in calls]
    if "call" in projected:
        found.append(_call(projected["call"], {"function": message["function_call"]}, legacy=True))
    return found


def _call(projected: Any, sent: Any, *, legacy: bool) -> ToolCall:
    name, arguments = projected if isinstance(projected, list) and len(projected) == 2 else (None, projected)
    whole = sent if isinstance(sent, Mapping) else {}
    inner = next((whole[kind] for kind in ("function", "custom") if isinstance(whole.get(kind), Mapping)), whole)
    call_id = whole.get("id")
    return ToolCall(
        name=name if isinstance(name, str) else "",
        key=digest_json([name, arguments]),
        arguments=arguments,
        sent=inner.get("arguments", inner.get("input")),
        call_id=call_id if isinstance(call_id, str) else None,
        legacy=legacy,
    )


def is_result(message: Any) -> bool:
    """Whether a message is what a tool said."""
    return isinstance(message, Mapping) and message.get("role") in _RESULTS


def results_among(calls: Sequence[ToolCall], follow: Sequence[Any]) -> dict[int, int]:
    """Which of the messages after an answer are results of its calls: place in ``follow`` -> place in ``calls``.

    By id; a result whose id is not a call's, or that has none, is of the first call left with its name, else of the
    first left. Calls that the *user* made have their results too: after those begin, none is the answer's."""
    left = dict(enumerate(calls))
    found: dict[int, int] = {}
    for place, message in enumerate(follow):
        if isinstance(message, Mapping) and message.get("tool_calls"):
            break
        if left and is_result(message):
            said, name = message.get("tool_call_id"), message.get("name")
            by_id = [at for at, call in left.items() if said is not None and call.call_id == said]
            by_name = [at for at, call in left.items() if name is not None and call.name == name]
            chosen = (by_id or by_name or list(left))[0]
            found[place] = chosen
            del left[chosen]
    return found


def result_message(call: ToolCall, content: Any, recorded: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The message that answers a call: a recorded one under the call's id, or a new one with this content."""
    if recorded is not None:
        message = dict(recorded)
        if call.call_id is not None and "tool_call_id" in message:
            message["tool_call_id"] = call.call_id
        return message
    if call.legacy:
        return {"role": "function", "name": call.name, "content": content}
    return {"role": "tool", "tool_call_id": call.call_id or "", "content": content}


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedResult:
    """A call and what the tool said. ``source`` is PATH or SIBLING."""

    call: ToolCall
    message: Mapping[str, Any]
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedResult:
    """A call's answer. ``stands_for`` is the key of the recorded call that it counts as, its own unless it drifted."""

    message: dict[str, Any]
    source: str
    stands_for: Digest
    note: str = ""


@dataclass(frozen=True, slots=True)
class UnservedCall:
    """No result for the call, and why."""

    reason: str


class ToolOracle(Protocol):
    """Answers the calls of one branch, in the order in which they are made."""

    async def serve(self, call: ToolCall) -> ServedResult | UnservedCall:
        """The call's result, or why there is none."""
        ...


@dataclass(slots=True)
class RecordedResults:
    """Recorded results, each handed out once in a branch: first those of the path, then those of its siblings.

    The first ``spent`` ones are in the history that the branch grows from: they can only be said again.
    """

    results: Sequence[RecordedResult]
    spent: int = 0
    _used: set[int] = field(default_factory=set)

    def exact(self, call: ToolCall) -> RecordedResult | None:
        """The next result of exactly this call."""
        return self._take(at for at, result in enumerate(self.results) if result.call.key == call.key)

    def said(self, call: ToolCall) -> RecordedResult | None:
        """The last result of exactly this call, handed out before or not."""
        return next((result for result in reversed(self.results) if result.call.key == call.key), None)

    def by_order(self, call: ToolCall) -> RecordedResult | None:
        """The next result of the same tool, with any arguments."""
        return self._take(at for at, result in enumerate(self.results) if result.call.name == call.name)

    def _take(self, places: Iterable[int]) -> RecordedResult | None:
        for place in places:
            if place >= self.spent and place not in self._used:
                self._used.add(place)
                return self.results[place]
        return None


@dataclass(slots=True)
class StrictResults:
    """Recorded results of exactly the calls that are made."""

    recorded: RecordedResults

    async def serve(self, call: ToolCall) -> ServedResult | UnservedCall:
        """The next recorded result of this call."""
        found = self.recorded.exact(call)
        if found is None:
            why = "was called more often than in the record" if self.recorded.said(call) else "is not in the record"
            return UnservedCall(f"{call.shown()} {why}")
        return ServedResult(
            message=result_message(call, None, found.message), source=found.source, stands_for=found.call.key
        )


@dataclass(slots=True)
class OrderedResults:
    """Recorded results of exactly the calls that are made. Failing that, as drift: what the same call was given
    before, or the next result of the same tool."""

    recorded: RecordedResults

    async def serve(self, call: ToolCall) -> ServedResult | UnservedCall:
        """The next recorded result of this call or, drifted, of its tool."""
        exact = await StrictResults(self.recorded).serve(call)
        if isinstance(exact, ServedResult):
            return exact
        found = self.recorded.said(call) or self.recorded.by_order(call)
        if found is None:
            return UnservedCall(f"the record holds no result of {call.name} that is left for {call.shown()}")
        return ServedResult(
            message=result_message(call, None, found.message),
            source=DRIFT,
            stands_for=found.call.key,
            note=f"{call.shown()} was given the result of {found.call.shown()}"
            + (", again" if found.call.key == call.key else ""),
        )


# What a session recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class ForestMessage:
    """A message in a session's histories: ``context_id`` is the history that it ends. ``left_out``: no record of a
    tool of its own, because it is on the path, or a copy, or was made up."""

    context_id: bytes
    parent_id: bytes
    message: Any
    left_out: bool = False


def sibling_results(forest: Sequence[ForestMessage]) -> list[RecordedResult]:
    """The tool results of a session, in the order of ``forest``, without those that are left out.

    A result belongs to the nearest message before it that made calls; one that answers the user's calls is none.
    """
    by_id = {each.context_id: each for each in forest}
    found = []
    for each in forest:
        if each.left_out or not is_result(each.message):
            continue
        follow: list[Any] = []
        above: ForestMessage | None = each
        while above is not None and not calls_of(above.message):
            follow.append(above.message)
            above = by_id.get(above.parent_id)
        if above is None or not isinstance(above.message, Mapping) or above.message.get("role") != "assistant":
            continue
        calls, follow = calls_of(above.message), follow[::-1]
        place = results_among(calls, follow).get(len(follow) - 1)
        if place is not None:
            found.append(RecordedResult(call=calls[place], message=each.message, source=SIBLING))
    return found


# The prompt for a model that simulates a tool


def simulation(call: ToolCall, definition: Any, examples: Sequence[RecordedResult]) -> list[dict[str, Any]]:
    """The messages that ask a model for a tool's result. ``examples`` are recorded results of the same tool."""
    recorded = [(canonical_json(each.call.arguments), canonical_json(each.message.get("content"))) for each in examples]
    shown = "\n\n".join(f"Call: {call.name}({arguments})\nResult: {said}" for arguments, said in recorded)
    instructions = "You stand in for a tool that another model calls. Answer with the tool's result and nothing else."
    described = f"The tool: {canonical_json(definition)}" if definition else f"The tool: {call.name}"
    before = f"\n\nRecorded results of it:\n\n{shown}" if shown else ""
    return [
        {"role": "system", "content": instructions},
        {
            "role": "user",
            "content": f"{described}{before}\n\nCall: {call.name}({canonical_json(call.arguments)})\nResult:",
        },
    ]
