"""Lines of chat messages: ``{"messages": [...], "tools": [...]}``, as OpenAI fine-tuning and most corpora have them.

Kept beside the messages where a line has them: ``id``, ``source``, ``group`` (or ``task``), ``model``, ``outcome`` with
figures (``reward``, ``success``, ``preferred``, ``ranks`` by message) and ``meta`` with ``message_ids`` and
``message_meta`` by message. Preference lines are two branches: ``prompt`` with ``chosen`` and ``rejected`` (TRL), or
``input`` with ``preferred_output`` and ``non_preferred_output`` (OpenAI). Lines of Anthropic's form are read too
(``anthropic_form``), a system prompt and an answer that stand beside the messages (``answer_beside``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from regraft.domain.capture.importers.answer_beside import unanswered, with_answer
from regraft.domain.capture.importers.anthropic_form import chat_messages, is_anthropic
from regraft.domain.capture.importers.conversation import (
    Conversation,
    Found,
    ImportedMessage,
    Judgement,
    UnreadableConversationError,
    last_answer,
)
from regraft.domain.capture.importers.judged import judgements, read_figures
from regraft.domain.capture.importers.links import NO_PARENT, link, tree_of
from regraft.domain.capture.importers.messages import checked, content_of, role_of, tool_list
from regraft.domain.capture.importers.moment import nanoseconds
from regraft.domain.capture.importers.recorded import decoded
from regraft.domain.capture.importers.records import JsonRecord
from regraft.domain.capture.importers.values import figure, mapping, mappings, name, rest, text
from regraft.domain.ids import digest_json

FORM = "openai"
_KNOWN = frozenset(
    {
        "id",
        "source",
        "group",
        "task",
        "model",
        "tools",
        "functions",
        "outcome",
        "meta",
        "parallel_tool_calls",
        "created",
    }
    | {"theme"}
)
_SIDES = frozenset({"prompt", "chosen", "rejected"})
_OUTPUTS = frozenset({"input", "preferred_output", "non_preferred_output"})
_SYSTEM = (
    *("system", "system_prompt", "systemPrompt", "system_message", "system_instruction", "systemInstruction"),
    "instructions",
)

_PARENTS = ("parent_id", "parentId", "parent_message_id", "parentMessageId", "parent")
_MEASURED = frozenset({"timestamp", "usage", "finish_reason", "turn_idx"})


def recognises(record: JsonRecord) -> bool:
    """Whether the record is such a line."""
    value = record.value
    return isinstance(value, dict) and (_is_messages(_given(value)) or _sides(value) is not None)


def read(record: JsonRecord) -> Iterator[Found]:
    """The conversation of a line."""
    line = mapping(record.value)
    outcome, meta = mapping(line.get("outcome")), mapping(line.get("meta"))
    source = text(line.get("source"))
    said = _preference(line, source) or []
    tools = _tools(line)
    known = _KNOWN | ((_OUTPUTS if "preferred_output" in line else _SIDES) if said else {"messages"})
    if not said:
        given = _given(line)
        if isinstance(given, list) and is_anthropic(line, mappings(given)):
            for each in given:
                role_of(each)
            given, tools = chat_messages(given, line.get("tools"))
        said = _messages(given, outcome, meta, source)
        if said and isinstance(line.get("messages"), str):
            said[0] = replace(said[0], source_texts=(line["messages"],))
        said, beside = with_answer(said, line, known | frozenset(_SYSTEM))
        known |= beside
    said, prompts = _with_system(said, line)
    known |= prompts
    last = last_answer(said)
    found = tuple(
        Judgement(name=key, value=value, source=source or FORM)
        for key in outcome
        if (value := figure(outcome[key])) is not None
    )
    if last is not None and not _sides(line):
        found += judgements(line, source or FORM)
        known |= read_figures(line)
    if found and last is not None:
        said[last] = _judged(said[last], found)
    others = {
        key: value for key, value in outcome.items() if figure(value) is None and value is not None and key != "ranks"
    }
    details = {key: value for key, value in meta.items() if key not in ("message_meta", "message_ids")}
    more = {**rest(line, known), **({"outcome": others} if others else {}), **({"meta": details} if details else {})}
    yield checked(
        Conversation(
            key=name(line.get("id")) or f"{record.position}:{digest_json(line).hex()[:32]}",
            said=said,
            source=source,
            task=name(line.get("group")) or name(line.get("task")) or None,
            theme=text(line.get("theme")) or None,
            model=text(line.get("model")) or None,
            started_ns=nanoseconds(meta.get("start_time"))
            or nanoseconds(meta.get("date"))
            or nanoseconds(line.get("created"))
            or nanoseconds(line.get("startTime")),
            tools=tools,
            sampling=_sampling(meta),
            rest=more,
            left_out=unanswered(said, rest(line, known)),
        )
    )


def _given(line: dict[str, Any]) -> Any:
    """The messages of a line, which some logs write as JSON text."""
    given = line.get("messages")
    return decoded(given) if isinstance(given, str) else given


def _with_system(said: list[ImportedMessage], line: dict[str, Any]) -> tuple[list[ImportedMessage], frozenset[str]]:
    """The messages after the system prompt beside them, and the member that it was read from."""
    found = [(key, line[key]) for key in _SYSTEM if isinstance(line.get(key), str | list) and line[key]]
    found = [(key, each) for key, each in found if isinstance(each, str) or all(map(mapping, each))]
    if not found or not said:
        return said, frozenset()
    key, prompt = found[0]
    first = said[0].message
    if first.get("role") in ("system", "developer"):
        if first.get("content") != prompt:
            raise UnreadableConversationError("a system prompt beside messages that begin with another one", key)
        return said, frozenset({key})
    if len(found) > 1 and any(each != prompt for _, each in found):
        raise UnreadableConversationError("two system prompts beside the messages", found[1][0])
    content = prompt if isinstance(prompt, str) else content_of(prompt)
    opening = ImportedMessage(message={"role": "system", "content": content}, parent=None)
    moved = [replace(each, parent=0 if each.parent is None else each.parent + 1) for each in said]
    return [opening, *moved], frozenset(each for each, _ in found)


def _is_messages(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) and "role" in each for each in value)


def _messages(value: Any, outcome: dict[str, Any], meta: dict[str, Any], source: str) -> list[ImportedMessage]:
    if not isinstance(value, list):
        raise UnreadableConversationError("no list of messages")
    ids, ranks, details = (
        _aligned(each, len(value)) for each in (meta.get("message_ids"), outcome.get("ranks"), meta.get("message_meta"))
    )
    said: list[ImportedMessage] = []
    places: dict[int, int] = {}
    for at, before in _parents(value).items():
        message = value[at]
        answered = role_of(message) == "assistant"
        parent, places[at] = None if before is None else places[before], len(said)
        more, rank = details[at], figure(ranks[at])
        if not isinstance(more, dict):
            more = {}
        usage = more.get("usage")
        said.append(
            ImportedMessage(
                message=message,
                parent=parent,
                key=name(ids[at]),
                answered=answered,
                started_ns=nanoseconds(more.get("timestamp")) if more else None,
                usage=usage if isinstance(usage, dict) else None,
                finish_reason=text(more.get("finish_reason")) or None,
                judgements=() if rank is None else (Judgement(name="rank", value=rank, source=source or FORM),),
                rest=rest(more, _MEASURED) if more else {},
            )
        )
    return said


def _parents(messages: list[Any]) -> dict[int, int | None]:
    """For each place in a list of messages the place of the message before it, parents first. The messages name their
    parents where each has an id and each but the first a parent's; else the order of the list says it.

    Raises UnreadableConversationError when a message answers one that is not there, or when they make a circle.
    """
    ids = [name(mapping(each).get("id")) or name(mapping(each).get("message_id")) for each in messages]
    named = [next((name(mapping(each).get(key)) for key in _PARENTS if key in mapping(each)), "") for each in messages]
    if not all(ids) or len(set(ids)) < len(ids) or not all(named[1:]):
        return {at: at - 1 if at else None for at in range(len(messages))}
    tree = tree_of({key: link(parent) for key, parent in zip(ids, named, strict=True)})
    if tree.missing:
        raise UnreadableConversationError(NO_PARENT, next(iter(tree.missing)))
    place = {key: at for at, key in enumerate(ids)}
    return {place[key]: None if parent is None else place[parent] for key, parent in tree.parents.items()}


def _aligned(value: Any, length: int) -> list[Any]:
    return value if isinstance(value, list) and len(value) == length else [None] * length


def _judged(said: ImportedMessage, judgements: tuple[Judgement, ...]) -> ImportedMessage:
    return replace(said, judgements=said.judgements + judgements)


def _sides(line: dict[str, Any]) -> tuple[list[Any], list[Any], list[Any]] | None:
    """Prompt, better side, worse side of a preference line."""
    given = mapping(line.get("input")).get("messages")
    if isinstance(given, list) and _is_messages(given) and _is_messages(line.get("preferred_output")):
        return given, line["preferred_output"], line.get("non_preferred_output") or []
    if _is_messages(line.get("chosen")) and _is_messages(line.get("rejected")):
        prompt = line.get("prompt")
        return prompt if isinstance(prompt, list) else [], line["chosen"], line["rejected"]
    return None


def _preference(line: dict[str, Any], source: str) -> list[ImportedMessage] | None:
    sides = _sides(line)
    if sides is None:
        return None
    prompt, better, worse = sides
    shared = list(prompt)
    if not prompt:  # TRL's implicit prompt: what both sides begin with
        while len(shared) < min(len(better), len(worse)) and better[len(shared)] == worse[len(shared)]:
            shared.append(better[len(shared)])
        better, worse = better[len(shared) :], worse[len(shared) :]
    said = _messages(shared, {}, {}, source)
    for side, preferred in ((better, 1.0), (worse, 0.0)):
        parent = len(shared) - 1 if shared else None
        for at, message in enumerate(side):
            answered = role_of(message) == "assistant"
            judged = answered and at == len(side) - 1
            verdict = Judgement(name="preferred", value=preferred, source=source or FORM)
            key = f"{'chosen' if preferred else 'rejected'}:{at}"
            said.append(
                ImportedMessage(
                    message=message, parent=parent, key=key, answered=answered, judgements=(verdict,) if judged else ()
                )
            )
            parent = len(said) - 1
    return said


def _tools(line: dict[str, Any]) -> dict[str, Any]:
    given = line.get("tools") or mapping(line.get("input")).get("tools")
    legacy = any("function_call" in each for each in mappings(line.get("messages")))
    bare = [each for each in mappings(given) if "type" not in each and "name" in each]
    found = {"functions": given} if legacy and bare else tool_list(given)
    if isinstance(line.get("functions"), list) and line["functions"]:
        found["functions"] = line["functions"]
    if found and isinstance(line.get("parallel_tool_calls"), bool):
        found["parallel_tool_calls"] = line["parallel_tool_calls"]
    return found


def _sampling(meta: dict[str, Any]) -> dict[str, Any]:
    given = mapping(meta.get("sampling_params"))
    return {key: value for key, value in given.items() if key != "model" and value is not None}
