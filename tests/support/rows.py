"""Rows of every kind, made of messages in short: what formats are tested on."""

from __future__ import annotations

from typing import Any

from regraft.domain.datasets.messages import Message, message_of
from regraft.domain.datasets.rows import Row

TOOLS = (
    '[{"function":{"name":"weather","parameters":{"properties":{"city":{"type":"string"}},"type":"object"}},'
    '"type":"function"}]'
)


def says(role: str, content: str | None, **more: Any) -> Message:
    """A message."""
    return message_of(role, content, **more)


def calls(*arguments: str, content: str | None = None, **more: Any) -> Message:
    """An answer that calls ``weather`` once for each of the arguments."""
    made = [
        {"id": f"c{number}", "type": "function", "function": {"name": "weather", "arguments": text}}
        for number, text in enumerate(arguments)
    ]
    return message_of("assistant", content, tool_calls=made, **more)


def result(content: str, number: int = 0) -> Message:
    """The result of a call."""
    return message_of("tool", content, tool_call_id=f"c{number}")


USER = says("user", "What is the weather in Oslo?")
SYSTEM = says("system", "Be brief.")
ANSWER = says("assistant", "It snows.")
OTHER = says("assistant", "I do not know.")


def row(kind: str, **parts: Any) -> Row:
    """A row of a kind; lists of messages may be given as tuples or as one message."""
    lists = {name: (value,) if isinstance(value, dict) else value for name, value in parts.items()}
    return Row(row_id="r", kind=kind, session_id="s", sources=(), **lists)


def sft(*messages: Message, **more: Any) -> Row:
    """A conversation that ends with an answer."""
    return row("sft", messages=messages, **more)


def pair(prompt: tuple[Message, ...], chosen: Any = ANSWER, rejected: Any = OTHER, **more: Any) -> Row:
    """A preference."""
    return row(more.pop("kind", "dpo"), prompt=prompt, chosen=chosen, rejected=rejected, **more)
