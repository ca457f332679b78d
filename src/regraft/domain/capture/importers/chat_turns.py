"""Lists of turns as data sets write them: who speaks, and what is said, under any of the usual names.

What a turn holds besides a chat message (times, flags, ids) is kept beside it; ``weight``, ``train`` and similar names,
which say whether a trainer should learn from it, stay in the message.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from regraft.domain.capture.importers import anthropic_content
from regraft.domain.capture.importers.conversation import ImportedMessage, Judgement, UnreadableConversationError
from regraft.domain.capture.importers.messages import content_of, text_part, tool_call
from regraft.domain.capture.importers.moment import nanoseconds
from regraft.domain.capture.importers.recorded import decoded
from regraft.domain.capture.importers.values import figure, mapping, mappings, name, text
from regraft.domain.ids import canonical_json

ROLES = {
    **{role: role for role in ("system", "developer", "user", "assistant", "tool", "function")},
    **dict.fromkeys(("human", "prompter", "User", "Human", "USER"), "user"),
    **dict.fromkeys(
        ("gpt", "chatgpt", "bot", "model", "ai", "AI", "Assistant", "ASSISTANT", "bard", "bing"), "assistant"
    ),
    **dict.fromkeys(("observation", "function_response", "ipython", "environment"), "tool"),
    "System": "system",
}
_SPEAKER = ("role", "from", "speaker", "sender", "author")
_WORDS = ("content", "value", "text", "utterance")
_OF_MESSAGE = frozenset(
    {
        "name",
        "tool_calls",
        "tool_call_id",
        "function_call",
        "refusal",
        "reasoning_content",
        "reasoning",
        "thinking_blocks",
    }
    | {"annotations", "audio", "weight", "train", "training", "trainable", "loss", "loss_weight", "loss_mask"}
)
_OF_TURN = ("id", "message_id", "turn_id", "turn_identifier", "uuid")
_JUDGED = frozenset({"rating", "score", "reward", "vote", "rank"})
_MOMENTS = ("timestamp", "created_at", "create_time", "date")
_SPOKEN = re.compile(r"\n\n(Human|Assistant):[ \t]?")


def is_turns(value: Any) -> bool:
    """Whether a value is a list of turns."""
    turns = decoded(value) if isinstance(value, str) and value.lstrip()[:1] == "[" else value
    return isinstance(turns, list) and bool(turns) and all(_is_turn(turn) for turn in turns)


def is_transcript(value: Any) -> bool:
    r"""Whether a text is a dialogue in one piece: ``\n\nHuman: ...\n\nAssistant: ...``."""
    return isinstance(value, str) and ("\n\n" + value.lstrip()).startswith(("\n\nHuman:", "\n\nAssistant:"))


def read_turns(value: Any, source: str, *, model: str | None = None) -> list[ImportedMessage]:
    """The messages of a list of turns, or of a transcript, each after the one before it.

    Raises UnreadableConversationError for a turn whose speaker is unknown.
    """
    if is_transcript(value):
        turns: Any = _spoken(value)
    else:
        turns = decoded(value)
    if not isinstance(turns, list):
        raise UnreadableConversationError("no list of turns")
    said: list[ImportedMessage] = []
    for turn in turns:
        for each in _read_turn(turn, source, model):
            said.append(replace(each, parent=len(said) - 1 if said else None))
    if said and isinstance(value, str):
        said[-1] = replace(said[-1], source_texts=(value,))
    return said


def grafted(said: list[ImportedMessage], parent: int | None, offset: int = 0) -> list[ImportedMessage]:
    """Messages that follow one another, behind the message at ``parent``; the first will stand at ``offset``."""
    return [replace(each, parent=parent if not at else offset + at - 1) for at, each in enumerate(said)]


def branched(trunk: list[ImportedMessage], branches: list[list[ImportedMessage]]) -> list[ImportedMessage]:
    """A tree: the trunk, and behind it the branches. What all branches begin with, word for word, becomes trunk."""
    shared = 0
    shortest = min((len(each) for each in branches), default=0)
    while shared < shortest and len({canonical_json(each[shared].message) for each in branches}) == 1:
        if branches[0][shared].answered and shared == shortest - 1:
            break  # the same answer twice is two answers
        shared += 1
    said = grafted([*trunk, *(branches[0][:shared] if branches else [])], None)
    stem = len(said) - 1 if said else None
    for each in branches:
        said += grafted(each[shared:], stem, len(said))
    return said


def _is_turn(turn: Any) -> bool:
    found = mapping(turn)
    speaker = next((found[key] for key in _SPEAKER if isinstance(found.get(key), str)), None)
    return speaker is not None and ("tool_calls" in found or any(key in found for key in _WORDS))


def _read_turn(turn: Any, source: str, model: str | None) -> list[ImportedMessage]:
    found = mapping(turn)
    speaker = next((key for key in _SPEAKER if isinstance(found.get(key), str)), "role")
    given = found.get(speaker)
    role = ROLES.get(given) if isinstance(given, str) else None
    if role is None:
        raise UnreadableConversationError(f"a message with the role {given!r}"[:80])
    words = next((key for key in _WORDS if found.get(key) is not None), "content")
    message = {"role": role, "content": _content(found.get(words))}
    message.update((key, found[key]) for key in _OF_MESSAGE if found.get(key) is not None)
    if calls := mappings(decoded(found.get("tool_calls"))):
        message["tool_calls"] = [_call(each) for each in calls]
    elif "tool_calls" in message:
        del message["tool_calls"]
    made = [message]
    if role in ("user", "assistant") and anthropic_content.is_native({"content": found.get(words)}):
        made = anthropic_content.chat_messages({"role": role, "content": found[words]})
    judged = tuple(
        Judgement(name=key, value=value, source=source)
        for key in found
        if key in _JUDGED and (value := figure(found[key])) is not None
    )
    own = {speaker, words, *_OF_MESSAGE, *_OF_TURN, *_MOMENTS, *(each.name for each in judged)}
    rest = {key: value for key, value in found.items() if key not in own and value not in (None, "", [], {})}
    return [
        ImportedMessage(
            message=each,
            parent=None,
            key=next((name(found[key]) for key in _OF_TURN if name(found.get(key))), ""),
            answered=each["role"] == "assistant",
            model=text(found.get("model")) or model if each["role"] == "assistant" else None,
            started_ns=next((at for key in _MOMENTS if (at := nanoseconds(found.get(key))) is not None), None),
            judgements=judged if place == len(made) - 1 else (),
            rest=rest if not place else {},
        )
        for place, each in enumerate(made)
    ]


def _content(value: Any) -> Any:
    if not isinstance(value, list):
        return value if value is None or isinstance(value, str) else canonical_json(value)
    return content_of([_part(part) for part in value])


def _part(part: Any) -> Any:
    if isinstance(part, str):
        return text_part(part)
    kept = {key: value for key, value in mapping(part).items() if value is not None}
    if isinstance(kept.get("text"), str) and kept.keys() <= {"type", "text"}:
        return text_part(kept["text"])
    return kept or part


def _call(call: dict[str, Any]) -> dict[str, Any]:
    function = mapping(call.get("function")) or call
    if not text(function.get("name")):
        return call
    arguments = function.get("arguments", function.get("parameters"))
    known = {"id", "type", "function"} if function is not call else {"id", "type", "name", "arguments", "parameters"}
    more = {key: value for key, value in call.items() if key not in known and value is not None}
    return {**more, **tool_call(call.get("id"), function["name"], arguments)}


def _spoken(words: str) -> list[dict[str, Any]]:
    pieces = _SPOKEN.split("\n\n" + words.lstrip())
    turns = [{"role": who, "content": said.strip()} for who, said in zip(pieces[1::2], pieces[2::2], strict=True)]
    if turns and not turns[-1]["content"] and turns[-1]["role"] == "Assistant":
        turns.pop()  # the place where the answer goes
    return turns
