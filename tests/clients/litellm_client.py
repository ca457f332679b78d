"""LiteLLM as a client, in a separate environment: makes the given calls to the gateway, and prints the answers as JSON.

Arguments: the gateway's address and the cases, each API-WHAT-HOW. A line of JSON each. Started by test_litellm.py.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

os.environ |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}  # nothing is fetched from elsewhere
import litellm

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "", "parameters": PARAMETERS}}]
HEADERS = {"X-Regraft-Session": "litellm", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}


def calls_of(message: Any) -> list[list[str]]:
    """Id, name and arguments of each tool call."""
    return [[call.id, call.function.name, call.function.arguments] for call in message.tool_calls or ()]


def ask(address: str, case: str) -> dict[str, Any]:
    """What LiteLLM makes of one case."""
    provider, what, streamed = case.split("-")
    model, base = ("openai/m", f"{address}/v1") if provider == "openai" else ("anthropic/claude-m", address)
    more: dict[str, Any] = {"tools": TOOLS} if what == "tool" else {}
    more |= {"metadata": {"case": case}} if provider == "openai" and streamed == "plain" else {}
    asked = [{"role": "user", "content": what}]
    given = {"api_base": base, "api_key": "k", "num_retries": 0, "max_retries": 0, "max_tokens": 64}
    given |= {"extra_headers": HEADERS, "stream": streamed == "stream", "timeout": 20}
    try:
        reply = litellm.completion(model=model, messages=asked, **given, **more)
    except (litellm.RateLimitError, litellm.BadRequestError) as error:
        return {"error": type(error).__name__, "status": error.status_code, "message": str(error)}
    if streamed == "stream":
        chunks = []
        for chunk in reply:
            chunks.append(chunk)
            if what == "endless" and len(chunks) == 4:
                break
        if what == "endless":
            return {"text": "".join(each.choices[0].delta.content or "" for each in chunks)}
        reply = litellm.stream_chunk_builder(chunks, messages=asked)
    choice = reply.choices[0]
    return {
        "text": choice.message.content,
        "calls": calls_of(choice.message),
        "finish_reason": choice.finish_reason,
        "turn": reply._hidden_params.get("additional_headers", {}).get("llm_provider-x-regraft-turn"),
    }


if __name__ == "__main__":
    for each in sys.argv[2:]:
        print(json.dumps(ask(sys.argv[1], each)))
