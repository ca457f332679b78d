"""Send a prompt to an orchestrator through the gateway, as any client does, and read its streamed answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import openai

from regraft.domain.errors import UpstreamError
from regraft.infra.gateway_endpoint import GatewayEndpoint
from regraft.infra.llm.client import KeyRefusedError, key_refused, refuses_key

_TIMEOUT = 3600.0  # seconds for the whole plan


@dataclass(frozen=True, slots=True, kw_only=True)
class OrchestratedAnswer:
    """``turn_id``: the captured call's id. ``report``: the plan and its steps, as the gateway reports them.
    ``usage``: prompt, completion and total tokens; None where the gateway sent none."""

    turn_id: UUID
    answer: str
    usage: dict[str, int] | None
    report: dict[str, Any]


def prompt_orchestrator(
    gateway: GatewayEndpoint, name: str, prompt: str, session: str | None, on_text: Callable[[str], None]
) -> OrchestratedAnswer:
    """Ask the orchestrator ``name``; ``on_text`` is called with each piece of the answer as it arrives.

    Raises KeyRefusedError when the gateway refuses its key, UpstreamError when no answer comes.
    """
    headers = {"X-Regraft-Session": session} if session else {}
    pieces: list[str] = []
    report: dict[str, Any] = {}
    usage: Any = None
    turn = ""
    try:
        with openai.OpenAI(
            base_url=f"{gateway.url}/v1", api_key=gateway.key or "none", max_retries=0, timeout=_TIMEOUT
        ) as client:
            stream = client.chat.completions.create(
                model=f"orchestrator/{name}",
                messages=[{"role": "user", "content": prompt}],
                stream=True,
                stream_options={"include_usage": True},
                extra_headers=headers,
            )
            for chunk in stream:
                turn = chunk.id.removeprefix("chatcmpl-")
                usage = chunk.usage or usage
                report = (chunk.model_extra or {}).get("regraft") or report
                for choice in chunk.choices:
                    if choice.delta.content:
                        pieces.append(choice.delta.content)
                        on_text(choice.delta.content)
    except openai.OpenAIError as error:
        if isinstance(error, openai.AuthenticationError) and refuses_key(error.response.content):
            raise KeyRefusedError(key_refused(gateway)) from error
        raise UpstreamError(f"The orchestrator gave no answer: {error}") from error
    return OrchestratedAnswer(
        turn_id=UUID(turn),
        answer="".join(pieces),
        usage=usage.model_dump(include={"prompt_tokens", "completion_tokens", "total_tokens"}) if usage else None,
        report=report,
    )
