"""Messages of Anthropic's Messages API as chat messages: what transcripts, request logs and data sets keep of them.

``tool_use`` blocks are tool calls, each ``tool_result`` is a ``tool`` message, thinking is ``reasoning_content`` with
its blocks (and signatures) beside it, images are ``image_url`` parts. A block of any other type stays a part as it is.
"""

from __future__ import annotations

from typing import Any

from regraft.domain.capture.importers.conversation import UnreadableConversationError
from regraft.domain.capture.importers.messages import content_of, text_part, tool_call
from regraft.domain.capture.importers.values import mapping, rest, text
from regraft.domain.ids import canonical_json

BLOCKS = frozenset(
    {
        "tool_use",
        "tool_result",
        "thinking",
        "redacted_thinking",
        "server_tool_use",
        "web_search_tool_result",
        "document",
    }
)
_THINKING = frozenset({"thinking", "redacted_thinking"})
_FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
}
_OF_TEXT = frozenset({"type", "text", "cache_control"})
_OF_IMAGE = frozenset({"type", "source", "cache_control"})
_OF_CALL = frozenset({"type", "id", "name", "input", "cache_control"})
_OF_RESULT = frozenset({"type", "tool_use_id", "content", "cache_control"})


def finish_reason(stop_reason: Any) -> str | None:
    """The finish reason in the words of the Chat Completions API; an unknown one as it is."""
    return _FINISH_REASONS.get(stop_reason, stop_reason) if isinstance(stop_reason, str) and stop_reason else None


def is_native(message: Any) -> bool:
    """Whether a message holds a block that only this API has."""
    content = mapping(message).get("content")
    blocks = content if isinstance(content, list) else []
    return any(_kind(block) in BLOCKS or (_kind(block) == "image" and "source" in block) for block in blocks)


def chat_messages(message: Any) -> list[dict[str, Any]]:
    """The chat messages that one message is: results of tools before what the user says beside them.

    Raises UnreadableConversationError for a role that the API does not have.
    """
    role, content = mapping(message).get("role"), mapping(message).get("content")
    if role == "assistant":
        return [answer(content if isinstance(content, list) else [], content if isinstance(content, str) else None)]
    if role not in ("user", "system"):
        raise UnreadableConversationError(f"a message with the role {role!r}"[:80])
    if not isinstance(content, list):
        return [{"role": role, "content": content}]
    results = [_result(block) for block in content if _kind(block) == "tool_result"]
    parts = [_part(block) for block in content if _kind(block) != "tool_result"]
    return [*results, {"role": role, "content": content_of(parts)}] if parts or not results else results


def answer(blocks: list[Any], words: str | None = None) -> dict[str, Any]:
    """The chat message of an answer's blocks, or of its text."""
    thinking = [block for block in blocks if _kind(block) in _THINKING]
    calls = [_call(block) for block in blocks if _kind(block) == "tool_use"]
    parts = [_part(block) for block in blocks if _kind(block) not in _THINKING and _kind(block) != "tool_use"]
    made: dict[str, Any] = {"role": "assistant", "content": words}
    if words is None:
        made["content"] = content_of(parts) if parts or not (calls or thinking) else None
    if thoughts := [block["thinking"] for block in thinking if text(block.get("thinking"))]:
        made["reasoning_content"] = "\n\n".join(thoughts)
    if any(block.keys() - {"type", "thinking"} for block in thinking):
        made["thinking_blocks"] = thinking
    if calls:
        made["tool_calls"] = calls
    return made


def system_message(system: Any) -> dict[str, Any]:
    """The ``system`` of a request as a message."""
    parts = [_part(block) for block in system] if isinstance(system, list) else []
    return {"role": "system", "content": content_of(parts) if isinstance(system, list) else system}


def tools(definitions: Any) -> list[Any]:
    """Tool definitions in the chat form; a tool of the server's as it is."""
    return [_tool(each) for each in definitions] if isinstance(definitions, list) else []


def _tool(tool: Any) -> Any:
    if "input_schema" not in mapping(tool):
        return tool
    function = {"name": tool.get("name"), "parameters": tool["input_schema"]}
    if text(tool.get("description")):
        function["description"] = tool["description"]
    return {"type": "function", "function": function}


def _kind(block: Any) -> str:
    return text(mapping(block).get("type"))


def _call(block: dict[str, Any]) -> dict[str, Any]:
    made = tool_call(block.get("id"), block.get("name"), block.get("input"))
    more = rest(block, _OF_CALL)
    return {**made, "item": more} if more else made


def _part(block: Any) -> Any:
    if isinstance(block, str):
        return text_part(block)
    if _kind(block) == "text" and isinstance(block.get("text"), str) and not rest(block, _OF_TEXT):
        return text_part(block["text"])
    source = mapping(mapping(block).get("source"))
    if _kind(block) == "image" and not rest(block, _OF_IMAGE):
        if source.keys() == {"type", "url"} and isinstance(source["url"], str):
            return {"type": "image_url", "image_url": {"url": source["url"]}}
        if source.keys() == {"type", "media_type", "data"} and isinstance(source["data"], str):
            url = f"data:{source['media_type']};base64,{source['data']}"
            return {"type": "image_url", "image_url": {"url": url}}
    return block


def _result(block: dict[str, Any]) -> dict[str, Any]:
    content = block.get("content")
    written: Any = content if isinstance(content, str) else "" if content is None else canonical_json(content)
    if isinstance(content, list):
        written = content_of([_part(each) for each in content])
    made = {"role": "tool", "tool_call_id": text(block.get("tool_use_id")), "content": written}
    return {**made, **rest(block, _OF_RESULT)}
