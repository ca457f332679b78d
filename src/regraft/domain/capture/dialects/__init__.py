"""The dialects that calls are captured in, by endpoint. Each is read into the chat form and can be written again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from regraft.domain.capture import answer, request
from regraft.domain.capture.answer import Answer, count_non_finite
from regraft.domain.capture.dialects import anthropic, completions, embeddings, ollama, responses, responses_stream
from regraft.domain.capture.dialects.native import NATIVE
from regraft.domain.capture.request import Request
from regraft.domain.capture.split_choices import join_split_choices
from regraft.domain.errors import CorruptEventError

CHAT = "/v1/chat/completions"
RESPONSES = "/v1/responses"
MESSAGES = "/v1/messages"
COMPLETIONS = "/v1/completions"
EMBEDDINGS = "/v1/embeddings"
OLLAMA_CHAT = "/api/chat"
OLLAMA_GENERATE = "/api/generate"
FEEDBACK = "/v1/feedback"  # no dialect: a judgement of a call, not a call

_BESIDE = frozenset({NATIVE, "item", "reasoning_items", "thinking_blocks"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """``read_request`` raises CorruptEventError; ``body`` gives what was sent; ``standalone`` asks for the same
    without relying on anything that a server remembers."""

    read_request: Callable[[bytes], Request]
    read_answer: Callable[[bytes, str], Answer]
    body: Callable[[Request], bytes]
    standalone: Callable[[Request], bytes]

    def answer(self, body: bytes, content_type: str, request: Request) -> Answer:
        """The answer to a request, from its decoded body: split choices are one, and what JSON lacks is named."""
        read = join_split_choices(self.read_answer(body, content_type), request)
        return count_non_finite(read) if b"NaN" in body or b"Infinity" in body else read


_DIALECTS = {
    CHAT: Dialect(
        read_request=request.read_request,
        read_answer=answer.read_answer,
        body=Request.body,
        standalone=Request.body,
    ),
    RESPONSES: Dialect(
        read_request=responses.read_request,
        read_answer=responses_stream.read_answer,
        body=responses.body,
        standalone=responses.standalone_body,
    ),
    MESSAGES: Dialect(
        read_request=anthropic.read_request,
        read_answer=anthropic.read_answer,
        body=anthropic.body,
        standalone=anthropic.body,
    ),
    COMPLETIONS: Dialect(
        read_request=completions.read_request,
        read_answer=completions.read_answer,
        body=completions.body,
        standalone=completions.body,
    ),
    EMBEDDINGS: Dialect(
        read_request=embeddings.read_request,
        read_answer=embeddings.read_answer,
        body=embeddings.body,
        standalone=embeddings.body,
    ),
    OLLAMA_CHAT: Dialect(
        read_request=ollama.read_chat_request,
        read_answer=ollama.read_answer,
        body=ollama.chat_body,
        standalone=ollama.chat_body,
    ),
    OLLAMA_GENERATE: Dialect(
        read_request=ollama.read_generate_request,
        read_answer=ollama.read_answer,
        body=ollama.generate_body,
        standalone=ollama.generate_body,
    ),
}


def dialect_of(endpoint: str) -> Dialect:
    """Raises CorruptEventError for an endpoint that has none."""
    found = _DIALECTS.get(endpoint)
    if found is None:
        raise CorruptEventError(f"no dialect is known for {endpoint}")
    return found


def as_chat(asked: Request) -> Request:
    """The same call for a chat endpoint: without what only its own dialect's server understands.

    Content parts that no chat message has stay in it, and so does every setting.
    """
    other = {key: value for key, value in asked.other.items() if key in request.OTHER_KEYS}
    return replace(asked, messages=[_plain(message) for message in asked.messages], other=other)


def _plain(message: Any) -> Any:
    if not isinstance(message, dict):
        return message
    plain = {key: value for key, value in message.items() if key not in _BESIDE}
    if isinstance(calls := plain.get("tool_calls"), list):
        plain["tool_calls"] = [
            {key: value for key, value in call.items() if key != "item"} if isinstance(call, dict) else call
            for call in calls
        ]
    return plain
