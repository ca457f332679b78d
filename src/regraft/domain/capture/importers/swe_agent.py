"""SWE-agent trajectories (``.traj``): the ``history`` of a run, with each agent's instructions and answers.

The steps in ``trajectory`` repeat the history in another form. Agents of one run have their own conversations. A
demonstration in the history is not an answer of the run's model. How the run ended is kept (``info``), and is not a
judgement: whether a patch is right is not in the file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from regraft.domain.capture.importers.conversation import (
    Conversation,
    Found,
    ImportedMessage,
    UnreadableConversationError,
)
from regraft.domain.capture.importers.messages import checked, role_of
from regraft.domain.capture.importers.records import JsonRecord
from regraft.domain.capture.importers.values import mapping, mappings, name, rest, text
from regraft.domain.ids import digest_json

FORM = "swe_agent"
ASIDE = frozenset({"trajectory", "replay_config"})
_KNOWN = frozenset({"history", *ASIDE})
_OF_CHAT = ("role", "content", "tool_calls", "thinking_blocks", "name")
_OWN = frozenset({*_OF_CHAT, "tool_call_ids", "agent"})


def recognises(record: JsonRecord) -> bool:
    """Whether the record is a trajectory, bare or as ``native`` beside an id."""
    run = _run(record)
    history = mappings(run.get("history"))
    return bool(history) and ("trajectory" in run or any("agent" in each for each in history))


def read(record: JsonRecord) -> Iterator[Found]:
    """The conversation of each agent of a run."""
    run, whole = _run(record), mapping(record.value)
    history = run.get("history")
    if not isinstance(history, list):
        raise UnreadableConversationError("a trajectory without a history")
    agents: dict[str, list[ImportedMessage]] = {}
    for message in history:
        said = agents.setdefault(text(mapping(message).get("agent")), [])
        said.append(_said(message, len(said) - 1 if said else None))
    key = (
        name(whole.get("id")) or name(run.get("instance_id")) or f"{record.position}:{digest_json(history).hex()[:32]}"
    )
    for agent, said in agents.items():
        yield checked(
            Conversation(
                key=f"{key}/{agent}" if len(agents) > 1 else key,
                said=said,
                named=True,
                rest={**rest(run, _KNOWN), **({"agent": agent} if agent else {})},
            )
        )


def _run(record: JsonRecord) -> dict[str, Any]:
    value = mapping(record.value)
    return mapping(value.get("native")) or value


def _said(message: Any, parent: int | None) -> ImportedMessage:
    role = role_of(message)
    made = {key: message[key] for key in _OF_CHAT if message.get(key) is not None or key == "content"}
    listed = message.get("tool_call_ids")
    calls = [each for each in listed if isinstance(each, str)] if isinstance(listed, list) else []
    if role == "tool" and calls:
        made["tool_call_id"] = calls[0]
    return ImportedMessage(
        message=made,
        parent=parent,
        answered=role == "assistant" and message.get("is_demo") is not True,
        rest={**rest(message, _OWN), **({"tool_call_ids": calls[1:]} if len(calls) > 1 else {})},
    )
