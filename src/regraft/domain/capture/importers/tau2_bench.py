"""tau2-bench results: ``{info, tasks, simulations: [{task_id, trial, reward_info, messages}]}``.

A call that the simulated *user* made stays a ``user`` message with ``tool_calls`` and ``requestor``: the Chat
Completions API knows no such message, and it is what happened. The recorded messages lack the agent's system prompt;
the domain's policy is kept with the conversation, not invented into it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from regraft.domain.capture.importers.conversation import (
    Conversation,
    Found,
    ImportedMessage,
    Judgement,
    UnreadableConversationError,
    last_answer,
)
from regraft.domain.capture.importers.messages import checked, role_of, tool_call, tool_list
from regraft.domain.capture.importers.moment import nanoseconds
from regraft.domain.capture.importers.records import JsonRecord
from regraft.domain.capture.importers.values import figure, mapping, mappings, name, rest, text

FORM = "tau2_bench"
_KNOWN = frozenset({"id", "task_id", "trial", "messages", "start_time", "timestamp", "end_time"})
_CHAT = ("role", "content", "tool_calls")
_MEASURES = frozenset({"usage", "timestamp", "turn_idx", "raw_data", "id", "requestor", "error", *_CHAT})


def recognises(record: JsonRecord) -> bool:
    """Whether the record is a simulation, or a run without any."""
    value = mapping(record.value)
    if _is_empty_run(value):
        return True
    return record.member == "simulations" or ("reward_info" in value and isinstance(value.get("messages"), list))


def _is_empty_run(value: dict[str, Any]) -> bool:
    return value.get("simulations") == [] and "info" in value and "messages" not in value


def read(record: JsonRecord) -> Iterator[Found]:
    """The conversation of a simulation."""
    run, info = mapping(record.value), mapping(record.head.get("info"))
    if _is_empty_run(run):
        return
    messages = run.get("messages")
    if not isinstance(messages, list):
        raise UnreadableConversationError("no messages")
    agent, environment = mapping(info.get("agent_info")), mapping(info.get("environment_info"))
    said: list[ImportedMessage] = []
    for message in _flat(messages):
        said.append(_said(message, len(said) - 1 if said else None))
    judged = last_answer(said)
    reward = figure(mapping(run.get("reward_info")).get("reward"))
    if judged is not None and reward is not None:
        verdict = Judgement(name="reward", value=reward, source="tau2-bench")
        said[judged] = replace(said[judged], judgements=(verdict,))
    domain = text(environment.get("domain_name"))
    more = rest(run, _KNOWN)
    if environment.get("policy"):
        more["policy"] = environment["policy"]
    yield checked(
        Conversation(
            key=name(run.get("id")) or f"{name(run.get('task_id'))}/{name(run.get('trial'))}",
            said=said,
            named=True,
            source=domain,
            task=f"tau2/{domain}/{name(run.get('task_id'))}",
            model=text(agent.get("llm")) or None,
            started_ns=nanoseconds(run.get("start_time")) or nanoseconds(run.get("timestamp")),
            tools=tool_list(environment.get("tool_defs")),
            sampling=mapping(agent.get("llm_args")),
            rest=more,
        )
    )


def _flat(messages: list[Any]) -> Iterator[Any]:
    """Several results of one step are several messages."""
    for message in messages:
        several = mappings(mapping(message).get("tool_messages"))
        yield from several or [message]


def _said(message: Any, parent: int | None) -> ImportedMessage:
    role = role_of(message)
    made: dict[str, Any] = {"role": role, "content": message.get("content")}
    if role == "tool":
        made["tool_call_id"] = message.get("id")
    calls = [
        {**_call(call), **({"requestor": call["requestor"]} if call.get("requestor") == "user" else {})}
        for call in mappings(message.get("tool_calls"))
    ]
    if calls:
        made["tool_calls"] = calls
    for key in ("requestor", "error"):
        if message.get(key) not in (None, False, "assistant"):
            made[key] = message[key]
    usage = message.get("usage")
    return ImportedMessage(
        message=made,
        parent=parent,
        answered=role == "assistant",
        started_ns=nanoseconds(message.get("timestamp")),
        usage=usage if isinstance(usage, dict) else None,
        rest=rest(message, _MEASURES),
    )


def _call(call: dict[str, Any]) -> dict[str, Any]:
    function = mapping(call.get("function"))
    if function:
        return tool_call(call.get("id"), function.get("name"), function.get("arguments"))
    return tool_call(call.get("id"), call.get("name"), call.get("arguments"))
