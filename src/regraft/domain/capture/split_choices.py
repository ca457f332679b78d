"""One answer that a server split over several choices: text in one, tool calls in others, a call in each.

Choices are alternatives only where a client asked for several (``n``). Source: what GitHub's Copilot API sends for
models of Anthropic's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from regraft.domain.capture.answer import Answer, Choice
from regraft.domain.capture.message import text_of
from regraft.domain.capture.request import Request
from regraft.domain.ids import canonical_json


def join_split_choices(answer: Answer, request: Request) -> Answer:
    """The answer with its choices joined, if it was split; contradictions between them make it ambiguous."""
    asked = request.sampling.get("n")
    several = isinstance(asked, int) and asked > 1
    calls = [choice for choice in answer.choices if choice.message and choice.message.get("tool_calls")]
    if several or len(answer.choices) < 2 or not calls:
        return answer
    texts = {text.strip() for choice in answer.choices if (text := text_of(choice.message)).strip()}
    if len(texts) > 1:
        said = [{"message": choice.message} for choice in answer.choices]
        unsure = [replace(choice, unattributed=[*choice.unattributed, *said]) for choice in answer.choices]
        return replace(answer, choices=unsure)
    first = answer.choices[0]
    message: dict[str, Any] = {}
    unattributed: list[Any] = []
    for choice in answer.choices:
        unattributed += choice.unattributed
        for key, value in (choice.message or {}).items():
            known = message.get(key)
            if key == "tool_calls" and isinstance(value, list):
                message[key] = _with_calls(known if isinstance(known, list) else [], value)
            elif key == "content" and not _says(known):
                message[key] = value if _says(value) or known is None else known
            elif known is None or known == "":
                message[key] = value
            elif key != "content" and value not in (None, "", known):
                unattributed.append({key: value})
    return replace(
        answer,
        choices=[
            Choice(
                index=first.index,
                message=message,
                finish_reason=calls[0].finish_reason or first.finish_reason,
                rest={"split_choices": [{"index": choice.index, **choice.rest} for choice in answer.choices]},
                unattributed=unattributed,
            )
        ],
    )


def _says(content: Any) -> bool:
    return bool(content.strip() if isinstance(content, str) else content)


def _with_calls(known: list[Any], more: list[Any]) -> list[Any]:
    """Calls of several choices; one that is in two of them under its id is one."""
    ids = {call["id"]: canonical_json(call) for call in known if isinstance(call, dict) and call.get("id")}
    fresh = [
        call
        for call in more
        if not (isinstance(call, dict) and call.get("id") and ids.get(call["id"]) == canonical_json(call))
    ]
    return [*known, *fresh]
