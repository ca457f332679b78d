"""ToolBench: search trees (``tree`` of Thought, Action and Action Input nodes) and ToolEval's message trees.

A thought, the action after it and its input are one answer of the model, in the legacy ``function_call`` form that the
benchmark used; an observation is the function's message. The search's own verdict on a branch (``finished``, Elo) is a
judgement with the search as its source. What the search asked the model in order to make a branch differ is not in the
tree, and is not made up. ToolEval cuts its tool messages after so many characters: one that was cut is kept as it is.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from regraft.domain.capture.importers.conversation import (
    Conversation,
    Found,
    ImportedMessage,
    Judgement,
    UnreadableConversationError,
)
from regraft.domain.capture.importers.messages import checked
from regraft.domain.capture.importers.records import JsonRecord
from regraft.domain.capture.importers.values import figure, mapping, mappings, name, rest, text
from regraft.domain.ids import digest_json

FORM = "toolbench"
# Prompts and chains of the search repeat its tree; a type of node is not words.
ASIDE = frozenset({"train_messages", "chain", "node_type"})
_SOURCE = "toolbench search"
_FIRST_ELO = 1000.0


def recognises(record: JsonRecord) -> bool:
    """Whether the record is an answer file, bare or as ``native`` beside an id."""
    native = _native(record)
    return "answer_generation" in native or isinstance(mapping(native.get("answer")).get("answer_details"), list)


def read(record: JsonRecord) -> Iterator[Found]:
    """The tree of a record."""
    native = _native(record)
    key = name(mapping(record.value).get("id")) or f"{record.position}:{digest_json(native).hex()[:32]}"
    yield checked(_search(key, native) if "answer_generation" in native else _details(key, native))


def _native(record: JsonRecord) -> dict[str, Any]:
    value = mapping(record.value)
    return mapping(value.get("native")) or value


def _search(key: str, native: dict[str, Any]) -> Conversation:
    answer = mapping(native.get("answer_generation"))
    said = _opening(answer)
    root = mapping(mapping(native.get("tree")).get("tree"))
    top = len(said) - 1
    # Children, last first: (node, the message before it, what was thought, the action, its path in the tree).
    waiting: list[tuple[dict[str, Any], int, str, str, str]] = []

    def grow(node: dict[str, Any], place: int, thought: str, action: str, path: str) -> None:
        children = mappings(node.get("children"))
        waiting.extend(
            (child, place, thought, action, f"{path}.{at}") for at, child in reversed([*enumerate(children)])
        )

    grow(root, top, "", "", "")
    while waiting:
        node, place, thought, action, path = waiting.pop()
        kind, words = node.get("node_type"), text(node.get("description"))
        leaf = not mappings(node.get("children"))
        if kind == "Thought":
            thought = f"{thought}\n{words}" if thought else words
            if leaf:
                said.append(_answered({"role": "assistant", "content": thought}, place, path, node, leaf))
        elif kind == "Action":
            action = words
            if leaf:
                call = {"name": action, "arguments": ""}
                message = {"role": "assistant", "content": thought or None, "function_call": call}
                said.append(_answered(message, place, path, node, leaf))
        elif kind == "Action Input":
            call = {"name": action, "arguments": words}
            message = {"role": "assistant", "content": thought or None, "function_call": call}
            said.append(_answered(message, place, path, node, leaf))
            place = len(said) - 1
            if text(node.get("observation")):
                result = {"role": "function", "name": action, "content": node["observation"]}
                said.append(
                    ImportedMessage(message=result, parent=place, key=f"{path}!", rest=_kept(node, "observation_code"))
                )
                place = len(said) - 1
            thought = action = ""
        else:
            raise UnreadableConversationError(f"a node of type {kind!r}"[:80])
        grow(node, place, thought, action, path)
    functions = answer.get("function")
    return Conversation(
        key=key,
        said=said,
        named=True,
        task=f"toolbench:{digest_json(answer.get('query')).hex()[:16]}",
        tools={"functions": functions} if isinstance(functions, list) and functions else {},
        rest={
            "win": native.get("win"),
            **rest(answer, frozenset({"function", "train_messages", "chain"})),
            **_kept(native, "forward_args", "compare_candidates"),
        },
    )


def _opening(answer: dict[str, Any]) -> list[ImportedMessage]:
    """What the search began with: the first messages of a recorded prompt, or the query alone."""
    prompts = answer.get("train_messages")
    first = mappings(prompts[0]) if isinstance(prompts, list) and prompts else []
    opening = []
    for message in first:
        if message.get("role") not in ("system", "user"):
            break
        opening.append(message)
    opening = opening or [{"role": "user", "content": text(answer.get("query"))}]
    return [
        ImportedMessage(message=message, parent=at - 1 if at else None, key=f"opening.{at}")
        for at, message in enumerate(opening)
    ]


def _kept(node: dict[str, Any], *names: str) -> dict[str, Any]:
    return {each: node[each] for each in names if node.get(each) not in (None, [], {})}


def _answered(message: dict[str, Any], parent: int, path: str, node: dict[str, Any], leaf: bool) -> ImportedMessage:
    judgements = []
    elo = figure(node.get("Elo"))
    if elo is not None and elo != _FIRST_ELO:
        judgements.append(Judgement(name="elo", value=elo, source=_SOURCE))
    if leaf:
        judgements.append(Judgement(name="finished", value=float(node.get("finished") is True), source=_SOURCE))
    more = _kept(node, "pruned", "finished", "is_terminal", "expand_num")
    return ImportedMessage(
        message=message, parent=parent, key=path, answered=True, judgements=tuple(judgements), rest=more
    )


def _details(key: str, native: dict[str, Any]) -> Conversation:
    answer = mapping(native.get("answer"))
    said: list[ImportedMessage] = []
    first = mappings(answer.get("answer_details"))
    waiting: list[tuple[dict[str, Any], int | None, str, str]] = [
        (node, None, "", str(at)) for at, node in reversed([*enumerate(first)])
    ]
    while waiting:
        node, place, thought, path = waiting.pop()
        children = mappings(node.get("next"))
        role, words = node.get("role"), node.get("message")
        called = _called(words) if role == "tool" else None
        if role == "assistant" and children and all(_called(child.get("message")) for child in children):
            thought = text(words)  # the content of the answer that makes the call
        elif called:
            function, arguments, response = called
            call = {"name": function, "arguments": arguments}
            message = {"role": "assistant", "content": thought or None, "function_call": call}
            said.append(ImportedMessage(message=message, parent=place, key=path, answered=True))
            place, thought = len(said) - 1, ""
            if response:
                result = {"role": "function", "name": function, "content": response}
                said.append(ImportedMessage(message=result, parent=place, key=f"{path}!"))
                place = len(said) - 1
        elif role in ("system", "user", "assistant", "tool"):
            said.append(
                ImportedMessage(
                    message={"role": role, "content": words}, parent=place, key=path, answered=role == "assistant"
                )
            )
            place = len(said) - 1
        else:
            raise UnreadableConversationError(f"a message with the role {role!r}"[:80])
        waiting.extend((child, place, thought, f"{path}.{at}") for at, child in reversed([*enumerate(children)]))
    tools = native.get("available_tools")
    return Conversation(
        key=key,
        said=said,
        named=True,
        task=f"toolbench:{digest_json(native.get('query')).hex()[:16]}",
        tools={"functions": tools} if isinstance(tools, list) and tools else {},
        rest={**_kept(native, "query"), **_kept(answer, "method", "total_steps", "final_answer")},
    )


def _called(words: Any) -> tuple[str, str, str] | None:
    """Name, arguments and response of a call, which ToolEval writes as a Python literal, and often cuts short."""
    if not isinstance(words, str) or not words.endswith("}"):
        return None
    try:
        made = mapping(ast.literal_eval(words))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    function, arguments, response = (text(made.get(key)) for key in ("name", "arguments", "response"))
    return (function, arguments, response) if function else None
