"""A conversation of alternating questions and answers, which is all that the older formats can express."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from regraft.domain.datasets.messages import Message, RowRefusal
from regraft.domain.datasets.rows import Row

ASKED = frozenset({"user", "tool"})


@dataclass(frozen=True, slots=True)
class Dialogue:
    """``system`` is the text of the leading system message, '' where there is none; ``turns`` begin with a question."""

    system: str
    turns: tuple[Message, ...]


def dialogue(messages: Sequence[Message]) -> Dialogue | RowRefusal:
    """The messages as turns; refused when they do not alternate, or have more than a role and a text.

    Calls and what a model thought are for the format to judge. A result's name that repeats the name of its call says
    nothing.
    """
    system, turns = "", tuple(messages)
    if turns and turns[0]["role"] == "system":
        if refusal := _more_than_text(turns[0], called=""):
            return refusal
        system, turns = turns[0]["content"] or "", turns[1:]
        if not system:
            return RowRefusal("empty_system", "an empty system message reads as none, and a default takes its place")
    called = ""
    for place, message in enumerate(turns):
        role = message["role"]
        if role == "system":
            return RowRefusal("system_not_first", "a system message can only be the first")
        if role not in ASKED and role != "assistant":
            return RowRefusal("role_unsupported", f'there is no {role}; `developer = "system"` in [content] helps'[:80])
        if refusal := _more_than_text(message, called):
            return refusal
        if (role in ASKED) == bool(place % 2):
            if role == "tool" and turns[place - 1]["role"] == "tool":
                return RowRefusal("results_in_a_row", "results of parallel calls have no form")
            return RowRefusal("roles_do_not_alternate", f"message {place + 1} is of {role}")
        called = message["tool_calls"][0]["function"]["name"] if message["tool_calls"] else ""
    return Dialogue(system, turns)


def plain_dialogue(row: Row) -> Dialogue | RowRefusal:
    """The dialogue of a row that is words alone: no tools, no calls, no reasoning; or why it is not."""
    talk = dialogue(row.messages)
    if isinstance(talk, RowRefusal):
        return talk
    if row.tools is not None:
        return RowRefusal("tools_unsupported", "there is no form for a tool list")
    return words_only(talk.turns) or talk


def words_only(messages: Sequence[Message]) -> RowRefusal | None:
    """Why turns are more than words: calls, results, or what a model thought; None when they are not."""
    for message in messages:
        if message["tool_calls"] or message["role"] == "tool":
            return RowRefusal("calls_unsupported", "there is no form for calls and their results")
        if message["reasoning"] is not None:
            return RowRefusal("reasoning_unsupported", "there is no field for what a model thought")
    return None


def one_answer(side: Sequence[Message], name: str) -> Message | RowRefusal:
    """The single answer that a side of a pair is."""
    if len(side) != 1 or side[0]["role"] != "assistant":
        return RowRefusal("several_messages", f"{name} is {len(side)} messages; there is room for one answer")
    return side[0]


def _more_than_text(message: Message, called: str) -> RowRefusal | None:
    if message["parts"]:
        return RowRefusal("several_text_parts", "text parts are joined in different ways")
    if message["weight"] is not None:
        return RowRefusal("message_weight", "an answer has a weight, which the format cannot say")
    if message["name"] is not None and not (message["role"] == "tool" and message["name"] == called):
        return RowRefusal("name_unsupported", "messages have no names")
    return None
